/* The admin page: its files, and who is logged in. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "admin.h"
#include "api/api.h"
#include "api/arguments.h"
#include "api/authorize.h"
#include "api/describe.h"
#include "api/login_limit.h"
#include "api/routes.h"
#include "api/session.h"
#include "base/clock.h"
#include "base/log.h"
#include "codec/password.h"
#include "config/config.h"
#include "http/accepts.h"
#include "http/conditional.h"
#include "store/store.h"

/* Nothing from elsewhere, nothing inline, and in nobody's frame. */
#define POLICY                                                                                                         \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "        \
    "form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

#define COOKIE_FORMAT SESSION_COOKIE "=%s; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=%d"

void route_admin_headers(struct http_transaction *x)
{
    http_add_header(x, "Content-Security-Policy", POLICY);
    http_add_header(x, "X-Content-Type-Options", "nosniff");
    http_add_header(x, "Referrer-Policy", "no-referrer");
    http_add_header(x, "Cross-Origin-Opener-Policy", "same-origin");
}

/* Files */

static const struct admin_file *find_file(const char *name)
{
    for (size_t i = 0; i < ADMIN_FILES; i++)
        if (strcmp(admin_files[i].name, name) == 0)
            return &admin_files[i];
    return NULL;
}

static void send_file(struct http_transaction *x, const struct admin_file *file)
{
    char *accepted = http_header_list(x, "Accept-Encoding"), *tags = http_header_list(x, "If-None-Match");
    int gzip = accepts_coding(accepted, "gzip");
    const struct admin_bytes *body = gzip ? &file->gzip : &file->plain;
    const struct conditional_fields fields = {.if_none_match = tags};
    const struct conditional_current now = {.etag = body->etag};
    int fresh = conditional_check(CONDITIONAL_READ, &fields, &now) == CONDITIONAL_NOT_MODIFIED;
    free(accepted);
    free(tags);

    char *copy = malloc(body->len);
    if (!copy) {
        http_answer_problem(x, 500, "out of memory");
        return;
    }
    memcpy(copy, body->bytes, body->len);
    if (fresh) {
        http_answer_empty(x, 304);
        x->answer.text = copy; /* never sent, but Content-Length has to be that of the 200 */
        x->answer.text_len = body->len;
    } else {
        http_answer_text(x, 200, file->type, copy, body->len);
        if (gzip)
            http_add_header(x, "Content-Encoding", "gzip");
    }
    http_add_header(x, "ETag", "%s", body->etag);
    http_add_header(x, "Vary", "Accept-Encoding");
    http_add_header(x, "Cache-Control", "no-cache");
}

void route_admin_file(struct http_transaction *x)
{
    const struct admin_file *file = find_file(x->tail);
    if (file)
        send_file(x, file);
    else
        http_answer_problem(x, 404, "the admin page has no such file; it begins at /admin/");
}

void route_admin_page(struct http_transaction *x)
{
    const struct admin_file *index = find_file("index.html");
    if (x->raw_path[strlen(x->raw_path) - 1] == '/' && index) {
        send_file(x, index);
        return;
    }
    http_answer_empty(x, 308);
    http_add_header(x, "Location", "admin/"); /* relative: behind a proxy it may have another prefix */
}

/* Logging in */

static const char *client_text(char ret[INET6_ADDRSTRLEN], const unsigned char address[16])
{
    static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};
    int is_ipv4 = memcmp(address, mapped, sizeof mapped) == 0;
    return inet_ntop(is_ipv4 ? AF_INET : AF_INET6, is_ipv4 ? address + 12 : address, ret, INET6_ADDRSTRLEN);
}

static int is_json(const char *type)
{
    static const char json[] = "application/json";
    const size_t n = sizeof json - 1;
    return type && strncasecmp(type, json, n) == 0 && (!type[n] || strchr("; \t", type[n]));
}

/* 1 or 0; negative: it is answered. */
static int is_right(struct http_transaction *x, const json_t *arguments)
{
    const char *setting = store_config(x->service->store)->admin_password;
    const char *link = http_argument_text(arguments, "link"), *password = http_argument_text(arguments, "password");
    if (link)
        return sessions_use_link(x->service->sessions, link);
    if (!setting) {
        http_answer_unset(x, "no password is set: set PERDURA_ADMIN_PASSWORD and start again");
        return -ENOENT;
    }
    int right = strlen(password) <= PASSWORD_MAX_BYTES ? password_matches(setting, password) : 0;
    if (right < 0)
        http_answer_later(x, "the password can't be compared: out of memory");
    return right;
}

static void begin_session(struct http_transaction *x)
{
    char token[SESSION_TOKEN_SIZE], csrf[SESSION_CSRF_SIZE];
    int64_t expires_us;
    struct error why;
    int r = sessions_begin(x->service->sessions, token, &expires_us, &why);
    if (r == 0 && (r = session_csrf(csrf, token)) < 0)
        error_set(&why, r, "OpenSSL fails");
    if (r < 0) {
        http_answer_consequence(x, "the password is right, but no session can be begun", &why);
        return;
    }
    http_answer_json(x, 200, json_pack("{s:s, s:o}", "csrf", csrf, "expires_at", describe_time(expires_us)));
    http_add_header(x, "Set-Cookie", COOKIE_FORMAT, token, ADMIN_SESSION_LASTS_S);
}

static void log_in(struct http_transaction *x, const json_t *arguments)
{
    struct login_limit *limit = x->service->login_limit;
    char client[INET6_ADDRSTRLEN];
    unsigned char address[16];
    http_peer(x, address);
    int64_t wait_ms = login_limit_wait_ms(limit, address, clock_monotonic_ms());
    if (wait_ms) {
        x->answer.retry_after_s = (int)((wait_ms + 999) / 1000);
        http_answer_problem(x, 429, "too many wrong passwords: try again in %d seconds", x->answer.retry_after_s);
        return;
    }
    int right = is_right(x, arguments);
    if (right == 0) {
        login_limit_failed(limit, address, clock_monotonic_ms());
        log_event(LOG_WARN, "admin login refused", LOG_STR("client", client_text(client, address)));
        http_answer_problem(x, 401, "%s",
                            json_object_get(arguments, "link") ? "this link was used already, or is too old"
                                                               : "this is not the password");
        http_add_header(x, "WWW-Authenticate", "Bearer realm=\"perdura\"");
    } else if (right > 0) {
        begin_session(x);
        if (x->answer.status == 200)
            log_event(LOG_INFO, "admin login", LOG_STR("client", client_text(client, address)));
    }
}

void route_admin_login(struct http_transaction *x)
{
    static const struct http_argument known[] = {
        {"password", HTTP_ARGUMENT_TEXT}, {"link", HTTP_ARGUMENT_TEXT}, {NULL, 0}};
    if (http_origin(x) == HTTP_ORIGIN_OTHER) {
        http_answer_problem(x, 403, "only pages of this host may log in (Origin, Sec-Fetch-Site)");
        return;
    }
    if (!is_json(http_header(x, "Content-Type"))) {
        http_answer_problem(x, 415, "send application/json");
        return;
    }
    json_t *arguments = http_arguments(x, known);
    if (!arguments)
        return;
    if (json_object_size(arguments) == 1)
        log_in(x, arguments);
    else
        http_answer_problem(x, 400, "send one of \"password\" and \"link\"");
    json_decref(arguments);
}

void route_admin_session(struct http_transaction *x)
{
    char token[SESSION_TOKEN_SIZE], csrf[SESSION_CSRF_SIZE];
    if (session_token(token, http_header(x, "Cookie")) < 0 || session_csrf(csrf, token) < 0) {
        http_answer_problem(x, 500, "OpenSSL fails");
        return;
    }
    http_answer_json(x, 200,
                     json_pack("{s:s, s:o, s:s}", "csrf", csrf, "expires_at", describe_time(x->session_expires_us),
                               "version", PERDURA_VERSION));
}

void route_admin_logout(struct http_transaction *x)
{
    char token[SESSION_TOKEN_SIZE];
    struct error why;
    int r = session_token(token, http_header(x, "Cookie"));
    if (r == 0)
        r = sessions_end(x->service->sessions, token, &why);
    if (r == 0)
        http_answer_empty(x, 204);
    else
        http_answer_consequence(
            x,
            "the logout is not complete. This browser and this instance have forgotten the session; other "
            "instances will when the database is reached again, unless this one is restarted before. The "
            "database",
            &why);
    http_add_header(x, "Set-Cookie", COOKIE_FORMAT, "", 0);
}
