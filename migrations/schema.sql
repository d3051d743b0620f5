CREATE TABLE account_limit (
  account TEXT NOT NULL PRIMARY KEY,
  session_id TEXT NOT NULL,
  message TEXT NOT NULL,
  reported_at INTEGER NOT NULL,
  ends_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE agent (
  org_id TEXT NOT NULL REFERENCES org (id) ON DELETE RESTRICT,
  id TEXT NOT NULL CHECK (id <> ''),
  account TEXT NOT NULL DEFAULT '',
  session_id TEXT REFERENCES session (id) ON DELETE RESTRICT,
  created_at INTEGER NOT NULL,
  PRIMARY KEY (org_id, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE agent_member (
  org_id TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  platform TEXT NOT NULL CHECK (platform <> ''),
  user_id TEXT NOT NULL CHECK (user_id <> ''),
  PRIMARY KEY (org_id, agent_id, platform, user_id),
  FOREIGN KEY (org_id, agent_id) REFERENCES agent (org_id, id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE capture_displaced (
  entity TEXT NOT NULL,
  key TEXT NOT NULL,
  project TEXT,
  session TEXT,
  image TEXT NOT NULL,
  PRIMARY KEY (entity, key)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE clock_reading (
  seq INTEGER NOT NULL PRIMARY KEY,
  at INTEGER NOT NULL,
  boot INTEGER,
  boot_ms INTEGER,
  CHECK ((boot IS NULL) = (boot_ms IS NULL))
) STRICT;

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

CREATE TABLE delivery_text (
  delivery_id TEXT NOT NULL PRIMARY KEY REFERENCES delivery (id) ON DELETE CASCADE,
  text TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE instance (
  id TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
  owner TEXT NOT NULL,
  boot_id TEXT NOT NULL,
  command TEXT NOT NULL,
  started_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

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

CREATE TABLE launch_output (
  launch_id TEXT NOT NULL PRIMARY KEY REFERENCES launch (id) ON DELETE CASCADE,
  tail TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE log_base (
  entity TEXT NOT NULL PRIMARY KEY,
  digest BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE log_meta (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  log_id TEXT NOT NULL,
  epoch INTEGER NOT NULL CHECK (epoch > 0),
  floor INTEGER NOT NULL CHECK (floor >= 0),
  format INTEGER NOT NULL,
  relaxed_boot TEXT NOT NULL DEFAULT '',
  pruned_bytes INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE TABLE log_seal (
  block INTEGER NOT NULL PRIMARY KEY,
  digest BLOB NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;

CREATE TABLE org (
  id TEXT NOT NULL PRIMARY KEY CHECK (id <> ''),
  provisioned_at INTEGER,
  created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

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

CREATE TABLE pr_check_log (
  pr_id TEXT NOT NULL REFERENCES pr (id) ON DELETE CASCADE,
  external_id TEXT NOT NULL,
  tail TEXT NOT NULL,
  PRIMARY KEY (pr_id, external_id)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE pr_item_as_of (
  pr_id TEXT NOT NULL REFERENCES pr (id) ON DELETE CASCADE,
  facet TEXT NOT NULL,
  item TEXT NOT NULL,
  as_of INTEGER NOT NULL,
  PRIMARY KEY (pr_id, facet, item)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE reservation (
  id INTEGER NOT NULL PRIMARY KEY,
  seq INTEGER NOT NULL,
  holder TEXT NOT NULL,
  until INTEGER NOT NULL
) STRICT;

CREATE TABLE retention (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  keep_ms INTEGER CHECK (keep_ms >= 0),
  keep_events INTEGER CHECK (keep_events >= 0),
  max_bytes INTEGER CHECK (max_bytes >= 0)
) STRICT;

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

CREATE TABLE scm_refresh_request (
  host TEXT NOT NULL COLLATE NOCASE,
  repo TEXT NOT NULL COLLATE NOCASE,
  number INTEGER NOT NULL CHECK (number >= 0),
  at INTEGER NOT NULL,
  PRIMARY KEY (host, repo, number)
) STRICT, WITHOUT ROWID;

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

CREATE TABLE session_cleanup (
  session_id TEXT NOT NULL PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
  worktree TEXT NOT NULL CHECK (worktree IN ('kept', 'removed')),
  worktree_reason TEXT NOT NULL,
  branch TEXT NOT NULL CHECK (branch IN ('kept', 'deleted')),
  branch_reason TEXT NOT NULL,
  preserved_ref TEXT NOT NULL DEFAULT '',
  at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session_counter (
  project_id TEXT NOT NULL PRIMARY KEY,
  last_num INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session_machine (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  machine_id TEXT NOT NULL,
  epoch INTEGER NOT NULL
) STRICT;

CREATE TABLE session_operation (
  session_id TEXT NOT NULL PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
  verb TEXT NOT NULL
    CHECK (verb IN ('spawn', 'kill', 'restore', 'relaunch', 'replace', 'cleanup', 'answer', 'reconcile')),
  instance TEXT NOT NULL,
  created_at_commit TEXT NOT NULL DEFAULT '',
  replaces TEXT NOT NULL DEFAULT '',
  started_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session_start (
  session_id TEXT NOT NULL PRIMARY KEY REFERENCES session (id) ON DELETE CASCADE,
  prompt TEXT NOT NULL,
  argv TEXT NOT NULL CHECK (json_valid(argv)),
  is_reported INTEGER NOT NULL DEFAULT 1 CHECK (is_reported IN (0, 1))
) STRICT, WITHOUT ROWID;

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

CREATE TABLE turn_input (
  turn_id TEXT NOT NULL PRIMARY KEY REFERENCES turn (id) ON DELETE CASCADE,
  text TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE turn_refused_completion (
  turn_id TEXT NOT NULL REFERENCES turn (id) ON DELETE CASCADE,
  digest TEXT NOT NULL,
  text TEXT NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (turn_id, digest)
) STRICT, WITHOUT ROWID;

CREATE TABLE upkeep (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  backup_at INTEGER,
  backup_seq INTEGER
) STRICT;

CREATE TABLE webhook_delivery (
  id TEXT NOT NULL PRIMARY KEY,
  at INTEGER NOT NULL
) STRICT;

CREATE INDEX agent_session ON agent (session_id) WHERE session_id IS NOT NULL;

CREATE INDEX conversation_event_delta ON conversation_event (turn_id) WHERE kind = 'delta';

CREATE UNIQUE INDEX conversation_event_last ON conversation_event (turn_id)
WHERE kind IN ('error', 'complete');

CREATE UNIQUE INDEX conversation_event_source ON conversation_event (turn_id, source)
WHERE source IS NOT NULL;

CREATE UNIQUE INDEX decision_open ON decision (session_id) WHERE resolved_at IS NULL;

CREATE INDEX delivery_open ON delivery (session_id)
WHERE stage IN ('accepted', 'writing', 'written', 'submitted', 'started');

CREATE INDEX delivery_session ON delivery (session_id, id);

CREATE UNIQUE INDEX delivery_writing ON delivery (session_id) WHERE stage = 'writing';

CREATE INDEX pr_head ON pr (head_sha) WHERE head_sha <> '';

CREATE UNIQUE INDEX pr_location ON pr (number, repo COLLATE NOCASE, host COLLATE NOCASE);

CREATE UNIQUE INDEX pr_node ON pr (node_id) WHERE node_id <> '';

CREATE INDEX pr_project ON pr (project_id, id);

CREATE INDEX pr_session ON pr (session_id, id);

CREATE UNIQUE INDEX project_active_path ON project (path) WHERE archived_at IS NULL;

CREATE INDEX project_repo ON project (repo COLLATE NOCASE, host COLLATE NOCASE);

CREATE INDEX scm_skipped_pr_session ON scm_skipped_pr (session_id);

CREATE UNIQUE INDEX session_active_orchestrator ON session (project_id)
WHERE kind = 'orchestrator' AND is_terminated = 0;

CREATE INDEX session_branch ON session (project_id, branch) WHERE branch <> '';

CREATE INDEX session_live ON session (project_id, num) WHERE is_terminated = 0;

CREATE INDEX turn_clock_deadline ON turn_clock (boot, deadline_ms) WHERE boot IS NOT NULL;

CREATE INDEX turn_clock_ready ON turn_clock (org_id, agent_id, ready_at)
WHERE ready_at IS NOT NULL;

CREATE INDEX turn_open ON turn (conversation_id, num) WHERE ended_at IS NULL;

CREATE UNIQUE INDEX turn_running ON turn (conversation_id) WHERE state = 'running';

CREATE INDEX webhook_delivery_at ON webhook_delivery (at);

CREATE VIEW capture_conversation AS
SELECT t.agent_id, t.id, t.org_id, t.platform, t.thread, t.user_id,
  json_array(t.id) AS change_key,
  NULL AS change_project,
  NULL AS change_session,
  json_object('id', t.id, 'org_id', t.org_id, 'agent_id', t.agent_id, 'platform', t.platform, 'user_id', t.user_id, 'thread', t.thread, 'created_at', t.created_at, 'last_num', t.last_num, 'head_seq', t.head_seq, 'head_version', t.head_version) AS image
FROM conversation t;

CREATE VIEW capture_decision AS
SELECT t.id, t.resolved_at, t.session_id,
  json_array(t.id) AS change_key,
  t.project_id AS change_project,
  t.session_id AS change_session,
  json_object('id', t.id, 'session_id', t.session_id, 'project_id', t.project_id, 'launch_id', t.launch_id, 'kind', t.kind, 'tool', t.tool, 'call', t.call, 'text', t.text, 'options', t.options, 'source', t.source, 'requested_at', t.requested_at, 'resolved_at', t.resolved_at, 'resolution', t.resolution, 'answer', t.answer, 'hook_ends_at', t.hook_ends_at) AS image
FROM decision t;

CREATE VIEW capture_delivery AS
SELECT t.id, t.key, t.session_id, t.stage,
  json_array(t.id) AS change_key,
  t.project_id AS change_project,
  t.session_id AS change_session,
  json_object('id', t.id, 'session_id', t.session_id, 'project_id', t.project_id, 'kind', t.kind, 'key', t.key, 'sender', t.sender, 'last_stage', t.last_stage, 'cursor', t.cursor, 'bytes', t.bytes, 'digest', t.digest, 'stage', t.stage, 'reason', t.reason, 'runner', t.runner, 'launch_id', t.launch_id, 'accepted_at', t.accepted_at, 'written_at', t.written_at, 'submitted_at', t.submitted_at, 'started_at', t.started_at, 'finished_at', t.finished_at) AS image
FROM delivery t;

CREATE VIEW capture_launch AS
SELECT t.id, t.num, t.session_id,
  json_array(t.id) AS change_key,
  t.project_id AS change_project,
  t.session_id AS change_session,
  json_object('id', t.id, 'session_id', t.session_id, 'project_id', t.project_id, 'num', t.num, 'kind', t.kind, 'instance', t.instance, 'boot_id', t.boot_id, 'native_id', t.native_id, 'prompt_stage', t.prompt_stage, 'supervisor', t.supervisor, 'agent_pid', t.agent_pid, 'created_at', t.created_at, 'started_at', t.started_at, 'ended_at', t.ended_at, 'exit_status', t.exit_status, 'signal', t.signal, 'cause', t.cause) AS image
FROM launch t;

CREATE VIEW capture_pr AS
SELECT t.host, t.id, t.node_id, t.number, t.repo,
  json_array(t.id) AS change_key,
  t.project_id AS change_project,
  t.session_id AS change_session,
  json_object('id', t.id, 'node_id', t.node_id, 'session_id', t.session_id, 'project_id', t.project_id, 'host', t.host, 'repo', t.repo, 'number', t.number, 'url', t.url, 'title', t.title, 'author', t.author, 'is_author_bot', iif(t.is_author_bot, json('true'), json('false')), 'state', t.state, 'head_ref', t.head_ref, 'head_repo', t.head_repo, 'head_sha', t.head_sha, 'base_ref', t.base_ref, 'base_sha', t.base_sha, 'is_cross_repo', iif(t.is_cross_repo, json('true'), json('false')), 'additions', t.additions, 'deletions', t.deletions, 'changed_files', t.changed_files, 'ci', t.ci, 'review_decision', t.review_decision, 'provider_mergeable', t.provider_mergeable, 'is_mergeable_stale', iif(t.is_mergeable_stale, json('true'), json('false')), 'provider_merge_state', t.provider_merge_state, 'mergeability', t.mergeability, 'is_in_merge_queue', iif(t.is_in_merge_queue, json('true'), json('false')), 'is_auto_merge', iif(t.is_auto_merge, json('true'), json('false')), 'merge_commit_sha', t.merge_commit_sha, 'checks_state', t.checks_state, 'threads_state', t.threads_state, 'reviews_state', t.reviews_state, 'comments_state', t.comments_state, 'provider_created_at', t.provider_created_at, 'merged_at', t.merged_at, 'closed_at', t.closed_at, 'created_at', t.created_at, 'updated_at', t.updated_at) AS image
FROM pr t;

CREATE VIEW capture_pr_check AS
SELECT t.app, t.event, t.external_id, t.head_sha, t.kind, t.name, t.pr_id, t.suite, t.workflow,
  json_array(t.pr_id, t.head_sha, t.kind, t.app, t.workflow, t.event, t.name, t.suite, t.external_id) AS change_key,
  coalesce(p.project_id, (SELECT project FROM capture_displaced WHERE entity = 'pr' AND key = json_array(t.pr_id))) AS change_project,
  coalesce(p.session_id, (SELECT session FROM capture_displaced WHERE entity = 'pr' AND key = json_array(t.pr_id))) AS change_session,
  json_object('pr_id', t.pr_id, 'head_sha', t.head_sha, 'kind', t.kind, 'app', t.app, 'workflow', t.workflow, 'event', t.event, 'name', t.name, 'suite', t.suite, 'external_id', t.external_id, 'status', t.status, 'conclusion', t.conclusion, 'is_required', CASE t.is_required WHEN 1 THEN json('true') WHEN 0 THEN json('false') END, 'url', t.url, 'started_at', t.started_at, 'completed_at', t.completed_at) AS image
FROM pr_check t LEFT JOIN pr p ON p.id = t.pr_id;

CREATE VIEW capture_pr_comment AS
SELECT t.id, t.pr_id,
  json_array(t.pr_id, t.id) AS change_key,
  coalesce(p.project_id, (SELECT project FROM capture_displaced WHERE entity = 'pr' AND key = json_array(t.pr_id))) AS change_project,
  coalesce(p.session_id, (SELECT session FROM capture_displaced WHERE entity = 'pr' AND key = json_array(t.pr_id))) AS change_session,
  json_object('pr_id', t.pr_id, 'id', t.id, 'kind', t.kind, 'thread_id', t.thread_id, 'reply_to', t.reply_to, 'author', t.author, 'is_bot', iif(t.is_bot, json('true'), json('false')), 'path', t.path, 'line', t.line, 'body', t.body, 'url', t.url, 'is_minimized', iif(t.is_minimized, json('true'), json('false')), 'created_at', t.created_at, 'edited_at', t.edited_at) AS image
FROM pr_comment t LEFT JOIN pr p ON p.id = t.pr_id;

CREATE VIEW capture_pr_review AS
SELECT t.id, t.pr_id,
  json_array(t.pr_id, t.id) AS change_key,
  coalesce(p.project_id, (SELECT project FROM capture_displaced WHERE entity = 'pr' AND key = json_array(t.pr_id))) AS change_project,
  coalesce(p.session_id, (SELECT session FROM capture_displaced WHERE entity = 'pr' AND key = json_array(t.pr_id))) AS change_session,
  json_object('pr_id', t.pr_id, 'id', t.id, 'author', t.author, 'is_bot', iif(t.is_bot, json('true'), json('false')), 'state', t.state, 'body', t.body, 'commit_sha', t.commit_sha, 'url', t.url, 'submitted_at', t.submitted_at) AS image
FROM pr_review t LEFT JOIN pr p ON p.id = t.pr_id;

CREATE VIEW capture_pr_review_thread AS
SELECT t.id, t.pr_id,
  json_array(t.pr_id, t.id) AS change_key,
  coalesce(p.project_id, (SELECT project FROM capture_displaced WHERE entity = 'pr' AND key = json_array(t.pr_id))) AS change_project,
  coalesce(p.session_id, (SELECT session FROM capture_displaced WHERE entity = 'pr' AND key = json_array(t.pr_id))) AS change_session,
  printf('{"pr_id":%s,"id":%s,"path":%s,"line":%s,"original_line":%s,"side":%s,"is_resolved":%s,"is_outdated":%s,"is_bot":%s,"resolved_by":%s,"comments_total":%s}', json_quote(t.pr_id), json_quote(t.id), json_quote(t.path), coalesce(t.line, 'null'), coalesce(t.original_line, 'null'), json_quote(t.side), iif(t.is_resolved, 'true', 'false'), iif(t.is_outdated, 'true', 'false'), iif(t.is_bot, 'true', 'false'), json_quote(t.resolved_by), coalesce(t.comments_total, 'null')) AS image
FROM pr_review_thread t LEFT JOIN pr p ON p.id = t.pr_id;

CREATE VIEW capture_project AS
SELECT t.archived_at, t.id, t.path,
  json_array(t.id) AS change_key,
  t.id AS change_project,
  NULL AS change_session,
  json_object('id', t.id, 'path', t.path, 'name', t.name, 'origin_url', t.origin_url, 'host', t.host, 'repo', t.repo, 'default_branch', t.default_branch, 'copy_globs', t.copy_globs, 'setup_command', t.setup_command, 'setup_timeout_ms', t.setup_timeout_ms, 'max_live', t.max_live, 'created_at', t.created_at, 'updated_at', t.updated_at, 'archived_at', t.archived_at) AS image
FROM project t;

CREATE VIEW capture_session AS
SELECT t.id, t.is_terminated, t.kind, t.num, t.project_id,
  json_array(t.id) AS change_key,
  t.project_id AS change_project,
  t.id AS change_session,
  json_object('id', t.id, 'project_id', t.project_id, 'num', t.num, 'kind', t.kind, 'harness', t.harness, 'model', t.model, 'permission', t.permission, 'parent_id', t.parent_id, 'name', t.name, 'issue', t.issue, 'branch', t.branch, 'base_ref', t.base_ref, 'base_commit', t.base_commit, 'worktree_path', t.worktree_path, 'runtime_kind', t.runtime_kind, 'runtime_socket', t.runtime_socket, 'runtime_pane', t.runtime_pane, 'launch_id', t.launch_id, 'spawner', t.spawner, 'prompt_bytes', t.prompt_bytes, 'prompt_digest', t.prompt_digest, 'activity', t.activity, 'activity_source', t.activity_source, 'activity_cause', t.activity_cause, 'activity_call', t.activity_call, 'limit_ends_at', t.limit_ends_at, 'activity_at', t.activity_at, 'activity_revision', t.activity_revision, 'is_terminated', iif(t.is_terminated, json('true'), json('false')), 'terminated_at', t.terminated_at, 'terminated_reason', t.terminated_reason, 'terminated_by', t.terminated_by, 'spawned_at', t.spawned_at, 'created_at', t.created_at, 'updated_at', t.updated_at) AS image
FROM session t;

CREATE VIEW capture_turn AS
SELECT t.conversation_id, t.id, t.key, t.num, t.state,
  json_array(t.id) AS change_key,
  NULL AS change_project,
  NULL AS change_session,
  json_object('id', t.id, 'conversation_id', t.conversation_id, 'org_id', t.org_id, 'agent_id', t.agent_id, 'num', t.num, 'key', t.key, 'input_bytes', t.input_bytes, 'input_digest', t.input_digest, 'accepted_at', t.accepted_at, 'state', t.state, 'reason', t.reason, 'owner', t.owner, 'base_version', t.base_version, 'cancel_requested_at', t.cancel_requested_at, 'reply_bytes', t.reply_bytes, 'reply_digest', t.reply_digest, 'completion_digest', t.completion_digest, 'usage', t.usage, 'started_at', t.started_at, 'ended_at', t.ended_at) AS image
FROM turn t;

CREATE TRIGGER agent_deletes_children BEFORE DELETE ON agent
BEGIN
  DELETE FROM agent_member WHERE org_id = OLD.org_id AND agent_id = OLD.id;
END;

CREATE TRIGGER capture_conversation_delete BEFORE DELETE ON conversation
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  DELETE FROM turn WHERE conversation_id = OLD.id;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'conversation_deleted', 'conversation', 'delete',
    change_key, change_project, change_session, image, NULL
  FROM change_context c, capture_conversation v WHERE v.id = OLD.id;
  DELETE FROM capture_displaced WHERE entity = 'conversation' AND key = json_array(OLD.id);
END;

CREATE TRIGGER capture_conversation_displace_insert BEFORE INSERT ON conversation
WHEN EXISTS (SELECT 1 FROM conversation WHERE id = NEW.id) OR EXISTS (SELECT 1 FROM conversation WHERE org_id = NEW.org_id COLLATE BINARY AND agent_id = NEW.agent_id COLLATE BINARY AND platform = NEW.platform COLLATE BINARY AND user_id = NEW.user_id COLLATE BINARY AND thread = NEW.thread COLLATE BINARY) OR EXISTS (SELECT 1 FROM conversation WHERE id = NEW.id COLLATE BINARY AND org_id = NEW.org_id COLLATE BINARY AND agent_id = NEW.agent_id COLLATE BINARY)
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'conversation';
  INSERT INTO capture_displaced
  SELECT 'conversation', change_key, change_project, change_session, image
  FROM capture_conversation WHERE (id = NEW.id) OR (org_id = NEW.org_id COLLATE BINARY AND agent_id = NEW.agent_id COLLATE BINARY AND platform = NEW.platform COLLATE BINARY AND user_id = NEW.user_id COLLATE BINARY AND thread = NEW.thread COLLATE BINARY) OR (id = NEW.id COLLATE BINARY AND org_id = NEW.org_id COLLATE BINARY AND agent_id = NEW.agent_id COLLATE BINARY);
END;

CREATE TRIGGER capture_conversation_displace_update BEFORE UPDATE OF agent_id, id, org_id, platform, thread, user_id ON conversation
WHEN EXISTS (SELECT 1 FROM conversation WHERE org_id = NEW.org_id COLLATE BINARY AND agent_id = NEW.agent_id COLLATE BINARY AND platform = NEW.platform COLLATE BINARY AND user_id = NEW.user_id COLLATE BINARY AND thread = NEW.thread COLLATE BINARY AND (id IS NOT OLD.id)) OR EXISTS (SELECT 1 FROM conversation WHERE id = NEW.id COLLATE BINARY AND org_id = NEW.org_id COLLATE BINARY AND agent_id = NEW.agent_id COLLATE BINARY AND (id IS NOT OLD.id))
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'conversation';
  INSERT INTO capture_displaced
  SELECT 'conversation', change_key, change_project, change_session, image
  FROM capture_conversation WHERE (org_id = NEW.org_id COLLATE BINARY AND agent_id = NEW.agent_id COLLATE BINARY AND platform = NEW.platform COLLATE BINARY AND user_id = NEW.user_id COLLATE BINARY AND thread = NEW.thread COLLATE BINARY AND (id IS NOT OLD.id)) OR (id = NEW.id COLLATE BINARY AND org_id = NEW.org_id COLLATE BINARY AND agent_id = NEW.agent_id COLLATE BINARY AND (id IS NOT OLD.id));
END;

CREATE TRIGGER capture_conversation_insert AFTER INSERT ON conversation
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'conversation_deleted', 'conversation', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'conversation' AND (key = json_array(NEW.id)
    OR NOT EXISTS (SELECT 1 FROM conversation WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'conversation_created', 'conversation', 'insert',
    change_key, change_project, change_session, NULL, image
  FROM change_context c, capture_conversation v WHERE v.id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'conversation';
END;

CREATE TRIGGER capture_conversation_key BEFORE UPDATE OF id ON conversation
WHEN OLD.id IS NOT NEW.id
BEGIN
  SELECT RAISE(ABORT, 'the key of conversation never changes');
END;

CREATE TRIGGER capture_conversation_update AFTER UPDATE ON conversation
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'conversation_deleted', 'conversation', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'conversation' AND (NOT EXISTS (SELECT 1 FROM conversation WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'conversation_updated', 'conversation', 'update',
    change_key, change_project, change_session, before, image
  FROM change_context c, capture_conversation v, (SELECT json_object('id', OLD.id, 'org_id', OLD.org_id, 'agent_id', OLD.agent_id, 'platform', OLD.platform, 'user_id', OLD.user_id, 'thread', OLD.thread, 'created_at', OLD.created_at, 'last_num', OLD.last_num, 'head_seq', OLD.head_seq, 'head_version', OLD.head_version) AS before)
  WHERE v.id = NEW.id AND before IS NOT image;
  DELETE FROM capture_displaced WHERE entity = 'conversation';
END;

CREATE TRIGGER capture_decision_delete BEFORE DELETE ON decision
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'decision_deleted', 'decision', 'delete',
    change_key, change_project, change_session, image, NULL
  FROM change_context c, capture_decision v WHERE v.id = OLD.id;
  DELETE FROM capture_displaced WHERE entity = 'decision' AND key = json_array(OLD.id);
END;

CREATE TRIGGER capture_decision_displace_insert BEFORE INSERT ON decision
WHEN EXISTS (SELECT 1 FROM decision WHERE id = NEW.id) OR EXISTS (SELECT 1 FROM decision WHERE session_id = NEW.session_id COLLATE BINARY AND resolved_at IS NULL)
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'decision';
  INSERT INTO capture_displaced
  SELECT 'decision', change_key, change_project, change_session, image
  FROM capture_decision WHERE (id = NEW.id) OR (session_id = NEW.session_id COLLATE BINARY AND resolved_at IS NULL);
END;

CREATE TRIGGER capture_decision_displace_update BEFORE UPDATE OF resolved_at, session_id ON decision
WHEN EXISTS (SELECT 1 FROM decision WHERE session_id = NEW.session_id COLLATE BINARY AND resolved_at IS NULL AND (id IS NOT OLD.id))
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'decision';
  INSERT INTO capture_displaced
  SELECT 'decision', change_key, change_project, change_session, image
  FROM capture_decision WHERE (session_id = NEW.session_id COLLATE BINARY AND resolved_at IS NULL AND (id IS NOT OLD.id));
END;

CREATE TRIGGER capture_decision_insert AFTER INSERT ON decision
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'decision_deleted', 'decision', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'decision' AND (key = json_array(NEW.id)
    OR NOT EXISTS (SELECT 1 FROM decision WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'decision_requested', 'decision', 'insert',
    change_key, change_project, change_session, NULL, image
  FROM change_context c, capture_decision v WHERE v.id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'decision';
END;

CREATE TRIGGER capture_decision_key BEFORE UPDATE OF id ON decision
WHEN OLD.id IS NOT NEW.id
BEGIN
  SELECT RAISE(ABORT, 'the key of decision never changes');
END;

CREATE TRIGGER capture_decision_update AFTER UPDATE ON decision
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'decision_deleted', 'decision', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'decision' AND (NOT EXISTS (SELECT 1 FROM decision WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, CASE WHEN OLD.resolved_at IS NULL AND NEW.resolved_at IS NOT NULL THEN 'decision_resolved' ELSE 'decision_updated' END, 'decision', 'update',
    change_key, change_project, change_session, before, image
  FROM change_context c, capture_decision v, (SELECT json_object('id', OLD.id, 'session_id', OLD.session_id, 'project_id', OLD.project_id, 'launch_id', OLD.launch_id, 'kind', OLD.kind, 'tool', OLD.tool, 'call', OLD.call, 'text', OLD.text, 'options', OLD.options, 'source', OLD.source, 'requested_at', OLD.requested_at, 'resolved_at', OLD.resolved_at, 'resolution', OLD.resolution, 'answer', OLD.answer, 'hook_ends_at', OLD.hook_ends_at) AS before)
  WHERE v.id = NEW.id AND before IS NOT image;
  DELETE FROM capture_displaced WHERE entity = 'decision';
END;

CREATE TRIGGER capture_delivery_delete BEFORE DELETE ON delivery
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'delivery_deleted', 'delivery', 'delete',
    change_key, change_project, change_session, image, NULL
  FROM change_context c, capture_delivery v WHERE v.id = OLD.id;
  DELETE FROM capture_displaced WHERE entity = 'delivery' AND key = json_array(OLD.id);
END;

CREATE TRIGGER capture_delivery_displace_insert BEFORE INSERT ON delivery
WHEN EXISTS (SELECT 1 FROM delivery WHERE id = NEW.id) OR EXISTS (SELECT 1 FROM delivery WHERE session_id = NEW.session_id COLLATE BINARY AND stage = 'writing') OR EXISTS (SELECT 1 FROM delivery WHERE session_id = NEW.session_id COLLATE BINARY AND key = NEW.key COLLATE BINARY)
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'delivery';
  INSERT INTO capture_displaced
  SELECT 'delivery', change_key, change_project, change_session, image
  FROM capture_delivery WHERE (id = NEW.id) OR (session_id = NEW.session_id COLLATE BINARY AND stage = 'writing') OR (session_id = NEW.session_id COLLATE BINARY AND key = NEW.key COLLATE BINARY);
END;

CREATE TRIGGER capture_delivery_displace_update BEFORE UPDATE OF key, session_id, stage ON delivery
WHEN EXISTS (SELECT 1 FROM delivery WHERE session_id = NEW.session_id COLLATE BINARY AND stage = 'writing' AND (id IS NOT OLD.id)) OR EXISTS (SELECT 1 FROM delivery WHERE session_id = NEW.session_id COLLATE BINARY AND key = NEW.key COLLATE BINARY AND (id IS NOT OLD.id))
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'delivery';
  INSERT INTO capture_displaced
  SELECT 'delivery', change_key, change_project, change_session, image
  FROM capture_delivery WHERE (session_id = NEW.session_id COLLATE BINARY AND stage = 'writing' AND (id IS NOT OLD.id)) OR (session_id = NEW.session_id COLLATE BINARY AND key = NEW.key COLLATE BINARY AND (id IS NOT OLD.id));
END;

CREATE TRIGGER capture_delivery_insert AFTER INSERT ON delivery
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'delivery_deleted', 'delivery', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'delivery' AND (key = json_array(NEW.id)
    OR NOT EXISTS (SELECT 1 FROM delivery WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'delivery_accepted', 'delivery', 'insert',
    change_key, change_project, change_session, NULL, image
  FROM change_context c, capture_delivery v WHERE v.id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'delivery';
END;

CREATE TRIGGER capture_delivery_key BEFORE UPDATE OF id ON delivery
WHEN OLD.id IS NOT NEW.id
BEGIN
  SELECT RAISE(ABORT, 'the key of delivery never changes');
END;

CREATE TRIGGER capture_delivery_update AFTER UPDATE ON delivery
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'delivery_deleted', 'delivery', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'delivery' AND (NOT EXISTS (SELECT 1 FROM delivery WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, CASE WHEN OLD.stage <> NEW.stage THEN 'delivery_' || NEW.stage ELSE 'delivery_updated' END, 'delivery', 'update',
    change_key, change_project, change_session, before, image
  FROM change_context c, capture_delivery v, (SELECT json_object('id', OLD.id, 'session_id', OLD.session_id, 'project_id', OLD.project_id, 'kind', OLD.kind, 'key', OLD.key, 'sender', OLD.sender, 'last_stage', OLD.last_stage, 'cursor', OLD.cursor, 'bytes', OLD.bytes, 'digest', OLD.digest, 'stage', OLD.stage, 'reason', OLD.reason, 'runner', OLD.runner, 'launch_id', OLD.launch_id, 'accepted_at', OLD.accepted_at, 'written_at', OLD.written_at, 'submitted_at', OLD.submitted_at, 'started_at', OLD.started_at, 'finished_at', OLD.finished_at) AS before)
  WHERE v.id = NEW.id AND before IS NOT image;
  DELETE FROM capture_displaced WHERE entity = 'delivery';
END;

CREATE TRIGGER capture_launch_delete BEFORE DELETE ON launch
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'launch_deleted', 'launch', 'delete',
    change_key, change_project, change_session, image, NULL
  FROM change_context c, capture_launch v WHERE v.id = OLD.id;
  DELETE FROM capture_displaced WHERE entity = 'launch' AND key = json_array(OLD.id);
END;

CREATE TRIGGER capture_launch_displace_insert BEFORE INSERT ON launch
WHEN EXISTS (SELECT 1 FROM launch WHERE id = NEW.id) OR EXISTS (SELECT 1 FROM launch WHERE session_id = NEW.session_id COLLATE BINARY AND num = NEW.num COLLATE BINARY)
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'launch';
  INSERT INTO capture_displaced
  SELECT 'launch', change_key, change_project, change_session, image
  FROM capture_launch WHERE (id = NEW.id) OR (session_id = NEW.session_id COLLATE BINARY AND num = NEW.num COLLATE BINARY);
END;

CREATE TRIGGER capture_launch_displace_update BEFORE UPDATE OF num, session_id ON launch
WHEN EXISTS (SELECT 1 FROM launch WHERE session_id = NEW.session_id COLLATE BINARY AND num = NEW.num COLLATE BINARY AND (id IS NOT OLD.id))
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'launch';
  INSERT INTO capture_displaced
  SELECT 'launch', change_key, change_project, change_session, image
  FROM capture_launch WHERE (session_id = NEW.session_id COLLATE BINARY AND num = NEW.num COLLATE BINARY AND (id IS NOT OLD.id));
END;

CREATE TRIGGER capture_launch_insert AFTER INSERT ON launch
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'launch_deleted', 'launch', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'launch' AND (key = json_array(NEW.id)
    OR NOT EXISTS (SELECT 1 FROM launch WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'launch_created', 'launch', 'insert',
    change_key, change_project, change_session, NULL, image
  FROM change_context c, capture_launch v WHERE v.id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'launch';
END;

CREATE TRIGGER capture_launch_key BEFORE UPDATE OF id ON launch
WHEN OLD.id IS NOT NEW.id
BEGIN
  SELECT RAISE(ABORT, 'the key of launch never changes');
END;

CREATE TRIGGER capture_launch_update AFTER UPDATE ON launch
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'launch_deleted', 'launch', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'launch' AND (NOT EXISTS (SELECT 1 FROM launch WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, CASE WHEN OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL THEN 'launch_ended' WHEN OLD.started_at IS NULL AND NEW.started_at IS NOT NULL THEN 'launch_started' ELSE 'launch_updated' END, 'launch', 'update',
    change_key, change_project, change_session, before, image
  FROM change_context c, capture_launch v, (SELECT json_object('id', OLD.id, 'session_id', OLD.session_id, 'project_id', OLD.project_id, 'num', OLD.num, 'kind', OLD.kind, 'instance', OLD.instance, 'boot_id', OLD.boot_id, 'native_id', OLD.native_id, 'prompt_stage', OLD.prompt_stage, 'supervisor', OLD.supervisor, 'agent_pid', OLD.agent_pid, 'created_at', OLD.created_at, 'started_at', OLD.started_at, 'ended_at', OLD.ended_at, 'exit_status', OLD.exit_status, 'signal', OLD.signal, 'cause', OLD.cause) AS before)
  WHERE v.id = NEW.id AND before IS NOT image;
  DELETE FROM capture_displaced WHERE entity = 'launch';
END;

CREATE TRIGGER capture_pr_check_delete BEFORE DELETE ON pr_check
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_check_removed', 'pr_check', 'delete',
    change_key, change_project, change_session, image, NULL
  FROM change_context c, capture_pr_check v WHERE v.pr_id = OLD.pr_id AND v.head_sha = OLD.head_sha AND v.kind = OLD.kind AND v.app = OLD.app AND v.workflow = OLD.workflow AND v.event = OLD.event AND v.name = OLD.name AND v.suite = OLD.suite AND v.external_id = OLD.external_id;
  DELETE FROM capture_displaced WHERE entity = 'pr_check' AND key = json_array(OLD.pr_id, OLD.head_sha, OLD.kind, OLD.app, OLD.workflow, OLD.event, OLD.name, OLD.suite, OLD.external_id);
END;

CREATE TRIGGER capture_pr_check_displace_insert BEFORE INSERT ON pr_check
WHEN EXISTS (SELECT 1 FROM pr_check WHERE pr_id = NEW.pr_id AND head_sha = NEW.head_sha AND kind = NEW.kind AND app = NEW.app AND workflow = NEW.workflow AND event = NEW.event AND name = NEW.name AND suite = NEW.suite AND external_id = NEW.external_id)
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'pr_check';
  INSERT INTO capture_displaced
  SELECT 'pr_check', change_key, change_project, change_session, image
  FROM capture_pr_check WHERE (pr_id = NEW.pr_id AND head_sha = NEW.head_sha AND kind = NEW.kind AND app = NEW.app AND workflow = NEW.workflow AND event = NEW.event AND name = NEW.name AND suite = NEW.suite AND external_id = NEW.external_id);
END;

CREATE TRIGGER capture_pr_check_insert AFTER INSERT ON pr_check
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_check_removed', 'pr_check', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'pr_check' AND (key = json_array(NEW.pr_id, NEW.head_sha, NEW.kind, NEW.app, NEW.workflow, NEW.event, NEW.name, NEW.suite, NEW.external_id)
    OR NOT EXISTS (SELECT 1 FROM pr_check WHERE pr_id = json_extract(d.key, '$[0]') AND head_sha = json_extract(d.key, '$[1]') AND kind = json_extract(d.key, '$[2]') AND app = json_extract(d.key, '$[3]') AND workflow = json_extract(d.key, '$[4]') AND event = json_extract(d.key, '$[5]') AND name = json_extract(d.key, '$[6]') AND suite = json_extract(d.key, '$[7]') AND external_id = json_extract(d.key, '$[8]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_check_recorded', 'pr_check', 'insert',
    change_key, change_project, change_session, NULL, image
  FROM change_context c, capture_pr_check v WHERE v.pr_id = NEW.pr_id AND v.head_sha = NEW.head_sha AND v.kind = NEW.kind AND v.app = NEW.app AND v.workflow = NEW.workflow AND v.event = NEW.event AND v.name = NEW.name AND v.suite = NEW.suite AND v.external_id = NEW.external_id;
  DELETE FROM capture_displaced WHERE entity = 'pr_check';
END;

CREATE TRIGGER capture_pr_check_key BEFORE UPDATE OF pr_id, head_sha, kind, app, workflow, event, name, suite, external_id ON pr_check
WHEN OLD.pr_id IS NOT NEW.pr_id OR OLD.head_sha IS NOT NEW.head_sha OR OLD.kind IS NOT NEW.kind OR OLD.app IS NOT NEW.app OR OLD.workflow IS NOT NEW.workflow OR OLD.event IS NOT NEW.event OR OLD.name IS NOT NEW.name OR OLD.suite IS NOT NEW.suite OR OLD.external_id IS NOT NEW.external_id
BEGIN
  SELECT RAISE(ABORT, 'the key of pr_check never changes');
END;

CREATE TRIGGER capture_pr_check_update AFTER UPDATE ON pr_check
WHEN OLD.pr_id IS NOT NEW.pr_id OR OLD.head_sha IS NOT NEW.head_sha OR OLD.kind IS NOT NEW.kind OR OLD.app IS NOT NEW.app OR OLD.workflow IS NOT NEW.workflow OR OLD.event IS NOT NEW.event OR OLD.name IS NOT NEW.name OR OLD.suite IS NOT NEW.suite OR OLD.external_id IS NOT NEW.external_id OR OLD.status IS NOT NEW.status OR OLD.conclusion IS NOT NEW.conclusion OR OLD.is_required IS NOT NEW.is_required OR OLD.url IS NOT NEW.url OR OLD.started_at IS NOT NEW.started_at OR OLD.completed_at IS NOT NEW.completed_at
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_check_recorded', 'pr_check', 'update',
    json_array(NEW.pr_id, NEW.head_sha, NEW.kind, NEW.app, NEW.workflow, NEW.event, NEW.name, NEW.suite, NEW.external_id), p.project_id, p.session_id,
    json_object('pr_id', OLD.pr_id, 'head_sha', OLD.head_sha, 'kind', OLD.kind, 'app', OLD.app, 'workflow', OLD.workflow, 'event', OLD.event, 'name', OLD.name, 'suite', OLD.suite, 'external_id', OLD.external_id, 'status', OLD.status, 'conclusion', OLD.conclusion, 'is_required', CASE OLD.is_required WHEN 1 THEN json('true') WHEN 0 THEN json('false') END, 'url', OLD.url, 'started_at', OLD.started_at, 'completed_at', OLD.completed_at),
    json_object('pr_id', NEW.pr_id, 'head_sha', NEW.head_sha, 'kind', NEW.kind, 'app', NEW.app, 'workflow', NEW.workflow, 'event', NEW.event, 'name', NEW.name, 'suite', NEW.suite, 'external_id', NEW.external_id, 'status', NEW.status, 'conclusion', NEW.conclusion, 'is_required', CASE NEW.is_required WHEN 1 THEN json('true') WHEN 0 THEN json('false') END, 'url', NEW.url, 'started_at', NEW.started_at, 'completed_at', NEW.completed_at)
  FROM change_context c LEFT JOIN pr p ON p.id = NEW.pr_id;
END;

CREATE TRIGGER capture_pr_comment_delete BEFORE DELETE ON pr_comment
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_comment_removed', 'pr_comment', 'delete',
    change_key, change_project, change_session, image, NULL
  FROM change_context c, capture_pr_comment v WHERE v.pr_id = OLD.pr_id AND v.id = OLD.id;
  DELETE FROM capture_displaced WHERE entity = 'pr_comment' AND key = json_array(OLD.pr_id, OLD.id);
END;

CREATE TRIGGER capture_pr_comment_displace_insert BEFORE INSERT ON pr_comment
WHEN EXISTS (SELECT 1 FROM pr_comment WHERE pr_id = NEW.pr_id AND id = NEW.id)
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'pr_comment';
  INSERT INTO capture_displaced
  SELECT 'pr_comment', change_key, change_project, change_session, image
  FROM capture_pr_comment WHERE (pr_id = NEW.pr_id AND id = NEW.id);
END;

CREATE TRIGGER capture_pr_comment_insert AFTER INSERT ON pr_comment
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_comment_removed', 'pr_comment', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'pr_comment' AND (key = json_array(NEW.pr_id, NEW.id)
    OR NOT EXISTS (SELECT 1 FROM pr_comment WHERE pr_id = json_extract(d.key, '$[0]') AND id = json_extract(d.key, '$[1]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_comment_added', 'pr_comment', 'insert',
    change_key, change_project, change_session, NULL, image
  FROM change_context c, capture_pr_comment v WHERE v.pr_id = NEW.pr_id AND v.id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'pr_comment';
END;

CREATE TRIGGER capture_pr_comment_key BEFORE UPDATE OF pr_id, id ON pr_comment
WHEN OLD.pr_id IS NOT NEW.pr_id OR OLD.id IS NOT NEW.id
BEGIN
  SELECT RAISE(ABORT, 'the key of pr_comment never changes');
END;

CREATE TRIGGER capture_pr_comment_update AFTER UPDATE ON pr_comment
WHEN OLD.pr_id IS NOT NEW.pr_id OR OLD.id IS NOT NEW.id OR OLD.kind IS NOT NEW.kind OR OLD.thread_id IS NOT NEW.thread_id OR OLD.reply_to IS NOT NEW.reply_to OR OLD.author IS NOT NEW.author OR OLD.is_bot IS NOT NEW.is_bot OR OLD.path IS NOT NEW.path OR OLD.line IS NOT NEW.line OR OLD.body IS NOT NEW.body OR OLD.url IS NOT NEW.url OR OLD.is_minimized IS NOT NEW.is_minimized OR OLD.created_at IS NOT NEW.created_at OR OLD.edited_at IS NOT NEW.edited_at
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_comment_updated', 'pr_comment', 'update',
    json_array(NEW.pr_id, NEW.id), p.project_id, p.session_id,
    json_object('pr_id', OLD.pr_id, 'id', OLD.id, 'kind', OLD.kind, 'thread_id', OLD.thread_id, 'reply_to', OLD.reply_to, 'author', OLD.author, 'is_bot', iif(OLD.is_bot, json('true'), json('false')), 'path', OLD.path, 'line', OLD.line, 'body', OLD.body, 'url', OLD.url, 'is_minimized', iif(OLD.is_minimized, json('true'), json('false')), 'created_at', OLD.created_at, 'edited_at', OLD.edited_at),
    json_object('pr_id', NEW.pr_id, 'id', NEW.id, 'kind', NEW.kind, 'thread_id', NEW.thread_id, 'reply_to', NEW.reply_to, 'author', NEW.author, 'is_bot', iif(NEW.is_bot, json('true'), json('false')), 'path', NEW.path, 'line', NEW.line, 'body', NEW.body, 'url', NEW.url, 'is_minimized', iif(NEW.is_minimized, json('true'), json('false')), 'created_at', NEW.created_at, 'edited_at', NEW.edited_at)
  FROM change_context c LEFT JOIN pr p ON p.id = NEW.pr_id;
END;

CREATE TRIGGER capture_pr_delete BEFORE DELETE ON pr
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  DELETE FROM pr_comment WHERE pr_id = OLD.id;
  DELETE FROM pr_review WHERE pr_id = OLD.id;
  DELETE FROM pr_review_thread WHERE pr_id = OLD.id;
  DELETE FROM pr_check WHERE pr_id = OLD.id;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_deleted', 'pr', 'delete',
    change_key, change_project, change_session, image, NULL
  FROM change_context c, capture_pr v WHERE v.id = OLD.id;
  DELETE FROM capture_displaced WHERE entity = 'pr' AND key = json_array(OLD.id);
END;

CREATE TRIGGER capture_pr_displace_insert BEFORE INSERT ON pr
WHEN EXISTS (SELECT 1 FROM pr WHERE id = NEW.id) OR EXISTS (SELECT 1 FROM pr WHERE number = NEW.number COLLATE BINARY AND repo = NEW.repo COLLATE NOCASE AND host = NEW.host COLLATE NOCASE) OR EXISTS (SELECT 1 FROM pr WHERE node_id = NEW.node_id COLLATE BINARY AND node_id <> '')
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'pr';
  INSERT INTO capture_displaced
  SELECT 'pr', change_key, change_project, change_session, image
  FROM capture_pr WHERE (id = NEW.id) OR (number = NEW.number COLLATE BINARY AND repo = NEW.repo COLLATE NOCASE AND host = NEW.host COLLATE NOCASE) OR (node_id = NEW.node_id COLLATE BINARY AND node_id <> '');
END;

CREATE TRIGGER capture_pr_displace_update BEFORE UPDATE OF host, node_id, number, repo ON pr
WHEN EXISTS (SELECT 1 FROM pr WHERE number = NEW.number COLLATE BINARY AND repo = NEW.repo COLLATE NOCASE AND host = NEW.host COLLATE NOCASE AND (id IS NOT OLD.id)) OR EXISTS (SELECT 1 FROM pr WHERE node_id = NEW.node_id COLLATE BINARY AND node_id <> '' AND (id IS NOT OLD.id))
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'pr';
  INSERT INTO capture_displaced
  SELECT 'pr', change_key, change_project, change_session, image
  FROM capture_pr WHERE (number = NEW.number COLLATE BINARY AND repo = NEW.repo COLLATE NOCASE AND host = NEW.host COLLATE NOCASE AND (id IS NOT OLD.id)) OR (node_id = NEW.node_id COLLATE BINARY AND node_id <> '' AND (id IS NOT OLD.id));
END;

CREATE TRIGGER capture_pr_insert AFTER INSERT ON pr
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_deleted', 'pr', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'pr' AND (key = json_array(NEW.id)
    OR NOT EXISTS (SELECT 1 FROM pr WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_created', 'pr', 'insert',
    change_key, change_project, change_session, NULL, image
  FROM change_context c, capture_pr v WHERE v.id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'pr';
END;

CREATE TRIGGER capture_pr_key BEFORE UPDATE OF id ON pr
WHEN OLD.id IS NOT NEW.id
BEGIN
  SELECT RAISE(ABORT, 'the key of pr never changes');
END;

CREATE TRIGGER capture_pr_review_delete BEFORE DELETE ON pr_review
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_review_removed', 'pr_review', 'delete',
    change_key, change_project, change_session, image, NULL
  FROM change_context c, capture_pr_review v WHERE v.pr_id = OLD.pr_id AND v.id = OLD.id;
  DELETE FROM capture_displaced WHERE entity = 'pr_review' AND key = json_array(OLD.pr_id, OLD.id);
END;

CREATE TRIGGER capture_pr_review_displace_insert BEFORE INSERT ON pr_review
WHEN EXISTS (SELECT 1 FROM pr_review WHERE pr_id = NEW.pr_id AND id = NEW.id)
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'pr_review';
  INSERT INTO capture_displaced
  SELECT 'pr_review', change_key, change_project, change_session, image
  FROM capture_pr_review WHERE (pr_id = NEW.pr_id AND id = NEW.id);
END;

CREATE TRIGGER capture_pr_review_insert AFTER INSERT ON pr_review
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_review_removed', 'pr_review', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'pr_review' AND (key = json_array(NEW.pr_id, NEW.id)
    OR NOT EXISTS (SELECT 1 FROM pr_review WHERE pr_id = json_extract(d.key, '$[0]') AND id = json_extract(d.key, '$[1]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_review_added', 'pr_review', 'insert',
    change_key, change_project, change_session, NULL, image
  FROM change_context c, capture_pr_review v WHERE v.pr_id = NEW.pr_id AND v.id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'pr_review';
END;

CREATE TRIGGER capture_pr_review_key BEFORE UPDATE OF pr_id, id ON pr_review
WHEN OLD.pr_id IS NOT NEW.pr_id OR OLD.id IS NOT NEW.id
BEGIN
  SELECT RAISE(ABORT, 'the key of pr_review never changes');
END;

CREATE TRIGGER capture_pr_review_thread_delete BEFORE DELETE ON pr_review_thread
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_review_thread_removed', 'pr_review_thread', 'delete',
    change_key, change_project, change_session, image, NULL
  FROM change_context c, capture_pr_review_thread v WHERE v.pr_id = OLD.pr_id AND v.id = OLD.id;
  DELETE FROM capture_displaced WHERE entity = 'pr_review_thread' AND key = json_array(OLD.pr_id, OLD.id);
END;

CREATE TRIGGER capture_pr_review_thread_displace_insert BEFORE INSERT ON pr_review_thread
WHEN EXISTS (SELECT 1 FROM pr_review_thread WHERE pr_id = NEW.pr_id AND id = NEW.id)
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'pr_review_thread';
  INSERT INTO capture_displaced
  SELECT 'pr_review_thread', change_key, change_project, change_session, image
  FROM capture_pr_review_thread WHERE (pr_id = NEW.pr_id AND id = NEW.id);
END;

CREATE TRIGGER capture_pr_review_thread_insert AFTER INSERT ON pr_review_thread
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_review_thread_removed', 'pr_review_thread', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'pr_review_thread' AND (key = json_array(NEW.pr_id, NEW.id)
    OR NOT EXISTS (SELECT 1 FROM pr_review_thread WHERE pr_id = json_extract(d.key, '$[0]') AND id = json_extract(d.key, '$[1]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_review_thread_added', 'pr_review_thread', 'insert',
    change_key, change_project, change_session, NULL, image
  FROM change_context c, capture_pr_review_thread v WHERE v.pr_id = NEW.pr_id AND v.id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'pr_review_thread';
END;

CREATE TRIGGER capture_pr_review_thread_key BEFORE UPDATE OF pr_id, id ON pr_review_thread
WHEN OLD.pr_id IS NOT NEW.pr_id OR OLD.id IS NOT NEW.id
BEGIN
  SELECT RAISE(ABORT, 'the key of pr_review_thread never changes');
END;

CREATE TRIGGER capture_pr_review_thread_update AFTER UPDATE ON pr_review_thread
WHEN OLD.pr_id IS NOT NEW.pr_id OR OLD.id IS NOT NEW.id OR OLD.path IS NOT NEW.path OR OLD.line IS NOT NEW.line OR OLD.original_line IS NOT NEW.original_line OR OLD.side IS NOT NEW.side OR OLD.is_resolved IS NOT NEW.is_resolved OR OLD.is_outdated IS NOT NEW.is_outdated OR OLD.is_bot IS NOT NEW.is_bot OR OLD.resolved_by IS NOT NEW.resolved_by OR OLD.comments_total IS NOT NEW.comments_total
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, CASE WHEN OLD.is_resolved < NEW.is_resolved THEN 'pr_review_thread_resolved' WHEN OLD.is_resolved > NEW.is_resolved THEN 'pr_review_thread_reopened' ELSE 'pr_review_thread_updated' END, 'pr_review_thread', 'update',
    json_array(NEW.pr_id, NEW.id), p.project_id, p.session_id,
    printf('{"pr_id":%s,"id":%s,"path":%s,"line":%s,"original_line":%s,"side":%s,"is_resolved":%s,"is_outdated":%s,"is_bot":%s,"resolved_by":%s,"comments_total":%s}', json_quote(OLD.pr_id), json_quote(OLD.id), json_quote(OLD.path), coalesce(OLD.line, 'null'), coalesce(OLD.original_line, 'null'), json_quote(OLD.side), iif(OLD.is_resolved, 'true', 'false'), iif(OLD.is_outdated, 'true', 'false'), iif(OLD.is_bot, 'true', 'false'), json_quote(OLD.resolved_by), coalesce(OLD.comments_total, 'null')),
    printf('{"pr_id":%s,"id":%s,"path":%s,"line":%s,"original_line":%s,"side":%s,"is_resolved":%s,"is_outdated":%s,"is_bot":%s,"resolved_by":%s,"comments_total":%s}', json_quote(NEW.pr_id), json_quote(NEW.id), json_quote(NEW.path), coalesce(NEW.line, 'null'), coalesce(NEW.original_line, 'null'), json_quote(NEW.side), iif(NEW.is_resolved, 'true', 'false'), iif(NEW.is_outdated, 'true', 'false'), iif(NEW.is_bot, 'true', 'false'), json_quote(NEW.resolved_by), coalesce(NEW.comments_total, 'null'))
  FROM change_context c LEFT JOIN pr p ON p.id = NEW.pr_id;
END;

CREATE TRIGGER capture_pr_review_update AFTER UPDATE ON pr_review
WHEN OLD.pr_id IS NOT NEW.pr_id OR OLD.id IS NOT NEW.id OR OLD.author IS NOT NEW.author OR OLD.is_bot IS NOT NEW.is_bot OR OLD.state IS NOT NEW.state OR OLD.body IS NOT NEW.body OR OLD.commit_sha IS NOT NEW.commit_sha OR OLD.url IS NOT NEW.url OR OLD.submitted_at IS NOT NEW.submitted_at
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_review_updated', 'pr_review', 'update',
    json_array(NEW.pr_id, NEW.id), p.project_id, p.session_id,
    json_object('pr_id', OLD.pr_id, 'id', OLD.id, 'author', OLD.author, 'is_bot', iif(OLD.is_bot, json('true'), json('false')), 'state', OLD.state, 'body', OLD.body, 'commit_sha', OLD.commit_sha, 'url', OLD.url, 'submitted_at', OLD.submitted_at),
    json_object('pr_id', NEW.pr_id, 'id', NEW.id, 'author', NEW.author, 'is_bot', iif(NEW.is_bot, json('true'), json('false')), 'state', NEW.state, 'body', NEW.body, 'commit_sha', NEW.commit_sha, 'url', NEW.url, 'submitted_at', NEW.submitted_at)
  FROM change_context c LEFT JOIN pr p ON p.id = NEW.pr_id;
END;

CREATE TRIGGER capture_pr_update AFTER UPDATE ON pr
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'pr_deleted', 'pr', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'pr' AND (NOT EXISTS (SELECT 1 FROM pr WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, CASE WHEN OLD.state <> NEW.state AND NEW.state IN ('merged', 'closed') THEN 'pr_' || NEW.state WHEN OLD.state IN ('merged', 'closed') AND NEW.state IN ('draft', 'open') THEN 'pr_reopened' WHEN OLD.session_id IS NOT NEW.session_id THEN 'pr_session_changed' ELSE 'pr_updated' END, 'pr', 'update',
    change_key, change_project, change_session, before, image
  FROM change_context c, capture_pr v, (SELECT json_object('id', OLD.id, 'node_id', OLD.node_id, 'session_id', OLD.session_id, 'project_id', OLD.project_id, 'host', OLD.host, 'repo', OLD.repo, 'number', OLD.number, 'url', OLD.url, 'title', OLD.title, 'author', OLD.author, 'is_author_bot', iif(OLD.is_author_bot, json('true'), json('false')), 'state', OLD.state, 'head_ref', OLD.head_ref, 'head_repo', OLD.head_repo, 'head_sha', OLD.head_sha, 'base_ref', OLD.base_ref, 'base_sha', OLD.base_sha, 'is_cross_repo', iif(OLD.is_cross_repo, json('true'), json('false')), 'additions', OLD.additions, 'deletions', OLD.deletions, 'changed_files', OLD.changed_files, 'ci', OLD.ci, 'review_decision', OLD.review_decision, 'provider_mergeable', OLD.provider_mergeable, 'is_mergeable_stale', iif(OLD.is_mergeable_stale, json('true'), json('false')), 'provider_merge_state', OLD.provider_merge_state, 'mergeability', OLD.mergeability, 'is_in_merge_queue', iif(OLD.is_in_merge_queue, json('true'), json('false')), 'is_auto_merge', iif(OLD.is_auto_merge, json('true'), json('false')), 'merge_commit_sha', OLD.merge_commit_sha, 'checks_state', OLD.checks_state, 'threads_state', OLD.threads_state, 'reviews_state', OLD.reviews_state, 'comments_state', OLD.comments_state, 'provider_created_at', OLD.provider_created_at, 'merged_at', OLD.merged_at, 'closed_at', OLD.closed_at, 'created_at', OLD.created_at, 'updated_at', OLD.updated_at) AS before)
  WHERE v.id = NEW.id AND before IS NOT image;
  DELETE FROM capture_displaced WHERE entity = 'pr';
END;

CREATE TRIGGER capture_project_delete BEFORE DELETE ON project
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'project_deleted', 'project', 'delete',
    change_key, change_project, change_session, image, NULL
  FROM change_context c, capture_project v WHERE v.id = OLD.id;
  DELETE FROM capture_displaced WHERE entity = 'project' AND key = json_array(OLD.id);
END;

CREATE TRIGGER capture_project_displace_insert BEFORE INSERT ON project
WHEN EXISTS (SELECT 1 FROM project WHERE id = NEW.id) OR EXISTS (SELECT 1 FROM project WHERE path = NEW.path COLLATE BINARY AND archived_at IS NULL)
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'project';
  INSERT INTO capture_displaced
  SELECT 'project', change_key, change_project, change_session, image
  FROM capture_project WHERE (id = NEW.id) OR (path = NEW.path COLLATE BINARY AND archived_at IS NULL);
END;

CREATE TRIGGER capture_project_displace_update BEFORE UPDATE OF archived_at, path ON project
WHEN EXISTS (SELECT 1 FROM project WHERE path = NEW.path COLLATE BINARY AND archived_at IS NULL AND (id IS NOT OLD.id))
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'project';
  INSERT INTO capture_displaced
  SELECT 'project', change_key, change_project, change_session, image
  FROM capture_project WHERE (path = NEW.path COLLATE BINARY AND archived_at IS NULL AND (id IS NOT OLD.id));
END;

CREATE TRIGGER capture_project_insert AFTER INSERT ON project
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'project_deleted', 'project', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'project' AND (key = json_array(NEW.id)
    OR NOT EXISTS (SELECT 1 FROM project WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'project_created', 'project', 'insert',
    change_key, change_project, change_session, NULL, image
  FROM change_context c, capture_project v WHERE v.id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'project';
END;

CREATE TRIGGER capture_project_key BEFORE UPDATE OF id ON project
WHEN OLD.id IS NOT NEW.id
BEGIN
  SELECT RAISE(ABORT, 'the key of project never changes');
END;

CREATE TRIGGER capture_project_update AFTER UPDATE ON project
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'project_deleted', 'project', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'project' AND (NOT EXISTS (SELECT 1 FROM project WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, CASE WHEN OLD.archived_at IS NULL AND NEW.archived_at IS NOT NULL THEN 'project_archived' WHEN OLD.archived_at IS NOT NULL AND NEW.archived_at IS NULL THEN 'project_restored' ELSE 'project_updated' END, 'project', 'update',
    change_key, change_project, change_session, before, image
  FROM change_context c, capture_project v, (SELECT json_object('id', OLD.id, 'path', OLD.path, 'name', OLD.name, 'origin_url', OLD.origin_url, 'host', OLD.host, 'repo', OLD.repo, 'default_branch', OLD.default_branch, 'copy_globs', OLD.copy_globs, 'setup_command', OLD.setup_command, 'setup_timeout_ms', OLD.setup_timeout_ms, 'max_live', OLD.max_live, 'created_at', OLD.created_at, 'updated_at', OLD.updated_at, 'archived_at', OLD.archived_at) AS before)
  WHERE v.id = NEW.id AND before IS NOT image;
  DELETE FROM capture_displaced WHERE entity = 'project';
END;

CREATE TRIGGER capture_session_delete BEFORE DELETE ON session
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  DELETE FROM delivery WHERE session_id = OLD.id;
  DELETE FROM decision WHERE session_id = OLD.id;
  DELETE FROM launch WHERE session_id = OLD.id;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'session_deleted', 'session', 'delete',
    change_key, change_project, change_session, image, NULL
  FROM change_context c, capture_session v WHERE v.id = OLD.id;
  DELETE FROM capture_displaced WHERE entity = 'session' AND key = json_array(OLD.id);
END;

CREATE TRIGGER capture_session_displace_insert BEFORE INSERT ON session
WHEN EXISTS (SELECT 1 FROM session WHERE id = NEW.id) OR EXISTS (SELECT 1 FROM session WHERE project_id = NEW.project_id COLLATE BINARY AND kind = 'orchestrator' AND is_terminated = 0) OR EXISTS (SELECT 1 FROM session WHERE project_id = NEW.project_id COLLATE BINARY AND num = NEW.num COLLATE BINARY)
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'session';
  INSERT INTO capture_displaced
  SELECT 'session', change_key, change_project, change_session, image
  FROM capture_session WHERE (id = NEW.id) OR (project_id = NEW.project_id COLLATE BINARY AND kind = 'orchestrator' AND is_terminated = 0) OR (project_id = NEW.project_id COLLATE BINARY AND num = NEW.num COLLATE BINARY);
END;

CREATE TRIGGER capture_session_displace_update BEFORE UPDATE OF is_terminated, kind, num, project_id ON session
WHEN EXISTS (SELECT 1 FROM session WHERE project_id = NEW.project_id COLLATE BINARY AND kind = 'orchestrator' AND is_terminated = 0 AND (id IS NOT OLD.id)) OR EXISTS (SELECT 1 FROM session WHERE project_id = NEW.project_id COLLATE BINARY AND num = NEW.num COLLATE BINARY AND (id IS NOT OLD.id))
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'session';
  INSERT INTO capture_displaced
  SELECT 'session', change_key, change_project, change_session, image
  FROM capture_session WHERE (project_id = NEW.project_id COLLATE BINARY AND kind = 'orchestrator' AND is_terminated = 0 AND (id IS NOT OLD.id)) OR (project_id = NEW.project_id COLLATE BINARY AND num = NEW.num COLLATE BINARY AND (id IS NOT OLD.id));
END;

CREATE TRIGGER capture_session_insert AFTER INSERT ON session
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'session_deleted', 'session', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'session' AND (key = json_array(NEW.id)
    OR NOT EXISTS (SELECT 1 FROM session WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'session_created', 'session', 'insert',
    change_key, change_project, change_session, NULL, image
  FROM change_context c, capture_session v WHERE v.id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'session';
END;

CREATE TRIGGER capture_session_key BEFORE UPDATE OF id ON session
WHEN OLD.id IS NOT NEW.id
BEGIN
  SELECT RAISE(ABORT, 'the key of session never changes');
END;

CREATE TRIGGER capture_session_update AFTER UPDATE ON session
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'session_deleted', 'session', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'session' AND (NOT EXISTS (SELECT 1 FROM session WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, CASE WHEN OLD.is_terminated < NEW.is_terminated THEN 'session_terminated' WHEN OLD.is_terminated > NEW.is_terminated THEN 'session_restored' ELSE 'session_updated' END, 'session', 'update',
    change_key, change_project, change_session, before, image
  FROM change_context c, capture_session v, (SELECT json_object('id', OLD.id, 'project_id', OLD.project_id, 'num', OLD.num, 'kind', OLD.kind, 'harness', OLD.harness, 'model', OLD.model, 'permission', OLD.permission, 'parent_id', OLD.parent_id, 'name', OLD.name, 'issue', OLD.issue, 'branch', OLD.branch, 'base_ref', OLD.base_ref, 'base_commit', OLD.base_commit, 'worktree_path', OLD.worktree_path, 'runtime_kind', OLD.runtime_kind, 'runtime_socket', OLD.runtime_socket, 'runtime_pane', OLD.runtime_pane, 'launch_id', OLD.launch_id, 'spawner', OLD.spawner, 'prompt_bytes', OLD.prompt_bytes, 'prompt_digest', OLD.prompt_digest, 'activity', OLD.activity, 'activity_source', OLD.activity_source, 'activity_cause', OLD.activity_cause, 'activity_call', OLD.activity_call, 'limit_ends_at', OLD.limit_ends_at, 'activity_at', OLD.activity_at, 'activity_revision', OLD.activity_revision, 'is_terminated', iif(OLD.is_terminated, json('true'), json('false')), 'terminated_at', OLD.terminated_at, 'terminated_reason', OLD.terminated_reason, 'terminated_by', OLD.terminated_by, 'spawned_at', OLD.spawned_at, 'created_at', OLD.created_at, 'updated_at', OLD.updated_at) AS before)
  WHERE v.id = NEW.id AND before IS NOT image;
  DELETE FROM capture_displaced WHERE entity = 'session';
END;

CREATE TRIGGER capture_turn_delete BEFORE DELETE ON turn
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'turn_deleted', 'turn', 'delete',
    change_key, change_project, change_session, image, NULL
  FROM change_context c, capture_turn v WHERE v.id = OLD.id;
  DELETE FROM capture_displaced WHERE entity = 'turn' AND key = json_array(OLD.id);
END;

CREATE TRIGGER capture_turn_displace_insert BEFORE INSERT ON turn
WHEN EXISTS (SELECT 1 FROM turn WHERE id = NEW.id) OR EXISTS (SELECT 1 FROM turn WHERE conversation_id = NEW.conversation_id COLLATE BINARY AND num = NEW.num COLLATE BINARY) OR EXISTS (SELECT 1 FROM turn WHERE conversation_id = NEW.conversation_id COLLATE BINARY AND key = NEW.key COLLATE BINARY) OR EXISTS (SELECT 1 FROM turn WHERE conversation_id = NEW.conversation_id COLLATE BINARY AND state = 'running')
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'turn';
  INSERT INTO capture_displaced
  SELECT 'turn', change_key, change_project, change_session, image
  FROM capture_turn WHERE (id = NEW.id) OR (conversation_id = NEW.conversation_id COLLATE BINARY AND num = NEW.num COLLATE BINARY) OR (conversation_id = NEW.conversation_id COLLATE BINARY AND key = NEW.key COLLATE BINARY) OR (conversation_id = NEW.conversation_id COLLATE BINARY AND state = 'running');
END;

CREATE TRIGGER capture_turn_displace_update BEFORE UPDATE OF conversation_id, key, num, state ON turn
WHEN EXISTS (SELECT 1 FROM turn WHERE conversation_id = NEW.conversation_id COLLATE BINARY AND num = NEW.num COLLATE BINARY AND (id IS NOT OLD.id)) OR EXISTS (SELECT 1 FROM turn WHERE conversation_id = NEW.conversation_id COLLATE BINARY AND key = NEW.key COLLATE BINARY AND (id IS NOT OLD.id)) OR EXISTS (SELECT 1 FROM turn WHERE conversation_id = NEW.conversation_id COLLATE BINARY AND state = 'running' AND (id IS NOT OLD.id))
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'turn';
  INSERT INTO capture_displaced
  SELECT 'turn', change_key, change_project, change_session, image
  FROM capture_turn WHERE (conversation_id = NEW.conversation_id COLLATE BINARY AND num = NEW.num COLLATE BINARY AND (id IS NOT OLD.id)) OR (conversation_id = NEW.conversation_id COLLATE BINARY AND key = NEW.key COLLATE BINARY AND (id IS NOT OLD.id)) OR (conversation_id = NEW.conversation_id COLLATE BINARY AND state = 'running' AND (id IS NOT OLD.id));
END;

CREATE TRIGGER capture_turn_insert AFTER INSERT ON turn
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'turn_deleted', 'turn', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'turn' AND (key = json_array(NEW.id)
    OR NOT EXISTS (SELECT 1 FROM turn WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'turn_accepted', 'turn', 'insert',
    change_key, change_project, change_session, NULL, image
  FROM change_context c, capture_turn v WHERE v.id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'turn';
END;

CREATE TRIGGER capture_turn_key BEFORE UPDATE OF id ON turn
WHEN OLD.id IS NOT NEW.id
BEGIN
  SELECT RAISE(ABORT, 'the key of turn never changes');
END;

CREATE TRIGGER capture_turn_update AFTER UPDATE ON turn
BEGIN
  UPDATE change_context SET foreign_writes = foreign_writes + 1,
    at = max(at, CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER))
  WHERE tx IS NULL;
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, 'turn_deleted', 'turn', 'delete',
    key, project, session, image, NULL
  FROM capture_displaced d CROSS JOIN change_context c WHERE entity = 'turn' AND (NOT EXISTS (SELECT 1 FROM turn WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO change_log SELECT NULL, c.tx, c.at, c.actor, CASE WHEN OLD.state = NEW.state THEN 'turn_updated' WHEN NEW.state = 'running' THEN 'turn_started' ELSE 'turn_' || NEW.state END, 'turn', 'update',
    change_key, change_project, change_session, before, image
  FROM change_context c, capture_turn v, (SELECT json_object('id', OLD.id, 'conversation_id', OLD.conversation_id, 'org_id', OLD.org_id, 'agent_id', OLD.agent_id, 'num', OLD.num, 'key', OLD.key, 'input_bytes', OLD.input_bytes, 'input_digest', OLD.input_digest, 'accepted_at', OLD.accepted_at, 'state', OLD.state, 'reason', OLD.reason, 'owner', OLD.owner, 'base_version', OLD.base_version, 'cancel_requested_at', OLD.cancel_requested_at, 'reply_bytes', OLD.reply_bytes, 'reply_digest', OLD.reply_digest, 'completion_digest', OLD.completion_digest, 'usage', OLD.usage, 'started_at', OLD.started_at, 'ended_at', OLD.ended_at) AS before)
  WHERE v.id = NEW.id AND before IS NOT image;
  DELETE FROM capture_displaced WHERE entity = 'turn';
END;

CREATE TRIGGER change_context_stays BEFORE DELETE ON change_context
BEGIN
  SELECT RAISE(ABORT, 'the row of change_context is never deleted');
END;

CREATE TRIGGER conversation_deletes_children BEFORE DELETE ON conversation
BEGIN
  DELETE FROM conversation_event WHERE conversation_id = OLD.id;
  DELETE FROM conversation_snapshot WHERE conversation_id = OLD.id;
END;

CREATE TRIGGER delivery_deletes_children BEFORE DELETE ON delivery
BEGIN
  DELETE FROM delivery_text WHERE delivery_id = OLD.id;
END;

CREATE TRIGGER launch_deletes_children BEFORE DELETE ON launch
BEGIN
  DELETE FROM launch_output WHERE launch_id = OLD.id;
END;

CREATE TRIGGER log_meta_stays BEFORE DELETE ON log_meta
BEGIN
  SELECT RAISE(ABORT, 'the row of log_meta is never deleted');
END;

CREATE TRIGGER pr_deletes_children BEFORE DELETE ON pr
BEGIN
  DELETE FROM pr_check_log WHERE pr_id = OLD.id;
  DELETE FROM pr_observed WHERE pr_id = OLD.id;
  DELETE FROM pr_item_as_of WHERE pr_id = OLD.id;
  DELETE FROM pr_poll WHERE pr_id = OLD.id;
END;

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

CREATE TRIGGER session_deletes_children BEFORE DELETE ON session
BEGIN
  DELETE FROM session_start WHERE session_id = OLD.id;
  DELETE FROM session_operation WHERE session_id = OLD.id;
  DELETE FROM session_cleanup WHERE session_id = OLD.id;
END;

CREATE TRIGGER session_number_is_kept AFTER INSERT ON session
BEGIN
  INSERT INTO session_counter (project_id, last_num)
  SELECT NEW.project_id, 0
  WHERE NOT EXISTS (SELECT 1 FROM session_counter WHERE project_id = NEW.project_id);
  UPDATE session_counter SET last_num = NEW.num
  WHERE project_id = NEW.project_id AND last_num < NEW.num;
END;

CREATE TRIGGER session_number_is_new BEFORE INSERT ON session
WHEN NEW.num <= (SELECT last_num FROM session_counter WHERE project_id = NEW.project_id)
  AND NOT EXISTS (SELECT 1 FROM session WHERE id = NEW.id)
BEGIN
  SELECT RAISE(ABORT, 'session number was used before');
END;

CREATE TRIGGER turn_deletes_children BEFORE DELETE ON turn
BEGIN
  DELETE FROM turn_input WHERE turn_id = OLD.id;
  DELETE FROM turn_clock WHERE turn_id = OLD.id;
  DELETE FROM turn_refused_completion WHERE turn_id = OLD.id;
END;

CREATE TRIGGER turn_never_goes_back BEFORE UPDATE OF state ON turn
WHEN (OLD.ended_at IS NOT NULL AND NEW.state <> OLD.state)
  OR (OLD.state = 'running' AND NEW.state = 'queued')
BEGIN
  SELECT RAISE(ABORT, 'a turn never goes back to an earlier state');
END;
