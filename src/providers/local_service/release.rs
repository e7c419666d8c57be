//! One release: a directory with everything of one deployment, named by its key, and the process that runs from it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::template::Service;
use crate::providers::detached::{self, Detached, ProcessIdentity};
use crate::providers::given::SecretPlace;
use crate::providers::objects::Objects;
use crate::providers::sandbox::{Room, Sandbox};
use crate::providers::{Fault, archive, files, search_path};

/// Between SIGTERM and SIGKILL: for the requests that a service has in hand.
pub(super) const STOP_GRACE: Duration = Duration::from_secs(5);
const RECORD: &str = "deployment.json";
const FAILURE: &str = "failed.json";
const LOG: &str = "log.txt";
const LOG_EXCERPT_BYTES: u64 = 4 * 1024;

/// What a release is, as its directory says it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) key: String,
    pub(super) template_digest: String,
    pub(super) image_digest: String,
    pub(super) service: Service,
    /// Where the secrets are that it is given; nothing is kept of what they are.
    #[serde(default)]
    pub(super) secrets: Vec<SecretPlace>,
    pub(super) deadline_ms: u64,
    /// Of the process that was started last.
    pub(super) port: u16,
    /// Milliseconds since 1970.
    pub(super) started_at_ms: u64,
}

/// A release's directory.
pub(super) struct Release {
    pub(super) directory: PathBuf,
}

impl Release {
    pub(super) fn record(&self) -> Result<Option<Record>, Fault> {
        files::read_json(&self.directory.join(RECORD))
    }

    /// Why it failed, if it has.
    pub(super) fn failure(&self) -> Result<Option<String>, Fault> {
        files::read_json(&self.directory.join(FAILURE))
    }

    pub(super) fn log(&self) -> String {
        files::tail(&self.directory.join(LOG), LOG_EXCERPT_BYTES)
    }

    pub(super) async fn process(&self) -> Result<Option<ProcessIdentity>, Fault> {
        detached::find(&self.directory).await
    }

    pub(super) async fn end(&self) -> Result<(), Fault> {
        detached::end(&self.directory, STOP_GRACE).await
    }

    /// Ends what runs and remembers why.
    pub(super) async fn fail(&self, reason: &str) -> Result<(), Fault> {
        self.end().await?;
        files::write_json(&self.directory.join(FAILURE), &reason)
    }

    /// Fetches and unpacks the image, an object of a store, unless that was done, and keeps the template beside it.
    pub(super) async fn prepare(
        &self,
        (objects, image): (&dyn Objects, &str),
        digest: &str,
        template: &str,
    ) -> Result<(), Fault> {
        let root = self.root();
        if root.is_dir() {
            return Ok(());
        }
        let partial = files::with_suffix(&root, ".partial");
        files::remove_directory(&partial)?;
        let (target, packed) = (partial.clone(), files::with_suffix(&root, ".packed"));
        objects.fetch_to(image, &packed).await?;
        let unpacked = files::blocking(move || {
            let unpacked = archive::unpack(&packed, &target);
            let _ = fs::remove_file(&packed);
            unpacked
        });
        let found = unpacked.await?;
        if found != digest {
            return Err(Fault::fail(
                format!("the image has the digest {found}, expected {digest}"),
                "the object in the store was changed; bake the image again",
            ));
        }
        files::write_atomically(&self.directory.join("template.yaml"), template.as_bytes())?;
        fs::rename(&partial, &root).map_err(|error| files::fault(&format!("create {}", root.display()), &error))
    }

    /// Starts the process on a port of its own, and forgets an earlier failure.
    pub(super) async fn start(&self, record: Record, sandbox: &Sandbox) -> Result<(), Fault> {
        let record = Record { port: free_port()?, started_at_ms: now_ms(), ..record };
        // What a dead process of this release left behind.
        self.end().await?;
        files::write_json(&self.directory.join(RECORD), &record)?;
        let _ = fs::remove_file(self.directory.join(FAILURE));
        let (root, home, nothing) = (self.root(), self.directory.join("home"), BTreeMap::new());
        files::create_directory(&home)?;
        let mut command = record.service.command.clone();
        if let Some(program) = command.first_mut().filter(|program| program.contains('/')) {
            let in_image = files::below(&root, &*program)?;
            if in_image.exists() {
                *program = in_image.display().to_string();
            }
        }
        let mut environment = BTreeMap::from([
            ("PATH".to_owned(), search_path::search_path()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("HOME".to_owned(), home.display().to_string()),
            ("TMPDIR".to_owned(), home.display().to_string()),
            ("ROOT".to_owned(), root.display().to_string()),
        ]);
        environment.extend(record.service.environment.clone());
        environment.insert("PORT".to_owned(), record.port.to_string());
        // A service that nobody can ask is none: it shares the machine's network.
        let writable = [root.as_path(), home.as_path()];
        let seen = |secret: &SecretPlace| secret.seen(sandbox.is_on());
        environment
            .extend(record.secrets.iter().map(|secret| (secret.variable.clone(), seen(secret).display().to_string())));
        let readable: Vec<(&Path, PathBuf)> =
            record.secrets.iter().map(|secret| (secret.path.as_path(), seen(secret))).collect();
        let (directory, environment) = (root.as_path(), &environment);
        let room =
            Room { directory, writable: &writable, elsewhere: &[], readable: &readable, network: true, environment };
        let line = redacted(sandbox.around(&command, &room), &record.secrets, sandbox)?;
        let program = Detached {
            arguments: &line,
            directory: &root,
            environment: if sandbox.is_on() { &nothing } else { environment },
            log: &self.directory.join(LOG),
        };
        detached::start(&self.directory, &program).await
    }

    fn root(&self) -> PathBuf {
        self.directory.join("root")
    }
}

impl Record {
    pub(super) fn health_url(&self) -> String {
        let path = self.service.health_path.trim_start_matches('/');
        format!("{}/{path}", self.address())
    }

    pub(super) fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(super) fn is_overdue(&self) -> bool {
        now_ms() > self.started_at_ms.saturating_add(self.deadline_ms)
    }
}

/// The same command line, with what takes the secrets out of what it prints around it.
fn redacted(line: Vec<OsString>, secrets: &[SecretPlace], sandbox: &Sandbox) -> Result<Vec<OsString>, Fault> {
    if secrets.is_empty() {
        return Ok(line);
    }
    let program = sandbox.program.as_ref().ok_or_else(|| {
        Fault::fail("what the service prints cannot be searched for its secrets", "start `tidegate` by its path")
    })?;
    let mut redacted: Vec<OsString> = vec![program.into(), "redacted".into()];
    for secret in secrets {
        // One that cannot be read is said now, not by a service that comes up and fails.
        secret.read()?;
        redacted.extend(["--secret".into(), secret.path.clone().into()]);
    }
    redacted.push("--".into());
    redacted.extend(line);
    Ok(redacted)
}

/// All releases of an environment.
pub(super) fn releases(directory: &Path) -> Result<Vec<Release>, Fault> {
    let tried = format!("list {}", directory.display());
    let entries = fs::read_dir(directory).map_err(|error| files::fault(&tried, &error))?;
    let releases = entries.map(|entry| entry.map(|entry| Release { directory: entry.path() }));
    releases.collect::<Result<_, _>>().map_err(|error| files::fault(&tried, &error))
}

/// A port that nobody listens on now. Somebody may take it before the service does; then the service ends, which
/// is seen.
fn free_port() -> Result<u16, Fault> {
    let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|listener| listener.local_addr());
    address.map(|address| address.port()).map_err(|error| Fault::retry(format!("find a free port: {error}")))
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
