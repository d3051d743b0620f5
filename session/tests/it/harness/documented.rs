//! The page about harnesses has every built-in row.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use ao_session::harness::{Harness, NativeId};

use super::{assert_golden, built_in};

const MARK: &str = "<!-- generated: the rows of the table -->\n";

/// `AO_UPDATE_GOLDEN=1 cargo test -p ao-session --test it documented` writes it.
#[test]
fn the_page_has_every_built_in_row() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/harnesses.md");
    let page = fs::read_to_string(&file).unwrap();
    let (head, _) = page.split_once(MARK).unwrap();
    let mut text = format!(
        "{head}{MARK}\n| name | program | prompt | native id | resume | model | permission modes | screens |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    );
    for row in built_in().iter() {
        writeln!(text, "{}", line(row)).unwrap();
    }
    assert_golden(&file, &text);
}

fn line(row: &Harness) -> String {
    let programs: Vec<_> = row.programs().iter().map(|name| format!("`{name}`")).collect();
    let modes: Vec<_> = row.permission().keys().map(String::as_str).collect();
    let yes = |it: bool| if it { "yes" } else { "" };
    let cells = [
        format!("`{}`", row.name()),
        programs.join(", "),
        row.prompt().as_str().to_owned(),
        row.native_id().map(NativeId::as_str).unwrap_or_default().to_owned(),
        yes(row.can_resume()).to_owned(),
        yes(row.takes_model()).to_owned(),
        modes.join(", "),
        row.screen().map_or(String::new(), |screen| screens(screen.versions())),
    ];
    format!("| {} |", cells.join(" | "))
}

/// The versions whose screens were seen.
fn screens([from, to]: &[String; 2]) -> String {
    if from == to { from.clone() } else { format!("{from} to {to}") }
}
