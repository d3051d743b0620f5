//! Imports point in one direction: between crates, between files of a crate, and between the folders
//! of the store.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;

use super::{CRATES, root, shipped};

#[test]
fn dependencies_point_downwards() {
    let allowed: HashMap<&str, &[&str]> = HashMap::from([
        ("store", &[] as &[&str]),
        ("program", &[]),
        ("cdc", &["ao-store"]),
        ("observer", &["ao-store", "ao-program"]),
        ("observer/fake-github", &[]),
        ("session", &["ao-store", "ao-program"]),
        ("daemon", &["ao-store", "ao-program", "ao-cdc", "ao-observer", "ao-session"]),
        ("cli", &["ao-store", "ao-program", "ao-cdc", "ao-observer", "ao-session", "ao-daemon"]),
    ]);
    for (name, allowed) in allowed {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let (product, tests) =
            manifest.split_once("[dev-dependencies]").unwrap_or((manifest.as_str(), ""));
        for (part, besides) in [(product, None), (tests, Some("ao-fake-github"))] {
            for line in part.lines().filter(|line| line.starts_with("ao-")) {
                let dependency = line.split(['.', ' ', '=']).next().unwrap();
                let fits = allowed.contains(&dependency) || besides == Some(dependency);
                assert!(fits, "{name} must not depend on {dependency}");
            }
        }
    }
}

/// The folders of `store/src`: each imports only from itself and from those before it.
const FOLDERS: &[&str] = &[
    "model",
    "db",
    "lease",
    "log",
    "engine",
    "row",
    "observe",
    "status",
    "attention",
    "admin",
    "upstream",
];

/// The path of a module from the root of its crate: empty for `lib.rs` and `main.rs`.
type Module = Vec<String>;

/// Which modules of a crate each of its modules imports.
struct Imports(BTreeMap<Module, BTreeSet<Module>>);

impl Imports {
    fn of(name: &str) -> Imports {
        let source = format!("{name}/src/");
        let files: BTreeMap<Module, String> = shipped(&[name])
            .into_iter()
            .filter_map(|(file, text)| Some((module(file.strip_prefix(&source)?), text)))
            .collect();
        let resolve = |from: &Module, path: &String| {
            let mut target = absolute(from, &path.split("::").collect::<Vec<_>>(), &files)?;
            while !files.contains_key(&target) {
                target.pop();
            }
            (target != *from).then_some(target)
        };
        let imports = files.iter().map(|(from, text)| {
            let targets = paths(text).iter().filter_map(|path| resolve(from, path)).collect();
            (from.clone(), targets)
        });
        Imports(imports.collect())
    }

    /// A cycle of imports, if there is one. A module may import from its ancestors: it is a part of
    /// them.
    fn cycle(&self) -> Option<Vec<Module>> {
        let mut done = BTreeSet::new();
        self.0.keys().find_map(|from| self.visit(from, &mut Vec::new(), &mut done))
    }

    fn visit(
        &self,
        from: &Module,
        path: &mut Vec<Module>,
        done: &mut BTreeSet<Module>,
    ) -> Option<Vec<Module>> {
        if let Some(start) = path.iter().position(|module| module == from) {
            return Some(path[start..].to_vec());
        }
        if !done.contains(from) {
            path.push(from.clone());
            let is_own = |to: &&Module| from.starts_with(to) || is_exception(from, to);
            let others = self.0[from].iter().filter(|to| !is_own(to));
            let cycle = others.into_iter().find_map(|to| self.visit(to, path, done));
            if cycle.is_some() {
                return cycle;
            }
            path.pop();
            done.insert(from.clone());
        }
        None
    }
}

/// The errors of the store name the ids that they are about, and parsing an id can fail.
fn is_exception(from: &Module, to: &Module) -> bool {
    *from == ["error"] && to.first().is_some_and(|folder| folder == "model")
}

/// The module that is in a file, given as its path from `src/`.
fn module(file: &str) -> Module {
    let path = file.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|name| !["lib", "main"].contains(name)).map(str::to_owned).collect()
}

/// A path of an import from the root of the crate; `None` if it leads out of the crate.
fn absolute(from: &Module, path: &[&str], files: &BTreeMap<Module, String>) -> Option<Module> {
    let mut base = from.clone();
    let mut rest = path;
    match path[0] {
        "crate" => base.clear(),
        "self" | "super" => {}
        name => {
            base.push(name.to_owned());
            return files.contains_key(&base).then_some(base);
        }
    }
    while let Some((first, more)) = rest.split_first() {
        match *first {
            "super" => drop(base.pop()),
            "crate" | "self" => {}
            _ => break,
        }
        rest = more;
    }
    base.extend(rest.iter().map(|name| (*name).to_owned()));
    Some(base)
}

/// Every path of two or more names in the code of a file; lists in braces are expanded.
fn paths(text: &str) -> Vec<String> {
    let code: Vec<_> = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
    let heads = ["use ", "pub use ", "pub(crate) use ", "pub(super) use "];
    let is_import = |line: &str| heads.iter().any(|head| line.trim_start().starts_with(head));
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut paths = Vec::new();
    for (start, line) in code.iter().enumerate() {
        if is_import(line) {
            let end = code[start..].iter().position(|line| line.contains(';')).unwrap();
            let import = code[start..=start + end].join(" ");
            paths.extend(expand(import.split_once("use ").unwrap().1.trim_end_matches(';')));
        } else {
            paths.extend(line.split(|c| !is_name(c)).map(str::to_owned));
        }
    }
    paths.retain(|path| path.contains("::") && !path.starts_with("::"));
    paths
}

/// The paths of a tree of imports such as `crate::a::{b, c::{d, e}}`.
fn expand(tree: &str) -> Vec<String> {
    let Some((prefix, rest)) = tree.split_once('{') else {
        return tree.split(" as ").take(1).map(|path| path.trim().to_owned()).collect();
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let mut depth = 0;
    let parts = inner.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    });
    let paths = parts.filter(|part| !part.trim().is_empty()).flat_map(expand);
    paths.map(|path| format!("{}{path}", prefix.trim())).collect()
}

#[test]
fn no_imports_of_a_crate_form_a_cycle() {
    for name in CRATES.iter().filter(|name| **name != "benches") {
        let cycle = Imports::of(name).cycle();
        let shown = cycle.map(|modules| modules.iter().map(|it| it.join("/")).collect::<Vec<_>>());
        assert_eq!(shown, None, "{name}: these files import each other");
    }
}

#[test]
fn folders_of_the_store_import_downwards() {
    let place = |module: &Module| {
        FOLDERS.iter().position(|name| module.first().is_some_and(|it| it == name))
    };
    let mut upward = Vec::new();
    for (from, targets) in Imports::of("store").0 {
        // `lib.rs` names every folder; the other files of the root are below all folders.
        let Some(from_place) = place(&from).or((!from.is_empty()).then_some(0)) else { continue };
        let is_upward =
            |to: &&Module| to.is_empty() || place(to).is_some_and(|place| place > from_place);
        upward.extend(targets.iter().filter(is_upward).map(|to| (from.join("/"), to.join("/"))));
    }
    assert_eq!(upward, []);
}

#[test]
fn paths_are_found_in_imports_and_in_code() {
    let text = "use crate::a::{b, c::{D, self}};\n// crate::no\nfn f() { super::x::g(h); }";
    assert_eq!(
        expand("crate::a::{b, c::{D, self}}"),
        ["crate::a::b", "crate::a::c::D", "crate::a::c::self"]
    );
    let found = paths(text);
    assert!(found.contains(&"super::x::g".to_owned()), "{found:?}");
    assert!(!found.iter().any(|path| path.contains("no")), "{found:?}");
}
