//! The processes that run turns: that one has ended is noticed at once, by a descriptor of it. Where none can be had,
//! the passes by the time find it.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_store::lease::Owner;
use ao_store::turn::sweep;
use ao_store::{Listener, Result, Store};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::{Reporter, TICK};

/// The most processes that are waited for by a descriptor.
const MAX: usize = 256;

/// The processes that run turns.
pub(super) struct Owners {
    store: Store,
    listener: Listener,
    /// Those that were seen, each with a descriptor while its end is not known.
    known: BTreeMap<String, Option<OwnedFd>>,
}

impl Owners {
    pub(super) fn new(store: &Store) -> Result<Owners> {
        Ok(Owners { store: store.clone(), listener: store.listen()?, known: BTreeMap::new() })
    }

    /// Waits until a process that runs a turn has ended, or the time is over; returns whether the daemon stops.
    pub(super) fn wait(&mut self, time: Duration, reporter: &Reporter) -> Result<bool> {
        let until = Instant::now() + time;
        let mut has_ended = self.look()?;
        while !has_ended && !reporter.is_stopped() && Instant::now() < until {
            has_ended =
                self.has_ended(TICK) || self.listener.wait(Duration::ZERO)? && self.look()?;
        }
        Ok(reporter.is_stopped())
    }

    /// Looks which processes run turns; returns whether a new one of them has ended.
    fn look(&mut self) -> Result<bool> {
        let owners = self.store.read(sweep::owners)?;
        self.known.retain(|id, _| owners.iter().any(|owner| owner.id == *id));
        let mut has_ended = false;
        for owner in owners {
            let is_full = self.known.values().flatten().count() >= MAX;
            if is_full || self.known.contains_key(&owner.id) {
                continue;
            }
            let descriptor = Owner::descriptor(&owner.owner);
            has_ended |= descriptor.is_none() && owner.is_dead();
            self.known.insert(owner.id, descriptor);
        }
        Ok(has_ended)
    }

    /// Waits, and returns whether one has ended, which is then not waited for any more.
    fn has_ended(&mut self, time: Duration) -> bool {
        let known = self.known.iter();
        let waited: Vec<_> =
            known.filter_map(|(id, descriptor)| Some((id, descriptor.as_ref()?))).collect();
        let mut fds: Vec<_> =
            waited.iter().map(|(_, descriptor)| PollFd::new(*descriptor, PollFlags::IN)).collect();
        let limit = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        match poll(&mut fds, Some(&limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            // Such as with a limit of open files below their number. It must not end at once each time.
            Err(_) => sleep(time),
        }
        let ready = fds.iter().zip(&waited).filter(|(fd, _)| !fd.revents().is_empty());
        let ended: Vec<String> = ready.map(|(_, (id, _))| (*id).clone()).collect();
        let has_ended = !ended.is_empty();
        self.known.extend(ended.into_iter().map(|id| (id, None)));
        has_ended
    }
}
