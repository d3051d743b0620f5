//! The metrics are read by the parser of Prometheus, and a collector never reads half of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};

use crate::support::{TestEnv, finish};

#[test]
fn prometheus_reads_the_metrics_and_has_no_complaint() {
    if Command::new("promtool").arg("--version").output().is_err() {
        println!("skipped: promtool is not installed");
        return;
    }
    let env = TestEnv::with_demo();
    env.ok(&["consumer", "create", "indexer", "--from", "beginning"]);
    env.ok(&["backup", "out.db"]);
    // Without credentials the observer records the state of the host before it fails.
    env.refused(&["observe", "--once"], 4, "CREDENTIALS_MISSING");
    let metrics = env.ok(&["metrics"]);
    for name in ["build_info", "consumer_lag_events", "backup_timestamp", "observer_credential"] {
        assert!(metrics.contains(&format!("\nao_store_{name}")), "{name}: {metrics}");
    }
    let mut promtool = Command::new("promtool");
    promtool.args(["check", "metrics"]);
    promtool.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let checked = finish(&mut promtool, metrics.as_bytes());
    assert_eq!((checked.code, checked.stderr.as_str()), (0, ""), "{metrics}");
    assert_eq!(checked.stdout, "");
}

#[test]
fn a_file_of_metrics_is_replaced_as_a_whole() {
    let env = TestEnv::new();
    let file = env.path("ao.prom");
    for content in ["", "old"] {
        env.file("ao.prom", content);
        assert_eq!(env.ok(&["metrics", "--out", "ao.prom"]), "");
        assert!(fs::read_to_string(&file).unwrap().ends_with("# EOF\n"));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o644);
    }
    // Nothing else is left, and a failure leaves the file as it is.
    fs::create_dir(env.path("taken")).unwrap();
    env.refused(&["metrics", "--out", "taken"], 1, "IO_ERROR");
    let left = fs::read_dir(env.path("")).unwrap().map(|it| it.unwrap().file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with(".ao-store-")));
    env.refused(&["metrics", "--out", "no/such/ao.prom"], 1, "IO_ERROR");
}
