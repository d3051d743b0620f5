//! Looks up the token of a host in the usual sources.
//!
//! The first of these sources that has one counts: the variables of ao-store, those of gh,
//! `gh auth token`, the file in which gh keeps tokens, the credential helpers of git. No variable
//! for github.com is used for an enterprise server. No source prompts anybody, no program runs
//! longer than two seconds, and no message contains what a source returned.

mod gh_hosts;

use std::ffi::OsStr;
use std::path::Path;
use std::time::Duration;

use ao_program::{Environment, Error, Program};
use ao_store::PrRef;

use crate::github::host::{GITHUB, canonical, is_hosted};
use crate::github::token::Token;

/// The variable whose token is for the default host.
const OWN: &str = "AO_GITHUB_TOKEN";

/// The variables of gh for the hosts of GitHub itself, and for others.
const OF_GH: [[&str; 2]; 2] =
    [["GH_TOKEN", "GITHUB_TOKEN"], ["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"]];

/// How long a program may take.
const PROGRAM_TIMEOUT: Duration = Duration::from_secs(2);

/// The result of looking up the token of a host.
#[derive(Debug, Clone)]
pub enum Credential {
    /// There is one.
    Found {
        /// The token.
        token: Token,
        /// The source: the name of a variable, a program or a file.
        source: String,
    },
    /// No source has one.
    Missing,
    /// No source has one, and at least one failed. Trying again may help.
    Failed(String),
}

/// What one source has (a token and the name of the source), or why it failed.
type Lookup = Result<Option<(Token, String)>, String>;

/// Looks up the token of a host. It blocks, for at most about four seconds.
#[must_use]
pub fn resolve(host: &str, environment: &Environment) -> Credential {
    let host = canonical(host);
    if PrRef::new(&host, "owner/name", 1).is_err() {
        return Credential::Failed("it is not the name of a host".to_owned());
    }
    let bare = without_tokens(environment);
    let lookups: [&dyn Fn() -> Lookup; 4] = [
        &|| variables(&host, environment),
        &|| gh(&host, &bare),
        &|| gh_hosts::lookup(&host, &bare),
        &|| git(&host, &bare),
    ];
    let mut failure = None;
    for lookup in lookups {
        match lookup() {
            Ok(Some((token, source))) => return Credential::Found { token, source },
            Ok(None) => {}
            Err(reason) => failure = failure.or(Some(reason)),
        }
    }
    failure.map_or(Credential::Missing, Credential::Failed)
}

/// The first variable that has a token.
fn variables(host: &str, environment: &Environment) -> Lookup {
    let mut failure = None;
    for name in names(host, environment) {
        match environment.get(&name).map(|value| value.to_str().and_then(Token::new)) {
            Some(Some(token)) => return Ok(Some((token, name))),
            Some(None) => failure = failure.or(Some(format!("the value of {name} is not a token"))),
            None => {}
        }
    }
    failure.map_or(Ok(None), Err)
}

/// The variable whose token is for this host only, such as `AO_GITHUB_TOKEN_GHE_EXAMPLE_COM`. A dot is
/// one `_`, a hyphen two, anything else three, so that no two hosts have the same variable.
#[must_use]
pub fn variable_of(host: &str) -> String {
    let spelled = |c: char| match c {
        '.' => "_".to_owned(),
        '-' => "__".to_owned(),
        _ if c.is_ascii_alphanumeric() => c.to_ascii_uppercase().to_string(),
        _ => "___".to_owned(),
    };
    format!("{OWN}_{}", host.chars().map(spelled).collect::<String>())
}

/// The names of the variables whose token is for this host.
fn names(host: &str, environment: &Environment) -> Vec<String> {
    let mut names = vec![variable_of(host)];
    let default = environment.get("GH_HOST").and_then(OsStr::to_str).unwrap_or(GITHUB);
    if canonical(default) == host {
        names.push(OWN.to_owned());
    }
    let [hosted, enterprise] = OF_GH;
    let of_gh = if is_hosted(host) { hosted } else { enterprise };
    names.extend(of_gh.map(str::to_owned));
    names
}

/// The environment of the programs. The variables were read before, so a program could only repeat
/// them; and a helper of git that prints one prints it for any host.
fn without_tokens(environment: &Environment) -> Environment {
    let is_token = |name: &OsStr| {
        name.as_encoded_bytes().starts_with(OWN.as_bytes())
            || OF_GH.as_flattened().iter().any(|other| name == *other)
    };
    environment.iter().filter(|(name, _)| !is_token(name)).collect()
}

/// The token that `gh` keeps, usually in the keyring.
fn gh(host: &str, environment: &Environment) -> Lookup {
    let source = "gh auth token";
    let program = Program {
        name: "gh",
        args: &["auth", "token", "--hostname", host],
        input: "",
        dir: Path::new("/"),
        environment,
        variables: &[("GH_PROMPT_DISABLED", "1"), ("GH_NO_UPDATE_NOTIFIER", "1")],
        timeout: PROGRAM_TIMEOUT,
    };
    let text = stdout(source, &program)?;
    token(text.strip_suffix('\n').unwrap_or(&text), source)
}

/// The token that the credential helpers of git have for the host. None of them may prompt.
fn git(host: &str, environment: &Environment) -> Lookup {
    let source = "git credential";
    let program = Program {
        name: "git",
        args: &["-c", "credential.interactive=false", "credential", "fill"],
        input: &format!("protocol=https\nhost={host}\n\n"),
        dir: Path::new("/"),
        environment,
        variables: &[
            ("GIT_TERMINAL_PROMPT", "0"),
            // An empty value keeps git from its other settings.
            ("GIT_ASKPASS", ""),
            ("SSH_ASKPASS", ""),
            ("GCM_INTERACTIVE", "never"),
        ],
        timeout: PROGRAM_TIMEOUT,
    };
    let text = stdout(source, &program)?;
    token(text.lines().find_map(|line| line.strip_prefix("password=")).unwrap_or_default(), source)
}

/// What a program printed; nothing when it is not installed or fails.
fn stdout(source: &str, program: &Program<'_>) -> Result<String, String> {
    match program.run() {
        Ok(output) if output.status == 0 => {
            String::from_utf8(output.stdout).map_err(|_| invalid(source))
        }
        Ok(_) | Err(Error::NotOnPath(_)) => Ok(String::new()),
        Err(error) => Err(format!("{source}: {error}")),
    }
}

/// The token that a source returned; an empty text is none.
fn token(text: &str, source: &str) -> Lookup {
    if text.is_empty() {
        return Ok(None);
    }
    let token = Token::new(text).ok_or_else(|| invalid(source))?;
    Ok(Some((token, source.to_owned())))
}

fn invalid(source: &str) -> String {
    format!("{source}: its output is not a token")
}
