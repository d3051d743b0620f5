-- The schema: the change log, projects and sessions, conversations and turns, pull requests, and
-- the bookkeeping of observers. Capture triggers and views are generated from it: see store/src/log/capture.rs.

-- == The change log ===============================================================================

-- The identity of the log; one row. A cursor is <epoch>-<seq>. floor is the newest pruned seq (0:
-- nothing was pruned) and pruned_bytes the size of the pruned changes. format is the schema
-- version. relaxed_boot is the boot id of the machine while a writer runs with durability=relaxed,
-- otherwise '': a crash of the machine in between begins a new epoch.
CREATE TABLE log_meta (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  log_id TEXT NOT NULL,
  epoch INTEGER NOT NULL CHECK (epoch > 0),
  floor INTEGER NOT NULL CHECK (floor >= 0),
  format INTEGER NOT NULL,
  relaxed_boot TEXT NOT NULL DEFAULT '',
  pruned_bytes INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO log_meta (id, log_id, epoch, floor, format)
VALUES (1, lower(hex(randomblob(16))), 1, 0, 1);

-- The running write transaction and the end of the sealed log; one row. ao-store sets tx to the seq
-- of the first change of its transaction, and to NULL before COMMIT, so a foreign writer always
-- finds NULL. at never decreases. foreign_writes counts the changes by foreign writers; a digest of
-- rows that was made at another count may be out of date. The changes up to sealed are covered by
-- block digests. seal is the digest of the block that is not full yet; it is here because every
-- commit writes this row anyway. logged_bytes is the size of all changes up to sealed, pruned ones
-- included.
CREATE TABLE change_context (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  tx INTEGER,
  at INTEGER NOT NULL,
  actor TEXT,
  foreign_writes INTEGER NOT NULL DEFAULT 0,
  sealed INTEGER NOT NULL DEFAULT 0,
  seal BLOB NOT NULL DEFAULT x'00000000000000000000000000000000',
  logged_bytes INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO change_context (id, at) VALUES (1, 0);

-- Without its one row, each of these tables would silently stop capture.
CREATE TRIGGER log_meta_stays BEFORE DELETE ON log_meta
BEGIN
  SELECT RAISE(ABORT, 'the row of log_meta is never deleted');
END;
CREATE TRIGGER change_context_stays BEFORE DELETE ON change_context
BEGIN
  SELECT RAISE(ABORT, 'the row of change_context is never deleted');
END;

-- The committed changes of captured tables, one row per change, written by triggers only.
-- AUTOINCREMENT prevents a pruned seq from being used again. tx and actor are NULL for a change by
-- a foreign writer. key is a JSON array; before and after are full row images.
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

-- What the clocks of the machine showed when the change seq was made, recorded when the wall clock was
-- set, when the machine was started, and once an hour while changes are made: at is the wall clock,
-- which can be wrong, boot identifies the boot of the machine, and boot_ms is the time since then.
-- The age of changes is computed from it.
CREATE TABLE clock_reading (
  seq INTEGER NOT NULL PRIMARY KEY,
  at INTEGER NOT NULL,
  boot INTEGER,
  boot_ms INTEGER,
  CHECK ((boot IS NULL) = (boot_ms IS NULL))
) STRICT;

-- Rows that the current statement may delete by OR REPLACE, for which SQLite fires no delete
-- trigger while recursive_triggers is off. Empty between statements of ao-store.
CREATE TABLE capture_displaced (
  entity TEXT NOT NULL,
  key TEXT NOT NULL,
  project TEXT,
  session TEXT,
  image TEXT NOT NULL,
  PRIMARY KEY (entity, key)
) STRICT, WITHOUT ROWID;

-- The digests of full blocks: block b covers the seqs 16b+1 to 16b+16. A block digest is the sum
-- (mod 2^128, little-endian) of the hashes of its changes, so that pruning half a block subtracts.
-- bytes is logged_bytes at the end of the block.
CREATE TABLE log_seal (
  block INTEGER NOT NULL PRIMARY KEY,
  digest BLOB NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;

-- The baseline digest of each entity: the sum of the hashes of its row images at the floor.
-- Together with the later changes it gives the sum of the live rows. No row means zero.
CREATE TABLE log_base (
  entity TEXT NOT NULL PRIMARY KEY,
  digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Durable consumers. acked is the newest acknowledged seq. filter is canonical JSON and never
-- changes. The max_* columns are the bounds of the policy 'bounded'. A lease lets one owner
-- acknowledge at a time; each new lease increments generation, which fences its predecessors.
CREATE TABLE consumer (
  name TEXT NOT NULL PRIMARY KEY CHECK (name <> ''),
  epoch INTEGER NOT NULL,
  acked INTEGER NOT NULL CHECK (acked >= 0),
  filter TEXT NOT NULL,
  policy TEXT NOT NULL CHECK (policy IN ('block', 'bounded', 'none')),
  max_events INTEGER CHECK (max_events >= 0),
  max_bytes INTEGER CHECK (max_bytes >= 0),
  max_age_ms INTEGER CHECK (max_age_ms >= 0),
  created_at INTEGER NOT NULL,
  acked_at INTEGER,
  generation INTEGER NOT NULL DEFAULT 0 CHECK (generation BETWEEN 0 AND 9007199254740992),
  lease_owner TEXT,
  lease_until INTEGER,
  CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
) STRICT, WITHOUT ROWID;

-- Positions that pruning must not pass before the time until, because a reader needs the changes
-- after them. holder names the reader for people.
CREATE TABLE reservation (
  id INTEGER NOT NULL PRIMARY KEY,
  seq INTEGER NOT NULL,
  holder TEXT NOT NULL,
  until INTEGER NOT NULL
) STRICT;

-- The rules by which the log is pruned automatically; one row. NULL means no rule.
CREATE TABLE retention (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  keep_ms INTEGER CHECK (keep_ms >= 0),
  keep_events INTEGER CHECK (keep_events >= 0),
  max_bytes INTEGER CHECK (max_bytes >= 0)
) STRICT;
INSERT INTO retention (id) VALUES (1);

-- The last backup of this store; one row.
CREATE TABLE upkeep (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  backup_at INTEGER,
  backup_seq INTEGER
) STRICT;
INSERT INTO upkeep (id) VALUES (1);

-- == Projects and sessions ========================================================================

-- Registered git work trees. host and repo (owner/name) come from origin_url; empty text means
-- none. copy_globs (a JSON array) and setup_command prepare the worktree of a new session; max_live
-- bounds the sessions that are not terminated.
CREATE TABLE project (
  id TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
  path TEXT NOT NULL CHECK (path <> ''),
  name TEXT NOT NULL,
  origin_url TEXT NOT NULL DEFAULT '',
  host TEXT NOT NULL DEFAULT '',
  repo TEXT NOT NULL DEFAULT '',
  default_branch TEXT NOT NULL DEFAULT '',
  copy_globs TEXT NOT NULL DEFAULT '[]' CHECK (json_valid(copy_globs)),
  setup_command TEXT NOT NULL DEFAULT '',
  setup_timeout_ms INTEGER NOT NULL DEFAULT 600000 CHECK (setup_timeout_ms > 0),
  max_live INTEGER CHECK (max_live > 0),
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  archived_at INTEGER
) STRICT;
CREATE UNIQUE INDEX project_active_path ON project (path) WHERE archived_at IS NULL;
CREATE INDEX project_repo ON project (repo COLLATE NOCASE, host COLLATE NOCASE);

-- The highest session number ever used in a project. It never decreases, and it outlives the
-- project row, which a foreign writer may replace.
CREATE TABLE session_counter (
  project_id TEXT NOT NULL PRIMARY KEY,
  last_num INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Sessions. Empty text means none, or not known yet. spawner is the instance that spawned it; a session
-- without one is external: another program runs it. launch_id is its newest launch, from which alone
-- evidence of activity is accepted. activity_source says where that came from, activity_cause why the
-- agent waits or cannot continue, activity_call which tool call waits, limit_ends_at when a limit ends;
-- activity_revision counts the changes. A row is a seed while spawned_at is NULL and it owns no pull request: it has
-- produced nothing. A session that is not terminated should exist.
CREATE TABLE session (
  id TEXT NOT NULL PRIMARY KEY,
  project_id TEXT NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
  num INTEGER NOT NULL CHECK (num > 0),
  kind TEXT NOT NULL CHECK (kind IN ('worker', 'orchestrator')),
  harness TEXT NOT NULL DEFAULT '',
  model TEXT NOT NULL DEFAULT '',
  permission TEXT NOT NULL DEFAULT '',
  parent_id TEXT NOT NULL DEFAULT '',
  name TEXT NOT NULL DEFAULT '',
  issue TEXT NOT NULL DEFAULT '',
  branch TEXT NOT NULL DEFAULT '',
  base_ref TEXT NOT NULL DEFAULT '',
  base_commit TEXT NOT NULL DEFAULT '',
  worktree_path TEXT NOT NULL DEFAULT '',
  runtime_kind TEXT NOT NULL DEFAULT '',
  runtime_socket TEXT NOT NULL DEFAULT '',
  runtime_pane TEXT NOT NULL DEFAULT '',
  launch_id TEXT NOT NULL DEFAULT '',
  spawner TEXT NOT NULL DEFAULT '',
  prompt_bytes INTEGER NOT NULL DEFAULT 0 CHECK (prompt_bytes >= 0),
  prompt_digest TEXT NOT NULL DEFAULT '',
  activity TEXT NOT NULL DEFAULT 'unknown' CHECK (activity IN
    ('unknown', 'starting', 'active', 'idle', 'waiting', 'blocked', 'limited', 'exited')),
  activity_source TEXT NOT NULL DEFAULT ''
    CHECK (activity_source IN ('', 'process', 'hook', 'screen', 'transcript', 'import')),
  activity_cause TEXT NOT NULL DEFAULT '',
  activity_call TEXT NOT NULL DEFAULT '',
  limit_ends_at INTEGER,
  activity_at INTEGER NOT NULL,
  activity_revision INTEGER NOT NULL DEFAULT 0,
  is_terminated INTEGER NOT NULL DEFAULT 0 CHECK (is_terminated IN (0, 1)),
  terminated_at INTEGER,
  terminated_reason TEXT NOT NULL DEFAULT '',
  terminated_by TEXT NOT NULL DEFAULT '',
  spawned_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE (project_id, num),
  CHECK (id = project_id || '-' || num)
) STRICT;
CREATE UNIQUE INDEX session_active_orchestrator ON session (project_id)
WHERE kind = 'orchestrator' AND is_terminated = 0;
CREATE INDEX session_branch ON session (project_id, branch) WHERE branch <> '';
CREATE INDEX session_live ON session (project_id, num) WHERE is_terminated = 0;

-- A session number is never used again, not even by a foreign writer.
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

-- Launches: each is one run of the agent program of a session. supervisor identifies the process that
-- started the program, among all that ever ran on this machine. kind says what the program was started
-- from. prompt_stage says how far the prompt of the session got in this launch. cause is empty while
-- the launch has not ended.
CREATE TABLE launch (
  id TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
  session_id TEXT NOT NULL REFERENCES session (id) ON DELETE RESTRICT,
  project_id TEXT NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
  num INTEGER NOT NULL CHECK (num > 0),
  kind TEXT NOT NULL CHECK (kind IN ('fresh', 'prompt', 'resume')),
  instance TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  native_id TEXT NOT NULL DEFAULT '',
  prompt_stage TEXT NOT NULL DEFAULT 'none'
    CHECK (prompt_stage IN ('none', 'pending', 'written', 'acknowledged')),
  supervisor TEXT NOT NULL DEFAULT '',
  agent_pid INTEGER,
  created_at INTEGER NOT NULL,
  started_at INTEGER,
  ended_at INTEGER,
  exit_status INTEGER,
  signal INTEGER,
  cause TEXT NOT NULL DEFAULT ''
    CHECK (cause IN ('', 'exited', 'stopped', 'killed', 'runtime_lost', 'exec_failed')),
  UNIQUE (session_id, num),
  CHECK ((ended_at IS NULL) = (cause = ''))
) STRICT;

-- The tail of the output of a launch that ended. Not captured, because terminal output never enters the
-- change log.
CREATE TABLE launch_output (
  launch_id TEXT NOT NULL PRIMARY KEY REFERENCES launch (id) ON DELETE CASCADE,
  tail TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Decisions that a launch waits for, or waited for. text and options are cut to 1 KiB each; options is a
-- JSON array of texts. call is the tool call that waits. hook_ends_at is until when a hook of the agent waits
-- for the answer, NULL if none does; an answer of an open decision is one that no hook has taken yet.
CREATE TABLE decision (
  id TEXT NOT NULL PRIMARY KEY,
  session_id TEXT NOT NULL REFERENCES session (id) ON DELETE RESTRICT,
  project_id TEXT NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
  launch_id TEXT NOT NULL REFERENCES launch (id) ON DELETE RESTRICT,
  kind TEXT NOT NULL CHECK (kind IN ('permission', 'question', 'plan', 'trust', 'login')),
  tool TEXT NOT NULL,
  call TEXT NOT NULL,
  text TEXT NOT NULL,
  options TEXT NOT NULL,
  source TEXT NOT NULL,
  requested_at INTEGER NOT NULL,
  resolved_at INTEGER,
  resolution TEXT NOT NULL DEFAULT ''
    CHECK (resolution IN ('', 'answered', 'released', 'ended')),
  answer TEXT NOT NULL DEFAULT '',
  hook_ends_at INTEGER,
  CHECK ((resolved_at IS NULL) = (resolution = ''))
) STRICT;
CREATE UNIQUE INDEX decision_open ON decision (session_id) WHERE resolved_at IS NULL;

-- Messages to sessions, the reports of their children, and turns. key makes a repeated request the same
-- delivery: of a turn it is turn/ and the id of the turn.
-- sender is the session that sends, or empty. cursor is the head of the log before it was accepted.
-- last_stage is the last one that the harness can prove. runner is the instance that writes it, and
-- launch_id the launch to which it is or was written. One delivery of a session is written at a time.
CREATE TABLE delivery (
  id TEXT NOT NULL PRIMARY KEY,
  session_id TEXT NOT NULL REFERENCES session (id) ON DELETE RESTRICT,
  project_id TEXT NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
  kind TEXT NOT NULL DEFAULT 'message' CHECK (kind IN ('message', 'report', 'prompt', 'turn')),
  key TEXT NOT NULL,
  sender TEXT NOT NULL,
  last_stage TEXT NOT NULL DEFAULT 'finished' CHECK (last_stage IN ('written', 'finished')),
  cursor TEXT NOT NULL DEFAULT '',
  bytes INTEGER NOT NULL,
  digest TEXT NOT NULL,
  stage TEXT NOT NULL CHECK (stage IN ('accepted', 'writing', 'written', 'submitted', 'started',
    'finished', 'ambiguous', 'failed')),
  reason TEXT NOT NULL DEFAULT '',
  runner TEXT NOT NULL DEFAULT '',
  launch_id TEXT NOT NULL DEFAULT '',
  accepted_at INTEGER NOT NULL,
  written_at INTEGER,
  submitted_at INTEGER,
  started_at INTEGER,
  finished_at INTEGER,
  UNIQUE (session_id, key)
) STRICT;
CREATE INDEX delivery_session ON delivery (session_id, id);
CREATE UNIQUE INDEX delivery_writing ON delivery (session_id) WHERE stage = 'writing';
CREATE INDEX delivery_open ON delivery (session_id)
WHERE stage IN ('accepted', 'writing', 'written', 'submitted', 'started');

-- The texts of deliveries. Not captured, because they can be large.
CREATE TABLE delivery_text (
  delivery_id TEXT NOT NULL PRIMARY KEY REFERENCES delivery (id) ON DELETE CASCADE,
  text TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Accounts that have reached a limit: of a harness, with the name of the account where it is known. Not
-- captured; the sessions that are limited are.
CREATE TABLE account_limit (
  account TEXT NOT NULL PRIMARY KEY,
  session_id TEXT NOT NULL,
  message TEXT NOT NULL,
  reported_at INTEGER NOT NULL,
  ends_at INTEGER
) STRICT, WITHOUT ROWID;

-- What a session was started with: its prompt, the command of the caller as a JSON array, and whether the
-- session that spawned it gets a report when a turn ends. Not captured, because such texts can be long;
-- the session has size and digest of the prompt.
CREATE TABLE session_start (
  session_id TEXT NOT NULL PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
  prompt TEXT NOT NULL,
  argv TEXT NOT NULL CHECK (json_valid(argv)),
  is_reported INTEGER NOT NULL DEFAULT 1 CHECK (is_reported IN (0, 1))
) STRICT, WITHOUT ROWID;

-- The verb that runs on a session, and the instance that runs it; not captured. A second verb is refused
-- while that instance is alive; that of a dead one is finished or undone. created_at_commit is the
-- commit at which the verb creates the branch of the session, empty if the branch was there before;
-- replaces is the session that this one takes the place of.
CREATE TABLE session_operation (
  session_id TEXT NOT NULL PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
  verb TEXT NOT NULL
    CHECK (verb IN ('spawn', 'kill', 'restore', 'relaunch', 'replace', 'cleanup', 'answer', 'reconcile')),
  instance TEXT NOT NULL,
  created_at_commit TEXT NOT NULL DEFAULT '',
  replaces TEXT NOT NULL DEFAULT '',
  started_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- What was done to the worktree and the branch of a session when it ended, and why; not captured.
CREATE TABLE session_cleanup (
  session_id TEXT NOT NULL PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
  worktree TEXT NOT NULL CHECK (worktree IN ('kept', 'removed')),
  worktree_reason TEXT NOT NULL,
  branch TEXT NOT NULL CHECK (branch IN ('kept', 'deleted')),
  branch_reason TEXT NOT NULL,
  preserved_ref TEXT NOT NULL DEFAULT '',
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Processes of ao-store that run verbs on sessions; owner identifies the process among all that ever ran
-- on this machine. Not captured; dead ones are deleted when another one registers.
CREATE TABLE instance (
  id TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
  owner TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  command TEXT NOT NULL,
  started_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The machine on which the sessions run, and the epoch in which that was confirmed; at most one row.
-- Where either differs, reconciliation changes nothing until it is confirmed.
CREATE TABLE session_machine (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  machine_id TEXT NOT NULL,
  epoch INTEGER NOT NULL
) STRICT;

-- A writer with foreign keys off leaves no orphan. The capture triggers do the same for the captured
-- children, which they log before their parent.
CREATE TRIGGER launch_deletes_children BEFORE DELETE ON launch
BEGIN
  DELETE FROM launch_output WHERE launch_id = OLD.id;
END;
CREATE TRIGGER delivery_deletes_children BEFORE DELETE ON delivery
BEGIN
  DELETE FROM delivery_text WHERE delivery_id = OLD.id;
END;
CREATE TRIGGER session_deletes_children BEFORE DELETE ON session
BEGIN
  DELETE FROM session_start WHERE session_id = OLD.id;
  DELETE FROM session_operation WHERE session_id = OLD.id;
  DELETE FROM session_cleanup WHERE session_id = OLD.id;
END;

-- == Conversations and turns ======================================================================
-- Of these tables, only conversation and turn are captured. What agents stream is not: it can be
-- thousands of rows per second.

-- Organisations: they own agents and conversations. provisioned_at is when it was decided whether
-- the organisation gets a default agent, NULL before.
CREATE TABLE org (
  id TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
  provisioned_at INTEGER,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Agents: identities of an organisation to which turns are sent. account is the account that its
-- program uses, empty if it has none: while that has reached a limit, no turn is claimed. session_id is
-- the session that answers, each turn being a delivery to it; NULL if workers answer.
CREATE TABLE agent (
  org_id TEXT NOT NULL REFERENCES org (id) ON DELETE RESTRICT,
  id TEXT NOT NULL CHECK (id <> ''),
  account TEXT NOT NULL DEFAULT '',
  session_id TEXT REFERENCES session (id) ON DELETE RESTRICT,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (org_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX agent_session ON agent (session_id) WHERE session_id IS NOT NULL;

-- The users, named by their platform, who may send turns to an agent.
CREATE TABLE agent_member (
  org_id TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  platform TEXT NOT NULL CHECK (platform <> ''),
  user_id TEXT NOT NULL CHECK (user_id <> ''),
  PRIMARY KEY (org_id, agent_id, platform, user_id),
  FOREIGN KEY (org_id, agent_id) REFERENCES agent (org_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

-- Conversations, identified by a tuple. last_num is the number of its newest turn, head_seq the
-- newest event of its stream when a turn was last accepted or ended, head_version its newest snapshot
-- (0: none).
CREATE TABLE conversation (
  id TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
  org_id TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  platform TEXT NOT NULL CHECK (platform <> ''),
  user_id TEXT NOT NULL CHECK (user_id <> ''),
  thread TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  last_num INTEGER NOT NULL DEFAULT 0,
  head_seq INTEGER NOT NULL DEFAULT 0,
  head_version INTEGER NOT NULL DEFAULT 0,
  UNIQUE (org_id, agent_id, platform, user_id, thread),
  UNIQUE (id, org_id, agent_id),
  FOREIGN KEY (org_id, agent_id) REFERENCES agent (org_id, id) ON DELETE RESTRICT
) STRICT;

-- Turns: one message to an agent and the obligation to answer it. key makes a repeated message the
-- same turn, for ever. owner is the instance that runs it, which alone may write it, or the delivery
-- that it is, and base_version the snapshot that it began with. completion_digest is that of the
-- completion which ended it, empty if something else did. usage is a JSON object, empty if nothing
-- was reported. The texts are in turn_input and conversation_event.
CREATE TABLE turn (
  id TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
  conversation_id TEXT NOT NULL,
  org_id TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  num INTEGER NOT NULL CHECK (num > 0),
  key TEXT NOT NULL CHECK (key <> ''),
  input_bytes INTEGER NOT NULL CHECK (input_bytes >= 0),
  input_digest TEXT NOT NULL,
  accepted_at INTEGER NOT NULL,
  state TEXT NOT NULL
    CHECK (state IN ('queued', 'running', 'completed', 'failed', 'cancelled', 'expired')),
  reason TEXT NOT NULL DEFAULT '' CHECK (reason IN ('', 'no_worker', 'not_started', 'exited',
    'killed', 'worker_died', 'unresponsive', 'interrupted', 'agent_error', 'limited', 'overloaded',
    'authentication', 'billing', 'context', 'refused', 'too_large', 'diverged',
    'ambiguous')),
  owner TEXT NOT NULL DEFAULT '',
  base_version INTEGER,
  cancel_requested_at INTEGER,
  reply_bytes INTEGER,
  reply_digest TEXT NOT NULL DEFAULT '',
  completion_digest TEXT NOT NULL DEFAULT '',
  usage TEXT NOT NULL DEFAULT '',
  started_at INTEGER,
  ended_at INTEGER,
  UNIQUE (conversation_id, num),
  UNIQUE (conversation_id, key),
  CHECK (state <> 'running' OR (owner <> '' AND base_version IS NOT NULL)),
  CHECK ((ended_at IS NULL) = (state IN ('queued', 'running'))),
  CHECK ((reason <> '') = (state IN ('failed', 'expired'))),
  FOREIGN KEY (conversation_id, org_id, agent_id)
    REFERENCES conversation (id, org_id, agent_id) ON DELETE RESTRICT
) STRICT;
CREATE UNIQUE INDEX turn_running ON turn (conversation_id) WHERE state = 'running';
CREATE INDEX turn_open ON turn (conversation_id, num) WHERE ended_at IS NULL;

-- A turn is executed at most once, so its one claim is its fence, and what it ended with stays.
CREATE TRIGGER turn_never_goes_back BEFORE UPDATE OF state ON turn
WHEN (OLD.ended_at IS NOT NULL AND NEW.state <> OLD.state)
  OR (OLD.state = 'running' AND NEW.state = 'queued')
BEGIN
  SELECT RAISE(ABORT, 'a turn never goes back to an earlier state');
END;

-- The texts of the messages; not captured, because they can be large.
CREATE TABLE turn_input (
  turn_id TEXT NOT NULL PRIMARY KEY REFERENCES turn (id) ON DELETE CASCADE,
  text TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The one clock of each turn that has not ended; not captured, because it changes with every sign of
-- progress. ready_at is since when a queued turn is the next one of its conversation, otherwise NULL.
-- patience_ms is how long it may wait for a worker, and while it runs, how long it may make no
-- progress. deadline_ms is a time on the clock of this boot that stands still while the machine
-- sleeps; NULL while an earlier turn of the conversation has not ended. program names the process that
-- leads the process group of what runs the turn; empty until it is started.
CREATE TABLE turn_clock (
  turn_id TEXT NOT NULL PRIMARY KEY REFERENCES turn (id) ON DELETE CASCADE,
  org_id TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  ready_at INTEGER,
  patience_ms INTEGER NOT NULL CHECK (patience_ms > 0),
  boot INTEGER,
  deadline_ms INTEGER,
  is_waiting INTEGER NOT NULL DEFAULT 0 CHECK (is_waiting IN (0, 1)),
  program TEXT NOT NULL DEFAULT '',
  CHECK ((boot IS NULL) = (deadline_ms IS NULL))
) STRICT, WITHOUT ROWID;
CREATE INDEX turn_clock_ready ON turn_clock (org_id, agent_id, ready_at)
WHERE ready_at IS NOT NULL;
CREATE INDEX turn_clock_deadline ON turn_clock (boot, deadline_ms) WHERE boot IS NOT NULL;

-- A completion that came after another one of the same claim, with another content.
CREATE TABLE turn_refused_completion (
  turn_id TEXT NOT NULL REFERENCES turn (id) ON DELETE CASCADE,
  digest TEXT NOT NULL,
  text TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (turn_id, digest)
) STRICT, WITHOUT ROWID;

-- The stream of each conversation: seq is dense when an event is stored. Deltas are deleted some time
-- after their turn was answered: its last event has the whole text. Those of another turn stay longer.
-- source is the sender's own name of an event, so that a repeated one is recognised. reason is that of
-- a turn that failed.
CREATE TABLE conversation_event (
  conversation_id TEXT NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
  seq INTEGER NOT NULL CHECK (seq > 0),
  turn_id TEXT NOT NULL,
  kind TEXT NOT NULL
    CHECK (kind IN ('delta', 'content', 'ephemeral', 'status', 'error', 'complete')),
  source TEXT,
  reason TEXT NOT NULL DEFAULT '',
  text TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (conversation_id, seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX conversation_event_last ON conversation_event (turn_id)
WHERE kind IN ('error', 'complete');
CREATE UNIQUE INDEX conversation_event_source ON conversation_event (turn_id, source)
WHERE source IS NOT NULL;
CREATE INDEX conversation_event_delta ON conversation_event (turn_id) WHERE kind = 'delta';

-- What an agent remembers of a conversation. The snapshot of a version continues that of the version
-- before, so there is one line of them. turn_id is empty for a reset. Only the newest has its text.
CREATE TABLE conversation_snapshot (
  conversation_id TEXT NOT NULL REFERENCES conversation (id) ON DELETE CASCADE,
  version INTEGER NOT NULL CHECK (version > 0),
  turn_id TEXT NOT NULL,
  bytes INTEGER NOT NULL,
  digest TEXT NOT NULL,
  text TEXT,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (conversation_id, version)
) STRICT, WITHOUT ROWID;

-- A writer with foreign keys off leaves no orphan.
CREATE TRIGGER agent_deletes_children BEFORE DELETE ON agent
BEGIN
  DELETE FROM agent_member WHERE org_id = OLD.org_id AND agent_id = OLD.id;
END;
CREATE TRIGGER conversation_deletes_children BEFORE DELETE ON conversation
BEGIN
  DELETE FROM conversation_event WHERE conversation_id = OLD.id;
  DELETE FROM conversation_snapshot WHERE conversation_id = OLD.id;
END;
CREATE TRIGGER turn_deletes_children BEFORE DELETE ON turn
BEGIN
  DELETE FROM turn_input WHERE turn_id = OLD.id;
  DELETE FROM turn_clock WHERE turn_id = OLD.id;
  DELETE FROM turn_refused_completion WHERE turn_id = OLD.id;
END;

-- == Pull requests ================================================================================
-- node_id and the ids of threads, reviews and comments are node ids of the provider. No key
-- contains a NUL character, at which SQL functions stop. Closed enums include 'unknown', which
-- stands for a value that this program does not know.

-- Tracked pull requests. id is host/owner/repo#number at the first observation and never changes; a
-- rename or transfer changes host, repo, number and url. The *_state columns say how complete the
-- stored set of each facet is.
CREATE TABLE pr (
  id TEXT NOT NULL PRIMARY KEY,
  node_id TEXT NOT NULL DEFAULT '',
  session_id TEXT NOT NULL REFERENCES session (id) ON DELETE RESTRICT,
  project_id TEXT NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
  host TEXT NOT NULL,
  repo TEXT NOT NULL,
  number INTEGER NOT NULL CHECK (number > 0),
  url TEXT NOT NULL,
  title TEXT NOT NULL DEFAULT '',
  author TEXT NOT NULL DEFAULT '',
  is_author_bot INTEGER NOT NULL DEFAULT 0 CHECK (is_author_bot IN (0, 1)),
  state TEXT NOT NULL DEFAULT 'unknown'
    CHECK (state IN ('draft', 'open', 'merged', 'closed', 'unknown')),
  head_ref TEXT NOT NULL DEFAULT '',
  head_repo TEXT NOT NULL DEFAULT '',
  head_sha TEXT NOT NULL DEFAULT '',
  base_ref TEXT NOT NULL DEFAULT '',
  base_sha TEXT NOT NULL DEFAULT '',
  is_cross_repo INTEGER NOT NULL DEFAULT 0 CHECK (is_cross_repo IN (0, 1)),
  additions INTEGER,
  deletions INTEGER,
  changed_files INTEGER,
  ci TEXT NOT NULL DEFAULT 'unknown' CHECK (ci IN ('passing', 'failing', 'pending', 'unknown')),
  review_decision TEXT NOT NULL DEFAULT 'unknown'
    CHECK (review_decision IN ('none', 'approved', 'changes_requested', 'review_required', 'unknown')),
  provider_mergeable TEXT NOT NULL DEFAULT 'unknown'
    CHECK (provider_mergeable IN ('mergeable', 'conflicting', 'unknown')),
  is_mergeable_stale INTEGER NOT NULL DEFAULT 0 CHECK (is_mergeable_stale IN (0, 1)),
  provider_merge_state TEXT NOT NULL DEFAULT '',
  mergeability TEXT NOT NULL DEFAULT 'unknown'
    CHECK (mergeability IN
      ('mergeable', 'conflicting', 'blocked', 'unstable', 'queued', 'ended', 'unknown')),
  is_in_merge_queue INTEGER NOT NULL DEFAULT 0 CHECK (is_in_merge_queue IN (0, 1)),
  is_auto_merge INTEGER NOT NULL DEFAULT 0 CHECK (is_auto_merge IN (0, 1)),
  merge_commit_sha TEXT NOT NULL DEFAULT '',
  checks_state TEXT NOT NULL DEFAULT 'unknown'
    CHECK (checks_state IN ('unknown', 'complete', 'partial', 'failed')),
  threads_state TEXT NOT NULL DEFAULT 'unknown'
    CHECK (threads_state IN ('unknown', 'complete', 'partial', 'failed')),
  reviews_state TEXT NOT NULL DEFAULT 'unknown'
    CHECK (reviews_state IN ('unknown', 'complete', 'partial', 'failed')),
  comments_state TEXT NOT NULL DEFAULT 'unknown'
    CHECK (comments_state IN ('unknown', 'complete', 'partial', 'failed')),
  provider_created_at INTEGER,
  merged_at INTEGER,
  closed_at INTEGER,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX pr_location ON pr (number, repo COLLATE NOCASE, host COLLATE NOCASE);
CREATE UNIQUE INDEX pr_node ON pr (node_id) WHERE node_id <> '';
CREATE INDEX pr_session ON pr (session_id, id);
CREATE INDEX pr_project ON pr (project_id, id);
CREATE INDEX pr_head ON pr (head_sha) WHERE head_sha <> '';

-- Check runs, commit statuses, suites and workflows. suite is the provider's id of the suite that a run
-- belongs to. Runs of one name are told apart by external_id, which of a status is only a value.
-- is_required is NULL where it is not known.
CREATE TABLE pr_check (
  pr_id TEXT NOT NULL REFERENCES pr (id) ON DELETE CASCADE,
  head_sha TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('run', 'status', 'suite', 'workflow', 'unknown')),
  app TEXT NOT NULL,
  workflow TEXT NOT NULL,
  event TEXT NOT NULL,
  name TEXT NOT NULL,
  suite TEXT NOT NULL,
  external_id TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN
    ('queued', 'in_progress', 'passed', 'failed', 'cancelled', 'skipped', 'unknown')),
  conclusion TEXT NOT NULL,
  is_required INTEGER CHECK (is_required IN (0, 1)),
  url TEXT NOT NULL,
  started_at INTEGER,
  completed_at INTEGER,
  PRIMARY KEY (pr_id, head_sha, kind, app, workflow, event, name, suite, external_id),
  CHECK (instr(head_sha || app || workflow || event || name || suite || external_id, char(0)) = 0)
) STRICT, WITHOUT ROWID;

-- Review threads. comments_total is the provider's count, of which fewer may be stored.
CREATE TABLE pr_review_thread (
  pr_id TEXT NOT NULL REFERENCES pr (id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  path TEXT NOT NULL,
  line INTEGER,
  original_line INTEGER,
  side TEXT NOT NULL,
  is_resolved INTEGER NOT NULL CHECK (is_resolved IN (0, 1)),
  is_outdated INTEGER NOT NULL CHECK (is_outdated IN (0, 1)),
  is_bot INTEGER NOT NULL CHECK (is_bot IN (0, 1)),
  resolved_by TEXT NOT NULL,
  comments_total INTEGER,
  PRIMARY KEY (pr_id, id),
  CHECK (instr(id, char(0)) = 0)
) STRICT, WITHOUT ROWID;

-- Reviews.
CREATE TABLE pr_review (
  pr_id TEXT NOT NULL REFERENCES pr (id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  author TEXT NOT NULL,
  is_bot INTEGER NOT NULL CHECK (is_bot IN (0, 1)),
  state TEXT NOT NULL CHECK (state IN
    ('approved', 'changes_requested', 'commented', 'dismissed', 'pending', 'unknown')),
  body TEXT NOT NULL,
  commit_sha TEXT NOT NULL,
  url TEXT NOT NULL,
  submitted_at INTEGER,
  PRIMARY KEY (pr_id, id),
  CHECK (instr(id, char(0)) = 0)
) STRICT, WITHOUT ROWID;

-- Comments, on a review thread or on the pull request. created_at and edited_at are the provider's
-- times.
CREATE TABLE pr_comment (
  pr_id TEXT NOT NULL REFERENCES pr (id) ON DELETE CASCADE,
  id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('review', 'issue', 'unknown')),
  thread_id TEXT NOT NULL,
  reply_to TEXT NOT NULL,
  author TEXT NOT NULL,
  is_bot INTEGER NOT NULL CHECK (is_bot IN (0, 1)),
  path TEXT NOT NULL,
  line INTEGER,
  body TEXT NOT NULL,
  url TEXT NOT NULL,
  is_minimized INTEGER NOT NULL CHECK (is_minimized IN (0, 1)),
  created_at INTEGER,
  edited_at INTEGER,
  PRIMARY KEY (pr_id, id),
  CHECK (instr(id, char(0)) = 0)
) STRICT, WITHOUT ROWID;

-- The last lines of the log of a failed check. Not captured, because raw logs never enter the
-- change log.
CREATE TABLE pr_check_log (
  pr_id TEXT NOT NULL REFERENCES pr (id) ON DELETE CASCADE,
  external_id TEXT NOT NULL,
  tail TEXT NOT NULL,
  PRIMARY KEY (pr_id, external_id)
) STRICT, WITHOUT ROWID;

-- What was last observed of each pull request; not captured. *_as_of is when the complete set of a
-- facet was requested, meta_provider_at the provider's own time of the metadata. *_digest is the
-- digest of the observed set (NULL: unknown); last_* describe the last observation as a whole.
-- Digests are valid while foreign_writes equals that of change_context. seed makes them
-- unpredictable to the authors of the hashed texts.
CREATE TABLE pr_observed (
  pr_id TEXT NOT NULL PRIMARY KEY REFERENCES pr (id) ON DELETE CASCADE,
  seed INTEGER NOT NULL DEFAULT (random()),
  foreign_writes INTEGER NOT NULL DEFAULT -1,
  last_as_of INTEGER,
  last_digest BLOB,
  meta_as_of INTEGER,
  meta_provider_at INTEGER,
  checks_as_of INTEGER,
  checks_digest BLOB,
  threads_as_of INTEGER,
  threads_digest BLOB,
  reviews_as_of INTEGER,
  reviews_digest BLOB,
  comments_as_of INTEGER,
  comments_digest BLOB
) STRICT, WITHOUT ROWID;

-- The age of single items that a partial observation (mode merge) changed last; not captured. It
-- lets webhook deliveries that arrive out of order end in the newest fact. A row outlives its item,
-- so that a late "created" after "deleted" is recognised. A complete observation deletes it.
CREATE TABLE pr_item_as_of (
  pr_id TEXT NOT NULL REFERENCES pr (id) ON DELETE CASCADE,
  facet TEXT NOT NULL,
  item TEXT NOT NULL,
  as_of INTEGER NOT NULL,
  PRIMARY KEY (pr_id, facet, item)
) STRICT, WITHOUT ROWID;

-- A writer with foreign keys off leaves no orphan. The capture triggers do the same for the captured
-- children, which they log before their parent.
CREATE TRIGGER pr_deletes_children BEFORE DELETE ON pr
BEGIN
  DELETE FROM pr_check_log WHERE pr_id = OLD.id;
  DELETE FROM pr_observed WHERE pr_id = OLD.id;
  DELETE FROM pr_item_as_of WHERE pr_id = OLD.id;
  DELETE FROM pr_poll WHERE pr_id = OLD.id;
END;
-- The same, with the captured children, for a pull request that such a writer displaced by OR REPLACE.
CREATE TRIGGER pr_displaced_deletes_children BEFORE DELETE ON capture_displaced
WHEN OLD.entity = 'pr' AND NOT EXISTS (SELECT 1 FROM pr WHERE id = json_extract(OLD.key, '$[0]'))
BEGIN
  DELETE FROM pr_comment WHERE pr_id = json_extract(OLD.key, '$[0]');
  DELETE FROM pr_review WHERE pr_id = json_extract(OLD.key, '$[0]');
  DELETE FROM pr_review_thread WHERE pr_id = json_extract(OLD.key, '$[0]');
  DELETE FROM pr_check WHERE pr_id = json_extract(OLD.key, '$[0]');
  DELETE FROM pr_check_log WHERE pr_id = json_extract(OLD.key, '$[0]');
  DELETE FROM pr_observed WHERE pr_id = json_extract(OLD.key, '$[0]');
  DELETE FROM pr_item_as_of WHERE pr_id = json_extract(OLD.key, '$[0]');
  DELETE FROM pr_poll WHERE pr_id = json_extract(OLD.key, '$[0]');
END;

-- == Bookkeeping of observers of SCM hosts ========================================================
-- It survives a restart, so that no rate limit is forgotten. None of it is a fact about a session:
-- nothing here is captured.

-- Hosts. credential is the state of the credential in use since the time since; source names where
-- it was found, never its value. quota, remaining and reset_at are the last reported rate limit
-- (NULL: the host reports none). No request is made before blocked_until, for the given reason.
-- address is the URL that is asked, failure why the last query got no answer (empty: it got one).
-- fresh_at is the time since which every repository of the host has been listed and every tracked
-- pull request polled. interval_ms is the poll interval of its last observer, from which it follows
-- when facts are stale. memory is JSON that only the observer reads.
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
  address TEXT NOT NULL DEFAULT '',
  failure TEXT NOT NULL DEFAULT '',
  fresh_at INTEGER,
  interval_ms INTEGER CHECK (interval_ms > 0),
  memory TEXT NOT NULL DEFAULT '{}',
  updated_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Repositories. repo is owner/name as first requested, name the current one. access is partial where
-- some of its open pull requests could not be listed. Open pull requests were listed at listed_at,
-- back to those created at watermark.
CREATE TABLE scm_repo (
  host TEXT NOT NULL COLLATE NOCASE,
  repo TEXT NOT NULL COLLATE NOCASE,
  name TEXT NOT NULL DEFAULT '',
  node_id TEXT NOT NULL DEFAULT '',
  access TEXT NOT NULL DEFAULT 'unknown'
    CHECK (access IN ('unknown', 'ok', 'partial', 'forbidden', 'missing')),
  access_since INTEGER,
  watermark INTEGER,
  listed_at INTEGER,
  PRIMARY KEY (host, repo)
) STRICT, WITHOUT ROWID;

-- Polled pull requests. attribution says why it belongs to its session. A fingerprint identifies
-- the facts that were last read completely; while it is equal, nothing is read again. full_read_at
-- is when everything was last read regardless of fingerprints, confirmed_at when a merged or closed
-- pull request was read once more. failures counts consecutive failed polls, which lead to problem.
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
    CHECK (problem IN
      ('', 'missing', 'unreachable', 'forbidden', 'invalid', 'failed', 'incomplete')),
  problem_since INTEGER
) STRICT, WITHOUT ROWID;

-- Open pull requests that are not tracked although they are on the branch of a session, and why: at
-- most 100 of each repository.
CREATE TABLE scm_skipped_pr (
  host TEXT NOT NULL COLLATE NOCASE,
  repo TEXT NOT NULL COLLATE NOCASE,
  number INTEGER NOT NULL CHECK (number > 0),
  since INTEGER NOT NULL,
  session_id TEXT NOT NULL,
  head_ref TEXT NOT NULL,
  author TEXT NOT NULL,
  reason TEXT NOT NULL CHECK (reason <> ''),
  PRIMARY KEY (host, repo, number)
) STRICT, WITHOUT ROWID;
CREATE INDEX scm_skipped_pr_session ON scm_skipped_pr (session_id);

-- Requests to observe a pull request now; number 0 means the whole repository.
CREATE TABLE scm_refresh_request (
  host TEXT NOT NULL COLLATE NOCASE,
  repo TEXT NOT NULL COLLATE NOCASE,
  number INTEGER NOT NULL CHECK (number >= 0),
  at INTEGER NOT NULL,
  PRIMARY KEY (host, repo, number)
) STRICT, WITHOUT ROWID;

-- The ids of recorded webhook deliveries, by which a repeated one is recognised. The rowid gives
-- their order.
CREATE TABLE webhook_delivery (
  id TEXT NOT NULL PRIMARY KEY,
  at INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_delivery_at ON webhook_delivery (at);
