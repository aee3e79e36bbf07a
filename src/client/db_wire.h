/* Values in PostgreSQL's binary form; private to client/db*.c. */
#ifndef CLIENT_DB_WIRE_H
#define CLIENT_DB_WIRE_H

#include <stdint.h>

/* A timestamptz counts microseconds from 2000-01-01 UTC; this is that day in microseconds since 1970. */
#define DB_EPOCH_US INT64_C(946684800000000)

#endif
