//! Behaviour of the real API that surprises: rollups, mergeability, pages, access, refusals.

use ao_fake_github::{
    Access, CheckSpec, CheckStatus, Conclusion, NewPr, NewThread, Request, ReviewState, World,
};
use serde_json::{Value, json};

use crate::support::{FALLBACK, ask, data, pr_fields, single};

#[test]
fn a_rollup_with_contexts_counts_superseded_runs() {
    let (mut world, pr) = single();
    let state = |world: &mut World, fields: &str| pr_fields(world, &pr, fields)["r"].clone();
    assert_eq!(state(&mut world, "r: statusCheckRollup{ state }"), json!(null));
    let run = world.check(&pr, &CheckSpec::job("ci", "build"), Conclusion::Failure);
    let again = world.rerun(&run);
    assert_eq!(state(&mut world, "r: statusCheckRollup{ state }")["state"], "PENDING");
    world.check_finish(&again, Conclusion::Success);
    assert_eq!(state(&mut world, "r: statusCheckRollup{ state }")["state"], "SUCCESS");
    let trap = "r: statusCheckRollup{ state contexts(first:9){ totalCount nodes{ __typename } } }";
    let trapped = state(&mut world, trap);
    assert_eq!(
        (&trapped["state"], &trapped["contexts"]["totalCount"]),
        (&json!("FAILURE"), &json!(2))
    );
    // Split over two fragments of one key it is the same selection set.
    let split = "r: statusCheckRollup{ state } ... on PullRequest{ r: statusCheckRollup{ \
                 contexts{ totalCount } } }";
    assert_eq!(
        state(&mut world, split),
        json!({"state": "FAILURE", "contexts": {"totalCount": 2}})
    );
    let expected = world.expected(&pr);
    assert_eq!((expected.checks.len(), expected.ci.unwrap().as_str()), (1, "SUCCESS"));
    assert!(expected.checks.contains_key(&again));
    world.push(&pr);
    assert_eq!(state(&mut world, "r: statusCheckRollup{ state }"), json!(null));
}

#[test]
fn mergeability_is_computed_after_it_was_read() {
    let (mut world, pr) = single();
    let read = |world: &mut World| {
        let node = pr_fields(world, &pr, "mergeable mergeStateStatus");
        let text = |name: &str| node[name].as_str().unwrap().to_owned();
        format!("{} {}", text("mergeable"), text("mergeStateStatus"))
    };
    world.advance(60_000);
    assert_eq!(read(&mut world), "UNKNOWN UNKNOWN");
    world.advance(4999);
    assert_eq!(read(&mut world), "UNKNOWN UNKNOWN");
    world.advance(1);
    assert_eq!(read(&mut world), "MERGEABLE CLEAN");
    world.base_push("octo/hello", "main");
    assert_eq!(read(&mut world), "UNKNOWN UNKNOWN");
    world.advance(5000);
    assert_eq!(read(&mut world), "MERGEABLE BEHIND");
    world.protect("octo/hello", false, &["never-started"]);
    assert_eq!(read(&mut world), "MERGEABLE BLOCKED");
    world.set_conflicts(&pr, true);
    read(&mut world);
    world.advance(5000);
    assert_eq!(read(&mut world), "CONFLICTING DIRTY");
    world.set_permanent_unknown(&pr, true);
    assert_eq!(read(&mut world), "UNKNOWN UNKNOWN");
}

#[test]
fn a_cursor_stays_valid_when_items_are_deleted() {
    let mut world = World::fleet(1, 25, 0, 0);
    let query = "query($after:String){ repository(owner:\"octo\",name:\"repo-0\"){
        pullRequests(states:[OPEN], first:10, after:$after, orderBy:{field:CREATED_AT,direction:DESC}){
        totalCount pageInfo{ hasNextPage endCursor } nodes{ number } } } }";
    let (mut after, mut seen) = (Value::Null, Vec::new());
    loop {
        let mut found = data(&mut world, query, &json!({"after": after}));
        let page = found["repository"]["pullRequests"].take();
        seen.extend(
            page["nodes"].as_array().unwrap().iter().map(|pr| pr["number"].as_u64().unwrap()),
        );
        after = page["pageInfo"]["endCursor"].clone();
        if seen.len() == 10 {
            // The newest, and the one that the cursor names.
            let prs = world.prs();
            world.close(&prs[24]);
            world.close(&prs[15]);
        }
        if page["pageInfo"]["hasNextPage"] == false {
            break;
        }
    }
    assert_eq!(seen, (1..=25).rev().collect::<Vec<_>>());
    let wrong = ask(&mut world, query, &json!({"after": "nonsense"}));
    assert_eq!(wrong["errors"][0]["type"], "INVALID_CURSOR_ARGUMENTS");
}

#[test]
fn threads_and_comments_are_added_and_deleted() {
    let (mut world, pr) = single();
    let before = world.expected(&pr).updated_at;
    let thread = world.thread_add(&pr, "mona", &NewThread::at("a.rs", 7), "first");
    world.advance(10_000);
    world.thread_outdated(&thread);
    world.thread_resolve(&thread, "mona");
    world.check(&pr, &CheckSpec::job("ci", "build"), Conclusion::Success);
    assert_eq!(world.expected(&pr).updated_at, before);
    let line =
        "query($id:ID!){ node(id:$id){ ... on PullRequestReviewThread{ line originalLine } } }";
    let found = data(&mut world, line, &json!({"id": thread}));
    assert_eq!(found["node"], json!({"line": null, "originalLine": 7}));
    let reply = world.thread_reply(&thread, "hubot", "second");
    assert_eq!(world.expected(&pr).updated_at, before + 10_000);
    world.comment_edit(&reply, "edited");
    world.comment_minimize(&reply, true);
    assert_eq!(world.expected(&pr).comments[&reply].body, "edited");
    for comment in world.comments_of(&thread) {
        world.comment_delete(&comment);
    }
    let expected = world.expected(&pr);
    assert!(expected.threads.is_empty() && expected.reviews.is_empty());
    assert_eq!(ask(&mut world, line, &json!({"id": thread}))["errors"][0]["type"], "NOT_FOUND");
}

#[test]
fn the_rollup_ignores_suites_without_runs() {
    let (mut world, pr) = single();
    let waiting = (CheckStatus::Completed, Some(Conclusion::ActionRequired));
    let suite = world.suite_waiting(&pr, "deploy", waiting.0, waiting.1);
    let fields = "statusCheckRollup{ state } headRef{ target{ ... on Commit{ checkSuites(first:5){
        nodes{ id status conclusion checkRuns{ totalCount } } } } } }";
    let found = pr_fields(&mut world, &pr, fields);
    assert_eq!(found["statusCheckRollup"], json!(null));
    let nodes = &found["headRef"]["target"]["checkSuites"]["nodes"];
    assert_eq!(
        nodes,
        &json!([{"id": suite, "status": "COMPLETED",
        "conclusion": "ACTION_REQUIRED", "checkRuns": {"totalCount": 0}}])
    );
    assert_eq!(world.expected(&pr).waiting[&suite], waiting);
}

#[test]
fn without_access_a_node_is_null_with_a_reason() {
    let (mut world, pr) = single();
    world.add_repo("octo/other");
    let other = world.open_pr(&NewPr::new("octo/other", "b"));
    let query = "query($ids:[ID!]!){ nodes(ids:$ids){ id } }";
    let ids = json!({"ids": [other, pr, "PR_none"]});
    world.set_access("octo/hello", Access::Revoked);
    let answer = ask(&mut world, query, &ids);
    assert_eq!(answer["data"]["nodes"], json!([{"id": other}, null, null]));
    assert_eq!(answer["errors"][0]["path"], json!(["nodes", 1]));
    assert_eq!(answer["errors"][1]["type"], "NOT_FOUND");
    world.set_access("octo/hello", Access::Forbidden);
    assert_eq!(ask(&mut world, query, &ids)["errors"][0]["type"], "FORBIDDEN");
    world.set_access("octo/hello", Access::Granted);
    world.rename_repo("octo/hello", "goodbye");
    let named = "{ r: repository(owner:\"Octo\",name:\"Hello\"){ nameWithOwner } }";
    assert_eq!(data(&mut world, named, &json!({}))["r"]["nameWithOwner"], "octo/goodbye");
    world.delete_repo("octo/goodbye");
    let gone = ask(&mut world, named, &json!({}));
    assert_eq!((&gone["data"]["r"], &gone["errors"][0]["path"]), (&json!(null), &json!(["r"])));
}

#[test]
fn an_invalid_document_is_refused_before_execution() {
    let (mut world, _) = single();
    let mut refusal = |query: &str| {
        let answer = ask(&mut world, query, &json!({}));
        assert!(answer["data"].is_null(), "{answer}");
        answer["errors"][0]["message"].as_str().unwrap().to_owned()
    };
    let repository =
        |inner: &str| format!("{{ repository(owner:\"octo\",name:\"x\"){{ {inner} }} }}");
    assert_eq!(refusal("{ nope }"), "Field 'nope' doesn't exist on type 'Query'");
    assert!(refusal(&repository("pullRequests{ nodes{ id } }")).contains("`first` or `last`"));
    assert!(
        refusal(&repository("pullRequests(first:101){ nodes{ id } }")).contains("limit of 100")
    );
    assert!(refusal("{ viewer }").contains("must have selections"));
    assert!(refusal("{ viewer{ login{ x } } }").contains("on scalars"));
    assert!(refusal("query($ids:[ID!]!){ nodes(ids:$ids){ id } }").contains("$ids"));
    assert!(refusal("{ viewer{ ...F } }").contains("not defined"));
    let comments = "comments(first:100){ nodes{ id } }";
    let threads = format!("reviewThreads(first:100){{ nodes{{ {comments} }} }}");
    let too_many = repository(&format!("pullRequests(first:100){{ nodes{{ {threads} }} }}"));
    assert!(refusal(&too_many).contains("500,000"));
}

#[test]
fn the_old_schema_has_rollups_of_commits_only() {
    let (mut world, pr) = single();
    world.options.no_pr_rollup = true;
    let query =
        "query($ids:[ID!]!){ nodes(ids:$ids){ ... on PullRequest{ statusCheckRollup{ id } } } }";
    let ids = json!({"ids": [pr]});
    let message = ask(&mut world, query, &ids)["errors"][0]["message"].take();
    assert_eq!(message, "Field 'statusCheckRollup' doesn't exist on type 'PullRequest'");
    let pushed_at = world.now_ms();
    world.push(&pr);
    world.author_head_at(&pr, pushed_at - 60_000);
    world.check(&pr, &CheckSpec::job("ci", "build"), Conclusion::Success);
    let node = data(&mut world, FALLBACK, &ids)["nodes"][0].take();
    // Ordered by author date: the head comes first, and is found by its oid only.
    assert_eq!(node["commits"]["nodes"][0]["commit"]["oid"], node["headRefOid"]);
    assert_eq!(node["commits"]["nodes"][1]["commit"]["statusCheckRollup"], json!(null));
}

#[test]
fn fragments_and_directives_are_applied() {
    let (mut world, pr) = single();
    world.review(&pr, "mona", ReviewState::Commented, "");
    let query = "query($id:ID!, $no:Boolean = false){ node(id:$id){ ...P ... on Issue2 @skip(if:true){ id } } }
        fragment P on PullRequest { number title @include(if:$no) n: number ... @skip(if:$no){ state } }";
    let query = query.replace("... on Issue2 @skip(if:true){ id }", "");
    let node = data(&mut world, &query, &json!({"id": pr}))["node"].take();
    assert_eq!(node, json!({"number": 1, "n": 1, "state": "OPEN"}));
    let named = Request::graphql("query A{ viewer{ id } } query B{ viewer{ login } }", &json!({}));
    let mut body = serde_json::from_slice::<Value>(&named.body).unwrap();
    body["operationName"] = "B".into();
    let answer = world.answer(&Request { body: body.to_string().into(), ..named });
    assert_eq!(answer.value()["data"]["viewer"]["login"], "octo-dev");
    assert_eq!(world.log.last().unwrap().class, "B");
}
