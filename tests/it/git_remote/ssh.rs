//! A real sshd on loopback: keys, host keys, a host that is down, one that says nothing.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tidegate::providers::Fault;
use tidegate::providers::git::{Mirrors, NO_LIMIT};

use super::{CONFIG, commit_of, impatient, mirrors_with, tag};
use crate::git::{SOON, failure};
use crate::support::repo::TestRepo;

/// The server's program, which needs its full path; none where it is not installed, and the tests say so.
fn sshd() -> Option<PathBuf> {
    let found = ["/usr/sbin/sshd", "/usr/local/sbin/sshd", "/sbin/sshd"]
        .into_iter()
        .map(PathBuf::from)
        .find(|path| path.exists());
    if found.is_none() {
        println!("left out: there is no sshd (openssh-server)");
    }
    found
}

/// An sshd that lets in who has one key.
struct Sshd {
    child: Child,
    port: u16,
    folder: PathBuf,
}

fn keygen(path: &Path) {
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(path).status().unwrap();
    assert!(made.success());
}

impl Sshd {
    fn start(folder: &Path) -> Option<Self> {
        let program = sshd()?;
        // Root's sshd wants a folder of its own.
        drop(std::fs::create_dir_all("/run/sshd"));
        let folder = folder.join("ssh");
        std::fs::create_dir(&folder).unwrap();
        for key in ["host", "client", "stranger"] {
            keygen(&folder.join(key));
        }
        std::fs::copy(folder.join("client.pub"), folder.join("authorized")).unwrap();
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let at = folder.display();
        let settings = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {at}/host\nAuthorizedKeysFile {at}/authorized\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n"
        );
        std::fs::write(folder.join("sshd_config"), settings).unwrap();
        let mut command = Command::new(program);
        command.args(["-D", "-e", "-f"]).arg(folder.join("sshd_config"));
        let child = command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let sshd = Self { child, port, folder };
        let deadline = Instant::now() + SOON;
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < deadline, "sshd does not listen");
            std::thread::sleep(Duration::from_millis(20));
        }
        let host = std::fs::read_to_string(sshd.folder.join("host.pub")).unwrap();
        std::fs::write(sshd.folder.join("known"), format!("[127.0.0.1]:{port} {host}")).unwrap();
        Some(sshd)
    }

    fn url(&self, remote: &TestRepo) -> String {
        let user = String::from_utf8(Command::new("id").arg("-un").output().unwrap().stdout).unwrap();
        format!("ssh://{}@127.0.0.1:{}{}", user.trim(), self.port, remote.url())
    }

    /// Mirrors whose ssh has this key and knows these hosts.
    fn mirrors(&self, root: &Path, key: &str, known: &str) -> Mirrors {
        let at = self.folder.display();
        let command = format!(
            "ssh -F none -o IdentitiesOnly=yes -o IdentityAgent=none -i {at}/{key} -o UserKnownHostsFile={at}/{known} -o StrictHostKeyChecking=yes"
        );
        mirrors_with(root, |options| options.environment.push(("GIT_SSH_COMMAND".to_owned(), command)))
    }
}

impl Drop for Sshd {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_ssh_a_key_is_let_in_and_every_refusal_says_what_to_do() {
    let root = tempfile::tempdir().unwrap();
    let Some(sshd) = Sshd::start(root.path()) else { return };
    let remote = TestRepo::with(root.path().join("image.git"), "dev", &[("config.json", CONFIG)]);
    let (url, dev) = (sshd.url(&remote), ["dev".to_owned()]);
    let mirror = sshd.mirrors(root.path(), "client", "known").mirror(&url).unwrap();
    assert_eq!(mirror.heads(&dev, SOON).await.unwrap()["dev"], remote.head("dev"));
    let commit = commit_of(mirror.forward(&tag("dev", "run-1", "v2"), SOON).await.unwrap());
    assert_eq!(remote.head("dev"), Some(commit));

    let (error, hint) =
        failure(sshd.mirrors(root.path(), "stranger", "known").mirror(&url).unwrap().heads(&dev, SOON).await);
    assert!(error.contains("Permission denied (publickey"), "{error}");
    assert!(hint.contains("ssh key") && hint.contains("GIT_SSH_COMMAND"), "{hint}");

    std::fs::write(sshd.folder.join("nobody"), "").unwrap();
    let (error, hint) =
        failure(sshd.mirrors(root.path(), "client", "nobody").mirror(&url).unwrap().heads(&dev, SOON).await);
    assert!(error.contains("Host key verification failed") && hint.contains("add the host's key"), "{error}; {hint}");

    let other = std::fs::read_to_string(sshd.folder.join("stranger.pub")).unwrap();
    std::fs::write(sshd.folder.join("other"), format!("[127.0.0.1]:{} {other}", sshd.port)).unwrap();
    let (error, hint) =
        failure(sshd.mirrors(root.path(), "client", "other").mirror(&url).unwrap().heads(&dev, SOON).await);
    let first = error.lines().next().unwrap();
    assert!(
        first.contains("IDENTIFICATION HAS CHANGED") && hint.contains("make sure that it is the right host"),
        "{error}"
    );
    assert!(error.lines().count() > 5, "the whole banner stands below it");

    let absent = format!("{url}-absent");
    let (error, hint) =
        failure(sshd.mirrors(root.path(), "client", "known").mirror(&absent).unwrap().heads(&dev, SOON).await);
    assert!(hint.contains("correct the repository's URL"), "{error}; {hint}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_is_down_or_says_nothing_is_tried_again() {
    let root = tempfile::tempdir().unwrap();
    let Some(sshd) = Sshd::start(root.path()) else { return };
    let remote = TestRepo::with(root.path().join("image.git"), "dev", &[("config.json", CONFIG)]);
    let (url, dev) = (sshd.url(&remote), ["dev".to_owned()]);
    // With the ssh command that is ours.
    let mirrors = impatient(root.path(), Duration::from_secs(2));
    drop(sshd);
    let outcome = mirrors.mirror(&url).unwrap().heads(&dev, NO_LIMIT).await;
    let Err(Fault::Retry { error, .. }) = outcome else { panic!("{outcome:?}") };
    assert!(error.lines().next().unwrap().contains("Connection refused"), "{error}");
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ssh://git@{}/image.git", silent.local_addr().unwrap());
    let begun = Instant::now();
    let outcome = mirrors.mirror(&url).unwrap().heads(&dev, NO_LIMIT).await;
    assert!(matches!(&outcome, Err(Fault::Retry { .. })), "{outcome:?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}
