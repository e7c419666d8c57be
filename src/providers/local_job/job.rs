//! One job: a folder with everything of it, named by its key, and the process that runs from it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::providers::act::ActState;
use crate::providers::detached::{self, Detached};
use crate::providers::sandbox::{Room, Sandbox};
use crate::providers::{Fault, files, search_path};

/// For another that starts a job of the same target.
pub(super) const LOCK_WAIT: Duration = Duration::from_secs(30);
const RECORD: &str = "job.json";
const EXIT: &str = "exit";
const CANCELLING: &str = "cancelling";
const LOG: &str = "log.txt";
const OUTPUTS: &str = "outputs.json";
const BUNDLE: &str = "bundle";
/// How much of what a job printed is kept in the log of its step.
const LOG_BYTES: u64 = 256 * 1024;
/// How much a job may give to later steps.
const OUTPUT_BYTES: u64 = 64 * 1024;
/// Runs the command, and writes down how it ended, also when it is told to end: then it waits for the command first.
const RECORDER: &str = r#"trap : TERM; "$@"; code=$?
printf '%s\n' "$code" > "$0.partial" && mv "$0.partial" "$0""#;

/// A job to run.
#[derive(Debug, Clone)]
pub struct JobRequest {
    /// The identity of this job: the same key again is the same job.
    pub key: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// Its variables.
    pub variables: Map<String, Value>,
    /// Whether it may use the network.
    pub network: bool,
    /// What the tree is of that it runs in: the same name is the same tree.
    pub commit: String,
    /// Where that tree lies until the job begins, which takes it: on the same file system as the jobs.
    pub tree: PathBuf,
    /// What somebody brought for it, where it lies until the job begins, and its digest.
    pub bundle: Option<(PathBuf, String)>,
    /// How long it may take to end by itself when it is cancelled.
    pub grace: Duration,
}

/// What a job is, as its folder says it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Record {
    key: String,
    command: Vec<String>,
    variables: Map<String, Value>,
    network: bool,
    commit: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bundle: Option<String>,
    grace_ms: u64,
}

impl JobRequest {
    fn record(&self) -> Record {
        Record {
            key: self.key.clone(),
            command: self.command.clone(),
            variables: self.variables.clone(),
            network: self.network,
            commit: self.commit.clone(),
            bundle: self.bundle.as_ref().map(|(_, digest)| digest.clone()),
            grace_ms: u64::try_from(self.grace.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// A job's folder.
pub(super) struct Job {
    pub(super) directory: PathBuf,
}

impl Job {
    pub(super) fn name(&self) -> String {
        self.directory.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    /// Whether its process was ever to be started.
    pub(super) fn has_begun(&self) -> bool {
        self.file(RECORD).exists()
    }

    pub(super) fn is_being_cancelled(&self) -> bool {
        self.file(CANCELLING).exists()
    }

    pub(super) async fn runs(&self) -> Result<bool, Fault> {
        Ok(!self.file(EXIT).exists() && detached::find(&self.directory).await?.is_some())
    }

    fn record(&self) -> Result<Option<Record>, Fault> {
        files::read_json(&self.file(RECORD))
    }

    /// Starts it, unless that was done. The caller holds the lock of the target.
    pub(super) async fn start(&self, request: &JobRequest, sandbox: &Sandbox) -> Result<(), Fault> {
        let wanted = request.record();
        match self.record()? {
            Some(found) if found != wanted => {
                return Err(Fault::fail(
                    format!("the key {} was used for another job", request.key),
                    "one key is one command with its variables and its tree; derive the key from all of them",
                ));
            }
            // Its process may have ended already, by itself or with the machine: it is not begun twice.
            Some(_) if self.file("process.stat").exists() || self.file(EXIT).exists() => return Ok(()),
            _ => {}
        }
        let (work, home, out) = (self.file("work"), self.file("home"), self.file("out"));
        for folder in [&work, &home, &out] {
            files::remove_directory(folder)?;
            files::create_directory(folder)?;
        }
        fs::rename(&request.tree, &work).map_err(|error| files::fault("take the tree of a job", &error))?;
        if let Some((bundle, _)) = &request.bundle {
            fs::rename(bundle, self.file(BUNDLE)).map_err(|error| files::fault("take the bundle of a job", &error))?;
        }
        files::write_json(&self.file("variables.json"), &request.variables)?;
        files::write_json(&self.file(RECORD), &wanted)?;
        self.run(request, sandbox, (&work, &home, &out)).await
    }

    async fn run(
        &self,
        request: &JobRequest,
        sandbox: &Sandbox,
        (work, home, out): (&Path, &Path, &Path),
    ) -> Result<(), Fault> {
        let (nothing, variables) = (BTreeMap::new(), self.file("variables.json"));
        let path = |path: &Path| path.display().to_string();
        let bundle = self.file(BUNDLE);
        let mut environment = BTreeMap::from([
            ("PATH".to_owned(), search_path::search_path()),
            ("LANG".to_owned(), "C.UTF-8".to_owned()),
            ("HOME".to_owned(), path(home)),
            ("TMPDIR".to_owned(), path(home)),
            ("TIDEGATE_KEY".to_owned(), request.key.clone()),
            ("TIDEGATE_VARIABLES".to_owned(), path(&variables)),
            ("TIDEGATE_OUTPUTS".to_owned(), path(&out.join(OUTPUTS))),
        ]);
        let (writable, mut readable) = ([work, home, out], vec![(variables.as_path(), variables.clone())]);
        if request.bundle.is_some() {
            environment.insert("TIDEGATE_BUNDLE".to_owned(), path(&bundle));
            readable.push((bundle.as_path(), bundle.clone()));
        }
        let room = Room {
            directory: work,
            writable: &writable,
            elsewhere: &[],
            readable: &readable,
            network: request.network,
            environment: &environment,
        };
        let mut line: Vec<OsString> = ["sh", "-c", RECORDER].map(OsString::from).to_vec();
        line.push(self.file(EXIT).into_os_string());
        line.extend(sandbox.around(&request.command, &room));
        let program = Detached {
            arguments: &line,
            directory: work,
            environment: if sandbox.is_on() { &nothing } else { &environment },
            log: &self.file(LOG),
        };
        detached::start(&self.directory, &program).await
    }

    /// How it goes.
    pub(super) async fn state(&self) -> Result<ActState, Fault> {
        if self.exit()?.is_none() && detached::find(&self.directory).await?.is_some() {
            let last = files::tail(&self.file(LOG), 400);
            let last = last.lines().last().map_or_else(String::new, |line| format!(": {line}"));
            return Ok(ActState::Running(format!("the job runs{last}")));
        }
        // It may have ended between our two looks.
        let exit = self.exit()?;
        if self.is_being_cancelled() {
            return Ok(ActState::Cancelled);
        }
        let command = self.record()?.map(|record| record.command.join(" ")).unwrap_or_default();
        let log = files::tail(&self.file(LOG), LOG_BYTES).into_bytes();
        let failed =
            |reason: String, hint: &str| Ok(ActState::Failed { reason, hint: hint.to_owned(), log: log.clone() });
        match exit {
            Some(0) => match self.outputs() {
                Ok(outputs) => Ok(ActState::Done(outputs, log)),
                Err(why) => failed(why, "the job writes a JSON object of texts to the file at TIDEGATE_OUTPUTS"),
            },
            Some(code) => failed(format!("`{command}` ended with {code}"), "`tidegate logs` shows what it printed"),
            None => failed(
                format!("`{command}` was ended before it could say how: it was killed, or the machine was"),
                "look how far it came, then `tidegate retry`",
            ),
        }
    }

    fn exit(&self) -> Result<Option<i32>, Fault> {
        match fs::read_to_string(self.file(EXIT)) {
            Ok(code) => Ok(Some(code.trim().parse().unwrap_or(-1))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(files::fault("read how a job ended", &error)),
        }
    }

    /// What it gives to later steps: texts by name.
    fn outputs(&self) -> Result<Map<String, Value>, String> {
        let path = self.file("out").join(OUTPUTS);
        let told = |why: String| format!("what the job wrote to TIDEGATE_OUTPUTS cannot be used: {why}");
        let length = match fs::symlink_metadata(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Map::new()),
            Err(error) => return Err(told(error.to_string())),
            Ok(file) if !file.is_file() => return Err(told("it is no file".to_owned())),
            Ok(file) => file.len(),
        };
        if length > OUTPUT_BYTES {
            return Err(told(format!("it has {length} bytes, and {OUTPUT_BYTES} are the most")));
        }
        let text = files::read_bounded(&path, OUTPUT_BYTES).map_err(|error| told(error.to_string()))?;
        let outputs: BTreeMap<String, String> =
            serde_json::from_slice(&text).map_err(|error| told(error.to_string()))?;
        let outputs = outputs.into_iter().map(|(name, value)| (name, Value::from(value)));
        Ok(Map::from_iter([("outputs".to_owned(), Value::Object(outputs.collect()))]))
    }

    /// Ends it, if it has not ended: it is asked, and after its grace it is ended.
    pub(super) async fn cancel(&self) -> Result<(), Fault> {
        if !self.runs().await? {
            return Ok(());
        }
        files::write_atomically(&self.file(CANCELLING), b"")?;
        let grace = self.record()?.map_or(0, |record| record.grace_ms);
        detached::end(&self.directory, Duration::from_millis(grace)).await
    }
}

/// All jobs of a target.
pub(super) fn all(folder: &Path) -> Result<Vec<Job>, Fault> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(files::fault(&format!("list {}", folder.display()), &error)),
    };
    let jobs = entries.flatten().map(|entry| Job { directory: entry.path() });
    Ok(jobs.filter(Job::has_begun).collect())
}

/// Removes the oldest jobs that have ended, but for so many and this one.
pub(super) async fn forget_old(folder: &Path, kept: usize, but: &str) -> Result<(), Fault> {
    let mut ended = Vec::new();
    for job in all(folder)? {
        if job.name() != but && !job.runs().await? {
            let begun = fs::metadata(job.file(RECORD)).and_then(|file| file.modified());
            ended.push((begun.unwrap_or(SystemTime::UNIX_EPOCH), job));
        }
    }
    ended.sort_by_key(|(begun, _)| *begun);
    let surplus = ended.len().saturating_sub(kept);
    ended.iter().take(surplus).try_for_each(|(_, job)| files::remove_directory(&job.directory))
}
