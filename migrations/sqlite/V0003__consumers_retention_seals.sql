-- What operators need of the log: durable consumers, retention, and checksums that let `verify` prove
-- that the log explains the tables.

-- A seal is the sum (mod 2^128, little-endian) of the hashes of the changes of one block of 16 seqs;
-- a sum, so that pruning half a block subtracts. The open block's is here, where every commit
-- writes anyway: changes up to "sealed" are sealed, and logged_bytes counts all bytes ever logged
-- up to it.
ALTER TABLE change_context ADD COLUMN sealed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE change_context ADD COLUMN seal BLOB NOT NULL DEFAULT x'00000000000000000000000000000000';
ALTER TABLE change_context ADD COLUMN logged_bytes INTEGER NOT NULL DEFAULT 0;

-- Of logged_bytes, those that were pruned.
ALTER TABLE log_meta ADD COLUMN pruned_bytes INTEGER NOT NULL DEFAULT 0;

-- Full blocks: block b holds the seqs 16b+1 to 16b+16. bytes is logged_bytes at its end.
CREATE TABLE log_seal (
  block INTEGER NOT NULL PRIMARY KEY,
  digest BLOB NOT NULL,
  bytes INTEGER NOT NULL
) STRICT;

-- What the pruned part of the log added up to, an entity a row: the sum of the hashes of the row
-- images at the floor. With the changes since, it gives the sum of the live rows. columns is the
-- shape of an image; the images of changes up to "since" have an older shape.
CREATE TABLE log_base (
  entity TEXT NOT NULL PRIMARY KEY,
  digest BLOB NOT NULL,
  columns TEXT NOT NULL,
  since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- How long the log is kept by itself; NULL is no rule. One row.
CREATE TABLE retention (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  keep_ms INTEGER CHECK (keep_ms >= 0),
  keep_events INTEGER CHECK (keep_events >= 0),
  max_bytes INTEGER CHECK (max_bytes >= 0)
) STRICT;
INSERT INTO retention (id) VALUES (1);

-- Durable named cursors. acked is the newest change that needs no second delivery. The filter is a
-- canonical JSON document and fixed; the max_* columns are the bounds of the policy 'bounded'. A
-- lease makes one owner the only one who may ack; generation goes up with each, so that a stopped
-- owner is known by its old one.
DROP TABLE consumer;
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

-- Positions that retention must not pass while somebody reads a snapshot as of them.
CREATE TABLE reservation (
  id INTEGER NOT NULL PRIMARY KEY,
  seq INTEGER NOT NULL,
  holder TEXT NOT NULL,
  until INTEGER NOT NULL
) STRICT;

-- What was done for the health of this store, and when. One row.
CREATE TABLE upkeep (
  id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
  backup_at INTEGER,
  backup_seq INTEGER
) STRICT;
INSERT INTO upkeep (id) VALUES (1);
