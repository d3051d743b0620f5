//! Prints what a session has changed.

use ao_daemon::document::session as document;
use ao_session::worktree::{Changed, Diff};
use ao_store::SessionId;

use crate::context::Context;
use crate::error::Result;
use crate::output::{self, printable};

pub(super) fn run(context: &Context, id: &SessionId, is_stat: bool) -> Result<()> {
    let diff = context.sessions_to_look_at()?.diff(id)?;
    if context.is_json {
        return output::document("session.diff", &document::diff(id, &diff));
    }
    if is_stat {
        return output::text(&stat(&diff));
    }
    if diff.is_cut {
        context.say("the patch is cut: it is longer than 1 MiB");
    }
    let untracked = diff.files.iter().filter(|file| file.status == "untracked").count();
    if untracked > 0 {
        context.say(&format!("untracked files, which --stat lists: {untracked}"));
    }
    if output::is_terminal() {
        // A tab controls nothing.
        let parts = diff.patch.split('\t').map(output::printable_lines);
        return output::raw_bytes(parts.collect::<Vec<_>>().join("\t").as_bytes());
    }
    output::raw_bytes(diff.patch.as_bytes())
}

/// One line per file, and their sum.
fn stat(diff: &Diff) -> String {
    let line = |Changed { path, old_path, status, lines, is_binary }: &Changed| {
        let lines = match (lines, is_binary) {
            (Some((added, removed)), _) => format!("+{added} -{removed}"),
            (None, Some(true)) => "binary".to_owned(),
            _ => String::new(),
        };
        let from = old_path.iter().map(|old| format!(" (was {})", printable(old)));
        format!("{status:<12} {lines:>14}  {}{}\n", printable(path), from.collect::<String>())
    };
    let files: String = diff.files.iter().map(line).collect();
    let more = match diff.file_count - diff.files.len() {
        0 => String::new(),
        more => format!("and {more} more\n"),
    };
    format!("{files}{more}files: {}, +{} -{}\n", diff.file_count, diff.added, diff.removed)
}
