//! In-place edits: only the value changes.

use proptest::prelude::*;
use serde_json::{Map, Value, json};
use tidegate::providers::git::edit;

fn set(path: &str, text: &str, changes: &[(&str, Value)]) -> String {
    let changes: Vec<_> = changes.iter().map(|(pointer, value)| ((*pointer).to_owned(), value.clone())).collect();
    match edit::set(path, text.as_bytes(), &changes) {
        Ok(Some(bytes)) => String::from_utf8(bytes).unwrap(),
        Ok(None) => text.to_owned(),
        Err(error) => panic!("{path}: {error:?}\n{text}"),
    }
}

#[test]
fn json_edits_keep_the_files_own_style() {
    for (text, pointer, value, expected) in [
        ("{\"a\":1,\"b\":2}", "/a", json!("x"), "{\"a\":\"x\",\"b\":2}"),
        ("{\"a\":1}", "/b", json!({"c": 1}), "{\"a\":1,\"b\":{\"c\":1}}"),
        ("{ \"a\": 1 }\n", "/b", json!(2), "{ \"a\": 1, \"b\": 2 }\n"),
        ("{}", "/a", json!(1), "{\"a\": 1}"),
        ("{}\n", "/a/b", json!(1), "{\n  \"a\": {\n    \"b\": 1\n  }\n}\n"),
        ("{\n\t\"a\": 1 // one\n}", "/b", json!(2), "{\n\t\"a\": 1, // one\n\t\"b\": 2\n}"),
        ("{\r\n    \"a\": {}\r\n}\r\n", "/a/b", json!(1), "{\r\n    \"a\": {\r\n        \"b\": 1\r\n    }\r\n}\r\n"),
        ("{\n  \"a\": 1,\n}\n", "/b", json!(2), "{\n  \"a\": 1,\n  \"b\": 2,\n}\n"),
        (
            "{\n  \"a\": {\"x\": 1, \"y\": 2}\n}\n",
            "/a",
            json!({"x": 1, "z": 3}),
            "{\n  \"a\": {\"x\": 1, \"z\": 3}\n}\n",
        ),
        ("{\n  \"l\": [1, 2, 3]\n}\n", "/l/1", json!(9), "{\n  \"l\": [1, 9, 3]\n}\n"),
        ("{\n  // top\n  \"a\": null\n}\n", "/a/b", json!(1), "{\n  // top\n  \"a\": {\n    \"b\": 1\n  }\n}\n"),
        ("\u{feff}{\"a\": 1}", "/a", json!(2), "\u{feff}{\"a\": 2}"),
        ("{\"a/b\": {\"~\": 1}}", "/a~1b/~0", json!(2), "{\"a/b\": {\"~\": 2}}"),
    ] {
        assert_eq!(set("config.json", text, &[(pointer, value)]), expected, "{text}");
    }
}

#[test]
fn a_map_over_a_map_touches_only_what_differs() {
    let text = "{\n  \"ami\": {\n    \"us-east-1\": \"ami-1\", // first\n    \"eu-west-1\": \"ami-2\",\n    \"ap-south-1\": \"ami-3\" // last\n  }\n}\n";
    let wanted = json!({"us-east-1": "ami-9", "eu-west-1": "ami-2", "eu-north-1": "ami-4"});
    let edited = set("config.json", text, &[("/ami", wanted)]);
    let expected = "{\n  \"ami\": {\n    \"us-east-1\": \"ami-9\", // first\n    \"eu-west-1\": \"ami-2\",\n    \"eu-north-1\": \"ami-4\"\n  }\n}\n";
    assert_eq!(edited, expected);
}

#[test]
fn yaml_edits_keep_the_files_own_style() {
    for (text, pointer, value, expected) in [
        ("# head\na: 1 # one\nb: 'x'   # two\n", "/b", json!("it's"), "# head\na: 1 # one\nb: 'it''s'   # two\n"),
        ("a:\n    b: one\n", "/a/c", json!("two"), "a:\n    b: one\n    c: two\n"),
        ("a:\n    b: one", "/c/d", json!("two"), "a:\n    b: one\nc:\n    d: two"),
        ("a: {x: 1, y: 2}\n", "/a/z", json!("v"), "a: {x: 1, y: 2, z: v}\n"),
        ("a: {}\nb: 1\n", "/a/z", json!(true), "a: {z: true}\nb: 1\n"),
        ("a:\nb: 1\n", "/a", json!("v"), "a: v\nb: 1\n"),
        ("a: # note\nb: 1\n", "/a/x", json!(1), "a:\n  x: 1 # note\nb: 1\n"),
        ("a: |\n  long\n  text\nb: 1\n", "/a", json!("short"), "a: short\nb: 1\n"),
        ("a: >-\r\n  long\r\nb: 1\r\n", "/b", json!(2), "a: >-\r\n  long\r\nb: 2\r\n"),
        ("l:\n  - k: v\n    w: 1\n  - 2\n", "/l/0/w", json!("on"), "l:\n  - k: v\n    w: \"on\"\n  - 2\n"),
        ("l:\n- 1\n- 2 # two\n", "/l/1", json!({"a": "b"}), "l:\n- 1\n- {\"a\": \"b\"} # two\n"),
        ("ö: \"é\"\nb: x\n", "/b", json!("yes"), "ö: \"é\"\nb: \"yes\"\n"),
        ("---\na: 1\n...\n", "/b", json!(2), "---\na: 1\nb: 2\n...\n"),
        ("a: 1\nb:\n  - x\n", "/b", json!("scalar"), "a: 1\nb: scalar\n"),
        ("m:\n  a: 1\n  b: 2\n  c: 3\n", "/m", json!({"a": 1, "c": 4}), "m:\n  a: 1\n  c: 4\n"),
        ("a: 012\n", "/b", json!("1.0"), "a: 012\nb: \"1.0\"\n"),
    ] {
        assert_eq!(set("values.yaml", text, &[(pointer, value)]), expected, "{text}");
    }
}

#[test]
fn yaml_that_cannot_be_edited_safely_is_refused() {
    let change = |pointer: &str| vec![(pointer.to_owned(), json!("new"))];
    for (text, pointer, expected) in [
        ("a: &x 1\nb: *x\n", "/a", "shared through an anchor"),
        ("a: &x 1\nb: *x\n", "/b", "shared through an anchor"),
        ("a: 1\n---\nb: 2\n", "/a", "more than one YAML document"),
        ("a: 1\na: 2\n", "/a", "the key 'a' is there twice"),
        ("a: [1\n", "/a", "not YAML"),
        ("~\n", "/a", "the file is empty"),
        ("a:\tb: c\n", "/a", "mapping values are not allowed"),
        ("- 1\n", "/a", "the file is a list of 1"),
    ] {
        let error = edit::set("values.yaml", text.as_bytes(), &change(pointer)).unwrap_err();
        assert!(error.problem.contains(expected), "{text}: {error:?}");
    }
    let error = edit::set("values.yml", b"a: 1\nb: [\n", &change("/a")).unwrap_err();
    assert!(error.place.is_some_and(|(line, _)| line >= 2), "{error:?}");
    let error = edit::set("c.json", b"{\"a\": 1, \"a\": 2}", &change("/a")).unwrap_err();
    assert_eq!(error.place, Some((1, 10)));
    assert!(edit::set("c.json", &[0xff], &change("/a")).unwrap_err().problem.contains("UTF-8"));
}

#[test]
fn toml_edits_keep_the_files_own_style() {
    for (text, pointer, value, expected) in [
        ("a = 1 # one\n\n[b]\nc = 'x' # two\n", "/b/c", json!("y"), "a = 1 # one\n\n[b]\nc = \"y\" # two\n"),
        ("[b]\r\nc = 1\r\nd = 2\r\n", "/b/c", json!(3), "[b]\r\nc = 3\r\nd = 2\r\n"),
        ("a = 1\r\nb = 2\nc = 3\r\n", "/b", json!(9), "a = 1\r\nb = 9\r\nc = 3\r\n"),
        ("[b]\nc = 1\n\n[d]\ne = 1\n", "/b/x", json!("n"), "[b]\nc = 1\nx = \"n\"\n\n[d]\ne = 1\n"),
        ("t = { a = 1, b = 2 }\n", "/t/b", json!(3), "t = { a = 1, b = 3 }\n"),
        ("[[p]]\nn = 1\n[[p]]\nn = 2\n", "/p/1/n", json!(5), "[[p]]\nn = 1\n[[p]]\nn = 5\n"),
    ] {
        assert_eq!(set("Config.toml", text, &[(pointer, value)]), expected, "{text}");
    }
    let error = edit::set("c.toml", b"a = \n", &[("/a".to_owned(), json!(1))]).unwrap_err();
    assert_eq!(error.place.map(|(line, _)| line), Some(1), "{error:?}");
    assert!(edit::set("c.toml", b"a = 1\n", &[("/a".to_owned(), Value::Null)]).unwrap_err().problem.contains("null"));
}

#[test]
fn toml_keeps_line_endings_comments_and_the_end_of_the_file() {
    for (text, pointer, value, expected) in [
        // Strings of several lines in files with CRLF.
        ("a = \"\"\"\r\none\r\n\"\"\"\r\nb = 1\r\n", "/b", json!(2), "a = \"\"\"\r\none\r\n\"\"\"\r\nb = 2\r\n"),
        ("b = 1\r\na = '''\r\none\r\ntwo'''\r\n", "/b", json!(2), "b = 2\r\na = '''\r\none\r\ntwo'''\r\n"),
        ("a = \"\"\"\none\r\n\"\"\"\nb = 1\n", "/b", json!(2), "a = \"\"\"\none\r\n\"\"\"\nb = 2\n"),
        ("a = \"\"\"\r\nx\"\"\"\r\nb = 1\r\n", "/a", json!("y"), "a = \"y\"\r\nb = 1\r\n"),
        ("[t]\r\na = 1 # c\r\n", "/t/b", json!("1\n2"), "[t]\r\na = 1 # c\r\nb = \"1\\n2\"\r\n"),
        // What stands above a table.
        ("# about t\n[t]\n", "/t", json!({"a": 1}), "# about t\n[t]\na = 1\n"),
        ("x = 1\n# about t\n[t] # side\na = 1\n", "/t", json!({}), "x = 1\n# about t\n[t] # side\n"),
        ("# about t\n[t]\n\n# about u\n[u]\n", "/t/a", json!(1), "# about t\n[t]\na = 1\n\n# about u\n[u]\n"),
        ("# only\n", "/a", json!(1), "# only\na = 1\n"),
        ("# only\r\n", "/a/b", json!(1), "# only\r\n[a]\r\nb = 1\r\n"),
        ("", "/a", json!(1), "a = 1\n"),
        // The last line ends, or does not, as before.
        ("a = 1 # one", "/a", json!(2), "a = 2 # one"),
        ("a = 1", "/b", json!(2), "a = 1\nb = 2"),
        ("a = 1\r\nb = 2", "/c/d", json!(3), "a = 1\r\nb = 2\r\n\r\n[c]\r\nd = 3"),
        ("\u{feff}a = 1\n", "/a", json!(2), "\u{feff}a = 2\n"),
        // Dotted keys, quoted keys, inline tables, lists of tables.
        ("a.b.c = 1\na.b.d = 2\n", "/a/b/e", json!(3), "a.b.c = 1\na.b.d = 2\na.b.e = 3\n"),
        ("\"a b\" = 1\n'c' = 2\n", "/c", json!(3), "\"a b\" = 1\n'c' = 3\n"),
        ("t = { a = 1 } # x\n", "/t/b", json!(2), "t = { a = 1, b = 2 } # x\n"),
        ("[[p]]\nn = 1\n\n# two\n[[p]]\nn = 2\n", "/p/1/m", json!(3), "[[p]]\nn = 1\n\n# two\n[[p]]\nn = 2\nm = 3\n"),
        ("a = [\r\n  1, # x\r\n]\r\n", "/a/0", json!(2), "a = [\r\n  2, # x\r\n]\r\n"),
    ] {
        assert_eq!(set("Config.toml", text, &[(pointer, value)]), expected, "{text:?}");
    }
}

#[test]
fn yaml_of_the_field_is_edited_in_place() {
    for (text, pointer, value, expected) in [
        // An empty document behind or before the one that says something.
        ("a: 1\n---\n", "/b", json!(2), "a: 1\nb: 2\n---\n"),
        ("---\na: 1\n---\n# end\n", "/a", json!(2), "---\na: 2\n---\n# end\n"),
        ("---\n---\na: 1\n", "/a", json!(2), "---\n---\na: 2\n"),
        // Blank lines that a block scalar keeps are its own.
        ("a: |+\n  x\n\n", "/b", json!(2), "a: |+\n  x\n\nb: 2\n"),
        ("m:\n  a: |2+ # c\n    x\n\nn: 2\n", "/m/c", json!(2), "m:\n  a: |2+ # c\n    x\n\n  c: 2\nn: 2\n"),
        ("a: >+\r\n  x\r\n\r\n\r\n# c\r\n", "/b", json!(2), "a: >+\r\n  x\r\n\r\n\r\nb: 2\r\n# c\r\n"),
        ("a: |+\n  x\n\nb: 1\n", "/a", json!("z"), "a: z\nb: 1\n"),
        ("a: |+\n\n\n", "/b", json!(2), "a: |+\n\n\nb: 2\n"),
        ("a: |\n\nb: 1\n", "/a", json!("z"), "a: z\n\nb: 1\n"),
        ("l:\n- |\n  x\n- >- # c\n  z\n", "/l/0", json!("k"), "l:\n- k\n- >- # c\n  z\n"),
        // Tabs between colon and value.
        ("a:\t1\nb:\tx # c\n", "/a", json!(2), "a:\t2\nb:\tx # c\n"),
        ("a:\t \tx y\nb:\t-1\nc: \"q:\tz\"\n", "/d", json!(3), "a:\t \tx y\nb:\t-1\nc: \"q:\tz\"\nd: 3\n"),
        ("{a:\t1, b:\tx}\n", "/b", json!(3), "{a:\t1, b:\t3}\n"),
        ("a:\t|\n  b:\tx\nc: 2\n", "/c", json!(3), "a:\t|\n  b:\tx\nc: 3\n"),
        // Files that say nothing.
        ("# only\n", "/a/b", json!(1), "# only\na:\n  b: 1\n"),
        ("# only", "/a", json!(1), "# only\na: 1"),
        ("---\r\n# only\r\n", "/a", json!(1), "---\r\n# only\r\na: 1\r\n"),
        ("", "/a", json!(1), "a: 1\n"),
        // Neighbours.
        ("\u{feff}# c\na: 1\n", "/a", json!(2), "\u{feff}# c\na: 2\n"),
        ("a: |\n  x", "/b", json!(2), "a: |\n  x\nb: 2"),
        ("'a b': 1\n\"c\": 2\n", "/a b", json!(3), "'a b': 3\n\"c\": 2\n"),
        ("a: &x\n  b: 1\nc:\n  <<: *x\n  d: 1\n", "/c/d", json!(3), "a: &x\n  b: 1\nc:\n  <<: *x\n  d: 3\n"),
        ("a: {x: 1, # c\n  y: 2,}\n", "/a/z", json!(3), "a: {x: 1, # c\n  y: 2, z: 3,}\n"),
    ] {
        assert_eq!(set("values.yaml", text, &[(pointer, value)]), expected, "{text:?}");
    }
}

fn key() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9_-]{0,6}"
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~äöü:#'\"\\\\]{0,12}".prop_map(Value::from),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    scalar().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(scalar(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(key(), inner, 1..4).prop_map(|map| Value::Object(Map::from_iter(map))),
        ]
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map(key(), value(), 1..5).prop_map(|map| Value::Object(Map::from_iter(map)))
}

/// A value written as JSON over several lines, with a comment at the end of every line that can take one.
fn commented_json(value: &Value, newline: &str) -> String {
    let text = serde_json::to_string_pretty(value).unwrap();
    let lines = text.lines().enumerate().map(|(number, line)| format!("{line} // line {number}"));
    lines.collect::<Vec<_>>().join(newline)
}

/// A value as block YAML, with a comment on every key's line.
fn commented_yaml(value: &Value, indent: usize, newline: &str) -> String {
    let fields = value.as_object().unwrap().iter().map(|(key, value)| {
        let pad = " ".repeat(indent);
        match value {
            Value::Object(inner) if !inner.is_empty() => {
                format!("{pad}{key}: # object{newline}{}", commented_yaml(value, indent + 2, newline))
            }
            other => format!("{pad}{key}: {other} # leaf{newline}"),
        }
    });
    fields.collect()
}

/// Every scalar or list in a value, by pointer.
fn leaves(value: &Value, pointer: &str, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            fields.iter().for_each(|(key, value)| leaves(value, &format!("{pointer}/{key}"), found))
        }
        _ => found.push(pointer.to_owned()),
    }
}

/// Sets one leaf and checks that all bytes around it stay, and that a general parser sees only that change.
fn check_leaf(path: &str, text: &str, original: &Value, pick: usize, new: &Value, parse: impl Fn(&str) -> Value) {
    let mut found = Vec::new();
    leaves(original, "", &mut found);
    let pointer = &found[pick % found.len()];
    let edited = set(path, text, &[(pointer, new.clone())]);
    let mut expected = original.clone();
    *expected.pointer_mut(pointer).unwrap() = new.clone();
    assert_eq!(parse(&edited), expected, "{pointer}\n{text}\n{edited}");
    // Line by line, only a single run of lines differs, and it is where the value is.
    let (old, new): (Vec<_>, Vec<_>) = (text.split('\n').collect(), edited.split('\n').collect());
    let before = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let after = old.iter().rev().zip(new.iter().rev()).take_while(|(a, b)| a == b).count();
    let lines_of_value = old.len().saturating_sub(before + after);
    let most = text_lines(original.pointer(pointer).unwrap());
    assert!(lines_of_value <= most, "{lines_of_value} lines changed for {pointer}:\n{text}\n{edited}");
    // Setting it back gives the first text again, or at least its values.
    let back = set(path, &edited, &[(pointer, original.pointer(pointer).unwrap().clone())]);
    assert_eq!(&parse(&back), original);
}

fn text_lines(value: &Value) -> usize {
    serde_json::to_string_pretty(value).unwrap().lines().count()
}

fn parse_jsonc(text: &str) -> Value {
    jsonc_parser::parse_to_ast(text, &Default::default(), &Default::default()).unwrap().value.unwrap().into()
}

fn newline() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("\n"), Just("\r\n")]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_json_leaf_changes_alone(original in object(), new in value(), pick in 0..64usize, newline in newline()) {
        let text = commented_json(&original, newline);
        check_leaf("c.json", &text, &original, pick, &new, parse_jsonc);
        let compact = original.to_string();
        check_leaf("c.json", &compact, &original, pick, &new, |text| serde_json::from_str(text).unwrap());
    }

    #[test]
    fn a_yaml_leaf_changes_alone(original in object(), new in value(), pick in 0..64usize, newline in newline()) {
        let text = commented_yaml(&original, 0, newline);
        check_leaf("c.yaml", &text, &original, pick, &new, |text| edit_view("c.yaml", text));
    }

    #[test]
    fn a_toml_leaf_changes_alone(original in object(), new in value(), pick in 0..64usize, newline in newline()) {
        let text = toml::to_string(&original).unwrap().replace('\n', newline);
        check_leaf("c.toml", &text, &original, pick, &new, |text| toml::from_str(text).unwrap());
    }

    #[test]
    fn a_yaml_leaf_behind_tabs_changes_alone(original in object(), new in value(), pick in 0..64usize) {
        // What a block scalar keeps stands before and behind all.
        let kept = "above: |+\n  1\n\n";
        let text = format!("{kept}{}m: |+\n  2\n\n", commented_yaml(&original, 0, "\n").replace(": ", ":\t"));
        let view = |text: &str| {
            let mut whole = serde_json::Map::new();
            for pointer in original.as_object().unwrap().keys() {
                let value = edit::get("c.yaml", text.as_bytes(), &format!("/{pointer}")).unwrap().unwrap();
                whole.insert(pointer.clone(), value);
            }
            Value::Object(whole)
        };
        prop_assume!(!original.as_object().unwrap().contains_key("above") && !original.as_object().unwrap().contains_key("m"));
        let strings_have_tabs = original.to_string().contains(": ") || original.to_string().contains('#');
        prop_assume!(!strings_have_tabs && !new.to_string().contains(": "));
        check_leaf("c.yaml", &text, &original, pick, &new, view);
        let edited = set("c.yaml", &text, &[("/added", new)]);
        prop_assert!(edited.starts_with(kept) && edited.contains("m: |+\n  2\n\nadded:"), "{}", edited);
    }

    #[test]
    fn any_object_can_become_any_other(original in object(), wanted in object(), newline in newline()) {
        let around = json!({"first": 1, "m": original, "z": [1, 2]});
        let expected = json!({"first": 1, "m": wanted, "z": [1, 2]});
        let edited = set("c.json", &commented_json(&around, newline), &[("/m", wanted.clone())]);
        prop_assert_eq!(parse_jsonc(&edited), expected.clone());
        let edited = set("c.yaml", &commented_yaml(&around, 0, newline), &[("/m", wanted.clone())]);
        prop_assert_eq!(edit_view("c.yaml", &edited), expected.clone());
        let edited = set("c.toml", &toml::to_string(&around).unwrap(), &[("/m", wanted)]);
        prop_assert_eq!(toml::from_str::<Value>(&edited).unwrap(), expected);
    }

    #[test]
    fn a_missing_leaf_is_added_alone(original in object(), new in value(), newline in newline()) {
        for (path, text) in [("c.json", commented_json(&original, newline)), ("c.yaml", commented_yaml(&original, 0, newline))] {
            let edited = set(path, &text, &[("/added-key/inner", new.clone())]);
            let mut expected = original.clone();
            expected["added-key"] = json!({"inner": new});
            prop_assert_eq!(edit_view(path, &edited), expected);
            let kept = text.lines().filter(|line| edited.lines().any(|each| each.replace(", //", " //") == line.replace(", //", " //"))).count();
            prop_assert_eq!(kept, text.lines().count());
        }
    }

    #[test]
    fn no_text_makes_the_editor_panic(text in "[ -~\n\r\t]{0,60}", path in prop_oneof![Just("c.json"), Just("c.yaml"), Just("c.toml")]) {
        let _ = edit::set(path, text.as_bytes(), &[("/a/b".to_owned(), json!("new"))]);
    }
}

/// What is pinned is edited in files that others pushed: however deep they are, nobody's stack ends by them.
#[test]
fn no_depth_ends_the_editor() {
    let many = 200_000;
    for (path, text) in [
        ("c.json", "[".repeat(many)),
        ("c.json", format!("{}1{}", "{\"a\":".repeat(many), "}".repeat(many))),
        ("c.toml", format!("a = {}", "[".repeat(many))),
        ("c.toml", format!("{}b = 1", "a.".repeat(many))),
        ("c.toml", format!("[{}b]\nc = 1", "a.".repeat(many))),
        ("c.yaml", "- ".repeat(many)),
        ("c.yaml", format!("{}1{}", "{a: ".repeat(many), "}".repeat(many))),
    ] {
        let what = text[..20].to_owned();
        let editing = std::thread::Builder::new().stack_size(2 << 20).spawn(move || {
            let read = edit::get(path, text.as_bytes(), "/a/b").is_err();
            read && edit::set(path, text.as_bytes(), &[("/a/b".to_owned(), json!("new"))]).is_err()
        });
        assert!(editing.unwrap().join().unwrap(), "{what}… of {path} is refused");
    }
}

/// What the editor itself reads: every key of the file, put together.
fn edit_view(path: &str, text: &str) -> Value {
    let parsed: Value = match path {
        "c.json" => parse_jsonc(text),
        _ => {
            let nodes = <saphyr::Yaml<'_> as saphyr::LoadableYamlNode>::load_from_str(text).unwrap();
            yaml_value(&nodes[0])
        }
    };
    parsed
}

fn yaml_value(node: &saphyr::Yaml<'_>) -> Value {
    match node {
        saphyr::Yaml::Mapping(map) => Value::Object(
            map.iter().map(|(key, value)| (key.as_str().unwrap().to_owned(), yaml_value(value))).collect(),
        ),
        saphyr::Yaml::Sequence(items) => Value::Array(items.iter().map(yaml_value).collect()),
        scalar => match (scalar.as_bool(), scalar.as_integer(), scalar.as_str()) {
            (Some(flag), ..) => json!(flag),
            (_, Some(number), _) => json!(number),
            (_, _, Some(text)) => json!(text),
            _ => Value::Null,
        },
    }
}
