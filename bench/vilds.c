/* bench/vilds.c - one training step of a variational model of a population, against PyTorch's loop
 * over bins
 *
 * The peer does the same work in the way that it is usually written (peers.py, elbo): networks in
 * batches, the block-tridiagonal factor and both solves as a loop over bins. Its encoder sees one
 * bin, nothing is masked, and its log p(z) is that of the sample, so the first row does the same;
 * what the defaults of vdi add (KL in closed form from the marginals, a window of bins, masking)
 * has rows of its own.
 */
#include "bench.h"

typedef struct step_case {
    vdi_vilds *m;
    vdi_vilds_data *data;
    double first, last;
    int64_t undone;
} step_case;

/* Counts with a common rhythm. `ragged`: lengths from half of T to T, a third of the counts
 * missing; T is then longer, so that there are as many bins. */
static void make(step_case *c, int64_t trials, int64_t T, int64_t d, int64_t n, int64_t reach,
                 bool sampled, bool masking, bool ragged) {
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_data_desc dd = VDI__ZERO;
    vdi_error err;
    vdi_rng rng = vdi_rng_make(1, 0);
    int64_t bins = trials * T, *lengths = (int64_t *)bench_alloc((size_t)trials * sizeof *lengths);
    int64_t longest = T;
    for (int64_t i = 0; i < trials; i++)
        lengths[i] = T;
    if (ragged) {
        int64_t sum = 0;
        longest = 0;
        for (int64_t i = 0; i < trials; i++)
            sum += lengths[i] = T * 2 / 3 + T * 2 / 3 * i / (trials - 1);
        lengths[trials - 1] += bins - sum;
        for (int64_t i = 0; i < trials; i++)
            longest = VDI__MAX(longest, lengths[i]);
    }
    float *y = (float *)bench_alloc((size_t)(trials * longest * n) * sizeof *y);
    for (int64_t i = 0; i < trials * longest * n; i++) {
        double phase =
            0.15 * (double)(i / n % longest) + (double)(i % n) * 0.7 + (double)(i / n / longest);
        y[i] = (float)vdi_rng_poisson(&rng, 0.3 * exp(sin(phase)));
        if (ragged && vdi_rng_bernoulli(&rng, 1.0 / 3)) y[i] = NAN;
    }
    desc.d = d;
    desc.n = n;
    desc.has_reach = true;
    desc.reach = reach;
    desc.train.steps = 1000000000000;
    desc.train.batch = trials;
    desc.train.rate = 1e-3;
    desc.train.last_rate = 1e-3;
    desc.train.sampled_kl = sampled;
    desc.train.no_masking = !masking;
    desc.train.open_from = 0;
    desc.train.open_to = 1e-13; /* the window is open */
    memset(c, 0, sizeof *c);
    if (vdi_vilds_create(&desc, &c->m, &err) < 0) bench_die(err.message);
    dd.y = vdi_tensor_3d(y, VDI_F32, trials, longest, n);
    dd.lengths = lengths;
    if (vdi_vilds_data_create(c->m, &dd, &c->data, &err) < 0) bench_die(err.message);
}
static void run_step(void *ctx) {
    step_case *c = (step_case *)ctx;
    vdi_vilds_progress p;
    vdi_error err;
    if (vdi_vilds_step(c->m, c->data, NULL, &p, &err) < 0) bench_die(err.message);
    if (p.step == 30) c->first = p.elbo;
    c->last = p.elbo;
    c->undone = p.undone;
}
static void check_step(step_case *c) {
    for (int i = 0; i < 300; i++)
        run_step(c);
    bench_check(c->last > c->first && c->undone == 0, "the bound does not rise");
}
static void free_step(step_case *c) {
    vdi_vilds_data_destroy(c->data);
    vdi_vilds_destroy(c->m);
}

/* A training step beside the peer's. The bar is for the one that does what the peer does: one bin a
 * time, log p(z) of the sample. */
static void bench_step(const char *name, int64_t reach, bool sampled, bool masking) {
    /* products of a step: 10 trials x 100 bins through 100-60-60-20 and 4-60-60-100, forward,
     * gradients of weights and of inputs */
    const double nets =
        2.0 * 1000 * (2 * 100 * 60 + 3 * (60 * 60 + 60 * 20) + 3 * (4 * 60 + 60 * 60 + 60 * 100));
    step_case c;
    if (!bench_row(name, BENCH_MS, 1)) return;
    make(&c, 10, 100, 4, 100, reach, sampled, masking, false);
    check_step(&c);
    bench_vdi(run_step, &c);
    bench_limit_flops(VDI_F32, nets + 2.0 * 1000 * 2 * (double)reach * 2 * 100 * 60);
    bench_python("PyTorch", "elbo");
    if (sampled) {
        bench_bar_ratio("PyTorch", 20);
        bench_aim_ratio("PyTorch", 30);
    }
    bench_run();
    free_step(&c);
}

/* From the encoder's outputs of each bin and the prior to means, covariances and log determinant,
 * through the tape. */
typedef struct posterior_case {
    vdi_tape *tape;
    int64_t trials, T, d;
    double *out, *A, *q, *x0;
    int64_t *length;
    bool *start;
    double *mean, *cov, logdet;
} posterior_case;
static void run_posterior(void *ctx) {
    posterior_case *c = (posterior_case *)ctx;
    vdi_tape *t = c->tape;
    vdi_lds_vars p = VDI__ZERO;
    vdi_trial_info info = VDI__ZERO;
    vdi_var D, E, k, S, O;
    bool is_mean;
    int64_t d = c->d;
    vdi_tape_reset(t);
    (void)vdi_tape_set_no_grad(t, true);
    info.samples = 1;
    info.trials = c->trials;
    info.T = c->T;
    info.length = c->length;
    info.start = c->start;
    p.A = vdi_tape_constant(t, vdi_tensor_2d(c->A, VDI_F64, d, d));
    p.x0 = vdi_tape_constant(t, vdi_tensor_1d(c->x0, VDI_F64, d));
    (void)vdi_var_precision_root(t, vdi_tape_constant(t, vdi_tensor_2d(c->q, VDI_F64, d, d)), &p.Qi,
                                 &p.ld);
    p.Q0i = p.Qi;
    p.ld0 = p.ld;
    vdi_var out = vdi_tape_constant(t, vdi_tensor_3d(c->out, VDI_F64, c->trials, c->T, d + d * d));
    (void)vdi_var_vilds_precision(t, VDI_VILDS_PRODUCT, out, &p, &info, &D, &E, &k, &is_mean);
    vdi_blocktri_var f = vdi_var_blocktri_factor(t, D, E, NULL);
    vdi_var mean = vdi_var_blocktri_solve(t, f, k), logdet = vdi_var_blocktri_logdet(t, f);
    if (vdi_var_blocktri_marginals(t, f, &S, &O) < 0) bench_check(false, "posterior failed");
    c->mean = (double *)vdi_tape_value(t, mean).data;
    c->cov = (double *)vdi_tape_value(t, S).data;
    c->logdet = *(const double *)vdi_tape_value(t, logdet).data;
}
static void make_posterior(posterior_case *c, int64_t trials, int64_t T, int64_t d) {
    vdi_tape_desc td = vdi_tape_desc_defaults();
    vdi_error err;
    memset(c, 0, sizeof *c);
    td.dtype = VDI_F64;
    if (vdi_tape_create(&td, &c->tape, &err) < 0) bench_die(err.message);
    c->trials = trials;
    c->T = T;
    c->d = d;
    c->out = (double *)bench_array(VDI_F64, (size_t)(trials * T * (d + d * d)), -0.7, 0.7);
    c->A = (double *)bench_alloc((size_t)(d * d) * sizeof(double));
    c->q = (double *)bench_alloc((size_t)(d * d) * sizeof(double));
    c->x0 = (double *)bench_alloc((size_t)d * sizeof(double));
    c->length = (int64_t *)bench_alloc((size_t)trials * sizeof(int64_t));
    c->start = (bool *)bench_alloc((size_t)trials);
    for (int64_t i = 0; i < d; i++) {
        c->A[i * d + i] = 0.95;
        c->q[i * d + i] = 1;
    }
    for (int64_t i = 0; i < trials; i++) {
        c->length[i] = T;
        c->start[i] = true;
    }
    run_posterior(c);
    bench_check(c->logdet > 0 && c->cov[0] > 0 && c->mean[0] == c->mean[0], "posterior");
}

int main(int argc, char **argv) {
    step_case c, dense;
    posterior_case p;
    bench_begin("vilds", argc, argv);
    if (bench.serving) return 0;
    bench_step("ELBO step: T=100, d=4, N=100, 10 trials, 60-60 networks", 0, true, false);
    bench_step("the same, KL in closed form from the marginals", 0, false, false);
    bench_step("and a window of +-2 bins, masked channels: the defaults", 2, false, true);
    if (bench_row("ragged trials, a third of the counts missing: T=67..133, d=2, N=40, 20 trials, "
                  "+-2 bins",
                  BENCH_MS, 1)) {
        make(&dense, 20, 100, 2, 40, 2, false, true, false);
        make(&c, 20, 100, 2, 40, 2, false, true, true);
        check_step(&c);
        check_step(&dense);
        bench_vdi(run_step, &c);
        bench_limit("a dense step on as many bins", run_step, &dense, 1);
        bench_bar_share(1 / 1.3);
        bench_run();
        free_step(&c);
        free_step(&dense);
    }
    if (bench_row("posterior of one trial, T=2000, d=4: mean, covariances", BENCH_MS, 1)) {
        make_posterior(&p, 1, 2000, 4);
        bench_vdi(run_posterior, &p);
        bench_limit_flops(VDI_F64, 2000.0 * 64 * (7.0 / 3 + 4 + 1));
        bench_bar_figure(0.3, VDI_F64);
        bench_run();
    }
    if (bench_row("posteriors of 20 trials, T=100, d=4: mean, covariances", BENCH_MS, 1)) {
        make_posterior(&p, 20, 100, 4);
        bench_vdi(run_posterior, &p);
        bench_limit_flops(VDI_F64, 2000.0 * 64 * (7.0 / 3 + 4 + 1));
        bench_run();
    }
    return bench_end();
}
