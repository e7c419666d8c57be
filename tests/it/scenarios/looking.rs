//! The commands that look: at whether the log is whole, at the past, at why something waits, and at how well it goes.

use serde_json::Value;

use super::{NEW_VERSION, delivery::Delivery};

/// One change that is deployed in dev, a second that waits for approval; and the server has gone.
fn delivered() -> (Delivery, String, String) {
    let mut delivery = Delivery::careful();
    // Whoever looks as a guest is one of the people too.
    delivery.add_settings("[people.guest]\ngroups = [\"qa\"]\nos = [\"65534\"]\n");
    delivery.serve();
    let first = delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let asked = delivery.asking("deliver", "dev").id.to_string();
    delivery.granted(&["approve", &asked, "--as", "grace"]);
    delivery.done("deliver", "dev");
    delivery.software.set_branch("feature", &first);
    let less = [("VERSION", "webshop 3.0\n")];
    delivery.software.commit("feature", "Sell less", &less);
    let second = delivery.software.merge("dev", "feature", "Merge what sells less", &less);
    delivery.wait("the second question", |state| {
        state.live_runs().find(|run| run.answerable().is_some() && run.id.as_str() != asked).map(drop)
    });
    // Whoever closes the database last takes the files beside it away: the server is to leave them.
    delivery.closed_here();
    delivery.kill();
    (delivery, first, second)
}

impl Delivery {
    /// Waits until this process has closed the database, which its looks do a moment after they end.
    fn closed_here(&self) {
        let data = self.root().join("data").canonicalize().unwrap();
        let is_of_data = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.and_then(|entry| std::fs::read_link(entry.path())).is_ok_and(|path| path.starts_with(&data))
        };
        let begun = std::time::Instant::now();
        while std::fs::read_dir("/proc/self/fd").unwrap().any(is_of_data) {
            assert!(begun.elapsed() < std::time::Duration::from_secs(60), "the database stays open");
            std::thread::yield_now();
        }
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.granted(&[arguments, &["-o", "json"]].concat())).unwrap()
    }
}

#[test]
fn a_flipped_byte_in_the_database_is_found_and_named() {
    let (delivery, ..) = delivered();
    let whole = delivery.granted(&["verify-log"]);
    assert!(whole.contains("✓ webshop: ") && whole.contains("pending effects: as they were written"), "{whole}");
    let kept = whole.lines().find_map(|line| line.trim().strip_prefix("to keep elsewhere: ")).unwrap();
    assert!(delivery.granted(&["verify-log", "--expect", kept]).contains("as they were written"));
    let cut = delivery.command(&["verify-log", "--expect", &format!("9{kept}")]);
    assert_eq!(cut.status.code(), Some(1));
    assert!(String::from_utf8(cut.stdout).unwrap().contains("it was cut"));
    assert!(delivery.refused(&["verify-log", "--expect", "84"], 2).contains("64 hexadecimal digits"));
    let events = delivery.json(&["history", "--since", "1", "--limit", "1000"]);
    let seen = events.as_array().unwrap().iter().find(|event| event.to_string().contains("Sell more")).unwrap();
    let seq = seen["seq"].as_u64().unwrap();

    let database = delivery.root().join("data/tidegate.db");
    checkpoint(&database);
    let mut bytes = std::fs::read(&database).unwrap();
    // Only an event says what changed right after the subject.
    let text = b"\"subject\":\"Sell more\",\"changed\"";
    let places: Vec<usize> = (0..bytes.len() - text.len()).filter(|at| bytes[*at..].starts_with(text)).collect();
    let [place] = places[..] else { panic!("{places:?}") };
    bytes[place + 11] ^= 1;
    std::fs::write(&database, bytes).unwrap();

    let output = delivery.command(&["verify-log"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains(&format!("✗ webshop: event {seq}: the event, its facts or its hash was changed")), "{told}");
    let why = String::from_utf8(output.stderr).unwrap();
    assert!(why.contains("restore the last backup") && !why.contains('\u{1b}'), "{why}");
    let output = delivery.command(&["verify-log", "--system", "webshop", "-o", "json"]);
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told[0]["broken"]["seq"], &told[0]["events"]), (&seq.into(), &(seq - 1).into()));
}

#[test]
fn falsified_approvals_and_a_log_without_a_head_are_found() {
    let (delivery, ..) = delivered();
    let database = delivery.root().join("data/tidegate.db");
    by_hand(&database, "UPDATE runs SET run = replace(run, 'grace', 'mallory')");
    let output = delivery.command(&["verify-log"]);
    let told = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("is not what the events give in the history of runs"), "{told}");
    let why = String::from_utf8(output.stderr).unwrap();
    assert!(why.contains("what is stored of webshop is not as it was written"), "{why}");
    by_hand(&database, "PRAGMA foreign_keys = OFF; DELETE FROM systems");
    for arguments in [&["verify-log"][..], &["verify-log", "--system", "webshop"]] {
        let output = delivery.command(arguments);
        let told = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains("events and no head"), "{told}");
    }
}

#[test]
fn looking_where_nothing_is_makes_nothing() {
    let delivery = Delivery::careful();
    for command in ["status", "stats", "verify-log"] {
        let told = delivery.granted(&[command]);
        assert!(told.starts_with("no system has been started yet"), "{told}");
        assert_eq!(delivery.json(&[command]), Value::Array(Vec::new()));
        let why = delivery.refused(&[command, "--system", "webshop"], 1);
        assert!(why.contains("no system has been started yet"), "{why}");
    }
    for arguments in [
        &["runs"][..],
        &["run", "show", "deliver-1"],
        &["explain", "deliver-1"],
        &["trace", "a"],
        &["history"],
        &["logs", "deliver-1"],
    ] {
        let why = delivery.refused(arguments, 1);
        assert!(why.contains("no system has been started yet"), "{arguments:?}: {why}");
    }
    assert!(!delivery.root().join("data").exists());
}

/// A copy, or the place itself, of which somebody else may read everything and write nothing.
#[test]
fn looking_needs_no_permission_to_write() {
    let (delivery, first, _) = delivered();
    let runs = delivery.json(&["runs"]);
    let run = runs[0]["id"].as_str().unwrap();
    let looks = [
        &["status"][..],
        &["runs"],
        &["run", "show", run],
        &["explain", run],
        &["explain", &first, "--stage", "dev"],
        &["trace", &first],
        &["history"],
        &["replay", "--seq", "9"],
        &["verify-log"],
    ];
    let expected = looks.map(|arguments| delivery.json(arguments));
    let look_without_permission = || {
        for (arguments, expected) in looks.iter().zip(&expected) {
            let output = delivery.as_guest(&[arguments, &["-o", "json"][..]].concat());
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            let told: Value = serde_json::from_slice(&output.stdout).unwrap();
            assert_eq!(told, *expected, "{arguments:?}");
        }
        assert!(delivery.as_guest(&["stats"]).status.success());
        assert!(delivery.as_guest(&["logs", run]).status.success());
    };
    delivery.writable(false);
    look_without_permission();

    // A copy of only a part says so, and is not taken for the whole.
    delivery.writable(true);
    let data = delivery.root().join("data");
    std::fs::remove_file(data.join("tidegate.db-shm")).unwrap();
    delivery.writable(false);
    let output = delivery.as_guest(&["status"]);
    let why = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && why.contains("copy the database with the files beside it"), "{why}");

    delivery.writable(true);
    checkpoint(&data.join("tidegate.db"));
    assert!(!data.join("tidegate.db-wal").exists());
    delivery.writable(false);
    look_without_permission();
    delivery.writable(true);
}

impl Delivery {
    /// Types a command as somebody who may not write: where that is root, as nobody.
    fn as_guest(&self, arguments: &[&str]) -> std::process::Output {
        use std::os::unix::process::CommandExt as _;
        const NOBODY: u32 = 65_534;
        let mut command = self.tidegate(arguments);
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command.output().unwrap()
    }

    /// Lets everybody read the whole folder, and its owner write there or nobody.
    fn writable(&self, is_writable: bool) {
        use std::{fs::Permissions, os::unix::fs::PermissionsExt as _};
        let bits = if is_writable { 0o200 } else { 0 };
        let mut folders = vec![self.root().to_owned()];
        while let Some(folder) = folders.pop() {
            std::fs::set_permissions(&folder, Permissions::from_mode(0o555 | bits)).unwrap();
            for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
                match entry.file_type().unwrap() {
                    kind if kind.is_dir() => folders.push(entry.path()),
                    kind if kind.is_file()
                        && entry.path().extension().is_some_and(|end| end.to_string_lossy().starts_with("db")) =>
                    {
                        std::fs::set_permissions(entry.path(), Permissions::from_mode(0o444 | bits)).unwrap();
                    }
                    kind if kind.is_file() => {
                        let mode = entry.metadata().unwrap().permissions().mode();
                        std::fs::set_permissions(entry.path(), Permissions::from_mode(mode | 0o044)).unwrap();
                    }
                    _ => {}
                }
            }
        }
    }
}

/// Writes all of the write-ahead log into the database's own file.
fn checkpoint(database: &std::path::Path) {
    by_hand(database, "PRAGMA wal_checkpoint(TRUNCATE)");
}

/// Does something to the database, as somebody without Tidegate can.
fn by_hand(database: &std::path::Path, sql: &'static str) {
    use sqlx::{Connection as _, SqliteConnection};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = SqliteConnection::connect(&format!("sqlite://{}", database.display())).await.unwrap();
        sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    });
}

#[test]
fn the_past_is_told_as_the_present_was() {
    let (delivery, first, _) = delivered();
    let mut present = delivery.json(&["status"]);
    // Whether commands run in a sandbox is of this machine, and not of the past.
    present[0]["unboxed"] = false.into();
    let last = present[0]["events"].as_u64().unwrap();
    let mut replayed = delivery.json(&["replay", "--seq", &last.to_string()]);
    let past = replayed[0].as_object_mut().unwrap().shift_remove("past").unwrap();
    assert_eq!(past["seq"], last);
    assert_eq!(replayed, present, "the last event gives the present");

    // Just after the first change was deployed, nothing of the second was known.
    let events = delivery.json(&["history", "--since", "1", "--limit", "1000"]);
    let verified = |event: &&Value| event["event"]["effect"].as_str().is_some_and(|effect| effect.contains("/verify."));
    let event = events.as_array().unwrap().iter().rfind(verified).unwrap();
    let (seq, at_ms) = (event["seq"].to_string(), event["at_ms"].as_i64().unwrap());
    let text = delivery.granted(&["replay", "--seq", &seq]);
    assert!(text.contains("The past: as it was at ") && text.contains(&format!("after event {seq}")), "{text}");
    assert!(text.contains(&first[..10]) && text.contains("✓ verified"), "{text}");
    assert!(text.contains("Nothing is in motion, and nothing waits."), "{text}");
    let at = chrono::DateTime::from_timestamp_millis(at_ms).unwrap().to_rfc3339();
    let by_time = delivery.json(&["replay", "--at", &at]);
    assert!(by_time[0]["past"]["seq"].as_u64().unwrap() >= event["seq"].as_u64().unwrap());
    assert_eq!(by_time[0]["past"]["at_ms"], at_ms);

    for (arguments, expected) in [
        (["--seq", "0"], format!("its events are 1 to {last}")),
        (["--seq", "99999"], format!("its events are 1 to {last}")),
        (["--at", "2020-01-01 00:00"], "webshop begins at ".to_owned()),
        (["--at", "2999-01-01 00:00"], "has not come yet".to_owned()),
    ] {
        let why = delivery.refused(&["replay", arguments[0], arguments[1]], 1);
        assert!(why.contains(&expected), "{arguments:?}: {why}");
    }
    for arguments in [&["replay", "--at", "yesterday"][..], &["stats", "--since", "yesterday"]] {
        let why = delivery.refused(arguments, 2);
        assert!(why.contains("is not a time") && why.contains("`in 2h`"), "{why}");
    }
    let why = delivery.refused(&["replay"], 2);
    assert!(why.contains("--at <TIME>") && why.contains("--seq <SEQ>"), "{why}");
    assert_eq!(delivery.json(&["replay", "--seq", "1"])[0]["system"], "webshop", "before there were rules");
}

#[test]
fn a_run_a_commit_and_an_artifact_are_explained() {
    let (delivery, first, second) = delivered();
    let state = delivery.status();
    let runs = delivery.json(&["runs", "--rule", "deliver"]);
    let (waits, done) = (runs[0]["id"].as_str().unwrap(), runs[1]["id"].as_str().unwrap());
    let chain = delivery.granted(&["explain", waits]);
    assert!(chain.contains("✓ synth") && chain.contains("○ deploy"), "{chain}");
    let line = chain.lines().find(|line| line.contains("… approve")).unwrap();
    let words = &line[line.find("for ").unwrap()..line.find(", since").unwrap()];
    assert!(state.contains(words), "the words of status: {words}\n{state}");
    assert!(!chain.contains('\u{1b}'), "no colours but on a terminal");
    let explained = delivery.json(&["explain", done]);
    assert!(explained["conditions"].as_array().unwrap().iter().all(|condition| condition["verdict"] == "passed"));

    let there = delivery.granted(&["explain", &first[..10], "--stage", "dev"]);
    assert!(there.contains(&format!("{done} deployed it to webshop@dev")), "{there}");
    let asks = delivery.json(&["explain", &second, "--stage", "dev"]);
    assert_eq!((&asks["verdict"], &asks["repository"]), (&"waiting".into(), &"software".into()));
    let merged = delivery.software.git(&["rev-parse", &format!("{second}^2")]);
    let of_merged = delivery.json(&["explain", &merged[..10], "--stage", "dev"]);
    assert_eq!((&of_merged["contains"], &of_merged["commit"]), (&merged.trim().into(), &second.as_str().into()));
    let named = delivery.granted(&["explain", &format!("software@{}", &merged[..10]), "--stage", "dev"]);
    assert!(named.contains(&format!("software {} is the first head that contains it", &second[..10])), "{named}");
    let brought = format!("{} is in software dev, brought by {}", &merged[..10], &second[..10]);
    assert!(named.contains(&brought), "{named}");
    assert!(named.contains(&format!("what runs there ({done}) is made of {}, which does not have it", &first[..10])));
    let why = delivery.refused(&["explain", &format!("image@{}", &first[..10]), "--stage", "dev"], 1);
    assert!(why.contains("begins with `image@"), "of another repository: {why}");
    let packages = delivery.json(&["runs", "--rule", "package"]);
    let tag = packages[1]["steps"][0]["outputs"]["tag"].as_str().unwrap();
    let of_tag = delivery.json(&["explain", tag, "--stage", "dev"]);
    assert_eq!((&of_tag["artifact"]["kind"], &of_tag["commit"]), (&"tarball".into(), &first.as_str().into()));
    assert!(delivery.granted(&["trace", tag]).contains(&first), "what people see in a pin is traced");
    let why = delivery.refused(&["explain", done, "--stage", "main"], 1);
    assert!(why.contains(&format!("`tidegate explain {done}`")), "{why}");
    let ami = runs[1]["steps"].as_array().unwrap().iter().find_map(|step| step["outputs"]["image"].as_str()).unwrap();
    let of_image = delivery.json(&["explain", ami, "--stage", "qa"]);
    assert_eq!((&of_image["artifact"]["name"], &of_image["repository"]), (&ami.into(), &"image".into()));
    assert_eq!(of_image["summary"], "not in qa yet: it waits for somebody to promote dev to qa");

    assert!(delivery.refused(&["explain", "deliver-99"], 1).contains("has had no run"));
    assert!(delivery.refused(&["explain", &first], 1).contains("--stage"));
    assert!(delivery.refused(&["explain", "0000000000", "--stage", "qa"], 1).contains("begins with `0000000000`"));
    assert!(delivery.refused(&["explain", &first, "--stage", "moon"], 1).contains("it has: dev, qa, main"));

    let stats = delivery.json(&["stats"]);
    let dev = &stats[0]["stages"][0];
    assert_eq!((&dev["deployments"], &dev["failed"], &dev["lead_time"]["count"]), (&1.into(), &0.into(), &1.into()));
    let text = delivery.granted(&["stats", "--stage", "dev", "--since", "2h ago"]);
    assert!(text.contains("lead time") && text.contains("0 (0 %)") && !text.contains("\n  qa"), "{text}");
    let quiet = delivery.granted(&["stats", "--since", "0s"]);
    assert!(quiet.contains("nothing has been deployed in this time"), "{quiet}");
}
