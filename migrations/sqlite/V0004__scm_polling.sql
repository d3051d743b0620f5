-- What an observer of SCM hosts keeps between two looks, so that a restart forgets neither a block nor
-- a budget. None of it is a fact about a session: nothing here is captured.

-- One row a host that was asked. credential is what became of the one in use, since when, and source
-- says where it was found, never what it is. quota, remaining and reset_at are the budget of requests
-- as last seen (NULL: the host states none). Until blocked_until no request is made, for the reason
-- given. At fresh_at every tracked pull request of it had been looked at. memory is JSON of the
-- observer's own.
CREATE TABLE scm_host (
  host TEXT NOT NULL COLLATE NOCASE PRIMARY KEY CHECK (host <> ''),
  credential TEXT NOT NULL DEFAULT 'unknown'
    CHECK (credential IN ('unknown', 'ok', 'missing', 'invalid')),
  source TEXT NOT NULL DEFAULT '',
  login TEXT NOT NULL DEFAULT '',
  since INTEGER,
  quota INTEGER,
  remaining INTEGER,
  reset_at INTEGER,
  blocked_until INTEGER,
  reason TEXT NOT NULL DEFAULT '',
  fresh_at INTEGER,
  memory TEXT NOT NULL DEFAULT '{}',
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row a repository that was asked for, by the owner/name it was known by then; name is the one
-- it has now, and node_id stays with it. Open pull requests were listed at listed_at, down to those
-- created at the watermark.
CREATE TABLE scm_repo (
  host TEXT NOT NULL COLLATE NOCASE,
  repo TEXT NOT NULL COLLATE NOCASE,
  name TEXT NOT NULL DEFAULT '',
  node_id TEXT NOT NULL DEFAULT '',
  access TEXT NOT NULL DEFAULT 'unknown'
    CHECK (access IN ('unknown', 'ok', 'forbidden', 'missing')),
  access_since INTEGER,
  watermark INTEGER,
  listed_at INTEGER,
  PRIMARY KEY (host, repo)
) STRICT, WITHOUT ROWID;

-- One row a polled pull request. attribution says why it belongs to its session. A mark is the
-- signature of what was last read to its end: while it is the same, nothing is read again.
-- confirmed_at is when one that ended was read once more. failures counts the looks in a row that
-- failed; problem is what that became, and since when.
CREATE TABLE pr_poll (
  pr_id TEXT NOT NULL PRIMARY KEY REFERENCES pr (id) ON DELETE CASCADE,
  attribution TEXT NOT NULL DEFAULT '',
  changed_at INTEGER,
  pushed_at INTEGER,
  metadata_fingerprint BLOB,
  checks_fingerprint BLOB,
  discussion_fingerprint BLOB,
  threads_fingerprint BLOB,
  full_read_at INTEGER,
  confirmed_at INTEGER,
  failures INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
  problem TEXT NOT NULL DEFAULT ''
    CHECK (problem IN ('', 'missing', 'unreachable', 'forbidden', 'invalid')),
  problem_since INTEGER
) STRICT, WITHOUT ROWID;

-- What an observer is asked to look at now; number 0 is the whole repository.
CREATE TABLE scm_refresh_request (
  host TEXT NOT NULL COLLATE NOCASE,
  repo TEXT NOT NULL COLLATE NOCASE,
  number INTEGER NOT NULL CHECK (number >= 0),
  at INTEGER NOT NULL,
  PRIMARY KEY (host, repo, number)
) STRICT, WITHOUT ROWID;

-- The deliveries that were taken, so that one that is sent again is known. The rowid tells their order.
CREATE TABLE webhook_delivery (
  id TEXT NOT NULL PRIMARY KEY,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_delivery_at ON webhook_delivery (at);

-- A writer with foreign keys off leaves no orphan here either.
CREATE TRIGGER pr_takes_its_poll_along BEFORE DELETE ON pr
BEGIN
  DELETE FROM pr_poll WHERE pr_id = OLD.id;
END;
CREATE TRIGGER pr_displaced_takes_its_poll_along BEFORE DELETE ON capture_displaced
WHEN OLD.entity = 'pr' AND NOT EXISTS (SELECT 1 FROM pr WHERE id = json_extract(OLD.key, '$[0]'))
BEGIN
  DELETE FROM pr_poll WHERE pr_id = json_extract(OLD.key, '$[0]');
END;
