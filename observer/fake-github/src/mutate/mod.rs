//! The mutations, by what they change. Each writes the journal; a name or id that does
//! not exist is a bug of the test and panics.

mod checks;
mod comment;
mod pr;
mod repo;
mod review;

pub use checks::CheckSpec;
pub use pr::NewPr;
pub use review::NewThread;

use crate::entity::Obj;
use crate::world::World;

macro_rules! finder {
    ($name:ident, $variant:ident, $what:literal) => {
        pub(crate) fn $name(&self, id: &str) -> usize {
            match self.state.index.get(id) {
                Some(Obj::$variant(at)) => *at,
                _ => panic!(concat!("there is no ", $what, " {}"), id),
            }
        }
    };
}

impl World {
    finder!(pr_at, Pr, "pull request");
    finder!(suite_at, Suite, "check suite");
    finder!(run_at, Run, "check run");
    finder!(review_at, Review, "review");
    finder!(thread_at, Thread, "thread");
    finder!(comment_at, Comment, "comment");

    pub(crate) fn repo_at(&self, name: &str) -> usize {
        match self.state.repo_named(name) {
            Some(at) => at,
            None => panic!("there is no repository {name}"),
        }
    }

    /// Moves `updatedAt` of a pull request.
    pub(crate) fn touch(&mut self, pr: usize) {
        let now = self.now_ms();
        let pr = &mut self.state.prs[pr];
        pr.updated_at = pr.updated_at.max(now);
    }
}
