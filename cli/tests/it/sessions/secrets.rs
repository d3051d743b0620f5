//! No token and no secret is in what a daemon logs, refuses a request with, or is started with.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::Lab;
use super::lab::wait_until;
use crate::support::{BOUND, Live, finish, text};

/// The secret of the webhook, which is nowhere else.
const SECRET: &str = "5f0c-a-secret-of-a-webhook-d81e";

/// A client of the port, and all that was refused to it.
struct Client {
    host: String,
    refusals: String,
}

impl Client {
    /// The status of an answer, and all of it.
    fn ask(&mut self, line: &str, headers: &[&str], body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.host).unwrap();
        stream.set_read_timeout(Some(BOUND)).unwrap();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        let (host, length) = (&self.host, body.len());
        let request = format!(
            "{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        if status >= 400 {
            self.refusals.push_str(&answer);
        }
        (status, answer)
    }

    /// Logs in by a link; the secret of the link and the cookie.
    fn log_in(&mut self, operator: &str) -> [String; 2] {
        let (status, link) = self.ask("POST /api/v1/login-links", &[operator], "");
        assert_eq!(status, 201, "{link}");
        let link: Value = serde_json::from_str(link.split_once("\r\n\r\n").unwrap().1).unwrap();
        let secret = link["data"]["secret"].as_str().unwrap().to_owned();
        let body = json!({"secret": secret}).to_string();
        let origin = format!("Origin: http://{}", self.host);
        let (status, answer) = self.ask("POST /api/v1/login", &[&origin], &body);
        assert_eq!(status, 204, "{answer}");
        assert_eq!(self.ask("POST /api/v1/login", &[&origin], &body).0, 401, "a second time");
        let cookie = answer.lines().find_map(|line| line.strip_prefix("set-cookie: ")).unwrap();
        let cookie = cookie.split(['=', ';']).nth(1).unwrap().to_owned();
        [secret, cookie]
    }
}

/// The command lines of all processes of this machine, that of the daemon and its sessions among them.
fn command_lines(of_daemon: &str) -> String {
    let processes = fs::read_dir("/proc").unwrap().map(|it| it.unwrap().path().join("cmdline"));
    // A process may end meanwhile.
    let lines: Vec<_> = processes.filter_map(|path| fs::read(path).ok()).collect();
    let lines = String::from_utf8_lossy(&lines.concat()).replace('\0', " ");
    assert!(lines.contains(of_daemon), "{lines}");
    lines
}

#[test]
fn no_token_or_secret_is_logged_answered_or_in_a_command_line() {
    let lab = Lab::new();
    let file = lab.env.file("secret", SECRET);
    let args = ["-vv", "daemon", "--no-observe", "--webhook-secret-file", &file];
    let daemon = Live::start(&mut lab.command(&args));
    let status = || lab.env.json("daemon.status", &["daemon", "status"]);
    wait_until("the daemon", || status()["state"] == "ready");
    let status = status();
    let host = status["url"].as_str().unwrap().strip_prefix("http://").unwrap();
    let mut client = Client { host: host.to_owned(), refusals: String::new() };
    lab.spawn(&["--prompt", "p"]);
    let operator = fs::read_to_string(lab.env.path("data/tokens/operator.token")).unwrap();
    let operator = operator.trim();
    let named = lab.ok(&["token", "create", "--read", "board"]);
    let named = named.trim();
    let [of_operator, of_named] = [operator, named].map(|it| format!("Authorization: Bearer {it}"));
    let [link, cookie] = client.log_in(&of_operator);
    let wrong_way = format!("Authorization: Basic {operator}");
    let longer = format!("{of_operator}0");
    let jar = format!("Cookie: ao_store={cookie}");
    let signature = format!("X-Hub-Signature-256: sha256={SECRET}");
    for (line, header, body, status) in [
        ("GET /api/v1/sessions", of_operator.as_str(), "", 200),
        ("GET /api/v1/sessions", &of_named, "", 200),
        ("GET /api/v1/sessions", &longer, "", 401),
        ("GET /api/v1/sessions", &wrong_way, "", 401),
        ("GET /api/v1/sessions", &jar, "", 401),
        ("GET /api/v1/nothing", &of_operator, "", 404),
        ("GET /api/v1/sessions?limit=x", &of_named, "", 400),
        ("POST /api/v1/projects", &of_operator, "{", 400),
        ("POST /api/v1/projects", &of_named, "{}", 403),
        ("POST /webhooks/github", &signature, "{}", 401),
    ] {
        let (found, answer) = client.ask(line, &[header], body);
        assert_eq!(found, status, "{line}: {answer}");
    }
    let of_all = command_lines(&format!("--webhook-secret-file {file}"));
    let refused = lab.run(&["token", "create", "--read", "board"]);
    assert_ne!(refused.code, 0);
    lab.ok(&["stop"]);
    let ended = daemon.end();
    // One in the background, which has the secret from its environment.
    finish(lab.command(&["start", "--no-observe"]).env("AO_WEBHOOK_SECRET", SECRET), b"");
    lab.spawn(&["--prompt", "q"]);
    let in_background =
        command_lines(&format!("--data-dir {} daemon", text(&lab.env.path("data"))));
    lab.ok(&["stop"]);
    let log = fs::read_to_string(lab.env.path("data/daemon.log")).unwrap();
    for (place, found) in [
        ("the log", ended.stderr + &ended.stdout),
        ("the log of one in the background", log),
        ("a refusal", client.refusals),
        ("a command line", of_all + &in_background),
        ("a message", refused.stdout + &refused.stderr),
    ] {
        assert!(!found.is_empty(), "{place}");
        for secret in [operator, named, &link, &cookie, SECRET] {
            assert!(!found.contains(secret), "{secret} is in {place}: {found}");
        }
    }
}
