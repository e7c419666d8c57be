//! What commands of repositories try in their box, and do not get: through the provider that runs them, and through the
//! whole program. `docs/security.md` names these tests. On a machine without a box there is nothing to try.

mod caches;
mod limits;
mod reach;
mod walls;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use tidegate::providers::Fault;
use tidegate::providers::process::{Command, Finished, run};

use crate::support::sandbox::{is_here, sandbox};

/// A machine as a step finds it: folders of its own, and beside them what is not for it.
struct Ground {
    folder: tempfile::TempDir,
}

impl Ground {
    /// `None` where the machine has no box.
    fn with_a_box() -> Option<Self> {
        if !is_here() {
            println!("left out: this machine has no sandbox");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        for own in ["tree", "home", "other", "data"] {
            std::fs::create_dir(folder.path().join(own)).unwrap();
        }
        std::fs::write(folder.path().join("data/tidegate.db"), "the database").unwrap();
        std::fs::write(folder.path().join("other/secret"), "of another system").unwrap();
        Some(Self { folder })
    }

    fn root(&self) -> &Path {
        self.folder.path()
    }

    /// A step's command.
    fn command(&self, script: &str) -> Command {
        let script = script.replace("@ROOT@", self.root().to_str().unwrap());
        Command {
            arguments: ["sh", "-c", &script].map(str::to_owned).to_vec(),
            sandbox: sandbox(),
            network: false,
            secrets: Vec::new(),
            caches: Vec::new(),
            directory: self.root().join("tree"),
            home: self.root().join("home"),
            environment: BTreeMap::new(),
            stdin: None,
            deadline: Duration::from_secs(20),
            output_limit_bytes: 64 * 1024,
        }
    }

    async fn finished(&self, script: &str) -> Finished {
        run(&self.command(script)).await.unwrap()
    }

    /// What the script prints, errors first.
    async fn printed(&self, script: &str) -> String {
        let finished = self.finished(script).await;
        format!("{}{}", String::from_utf8_lossy(&finished.stderr), String::from_utf8_lossy(&finished.stdout))
    }

    /// Why the command was ended.
    async fn fault(&self, command: &Command) -> String {
        let Err(Fault::Fail { error, .. }) = run(command).await else { panic!("it was let be") };
        error
    }
}
