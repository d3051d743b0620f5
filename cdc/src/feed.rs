//! The stream protocol that every transport sends: which items come, in which order, and what is
//! acknowledged to a consumer.
//!
//! A feed produces hello, then the rows of a snapshot if one is wanted, then changes and bookmarks,
//! and bye when the transport ends it in order. A transport passes a function that renders one item
//! into a buffer of its own. This function runs inside a short read; the transport writes the buffer
//! after the read, so no read transaction is held while output is written. Only what the transport
//! reports as written is acknowledged.

use std::time::{Duration, Instant};

use ao_store::lease::{Generation, Owner};
use ao_store::log::change::ChangeRef;
use ao_store::log::consumer;
use ao_store::{ConsumerName, Cursor, Seq, Store, Timestamp};

use crate::consumer::{Consumer, Takeover, acquire};
use crate::error::Result;
use crate::filter::Filter;
use crate::snapshot::{Rows, SnapshotReader};
use crate::tail::{Start, Tail, has_settled};
use crate::wire::{Control, Encoder};

/// Changes rendered in one read.
const BATCH: usize = 512;
/// A bookmark reports a position that moved without a change this long after the last item.
const MOVED_EVERY: Duration = Duration::from_secs(1);

/// One item of the stream.
#[derive(Clone, Copy)]
pub enum Item<'a> {
    /// A change.
    Change(&'a ChangeRef<'a>),
    /// A row of a snapshot, or an item that only describes the stream.
    Control(Control<'a>),
}

/// The function of a transport that renders one item into a buffer; it must not wait.
pub type Render<'a> = dyn FnMut(Item<'_>) -> ao_store::Result<()> + 'a;

/// Where a feed begins, and which changes pass.
#[derive(Debug, Clone)]
pub enum Origin {
    /// At a position of the log.
    Log {
        /// The position.
        start: Start,
        /// Which changes pass.
        filter: Filter,
    },
    /// In the middle of a snapshot that was interrupted.
    Snapshot {
        /// The newest position that the interrupted feed rendered.
        position: String,
        /// The filter of the interrupted feed.
        filter: Filter,
    },
    /// After the last acknowledgement of a consumer, under its lease. The feed acknowledges what is
    /// reported as written.
    Consumer {
        /// The consumer.
        name: ConsumerName,
        /// The filter that it must have been created with, if one is given.
        filter: Option<Filter>,
        /// The process that holds the lease.
        owner: Owner,
        /// What to do about another owner.
        takeover: Takeover,
    },
    /// After the last acknowledgement of a consumer, which the feed leaves as it is.
    Peek {
        /// The consumer.
        name: ConsumerName,
        /// How long no other process may acknowledge, and the name of the holder of that lease. The
        /// lease outlives the feed; hello contains its generation.
        lease: Option<(Duration, String)>,
    },
}

/// How a feed is produced.
#[derive(Debug, Clone, Default)]
pub struct FeedOptions {
    /// Whether the rows at the start position come before the changes. [`Origin::Snapshot`] always
    /// has the rest of its rows.
    pub snapshot: bool,
    /// The name of the reader, reported while its snapshot delays pruning.
    pub holder: String,
    /// The maximum silence before a bookmark; `None` omits all control items.
    pub heartbeat: Option<Duration>,
    /// The maximum number of changes.
    pub limit: Option<u64>,
    /// The feed is complete at the first change at or after this time, or at the head of the log a
    /// second after it: a transaction has its time before it commits.
    pub until: Option<Timestamp>,
}

/// What a feed has reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// A part of the snapshot was rendered; the changes follow.
    Snapshot,
    /// The log has more changes.
    Behind,
    /// Every change in the log was rendered or does not pass.
    AtHead,
    /// The limit or the time of the end is reached.
    Complete,
}

#[derive(Debug)]
enum Source {
    Tail(Tail),
    Consumer(Consumer),
}

impl Source {
    fn tail(&mut self) -> &mut Tail {
        match self {
            Source::Tail(tail) => tail,
            Source::Consumer(consumer) => consumer.tail_mut(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Hello,
    Rows,
    Changes,
}

/// A stream for one receiver. An error ends it; another feed resumes at the last cursor that was
/// written. Dropping it within its snapshot keeps the reservation until it expires, so that
/// [`Origin::Snapshot`] can resume.
#[derive(Debug)]
pub struct Feed {
    source: Source,
    lease: Option<Generation>,
    /// The rows to come; after them, the reservation of the changes until the feed has caught up.
    snapshot: Option<SnapshotReader>,
    /// Where the snapshot can be resumed.
    resume: Option<String>,
    phase: Phase,
    heartbeat: Option<Duration>,
    limit: u64,
    until: Option<Timestamp>,
    sent: u64,
    is_complete: bool,
    cursor: Cursor,
    is_at_head: bool,
    /// The position that the last item reported, and when that was.
    reported: Cursor,
    rendered_at: Instant,
}

impl Feed {
    /// Opens a feed. All validation happens here, before hello reports a position.
    ///
    /// # Errors
    /// Those of [`Tail::open`], [`SnapshotReader::open`], [`SnapshotReader::resume`] and
    /// [`Consumer::open`].
    pub fn open(store: &Store, origin: Origin, options: &FeedOptions) -> Result<Feed> {
        match origin {
            Origin::Log { start, filter } => Feed::open_log(store, start, filter, None, options),
            Origin::Snapshot { position, filter } => {
                let rows =
                    SnapshotReader::resume(store, &position, filter.clone(), &options.holder)?;
                let tail = Tail::open(store, Start::Cursor(rows.cursor()), filter)?;
                Ok(Feed::new(Source::Tail(tail), Some(rows), None, options))
            }
            Origin::Consumer { name, filter, owner, takeover } => {
                let mut consumer = Consumer::open(store, &name, filter.as_ref(), &owner, takeover)?;
                let tail = consumer.tail_mut();
                let (start, filter) = (Start::Cursor(tail.cursor()), tail.filter().clone());
                let rows = open_rows(store, start, &filter, options)?;
                Ok(Feed::new(Source::Consumer(consumer), rows, None, options))
            }
            Origin::Peek { name, lease } => {
                // The lease comes first: the last acknowledgement of its previous owner counts.
                let generation = match lease {
                    Some((ttl, holder)) => {
                        Some(acquire(store, &name, &holder, ttl, Takeover::IfGone)?.generation)
                    }
                    None => None,
                };
                let found = store.read(|snapshot| consumer::require(snapshot, &name))?;
                let filter = Filter::from_json(&found.filter)?;
                Feed::open_log(store, Start::Cursor(found.acked), filter, generation, options)
            }
        }
    }

    fn open_log(
        store: &Store,
        start: Start,
        filter: Filter,
        lease: Option<Generation>,
        options: &FeedOptions,
    ) -> Result<Feed> {
        let rows = open_rows(store, start, &filter, options)?;
        // The changes begin where the snapshot does.
        let start = rows.as_ref().map_or(start, |rows| Start::Cursor(rows.cursor()));
        let source = Source::Tail(Tail::open(store, start, filter)?);
        Ok(Feed::new(source, rows, lease, options))
    }

    fn new(
        mut source: Source,
        snapshot: Option<SnapshotReader>,
        lease: Option<Generation>,
        options: &FeedOptions,
    ) -> Feed {
        let cursor = source.tail().cursor();
        let limit = options.limit.unwrap_or(u64::MAX);
        Feed {
            source,
            lease,
            snapshot,
            resume: None,
            phase: Phase::Hello,
            heartbeat: options.heartbeat,
            limit,
            until: options.until,
            sent: 0,
            is_complete: limit == 0,
            cursor,
            is_at_head: false,
            reported: cursor,
            rendered_at: Instant::now(),
        }
    }

    /// An encoder for the items of this feed.
    pub fn encoder(&mut self) -> Encoder {
        let tail = self.source.tail();
        Encoder::new(tail.log_id(), tail.cursor().epoch)
    }

    /// Every change up to here was rendered or does not pass.
    #[must_use]
    pub fn cursor(&self) -> Cursor {
        self.cursor
    }

    /// The number of changes that were rendered.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.sent
    }

    /// Whether [`Feed::written`] acknowledges to a consumer.
    #[must_use]
    pub fn acknowledges(&self) -> bool {
        matches!(self.source, Source::Consumer(_))
    }

    /// Where the snapshot can be resumed after the rendered rows; `None` unless the feed is in the
    /// middle of one.
    #[must_use]
    pub fn resume(&self) -> Option<&str> {
        self.resume.as_deref()
    }

    /// Renders what one read finds. At the head of the log it waits first, at most `wait`. A second is a
    /// good value: each call renders a bookmark if one is due, and [`Feed::written`] renews the lease.
    ///
    /// # Errors
    /// Those of [`Tail::visit`], [`SnapshotReader::next_rows`] and `render`.
    pub fn next(&mut self, wait: Duration, render: &mut Render<'_>) -> Result<Step> {
        let mut is_silent = true;
        let mut render = |item: Item<'_>| {
            is_silent = false;
            render(item)
        };
        if self.phase == Phase::Hello {
            self.render_hello(&mut render)?;
        }
        let step = if self.phase == Phase::Rows {
            self.render_rows(&mut render)?
        } else {
            self.render_changes(wait, &mut render)?
        };
        if !is_silent {
            self.rendered_at = Instant::now();
        }
        Ok(step)
    }

    /// To be called when everything that was rendered is written: acknowledges it and renews the
    /// lease, both coalesced as [`Consumer::ack`] describes.
    ///
    /// # Errors
    /// `LEASE_LOST`.
    pub fn written(&mut self) -> Result<()> {
        match &mut self.source {
            Source::Consumer(consumer) => consumer.ack(self.cursor),
            Source::Tail(_) => Ok(()),
        }
    }

    /// Renders a bookmark at the cursor.
    ///
    /// # Errors
    /// When the store cannot be read; those of `render`.
    pub fn bookmark(&mut self, render: &mut Render<'_>) -> Result<()> {
        let (cursor, head) = (self.cursor, self.source.tail().log()?.head_cursor());
        self.reported = cursor;
        self.control(Control::Bookmark { cursor, head, at: Timestamp::now() }, render)
    }

    /// Renders the last item of a stream that ends in order.
    ///
    /// # Errors
    /// Those of `render`.
    pub fn bye(&self, render: &mut Render<'_>) -> Result<()> {
        self.control(Control::Bye(self.cursor), render)
    }

    /// Writes the acknowledgements that are due and releases the lease.
    ///
    /// # Errors
    /// `LEASE_LOST`.
    pub fn close(mut self) -> Result<()> {
        match &mut self.source {
            Source::Consumer(consumer) => consumer.flush(),
            Source::Tail(_) => Ok(()),
        }
    }

    fn control(&self, control: Control<'_>, render: &mut Render<'_>) -> Result<()> {
        if self.heartbeat.is_some() {
            render(Item::Control(control))?;
        }
        Ok(())
    }

    fn render_hello(&mut self, render: &mut Render<'_>) -> Result<()> {
        let (cursor, log, lease) = (self.cursor, self.source.tail().log()?, self.lease);
        self.control(Control::Hello { cursor, log: &log, lease }, render)?;
        self.phase = Phase::Changes;
        if self.snapshot.is_some() {
            self.phase = Phase::Rows;
            self.control(Control::SnapshotBegin(cursor), render)?;
        }
        Ok(())
    }

    fn render_rows(&mut self, render: &mut Render<'_>) -> Result<Step> {
        let cursor = self.cursor;
        let rows = self.snapshot.as_mut().map(SnapshotReader::next_rows).transpose()?.flatten();
        let Some(Rows { entity, rows, position }) = rows else {
            self.phase = Phase::Changes;
            self.resume = None;
            self.control(Control::SnapshotEnd(cursor), render)?;
            return Ok(Step::Snapshot);
        };
        for row in &rows {
            render(Item::Control(Control::Row { cursor, entity, row }))?;
        }
        // A filter may omit long tables: the position shows that the stream continues.
        if !rows.is_empty() || self.is_silent_for(self.heartbeat) {
            self.control(Control::Position { cursor, resume: &position }, render)?;
        }
        self.resume = Some(position);
        Ok(Step::Snapshot)
    }

    fn render_changes(&mut self, wait: Duration, render: &mut Render<'_>) -> Result<Step> {
        if self.is_complete {
            return Ok(Step::Complete);
        }
        if self.is_at_head {
            self.wait(wait)?;
        }
        // Before the read, which then finds the changes of before that time.
        let is_past = self.until.is_some_and(|until| has_settled(until, Timestamp::now()));
        match self.read(render)? {
            // A change reports its own position; a bookmark reports what followed and did not pass.
            Some(last) => self.reported.seq = last,
            None => self.bookmark_if_due(render)?,
        }
        // A snapshot reserves the changes after it until the feed has caught up with the log.
        if self.is_at_head {
            self.snapshot = None;
        }
        if let Some(reader) = &mut self.snapshot {
            reader.keep()?;
        }
        self.is_complete |= self.sent == self.limit || (is_past && self.is_at_head);
        Ok(match (self.is_complete, self.is_at_head) {
            (true, _) => Step::Complete,
            (false, true) => Step::AtHead,
            (false, false) => Step::Behind,
        })
    }

    fn wait(&mut self, wait: Duration) -> Result<()> {
        let wait = match &self.source {
            Source::Consumer(consumer) => wait.min(consumer.longest_wait()),
            Source::Tail(_) => wait,
        };
        self.source.tail().wait(wait).map(|_| ())
    }

    /// Renders the changes that one read finds, within the limit and the time; returns the last of them.
    fn read(&mut self, render: &mut Render<'_>) -> Result<Option<Seq>> {
        let (room, until) = (self.limit - self.sent, self.until);
        let (mut count, mut last, mut end) = (0, None, None);
        let tail = self.source.tail();
        let visited = tail.visit(BATCH, |change| {
            if count == room || end.is_some() {
                return Ok(());
            }
            if let Some(until) = until
                && change.at()? >= until
            {
                end = Some(Seq(change.seq().0 - 1));
                return Ok(());
            }
            count += 1;
            last = Some(change.seq());
            render(Item::Change(change))
        })?;
        self.cursor = tail.cursor();
        if let Some(last) = last.filter(|_| count == room).or(end) {
            self.cursor.seq = last;
        }
        self.is_complete = end.is_some();
        self.sent += count;
        self.is_at_head = visited.is_at_head;
        Ok(last)
    }

    fn bookmark_if_due(&mut self, render: &mut Render<'_>) -> Result<()> {
        let has_moved = self.reported != self.cursor;
        let due = if has_moved {
            self.heartbeat.map(|heartbeat| heartbeat.min(MOVED_EVERY))
        } else {
            self.heartbeat
        };
        if self.is_silent_for(due) { self.bookmark(render) } else { Ok(()) }
    }

    fn is_silent_for(&self, time: Option<Duration>) -> bool {
        time.is_some_and(|time| self.rendered_at.elapsed() >= time)
    }
}

fn open_rows(
    store: &Store,
    start: Start,
    filter: &Filter,
    options: &FeedOptions,
) -> Result<Option<SnapshotReader>> {
    let open = || SnapshotReader::open(store, start, filter.clone(), &options.holder);
    options.snapshot.then(open).transpose()
}

impl Drop for Feed {
    fn drop(&mut self) {
        if self.phase == Phase::Rows
            && let Some(reader) = self.snapshot.take()
        {
            reader.leave();
        }
    }
}
