//! Rules files: the examples load, the schema does not drift, and a bad file hears of every mistake at once.

use std::{fs, path::Path};

use proptest::prelude::*;
use serde_json::Value;
use tidegate::rules::{self, Rules, load};

const SCHEMA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/promotion-rules.schema.json");
const EXAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/promotion-rules");

/// A file that has nothing wrong with it, for tests to spoil.
const GOOD: &str = include_str!("../../promotion-rules/webshop.yaml");

fn examples() -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(EXAMPLES).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

fn loaded(name: &str, text: &str) -> Rules {
    load(name, text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

/// What a person sees of a file's mistakes.
fn rendered(text: &str) -> String {
    load("promotion-rules/shop.yaml", text).unwrap_err().render(false)
}

/// The messages and helps alone.
fn messages(text: &str) -> Vec<String> {
    let mistakes = load("shop.yaml", text).map_or_else(|mistakes| mistakes.as_slice().to_vec(), |_| Vec::new());
    let shown = |mistake: &rules::Mistake| {
        let help = mistake.help.as_ref().map(|help| format!(" ({help})")).unwrap_or_default();
        format!("{}:{} {}{help}", mistake.line, mistake.column, mistake.message)
    };
    mistakes.iter().map(shown).collect()
}

/// The good file with one text put in the place of another.
fn spoilt(good: &str, bad: &str) -> Vec<String> {
    assert!(GOOD.contains(good), "the example no longer says {good}");
    messages(&GOOD.replacen(good, bad, 1))
}

#[test]
fn schema_is_the_one_that_the_types_give() {
    let generated = format!("{}\n", serde_json::to_string_pretty(&rules::schema()).unwrap());
    if std::env::var_os("UPDATE_SCHEMAS").is_some() {
        fs::create_dir_all(Path::new(SCHEMA).parent().unwrap()).unwrap();
        fs::write(SCHEMA, &generated).unwrap();
    }
    let stored = fs::read_to_string(SCHEMA).unwrap_or_default();
    assert!(
        stored == generated,
        "schemas/promotion-rules.schema.json is not what the types give: run `UPDATE_SCHEMAS=1 cargo test schema`"
    );
}

#[test]
fn every_example_loads_and_fits_the_schema() {
    let schema = jsonschema::validator_for(&rules::schema()).unwrap();
    let examples = examples();
    assert!(examples.len() >= 3);
    for (name, text) in examples {
        let value = serde_json::to_value(loaded(&name, &text)).unwrap();
        let refused: Vec<_> = schema.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(refused.is_empty(), "{name}: {refused:#?}");
    }
}

#[test]
fn every_example_is_the_same_after_a_round_trip_through_json() {
    for (name, text) in examples() {
        let first = loaded(&name, &text);
        for json in [serde_json::to_string(&first).unwrap(), serde_json::to_string_pretty(&first).unwrap()] {
            assert_eq!(loaded("rules.json", &json), first, "{name}");
            assert_eq!(loaded("rules.json", &json.replace("  ", "\t")), first, "{name} with tabs");
        }
    }
}

#[test]
fn the_schema_refuses_what_the_loader_refuses() {
    let schema = jsonschema::validator_for(&rules::schema()).unwrap();
    let good = serde_json::to_value(loaded("webshop.yaml", GOOD)).unwrap();
    let spoil: [(&str, Value); 8] = [
        ("/rules/package/steps/0", serde_json::json!({ "package": {}, "bake": {} })),
        ("/rules/package/steps/0", serde_json::json!({ "id": "nothing" })),
        ("/rules/package/steps/0", serde_json::json!({ "package": {}, "wait": true })),
        ("/rules/package/steps/0", serde_json::json!({ "verify": { "http": "https://x/", "command": ["x"] } })),
        ("/rules/package/on", serde_json::json!({ "push": null })),
        ("/stages", serde_json::json!({ "a b": { "environment": "x" } })),
        ("/repositories", serde_json::json!({})),
        ("/rules/bake/steps/0/timeout", serde_json::json!("soon")),
    ];
    for (pointer, bad) in spoil {
        let mut value = good.clone();
        *value.pointer_mut(pointer).unwrap() = bad.clone();
        assert!(!schema.is_valid(&value), "the schema takes {bad} at {pointer}");
        assert!(load("rules.json", &value.to_string()).is_err(), "the loader takes {bad} at {pointer}");
    }
}

#[test]
fn ten_mistakes_are_shown_at_once() {
    insta::assert_snapshot!(rendered(include_str!("rules/ten_mistakes.yaml")));
}

#[test]
fn mistakes_of_shape_are_shown_at_once() {
    insta::assert_snapshot!(rendered(include_str!("rules/shape.yaml")));
}

#[test]
fn mistakes_serialise_for_programs() {
    let mistakes = load("shop.yaml", &GOOD.replace("push: image", "push: imgae")).unwrap_err();
    insta::assert_json_snapshot!(mistakes);
}

#[test]
fn text_that_is_no_document_of_rules() {
    assert_eq!(messages(""), ["1:1 the file is empty (a rules file begins with `version: 1` and `system: NAME`)"]);
    assert_eq!(messages("just a text"), ["1:1 expected a mapping, found a text"]);
    assert_eq!(messages("a: [1, 2").len(), 1);
    assert!(messages(&format!("{GOOD}---\nversion: 1\n"))[0].contains("one document"));
    assert!(messages(&"[".repeat(100))[0].contains("64 levels"));
    assert!(messages(&"[".repeat(100_000))[0].contains("recursion limit"));
    assert!(messages(&"a: ".repeat(500_000))[0].contains("1 MiB"));
    assert_eq!(
        messages("a: 1\na: 2\n").iter().filter(|message| message.starts_with("2:1 `a` is there twice")).count(),
        1
    );
}

#[test]
fn a_password_in_the_file_is_not_shown() {
    let bad = GOOD.replace("https://github.com/acme/webshop.git", "https://me:hunter2@github.com/acme/webshop.git");
    for text in [bad.clone(), bad.replace("version: 1", "version: [")] {
        let mistakes = load("shop.yaml", &text).unwrap_err();
        assert!(!format!("{mistakes} {mistakes:?} {}", serde_json::to_string(&mistakes).unwrap()).contains("hunter2"));
    }
}

#[test]
fn a_hostile_file_is_answered_soon_and_briefly() {
    let unknown = (0..30_000).map(|number| format!("  r{number}: {{ steps: [1] }}\n")).collect::<String>();
    let many = format!("version: 1\nsystem: x\nrules:\n{unknown}");
    let wide = format!("version: 1\nsystem: x\nstages: {{ a: {{ environment: {} }} }}\nx: y\n", "w".repeat(900_000));
    let rules = (0..190).map(|number| {
        format!("  r{number}: {{ on: {{ push: a }}, steps: [commit: {{ repository: b, file: x.json, set: {{ /x: '{{{{y}}}}' }} }}] }}\n")
    });
    let rules = rules.collect::<String>();
    let stages = (0..45).map(|number| format!("  s{number}: {{ environment: x }}\n")).collect::<String>();
    let dense =
        format!("version: 1\nsystem: x\nstages:\n{stages}repositories: {{ b: {{ url: /b }} }}\nrules:\n{rules}");
    for text in [many, wide, dense] {
        let mistakes = load("x.yaml", &text).unwrap_err();
        assert!(mistakes.as_slice().len() <= 100 && mistakes.render(false).len() < 200_000);
    }
}

#[test]
fn aliases_are_understood_and_cannot_unfold_without_end() {
    let with_alias = GOOD.replacen("qa: { count: 1, from: [qa] }", "qa: &who { count: 1, from: [qa] }", 1).replacen(
        "main: { count: 2, from: [release-managers], expires: 3d }",
        "main: *who",
        1,
    );
    let rules = loaded("shop.yaml", &with_alias);
    let json = serde_json::to_value(&rules).unwrap();
    let stages = json.pointer("/rules/deliver/steps/2/approve/stages").unwrap();
    assert_eq!(stages["qa"], stages["main"]);

    // The parts count, not the bytes of their texts alone: a hundred thousand are as many as a file may have of its own.
    let tens = |levels: usize| {
        let first = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        (1..levels).fold(first, |text, level| {
            let alias = format!("*a{}, ", level - 1).repeat(10);
            format!("{text}a{level}: &a{level} [{alias}]\n")
        })
    };
    let said = |levels| load("shop.yaml", &tens(levels)).unwrap_err().to_string();
    assert!(!said(4).contains("what its aliases stand for") && said(6).contains("what its aliases stand for"));
    assert!(said(12).contains("what its aliases stand for"));
}

#[test]
fn a_rule_that_starts_itself_is_refused_with_the_way() {
    let back = "  back:\n    on: { push: infrastructure }\n    steps:\n      - commit: { repository: software, file: a/versions.json, set: { /x: 1 } }\n\npromotions:";
    let found = spoilt("promotions:", back);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains(
        "without end in stage `dev`: package: software → image, bake: image → infrastructure, back: infrastructure → software"
    ));
    // Each rule that leaves the committed file out breaks the loop.
    let broken =
        GOOD.replacen("promotions:", back, 1).replacen("{ push: software }", "{ push: software, paths: [src/] }", 1);
    assert_eq!(messages(&broken), Vec::<String>::new());

    let itself = spoilt("repository: image", "repository: software");
    assert!(itself[0].contains("package: software → software"), "{itself:#?}");
}

#[test]
fn upstream_rules_that_wait_for_each_other_are_refused() {
    let found = spoilt(
        "promotions:",
        "  one: { on: { upstream: two, repository: image }, steps: [package: {}] }\n  two: { on: { upstream: one, repository: image }, steps: [package: {}] }\npromotions:",
    );
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("two: after one, one: after two"), "{found:#?}");
}

#[test]
fn loops_count_only_in_the_stages_that_steps_run_in() {
    let once = |stages: &str, paths: &str| {
        let rule = format!(
            "  back:\n    on: {{ push: infrastructure{paths} }}\n    stages: [qa]\n    steps:\n      - commit: {{ repository: image, file: x.json, set: {{ /x: 1 }} }}\n        stages: {stages}\npromotions:"
        );
        spoilt("promotions:", &rule)
    };
    assert_eq!(once("[qa]", "").len(), 1);
    assert_eq!(once("[qa]", ", paths: [docs/]").len(), 0);
    let elsewhere = once("[dev]", "");
    assert!(elsewhere.len() == 1 && elsewhere[0].contains("the rule is not for stage `dev`"), "{elsewhere:#?}");
}

#[test]
fn templates_use_only_what_is_there_when_the_step_runs() {
    let tag = |bad: &str| spoilt("{{package.tag}}", bad).join("\n");
    assert!(
        tag("{{package.tga}}").contains("37:31 step `package` has no output `tga` (did you mean `tag`?)"),
        "{}",
        tag("{{package.tga}}")
    );
    assert!(tag("{{pakcage.tag}}").contains("nothing is named `pakcage.tag` here (did you mean `package`?)"));
    assert!(tag("{{package}}").contains("is a step: name one of its outputs"));
    assert!(tag("{{stage.name}}").contains("is a text, and has no `name`"));
    assert!(tag("{{commit.commit}}").contains("give it an `id` other than `commit`"));
    assert!(tag("{{package.tag.x}}").contains("is a text, and has no `x`"));
    assert!(tag("{{template}}").contains("nothing is named `template`"));
    assert!(tag("{{#each package}}{{/each}}").contains("is not allowed in a template"));
    assert!(tag("{{stage").contains("has no `}}`"));
    assert_eq!(tag("{{system}}/{{stage}}/{{environment}}/{{branch}}/{{repository}}/{{commit}}/{{run}}"), "");
    assert!(spoilt("Pin {{bake.ami}}", "Pin {{bake.amis}}")[0].contains("is an object and cannot stand within a text"));
    assert_eq!(spoilt("Pin {{bake.ami}}", "Pin {{bake.amis.eu-central-1}}"), Vec::<String>::new());
    let left_out = spoilt("package: { format: tar.gz, exclude: [docs/] }", "{ stages: [dev], package: {} }");
    assert_eq!(left_out.len(), 3);
    assert!(left_out[0].contains("step `package` is left out in stage `qa`"), "{left_out:#?}");
}

#[test]
fn secrets_are_for_a_command_and_named_once() {
    let lint = |fields: &str| spoilt("lint: { fail_on: error }", &format!("lint: {{ {fields} }}"));
    assert_eq!(lint("commands: [[checkov]], secrets: [api-key, token]"), Vec::<String>::new());
    assert!(lint("secrets: [api-key]")[0].contains("`secrets` are for `command`, and there is none"));
    let twice = lint("commands: [[checkov]], secrets: [api-key, api_key, api-key]").join("\n");
    assert!(twice.contains("another secret is given as `API_KEY_FILE`, too"), "{twice}");
    assert!(twice.contains("`api-key` is there twice"), "{twice}");
    assert!(!lint("commands: [[checkov]], secrets: ['../key']").is_empty());
}

#[test]
fn caches_are_for_a_command_and_named_once() {
    let lint = |fields: &str| spoilt("lint: { fail_on: error }", &format!("lint: {{ {fields} }}"));
    assert_eq!(lint("commands: [[checkov]], caches: [npm, pip]"), Vec::<String>::new());
    assert!(lint("caches: [npm]")[0].contains("`caches` are for `command`, and there is none"));
    let twice = lint("commands: [[checkov]], caches: [go-mod, go_mod, go-mod]").join("\n");
    assert!(twice.contains("another cache is given as `TIDEGATE_CACHE_GO_MOD`, too"), "{twice}");
    assert!(twice.contains("`go-mod` is there twice"), "{twice}");
    assert!(!lint("commands: [[checkov]], caches: ['../dev']").is_empty());
    let many = lint("commands: [[checkov]], caches: [a, b, c, d, e, f, g, h, i, j, k]").join("\n");
    assert!(many.contains("at most 10 caches"), "{many}");
    assert_eq!(spoilt("- deploy: {}", "- deploy: { secrets: [db-password] }"), Vec::<String>::new());
    assert!(spoilt("- deploy: {}", "- deploy: { secrets: [a-key, a-key] }")[0].contains("is there twice"));
    assert!(!spoilt("- deploy: {}", "- deploy: { caches: [npm] }").is_empty(), "a service has none");
}

#[test]
fn steps_follow_from_one_another() {
    let needs = |needs: &str| spoilt("- deploy: {}", &format!("- needs: {needs}\n        deploy: {{}}")).join("\n");
    assert_eq!(needs("[approve]"), "");
    assert!(needs("[aprove]").contains("there is no step `aprove` (did you mean `approve`?)"));
    assert!(needs("[deploy]").contains("needs itself"));
    assert!(needs("[verify]").contains("steps `deploy` and `verify` wait for each other"));
    assert!(needs("[]").contains("no `synth` before this"));
    assert!(spoilt("- deploy: {}", "- deploy: {}\n      - deploy: {}")[0].contains("there is a step `deploy` already"));
    assert!(spoilt("target: webshop\n", "queue: fifo\n")[0].contains("`deploy` needs a target"));
    assert!(
        spoilt("- deploy: {}", "- deploy:")[0]
            .contains("expected a mapping, found nothing (write `{}` for an empty one)")
    );
    assert!(spoilt("- deploy: {}", "- { id: stage, deploy: {} }")[0].contains("means something else in templates"));
}

#[test]
fn what_is_deployed_is_made_before_every_approval_of_it() {
    let with = |steps: &str| {
        let text = format!(
            "
version: 1
system: shop
stages: {{ dev: {{ environment: Development }}, main: {{ environment: Production }} }}
repositories: {{ infrastructure: {{ url: n.git }} }}
targets: {{ shop: {{}} }}
rules: {{ deliver: {{ on: {{ push: infrastructure }}, target: shop, steps: [{steps}] }} }}
"
        );
        messages(&text)
    };
    let approve = "approve: { stages: { main: {} } }";
    let good = [
        format!("synth: {{ template: t.yaml }}, {{ {approve} }}, deploy: {{}}"),
        format!("synth: {{ template: t.yaml }}, {{ {approve} }}, {{ check: {{ command: [room] }} }}, deploy: {{}}"),
        format!(
            "{{ {approve}, stages: [main] }}, {{ synth: {{ template: t.yaml }}, stages: [dev] }}, {{ deploy: {{}}, stages: [dev] }}"
        ),
    ];
    for good in good {
        assert_eq!(with(&good), Vec::<String>::new(), "{good}");
    }
    let late = format!("{{ {approve} }}, synth: {{ template: t.yaml }}, deploy: {{}}");
    let said = with(&late);
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("in stage `main`, `deploy` uses what `synth` makes, and `approve` does not wait for it"),
        "{said:?}"
    );
    let bad = [
        format!("synth: {{ template: t.yaml }}, {{ {approve} }}, lint: {{}}, deploy: {{}}"),
        format!(
            "synth: {{ template: t.yaml }}, {{ {approve} }}, {{ needs: [synth], lint: {{}} }}, {{ needs: [lint, approve], deploy: {{}} }}"
        ),
        format!("synth: {{ template: t.yaml }}, {{ {approve} }}, package: {{}}, deploy: {{}}"),
        format!(
            "synth: {{ template: t.yaml }}, {{ {approve} }}, {{ id: room, check: {{ command: [room] }} }}, \
             deploy: {{ parameters: {{ Room: '{{{{room.answer}}}}' }} }}"
        ),
    ];
    for bad in bad {
        let said = with(&bad);
        assert!(said.len() == 1 && said[0].contains("does not wait for it"), "{bad}: {said:?}");
    }
}

#[test]
fn triggers_schedules_windows_and_urls_are_checked() {
    let one = |good: &str, bad: &str| {
        let found = spoilt(good, bad);
        assert_eq!(found.len(), 1, "{bad}: {found:#?}");
        found.concat()
    };
    assert!(one("on: { push: software }", "on: {}").contains("nothing starts this rule"));
    assert!(one("on: { push: software }", "on: { manual: true }").contains("add `repository: NAME`"));
    assert!(one("on: { push: software }", "on: { push: software, paths: [/src] }").contains("begins at the root"));
    assert!(one("\"0 0 3 * * *\"", "\"0 3 * * *\"").contains("`0 0 3 * * *`"));
    assert!(one("\"0 0 3 * * *\"", "\"0 0 3 31 Feb *\"").contains("never comes"));
    assert!(one("timezone: Europe/Berlin", "timezone: Europe/Berln").contains("did you mean `Europe/Berlin`?"));
    assert!(one("Mon-Thu 09", "Mon-Tho 09").contains("names no days"));
    assert!(
        one("https://github.com/acme/webshop.git", "https://me:secret@github.com/acme/webshop.git")
            .contains("`tidegate.toml`")
    );
    assert!(
        one("file: config.json\n          set:\n", "file: ../config.json\n          set:\n").contains("could leave it")
    );
    assert!(one("/software/tag:", "software.tag:").contains("as in `/software/tag`"));
    assert!(one("from: dev\n    to: qa", "from: qa\n    to: dev").contains("only go forward"));
    assert!(one("from: dev\n    to: qa", "from: qa\n    to: main").contains("already"));
    assert!(one("verified: true", "verified: false").contains("always of what was verified together"));
    assert!(one("qa: { environment: QA }", "qa: { environment: QA, branch: dev }").contains("each stage has its own"));
    assert!(one("count: 1", "count: 0").contains("from 1 to 20"));
    assert!(one("poll: 30s", "poll: 30").contains("expected a text"));
    assert!(one("queue: supersede", "queue: superseed").contains("did you mean `supersede`?"));
    let stages = "webshop.git, require_signatures: [dev, que] }";
    assert!(one("webshop.git }", stages).contains("there is no stage `que`"));
}

#[test]
fn one_repository_has_one_name_however_its_url_is_written() {
    for other in [
        "git@github.com:acme/webshop",
        "ssh://git@GitHub.com:22/acme/webshop.git/",
        "https://github.com/acme/%77ebshop",
    ] {
        let found = spoilt("https://github.com/acme/webshop-image.git", other);
        let expected = "`software` is this repository already, as https://github.com/acme/webshop.git: one repository has one name";
        assert!(found.len() == 1 && found[0].contains(expected), "{other}: {found:#?}");
    }
    let same = spoilt("https://github.com/acme/webshop-image.git", "https://github.com/acme/webshop.git");
    assert!(same[0].contains("`software` has this URL already"), "{same:#?}");
}

proptest! {
    #[test]
    fn arbitrary_text_is_an_answer_and_no_panic(text in "(?s).{0,200}") {
        let _ = load("any.yaml", &text).map_err(|mistakes| mistakes.render(true));
    }

    #[test]
    fn a_spoilt_example_is_an_answer_and_no_panic(
        at in 0..GOOD.len(),
        cut in 0_usize..40,
        with in "[\\x00-\\x7f\u{e4}\u{1f30a}]{0,4}",
    ) {
        let start = (0..=at).rev().find(|at| GOOD.is_char_boundary(*at)).unwrap();
        let end = ((start + cut).min(GOOD.len())..=GOOD.len()).find(|at| GOOD.is_char_boundary(*at)).unwrap();
        let text = format!("{}{with}{}", &GOOD[..start], &GOOD[end..]);
        if let Err(mistakes) = load("any.yaml", &text) {
            prop_assert!(!mistakes.as_slice().is_empty());
            prop_assert!(mistakes.render(false).contains("any.yaml"));
        }
    }

    #[test]
    fn arbitrary_templates_and_patterns_do_not_panic(text in "[{}#/a-c. \\\\if>&!*?]{0,40}") {
        let _ = rules::template::render(&text, &serde_json::json!({ "a": { "b": 1 }, "c": "x" }));
        let _ = rules::Paths::from(vec![text.clone()]).match_any(&["a/b/c"]);
        let _ = rules::Window::parse(&text);
    }
}
