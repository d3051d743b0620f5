//! A store like that of a working day: many sessions and pull requests in every state, and what of them
//! needs attention, computed from the same numbers without the store.

use std::collections::BTreeSet;

use ao_store::observation::{
    Check, CheckKind, CheckStatus, Comment, CommentKind, Facet, Mergeable, Observation, PrState,
    Review, ReviewDecision, ReviewState, Thread,
};
use ao_store::row::project::{self, NewProject};
use ao_store::row::session::{self, NewSession, SessionKind};
use ao_store::{Cause, Options, SessionId, Store, Timestamp, Tx, apply_observation};

use crate::support::TestEnv;

const TITLES: &[&str] = &[
    "Fix the flaky test of the retry loop",
    "Parse RFC 3339 times with a lower-case z, which the specification permits and older clients send",
    "設定ファイルの読み込みを速くする",
    "🚀 Ship the new release pipeline",
    "Bump serde from 1.0.228 to 1.0.229",
    "Docs",
];

const MINUTE: i64 = 60_000;

/// Kind and name of each item that needs attention.
pub(crate) type Expected = BTreeSet<(String, String)>;

/// Creates sessions in projects of 50, and the first `prs` of them get a pull request each.
pub(crate) fn create(env: &TestEnv, sessions: usize, prs: usize) -> Expected {
    let (store, _) = Store::create(&env.database(), Options::default()).unwrap();
    let now = Timestamp::now();
    let made = store.write(Cause::new("test", now), move |tx| {
        let ids =
            (0..sessions).map(|i| add_session(tx, i)).collect::<ao_store::Result<Vec<_>>>()?;
        for (i, id) in ids.iter().enumerate().take(prs) {
            apply_observation(tx, &Fact { i, now }.observation(id))?;
        }
        Ok(())
    });
    made.unwrap();
    (0..prs).flat_map(|i| Fact { i, now }.expected()).collect()
}

fn add_session(tx: &Tx<'_>, i: usize) -> ao_store::Result<SessionId> {
    let id = format!("project-{}", i / 50);
    if i.is_multiple_of(50) {
        project::add(
            tx,
            &NewProject {
                id: id.parse()?,
                path: format!("/src/{id}"),
                name: id.clone(),
                origin_url: format!("https://github.com/octo/{id}"),
                host: "github.com".to_owned(),
                repo: format!("octo/{id}"),
                default_branch: "main".to_owned(),
            },
        )?;
    }
    let new = NewSession {
        project: id.parse()?,
        kind: SessionKind::Worker,
        harness: "claude-code".to_owned(),
        name: format!("task {i}"),
        issue: String::new(),
        branch: format!("ao/work-{i}"),
    };
    Ok(session::create(tx, &new)?.id)
}

/// The pull request of this number.
struct Fact {
    i: usize,
    now: Timestamp,
}

impl Fact {
    fn is_every(&self, n: usize) -> bool {
        self.i % n == n - 1
    }

    fn is_failing(&self) -> bool {
        self.is_every(5)
    }

    fn has_request(&self) -> bool {
        self.is_every(7)
    }

    fn is_conflicting(&self) -> bool {
        self.is_every(11)
    }

    fn unresolved(&self) -> usize {
        if self.is_every(6) { 1 + self.i % 3 } else { 0 }
    }

    fn is_merged(&self) -> bool {
        self.is_every(13)
    }

    fn place(&self) -> String {
        format!("octo/project-{}#{}", self.i / 50, self.i + 1)
    }

    fn expected(&self) -> Expected {
        let kinds = [
            ("ci_failing", self.is_failing()),
            ("changes_requested", self.has_request()),
            ("conflicting", self.is_conflicting()),
            ("threads_unresolved", self.unresolved() > 0),
        ];
        let kinds = kinds.into_iter().filter(|(_, is)| *is && !self.is_merged());
        kinds.map(|(kind, _)| (kind.to_owned(), self.place())).collect()
    }

    fn ago(&self, minutes: usize) -> Timestamp {
        let minutes = i64::try_from(minutes + self.i).unwrap();
        Timestamp(self.now.0 - minutes * MINUTE)
    }

    fn observation(&self, session: &SessionId) -> Observation {
        let i = self.i;
        let mut seen = Observation::new(self.place().parse().unwrap(), self.now);
        seen.node_id = format!("PR_{i}");
        seen.session = Some(session.clone());
        let facts = &mut seen.facts;
        facts.state = Some(if self.is_merged() { PrState::Merged } else { PrState::Open });
        facts.title = Some(TITLES[i % TITLES.len()].to_owned());
        facts.author = Some("octo".to_owned());
        facts.head_ref = Some(format!("ao/work-{i}"));
        facts.head_sha = Some(format!("{i:040x}"));
        facts.base_ref = Some("main".to_owned());
        let is_conflicting = self.is_conflicting();
        facts.mergeable =
            Some(if is_conflicting { Mergeable::Conflicting } else { Mergeable::Mergeable });
        let has_request = self.has_request();
        facts.review_decision =
            Some(if has_request { ReviewDecision::ChangesRequested } else { ReviewDecision::None });
        seen.checks = Facet::replace((0..6).map(|n| self.check(n)).collect());
        seen.reviews =
            Facet::replace((0..usize::from(has_request)).map(|_| self.review()).collect());
        seen.threads = Facet::replace((0..4).map(|n| self.thread(n)).collect());
        seen.comments = Facet::replace((0..12).map(|n| self.comment(n)).collect());
        seen
    }

    fn check(&self, n: usize) -> Check {
        let is_failed = n == 0 && self.is_failing();
        Check {
            head_sha: format!("{:040x}", self.i),
            kind: CheckKind::Run,
            app: "github-actions".to_owned(),
            workflow: "ci".to_owned(),
            name: format!("test ({n})"),
            external_id: format!("{}", self.i * 10 + n),
            status: if is_failed { CheckStatus::Failed } else { CheckStatus::Passed },
            completed_at: Some(self.ago(1)),
            ..Check::default()
        }
    }

    fn review(&self) -> Review {
        Review {
            id: format!("R{}", self.i),
            author: "ann".to_owned(),
            state: ReviewState::ChangesRequested,
            body: "Please add a test.".to_owned(),
            submitted_at: Some(self.ago(2)),
            ..Review::default()
        }
    }

    fn thread(&self, n: usize) -> Thread {
        Thread {
            id: format!("T{}-{n}", self.i),
            path: "src/lib.rs".to_owned(),
            line: Some(10),
            is_resolved: n >= self.unresolved(),
            ..Thread::default()
        }
    }

    fn comment(&self, n: usize) -> Comment {
        Comment {
            id: format!("C{}-{n}", self.i),
            kind: CommentKind::Review,
            thread_id: format!("T{}-{}", self.i, n % 4),
            author: "ann".to_owned(),
            body: format!("Comment {n}: is this still needed?\n\nIt looks unused."),
            created_at: Some(self.ago(20 - n)),
            ..Comment::default()
        }
    }
}
