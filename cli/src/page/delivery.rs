//! The page of a delivery: how far a message got, each stage with its time and what proves it.

use ao_daemon::document::delivery::Reached;
use ao_store::Timestamp;
use ao_store::row::delivery::{Delivery, Stage};

use super::{Page, plain, state, when};

/// Writes the page of a delivery, without its text.
pub(crate) fn write(page: &mut Page, delivery: &Delivery, reached: &[Reached], now: Timestamp) {
    page.title(&format!("{}  to {}", delivery.id, delivery.session));
    let size = format!("{} B", delivery.bytes);
    page.words(
        0,
        &[state("", delivery.stage.as_str()), plain(delivery.kind.as_str()), plain(size)],
    );
    page.gap();
    for (stage, at, proof) in reached {
        page.field(stage.as_str(), &format!("{}, proven by the {proof}", when(*at, now)));
    }
    if delivery.last_stage == Stage::Written {
        let reason = "the harness has no hook that reports what its agent takes";
        page.field("last stage", &format!("written: {reason}"));
    }
    page.field("reason", &delivery.reason);
    page.field("sender", &delivery.sender);
    if delivery.key != delivery.id {
        page.field("key", &delivery.key);
    }
    page.field("launch", &delivery.launch);
}
