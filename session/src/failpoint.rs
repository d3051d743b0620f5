//! Failures between the steps of a verb, in tests only: see the feature `failpoints`.
//!
//! `FAILPOINTS="spawn.seeded=return"` makes the step fail, `=return(kill)` kills the process as `kill -9`
//! does, `=panic` panics, `=stop` stops it until SIGCONT arrives, and `=INT`, `=TERM` and `=HUP` send it that
//! signal, which is handled before the step goes on.

use crate::error::Error;

/// Ends the enclosing function with an error, or the process, where the failpoint of this name is set. With
/// [`Sessions`](crate::Sessions) it also ends the function when a signal asks to stop: the caller then undoes
/// what was done. A step without them is in a part that runs to its end.
macro_rules! step {
    ($sessions:expr, $name:literal) => {
        step!($name);
        $sessions.check_interrupted()?;
    };
    ($name:literal) => {
        fail::fail_point!($name, |action: Option<String>| {
            Err($crate::failpoint::hit($name, action.as_deref()))
        });
    };
}
pub(crate) use step;

/// Sets the failpoints of the environment, once.
#[cfg(feature = "failpoints")]
pub(crate) fn set_up() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let points = std::env::var("FAILPOINTS").unwrap_or_default();
        for (name, action) in points.split(';').filter_map(|point| point.split_once('=')) {
            let name = name.trim();
            let set = match action.trim() {
                "stop" => fail::cfg_callback(name, || send(rustix::process::Signal::STOP)),
                "INT" => fail::cfg_callback(name, || raise(signal_hook::consts::SIGINT)),
                "TERM" => fail::cfg_callback(name, || raise(signal_hook::consts::SIGTERM)),
                "HUP" => fail::cfg_callback(name, || raise(signal_hook::consts::SIGHUP)),
                action => fail::cfg(name, action),
            };
            if let Err(error) = set {
                tracing::error!(name, error, "the failpoint cannot be set");
            }
        }
    });
}

/// Sends a signal to this process.
fn send(signal: rustix::process::Signal) {
    // After a failure the test waits in vain for what the signal does, and reports it.
    let _ = rustix::process::kill_process(rustix::process::getpid(), signal);
}

/// Sends a signal to this thread: unlike one to the process, it is handled before this returns.
#[cfg(feature = "failpoints")]
fn raise(signal: i32) {
    // The test reports what the signal did not do.
    let _ = signal_hook::low_level::raise(signal);
}

/// Nothing: there are none.
#[cfg(not(feature = "failpoints"))]
pub(crate) fn set_up() {}

/// What happens at a failpoint that is set.
#[cfg_attr(not(feature = "failpoints"), expect(dead_code, reason = "no failpoint is compiled in"))]
pub(crate) fn hit(name: &'static str, action: Option<&str>) -> Error {
    if action == Some("kill") {
        send(rustix::process::Signal::KILL);
    }
    Error::Failpoint(name)
}
