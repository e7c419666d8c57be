//! `synth`: the template that is to be deployed, whole, stored under its digest.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use async_trait::async_trait;
use serde_json::{Map, Value, json};

use super::{
    StepLog, Tools,
    foresight::{Ahead, Certainty, Foreseen, NOT_MADE, Told, placeholder_digest, text},
    given::time_left,
    step::{Progress, Step, Try, nothing_proceeds},
    taking::{several, taking},
};
use crate::{
    engine::{Artifact, CommitId, Digest, Made, StepWork},
    providers::{Fault, document, git::Mirror, given, objects::Source, process},
    report::document::Document,
    rules::{Lfs, Submodules, Synth, template::render},
};

/// As much of a command's output as is kept; a template of CloudFormation's greatest size fits many times.
const OUTPUT_LIMIT_BYTES: usize = 8 * 1024 * 1024;

/// Makes the template.
pub(super) struct SynthStep<'rule>(pub(super) &'rule Synth);

#[async_trait]
impl Step for SynthStep<'_> {
    async fn start(&self, on: &Try<'_>) -> Result<Progress, Fault> {
        make(self.0, on.work, on.tools, on.log).await
    }

    async fn cancel(&self, _: &str, _: &Try<'_>) -> Result<Progress, Fault> {
        nothing_proceeds()
    }

    /// A command runs where it is wanted, on a copy; a simulation fetches nothing that only the real one would.
    async fn foresee(&self, ahead: Ahead<'_>) -> Foreseen {
        let command = self.0.command.join(" ");
        if !command.is_empty() && !ahead.foresight.run_commands {
            let note = format!("`{command}` was not run: `--run-commands` runs it on a copy");
            return not_made(&ahead, &command, note);
        }
        match fetches(self.0, &ahead).await {
            Ok(None) => ahead.really(self).await,
            Ok(Some(paths)) => {
                let note = format!("{paths} would be fetched for the template, and a simulation fetches nothing");
                not_made(&ahead, &command, note)
            }
            Err(fault) => Foreseen::failed(fault),
        }
    }

    fn tell(&self, _: &StepWork, outputs: &Map<String, Value>) -> Told {
        Told::Template { digest: text(outputs, "template_digest").to_owned() }
    }
}

/// A template that is not there.
fn not_made(ahead: &Ahead<'_>, command: &str, note: String) -> Foreseen {
    let StepWork { run, step, .. } = &ahead.work;
    let what = match command {
        "" => format!("the digest of the template of {run}"),
        command => format!("the digest of what `{command}` makes in {run}"),
    };
    let digest = ahead.stands_for(placeholder_digest(&format!("{run} {step}")), what);
    let uri = format!("{NOT_MADE}template/{run}/{step}");
    let template_digest = Digest::new(digest.as_str());
    let artifact = Artifact::of_digest("template", &template_digest, &uri);
    let outputs = [("template", Value::from(uri)), ("template_digest", Value::from(digest))];
    let made = Made::Synthesised { template_digest };
    Foreseen { note: Some(note), ..Foreseen::done(Certainty::Foreseen, made, outputs, vec![artifact]) }
}

/// What would have to be fetched for the template; none when nothing has to be.
async fn fetches(synth: &Synth, ahead: &Ahead<'_>) -> Result<Option<String>, Fault> {
    if synth.lfs != Lfs::Fetch && synth.submodules != Submodules::Fetch {
        return Ok(None);
    }
    let Ahead { work, tools, .. } = ahead;
    let (mirror, commit) = tools.source(work).await?;
    let (scratch, taking) = (tools.scratch(work)?, taking(synth.lfs, synth.submodules));
    let place = scratch.path().join("tree");
    let place = (place.as_path(), time_left(work));
    let mut paths = tools.mirrors.checkout_fetches(&mirror, commit.as_str(), taking, place).await?;
    if synth.command.is_empty() {
        let files = synth.parameters.values().filter_map(|of| of.split_once('#')).map(|(file, _)| file);
        let read: Vec<&str> = files.chain(synth.template.as_deref()).collect();
        let holds = |path: &str, file: &str| {
            file.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        paths.retain(|path| read.iter().any(|file| holds(path, file)));
    }
    Ok((!paths.is_empty()).then(|| several(&paths)))
}

async fn make(synth: &Synth, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let (mirror, commit) = tools.source(work).await?;
    let (name, text) = if synth.command.is_empty() {
        let path = synth.template.as_deref().unwrap_or_default();
        let bytes = read(synth, path, work, tools, (&mirror, &commit)).await?.ok_or_else(|| {
            Fault::fail(
                format!("there is no template `{path}` at {}", commit.short()),
                "add it, or correct `template` in the rules",
            )
        })?;
        (path.to_owned(), bytes)
    } else {
        run_command(synth, work, tools, (&mirror, &commit), log).await?
    };
    let text =
        String::from_utf8(text).map_err(|_| Fault::fail(format!("{name} is not UTF-8"), "a template is text"))?;
    let document =
        Document::parse(&name, &text).map_err(|finding| Fault::fail(finding.message.clone(), finding.place()))?;
    let template = with_parameters(document.value, synth, work, tools, (&mirror, &commit)).await?;
    let mut bytes = serde_json::to_vec_pretty(&template).expect("JSON values always serialise");
    bytes.push(b'\n');
    let digest = Digest::of(&bytes);
    let object = format!("templates/{}/{}.json", work.system, digest.as_str().replace(':', "-"));
    let stored = tools.objects.put_if_absent(&object, Source::Bytes(&bytes)).await?;
    let artifact = Artifact::of_digest("template", &digest, &stored.uri);
    Ok(Progress::made(
        Made::Synthesised { template_digest: digest.clone() },
        [("template", Value::from(stored.uri)), ("template_digest", Value::from(digest.as_str()))],
        vec![artifact],
    ))
}

/// A file of the repository.
async fn read(
    synth: &Synth,
    path: &str,
    work: &StepWork,
    tools: &Tools,
    (mirror, commit): (&Arc<Mirror>, &CommitId),
) -> Result<Option<Vec<u8>>, Fault> {
    let taking = taking(synth.lfs, synth.submodules);
    tools.mirrors.read_file(mirror, commit.as_str(), path, taking, time_left(work)).await
}

async fn run_command(
    synth: &Synth,
    work: &StepWork,
    tools: &Tools,
    (mirror, commit): (&Arc<Mirror>, &CommitId),
    log: &StepLog,
) -> Result<(String, Vec<u8>), Fault> {
    let scratch = tools.scratch(work)?;
    let (tree, home) = (scratch.path().join("tree"), scratch.path().join("home"));
    std::fs::create_dir_all(&home).map_err(|error| Fault::retry(format!("making {}: {error}", home.display())))?;
    let taking = taking(synth.lfs, synth.submodules);
    let said = tools.mirrors.checkout(mirror, commit.as_str(), &tree, taking, time_left(work)).await?;
    log.output(said.as_bytes()).await;
    let context = work.context();
    let template_fault =
        |error: crate::rules::TemplateError| Fault::fail(error.to_string(), "correct the template in the rules");
    let mut environment = BTreeMap::from([
        ("TIDEGATE_SYSTEM".to_owned(), work.system.to_string()),
        ("TIDEGATE_STAGE".to_owned(), work.stage.to_string()),
        ("TIDEGATE_ENVIRONMENT".to_owned(), work.environment.clone()),
        ("TIDEGATE_COMMIT".to_owned(), commit.to_string()),
    ]);
    for (name, template) in &synth.environment {
        environment.insert(name.clone(), render(template, &context).map_err(template_fault)?);
    }
    let secrets = tools.secrets.given(work, &synth.secrets)?;
    let caches = tools.own_caches(work, &synth.caches).await?;
    log.line(&format!("$ {}", synth.command.join(" "))).await;
    let finished = process::run(&process::Command {
        arguments: synth.command.clone(),
        sandbox: tools.sandbox.clone(),
        network: synth.network,
        secrets: secrets.clone(),
        caches,
        directory: tree.clone(),
        home,
        environment,
        stdin: None,
        deadline: time_left(work),
        output_limit_bytes: OUTPUT_LIMIT_BYTES,
    })
    .await?;
    log.output(&finished.stderr).await;
    if !finished.succeeded() {
        log.output(&finished.stdout).await;
        let how =
            if finished.timed_out { "did not end in time".to_owned() } else { format!("ended with {}", finished.exit) };
        let tail = last_lines(&finished.stderr);
        return Err(Fault::fail(
            format!("`{}` {how}{tail}", synth.command.join(" ")),
            format!("`tidegate logs {} {}` shows all of its output", work.run, work.step),
        ));
    }
    let made = match &synth.template {
        Some(path) => Some(path.clone()),
        None => made_by_cdk(&tree)?,
    };
    let in_it = || {
        Fault::fail(
            "the template has one of the step's secrets in it",
            "let it name where the secret is when it is deployed, as by a dynamic reference: a template is stored and shown",
        )
    };
    match made {
        Some(path) => {
            let (path, bytes) = read_made(&tree, &path)?;
            if given::reveals(&bytes, &secrets) { Err(in_it()) } else { Ok((path, bytes)) }
        }
        None if finished.redacted => Err(in_it()),
        None if finished.truncated => Err(Fault::fail(
            format!("`{}` printed more than {OUTPUT_LIMIT_BYTES} bytes", synth.command.join(" ")),
            "let it write the template to a file, and name that as `template`",
        )),
        None => Ok(("standard output".to_owned(), finished.stdout)),
    }
}

/// The end of what a command printed, for a message.
pub(super) fn last_lines(output: &[u8]) -> String {
    let text = String::from_utf8_lossy(output);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let tail = &lines[lines.len().saturating_sub(3)..];
    if tail.is_empty() { String::new() } else { format!(": {}", tail.join(" / ")) }
}

fn read_made(tree: &Path, path: &str) -> Result<(String, Vec<u8>), Fault> {
    let missing = |error: &dyn std::fmt::Display| {
        Fault::fail(
            format!("the command left no `{path}`: {error}"),
            "correct `template` in the rules, or what the command writes",
        )
    };
    let file = tree.join(path).canonicalize().map_err(|error| missing(&error))?;
    let within = tree.canonicalize().is_ok_and(|tree| file.starts_with(tree));
    if !within {
        return Err(missing(&"it leads out of the repository"));
    }
    // What is no file might never give an end, and a hole takes no disk.
    let found = file.metadata().map_err(|error| missing(&error))?;
    if !found.is_file() || found.len() > OUTPUT_LIMIT_BYTES as u64 {
        return Err(missing(&format!("it is no file of at most {OUTPUT_LIMIT_BYTES} bytes")));
    }
    Ok((path.to_owned(), std::fs::read(file).map_err(|error| missing(&error))?))
}

/// The one template of a CDK app's output folder (`cdk.out/<stack>.template.json`).
fn made_by_cdk(tree: &Path) -> Result<Option<String>, Fault> {
    let Ok(folder) = std::fs::read_dir(tree.join("cdk.out")) else { return Ok(None) };
    let mut names: Vec<String> = folder
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".template.json"))
        .collect();
    names.sort();
    match names.as_slice() {
        [] => Ok(None),
        [name] => Ok(Some(format!("cdk.out/{name}"))),
        several => Err(Fault::fail(
            format!("the app has {} stacks: {}", several.len(), several.join(", ")),
            "name the one that is deployed here as `template: cdk.out/<stack>.template.json`",
        )),
    }
}

/// Writes the values of the repository's files into the template as the defaults of its parameters.
async fn with_parameters(
    mut template: Value,
    synth: &Synth,
    work: &StepWork,
    tools: &Tools,
    (mirror, commit): (&Arc<Mirror>, &CommitId),
) -> Result<Value, Fault> {
    for (name, reference) in &synth.parameters {
        let (path, pointer) = reference.split_once('#').ok_or_else(|| {
            Fault::fail(
                format!("parameter {name}: `{reference}` names no value"),
                "write `file#/pointer`, as in `config.json#/ami`",
            )
        })?;
        let bytes = read(synth, path, work, tools, (mirror, commit)).await?;
        let file = bytes.map(|bytes| document::parse(path, &bytes)).transpose()?;
        let value = file.as_ref().and_then(|file| file.pointer(pointer)).ok_or_else(|| {
            Fault::fail(
                format!("parameter {name}: there is no `{pointer}` in {path} at {}", commit.short()),
                "the commit that sets it may not have come yet; or correct the reference in the rules",
            )
        })?;
        let value = match value {
            Value::Array(list) => {
                let texts: Vec<String> =
                    list.iter().map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect();
                Value::from(texts.join(","))
            }
            other => other.clone(),
        };
        let declared = template.pointer_mut(&format!("/Parameters/{name}")).and_then(Value::as_object_mut);
        let declared = declared.ok_or_else(|| {
            Fault::fail(
                format!("the template declares no parameter {name}"),
                "add it to `Parameters`, or take it out of the rules",
            )
        })?;
        declared.insert("Default".to_owned(), json!(value));
    }
    Ok(template)
}
