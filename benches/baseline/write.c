/* What a hook has to do at least: updates a session in one transaction, captured by the triggers of the
   store, and waits until it is on disk. With a QUEUE, it waits for its turn in the kernel's queue of the
   lock of that file.

   write DATABASE SESSION ACTIVITY TIME [QUEUE] */
#include "sqlite3.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>

static const char *BEGIN = "PRAGMA synchronous = FULL; PRAGMA recursive_triggers = ON; BEGIN IMMEDIATE;"
    "UPDATE change_context SET"
    " tx = 1 + coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'change_log'), 0),"
    " at = max(at, 1800000000000), actor = 'bench'";
static const char *CHANGE = "UPDATE session SET activity = ?2, activity_source = 'hook', activity_at = ?3,"
    " activity_revision = activity_revision + 1, updated_at = ?3 WHERE id = ?1";
static const char *COMMIT =
    "UPDATE change_context SET tx = NULL, actor = NULL WHERE tx IS NOT NULL; COMMIT";

static int failed(sqlite3 *db) {
  fprintf(stderr, "%s\n", sqlite3_errmsg(db));
  return 1;
}

int main(int argc, char **argv) {
  sqlite3 *db;
  sqlite3_stmt *change;
  if (argc < 5) return 2;
  if (argc > 5) {
    int queue = open(argv[5], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (queue < 0 || flock(queue, LOCK_EX)) return 1;
  }
  if (sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, 0)) return 1;
  sqlite3_busy_timeout(db, 60000);
  if (sqlite3_exec(db, BEGIN, 0, 0, 0)) return failed(db);
  if (sqlite3_prepare_v2(db, CHANGE, -1, &change, 0)) return failed(db);
  sqlite3_bind_text(change, 1, argv[2], -1, SQLITE_STATIC);
  sqlite3_bind_text(change, 2, argv[3], -1, SQLITE_STATIC);
  sqlite3_bind_text(change, 3, argv[4], -1, SQLITE_STATIC);
  if (sqlite3_step(change) != SQLITE_DONE || sqlite3_changes(db) != 1) return failed(db);
  sqlite3_finalize(change);
  if (sqlite3_exec(db, COMMIT, 0, 0, 0)) return failed(db);
  return sqlite3_close(db) != SQLITE_OK;
}
