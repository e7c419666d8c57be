//! What a simulation does not do, and what would come of it. Everything else is done for real, on copies, by the steps
//! themselves.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Map, Value};

use super::report::Certainty;
use crate::{
    engine::{Artifact, Digest, Made, Phase, Service, StepOutcome, StepWork, plan::Task},
    providers::{
        Fault,
        image_builder::{
            BuildHandle, BuildRequest, BuildState, BuildStatus, ImageBuilder, LocalImageBuilder, find_image,
        },
        local_service::read_template,
        objects::Objects as _,
    },
    rules::{Action, Bake, Deploy, Lint, Synth, TemplateError, template::render},
    steps::{Tools, perform},
};

/// How addresses of templates and services begin that are not there.
const NOT_MADE: &str = "placeholder:";
/// How long a step on a copy may really take. A prediction that takes longer is of no use.
const REAL_DEADLINE: Duration = Duration::from_secs(300);

/// What was foreseen of a step.
pub(super) struct Done {
    pub(super) outcome: StepOutcome,
    pub(super) certainty: Certainty,
    /// What was not done, for the reader.
    pub(super) note: Option<String>,
}

/// What stands for what: the placeholders of a simulation.
pub(super) type Placeholders = Arc<Mutex<BTreeMap<String, String>>>;

/// Foresees steps.
pub(super) struct Foresight {
    pub(super) placeholders: Placeholders,
    /// Whether the rules' commands are run, on copies, rather than supposed to succeed.
    pub(super) run_commands: bool,
}

impl Foresight {
    /// Does a step on the copies, or foresees what would come of it.
    pub(super) async fn step(&self, mut work: StepWork, tools: &Tools, now_ms: i64) -> Done {
        if work.phase == Phase::Cancel {
            return Done { outcome: StepOutcome::Cancelled, certainty: Certainty::Foreseen, note: None };
        }
        match work.task.clone() {
            Task::Action(Action::Deploy(deploy)) => self.deploy(&deploy, &work, tools).await,
            Task::Action(Action::Verify(_)) => {
                let outputs = Map::from_iter([("status".to_owned(), Value::from("assumed"))]);
                done(Made::Nothing, outputs, Vec::new(), Certainty::Assumed)
            }
            Task::Action(Action::Check(check)) => {
                let answer = Value::from(format!("assumed: {}", check.rendered(&work.context()).question()));
                done(Made::Nothing, Map::from_iter([("answer".to_owned(), answer)]), Vec::new(), Certainty::Assumed)
            }
            Task::Release(member) => {
                let note = format!("the other systems of the release {} are supposed to be ready", member.release.name);
                Done { note: Some(note), ..done(Made::Nothing, Map::new(), Vec::new(), Certainty::Assumed) }
            }
            Task::Action(Action::Synth(synth)) if !synth.command.is_empty() && !self.run_commands => {
                self.synth(&synth, &work)
            }
            Task::Action(Action::Lint(lint)) => self.lint(lint, work, tools, now_ms).await,
            Task::Action(Action::Bake(bake)) => bake_again(bake, work, tools, now_ms).await,
            Task::Action(Action::Package(_) | Action::Commit(_) | Action::Synth(_) | Action::Approve(_))
            | Task::FanIn
            | Task::Require(_)
            | Task::Soak { .. }
            | Task::Window { .. }
            | Task::Consent(_)
            | Task::CheckMerge(_)
            | Task::Merge(_)
            | Task::CheckRestore(_)
            | Task::Restore(_) => {
                Done { outcome: really(&mut work, tools, now_ms).await, certainty: Certainty::Done, note: None }
            }
        }
    }

    /// Notes what a name stands for.
    fn stands_for(&self, name: String, what: String) -> String {
        let mut placeholders = self.placeholders.lock().unwrap_or_else(PoisonError::into_inner);
        placeholders.insert(name.clone(), what);
        name
    }

    /// A template that a command would make.
    fn synth(&self, synth: &Synth, work: &StepWork) -> Done {
        let command = synth.command.join(" ");
        let digest = self.stands_for(
            placeholder_digest(&format!("{} {}", work.run, work.step)),
            format!("the digest of what `{command}` makes in {}", work.run),
        );
        let uri = format!("{NOT_MADE}template/{}/{}", work.run, work.step);
        let outputs = [("template", uri.as_str()), ("template_digest", digest.as_str())];
        let note = format!("`{command}` was not run: `--run-commands` runs it on a copy");
        let artifact = Artifact::of_digest("template", &Digest::new(digest.as_str()), &uri);
        let made = Made::Synthesised { template_digest: Digest::new(digest.as_str()) };
        Done { note: Some(note), ..done(made, texts(outputs), vec![artifact], Certainty::Foreseen) }
    }

    /// Our own checks and cfn-guard's are made; a template that is not there, and the rule's own checkers, are supposed to
    /// be without findings.
    async fn lint(&self, lint: Lint, mut work: StepWork, tools: &Tools, now_ms: i64) -> Done {
        let template = work.input("synth", "template").and_then(Value::as_str);
        if template.is_some_and(|uri| uri.starts_with(NOT_MADE)) {
            let name = placeholder_digest(&format!("report of {} {}", work.run, work.step));
            let digest = self.stands_for(name, format!("the digest of the lint report of {}", work.run));
            let mut outputs = texts([
                ("verdict", "passed"),
                ("report", &format!("{NOT_MADE}report/{}/{}", work.run, work.step)),
                ("report_digest", &digest),
            ]);
            outputs.extend([("errors".to_owned(), Value::from(0)), ("warnings".to_owned(), Value::from(0))]);
            return done(Made::Nothing, outputs, Vec::new(), Certainty::Assumed);
        }
        let skipped = !lint.commands.is_empty() && !self.run_commands;
        let note = skipped.then(|| {
            let names: Vec<String> = lint.commands.iter().map(|words| format!("`{}`", words.join(" "))).collect();
            format!("{} was not run: `--run-commands` runs it on a copy", names.join(", "))
        });
        if skipped {
            work.task = Task::Action(Action::Lint(Lint { commands: Vec::new(), ..lint }));
        }
        let certainty = if skipped { Certainty::Assumed } else { Certainty::Done };
        Done { outcome: really(&mut work, tools, now_ms).await, certainty, note }
    }

    /// All that a deployment checks before it begins is checked; that the service becomes healthy is supposed.
    async fn deploy(&self, deploy: &Deploy, work: &StepWork, tools: &Tools) -> Done {
        match self.deployed(deploy, work, tools).await {
            Ok(outputs) => {
                let name = work.key.to_string();
                let uri = text(&outputs, "address").to_owned();
                let artifact = Artifact { kind: "deployment".to_owned(), name, uri };
                let image = Some(text(&outputs, "image").to_owned()).filter(|image| !image.is_empty());
                let service = Service { address: Some(artifact.uri.clone()), image };
                done(Made::Deployed(service), outputs, vec![artifact], Certainty::Foreseen)
            }
            Err(fault) => Done { outcome: failed(fault), certainty: Certainty::Done, note: None },
        }
    }

    async fn deployed(&self, deploy: &Deploy, work: &StepWork, tools: &Tools) -> Result<Map<String, Value>, Fault> {
        let (uri, digest) = (input(work, "template")?, input(work, "template_digest")?);
        let mut image = String::new();
        if !uri.starts_with(NOT_MADE) {
            let template = String::from_utf8_lossy(&tools.objects.get(uri).await?).into_owned();
            let context = work.context();
            let parameter = |(name, value): (&String, &String)| Ok((name.clone(), render(value, &context)?));
            let parameters: Result<BTreeMap<_, _>, TemplateError> = deploy.parameters.iter().map(parameter).collect();
            let parameters =
                parameters.map_err(|error| Fault::fail(error.to_string(), "correct the template in the rules"))?;
            image = read_template(&template, &parameters)?.image;
            if !self.is_placeholder(&image) {
                find_image(&tools.objects, &image).await?;
            }
        }
        let address = format!("http://{}.placeholder.invalid", work.stage);
        let address = self.stands_for(address, format!("the address in {}", work.environment));
        let deployment = work.key.to_string();
        let outputs = [("deployment", &*deployment), ("digest", digest), ("address", &address), ("image", &image)];
        Ok(texts(outputs))
    }

    fn is_placeholder(&self, name: &str) -> bool {
        self.placeholders.lock().unwrap_or_else(PoisonError::into_inner).contains_key(name)
    }
}

/// An image of inputs that were baked before is found. Where it is to be baked anew all the same, it is supposed to come
/// out as it did: what would make it differ lies outside. For any other there is a placeholder.
async fn bake_again(bake: Bake, mut work: StepWork, tools: &Tools, now_ms: i64) -> Done {
    // A build that is under way is not looked at: it is begun again, and foreseen.
    if !work.handle.as_ref().is_some_and(|handle| handle.starts_with(NOT_MADE)) {
        (work.phase, work.handle) = (Phase::Start, None);
    }
    let anew = work.rebuild || !bake.reuse;
    work.rebuild = false;
    work.task = Task::Action(Action::Bake(Bake { reuse: true, ..bake }));
    let mut outcome = really(&mut work, tools, now_ms).await;
    match &mut outcome {
        StepOutcome::Done { outputs, .. } if outputs.get("reused") == Some(&Value::from(true)) => {
            if !anew {
                return Done { outcome, certainty: Certainty::Done, note: None };
            }
            outputs.insert("reused".to_owned(), Value::from(false));
            let note = "an image that is baked anew of the same inputs is supposed to come out as it did before";
            Done { outcome, certainty: Certainty::Assumed, note: Some(note.to_owned()) }
        }
        _ => Done { outcome, certainty: Certainty::Foreseen, note: None },
    }
}

/// Does a step for real. Its deadline is of the simulated time; here it gets a real one.
async fn really(work: &mut StepWork, tools: &Tools, now_ms: i64) -> StepOutcome {
    let left = Duration::from_millis(u64::try_from(work.deadline_ms - now_ms).unwrap_or(0)).min(REAL_DEADLINE);
    let present = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    work.deadline_ms = i64::try_from((present + left).as_millis()).unwrap_or(i64::MAX);
    match tokio::time::timeout(REAL_DEADLINE, perform(work, tools)).await {
        Ok(outcome) => outcome,
        Err(_) => StepOutcome::Failed {
            error: format!("it took longer than {} s on a copy", REAL_DEADLINE.as_secs()),
            hint: "the simulation gives up; the real run may have more time".to_owned(),
        },
    }
}

fn done(made: Made, outputs: Map<String, Value>, artifacts: Vec<Artifact>, certainty: Certainty) -> Done {
    Done { outcome: StepOutcome::Done { outputs, artifacts, made }, certainty, note: None }
}

fn failed(fault: Fault) -> StepOutcome {
    match fault {
        Fault::Retry { error, .. } => StepOutcome::Failed { error, hint: "the real run tries it again".to_owned() },
        Fault::Fail { error, hint } => StepOutcome::Failed { error, hint },
    }
}

fn texts<'text>(outputs: impl IntoIterator<Item = (&'text str, &'text str)>) -> Map<String, Value> {
    outputs.into_iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}

/// An output that is a text; empty when there is none.
pub(super) fn text<'outputs>(outputs: &'outputs Map<String, Value>, name: &str) -> &'outputs str {
    outputs.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn input<'work>(work: &'work StepWork, name: &str) -> Result<&'work str, Fault> {
    work.input("synth", name).and_then(Value::as_str).ok_or_else(|| {
        Fault::fail(
            format!("{} needs `{name}` from a `synth` step before it", work.step),
            format!("put a `synth` step before `{}`, or add it to its `needs`", work.step),
        )
    })
}

/// A digest that is plainly none: of its right length, and mostly noughts.
fn placeholder_digest(of: &str) -> String {
    let whole = Digest::of(of.as_bytes()).to_string();
    format!("sha256:{}{}", "0".repeat(52), &whole[whole.len() - 12..])
}

/// Builds nothing: every build is available at once, under ids that are plainly placeholders and the same for the same
/// inputs. What can be known to fail before a build begins fails.
pub(super) struct ForeseenBuilder {
    pub(super) placeholders: Placeholders,
    requests: Mutex<BTreeMap<String, BuildRequest>>,
}

impl ForeseenBuilder {
    pub(super) fn new(placeholders: Placeholders) -> Self {
        Self { placeholders, requests: Mutex::default() }
    }
}

#[async_trait]
impl ImageBuilder for ForeseenBuilder {
    async fn start(&self, request: &BuildRequest) -> Result<BuildHandle, Fault> {
        LocalImageBuilder::check(request)?;
        let handle = format!("{NOT_MADE}{}", request.token);
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).insert(handle.clone(), request.clone());
        Ok(BuildHandle(handle))
    }

    async fn poll(&self, handle: &BuildHandle) -> Result<BuildStatus, Fault> {
        let request = self.requests.lock().unwrap_or_else(PoisonError::into_inner).get(&handle.0).cloned();
        let request = request.ok_or_else(|| Fault::fail("there is no such build", "this is a mistake in Tidegate"))?;
        let inputs = BuildRequest { token: String::new(), requested_at: String::new(), ..request.clone() };
        let inputs = serde_json::to_string(&inputs).expect("plain values always serialise");
        let mut placeholders = self.placeholders.lock().unwrap_or_else(PoisonError::into_inner);
        let (name, mut images) = (&request.name, BTreeMap::new());
        for region in &request.regions {
            // The form of a real id, so that what checks the form is content: 17 digits, the first eight of them noughts.
            let digest = placeholder_digest(&format!("{region}\n{inputs}"));
            let ami = format!("ami-00000000{}", &digest[digest.len() - 9..]);
            placeholders.insert(ami.clone(), format!("the image of {name} in {region} that is yet to be baked"));
            images.insert(region.clone(), ami);
        }
        let digest = placeholder_digest(&inputs);
        placeholders.insert(digest.clone(), format!("the digest of the image of {name} that is yet to be baked"));
        let digest = digest.trim_start_matches("sha256:").to_owned();
        Ok(BuildStatus { state: BuildState::Available { images, digest }, log: String::new() })
    }

    async fn ended(&self, _: &str) -> Result<Option<BuildState>, Fault> {
        Ok(None)
    }

    async fn cancel(&self, _: &BuildHandle) -> Result<(), Fault> {
        Ok(())
    }
}
