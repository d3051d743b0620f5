//! Files and functions are short, each file has a header, and no marker of unfinished work is left.

use super::{CRATES, sources};

const FILE_MAX: usize = 500;
const FUNCTION_MAX: usize = 70;

#[test]
fn no_marker_of_unfinished_work_is_left() {
    let marks: Vec<_> =
        ["TO", "FIX", "XX"].iter().zip(["DO", "ME", "X"]).map(|(a, b)| format!("{a}{b}")).collect();
    let mut found = Vec::new();
    for (name, text) in sources(CRATES) {
        let hit = |line: &&str| marks.iter().any(|mark| line.contains(mark.as_str()));
        found.extend(text.lines().filter(hit).map(|line| format!("{name}: {line}")));
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

#[test]
fn every_file_has_a_header_and_is_short() {
    for (name, text) in sources(CRATES) {
        assert!(text.starts_with("//!"), "{name} has no //! header");
        let lines = text.lines().count();
        assert!(lines <= FILE_MAX, "{name} has {lines} lines, at most {FILE_MAX} are allowed");
    }
}

#[test]
fn every_function_fits_a_screen() {
    for (name, text) in sources(CRATES) {
        let lines: Vec<_> = text.lines().collect();
        for (start, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let indent = &line[..line.len() - code.len()];
            let is_function = [
                "fn ",
                "pub fn ",
                "pub(crate) fn ",
                "pub(super) fn ",
                "const fn ",
                "pub const fn ",
            ]
            .iter()
            .any(|head| code.starts_with(head));
            if !is_function || code.ends_with(';') || code.ends_with('}') {
                continue;
            }
            let close = format!("{indent}}}");
            let end = lines[start..].iter().position(|line| *line == close);
            let length = 1 + end.unwrap_or_else(|| panic!("{name}:{}: no end", start + 1));
            assert!(length <= FUNCTION_MAX, "{name}:{}: a function of {length} lines", start + 1);
        }
    }
}
