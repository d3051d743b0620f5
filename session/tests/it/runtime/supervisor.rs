//! The supervisor with a real store and a real program: what it records of a start and an end.

use std::fs;
use std::path::PathBuf;
use std::thread;

use ao_session::{Spec, supervise};
use ao_store::row::launch::{self, Launch, LaunchKind, NewLaunch, PromptStage};
use ao_store::row::project::{self, NewProject};
use ao_store::row::session::{self, NewSession, SessionKind};
use ao_store::{Cause, Options, Store};

use super::world::World;

/// A store with a session whose launch is recorded, and the file of the launch.
fn prepared(world: &World, argv: &[&str]) -> (Store, String, PathBuf) {
    let data = world.path("data");
    fs::create_dir_all(&data).unwrap();
    let (store, _) = Store::create(&data.join("ao.db"), Options::default()).unwrap();
    let project = NewProject {
        id: "demo".parse().unwrap(),
        path: "/src/demo".to_owned(),
        name: "demo".to_owned(),
        origin_url: String::new(),
        host: String::new(),
        repo: String::new(),
        default_branch: String::new(),
    };
    let new = NewSession {
        project: project.id.clone(),
        kind: SessionKind::Worker,
        harness: "custom".to_owned(),
        name: String::new(),
        issue: String::new(),
        branch: String::new(),
    };
    let id = world.launch("supervised");
    let begun = NewLaunch {
        reports: false,
        id: id.clone(),
        kind: LaunchKind::Fresh,
        instance: "i1".to_owned(),
        boot_id: "b".to_owned(),
        native_id: String::new(),
        prompt_stage: PromptStage::None,
    };
    let write = store.write(Cause::now("test"), move |tx| {
        project::add(tx, &project)?;
        let row = session::create(tx, &new)?;
        launch::begin(tx, &row, &begun)
    });
    write.unwrap();
    let spec = Spec {
        launch: id.clone(),
        session: "demo-1".to_owned(),
        dir: world.path("work"),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        runtime: "process".to_owned(),
        environment: vec![
            ("AO_LAUNCH_ID".to_owned(), id.clone()),
            ("PATH".to_owned(), "/bin".to_owned()),
        ],
    };
    let file = data.join(format!("run/{id}.json"));
    fs::create_dir_all(data.join("run")).unwrap();
    fs::write(&file, serde_json::to_vec(&spec).unwrap()).unwrap();
    (store, id, file)
}

/// Supervises a program to its end; the row, the tail of the output, and what was shown.
fn supervised(argv: &[&str]) -> (Launch, String, String) {
    let world = World::new();
    let (store, id, file) = prepared(&world, argv);
    let mut screen = Vec::new();
    let (path, options) = (store.path().to_owned(), store.options());
    let data = path.parent().unwrap();
    supervise(|| Store::open(&path, options), data, &id, &mut screen).unwrap();
    assert!(!file.exists(), "the file has secrets, and is deleted as soon as it is read");
    let read =
        store.read(|snapshot| Ok((launch::get(snapshot, &id)?, launch::output(snapshot, &id)?)));
    let (row, tail) = read.unwrap();
    (row.unwrap(), tail.unwrap_or_default(), String::from_utf8(screen).unwrap())
}

#[test]
fn an_exit_status_is_an_end_by_itself() {
    for status in [0, 1, 127] {
        let command = format!("echo out; echo err >&2; exit {status}");
        let (row, tail, shown) = supervised(&["/bin/sh", "-c", &command]);
        assert_eq!(
            (row.cause.as_str(), row.exit_status, row.signal),
            ("exited", Some(status), None)
        );
        assert!(row.started_at.is_some() && row.agent_pid.is_some() && !row.supervisor.is_empty());
        assert!(tail.contains("out") && tail.contains("err"), "{tail}");
        assert!(shown.contains(&format!("demo-1 exited with status {status}")), "{shown}");
    }
}

#[test]
fn a_signal_that_nobody_sent_here_is_no_end_by_itself() {
    let (row, _, shown) = supervised(&["/bin/sh", "-c", "kill -9 $$"]);
    assert_eq!((row.cause.as_str(), row.exit_status, row.signal), ("killed", None, Some(9)));
    assert!(shown.contains("signal 9"), "{shown}");
}

#[test]
fn a_program_that_cannot_be_executed_is_reported() {
    let (row, tail, shown) = supervised(&["/nonexistent/agent"]);
    assert_eq!((row.cause.as_str(), row.started_at), ("exec_failed", None));
    assert!(
        tail.contains("/nonexistent/agent") && shown.contains("could not be started"),
        "{tail}{shown}"
    );
}

#[test]
fn only_the_end_of_the_output_is_kept() {
    let (row, tail, _) = supervised(&["/bin/sh", "-c", "yes x | head -c 300000; echo last"]);
    assert_eq!(row.exit_status, Some(0));
    assert!(tail.len() <= launch::OUTPUT_MAX && tail.ends_with("last\n"), "{}", tail.len());
}

#[test]
fn the_store_is_written_when_it_comes_back() {
    let world = World::new();
    let (store, id, _) = prepared(&world, &["/bin/sh", "-c", "exit 5"]);
    let (path, options) = (store.path().to_owned(), store.options());
    let away = path.with_extension("away");
    drop(store);
    fs::rename(&path, &away).unwrap();
    let supervisor = {
        let (path, id) = (path.clone(), id.clone());
        thread::spawn(move || {
            let data = path.parent().unwrap();
            supervise(|| Store::open(&path, options), data, &id, &mut Vec::new())
        })
    };
    thread::sleep(std::time::Duration::from_millis(300));
    fs::rename(&away, &path).unwrap();
    supervisor.join().unwrap().unwrap();
    let store = Store::open(&path, options).unwrap();
    let row = store.read(|snapshot| launch::get(snapshot, &id)).unwrap().unwrap();
    assert_eq!((row.cause.as_str(), row.exit_status), ("exited", Some(5)));
}
