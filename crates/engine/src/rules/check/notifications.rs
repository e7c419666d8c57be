//! Notifications: what they are of can be, their templates name what there is, and their channel is one that there is.

use super::{
    super::{
        document::Node,
        mistake::did_you_mean,
        notifications::{ChannelKind, Channels, Notice, Notification},
        template,
    },
    context::Check,
    templates::place_of,
};

/// The most notifications of a file: each event is compared with each of them.
const MOST_NOTIFICATIONS: usize = 100;
/// The most addresses of one: each is an effect of its own. More belong in a mailing list.
const MOST_ADDRESSES: usize = 20;
/// The longest address that mail can have, by RFC 5321.
const LONGEST_ADDRESS: usize = 254;

/// Checks what can be checked wherever the rules are.
pub(super) fn check(check: &mut Check<'_>) {
    let rules = check.rules;
    if rules.notifications.len() > MOST_NOTIFICATIONS {
        let place = check.document.key("notifications");
        return check.add(place, format!("there are more than {MOST_NOTIFICATIONS} notifications"));
    }
    for (index, notification) in rules.notifications.iter().enumerate() {
        let place = check.document.field("notifications").item(index);
        what_it_is_of(check, notification, place);
        if notification.to.len() > MOST_ADDRESSES {
            check.add_with_help(
                place.key("to"),
                format!("there are more than {MOST_ADDRESSES} addresses"),
                "make a mailing list of them",
            );
        }
        let subject = notification.subject.as_ref().map(|subject| (subject, place.field("subject")));
        if let Some((_, place)) = subject.filter(|(subject, _)| subject.contains(['\n', '\r'])) {
            check.add_with_help(
                place.bytes.clone(),
                "a subject is one line",
                "put what comes after the first line into `text`",
            );
        }
        let text = notification.text.as_ref().map(|text| (text, place.field("text")));
        for (text, place) in [subject, text].into_iter().flatten() {
            names(check, notification, text, place);
        }
    }
}

/// Checks what depends on the channels of `tidegate.toml`.
pub(super) fn channels(check: &mut Check<'_>, channels: &Channels) {
    for (index, notification) in check.rules.notifications.iter().enumerate() {
        let place = check.document.field("notifications").item(index);
        let Some(kind) = channels.get(&notification.via) else {
            let name = notification.via.as_str();
            let known = channels.keys().map(|name| name.as_str());
            let help = did_you_mean(name, known.clone()).unwrap_or_else(|| {
                let known: Vec<&str> = known.collect();
                let known = if known.is_empty() { String::new() } else { format!("; it has: {}", known.join(", ")) };
                format!("add a section `[channels.{name}]` to tidegate.toml{known}")
            });
            let message = format!("tidegate.toml has no channel `{name}`");
            check.add_with_help(place.field("via").bytes.clone(), message, help);
            continue;
        };
        match kind {
            ChannelKind::Mail if notification.to.is_empty() => check.add_with_help(
                place.field("via").bytes.clone(),
                format!("`{}` is mail, and this names no address", notification.via),
                "say who is to get it, as in `to: [\"release@example.com\"]`",
            ),
            ChannelKind::Mail => {
                for (index, address) in notification.to.iter().enumerate() {
                    let bytes = place.field("to").item(index).bytes.clone();
                    check.demand(&bytes, is_address(address));
                }
            }
            ChannelKind::Webhook if !notification.to.is_empty() => check.add_with_help(
                place.key("to"),
                format!("`{}` is a webhook, which has an address of its own", notification.via),
                "take `to` out, or name a channel for mail",
            ),
            ChannelKind::Webhook => {}
        }
    }
}

fn what_it_is_of(check: &mut Check<'_>, notification: &Notification, place: &Node) {
    for (index, notice) in notification.on.iter().enumerate() {
        let bytes = place.field("on").item(index).bytes.clone();
        if notification.on.iter().take(index).any(|other| other == notice) {
            check.add(bytes, format!("`{}` is there twice", notice.name()));
        } else if notification.rules.is_some() && !notice.is_of_a_rule() {
            check.add_with_help(
                bytes,
                format!("`{}` is not of a rule, and these `rules` would keep it away", notice.name()),
                "give it a notification of its own, without `rules`",
            );
        }
    }
    for (index, stage) in notification.stages.iter().flatten().enumerate() {
        let bytes = place.field("stages").item(index).bytes.clone();
        check.stage_exists(stage.as_str(), &bytes);
    }
    for (index, rule) in notification.rules.iter().flatten().enumerate() {
        let bytes = place.field("rules").item(index).bytes.clone();
        let rules = check.rules;
        check.exists("rule", rule.as_str(), rules.rules.keys().map(|name| name.as_str()), &bytes);
    }
}

/// Every name of a template is there whichever of its notices it tells of.
fn names(check: &mut Check<'_>, notification: &Notification, text: &str, place: &Node) {
    let used = match template::names(text) {
        Ok(used) => used,
        Err(error) => return check.add(place.bytes.clone(), error.to_string()),
    };
    for name in used {
        let shown = name.join(".");
        let bytes = place_of(check.text, &shown, &place.bytes);
        let lacks = |notice: &&Notice| !notice.names().any(|known| [known] == name[..]);
        let Some(notice) = notification.on.iter().find(lacks) else { continue };
        let help = did_you_mean(&shown, notice.names()).unwrap_or_else(|| {
            let known: Vec<&str> = notice.names().collect();
            format!("its names are {}", known.join(", "))
        });
        check.add_with_help(bytes, format!("nothing is named `{shown}` when `{}` is told", notice.name()), help);
    }
}

fn is_address(address: &str) -> Result<(), String> {
    let plain = |text: &str| {
        !text.is_empty() && text.chars().all(|c| !c.is_whitespace() && !c.is_control() && !"<>(),;:\"@".contains(c))
    };
    match address.split_once('@') {
        Some((local, domain)) if plain(local) && plain(domain) && address.len() <= LONGEST_ADDRESS => Ok(()),
        _ => Err(format!("`{address}` is not an address: write it as in `release@example.com`")),
    }
}
