//! What the commands about turns refuse: the message names the argument and the rule, and the hint what to do.

use crate::support::TestEnv;

/// A command in which `?` is what is typed, what names it in the message, and the hint.
const COMMANDS: [(&str, &str, &str); 28] = [
    ("org add ?", "name of an organisation", "letters, digits"),
    ("org token create ? web", "name of an organisation", "letters, digits"),
    ("org token create local ?", "token name", "letters, digits"),
    ("org token revoke ? web", "name of an organisation", "letters, digits"),
    ("org token revoke local ?", "token name", "letters, digits"),
    ("org token ls ?", "name of an organisation", "letters, digits"),
    ("agent add ?", "name of an agent", "letters, digits"),
    ("agent add a --org ?", "name of an organisation", "letters, digits"),
    ("agent ls --org ?", "name of an organisation", "letters, digits"),
    ("agent get ?", "name of an agent", "letters, digits"),
    ("agent get a --org ?", "name of an organisation", "letters, digits"),
    ("agent members ?", "name of an agent", "letters, digits"),
    ("agent members default --add ?", "member", "agent members --help"),
    ("turn send x --agent ?", "name of an agent", "letters, digits"),
    ("turn send x --org ?", "name of an organisation", "letters, digits"),
    ("turn send x --conversation ?", "name of a conversation", "one line of text"),
    ("turn send x --key ?", "key", "one line of text"),
    ("turn ls --org ?", "name of an organisation", "letters, digits"),
    ("turn ls --agent ?", "name of an agent", "letters, digits"),
    ("turn ls --conversation ?", "id of a conversation", "ao-store conversation ls"),
    ("turn get ?", "id of a turn", "ao-store turn ls"),
    ("turn cancel ?", "id of a turn", "ao-store turn ls"),
    ("conversation ls --org ?", "name of an organisation", "letters, digits"),
    ("conversation ls --agent ?", "name of an agent", "letters, digits"),
    ("conversation get ?", "id of a conversation", "ao-store conversation ls"),
    ("conversation reset ?", "id of a conversation", "ao-store conversation ls"),
    ("conversation tail ?", "id of a conversation", "ao-store conversation ls"),
    ("worker run --agent ? -- cat", "name of an agent", "letters, digits"),
];

#[test]
fn an_empty_name_and_one_with_control_characters_are_refused_with_the_rule() {
    let env = TestEnv::new();
    env.ok(&["turn", "send", "x", "--no-wait"]);
    for (command, named, hint) in COMMANDS {
        for (typed, shown) in
            [("", "\"\""), ("a\nb", "\"a\\nb\""), ("a\u{1b}[31mb", "\"a\\u{1b}[31mb\"")]
        {
            let args: Vec<_> =
                command.split(' ').map(|word| if word == "?" { typed } else { word }).collect();
            let code = if named == "member" { "USAGE" } else { "INVALID_ID" };
            let stderr = env.refused(&args, 2, code);
            let (first, given) = stderr.split_once("\nhint: ").unwrap();
            assert!(first.contains(named) && first.contains(shown), "{command}: {first}");
            assert!(given.contains(hint), "{command}: {given}");
            assert!(!stderr.contains('\u{1b}'), "{command}: {stderr:?}");
        }
    }
    let account = ["agent", "add", "a", "--account", ""];
    assert!(env.refused(&account, 2, "USAGE").contains("--account"));
    let account = ["agent", "add", "a", "--account", "a\nb"];
    assert!(env.refused(&account, 2, "INVALID_ID").contains("account \"a\\nb\""));
}
