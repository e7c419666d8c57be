//! `tidegate.toml`: which systems there are, where things are kept, and who people are. What a rule means is in the rules;
//! what it means *here* is in this file.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, anyhow, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    asker::{Asker, OsUser, User},
    at_github::AtGitHub,
    channels::{self, ChannelSettings},
    forges::{ForgeSettings, GroupSettings},
    git_settings::GitSettings,
    issuers::{self, GITHUB},
    rules_from::RulesFrom,
    secrets::{self, SecretSettings},
    server_settings::ServerSettings,
    signing::{Signers, Signing},
};
use crate::{
    driver::now_ms,
    engine::{Access, Grant, Naming, Permission, Person, Principal, Refused},
    providers::{
        forge::Account,
        git::{self, GitOptions, Proofs, Signer},
        objects::Address,
        sandbox::{Limits, Sandbox, SandboxKind},
    },
    rules::{ChannelName, Here, Mistakes, SecretName, Span, StageName, SystemName, repository_key},
    steps::{Choices, ProviderSettings, StageSettings},
};

/// The file's name where none is given.
pub const FILE_NAME: &str = "tidegate.toml";

/// What `tidegate.toml` says. Relative paths are from the file's own folder.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The rules files, one per system; or, as a table, the repository that has them.
    pub rules: RulesFrom,
    /// The folder for all that Tidegate keeps: the database, mirrors, artifacts, logs.
    #[serde(default = "data")]
    pub data: PathBuf,
    /// The folder for what lives no longer than a step: checkouts, and the home of its commands. Not within `data`.
    #[serde(default = "scratch")]
    pub scratch: PathBuf,
    /// The folder for what outlives steps, and was written by their commands: what they have fetched. Not within `data`.
    #[serde(default = "caches")]
    pub caches: PathBuf,
    /// What commands of repositories and rules run in. Without a sandbox they can do all that Tidegate can.
    #[serde(default)]
    pub sandbox: SandboxKind,
    /// Folders and files that such commands can read beside the system's: where their tools are installed.
    #[serde(default)]
    pub tools: Vec<PathBuf>,
    /// What one such command may use.
    #[serde(default)]
    pub step_limits: Limits,
    /// How the server is asked.
    #[serde(default)]
    pub server: ServerSettings,
    /// Who commits for Tidegate.
    #[serde(default)]
    pub identity: Identity,
    /// Whose signatures count where rules say `require_signatures`.
    #[serde(default)]
    pub signers: Signers,
    /// People, by the name that they go by here.
    #[serde(default)]
    pub people: BTreeMap<String, Person>,
    /// Groups of people that a forge keeps; others are in `people`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<String, GroupSettings>,
    /// Where repositories live beside what git says of them.
    #[serde(default)]
    pub forges: ForgeSettings,
    /// How the addresses in commits are read; where it is absent, `github.com` is the one forge.
    #[serde(default = "naming")]
    pub authors: Naming,
    /// Through what people and programs are told of things, by the names that rules give in `via`.
    #[serde(default)]
    pub channels: BTreeMap<ChannelName, ChannelSettings>,
    /// What commands of steps can be given, by the names that rules give in `secrets`.
    #[serde(default)]
    pub secrets: BTreeMap<SecretName, SecretSettings>,
    /// Who may do what; while there are none, everybody may do everything.
    #[serde(default)]
    pub grants: Vec<Grant>,
    /// Who does each kind of work, and where things are kept.
    #[serde(default)]
    pub providers: ProviderSettings,
    /// What is otherwise in a stage, by its name.
    #[serde(default)]
    pub stages: BTreeMap<StageName, StageSettings>,
    /// How long calls of the `git` program are waited for.
    #[serde(default)]
    pub git: GitSettings,
    /// Variables for the `git` program: `GIT_SSH_COMMAND`, `https_proxy`, `GIT_SSL_CAINFO`, a credential helper's. It gets none of
    /// the server's own but `PATH`, `HOME` and `SSH_AUTH_SOCK`.
    #[serde(default)]
    pub git_environment: BTreeMap<String, String>,
    /// The settings file itself.
    #[serde(skip)]
    file: PathBuf,
    /// Who people and teams are at GitHub.
    #[serde(skip)]
    at_github: AtGitHub,
}

/// Who commits for Tidegate.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Identity {
    /// The name.
    pub name: String,
    /// The e-mail address.
    pub email: String,
    /// With what these commits are signed; unless it is set, they are not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signing: Option<Signing>,
}

impl Default for Identity {
    fn default() -> Self {
        Self { name: "Tidegate".to_owned(), email: "tidegate@localhost".to_owned(), signing: None }
    }
}

/// The forge that most use. A login is the same person at every forge that is listed, so that others are a choice.
fn naming() -> Naming {
    Naming { forges: BTreeSet::from(["github.com".to_owned()]), ..Naming::default() }
}

fn data() -> PathBuf {
    PathBuf::from("data")
}

fn scratch() -> PathBuf {
    PathBuf::from("scratch")
}

fn caches() -> PathBuf {
    PathBuf::from("caches")
}

impl Settings {
    /// Reads the file and makes its paths absolute.
    ///
    /// # Errors
    /// When it cannot be read or says something that it may not; with the place.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            let otherwise = match error.kind() {
                std::io::ErrorKind::PermissionDenied => "; `--socket` names that of a server that can",
                _ => "; `tidegate init DIR` writes one, `--config` names another",
            };
            anyhow::Error::new(error).context(format!("cannot read {}{otherwise}", path.display()))
        })?;
        let mut settings: Self = toml::from_str(&text)
            .map_err(|error| {
                let place = error.span().unwrap_or_default();
                Mistakes::of_parser(&path.display().to_string(), &text, place, error.message())
            })
            .with_context(|| format!("{} is not as it should be", path.display()))?;
        settings
            .check_people()
            .and_then(|()| settings.check_grants())
            .and_then(|()| settings.git.check())
            .and_then(|()| settings.server.check())
            .and_then(|()| settings.forges.check(&settings.groups, &settings.people))
            .and_then(|()| issuers::check(&settings.server.issuers, settings.server.url.as_deref(), &settings.people))
            .and_then(|()| settings.check_ways_in())
            .with_context(|| format!("{} is not as it should be", path.display()))?;
        let path = std::path::absolute(path).with_context(|| format!("where is {}?", path.display()))?;
        let folder = path.parent().unwrap_or(Path::new("/"));
        settings.data = folder.join(&settings.data);
        settings
            .rules
            .resolve(folder, &settings.forges.hosts())
            .with_context(|| format!("{} is not as it should be", path.display()))?;
        settings.scratch = folder.join(&settings.scratch);
        settings.providers.objects = settings.providers.objects.map(|objects| objects.from_folder(folder));
        settings.caches = folder.join(&settings.caches);
        for path in &mut settings.tools {
            *path = folder.join(&*path);
        }
        settings.signers.resolve(folder);
        if let Some(signing) = &mut settings.identity.signing {
            signing.resolve(folder);
        }
        settings.server.resolve(folder);
        settings.forges.resolve(folder);
        settings
            .check_scratch()
            .and_then(|()| settings.check_socket())
            .with_context(|| format!("{} is not as it should be", path.display()))?;
        settings.file.clone_from(&path);
        channels::absolute(&mut settings.channels, folder);
        secrets::absolute(&mut settings.secrets, folder);
        if settings.forges.github.is_some() {
            settings.at_github = AtGitHub::read(&settings.data).map_err(|fault| anyhow!("{}", fault.whole()))?;
        }
        Ok(settings)
    }

    /// Who asks for something: the person that the user of the operating system is, or, in whose name they ask. Whether they
    /// may ask in it is the engine's to say. Where no people are listed, everybody is taken at their word.
    ///
    /// # Errors
    /// When people are listed and none of them is that user, or none has that name.
    pub fn principal(&self, asker: &Asker) -> anyhow::Result<Principal> {
        let said = asker.in_name_of.as_deref();
        let user = match &asker.user {
            User::Os(user) => user,
            // What it is for is checked where it is asked.
            User::Token(token) => return Ok(Principal::named(token.principal())),
            User::Issuer(identity) => {
                if identity.issuer == GITHUB && self.signs_in_by_github().is_some() {
                    return Ok(self.principal_at_github(asker, identity).map_err(|refused| *refused)?);
                }
                let principal = issuers::principal(&self.server.issuers, &self.access(), identity);
                return Ok(principal.map_err(|refused| *refused)?);
            }
        };
        if self.people.is_empty() {
            return Ok(Principal::named(said.map_or_else(|| user.to_string(), str::to_owned)));
        }
        let own = self.person_of(user).ok_or_else(|| Refused::NotAllowed {
            who: user.to_string(),
            what: "ask for anything".to_owned(),
            reason: format!(
                "{FILE_NAME} lists people, and none of them is the user `{0}` of the operating system: somebody who may \
                 write that file has to add `os = [\"{0}\"]` to one of: {1}",
                user,
                self.names()
            ),
        })?;
        let name = said.unwrap_or(own);
        let Some(person) = self.access().principal(name) else {
            bail!("{FILE_NAME} lists no person `{name}`; it lists {}", self.names());
        };
        Ok(Principal { asked_by: (name != own).then(|| own.to_owned()), ..person })
    }

    /// The person that a user of the operating system is.
    fn person_of(&self, user: &OsUser) -> Option<&str> {
        let is_theirs = |(_, person): &(&String, &Person)| person.os.iter().any(|listed| user.is(listed));
        self.people.iter().find(is_theirs).map(|(name, _)| name.as_str())
    }

    fn names(&self) -> String {
        self.people.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// The person who an account at GitHub is.
    #[must_use]
    pub fn person_at_github(&self, account: &Account) -> Option<&str> {
        let is_theirs = |person: &Person| person.github.as_ref().is_some_and(|login| self.at_github.is(login, account));
        self.people.iter().find(|(_, person)| is_theirs(person)).map(|(name, _)| name.as_str())
    }

    /// A user of the operating system, or a key, who is two people would have two voices.
    fn check_people(&self) -> anyhow::Result<()> {
        let mut known: BTreeMap<&str, &str> = BTreeMap::new();
        let access = self.access();
        for (name, person) in &self.people {
            if name.contains('/') {
                bail!("the name `{name}` has a slash, as only tokens have: name that person otherwise");
            }
            for key in &person.keys {
                if let Some(other) = access.owner(key).filter(|owner| owner != name) {
                    bail!("the key `{key}` is both {other}'s and {name}'s: one key is one person's");
                }
                if self.signers == Signers::default() {
                    bail!("{name} lists keys, and `signers` lists none that would count: add them there as well");
                }
            }
            for user in &person.os {
                if let Some(other) = known.insert(user, name) {
                    bail!(
                        "the user `{user}` of the operating system is both {other} and {name}: one user is one person"
                    );
                }
            }
        }
        Ok(())
    }

    /// What there is here, as far as rules must know it.
    #[must_use]
    pub fn here(&self) -> Here {
        Here {
            channels: channels::known(&self.channels),
            secrets: secrets::known(&self.secrets),
            providers: self.choices().provisions(),
            forges: self.forges.hosts(),
        }
    }

    /// Who does what, by stage.
    #[must_use]
    pub fn choices(&self) -> Choices {
        Choices::of(&self.providers, &self.stages)
    }

    /// Where artifacts, templates and reports are.
    #[must_use]
    pub fn objects(&self) -> Address {
        self.providers.objects.clone().unwrap_or_else(|| Address::Directory(self.data.join("objects")))
    }

    /// The folder of the objects, where it is not in the data folder, which is looked after as a whole.
    pub(crate) fn objects_elsewhere(&self) -> Option<PathBuf> {
        self.objects().folder().filter(|folder| !folder.starts_with(&self.data)).map(Path::to_owned)
    }

    /// The people, groups and roles, whole.
    #[must_use]
    pub fn access(&self) -> Access {
        let mut people = self.people.clone();
        self.at_github.join(&mut people, &self.groups, now_ms());
        let mut naming = self.authors.clone();
        naming.forges.extend(self.forges.domains());
        Access { people, grants: self.grants.clone(), naming }
    }

    /// Whether somebody may look at a system that has no log yet; where its name is not known, only who may look at all.
    #[must_use]
    pub fn may_view(&self, who: &Principal, system: Option<&SystemName>) -> bool {
        let access = self.access();
        if access.may_ask_for(who, None, None).is_err() {
            return false;
        }
        match system {
            Some(system) => access.for_system(system).may_view(who, system.as_str()).is_ok(),
            None => {
                let of_all = |grant: &&Grant| grant.systems.is_empty() && grant.role.gives(Permission::View);
                let mut of_all = access.grants.iter().filter(of_all);
                access.grants.is_empty() || of_all.any(|grant| grant.to.iter().any(|name| who.is(name)))
            }
        }
    }

    /// What is inside the data folder is Tidegate's own; steps write to the scratch folder and to caches.
    fn check_scratch(&self) -> anyhow::Result<()> {
        for (name, folder) in [("scratch", &self.scratch), ("caches", &self.caches)] {
            if folder.starts_with(&self.data) {
                bail!("`{name}` is within `data`: name a folder that is not, where commands of repositories may write");
            }
        }
        if self.caches.starts_with(&self.scratch) || self.scratch.starts_with(&self.caches) {
            bail!("`scratch` and `caches` are within one another: what lies in scratch does not outlive its step");
        }
        let near = |it: &PathBuf| it.starts_with(&self.scratch) || self.scratch.starts_with(it);
        if let Some(objects) = self.objects_elsewhere().filter(near) {
            let objects = objects.display();
            bail!(
                "`scratch` and `objects` ({objects}) share a folder, and commands of repositories may write to `scratch`"
            );
        }
        Ok(())
    }

    /// Where others can reach it, and commands of repositories cannot.
    fn check_socket(&self) -> anyhow::Result<()> {
        let Some(socket) = &self.server.socket else { return Ok(()) };
        let mut closed = [&self.data, &self.scratch].into_iter().chain(&self.tools);
        if let Some(folder) = closed.find(|folder| socket.starts_with(folder)) {
            bail!(
                "`socket` of [server] is within {}: name a path in a folder of its own, as /run/tidegate/socket",
                folder.display()
            );
        }
        Ok(())
    }

    /// The settings file, from the root.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// The box that commands of repositories and rules run in.
    ///
    /// # Errors
    /// When this program's own file cannot be found.
    pub fn sandbox(&self) -> anyhow::Result<Sandbox> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let secrets = self.secrets.values().map(|secret| secret.file.clone());
        let own = [&self.data, &self.scratch, &self.caches, &self.file].into_iter().cloned();
        let objects = self.objects_elsewhere();
        Ok(Sandbox {
            kind: self.sandbox,
            limits: self.step_limits,
            tools: self.tools.iter().cloned().chain([program.clone()]).collect(),
            hidden: own.chain(objects).chain(self.server.hidden()).chain(self.forges.hidden()).chain(secrets).collect(),
            program: Some(program),
            cgroups: None,
        })
    }

    /// A grant to nobody would take a role from everybody, unseen.
    fn check_grants(&self) -> anyhow::Result<()> {
        let groups = self.people.values().flat_map(|person| &person.groups);
        let of_issuers = issuers::groups(&self.server.issuers);
        let known: BTreeSet<&String> =
            self.people.keys().chain(groups).chain(of_issuers).chain(self.groups.keys()).collect();
        for Grant { role, to, .. } in &self.grants {
            if to.is_empty() {
                bail!("a grant of {role:?} names nobody: write `to = [\"NAME\"]`");
            }
            if let Some(unknown) = to.iter().find(|name| !known.contains(name)) {
                let known: Vec<&str> = known.iter().map(|name| name.as_str()).collect();
                bail!(
                    "a grant of {role:?} is to `{unknown}`, whom `people` does not list; it has: {}",
                    known.join(", ")
                );
            }
        }
        if !self.grants.is_empty() && !self.grants.iter().any(|grant| grant.role.gives(Permission::Override)) {
            bail!("nobody is granted the role `admin`, so nobody could do everything: grant it to somebody");
        }
        Ok(())
    }

    /// How git is used.
    #[must_use]
    pub fn git_options(&self, proofs: Proofs) -> GitOptions {
        let identity = git::Identity { name: self.identity.name.clone(), email: self.identity.email.clone() };
        let mut options = GitOptions::new(identity, proofs.signed_by(self.signer()));
        options.forges = self.authors.forges.clone();
        options.environment = self.git_environment.clone().into_iter().collect();
        let duration = |span: Span| Duration::from_millis(u64::try_from(span.as_ms()).unwrap_or_default());
        (options.silence, options.lag) = (duration(self.git.silence), duration(self.git.lag));
        options.key = repository_key;
        options.signers = self.signers.known();
        options
    }

    /// What signs our commits, where they are signed.
    pub(crate) fn signer(&self) -> Option<Signer> {
        let environment = self.git_environment.clone().into_iter().collect();
        self.identity.signing.as_ref().map(|signing| signing.signer(environment))
    }

    /// The database.
    #[must_use]
    pub fn database(&self) -> PathBuf {
        self.data.join("tidegate.db")
    }

    /// The file that says who waits for a place to work.
    #[must_use]
    pub fn places(&self) -> PathBuf {
        self.data.join("places.json")
    }

    /// The folder of the steps' logs.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.data.join("logs")
    }
}

#[cfg(test)]
mod tests;
