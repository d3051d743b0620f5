//! A world of a given size, for benches and for the program.

use crate::enums::{Conclusion, StatusState};
use crate::mutate::{CheckSpec, NewPr, NewThread};
use crate::world::{Clock, World};

impl World {
    /// `prs` open pull requests spread over `repos` repositories `octo/repo-N`, each with this
    /// many finished checks and threads of two comments. The journal starts empty.
    #[must_use]
    pub fn fleet(repos: usize, prs: usize, checks_per_pr: usize, threads_per_pr: usize) -> Self {
        Self::new(1).with_fleet(repos, prs, checks_per_pr, threads_per_pr)
    }

    /// The same on the clock of the machine.
    #[must_use]
    pub fn fleet_of_now(
        repos: usize,
        prs: usize,
        checks_per_pr: usize,
        threads_per_pr: usize,
    ) -> Self {
        let mut world = Self::new(1);
        world.set_clock(Clock::Real);
        world.with_fleet(repos, prs, checks_per_pr, threads_per_pr)
    }

    fn with_fleet(self, repos: usize, prs: usize, checks: usize, threads: usize) -> Self {
        let mut world = self;
        let names: Vec<_> = (0..repos.max(1)).map(|at| format!("octo/repo-{at}")).collect();
        for name in &names {
            world.add_repo(name);
        }
        for at in 0..prs {
            let repo = &names[at % names.len()];
            let pr = world.open_pr(&NewPr::new(repo, &format!("ao/work-{at}")));
            for check in 0..checks {
                let spec = CheckSpec::job("ci", &format!("job-{check}"));
                world.check(&pr, &spec, Conclusion::Success);
            }
            if checks > 0 {
                world.status_set(&pr, "ci/external", StatusState::Success);
            }
            for line in 0..threads {
                let place = NewThread::at("src/lib.rs", 1 + line as u64);
                let thread = world.thread_add(&pr, "reviewer", &place, "Is this right?");
                world.thread_reply(&thread, "octo-dev", "It is.");
            }
        }
        world.journal.clear();
        world
    }
}
