//! Which file of a crate takes names from which other, read from its paths, and the circles among them. A name that is handed
//! on (`pub use`) counts for the file that defines it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// More than any name is handed on; a `use` that leads to itself ends here.
const MOST_HOPS: usize = 8;
/// What begins the definition of a name.
const DEFINE: [&str; 7] = ["struct", "enum", "trait", "type", "fn", "const", "static"];

/// The modules of a crate by their paths (`providers::git::mirror`); its root is the empty one.
#[derive(Default)]
pub(super) struct House(BTreeMap<String, Module>);

#[derive(Default)]
struct Module {
    file: String,
    brought: Vec<Brought>,
    /// Every path in the code outside of `use`.
    paths: Vec<Vec<String>>,
    defined: BTreeSet<String>,
}

/// What a `use` brings in, and how the file calls it.
struct Brought {
    path: Vec<String>,
    name: String,
    is_handed_on: bool,
}

/// Module → module from which it takes names → those names.
type Imports<'house> = BTreeMap<&'house str, BTreeMap<&'house str, BTreeSet<String>>>;

impl House {
    /// Adds a file, whose path is below the crate's root.
    pub(super) fn add(&mut self, path: &str, code: &str) {
        let name = path.trim_end_matches(".rs").replace('/', "::");
        let name = name.strip_suffix("::mod").unwrap_or(&name);
        self.0.insert(if name == "lib" { "" } else { name }.to_owned(), Module::read(path, code));
    }

    /// The circles of files that import one another, as their arrows; no file is told twice.
    pub(super) fn circles(&self) -> Vec<String> {
        let imports = self.imports();
        let (mut told, mut circles) = (BTreeSet::new(), Vec::new());
        for module in imports.keys() {
            let Some(circle) = shortest_circle(&imports, module) else { continue };
            if circle.iter().any(|module| told.contains(module)) {
                continue;
            }
            let arrow = |pair: &[&str]| {
                let names: Vec<&str> = imports[pair[0]][pair[1]].iter().map(String::as_str).collect();
                format!("{} takes {} from {}", self.0[pair[0]].file, names.join(", "), self.0[pair[1]].file)
            };
            circles.push(circle.windows(2).map(arrow).collect::<Vec<_>>().join("; "));
            told.extend(circle);
        }
        circles
    }

    fn imports(&self) -> Imports<'_> {
        let mut imports = Imports::new();
        for (module, here) in &self.0 {
            let brought = here.brought.iter().filter(|brought| !brought.is_handed_on).map(|brought| &brought.path);
            for path in brought.chain(&here.paths) {
                if let Some((from, name)) = self.defining(module, path, MOST_HOPS).filter(|(from, _)| from != module) {
                    imports.entry(module).or_default().entry(from).or_default().insert(name);
                }
            }
        }
        imports
    }

    /// The module that defines what a path in a module leads to, and its name there; none if that is itself a module.
    fn defining(&self, module: &str, path: &[String], hops: usize) -> Option<(&str, String)> {
        let hops = hops.checked_sub(1)?;
        let (mut at, mut rest) = (module.to_owned(), path);
        while let Some(first) = rest.first() {
            at = match first.as_str() {
                "crate" => String::new(),
                "self" => at,
                "super" => at.rsplit_once("::").map_or_else(String::new, |(parent, _)| parent.to_owned()),
                child if self.0.contains_key(&below(&at, child)) => below(&at, child),
                _ => break,
            };
            rest = &rest[1..];
        }
        let (name, rest) = rest.split_first()?;
        let (at, here) = self.0.get_key_value(&at)?;
        if let Some(brought) = here.brought.iter().find(|brought| brought.name == *name) {
            return self.defining(at, &[&brought.path, rest].concat(), hops);
        }
        if here.defined.contains(name) {
            return Some((at, name.clone()));
        }
        let all = here.brought.iter().filter(|brought| brought.name == "*");
        let mut all = all.filter_map(|all| self.defining(at, &[&all.path, std::slice::from_ref(name)].concat(), hops));
        Some(all.find(|(from, name)| self.0[*from].defined.contains(name)).unwrap_or((at, name.clone())))
    }
}

fn below(module: &str, child: &str) -> String {
    if module.is_empty() { child.to_owned() } else { format!("{module}::{child}") }
}

/// The shortest way from a module by what it imports back to itself, with the module at both ends.
fn shortest_circle<'house>(imports: &Imports<'house>, start: &'house str) -> Option<Vec<&'house str>> {
    let (mut met, mut ways) = (BTreeSet::new(), VecDeque::from([vec![start]]));
    while let Some(way) = ways.pop_front() {
        for next in imports.get(way.last()?).into_iter().flat_map(BTreeMap::keys) {
            let longer = [way.as_slice(), &[next]].concat();
            if *next == start {
                return Some(longer);
            }
            if met.insert(*next) {
                ways.push_back(longer);
            }
        }
    }
    None
}

impl Module {
    fn read(file: &str, code: &str) -> Self {
        let mut module = Self { file: file.to_owned(), ..Self::default() };
        let tokens = tokens(code);
        let (mut at, mut depth) = (0, 0);
        while let Some(token) = tokens.get(at) {
            let before = at.checked_sub(1).map_or("", |before| tokens[before]);
            at += 1;
            match *token {
                "{" => depth += 1,
                "}" => depth -= 1,
                "use" if tokens.get(at) != Some(&"<") => {
                    let from = module.brought.len();
                    at = bring(&tokens, at, &[], &mut module.brought);
                    let is_handed_on = matches!(before, "pub" | ")");
                    module.brought[from..].iter_mut().for_each(|brought| brought.is_handed_on = is_handed_on);
                }
                name if is_name(name) && !matches!(before, "." | "::" | "mod") => {
                    if depth == 0 && DEFINE.contains(&before) {
                        module.defined.insert(name.to_owned());
                    }
                    let mut path = vec![name.to_owned()];
                    while let [Some(&"::"), Some(part)] = [tokens.get(at), tokens.get(at + 1)] {
                        path.push((*part).to_owned());
                        at += 2;
                    }
                    module.paths.push(path);
                }
                _ => {}
            }
        }
        module
    }
}

/// Reads one branch of a `use` below `prefix`; gives where it ends.
fn bring(tokens: &[&str], mut at: usize, prefix: &[String], brought: &mut Vec<Brought>) -> usize {
    let (mut path, mut name, start) = (prefix.to_vec(), None, at);
    while let Some(token) = tokens.get(at) {
        match *token {
            "{" => {
                while tokens.get(at).is_some_and(|token| *token != "}") {
                    at = bring(tokens, at + 1, &path, brought);
                }
                return at + 1;
            }
            "as" => {
                name = tokens.get(at + 1).map(|name| (*name).to_owned());
                at += 1;
            }
            "self" if !path.is_empty() => {}
            "*" => name = Some("*".to_owned()),
            "," | "}" | ";" => break,
            "::" => {}
            part => path.push(part.to_owned()),
        }
        at += 1;
    }
    // A comma before the closing bracket brings in nothing.
    if let Some(name) = name.or_else(|| path.last().cloned()).filter(|_| at > start) {
        brought.push(Brought { path, name, is_handed_on: false });
    }
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|first: char| first.is_alphabetic() || first == '_')
}

/// Names, `::`, and every other mark by itself.
fn tokens(code: &str) -> Vec<&str> {
    let (mut tokens, mut rest) = (Vec::new(), code);
    while let Some(first) = rest.chars().next() {
        let length = match first {
            _ if rest.starts_with("::") => 2,
            _ if is_name(rest) => rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len()),
            first => first.len_utf8(),
        };
        let (token, after) = rest.split_at(length);
        if !token.trim().is_empty() {
            tokens.push(token);
        }
        rest = after;
    }
    tokens
}
