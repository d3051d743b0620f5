//! The client that octocrab sends with: HTTP/1.1, and TLS with the certificates of the machine.
//!
//! It is not octocrab's own, which names itself `octocrab`, has its own retry and redirect policy,
//! and is traced with the whole URL (decision 0013).

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::USER_AGENT;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use octocrab::service::middleware::base_uri::BaseUriLayer;
use octocrab::service::middleware::extra_headers::ExtraHeadersLayer;
use octocrab::{AuthState, OctoBody, Octocrab, OctocrabBuilder};
use url::{Position, Url};

use crate::error::{Error, Result};

/// A server that accepts no connection within this time cannot be reached.
const CONNECT: Duration = Duration::from_secs(5);

const AGENT: &str = concat!("ao-store/", env!("CARGO_PKG_VERSION"));

/// A client without a token. It resolves relative paths against the origin of `url`.
pub(super) fn of(url: &Url) -> Result<Octocrab> {
    let tls = Arc::new(rustls::crypto::ring::default_provider());
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_connect_timeout(Some(CONNECT));
    let connector = HttpsConnectorBuilder::new()
        .with_provider_and_native_roots(tls)
        .map_err(Error::Certificates)?
        .https_or_http()
        .enable_http1()
        .wrap_connector(http);
    let client = Client::builder(TokioExecutor::new()).build::<_, OctoBody>(connector);
    // The base has no path, so that a path is sent as it is given: with a base for REST, octocrab
    // cannot reach the GraphQL of an enterprise server, which is beside it.
    let base = url[..Position::BeforePath].parse();
    let base = base.map_err(|_| Error::InvalidUrl("it is not a URL"))?;
    let agent = vec![(USER_AGENT, HeaderValue::from_static(AGENT))];
    let built: Result<_, Infallible> = OctocrabBuilder::new_empty()
        .with_service(client)
        .with_layer(&BaseUriLayer::new(base))
        .with_layer(&ExtraHeadersLayer::new(Arc::new(agent)))
        .with_auth(AuthState::None)
        .build();
    let Ok(client) = built;
    Ok(client)
}
