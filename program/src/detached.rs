//! Starts a program that outlives this one, such as a browser.

use std::io;
use std::thread::sleep;
use std::time::{Duration, Instant};

use subprocess::{Exec, ExecExt, Redirection};

use crate::environment::Environment;
use crate::error::{Error, Result};

/// How long the program may take to fail.
const GRACE: Duration = Duration::from_secs(2);

/// Starts a program of `PATH`, or at an absolute path, in a process group of its own and without input
/// and output. No shell is involved. Returns when it has ended, or after two seconds.
///
/// # Errors
/// It is not on `PATH`, cannot be started, or ends in that time with an error.
pub fn start_detached(name: &str, args: &[&str], environment: &Environment) -> Result<()> {
    let path = environment.find_program(name).ok_or_else(|| Error::NotOnPath(name.to_owned()))?;
    let job = Exec::cmd(path)
        .args(args)
        .env_clear()
        .env_extend(environment.iter())
        .setpgid()
        .stdin(Redirection::Null)
        .stdout(Redirection::Null)
        .stderr(Redirection::Null)
        .start()?;
    let deadline = Instant::now() + GRACE;
    loop {
        match job.poll() {
            Some(status) if status.success() => return Ok(()),
            Some(status) => return Err(io::Error::other(status.to_string()).into()),
            None if Instant::now() >= deadline => {
                job.detach();
                return Ok(());
            }
            None => sleep(Duration::from_millis(10)),
        }
    }
}
