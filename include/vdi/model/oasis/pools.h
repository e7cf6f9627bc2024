/* model/oasis/pools.h - order 1: pools, an active set that is a weighted isotonic regression
 *
 * Friedrich, Zhou, Paninski 2017. Declares nothing.
 */
#ifndef VDI_MODEL_OASIS_POOLS_H
#define VDI_MODEL_OASIS_POOLS_H
#include "oasis.h"
#endif

#if defined(VDI__BODIES) && defined(VDI_OASIS_IMPLEMENTATION) && !defined(VDI_MODEL_OASIS_POOLS_C)
#define VDI_MODEL_OASIS_POOLS_C

enum { VDI__OASIS_EVENTS = 1000 }; /* most that desc.refine may ask for */

VDI__FN void vdi__oasis_powers(double d, int64_t T, double *power) {
    double p = 1;
    for (int64_t k = 0; k <= T; k++) {
        power[k] = p;
        p *= d;
        if (p < 1e-150) p = 0; /* nobody needs denormal powers, and they are slow */
    }
}

/* With c_t = d^t x_t the problem is an isotonic regression of x with weights d^{2t}; a pool is a
 * run of frames without a spike. Its first value is v = num / den, num = sum d^k (y - b -
 * mu)_{t+k}, den = sum d^{2k}, mu the slope of lambda sum s: lambda (1 - d), and lambda at the last
 * frame. Merging adds d^l times num and d^2l times den of the later pool. Where v <= 0, calcium
 * is 0. */

VDI__FN void vdi__oasis_pools(vdi__oasis *o) {
    const double d = o->d;
    const double *power = o->power;
    const double *y = o->y;
    const double mu = o->b + o->lambda * (1 - d);
    const double s_min = o->s_min;
    vdi__oasis_pool *top = o->pool;
    o->solves++;
    for (int64_t t = 0; t < o->T; t++) {
        double num = t + 1 < o->T ? y[t] - mu : y[t] - o->b - o->lambda, den = 1, v = num;
        int64_t start = t, length = 1;
        while (top > o->pool) {
            const vdi__oasis_pool *before = top - 1;
            const double f = power[before->length];
            if (v >= f * before->v + s_min) break;
            num = before->num + f * num;
            den = before->den + f * f * den;
            v = num / den;
            start = before->start;
            length += before->length;
            top--;
        }
        if (s_min > 0 && v < 0) v = 0; /* a greedy spike is measured from calcium as it will be */
        top->num = num;
        top->den = den;
        top->v = v;
        top->start = start;
        top->length = length;
        top++;
    }
    o->pools = top - o->pool;
}

VDI__FN void vdi__oasis_fill1(vdi__oasis *o) {
    for (int64_t i = 0; i < o->pools; i++) {
        const vdi__oasis_pool *p = &o->pool[i];
        const double v = VDI__MAX(p->v, 0);
        for (int64_t k = 0; k < p->length; k++)
            o->c[p->start + k] = v * o->power[k];
    }
}

/* The pools standing, residual and its sum are closed forms in lambda and b. With N = sum d^k y,
 * S = sum d^k, W = sum d^2k, M = sum d^k mu/lambda of each pool with calcium (others have no terms
 * but their own y):
 *     sum r = A - B b + C lambda,  |r|^2 = P - 2 A b + B b^2 + Q lambda^2
 *     A = sum y - sum N S/W,  B = T - sum S^2/W,  C = sum M S/W,  P = sum y^2 - sum N^2/W,
 *     Q = sum M^2/W. */
typedef struct vdi__oasis_form {
    double A, B, C, P, Q;
} vdi__oasis_form;
VDI__FN vdi__oasis_form vdi__oasis_closed(const vdi__oasis *o, double sum, double squares) {
    vdi__oasis_form f;
    f.A = sum;
    f.B = (double)o->T;
    f.C = 0;
    f.P = squares;
    f.Q = 0;
    for (int64_t i = 0; i < o->pools; i++) {
        const vdi__oasis_pool *p = &o->pool[i];
        if (!(p->v > 0)) continue;
        const double M = p->start + p->length < o->T ? 1 - o->power[p->length] : 1;
        const double S = (1 - o->power[p->length]) / (1 - o->d);
        const double N = p->num + o->b * S + o->lambda * M, w = 1 / p->den;
        f.A -= N * S * w;
        f.B -= S * S * w;
        f.C += M * S * w;
        f.P -= N * N * w;
        f.Q += M * M * w;
    }
    return f;
}

/* The best b for a given lambda, the pools standing. */
VDI__FN double vdi__oasis_best_b(const vdi__oasis *o, const vdi__oasis_form *f, double lambda) {
    if (o->held) return o->b;
    double b = f->B > 1e-9 * (double)o->T ? (f->A + f->C * lambda) / f->B : o->b;
    if (o->desc.baseline_nonneg && b < 0) b = 0;
    return b;
}

/* Solve for b at o->lambda: Newton's iteration on a piecewise linear function; false if it
 * circled. */
VDI__FN bool vdi__oasis_settle_b(vdi__oasis *o, double sum, double squares, vdi__oasis_form *f,
                                 double scale) {
    double low = -HUGE_VAL, high = HUGE_VAL;
    for (int i = 0; i < 60; i++) {
        vdi__oasis_pools(o);
        *f = vdi__oasis_closed(o, sum, squares);
        double b = vdi__oasis_best_b(o, f, o->lambda);
        if (fabs(b - o->b) <= 1e-12 * scale) return true;
        if (b > o->b)
            low = VDI__MAX(low, o->b); /* the sum of residuals falls with b */
        else
            high = VDI__MIN(high, o->b);
        if (!(b > low && b < high)) b = 0.5 * (low + high);
        o->b = b;
    }
    return false;
}

/* |r|^2 in closed form, the pools standing. */
VDI__FN double vdi__oasis_form_rss(const vdi__oasis_form *f, double b, double lambda) {
    return f->P - 2 * f->A * b + f->B * b * b + f->Q * lambda * lambda;
}

/* lambda and b that solve both equations of the pools that stand. A baseline that would be below 0
 * is held there. */
VDI__FN void vdi__oasis_newton(const vdi__oasis *o, const vdi__oasis_form *f, double *b,
                               double *lambda) {
    const double target = vdi__oasis_target(o);
    bool free_b = !o->held && f->B > 1e-9 * (double)o->T;
    *b = vdi__oasis_best_b(o, f, 0);
    for (int again = 0;; again++) {
        const double fixed =
            free_b ? f->P - f->A * f->A / f->B : f->P - 2 * f->A * *b + f->B * *b * *b;
        const double gain = free_b ? f->Q + f->C * f->C / f->B : f->Q;
        *lambda = gain > 0 && target > fixed ? sqrt((target - fixed) / gain) : 0;
        if (!free_b || again) return;
        *b = (f->A + f->C * *lambda) / f->B;
        if (!(o->desc.baseline_nonneg && *b < 0)) return;
        *b = 0;
        free_b = false;
    }
}

/* What the search for lambda and b starts from. */
typedef struct vdi__oasis_moments {
    double sum, squares, scale;
} vdi__oasis_moments;
VDI__FN vdi__oasis_moments vdi__oasis_measure(const vdi__oasis *o) {
    vdi__oasis_moments m = VDI__ZERO;
    for (int64_t t = 0; t < o->T; t++) {
        m.sum += o->y[t];
        m.squares += o->y[t] * o->y[t];
    }
    m.scale = sqrt(m.squares / (double)o->T) + o->noise;
    return m;
}

/* The residual rises with lambda: bracket it, and halve where a step in closed form leaves the
 * bracket. */
VDI__FN bool vdi__oasis_bracket(vdi__oasis *o, const vdi__oasis_moments *m) {
    const double target = vdi__oasis_target(o);
    double low = 0, high = HUGE_VAL;
    vdi__oasis_form f;
    o->lambda = 0;
    bool good = vdi__oasis_settle_b(o, m->sum, m->squares, &f, m->scale);
    double rss = f.P - 2 * f.A * o->b + f.B * o->b * o->b;
    if (rss >= target) return good;
    for (int i = 0; i < 200; i++) {
        const double gain = f.Q + (o->held || !(f.B > 0) ? 0 : f.C * f.C / f.B);
        double lambda = gain > 0 ? sqrt(VDI__MAX(o->lambda * o->lambda + (target - rss) / gain, 0))
                                 : 2 * o->lambda + m->scale;
        if (!(lambda > low && lambda < high))
            lambda = high < HUGE_VAL ? 0.5 * (low + high) : 2 * low + m->scale;
        o->lambda = lambda;
        good = vdi__oasis_settle_b(o, m->sum, m->squares, &f, m->scale);
        rss = vdi__oasis_form_rss(&f, o->b, lambda);
        if (fabs(rss - target) <= 1e-10 * target) return good;
        if (rss < target)
            low = lambda;
        else
            high = lambda;
        if (high - low <= 1e-14 * high) return good;
    }
    return false;
}

/* lambda and b where nothing but them is free. */
VDI__FN bool vdi__oasis_solve1(vdi__oasis *o) {
    const vdi__oasis_moments m = vdi__oasis_measure(o);
    vdi__oasis_form f;
    o->s_min = 0;
    if (o->desc.has_lambda) {
        o->lambda = o->desc.lambda;
        return vdi__oasis_settle_b(o, m.sum, m.squares, &f, m.scale);
    }
    for (int i = 0; i < 25; i++) {
        double b, lambda;
        vdi__oasis_pools(o);
        f = vdi__oasis_closed(o, m.sum, m.squares);
        vdi__oasis_newton(o, &f, &b, &lambda);
        if (fabs(b - o->b) <= 1e-11 * m.scale &&
            fabs(lambda - o->lambda) <= 1e-10 * (o->lambda + m.scale))
            return true;
        o->b = b;
        o->lambda = lambda;
    }
    return vdi__oasis_bracket(o, &m); /* it circles between sets of pools */
}

/* The decay that fits the largest isolated events best, each with a height of its own, in windows
 * of fixed length (the pools themselves end where the noise is high, so their own decays are
 * biased). */
VDI__FN double vdi__oasis_events_fit(const vdi__oasis *o, const int64_t *event, int count,
                                     int64_t window, double d) {
    double rss = 0;
    for (int e = 0; e < count; e++) {
        double num = 0;
        double den = 0;
        double all = 0;
        double f = 1;
        for (int64_t t = event[e]; t < event[e] + window; t++) {
            const double x = o->y[t] - o->b;
            num += f * x;
            den += f * f;
            all += x * x;
            f *= d;
        }
        rss += all - (num > 0 ? num * num / den : 0);
    }
    return rss;
}

/* Beginnings of the largest events that stand alone for `window` frames. Returns how many. */
VDI__FN int vdi__oasis_events(vdi__oasis *o, int64_t window, int64_t *event) {
    double *jump = o->aux[0];
    int count = 0;
    for (int64_t i = 0; i < o->pools; i++) {
        const vdi__oasis_pool *p = &o->pool[i];
        jump[i] = i ? VDI__MAX(p->v, 0) - o->power[p[-1].length] * VDI__MAX(p[-1].v, 0) : 0;
    }
    while (count < o->desc.refine) {
        double best = 3 * o->noise;
        int64_t at = -1;
        for (int64_t i = 1; i < o->pools; i++) {
            if (jump[i] > best && o->pool[i].start + window <= o->T) {
                best = jump[i];
                at = i;
            }
        }
        if (at < 0) break;
        const int64_t end = o->pool[at].start + window;
        bool alone = true;
        for (int64_t i = at + 1; alone && i < o->pools && o->pool[i].start < end; i++) {
            alone = fabs(jump[i]) < 0.25 * best;
        }
        if (alone) event[count++] = o->pool[at].start;
        jump[at] = alone ? -jump[at] : 0; /* not again, but still in the way of others */
    }
    return count;
}

/* Golden-section search for the decay of the largest events, no further than twice from the first
 * estimate; false if it stays. */
VDI__FN bool vdi__oasis_refine(vdi__oasis *o) {
    int64_t event[VDI__OASIS_EVENTS];
    const double golden = 0.6180339887498949, tau = -1 / log(o->d), tau0 = -1 / log(o->d0);
    const int64_t window = (int64_t)(3 * tau) + 4;
    const int count = vdi__oasis_events(o, window, event);
    if (count == 0) return false;
    double a = exp(-2 / tau0), b = exp(-0.5 / tau0);
    double x = b - golden * (b - a), z = a + golden * (b - a);
    double fx = vdi__oasis_events_fit(o, event, count, window, x);
    double fz = vdi__oasis_events_fit(o, event, count, window, z);
    while (b - a > 1e-6) {
        if (fx < fz) {
            b = z;
            z = x;
            fz = fx;
            x = b - golden * (b - a);
            fx = vdi__oasis_events_fit(o, event, count, window, x);
        } else {
            a = x;
            x = z;
            fx = fz;
            z = a + golden * (b - a);
            fz = vdi__oasis_events_fit(o, event, count, window, z);
        }
    }
    const double d = 0.5 * (a + b);
    const bool moved = fabs(d - o->d) > 1e-5;
    o->d = d;
    vdi__oasis_powers(o->d, o->T, o->power);
    return moved;
}

VDI__FN bool vdi__oasis_solve_order1(vdi__oasis *o) {
    bool good = vdi__oasis_solve1(o);
    for (int round = 0; o->desc.refine > 0 && round < 5 && vdi__oasis_refine(o); round++) {
        good = vdi__oasis_solve1(o);
    }
    vdi__oasis_fill1(o);
    return good;
}

VDI__FN void vdi__oasis_greedy_order1(vdi__oasis *o) {
    vdi__oasis_pools(o);
    vdi__oasis_fill1(o);
}
#endif
