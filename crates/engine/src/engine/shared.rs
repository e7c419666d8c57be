//! A value that its copies share until one of them changes: facts, state and history have most of what they hold in common.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    sync::Arc,
};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A value that is copied only when one of those who share it changes it. As JSON, it is the value alone.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Shared<T>(Arc<T>);

impl<T> Shared<T> {
    /// Takes a value.
    #[must_use]
    pub fn new(value: T) -> Self {
        Self(Arc::new(value))
    }

    /// Whether both are one value in memory. Of two that are not, the values may still be equal.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: Default + PartialEq> Shared<T> {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self.0 == T::default()
    }
}

impl<T> Clone for Shared<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T: Default> Default for Shared<T> {
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: PartialEq> PartialEq for Shared<T> {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) || *self.0 == *other.0
    }
}

impl<T: Eq> Eq for Shared<T> {}

impl<T> Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: Clone> DerefMut for Shared<T> {
    fn deref_mut(&mut self) -> &mut T {
        Arc::make_mut(&mut self.0)
    }
}

impl<T> From<T> for Shared<T> {
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<K: Ord, V, const N: usize> From<[(K, V); N]> for Shared<BTreeMap<K, V>> {
    fn from(pairs: [(K, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<A, T: FromIterator<A>> FromIterator<A> for Shared<T> {
    fn from_iter<I: IntoIterator<Item = A>>(items: I) -> Self {
        Self::new(items.into_iter().collect())
    }
}

impl<'shared, T> IntoIterator for &'shared Shared<T>
where
    &'shared T: IntoIterator,
{
    type Item = <&'shared T as IntoIterator>::Item;
    type IntoIter = <&'shared T as IntoIterator>::IntoIter;

    fn into_iter(self) -> Self::IntoIter {
        (&*self.0).into_iter()
    }
}

impl<T: IntoIterator + Clone> IntoIterator for Shared<T> {
    type Item = T::Item;
    type IntoIter = T::IntoIter;

    fn into_iter(self) -> T::IntoIter {
        Arc::unwrap_or_clone(self.0).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_one_value_until_one_changes() {
        let one: Shared<Vec<u8>> = [1, 2].into_iter().collect();
        let mut other = one.clone();
        assert!(one.is_same(&other));
        other.push(3);
        assert_eq!((one.as_slice(), other.as_slice()), ([1, 2].as_slice(), [1, 2, 3].as_slice()));
        let place = other.as_ptr();
        other[0] = 0;
        assert_eq!(other.as_ptr(), place, "nobody shares it any more, so it is changed where it is");
    }

    #[test]
    fn as_json_it_is_the_value_alone() {
        let shared = Shared::from(BTreeMap::from([("a".to_owned(), 1)]));
        assert_eq!(serde_json::json!(shared), serde_json::json!({"a": 1}));
        assert_eq!(serde_json::from_str(r#"{"a":1}"#).ok(), Some(shared));
    }
}
