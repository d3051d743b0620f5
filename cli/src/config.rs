//! The global settings by precedence: flag, environment variable, configuration file, default. Each value
//! has its origin.
//!
//! The file is `ao-store/config.toml` in the XDG configuration directory. It may be absent; a key that is
//! unknown or a value that is invalid is an error with its line, and never ignored.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ao_store::text_input::without_mark;
use clap::ValueEnum;
use etcetera::BaseStrategy;
use serde::Deserialize;
use toml::Spanned;

use crate::args::{Args, Color, Command, Config, Durability};
use crate::error::{Error, Result};

/// More than any configuration has, in bytes.
const FILE_MAX: u64 = 1 << 20;

/// The longest time for which a hook waits.
const LONGEST_HOOK: Duration = Duration::from_secs(24 * 3600);

/// Where a value is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Flag(&'static str),
    Environment(&'static str),
    /// This line of the file.
    File(usize),
    Default,
}

/// A value and where it is from.
#[derive(Debug, Clone)]
pub(crate) struct Setting<T> {
    pub(crate) value: T,
    pub(crate) origin: Origin,
}

/// The global settings.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The configuration file, which may be absent; `None` without a home directory.
    pub(crate) file: Option<PathBuf>,
    pub(crate) file_exists: bool,
    /// `None` without a home directory.
    pub(crate) data_dir: Option<Setting<PathBuf>>,
    pub(crate) durability: Setting<Durability>,
    pub(crate) busy_timeout: Setting<Duration>,
    /// How long a hook of an agent waits for an answer; zero for not at all.
    pub(crate) hook_answers: Setting<Duration>,
    /// The port of the daemon; 0 for any.
    pub(crate) port: Setting<u16>,
    pub(crate) color: Setting<Color>,
}

impl Settings {
    /// Reads the file and resolves each setting.
    pub(crate) fn read(args: &Args) -> Result<Settings> {
        let directories = etcetera::choose_base_strategy().ok();
        let path = directories.as_ref().map(|it| it.config_dir().join("ao-store/config.toml"));
        // The path is printed also if the file cannot be read.
        let is_read = !matches!(args.command, Command::Config(Config::Path));
        let text = path.as_deref().filter(|_| is_read).map(read_text).transpose()?.flatten();
        let source = Source {
            path: path.as_deref().unwrap_or(Path::new("")),
            text: text.as_deref().unwrap_or(""),
        };
        let keys = source.keys()?;
        // An empty variable counts as unset, as in the XDG specification.
        let variable = std::env::var_os("AO_DATA_DIR").filter(|dir| !dir.is_empty());
        let variable = variable.map(|dir| (dir.into(), Origin::Environment("AO_DATA_DIR")));
        let of_file = source.value(keys.data_dir, |text| directory(text, directories.as_ref()))?;
        let default = directories.as_ref().map(|it| it.data_dir().join("ao-store"));
        let dir = args.global.data_dir.clone().map(|dir| (dir, Origin::Flag("--data-dir")));
        let dir = dir.or(variable).or(of_file).or(default.map(|dir| (dir, Origin::Default)));
        let durability = source.value(keys.durability, choice)?;
        let busy_timeout = source.value(keys.busy_timeout, duration)?;
        let hook_answers = source.value(keys.hook_answers, |text| match duration(text)? {
            time if time > LONGEST_HOOK => Err("it is longer than a day".to_owned()),
            time => Ok(time),
        })?;
        let listens = port_variable()?.or(source.value(keys.port, port)?);
        let color = source.value(keys.color, choice)?;
        Ok(Settings {
            file_exists: path.as_deref().is_some_and(Path::exists),
            data_dir: dir.map(|(value, origin)| Setting { value, origin }),
            durability: Setting::of(
                args.global.durability,
                "--durability",
                durability,
                Durability::Full,
            ),
            busy_timeout: Setting::of(
                args.global.busy_timeout,
                "--busy-timeout",
                busy_timeout,
                Duration::from_secs(5),
            ),
            hook_answers: Setting::of(None, "", hook_answers, Duration::ZERO),
            port: listens.map_or(
                Setting { value: 0, origin: Origin::Default },
                |(value, origin)| Setting { value, origin },
            ),
            color: Setting::of(args.global.color, "--color", color, Color::Auto),
            file: path,
        })
    }
}

impl<T> Setting<T> {
    fn of(
        flag: Option<T>,
        name: &'static str,
        file: Option<(T, Origin)>,
        default: T,
    ) -> Setting<T> {
        let flag = flag.map(|value| (value, Origin::Flag(name)));
        let (value, origin) = flag.or(file).unwrap_or((default, Origin::Default));
        Setting { value, origin }
    }
}

/// The keys of the file. The values are parsed as those of the flags are.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    data_dir: Option<Spanned<String>>,
    durability: Option<Spanned<String>>,
    busy_timeout: Option<Spanned<String>>,
    hook_answers: Option<Spanned<String>>,
    port: Option<Spanned<String>>,
    color: Option<Spanned<String>>,
}

/// The text of the file.
struct Source<'a> {
    path: &'a Path,
    text: &'a str,
}

impl Source<'_> {
    fn keys(&self) -> Result<Keys> {
        toml::from_str(self.text).map_err(|error: toml::de::Error| {
            let at = error.span().map_or(0, |span| span.start);
            let message = error.message().lines().collect::<Vec<_>>().join(", ");
            self.error(at, &message)
        })
    }

    /// A value of the file with its line.
    fn value<T>(
        &self,
        key: Option<Spanned<String>>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Result<Option<(T, Origin)>> {
        let Some(key) = key else { return Ok(None) };
        let at = key.span().start;
        let value = parse(key.get_ref()).map_err(|reason| {
            self.error(at, &format!("{:?} cannot be used: {reason}", key.get_ref()))
        })?;
        Ok(Some((value, Origin::File(self.line(at)))))
    }

    fn error(&self, at: usize, reason: &str) -> Error {
        let (path, line) = (self.path.to_owned(), self.line(at));
        Error::Config { path, line, reason: reason.to_owned() }
    }

    /// The line of a byte, from 1.
    fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|byte| *byte == b'\n').count()
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|_| "write a duration, such as 5s".to_owned())
}

fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "write a port, 0 to 65535".to_owned())
}

/// The port of the environment. An empty variable counts as unset.
fn port_variable() -> Result<Option<(u16, Origin)>> {
    let Some(text) = std::env::var_os("AO_PORT").filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    let value = port(&text.to_string_lossy()).map_err(|reason| {
        Error::Usage(format!("AO_PORT={} cannot be used: {reason}", text.to_string_lossy()))
    })?;
    Ok(Some((value, Origin::Environment("AO_PORT"))))
}

/// One of the values of a flag.
fn choice<T: ValueEnum>(text: &str) -> Result<T, String> {
    T::from_str(text, false).map_err(|_| {
        let names: Vec<_> = T::value_variants().iter().map(name_of).collect();
        format!("write {}", names.join(", "))
    })
}

/// The name of a value of a flag.
pub(crate) fn name_of(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

/// A directory in the file: absolute, or below the home directory.
fn directory(text: &str, home: Option<&impl BaseStrategy>) -> Result<PathBuf, String> {
    let below_home = text.strip_prefix("~/").zip(home);
    let path = below_home.map_or(PathBuf::from(text), |(rest, home)| home.home_dir().join(rest));
    match path.is_absolute() {
        true => Ok(path),
        false => Err("it is neither an absolute path nor below ~/".to_owned()),
    }
}

/// The text of the file; `None` if there is none.
fn read_text(path: &Path) -> Result<Option<String>> {
    let failed = |source| Error::ConfigFile { path: path.to_owned(), source };
    // Opening a named pipe would wait for a writer.
    if path.metadata().is_ok_and(|found| found.file_type().is_fifo()) {
        return Err(failed(io::Error::other("it is a named pipe")));
    }
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened.map_err(failed)?,
    };
    let mut bytes = Vec::new();
    file.take(FILE_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    let unusable =
        |reason: &str| Error::Config { path: path.to_owned(), line: 1, reason: reason.to_owned() };
    if bytes.len() as u64 > FILE_MAX {
        return Err(unusable("it is larger than 1 MiB"));
    }
    let text = without_mark(&bytes).map_err(unusable)?;
    String::from_utf8(text.to_vec()).map(Some).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let line = 1 + text.iter().take(at).filter(|byte| **byte == b'\n').count();
        Error::Config { path: path.to_owned(), line, reason: "it is not UTF-8".to_owned() }
    })
}
