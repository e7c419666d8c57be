//! What branches of a repository demand, and who pushed to them.

use serde::Deserialize;

use super::{
    client::{GitHub, part},
    people::User,
    verdict::Refused,
};
use crate::providers::forge::values::{Account, BranchRules, Pushed, RepositoryAt};

/// How many pages of rules and of pushes are read. A ruleset has a few rules; pushes are asked about soon after.
const MOST_PAGES: (usize, usize) = (10, 5);

#[derive(Deserialize)]
struct Rule {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    parameters: Parameters,
}

#[derive(Default, Deserialize)]
struct Parameters {
    #[serde(default)]
    required_status_checks: Vec<RequiredCheck>,
}

#[derive(Deserialize)]
struct RequiredCheck {
    context: String,
}

#[derive(Deserialize)]
struct Activity {
    before: String,
    after: String,
    activity_type: String,
    actor: Option<User>,
}

impl GitHub {
    /// The rules of rulesets; whoever may read the repository is told. Those that only a branch's classic protection has are not
    /// among them: for these GitHub wants the right to administer.
    pub(super) async fn rules_of(&self, at: &RepositoryAt, branch: &str) -> Result<BranchRules, Refused> {
        let rest = format!("/rules/branches/{}?per_page=100", part(branch));
        let items = self.pages_of(at, &rest, None, MOST_PAGES.0).await?;
        let mut rules = BranchRules::default();
        for item in &items {
            // Kinds that are not known may have any shape, and do not concern us.
            let Ok(Rule { kind, parameters }) = Rule::deserialize(item) else { continue };
            match kind.as_str() {
                "pull_request" => rules.pull_request = true,
                "required_linear_history" => rules.linear_history = true,
                "required_signatures" => rules.signatures = true,
                "merge_queue" => rules.merge_queue = true,
                "update" => rules.locked = true,
                "required_status_checks" => {
                    rules.required_checks.extend(parameters.required_status_checks.into_iter().map(|it| it.context));
                }
                _ => {}
            }
        }
        Ok(rules)
    }

    pub(super) async fn pushed_to(&self, at: &RepositoryAt, branch: &str) -> Result<Vec<Pushed>, Refused> {
        let rest = format!("/activity?ref={}&per_page=100", part(&format!("refs/heads/{branch}")));
        let items = self.pages_of(at, &rest, None, MOST_PAGES.1).await?;
        let read = items.iter().map(Activity::deserialize).collect::<Result<Vec<_>, _>>();
        let read = read.map_err(|error| Refused::unheard(&format!("GitHub, activity of {at}"), &error.to_string()))?;
        let pushes = read.into_iter().filter(|it| it.activity_type != "branch_deletion");
        let pushes =
            pushes.map(|Activity { before, after, actor, .. }| Pushed { by: actor.map(Account::from), before, after });
        Ok(pushes.collect())
    }
}
