/* Layers and distributions: gradients of the coarse operations with their parameters, densities
 * against numbers known otherwise. */
#include "grad_case.h"

#define FN(name) static vdi_var name(vdi_tape *t, const vdi_var *x, void *user)
#define ANY -1.5, 1.5

static vdi_act act;
static int64_t pad, step; /* step 0: the plain convolution */
static int with_bias, gru_reverse;
FN(f_affine) {
    (void)user;
    return vdi_var_affine(t, x[0], x[1], with_bias ? x[2] : vdi_var_none(), act, 0);
}
FN(f_affine_twice) { /* the gradients of x and W add to what is there */
    (void)user;
    vdi_var h = vdi_var_affine(t, x[0], x[1], x[2], act, 0);
    return vdi_var_mul(t, vdi_var_affine(t, h, x[1], x[2], act, 0), vdi_var_mul(t, x[0], h));
}
FN(f_conv) {
    (void)user;
    if (step) {
        return vdi_var_conv1d_dilated(t, x[0], x[1], with_bias ? x[2] : vdi_var_none(), step, pad,
                                      act, 0);
    }
    return vdi_var_conv1d(t, x[0], x[1], with_bias ? x[2] : vdi_var_none(), pad, act, 0);
}
FN(f_conv_bias_only) {
    (void)user;
    int64_t shape[3] = {4, 3, 2};
    return vdi_var_conv1d(t, x[0], vdi_tape_full(t, 3, shape, 0.3), x[1], 0, act, 0);
}
FN(f_layer_norm) {
    (void)user;
    return vdi_var_layer_norm(t, x[0], x[1], x[2], 0);
}
FN(f_layer_norm_plain) {
    (void)user;
    return vdi_var_layer_norm(t, x[0], vdi_var_none(), vdi_var_none(), 1e-3);
}
FN(f_gru) {
    (void)user;
    return vdi_var_gru(t, x[0], x[1], x[2], x[3], gru_reverse);
}
FN(f_gru_constant_input) {
    (void)user;
    int64_t shape[3] = {5, 2, 9};
    return vdi_var_gru(t, vdi_tape_full(t, 3, shape, 0.3), x[0], x[1], vdi_var_none(), gru_reverse);
}

TEST(layers, gradients) {
    for (int a = VDI_ACT_NONE; a <= VDI_ACT_EXP; a++) {
        act = (vdi_act)a;
        grad_case affine = {
            "affine", f_affine, 3, {{2, {7, 4}, ANY}, {2, {4, 5}, ANY}, {1, {5}, ANY}}, 0};
        grad_case deep = {"affine, three axes",
                          f_affine,
                          3,
                          {{3, {2, 3, 4}, ANY}, {2, {4, 1}, ANY}, {1, {1}, ANY}},
                          0};
        grad_case twice = {"affine, twice",
                           f_affine_twice,
                           3,
                           {{2, {3, 4}, -0.7, 0.7}, {2, {4, 4}, -0.7, 0.7}, {1, {4}, -0.7, 0.7}},
                           5e-4};
        grad_case conv = {
            "conv1d", f_conv, 3, {{3, {2, 9, 3}, ANY}, {3, {4, 3, 2}, ANY}, {1, {2}, ANY}}, 0};
        grad_case only = {
            "conv1d, bias only", f_conv_bias_only, 2, {{3, {2, 9, 3}, ANY}, {1, {2}, ANY}}, 0};
        for (with_bias = 0; with_bias < 2; with_bias++) {
            case_check(&affine);
            case_check(&deep);
            for (pad = -1; pad < 4; pad += 2) {
                for (step = 0; step < 4; step += 3)
                    case_check(&conv);
            }
        }
        case_check(&twice);
        case_check(&only);
    }
    static const grad_case cases[] = {
        {"layer_norm", f_layer_norm, 3, {{3, {2, 3, 7}, ANY}, {1, {7}, ANY}, {1, {7}, ANY}}, 0},
        {"layer_norm, plain", f_layer_norm_plain, 1, {{2, {3, 7}, ANY}}, 0},
        {"gru",
         f_gru,
         4,
         {{3, {5, 2, 9}, ANY}, {2, {3, 9}, ANY}, {1, {9}, ANY}, {2, {2, 3}, ANY}},
         0},
        {"gru, constant input", f_gru_constant_input, 2, {{2, {3, 9}, ANY}, {1, {9}, ANY}}, 0},
    };
    for (gru_reverse = 0; gru_reverse < 2; gru_reverse++) {
        for (size_t i = 0; i < VDI__COUNT(cases); i++)
            case_check(&cases[i]);
    }
}

FN(f_normal) {
    (void)user;
    return vdi_var_normal_log_prob(t, x[0], x[1], x[2]);
}
FN(f_mvn) {
    (void)user;
    return vdi_var_mvn_log_prob(t, x[0], x[1], vdi_var_tril(t, x[2], true));
}
FN(f_poisson) {
    (void)user;
    return vdi_var_poisson_log_prob(t, x[0], x[1]);
}
FN(f_bernoulli) {
    (void)user;
    return vdi_var_bernoulli_log_prob(t, x[0], x[1]);
}
FN(f_negative_binomial) {
    (void)user;
    return vdi_var_negative_binomial_log_prob(t, x[0], x[1], x[2]);
}
FN(f_student_t) {
    (void)user;
    return vdi_var_student_t_log_prob(t, x[0], x[1], x[2], x[3]);
}
FN(f_laplace) {
    (void)user;
    return vdi_var_laplace_log_prob(t, x[0], x[1], x[2]);
}
FN(f_gamma) {
    (void)user;
    return vdi_var_gamma_log_prob(t, x[0], x[1], x[2]);
}
FN(f_beta) {
    (void)user;
    return vdi_var_beta_log_prob(t, x[0], x[1], x[2]);
}
FN(f_tanh_normal) {
    vdi_var lp;
    (void)user;
    vdi_var a = vdi_var_tanh_normal_sample(t, x[0], x[1], x[2], &lp);
    return vdi_var_add(t, vdi_var_sum_axis(t, a, -1, false), lp);
}
FN(f_kl) {
    (void)user;
    return vdi_var_add(t, vdi_var_normal_kl(t, x[0], x[1], x[2], x[3]),
                       vdi_var_normal_kl_standard(t, x[0], x[1]));
}

TEST(layers, densities) {
    static const grad_case cases[] = {
        {"normal", f_normal, 3, {{2, {4, 3}, ANY}, {1, {3}, ANY}, {0, {0}, ANY}}, 0},
        {"mvn, one L", f_mvn, 3, {{2, {4, 3}, ANY}, {1, {3}, ANY}, {2, {3, 3}, -1, 1}}, 0},
        {"mvn, one vector", f_mvn, 3, {{1, {3}, ANY}, {1, {3}, ANY}, {2, {3, 3}, -1, 1}}, 0},
        {"mvn, an L for each",
         f_mvn,
         3,
         {{2, {4, 3}, ANY}, {2, {4, 3}, ANY}, {3, {4, 3, 3}, -1, 1}},
         0},
        {"poisson", f_poisson, 2, {{2, {4, 3}, 0, 6}, {1, {3}, ANY}}, 0},
        {"bernoulli", f_bernoulli, 2, {{2, {4, 3}, 0, 1}, {1, {3}, -4, 4}}, 0},
        {"negative binomial",
         f_negative_binomial,
         3,
         {{2, {4, 3}, 0, 6}, {1, {3}, ANY}, {1, {3}, ANY}},
         3e-4},
        {"student t",
         f_student_t,
         4,
         {{2, {4, 3}, ANY}, {1, {3}, ANY}, {0, {0}, ANY}, {1, {3}, 0, 3}},
         3e-4},
        {"laplace", f_laplace, 3, {{2, {4, 3}, 1.6, 3}, {1, {3}, ANY}, {1, {3}, ANY}}, 0},
        {"gamma", f_gamma, 3, {{2, {4, 3}, 0.2, 3}, {1, {3}, ANY}, {1, {3}, ANY}}, 3e-4},
        {"beta", f_beta, 3, {{2, {4, 3}, 0.1, 0.9}, {1, {3}, ANY}, {1, {3}, ANY}}, 3e-4},
        {"tanh normal", f_tanh_normal, 3, {{2, {4, 3}, ANY}, {1, {3}, ANY}, {2, {4, 3}, ANY}}, 0},
        {"kl", f_kl, 4, {{2, {4, 3}, ANY}, {1, {3}, ANY}, {1, {3}, ANY}, {0, {0}, ANY}}, 0},
    };
    for (size_t i = 0; i < VDI__COUNT(cases); i++)
        case_check(&cases[i]);
}

/* Values: every mass function sums to 1, every density integrates to 1, the constants included. */
TEST(layers, normalised_densities) {
    vdi_tape *t;
    vdi_error err;
    vdi_tape_desc td = vdi_tape_desc_defaults();
    td.dtype = VDI_F64;
    CHECK_OK(vdi_tape_create(&td, &t, &err), err);
    enum { N = 4001 };
    static double k[N], grid[N];
    double h = 0.01;
    double lower[4] = {0.8, 0, 0.5, 1.3};
    double point[2] = {0.3, -0.7};
    double zero[2] = {0, 0};
    for (int i = 0; i < N; i++) {
        k[i] = i;
        grid[i] = (i - N / 2) * h;
    }
    vdi_var y = vdi_tape_constant(t, vdi_tensor_1d(k, VDI_F64, 400));
    vdi_var x = vdi_tape_constant(t, vdi_tensor_1d(grid, VDI_F64, N));
    vdi_var a = vdi_tape_scalar(t, 1.3), b = vdi_tape_scalar(t, -0.4);
    CHECK_CLOSE(vdi_tape_item(t, vdi_var_sum(t, vdi_var_exp(t, vdi_var_poisson_log_prob(t, y, a)))),
                1, 1e-12);
    CHECK_CLOSE(vdi_tape_item(t, vdi_var_sum(t, vdi_var_exp(t, vdi_var_negative_binomial_log_prob(
                                                                   t, y, a, b)))),
                1, 1e-12);
    vdi_var nb = vdi_var_mul(t, y, vdi_var_exp(t, vdi_var_negative_binomial_log_prob(t, y, a, b)));
    CHECK_CLOSE(vdi_tape_item(t, vdi_var_sum(t, nb)), exp(1.3), 1e-10);
    CHECK_CLOSE(
        h * vdi_tape_item(t, vdi_var_sum(t, vdi_var_exp(t, vdi_var_normal_log_prob(t, x, a, b)))),
        1, 1e-12);
    vdi_var two = vdi_var_slice(t, y, 0, 0, 1, 2); /* 0 and 1 */
    CHECK_CLOSE(
        vdi_tape_item(t, vdi_var_sum(t, vdi_var_exp(t, vdi_var_bernoulli_log_prob(t, two, a)))), 1,
        1e-14);
    /* the normal in two dimensions against its formula: Sigma = L L' = [0.64 0.4; 0.4 1.94] */
    vdi_var lp = vdi_var_mvn_log_prob(t, vdi_tape_constant(t, vdi_tensor_1d(point, VDI_F64, 2)),
                                      vdi_tape_constant(t, vdi_tensor_1d(zero, VDI_F64, 2)),
                                      vdi_tape_constant(t, vdi_tensor_2d(lower, VDI_F64, 2, 2)));
    double det = 0.64 * 1.94 - 0.16, q = (1.94 * 0.09 - 2 * 0.4 * 0.3 * -0.7 + 0.64 * 0.49) / det;
    CHECK_CLOSE(vdi_tape_item(t, lp), -0.5 * q - 0.5 * log(det) - VDI_LOG_2PI, 1e-14);
    /* KL against its integral, and of equals 0 */
    vdi_var la = vdi_var_normal_log_prob(t, x, a, b);
    vdi_var lb = vdi_var_normal_log_prob(t, x, b, vdi_tape_scalar(t, 0.2));
    vdi_var kl = vdi_var_normal_kl(t, a, b, b, vdi_tape_scalar(t, 0.2));
    CHECK_CLOSE(vdi_tape_item(t, kl),
                h * vdi_tape_item(t, vdi_var_sum(t, vdi_var_mul(t, vdi_var_exp(t, la),
                                                                vdi_var_sub(t, la, lb)))),
                1e-10);
    CHECK_CLOSE(vdi_tape_item(t, vdi_var_normal_kl(t, a, b, a, b)), 0, 1e-15);
    CHECK_CLOSE(
        vdi_tape_item(t, vdi_var_normal_kl_standard(t, a, b)),
        vdi_tape_item(t, vdi_var_normal_kl(t, a, b, vdi_tape_scalar(t, 0), vdi_tape_scalar(t, 0))),
        1e-15);
    CHECK_OK(vdi_tape_status(t, &err), err);
    vdi_tape_destroy(t);
}

/* Densities on the line, the half line and the interval: values against numbers worked out
 * apart, and the integral of each is 1 (the midpoint rule). */
TEST(layers, more_densities) {
    enum { N = 200000 };
    vdi_tape *t;
    vdi_error err;
    vdi_tape_desc td = vdi_tape_desc_defaults();
    double *grid = (double *)calloc(N, sizeof *grid);
    td.dtype = VDI_F64;
    CHECK_OK(vdi_tape_create(&td, &t, &err), err);
    for (int k = 0; k < 4; k++) {
        const double low[4] = {-60, -60, 0, 0}, high[4] = {60, 60, 40, 1};
        const double step = (high[k] - low[k]) / N;
        vdi_tape_reset(t);
        vdi_var a = vdi_tape_scalar(t, log(2.5)), b = vdi_tape_scalar(t, log(1.7));
        vdi_var m = vdi_tape_scalar(t, 0.3), df = vdi_tape_scalar(t, log(7.0));
        for (int i = 0; i < N; i++)
            grid[i] = low[k] + (i + 0.5) * step;
        for (int pass = 0; pass < 2; pass++) {
            /* t(7; .3, 1.7), Laplace(.3, 1.7), gamma(2.5, 1.7), beta(2.5, 1.7) at .8 */
            static const double at[4] = {-1.534290997600157, -1.5178930786809393,
                                         -0.6528275697888084, 0.39835859821955055};
            double one = 0.8;
            vdi_var x =
                vdi_tape_constant(t, vdi_tensor_1d(pass ? grid : &one, VDI_F64, pass ? N : 1));
            vdi_var lp = k == 0   ? vdi_var_student_t_log_prob(t, x, m, b, df)
                         : k == 1 ? vdi_var_laplace_log_prob(t, x, m, b)
                         : k == 2 ? vdi_var_gamma_log_prob(t, x, a, b)
                                  : vdi_var_beta_log_prob(t, x, a, b);
            if (pass)
                CHECK_CLOSE(step * vdi_tape_item(t, vdi_var_sum(t, vdi_var_exp(t, lp))), 1, 1e-6);
            else
                CHECK_CLOSE(vdi_tape_item(t, lp), at[k], 1e-13);
        }
    }
    CHECK_OK(vdi_tape_status(t, &err), err);
    vdi_tape_destroy(t);
    free(grid);
}

/* A sample is mean + exp(log_sd) eps, and log y! may be given. */
TEST(layers, samples_and_given_factorials) {
    double mean[3] = {0.5, -1, 2}, log_sd[3] = {0, -0.5, 1}, eps[3] = {1.5, -2, 0.25};
    double counts[4] = {0, 1, 5, 12}, factorial[4];
    vdi_tape *t;
    vdi_error err;
    vdi_tape_desc td = vdi_tape_desc_defaults();
    td.dtype = VDI_F64;
    CHECK_OK(vdi_tape_create(&td, &t, &err), err);
    vdi_var x = vdi_var_normal_sample(t, vdi_tape_constant(t, vdi_tensor_1d(mean, VDI_F64, 3)),
                                      vdi_tape_constant(t, vdi_tensor_1d(log_sd, VDI_F64, 3)),
                                      vdi_tape_constant(t, vdi_tensor_1d(eps, VDI_F64, 3)));
    for (int i = 0; i < 3; i++)
        CHECK_CLOSE(((const double *)vdi_tape_value(t, x).data)[i],
                    mean[i] + exp(log_sd[i]) * eps[i], 1e-15);
    for (int i = 0; i < 4; i++) {
        factorial[i] = 0;
        for (int k = 2; k <= (int)counts[i]; k++)
            factorial[i] += log(k);
    }
    vdi_var y = vdi_tape_constant(t, vdi_tensor_1d(counts, VDI_F64, 4));
    vdi_var rate = vdi_tape_scalar(t, 0.7);
    vdi_var given = vdi_var_poisson_log_prob_given(
        t, y, vdi_tape_constant(t, vdi_tensor_1d(factorial, VDI_F64, 4)), rate);
    vdi_var whole = vdi_var_poisson_log_prob(t, y, rate);
    for (int i = 0; i < 4; i++) {
        const double by_hand = counts[i] * 0.7 - exp(0.7) - factorial[i];
        CHECK_CLOSE(((const double *)vdi_tape_value(t, given).data)[i], by_hand, 1e-14);
        CHECK_CLOSE(((const double *)vdi_tape_value(t, whole).data)[i], by_hand, 2e-14);
    }
    CHECK_OK(vdi_tape_status(t, &err), err);
    vdi_tape_destroy(t);
}

/* The squashed normal: its density of a = tanh(u) against the change of variables, also far out
 * where 1 - tanh^2 is 0. */
TEST(layers, squashed_density) {
    vdi_tape *t;
    vdi_error err;
    vdi_tape_desc td = vdi_tape_desc_defaults();
    td.dtype = VDI_F64;
    CHECK_OK(vdi_tape_create(&td, &t, &err), err);
    vdi_var a = vdi_tape_scalar(t, 1.3), b = vdi_tape_scalar(t, -0.4);
    for (double e = -3; e <= 30; e += 1.5) {
        double one = e, u = 1.3 + exp(-0.4) * e;
        vdi_var dens,
            av = vdi_var_tanh_normal_sample(
                t, vdi_var_unsqueeze(t, a, 0), b,
                vdi_tape_constant_copy(t, vdi_tensor_1d(&one, VDI_F64, 1), VDI_F64), &dens);
        double want = -0.5 * e * e + 0.4 - 0.5 * VDI_LOG_2PI + 2 * (log(cosh(u)));
        CHECK_CLOSE(vdi_tape_item(t, dens), want, 1e-11 * fmax(1, fabs(want)));
        CHECK_CLOSE(vdi_tape_item(t, vdi_var_sum(t, av)), tanh(u), 1e-15);
    }
    CHECK_OK(vdi_tape_status(t, &err), err);
    vdi_tape_destroy(t);
}

TEST(layers, stacks) {
    vdi_mlp_desc mlp;
    vdi_conv_desc conv;
    vdi_gru_desc gru;
    vdi_param_desc list[32];
    vdi_rng rng = vdi_rng_make(3, 0);
    vdi_params *p;
    vdi_tape *t;
    vdi_error err;
    memset(&mlp, 0, sizeof mlp);
    memset(&conv, 0, sizeof conv);
    memset(&gru, 0, sizeof gru);
    mlp.name = "head";
    mlp.layers = 3;
    mlp.act = VDI_ACT_TANH;
    mlp.layer_norm = true;
    mlp.out_scale = 0.1;
    mlp.sizes[0] = 6;
    mlp.sizes[1] = 8;
    mlp.sizes[2] = 5;
    mlp.sizes[3] = 2;
    conv.name = "conv";
    conv.layers = 2;
    conv.act = conv.out_act = VDI_ACT_LEAKY_RELU;
    conv.channels[0] = 1;
    conv.channels[1] = 4;
    conv.channels[2] = 3;
    conv.width[0] = 5;
    conv.width[1] = 3;
    gru.name = "back";
    gru.inputs = 3;
    gru.hidden = 6;
    gru.reverse = true;
    int64_t nc = vdi_conv_declare(&conv, NULL, 0);
    int64_t ng = vdi_gru_declare(&gru, NULL, 0);
    int64_t nm = vdi_mlp_declare(&mlp, NULL, 0);
    CHECK(nc == 4 && ng == 4 && nm == 10, "%d %d %d", (int)nc, (int)ng, (int)nm);
    (void)vdi_conv_declare(&conv, list, 32);
    (void)vdi_gru_declare(&gru, list + nc, 32);
    (void)vdi_mlp_declare(&mlp, list + nc + ng, 32);
    CHECK_OK(vdi_params_create(list, nc + ng + nm, VDI_F32, NULL, &rng, &p, &err), err);
    CHECK(vdi_params_find(p, "conv.1.weight") == &p->item[2] &&
              vdi_params_find(p, "back.weight_hh") == &p->item[6],
          "names");
    CHECK(vdi_params_find(p, "head.0.gain") == &p->item[10] && !vdi_params_find(p, "head.2.gain"),
          "names");
    CHECK_OK(vdi_tape_create(NULL, &t, &err), err);
    float x[20] = {1, 0, 0, -1, 2};
    int order[3] = {1, 0, 2};
    vdi_var h = vdi_conv_apply(t, &conv, p->item,
                               vdi_tape_constant(t, vdi_tensor_3d(x, VDI_F32, 2, 10, 1)));
    h = vdi_gru_apply(t, &gru, p->item + nc, vdi_var_permute(t, h, order), vdi_var_none());
    h = vdi_mlp_apply(t, &mlp, p->item + nc + ng, h);
    CHECK(vdi_var_dim(t, h, 0) == 10 && vdi_var_dim(t, h, 1) == 2 && vdi_var_dim(t, h, 2) == 2,
          "shape");
    CHECK_OK(vdi_tape_backward(t, vdi_var_mean(t, vdi_var_square(t, h))), err);
    for (int64_t i = 0; i < p->count; i++) {
        double s = vdi_dot(VDI_F32, (size_t)vdi_tensor_count(p->item[i].grad), p->item[i].grad.data,
                           p->item[i].grad.data);
        CHECK(s > 0 && s < 1e6, "%s got no gradient", p->item[i].name);
    }
    vdi_tape_destroy(t);
    vdi_params_destroy(p);
}
