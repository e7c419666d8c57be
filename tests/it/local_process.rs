//! Commands that do not behave.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use tidegate::providers::Fault;
use tidegate::providers::process::{Command, Exit, Finished, run};

use crate::local_support::{eventually, gone, processes_with};
use crate::support::sandbox::{is_here, sandbox};

fn shell(directory: &Path, script: &str) -> Command {
    Command {
        arguments: ["sh", "-c", script].map(str::to_owned).to_vec(),
        sandbox: sandbox(),
        network: false,
        secrets: Vec::new(),
        caches: Vec::new(),
        directory: directory.to_owned(),
        home: directory.to_owned(),
        environment: BTreeMap::new(),
        stdin: None,
        deadline: Duration::from_secs(20),
        output_limit_bytes: 1000,
    }
}

async fn output(command: &Command) -> (Finished, String) {
    let finished = run(command).await.unwrap();
    let stdout = String::from_utf8_lossy(&finished.stdout).into_owned();
    (finished, stdout)
}

#[tokio::test]
async fn a_command_gets_its_input_and_an_environment_built_from_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = shell(directory.path(), "cat; env | sort; echo oops >&2; exit 3");
    command.environment.insert("STAGE".to_owned(), "qa".to_owned());
    command.stdin = Some(b"hello\n".to_vec());
    let (finished, stdout) = output(&command).await;
    assert_eq!(finished.exit, Exit::Code(3));
    assert_eq!(finished.stderr, b"oops\n");
    assert!(!finished.succeeded() && !finished.truncated && !finished.timed_out);
    let names: Vec<&str> = stdout.lines().skip(1).filter_map(|line| line.split_once('=')).map(|it| it.0).collect();
    let shells_own = ["PWD", "OLDPWD", "SHLVL", "_"];
    let names: Vec<&str> = names.into_iter().filter(|name| !shells_own.contains(name)).collect();
    assert_eq!((stdout.lines().next(), names), (Some("hello"), vec!["HOME", "LANG", "PATH", "STAGE", "TMPDIR"]));
}

#[tokio::test]
async fn a_command_that_prints_far_too_much_is_bounded() {
    let directory = tempfile::tempdir().unwrap();
    let script = "echo first; head -c 60000000 /dev/zero; echo; echo last; echo said >&2";
    let (finished, stdout) = output(&shell(directory.path(), script)).await;
    assert!(finished.truncated && finished.succeeded());
    assert!(finished.stdout.len() < 1100, "{} bytes", finished.stdout.len());
    assert!(stdout.starts_with("first\n") && stdout.ends_with("last\n"));
    assert!(stdout.contains("\n… 59999012 bytes left out …\n"), "{:?}", &stdout[490..560]);
}

#[tokio::test]
async fn a_command_that_does_not_read_its_input_does_not_block() {
    let directory = tempfile::tempdir().unwrap();
    let command = Command { stdin: Some(vec![b'x'; 10_000_000]), ..shell(directory.path(), "echo done") };
    let (finished, stdout) = output(&command).await;
    assert!(finished.succeeded());
    assert_eq!(stdout, "done\n");
}

#[tokio::test]
async fn at_the_deadline_the_whole_group_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    // The shell tidies up on SIGTERM; its child ignores SIGTERM.
    let script = "trap 'echo tidied; exit 5' TERM; (trap '' TERM; exec sleep 31.4151) & sleep 31.4151 & wait";
    let command = Command { deadline: Duration::from_millis(300), ..shell(directory.path(), script) };
    let (finished, stdout) = output(&command).await;
    assert!(finished.timed_out && !finished.succeeded());
    assert_eq!((finished.exit, stdout.as_str()), (Exit::Code(5), "tidied\n"));
    gone("31.4151").await;
}

#[tokio::test]
async fn a_command_that_ignores_sigterm_is_killed() {
    let directory = tempfile::tempdir().unwrap();
    let script = "trap '' TERM; while :; do sleep 0.31416; done";
    // Long enough for a box to be made on a busy machine.
    let command = Command { deadline: Duration::from_secs(1), ..shell(directory.path(), script) };
    let (finished, _) = output(&command).await;
    assert_eq!(finished.exit, Exit::Signal(9));
    assert!(finished.timed_out && finished.duration < Duration::from_secs(10));
    gone("0.31416").await;
}

#[tokio::test]
async fn a_dropped_command_is_ended_with_its_children() {
    let directory = tempfile::tempdir().unwrap();
    let command = shell(directory.path(), "sleep 31.4152 & sleep 31.4152; true");
    let running = tokio::spawn(async move { run(&command).await });
    // The shell itself and its two children, and a box around them.
    eventually("the command's processes", async || (processes_with("31.4152").len() >= 3).then_some(())).await;
    running.abort();
    gone("31.4152").await;
}

#[tokio::test]
async fn a_child_that_keeps_the_pipe_open_does_not_hang_us() {
    let directory = tempfile::tempdir().unwrap();
    for left_behind in ["sleep 31.4153 &", "setsid sleep 31.4153 & sleep 0.2;"] {
        let started = Instant::now();
        let (finished, stdout) = output(&shell(directory.path(), &format!("{left_behind} echo done"))).await;
        assert!(finished.succeeded() && started.elapsed() < Duration::from_secs(5));
        assert_eq!(stdout, "done\n");
    }
    // Without a box, the one that left the group is beyond our reach, so this test ends it.
    if !is_here() {
        processes_with("31.4153").into_iter().for_each(crate::local_support::kill);
    }
    gone("31.4153").await;
}

#[tokio::test]
async fn what_cannot_be_run_fails_with_a_hint() {
    let directory = tempfile::tempdir().unwrap();
    let command = Command { arguments: vec!["no-such-program".to_owned()], ..shell(directory.path(), "") };
    let Err(Fault::Fail { error, hint }) = run(&command).await else { panic!("not a failure") };
    assert_eq!(error, "run no-such-program: no such program");
    assert!(hint.starts_with("install no-such-program"));
    let command = Command { directory: directory.path().join("nowhere"), ..shell(directory.path(), "true") };
    assert!(run(&command).await.unwrap_err().to_string().contains("there is no directory"));
    let command = Command { arguments: Vec::new(), ..shell(directory.path(), "") };
    assert!(matches!(run(&command).await, Err(Fault::Fail { .. })));
}
