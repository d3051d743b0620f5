//! Shows the terminal of an agent in this one: tmux takes the place of this process.

use std::io::{self, IsTerminal};

use ao_program::{Environment, replace_process};
use ao_store::SessionId;

use crate::context::Context;
use crate::error::{Error, Result};

/// The variables by which tmux refuses to run inside itself. The server of the agent is another one.
const NESTED: [&str; 2] = ["TMUX", "TMUX_PANE"];

pub(super) fn run(context: &Context, id: &SessionId, is_read_only: bool) -> Result<()> {
    let argv = context.sessions_to_look_at()?.attach_command(id, is_read_only)?;
    if !(io::stdin().is_terminal() && io::stdout().is_terminal()) {
        return Err(Error::NoTerminal("attach to it"));
    }
    let environment = Environment::of_process();
    let is_kept = |name: &std::ffi::OsStr| NESTED.iter().all(|nested| name != *nested);
    let environment = environment.iter().filter(|(name, _)| is_kept(name)).collect();
    let reason = replace_process(&argv, &environment).to_string();
    Err(ao_session::Error::RuntimeFailed { action: "attach to it", reason }.into())
}
