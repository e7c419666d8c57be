//! The stores that keep the contract. Each is opened anew by every task and process that uses it, from its name and a place.

use std::{path::Path, sync::Arc};

use tidegate::providers::objects::{DirectoryObjects, Objects, Overlay};

/// A kind of store.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Directory,
    /// Over a store that has nothing.
    OverNothing,
    /// Over a store that is used beside it, for all that is put: [`Kind::seeded`] puts it below.
    OverAnother,
}

impl Kind {
    /// How it is called for a process of its own.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::OverNothing => "over-nothing",
            Self::OverAnother => "over-another",
        }
    }

    pub(super) fn named(name: &str) -> Self {
        let all = [Self::Directory, Self::OverNothing, Self::OverAnother];
        all.into_iter().find(|kind| kind.name() == name).unwrap()
    }

    /// The store at a place, which is the same for whoever opens it there.
    pub(super) fn open(self, place: &Path) -> Arc<dyn Objects> {
        let directory = |name| -> Arc<dyn Objects> { Arc::new(DirectoryObjects::open(&place.join(name)).unwrap()) };
        let to_read = || Arc::new(DirectoryObjects::open_to_read(&place.join("below")).unwrap());
        match self {
            Self::Directory => directory("a store"),
            Self::OverNothing | Self::OverAnother => Arc::new(Overlay::new(to_read(), directory("above"))),
        }
    }

    /// Where an object is put that was there before anything else: for [`Kind::OverAnother`], in the store below.
    pub(super) fn seeded(self, place: &Path) -> Arc<dyn Objects> {
        match self {
            Self::OverAnother => Arc::new(DirectoryObjects::open(&place.join("below")).unwrap()),
            _ => self.open(place),
        }
    }
}
