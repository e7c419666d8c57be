//! The readers of this folder, for the fuzz targets.

use crate::providers::{archive, document, image_builder};

/// Configuration files: the first byte says of which format.
pub(crate) fn documents(bytes: &[u8]) {
    let Some((format, text)) = bytes.split_first() else { return };
    let name = ["a.json", "a.yaml", "a.toml"][usize::from(*format) % 3];
    let _ = document::parse(name, text);
}

/// Components of images.
pub(crate) fn components(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        image_builder::read_component(text);
    }
}

/// Archives: packed or not.
pub(crate) fn archives(bytes: &[u8]) {
    let thread = format!("{:?}", std::thread::current().id());
    let folder = std::env::temp_dir().join(format!("tidegate-archives-{}-{thread}", std::process::id()));
    let (packed, target) = (folder.join("packed"), folder.join("target"));
    let _ = std::fs::remove_dir_all(&folder);
    if std::fs::create_dir_all(&folder).is_ok() && std::fs::write(&packed, bytes).is_ok() {
        let _ = archive::unpack(&packed, &target);
        let beside = std::fs::read_dir(&folder).map_or(0, Iterator::count);
        assert!(beside <= 2, "something was written outside");
    }
    let _ = std::fs::remove_dir_all(&folder);
}
