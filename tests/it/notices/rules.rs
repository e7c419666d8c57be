//! Notifications in rules: what they may say, and what is wrong with those that may not.

use tidegate::rules::{ChannelKind, ChannelName, Channels, Here, Mistakes, Notice, Rules, load, load_here};

const GOOD: &str = include_str!("../../../promotion-rules/webshop.yaml");

fn here() -> Here {
    let name = |name: &str| ChannelName::new(name).unwrap();
    let channels = Channels::from([(name("mail"), ChannelKind::Mail), (name("hook"), ChannelKind::Webhook)]);
    Here { channels, ..Here::default() }
}

fn with(notification: &str) -> String {
    format!("{GOOD}\nnotifications:\n  - {notification}\n")
}

fn messages(loaded: Result<Rules, Mistakes>) -> Vec<String> {
    let mistakes = loaded.map_or_else(|mistakes| mistakes.as_slice().to_vec(), |_| Vec::new());
    let shown = mistakes.iter().map(|mistake| match &mistake.help {
        Some(help) => format!("{} ({help})", mistake.message),
        None => mistake.message.clone(),
    });
    shown.collect()
}

/// The one mistake of this notification, wherever the rules are.
fn mistake(notification: &str) -> String {
    let found = messages(load("shop.yaml", &with(notification)));
    assert_eq!(found.len(), 1, "{notification}: {found:#?}");
    found[0].clone()
}

/// The one mistake of this notification where the channels are known.
fn mistake_here(notification: &str) -> String {
    assert_eq!(messages(load("shop.yaml", &with(notification))), Vec::<String>::new(), "elsewhere it is fine");
    let found = messages(load_here("shop.yaml", &with(notification), &here()));
    assert_eq!(found.len(), 1, "{notification}: {found:#?}");
    found[0].clone()
}

#[test]
fn every_name_of_every_notice_may_be_used() {
    for notice in Notice::ALL {
        let names: String = notice.names().map(|name| format!("{{{{{name}}}}} ")).collect();
        let name = notice.name();
        let text = with(&format!("{{ on: [{name}], via: hook, subject: '{names}', text: '{names}' }}"));
        load_here("shop.yaml", &text, &here()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    }
}

#[test]
fn a_name_that_is_not_there_is_a_mistake_with_its_place() {
    let found = mistake("{ on: [run_failed], via: hook, text: 'why: {{reasn}}' }");
    assert_eq!(found, "nothing is named `reasn` when `run_failed` is told (did you mean `reason`?)");
    let found = mistake("{ on: [run_failed, run_done], via: hook, text: '{{#if hint}}x{{/if}}' }");
    assert!(
        found.starts_with("nothing is named `hint` when `run_done` is told (its names are system, event"),
        "{found}"
    );
    let found = mistake("{ on: [run_done], via: hook, subject: '{{run.id}}' }");
    assert!(found.starts_with("nothing is named `run.id`"), "{found}");
    let text = with("{ on: [run_failed], via: hook, text: 'why: {{reasn}}' }");
    let mistakes = load("shop.yaml", &text).unwrap_err();
    assert_eq!(&text[mistakes.as_slice()[0].bytes.clone()], "reasn");
}

#[test]
fn what_could_never_be_told_is_a_mistake() {
    for (notification, expected) in [
        ("{ on: [rules_refused], rules: [deliver], via: hook }", "not of a rule"),
        ("{ on: [promoted], rules: [deliver], via: hook }", "not of a rule"),
        ("{ on: [run_done], stages: [prod], via: hook }", "there is no stage `prod`"),
        ("{ on: [run_done], rules: [delivr], via: hook }", "did you mean `deliver`?"),
        ("{ on: [run_done, run_done], via: hook }", "there twice"),
        ("{ on: [], via: hook }", "must not be empty"),
        ("{ on: [run_done], via: hook, subject: \"two\\nlines\" }", "a subject is one line"),
        ("{ on: [run_done], via: hook, text: '{{' }", "has no `}}`"),
    ] {
        let found = mistake(notification);
        assert!(found.contains(expected), "{notification}: {found}");
    }
    let found = messages(load("shop.yaml", &with("{ on: [run_donne], via: hook, fro: x }")));
    assert!(found.iter().any(|found| found.contains("run_done")), "{found:?}");
    assert!(found.iter().any(|found| found.contains("fro")), "{found:?}");
}

#[test]
fn where_the_channels_are_known_they_are_checked() {
    let good = "{ on: [run_done], via: mail, to: [release@example.com] }";
    load_here("shop.yaml", &with(good), &here()).unwrap_or_else(|mistakes| panic!("{mistakes}"));
    let found = mistake_here("{ on: [run_done], via: mial, to: [release@example.com] }");
    assert_eq!(found, "tidegate.toml has no channel `mial` (did you mean `mail`?)");
    let found = mistake_here("{ on: [run_done], via: chat }");
    let next_step = "add a section `[channels.chat]` to tidegate.toml; it has: hook, mail";
    assert_eq!(found, format!("tidegate.toml has no channel `chat` ({next_step})"));
    let found = mistake_here("{ on: [run_done], via: mail }");
    assert!(found.contains("names no address (say who is to get it"), "{found}");
    let found = mistake_here("{ on: [run_done], via: hook, to: [release@example.com] }");
    assert!(found.contains("a webhook, which has an address of its own (take `to` out"), "{found}");
    for bad in ["release-managers", "a b@example.com", "@example.com", "a@b@c", "Ada <ada@example.com>"] {
        let found = mistake_here(&format!("{{ on: [run_done], via: mail, to: ['{bad}'] }}"));
        assert!(found.contains("is not an address"), "{bad}: {found}");
    }
}
