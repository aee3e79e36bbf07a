/* What is known of images, of the store and of jobs, as JSON: the same for the command line and for HTTP. */
#ifndef API_DESCRIBE_H
#define API_DESCRIBE_H

#include <jansson.h>

#include "job/job.h"
#include "store/store_cleanup.h"

/* A point in time as RFC 3339 text, or null for 0. */
json_t *describe_time(int64_t us);

json_t *describe_image(const struct image_meta *meta);

/* All collections together; without a name. */
struct store_status_collection describe_total(const struct store_status *s);
/* "current", "older", "newer" or "newer, writes refused". Static. */
const char *describe_schema(enum store_schema schema);

json_t *describe_status(const struct store_status *s);

/* The state of the database ("up", "read-only" ...: db_state_name) after a failure, or none (code 0). */
json_t *describe_database(const struct error *why);

/* null where images are not cached in Redis. */
json_t *describe_redis(const struct store_redis_status *s);

/* null where there is none. */
json_t *describe_objects(const struct store_objects_status *s);

json_t *describe_cleanup(const struct store_cleanup_status *s);

/* One element of "errors". */
json_t *describe_problem(const struct image_key *key, const struct error *why);

/* The counters, while it runs or at its end. */
json_t *describe_job(struct job *job);

#endif
