/* tests/grad_case.h - one operation, put through everything that has to hold for every operation of
 * the tape
 *
 * A case is a function of some inputs. Checked are its gradient (central differences, adjoint
 * identity, Taylor slope), that two backward runs and two tapes agree to the bit, that a reset tape
 * allocates no more, that a measuring tape tells enough bytes, that float32 follows float64, and
 * that every failing allocation ends in an error and no leak.
 */
#ifndef VDI_TESTS_GRAD_CASE_H
#define VDI_TESTS_GRAD_CASE_H
#include "check.h"

enum { CASE_INPUTS = 5 };
typedef struct case_input {
    int ndim;
    int64_t shape[VDI_MAX_DIMS];
    double low, high;
} case_input;
typedef struct grad_case {
    const char *name;
    vdi_check_fn fn;
    int inputs;
    case_input in[CASE_INPUTS];
    double f32_tolerance; /* relative to the largest entry; 0 means 1e-4 */
} grad_case;

typedef struct case_data {
    vdi_tensor x[CASE_INPUTS], g[CASE_INPUTS];
    vdi_tensor y; /* value of the last run */
} case_data;

static vdi_tensor case_tensor(vdi_dtype dtype, int ndim, const int64_t *shape) {
    vdi_tensor t;
    vdi_error err;
    if (vdi_tensor_alloc(NULL, dtype, ndim, shape, &t, &err) < 0) abort();
    return t;
}

static case_data case_make(const grad_case *c, vdi_dtype dtype) {
    case_data d;
    unsigned long long seed = 88172645463325252ull;
    memset(&d, 0, sizeof d);
    d.y.ndim = -1;
    for (int i = 0; i < c->inputs; i++) {
        d.x[i] = case_tensor(dtype, c->in[i].ndim, c->in[i].shape);
        d.g[i] = case_tensor(dtype, c->in[i].ndim, c->in[i].shape);
        for (int64_t k = 0; k < vdi_tensor_count(d.x[i]); k++) {
            vdi_dtype_store(dtype, d.x[i].data, k,
                            c->in[i].low + (c->in[i].high - c->in[i].low) * test_uniform(&seed));
        }
    }
    return d;
}

static void case_free(const grad_case *c, case_data *d) {
    for (int i = 0; i < c->inputs; i++) {
        vdi_tensor_free(NULL, &d->x[i]);
        vdi_tensor_free(NULL, &d->g[i]);
    }
    vdi_tensor_free(NULL, &d->y);
}

/* One step on the tape: value into d->y, gradients from a fixed cotangent into d->g. */
static vdi_status case_run(const grad_case *c, vdi_tape *t, case_data *d) {
    vdi_var x[CASE_INPUTS];
    vdi_tape_reset(t);
    for (int i = 0; i < c->inputs; i++)
        x[i] = vdi_tape_variable(t, d->x[i]);
    vdi_var y = c->fn(t, x, NULL);
    vdi_tensor value = vdi_tape_value(t, y);
    if (vdi_tape_status(t, NULL) < 0) return vdi_tape_status(t, NULL);
    if (!vdi_tensor_ok(d->y)) d->y = case_tensor(value.dtype, value.ndim, value.shape);
    vdi_tensor cotangent = case_tensor(value.dtype, value.ndim, value.shape);
    for (int64_t k = 0; k < vdi_tensor_count(cotangent); k++)
        vdi_dtype_store(cotangent.dtype, cotangent.data, k, sin(1.0 + 3.7 * (double)k));
    vdi_status status = vdi_tape_backward_from(t, y, cotangent);
    if (status >= 0 && !vdi_tape_is_measuring(t)) {
        memcpy(d->y.data, value.data, vdi_tensor_bytes(value));
        for (int i = 0; i < c->inputs; i++) {
            vdi_tensor g = vdi_tape_grad(t, x[i]);
            if (vdi_tensor_ok(g)) memcpy(d->g[i].data, g.data, vdi_tensor_bytes(g));
        }
    }
    /* once more over the same graph: the same bits */
    if (status >= 0) status = vdi_tape_backward_from(t, y, cotangent);
    for (int i = 0; i < c->inputs && status >= 0 && !vdi_tape_is_measuring(t); i++) {
        vdi_tensor g = vdi_tape_grad(t, x[i]);
        CHECK(!vdi_tensor_ok(g) || memcmp(d->g[i].data, g.data, vdi_tensor_bytes(g)) == 0,
              "%s: two backward runs differ", c->name);
    }
    vdi_tensor_free(NULL, &cotangent);
    return status;
}

static int case_equal(const grad_case *c, const case_data *a, const case_data *b) {
    int same = memcmp(a->y.data, b->y.data, vdi_tensor_bytes(a->y)) == 0;
    for (int i = 0; i < c->inputs; i++)
        same = same && memcmp(a->g[i].data, b->g[i].data, vdi_tensor_bytes(a->g[i])) == 0;
    return same;
}

static double case_distance(vdi_tensor a, vdi_tensor b) {
    double worst = 0, largest = 1e-3;
    for (int64_t k = 0; k < vdi_tensor_count(a); k++) {
        double x = vdi_dtype_load(a.dtype, a.data, k);
        double y = vdi_dtype_load(b.dtype, b.data, k);
        double e = fabs(x - y);
        if (e > worst || e != e) worst = e;
        if (fabs(x) > largest) largest = fabs(x);
    }
    return worst / largest;
}

static void case_gradient(const grad_case *c, case_data *a) {
    vdi_error err = VDI__ZERO;
    vdi_check_desc desc;
    vdi_check_report report;
    double error = NAN, slope = NAN;
    memset(&desc, 0, sizeof desc);
    desc.fn = c->fn;
    desc.inputs = c->inputs;
    desc.input = a->x;
    CHECK(vdi_check_gradient(&desc, &report, &err) >= 0, "%s: %s: %s", c->name, err.where,
          err.message);
    CHECK(report.worst < 1e-6 && report.checked > 0, "%s: %s", c->name, report.text);
    CHECK(vdi_check_adjoint(&desc, &error, &err) >= 0 && error < 1e-6,
          "%s: adjoint identity off by %g", c->name, error);
    CHECK(vdi_check_taylor(&desc, &slope, &err) >= 0 && slope >= 1.9, "%s: Taylor slope %g",
          c->name, slope);
}

/* Two runs give the same bits, the second without an allocation. Requests of the first, or -1. */
static long case_check_runs(const grad_case *c, case_data *a, case_data *b) {
    vdi_error err = VDI__ZERO;
    vdi_tape_desc td = vdi_tape_desc_defaults();
    vdi_tape *t;
    test_allocator counter;
    memset(&counter, 0, sizeof counter);
    td.allocator = test_allocator_of(&counter);
    td.dtype = VDI_F64;
    td.block_size = 256;
    CHECK_OK(vdi_tape_create(&td, &t, &err), err);
    const vdi_status status = case_run(c, t, a);
    CHECK(status >= 0, "%s: %s", c->name, vdi_tape_status(t, &err) < 0 ? err.message : "");
    const long before = counter.requests;
    if (status >= 0) {
        CHECK(case_run(c, t, b) >= 0, "%s", c->name);
        CHECK(counter.requests == before, "%s: %ld allocations after a reset", c->name,
              counter.requests - before);
        CHECK(case_equal(c, a, b), "%s: two runs differ", c->name);
    }
    vdi_tape_destroy(t);
    CHECK(counter.live == 0, "%s: %ld blocks are out", c->name, counter.live);
    return status >= 0 ? before : -1;
}

/* Each allocation fails once. */
static void case_check_allocation(const grad_case *c, const case_data *a, case_data *b,
                                  case_data *m, long requests) {
    vdi_error err = VDI__ZERO;
    vdi_tape_desc td = vdi_tape_desc_defaults();
    vdi_tape *t;
    test_allocator counter;
    td.dtype = VDI_F64;
    td.block_size = 256;
    for (long k = 1; k <= requests; k++) {
        memset(&counter, 0, sizeof counter);
        counter.fail_at = k;
        td.allocator = test_allocator_of(&counter);
        if (vdi_tape_create(&td, &t, &err) < 0) continue;
        vdi_status failed = case_run(c, t, m);
        CHECK(failed == VDI_ERR_MEMORY, "%s: request %ld failed: %s", c->name, k,
              vdi_status_name(failed));
        CHECK(vdi_tape_status(t, &err) == failed, "%s", c->name);
        CHECK(case_run(c, t, b) >= 0 && case_equal(c, a, b), "%s: the tape does not recover",
              c->name);
        vdi_tape_destroy(t);
        CHECK(counter.live == 0, "%s: %ld blocks are out", c->name, counter.live);
    }
}

/* A measured block is enough, and nothing is allocated. */
static void case_check_block(const grad_case *c, const case_data *a, case_data *b, case_data *m) {
    vdi_error err = VDI__ZERO;
    vdi_tape_desc td = vdi_tape_desc_defaults();
    vdi_tape *t;
    td.dtype = VDI_F64;
    td.measure = true;
    CHECK_OK(vdi_tape_create(&td, &t, &err), err);
    vdi_status status = case_run(c, t, m);
    CHECK(status >= 0, "%s: measuring: %s", c->name,
          vdi_tape_status(t, &err) < 0 ? err.message : "");
    size_t bytes = vdi_tape_bytes(t);
    vdi_tape_destroy(t);
    char *block = (char *)malloc(bytes + 1);
    memset(block, 0xa5, bytes + 1);
    td.measure = false;
    td.memory = block + 1; /* of any alignment */
    td.memory_size = bytes;
    CHECK_OK(vdi_tape_create(&td, &t, &err), err);
    status = case_run(c, t, b);
    CHECK(status >= 0, "%s: in %zu measured bytes: %s", c->name, bytes,
          vdi_tape_status(t, &err) < 0 ? err.message : "");
    CHECK(case_equal(c, a, b), "%s: other bits in a fixed block", c->name);
    CHECK(vdi_tape_bytes(t) <= bytes, "%s: %zu bytes used, %zu measured", c->name,
          vdi_tape_bytes(t), bytes);
    vdi_tape_destroy(t);
    free(block);
}

/* The same in float32, as far as that goes. */
static void case_check_f32(const grad_case *c, const case_data *a) {
    const double tolerance = c->f32_tolerance > 0 ? c->f32_tolerance : 1e-4;
    vdi_error err = VDI__ZERO;
    vdi_tape_desc td = vdi_tape_desc_defaults();
    vdi_tape *t;
    case_data s = case_make(c, VDI_F32);
    CHECK_OK(vdi_tape_create(&td, &t, &err), err);
    const vdi_status status = case_run(c, t, &s);
    CHECK(status >= 0, "%s in float32: %s", c->name,
          vdi_tape_status(t, &err) < 0 ? err.message : "");
    if (status >= 0) {
        CHECK(case_distance(a->y, s.y) < tolerance, "%s in float32: value off by %g", c->name,
              case_distance(a->y, s.y));
        for (int i = 0; i < c->inputs; i++) {
            CHECK(case_distance(a->g[i], s.g[i]) < tolerance,
                  "%s in float32: gradient %d off by %g", c->name, i,
                  case_distance(a->g[i], s.g[i]));
        }
    }
    vdi_tape_destroy(t);
    case_free(c, &s);
}

static void case_check(const grad_case *c) {
    case_data a = case_make(c, VDI_F64);
    case_data b = case_make(c, VDI_F64);
    case_data m = case_make(c, VDI_F64);
    case_gradient(c, &a);
    const long requests = case_check_runs(c, &a, &b);
    if (requests >= 0) {
        case_check_allocation(c, &a, &b, &m, requests);
        case_check_block(c, &a, &b, &m);
    }
    case_check_f32(c, &a);
    case_free(c, &a);
    case_free(c, &b);
    case_free(c, &m);
}
#endif
