//! The part of GitHub's schema that the fake resolves. A field is a leaf, `name:Type` an object,
//! `name:*Type` a list, `name:@Type` a connection.

/// What a field leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leads {
    Leaf,
    To(&'static str),
    Many(&'static str),
    Connection(&'static str),
}

const TYPES: &[(&str, &str)] = &[
    ("Query", "node:Node nodes:*Node repository:Repository viewer:User rateLimit:RateLimit"),
    ("Node", "id"),
    ("Actor", "login url resourcePath avatarUrl"),
    ("GitObject", "id oid"),
    ("StatusCheckRollupContext", ""),
    ("RateLimit", "cost limit remaining used resetAt nodeCount"),
    ("PageInfo", "hasNextPage endCursor hasPreviousPage startCursor"),
    ("User", "id databaseId login url resourcePath avatarUrl name"),
    ("Bot", "id databaseId login url resourcePath avatarUrl"),
    ("Mannequin", "id databaseId login url resourcePath avatarUrl"),
    (
        "Repository",
        "id databaseId name nameWithOwner url isPrivate isFork stargazerCount pushedAt updatedAt \
         owner:Actor parent:Repository pullRequest:PullRequest pullRequests:@PullRequest",
    ),
    (
        "PullRequest",
        "id databaseId fullDatabaseId number title body url state isDraft merged closed createdAt \
         updatedAt closedAt mergedAt headRefOid headRefName baseRefName baseRefOid mergeable \
         mergeStateStatus reviewDecision isInMergeQueue totalCommentsCount additions deletions \
         changedFiles isCrossRepository repository:Repository headRepository:Repository \
         baseRepository:Repository headRepositoryOwner:Actor author:Actor mergeCommit:Commit \
         autoMergeRequest:AutoMergeRequest statusCheckRollup:StatusCheckRollup headRef:Ref \
         baseRef:Ref reviews:@PullRequestReview reviewThreads:@PullRequestReviewThread \
         comments:@IssueComment commits:@PullRequestCommit",
    ),
    ("PullRequestCommit", "id commit:Commit pullRequest:PullRequest"),
    ("AutoMergeRequest", "enabledAt"),
    ("Ref", "name target:GitObject"),
    (
        "Commit",
        "id oid authoredDate committedDate url statusCheckRollup:StatusCheckRollup \
         checkSuites:@CheckSuite repository:Repository",
    ),
    ("StatusCheckRollup", "id state commit:Commit contexts:@StatusCheckRollupContext"),
    ("CheckRunStateCount", "state count"),
    ("StatusContextStateCount", "state count"),
    (
        "CheckSuite",
        "id databaseId status conclusion commit:Commit app:App workflowRun:WorkflowRun \
         checkRuns:@CheckRun",
    ),
    ("App", "slug name"),
    ("WorkflowRun", "id databaseId event url workflow:Workflow checkSuite:CheckSuite"),
    ("Workflow", "name"),
    (
        "CheckRun",
        "id databaseId name status conclusion startedAt completedAt detailsUrl url isRequired \
         checkSuite:CheckSuite",
    ),
    (
        "StatusContext",
        "id context state targetUrl description createdAt isRequired creator:Actor commit:Commit",
    ),
    (
        "PullRequestReview",
        "id databaseId fullDatabaseId state body url submittedAt createdAt updatedAt author:Actor \
         commit:Commit pullRequest:PullRequest",
    ),
    (
        "PullRequestReviewThread",
        "id isResolved isOutdated path line originalLine startLine originalStartLine diffSide \
         startDiffSide subjectType resolvedBy:User pullRequest:PullRequest \
         comments:@PullRequestReviewComment",
    ),
    (
        "PullRequestReviewComment",
        "id databaseId fullDatabaseId body url createdAt updatedAt lastEditedAt isMinimized \
         minimizedReason path line originalLine startLine state author:Actor \
         replyTo:PullRequestReviewComment pullRequestReview:PullRequestReview \
         pullRequest:PullRequest",
    ),
    (
        "IssueComment",
        "id databaseId fullDatabaseId body url createdAt updatedAt lastEditedAt isMinimized \
         minimizedReason author:Actor pullRequest:PullRequest",
    ),
];

/// Fields that connections of a type have besides the common ones.
const CONNECTION_EXTRAS: &[(&str, &str)] = &[(
    "StatusCheckRollupContext",
    "checkRunCount statusContextCount checkRunCountsByState:*CheckRunStateCount \
     statusContextCountsByState:*StatusContextStateCount",
)];

fn fields(table: &'static [(&str, &str)], name: &str) -> Option<&'static str> {
    table.iter().find(|(other, _)| *other == name).map(|(_, fields)| *fields)
}

fn lookup(fields: &'static str, field: &str) -> Option<Leads> {
    fields.split_whitespace().find_map(|entry| {
        let (name, target) = entry.split_once(':').unwrap_or((entry, ""));
        (name == field).then(|| match target.as_bytes().first() {
            None => Leads::Leaf,
            Some(b'*') => Leads::Many(&target[1..]),
            Some(b'@') => Leads::Connection(&target[1..]),
            Some(_) => Leads::To(target),
        })
    })
}

/// Where a field of a type leads; none where there is no such field.
pub(super) fn leads(type_name: &str, field: &str) -> Option<Leads> {
    if field == "__typename" {
        return Some(Leads::Leaf);
    }
    lookup(fields(TYPES, type_name)?, field)
}

/// Where a field of a connection of `node` leads.
pub(super) fn connection_leads(node: &'static str, field: &str) -> Option<Leads> {
    match field {
        "__typename" | "totalCount" => Some(Leads::Leaf),
        "pageInfo" => Some(Leads::To("PageInfo")),
        "nodes" => Some(Leads::Many(node)),
        _ => lookup(fields(CONNECTION_EXTRAS, node)?, field),
    }
}

/// Whether an object of a type matches a type condition.
pub(super) fn matches(type_name: &str, condition: &str) -> bool {
    type_name == condition
        || match condition {
            "Actor" => matches!(type_name, "User" | "Bot" | "Mannequin"),
            "GitObject" => type_name == "Commit",
            "StatusCheckRollupContext" => matches!(type_name, "CheckRun" | "StatusContext"),
            "Node" => leads(type_name, "id").is_some(),
            _ => false,
        }
}

/// The name of a known type, as the table holds it.
pub(super) fn name_of(name: &str) -> Option<&'static str> {
    TYPES.iter().find(|(other, _)| *other == name).map(|(other, _)| *other)
}
