//! Applies recorded webhook deliveries.
//!
//! A signature is checked before the payload is parsed. Each webhook delivery is one transaction with
//! its id and its refresh requests.

use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use ao_daemon::document;
use ao_observer::webhook::{self, Recorded, verify_signature};
use ao_store::row::session;
use ao_store::text_input::without_mark;
use ao_store::{SessionId, Store, Timestamp};
use serde_json::value::RawValue;

use crate::args::Deliver;
use crate::cmd::observe::report::{Report, read_all};
use crate::context::{Context, cause};
use crate::error::{Error, Result};

pub(crate) fn run(context: &Context, args: Deliver) -> Result<()> {
    let store = context.open()?;
    let session = args.session.as_ref().map(|id| id.parse::<SessionId>()).transpose()?;
    if let Some(session) = &session {
        store.read(|snapshot| session::require(snapshot, session))?;
    }
    let bytes = read_all(&args.file)?;
    authenticate(&args, &bytes)?;
    let bytes = without_mark(&bytes).map_err(ao_observer::Error::NotText)?;
    if args.delivery_id.is_some() || args.signature.is_some() {
        require_one(bytes)?;
    }
    let mut report = Report::new(context.is_json);
    let mut payloads = serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>();
    while let Some(payload) = payloads.next() {
        // Input that is not JSON is passed whole, so that its error is that of a payload.
        let rest = &bytes[payloads.byte_offset().min(bytes.len())..];
        let payload = payload.map_or(rest, |payload| payload.get().as_bytes());
        if let Err(error) = deliver(&store, &args, payload, session.clone(), &mut report) {
            return report.fail(error);
        }
        report.documents += 1;
    }
    if report.documents == 0 {
        return report.fail(ao_observer::Error::NoDocument.into());
    }
    report.finish("observe.deliver")
}

/// With a secret, an unsigned payload is refused before it is parsed.
fn authenticate(args: &Deliver, bytes: &[u8]) -> Result<()> {
    let secret = secret(args.secret_file.as_deref())?;
    match (secret, &args.signature) {
        (None, None) => Ok(()),
        (Some(secret), Some(signature)) => Ok(verify_signature(&secret, bytes, signature)?),
        (Some(_), None) => Err(ao_observer::Error::Signature("it has none").into()),
        (None, Some(_)) => Err(Error::Usage(
            "a signature needs a secret: set AO_WEBHOOK_SECRET, or pass --secret-file".to_owned(),
        )),
    }
}

/// The secret of the webhook. One of white space only is refused: with it, any payload could be signed.
pub(super) fn secret(file: Option<&Path>) -> Result<Option<Vec<u8>>> {
    let (secret, place) = match file {
        Some(file) => {
            let read = fs::read(file).map_err(|source| Error::file("read", file, source))?;
            let text = without_mark(&read).map_err(|reason| {
                Error::Usage(format!("the secret in the file cannot be used: {reason}"))
            });
            let mut text = text?.to_vec();
            // Editors append a line end.
            text.pop_if(|last| *last == b'\n');
            text.pop_if(|last| *last == b'\r');
            (text, "the file")
        }
        None => match std::env::var_os("AO_WEBHOOK_SECRET").map(OsString::into_vec) {
            Some(secret) => (secret, "AO_WEBHOOK_SECRET"),
            None => return Ok(None),
        },
    };
    if secret.trim_ascii().is_empty() {
        return Err(Error::Usage(format!("the secret in {place} is empty")));
    }
    Ok(Some(secret))
}

/// An id and a signature belong to one webhook delivery.
fn require_one(bytes: &[u8]) -> Result<()> {
    let payloads = serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>();
    if payloads.take(2).count() > 1 {
        let what =
            "--delivery-id and --signature belong to one delivery, but the file contains several";
        return Err(Error::Usage(what.to_owned()));
    }
    Ok(())
}

fn deliver(
    store: &Store,
    args: &Deliver,
    payload: &[u8],
    session: Option<SessionId>,
    report: &mut Report,
) -> Result<()> {
    let number = report.documents + 1;
    let delivery = webhook::read(&args.event, payload, session, Timestamp::now())
        .map_err(|source| Error::Delivery { number, source })?;
    let id = args.delivery_id.clone();
    let recorded =
        store.write(cause(), move |tx| webhook::record(tx, &delivery, id.as_deref()))?.value;
    let id = args.delivery_id.as_deref().unwrap_or_default();
    let text = match &recorded {
        Recorded::Applied(outcomes) => {
            return outcomes.iter().try_for_each(|it| report.add_outcome(it));
        }
        Recorded::Duplicate => format!("duplicate: delivery {id} was already applied"),
        Recorded::Unattributed(why) => format!("unattributed: {why}"),
        Recorded::Ignored(reason) => format!("ignored: {reason}"),
    };
    document::delivered(&recorded, id).iter().try_for_each(|data| report.add(data, &text))
}
