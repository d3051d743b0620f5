//! The lookup in `PATH`, and what an environment shows of itself.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use ao_program::Environment;

fn with_path(path: &OsStr) -> Environment {
    [(OsStr::new("PATH"), path)].into_iter().collect()
}

#[test]
fn a_program_is_an_executable_file_in_the_first_directory_that_has_one() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| dir.path().join(name);
    for name in ["folder", "plain", "good", "later"] {
        fs::create_dir(folder(name)).unwrap();
    }
    fs::create_dir(folder("folder/tool")).unwrap();
    for (name, mode) in [("plain/tool", 0o644), ("good/tool", 0o755), ("later/tool", 0o755)] {
        fs::write(folder(name), "").unwrap();
        fs::set_permissions(folder(name), Permissions::from_mode(mode)).unwrap();
    }
    let find = |names: &[&str]| {
        let path = std::env::join_paths(names.iter().map(|name| folder(name))).unwrap();
        with_path(&path).find_program("tool")
    };
    assert_eq!(find(&["none", "folder", "plain", "good", "later"]), Some(folder("good/tool")));
    assert_eq!(find(&["folder", "plain"]), None);
    assert_eq!(Environment::default().find_program("tool"), None, "there is no PATH");
}

#[test]
fn relative_and_empty_entries_of_the_path_do_not_count() {
    // The lookup would find it from here: tests run in the folder of their crate.
    assert!(Path::new("../.ci/run").is_file());
    assert_eq!(with_path(OsStr::new("../.ci")).find_program("run"), None);
    for path in ["", ":", "::"] {
        assert_eq!(with_path(OsStr::new(path)).find_program("../.ci/run"), None, "{path:?}");
    }
}

#[test]
fn an_empty_variable_is_not_set_and_no_value_is_shown() {
    let environment: Environment = [("EMPTY", ""), ("TOKEN", "secret")].into_iter().collect();
    assert_eq!(environment.get("EMPTY"), None);
    assert_eq!(environment.get("TOKEN"), Some(OsStr::new("secret")));
    let shown = format!("{environment:?}");
    assert!(shown.contains("TOKEN") && !shown.contains("secret"), "{shown}");
}
