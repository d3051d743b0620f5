//! Requests over a socket: however a connection misbehaves, a request ends by its deadline,
//! nothing false is stored, and the next good answer repairs what was missed.

use std::time::{Duration, Instant};

use ao_fake_github::{CheckSpec, Conclusion, Fault, Kind, On, Reply, Transport};
use ao_observer::poll::Step;
use ao_store::verify::Depth;

use super::rig::Rig;
use super::socket::Socket;

/// The deadline of calls in these tests.
const DEADLINE: Duration = Duration::from_millis(400);

const LOGS: &str = "GET /repos/{o}/{r}/actions/jobs/{id}/logs";
const BLOBS: &str = "GET /blob/{id}";

fn corrupt_gzip() -> Kind {
    Kind::Reply(Reply {
        status: 200,
        headers: vec![("content-encoding".to_owned(), "gzip".to_owned())],
        body: "\u{1f}\u{8b}\u{8}nonsense".to_owned(),
        is_charged: true,
    })
}

/// Case 33.
#[test]
fn a_connection_that_misbehaves_ends_by_the_deadline_and_leaves_nothing_behind() {
    let mut rig = Rig::new();
    rig.socket = Some(Socket::new("", DEADLINE));
    let pr = rig.tracked("ao/demo-1");
    rig.minutes(3);
    for kind in [
        Kind::Transport(Transport::ResetBefore),
        Kind::Transport(Transport::ResetMidBody),
        Kind::Transport(Transport::ShortBody),
        Kind::Transport(Transport::ChunkedWithoutEnd),
        Kind::Transport(Transport::Drip(20)),
        Kind::Transport(Transport::Silence),
        Kind::Transport(Transport::Huge(64 << 20)),
        Kind::TruncatedJson,
        Kind::InvalidUtf8,
        Kind::InvalidJson,
        corrupt_gzip(),
    ] {
        let name = format!("{kind:?}");
        let head = rig.head();
        rig.world.set_title(&pr, &name);
        rig.world.comment_add(&pr, "hubot", &name);
        rig.world.faults.push(Fault::times(2, kind).on(On::Graphql));
        let requests = rig.world.log.len();
        let started = Instant::now();
        while !rig.world.faults.is_empty() {
            rig.run(Duration::from_millis(500));
        }
        let asked = u32::try_from(rig.world.log.len() - requests).unwrap();
        assert!(started.elapsed() < asked * (DEADLINE + Duration::from_millis(600)), "{name}");
        if name != "InvalidUtf8" {
            assert_eq!(rig.types_since(head), [""; 0], "{name}");
        }
        rig.minutes(4);
        rig.assert_observed();
        assert_eq!(rig.row(&pr).unwrap().title, name);
    }
}

/// A check of a pull request fails; returns the end of its log as it is stored some minutes later.
fn failed(rig: &mut Rig, job: &str, fault: Option<Kind>) -> Option<String> {
    let pr = rig.world.prs().remove(0);
    let run = rig.world.check(&pr, &CheckSpec::job("ci", job), Conclusion::Failure);
    rig.world.set_log(&run, "one\ntwo\nit failed");
    rig.world.faults.extend(fault.map(|kind| Fault::always(kind).on(On::route("/blob/"))));
    rig.minutes(3);
    rig.world.faults.clear();
    rig.log_tail(&pr, job)
}

/// Case 42.
#[test]
fn a_log_is_read_where_it_is_kept_and_the_token_is_not_sent_there() {
    let mut rig = Rig::new();
    rig.socket = Some(Socket::new("", DEADLINE));
    let pr = rig.tracked("ao/demo-1");
    let tail = failed(&mut rig, "test", None);
    assert_eq!(tail.as_deref(), Some("one\ntwo\nit failed"));
    let of = |rig: &Rig, class: &str| {
        let served = rig.world.log.iter().filter(|served| served.class == class);
        served.map(|served| served.is_authorized).collect::<Vec<_>>()
    };
    assert_eq!((of(&rig, LOGS), of(&rig, BLOBS)), (vec![true], vec![false]));
    // It is read once: not again after the next poll or a restart.
    rig.restart();
    rig.world.check(&pr, &CheckSpec::job("ci", "other"), Conclusion::Success);
    rig.minutes(30);
    assert_eq!(of(&rig, LOGS).len(), 1);
    // An answer of the server that keeps logs says nothing about the host.
    let refused = Kind::status(403, "<Error>expired</Error>");
    assert_eq!(failed(&mut rig, "third", Some(refused)), None);
    rig.minutes(2);
    rig.assert_observed();
    assert_eq!(rig.host().reason, "");
}

/// Case 42.
#[test]
fn a_log_that_is_gone_is_recorded_once() {
    for status in [404, 410] {
        let mut rig = Rig::new();
        let pr = rig.tracked("ao/demo-1");
        rig.world.check(&pr, &CheckSpec::job("ci", "test"), Conclusion::Failure);
        rig.world.faults.push(Fault::always(Kind::status(status, "{}")).on(On::route("/repos/")));
        rig.minutes(60);
        rig.restart();
        rig.minutes(8 * 60);
        assert_eq!(rig.world.counters.of(LOGS), 1, "{status}");
        assert_eq!(rig.log_tail(&pr, "test").as_deref(), Some(""), "{status}");
    }
}

/// Case 43. Nothing is stored of a request that was abandoned, and nothing is lost by that.
#[test]
fn an_observer_that_ends_in_the_middle_of_a_request_leaves_the_store_as_it_was() {
    let mut rig = Rig::new();
    rig.socket = Some(Socket::new("", DEADLINE));
    let pr = rig.tracked("ao/demo-1");
    for transport in [Transport::Silence, Transport::Drip(50), Transport::ChunkedWithoutEnd] {
        let head = rig.head();
        rig.world.set_title(&pr, &format!("{transport:?}"));
        rig.world.faults.push(Fault::times(1, Kind::Transport(transport)));
        rig.sleep(Duration::from_secs(60));
        let Step::Send(call) = rig.poller.next(rig.now) else { panic!("a poll is due") };
        let started = Instant::now();
        let socket = rig.socket.take().unwrap();
        socket.abandon(&mut rig.world, "token", &call, Duration::from_millis(100));
        assert!(started.elapsed() < Duration::from_secs(1));
        rig.socket = Some(socket);
        rig.restart();
        assert_eq!(rig.types_since(head), [""; 0]);
        rig.minutes(2);
        rig.assert_observed();
    }
    let report = rig.store.verify(Depth::Deep).unwrap();
    assert_eq!(report.findings, []);
}
