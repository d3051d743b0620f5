//! Runs a command line that a user wrote, in a shell, until it ends.

use std::io::Write;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use crate::error::Result;

/// A command line for `sh -c`. It has the outputs, the terminal and the process group of this process,
/// so that Ctrl-C reaches both, and its input is `input`. Broken pipes end it as in a shell: the
/// standard library restores the disposition of SIGPIPE, which it ignores in this process.
#[derive(Debug, Clone, Copy)]
pub struct CommandLine<'a> {
    /// The text.
    pub text: &'a str,
    /// Variables that it gets besides those of this process.
    pub variables: &'a [(&'static str, String)],
    /// Its standard input, which it need not read.
    pub input: &'a [u8],
}

impl CommandLine<'_> {
    /// Runs it until it ends, and calls `on_tick` again and again meanwhile.
    ///
    /// # Errors
    /// The shell cannot be started.
    pub fn run(&self, tick: Duration, mut on_tick: impl FnMut()) -> Result<ExitStatus> {
        // A variable cannot contain NUL.
        let variables =
            self.variables.iter().map(|(name, value)| (name, value.replace('\0', "\u{fffd}")));
        let mut child = Command::new("/bin/sh")
            .args(["-c", self.text])
            .envs(variables)
            .stdin(Stdio::piped())
            .spawn()?;
        let (stdin, input) = (child.stdin.take(), self.input.to_vec());
        // It may end without reading its input, and a process that it leaves behind may keep the pipe
        // open: nothing waits for this thread.
        thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
        let (send, ended) = channel();
        thread::spawn(move || send.send(child.wait()));
        loop {
            match ended.recv_timeout(tick) {
                Ok(status) => return Ok(status?),
                Err(RecvTimeoutError::Timeout) => on_tick(),
                Err(error @ RecvTimeoutError::Disconnected) => {
                    return Err(std::io::Error::other(error).into());
                }
            }
        }
    }
}
