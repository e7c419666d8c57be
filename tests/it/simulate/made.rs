//! What was made, and what was predicted to be made, in one form, so that they can be compared: names that only the real
//! run can know (the ids of commits, which depend on the time; the ids of new images) are replaced by their places.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tidegate::{
    engine::{
        Cause, Run, StepOutcome, StepState, StepWork, System, explain,
        plan::{Task, Wanted},
    },
    rules::Action,
    simulate::report::{Gate, Prediction, What},
    steps::Tools,
};

/// What no run is the cause of.
const FROM_OUTSIDE: &str = "the world";

/// A thing that was made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Thing {
    Package {
        tag: String,
        reused: bool,
    },
    Image {
        amis: BTreeMap<String, String>,
        reused: bool,
    },
    Commit {
        place: String,
        subject: String,
        tree: String,
        hunks: Vec<(String, String)>,
        merge: bool,
    },
    Deployment {
        target: String,
    },
    Failure {
        step: String,
    },
    /// What was waited for, and who approved it.
    Gate {
        step: String,
        for_what: String,
        by: Vec<String>,
    },
}

/// When a gate was first met open, and when it passed.
type Times = (i64, Option<i64>);

/// Things in order, each with its run's rule and stage.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Made {
    pub(super) things: Vec<(String, Thing)>,
    /// The commits in order, each with its place.
    commits: Vec<(String, String)>,
    /// Which rule in which stage began because of which.
    causes: BTreeSet<(String, String)>,
    /// Which rule in which stage was under way before; what it came of is not told.
    under_way: BTreeSet<String>,
    /// The runs that had nothing to do and were there before.
    before: Option<BTreeSet<u64>>,
    /// The gates: run, step and round → its place among the things, and when it opened and passed.
    gates: BTreeMap<(String, String, u32), (usize, Times)>,
}

impl Made {
    /// Notes what came of a real step.
    pub(super) async fn note(&mut self, state: &System, work: &StepWork, outcome: &StepOutcome, tools: &Tools) {
        let run = state.run(&work.run).unwrap();
        let whose = whose(run);
        self.note_cause(state, run);
        let outputs = match outcome {
            StepOutcome::Done { outputs, .. } => outputs,
            StepOutcome::Failed { .. } => {
                return self.things.push((whose, Thing::Failure { step: work.step.to_string() }));
            }
            _ => return,
        };
        let text = |name: &str| outputs.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let reused = outputs.get("reused") == Some(&Value::from(true));
        let is_new = outputs.get("changed") == Some(&Value::from(true));
        let (repository, merge) = match &work.task {
            Task::Action(Action::Package(_)) => {
                return self.things.push((whose, Thing::Package { tag: text("tag"), reused }));
            }
            Task::Action(Action::Bake(_)) => {
                let amis = serde_json::from_value(outputs["amis"].clone()).unwrap();
                return self.things.push((whose, Thing::Image { amis, reused }));
            }
            Task::Act(act) if matches!(act.wanted, Wanted::Deploy(_)) => {
                let target = run.target.as_ref().unwrap().to_string();
                return self.things.push((whose, Thing::Deployment { target }));
            }
            Task::Action(Action::Commit(commit)) if is_new => (&commit.repository, false),
            Task::Restore(restore) if is_new => (&restore.repository, false),
            Task::Merge(merge) if is_new => (&merge.repository, true),
            _ => return,
        };
        let mirror = tools.mirrors.mirror(&work.urls[repository]).unwrap();
        let tree = mirror.commit_info(&text("commit")).await.unwrap().tree;
        let patch = mirror.patch(&text("parent"), &text("commit"), usize::MAX).await.unwrap();
        let hunks = patch.files.into_iter().map(|file| (file.path, file.hunks)).collect();
        let place = format!("{repository} {}", work.branch);
        self.commits.push((place.clone(), text("commit")));
        self.things.push((whose, Thing::Commit { place, subject: text("subject"), tree, hunks, merge }));
    }

    /// Notes the gates that are open, and those that have passed.
    pub(super) fn note_gates(&mut self, state: &System, now_ms: i64) {
        // A run to which a move left nothing to do has no step that is carried out.
        let brought = || state.all_runs().filter(|run| run.steps.iter().all(|step| step.skipped.is_some()));
        let before = self.before.get_or_insert_with(|| brought().map(|run| run.number).collect()).clone();
        brought().filter(|run| !before.contains(&run.number)).for_each(|run| self.note_cause(state, run));
        for run in state.live_runs() {
            let mut ready = run.steps.iter().filter(|step| step.state == StepState::Ready);
            if let Some((step, held)) = ready.find_map(|step| Some((step, explain::held(state, run, step)?))) {
                let place = format!("held since {}", held.since_ms);
                self.opened(run, (step.id.as_str(), &place), step.round, (now_ms, held));
                self.note_cause(state, run);
            }
            for step in run.steps.iter().filter(|step| step.task.kind().is_gate() && step.state == StepState::Active) {
                let waiting = explain::step(state, run, step).unwrap();
                self.opened(run, (step.id.as_str(), step.id.as_str()), step.round, (now_ms, waiting));
                self.note_cause(state, run);
            }
        }
        for run in state.all_runs() {
            for step in run.steps.iter().filter(|step| step.state == StepState::Done) {
                let key = (run.id.to_string(), step.id.to_string(), step.round);
                let Some((place, (_, passed_ms))) = self.gates.get_mut(&key) else { continue };
                *passed_ms = step.ended_ms;
                if let (_, Thing::Gate { by, .. }) = &mut self.things[*place] {
                    *by = step.answers.iter().map(|answer| answer.by.name.clone()).collect();
                }
            }
        }
    }

    fn opened(
        &mut self,
        run: &Run,
        (step, place): (&str, &str),
        round: u32,
        (now_ms, waiting): (i64, explain::Waiting),
    ) {
        let key = (run.id.to_string(), place.to_owned(), round);
        if !self.gates.contains_key(&key) {
            self.gates.insert(key, (self.things.len(), (now_ms, None)));
            let gate = Thing::Gate { step: step.to_owned(), for_what: waiting.for_what, by: Vec::new() };
            self.things.push((whose(run), gate));
        }
    }

    fn note_cause(&mut self, state: &System, run: &Run) {
        self.causes.insert((whose(run), cause(state, run)));
    }

    /// When each gate opened and passed, by what it was.
    fn times(&self) -> Vec<(String, Times)> {
        let of = |(place, times): &(usize, Times)| {
            let (whose, thing) = &self.things[*place];
            let Thing::Gate { step, .. } = thing else { unreachable!("only gates are listed") };
            (format!("{whose} {step}"), *times)
        };
        let mut times: Vec<(String, Times)> = self.gates.values().map(of).collect();
        times.sort();
        times
    }

    /// What was predicted.
    pub(super) fn predicted(prediction: &Prediction) -> Self {
        let mut made = Self::default();
        let mut rules = BTreeMap::new();
        for event in &prediction.events {
            let (Some(run), Some(stage)) = (&event.run, &event.stage) else { continue };
            let thing = match &event.what {
                What::Run { rule, under_way, .. } => {
                    rules.insert(run.clone(), format!("{rule} {stage}"));
                    if *under_way {
                        made.under_way.insert(rules[run].clone());
                        continue;
                    }
                    let cause = event.because.and_then(|because| prediction.events[because - 1].run.as_ref());
                    let cause = cause.map_or_else(|| FROM_OUTSIDE.to_owned(), |run| rules[run].clone());
                    made.causes.insert((rules[run].clone(), cause));
                    continue;
                }
                What::Package { tag, reused, .. } => Thing::Package { tag: tag.clone(), reused: *reused },
                What::Image { amis, reused } => Thing::Image { amis: amis.clone(), reused: *reused },
                What::Commit { commit, repository, branch, subject, tree, merge, files, .. } => {
                    let place = format!("{repository} {branch}");
                    made.commits.push((place.clone(), format!("commit-{commit}")));
                    let hunks = files.iter().map(|file| (file.path.clone(), file.hunks.clone())).collect();
                    Thing::Commit { place, subject: subject.clone(), tree: tree.clone(), hunks, merge: *merge }
                }
                What::Deployment { target, .. } => Thing::Deployment { target: target.clone() },
                What::Failure { step, .. } => Thing::Failure { step: step.clone() },
                What::Gate(Gate { step, for_what, approved_by, passes_ms, .. }) => {
                    let key = (run.clone(), step.clone(), u32::try_from(event.number).unwrap());
                    made.gates.insert(key, (made.things.len(), (event.at_ms, *passes_ms)));
                    Thing::Gate { step: step.clone(), for_what: for_what.clone(), by: approved_by.clone() }
                }
                _ => continue,
            };
            made.things.push((rules[run].clone(), thing));
        }
        made
    }

    /// The same with every name that depends on the time or the build replaced: commits by place and number in it, images
    /// by the order in which they were first baked.
    pub(super) fn in_places(&self) -> Self {
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        let mut names: Vec<(String, String)> = Vec::new();
        for (place, commit) in &self.commits {
            let number = numbers.entry(place).or_default();
            *number += 1;
            let told = format!("<{place} #{number}>");
            let digits = commit.bytes().all(|byte| byte.is_ascii_hexdigit());
            names.push((commit.clone(), told.clone()));
            names.extend(digits.then(|| (commit[..10].to_owned(), told)));
        }
        let baked = self.things.iter().filter_map(|(_, thing)| match thing {
            Thing::Image { amis, .. } => Some(amis.values()),
            _ => None,
        });
        for (number, ami) in baked.flatten().enumerate() {
            if !names.iter().any(|(name, _)| name == ami) {
                names.push((ami.clone(), format!("<image {number}>")));
            }
        }
        // The longest first: `commit-1` begins `commit-12`.
        names.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
        let told = |text: &str| names.iter().fold(text.to_owned(), |text, (name, told)| text.replace(name, told));
        let thing = |thing: &Thing| match thing.clone() {
            Thing::Commit { place, subject, tree, hunks, merge } => {
                let hunks = hunks.iter().map(|(path, hunks)| (path.clone(), told(hunks))).collect();
                Thing::Commit { place, subject: told(&subject), tree, hunks, merge }
            }
            Thing::Image { amis, reused } => {
                Thing::Image { amis: amis.iter().map(|(region, ami)| (region.clone(), told(ami))).collect(), reused }
            }
            Thing::Gate { step, for_what, by } => Thing::Gate { step, for_what: told(&for_what), by },
            other => other,
        };
        let things = self.things.iter().map(|(whose, each)| (whose.clone(), thing(each))).collect();
        Self {
            things,
            commits: Vec::new(),
            causes: self.causes.clone(),
            under_way: self.under_way.clone(),
            before: self.before.clone(),
            gates: self.gates.clone(),
        }
    }

    /// The repositories into which the id of an image was written that can only be known when it is baked. The trees there
    /// differ by that id; what each commit changes is compared all the same, with the id replaced.
    fn with_image_ids(&self) -> BTreeSet<String> {
        let writes_id = |thing: &Thing| match thing {
            Thing::Commit { place, hunks, .. } if hunks.iter().any(|(_, hunks)| hunks.contains("<image ")) => {
                Some(place.split_once(' ').unwrap().0.to_owned())
            }
            _ => None,
        };
        self.things.iter().filter_map(|(_, thing)| writes_id(thing)).collect()
    }

    /// Without the trees of these repositories.
    fn without_trees(mut self, of: &BTreeSet<String>) -> Self {
        for (_, thing) in &mut self.things {
            match thing {
                Thing::Commit { place, tree, .. } if of.contains(place.split_once(' ').unwrap().0) => tree.clear(),
                _ => {}
            }
        }
        self
    }

    /// In order by place: what was made by each rule in each stage, and what came to each branch. The merges of one
    /// promotion have no order among them: they are made side by side.
    pub(super) fn by_place(&self) -> BTreeMap<String, Vec<Thing>> {
        let mut by_place: BTreeMap<String, Vec<Thing>> = BTreeMap::new();
        for (whose, thing) in &self.things {
            by_place.entry(whose.clone()).or_default().push(thing.clone());
            if let Thing::Commit { place, .. } = thing {
                by_place.entry(format!("branch {place}")).or_default().push(thing.clone());
            }
        }
        for (_, things) in by_place.iter_mut().filter(|(place, _)| place.starts_with("promote ")) {
            things.sort();
        }
        by_place
    }
}

/// The prediction was what then happened. Where no id of a new image was written, to the byte: the same trees.
pub(super) fn assert_came_true(prediction: &Prediction, made: &Made) {
    assert_is_in_order(prediction);
    let predicted = Made::predicted(prediction);
    assert!(!predicted.things.is_empty(), "something was predicted");
    let (mut predicted, mut made) = (predicted.in_places(), made.in_places());
    if prediction.placeholders.keys().any(|name| name.starts_with("ami-")) {
        let differ = made.with_image_ids();
        (predicted, made) = (predicted.without_trees(&differ), made.without_trees(&differ));
    }
    pretty_eq(&predicted.by_place(), &made.by_place());
    made.causes.retain(|(whose, _)| !predicted.under_way.contains(whose));
    predicted.causes.retain(|(whose, _)| !predicted.under_way.contains(whose));
    assert_eq!(predicted.causes, made.causes);
    // Work takes no time in a prediction, so what it says is the earliest.
    for ((gate, foreseen), (_, real)) in predicted.times().iter().zip(made.times()) {
        let passed_early = foreseen.1.zip(real.1).is_some_and(|(foreseen, real)| foreseen > real);
        assert!(foreseen.0 <= real.0 && !passed_early, "{gate}: foreseen {foreseen:?}, but it was {real:?}");
    }
}

/// Nothing is told before its cause, and no moment before an earlier one; every difference is told whole.
fn assert_is_in_order(prediction: &Prediction) {
    for event in &prediction.events {
        assert!(event.because.is_none_or(|because| because < event.number), "{event:?}");
        if let What::Commit { files, files_left_out, .. } = &event.what {
            assert!(*files_left_out == 0 && files.iter().all(|file| !file.cut), "{event:?}");
        }
    }
    assert!(prediction.events.is_sorted_by_key(|event| event.at_ms));
}

fn whose(run: &Run) -> String {
    format!("{} {}", run.subject.name(), run.stage)
}

/// The rule and stage of the run that a run comes of.
fn cause(state: &System, run: &Run) -> String {
    let by = match &run.cause {
        Cause::Push { by, .. } => by.as_ref(),
        Cause::Upstream { run } | Cause::Verified { run } | Cause::HalfWay { run } | Cause::NotVerified { run } => {
            Some(run)
        }
        Cause::Schedule { .. } | Cause::Command { .. } | Cause::Decision { .. } => None,
        Cause::Tag { .. } | Cause::Workflow { .. } | Cause::Release { .. } => None,
    };
    let by = by.map(|by| state.run(by).unwrap());
    by.map_or_else(|| FROM_OUTSIDE.to_owned(), whose)
}

fn pretty_eq(predicted: &BTreeMap<String, Vec<Thing>>, made: &BTreeMap<String, Vec<Thing>>) {
    let places: BTreeSet<&String> = predicted.keys().chain(made.keys()).collect();
    for place in places {
        let (predicted, made) = (predicted.get(place), made.get(place));
        assert!(predicted == made, "{place}\npredicted: {predicted:#?}\n\nmade: {made:#?}");
    }
}
