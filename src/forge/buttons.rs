//! What becomes of a button below a check that somebody presses: they ask the engine, as on the command line, for exactly what the
//! check showed.

use anyhow::Error;

use crate::{
    engine::{Command, CommandKey, Digest, Refused, RunId, System},
    house::{House, Once},
    providers::forge::Account,
    rules::SystemName,
    store::{RecordError, StoreError},
};

/// How many digits of a digest a button says at least: fewer could be meant for another.
const FEWEST_DIGITS: usize = 8;
/// How often it is tried while the system moves on between the look and the command.
const MOST_TRIES: usize = 20;
/// Why a run is rejected by whom.
const REASON: &str = "rejected at GitHub, by the button of its check";

/// A button that was pressed.
#[derive(Debug)]
pub(super) struct Pressed<'delivery> {
    /// The delivery that says so.
    pub(super) guid: &'delivery str,
    /// The App that made the check.
    pub(super) app: Option<u64>,
    /// The key of the check.
    pub(super) key: &'delivery str,
    /// What the button says: `approve:1a22a489c14f`.
    pub(super) says: &'delivery str,
    /// Who pressed it.
    pub(super) by: Account,
}

/// What a button asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asks {
    Approve,
    Reject,
}

/// Asks for what a button says. What became of it, in words.
///
/// # Errors
/// When the store fails for now: nothing has changed, or it was done and is found done.
pub(super) async fn press(house: &House, pressed: &Pressed<'_>) -> Result<String, StoreError> {
    let own = house.settings.forges.github.as_ref().and_then(|github| github.app_id);
    if own.is_none() || pressed.app != own {
        return Ok("refused: the check is not one of this server's App".to_owned());
    }
    let Some((asks, digits)) = asked(pressed.says) else {
        return Ok(format!("refused: there is no button that says `{}`", pressed.says));
    };
    let Some((system, run)) = pressed.key.split_once('/') else {
        return Ok("refused: the check has no key of a run".to_owned());
    };
    let known = SystemName::new(system).ok().filter(|_| !run.is_empty());
    let Some(system) = known else { return Ok("refused: the check has no key of a run".to_owned()) };
    if !house.ledger.store().systems().await?.contains_key(&system) {
        return Ok(format!("refused: there is no system `{system}`"));
    }
    let login = &pressed.by.login;
    let person = house.settings.person_at_github(&pressed.by);
    let Some(principal) = person.and_then(|name| house.settings.access().principal(name)) else {
        return Ok(format!(
            "refused: `{login}` of GitHub is no person in tidegate.toml: add `github = \"{login}\"` to theirs"
        ));
    };
    let name = principal.name.clone();
    // The same delivery, done again after a crash, is answered as it was.
    let asked = Digest::of(format!("{}\n{}", pressed.key, pressed.says).as_bytes());
    let Ok(key) = CommandKey::new(pressed.guid, asked) else { return Ok("refused: it has no number".to_owned()) };
    for _ in 0..MOST_TRIES {
        let (seq, waits) = house.ledger.read(&system, |state| (state.seq, waits(state, run))).await?;
        let before = house.ledger.read(&system, |state| state.not_before(&principal, &key)).await?;
        if let Err(Refused::DoneBefore { .. }) = before {
            return Ok(done(asks, run, &name));
        }
        let Some((id, digest)) = waits else {
            return Ok(format!("refused: {run} does not ask any more"));
        };
        if !digest.as_str().trim_start_matches("sha256:").starts_with(&digits) {
            return Ok(format!("refused: what {id} shows is not what the button was for: look at the check again"));
        }
        let command = match asks {
            Asks::Approve => Command::Approve { run: id, digest: Some(Digest::new(digits.as_str())) },
            Asks::Reject => Command::Reject { run: id, reason: REASON.to_owned() },
        };
        let once = Once { key: Some(key.clone()), seen: Some(seq) };
        match house.command_by(&system, principal.clone(), command, once).await {
            Ok(_) => return Ok(done(asks, run, &name)),
            Err(error) => match why(&error) {
                Some(RecordError::Refused(Refused::DoneBefore { .. })) => return Ok(done(asks, run, &name)),
                Some(RecordError::Moved { .. }) => {}
                Some(RecordError::Store(error)) if error.is_passing() => return Err(error.clone()),
                _ => return Ok(format!("refused: {error:#}")),
            },
        }
    }
    Ok(format!("refused: {system} moves on all the time: press it again"))
}

fn done(asks: Asks, run: &str, name: &str) -> String {
    let (run, asked) = (
        run.rsplit_once('.').map_or(run, |(run, _)| run),
        match asks {
            Asks::Approve => "approved",
            Asks::Reject => "rejected",
        },
    );
    format!("{name} {asked} {run}")
}

fn why(error: &Error) -> Option<&RecordError> {
    error.downcast_ref::<RecordError>()
}

/// What a button asks for, and the first digits of the digest of what its check showed.
fn asked(says: &str) -> Option<(Asks, String)> {
    let (what, digits) = says.split_once(':')?;
    let asks = match what {
        "approve" => Asks::Approve,
        "reject" => Asks::Reject,
        _ => return None,
    };
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    (digits.len() >= FEWEST_DIGITS && digits.bytes().all(is_digit)).then(|| (asks, digits.to_owned()))
}

/// The run of that name for all time, and the digest of what it asks about, if it asks.
fn waits(state: &System, unique_name: &str) -> Option<(RunId, Digest)> {
    let run = state.live_runs().find(|run| run.unique_name() == unique_name)?;
    let step = run.answerable()?;
    Some((run.id.clone(), run.digest(step)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_button_names_what_it_is_for_or_asks_for_nothing() {
        assert_eq!(asked("approve:1a22a489c14f"), Some((Asks::Approve, "1a22a489c14f".to_owned())));
        assert_eq!(asked("reject:1a22a489"), Some((Asks::Reject, "1a22a489".to_owned())));
        for bad in
            ["", "approve", "approve:", "approve:1a22a48", "approve:1A22A489", "retry:1a22a489", "approve:1a22a489 "]
        {
            assert_eq!(asked(bad), None, "{bad}");
        }
    }
}
