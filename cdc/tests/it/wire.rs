//! Every line is one JSON object with exactly the documented fields and exactly the values of the row.

use std::collections::BTreeSet;

use ao_cdc::Start;
use ao_cdc::wire::Encoder;
use ao_store::{Cause, Cursor, Epoch, Timestamp};
use serde_json::{Map, Value, json};

use crate::support::{
    Fixture, add_named_project, add_sessions, cause, has_shell, next_epoch, rename, shell,
};

/// Text that breaks renderers: quotes, escapes, line ends, control characters, non-BMP characters, JSON.
const HOSTILE: &[&str] = &[
    "plain",
    "\"quoted\"",
    "back\\slash",
    "\\\"",
    "\\u0000",
    "sm\u{f6}rg\u{e5}s",
    "\u{1F980}\u{10FFFF}",
    "{\"seq\":1}",
    "</script>",
    "\u{2028}\u{2029}\u{feff}",
    "'; DROP TABLE pr; --",
    "null",
    "\u{fffd}",
];

/// Text that only a foreign writer or an actor can contain: our labels refuse control characters.
const CONTROLS: &str = "a\nb\rc\td\u{8}e\u{c}f\u{1b}[31mg\u{1}h\u{7f}i";

type Line = Map<String, Value>;

/// Both renderings of the whole log, each line parsed.
fn render(fixture: &Fixture) -> Vec<(Line, Line)> {
    let mut tail = fixture.tail(Start::Beginning);
    let mut encoder = Encoder::new(tail.log_id(), tail.cursor().epoch);
    let (mut native, mut cloud) = (Vec::new(), Vec::new());
    tail.visit(usize::MAX, |change| {
        encoder.ndjson(change, &mut native)?;
        encoder.cloudevents(change, &mut cloud)
    })
    .unwrap();
    let parse = |lines: Vec<u8>| {
        let text = String::from_utf8(lines).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        let parsed: Vec<Line> =
            text.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
        assert_eq!(parsed.len(), text.matches('\n').count());
        parsed
    };
    let (native, cloud) = (parse(native), parse(cloud));
    assert_eq!(native.len(), cloud.len());
    assert_eq!(native.len(), fixture.truth().len());
    native.into_iter().zip(cloud).collect()
}

fn names(line: &Line) -> BTreeSet<&str> {
    line.keys().map(String::as_str).collect()
}

fn image(text: Option<&str>) -> Value {
    text.map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

/// A log with every op, hostile names, and changes of a foreign writer.
fn hostile() -> Fixture {
    let fixture = Fixture::empty();
    let store = &fixture.store;
    for (number, name) in HOSTILE.iter().enumerate() {
        add_named_project(store, &format!("p{number}"), name);
        add_sessions(store, &format!("p{number}"), 1);
        rename(store, name, &format!("p{number}-1"), 1);
    }
    rename(store, CONTROLS, "p0-1", 1);
    let gone = "p1-1".parse().unwrap();
    store.write(cause("test"), move |tx| ao_store::row::session::delete(tx, &gone)).unwrap();
    if has_shell() {
        shell(
            fixture.path(),
            "UPDATE session SET name = 'nul' || char(0) || 'end' WHERE id = 'p0-1'",
        );
        shell(
            fixture.path(),
            "UPDATE session SET name = char(10) || char(13,9,8,12,27,1,127) WHERE id = 'p0-1'",
        );
        // Not UTF-8: a stray byte, half a character, a surrogate.
        shell(
            fixture.path(),
            "UPDATE session SET name = CAST(x'61FF62C3EDA080' AS TEXT) WHERE id = 'p0-1'",
        );
        // A key that is not a valid id.
        shell(
            fixture.path(),
            "INSERT INTO project SELECT 'k\"\\' || char(10) || char(129408), path || 'k', name, \
            origin_url, host, repo, default_branch, copy_globs, setup_command, setup_timeout_ms, \
            max_live, created_at, updated_at, archived_at \
            FROM project WHERE id = 'p0'",
        );
    }
    fixture
}

#[test]
fn every_native_line_has_exactly_the_documented_fields_of_its_change() {
    let fixture = hostile();
    let expected = BTreeSet::from([
        "v", "seq", "cursor", "type", "entity", "op", "key", "project", "session", "at", "actor",
        "tx", "before", "after",
    ]);
    for (change, (line, _)) in fixture.truth().iter().zip(render(&fixture)) {
        let mut found = names(&line);
        assert_eq!(found.remove("changed"), change.op() == "update");
        assert_eq!(found, expected);
        assert_eq!(line["v"], 1);
        assert_eq!(line["seq"], change.seq.0);
        let cursor: Cursor = line["cursor"].as_str().unwrap().parse().unwrap();
        assert_eq!(cursor, Cursor { epoch: Epoch(1), seq: change.seq });
        assert_eq!(line["type"], json!(change.kind()));
        assert_eq!(line["entity"], json!(change.entity()));
        assert_eq!(line["op"], json!(change.op()));
        assert_eq!(line["key"], serde_json::from_str::<Value>(change.key()).unwrap());
        assert_eq!(line["project"], json!(change.project()));
        assert_eq!(line["session"], json!(change.session()));
        assert_eq!(line["actor"], json!(change.actor()));
        assert_eq!(line["tx"], json!(change.tx.map(|tx| tx.0)));
        assert_eq!(line["before"], image(change.before()));
        assert_eq!(line["after"], image(change.after()));
        let images = (line["before"].is_object(), line["after"].is_object());
        let op = line["op"].as_str().unwrap();
        assert_eq!(images, (op != "insert", op != "delete"), "{op}");
        if op == "update" {
            let (before, after) = (&line["before"], &line["after"]);
            let names = after.as_object().unwrap().iter();
            let differ = names.filter(|(name, value)| before[name] != **value);
            let names: Vec<_> =
                differ.map(|(name, _)| name).filter(|name| *name != "updated_at").collect();
            assert_eq!(line["changed"], json!(names));
            assert!(change.changed().map(|field| field.name).eq(names));
        }
        let at: jiff_like::Millis = line["at"].as_str().unwrap().parse().unwrap();
        assert_eq!(at.0, change.at.0);
    }
}

#[test]
fn hostile_text_is_unchanged_in_a_line() {
    let fixture = hostile();
    let lines = render(&fixture);
    for (number, name) in HOSTILE.iter().enumerate() {
        let project = json!(format!("p{number}"));
        let created = lines
            .iter()
            .find(|(line, _)| line["type"] == "project_created" && line["project"] == project);
        let (line, cloud) = created.unwrap();
        assert_eq!(line["after"]["name"], json!(name));
        assert_eq!(cloud["data"]["after"]["name"], json!(name));
        let renamed = lines
            .iter()
            .find(|(line, _)| line["type"] == "session_updated" && line["project"] == project);
        assert_eq!(renamed.unwrap().0["actor"], json!(name), "the actor");
        assert_eq!(renamed.unwrap().1["data"]["actor"], json!(name));
    }
    assert!(lines.iter().any(|(line, _)| line["actor"] == json!(CONTROLS)));
    if has_shell() {
        let after: Vec<_> =
            lines.iter().filter_map(|(line, _)| line["after"]["name"].as_str()).collect();
        for name in ["nul\0end", "\n\r\t\u{8}\u{c}\u{1b}\u{1}\u{7f}"] {
            assert!(after.contains(&name), "{name:?}");
        }
        assert!(after.iter().any(|name| name.starts_with("a\u{fffd}b\u{fffd}")), "{after:?}");
        let key = json!(["k\"\\\n\u{1F980}"]);
        let (line, cloud) = lines.iter().find(|(line, _)| line["key"] == key).unwrap();
        assert_eq!(line["project"], key[0]);
        let subject = cloud["subject"].as_str().unwrap().strip_prefix("project").unwrap();
        assert_eq!(serde_json::from_str::<Value>(subject).unwrap(), key);
    }
}

#[test]
fn every_cloud_event_has_the_required_attributes_and_legal_names() {
    let fixture = hostile();
    let log_id = fixture.tail(Start::End).log_id().to_owned();
    let mut keys = BTreeSet::new();
    for (change, (native, line)) in fixture.truth().iter().zip(render(&fixture)) {
        assert_eq!(
            names(&line),
            BTreeSet::from([
                "specversion",
                "id",
                "source",
                "sequence",
                "type",
                "subject",
                "time",
                "datacontenttype",
                "data"
            ])
        );
        for name in names(&line) {
            assert!((1..=20).contains(&name.len()));
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{name}");
        }
        for required in ["specversion", "id", "source", "type"] {
            assert!(!line[required].as_str().unwrap().is_empty(), "{required}");
        }
        assert_eq!(line["specversion"], "1.0");
        assert_eq!(line["datacontenttype"], "application/json");
        assert_eq!(line["source"], json!(format!("/ao-store/{log_id}")));
        for same in [("id", "cursor"), ("type", "type"), ("time", "at")] {
            assert_eq!(line[same.0], native[same.1]);
        }
        let data = line["data"].as_object().unwrap();
        let mut found = names(data);
        assert_eq!(found.remove("changed"), change.op() == "update");
        assert_eq!(
            found,
            BTreeSet::from([
                "entity", "op", "key", "project", "session", "actor", "tx", "before", "after"
            ])
        );
        for (name, value) in data {
            assert_eq!(value, &native[name], "{name}");
        }
        assert_eq!(line["sequence"].as_str().unwrap().parse::<i64>().unwrap(), change.seq.0);
        assert!(
            keys.insert((line["source"].to_string(), line["id"].to_string())),
            "the key is unique"
        );
    }
}

#[test]
fn the_sequence_of_a_cloud_event_sorts_as_text_like_its_seq() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(12);
    // Many changes later.
    for seq in [99, 99_999, 4_294_967_295, i64::MAX - 2] {
        shell(
            fixture.path(),
            &format!(
                "BEGIN; DELETE FROM change_log; UPDATE sqlite_sequence SET seq = {seq} WHERE name = 'change_log'; \
             UPDATE log_meta SET floor = {seq}; UPDATE session SET name = 'n{seq}'; COMMIT;"
            ),
        );
        let lines = render(&fixture);
        assert_eq!(lines.len(), 1);
        let (native, cloud) = &lines[0];
        assert_eq!(native["seq"], seq + 1);
        assert_eq!(cloud["sequence"].as_str().unwrap().len(), 20);
        assert_eq!(cloud["sequence"].as_str().unwrap().parse::<i64>().unwrap(), seq + 1);
    }
    let fixture = Fixture::with_changes(120);
    let sequences: Vec<_> =
        render(&fixture).iter().map(|(_, cloud)| cloud["sequence"].to_string()).collect();
    assert!(sequences.is_sorted() && sequences.len() == 120);
}

#[test]
fn lines_name_the_epoch_they_were_read_in() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(3);
    next_epoch(fixture.path());
    for (native, cloud) in render(&fixture) {
        assert!(native["cursor"].as_str().unwrap().starts_with("2-"));
        assert_eq!(native["cursor"], cloud["id"]);
    }
}

#[test]
fn times_of_any_size_make_valid_lines() {
    let fixture = Fixture::with_changes(2);
    let mut last = String::new();
    for at in [4_102_444_799_999, 253_402_207_198_999, i64::MAX] {
        let work = |tx: &ao_store::Tx<'_>| {
            ao_store::row::session::rename(tx, &"demo-1".parse()?, &crate::support::fresh_name())
        };
        fixture.store.write(Cause::new("test", Timestamp(at)), work).unwrap();
        let time = render(&fixture).last().unwrap().0["at"].as_str().unwrap().to_owned();
        assert!(time.len() == 24 && time.ends_with('Z') && time > last, "{time}");
        last = time;
    }
}

#[test]
fn a_hostile_log_id_is_escaped() {
    if !has_shell() {
        return;
    }
    let fixture = Fixture::with_changes(2);
    shell(fixture.path(), "UPDATE log_meta SET log_id = 'a\"b\\' || char(10)");
    for (_, cloud) in render(&fixture) {
        assert_eq!(cloud["source"], "/ao-store/a\"b\\\n");
    }
}

/// RFC 3339 in the one form that is written, read without the library that wrote it.
mod jiff_like {
    use std::str::FromStr;

    pub(super) struct Millis(pub(super) i64);

    impl FromStr for Millis {
        type Err = String;

        fn from_str(text: &str) -> Result<Self, String> {
            let part = |range: std::ops::Range<usize>| {
                text.get(range).and_then(|digits| digits.parse::<i64>().ok()).ok_or("no number")
            };
            let (year, month, day) = (part(0..4)?, part(5..7)?, part(8..10)?);
            let (hour, minute, second, ms) =
                (part(11..13)?, part(14..16)?, part(17..19)?, part(20..23)?);
            let form =
                format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z");
            if form != text {
                return Err(format!("{text} is not of the form {form}"));
            }
            // Days since 1970 by the civil calendar (Hinnant).
            let years = if month > 2 { year } else { year - 1 };
            let (era, of_era) = (years.div_euclid(400), years.rem_euclid(400));
            let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
            let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
            Ok(Millis((((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms))
        }
    }
}
