//! The arguments of the command that runs workers.

use std::ffi::OsString;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum Worker {
    /// Answer the turns of an agent by a program, one after another, until a signal
    #[command(after_help = "Examples:
  ao-store worker run --agent echo -- cat
  ao-store worker run --agent claude --silence 30m -- claude -p
  ao-store worker run --agent coder --org acme --jsonl -- python3 agent.py

The program runs once for each turn, in a process group of its own: the message is its standard
input, what it prints is the reply, and with another exit status than 0 the turn fails with the end
of what it printed on standard error. It gets AO_TURN_ID, AO_CONVERSATION_ID, AO_ORG_ID, AO_AGENT_ID
and AO_DATA_DIR.
With --jsonl the program stays, and reads and writes one JSON object per line; the turns, the
memory of a conversation, usage and the reasons of failures are described in docs/worker.md.
A turn that prints nothing for the time of --silence fails. Run as many workers as you like: the
turns of one conversation are answered one at a time. A signal ends the open turn as interrupted.")]
    Run(Run),
}

#[derive(Debug, ClapArgs)]
pub(crate) struct Run {
    /// The agent
    #[arg(long, value_name = "A")]
    pub(crate) agent: String,
    /// The organisation that owns the agent
    #[arg(long, value_name = "O", default_value = "local")]
    pub(crate) org: String,
    /// Keep the program for several turns, and talk to it in lines of JSON
    #[arg(long)]
    pub(crate) jsonl: bool,
    /// Fail a turn that makes no progress for this long
    #[arg(long, value_name = "D", default_value = "10m", value_parser = super::positive)]
    pub(crate) silence: Duration,
    /// The program of the agent, and its arguments
    #[arg(last = true, required = true, value_name = "ARGV")]
    pub(crate) argv: Vec<OsString>,
}
