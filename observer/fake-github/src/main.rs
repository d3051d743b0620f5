//! Serves a fleet of pull requests on the system clock until it is killed.

use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use ao_fake_github::{Server, World};

const USAGE: &str =
    "usage: fake-github [--port P] [--prs N] [--repos R] [--checks C] [--threads T]";

fn main() -> ExitCode {
    let mut numbers = [0_usize, 100, 10, 5, 3];
    let names = ["--port", "--prs", "--repos", "--checks", "--threads"];
    let mut arguments = std::env::args().skip(1);
    let mut err = std::io::stderr();
    while let Some(argument) = arguments.next() {
        let slot = names.iter().position(|name| *name == argument);
        let value = arguments.next().and_then(|value| value.parse().ok());
        let (Some(slot), Some(value)) = (slot, value) else {
            let _ = writeln!(err, "{USAGE}");
            return ExitCode::from(2);
        };
        numbers[slot] = value;
    }
    let [port, prs, repos, checks, threads] = numbers;
    let world = World::fleet_of_now(repos, prs, checks, threads);
    let port = u16::try_from(port).unwrap_or(0);
    match Server::start_on(port, Arc::new(Mutex::new(world))) {
        Ok(server) => {
            let _ = writeln!(std::io::stdout(), "{} (token: token)", server.url);
            loop {
                std::thread::park();
            }
        }
        Err(error) => {
            let _ = writeln!(err, "fake-github: {error}");
            ExitCode::FAILURE
        }
    }
}
