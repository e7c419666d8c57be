//! Who asks for what: the installation at its owner, or the token.

use std::sync::{Arc, PoisonError};

use hyper::StatusCode;
use reqwest::Url;
use serde::Deserialize;

use super::{
    call::Ask,
    caller::Caller,
    client::{GitHub, path},
    installations::{Installation, MOST_PLACES},
    verdict::Refused,
};
use crate::providers::{Fault, Secret, forge::values::RepositoryAt};

#[derive(Deserialize)]
struct Named {
    full_name: String,
}

impl GitHub {
    /// Who asks for a repository: the installation at its owner, or the token.
    pub(super) async fn caller_for(&self, at: &RepositoryAt) -> Result<Arc<Caller>, Refused> {
        let place = at.to_string().to_lowercase();
        self.caller_at(place, at, &path(at, "/installation")).await
    }

    /// Who asks for an organization.
    pub(super) async fn caller_at_owner(&self, owner: &str) -> Result<Arc<Caller>, Refused> {
        self.caller_at(owner.to_lowercase(), owner, &format!("/orgs/{owner}/installation")).await
    }

    /// Anybody who may ask what everybody may know.
    pub(super) async fn any_caller(&self) -> Result<Arc<Caller>, Refused> {
        let Some(installations) = &self.installations else { return Ok(Arc::clone(&self.own)) };
        if let Some(known) = installations.any() {
            return Ok(known);
        }
        let all: Vec<Installation> = self.all_installations().await?;
        let usable = all.into_iter().find(|installation| installation.suspended_at.is_none());
        let nowhere = || {
            let error = "the App is installed nowhere, or suspended everywhere".to_owned();
            Refused::unsent(Fault::fail(error, "install it at its page at GitHub, for the repositories of the rules"))
        };
        let installation = usable.ok_or_else(nowhere)?;
        Ok(installations.keep(installation.owner().to_lowercase(), &installation, &self.line.limits))
    }

    pub(super) async fn all_installations(&self) -> Result<Vec<Installation>, Refused> {
        let all = self.own.pages(&self.line, "/app/installations?per_page=100", None).await?;
        let read = all.iter().map(Installation::deserialize).collect::<Result<_, _>>();
        read.map_err(|error| {
            Refused::unheard("GitHub, GET /app/installations", &format!("it is read in vain: {error}"))
        })
    }

    async fn caller_at(&self, place: String, what: impl std::fmt::Display, path: &str) -> Result<Arc<Caller>, Refused> {
        let Some(installations) = &self.installations else { return Ok(Arc::clone(&self.own)) };
        if let Some(known) = installations.at(&place) {
            return Ok(known);
        }
        let answer = self.own.call(&self.line, &Ask::get(path)).await.map_err(|refused| {
            if !refused.is(StatusCode::NOT_FOUND) {
                return refused;
            }
            let error = format!("the App is not installed for {what}, or there is no {what}");
            let hint = format!(
                "install it there: at {}, in the App's settings, below `Install App`; or correct the name in the rules",
                self.addresses.pages
            );
            Refused { fault: Fault::fail(error, hint), ..refused }
        })?;
        let installation: Installation = answer.read()?;
        if installation.suspended_at.is_some() {
            let error = format!("the App is suspended at {}", installation.owner());
            let hint = format!("lift that at {}", installation.html_url);
            return Err(Refused::unsent(Fault::fail(error, hint)));
        }
        Ok(installations.keep(place, &installation, &self.line.limits))
    }

    /// Forgets where nothing is installed any more.
    pub(super) fn forget(&self, gone: &Caller) {
        if let (Some(installations), Some(id)) = (&self.installations, gone.installation_id()) {
            installations.forget(id);
        }
    }

    /// A repository has another name now, which is told once.
    pub(super) async fn moved(&self, at: &RepositoryAt, id: u64) {
        let before = at.to_string().to_lowercase();
        if self.moved.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&before) {
            return;
        }
        let Ok(caller) = self.caller_for(at).await else { return };
        let Ok(answer) = caller.call(&self.line, &Ask::get(format!("/repositories/{id}"))).await else { return };
        let Ok(Named { full_name }) = answer.read() else { return };
        tracing::warn!(
            repository = before,
            now = full_name,
            "a repository has a new name at GitHub: write it in the rules"
        );
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        if moved.len() < MOST_PLACES {
            moved.insert(before, full_name);
        }
    }

    /// With what git signs in where a URL leads to this GitHub, and to no other port or scheme of its host.
    pub(super) async fn credentials(&self, url: &str) -> Result<Option<(String, Secret)>, Refused> {
        let is_here = match (Url::parse(url), Url::parse(&self.addresses.pages)) {
            (Ok(url), Ok(pages)) => url.origin() == pages.origin(),
            _ => false,
        };
        let Some(at) = self.addresses.repository(url).filter(|_| is_here) else { return Ok(None) };
        let lent = match self.caller_for(&at).await {
            Ok(caller) => {
                let lent = caller.lend(&self.line).await;
                if lent.is_err() && caller.is_gone() {
                    self.forget(&caller);
                    self.caller_for(&at).await?.lend(&self.line).await?
                } else {
                    lent?
                }
            }
            // Others may have credentials for what the App is not installed for.
            Err(refused) if refused.is(StatusCode::NOT_FOUND) => return Ok(None),
            Err(refused) => return Err(refused),
        };
        Ok(lent.map(|token| ("x-access-token".to_owned(), token)))
    }
}
