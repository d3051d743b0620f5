//! Random mutations, for tests that compare an observer with the world over a long time.

use fastrand::Rng;

use crate::entity::{Pr, Repo};
use crate::enums::{Access, CheckStatus, Conclusion, PrState, ReviewState, StatusState};
use crate::mutate::{CheckSpec, NewPr, NewThread};
use crate::world::World;

const CONCLUSIONS: &[Conclusion] = &[
    Conclusion::Success,
    Conclusion::Success,
    Conclusion::Failure,
    Conclusion::Neutral,
    Conclusion::Cancelled,
    Conclusion::Skipped,
    Conclusion::TimedOut,
];

const STATES: &[StatusState] =
    &[StatusState::Success, StatusState::Failure, StatusState::Error, StatusState::Pending];

const PEOPLE: &[Option<&str>] =
    &[Some("mona"), Some("hubot"), Some("octo-dev"), Some("review-bot[bot]"), None];

impl World {
    /// Makes one plausible mutation of a visible repository. Opens a pull request if there is
    /// no open one; does nothing without a repository.
    pub fn mutate_randomly(&mut self, rng: &mut Rng) {
        let visible =
            |pr: &&Pr| self.state.access(pr.repo) == Access::Granted && pr.state == PrState::Open;
        let open: Vec<String> =
            self.state.prs.iter().filter(visible).map(|pr| pr.id.clone()).collect();
        let Some(pr) = rng.choice(&open) else { return self.open_randomly(rng) };
        match rng.usize(..100) {
            0..30 => self.check_randomly(pr, rng),
            30..60 => self.comment_randomly(pr, rng),
            60..72 => self.review_randomly(pr, rng),
            72..95 => self.change_randomly(pr, rng),
            95..97 => self.open_randomly(rng),
            97 => self.reopen_randomly(rng),
            _ => self.change_repo_randomly(pr, rng),
        }
    }

    fn open_randomly(&mut self, rng: &mut Rng) {
        let visible = |(at, _): &(usize, &Repo)| self.state.access(*at) == Access::Granted;
        let repos = self.state.repos.iter().enumerate().filter(visible);
        let names: Vec<String> = repos.map(|(_, repo)| repo.full_name()).collect();
        let Some(name) = rng.choice(&names) else { return };
        let branch = format!("ao/random-{}", self.state.serial);
        let draft = rng.usize(..4) == 0;
        self.open_pr(&NewPr { draft, ..NewPr::new(name, &branch) });
    }

    fn reopen_randomly(&mut self, rng: &mut Rng) {
        let is_closed =
            |pr: &&Pr| pr.state == PrState::Closed && self.state.access(pr.repo) == Access::Granted;
        let closed: Vec<String> =
            self.state.prs.iter().filter(is_closed).map(|pr| pr.id.clone()).collect();
        match rng.choice(&closed) {
            Some(pr) => self.reopen(pr),
            None => self.open_randomly(rng),
        }
    }

    fn check_randomly(&mut self, pr: &str, rng: &mut Rng) {
        let head = self.state.prs[self.pr_at(pr)].head;
        let latest = |finished: bool| {
            let runs = self.state.commits[head].runs.iter().map(|at| &self.state.runs[*at]);
            let fits = runs.filter(|run| !run.superseded && run.conclusion.is_some() == finished);
            fits.map(|run| run.id.clone()).collect::<Vec<_>>()
        };
        let (running, finished) = (latest(false), latest(true));
        let conclusion = rng.choice(CONCLUSIONS).copied().unwrap_or(Conclusion::Success);
        match rng.usize(..10) {
            0..4 => {
                if let Some(run) = rng.choice(&running) {
                    return self.check_finish(run, conclusion);
                }
            }
            4 => {
                if let Some(run) = rng.choice(&finished) {
                    return drop(self.rerun(run));
                }
            }
            5 => {
                let state = rng.choice(STATES).copied().unwrap_or(StatusState::Success);
                let context = format!("ci/external-{}", rng.usize(..2));
                return drop(self.status_set(pr, &context, state));
            }
            6 => {
                let waiting = (CheckStatus::Completed, Some(Conclusion::ActionRequired));
                let (status, conclusion) =
                    if rng.bool() { waiting } else { (CheckStatus::Queued, None) };
                return drop(self.suite_waiting(pr, "deploy", status, conclusion));
            }
            _ => {}
        }
        let workflow = format!("workflow-{}", rng.usize(..2));
        let spec = CheckSpec::job(&workflow, &format!("job-{}", rng.usize(..4)));
        if rng.usize(..4) == 0 {
            self.workflow_start(pr, &spec);
        }
        self.check_start(pr, &spec);
    }

    fn comment_randomly(&mut self, pr: &str, rng: &mut Rng) {
        let row = &self.state.prs[self.pr_at(pr)];
        let in_threads = row.threads.iter().flat_map(|at| &self.state.threads[*at].comments);
        let comments = row.comments.iter().chain(in_threads);
        let comments: Vec<_> = comments.map(|at| self.state.comments[*at].id.clone()).collect();
        let ids = row.threads.iter().map(|at| self.state.threads[*at].id.clone());
        let threads: Vec<_> = ids.collect();
        let author = rng.choice(PEOPLE).copied().unwrap_or_default();
        let body = format!("Remark {}", rng.usize(..1_000_000));
        match (rng.usize(..10), rng.choice(&threads), rng.choice(&comments)) {
            (0..2, Some(thread), _) => drop(self.thread_reply(thread, author, &body)),
            (2..4, Some(thread), _) => self.thread_resolve(thread, author),
            (4, Some(thread), _) => self.thread_unresolve(thread),
            (5, Some(thread), _) if rng.bool() => self.thread_outdated(thread),
            (6, _, Some(comment)) => self.comment_edit(comment, &body),
            (7, _, Some(comment)) => self.comment_minimize(comment, rng.usize(..3) > 0),
            (8, _, Some(comment)) => self.comment_delete(comment),
            (9, ..) => drop(self.comment_add(pr, author, &body)),
            _ => {
                let place = NewThread::at("src/lib.rs", 1 + rng.u64(..200));
                self.thread_add(pr, author, &place, &body);
            }
        }
    }

    fn review_randomly(&mut self, pr: &str, rng: &mut Rng) {
        let at = self.pr_at(pr);
        let verdicts = self.state.prs[at].reviews.iter().filter(|at| {
            let state = self.state.reviews[**at].state;
            matches!(state, ReviewState::Approved | ReviewState::ChangesRequested)
        });
        let verdicts: Vec<_> = verdicts.map(|at| self.state.reviews[*at].id.clone()).collect();
        let states = [ReviewState::Approved, ReviewState::ChangesRequested, ReviewState::Commented];
        match (rng.usize(..4), rng.choice(&verdicts)) {
            (0, Some(review)) => self.dismiss_review(review),
            _ => {
                let state = rng.choice(&states).copied().unwrap_or(ReviewState::Commented);
                let author = rng.choice(PEOPLE).copied().unwrap_or_default();
                self.review(pr, author, state, &format!("Verdict {}", rng.usize(..1000)));
            }
        }
    }

    fn change_randomly(&mut self, pr: &str, rng: &mut Rng) {
        let row = &self.state.prs[self.pr_at(pr)];
        let (draft, queued, auto) = (row.draft, row.in_merge_queue, row.auto_merge_at.is_some());
        let (conflicts, title) = (row.conflicts, format!("Title {}", rng.usize(..1000)));
        match rng.usize(..20) {
            0..6 => drop(self.push(pr)),
            6..8 => drop(self.force_push(pr)),
            8..10 => self.set_draft(pr, !draft),
            10..12 => self.set_title(pr, &title),
            12 => self.set_base(pr, if rng.bool() { "main" } else { "release" }),
            13..15 => self.set_auto_merge(pr, !auto),
            15 => self.set_merge_queue(pr, !queued),
            16..18 => self.set_conflicts(pr, !conflicts),
            18 => self.close(pr),
            _ => self.merge(pr),
        }
    }

    fn change_repo_randomly(&mut self, pr: &str, rng: &mut Rng) {
        let name = self.state.repos[self.state.prs[self.pr_at(pr)].repo].full_name();
        match rng.usize(..4) {
            0 => self.star(&name),
            1 => {
                self.state.serial += 1;
                self.rename_repo(&name, &format!("renamed-{}", self.state.serial));
            }
            _ => drop(self.base_push(&name, "main")),
        }
    }
}
