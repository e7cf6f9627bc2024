/* bench/oasis.c - what a trace costs to deconvolve, and what a training step pays for the
 * generative models
 *
 * OASIS on 10,000 frames at 30 Hz, everything estimated, per 1000 frames; the generative models'
 * node on the tape, forward and backward, on the shapes of the published training: linear 64
 * samples x 20 snippets x 300 bins, nonlinear 64 x 30 x 250.
 */
#include "bench.h"

enum { T = 10000 };
typedef struct oasis_case {
    vdi_oasis_desc desc;
    float y[T], s[T];
    char *work;
} oasis_case;

static double normal(void) {
    return sqrt(-2 * log(1 - bench_random(0, 1))) * cos(2 * VDI_PI * bench_random(0, 1));
}

static void run_oasis(void *ctx) {
    oasis_case *c = (oasis_case *)ctx;
    vdi_error err;
    if (vdi_oasis(&c->desc, VDI_F32, T, c->y, c->work, NULL, c->s, NULL, &err) != VDI_OK)
        bench_check(false, err.message);
}

typedef struct model_case {
    vdi_calcium_desc desc;
    vdi_tape *tape;
    int64_t S, B, T;
    int P;
    float *spikes, *f, theta[VDI_CALCIUM_PARAMS], grad[VDI_CALCIUM_PARAMS];
} model_case;

static void run_model(void *ctx) {
    model_case *c = (model_case *)ctx;
    vdi_tape *t = c->tape;
    vdi_error err;
    vdi_var log_p;
    vdi_tape_reset(t);
    vdi_var s = vdi_tape_constant(t, vdi_tensor_3d(c->spikes, VDI_F32, c->T, c->S, c->B));
    vdi_var f = vdi_tape_constant(t, vdi_tensor_2d(c->f, VDI_F32, c->T, c->B));
    vdi_var theta = vdi_tape_leaf(t, vdi_tensor_1d(c->theta, VDI_F32, c->P),
                                  vdi_tensor_1d(c->grad, VDI_F32, c->P));
    (void)vdi_var_calcium(t, &c->desc, s, theta, f, vdi_var_none(), NULL, &log_p);
    if (vdi_tape_backward(t, vdi_var_sum(t, log_p)) < 0) {
        (void)vdi_tape_status(t, &err);
        bench_check(false, err.message);
    }
}

static void oasis_rows(void) {
    static oasis_case c;
    static const struct {
        const char *name;
        int order;
        vdi_oasis_penalty penalty;
        bool has_lambda;
    } rows[] = {{"OASIS L1, order 1 (exact), 1000 frames", 1, VDI_OASIS_L1, false},
                {"OASIS L1, order 2 (exact), 1000 frames", 2, VDI_OASIS_L1, false},
                {"OASIS L0, order 1 (greedy), 1000 frames", 1, VDI_OASIS_L0, false},
                {"plain non-negative, order 1, 1000 frames", 1, VDI_OASIS_L1, true}};
    double calcium = 0;
    for (int t = 0; t < T; t++) {
        calcium = calcium * exp(-1 / (30 * 0.7)) + (bench_random(0, 1) < 0.03 ? 1 : 0);
        c.y[t] = (float)(calcium + 0.2 * normal());
    }
    c.work = (char *)bench_alloc(vdi_oasis_worksize(T));
    for (size_t i = 0; i < VDI__COUNT(rows); i++) {
        if (!bench_row(rows[i].name, BENCH_US, T / 1000.0)) continue;
        c.desc = vdi_oasis_desc_defaults();
        c.desc.fps = 30;
        c.desc.order = rows[i].order;
        c.desc.penalty = rows[i].penalty;
        c.desc.has_lambda = rows[i].has_lambda;
        bench_vdi(run_oasis, &c);
        bench_run();
    }
}

static void model_rows(void) {
    static const struct {
        const char *name;
        vdi_calcium_model model;
        double drift;
        int64_t B, T;
    } models[] = {
        {"linear model, 64 x 20 x 300, with gradient", VDI_CALCIUM_AR1, 0, 20, 300},
        {"linear model and drift, 64 x 20 x 300, with gradient", VDI_CALCIUM_AR1, 5, 20, 300},
        {"SCDF, 64 x 30 x 250, with gradient", VDI_CALCIUM_SCDF, 0, 30, 250},
        {"MLphys, 64 x 30 x 250, with gradient", VDI_CALCIUM_MLPHYS, 0, 30, 250}};
    for (size_t i = 0; i < VDI__COUNT(models); i++) {
        model_case m;
        vdi_error err;
        double raw[VDI_CALCIUM_PARAMS];
        if (!bench_row(models[i].name, BENCH_US, 1)) continue;
        memset(&m, 0, sizeof m);
        m.desc = vdi_calcium_desc_defaults();
        m.desc.model = models[i].model;
        m.desc.drift = models[i].drift;
        m.desc.time_major = true;
        m.S = 64;
        m.B = models[i].B;
        m.T = models[i].T;
        (void)vdi_calcium_params(m.desc.model, &m.P);
        vdi_calcium_initial(&m.desc, raw);
        for (int k = 0; k < m.P; k++)
            m.theta[k] = (float)raw[k];
        m.spikes = (float *)bench_alloc((size_t)(m.S * m.B * m.T) * sizeof(float));
        m.f = (float *)bench_alloc((size_t)(m.B * m.T) * sizeof(float));
        for (int64_t k = 0; k < m.S * m.B * m.T; k++)
            m.spikes[k] = bench_random(0, 1) < 0.015;
        for (int64_t k = 0; k < m.B * m.T; k++)
            m.f[k] = (float)(0.3 * normal());
        if (vdi_tape_create(NULL, &m.tape, &err) < 0) bench_die(err.message);
        bench_vdi(run_model, &m);
        bench_run();
        vdi_tape_destroy(m.tape);
    }
}

int main(int argc, char **argv) {
    bench_begin("oasis", argc, argv);
    if (bench.serving) return 0;
    oasis_rows();
    model_rows();
    return bench_end();
}
