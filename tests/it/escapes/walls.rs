//! What stands behind the namespaces: the filter of system calls, and Landlock where this kernel has it.

use std::fs;
use std::io::Read as _;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tidegate::providers::process::{Command, Exit, run};

use super::Ground;
use crate::{local_support::TIDEGATE, support::sandbox::sandbox};

/// What `perl` answers in the box: it makes any system call by its number. `None` where it is not installed.
async fn perl(ground: &Ground, script: &str) -> Option<String> {
    let finished = run(&perl_command(ground, script)?).await.unwrap();
    Some(format!("{}{}", String::from_utf8_lossy(&finished.stdout), String::from_utf8_lossy(&finished.stderr)))
}

fn perl_command(ground: &Ground, script: &str) -> Option<Command> {
    if !Path::new("/usr/bin/perl").exists() {
        println!("left out: this machine has no perl");
        return None;
    }
    let mut command = ground.command("");
    command.arguments = ["/usr/bin/perl", "-e", script].map(str::to_owned).to_vec();
    Some(command)
}

/// Whether this kernel has not all of a wall.
fn lacks(wall: &str) -> bool {
    let lacking = sandbox().probe().unwrap();
    lacking.iter().filter(|it| it.contains(wall)).inspect(|it| println!("left out: {it}")).count() > 0
}

#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn system_calls_that_no_build_needs_are_refused() {
    let Some(ground) = Ground::with_a_box().filter(|_| !lacks("filter of system calls")) else { return };
    // Each with the error that it ends with: EPERM 1, ENOSYS 38, EAFNOSUPPORT 97.
    let calls = [
        ("ptrace 101, 0, 0, 0, 0", 1),
        ("mount 165, 0, 0, 0, 0, 0", 1),
        ("setns 308, 0, 0", 1),
        ("unshare 272, 0x20000", 1),
        ("unshare 272, 0x10000000", 1),
        ("clone 56, 0x10000011, 0, 0, 0, 0", 1),
        ("keyctl 250, 0, 0", 1),
        ("bpf 321, 0, 0, 0", 1),
        ("perf_event_open 298, 0, 0, 0, 0, 0", 1),
        ("userfaultfd 323, 0", 1),
        ("process_vm_readv 310, 1, 0, 0, 0, 0, 0", 1),
        ("kexec_load 246, 0, 0, 0, 0", 1),
        ("open_by_handle_at 304, 0, 0, 0", 1),
        ("personality 135, 0x0400000 | 0x8", 1),
        ("TIOCSTI 16, 0, 0x5412, 0", 1),
        ("TIOCSTI 16, 0, 0x100005412, 0", 1),
        ("TIOCLINUX 16, 0, 0x541C, 0", 1),
        ("clone3 435, 0, 0", 38),
        ("io_uring_setup 425, 0, 0", 38),
        ("x32 0x40000000 + 39", 38),
        ("x32 0x40000000 + 521, 0, 0, 0, 0", 38),
        ("vsock 41, 40, 1, 0", 97),
        ("alg 41, 38, 5, 0", 97),
    ];
    let script: String = calls
        .iter()
        .map(|(call, _)| {
            let (name, arguments) = call.split_once(' ').unwrap();
            format!("$r = syscall({arguments}); print '{name} ', $r < 0 ? $!+0 : 'done', \"\\n\";")
        })
        .collect();
    let Some(printed) = perl(&ground, &script).await else { return };
    let expected: String =
        calls.iter().map(|(call, errno)| format!("{} {errno}\n", call.split(' ').next().unwrap())).collect();
    assert_eq!(printed, expected);
    // What builds do need, by the same calls.
    let used = "print syscall(135, 0xffffffff), ' ', syscall(41, 1, 1, 0) > 0, ' ', syscall(41, 10, 1, 0) > 0, ' ', \
                syscall(41, 16, 3, 0) > 0, ' ', syscall(272, 0x200)";
    assert_eq!(perl(&ground, used).await.unwrap(), "0 1 1 1 0");
}

/// A program of 32 bits makes its calls by other numbers, which no filter of 64 bits knows.
#[cfg(target_arch = "x86_64")]
#[tokio::test]
async fn programs_of_another_architecture_are_ended() {
    let Some(ground) = Ground::with_a_box().filter(|_| !lacks("filter of system calls")) else { return };
    let program = ground.root().join("tree/foreign");
    fs::write(&program, foreign()).unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let outside = std::process::Command::new(&program).status();
    if outside.as_ref().ok().and_then(|status| status.code()) != Some(42) {
        println!("left out: this kernel runs no programs of 32 bits: {outside:?}");
        return;
    }
    let finished = ground.finished("./foreign").await;
    assert_eq!(finished.exit, Exit::Signal(libc::SIGSYS), "{finished:?}");
}

/// The smallest program of 32 bits that ends with the code 42 (ELF, "Executable and Linkable Format", figures 1-3 and 2-1).
#[cfg(target_arch = "x86_64")]
fn foreign() -> Vec<u8> {
    const BASE: u32 = 0x0804_8000;
    // mov eax, 1; mov ebx, 42; int 0x80
    let code = [0xb8, 1, 0, 0, 0, 0xbb, 42, 0, 0, 0, 0xcd, 0x80];
    let (head, part) = (52_u16, 32_u16);
    let length = u32::from(head + part) + u32::try_from(code.len()).unwrap();
    let mut bytes = vec![0x7f, b'E', b'L', b'F', 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let short = |bytes: &mut Vec<u8>, value: u16| bytes.extend(value.to_le_bytes());
    let long = |bytes: &mut Vec<u8>, value: u32| bytes.extend(value.to_le_bytes());
    // An executable for the 80386, version 1.
    [2, 3].into_iter().for_each(|value| short(&mut bytes, value));
    // Version, entry, program headers, no sections, no flags.
    [1, BASE + u32::from(head + part), head.into(), 0, 0].into_iter().for_each(|value| long(&mut bytes, value));
    [head, part, 1, 0, 0, 0].into_iter().for_each(|value| short(&mut bytes, value));
    // All of the file is loaded, to be read and executed.
    [1, 0, BASE, BASE, length, length, 5, 0x1000].into_iter().for_each(|value| long(&mut bytes, value));
    bytes.extend(code);
    bytes
}

#[tokio::test]
async fn abstract_sockets_of_the_machine_are_out_of_reach_with_the_network_too() {
    let Some(ground) = Ground::with_a_box() else { return };
    if lacks("Landlock") {
        return;
    }
    let name = format!("tidegate-test-{}", std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    listener.set_nonblocking(true).unwrap();
    // One of its own can be reached, by the same words.
    let connect = "sub to { socket(my $s, AF_UNIX, SOCK_STREAM, 0) or die; connect($s, pack('Sa*', AF_UNIX, \"\\0$_[0]\")) ? 'reached' : \"$!\" }";
    let script = format!(
        "use Socket; {connect} socket(my $own, AF_UNIX, SOCK_STREAM, 0); bind($own, pack('Sa*', AF_UNIX, \"\\0own-{name}\")) or die; \
         listen($own, 1); print to('own-{name}'), \"\\n\", to('{name}'), \"\\n\";"
    );
    let Some(mut command) = perl_command(&ground, &script) else { return };
    command.network = true;
    let finished = run(&command).await.unwrap();
    assert_eq!(String::from_utf8_lossy(&finished.stdout), "reached\nOperation not permitted\n", "{finished:?}");
    assert!(listener.accept().is_err(), "nobody came");
    command.sandbox.program = None;
    let finished = run(&command).await.unwrap();
    assert_eq!(
        String::from_utf8_lossy(&finished.stdout),
        "reached\nreached\n",
        "without Landlock they are: {finished:?}"
    );
    let mut nothing = String::new();
    listener.accept().unwrap().0.read_to_string(&mut nothing).unwrap();
}

/// The mounts of a box let less be written than Landlock would: here it stands alone.
#[test]
fn landlock_lets_nothing_be_written_but_the_folders_of_the_step() {
    if Ground::with_a_box().is_none() || lacks("Landlock") {
        return;
    }
    // Not in /tmp, which is the command's own in a box.
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let root = folder.path();
    for own in ["tree/a", "tree/b", "other"] {
        fs::create_dir_all(root.join(own)).unwrap();
    }
    fs::write(root.join("other/secret"), "not for it").unwrap();
    let script = "echo x > tree/own; echo y > tree/a/f; mv tree/a/f tree/b/f; cat other/secret tree/b/f; \
                  echo x > other/new; echo x > other/secret; mv tree/own other/own; echo again >> /dev/stdout; echo gone > /dev/null; \
                  cat < /dev/stdin; kill -0 $PPID || echo kept";
    let ran = std::process::Command::new(TIDEGATE)
        .args(["boxed", "--write"])
        .arg(root.join("tree"))
        .args(["--", "sh", "-c", script])
        .current_dir(root)
        .stdin(Stdio::null())
        .stdout(fs::File::options().create(true).append(true).open(root.join("printed")).unwrap())
        .output()
        .unwrap();
    let refused = String::from_utf8_lossy(&ran.stderr).into_owned();
    assert_eq!(fs::read_to_string(root.join("printed")).unwrap(), "not for ity\nagain\nkept\n", "{refused}");
    assert_eq!(refused.matches("Permission denied").count(), 3, "{refused}");
    assert_eq!(fs::read_to_string(root.join("other/secret")).unwrap(), "not for it");
    assert!(!root.join("other/new").exists() && !root.join("other/own").exists() && root.join("tree/own").exists());
}

/// What builds are made with, where it is installed: it must go on working.
#[tokio::test]
async fn tools_of_builds_work_in_the_box() {
    let Some(ground) = Ground::with_a_box() else { return };
    let probes = [
        (
            "git",
            "git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git gc -q && git log --oneline | wc -l",
        ),
        (
            "node",
            "node -e 'const {Worker} = require(\"worker_threads\"); new Worker(\"console.log(require(`os`).cpus().length > 0)\", {eval: true})'",
        ),
        ("npm", "echo '{\"name\":\"a\",\"version\":\"1.0.0\"}' > package.json && npm pack --silent"),
        (
            "python3",
            "python3 -c 'import multiprocessing as m, subprocess as s; print(m.Pool(2).map(abs, [-1, -2]), s.check_output([\"true\"]))'",
        ),
        ("java", "java -version"),
        ("cargo", "cargo init -q --vcs none --name a x && cd x && cargo run -q --offline"),
        ("cfn-lint", "cfn-lint --version"),
    ];
    for (tool, script) in probes {
        let without = |with_walls: bool| {
            let mut command = ground.command(&format!("{script} && echo works"));
            command.deadline = std::time::Duration::from_secs(60);
            // Where people install what their system has not.
            let home = PathBuf::from(std::env::var_os("HOME").unwrap_or_default());
            command.sandbox.tools.extend([".pyenv", ".rustup"].map(|folder| home.join(folder)));
            command.environment.insert("RUSTUP_HOME".to_owned(), home.join(".rustup").display().to_string());
            if !with_walls {
                command.sandbox.program = None;
            }
            command
        };
        std::process::Command::new("rm").arg("-rf").arg(ground.root().join("tree/x")).status().unwrap();
        let here = run(&without(false)).await;
        if !here.as_ref().is_ok_and(|it| it.succeeded()) {
            println!("left out: {tool} does not work in the box of this machine: {here:?}");
            continue;
        }
        std::process::Command::new("rm").arg("-rf").arg(ground.root().join("tree")).status().unwrap();
        fs::create_dir(ground.root().join("tree")).unwrap();
        let finished = run(&without(true)).await.unwrap();
        assert!(finished.succeeded() && finished.stdout.ends_with(b"works\n"), "{tool}: {finished:?}");
    }
}
