//! The page of a turn: where it is, when it got there, and what it used.

use ao_store::Timestamp;
use ao_store::turn::Turn;
use ao_store::turn::usage::Usage;

use super::{Page, plain, state, when};

/// Writes the page of a turn, without its texts.
pub(crate) fn write(page: &mut Page, turn: &Turn, now: Timestamp) {
    page.title(&format!("{}  to {}", turn.id, turn.agent));
    let place = format!("turn {} of {}", turn.num, turn.conversation);
    let size = format!("{} B", turn.input_bytes);
    page.words(0, &[state("", turn.state.as_str()), plain(place), plain(size)]);
    page.gap();
    page.field("reason", turn.reason.as_str());
    page.field("org", turn.org.as_str());
    let times = [
        ("accepted", Some(turn.accepted_at)),
        ("started", turn.started_at),
        ("cancelling", turn.cancel_requested_at),
        ("ended", turn.ended_at),
    ];
    for (name, at) in times {
        page.field(name, &at.map(|at| when(at, now)).unwrap_or_default());
    }
    page.field("worker", &turn.owner);
    if turn.key != turn.id {
        page.field("key", &turn.key);
    }
    page.field("used", &used(&Usage::parse(&turn.usage)));
}

/// The numbers of tokens that are known.
fn used(usage: &Usage) -> String {
    let known = usage.parts().into_iter().filter_map(|(name, count)| {
        let tokens = count.tokens()?;
        Some(format!("{} {tokens}", name.replace('_', " ")))
    });
    known.collect::<Vec<_>>().join(", ")
}
