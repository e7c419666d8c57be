//! Signs our commits by the programs that git signs with: `ssh-keygen`, `gpg` and `gpgsm`. What is signed holds the proof; the
//! signature is put around it. Nobody can be asked for anything here: a key that needs a passphrase which no agent knows, an
//! agent that waits for somebody, a key or program that is missing each end in a fault that says so, before a deadline.

use super::fault::shorten;
use crate::providers::Fault;
use rustix::process::{Pid, Signal, kill_process_group};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::runtime::Handle;
use tokio::time::timeout;

/// How long one signature may take. It takes milliseconds, and a second with a key in hardware.
pub const SIGNING_DEADLINE: Duration = Duration::from_secs(20);

/// The kinds of signatures that git knows (`gpg.format`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SigningFormat {
    /// By `ssh-keygen`, with a key in a file or in an agent.
    Ssh,
    /// By `gpg`.
    Openpgp,
    /// By `gpgsm`, with a certificate.
    X509,
}

impl SigningFormat {
    /// The program that signs, and that git verifies with, unless told otherwise.
    #[must_use]
    pub const fn program(self) -> &'static str {
        match self {
            Self::Ssh => "ssh-keygen",
            Self::Openpgp => "gpg",
            Self::X509 => "gpgsm",
        }
    }
}

/// What signs commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signer {
    /// The kind of signature.
    pub format: SigningFormat,
    /// A file with a key (`ssh`: the private one, or the public one of a key in an agent), or what `gpg` or `gpgsm` know the
    /// key by.
    pub key: String,
    /// The program; a plain name is looked for in `PATH`.
    pub program: PathBuf,
    /// Variables for it beside `PATH`, `HOME` and `SSH_AUTH_SOCK`, such as `GNUPGHOME`.
    pub environment: Vec<(String, String)>,
    /// How long one signature may take.
    pub deadline: Duration,
}

impl Signer {
    /// Signs some bytes: the armoured signature. For threads that may block, within the runtime.
    pub(super) fn sign_blocking(&self, content: &[u8]) -> Result<String, Fault> {
        let runtime = Handle::try_current();
        let runtime = runtime.map_err(|error| Fault::retry(format!("nothing can be signed now: {error}")))?;
        runtime.block_on(self.sign(content))
    }

    /// Signs some bytes: the armoured signature. `Fail` for what a person must mend, with what to do; `Retry` for an agent that
    /// does not answer.
    pub async fn sign(&self, content: &[u8]) -> Result<String, Fault> {
        let mut command = Command::new(&self.program);
        match self.format {
            SigningFormat::Ssh => command.args(["-Y", "sign", "-n", "git", "-f", &self.key]),
            SigningFormat::Openpgp | SigningFormat::X509 => {
                command.args(["--batch", "--no-tty", "--pinentry-mode", "error", "--status-fd=2", "-bsau", &self.key])
            }
        };
        command.env_clear();
        let inherited = ["PATH", "HOME", "SSH_AUTH_SOCK"].map(|name| Some((name, std::env::var_os(name)?)));
        command.envs(inherited.into_iter().flatten());
        // A question from ssh-keygen is answered with an error at once, also when we have a terminal.
        command.envs([("LC_ALL", "C"), ("SSH_ASKPASS", "false"), ("SSH_ASKPASS_REQUIRE", "force")]);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| self.not_started(&error))?;
        let group = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        let mut stdin = child.stdin.take().expect("piped above");
        let signing = async {
            // One that ends before it has read everything says why.
            let _ = stdin.write_all(content).await;
            drop(stdin);
            child.wait_with_output().await
        };
        let Ok(ended) = timeout(self.deadline, signing).await else {
            if let Some(group) = group {
                // An error means that there is nobody left to kill.
                let _ = kill_process_group(group, Signal::KILL);
            }
            return Err(Fault::retry(format!(
                "signing a commit: {} did not end within {:?}, and was killed: does its agent wait for somebody (a \
                 passphrase, a touch, a card)?",
                self.program.display(),
                self.deadline
            )));
        };
        let ended = ended.map_err(|error| Fault::retry(format!("signing a commit: {error}")))?;
        let (signature, said) = (String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
        if ended.status.success() && signature.starts_with("-----BEGIN ") {
            return Ok(signature.trim_end().to_owned());
        }
        Err(self.explain(&said))
    }

    fn not_started(&self, error: &std::io::Error) -> Fault {
        Fault::fail(
            format!("commits cannot be signed: the program '{}' cannot be run: {error}", self.program.display()),
            "install it, or name it as `program` in `[identity] signing` of tidegate.toml",
        )
    }

    /// What the complaint of a program means to a person.
    fn explain(&self, said: &str) -> Fault {
        let any = |phrases: &[&str]| phrases.iter().any(|phrase| said.contains(phrase));
        let name = self.program.file_name().unwrap_or(OsStr::new("it")).to_string_lossy();
        let is_news = |line: &&str| {
            !line.starts_with("[GNUPG:]") && !line.starts_with("Signing data on") && !line.trim().is_empty()
        };
        let lines: Vec<&str> = said.lines().map(str::trim).filter(is_news).collect();
        let why = if lines.is_empty() { "nothing".to_owned() } else { shorten(&lines.join("; ")) };
        let error = format!("a commit cannot be signed with the key {}: {name} said: {why}", self.key);
        let setting = "`[identity] signing` of tidegate.toml";
        if any(&["passphrase", "pinentry", "No pinentry", "Inappropriate ioctl", "INQUIRE_MAXLEN"]) {
            return Fault::fail(
                error,
                "it wants a passphrase, and nobody can be asked here: use a key without one that only the server's user can \
                 read, or load it into an agent whose socket the server is given",
            );
        }
        if any(&["are too open"]) {
            return Fault::fail(error, "make the key's file its owner's alone: `chmod 600`");
        }
        let missing =
            ["No such file", "No secret key", "secret key not available", "not found", "Not found", "invalid format"];
        if any(&missing) || any(&["Permission denied", "unusable", "No public key", "INV_SGNR", "Invalid user ID"]) {
            return Fault::fail(
                error,
                format!("give the server's user a private key that it can read, and name it as `key` in {setting}"),
            );
        }
        Fault::retry(error)
    }
}
