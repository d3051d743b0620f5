//! Pages of the events of a conversation.

use ao_store::Cause;
use ao_store::turn::append::{Response, append};
use serde_json::{Value, json};

use super::{World, take};

#[test]
fn a_page_of_events_is_bounded_by_their_size_and_has_at_least_one() {
    let world = World::new();
    let (_, conversation) = world.send("acme");
    let work = take(&world.served.store);
    let stored = world.served.store.write(Cause::now("test"), move |tx| {
        for (number, kib) in [600, 400, 1, 3000, 24].into_iter().enumerate() {
            let part = Response::Delta("x".repeat(kib << 10));
            append(tx, &work.held, &number.to_string(), &part)?;
        }
        Ok(())
    });
    stored.unwrap();
    let page = |query: &str| {
        let path = format!("/api/v1/conversations/{conversation}/history{query}");
        let (status, page) = world.own("GET", &path, None);
        assert_eq!(status, 200, "{page}");
        let events = page["data"].as_array().unwrap().iter();
        (
            events.map(|event| event["seq"].as_i64().unwrap()).collect::<Vec<_>>(),
            page["next"].clone(),
        )
    };
    assert_eq!(page(""), (vec![1, 2, 3, 4, 5], json!("5")));
    assert_eq!(page("?after=5"), (vec![6], json!("6")));
    assert_eq!(page("?after=6"), (vec![7], Value::Null));
    assert_eq!(page("?after=7"), (vec![], Value::Null));
    assert_eq!(page("?limit=2"), (vec![1, 2], json!("2")));
    assert_eq!(page("?after=2&limit=1"), (vec![3], json!("3")));
}
