/* bench/tape.c - what does a node of the tape cost? Chains of small operations, forward and
 * backward, against PyTorch
 *
 * v = v * x, v = v + c, 500 times, then the sum of v; x has a gradient. The figure is the time of a
 * whole step (reset, forward, backward) over its 1000 nodes.
 */
#include "bench.h"

enum { NODES = 1000 };
typedef struct chain_case {
    vdi_tape *tape;
    vdi_tensor x, c, grad;
    double sum;
} chain_case;

static vdi_var chain(chain_case *k) {
    vdi_tape_reset(k->tape);
    vdi_var x = vdi_tape_leaf(k->tape, k->x, k->grad), c = vdi_tape_constant(k->tape, k->c), v = x;
    for (int i = 0; i < NODES / 2; i++) {
        v = vdi_var_mul(k->tape, v, x);
        v = vdi_var_add(k->tape, v, c);
    }
    return v;
}
static void run_both(void *ctx) {
    chain_case *k = (chain_case *)ctx;
    vdi_var loss = vdi_var_sum(k->tape, chain(k));
    if (vdi_tape_backward(k->tape, loss) < 0) bench_check(false, "backward failed");
    k->sum = vdi_tape_item(k->tape, loss);
}
static void run_forward(void *ctx) {
    chain_case *k = (chain_case *)ctx;
    bool old = vdi_tape_set_no_grad(k->tape, true);
    (void)chain(k);
    (void)vdi_tape_set_no_grad(k->tape, old);
}

int main(int argc, char **argv) {
    static const int sizes[] = {1, 8, 64, 1024};
    bench_begin("tape", argc, argv);
    if (bench.serving) return 0;
    for (int q = 0; q < 2; q++) {
        for (size_t s = 0; s < VDI__COUNT(sizes); s++) {
            for (int both = 1; both >= 0; both--) {
                chain_case k;
                char name[80];
                vdi_error err;
                int n = sizes[s];
                vdi_dtype dtype = q ? VDI_F64 : VDI_F32;
                vdi_tape_desc desc = vdi_tape_desc_defaults();
                snprintf(name, sizeof name, "%d elements %s, %s, per node", n, bench_dtype(dtype),
                         both ? "forward and backward" : "forward");
                if (!bench_row(name, BENCH_NS, NODES)) continue;
                desc.dtype = dtype;
                if (vdi_tape_create(&desc, &k.tape, &err) < 0) bench_die(err.message);
                k.x = vdi_tensor_1d(bench_array(dtype, (size_t)n, 1, 1), dtype, n);
                k.c = vdi_tensor_1d(bench_array(dtype, (size_t)n, 1e-6, 1e-6), dtype, n);
                k.grad = vdi_tensor_1d(bench_array(dtype, (size_t)n, 0, 0), dtype, n);
                run_both(&k);
                /* v = x^501 + ..., so the gradient at 1 is near 501, plus what the small constants
                 * add */
                double g = bench_get(dtype, k.grad.data, 0);
                bench_check(fabs(k.sum / n - 1) < 1e-2 && g > 500 && g < 502,
                            "gradient of the chain");
                bench_vdi(both ? run_both : run_forward, &k);
                if (n == 8 && !q) {
                    bench_python("PyTorch", both ? "ops8" : "ops8_forward");
                    if (both) {
                        bench_bar_figure(50, BENCH_LATENCY);
                        bench_aim_figure(30, BENCH_LATENCY);
                    }
                }
                bench_run();
                vdi_tape_destroy(k.tape);
            }
        }
    }
    return bench_end();
}
