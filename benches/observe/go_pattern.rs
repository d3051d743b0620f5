//! The calls of the existing observer, a Go program, on an equal scene: what it asks for in a tick
//! of 30 s and in which order, not what it stores.
//!
//! * One conditional list of one pull request for each repository, and one conditional list of the
//!   check runs for each pull request; one after the other.
//! * All open pull requests of a repository whose answer was not "not modified".
//! * GraphQL in batches of 25 for those of such a repository, those whose checks changed, and those
//!   that were not read for five minutes; more pages of 20 checks where there are.
//! * The logs of failed checks, when the set of failed ones changed.
//! * One GraphQL request for the reviews of a pull request that was not read yet, or whose decision
//!   changed, or asks for changes and was read two minutes ago.
//! * All is written when the tick ends. A tick that is late is dropped.
//!
//! It never reads the threads of a pull request whose decision does not ask for changes. Its cache of
//! 512 ETags is never full here. A commit of an ETag waits for nothing.

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;

use ao_fake_github::{Request, Response};
use serde_json::{Value, json};

use crate::observe::figures::Figures;
use crate::observe::scene::{CYCLE_MS, Pending, Scene, Subject};

const BATCH: usize = 25;
const MAX_AGE_MS: i64 = 300_000;
const REVIEW_EVERY_MS: i64 = 120_000;

const FIELDS: &str = "number url state isDraft merged closed title additions deletions changedFiles \
    mergeable mergeStateStatus reviewDecision headRefName headRefOid baseRefName baseRefOid \
    createdAt updatedAt mergedAt closedAt author{login} mergeCommit{oid}";
const CONTEXTS: &str = "{pageInfo{hasNextPage endCursor} nodes{__typename \
    ...on CheckRun{name status conclusion detailsUrl url databaseId} \
    ...on StatusContext{context state targetUrl}}}";
const REVIEWS: &str = "query Reviews($o:String!,$n:String!,$k:Int!){repository(owner:$o,name:$n){\
    pullRequest(number:$k){reviewDecision reviewThreads(last:50){nodes{id isResolved path line \
    comments(first:5){nodes{id body url author{login __typename}}}} \
    pageInfo{hasPreviousPage startCursor}} latestReviews:reviews(last:20,states:[APPROVED,\
    CHANGES_REQUESTED]){nodes{id state body author{login} submittedAt url}}}}}";

/// What it remembers of one pull request.
#[derive(Debug, Clone, Default)]
struct Known {
    head: String,
    decision: String,
    fetched_at: Option<i64>,
    reviewed_at: Option<i64>,
    failed: String,
    /// Changes that this tick has read and not written.
    learned: Vec<Pending>,
}

pub(crate) struct GoPattern {
    pub(crate) scene: Scene,
    etags: HashMap<String, String>,
    known: Vec<Known>,
    figures: Figures,
}

/// What a conditional request found.
#[derive(PartialEq, Eq)]
enum Guard {
    Same,
    Other,
    Refused,
}

impl GoPattern {
    /// Has read all pull requests once.
    pub(crate) fn tracking(scene: Scene) -> GoPattern {
        let known = vec![Known::default(); scene.prs.len()];
        let (etags, figures) = (HashMap::new(), Figures::default());
        let mut this = GoPattern { scene, etags, known, figures };
        for _ in 0..2 {
            this.tick();
        }
        this
    }

    /// Ticks for a time, then for up to `patience_ms` until all is learned that can be.
    pub(crate) fn measure(&mut self, cycles: usize, share: f64, patience_ms: i64) -> Figures {
        self.scene.forget_pending();
        self.scene.plan(cycles, share);
        self.scene.world.counters.clear();
        self.scene.made = 0;
        self.figures = Figures::default();
        let begin = self.scene.now();
        let (end, mut ticks) = (begin + CYCLE_MS * cycles as i64, 0.0);
        while self.scene.now() < end {
            self.tick_on_grid(begin);
            ticks += 1.0;
        }
        let mut figures = self.figures.clone();
        let time = self.scene.now() - begin;
        figures.count(&self.scene.world.counters, time);
        // A tick that is longer than a cycle is one all the same: what counts is what a tick takes.
        figures.cycles = ticks;
        let patience = self.scene.now() + patience_ms;
        while self.scene.unlearned() > 0 && self.scene.now() < patience {
            self.tick_on_grid(begin);
        }
        let Figures { seen, hidden, .. } = std::mem::take(&mut self.figures);
        let (unseen, made) = (self.scene.unlearned(), self.scene.made);
        Figures { seen, hidden, unseen, made, ..figures }
    }

    /// One tick, and the time until the next that is not dropped.
    fn tick_on_grid(&mut self, begin: i64) {
        self.tick();
        let passed = self.scene.now() - begin;
        let next = begin + (passed.div_euclid(CYCLE_MS) + 1) * CYCLE_MS;
        self.scene.advance(next);
    }

    fn tick(&mut self) {
        let modified: Vec<bool> = (0..self.scene.repos).map(|repo| self.guard_repo(repo)).collect();
        let mut candidates = Vec::new();
        for pr in 0..self.known.len() {
            let is_check_news = self.guard_checks(pr);
            let fetched_at = self.known[pr].fetched_at;
            let is_old = fetched_at.is_none_or(|at| self.scene.now() - at > MAX_AGE_MS);
            if is_check_news || is_old || modified[pr % self.scene.repos] {
                candidates.push(pr);
            }
        }
        for batch in candidates.chunks(BATCH) {
            self.fetch(batch);
        }
        for pr in 0..self.known.len() {
            self.refresh_reviews(pr);
        }
        let end = self.scene.now();
        for known in &mut self.known {
            for it in known.learned.drain(..) {
                self.figures.learned(&it, end);
            }
        }
    }

    fn call(&mut self, request: &Request) -> Response {
        let response = self.scene.world.answer(request);
        let latency = Scene::latency(&response);
        self.figures.waited_ms += latency as f64;
        self.scene.advance(self.scene.now() + latency);
        response
    }

    fn guard(&mut self, path: &str) -> (Guard, Response) {
        let mut request = Request::get(path);
        if let Some(etag) = self.etags.get(path) {
            request = request.with("if-none-match", etag);
        }
        let response = self.call(&request);
        let guard = match response.status {
            304 => Guard::Same,
            200 => Guard::Other,
            _ => Guard::Refused,
        };
        if let Some(etag) = response.header("etag").filter(|_| guard == Guard::Other) {
            self.etags.insert(path.to_owned(), etag.to_owned());
        }
        (guard, response)
    }

    /// Whether a repository has news; then its pull requests are listed.
    fn guard_repo(&mut self, repo: usize) -> bool {
        let pulls = format!("/repos/octo/repo-{repo}/pulls?state=open");
        let latest = format!("{pulls}&sort=updated&direction=desc&per_page=1");
        if self.guard(&latest).0 != Guard::Other {
            return false;
        }
        for page in 1.. {
            let response = self.call(&Request::get(&format!("{pulls}&per_page=100&page={page}")));
            if response.value().as_array().is_none_or(|prs| prs.len() < 100) {
                break;
            }
        }
        true
    }

    /// Whether the check runs of the head that is known have news.
    fn guard_checks(&mut self, pr: usize) -> bool {
        let head = &self.known[pr].head;
        if head.is_empty() {
            return true;
        }
        let repo = &self.scene.prs[pr].repo;
        let path = format!("/repos/{repo}/commits/{head}/check-runs?per_page=100");
        self.guard(&path).0 == Guard::Other
    }

    fn fetch(&mut self, batch: &[usize]) {
        let (mut declared, mut roots) = (String::new(), String::new());
        let mut variables = json!({});
        for (index, pr) in batch.iter().enumerate() {
            let _ = write!(declared, "$o{index}:String! $n{index}:String! $k{index}:Int! ");
            let _ = write!(
                roots,
                "pr{index}:repository(owner:$o{index},name:$n{index}){{pullRequest(number:\
                 $k{index}){{{FIELDS} commits(last:1){{nodes{{commit{{oid statusCheckRollup{{state \
                 contexts(first:20){CONTEXTS}}}}}}}}}}}}} "
            );
            let (owner, name, number) = self.place(*pr);
            variables[format!("o{index}")] = owner.into();
            variables[format!("n{index}")] = name.into();
            variables[format!("k{index}")] = number.into();
        }
        let query = format!("query Batch({declared}){{{roots}}}");
        let now = self.scene.now();
        let learned: Vec<_> = batch.iter().map(|pr| self.read(*pr, false)).collect();
        let answer = self.call(&Request::graphql(&query, &variables)).value();
        if answer.get("errors").is_some() {
            return batch.iter().zip(learned).for_each(|(pr, learned)| self.unread(*pr, learned));
        }
        for (index, (pr, learned)) in batch.iter().zip(learned).enumerate() {
            let node = &answer["data"][format!("pr{index}")]["pullRequest"];
            let known = &mut self.known[*pr];
            known.learned.extend(learned);
            known.fetched_at = Some(now);
            known.head = node["headRefOid"].as_str().unwrap_or_default().to_owned();
            let decision = node["reviewDecision"].as_str().unwrap_or_default();
            if known.decision != decision {
                decision.clone_into(&mut known.decision);
                known.reviewed_at = None;
            }
            self.follow(
                *pr,
                &node["commits"]["nodes"][0]["commit"]["statusCheckRollup"]["contexts"],
            );
        }
    }

    /// Reads further pages of checks, and the logs of those that failed.
    fn follow(&mut self, pr: usize, contexts: &Value) {
        let mut failed = BTreeSet::new();
        let mut page = contexts.clone();
        loop {
            let nodes = page["nodes"].as_array().cloned().unwrap_or_default();
            let is_failed = |node: &&Value| node["conclusion"] == "FAILURE";
            failed
                .extend(nodes.iter().filter(is_failed).filter_map(|it| it["databaseId"].as_u64()));
            if page["pageInfo"]["hasNextPage"] != true {
                break;
            }
            let (owner, name, number) = self.place(pr);
            let query = format!(
                "query Contexts($o:String!,$n:String!,$k:Int!,$c:String!){{repository(owner:$o,\
                 name:$n){{pullRequest(number:$k){{commits(last:1){{nodes{{commit{{\
                 statusCheckRollup{{contexts(first:20,after:$c){CONTEXTS}}}}}}}}}}}}}}}"
            );
            let variables = json!({"o": owner, "n": name, "k": number,
                "c": page["pageInfo"]["endCursor"]});
            let answer = self.call(&Request::graphql(&query, &variables)).value();
            let commits = &answer["data"]["repository"]["pullRequest"]["commits"];
            page = commits["nodes"][0]["commit"]["statusCheckRollup"]["contexts"].clone();
        }
        let fingerprint = format!("{} {failed:?}", self.known[pr].head);
        if failed.is_empty() || self.known[pr].failed == fingerprint {
            return;
        }
        self.known[pr].failed = fingerprint;
        let repo = self.scene.prs[pr].repo.clone();
        for job in failed {
            self.call(&Request::get(&format!("/repos/{repo}/actions/jobs/{job}/logs")));
        }
    }

    fn refresh_reviews(&mut self, pr: usize) {
        let known = &self.known[pr];
        let is_old = known.reviewed_at.is_none_or(|at| self.scene.now() - at >= REVIEW_EVERY_MS);
        let is_asked = known.decision == "CHANGES_REQUESTED";
        if known.fetched_at.is_none() || !(known.reviewed_at.is_none() || is_old && is_asked) {
            return;
        }
        let now = self.scene.now();
        let (owner, name, number) = self.place(pr);
        let variables = json!({"o": owner, "n": name, "k": number});
        let learned = self.read(pr, true);
        let answer = self.call(&Request::graphql(REVIEWS, &variables)).value();
        if answer.get("errors").is_some() {
            return self.unread(pr, learned);
        }
        let known = &mut self.known[pr];
        known.learned.extend(learned);
        known.reviewed_at = Some(now);
    }

    /// Takes the changes that a request made now shows.
    fn read(&mut self, pr: usize, of_talk: bool) -> Vec<Pending> {
        let is_shown =
            |subject: &Subject| matches!(subject, Subject::Comment | Subject::Thread(_)) == of_talk;
        let pending = std::mem::take(&mut self.scene.prs[pr].pending);
        let (shown, rest) = pending.into_iter().partition(|it| is_shown(&it.subject));
        self.scene.prs[pr].pending = rest;
        shown
    }

    /// Nothing came of a request.
    fn unread(&mut self, pr: usize, learned: Vec<Pending>) {
        self.scene.prs[pr].pending.extend(learned);
    }

    fn place(&self, pr: usize) -> (String, String, u64) {
        let pr = &self.scene.prs[pr];
        let (owner, name) = pr.repo.split_once('/').unwrap_or_default();
        (owner.to_owned(), name.to_owned(), pr.number)
    }
}
