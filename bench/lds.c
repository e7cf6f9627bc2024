/* bench/lds.c - exact smoothing and learning of a linear dynamical system, against statsmodels
 *
 * One trial of T = 1000 bins, d = 4 latents, N = 10 channels: smoothed means and covariances and
 * the log likelihood, by both of vdi's routes. statsmodels is asked for states and covariances
 * alone, which is its fastest way. EM runs on 20 trials of 200 bins, d = 3, N = 8.
 */
#include "bench.h"

typedef struct lds_case {
    vdi_lds *lds;
    vdi_lds_data *data;
    vdi_lds_moments out;
    double last; /* log likelihood before the last EM step */
    bool fell;
} lds_case;

static double normal(void) {
    return sqrt(-2 * log(1 - bench_random(0, 1))) * cos(2 * VDI_PI * bench_random(0, 1));
}

/* damped rotations, random read-out, white noise; parameters into c->lds, data into c->data */
static void make(lds_case *c, int64_t trials, int64_t T, int64_t d, int64_t n) {
    vdi_lds_desc desc;
    vdi_lds_data_desc dd;
    vdi_error err;
    memset(c, 0, sizeof *c);
    memset(&desc, 0, sizeof desc);
    memset(&dd, 0, sizeof dd);
    desc.d = d;
    desc.n = n;
    desc.diagonal_r = true;
    if (vdi_lds_create(&desc, &c->lds, &err) < 0) bench_die(err.message);
    vdi_lds *m = c->lds;
    for (int64_t i = 0; i < d * d; i++)
        m->A[i] = m->Q[i] = m->Q0[i] = 0;
    for (int64_t i = 0; i < d; i++) {
        m->A[i * d + i] = 0.98;
        m->Q[i * d + i] = 0.1;
        m->Q0[i * d + i] = 1;
        m->x0[i] = 0;
    }
    for (int64_t i = 0; i + 1 < d; i += 2) {
        double angle = 0.1 + 0.05 * (double)i, s = 0.98 * sin(angle), k = 0.98 * cos(angle);
        m->A[i * d + i] = m->A[(i + 1) * d + i + 1] = k;
        m->A[(i + 1) * d + i] = s;
        m->A[i * d + i + 1] = -s;
    }
    for (int64_t i = 0; i < n * d; i++)
        m->C[i] = normal();
    for (int64_t i = 0; i < n * n; i++)
        m->R[i] = i % (n + 1) ? 0 : 0.5;
    double *y = (double *)bench_alloc((size_t)(trials * T * n) * sizeof *y);
    double *z = (double *)bench_alloc((size_t)(2 * d) * sizeof *z);
    for (int64_t b = 0; b < trials; b++) {
        for (int64_t t = 0; t < T; t++) {
            for (int64_t i = 0; i < d; i++) {
                z[d + i] = t ? sqrt(0.1) * normal() : normal();
                for (int64_t j = 0; t && j < d; j++)
                    z[d + i] += m->A[i * d + j] * z[j];
            }
            memcpy(z, z + d, (size_t)d * sizeof *z);
            for (int64_t k = 0; k < n; k++) {
                double s = sqrt(0.5) * normal();
                for (int64_t i = 0; i < d; i++)
                    s += m->C[k * d + i] * z[i];
                y[(b * T + t) * n + k] = s;
            }
        }
    }
    dd.y = vdi_tensor_3d(y, VDI_F64, trials, T, n);
    if (vdi_lds_data_create(m, &dd, &c->data, &err) < 0) bench_die(err.message);
    c->out.ms = (double *)bench_alloc((size_t)(trials * T * d) * sizeof(double));
    c->out.Ps = (double *)bench_alloc((size_t)(trials * T * d * d) * sizeof(double));
    c->out.ll = (double *)bench_alloc((size_t)trials * sizeof(double));
}

static void run_smooth(void *ctx) {
    lds_case *c = (lds_case *)ctx;
    vdi_error err;
    if (vdi_lds_smooth(c->lds, c->data, &c->out, &err) < 0) bench_check(false, err.message);
}
static void run_em(void *ctx) {
    lds_case *c = (lds_case *)ctx;
    vdi_error err;
    double ll = 0;
    if (vdi_lds_em_step(c->lds, c->data, &ll, &err) < 0) bench_check(false, err.message);
    if (ll < c->last - 1e-9 * fabs(c->last)) c->fell = true;
    c->last = ll;
}

int main(int argc, char **argv) {
    lds_case c;
    bench_begin("lds", argc, argv);
    if (bench.serving) return 0;
    make(&c, 1, 1000, 4, 10);
    for (int kalman = 0; kalman < 2; kalman++) {
        static double ll[2], mean[2], variance[2];
        c.out.kalman = kalman != 0;
        if (!bench_row(kalman ? "Kalman and RTS, T=1000 d=4 N=10"
                              : "block-tridiagonal smoother, T=1000 d=4 N=10",
                       BENCH_MS, 1))
            continue;
        run_smooth(&c);
        ll[kalman] = c.out.ll[0];
        mean[kalman] = c.out.ms[500 * 4];
        variance[kalman] = c.out.Ps[500 * 16];
        if (kalman && ll[0] != 0) {
            bench_check(fabs(ll[0] - ll[1]) < 1e-8 * fabs(ll[0]) &&
                            fabs(mean[0] - mean[1]) < 1e-9 &&
                            fabs(variance[0] - variance[1]) < 1e-9,
                        "the two routes differ");
        }
        bench_vdi(run_smooth, &c);
        /* per bin: d^3 (2 + 1/3) for the factor, about 4 d^3 for the marginals, 2 N d for h and the
         * log likelihood's N d */
        bench_limit_flops(VDI_F64, 1000.0 * (64 * (7.0 / 3 + 4) + 4.0 * 10 * 4));
        bench_python("statsmodels", "smooth");
        bench_bar_ratio("statsmodels", 30);
        bench_aim_ratio("statsmodels", 50);
        bench_run();
    }
    make(&c, 20, 200, 3, 8);
    if (bench_row("EM, 200 iterations on 20 x 200 x 8, d=3", BENCH_MS, 1.0 / 200)) {
        vdi_error err;
        if (vdi_lds_init(c.lds, c.data, 1, &err) < 0) bench_die(err.message);
        c.last = -1e300;
        bench_vdi(run_em, &c);
        bench_bar_figure(500, BENCH_LATENCY);
        bench_run();
        bench_check(!c.fell, "log likelihood fell");
    }
    return bench_end();
}
