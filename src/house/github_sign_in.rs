//! People sign in by GitHub, with the App of the settings. The login that GitHub says is that of a person in `people`; the number is
//! who they are from then on.

use std::collections::BTreeSet;

use anyhow::{anyhow, bail};

use super::{
    asker::Asker,
    forges::GitHubForge,
    issuers::{self, GITHUB},
    settings::Settings,
};
use crate::{
    engine::{Principal, Refused},
    providers::forge::{
        Account,
        github::{Unanswered, oauth::Client},
    },
    store::Identity,
};

/// Why somebody has not signed in.
#[derive(Debug)]
pub enum NotSignedIn {
    /// What they came back with is not good.
    NotGood(String),
    /// GitHub cannot be asked.
    Down(String),
}

impl Settings {
    /// The GitHub by which people sign in: where it has a client, `url` says where they come back to, and somebody has a login.
    #[must_use]
    pub fn signs_in_by_github(&self) -> Option<&GitHubForge> {
        let github = self.forges.github.as_ref()?;
        let has_client = github.client_id.is_some() && github.client_secret_file.is_some();
        let has_people = self.people.values().any(|person| person.github.is_some());
        let has_place = self.server.url.as_deref().is_some_and(issuers::is_address);
        (has_client && has_people && has_place).then_some(github)
    }

    /// Whether nobody else says who somebody is: then whoever runs the server signs in by the link that it prints.
    #[must_use]
    pub fn is_for_one(&self) -> bool {
        self.server.issuers.is_empty() && self.signs_in_by_github().is_none()
    }

    /// Whether somebody who signed in so is still heard.
    #[must_use]
    pub fn hears(&self, identity: &Identity) -> bool {
        let is_issuer = self.server.issuers.iter().any(|issuer| issuer.name == identity.issuer);
        is_issuer || (identity.issuer == GITHUB && self.signs_in_by_github().is_some())
    }

    /// Two who say who somebody is have two names.
    ///
    /// # Errors
    /// When they have one.
    pub(super) fn check_ways_in(&self) -> anyhow::Result<()> {
        let is_client = self.forges.github.as_ref().is_some_and(|github| github.client_id.is_some());
        if is_client && self.server.issuers.iter().any(|issuer| issuer.name == GITHUB) {
            bail!(
                "an issuer cannot be called `{GITHUB}`: people sign in so by the `client_id` of [forges.github]; name it otherwise"
            );
        }
        Ok(())
    }

    /// The person that somebody at GitHub is.
    pub(super) fn principal_at_github(&self, who: &Asker, identity: &Identity) -> Result<Principal, Box<Refused>> {
        let login = &identity.person;
        let account = identity.subject.parse().ok().map(|id| Account { id, login: login.clone() });
        let person = account.as_ref().and_then(|account| self.person_at_github(account));
        person.and_then(|name| self.access().principal(name)).ok_or_else(|| {
            Box::new(Refused::NotAllowed {
                who: who.user.to_string(),
                what: "ask for anything".to_owned(),
                reason: format!(
                    "tidegate.toml lists nobody whose login at GitHub is `{login}`: somebody who may write that file has to add \
                     `github = \"{login}\"` to their person"
                ),
            })
        })
    }
}

impl GitHubForge {
    /// Where somebody goes who signs in.
    ///
    /// # Errors
    /// When the settings name no GitHub or client.
    pub fn sign_in_address(&self, back: &str, state: &str, verifier: &str) -> anyhow::Result<String> {
        let addresses = self.addresses()?;
        let id = self.client_id.as_deref().ok_or_else(|| anyhow!("[forges.github] has no `client_id`"))?;
        Ok(Client { addresses: &addresses, id, back }.authorize(state, verifier))
    }

    /// Who has come back with a code.
    ///
    /// # Errors
    /// [`NotSignedIn`].
    pub async fn signed_in(&self, back: &str, code: &str, verifier: &str) -> Result<Identity, NotSignedIn> {
        let not_set = |error: anyhow::Error| NotSignedIn::Down(format!("{error:#}"));
        let addresses = self.addresses().map_err(not_set)?;
        let secret = self.client_secret().map_err(not_set)?;
        let id = self.client_id.as_deref().unwrap_or_default();
        let account = Client { addresses: &addresses, id, back }.account(&secret, code, verifier).await;
        let Account { id, login } = account.map_err(|unanswered| match unanswered {
            Unanswered::Refused(_, why) => NotSignedIn::NotGood(why),
            Unanswered::Down(why) => NotSignedIn::Down(why),
        })?;
        Ok(Identity { issuer: GITHUB.to_owned(), subject: id.to_string(), person: login, groups: BTreeSet::new() })
    }
}
