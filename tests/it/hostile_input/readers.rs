//! Every place that reads what may have been written by others is listed here with its bound. A new one fails this test
//! until somebody has thought of its bound.

use std::{collections::BTreeMap, path::Path};

use crate::house::sources;

/// What reads: parsers, unpackers, compilers of patterns, and whatever takes bytes until their end.
const READS: [&str; 27] = [
    "serde_json::from_str",
    "serde_json::from_slice",
    "serde_json::from_reader",
    "Parser::new",
    "toml::from_str",
    "DocumentMut>",
    "parse_to_ast(",
    "tar::Archive",
    "GzDecoder",
    "ZlibDecoder",
    "zstd::Decoder",
    "zip::",
    "GlobBuilder",
    "GlobSet::new",
    "Regex::",
    "Handlebars::new",
    "cron::Schedule::",
    "run_checks(",
    ".chunk()",
    ".bytes().await",
    ".text().await",
    ".json::<",
    "read_to_end(",
    "read_to_string(",
    "fs::read(",
    ".content().to_vec()",
    "find_blob(",
];

/// File → what it reads with, and what bounds that.
const READERS: &[(&str, &[&str], &str)] = &[
    ("src/fuzzed.rs", &["serde_json::from_slice"], "as `store/chain.rs`; for tests"),
    (
        "src/providers/archive.rs",
        &["GzDecoder", "read_to_end(", "tar::Archive", "zstd::Decoder"],
        "`archive_guard.rs`; the first bytes",
    ),
    ("src/providers/detached.rs", &["fs::read(", "read_to_string("], "of the kernel, and files of ours"),
    ("src/providers/document.rs", &["serde_json::from_str", "toml::from_str"], "the file's bound; 128 and 80 levels"),
    (
        "src/providers/files.rs",
        &["fs::read(", "read_to_end(", "serde_json::from_slice"],
        "files of ours; the last bytes; `read_bounded`",
    ),
    (
        "src/providers/forge/github/pages.rs",
        &[".chunk()", "serde_json::from_slice"],
        "256 KiB; the deadline; 128 levels",
    ),
    ("src/providers/forge/github/call.rs", &["serde_json::from_slice"], "16 MiB of an answer; 128 levels"),
    ("src/providers/forge/github/deployments.rs", &["serde_json::from_str"], "a text of an answer"),
    ("src/providers/forge/github/verdict.rs", &["serde_json::from_slice"], "as `call.rs`"),
    ("src/providers/git/bounds.rs", &[".content().to_vec()", "find_blob("], "16 MiB, measured before"),
    ("src/providers/git/edit/json.rs", &["parse_to_ast("], "16 MiB; the parser's own depth"),
    ("src/providers/git/edit/toml.rs", &["DocumentMut>"], "16 MiB; the parser's own depth"),
    ("src/providers/git/edit/yaml_tree.rs", &["Parser::new"], "bytes, depth and nodes"),
    ("src/providers/git/gather.rs", &["fs::read(", "read_to_end("], "files of a tree, measured before; files of ours"),
    ("src/providers/git/glob.rs", &["GlobBuilder", "GlobSet::new"], "lines of less than 2,048 bytes; linear time"),
    (
        "src/providers/git/lfs/client.rs",
        &[".chunk()", "serde_json::from_slice"],
        "bytes; the size that the pointer says",
    ),
    ("src/providers/git/lfs/endpoint.rs", &["fs::read(", "read_to_end("], "certificates of ours; bytes"),
    ("src/providers/git/local.rs", &["read_to_end("], "64 MiB"),
    ("src/providers/git/maintenance.rs", &["read_to_string("], "a file of ours"),
    ("src/providers/git/plumbing.rs", &["read_to_end("], "64 MiB; 1 MiB of complaints"),
    ("src/providers/git/soundness.rs", &["ZlibDecoder"], "32 bytes of an object"),
    ("src/providers/git/taken_file.rs", &["read_to_end("], "16 MiB, measured before"),
    ("src/providers/git/tarball.rs", &["read_to_end("], "files of a tree, measured before"),
    ("src/providers/given.rs", &["fs::read("], "a file that the settings name, measured before"),
    ("src/providers/http_check.rs", &[".chunk()"], "1 MiB; the deadline"),
    ("src/providers/image_builder/mod.rs", &["serde_json::from_slice"], "a record of ours"),
    (
        "src/providers/local_job/job.rs",
        &["read_to_string(", "serde_json::from_slice"],
        "files of ours; 64 KiB of what a job gives",
    ),
    ("src/providers/objects/directory.rs", &["fs::read("], "templates and records of ours"),
    ("src/providers/objects/mod.rs", &["read_to_end("], "templates and records of ours"),
    ("src/providers/process_table.rs", &["read_to_string("], "of the kernel"),
    ("src/providers/quarantine.rs", &["read_to_string("], "files of ours"),
    ("src/providers/sandbox/cgroup.rs", &["read_to_string("], "of the kernel"),
    ("src/providers/sandbox/memory.rs", &["read_to_string("], "of the kernel"),
    ("src/providers/sandbox/sessions.rs", &["read_to_string("], "of the kernel"),
    ("src/providers/webhook.rs", &[".chunk()"], "the first bytes; the deadline"),
    ("src/providers/yaml.rs", &["Parser::new"], "4 MiB, 64 levels, 200,000 values, 16 MiB with aliases"),
    ("src/providers/forge/github/webhook.rs", &["serde_json::from_slice"], "25 MiB, signed; the parser's own depth"),
    ("src/forge/deliveries.rs", &["serde_json::from_str"], "rows of ours"),
    ("src/forge/show/wanted.rs", &["serde_json::from_str"], "rows of ours"),
    ("src/report/cfn_lint.rs", &["serde_json::from_str"], "32 MiB"),
    (
        "src/report/document/json.rs",
        &["parse_to_ast(", "serde_json::from_str"],
        "1 MB; the parser's own depth; one number",
    ),
    ("src/report/document/yaml.rs", &["Parser::new", "serde_json::from_str"], "1 MB; the builder's depth; one number"),
    (
        "src/report/guard.rs",
        &["run_checks(", "serde_json::from_str"],
        "the shape of the rules; a stack of its own; its own answer",
    ),
    ("src/report/html.rs", &["Handlebars::new"], "a template of ours"),
    ("src/report/json.rs", &["serde_json::from_str"], "a report of ours"),
    ("src/report/sarif/read.rs", &["serde_json::from_str"], "32 MiB"),
    ("src/house/channels.rs", &["read_to_string("], "a file that the settings name"),
    ("src/cli/demo_service.rs", &["read_to_string("], "a file of the demo"),
    ("src/house/forges.rs", &["read_to_string("], "64 KiB of a file that the settings name"),
    ("src/providers/fuzzed.rs", &["serde_json::from_str"], "what it has just written"),
    ("src/house/issuers.rs", &["read_to_string("], "4 KiB of a file that the settings name"),
    ("src/house/in_force/files.rs", &["read_to_string("], "1 MiB"),
    (
        "src/cli/over_http/client.rs",
        &[".chunk()", "read_to_string(", "serde_json::from_slice"],
        "64 MiB of an answer; 4 KiB of a token",
    ),
    ("src/cli/socket/mod.rs", &["serde_json::from_slice"], "64 KiB, length first"),
    ("src/house/settings.rs", &["read_to_string(", "toml::from_str"], "the settings"),
    ("src/house/settings/tests.rs", &["toml::from_str"], "settings of the tests"),
    ("src/cli/simulate/mod.rs", &["read_to_string("], "a file that who asks names"),
    ("src/steps/bake.rs", &["serde_json::from_slice"], "a record of ours"),
    ("src/steps/lint.rs", &["serde_json::from_slice"], "a template of ours"),
    ("src/steps/package.rs", &["serde_json::from_slice"], "a record of ours"),
    ("src/steps/step_log.rs", &["fs::read("], "a log of ours"),
    ("src/steps/synth.rs", &["fs::read("], "a file of at most so many bytes, measured before"),
    ("src/store/chain.rs", &["serde_json::from_slice"], "rows of ours, 128 levels"),
    ("src/store/ledger.rs", &["serde_json::from_slice"], "a snapshot of ours"),
    ("src/store/lock.rs", &["read_to_string(", "serde_json::from_str"], "of the kernel; a file of ours"),
    ("src/store/sqlite/claims.rs", &["serde_json::from_str"], "rows of ours"),
    ("src/store/sqlite/history.rs", &["serde_json::from_str"], "rows of ours"),
    ("src/store/sqlite/sessions.rs", &["serde_json::from_str"], "rows of ours"),
    ("src/store/sqlite/tokens.rs", &["serde_json::from_str"], "rows of ours"),
    ("src/store/standing.rs", &["serde_json::from_str"], "rows of ours"),
    ("crates/engine/src/rules/document.rs", &["Parser::new"], "1 MiB, 64 levels"),
    ("crates/engine/src/rules/matching.rs", &["GlobBuilder", "GlobSet::new"], "a rules file; linear time"),
    ("crates/engine/src/rules/schedule.rs", &["cron::Schedule::"], "a rules file"),
    ("crates/engine/src/rules/template.rs", &["Handlebars::new"], "a rules file; no code"),
    ("src/web/account.rs", &["serde_json::from_slice"], "the bound of bodies"),
    ("src/web/fields.rs", &["serde_json::from_slice"], "a document that the server has just made"),
    ("src/web/issuer_http.rs", &[".chunk()"], "256 KiB; the deadline"),
    ("src/web/pages.rs", &["Handlebars::new"], "a template of ours"),
    ("src/web/strict.rs", &["serde_json::from_slice"], "the bound of bodies"),
];

#[test]
fn every_reader_of_what_others_wrote_is_listed_with_its_bound() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for source in sources() {
        let mut reads: Vec<&str> = READS.into_iter().filter(|reads| source.code.contains(reads)).collect();
        reads.sort_unstable();
        if !reads.is_empty() {
            found.insert(source.path.strip_prefix(top).unwrap().display().to_string(), reads);
        }
    }
    let listed = READERS.iter().map(|(file, reads, _)| ((*file).to_owned(), reads.to_vec()));
    let listed: BTreeMap<String, Vec<&str>> = listed.collect();
    for (file, reads) in &found {
        assert_eq!(Some(reads), listed.get(file), "{file} reads with something new: give it a bound, and list it");
    }
    for (file, reads) in &listed {
        assert_eq!(Some(reads), found.get(file), "{file} is listed and does not read so any more");
    }
}
