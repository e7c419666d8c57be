//! Takes secrets out of what commands print. A secret is looked for as it is, line by line where it has several, and in the
//! forms that programs print it in: base64, and as part of a URL or of JSON. It is found also where it comes in pieces.

use std::io::{self, Read};

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};

/// What stands where a secret was.
const IN_ITS_PLACE: &[u8] = b"***";
/// The shortest line of a secret that is looked for: shorter ones are in every text.
const SHORTEST_LINE_BYTES: usize = 8;

/// The secrets that are taken out of one stream.
#[derive(Default)]
pub(super) struct Redaction {
    finder: Option<AhoCorasick>,
    /// How long the longest form of a secret is, in bytes.
    longest: usize,
    /// What may be the beginning of a secret.
    held: Vec<u8>,
    /// Whether one was found.
    pub(super) found: bool,
}

impl Redaction {
    /// Looks for these.
    pub(super) fn of<'secret>(secrets: impl IntoIterator<Item = &'secret [u8]>) -> Self {
        let forms: Vec<Vec<u8>> = secrets.into_iter().flat_map(forms).collect();
        let longest = forms.iter().map(Vec::len).max().unwrap_or_default();
        let finder = AhoCorasick::builder().match_kind(MatchKind::LeftmostLongest).build(&forms);
        let finder = finder.ok().filter(|_| !forms.is_empty());
        Self { finder, longest, held: Vec::new(), found: false }
    }

    /// Hands on what came before and cannot be part of a secret any more, and what stands in the place of those that were.
    pub(super) fn add(&mut self, bytes: &[u8], out: impl FnMut(&[u8])) {
        self.held.extend_from_slice(bytes);
        let sure = (self.held.len() + 1).saturating_sub(self.longest.max(1));
        self.hand_on(sure, out);
    }

    /// Hands on the rest.
    pub(super) fn end(&mut self, out: impl FnMut(&[u8])) {
        self.hand_on(self.held.len(), out);
    }

    /// Whether there is one in what is read, to its end.
    pub(super) fn search(&mut self, mut from: impl Read) -> io::Result<bool> {
        let mut buffer = vec![0; 64 * 1024];
        while !self.found {
            match from.read(&mut buffer)? {
                0 => {
                    self.end(|_| ());
                    break;
                }
                length => self.add(&buffer[..length], |_| ()),
            }
        }
        Ok(self.found)
    }

    /// Hands on what begins before `sure`: whatever begins there has come whole.
    fn hand_on(&mut self, sure: usize, mut out: impl FnMut(&[u8])) {
        let mut from = 0;
        for found in self.finder.iter().flat_map(|finder| finder.find_iter(&self.held)) {
            if found.start() >= sure {
                break;
            }
            out(&self.held[from..found.start()]);
            out(IN_ITS_PLACE);
            (from, self.found) = (found.end(), true);
        }
        if from < sure {
            out(&self.held[from..sure]);
            from = sure;
        }
        self.held.drain(..from);
    }
}

/// The forms in which a secret may be printed, without those that are too short to tell anything.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let secret = secret.trim_ascii();
    let lines = secret.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let long = lines.filter(|line| line.len() >= SHORTEST_LINE_BYTES || *line == secret);
    let mut forms: Vec<Vec<u8>> = long.map(<[u8]>::to_vec).collect();
    forms.extend([STANDARD_NO_PAD.encode(secret).into_bytes(), URL_SAFE_NO_PAD.encode(secret).into_bytes()]);
    forms.push(in_url(secret));
    if let Ok(json) = serde_json::to_string(&String::from_utf8_lossy(secret)) {
        forms.push(json.trim_matches('"').as_bytes().to_vec());
    }
    forms.retain(|form| !form.is_empty());
    forms.sort_unstable();
    forms.dedup();
    forms
}

/// As RFC 3986 writes what is not reserved.
fn in_url(secret: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(secret.len());
    for byte in secret {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => text.push(*byte),
            _ => text.extend(format!("%{byte:02X}").bytes()),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn redacted(secrets: &[&str], pieces: &[&str]) -> String {
        let mut redaction = Redaction::of(secrets.iter().map(|secret| secret.as_bytes()));
        let mut text = Vec::new();
        for piece in pieces {
            redaction.add(piece.as_bytes(), |bytes| text.extend_from_slice(bytes));
        }
        redaction.end(|bytes| text.extend_from_slice(bytes));
        String::from_utf8(text).expect("whole characters went in")
    }

    #[test]
    fn a_secret_is_taken_out_wherever_the_pieces_end() {
        let text = "token=s3cr3t/Token! and s3cr3t/Token!s3cr3t/Toke";
        for first in 0..text.len() {
            for second in first..text.len() {
                let pieces = [&text[..first], &text[first..second], &text[second..]];
                assert_eq!(redacted(&["s3cr3t/Token!\n"], &pieces), "token=*** and ***s3cr3t/Toke", "{first} {second}");
            }
        }
    }

    #[test]
    fn its_other_forms_are_taken_out_too() {
        let secret = "p@ss\"word/1";
        for form in ["cEBzcyJ3b3JkLzE=", "p%40ss%22word%2F1", "p@ss\\\"word/1"] {
            let shown = redacted(&[secret], &["<", form, ">"]);
            assert!(shown == "<***>" || shown == "<***=>", "{form}: {shown}");
        }
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nab\n-----END KEY-----\n";
        assert_eq!(redacted(&[key], &["one MIIEvQIBADANBg ab"]), "one *** ab", "a line of it, but for what is short");
    }

    #[test]
    fn without_secrets_all_goes_on_at_once() {
        let mut redaction = Redaction::of([]);
        let mut text = Vec::new();
        redaction.add(b"all", |bytes| text.extend_from_slice(bytes));
        assert_eq!(text, b"all");
    }
}
