#include "base/metric.h"

#include <assert.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/lock.h"

/* Threads take turns at this many cells for each number, so that two seldom write to the same one. */
#define SLOTS      8
#define CACHE_LINE 64

static const struct bound {
    int64_t us;
    const char *text; /* in seconds */
} bounds[] = {
    {100, "0.0001"}, {250, "0.00025"}, {500, "0.0005"}, {1000, "0.001"},  {2500, "0.0025"}, {5000, "0.005"},
    {10000, "0.01"}, {25000, "0.025"}, {50000, "0.05"}, {100000, "0.1"},  {250000, "0.25"}, {500000, "0.5"},
    {1000000, "1"},  {2500000, "2.5"}, {5000000, "5"},  {10000000, "10"},
};
#define BOUNDS (sizeof bounds / sizeof bounds[0])

/* The cells of a histogram's series: one a bound, one for what is above them all, and the sum. */
#define CELL_ABOVE BOUNDS
#define CELL_SUM   (BOUNDS + 1)

enum metric_kind_of { COUNTER, GAUGE, HISTOGRAM };
enum unit { COUNT, MICROSECONDS };

#define CELLS_COUNTER   1
#define CELLS_GAUGE     1
#define CELLS_HISTOGRAM (BOUNDS + 2)

/* Where the values of each label begin and end in enum metric_value. */
enum {
#define LABEL(label)        BEGIN_##label, BEFORE_##label = BEGIN_##label - 1,
#define VALUE(label, value) VALUE_##label##_##value,
#define LABEL_END(label)    END_##label, LAST_##label = END_##label - 1,
#include "base/metrics.def"
};

static const char *const value_names[] = {
#define VALUE(label, value) #value,
#include "base/metrics.def"
};

struct label {
    const char *name;
    int first, len; /* of its values */
};

enum label_id {
#define LABEL(label) LABEL_##label,
#include "base/metrics.def"
};

static const struct label labels[] = {
#define LABEL(label) {#label, BEGIN_##label, END_##label - BEGIN_##label},
#include "base/metrics.def"
};

/* Where the cells of each metric begin. */
enum {
#define SERIES(label, label2) ((END_##label - BEGIN_##label) * (END_##label2 - BEGIN_##label2))
#define METRIC(id, kind, unit, name, label, label2, help)                                                              \
    CELL_##id, CELL_LAST_##id = CELL_##id + (int)CELLS_##kind * SERIES(label, label2) - 1,
#include "base/metrics.def"
    CELLS
};

static const struct metric {
    enum metric_kind_of kind;
    enum unit unit;
    const char *name, *help;
    enum label_id label, label2;
    int first, per_series; /* cells */
} metrics[METRICS] = {
#define METRIC(id_, kind_, unit_, name_, label_, label2_, help_)                                                       \
    [METRIC_##id_] = {kind_, unit_, name_, help_, LABEL_##label_, LABEL_##label2_, CELL_##id_, (int)CELLS_##kind_},
#include "base/metrics.def"
};

static struct metric_slot {
    _Alignas(CACHE_LINE) atomic_llong cells[CELLS];
} slots[SLOTS];

/* Of gauges, by cell; their values are in the first slot. */
static struct gauge {
    atomic_int set;
    metric_read_fn *read; /* under the lock */
    void *arg;
} gauges[CELLS];
static struct lock lock = LOCK_INIT(metric_readers); /* over the readers */

/* The cells of the calling thread. */
static atomic_llong *my_cells(void)
{
    static atomic_uint threads;
    static _Thread_local struct metric_slot *mine;
    if (!mine)
        mine = &slots[atomic_fetch_add_explicit(&threads, 1, memory_order_relaxed) % SLOTS];
    return mine->cells;
}

static int64_t sum_cells(int cell)
{
    int64_t sum = 0;
    for (int i = 0; i < SLOTS; i++)
        sum += atomic_load_explicit(&slots[i].cells[cell], memory_order_relaxed);
    return sum;
}

/* The first cell of a series. */
static int series_cell(const struct metric *m, enum metric_value label, enum metric_value label2)
{
    const struct label *a = &labels[m->label], *b = &labels[m->label2];
    int i = (int)label - a->first, j = (int)label2 - b->first;
    assert(i >= 0 && i < a->len && j >= 0 && j < b->len);
    return m->first + (i * b->len + j) * m->per_series;
}

void metric_add(enum metric_id id, enum metric_value label, enum metric_value label2, int64_t n)
{
    const struct metric *m = &metrics[id];
    assert(m->kind == COUNTER && n >= 0);
    atomic_fetch_add_explicit(&my_cells()[series_cell(m, label, label2)], n, memory_order_relaxed);
}

void metric_inc(enum metric_id id)
{
    metric_add(id, METRIC_none, METRIC_none, 1);
}

void metric_observe(enum metric_id id, enum metric_value label, enum metric_value label2, int64_t us)
{
    const struct metric *m = &metrics[id];
    size_t bucket = 0;
    assert(m->kind == HISTOGRAM && m->unit == MICROSECONDS);
    while (bucket < BOUNDS && us > bounds[bucket].us)
        bucket++;
    atomic_llong *cells = &my_cells()[series_cell(m, label, label2)];
    atomic_fetch_add_explicit(&cells[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&cells[CELL_SUM], us > 0 ? us : 0, memory_order_relaxed);
}

void metric_set(enum metric_id id, enum metric_value label, enum metric_value label2, int64_t value)
{
    const struct metric *m = &metrics[id];
    assert(m->kind == GAUGE);
    int cell = series_cell(m, label, label2);
    atomic_store_explicit(&slots[0].cells[cell], value, memory_order_relaxed);
    atomic_store_explicit(&gauges[cell].set, 1, memory_order_release);
}

void metric_reader(enum metric_id id, enum metric_value label, enum metric_value label2, metric_read_fn *read,
                   void *arg)
{
    const struct metric *m = &metrics[id];
    assert(m->kind == GAUGE);
    struct gauge *gauge = &gauges[series_cell(m, label, label2)];
    lock_take(&lock);
    gauge->read = read;
    gauge->arg = arg;
    atomic_store_explicit(&gauge->set, 0, memory_order_relaxed);
    lock_give(&lock);
}

/* Whether the gauge is shown, and its value. The lock is held. */
static int read_gauge(int cell, int64_t *ret)
{
    struct gauge *gauge = &gauges[cell];
    if (gauge->read)
        *ret = gauge->read(gauge->arg);
    else if (atomic_load_explicit(&gauge->set, memory_order_acquire))
        *ret = atomic_load_explicit(&slots[0].cells[cell], memory_order_relaxed);
    else
        return 0;
    return 1;
}

int64_t metric_get(enum metric_id id, enum metric_value label, enum metric_value label2)
{
    const struct metric *m = &metrics[id];
    int cell = series_cell(m, label, label2);
    int64_t value = 0;
    switch (m->kind) {
    case COUNTER:
        value = sum_cells(cell);
        break;
    case HISTOGRAM:
        for (size_t i = 0; i <= CELL_ABOVE; i++)
            value += sum_cells(cell + (int)i);
        break;
    case GAUGE:
        lock_take(&lock);
        (void)read_gauge(cell, &value);
        lock_give(&lock);
        break;
    }
    return value;
}

enum metric_value metric_code(int status)
{
    int class = status / 100;
    return class >= 1 && class <= 5 ? (enum metric_value)(METRIC_code_1xx + class - 1) : METRIC_code_5xx;
}

/* Values are written with _ for what is a - elsewhere. Returns the last one for a name that is none. */
static enum metric_value value_named(enum label_id id, const char *name)
{
    const struct label *label = &labels[id];
    int i = 0;
    for (; i < label->len - 1; i++) {
        const char *value = value_names[label->first + i];
        size_t at = 0;
        while (value[at] && (value[at] == name[at] || (value[at] == '_' && name[at] == '-')))
            at++;
        if (!value[at] && !name[at])
            break;
    }
    return (enum metric_value)(label->first + i);
}

enum metric_value metric_tier(const char *name)
{
    return value_named(LABEL_tier, name);
}

enum metric_value metric_kind(const char *name)
{
    return value_named(LABEL_kind, name);
}

/* One line: name, suffix, the labels that the series has, `le` (NULL: none), value. */
struct metric_line {
    const struct metric *m;
    enum metric_value label, label2;
    const char *suffix, *le;
    enum unit unit;
    int64_t value;
};

static int add_label(struct buf *out, const char **separator, const char *name, const char *value)
{
    int r = buf_addf(out, "%s%s=\"%s\"", *separator, name, value);
    *separator = ",";
    return r;
}

static int add_line(struct buf *out, const struct metric_line *line)
{
    const char *separator = "{";
    const struct metric *m = line->m;
    int r = buf_addf(out, "%s%s", m->name, line->suffix);
    if (r == 0 && m->label != LABEL_none)
        r = add_label(out, &separator, labels[m->label].name, value_names[line->label]);
    if (r == 0 && m->label2 != LABEL_none)
        r = add_label(out, &separator, labels[m->label2].name, value_names[line->label2]);
    if (r == 0 && line->le)
        r = add_label(out, &separator, "le", line->le);
    const char *end = *separator == ',' ? "}" : "";
    if (r < 0)
        return r;
    if (line->unit == COUNT)
        return buf_addf(out, "%s %" PRId64 "\n", end, line->value);
    /* Not as a double: its point would be that of the locale, and a long sum lose its end. */
    int64_t us = line->value;
    return buf_addf(out, "%s %s%" PRId64 ".%06" PRId64 "\n", end, us < 0 ? "-" : "",
                    us < 0 ? -(us / 1000000) : us / 1000000, us < 0 ? -(us % 1000000) : us % 1000000);
}

/* Counts are cumulative: each bucket holds all below it. */
static int add_histogram(struct buf *out, struct metric_line line, int cell)
{
    int r = 0;
    line.suffix = "_bucket";
    line.unit = COUNT;
    line.value = 0;
    for (size_t i = 0; r == 0 && i <= CELL_ABOVE; i++) {
        line.value += sum_cells(cell + (int)i);
        line.le = i < BOUNDS ? bounds[i].text : "+Inf";
        r = add_line(out, &line);
    }
    line.le = NULL;
    line.suffix = "_count";
    if (r == 0)
        r = add_line(out, &line);
    line.suffix = "_sum";
    line.unit = line.m->unit;
    line.value = sum_cells(cell + (int)CELL_SUM);
    return r < 0 ? r : add_line(out, &line);
}

static int add_series(struct buf *out, const struct metric *m, enum metric_value label, enum metric_value label2)
{
    struct metric_line line = {.m = m, .label = label, .label2 = label2, .suffix = "", .unit = m->unit};
    int cell = series_cell(m, label, label2);
    if (m->kind == HISTOGRAM)
        return add_histogram(out, line, cell);
    if (m->kind == GAUGE && !read_gauge(cell, &line.value))
        return 0;
    if (m->kind == COUNTER)
        line.value = sum_cells(cell);
    if (m->kind == COUNTER && m->label2 != LABEL_none && !line.value)
        return 0;
    return add_line(out, &line);
}

static int add_metric(struct buf *out, const struct metric *m)
{
    static const char *const kinds[] = {[COUNTER] = "counter", [GAUGE] = "gauge", [HISTOGRAM] = "histogram"};
    const struct label *a = &labels[m->label], *b = &labels[m->label2];
    int r = buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help, m->name, kinds[m->kind]);
    for (int i = 0; i < a->len; i++)
        for (int j = 0; r == 0 && j < b->len; j++)
            r = add_series(out, m, (enum metric_value)(a->first + i), (enum metric_value)(b->first + j));
    return r;
}

int metric_print(struct buf *out)
{
    int r = 0;
    lock_take(&lock);
    for (int i = 0; r == 0 && i < METRICS; i++)
        r = add_metric(out, &metrics[i]);
    lock_give(&lock);
    return r;
}
