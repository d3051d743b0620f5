-- Pull requests and the four sets of facts that hang on each: checks, review threads, reviews and
-- comments. Provider ids are node ids. No key holds a NUL character, at which SQL functions stop. Closed enums carry 'unknown': a value that this program
-- does not know is kept as that, never guessed.

-- id is host/owner/repo#number as first seen and never changes; a rename or transfer moves host,
-- repo, number and url. The *_state columns say how complete the stored set of a facet is.
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
CREATE UNIQUE INDEX pr_location ON pr (number, repo COLLATE NOCASE, host COLLATE NOCASE);
CREATE UNIQUE INDEX pr_node ON pr (node_id) WHERE node_id <> '';
CREATE INDEX pr_session ON pr (session_id);
CREATE INDEX pr_project ON pr (project_id);
CREATE INDEX pr_head ON pr (head_sha) WHERE head_sha <> '';

-- Poll bookkeeping, not captured: as_of is when the complete set of a facet was asked for,
-- provider_at the provider's own time of the metadata, digest the observed set (NULL: unknown);
-- last_digest and last_as_of are the observation applied last, as a whole. Digests hold while
-- foreign_writes is that of change_context. The seed makes them unforeseeable to who writes the
-- texts that go into them.
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

-- Poll bookkeeping, not captured: how new the fact about one item is that a partial observation
-- (mode merge) changed last, so that deliveries out of order end in the newest fact. It outlives
-- the item: a late "created" after "deleted" is recognised. A complete observation clears it.
CREATE TABLE pr_item_as_of (
  pr_id TEXT NOT NULL REFERENCES pr (id) ON DELETE CASCADE,
  facet TEXT NOT NULL,
  item TEXT NOT NULL,
  as_of INTEGER NOT NULL,
  PRIMARY KEY (pr_id, facet, item)
) STRICT, WITHOUT ROWID;

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
  PRIMARY KEY (pr_id, head_sha, kind, app, workflow, event, name),
  CHECK (instr(head_sha || app || workflow || event || name, char(0)) = 0)
) STRICT, WITHOUT ROWID;

-- The last lines of a failed check's log: raw text, so neither captured nor part of pr_check.
CREATE TABLE pr_check_log (
  pr_id TEXT NOT NULL REFERENCES pr (id) ON DELETE CASCADE,
  external_id TEXT NOT NULL,
  tail TEXT NOT NULL,
  PRIMARY KEY (pr_id, external_id)
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

-- created_at and edited_at are the provider's times, not ours.
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

-- Children leave before their pull request, so that each removal is still logged with the session
-- and project it belonged to, and a writer with foreign keys off leaves no orphan.
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

-- The same for a pull request that OR REPLACE displaced by a writer with foreign keys off.
CREATE TRIGGER pr_displaced_takes_children_along BEFORE DELETE ON capture_displaced
WHEN OLD.entity = 'pr' AND NOT EXISTS (SELECT 1 FROM pr WHERE id = json_extract(OLD.key, '$[0]'))
BEGIN
  DELETE FROM pr_comment WHERE pr_id = json_extract(OLD.key, '$[0]');
  DELETE FROM pr_review WHERE pr_id = json_extract(OLD.key, '$[0]');
  DELETE FROM pr_review_thread WHERE pr_id = json_extract(OLD.key, '$[0]');
  DELETE FROM pr_check WHERE pr_id = json_extract(OLD.key, '$[0]');
  DELETE FROM pr_check_log WHERE pr_id = json_extract(OLD.key, '$[0]');
  DELETE FROM pr_observed WHERE pr_id = json_extract(OLD.key, '$[0]');
  DELETE FROM pr_item_as_of WHERE pr_id = json_extract(OLD.key, '$[0]');
END;
