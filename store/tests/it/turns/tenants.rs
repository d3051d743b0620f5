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
        match admit_at(&store, 0, new).unwrap() {
            Admitted::New(turn) | Admitted::Known(turn) => turn.conversation,
            other => panic!("{other:?}"),
        }
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
    let made = store.read(|s| agent::members(s, &"new".parse()?, &org::default_agent()));
    assert_eq!(made.unwrap(), [member("ann")], "d18");
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

#[test]
fn d21_of_processes_that_make_a_default_agent_at_once_one_does() {
    let fixture = empty();
    do_at(&fixture.store, 0, |tx| org::add(tx, &"acme".parse()?)).unwrap();
    let path = fixture.path();
    let start = std::sync::Barrier::new(8);
    let made: Vec<_> = std::thread::scope(|scope| {
        let ensure = |name: String| {
            let store = Store::open(&path, ao_store::Options::default()).unwrap();
            start.wait();
            let name = member(&name);
            let work = move |tx: &Tx<'_>| org::ensure_default_agent(tx, &"acme".parse()?, &name);
            do_at(&store, 1, work).unwrap()
        };
        let all: Vec<_> = (0..8).map(|n| scope.spawn(move || ensure(format!("u{n}")))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let count = |wanted| made.iter().filter(|one| **one == wanted).count();
    assert_eq!((count(Provisioned::Inserted), count(Provisioned::Done)), (1, 7));
    let members =
        fixture.store.read(|s| agent::members(s, &"acme".parse()?, &org::default_agent())).unwrap();
    assert_eq!(members.len(), 1, "{members:?}");
}

fn user(name: &str, org: Option<&str>) -> Caller {
    Caller::User { org: org.map(|org| org.parse().unwrap()), member: member(name) }
}

/// Sends a message of a user to the agent `a` of an organisation.
fn ask(store: &Store, caller: Caller, org: &str, name: &str) -> Result<Turn, Error> {
    let id = format!("t-{org}-{name}");
    let conversation = format!("c-{org}-{name}");
    let mut new = NewTurn { id, conversation, ..message("", "1") };
    new.place.org = org.parse().unwrap();
    new.place.member = member(name);
    match do_at(store, 1, move |tx| admit(tx, &caller, &new))? {
        Admitted::New(turn) | Admitted::Known(turn) => Ok(turn),
        refused @ Admitted::Refused(..) => panic!("no session is the agent: {refused:?}"),
    }
}

#[test]
fn d7_d8_and_d15_a_user_without_an_organisation_sees_where_the_user_belongs() {
    let Fixture { store, dir: _dir } = world();
    send(&store, "", "1");
    do_at(&store, 1, |tx| agent::add_member(tx, &"other".parse()?, &"a".parse()?, &member("bob")))
        .unwrap();
    let bob = || user("bob", None);
    let own = ask(&store, bob(), "other", "bob").unwrap();
    assert_eq!(own.org.as_str(), "other", "that of the agent");
    assert_eq!(code(ask(&store, bob(), "acme", "bob")), Code::AgentUnknown);
    let stop = |id: &str| {
        let id = id.to_owned();
        do_at(&store, 2, move |tx| cancel(tx, &bob(), &id))
    };
    assert_eq!(code(stop("t--1")), Code::TurnNotFound);
    let listed = store.read(|s| conversation::page(s, &bob(), ("", 10), |_| true)).unwrap();
    assert_eq!(listed.iter().map(|it| it.id.as_str()).collect::<Vec<_>>(), ["c-other-bob"]);
    assert_eq!(stop(&own.id).unwrap(), Cancelled::Now);
}

#[test]
fn a_database_that_cannot_be_read_is_not_told_as_a_turn_that_does_not_exist() {
    let Fixture { store, dir } = world();
    let turn = send(&store, "", "1");
    let see = || store.read(|s| conversation::of_turn(s, &user("ann", None), &turn));
    assert_eq!(see().unwrap().id, turn.conversation);
    let db = raw(&dir.path().join("ao.db"));
    db.execute_batch("ALTER TABLE agent_member RENAME TO gone").unwrap();
    assert_ne!(code(see()), Code::TurnNotFound);
}

#[test]
fn d10_the_same_user_in_two_organisations_has_two_conversations() {
    let Fixture { store, dir: _dir } = world();
    let first = ask(&store, Caller::Operator, "acme", "ann").unwrap();
    let second = ask(&store, Caller::Operator, "other", "ann").unwrap();
    assert_ne!(first.conversation, second.conversation);
    // Nor does one take the id of the other.
    let mut new = NewTurn { id: "t-x".to_owned(), ..message("x", "1") };
    new.place.org = "other".parse().unwrap();
    new.conversation.clone_from(&first.conversation);
    let refused = admit_at(&store, 2, new);
    assert!(refused.is_err(), "{refused:?}");
    assert_eq!(get(&store, &first.id), first);
}

#[test]
fn d14_a_user_of_two_organisations_writes_to_the_one_that_is_named() {
    let Fixture { store, dir: _dir } = world();
    for org in ["acme", "other"] {
        let turn = ask(&store, user("ann", None), org, "ann").unwrap();
        assert_eq!(turn.org.as_str(), org);
    }
    let bound = || user("ann", Some("acme"));
    let thread = NewTurn { conversation: "c-new".to_owned(), ..message("new", "2") };
    let mut elsewhere = NewTurn { id: "t-new".to_owned(), ..thread };
    elsewhere.place.org = "other".parse().unwrap();
    let refused = do_at(&store, 2, move |tx| admit(tx, &bound(), &elsewhere));
    assert_eq!(code(refused), Code::AgentUnknown);
    let all = store.read(|s| conversation::page(s, &Caller::Operator, ("", 10), |_| true)).unwrap();
    assert_eq!(all.len(), 2, "nothing was stored");
    let listed = store.read(|s| conversation::page(s, &bound(), ("", 10), |_| true)).unwrap();
    assert_eq!(listed.iter().map(|it| it.org.as_str()).collect::<Vec<_>>(), ["acme"]);
}

#[test]
fn d23_what_an_agent_remembers_is_never_that_of_another_organisation() {
    let Fixture { store, dir: _dir } = world();
    let begin = |org: &str, key: &str| {
        let (id, conversation) = (format!("t-{org}-{key}"), format!("c-{org}"));
        let mut new = NewTurn { id, conversation, ..message("", key) };
        new.place.org = org.parse().unwrap();
        admit_at(&store, 1, new).unwrap();
        let wanted = Claim {
            org: org.parse().unwrap(),
            agent: "a".parse().unwrap(),
            worker: worker("w1"),
            silence: SILENCE,
        };
        match do_at(&store, 2, move |tx| claim(tx, &wanted)).unwrap() {
            Claimed::Got(work) => *work,
            other => panic!("{other:?}"),
        }
    };
    // The same agent, user, thread and version in both.
    let orgs = ["acme", "other"];
    for (key, known) in [("1", [None, None]), ("2", orgs.map(Some))] {
        let begun = orgs.map(|org| begin(org, key));
        for ((work, org), known) in begun.iter().zip(orgs).zip(known) {
            assert_eq!((work.turn.org.as_str(), work.snapshot.as_deref()), (org, known));
            finish_at(&store, 3, &work.held, &reply("done", Some(org)));
        }
    }
}
