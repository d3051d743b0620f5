//! Proof that a conversation exists: the file in which the program keeps it.

use std::io;
use std::path::Path;

use ao_program::Environment;

use super::row::Harness;

/// Whether a conversation exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conversation {
    /// Its file is there.
    Exists,
    /// Its file is not there.
    Missing,
    /// The row does not say how to tell.
    Unknown,
}

impl Harness {
    /// Whether the conversation of this id exists, and the program can continue it.
    #[must_use]
    pub fn conversation(&self, native_id: &str, environment: &Environment) -> Conversation {
        let Some(place) = self.conversation.as_ref().filter(|_| self.can_resume()) else {
            return Conversation::Unknown;
        };
        // An id is a name: it leads out of no directory, and is never taken for a flag.
        if native_id.is_empty() || native_id.starts_with('-') || native_id.contains(['/', '\0']) {
            return Conversation::Missing;
        }
        let Some(dir) = place.dir(environment) else { return Conversation::Unknown };
        let first: String = native_id.chars().take(8).collect();
        let (all, first) = (glob::Pattern::escape(native_id), glob::Pattern::escape(&first));
        let file = place.pattern.replace("{native_id}", &all).replace("{native_id_8}", &first);
        look(&dir, &file)
    }
}

/// Whether a file that matches has content. What cannot be read is not missing.
fn look(dir: &Path, file: &str) -> Conversation {
    let pattern = format!("{}/{file}", glob::Pattern::escape(&dir.to_string_lossy()));
    let Ok(found) = glob::glob(&pattern) else { return Conversation::Unknown };
    let mut is_complete = true;
    for path in found {
        let content = path.map_err(io::Error::from).and_then(|path| path.metadata());
        match content {
            Ok(it) if it.is_file() && it.len() > 0 => return Conversation::Exists,
            Ok(_) => {}
            Err(_) => is_complete = false,
        }
    }
    if is_complete { Conversation::Missing } else { Conversation::Unknown }
}

#[cfg(test)]
mod tests {
    use super::super::Harnesses;
    use super::*;

    #[test]
    fn a_conversation_exists_when_its_file_has_content() {
        let home = tempfile::tempdir().unwrap();
        let environment: Environment =
            [("HOME", home.path().to_str().unwrap())].into_iter().collect();
        let all = Harnesses::load(None).unwrap();
        let claude = all.get("claude-code").unwrap();
        assert_eq!(claude.conversation("u-1", &environment), Conversation::Missing);
        let dir = home.path().join(".claude/projects/-x");
        std::fs::create_dir_all(&dir).unwrap();
        std::fs::write(dir.join("u-1.jsonl"), "").unwrap();
        assert_eq!(claude.conversation("u-1", &environment), Conversation::Missing);
        std::fs::write(dir.join("u-1.jsonl"), "{}").unwrap();
        assert_eq!(claude.conversation("u-1", &environment), Conversation::Exists);
        assert_eq!(claude.conversation("*", &environment), Conversation::Missing);
        for id in ["../-x/u-1", "-u-1", ""] {
            assert_eq!(claude.conversation(id, &environment), Conversation::Missing, "{id}");
        }
        let aider = all.get("aider").unwrap();
        assert_eq!(aider.conversation("u-1", &environment), Conversation::Unknown);
    }
}
