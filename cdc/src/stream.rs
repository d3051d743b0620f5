//! A tail as a `futures::Stream`: one thread and one bounded channel, no task per poll.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::thread;

use tokio::sync::mpsc;
use tokio_stream::Stream;
use tokio_stream::wrappers::ReceiverStream;

use crate::changes::{Event, pump};
use crate::error::{Error, Result};
use crate::tail::Tail;

/// The changes of a tail as a stream, with bookmarks; an error is the last item. Dropping it stops its thread.
#[derive(Debug)]
pub struct TailStream {
    receiver: ReceiverStream<Result<Event>>,
}

impl Tail {
    /// The changes as a stream that buffers at most `capacity` of them (at least one).
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn into_stream(self, capacity: usize) -> Result<TailStream> {
        let (sender, receiver) = mpsc::channel(capacity.max(1));
        let watch = sender.clone();
        thread::Builder::new()
            .name("ao-cdc-stream".to_owned())
            .spawn(move || {
                let send = |item| sender.blocking_send(item).is_ok();
                pump(self.follow(), || watch.is_closed(), send);
            })
            .map_err(Error::Thread)?;
        Ok(TailStream { receiver: ReceiverStream::new(receiver) })
    }
}

impl Stream for TailStream {
    type Item = Result<Event>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Pin::new(&mut self.receiver).poll_next(cx)
    }
}
