/* The table of routes and its handlers. Each file route_*.c holds those of one subject. */
#ifndef API_ROUTES_H
#define API_ROUTES_H

#include "http/router.h"

extern const struct http_route api_routes[]; /* up to the first without a handler */

void route_image_get(struct http_transaction *x);
void route_image_put(struct http_transaction *x);
void route_image_delete(struct http_transaction *x);
void route_image_purge(struct http_transaction *x);
void route_entity_get(struct http_transaction *x);
void route_entity_put(struct http_transaction *x);
void route_health(struct http_transaction *x);
void route_ready(struct http_transaction *x);
void route_metrics(struct http_transaction *x);
void route_status(struct http_transaction *x);
void route_cache_all(struct http_transaction *x);
void route_cleanup(struct http_transaction *x);
void route_restore(struct http_transaction *x);
void route_warmup(struct http_transaction *x);
void route_invalidate(struct http_transaction *x);
void route_flush(struct http_transaction *x);
void route_images_list(struct http_transaction *x);
void route_images_get(struct http_transaction *x);
void route_images_bulk(struct http_transaction *x);
void route_images_content(struct http_transaction *x);
void route_images_patch(struct http_transaction *x);
void route_images_delete(struct http_transaction *x);
void route_job(struct http_transaction *x);
void route_job_events(struct http_transaction *x);
void route_job_cancel(struct http_transaction *x);
void route_jobs_list(struct http_transaction *x);
void route_uploads_list(struct http_transaction *x);
void route_history(struct http_transaction *x);
void route_settings(struct http_transaction *x);
void route_check(struct http_transaction *x);
void route_fsck(struct http_transaction *x);
void route_proxy_get(struct http_transaction *x);
void route_pet_proxy_get(struct http_transaction *x);
void route_proxy_purge(struct http_transaction *x);
void route_pet_proxy_purge(struct http_transaction *x);
void route_upload(struct http_transaction *x);
void route_sync_status(struct http_transaction *x);
void route_force_sync(struct http_transaction *x);
void route_cache_stats(struct http_transaction *x);
void route_pet_cache_stats(struct http_transaction *x);
void route_admin_page(struct http_transaction *x);
void route_admin_file(struct http_transaction *x);
void route_admin_login(struct http_transaction *x);
void route_admin_session(struct http_transaction *x);
void route_admin_logout(struct http_transaction *x);

/* What every answer of the admin page says to the browser. */
void route_admin_headers(struct http_transaction *x);

/* The head of an upload is there: sets the collection and begins the form, or answers. */
void route_upload_begin(struct http_transaction *x);

/* Forgets what the pattern names, here and, by way of the database, everywhere, and answers. */
void route_invalidate_named(struct http_transaction *x, const char *pattern);

#endif
