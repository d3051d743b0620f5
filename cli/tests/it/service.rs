//! The daemon as a service: its unit, and what it notifies the service manager of.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::Command;

use rustix::process::Signal;

use crate::support::{BOUND, Live, TestEnv, finish};

#[test]
fn what_is_printed_is_what_is_installed_and_removed() {
    let env = TestEnv::new();
    let path = env.path("home/.config/systemd/user/ao-store.service");
    let printed = env.ok(&["service", "print"]);
    assert!(printed.contains("\nType=notify\n") && printed.contains("\nKillMode=process\n"));
    let dir = env.path("data").canonicalize().unwrap();
    assert!(printed.contains(&format!("--data-dir \"{}\" daemon\n", dir.display())), "{printed}");
    let document = env.json("service.print", &["service", "print"]);
    assert_eq!(document["is_installed"], false);
    for _ in 0..2 {
        let said = env.run(&["service", "install"]);
        assert_eq!(said.code, 0, "{}", said.stderr);
        assert!(said.stderr.contains("systemctl --user enable --now ao-store.service"));
        assert_eq!(fs::read_to_string(&path).unwrap(), printed);
    }
    let document = env.json("service.install", &["service", "install"]);
    assert_eq!((&document["is_installed"], &document["unit"]), (&true.into(), &printed.into()));
    for _ in 0..2 {
        let document = env.json("service.uninstall", &["service", "uninstall"]);
        assert_eq!(document["is_installed"], false);
        assert!(!path.exists());
    }
}

#[test]
fn systemd_takes_the_unit_with_a_hostile_path() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: there is no systemd-analyze");
        return;
    }
    let env = TestEnv::empty();
    let dir = env.path("a b%h$HOME'\"\\;\n#x");
    let dir = crate::support::text(&dir);
    env.ok(&["--data-dir", dir, "init"]);
    env.ok(&["--data-dir", dir, "service", "install"]);
    let path = env.path("home/.config/systemd/user/ao-store.service");
    let verified = finish(env.clean("systemd-analyze").args(["--user", "verify"]).arg(path), b"");
    let about = verified.stderr.lines().filter(|line| line.contains("ao-store.service"));
    assert_eq!(about.collect::<Vec<_>>(), [""; 0], "{}", verified.stderr);
}

#[test]
fn the_service_manager_is_notified_of_the_start_and_the_end() {
    let env = TestEnv::new();
    let path = env.path("notify.sock");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(BOUND)).unwrap();
    let next = || {
        let mut buffer = [0; 256];
        let length = manager.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    };
    let mut command = env.command(&["daemon", "--no-observe"]);
    let daemon = Live::start(command.env("NOTIFY_SOCKET", &path));
    assert_eq!(next().trim_end(), "READY=1");
    assert_eq!(env.json("daemon.status", &["daemon", "status"])["state"], "ready");
    daemon.signal(Signal::TERM);
    assert_eq!(next().trim_end(), "STOPPING=1");
    assert_eq!(daemon.end().code, 143);
}

#[test]
fn a_manager_that_is_gone_ends_nothing() {
    let env = TestEnv::new();
    let mut command = env.command(&["daemon", "--no-observe"]);
    let daemon = Live::start(command.env("NOTIFY_SOCKET", env.path("nobody.sock")));
    daemon.until_printed("the service manager cannot be notified");
    assert_eq!(env.json("daemon.status", &["daemon", "status"])["state"], "ready");
}
