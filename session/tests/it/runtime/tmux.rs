//! What only tmux has: a screen, input, a server that can be gone, and formats.

use std::fs;
use std::process::Command;

use ao_session::Error;
use ao_session::runtime::{Runtime, Tmux};

use super::world::World;

/// Notes what is typed, line by line.
const NOTE: &str =
    "stty -echo; echo ready; while IFS= read -r line; do printf '%s\\n' \"$line\" >> \"$1\"; done";

/// Types a text, and submits it.
fn send_text(tmux: &Tmux, launch: &str, socket: &str, text: &str) -> Result<(), Error> {
    tmux.check_input(launch, socket)?;
    tmux.paste(launch, socket, text)?;
    tmux.submit(launch, socket)
}

#[test]
fn a_text_arrives_as_it_is() {
    let world = World::new();
    let (tmux, launch) = (world.tmux(), world.launch("typed"));
    let (program, out) = (world.program("note", NOTE), world.path("out"));
    let place = world.start(&tmux, &launch, &program, &[out.to_str().unwrap()]);
    let screen = || tmux.capture(&launch, &place.socket).unwrap();
    world.until("the prompt", || screen().contains("ready"));
    // A pane mode would take the text for its commands.
    let copy = ["-S", &place.socket, "copy-mode", "-t", &place.pane];
    assert!(Command::new("tmux").args(copy).status().unwrap().success());
    for text in
        ["-x leading", "ends;", "#(touch marker) #{pane_id}", "a\u{1b}]0;title\u{7}b", "last"]
    {
        send_text(&tmux, &launch, &place.socket, text).unwrap();
    }
    world.until("the last line", || {
        fs::read_to_string(&out).is_ok_and(|text| text.ends_with("last\n"))
    });
    let wanted = "-x leading\nends;\n#(touch marker) #{pane_id}\na]0;titleb\nlast\n";
    assert_eq!(fs::read_to_string(&out).unwrap(), wanted);
    assert!(!world.path("marker").exists());
}

#[test]
fn the_output_is_piped_to_a_path_of_any_name_after_the_screen() {
    let world = World::new();
    let (tmux, launch) = (world.tmux(), world.launch("piped"));
    let echo = "stty -echo; printf 'a\\n\\033[1mready\\033[0m'; while read -r it; do echo \"got $it\"; done";
    let program = world.program("echo", echo);
    let place = world.start(&tmux, &launch, &program, &["x"]);
    world.until("the prompt", || {
        tmux.capture(&launch, &place.socket).is_ok_and(|screen| screen.contains("ready"))
    });
    let marker = world.path("marker");
    let name = "it's %H #{pane_id} ; \"$(touch marker)\" #(touch x)";
    let path = world.path(name);
    let screen = tmux.pipe(&launch, &place.socket, path.to_str().unwrap()).unwrap();
    assert!(screen.contains("a\r\n") && screen.contains("\u{1b}[1mready"), "{screen:?}");
    assert!(screen.ends_with("\u{1b}[2;6H"), "the cursor is after the prompt: {screen:?}");
    tmux.type_exactly(&launch, &place.socket, "x;\r").unwrap();
    world.until("the output", || {
        fs::read_to_string(&path).is_ok_and(|output| output == "got x;\r\n")
    });
    assert!(!marker.exists());
}

#[test]
fn a_dead_pane_interprets_nothing() {
    let world = World::new();
    let (tmux, launch) = (world.tmux(), world.launch("dead"));
    let program = world.program("ends", "echo over; exit 3");
    let place = world.start(&tmux, &launch, &program, &["x"]);
    world.until("its end", || {
        let shown =
            ["-S", &place.socket, "display-message", "-p", "-t", &place.pane, "#{pane_dead}"];
        Command::new("tmux").args(shown).output().unwrap().stdout == b"1\n"
    });
    assert!(tmux.capture(&launch, &place.socket).unwrap().contains("over"));
    let marker = world.path("marker");
    let text = format!("touch {}", marker.display());
    let refused = send_text(&tmux, &launch, &place.socket, &text);
    assert!(matches!(refused, Err(Error::RuntimeFailed { .. })));
    let keys = ["-S", &place.socket, "send-keys", "-t", &place.pane, &text, "Enter"];
    let _ = Command::new("tmux").args(keys).output().unwrap();
    assert!(!marker.exists());
    tmux.remove(&launch, &place.socket).unwrap();
}

#[test]
fn a_server_that_is_gone_is_no_failure_and_a_wrong_answer_is() {
    let world = World::new();
    let (tmux, launch) = (world.tmux(), world.launch("gone"));
    let program = world.program("stay", "exec sleep 100000");
    let place = world.start(&tmux, &launch, &program, &["x"]);
    world.kill_servers();
    assert!(tmux.is_server_gone(&place.socket).unwrap());
    tmux.remove(&launch, &place.socket).unwrap();
    let absent = world.path("no/such/socket");
    assert!(tmux.is_server_gone(absent.to_str().unwrap()).unwrap());
    // Something that is no tmux server.
    let fake = world.program("tmux", "echo nonsense >&2; exit 1");
    let path = fake.parent().unwrap().to_str().unwrap().to_owned();
    let broken = Tmux::new(&world.path("data"), &[("PATH", path.as_str())].into_iter().collect());
    assert!(matches!(broken.is_server_gone(&place.socket), Err(Error::RuntimeFailed { .. })));
    let none = Tmux::new(&world.path("data"), &[("PATH", "/nonexistent")].into_iter().collect());
    assert!(matches!(none.check(), Err(Error::RuntimeMissing(_))));
}

#[test]
fn two_stores_with_equal_launches_do_not_touch_each_other() {
    let world = World::new();
    let launch = world.launch("same");
    let program = world.program("stay", "exec sleep 100000");
    let [one, two] = ["one", "two"].map(|name| Tmux::new(&world.path(name), &world.environment()));
    let first = world.start(&one, &launch, &program, &["x"]);
    let second = world.start(&two, &launch, &program, &["x"]);
    assert_ne!(first.socket, second.socket);
    one.remove(&launch, &first.socket).unwrap();
    world.until("the last session ends the server", || one.is_server_gone(&first.socket).unwrap());
    assert!(!two.is_server_gone(&second.socket).unwrap());
    assert!(two.capture(&launch, &second.socket).is_ok());
}

#[test]
fn a_directory_with_a_hostile_name_is_only_a_directory() {
    let world = World::new();
    let tmux = world.tmux();
    let marker = world.path("marker");
    let names = ["#(touch marker)", "a;", "x y", "#{pane_id}", "-n"];
    for (number, name) in names.into_iter().enumerate() {
        let dir = world.path(name);
        fs::create_dir(&dir).unwrap();
        let launch = world.launch(&format!("dir{number}"));
        let program =
            world.program("where", "pwd -P > \"$1\"; echo END >> \"$1\"; exec sleep 100000");
        let out = world.path("out");
        let _ = fs::remove_file(&out);
        world.start_in(&tmux, &launch, &program, &[out.to_str().unwrap()], &dir);
        assert_eq!(world.content("out"), format!("{}\nEND\n", dir.display()));
    }
    assert!(!marker.exists());
}
