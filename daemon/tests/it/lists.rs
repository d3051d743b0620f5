//! Lists over HTTP: a walk of pages, while rows are made and deleted.

use rusqlite::Connection;
use serde_json::Value;

use crate::served::{Served, get, json};

/// Sessions of two projects; of the first, each has a pull request, a launch, a decision and a delivery.
const ROWS: &str = "
    WITH RECURSIVE n (num) AS (SELECT 1 UNION ALL SELECT num + 1 FROM n WHERE num < 12)
    INSERT INTO session (id, project_id, num, kind, is_terminated, activity, activity_at, created_at, updated_at)
    SELECT p.id || '-' || num, p.id, num, 'worker', num % 4 = 0, 'idle', 1, 1, 1 FROM project p, n ORDER BY p.id, num;
    INSERT INTO pr (id, session_id, project_id, host, repo, number, url, ci, created_at, updated_at)
    SELECT 'github.com/octo/hello#' || num, id, project_id, 'github.com', 'octo/hello', num, 'u',
        iif(num % 2 = 0, 'failing', 'passing'), 1, 1 FROM session WHERE project_id = 'a';
    INSERT INTO launch (id, session_id, project_id, num, kind, instance, boot_id, created_at)
    SELECT 'l' || (90 - num), 'a-1', 'a', num, 'fresh', 'i', 'b', 1 FROM session WHERE project_id = 'a';
    INSERT INTO decision (id, session_id, project_id, launch_id, kind, tool, call, text, options, source, requested_at)
    SELECT 'd' || num, id, 'a', 'l89', 'permission', '', '', '', '[]', 'hook', 1 FROM session WHERE project_id = 'a';
    INSERT INTO delivery (id, session_id, project_id, key, sender, bytes, digest, stage, accepted_at)
    SELECT 'm' || num, 'a-1', 'a', num, '', 1, 'd', 'finished', 1 FROM session WHERE project_id = 'a';";

fn stocked() -> (Served, Connection) {
    let served = Served::new();
    ["a", "a-b"].iter().for_each(|id| served.change(id));
    let conn = Connection::open(served.dir().join("ao.db")).unwrap();
    conn.busy_timeout(crate::served::BOUND).unwrap();
    conn.execute_batch(ROWS).unwrap();
    (served, conn)
}

/// The field `name` of all items, in pages of this length; `between` is called after each page with what
/// was read.
fn walk(
    served: &Served,
    path: &str,
    name: &str,
    size: usize,
    mut between: impl FnMut(&[String]),
) -> Vec<String> {
    let (mut seen, mut after) = (Vec::new(), String::new());
    loop {
        let sep = if path.contains('?') { '&' } else { '?' };
        let asked = get(&format!("/api/v1/{path}{sep}limit={size}{after}"));
        let (status, page) = served.runtime.block_on(async { json(served.ask(asked).await).await });
        assert_eq!(status, 200, "{page}");
        let text = |item: &Value| match &item[name] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        let data = page["data"].as_array().unwrap();
        assert!(data.len() <= size, "{}", data.len());
        seen.extend(data.iter().map(text));
        let Some(next) = page["next"].as_str() else { return seen };
        after = format!("&after={}", next.replace('/', "%2F").replace('#', "%23"));
        between(&seen);
    }
}

#[test]
fn a_walk_of_every_list_is_the_whole_list() {
    let (served, _conn) = stocked();
    let numbers = |range: &mut dyn Iterator<Item = i64>, of: &str| -> Vec<String> {
        range.map(|num| format!("{of}{num}")).collect()
    };
    let sorted = |mut keys: Vec<String>| {
        keys.sort();
        keys
    };
    let of_a = numbers(&mut (1..=12), "a-");
    let both = [of_a.clone(), numbers(&mut (1..=12), "a-b-")].concat();
    let (ended, live): (Vec<_>, Vec<_>) =
        of_a.iter().cloned().partition(|id| ["a-4", "a-8", "a-12"].contains(&id.as_str()));
    let prs = numbers(&mut (1..=12), "github.com/octo/hello#");
    let failing = numbers(&mut (1..=6).map(|num| num * 2), "github.com/octo/hello#");
    for size in [1, 2, 7] {
        for (path, name, whole) in [
            ("sessions?all=true", "id", both.clone()),
            ("sessions?project=a", "id", live.clone()),
            ("sessions?project=a&status=idle", "id", live.clone()),
            ("sessions?project=a&status=working", "id", Vec::new()),
            ("sessions?project=a&status=terminated", "id", ended.clone()),
            ("orchestrators", "id", Vec::new()),
            ("prs", "id", sorted(prs.clone())),
            ("prs?project=a&ci=failing", "id", sorted(failing.clone())),
            ("prs?project=a-b", "id", Vec::new()),
            ("sessions/a-2/prs", "id", vec!["github.com/octo/hello#2".to_owned()]),
            ("sessions/a-1/launches", "num", numbers(&mut (1..=12), "")),
            ("decisions", "session_id", sorted(of_a.clone())),
            ("sessions/a-1/decisions", "session_id", vec!["a-1".to_owned()]),
            ("deliveries", "id", sorted(numbers(&mut (1..=12), "m"))),
            ("sessions/a-1/deliveries", "id", sorted(numbers(&mut (1..=12), "m"))),
            ("projects", "id", vec!["a".to_owned(), "a-b".to_owned()]),
        ] {
            assert_eq!(walk(&served, path, name, size, |_| ()), whole, "{path} by {size}");
        }
    }
}

#[test]
fn what_is_made_or_deleted_between_two_pages_moves_nothing_else() {
    let (served, conn) = stocked();
    let mut turn = 0;
    let ids = walk(&served, "sessions?all=true", "id", 3, |seen| {
        turn += 1;
        // The row after which the next page begins, and one that was to come.
        for id in [seen.last().unwrap().clone(), format!("a-b-{}", 2 * turn + 3)] {
            conn.execute_batch(&format!(
                "DELETE FROM delivery WHERE session_id = '{id}'; DELETE FROM decision WHERE session_id = '{id}';
                DELETE FROM pr WHERE session_id = '{id}'; DELETE FROM session WHERE id = '{id}';"
            ))
            .unwrap();
        }
        let num = 12 + turn;
        let sql =
            "INSERT INTO session (id, project_id, num, kind, activity_at, created_at, updated_at)
            VALUES ('a-' || ?1, 'a', ?1, 'worker', 1, 1, 1)";
        conn.execute(sql, [num]).unwrap();
    });
    let stay = |id: &&str| !["a-b-5", "a-b-7", "a-b-9", "a-b-11"].contains(id);
    let first = (1..=12).map(|num| format!("a-{num}"));
    // Of the new sessions of the first project, these came before the walk had left it.
    let rest = ["a-13", "a-14", "a-15", "a-16", "a-17"].map(str::to_owned);
    let second = (1..=12).map(|num| format!("a-b-{num}"));
    let expected: Vec<_> = first.chain(rest).chain(second).collect();
    let expected: Vec<_> = expected.iter().map(String::as_str).filter(stay).collect();
    assert_eq!(ids, expected);
}

#[test]
fn an_after_that_no_page_can_have_named_is_refused() {
    let (served, _conn) = stocked();
    for (path, status) in [
        ("sessions?after=a", 400),
        ("sessions?after=a-x", 400),
        ("sessions/a-1/launches?after=l1", 400),
        ("sessions?after=gone-7", 200),
        ("deliveries?after=gone", 200),
        ("sessions?after=", 200),
        ("sessions/a-1/launches?after=", 200),
        ("deliveries?after=", 200),
    ] {
        let asked = get(&format!("/api/v1/{path}"));
        let (found, body) = served.runtime.block_on(async { json(served.ask(asked).await).await });
        assert_eq!(found.as_u16(), status, "{path}: {body}");
    }
}
