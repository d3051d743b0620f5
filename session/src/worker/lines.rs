//! The lines that a program prints, each of which has a bound.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

/// The longest line: a reply and a snapshot of the largest sizes, each character of which may be escaped.
pub(super) const LINE_MAX: usize = 32 << 20;

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A line, without its end.
    Line(Vec<u8>),
    /// A line that is longer than [`LINE_MAX`].
    TooLong,
    /// Nothing yet.
    Nothing,
    /// Nothing any more.
    Closed,
}

/// The lines of a program.
#[derive(Debug)]
pub(super) struct Lines {
    output: Receiver<Vec<u8>>,
    /// What is not taken yet begins at `start`; up to `searched` there is no end of a line.
    bytes: Vec<u8>,
    start: usize,
    searched: usize,
    /// The number of lines that were taken.
    pub(super) number: u64,
}

impl Lines {
    pub(super) fn new(output: Receiver<Vec<u8>>) -> Lines {
        Lines { output, bytes: Vec::new(), start: 0, searched: 0, number: 0 }
    }

    /// The next line; what follows the last end of a line is none. It waits for at most this time.
    pub(super) fn next(&mut self, wait: Duration) -> Next {
        loop {
            if let Some(line) = self.take() {
                return Next::Line(line);
            }
            if self.bytes.len() - self.start > LINE_MAX {
                return Next::TooLong;
            }
            match self.output.recv_timeout(wait) {
                Ok(chunk) => self.push(&chunk),
                Err(RecvTimeoutError::Timeout) => return Next::Nothing,
                Err(RecvTimeoutError::Disconnected) => return Next::Closed,
            }
        }
    }

    fn push(&mut self, chunk: &[u8]) {
        self.bytes.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        self.bytes.extend_from_slice(chunk);
    }

    fn take(&mut self) -> Option<Vec<u8>> {
        let rest = &self.bytes[self.searched..];
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            self.searched = self.bytes.len();
            return None;
        };
        let end = self.searched + end;
        let line = self.bytes[self.start..end].to_vec();
        (self.start, self.searched) = (end + 1, end + 1);
        self.number += 1;
        Some(line)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn lines_are_the_same_in_whatever_pieces_they_come() {
        let text = b"one\n\ntwo\r\nthree\nrest";
        for size in 1..=text.len() {
            let (send, output) = channel();
            text.chunks(size).for_each(|piece| send.send(piece.to_vec()).unwrap());
            drop(send);
            let mut lines = Lines::new(output);
            for line in ["one", "", "two\r", "three"] {
                assert_eq!(lines.next(Duration::ZERO), Next::Line(line.into()), "by {size}");
            }
            assert_eq!(lines.next(Duration::ZERO), Next::Closed);
            assert_eq!(lines.number, 4);
        }
    }

    #[test]
    fn a_line_without_end_is_too_long() {
        let (send, output) = channel();
        send.send(vec![b'x'; LINE_MAX]).unwrap();
        let mut lines = Lines::new(output);
        assert_eq!(lines.next(Duration::ZERO), Next::Nothing);
        send.send(vec![b'x']).unwrap();
        assert_eq!(lines.next(Duration::ZERO), Next::TooLong);
    }
}
