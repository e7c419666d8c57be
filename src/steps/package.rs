//! `package`: an archive of the tree, named by the tree, so that the same tree is packed once whatever the branch.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    StepLog, Tools,
    foresight::{Ahead, Foreseen, Told, text},
    step::{Act, Progress, Step, nothing_proceeds},
};
use crate::{
    engine::{Artifact, Digest, StepWork},
    providers::{
        Fault, git,
        objects::{Objects as _, Source},
    },
    rules::{ArchiveFormat, Package},
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
    async fn start(&self, on: &Act<'_>) -> Result<Progress, Fault> {
        make(self.0, on.work, on.tools, on.log).await
    }

    async fn cancel(&self, _: &str, _: &Act<'_>) -> Result<Progress, Fault> {
        nothing_proceeds()
    }

    async fn foresee(&self, ahead: Ahead<'_>) -> Foreseen {
        ahead.really(self).await
    }

    fn tell(&self, _: &StepWork, outputs: &Map<String, Value>) -> Told {
        let (tag, sha256) = (text(outputs, "tag").to_owned(), text(outputs, "sha256").to_owned());
        Told::Package { tag, sha256, reused: outputs.get("reused") == Some(&Value::from(true)) }
    }
}

async fn make(package: &Package, work: &StepWork, tools: &Tools, log: &StepLog) -> Result<Progress, Fault> {
    let (mirror, commit) = tools.source(work).await?;
    let options = git::ArchiveOptions {
        format: match package.format {
            ArchiveFormat::TarGz => git::ArchiveFormat::TarGz,
            ArchiveFormat::TarZst => git::ArchiveFormat::TarZst,
        },
        exclude: package.exclude.clone(),
    };
    let tree = mirror.commit_info(commit.as_str()).await?.tree;
    let identity = options.identity(&tree);
    let repository = work.source.as_ref().map_or_else(String::new, |source| source.repository.to_string());
    let tag = format!("{repository}-{}", identity.get(..12).unwrap_or(&identity));
    let object = format!("packages/{}/{tag}.{}", work.system, options.format.extension());
    let record_object = format!("{object}.json");
    if tools.objects.exists(&record_object).await? && tools.objects.exists(&object).await? {
        let record: Record = serde_json::from_slice(&tools.objects.get(&record_object).await?)
            .map_err(|error| Fault::fail(format!("{record_object}: {error}"), "remove it; it is made anew"))?;
        log.line(&format!("{tag} was packed before")).await;
        return Ok(done(&tag, &tools.objects.uri(&object)?, &record, true));
    }
    let scratch = tools.scratch(work)?;
    let file = scratch.path().join("archive");
    let info = mirror.archive(commit.as_str(), &options, &file).await?;
    let stored = tools.objects.put_if_absent(&object, Source::File(&file)).await?;
    let record = Record { sha256: info.sha256, size_bytes: info.size_bytes };
    let record_bytes = serde_json::to_vec(&record).expect("plain values always serialise");
    tools.objects.put_if_absent(&record_object, Source::Bytes(&record_bytes)).await?;
    log.line(&format!("packed {} bytes as {tag}", record.size_bytes)).await;
    Ok(done(&tag, &stored.uri, &record, !stored.created))
}

fn done(tag: &str, uri: &str, record: &Record, reused: bool) -> Progress {
    let digest = Digest::new(format!("sha256:{}", record.sha256));
    Progress::done(
        [
            ("tag", Value::from(tag)),
            ("uri", Value::from(uri)),
            ("sha256", Value::from(record.sha256.clone())),
            ("reused", Value::from(reused)),
        ],
        vec![Artifact::of_digest("tarball", &digest, uri)],
    )
}
