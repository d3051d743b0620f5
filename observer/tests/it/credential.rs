//! The sources of tokens, their order, and which token is for which host. The programs are real
//! processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::thread;
use std::time::{Duration, Instant};

use ao_observer::github::credential::{Credential, resolve};
use ao_observer::github::token::Token;

use crate::home::{Home, is_alive};

const HOSTED: &str = "github.com";
const SERVER: &str = "git.corp.example";

/// The source of the token, which must be `token`.
fn found(home: &Home, host: &str, token: &str) -> String {
    match resolve(host, &home.environment()) {
        Credential::Found { token: other, source } => {
            let expected = Token::new(token).unwrap().fingerprint();
            assert_eq!(other.fingerprint(), expected, "{source} has another token");
            assert!(!source.contains(token));
            source
        }
        other => panic!("{other:?}"),
    }
}

fn is_missing(home: &Home, host: &str) -> bool {
    matches!(resolve(host, &home.environment()), Credential::Missing)
}

fn failure(home: &Home, host: &str) -> String {
    match resolve(host, &home.environment()) {
        Credential::Failed(reason) => reason,
        other => panic!("{other:?}"),
    }
}

const GH: &str = r#"[ "$*" = "auth token --hostname github.com" ] || exit 9
    echo from-gh"#;
const GIT: &str = r#"printf 'protocol=https\nhost=github.com\nusername=x\npassword=from-git\n'"#;
const HOSTS: &str = "github.com:\n    user: mona\n    oauth_token: from-file\n";

#[test]
fn an_empty_home_has_no_token() {
    let home = Home::new();
    assert!(is_missing(&home, HOSTED) && is_missing(&home, SERVER));
    // Programs that have none change nothing.
    let home =
        home.with_git().program("gh", "echo 'no oauth token found for github.com' >&2; exit 1");
    assert!(is_missing(&home, HOSTED));
}

#[test]
fn the_first_source_that_has_a_token_counts() {
    let full = || {
        let home = Home::new().program("gh", GH).program("git", GIT);
        home.file(".config/gh/hosts.yml", HOSTS)
    };
    let own = ["AO_GITHUB_TOKEN_GITHUB_COM", "AO_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN"];
    for first in 0..own.len() {
        let home =
            own[first..].iter().fold(full(), |home, name| home.with(name, &format!("t-{name}")));
        assert_eq!(found(&home, HOSTED, &format!("t-{}", own[first])), own[first]);
    }
    assert_eq!(found(&full(), HOSTED, "from-gh"), "gh auth token");
    let home = full().program("gh", "exit 1");
    let file = home.path(".config/gh/hosts.yml");
    assert_eq!(found(&home, HOSTED, "from-file"), file.to_str().unwrap());
    fs::remove_file(file).unwrap();
    assert_eq!(found(&home, HOSTED, "from-git"), "git credential");
    // An empty variable counts as not set.
    assert_eq!(found(&full().with("GH_TOKEN", ""), HOSTED, "from-gh"), "gh auth token");
}

#[test]
fn a_variable_is_for_its_own_kind_of_host() {
    let names = ["GH_TOKEN", "GITHUB_TOKEN", "AO_GITHUB_TOKEN", "AO_GITHUB_TOKEN_GITHUB_COM"];
    let home = names.iter().fold(Home::new(), |home, name| home.with(name, "for-github"));
    assert!(is_missing(&home, SERVER));
    assert!(is_missing(&home, "github.com.evil.example"));
    assert_eq!(found(&home, "octo.ghe.com", "for-github"), "GH_TOKEN");

    let home = home.with("GITHUB_ENTERPRISE_TOKEN", "for-corp");
    assert_eq!(found(&home, SERVER, "for-corp"), "GITHUB_ENTERPRISE_TOKEN");
    let home = home.with("GH_ENTERPRISE_TOKEN", "for-corp-1");
    assert_eq!(found(&home, SERVER, "for-corp-1"), "GH_ENTERPRISE_TOKEN");
    let home = home.with("AO_GITHUB_TOKEN_GIT_CORP_EXAMPLE", "for-corp-2");
    assert_eq!(found(&home, "Git.Corp.EXAMPLE", "for-corp-2"), "AO_GITHUB_TOKEN_GIT_CORP_EXAMPLE");
    // Nor is a token of an enterprise server used for GitHub.
    let home = Home::new().with("GH_ENTERPRISE_TOKEN", "t").with("GITHUB_ENTERPRISE_TOKEN", "t");
    assert!(is_missing(&home, HOSTED) && is_missing(&home, "octo.ghe.com"));
}

#[test]
fn our_own_variable_is_for_the_default_host() {
    let home = Home::new().with("AO_GITHUB_TOKEN", "mine");
    assert_eq!(found(&home, "GitHub.com", "mine"), "AO_GITHUB_TOKEN");
    assert_eq!(found(&home, "ssh.github.com", "mine"), "AO_GITHUB_TOKEN");
    assert!(is_missing(&home, "octo.ghe.com"));
    let home = home.with("GH_HOST", "Git.Corp.example");
    assert_eq!(found(&home, SERVER, "mine"), "AO_GITHUB_TOKEN");
    assert!(is_missing(&home, HOSTED), "one token is for one host");
    let name = "AO_GITHUB_TOKEN_GIT_CORP_EXAMPLE___8443";
    let home = Home::new().with(name, "port");
    assert_eq!(found(&home, "git.corp.example:8443", "port"), name);
    for other in [SERVER, "git-corp.example:8443", "git.corp.example.8443"] {
        assert!(is_missing(&home, other), "{other} has another variable");
    }
}

#[test]
fn an_invalid_token_is_refused_and_not_shown() {
    for bad in ["secret word", "secret\n", "\u{1b}secret", "se\tcret", "sécret"] {
        let home = Home::new().with("GH_TOKEN", bad);
        let reason = failure(&home, HOSTED);
        assert!(reason.contains("GH_TOKEN") && !reason.contains("cret"), "{reason}");
        // A later source is used instead.
        assert_eq!(found(&home.with("GITHUB_TOKEN", "good"), HOSTED, "good"), "GITHUB_TOKEN");
    }
    for script in ["echo secret word", "printf 'secret\\n\\n'", "printf '\\377secret'"] {
        let reason = failure(&Home::new().program("gh", script), HOSTED);
        assert!(reason.starts_with("gh auth token") && !reason.contains("secret"), "{reason}");
    }
    let reason = failure(&Home::new().program("gh", "yes secret"), HOSTED);
    assert!(reason.contains("printed more than"), "{reason}");
    assert!(is_missing(&Home::new().program("gh", "echo"), HOSTED), "an empty line");
    for host in ["", "a b", "a/b", "-x", "host\npath=x", "u@host"] {
        assert!(failure(&Home::new(), host).contains("host"), "{host:?}");
    }
}

#[test]
fn programs_get_no_token_and_do_not_prompt() {
    let script = r#"env >"$HOME/variables"; pwd >"$HOME/dir"; cat >"$HOME/input"; exit 1"#;
    let home = Home::new().program("gh", script).with("GH_TOKEN", "bad token");
    let home = home.with("GITHUB_TOKEN", "bad token").with("GIT_DIR", "/x").with("KEPT", "1");
    let home = home.with("AO_GITHUB_TOKEN_GIT_CORP_EXAMPLE", "of another host");
    failure(&home, HOSTED);
    let dir = home.path("");
    let read = |name: &str| fs::read_to_string(dir.join(name)).unwrap();
    let variables = read("variables");
    assert!(variables.contains("GH_PROMPT_DISABLED=1") && variables.contains("KEPT=1"));
    for unwanted in ["bad token", "of another host", "GIT_DIR"] {
        assert!(!variables.contains(unwanted), "{variables}");
    }
    assert_eq!((read("dir").as_str(), read("input").as_str()), ("/\n", ""));

    let home = home.program("git", script);
    failure(&home, HOSTED);
    let variables = read("variables");
    for expected in
        ["GIT_TERMINAL_PROMPT=0", "GIT_ASKPASS=\n", "SSH_ASKPASS=\n", "GCM_INTERACTIVE=never"]
    {
        assert!(variables.contains(expected), "{variables}");
    }
    assert_eq!(read("input"), "protocol=https\nhost=github.com\n\n");
}

const HANGS: &str = r#"sleep 600 & echo "$$ $!" >"$HOME/pids"; wait"#;

#[test]
fn a_program_that_hangs_is_killed_with_its_children() {
    // A later source is used instead.
    let home = Home::new().program("gh", HANGS).program("git", GIT);
    let started = Instant::now();
    assert_eq!(found(&home, HOSTED, "from-git"), "git credential");
    let took = started.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_secs(10), "{took:?}");
    let pids = fs::read_to_string(home.path("pids")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while pids.split_whitespace().any(is_alive) {
        assert!(Instant::now() < deadline, "{pids} still run");
        thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn a_child_that_a_program_leaves_behind_is_not_waited_for() {
    let home = Home::new().program("gh", r#"sleep 60 & echo $! >"$HOME/pid"; echo from-gh"#);
    let started = Instant::now();
    assert_eq!(found(&home, HOSTED, "from-gh"), "gh auth token");
    assert!(started.elapsed() < Duration::from_secs(30));
}

#[test]
fn a_program_that_cannot_be_run_or_is_killed_is_a_failure() {
    let home = Home::new().program("gh", "kill -9 $$");
    assert!(failure(&home, HOSTED).contains("signal"));
    let home = Home::new().file("bin/gh", "#!/none/such\n");
    assert!(is_missing(&home, HOSTED), "it is not executable");
    fs::set_permissions(home.path("bin/gh"), fs::Permissions::from_mode(0o755)).unwrap();
    assert!(failure(&home, HOSTED).starts_with("gh auth token: "));
}

#[test]
fn a_program_is_not_taken_from_the_current_directory() {
    let home = Home::new().program("gh", GH).with("PATH", "bin:.:");
    assert!(is_missing(&home, HOSTED));
}

#[test]
fn the_variables_of_gh_locate_its_file() {
    let hosts = |token: &str| format!("github.com:\n  oauth_token: {token}\n");
    let home = Home::new()
        .file(".config/gh/hosts.yml", hosts("in-home"))
        .file("xdg/gh/hosts.yml", hosts("in-xdg"))
        .file("dir/hosts.yml", hosts("in-dir"));
    let of = |home: &Home, name: &str| home.path(name).to_str().unwrap().to_owned();
    assert!(found(&home, HOSTED, "in-home").ends_with("/.config/gh/hosts.yml"));
    let xdg = of(&home, "xdg");
    let home = home.with("XDG_CONFIG_HOME", &xdg);
    assert!(found(&home, HOSTED, "in-xdg").ends_with("/xdg/gh/hosts.yml"));
    let dir = of(&home, "dir");
    let home = home.with("GH_CONFIG_DIR", &dir);
    assert!(found(&home, HOSTED, "in-dir").ends_with("/dir/hosts.yml"));
    assert!(is_missing(&home, SERVER));
}

#[test]
fn an_unusable_file_of_gh_is_a_failure() {
    let hosts = |text: &[u8]| Home::new().file(".config/gh/hosts.yml", text);
    let large = [&b"github.com:\n  oauth_token: secret\n"[..], &b"#\n".repeat(200_000)].concat();
    for (text, expected) in [
        (&b"github.com: ["[..], "it is not YAML"),
        (b"github.com: {oauth_token: secret word}", "not a token"),
        (b"github.com: {oauth_token: \xff}", "UTF-8"),
        (&large, "larger than"),
    ] {
        let reason = failure(&hosts(text), HOSTED);
        assert!(reason.contains(expected) && reason.contains("hosts.yml"), "{reason}");
        assert!(!reason.contains("secret"), "{reason}");
    }
    let home = Home::new();
    fs::create_dir_all(home.path(".config/gh/hosts.yml")).unwrap();
    assert!(failure(&home, HOSTED).contains("not a file"));
    for text in
        ["", "github.com:\n  users:\n    mona:\n  user: mona\n", "github.com:\n  oauth_token:\n"]
    {
        assert!(is_missing(&hosts(text.as_bytes()), HOSTED), "{text}");
    }
}

#[test]
fn the_credential_helpers_of_git_are_used_without_a_prompt() {
    let config = |helper: &str| {
        Home::new()
            .with_git()
            .file(".gitconfig", format!("[credential]\n\thelper = \"{helper}\"\n"))
    };
    let home = config("!echo password=from-helper; echo username=x; :");
    assert_eq!(found(&home, HOSTED, "from-helper"), "git credential");
    assert!(is_missing(&config("!true"), HOSTED));
    assert!(is_missing(&config("!false"), HOSTED));
    assert!(is_missing(&config("!echo username=x; echo password=; :"), HOSTED));
    // A program that would prompt, also in a window, is not run.
    let asks = Home::new().with_git().program("ask", r#"echo asked >>"$HOME/asked"; echo typed"#);
    let ask = asks.path("bin/ask").to_str().unwrap().to_owned();
    let asks = asks.file(".gitconfig", format!("[core]\n\taskPass = {ask}\n"));
    let asks = asks.with("GIT_ASKPASS", &ask).with("SSH_ASKPASS", &ask).with("DISPLAY", ":0");
    assert!(is_missing(&asks, HOSTED));
    assert!(!asks.path("asked").exists());
    // A helper for one host answers for all hosts, so it does not get the variable.
    let home = config("!echo password=$GITHUB_TOKEN; :").with("GITHUB_TOKEN", "for-github");
    assert!(is_missing(&home, SERVER));
}

#[test]
fn a_token_is_one_word() {
    for bad in ["", " ", "ghp_a b", "ghp_a\n", "\tghp_a", "ghp_\0", "ghp_\u{7f}", "ghp_é"] {
        assert!(Token::new(bad).is_none(), "{bad:?}");
    }
    assert!(Token::new("x".repeat(4_097)).is_none());
    assert!(Token::new("ghp_Abc.1-2~").is_some());
}

#[test]
fn a_token_is_not_printed_and_has_a_fingerprint() {
    let (one, other) = (Token::new("ghp_one").unwrap(), Token::new("ghp_other").unwrap());
    assert_eq!(format!("{one} {one:?} {:?}", Some(&one)), "[redacted] [redacted] Some([redacted])");
    assert_eq!(one.fingerprint(), one.clone().fingerprint());
    assert_ne!(one.fingerprint(), other.fingerprint());
    assert_eq!(one.fingerprint().len(), 16);
    assert!(one.fingerprint().bytes().all(|b| b.is_ascii_hexdigit()));
}
