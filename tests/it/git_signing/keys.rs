//! Keys and certificates for tests, made when they begin, by the programs that people make them with.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// An ed25519 key in a folder; its public part is beside it.
pub(crate) fn ssh_key(folder: &Path, name: &str, passphrase: &str) -> PathBuf {
    let key = folder.join(name);
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", passphrase, "-C", name, "-f"])
        .arg(&key)
        .stdin(Stdio::null())
        .status();
    assert!(made.unwrap().success());
    key
}

/// Whether a program of GnuPG is installed; says so where it is not.
#[expect(clippy::print_stderr, reason = "who reads the tests' output is to know that something was left out")]
pub(super) fn gnupg_is_here(program: &str) -> bool {
    let is_here = Command::new(program).arg("--version").output().is_ok_and(|output| output.status.success());
    if !is_here {
        eprintln!("left out: {program} is not installed");
    }
    is_here
}

/// A folder of GnuPG with an agent of its own, which ends with it.
pub(super) struct Gnupg(tempfile::TempDir);

impl Gnupg {
    /// A folder without keys.
    pub(super) fn empty() -> Self {
        // A short path: that of the agent's socket is bounded.
        let folder = tempfile::Builder::new().prefix("gpg").tempdir_in("/tmp").unwrap();
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        Self(folder)
    }

    pub(super) fn with_a_key(user: &str, passphrase: &str) -> Self {
        let gnupg = Self::empty();
        let quick = ["--batch", "--pinentry-mode", "loopback", "--passphrase", passphrase, "--quick-gen-key", user];
        gnupg.run("gpg", &[&quick[..], &["ed25519", "sign", "never"]].concat(), "");
        // The agent forgets the passphrase that it was just told.
        gnupg.run("gpgconf", &["--kill", "gpg-agent"], "");
        gnupg
    }

    /// A certificate that vouches for itself, and its fingerprint.
    pub(super) fn with_a_certificate() -> (Self, String) {
        let gnupg = Self::empty();
        std::fs::write(gnupg.0.path().join("gpg-agent.conf"), "allow-loopback-pinentry\n").unwrap();
        std::fs::write(gnupg.0.path().join("gpgsm.conf"), "disable-crl-checks\ndisable-dirmngr\n").unwrap();
        let wish = "Key-Type: RSA\nKey-Length: 2048\nKey-Usage: sign\nSerial: random\nName-DN: CN=Tidegate\n\
                    Name-Email: tidegate@example.org\nHash-Algo: SHA256\n%no-protection\n";
        let loopback = ["--batch", "--pinentry-mode", "loopback", "--passphrase-fd", "0"];
        let wishes = gnupg.0.path().join("wish");
        std::fs::write(&wishes, wish).unwrap();
        let certificate = gnupg.0.path().join("certificate.pem");
        let paths = [certificate.to_str().unwrap(), wishes.to_str().unwrap()];
        let generate = ["--armor", "--output", paths[0], "--generate-key", paths[1]];
        gnupg.run("gpgsm", &[&loopback[..], &generate[..]].concat(), "\n");
        gnupg.run("gpgsm", &["--batch", "--import", paths[0]], "");
        let listed = gnupg.run("gpgsm", &["--batch", "--with-colons", "--list-secret-keys"], "");
        let fingerprint = listed.lines().find_map(|line| line.strip_prefix("fpr:")).unwrap();
        let fingerprint = fingerprint.trim_matches(':').split(':').next().unwrap().to_owned();
        std::fs::write(gnupg.0.path().join("trustlist.txt"), format!("{fingerprint} S relax\n")).unwrap();
        gnupg.run("gpgconf", &["--kill", "gpg-agent"], "");
        (gnupg, fingerprint)
    }

    pub(super) fn home(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    pub(super) fn environment(&self) -> Vec<(String, String)> {
        vec![("GNUPGHOME".to_owned(), self.home().to_owned())]
    }

    pub(super) fn run(&self, program: &str, arguments: &[&str], input: &str) -> String {
        use std::io::Write as _;
        let mut command = Command::new(program);
        command.args(arguments).env("GNUPGHOME", self.home()).env("LC_ALL", "C");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // One that reads nothing has ended already.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

impl Drop for Gnupg {
    fn drop(&mut self) {
        let mut end = Command::new("gpgconf");
        // One that is not there needs no end.
        let _ = end.args(["--kill", "all"]).env("GNUPGHOME", self.home()).status();
    }
}
