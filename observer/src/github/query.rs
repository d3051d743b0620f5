//! The GraphQL documents that are sent, as complete request bodies.
//!
//! What varies is in variables, never in the text, so nothing that a user or the provider named can
//! become part of a query. Costs are those of the published formula: a connection costs its number
//! of parents, a hundred of them one point, and plain objects are free.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// How much a poll reads of a pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Level {
    /// The heartbeat query reads what shows that something changed. No connection.
    Heartbeat,
    /// The full query reads all metadata, and the counts and states that show which facet changed.
    /// Four connections.
    Full,
}

/// Which schema the host has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Dialect {
    /// `PullRequest.statusCheckRollup` exists.
    #[default]
    Current,
    /// Older servers have the roll-up at commits only: one connection more per pull request.
    RollupOfCommits,
}

/// One page of the open pull requests of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    /// `owner/name`.
    pub(crate) repo: String,
    /// Pull requests per page, 1 to 100.
    pub(crate) first: u32,
    /// The cursor after which the page begins.
    pub(crate) after: Option<String>,
}

/// What one poll asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PollQuery {
    /// Node ids, at most 100.
    pub(crate) ids: Vec<String>,
    /// Pull requests whose node id is not known: `owner/name` and number.
    pub(crate) locations: Vec<(String, i64)>,
    /// Repositories to list.
    pub(crate) listings: Vec<Listing>,
}

const HEARTBEAT: &str = "id number state isDraft merged closed updatedAt headRefOid headRefName \
    baseRefName baseRefOid mergeable mergeStateStatus reviewDecision isInMergeQueue \
    totalCommentsCount repository{id nameWithOwner}";

const ROLLUP: &str = " rollup:statusCheckRollup{id state commit{oid}}";

const FULL: &str = " url title author{__typename login} additions deletions changedFiles \
    isCrossRepository headRepository{nameWithOwner} createdAt mergedAt closedAt mergeCommit{oid} \
    autoMergeRequest{enabledAt} reviews{totalCount} reviewThreads(first:100){totalCount \
    pageInfo{hasNextPage endCursor} nodes{id isResolved isOutdated}} \
    headRef{target{__typename oid ...on Commit{checkSuites(first:50){totalCount \
    nodes{id databaseId status conclusion app{slug} \
    workflowRun{id event url workflow{name}}}}}}}";

/// `state` is separate from `contexts`: selected together it counts runs that were run again.
const COUNTS: &str = " counts:statusCheckRollup{contexts{totalCount \
    checkRunCountsByState{state count} statusContextCountsByState{state count}}}";

const LISTED: &str = "id number url title isDraft state headRefName headRefOid baseRefName \
    baseRefOid isCrossRepository headRepository{nameWithOwner} author{__typename login} createdAt \
    updatedAt";

const PAGE: &str = "totalCount pageInfo{hasNextPage endCursor}";

const CHECK_RUN: &str = "id databaseId name status conclusion startedAt completedAt detailsUrl \
    url checkSuite{databaseId app{slug} workflowRun{id event workflow{name}}}";

/// A query that is being written.
#[derive(Default)]
struct Document {
    declared: String,
    roots: String,
    variables: Map<String, Value>,
}

impl Document {
    /// Declares a variable.
    fn variable(&mut self, name: String, kind: &str, value: Value) {
        let _ = write!(self.declared, "${name}:{kind} ");
        self.variables.insert(name, value);
    }

    /// Opens the repository `owner/name` under an alias. One that has another form does not exist.
    fn repository(&mut self, alias: &str, index: usize, repo: &str) {
        let (owner, name) = repo.split_once('/').unwrap_or((repo, ""));
        self.variable(format!("{alias}o{index}"), "String!", json!(owner));
        self.variable(format!("{alias}n{index}"), "String!", json!(name));
        let _ = write!(
            self.roots,
            "{alias}{index}:repository(owner:${alias}o{index},name:${alias}n{index})"
        );
    }

    /// The body of the request.
    fn body(self, name: &str, fragment: &str) -> String {
        let declared = match self.declared.trim_end() {
            "" => String::new(),
            declared => format!("({declared})"),
        };
        let roots = self.roots.trim_end();
        let query = format!(
            "query {name}{declared}{{rateLimit{{cost limit remaining used resetAt}} {roots}}}\
             {fragment}"
        );
        json!({"query": query, "variables": self.variables}).to_string()
    }
}

/// What is read of a pull request at a level.
fn fields(level: Level, dialect: Dialect) -> String {
    let (more, counts) = match level {
        Level::Heartbeat => ("", ""),
        Level::Full => (FULL, COUNTS),
    };
    match dialect {
        Dialect::Current => format!("{HEARTBEAT}{more}{ROLLUP}{counts}"),
        Dialect::RollupOfCommits => {
            format!("{HEARTBEAT}{more} commits(last:4){{nodes{{commit{{oid{ROLLUP}{counts}}}}}}}")
        }
    }
}

/// The body of a poll.
pub(crate) fn poll(level: Level, dialect: Dialect, poll: &PollQuery) -> String {
    let mut document = Document::default();
    document.roots += "viewer{__typename login} ";
    if !poll.ids.is_empty() {
        document.variable("ids".to_owned(), "[ID!]!", json!(poll.ids));
        document.roots += "nodes(ids:$ids){__typename ...Facts} ";
    }
    for (index, (repo, number)) in poll.locations.iter().enumerate() {
        document.repository("p", index, repo);
        document.variable(format!("pk{index}"), "Int!", json!(number));
        let _ =
            write!(document.roots, "{{pullRequest(number:$pk{index}){{__typename ...Facts}}}} ");
    }
    for (index, listing) in poll.listings.iter().enumerate() {
        document.repository("r", index, &listing.repo);
        document.variable(format!("rf{index}"), "Int!", json!(listing.first));
        document.variable(format!("ra{index}"), "String", json!(listing.after));
        let _ = write!(
            document.roots,
            "{{id nameWithOwner pullRequests(states:OPEN,first:$rf{index},after:$ra{index},\
             orderBy:{{field:CREATED_AT,direction:DESC}}){{{PAGE} nodes{{{LISTED}}}}}}} "
        );
    }
    let name = match level {
        Level::Heartbeat => "Heartbeat",
        Level::Full => "Full",
    };
    // A fragment that is not used is an error.
    let fragment = match poll.ids.is_empty() && poll.locations.is_empty() {
        true => String::new(),
        false => format!("fragment Facts on PullRequest{{{}}}", fields(level, dialect)),
    };
    document.body(name, &fragment)
}

/// The body that reads one pull request as listings do, and where it is now. Every server has these
/// fields.
pub(crate) fn one(repo: &str, number: i64) -> String {
    let mut document = Document::default();
    document.repository("p", 0, repo);
    document.variable("pk0".to_owned(), "Int!", json!(number));
    let _ = write!(
        document.roots,
        "{{pullRequest(number:$pk0){{{LISTED} merged mergedAt closedAt repository{{nameWithOwner}}}}}}"
    );
    document.body("One", "")
}

/// A list that a poll has shown to have changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Part {
    /// The checks of the head of a pull request.
    Checks,
    /// Its reviews.
    Reviews,
    /// Its conversation.
    Comments,
    /// The states of its review threads beyond the first hundred.
    Threads,
    /// A review thread with its comments.
    Thread,
}

/// One page of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PartPage {
    /// Which list.
    pub(crate) part: Part,
    /// Node id of the pull request, or of the thread.
    pub(crate) id: String,
    /// The cursor after which the page begins.
    pub(crate) after: Option<String>,
}

/// The body that reads several pages at once.
pub(crate) fn detail(dialect: Dialect, pages: &[PartPage]) -> String {
    let mut document = Document::default();
    for (index, page) in pages.iter().enumerate() {
        document.variable(format!("i{index}"), "ID!", json!(page.id));
        document.variable(format!("c{index}"), "String", json!(page.after));
        let selection = selection(page.part, dialect, index);
        let _ = write!(document.roots, "d{index}:node(id:$i{index}){{__typename {selection}}} ");
    }
    document.body("Detail", "")
}

fn selection(part: Part, dialect: Dialect, index: usize) -> String {
    let list = |name: &str, first: u32, nodes: &str| {
        format!("{name}(first:{first},after:$c{index}){{{PAGE} nodes{{{nodes}}}}}")
    };
    let pr = |list: &str| format!("...on PullRequest{{updatedAt {list}}}");
    match part {
        Part::Checks => {
            let required = format!("isRequired(pullRequestId:$i{index})");
            let nodes = format!(
                "__typename ...on CheckRun{{{CHECK_RUN} {required}}} \
                 ...on StatusContext{{id context state targetUrl createdAt {required}}}"
            );
            let contexts = list("contexts", 100, &nodes);
            let checks = format!("checks:statusCheckRollup{{commit{{oid}} {contexts}}}");
            pr(&match dialect {
                Dialect::Current => format!("headRefOid {checks}"),
                Dialect::RollupOfCommits => {
                    format!("headRefOid commits(last:4){{nodes{{commit{{oid {checks}}}}}}}")
                }
            })
        }
        Part::Reviews => {
            let nodes = "id author{__typename login} state body commit{oid} url submittedAt";
            pr(&list("reviews", 100, nodes))
        }
        Part::Comments => {
            let nodes = "id author{__typename login} body url createdAt lastEditedAt isMinimized";
            pr(&list("comments", 100, nodes))
        }
        Part::Threads => pr(&list("reviewThreads", 100, "id isResolved isOutdated")),
        Part::Thread => {
            let nodes = "id body url author{__typename login} createdAt lastEditedAt isMinimized \
                path line originalLine replyTo{id}";
            format!(
                "...on PullRequestReviewThread{{pullRequest{{updatedAt}} isResolved isOutdated \
                 path line originalLine startLine diffSide subjectType resolvedBy{{login}} {}}}",
                list("comments", 50, nodes)
            )
        }
    }
}
