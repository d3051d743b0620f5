//! How an input begins and ends: every reader gives the same answer.

use serde_json::json;

use crate::deliver::SECRET;
use crate::observe::{OPENED, error, ready};
use crate::support::{Output, TestEnv};

const DOCUMENT: &str = r#"{"pr": "octo/hello#1", "session": "demo-1"}"#;

/// A reader of text: its name, an input that it accepts, and what it makes of other bytes.
type Reader = (&'static str, String, fn(&[u8]) -> Output);

fn applied(input: &[u8]) -> Output {
    ready().feed(&["observe", "apply", "-", "--json"], input)
}

fn delivered(input: &[u8]) -> Output {
    let args = ["observe", "deliver", "--event=pull_request", "--session=demo-1", "-", "--json"];
    ready().feed(&args, input)
}

fn imported(input: &[u8]) -> Output {
    TestEnv::empty().feed(&["import", "-", "--json"], input)
}

fn readers() -> [Reader; 3] {
    let export = ready().ok(&["export", "-"]);
    [
        ("observe apply", format!("{DOCUMENT}\n{DOCUMENT}\n"), applied),
        ("observe deliver", format!("{OPENED}\n"), delivered),
        ("import", export, imported),
    ]
}

fn utf16(text: &str, to_bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
    text.encode_utf16().flat_map(to_bytes).collect()
}

#[test]
fn a_byte_order_mark_and_other_line_ends_are_accepted_by_every_reader() {
    for (name, text, read) in readers() {
        for input in [
            text.clone(),
            format!("\u{feff}{text}"),
            text.replace('\n', "\r\n"),
            format!("\u{feff}\r\n \t\r\n{}\r\n\r\n", text.replace('\n', "\r\n")),
            text.trim_end().to_owned(),
        ] {
            let output = read(input.as_bytes());
            let begin: String = input.chars().take(20).collect();
            assert_eq!(output.code, 0, "{name}: {begin:?}: {}", output.stderr);
        }
    }
}

#[test]
fn utf_16_is_named_by_every_reader() {
    for (name, text, read) in readers() {
        for marked in [format!("\u{feff}{text}"), text] {
            for input in [utf16(&marked, u16::to_le_bytes), utf16(&marked, u16::to_be_bytes)] {
                let output = read(&input);
                let error = error(&output);
                assert_eq!(output.code, 2, "{name}");
                assert!(error["message"].as_str().unwrap().contains("UTF-16"), "{name}: {error}");
                assert!(error["hint"].as_str().unwrap().contains("iconv"), "{name}: {error}");
            }
        }
    }
}

#[test]
fn an_input_without_text_is_refused_by_every_reader() {
    for (name, _, read) in readers() {
        for input in ["", " ", "\n", "\r\n \t\n", "\u{feff}", "\u{feff}\r\n"] {
            let output = read(input.as_bytes());
            assert_eq!(output.code, 2, "{name}: {input:?}: {}", output.stderr);
            let message = error(&output)["message"].as_str().unwrap().to_owned();
            let is_named = message.contains("no document") || message.contains("is empty");
            assert!(is_named, "{name}: {input:?}: {message}");
        }
        let twice = format!("\u{feff}\u{feff}{DOCUMENT}");
        assert_eq!(read(twice.as_bytes()).code, 2, "{name}: one mark is no text, the second is");
    }
}

/// The signature is that of the bytes, with the mark.
#[test]
fn a_signed_delivery_may_begin_with_a_byte_order_mark() {
    let env = ready();
    let of_marked = "sha256=f2fd1ac0e29ecbd8eefd483d106c2103574dda8c31dc60badb63bdbecee38af0";
    let of_plain = "sha256=50b0123e6e44430d2c43ecca0ee520d961ffd326425c07859f70a57161c3ebcd";
    for content in [SECRET.to_owned(), format!("\u{feff}{SECRET}\r\n")] {
        let file = env.file("secret", content);
        let signed = |signature: &str| {
            let args =
                ["observe", "deliver", "-", "--json", "--event=push", "--secret-file", &file];
            env.feed(&[&args[..], &["--signature", signature]].concat(), "\u{feff}{}")
        };
        assert_eq!(signed(of_marked).code, 0);
        assert_eq!(error(&signed(of_plain))["code"], "WEBHOOK_SIGNATURE");
    }
    let args = ["observe", "deliver", "-", "--json", "--event=push", "--secret-file"];
    for content in [utf16(SECRET, u16::to_le_bytes), b" \n".to_vec(), b"\xEF\xBB\xBF".to_vec()] {
        let file = env.file("secret", content);
        assert_eq!(error(&env.feed(&[&args[..], &[&file]].concat(), "{}"))["code"], "USAGE");
    }
}

#[test]
fn a_payload_that_was_sent_as_a_form_says_what_to_change() {
    let env = ready();
    let file = env.file("secret", SECRET);
    let signature = "sha256=8a36b8b46dc5d852915b945b7e6d94c7839a611f3864a1bb9ea4679fef85f330";
    let signed = ["--secret-file", &file, "--signature", signature];
    let args = ["observe", "deliver", "-", "--json", "--event=push"];
    for (body, more) in
        [("payload=%7B%7D", &signed[..]), ("payload=%7B%7D", &[]), ("\u{feff} payload=", &[])]
    {
        let output = env.feed(&[&args[..], more].concat(), body);
        let error = error(&output);
        assert_eq!((output.code, &error["code"]), (2, &json!("INVALID_JSON")));
        assert!(error["message"].as_str().unwrap().contains("form"), "{error}");
        assert!(error["hint"].as_str().unwrap().contains("application/json"), "{error}");
    }
}
