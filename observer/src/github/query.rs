//! The GraphQL documents that are sent, as complete request bodies.
//!
//! What varies is in variables, never in the text, so nothing that a user or the provider named can
//! become part of a query. Costs are those of the published formula: a connection costs its number
//! of parents, a hundred of them one point, and plain objects are free.

use std::fmt::Write as _;

use serde_json::{Map, Value, json};

/// How much of a pull request a look reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Level {
    /// The heartbeat: what tells that something changed. No connection.
    Slim,
    /// All metadata, and the counts and states that tell which facet changed. Four connections.
    Wide,
}

/// Which schema the host has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Dialect {
    /// `PullRequest.statusCheckRollup` exists.
    #[default]
    Current,
    /// Older servers have the rollup at commits only: one connection more a pull request.
    RollupOfCommits,
}

/// One page of the open pull requests of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listing {
    /// `owner/name`.
    pub(crate) repo: String,
    /// Pull requests a page, 1 to 100.
    pub(crate) first: u32,
    /// The page begins after this.
    pub(crate) after: Option<String>,
}

/// What one look asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Node ids, at most 100.
    pub(crate) ids: Vec<String>,
    /// Pull requests whose node id is not known: `owner/name` and number.
    pub(crate) places: Vec<(String, i64)>,
    /// Repositories to list.
    pub(crate) listings: Vec<Listing>,
}

const SLIM: &str = "id number state isDraft merged closed updatedAt headRefOid headRefName \
    baseRefName baseRefOid mergeable mergeStateStatus reviewDecision isInMergeQueue \
    totalCommentsCount repository{id nameWithOwner}";

const ROLLUP: &str = " rollup:statusCheckRollup{id state commit{oid}}";

const WIDE: &str = " url title author{__typename login} additions deletions changedFiles \
    isCrossRepository headRepository{nameWithOwner} createdAt mergedAt closedAt mergeCommit{oid} \
    autoMergeRequest{enabledAt} reviews{totalCount} reviewThreads(first:100){totalCount \
    pageInfo{hasNextPage endCursor} nodes{id isResolved isOutdated}} \
    headRef{target{__typename oid ...on Commit{checkSuites(first:50){totalCount \
    nodes{id status conclusion app{slug} workflowRun{id event url workflow{name}}}}}}}";

/// `state` stands apart from `contexts`: selected together it counts runs that were run again.
const COUNTS: &str = " counts:statusCheckRollup{contexts{totalCount \
    checkRunCountsByState{state count} statusContextCountsByState{state count}}}";

const LISTED: &str = "id number url title isDraft state headRefName headRefOid baseRefName \
    baseRefOid isCrossRepository headRepository{nameWithOwner} author{__typename login} createdAt \
    updatedAt";

const PAGE: &str = "totalCount pageInfo{hasNextPage endCursor}";

/// What is read of a pull request at a level.
fn fields(level: Level, dialect: Dialect) -> String {
    let is_wide = level == Level::Wide;
    let mut fields = SLIM.to_owned();
    if is_wide {
        fields += WIDE;
    }
    let counts = if is_wide { COUNTS } else { "" };
    match dialect {
        Dialect::Current => fields + ROLLUP + counts,
        Dialect::RollupOfCommits => {
            format!("{fields} commits(last:4){{nodes{{commit{{oid{ROLLUP}{counts}}}}}}}")
        }
    }
}

/// The body of a look.
pub(crate) fn look(level: Level, dialect: Dialect, look: &Look) -> String {
    let name = match level {
        Level::Slim => "Slim",
        Level::Wide => "Wide",
    };
    let mut declared = String::new();
    let mut selected = format!("fragment Facts on PullRequest{{{}}}", fields(level, dialect));
    let mut variables = Map::new();
    let mut roots = String::from("viewer{__typename login} ");
    if !look.ids.is_empty() {
        declared += "$ids:[ID!]! ";
        roots += "nodes(ids:$ids){__typename ...Facts} ";
        variables.insert("ids".to_owned(), json!(look.ids));
    }
    for (index, (repo, number)) in look.places.iter().enumerate() {
        let (owner, name) = split(repo);
        let _ = write!(declared, "$po{index}:String! $pn{index}:String! $pk{index}:Int! ");
        let _ = write!(
            roots,
            "p{index}:repository(owner:$po{index},name:$pn{index}){{pullRequest(number:$pk{index})\
             {{__typename ...Facts}}}} "
        );
        variables.insert(format!("po{index}"), json!(owner));
        variables.insert(format!("pn{index}"), json!(name));
        variables.insert(format!("pk{index}"), json!(number));
    }
    if look.ids.is_empty() && look.places.is_empty() {
        // A fragment that is not used is an error.
        selected.clear();
    }
    list(&look.listings, &mut declared, &mut roots, &mut variables);
    body(name, &declared, &roots, &selected, variables)
}

fn list(
    listings: &[Listing],
    declared: &mut String,
    roots: &mut String,
    variables: &mut Map<String, Value>,
) {
    for (index, listing) in listings.iter().enumerate() {
        let (owner, name) = split(&listing.repo);
        let _ = write!(
            declared,
            "$o{index}:String! $n{index}:String! $f{index}:Int! $a{index}:String "
        );
        let _ = write!(
            roots,
            "r{index}:repository(owner:$o{index},name:$n{index}){{id nameWithOwner \
             pullRequests(states:OPEN,first:$f{index},after:$a{index},orderBy:{{field:CREATED_AT,\
             direction:DESC}}){{{PAGE} nodes{{{LISTED}}}}}}} "
        );
        variables.insert(format!("o{index}"), json!(owner));
        variables.insert(format!("n{index}"), json!(name));
        variables.insert(format!("f{index}"), json!(listing.first));
        variables.insert(format!("a{index}"), json!(listing.after));
    }
}

/// One page of one list that a look has shown to have changed.
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

/// A part to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ask {
    /// Which list.
    pub(crate) part: Part,
    /// Node id of the pull request, or of the thread.
    pub(crate) id: String,
    /// The page begins after this.
    pub(crate) after: Option<String>,
}

/// The body that reads several parts at once.
pub(crate) fn detail(dialect: Dialect, asks: &[Ask]) -> String {
    let (mut declared, mut roots) = (String::new(), String::new());
    let mut variables = Map::new();
    for (index, ask) in asks.iter().enumerate() {
        let _ = write!(declared, "$i{index}:ID! $c{index}:String ");
        let selection = selection(ask.part, dialect, index);
        let _ = write!(roots, "d{index}:node(id:$i{index}){{__typename {selection}}} ");
        variables.insert(format!("i{index}"), json!(ask.id));
        variables.insert(format!("c{index}"), json!(ask.after));
    }
    body("Detail", &declared, &roots, "", variables)
}

fn selection(part: Part, dialect: Dialect, index: usize) -> String {
    let list = |name: &str, first: u32, nodes: &str| {
        format!("{name}(first:{first},after:$c{index}){{{PAGE} nodes{{{nodes}}}}}")
    };
    match part {
        Part::Checks => {
            let nodes = format!(
                "__typename ...on CheckRun{{id databaseId name status conclusion startedAt \
                 completedAt detailsUrl url isRequired(pullRequestId:$i{index}) checkSuite{{\
                 app{{slug}} workflowRun{{id event workflow{{name}}}}}}}} ...on StatusContext{{id \
                 context state targetUrl createdAt isRequired(pullRequestId:$i{index})}}"
            );
            let contexts = list("contexts", 100, &nodes);
            let checks = format!("checks:statusCheckRollup{{commit{{oid}} {contexts}}}");
            match dialect {
                Dialect::Current => format!("...on PullRequest{{updatedAt headRefOid {checks}}}"),
                Dialect::RollupOfCommits => format!(
                    "...on PullRequest{{updatedAt headRefOid commits(last:4){{nodes{{commit{{oid \
                     {checks}}}}}}}}}"
                ),
            }
        }
        Part::Reviews => {
            let nodes = "id author{__typename login} state body commit{oid} url submittedAt";
            format!("...on PullRequest{{updatedAt {}}}", list("reviews", 100, nodes))
        }
        Part::Comments => {
            let nodes = "id author{__typename login} body url createdAt lastEditedAt isMinimized";
            format!("...on PullRequest{{updatedAt {}}}", list("comments", 100, nodes))
        }
        Part::Threads => {
            let nodes = "id isResolved isOutdated";
            format!("...on PullRequest{{updatedAt {}}}", list("reviewThreads", 100, nodes))
        }
        Part::Thread => {
            let nodes = "id body url author{__typename login} createdAt lastEditedAt isMinimized \
                path line originalLine replyTo{id}";
            format!(
                "...on PullRequestReviewThread{{pullRequest{{updatedAt}} isResolved isOutdated path line originalLine \
                 startLine diffSide subjectType resolvedBy{{login}} {}}}",
                list("comments", 50, nodes)
            )
        }
    }
}

fn body(
    name: &str,
    declared: &str,
    roots: &str,
    fragment: &str,
    variables: Map<String, Value>,
) -> String {
    let declared =
        if declared.is_empty() { String::new() } else { format!("({})", declared.trim_end()) };
    let query = format!(
        "query {name}{declared}{{rateLimit{{cost limit remaining used resetAt}} {}}}{fragment}",
        roots.trim_end()
    );
    json!({"query": query, "variables": variables}).to_string()
}

/// `owner/name` in two; a repository that is not of this form is not there.
fn split(repo: &str) -> (&str, &str) {
    repo.split_once('/').unwrap_or((repo, ""))
}
