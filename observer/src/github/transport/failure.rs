//! Why a call got no answer: the text of the HTTP library, without its addresses.

use std::error::Error as StdError;
use std::io;
use std::iter::successors;

use hyper_util::client::legacy::Error as ClientError;

use crate::error::quoted;
use crate::github::call::Failure;

type Cause<'a> = &'a (dyn StdError + 'static);

/// The failure that an error of a request means.
pub(super) fn of(error: &octocrab::Error) -> Failure {
    let is_connect =
        |cause: Cause<'_>| cause.downcast_ref::<ClientError>().is_some_and(ClientError::is_connect);
    let text = match causes(error).any(is_tls) {
        true => format!("TLS: {}", describe(error)),
        false => describe(error),
    };
    if causes(error).any(is_connect) { Failure::Connect(text) } else { Failure::Broken(text) }
}

/// Whether the server did not agree on TLS, or its certificate is not trusted.
fn is_tls(cause: Cause<'_>) -> bool {
    // What is in an I/O error is not its source.
    let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    cause.is::<rustls::Error>() || inner.is_some_and(|inner| is_tls(inner))
}

/// The causes of an error, outermost first. The text of octocrab itself is left out, because it ends
/// in a backtrace; a URL in the text of the others is replaced.
pub(super) fn describe(error: &octocrab::Error) -> String {
    let is_inner = |cause: &Cause<'_>| !cause.is::<octocrab::Error>();
    let texts: Vec<_> = causes(error).filter(is_inner).map(|cause| cause.to_string()).collect();
    let text = if texts.is_empty() { "the request failed".to_owned() } else { texts.join(": ") };
    let shown = |part| if str::contains(part, "://") { "[url]" } else { part };
    quoted(&text.split_whitespace().map(shown).collect::<Vec<_>>().join(" "))
}

fn causes(error: &octocrab::Error) -> impl Iterator<Item = Cause<'_>> {
    successors(Some(error as Cause<'_>), |&cause| cause.source())
}
