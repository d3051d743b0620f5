//! Reads a body frame by frame, and holds no more than a bound and one frame of it.

use std::collections::VecDeque;

use http_body_util::BodyExt;
use http_body_util::combinators::BoxBody;

use super::failure;

/// A body as octocrab hands it out.
pub(super) type Body = BoxBody<bytes::Bytes, octocrab::Error>;

/// How reading a body ended.
#[derive(Debug)]
pub(super) enum End {
    /// With its last byte.
    Whole,
    /// At the bound, and there is more.
    Bound,
    /// Before the end of the body.
    Broken(String),
}

/// The last bytes of what was read.
pub(super) struct Kept {
    bytes: VecDeque<u8>,
    keep: usize,
    left: usize,
    is_cut: bool,
}

impl Kept {
    /// Keeps the last `keep` of at most `max` bytes.
    pub(super) fn new(keep: usize, max: usize) -> Kept {
        Kept { bytes: VecDeque::new(), keep, left: max, is_cut: false }
    }

    /// Reads until the end of the body, the limit or a broken connection. If the future is dropped earlier, what was read
    /// until then is kept.
    pub(super) async fn read(&mut self, body: &mut Body) -> End {
        while let Some(frame) = body.frame().await {
            let data = match frame {
                Ok(frame) => frame.into_data().unwrap_or_default(),
                Err(error) => return End::Broken(failure::describe(&error)),
            };
            let accepted = data.len().min(self.left);
            self.left -= accepted;
            self.push(&data[..accepted]);
            if accepted < data.len() {
                return End::Bound;
            }
        }
        End::Whole
    }

    fn push(&mut self, data: &[u8]) {
        let over = (self.bytes.len() + data.len()).saturating_sub(self.keep);
        self.is_cut |= over > 0;
        self.bytes.drain(..over.min(self.bytes.len()));
        self.bytes.extend(&data[data.len().saturating_sub(self.keep)..]);
    }

    /// The bytes, and whether some before them were dropped.
    pub(super) fn into_parts(self) -> (Vec<u8>, bool) {
        (self.bytes.into(), self.is_cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_end_is_kept_whatever_the_frames() {
        for frames in [&["abcdefgh"][..], &["abc", "defgh"], &["abcde", "", "f", "gh"]] {
            for keep in 0..=9 {
                let mut kept = Kept::new(keep, 100);
                frames.iter().for_each(|frame| kept.push(frame.as_bytes()));
                let (bytes, is_cut) = kept.into_parts();
                assert_eq!(bytes, "abcdefgh".as_bytes()[8_usize.saturating_sub(keep)..]);
                assert_eq!(is_cut, keep < 8, "{keep}");
            }
        }
    }
}
