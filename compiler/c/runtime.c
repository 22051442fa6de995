/* What every compiled program shares: the table of its calls, and how it is run.

   A call is a function of NumPy's inner-loop signature: pointers to its arrays, counts,
   strides in bytes. NumPy's own inner loops (products, exp) and the loops generated for
   the program's elementwise runs are called alike. The numbers of a call say how its
   pointers move from one network of a stack to the next, and from one training step to
   the next, so any networks can take any steps by themselves. */

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#if defined(_WIN32)
#define XPNET __declspec(dllexport)
#else
#define XPNET __attribute__((visibility("default")))
#endif

/* No element of a loop depends on another one's result. */
#if defined(__clang__)
#define APART _Pragma("clang loop vectorize(assume_safety) interleave(enable)")
#else
#define APART _Pragma("GCC ivdep")
#endif

/* Of the names that expressions.py writes, for bits that no literal has. */
static inline float __int_as_float(int bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}
static inline double __longlong_as_double(long long bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

typedef void (*Function)(char **, const int64_t *, const int64_t *, void *);

enum { MOST_ARRAYS = 256, MOST_COUNTS = 64 /* NumPy's most axes */, MOST_PARTS = 64 };

typedef struct {
    Function function;
    void *data;
    const int64_t *strides; /* as the function expects them */
    const int64_t *counts;  /* counts[0] is `unit` a network where unit > 0 */
    int64_t n_counts;
    int64_t unit;
    char *const *arrays;
    int64_t n_arrays;
    const int64_t *member; /* bytes from one network to the next, an array each */
    const int64_t *step;   /* bytes from one training step to the next */
    int64_t parts;         /* that it is done in */
    int64_t cut;           /* the count that is divided among them */
    int64_t grain;         /* all but the last are multiples of it */
    const int64_t *by;     /* bytes from one of that count to the next, an array each */
    const int64_t *apart;  /* bytes from one part to the next, besides */
    int64_t group;         /* calls from here on of which a part needs no other part */
} Call;

/* A call of networks first .. first + members - 1 in training step `step`: a part. */
static void run_part(const Call *c, int64_t part, int64_t first, int64_t members,
                     int64_t step)
{
    char *arrays[MOST_ARRAYS]; /* some of NumPy's loops move their pointers */
    int64_t counts[MOST_COUNTS];
    for (int64_t j = 0; j < c->n_arrays; j++)
        arrays[j] = c->arrays[j] + first * c->member[j] + step * c->step[j];
    for (int64_t j = 0; j < c->n_counts; j++)
        counts[j] = c->counts[j];
    if (c->unit)
        counts[0] = c->unit * members;
    if (c->parts > 1) {
        const int64_t total = counts[c->cut], units = (total + c->grain - 1) / c->grain;
        const int64_t most = (units + c->parts - 1) / c->parts * c->grain;
        const int64_t start = part * most;
        if (start >= total)
            return;
        counts[c->cut] = total - start < most ? total - start : most;
        for (int64_t j = 0; j < c->n_arrays; j++)
            arrays[j] += start * c->by[j] + part * c->apart[j];
    }
    c->function(arrays, counts, c->strides, c->data);
}

static void run_group(const Call *c, int64_t part, int64_t first, int64_t members,
                      int64_t step)
{
    for (int64_t i = 0; i < c->group; i++)
        run_part(c + i, part, first, members, step);
}

/* The thread team: worker i computes part i of a group of calls. The main thread opens a
   group, computes the first part, then each part that no worker has started; it waits
   for a part only if a worker computes it. So a late worker affects speed, not results.
   The main thread alone computes calls of one part. */

#if defined(_WIN32)
typedef struct Team Team;
static bool lead(const Call *c, int64_t n) { return (void)c, (void)n, false; }
static void leave(void) {}
static void run_parts(const Call *c, int64_t first, int64_t members, int64_t step,
                      bool leading)
{
    for (int64_t part = 0; part < c->parts; part++)
        run_group(c, part, first, members, step);
}
#else
#include <pthread.h>
#include <sched.h>
#include <signal.h>

enum {
    SPINS = 10000,  /* looks for work, some 200 us, before a worker sleeps */
    STACK = 1 << 22 /* bytes: more than some systems give, BLAS may need it */
};

typedef struct {
    int64_t claimed, done; /* the newest group whose part was started, ended */
    char apart[48];        /* a cache line each */
} Part;

typedef struct {
    Part parts[MOST_PARTS];
    int64_t open; /* MOST_PARTS * 2 * its number + its parts: the group that is open */
    const Call *call;
    int64_t first, members, step;
    char apart[24];
    int64_t busy, number, asleep, rings;
    pthread_mutex_t lock;
    pthread_cond_t wake;
} Team;

static Team own __attribute__((aligned(64)));
static Team *team;

#define LOAD(x) __atomic_load_n(&(x), __ATOMIC_ACQUIRE)
#define STORE(x, value) __atomic_store_n(&(x), (value), __ATOMIC_RELEASE)

static inline void rest(int64_t spins)
{
    if (spins > SPINS)
        sched_yield();
#if defined(__x86_64__)
    else
        __builtin_ia32_pause();
#endif
}

/* A team without workers; in a child of fork, again without them. */
XPNET void *xpnet_team_begin(void)
{
    memset(&own, 0, sizeof own);
    pthread_mutex_init(&own.lock, NULL);
    pthread_cond_init(&own.wake, NULL);
    return &own;
}

/* The team that computes the calls of this library. */
XPNET void xpnet_team_join(void *other) { team = other; }

/* Claim part `part` of group `number`, if it has not been started. */
static bool claim(Team *c, int64_t part, int64_t number)
{
    int64_t last = LOAD(c->parts[part].claimed);
    return last < number &&
           __atomic_compare_exchange_n(&c->parts[part].claimed, &last, number, false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE);
}

static void sleep_until_rung(Team *c)
{
    pthread_mutex_lock(&c->lock);
    const int64_t heard = __atomic_load_n(&c->rings, __ATOMIC_SEQ_CST);
    __atomic_add_fetch(&c->asleep, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&c->busy, __ATOMIC_SEQ_CST))
        while (__atomic_load_n(&c->rings, __ATOMIC_SEQ_CST) == heard)
            pthread_cond_wait(&c->wake, &c->lock);
    __atomic_sub_fetch(&c->asleep, 1, __ATOMIC_SEQ_CST);
    pthread_mutex_unlock(&c->lock);
}

typedef struct {
    Team *team;
    int64_t part;
} Worker;

/* The loop of a worker: it computes its part of every group. */
static void *work(void *which)
{
    Team *const c = ((Worker *)which)->team;
    const int64_t part = ((Worker *)which)->part;
    int64_t seen = LOAD(c->open);
    for (;;) {
        int64_t spins = 0, now;
        while ((now = LOAD(c->open)) == seen) {
            if (++spins < SPINS) {
                rest(0);
            } else {
                sleep_until_rung(c);
                spins = 0;
            }
        }
        seen = now;
        const int64_t number = now / (2 * MOST_PARTS), parts = now % (2 * MOST_PARTS);
        if (part < parts && claim(c, part, number)) {
            run_group(c->call, part, c->first, c->members, c->step);
            STORE(c->parts[part].done, number);
        }
    }
    return NULL;
}

/* Start the thread that takes part `part`; it ends with the process. Whether it runs:
   if it does not, the main thread computes its parts. Python's threads take signals. */
XPNET int xpnet_team_start(void *which, int64_t part)
{
    static Worker workers[MOST_PARTS];
    workers[part] = (Worker){which, part};
    sigset_t all, before;
    sigfillset(&all);
    const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL}; /* of the thread itself */
    for (int i = 0; i < 4; i++)
        sigdelset(&all, faults[i]);
    pthread_attr_t how;
    pthread_attr_init(&how);
    pthread_attr_setdetachstate(&how, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&how, STACK);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_t thread;
    const int failed = pthread_create(&thread, &how, work, workers + part);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&how);
    return !failed;
}

/* Never waits for a lock that a fork may have left locked for ever. */
static void wake(void)
{
    for (int tries = 0; tries < SPINS; tries++) {
        if (!pthread_mutex_trylock(&team->lock)) {
            pthread_cond_broadcast(&team->wake);
            pthread_mutex_unlock(&team->lock);
            return;
        }
        rest(0);
    }
}

/* Take the lead, if some call has parts and the team is free; wake the workers. */
static bool lead(const Call *calls, int64_t count)
{
    int64_t most = 0;
    for (int64_t i = 0; i < count; i++)
        most = calls[i].parts > most ? calls[i].parts : most;
    if (most < 2 || !team || __atomic_exchange_n(&team->busy, 1, __ATOMIC_SEQ_CST))
        return false;
    __atomic_add_fetch(&team->rings, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&team->asleep, __ATOMIC_SEQ_CST))
        wake();
    return true;
}

static void leave(void)
{
    __atomic_store_n(&team->busy, 0, __ATOMIC_SEQ_CST);
}

static void run_parts(const Call *c, int64_t first, int64_t members, int64_t step,
                      bool leading)
{
    if (!leading) {
        for (int64_t part = 0; part < c->parts; part++)
            run_group(c, part, first, members, step);
        return;
    }
    const int64_t number = ++team->number;
    team->call = c;
    team->first = first;
    team->members = members;
    team->step = step;
    STORE(team->open, 2 * MOST_PARTS * number + c->parts);
    run_group(c, 0, first, members, step);
    for (int64_t part = 1; part < c->parts; part++) {
        if (claim(team, part, number)) {
            run_group(c, part, first, members, step);
            continue;
        }
        for (int64_t spins = 0; LOAD(team->parts[part].done) != number; spins++)
            rest(spins);
    }
}
#endif

static void run(const Call *calls, int64_t count, int64_t first, int64_t members,
                int64_t step, bool leading)
{
    for (const Call *c = calls; c < calls + count; c += c->group)
        if (c->parts > 1)
            run_parts(c, first, members, step, leading);
        else
            run_part(c, 0, first, members, step);
}

/* Calls of networks first .. first + members - 1 in training step `step`. */
XPNET void xpnet_run(const Call *calls, int64_t count, int64_t first, int64_t members,
                     int64_t step)
{
    const bool leading = lead(calls, count);
    run(calls, count, first, members, step, leading);
    if (leading)
        leave();
}

/* Whether no number is infinite or NaN. */
#define FINITE(T, BITS, INFINITE)                                                      \
    static bool finite##BITS(const T *x, int64_t n)                                    \
    {                                                                                  \
        uint##BITS##_t most = 0; /* of the magnitudes, in the order of their bits */   \
        for (int64_t i = 0; i < n; i++) {                                              \
            uint##BITS##_t bits;                                                       \
            memcpy(&bits, x + i, sizeof bits);                                         \
            bits &= ~(uint##BITS##_t)0 >> 1;                                           \
            most = bits > most ? bits : most;                                          \
        }                                                                              \
        return most < INFINITE;                                                        \
    }
FINITE(float, 32, 0x7f800000u)
FINITE(double, 64, 0x7ff0000000000000u)

typedef struct {
    const char *values; /* of the first network */
    int64_t member;     /* bytes to the next network */
    int64_t count;      /* numbers a network */
    int64_t width;      /* bytes a number: 4 or 8 */
} Watched;

static bool all_finite(const Watched *watched, int64_t count, int64_t first,
                       int64_t members)
{
    for (int64_t i = 0; i < count; i++)
        for (int64_t k = first; k < first + members; k++) {
            const Watched *w = watched + i;
            const char *at = w->values + k * w->member;
            if (!(w->width == 4 ? finite32((const float *)at, w->count)
                                : finite64((const double *)at, w->count)))
                return false;
        }
    return true;
}

/* The steps of an epoch over batches of one size: gradients and loss, what is looked
   at then, the update. `row` is the first network that has them. */
typedef struct {
    const Call *before;
    int64_t n_before;
    const Watched *watched;
    int64_t n_watched;
    const Call *after;
    int64_t n_after;
    int64_t steps;
    int64_t row;
} Leg;

/* Whether all numbers of the step are finite; where they are not it gets no update. */
static bool take_step(const Leg *leg, int64_t first, int64_t members, int64_t step,
                      bool leading)
{
    run(leg->before, leg->n_before, first, members, step, leading);
    if (!all_finite(leg->watched, leg->n_watched, first, members))
        return false;
    run(leg->after, leg->n_after, first, members, step, leading);
    return true;
}

/* Training steps from .. to - 1 of some networks. Returns the step whose numbers are
   not finite, before its update; `to` where all are. */
XPNET int64_t xpnet_steps(const Leg *leg, int64_t first, int64_t members, int64_t from,
                          int64_t to)
{
    const bool leading = lead(leg->before, leg->n_before);
    while (from < to && take_step(leg, first, members, from, leading))
        from++;
    if (leading)
        leave();
    return from;
}

/* Likewise over the legs of an epoch, and `closing` after each epoch. Steps are counted
   through all epochs: each leg's are those of the numbers that they have there. */
XPNET int64_t xpnet_epochs(const Leg *legs, int64_t n_legs, const Call *closing,
                           int64_t n_closing, int64_t first, int64_t members,
                           int64_t from, int64_t to)
{
    int64_t each = 0;
    for (const Leg *leg = legs; leg < legs + n_legs; leg++)
        each += leg->steps;
    while (from < to) {
        const int64_t epoch = from / each;
        const Leg *leg = legs;
        int64_t end = epoch * each + leg->steps;
        while (from >= end)
            end += (++leg)->steps;
        end = end < to ? end : to;
        from = xpnet_steps(leg, first - leg->row, members, from, end);
        if (from < end)
            return from;
        if (from % each == 0)
            run(closing, n_closing, first, members, epoch, false);
    }
    return from;
}

/* out[k, i] = rows[index[which[k], i]]: {rows, index, which, out}; {networks, samples,
   bytes a row}; strides {index from one list to the next, out from one network to the
   next}. */
XPNET void xpnet_take(char **arrays, const int64_t *n, const int64_t *s, void *data)
{
    const int64_t samples = n[1], bytes = n[2], *which = (const int64_t *)arrays[2];
    (void)data;
    for (int64_t k = 0; k < n[0]; k++) {
        const int64_t *index = (const int64_t *)(arrays[1] + which[k] * s[0]);
        char *out = arrays[3] + k * s[1];
        if (bytes == 4)
            for (int64_t i = 0; i < samples; i++)
                memcpy(out + 4 * i, arrays[0] + 4 * index[i], 4);
        else if (bytes == 8)
            for (int64_t i = 0; i < samples; i++)
                memcpy(out + 8 * i, arrays[0] + 8 * index[i], 8);
        else
            for (int64_t i = 0; i < samples; i++)
                memcpy(out + bytes * i, arrays[0] + bytes * index[i], bytes);
    }
}

/* out[k] = source[k]: {source, out}; {networks, bytes}; strides {source, out}. */
XPNET void xpnet_copy(char **arrays, const int64_t *n, const int64_t *s, void *data)
{
    (void)data;
    for (int64_t k = 0; k < n[0]; k++)
        memcpy(arrays[1] + k * s[1], arrays[0] + k * s[0], n[1]);
}

/* out = part 0 + part 1 + ... of what was summed in parts; flag = NaN unless all of it is
   finite, else 0: {parts, out, flag}; {numbers, parts}; strides {from one part to the
   next}. */
#define SUM(T, BITS)                                                                   \
    XPNET void xpnet_sum##BITS(char **arrays, const int64_t *n, const int64_t *s,      \
                               void *data)                                             \
    {                                                                                  \
        const int64_t count = n[0], parts = n[1], apart = s[0] / (int64_t)sizeof(T);   \
        const T *from = (const T *)arrays[0];                                          \
        T *out = (T *)arrays[1];                                                       \
        (void)data;                                                                    \
        APART                                                                          \
        for (int64_t i = 0; i < count; i++)                                            \
            out[i] = from[i] + from[apart + i];                                        \
        for (int64_t k = 2; k < parts; k++)                                            \
            APART                                                                      \
            for (int64_t i = 0; i < count; i++)                                        \
                out[i] += from[k * apart + i];                                         \
        *(double *)arrays[2] = finite##BITS(out, count) ? 0.0 : NAN;                   \
    }
SUM(float, 32)
SUM(double, 64)

/* Whether arithmetic is what IEEE 754 says. A compiler's environment may hold options
   that xpnet does not see. Nothing is known of a volatile number, so nothing is computed
   in advance. */
XPNET int xpnet_exact(void)
{
    volatile double one = 1.0, big = 0x1p60, small = 0x1p-53, n = 49.0, minus = -0.0,
                    nan = NAN, root = 1.0 + 0x1p-30, square = 1.0 + 0x1p-29;
    const double a = one, b = big, c = small, d = n, r = root, s = square, x = nan;
    return r * r - s == 0.0         /* contracted: the error of rounding, 2^-60 */
           && a + b - b == 0.0      /* reordered: 1 */
           && a + c - a == 0.0      /* with more digits: 2^-53 */
           && d / 49.0 == 1.0       /* times 1 / 49: less */
           && 1.0 / (minus + 0.0) > 0.0 /* without signs of 0: -0 + 0 is -0 */
           && x != x;               /* without NaN */
}
