//! The agents in `examples/` answer what `turn send` asks.

use std::path::Path;

use super::lab::ready;
use crate::examples::has;
use crate::support::{Live, TestEnv, text};

/// A worker for a new agent, with one of the programs.
fn worker(env: &TestEnv, agent: &str, options: &[&str], program: &str, name: &str) -> Live {
    env.ok(&["agent", "add", agent]);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(name);
    let args = [&["worker", "run", "--agent", agent], options, &["--", program, text(&script)]];
    ready(&mut env.command(&args.concat()))
}

#[test]
fn the_agent_in_the_shell_answers_each_turn() {
    let env = TestEnv::new();
    let _worker = worker(&env, "words", &[], "sh", "agent.sh");
    let answer = env.ok(&["turn", "send", "--agent", "words", "three little words"]);
    assert!(answer.starts_with("3 words in turn t"), "{answer}");
    let refused = env.run(&["turn", "send", "--agent", "words", " "]);
    assert_eq!(refused.code, 1, "{}", refused.stderr);
    assert!(refused.stderr.contains("there is nothing to count"), "{}", refused.stderr);
}

#[test]
fn the_agent_that_stays_remembers_each_conversation() {
    if !has(&["python3"]) {
        return;
    }
    let env = TestEnv::new();
    let _worker = worker(&env, "memory", &["--jsonl"], "python3", "agent.py");
    let send = |thread: &str, input: &str| {
        env.ok(&["turn", "send", "--agent", "memory", "--conversation", thread, input])
    };
    assert_eq!(send("a", "one").trim_end(), "1. one");
    assert_eq!(send("a", "two").trim_end(), "1. one\n2. two");
    assert_eq!(send("b", "three").trim_end(), "1. three");
}
