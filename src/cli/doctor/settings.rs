//! The settings, the files that they name, and the rules.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use super::finding::{About, Findings};
use crate::{
    cli::{
        channels,
        check::asked_but_unknown,
        in_force::{
            RulesLook,
            checked::{Checking, Standing},
            files,
        },
        provided,
        settings::Settings,
    },
    providers::git::SigningFormat,
    rules::{Rules, StageName},
};

/// The bits by which others than the owner may do something with a file, and those by which they may write to it.
const FOR_OTHERS: u32 = 0o077;
const WRITABLE_FOR_OTHERS: u32 = 0o022;

/// Reads the settings.
pub(super) fn read(config: &Path, findings: &mut Findings) -> Option<Settings> {
    let settings = match Settings::read(config) {
        Ok(settings) => settings,
        Err(error) => {
            findings.bad(
                About::Settings,
                None,
                format!("{error:#}"),
                "mend it; all else is in it, and was not looked at",
            );
            return None;
        }
    };
    let (people, grants) = (settings.people.len(), settings.grants.len());
    let who = match (people, grants) {
        (0, 0) => "no people and no grants: whoever reaches this machine may do everything".to_owned(),
        (people, 0) => format!("{people} people and no grants: everybody may do everything"),
        (people, grants) => format!("{people} people, {grants} grants"),
    };
    findings.good(About::Settings, None, format!("{}: {who}", config.display()));
    permissions(
        config,
        WRITABLE_FOR_OTHERS,
        "others can write to it, and so give themselves any right",
        "go-w",
        findings,
    );
    permissions(&settings.data, FOR_OTHERS, "others can look into it", "go-rwx", findings);
    if let Some(folder) = settings.objects_elsewhere() {
        permissions(&folder, FOR_OTHERS, "others can look into it", "go-rwx", findings);
    }
    for (name, file) in channels::secret_files(&settings.channels) {
        secret(file, &format!("the secret of the channel `{name}`"), findings);
    }
    for (name, settings) in &settings.secrets {
        secret(&settings.file, &format!("the secret `{name}`"), findings);
    }
    if let Some(signing) = settings.identity.signing.as_ref().filter(|it| it.format == SigningFormat::Ssh) {
        secret(Path::new(&signing.key), "the key that signs commits", findings);
    }
    let signers = [settings.signers.ssh.as_deref(), settings.signers.openpgp.as_deref()];
    for path in signers.into_iter().flatten() {
        if let Err(error) = path.metadata() {
            let what = format!("{} cannot be read, which `signers` names: {error}", path.display());
            findings.bad(About::Settings, None, what, "let it name what is there");
        }
        permissions(path, WRITABLE_FOR_OTHERS, "others can write to it, and so list themselves", "go-w", findings);
    }
    Some(settings)
}

fn permissions(path: &Path, bits: u32, what: &str, remedy: &str, findings: &mut Findings) {
    // What is not there has no permissions.
    if path.metadata().is_ok_and(|metadata| metadata.permissions().mode() & bits != 0) {
        let path = path.display().to_string();
        findings.warn(About::Settings, Some(&path), what, format!("chmod {remedy} {path}"));
    }
}

/// A file that holds a secret: it can be read by us, and by nobody else.
fn secret(path: &Path, what: &str, findings: &mut Findings) {
    match std::fs::File::open(path) {
        Ok(_) => permissions(path, FOR_OTHERS, &format!("others can read {what}"), "go-rwx", findings),
        Err(error) => {
            let (path, what) = (path.display().to_string(), format!("{what} cannot be read: {error}"));
            findings.bad(About::Settings, Some(&path), what, "put the file there, and let the server's user read it");
        }
    }
}

/// The rules files: each in itself and all together, as `tidegate check` sees them; and what the server made of them.
pub(super) fn rules(settings: &Settings, findings: &mut Findings) {
    let look = RulesLook::read(settings);
    if let Some(trouble) = &look.trouble {
        findings.bad(
            About::Rules,
            None,
            format!("the repository of the rules: {trouble}"),
            "the last good rules stay in force",
        );
    }
    if settings.rules.repository().is_some() {
        for file in &look.not_there {
            let first = file.mistakes.lines().next().unwrap_or_default();
            findings.bad(About::Rules, Some(&file.source), first, "`tidegate check` shows each mistake in its place");
        }
        if look.trouble.is_none() && look.not_there.is_empty() {
            findings.good(About::Rules, None, "from a repository, whose rules files `tidegate check` reads");
        }
        return;
    }
    let files: Vec<_> = settings.rules.files().iter().map(|path| files::read(path)).collect();
    if files.is_empty() {
        findings.warn(
            About::Rules,
            None,
            "the settings name no rules file",
            "name one in `rules`, or run `tidegate init`",
        );
    }
    let (checked, access) = (Checking::by(Some(settings), Standing::Disk).all(&files), settings.access());
    let good: Vec<Rules> = checked.iter().flatten().map(|loaded| loaded.rules.clone()).collect();
    providers(settings, &good, findings);
    for (file, checked) in files.iter().zip(checked) {
        match checked {
            Ok(loaded) => {
                let rules = &loaded.rules;
                let (count, stages) = (rules.rules.len(), rules.stages.len());
                let what = format!("{} has {count} rules over {stages} stages, and no mistakes", rules.system);
                findings.good(About::Rules, Some(&file.source), what);
                for name in asked_but_unknown(rules, &access) {
                    let what =
                        format!("`{name}` is asked, and nobody in the settings goes by that name or is in that group");
                    findings.warn(About::Rules, Some(&file.source), what, "add them to `people`, or ask somebody else");
                }
            }
            Err(mistakes) => {
                let mistakes = mistakes.as_slice();
                let first =
                    mistakes.first().map_or_else(String::new, |first| format!("; the first: {}", first.message));
                let count = mistakes.len();
                let what = format!("{count} {}{first}", if count == 1 { "mistake" } else { "mistakes" });
                findings.bad(About::Rules, Some(&file.source), what, "`tidegate check` shows each in its place");
            }
        }
    }
}

/// What is chosen, for each stage of these rules.
pub(super) fn providers<'rules>(
    settings: &Settings,
    rules: impl IntoIterator<Item = &'rules Rules> + Clone,
    findings: &mut Findings,
) {
    findings.good(About::Providers, None, format!("objects are kept in {}", settings.objects()));
    let choices = settings.choices();
    let mut said: Vec<&StageName> = Vec::new();
    for stage in rules.clone().into_iter().flat_map(|rules| rules.stages.keys()) {
        if !said.contains(&stage) {
            findings.good(About::Providers, Some(stage.as_str()), choices.at(stage).to_string());
            said.push(stage);
        }
    }
    for said in provided::of_nothing(settings, rules) {
        findings.warn(About::Providers, None, said, "correct it in tidegate.toml, or take it out");
    }
}
