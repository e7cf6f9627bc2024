/* Every operation of the tape, one case or more each; what is checked of a case is in
 * grad_case.h. */
#include "grad_case.h"

#define FN(name) static vdi_var name(vdi_tape *t, const vdi_var *x, void *user)
#define ANY -2.0, 2.0
#define POSITIVE 0.3, 3.0

static vdi_unary_op unary_op;
static double unary_p;
FN(f_unary) {
    (void)user;
    return vdi_var_unary(t, unary_op, unary_p, x[0]);
}
/* the gradient adds to one that is there */
FN(f_unary_twice) {
    (void)user;
    vdi_var y = vdi_var_unary(t, unary_op, unary_p, x[0]);
    return vdi_var_add(t, vdi_var_mul(t, y, x[0]), vdi_var_unary(t, unary_op, unary_p, x[0]));
}

TEST(ops, unary) {
    static const int64_t sizes[] = {13, 1, 37};
    for (int op = 0; op < VDI_UNARY_COUNT; op++) {
        for (int twice = 0; twice < 2; twice++) {
            unary_op = (vdi_unary_op)op;
            unary_p = op == VDI_LEAKY_RELU ? 0.2 : op == VDI_ELU ? 0.7 : 0;
            grad_case c = {vdi_unary_name(unary_op),
                           twice ? f_unary_twice : f_unary,
                           1,
                           {{1, {sizes[op % 3]}, ANY}},
                           0};
            if (op == VDI_LOG || op == VDI_SQRT || op == VDI_RSQRT || op == VDI_RECIPROCAL)
                c.in[0].low = 0.3;
            if (op == VDI_LOG1P) c.in[0].low = -0.5;
            if (op == VDI_LGAMMA || op == VDI_DIGAMMA) {
                c.in[0].low = 0.5;
                c.in[0].high = 6;
            }
            case_check(&c);
        }
    }
}

static vdi_binary_op binary_op;
FN(f_binary) {
    (void)user;
    return vdi_var_binary(t, binary_op, x[0], x[1]);
}
FN(f_binary_self) {
    (void)user;
    return vdi_var_binary(t, binary_op, x[0], x[0]);
}

TEST(ops, binary_and_broadcasting) {
    static const struct {
        int na, nb;
        int64_t a[6], b[6];
    } shapes[] = {
        {2, 2, {3, 5}, {3, 5}},
        {2, 1, {3, 5}, {5}},
        {1, 2, {5}, {3, 5}},
        {2, 0, {3, 5}, {0}},
        {0, 2, {0}, {3, 5}},
        {2, 2, {3, 5}, {3, 1}},
        {2, 2, {1, 5}, {3, 1}},
        {3, 3, {2, 3, 4}, {2, 1, 4}},
        {3, 2, {2, 3, 4}, {3, 1}},
        {4, 3, {2, 1, 3, 1}, {4, 1, 2}},
        {2, 2, {1, 1}, {2, 3}},
        {3, 1, {1, 1, 1}, {7}},
        {5, 3, {2, 1, 2, 1, 2}, {2, 3, 1}},
        {1, 1, {1}, {1}},
    };
    for (int op = 0; op < VDI_BINARY_COUNT; op++) {
        binary_op = (vdi_binary_op)op;
        for (size_t i = 0; i < VDI__COUNT(shapes); i++) {
            grad_case c;
            char name[80];
            snprintf(name, sizeof name, "%s, broadcast %zu", vdi_binary_name(binary_op), i);
            memset(&c, 0, sizeof c);
            c.name = name;
            c.fn = f_binary;
            c.inputs = 2;
            c.in[0].ndim = shapes[i].na;
            c.in[1].ndim = shapes[i].nb;
            memcpy(c.in[0].shape, shapes[i].a, sizeof shapes[i].a);
            memcpy(c.in[1].shape, shapes[i].b, sizeof shapes[i].b);
            c.in[0].low = c.in[1].low = op == VDI_DIV || op == VDI_POW ? 0.5 : -2;
            c.in[0].high = c.in[1].high = 2;
            case_check(&c);
        }
        grad_case self = {"with itself", f_binary_self, 1, {{1, {7}, POSITIVE}}, 0};
        if (op == VDI_ADD || op == VDI_MUL || op == VDI_POW) case_check(&self);
    }
    /* ties give everything to the first argument */
    vdi_tape *t;
    vdi_error err;
    CHECK_OK(vdi_tape_create(NULL, &t, &err), err);
    float one[2] = {1, 1}, same[2] = {1, 1};
    vdi_var a = vdi_tape_variable(t, vdi_tensor_1d(one, VDI_F32, 2));
    vdi_var b = vdi_tape_variable(t, vdi_tensor_1d(same, VDI_F32, 2));
    CHECK_OK(vdi_tape_backward(t, vdi_var_sum(t, vdi_var_maximum(t, a, b))), err);
    CHECK(((float *)vdi_tape_grad(t, a).data)[0] == 1 &&
              ((float *)vdi_tape_grad(t, b).data)[0] == 0,
          "ties");
    vdi_tape_destroy(t);
}

FN(f_scale) {
    (void)user;
    return vdi_var_scale_shift(t, x[0], -1.7, 0.3);
}
FN(f_pow_scalar) {
    (void)user;
    return vdi_var_pow_scalar(t, x[0], 2.5);
}
FN(f_clip) {
    (void)user;
    return vdi_var_clip(t, x[0], -0.5, 0.8);
}
FN(f_where) {
    (void)user;
    return vdi_var_where(t, vdi_var_relu(t, vdi_var_stop_gradient(t, x[0])), x[1], x[2]);
}
FN(f_pick_min) {
    vdi_var key[2], value[2];
    (void)user;
    key[0] = vdi_var_stop_gradient(t, vdi_var_sum_axis(t, x[0], 1, false));
    key[1] = vdi_var_stop_gradient(t, vdi_var_sum_axis(t, x[1], 1, false));
    value[0] = x[0];
    value[1] = x[1];
    return vdi_var_square(t, vdi_var_pick_min(t, 2, key, value));
}
FN(f_pick) {
    static int64_t index[4] = {2, 0, 1, 2};
    (void)user;
    return vdi_var_square(t, vdi_var_pick(t, 3, x, vdi_tensor_1d(index, VDI_I64, 4)));
}

TEST(ops, choices) {
    static const grad_case cases[] = {
        {"scale_shift", f_scale, 1, {{1, {13}, ANY}}, 0},
        {"pow_scalar", f_pow_scalar, 1, {{1, {13}, POSITIVE}}, 0},
        {"clip", f_clip, 1, {{1, {13}, ANY}}, 0},
        {"where", f_where, 3, {{1, {13}, ANY}, {1, {13}, ANY}, {1, {13}, ANY}}, 0},
        {"where, broadcast", f_where, 3, {{2, {4, 1}, ANY}, {1, {3}, ANY}, {0, {0}, ANY}}, 0},
        {"pick_min", f_pick_min, 2, {{2, {6, 3}, ANY}, {2, {6, 3}, ANY}}, 0},
        {"pick", f_pick, 3, {{2, {4, 3}, ANY}, {2, {4, 3}, ANY}, {2, {4, 3}, ANY}}, 0},
    };
    for (size_t i = 1; i < VDI__COUNT(cases); i++)
        case_check(&cases[i]);
    case_check(&cases[0]);
    vdi_tape *t;
    vdi_error err;
    vdi_tape_desc td = vdi_tape_desc_defaults();
    td.dtype = VDI_F64;
    CHECK_OK(vdi_tape_create(&td, &t, &err), err);
    double v[3] = {0.5, -1.25, 3}, zero[3] = {0, 1, 1};
    /* through float32 and back; numbers that float32 holds exactly */
    vdi_var x = vdi_tape_variable(t, vdi_tensor_1d(v, VDI_F64, 3));
    vdi_var narrow = vdi_var_cast(t, x, VDI_F32);
    CHECK(vdi_tape_value(t, narrow).dtype == VDI_F32, "dtype");
    vdi_var y = vdi_var_mul(t, vdi_var_cast(t, narrow, VDI_F64), x);
    CHECK_OK(vdi_tape_backward(t, vdi_var_sum(t, y)), err);
    for (int i = 0; i < 3; i++)
        CHECK_CLOSE(((double *)vdi_tape_grad(t, x).data)[i], 2 * v[i], 0);
    /* stop_gradient, straight_through and clip_gradient */
    vdi_tape_reset(t);
    x = vdi_tape_variable(t, vdi_tensor_1d(v, VDI_F64, 3));
    vdi_var z = vdi_tape_constant(t, vdi_tensor_1d(zero, VDI_F64, 3));
    vdi_var s = vdi_var_straight_through(t, z, vdi_var_mul_scalar(t, x, 3));
    y = vdi_var_mul(t, vdi_var_stop_gradient(t, x), vdi_var_clip_gradient(t, s, 2));
    CHECK_CLOSE(((double *)vdi_tape_value(t, y).data)[1], -1.25, 0);
    CHECK_OK(vdi_tape_backward(t, vdi_var_sum(t, y)), err);
    CHECK_CLOSE(((double *)vdi_tape_grad(t, x).data)[0], 1.5, 0);
    /* 3 is clipped to 2 before it is tripled */
    CHECK_CLOSE(((double *)vdi_tape_grad(t, x).data)[2], 6, 0);
    /* what comes through the clip is added to what came around it */
    vdi_tape_reset(t);
    x = vdi_tape_variable(t, vdi_tensor_1d(v, VDI_F64, 3));
    y = vdi_var_mul_scalar(t, vdi_var_clip_gradient(t, x, 2), 5);
    y = vdi_var_add(t, y, vdi_var_mul_scalar(t, x, 3));
    CHECK_OK(vdi_tape_backward(t, vdi_var_sum(t, y)), err);
    CHECK_CLOSE(((double *)vdi_tape_grad(t, x).data)[1], 3 + 2, 0);
    /* a result that fills its memory to the end: what comes behind it is not touched */
    double many[24];
    for (int i = 0; i < 24; i++)
        many[i] = (i * 7) % 24;
    vdi_tape_reset(t);
    x = vdi_tape_variable(t, vdi_tensor_2d(many, VDI_F64, 8, 3));
    CHECK_OK(vdi_tape_backward(t, vdi_var_sum(t, vdi_var_max_axis(t, x, 1, false))), err);
    for (int i = 0; i < 24; i++) {
        const double *row = many + i / 3 * 3;
        const double top = fmax(row[0], fmax(row[1], row[2]));
        CHECK_CLOSE(((double *)vdi_tape_grad(t, x).data)[i], many[i] == top, 0);
    }
    vdi_tape_destroy(t);
}

static int reduce_axis, reduce_keep;
FN(f_sum) {
    (void)user;
    return vdi_var_sum(t, vdi_var_square(t, x[0]));
}
FN(f_mean) {
    (void)user;
    return vdi_var_add(t, vdi_var_mean(t, vdi_var_square(t, x[0])), vdi_var_mean(t, x[0]));
}
FN(f_sum_axis) {
    (void)user;
    return vdi_var_sum_axis(t, vdi_var_square(t, x[0]), reduce_axis, reduce_keep);
}
FN(f_mean_axis) {
    (void)user;
    return vdi_var_square(t, vdi_var_add(t, x[0], vdi_var_mean_axis(t, x[0], reduce_axis, true)));
}
FN(f_max_axis) {
    (void)user;
    return vdi_var_max_axis(t, x[0], reduce_axis, reduce_keep);
}
FN(f_min_axis) {
    (void)user;
    return vdi_var_min_axis(t, x[0], reduce_axis, reduce_keep);
}
FN(f_logsumexp) {
    (void)user;
    return vdi_var_logsumexp(t, x[0], reduce_axis, reduce_keep);
}
FN(f_dot) {
    (void)user;
    return vdi_var_dot(t, x[0], x[1]);
}
FN(f_softmax) {
    (void)user;
    return vdi_var_softmax(t, x[0]);
}
FN(f_log_softmax) {
    (void)user;
    return vdi_var_log_softmax(t, x[0]);
}

TEST(ops, reductions) {
    static const grad_case whole[] = {
        {"sum", f_sum, 1, {{2, {3, 7}, ANY}}, 0},
        {"mean", f_mean, 1, {{2, {3, 7}, ANY}}, 0},
        {"dot", f_dot, 2, {{3, {2, 3, 5}, ANY}, {3, {2, 3, 5}, ANY}}, 0},
        {"softmax", f_softmax, 1, {{2, {3, 7}, ANY}}, 0},
        {"log_softmax", f_log_softmax, 1, {{2, {3, 7}, ANY}}, 0},
    };
    static const vdi_check_fn axis_fn[] = {f_sum_axis, f_mean_axis, f_max_axis, f_min_axis,
                                           f_logsumexp};
    static const char *const names[] = {"sum_axis", "mean_axis", "max_axis", "min_axis",
                                        "logsumexp"};
    for (size_t i = 0; i < VDI__COUNT(whole); i++)
        case_check(&whole[i]);
    for (size_t i = 0; i < VDI__COUNT(axis_fn); i++) {
        for (reduce_axis = -3; reduce_axis < 3; reduce_axis++) {
            grad_case c = {names[i], axis_fn[i], 1, {{3, {2, 3, 5}, ANY}}, 0};
            reduce_keep = reduce_axis < 0;
            case_check(&c);
        }
    }
    /* logsumexp: -inf is absent, and a row of them stays -inf without a NaN in the gradient */
    vdi_tape *t;
    vdi_error err;
    CHECK_OK(vdi_tape_create(NULL, &t, &err), err);
    float v[4] = {-INFINITY, 1, -INFINITY, -INFINITY};
    vdi_var x = vdi_tape_variable(t, vdi_tensor_2d(v, VDI_F32, 2, 2));
    for (int axis = 0; axis < 2; axis++) {
        vdi_var y = vdi_var_logsumexp(t, x, axis, false);
        int at = axis ? 0 : 1;
        CHECK_CLOSE(((float *)vdi_tape_value(t, y).data)[at], 1, 0);
        CHECK(((float *)vdi_tape_value(t, y).data)[1 - at] == -INFINITY, "empty row");
        CHECK_OK(vdi_tape_backward(t, vdi_var_index(t, y, 0, at)), err);
        const float *g = (const float *)vdi_tape_grad(t, x).data;
        CHECK(g[1] == 1 && g[0] == 0 && g[2] == 0 && g[3] == 0, "axis %d: %g %g %g %g", axis, g[0],
              g[1], g[2], g[3]);
    }
    vdi_tape_destroy(t);
}

FN(f_reshape) {
    int64_t shape[3] = {3, -1, 2};
    (void)user;
    return vdi_var_square(t, vdi_var_reshape(t, x[0], 3, shape));
}
FN(f_permute) {
    int order[3] = {2, 0, 1};
    (void)user;
    return vdi_var_square(t, vdi_var_permute(t, x[0], order));
}
FN(f_permute_rows) {
    int order[3] = {1, 0, 2};
    (void)user;
    return vdi_var_mul(t, vdi_var_permute(t, x[0], order), vdi_var_permute(t, x[0], order));
}
FN(f_transpose) {
    (void)user;
    return vdi_var_transpose(t, vdi_var_square(t, x[0]));
}
FN(f_slice) {
    (void)user;
    /* views */
    vdi_var a = vdi_var_slice(t, x[0], 0, 1, 1, 2), b = vdi_var_slice(t, x[0], 0, 0, 1, 2);
    vdi_var c = vdi_var_slice(t, vdi_var_mul(t, a, b), 1, 2, -1, 2);
    return vdi_var_mul(t, c, vdi_var_slice(t, a, -2, 1, 1, 2));
}
FN(f_slice_step) {
    (void)user;
    return vdi_var_mul(t, vdi_var_slice(t, x[0], 1, 0, 2, 2), vdi_var_slice(t, x[0], 1, 3, -2, 2));
}
FN(f_index) {
    (void)user;
    return vdi_var_mul(t, vdi_var_index(t, x[0], 1, -1), vdi_var_index(t, x[0], 1, 0));
}
FN(f_concat) {
    vdi_var part[3];
    (void)user;
    part[0] = x[0];
    part[1] = vdi_var_square(t, x[1]);
    part[2] = x[0];
    return vdi_var_square(t, vdi_var_concat(t, part, 3, 1));
}
FN(f_stack) {
    vdi_var part[2];
    (void)user;
    part[0] = x[0];
    part[1] = vdi_var_square(t, x[1]);
    return vdi_var_square(t, vdi_var_stack(t, part, 2, -1));
}
FN(f_gather) {
    static int64_t index[5] = {2, 0, 2, 1, 2};
    (void)user;
    return vdi_var_square(t, vdi_var_gather(t, x[0], vdi_tensor_1d(index, VDI_I64, 5)));
}
FN(f_broadcast_to) {
    int64_t shape[3] = {4, 3, 5};
    (void)user;
    return vdi_var_square(t, vdi_var_broadcast_to(t, x[0], 3, shape));
}
static int scan_axis;
FN(f_scan) {
    (void)user;
    return vdi_var_scan(t, x[0], x[1], vdi_var_none(), scan_axis);
}
FN(f_scan_start) {
    (void)user;
    return vdi_var_scan(t, x[0], x[1], x[2], scan_axis);
}

TEST(ops, shapes) {
    static const grad_case cases[] = {
        {"reshape", f_reshape, 1, {{2, {3, 8}, ANY}}, 0},
        {"permute", f_permute, 1, {{3, {2, 3, 4}, ANY}}, 0},
        {"permute, rows", f_permute_rows, 1, {{3, {2, 3, 4}, ANY}}, 0},
        {"transpose", f_transpose, 1, {{3, {2, 3, 4}, ANY}}, 0},
        {"slice", f_slice, 1, {{3, {3, 3, 4}, ANY}}, 0},
        {"slice with a step", f_slice_step, 1, {{3, {2, 4, 3}, ANY}}, 0},
        {"index", f_index, 1, {{3, {2, 4, 3}, ANY}}, 0},
        {"concat", f_concat, 2, {{3, {2, 3, 2}, ANY}, {3, {2, 1, 2}, ANY}}, 0},
        {"stack", f_stack, 2, {{2, {2, 3}, ANY}, {2, {2, 3}, ANY}}, 0},
        {"gather", f_gather, 1, {{2, {3, 4}, ANY}}, 0},
        {"broadcast_to", f_broadcast_to, 1, {{2, {3, 1}, ANY}}, 0},
        {"broadcast_to, leading", f_broadcast_to, 1, {{1, {5}, ANY}}, 0},
    };
    for (size_t i = 0; i < VDI__COUNT(cases); i++)
        case_check(&cases[i]);
    for (scan_axis = 0; scan_axis < 3; scan_axis++) {
        grad_case same = {"scan", f_scan, 2, {{3, {2, 4, 3}, ANY}, {3, {2, 4, 3}, ANY}}, 0};
        grad_case scalar = {
            "scan with one factor", f_scan, 2, {{0, {0}, 0.5, 0.9}, {3, {2, 4, 3}, ANY}}, 0};
        grad_case start = {"scan with a start",
                           f_scan_start,
                           3,
                           {{3, {2, 4, 3}, ANY}, {3, {2, 4, 3}, ANY}, {2, {0, 0}, ANY}},
                           0};
        start.in[2].shape[0] = scan_axis == 0 ? 4 : 2;
        start.in[2].shape[1] = scan_axis == 2 ? 4 : 3;
        case_check(&same);
        case_check(&scalar);
        case_check(&start);
    }
}

static int matmul_flags;
FN(f_matmul) {
    (void)user;
    return vdi_var_matmul(t, x[0], x[1], matmul_flags);
}

TEST(ops, matmul) {
    static const struct {
        int na, nb;
        int64_t a[4], b[4]; /* the batch, then m k and k n */
    } shapes[] = {
        {2, 2, {3, 4}, {4, 5}},       {3, 2, {6, 3, 4}, {4, 2}},       {2, 3, {3, 4}, {5, 4, 2}},
        {3, 3, {2, 3, 2}, {2, 2, 3}}, {4, 3, {2, 1, 3, 2}, {3, 2, 2}}, {2, 2, {1, 1}, {1, 1}},
    };
    for (matmul_flags = 0; matmul_flags < 4; matmul_flags++) {
        for (size_t i = 0; i < VDI__COUNT(shapes); i++) {
            char name[64];
            grad_case c;
            snprintf(name, sizeof name, "matmul %zu, flags %d", i, matmul_flags);
            memset(&c, 0, sizeof c);
            c.name = name;
            c.fn = f_matmul;
            c.inputs = 2;
            for (int side = 0; side < 2; side++) {
                case_input *in = &c.in[side];
                in->ndim = side ? shapes[i].nb : shapes[i].na;
                memcpy(in->shape, side ? shapes[i].b : shapes[i].a, sizeof shapes[i].a);
                in->low = -1;
                in->high = 1;
                if (matmul_flags & (side ? VDI_GEMM_TB : VDI_GEMM_TA)) {
                    int64_t swap = in->shape[in->ndim - 1];
                    in->shape[in->ndim - 1] = in->shape[in->ndim - 2];
                    in->shape[in->ndim - 2] = swap;
                }
            }
            case_check(&c);
        }
    }
}

/* X X' + n I, from a free matrix */
static vdi_var definite(vdi_tape *t, vdi_var x, double shift) {
    vdi_var zero = vdi_var_mul_scalar(t, vdi_var_stop_gradient(t, vdi_var_diagonal(t, x)), 0);
    return vdi_var_add(t, vdi_var_matmul(t, x, x, VDI_GEMM_TB),
                       vdi_var_diag_embed(t, vdi_var_add_scalar(t, zero, shift)));
}
static int trsm_flags;
FN(f_cholesky) {
    (void)user;
    return vdi_var_cholesky(t, definite(t, x[0], 3));
}
FN(f_trsm) {
    (void)user;
    return vdi_var_trsm(t, vdi_var_tril(t, x[0], true), x[1], trsm_flags);
}
FN(f_tril) {
    (void)user;
    return vdi_var_square(t, vdi_var_tril(t, x[0], false));
}
FN(f_tril_exp) {
    (void)user;
    return vdi_var_square(t, vdi_var_tril(t, x[0], true));
}
FN(f_diagonal) {
    (void)user;
    return vdi_var_square(t, vdi_var_diagonal(t, x[0]));
}
FN(f_diag_embed) {
    (void)user;
    return vdi_var_square(t, vdi_var_diag_embed(t, x[0]));
}

TEST(ops, triangles) {
    static const grad_case cases[] = {
        {"cholesky", f_cholesky, 1, {{2, {5, 5}, -1, 1}}, 0},
        {"cholesky of a batch", f_cholesky, 1, {{4, {2, 3, 3, 3}, -1, 1}}, 0},
        {"cholesky of size 1", f_cholesky, 1, {{2, {1, 1}, -1, 1}}, 0},
        {"tril", f_tril, 1, {{3, {2, 4, 4}, ANY}}, 0},
        {"tril with exp", f_tril_exp, 1, {{3, {2, 4, 4}, -1, 1}}, 0},
        {"diagonal", f_diagonal, 1, {{3, {2, 4, 4}, ANY}}, 0},
        {"diag_embed", f_diag_embed, 1, {{2, {3, 4}, ANY}}, 0},
    };
    for (size_t i = 0; i < VDI__COUNT(cases); i++)
        case_check(&cases[i]);
    for (trsm_flags = 0; trsm_flags < 4; trsm_flags++) {
        int right = (trsm_flags & VDI_TRSM_RIGHT) != 0;
        grad_case one = {"trsm", f_trsm, 2, {{2, {4, 4}, -1, 1}, {2, {4, 3}, -1, 1}}, 0};
        grad_case batch = {
            "trsm of a batch", f_trsm, 2, {{3, {5, 4, 4}, -1, 1}, {3, {5, 4, 3}, -1, 1}}, 0};
        grad_case shared = {
            "trsm, one L for a batch", f_trsm, 2, {{2, {4, 4}, -1, 1}, {3, {5, 4, 3}, -1, 1}}, 0};
        if (right) {
            one.in[1].shape[0] = 3;
            one.in[1].shape[1] = 4;
            batch.in[1].shape[1] = shared.in[1].shape[1] = 3;
            batch.in[1].shape[2] = shared.in[1].shape[2] = 4;
        }
        case_check(&one);
        case_check(&batch);
        case_check(&shared);
    }
    /* not positive definite: an error that names the matrix */
    vdi_tape *t;
    vdi_error err;
    CHECK_OK(vdi_tape_create(NULL, &t, &err), err);
    float bad[8] = {1, 0, 0, 1, 1, 2, 2, 1};
    vdi_var a = vdi_tape_variable(t, vdi_tensor_3d(bad, VDI_F32, 2, 2, 2));
    CHECK(!vdi_var_ok(vdi_var_cholesky(t, a)), "an indefinite matrix");
    CHECK(vdi_tape_status(t, &err) == VDI_ERR_NOT_POSITIVE_DEFINITE &&
              strstr(err.message, "matrix 1"),
          "%s", err.message);
    vdi_tape_destroy(t);
}

static const int64_t *btri_lengths;
static int btri_what;
FN(f_blocktri) {
    (void)user;
    bool one = vdi_var_dim(t, x[0], 1) == 1;
    vdi_var S, O;
    vdi_blocktri_var f =
        vdi_var_blocktri_factor(t, definite(t, x[0], 4), one ? vdi_var_none() : x[2], btri_lengths);
    if (btri_what == 0) return vdi_var_blocktri_logdet(t, f);
    if (btri_what == 1) return vdi_var_blocktri_solve(t, f, x[1]);
    if (btri_what == 2) return vdi_var_blocktri_sample(t, f, x[1]);
    if (btri_what == 3) return vdi_var_blocktri_matvec(t, f, x[1]);
    (void)vdi_var_blocktri_marginals(t, f, &S, &O);
    if (btri_what == 4) return S;
    if (btri_what == 5) return O;
    /* everything at once, as an ELBO has it */
    vdi_var z =
        vdi_var_add(t, vdi_var_blocktri_solve(t, f, x[1]), vdi_var_blocktri_sample(t, f, x[1]));
    vdi_var u = vdi_var_add(t, vdi_var_sum(t, vdi_var_tanh(t, z)),
                            vdi_var_sum(t, vdi_var_blocktri_logdet(t, f)));
    return vdi_var_add(
        t, u,
        vdi_var_add(t, vdi_var_sum(t, vdi_var_square(t, S)), vdi_var_sum(t, vdi_var_square(t, O))));
}

TEST(ops, blocktri) {
    static const int64_t lengths[3] = {4, 2, 3};
    static const int64_t B[] = {3, 3, 1, 2, 3}, T[] = {4, 4, 5, 1, 4}, d[] = {2, 2, 3, 2, 1};
    for (btri_what = 0; btri_what < 7; btri_what++) {
        for (int shape = 0; shape < 5; shape++) {
            char name[64];
            grad_case c = {
                name, f_blocktri, 3, {{4, {0}, -1, 1}, {3, {0}, -1, 1}, {4, {0}, -0.7, 0.7}}, 1e-3};
            if (T[shape] == 1 && btri_what >= 5) continue; /* there is no O */
            snprintf(name, sizeof name, "blocktri %d, shape %d", btri_what, shape);
            btri_lengths = shape == 1 ? lengths : NULL;
            c.in[0].shape[0] = c.in[2].shape[0] = B[shape];
            c.in[0].shape[1] = T[shape];
            c.in[2].shape[1] = T[shape] - 1;
            c.in[0].shape[2] = c.in[0].shape[3] = c.in[2].shape[2] = c.in[2].shape[3] = d[shape];
            c.in[1].shape[0] = B[shape];
            c.in[1].shape[1] = T[shape];
            c.in[1].shape[2] = d[shape];
            if (shape == 4) { /* several right-hand sides */
                c.in[1].ndim = 4;
                c.in[1].shape[0] = 2;
                c.in[1].shape[1] = B[shape];
                c.in[1].shape[2] = T[shape];
                c.in[1].shape[3] = d[shape];
            }
            case_check(&c);
        }
    }
}
