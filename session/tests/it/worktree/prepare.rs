//! Files are copied into a new worktree, and the setup command runs in it.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::time::Duration;

use ao_session::Error;
use ao_session::worktree::{copy_files, run_setup};

use super::fixture::Home;

fn patterns(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn files_that_match_are_copied_with_their_mode_and_never_over_others() {
    let home = Home::new();
    let path = home.worktree(1);
    home.write(".env", "secret");
    fs::set_permissions(home.repo().join(".env"), PermissionsExt::from_mode(0o600)).unwrap();
    home.write("tracked", "changed in the main work tree");
    fs::create_dir_all(home.repo().join("config/deep")).unwrap();
    home.write("config/deep/local.toml", "x");
    home.write("config/other", "x");
    let copied =
        copy_files(home.repo(), &path, &patterns(&[".env", "tracked", "**/*.toml", "config/"]));
    let copied = copied.unwrap();
    let expected = [".env", "config/deep/local.toml", "config/other"].map(PathBuf::from);
    assert_eq!((copied.files, copied.skipped.len()), (expected.to_vec(), 0));
    assert_eq!(fs::read_to_string(path.join(".env")).unwrap(), "secret");
    assert_eq!(fs::metadata(path.join(".env")).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::read_to_string(path.join("tracked")).unwrap(), "one\n");
    let again = copy_files(home.repo(), &path, &patterns(&[".env"])).unwrap();
    assert!(again.files.is_empty() && again.skipped.is_empty());
}

#[test]
fn nothing_is_read_or_written_outside() {
    let home = Home::new();
    fs::create_dir(home.path("outside")).unwrap();
    fs::write(home.path("outside/secret"), "secret").unwrap();
    // The checkout has a symlink where the project has a directory.
    symlink(home.path("outside"), home.repo().join("lib")).unwrap();
    home.git(&["add", "lib"]);
    home.commit("link");
    let path = home.worktree(1);
    fs::remove_file(home.repo().join("lib")).unwrap();
    fs::create_dir(home.repo().join("lib")).unwrap();
    home.write("lib/a.env", "x");
    symlink(home.path("outside/secret"), home.repo().join("b.env")).unwrap();
    symlink(home.repo().join("lib/a.env"), home.repo().join("c.env")).unwrap();
    let texts = ["**/*.env", "../outside/*", "/etc/passwd", ".git/**", "[", "**"];
    let copied = copy_files(home.repo(), &path, &patterns(&texts)).unwrap();
    assert_eq!(copied.files, [PathBuf::from("c.env")]);
    let skipped: Vec<_> = copied.skipped.iter().map(|(file, _)| file.to_str().unwrap()).collect();
    assert_eq!(skipped, ["b.env", "lib/a.env"]);
    assert!(!home.path("outside/a.env").exists() && !path.join("b.env").exists());
}

#[test]
fn a_setup_command_that_fails_shows_the_end_of_its_output() {
    let home = Home::new();
    let path = home.worktree(1);
    let run = |command: &str, timeout| {
        let variables = [("AO_SESSION_ID", "demo-1".to_owned())];
        let timeout = Duration::from_secs(timeout);
        run_setup(&path, command, timeout, &home.environment, &variables, &|| false)
    };
    run("test \"$AO_SESSION_ID\" = demo-1 && test -f tracked && touch made", 60).unwrap();
    assert!(path.join("made").exists());
    // More than a program may print elsewhere.
    run("head -c 3000000 /dev/zero", 60).unwrap();
    let noisy =
        "i=0; while [ $i -lt 3000 ]; do echo line $i; i=$((i+1)); done; echo why >&2; exit 3";
    match run(noisy, 60) {
        Err(Error::SetupFailed { outcome, tail }) => {
            assert_eq!(outcome, "ended with exit status 3");
            assert!(tail.ends_with("line 2999\nwhy\n") && tail.len() <= 8192, "{tail}");
        }
        outcome => panic!("{outcome:?}"),
    }
    match run("echo waiting; sleep 600 & wait", 1) {
        Err(Error::SetupFailed { outcome, tail }) => {
            assert!(outcome.contains("did not end") && tail == "waiting\n", "{outcome} {tail}");
        }
        outcome => panic!("{outcome:?}"),
    }
    assert!(matches!(run("kill -9 $$", 60), Err(Error::SetupFailed { .. })));
}
