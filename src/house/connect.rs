//! GitHub is connected: an App is made there, with the code that somebody brings back its secrets are taken, and what they are is
//! kept. Here stands who may, what is chosen, and in which order things happen; the files are in `connect_files.rs`.

pub use super::forges::GITHUB_COM;
use super::{
    House,
    asker::{Asker, User},
    connect_files::{Folder, Lines, unfinished},
    settings::{FILE_NAME, Settings},
};
pub use crate::providers::forge::github::{
    manifest::{Manifest, Ours, is_organization},
    permissions::{WANTED, Wanted},
};
use crate::{
    engine::{Grant, Permission, Refused},
    providers::forge::github::{
        Addresses, Unanswered,
        manifest::{NewApp, apps_address, form_address, take_app},
    },
    rules::repository_key,
};

/// Where an App is to be made, and for whom.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The address of the GitHub, without a slash at its end.
    pub url: String,
    /// The organization; none for one's own account.
    pub organization: Option<String>,
    addresses: Addresses,
}

/// What came of it.
#[derive(Debug, Clone)]
pub struct Connected {
    /// The App's number.
    pub id: u64,
    /// Its name in addresses.
    pub slug: String,
    /// Where it is installed.
    pub install: String,
    /// Why its lines are not in the settings file, where they are not.
    pub not_written: Option<String>,
    /// The lines. No secret is in them.
    pub lines: String,
}

/// Why nothing is connected.
#[derive(Debug)]
pub enum NotConnected {
    /// GitHub does not take the code.
    Refused(String),
    /// GitHub does not answer. The code may be good still.
    Down(String),
    /// What GitHub gave out cannot be kept, or would not be. When `is_spent`, the App is there, and its secrets are lost.
    NotKept {
        /// Why.
        why: String,
        /// Whether the code is spent.
        is_spent: bool,
    },
}

impl Choice {
    /// The GitHub at this address, and an organization there; an empty one is one's own account.
    ///
    /// # Errors
    /// What is wrong, and what to write.
    pub fn of(url: &str, organization: &str) -> Result<Self, String> {
        let url = url.trim().trim_end_matches('/');
        let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://")).unwrap_or_default();
        let is_plain = host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte));
        let addresses = Addresses::of(url, repository_key).map_err(|fault| fault.whole())?;
        if !is_plain {
            return Err(format!("`{url}` is not the address of a GitHub; write `{GITHUB_COM}`, or `https://HOST`"));
        }
        let organization = organization.trim();
        if !organization.is_empty() && !is_organization(organization) {
            return Err(format!("`{organization}` is no organization: write its name as it stands in its address"));
        }
        let organization = (!organization.is_empty()).then(|| organization.to_owned());
        Ok(Self { url: url.to_owned(), organization, addresses })
    }

    /// What is sent there.
    #[must_use]
    pub fn manifest(&self, ours: Ours<'_>, mark: &str) -> Manifest {
        Manifest::of(&self.addresses, ours, self.organization.as_deref(), mark)
    }

    /// Where it is sent.
    #[must_use]
    pub fn form_address(&self) -> String {
        form_address(&self.addresses, self.organization.as_deref())
    }

    /// Where an App that is of no use is deleted.
    #[must_use]
    pub fn apps_address(&self) -> String {
        apps_address(&self.addresses, self.organization.as_deref())
    }

    /// For whom, in words.
    #[must_use]
    pub fn owner(&self) -> String {
        match &self.organization {
            Some(organization) => format!("the organization {organization}"),
            None => "your own account".to_owned(),
        }
    }
}

impl Settings {
    /// Refuses whoever may not connect a forge: that takes who may write the settings. It is the user whose server it is, and
    /// whoever may do everything everywhere.
    ///
    /// # Errors
    /// [`Refused::NotAllowed`].
    pub fn may_connect(&self, who: &Asker) -> Result<(), Box<Refused>> {
        let is_whole = |grant: &&Grant| {
            grant.role.gives(Permission::Override) && grant.systems.is_empty() && grant.stages.is_empty()
        };
        let access = self.access();
        let may = match &who.user {
            User::Os(_) => true,
            User::Token(_) => false,
            User::Issuer(_) => self.principal(who).is_ok_and(|by| {
                let mut whole = access.grants.iter().filter(is_whole);
                access.grants.is_empty() || whole.any(|grant| grant.to.iter().any(|name| by.is(name)))
            }),
        };
        if may {
            return Ok(());
        }
        let holders = access.grants.iter().filter(is_whole).flat_map(|grant| grant.to.iter().map(String::as_str));
        let holders = holders.collect::<Vec<_>>().join(", ");
        Err(Box::new(Refused::NotAllowed {
            who: who.user.to_string(),
            what: "connect GitHub".to_owned(),
            reason: format!("it needs the role `admin` for all systems and stages, which these have: {holders}"),
        }))
    }

    /// The lines of an App that was made and is not in the settings file, with the folder that has its secrets.
    #[must_use]
    pub fn unfinished_connection(&self) -> Option<(String, String)> {
        self.forges.github.is_none().then(|| unfinished(&self.data)).flatten()
    }
}

impl House {
    /// Takes the App that GitHub has made, writes down its secrets, and then its lines into the settings file. A folder for the
    /// secrets is there before the code is spent.
    ///
    /// # Errors
    /// [`NotConnected`].
    pub async fn connect(&self, choice: &Choice, code: &str, by: &str) -> Result<Connected, NotConnected> {
        if self.settings.forges.github.is_some() {
            let why = format!("{FILE_NAME} has a [forges.github] already");
            return Err(NotConnected::NotKept { why, is_spent: false });
        }
        let not_kept = |error: anyhow::Error, is_spent| NotConnected::NotKept { why: format!("{error:#}"), is_spent };
        let folder = Folder::prepare(&self.settings.data).map_err(|error| not_kept(error, false))?;
        let app = take_app(&choice.addresses, code).await.map_err(|unanswered| match unanswered {
            Unanswered::Refused(_, why) => NotConnected::Refused(why),
            Unanswered::Down(why) => NotConnected::Down(why),
        })?;
        let NewApp { id, slug, page, .. } = &app;
        let (id, slug, install) = (*id, slug.clone(), format!("{page}/installations/new"));
        tracing::info!(app = slug, id, by, "GitHub has made an App");
        let settings = self.settings.clone();
        let (host, url, by) = (choice.addresses.host.clone(), choice.url.clone(), by.to_owned());
        let kept = tokio::task::spawn_blocking(move || {
            let folder = folder.keep(&app, &host, &url, &by, settings.file())?;
            anyhow::Ok((folder.lines.clone(), folder.add_to(settings.file()).err()))
        });
        let kept = kept.await.map_err(|error| not_kept(error.into(), true))?;
        let (lines, not_added): (Lines, Option<anyhow::Error>) = kept.map_err(|error| not_kept(error, true))?;
        let not_written = not_added.map(|error| format!("{error:#}"));
        if let Some(why) = &not_written {
            tracing::warn!(app = slug, why, "the lines of the App are not in tidegate.toml");
        }
        Ok(Connected { id, slug, install, not_written, lines: lines.0 })
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_github_or_organization_is_refused() {
        let choice = Choice::of(" https://github.com/ ", " acme ").unwrap();
        assert_eq!(choice.form_address(), "https://github.com/organizations/acme/settings/apps/new");
        let own = Choice::of("https://git.acme.example:8443", "").unwrap();
        assert_eq!(own.form_address(), "https://git.acme.example:8443/settings/apps/new");
        for url in [
            "",
            "github.com",
            "http://github.com",
            "https://github.com/acme",
            "https://a@github.com",
            "https://x;form-action *",
            "https://x'",
            "https://git.acme.example?x",
            "javascript:alert(1)",
        ] {
            assert!(Choice::of(url, "").is_err(), "{url}");
        }
        for organization in ["../x", "a b", "a?b", "..", &"a".repeat(40)] {
            assert!(Choice::of(GITHUB_COM, organization).is_err(), "{organization}");
        }
    }
}
