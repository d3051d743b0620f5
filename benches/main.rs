//! Every budget of the project, measured against its baseline in one run: see [`ao_benches`].
//! The figures, and the causes of those that are missed, are in `docs/BENCHMARKS.md`.

mod capture;
mod consumer;
mod events;
mod fanout;
mod hook;
mod latency;
mod memory;
mod observe;
mod prune;
mod requests;
mod session_list;
mod session_verbs;
mod set_diff;
mod snapshot;
mod start;
mod supervisor;
mod tail;
mod turns;
mod verify;
mod writer;

use std::process::ExitCode;

use ao_benches::{File, suite};

const FILES: [File; 20] = [
    File { name: "set_diff", numbers: &["1", "1b", "2", "3"], measure: set_diff::measure },
    File { name: "capture", numbers: &["4"], measure: capture::measure },
    File { name: "writer", numbers: &["5", "5b"], measure: writer::measure },
    File { name: "latency", numbers: &["6", "7"], measure: latency::measure },
    File { name: "fanout", numbers: &["8", "8b", "11"], measure: fanout::measure },
    File { name: "tail", numbers: &["9", "10", "32"], measure: tail::measure },
    File { name: "hook", numbers: &["12b", "12c", "12d"], measure: hook::measure },
    File { name: "prune", numbers: &["13", "13b"], measure: prune::measure },
    File { name: "verify", numbers: &["14"], measure: verify::measure },
    File { name: "observe", numbers: &["15", "16", "17", "17b", "17c"], measure: observe::measure },
    File { name: "session_list", numbers: &["20", "20b"], measure: session_list::measure },
    File { name: "events", numbers: &["21", "21b", "21d"], measure: events::measure },
    File { name: "requests", numbers: &["21c", "21e"], measure: requests::measure },
    File { name: "turns", numbers: &["18", "18b", "19"], measure: turns::measure },
    File { name: "consumer", numbers: &["30"], measure: consumer::measure },
    File { name: "snapshot", numbers: &["31"], measure: snapshot::measure },
    File { name: "start", numbers: &["12", "33"], measure: start::measure },
    File { name: "session_verbs", numbers: &["34", "35"], measure: session_verbs::measure },
    File { name: "supervisor", numbers: &["36"], measure: supervisor::measure },
    File { name: "memory", numbers: &["37"], measure: memory::measure },
];

/// What a process does that a bench has started as its child.
fn play(role: &str) {
    match role {
        role if latency::ROLES.contains(&role) => latency::play(role),
        role if turns::ROLES.contains(&role) => turns::play(role),
        "nothing" | "library" => start::play(role),
        _ => session_list::play(role),
    }
}

fn main() -> ExitCode {
    suite(&FILES, play)
}
