//! The file in which gh keeps tokens where there is no keyring.
//!
//! Of its YAML two levels are looked at, `HOST: oauth_token: TOKEN`, event by event: no nesting and
//! no alias in it can cost more than its length, which is bounded.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use ao_program::Environment;
use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{Looked, word};

/// More than gh ever writes.
const FILE_MAX: u64 = 256 << 10;

/// The token of a host in the file.
pub(super) fn look(host: &str, environment: &Environment) -> Looked {
    let Some(path) = path(environment) else { return Ok(None) };
    let source = path.display().to_string();
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{source}: {error}")),
    };
    let token =
        token(&text, host).map_err(|line| format!("{source}, line {line}: it is not YAML"))?;
    token.map_or(Ok(None), |token| word(&token, &source))
}

/// Where gh looks for it.
fn path(environment: &Environment) -> Option<PathBuf> {
    let var = |name| environment.get(name).map(PathBuf::from);
    let dir = var("GH_CONFIG_DIR")
        .or_else(|| var("XDG_CONFIG_HOME").map(|dir| dir.join("gh")))
        .or_else(|| var("HOME").map(|dir| dir.join(".config/gh")))?;
    Some(dir.join("hosts.yml"))
}

fn read(path: &PathBuf) -> io::Result<String> {
    // Opening a pipe would wait for somebody to write into it.
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut text = String::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_MAX} bytes")));
    }
    Ok(text)
}

/// One of the two mappings that lead to a token.
#[derive(Default)]
struct Level {
    is_mapping: bool,
    is_key_next: bool,
    is_wanted: bool,
}

/// The value of `oauth_token` below the host; the line where the YAML ends to be that otherwise.
fn token(text: &str, host: &str) -> Result<Option<String>, usize> {
    let mut levels = [Level::default(), Level::default()];
    let mut depth: usize = 0;
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| error.marker().line())?;
        match event {
            Event::MappingEnd | Event::SequenceEnd => depth = depth.saturating_sub(1),
            Event::DocumentEnd => break,
            Event::Alias(_) => {
                visit(&mut levels, depth, host, None);
            }
            Event::Scalar(value, style, ..) => {
                if visit(&mut levels, depth, host, Some(&value)) {
                    let is_null = style == ScalarStyle::Plain && matches!(&*value, "~" | "null");
                    return Ok((!is_null).then(|| value.into_owned()));
                }
            }
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                visit(&mut levels, depth, host, None);
                if let Some(level) = levels.get_mut(depth) {
                    let is_mapping = matches!(event, Event::MappingStart(..));
                    *level = Level { is_mapping, is_key_next: true, is_wanted: false };
                }
                depth += 1;
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
        }
    }
    Ok(None)
}

/// Takes the next key or value of the mapping at this depth, of which a scalar has a text, and
/// tells whether it is the value that is looked for.
fn visit(levels: &mut [Level; 2], depth: usize, host: &str, text: Option<&str>) -> bool {
    let Some(at) = depth.checked_sub(1).filter(|at| *at < levels.len()) else { return false };
    if !levels[at].is_mapping {
        return false;
    }
    let wanted = [host, "oauth_token"][at];
    let is_key = levels[at].is_key_next;
    levels[at].is_key_next = !is_key;
    if is_key {
        levels[at].is_wanted = text.is_some_and(|text| text.eq_ignore_ascii_case(wanted));
    }
    !is_key && at == 1 && levels.iter().all(|level| level.is_wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        token(text, "github.com").unwrap()
    }

    #[test]
    fn the_token_is_two_levels_down() {
        for text in [
            "github.com:\n    user: mona\n    oauth_token: tok\n    git_protocol: ssh\n",
            "github.com:\n  users:\n    mona:\n      oauth_token: other\n  oauth_token: tok\n",
            "git.corp:\n  oauth_token: other\ngithub.com:\n  oauth_token: \"tok\"\n",
            "{GitHub.com: {oauth_token: 'tok'}}",
            "# note\n---\ngithub.com: {x: [1, {oauth_token: other}], oauth_token: tok}\n...\n",
            "? [github.com]\n: {oauth_token: other}\ngithub.com: {oauth_token: tok}",
            "a: &a {oauth_token: other}\nb: *a\ngithub.com:\n  *a : x\n  oauth_token: tok\n",
            "github.com:\r\n    oauth_token: tok\r\n",
        ] {
            assert_eq!(of(text).as_deref(), Some("tok"), "{text}");
        }
    }

    #[test]
    fn what_is_elsewhere_is_not_the_token() {
        for text in [
            "",
            "~",
            "oauth_token: tok",
            "github.com: tok",
            "github.com: [oauth_token, tok]",
            "[github.com, {oauth_token: tok}]",
            "- github.com:\n    oauth_token: tok\n",
            "github.com:\n  users:\n    mona:\n      oauth_token: tok\n  user: mona\n",
            "github.com:\n  oauth_token: [tok]\n",
            "github.com:\n  oauth_token: ~\n",
            "github.com:\n  x: oauth_token\n  tok: y\n",
            "git.corp:\n  oauth_token: tok\ngithub.com:\n  user: mona\n",
            "a: 1\n---\ngithub.com: {oauth_token: tok}\n",
            "x: &x tok\ngithub.com: {oauth_token: *x}\n",
        ] {
            assert_eq!(of(text), None, "{text}");
        }
        assert_eq!(of("github.com:\n  oauth_token:\n").as_deref().unwrap_or(""), "");
    }

    #[test]
    fn hostile_yaml_is_refused_or_read_but_ends() {
        for text in ["a: [", "\t- : :", "\"", "a: b: c", "*x", "%YAML 9\n---", "\u{0}", "&a &a"] {
            let _ = token(text, "github.com");
        }
        assert!(token("github.com: [", "github.com").is_err());
        for text in ["[", "{a: ", "- ", "? ", "&a ", "!!x "] {
            let _ = token(&text.repeat(20_000), "github.com");
        }
        let mut laughs = "a0: &a0 [lol]\n".to_owned();
        for n in 1..100 {
            let alias = format!("*a{}, ", n - 1).repeat(9);
            laughs += &format!("a{n}: &a{n} [{alias}]\n");
        }
        assert_eq!(of(&(laughs + "github.com: {oauth_token: tok}")).as_deref(), Some("tok"));
    }
}
