//! Runs the observer: in the foreground with its progress, or in a thread beside another command.

use std::io::{IsTerminal, Write};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use ao_observer::github::host::Endpoints;
use ao_observer::poll::{Config, INTERVAL_MAX, INTERVAL_MIN, Report};
use ao_observer::run::{self, CancellationToken, Lock, Setup};
use ao_program::Environment;
use ao_store::row::scm::Credential;
use ao_store::{PrRef, Store};
use serde_json::{Value, json};

use crate::args::{Api, Run};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output::{self, Ended};
use crate::signal::Signals;
use crate::view;

/// How often signals and the lock of another observer are checked.
const TICK: Duration = Duration::from_millis(50);

/// How often progress is shown.
const SHOW: Duration = Duration::from_millis(250);

pub(crate) fn run(context: &Context, args: &Run) -> Result<Ended> {
    let setup = setup(context, args)?;
    let lock = Lock::take(context.database())?;
    let signals = Signals::listen().map_err(ao_observer::Error::Runtime)?;
    let is_shown = !context.is_json && std::io::stderr().is_terminal();
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    let observer = spawn(move || run::run(&setup, &lock, &cancelled, progress(is_shown)))?;
    while !observer.is_finished() && signals.received().is_none() {
        thread::sleep(TICK);
    }
    stop.cancel();
    let ended = join(observer);
    if is_shown {
        clear_line();
    }
    let ended = ended?;
    let has_failed = |host: &String| ended.failed.iter().any(|(failed, _)| failed == host);
    if !context.is_json {
        for report in ended.reports.iter().filter(|it| !has_failed(&it.host)) {
            output::line(&context.invocation().complete(&summary(report)))?;
        }
    } else if ended.failed.is_empty() {
        let hosts = ended.reports.iter().map(document).collect::<Vec<_>>();
        output::document("observe.run", &json!({"hosts": hosts}))?;
    }
    ended.outcome()?;
    Ok(signals.received().map_or(Ended::Done, Ended::BySignal))
}

fn setup(context: &Context, args: &Run) -> Result<Setup> {
    if args.interval < INTERVAL_MIN || args.interval > INTERVAL_MAX {
        return Err(Error::Usage("--interval must be from 5s to 1h".to_owned()));
    }
    for repo in &args.repo {
        PrRef::new("github.com", repo, 1)
            .map_err(|_| Error::Usage(format!("--repo must be OWNER/NAME, not {repo:?}")))?;
    }
    Ok(Setup {
        store: context.open()?,
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

/// An observer that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Beside {
    stop: CancellationToken,
    thread: Option<JoinHandle<()>>,
}

impl Beside {
    pub(crate) fn begin(store: &Store, api: Option<Endpoints>) -> Result<Beside> {
        let setup = Setup {
            store: store.clone(),
            config: Config::default(),
            api,
            only: Vec::new(),
            environment: Environment::of_process(),
            is_once: false,
        };
        let stop = CancellationToken::new();
        let cancelled = stop.clone();
        let work = move || {
            let Some(lock) = wait_for_lock(&setup, &cancelled) else { return };
            if let Err(error) =
                run::run(&setup, &lock, &cancelled, |_| {}).and_then(run::Ended::outcome)
            {
                let error = Error::from(error);
                output::say(&format!(
                    "the observer stopped: {}",
                    output::printable(&error.to_string())
                ));
            }
        };
        Ok(Beside { stop, thread: Some(spawn(work)?) })
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(thread) = self.thread.take() {
            // The panic hook has already reported a panic.
            let _ = thread.join();
        }
    }
}

/// Waits until no other process observes for the store; `None` if it must stop before that.
fn wait_for_lock(setup: &Setup, stop: &CancellationToken) -> Option<Lock> {
    loop {
        match Lock::take(setup.store.path()) {
            Ok(lock) => return Some(lock),
            Err(ao_observer::Error::Running) => {}
            Err(error) => {
                output::say(&format!("cannot observe: {}", output::printable(&error.to_string())));
                return None;
            }
        }
        for _ in 0..20 {
            if stop.is_cancelled() {
                return None;
            }
            thread::sleep(TICK);
        }
    }
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

/// Shows the progress in one line of the terminal, which each update overwrites.
fn progress(is_shown: bool) -> impl Fn(&[Report]) {
    let last = std::cell::Cell::new(Instant::now().checked_sub(SHOW));
    move |reports| {
        if !is_shown || last.get().is_some_and(|at| at.elapsed() < SHOW) {
            return;
        }
        last.set(Some(Instant::now()));
        let line = reports.iter().map(summary).collect::<Vec<_>>().join("; ");
        let width = terminal_width();
        let line: String = output::printable(&line).chars().take(width).collect();
        let mut stderr = std::io::stderr().lock();
        // Progress that cannot be written is no reason to fail.
        let _ = write!(stderr, "\r\x1b[2K{line}").and_then(|()| stderr.flush());
    }
}

fn clear_line() {
    let mut stderr = std::io::stderr().lock();
    let _ = write!(stderr, "\r\x1b[2K").and_then(|()| stderr.flush());
}

fn terminal_width() -> usize {
    let size = rustix::termios::tcgetwinsize(std::io::stderr());
    size.map_or(80, |size| usize::from(size.ws_col)).clamp(20, 1_000) - 1
}

/// The state of a host in one line.
fn summary(report: &Report) -> String {
    let Report { host, totals, written, tracked, fresh, .. } = report;
    match report.credential {
        Credential::Missing => return format!("{host}: disabled, no credentials"),
        Credential::Invalid => {
            return format!("{host}: disabled, the host refuses the credentials");
        }
        Credential::Ok | Credential::Unknown => {}
    }
    let budget = report.budget.map_or("rate limit unknown".to_owned(), |(quota, left)| {
        format!("{left} of {quota} points left")
    });
    let mut line = format!(
        "{host}: {} requests ({} REST), {} points; {fresh} of {tracked} pull requests fresh; \
         {} rows changed, {} unchanged; {budget}",
        totals.requests,
        totals.rest_requests,
        totals.points,
        written.rows_changed,
        written.rows_unchanged + totals.unchanged,
    );
    if report.problems > 0 {
        line += &format!("; {} cannot be read", report.problems);
    }
    if !report.skipped.is_empty() {
        let count = report.skipped.len();
        line += &format!("; {count} of somebody else on branches of sessions: `ao-store status`");
    }
    if report.logs_left > 0 {
        line += &format!("; {} logs of failed checks are left for the next run", report.logs_left);
    }
    if !report.failure.is_empty() {
        line += &format!("; {}: {}", report.address, report.failure);
    }
    if let Some((reason, until)) = report.backoff {
        line += &format!("; backoff until {}: {}", view::time(until), reason.as_str());
    }
    line
}

/// The state of a host as JSON.
fn document(report: &Report) -> Value {
    let Report { totals, written, .. } = report;
    json!({
        "host": report.host,
        "credential": report.credential.as_str(),
        "source": report.source,
        "requests": totals.requests,
        "rest_requests": totals.rest_requests,
        "points": totals.points,
        "failures": totals.failures,
        "tracked": report.tracked,
        "fresh": report.fresh,
        "problems": report.problems,
        "unread": report.unread,
        "skipped": report.skipped.iter().map(view::skipped).collect::<Vec<_>>(),
        "logs_left": report.logs_left,
        "found": written.found,
        "rows_changed": written.rows_changed,
        "rows_unchanged": written.rows_unchanged + totals.unchanged,
        "quota": report.budget.map(|(quota, _)| quota),
        "remaining": report.budget.map(|(_, remaining)| remaining),
        "address": report.address,
        "failure": report.failure,
        "blocked_until": report.backoff.map(|(_, until)| view::time(until)),
        "reason": report.backoff.map(|(reason, _)| reason.as_str()),
    })
}
