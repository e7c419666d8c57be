//! Rules files that are in force at the same time: each is whole in itself, and together they name each system once and start
//! nothing without end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    actions::Action,
    document::Node,
    mistake::{Findings, Mistakes},
    model::{Rule, Rules, Step},
    names::{RuleName, StageName},
    spelling::repository_key,
};

/// The rules of a file, with the places in it.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The file's name, as it was given.
    pub name: String,
    /// Its text.
    pub text: String,
    /// What it says. One repository may have another URL in another file.
    pub rules: Rules,
    pub(super) document: Node,
}

impl Loaded {
    /// The mistakes in URLs that are paths from the file's folder: a file of a commit has no folder.
    #[must_use]
    pub fn relative_urls(&self) -> Option<Mistakes> {
        let mut findings = Findings::default();
        for (name, repository) in &self.rules.repositories {
            let url = &repository.url;
            if !url.contains(':') && !url.starts_with('/') {
                let place = self.document.field("repositories").field(name.as_str()).field("url");
                findings.add_with_help(
                    place.bytes.clone(),
                    "this path is from the file's folder, and a file of a repository has none",
                    "write the repository's URL, or a path from the root",
                );
            }
        }
        (!findings.is_empty()).then(|| findings.in_file(&self.name, &self.text))
    }
}

/// A rule of a system in a stage.
type Place<'rules> = (usize, &'rules RuleName, &'rules StageName);

/// From each place to those that it starts, and how.
type Starts<'rules> = BTreeMap<Place<'rules>, Vec<(Place<'rules>, String)>>;

/// What is wrong between files, by their index. `standing` are rules that stay in force beside them: of other systems.
///
/// A file is in the answer when its system has another file before it, or when a rule of it would start itself through those of
/// other systems.
#[must_use]
pub fn check_together(files: &[Loaded], standing: &[Rules]) -> BTreeMap<usize, Mistakes> {
    let mut findings: BTreeMap<usize, Findings> = BTreeMap::new();
    for (index, file) in files.iter().enumerate() {
        if let Some(other) = files[..index].iter().find(|other| other.rules.system == file.rules.system) {
            findings.entry(index).or_default().add_with_help(
                file.document.field("system").bytes.clone(),
                format!("{} has the rules of `{}` already", other.name, file.rules.system),
                "a system has one file: name another system, or take one of the files away",
            );
        }
    }
    let all: Vec<&Rules> = files.iter().map(|file| &file.rules).chain(standing).collect();
    let starts = starts(&all);
    let mut told: BTreeSet<BTreeSet<(usize, &RuleName)>> = BTreeSet::new();
    for place in starts.keys() {
        let Some(way) = way_back(&starts, *place) else { continue };
        let systems: BTreeSet<usize> = way.iter().map(|((system, ..), _)| *system).collect();
        // A loop within a file is that file's own mistake.
        if systems.len() < 2 || !told.insert(way.iter().map(|((system, rule, _), _)| (*system, *rule)).collect()) {
            continue;
        }
        let hops: Vec<&str> = way.iter().map(|(_, how)| how.as_str()).collect();
        for (system, rule) in first_rules(&way) {
            let Some(file) = files.get(system) else { continue };
            findings.entry(system).or_default().add_with_help(
                file.document.field("rules").field(rule.as_str()).key("on"),
                format!("this rule would start itself without end, by the rules of other systems: {}", hops.join(", ")),
                "commit to another repository, or leave the committed file out with `paths`",
            );
        }
    }
    let of = |(index, findings): (usize, Findings)| (index, findings.in_file(&files[index].name, &files[index].text));
    findings.into_iter().map(of).collect()
}

/// Of each system on a way, the first rule.
fn first_rules<'rules>(way: &[(Place<'rules>, String)]) -> BTreeMap<usize, &'rules RuleName> {
    let mut first = BTreeMap::new();
    for ((system, rule, _), _) in way {
        first.entry(*system).or_insert(*rule);
    }
    first
}

fn starts<'rules>(all: &[&'rules Rules]) -> Starts<'rules> {
    let mut pushed: BTreeMap<(String, &str), Vec<(Place<'rules>, &'rules Rule)>> = BTreeMap::new();
    let places = || all.iter().enumerate().flat_map(|(system, rules)| places(system, rules));
    for (place, rule) in places() {
        let rules = all[place.0];
        if let Some(repository) = rule.on.push.as_ref().and_then(|name| rules.repositories.get(name)) {
            pushed.entry((repository_key(&repository.url), rules.branch(place.2))).or_default().push((place, rule));
        }
    }
    let mut starts = Starts::new();
    for (place, rule) in places() {
        let (system, name, stage) = place;
        let rules = all[system];
        let own = |next: &RuleName| format!("{} {next}: after {name}", rules.system);
        let after =
            rules.rules.iter().filter(|(_, next)| next.on.upstream.as_ref() == Some(name) && next.is_for(stage));
        let mut started: Vec<_> = after.map(|(next, _)| ((system, next, stage), own(next))).collect();
        for commit in rule.steps.iter().filter(|step| runs_in(step, stage)) {
            let Action::Commit(commit) = &commit.action else { continue };
            let Some(repository) = rules.repositories.get(&commit.repository) else { continue };
            let how = format!("{} {name}: commits to {} in {stage}", rules.system, commit.repository);
            let at = (repository_key(&repository.url), rules.branch(stage));
            let by = pushed.get(&at).into_iter().flatten();
            let by = by.filter(|(_, next)| next.on.paths.match_any(&[&commit.file]));
            started.extend(by.map(|(next, _)| (*next, how.clone())));
        }
        starts.insert(place, started);
    }
    starts
}

fn places(system: usize, rules: &Rules) -> impl Iterator<Item = (Place<'_>, &Rule)> {
    let at = move |(name, rule)| {
        let stages = rules.stages.keys().filter(move |stage| Rule::is_for(rule, stage));
        stages.map(move |stage| ((system, name, stage), rule))
    };
    rules.rules.iter().flat_map(at)
}

fn runs_in(step: &Step, stage: &StageName) -> bool {
    step.stages.as_ref().is_none_or(|stages| stages.contains(stage))
}

/// The shortest way from a place back to itself, as the places on it and how each starts the next.
fn way_back<'rules>(starts: &Starts<'rules>, start: Place<'rules>) -> Option<Vec<(Place<'rules>, String)>> {
    let mut came_from: BTreeMap<Place<'rules>, (Place<'rules>, &str)> = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(place) = waiting.pop_front() {
        for (next, how) in starts.get(&place).into_iter().flatten() {
            if came_from.contains_key(next) {
                continue;
            }
            came_from.insert(*next, (place, how.as_str()));
            waiting.push_back(*next);
        }
        if came_from.contains_key(&start) {
            break;
        }
    }
    let (mut way, mut at) = (Vec::new(), start);
    loop {
        let (from, how) = *came_from.get(&at)?;
        way.push((from, how.to_owned()));
        at = from;
        if at == start {
            way.reverse();
            return Some(way);
        }
    }
}
