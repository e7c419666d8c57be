//! What git prints while it works, parted into how far it is (`Receiving objects:  37% (…)`, `remote: Counting objects: …`), which is
//! shown and forgotten, and what it complains of, which is kept.

/// How much of its complaints is kept; more than any person reads.
const MOST_BYTES: usize = 1 << 20;

/// How lines begin that say how far it is (progress.c, pack-objects, index-pack, and what forges send).
const PROGRESS: [&str; 13] = [
    "Enumerating objects:",
    "Counting objects:",
    "Compressing objects:",
    "Receiving objects:",
    "Resolving deltas:",
    "Unpacking objects:",
    "Writing objects:",
    "Finding sources:",
    "Getting sizes:",
    "Checking connectivity:",
    "Total ",
    "Delta compression using ",
    "Filtering content:",
];
/// Those whose numbers need no title: they are what a person waits for.
const TRANSFER: [&str; 3] = ["Receiving objects", "Unpacking objects", "Writing objects"];

/// The standard error of a git process.
#[derive(Debug, Default)]
pub(super) struct Said {
    complaint: Vec<u8>,
    line: Vec<u8>,
}

impl Said {
    /// Takes in what was read; returns the newest that it says of how far it is.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Option<String> {
        let mut newest = None;
        for byte in bytes {
            if matches!(byte, b'\n' | b'\r') {
                newest = self.end_line().or(newest);
            } else if self.line.len() < MOST_BYTES {
                self.line.push(*byte);
            }
        }
        newest
    }

    /// What it complained of.
    pub(super) fn complaint(mut self) -> String {
        self.end_line();
        String::from_utf8_lossy(&self.complaint).trim().to_owned()
    }

    fn end_line(&mut self) -> Option<String> {
        let line = std::mem::take(&mut self.line);
        let text = String::from_utf8_lossy(&line);
        let text = text.trim_end();
        let plain = text.strip_prefix("remote:").unwrap_or(text).trim();
        if PROGRESS.iter().any(|title| plain.starts_with(title)) {
            return Some(shown(plain));
        }
        if !is_noise(text) && self.complaint.len() + text.len() < MOST_BYTES {
            self.complaint.extend(text.bytes().chain([b'\n']));
        }
        None
    }
}

/// Lines of a fetch or push that succeeded with a ref: `From …`, ` * [new ref] dev -> …`, and empty ones.
fn is_noise(line: &str) -> bool {
    let is_ref = line.starts_with(' ') && line.contains(" -> ") && !line.trim_start().starts_with('!');
    line.is_empty() || line.starts_with("From ") || is_ref
}

/// How far it is, as people read it.
fn shown(line: &str) -> String {
    let (title, rest) = line.split_once(':').unwrap_or((line, ""));
    let percent = rest.split_once('%').map(|(percent, _)| format!("{} %", percent.trim()));
    let bytes = rest.split_once("), ").map(|(_, more)| more.split(['|', ',']).next().unwrap_or_default().trim());
    let bytes = bytes.filter(|bytes| bytes.starts_with(|first: char| first.is_ascii_digit())).map(str::to_owned);
    let count = rest.trim().split([',', ' ']).next().filter(|count| !count.is_empty()).map(str::to_owned);
    let numbers: Vec<String> = percent.or(count).into_iter().chain(bytes).collect();
    let numbers = numbers.join(", ");
    if TRANSFER.contains(&title) { numbers } else { format!("{} {numbers}", title.to_lowercase()).trim().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_far_it_is_is_told_from_what_it_complains_of() {
        let mut said = Said::default();
        assert_eq!(
            said.take(b"remote: Counting objects:  50% (5/10)   \rremote: Countin").as_deref(),
            Some("counting objects 50 %")
        );
        assert_eq!(said.take(b"g objects: 100% (10/10), done.\n").as_deref(), Some("counting objects 100 %"));
        let receiving = b"Receiving objects:  37% (370/1000), 120.00 MiB | 5.00 MiB/s\r";
        assert_eq!(said.take(receiving).as_deref(), Some("37 %, 120.00 MiB"));
        assert_eq!(said.take(b"remote: Enumerating objects: 12, done.\n").as_deref(), Some("enumerating objects 12"));
        assert_eq!(said.take(b"From http://host/x\n * [new ref]  dev -> refs/tidegate/fetch/1/dev\n"), None);
        assert_eq!(said.take(b" ! [rejected] dev -> x (shallow update not allowed)\nfatal: oh\r\nno"), None);
        assert_eq!(said.complaint(), "! [rejected] dev -> x (shallow update not allowed)\nfatal: oh\nno");
    }
}
