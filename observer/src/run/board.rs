//! The newest report of each host, and the events that it gives rise to.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use ao_store::Timestamp;
use ao_store::row::scm::Credential;

use super::Lock;
use super::event::{self, Cycle, Event, Shown, What};
use crate::poll::{Reading, Report};

/// The newest report of each host.
pub(super) struct Board {
    lock: Lock,
    reports: RefCell<Vec<Report>>,
    /// The credentials of each host that were shown last.
    shown: RefCell<BTreeMap<String, Shown>>,
    /// When the next request to each host is due.
    next: RefCell<BTreeMap<String, Option<Timestamp>>>,
    /// Whether it was logged that nothing can be observed.
    is_disabled: Cell<bool>,
    show: Box<dyn Fn(Event)>,
}

impl Board {
    pub(super) fn new(lock: Lock, show: impl Fn(Event) + 'static) -> Board {
        Board {
            lock,
            reports: RefCell::default(),
            shown: RefCell::default(),
            next: RefCell::default(),
            is_disabled: Cell::new(false),
            show: Box::new(show),
        }
    }

    /// The newest report of each host.
    pub(super) fn reports(&self) -> Vec<Report> {
        self.reports.borrow().clone()
    }

    /// Credentials are looked up.
    pub(super) fn look_up(&self, host: &str) {
        self.emit(host, What::LookUp);
    }

    /// A request is sent.
    pub(super) fn send(&self, host: &str, reading: Reading) {
        self.emit(host, What::Send(reading));
    }

    /// Nothing is due at a host before this time. `cycle` is what was requested before.
    pub(super) fn wait(&self, host: &str, next: Option<Timestamp>, cycle: Option<Cycle>) {
        let (all, is_first) = {
            let mut all = self.next.borrow_mut();
            let is_first = all.insert(host.to_owned(), next).is_none();
            (all.values().flatten().min().copied(), is_first)
        };
        self.lock.set_next(all);
        let has_token =
            self.reports.borrow().iter().any(|it| it.host == host && !it.source.is_empty());
        if is_first && next.is_none() && cycle.is_none() && has_token {
            self.emit(host, What::NothingToObserve);
        }
        if let Some(cycle) = cycle {
            self.emit(host, What::Cycle(Box::new(cycle)));
        }
    }

    /// Logs once that there are no credentials, when that disables the observer, and else for which
    /// host there are none.
    pub(super) fn log_missing_credentials(&self, before: Credential, report: &Report) {
        if !report.source.is_empty() {
            self.is_disabled.set(false);
        }
        if report.credential != Credential::Missing || before == Credential::Missing {
            return;
        }
        let has_other = |it: &Report| it.host != report.host && !it.source.is_empty();
        if self.reports.borrow().iter().any(has_other) {
            tracing::info!(host = report.host, "there are no credentials for this host");
        } else if !self.is_disabled.replace(true) {
            tracing::warn!("scm observer disabled: provider credentials unavailable");
        }
    }

    /// Records the newest report of a host.
    pub(super) fn put(&self, report: Report) {
        let host = report.host.clone();
        let changes = {
            let mut reports = self.reports.borrow_mut();
            let mut shown = self.shown.borrow_mut();
            let shown = shown.entry(host.clone()).or_default();
            match reports.iter_mut().find(|known| known.host == report.host) {
                Some(known) => {
                    let changes = event::changes(Some(known), &report, shown);
                    known.clone_from(&report);
                    changes
                }
                None => {
                    reports.push(report.clone());
                    event::changes(None, &report, shown)
                }
            }
        };
        for change in changes {
            self.emit(&host, What::Change(change));
        }
        self.emit(&host, What::Recorded(Box::new(report)));
    }

    fn emit(&self, host: &str, what: What) {
        (self.show)(Event { at: Timestamp::now(), host: host.to_owned(), what });
    }
}
