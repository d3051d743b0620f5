//! The file in which gh keeps tokens where there is no keyring.
//!
//! Only `HOST: oauth_token: TOKEN` is read of its YAML, event by event: no nesting and no alias in it
//! can cost more than its length, which is bounded.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use ao_program::Environment;
use saphyr_parser::{Event, Parser, ScalarStyle};

use super::{Lookup, token};

/// More than gh ever writes.
const FILE_MAX: u64 = 256 << 10;

/// The token of a host in the file.
pub(super) fn lookup(host: &str, environment: &Environment) -> Lookup {
    let Some(path) = path(environment) else { return Ok(None) };
    let source = path.display().to_string();
    let text = match read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{source}: {error}")),
    };
    let text = oauth_token(&text, host)
        .map_err(|line| format!("{source}, line {line}: it is not YAML"))?;
    token(&text.unwrap_or_default(), &source)
}

/// Where gh expects it.
fn path(environment: &Environment) -> Option<PathBuf> {
    let var = |name| environment.get(name).map(PathBuf::from);
    let dir = var("GH_CONFIG_DIR")
        .or_else(|| var("XDG_CONFIG_HOME").map(|dir| dir.join("gh")))
        .or_else(|| var("HOME").map(|dir| dir.join(".config/gh")))?;
    Some(dir.join("hosts.yml"))
}

fn read(path: &PathBuf) -> io::Result<String> {
    // Opening a pipe would wait for a writer.
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

/// A mapping or sequence around an event.
struct Frame {
    is_mapping: bool,
    /// Of a mapping: the key that was read, until its value is complete; the empty text for a key
    /// that is not a scalar.
    key: Option<String>,
}

/// The value of `oauth_token` below the host, or the line of the first syntax error.
fn oauth_token(text: &str, host: &str) -> Result<Option<String>, usize> {
    let mut frames = Vec::new();
    for event in Parser::new_from_str(text) {
        let (event, _) = event.map_err(|error| error.marker().line())?;
        let key = match event {
            Event::Scalar(value, style, ..) if is_token(&frames, host) => {
                let is_null = style == ScalarStyle::Plain && matches!(&*value, "~" | "null");
                return Ok((!is_null).then(|| value.into_owned()));
            }
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                let is_mapping = matches!(event, Event::MappingStart(..));
                frames.push(Frame { is_mapping, key: None });
                continue;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                frames.pop();
                String::new()
            }
            Event::Scalar(value, ..) => value.into_owned(),
            Event::Alias(_) => String::new(),
            Event::DocumentEnd => break,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {
                continue;
            }
        };
        // A node of a mapping is complete: its next key, or the value of the last one.
        if let Some(frame) = frames.last_mut().filter(|frame| frame.is_mapping) {
            frame.key = if frame.key.is_none() { Some(key) } else { None };
        }
    }
    Ok(None)
}

/// Whether the next node is the value of `oauth_token` of the host.
fn is_token(frames: &[Frame], host: &str) -> bool {
    let is = |frame: &Frame, key: &str| {
        frame.key.as_ref().is_some_and(|found| found.eq_ignore_ascii_case(key))
    };
    matches!(frames, [outer, inner] if is(outer, host) && is(inner, "oauth_token"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<String> {
        oauth_token(text, "github.com").unwrap()
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
    fn a_token_elsewhere_is_not_read() {
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
    fn hostile_yaml_is_refused_or_read_in_bounded_time() {
        for text in ["a: [", "\t- : :", "\"", "a: b: c", "*x", "%YAML 9\n---", "\u{0}", "&a &a"] {
            let _ = oauth_token(text, "github.com");
        }
        assert!(oauth_token("github.com: [", "github.com").is_err());
        for text in ["[", "{a: ", "- ", "? ", "&a ", "!!x "] {
            let _ = oauth_token(&text.repeat(20_000), "github.com");
        }
        let mut laughs = "a0: &a0 [lol]\n".to_owned();
        for n in 1..100 {
            let alias = format!("*a{}, ", n - 1).repeat(9);
            laughs += &format!("a{n}: &a{n} [{alias}]\n");
        }
        assert_eq!(of(&(laughs + "github.com: {oauth_token: tok}")).as_deref(), Some("tok"));
    }
}
