//! Who asks, by the settings; and what settings are refused.

use super::*;

fn settings(people: &str) -> Settings {
    toml::from_str(&format!("rules = []\n{people}")).unwrap_or_else(|error| panic!("{error}"))
}

fn asker(user: &str, said: Option<&str>) -> Asker {
    Asker { user: OsUser::new(1001, Some(user.to_owned())).into(), in_name_of: said.map(str::to_owned) }
}

const PEOPLE: &str = "[people.ada]\nos = ['al', '7']\n[people.grace]\nos = ['grace']\n[people.linus]\n";

#[test]
fn the_user_of_the_operating_system_says_who_asks() {
    let settings = settings(PEOPLE);
    let said = |user, name| settings.principal(&asker(user, name)).map(|by| by.said()).map_err(|e| e.to_string());
    assert_eq!(said("al", None).as_deref(), Ok("ada"));
    assert_eq!(said("al", Some("ada")).as_deref(), Ok("ada"), "in her own name");
    assert_eq!(said("al", Some("grace")).as_deref(), Ok("grace, asked by ada"));
    assert_eq!(said("al", Some("linus")).as_deref(), Ok("linus, asked by ada"));
    assert!(
        said("al", Some("otto"))
            .expect_err("it is refused")
            .contains("lists no person `otto`; it lists ada, grace, linus")
    );
    for name in [None, Some("grace")] {
        let why = said("linus", name).expect_err("it is refused");
        assert!(why.contains("none of them is the user `linus` of the operating system"), "{why}");
    }
    let nameless = Asker { user: OsUser::new(7, None).into(), in_name_of: None };
    assert_eq!(settings.principal(&nameless).unwrap_or_default().name, "ada", "by number");
}

#[test]
fn without_people_everybody_is_taken_at_their_word() {
    let settings = settings("");
    let said = |name| settings.principal(&asker("al", name)).map(|by| by.said()).unwrap_or_default();
    assert_eq!((said(None), said(Some("grace"))), ("al".to_owned(), "grace".to_owned()));
}

#[test]
fn how_long_git_is_waited_for_has_bounds() {
    let said = |text| settings(text).git.check().map_err(|error| error.to_string());
    assert_eq!(said("[git]\nsilence = '45s'\nlag = '10m'"), Ok(()));
    assert_eq!(settings("[git]\nsilence = '45s'").git.lag, Span::from_secs(180), "the other stays");
    assert!(said("[git]\nsilence = '2h'").is_err_and(|why| why.contains("between 1s and 1h")));
    assert!(said("[git]\nlag = '2h'").is_err_and(|why| why.contains("at most 1h")));
}

#[test]
fn one_key_is_one_person_and_counts_only_where_it_is_listed() {
    let keys = "[people.ada]\nkeys = ['5E:1F']\n[people.grace]\nkeys = ['5e1f']";
    let said = |text: &str| settings(text).check_people().map_err(|error| error.to_string());
    assert!(said(keys).is_err_and(|why| why.contains("lists none that would count")));
    let signers = "[signers]\nx509 = ['5E:1F']\n";
    assert!(said(&format!("{signers}{keys}")).is_err_and(|why| why.contains("is both ada's and grace's")));
    assert_eq!(said(&format!("{signers}{}", keys.replace("5e1f", "5e20"))), Ok(()));
}

#[test]
fn the_socket_is_hidden_from_commands_and_in_a_folder_of_its_own() {
    let hidden = settings("[server]\nsocket = '/run/tidegate/socket'").sandbox().map(|sandbox| sandbox.hidden);
    assert!(hidden.is_ok_and(|hidden| hidden.contains(&PathBuf::from("/run/tidegate/socket"))));
    let why = settings("tools = ['/opt/tools']\n[server]\nsocket = '/opt/tools/socket'").check_socket();
    assert!(why.is_err_and(|why| why.to_string().contains("is within /opt/tools")));
}

#[test]
fn one_user_is_one_person() {
    let why =
        settings("[people.ada]\nos = ['al']\n[people.grace]\nos = ['al']").check_people().expect_err("it is refused");
    assert!(why.to_string().contains("is both ada and grace"), "{why}");
}
