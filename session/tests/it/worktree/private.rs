//! Files of ours in a worktree, which git does not see, and which replace nothing.

use std::fs;
use std::os::unix::fs::symlink;

use super::fixture::Home;

const NAME: &str = ".agent/settings.json";

/// Puts the file into worktree `number` and returns whether it was written.
fn add(home: &Home, number: i64, text: &str) -> bool {
    let files = [(NAME.to_owned(), text.to_owned())];
    let path = home.target(number);
    home.repository().add_private_files(&path, &files).unwrap()
}

#[test]
fn a_file_of_ours_is_not_seen_by_git_and_is_replaced() {
    let home = Home::new();
    let path = home.worktree(1);
    assert!(add(&home, 1, "one") && add(&home, 1, "two"));
    assert_eq!(fs::read_to_string(path.join(NAME)).unwrap(), "two");
    assert_eq!(home.git_in(&path, &["status", "--porcelain"]), "");
    let list = fs::read_to_string(home.repo().join(".git/info/exclude")).unwrap();
    assert_eq!(list.matches(NAME).count(), 1, "{list}");
}

#[test]
fn what_others_put_there_stays() {
    let home = Home::new();
    let path = home.worktree(1);
    fs::create_dir(path.join(".agent")).unwrap();
    fs::write(path.join(NAME), "of a person").unwrap();
    assert!(!add(&home, 1, "ours"));
    assert_eq!(fs::read_to_string(path.join(NAME)).unwrap(), "of a person");
}

#[test]
fn a_file_that_was_ours_and_is_committed_by_a_person_stays() {
    let home = Home::new();
    home.worktree(1);
    assert!(add(&home, 1, "ours"));
    fs::create_dir(home.repo().join(".agent")).unwrap();
    home.write(NAME, "of the repository");
    home.git(&["add", "-f", NAME]);
    home.commit("settings");
    let path = home.worktree(2);
    assert!(!add(&home, 2, "ours"));
    assert_eq!(fs::read_to_string(path.join(NAME)).unwrap(), "of the repository");
}

#[test]
fn a_file_or_a_link_in_place_of_the_directory_stops_nothing() {
    let home = Home::new();
    home.worktree(1);
    assert!(add(&home, 1, "ours"));
    let path = home.worktree(2);
    fs::write(path.join(".agent"), "a file").unwrap();
    assert!(!add(&home, 2, "ours"));
    fs::remove_file(path.join(".agent")).unwrap();
    fs::create_dir(home.path("outside")).unwrap();
    symlink(home.path("outside"), path.join(".agent")).unwrap();
    assert!(!add(&home, 2, "ours"));
    assert_eq!(fs::read_dir(home.path("outside")).unwrap().count(), 0);
}
