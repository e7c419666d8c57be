//! A debugger on the driver's breakpoints: it starts the demo, lets it go on or kills it at a point, and types it again.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long one history may take in all; the undisturbed one takes seconds.
const HISTORY_DEADLINE: Duration = Duration::from_secs(240);

/// A point at which the driver stops, as it says it: `before webshop package-1/package.1#1`.
pub(super) type Point = String;

/// What is to happen at a point.
pub(super) enum Verdict {
    Go,
    Twice,
    Kill,
}

/// A demo that is debugged until it is done.
pub(super) struct History {
    pub(super) directory: PathBuf,
    /// Every point at which it stopped, in order, over all its lives.
    pub(super) points: Vec<Point>,
    /// How often it was killed.
    pub(super) kills: usize,
    /// What its last life printed.
    pub(super) report: serde_json::Value,
}

/// Runs the demo in a folder to its end, whatever happens at its points.
pub(super) fn run(directory: &Path, mut judge: impl FnMut(&Point) -> Verdict) -> History {
    let socket = directory.with_extension("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let deadline = Instant::now() + HISTORY_DEADLINE;
    let (mut points, mut kills) = (Vec::new(), 0);
    loop {
        let mut demo = start(directory, &socket);
        let killed = match accept(&listener, &mut demo, deadline) {
            Some(stream) => answer(stream, &mut demo, &mut points, &mut judge, deadline),
            None => false,
        };
        let output = demo.wait_with_output().unwrap();
        if killed {
            kills += 1;
            continue;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "the demo failed after {kills} kills, last at {:?}: {said}", points.last());
        let report = serde_json::from_slice(&output.stdout).unwrap();
        return History { directory: directory.to_owned(), points, kills, report };
    }
}

fn start(directory: &Path, socket: &Path) -> Child {
    // No checkers from outside: the sweep is about the engine, and each would take a second of every life.
    Command::new(env!("CARGO_BIN_EXE_tidegate"))
        .args(["-o", "json", "demo", "--yes", "--deadline", "120", "--dir"])
        .arg(directory)
        .arg("--breakpoints")
        .arg(socket)
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits until the demo connects; `None` when it ended without, because there was nothing left to do.
fn accept(listener: &UnixListener, demo: &mut Child, deadline: Instant) -> Option<UnixStream> {
    loop {
        match listener.accept() {
            Ok((stream, _)) => return Some(stream),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
        if demo.try_wait().unwrap().is_some() {
            return None;
        }
        assert!(Instant::now() < deadline, "the demo does not connect");
        std::thread::yield_now();
        rustix::event::poll(&mut [rustix::event::PollFd::new(listener, rustix::event::PollFlags::IN)], Some(&tick()))
            .unwrap();
    }
}

fn tick() -> rustix::event::Timespec {
    rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 }
}

/// Answers point after point, until the demo is killed (`true`) or goes away by itself.
fn answer(
    stream: UnixStream,
    demo: &mut Child,
    points: &mut Vec<Point>,
    judge: &mut impl FnMut(&Point) -> Verdict,
    deadline: Instant,
) -> bool {
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(deadline.saturating_duration_since(Instant::now()))).unwrap();
    let mut writer = stream.try_clone().unwrap();
    for line in BufReader::new(stream).lines() {
        let Ok(point) = line else { return false };
        points.push(point.clone());
        let answer = match judge(&point) {
            Verdict::Go => "go\n",
            Verdict::Twice => "twice\n",
            Verdict::Kill => {
                demo.kill().unwrap();
                return true;
            }
        };
        if writer.write_all(answer.as_bytes()).is_err() {
            return false;
        }
    }
    false
}
