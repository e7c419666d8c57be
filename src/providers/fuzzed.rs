//! The readers of this folder, for the fuzz targets.

use crate::providers::{
    Secret, archive, document,
    forge::github::webhook::{Heard, is_signature, is_signed},
    image_builder,
};

/// What GitHub delivers: the event in the first line, the body in the others. What is kept of it is short, and is read again as it
/// was.
pub(crate) fn deliveries(bytes: &[u8]) {
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let (event, body) = (String::from_utf8_lossy(&bytes[..end]), bytes.get(end + 1..).unwrap_or_default());
    assert!(!is_signed(&[Secret::new("a secret")], body, &event), "nobody knows the secret");
    let _ = is_signature(&event);
    let Ok(Some(heard)) = Heard::read(&event, body) else { return };
    let kept = serde_json::to_string(&heard).expect("plain values always serialise");
    assert!(kept.len() < 64 * 1024, "{} bytes are kept", kept.len());
    assert_eq!(serde_json::from_str::<Heard>(&kept).ok(), Some(heard));
}

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
