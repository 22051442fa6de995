/* What every compiled program shares: the table of its calls, and who walks over it.

   A call is a function of NumPy's inner-loop signature: pointers to its arrays, counts,
   strides in bytes. NumPy's own inner loops (products, exp) and the loops generated for
   the program's elementwise runs are called alike. The numbers of a call say how its
   pointers move from one network of a stack to the next, and from one training step to
   the next, so that any networks can take any steps without anybody's help. */

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

enum { MOST_ARRAYS = 256, MOST_COUNTS = 64 /* NumPy's most axes */ };

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
} Call;

/* Calls of networks first .. first + members - 1 in training step `step`. */
XPNET void xpnet_run(const Call *calls, int64_t count, int64_t first, int64_t members,
                     int64_t step)
{
    for (int64_t i = 0; i < count; i++) {
        const Call *c = calls + i;
        char *arrays[MOST_ARRAYS]; /* some of NumPy's loops move their pointers */
        int64_t counts[MOST_COUNTS];
        for (int64_t j = 0; j < c->n_arrays; j++)
            arrays[j] = c->arrays[j] + first * c->member[j] + step * c->step[j];
        for (int64_t j = 0; j < c->n_counts; j++)
            counts[j] = c->counts[j];
        if (c->unit)
            counts[0] = c->unit * members;
        c->function(arrays, counts, c->strides, c->data);
    }
}

/* Whether no number is infinite or NaN. */
static bool finite32(const float *x, int64_t n)
{
    int32_t bad = 0;
    for (int64_t i = 0; i < n; i++)
        bad |= !(x[i] - x[i] == 0.0f);
    return !bad;
}

static bool finite64(const double *x, int64_t n)
{
    int64_t bad = 0;
    for (int64_t i = 0; i < n; i++)
        bad |= !(x[i] - x[i] == 0.0);
    return !bad;
}

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

/* Training steps from .. to - 1 of some networks: gradients and loss, a look at both,
   the update. Returns the step whose numbers are not finite, before its update; `to`
   where all are. */
XPNET int64_t xpnet_steps(const Call *before, int64_t n_before, const Watched *watched,
                          int64_t n_watched, const Call *after, int64_t n_after,
                          int64_t first, int64_t members, int64_t from, int64_t to)
{
    for (int64_t step = from; step < to; step++) {
        xpnet_run(before, n_before, first, members, step);
        if (!all_finite(watched, n_watched, first, members))
            return step;
        xpnet_run(after, n_after, first, members, step);
    }
    return to;
}

/* out[k, i] = rows[index[k, i]]: {rows, index, out}; {networks, samples, bytes a row};
   strides {index, out} from one network to the next. */
XPNET void xpnet_take(char **arrays, const int64_t *n, const int64_t *s, void *data)
{
    const int64_t samples = n[1], bytes = n[2];
    (void)data;
    for (int64_t k = 0; k < n[0]; k++) {
        const int64_t *index = (const int64_t *)(arrays[1] + k * s[0]);
        char *out = arrays[2] + k * s[1];
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
