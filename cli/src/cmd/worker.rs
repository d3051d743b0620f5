//! Runs a worker: it answers the turns of an agent until a signal.

use ao_program::Environment;
use ao_session::worker::{self, Config, Event, Mode};
use ao_store::turn::finish::Finished;
use ao_store::{Options, Store};

use crate::args::{Worker, WorkerRun};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{Ended, printable};
use crate::signal::Signals;

pub(crate) fn run(context: &Context, command: Worker) -> Result<Ended> {
    match command {
        Worker::Run(args) => answer(context, args),
    }
}

fn answer(context: &Context, args: WorkerRun) -> Result<Ended> {
    let signals = Signals::listen().map_err(Error::Stdout)?;
    let options = Options { is_brief: false, ..context.options() };
    let config = Config {
        store: Store::open(context.database(), options)?,
        data_dir: context.data_dir()?,
        org: args.org.parse()?,
        agent: args.agent.parse()?,
        argv: args.argv,
        mode: if args.jsonl { Mode::JsonLines } else { Mode::Plain },
        silence: args.silence,
        environment: Environment::of_process(),
        interrupted_by: signals.number(),
    };
    let agent = args.agent;
    worker::run(&config, &|event| context.say(&printable(&shown(&event, &agent))))?;
    Ok(signals.received().map_or(Ended::Done, Ended::BySignal))
}

fn shown(event: &Event<'_>, agent: &str) -> String {
    match event {
        Event::Ready(id) => format!("ready: worker {id} answers the turns of {agent}"),
        Event::Began(turn) => format!("turn {turn} began"),
        Event::Ended(turn, Finished::Won | Finished::Known) => format!("turn {turn} ended"),
        Event::Ended(turn, Finished::Lost | Finished::Conflict | Finished::Diverged) => {
            format!("turn {turn} was ended by another process: what its program did is dropped")
        }
        Event::Swept(turns) => format!("ended what no worker would end: {}", turns.join(", ")),
        Event::Failed(why) => format!("warning: {why}"),
    }
}
