//! A command line with a mistake: what was probably meant, and what is accepted.

use serde_json::Value;

use crate::support::TestEnv;

/// A command line, what its tip names (nothing: there is none), and its hint.
const MISTAKES: &[(&[&str], &str, &str)] = &[
    (&["tail", "--form", "1-1"], "'--from'", "run `ao-store tail --help`"),
    (&["tail", "--tiemout", "3s"], "'--timeout'", "run `ao-store tail --help`"),
    (&["session", "ls", "--projekt", "x"], "'--project'", "run `ao-store session ls --help`"),
    // Another command has it.
    (&["session", "ls", "--snapshot"], "", "run `ao-store session ls --help`"),
    (&["session", "list", "--al"], "'--all'", "run `ao-store session ls --help`"),
    (&["session", "show", "x"], "'get'", "run `ao-store session --help`"),
    (&["session", "create"], "'new'", "run `ao-store session --help`"),
    (&["project", "new"], "'add'", "run `ao-store project --help`"),
    (&["project", "delete", "x"], "'rm'", "run `ao-store project --help`"),
    (&["list"], "'session ls'", "run `ao-store --help`"),
    (&["restore", "x.db"], "'restore-db'", "run `ao-store --help`"),
    (&["sesion", "ls"], "'session'", "run `ao-store --help`"),
    (&["gibberish"], "", "run `ao-store --help`"),
    (&["tail", "--timeout", "5x"], "", "pass a duration, such as 30s, 10m, 2h or 7d"),
    (&["tail", "--timeout"], "", "pass a duration, such as 30s, 10m, 2h or 7d"),
    (&["consumer", "pull", "a", "--wait=1"], "", "pass a duration, such as 30s, 10m, 2h or 7d"),
    (&["tail", "-c", "many"], "", "pass a whole number, such as 100"),
    (&["retention", "set", "--keep-days", "-1"], "", "pass a whole number, such as 100"),
    (&["prune", "--max-bytes", "5zz"], "", "pass a size, such as 500KiB, 100MiB or 1GiB"),
    (&["tail", "--format", "jsn"], "'ndjson'", "run `ao-store tail --help`"),
    (&["consumer", "ack", "a"], "", "run `ao-store consumer ack --help`"),
    (&["observe", "--interval", "1s"], "", "run `ao-store observe --help`"),
];

#[test]
fn a_mistake_is_answered_by_what_was_meant_or_is_accepted() {
    let env = TestEnv::new();
    for (args, tip, hint) in MISTAKES {
        let stderr = env.refused(args, 2, "USAGE");
        let tips: Vec<_> = stderr.lines().filter(|line| line.contains("tip: ")).collect();
        match *tip {
            "" => assert!(tips.is_empty(), "{args:?}: {stderr}"),
            tip => assert!(tips.len() == 1 && tips[0].contains(tip), "{args:?}: {stderr}"),
        }
        assert_eq!(stderr.lines().last(), Some(format!("hint: {hint}").as_str()), "{args:?}");
        // Only flags of this command: the usage is that of the command.
        assert!(!stderr.contains("--busy-timeout"), "{args:?}: {stderr}");

        let output = env.run(&[&["--json"], *args].concat());
        assert_eq!((output.code, output.stdout.as_str()), (2, ""), "{args:?}");
        assert_eq!(output.stderr.lines().count(), 1, "{args:?}: {}", output.stderr);
        let error: Value = serde_json::from_str(&output.stderr).unwrap();
        assert_eq!(error["error"]["hint"], *hint, "{args:?}");
        let message = error["error"]["message"].as_str().unwrap();
        assert!(!message.contains("For more information"), "{message}");
    }
}
