//! Runs the observer in the foreground with its progress, and the words for what it does.

mod json;
mod show;
mod text;

use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use ao_observer::github::host::Endpoints;
use ao_observer::poll::{Config, INTERVAL_MAX, INTERVAL_MIN};
use ao_observer::run::{self, CancellationToken, Event, Lock, Setup};
use ao_program::Environment;
use ao_store::PrRef;
use ao_store::row::project;
use serde_json::json;

use crate::args::{Api, Run};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::invocation;
use crate::output::{self, Ended};
use crate::signal::Signals;
use show::Show;

pub(crate) use show::BesideStream;
pub(crate) use text::another;

/// How often signals and the lock of another observer are checked.
const TICK: Duration = Duration::from_millis(50);

/// How many events wait to be shown; then the observer waits.
const EVENTS: usize = 64;

pub(crate) fn run(context: &Context, args: &Run) -> Result<Ended> {
    let setup = setup(context, args)?;
    let lock = Lock::take(context.database(), &invocation::command_line())?;
    let signals = Signals::listen().map_err(ao_observer::Error::Runtime)?;
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    let (send, events) = sync_channel(EVENTS);
    // When nobody receives them, the run is ending.
    let show = move |event| drop(send.send(event));
    let observer = spawn(move || run::run(&setup, lock, &cancelled, show))?;
    let shown = follow(events, &signals, &mut Show::new(context, args.once));
    stop.cancel();
    let ended = join(observer)?;
    shown?;
    let has_failed = |host: &String| ended.failed.iter().any(|(failed, _)| failed == host);
    if !context.is_json {
        for report in ended.reports.iter().filter(|it| !has_failed(&it.host)) {
            output::line(&context.invocation().complete(&text::summary(report)))?;
        }
    } else if ended.failed.is_empty() {
        let hosts = ended.reports.iter().map(json::host).collect::<Vec<_>>();
        output::document("observe.run", &json!({"hosts": hosts}))?;
    }
    ended.outcome()?;
    Ok(signals.received().map_or(Ended::Done, Ended::BySignal))
}

/// Shows what the observer does until it ends or a signal comes.
fn follow(events: Receiver<Event>, signals: &Signals, show: &mut Show<'_>) -> Result<()> {
    while signals.received().is_none() {
        match events.recv_timeout(TICK) {
            Ok(event) => show.event(&event)?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        show.tick();
    }
    Ok(())
}

fn setup(context: &Context, args: &Run) -> Result<Setup> {
    if args.interval < INTERVAL_MIN || args.interval > INTERVAL_MAX {
        return Err(Error::Usage("--interval must be from 5s to 1h".to_owned()));
    }
    for repo in &args.repo {
        PrRef::new("github.com", repo, 1)
            .map_err(|_| Error::Usage(format!("--repo must be OWNER/NAME, not {repo:?}")))?;
    }
    let store = context.open()?;
    let projects = store.read(|snapshot| project::list(snapshot, false))?;
    for repo in &args.repo {
        if !projects.iter().any(|it| it.repo.eq_ignore_ascii_case(repo)) {
            let list = "list the projects: `ao-store project ls`";
            context
                .say(&format!("no project has the repository {repo}, so it is not polled; {list}"));
        }
    }
    Ok(Setup {
        store,
        config: Config { interval: args.interval, ..Config::default() },
        api: api(&args.api)?,
        only: args.repo.clone(),
        environment: Environment::of_process(),
        is_once: args.once,
    })
}

/// The API URLs of the default host, if the user set one.
pub(crate) fn api(api: &Api) -> Result<Option<Endpoints>> {
    let variable = std::env::var("AO_GITHUB_API_URL").ok().filter(|url| !url.is_empty());
    let url = api.api_url.clone().or(variable);
    Ok(url.map(|url: String| Endpoints::from_api_url(&url)).transpose()?)
}

fn spawn<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<JoinHandle<T>> {
    let spawned = thread::Builder::new().name("observer".to_owned()).spawn(work);
    Ok(spawned.map_err(ao_observer::Error::Runtime)?)
}

fn join(observer: JoinHandle<ao_observer::Result<run::Ended>>) -> Result<run::Ended> {
    match observer.join() {
        Ok(outcome) => Ok(outcome?),
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
