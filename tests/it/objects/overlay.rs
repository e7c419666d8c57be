//! A store over another, which is only read.

use std::sync::Arc;

use tidegate::providers::objects::{DirectoryObjects, Objects, Overlay, Source};

#[tokio::test]
async fn what_is_put_over_another_store_leaves_it_as_it_was() {
    let place = tempfile::tempdir().unwrap();
    let below = Arc::new(DirectoryObjects::open(&place.path().join("below")).unwrap());
    below.put("index", Source::Bytes(b"one")).await.unwrap();
    let above = Arc::new(DirectoryObjects::open(&place.path().join("above")).unwrap());
    let store = Overlay::new(below.clone(), above);
    let (_, seen) = store.get_version("index").await.unwrap().unwrap();
    assert!(store.put_if_unchanged("index", Some(&seen), b"two").await.unwrap());
    let stored = store.put("new", Source::Bytes(b"new")).await.unwrap();
    assert_eq!(stored.uri, below.uri("new").unwrap(), "the URI that it would have below");
    assert_eq!(store.get(&stored.uri).await.unwrap(), b"new");
    assert_eq!((store.get("index").await.unwrap(), below.get("index").await.unwrap()), (b"two".into(), b"one".into()));
    assert_eq!(below.list("").await.unwrap(), ["index"]);
    // What comes below meanwhile is there, unless it was put above.
    below.put("late", Source::Bytes(b"late")).await.unwrap();
    below.put("index", Source::Bytes(b"other")).await.unwrap();
    assert_eq!((store.get("late").await.unwrap(), store.get("index").await.unwrap()), (b"late".into(), b"two".into()));
}

#[tokio::test]
async fn a_store_that_is_not_there_is_read_as_empty_and_not_made() {
    let place = tempfile::tempdir().unwrap();
    let below = DirectoryObjects::open_to_read(&place.path().join("below")).unwrap();
    assert!(below.list("").await.unwrap().is_empty() && !below.exists("name").await.unwrap());
    assert_eq!(below.get_version("name").await.unwrap(), None);
    let above = DirectoryObjects::open(&place.path().join("above")).unwrap();
    let store = Overlay::new(Arc::new(below), Arc::new(above));
    store.put("name", Source::Bytes(b"bytes")).await.unwrap();
    assert_eq!(store.list("").await.unwrap(), ["name"]);
    assert!(!place.path().join("below").exists());
}
