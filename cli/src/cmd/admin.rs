//! Restore, verify, export and import.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use ao_store::log::consumer::Consumer;
use ao_store::transfer::{self, Imported, OnBad};
use ao_store::verify::{self, Depth, Finding, Report};
use ao_store::{Timestamp, Upstream};
use serde_json::{Map, Value, json};

use crate::args::{Consent, Import, Verify};
use crate::confirm::{self, Answer};
use crate::context::{Context, cause};
use crate::error::{Error, Result};
use crate::hint;
use crate::output::{self, Ended};

pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|source| Error::file("find", path, source))
}

/// Replaces the database with a backup.
pub(crate) fn restore(context: &Context, input: &Path, consent: Consent) -> Result<()> {
    let input = match absolute(input)? {
        folder if folder.is_dir() => newest_in(&folder)?,
        file => file,
    };
    let source = ao_store::check_source(&input)?;
    let database = context.database();
    let (shown, head) = (output::path(&input), source.head_cursor());
    let what = format!("replace {} with {shown}, which is at {head}", output::path(database));
    if confirm::ask(context, &what, consent)? == Answer::No {
        return Ok(());
    }
    let restored = ao_store::restore(database, &input, context.options(), Timestamp::now())?;
    let kept = restored.kept.as_ref().map(|kept| kept.to_string_lossy().into_owned());
    if context.is_json {
        return output::document(
            "restore",
            &json!({
                "path": database.to_string_lossy(),
                "log_id": restored.log_id,
                "cursor": restored.cursor.to_string(),
                "kept": kept,
                "stranded": restored.stranded.iter().map(|it| view_stranded(context, it)).collect::<Vec<_>>(),
            }),
        );
    }
    if let Some(kept) = &restored.kept {
        output::say(&format!("the replaced file is kept: {}", output::path(kept)));
    }
    output::say(&format!(
        "{} restored: cursor {}; cursors of earlier epochs are refused",
        output::path(database),
        restored.cursor
    ));
    for Consumer { name, acked, .. } in &restored.stranded {
        let fix = hint::of_stranded(name);
        context.say(&format!("consumer {name} at {acked} is stranded; to move it: {fix}"));
    }
    Ok(())
}

fn newest_in(folder: &Path) -> Result<PathBuf> {
    let newest = ao_store::newest_backups(folder)?;
    let reason = match &newest[..] {
        [one] => return Ok(one.clone()),
        [] => "it has no backup of `ao-store backup --keep`".to_owned(),
        several => format!("it has backups of {} stores: pass one of its files", several.len()),
    };
    Err(Error::InvalidPath { path: folder.to_owned(), reason })
}

fn view_stranded(context: &Context, consumer: &Consumer) -> Value {
    let fix = context.invocation().complete(&hint::of_stranded(&consumer.name));
    let fix = fix.trim_matches('`');
    json!({"name": consumer.name.as_str(), "acked": consumer.acked.to_string(), "fix": fix})
}

/// Verifies the store or another file.
pub(crate) fn verify(context: &Context, args: &Verify) -> Result<Ended> {
    let depth = if args.deep { Depth::Deep } else { Depth::Sums };
    let report = match &args.file {
        Some(file) => verify::verify_file(&absolute(file)?, depth, context.options().busy)?,
        None => context.open()?.verify(depth)?,
    };
    if context.is_json {
        output::document("verify", &view(&report))?;
    } else {
        output::text(&describe(&report))?;
        if args.file.is_none() && !(report.is_sound() && report.warnings.is_empty()) {
            context.say(
                "hint: show what can be repaired: `ao-store repair --dry-run`; what helps otherwise: \
                 `ao-store doctor`",
            );
        }
    }
    Ok(if report.is_sound() { Ended::Done } else { Ended::Findings })
}

fn view(report: &Report) -> Value {
    let tables = report.tables.iter().map(|table| {
        let sum = json!({"rows": table.rows, "digest": table.digest.to_string()});
        (table.entity.to_owned(), sum)
    });
    let view = |found: &[Finding]| -> Vec<_> {
        found.iter().map(|it| json!({"id": it.id, "message": it.message})).collect()
    };
    json!({
        "is_sound": report.is_sound(),
        "cursor": report.cursor.to_string(),
        "changes": report.changes,
        "unsealed": report.unsealed,
        "log_digest": report.log.to_string(),
        "tables": tables.collect::<Map<_, _>>(),
        "findings": view(&report.findings),
        "warnings": view(&report.warnings),
    })
}

fn describe(report: &Report) -> String {
    let mut text = String::new();
    for finding in report.findings.iter().chain(&report.warnings) {
        text += &format!("{:<16} {}\n", finding.id, output::printable(&finding.message));
    }
    let rows: u64 = report.tables.iter().map(|table| table.rows).sum();
    let verdict = match report.findings.len() {
        0 => "sound".to_owned(),
        1 => "1 finding".to_owned(),
        more => format!("{more} findings"),
    };
    text += &format!(
        "{verdict}: {rows} rows and {} changes up to {}, log digest {}\n",
        report.changes, report.cursor, report.log
    );
    if report.unsealed > 0 {
        text += &format!(
            "{} changes of other writers get their block digest with the next commit of ao-store\n",
            report.unsealed
        );
    }
    text
}

/// Writes the whole store as text.
pub(crate) fn export(context: &Context, out: &Path) -> Result<()> {
    let store = context.open()?;
    let exported = if out == Path::new("-") {
        store.export(&mut output::ExportOut::new()).map_err(stdout_closed)?
    } else {
        store.export_to(out)?
    };
    let (cursor, rows, changes) = (exported.cursor, exported.rows, exported.changes);
    if context.is_json && out != Path::new("-") {
        return output::document(
            "export",
            &json!({"cursor": cursor.to_string(), "rows": rows, "changes": changes}),
        );
    }
    context.say(&format!("exported {rows} rows and {changes} changes up to {cursor}"));
    Ok(())
}

fn stdout_closed(error: ao_store::Error) -> Error {
    match error {
        ao_store::Error::Output(source) if source.kind() == io::ErrorKind::BrokenPipe => {
            Error::BrokenPipe
        }
        ao_store::Error::Output(source) => Error::Stdout(source),
        other => other.into(),
    }
}

/// Creates a store from an export, or from the database of the tool `ao`.
pub(crate) fn import(context: &Context, args: &Import) -> Result<()> {
    match (&args.from_ao, &args.file) {
        (Some(source), _) => import_ao(context, source),
        (None, Some(file)) => import_export(context, file, args.skip_bad),
        (None, None) => Err(Error::Usage("pass the export, or - for standard input".to_owned())),
    }
}

fn import_export(context: &Context, file: &Path, skip_bad: bool) -> Result<()> {
    let mut input: Box<dyn BufRead> = if file == Path::new("-") {
        Box::new(io::stdin().lock())
    } else {
        let opened = File::open(file).map_err(|source| Error::file("open", file, source))?;
        Box::new(BufReader::new(opened))
    };
    let on_bad = if skip_bad { OnBad::Skip } else { OnBad::Refuse };
    let imported = transfer::import(context.database(), &mut input, on_bad)?;
    if context.is_json {
        return output::document("import", &view_imported(&imported));
    }
    for bad in &imported.bad {
        let place = if bad.line == 0 { "export".to_owned() } else { format!("line {}", bad.line) };
        output::say(&format!("skipped {place}: {}", output::printable(&bad.reason)));
    }
    let Imported { cursor, rows, changes, bad_total, .. } = &imported;
    let skipped = match bad_total {
        0 => String::new(),
        bad => format!("; skipped {bad} lines, and therefore the history"),
    };
    output::line(&format!("imported {rows} rows and {changes} changes, cursor {cursor}{skipped}"))
}

fn view_imported(imported: &Imported) -> Value {
    let bad = imported.bad.iter().map(|bad| json!({"line": bad.line, "reason": bad.reason}));
    json!({
        "cursor": imported.cursor.to_string(),
        "rows": imported.rows,
        "changes": imported.changes,
        "bad": bad.collect::<Vec<_>>(),
        "bad_total": imported.bad_total,
    })
}

fn import_ao(context: &Context, source: &Path) -> Result<()> {
    let upstream = Upstream::read(&absolute(source)?, context.database())?;
    let imported = upstream.create(context.database(), context.options(), cause())?;
    let remark = |remark: &ao_store::Remark| json!({"table": remark.table, "key": remark.key, "reason": remark.reason});
    if context.is_json {
        let taken = imported.taken.iter().map(|taken| (taken.entity.to_owned(), json!(taken.rows)));
        let cleaned = imported
            .cleaned
            .iter()
            .map(|it| json!({"table": it.table, "column": it.column, "rows": it.rows}));
        let ignored = imported
            .ignored
            .iter()
            .map(|it| json!({"table": it.table, "column": it.column, "rows": it.rows}));
        return output::document(
            "import.ao",
            &json!({
                "taken": taken.collect::<Map<_, _>>(),
                "skipped": imported.skipped.iter().map(remark).collect::<Vec<_>>(),
                "skipped_more": imported.skipped_more,
                "modified": imported.modified.iter().map(remark).collect::<Vec<_>>(),
                "modified_more": imported.modified_more,
                "cleaned": cleaned.collect::<Vec<_>>(),
                "ignored": ignored.collect::<Vec<_>>(),
            }),
        );
    }
    output::text(&describe_ao(&imported))
}

fn describe_ao(imported: &ao_store::Imported) -> String {
    let mut text = String::new();
    for taken in &imported.taken {
        text += &format!("taken    {:<18}{:>8}\n", taken.entity, taken.rows);
    }
    let lists = [
        ("skipped", &imported.skipped, imported.skipped_more),
        ("modified", &imported.modified, imported.modified_more),
    ];
    for (name, remarks, more) in lists {
        for ao_store::Remark { table, key, reason } in remarks {
            let (key, reason) = (output::printable(key), output::printable(reason));
            text += &format!("{name:<8} {table} {key}: {reason}\n");
        }
        if more > 0 {
            text += &format!("{name:<8} and {more} more\n");
        }
    }
    for ao_store::Cleaned { table, column, rows } in &imported.cleaned {
        text += &format!(
            "cleaned  column {table}.{column}, {rows} rows: text that is not UTF-8, has NUL or is too long\n"
        );
    }
    for ignored in &imported.ignored {
        let table = output::printable(&ignored.table);
        text += &match &ignored.column {
            Some(column) => format!("ignored  column {table}.{}\n", output::printable(column)),
            None => format!("ignored  table {table}, {} rows\n", ignored.rows),
        };
    }
    text
}
