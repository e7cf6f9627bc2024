/* The tape itself: leaves, accumulation, several backward runs, errors that stay, handles that have
 * gone stale, memory, operations of the user's own. */
#include "grad_case.h"

static vdi_tape *make(vdi_dtype dtype) {
    vdi_tape *t;
    vdi_error err;
    vdi_tape_desc desc = vdi_tape_desc_defaults();
    desc.dtype = dtype;
    CHECK_OK(vdi_tape_create(&desc, &t, &err), err);
    return t;
}
static double grad_at(const vdi_tape *t, vdi_var v, int64_t i) {
    vdi_tensor g = vdi_tape_grad(t, v);
    return vdi_tensor_ok(g) ? vdi_dtype_load(g.dtype, g.data, i) : NAN;
}

TEST(tape, gradients_of_leaves) {
    vdi_error err;
    vdi_tape *t = make(VDI_F64);
    double x[3] = {1, 2, 3}, w[3] = {4, 5, 6}, gw[3] = {100, 100, 100};
    vdi_tensor xt = vdi_tensor_1d(x, VDI_F64, 3);
    vdi_tensor wt = vdi_tensor_1d(w, VDI_F64, 3);
    vdi_tensor gt = vdi_tensor_1d(gw, VDI_F64, 3);
    for (int round = 1; round <= 2; round++) { /* a leaf's gradient is added, a variable's is set */
        vdi_tape_reset(t);
        /* one parameter, used twice */
        vdi_var v = vdi_tape_variable(t, xt);
        vdi_var p = vdi_tape_leaf(t, wt, gt);
        vdi_var q = vdi_tape_leaf(t, wt, gt);
        vdi_var loss = vdi_var_sum(t, vdi_var_mul(t, vdi_var_mul(t, v, p), q));
        CHECK_CLOSE(vdi_tape_item(t, loss), 1 * 16 + 2 * 25 + 3 * 36, 0);
        CHECK_OK(vdi_tape_backward(t, loss), err);
        for (int i = 0; i < 3; i++) {
            CHECK_CLOSE(gw[i], 100 + round * 2 * x[i] * w[i], 0);
            CHECK_CLOSE(grad_at(t, v, i), w[i] * w[i], 0);
        }
        CHECK_CLOSE(grad_at(t, loss, 0), 1, 0);
    }
    /* several runs over one graph, from several places */
    vdi_tape_reset(t);
    vdi_var v = vdi_tape_variable(t, xt);
    vdi_var sq = vdi_var_square(t, v);
    vdi_var ex = vdi_var_mul_scalar(t, v, 10);
    vdi_var a = vdi_var_sum(t, sq);
    vdi_var b = vdi_var_sum(t, ex);
    CHECK_OK(vdi_tape_backward(t, a), err);
    CHECK_CLOSE(grad_at(t, v, 2), 6, 0);
    CHECK(!vdi_tensor_ok(vdi_tape_grad(t, ex)), "no gradient came to the other branch");
    CHECK_OK(vdi_tape_backward(t, b), err);
    CHECK_CLOSE(grad_at(t, v, 2), 10, 0);
    CHECK(!vdi_tensor_ok(vdi_tape_grad(t, sq)), "the first run's gradient is gone");
    vdi_var both[2];
    vdi_tensor cotangent[2];
    double three[6] = {3, 0, 3, 0, 3, 0};
    both[0] = b;
    both[1] = sq;
    cotangent[0] = vdi_tape_grad(t, a);
    /* none: 1; strided */
    cotangent[1] = vdi_tensor_slice(vdi_tensor_1d(three, VDI_F64, 6), 0, 0, 2, 3);
    CHECK(!vdi_tensor_ok(cotangent[0]), "a null tensor");
    CHECK_OK(vdi_tape_backward_many(t, 2, both, cotangent), err);
    CHECK_CLOSE(grad_at(t, v, 2), 10 + 3 * 6, 0);
    /* a value made after the loss has no part in it, and constants have no gradient */
    vdi_var c = vdi_tape_constant(t, xt), late = vdi_var_sum(t, vdi_var_mul(t, c, v));
    CHECK(!vdi_var_needs_grad(t, c) && vdi_var_needs_grad(t, late), "needs_grad");
    CHECK_OK(vdi_tape_backward(t, a), err);
    CHECK_CLOSE(grad_at(t, v, 2), 6, 0);
    vdi_tape_destroy(t);
}

TEST(tape, inference_and_freezing) {
    vdi_error err;
    vdi_tape *t = make(VDI_F32);
    float x[2] = {1, 2}, w[2] = {3, 4}, g[2] = {0, 0};
    vdi_tensor xt = vdi_tensor_1d(x, VDI_F32, 2);
    vdi_tensor wt = vdi_tensor_1d(w, VDI_F32, 2);
    vdi_tensor gt = vdi_tensor_1d(g, VDI_F32, 2);
    CHECK(!vdi_tape_set_frozen(t, true), "was off");
    vdi_var v = vdi_tape_variable(t, xt), frozen = vdi_tape_leaf(t, wt, gt);
    CHECK(vdi_tape_set_frozen(t, false), "was on");
    CHECK_OK(vdi_tape_backward(t, vdi_var_sum(t, vdi_var_mul(t, v, frozen))), err);
    CHECK(g[0] == 0 && grad_at(t, v, 1) == 4,
          "a frozen parameter gets nothing, what goes through it does");
    (void)vdi_tape_set_no_grad(t, true);
    vdi_tape_reset(t);
    v = vdi_tape_variable(t, xt);
    vdi_var y = vdi_var_sum(t, vdi_var_mul(t, v, vdi_tape_leaf(t, wt, gt)));
    CHECK_CLOSE(vdi_tape_item(t, y), 11, 0);
    CHECK(isnan(vdi_tape_item(t, v)) && isnan(vdi_tape_item(t, vdi_var_none())), "no single value");
    CHECK_FAILS(vdi_tape_backward(t, y), VDI_ERR_STATE);
    vdi_tape_destroy(t);
}

/* Calls that can't be, on a (3,4), w (3,2), b (3) and a variable of another tape: the status, and
 * words of the message. mistake() makes them in this order. */
static const struct {
    vdi_status status;
    const char *words[3];
} mistakes[] = {
    {VDI_ERR_SHAPE, {"vdi_var_add", "(3,4)", "(3,)"}},
    {VDI_ERR_SHAPE, {"vdi_var_affine", "(3,4)", "(3,2)"}},
    {VDI_ERR_SHAPE, {"vdi_var_matmul", "(3,4)", "(3,2)"}},
    {VDI_ERR_DTYPE, {"vdi_var_mul", "float32", "float64"}},
    {VDI_ERR_ARGUMENT, {"vdi_var_sum_axis", "axis 2", "(3,4)"}},
    {VDI_ERR_SHAPE, {"vdi_var_reshape", "(3,4)", "(5,-1)"}},
    {VDI_ERR_ARGUMENT, {"vdi_var_slice", "(3,4)", "axis 1"}},
    {VDI_ERR_ARGUMENT, {"index[1] is 7", "0..2", ""}},
    {VDI_ERR_SHAPE, {"vdi_var_concat", "(3,4)", "(3,2)"}},
    {VDI_ERR_STATE, {"another tape", "", ""}},
    {VDI_ERR_ARGUMENT, {"null variable", "", ""}},
    {VDI_ERR_SHAPE, {"vdi_tape_backward", "(3,4)", "scalar"}},
    {VDI_ERR_STATE, {"depends on no parameter", "", ""}},
    {VDI_ERR_ARGUMENT, {"packed", "", ""}},
    {VDI_ERR_SHAPE, {"vdi_var_where", "(3,2)", ""}},
    {VDI_ERR_SHAPE, {"vdi_var_cholesky", "(3,4)", "(..., n, n)"}},
    {VDI_ERR_SHAPE, {"vdi_var_trsm", "(3,4)", ""}},
    {VDI_ERR_SHAPE, {"vdi_var_conv1d", "(3,4)", ""}},
    {VDI_ERR_SHAPE, {"vdi_var_gru", "(3,4)", ""}},
    {VDI_ERR_SHAPE, {"vdi_var_blocktri_factor", "(3,4)", ""}},
    {VDI_ERR_ARGUMENT, {"no operation 99", "", ""}},
    {VDI_ERR_SHAPE, {"vdi_var_scan", "(3,4)", ""}},
    {VDI_ERR_DATA, {"my own 7", "", ""}},
};

static vdi_var mistake(size_t i, vdi_tape *t, vdi_var a, vdi_var w, vdi_var b, vdi_var foreign) {
    static double wide[2] = {1, 2};
    static int64_t bad_index[2] = {0, 7};
    const int64_t shape[2] = {5, -1};
    const vdi_var pair[2] = {a, w}, none = vdi_var_none();
    const vdi_tensor at = vdi_tape_value(t, a);
    switch (i) {
    case 0: return vdi_var_add(t, a, b);
    case 1: return vdi_var_affine(t, a, w, none, VDI_ACT_NONE, 0);
    case 2: return vdi_var_matmul(t, a, w, 0);
    case 3: return vdi_var_mul(t, a, vdi_tape_constant(t, vdi_tensor_1d(wide, VDI_F64, 1)));
    case 4: return vdi_var_sum_axis(t, a, 2, false);
    case 5: return vdi_var_reshape(t, a, 2, shape);
    case 6: return vdi_var_slice(t, a, 1, 2, 1, 3);
    case 7: return vdi_var_gather(t, a, vdi_tensor_1d(bad_index, VDI_I64, 2));
    case 8: return vdi_var_concat(t, pair, 2, 0);
    case 9: return vdi_var_exp(t, foreign);
    case 10: return vdi_var_exp(t, none);
    case 11: (void)vdi_tape_backward(t, a); return none;
    case 12: (void)vdi_tape_backward(t, vdi_var_sum(t, vdi_tape_constant(t, at))); return none;
    case 13: return vdi_tape_constant(t, vdi_tensor_transpose(at));
    case 14: return vdi_var_where(t, w, a, b);
    case 15: return vdi_var_cholesky(t, a);
    case 16: return vdi_var_trsm(t, a, w, 0);
    case 17: return vdi_var_conv1d(t, a, w, none, -1, VDI_ACT_NONE, 0);
    case 18: return vdi_var_gru(t, a, w, b, none, false);
    case 19: return vdi_var_blocktri_factor(t, a, w, NULL).factor;
    case 20: return vdi_var_unary(t, (vdi_unary_op)99, 0, a);
    case 21: return vdi_var_scan(t, b, a, none, 0);
    default: return vdi_tape_fail(t, VDI_ERR_DATA, "test", "my own %d", 7);
    }
}

TEST(tape, errors) {
    vdi_error err;
    vdi_tape *t = make(VDI_F32), *other = make(VDI_F32);
    float x[12] = {0};
    for (size_t i = 0; i < VDI__COUNT(mistakes); i++) {
        const vdi_status want = mistakes[i].status;
        vdi_tape_reset(t);
        vdi_var a = vdi_tape_variable(t, vdi_tensor_2d(x, VDI_F32, 3, 4));
        vdi_var w = vdi_tape_variable(t, vdi_tensor_2d(x, VDI_F32, 3, 2));
        vdi_var b = vdi_tape_variable(t, vdi_tensor_1d(x, VDI_F32, 3));
        vdi_var foreign = vdi_tape_variable(other, vdi_tensor_2d(x, VDI_F32, 3, 4));
        CHECK(!vdi_var_ok(mistake(i, t, a, w, b, foreign)), "case %zu", i);
        vdi_status status = vdi_tape_status(t, &err);
        CHECK(status == want && status == err.status, "case %zu: %s: %s", i,
              vdi_status_name(status), err.message);
        for (int k = 0; k < 3; k++) {
            const char *word = mistakes[i].words[k];
            if (status < 0) {
                CHECK(strstr(err.message, word) != NULL, "case %zu: \"%s\" lacks \"%s\"", i,
                      err.message, word);
            }
        }
        /* everything afterwards does nothing, and the first error stays */
        vdi_var z = vdi_var_add(t, vdi_var_exp(t, a), vdi_tape_scalar(t, 1));
        CHECK(!vdi_var_ok(z) && !vdi_tensor_ok(vdi_tape_value(t, a)) &&
                  vdi_tape_item(t, z) != vdi_tape_item(t, z),
              "case %zu", i);
        CHECK(vdi_tape_backward(t, vdi_var_sum(t, z)) == want && vdi_tape_status(t, NULL) == want,
              "case %zu", i);
    }
    vdi_tape_reset(t);
    CHECK(vdi_tape_status(t, &err) == VDI_OK, "a reset forgets the error");
    vdi_var old = vdi_tape_scalar(t, 1);
    vdi_tape_reset(t);
    CHECK(!vdi_tensor_ok(vdi_tape_value(t, old)) && vdi_var_ndim(t, old) == -1, "a stale handle");
    (void)vdi_var_exp(t, old);
    CHECK(vdi_tape_status(t, &err) == VDI_ERR_STATE, "%s", err.message);
    vdi_tape_destroy(t);
    vdi_tape_destroy(other);
}

TEST(tape, bad_descriptions) {
    vdi_error err;
    vdi_tape *t;
    float x[12] = {0};

    vdi_tape_desc desc = vdi_tape_desc_defaults();
    desc.dtype = VDI_I64;
    CHECK_FAILS(vdi_tape_create(&desc, &t, &err), VDI_ERR_ARGUMENT);
    CHECK(strcmp(err.message, "dtype is 5: expected float32 or float64") == 0, "%s", err.message);
    desc = vdi_tape_desc_defaults();
    desc.memory = x;
    desc.memory_size = sizeof x;
    CHECK_FAILS(vdi_tape_create(&desc, &t, &err), VDI_ERR_MEMORY);
    desc.memory_size = 0;
    CHECK_FAILS(vdi_tape_create(&desc, &t, &err), VDI_ERR_ARGUMENT);
    vdi_tape_destroy(NULL);
}

static vdi_status product_forward(vdi_custom *c, void *user, vdi_error *err);

/* One operation with a number that makes no sense; always the null variable, with an error. */
enum { HOSTILE = 30 };
static vdi_var hostile(vdi_tape *t, int which, vdi_var a, vdi_var w) {
    const vdi_var none = vdi_var_none();
    const int axis = which % 2 ? INT_MAX : INT_MIN;
    const int64_t far = which % 2 ? INT64_MAX : INT64_MIN;
    const int64_t large[2] = {INT64_MAX, INT64_MAX}, negative[2] = {3, -4};
    const int order[2] = {axis, 0};
    vdi_tensor nothing = vdi_tensor_1d(NULL, VDI_I64, 3);
    vdi_var pair[2];
    pair[0] = pair[1] = a;
    switch (which / 2) {
    case 0: return vdi_var_sum_axis(t, a, axis, false);
    case 1: return vdi_var_max_axis(t, a, axis, true);
    case 2: return vdi_var_logsumexp(t, a, axis, false);
    case 3: return vdi_var_index(t, a, 0, far);
    case 4: return vdi_var_slice(t, a, 0, 0, far, 2);
    case 5: return vdi_var_slice(t, a, 0, far, 1, 1);
    case 6: return vdi_var_unsqueeze(t, a, axis);
    case 7: return vdi_var_stack(t, pair, which % 2 ? -5 : 2, axis);
    case 8: return vdi_var_permute(t, a, order);
    case 9: return vdi_var_scan(t, a, a, none, axis);
    case 10: return which % 2 ? vdi_var_gather(t, a, nothing) : vdi_var_pick(t, 2, pair, nothing);
    case 11: return vdi_var_affine(t, a, w, none, (vdi_act)axis, 0);
    case 12: return vdi_tape_full(t, which % 2 ? 2 : axis, large, 0);
    case 13: return vdi_var_broadcast_to(t, a, 2, which % 2 ? large : negative);
    default: return vdi_var_cast(t, a, (vdi_dtype)axis);
    }
}

TEST(tape, hostile_numbers) {
    vdi_error err;
    double x[12] = {0};
    vdi_tape *t = make(VDI_F64);
    for (int i = 0; i < HOSTILE; i++) {
        vdi_tape_reset(t);
        vdi_var a = vdi_tape_variable(t, vdi_tensor_2d(x, VDI_F64, 3, 4));
        vdi_var w = vdi_tape_variable(t, vdi_tensor_2d(x, VDI_F64, 4, 2));
        CHECK(!vdi_var_ok(hostile(t, i, a, w)) && vdi_tape_status(t, &err) < 0, "case %d", i);
        CHECK(vdi_var_dim(t, a, INT_MIN) == -1 && vdi_var_dim(t, a, INT_MAX) == -1);
    }
    /* a cotangent without data */
    vdi_tape_reset(t);
    vdi_var a = vdi_tape_variable(t, vdi_tensor_2d(x, VDI_F64, 3, 4));
    CHECK_FAILS(vdi_tape_backward_from(t, a, vdi_tensor_2d(NULL, VDI_F64, 3, 4)), VDI_ERR_ARGUMENT);
    /* memory that cannot be: the sums behind it must not wrap around to a little */
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 62, SIZE_MAX - 64, SIZE_MAX / 2 + 1};
    for (size_t i = 0; i < VDI__COUNT(sizes); i++) {
        vdi_tape_reset(t);
        CHECK(vdi_tape_scratch(t, sizes[i]) == NULL && vdi_tape_status(t, &err) == VDI_ERR_MEMORY);
        vdi_tape_reset(t);
        vdi_var out;
        vdi_custom_desc d;
        vdi_tensor there = vdi_tensor_1d(x, VDI_F64, 12);
        memset(&d, 0, sizeof d);
        d.outputs = 1;
        d.output = &there;
        d.saved_bytes = sizes[i];
        CHECK_FAILS(vdi_var_custom(t, &d, &out), VDI_ERR_MEMORY);
        vdi_tape_desc desc = vdi_tape_desc_defaults();
        vdi_tape *other;
        desc.block_size = sizes[i];
        CHECK_FAILS(vdi_tape_create(&desc, &other, &err), VDI_ERR_ARGUMENT);
        CHECK(other == NULL && strstr(err.where, "block_size"), "%s", err.where);
        /* a measuring tape says that it is too much */
        desc = vdi_tape_desc_defaults();
        desc.measure = true;
        CHECK_OK(vdi_tape_create(&desc, &other, &err), err);
        d.scratch_bytes = sizes[i];
        d.forward = product_forward;
        CHECK_OK(vdi_var_custom(other, &d, &out), err);
        CHECK(vdi_tape_bytes(other) == SIZE_MAX, "%zu", vdi_tape_bytes(other));
        vdi_tape_destroy(other);
    }
    vdi_tape_destroy(t);
}

/* Tensors without elements go through everything. */
TEST(tape, empty) {
    vdi_error err;
    vdi_tape *t = make(VDI_F32);
    float x[4] = {1, 2, 3, 4}, g[4] = {0};
    vdi_var e = vdi_tape_variable(t, vdi_tensor_2d(NULL, VDI_F32, 0, 4));
    vdi_var w = vdi_tape_leaf(t, vdi_tensor_2d(x, VDI_F32, 4, 1), vdi_tensor_2d(g, VDI_F32, 4, 1));
    vdi_var y = vdi_var_affine(t, vdi_var_tanh(t, e), w, vdi_var_none(), VDI_ACT_RELU, 0);
    vdi_var z = vdi_var_add(
        t, vdi_var_sum(t, y),
        vdi_var_sum(t, vdi_var_add(t, vdi_var_sum_axis(t, e, 0, false), vdi_tape_scalar(t, 2))));
    vdi_var parts[2];
    parts[0] = e;
    parts[1] = vdi_var_reshape(t, vdi_tape_constant(t, vdi_tensor_2d(x, VDI_F32, 1, 4)), 2,
                               vdi_tensor_2d(x, VDI_F32, 1, 4).shape);
    z = vdi_var_add(t, z, vdi_var_sum(t, vdi_var_softmax(t, vdi_var_concat(t, parts, 2, 0))));
    CHECK_OK(vdi_tape_status(t, &err), err);
    CHECK_CLOSE(vdi_tape_item(t, z), 9, 1e-6);
    CHECK_OK(vdi_tape_backward(t, z), err);
    CHECK(g[0] == 0 && g[3] == 0, "no rows, no gradient");
    vdi_tape_destroy(t);
}

/* p = x y and q = x / y in one operation of two outputs, with something saved. */
static int fail_in;
static vdi_status product_forward(vdi_custom *c, void *user, vdi_error *err) {
    for (int64_t i = 0; i < vdi_tensor_count(c->in[0]); i++) {
        double x = vdi_dtype_load(c->in[0].dtype, c->in[0].data, i);
        double y = vdi_dtype_load(c->in[1].dtype, c->in[1].data, i);
        vdi_dtype_store(c->out[0].dtype, c->out[0].data, i, x * y);
        vdi_dtype_store(c->out[1].dtype, c->out[1].data, i, x / y);
        ((double *)c->saved)[i] = 1 / y;
    }
    ++*(int *)user;
    return fail_in == 1 ? vdi_error_set(err, VDI_ERR_DATA, "product", "forward says no") : VDI_OK;
}
static vdi_status product_backward(vdi_custom *c, void *user, vdi_error *err) {
    double *scratch = (double *)vdi_tape_scratch(c->tape, 64);
    if (scratch) scratch[0] = 0;
    (void)user;
    for (int64_t i = 0; i < vdi_tensor_count(c->in[0]); i++) {
        double x = vdi_dtype_load(c->in[0].dtype, c->in[0].data, i);
        double y = vdi_dtype_load(c->in[1].dtype, c->in[1].data, i);
        double r = ((double *)c->saved)[i];
        double p =
            vdi_tensor_ok(c->dout[0]) ? vdi_dtype_load(c->dout[0].dtype, c->dout[0].data, i) : 0;
        double q =
            vdi_tensor_ok(c->dout[1]) ? vdi_dtype_load(c->dout[1].dtype, c->dout[1].data, i) : 0;
        vdi_tensor dx = c->din[0], dy = c->din[1];
        if (vdi_tensor_ok(dx)) {
            vdi_dtype_store(dx.dtype, dx.data, i,
                            vdi_dtype_load(dx.dtype, dx.data, i) + p * y + q * r);
        }
        if (vdi_tensor_ok(dy)) {
            vdi_dtype_store(dy.dtype, dy.data, i,
                            vdi_dtype_load(dy.dtype, dy.data, i) + p * x - q * x * r * r);
        }
    }
    return fail_in == 2 ? vdi_error_set(err, VDI_ERR_DATA, "product", "backward says no") : VDI_OK;
}
static int forward_calls;
static vdi_status product(vdi_tape *t, const vdi_var *x, vdi_var *out) {
    vdi_custom_desc d;
    vdi_tensor shape[2];
    memset(&d, 0, sizeof d);
    shape[0] = shape[1] = vdi_tape_value(t, x[0]);
    shape[0].data = shape[1].data = NULL;
    d.name = "product";
    d.inputs = d.outputs = 2;
    d.input = x;
    d.output = shape;
    d.saved_bytes = (size_t)vdi_tensor_count(shape[0]) * sizeof(double);
    d.scratch_bytes = 64;
    d.forward = product_forward;
    d.backward = product_backward;
    d.user = &forward_calls;
    return vdi_var_custom(t, &d, out);
}
static vdi_var f_product_both(vdi_tape *t, const vdi_var *x, void *user) {
    vdi_var y[2];
    (void)user;
    (void)product(t, x, y);
    return vdi_var_add(t, vdi_var_mul(t, y[0], y[1]), vdi_var_mul(t, y[1], x[1]));
}
static vdi_var f_product_one(vdi_tape *t, const vdi_var *x, void *user) {
    vdi_var y[2], pair[2];
    (void)user;
    pair[0] = vdi_var_stop_gradient(t, x[0]);
    pair[1] = x[1];
    (void)product(t, pair, y);
    return vdi_var_square(t, vdi_var_add(t, y[1], x[0]));
}

TEST(tape, operations_of_the_user) {
    static const grad_case cases[] = {
        {"custom", f_product_both, 2, {{1, {5}, -2, 2}, {1, {5}, 0.5, 2}}, 0},
    };
    vdi_error err;
    fail_in = 0;
    case_check(&cases[0]);
    vdi_tape *t = make(VDI_F64);
    double x[2] = {3, 5}, y[2] = {2, 4}, given[2] = {6, 20};
    vdi_var v[2], out[2];
    v[0] = vdi_tape_variable(t, vdi_tensor_1d(x, VDI_F64, 2));
    v[1] = vdi_tape_variable(t, vdi_tensor_1d(y, VDI_F64, 2));
    CHECK_OK(vdi_tape_backward(t, vdi_var_sum(t, f_product_one(t, v, NULL))), err);
    CHECK_CLOSE(grad_at(t, v[0], 0), 2 * (1.5 + 3), 1e-12);
    CHECK_CLOSE(grad_at(t, v[1], 0), 2 * (1.5 + 3) * -0.75, 1e-12);
    /* values that are there already, without a forward callback; and no backward: a constant */
    vdi_custom_desc d;
    vdi_tensor there = vdi_tensor_1d(given, VDI_F64, 2);
    memset(&d, 0, sizeof d);
    d.inputs = 2;
    d.outputs = 1;
    d.input = v;
    d.output = &there;
    d.saved_bytes = 0;
    CHECK_OK(vdi_var_custom(t, &d, out), err);
    CHECK(vdi_tape_value(t, out[0]).data == given && !vdi_var_needs_grad(t, out[0]),
          "given values");
    /* failing callbacks */
    for (fail_in = 1; fail_in <= 2; fail_in++) {
        vdi_tape_reset(t);
        v[0] = vdi_tape_variable(t, vdi_tensor_1d(x, VDI_F64, 2));
        v[1] = vdi_tape_variable(t, vdi_tensor_1d(y, VDI_F64, 2));
        vdi_status status = product(t, v, out);
        CHECK(status == (fail_in == 1 ? VDI_ERR_DATA : VDI_OK) &&
                  vdi_var_ok(out[0]) == (fail_in == 2),
              "%d", fail_in);
        CHECK_FAILS(vdi_tape_backward(t, vdi_var_sum(t, out[0])), VDI_ERR_DATA);
        CHECK(vdi_tape_status(t, &err) < 0 && strstr(err.message, "says no") &&
                  !strcmp(err.where, "product"),
              "%s: %s", err.where, err.message);
    }
    fail_in = 0;
    vdi_tape_destroy(t);
}

TEST(tape, constants_and_views) {
    vdi_error err;
    vdi_tape *t = make(VDI_F32);
    int16_t counts[6] = {1, 2, 3, 4, 5, 6};
    vdi_tensor column = vdi_tensor_transpose(vdi_tensor_2d(counts, VDI_I16, 2, 3));
    vdi_var c = vdi_tape_constant_copy(t, column, VDI_F32);
    CHECK_OK(vdi_tape_status(t, &err), err);
    const float *p = (const float *)vdi_tape_value(t, c).data;
    CHECK(p[0] == 1 && p[1] == 4 && p[2] == 2 && vdi_var_dim(t, c, 0) == 3 &&
              vdi_var_dim(t, c, -1) == 2 && vdi_var_dim(t, c, 2) == -1,
          "copy");
    vdi_var row = vdi_var_slice(t, c, 0, 1, 1, 1);
    CHECK(vdi_tape_value(t, row).data == p + 2, "a slice of the leading axis is a view");
    int64_t shape[2] = {2, 2};
    vdi_var f = vdi_tape_full(t, 2, shape, 3);
    CHECK(((const float *)vdi_tape_value(t, f).data)[3] == 3 && vdi_tape_dtype(t) == VDI_F32 &&
              vdi_tape_pool(t) == NULL,
          "full");
    vdi_tape_destroy(t);
}
