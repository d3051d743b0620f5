//! The tour of the README, run: what it prints there is what the program prints.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::TestEnv;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

#[test]
fn the_tour_of_the_readme_prints_what_it_says() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let env = TestEnv::new();
    env.repo("hello", "https://github.com/octo/hello");
    let mut said = Vec::new();
    let mut run = |args: &[&str]| {
        let output = env.run(args);
        assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
        said.extend(output.stdout.lines().chain(output.stderr.lines()).map(str::to_owned));
    };
    run(&["project", "add", "hello"]);
    run(&["session", "new", "--project", "hello", "--branch", "changes"]);
    for (event, file) in [
        ("pull_request", "opened"),
        ("pull_request_review_thread", "unresolved"),
        ("pull_request_review_thread", "resolved"),
    ] {
        let file = root().join(format!("docs/tour/{file}.json"));
        run(&["observe", "deliver", "--event", event, file.to_str().unwrap()]);
    }
    run(&["pr", "ls"]);
    run(&["tail", "--from", "1-2", "--no-follow", "--format", "pretty"]);
    assert!(said.len() > 10);
    for line in said.iter().filter(|line| !line.contains(" registered: ")) {
        // Times differ; everything else is to the letter.
        let (before, after) = match line.split_once("Z ") {
            Some((start, rest)) => (start[..7].to_owned(), format!("Z {rest}")),
            None => (line.clone(), String::new()),
        };
        let is_there = |shown: &str| shown.starts_with(&before) && shown.ends_with(&after);
        assert!(readme.lines().any(is_there), "the README does not show: {line}");
    }
}
