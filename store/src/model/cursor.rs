//! Positions in the change log: [`Seq`], [`Epoch`] and the opaque [`Cursor`] made of both.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// The position of a change: dense within an epoch, and equal to commit order. 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Seq(pub i64);

impl Seq {
    /// The position right after this one.
    #[must_use]
    pub fn next(self) -> Seq {
        Seq(self.0.saturating_add(1))
    }
}

impl fmt::Display for Seq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The incarnation of a log: a new one begins at init, at restore, when the tail of the log is lost, and
/// when another copy of the database is put in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// "Everything up to and including `seq` of this epoch was read." Text form: `<epoch>-<seq>`, which
/// its users treat as opaque.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The epoch of the log.
    pub epoch: Epoch,
    /// The last position read.
    pub seq: Seq,
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = Error;

    /// Parses `<epoch>-<seq>`: decimal digits only, no sign, no spaces.
    ///
    /// ```
    /// let cursor: ao_store::Cursor = "3-412".parse()?;
    /// assert_eq!(cursor.to_string(), "3-412");
    /// assert!("3-+412".parse::<ao_store::Cursor>().is_err());
    /// # Ok::<(), ao_store::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidCursor`].
    fn from_str(text: &str) -> Result<Self, Error> {
        let invalid = || Error::InvalidCursor(text.chars().take(64).collect());
        let number = |part: &str| {
            let digits = !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
            digits.then(|| part.parse::<i64>().ok()).flatten().ok_or_else(invalid)
        };
        let (epoch, seq) = text.split_once('-').ok_or_else(invalid)?;
        let (epoch, seq) = (number(epoch)?, number(seq)?);
        if epoch == 0 {
            return Err(invalid());
        }
        Ok(Cursor { epoch: Epoch(epoch), seq: Seq(seq) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_is_a_cursor() {
        for bad in [
            "",
            "-",
            "1",
            "1-",
            "-1",
            "0-1",
            "1-1-1",
            " 1-1",
            "1-1 ",
            "1--1",
            "+1-1",
            "a-b",
            "99999999999999999999-1",
            "1-99999999999999999999",
            "1-1\0",
            "١-١",
        ] {
            assert!(bad.parse::<Cursor>().is_err(), "{bad:?}");
        }
        let cursor: Cursor = "1-0".parse().unwrap();
        assert_eq!(cursor, Cursor { epoch: Epoch(1), seq: Seq(0) });
    }
}
