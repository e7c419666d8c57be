//! What is hostile by its depth, width, length, aliases, encodings, names, numbers and links.

/// How deep, how wide, how long.
const MANY: usize = 50_000;
const LONG: usize = 4 << 20;

/// The corpus as a reader takes it, with the name of each input.
pub(super) fn of(reader: &str) -> Vec<(String, Vec<u8>)> {
    let texts = || deep().into_iter().chain(wide()).chain(long()).chain(strange());
    let before = |prefixes: &[&str]| {
        let each = |prefix: &str| {
            let named = |(name, bytes): (String, Vec<u8>)| (name, [prefix.as_bytes(), &bytes].concat());
            texts().map(named).collect::<Vec<_>>()
        };
        prefixes.iter().flat_map(|prefix| each(prefix)).collect::<Vec<_>>()
    };
    match reader {
        "archives" => texts().chain(archives()).collect(),
        "deliveries" => before(&["push\n", "check_run\n", "repository\n{\"repository\": "]),
        "documents" => before(&["\0", "\u{1}", "\u{2}"]),
        "edits" => before(&["\0/a/b\n", "\u{1}/a/b\n", "\u{2}/a/b\n"]),
        "globs" => before(&["", "a*b\n"]),
        "guard" => before(&["", "{\"Resources\": {\"a\": {\"Type\": \"b\"}}}\n"]),
        "log" => before(&["", "\n", "{\"seq\": 1, \"at_ms\": 0, \"event\": {}}\n"]),
        _ => texts().collect(),
    }
}

fn named(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> (String, Vec<u8>) {
    (name.into(), bytes.into())
}

/// Nested without end, in every notation.
fn deep() -> Vec<(String, Vec<u8>)> {
    const OPEN: [&str; 24] = [
        "[",
        "{\"a\":",
        "- ",
        "? ",
        "{a: ",
        "[{",
        "(",
        "{{",
        "{{#if a}}",
        "{{#a}}",
        "((",
        "!Ref ",
        "!Sub [",
        "&a ",
        "*",
        "**/",
        "[!",
        "\\",
        "a.",
        "[a.",
        "when a {",
        "some a[",
        "rule a { ",
        "not ",
    ];
    let mut all: Vec<_> = OPEN.iter().map(|open| named(format!("deep {open}"), open.repeat(MANY))).collect();
    all.push(named("deep and closed", format!("{}1{}", "[".repeat(MANY), "]".repeat(MANY))));
    all.push(named("deep objects, closed", format!("{}1{}", "{\"a\":".repeat(MANY), "}".repeat(MANY))));
    let indented: String = (0..2_000).map(|depth| format!("{}a:\n", " ".repeat(depth))).collect();
    all.push(named("deep by indents", indented));
    let sarif = |value: &str| format!("{{\"version\": \"2.1.0\", \"runs\": [{{\"tool\": {value}}}]}}");
    all.push(named("deep in a report", sarif(&"{\"driver\":".repeat(MANY))));
    all
}

/// Many of the same.
fn wide() -> Vec<(String, Vec<u8>)> {
    let numbered = |each: fn(usize) -> String| (0..MANY).map(each).collect::<String>();
    let result = "{\"message\": {\"text\": \"a\\u001b[2J\\u202eb\"}, \"ruleId\": \"r\"}, ";
    let report = format!(
        "{{\"version\": \"2.1.0\", \"runs\": [{{\"tool\": {{\"driver\": {{\"name\": \"t\"}}}}, \"results\": [{}{{}}]}}]}}",
        result.repeat(20_000)
    );
    let mut laughs = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    let mut merged = "a0: &a0 {k: v}\n".to_owned();
    for level in 1..50 {
        laughs.push_str(&format!("a{level}: &a{level} [{}]\n", format!("*a{}, ", level - 1).repeat(10)));
        merged.push_str(&format!("a{level}: &a{level} {{<<: [*a{0}, *a{0}, *a{0}]}}\n", level - 1));
    }
    let long_alias = format!("a: &a {}\nb: [{}]\n", "x".repeat(100_000), "*a, ".repeat(10_000));
    vec![
        named("many keys", numbered(|number| format!("k{number}: {number}\n"))),
        named("many keys of one name", "a: 1\n".repeat(MANY)),
        named("many keys of toml", numbered(|number| format!("k{number} = {number}\n"))),
        named("many tables", numbered(|number| format!("[t.k{number}]\n"))),
        named("one table again and again", "[a]\n".repeat(MANY)),
        named("many items", format!("[{}1]", "1,".repeat(4 * MANY))),
        named("many empty lines", "\n".repeat(1 << 20)),
        named("many documents", "---\n".repeat(MANY)),
        named("many comments", "# a\n".repeat(MANY)),
        named("many tabs", "a:\t\tb\n".repeat(MANY)),
        named("many anchors", numbered(|number| format!("k{number}: &a{number} [*a{number}]\n"))),
        named("laughs", laughs),
        named("merges", merged),
        named("a long alias", long_alias),
        named("a report of many results", report),
        named("many trailers", format!("Subject\n\n{}", "Tidegate-Key: a\n".repeat(MANY))),
        named(
            "many authors",
            format!("Subject\n\n{}", numbered(|number| format!("Co-authored-by: a <a{number}@b>\n"))),
        ),
        named("many patterns", "{a,b}*?[c-d]".repeat(MANY)),
        named("many stars", format!("{}b\n{}", "a*".repeat(1_000), "a".repeat(100_000))),
        named("many alternatives", format!("{{{}a}}", "a,".repeat(MANY))),
        named("many names in a template", "{{stage}}".repeat(MANY)),
        named("many fields", "* ".repeat(MANY)),
        named("many zeros", vec![0; 1 << 20]),
        named("many values of a component", component()),
    ]
}

/// A component whose values are short and name one that is long.
fn component() -> String {
    let value = "y".repeat(100_000);
    let text = "{{ v }}".repeat(20_000);
    format!(
        "name: c\nschemaVersion: 1.0\nconstants: [{{ v: {{ type: string, value: {value} }} }}]\nphases:\n  - name: build\n    \
         steps: [{{ name: s, action: ExecuteBash, inputs: {{ commands: [\"{text}\"] }} }}]\n"
    )
}

/// One thing without end.
fn long() -> Vec<(String, Vec<u8>)> {
    vec![
        named("a long line", "x".repeat(LONG)),
        named("a long text", format!("\"{}\"", "y".repeat(LONG))),
        named("a long text that does not end", format!("a: '{}", "y".repeat(LONG))),
        named("a long block", format!("a: |\n{}", "  z\n".repeat(LONG / 8))),
        named("a long key", format!("{}: 1\n", "k".repeat(LONG))),
        named("a long number", "9".repeat(1 << 20)),
        named("a long comment", format!("# {}\na: 1\n", "c".repeat(LONG))),
        named("a long indent", format!("a:\n{}b: 1\n", " ".repeat(1 << 20))),
        named("a long escape", format!("\"{}\"", "\\u0041".repeat(MANY))),
        named("a long name in angles", format!("Co-authored-by: {} <{}>\n", "a".repeat(LONG), "b".repeat(MANY))),
        named("a long URL", format!("https://{}@{}/{}", "u".repeat(MANY), "h".repeat(MANY), "/p".repeat(MANY))),
        named("a long path of numbers", "/0".repeat(MANY)),
    ]
}

/// Encodings, numbers and names.
fn strange() -> Vec<(String, Vec<u8>)> {
    let utf16: Vec<u8> = "\u{feff}a: 1\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let texts = [
        "\u{feff}a: 1\n",
        "a: \"\\ud800\"",
        "{\"a\": \"\\ud800\\ud800\"}",
        "\u{202e}a: \u{1b}[2J\u{7}\u{200b}\n",
        "a\0b: c\0\n",
        "1e999999999",
        "{\"a\": 1e-999999999}",
        "a: .nan\nb: -.inf\n",
        "a: 0x7fffffffffffffffff\n",
        "a = 99999-99-99T99:99:99Z",
        "a: !!binary ////\n",
        "a: !!int x\n",
        "a: !<tag:x,2000:y> b\n",
        "%TAG ! tag:evil,2000:\n---\na: !b c\n",
        "%YAML 9.9\n---\na\n",
        "<<: *a\n",
        "? ? ? a\n",
        ": : :\n",
        "a: &a\n  <<: *a\n",
        "- - - -\n-\n",
        "'''",
        "\"\\",
        "{{{",
        "}}",
        "{{>a}}",
        "{{&a}}",
        "{{lookup . 'a'}}",
        "[a-",
        "[]",
        "[!]",
        "\\",
        "**",
        "***/**",
        "{",
        "{a",
        "*/*/*/*/*/*/*",
        "-oProxyCommand=x",
        "ssh://-oProxyCommand=x/a",
        "ext::sh -c x",
        "file:///\u{0}",
        "git@-x:y",
        "http://[::1",
        "@@@@",
        "://",
        "0 0 0 31 2 *",
        "* * * * * *",
        "60 60 24 32 13 8",
        "Mon-Sun 25:00-26:00",
        "Mon 00:00-00:00 Mars/Olympus",
        "\r\n\r\n\r",
        "size 9999999999999999999999",
        "version https://git-lfs.github.com/spec/v1\noid sha256:../../../../etc/passwd\nsize -1\n",
        "{\"seq\": 18446744073709551615, \"at_ms\": -9223372036854775808, \"event\": {\"type\": \"outcome\"}}",
        "[{\"run\": {\"run\": 1, \"what\": {\"ended\": {}}}}]",
    ];
    let bytes: [&[u8]; 6] =
        [&utf16, b"\xff\xfe\xfd", b"a: \xc0\xaf\n", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"100644 \xff\0\0\0"];
    let texts = texts.iter().map(|text| named(text.escape_debug().to_string(), *text));
    let bytes = bytes.into_iter().map(|bytes| named(format!("{bytes:?}"), bytes));
    let cut = (0..40).map(|end| named(format!("cut after {end}"), &CUT.as_bytes()[..end.min(CUT.len())]));
    texts.chain(bytes).chain(cut).collect()
}

const CUT: &str = "a: [1, {b: \"c\", d: 'e'}] # f\n";

/// Archives that lie about their sizes, point outside, or grow.
fn archives() -> Vec<(String, Vec<u8>)> {
    use tar::EntryType::{
        Block, Char, Directory, Fifo, GNULongLink, GNULongName, GNUSparse, Link, Regular, Symlink, XHeader,
    };
    let entry = |kind, name: &str, link: &str, size: u64| {
        let mut header = tar::Header::new_gnu();
        let bytes = header.as_gnu_mut().unwrap();
        bytes.name[..name.len()].copy_from_slice(name.as_bytes());
        bytes.linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_mode(0o7777);
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    };
    let small = |name: &str| [entry(Regular, name, "", 4), b"evil".to_vec(), vec![0; 508]].concat();
    let mut all = vec![
        named("above", small("../evil")),
        named("absolute", small("/tmp/tidegate-evil")),
        named("through a link", [entry(Symlink, "door", "..", 0), small("door/evil")].concat()),
        named("through a link to the root", [entry(Symlink, "door", "/", 0), small("door/tmp/tidegate-evil")].concat()),
        named("a hard link outside", [entry(Link, "a", "/etc/passwd", 0), small("a")].concat()),
        named("a link to itself", [entry(Symlink, "a", "a", 0), small("a/b")].concat()),
        named("a folder in place of a file", [small("a"), entry(Directory, "a", "", 0), small("a/b")].concat()),
        named("an empty name", small("")),
        named("a device", entry(Char, "null", "", 0)),
        named("a disk", entry(Block, "disk", "", 0)),
        named("a pipe", [entry(Fifo, "pipe", "", 0), small("pipe")].concat()),
        named("a size without end", entry(Regular, "a", "", u64::MAX >> 1)),
        named("many names", (0..5_000).flat_map(|number| small(&format!("f{}", number % 50))).collect::<Vec<u8>>()),
    ];
    for (kind, name) in [(GNULongName, "L"), (GNULongLink, "K"), (XHeader, "x"), (GNUSparse, "S")] {
        let zeros = [entry(kind, "a", "", 700 << 20), Vec::new()].concat();
        all.push(named(format!("a long record {name}"), packed(&zeros, 700 << 20)));
        all.push(named(format!("cut record {name}"), entry(kind, "a", "", 100)));
    }
    all.push(named("a bomb", packed(&entry(Regular, "a", "", 40 << 20), 40 << 20)));
    all.push(named("a broken frame", b"\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff".as_slice()));
    all.push(named("a broken gzip", b"\x1f\x8b\x08\xff\xff\xff\xff\xff\xff".as_slice()));
    all
}

/// These bytes and so many zeros, as zstd.
fn packed(begin: &[u8], zeros: u64) -> Vec<u8> {
    use std::io::{Read as _, Write as _};
    let mut packed = zstd::Encoder::new(Vec::new(), 1).unwrap();
    packed.write_all(begin).unwrap();
    std::io::copy(&mut std::io::repeat(0).take(zeros), &mut packed).unwrap();
    packed.finish().unwrap()
}
