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
  actor TEXT
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

CREATE TABLE consumer (
  name TEXT NOT NULL PRIMARY KEY,
  epoch INTEGER NOT NULL,
  acked INTEGER NOT NULL,
  filter TEXT NOT NULL DEFAULT '{}',
  policy TEXT NOT NULL CHECK (policy IN ('block', 'bounded', 'none')),
  created_at INTEGER NOT NULL,
  acked_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE log_meta (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  log_id TEXT NOT NULL,
  epoch INTEGER NOT NULL CHECK (epoch > 0),
  floor INTEGER NOT NULL CHECK (floor >= 0),
  format INTEGER NOT NULL,
  relaxed_boot TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE TABLE pr (
  id TEXT NOT NULL PRIMARY KEY,
  node_id TEXT NOT NULL DEFAULT '',
  session_id TEXT NOT NULL REFERENCES session (id) ON DELETE RESTRICT,
  project_id TEXT NOT NULL REFERENCES project (id) ON DELETE RESTRICT,
  provider TEXT NOT NULL DEFAULT 'github',
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
    CHECK (mergeability IN ('mergeable', 'conflicting', 'blocked', 'unstable', 'unknown')),
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
  external_id TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN
    ('queued', 'in_progress', 'passed', 'failed', 'cancelled', 'skipped', 'unknown')),
  conclusion TEXT NOT NULL,
  is_required INTEGER CHECK (is_required IN (0, 1)),
  url TEXT NOT NULL,
  started_at INTEGER,
  completed_at INTEGER,
  PRIMARY KEY (pr_id, head_sha, kind, app, workflow, event, name)
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
  PRIMARY KEY (pr_id, id)
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
  PRIMARY KEY (pr_id, id)
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
  PRIMARY KEY (pr_id, id)
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

CREATE TABLE session_counter (
  project_id TEXT NOT NULL PRIMARY KEY REFERENCES project (id) ON DELETE CASCADE,
  last_num INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX pr_head ON pr (head_sha) WHERE head_sha <> '';

CREATE UNIQUE INDEX pr_location ON pr (number, repo COLLATE NOCASE, host COLLATE NOCASE);

CREATE UNIQUE INDEX pr_node ON pr (node_id) WHERE node_id <> '';

CREATE INDEX pr_project ON pr (project_id);

CREATE INDEX pr_session ON pr (session_id);

CREATE UNIQUE INDEX project_active_path ON project (path) WHERE archived_at IS NULL;

CREATE INDEX project_repo ON project (repo COLLATE NOCASE, host COLLATE NOCASE);

CREATE UNIQUE INDEX session_active_orchestrator ON session (project_id)
WHERE kind = 'orchestrator' AND is_terminated = 0;

CREATE INDEX session_branch ON session (project_id, branch) WHERE branch <> '';

CREATE VIEW capture AS
SELECT type, entity, op, key, project, session, before, after FROM change_log;

CREATE VIEW capture_pr AS
SELECT t.host, t.id, t.node_id, t.number, t.repo,
  json_array(t.id) AS change_key,
  t.project_id AS change_project,
  t.session_id AS change_session,
  json_object('id', t.id, 'node_id', t.node_id, 'session_id', t.session_id, 'project_id', t.project_id, 'provider', t.provider, 'host', t.host, 'repo', t.repo, 'number', t.number, 'url', t.url, 'title', t.title, 'author', t.author, 'is_author_bot', iif(t.is_author_bot, json('true'), json('false')), 'state', t.state, 'head_ref', t.head_ref, 'head_repo', t.head_repo, 'head_sha', t.head_sha, 'base_ref', t.base_ref, 'base_sha', t.base_sha, 'is_cross_repo', iif(t.is_cross_repo, json('true'), json('false')), 'additions', t.additions, 'deletions', t.deletions, 'changed_files', t.changed_files, 'ci', t.ci, 'review_decision', t.review_decision, 'provider_mergeable', t.provider_mergeable, 'is_mergeable_stale', iif(t.is_mergeable_stale, json('true'), json('false')), 'provider_merge_state', t.provider_merge_state, 'mergeability', t.mergeability, 'is_in_merge_queue', iif(t.is_in_merge_queue, json('true'), json('false')), 'is_auto_merge', iif(t.is_auto_merge, json('true'), json('false')), 'merge_commit_sha', t.merge_commit_sha, 'checks_state', t.checks_state, 'threads_state', t.threads_state, 'reviews_state', t.reviews_state, 'comments_state', t.comments_state, 'provider_created_at', t.provider_created_at, 'merged_at', t.merged_at, 'closed_at', t.closed_at, 'created_at', t.created_at, 'updated_at', t.updated_at) AS image
FROM pr t;

CREATE VIEW capture_pr_check AS
SELECT t.app, t.event, t.head_sha, t.kind, t.name, t.pr_id, t.workflow,
  json_array(t.pr_id, t.head_sha, t.kind, t.app, t.workflow, t.event, t.name) AS change_key,
  coalesce(p.project_id, (SELECT project FROM capture_displaced WHERE entity = 'pr' AND key = json_array(t.pr_id))) AS change_project,
  coalesce(p.session_id, (SELECT session FROM capture_displaced WHERE entity = 'pr' AND key = json_array(t.pr_id))) AS change_session,
  json_object('pr_id', t.pr_id, 'head_sha', t.head_sha, 'kind', t.kind, 'app', t.app, 'workflow', t.workflow, 'event', t.event, 'name', t.name, 'external_id', t.external_id, 'status', t.status, 'conclusion', t.conclusion, 'is_required', iif(t.is_required IS NULL, NULL, iif(t.is_required, json('true'), json('false'))), 'url', t.url, 'started_at', t.started_at, 'completed_at', t.completed_at) AS image
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
  json_object('pr_id', t.pr_id, 'id', t.id, 'path', t.path, 'line', t.line, 'original_line', t.original_line, 'side', t.side, 'is_resolved', iif(t.is_resolved, json('true'), json('false')), 'is_outdated', iif(t.is_outdated, json('true'), json('false')), 'is_bot', iif(t.is_bot, json('true'), json('false')), 'resolved_by', t.resolved_by, 'comments_total', t.comments_total) AS image
FROM pr_review_thread t LEFT JOIN pr p ON p.id = t.pr_id;

CREATE VIEW capture_project AS
SELECT t.archived_at, t.id, t.path,
  json_array(t.id) AS change_key,
  t.id AS change_project,
  NULL AS change_session,
  json_object('id', t.id, 'path', t.path, 'name', t.name, 'kind', t.kind, 'origin_url', t.origin_url, 'host', t.host, 'repo', t.repo, 'default_branch', t.default_branch, 'config', t.config, 'created_at', t.created_at, 'updated_at', t.updated_at, 'archived_at', t.archived_at) AS image
FROM project t;

CREATE VIEW capture_session AS
SELECT t.id, t.is_terminated, t.kind, t.num, t.project_id,
  json_array(t.id) AS change_key,
  t.project_id AS change_project,
  t.id AS change_session,
  json_object('id', t.id, 'project_id', t.project_id, 'num', t.num, 'kind', t.kind, 'harness', t.harness, 'name', t.name, 'issue', t.issue, 'branch', t.branch, 'mode', t.mode, 'workspace_path', t.workspace_path, 'workspace_repo_path', t.workspace_repo_path, 'runtime_handle', t.runtime_handle, 'runtime_launch_id', t.runtime_launch_id, 'agent_session_id', t.agent_session_id, 'provider_conversation_id', t.provider_conversation_id, 'controller_generation', t.controller_generation, 'cleanup_generation', t.cleanup_generation, 'prompt', t.prompt, 'activity', t.activity, 'activity_at', t.activity_at, 'first_signal_at', t.first_signal_at, 'is_terminated', iif(t.is_terminated, json('true'), json('false')), 'is_terminated_on_pr_merge', iif(t.is_terminated_on_pr_merge, json('true'), json('false')), 'diff_base_sha', t.diff_base_sha, 'diff_base_ref', t.diff_base_ref, 'reviewer_harness', t.reviewer_harness, 'preview_url', t.preview_url, 'preview_revision', t.preview_revision, 'pinned_at', t.pinned_at, 'created_at', t.created_at, 'updated_at', t.updated_at) AS image
FROM session t;

CREATE TRIGGER capture_append INSTEAD OF INSERT ON capture
BEGIN
  INSERT INTO change_log (tx, at, actor, type, entity, op, key, project, session, before, after)
  SELECT c.tx, CASE WHEN c.tx IS NULL THEN max(c.at,
      coalesce((SELECT at FROM change_log ORDER BY seq DESC LIMIT 1), 0),
      CAST(round((julianday('now') - 2440587.5) * 86400000.0) AS INTEGER)) ELSE c.at END,
    c.actor, NEW.type, NEW.entity, NEW.op, NEW.key, NEW.project, NEW.session, NEW.before, NEW.after
  FROM change_context c;
  UPDATE pr_observed SET checks_digest = NULL, threads_digest = NULL, reviews_digest = NULL,
    comments_digest = NULL
  WHERE (SELECT tx FROM change_context) IS NULL AND NEW.entity LIKE 'pr_%'
    AND pr_id = json_extract(NEW.key, '$[0]');
END;

CREATE TRIGGER capture_pr_check_delete BEFORE DELETE ON pr_check
BEGIN
  INSERT INTO capture SELECT 'pr_check_removed', 'pr_check', 'delete', change_key,
    change_project, change_session, image, NULL
  FROM capture_pr_check WHERE pr_id = OLD.pr_id AND head_sha = OLD.head_sha AND kind = OLD.kind AND app = OLD.app AND workflow = OLD.workflow AND event = OLD.event AND name = OLD.name;
  DELETE FROM capture_displaced WHERE entity = 'pr_check' AND key = json_array(OLD.pr_id, OLD.head_sha, OLD.kind, OLD.app, OLD.workflow, OLD.event, OLD.name);
END;

CREATE TRIGGER capture_pr_check_displace_insert BEFORE INSERT ON pr_check
WHEN EXISTS (SELECT 1 FROM pr_check WHERE pr_id = NEW.pr_id AND head_sha = NEW.head_sha AND kind = NEW.kind AND app = NEW.app AND workflow = NEW.workflow AND event = NEW.event AND name = NEW.name)
BEGIN
  DELETE FROM capture_displaced WHERE entity = 'pr_check';
  INSERT INTO capture_displaced
  SELECT 'pr_check', change_key, change_project, change_session, image
  FROM capture_pr_check WHERE (pr_id = NEW.pr_id AND head_sha = NEW.head_sha AND kind = NEW.kind AND app = NEW.app AND workflow = NEW.workflow AND event = NEW.event AND name = NEW.name);
END;

CREATE TRIGGER capture_pr_check_insert AFTER INSERT ON pr_check
BEGIN
  INSERT INTO capture SELECT 'pr_check_removed', 'pr_check', 'delete', key, project, session, image, NULL
  FROM capture_displaced d WHERE entity = 'pr_check' AND (key = json_array(NEW.pr_id, NEW.head_sha, NEW.kind, NEW.app, NEW.workflow, NEW.event, NEW.name)
    OR NOT EXISTS (SELECT 1 FROM pr_check WHERE pr_id = json_extract(d.key, '$[0]') AND head_sha = json_extract(d.key, '$[1]') AND kind = json_extract(d.key, '$[2]') AND app = json_extract(d.key, '$[3]') AND workflow = json_extract(d.key, '$[4]') AND event = json_extract(d.key, '$[5]') AND name = json_extract(d.key, '$[6]')));
  INSERT INTO capture SELECT 'pr_check_recorded', 'pr_check', 'insert', change_key,
    change_project, change_session, NULL, image
  FROM capture_pr_check WHERE pr_id = NEW.pr_id AND head_sha = NEW.head_sha AND kind = NEW.kind AND app = NEW.app AND workflow = NEW.workflow AND event = NEW.event AND name = NEW.name;
  DELETE FROM capture_displaced WHERE entity = 'pr_check';
END;

CREATE TRIGGER capture_pr_check_update AFTER UPDATE ON pr_check
BEGIN
  SELECT RAISE(ABORT, 'the key of pr_check never changes') WHERE OLD.pr_id IS NOT NEW.pr_id OR OLD.head_sha IS NOT NEW.head_sha OR OLD.kind IS NOT NEW.kind OR OLD.app IS NOT NEW.app OR OLD.workflow IS NOT NEW.workflow OR OLD.event IS NOT NEW.event OR OLD.name IS NOT NEW.name;
  INSERT INTO capture SELECT 'pr_check_recorded', 'pr_check', 'update', change_key,
    change_project, change_session, before, image
  FROM capture_pr_check, (SELECT json_object('pr_id', OLD.pr_id, 'head_sha', OLD.head_sha, 'kind', OLD.kind, 'app', OLD.app, 'workflow', OLD.workflow, 'event', OLD.event, 'name', OLD.name, 'external_id', OLD.external_id, 'status', OLD.status, 'conclusion', OLD.conclusion, 'is_required', iif(OLD.is_required IS NULL, NULL, iif(OLD.is_required, json('true'), json('false'))), 'url', OLD.url, 'started_at', OLD.started_at, 'completed_at', OLD.completed_at) AS before)
  WHERE pr_id = NEW.pr_id AND head_sha = NEW.head_sha AND kind = NEW.kind AND app = NEW.app AND workflow = NEW.workflow AND event = NEW.event AND name = NEW.name AND before IS NOT image;
END;

CREATE TRIGGER capture_pr_comment_delete BEFORE DELETE ON pr_comment
BEGIN
  INSERT INTO capture SELECT 'pr_comment_removed', 'pr_comment', 'delete', change_key,
    change_project, change_session, image, NULL
  FROM capture_pr_comment WHERE pr_id = OLD.pr_id AND id = OLD.id;
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
  INSERT INTO capture SELECT 'pr_comment_removed', 'pr_comment', 'delete', key, project, session, image, NULL
  FROM capture_displaced d WHERE entity = 'pr_comment' AND (key = json_array(NEW.pr_id, NEW.id)
    OR NOT EXISTS (SELECT 1 FROM pr_comment WHERE pr_id = json_extract(d.key, '$[0]') AND id = json_extract(d.key, '$[1]')));
  INSERT INTO capture SELECT 'pr_comment_added', 'pr_comment', 'insert', change_key,
    change_project, change_session, NULL, image
  FROM capture_pr_comment WHERE pr_id = NEW.pr_id AND id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'pr_comment';
END;

CREATE TRIGGER capture_pr_comment_update AFTER UPDATE ON pr_comment
BEGIN
  SELECT RAISE(ABORT, 'the key of pr_comment never changes') WHERE OLD.pr_id IS NOT NEW.pr_id OR OLD.id IS NOT NEW.id;
  INSERT INTO capture SELECT 'pr_comment_updated', 'pr_comment', 'update', change_key,
    change_project, change_session, before, image
  FROM capture_pr_comment, (SELECT json_object('pr_id', OLD.pr_id, 'id', OLD.id, 'kind', OLD.kind, 'thread_id', OLD.thread_id, 'reply_to', OLD.reply_to, 'author', OLD.author, 'is_bot', iif(OLD.is_bot, json('true'), json('false')), 'path', OLD.path, 'line', OLD.line, 'body', OLD.body, 'url', OLD.url, 'is_minimized', iif(OLD.is_minimized, json('true'), json('false')), 'created_at', OLD.created_at, 'edited_at', OLD.edited_at) AS before)
  WHERE pr_id = NEW.pr_id AND id = NEW.id AND before IS NOT image;
END;

CREATE TRIGGER capture_pr_delete BEFORE DELETE ON pr
BEGIN
  INSERT INTO capture SELECT 'pr_deleted', 'pr', 'delete', change_key,
    change_project, change_session, image, NULL
  FROM capture_pr WHERE id = OLD.id;
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
  INSERT INTO capture SELECT 'pr_deleted', 'pr', 'delete', key, project, session, image, NULL
  FROM capture_displaced d WHERE entity = 'pr' AND (key = json_array(NEW.id)
    OR NOT EXISTS (SELECT 1 FROM pr WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO capture SELECT 'pr_created', 'pr', 'insert', change_key,
    change_project, change_session, NULL, image
  FROM capture_pr WHERE id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'pr';
END;

CREATE TRIGGER capture_pr_review_delete BEFORE DELETE ON pr_review
BEGIN
  INSERT INTO capture SELECT 'pr_review_removed', 'pr_review', 'delete', change_key,
    change_project, change_session, image, NULL
  FROM capture_pr_review WHERE pr_id = OLD.pr_id AND id = OLD.id;
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
  INSERT INTO capture SELECT 'pr_review_removed', 'pr_review', 'delete', key, project, session, image, NULL
  FROM capture_displaced d WHERE entity = 'pr_review' AND (key = json_array(NEW.pr_id, NEW.id)
    OR NOT EXISTS (SELECT 1 FROM pr_review WHERE pr_id = json_extract(d.key, '$[0]') AND id = json_extract(d.key, '$[1]')));
  INSERT INTO capture SELECT 'pr_review_added', 'pr_review', 'insert', change_key,
    change_project, change_session, NULL, image
  FROM capture_pr_review WHERE pr_id = NEW.pr_id AND id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'pr_review';
END;

CREATE TRIGGER capture_pr_review_thread_delete BEFORE DELETE ON pr_review_thread
BEGIN
  INSERT INTO capture SELECT 'pr_review_thread_removed', 'pr_review_thread', 'delete', change_key,
    change_project, change_session, image, NULL
  FROM capture_pr_review_thread WHERE pr_id = OLD.pr_id AND id = OLD.id;
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
  INSERT INTO capture SELECT 'pr_review_thread_removed', 'pr_review_thread', 'delete', key, project, session, image, NULL
  FROM capture_displaced d WHERE entity = 'pr_review_thread' AND (key = json_array(NEW.pr_id, NEW.id)
    OR NOT EXISTS (SELECT 1 FROM pr_review_thread WHERE pr_id = json_extract(d.key, '$[0]') AND id = json_extract(d.key, '$[1]')));
  INSERT INTO capture SELECT 'pr_review_thread_added', 'pr_review_thread', 'insert', change_key,
    change_project, change_session, NULL, image
  FROM capture_pr_review_thread WHERE pr_id = NEW.pr_id AND id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'pr_review_thread';
END;

CREATE TRIGGER capture_pr_review_thread_update AFTER UPDATE ON pr_review_thread
BEGIN
  SELECT RAISE(ABORT, 'the key of pr_review_thread never changes') WHERE OLD.pr_id IS NOT NEW.pr_id OR OLD.id IS NOT NEW.id;
  INSERT INTO capture SELECT CASE WHEN OLD.is_resolved < NEW.is_resolved THEN 'pr_review_thread_resolved' WHEN OLD.is_resolved > NEW.is_resolved THEN 'pr_review_thread_reopened' ELSE 'pr_review_thread_updated' END, 'pr_review_thread', 'update', change_key,
    change_project, change_session, before, image
  FROM capture_pr_review_thread, (SELECT json_object('pr_id', OLD.pr_id, 'id', OLD.id, 'path', OLD.path, 'line', OLD.line, 'original_line', OLD.original_line, 'side', OLD.side, 'is_resolved', iif(OLD.is_resolved, json('true'), json('false')), 'is_outdated', iif(OLD.is_outdated, json('true'), json('false')), 'is_bot', iif(OLD.is_bot, json('true'), json('false')), 'resolved_by', OLD.resolved_by, 'comments_total', OLD.comments_total) AS before)
  WHERE pr_id = NEW.pr_id AND id = NEW.id AND before IS NOT image;
END;

CREATE TRIGGER capture_pr_review_update AFTER UPDATE ON pr_review
BEGIN
  SELECT RAISE(ABORT, 'the key of pr_review never changes') WHERE OLD.pr_id IS NOT NEW.pr_id OR OLD.id IS NOT NEW.id;
  INSERT INTO capture SELECT 'pr_review_updated', 'pr_review', 'update', change_key,
    change_project, change_session, before, image
  FROM capture_pr_review, (SELECT json_object('pr_id', OLD.pr_id, 'id', OLD.id, 'author', OLD.author, 'is_bot', iif(OLD.is_bot, json('true'), json('false')), 'state', OLD.state, 'body', OLD.body, 'commit_sha', OLD.commit_sha, 'url', OLD.url, 'submitted_at', OLD.submitted_at) AS before)
  WHERE pr_id = NEW.pr_id AND id = NEW.id AND before IS NOT image;
END;

CREATE TRIGGER capture_pr_update AFTER UPDATE ON pr
BEGIN
  SELECT RAISE(ABORT, 'the key of pr never changes') WHERE OLD.id IS NOT NEW.id;
  INSERT INTO capture SELECT 'pr_deleted', 'pr', 'delete', key, project, session, image, NULL
  FROM capture_displaced d WHERE entity = 'pr' AND (key = json_array(NEW.id)
    OR NOT EXISTS (SELECT 1 FROM pr WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO capture SELECT CASE WHEN OLD.session_id IS NOT NEW.session_id THEN 'pr_session_changed' ELSE 'pr_updated' END, 'pr', 'update', change_key,
    change_project, change_session, before, image
  FROM capture_pr, (SELECT json_object('id', OLD.id, 'node_id', OLD.node_id, 'session_id', OLD.session_id, 'project_id', OLD.project_id, 'provider', OLD.provider, 'host', OLD.host, 'repo', OLD.repo, 'number', OLD.number, 'url', OLD.url, 'title', OLD.title, 'author', OLD.author, 'is_author_bot', iif(OLD.is_author_bot, json('true'), json('false')), 'state', OLD.state, 'head_ref', OLD.head_ref, 'head_repo', OLD.head_repo, 'head_sha', OLD.head_sha, 'base_ref', OLD.base_ref, 'base_sha', OLD.base_sha, 'is_cross_repo', iif(OLD.is_cross_repo, json('true'), json('false')), 'additions', OLD.additions, 'deletions', OLD.deletions, 'changed_files', OLD.changed_files, 'ci', OLD.ci, 'review_decision', OLD.review_decision, 'provider_mergeable', OLD.provider_mergeable, 'is_mergeable_stale', iif(OLD.is_mergeable_stale, json('true'), json('false')), 'provider_merge_state', OLD.provider_merge_state, 'mergeability', OLD.mergeability, 'is_in_merge_queue', iif(OLD.is_in_merge_queue, json('true'), json('false')), 'is_auto_merge', iif(OLD.is_auto_merge, json('true'), json('false')), 'merge_commit_sha', OLD.merge_commit_sha, 'checks_state', OLD.checks_state, 'threads_state', OLD.threads_state, 'reviews_state', OLD.reviews_state, 'comments_state', OLD.comments_state, 'provider_created_at', OLD.provider_created_at, 'merged_at', OLD.merged_at, 'closed_at', OLD.closed_at, 'created_at', OLD.created_at, 'updated_at', OLD.updated_at) AS before)
  WHERE id = NEW.id AND before IS NOT image;
  DELETE FROM capture_displaced WHERE entity = 'pr';
END;

CREATE TRIGGER capture_project_delete BEFORE DELETE ON project
BEGIN
  INSERT INTO capture SELECT 'project_deleted', 'project', 'delete', change_key,
    change_project, change_session, image, NULL
  FROM capture_project WHERE id = OLD.id;
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
  INSERT INTO capture SELECT 'project_deleted', 'project', 'delete', key, project, session, image, NULL
  FROM capture_displaced d WHERE entity = 'project' AND (key = json_array(NEW.id)
    OR NOT EXISTS (SELECT 1 FROM project WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO capture SELECT 'project_created', 'project', 'insert', change_key,
    change_project, change_session, NULL, image
  FROM capture_project WHERE id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'project';
END;

CREATE TRIGGER capture_project_update AFTER UPDATE ON project
BEGIN
  SELECT RAISE(ABORT, 'the key of project never changes') WHERE OLD.id IS NOT NEW.id;
  INSERT INTO capture SELECT 'project_deleted', 'project', 'delete', key, project, session, image, NULL
  FROM capture_displaced d WHERE entity = 'project' AND (key = json_array(NEW.id)
    OR NOT EXISTS (SELECT 1 FROM project WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO capture SELECT CASE WHEN OLD.archived_at IS NULL AND NEW.archived_at IS NOT NULL THEN 'project_archived' WHEN OLD.archived_at IS NOT NULL AND NEW.archived_at IS NULL THEN 'project_restored' ELSE 'project_updated' END, 'project', 'update', change_key,
    change_project, change_session, before, image
  FROM capture_project, (SELECT json_object('id', OLD.id, 'path', OLD.path, 'name', OLD.name, 'kind', OLD.kind, 'origin_url', OLD.origin_url, 'host', OLD.host, 'repo', OLD.repo, 'default_branch', OLD.default_branch, 'config', OLD.config, 'created_at', OLD.created_at, 'updated_at', OLD.updated_at, 'archived_at', OLD.archived_at) AS before)
  WHERE id = NEW.id AND before IS NOT image;
  DELETE FROM capture_displaced WHERE entity = 'project';
END;

CREATE TRIGGER capture_session_delete BEFORE DELETE ON session
BEGIN
  INSERT INTO capture SELECT 'session_deleted', 'session', 'delete', change_key,
    change_project, change_session, image, NULL
  FROM capture_session WHERE id = OLD.id;
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
  INSERT INTO capture SELECT 'session_deleted', 'session', 'delete', key, project, session, image, NULL
  FROM capture_displaced d WHERE entity = 'session' AND (key = json_array(NEW.id)
    OR NOT EXISTS (SELECT 1 FROM session WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO capture SELECT 'session_created', 'session', 'insert', change_key,
    change_project, change_session, NULL, image
  FROM capture_session WHERE id = NEW.id;
  DELETE FROM capture_displaced WHERE entity = 'session';
END;

CREATE TRIGGER capture_session_update AFTER UPDATE ON session
BEGIN
  SELECT RAISE(ABORT, 'the key of session never changes') WHERE OLD.id IS NOT NEW.id;
  INSERT INTO capture SELECT 'session_deleted', 'session', 'delete', key, project, session, image, NULL
  FROM capture_displaced d WHERE entity = 'session' AND (key = json_array(NEW.id)
    OR NOT EXISTS (SELECT 1 FROM session WHERE id = json_extract(d.key, '$[0]')));
  INSERT INTO capture SELECT CASE WHEN OLD.is_terminated < NEW.is_terminated THEN 'session_terminated' WHEN OLD.is_terminated > NEW.is_terminated THEN 'session_restored' ELSE 'session_updated' END, 'session', 'update', change_key,
    change_project, change_session, before, image
  FROM capture_session, (SELECT json_object('id', OLD.id, 'project_id', OLD.project_id, 'num', OLD.num, 'kind', OLD.kind, 'harness', OLD.harness, 'name', OLD.name, 'issue', OLD.issue, 'branch', OLD.branch, 'mode', OLD.mode, 'workspace_path', OLD.workspace_path, 'workspace_repo_path', OLD.workspace_repo_path, 'runtime_handle', OLD.runtime_handle, 'runtime_launch_id', OLD.runtime_launch_id, 'agent_session_id', OLD.agent_session_id, 'provider_conversation_id', OLD.provider_conversation_id, 'controller_generation', OLD.controller_generation, 'cleanup_generation', OLD.cleanup_generation, 'prompt', OLD.prompt, 'activity', OLD.activity, 'activity_at', OLD.activity_at, 'first_signal_at', OLD.first_signal_at, 'is_terminated', iif(OLD.is_terminated, json('true'), json('false')), 'is_terminated_on_pr_merge', iif(OLD.is_terminated_on_pr_merge, json('true'), json('false')), 'diff_base_sha', OLD.diff_base_sha, 'diff_base_ref', OLD.diff_base_ref, 'reviewer_harness', OLD.reviewer_harness, 'preview_url', OLD.preview_url, 'preview_revision', OLD.preview_revision, 'pinned_at', OLD.pinned_at, 'created_at', OLD.created_at, 'updated_at', OLD.updated_at) AS before)
  WHERE id = NEW.id AND before IS NOT image;
  DELETE FROM capture_displaced WHERE entity = 'session';
END;

CREATE TRIGGER pr_takes_children_along BEFORE DELETE ON pr
BEGIN
  DELETE FROM pr_comment WHERE pr_id = OLD.id;
  DELETE FROM pr_review WHERE pr_id = OLD.id;
  DELETE FROM pr_review_thread WHERE pr_id = OLD.id;
  DELETE FROM pr_check WHERE pr_id = OLD.id;
  DELETE FROM pr_check_log WHERE pr_id = OLD.id;
  DELETE FROM pr_observed WHERE pr_id = OLD.id;
  DELETE FROM pr_item_as_of WHERE pr_id = OLD.id;
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
