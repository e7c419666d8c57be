//! Whether texts are what they must be: paths within a repository, JSON pointers, git URLs, branches.

/// Checks that a path stays within its repository and is written as git writes it.
pub(super) fn path(path: &str) -> Result<(), String> {
    let refuse = |reason: &str| Err(format!("`{path}` is not a path within the repository: {reason}"));
    if path.is_empty() {
        return refuse("it is empty");
    }
    if path.starts_with('/') {
        return refuse("it begins with `/`, and paths begin at the root of the repository without it");
    }
    if path.contains("{{") {
        return refuse("templates are not rendered in paths");
    }
    if path.contains('\\') {
        return refuse("folders are separated by `/`");
    }
    if path.contains(char::is_control) {
        return refuse("it has a control character");
    }
    for part in path.split('/') {
        match part {
            ".." => return refuse("`..` could leave it"),
            "" | "." => return refuse("it has an empty part or a `.`"),
            _ if part.eq_ignore_ascii_case(".git") => return refuse("`.git` belongs to git"),
            _ => {}
        }
    }
    Ok(())
}

/// Checks that a file is one in which values can be found and set.
pub(super) fn values_file(file: &str) -> Result<(), String> {
    path(file)?;
    let ending = file.rsplit_once('.').map_or("", |(_, ending)| ending).to_ascii_lowercase();
    if matches!(ending.as_str(), "json" | "yaml" | "yml" | "toml") {
        return Ok(());
    }
    Err(format!("`{file}` does not end in .json, .yaml, .yml or .toml, so its values cannot be found"))
}

/// Checks a JSON pointer (RFC 6901) to a value within a file.
pub(super) fn pointer(pointer: &str) -> Result<(), String> {
    if pointer.is_empty() || pointer == "/" {
        return Err(format!("`{pointer}` names no value: write a JSON pointer, as in `/software/tag`"));
    }
    if !pointer.starts_with('/') {
        return Err(format!(
            "`{pointer}` is not a JSON pointer: it begins with `/`, as in `/{}`",
            pointer.replace('.', "/")
        ));
    }
    let escapes_end_well = pointer.split('~').skip(1).all(|rest| rest.starts_with(['0', '1']));
    if escapes_end_well {
        return Ok(());
    }
    Err(format!("`{pointer}` is not a JSON pointer: a `~` is written `~0`, and a `/` within a name `~1`"))
}

/// A git URL that cannot be used: why, and what to do where that is known.
pub(super) struct BadUrl {
    pub(super) message: String,
    pub(super) help: &'static str,
}

/// Checks that a git URL is plausible, runs nothing, and holds no secret.
pub(super) fn git_url(url: &str) -> Result<(), BadUrl> {
    const FORMS: &str = "write `https://…`, `ssh://…`, `git@host:path`, `file:///…` or a path";
    let refuse = |message: &str, help| Err(BadUrl { message: message.to_owned(), help });
    if url.is_empty() || url.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return refuse("this URL is empty or has white space in it", FORMS);
    }
    if url.starts_with('-') || url.contains("::") || is_option_for_ssh(url) {
        return refuse("this is not the URL of a repository", FORMS);
    }
    let Some((scheme, rest)) = url.split_once("://") else { return Ok(()) };
    let authority = rest.split('/').next().unwrap_or_default();
    match scheme {
        "https" | "http" | "ssh" => {
            if let Some((user, _)) = authority.rsplit_once('@')
                && (user.contains(':') || scheme != "ssh")
            {
                return refuse(
                    "this URL has credentials in it, which everybody who reads the rules would see",
                    "take them out, and give them to git's credential helper, or to `tidegate.toml`",
                );
            }
            if authority.is_empty() || !rest.contains('/') {
                return refuse("this URL lacks the host or the path", FORMS);
            }
            Ok(())
        }
        "file" if rest.starts_with('/') => Ok(()),
        "file" => refuse("a `file:` URL has an absolute path", "write `file:///…` with three slashes"),
        _ => Err(BadUrl { message: format!("git is not reached by `{scheme}:` here"), help: FORMS }),
    }
}

/// Whether the host, the user or the path begins as an option does: what `ssh` or the other side would take it for.
fn is_option_for_ssh(url: &str) -> bool {
    let (authority, path) = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/').unwrap_or((rest, "")),
        None => url.split_once(':').filter(|(host, _)| !host.contains('/')).unwrap_or_default(),
    };
    let host = authority.rsplit('@').next().unwrap_or_default();
    [authority, host, path].iter().any(|part| part.starts_with('-'))
}

/// Checks a branch name by git's rules (git-check-ref-format).
pub(super) fn branch(name: &str) -> Result<(), String> {
    let refused_characters = |character: char| character.is_control() || " ~^:?*[\\".contains(character);
    let refused = name.is_empty()
        || name.starts_with(['-', '/'])
        || name.ends_with(['.', '/'])
        || name == "@"
        || name.contains(refused_characters)
        || ["..", "@{", "//"].iter().any(|refused| name.contains(refused))
        || name.split('/').any(|part| part.starts_with('.') || part.ends_with(".lock"));
    if refused { Err(format!("`{name}` is not a name that git allows for a branch")) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_within_the_repository() {
        for good in ["config.json", "a/b/c.yaml", ".github/x.yml", "a..b"] {
            assert_eq!(path(good), Ok(()));
        }
        for bad in [
            "",
            "/etc/passwd",
            "../x.json",
            "a/../../x",
            "a//b",
            "./a",
            ".git/config",
            "a/.GIT/x",
            "a\\b",
            "a\0",
            "{{x}}",
        ] {
            assert!(path(bad).is_err(), "{bad}");
        }
        assert!(values_file("config.ini").is_err());
    }

    #[test]
    fn pointers_are_well_formed() {
        for good in ["/a", "/a/b~1c/~0", "/a/"] {
            assert_eq!(pointer(good), Ok(()));
        }
        assert!(pointer("software.tag").is_err_and(|error| error.ends_with("as in `/software/tag`")));
        for bad in ["", "/", "/a~", "/a~2"] {
            assert!(pointer(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn urls_are_plausible_and_hold_no_secret() {
        for good in [
            "https://github.com/a/b.git",
            "http://127.0.0.1:80/a",
            "ssh://git@host/a",
            "git@host:a/b",
            "file:///a",
            "../a",
            "/srv/a",
        ] {
            assert!(git_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "a b",
            "--upload-pack=x",
            "ext::sh -c x",
            "ext::x",
            "ssh://-oProxyCommand=x/a",
            "ssh://git@-oProxyCommand=x/a",
            "ssh://git@host/-a",
            "-oProxyCommand=x:a",
            "git@-oProxyCommand=x:a",
            "git@host:--upload-pack=x",
            "https://user:secret@host/a",
            "https://token@host/a",
            "ssh://git:secret@host/a",
            "https:///a",
            "https://host",
            "file://a/b",
            "gopher://host/a",
        ] {
            assert!(git_url(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn branches_are_those_that_git_allows() {
        for good in ["main", "release/1.0", "a.b"] {
            assert_eq!(branch(good), Ok(()));
        }
        for bad in ["", "a b", "a..b", "-a", "a.lock", "a/", ".a", "a@{b", "@"] {
            assert!(branch(bad).is_err(), "{bad}");
        }
    }
}
