//! An export and its import preserve everything; a damaged export is refused with the invalid line,
//! or its valid rows are imported.

use std::path::Path;
use std::time::Duration;

use ao_store::log::consumer::{self, Bounds, NewConsumer, Policy};
use ao_store::log::retention::{self, Rules};
use ao_store::observation::{CheckStatus, Facet, Review};
use ao_store::row::session;
use ao_store::transfer::{Imported, OnBad, import};
use ao_store::verify::{Depth, Report, verify_file};
use ao_store::{Code, Epoch, Error, Options, SCHEMA_VERSION, Store};

use crate::backup::names;
use crate::kill::Random;
use crate::support::{
    Fixture, T0, add_session, assert_sound, at, cause, check, child, child_argument, code, comment,
    fixture, from_env, info, kept, number, observation, observe, raw, rename, strings, thread,
};

const HOSTILE: &str = "a\0b\r\n\"quoted\" \\ 'it' \u{1F600}\u{2028}{\"$text\":\"00\"}";

/// A store with everything in it; `scale` is the length of its longest text.
pub(crate) fn rich(scale: usize) -> Fixture {
    let fixture = fixture();
    let store = &fixture.store;
    rename(store, "demo-1", 15, T0);
    rename(store, "demo-1", 15, T0 + 1);
    let mut seen = observation(T0 + 10);
    seen.threads = Facet::replace(vec![thread("T1", true), thread("T2", false)]);
    seen.comments = Facet::replace(vec![comment("C1", HOSTILE), comment("C2", &"x".repeat(scale))]);
    let review = Review { id: "R1".to_owned(), body: HOSTILE.to_owned(), ..Review::default() };
    seen.reviews = Facet::merge(vec![review]);
    let mut red = check("build", CheckStatus::Failed);
    (red.external_id, red.log_tail) = ("9".to_owned(), Some(HOSTILE.to_owned()));
    seen.checks = Facet::replace(vec![red, check("lint", CheckStatus::Passed)]);
    observe(store, &seen);
    let gone = add_session(store, "demo", "gone");
    store.write(cause(), move |tx| session::delete(tx, &gone)).unwrap();
    add_consumers(store);
    raw(&fixture.path())
        .execute_batch(
            "UPDATE session SET name = 'foreign' || char(0, 10, 34) WHERE id = 'demo-2';
             UPDATE pr_comment SET body = CAST(x'61ff00fe62' AS TEXT) WHERE id = 'C1';
             UPDATE pr_check_log SET tail = CAST(x'ff' AS TEXT);",
        )
        .unwrap();
    let rules = Rules { keep_events: Some(12), ..Rules::default() };
    assert!(store.prune(&at(T0), &rules, |_| {}).unwrap().floor.0 > 10);
    rename(store, "demo-2", 2, T0 + 20);
    fixture
}

fn add_consumers(store: &Store) {
    let start = info(store).head_cursor();
    let rules =
        Rules { keep_ms: Some(u64::MAX), keep_events: Some(1_000), max_bytes: Some(1 << 40) };
    store.write(cause(), move |tx| retention::set_rules(tx, &rules)).unwrap();
    let bounds = Bounds { events: Some(7), bytes: None, age_ms: Some(9) };
    for (name, policy) in [("a", Policy::None), ("b", Policy::Bounded(bounds))] {
        let filter = "{\"types\":[\"pr_\"]}".to_owned();
        let new = NewConsumer { name: name.parse().unwrap(), start, filter, policy };
        store
            .write(cause(), move |tx| {
                let name = consumer::create(tx, &new)?.name;
                consumer::acquire(tx, &name, "me", Duration::from_secs(60), None)
            })
            .unwrap();
    }
}

fn export(store: &Store) -> Vec<u8> {
    let mut out = Vec::new();
    store.export(&mut out).unwrap();
    out
}

fn take(target: &Path, bytes: &[u8], on_bad: OnBad) -> Result<Imported, Error> {
    import(target, &mut &bytes[..], on_bad)
}

fn sound(path: &Path) -> Report {
    let report = verify_file(path, Depth::Deep, Duration::from_secs(5)).unwrap();
    assert!(report.is_sound(), "{:#?}", report.findings);
    report
}

/// Every value of every table that an export holds, and of the log.
fn everything(path: &Path) -> Vec<String> {
    let conn = raw(path);
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
        AND name NOT IN ('log_meta', 'change_context', 'reservation', 'refinery_schema_history',
        'consumer', 'log_seal') ORDER BY name";
    let mut found = Vec::new();
    let mut selects: Vec<_> = strings(&conn, tables)
        .iter()
        .map(|name| format!("SELECT '{name}', * FROM {name}"))
        .collect();
    // Leases end, and seals of a cut block are made anew.
    selects.push("SELECT name, acked, epoch, filter, policy, max_events, max_age_ms, created_at FROM consumer".into());
    selects.push("SELECT log_id, floor, pruned_bytes FROM log_meta".into());
    selects
        .push("SELECT at, foreign_writes, sealed, seal, logged_bytes FROM change_context".into());
    for sql in selects {
        let mut statement = conn.prepare(&sql).unwrap();
        let columns = statement.column_count();
        let mut rows = statement.query([]).unwrap();
        while let Some(row) = rows.next().unwrap() {
            let values = (0..columns).map(|i| format!("{:?}", row.get_ref(i).unwrap()));
            found.push(values.collect::<Vec<_>>().join("|"));
        }
    }
    found
}

#[test]
fn an_export_and_its_import_preserve_everything() {
    let fixture = rich(1 << 20);
    let store = &fixture.store;
    let exported = export(store);
    let target = fixture.dir.path().join("new/ao.db");
    let imported = take(&target, &exported, OnBad::Refuse).unwrap();
    assert_eq!((imported.bad_total, imported.changes), (0, kept(store).len() as u64));
    let (before, after) = (sound(&fixture.path()), sound(&target));
    assert_eq!((&after.tables, after.log), (&before.tables, before.log));
    assert_eq!(everything(&target), everything(&fixture.path()));
    assert_eq!(names(target.parent().unwrap()).len(), 1);

    let again = Store::open(&target, Options::default()).unwrap();
    let (old, new) = (info(store), info(&again));
    assert_eq!((new.epoch, new.head, new.floor), (Epoch(2), old.head, old.floor));
    assert_eq!(new.head_cursor(), imported.cursor);
    let stats = again.stats(ao_store::Timestamp(T0)).unwrap();
    assert!(stats.consumers.iter().all(|(found, _)| found.lease.is_none()));
    assert_eq!(export_lines(&again)[1..], export_lines(store)[1..], "exported again");
    assert_eq!(add_session(&again, "demo", "").as_str(), "demo-4", "3 was deleted");
    rename(&again, "demo-1", 40, T0 + 30);
    observe(&again, &observation(T0 + 40));
    assert_sound(&again);
}

/// The lines of an export that do not depend on the epoch, leases and the end.
fn export_lines(store: &Store) -> Vec<String> {
    let text = String::from_utf8(export(store)).unwrap();
    let is_same =
        |line: &&str| !line.contains("{\"table\":\"consumer\"") && !line.contains("\"end\"");
    text.lines().filter(is_same).map(str::to_owned).collect()
}

/// What became of a damaged export.
struct Case<'a> {
    dir: &'a Path,
    expected: &'a [String],
}

impl Case<'_> {
    /// Refused, naming one of `lines` or the export as a whole; or equal, where that is allowed.
    fn check(&self, what: &str, bytes: &[u8], lines: &[u64], may_be_equal: bool) {
        let target = self.dir.join("damaged.db");
        match take(&target, bytes, OnBad::Refuse) {
            Err(Error::InvalidExport { line, reason, .. }) => {
                assert!(line == 0 || lines.contains(&line), "{what}: line {line}: {reason}");
                assert!(names(self.dir).is_empty(), "{what}: {:?}", names(self.dir));
            }
            Err(other) => panic!("{what}: {other:?}"),
            Ok(_) => {
                assert!(may_be_equal, "{what} was taken");
                assert_eq!(everything(&target), self.expected, "{what}");
                std::fs::remove_file(&target).unwrap();
            }
        }
    }
}

fn joined(lines: &[&[u8]]) -> Vec<u8> {
    let mut bytes = lines.join(&b'\n');
    bytes.push(b'\n');
    bytes
}

#[test]
fn a_damaged_export_is_refused_with_its_line() {
    let seed = u64::from(from_env("AO_SEED", 20_261_121));
    println!("AO_SEED={seed}");
    let mut random = Random(seed.max(1));
    let fixture = rich(100);
    let exported = export(&fixture.store);
    let expected = everything(&fixture.path());
    let dir = tempfile::tempdir().unwrap();
    let case = Case { dir: dir.path(), expected: &expected };
    let lines: Vec<&[u8]> = exported.trim_ascii_end().split(|byte| *byte == b'\n').collect();
    for i in 0..lines.len() {
        let number = i as u64 + 1;
        let mut fewer = lines.clone();
        fewer.remove(i);
        case.check(&format!("line {number} removed"), &joined(&fewer), &[number], false);
        let mut more = lines.clone();
        more.insert(i, lines[i]);
        case.check(&format!("line {number} twice"), &joined(&more), &[number, number + 1], false);
        let mut changed = lines.clone();
        let mut line = lines[i].to_vec();
        let at = random.below(line.len() as u64) as usize;
        line[at] ^= 1 << random.below(7);
        changed[i] = &line;
        // The sums of the log and the tables on the last line are for people.
        let what = format!("byte {at} of line {number}: {}", String::from_utf8_lossy(&line));
        let near = [number, number + 1];
        case.check(&what, &joined(&changed), &near, i + 1 == lines.len());
        if i > 0 {
            let mut swapped = lines.clone();
            swapped.swap(i - 1, i);
            let near = [number - 1, number];
            case.check(&format!("line {number} first"), &joined(&swapped), &near, false);
        }
    }
    for _ in 0..40 {
        let cut = random.below(exported.len() as u64 - 1) as usize;
        let number = exported[..cut].iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
        case.check(&format!("cut at {cut}"), &exported[..cut], &[number], false);
    }
    let cut = exported.len() - 1;
    case.check("without its last newline", &exported[..cut], &[], true);
    let twice = [&exported[..], &exported[..]].concat();
    case.check("two exports", &twice, &[lines.len() as u64 + 1], false);
    case.check("nothing", b"", &[0], false);
    case.check("another text", b"hello\nworld\n", &[1], false);
}

#[test]
fn unknown_lines_are_refused() {
    let fixture = rich(10);
    let text = String::from_utf8(export(&fixture.store)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let case = Case { dir: dir.path(), expected: &[] };
    let schema = format!("\"schema_version\":{SCHEMA_VERSION}");
    for (from, to, line) in [
        (schema.as_str(), "\"schema_version\":99", 1),
        ("\"format\":1", "\"format\":2", 1),
        ("{\"export\":", "{\"exports\":", 1),
        ("{\"table\":\"project\"", "{\"table\":\"sqlite_schema\"", 2),
        ("{\"table\":\"project\"", "{\"table\":\"log_meta\"", 2),
        ("\"row\":{\"id\":", "\"row\":{\"evil\":1,\"id\":", 2),
        ("\"row\":{\"id\":", "\"row\":{\"id, id\":1,\"id\":", 2),
        ("\"row\":{\"id\":", "\"row\":{\"x\":true,\"id\":", 2),
    ] {
        assert!(text.contains(from));
        case.check(to, text.replacen(from, to, 1).as_bytes(), &[line], false);
    }
    let target = dir.path().join("taken.db");
    for taken in ["taken.db", "taken.db-wal", "taken.db-journal"] {
        std::fs::write(dir.path().join(taken), "mine").unwrap();
        assert_eq!(code(take(&target, text.as_bytes(), OnBad::Skip)), Code::TargetExists);
        assert_eq!(std::fs::read(dir.path().join(taken)).unwrap(), b"mine");
        std::fs::remove_file(dir.path().join(taken)).unwrap();
    }
    assert!(names(dir.path()).is_empty());
}

type Spoiled<'a> = (&'a str, &'a [(&'a str, i64)], &'a str);

#[test]
fn skipping_bad_lines_imports_the_valid_rows() {
    let fixture = rich(100);
    let store = &fixture.store;
    let text = String::from_utf8(export(store)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let count =
        |path: &Path, table: &str| number(&raw(path), &format!("SELECT count(*) FROM {table}"));
    // The line that is spoiled, how many rows must be gone of which table, what must be reported.
    let cases: [Spoiled<'_>; 6] = [
        ("{\"table\":\"pr_comment\"", &[("pr_comment", 1)], "is not a JSON object"),
        ("{\"table\":\"session\",\"row\":{\"id\":\"demo-2\"", &[("session", 1)], "JSON"),
        (
            "{\"table\":\"session\",\"row\":{\"id\":\"demo-1\"",
            &[("pr", 1), ("pr_check", 2)],
            "their session was skipped",
        ),
        (
            "{\"table\":\"project\"",
            &[("session", 2), ("pr_review", 1)],
            "their project was skipped",
        ),
        ("{\"table\":\"session_counter\"", &[("session", 0)], "JSON"),
        ("{\"change\":", &[("pr", 0)], "JSON"),
    ];
    for (i, (spoiled, gone, reported)) in cases.into_iter().enumerate() {
        let target = dir.path().join(format!("{i}.db"));
        let bad = text.replacen(spoiled, &format!("#{spoiled}"), 1);
        assert_ne!(bad, text, "{spoiled}");
        let imported = take(&target, bad.as_bytes(), OnBad::Skip).unwrap();
        let reasons: Vec<_> = imported.bad.iter().map(|bad| bad.reason.as_str()).collect();
        assert!(reasons.iter().any(|reason| reason.contains(reported)), "{spoiled}: {reasons:?}");
        assert_eq!((imported.bad_total as usize, imported.changes), (reasons.len(), 0));
        for (table, fewer) in gone {
            let before = count(&fixture.path(), table);
            assert_eq!(count(&target, table), before - fewer, "{spoiled}: {table}");
        }
        sound(&target);
        let again = Store::open(&target, Options::default()).unwrap();
        let (old, new) = (info(store), info(&again));
        assert_eq!((new.floor, new.head, new.epoch), (old.head, old.head, Epoch(2)));
        if count(&target, "project") == 1 {
            let made = add_session(&again, "demo", "");
            assert!(made.as_str() > "demo-2" || count(&target, "session") < 3, "{made}");
        }
        assert_sound(&again);
    }
}

#[test]
fn a_truncated_export_continues_after_its_head() {
    let fixture = rich(10);
    let text = String::from_utf8(export(&fixture.store)).unwrap();
    let old = info(&fixture.store);
    let dir = tempfile::tempdir().unwrap();
    let cuts = [text.find("{\"change\":").unwrap(), text.rfind("{\"change\":").unwrap() + 9];
    for (i, cut) in cuts.into_iter().enumerate() {
        let target = dir.path().join(format!("{i}.db"));
        take(&target, &text.as_bytes()[..cut], OnBad::Skip).unwrap();
        let store = Store::open(&target, Options::default()).unwrap();
        // Once more, whole: a log in which nothing is left keeps its head too.
        let again = dir.path().join(format!("{i}-again.db"));
        take(&again, &export(&store), OnBad::Refuse).unwrap();
        for store in [store, Store::open(&again, Options::default()).unwrap()] {
            rename(&store, "demo-1", 1, T0 + 50);
            assert_eq!(info(&store).head, old.head.next());
            assert_sound(&store);
        }
    }
}

#[test]
fn skipped_rows_are_observed_again_by_the_next_poll() {
    let fixture = rich(10);
    let poll = |store: &Store, as_of| {
        let mut seen = observation(as_of);
        seen.threads = Facet::replace(vec![thread("T1", true), thread("T2", false)]);
        observe(store, &seen);
    };
    poll(&fixture.store, T0 + 50);
    let text = String::from_utf8(export(&fixture.store)).unwrap();
    let target = fixture.dir.path().join("skipped.db");
    let line = "{\"table\":\"pr_review_thread\"";
    let bad = text.replacen(line, &format!("#{line}"), 1);
    take(&target, bad.as_bytes(), OnBad::Skip).unwrap();
    let store = Store::open(&target, Options::default()).unwrap();
    let count = || number(&raw(&target), "SELECT count(*) FROM pr_review_thread");
    assert_eq!(count(), 1);
    poll(&store, T0 + 60);
    assert_eq!(count(), 2);
}

#[test]
fn out_of_range_numbers_are_refused() {
    let fixture = rich(10);
    let text = String::from_utf8(export(&fixture.store)).unwrap();
    let (header, rest) = text.split_once('\n').unwrap();
    let target = fixture.dir.path().join("hostile.db");
    let known: serde_json::Value = serde_json::from_str(header).unwrap();
    for name in ["epoch", "floor", "head", "at", "foreign_writes", "pruned_bytes", "log_id"] {
        for value in [serde_json::json!(i64::MAX), serde_json::json!(-1), serde_json::json!("x")] {
            let mut hostile = known.clone();
            hostile["export"][name] = value;
            let bytes = format!("{hostile}\n{rest}");
            let refused = take(&target, bytes.as_bytes(), OnBad::Skip);
            assert!(matches!(refused, Err(Error::InvalidExport { line: 1, .. })), "{hostile}");
        }
    }
    let most = "\"generation\":9223372036854775807";
    let at = text.find("\"generation\":").unwrap();
    let end = at + text[at..].find(',').unwrap();
    let bytes = format!("{}{most}{}", &text[..at], &text[end..]);
    assert!(bytes.contains(most));
    let imported = take(&target, bytes.as_bytes(), OnBad::Skip).unwrap();
    assert!(imported.bad[0].reason.contains("does not fit into consumer"), "{:?}", imported.bad);
}

#[test]
fn a_failed_output_or_a_damaged_store_gives_no_complete_export() {
    struct Full(usize);
    impl std::io::Write for Full {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let room = self.0.min(bytes.len());
            self.0 -= room;
            if room == 0 { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(room) }
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let fixture = rich(100);
    let before = names(fixture.dir.path());
    assert_eq!(code(fixture.store.export(&mut Full(5_000))), Code::DiskFull);
    assert_eq!(names(fixture.dir.path()), before, "no copy is left");
    let conn = raw(&fixture.path());
    conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_TRIGGER, false).unwrap();
    conn.execute_batch("UPDATE pr SET title = 'unseen'").unwrap();
    let mut out = Vec::new();
    assert_eq!(code(fixture.store.export(&mut out)), Code::Corrupt);
    assert!(out.is_empty());
}

#[test]
fn a_child_imports_an_export() {
    let Some(path) = child_argument() else { return };
    let mut input = std::io::BufReader::new(std::io::stdin());
    println!("\nready");
    import(Path::new(&path), &mut input, OnBad::Refuse).unwrap();
    println!("\ndone");
}

#[test]
fn a_killed_import_leaves_no_store() {
    use std::io::{BufRead, BufReader, Write};
    let fixture = rich(100);
    let exported = export(&fixture.store);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("ao.db");
    for part in [0, exported.len() / 2, exported.len() - 1] {
        let mut other = child("transfer::a_child_imports_an_export", target.to_str().unwrap())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(other.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line == "ready"));
        let mut input = other.stdin.take().unwrap();
        input.write_all(&exported[..part]).unwrap();
        other.kill().unwrap();
        other.wait().unwrap();
        assert!(!target.exists(), "after {part} bytes");
    }
    take(&target, &exported, OnBad::Refuse).unwrap();
    assert_eq!(everything(&target), everything(&fixture.path()));
    assert_eq!(names(dir.path()).len(), 1, "what was left is taken over");
    let store = Store::open(&target, Options::default()).unwrap();
    assert_sound(&store);
}
