//! Real agent programs in panes, against a model server on this machine that needs no account:
//! `AO_REAL_HARNESS=codex,gemini cargo test -p ao-cli --all-features --test it sessions::real`. Without the
//! variable nothing is run. docs/harnesses.md has what was tried.
//!
//! The programs are installed by npm into `target/harness`, and get a home of their own. The model server is
//! `fake_model.py` of the recorded material: `TOOL:command` in a prompt makes it ask for a command,
//! `SLOW:seconds` answer slowly, and `FAIL:status` fail.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::sessions::Lab;
use crate::sessions::lab::wait_until;
use crate::support::{Live, Output, finish, text};

/// A program, and what makes it ask the model server at `{url}`, in the worktrees below `{home}`.
struct Program {
    harness: &'static str,
    package: &'static str,
    version: &'static str,
    files: &'static [(&'static str, &'static str)],
    environment: &'static [(&'static str, &'static str)],
    model: &'static str,
    /// What is typed to end it.
    quit: &'static str,
}

const PROGRAMS: [Program; 3] = [
    Program {
        harness: "claude-code",
        package: "@anthropic-ai/claude-code",
        version: "2.1.332",
        files: &[(".claude.json", r#"{"hasCompletedOnboarding": true, "theme": "dark"}"#)],
        environment: &[
            ("ANTHROPIC_BASE_URL", "{url}"),
            ("ANTHROPIC_AUTH_TOKEN", "x"),
            ("DISABLE_AUTOUPDATER", "1"),
        ],
        model: "",
        quit: "/exit",
    },
    Program {
        harness: "codex",
        package: "@openai/codex",
        version: "0.171.0",
        files: &[(
            ".codex/config.toml",
            "model_provider = \"fake\"\nmodel = \"fake-model\"\n[model_providers.fake]\nname = \"fake\"\n\
             base_url = \"{url}/v1\"\nwire_api = \"responses\"\n",
        )],
        environment: &[],
        model: "",
        quit: "/quit",
    },
    Program {
        harness: "gemini",
        package: "@google/gemini-cli",
        version: "0.61.0",
        files: &[(
            ".gemini/settings.json",
            r#"{"security": {"auth": {"selectedType": "gemini-api-key"}}}"#,
        )],
        environment: &[("GEMINI_API_KEY", "x"), ("GOOGLE_GEMINI_BASE_URL", "{url}")],
        model: "gemini-2.5-flash",
        quit: "/quit",
    },
];

/// The model server.
struct Model {
    child: Child,
    url: String,
}

impl Model {
    fn start(script: &Path) -> Model {
        let mut command = Command::new("python3");
        let mut child = command.arg(script).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.trim().strip_prefix("ready ").expect("its port");
        let url = format!("http://127.0.0.1:{port}");
        Model { child, url }
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The directory with the program, which is installed if it is not there.
fn installed(program: &Program) -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
    let prefix = target.join("harness").join(format!("{}-{}", program.harness, program.version));
    let bin = prefix.join("node_modules/.bin");
    if !bin.exists() {
        fs::create_dir_all(&prefix).unwrap();
        let package = format!("{}@{}", program.package, program.version);
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--prefix", text(&prefix), &package]);
        assert!(npm.status().unwrap().success(), "npm cannot install {package}");
    }
    bin
}

/// A session of a real program.
struct Real<'a> {
    lab: Lab,
    program: &'a Program,
    path: String,
    model: Model,
}

impl<'a> Real<'a> {
    fn new(program: &'a Program, script: &Path) -> Real<'a> {
        let (lab, model) = (Lab::new(), Model::start(script));
        for (name, content) in program.files {
            let path = lab.env.path("home").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content.replace("{url}", &model.url)).unwrap();
        }
        let path = format!("{}:{}", installed(program).display(), std::env::var("PATH").unwrap());
        Real { lab, program, path, model }
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = self.lab.command(args);
        command.env("PATH", &self.path).env("TERM", "xterm-256color");
        for (name, value) in self.program.environment {
            command.env(name, value.replace("{url}", &self.model.url));
        }
        command
    }

    fn ok(&self, args: &[&str]) -> String {
        let Output { code, stdout, stderr } = finish(&mut self.command(args), b"");
        let now = self.screen() + &self.lab.ok(&["delivery", "ls"]);
        assert_eq!(code, 0, "{}: {args:?}: {stderr}\n{now}", self.program.harness);
        stdout
    }

    fn screen(&self) -> String {
        let Output { stdout, stderr, .. } =
            finish(&mut self.command(&["session", "log", "demo-1"]), b"");
        stdout + &stderr
    }

    fn wait_for(&self, state: &str) {
        self.ok(&["session", "wait", "demo-1", "--for", state, "--timeout", "15s"]);
    }

    fn state(&self) -> String {
        self.lab.get("demo-1")["activity"].as_str().unwrap().to_owned()
    }

    fn send(&self, message: &str) {
        self.ok(&["send", "demo-1", message, "--wait", "submitted", "--timeout", "15s"]);
    }

    /// Types a key.
    fn key(&self, key: &str) {
        let session = self.lab.get("demo-1");
        let [socket, pane] = ["runtime_socket", "runtime_pane"].map(|it| session[it].clone());
        let args = ["-S", socket.as_str().unwrap(), "send-keys", "-t", pane.as_str().unwrap(), key];
        assert!(Command::new("tmux").args(args).status().unwrap().success());
    }

    /// A permission is asked for a command that makes a file, and answered.
    fn answers(&self, file: &str, answer: &str) {
        self.send(&format!("TOOL:touch {file}"));
        self.wait_for("waiting");
        let asked = self.lab.get("demo-1")["decision"].clone();
        assert_eq!(asked["kind"], "permission", "{asked}");
        assert!(asked["text"].as_str().unwrap().contains(&format!("touch {file}")), "{asked}");
        self.ok(&["session", "answer", "demo-1", answer]);
        self.wait_for("idle");
        let is_made = self.lab.worktree("demo-1").join(file).exists();
        assert_eq!(is_made, answer == "--allow", "{answer}: {}", self.screen());
    }

    /// From its start to its end and back.
    fn lives(&self) {
        let up = Live::start(
            self.command(&["up", "--no-observe"]).stdout(Stdio::piped()).stderr(Stdio::piped()),
        );
        let first = ["spawn", "--project", "demo", "--harness", self.program.harness];
        let model = ["--model", self.program.model];
        let model = if self.program.model.is_empty() { &model[..0] } else { &model[..] };
        self.ok(&[&first[..], model, &["--prompt", "say hello"]].concat());
        // A program may say that it waits for input before it takes the prompt.
        wait_until("the prompt is taken", || {
            self.lab.get("demo-1")["launch"]["prompt_stage"] == "acknowledged"
        });
        self.wait_for("idle");
        self.send("SLOW:3 say more");
        wait_until("work", || self.state() == "active");
        self.wait_for("idle");
        self.answers("made", "--allow");
        self.answers("denied", "--deny");
        self.send("SLOW:60 be interrupted");
        wait_until("the answer", || self.screen().contains("Fake answ"));
        self.key("Escape");
        self.wait_for("idle");
        self.send("FAIL:400");
        wait_until("the end of the failed turn", || self.state() != "active");
        let native = self.lab.get("demo-1")["launch"]["native_id"].clone();
        self.ok(&["session", "kill", "demo-1", "--grace", "10s"]);
        assert_eq!(self.lab.processes(), [] as [u32; 0], "survivors");
        self.ok(&["session", "restore", "demo-1"]);
        self.wait_for("idle");
        let resumed = self.lab.get("demo-1")["launch"].clone();
        assert_eq!((&resumed["kind"], &resumed["native_id"]), (&"resume".into(), &native));
        self.ok(&["send", "demo-1", self.program.quit]);
        self.wait_for("exited");
        drop(up);
    }
}

#[test]
fn real_programs_work_in_panes() {
    let wanted = std::env::var("AO_REAL_HARNESS").unwrap_or_default();
    if wanted.is_empty() {
        println!("skipped: AO_REAL_HARNESS names no harness, such as codex,gemini");
        return;
    }
    let script =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/fixtures/harness/fake_model.py");
    assert!(script.exists(), "there is no {}", script.display());
    for name in wanted.split(',') {
        let program = PROGRAMS.iter().find(|it| it.harness == name);
        let program = program.unwrap_or_else(|| panic!("{name} is not one of the programs here"));
        Real::new(program, &script).lives();
        println!("{name} {}: passed", program.version);
    }
}
