//! The ends of the turns of children, as messages to their parent.

use super::{Post, pasted};

fn line(child: &str, how: &str) -> String {
    format!("Session {child} has ended its turn{how}; its state: ao-store session get {child}")
}

fn turn(post: &Post, child: &str, end: &str) {
    post.hook(child, "Prompt", r#"{"prompt": "p"}"#);
    post.hook(child, end, "{}");
}

#[test]
fn a_parent_gets_the_ends_of_turns_once_and_together_while_it_is_busy() {
    let post = Post::new();
    let parent = post.spawn(&[]);
    let (first, second) = (post.spawn(&["--parent", &parent]), post.spawn(&["--parent", &parent]));
    let silent = post.spawn(&["--parent", &parent, "--no-report"]);
    turn(&post, &first, "Stop");
    let mut wanted = pasted(&line(&first, ""));
    post.until_heard(&parent, &wanted);
    // The same end again is none.
    post.hook(&first, "Stop", "{}");
    turn(&post, &silent, "Stop");
    post.until_stages("written");
    post.hook(&parent, "Prompt", r#"{"prompt": "p"}"#);
    for child in [&first, &second, &first] {
        turn(&post, child, "Stop");
    }
    turn(&post, &second, "Fail");
    // Some programs report the end of such a turn, too.
    post.hook(&second, "Stop", "{}");
    post.until_no_runner();
    assert_eq!((post.stages().as_str(), post.heard(&parent)), ("written,accepted", wanted.clone()));
    // A message is not delayed by them.
    post.send(&[&parent, "hello", "--wait", "written"]);
    wanted += &pasted("hello");
    post.until_heard(&parent, &wanted);
    post.hook(&parent, "Stop", "{}");
    let failed = line(&second, " by a failure (failed_request)");
    post.until_heard(&parent, &(wanted + &pasted(&format!("{}\n{failed}", line(&first, "")))));
    let rows = "SELECT group_concat(kind || ' ' || sender || ' ' || bytes, '|') FROM
        (SELECT * FROM delivery ORDER BY rowid)";
    assert!(post.lab.sql(rows).starts_with(&format!("report {first} ")), "{}", post.lab.sql(rows));
}

#[test]
fn a_parent_that_is_gone_gets_nothing() {
    let post = Post::new();
    let parent = post.spawn(&[]);
    let child = post.spawn(&["--parent", &parent]);
    post.lab.ok(&["session", "kill", &parent]);
    turn(&post, &child, "Stop");
    let external = post.lab.ok(&["session", "new", "--project", "demo"]).trim().to_owned();
    let other = post.spawn(&["--parent", &external]);
    turn(&post, &other, "Stop");
    assert_eq!(post.stages(), "");
}
