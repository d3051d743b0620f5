/* What `session get` has to do at least: opens the database, reads the row of a session by its key, and
   prints its columns, one per line.

   read DATABASE SESSION */
#include "sqlite3.h"
#include <stdio.h>

int main(int argc, char **argv) {
  sqlite3 *db;
  sqlite3_stmt *row;
  int column;
  if (argc != 3) return 2;
  if (sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, 0)) return 1;
  if (sqlite3_prepare_v2(db, "SELECT * FROM session WHERE id = ?1", -1, &row, 0)) return 1;
  if (sqlite3_bind_text(row, 1, argv[2], -1, SQLITE_STATIC)) return 1;
  if (sqlite3_step(row) != SQLITE_ROW) return 1;
  for (column = 0; column < sqlite3_column_count(row); column++) {
    const unsigned char *text = sqlite3_column_text(row, column);
    printf("%s  %s\n", sqlite3_column_name(row, column), text ? (const char *)text : "");
  }
  if (sqlite3_finalize(row)) return 1;
  return sqlite3_close(db) != SQLITE_OK;
}
