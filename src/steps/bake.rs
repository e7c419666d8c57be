//! `bake`: a machine image from the trigger's repository. An image of identical inputs is used again, whatever the branch, and
//! one that is being built is waited for. Of several images of the same inputs, the one that is pinned already stays.

use std::{collections::BTreeMap, time::Duration};

use async_trait::async_trait;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    StepLog, Tools,
    foresight::{Ahead, Certainty, Foreseen, NOT_MADE, Told},
    given::time_left,
    step::{Progress, Step, Try},
    taking::taking,
};
use crate::{
    engine::{Artifact, Digest, Made, Phase, StepOutcome, StepWork, explain},
    providers::{
        Fault, document,
        git::FileEdit,
        image_builder::{BuildHandle, BuildRequest, BuildState, ImageBuilder, Software},
        objects::{self, Objects, Source},
    },
    rules::{Bake, Commit, template::render_value},
};

/// How often a build is looked at. A build on this machine takes seconds; looking costs one small file.
const POLL_EVERY: Duration = Duration::from_millis(300);
/// How many builds of the very same inputs may have failed. Whoever tries that often has not changed what fails.
const MOST_BUILDS: u32 = 1_000;
/// How many images of the same inputs are known: with a build every night, those of half a year. One that is older is not
/// kept where it is pinned.
const MOST_IMAGES: usize = 200;

/// What an image repository's file says (`config.json` unless the rule names another).
#[derive(Deserialize)]
struct Config {
    /// What the image is called; the system's name unless it says otherwise.
    name: Option<String>,
    /// The regions that get an AMI id each, the first one first.
    regions: Vec<String>,
    /// One software, or several by name.
    #[serde(default)]
    software: Value,
    /// The component documents, as paths in the repository, in order.
    #[serde(default)]
    components: Vec<String>,
    /// Values for the components' parameters.
    #[serde(default)]
    parameters: BTreeMap<String, String>,
}

/// The pins of one software.
#[derive(Deserialize)]
struct SoftwarePins {
    uri: String,
    sha256: String,
    #[serde(default = "opt")]
    destination: String,
}

fn opt() -> String {
    "/opt/software".to_owned()
}

/// Which build a step began or joined, kept under the step's key: tried again, it finds that one, however it ended.
#[derive(Serialize, Deserialize)]
struct Joined {
    token: String,
}

/// An image that was baked.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Baked {
    amis: BTreeMap<String, String>,
    digest: String,
}

/// What is kept by the digest of some inputs: the images that were baked of them.
#[derive(Serialize, Deserialize)]
struct Images {
    #[serde(flatten)]
    newest: Baked,
    /// The newest of them first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    earlier: Vec<Baked>,
}

impl Images {
    /// All of them, the newest first.
    fn all(&self) -> impl Iterator<Item = &Baked> {
        std::iter::once(&self.newest).chain(&self.earlier)
    }
}

/// Builds an image.
pub(super) struct BakeStep<'rule>(pub(super) &'rule Bake);

#[async_trait]
impl Step for BakeStep<'_> {
    async fn start(&self, on: &Try<'_>) -> Result<Progress, Fault> {
        let (request, inputs) = request(self.0, on.work, on.tools).await?;
        start(self.0, request, &inputs, on.work, on.tools, on.log).await
    }

    async fn poll(&self, handle: &str, on: &Try<'_>) -> Result<Progress, Fault> {
        let (request, inputs) = request(self.0, on.work, on.tools).await?;
        poll(handle, &request, &inputs, on).await
    }

    /// A build that another run waits for as well goes on.
    async fn cancel(&self, handle: &str, on: &Try<'_>) -> Result<Progress, Fault> {
        if !on.work.shared {
            on.tools.providers.images(&on.work.stage)?.cancel(&BuildHandle(handle.to_owned())).await?;
        }
        Ok(Progress::Cancelled)
    }

    /// An image of inputs that were baked before is found. Where it is to be baked anew all the same, it is supposed to come
    /// out as it did: what would make it differ lies outside. For any other there is a placeholder.
    async fn foresee(&self, mut ahead: Ahead<'_>) -> Foreseen {
        // A build that is under way is not looked at: it is begun again, and foreseen.
        if !ahead.work.handle.as_ref().is_some_and(|handle| handle.starts_with(NOT_MADE)) {
            (ahead.work.phase, ahead.work.handle) = (Phase::Start, None);
        }
        let anew = ahead.work.rebuild || !self.0.reuse;
        ahead.work.rebuild = false;
        let again = Bake { reuse: true, ..self.0.clone() };
        let mut outcome = ahead.outcome(&BakeStep(&again)).await;
        let (certainty, note) = match &mut outcome {
            StepOutcome::Done { outputs, .. } if outputs.get("reused") == Some(&Value::from(true)) && anew => {
                outputs.insert("reused".to_owned(), Value::from(false));
                let note = "an image that is baked anew of the same inputs is supposed to come out as it did before";
                (Certainty::Assumed, Some(note.to_owned()))
            }
            StepOutcome::Done { outputs, .. } if outputs.get("reused") == Some(&Value::from(true)) => {
                (Certainty::Done, None)
            }
            _ => (Certainty::Foreseen, None),
        };
        Foreseen { outcome, certainty, note }
    }

    fn tell(&self, _: &StepWork, outputs: &Map<String, Value>) -> Told {
        let amis = outputs.get("amis").and_then(Value::as_object).into_iter().flatten();
        let amis = amis.map(|(region, id)| (region.clone(), id.as_str().unwrap_or_default().to_owned())).collect();
        Told::Image { amis, reused: outputs.get("reused") == Some(&Value::from(true)) }
    }
}

async fn start(
    bake: &Bake,
    mut request: BuildRequest,
    inputs: &str,
    work: &StepWork,
    tools: &Tools,
    log: &StepLog,
) -> Result<Progress, Fault> {
    let builder = tools.providers.images(&work.stage)?;
    if bake.reuse && !work.rebuild {
        let index = by_inputs(inputs);
        if tools.objects.exists(&index).await? {
            let images: Images = read(tools, &index).await?;
            log.line("an image of the very same inputs was baked before").await;
            let pinned = pinned(&images, &request, work, tools).await?;
            return Ok(done(pinned.unwrap_or(&images.newest), &request, true));
        }
        request.token = build_of(inputs, &request.token, builder, tools).await?;
        log.line(&format!("building {}", request.token)).await;
    }
    let BuildHandle(handle) = builder.start(&request).await?;
    Ok(Progress::Pending { handle, after: POLL_EVERY, progress: "the build was started".to_owned() })
}

/// The image of these that is pinned where the run would pin one: it is what was promoted with the run's commit, or what
/// the stage was taken back to, and a newer build of the same inputs does not take its place by itself.
async fn pinned<'images>(
    images: &'images Images,
    request: &BuildRequest,
    work: &StepWork,
    tools: &Tools,
) -> Result<Option<&'images Baked>, Fault> {
    let mut candidates: Vec<&Baked> = images.all().collect();
    if candidates.len() == 1 || work.pinned_by.is_empty() {
        return Ok(None);
    }
    for commit in &work.pinned_by {
        let edits: Vec<FileEdit> = candidates.iter().map(|image| edit(commit, image, request, work)).collect();
        let says = tools.mirror(work, &commit.repository)?.says(&work.branch, &edits, time_left(work)).await?;
        let pinned = candidates.iter().zip(says).filter(|(_, says)| *says).map(|(image, _)| *image);
        candidates = pinned.collect();
    }
    Ok(candidates.first().copied())
}

/// What a later commit step would set for this image, as far as that is known yet.
fn edit(commit: &Commit, image: &Baked, request: &BuildRequest, work: &StepWork) -> FileEdit {
    let mut context = work.context();
    context[work.step.as_str()] = Value::Object(outputs(image, request, true));
    let known = |(pointer, value): (&String, &Value)| Some((pointer.clone(), render_value(value, &context).ok()?));
    FileEdit { path: commit.file.clone(), set: commit.set.iter().filter_map(known).collect() }
}

/// Keeps an image by its inputs, as the newest of them. Builds that end at one moment are all kept, whoever waits for them.
async fn keep(baked: &Baked, inputs: &str, objects: &dyn Objects) -> Result<(), Fault> {
    let index = by_inputs(inputs);
    let with_this = |before: Option<&[u8]>| {
        let before: Option<Images> = before.map(|bytes| parsed(&index, bytes)).transpose()?;
        let others = before.iter().flat_map(Images::all).filter(|image| *image != baked);
        let images = Images { newest: baked.clone(), earlier: others.take(MOST_IMAGES - 1).cloned().collect() };
        Ok(serde_json::to_vec(&images).expect("plain values always serialise"))
    };
    objects::update(objects, &index, with_this).await
}

/// The build of these inputs that a step with this key is to wait for: the one that it joined before, or the first that did
/// not end badly. So two stages that come to the same inputs at the same time share one build, and a failed one is not
/// found again by a step that is done anew.
async fn build_of(inputs: &str, key: &str, builder: &dyn ImageBuilder, tools: &Tools) -> Result<String, Fault> {
    let joined = format!("images/by-step/{}.json", Digest::of(key.as_bytes()).as_str().replace(':', "-"));
    if tools.objects.exists(&joined).await? {
        return Ok(read::<Joined>(tools, &joined).await?.token);
    }
    for number in 1..=MOST_BUILDS {
        let token = format!("{inputs}-{number}");
        if !matches!(builder.ended(&token).await?, Some(BuildState::Failed { .. } | BuildState::Cancelled)) {
            let record = serde_json::to_vec(&Joined { token: token.clone() }).expect("plain values always serialise");
            tools.objects.put(&joined, Source::Bytes(&record)).await?;
            return Ok(token);
        }
    }
    Err(Fault::fail(format!("{MOST_BUILDS} builds of these inputs failed"), "change what fails, and push it"))
}

async fn read<Record: DeserializeOwned>(tools: &Tools, object: &str) -> Result<Record, Fault> {
    parsed(object, &tools.objects.get(object).await?)
}

fn parsed<Record: DeserializeOwned>(object: &str, bytes: &[u8]) -> Result<Record, Fault> {
    serde_json::from_slice(bytes)
        .map_err(|error| Fault::fail(format!("{object}: {error}"), "remove it; the image is baked anew"))
}

async fn poll(
    handle: &str,
    request: &BuildRequest,
    inputs: &str,
    Try { work, tools, log }: &Try<'_>,
) -> Result<Progress, Fault> {
    let status = tools.providers.images(&work.stage)?.poll(&BuildHandle(handle.to_owned())).await?;
    let progress = match status.state {
        BuildState::Pending => "PENDING",
        BuildState::Building => "BUILDING",
        BuildState::Testing => "TESTING",
        BuildState::Available { images, digest } => {
            log.output(status.log.as_bytes()).await;
            let baked = Baked { amis: images, digest };
            keep(&baked, inputs, &*tools.objects).await?;
            return Ok(done(&baked, request, false));
        }
        BuildState::Failed { reason } => {
            log.output(status.log.as_bytes()).await;
            return Err(Fault::fail(
                format!("the image build FAILED: {reason}"),
                "`tidegate logs` shows the whole of it",
            ));
        }
        BuildState::Cancelled => {
            return Err(Fault::fail(
                "the image build was CANCELLED outside of Tidegate",
                "`tidegate retry` builds it anew",
            ));
        }
    };
    Ok(Progress::Pending { handle: handle.to_owned(), after: POLL_EVERY, progress: progress.to_owned() })
}

/// What is to be built, from the run's commit, and the digest of all that goes into it.
async fn request(bake: &Bake, work: &StepWork, tools: &Tools) -> Result<(BuildRequest, String), Fault> {
    let (mirror, commit) = tools.source(work).await?;
    let taking = taking(bake.lfs, bake.submodules);
    let read = async |path: &str| {
        let read = tools.mirrors.read_file(&mirror, commit.as_str(), path, taking, time_left(work)).await?;
        read.ok_or_else(|| {
            Fault::fail(
                format!("there is no `{path}` at {}", commit.short()),
                "add it, or name the right file in the rules",
            )
        })
    };
    let path = bake.config.as_str();
    let config: Config = serde_json::from_value(document::parse(path, &read(path).await?)?).map_err(|error| {
        Fault::fail(
            format!("{path}: {error}"),
            "it needs `regions`, and may have `software`, `components`, `parameters`, `name`",
        )
    })?;
    let mut components = Vec::new();
    for component in &config.components {
        let text = String::from_utf8(read(component).await?)
            .map_err(|_| Fault::fail(format!("{component} is not UTF-8"), "a component document is YAML text"))?;
        components.push((component.clone(), text));
    }
    let mut request = BuildRequest {
        token: String::new(),
        name: config.name.unwrap_or_else(|| work.system.to_string()),
        components,
        software: software(path, config.software)?,
        regions: config.regions,
        parameters: config.parameters,
        requested_at: String::new(),
        network: bake.network,
        secrets: Vec::new(),
    };
    let bytes = serde_json::to_vec(&request).expect("plain values always serialise");
    let inputs = Digest::of(&bytes).as_str().replace(':', "-");
    request.token = work.key.to_string();
    // No inputs: where a secret is, and what it is, leaves the image as it is.
    request.secrets = tools.secrets.places(work, &bake.secrets)?;
    request.requested_at = explain::time(work.started_ms);
    Ok((request, inputs))
}

fn software(path: &str, value: Value) -> Result<Vec<Software>, Fault> {
    let several = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Object(object) if object.contains_key("uri") => vec![("software".to_owned(), Value::Object(object))],
        Value::Object(object) => object.into_iter().collect(),
        other => {
            let hint = "it is an object with `uri` and `sha256`, or one such object per name";
            return Err(Fault::fail(format!("{path}: `software` is {other}"), hint));
        }
    };
    let read = |(name, value): (String, Value)| {
        let SoftwarePins { uri, sha256, destination } = serde_json::from_value(value).map_err(|error| {
            Fault::fail(
                format!("{path}: software `{name}`: {error}"),
                "a `package` and `commit` rule sets `uri` and `sha256`",
            )
        })?;
        Ok(Software { name, uri, sha256, destination })
    };
    several.into_iter().map(read).collect()
}

fn by_inputs(inputs: &str) -> String {
    format!("images/by-inputs/{inputs}.json")
}

fn done(baked: &Baked, request: &BuildRequest, reused: bool) -> Progress {
    let ami = |(_, id): (&String, &String)| Artifact { kind: "ami".into(), name: id.as_str().into(), uri: "".into() };
    let image = Artifact::of_digest("image", &Digest::new(format!("sha256:{}", baked.digest)), "");
    let artifacts = std::iter::once(image).chain(baked.amis.iter().map(ami)).collect();
    Progress::Done { outputs: outputs(baked, request, reused), artifacts, made: Made::Nothing }
}

fn outputs(baked: &Baked, request: &BuildRequest, reused: bool) -> Map<String, Value> {
    let Baked { amis, digest } = baked;
    let first = request.regions.first().and_then(|region| amis.get(region)).cloned().unwrap_or_default();
    let by_region = amis.iter().map(|(region, id)| (region.clone(), Value::from(id.clone()))).collect();
    let outputs = [
        ("amis", Value::Object(by_region)),
        ("ami", Value::from(first)),
        ("digest", Value::from(format!("sha256:{digest}"))),
        ("reused", Value::from(reused)),
    ];
    outputs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use crate::providers::objects::DirectoryObjects;

    #[tokio::test(flavor = "multi_thread")]
    async fn images_that_are_ready_at_one_moment_are_all_kept() {
        let directory = tempfile::tempdir().unwrap();
        let image = |number: usize| Baked { amis: BTreeMap::new(), digest: number.to_string() };
        let mut tasks = Vec::new();
        for number in 0..12 {
            // A handle of its own, as another process has.
            let objects = DirectoryObjects::open(directory.path()).unwrap();
            tasks.push(tokio::spawn(async move { keep(&image(number), "inputs", &objects).await }));
        }
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        let objects = DirectoryObjects::open(directory.path()).unwrap();
        let kept: Images = parsed("", &objects.get(&by_inputs("inputs")).await.unwrap()).unwrap();
        let mut digests: Vec<usize> = kept.all().map(|image| image.digest.parse().unwrap()).collect();
        digests.sort_unstable();
        assert_eq!(digests, (0..12).collect::<Vec<_>>());
        keep(&image(3), "inputs", &objects).await.unwrap();
        let again: Images = parsed("", &objects.get(&by_inputs("inputs")).await.unwrap()).unwrap();
        assert_eq!((again.newest.digest.as_str(), again.all().count()), ("3", 12), "once, and the newest");
    }
}
