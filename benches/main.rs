//! Every budget of the project, measured against its baseline in one run: see [`ao_benches`].

mod capture;
mod consumer;
mod fanout;
mod hook;
mod latency;
mod observe;
mod prune;
mod session_list;
mod session_verbs;
mod set_diff;
mod snapshot;
mod start;
mod supervisor;
mod tail;
mod verify;
mod writer;

use std::process::ExitCode;

use ao_benches::{Run, child_role};

/// What a process does that a bench has started as its child.
fn play(role: &str) {
    match role {
        role if latency::ROLES.contains(&role) => latency::play(role),
        "bare" => hook::play(),
        "nothing" | "library" => start::play(role),
        _ => session_list::play(role),
    }
}

fn main() -> ExitCode {
    if let Some(role) = child_role() {
        play(&role);
        return ExitCode::SUCCESS;
    }
    let mut run = Run::new();
    run.file("set_diff", &["1", "1b", "2", "3"], set_diff::measure);
    run.file("capture", &["4"], capture::measure);
    run.file("writer", &["5", "5b"], writer::measure);
    run.file("latency", &["6", "7"], latency::measure);
    run.file("fanout", &["8", "8b", "11"], fanout::measure);
    run.file("tail", &["9", "10", "32"], tail::measure);
    run.file("hook", &["12b", "12c"], hook::measure);
    run.file("prune", &["13", "13b"], prune::measure);
    run.file("verify", &["14"], verify::measure);
    run.file("observe", &["15", "16", "17"], observe::measure);
    run.file("session_list", &["20", "20b"], session_list::measure);
    run.file("consumer", &["30"], consumer::measure);
    run.file("snapshot", &["31"], snapshot::measure);
    run.file("start", &["33"], start::measure);
    run.file("session_verbs", &["34", "35"], session_verbs::measure);
    run.file("supervisor", &["36"], supervisor::measure);
    run.finish()
}
