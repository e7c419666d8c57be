//! Who people are at GitHub, and what they may do.

use hyper::StatusCode;
use serde::Deserialize;

use super::{
    call::Ask,
    client::{GitHub, part, path},
    verdict::Refused,
};
use crate::providers::{
    Fault,
    forge::values::{Account, RepositoryAt, RepositoryRole, Team, is_name},
};

#[derive(Deserialize)]
pub(super) struct User {
    id: u64,
    login: String,
}

#[derive(Deserialize)]
struct Permission {
    permission: String,
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        let User { id, login } = user;
        Self { id, login }
    }
}

impl GitHub {
    pub(super) async fn find_account(&self, login: &str) -> Result<Option<Account>, Refused> {
        // What cannot be a login is nobody's, and is not asked for.
        if !is_name(login) {
            return Ok(None);
        }
        let caller = self.any_caller().await?;
        let answered = caller.call(&self.line, &Ask::get(format!("/users/{login}"))).await;
        if answered.is_err() && caller.is_gone() {
            self.forget(&caller);
            let error = "the App was removed where it was asked".to_owned();
            return Err(Refused::unsent(Fault::retry(error)));
        }
        match answered {
            Ok(answer) => Ok(Some(answer.read::<User>()?.into())),
            Err(refused) if refused.is(StatusCode::NOT_FOUND) => Ok(None),
            Err(refused) => Err(refused),
        }
    }

    pub(super) async fn role_at(&self, at: &RepositoryAt, login: &str) -> Result<RepositoryRole, Refused> {
        if !is_name(login) {
            return Ok(RepositoryRole::None);
        }
        let answered = self.of(at, Ask::get(path(at, &format!("/collaborators/{login}/permission")))).await;
        let answer = match answered {
            Ok(answer) => answer,
            // Of a repository that is there it says this of people whom there are not.
            Err(refused) if refused.is(StatusCode::NOT_FOUND) && self.is_there(at).await? => {
                return Ok(RepositoryRole::None);
            }
            Err(refused) => return Err(refused),
        };
        // `maintain` and `triage` are `write` and `read` here, and roles of one's own what they grew from.
        match answer.read::<Permission>()?.permission.as_str() {
            "admin" => Ok(RepositoryRole::Admin),
            "write" => Ok(RepositoryRole::Write),
            "read" => Ok(RepositoryRole::Read),
            "none" => Ok(RepositoryRole::None),
            other => {
                let error = format!("{login} has the permission `{}` of {at}, which is not known", part(other));
                Err(Refused::unsent(Fault::fail(error, "report this: GitHub has learned a new word")))
            }
        }
    }

    pub(super) async fn members_of(&self, team: &Team) -> Result<Vec<Account>, Refused> {
        let Team { organization, slug } = team;
        let caller = self.caller_at_owner(organization).await?;
        let path = format!("/orgs/{organization}/teams/{slug}/members?per_page=100");
        let items = caller.pages(&self.line, &path, None).await;
        if items.is_err() && caller.is_gone() {
            self.forget(&caller);
        }
        let items = items.map_err(|refused| {
            if !refused.is(StatusCode::NOT_FOUND) {
                return refused;
            }
            let hint = "write the team's slug, as its address at GitHub has it; the App needs `members: read`";
            Refused { fault: Fault::fail(format!("GitHub shows no team {team}"), hint), ..refused }
        })?;
        let read = items.iter().map(User::deserialize).collect::<Result<Vec<_>, _>>();
        let read = read.map_err(|error| Refused::unheard(&format!("GitHub, members of {team}"), &error.to_string()))?;
        Ok(read.into_iter().map(Account::from).collect())
    }

    async fn is_there(&self, at: &RepositoryAt) -> Result<bool, Refused> {
        match self.of(at, Ask::get(path(at, ""))).await {
            Ok(_) => Ok(true),
            Err(refused) if refused.is(StatusCode::NOT_FOUND) => Ok(false),
            Err(refused) => Err(refused),
        }
    }
}
