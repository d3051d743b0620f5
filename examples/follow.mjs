#!/usr/bin/env node
// Keeps a copy of every row of a store in a JSON file, over HTTP.
//
//     node follow.mjs FILE [--once]
//
// The daemon (`ao-store start`) may end and start again at any time: this goes on after the last change that it
// has stored. What is sent again is recognised by (log_id, epoch, seq). When the changes that it needs are gone
// (pruned, or the store was restored), it starts over from a snapshot. With --once it ends when everything is
// copied. AO_DATA_DIR names the store, whose folder has the address and the token. Needs Node 20 or newer and
// `npm install eventsource@4`.
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { EventSource } from "eventsource";

const words = process.argv.slice(2).filter((word) => word !== "--once");
const isOnce = process.argv.includes("--once");
const [file] = words;
if (words.length !== 1 || file.startsWith("-")) {
  console.error("usage: node follow.mjs FILE [--once]");
  process.exit(2);
}
const data = process.env.AO_DATA_DIR || join(homedir(), ".local/share/ao-store");
const read = (path) => readFileSync(join(data, path), "utf8");

// The rows by table and key, and the position after which they are up to date.
let copy = existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : { position: null, rows: {} };

// A reader of the file sees a whole copy, and so does this program after it was killed.
function store() {
  writeFileSync(`${file}.new`, JSON.stringify(copy));
  renameSync(`${file}.new`, file);
}

function isAfter(cursor, other) {
  const [[epoch, seq], [otherEpoch, otherSeq]] = [cursor, other].map((it) => it.split("-").map(Number));
  return epoch > otherEpoch || (epoch === otherEpoch && seq > otherSeq);
}

function setRow(rows, { entity, key }, row) {
  const name = JSON.stringify([entity, key]);
  if (row === null) delete rows[name];
  else rows[name] = row;
}

// Handles the items of one connection; `end(outcome)` ends it.
function receiver(end) {
  let rows = {};
  let hello;
  return (item) => {
    switch (item.control) {
      case "hello":
        hello = item;
        if (copy.position && copy.position.log_id !== hello.log_id) return end("start over: another store");
        break;
      case "row":
        setRow(rows, item, item.row);
        return;
      case "snapshot_end":
        copy = { position: { log_id: hello.log_id, cursor: item.cursor }, rows };
        rows = {};
        store();
        break;
      case "error":
        return end(item.code === "CLIENT_TOO_SLOW" ? "again" : `start over: ${item.code}`);
      case undefined:
        if (isAfter(item.cursor, copy.position.cursor)) {
          setRow(copy.rows, item, item.after);
          copy.position.cursor = item.cursor;
          store();
        }
        break;
    }
    if (isOnce && copy.position && !isAfter(hello.head, copy.position.cursor)) end("complete");
  };
}

// One connection: how it ended.
function follow() {
  const { url } = JSON.parse(read("running.json"));
  const Authorization = `Bearer ${read("tokens/operator.token").trim()}`;
  const known = copy.position;
  const query = new URLSearchParams({ unnamed: "1", ...(known ? { from: known.cursor } : { snapshot: "1" }) });
  return new Promise((resolve) => {
    const source = new EventSource(`${url}/api/v1/events?${query}`, {
      fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, Authorization } }),
    });
    const end = (outcome) => {
      source.close();
      resolve(outcome);
    };
    const receive = receiver(end);
    source.onmessage = ({ data }) => source.readyState === EventSource.CLOSED || receive(JSON.parse(data));
    // It would connect again by itself, to the old port: the daemon may have another one now.
    source.onerror = ({ code }) => {
      if (known && [400, 409, 410].includes(code)) return end(`start over: status ${code}`);
      end(code ? `refused: status ${code}` : "again");
    };
  });
}

for (;;) {
  let outcome = "again";
  try {
    outcome = await follow();
  } catch (error) {
    if (error.code !== "ENOENT") throw error; // The daemon is not there.
  }
  if (outcome === "complete") break;
  if (outcome.startsWith("refused")) {
    console.error(outcome);
    process.exit(1);
  }
  if (outcome.startsWith("start over")) {
    console.error(outcome);
    copy = { position: null, rows: {} };
  } else {
    await sleep(200);
  }
}
