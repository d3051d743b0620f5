//! The version of an installed program: what it prints for `--version`.

use std::path::Path;
use std::time::Duration;

use ao_program::{Environment, Program};

/// How long a program may take to print its version: some load an interpreter first.
const TIMEOUT: Duration = Duration::from_secs(20);

/// The numbers of a version.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(Vec<u64>);

impl Version {
    /// `None` for what is not made of numbers. Zeros at the end make no difference.
    pub(super) fn parse(text: &str) -> Option<Version> {
        let parts = text.split('.').map(str::parse);
        let mut parts: Vec<u64> = parts.collect::<Result<_, _>>().ok()?;
        while parts.last() == Some(&0) {
            parts.pop();
        }
        Some(Version(parts))
    }
}

/// The version of a program of a harness, as far as it prints one.
#[must_use]
pub fn version(path: &Path, environment: &Environment) -> Option<String> {
    let program = Program {
        name: path.to_str()?,
        args: &["--version"],
        input: "",
        dir: Path::new("/"),
        environment,
        variables: &[],
        timeout: TIMEOUT,
    };
    let output = program.run().inspect_err(|error| {
        tracing::debug!(path = %path.display(), %error, "it does not print its version");
    });
    let output = output.ok()?;
    let printed = [output.stdout, output.stderr];
    printed.iter().find_map(|text| first(&String::from_utf8_lossy(text)))
}

/// The first number with a dot in it.
fn first(text: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_digit() || c == '.';
    let mut numbers = text.split(|c| !is_part(c)).map(|part| part.trim_matches('.'));
    numbers.find(|part| part.contains('.')).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_first_number_with_a_dot() {
        for (printed, version) in [
            ("2.1.332 (Claude Code)\n", Some("2.1.332")),
            ("codex-cli 0.171.0", Some("0.171.0")),
            ("v1.5.47", Some("1.5.47")),
            ("0.0.1790142911-g7618fb (released 3d ago)", Some("0.0.1790142911")),
            ("version 2", None),
            ("...", None),
            ("", None),
        ] {
            assert_eq!(first(printed).as_deref(), version, "{printed}");
        }
    }
}
