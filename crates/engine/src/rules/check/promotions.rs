//! Promotions: they go forward, once between each pair, under conditions that can come true.

use super::{
    super::{actions::Quorum, document::Node, model::Promotion, window::Window},
    context::Check,
    gates,
};

pub(super) fn check(check: &mut Check<'_>) {
    let rules = check.rules;
    for (index, promotion) in rules.promotions.iter().enumerate() {
        let place = check.document.field("promotions").item(index);
        stages(check, promotion, place);
        let same = |other: &&Promotion| other.from == promotion.from && other.to == promotion.to;
        if rules.promotions.iter().take(index).any(|other| same(&other)) {
            let (from, to) = (&promotion.from, &promotion.to);
            check.add(place.bytes.clone(), format!("there is a promotion from `{from}` to `{to}` already"));
        }
        conditions(check, promotion, place.field("requires"));
    }
}

fn stages(check: &mut Check<'_>, promotion: &Promotion, place: &Node) {
    let (from, to) = (&promotion.from, &promotion.to);
    let from_exists = check.stage_exists(from.as_str(), &place.field("from").bytes);
    let to_exists = check.stage_exists(to.as_str(), &place.field("to").bytes);
    if !from_exists || !to_exists {
        return;
    }
    let bytes = place.field("to").bytes.clone();
    if from == to {
        check.add(bytes, format!("a promotion goes to another stage than `{from}`, from which it comes"));
    } else if check.rules.stages.get_index_of(from) > check.rules.stages.get_index_of(to) {
        check.add_with_help(
            bytes,
            format!("stage `{to}` comes before `{from}`, and promotions only go forward"),
            "swap `from` and `to`, or the order of the `stages`",
        );
    }
}

fn conditions(check: &mut Check<'_>, promotion: &Promotion, place: &Node) {
    let conditions = &promotion.requires;
    if let Some(window) = &conditions.window {
        check.demand(&place.field("window").bytes, Window::parse(window).map(|_| ()));
    }
    if let Some(quorum) = &conditions.approvals {
        self::quorum(check, quorum, place.field("approvals"));
    }
    gates::conditions(check, conditions, place);
    if !conditions.verified {
        check.add_with_help(
            place.field("verified").bytes.clone(),
            "a promotion is always of what was verified together in its source stage",
            "leave it out: a run that deploys there and succeeds is what verifies its set",
        );
    }
}

/// Checks who must approve something.
pub(super) fn quorum(check: &mut Check<'_>, quorum: &Quorum, place: &Node) {
    for (index, name) in quorum.from.iter().enumerate() {
        let bytes = place.field("from").item(index).bytes.clone();
        if name.trim().is_empty() {
            check.add(bytes, "this names nobody");
        } else if quorum.from.iter().take(index).any(|other| other == name) {
            check.add(bytes, format!("`{name}` is there twice"));
        }
    }
    if quorum.expires.is_some_and(|expires| expires.as_ms() == 0) {
        check.add(place.field("expires").bytes.clone(), "nobody could approve in no time");
    }
}
