/* tests/kalman.c - filter and smoother against the joint Gaussian of all bins, solved densely */
#include "check.h"

enum { D = 2, T = 6, G = 2, S = 3, M = T * D };

typedef struct problem {
    double A[D * D], Q[D * D], Q0[D * D];
    double W[G * T * D * D], h[S * G * T * D], c[S * G * T * D];
} problem;

static void draw(problem *p) {
    const double A[4] = {0.9, -0.2, 0.3, 0.7}, Q[4] = {0.5, 0.1, 0.1, 0.3};
    const double Q0[4] = {1.2, -0.4, -0.4, 0.9};
    unsigned long long seed = 4;
    memcpy(p->A, A, sizeof A);
    memcpy(p->Q, Q, sizeof Q);
    memcpy(p->Q0, Q0, sizeof Q0);
    for (int i = 0; i < G * T; i++) {
        /* of rank one, and nothing at all in some bins */
        const double x = test_normal(&seed), y = test_normal(&seed), w = i % 4 == 2 ? 0 : 2;
        double *W = &p->W[i * 4];
        W[0] = w * x * x;
        W[1] = W[2] = w * x * y;
        W[3] = w * y * y;
    }
    for (int i = 0; i < S * G * T * D; i++) {
        p->h[i] = test_normal(&seed);
        p->c[i] = test_normal(&seed);
    }
}

static void inverse2(const double *a, double *out) {
    const double det = a[0] * a[3] - a[1] * a[2];
    out[0] = a[3] / det;
    out[1] = -a[1] / det;
    out[2] = -a[2] / det;
    out[3] = a[0] / det;
}

/* The precision of z_1 .. z_n given what is seen, its inverse, and the means. */
static void dense(const problem *p, int g, int s, int n, double *cov, double *mean) {
    double J[M][2 * M] = {{0}}, k[M] = {0}, Qi[4], Q0i[4], e[D];
    const int m = n * D;
    const double *c = &p->c[(s * G + g) * T * D], *h = &p->h[(s * G + g) * T * D];
    inverse2(p->Q, Qi);
    inverse2(p->Q0, Q0i);
    for (int t = 0; t < n; t++) {
        const double *prior = t ? Qi : Q0i;
        double F[D][2 * D]; /* z_t - A z_{t-1} - c_t = F (z_{t-1}, z_t) - c_t */
        for (int i = 0; i < D; i++) {
            for (int j = 0; j < D; j++) {
                F[i][j] = t ? -p->A[i * D + j] : 0;
                F[i][D + j] = i == j;
            }
        }
        for (int a = t ? 0 : D; a < 2 * D; a++) {
            for (int i = 0; i < D; i++) {
                e[i] = 0;
                for (int j = 0; j < D; j++)
                    e[i] += F[j][a] * prior[j * D + i];
            }
            const int row = (t - 1) * D + a;
            for (int i = 0; i < D; i++) {
                k[row] += e[i] * c[t * D + i];
                for (int b = t ? 0 : D; b < 2 * D; b++)
                    J[row][(t - 1) * D + b] += e[i] * F[i][b];
            }
        }
        for (int i = 0; i < D; i++) {
            k[t * D + i] += h[t * D + i];
            for (int j = 0; j < D; j++)
                J[t * D + i][t * D + j] += p->W[(g * T + t) * 4 + i * D + j];
        }
    }
    for (int i = 0; i < m; i++)
        J[i][m + i] = 1;
    for (int i = 0; i < m; i++) { /* Gauss and Jordan; positive definite, so without pivoting */
        const double pivot = J[i][i];
        for (int j = 0; j < 2 * m; j++)
            J[i][j] /= pivot;
        for (int r = 0; r < m; r++) {
            const double f = J[r][i];
            for (int j = 0; r != i && j < 2 * m; j++)
                J[r][j] -= f * J[i][j];
        }
    }
    for (int i = 0; i < m; i++) {
        mean[i] = 0;
        for (int j = 0; j < m; j++) {
            cov[i * m + j] = J[i][m + j];
            mean[i] += J[i][m + j] * k[j];
        }
    }
}

/* Bins behind a group's length are 0. */
static void compare(const problem *p, int g, int s, int length, const double *mf, const double *Pf,
                    const double *ms, const double *Ps, const double *Pc) {
    double cov[M * M], mean[M];
    for (int t = 0; t < length; t++) {
        dense(p, g, s, t + 1, cov, mean);
        const int m = (t + 1) * D;
        for (int i = 0; i < D; i++) {
            CHECK_CLOSE(mf[((s * G + g) * T + t) * D + i], mean[t * D + i], 1e-12);
            for (int j = 0; j < D; j++)
                CHECK_CLOSE(Pf[(g * T + t) * 4 + i * D + j], cov[(t * D + i) * m + t * D + j],
                            1e-12);
        }
    }
    dense(p, g, s, length, cov, mean);
    for (int t = 0; t < T; t++) {
        for (int i = 0; i < D; i++) {
            const bool inside = t < length;
            CHECK_CLOSE(ms[((s * G + g) * T + t) * D + i], inside ? mean[t * D + i] : 0, 1e-12);
            for (int j = 0; j < D; j++) {
                const int m = length * D, row = (t * D + i) * m, next = ((t + 1) * D + i) * m;
                CHECK_CLOSE(Ps[(g * T + t) * 4 + i * D + j], inside ? cov[row + t * D + j] : 0,
                            1e-12);
                if (t < T - 1) {
                    CHECK_CLOSE(Pc[(g * (T - 1) + t) * 4 + i * D + j],
                                t + 1 < length ? cov[next + t * D + j] : 0, 1e-12);
                }
            }
        }
    }
}

TEST(kalman, against_the_joint_gaussian) {
    static problem p;
    static double mp[S * G * T * D], mf[S * G * T * D], ms[S * G * T * D];
    static double Pp[G * T * 4], Pf[G * T * 4], Ps[G * T * 4], Pc[G * (T - 1) * 4], logdet[G];
    const int64_t lengths[G] = {T, 4};
    vdi_kalman_desc d = VDI__ZERO;
    vdi_error err = VDI__ZERO;
    draw(&p);
    d.dtype = VDI_F64;
    d.groups = G;
    d.nrhs = S;
    d.T = T;
    d.d = D;
    d.lengths = lengths;
    const size_t size = vdi_kalman_worksize(&d);
    CHECK(size > 0 && size < 1 << 20, "%zu bytes", size);
    void *work = malloc(size);
    CHECK_OK(
        vdi_kalman_filter(&d, p.A, p.Q, p.Q0, p.W, p.h, p.c, work, mp, Pp, mf, Pf, logdet, &err),
        err);
    CHECK_OK(vdi_kalman_smooth(&d, p.A, mp, Pp, mf, Pf, work, ms, Ps, Pc, &err), err);
    for (int g = 0; g < G; g++) {
        double sum = 0;
        for (int t = 0; t < lengths[g]; t++) {
            const double *a = &Pp[(g * T + t) * 4], *b = &Pf[(g * T + t) * 4];
            sum += log(a[0] * a[3] - a[1] * a[2]) - log(b[0] * b[3] - b[1] * b[2]);
        }
        CHECK_CLOSE(logdet[g], sum, 1e-12);
        for (int s = 0; s < S; s++)
            compare(&p, g, s, (int)lengths[g], mf, Pf, ms, Ps, Pc);
    }
    d.T = INT64_MAX / 4;
    CHECK(vdi_kalman_worksize(&d) == SIZE_MAX, "no size holds it");
    d.T = T;
    p.Q[0] = -1;
    CHECK_FAILS(
        vdi_kalman_filter(&d, p.A, p.Q, p.Q0, p.W, p.h, p.c, work, mp, Pp, mf, Pf, logdet, &err),
        VDI_ERR_NOT_POSITIVE_DEFINITE);
    CHECK(strstr(err.message, "bin 1"), "%s", err.message);
    free(work);
}

/* What is seen stays as it is until the covariances do, then changes: a filter that keeps them has
 * to notice. Against the recursions, a bin at a time. */
TEST(kalman, what_is_seen_changes_late) {
    enum { LONG = 160, LATE = 110 };
    const double A[4] = {0.9, -0.2, 0.3, 0.7}, Q[4] = {0.5, 0.1, 0.1, 0.3};
    const double Q0[4] = {1.2, -0.4, -0.4, 0.9};
    static double W[G * LONG * 4], h[S * G * LONG * D], c[S * G * LONG * D], logdet[G];
    static double mp[S * G * LONG * D], Pp[G * LONG * 4], mf[S * G * LONG * D], Pf[G * LONG * 4];
    unsigned long long seed = 6;
    vdi_kalman_desc d = VDI__ZERO;
    vdi_error err = VDI__ZERO;
    for (int i = 0; i < G * LONG; i++) {
        const int g = i / LONG, t = i % LONG;
        W[i * 4] = 2 + g;
        W[i * 4 + 3] = t < LATE + 10 * g ? 1 : 0.2;
        W[i * 4 + 1] = W[i * 4 + 2] = 0.1;
    }
    for (int i = 0; i < S * G * LONG * D; i++) {
        h[i] = test_normal(&seed);
        c[i] = test_normal(&seed);
    }
    d.dtype = VDI_F64;
    d.groups = G;
    d.nrhs = S;
    d.T = LONG;
    d.d = D;
    void *work = malloc(vdi_kalman_worksize(&d));
    CHECK_OK(vdi_kalman_filter(&d, A, Q, Q0, W, h, c, work, mp, Pp, mf, Pf, logdet, &err), err);
    for (int g = 0; g < G; g++) {
        double P[4], AP[4], information[4], cov[4], m[S][D];
        memcpy(P, Q0, sizeof P);
        for (int s = 0; s < S; s++)
            memcpy(m[s], &c[(s * G + g) * LONG * D], sizeof m[s]);
        for (int t = 0; t < LONG; t++) {
            const int at = (g * LONG + t) * 4;
            double sum[4];
            inverse2(P, information);
            for (int k = 0; k < 4; k++) {
                CHECK_CLOSE(Pp[at + k], P[k], 1e-10);
                sum[k] = information[k] + W[at + k];
            }
            inverse2(sum, cov);
            for (int s = 0; s < S; s++) {
                const int b = ((s * G + g) * LONG + t) * D;
                double x[D], z[D];
                for (int i = 0; i < D; i++) {
                    CHECK_CLOSE(mp[b + i], m[s][i], 1e-10);
                    x[i] =
                        h[b + i] + information[i * 2] * m[s][0] + information[i * 2 + 1] * m[s][1];
                }
                for (int i = 0; i < D; i++) {
                    z[i] = cov[i * 2] * x[0] + cov[i * 2 + 1] * x[1];
                    CHECK_CLOSE(mf[b + i], z[i], 1e-10);
                }
                for (int i = 0; t + 1 < LONG && i < D; i++)
                    m[s][i] = A[i * 2] * z[0] + A[i * 2 + 1] * z[1] + c[b + D + i];
            }
            for (int k = 0; k < 4; k++) {
                CHECK_CLOSE(Pf[at + k], cov[k], 1e-10);
                AP[k] = A[k / 2 * 2] * cov[k % 2] + A[k / 2 * 2 + 1] * cov[2 + k % 2];
            }
            for (int k = 0; k < 4; k++)
                P[k] = AP[k / 2 * 2] * A[k % 2 * 2] + AP[k / 2 * 2 + 1] * A[k % 2 * 2 + 1] + Q[k];
        }
    }
    free(work);
}
