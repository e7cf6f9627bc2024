/* The gradient checker has to pass what is right and to name what is wrong; and whole models run
 * through it as they stand. */
#include "check.h"

/* sum of w x^2 as a user's operation whose gradient is off in one entry, if asked */
static int wrong;
static vdi_status cube_forward(vdi_custom *c, void *user, vdi_error *err) {
    (void)user;
    (void)err;
    for (int64_t i = 0; i < vdi_tensor_count(c->in[0]); i++)
        ((double *)c->out[0].data)[i] = pow(((const double *)c->in[0].data)[i], 3);
    return VDI_OK;
}
static vdi_status cube_backward(vdi_custom *c, void *user, vdi_error *err) {
    (void)user;
    (void)err;
    for (int64_t i = 0; i < vdi_tensor_count(c->in[0]); i++) {
        double x = ((const double *)c->in[0].data)[i], dy = ((const double *)c->dout[0].data)[i];
        ((double *)c->din[0].data)[i] += 3 * x * x * dy * (wrong && i == 3 ? 1.001 : 1);
    }
    return VDI_OK;
}
static vdi_var cube(vdi_tape *t, const vdi_var *x, void *user) {
    vdi_custom_desc d;
    vdi_tensor shape = vdi_tape_value(t, x[0]);
    vdi_var y;
    (void)user;
    shape.data = NULL;
    memset(&d, 0, sizeof d);
    d.name = "cube";
    d.inputs = d.outputs = 1;
    d.input = x;
    d.output = &shape;
    d.forward = cube_forward;
    d.backward = cube_backward;
    (void)vdi_var_custom(t, &d, &y);
    return y;
}
static vdi_var linear(vdi_tape *t, const vdi_var *x, void *user) {
    (void)user;
    return vdi_var_sum(t, vdi_var_mul_scalar(t, x[0], 3));
}
static vdi_var narrow(vdi_tape *t, const vdi_var *x, void *user) {
    (void)user;
    return vdi_var_sum(t, vdi_var_cast(t, x[0], VDI_F32));
}
static vdi_var broken(vdi_tape *t, const vdi_var *x, void *user) {
    (void)user;
    return vdi_tape_fail(t, VDI_ERR_DATA, "broken", "on purpose %d", vdi_var_ndim(t, x[0]));
}

TEST(gradcheck, finds_what_is_wrong) {
    double x[6] = {0.5, -1, 2, 1.5, 0.25, -0.75}, copy[6], error, slope;
    vdi_tensor xt = vdi_tensor_1d(x, VDI_F64, 6);
    vdi_check_desc d;
    vdi_check_report r;
    vdi_error err;
    memcpy(copy, x, sizeof x);
    memset(&d, 0, sizeof d);
    d.fn = cube;
    d.inputs = 1;
    d.input = &xt;
    wrong = 0;
    CHECK_OK(vdi_check_gradient(&d, &r, &err), err);
    CHECK(r.worst < 1e-9 && r.checked == 6, "%s", r.text);
    CHECK_OK(vdi_check_taylor(&d, &slope, &err), err);
    CHECK(slope > 1.9 && slope < 2.1, "%g", slope);
    CHECK_OK(vdi_check_adjoint(&d, &error, &err), err);
    CHECK(error < 1e-9, "%g", error);
    wrong = 1;
    CHECK_OK(vdi_check_gradient(&d, &r, &err), err);
    CHECK(r.worst > 5e-4 && r.worst < 2e-3 && r.tensor == 0 && r.index == 3 &&
              strstr(r.text, "[3]"),
          "%s", r.text);
    CHECK_OK(vdi_check_adjoint(&d, &error, &err), err);
    CHECK(error > 1e-6, "%g", error);
    CHECK_OK(vdi_check_taylor(&d, &slope, &err), err);
    CHECK(slope < 1.9, "%g", slope);
    CHECK(memcmp(x, copy, sizeof x) == 0, "the inputs are put back");
    d.fn = linear;
    CHECK_OK(vdi_check_taylor(&d, &slope, &err), err);
    CHECK(slope == INFINITY, "%g", slope);
    d.most = 2;
    CHECK_OK(vdi_check_gradient(&d, &r, &err), err);
    CHECK(r.checked == 2 && r.worst < 1e-9, "%s", r.text);
    d.fn = broken;
    CHECK(vdi_check_gradient(&d, &r, &err) == VDI_ERR_DATA && strstr(err.message, "on purpose 1"),
          "%s", err.message);
    CHECK_FAILS(vdi_check_adjoint(&d, &error, &err), VDI_ERR_DATA);
    CHECK_FAILS(vdi_check_taylor(&d, &slope, &err), VDI_ERR_DATA);
    CHECK(memcmp(x, copy, sizeof x) == 0, "the inputs are put back");
    d.fn = narrow;
    CHECK_FAILS(vdi_check_gradient(&d, &r, &err), VDI_ERR_DTYPE);
    CHECK(strstr(err.message, "gave no float64 value"), "%s", err.message);
    xt.dtype = VDI_F32;
    CHECK_FAILS(vdi_check_gradient(&d, &r, &err), VDI_ERR_DTYPE);
    d.fn = NULL;
    CHECK_FAILS(vdi_check_gradient(&d, &r, &err), VDI_ERR_ARGUMENT);
}

/* Failing memory inside the checker: an error, the inputs put back, nothing lost. */
TEST(gradcheck, memory) {
    double x[6] = {0.5, -1, 2, 1.5, 0.25, -0.75}, copy[6], error;
    vdi_tensor xt = vdi_tensor_1d(x, VDI_F64, 6);
    vdi_check_report r;
    vdi_error err;
    memcpy(copy, x, sizeof x);
    for (long k = 1; k < 8; k++) {
        for (int which = 0; which < 3; which++) {
            test_allocator counter;
            vdi_check_desc d;
            memset(&counter, 0, sizeof counter);
            memset(&d, 0, sizeof d);
            counter.fail_at = k;
            counter.forever = 1;
            d.fn = linear;
            d.inputs = 1;
            d.input = &xt;
            d.allocator = test_allocator_of(&counter);
            vdi_status status = which == 0   ? vdi_check_gradient(&d, &r, &err)
                                : which == 1 ? vdi_check_adjoint(&d, &error, &err)
                                             : vdi_check_taylor(&d, &error, &err);
            CHECK(status == (counter.requests >= k ? VDI_ERR_MEMORY : VDI_OK), "%ld: %s", k,
                  vdi_status_name(status));
            CHECK(counter.live == 0 && memcmp(x, copy, sizeof x) == 0, "%ld", k);
        }
    }
}

/* A soft actor-critic loss: squashed policy, twin decomposed critics, composite minimum. */
typedef struct agent {
    vdi_mlp_desc policy, critic[2];
    const vdi_params *p;
    int64_t at[3];
} agent;
static vdi_var policy_loss(vdi_tape *t, const vdi_var *x, void *user) {
    agent *a = (agent *)user;
    vdi_var state = x[0], eps = x[1], weights = x[2], lp, key[2], value[2], pair[2];
    vdi_var out = vdi_mlp_apply(t, &a->policy, a->p->item + a->at[0], state);
    vdi_var mean = vdi_var_slice(t, out, 1, 0, 1, 2);
    vdi_var log_sd = vdi_var_clip(t, vdi_var_slice(t, out, 1, 2, 1, 2), -5, 2);
    pair[0] = state;
    pair[1] = vdi_var_tanh_normal_sample(t, mean, log_sd, eps, &lp);
    vdi_var input = vdi_var_concat(t, pair, 2, -1);
    for (int j = 0; j < 2; j++) {
        value[j] = vdi_mlp_apply(t, &a->critic[j], a->p->item + a->at[1 + j], input);
        key[j] = vdi_var_sum_axis(t, vdi_var_mul(t, value[j], weights), 1, false);
    }
    vdi_var q = vdi_var_pick_min(t, 2, key, value);
    return vdi_var_mean(t, vdi_var_sub(t, vdi_var_mul_scalar(t, lp, 0.2),
                                       vdi_var_sum_axis(t, vdi_var_mul(t, q, weights), 1, false)));
}

/* An ELBO: encoder to the blocks of a precision, sample, Poisson likelihood through a decoder,
 * entropy. */
typedef struct series {
    vdi_mlp_desc encoder, decoder;
    const vdi_params *p;
    int64_t at[3];
} series;
static vdi_var elbo(vdi_tape *t, const vdi_var *x, void *user) {
    series *s = (series *)user;
    int64_t B = vdi_var_dim(t, x[0], 0), T = vdi_var_dim(t, x[0], 1), d = vdi_var_dim(t, x[1], 2);
    int64_t square[4], blocks[4];
    square[0] = B;
    square[1] = T;
    square[2] = d;
    square[3] = d;
    blocks[0] = B;
    blocks[1] = T - 1;
    blocks[2] = d;
    blocks[3] = d;
    vdi_var h = vdi_mlp_apply(t, &s->encoder, s->p->item + s->at[0], x[0]);
    vdi_var m = vdi_var_slice(t, h, 2, 0, 1, d);
    vdi_var R = vdi_var_reshape(t, vdi_var_slice(t, h, 2, d, 1, d * d), 4, square);
    vdi_var A = vdi_tape_param(t, s->p->item + s->at[2]);
    vdi_var L = vdi_var_tril(t, vdi_tape_param(t, s->p->item + s->at[2] + 1), true);
    vdi_var Q = vdi_var_matmul(t, L, L, VDI_GEMM_TB); /* a precision */
    vdi_var back = vdi_var_matmul(t, A, vdi_var_matmul(t, Q, A, 0), VDI_GEMM_TA);
    vdi_var D = vdi_var_add(t, vdi_var_matmul(t, R, R, VDI_GEMM_TB), vdi_var_add(t, Q, back));
    vdi_var E = vdi_var_broadcast_to(t, vdi_var_neg(t, vdi_var_matmul(t, Q, A, 0)), 4, blocks);
    vdi_blocktri_var f = vdi_var_blocktri_factor(t, D, E, NULL);
    vdi_var z =
        vdi_var_add(t, vdi_var_blocktri_solve(t, f, m), vdi_var_blocktri_sample(t, f, x[1]));
    vdi_var rate = vdi_mlp_apply(t, &s->decoder, s->p->item + s->at[1], z);
    vdi_var likelihood = vdi_var_sum(t, vdi_var_poisson_log_prob(t, x[0], rate));
    vdi_var entropy = vdi_var_mul_scalar(t, vdi_var_sum(t, vdi_var_blocktri_logdet(t, f)), -0.5);
    return vdi_var_mul_scalar(t, vdi_var_add(t, likelihood, entropy), 1 / (double)(B * T));
}

static void fill(vdi_tensor t, unsigned long long seed, double low, double high) {
    for (int64_t i = 0; i < vdi_tensor_count(t); i++)
        vdi_dtype_store(t.dtype, t.data, i, low + (high - low) * test_uniform(&seed));
}

static void check_all(vdi_check_desc *d, int64_t least) {
    vdi_check_report r;
    vdi_error err;
    double slope, error;
    CHECK_OK(vdi_check_gradient(d, &r, &err), err);
    CHECK(r.worst < 1e-6 && r.checked > least, "%s", r.text);
    CHECK(vdi_check_taylor(d, &slope, &err) >= 0 && slope > 1.9, "%g", slope);
    CHECK(vdi_check_adjoint(d, &error, &err) >= 0 && error < 1e-6, "%g", error);
}

TEST(gradcheck, whole_agent) {
    static double state[15], eps[10], weights[3] = {1, 0.5, 1};
    vdi_param_desc list[24];
    vdi_rng rng = vdi_rng_make(11, 0);
    vdi_check_desc d;
    vdi_error err;
    vdi_tensor in[3];
    vdi_params *p;
    agent a;
    memset(&a, 0, sizeof a);
    a.policy.name = "policy";
    a.policy.layers = 3;
    a.policy.act = VDI_ACT_TANH;
    a.policy.sizes[0] = 3;
    a.policy.sizes[1] = a.policy.sizes[2] = 8;
    a.policy.sizes[3] = 4;
    for (int j = 0; j < 2; j++) {
        vdi_mlp_desc *c = &a.critic[j];
        c->name = j ? "q2" : "q1";
        c->layers = 2;
        c->act = VDI_ACT_SOFTPLUS;
        c->sizes[0] = 5;
        c->sizes[1] = 7;
        c->sizes[2] = 3;
    }
    a.at[1] = vdi_mlp_declare(&a.policy, list, 24);
    a.at[2] = a.at[1] + vdi_mlp_declare(&a.critic[0], list + a.at[1], 8);
    CHECK_OK(vdi_params_create(list, a.at[2] + vdi_mlp_declare(&a.critic[1], list + a.at[2], 8),
                               VDI_F64, NULL, &rng, &p, &err),
             err);
    a.p = p;
    in[0] = vdi_tensor_2d(state, VDI_F64, 5, 3);
    in[1] = vdi_tensor_2d(eps, VDI_F64, 5, 2);
    in[2] = vdi_tensor_1d(weights, VDI_F64, 3);
    fill(in[0], 1, -1, 1);
    fill(in[1], 2, -2, 2);
    memset(&d, 0, sizeof d);
    d.fn = policy_loss;
    d.user = &a;
    d.inputs = 3;
    d.input = in;
    d.params = p;
    check_all(&d, 200);
    vdi_params_destroy(p);
}

TEST(gradcheck, whole_series) {
    static double y[2 * 6 * 5], noise[2 * 6 * 2];
    vdi_param_desc list[24];
    vdi_rng rng = vdi_rng_make(11, 0);
    vdi_check_desc d;
    vdi_error err;
    vdi_tensor in[2];
    vdi_params *p;
    series s;
    memset(&s, 0, sizeof s);
    s.encoder.name = "encoder";
    s.encoder.layers = 2;
    s.encoder.act = VDI_ACT_TANH;
    s.encoder.sizes[0] = 5;
    s.encoder.sizes[1] = 6;
    s.encoder.sizes[2] = 2 + 4;
    s.decoder.name = "decoder";
    s.decoder.layers = 2;
    s.decoder.act = VDI_ACT_TANH;
    s.decoder.sizes[0] = 2;
    s.decoder.sizes[1] = 6;
    s.decoder.sizes[2] = 5;
    s.at[1] = vdi_mlp_declare(&s.encoder, list, 24);
    s.at[2] = s.at[1] + vdi_mlp_declare(&s.decoder, list + s.at[1], 8);
    list[s.at[2]] = vdi_param_2d("A", VDI_INIT_IDENTITY, 0.9, 2, 2);
    list[s.at[2] + 1] = vdi_param_2d("L", VDI_INIT_NORMAL, 0.2, 2, 2);
    CHECK_OK(vdi_params_create(list, s.at[2] + 2, VDI_F64, NULL, &rng, &p, &err), err);
    s.p = p;
    in[0] = vdi_tensor_3d(y, VDI_F64, 2, 6, 5);
    in[1] = vdi_tensor_3d(noise, VDI_F64, 2, 6, 2);
    fill(in[0], 3, 0, 4);
    fill(in[1], 4, -2, 2);
    memset(&d, 0, sizeof d);
    d.fn = elbo;
    d.user = &s;
    d.inputs = 2;
    d.input = in;
    d.params = p;
    check_all(&d, 100);
    vdi_params_destroy(p);
}
