/* bench/nets.c - the networks that the models spend their time in, against PyTorch
 *
 * A gated recurrent unit at batch 1 (DeepSpike), a policy at batch 1 (the agent in its loop), the
 * whole spike network, and one training step of a critic: forward, backward and Adam through the
 * tape. Weights are random; the work does not depend on them.
 */
#include "bench.h"

/* ---- recurrence ------------------------------------------------------------------------------ */

enum { STEPS = 1000, IN = 32, HIDDEN = 64 };
typedef struct gru_case {
    float *x, *w_ih, *b_ih, *w_hh, *b_hh, *xp, *work, *h, *state;
} gru_case;

static void run_recurrence(void *ctx) {
    gru_case *g = (gru_case *)ctx;
    vdi_gru_forward(VDI_F32, STEPS, 1, HIDDEN, false, g->xp, g->w_hh, g->b_hh, NULL, g->work, g->h,
                    NULL);
}
static void run_gru(void *ctx) {
    gru_case *g = (gru_case *)ctx;
    vdi_affine(VDI_F32, STEPS, 3 * HIDDEN, IN, g->x, IN, g->w_ih, 3 * HIDDEN, g->b_ih, VDI_ACT_NONE,
               0, g->xp, 3 * HIDDEN);
    run_recurrence(ctx);
}
static void run_gru_step(void *ctx) {
    gru_case *g = (gru_case *)ctx;
    vdi_affine(VDI_F32, 1, 3 * HIDDEN, IN, g->x, IN, g->w_ih, 3 * HIDDEN, g->b_ih, VDI_ACT_NONE, 0,
               g->xp, 3 * HIDDEN);
    vdi_gru_step(VDI_F32, 1, HIDDEN, g->xp, g->w_hh, g->b_hh, g->state, g->work, g->state, NULL);
}

static void make_gru(gru_case *g) {
    g->x = (float *)bench_array(VDI_F32, STEPS * IN, -1, 1);
    g->w_ih = (float *)bench_array(VDI_F32, IN * 3 * HIDDEN, -0.125, 0.125);
    g->b_ih = (float *)bench_array(VDI_F32, 3 * HIDDEN, -0.125, 0.125);
    g->w_hh = (float *)bench_array(VDI_F32, HIDDEN * 3 * HIDDEN, -0.125, 0.125);
    g->b_hh = (float *)bench_array(VDI_F32, 3 * HIDDEN, -0.125, 0.125);
    g->xp = (float *)bench_array(VDI_F32, STEPS * 3 * HIDDEN, -1, 1);
    g->work = (float *)bench_alloc(3 * HIDDEN * sizeof(float));
    g->h = (float *)bench_alloc(STEPS * HIDDEN * sizeof(float));
    g->state = (float *)bench_alloc(HIDDEN * sizeof(float));
}

/* the equations of kernel/rnn.h in double */
static void check_gru(gru_case *g) {
    static double state[HIDDEN], z[3 * HIDDEN], u[3 * HIDDEN];
    double worst = 0;
    run_gru(g);
    for (int t = 0; t < STEPS; t++) {
        for (int j = 0; j < 3 * HIDDEN; j++) {
            z[j] = g->b_ih[j];
            u[j] = g->b_hh[j];
            for (int i = 0; i < IN; i++)
                z[j] += (double)g->x[t * IN + i] * g->w_ih[i * 3 * HIDDEN + j];
            for (int i = 0; i < HIDDEN; i++)
                u[j] += state[i] * g->w_hh[i * 3 * HIDDEN + j];
        }
        for (int j = 0; j < HIDDEN; j++) {
            double r = 1 / (1 + exp(-z[j] - u[j]));
            double s = 1 / (1 + exp(-z[HIDDEN + j] - u[HIDDEN + j]));
            state[j] = (1 - s) * tanh(z[2 * HIDDEN + j] + r * u[2 * HIDDEN + j]) + s * state[j];
            worst = fmax(worst, fabs(state[j] - g->h[t * HIDDEN + j]));
        }
    }
    bench_check(worst < 5e-6, "states of the GRU");
}

/* ---- policy ---------------------------------------------------------------------------------- */

typedef struct policy_case {
    float *x, *w[3], *b[3], *h[2], *y;
} policy_case;
static void run_policy(void *ctx) {
    policy_case *p = (policy_case *)ctx;
    vdi_affine(VDI_F32, 1, 256, 24, p->x, 24, p->w[0], 256, p->b[0], VDI_ACT_RELU, 0, p->h[0], 256);
    vdi_affine(VDI_F32, 1, 256, 256, p->h[0], 256, p->w[1], 256, p->b[1], VDI_ACT_RELU, 0, p->h[1],
               256);
    vdi_affine(VDI_F32, 1, 4, 256, p->h[1], 256, p->w[2], 4, p->b[2], VDI_ACT_NONE, 0, p->y, 4);
}

/* ---- spike network -----------------------------------------------------------------------------
 * Fluorescence (T,1) -> 3 convolutions -> GRU -> probability of a spike (T,1). */

enum { WIDTH = 31, CHANNELS = 32 };
typedef struct spike_case {
    float *x, *w[3], *b[3], *c[2], *w_out, *b_out, *p;
    gru_case g;
} spike_case;
static void run_convolutions(void *ctx) {
    spike_case *s = (spike_case *)ctx;
    vdi_conv1d(VDI_F32, 1, STEPS, 1, CHANNELS, WIDTH, WIDTH / 2, s->x, s->w[0], s->b[0],
               VDI_ACT_RELU, 0, s->c[0]);
    vdi_conv1d(VDI_F32, 1, STEPS, CHANNELS, CHANNELS, WIDTH, WIDTH / 2, s->c[0], s->w[1], s->b[1],
               VDI_ACT_RELU, 0, s->c[1]);
    vdi_conv1d(VDI_F32, 1, STEPS, CHANNELS, CHANNELS, WIDTH, WIDTH / 2, s->c[1], s->w[2], s->b[2],
               VDI_ACT_RELU, 0, s->g.x);
}
static void run_spike(void *ctx) {
    spike_case *s = (spike_case *)ctx;
    run_convolutions(ctx);
    run_gru(&s->g);
    vdi_affine(VDI_F32, STEPS, 1, HIDDEN, s->g.h, HIDDEN, s->w_out, 1, s->b_out, VDI_ACT_SIGMOID, 0,
               s->p, 1);
}

/* ---- critic ---------------------------------------------------------------------------------- */

enum { BATCH = 256, CRITIC_IN = 28 };
typedef struct critic_case {
    vdi_mlp_desc net;
    vdi_params *params;
    vdi_optim *adam;
    vdi_tape *tape;
    vdi_tensor x, y;
    double loss;
} critic_case;
static void run_critic(void *ctx) {
    critic_case *c = (critic_case *)ctx;
    vdi_error err;
    vdi_tape *t = c->tape;
    vdi_tape_reset(t);
    vdi_params_zero_grad(c->params);
    vdi_var q = vdi_mlp_apply(t, &c->net, c->params->item, vdi_tape_constant(t, c->x));
    vdi_var loss =
        vdi_var_mean(t, vdi_var_square(t, vdi_var_sub(t, q, vdi_tape_constant(t, c->y))));
    if (vdi_tape_backward(t, loss) < 0 || vdi_optim_step(c->adam, &err) < 0)
        bench_check(false, "training step failed");
    c->loss = vdi_tape_item(t, loss);
}
static void make_critic(critic_case *c) {
    vdi_param_desc list[8];
    vdi_optim_desc adam = vdi_optim_desc_defaults();
    vdi_rng rng = vdi_rng_make(1, 0);
    vdi_error err;
    memset(c, 0, sizeof *c);
    c->net.name = "critic";
    c->net.layers = 3;
    c->net.act = VDI_ACT_RELU;
    c->net.sizes[0] = CRITIC_IN;
    c->net.sizes[1] = c->net.sizes[2] = 256;
    c->net.sizes[3] = 1;
    c->x = vdi_tensor_2d(bench_array(VDI_F32, BATCH * CRITIC_IN, -1, 1), VDI_F32, BATCH, CRITIC_IN);
    c->y = vdi_tensor_2d(bench_array(VDI_F32, BATCH, -1, 1), VDI_F32, BATCH, 1);
    adam.rate = 1e-3;
    int64_t n = vdi_mlp_declare(&c->net, list, 8);
    if (vdi_params_create(list, n, VDI_F32, NULL, &rng, &c->params, &err) < 0 ||
        vdi_optim_create(&adam, c->params, NULL, &c->adam, &err) < 0 ||
        vdi_tape_create(NULL, &c->tape, &err) < 0)
        bench_die(err.message);
}

/* ---- rows ------------------------------------------------------------------------------------ */

static const double recurrence = 2.0 * HIDDEN * 3 * HIDDEN, projection = 2.0 * IN * 3 * HIDDEN;

static void gru_rows(void) {
    gru_case g;
    make_gru(&g);
    if (bench_row("GRU, batch 1, hidden 64: recurrence, 1000 steps", BENCH_MS, 1)) {
        check_gru(&g);
        bench_vdi(run_recurrence, &g);
        bench_limit_flops(VDI_F32, STEPS * recurrence);
        bench_bar_figure(0.3, VDI_F32);
        bench_run();
    }
    if (bench_row("GRU, batch 1, 32 -> 64, 1000 steps", BENCH_MS, 1)) {
        bench_vdi(run_gru, &g);
        bench_limit_flops(VDI_F32, STEPS * (recurrence + projection));
        bench_python("PyTorch", "gru");
        bench_run();
    }
    if (bench_row("GRU, batch 1, 32 -> 64, one step by itself", BENCH_US, 1)) {
        bench_vdi(run_gru_step, &g);
        bench_limit_flops(VDI_F32, recurrence + projection);
        bench_python("PyTorch", "gru_cell");
        bench_run();
    }
}

static void policy_row(void) {
    static const int width[] = {24, 256, 256, 4};
    policy_case p;
    double flops = 0;
    if (!bench_row("policy 24-256-256-4, batch 1", BENCH_US, 1)) return;
    p.x = (float *)bench_array(VDI_F32, 24, -1, 1);
    for (int i = 0; i < 3; i++) {
        p.w[i] = (float *)bench_array(VDI_F32, (size_t)(width[i] * width[i + 1]), -0.1, 0.1);
        p.b[i] = (float *)bench_array(VDI_F32, (size_t)width[i + 1], -0.1, 0.1);
        flops += 2.0 * width[i] * width[i + 1];
    }
    p.h[0] = (float *)bench_alloc(256 * sizeof(float));
    p.h[1] = (float *)bench_alloc(256 * sizeof(float));
    p.y = (float *)bench_alloc(4 * sizeof(float));
    bench_vdi(run_policy, &p);
    bench_limit_flops(VDI_F32, flops);
    bench_python("PyTorch", "policy");
    bench_bar_figure(4, VDI_F32);
    bench_run();
}

static void critic_row(void) {
    critic_case c;
    if (!bench_row("critic 28-256-256-1, batch 256: forward, backward, Adam", BENCH_MS, 1)) return;
    make_critic(&c);
    run_critic(&c);
    double first = c.loss;
    for (int i = 0; i < 50; i++)
        run_critic(&c);
    bench_check(c.loss < 0.5 * first, "the critic does not learn");
    bench_vdi(run_critic, &c);
    /* forward, gradient of the weights, gradient of the inputs (not of the first layer) */
    bench_limit_flops(VDI_F32, 2.0 * BATCH * (2.0 * CRITIC_IN * 256 + 3.0 * 256 * 256 + 3.0 * 256));
    bench_python("PyTorch", "critic");
    bench_bar_ratio("PyTorch", 1.25);
    bench_run();
}

static void spike_rows(void) {
    const double flops = 2.0 * STEPS * WIDTH * CHANNELS * (1 + 2 * CHANNELS);
    spike_case s;
    make_gru(&s.g);
    s.x = (float *)bench_array(VDI_F32, STEPS, -1, 1);
    for (int i = 0; i < 3; i++) {
        s.w[i] = (float *)bench_array(VDI_F32, WIDTH * CHANNELS * CHANNELS, -0.05, 0.05);
        s.b[i] = (float *)bench_array(VDI_F32, CHANNELS, -0.1, 0.1);
    }
    s.c[0] = (float *)bench_alloc(STEPS * CHANNELS * sizeof(float));
    s.c[1] = (float *)bench_alloc(STEPS * CHANNELS * sizeof(float));
    s.w_out = (float *)bench_array(VDI_F32, HIDDEN, -0.1, 0.1);
    s.b_out = (float *)bench_array(VDI_F32, 1, -0.1, 0.1);
    s.p = (float *)bench_alloc(STEPS * sizeof(float));
    if (bench_row("3 convolutions, width 31, 32 channels, 1000 samples", BENCH_MS, 1)) {
        bench_vdi(run_convolutions, &s);
        bench_limit_flops(VDI_F32, flops);
        bench_python("PyTorch", "convolutions");
        bench_run();
    }
    if (bench_row("spike network (3 convolutions, GRU, output), 1000 samples", BENCH_MS, 1)) {
        bench_vdi(run_spike, &s);
        bench_limit_flops(VDI_F32, flops + STEPS * (recurrence + projection + 2 * HIDDEN));
        bench_python("PyTorch", "spike_net");
        bench_run();
    }
}

int main(int argc, char **argv) {
    bench_begin("nets", argc, argv);
    if (bench.serving) return 0;
    gru_rows();
    policy_row();
    critic_row();
    spike_rows();
    return bench_end();
}
