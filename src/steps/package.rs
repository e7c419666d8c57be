//! `package`: an archive of the tree, named by the tree, so that the same tree is packed once whatever the branch.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    StepLog, Tools,
    foresight::{Ahead, Certainty, Foreseen, NOT_MADE, Told, placeholder_digest, text},
    given::time_left,
    step::{Progress, Step, Try, nothing_proceeds},
    taking::{several, taking},
};
use crate::{
    engine::{Artifact, CommitId, Digest, Made, StepWork},
    providers::{
        Fault,
        git::{self, Mirror},
        objects::{self, Source},
    },
    rules::{ArchiveFormat, Lfs, Package, Submodules},
};

/// What is kept beside an archive, so that finding it again needs no reading of it.
#[derive(Serialize, Deserialize)]
struct Record {
    sha256: String,
    size_bytes: u64,
}

/// Packs the tree.
pub(super) struct PackageStep<'rule>(pub(super) &'rule Package);

#[async_trait]
impl Step for PackageStep<'_> {
    async fn start(&self, on: &Try<'_>) -> Result<Progress, Fault> {
        make(self.0, on.work, on.tools, on.log).await
    }

    async fn cancel(&self, _: &str, _: &Try<'_>) -> Result<Progress, Fault> {
        nothing_proceeds()
    }

    /// A simulation fetches nothing: a package that needs what is elsewhere is not made, unless it was made before.
    async fn foresee(&self, ahead: Ahead<'_>) -> Foreseen {
        match fetches(self.0, &ahead).await {
            Ok(None) => ahead.really(self).await,
            Ok(Some((tag, paths))) => {
                let StepWork { run, step, .. } = &ahead.work;
                let what = format!("the digest of the package {tag} that {run} makes");
                let sha256 = ahead.stands_for(placeholder_digest(&format!("{run} {step}")), what);
                let sha256 = sha256.trim_start_matches("sha256:").to_owned();
                let uri = format!("{NOT_MADE}package/{run}/{step}");
                let artifact = Artifact::of_digest("tarball", &Digest::new(format!("sha256:{sha256}")), &uri);
                let outputs = outputs(&tag, &uri, &sha256, false);
                let note = format!("{paths} would be fetched for the package, and a simulation fetches nothing");
                let done = Foreseen::done(Certainty::Foreseen, Made::Nothing, outputs, vec![artifact]);
                Foreseen { note: Some(note), ..done }
            }
            Err(fault) => Foreseen::failed(fault),
        }
    }

    fn tell(&self, _: &StepWork, outputs: &Map<String, Value>) -> Told {
        let (tag, sha256) = (text(outputs, "tag").to_owned(), text(outputs, "sha256").to_owned());
        Told::Package { tag, sha256, reused: outputs.get("reused") == Some(&Value::from(true)) }
    }
}

/// What an archive of the run's commit is called, and where it is kept.
struct Named {
    options: git::ArchiveOptions,
    tag: String,
    object: String,
    record: String,
}

async fn named(package: &Package, mirror: &Mirror, commit: &CommitId, work: &StepWork) -> Result<Named, Fault> {
    let options = git::ArchiveOptions {
        format: match package.format {
            ArchiveFormat::TarGz => git::ArchiveFormat::TarGz,
            ArchiveFormat::TarZst => git::ArchiveFormat::TarZst,
        },
        exclude: package.exclude.clone(),
        taking: taking(package.lfs, package.submodules),
    };
    let identity = mirror.archive_identity(commit.as_str(), &options).await?;
    let repository = work.source.as_ref().map_or_else(String::new, |source| source.repository.to_string());
    let tag = format!("{repository}-{}", identity.get(..12).unwrap_or(&identity));
    let object = format!("packages/{}/{tag}.{}", work.system, options.format.extension());
    let record = format!("{object}.json");
    Ok(Named { options, tag, object, record })
}

/// The record of an archive that was made before.
async fn made_before(named: &Named, tools: &Tools) -> Result<Option<Record>, Fault> {
    let Named { object, record, .. } = named;
    if !tools.objects.exists(record).await? || !tools.objects.exists(object).await? {
        return Ok(None);
    }
    let read = serde_json::from_slice(&tools.objects.get(record).await?);
    read.map(Some).map_err(|error| Fault::fail(format!("{record}: {error}"), "remove it; it is made anew"))
}

/// The tag of a package that is not there, and what would have to be fetched for it; none when nothing has to be.
async fn fetches(package: &Package, ahead: &Ahead<'_>) -> Result<Option<(String, String)>, Fault> {
    if package.lfs != Lfs::Fetch && package.submodules != Submodules::Fetch {
        return Ok(None);
    }
    let Ahead { work, tools, .. } = ahead;
    let (mirror, commit) = tools.source(work).await?;
    let named = named(package, &mirror, &commit, work).await?;
    if made_before(&named, tools).await?.is_some() {
        return Ok(None);
    }
    let scratch = tools.scratch(work)?;
    let place = scratch.path().join("archive");
    let place = (place.as_path(), time_left(work));
    let paths = tools.mirrors.archive_fetches(&mirror, commit.as_str(), &named.options, place).await?;
    Ok((!paths.is_empty()).then(|| (named.tag, several(&paths))))
}

async fn make(package: &Package, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let (mirror, commit) = tools.source(work).await?;
    let named = named(package, &mirror, &commit, work).await?;
    if let Some(record) = made_before(&named, tools).await? {
        log.line(&format!("{} was packed before", named.tag)).await;
        return Ok(done(&named.tag, &tools.objects.uri(&named.object)?, &record, true));
    }
    let scratch = tools.scratch(work)?;
    let file = scratch.path().join("archive");
    let packed = tools.mirrors.archive(&mirror, commit.as_str(), &named.options, &file, time_left(work)).await?;
    log.output(packed.warnings.as_bytes()).await;
    let stored = tools.objects.put_if_absent(&named.object, Source::File(&file)).await?;
    let record = match stored.created {
        true => Record { sha256: packed.sha256, size_bytes: packed.size_bytes },
        // One that was put by a try that ended before it noted what it was: what is there counts.
        false => {
            let (sha256, size_bytes) = objects::sha256_of(&*tools.objects, &named.object).await?;
            Record { sha256, size_bytes }
        }
    };
    let record_bytes = serde_json::to_vec(&record).expect("plain values always serialise");
    tools.objects.put_if_absent(&named.record, Source::Bytes(&record_bytes)).await?;
    log.line(&format!("packed {} bytes as {}", record.size_bytes, named.tag)).await;
    Ok(done(&named.tag, &stored.uri, &record, !stored.created))
}

fn outputs(tag: &str, uri: &str, sha256: &str, reused: bool) -> [(&'static str, Value); 4] {
    [
        ("tag", Value::from(tag)),
        ("uri", Value::from(uri)),
        ("sha256", Value::from(sha256)),
        ("reused", Value::from(reused)),
    ]
}

fn done(tag: &str, uri: &str, record: &Record, reused: bool) -> Progress {
    let digest = Digest::new(format!("sha256:{}", record.sha256));
    Progress::done(outputs(tag, uri, &record.sha256, reused), vec![Artifact::of_digest("tarball", &digest, uri)])
}
