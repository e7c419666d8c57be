//! Commands over the socket of the server, for users of the machine to whom its database is closed: the kernel says who asks.

use std::{
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use super::{NEW_VERSION, delivery::Delivery};
/// Two users who need no names, and whom nobody else is.
const GRACE: u32 = 41_001;
const STRANGER: u32 = 41_002;
const DEADLINE: Duration = Duration::from_secs(60);

/// A company whose server listens on a socket in a folder that every user can enter.
struct Shared {
    delivery: Delivery,
    folder: tempfile::TempDir,
    /// This program, where every user can run it.
    program: PathBuf,
}

impl Shared {
    fn new(settings: &str) -> Self {
        let delivery = Delivery::careful();
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let text = std::fs::read_to_string(delivery.config()).unwrap();
        let text = text.replace("[people.grace]\n", &format!("[people.grace]\nos = [\"{GRACE}\"]\n"));
        let socket = folder.path().join("socket");
        std::fs::write(delivery.config(), format!("{text}\n[server]\nsocket = {socket:?}\n{settings}")).unwrap();
        let program = folder.path().join("tidegate");
        let built = Path::new(env!("CARGO_BIN_EXE_tidegate"));
        std::fs::hard_link(built, &program).or_else(|_| std::fs::copy(built, &program).map(drop)).unwrap();
        Self { delivery, folder, program }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// What a user types, who asks the server.
    fn typed_by(&self, user: u32, arguments: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args([&format!("--reuid={user}"), &format!("--regid={user}"), "--clear-groups"]);
        command.arg(&self.program).arg("--socket").arg(self.socket()).args(arguments);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").current_dir("/").stdin(Stdio::null());
        command
    }

    fn asked_by(&self, user: u32, arguments: &[&str]) -> Output {
        self.typed_by(user, arguments).output().unwrap()
    }

    fn granted(&self, user: u32, arguments: &[&str]) -> String {
        let output = self.asked_by(user, arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    fn refused(&self, user: u32, arguments: &[&str], code: i32) -> String {
        let output = self.asked_by(user, arguments);
        let why = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {why}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{arguments:?}");
        why
    }
}

/// Whether this test can be other users; says so where it cannot.
#[expect(clippy::print_stderr, reason = "who reads the tests' output is to know that something was left out")]
fn others_are_here() -> bool {
    let set = Command::new("setpriv").args([&format!("--reuid={GRACE}"), "--clear-groups", "true"]).output();
    let is_so = set.is_ok_and(|set| set.status.success());
    if !is_so {
        eprintln!("left out: only root can ask as other users, with `setpriv`");
    }
    is_so
}

#[test]
fn a_user_over_the_socket_is_whom_the_kernel_says() {
    if !others_are_here() {
        return;
    }
    let mut shared = Shared::new("");
    shared.delivery.serve();
    shared.delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let run = shared.delivery.asking("deliver", "dev").id.to_string();
    // The database is not for her. Settings that she can read name the socket; without them she has to.
    let alone = || {
        let mut alone = Command::new("setpriv");
        alone.args([&format!("--reuid={GRACE}"), "--clear-groups"]).arg(&shared.program);
        alone.arg("--config").arg(shared.delivery.config()).arg("status").env_clear().output().unwrap()
    };
    let (config, mode) = (shared.delivery.config(), std::fs::Permissions::from_mode);
    std::fs::set_permissions(shared.delivery.root(), mode(0o755)).unwrap();
    std::fs::set_permissions(&config, mode(0o644)).unwrap();
    let named = alone();
    assert!(named.status.success(), "{}", lossy(&named.stderr));
    std::fs::set_permissions(&config, mode(0o600)).unwrap();
    let why = lossy(&alone().stderr);
    assert!(why.contains("`--socket` names that of a server that can"), "{why}");

    let status = shared.granted(GRACE, &["status"]);
    assert!(status.contains(&format!("tidegate approve {run}")) && !status.contains('\u{1b}'), "{status}");
    let shown: serde_json::Value =
        serde_json::from_str(&shared.granted(GRACE, &["-o", "json", "run", "show", &run])).unwrap();
    assert_eq!(shown["run"]["id"], run.as_str());
    assert!(shared.granted(GRACE, &["logs", &run]).contains("synth"), "what steps printed comes too");
    let spoofed = shared.typed_by(GRACE, &["approve", &run]).env("TIDEGATE_AS", "tester").output().unwrap();
    let why = String::from_utf8_lossy(&spoofed.stderr).into_owned();
    assert!(
        spoofed.status.code() == Some(3)
            && why.contains("grace may not approve")
            && why.contains("in the name of tester"),
        "{why}"
    );
    let why = shared.refused(GRACE, &["approve", &run, "--as", "ada"], 3);
    assert!(why.contains("the permission `impersonate`"), "{why}");
    let said = shared.granted(GRACE, &["approve", &run]);
    assert!(said.contains(&format!("grace approved {run}")), "{said}");
    shared.delivery.done("deliver", "dev");
    let history = shared.delivery.granted(&["history", "--limit", "500"]);
    assert!(history.contains(&format!("grace approved {run}")) && !history.contains("asked by"), "{history}");
    // Exit codes and errors are those of the command.
    assert!(shared.refused(GRACE, &["approve", &run], 3).contains(&run));
    assert!(shared.refused(GRACE, &["approve"], 2).contains("required arguments"));
    assert!(shared.refused(GRACE, &["run", "show", "deliver-999"], 1).contains("has had no run"));
}

#[test]
fn a_user_over_the_socket_who_is_none_of_the_people_asks_for_nothing() {
    if !others_are_here() {
        return;
    }
    let mut shared = Shared::new("");
    shared.delivery.serve();
    for arguments in [&["status"][..], &["history"], &["pause", "--reason", "no"], &["status", "--as", "grace"]] {
        let why = shared.refused(STRANGER, arguments, 3);
        let said = format!("add `os = [\"{STRANGER}\"]` to one of: ada, grace, tester");
        assert!(why.contains(&said), "{arguments:?}: {why}");
    }
    // Where nobody is listed, nobody is told from anybody.
    let settings = std::fs::read_to_string(shared.delivery.config()).unwrap();
    let (before, after) = settings.split_once("# Ada writes").unwrap();
    let server = &after[after.find("[server]").unwrap()..];
    std::fs::write(shared.delivery.config(), format!("{before}{server}")).unwrap();
    let why = shared.refused(GRACE, &["status"], 3);
    assert!(why.contains("lists no people, and nobody is told from anybody"), "{why}");
}

#[test]
fn what_would_be_done_as_the_servers_user_is_refused_over_the_socket() {
    if !others_are_here() {
        return;
    }
    let mut shared = Shared::new("");
    shared.delivery.serve();
    let file = shared.delivery.config();
    let file = file.to_str().unwrap();
    for (arguments, why) in [
        (&["simulate", "push", "software", "dev", "--rules", file][..], "`--rules` names a file"),
        (&["simulate", "push", "software", "dev", "--from", "."], "`--from` names a file"),
        (&["simulate", "push", "software", "dev", "--run-commands"], "`--run-commands` runs commands"),
        (&["doctor"], "it looks at the whole machine"),
        (&["check", file], "files of whoever types it"),
        (&["init", "/tmp/x", "--software", "a", "--image", "b", "--infrastructure", "c"], "files of whoever types it"),
        (&["serve"], "it is a server itself"),
        (&["answer", "--", "status"], "it is a server itself"),
    ] {
        // As no program of ours asks: these are not sent by it.
        let (code, _, error) = raw(&shared, arguments);
        assert_eq!(code, Some(3), "{arguments:?}: {error}");
        assert!(error.contains(why) && error.contains("ask the user who runs `serve`"), "{arguments:?}: {error}");
    }
    // The settings are the server's own, whatever is asked.
    let (code, output, _) = raw(&shared, &["--config", "/nowhere", "--socket", "/nowhere", "status"]);
    assert!(code == Some(0) && output.contains("webshop"), "{output}");
    // What is only the asker's is done by their own program.
    let own = shared.asked_by(GRACE, &["check", "/etc/hostname"]);
    assert_eq!(own.status.code(), Some(4), "{}", String::from_utf8_lossy(&own.stderr));
}

/// Asks as the user who runs the tests, by the bytes of the socket.
fn raw(shared: &Shared, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut stream = UnixStream::connect(shared.socket()).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let asked = serde_json::json!({ "arguments": arguments, "in_name_of": null, "colours": false, "columns": null });
    stream.write_all(&piece(b'?', asked.to_string().as_bytes())).unwrap();
    let (mut output, mut error) = (Vec::new(), Vec::new());
    loop {
        let mut head = [0; 5];
        if stream.read_exact(&mut head).is_err() {
            return (None, lossy(&output), lossy(&error));
        }
        let mut bytes = vec![0; u32::from_be_bytes(head[1..].try_into().unwrap()) as usize];
        stream.read_exact(&mut bytes).unwrap();
        match head[0] {
            b'o' => output.extend(bytes),
            b'e' => error.extend(bytes),
            _ => return (Some(i32::from(bytes[0])), lossy(&output), lossy(&error)),
        }
    }
}

fn piece(kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[kind], &u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Waits until a status is answered over the socket.
fn answered(shared: &Shared) -> String {
    let begun = Instant::now();
    loop {
        // A server that has just begun does not listen yet.
        let (code, output, error) = match UnixStream::connect(shared.socket()) {
            Ok(_) => raw(shared, &["status"]),
            Err(error) => (None, String::new(), error.to_string()),
        };
        if code == Some(0) {
            return output;
        }
        assert!(begun.elapsed() < DEADLINE, "{code:?}: {error}\n{}", shared.delivery.server_log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn nobody_over_the_socket_stops_the_server_or_keeps_others_away() {
    let mut shared = Shared::new("");
    shared.delivery.serve();
    for nonsense in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"?\xff\xff\xff\xff",
        &piece(b'?', b"{}"),
        &piece(b'?', b"[[[[[[[["),
        &piece(b'.', b"\0"),
        &piece(
            b'?',
            "{\"arguments\": [\"\\u0000\"], \"in_name_of\": null, \"colours\": true, \"columns\": 1}".as_bytes(),
        ),
    ] {
        let mut stream = UnixStream::connect(shared.socket()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(nonsense).unwrap();
        let mut said = Vec::new();
        // It is hung up, at the latest when nothing whole has come for a while.
        drop(stream.read_to_end(&mut said));
        assert!(!lossy(&said).contains("webshop"), "{}", lossy(&said));
    }
    // Of one user eight are listened to; the ninth is told so, and comes in when one of them has gone.
    let mut idle: Vec<UnixStream> = (0..8).map(|_| UnixStream::connect(shared.socket()).unwrap()).collect();
    let begun = Instant::now();
    loop {
        let (code, _, error) = raw(&shared, &["status"]);
        if code == Some(1) && error.contains("too many commands go on (8 of one user, 64 of all): try again") {
            break;
        }
        assert!(begun.elapsed() < Duration::from_secs(9), "{code:?}: {error}");
        // It was quicker than one of the eight, which was told so in its place.
        idle.push(UnixStream::connect(shared.socket()).unwrap());
    }
    idle.truncate(2);
    assert!(answered(&shared).contains("webshop"));
}

#[test]
fn a_command_ends_when_whoever_asked_goes_away() {
    let mut shared = Shared::new("");
    shared.delivery.serve();
    shared.delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let run = shared.delivery.asking("deliver", "dev").id.to_string();
    let mut follow = |_| -> Child {
        let mut command = Command::new(&shared.program);
        command.arg("--socket").arg(shared.socket()).args(["logs", "-f", &run]).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It follows from here on.
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        child
    };
    let followers: Vec<Child> = (0..8).map(&mut follow).collect();
    let (code, _, error) = raw(&shared, &["status"]);
    assert!(code == Some(1) && error.contains("too many commands go on"), "{error}");
    for mut follower in followers {
        follower.kill().unwrap();
        follower.wait().unwrap();
    }
    answered(&shared);
}

#[test]
fn the_socket_is_where_others_can_come_and_cannot_put_their_own() {
    let why = |shared: &Shared| {
        let output = shared.delivery.command(&["serve"]);
        assert_eq!(output.status.code(), Some(1));
        lossy(&output.stderr)
    };
    let moved = |to: &Path| {
        let shared = Shared::new("");
        let settings = std::fs::read_to_string(shared.delivery.config()).unwrap();
        let from = format!("{:?}", shared.socket());
        std::fs::write(shared.delivery.config(), settings.replace(&from, &format!("{to:?}"))).unwrap();
        shared
    };
    let within = why(&moved(Path::new("data/socket")));
    assert!(within.contains("`socket` of [server] is within") && within.contains("/run/tidegate/socket"), "{within}");

    let shared = Shared::new("");
    std::fs::set_permissions(shared.folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let open = why(&shared);
    assert!(open.contains("could put a socket of theirs in the place of Tidegate's: `chmod go-w` it"), "{open}");

    let shared = Shared::new("");
    std::fs::write(shared.socket(), "mine").unwrap();
    assert!(why(&shared).contains("is there, and is no socket"));
    assert_eq!(std::fs::read_to_string(shared.socket()).unwrap(), "mine");

    // One that a killed server left is replaced, and one that is listened on is not.
    let mut first = Shared::new("");
    first.delivery.serve();
    let second = moved(&first.socket());
    assert!(why(&second).contains("another server listens on"));
    first.delivery.kill();
    first.delivery.serve();
    answered(&first);
}

#[test]
fn whoever_can_open_the_database_does_not_need_the_socket() {
    let shared = Shared::new("");
    // No server listens, and nobody is missing it.
    let said = shared.delivery.granted(&["status"]);
    assert!(said.contains("no system has been started yet"), "{said}");
    let why = shared.delivery.refused(&["--socket", "/nowhere/socket", "status"], 1);
    assert!(why.contains("no server can be asked at /nowhere/socket"), "{why}");
}
