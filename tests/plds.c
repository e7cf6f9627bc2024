/* tests/plds.c - the Poisson linear dynamical system against numerical integration, against the
 * linear dynamical system, and against itself
 */
#include "check.h"

static double *numbers(int64_t n) {
    return (double *)calloc((size_t)(n > 0 ? n : 1), sizeof(double));
}

static vdi_plds *make(int64_t d, int64_t n, vdi_plds_method method, unsigned long long seed) {
    vdi_plds_desc desc = {0};
    vdi_plds *p = NULL;
    vdi_error err = {0};
    desc.d = d;
    desc.n = n;
    desc.method = method;
    CHECK_OK(vdi_plds_create(&desc, &p, &err), err);
    for (int64_t i = 0; i < d * d; i++)
        p->A[i] = (i / d == i % d ? 0.9 : 0) + 0.05 * test_normal(&seed) / (double)d;
    for (int64_t i = 0; i < n * d; i++)
        p->C[i] = 0.7 * test_normal(&seed);
    for (int64_t i = 0; i < n; i++)
        p->b[i] = -0.7 + 0.5 * test_normal(&seed);
    for (int64_t i = 0; i < d; i++)
        p->x0[i] = 0.3 * test_normal(&seed);
    for (int64_t i = 0; i < d * d; i++) {
        p->Q[i] = i / d == i % d ? 0.25 : 0.05;
        p->Q0[i] = i / d == i % d ? 0.9 : -0.1;
    }
    return p;
}

static double *simulate(const vdi_plds *p, uint64_t seed, int64_t trials, int64_t T) {
    double *z = numbers(trials * T * p->desc.d);
    double *y = numbers(trials * T * p->desc.n);
    double *work = numbers((int64_t)vdi_plds_simulate_work(p));
    vdi_error err = {0};
    CHECK_OK(vdi_plds_simulate(p, seed, trials, T, 0, NULL, work, z, NULL, y, &err), err);
    free(z);
    free(work);
    return y;
}

static vdi_plds_data *data_of(const vdi_plds *p, double *y, int64_t trials, int64_t T,
                              const int64_t *lengths, vdi_pool *pool) {
    vdi_plds_data_desc desc = {0};
    vdi_plds_data *data = NULL;
    vdi_error err = {0};
    desc.y = vdi_tensor_3d(y, VDI_F64, trials, T, p->desc.n);
    desc.lengths = lengths;
    desc.pool = pool;
    CHECK_OK(vdi_plds_data_create(p, &desc, &data, &err), err);
    return data;
}

static double elbo_of(const vdi_plds *p, double *y, int64_t trials, int64_t T,
                      const int64_t *lengths) {
    vdi_plds_data *data = data_of(p, y, trials, T, lengths, NULL);
    vdi_error err = {0};
    double sum = 0;
    CHECK_OK(vdi_plds_elbo(p, data, NULL, &sum, &err), err);
    vdi_plds_data_destroy(data);
    return sum;
}

/* ---- against numerical integration: d = 1, T = 1 and 2 --------------------------------------- */

static double log_normal(double x, double mean, double variance) {
    return -0.5 * (VDI_LOG_2PI + log(variance) + (x - mean) * (x - mean) / variance);
}

/* log p(y, z), every constant written out */
static double log_joint(const vdi_plds *p, const double *y, int T, const double *z) {
    double s = log_normal(z[0], p->x0[0], p->Q0[0]);
    for (int t = 1; t < T; t++)
        s += log_normal(z[t], p->A[0] * z[t - 1], p->Q[0]);
    for (int t = 0; t < T; t++) {
        for (int64_t j = 0; j < p->desc.n; j++) {
            double eta = p->C[j] * z[t] + p->b[j], k = y[t * p->desc.n + j];
            s += k * eta - exp(eta) - lgamma(k + 1);
        }
    }
    return s;
}

/* E of log p(y,z) - log q(z) under N(m, [s0 o; o s1]) by a product rule, and log p(y) by the
 * trapezoid rule on a wide grid */
static double bound_by_rule(const vdi_plds *p, const double *y, int T, const double *m, double s0,
                            double s1, double o) {
    enum { N = 40 };
    static double x[N], w[N];
    double sum = 0;
    double l00 = sqrt(s0);
    double l10 = T > 1 ? o / l00 : 0;
    double l11 = T > 1 ? sqrt(s1 - l10 * l10) : 1;
    vdi_error err = {0};
    CHECK_OK(vdi_gauss_hermite(N, x, w, &err), err);
    for (int a = 0; a < N; a++) {
        for (int b = 0; b < (T > 1 ? N : 1); b++) {
            double z[2];
            double entropy = 0.5 * (VDI_LOG_2PI + x[a] * x[a]) + log(l00);
            double weight = w[a] * (T > 1 ? w[b] : 1);
            z[0] = m[0] + l00 * x[a];
            if (T > 1) {
                z[1] = m[1] + l10 * x[a] + l11 * x[b];
                entropy += 0.5 * (VDI_LOG_2PI + x[b] * x[b]) + log(l11);
            }
            sum += weight * (log_joint(p, y, T, z) + entropy);
        }
    }
    return sum;
}
static double log_evidence(const vdi_plds *p, const double *y, int T) {
    const double step = 0.025;
    double top = -1e300, sum = 0, z[2];
    for (int pass = 0; pass < 2; pass++) {
        for (int a = -320; a <= 320; a++) {
            for (int b = T > 1 ? -320 : 0; b <= (T > 1 ? 320 : 0); b++) {
                z[0] = step * a;
                z[1] = step * b;
                double l = log_joint(p, y, T, z);
                if (pass == 0)
                    top = fmax(top, l);
                else
                    sum += exp(l - top);
            }
        }
    }
    return top + log(sum) + T * log(step);
}

/* A posterior with one latent and up to two bins. */
typedef struct small_posterior {
    double mean[2], cov[2], lag, elbo;
} small_posterior;

static void infer_small(const vdi_plds *p, vdi_plds_data *data, small_posterior *q) {
    vdi_plds_moments out = {0};
    vdi_error err = {0};
    q->lag = 0;
    out.mean = q->mean;
    out.cov = q->cov;
    out.lagcov = &q->lag;
    out.elbo = &q->elbo;
    CHECK_OK(vdi_plds_infer(p, data, &out, &err), err);
}

/* It is the best Gaussian: stationary in every parameter, and lower on both sides. */
static void check_stationary(const vdi_plds *p, const double *y, int T, const small_posterior *q) {
    for (int k = 0; k < (T > 1 ? 5 : 2); k++) {
        double value[2];
        for (int side = 0; side < 2; side++) {
            double h = side ? 1e-3 : -1e-3;
            double m[2] = {q->mean[0] + (k == 0) * h, T > 1 ? q->mean[1] + (k == 2) * h : 0};
            value[side] = bound_by_rule(p, y, T, m, q->cov[0] * (1 + (k == 1) * h),
                                        T > 1 ? q->cov[1] * (1 + (k == 3) * h) : 1,
                                        q->lag + (k == 4) * h * q->cov[0]);
            CHECK(value[side] < q->elbo,
                  "parameter %d moved by %g: the bound rises from %.12g to %.12g", k, h, q->elbo,
                  value[side]);
        }
        CHECK(fabs(value[1] - value[0]) < 1e-7, "slope of parameter %d is %g", k,
              (value[1] - value[0]) / 2e-3);
    }
}

/* The mode and, with one bin, its curvature. */
static void check_mode(const vdi_plds *p, const double *y, int T, const small_posterior *q) {
    for (int t = 0; t < T; t++) {
        double h = 1e-4;
        double z[2] = {q->mean[0], T > 1 ? q->mean[1] : 0};
        double centre = log_joint(p, y, T, z);
        double side[2];
        for (int s = 0; s < 2; s++) {
            z[t] = q->mean[t] + (s ? h : -h);
            side[s] = log_joint(p, y, T, z);
        }
        CHECK(fabs(side[1] - side[0]) / (2 * h) < 1e-5, "slope at the mode %g",
              (side[1] - side[0]) / (2 * h));
        if (T == 1) {
            CHECK_CLOSE(1 / q->cov[0], -(side[0] + side[1] - 2 * centre) / (h * h),
                        1e-4 / q->cov[0]);
        }
    }
}

TEST(plds, numerical_integration) {
    vdi_error err = {0};
    for (int variant = 0; variant < 8; variant++) {
        const int T = 1 + variant % 2, n = 1 + variant % 3;
        vdi_plds *p = make(1, n, VDI_PLDS_VB, (unsigned long long)variant + 1);
        vdi_plds *laplace = make(1, n, VDI_PLDS_LAPLACE, (unsigned long long)variant + 1);
        double *y = simulate(p, (uint64_t)variant, 1, T), ll, ess;
        small_posterior q;
        if (variant == 7) memset(y, 0, (size_t)(T * n) * sizeof *y);
        vdi_plds_data *data = data_of(p, y, 1, T, NULL, NULL);
        infer_small(p, data, &q);
        CHECK_CLOSE(q.elbo, bound_by_rule(p, y, T, q.mean, q.cov[0], q.cov[1], q.lag),
                    1e-9 * (1 + fabs(q.elbo)));
        double evidence = log_evidence(p, y, T);
        CHECK(q.elbo <= evidence + 1e-9 && q.elbo > evidence - 0.05, "bound %g, log p %g", q.elbo,
              evidence);
        check_stationary(p, y, T, &q);
        CHECK_OK(vdi_plds_log_likelihood(p, data, 20000, 1, &ll, &ess, NULL, &err), err);
        CHECK_CLOSE(ll, evidence, 5 * sqrt(1 / ess - 1 / 20000.0) + 1e-9);
        CHECK(ess > 5000, "%g effective samples", ess);
        vdi_plds_data_reset(data);
        infer_small(laplace, data, &q);
        check_mode(p, y, T, &q);
        CHECK_CLOSE(q.elbo, bound_by_rule(p, y, T, q.mean, q.cov[0], q.cov[1], q.lag),
                    1e-9 * (1 + fabs(q.elbo)));
        vdi_plds_data_destroy(data);
        vdi_plds_destroy(p);
        vdi_plds_destroy(laplace);
        free(y);
    }
}

/* Predictions, d = 1: one neuron from the other, and the second bin from the first, against the
 * exact predictive probability. */
TEST(plds, predictions_by_integration) {
    vdi_error err = {0};
    for (int variant = 0; variant < 6; variant++) {
        vdi_plds *p = make(1, 2, VDI_PLDS_VB, (unsigned long long)variant + 20);
        double *y = simulate(p, (uint64_t)variant + 7, 1, 2), log_p[4], marginal, joint;
        vdi_plds_data *data = data_of(p, y, 1, 2, NULL, NULL);
        vdi_plds_prediction out = {0};
        out.log_p = log_p;
        out.nodes = 48;
        CHECK_OK(vdi_plds_predict(p, data, VDI_PLDS_ONE_STEP, &out, &err), err);
        /* bin 0 from the prior alone, neuron by neuron: nothing is approximated */
        vdi_plds *one = make(1, 1, VDI_PLDS_VB, 1);
        *one->A = *p->A;
        *one->Q = *p->Q;
        *one->x0 = *p->x0;
        *one->Q0 = *p->Q0;
        for (int j = 0; j < 2; j++) {
            *one->C = p->C[j];
            *one->b = p->b[j];
            marginal = log_evidence(one, y + j, 1);
            CHECK_CLOSE(log_p[j], marginal, 1e-6);
        }
        /* bin 1, neuron j given all of bin 0: a model whose bin 1 shows neuron j alone. Another
         * neuron that never fires says next to nothing */
        double saved_c = p->C[1], saved_b = p->b[1], two[4];
        CHECK_OK(vdi_plds_predict(p, data, VDI_PLDS_LEAVE_ONE_OUT, &out, &err), err);
        *one->C = saved_c;
        *one->b = saved_b;
        two[0] = y[1];
        two[1] = y[3];
        marginal = log_evidence(one, two, 2); /* log p(neuron 1) */
        joint = log_evidence(p, y, 2);
        /* the product of both bins' predictions is not log p(neuron 0 | neuron 1), but for T = 1 it
         * is */
        vdi_plds_data *first = data_of(p, y, 1, 1, NULL, NULL);
        double single[2];
        out.log_p = single;
        CHECK_OK(vdi_plds_predict(p, first, VDI_PLDS_LEAVE_ONE_OUT, &out, &err), err);
        CHECK_CLOSE(single[0], log_evidence(p, y, 1) - log_evidence(one, y + 1, 1), 5e-3);
        CHECK(joint < marginal, "log p(both) %g is above log p(one) %g", joint, marginal);
        vdi_plds_data_destroy(data);
        vdi_plds_data_destroy(first);
        vdi_plds_destroy(p);
        vdi_plds_destroy(one);
        free(y);
    }
}

/* ---- limits ---------------------------------------------------------------------------------- */

/* log p(y) of one count with log rate b + c z, z ~ N(0,1): a sum on a fine grid about the mode. */
static double count_evidence(double y, double b, double c) {
    double z = 0, sum = 0, top = -HUGE_VAL;
    for (int i = 0; i < 200; i++) { /* Newton, damped */
        const double rate = exp(b + c * z), step = (c * (y - rate) - z) / (c * c * rate + 1);
        z += step / (1 + fabs(step));
    }
    const double width = 1 / sqrt(1 + c * c * exp(b + c * z)), h = 0.01 * width;
    for (int pass = 0; pass < 2; pass++) {
        for (int i = -1200; i <= 1200; i++) {
            const double x = z + h * i, eta = b + c * x;
            const double f = y * eta - exp(eta) - lgamma(y + 1) - 0.5 * (x * x + VDI_LOG_2PI);
            if (pass)
                sum += exp(f - top);
            else if (f > top)
                top = f;
        }
    }
    return top + log(sum * h);
}

/* From a thousandth of a count a bin to a hundred million, the bound is just below log p(y), and
 * the estimate by samples is log p(y): no rate is bent. */
TEST(plds, rates_of_any_size) {
    vdi_error err = {0};
    for (double rate = 1e-3; rate < 3e8; rate *= 10) {
        vdi_plds *p = make(1, 1, VDI_PLDS_VB, 3);
        double y[1] = {floor(rate * exp(0.2) + 0.5)}, elbo = 0, ll = 0, mean = 0, predicted = 0;
        p->x0[0] = 0;
        p->Q0[0] = 1;
        p->C[0] = 0.5;
        p->b[0] = log(rate);
        vdi_plds_data *data = data_of(p, y, 1, 1, NULL, NULL);
        const double want = count_evidence(y[0], p->b[0], p->C[0]), rounding = 1e-14 * y[0] + 1e-9;
        CHECK_OK(vdi_plds_elbo(p, data, NULL, &elbo, &err), err);
        CHECK(elbo <= want + rounding && elbo > want - 0.005, "rate %g: bound %.10g, log p %.10g",
              rate, elbo, want);
        CHECK_OK(vdi_plds_log_likelihood(p, data, 4000, 1, NULL, NULL, &ll, &err), err);
        CHECK_CLOSE(ll, want, 2e-3 + rounding);
        vdi_plds_moments m = {0};
        m.rate = &mean;
        CHECK_OK(vdi_plds_infer(p, data, &m, &err), err);
        CHECK(rate < 1e3 || fabs(mean / y[0] - 1) < 1e-2, "rate %g: %g of %g", rate, mean, y[0]);
        vdi_plds_prediction out = {0};
        out.log_p = &predicted; /* one step ahead, the first bin: from the prior */
        out.nodes = 64;
        CHECK_OK(vdi_plds_predict(p, data, VDI_PLDS_ONE_STEP, &out, &err), err);
        CHECK(rate > 20 || fabs(predicted - want) < 1e-5, "rate %g: predicted %.10g, not %.10g",
              rate, predicted, want);
        vdi_plds_data_destroy(data);
        vdi_plds_destroy(p);
    }
}

/* EM on counts of a million a bin: the bound rises and leaves constant rates far below. */
TEST(plds, em_at_high_rates) {
    const int64_t B = 3, T = 60, n = 4;
    vdi_error err = {0};
    vdi_plds *truth = make(2, n, VDI_PLDS_VB, 3), *p;
    for (int64_t j = 0; j < n; j++)
        truth->b[j] = log(1e6);
    for (int64_t k = 0; k < 2 * n; k++)
        truth->C[k] *= 0.3;
    double *y = simulate(truth, 4, B, T), means[4], elbo = 0, before = -HUGE_VAL;
    CHECK_OK(vdi_plds_create(&truth->desc, &p, &err), err);
    vdi_plds_data *data = data_of(p, y, B, T, NULL, NULL);
    CHECK_OK(vdi_plds_init(p, data, 1, &err), err);
    for (int i = 0; i < 40; i++) {
        CHECK_OK(vdi_plds_em_step(p, data, &elbo, &err), err);
        CHECK(elbo >= before - 1e-9 * fabs(elbo), "step %d: from %.12g to %.12g", i, before, elbo);
        before = elbo;
    }
    vdi_score_means(B * T, n, y, means);
    const double constant = vdi_score_homogeneous(B * T, n, y, means, NULL);
    CHECK(elbo > 0.1 * constant && elbo > -100.0 * (double)(B * T), "bound %g, constant %g", elbo,
          constant);
    vdi_plds_data_destroy(data);
    vdi_plds_destroy(p);
    vdi_plds_destroy(truth);
    free(y);
}

/* Rates so high that log counts are Gaussian, at small signal: the Kalman smoother with R =
 * 1/rate. */
TEST(plds, gaussian_limit) {
    enum { B = 3, T = 12, N = 4, D = 2 };
    const double rate = 1e8;
    vdi_error err = {0};
    unsigned long long seed = 9;
    vdi_plds *p = make(D, N, VDI_PLDS_VB, 4);
    vdi_lds_desc desc = {0};
    vdi_lds *k = NULL;
    desc.d = D;
    desc.n = N;
    desc.diagonal_r = true;
    CHECK_OK(vdi_lds_create(&desc, &k, &err), err);
    static double y[B * T * N], x[B * T * N], mean[B * T * D], cov[B * T * D * D],
        lag[B * (T - 1) * D * D], ms[B * T * D], Ps[T * D * D], Pc[T * D * D];
    memcpy(k->A, p->A, sizeof(double) * D * D);
    memcpy(k->C, p->C, sizeof(double) * N * D);
    for (int i = 0; i < D * D; i++) {
        p->Q[i] *= 1e-8;
        p->Q0[i] *= 1e-8;
        k->Q[i] = p->Q[i];
        k->Q0[i] = p->Q0[i];
    }
    for (int i = 0; i < D; i++)
        p->x0[i] = k->x0[i] = 0;
    for (int i = 0; i < N; i++) {
        p->b[i] = log(rate);
        k->b[i] = 0;
        k->R[i * N + i] = 1 / rate;
    }
    for (int i = 0; i < B * T * N; i++) {
        y[i] = floor(rate * (1 + 2e-4 * test_normal(&seed)));
        x[i] = y[i] / rate - 1;
    }
    vdi_plds_data *data = data_of(p, y, B, T, NULL, NULL);
    vdi_lds_data_desc ld = {0};
    vdi_lds_data *exact = NULL;
    ld.y = vdi_tensor_3d(x, VDI_F64, B, T, N);
    CHECK_OK(vdi_lds_data_create(k, &ld, &exact, &err), err);
    vdi_plds_moments out = {0};
    vdi_lds_moments want = {0};
    out.mean = mean;
    out.cov = cov;
    out.lagcov = lag;
    want.ms = ms;
    want.Ps = Ps;
    want.Pc = Pc;
    CHECK_OK(vdi_plds_infer(p, data, &out, &err), err);
    CHECK_OK(vdi_lds_smooth(k, exact, &want, &err), err);
    double scale = 0;
    for (int i = 0; i < B * T * D; i++)
        scale = fmax(scale, fabs(ms[i]));
    CHECK(largest_difference(mean, ms, B * T * D) < 2e-3 * scale, "means differ by %g of %g",
          largest_difference(mean, ms, B * T * D), scale);
    for (int i = 0; i < B; i++) {
        CHECK(largest_difference(cov + i * T * D * D, Ps, T * D * D) < 2e-3 * Ps[0],
              "covariances differ by %g of %g",
              largest_difference(cov + i * T * D * D, Ps, T * D * D), Ps[0]);
        CHECK(largest_difference(lag + i * (T - 1) * D * D, Pc, (T - 1) * D * D) < 2e-3 * Ps[0],
              "lagged covariances differ");
    }
    vdi_plds_data_destroy(data);
    vdi_lds_data_destroy(exact);
    vdi_plds_destroy(p);
    vdi_lds_destroy(k);
}

/* Trials of many lengths with missing counts, of which neuron 3 never and trial 4 has none. */
enum { RAG_B = 11, RAG_T = 9, RAG_N = 5, RAG_D = 2 };
static const int64_t rag_lengths[RAG_B] = {9, 1, 4, 0, 9, 2, 9, 7, 9, 3, 9};
static double *ragged_counts(const vdi_plds *p) {
    unsigned long long seed = 77;
    double *y = simulate(p, 1, RAG_B, RAG_T);
    for (int i = 0; i < RAG_B * RAG_T * RAG_N; i++)
        if (i % RAG_N == 3 || test_uniform(&seed) < 0.2) y[i] = NAN;
    for (int i = 0; i < RAG_T * RAG_N; i++)
        y[4 * RAG_T * RAG_N + i] = NAN;
    return y;
}

/* m <- A m, P <- A P A' + Q */
static void prior_step(const vdi_plds *p, double *m, double *P) {
    enum { D = RAG_D };
    double next[D] = {0}, AP[D * D] = {0}, APA[D * D];
    memcpy(APA, p->Q, sizeof APA);
    for (int i = 0; i < D; i++) {
        for (int j = 0; j < D; j++) {
            next[i] += p->A[i * D + j] * m[j];
            for (int k = 0; k < D; k++)
                AP[i * D + j] += p->A[i * D + k] * P[k * D + j];
        }
    }
    for (int i = 0; i < D; i++) {
        for (int j = 0; j < D; j++) {
            for (int k = 0; k < D; k++)
                APA[i * D + j] += AP[i * D + k] * p->A[j * D + k];
        }
    }
    memcpy(m, next, sizeof next);
    memcpy(P, APA, sizeof APA);
}

/* What is missing says nothing: a trial without counts has its prior, a bin behind the end nothing,
 * and each trial its bound alone, cut to its length. */
TEST(plds, missing_and_ragged) {
    enum { B = RAG_B, T = RAG_T, N = RAG_N, D = RAG_D };
    vdi_error err = {0};
    vdi_plds *p = make(D, N, VDI_PLDS_VB, 5);
    double *y = ragged_counts(p), elbo[B], mean[B * T * D], cov[B * T * D * D], m[D], P[D * D];
    vdi_plds_data *data = data_of(p, y, B, T, rag_lengths, NULL);
    vdi_plds_moments out = {0};
    out.mean = mean;
    out.cov = cov;
    out.elbo = elbo;
    CHECK_OK(vdi_plds_infer(p, data, &out, &err), err);
    CHECK_CLOSE(elbo[3], 0, 0);
    CHECK_CLOSE(elbo[4], 0, 1e-10); /* posterior and prior are one */
    memcpy(m, p->x0, sizeof m);
    memcpy(P, p->Q0, sizeof P);
    for (int t = 0; t < T; t++) {
        CHECK_CLOSE(largest_difference(mean + (4 * T + t) * D, m, D), 0, 1e-9);
        CHECK_CLOSE(largest_difference(cov + (4 * T + t) * D * D, P, D * D), 0, 1e-9);
        prior_step(p, m, P);
    }
    for (int i = 0; i < B; i++) {
        for (int64_t c = rag_lengths[i] * D; c < T * D; c++) {
            CHECK(mean[i * T * D + c] == 0, "behind the end of trial %d: %g", i,
                  mean[i * T * D + c]);
        }
        if (rag_lengths[i] > 0 && i != 4) {
            CHECK_CLOSE(elbo_of(p, y + i * T * N, 1, rag_lengths[i], NULL), elbo[i],
                        1e-8 * (1 + fabs(elbo[i])));
        }
    }
    vdi_plds_data_destroy(data);
    vdi_plds_destroy(p);
    free(y);
}

/* A silent or absent neuron may be deleted; what is shifted between b, width and offset is the same
 * model. */
TEST(plds, equal_models) {
    enum { B = RAG_B, T = RAG_T, N = RAG_N, D = RAG_D };
    vdi_error err = {0};
    vdi_plds *p = make(D, N, VDI_PLDS_VB, 5), *less = make(D, N - 1, VDI_PLDS_VB, 5);
    double *y = ragged_counts(p), *fewer = numbers(B * T * (N - 1)), sum = 0;
    double elbo[B], again[B], offset[N];
    vdi_plds_data *data = data_of(p, y, B, T, rag_lengths, NULL);
    CHECK_OK(vdi_plds_elbo(p, data, elbo, NULL, &err), err);
    for (int i = 0; i < B; i++)
        sum += elbo[i];
    for (int r = 0, c = 0; r < B * T * N; r++)
        if (r % N != 3) fewer[c++] = y[r];
    memcpy(less->A, p->A, sizeof(double) * D * D);
    memcpy(less->x0, p->x0, sizeof(double) * D);
    for (int j = 0, c = 0; j < N; j++) {
        if (j != 3) {
            memcpy(less->C + D * c, p->C + D * j, sizeof(double) * D);
            less->b[c++] = p->b[j];
        }
    }
    CHECK_CLOSE(elbo_of(less, fewer, B, T, rag_lengths), sum, 1e-8 * fabs(sum));
    vdi_plds_data_desc dd = {0};
    vdi_plds_data *shifted = NULL;
    for (int j = 0; j < N; j++) {
        offset[j] = 0.3 * j - 0.2;
        p->b[j] -= offset[j] + log(0.05);
    }
    dd.y = vdi_tensor_3d(y, VDI_F64, B, T, N);
    dd.lengths = rag_lengths;
    dd.width = 0.05;
    dd.offset = vdi_tensor_1d(offset, VDI_F64, N);
    CHECK_OK(vdi_plds_data_create(p, &dd, &shifted, &err), err);
    CHECK_OK(vdi_plds_elbo(p, shifted, again, NULL, &err), err);
    CHECK_CLOSE(largest_difference(elbo, again, B), 0, 1e-7);
    vdi_plds_data_destroy(data);
    vdi_plds_data_destroy(shifted);
    vdi_plds_destroy(p);
    vdi_plds_destroy(less);
    free(y);
    free(fewer);
}

/* ---- learning -------------------------------------------------------------------------------- */

enum { EM_B = 19, EM_T = 30, EM_N = 7, EM_D = 3 };

/* 60 steps: neither the bound nor the penalised one falls. The last bound. */
static double em_rises(vdi_plds *q, vdi_plds_data *data) {
    vdi_error err = {0};
    double elbo = 0, first = 0, before = -1e300, penalised = -1e300;
    for (int i = 0; i < 60; i++) {
        double penalty = vdi_plds_penalty(q);
        CHECK_OK(vdi_plds_em_step(q, data, &elbo, &err), err);
        CHECK(elbo >= before - 1e-9 * fabs(before), "step %d: the bound fell by %g", i,
              before - elbo);
        CHECK(elbo - penalty >= penalised - 1e-9 * fabs(before),
              "step %d: the penalised bound fell by %g", i, penalised - elbo + penalty);
        before = elbo;
        penalised = elbo - penalty;
        if (i == 0) first = elbo;
    }
    CHECK(elbo > first + 1, "EM gained %g", elbo - first);
    return elbo;
}

/* A is stable: growth over 2000 steps bounds its radius. */
static void check_stable(const vdi_plds *q) {
    double v[EM_D] = {1, 0.3, -0.5}, norm = 0;
    for (int i = 0; i < 2000; i++) {
        double next[EM_D] = {0};
        for (int r = 0; r < EM_D; r++) {
            for (int c = 0; c < EM_D; c++)
                next[r] += q->A[r * EM_D + c] * v[c];
        }
        memcpy(v, next, sizeof v);
    }
    for (int r = 0; r < EM_D; r++)
        norm += v[r] * v[r];
    CHECK(norm < 1e-20, "|A^2000 v|^2 is %g", norm);
}

/* A step is a transaction: a Q that is not positive definite stops it. */
static void check_failed_step(vdi_plds *q, vdi_plds_data *data) {
    vdi_error err = {0};
    double saved[EM_D * EM_D], q00 = q->Q[0], elbo;
    q->desc.max_radius = 0.9995;
    memcpy(saved, q->C, sizeof saved);
    q->Q[0] = -1;
    CHECK_FAILS(vdi_plds_em_step(q, data, &elbo, &err), VDI_ERR_NOT_POSITIVE_DEFINITE);
    CHECK(memcmp(saved, q->C, sizeof saved) == 0, "a failed step changed C");
    q->Q[0] = q00;
    CHECK_OK(vdi_plds_em_step(q, data, &elbo, &err), err);
}

/* Parameters that have nothing to do with the posterior so far: rates of e^1000 there. */
static void put_far_parameters(vdi_plds *q) {
    enum { N = EM_N, D = EM_D };
    for (int i = 0; i < N; i++) {
        q->b[i] = i == 0 ? 1000 : -1;
        q->C[i * D] = 1 + 0.1 * i;
        q->C[i * D + 1] = 0.2 * i;
    }
    q->x0[0] = -1000;
    for (int i = 0; i < D * D; i++) {
        q->A[i] = i % (D + 1) ? 0 : 1;
        q->Q[i] = i % (D + 1) ? 0 : 0.01;
        q->Q0[i] = i % (D + 1) ? 0 : 0.1;
    }
    for (int i = 1; i < N; i++)
        q->b[i] += 1000 * q->C[i * D];
}

/* What EM has found: the last bound, and the dynamics. */
typedef struct em_result {
    double elbo, A[EM_D * EM_D];
} em_result;

static em_result em_check(double *y, const int64_t *lengths, vdi_pool *pool) {
    vdi_error err = {0};
    em_result r;
    double elbo;
    vdi_plds *p = make(EM_D, EM_N, VDI_PLDS_VB, 6), *q = make(EM_D, EM_N, VDI_PLDS_VB, 6);
    vdi_plds_data *data = data_of(q, y, EM_B, EM_T, lengths, pool);
    q->desc.max_radius = 0.97;
    double unseen = q->b[5];
    q->desc.freeze = VDI_LDS_BIAS | VDI_LDS_C; /* the start keeps what is frozen */
    CHECK_OK(vdi_plds_init(q, data, 1, &err), err);
    CHECK(q->b[5] == unseen && q->b[0] == p->b[0] && q->C[0] == p->C[0],
          "init changed a frozen parameter");
    q->desc.freeze = 0;
    CHECK_OK(vdi_plds_init(q, data, 1, &err), err);
    unseen = q->b[5];
    r.elbo = em_rises(q, data);
    memcpy(r.A, q->A, sizeof r.A);
    CHECK(q->b[5] == unseen, "the neuron that is never seen has moved");
    CHECK(q->b[2] < -4 && q->b[2] > -100, "b of the silent neuron is %g", q->b[2]);
    check_stable(q);
    check_failed_step(q, data);
    put_far_parameters(q);
    CHECK(vdi_plds_elbo(q, data, NULL, &elbo, &err) >= 0, "%s", err.message);
    CHECK_CLOSE(elbo, elbo_of(q, y, EM_B, EM_T, lengths), 1e-7 * fabs(elbo));
    vdi_plds_data_destroy(data);
    vdi_plds_destroy(p);
    vdi_plds_destroy(q);
    return r;
}

/* Sparse, ragged, masked counts: neither the bound nor the penalised one falls, A stays stable, a
 * silent neuron stays finite, threads do not show. */
TEST(plds, em) {
    vdi_error err = {0};
    unsigned long long seed = 2;
    vdi_plds *p = make(EM_D, EM_N, VDI_PLDS_VB, 6);
    double *y = simulate(p, 1, EM_B, EM_T);
    int64_t lengths[EM_B];
    vdi_pool *pool = NULL;
    CHECK_OK(vdi_pool_create(2, NULL, &pool, &err), err);
    for (int i = 0; i < EM_B; i++)
        lengths[i] = i % 5 == 4 ? i : EM_T;
    for (int i = 0; i < EM_B * EM_T * EM_N; i++) {
        if (i % EM_N == 2) y[i] = 0;
        if (test_uniform(&seed) < 0.15) y[i] = NAN;
        if (i % EM_N == 5) y[i] = NAN;
    }
    const em_result one = em_check(y, lengths, NULL), two = em_check(y, lengths, pool);
    CHECK(one.elbo == two.elbo && memcmp(one.A, two.A, sizeof one.A) == 0,
          "two threads give %.17g, one %.17g", two.elbo, one.elbo);
    vdi_pool_destroy(pool);
    vdi_plds_destroy(p);
    free(y);
}

/* A fit in two halves, the second by a model and data of its own, to which only the states came:
 * the bits of a fit in one piece. */
TEST(plds, goes_on_to_the_bit) {
    static const int64_t lengths[9] = {12, 7, 1, 12, 3, 12, 9, 12, 5};
    vdi_error err = {0};
    for (int variant = 0; variant < 3; variant++) {
        const vdi_plds_method method = variant == 1 ? VDI_PLDS_LAPLACE : VDI_PLDS_VB;
        const int64_t T = variant == 2 ? 1 : 12;
        vdi_plds *p = make(2, 4, method, 77), *q = make(2, 4, method, 78);
        double *y = simulate(p, 5, 9, (int)T), whole, half;
        vdi_plds_data *a = data_of(p, y, 9, T, T > 1 ? lengths : NULL, NULL);
        vdi_plds_data *b = data_of(q, y, 9, T, T > 1 ? lengths : NULL, NULL);
        for (int i = 0; i < 3; i++)
            CHECK_OK(vdi_plds_em_step(p, a, NULL, &err), err);
        for (int k = 0; k < 2; k++) {
            const vdi_state from = k ? *vdi_plds_data_state(a) : vdi_plds_state(p);
            const vdi_state to = k ? *vdi_plds_data_state(b) : vdi_plds_state(q);
            CHECK(from.tensor_count == to.tensor_count);
            for (int64_t i = 0; i < from.tensor_count; i++)
                CHECK_OK(vdi_tensor_copy(to.tensors[i].tensor, from.tensors[i].tensor, &err), err);
        }
        for (int i = 0; i < 3; i++) {
            CHECK_OK(vdi_plds_em_step(p, a, &whole, &err), err);
            CHECK_OK(vdi_plds_em_step(q, b, &half, &err), err);
            CHECK(whole == half, "step %d: %.17g, %.17g", i, whole, half);
        }
        CHECK(memcmp(p->A, q->A, p->param_count * sizeof *p->A) == 0, "variant %d", variant);
        vdi_plds_data_destroy(a);
        vdi_plds_data_destroy(b);
        vdi_plds_destroy(p);
        vdi_plds_destroy(q);
        free(y);
    }
}

/* Latents slower than A may be: A ends at its limit, by the roots of its polynomial. A neuron that
 * is seen in one bin learns from that bin. */
TEST(plds, slow_latents_and_one_count) {
    enum { BINS = 200, N = 4, SEEN = 7 };
    vdi_error err = {0};
    vdi_plds *p = make(2, N, VDI_PLDS_VB, 3), *q = make(2, N, VDI_PLDS_VB, 3);
    p->A[0] = p->A[3] = 0.985;
    p->A[1] = p->A[2] = 0;
    double *y = simulate(p, 1, 2, BINS), elbo;
    for (int t = 0; t < 2 * BINS; t++)
        y[t * N + 3] = t == SEEN ? 9 : (double)NAN;
    vdi_plds_data *data = data_of(q, y, 2, BINS, NULL, NULL);
    q->desc.max_radius = 0.8;
    CHECK_OK(vdi_plds_init(q, data, 1, &err), err);
    q->b[3] = -1;
    for (int i = 0; i < 5; i++)
        CHECK_OK(vdi_plds_em_step(q, data, &elbo, &err), err);
    const double half = 0.5 * (q->A[0] + q->A[3]), det = q->A[0] * q->A[3] - q->A[1] * q->A[2];
    const double root = half * half - det;
    const double radius = root > 0 ? fabs(half) + sqrt(root) : sqrt(det);
    CHECK(radius > 0.75 && radius < 0.8 * (1 + 1e-9), "the radius of A is %.12g", radius);
    CHECK(q->b[3] > 0, "after a count of 9, b is %g", q->b[3]);
    vdi_plds_data_destroy(data);
    vdi_plds_destroy(p);
    vdi_plds_destroy(q);
    free(y);
}

/* At EM's end the bound's slope in C and b (by differences of the converged bound: the envelope
 * theorem) is 0; where C grew against a penalty, it is the penalty's or less (a step back that
 * would lower the bound is not taken). */
TEST(plds, em_stationary) {
    enum { B = 10, T = 20, N = 4, D = 1 };
    vdi_error err = {0};
    for (int ridge = 0; ridge < 2; ridge++) {
        vdi_plds *p = make(D, N, VDI_PLDS_VB, 8);
        double *y = simulate(p, 4, B, T), h = 1e-4;
        vdi_plds_data *data = data_of(p, y, B, T, NULL, NULL);
        p->desc.ridge = ridge ? 3 : 0;
        p->desc.freeze = VDI_LDS_A | VDI_LDS_Q | VDI_LDS_X0 | VDI_LDS_Q0;
        for (int j = 0; ridge && j < N; j++)
            p->C[j] *= 0.2;
        for (int i = 0; i < 300; i++)
            CHECK_OK(vdi_plds_em_step(p, data, NULL, &err), err);
        for (int k = 0; k < 2 * N; k++) {
            double *at = k < N ? p->C + k : p->b + k - N, old = *at, value[2];
            for (int s = 0; s < 2; s++) {
                *at = old + (s ? h : -h);
                value[s] = elbo_of(p, y, B, T, NULL);
            }
            *at = old;
            double slope = (value[1] - value[0]) / (2 * h);
            if (!ridge) {
                CHECK_CLOSE(slope, 0, 1e-3);
            } else if (k >= N) {
                CHECK_CLOSE(slope, 0, 1e-2);
            } else {
                CHECK(slope / old > -1e-3 && slope / old < p->desc.ridge * 1.001 &&
                          slope / old > 0.7 * p->desc.ridge,
                      "slope %g at %g", slope, old);
            }
        }
        vdi_plds_data_destroy(data);
        vdi_plds_destroy(p);
        free(y);
    }
}

/* The references of the field's recordings, 40 steps of VB-EM from vdi_plds_init (training bound,
 * nats per bin). */
TEST(plds, references) {
    NEED_NATIVE();
    static const struct {
        const char *name;
        int d, steps;
        double want;
    } set[] = {{"ca1_wmaze", 2, 40, -4.7177},
               {"ca1_wmaze", 3, 40, -4.5716},
               {"ca1_linear", 2, 40, -4.9566},
               {"ca1_linear", 3, 40, -4.7074}};
    NEED_SHARED("data/population/ca1_wmaze_counts.npy");
    vdi_error err = {0};
    for (size_t s = 0; s < VDI__COUNT(set); s++) {
        char path[64];
        vdi_tensor y;
        snprintf(path, sizeof path, "data/population/%s_counts.npy", set[s].name);
        CHECK_OK(vdi_npy_load(shared_path(path), NULL, &y, &err), err);
        vdi_plds_desc desc = {0};
        vdi_plds *p = NULL;
        vdi_plds_data_desc dd = {0};
        vdi_plds_data *data = NULL;
        double elbo = 0;
        desc.d = set[s].d;
        desc.n = y.shape[2];
        CHECK_OK(vdi_plds_create(&desc, &p, &err), err);
        dd.y = y;
        CHECK_OK(vdi_plds_data_create(p, &dd, &data, &err), err);
        CHECK_OK(vdi_plds_init(p, data, 1, &err), err);
        for (int i = 0; i < set[s].steps; i++)
            CHECK_OK(vdi_plds_em_step(p, data, NULL, &err), err);
        CHECK_OK(vdi_plds_elbo(p, data, NULL, &elbo, &err), err);
        elbo /= (double)vdi_plds_data_observed_bins(data);
        CHECK(elbo > set[s].want - 0.002, "%s d=%d: %g nats per bin, the reference is %g",
              set[s].name, set[s].d, elbo, set[s].want);
        vdi_plds_data_destroy(data);
        vdi_plds_destroy(p);
        vdi_tensor_free(NULL, &y);
    }
}

/* ---- predictions ----------------------------------------------------------------------------- */

/* Random counts in the place of those that are predicted change no prediction by a bit. */
TEST(plds, no_leak) {
    enum { B = 10, T = 14, N = 6, D = 2 };
    vdi_error err = {0};
    unsigned long long seed = 31;
    vdi_plds *p = make(D, N, VDI_PLDS_VB, 12);
    double *y = simulate(p, 2, B, T), *other = numbers(B * T * N), *mean[2], *variance[2];
    int64_t lengths[B] = {14, 14, 3, 14, 9, 14, 1, 14, 14, 12};
    for (int i = 0; i < B * T * N; i++)
        if (test_uniform(&seed) < 0.1) y[i] = NAN;
    for (int k = 0; k < 2; k++) {
        mean[k] = numbers(B * T * N);
        variance[k] = numbers(B * T * N);
    }
    for (int task = 0; task < 2; task++) {
        for (int which = 0; which < (task ? T : N); which++) {
            /* the neuron left out, or the first bin that is replaced */
            memcpy(other, y, (size_t)(B * T * N) * sizeof *y);
            for (int i = 0; i < B * T * N; i++) {
                if (task ? i / N % T >= which : i % N == which)
                    other[i] = test_uniform(&seed) < 0.1 ? NAN : floor(9 * test_uniform(&seed));
            }
            for (int k = 0; k < 2; k++) {
                vdi_plds_data *data = data_of(p, k ? other : y, B, T, lengths, NULL);
                vdi_plds_prediction out = {0};
                out.mean = mean[k];
                out.variance = variance[k];
                out.window = 5;
                CHECK_OK(vdi_plds_predict(p, data,
                                          task ? VDI_PLDS_ONE_STEP : VDI_PLDS_LEAVE_ONE_OUT, &out,
                                          &err),
                         err);
                vdi_plds_data_destroy(data);
            }
            int differ = 0, checked = 0, elsewhere = 0;
            for (int i = 0; i < B * T * N; i++) {
                int t = i / N % T;
                if (t >= lengths[i / N / T]) {
                    CHECK(mean[0][i] != mean[0][i], "a prediction behind the end: %g", mean[0][i]);
                    continue;
                }
                bool same = mean[0][i] == mean[1][i] && variance[0][i] == variance[1][i];
                if (task ? t <= which : i % N == which) {
                    checked++;
                    differ += !same;
                } else {
                    elsewhere += !same;
                }
            }
            CHECK(differ == 0 && checked > 0, "task %d, %d: %d of %d predictions changed", task,
                  which, differ, checked);
            CHECK(elsewhere > 0 || (task && which == T - 1),
                  "task %d, %d: nothing changed anywhere", task, which);
        }
    }
    for (int k = 0; k < 2; k++) {
        free(mean[k]);
        free(variance[k]);
    }
    vdi_plds_destroy(p);
    free(y);
    free(other);
}

/* With as long a window as the trial, the prediction of bin t is one prior step from the posterior
 * of a trial that ends at t-1. */
TEST(plds, one_step_is_truncation) {
    enum { B = 3, T = 8, N = 5, D = 2 };
    vdi_error err = {0};
    vdi_plds *p = make(D, N, VDI_PLDS_VB, 14);
    double *y = simulate(p, 3, B, T), *mean[2], m[B * T * D];
    vdi_plds_data *data = data_of(p, y, B, T, NULL, NULL);
    for (int k = 0; k < 2; k++) {
        vdi_plds_prediction out = {0};
        mean[k] = numbers(B * T * N);
        out.mean = mean[k];
        out.window = k ? 3 : T;
        CHECK_OK(vdi_plds_predict(p, data, VDI_PLDS_ONE_STEP, &out, &err), err);
    }
    CHECK(largest_difference(mean[0], mean[1], B * T * N) < 0.05,
          "a window of 3 changes predictions by %g",
          largest_difference(mean[0], mean[1], B * T * N));
    CHECK(largest_difference(mean[0], mean[1], B * T * N) > 0, "a window of 3 changes nothing");
    for (int64_t t = 1; t < T; t++) {
        int64_t lengths[B] = {t, t, t};
        vdi_plds_data *cut = data_of(p, y, B, T, lengths, NULL);
        vdi_plds_moments out = {0};
        out.mean = m;
        CHECK_OK(vdi_plds_infer(p, cut, &out, &err), err);
        for (int b = 0; b < B; b++) {
            for (int j = 0; j < N; j++) {
                double eta = p->b[j];
                for (int i = 0; i < D; i++) {
                    for (int k = 0; k < D; k++)
                        eta += p->C[j * D + i] * p->A[i * D + k] * m[(b * T + t - 1) * D + k];
                }
                CHECK_CLOSE(mean[0][(b * T + t) * N + j], eta, 2e-4);
            }
        }
        vdi_plds_data_destroy(cut);
    }
    vdi_plds_data_destroy(data);
    vdi_plds_destroy(p);
    free(y);
    free(mean[0]);
    free(mean[1]);
}

/* Drawn counts have the mean that the model says; the posterior's rates follow the true ones; every
 * trial can be drawn alone. */
TEST(plds, simulate) {
    enum { B = 400, T = 6, N = 3, D = 2 };
    vdi_error err = {0};
    vdi_plds *p = make(D, N, VDI_PLDS_VB, 15);
    double *z = numbers(B * T * D);
    double *rate = numbers(B * T * N);
    double *y = numbers(B * T * N);
    double *work = numbers((int64_t)vdi_plds_simulate_work(p));
    double *guess = numbers(B * T * N);
    CHECK_OK(vdi_plds_simulate(p, 5, B, T, 2, NULL, work, z, rate, y, &err), err);
    for (int j = 0; j < N; j++) { /* bin 0: E rate = 2 exp(b + c'x0 + c'Q0c/2) */
        double mean = 0, square = 0, want = p->b[j] + log(2);
        for (int i = 0; i < D; i++) {
            for (int k = 0; k < D; k++)
                want += 0.5 * p->C[j * D + i] * p->Q0[i * D + k] * p->C[j * D + k];
        }
        for (int i = 0; i < D; i++)
            want += p->C[j * D + i] * p->x0[i];
        for (int b = 0; b < B; b++) {
            mean += y[b * T * N + j] / B;
            square += y[b * T * N + j] * y[b * T * N + j] / B;
        }
        CHECK(fabs(mean - exp(want)) < 5 * sqrt((square - mean * mean) / B),
              "neuron %d: mean %g, expected %g", j, mean, exp(want));
    }
    vdi_plds_data_desc dd = {0};
    vdi_plds_data *data = NULL;
    dd.y = vdi_tensor_3d(y, VDI_F64, B, T, N);
    dd.width = 2;
    CHECK_OK(vdi_plds_data_create(p, &dd, &data, &err), err);
    vdi_plds_moments out = {0};
    out.rate = guess;
    CHECK_OK(vdi_plds_infer(p, data, &out, &err), err);
    double r2;
    CHECK_OK(vdi_score_r2(B * T, N, rate, guess, NULL, &r2, &err), err);
    CHECK(r2 > 0.5 && r2 < 1, "R2 of the rates is %g", r2);
    vdi_plds_data_destroy(data);
    vdi_plds_destroy(p);
    free(z);
    free(rate);
    free(y);
    free(work);
    free(guess);
}

/* Every allocation may fail; with the data there, EM asks for no more. */
TEST(plds, allocation) {
    vdi_error err = {0};
    vdi_plds *p = make(2, 3, VDI_PLDS_VB, 1);
    vdi_plds_data *data = NULL;
    double y[2 * 4 * 3] = {0, 1, 2};
    const int64_t lengths[2] = {4, 0};
    vdi_plds_data_desc dd = {0};
    dd.y = vdi_tensor_3d(y, VDI_F64, 2, 4, 3);
    dd.lengths = lengths;
    for (long at = 1;; at++) {
        test_allocator t = {0};
        t.fail_at = at;
        dd.allocator = test_allocator_of(&t);
        vdi_status status = vdi_plds_data_create(p, &dd, &data, &err);
        if (status == VDI_OK) {
            vdi_plds *other = make(1, 3, VDI_PLDS_VB, 1);
            CHECK_FAILS(vdi_plds_elbo(other, data, NULL, NULL, &err), VDI_ERR_SHAPE);
            CHECK_FAILS(vdi_plds_log_likelihood(p, data, 0, 1, NULL, NULL, NULL, &err),
                        VDI_ERR_ARGUMENT);
            long requests = t.requests;
            double elbo;
            for (int i = 0; i < 3; i++)
                CHECK_OK(vdi_plds_em_step(p, data, &elbo, &err), err);
            CHECK(t.requests == requests, "EM allocates");
            vdi_plds_data_destroy(data);
            vdi_plds_destroy(other);
        }
        CHECK(t.live == 0, "%ld blocks are left after failure %ld", t.live, at);
        if (status == VDI_OK) break;
        CHECK(status == VDI_ERR_MEMORY && !data, "failure %ld: %s", at, vdi_status_name(status));
    }
    vdi_plds_destroy(p);
}

/* The state says what the model is, exactly; what is no value is named. */
TEST(plds, descriptions_read_back_exactly) {
    vdi_error err = {0};
    vdi_plds_desc desc = {0}, read = {0}, bad = {0};
    vdi_plds *p = NULL;
    desc.d = 2;
    desc.n = 3;
    desc.method = VDI_PLDS_LAPLACE;
    desc.freeze = VDI_LDS_A | VDI_LDS_BIAS;
    desc.has_ridge = true; /* and 0: no penalty */
    desc.q_floor = 1e-3 / 7;
    desc.max_radius = 0.1 / 3;
    desc.e_steps = 5;
    CHECK_OK(vdi_plds_create(&desc, &p, &err), err);
    const vdi_state state = vdi_plds_state(p);
    CHECK_OK(vdi_plds_desc_from_meta(&read, state.meta, state.meta_count, &err), err);
    CHECK(read.d == 2 && read.n == 3 && read.method == VDI_PLDS_LAPLACE && read.has_ridge);
    CHECK(read.freeze == desc.freeze && read.ridge == 0 && read.q_floor == desc.q_floor);
    CHECK(read.max_radius == desc.max_radius && read.e_steps == 5 && read.m_steps == 2);
    for (int64_t i = 0; i < state.meta_count; i++) {
        const vdi_meta kept = state.meta[i];
        state.meta[i].value = "?";
        CHECK_FAILS(vdi_plds_desc_from_meta(&bad, state.meta, state.meta_count, &err),
                    VDI_ERR_FORMAT);
        CHECK(strstr(err.message, kept.key) != NULL, "%s: %s", kept.key, err.message);
        state.meta[i] = kept;
    }
    vdi_plds_destroy(p);
}

TEST(plds, errors) {
    vdi_error err = {0};
    vdi_plds_desc desc = {0};
    vdi_plds *p = NULL;
    vdi_plds_data *data = NULL;
    CHECK_FAILS(vdi_plds_create(&desc, &p, &err), VDI_ERR_ARGUMENT);
    desc.d = 2;
    desc.n = 3;
    desc.max_radius = 1;
    CHECK_FAILS(vdi_plds_create(&desc, &p, &err), VDI_ERR_ARGUMENT);
    desc.max_radius = 0;
    desc.ridge = -1;
    CHECK_FAILS(vdi_plds_create(&desc, &p, &err), VDI_ERR_ARGUMENT);
    p = make(2, 3, VDI_PLDS_VB, 1);
    double y[2 * 4 * 3] = {0, 1, 2}, offset[24] = {0}, bad[] = {-1, 0.5, HUGE_VAL};
    vdi_plds_data_desc dd = {0};
    CHECK_FAILS(vdi_plds_data_create(p, &dd, &data, &err), VDI_ERR_SHAPE);
    dd.y = vdi_tensor_3d(y, VDI_F64, 2, 3, 4);
    CHECK_FAILS(vdi_plds_data_create(p, &dd, &data, &err), VDI_ERR_SHAPE);
    dd.y = vdi_tensor_3d(y, VDI_F64, 2, 4, 3);
    for (int i = 0; i < 3; i++) {
        y[7] = bad[i];
        CHECK_FAILS(vdi_plds_data_create(p, &dd, &data, &err), VDI_ERR_DATA);
    }
    y[7] = 0;
    dd.offset = vdi_tensor_1d(offset, VDI_F64, 2);
    CHECK_FAILS(vdi_plds_data_create(p, &dd, &data, &err), VDI_ERR_SHAPE);
    dd.offset = vdi_tensor_2d(offset, VDI_F64, 4, 3);
    offset[5] = NAN;
    CHECK_FAILS(vdi_plds_data_create(p, &dd, &data, &err), VDI_ERR_DATA);
    dd.offset.data = NULL;
    int64_t lengths[2] = {4, 5};
    dd.lengths = lengths;
    CHECK_FAILS(vdi_plds_data_create(p, &dd, &data, &err), VDI_ERR_ARGUMENT);
    lengths[0] = lengths[1] = 0;
    CHECK_FAILS(vdi_plds_data_create(p, &dd, &data, &err), VDI_ERR_DATA);
    vdi_state state = vdi_plds_state(p);
    CHECK(state.tensor_count == VDI_PLDS_PARAMS && state.tensors[2].tensor.data == p->C &&
              !strcmp(state.tensors[2].name, "C"),
          "state");
    p->C[1] = NAN;
    CHECK_FAILS(vdi_plds_check(p, &err), VDI_ERR_DATA);
    vdi_plds_destroy(p);
}

TEST(plds, counts_of_data) {
    enum { B = 2, LONGEST = 4, N = 3 };
    vdi_plds *p = make(2, N, VDI_PLDS_VB, 3);
    double y[B * LONGEST * N] = {0, 1, 2};
    const int64_t lengths[B] = {4, 2};
    vdi_plds_data_desc desc = {0};
    vdi_plds_data *data = NULL;
    vdi_error err = {0};
    y[3] = y[4] = y[5] = NAN;
    desc.y = vdi_tensor_3d(y, VDI_F64, B, LONGEST, N);
    desc.lengths = lengths;
    desc.width = 0.02;
    CHECK_OK(vdi_plds_data_desc_check(p, &desc, &err), err);
    CHECK_OK(vdi_plds_data_create(p, &desc, &data, &err), err);
    CHECK(vdi_plds_data_trials(data) == B && vdi_plds_data_bins(data) == LONGEST &&
              vdi_plds_data_observed_bins(data) == 5,
          "%d bins with a count", (int)vdi_plds_data_observed_bins(data));
    vdi_plds_data_destroy(data);
    desc.width = -1;
    CHECK_FAILS(vdi_plds_data_desc_check(p, &desc, &err), VDI_ERR_ARGUMENT);
    CHECK(strncmp(err.message, "width", 5) == 0, "%s", err.message);
    CHECK(vdi_fields_find(vdi_plds_data_desc_fields(), "width") != NULL &&
              vdi_fields_find(vdi_plds_prediction_fields(), "window") != NULL,
          "fields of the numbers");
    vdi_plds_destroy(p);
}
