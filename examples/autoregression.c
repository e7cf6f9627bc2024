/* examples/autoregression.c - an AR(2) as a state space model, fitted by EM under ties
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/autoregression.c -o ar -lm -pthread && ./ar
 *
 *     y_t = a y_{t-1} + b y_{t-2} + N(0, q)
 *
 * In companion form the state is (y_t, y_{t-1}): A = (a b; 1 0), Q = (q 0; 0 0), and y is its first
 * element, without noise. Q and R are singular; the exact route is taken by itself. Ties tell EM
 * that only the first row of A is sought. A tenth of the values is missing, and nothing has to be
 * done about that.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { T = 2000 };
static const double a = 1.2, b = -0.5, q = 0.7;
static double y[T];
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    puts(err.message);
    exit(1);
}

static void measure(void) {
    vdi_rng rng = vdi_rng_make(1, 0);
    double before = 0, now = 0;
    for (int t = 0; t < T; t++) {
        const double next = a * now + b * before + sqrt(q) * vdi_rng_normal(&rng);
        before = now;
        now = next;
        y[t] = vdi_rng_bernoulli(&rng, 0.1) ? NAN : now;
    }
}

int main(void) {
    static const int32_t first_row[4] = {1, 2, 0, 0};
    vdi_lds_ties ties = {.A = {.group = first_row}};
    vdi_lds_desc desc = {.d = 2, .n = 1, .diagonal_r = true, .ties = &ties};
    desc.freeze = VDI_LDS_C | VDI_LDS_BIAS | VDI_LDS_R | VDI_LDS_X0 | VDI_LDS_Q0;
    vdi_lds_data_desc all = {.y = vdi_tensor_2d(y, VDI_F64, T, 1)};
    vdi_lds *lds;
    vdi_lds_data *data;
    double ll = 0;
    measure();
    need(vdi_lds_create(&desc, &lds, &err));
    lds->A[0] = 0.5; /* where EM starts */
    lds->A[1] = 0;
    lds->A[2] = 1;
    lds->A[3] = 0;
    lds->C[0] = 1;
    lds->R[0] = 0;
    for (int i = 0; i < 4; i++)
        lds->Q[i] = i == 0;
    need(vdi_lds_data_create(lds, &all, &data, &err));
    for (int i = 0; i < 50; i++)
        need(vdi_lds_em_step(lds, data, &ll, &err));
    printf("a %.3f (%.1f), b %.3f (%.1f), q %.3f (%.1f); log p(y) %.2f\n", lds->A[0], a, lds->A[1],
           b, lds->Q[0], q, ll);
    const bool fine = fabs(lds->A[0] - a) < 0.06 && fabs(lds->A[1] - b) < 0.06 &&
                      fabs(lds->Q[0] - q) < 0.1 && lds->A[2] == 1 && lds->A[3] == 0;
    vdi_lds_data_destroy(data);
    vdi_lds_destroy(lds);
    return fine ? 0 : 1;
}
