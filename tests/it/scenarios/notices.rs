//! Who is told of what, through the real program, by mail servers and webhooks on real sockets: once, however the
//! server ends.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixListener,
    sync::mpsc,
    time::Duration,
};

use tidegate::engine::Undelivered;

use super::{NEW_VERSION, delivery::Delivery};
use crate::support::{
    hook::{Answer, Hook, SECRET},
    mailbox::{MailBox, Mood, TlsFrom},
};

const BUSY: Answer = Answer::Say("503 Service Unavailable", "", "later");

/// A company with a webhook, which is told of the end of every run in dev.
fn hooked(hook: &Hook) -> Delivery {
    let delivery = Delivery::by_hand();
    let rules = delivery.rules();
    delivery.write_rules(&format!("{rules}\nnotifications:\n  - {{ on: [run_done, rules_refused], via: hook }}\n"));
    add_hook(&delivery, hook);
    delivery
}

fn add_hook(delivery: &Delivery, hook: &Hook) {
    std::fs::write(delivery.root().join("hook.secret"), format!("{SECRET}\n")).unwrap();
    let url = hook.url();
    delivery.add_settings(&format!(
        "[channels.hook]\nkind = \"webhook\"\nurl = \"{url}\"\nsecret_file = \"hook.secret\"\n"
    ));
}

fn add_mail(delivery: &Delivery, mailbox: &MailBox) {
    std::fs::write(delivery.root().join("mail.password"), "gate\n").unwrap();
    let port = mailbox.address.port();
    delivery.add_settings(&format!(
        "[channels.mail]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\n\
         from = \"Tidegate <tidegate@shop.example>\"\nusername = \"tide\"\npassword_file = \"mail.password\"\n"
    ));
}

fn all_told(delivery: &Delivery) {
    delivery.wait("everybody to be told", |state| state.notices.undelivered.is_empty().then_some(()));
}

#[test]
fn an_approval_is_asked_for_by_mail_and_given_by_what_the_mail_says_to_type() {
    let (mailbox, hook) = (MailBox::demanding(&[], Some("tide:gate")), Hook::start(&[]));
    let mut delivery = Delivery::careful();
    let notifications = "
notifications:
  - { on: [approval_wanted], stages: [dev], rules: [deliver], via: mail, to: [qa@example.com, grace@example.com] }
  - { on: [deployed], via: mail, to: [qa@example.com], subject: '{{system}} {{stage}}: {{event}}', text: 'It is at {{address}}.' }
  - { on: [approval_wanted, deployed, run_failed], via: hook }
";
    let rules = delivery.rules();
    delivery.write_rules(&format!("{rules}{notifications}"));
    add_mail(&delivery, &mailbox);
    add_hook(&delivery, &hook);
    delivery.granted(&["check"]);
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let mails = mailbox.wait_for(2);
    let mut to: Vec<&str> = mails.iter().flat_map(|mail| &mail.to).map(String::as_str).collect();
    to.sort_unstable();
    assert_eq!(to, ["grace@example.com", "qa@example.com"]);
    assert_eq!(mails[0].header("Subject"), "[webshop] deliver-3 in dev waits for approval");
    let text = mails[0].text().replace("=\r\n", "");
    let command = text.lines().find_map(|line| line.strip_prefix("To approve it:  tidegate ")).unwrap();
    let arguments: Vec<&str> = command.split(' ').chain(["--as", "grace"]).collect();
    assert!(text.contains("report.html"), "a link to what is approved: {text}");
    delivery.granted(&arguments);
    delivery.done("deliver", "dev");
    all_told(&delivery);
    let deployed = mailbox.received().pop().unwrap();
    assert_eq!(deployed.header("Subject"), "webshop dev: deployed");
    assert!(deployed.text().starts_with("It is at http://127.0.0.1:"), "{}", deployed.text());
    let told: Vec<String> = hook.posts().iter().map(|post| post.body["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(told, ["approval_wanted", "deployed"]);
    assert_eq!(hook.posts()[1].body["data"]["target"], "webshop");
    assert_eq!(mailbox.received().len(), 3);
    // Where there is no sandbox, that is trouble enough to be told.
    let is_quiet = !delivery.status().contains("Trouble");
    assert!(is_quiet || !crate::support::sandbox::is_here(), "{}", delivery.status());
    let database = std::fs::read(delivery.root().join("data/tidegate.db")).unwrap();
    let needle = SECRET.as_bytes();
    assert!(!database.windows(needle.len()).any(|window| window == needle), "a secret is not in the store");
}

#[test]
fn killed_between_the_sending_and_its_record_it_is_the_same_message_that_comes_again() {
    let hook = Hook::start(&[]);
    let mut delivery = hooked(&hook);
    let socket = delivery.root().join("debug.socket");
    let (listener, (sent, was_sent)) = (UnixListener::bind(&socket).unwrap(), mpsc::channel());
    // Lets everything go on until a notice has been sent, and then says nothing more.
    std::thread::spawn(move || {
        let (stream, _) = listener.accept().unwrap();
        let mut writer = stream.try_clone().unwrap();
        for point in BufReader::new(stream).lines().map_while(Result::ok) {
            if point.starts_with("after webshop notice/") {
                return sent.send((point, writer)).unwrap();
            }
            writer.write_all(b"go\n").unwrap();
        }
    });
    delivery.serve_with(&["--breakpoints", socket.to_str().unwrap()]);
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let (point, _held) = was_sent.recv_timeout(Duration::from_secs(60)).unwrap();
    assert_eq!(point, "after webshop notice/1#1");
    assert_eq!(hook.posts().len(), 1, "it is out");
    delivery.kill();
    let pending =
        delivery.wait("the state", |state| Some(state.notices.undelivered.keys().copied().collect::<Vec<_>>()));
    assert_eq!(pending, [1], "and nobody knows");
    delivery.serve();
    delivery.done("deliver", "dev");
    all_told(&delivery);
    let posts = hook.posts();
    assert_eq!((&posts[0].id, &posts[0].text), (&posts[1].id, &posts[1].text), "said again, word for word");
    assert_eq!((posts.len(), hook.taken().len()), (4, 3), "package, bake and deliver, each told once to who minds ids");
}

#[test]
fn a_restart_delivers_just_what_is_pending() {
    let hook = Hook::start(&[Answer::Say("200 OK", "", ""), BUSY]);
    let mut delivery = hooked(&hook);
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    let busy = |undelivered: &Undelivered| undelivered.tries > 0;
    delivery.wait("a busy receiver", |state| state.notices.undelivered.values().any(busy).then_some(()));
    let status = delivery.status();
    assert!(status.contains("run_done by hook was not told yet: POST http://127.0.0.1/…: answered 503"), "{status}");
    assert!(!status.contains("hidden"), "{status}");
    delivery.kill();
    delivery.serve();
    delivery.done("deliver", "dev");
    all_told(&delivery);
    let posts = hook.posts();
    let times = |id: &str| posts.iter().filter(|post| post.id == id).count();
    let again: Vec<&str> = posts.iter().filter(|post| times(&post.id) > 1).map(|post| post.id.as_str()).collect();
    let refused = posts.iter().find(|post| post.answer == BUSY).unwrap();
    assert_eq!(again, [refused.id.as_str(), refused.id.as_str()], "only what was not taken");
    assert_eq!(hook.taken().len(), 3);
    delivery.quiet();
}

#[test]
fn a_mail_server_that_hangs_holds_up_no_run_and_a_refused_address_is_said() {
    let mailbox = MailBox::start(&[Mood::Recipient("550 5.1.1 no such user"), Mood::Hang, Mood::Hang, Mood::Hang]);
    let mut delivery = Delivery::by_hand();
    let rules = delivery.rules();
    delivery.write_rules(&format!(
        "{rules}\nnotifications:\n  - {{ on: [run_done], via: mail, to: [gone@example.com] }}\n"
    ));
    let port = mailbox.address.port();
    delivery.add_settings(&format!(
        "[channels.mail]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\nsecurity = \"none\"\nfrom = \"t@shop.example\"\n"
    ));
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("deliver", "dev");
    let (given_up, left) = delivery.wait("a refusal", |state| {
        let given_up = state.notices.given_up.front()?.clone();
        Some((given_up, state.notices.undelivered.len()))
    });
    assert!(given_up.error.contains("550") && left == 2, "{given_up:?}, {left}");
    let status = delivery.status();
    assert!(status.contains("run_done by mail to gone@example.com was not told: "), "{status}");
    assert!(status.contains("check the address in the rules"), "{status}");
    let history = delivery.granted(&["history", "--limit", "100"]);
    assert!(history.contains("notice/1 was not delivered"), "{history}");
}

#[test]
fn a_channel_that_there_is_not_is_a_mistake_of_the_rules_and_is_told_by_those_that_there_are() {
    let hook = Hook::start(&[]);
    let mut delivery = hooked(&hook);
    let good = delivery.rules();
    delivery.write_rules(&good.replace("via: hook", "via: hok"));
    let why = delivery.refused(&["check"], 4);
    let said = String::from_utf8(delivery.command(&["check"]).stdout).unwrap();
    assert!(
        said.contains("tidegate.toml has no channel `hok`") && said.contains("did you mean `hook`?"),
        "{said}{why}"
    );
    delivery.write_rules(&good);
    delivery.serve();
    delivery.write_rules(&good.replace("via: hook", "via: pigeons"));
    let post = hook.wait_for(1).pop().unwrap();
    assert_eq!(post.body["type"], "rules_refused");
    let text = post.body["data"]["text"].as_str().unwrap();
    assert!(text.contains("add a section `[channels.pigeons]` to tidegate.toml; it has: hook"), "{text}");
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    delivery.done("package", "dev");
    assert_eq!(hook.wait_for(2)[1].body["type"], "run_done", "the last good rules stay in force");
}

#[test]
fn mail_goes_by_tls_either_way_to_a_server_that_the_system_trusts() {
    let mailboxes = [TlsFrom::Start, TlsFrom::Command].map(|from| (from, MailBox::with_tls(from, "tide:gate")));
    let mut delivery = Delivery::by_hand();
    let mut trusted = String::new();
    std::fs::write(delivery.root().join("mail.password"), "gate\n").unwrap();
    for (from, mailbox) in &mailboxes {
        let (name, port) = (format!("{from:?}").to_lowercase(), mailbox.address.port());
        let security = if *from == TlsFrom::Start { "tls" } else { "starttls" };
        delivery.add_settings(&format!(
            "[channels.{name}]\nkind = \"smtp\"\nhost = \"localhost\"\nport = {port}\nsecurity = \"{security}\"\n\
             from = \"tidegate@shop.example\"\nusername = \"tide\"\npassword_file = \"mail.password\"\n"
        ));
        trusted.push_str(mailbox.authority.as_ref().unwrap());
    }
    let bundle = delivery.root().join("trusted.pem");
    std::fs::write(&bundle, trusted).unwrap();
    delivery.environment.push(("SSL_CERT_FILE".to_owned(), bundle.display().to_string()));
    let rules = delivery.rules();
    delivery.write_rules(&format!(
        "{rules}\nnotifications:\n  - {{ on: [run_done], rules: [package], via: start, to: [ops@example.com] }}\n  \
         - {{ on: [run_done], rules: [package], via: command, to: [ops@example.com] }}\n"
    ));
    delivery.serve();
    delivery.software.commit("dev", "Sell more", &[NEW_VERSION]);
    for (from, mailbox) in &mailboxes {
        let mail = mailbox.wait_for(1).pop().unwrap();
        assert!(mail.encrypted && mail.user.as_deref() == Some("tide:gate"), "{from:?}: {mail:?}");
    }
    all_told(&delivery);
}
