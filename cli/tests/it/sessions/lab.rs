//! A store with a project, whose sessions run on a tmux server of this test. At the end, also of a test that
//! fails, everything that runs is stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::support::{Output, TestEnv, finish, text};

/// How long something may take that takes milliseconds.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// An agent that runs until it is stopped, and notes its prompts.
const AGENT: &str = "#!/bin/sh
echo \"started $AO_PROMPT\"
echo \"$AO_LAUNCH_ID $AO_PROMPT\" >> \"$AO_DATA_DIR/starts\"
exec sleep 100000
";

pub(crate) struct Lab {
    pub(crate) env: TestEnv,
    /// The path of the agent.
    pub(crate) agent: String,
}

impl Lab {
    /// With the project `demo`, whose origin is a repository on this machine.
    pub(crate) fn new() -> Lab {
        let env = TestEnv::new();
        let repo = env.repo("demo", "");
        let origin = env.path("origin.git");
        env.git(&["clone", "-q", "--bare", text(&repo), text(&origin)]);
        env.git(&["-C", text(&repo), "remote", "add", "origin", text(&origin)]);
        env.git(&["-C", text(&repo), "fetch", "-q", "origin"]);
        env.git(&["-C", text(&repo), "remote", "set-head", "origin", "main"]);
        env.ok(&["project", "add", text(&repo)]);
        Lab::of(env)
    }

    /// Of a store that has its projects.
    pub(crate) fn of(env: TestEnv) -> Lab {
        let agent = env.file("agent.sh", AGENT);
        set_executable(Path::new(&agent));
        let lab = Lab { env, agent };
        // A hook that takes longer is given up; how long it takes depends on the machine.
        lab.set_busy_timeout("1m");
        lab
    }

    /// How long the store is waited for, and a hook may take.
    pub(crate) fn set_busy_timeout(&self, time: &str) {
        fs::create_dir_all(self.env.path("home/.config/ao-store")).unwrap();
        let text = format!("busy_timeout = \"{time}\"\n");
        self.env.file("home/.config/ao-store/config.toml", text);
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = self.env.command(args);
        command.env("TMUX_TMPDIR", self.env.path("home"));
        command
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        finish(&mut self.command(args), b"")
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
        assert!(stderr.contains(&format!("error[{code}]")), "{args:?}: {stderr}");
        stderr
    }

    /// Spawns a session that runs the agent; its id.
    pub(crate) fn spawn(&self, more: &[&str]) -> String {
        let args = self.spawning(more);
        self.ok(&args.iter().map(String::as_str).collect::<Vec<_>>()).trim().to_owned()
    }

    /// The arguments that spawn a session that runs the agent.
    pub(crate) fn spawning(&self, more: &[&str]) -> Vec<String> {
        let first = ["spawn", "--project", "demo", "--harness", "custom"];
        let all = [&first[..], more, &["--", &self.agent]].concat();
        all.into_iter().map(str::to_owned).collect()
    }

    /// The document of a session.
    pub(crate) fn get(&self, id: &str) -> Value {
        let document: Value =
            serde_json::from_str(&self.ok(&["session", "get", id, "--json"])).unwrap();
        document["data"].clone()
    }

    /// The one value of a query.
    pub(crate) fn sql(&self, query: &str) -> String {
        self.env.sqlite(query).expect("sqlite3 is installed by ./test").trim().to_owned()
    }

    pub(crate) fn worktree(&self, id: &str) -> PathBuf {
        let path = self.get(id)["worktree_path"].as_str().unwrap().to_owned();
        PathBuf::from(path)
    }

    /// git in the repository of the project.
    pub(crate) fn git(&self, args: &[&str]) -> String {
        let repo = self.env.path("demo");
        self.env.git(&[&["-C", text(&repo)], args].concat()).trim().to_owned()
    }

    /// The prompts with which the agent was started, oldest first.
    pub(crate) fn starts(&self) -> Vec<String> {
        let noted = fs::read_to_string(self.env.path("data/starts")).unwrap_or_default();
        noted.lines().map(|line| line.split_once(' ').unwrap().1.to_owned()).collect()
    }

    /// The processes that run in sessions of this store, and their supervisors.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let data = self.env.path("data");
        let wanted = format!("AO_DATA_DIR={}", text(&data));
        let read =
            |pid: u32, name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
        let is_ours = |pid: &u32| {
            let (variables, words) = (read(*pid, "environ"), read(*pid, "cmdline"));
            let all: Vec<_> = variables.split(|byte| *byte == 0).collect();
            let words: Vec<_> = words.split(|byte| *byte == 0).collect();
            let is_supervisor =
                words.contains(&b"supervise".as_slice()) && words.contains(&text(&data).as_bytes());
            let is_in_session = all.contains(&wanted.as_bytes());
            let has_launch = all.iter().any(|it| it.starts_with(b"AO_LAUNCH_ID="));
            (is_in_session || is_supervisor) && has_launch
        };
        let entries = fs::read_dir("/proc").unwrap().filter_map(Result::ok);
        entries.filter_map(|it| it.file_name().to_str()?.parse().ok()).filter(is_ours).collect()
    }

    /// The sessions of tmux servers of this test.
    pub(crate) fn panes(&self) -> Vec<String> {
        let mut found = Vec::new();
        for socket in self.sockets() {
            let listed = Command::new("tmux")
                .args(["-S", text(&socket), "list-sessions", "-F", "#{session_name}"])
                .output()
                .unwrap();
            let error = String::from_utf8_lossy(&listed.stderr);
            // Also one that ends just now.
            let gone = ["no server running", "connecting to", "server exited", "lost server"];
            let is_gone = gone.iter().any(|it| error.contains(it));
            assert!(listed.status.success() || is_gone, "{error}");
            found.extend(String::from_utf8_lossy(&listed.stdout).lines().map(str::to_owned));
        }
        found
    }

    /// The sockets of tmux servers in `home`, and in `other` where a test uses that instead.
    pub(crate) fn sockets(&self) -> Vec<PathBuf> {
        let uid = rustix::process::geteuid().as_raw();
        let dirs = ["home", "other"].map(|dir| self.env.path(&format!("{dir}/tmux-{uid}")));
        let entries = dirs.iter().filter_map(|dir| fs::read_dir(dir).ok()).flatten();
        entries.filter_map(Result::ok).map(|entry| entry.path()).collect()
    }

    /// How many processes listen to the stream of the store.
    pub(crate) fn listeners(&self) -> usize {
        fs::read_dir(self.env.path("data/wakeups")).into_iter().flatten().count()
    }

    /// Ends the tmux servers, as a reboot does.
    pub(crate) fn kill_servers(&self) {
        for socket in self.sockets() {
            let _ = Command::new("tmux").args(["-S", text(&socket), "kill-server"]).output();
        }
    }

    /// Kills everything of this store at once, and waits for its end.
    pub(crate) fn kill_all(&self) {
        self.kill_each(|_| true);
    }

    /// The same for one launch.
    pub(crate) fn kill_launch(&self, launch: &str) {
        let wanted = format!("AO_LAUNCH_ID={launch}");
        self.kill_each(|pid| {
            let variables = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            variables.split(|byte| *byte == 0).any(|it| it == wanted.as_bytes())
        });
    }

    fn kill_each(&self, is_meant: impl Fn(u32) -> bool) {
        let deadline = Instant::now() + SOON;
        loop {
            let mut left = self.processes();
            left.retain(|pid| is_meant(*pid));
            if left.is_empty() || Instant::now() > deadline {
                return;
            }
            for pid in left {
                let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
            sleep(Duration::from_millis(20));
        }
    }

    /// What the store, the repository, tmux and the machine have of sessions: nothing of any of these may
    /// exist without a row.
    pub(crate) fn check_no_orphan(&self) {
        let live = self.sql("SELECT group_concat(launch_id) FROM session WHERE is_terminated = 0");
        for pane in self.panes() {
            assert!(live.contains(&pane), "tmux session {pane} is an orphan: {live}");
        }
        let known = self.sql("SELECT group_concat(worktree_path) FROM session");
        for line in self.git(&["worktree", "list", "--porcelain"]).lines() {
            if let Some(path) = line.strip_prefix("worktree ") {
                let is_main = Path::new(path) == self.env.path("demo");
                assert!(is_main || known.contains(path), "worktree {path} is an orphan: {known}");
            }
        }
        let known = self.sql("SELECT group_concat(branch) FROM session");
        for branch in
            self.git(&["for-each-ref", "--format=%(refname:short)", "refs/heads/ao"]).lines()
        {
            assert!(known.contains(branch), "branch {branch} is an orphan: {known}");
        }
        assert_eq!(self.sql("SELECT count(*) FROM session_operation"), "0");
        assert_eq!(self.sql("SELECT count(*) FROM session WHERE spawned_at IS NULL"), "0");
        // Fails while a terminal is piped.
        let _ = fs::remove_dir(self.env.path("data/run/terminals"));
        let files = fs::read_dir(self.env.path("data/run")).into_iter().flatten();
        let mut files: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
        // Hooks have files of their own there, which stay.
        files.retain(|name| !name.to_string_lossy().starts_with("hook."));
        assert!(files.is_empty(), "files of launches are left: {files:?}");
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.kill_servers();
        self.kill_all();
    }
}

pub(crate) fn set_executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Waits until something holds.
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds() {
        assert!(Instant::now() < deadline, "{what} in time");
        sleep(Duration::from_millis(20));
    }
}
