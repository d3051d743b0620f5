//! The table of transitions is made from the reducer, and its invariants hold for all evidence.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;

const NOW: i64 = 1_000_000;

/// A state of this activity, recorded long ago.
fn stored(activity: Activity) -> State {
    let cause = match activity {
        Activity::Waiting => "permission",
        Activity::Blocked => "trust",
        _ => "",
    };
    let call = if activity == Activity::Waiting { "c1" } else { "" };
    let (cause, call) = (cause.to_owned(), call.to_owned());
    State { activity, cause, call, at: Timestamp(NOW - 60_000), revision: 7, ..State::default() }
}

fn evidence(source: Source, signal: Signal) -> Evidence {
    Evidence { source, at: Timestamp(NOW), seen: None, signal }
}

fn after(stored: &State, source: Source, signal: &Signal) -> Option<State> {
    reduce(stored, &evidence(source, signal.clone()), Timestamp(NOW))
}

/// Every signal with its description in the table.
fn signals() -> Vec<(&'static str, Source, Signal)> {
    let asked = |kind, call: &str| Signal::Asked { kind, call: call.to_owned() };
    let shown = |activity, cause: &str| Signal::Shown(activity, cause.to_owned());
    let (hook, screen) = (Source::Hook, Source::Screen);
    vec![
        ("the program runs, and was given no prompt", hook, Signal::Ready),
        ("a turn begins", hook, Signal::TurnStarted),
        ("another tool call begins", hook, Signal::ToolStarted("c2".to_owned())),
        ("another tool call ends", hook, Signal::ToolEnded("c2".to_owned())),
        ("the tool call that waits begins or ends", hook, Signal::ToolEnded("c1".to_owned())),
        ("permission is asked", hook, asked(DecisionKind::Permission, "c3")),
        ("the same permission is asked again", hook, asked(DecisionKind::Permission, "c1")),
        ("trust or login is asked", hook, asked(DecisionKind::Trust, "")),
        ("permission is given or denied", hook, Signal::Decided("c1".to_owned())),
        ("a notification of a wait, without identity", hook, Signal::Notified),
        ("the turn ends", hook, Signal::TurnEnded),
        ("a request fails", hook, Signal::TurnFailed("server_error".to_owned())),
        ("a limit is reached", hook, Signal::Limited(None)),
        ("the screen shows work", screen, shown(Activity::Active, "")),
        ("the screen shows an empty prompt", screen, shown(Activity::Idle, "")),
        ("the screen shows a permission dialog", screen, shown(Activity::Waiting, "permission")),
        ("the screen shows a trust dialog", screen, shown(Activity::Blocked, "trust")),
        ("nothing is reported or shown for long", Source::Process, Signal::Silent),
        ("the program ends", Source::Process, Signal::Ended),
    ]
}

/// `AO_UPDATE_GOLDEN=1 cargo test -p ao-store --lib activity` writes it.
#[test]
fn the_page_of_the_transitions_is_up_to_date() {
    let mut page = "# Activity of an agent\n\nMade from `store/src/model/activity/reduce.rs` by a test. Each \
        row is a piece of evidence, each column the stored activity, each cell what follows; an empty cell \
        means that nothing changes. The stored state is a minute old, waits for the permission of a tool \
        call or is blocked by a trust dialog, and a limit has no known end.\n\n\
        - Evidence of another launch, of an ended one, or older than the stored state is ignored.\n\
        - The screen counts only five seconds after the last report of a hook.\n\
        - What only the screen has shown, and no longer shows, is unknown after five seconds; a limit holds.\n\
        - An observation is ignored when the state has changed since it began.\n\n"
        .to_owned();
    page.push_str("| evidence |");
    Activity::ALL.iter().for_each(|activity| write!(page, " {activity} |").unwrap());
    page.push_str("\n| --- |");
    page.push_str(&" --- |".repeat(Activity::ALL.len()));
    for (name, source, signal) in signals() {
        write!(page, "\n| {name} |").unwrap();
        for activity in Activity::ALL {
            let next = after(&stored(*activity), source, &signal);
            let next = next.map_or(String::new(), |state| match state.cause.as_str() {
                "" => state.activity.to_string(),
                cause => format!("{} ({cause})", state.activity),
            });
            write!(page, " {next} |").unwrap();
        }
    }
    page.push('\n');
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/activity.md");
    if std::env::var_os("AO_UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), page, "run with AO_UPDATE_GOLDEN=1");
}

#[test]
fn only_the_call_that_waits_releases_a_permission() {
    let waiting = stored(Activity::Waiting);
    assert_eq!(after(&waiting, Source::Hook, &Signal::ToolEnded("c2".to_owned())), None);
    assert_eq!(after(&waiting, Source::Hook, &Signal::ToolEnded(String::new())), None);
    let next = after(&waiting, Source::Hook, &Signal::ToolEnded("c1".to_owned())).unwrap();
    assert_eq!((next.activity, next.cause.as_str()), (Activity::Active, ""));
}

#[test]
fn a_notification_after_the_end_of_a_turn_does_not_reopen_it() {
    assert_eq!(after(&stored(Activity::Idle), Source::Hook, &Signal::Notified), None);
}

#[test]
fn a_screen_does_not_overrule_a_hook_at_once() {
    let fresh =
        State { at: Timestamp(NOW - 1_000), source: Source::Hook, ..stored(Activity::Waiting) };
    let idle = Signal::Shown(Activity::Idle, String::new());
    assert_eq!(after(&fresh, Source::Screen, &idle), None);
    assert_eq!(
        after(&stored(Activity::Waiting), Source::Screen, &idle).unwrap().activity,
        Activity::Idle
    );
}

#[test]
fn a_limit_holds_until_it_ends() {
    let limited = |until| State { until: Some(Timestamp(until)), ..stored(Activity::Limited) };
    let idle = Signal::Shown(Activity::Idle, String::new());
    assert_eq!(after(&limited(NOW + 1), Source::Screen, &idle), None);
    assert_eq!(after(&limited(NOW - 1), Source::Screen, &idle).unwrap().activity, Activity::Idle);
    let next = after(&limited(NOW + 1), Source::Hook, &Signal::TurnStarted).unwrap();
    assert_eq!((next.activity, next.until), (Activity::Active, None));
}

#[test]
fn evidence_counts_although_the_clock_was_set_back() {
    let future = State { at: Timestamp(NOW + 60_000), ..stored(Activity::Active) };
    assert!(after(&future, Source::Hook, &Signal::TurnEnded).is_some());
}

fn any_signal() -> impl Strategy<Value = (Source, Signal)> {
    let all: Vec<_> = signals().into_iter().map(|(_, source, signal)| (source, signal)).collect();
    prop::sample::select(all)
}

fn any_stored() -> impl Strategy<Value = State> {
    prop::sample::select(Activity::ALL).prop_map(stored)
}

proptest! {
    #[test]
    fn an_ended_launch_is_never_revived(signals in prop::collection::vec(any_signal(), 1..20)) {
        let mut state = stored(Activity::Exited);
        for (source, signal) in signals {
            state = after(&state, source, &signal).unwrap_or(state);
            prop_assert_eq!(state.activity, Activity::Exited);
        }
    }

    #[test]
    fn equal_evidence_changes_nothing_the_second_time(
        state in any_stored(),
        (source, signal) in any_signal(),
    ) {
        if let Some(next) = after(&state, source, &signal) {
            prop_assert_eq!(after(&next, source, &signal), None);
        }
    }

    #[test]
    fn older_evidence_never_wins(state in any_stored(), (source, signal) in any_signal()) {
        let state = State { at: Timestamp(NOW - 10), ..state };
        let late = Evidence { at: Timestamp(NOW - 11), ..evidence(source, signal.clone()) };
        prop_assert!(signal == Signal::Ended || reduce(&state, &late, Timestamp(NOW)).is_none());
    }

    #[test]
    fn an_observation_of_another_revision_is_not_used(
        state in any_stored(),
        (source, signal) in any_signal(),
    ) {
        let other = Evidence { seen: Some(state.revision + 1), ..evidence(source, signal.clone()) };
        prop_assert!(signal == Signal::Ended || reduce(&state, &other, Timestamp(NOW)).is_none());
    }

    #[test]
    fn every_change_has_a_new_revision_and_its_source(
        state in any_stored(),
        (source, signal) in any_signal(),
    ) {
        if let Some(next) = after(&state, source, &signal) {
            prop_assert_eq!(next.revision, state.revision + 1);
            prop_assert_eq!((next.source, next.at), (source, Timestamp(NOW)));
        }
    }
}

#[test]
fn a_program_that_was_given_a_prompt_is_not_idle_before_its_turn() {
    let starting = State { has_prompt: true, ..stored(Activity::Starting) };
    assert_eq!(after(&starting, Source::Hook, &Signal::Ready), None);
    let next = after(&starting, Source::Hook, &Signal::TurnStarted).unwrap();
    assert_eq!(next.activity, Activity::Active);
}

/// Its first screen is an empty prompt, too.
#[test]
fn a_program_that_was_given_a_prompt_is_not_idle_because_its_first_screen_is_empty() {
    let given = |seconds: i64| State {
        has_prompt: true,
        at: Timestamp(NOW - seconds * 1_000),
        ..stored(Activity::Starting)
    };
    let idle = Signal::Shown(Activity::Idle, String::new());
    assert_eq!(after(&given(1), Source::Screen, &idle), None);
    let next = after(&given(5), Source::Screen, &idle).unwrap();
    assert_eq!(next.activity, Activity::Idle);
    let trust = Signal::Shown(Activity::Blocked, "trust".to_owned());
    let next = after(&given(1), Source::Screen, &trust).unwrap();
    assert_eq!((next.activity, next.cause.as_str()), (Activity::Blocked, "trust"));
}

#[test]
fn what_only_the_screen_has_shown_is_unknown_when_it_is_gone() {
    for activity in [Activity::Active, Activity::Idle, Activity::Waiting, Activity::Blocked] {
        let seen = State { source: Source::Screen, ..stored(activity) };
        let next = after(&seen, Source::Process, &Signal::Silent).unwrap();
        assert_eq!(next.activity, Activity::Unknown);
    }
    for activity in [Activity::Idle, Activity::Waiting, Activity::Blocked] {
        let told = State { source: Source::Hook, ..stored(activity) };
        assert_eq!(after(&told, Source::Process, &Signal::Silent), None);
    }
}

/// Two hooks run at once, and the one that was called first is stored first, but after the other was called.
#[test]
fn a_hook_counts_although_an_earlier_one_was_stored_after_it_was_called() {
    let hook = |at, signal| Evidence { at: Timestamp(at), ..evidence(Source::Hook, signal) };
    let (first, second) = (hook(NOW, Signal::Ready), hook(NOW + 5, Signal::TurnStarted));
    let stored = reduce(&stored(Activity::Starting), &first, Timestamp(NOW + 10)).unwrap();
    let next = reduce(&stored, &second, Timestamp(NOW + 20)).unwrap();
    assert_eq!(next.activity, Activity::Active);
}
