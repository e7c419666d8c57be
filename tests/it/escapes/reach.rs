//! What can be seen, read, written and asked from within the box.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;

use tidegate::providers::given::SecretPlace;
use tidegate::providers::process::{Exit, run};

use super::Ground;
use crate::local_support::{eventually, gone, processes_with};

#[tokio::test]
async fn nothing_of_ours_can_be_read() {
    let Some(ground) = Ground::with_a_box() else { return };
    let printed = ground.printed("cat @ROOT@/data/tidegate.db @ROOT@/other/secret; ls @ROOT@").await;
    assert!(!printed.contains("the database") && !printed.contains("of another system"), "{printed}");
    let seen: Vec<&str> = printed.lines().filter(|line| !line.contains("No such file")).collect();
    assert_eq!(seen, ["home", "tree"], "only the step's own folders");
}

#[tokio::test]
async fn a_secret_is_where_its_rule_gives_it_and_nowhere_printed() {
    let Some(ground) = Ground::with_a_box() else { return };
    let path = ground.root().join("other/npm-token");
    fs::write(&path, "npm_0123456789\n").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    let script = "echo $NPM_TOKEN_FILE; wc -c < $NPM_TOKEN_FILE; cat $NPM_TOKEN_FILE; base64 $NPM_TOKEN_FILE; echo x > $NPM_TOKEN_FILE; \
                  for c in n p m _ 0 1 2 3 4 5 6 7 8 9; do printf $c; done; cat $NPM_TOKEN_FILE >&2; ls @ROOT@/other";
    let mut command = ground.command(script);
    let (name, variable) = ("npm-token".to_owned(), "NPM_TOKEN_FILE".to_owned());
    command.secrets = vec![SecretPlace { name, variable, path: path.clone() }.read().unwrap()];
    let finished = run(&command).await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&finished.stdout), String::from_utf8_lossy(&finished.stderr));
    assert!(stdout.starts_with("/run/secrets/npm-token\n15\n***\n"), "{stdout}{stderr}");
    assert!(finished.redacted && !stdout.contains("npm_0123456789") && stdout.ends_with("***"), "{stdout}");
    assert!(stderr.contains("Read-only file system") && !stderr.contains("npm_0123456789"), "{stderr}");
    assert!(!format!("{command:?}").contains("npm_0123456789"));
    assert_eq!(fs::read_to_string(&path).unwrap(), "npm_0123456789\n");
    let without = ground.printed("ls /run; env").await;
    assert!(!without.contains("secrets") && !without.contains("NPM_TOKEN"), "{without}");
}

#[tokio::test]
async fn what_lies_in_a_folder_of_tools_is_covered() {
    let Some(ground) = Ground::with_a_box() else { return };
    fs::write(ground.root().join("tidegate.toml"), "secrets").unwrap();
    let mut command =
        ground.command("cat @ROOT@/other/secret @ROOT@/tidegate.toml; ls -A @ROOT@/data; touch @ROOT@/data/x");
    command.sandbox.tools.push(ground.root().to_owned());
    command.sandbox.hidden = ["data", "tidegate.toml"].map(|own| ground.root().join(own)).to_vec();
    let finished = run(&command).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&finished.stdout), "of another system", "what is not hidden can be read");
    assert!(String::from_utf8_lossy(&finished.stderr).contains("Read-only file system"), "{finished:?}");
    // A link to the folder leads there no less.
    std::os::unix::fs::symlink(ground.root(), ground.root().join("other/link")).unwrap();
    let mut command = ground.command("cat @ROOT@/other/link/data/tidegate.db");
    command.sandbox.tools.push(ground.root().join("other/link"));
    command.sandbox.hidden = vec![ground.root().join("data")];
    assert!(run(&command).await.unwrap_or_else(|fault| panic!("{fault}")).stdout.is_empty());
}

#[tokio::test]
async fn nothing_outside_can_be_written() {
    let Some(ground) = Ground::with_a_box() else { return };
    let printed = ground
        .printed(
            "for place in @ROOT@/data/tidegate.db /new /usr/new /etc/new /dev/new /proc/sys/kernel/core_pattern \
             /proc/self/comm; do echo x > $place && echo wrote $place; done; echo x > /tmp/new; echo x > @ROOT@/new; echo x > own; echo x > $HOME/own",
        )
        .await;
    assert!(!printed.contains("wrote"), "{printed}");
    assert_eq!(fs::read_to_string(ground.root().join("data/tidegate.db")).unwrap(), "the database");
    assert!(!std::path::Path::new("/tmp/new").exists() && !ground.root().join("new").exists(), "its /tmp is its own");
    for own in ["tree/own", "home/own"] {
        assert_eq!(fs::read_to_string(ground.root().join(own)).unwrap(), "x\n");
    }
}

#[tokio::test]
async fn processes_of_the_machine_are_not_there() {
    let Some(ground) = Ground::with_a_box() else { return };
    let own = std::process::id();
    let script = format!(
        "cat /proc/{own}/environ /proc/{own}/cmdline; kill -0 {own} && echo reached; ls -d /proc/[0-9]*; cat /proc/[0-9]*/environ"
    );
    let finished = ground.finished(&script).await;
    let printed = String::from_utf8_lossy(&finished.stdout).into_owned();
    assert!(!printed.contains("reached") && !printed.contains("CARGO"), "{printed}");
    let processes = printed.lines().filter(|line| line.starts_with("/proc/")).count();
    assert!((2..6).contains(&processes), "its own, and no more: {printed}");
}

#[tokio::test]
async fn there_is_no_network_unless_the_rule_allows_it() {
    let Some(ground) = Ground::with_a_box() else { return };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let script = format!("exec 3<> /dev/tcp/127.0.0.1/{port} && echo reached");
    let mut command = ground.command("");
    command.arguments = ["bash", "-c", &script].map(str::to_owned).to_vec();
    let finished = run(&command).await.unwrap();
    assert!(!finished.succeeded() && finished.stdout.is_empty(), "{finished:?}");
    assert!(listener.accept().is_err(), "nobody came");
    command.network = true;
    let finished = run(&command).await.unwrap();
    assert_eq!(finished.stdout, b"reached\n", "{finished:?}");
}

#[tokio::test]
async fn nothing_outlives_its_command() {
    let Some(ground) = Ground::with_a_box() else { return };
    let left = "setsid sh -c 'trap \"\" TERM HUP; sleep 61.803; echo late > late' < /dev/null > /dev/null 2>&1 &";
    let finished = ground.finished(&format!("{left} echo done")).await;
    assert_eq!((finished.exit, finished.stdout.as_slice()), (Exit::Code(0), b"done\n".as_slice()));
    assert!(processes_with("sleep 61.803").is_empty(), "gone when we hear of its end, not later");

    let mut command = ground.command(&format!("{left} sleep 61.804"));
    command.deadline = std::time::Duration::from_millis(300);
    assert!(run(&command).await.unwrap().timed_out);
    assert!(processes_with("sleep 61.80").is_empty(), "also at the deadline");

    // Dropped while the box is being made, and when it runs.
    for processes in [1, 1, 1, 5] {
        let command = ground.command(&format!("{left} sleep 61.805"));
        let running = tokio::spawn(async move { run(&command).await });
        let runs = async || (processes_with("sleep 61.80").len() >= processes).then_some(());
        eventually("the command", runs).await;
        running.abort();
        gone("sleep 61.80").await;
    }
}

#[tokio::test]
async fn it_has_no_rights_and_cannot_get_any() {
    let Some(ground) = Ground::with_a_box() else { return };
    let printed = ground.printed("grep -E '^(Cap|NoNewPrivs)' /proc/self/status; unshare --user true; mount -t tmpfs x /tmp; echo > /dev/tty").await;
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        assert!(printed.contains(&format!("{set}:\t0000000000000000")), "{printed}");
    }
    assert!(printed.contains("NoNewPrivs:\t1"), "{printed}");
    for refused in ["unshare: unshare failed", "mount: ", "/dev/tty: No such device"] {
        assert!(printed.contains(refused), "{refused}: {printed}");
    }
}

/// What a repository says of the environment is not the environment of what makes the box.
#[tokio::test]
async fn its_environment_means_nothing_outside() {
    let Some(ground) = Ground::with_a_box() else { return };
    let evil = ground.root().join("tree/bin");
    fs::create_dir(&evil).unwrap();
    for program in ["bwrap", "sh", "prlimit", "env"] {
        let script = format!("#!/bin/sh\necho evil > {}/escaped\nexec /bin/sh \"$@\"\n", ground.root().display());
        fs::write(evil.join(program), script).unwrap();
        fs::set_permissions(evil.join(program), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let mut command = ground.command("/usr/bin/env");
    command.environment.insert("PATH".to_owned(), format!("{}:/usr/bin:/bin", evil.display()));
    command.environment.insert("LD_PRELOAD".to_owned(), evil.join("sh").display().to_string());
    let _ = run(&command).await;
    assert!(!ground.root().join("escaped").exists());
}

#[tokio::test]
async fn a_program_that_is_not_in_the_box_says_so() {
    let Some(ground) = Ground::with_a_box() else { return };
    let tool = ground.root().join("other/tool");
    fs::write(&tool, "#!/bin/sh\necho used\n").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = ground.command("");
    command.arguments = vec![tool.display().to_string()];
    let error = ground.fault(&command).await;
    assert!(error.contains("not there or cannot run in the sandbox"), "{error}");
    command.sandbox.tools.push(tool);
    assert_eq!(run(&command).await.unwrap().stdout, b"used\n");
}
