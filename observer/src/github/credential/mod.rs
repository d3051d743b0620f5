//! Finds the token of a host where people keep one.
//!
//! The first of these that has one counts: the variables of ao-store, those of gh, `gh auth token`,
//! the file in which gh keeps tokens, the credential helpers of git. No variable that is meant for
//! github.com goes to an enterprise server. Nobody is asked anything, no program runs longer than
//! two seconds, and no message holds what a source said.

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
const TIMEOUT: Duration = Duration::from_secs(2);

/// What was found out about the token of a host.
#[derive(Debug, Clone)]
pub enum Credential {
    /// There is one.
    Found {
        /// The token.
        token: Token,
        /// What has it: the name of a variable, a program or a file.
        source: String,
    },
    /// Nothing has one.
    Missing,
    /// Nothing has one, but something that might could not be asked. Trying again may help.
    Failed(String),
}

/// What one source has, or why it could not say.
type Looked = Result<Option<Found>, String>;

struct Found {
    token: Token,
    source: String,
}

/// Looks for the token of a host. It blocks, for at most about four seconds.
#[must_use]
pub fn resolve(host: &str, environment: &Environment) -> Credential {
    let host = canonical(host);
    if PrRef::new(&host, "owner/name", 1).is_err() {
        return Credential::Failed("it is not the name of a host".to_owned());
    }
    let bare = without_tokens(environment);
    let looks: [&dyn Fn() -> Looked; 4] = [
        &|| variables(&host, environment),
        &|| gh(&host, &bare),
        &|| gh_hosts::look(&host, &bare),
        &|| git(&host, &bare),
    ];
    let mut failure = None;
    for look in looks {
        match look() {
            Ok(Some(Found { token, source })) => return Credential::Found { token, source },
            Ok(None) => {}
            Err(reason) => failure = failure.or(Some(reason)),
        }
    }
    failure.map_or(Credential::Missing, Credential::Failed)
}

/// The variables, in their order.
fn variables(host: &str, environment: &Environment) -> Looked {
    let mut failure = None;
    for name in names(host, environment) {
        match environment.get(&name).map(|value| value.to_str().and_then(Token::new)) {
            Some(Some(token)) => return Ok(Some(Found { token, source: name })),
            Some(None) => failure = failure.or(Some(format!("the value of {name} is not a token"))),
            None => {}
        }
    }
    failure.map_or(Ok(None), Err)
}

/// The variable whose token is for this host only, such as `AO_GITHUB_TOKEN_GHE_EXAMPLE_COM`. A dot is
/// one `_`, a hyphen two, anything else three: no two hosts share a token by the spelling of theirs.
#[must_use]
pub fn variable_of(host: &str) -> String {
    let word = |c: char| match c {
        '.' => "_".to_owned(),
        '-' => "__".to_owned(),
        _ if c.is_ascii_alphanumeric() => c.to_ascii_uppercase().to_string(),
        _ => "___".to_owned(),
    };
    format!("{OWN}_{}", host.chars().map(word).collect::<String>())
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

/// The environment of the programs. They were looked at, so a program could only repeat them; and
/// a helper of git that prints one prints it for any host.
fn without_tokens(environment: &Environment) -> Environment {
    let is_token = |name: &OsStr| {
        name.as_encoded_bytes().starts_with(OWN.as_bytes())
            || OF_GH.as_flattened().iter().any(|other| name == *other)
    };
    environment.iter().filter(|(name, _)| !is_token(name)).collect()
}

/// What `gh` keeps, in the keyring as a rule.
fn gh(host: &str, environment: &Environment) -> Looked {
    let source = "gh auth token";
    let output = Program {
        name: "gh",
        args: &["auth", "token", "--hostname", host],
        input: "",
        dir: Path::new("/"),
        environment,
        variables: &[("GH_PROMPT_DISABLED", "1"), ("GH_NO_UPDATE_NOTIFIER", "1")],
        timeout: TIMEOUT,
    };
    match said(source, &output)? {
        Some(text) => word(text.strip_suffix('\n').unwrap_or(&text), source),
        None => Ok(None),
    }
}

/// What the credential helpers of git have for the host. Whoever would ask for it is kept from it.
fn git(host: &str, environment: &Environment) -> Looked {
    let source = "git credential";
    let output = Program {
        name: "git",
        args: &["-c", "credential.interactive=false", "credential", "fill"],
        input: &format!("protocol=https\nhost={host}\n\n"),
        dir: Path::new("/"),
        environment,
        variables: &[
            ("GIT_TERMINAL_PROMPT", "0"),
            // Empty ones keep git from looking for others.
            ("GIT_ASKPASS", ""),
            ("SSH_ASKPASS", ""),
            ("GCM_INTERACTIVE", "never"),
        ],
        timeout: TIMEOUT,
    };
    let text = said(source, &output)?.unwrap_or_default();
    word(text.lines().find_map(|line| line.strip_prefix("password=")).unwrap_or_default(), source)
}

/// What a program printed; `None` when it is not there or says no.
fn said(source: &str, program: &Program<'_>) -> Result<Option<String>, String> {
    match program.run() {
        Ok(output) if output.status == 0 => {
            String::from_utf8(output.stdout).map(Some).map_err(|_| garbage(source))
        }
        Ok(_) | Err(Error::NotOnPath(_)) => Ok(None),
        Err(error) => Err(format!("{source}: {error}")),
    }
}

/// The token that a source said; saying nothing is having none.
fn word(text: &str, source: &str) -> Looked {
    if text.is_empty() {
        return Ok(None);
    }
    let token = Token::new(text).ok_or_else(|| garbage(source))?;
    Ok(Some(Found { token, source: source.to_owned() }))
}

fn garbage(source: &str) -> String {
    format!("{source}: what it says is not a token")
}
