/* model/oasis/greedy.h - L0: greedy pools with a least spike size, for either order
 *
 * Friedrich, Zhou, Paninski 2017. Declares nothing.
 */
#ifndef VDI_MODEL_OASIS_GREEDY_H
#define VDI_MODEL_OASIS_GREEDY_H
#include "oasis.h"
#endif

#if defined(VDI__BODIES) && defined(VDI_OASIS_IMPLEMENTATION) && !defined(VDI_MODEL_OASIS_GREEDY_C)
#define VDI_MODEL_OASIS_GREEDY_C

/* Order 2. In a pool calcium starts at v after a spike, and for order 2 the value before it,
 * `last`, goes on too: k frames on it is h_k v + q_k last, with h_k = (d^{k+1} - r^{k+1})/(d - r)
 * and q_k = -d r h_{k-1}. Sums over a pool of d^k x and r^k x make merging cheap. */

typedef struct vdi__oasis_pools2 {
    double d, r, g1, g2;
    const double *pd, *pr; /* powers of d and r */
    double *hh, *hq;       /* by length: sum of h^2, of h q */
    double *sums, *rsums;  /* by pool: sum of d^k x, of r^k x */
    double *last, *last2;  /* by pool: calcium of its last frame, and of the one before */
    vdi__oasis_pool *pool;
} vdi__oasis_pools2;

/* Calcium k frames into pool i. */
VDI__INLINE double vdi__oasis_calcium2(const vdi__oasis_pools2 *p, int64_t i, int64_t k) {
    const double own = (p->d * p->pd[k] - p->r * p->pr[k]) * p->pool[i].v;
    const double before = (k ? p->g2 * (p->pd[k] - p->pr[k]) : 0) * (i ? p->last[i - 1] : 0);
    return (own + before) / (p->d - p->r);
}

VDI__FN vdi__oasis_pools2 vdi__oasis_pools2_of(vdi__oasis *o) {
    vdi__oasis_pools2 p;
    double a = 0, b = 0;
    p.d = o->d;
    p.r = o->r;
    p.g1 = o->d + o->r;
    p.g2 = -o->d * o->r;
    p.pd = o->power;
    p.pr = o->power2;
    p.hh = o->aux[0];
    p.hq = o->aux[1];
    p.sums = o->aux[2];
    p.rsums = o->aux[3];
    p.last = o->aux[4];
    p.last2 = o->aux[5];
    p.pool = o->pool;
    for (int64_t k = 0; k < o->T; k++) {
        const double h = (p.d * p.pd[k] - p.r * p.pr[k]) / (p.d - p.r);
        const double q = k ? p.g2 * (p.pd[k] - p.pr[k]) / (p.d - p.r) : 0;
        p.hh[k] = a += h * h;
        p.hq[k] = b += h * q;
    }
    return p;
}

VDI__FN void vdi__oasis_greedy_order2(vdi__oasis *o) {
    const vdi__oasis_pools2 p = vdi__oasis_pools2_of(o);
    int64_t n = 0;
    o->solves++;
    for (int64_t t = 0; t < o->T; t++) {
        double x = o->y[t] - o->b, rx = x;
        int64_t start = t, length = 1;
        for (;;) {
            const double before = n ? p.last[n - 1] : 0, before2 = n ? p.last2[n - 1] : 0;
            const double num = (p.d * x - p.r * rx) / (p.d - p.r) - p.hq[length - 1] * before;
            double v = num / p.hh[length - 1];
            if (n == 0 && v < 0) v = 0;
            const double s = n ? v - p.g1 * before - p.g2 * before2 : v;
            if (n == 0 || s >= VDI__MAX(o->s_min, 0)) {
                p.pool[n].v = v;
                p.pool[n].start = start;
                p.pool[n].length = length;
                p.sums[n] = x;
                p.rsums[n] = rx;
                p.last[n] = vdi__oasis_calcium2(&p, n, length - 1);
                p.last2[n] = length > 1 ? vdi__oasis_calcium2(&p, n, length - 2) : before;
                n++;
                break;
            }
            n--; /* merge into the one before */
            x = p.sums[n] + p.pd[p.pool[n].length] * x;
            rx = p.rsums[n] + p.pr[p.pool[n].length] * rx;
            start = p.pool[n].start;
            length += p.pool[n].length;
        }
    }
    for (int64_t i = 0; i < n; i++) {
        for (int64_t k = 0; k < p.pool[i].length; k++) {
            o->c[p.pool[i].start + k] = VDI__MAX(vdi__oasis_calcium2(&p, i, k), 0);
        }
    }
    o->pools = n;
}

/* At one s_min: the baseline and the pools in turn. */
VDI__FN void vdi__oasis_greedy_b(vdi__oasis *o, const vdi__oasis_order *order, double s_min) {
    o->s_min = s_min;
    for (int i = 0; i < 4; i++) {
        double sum = 0;
        order->greedy(o);
        o->residual = vdi__oasis_rss(o);
        if (o->held) break;
        for (int64_t t = 0; t < o->T; t++) {
            sum += o->y[t] - o->c[t];
        }
        double b = sum / (double)o->T;
        if (o->desc.baseline_nonneg && b < 0) b = 0;
        if (fabs(b - o->b) < 1e-6 * o->noise) break;
        o->b = b;
    }
}

/* From the baseline of the L1 solution: at the s_min that is given, or at the largest that leaves
 * no more than the noise. */
VDI__FN void vdi__oasis_solve0(vdi__oasis *o, const vdi__oasis_order *order) {
    const double given = o->desc.s_min, b = o->b, target = vdi__oasis_target(o);
    double low = 0, high = 0;
    o->lambda = 0;
    if (given != 0) {
        vdi__oasis_greedy_b(o, order, given > 0 ? given : -given * o->noise);
        return;
    }
    for (int64_t t = 0; t < o->T; t++) {
        high = VDI__MAX(high, o->y[t] - b);
    }
    for (int i = 0; i < 25 && high - low > 1e-4 * high; i++) {
        const double s_min = 0.5 * (low + high);
        o->b = b;
        vdi__oasis_greedy_b(o, order, s_min);
        if (o->residual <= target)
            low = s_min;
        else
            high = s_min;
    }
    o->b = b;
    vdi__oasis_greedy_b(o, order, low);
}
#endif
