//! Prints a feed on standard output in the format of the user's choice.
//!
//! Lines are collected while the feed reads the store and written when the read has ended.

use std::time::Duration;

use ao_cdc::wire::{Control, Encoder, Images};
use ao_cdc::{Feed, Item, Step};
use ao_store::Timestamp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::args::Format;
use crate::error::{Error, Result};
use crate::output;
use crate::pretty::{self, Pretty};

/// A feed and the lines that it has rendered.
pub(crate) struct Printer {
    pub(crate) feed: Feed,
    lines: Lines,
    is_idle: bool,
}

struct Lines {
    encoder: Encoder,
    format: Format,
    pretty: Pretty,
    text: Vec<u8>,
}

impl Printer {
    /// Prints a feed in this format; `is_full` shows people everything.
    pub(crate) fn new(mut feed: Feed, format: Format, images: Images, is_full: bool) -> Printer {
        let encoder = feed.encoder().with_images(images);
        let pretty = Pretty::new(feed.cursor().epoch, is_full);
        Printer { feed, lines: Lines { encoder, format, pretty, text: Vec::new() }, is_idle: false }
    }

    /// Prints what one read of the feed finds, after waiting at most `wait` for something new.
    pub(crate) fn next(&mut self, wait: Duration) -> Result<Step> {
        // Without this check an idle `tail | head -1` would run until the next change.
        if self.is_idle && is_output_closed() {
            return Err(Error::BrokenPipe);
        }
        let step = self.feed.next(wait, &mut |item| self.lines.render(item))?;
        // A read ends in the middle of a transaction only if the log has more. What is acknowledged must
        // be printed.
        let is_at_end = step != Step::Behind || self.feed.acknowledges();
        self.lines.pretty.finish(is_at_end, &mut self.lines.text);
        self.is_idle = self.lines.text.is_empty();
        self.lines.write()?;
        self.feed.written()?;
        Ok(step)
    }

    pub(crate) fn bookmark(&mut self) -> Result<()> {
        self.feed.bookmark(&mut |item| self.lines.render(item))?;
        self.lines.write()
    }

    /// Prints the last line of a stream that ends in order.
    pub(crate) fn bye(mut self) -> Result<()> {
        self.feed.bye(&mut |item| self.lines.render(item))?;
        self.lines.pretty.finish(true, &mut self.lines.text);
        self.lines.write()?;
        Ok(self.feed.close()?)
    }
}

impl Lines {
    fn render(&mut self, item: Item<'_>) -> ao_store::Result<()> {
        let Lines { encoder, format, pretty, text } = self;
        match (format, item) {
            (Format::Pretty, Item::Change(change)) => pretty.change(change, text)?,
            (Format::Pretty, Item::Control(Control::Row { entity, row, .. })) => {
                pretty::write_row(entity, row, text);
            }
            // The other control lines are for programs.
            (Format::Pretty, Item::Control(_)) => {}
            (Format::Ndjson, Item::Change(change)) => encoder.ndjson(change, text)?,
            (Format::Ndjson, Item::Control(control)) => encoder.control(&control, text),
            (Format::Cloudevents, Item::Change(change)) => encoder.cloudevents(change, text)?,
            (Format::Cloudevents, Item::Control(control)) => {
                encoder.control_cloudevent(&control, Timestamp::now(), text);
            }
        }
        Ok(())
    }

    fn write(&mut self) -> Result<()> {
        let text = std::mem::take(&mut self.text);
        match self.format {
            _ if text.is_empty() => Ok(()),
            Format::Pretty => output::styled(&text),
            Format::Ndjson | Format::Cloudevents => output::json_lines(&text),
        }
    }
}

/// Whether the reader of our output has closed it.
pub(crate) fn is_output_closed() -> bool {
    let stdout = std::io::stdout();
    let mut fds = [PollFd::new(&stdout, PollFlags::empty())];
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok_and(|ready| ready > 0)
        && fds[0].revents().intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL)
}
