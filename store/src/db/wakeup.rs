//! Wake-ups: how listeners in this and other processes notice a committed change.
//!
//! A wake-up is a hint and may be lost or spurious; the log is the truth. There are three kinds, each
//! a fallback for the one before: an eventfd for listeners in the writing process, a datagram to each
//! socket in `<data>/wakeups/` for listeners in other processes, and, for writers that send neither
//! (a `sqlite3` shell), a poll of `PRAGMA data_version` on an idle connection.

use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt};
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use rusqlite::Connection;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;

use crate::db::identity::Identity;
use crate::error::{Context, Error, Result};

/// The interval at which an idle listener polls for writers that notify nobody: 0.07 % of a core.
const FALLBACK: Duration = Duration::from_millis(100);

/// The modification time of a folder may be the same for two changes within this time.
const STAMP_GRAIN: Duration = Duration::from_millis(50);

/// The longest single wait: a longer one would overflow an `Instant`.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400 * 365);

/// The listeners of one open store. The names of their sockets begin with its token, so that its own
/// writer, which wakes them directly, skips them.
#[derive(Debug)]
pub(crate) struct LocalListeners {
    token: String,
    listeners: Mutex<Vec<Weak<OwnedFd>>>,
}

impl LocalListeners {
    /// A process id alone does not identify a store: containers may share a folder.
    pub(crate) fn new() -> LocalListeners {
        let random = RandomState::new().hash_one(std::process::id());
        LocalListeners {
            token: format!("{}-{random:016x}", std::process::id()),
            listeners: Mutex::default(),
        }
    }

    fn add(&self, wake: &Arc<OwnedFd>) {
        let mut listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        listeners.retain(|listener| listener.strong_count() > 0);
        listeners.push(Arc::downgrade(wake));
    }

    /// Wakes every listener of this process.
    pub(crate) fn notify(&self) {
        let listeners = self.listeners.lock().unwrap_or_else(PoisonError::into_inner);
        for wake in listeners.iter().filter_map(Weak::upgrade) {
            // Fails only when the counter is full; the listener is awake then.
            let _ = rustix::io::write(&*wake, &1_u64.to_ne_bytes());
        }
    }
}

fn folder(database: &Path) -> PathBuf {
    database.with_file_name("wakeups")
}

/// The writer's end: notifies the listeners of other processes.
#[derive(Debug)]
pub(crate) struct Notifier {
    folder: PathBuf,
    own: String,
    socket: Option<UnixDatagram>,
    sockets: Vec<PathBuf>,
    /// The modification time of the folder when it was listed, if it is reliable.
    stamp: Option<SystemTime>,
}

impl Notifier {
    pub(crate) fn new(database: &Path, local: &LocalListeners) -> Notifier {
        let socket = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        let (folder, own) = (folder(database), local.token.clone());
        Notifier { folder, own, socket: socket.ok(), sockets: Vec::new(), stamp: None }
    }

    /// Sends one datagram to every socket, and removes the sockets without a listener.
    pub(crate) fn notify(&mut self) {
        let stamp = fs::metadata(&self.folder).and_then(|folder| folder.modified()).ok();
        if stamp.is_none() || self.stamp != stamp {
            self.sockets = self.list();
            // A socket created right after this listing could leave the modification time unchanged.
            self.stamp = stamp.filter(|stamp| stamp.elapsed().is_ok_and(|age| age > STAMP_GRAIN));
        }
        let Some(socket) = &self.socket else { return };
        self.sockets.retain(|listener| match socket.send_to(&[1], listener) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                let _ = fs::remove_file(listener);
                false
            }
            Err(error) => error.kind() != io::ErrorKind::NotFound,
            Ok(_) => true,
        });
    }

    /// The sockets of other store handles.
    fn list(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket()))
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with(&self.own))
            .map(|entry| entry.path())
            .collect()
    }
}

/// Waits for changes of one store. Create it before the first read of the log and read after every
/// wake-up; no change is missed then.
#[derive(Debug)]
pub struct Listener {
    identity: Identity,
    wake: Arc<OwnedFd>,
    socket: Option<UnixDatagram>,
    path: PathBuf,
    polled: Connection,
    version: i64,
}

impl Listener {
    pub(crate) fn new(
        local: &LocalListeners,
        identity: Identity,
        polled: Connection,
    ) -> Result<Listener> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let flags = EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC;
        let wake = eventfd(0, flags).map_err(io::Error::from).map_err(|source| {
            let path = identity.path().to_owned();
            Error::File { action: "create an eventfd for", path, source }
        })?;
        let wake = Arc::new(wake);
        local.add(&wake);
        let folder = folder(identity.path());
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}-{number}", local.token));
        // Without a socket (read-only folder, path too long) the poll still wakes it.
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        let socket = made.and_then(|()| bind(&path));
        if let Err(error) = &socket {
            tracing::debug!(%error, path = %path.display(), "no wake-up socket, polling instead");
        }
        let version = data_version(&polled)?;
        Ok(Listener { identity, wake, socket: socket.ok(), path, polled, version })
    }

    /// Waits until something may have changed or `timeout` has passed; returns whether it was woken.
    ///
    /// # Errors
    /// When the database can no longer be read; `STORE_REPLACED` when its path names another file.
    pub fn wait(&mut self, timeout: Duration) -> Result<bool> {
        let deadline = Instant::now() + timeout.min(LONGEST_WAIT);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.poll_sockets(left.min(FALLBACK)) {
                return Ok(true);
            }
            self.identity.check()?;
            let version = data_version(&self.polled)?;
            if version != self.version {
                self.version = version;
                return Ok(true);
            }
            if left <= FALLBACK {
                return Ok(false);
            }
        }
    }

    fn poll_sockets(&self, timeout: Duration) -> bool {
        let mut fds = vec![PollFd::new(&*self.wake, PollFlags::IN)];
        fds.extend(self.socket.iter().map(|socket| PollFd::new(socket, PollFlags::IN)));
        let wait = Timespec {
            tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: timeout.subsec_nanos().into(),
        };
        let woken = match poll(&mut fds, Some(&wait)) {
            Ok(ready) => ready > 0,
            // The caller reads the log anyway.
            Err(Errno::INTR) => true,
            // Such as with a limit of open files below two. It must not end at once each time.
            Err(_) => {
                std::thread::sleep(timeout);
                false
            }
        };
        if woken {
            let _ = rustix::io::read(&*self.wake, &mut [0_u8; 8]);
            if let Some(socket) = &self.socket {
                while socket.recv(&mut [0_u8; 8]).is_ok() {}
            }
        }
        woken
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if self.socket.is_some() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::bind(path)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A number that is another one after each commit of another connection.
pub(crate) fn data_version(conn: &Connection) -> Result<i64> {
    let step = "read data_version";
    let mut statement = conn.prepare_cached("PRAGMA data_version").context(step)?;
    statement.query_row([], |row| row.get(0)).context(step)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::row::scm::{self, HostState};
    use crate::{Cause, Options, Store, Timestamp};

    const PATIENCE: Duration = Duration::from_secs(20);

    #[test]
    fn a_refresh_request_wakes_listeners_and_other_bookkeeping_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ao.db");
        let (store, _) = Store::create(&path, Options::default()).unwrap();
        let other = Store::open(&path, Options::default()).unwrap();
        let (here, elsewhere) = (store.listen().unwrap(), other.listen().unwrap());
        let cause = || Cause::new("test", Timestamp(1));
        store.write(cause(), |tx| scm::set_host(tx, &HostState::new("github.com"))).unwrap();
        assert!(!here.poll_sockets(Duration::ZERO) && !elsewhere.poll_sockets(Duration::ZERO));
        let request = || {
            let asked = store.write(cause(), |tx| {
                scm::request_refresh(tx, "github.com", "octo/hello", 7, Timestamp(1))
            });
            asked.unwrap();
        };
        request();
        assert!(here.poll_sockets(Duration::ZERO), "before the write returns");
        assert!(elsewhere.poll_sockets(PATIENCE));
        request();
        assert!(!here.poll_sockets(Duration::ZERO), "nothing was written");
    }
}
