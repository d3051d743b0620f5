//! Prints what is stored of the logs of failed checks: their ends.

use ao_daemon::document::pull::{Details, check_name as name};
use ao_store::observation::Check;
use ao_store::{PrName, Timestamp};
use serde_json::{Value, json};

use crate::context::Context;
use crate::error::{Error, Result};
use crate::nearest::nearest;
use crate::output;

pub(super) fn run(context: &Context, pr: &PrName, check: Option<&str>) -> Result<()> {
    let now = Timestamp::now();
    let details = context.open()?.read(|snapshot| Details::read(snapshot, pr, now))?;
    let chosen = match check {
        None => details.failed(),
        Some(text) => named(&details, text)?,
    };
    if context.is_json {
        let checks: Value = chosen.iter().map(|check| document(&details, check)).collect();
        let data = json!({"pr_id": details.pr.id.as_str(), "checks": checks});
        return output::document("pr.log", &data);
    }
    if chosen.is_empty() {
        context.say(&format!("no check of {} failed", details.pr.place()));
    }
    let is_titled = chosen.len() > 1;
    for check in chosen {
        let title = name(check);
        match details.log(check) {
            None => context.say(&output::printable(&absent(check, &title))),
            Some(log) if is_titled => {
                let text = format!("==> {title} <==\n{}\n", log.trim_end());
                output::text(&text)?;
            }
            Some(log) => output::text(&format!("{}\n", log.trim_end()))?,
        }
    }
    Ok(())
}

/// Why there is no log, and where it is.
fn absent(check: &Check, title: &str) -> String {
    let url = if check.url.is_empty() { String::new() } else { format!("; see {}", check.url) };
    match check.status.as_str() {
        "failed" => format!("{title}: its log is not stored{url}"),
        status => format!("{title} is {status}: only logs of failed checks are stored{url}"),
    }
}

/// The checks of this name, or else those whose full name contains it.
fn named<'a>(details: &'a Details, text: &str) -> Result<Vec<&'a Check>> {
    let checks = &details.facets.checks;
    let exact: Vec<_> =
        checks.iter().filter(|check| check.name == text || name(check) == text).collect();
    if !exact.is_empty() {
        return Ok(exact);
    }
    let part = text.to_lowercase();
    let found: Vec<_> =
        checks.iter().filter(|check| name(check).to_lowercase().contains(&part)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let names: Vec<_> = checks.iter().map(|check| check.name.as_str()).collect();
    let near = nearest(text, &names).map(|near| format!("; did you mean {near:?}?"));
    let (near, place) = (near.unwrap_or_default(), details.pr.place());
    Err(Error::Usage(format!("no check of {place} is called {text:?}{near}")))
}

fn document(details: &Details, check: &Check) -> Value {
    json!({
        "name": check.name,
        "workflow": check.workflow,
        "status": check.status.as_str(),
        "url": check.url,
        "log_tail": details.log(check),
    })
}
