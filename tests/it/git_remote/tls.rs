//! TLS with a certificate of a private CA.

use super::{CONFIG, commit_of, mirrors_with, tag};
use crate::git::{SOON, failure, mirrors};
use crate::support::http_git::HttpGit;
use crate::support::repo::TestRepo;

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_ca_names_the_setting_and_with_it_all_works() {
    let root = tempfile::tempdir().unwrap();
    let remote = TestRepo::with(root.path().join("served/image.git"), "dev", &[("config.json", CONFIG)]);
    let server = HttpGit::with_tls(&root.path().join("served"));
    let url = server.url("", "image.git");
    let stranger = mirrors(root.path()).mirror(&url).unwrap();
    for outcome in [
        stranger.heads(&["dev".to_owned()], SOON).await.map(drop),
        stranger.forward(&tag("dev", "run-1", "v2"), SOON).await.map(drop),
    ] {
        let (error, hint) = failure(outcome);
        assert!(hint.contains("GIT_SSL_CAINFO in [git_environment]"), "{error}; {hint}");
    }
    let ca = root.path().join("ca.pem");
    std::fs::write(&ca, server.authority.as_ref().unwrap()).unwrap();
    let trusting = mirrors_with(root.path(), |options| {
        options.environment.push(("GIT_SSL_CAINFO".to_owned(), ca.display().to_string()));
    });
    let mirror = trusting.mirror(&url).unwrap();
    let commit = commit_of(mirror.forward(&tag("dev", "run-1", "v2"), SOON).await.unwrap());
    assert_eq!(remote.head("dev"), Some(commit));
    let missing = mirrors_with(root.path(), |options| {
        options.environment.push(("GIT_SSL_CAINFO".to_owned(), root.path().join("absent.pem").display().to_string()));
    });
    let (error, hint) = failure(missing.mirror(&url).unwrap().heads(&["dev".to_owned()], SOON).await);
    assert!(hint.contains("GIT_SSL_CAINFO"), "{error}; {hint}");
}
