//! The pipes of a program: each has a thread of its own, so that a program that does not read, or that prints
//! without end, blocks nothing but itself.

use std::io::{Read, Write};
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

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
pub(super) struct Input(Sender<Vec<u8>>);

impl Input {
    /// Writes something when the program reads it, which it need not do.
    pub(super) fn write(&self, bytes: Vec<u8>) {
        // A program that has closed its input does not want it.
        let _ = self.0.send(bytes);
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
        let (input, to_write) = channel();
        if let Some(stdin) = child.stdin.take() {
            thread::spawn(move || feed(stdin, &to_write));
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
        Pipes { input: Input(input), output, messages: Messages { kept, ended } }
    }
}

/// The pipe is closed at the end.
fn feed(mut stdin: ChildStdin, to_write: &Receiver<Vec<u8>>) {
    while let Ok(bytes) = to_write.recv() {
        if stdin.write_all(&bytes).is_err() {
            return;
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
