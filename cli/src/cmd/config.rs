//! `config`: shows the global settings and where each is from.

use std::path::Path;

use serde_json::{Value, json};

use crate::args::Config;
use crate::config::{Origin, Settings, name_of};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

pub(crate) fn run(context: &Context, command: &Config) -> Result<()> {
    let (settings, is_json) = (context.settings(), context.is_json);
    let Some(path) = &settings.file else {
        let what = "there is no home directory, and so no configuration file";
        return Err(Error::Usage(what.to_owned()));
    };
    match command {
        Config::Path if is_json => {
            let data = json!({"path": path.to_string_lossy(), "exists": settings.file_exists});
            output::document("config.path", &data)
        }
        Config::Path => output::line(&path.to_string_lossy()),
        Config::Show { origin } => show(settings, path, *origin, is_json),
    }
}

fn show(settings: &Settings, path: &Path, shows_origin: bool, is_json: bool) -> Result<()> {
    let values = list(settings);
    if is_json {
        let item = |(key, value, origin): &(&str, String, Origin)| {
            let (origin, source) = (name(*origin), source(*origin, path));
            json!({"key": key, "value": value, "origin": origin, "source": source})
        };
        let values: Vec<Value> = values.iter().map(item).collect();
        let data = json!({
            "path": path.to_string_lossy(),
            "exists": settings.file_exists,
            "settings": values,
        });
        return output::document("config.show", &data);
    }
    let lines: Vec<_> = values
        .into_iter()
        .map(|(key, value, origin)| (format!("{key} = {}", toml::Value::String(value)), origin))
        .collect();
    let width = lines.iter().map(|(line, _)| line.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for (line, origin) in lines {
        let source = source(origin, path).map(|source| format!(" {source}")).unwrap_or_default();
        text += &match shows_origin {
            true => format!("{line:<width$}  # {}{source}\n", name(origin)),
            false => format!("{line}\n"),
        };
    }
    output::text(&text)
}

fn list(settings: &Settings) -> Vec<(&'static str, String, Origin)> {
    let Settings { durability, busy_timeout, hook_answers, port, color, .. } = settings;
    let dir = settings
        .data_dir
        .iter()
        .map(|dir| ("data_dir", dir.value.to_string_lossy().into_owned(), dir.origin));
    let time = |value| humantime::format_duration(value).to_string();
    let others = [
        ("durability", name_of(&durability.value), durability.origin),
        ("busy_timeout", time(busy_timeout.value), busy_timeout.origin),
        ("hook_answers", time(hook_answers.value), hook_answers.origin),
        ("port", port.value.to_string(), port.origin),
        ("color", name_of(&color.value), color.origin),
    ];
    dir.chain(others).collect()
}

fn name(origin: Origin) -> &'static str {
    match origin {
        Origin::Flag(_) => "flag",
        Origin::Environment(_) => "environment",
        Origin::File(_) => "file",
        Origin::Default => "default",
    }
}

/// The flag, the variable, or the line of the file.
fn source(origin: Origin, path: &Path) -> Option<String> {
    match origin {
        Origin::Flag(name) | Origin::Environment(name) => Some(name.to_owned()),
        Origin::File(line) => Some(format!("{}:{line}", path.display())),
        Origin::Default => None,
    }
}
