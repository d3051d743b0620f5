//! Webhook deliveries: an unsigned one is refused, a repeated one is not applied again, and each one
//! requests a refresh.

use serde_json::{Value, json};

use crate::observe::{OPENED, error, outcomes, ready};
use crate::support::{Output, TestEnv, finish, has_sqlite};

pub(crate) const SECRET: &str = "It's a Secret to Everybody";
/// A push without a word about its repository, and its signature.
const PUSH: &str = "{}";
const SIGNATURE: &str = "sha256=50b0123e6e44430d2c43ecca0ee520d961ffd326425c07859f70a57161c3ebcd";

fn push(env: &TestEnv, secret: Option<&str>, args: &[&str], body: &str) -> Output {
    let args = [&["observe", "deliver", "-", "--json", "--event=push"], args].concat();
    let mut command = env.command(&args);
    if let Some(secret) = secret {
        command.env("AO_WEBHOOK_SECRET", secret);
    }
    finish(command.stdin(std::process::Stdio::piped()), body.as_bytes())
}

fn outcome(output: &Output) -> Value {
    outcomes(output, "observe.deliver")[0]["outcome"].clone()
}

#[test]
fn a_signed_delivery_is_applied() {
    let env = ready();
    let signed = ["--signature", SIGNATURE];
    assert_eq!(outcome(&push(&env, Some(SECRET), &signed, PUSH)), "ignored");
    for content in [SECRET.to_owned(), format!("{SECRET}\n"), format!("{SECRET}\r\n")] {
        let file = env.file("secret", content);
        let args = [&signed[..], &["--secret-file", &file]].concat();
        assert_eq!(outcome(&push(&env, None, &args, PUSH)), "ignored");
        assert_eq!(outcome(&push(&env, Some("another"), &args, PUSH)), "ignored", "the file wins");
    }
}

#[test]
fn a_delivery_that_is_not_signed_is_not_read() {
    let env = ready();
    let head = env.head();
    let signed = ["--signature", SIGNATURE];
    for (secret, args, body) in [
        ("another", &signed[..], PUSH),
        (SECRET, &signed, "{} "),
        (SECRET, &signed, "no JSON at all"),
        (SECRET, &["--signature", "sha256=00"], PUSH),
        (SECRET, &["--signature="], PUSH),
        (SECRET, &[], PUSH),
        (SECRET, &["--session", "demo-1"], "no JSON at all"),
    ] {
        let output = push(&env, Some(secret), args, body);
        let error = error(&output);
        assert_eq!((output.code, &error["code"]), (4, &json!("WEBHOOK_SIGNATURE")), "{args:?}");
        assert!(!output.stderr.contains(SECRET), "the secret is not said");
    }
    assert_eq!(env.head(), head);
}

#[test]
fn a_secret_and_its_use_are_checked() {
    let env = ready();
    let empty = env.file("empty", "\n");
    for (secret, args) in [
        (None, &["--signature", SIGNATURE][..]),
        (Some(""), &["--signature", SIGNATURE]),
        (Some(""), &[]),
        (None, &["--secret-file", &empty]),
    ] {
        let output = push(&env, secret, args, PUSH);
        assert_eq!(error(&output)["code"], "USAGE", "{secret:?} {args:?}");
    }
    let output = push(&env, None, &["--secret-file", "none"], PUSH);
    assert_eq!(error(&output)["code"], "IO_ERROR");
}

#[test]
fn an_id_and_a_signature_are_of_one_delivery() {
    let env = ready();
    let several = "{}\n{}";
    let of_several = "sha256=3b893bd9e9407a0b63371c3c9d58a0fa7066f5648789bef960cab5ebb87646ad";
    let output = push(&env, None, &["--delivery-id", "a-1"], several);
    assert_eq!(error(&output)["code"], "USAGE");
    let output = push(&env, None, &["--delivery-id", "a-1"], "");
    assert_eq!(error(&output)["code"], "INVALID_JSON");
    let output = push(&env, None, &["--delivery-id", "a b"], PUSH);
    assert_eq!(error(&output)["code"], "INVALID_ID");
    let output = push(&env, Some(SECRET), &["--signature", of_several], several);
    assert_eq!(error(&output)["code"], "USAGE");
    assert_eq!(outcome(&push(&env, None, &["--delivery-id", "a-1"], PUSH)), "ignored");
}

#[test]
fn a_delivery_that_is_sent_again_is_a_duplicate() {
    let env = ready();
    let file = env.file("opened.json", OPENED);
    let args = ["observe", "deliver", "--event=pull_request", "--session=demo-1", &file];
    let id = ["--delivery-id", "72d3162e-cc78-11e3-81ab-4c9367dc0958"];
    // A delivery that failed was not recorded.
    let wrong = ["observe", "deliver", "--event=check_run", &file];
    env.refused(&[&wrong[..], &id].concat(), 2, "INVALID_JSON");
    let taken = env.json("observe.deliver", &[&args[..], &id].concat());
    assert_eq!(taken[0]["outcome"], "applied");
    let head = env.head();
    let again = env.json("observe.deliver", &[&args[..], &id].concat());
    assert_eq!(again, json!([{"outcome": "duplicate", "delivery_id": id[1]}]));
    let output = env.run(&[&args[..], &id].concat());
    assert_eq!(output.stderr, format!("duplicate: delivery {} was already applied\n", id[1]));
    assert_eq!((output.code, env.head()), (0, head));
    let without = env.json("observe.deliver", &args);
    assert_eq!(
        without[0]["outcome"], "applied",
        "without an id it is applied, and changes nothing"
    );
}

#[test]
fn a_delivery_requests_a_refresh() {
    if !has_sqlite() {
        return;
    }
    let env = ready();
    let deliver = |event: &str, payload: &str| {
        let file = env.file("payload.json", payload);
        env.ok(&["observe", "deliver", "--event", event, &file]);
    };
    deliver("push", OPENED);
    deliver("pull_request", OPENED);
    deliver("push", &OPENED.replace("octo/hello", "mallory/world"));
    let asked = env.sqlite(
        "SELECT host || ' ' || repo || ' ' || number FROM scm_refresh_request ORDER BY number",
    );
    assert_eq!(asked.unwrap().trim(), "github.com octo/hello 0\ngithub.com octo/hello 5");
}
