//! tmux on a server of our own, without any configuration file of the user.
//!
//! A launch is a session of its name. Everything that tmux would take for a format, a flag or the end of a
//! command is escaped. A program that ended leaves a dead pane, in which nothing interprets input.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use ao_program::{Environment, Error as ProgramError, Output, Program};
use ao_store::row::lifecycle::spawn::Place;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::ioctl_fionread;
use sha2::{Digest, Sha256};

use super::{Pane, Panes, Runtime, Start, processes};
use crate::error::{Error, Result};
use crate::harness::Press;

/// The oldest version that can be used: the first with `new-session -e`.
const VERSION: (u32, u32) = (3, 2);

/// How long one command may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What is tried when a text is typed.
const TYPE: &str = "type a text";

/// A text counts as read when nothing of it is unread this often, and this long after one another: tmux
/// writes a long text in pieces.
const READS: usize = 3;
const BETWEEN_READS: Duration = Duration::from_millis(100);

/// How long a program may take to read a text, and how many bytes of it take a second more.
const READ_WITHIN: Duration = Duration::from_secs(60);
const BYTES_PER_SECOND: usize = 16 << 10;

/// Between two keys: a program may redraw after the first one, and lose the next.
const BETWEEN_KEYS: Duration = Duration::from_millis(300);

/// How often a server that ends is tried to be replaced, and the time in between.
const STARTS: usize = 5;
const BETWEEN_STARTS: Duration = Duration::from_millis(100);

/// How many screens are read by one command: together they are smaller than what is read of a program.
const SCREENS: usize = 6;

/// The variables that tmux gets. Those of agents are in the files of their launches.
const VARIABLES: [&str; 7] = ["PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TMUX_TMPDIR"];

/// A tmux server of our own.
#[derive(Debug, Clone)]
pub struct Tmux {
    /// The name of the server, for `-L`.
    name: String,
    environment: Environment,
}

/// Why tmux did not do what it was asked.
enum Refusal {
    /// No server listens at the socket.
    NoServer,
    /// The server does not have the session.
    NoSession,
    /// Anything else.
    Other(String),
}

impl Tmux {
    /// The server of the store in this data directory. Two stores never share one.
    #[must_use]
    pub fn new(data_dir: &Path, environment: &Environment) -> Tmux {
        let digest = hex::encode(Sha256::digest(data_dir.as_os_str().as_encoded_bytes()));
        let kept = |name: &OsStr| VARIABLES.iter().any(|kept| name == *kept);
        let environment = environment.iter().filter(|(name, _)| kept(name)).collect();
        Tmux { name: format!("ao-{}", &digest[..16]), environment }
    }

    /// Runs a command of tmux at the server of a socket, or without one at our own.
    fn run(
        &self,
        action: &'static str,
        socket: &str,
        args: &[&str],
        input: &str,
    ) -> Result<Result<String, Refusal>> {
        let server = if socket.is_empty() { ["-L", &self.name] } else { ["-S", socket] };
        let all = [&["-u", "-f", "/dev/null"], &server[..], args].concat();
        let program = Program {
            name: "tmux",
            args: &all,
            input,
            dir: Path::new("/"),
            environment: &self.environment,
            variables: &[("TERM", "xterm-256color")],
            timeout: TIMEOUT,
        };
        match program.run() {
            Ok(output) => Ok(read(output)),
            Err(ProgramError::NotOnPath(_)) => Err(missing("it is not on PATH")),
            Err(error) => Err(Error::RuntimeFailed { action, reason: error.to_string() }),
        }
    }

    /// Runs a command that starts the server if necessary. One that ends at that moment, because its last
    /// session did, still accepts the connection: the next try starts another.
    fn start_at_server(&self, action: &'static str, args: &[&str]) -> Result<String> {
        let mut tries = 1;
        loop {
            match self.run(action, "", args, "")? {
                Err(Refusal::NoServer) if tries < STARTS => sleep(BETWEEN_STARTS),
                answer => return answer.map_err(|refusal| refused(action, refusal)),
            }
            tries += 1;
        }
    }

    /// Runs a command that writes to the program of a pane. Copy mode, in which the pane would take that for
    /// its own commands, is left at the same moment.
    fn at_program(&self, socket: &str, target: &str, command: &[&str]) -> Result<()> {
        let cancel = format!("send-keys -t {target} -X cancel");
        let leave = ["if-shell", "-F", "-t", target, "#{pane_in_mode}", &cancel, ";"];
        self.must(TYPE, socket, &[&leave, command].concat(), "").map(|_| ())
    }

    /// The terminal of the program of a session.
    fn tty(&self, socket: &str, target: &str) -> Result<PathBuf> {
        let args = ["display-message", "-p", "-t", target, "#{pane_tty}"];
        Ok(PathBuf::from(self.must(TYPE, socket, &args, "")?.trim()))
    }

    /// The same for a session that must be there.
    fn must(
        &self,
        action: &'static str,
        socket: &str,
        args: &[&str],
        input: &str,
    ) -> Result<String> {
        self.run(action, socket, args, input)?.map_err(|refusal| refused(action, refusal))
    }
}

fn refused(action: &'static str, refusal: Refusal) -> Error {
    let reason = match refusal {
        Refusal::NoServer => "its tmux server is gone".to_owned(),
        Refusal::NoSession => "its tmux session is gone".to_owned(),
        Refusal::Other(reason) => reason,
    };
    Error::RuntimeFailed { action, reason }
}

fn missing(reason: &str) -> Error {
    Error::RuntimeMissing(reason.to_owned())
}

fn read(output: Output) -> Result<String, Refusal> {
    if output.status == 0 {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let printed = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    let is = |texts: &[&str]| texts.iter().any(|text| printed.contains(text));
    if is(&["no server running on", "error connecting to", "server exited", "lost server"]) {
        Err(Refusal::NoServer)
    } else if is(&GONE) {
        Err(Refusal::NoSession)
    } else if printed.is_empty() {
        Err(Refusal::Other(format!("it ended with status {} and printed nothing", output.status)))
    } else {
        Err(Refusal::Other(printed))
    }
}

/// What tmux prints where a target does not exist; the last two where its server has no session any more, and is
/// about to end.
const GONE: [&str; 5] = [
    "can't find session",
    "can't find window",
    "can't find pane",
    "no sessions",
    "no current target",
];

/// A word that tmux takes as it is: a final semicolon would end the command.
fn word(text: &str) -> String {
    match text.strip_suffix(';') {
        Some(rest) => format!("{rest}\\;"),
        None => text.to_owned(),
    }
}

/// A word in a place where tmux expands formats.
fn literal(text: &str) -> String {
    word(&text.replace('#', "##"))
}

/// The session of a launch, by its exact name.
fn target(launch: &str) -> String {
    format!("={launch}:")
}

/// What draws a screen in a terminal: a line with the row and the column of the cursor, and then the lines.
fn drawing(shown: &str) -> String {
    let (cursor, screen) = shown.split_once('\n').unwrap_or((shown, ""));
    let mut place = cursor.split(' ').map(|part| part.parse().unwrap_or(0_u32) + 1);
    let (row, column) = (place.next().unwrap_or(1), place.next().unwrap_or(1));
    let screen = screen.trim_end_matches('\n').replace('\n', "\r\n");
    format!("\x1b[0m\x1b[H\x1b[2J{screen}\x1b[0m\x1b[{row};{column}H")
}

/// A line of the list of panes: the pane with its id.
fn pane(line: &str) -> Option<(String, Pane)> {
    let mut parts = line.splitn(5, ' ');
    let (id, printed_at) = (parts.next()?.to_owned(), parts.next()?.parse().ok()?);
    let (is_dead, size) = (parts.next()? == "1", parts.next()?.to_owned());
    Some((id, Pane { launch: parts.next()?.to_owned(), printed_at, is_dead, size }))
}

/// How many bytes the program at a terminal has not read yet.
fn unread(tty: &Path) -> Result<u64> {
    let failed = |error| {
        let reason = format!("cannot look at {}: {error}", tty.display());
        Error::RuntimeFailed { action: TYPE, reason }
    };
    let flags = OFlags::RDONLY | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let tty = open(tty, flags, Mode::empty()).map_err(failed)?;
    ioctl_fionread(&tty).map_err(failed)
}

/// Waits until the program at a terminal has read what was written to it: a program that still reads a text
/// would take Enter for a part of it.
fn wait_until_read(tty: &Path, bytes: usize) -> Result<()> {
    let more = u64::try_from(bytes / BYTES_PER_SECOND).unwrap_or(u64::MAX);
    let deadline = Instant::now() + READ_WITHIN + Duration::from_secs(more);
    let mut read = 0;
    while read < READS {
        sleep(BETWEEN_READS);
        match unread(tty)? {
            0 => read += 1,
            _ if Instant::now() > deadline => {
                let reason = "the program does not read its input".to_owned();
                return Err(Error::RuntimeFailed { action: TYPE, reason });
            }
            _ => read = 0,
        }
    }
    Ok(())
}

/// A text without what controls a terminal.
fn typed(text: &str) -> String {
    text.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect()
}

impl Runtime for Tmux {
    fn kind(&self) -> &'static str {
        "tmux"
    }

    fn check(&self) -> Result<()> {
        let version = match self.run("read its version", "", &["-V"], "")? {
            Ok(version) => version,
            Err(_) => return Err(missing("it does not print its version")),
        };
        let digits = |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>();
        let number = version.trim().rsplit([' ', '-']).next().unwrap_or_default();
        let (major, minor) = number.split_once('.').unwrap_or((number, "0"));
        match (digits(major).parse(), digits(minor).parse()) {
            (Ok(major), Ok(minor)) if (major, minor) < VERSION => {
                Err(missing(&format!("its version is {number}, and 3.2 is needed")))
            }
            // A version that cannot be read is one of the development branch.
            _ => Ok(()),
        }
    }

    fn place(&self) -> Place {
        Place { kind: self.kind().to_owned(), ..Place::default() }
    }

    fn start(&self, start: &Start<'_>) -> Result<Place> {
        let action = "start a tmux session";
        let dir = literal(&start.dir.to_string_lossy());
        let variable = format!("{}={}", processes::VARIABLE, start.launch);
        let argv: Vec<String> = start.argv.iter().map(|it| word(&it.to_string_lossy())).collect();
        let mut args = vec!["start-server"];
        for option in [
            ["remain-on-exit", "on"],
            ["detach-on-destroy", "on"],
            ["exit-empty", "on"],
            ["history-limit", "10000"],
            ["default-terminal", "screen-256color"],
        ] {
            args.extend([";", "set-option", "-g", option[0], option[1]]);
        }
        args.extend([";", "new-session", "-d", "-P", "-F", "#{socket_path}\n#{pane_id}"]);
        args.extend([
            "-s",
            start.launch,
            "-x",
            "220",
            "-y",
            "50",
            "-e",
            &variable,
            "-c",
            &dir,
            "--",
        ]);
        args.extend(argv.iter().map(String::as_str));
        let printed = self.start_at_server(action, &args)?;
        let mut lines = printed.lines();
        match (lines.next(), lines.next()) {
            (Some(socket), Some(pane)) => {
                Ok(Place { socket: socket.to_owned(), pane: pane.to_owned(), ..self.place() })
            }
            _ => Err(Error::RuntimeFailed { action, reason: format!("it printed {printed:?}") }),
        }
    }

    fn is_server_gone(&self, socket: &str) -> Result<bool> {
        match self.run("look for the tmux server", socket, &["list-sessions"], "")? {
            Ok(_) | Err(Refusal::NoSession) => Ok(false),
            Err(Refusal::NoServer) => Ok(true),
            Err(Refusal::Other(reason)) => {
                Err(Error::RuntimeFailed { action: "look for the tmux server", reason })
            }
        }
    }

    fn shown(&self, socket: &str) -> Result<Vec<String>> {
        let action = "list the tmux sessions";
        let args = ["list-sessions", "-F", "#{session_name}"];
        match self.run(action, socket, &args, "") {
            Ok(Ok(printed)) => Ok(printed.lines().map(str::to_owned).collect()),
            Ok(Err(Refusal::NoServer | Refusal::NoSession)) | Err(Error::RuntimeMissing(_)) => {
                Ok(Vec::new())
            }
            Ok(Err(Refusal::Other(reason))) => Err(Error::RuntimeFailed { action, reason }),
            Err(error) => Err(error),
        }
    }

    fn panes(&self, socket: &str) -> Result<Panes> {
        let action = "list the tmux panes";
        let size = "#{pane_width}x#{pane_height}";
        let format =
            format!("#{{pane_id}} #{{window_activity}} #{{pane_dead}} {size} #{{session_name}}");
        match self.run(action, socket, &["list-panes", "-a", "-F", &format], "")? {
            Ok(printed) => {
                let panes = printed.lines().filter_map(pane).collect();
                Ok(Panes { is_server_gone: false, panes })
            }
            Err(Refusal::NoServer) => Ok(Panes { is_server_gone: true, ..Panes::default() }),
            Err(Refusal::NoSession) => Ok(Panes::default()),
            Err(Refusal::Other(reason)) => Err(Error::RuntimeFailed { action, reason }),
        }
    }

    fn screens(&self, socket: &str, panes: &[&str]) -> Result<Vec<String>> {
        // No program can print it.
        let mark = format!("{:016x}{:016x}", fastrand::u64(..), fastrand::u64(..));
        let mut screens = Vec::new();
        for some in panes.chunks(SCREENS) {
            let mut args = Vec::new();
            for pane in some {
                args.extend(["capture-pane", "-p", "-t", pane, ";"]);
                args.extend(["display-message", "-p", &mark, ";"]);
            }
            args.pop();
            let printed = self.must("read a screen", socket, &args, "")?;
            screens.extend(printed.split(&mark).take(some.len()).map(str::to_owned));
        }
        Ok(screens)
    }

    fn remove(&self, launch: &str, socket: &str) -> Result<()> {
        let action = "remove a tmux session";
        match self.run(action, socket, &["kill-session", "-t", &target(launch)], "") {
            Ok(Ok(_) | Err(Refusal::NoServer | Refusal::NoSession)) => Ok(()),
            Ok(Err(Refusal::Other(reason))) => Err(Error::RuntimeFailed { action, reason }),
            // Its processes have ended. A dead pane is no reason to keep a session that nobody can use:
            // reconciliation removes it when tmux is back.
            Err(Error::RuntimeMissing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn check_input(&self, launch: &str, socket: &str) -> Result<()> {
        let state = ["display-message", "-p", "-t", &target(launch), "#{pane_dead}"];
        if self.must(TYPE, socket, &state, "")?.trim() == "1" {
            let reason = "the program has ended".to_owned();
            return Err(Error::RuntimeFailed { action: TYPE, reason });
        }
        Ok(())
    }

    fn paste(&self, launch: &str, socket: &str, text: &str) -> Result<()> {
        let (target, text) = (target(launch), typed(text));
        if text.is_empty() {
            return Ok(());
        }
        let tty = self.tty(socket, &target)?;
        self.must(TYPE, socket, &["load-buffer", "-b", launch, "-"], &text)?;
        let paste = ["paste-buffer", "-p", "-r", "-d", "-b", launch, "-t", &target];
        self.at_program(socket, &target, &paste)?;
        wait_until_read(&tty, text.len())
    }

    fn has_read(&self, launch: &str, socket: &str) -> Result<bool> {
        Ok(unread(&self.tty(socket, &target(launch))?)? == 0)
    }

    fn submit(&self, launch: &str, socket: &str) -> Result<()> {
        let target = target(launch);
        self.at_program(socket, &target, &["send-keys", "-t", &target, "Enter"])
    }

    fn history(&self, launch: &str, socket: &str, lines: u32) -> Result<String> {
        let start = format!("-{lines}");
        let args = ["capture-pane", "-p", "-J", "-S", &start, "-t", &target(launch)];
        let screen = self.must("read a screen", socket, &args, "")?;
        Ok(screen.trim_end().to_owned())
    }

    fn press(&self, launch: &str, socket: &str, keys: &[Press]) -> Result<()> {
        let (action, target) = ("send keys", target(launch));
        let state = ["display-message", "-p", "-t", &target, "#{pane_dead}"];
        if self.must(action, socket, &state, "")?.trim() == "1" {
            let reason = "the program has ended".to_owned();
            return Err(Error::RuntimeFailed { action, reason });
        }
        let cancel = format!("send-keys -t {target} -X cancel");
        let leave = ["if-shell", "-F", "-t", &target, "#{pane_in_mode}", &cancel];
        self.must(action, socket, &leave, "")?;
        for (number, key) in keys.iter().enumerate() {
            if number > 0 {
                sleep(BETWEEN_KEYS);
            }
            let text;
            let one = match key {
                Press::Key(name) if name.chars().count() > 1 => vec![name.as_str()],
                Press::Key(name) => vec!["-l", "--", name],
                Press::Text(written) => {
                    text = word(&typed(written));
                    vec!["-l", "--", &text]
                }
            };
            let args = [&["send-keys", "-t", &target], &one[..]].concat();
            self.must(action, socket, &args, "")?;
        }
        Ok(())
    }

    fn pipe(&self, launch: &str, socket: &str, fifo: &str) -> Result<String> {
        let target = target(launch);
        let cursor = ["display-message", "-p", "-t", &target, "#{cursor_y} #{cursor_x}", ";"];
        let screen = ["capture-pane", "-p", "-e", "-t", &target, ";"];
        // tmux expands formats and times in it, and a shell runs it.
        let quoted = fifo.replace('\'', "'\\''").replace('#', "##").replace('%', "%%");
        let copy = format!("exec cat >'{quoted}'");
        let pipe = ["pipe-pane", "-O", "-t", &target, &copy];
        // One run of tmux, in which the program prints nothing.
        let args = [&cursor[..], &screen, &pipe].concat();
        let shown = self.must("read its output", socket, &args, "")?;
        Ok(drawing(&shown))
    }

    fn type_exactly(&self, launch: &str, socket: &str, text: &str) -> Result<()> {
        self.check_input(launch, socket)?;
        let target = target(launch);
        self.at_program(socket, &target, &["send-keys", "-t", &target, "-l", "--", &word(text)])
    }

    fn attach(&self, launch: &str, socket: &str, is_read_only: bool) -> Option<Vec<String>> {
        let target = target(launch);
        let mut argv = vec!["tmux", "-u", "-f", "/dev/null", "-S", socket, "attach-session"];
        argv.extend(is_read_only.then_some("-r"));
        argv.extend(["-t", &target]);
        Some(argv.into_iter().map(str::to_owned).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_is_a_format_a_separator_or_a_control() {
        assert_eq!(word("a;"), "a\\;");
        assert_eq!(word("a;b"), "a;b");
        assert_eq!(literal("/x/#(touch y);"), "/x/##(touch y)\\;");
        assert_eq!(typed("a\u{1b}]0;x\u{7}\tb\nc"), "a]0;x\tb\nc");
    }
}
