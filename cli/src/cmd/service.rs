//! `service`: the daemon as a systemd service of the user. What is printed is what is installed.

use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy;
use serde_json::json;

use crate::args::Service;
use crate::context::Context;
use crate::error::{Error, Result};
use crate::output;

const UNIT: &str = "ao-store.service";

pub(crate) fn run(context: &Context, command: Service) -> Result<()> {
    let program = std::env::current_exe();
    let program = program.map_err(|source| Error::file("find", "ao-store".as_ref(), source))?;
    let unit = unit(&program, &context.data_dir()?)?;
    let path = unit_path()?;
    let kind = match command {
        Service::Print => "service.print",
        Service::Install => {
            install(&path, &unit).map_err(|source| Error::file("write", &path, source))?;
            context.say(&format!(
                "{} written; start it and follow its messages:",
                output::path(&path)
            ));
            context.say("  systemctl --user daemon-reload");
            context.say(&format!("  systemctl --user enable --now {UNIT}"));
            context.say(&format!("  journalctl --user --follow --unit {UNIT}"));
            context.say("and let it run while you are logged out: loginctl enable-linger");
            "service.install"
        }
        Service::Uninstall => {
            match fs::remove_file(&path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    context.say(&format!("there is no {}", output::path(&path)));
                }
                removed => {
                    removed.map_err(|source| Error::file("remove", &path, source))?;
                    context.say(&format!(
                        "{} removed; a service that runs goes on:",
                        output::path(&path)
                    ));
                    context.say(&format!("  systemctl --user disable --now {UNIT}"));
                    context.say("  systemctl --user daemon-reload");
                }
            }
            "service.uninstall"
        }
    };
    if context.is_json {
        let is_installed = path.exists();
        let path = path.to_string_lossy();
        let data = json!({"path": path, "is_installed": is_installed, "unit": unit});
        return output::document(kind, &data);
    }
    match command {
        Service::Print => output::text(&unit),
        Service::Install | Service::Uninstall => Ok(()),
    }
}

/// Where the systemd of the user looks.
fn unit_path() -> Result<PathBuf> {
    let directories = etcetera::choose_base_strategy().map_err(|_| {
        Error::Usage("there is no home directory, and so no place for a service".to_owned())
    })?;
    Ok(directories.config_dir().join("systemd/user").join(UNIT))
}

/// Replaces the unit as a whole.
fn install(path: &Path, unit: &str) -> io::Result<()> {
    let dir = path.parent().unwrap_or(path);
    fs::create_dir_all(dir)?;
    let mut file = tempfile::Builder::new().prefix(".ao-store-").tempfile_in(dir)?;
    file.write_all(unit.as_bytes())?;
    file.persist(path)?;
    Ok(())
}

/// The unit. Only the daemon ends with the service: sessions go on.
fn unit(program: &Path, data_dir: &Path) -> Result<String> {
    let unusable = |byte: &u8| *byte < b' ' || b"\"'\\\x7f".contains(byte);
    if program.as_os_str().as_bytes().iter().any(unusable) {
        let what = format!("systemd runs no program with such a path: {}", output::path(program));
        return Err(Error::Usage(what));
    }
    // The path of the program is no place for variables.
    let program = quoted(program)?;
    let data_dir = quoted(data_dir)?.replace('$', "$$");
    Ok(format!(
        "[Unit]\n\
         Description=ao-store: the daemon that runs its loops and serves its store\n\
         \n\
         [Service]\n\
         Type=notify\n\
         ExecStart={program} --data-dir {data_dir} daemon\n\
         Restart=on-failure\n\
         KillMode=process\n\
         SuccessExitStatus=143\n\
         \n\
         [Install]\n\
         WantedBy=default.target\n"
    ))
}

/// A path as one word of a command in a unit.
fn quoted(path: &Path) -> Result<String> {
    let text = path.to_str().ok_or_else(|| {
        Error::Usage(format!("a unit of systemd is UTF-8, unlike {}", output::path(path)))
    })?;
    let mut word = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => word.extend(['\\', char]),
            '%' => word += "%%",
            '\u{1}'..='\u{1f}' | '\u{7f}' => word += &format!("\\x{:02x}", u32::from(char)),
            _ => word.push(char),
        }
    }
    word.push('"');
    Ok(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_one_word_whatever_is_in_it() {
        for (path, expected) in [
            ("/srv/ao", r#""/srv/ao""#),
            ("/my data/%h/a;b#c", r#""/my data/%%h/a;b#c""#),
            ("/a\"b\\c'd", r#""/a\"b\\c'd""#),
            ("/a\nExecStart=/bin/false\t\u{7f}", r#""/a\x0aExecStart=/bin/false\x09\x7f""#),
            ("/ä", r#""/ä""#),
        ] {
            assert_eq!(quoted(Path::new(path)).unwrap(), expected);
        }
        assert!(quoted(Path::new(std::ffi::OsStr::from_bytes(b"/\xff"))).is_err());
    }

    #[test]
    fn variables_are_not_expanded_in_arguments() {
        let unit = unit(Path::new("/usr/bin/a$b"), Path::new("/$HOME/${X}")).unwrap();
        let line = r#"ExecStart="/usr/bin/a$b" --data-dir "/$$HOME/$${X}" daemon"#;
        assert!(unit.lines().any(|it| it == line), "{unit}");
    }

    #[test]
    fn a_program_that_systemd_cannot_run_is_refused() {
        for path in ["/a\"b", "/a'b", "/a\\b", "/a\nb"] {
            assert!(unit(Path::new(path), Path::new("/data")).is_err(), "{path:?}");
        }
    }
}
