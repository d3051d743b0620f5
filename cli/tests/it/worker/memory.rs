//! What a program that stays is told of a conversation, and what of its answers is kept.

use ao_store::turn::Reason;
use ao_store::turn::event::Kind;
use serde_json::{Value, json};

use super::lab::{Lab, agent};

/// Gives the conversation of a turn a newer memory, as another writer would.
fn supersede(lab: &Lab, id: &str, memory: &Value) {
    let conversation = lab.turn(id).conversation;
    let sql = format!(
        "BEGIN IMMEDIATE;
        INSERT INTO conversation_snapshot SELECT id, head_version + 1, 'other', 1, 'd', '{memory}', 1
            FROM conversation WHERE id = '{conversation}';
        UPDATE conversation SET head_version = head_version + 1 WHERE id = '{conversation}';
        COMMIT;"
    );
    lab.env.sqlite(&sql).unwrap();
}

#[test]
fn f10_an_answer_with_a_memory_that_was_superseded_fails_its_turn_and_the_newer_one_stays() {
    let lab = Lab::new();
    let _worker = agent(&lab, &[]);
    assert_eq!(lab.reply(&lab.send("", "remember one")), "I know one");
    let id = lab.send("", "learn two");
    lab.until_delta(&id, "begun");
    supersede(&lab, &id, &json!(["three"]));
    lab.env.file("go", "");
    let expected = "the snapshot does not continue the newest one";
    assert_eq!(lab.failure(&id), (Reason::Diverged, expected.to_owned()));
    assert_eq!(lab.texts(&id, Kind::Content), ["a card"], "what it said before is kept");
    assert_eq!(lab.reply(&lab.send("", "remember four")), "I know three and four");
}

#[test]
fn f6_a_program_writes_no_turn_but_its_own() {
    let lab = Lab::new();
    let (_workers, first) = ([agent(&lab, &[]), agent(&lab, &[])], lab.send("a", "learn one"));
    lab.until_delta(&first, "begun");
    let second = lab.send("b", &format!("other {first}"));
    let (reason, text) = lab.failure(&second);
    assert_eq!(reason, Reason::AgentError);
    assert!(text.contains("it names a turn that does not run"), "{text}");
    lab.env.file("go", "");
    assert!(lab.reply(&first).starts_with("begun one"));
    assert_eq!(lab.reply(&lab.send("a", "remember two")), "I know one and two");
    assert_eq!(lab.reply(&lab.send("b", "remember three")), "I know three");
}

#[test]
fn f14_a_program_that_stays_is_told_the_newest_memory_and_not_its_own() {
    let lab = Lab::new();
    let _worker = agent(&lab, &[]);
    let first = lab.send("", "learn one");
    lab.until_delta(&first, "begun");
    lab.env.file("go", "");
    assert!(lab.reply(&first).starts_with("begun one"));
    // Another worker answers the next one.
    supersede(&lab, &first, &json!(["one", "two"]));
    assert_eq!(lab.reply(&lab.send("", "remember three")), "I know one and two and three");
    // What fails is not remembered.
    assert_eq!(lab.failure(&lab.send("", r#"fail {"text":"no"}"#)).0, Reason::AgentError);
    assert_eq!(lab.reply(&lab.send("", "remember four")), "I know one and two and three and four");
    assert_eq!(lab.reply(&lab.send("", "count")), "5", "it is the same program");
}

#[test]
fn g2_a_program_is_told_everything_that_identifies_its_turn() {
    let lab = Lab::new();
    let stays = agent(&lab, &[]);
    let id = lab.send("", "tell");
    let told: Value = serde_json::from_str(&lab.reply(&id)).unwrap();
    let turn = lab.turn(&id);
    let line = json!({"type": "turn", "turn_id": id, "conversation_id": turn.conversation,
        "input": "tell", "snapshot": null});
    let owner = turn.owner.as_str();
    let data_dir = lab.env.database().canonicalize().unwrap();
    let data_dir = data_dir.parent().unwrap().to_str().unwrap();
    // The last one is that of every test.
    let agent = json!({"AO_ORG_ID": "local", "AO_AGENT_ID": "coder", "AO_DATA_DIR": data_dir,
        "AO_GITHUB_API_URL": "http://127.0.0.1:9"});
    let with = |more: Value| {
        let all = agent.as_object().unwrap().iter().chain(more.as_object().unwrap());
        Value::Object(all.map(|(name, value)| (name.clone(), value.clone())).collect())
    };
    assert_eq!(told, json!([line, with(json!({"AO_WORKER_ID": owner}))]));
    drop(stays);
    let print = "import json, os; print(json.dumps({k: v for k, v in os.environ.items() if k[:3] == 'AO_'}))";
    let _each = lab.worker(&[], &["python3", "-c", print]);
    let id = lab.send("", "x");
    let told: Value = serde_json::from_str(&lab.reply(&id)).unwrap();
    let own = json!({"AO_TURN_ID": id, "AO_CONVERSATION_ID": lab.turn(&id).conversation});
    assert_eq!(told, with(own));
}
