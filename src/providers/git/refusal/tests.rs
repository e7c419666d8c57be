//! What forges say, word for word, and what it is taken for.

use super::*;

fn push(reason: &str, said: &str) -> (&'static str, String, String) {
    let line = format!("!\t0123:refs/heads/dev\t[remote rejected] ({reason})");
    match of_push("https://host/x", "dev", &line, said) {
        Refusal::Race => ("race", String::new(), String::new()),
        Refusal::Passing(fault) => ("passing", fault.to_string(), String::new()),
        Refusal::Lasting(Fault::Fail { error, hint }) => ("lasting", error, hint),
        Refusal::Lasting(fault) => panic!("{fault}"),
    }
}

#[test]
fn what_forges_refuse_has_the_remedy_that_fits() {
    let cases = [
        (
            "protected branch hook declined",
            "remote: error: GH006: Protected branch update failed for refs/heads/main.\nremote: error: Changes must be made through a pull request.",
            "GH006",
            BRANCH,
        ),
        (
            "push declined due to repository rule violations",
            "remote: error: GH013: Repository rule violations found for refs/heads/main.\nremote: \nremote: - Commits must have verified signatures.\nremote:   Found 1 violation:",
            "verified signatures",
            SIGNING,
        ),
        (
            "push declined due to repository rule violations",
            "remote: error: GH013: Repository rule violations found\nremote: - GITHUB PUSH PROTECTION\nremote:   - Push cannot contain secrets",
            "PUSH PROTECTION",
            OF_PUSHES[1].hint,
        ),
        (
            "pre-receive hook declined",
            "remote: error: GH001: Large files detected.\nremote: error: File a is 120.00 MB; this exceeds GitHub's file size limit of 100.00 MB",
            "GH001",
            OF_PUSHES[0].hint,
        ),
        (
            "pre-receive hook declined",
            "remote: \nremote: ========\nremote: GitLab: You are not allowed to push code to protected branches on this project.\nremote: ========",
            "You are not allowed",
            BRANCH,
        ),
        (
            "pre-receive hook declined",
            "remote: GitLab: Commit must be signed with a GPG key",
            "must be signed",
            SIGNING,
        ),
        (
            "pre-receive hook declined",
            "remote: GitLab: Committer's email 'x@y' does not follow the pattern",
            "Committer's email",
            OF_PUSHES[4].hint,
        ),
        ("pre-receive hook declined", "remote: commits need a Signed-off-by line", "Signed-off-by", OF_PUSHES[2].hint),
        ("prohibited by Gerrit: not permitted: update", "", "prohibited by Gerrit", OF_PUSHES[7].hint),
        ("pre-receive hook declined", "remote: come back on Monday", "come back on Monday", HOOK),
        ("deny updating a hidden ref", "", "hidden ref", ""),
    ];
    for (reason, said, helps, hint) in cases {
        let (kind, error, said_hint) = push(reason, said);
        let first = error.lines().next().unwrap_or_default();
        assert!(first.contains(helps) && first.contains(reason), "{error}");
        let expected = if hint.is_empty() { "passing" } else { "lasting" };
        assert_eq!((kind, said_hint.as_str()), (expected, hint), "{error}");
    }
}

#[test]
fn what_may_pass_is_tried_again_and_what_is_unknown_too() {
    let cases = [
        ("failure", ""),
        ("fatal error in commit_refs", "remote: fatal error in commit_refs"),
        ("unpacker error", "error: remote unpack failed: index-pack abnormal exit"),
        ("Internal Server Error", "remote: Internal Server Error"),
        ("pre-receive hook declined", "remote: GitLab: Internal API unreachable"),
        ("pre-receive hook declined", "remote: 504 Gateway Timeout"),
        ("the moon is full", "remote: one\nremote: two"),
    ];
    for (reason, said) in cases {
        let (kind, error, _) = push(reason, said);
        assert_eq!(kind, "passing", "{error}");
        assert!(
            error.contains(reason) && error.ends_with(said.lines().last().unwrap_or(reason))
                || said.lines().count() < 2,
            "{error}"
        );
    }
    assert_eq!(push("failed to update ref", "").0, "race");
    let oversized = push("unpacker error", "remote: fatal: pack exceeds maximum allowed size (1 GiB)");
    assert_eq!(oversized.0, "lasting", "the reason passes, the cause does not");
}

#[test]
fn the_line_that_helps_comes_first_and_nothing_is_lost() {
    let banner = "@@@@@@@@@@@@@@\n@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @\n@@@@@@@@@@@@@@\nIT IS POSSIBLE\nHost key verification failed.\nfatal: Could not read from remote repository.\n\nPlease make sure";
    let cases = [
        (banner, "IDENTIFICATION HAS CHANGED", "another than before"),
        (
            "Warning: Permanently added 'h' to the list of known hosts.\ngit@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
            "(publickey)",
            "ssh key",
        ),
        (
            "fatal: unable to access 'https://h/x/': server certificate verification failed. CAfile: none CRLfile: none",
            "CAfile",
            "GIT_SSL_CAINFO",
        ),
        (
            "fatal: unable to access 'https://h/x/': SSL certificate problem: unable to get local issuer certificate",
            "issuer",
            "GIT_SSL_CAINFO",
        ),
        (
            "remote: Not Found\nfatal: repository 'https://h/x/' not found",
            "' not found",
            "correct the repository's URL",
        ),
        ("fatal: unable to access 'https://h/x/': The requested URL returned error: 403", "403", "credentials"),
        (
            "fatal: unable to access 'https://h/x/': Received HTTP code 407 from proxy after CONNECT",
            "407",
            "https_proxy",
        ),
        (
            "warning: redirecting to https://new/x/\nfatal: could not read Username for 'https://new': terminal prompts disabled",
            "Username",
            "it has moved to https://new/x/",
        ),
        (" ! [rejected] dev -> x (shallow update not allowed)", "shallow", "--unshallow"),
        ("fatal: mismatched algorithms: client sha1; server sha256", "SHA-256 repository", "SHA-1"),
        (
            "error: RPC failed; HTTP 413 curl 22 The requested URL returned error: 413\nfatal: the remote end hung up unexpectedly",
            "413",
            "client_max_body_size",
        ),
        ("fatal: protocol error: bad line length character: Welc", "Welc", "prints a text"),
    ];
    for (said, helps, hint) in cases {
        let Fault::Fail { error, hint: told } = of_remote("https://h/x", "fetching dev", said) else {
            panic!("{said}")
        };
        let first = error.lines().next().unwrap_or_default();
        assert!(first.contains(helps) && told.contains(hint), "{error}; {told}");
        assert!(said.lines().count() < 2 || error.contains(said.lines().next().unwrap_or_default()), "{error}");
    }
    for said in [
        "fatal: unable to access 'https://h/x/': Could not resolve host: h",
        "ssh: connect to host h port 22: Connection refused\nfatal: Could not read from remote repository.",
        "fatal: unable to access 'https://h/x/': The requested URL returned error: 503",
        "remote: API rate limit exceeded\nfatal: unable to access 'https://h/x/': The requested URL returned error: 403",
    ] {
        let Fault::Retry { error, .. } = of_remote("https://h/x", "fetching dev", said) else { panic!("{said}") };
        assert!(!error.lines().next().unwrap_or_default().contains("Could not read from"), "{error}");
    }
    let long = format!("{}\nnothing helps\n{}", "x".repeat(20_000), "y".repeat(20_000));
    let error = of_remote("u", "fetching", &long).to_string();
    assert!(error.contains("bytes left out") && error.len() < MOST_SAID + 2_000, "{}", error.len());
}
