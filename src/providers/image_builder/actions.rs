//! The actions of component steps. Paths of file actions lie below the image's root, whatever links lead away from
//! it. Source: EC2 Image Builder User Guide, "Action modules supported by AWSTOE component manager".

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::providers::given::{GivenSecret, SecretPlace};
use crate::providers::process::{self, Command};
use crate::providers::sandbox::Sandbox;
use crate::providers::{Fault, archive, files};

/// The actions that this machine can do.
pub(super) const SUPPORTED: &[&str] = &[
    "AppendFile",
    "CopyFile",
    "CopyFolder",
    "CreateFile",
    "CreateFolder",
    "CreateSymlink",
    "DeleteFile",
    "DeleteFolder",
    "ExecuteBash",
    "ExecuteBinary",
    "MoveFile",
    "MoveFolder",
    "ReadFile",
    "SetFilePermissions",
    "SetFolderPermissions",
    "Untar",
];
/// As much as is kept of what a command prints.
const OUTPUT_LIMIT_BYTES: usize = 256 * 1024;
/// The largest file that `ReadFile` reads, in bytes: what it reads becomes an output.
const MOST_READ_BYTES: u64 = 1 << 20;
const DEFAULT_FILE_MODE: u32 = 0o644;
const DEFAULT_FOLDER_MODE: u32 = 0o755;

/// Where actions take place.
pub(super) struct Stage {
    /// The image's root directory.
    pub(super) root: PathBuf,
    /// A directory for scripts and temporary files, outside of the image.
    pub(super) scratch: PathBuf,
    /// The box that commands run in.
    pub(super) sandbox: Sandbox,
    /// Whether they may use the network.
    pub(super) network: bool,
    /// The secrets that they are given.
    pub(super) secrets: Vec<SecretPlace>,
}

/// What an action gives to later steps, by the name of the output field, and to the log.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) outputs: BTreeMap<&'static str, String>,
    pub(super) log: String,
}

impl Stage {
    /// Does one action.
    pub(super) async fn act(&self, action: &str, inputs: &Value, timeout: Duration) -> Result<Outcome, Fault> {
        match action {
            "ExecuteBash" => self.execute_bash(&read(inputs)?, timeout).await,
            "ExecuteBinary" => self.execute_binary(read(inputs)?, timeout).await,
            _ => {
                let mut outcome = Outcome::default();
                // File actions take one set of inputs or a list of them.
                let list = std::slice::from_ref(inputs);
                for inputs in inputs.as_array().map_or(list, Vec::as_slice) {
                    self.act_on_file(action, &read(inputs)?, &mut outcome)?;
                }
                Ok(outcome)
            }
        }
    }

    async fn execute_bash(&self, inputs: &Bash, timeout: Duration) -> Result<Outcome, Fault> {
        let script = self.scratch.join("input.sh");
        files::write_atomically(&script, inputs.commands.join("\n").as_bytes())?;
        self.run(vec!["bash".to_owned(), script.display().to_string()], timeout).await
    }

    async fn execute_binary(&self, inputs: Binary, timeout: Duration) -> Result<Outcome, Fault> {
        // A program of the image before one of this machine.
        let in_image = files::below(&self.root, &inputs.path)?;
        let program = if in_image.exists() { in_image.display().to_string() } else { inputs.path };
        self.run([vec![program], inputs.arguments].concat(), timeout).await
    }

    /// The secrets, read anew.
    pub(super) fn given(&self) -> Result<Vec<GivenSecret>, Fault> {
        self.secrets.iter().map(SecretPlace::read).collect()
    }

    async fn run(&self, arguments: Vec<String>, timeout: Duration) -> Result<Outcome, Fault> {
        let root = self.root.display().to_string();
        let finished = process::run(&Command {
            arguments,
            sandbox: self.sandbox.clone(),
            network: self.network,
            secrets: self.given()?,
            caches: Vec::new(),
            directory: self.root.clone(),
            home: self.scratch.clone(),
            environment: BTreeMap::from([("ROOT".to_owned(), root.clone()), ("IMAGE_ROOT".to_owned(), root)]),
            stdin: None,
            deadline: timeout,
            output_limit_bytes: OUTPUT_LIMIT_BYTES,
        })
        .await?;
        let stdout = String::from_utf8_lossy(&finished.stdout).trim_end().to_owned();
        let log = format!("{stdout}\n{}", String::from_utf8_lossy(&finished.stderr)).trim().to_owned();
        if finished.succeeded() {
            return Ok(Outcome { outputs: BTreeMap::from([("stdout", stdout)]), log });
        }
        let ended = if finished.timed_out {
            format!("did not end within {} s", timeout.as_secs())
        } else {
            format!("ended with {}", finished.exit)
        };
        Err(Fault::fail(format!("the command {ended}; it said: {log}"), ""))
    }

    fn act_on_file(&self, action: &str, inputs: &File, outcome: &mut Outcome) -> Result<(), Fault> {
        let place = |path: &Option<String>, field: &str| match path {
            Some(path) => files::below(&self.root, path),
            None => Err(Fault::fail(format!("{action}: the input {field} is missing"), "add it to the step's inputs")),
        };
        let path = || place(&inputs.path, "path");
        let (source, destination) = (|| place(&inputs.source, "source"), || place(&inputs.destination, "destination"));
        let content = || inputs.content.as_deref().unwrap_or_default();
        let named = inputs.path.as_ref().or(inputs.destination.as_ref()).map_or("", String::as_str);
        let tried = format!("{action} {named}");
        let io = |result: io::Result<()>| result.map_err(|error| files::fault(&tried, &error));
        match action {
            "CreateFile" => {
                let path = self.free(path()?, inputs.overwrite.unwrap_or(true), &tried)?;
                io(fs::write(&path, content()))?;
                io(set_mode(&path, inputs.mode()?.unwrap_or(DEFAULT_FILE_MODE)))
            }
            "AppendFile" => {
                let opened = fs::OpenOptions::new().append(true).open(self.followed(&path()?)?);
                io(opened.and_then(|mut file| file.write_all(content().as_bytes())))
            }
            "ReadFile" => {
                let path = self.followed(&path()?)?;
                let bytes =
                    files::read_bounded(&path, MOST_READ_BYTES).map_err(|error| files::fault(&tried, &error))?;
                outcome.outputs.insert("content", String::from_utf8_lossy(&bytes).into_owned());
                Ok(())
            }
            "CreateFolder" => {
                let path = path()?;
                files::create_directory(&path)?;
                io(set_mode(&path, inputs.mode()?.unwrap_or(DEFAULT_FOLDER_MODE)))
            }
            "CreateSymlink" => {
                let path = self.free(path()?, inputs.force.unwrap_or(false), &tried)?;
                io(symlink(inputs.target.as_deref().unwrap_or_default(), path))
            }
            "DeleteFile" => io(fs::remove_file(path()?)),
            "DeleteFolder" if inputs.force.unwrap_or(false) => io(fs::remove_dir_all(path()?)),
            "DeleteFolder" => io(fs::remove_dir(path()?)),
            "CopyFile" | "CopyFolder" => {
                let to = self.free(destination()?, inputs.overwrite.unwrap_or(true), &tried)?;
                io(copy(&self.followed(&source()?)?, &to))
            }
            "MoveFile" | "MoveFolder" => {
                let to = self.free(destination()?, inputs.overwrite.unwrap_or(true), &tried)?;
                io(fs::rename(source()?, to))
            }
            "SetFilePermissions" | "SetFolderPermissions" => {
                let mode =
                    inputs.mode()?.ok_or_else(|| Fault::fail(format!("{tried}: no permissions"), "give them"))?;
                io(set_mode(&self.followed(&path()?)?, mode))
            }
            "Untar" => archive::unpack(&self.followed(&source()?)?, &self.followed(&destination()?)?).map(drop),
            other => Err(Fault::fail(format!("the action {other} cannot be done on this machine"), "")),
        }
    }

    /// A place whose folder exists and at which nothing lies that would be kept or followed.
    fn free(&self, path: PathBuf, overwrite: bool, tried: &str) -> Result<PathBuf, Fault> {
        if let Ok(found) = fs::symlink_metadata(&path) {
            if !overwrite {
                return Err(Fault::fail(format!("{tried}: it exists already"), "allow it with `overwrite` or `force`"));
            }
            if !found.is_dir() {
                fs::remove_file(&path).map_err(|error| files::fault(tried, &error))?;
            }
        }
        files::create_directory(path.parent().unwrap_or(&self.root))?;
        Ok(path)
    }

    /// The place with a link at its end followed, below the root.
    fn followed(&self, path: &Path) -> Result<PathBuf, Fault> {
        files::below_followed(&self.root, path.strip_prefix(&self.root).unwrap_or(path))
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bash {
    commands: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Binary {
    path: String,
    #[serde(default)]
    arguments: Vec<String>,
}

/// The inputs of all file actions; each uses its own.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    path: Option<String>,
    source: Option<String>,
    destination: Option<String>,
    target: Option<String>,
    content: Option<String>,
    permissions: Option<Value>,
    overwrite: Option<bool>,
    force: Option<bool>,
}

impl File {
    /// The permissions. They are octal digits, also where YAML reads them as a number: `0600` and `"0600"`.
    fn mode(&self) -> Result<Option<u32>, Fault> {
        let Some(permissions) = &self.permissions else { return Ok(None) };
        let mode = u32::from_str_radix(permissions.to_string().trim_matches('"'), 8).ok().filter(|mode| *mode <= 0o777);
        mode.map(Some).ok_or_else(|| {
            Fault::fail(format!("the permissions {permissions} are not octal digits up to 777"), "write them like 0644")
        })
    }
}

fn read<T: DeserializeOwned>(inputs: &Value) -> Result<T, Fault> {
    serde_json::from_value(inputs.clone())
        .map_err(|error| Fault::fail(format!("the step's inputs are wrong: {error}"), "correct the component document"))
}

fn set_mode(path: &Path, mode: u32) -> io::Result<()> {
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Copies a file, a link as such, or a folder with all that is in it.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let kind = fs::symlink_metadata(from)?.file_type();
    if kind.is_symlink() {
        return symlink(fs::read_link(from)?, to);
    }
    if !kind.is_dir() && !kind.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "only files, folders and links can be copied"));
    }
    if kind.is_file() {
        return fs::copy(from, to).map(drop);
    }
    if to.starts_with(from) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a folder cannot be copied into itself"));
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}
