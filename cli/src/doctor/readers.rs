//! Whether a process keeps the write-ahead log from being truncated.

use ao_daemon::wal_reader::{WalReader, find};

use crate::doctor::Finding;
use crate::doctor::files::Files;
use crate::invocation::quoted;

const READERS: &str = "wal.readers";

/// Checks that no process keeps the log from being truncated.
pub(super) fn readers(files: &Files) -> Finding {
    match find(&files.database) {
        Ok(readers) if readers.is_empty() => {
            Finding::ok(READERS, "no other process is in a long read")
        }
        Ok(readers) => found(&readers),
        Err(error) => {
            let message = format!("cannot list the holders of locks: {error}");
            let fix = format!(
                "list the processes that have it open: `fuser -v {}`",
                quoted(&files.database)
            );
            Finding::warn(READERS, message, fix)
        }
    }
}

fn found(readers: &[WalReader]) -> Finding {
    let shown: Vec<_> =
        readers.iter().map(|reader| format!("{} ({})", reader.pid, reader.command)).collect();
    let pids: Vec<_> = readers.iter().map(|reader| reader.pid.to_string()).collect();
    Finding::warn(
        READERS,
        format!("these processes keep the log from being truncated: {}", shown.join(", ")),
        format!("end their transactions, or stop them: `kill {}`", pids.join(" ")),
    )
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::path::Path;
    use std::process::{Child, Command, Stdio};

    use ao_daemon::wal_reader::wal_readers;

    use super::*;
    use crate::doctor::Level;

    #[test]
    fn the_finding_names_the_processes_and_the_command() {
        let finding = found(&[
            WalReader { pid: 7, command: "sqlite3".to_owned() },
            WalReader { pid: 9, command: "python3".to_owned() },
        ]);
        assert_eq!(finding.level, Level::Warn);
        assert!(finding.message.ends_with("7 (sqlite3), 9 (python3)"), "{finding:?}");
        assert!(finding.fix.ends_with("`kill 7 9`"), "{finding:?}");
    }

    /// The stock shell on a database, killed when the test is over.
    struct Shell {
        child: Child,
        output: BufReader<std::process::ChildStdout>,
    }

    impl Shell {
        /// `None`, with a printed reason, when there is no such shell.
        fn start(database: &Path) -> Option<Shell> {
            let mut command = Command::new("sqlite3");
            command.args(["-batch", "-init", "/dev/null"]).arg(database);
            let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
            let Ok(mut child) = child else {
                println!("skipped: there is no sqlite3 shell");
                return None;
            };
            let output = BufReader::new(child.stdout.take().unwrap());
            Some(Shell { child, output })
        }

        /// Runs SQL that prints one line, and returns the line: the SQL has then been executed.
        fn run(&mut self, sql: &str) -> String {
            writeln!(self.child.stdin.as_mut().unwrap(), "{sql}").unwrap();
            let mut line = String::new();
            self.output.read_line(&mut line).unwrap();
            line.trim_end().to_owned()
        }
    }

    impl Drop for Shell {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    #[test]
    fn a_shell_is_reported_until_its_transaction_ends() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("ao.db");
        assert_eq!(wal_readers(&database), []);
        let Some(mut shell) = Shell::start(&database) else { return };
        assert_eq!(shell.run("PRAGMA journal_mode = WAL;"), "wal");
        assert_eq!(
            shell.run("CREATE TABLE t (a); INSERT INTO t VALUES (1); SELECT 'made';"),
            "made"
        );
        assert_eq!(wal_readers(&database), [], "open, but in no transaction");
        assert_eq!(readers(&Files::of(&database)).level, Level::Ok);

        assert_eq!(shell.run("BEGIN; SELECT count(*) FROM t;"), "1");
        let expected = WalReader { pid: shell.child.id(), command: "sqlite3".to_owned() };
        assert_eq!(wal_readers(&database), [expected]);
        let finding = readers(&Files::of(&database));
        assert_eq!(finding.level, Level::Warn);
        assert!(finding.fix.contains(&format!("`kill {}`", shell.child.id())), "{finding:?}");

        assert_eq!(shell.run("COMMIT; SELECT 'ended';"), "ended");
        assert_eq!(wal_readers(&database), []);
    }
}
