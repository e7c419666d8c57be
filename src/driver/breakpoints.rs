//! Breakpoints: whoever debugs the engine can have it stop before and after every effect, look around, let it go on, have
//! the effect done twice, or kill the process right there. `tidegate serve --breakpoints SOCKET` says each point as a line
//! on a Unix socket, `before SYSTEM EFFECT` or `after SYSTEM EFFECT`, and waits for a line: `go` or `twice`.

use std::{io, path::Path};

use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    sync::Mutex,
};

use crate::{engine::Effect, rules::SystemName};

/// How to go on from a breakpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resume {
    /// As if there were none.
    Go,
    /// Do the effect twice.
    Twice,
}

/// The breakpoints of a driver: all of them, or none.
pub struct Breakpoints {
    debugger: Option<Mutex<BufReader<UnixStream>>>,
}

impl Breakpoints {
    /// Stops nowhere.
    #[must_use]
    pub const fn none() -> Self {
        Self { debugger: None }
    }

    /// Stops before and after every effect, and asks the debugger that listens on this socket.
    ///
    /// # Errors
    /// When nobody listens there.
    pub async fn connect(socket: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(socket).await?;
        Ok(Self { debugger: Some(Mutex::new(BufReader::new(stream))) })
    }

    pub(super) async fn before(&self, system: &SystemName, effect: &Effect) -> Resume {
        self.ask(&format!("before {system} {}\n", effect.id)).await
    }

    pub(super) async fn after(&self, system: &SystemName, effect: &Effect) {
        self.ask(&format!("after {system} {}\n", effect.id)).await;
    }

    /// One point at a time, so that the debugger knows which one it answers. A debugger that went away stops nothing.
    async fn ask(&self, point: &str) -> Resume {
        let Some(debugger) = &self.debugger else { return Resume::Go };
        let mut debugger = debugger.lock().await;
        let mut answer = String::new();
        let asked = async {
            debugger.get_mut().write_all(point.as_bytes()).await?;
            debugger.read_line(&mut answer).await
        };
        match asked.await {
            Ok(_) if answer.trim() == "twice" => Resume::Twice,
            Ok(_) => Resume::Go,
            Err(error) => {
                tracing::warn!(%error, "the debugger has gone away");
                Resume::Go
            }
        }
    }
}
