//! 3.9, 13 to 17: a project has one orchestrator.

use super::{ensuring, reboot, refused_untouched, spawning};
use crate::sessions::Lab;

fn orchestrators(lab: &Lab) -> String {
    lab.sql("SELECT group_concat(id) FROM session WHERE kind = 'orchestrator'")
}

#[test]
fn s3_9_13_the_active_one_is_returned() {
    let lab = Lab::new();
    let args = ensuring(&lab, &[]);
    let first = lab.ok(&args);
    let (launch, head) = (lab.get(first.trim())["launch_id"].clone(), lab.env.head());
    assert_eq!(lab.ok(&args), first);
    assert_eq!(lab.get(first.trim())["launch_id"], launch);
    assert_eq!((orchestrators(&lab).as_str(), lab.env.head()), (first.trim(), head));
}

#[test]
fn s3_9_14_one_is_spawned_if_there_is_none() {
    let lab = Lab::new();
    lab.spawn(&[]);
    let first = lab.ok(&ensuring(&lab, &[])).trim().to_owned();
    assert_eq!(lab.get(&first)["kind"], "orchestrator", "a worker is none");
    lab.ok(&["session", "kill", &first]);
    let second = lab.ok(&ensuring(&lab, &[])).trim().to_owned();
    assert_ne!(first, second, "a terminated one is none");
    assert_eq!(lab.get(&first)["is_terminated"], true);
}

#[test]
fn s3_9_15_a_failed_replacement_keeps_the_old_one() {
    let lab = Lab::new();
    let args = ensuring(&lab, &["--replace"]);
    let old = lab.ok(&args).trim().to_owned();
    let launch = lab.get(&old)["launch_id"].clone();
    lab.sql("UPDATE project SET setup_command = 'exit 3'");
    lab.refused(&args, 1, "SETUP_FAILED");
    assert_eq!(orchestrators(&lab), old);
    let session = lab.get(&old);
    assert_eq!((&session["is_terminated"], &session["launch_id"]), (&false.into(), &launch));
    assert_eq!(lab.panes().len(), 1);
    lab.check_no_orphan();
    lab.sql("UPDATE project SET setup_command = ''");
    let new = lab.ok(&args).trim().to_owned();
    assert_eq!(lab.get(&old)["is_terminated"], true);
    assert_eq!(lab.get(&new)["is_terminated"], false);
    assert_eq!(lab.panes().len(), 1);
    lab.check_no_orphan();
}

#[test]
fn s3_9_16_concurrent_replacements_leave_one() {
    let lab = Lab::new();
    lab.ok(&ensuring(&lab, &[]));
    let args = ensuring(&lab, &["--replace"]);
    let running: Vec<_> = (0..4).map(|_| lab.command(&args).spawn().unwrap()).collect();
    for child in running {
        let output = child.wait_with_output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() || error.contains("error[SESSION_BUSY]"), "{error}");
    }
    let live = "SELECT count(*) FROM session WHERE kind = 'orchestrator' AND is_terminated = 0";
    assert_eq!(lab.sql(live), "1");
    assert_eq!(lab.panes().len(), 1);
    lab.check_no_orphan();
}

#[test]
fn s3_9_17_a_spawned_orchestrator_obeys_the_same_rule() {
    let lab = Lab::new();
    let args = spawning(&lab, &["--kind", "orchestrator"]);
    let first = lab.ok(&args);
    assert_eq!(lab.ok(&ensuring(&lab, &[])), first);
    let head_before = lab.env.head();
    let error = lab.refused(&args, 5, "ORCHESTRATOR_ALREADY_ACTIVE");
    assert!(error.contains(first.trim()), "{error}");
    assert_eq!((orchestrators(&lab).as_str(), lab.env.head()), (first.trim(), head_before));
}

/// An orchestrator that was lost is the same one after reconciliation.
#[test]
fn ao_2185_no_second_orchestrator() {
    let lab = Lab::new();
    let first = lab.ok(&ensuring(&lab, &[]));
    reboot(&lab);
    lab.ok(&["reconcile"]);
    assert_eq!(lab.ok(&ensuring(&lab, &[])), first);
    assert_eq!(orchestrators(&lab), first.trim());
    let args = ["session", "restore", first.trim()];
    refused_untouched(&lab, &args, 5, "SESSION_NOT_RESTORABLE");
}
