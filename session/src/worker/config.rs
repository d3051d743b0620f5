//! What a worker runs, and for whom.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use ao_program::Environment;
use ao_store::{AgentId, OrgId, Store};

/// How the program of an agent is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Once for each turn: its output is the reply.
    Plain,
    /// It stays, and talks to the worker in lines of JSON.
    JsonLines,
}

/// What a worker runs, and for whom.
#[derive(Debug, Clone)]
pub struct Config {
    /// The store.
    pub store: Store,
    /// The data directory of the store, canonical.
    pub data_dir: PathBuf,
    /// The organisation of the agent.
    pub org: OrgId,
    /// The agent for which it answers.
    pub agent: AgentId,
    /// The program of the agent, and its arguments.
    pub argv: Vec<OsString>,
    /// How the program is run.
    pub mode: Mode,
    /// How long a turn may make no progress before it fails.
    pub silence: Duration,
    /// The variables of the program, besides those of its turn.
    pub environment: Environment,
    /// The number of the signal that asks to stop; 0 while none does.
    pub interrupted_by: Arc<AtomicUsize>,
}

impl Config {
    /// Whether a signal asks to stop.
    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupted_by.load(Ordering::Relaxed) != 0
    }

    /// The variables of the program, with these.
    pub(super) fn variables(&self, own: &[(&str, &str)]) -> Environment {
        let of_agent = [
            ("AO_ORG_ID", OsStr::new(self.org.as_str())),
            ("AO_AGENT_ID", OsStr::new(self.agent.as_str())),
            ("AO_DATA_DIR", self.data_dir.as_os_str()),
        ];
        let own = own.iter().map(|(name, value)| (OsStr::new(*name), OsStr::new(*value)));
        let of_agent = of_agent.into_iter().map(|(name, value)| (OsStr::new(name), value));
        self.environment.iter().chain(of_agent).chain(own).collect()
    }
}
