#!/usr/bin/env python3
"""Keeps a copy of every row of a store in a SQLite file, over HTTP.

    follow.py FILE [--once]

The daemon (`ao-store start`) may end and start again at any time: this goes on after the last change that it has
stored. What is sent again is recognised by (log_id, epoch, seq). When the changes that it needs are gone (pruned,
or the store was restored), it starts over from a snapshot. With --once it ends when everything is copied.
AO_DATA_DIR names the store, whose folder has the address and the token. Needs `pip install httpx-sse`.
"""
import json
import os
import sqlite3
import sys
import time

import httpx
from httpx_sse import connect_sse

# More than the time after which the daemon says that it is still there (15 s).
TIMEOUT = httpx.Timeout(10, read=40)


def order(log_id, cursor):
    return log_id, *map(int, cursor.split("-"))


class Copy:
    def __init__(self, file):
        self.db = sqlite3.connect(file)
        with self.db as db:
            db.execute("CREATE TABLE IF NOT EXISTS row (entity, key, row, PRIMARY KEY (entity, key))")
            db.execute("CREATE TABLE IF NOT EXISTS position (id INTEGER PRIMARY KEY, log_id, cursor)")

    def position(self):
        return self.db.execute("SELECT log_id, cursor FROM position").fetchone()

    def forget(self):
        with self.db as db:
            db.execute("DELETE FROM position")

    def set_row(self, item, row):
        entity, key = item["entity"], json.dumps(item["key"])
        if row is None:
            self.db.execute("DELETE FROM row WHERE entity = ? AND key = ?", (entity, key))
        else:
            self.db.execute("REPLACE INTO row VALUES (?, ?, ?)", (entity, key, json.dumps(row)))

    def set_position(self, log_id, cursor):
        self.db.execute("REPLACE INTO position VALUES (1, ?, ?)", (log_id, cursor))

    def replace(self, rows, log_id, cursor):
        with self.db as db:
            db.execute("DELETE FROM row")
            for row in rows:
                self.set_row(row, row["row"])
            self.set_position(log_id, cursor)

    def apply(self, log_id, change):
        known = self.position()
        # Another log or epoch begins with a snapshot, never with a change.
        if order(log_id, change["cursor"]) <= order(*known):
            return
        with self.db:
            self.set_row(change, change["after"])
            self.set_position(log_id, change["cursor"])


class StartOver(Exception):
    """The changes after the position cannot be had."""


def read(path):
    data = os.environ.get("AO_DATA_DIR") or os.path.expanduser("~/.local/share/ao-store")
    with open(os.path.join(data, path), encoding="utf-8") as file:
        return file.read()


def connect(client, known):
    """A stream of the changes after the position, or of all rows and then the changes."""
    url = json.loads(read("running.json"))["url"]
    headers = {"Authorization": "Bearer " + read("tokens/operator.token").strip()}
    params = {"snapshot": "1"}
    if known:
        params, headers["Last-Event-ID"] = {}, known[1]
    return connect_sse(client, "GET", url + "/api/v1/events", params=params, headers=headers)


def follow(client, copy, is_once):
    """One connection; true when everything is copied and that was all."""
    known, rows = copy.position(), []
    with connect(client, known) as source:
        response = source.response
        if response.status_code != 200:
            code = json.loads(response.read())["code"]
            if response.status_code in (400, 409, 410) and known:
                raise StartOver(code)
            sys.exit(f"refused: {code}")
        for event in source.iter_sse():
            if not event.data:
                continue  # It only says how long to wait before the next connection.
            item = json.loads(event.data)
            control = item.get("control")
            if control == "hello":
                log_id, head = item["log_id"], item["head"]
                if known and known[0] != log_id:
                    raise StartOver("another store")
            elif control == "row":
                rows.append(item)
            elif control == "snapshot_end":
                copy.replace(rows, log_id, item["cursor"])
                rows = []
            elif control == "error":
                if item["code"] == "CLIENT_TOO_SLOW":
                    return False
                raise StartOver(item["code"])
            elif control is None:
                copy.apply(log_id, item)
            known = copy.position()
            if is_once and known and order(*known) >= order(log_id, head):
                return True
    return False


def main(file, is_once):
    copy = Copy(file)
    with httpx.Client(timeout=TIMEOUT) as client:
        while True:
            try:
                if follow(client, copy, is_once):
                    return
            except StartOver as reason:
                print("starting over:", reason, file=sys.stderr)
                copy.forget()
                continue
            except (httpx.TransportError, OSError):
                pass  # The daemon is not there; it may have another port when it is again.
            time.sleep(0.2)


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--once"]
    if len(words) != 1 or words[0].startswith("-"):
        sys.exit(__doc__)
    main(words[0], "--once" in sys.argv)
