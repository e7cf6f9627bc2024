/* tests/portable/bare.c - vdi without an operating system
 *
 * A program for a Cortex-M4 of bare metal: no threads, no files, enums as small as their values
 * allow, no floating-point hardware for double. It solves a block-tridiagonal system, finds spikes
 * and asks a policy for an action, and compares with what is known. Output and exit status go
 * through semihosting; `make matrix-cortexm4` runs it under qemu-system-arm.
 */
#define VDI_NO_STDIO
#define VDI_OASIS_IMPLEMENTATION
#define VDI_SACD_IMPLEMENTATION
#include "vdi.h"
#include <stdio.h>

static int passed, failed;

static void expect(bool ok, const char *what) {
    printf("%s%s\n", ok ? "ok   " : "FAIL ", what);
    passed += ok;
    failed += !ok;
}

/* J = tridiag(-I, 4 I, -I) in blocks of two, times x = 1, 2, 3, ... */
static void blocktri(vdi_dtype dtype, double allowed) {
    enum { T = 6, N = 2 };
    static double D[T * N * N], E[(T - 1) * N * N], h[T * N], x[T * N];
    static unsigned char memory[32768];
    vdi_blocktri_desc desc = VDI__ZERO;
    vdi_blocktri system;
    desc.dtype = dtype;
    desc.trials = 1;
    desc.T = T;
    desc.d = N;
    for (int t = 0; t < T; t++) {
        for (int i = 0; i < N * N; i++) {
            vdi_dtype_store(dtype, D, t * N * N + i, i % 3 == 0 ? 4 : 0);
            if (t + 1 < T) vdi_dtype_store(dtype, E, t * N * N + i, i % 3 == 0 ? -1 : 0);
        }
        for (int i = 0; i < N; i++) {
            const int k = t * N + i + 1;
            double sum = 4 * k;
            if (t > 0) sum -= k - N;
            if (t + 1 < T) sum -= k + N;
            vdi_dtype_store(dtype, h, k - 1, sum);
        }
    }
    const bool fits = vdi_blocktri_memsize(&desc) <= sizeof memory;
    expect(fits && vdi_blocktri_init(&system, &desc, memory, sizeof memory, NULL) == VDI_OK,
           "blocktri: set up in a block of 32 KiB");
    if (!fits) return;
    expect(vdi_blocktri_factor(&system, D, E, NULL) == VDI_OK, "blocktri: factorised");
    vdi_blocktri_solve(&system, 1, h, x);
    double worst = 0;
    for (int k = 0; k < T * N; k++) {
        const double off = fabs(vdi_dtype_load(dtype, x, k) - (k + 1));
        if (!(off <= worst)) worst = off;
    }
    expect(worst <= allowed,
           dtype == VDI_F32 ? "blocktri: float32 solution" : "blocktri: float64 solution");
    desc.trials = INT64_MAX;
    expect(vdi_blocktri_memsize(&desc) == SIZE_MAX, "blocktri: more than 32 bits can address");
}

/* Three events without noise: plain non-negative deconvolution gives them back. */
static void oasis(void) {
    enum { T = 120 };
    static float trace[T], calcium[T], spikes[T];
    static const int when[3] = {20, 55, 56};
    static const float size[3] = {1, 2, 0.5f};
    vdi_oasis_desc desc = vdi_oasis_desc_defaults();
    vdi_oasis_result result;
    double level = 0;
    desc.fps = 30;
    desc.tau_decay = 0.5;
    desc.has_lambda = desc.has_baseline = true;
    desc.lambda = 0;
    desc.noise = 0.01;
    for (int t = 0; t < T; t++) {
        level *= exp(-1 / (desc.fps * desc.tau_decay));
        for (int k = 0; k < 3; k++) {
            if (when[k] == t) level += (double)size[k];
        }
        trace[t] = (float)level;
    }
    expect(vdi_oasis(&desc, VDI_F32, T, trace, NULL, calcium, spikes, &result, NULL) == VDI_OK,
           "oasis: solved");
    double worst = 0;
    for (int t = 0; t < T; t++) {
        double expected = 0;
        for (int k = 0; k < 3; k++) {
            if (when[k] == t) expected = (double)size[k];
        }
        const double off = fabs((double)spikes[t] - expected);
        if (!(off <= worst)) worst = off;
    }
    expect(worst < 1e-5, "oasis: three events, and nothing between them");
}

static const float *tensor_of(const vdi_state *state, const char *name) {
    for (int64_t i = 0; i < state->tensor_count; i++) {
        if (strcmp(state->tensors[i].name, name) == 0) {
            return (const float *)state->tensors[i].tensor.data;
        }
    }
    return NULL;
}

/* The action is tanh of what the weights say. */
static void policy(void) {
    enum { IN = 3, HIDDEN = 8, OUT = 2 };
    vdi_sacd_desc desc = VDI__ZERO;
    vdi_sacd *agent = NULL;
    const float obs[IN] = {0.5f, -1, 2};
    float action[OUT];
    desc.observations = IN;
    desc.actions = OUT;
    desc.components = 2;
    desc.algo = VDI_SACD_NAIVE;
    desc.dtype = VDI_F32;
    desc.layers = 1;
    desc.hidden[0] = HIDDEN;
    desc.batch = 4;
    desc.capacity = 8;
    desc.seed = 3;
    vdi_error err;
    expect(vdi_sacd_create(&desc, &agent, &err) == VDI_OK, "sacd: made");
    if (!agent) {
        printf("%s\n", err.message);
        return;
    }
    expect(vdi_sacd_get_desc(agent)->algo == VDI_SACD_NAIVE, "sacd: its description, enums too");
    expect(vdi_sacd_act(agent, obs, true, action) == VDI_OK, "sacd: acted");
    const vdi_state *state = vdi_sacd_state(agent, false);
    const float *w0 = tensor_of(state, "policy.0.weight"), *b0 = tensor_of(state, "policy.0.bias");
    const float *w1 = tensor_of(state, "policy.1.weight"), *b1 = tensor_of(state, "policy.1.bias");
    expect(w0 && b0 && w1 && b1, "sacd: its weights by name");
    if (!w0 || !b0 || !w1 || !b1) return;
    for (int k = 0; k < OUT; k++) {
        double sum = (double)b1[k];
        for (int j = 0; j < HIDDEN; j++) {
            double unit = (double)b0[j];
            for (int i = 0; i < IN; i++)
                unit += (double)obs[i] * (double)w0[i * HIDDEN + j];
            if (unit > 0) sum += unit * (double)w1[j * 2 * OUT + k];
        }
        expect(fabs((double)action[k] - tanh(sum)) < 1e-6, "sacd: the action of its weights");
    }
    /* the policy alone, in a block of its own, without an allocator */
    static unsigned char memory[4096];
    vdi_policy *policy = NULL;
    float alone[OUT];
    const size_t bytes = vdi_policy_memsize(state);
    printf("a policy of %d, %d, %d takes %u bytes\n", IN, HIDDEN, 2 * OUT, (unsigned)bytes);
    expect(bytes <= sizeof memory, "policy: fits into 4 KiB");
    expect(vdi_policy_init(state, memory, sizeof memory, &policy, &err) == VDI_OK,
           "policy: made in the caller's block");
    vdi_sacd_destroy(agent);
    if (!policy) return;
    expect(vdi_policy_act(policy, obs, NULL, alone) == VDI_OK, "policy: acted");
    expect(memcmp(action, alone, sizeof alone) == 0, "policy: the agent's action");
}

int main(void) {
    printf("vdi %s, path %s of %s\n", vdi_version(), vdi_simd_name(vdi_simd_active()),
           vdi_simd_name(vdi_simd_active()));
    blocktri(VDI_F32, 1e-4);
    blocktri(VDI_F64, 1e-12);
    oasis();
    policy();
    printf("%d passed, %d failed, 0 skipped\n", passed, failed);
    return failed || passed < 20;
}

#if defined(__arm__) && defined(__thumb__)
/* What the processor reads at reset: the stack, and where to begin (newlib's start-up code). */
extern void _start(void);
__attribute__((section(".vectors"), used)) static void (*const vectors[2])(void) = {
    (void (*)(void))0x20400000, _start};
#endif
