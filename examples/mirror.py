#!/usr/bin/env python3
"""Keeps a copy of every row of a store in a SQLite file of its own.

    mirror.py FILE [CONSUMER] [--once]

It may be killed at any time: the rows of a batch and the position are committed together, and the
batch is acknowledged afterwards. What is delivered again is recognised by (log_id, epoch, seq). When
the changes that it needs are gone (pruned, or the store was restored), it starts over from a snapshot.
With --once it ends when everything is copied. Needs Python 3.8 or newer and ao-store on the PATH;
AO_DATA_DIR names the store.
"""
import json
import sqlite3
import subprocess
import sys
import time

# The exit statuses of ao-store that are no reason to stop: see docs/errors.md.
NOT_FOUND, EXPIRED, BUSY = 3, 7, 9


def ao_store(*args):
    """The lines that ao-store prints, as JSON. With --json an error is one line on stderr."""
    command = ["ao-store", "--json", *args]
    done = subprocess.run(command, check=True, capture_output=True, encoding="utf-8")
    return [json.loads(line) for line in done.stdout.splitlines()]


def set_row(db, entity, key, row):
    key = json.dumps(key)
    if row is None:
        db.execute("DELETE FROM row WHERE entity = ? AND key = ?", (entity, key))
    else:
        db.execute("REPLACE INTO row VALUES (?, ?, ?)", (entity, key, json.dumps(row)))


def set_position(db, log_id, cursor):
    epoch, seq = map(int, cursor.split("-"))
    db.execute("REPLACE INTO position VALUES (1, ?, ?, ?)", (log_id, epoch, seq))


def start_over(db, consumer):
    """Replaces the copy with a snapshot, and moves the consumer to its cursor."""
    ao_store("consumer", "create", consumer, "--if-not-exists")
    lines = ao_store("tail", "--snapshot", "--no-follow")
    cursor = next(line["cursor"] for line in lines if line.get("control") == "snapshot_end")
    with db:
        db.execute("DELETE FROM row")
        for line in lines:
            if line.get("control") == "row":
                set_row(db, line["entity"], line["key"], line["row"])
        set_position(db, lines[0]["log_id"], cursor)
    ao_store("consumer", "seek", consumer, "--to", cursor, "--force")


def apply(db, lines):
    """Applies what was not applied before; returns the cursor to acknowledge, and whether any came."""
    log_id = lines[0]["log_id"]
    changes = [line for line in lines if "seq" in line]
    with db:
        *known, last = db.execute("SELECT log_id, epoch, seq FROM position").fetchone()
        for change in changes:
            epoch = int(change["cursor"].split("-")[0])
            if [log_id, epoch] != known or change["seq"] > last:
                set_row(db, change["entity"], change["key"], change["after"])
                set_position(db, log_id, change["cursor"])
    return lines[-1]["cursor"], bool(changes)


def main(file, consumer="mirror", is_once=False):
    db = sqlite3.connect(file)
    db.execute("CREATE TABLE IF NOT EXISTS row (entity, key, row, PRIMARY KEY (entity, key))")
    db.execute("CREATE TABLE IF NOT EXISTS position (id INTEGER PRIMARY KEY, log_id, epoch, seq)")
    if db.execute("SELECT 1 FROM position").fetchone() is None:
        start_over(db, consumer)
    while True:
        try:
            lines = ao_store("consumer", "pull", consumer, "--wait", "0s" if is_once else "30s")
            cursor, is_any = apply(db, lines)
            ao_store("consumer", "ack", consumer, cursor)
            if is_once and not is_any:
                return
        except subprocess.CalledProcessError as error:
            if error.returncode in (NOT_FOUND, EXPIRED):
                print("starting over:", error.stderr.strip(), file=sys.stderr)
                start_over(db, consumer)
            elif error.returncode == BUSY:
                time.sleep(1)
            else:
                sys.exit(f"ao-store: {error.stderr.strip()}")


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--once"]
    if not 1 <= len(words) <= 2 or words[0].startswith("-"):
        sys.exit(__doc__)
    main(*words, is_once="--once" in sys.argv)
