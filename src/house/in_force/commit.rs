//! Rules from a repository: the head of its branch is read as a whole, and comes into force as a whole or not at all.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    Asked, Brought, Refusal, RulesLook,
    checked::{Checking, ReadFile, Standing, Unread, together},
    stays,
};
use crate::{
    engine::{CommitId, Digest, RulesOrigin, Written},
    house::{
        House,
        rules_from::{ENDINGS, RulesRepository},
        settings::Settings,
    },
    providers::{
        Fault,
        git::{Brought as NewThere, Folder, FolderFile, FolderLimits, Mirror, Mirrors, NO_LIMIT},
    },
    rules::{KnownBy, Loaded, Mistakes, SystemName, printable_line, repository_key},
    steps::{Pushers, PushesAsked, asks_for_signatures, pushers, signatures},
};

/// The longest pause between two looks at a repository that cannot be reached.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);
/// How many times in a row a look may fail before it is said: one hiccup is no news.
const FAILURES_BEFORE_NEWS: u32 = 2;
/// Which files of the folder are rules files. A system has one file of a few hundred lines.
const LIMITS: FolderLimits = FolderLimits { endings: &ENDINGS, most_files: 500, most_bytes: 1 << 20 };

/// A watch over the branch of the rules.
pub(crate) struct RulesWatch {
    from: RulesRepository,
    mirror: Arc<Mirror>,
    /// The head that was last read.
    seen: Option<String>,
    failures: u32,
    look: RulesLook,
}

/// The head of the branch, as it was read.
pub(crate) struct Head {
    pub(crate) origin: RulesOrigin,
    /// The rules files, or what is wrong with the folder.
    pub(crate) files: Result<Vec<ReadFile>, String>,
    /// Of the folder: the same content has the same.
    digest: Digest,
}

impl RulesWatch {
    /// # Errors
    /// When the repository's mirror cannot be made.
    pub(crate) fn begin(from: &RulesRepository, mirrors: &Mirrors, settings: &Settings) -> Result<Self, Fault> {
        let mirror = mirrors.mirror(&from.repository)?;
        Ok(Self { from: from.clone(), mirror, seen: None, failures: 0, look: RulesLook::read(settings) })
    }

    /// The time until the next look: the interval, doubled for each failure in a row.
    pub(crate) fn pause(&self) -> Duration {
        let interval = Duration::from_millis(u64::try_from(self.from.poll.as_ms()).unwrap_or(1_000));
        (interval * (1 << self.failures.min(10))).min(LONGEST_PAUSE.max(interval))
    }

    /// Looks once, and brings a new head into force. Returns what was refused or went wrong, and which systems begin.
    ///
    /// # Errors
    /// When the store fails; the head is then read again.
    pub(crate) async fn look(&mut self, house: &House) -> anyhow::Result<Brought> {
        match read_head(&self.from, &self.mirror, self.seen.as_deref()).await {
            Ok(head) => {
                let mut brought = Brought::default();
                self.failures = 0;
                if let Some(head) = head {
                    self.look.not_there.clear();
                    let commit = head.origin.commit.to_string();
                    brought = house.bring_commit(head, (&self.from, &self.mirror), &mut self.look).await?;
                    self.seen = Some(commit);
                }
                self.look.trouble = None;
                self.look.write(&house.settings)?;
                Ok(brought)
            }
            Err(fault) => {
                self.failures += 1;
                let said = said(&fault);
                tracing::debug!(repository = self.mirror.url(), error = %said, "the rules cannot be looked at");
                let is_sure = self.failures >= FAILURES_BEFORE_NEWS || self.seen.is_none();
                let is_news = is_sure && self.look.trouble.as_ref() != Some(&said);
                if !is_news {
                    return Ok(Brought::default());
                }
                self.look.trouble = Some(said.clone());
                self.look.write(&house.settings)?;
                let refused = vec![format!("the rules cannot be looked at; those in force stay: {said}")];
                Ok(Brought { refused, ..Brought::default() })
            }
        }
    }
}

/// Reads the head of the branch, unless it is the one that is known.
///
/// # Errors
/// When the repository cannot be reached, or has no such branch.
pub(crate) async fn read_head(
    from: &RulesRepository,
    mirror: &Mirror,
    known: Option<&str>,
) -> Result<Option<Head>, Fault> {
    let branches = [from.branch.clone()];
    let heads = mirror.heads(&branches, NO_LIMIT).await?;
    let Some(commit) = heads.get(&from.branch).cloned().flatten() else {
        return Err(Fault::fail(
            format!("{} has no branch {}", mirror.url(), from.branch),
            "push it, or name another as `branch` of `[rules]`",
        ));
    };
    if known == Some(commit.as_str()) {
        return Ok(None);
    }
    mirror.fetch(&branches, NO_LIMIT).await?;
    let info = mirror.commit_info(&commit).await?;
    let origin = RulesOrigin {
        repository: mirror.url().to_owned(),
        branch: from.branch.clone(),
        commit: CommitId::new(commit.as_str()),
        author: printable_line(&info.author_name),
        subject: printable_line(&info.subject),
    };
    let folder = mirror.folder(&commit, &from.path, LIMITS).await?;
    let digest = Digest::of(folder.as_ref().map_or_else(String::as_bytes, |folder| folder.tree.as_bytes()));
    let files = folder.and_then(|Folder { files, .. }| match files.len() {
        0 => Err(format!("there is no file in {}/ that ends in {}", from.path, LIMITS.endings.join(", "))),
        _ => Ok(files.into_iter().map(rules_file).collect()),
    });
    Ok(Some(Head { origin, files, digest }))
}

fn rules_file(FolderFile { path, content }: FolderFile) -> ReadFile {
    let unread = |why: String, hint: &str| Unread { why, hint: hint.to_owned() };
    let text = match content {
        Ok(bytes) => {
            String::from_utf8(bytes).map_err(|_| unread("this file is not UTF-8".to_owned(), "save it as UTF-8"))
        }
        Err(why) => Err(unread(format!("this file is not read: {why}"), "commit a plain file")),
    };
    ReadFile { source: printable_line(&path), text }
}

fn said(fault: &Fault) -> String {
    match fault {
        Fault::Fail { error, hint } if !hint.is_empty() => format!("{error}; {hint}"),
        Fault::Fail { error, .. } | Fault::Retry { error, .. } => error.clone(),
    }
}

impl House {
    /// Brings a commit into force where all of it is valid; refuses it as a whole where it is not.
    async fn bring_commit(
        &self,
        head: Head,
        of: (&RulesRepository, &Mirror),
        look: &mut RulesLook,
    ) -> anyhow::Result<Brought> {
        let Head { origin, files, digest } = head;
        let of_repository = self.systems_from(&origin.repository).await?;
        let files = match files {
            Ok(files) => files,
            Err(wrong) => return self.refuse_commit(origin, &wrong, &of_repository, look).await,
        };
        let checking = Checking::by(Some(&self.settings), Standing::Repository);
        let alone: Vec<_> = files.iter().map(|file| checking.alone(file)).collect();
        let named: BTreeSet<SystemName> = alone.iter().flatten().map(|file| file.rules.system.clone()).collect();
        let checked = together(alone, &self.rules_beside(&named).await?, |_| false);
        if checked.iter().any(Result::is_err) {
            return self.refuse_files(&origin, &digest, (&files, &checked), of_repository, look).await;
        }
        let mut brought = Brought::default();
        for file in checked.into_iter().flatten() {
            let asked = self.asked(&file.rules.system, &origin, of).await?;
            self.put_into_force(file, Some(origin.clone()), asked, &mut brought).await?;
        }
        let mut known = named;
        for system in of_repository.into_iter().filter(|system| !known.contains(system)).collect::<Vec<_>>() {
            let source = self.ledger.read(&system, |state| Some(state.rules.as_ref()?.source.clone())).await?;
            let source = source.unwrap_or_default();
            let mistakes = format!(
                "no file of {} has the rules of {system} any more (they were in {source}); {}",
                origin.repository,
                stays(&system)
            );
            let digest = Digest::of(mistakes.as_bytes());
            brought.refused.push(mistakes.clone());
            let refusal = Refusal { source, system: None, digest, mistakes, origin: Some(origin.clone()) };
            self.refuse(&system, &refusal).await?;
            known.insert(system);
        }
        self.refuse_unnamed(&known, &mut brought).await?;
        let (commit, subject) = (origin.commit.short(), &origin.subject);
        let offered = brought.offered.len();
        if offered > 0 {
            tracing::info!(%commit, subject, by = origin.author, systems = offered, "people are asked about the rules of a commit");
        }
        if known.len() > offered {
            let systems = known.len() - offered;
            tracing::info!(%commit, subject, by = origin.author, systems, "the rules of a commit are in force");
        }
        Ok(brought)
    }

    /// Who is asked about the rules of a commit, and who wrote what it changes; nothing where nobody is asked.
    async fn asked(
        &self,
        system: &SystemName,
        origin: &RulesOrigin,
        (from, mirror): (&RulesRepository, &Mirror),
    ) -> anyhow::Result<Option<Asked>> {
        let Some(quorum) = from.approvals.clone() else { return Ok(None) };
        let in_force = self.ledger.read(system, |state| state.rules.as_ref().and_then(|rules| rules.origin.clone()));
        let before = in_force.await?.filter(|before| before.repository == origin.repository);
        let before = before.as_ref().map(|before| before.commit.as_str());
        let asks = asks_for_signatures(from.identity, mirror);
        let demanded = from.identity == Some(KnownBy::Signature);
        let written = match mirror.wrote_below(&from.path, before, origin.commit.as_str(), asks).await {
            Ok(mut brought) => {
                self.add_pushers(&mut brought, origin, from).await;
                Written {
                    authors: brought.authors.iter().map(|author| printable_line(author)).collect(),
                    unknown: brought.incomplete.into_iter().collect(),
                    signatures: brought.signed.into_iter().map(|it| signatures(it, "rules", demanded)).collect(),
                }
            }
            Err(fault) => Written {
                authors: BTreeSet::from([origin.author.clone()]),
                unknown: vec![format!("git cannot say who wrote them: {}", said(&fault))],
                ..Written::default()
            },
        };
        Ok(Some(Asked { quorum, written }))
    }

    /// Whoever pushed what changed is an author, where a forge tells.
    async fn add_pushers(&self, brought: &mut NewThere, origin: &RulesOrigin, from: &RulesRepository) {
        let heads = BTreeSet::from([origin.commit.to_string()]);
        let asked = PushesAsked {
            url: &from.repository,
            branches: std::slice::from_ref(&from.branch),
            heads: &heads,
            new: &brought.commits,
            identity: from.identity,
        };
        let told = match self.forge() {
            Ok(forge) => pushers(&asked, forge.as_deref()).await,
            Err(error) => Err(Fault::retry(format!("{error:#}"))),
        };
        match told {
            Ok(Pushers { authors, unknown }) => {
                brought.authors.extend(authors);
                brought.incomplete.extend(unknown);
            }
            Err(fault) => drop(brought.incomplete.insert(fault.whole())),
        }
    }

    /// Refuses a commit whose folder cannot be read.
    async fn refuse_commit(
        &self,
        origin: RulesOrigin,
        wrong: &str,
        of_repository: &BTreeSet<SystemName>,
        look: &mut RulesLook,
    ) -> anyhow::Result<Brought> {
        let mistakes = format!("{} was refused: {wrong}", named(&origin));
        let (source, digest) = (origin.repository.clone(), Digest::of(wrong.as_bytes()));
        let refusal = Refusal { source, system: None, digest, mistakes: mistakes.clone(), origin: Some(origin) };
        for system in of_repository {
            self.refuse(system, &refusal).await?;
        }
        if of_repository.is_empty() {
            look.not_there.push(refusal.not_there());
        }
        Ok(Brought { refused: vec![mistakes], ..Brought::default() })
    }

    /// Refuses a commit because of mistakes in its files: all systems of the repository are told, each of its own file's mistakes.
    async fn refuse_files(
        &self,
        origin: &RulesOrigin,
        digest: &Digest,
        (files, checked): (&[ReadFile], &[Result<Loaded, Mistakes>]),
        of_repository: BTreeSet<SystemName>,
        look: &mut RulesLook,
    ) -> anyhow::Result<Brought> {
        let bad: Vec<&str> = files
            .iter()
            .zip(checked)
            .filter(|(_, checked)| checked.is_err())
            .map(|(file, _)| file.source.as_str())
            .collect();
        let whole = format!("{} was refused as a whole: mistakes in {}", named(origin), bad.join(", "));
        let (mut told, mut refused) = (BTreeSet::new(), vec![whole.clone()]);
        for (file, checked) in files.iter().zip(checked) {
            let mistakes = match checked {
                Ok(_) => whole.clone(),
                Err(mistakes) => format!("{whole}\n{}", mistakes.render(false)),
            };
            refused.extend(checked.as_ref().err().map(|mistakes| mistakes.render(false)));
            let refusal =
                Refusal { digest: digest.clone(), origin: Some(origin.clone()), ..Refusal::of(file, mistakes) };
            told.extend(self.refuse_file(&refusal, &told, look).await?);
        }
        let rest = of_repository.into_iter().filter(|system| !told.contains(system)).collect::<Vec<_>>();
        for system in rest {
            let source = origin.repository.clone();
            let (digest, origin) = (digest.clone(), Some(origin.clone()));
            self.refuse(&system, &Refusal { source, system: None, digest, mistakes: whole.clone(), origin }).await?;
        }
        Ok(Brought { refused: vec![refused.join("\n")], ..Brought::default() })
    }

    /// The systems whose rules in force are from a repository.
    async fn systems_from(&self, repository: &str) -> anyhow::Result<BTreeSet<SystemName>> {
        let (mut from, key) = (BTreeSet::new(), repository_key(repository));
        for system in self.readable_systems().await? {
            let is_from = self.ledger.read(&system, |state| {
                let origin = state.rules.as_ref().and_then(|rules| rules.origin.as_ref());
                origin.is_some_and(|origin| repository_key(&origin.repository) == key)
            });
            from.extend(is_from.await?.then_some(system));
        }
        Ok(from)
    }
}

/// A commit as people read it.
fn named(origin: &RulesOrigin) -> String {
    format!("commit {} \"{}\" by {}", origin.commit.short(), origin.subject, origin.author)
}
