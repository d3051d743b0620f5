//! Webhook deliveries over HTTP: signed or refused, applied once, answered in time though the store is not.

use std::path::Path;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use ao_store::Cause;
use axum::body::Body;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use serde_json::Value;
use sha2::Sha256;

use crate::served::{BOUND, SECRET, Served, json};

fn signature(body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

fn delivery(served: &Served, event: &str, id: &str, signature: &str, body: &str) -> Request<Body> {
    Request::post("/webhooks/github")
        .header("host", served.host())
        .header("content-type", "application/json")
        .header("x-github-event", event)
        .header("x-github-delivery", id)
        .header("x-hub-signature-256", signature)
        .body(Body::from(body.to_owned()))
        .unwrap()
}

async fn deliver(served: &Served, event: &str, id: &str, body: &str) -> (u16, Value) {
    let asked = delivery(served, event, id, &signature(body.as_bytes()), body);
    let (status, document) = json(served.ask_port(asked).await).await;
    (status.as_u16(), document)
}

#[test]
fn a_signed_delivery_is_stored_once_and_any_other_is_refused() {
    let served = Served::new();
    served.runtime.block_on(async {
        let (status, first) = deliver(&served, "push", "id-1", "{}").await;
        assert_eq!((status, &first["kind"]), (200, &"observe.deliver".into()));
        assert_eq!(first["data"][0]["outcome"], "ignored");
        let (_, again) = deliver(&served, "push", "id-1", "{}").await;
        assert_eq!(again["data"][0]["outcome"], "duplicate");
        let (good, other) = (signature(b"{}"), signature(b"{ }"));
        for wrong in
            ["", "sha256=", &good[..good.len() - 1], &good.replace("sha256", "sha1"), &other]
        {
            let asked = delivery(&served, "push", "id-2", wrong, "{}");
            let (status, answer) = json(served.ask_port(asked).await).await;
            assert_eq!((status.as_u16(), &answer["code"]), (401, &"WEBHOOK_SIGNATURE".into()));
        }
        for (event, body, code) in
            [("gollum", "{}", "INVALID_DELIVERY"), ("push", "[", "INVALID_JSON")]
        {
            let (status, answer) = deliver(&served, event, "id-3", body).await;
            assert_eq!((status, &answer["code"]), (400, &code.into()));
        }
        let (status, answer) = deliver(&served, "push", &"x".repeat(300), "{}").await;
        assert_eq!((status, &answer["code"]), (400, &"INVALID_ID".into()));
        let mut asked = delivery(&served, "push", "id-4", &good, "{}");
        asked.headers_mut().insert("host", "evil.example".parse().unwrap());
        assert_eq!(served.ask_port(asked).await.status().as_u16(), 421, "also without a token");
    });
}

#[test]
fn every_recorded_delivery_is_accepted() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/github/webhooks");
    let Ok(files) = std::fs::read_dir(&folder) else {
        println!("skipped: there are no recorded webhook deliveries at {}", folder.display());
        return;
    };
    let served = Served::new();
    for file in files {
        let text = std::fs::read(file.unwrap().path()).unwrap();
        let recorded: Value = serde_json::from_slice(&text).unwrap();
        let event = recorded["event"].as_str().unwrap_or_default();
        let examples = recorded["examples"].as_array().map(Vec::as_slice).unwrap_or_default();
        for (number, payload) in examples.iter().enumerate() {
            let id = format!("{}-{number}", event.replace('_', "-"));
            let body = payload.to_string();
            let asked = deliver(&served, event, &id, &body);
            let (status, answer) = served.runtime.block_on(asked);
            let is_known = ao_observer::webhook::events().any(|known| known == event);
            assert_eq!(status, if is_known { 200 } else { 400 }, "{id}: {answer}");
        }
    }
}

#[test]
fn a_store_that_is_slow_delays_no_answer_and_loses_no_accepted_delivery() {
    let served = Served::new();
    let (free, freed) = channel::<()>();
    let (hold, held) = channel();
    let store = served.store.clone();
    let writer = std::thread::spawn(move || {
        let wait = move |_: &ao_store::Tx<'_>| {
            hold.send(()).unwrap();
            let _ = freed.recv();
            Ok(())
        };
        store.write(Cause::now("test"), wait).map(|_| ())
    });
    held.recv().unwrap();
    let ids: Vec<_> = (0..24).map(|number| format!("id-{number}")).collect();
    let all = ids.iter().map(|id| deliver(&served, "push", id, "{}"));
    let answers = served.runtime.block_on(futures_util::future::join_all(all));
    let count = |wanted: u16| answers.iter().filter(|(status, _)| *status == wanted).count();
    let (accepted, refused) = (count(202), count(503));
    assert_eq!(accepted + refused, ids.len(), "{answers:?}");
    assert!((1..=16).contains(&accepted) && refused > 0, "{accepted} accepted");
    drop(free);
    writer.join().unwrap().unwrap();
    let database = rusqlite::Connection::open(served.dir().join("ao.db")).unwrap();
    let stored = |id: &str| {
        let query = "SELECT count(*) FROM webhook_delivery WHERE id = ?1";
        database.query_row(query, [id], |row| row.get::<_, i64>(0)).unwrap() == 1
    };
    let until = Instant::now() + BOUND;
    for (id, (status, _)) in ids.iter().zip(&answers) {
        while *status == 202 && !stored(id) {
            assert!(Instant::now() < until, "{id} was accepted and is not stored");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(stored(id), *status == 202, "{id} {status}");
    }
}
