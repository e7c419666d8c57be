//! Channels in `tidegate.toml`: what is wrong with them is said before driving begins, and no secret is.

use std::process::Command;

use crate::support::repo::HERMETIC;

const RULES: &str = include_str!("../../../promotion-rules/static-template.yaml");

/// What `tidegate serve` says of a settings file with this channel, and refuses to begin.
fn said(channel: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.yaml"), RULES).unwrap();
    std::fs::write(folder.path().join("empty"), "\n").unwrap();
    std::fs::write(folder.path().join("short"), "hunter2\n").unwrap();
    let settings = format!("rules = [\"rules.yaml\"]\n\n[channels.it]\n{channel}");
    std::fs::write(folder.path().join("tidegate.toml"), settings).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidegate"));
    let command = command.arg("--config").arg(folder.path().join("tidegate.toml")).arg("serve").envs(HERMETIC);
    let output = command.env_remove("TIDEGATE_NO_SUCH").output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{channel}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!said.contains("hunter2"), "{said}");
    said
}

#[test]
fn a_channel_that_cannot_be_used_is_said_with_what_to_do() {
    let smtp = "kind = \"smtp\"\nhost = \"mail.example\"\nfrom = \"Tidegate <tidegate@shop.example>\"\n";
    let hook = "kind = \"webhook\"\nurl = \"https://hooks.example/in\"\n";
    for (channel, expected) in [
        (format!("{smtp}username = \"tide\""), "give it a `password_file` or `password_env`"),
        (format!("{smtp}password_file = \"short\""), "no `username`"),
        (format!("{smtp}username = \"tide\"\npassword_file = \"nowhere\""), "cannot read its `password_file`"),
        (
            format!("{smtp}username = \"tide\"\npassword_env = \"TIDEGATE_NO_SUCH\""),
            "TIDEGATE_NO_SUCH, which is not set",
        ),
        (format!("{smtp}username = \"t\"\npassword_file = \"short\"\npassword_env = \"X\""), "take one of them out"),
        (format!("{smtp}username = \"t\"\npassword_file = \"short\"\nsecurity = \"none\""), "would travel in plain"),
        (format!("{smtp}password = \"hunter\""), "unknown field `password`"),
        (smtp.replace("Tidegate <tidegate@shop.example>", "nobody"), "write it as `Name <address>`"),
        (hook.to_owned(), "it has no secret to sign with"),
        (format!("{hook}secret_file = \"empty\""), "its secret is empty"),
        (format!("{hook}secret_file = \"short\""), "must have 24 to 64"),
        (format!("{hook}secret_file = \"short\"").replace("https:", "gopher:"), "not an http or https address"),
        ("kind = \"pigeon\"".to_owned(), "unknown variant `pigeon`"),
    ] {
        let said = said(&channel);
        assert!(said.contains(expected), "{channel}: {said}");
    }
}
