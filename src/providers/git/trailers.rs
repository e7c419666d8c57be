//! The trailers of commits: what ours are called, and how any are read.

/// The trailer by which a commit of ours is found again.
pub const KEY_TRAILER: &str = "Tidegate-Key";
/// The trailers that say for which system, and in which repository as its rules call it, a commit of ours was made.
pub const SYSTEM_TRAILER: &str = "Tidegate-System";
/// See [`SYSTEM_TRAILER`].
pub const REPOSITORY_TRAILER: &str = "Tidegate-Repository";
/// The trailer of a way back that names the commit whose content comes back. It says what is in the commit, together with
/// the next: its history says too much.
pub const RESTORES_TRAILER: &str = "Tidegate-Restores-Commit";
/// The trailer of a way back that names the commit whose content goes away.
pub const TAKES_AWAY_TRAILER: &str = "Tidegate-Takes-Away";
/// Of which commits the artifact is that a commit pins, as `repository@commit`; one for each repository.
pub const MADE_FROM_TRAILER: &str = "Tidegate-Made-From";
/// The trailer that proves a commit to be ours: always the last line.
pub const PROOF_TRAILER: &str = "Tidegate-Proof";

/// The trailers of a message: the lines of its last paragraph, if all of them are `Name: value`.
pub(super) fn read(message: &str) -> Vec<(String, String)> {
    let text = message.trim_end().replace("\r\n", "\n");
    let Some((_, last)) = text.rsplit_once("\n\n") else { return Vec::new() };
    let trailer = |line: &str| {
        let (name, value) = line.split_once(':')?;
        let named = !name.is_empty() && name.chars().all(|each| each.is_ascii_alphanumeric() || each == '-');
        named.then(|| (name.to_owned(), value.trim().to_owned()))
    };
    last.lines().map(trailer).collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn trailers_are_the_last_paragraph_and_nothing_else() {
        let message = "Pin software\n\nNote: not this one\n\nTidegate-Run: 7\nTidegate-Key: k/1\n";
        let expected = [("Tidegate-Run", "7"), ("Tidegate-Key", "k/1")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(read(message), expected);
        assert!(read("Tidegate-Key: in the subject").is_empty());
        assert!(read("subject\n\nTidegate-Key: k\nis quoted here").is_empty());
    }
}
