//! What the loops of a daemon tell the person at its terminal.

use std::sync::Arc;

use ao_observer::run::{Event, Running};
use ao_session::Report;

/// One thing to tell.
#[derive(Debug)]
pub enum Notice {
    /// The sessions were reconciled.
    Reconciled(Report),
    /// The observer did something.
    Observer(Event),
    /// Another process observes for the store; this one waits.
    ObserverElsewhere(Option<Running>),
}

/// Gets every notice, in the thread of the loop.
pub type Notify = Arc<dyn Fn(Notice) + Send + Sync>;
