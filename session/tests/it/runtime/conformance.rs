//! What every runtime does.

use std::time::Duration;

use ao_session::runtime::{Ended, Process, Runtime, processes};

use super::world::World;

/// Arguments that a shell, a format or a command parser would not leave as they are.
const HOSTILE: [&str; 9] = [
    "a b",
    "'single' \"double\"",
    "ends;",
    ";",
    "#(touch marker)",
    "#{pane_id} #S",
    "$(touch marker) `touch marker`",
    "two\nlines",
    "-t",
];

const PRINT: &str =
    "pwd -P > \"$1\"; printf '%s|' \"$@\" >> \"$1\"; echo \"$AO_LAUNCH_ID\" >> \"$1\"
echo END >> \"$1\"; exec sleep 100000";

fn exercise(make: impl Fn(&World) -> Box<dyn Runtime>) {
    let world = World::new();
    let runtime = make(&world);
    runtime.check().unwrap();
    let launch = world.launch("first");
    let program = world.program("print", PRINT);
    let out = world.path("out");
    let args = [&[out.to_str().unwrap()], &HOSTILE[..]].concat();
    let place = world.start(&*runtime, &launch, &program, &args);
    assert_eq!(place.kind, runtime.kind());
    let printed = world.content("out");
    let work = world.path("work");
    assert!(printed.starts_with(work.to_str().unwrap()), "its directory: {printed}");
    assert!(printed.contains(&args.join("|")), "its arguments: {printed}");
    assert!(printed.contains(&format!("|{launch}\n")), "its launch: {printed}");
    assert!(world.runs(&launch));
    assert!(!runtime.is_server_gone(&place.socket).unwrap());
    assert_eq!(processes::end(&launch, Duration::from_secs(30)).unwrap(), Ended::Exited);
    runtime.remove(&launch, &place.socket).unwrap();
    runtime.remove(&launch, &place.socket).unwrap();
    assert_eq!(processes::end(&launch, Duration::ZERO).unwrap(), Ended::Absent);
    ends_whatever_a_program_does(&world, &*runtime);
    assert!(
        !world.path("marker").exists() && !work.join("marker").exists(),
        "nothing was executed"
    );
}

/// A program that ignores signals and has a child in a session of its own is killed, with that.
fn ends_whatever_a_program_does(world: &World, runtime: &dyn Runtime) {
    let launch = world.launch("stubborn");
    let text = "trap '' TERM HUP INT; setsid sh -c 'trap \"\" TERM HUP; echo END > \"$1\"; while :; do sleep 1; done' x \"$1\" & while :; do sleep 1; done";
    let program = world.program("stubborn", text);
    let ready = world.path("ready");
    let place = world.start(runtime, &launch, &program, &[ready.to_str().unwrap()]);
    world.content("ready");
    assert_eq!(processes::end(&launch, Duration::from_millis(300)).unwrap(), Ended::Killed);
    assert!(!world.runs(&launch));
    runtime.remove(&launch, &place.socket).unwrap();
}

#[test]
fn tmux_is_a_runtime() {
    exercise(|world| Box::new(world.tmux()));
}

#[test]
fn a_plain_process_is_a_runtime() {
    exercise(|_| Box::new(Process));
}
