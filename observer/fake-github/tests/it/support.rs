//! Helpers for requests, and the documents that the observer sends.

use ao_fake_github::{NewPr, Request, World};
use serde_json::{Value, json};

pub(crate) const PR: &str = "id number state isDraft merged closed updatedAt headRefOid headRefName \
    baseRefName baseRefOid mergeable mergeStateStatus reviewDecision isInMergeQueue \
    totalCommentsCount repository{id nameWithOwner} \
    rollup: statusCheckRollup{ id state commit{oid} }";

pub(crate) const FOUND: &str = "nodes{ id number url title isDraft state headRefName headRefOid \
    baseRefName baseRefOid isCrossRepository headRepository{nameWithOwner} \
    author{login __typename} createdAt updatedAt }";

pub(crate) const WIDE: &str = "url title author{login __typename} additions deletions changedFiles \
    isCrossRepository headRepository{nameWithOwner} createdAt mergedAt closedAt mergeCommit{oid} \
    autoMergeRequest{enabledAt} counts: statusCheckRollup{ contexts{ totalCount \
    checkRunCountsByState{state count} statusContextCountsByState{state count} } } \
    reviews{ totalCount } reviewThreads(first:100){ totalCount pageInfo{hasNextPage endCursor} \
    nodes{ id isResolved isOutdated } } headRef{ target{ oid ... on Commit{ \
    checkSuites(first:50){ totalCount nodes{ id status conclusion checkRuns{totalCount} app{slug} \
    workflowRun{ id event url workflow{name} } } } } } }";

const RATE: &str = "rateLimit{cost limit remaining used resetAt} viewer{__typename login}";

pub(crate) fn slim() -> String {
    format!(
        "query Heartbeat($ids:[ID!]!, $o0:String!, $n0:String!, $a0:String, $b0:String){{ {RATE}
         nodes(ids:$ids){{ __typename ... on PullRequest{{ {PR} }} }}
         r0: repository(owner:$o0,name:$n0){{ id nameWithOwner pullRequests(states:OPEN, first:20,
           after:$a0, orderBy:{{field:CREATED_AT,direction:DESC}}){{ totalCount
           pageInfo{{hasNextPage endCursor}} {FOUND} }} }}
         b0: repository(owner:$o0,name:$n0){{ id nameWithOwner
           pullRequests(states:OPEN, headRefName:$b0, first:3){{ {FOUND} }} }} }}"
    )
}

pub(crate) fn wide() -> String {
    format!(
        "query Full($ids:[ID!]!){{ {RATE}
         nodes(ids:$ids){{ __typename ... on PullRequest{{ {PR} {WIDE} }} }} }}"
    )
}

const PAGE: &str = "totalCount pageInfo{hasNextPage endCursor}";

/// The detail document of one node, by what it asks for.
pub(crate) fn detail(what: &str) -> String {
    let inner = match what {
        "checks" => format!(
            "... on PullRequest{{ id headRefOid rollup:statusCheckRollup{{state commit{{oid}}}}
             checks: statusCheckRollup{{ commit{{oid}} contexts(first:100, after:$c0){{ {PAGE}
             nodes{{ __typename ... on CheckRun{{ id databaseId name status conclusion startedAt
             completedAt detailsUrl url isRequired(pullRequestId:$i0) checkSuite{{ app{{slug}}
             workflowRun{{ id event workflow{{name}} }} }} }}
             ... on StatusContext{{ id context state targetUrl createdAt description
             isRequired(pullRequestId:$i0) creator{{login __typename}} }} }} }} }} }}"
        ),
        "reviews" => format!(
            "... on PullRequest{{ id reviews(first:100, after:$c0){{ {PAGE} nodes{{ id
             author{{login __typename}} state body commit{{oid}} url submittedAt }} }} }}"
        ),
        "comments" => format!(
            "... on PullRequest{{ id comments(first:100, after:$c0){{ {PAGE} nodes{{ id
             author{{login __typename}} body url createdAt lastEditedAt isMinimized }} }} }}"
        ),
        "threads" => format!(
            "... on PullRequest{{ id reviewThreads(first:100, after:$c0){{ {PAGE}
             nodes{{ id isResolved isOutdated }} }} }}"
        ),
        _ => format!(
            "... on PullRequestReviewThread{{ id isResolved isOutdated path line originalLine
             startLine diffSide subjectType resolvedBy{{login}} comments(first:50, after:$c0){{
             {PAGE} nodes{{ id body url author{{login __typename}} createdAt lastEditedAt
             isMinimized path line originalLine replyTo{{id}} pullRequestReview{{id state}} }} }} }}"
        ),
    };
    format!("query Detail($i0:ID!, $c0:String){{ {RATE} d0: node(id:$i0){{ {inner} }} }}")
}

pub(crate) const DETAILS: [&str; 5] = ["checks", "reviews", "comments", "threads", "thread"];

pub(crate) const FALLBACK: &str = "query Old($ids:[ID!]!){ nodes(ids:$ids){ ... on PullRequest{ id \
    headRefOid commits(last:4){ nodes{ commit{ oid statusCheckRollup{ state } } } } } } }";

pub(crate) fn ask(world: &mut World, query: &str, variables: &Value) -> Value {
    let response = world.answer(&Request::graphql(query, variables));
    assert_eq!(response.status, 200, "{}", String::from_utf8_lossy(&response.body));
    response.value()
}

/// The data of a good answer.
pub(crate) fn data(world: &mut World, query: &str, variables: &Value) -> Value {
    let mut answer = ask(world, query, variables);
    assert!(answer["errors"].is_null(), "{}", answer["errors"]);
    answer["data"].take()
}

/// A world of one repository and one pull request.
pub(crate) fn single() -> (World, String) {
    let mut world = World::new(1);
    world.add_repo("octo/hello");
    let pr = world.open_pr(&NewPr::new("octo/hello", "ao/demo-1"));
    (world, pr)
}

/// Fields of one pull request.
pub(crate) fn pr_fields(world: &mut World, pr: &str, fields: &str) -> Value {
    let query = format!("query($id:ID!){{ node(id:$id){{ ... on PullRequest{{ {fields} }} }} }}");
    data(world, &query, &json!({"id": pr}))["node"].take()
}
