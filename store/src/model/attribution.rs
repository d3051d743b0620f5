//! Which session a pull request belongs to, and why: one rule for polls and webhook deliveries. Pure.
//!
//! A branch name alone proves nothing, because a fork of a stranger may have a branch of the same
//! name. So the head must be in the repository that the session pushes to, and, where the credentials
//! are a person's, the author must be that person. What ended before a session existed is not its work.

use std::fmt;

use crate::model::id::{ProjectId, SessionId};
use crate::model::observation::{Observation, PrState};
use crate::model::text_enum::text_enum;
use crate::model::time::Timestamp;

text_enum! {
    /// Why no session owns a pull request.
    Reason {
        /// The repository of its head was deleted, or is a fork that the facts do not name.
        HeadRepositoryUnknown = "head_repository_unknown",
        /// No active project with a session has the repository of its head as its origin.
        NoProject = "no_project",
        /// The facts do not name its head branch.
        HeadBranchUnknown = "head_branch_unknown",
        /// No session works on its head branch.
        NoSession = "no_session",
        /// It ended before the session on its head branch was created.
        EndedBeforeSession = "ended_before_session",
        /// It is on the branch of a session, but the credentials are those of another person.
        OtherAuthor = "other_author",
        /// The facts are about a commit that is the head of no tracked pull request.
        NoPullRequest = "no_pull_request",
    } else NoSession
}

/// No session owns a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unattributed {
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people.
    pub text: String,
    /// The session on whose branch it is, where the author alone is the reason.
    pub session: Option<SessionId>,
}

impl fmt::Display for Unattributed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The owner of a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribution {
    /// The session.
    pub session: SessionId,
    /// Its project.
    pub project: ProjectId,
    /// Why it is the owner, for people.
    pub reason: String,
}

/// A session that may own pull requests: a worker of an active project, with a branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The session.
    pub session: SessionId,
    /// Its project.
    pub project: ProjectId,
    /// Its number in its project.
    pub num: i64,
    /// Its branch.
    pub branch: String,
    /// The repository that it pushes to, as `owner/name`: the origin of its project.
    pub origin: String,
    /// Whether it is terminated.
    pub is_terminated: bool,
    /// When it was created.
    pub created_at: Timestamp,
}

/// The session of a pull request that is observed for the first time. `candidates` are those of its
/// host; `person` is the login of the user whose credentials are used, `None` if that is not known or
/// they are an app's.
///
/// The exact branch takes precedence; then the longest branch of which the head is a descendant, as
/// stacked pull requests have it; then a session that is not terminated; then the newest one.
///
/// # Errors
/// Why no session owns it.
pub fn attribute(
    observation: &Observation,
    candidates: &[Candidate],
    person: Option<&str>,
) -> Result<Attribution, Unattributed> {
    let because = |reason, text: String| Err(Unattributed { reason, text, session: None });
    let Some(repo) = head_repo(observation) else {
        let text = "the repository of its head was deleted, or is a fork that is not known";
        return because(Reason::HeadRepositoryUnknown, text.to_owned());
    };
    let ours: Vec<_> =
        candidates.iter().filter(|it| it.origin.eq_ignore_ascii_case(repo)).collect();
    if ours.is_empty() {
        let host = &observation.pr.host;
        let text = format!("no project with a session has the origin {host}/{repo}");
        return because(Reason::NoProject, text);
    }
    let Some(branch) = head_branch(observation) else {
        let text = "its head branch is not known".to_owned();
        return because(Reason::HeadBranchUnknown, text);
    };
    let on_branch = |it: &Candidate| base_of(&it.branch, branch);
    if !ours.iter().any(|it| on_branch(it).is_some()) {
        return because(Reason::NoSession, format!("no session works on the branch {branch}"));
    }
    let ended_at = ended_by(observation);
    let rank = |it: &Candidate| Some((on_branch(it)?, !it.is_terminated, it.created_at, it.num));
    let ranked = ours.iter().rev().filter(|it| existed(it, ended_at));
    let best = ranked.filter_map(|it| Some((rank(it)?, *it))).max_by_key(|(rank, _)| *rank);
    let Some((_, owner)) = best else {
        let text = format!("no session worked on the branch {branch} when it ended");
        return because(Reason::EndedBeforeSession, text);
    };
    if let Some(person) = person
        && !may_be_by(observation, person)
    {
        let session = owner.session.clone();
        let is_known = observation.facts.author.is_some();
        let negation = if is_known { "is not" } else { "is not known to be" };
        let text = format!("it is on the branch of {session}, but {person} {negation} its author");
        return Err(Unattributed { reason: Reason::OtherAuthor, text, session: Some(session) });
    }
    let reason = match owner.branch == branch {
        true => format!("its head is the branch {branch}"),
        false => format!("its head {branch} descends from the branch {}", owner.branch),
    };
    Ok(Attribution { session: owner.session.clone(), project: owner.project.clone(), reason })
}

/// Whether the author is this person, or the facts about the pull request leave the author out. A check
/// that only mentions it is no evidence: other facts follow.
fn may_be_by(observation: &Observation, person: &str) -> bool {
    let facts = &observation.facts;
    match &facts.author {
        Some(author) => author.eq_ignore_ascii_case(person),
        None => facts.head_ref.is_some(),
    }
}

/// The repository of the head; where the facts do not name it, that of the pull request, unless they
/// state that it is another one.
pub(crate) fn head_repo(observation: &Observation) -> Option<&str> {
    let facts = &observation.facts;
    let named = facts.head_repo.as_deref().filter(|repo| !repo.is_empty());
    named.or_else(|| (facts.is_cross_repo != Some(true)).then_some(observation.pr.repo.as_str()))
}

fn head_branch(observation: &Observation) -> Option<&str> {
    let branch = observation.facts.head_ref.as_deref().or(observation.branch.as_deref());
    branch.filter(|branch| !branch.is_empty())
}

/// When the pull request ended, at the latest: what has ended had done so when it was changed last.
fn ended_by(observation: &Observation) -> Option<Timestamp> {
    let Observation { facts, provider_at, .. } = observation;
    let has_ended = matches!(facts.state, Some(PrState::Merged | PrState::Closed));
    facts.merged_at.or(facts.closed_at).or(provider_at.filter(|_| has_ended))
}

/// Whether a session existed when the pull request ended. GitHub's times are whole seconds.
fn existed(candidate: &Candidate, ended_at: Option<Timestamp>) -> bool {
    ended_at.is_none_or(|ended| candidate.created_at.0.div_euclid(1000) <= ended.0.div_euclid(1000))
}

/// How near the branch of a session is to a head that is it or descends from it: greater is nearer.
/// A branch `a/root` represents the whole namespace `a/`, because git cannot hold `a` beside `a/b`.
fn base_of(session: &str, head: &str) -> Option<usize> {
    if session == head {
        return Some(usize::MAX);
    }
    let descends = |base: &&str| {
        let rest = head.strip_prefix(*base);
        !base.is_empty() && rest.is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
    };
    let namespace = session.strip_suffix("/root");
    [Some(session), namespace].into_iter().flatten().find(descends).map(str::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::observation::PrFacts;

    fn candidate(number: i64, branch: &str) -> Candidate {
        let project: ProjectId = "demo".parse().unwrap();
        Candidate {
            session: SessionId::new(&project, number),
            project,
            num: number,
            branch: branch.to_owned(),
            origin: "octo/hello".to_owned(),
            is_terminated: false,
            created_at: Timestamp(1_000_000),
        }
    }

    fn of_facts(facts: PrFacts) -> Observation {
        let facts = PrFacts { author: facts.author.or(Some("mona".to_owned())), ..facts };
        Observation { facts, ..Observation::new("octo/hello#7".parse().unwrap(), Timestamp(0)) }
    }

    fn on_branch(branch: &str) -> PrFacts {
        PrFacts { head_ref: Some(branch.to_owned()), ..PrFacts::default() }
    }

    /// The number of the owner, or the code of the reason.
    fn owner(facts: PrFacts, candidates: &[Candidate], person: Option<&str>) -> String {
        match attribute(&of_facts(facts), candidates, person) {
            Ok(found) => found.session.to_string(),
            Err(none) => none.reason.to_string(),
        }
    }

    #[test]
    fn the_exact_branch_wins_over_the_longest_prefix_over_shorter_ones() {
        let ended = Candidate { is_terminated: true, ..candidate(5, "ao/x/y") };
        let all = [
            candidate(1, "ao/x"),
            candidate(2, "ao/x/y"),
            candidate(3, "ao/z/root"),
            candidate(4, "ao/x"),
            ended,
            Candidate { is_terminated: true, ..candidate(6, "ao/x/old") },
        ];
        for (branch, expected) in [
            ("ao/x", "demo-4"),
            ("ao/x/a", "demo-4"),
            ("ao/x/y", "demo-2"),
            ("ao/x/y/deep", "demo-2"),
            ("ao/x/old", "demo-6"),
            ("ao/z/root", "demo-3"),
            ("ao/z/sibling", "demo-3"),
            ("ao/xy", "no_session"),
            ("ao", "no_session"),
            ("ao/", "no_session"),
            ("ao/x/", "no_session"),
            ("main", "no_session"),
            ("/main", "no_session"),
            ("", "head_branch_unknown"),
        ] {
            assert_eq!(owner(on_branch(branch), &all, None), expected, "{branch}");
        }
        let root = [candidate(1, "/root")];
        assert_eq!(owner(on_branch("/main"), &root, None), "no_session", "a namespace has a name");
    }

    #[test]
    fn the_head_must_be_where_the_session_pushes() {
        let all = [candidate(1, "fix")];
        let of = |repo: Option<&str>, is_cross_repo| {
            let head_repo = repo.map(str::to_owned);
            owner(PrFacts { head_repo, is_cross_repo, ..on_branch("fix") }, &all, None)
        };
        assert_eq!(of(Some("Octo/Hello"), Some(false)), "demo-1", "letter case does not count");
        assert_eq!(of(None, None), "demo-1");
        assert_eq!(of(None, Some(true)), "head_repository_unknown");
        assert_eq!(of(Some(""), Some(true)), "head_repository_unknown");
        assert_eq!(of(Some("stranger/hello"), Some(true)), "no_project");
    }

    #[test]
    fn of_a_persons_credentials_only_that_persons_pull_requests_count() {
        let all = [candidate(1, "fix")];
        let of = |person| owner(on_branch("fix"), &all, person);
        assert_eq!(of(Some("Mona")), "demo-1");
        assert_eq!(of(None), "demo-1");
        assert_eq!(of(Some("hubot")), "other_author");
        assert_eq!(owner(on_branch("other"), &all, Some("hubot")), "no_session", "not of interest");
        let gone = PrFacts { author: Some(String::new()), ..on_branch("fix") };
        assert_eq!(owner(gone, &all, Some("mona")), "other_author", "a deleted account");
        let silent = Observation { facts: on_branch("fix"), ..of_facts(PrFacts::default()) };
        assert!(attribute(&silent, &all, Some("mona")).is_ok(), "the facts do not name the author");
        let branch = Some("fix".to_owned());
        let mentioned = Observation { facts: PrFacts::default(), branch, ..silent };
        let none = attribute(&mentioned, &all, Some("mona")).unwrap_err();
        assert_eq!(none.reason, Reason::OtherAuthor, "a check mentions it");
        assert!(none.text.ends_with("but mona is not known to be its author"), "{none}");
    }

    #[test]
    fn what_ended_before_a_session_existed_is_not_its_work() {
        let new = Candidate { created_at: Timestamp(9_000_500), ..candidate(2, "fix") };
        let all = [Candidate { is_terminated: true, ..candidate(1, "fix") }, new];
        let of = |ended: Option<i64>| {
            owner(PrFacts { closed_at: ended.map(Timestamp), ..on_branch("fix") }, &all, None)
        };
        assert_eq!(of(None), "demo-2");
        assert_eq!(of(Some(9_000_000)), "demo-2", "in the second of its creation");
        assert_eq!(of(Some(8_999_000)), "demo-1");
        assert_eq!(of(Some(999_000)), "ended_before_session");
        let changed = |state| {
            let facts = PrFacts { state: Some(state), ..on_branch("fix") };
            let seen = Observation { provider_at: Some(Timestamp(8_000)), ..of_facts(facts) };
            attribute(&seen, &all, None).map_err(|none| none.reason)
        };
        assert_eq!(changed(PrState::Closed), Err(Reason::EndedBeforeSession), "without a time");
        assert!(changed(PrState::Open).is_ok());
    }
}
