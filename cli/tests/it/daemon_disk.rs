//! The disk of a daemon: a network file system is refused, little space is told, and sizes have their budgets.

use serde_json::{Value, json};

use crate::support::{Mount, TestEnv, can_trace, text, under_strace};

/// Makes every file system of the command one of this type number, in the byte order of this machine.
fn on_type(env: &TestEnv, magic: u64, args: &[&str]) -> (i32, String, String) {
    let magic: String = magic.to_ne_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let inject = format!("inject=statfs:poke_exit=@arg2={magic}");
    let options = ["-o", "/dev/null", "-e", "trace=statfs", "-e", &inject];
    let done = under_strace(&env.command(args), &options).output().unwrap();
    let [stdout, stderr] = [done.stdout, done.stderr].map(|it| String::from_utf8(it).unwrap());
    (done.status.code().unwrap(), stdout, stderr)
}

#[test]
fn a_network_file_system_is_refused_before_anything_is_made() {
    if !can_trace() {
        return;
    }
    let env = TestEnv::empty();
    for (magic, name) in [(0x6969, "nfs"), (0xff53_4d42, "cifs"), (0x0102_1997, "9p")] {
        for args in [&["daemon"][..], &["start"], &["up"]] {
            let (code, _, stderr) = on_type(&env, magic, args);
            assert_eq!(code, 2, "{args:?} on {name}: {stderr}");
            assert!(stderr.contains("error[INVALID_PATH]") && stderr.contains(name), "{stderr}");
            assert!(stderr.contains("hint: use a directory on a local disk: `"), "{stderr}");
        }
        assert!(!env.path("data").exists(), "{name}: nothing is made there");
    }
    let (_, _, stderr) = on_type(&env, 0x6969, &["start", "--json"]);
    let error: Value = serde_json::from_str(&stderr).unwrap();
    crate::documented::check_error(&error);
    let details = json!({"path": text(&env.path("data")), "file_system": "nfs"});
    assert_eq!(error["error"]["details"], details);
    // What needs no daemon works on the file, and the doctor tells.
    assert_eq!(on_type(&env, 0x6969, &["init"]).0, 0);
    let (_, found, _) = on_type(&env, 0x6969, &["doctor"]);
    let line = found.lines().find(|line| line.contains("db.fs")).unwrap();
    assert!(line.starts_with("fail") && line.contains("nfs"), "{line}");
}

#[test]
fn little_space_is_told_at_the_start_and_in_status_and_metrics() {
    let env = TestEnv::empty();
    let small = env.path("small");
    let _mount = match Mount::new(&small, "size=32m,mode=0700") {
        Ok(mount) => mount,
        Err(error) => return println!("skipped: no tmpfs can be mounted: {error}"),
    };
    let data = ["--data-dir", text(&small)];
    let started = env.run(&[&["start", "--no-observe"], &data[..]].concat());
    let told = env.ok(&[&["status"], &data[..]].concat());
    let status = env.json("store.status", &[&["status"], &data[..]].concat());
    let metrics = env.ok(&[&["metrics"], &data[..]].concat());
    env.ok(&[&["stop"], &data[..]].concat());
    assert_eq!(started.code, 0, "{}", started.stderr);
    assert!(started.stderr.contains("warning: disk space is low: "), "{}", started.stderr);
    assert!(told.contains("\ndisk      low: "), "{told}");
    assert_eq!(
        (&status["disk"]["is_low"], &status["disk"]["wanted_bytes"]),
        (&json!(true), &json!(1 << 30))
    );
    assert!(status["disk"]["free_bytes"].as_u64().is_some_and(|free| free > 0 && free < 32 << 20));
    for line in ["disk_wanted_bytes 1073741824", "disk_free_bytes ", "wal_budget_bytes 67108864"] {
        assert!(metrics.contains(&format!("\nao_store_{line}")), "{line}: {metrics}");
    }
}

#[test]
fn the_log_has_a_budget_where_a_rule_sets_one() {
    let env = TestEnv::new();
    let budgets = || {
        let status = env.json("store.status", &["status"]);
        let metrics = env.ok(&["metrics"]);
        let line = metrics.lines().find(|line| line.starts_with("ao_store_log_budget_bytes"));
        let of_metrics = line.map(|line| line.rsplit(' ').next().unwrap().to_owned());
        (status["log_budget_bytes"].as_u64(), of_metrics)
    };
    env.ok(&["init"]);
    assert_eq!(budgets(), (None, None));
    env.ok(&["retention", "set", "--max-bytes", "1GiB"]);
    assert_eq!(budgets(), (Some(1 << 30), Some("1073741824".to_owned())));
    let told = env.ok(&["status"]);
    let changes = told.lines().find(|line| line.starts_with("changes ")).unwrap();
    assert!(changes.ends_with(" of 1.0 GiB"), "{changes}");
    assert!(told.lines().any(|line| line.starts_with("wal ") && line.ends_with(" of 64.0 MiB")));
}
