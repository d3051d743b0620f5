//! Which session a pull request belongs to, and why. Pure.
//!
//! A branch name alone proves nothing, because a fork of a stranger may have a branch of the same
//! name. So the head must be in the repository that the session pushes to, and, where the credentials
//! are a person's, the author must be that person.

use ao_store::SessionId;

/// A session that may own pull requests, as far as attribution needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Candidate {
    pub(crate) session: SessionId,
    pub(crate) branch: String,
    /// The repository that it pushes to.
    pub(crate) origin: String,
}

/// The head of a pull request.
#[derive(Debug, Clone)]
pub(crate) struct Head<'a> {
    pub(crate) branch: &'a str,
    /// The names, old and new, of the repository of the head; empty where it was deleted.
    pub(crate) repos: Vec<&'a str>,
    /// Its author; `None` where the account was deleted.
    pub(crate) author: Option<&'a str>,
}

/// The owner of a pull request and the reason in words, or why there is none. `person` is the login of the user whose credentials are used; `None` for an app or an unknown user.
///
/// The exact branch wins; else the longest branch of which the head is a descendant, as stacked pull
/// requests have it. A branch `a/root` represents the whole namespace `a/`, because git cannot hold `a` beside `a/b`.
pub(crate) fn attribute(
    head: &Head<'_>,
    candidates: &[Candidate],
    person: Option<&str>,
) -> Result<(SessionId, String), &'static str> {
    if head.branch.is_empty() {
        return Err("its head branch is not known");
    }
    if head.repos.is_empty() {
        return Err("the repository of its head was deleted");
    }
    let is_ours =
        |it: &&Candidate| head.repos.iter().any(|repo| repo.eq_ignore_ascii_case(&it.origin));
    let ours: Vec<_> = candidates.iter().filter(is_ours).collect();
    if ours.is_empty() {
        return Err("its head is in no repository that a session pushes to");
    }
    if let Some(person) = person
        && !head.author.is_some_and(|author| author.eq_ignore_ascii_case(person))
    {
        return Err("its author is not the authenticated user");
    }
    if let Some(exact) = ours.iter().find(|it| it.branch == head.branch) {
        return Ok((exact.session.clone(), format!("its head is the branch {}", exact.branch)));
    }
    let descent = |it: &&&Candidate| prefix(&it.branch, head.branch).map(str::len);
    // Of equally long ones the first, so that the result is deterministic.
    let longest = ours.iter().rev().filter(|it| descent(it).is_some()).max_by_key(descent);
    let Some(owner) = longest else { return Err("no session works on its branch") };
    let reason = format!("its head {} descends from the branch {}", head.branch, owner.branch);
    Ok((owner.session.clone(), reason))
}

/// The prefix under which a branch descends from that of a session.
fn prefix<'a>(session: &'a str, branch: &str) -> Option<&'a str> {
    let descends = |base: &str| {
        branch.strip_prefix(base).is_some_and(|rest| rest.starts_with('/') && rest.len() > 1)
    };
    let namespace = session.strip_suffix("/root").filter(|base| !base.is_empty());
    [Some(session), namespace].into_iter().flatten().find(|base| descends(base))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(number: i64, branch: &str) -> Candidate {
        Candidate {
            session: SessionId::new(&"demo".parse().unwrap(), number),
            branch: branch.to_owned(),
            origin: "octo/hello".to_owned(),
        }
    }

    fn head<'a>(branch: &'a str, repo: &'a str) -> Head<'a> {
        Head { branch, repos: vec![repo], author: Some("mona") }
    }

    fn owner(head: Head<'_>, candidates: &[Candidate], person: Option<&str>) -> Option<String> {
        attribute(&head, candidates, person).ok().map(|(session, _)| session.to_string())
    }

    #[test]
    fn the_exact_branch_wins_over_the_longest_prefix_over_shorter_ones() {
        let all = [
            candidate(1, "ao/x"),
            candidate(2, "ao/x/y"),
            candidate(3, "ao/z/root"),
            candidate(4, "ao/x"),
        ];
        let of = |branch| owner(head(branch, "octo/hello"), &all, None);
        assert_eq!(of("ao/x").as_deref(), Some("demo-1"), "the first of equals");
        assert_eq!(of("ao/x/a").as_deref(), Some("demo-1"));
        assert_eq!(of("ao/x/y").as_deref(), Some("demo-2"));
        assert_eq!(of("ao/x/y/deep").as_deref(), Some("demo-2"));
        assert_eq!(of("ao/z/root").as_deref(), Some("demo-3"));
        assert_eq!(of("ao/z/sibling").as_deref(), Some("demo-3"), "the namespace of a root");
        for stranger in ["ao/xy", "ao", "ao/", "ao/x/", "main", ""] {
            assert_eq!(of(stranger), None, "{stranger}");
        }
    }

    #[test]
    fn the_head_must_be_where_the_session_pushes() {
        let all = [candidate(1, "fix")];
        let of = |repos: Vec<&str>| owner(Head { repos, ..head("fix", "") }, &all, None);
        assert!(of(vec!["Octo/Hello"]).is_some(), "letter case does not count");
        assert!(of(vec!["octo/renamed", "octo/hello"]).is_some(), "renamed");
        assert!(of(vec!["stranger/hello"]).is_none());
        assert!(of(vec![]).is_none());
    }

    #[test]
    fn of_a_persons_credentials_only_that_persons_pull_requests_count() {
        let all = [candidate(1, "fix")];
        let of = |author, person| {
            owner(Head { author, ..head("fix", "octo/hello") }, &all, person).is_some()
        };
        assert!(of(Some("mona"), Some("Mona")));
        assert!(!of(Some("mona"), Some("hubot")));
        assert!(!of(None, Some("mona")));
        assert!(of(None, None));
    }
}
