//! Provoking what the commands that send messages refuse. The sessions and deliveries are made by SQL.

use ao_store::Code;
use ao_store::row::lifecycle::instance;

use super::{Provoked, World};
use crate::support::TestEnv;

/// The text `x`.
const DIGEST: &str = "sha256:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881";

pub(super) fn messages(code: Code, _: &World, env: &TestEnv) -> Option<Result<Provoked, String>> {
    let session = format!(
        "UPDATE session SET spawner = 'i1', harness = 'custom', runtime_kind = 'tmux', spawned_at = 1,
            launch_id = 'l1' WHERE id = 'demo-1';
         INSERT INTO launch (id, session_id, project_id, num, kind, instance, boot_id, created_at, started_at)
         VALUES ('l1', 'demo-1', 'demo', 1, 'fresh', 'i1', '{}', 1, 1);",
        instance::boot_id()
    );
    let delivery = |stage: &str| {
        format!(
            "{session} INSERT INTO delivery (id, session_id, project_id, key, sender, bytes, digest, stage,
             accepted_at, cursor) VALUES ('m1', 'demo-1', 'demo', 'k', '', 1, '{DIGEST}', '{stage}', 1, '1-1');"
        )
    };
    let waits = &["send", "demo-1", "x", "--key", "k", "--wait", "written"][..];
    let send = &["send", "demo-1", "x"][..];
    let (sql, args) = match code {
        Code::DeliveryNotFound => (session, &["delivery", "get", "m1"][..]),
        Code::DeliveryKeyUsed => (delivery("written"), &["send", "demo-1", "other", "--key", "k"][..]),
        Code::NotResendable => (delivery("written"), &["delivery", "resend", "m1"][..]),
        Code::DeliveryAmbiguous => (delivery("ambiguous"), waits),
        Code::DeliveryFailed => (delivery("failed"), waits),
        Code::StageNotReported => (session, &["send", "demo-1", "x", "--wait", "submitted"][..]),
        Code::DecisionPending => (
            session
                + "INSERT INTO decision (id, session_id, project_id, launch_id, kind, tool, call, text, options,
                   source, requested_at) VALUES ('l1.1', 'demo-1', 'demo', 'l1', 'permission', 'Bash', 'c',
                   'touch x', '[]', 'hook', 1);",
            send,
        ),
        _ => return None,
    };
    Some(match env.sqlite(&sql) {
        Some(_) => Ok(Provoked::by(args)),
        None => Err("no sqlite3".to_owned()),
    })
}
