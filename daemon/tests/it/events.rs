//! The stream of changes over HTTP.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use tokio::time::timeout;

use crate::served::{BOUND, Served, get, json};

/// A client that reads events.
struct Events {
    body: Incoming,
    text: String,
}

/// An event: its fields in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Event(Vec<(String, String)>);

impl Event {
    fn field(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(field, _)| field == name).map(|(_, value)| value.as_str())
    }

    fn data(&self) -> serde_json::Value {
        serde_json::from_str(self.field("data").unwrap()).unwrap()
    }
}

impl Events {
    async fn open(served: &Served, path: &str, last: Option<&str>) -> Events {
        let request = Request::get(path).header("host", "localhost");
        let request = last.into_iter().fold(request, |it, last| it.header("last-event-id", last));
        let response = served.ask(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { body: response.into_body(), text: String::new() }
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Event> {
        loop {
            while let Some((block, rest)) = self.text.split_once("\n\n") {
                let fields = block.lines().filter_map(|line| line.split_once(": "));
                let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
                let event = Event(fields.collect());
                self.text = rest.to_owned();
                if event.field("data").is_some() {
                    return Some(event);
                }
            }
            let frame = timeout(BOUND, self.body.frame()).await.expect("an event in time")?;
            let data = frame.unwrap().into_data().unwrap();
            self.text.push_str(std::str::from_utf8(&data).unwrap());
        }
    }

    /// The next change.
    async fn change(&mut self) -> Event {
        loop {
            let event = self.next().await.expect("the stream goes on");
            if event.field("id").is_some() {
                return event;
            }
        }
    }
}

#[test]
fn a_change_has_its_cursor_as_id_and_control_items_have_none() {
    let served = Served::new();
    served.runtime.block_on(async {
        let mut events = Events::open(&served, "/api/v1/events", None).await;
        let hello = events.next().await.unwrap();
        assert_eq!((hello.field("event"), hello.field("id")), (Some("hello"), None));
        served.change("one");
        let change = events.change().await;
        assert_eq!(change.field("id"), Some("1-1"));
        assert_eq!(change.field("event"), Some("project_created"));
        let data = change.data();
        assert_eq!((&data["seq"], &data["cursor"]), (&1.into(), &"1-1".into()));
    });
}

#[test]
fn the_last_id_beats_the_position_of_the_url() {
    let served = Served::new();
    for id in ["a", "b", "c"] {
        served.change(id);
    }
    served.runtime.block_on(async {
        for (path, last, first) in [
            ("/api/v1/events?from=beginning", None, "1-1"),
            ("/api/v1/events?after=1-1", None, "1-2"),
            ("/api/v1/events?after=1-1&from=beginning", None, "1-2"),
            ("/api/v1/events?after=1-1", Some("1-2"), "1-3"),
            ("/api/v1/events?from=-1", None, "1-3"),
            ("/api/v1/events?from=beginning", Some(""), "1-1"),
        ] {
            let mut events = Events::open(&served, path, last).await;
            assert_eq!(events.change().await.field("id"), Some(first), "{path} {last:?}");
        }
    });
}

#[test]
fn a_position_that_cannot_be_resumed_is_refused_before_the_stream() {
    let served = Served::new();
    served.change("one");
    served.runtime.block_on(async {
        for (query, status, code) in [
            ("after=1-99", 400, "CURSOR_IN_FUTURE"),
            ("after=2-1", 409, "CURSOR_EPOCH_MISMATCH"),
            ("after=x", 400, "INVALID_CURSOR"),
            ("type=nothing", 400, "INVALID_EVENT_TYPE"),
            ("changed=nothing", 400, "INVALID_FIELD"),
            ("surprise=1", 400, "INVALID_REQUEST"),
            ("snapshot=x", 400, "INVALID_REQUEST"),
        ] {
            let asked = served.ask(get(&format!("/api/v1/events?{query}"))).await;
            let (found, body) = json(asked).await;
            assert_eq!((found.as_u16(), &body["code"]), (status, &code.into()), "{query}: {body}");
        }
    });
}

#[test]
fn the_rows_come_before_the_changes_and_nothing_between_is_lost() {
    let served = Served::new();
    served.change("one");
    served.runtime.block_on(async {
        let mut events = Events::open(&served, "/api/v1/events?snapshot=1", None).await;
        served.change("two");
        let mut names = Vec::new();
        let change = loop {
            let event = events.next().await.unwrap();
            if event.field("id").is_some() {
                break event;
            }
            names.push(event.field("event").unwrap().to_owned());
        };
        // The position of the rows was in the header of the answer, before the second change.
        assert_eq!(names, ["hello", "snapshot_begin", "row", "snapshot_end"]);
        assert_eq!(change.field("id"), Some("1-2"));
    });
}

#[test]
fn a_filter_and_unnamed_events() {
    let served = Served::new();
    served.runtime.block_on(async {
        let path = "/api/v1/events?project=two&unnamed=1";
        let mut events = Events::open(&served, path, None).await;
        let mut lines = get("/api/v1/events?project=two");
        lines.headers_mut().insert("accept", "application/x-ndjson".parse().unwrap());
        let mut lines = served.ask(lines).await.into_body();
        served.change("one");
        served.change("two");
        let change = events.change().await;
        assert_eq!((change.field("event"), change.field("id")), (None, Some("1-2")));
        let mut text = String::new();
        while text.lines().count() < 2 || !text.ends_with('\n') {
            let frame = timeout(BOUND, lines.frame()).await.expect("a line in time").unwrap();
            text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        }
        let last: serde_json::Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        assert_eq!(last, change.data(), "both forms carry the same");
    });
}

#[test]
fn clients_follow_through_restarts_of_the_daemon_without_loss() {
    let mut served = Served::new();
    let mut ids = Vec::new();
    let mut last = None;
    for round in 0..3 {
        for change in 0..20 {
            served.change(&format!("p{round}-{change}"));
        }
        // The stream of the first half ends with the daemon, in order.
        let mut got = Vec::new();
        let events = served.runtime.block_on(async {
            let path = "/api/v1/events?from=beginning";
            let mut events = Events::open(&served, path, last.as_deref()).await;
            for _ in 0..20 {
                got.push(events.change().await.field("id").unwrap().to_owned());
            }
            events
        });
        last = got.last().cloned();
        ids.extend(got);
        served.stop();
        let mut events = events;
        let end = served.runtime.block_on(async {
            let bye = events.next().await;
            let end = timeout(Duration::from_secs(60), events.next()).await.unwrap();
            (bye, end)
        });
        assert_eq!(end.0.unwrap().field("event"), Some("bye"));
        assert_eq!(end.1, None);
        served.start();
    }
    let wanted: Vec<_> = (1..=60).map(|seq| format!("1-{seq}")).collect();
    assert_eq!(ids, wanted);
}
