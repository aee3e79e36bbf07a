#include "base/metric.h"

#include <ctype.h>
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define THREADS 12
#define ROUNDS  20000

static char *page(void)
{
    struct buf out;
    buf_init(&out, 1048576);
    assert_int_equal(metric_print(&out), 0);
    assert_int_equal(out.len, strlen(out.data));
    return out.data;
}

static int shows(const char *line)
{
    char *text = page();
    char *found = strstr(text, line);
    /* A whole line, not the end or the start of one. */
    int whole = found && (found == text || found[-1] == '\n') && strchr("\n", found[strlen(line)]);
    free(text);
    return whole;
}

static void test_counters(void **state)
{
    (void)state;
    assert_true(shows("perdura_heals_total 0"));
    metric_inc(METRIC_heals);
    metric_add(METRIC_heals, METRIC_none, METRIC_none, 41);
    assert_int_equal(metric_get(METRIC_heals, METRIC_none, METRIC_none), 42);
    assert_true(shows("# HELP perdura_heals_total Missing files put back by a request."));
    assert_true(shows("# TYPE perdura_heals_total counter"));
    assert_true(shows("perdura_heals_total 42"));

    metric_add(METRIC_reads, METRIC_tier_memory, METRIC_none, 3);
    metric_add(METRIC_reads, METRIC_tier_origin, METRIC_none, 4);
    assert_true(shows("perdura_reads_total{tier=\"memory\"} 3"));
    assert_true(shows("perdura_reads_total{tier=\"disk\"} 0"));
    assert_true(shows("perdura_reads_total{tier=\"origin\"} 4"));
    assert_int_equal(metric_get(METRIC_read_misses, METRIC_tier_memory, METRIC_none), 0);

    metric_add(METRIC_http_requests, METRIC_route_media, metric_code(206), 5);
    metric_add(METRIC_http_requests, METRIC_route_unknown, metric_code(599), 6);
    assert_true(shows("perdura_http_requests_total{route=\"media\",code=\"2xx\"} 5"));
    assert_true(shows("perdura_http_requests_total{route=\"unknown\",code=\"5xx\"} 6"));
    assert_false(shows("perdura_http_requests_total{route=\"media\",code=\"4xx\"} 0"));
}

static void test_codes(void **state)
{
    (void)state;
    assert_int_equal(metric_code(100), METRIC_code_1xx);
    assert_int_equal(metric_code(204), METRIC_code_2xx);
    assert_int_equal(metric_code(304), METRIC_code_3xx);
    assert_int_equal(metric_code(499), METRIC_code_4xx);
    assert_int_equal(metric_code(0), METRIC_code_5xx);
    assert_int_equal(metric_code(1000), METRIC_code_5xx);
    assert_int_equal(metric_code(-200), METRIC_code_5xx);
}

static void test_names_of_values(void **state)
{
    (void)state;
    assert_int_equal(metric_tier("memory"), METRIC_tier_memory);
    assert_int_equal(metric_tier("db"), METRIC_tier_db);
    assert_int_equal(metric_tier("origin"), METRIC_tier_origin);
    assert_int_equal(metric_kind("cache-all"), METRIC_kind_cache_all);
    assert_int_equal(metric_kind("fsck"), METRIC_kind_fsck);
    static const char *const others[] = {"", "cache", "cache-all-", "fsc", "rescan"};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_int_equal(metric_kind(others[i]), METRIC_kind_other);
}

static int64_t read_seven(void *arg)
{
    return 7 + *(int *)arg;
}

static void test_gauges(void **state)
{
    (void)state;
    int more = 1;
    assert_false(shows("perdura_pending_files 0"));
    assert_true(shows("# TYPE perdura_pending_files gauge"));
    metric_set(METRIC_pending_files, METRIC_none, METRIC_none, 0);
    assert_true(shows("perdura_pending_files 0"));
    metric_set(METRIC_pending_files, METRIC_none, METRIC_none, 5);
    assert_true(shows("perdura_pending_files 5"));
    assert_int_equal(metric_get(METRIC_pending_files, METRIC_none, METRIC_none), 5);

    metric_reader(METRIC_pending_files, METRIC_none, METRIC_none, read_seven, &more);
    assert_true(shows("perdura_pending_files 8"));
    assert_int_equal(metric_get(METRIC_pending_files, METRIC_none, METRIC_none), 8);
    metric_reader(METRIC_pending_files, METRIC_none, METRIC_none, NULL, NULL);
    assert_false(shows("perdura_pending_files 8"));
    assert_false(shows("perdura_pending_files 5"));
    assert_int_equal(metric_get(METRIC_pending_files, METRIC_none, METRIC_none), 0);

    metric_set(METRIC_tier_up, METRIC_tier_redis, METRIC_none, 0);
    assert_true(shows("perdura_tier_up{tier=\"redis\"} 0"));
    assert_false(shows("perdura_tier_up{tier=\"db\"} 0"));

    metric_set(METRIC_oldest_pending_seconds, METRIC_none, METRIC_none, 1500000);
    assert_true(shows("perdura_oldest_pending_seconds 1.500000"));
}

static void test_histogram(void **state)
{
    (void)state;
    static const int64_t times[] = {-5, 0, 100, 101, 1000, 10000000, 10000001, 3600000000};
    for (size_t i = 0; i < sizeof times / sizeof *times; i++)
        metric_observe(METRIC_http_request_seconds, METRIC_none, METRIC_none, times[i]);
    assert_true(shows("# TYPE perdura_http_request_seconds histogram"));
    assert_true(shows("perdura_http_request_seconds_bucket{le=\"0.0001\"} 3"));
    assert_true(shows("perdura_http_request_seconds_bucket{le=\"0.00025\"} 4"));
    assert_true(shows("perdura_http_request_seconds_bucket{le=\"0.0005\"} 4"));
    assert_true(shows("perdura_http_request_seconds_bucket{le=\"0.001\"} 5"));
    assert_true(shows("perdura_http_request_seconds_bucket{le=\"5\"} 5"));
    assert_true(shows("perdura_http_request_seconds_bucket{le=\"10\"} 6"));
    assert_true(shows("perdura_http_request_seconds_bucket{le=\"+Inf\"} 8"));
    assert_true(shows("perdura_http_request_seconds_count 8"));
    assert_true(shows("perdura_http_request_seconds_sum 3620.001202"));
    assert_int_equal(metric_get(METRIC_http_request_seconds, METRIC_none, METRIC_none), 8);
}

static void *count(void *arg)
{
    (void)arg;
    for (int i = 0; i < ROUNDS; i++) {
        metric_inc(METRIC_persisted);
        metric_observe(METRIC_persist_seconds, METRIC_none, METRIC_none, i);
    }
    return NULL;
}

static void test_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count, NULL), 0);
    free(page());
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metric_get(METRIC_persisted, METRIC_none, METRIC_none), THREADS * ROUNDS);
    assert_int_equal(metric_get(METRIC_persist_seconds, METRIC_none, METRIC_none), THREADS * ROUNDS);
}

/* What Prometheus demands of names (and recommends: counters end in _total). */
static void test_names(void **state)
{
    (void)state;
    static const struct {
        const char *name, *kind, *help;
    } all[] = {
#define METRIC(id, kind, unit, name, label, label2, help) {name, #kind, help},
#include "base/metrics.def"
    };
    for (size_t i = 0; i < METRICS; i++) {
        const char *name = all[i].name;
        size_t len = strlen(name);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), len);
        assert_memory_equal(name, "perdura_", 8);
        int total = len > 6 && strcmp(name + len - 6, "_total") == 0;
        assert_int_equal(total, strcmp(all[i].kind, "COUNTER") == 0);
        assert_null(strpbrk(all[i].help, "\\\n"));
        assert_true(isupper((unsigned char)all[i].help[0]) || isdigit((unsigned char)all[i].help[0]));
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(name, all[j].name);
    }
}

static void test_small_buffer(void **state)
{
    (void)state;
    struct buf out;
    buf_init(&out, 100);
    assert_int_equal(metric_print(&out), -EMSGSIZE);
    buf_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_counters),     cmocka_unit_test(test_codes),           cmocka_unit_test(test_gauges),
        cmocka_unit_test(test_histogram),    cmocka_unit_test(test_threads),         cmocka_unit_test(test_names),
        cmocka_unit_test(test_small_buffer), cmocka_unit_test(test_names_of_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
