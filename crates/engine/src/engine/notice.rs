//! Notices: what people and programs are told of, as the rules' `notifications` wish. A notice is an effect of its own,
//! tried again by itself and given up in the end; nothing waits for it, so no run is held up by a mail server.

mod tell;

use std::cmp::Reverse;

use serde_json::{Map, Value};

use super::{
    effect::Effect,
    event::Delivery,
    fact::{Fact, NoticeFact},
    moment,
    run::{Run, Subject},
    state::{Message, System},
    turn::Turn,
};
use crate::rules::{Notice, Notification, RuleName, StageName, TemplateError, printable, template};

/// How often a notice is tried: with the waits between, for about ten hours, which outlasts a night without a mail server.
pub const NOTICE_ATTEMPTS: u32 = 20;
/// The wait before the second try; doubled for each further one.
const FIRST_WAIT_MS: i64 = 5_000;
/// The longest wait of our own.
const LONGEST_WAIT_MS: i64 = 3_600_000;
/// The longest wait that a receiver may ask for: longer, and what it is told would be of no use any more.
const LONGEST_ASKED_WAIT_MS: i64 = 6 * 3_600_000;
/// How many notices may be undelivered at once: as many as one event can make by the most notifications with the most
/// addresses. With more, those that failed the most give way, for a receiver that is gone must not fill the state; what was
/// never tried does not.
pub const MOST_UNDELIVERED: usize = 2_000;
/// How many may be undelivered when none of them was tried: only where nobody drives, or far slower than things happen. With
/// more, the oldest is given up.
pub const MOST_UNTRIED: usize = 5 * MOST_UNDELIVERED;
/// How many of those that were given up are remembered.
pub const MOST_GIVEN_UP: usize = 8;
/// The longest subject, in characters: what mail programs show, and more.
const LONGEST_SUBJECT: usize = 200;
/// The longest text and the longest fact in it, in characters: a notice says what happened; the rest is where it leads to.
const LONGEST_TEXT: usize = 8_000;
const LONGEST_FACT: usize = 4_000;

/// Something that happened and may be told.
pub(super) struct Happened {
    notice: Notice,
    stage: Option<StageName>,
    rule: Option<RuleName>,
    facts: Map<String, Value>,
}

impl Happened {
    fn new(notice: Notice, summary: String) -> Self {
        let happened = Self { notice, stage: None, rule: None, facts: Map::new() };
        happened.with("event", notice.name()).with("summary", summary)
    }

    /// Something of a run, with what can be said of every run.
    fn of_run(notice: Notice, system: &System, run: &Run, summary: String) -> Self {
        let environment = system.rules().and_then(|rules| rules.stages.get(&run.stage));
        let environment = environment.map_or("", |stage| stage.environment.as_str());
        let commits = run.set.iter().map(|(repository, commit)| format!("{repository} {}", commit.short()));
        let commits = commits.collect::<Vec<_>>().join(", ");
        let authors = run.authors.iter().cloned().collect::<Vec<_>>().join(", ");
        let source = run.source.as_ref();
        let rule = match &run.subject {
            Subject::Rule(rule) => Some(rule.clone()),
            Subject::Promotion { .. } | Subject::Rollback | Subject::TakeBack => None,
            Subject::Rules | Subject::Operation(_) => None,
        };
        let happened = Self { stage: Some(run.stage.clone()), rule, ..Self::new(notice, summary) };
        happened
            .with("stage", run.stage.as_str())
            .with("environment", environment)
            .with("rule", run.subject.name())
            .with("run", run.id.as_str())
            .with("repository", source.map_or("", |source| source.repository.as_str()))
            .with("commit", source.map_or("", |source| source.commit.as_str()))
            .with("commits", commits)
            .with("authors", authors)
    }

    fn with(mut self, name: &str, fact: impl Into<String>) -> Self {
        self.facts.insert(name.to_owned(), Value::from(shortened(&printable(&fact.into()), LONGEST_FACT)));
        self
    }
}

impl Turn<'_> {
    /// Whether anybody wishes for such a notice: what happens often is put in words only then.
    fn is_wished(&self, notice: Notice) -> bool {
        self.system.rules().is_some_and(|rules| rules.notifications.iter().any(|wish| wish.on.contains(&notice)))
    }

    /// Makes the notices that the rules in force wish for. Each address has one of its own: where one is refused, the
    /// others are told, and none is told twice because another has to be tried again.
    fn tell(&mut self, happened: Happened) {
        let Some(rules) = self.system.rules().cloned() else { return };
        let mut happened = happened.with("system", rules.system.as_str()).with("at", moment::time(self.at_ms));
        // Whoever reads it may have several systems, whose runs have the same names.
        if let Some(Value::String(command)) = happened.facts.get_mut("command") {
            command.push_str(" --system ");
            command.push_str(rules.system.as_str());
        }
        let (notice, stage, rule) = (happened.notice, happened.stage.as_ref(), happened.rule.as_ref());
        for wish in rules.notifications.iter().filter(|wish| wish.tells_of(notice, stage, rule)) {
            let facts = Value::Object(happened.facts.clone());
            let (subject, text) = words(wish, notice, &facts);
            let addresses: Vec<Option<&String>> =
                if wish.to.is_empty() { vec![None] } else { wish.to.iter().map(Some).collect() };
            for to in addresses {
                self.send(Message {
                    notice,
                    via: wish.via.clone(),
                    to: to.cloned(),
                    subject: subject.clone(),
                    text: text.clone(),
                    facts: happened.facts.clone(),
                    at_ms: self.at_ms,
                });
            }
        }
    }

    fn send(&mut self, message: Message) {
        let number = self.system.notices.made + 1;
        let effect = Effect::notice(number, 1, self.at_ms);
        let message = Box::new(message);
        self.record_notice(number, NoticeFact::Made { message, effect: effect.id.clone() });
        self.emit(effect);
        self.make_room();
    }

    /// Gives up what there is no room for.
    fn make_room(&mut self) {
        loop {
            let undelivered = &self.system.notices.undelivered;
            let count = undelivered.len();
            if count <= MOST_UNDELIVERED {
                return;
            }
            let failing = undelivered.iter().filter(|(_, undelivered)| undelivered.tries > 0);
            let worst = failing.max_by_key(|(number, undelivered)| (undelivered.tries, Reverse(**number)));
            let oldest = undelivered.keys().next().filter(|_| count > MOST_UNTRIED);
            let Some(number) = worst.map(|(number, _)| number).or(oldest).copied() else { return };
            let Some(undelivered) = undelivered.get(&number).cloned() else { return };
            self.drop_effect(&undelivered.effect);
            let error = undelivered.error.unwrap_or_else(|| "it was not sent yet".to_owned());
            let error = format!("it gave way to others, more than {MOST_UNDELIVERED} being undelivered: {error}");
            let hint = "mend the channel; what happens from then on is told again".to_owned();
            self.given_up(number, &error, hint);
        }
    }

    /// What came of a try to deliver a notice, whose effect is settled.
    pub(super) fn notice_outcome(&mut self, number: u64, outcome: &Delivery) {
        let Some(undelivered) = self.system.notices.undelivered.get(&number) else { return };
        let tries = undelivered.tries + 1;
        match outcome {
            Delivery::Delivered => self.record_notice(number, NoticeFact::Delivered),
            Delivery::Retry { error, .. } if tries >= NOTICE_ATTEMPTS => {
                let hint = "mend the channel; what happens from then on is told again".to_owned();
                self.given_up(number, &format!("gave up after {tries} tries: {error}"), hint);
            }
            Delivery::Retry { error, after_ms } => {
                let asked_ms = after_ms.unwrap_or(0).clamp(0, LONGEST_ASKED_WAIT_MS);
                let due_ms = self.at_ms.saturating_add(asked_ms.max(wait_ms(tries)));
                let effect = Effect::notice(number, tries + 1, due_ms);
                let error = shortened(error, LONGEST_FACT);
                self.record_notice(number, NoticeFact::Tried { error, effect: effect.id.clone() });
                self.emit(effect);
            }
            Delivery::Failed { error, hint } => self.given_up(number, error, hint.clone()),
        }
    }

    fn given_up(&mut self, number: u64, error: &str, hint: String) {
        let error = shortened(error, LONGEST_FACT);
        self.record_notice(number, NoticeFact::GivenUp { error, hint, at_ms: self.at_ms });
        let given_up = self.system.notices.given_up.iter().map(|given_up| given_up.number);
        let surplus = given_up.len().saturating_sub(MOST_GIVEN_UP);
        for forgotten in given_up.take(surplus).collect::<Vec<_>>() {
            self.record_notice(forgotten, NoticeFact::Forgotten);
        }
    }

    fn record_notice(&mut self, notice: u64, what: NoticeFact) {
        self.record(Fact::Notice { notice, what });
    }
}

/// The subject and text of a notice. Its templates were checked when the rules were loaded, but perhaps by another version,
/// and a log must replay: what cannot be rendered is said in the notice's own words.
fn words(wish: &Notification, notice: Notice, facts: &Value) -> (String, String) {
    let render = |given: &Option<String>, default: &str| -> Result<String, TemplateError> {
        given.as_deref().map_or_else(|| template::render(default, facts), |given| template::render(given, facts))
    };
    let plain = |default: &str| template::render(default, facts).unwrap_or_else(|_| notice.name().to_owned());
    let subject = render(&wish.subject, notice.default_subject()).unwrap_or_else(|_| plain(notice.default_subject()));
    let text = render(&wish.text, notice.default_text())
        .unwrap_or_else(|error| format!("{}\n({error})\n", plain(notice.default_text())));
    let one_line: String = subject.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    (shortened(one_line.trim(), LONGEST_SUBJECT), shortened(&text, LONGEST_TEXT))
}

/// How long to wait before the next try, by ourselves: doubled each time, bounded.
fn wait_ms(tries: u32) -> i64 {
    FIRST_WAIT_MS.saturating_mul(1 << tries.saturating_sub(1).min(20)).min(LONGEST_WAIT_MS)
}

fn shortened(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest { text.to_owned() } else { text.chars().take(longest).chain(['…']).collect() }
}
