//! Folders of GnuPG for tests: keys and certificates that expire, are revoked and are somebody else's.

use std::process::{Command, Stdio};

/// Whether a program of GnuPG is installed; says so where it is not.
pub(crate) fn gnupg_is_here(program: &str) -> bool {
    is_here(program, "--version")
}

/// Whether a program is installed that answers this; says so where it is not.
#[expect(clippy::print_stderr, reason = "who reads the tests' output is to know that something was left out")]
pub(crate) fn is_here(program: &str, asked: &str) -> bool {
    let is_here = Command::new(program).arg(asked).output().is_ok_and(|output| output.status.success());
    if !is_here {
        eprintln!("left out: {program} is not installed");
    }
    is_here
}

/// A folder of GnuPG with an agent of its own, which ends with it.
pub(crate) struct Gnupg(tempfile::TempDir);

impl Gnupg {
    /// A folder without keys.
    pub(crate) fn empty() -> Self {
        // A short path: that of the agent's socket is bounded.
        let folder = tempfile::Builder::new().prefix("gpg").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        Self(folder)
    }

    pub(crate) fn with_a_key(user: &str, passphrase: &str) -> Self {
        let gnupg = Self::empty();
        let quick = ["--batch", "--pinentry-mode", "loopback", "--passphrase", passphrase, "--quick-gen-key", user];
        gnupg.run("gpg", &[&quick[..], &["ed25519", "sign", "never"]].concat(), "");
        // The agent forgets the passphrase that it was just told.
        gnupg.run("gpgconf", &["--kill", "gpg-agent"], "");
        gnupg
    }

    /// A certificate that vouches for itself, and its fingerprint.
    pub(crate) fn with_a_certificate() -> (Self, String) {
        let gnupg = Self::empty();
        gnupg.write("gpg-agent.conf", "allow-loopback-pinentry\n");
        gnupg.write("gpgsm.conf", "disable-crl-checks\ndisable-dirmngr\n");
        let fingerprint = gnupg.certify("Tidegate", "tidegate@example.org", "Key-Usage: sign\nSerial: random\n");
        gnupg.trust(&fingerprint);
        (gnupg, fingerprint)
    }

    /// Makes another key, which no passphrase protects, at a time (`20200101T000000`), and returns its fingerprint.
    pub(crate) fn generate(&self, user: &str, expires: &str, at: &str) -> String {
        let said =
            self.run("gpg", &[&quick(at)[..], &["--quick-gen-key", user, "ed25519", "sign", expires]].concat(), "");
        created(&said)
    }

    /// Gives a key a subkey, and returns its fingerprint.
    pub(crate) fn add_subkey(&self, key: &str, expires: &str, at: &str) -> String {
        let said =
            self.run("gpg", &[&quick(at)[..], &["--quick-add-key", key, "ed25519", "sign", expires]].concat(), "");
        created(&said)
    }

    /// The certificate that revokes a key, which is made with it.
    pub(crate) fn revocation(&self, key: &str) -> String {
        let path = self.0.path().join(format!("openpgp-revocs.d/{key}.rev"));
        std::fs::read_to_string(path).unwrap().replace("\n:-----", "\n-----")
    }

    /// Revokes the subkey of this number.
    pub(crate) fn revoke_subkey(&self, key: &str, number: u8) {
        let edit = ["--no-tty", "--pinentry-mode", "loopback", "--command-fd", "0", "--edit-key", key];
        self.run("gpg", &edit, &format!("key {number}\nrevkey\ny\n0\n\ny\nsave\n"));
    }

    /// Takes the public keys of another folder.
    pub(crate) fn import(&self, other: &Self, keys: &[&str]) {
        let public = other.run("gpg", &[&["--armor", "--export"], keys].concat(), "");
        self.run("gpg", &["--batch", "--import"], &public);
    }

    /// Makes a certificate with more of what `gpgsm` may be told, and returns its fingerprint.
    pub(crate) fn certify(&self, name: &str, email: &str, more: &str) -> String {
        let wish = format!(
            "Key-Type: RSA\nKey-Length: 2048\nName-DN: CN={name}\nName-Email: {email}\nHash-Algo: SHA256\n{more}%no-protection\n"
        );
        self.write("wish", &wish);
        let paths = ["certificate.pem", "wish"].map(|file| format!("{}/{file}", self.home()));
        let loopback = ["--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase-fd", "0"];
        let generate = ["--armor", "--output", &paths[0], "--generate-key", &paths[1]];
        self.run("gpgsm", &[&loopback[..], &generate[..]].concat(), "\n");
        self.run("gpgsm", &["--batch", "--import", &paths[0]], "");
        self.colons("fpr:").pop().unwrap()
    }

    /// The fingerprints (`fpr:`) or keygrips (`grp:`) of all certificates, in the order in which they were made.
    pub(crate) fn colons(&self, field: &str) -> Vec<String> {
        let listed = self.run("gpgsm", &["--batch", "--with-colons", "--with-keygrip", "--list-secret-keys"], "");
        let found = listed.lines().filter_map(|line| line.strip_prefix(field));
        found.map(|rest| rest.trim_matches(':').split(':').next().unwrap().to_owned()).collect()
    }

    /// Trusts a certificate to vouch for others.
    pub(crate) fn trust(&self, fingerprint: &str) {
        self.write("trustlist.txt", &format!("{fingerprint} S relax\n"));
        self.run("gpgconf", &["--kill", "gpg-agent"], "");
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.0.path().join(file), text).unwrap();
    }

    pub(crate) fn home(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    pub(crate) fn environment(&self) -> Vec<(String, String)> {
        vec![("GNUPGHOME".to_owned(), self.home().to_owned())]
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str], input: &str) -> String {
        self.tried(program, arguments, input).unwrap_or_else(|said| panic!("{program} {arguments:?}: {said}"))
    }

    /// The same, or what it complained of.
    pub(crate) fn tried(&self, program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
        use std::io::Write as _;
        let mut command = Command::new(program);
        command.args(arguments).env("GNUPGHOME", self.home()).env("LC_ALL", "C");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One that reads nothing has ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
    }
}

/// What makes a key without asking, at a time.
fn quick(at: &str) -> [&str; 9] {
    ["--faked-system-time", at, "--batch", "--pinentry-mode", "loopback", "--passphrase", "", "--status-fd", "1"]
}

/// The key that was made, as `gpg` says.
fn created(status: &str) -> String {
    let line = status.lines().find(|line| line.contains("KEY_CREATED")).unwrap();
    line.split_whitespace().nth(3).unwrap().to_owned()
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        let mut end = Command::new("gpgconf");
        // One that is not there needs no end.
        let _ = end.args(["--kill", "all"]).env("GNUPGHOME", self.home()).status();
    }
}
