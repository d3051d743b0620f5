//! Runs git in a repository that it may change.
//!
//! Nothing that the repository configures is run, and git looks for the repository in the directory itself,
//! not above it. A value from outside belongs after `--end-of-options` or `--`.

use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::environment::Environment;
use crate::error::{Error, Result};
use crate::git::{Git, failure};
use crate::git_config::{overrides, sets_upload_pack};
use crate::program::{Output, Program};

/// The most bytes that git may print: the list of all work trees, or of all changed files.
const OUTPUT_MAX: usize = 64 << 20;

/// What git prints when another git holds a file that it does not wait for: the lock of the configuration, or
/// a work tree of which only half is recorded. It fails so before it writes anything.
const BUSY: [&str; 2] = ["could not lock config file", "/commondir: Success"];
/// How long such a git is waited for.
const BUSY_WITHIN: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(50);

/// git in one directory, with what its repository configures made harmless.
#[derive(Debug)]
pub struct GuardedGit<'a> {
    git: Git<'a>,
    /// The variables of every run: protocols, prompts, and the overrides of the configuration.
    variables: Vec<(String, String)>,
}

/// One run of git.
#[derive(Debug, Clone, Copy)]
pub struct GitCommand<'a> {
    /// Its arguments.
    pub args: &'a [&'a str],
    /// Its standard input.
    pub input: &'a str,
    /// Variables that it gets besides.
    pub variables: &'a [(&'a str, &'a str)],
    /// How long it may run.
    pub timeout: Duration,
}

impl<'a> Git<'a> {
    /// Reads the configuration as it is now, for runs of git that may write.
    ///
    /// # Errors
    /// The directory is in no repository; git fails; a key of the configuration is not UTF-8.
    pub fn guarded(self) -> Result<GuardedGit<'a>> {
        let mut guarded = GuardedGit { git: self, variables: fixed_variables(self.dir) };
        let listing = guarded.run(&["config", "--list", "-z", "--show-scope", "--includes"])?;
        // Outside a repository git lists the other scopes; this run says why there is none.
        if !listing.split(|byte| *byte == 0).any(|part| part == b"local") {
            guarded.run(&["rev-parse", "--git-dir"])?;
        }
        let overrides = overrides(&listing)?;
        // git takes the first value of this setting, so it cannot be replaced: `fetch` names the program,
        // and no other run may fetch.
        if sets_upload_pack(&listing) {
            guarded.variables.push(("GIT_NO_LAZY_FETCH".to_owned(), "1".to_owned()));
        }
        guarded.variables.push(("GIT_CONFIG_COUNT".to_owned(), overrides.len().to_string()));
        for (number, (key, value)) in overrides.into_iter().enumerate() {
            guarded.variables.push((format!("GIT_CONFIG_KEY_{number}"), key));
            guarded.variables.push((format!("GIT_CONFIG_VALUE_{number}"), value));
        }
        Ok(guarded)
    }
}

/// The variables that do not depend on the configuration.
fn fixed_variables(dir: &Path) -> Vec<(String, String)> {
    let above = dir.parent().map(|dir| dir.to_string_lossy().into_owned()).unwrap_or_default();
    let fixed = [
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_OPTIONAL_LOCKS", "0"),
        ("GIT_ALLOW_PROTOCOL", "https:http:ssh:git:file"),
        // Any value takes precedence over `core.gitProxy`, which names a program.
        ("GIT_PROXY_COMMAND", ""),
        ("GIT_CEILING_DIRECTORIES", &above),
        ("SSH_ASKPASS_REQUIRE", "never"),
    ];
    fixed.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

impl GuardedGit<'_> {
    /// The directory that git is run in.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.git.dir
    }

    /// The variables that git gets besides its own.
    #[must_use]
    pub fn environment(&self) -> &Environment {
        self.git.environment
    }

    /// Runs git, which must succeed, and returns what it printed.
    ///
    /// # Errors
    /// [`Error::Git`] with the last lines that git printed; git cannot be run or takes too long.
    pub fn run(&self, args: &[&str]) -> Result<Vec<u8>> {
        self.run_command(&GitCommand { args, input: "", variables: &[], timeout: self.git.timeout })
    }

    /// Like [`run`](GuardedGit::run), with input, variables and a time of its own.
    ///
    /// # Errors
    /// As [`run`](GuardedGit::run).
    pub fn run_command(&self, command: &GitCommand<'_>) -> Result<Vec<u8>> {
        let output = self.output(command)?;
        match output.status {
            0 => Ok(output.stdout),
            status => Err(cause(status, &output.stderr)),
        }
    }

    /// Like [`run`](GuardedGit::run), but `None` when git silently reports that there is no such thing.
    ///
    /// # Errors
    /// As [`run`](GuardedGit::run).
    pub fn query(&self, args: &[&str]) -> Result<Option<Vec<u8>>> {
        let timeout = self.git.timeout;
        let output = self.output(&GitCommand { args, input: "", variables: &[], timeout })?;
        match output.status {
            0 => Ok(Some(output.stdout)),
            1 if output.stderr.is_empty() => Ok(None),
            status => Err(cause(status, &output.stderr)),
        }
    }

    /// Like [`run_command`](GuardedGit::run_command), but only the first `max` bytes of what git prints, and whether
    /// it prints more. It is stopped then, so it must be one that only reads.
    ///
    /// # Errors
    /// As [`run`](GuardedGit::run).
    pub fn beginning(&self, command: &GitCommand<'_>, max: usize) -> Result<(Vec<u8>, bool)> {
        let (output, is_cut) = self.with_program(command, |program| program.run_until(max))?;
        match output.status {
            0 => Ok((output.stdout, is_cut)),
            status => Err(cause(status, &output.stderr)),
        }
    }

    fn output(&self, command: &GitCommand<'_>) -> Result<Output> {
        let deadline = Instant::now() + BUSY_WITHIN;
        loop {
            let output = self.with_program(command, |program| program.run_within(OUTPUT_MAX))?;
            if !is_busy(&output) || Instant::now() > deadline {
                return Ok(output);
            }
            sleep(POLL);
        }
    }

    fn with_program<T>(
        &self,
        command: &GitCommand<'_>,
        run: impl FnOnce(Program<'_>) -> Result<T>,
    ) -> Result<T> {
        let own = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let variables: Vec<_> = own.chain(command.variables.iter().copied()).collect();
        run(Program {
            name: "git",
            args: command.args,
            input: command.input,
            dir: self.git.dir,
            environment: self.git.environment,
            variables: &variables,
            timeout: self.git.time_for(command.timeout)?,
        })
    }
}

fn is_busy(output: &Output) -> bool {
    let stderr = String::from_utf8_lossy(&output.stderr);
    output.status != 0 && BUSY.iter().any(|text| stderr.contains(text))
}

/// Whether a line says why git failed, and not what a person could do.
fn is_cause(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with("hint:")
}

/// Why git failed: a repository that is gone or not trusted, or the last lines that it printed.
fn cause(status: u32, stderr: &[u8]) -> Error {
    let stderr = String::from_utf8_lossy(stderr);
    match failure(status, &stderr) {
        Error::Git(_) if stderr.lines().any(is_cause) => {
            let lines: Vec<&str> = stderr.lines().filter(|line| is_cause(line)).collect();
            let last = &lines[lines.len().saturating_sub(3)..];
            Error::Git(last.join("; ").trim_start_matches("fatal: ").to_owned())
        }
        error => error,
    }
}
