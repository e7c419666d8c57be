//! A GitHub, and how something is asked of a repository there.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::Value;

use super::{
    address::Addresses,
    call::{Answer, Ask, Limits, Line},
    caller::Caller,
    installations::Installations,
    settings::{Access, GitHubSettings},
    verdict::Refused,
};
use crate::providers::{Fault, forge::values::RepositoryAt};

/// A GitHub.
pub struct GitHub {
    pub(super) addresses: Addresses,
    pub(super) line: Line,
    /// The App itself, or the token.
    pub(super) own: Arc<Caller>,
    /// Where the App is installed; none with a token.
    pub(super) installations: Option<Installations>,
    /// `acme/shop` → the name that the repository has now.
    pub(super) moved: Mutex<BTreeMap<String, String>>,
}

impl GitHub {
    /// The GitHub of these settings. Nothing is asked yet.
    ///
    /// # Errors
    /// [`Fault::Fail`] when the App's key is none.
    pub fn new(settings: GitHubSettings) -> Result<Self, Fault> {
        Self::with(settings, Limits::default())
    }

    /// The same, with other limits.
    ///
    /// # Errors
    /// Those of [`GitHub::new`].
    pub fn with(settings: GitHubSettings, limits: Limits) -> Result<Self, Fault> {
        let GitHubSettings { addresses, access } = settings;
        let (own, installations) = match &access {
            Access::App { .. } => (Caller::app(&limits), Some(Installations::default())),
            Access::Token(token) => (Caller::token(token.clone(), &limits), None),
        };
        let line = Line::new(addresses.clone(), access, limits);
        line.check()?;
        Ok(Self { addresses, line, own: Arc::new(own), installations, moved: Mutex::default() })
    }

    /// Asks something of a repository. An installation that was removed meanwhile is looked for anew, once.
    pub(super) async fn of(&self, at: &RepositoryAt, ask: Ask) -> Result<Answer, Refused> {
        let caller = self.caller_for(at).await?;
        let mut answered = caller.call(&self.line, &ask).await;
        if answered.is_err() && caller.is_gone() {
            self.forget(&caller);
            answered = self.caller_for(at).await?.call(&self.line, &ask).await;
        }
        let answer = answered?;
        if let Some(id) = answer.moved_to {
            self.moved(at, id).await;
        }
        Ok(answer)
    }

    /// The pages of a list of a repository, so many at most.
    pub(super) async fn pages_of(
        &self,
        at: &RepositoryAt,
        rest: &str,
        member: Option<&str>,
        most: usize,
    ) -> Result<Vec<Value>, Refused> {
        let path = path(at, rest);
        let caller = self.caller_for(at).await?;
        let answered = caller.pages_until(&self.line, &path, member, most, |_| false).await;
        if answered.is_err() && caller.is_gone() {
            self.forget(&caller);
            return self.caller_for(at).await?.pages_until(&self.line, &path, member, most, |_| false).await;
        }
        answered
    }
}

/// The path of a repository in the API, and what follows.
pub(super) fn path(at: &RepositoryAt, rest: &str) -> String {
    format!("/repos/{}/{}{rest}", at.owner, at.name)
}

/// A part of a path or a value of a query.
pub(super) fn part(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
}
