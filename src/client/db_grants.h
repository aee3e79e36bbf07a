/* Which privileges our role lacks, as the statements that give them. */
#ifndef CLIENT_DB_GRANTS_H
#define CLIENT_DB_GRANTS_H

#include "client/db.h"

/* For a failure `code` whose text is in *e, on the connection that it came from, with nothing in flight: where a GRANT
 * is missing, the text names it, and the code becomes DB_NO_PRIVILEGE (tables in a schema that the role may not use
 * look as if there were none). Returns the code. e may be NULL. */
int db_name_grants(struct db_conn *conn, int code, struct error *e);

#endif
