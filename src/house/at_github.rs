//! Who people and teams are at GitHub, as it said last: a file in the data folder, which the server keeps and every command reads.
//! A login can be given to somebody else; the number that it had first is the person's.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::forges::GroupSettings;
use crate::{
    engine::Person,
    providers::{Fault, files, forge::Account},
};

/// For how long a team counts as GitHub told it last: whoever leaves it loses their rights at last, though GitHub is away.
const TEAM_COUNTS_MS: i64 = 24 * 60 * 60 * 1_000;

/// Who people and teams are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtGitHub {
    /// The number of each login, in small letters.
    #[serde(default)]
    pub accounts: BTreeMap<String, u64>,
    /// The teams, as `organization/team`.
    #[serde(default)]
    pub teams: BTreeMap<String, TeamKnown>,
}

/// A team, as GitHub told it last.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamKnown {
    /// When: milliseconds since 1970, UTC.
    pub at_ms: i64,
    /// The numbers of its members.
    pub members: BTreeSet<u64>,
}

impl AtGitHub {
    /// Where it is kept.
    #[must_use]
    pub fn file(data: &Path) -> PathBuf {
        data.join("github.json")
    }

    /// As it was kept; nothing where there is no such file.
    ///
    /// # Errors
    /// When the file cannot be read, or is none of ours.
    pub fn read(data: &Path) -> Result<Self, Fault> {
        Ok(files::read_json(&Self::file(data))?.unwrap_or_default())
    }

    /// Keeps it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, data: &Path) -> Result<(), Fault> {
        files::write_json(&Self::file(data), self)
    }

    /// Whether an account is that of a person with this login: by its number, and by its login only while no number is known.
    #[must_use]
    pub fn is(&self, login: &str, account: &Account) -> bool {
        match self.accounts.get(&login.to_lowercase()) {
            Some(id) => *id == account.id,
            None => login.eq_ignore_ascii_case(&account.login),
        }
    }

    /// Puts people into the groups that are teams in which they are.
    pub(super) fn join(
        &self,
        people: &mut BTreeMap<String, Person>,
        groups: &BTreeMap<String, GroupSettings>,
        now_ms: i64,
    ) {
        for (group, GroupSettings { github }) in groups {
            let team = self.teams.get(&github.to_lowercase());
            let Some(team) = team.filter(|team| now_ms - team.at_ms < TEAM_COUNTS_MS) else { continue };
            for person in people.values_mut() {
                let login = person.github.as_ref().map(|login| login.to_lowercase());
                let id = login.and_then(|login| self.accounts.get(&login));
                if id.is_some_and(|id| team.members.contains(id)) {
                    person.groups.insert(group.clone());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> AtGitHub {
        let team = TeamKnown { at_ms: 1_000, members: BTreeSet::from([7, 8]) };
        AtGitHub {
            accounts: [("ada".to_owned(), 7), ("grace".to_owned(), 9)].into(),
            teams: [("acme/release".to_owned(), team)].into(),
        }
    }

    #[test]
    fn whoever_takes_a_login_over_is_somebody_else() {
        let account = |id, login: &str| Account { id, login: login.to_owned() };
        assert!(known().is("Ada", &account(7, "ada")) && known().is("ada", &account(7, "ada-renamed")));
        assert!(!known().is("ada", &account(70, "ada")), "the login was given to another");
        assert!(known().is("linus", &account(3, "Linus")), "no number is known yet");
    }

    #[test]
    fn who_is_in_a_team_is_in_its_group_while_it_is_known() {
        let groups = [("release".to_owned(), GroupSettings { github: "Acme/Release".to_owned() })].into();
        let in_groups = |now_ms| {
            let person = |login: &str| Person { github: Some(login.to_owned()), ..Person::default() };
            let people = [("ada", person("Ada")), ("grace", person("grace")), ("hidden", Person::default())];
            let mut people: BTreeMap<_, _> = people.map(|(name, person)| (name.to_owned(), person)).into();
            known().join(&mut people, &groups, now_ms);
            people.into_iter().filter(|(_, person)| !person.groups.is_empty()).map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(in_groups(2_000), ["ada"]);
        assert!(in_groups(1_000 + TEAM_COUNTS_MS).is_empty(), "GitHub said so too long ago");
    }
}
