//! Who may see what, and what identifies a conversation; default agents.

use super::*;

#[test]
fn d5_and_d6_who_may_not_see_something_is_told_what_is_told_of_nothing() {
    let Fixture { store, dir: _dir } = world();
    let turn = send(&store, "", "1");
    let user = |name: &str, org: Option<&str>| Caller::User {
        org: org.map(|org| org.parse().unwrap()),
        member: member(name),
    };
    let org = |name: &str| Caller::Org(name.parse().unwrap());
    let cases = [
        (Caller::Operator, true),
        (org("acme"), true),
        (org("other"), false),
        (user("ann", None), true),
        (user("ann", Some("acme")), true),
        (user("ann", Some("other")), false),
        (user("bob", None), false),
    ];
    for (caller, is_allowed) in cases {
        let see = |id: &str| {
            let (caller, id) = (caller.clone(), id.to_owned());
            do_at(&store, 1, move |tx| cancel(tx, &caller, &id).map(|_| ()))
        };
        let (missing, found) = (see("t-none").unwrap_err(), see(&turn.id));
        let told = |error: &Error, id: &str| error.to_string().replace(id, "");
        match found {
            Ok(()) => assert!(is_allowed, "{caller:?}"),
            Err(error) => {
                assert!(!is_allowed, "{caller:?}");
                assert_eq!(told(&error, &turn.id), told(&missing, "t-none"));
                assert_eq!(error.code(), missing.code());
            }
        }
        let listed = store.read(|s| conversation::page(s, &caller, ("", 10), |_| true)).unwrap();
        assert_eq!(!listed.is_empty(), is_allowed, "{caller:?}");
        let by = caller.clone();
        let sent = do_at(&store, 2, move |tx| admit(tx, &by, &message("", "1")));
        assert_eq!(sent.is_ok(), is_allowed, "{caller:?}");
        let mut none = message("", "1");
        none.place.agent = "none".parse().unwrap();
        let unknown = do_at(&store, 2, move |tx| admit(tx, &caller, &none)).unwrap_err();
        assert_eq!(unknown.code(), Code::AgentUnknown);
        if let Err(error) = sent {
            assert_eq!(told(&error, "agent a "), told(&unknown, "agent none "));
        }
    }
}

#[test]
fn p39_a_conversation_is_a_tuple_and_not_a_text_made_of_it() {
    let Fixture { store, dir: _dir } = world();
    let open = |id: &str, user: &str, thread: &str| {
        let mut new =
            NewTurn { id: id.to_owned(), conversation: id.to_owned(), ..message("", "1") };
        new.place.member = member(user);
        new.place.thread = thread.to_owned();
        admit_at(&store, 0, new).unwrap().turn().conversation.clone()
    };
    let made = [("1", "a_b", "c"), ("2", "a", "b_c"), ("3", "a_b_c", ""), ("4", "a", "b_c")];
    let made = made.map(|(id, user, thread)| open(id, user, thread));
    assert_eq!(made, ["1", "2", "3", "2"]);
}

#[test]
fn d16_to_d21_a_default_agent_is_made_once_and_never_again() {
    let Fixture { store, dir: _dir } = world();
    let ensure = |name: &str| {
        let org = name.parse()?;
        do_at(&store, 1, move |tx| org::ensure_default_agent(tx, &org, &member("ann")))
    };
    assert_eq!(ensure("acme").unwrap(), Provisioned::HasAgents, "d17");
    assert_eq!(ensure("acme").unwrap(), Provisioned::Done);
    do_at(&store, 1, |tx| org::add(tx, &"fresh".parse()?)).unwrap();
    do_at(&store, 1, |tx| {
        let (org, name) = ("fresh".parse()?, org::DEFAULT_AGENT.parse()?);
        agent::add(tx, &Agent::new(org, name, tx.now()))
    })
    .unwrap();
    assert_eq!(ensure("fresh").unwrap(), Provisioned::Healed, "d19");
    do_at(&store, 1, |tx| org::add(tx, &"new".parse()?)).unwrap();
    assert_eq!(ensure("new").unwrap(), Provisioned::Inserted);
    let db = raw(store.path());
    db.execute_batch("DELETE FROM agent_member WHERE org_id = 'new'").unwrap();
    assert_eq!(ensure("new").unwrap(), Provisioned::Done, "a member who was removed stays so");
    let before = crate::support::live_rows(&db);
    assert_eq!(ensure("fresh").unwrap(), Provisioned::Done);
    assert_eq!(crate::support::live_rows(&db), before);
    db.execute_batch("DELETE FROM agent WHERE org_id = 'fresh'").unwrap();
    assert_eq!(ensure("fresh").unwrap(), Provisioned::Done, "d16: it is not made again");
    assert_eq!(code(ensure("none")), Code::OrgNotFound);
}
