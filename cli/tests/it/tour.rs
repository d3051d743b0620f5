//! The README is true: its commands print what it shows, its library example resolves, and the files
//! that the documentation names exist.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

use ao_fake_github::{Server, World};

use crate::support::{TestEnv, text};

/// How the README starts the fake GitHub, and where that listens.
const START: &str = "-p ao-fake-github -- --port 8321 --repos 1 --prs 2 --checks 2 --threads 1";
const URL: &str = "http://127.0.0.1:8321";

/// What the README shows instead of the directory of the test.
const HOME: &str = "/home/you/ao-store";

/// Printed before each command.
const MARK: &str = "\u{1e}";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

/// A line with its times and ids masked.
fn masked(line: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-:.".contains(c);
    let mask = |piece: &str| {
        let word = piece.trim_end_matches(|c| !is_word(c));
        let is_time =
            word.starts_with("20") && (word.contains(':') || word.matches('-').count() > 1);
        let is_digit = |c: char| c.is_ascii_digit() || c == ':';
        let is_clock =
            word.matches(':').count() == 2 && word.trim_end_matches('Z').chars().all(is_digit);
        let is_id = word.len() >= 32 && word.chars().all(|c| c.is_ascii_hexdigit());
        if is_time || is_clock || is_id { piece.replacen(word, "*", 1) } else { piece.to_owned() }
    };
    line.split_inclusive(|c| !is_word(c)).map(mask).collect()
}

/// Whether a shown line is this printed one; `…` at its end stands for any text.
fn is_shown(shown: &str, printed: &str) -> bool {
    match shown.strip_suffix('…') {
        Some(start) => masked(printed).starts_with(&masked(start)),
        None => masked(shown) == masked(printed),
    }
}

/// Runs the commands in one shell; what each of them printed.
fn run(env: &TestEnv, commands: &[&str]) -> Vec<String> {
    let world = Arc::new(Mutex::new(World::fleet_of_now(1, 2, 2, 1)));
    let server = Server::start(world).unwrap();
    let mut script = "exec 2>&1; PATH=$(dirname \"$0\"):$PATH\n".to_owned();
    for command in commands {
        script += &format!("printf '{MARK}'\n{}", command.replace(URL, &server.url));
    }
    let printed =
        env.shell(&script).stdout.replace(text(&env.path("")).trim_end_matches('/'), HOME);
    printed.split(MARK).skip(1).map(str::to_owned).collect()
}

/// `AO_UPDATE_GOLDEN=1 cargo test -p ao-cli --test it tour` writes what is printed into the README.
#[test]
fn the_commands_of_the_readme_print_what_it_shows() {
    let file = root().join("README.md");
    let readme = fs::read_to_string(&file).unwrap();
    assert!(readme.contains(START), "the README starts another fake GitHub than this test");
    let env = TestEnv::empty();
    std::os::unix::fs::symlink(root().join("docs"), env.path("docs")).unwrap();
    let lines: Vec<_> = readme.split_inclusive('\n').collect();
    let starts = |line: &str| line.starts_with("$ ") || line.starts_with("```");
    let pieces: Vec<_> = lines.chunk_by(|_, next| !starts(next)).collect();
    let commands: Vec<_> = pieces.iter().filter_map(|piece| piece[0].strip_prefix("$ ")).collect();
    let mut printed = run(&env, &commands).into_iter();
    let mut page = String::new();
    for piece in pieces {
        if !piece[0].starts_with("$ ") {
            page.extend(piece.iter().copied());
            continue;
        }
        page += piece[0];
        for line in printed.next().unwrap().lines() {
            let mut shown = piece[1..].iter().map(|shown| shown.trim_end());
            page += shown.find(|shown| is_shown(shown, line)).unwrap_or(line);
            page.push('\n');
        }
    }
    if std::env::var_os("AO_UPDATE_GOLDEN").is_some() {
        fs::write(&file, &page).unwrap();
    } else {
        assert!(page == readme, "run with AO_UPDATE_GOLDEN=1; the README should be:\n{page}");
    }
}

/// The program beside it is compiled as a documentation test of `ao-cdc`.
#[test]
fn the_manifest_of_the_readme_resolves() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let git = format!("git = \"{}\"", env!("CARGO_PKG_REPOSITORY"));
    let env = TestEnv::empty();
    let mut manifest = String::new();
    let (_, after) = readme.split_once("```toml\n").unwrap();
    for line in after.split_once("```").unwrap().0.lines() {
        let name = line.split(' ').next().unwrap().trim_start_matches("ao-");
        let path = format!("path = \"{}\"", root().join(name).display());
        manifest += &format!("{}\n", line.replace(&git, &path));
    }
    assert!(!manifest.contains("git = "), "{manifest}");
    env.file("Cargo.toml", &manifest);
    fs::create_dir(env.path("src")).unwrap();
    env.file("src/main.rs", "fn main() {}");
    fs::copy(root().join("Cargo.lock"), env.path("Cargo.lock")).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    let cargo = cargo.args(["tree", "--offline", "--depth", "0"]).current_dir(env.path(""));
    let output = cargo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn the_files_that_the_documentation_names_exist() {
    let mut pages = vec![root().join("README.md")];
    for folder in ["docs", "docs/decisions"] {
        let entries = fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path());
        pages.extend(entries.filter(|path| path.extension().is_some_and(|kind| kind == "md")));
    }
    let mut missing = Vec::new();
    for page in pages {
        let words = fs::read_to_string(&page).unwrap();
        // A file in backticks, from the root; the target of a link, from the page.
        let named = words.split('`').filter(|name| name.contains('/') && name.ends_with(".rs"));
        let linked = words.split("](").skip(1).filter_map(|rest| rest.split([')', '#']).next());
        let linked = linked.filter(|link| !link.is_empty() && !link.starts_with("http"));
        let paths = named.map(|name| root().join(name));
        let paths = paths.chain(linked.map(|link| page.parent().unwrap().join(link)));
        missing.extend(paths.filter(|path| !path.exists()).map(|path| (page.clone(), path)));
    }
    assert!(missing.is_empty(), "{missing:#?}");
}
