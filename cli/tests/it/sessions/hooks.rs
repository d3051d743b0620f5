//! What agents report through their hooks: recorded for the launch of their environment, and never a failure.

use std::process::Stdio;

use crate::sessions::Lab;
use crate::support::{Output, finish};

/// Calls the hook of an event in the environment of a launch.
pub(crate) fn hook(lab: &Lab, launch: &str, event: &str, payload: &str) -> Output {
    let mut command = lab.command(&["hook", "claude-code", event]);
    command.env("AO_LAUNCH_ID", launch).stdin(Stdio::piped());
    finish(&mut command, payload.as_bytes())
}

#[test]
fn a_permission_is_asked_and_released_by_the_end_of_its_tool_call() {
    let lab = Lab::new();
    let id = lab.spawn(&["--prompt", "p"]);
    let launch = lab.sql("SELECT launch_id FROM session");
    let call = |file: &str| {
        format!(r#"{{"tool_name": "Bash", "tool_input": {{"command": "touch {file}"}}}}"#)
    };
    hook(&lab, &launch, "UserPromptSubmit", r#"{"session_id": "native", "prompt": "p"}"#);
    assert_eq!(lab.get(&id)["activity"], "active");
    hook(&lab, &launch, "PermissionRequest", &call("made"));
    let asked = lab.get(&id);
    assert_eq!(
        (&asked["activity"], &asked["activity_cause"]),
        (&"waiting".into(), &"permission".into())
    );
    assert_eq!(asked["decision"]["text"], "touch made");
    hook(&lab, &launch, "PostToolUse", &call("other"));
    assert_eq!(lab.get(&id)["activity"], "waiting", "it is another call");
    hook(&lab, &launch, "PostToolUse", &call("made"));
    assert_eq!(
        (&lab.get(&id)["activity"], lab.get(&id)["decision"].is_null()),
        (&"active".into(), true)
    );
    assert_eq!(lab.sql("SELECT resolution FROM decision"), "released");
    assert_eq!(lab.get(&id)["launch"]["native_id"], "native");
}

#[test]
fn a_hook_never_fails_and_of_no_launch_it_records_nothing() {
    let lab = Lab::new();
    lab.spawn(&["--prompt", "p"]);
    let before = lab.env.head();
    let launch = lab.sql("SELECT launch_id FROM session");
    for (launch, event, payload) in [
        ("", "Stop", "{}"),
        ("l0000000000000000", "Stop", "{}"),
        (&launch, "Stop", "no JSON"),
        (&launch, "Unheard", "{}"),
    ] {
        let Output { code, stdout, .. } = hook(&lab, launch, event, payload);
        assert_eq!((code, stdout.as_str()), (0, ""), "{launch} {event} {payload}");
    }
    assert_eq!(lab.run(&["hook"]).code, 0, "an agent takes other statuses for a refusal");
    assert_eq!(lab.env.head(), before);
}
