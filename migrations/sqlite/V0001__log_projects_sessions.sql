-- The change log, its identity, and the facts about projects and sessions.
-- Capture triggers are not here: store/src/capture.rs generates them from the live schema.

-- One row. log_id names this log for ever; a cursor is <epoch>-<seq>; floor is the newest pruned
-- seq (0: nothing pruned); format is the schema version; relaxed_boot is the boot id of the machine while a writer runs with
-- durability=relaxed, '' otherwise: a crash of the machine in between starts a new epoch.
CREATE TABLE log_meta (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  log_id TEXT NOT NULL,
  epoch INTEGER NOT NULL CHECK (epoch > 0),
  floor INTEGER NOT NULL CHECK (floor >= 0),
  format INTEGER NOT NULL,
  relaxed_boot TEXT NOT NULL DEFAULT ''
) STRICT;
INSERT INTO log_meta (id, log_id, epoch, floor, format)
VALUES (1, lower(hex(randomblob(16))), 1, 0, 1);

-- One row: the transaction that is writing now. Our writer opens it (tx = seq of the first
-- change) and closes it (tx NULL) before COMMIT, so a committed row is always closed and a writer
-- that is not ours is seen as such. "at" survives closing: no later change may be older.
-- foreign_writes counts what foreign writers changed, so that what we remember of a row can be known
-- to be out of date.
CREATE TABLE change_context (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  tx INTEGER,
  at INTEGER NOT NULL,
  actor TEXT,
  foreign_writes INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO change_context (id, at) VALUES (1, 0);

-- Without its one row a table like these would make capture silent.
CREATE TRIGGER log_meta_stays BEFORE DELETE ON log_meta
BEGIN
  SELECT RAISE(ABORT, 'the row of log_meta is never deleted');
END;
CREATE TRIGGER change_context_stays BEFORE DELETE ON change_context
BEGIN
  SELECT RAISE(ABORT, 'the row of change_context is never deleted');
END;

-- One row a committed change of a captured table, written by triggers only. AUTOINCREMENT keeps
-- a seq from being used again after the log was pruned. tx and actor are NULL for a change by a
-- foreign writer. key is a JSON array; before and after are full row images.
CREATE TABLE change_log (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  tx INTEGER,
  at INTEGER NOT NULL,
  actor TEXT,
  type TEXT NOT NULL,
  entity TEXT NOT NULL,
  op TEXT NOT NULL,
  key TEXT NOT NULL,
  project TEXT,
  session TEXT,
  before TEXT,
  after TEXT
) STRICT;

-- Rows that a statement with OR REPLACE may be about to delete without firing a delete trigger.
CREATE TABLE capture_displaced (
  entity TEXT NOT NULL,
  key TEXT NOT NULL,
  project TEXT,
  session TEXT,
  image TEXT NOT NULL,
  PRIMARY KEY (entity, key)
) STRICT, WITHOUT ROWID;

-- Durable named cursors.
CREATE TABLE consumer (
  name TEXT NOT NULL PRIMARY KEY,
  epoch INTEGER NOT NULL,
  acked INTEGER NOT NULL,
  filter TEXT NOT NULL DEFAULT '{}',
  policy TEXT NOT NULL CHECK (policy IN ('block', 'bounded', 'none')),
  created_at INTEGER NOT NULL,
  acked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE project (
  id TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
  path TEXT NOT NULL CHECK (path <> ''),
  name TEXT NOT NULL,
  kind TEXT NOT NULL DEFAULT 'repo',
  origin_url TEXT NOT NULL DEFAULT '',
  host TEXT NOT NULL DEFAULT '',
  repo TEXT NOT NULL DEFAULT '',
  default_branch TEXT NOT NULL DEFAULT '',
  config TEXT NOT NULL DEFAULT '{}',
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  archived_at INTEGER
) STRICT;
CREATE UNIQUE INDEX project_active_path ON project (path) WHERE archived_at IS NULL;
CREATE INDEX project_repo ON project (repo COLLATE NOCASE, host COLLATE NOCASE);

-- The highest session number ever given out in a project; never decreases, and outlives the row of
-- the project, which a foreign writer may replace.
CREATE TABLE session_counter (
  project_id TEXT NOT NULL PRIMARY KEY,
  last_num INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Empty text means "not known yet". A row that is not terminated and whose workspace_path,
-- runtime_handle, agent_session_id and prompt are all empty is a seed: nothing was produced.
CREATE TABLE session (
  id TEXT NOT NULL PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
  num INTEGER NOT NULL CHECK (num > 0),
  kind TEXT NOT NULL CHECK (kind IN ('worker', 'orchestrator')),
  harness TEXT NOT NULL DEFAULT '',
  name TEXT NOT NULL DEFAULT '',
  issue TEXT NOT NULL DEFAULT '',
  branch TEXT NOT NULL DEFAULT '',
  mode TEXT NOT NULL DEFAULT 'tui' CHECK (mode IN ('tui', 'chat')),
  workspace_path TEXT NOT NULL DEFAULT '',
  workspace_repo_path TEXT NOT NULL DEFAULT '',
  runtime_handle TEXT NOT NULL DEFAULT '',
  runtime_launch_id TEXT NOT NULL DEFAULT '',
  agent_session_id TEXT NOT NULL DEFAULT '',
  provider_conversation_id TEXT NOT NULL DEFAULT '',
  controller_generation INTEGER NOT NULL DEFAULT 0,
  cleanup_generation INTEGER NOT NULL DEFAULT 0,
  prompt TEXT NOT NULL DEFAULT '',
  activity TEXT NOT NULL DEFAULT 'idle'
    CHECK (activity IN ('active', 'idle', 'waiting_input', 'blocked', 'exited')),
  activity_at INTEGER NOT NULL,
  first_signal_at INTEGER,
  is_terminated INTEGER NOT NULL DEFAULT 0 CHECK (is_terminated IN (0, 1)),
  is_terminated_on_pr_merge INTEGER NOT NULL DEFAULT 0
    CHECK (is_terminated_on_pr_merge IN (0, 1)),
  diff_base_sha TEXT NOT NULL DEFAULT '',
  diff_base_ref TEXT NOT NULL DEFAULT '',
  reviewer_harness TEXT NOT NULL DEFAULT '',
  preview_url TEXT NOT NULL DEFAULT '',
  preview_revision INTEGER NOT NULL DEFAULT 0,
  pinned_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE (project_id, num),
  CHECK (id = project_id || '-' || num)
) STRICT;
CREATE UNIQUE INDEX session_active_orchestrator ON session (project_id)
WHERE kind = 'orchestrator' AND is_terminated = 0;
CREATE INDEX session_branch ON session (project_id, branch) WHERE branch <> '';

-- A session number is never used again, whoever inserts.
CREATE TRIGGER session_number_is_new BEFORE INSERT ON session
WHEN NEW.num <= (SELECT last_num FROM session_counter WHERE project_id = NEW.project_id)
  AND NOT EXISTS (SELECT 1 FROM session WHERE id = NEW.id)
BEGIN
  SELECT RAISE(ABORT, 'session number was used before');
END;
-- Two plain statements: OR REPLACE of the outer statement would override an upsert clause here.
CREATE TRIGGER session_number_is_kept AFTER INSERT ON session
BEGIN
  INSERT INTO session_counter (project_id, last_num)
  SELECT NEW.project_id, 0
  WHERE NOT EXISTS (SELECT 1 FROM session_counter WHERE project_id = NEW.project_id);
  UPDATE session_counter SET last_num = NEW.num
  WHERE project_id = NEW.project_id AND last_num < NEW.num;
END;
