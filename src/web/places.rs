//! How much goes on at once: of one person, and of all.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Places, so many for each person.
pub(super) struct PerPerson {
    most: usize,
    taken: Mutex<BTreeMap<String, Arc<Semaphore>>>,
}

impl PerPerson {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: Mutex::default() }
    }

    /// A place for somebody; none where they have as many as there are.
    pub(super) fn take(&self, of: String) -> Option<OwnedSemaphorePermit> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.retain(|_, places| places.available_permits() < self.most);
        let places = taken.entry(of).or_insert_with(|| Arc::new(Semaphore::new(self.most)));
        Arc::clone(places).try_acquire_owned().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::PerPerson;

    #[test]
    fn one_person_takes_no_place_of_another() {
        let places = PerPerson::new(2);
        let take = |of: &str| places.take(of.to_owned());
        let (first, second) = (take("ada"), take("ada"));
        assert!(first.is_some() && second.is_some() && take("ada").is_none());
        assert!(take("grace").is_some());
        drop(first);
        assert!(take("ada").is_some());
    }
}
