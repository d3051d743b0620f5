//! The memory use of observing, measured in one process per test, because a test shares its process
//! with all others.

use std::process::Command;
use std::time::Duration;

use ao_fake_github::{CheckSpec, Conclusion, Fault, Kind, On, Transport};

use super::rig::Rig;
use super::socket::Socket;

/// Set in a process that runs one of those tests.
const ALONE: &str = "AO_TEST_ALONE";

/// Runs a test of this file in its own process.
fn alone(test: &str, body: fn()) {
    if std::env::var_os(ALONE).is_some() {
        return body();
    }
    let name = format!("poll::memory::{test}");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &name, "--nocapture", "--test-threads", "1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let output_text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && output_text.contains("1 passed"), "{output:?}");
}

/// A figure of this process in kilobytes: `VmRSS` is its memory, `VmHWM` the maximum.
fn kilobytes(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with(name))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// Case 42.
#[test]
fn a_log_of_200_megabytes_costs_less_than_four() {
    alone("a_log_of_200_megabytes_costs_less_than_four", || {
        let mut rig = Rig::new();
        rig.socket = Some(Socket::new("", Duration::from_secs(60)));
        let pr = rig.tracked("ao/demo-1");
        for (job, len) in [("warm", 1 << 20), ("long", 200 << 20)] {
            let before = kilobytes("VmHWM").unwrap_or(0);
            let huge = Kind::Transport(Transport::Huge(len));
            rig.world.faults.push(Fault::times(1, huge).on(On::route("/blob/")));
            rig.world.check(&pr, &CheckSpec::job("ci", job), Conclusion::Failure);
            rig.minutes(3);
            assert!(rig.log_tail(&pr, job).unwrap().contains("one more line"), "{job}");
            let grown = kilobytes("VmHWM").unwrap_or(0) - before;
            assert!(job == "warm" || grown < 4 << 10, "{grown} kB more at the peak");
        }
    });
}

/// Case 53.
#[test]
fn thousands_of_requests_leave_nothing_behind() {
    alone("thousands_of_requests_leave_nothing_behind", || {
        let mut rig = Rig::fleet(1, 3);
        let prs = rig.world.prs();
        let mut after = |requests: u64| {
            while rig.calls < requests {
                rig.world.set_title(&prs[0], &format!("{}", rig.calls % 10));
                rig.minutes(30);
                rig.world.log.clear();
                rig.world.journal.clear();
            }
            kilobytes("VmRSS").unwrap_or(0)
        };
        let (early, late) = (after(500), after(2_500));

        assert!(late < early + 1_024, "{early} kB became {late} kB");
    });
}
