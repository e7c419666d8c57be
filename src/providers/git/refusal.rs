//! What git, ssh and forges say when they do not do what they are asked, and what that means: tried again where it may pass, else
//! a failure with its remedy. The first line of an error holds the line that helps; what else was said stands below it.
//! Where words are of a forge, its name stands beside them.

use crate::providers::Fault;

/// How much of what was said is kept: its beginning and its end.
const MOST_SAID: usize = 16 << 10;
/// How much of one line stands in a table.
const LONGEST_LINE: usize = 600;

/// What a refused push means.
pub(super) enum Refusal {
    /// Somebody else was faster.
    Race,
    /// It may pass, or nobody knows: tried again a few times.
    Passing(Fault),
    /// It stays so until a person mends it.
    Lasting(Fault),
}

/// Words by which something is known, and what to do then.
struct Known {
    words: &'static [&'static str],
    hint: &'static str,
}

const CREDENTIALS: &str = "give the engine credentials that may read and push this repository";
const KEY: &str = "give the engine's user an ssh key that may read and push this repository: in its ~/.ssh, or by GIT_SSH_COMMAND \
                   in [git_environment] of tidegate.toml";
const CA: &str = "name the file with your CA's certificate as GIT_SSL_CAINFO in [git_environment] of tidegate.toml, or have the \
                  server's certificate mended";
const SHALLOW: &str =
    "name a repository that has the whole history, or complete this one: `git fetch --unshallow` in it";
const URL: &str = "correct the repository's URL in the rules, or create the repository";
const SIGNING: &str =
    "the branch wants signed commits: set `signing` of [identity] in tidegate.toml, and let the forge know the key";
const BRANCH: &str = "let the engine's identity push to this branch past its branch protection, or stop protecting it from that identity";
const HOOK: &str = "do what the hook or rule demands, or let the engine's identity push to this branch (branch protection, hooks, \
                    permissions)";

/// What git says where the remote's history is cut off.
const IS_SHALLOW: &[&str] =
    &["shallow update not allowed", "from a shallow repository", "shallow roots are not allowed"];

/// What may pass, said over HTTP, though it has the words of what does not.
const PASSING: [&str; 5] = ["error: 429", "rate limit", "Rate limit", "too many requests", "Too Many Requests"];

/// What lasts, of calls in general. The first row that fits counts.
const OF_REMOTES: [Known; 21] = [
    Known {
        words: &["without `workflows` permission", "without `workflow` scope"],
        hint: "give the App the permission `workflows`, or the token the scope `workflow`: the push changes .github/workflows",
    },
    Known {
        words: &["error: 413"],
        hint: "the server, or a proxy before it, takes no push so large: raise its limit (`client_max_body_size` of nginx), or push over ssh",
    },
    Known {
        words: &["bad line length character"],
        hint: "something at the host prints a text at sign-in, or is no git server: have it be silent",
    },
    Known { words: IS_SHALLOW, hint: SHALLOW },
    Known {
        words: &["certificate has expired", "certificate is not yet valid"],
        hint: "have the server's certificate renewed, or set this machine's clock",
    },
    Known {
        words: &[
            "certificate verification failed",
            "certificate problem",
            "local issuer certificate",
            "self-signed certificate",
            "self signed certificate",
            "certificate subject name",
            "match target host name",
            "certificate verify locations",
            "reading ca cert file",
            "Problem with the SSL CA cert",
        ],
        hint: CA,
    },
    Known {
        words: &["Received HTTP code 407", "Could not resolve proxy", "error: 407"],
        hint: "correct the proxy in [git_environment] of tidegate.toml: https_proxy, with its user and password",
    },
    Known {
        words: &["unable to update url base from redirection", "error: 301", "error: 302", "error: 307", "error: 308"],
        hint: "the repository has moved: correct its URL in the rules",
    },
    Known {
        words: &["Permission denied (", "Too many authentication failures", "Load key", "UNPROTECTED PRIVATE KEY"],
        hint: KEY,
    },
    Known {
        words: &["IDENTIFICATION HAS CHANGED"],
        hint: "its key is another than before: make sure that it is the right host, then replace the key in the known hosts of the engine's user",
    },
    Known {
        words: &["Host key verification failed"],
        hint: "add the host's key to the known hosts of the engine's user",
    },
    Known {
        words: &["no matching host key type", "no matching key exchange", "no matching cipher"],
        hint: "the host is too old for this ssh: allow what it offers in ~/.ssh/config of the engine's user",
    },
    Known {
        words: &["cannot run ssh", "cannot exec 'ssh'"],
        hint: "install an ssh client (openssh-client) beside git",
    },
    Known {
        words: &["Authentication failed", "could not read Username", "could not read Password", "error: 401"],
        hint: CREDENTIALS,
    },
    Known {
        words: &["error: 403", "Permission denied", "Access denied", "marked as read only", "key is read only"],
        hint: CREDENTIALS,
    },
    Known {
        words: &["dubious ownership"],
        hint: "run as the repository's owner, or add it to safe.directory of the engine's user",
    },
    Known {
        words: &["bad config line", "bad numeric config", "bad boolean config"],
        hint: "correct the git configuration of the engine's user",
    },
    Known {
        words: &["unable to find remote helper", "' not allowed", "Protocol \"", "is not supported"],
        hint: "write the URL with https, ssh or as a path",
    },
    Known {
        words: &["not valid: is this a git repository", "invalid server response", "invalid ls-refs response"],
        hint: "what answers there is no git server, but a page to sign in, say: correct the repository's URL in the rules",
    },
    Known { words: &["error: 404", "error: 410", "access denied or repository not exported"], hint: URL },
    Known {
        words: &[
            "does not appear to be a git repository",
            "not a git repository",
            "does not exist",
            "epository not found",
            "' not found",
            "could not be found",
        ],
        hint: URL,
    },
];

/// What lasts, of pushes: what the server's hooks and rules say. Compared without case.
const OF_PUSHES: [Known; 8] = [
    // GitHub's GH001; GitLab; git's own receive.maxInputSize.
    Known {
        words: &["gh001", "file size limit", "too large", "exceeds maximum allowed size", "exceeds the maximum"],
        hint: "keep large files out of git (Git LFS, an object store), or raise the limit at the forge",
    },
    // GitHub's GH009 and push protection; GitLab's secret detection.
    Known {
        words: &["gh009", "push protection", "cannot contain secrets", "secret detection", "secrets detected"],
        hint: "the change carries what looks like a secret: take it out of the commits that are brought, or allow it at the forge",
    },
    // "Signed-off-by" is a line of a message, and no signature.
    Known {
        words: &["signed-off-by", "sign-off", "signed off"],
        hint: "the hook wants a `Signed-off-by` line, which commits of Tidegate have not: let the engine's identity pass",
    },
    Known {
        words: &[
            "verified signature",
            "must be signed",
            "signed commit",
            "not signed",
            "unsigned",
            "gpg key",
            "gpg signature",
            "valid signature",
            "commit signature",
        ],
        hint: SIGNING,
    },
    // GitHub's GH007; GitLab's push rules.
    Known {
        words: &[
            "gh007",
            "private email",
            "committer's email",
            "author's email",
            "is not a member of",
            "email address is not",
        ],
        hint: "set `name` and `email` of [identity] in tidegate.toml to those of an account that the forge knows",
    },
    Known {
        words: &["branch is currently checked out", "checked out branch"],
        hint: "push to a bare repository, or have it follow its branch (receive.denyCurrentBranch)",
    },
    // GitHub's GH006 and GH013; GitLab; Bitbucket; Azure's TF402455.
    Known {
        words: &[
            "gh006",
            "protected branch",
            "through a pull request",
            "through pull requests",
            "use a pull request",
            "pushes to this branch are not permitted",
        ],
        hint: BRANCH,
    },
    // Gerrit; GitLab; a repository whose files belong to somebody else.
    Known {
        words: &[
            "prohibited by gerrit",
            "not permitted: update",
            "not allowed to push",
            "do not have permission",
            "insufficient permission",
            "permission denied",
        ],
        hint: "give the engine's identity the right to push to this branch",
    },
];

/// What may pass though the server refused: it, or what it asks, is in trouble (GitHub's `(failure)` and `commit_refs`).
const MAY_PASS: [&str; 14] = [
    "(failure)",
    "fatal error in commit_refs",
    "unpacker error",
    "unpack failed",
    "internal server error",
    "internal error",
    "timeout",
    "timed out",
    "try again",
    "temporarily",
    "unavailable",
    "unreachable",
    "unable to migrate objects",
    "remote failure",
];
/// What a refusal says that was meant.
const MEANT: [&str; 9] = [
    "declined",
    "denied",
    "denying",
    "protected",
    "prohibited",
    "not permitted",
    "not allowed",
    "forbidden",
    "violation",
];

/// What a failed call to a remote means, by what git complained of.
pub(super) fn of_remote(url: &str, doing: &str, said: &str) -> Fault {
    if let Some(branch) = said.split("couldn't find remote ref refs/heads/").nth(1) {
        let branch = branch.lines().next().unwrap_or_default();
        return Fault::fail(
            format!("{url} has no branch '{branch}' (or is empty)"),
            format!("push a first commit to '{branch}', or correct the branch of this stage in the rules"),
        );
    }
    if ["mismatched algorithms", "object format", "unknown repository extension"]
        .iter()
        .any(|words| said.contains(words))
    {
        return sha256(url);
    }
    let error = |line: &str| whole(format!("{doing} ({url}): git said: {}", shorten(line)), said);
    if let Some(line) = line_with(said, &PASSING) {
        return Fault::retry(error(line));
    }
    for known in &OF_REMOTES {
        if let Some(line) = line_with(said, known.words) {
            let hint = match moved_to(said) {
                Some(to) => format!("it has moved to {to}: correct its URL in the rules, or {}", known.hint),
                None => known.hint.to_owned(),
            };
            return Fault::fail(error(line), hint);
        }
    }
    Fault::retry(error(useful(said)))
}

/// What a refused push means, by git's line about the branch (`! SOURCE:REF <tab> SUMMARY (REASON)`) and by what else was said.
pub(super) fn of_push(url: &str, branch: &str, line: &str, said: &str) -> Refusal {
    if is_race(line, said) {
        return Refusal::Race;
    }
    let reason = line.rsplit('\t').next().unwrap_or(line);
    let all = format!("{reason}\n{said}");
    let error = |helps: Option<&str>| {
        let helps = helps.filter(|helps| *helps != reason).or_else(|| of_server(said).next()).map(plain);
        let helps = helps.map_or_else(String::new, |helps| format!("; {}", shorten(helps)));
        whole(format!("{url} refused a push to {branch}: {reason}{helps}"), said)
    };
    for known in &OF_PUSHES {
        if let Some(line) = line_with_any_case(&all, known.words) {
            return Refusal::Lasting(Fault::fail(error(Some(line)), known.hint));
        }
    }
    if let Some(line) = line_with(&all, &["shallow update not allowed"]) {
        return Refusal::Lasting(Fault::fail(error(Some(line)), SHALLOW));
    }
    if let Some(line) = line_with_any_case(&all, &MAY_PASS) {
        return Refusal::Passing(Fault::retry(error(Some(line))));
    }
    if line_with_any_case(&all, &MEANT).is_some() {
        return Refusal::Lasting(Fault::fail(error(None), HOOK));
    }
    Refusal::Passing(Fault::retry(error(None)))
}

/// A repository with the longer object names.
pub(super) fn sha256(url: &str) -> Fault {
    Fault::fail(
        format!(
            "{url} is a SHA-256 repository: its object ids have 64 digits, and Tidegate works with SHA-1 repositories, whose ids have 40"
        ),
        "name a SHA-1 repository; `git init --object-format=sha1` makes one",
    )
}

/// Whether git said, though it did not fail, that it left out a branch because the remote's history is cut off.
pub(super) fn is_shallow(said: &str) -> bool {
    line_with(said, IS_SHALLOW).is_some()
}

/// Where a redirect led.
pub(super) fn moved_to(said: &str) -> Option<&str> {
    said.lines().find_map(|line| line.strip_prefix("warning: redirecting to ")).map(str::trim)
}

/// Whether a refused push means that somebody else was faster, seen by us (`stale info`) or by the remote.
fn is_race(line: &str, said: &str) -> bool {
    const BY_US: [&str; 3] = ["stale info", "fetch first", "non-fast-forward"];
    const BY_THE_REMOTE: [&str; 5] =
        ["failed to update ref", "cannot lock ref", "incorrect old value", "reference already exists", "but expected"];
    let declined = line.contains("declined") || line.contains("denied");
    BY_US.iter().any(|phrase| line.contains(phrase))
        || (!declined && BY_THE_REMOTE.iter().any(|phrase| line.contains(phrase) || said.contains(phrase)))
}

fn line_with<'said>(said: &'said str, words: &[&str]) -> Option<&'said str> {
    words.iter().find_map(|words| said.lines().find(|line| line.contains(words)))
}

fn line_with_any_case<'said>(said: &'said str, words: &[&str]) -> Option<&'said str> {
    let lines: Vec<(&str, String)> = said.lines().map(|line| (line, beginning(line).to_lowercase())).collect();
    words.iter().find_map(|words| lines.iter().find(|(_, lower)| lower.contains(words)).map(|(line, _)| *line))
}

/// As much of a line as is searched: no known words stand further behind.
fn beginning(line: &str) -> &str {
    &line[..line.floor_char_boundary(line.len().min(MOST_SAID))]
}

/// What the server said, without frames.
fn of_server(said: &str) -> impl Iterator<Item = &str> {
    said.lines().filter(|line| line.starts_with("remote:")).map(plain).filter(|line| says_something(line))
}

fn plain(line: &str) -> &str {
    line.strip_prefix("remote:").unwrap_or(line).trim()
}

fn says_something(line: &str) -> bool {
    line.chars().any(char::is_alphanumeric)
}

/// The first line that says why, where no words are known: not what every failure ends with.
fn useful(said: &str) -> &str {
    const NOISE: [&str; 8] = [
        "Warning: Permanently added",
        "warning: ",
        "hint: ",
        "fatal: Could not read from remote repository",
        "Please make sure you have the correct access rights",
        "and the repository exists",
        "error: failed to push some refs",
        "fatal: the remote end hung up unexpectedly",
    ];
    let is_useful = |line: &&str| says_something(plain(line)) && !NOISE.iter().any(|noise| line.starts_with(noise));
    said.lines().find(is_useful).or_else(|| said.lines().find(|line| says_something(line))).unwrap_or("nothing")
}

/// A first line, and below it all that was said, where that is more.
fn whole(first: String, said: &str) -> String {
    let said = said.trim();
    if said.lines().count() < 2 {
        return first;
    }
    if said.len() <= MOST_SAID {
        return format!("{first}\n{said}");
    }
    let (head, tail) = (said.floor_char_boundary(MOST_SAID / 2), said.ceil_char_boundary(said.len() - MOST_SAID / 2));
    format!("{first}\n{}\n… {} bytes left out …\n{}", &said[..head], tail - head, &said[tail..])
}

/// The beginning of a long line.
fn shorten(line: &str) -> String {
    match line.char_indices().nth(LONGEST_LINE) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

#[cfg(test)]
mod tests;
