//! Why a merge stops, by kind, in the words that people read.

use std::fmt;

/// How many paths of one kind are named.
const MOST_NAMED: usize = 20;

/// Files that could not be merged for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The reason.
    pub clash: Clash,
    /// The files, sorted, as they are shown: one that is not plain text is quoted. Empty where no file is to blame.
    pub paths: Vec<String>,
}

/// A reason; the first that a file has is the one that is said.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Clash {
    /// The histories have no common commit.
    NoCommonCommit,
    /// More files were renamed than git compares.
    TooManyRenames,
    /// The attributes name a merge driver, which would be a program of somebody's settings.
    NoDriver {
        /// Its name.
        driver: String,
        /// The attribute's file and line.
        place: Option<String>,
    },
    /// The attributes say that the file is not merged.
    NotMerged {
        /// The attribute's file and line.
        place: Option<String>,
    },
    /// A file on one side is a folder on the other.
    FileAndFolder,
    /// A file on one side is something else on the other: a link, a submodule.
    TwoTypes,
    /// Both sides moved a submodule.
    Submodule,
    /// Both sides changed where a symbolic link leads.
    Link,
    /// Both sides changed a file that is not text.
    Binary,
    /// Both sides renamed a file, to different names.
    BothRenamed,
    /// One side renamed what the other removed.
    RenamedAndRemoved,
    /// A renamed file meets another of its name.
    RenameCollides,
    /// One side renamed a folder, and files of the other have no sure place.
    FolderRenamed,
    /// One side removed what the other changed.
    ChangedAndRemoved,
    /// Both sides added a file of that name.
    BothAdded,
    /// Both sides changed the same lines.
    SameLines,
    /// What came of a file does not say what was decided of its pins.
    PinLost,
    /// What git says, where it is none of these.
    Other(String),
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let from = |place: &Option<String>| place.as_ref().map_or_else(String::new, |place| format!(" in {place}"));
        match &self.clash {
            Clash::NoCommonCommit => write!(f, "their histories have no common commit"),
            Clash::TooManyRenames => write!(f, "so many files were renamed that git does not compare them all"),
            Clash::NoDriver { driver, place } => {
                write!(f, "both sides changed a file whose merge driver Tidegate does not have (attribute `merge=")?;
                write!(f, "{driver}`{})", from(place))
            }
            Clash::NotMerged { place } => {
                write!(f, "both sides changed a file that is not merged (attribute `-merge`{})", from(place))
            }
            Clash::FileAndFolder => write!(f, "a file on one side is a folder on the other"),
            Clash::TwoTypes => write!(f, "a file on one side is of another type on the other"),
            Clash::Submodule => write!(f, "both sides moved the submodule"),
            Clash::Link => write!(f, "both sides changed where a link leads"),
            Clash::Binary => write!(f, "both sides changed a file that is not text"),
            Clash::BothRenamed => write!(f, "both sides renamed a file, to different names"),
            Clash::RenamedAndRemoved => write!(f, "one side renamed what the other removed"),
            Clash::RenameCollides => write!(f, "a renamed file meets another of its name"),
            Clash::FolderRenamed => write!(f, "one side renamed the folder of files that the other added"),
            Clash::ChangedAndRemoved => write!(f, "one side removed what the other changed"),
            Clash::BothAdded => write!(f, "both sides added a file of the same name"),
            Clash::SameLines => write!(f, "both sides changed the same lines of"),
            Clash::PinLost => write!(f, "what came of a file does not have the pins that were decided"),
            Clash::Other(said) => write!(f, "git says {said:?}"),
        }?;
        if self.paths.is_empty() {
            return Ok(());
        }
        let named = self.paths.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
        let colon = if self.clash == Clash::SameLines { "" } else { ":" };
        write!(f, "{colon} {named}")?;
        match self.paths.len().saturating_sub(MOST_NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// All of them in one line.
pub fn conflicts_said(conflicts: &[Conflict]) -> String {
    conflicts.iter().map(Conflict::to_string).collect::<Vec<_>>().join("; ")
}

/// A path as people read it: quoted when it is not plain text.
pub(super) fn shown(path: &[u8]) -> String {
    match std::str::from_utf8(path) {
        Ok(text) if !text.contains(|each: char| each.is_control() || each == '"' || each == '\\') => text.to_owned(),
        Ok(text) => format!("\"{}\"", text.escape_debug()),
        Err(_) => format!("\"{}\"", path.escape_ascii()),
    }
}
