//! The program on a terminal of a chosen width.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::Command;

use rustix::fs::OFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::support::TestEnv;

/// What the program writes to a terminal of this many columns, both outputs together. A width of 0 is one
/// that is not known.
pub(crate) fn run(
    env: &TestEnv,
    args: &[&str],
    variables: &[(&str, &str)],
    columns: u16,
) -> String {
    run_until(env, args, variables, columns, None)
}

/// The same for a program that is interrupted as soon as it has written this.
pub(crate) fn run_until(
    env: &TestEnv,
    args: &[&str],
    variables: &[(&str, &str)],
    columns: u16,
    last: Option<&str>,
) -> String {
    let mut command = env.command(args);
    command.env("TERM", "xterm-256color").envs(variables.iter().copied());
    let (terminal, end) = open(columns);
    command.stdout(end.try_clone().unwrap()).stderr(end);
    shown(command, terminal, last, Signal::INT)
}

/// The same for any program, which also reads from the terminal, and is ended.
pub(crate) fn run_attached(mut command: Command, columns: u16, last: &str) -> String {
    let (terminal, end) = open(columns);
    command.env("TERM", "xterm-256color").stdin(end.try_clone().unwrap());
    command.stdout(end.try_clone().unwrap()).stderr(end);
    shown(command, terminal, Some(last), Signal::TERM)
}

/// A new terminal and its other end, which the program gets.
fn open(columns: u16) -> (File, OwnedFd) {
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let rows = if columns == 0 { 0 } else { 24 };
    let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&terminal, size).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let end = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).unwrap();
    (File::from(terminal), end)
}

fn shown(mut command: Command, mut terminal: File, last: Option<&str>, signal: Signal) -> String {
    let mut child = command.spawn().unwrap();
    // It has the other end open, which must not outlive the program.
    drop(command);
    let mut shown = Vec::new();
    let mut buffer = [0; 4096];
    // The last reading fails: the program has closed its end.
    while let Ok(read @ 1..) = terminal.read(&mut buffer) {
        shown.extend_from_slice(&buffer[..read]);
        if last.is_some_and(|last| String::from_utf8_lossy(&shown).contains(last)) {
            kill_process(Pid::from_child(&child), signal).unwrap();
        }
    }
    child.wait().unwrap();
    String::from_utf8(shown).unwrap().replace("\r\n", "\n")
}
