/* bench/sacd.c - what an update of the agent costs beside its bare matrix products on OpenBLAS
 *
 * The peer is what would remain if everything but the products were free: no activation, no
 * minimum, no Adam, no target nets, no sampling; every product of one update as it is usually
 * written (both critics forward and backward at the policy's actions too). vdi's time is that of
 * the whole vdi_sacd_update: drawing the batch, gathering it, policies, targets, twins, gradients,
 * Adam, target nets, temperature.
 */
#include "bench.h"

enum { OBS = 24, ACT = 4, COMPONENTS = 9 };
static int batch_size, width;

/* ---- OpenBLAS -------------------------------------------------------------------------------- */

typedef void sgemm_fn(int, int, int, int, int, int, float, const float *, int, const float *, int,
                      float, float *, int);
static sgemm_fn *blas_sgemm;
static float *a_array, *b_array, *c_array;
static double flops;

static void product(int m, int n, int k, int ta, int tb) {
    flops += 2.0 * m * n * k;
    if (blas_sgemm) {
        blas_sgemm(101, ta ? 112 : 111, tb ? 112 : 111, m, n, k, 1, a_array, ta ? m : k, b_array,
                   tb ? k : n, 0, c_array, n);
    }
}
static void forward(const int *d) {
    for (int l = 0; l < 3; l++)
        product(batch_size, d[l + 1], d[l], 0, 1);
}
static void backward(const int *d, bool weights, bool inputs) {
    for (int l = 2; l >= 0; l--) {
        if (weights) product(d[l + 1], d[l], batch_size, 1, 0);
        if (l || inputs) product(batch_size, d[l], d[l + 1], 0, 0);
    }
}
static void run_products(void *ctx) {
    const int heads = *(const int *)ctx;
    const int policy[4] = {OBS, width, width, 2 * ACT};
    const int critic[4] = {OBS + ACT, width, width, heads};
    flops = 0;
    forward(policy); /* next actions, target values */
    for (int j = 0; j < 2; j++)
        forward(critic);
    for (int j = 0; j < 2; j++)
        forward(critic); /* the twins' own step */
    for (int j = 0; j < 2; j++)
        backward(critic, true, false);
    forward(policy); /* the policy's */
    for (int j = 0; j < 2; j++)
        forward(critic);
    for (int j = 0; j < 2; j++)
        backward(critic, false, true);
    backward(policy, true, false);
}

/* ---- vdi ------------------------------------------------------------------------------------- */

static vdi_sacd *agent_make(vdi_sacd_algo algo, vdi_pool *pool) {
    vdi_sacd_desc d = VDI__ZERO;
    vdi_sacd *agent = NULL;
    vdi_error err;
    d.observations = OBS;
    d.actions = ACT;
    d.components = COMPONENTS;
    d.algo = algo;
    d.layers = 2;
    d.hidden[0] = d.hidden[1] = width;
    d.batch = batch_size;
    d.capacity = 20000;
    d.pool = pool;
    if (vdi_sacd_create(&d, &agent, &err) < 0) bench_die(err.message);
    for (int k = 0; k < 20000; k++) {
        float x[2 * OBS + ACT + COMPONENTS];
        for (int i = 0; i < 2 * OBS + ACT + COMPONENTS; i++)
            x[i] = (float)bench_random(-1, 1);
        if (vdi_sacd_observe(agent, x, x + OBS, x + OBS + ACT, x + OBS + ACT + COMPONENTS,
                             k % 100 == 0, &err) < 0)
            bench_die(err.message);
    }
    return agent;
}
static void run_update(void *ctx) {
    vdi_error err;
    if (vdi_sacd_update((vdi_sacd *)ctx, NULL, &err) < 0) bench_check(false, err.message);
}
static void run_act(void *ctx) {
    static float obs[OBS], action[ACT];
    vdi_sacd_act((vdi_sacd *)ctx, obs, true, action);
    obs[0] = action[0];
}
static void run_sample(void *ctx) {
    static float obs[OBS], action[ACT];
    vdi_sacd_act((vdi_sacd *)ctx, obs, false, action);
    obs[0] = action[0];
}

int main(int argc, char **argv) {
    static const struct {
        int width, batch;
        vdi_sacd_algo algo;
        bool bar;
    } row[] = {{256, 256, VDI_SACD_COMPOSITE, true},      {256, 256, VDI_SACD_SAC, false},
               {256, 256, VDI_SACD_NAIVE, false},         {256, 256, VDI_SACD_CAGRAD, false},
               {256, 256, VDI_SACD_CAGRAD_HIDDEN, false}, {64, 100, VDI_SACD_COMPOSITE, false}};
    bench_begin("sacd", argc, argv);
    blas_sgemm = (sgemm_fn *)bench_blas_symbol("cblas_sgemm");
    a_array = (float *)bench_array(VDI_F32, 1 << 18, -1, 1);
    b_array = (float *)bench_array(VDI_F32, 1 << 18, -1, 1);
    c_array = (float *)bench_array(VDI_F32, 1 << 18, -1, 1);
    for (size_t i = 0; i < VDI__COUNT(row); i++) {
        char name[96];
        int heads = row[i].algo == VDI_SACD_SAC ? 1 : COMPONENTS + 1;
        width = row[i].width;
        batch_size = row[i].batch;
        snprintf(name, sizeof name, "update, %s, %d-%d, batch %d", vdi_sacd_algo_name(row[i].algo),
                 width, width, batch_size);
        if (!bench_row(name, BENCH_MS, 1)) continue;
        if (!bench.serving) bench_vdi(run_update, agent_make(row[i].algo, NULL));
        sgemm_fn *fn = blas_sgemm;
        blas_sgemm = NULL;
        run_products(&heads); /* counts */
        blas_sgemm = fn;
        bench_limit_flops(VDI_F32, flops);
        bench_blas(run_products, &heads);
        if (row[i].bar) {
            bench_bar_ratio("OpenBLAS", 1 / 1.15);
            bench_aim_ratio("OpenBLAS", 1);
        }
        bench_run();
    }
    if (bench.serving) return 0;
    width = 256;
    batch_size = 256;
    vdi_sacd *agent = agent_make(VDI_SACD_COMPOSITE, NULL);
    if (bench_row("action, 256-256, tanh(mean)", BENCH_US, 1)) {
        bench_vdi(run_act, agent);
        bench_bar_figure(5, VDI_F32);
        bench_run();
    }
    if (bench_row("action, 256-256, sampled", BENCH_US, 1)) {
        bench_vdi(run_sample, agent);
        bench_run();
    }
    return bench_end();
}
