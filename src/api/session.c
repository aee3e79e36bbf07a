#include "api/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/thread.h"
#include "client/db.h"
#include "codec/base64.h"
#include "config/config.h"

#define TOKEN_BYTES   32
#define REMEMBERED    64
#define FRESH_MS      2000   /* for so long the database is not asked again */
#define TRUSTED_MS    120000 /* likewise, when it can't be asked */
#define LEFT_ALONE_MS 2000   /* for so long it is not, after it could not be */
#define END_AGAIN_MS  1000   /* between attempts to end in the database what has ended here */

/* What the database has said of one. */
struct remembered {
    struct admin_session_key key;
    int64_t confirmed_ms, expires_us;
    int64_t used_ms; /* 0: the place is free */
    int ended;       /* here; whatever the database said a moment ago */
};

struct sessions {
    struct store *store;
    const char *password; /* the setting; "" without one */
    struct thread thread; /* ends sessions later; runs once there are any. Its lock is over what follows */
    struct remembered remembered[REMEMBERED];
    int64_t left_alone_until_ms;
    unsigned char link[DIGEST_SHA256_LEN];
    int64_t link_until_ms; /* 0: there is none */
    int link_made;
    struct admin_session_key unended[REMEMBERED]; /* those that the database does not know to have ended */
    int unended_count;
};

int sessions_open(struct sessions **ret, struct store *store)
{
    struct sessions *s = calloc(1, sizeof *s);
    if (!s)
        return -ENOMEM;
    const char *password = store_config(store)->admin_password;
    s->store = store;
    s->password = password ? password : "";
    thread_init(&s->thread, LOCK_sessions);
    *ret = s;
    return 0;
}

void sessions_close(struct sessions *s)
{
    if (!s)
        return;
    (void)!thread_stop(&s->thread, THREAD_NEVER);
    if (s->unended_count)
        log_event(LOG_WARN, "logouts not completed", LOG_INT("sessions", s->unended_count),
                  LOG_STR("error", "the database was not reached; they stay valid until they expire"));
    thread_destroy(&s->thread);
    free(s);
}

int sessions_possible(struct sessions *s)
{
    lock_take(&s->thread.lock);
    int possible = *s->password || s->link_made;
    lock_give(&s->thread.lock);
    return possible;
}

/* Tokens */

static int is_token(const char *text, size_t n)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    return n == SESSION_TOKEN_SIZE - 1 && strspn(text, alphabet) >= n;
}

int session_token(char ret[SESSION_TOKEN_SIZE], const char *cookies)
{
    static const char name[] = SESSION_COOKIE "=";
    int found = 0;
    for (const char *at = cookies ? cookies : ""; *at; at += strspn(at, "; \t")) {
        size_t n = strcspn(at, ";");
        const char *value = at + sizeof name - 1;
        if (strncmp(at, name, sizeof name - 1) == 0) {
            size_t len = n - (sizeof name - 1);
            while (len && (value[len - 1] == ' ' || value[len - 1] == '\t'))
                len--;
            if (found++ || !is_token(value, len))
                return -ENOENT;
            memcpy(ret, value, len);
            ret[len] = '\0';
        }
        at += n;
    }
    return found ? 0 : -ENOENT;
}

static int make_token(char ret[SESSION_TOKEN_SIZE])
{
    unsigned char random[TOKEN_BYTES];
    char text[SESSION_TOKEN_SIZE]; /* one '=' stands where the NUL goes */
    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random)
        return -EIO;
    (void)base64_encode(text, random, sizeof random);
    for (size_t i = 0; i < sizeof text; i++)
        ret[i] = (char)(text[i] == '+' ? '-' : text[i] == '/' ? '_' : text[i]);
    ret[SESSION_TOKEN_SIZE - 1] = '\0';
    return 0;
}

int session_csrf(char ret[SESSION_CSRF_SIZE], const char *token)
{
    static const char purpose[] = "csrf";
    unsigned char mac[DIGEST_SHA256_LEN];
    int r = digest_hmac(token, strlen(token), purpose, sizeof purpose - 1, mac);
    if (r == 0)
        digest_hex(ret, mac);
    return r;
}

/* With the csrf, which nobody can guess, goes the password: it can't be found out from the digest. */
static int make_key(const struct sessions *s, const char *token, struct admin_session_key *ret)
{
    char csrf[SESSION_CSRF_SIZE];
    struct digest digest;
    int r = session_csrf(csrf, token);
    if (r == 0)
        r = digest_sha256(token, strlen(token), ret->token);
    if (r == 0)
        r = digest_start(&digest, DIGEST_SHA256);
    if (r < 0)
        return r;
    r = digest_add(&digest, csrf, sizeof csrf - 1);
    if (r == 0)
        r = digest_add(&digest, s->password, strlen(s->password));
    int ended = digest_end(&digest, ret->with);
    return r < 0 ? r : ended;
}

/* What is remembered; with the lock held. */

static struct remembered *find(struct sessions *s, const struct admin_session_key *key)
{
    for (int i = 0; i < REMEMBERED; i++)
        if (s->remembered[i].used_ms && memcmp(s->remembered[i].key.token, key->token, sizeof key->token) == 0)
            return &s->remembered[i];
    return NULL;
}

/* Its place, or that of the one which was used least lately. */
static struct remembered *place(struct sessions *s, const struct admin_session_key *key)
{
    struct remembered *found = find(s, key);
    if (found)
        return found;
    found = s->remembered;
    for (int i = 1; i < REMEMBERED; i++)
        if (s->remembered[i].used_ms < found->used_ms)
            found = &s->remembered[i];
    *found = (struct remembered){.key = *key, .used_ms = clock_monotonic_ms()};
    return found;
}

static int keep(struct sessions *s, const struct admin_session_key *key, int64_t expires_us)
{
    struct remembered *one = place(s, key);
    if (one->ended)
        return -ENOENT;
    one->confirmed_ms = one->used_ms = clock_monotonic_ms();
    one->expires_us = expires_us;
    return 0;
}

static int is_trusted(const struct remembered *one, int64_t now_ms, int64_t limit_ms)
{
    return one && !one->ended && now_ms - one->confirmed_ms < limit_ms && one->expires_us > clock_realtime_us();
}

/* Sessions */

int sessions_begin(struct sessions *s, char ret_token[SESSION_TOKEN_SIZE], int64_t *ret_expires_us, struct error *e)
{
    struct admin_session_key key;
    int r = make_token(ret_token);
    if (r == 0)
        r = make_key(s, ret_token, &key);
    if (r < 0)
        return error_set(e, r, "no random numbers, or OpenSSL fails");
    r = admin_session_put(s->store, &key, ret_expires_us, e);
    if (r < 0)
        return r;
    lock_take(&s->thread.lock);
    r = keep(s, &key, *ret_expires_us);
    lock_give(&s->thread.lock);
    return r;
}

int sessions_known(struct sessions *s, const char *token, int64_t *ret_expires_us)
{
    struct admin_session_key key;
    int64_t now_ms = clock_monotonic_ms();
    if (make_key(s, token, &key) < 0)
        return -EAGAIN;
    lock_take(&s->thread.lock);
    struct remembered *one = find(s, &key);
    int64_t limit_ms = now_ms < s->left_alone_until_ms ? TRUSTED_MS : FRESH_MS;
    int r = one && one->ended ? -ENOENT : is_trusted(one, now_ms, limit_ms) ? 0 : -EAGAIN;
    if (r == 0) {
        one->used_ms = now_ms;
        *ret_expires_us = one->expires_us;
    }
    lock_give(&s->thread.lock);
    return r;
}

/* With the lock held: what to make of the database's answer. */
static int settle(struct sessions *s, const struct admin_session_key *key, int answer, int64_t *expires_us)
{
    struct remembered *one = find(s, key);
    int64_t now_ms = clock_monotonic_ms();
    if (answer == 0)
        return keep(s, key, *expires_us);
    if (!db_unavailable(answer)) {
        if (one && !one->ended)
            *one = (struct remembered){0};
        return answer;
    }
    s->left_alone_until_ms = now_ms + LEFT_ALONE_MS;
    if (!is_trusted(one, now_ms, TRUSTED_MS))
        return answer;
    *expires_us = one->expires_us;
    return 0;
}

int sessions_ask(struct sessions *s, const char *token, int64_t *ret_expires_us, struct error *e)
{
    struct admin_session_key key;
    int64_t expires_us = 0;
    int r = make_key(s, token, &key);
    if (r < 0)
        return error_set(e, r, "OpenSSL fails");
    r = admin_session_get(s->store, &key, &expires_us, e);
    lock_take(&s->thread.lock);
    r = settle(s, &key, r, &expires_us);
    lock_give(&s->thread.lock);
    if (r == 0)
        *ret_expires_us = expires_us;
    return r;
}

static void sessions_run(void *arg)
{
    struct sessions *s = arg;
    lock_take(&s->thread.lock);
    while (thread_wait_locked(&s->thread, clock_monotonic_ms() + END_AGAIN_MS)) {
        while (s->unended_count && !s->thread.stopping) {
            struct admin_session_key key = s->unended[0];
            lock_give(&s->thread.lock);
            db_deadline(clock_monotonic_ms() + END_AGAIN_MS);
            int r = admin_session_end(s->store, &key, NULL);
            lock_take(&s->thread.lock);
            if (r < 0)
                break;
            s->unended[0] = s->unended[--s->unended_count];
        }
    }
    lock_give(&s->thread.lock);
}

/* With the lock held. Of more than there is room for, the others expire. */
static void end_later(struct sessions *s, const struct admin_session_key *key)
{
    if (s->unended_count < REMEMBERED)
        s->unended[s->unended_count++] = *key;
    if (!s->thread.started)
        (void)!thread_start(&s->thread, "sessions", sessions_run, s);
}

int sessions_end(struct sessions *s, const char *token, struct error *e)
{
    struct admin_session_key key;
    int r = make_key(s, token, &key);
    if (r < 0)
        return error_set(e, r, "OpenSSL fails");
    lock_take(&s->thread.lock);
    place(s, &key)->ended = 1;
    lock_give(&s->thread.lock);
    r = admin_session_end(s->store, &key, e);
    if (r == 0)
        return 0;
    lock_take(&s->thread.lock);
    end_later(s, &key);
    lock_give(&s->thread.lock);
    return r;
}

/* Links */

int sessions_make_link(struct sessions *s, char ret[SESSION_TOKEN_SIZE])
{
    unsigned char digest[DIGEST_SHA256_LEN];
    int r = make_token(ret);
    if (r == 0)
        r = digest_sha256(ret, strlen(ret), digest);
    if (r < 0)
        return r;
    lock_take(&s->thread.lock);
    memcpy(s->link, digest, sizeof s->link);
    s->link_until_ms = clock_monotonic_ms() + SESSION_LINK_LASTS_S * INT64_C(1000);
    s->link_made = 1;
    lock_give(&s->thread.lock);
    return 0;
}

int sessions_use_link(struct sessions *s, const char *token)
{
    unsigned char digest[DIGEST_SHA256_LEN];
    if (digest_sha256(token, strlen(token), digest) < 0)
        return 0;
    lock_take(&s->thread.lock);
    int right = clock_monotonic_ms() < s->link_until_ms && digest_equal(s->link, digest, sizeof digest);
    if (right)
        s->link_until_ms = 0;
    lock_give(&s->thread.lock);
    return right;
}
