//! What every test here needs: an environment of its own with nothing of the caller's in it, the
//! binary, git repositories, the stock `sqlite3` shell, and live processes that are waited for with
//! a bound: a wait ends in a failure, never in a pass.

use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Longer than any step takes on a loaded machine.
pub(crate) const BOUND: Duration = Duration::from_secs(60);

/// What a finished command left.
#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// A home, a data directory and the repositories of one test.
pub(crate) struct TestEnv {
    dir: TempDir,
}

impl TestEnv {
    /// Nothing is in it.
    pub(crate) fn empty() -> TestEnv {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("home")).unwrap();
        TestEnv { dir }
    }

    /// With a store.
    pub(crate) fn new() -> TestEnv {
        let env = TestEnv::empty();
        env.ok(&["init"]);
        env
    }

    /// With a store and the project `demo`, whose origin is github.com/octo/hello.
    pub(crate) fn with_demo() -> TestEnv {
        let env = TestEnv::new();
        let repo = env.repo("demo", "https://github.com/octo/hello.git");
        env.ok(&["project", "add", text(&repo)]);
        env
    }

    /// A path in the directory of this test.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join(name)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path("data/ao.db")
    }

    /// A file with this content.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        text(&path).to_owned()
    }

    /// The binary, to be run in the directory of this test.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.clean(env!("CARGO_BIN_EXE_ao-store"));
        command.args(args).env("AO_DATA_DIR", self.path("data"));
        command
    }

    /// A program that sees none of the caller's settings.
    pub(crate) fn clean(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        for (name, _) in std::env::vars_os() {
            let shown = name.to_string_lossy().into_owned();
            let is_setting = ["AO_", "XDG_", "GH_", "GIT_", "GITHUB_", "CLICOLOR"]
                .iter()
                .any(|prefix| shown.starts_with(prefix));
            if is_setting || shown == "NO_COLOR" {
                command.env_remove(name);
            }
        }
        command
            .env("HOME", self.path("home"))
            // No test asks the real one, whatever token it finds.
            .env("AO_GITHUB_API_URL", "http://127.0.0.1:9")
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs the binary.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        finish(&mut self.command(args), b"")
    }

    /// Runs the binary with this on its standard input.
    pub(crate) fn feed(&self, args: &[&str], input: impl AsRef<[u8]>) -> Output {
        finish(self.command(args).stdin(Stdio::piped()), input.as_ref())
    }

    /// Runs a shell script, in which `$0` is the binary.
    pub(crate) fn shell(&self, script: &str) -> Output {
        let mut shell = self.clean("sh");
        shell.args(["-c", script, env!("CARGO_BIN_EXE_ao-store")]);
        finish(shell.env("AO_DATA_DIR", self.path("data")), b"")
    }

    /// Runs the binary, which must succeed; its standard output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
        output.stdout
    }

    /// Runs the binary, which must refuse with this exit status and code; its standard error.
    pub(crate) fn refused(&self, args: &[&str], exit: i32, code: &str) -> String {
        let Output { code: status, stdout, stderr } = self.run(args);
        assert_eq!(status, exit, "{args:?}: {stdout}{stderr}");
        assert!(stderr.contains(&format!("error[{code}]: ")), "{args:?}: {stderr}");
        stderr
    }

    /// Runs the binary, which must refuse the command line; its standard error.
    pub(crate) fn refused_usage(&self, args: &[&str]) -> String {
        let Output { code, stdout, stderr } = self.run(args);
        assert_eq!((code, stdout.as_str()), (2, ""), "{args:?}: {stderr}");
        stderr
    }

    /// Runs the binary with `--json`, checks the envelope, and returns `data`.
    pub(crate) fn json(&self, kind: &str, args: &[&str]) -> Value {
        let args = [args, &["--json"]].concat();
        let output = self.run(&args);
        assert_eq!(output.code, 0, "{args:?}: {}", output.stderr);
        assert_eq!(output.stderr, "", "{args:?} prints something beside its document");
        assert_eq!(output.stdout.lines().count(), 1, "{args:?}: {}", output.stdout);
        let mut document: Value = serde_json::from_str(&output.stdout).unwrap();
        let keys: Vec<_> = document.as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys, ["schema_version", "kind", "data"], "{args:?}");
        assert_eq!(document["schema_version"], 1, "{args:?}");
        assert_eq!(document["kind"], kind, "{args:?}");
        crate::documented::check(kind, &document["data"]);
        document["data"].take()
    }

    /// The head of the log.
    pub(crate) fn head(&self) -> String {
        self.json("store.status", &["status"])["head"].as_str().unwrap().to_owned()
    }

    /// Every change so far.
    pub(crate) fn changes(&self) -> Vec<Value> {
        parsed(&self.ok(&["tail", "--from", "beginning", "--no-follow", "--format", "ndjson"]))
    }

    /// The types of the changes so far.
    pub(crate) fn types(&self) -> Vec<String> {
        self.changes().iter().map(|change| change["type"].as_str().unwrap().to_owned()).collect()
    }

    /// A git repository with one commit on `main`, and an origin unless that is empty.
    pub(crate) fn repo(&self, name: &str, origin: &str) -> PathBuf {
        let path = self.path(name);
        self.git(&["init", "-q", "-b", "main", text(&path)]);
        let path_arg = ["-C", text(&path)];
        let who = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
        self.git(&[&path_arg[..], &who, &["commit", "-q", "--allow-empty", "-m", "x"]].concat());
        if !origin.is_empty() {
            self.git(&[&path_arg[..], &["remote", "add", "origin", origin]].concat());
        }
        path
    }

    /// Runs git, which must succeed.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let mut git = self.clean("git");
        git.env("GIT_CONFIG_NOSYSTEM", "1").args(args);
        let output = finish(&mut git, b"");
        assert_eq!(output.code, 0, "git {args:?}: {}", output.stderr);
        output.stdout
    }

    /// Runs SQL in the stock shell: a writer that is not this program. `None`, with the
    /// reason printed, when there is no such shell.
    pub(crate) fn sqlite(&self, sql: &str) -> Option<String> {
        if !has_sqlite() {
            return None;
        }
        let output = finish(self.sqlite_shell().stdin(Stdio::piped()), sql.as_bytes());
        assert_eq!((output.code, output.stderr.as_str()), (0, ""), "{sql}");
        Some(output.stdout)
    }

    /// A database of the tool `ao`, with this many pull requests.
    pub(crate) fn database_of_ao(&self, name: &str, prs: usize) -> PathBuf {
        let path = self.path(name);
        let sql = format!(
            "CREATE TABLE projects (id, path); INSERT INTO projects VALUES ('demo', '/src/demo');
            CREATE TABLE sessions (id, project_id, num); INSERT INTO sessions VALUES ('demo-1', 'demo', 1);
            CREATE TABLE pr (url, session_id, title);
            WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {prs}) INSERT INTO pr
                SELECT 'https://github.com/octo/hello/pull/' || i, 'demo-1', printf('%.2000c', 'x') FROM n;"
        );
        let made = Command::new("sqlite3").args([text(&path), &sql]).status();
        assert!(made.expect("sqlite3 is needed").success());
        path
    }

    /// The stock shell on the database of this test; it stops at the first error.
    pub(crate) fn sqlite_shell(&self) -> Command {
        let mut shell = self.clean("sqlite3");
        shell.args(["-batch", "-bail", "-cmd", ".timeout 5000"]).arg(self.database());
        shell
    }

    /// Starts the binary and leaves it running.
    pub(crate) fn spawn(&self, args: &[&str]) -> Live {
        Live::start(&mut self.command(args))
    }

    /// Starts `tail` and waits until it follows.
    pub(crate) fn tail(&self, args: &[&str]) -> Live {
        let live = self.spawn(&[&["tail"], args].concat());
        live.until_printed("ready: cursor ");
        live
    }
}

/// Whether the stock shell is installed; prints a note if not.
pub(crate) fn has_sqlite() -> bool {
    let is_there = Command::new("sqlite3").arg("--version").output().is_ok();
    if !is_there {
        println!("skipped: there is no sqlite3 shell");
    }
    is_there
}

/// Whether commands can be traced; where not, the reason is printed, and under CI that is a failure.
pub(crate) fn can_trace() -> bool {
    let probe = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    let can_trace = probe.as_ref().is_ok_and(|output| output.status.success());
    assert!(can_trace || std::env::var_os("CI").is_none(), "strace is needed: {probe:?}");
    if !can_trace {
        println!("skipped: strace is missing or not permitted: {probe:?}");
    }
    can_trace
}

/// A command under strace with these options.
pub(crate) fn under_strace(inner: &Command, options: &[&str]) -> Command {
    let mut strace = Command::new("strace");
    strace.args(["-f", "-qq"]).args(options).arg("--");
    strace.arg(inner.get_program()).args(inner.get_args());
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => strace.env(name, value),
            None => strace.env_remove(name),
        };
    }
    strace.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    strace
}

/// A file system in memory, unmounted when dropped.
pub(crate) struct Mount(PathBuf);

impl Mount {
    /// Mounts one; the error says why that is not permitted.
    pub(crate) fn new(path: &Path, options: &str) -> Result<Mount, String> {
        fs::create_dir_all(path).unwrap();
        let mut mount = Command::new("mount");
        match mount.args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path).output() {
            Ok(output) if output.status.success() => Ok(Mount(path.to_owned())),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
            Err(error) => Err(error.to_string()),
        }
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let done = Command::new("umount").arg("-l").arg(&self.0).status();
        let is_done = done.is_ok_and(|status| status.success());
        assert!(is_done || thread::panicking(), "{} stays mounted", self.0.display());
    }
}

/// A path as text.
pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Every line as JSON.
pub(crate) fn parsed(lines: &str) -> Vec<Value> {
    let parsed: Vec<_> =
        lines.lines().map(|line| serde_json::from_str(line).expect(line)).collect();
    parsed.iter().for_each(crate::documented::check_line);
    parsed
}

/// Whether the text could drive a terminal.
pub(crate) fn has_controls(text: &str) -> bool {
    text.chars().any(|c| c.is_control() && c != '\n')
}

/// The text without the colours of this program; any other escape sequence stays.
pub(crate) fn without_colours(shown: &str) -> String {
    let mut parts = shown.split("\u{1b}[");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once('m') {
            Some((code, rest)) if code.bytes().all(|b| b.is_ascii_digit()) => text += rest,
            _ => text += &format!("\u{1b}[{part}"),
        }
    }
    text
}

/// Runs a command to its end, which must come in time.
pub(crate) fn finish(command: &mut Command, input: &[u8]) -> Output {
    let mut child = command.spawn().unwrap();
    let stdin = child.stdin.take();
    let input = input.to_vec();
    // The program may end without reading its input.
    let feeder = thread::spawn(move || stdin.map(|mut stdin| stdin.write_all(&input)));
    let stdout = collect(child.stdout.take().unwrap());
    let stderr = collect(child.stderr.take().unwrap());
    let code = wait(&mut child, command);
    let _ = feeder.join().unwrap();
    Output { code, stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

fn collect(mut stream: impl Read + Send + 'static) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        String::from_utf8(bytes).expect("output is UTF-8")
    })
}

fn wait(child: &mut Child, what: &dyn std::fmt::Debug) -> i32 {
    let status = wait_for_status(child, what);
    status.code().unwrap_or_else(|| panic!("{what:?} was killed: {status}"))
}

fn wait_for_status(child: &mut Child, what: &dyn std::fmt::Debug) -> ExitStatus {
    let deadline = Instant::now() + BOUND;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        thread::sleep(Duration::from_millis(2));
    }
    let _ = child.kill();
    panic!("{what:?} did not end in time");
}

/// A process that runs beside the test and is killed at its end.
pub(crate) struct Live {
    child: Child,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
}

impl Live {
    pub(crate) fn start(command: &mut Command) -> Live {
        let mut child = command.spawn().unwrap();
        let stdout = lines(child.stdout.take().unwrap());
        let stderr = lines(child.stderr.take().unwrap());
        Live { child, stdout, stderr }
    }

    /// The next line of standard output.
    pub(crate) fn line(&self) -> String {
        self.stdout.recv_timeout(BOUND).expect("a line on standard output in time")
    }

    /// The next line as a change.
    pub(crate) fn change(&self) -> Value {
        serde_json::from_str(&self.line()).unwrap()
    }

    /// Waits for a line on standard error that holds this.
    pub(crate) fn until_printed(&self, what: &str) -> String {
        let deadline = Instant::now() + BOUND;
        let mut printed = Vec::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.stderr.recv_timeout(left) {
                Ok(line) if line.contains(what) => return line,
                Ok(line) => printed.push(line),
                Err(error) => panic!("{what:?} was not printed ({error}), but {printed:?}"),
            }
        }
    }

    /// Waits for a line on standard error that holds this; `false` when the process ended before.
    pub(crate) fn is_printed(&self, what: &str) -> bool {
        let deadline = Instant::now() + BOUND;
        loop {
            match self.stderr.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) if line.contains(what) => return true,
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => panic!("{what:?} was not printed in time"),
            }
        }
    }

    /// Whether nothing comes on standard output for a while.
    pub(crate) fn is_quiet(&self) -> bool {
        let next = self.stdout.recv_timeout(Duration::from_millis(300));
        matches!(next, Err(RecvTimeoutError::Timeout))
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Writes to its standard input.
    pub(crate) fn say(&mut self, input: &str) {
        self.child.stdin.as_mut().unwrap().write_all(input.as_bytes()).unwrap();
    }

    /// How it ended, perhaps killed, and the rest of its standard error.
    pub(crate) fn status(mut self) -> (ExitStatus, String) {
        drop(self.child.stdin.take());
        let status = wait_for_status(&mut self.child, &"the process");
        (status, self.stderr.iter().map(|line| line + "\n").collect())
    }

    /// Its remaining output, after it ended by itself.
    pub(crate) fn end(mut self) -> Output {
        drop(self.child.stdin.take());
        let code = wait(&mut self.child, &"the process");
        let rest = |lines: &Receiver<String>| lines.iter().map(|line| line + "\n").collect();
        Output { code, stdout: rest(&self.stdout), stderr: rest(&self.stderr) }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn lines(stream: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = channel();
    thread::spawn(move || {
        for line in BufReader::new(stream).lines() {
            if send.send(line.unwrap()).is_err() {
                return;
            }
        }
    });
    receive
}
