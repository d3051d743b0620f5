//! `observe`: runs the observer, or applies observation documents.
//!
//! Each document is one transaction. If one is refused, the documents before it stay applied, and
//! the error names the refused one.

pub(super) mod report;

use std::io::BufReader;
use std::path::Path;

use ao_observer::{Numbered, UnknownFields};
use ao_store::observation::Observation;
use ao_store::row::pr;
use ao_store::{Outcome, Store, Timestamp, apply_observation};

use self::report::{Report, open, refuse};
use crate::args::{Intake, Observe};
use crate::cmd::{deliver, poll};
use crate::context::{Context, cause};
use crate::error::{Error, Result};
use crate::output::Ended;

pub(crate) fn run(context: &Context, args: Observe) -> Result<Ended> {
    match args.command {
        None => return poll::run(context, &args.run),
        Some(Intake::Apply { file, strict }) => apply(context, &file, strict),
        Some(Intake::Deliver(args)) => deliver::run(context, args),
    }?;
    Ok(Ended::Done)
}

fn apply(context: &Context, file: &Path, is_strict: bool) -> Result<()> {
    let store = context.open()?;
    let mut report = Report::new(context.is_json);
    let unknown = if is_strict { UnknownFields::Refuse } else { UnknownFields::Ignore };
    for document in ao_observer::documents_with(BufReader::new(open(file)?), unknown) {
        let result = document.map_err(Error::from).and_then(|Numbered { mut value, .. }| {
            value.locate(|name| store.read(|snapshot| pr::locate(snapshot, name)))?;
            let observation = value.into_observation(Timestamp::now())?;
            write(&store, observation)
        });
        match result {
            Ok(outcome) => match refuse(&outcome).filter(|_| is_strict) {
                Some(error) => return report.fail(error),
                None => report.add_outcome(&outcome)?,
            },
            Err(error) => return report.fail(error),
        }
        report.documents += 1;
    }
    report.finish("observe.apply")
}

fn write(store: &Store, observation: Observation) -> Result<Outcome> {
    Ok(store.write(cause(), move |tx| apply_observation(tx, &observation))?.value)
}
