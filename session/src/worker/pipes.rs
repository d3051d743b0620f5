//! The pipes of a program: each has a thread of its own, so that a program that does not read, or that prints
//! without end, blocks nothing but itself.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, ChildStdin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::io::ioctl_fionread;

/// How much is read at once.
const CHUNK: usize = 64 << 10;

/// How many chunks wait to be taken. A program that prints faster is blocked.
const CHUNKS: usize = 4;

/// How much of the messages of a program is kept: their end.
pub(super) const MESSAGES_MAX: usize = 8 << 10;

/// The pipes of a program that was started.
#[derive(Debug)]
pub(super) struct Pipes {
    /// Where its input is written to.
    pub(super) input: Input,
    /// What it prints.
    pub(super) output: Receiver<Vec<u8>>,
    /// Its messages.
    pub(super) messages: Messages,
}

/// The standard input of a program. It is closed when this is dropped and everything is written.
#[derive(Debug, Clone)]
pub(super) struct Input {
    to_write: Sender<Vec<u8>>,
    /// The number of bytes that were written.
    written: Arc<AtomicUsize>,
    pipe: Option<Arc<OwnedFd>>,
}

impl Input {
    /// Writes something when the program reads it, which it need not do.
    pub(super) fn write(&self, bytes: Vec<u8>) {
        // A program that has closed its input does not want it.
        let _ = self.to_write.send(bytes);
    }

    /// The number of bytes that were written until now.
    pub(super) fn written(&self) -> usize {
        self.written.load(Ordering::SeqCst)
    }

    /// Whether a program that has ended has read nothing of what was written after these bytes.
    pub(super) fn is_unread_after(&self, bytes: usize) -> bool {
        let unread = self.pipe.as_ref().map_or(Ok(0), ioctl_fionread).unwrap_or(0);
        let since = self.written().saturating_sub(bytes);
        usize::try_from(unread).is_ok_and(|unread| unread >= since)
    }
}

/// The end of what a program prints on standard error.
#[derive(Debug)]
pub(super) struct Messages {
    kept: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<()>,
}

impl Messages {
    /// What is kept, once everything is read or the time is over: a process that was left behind can hold the
    /// pipe open.
    pub(super) fn read(&self, within: Duration) -> String {
        let ended = self.ended.recv_timeout(within);
        if ended == Err(RecvTimeoutError::Timeout) {
            tracing::debug!("standard error is still open");
        }
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).trim().to_owned()
    }

    /// Forgets what was printed until now.
    pub(super) fn clear(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }
}

impl Pipes {
    /// Those of a child that has all three.
    pub(super) fn of(child: &mut Child) -> Pipes {
        let (send, to_write) = channel();
        let mut input = Input { to_write: send, written: Arc::default(), pipe: None };
        if let Some(stdin) = child.stdin.take() {
            // Without it, what was read is not known.
            input.pipe = stdin.as_fd().try_clone_to_owned().ok().map(Arc::new);
            let written = Arc::clone(&input.written);
            thread::spawn(move || feed(stdin, &to_write, &written));
        }
        let (chunks, output) = sync_channel(CHUNKS);
        if let Some(stdout) = child.stdout.take() {
            thread::spawn(move || read(stdout, &chunks));
        }
        let kept = Arc::new(Mutex::new(Vec::new()));
        let (end, ended) = channel();
        if let Some(stderr) = child.stderr.take() {
            let kept = Arc::clone(&kept);
            thread::spawn(move || keep(stderr, &kept, end));
        }
        Pipes { input, output, messages: Messages { kept, ended } }
    }
}

/// The pipe is closed at the end.
fn feed(mut stdin: ChildStdin, to_write: &Receiver<Vec<u8>>, written: &AtomicUsize) {
    while let Ok(bytes) = to_write.recv() {
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match stdin.write(rest) {
                Ok(count @ 1..) => {
                    written.fetch_add(count, Ordering::SeqCst);
                    rest = &rest[count..];
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => return,
            }
        }
    }
}

fn read(mut stdout: impl Read, chunks: &SyncSender<Vec<u8>>) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(read @ 1..) = stdout.read(&mut chunk) {
        if chunks.send(chunk[..read].to_vec()).is_err() {
            return;
        }
    }
}

fn keep(mut stderr: impl Read, kept: &Mutex<Vec<u8>>, _end: Sender<()>) {
    let mut chunk = vec![0; CHUNK];
    while let Ok(read @ 1..) = stderr.read(&mut chunk) {
        let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend_from_slice(&chunk[..read]);
        let excess = kept.len().saturating_sub(MESSAGES_MAX);
        kept.drain(..excess);
    }
}
