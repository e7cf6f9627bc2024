/* model/oasis/interior.h - order 2: a primal-dual interior point on a pentadiagonal system
 *
 * Mehrotra 1992. Declares nothing.
 */
#ifndef VDI_MODEL_OASIS_INTERIOR_H
#define VDI_MODEL_OASIS_INTERIOR_H
#include "oasis.h"
#endif

#if defined(VDI__BODIES) && defined(VDI_OASIS_IMPLEMENTATION) && \
    !defined(VDI_MODEL_OASIS_INTERIOR_C)
#define VDI_MODEL_OASIS_INTERIOR_C

/* min 1/2 |x - b - c|^2 + lambda 1'Gc over c with s = Gc >= 0, G = 1 - (d + r) L + d r L^2 (L: one
 * frame back), and over b where it is free. With dual z: c - x + b + G'(lambda - z) = 0, s z = mu.
 * Each Newton step solves (I + G'(Z/S)G) dc + 1 db = .., a pentadiagonal system with a border.
 * Mehrotra's predictor and corrector (1992). */

/* a, e, f: the three diagonals of a positive definite pentadiagonal matrix, factored in place: unit
 * L in e and f, 1/D in a */
VDI__FN void vdi__penta_factor(int64_t T, double *a, double *e, double *f) {
    for (int64_t t = 0; t < T; t++) {
        double diag = a[t], off = t + 1 < T ? e[t] : 0;
        if (t >= 1) {
            diag -= e[t - 1] * e[t - 1] * a[t - 1];
            off -= e[t - 1] * f[t - 1] * a[t - 1];
        }
        if (t >= 2) diag -= f[t - 2] * f[t - 2] * a[t - 2];
        a[t] = diag;
        const double inverse = 1 / diag;
        if (t + 1 < T) e[t] = off * inverse;
        if (t + 2 < T) f[t] *= inverse;
    }
    for (int64_t t = 0; t < T; t++)
        a[t] = 1 / a[t]; /* what the solves multiply by */
}
VDI__FN void vdi__penta_solve(int64_t T, const double *a, const double *e, const double *f,
                              double *x) {
    for (int64_t t = 0; t < T; t++) {
        if (t >= 1) x[t] -= e[t - 1] * x[t - 1];
        if (t >= 2) x[t] -= f[t - 2] * x[t - 2];
    }
    for (int64_t t = T - 1; t >= 0; t--) {
        x[t] *= a[t];
        if (t + 1 < T) x[t] -= e[t] * x[t + 1];
        if (t + 2 < T) x[t] -= f[t] * x[t + 2];
    }
}
/* Two right-hand sides at once: each chain waits for itself alone. */
VDI__FN void vdi__penta_solve2(int64_t T, const double *a, const double *e, const double *f,
                               double *x, double *y) {
    for (int64_t t = 1; t < T; t++) {
        const double f2 = t >= 2 ? f[t - 2] : 0;
        x[t] -= e[t - 1] * x[t - 1] + (t >= 2 ? f2 * x[t - 2] : 0);
        y[t] -= e[t - 1] * y[t - 1] + (t >= 2 ? f2 * y[t - 2] : 0);
    }
    for (int64_t t = T - 1; t >= 0; t--) {
        const double e1 = t + 1 < T ? e[t] : 0, f2 = t + 2 < T ? f[t] : 0;
        x[t] = x[t] * a[t] - (t + 1 < T ? e1 * x[t + 1] : 0) - (t + 2 < T ? f2 * x[t + 2] : 0);
        y[t] = y[t] * a[t] - (t + 1 < T ? e1 * y[t + 1] : 0) - (t + 2 < T ? f2 * y[t + 2] : 0);
    }
}
/* s = G c and g = G' z */
VDI__FN void vdi__ar2_apply(int64_t T, double g1, double g2, const double *c, double *s) {
    for (int64_t t = 0; t < T; t++)
        s[t] = c[t] - (t >= 1 ? g1 * c[t - 1] : 0) - (t >= 2 ? g2 * c[t - 2] : 0);
}
VDI__FN void vdi__ar2_adjoint(int64_t T, double g1, double g2, const double *z, double *g) {
    for (int64_t t = 0; t < T; t++)
        g[t] = z[t] - (t + 1 < T ? g1 * z[t + 1] : 0) - (t + 2 < T ? g2 * z[t + 2] : 0);
}

/* The state of the iteration. All arrays are (T), in units of `scale`. */
typedef struct vdi__oasis_newton_state {
    double g1, g2, scale, lambda;
    bool held;
    double *c, *s, *z;               /* calcium, spikes, and the price of s >= 0 */
    double *a, *e, *f, *one, border; /* I + G'WG factored; its solution for a vector of ones, and
                                        what is left of b's own equation */
    double *rhs, *ds, *dz, *dc, *dual, *w;
    double b, db, gap, mean;
} vdi__oasis_newton_state;

VDI__FN vdi__oasis_newton_state vdi__oasis_interior_state(const vdi__oasis *o, bool held) {
    vdi__oasis_newton_state n = VDI__ZERO;
    n.g1 = o->d + o->r;
    n.g2 = -o->d * o->r;
    n.scale = o->noise > 0 ? o->noise : 1;
    n.lambda = o->lambda / n.scale;
    n.held = held;
    n.b = o->b / n.scale;
    n.c = o->c;
    n.s = o->aux[0];
    n.z = o->aux[1];
    n.a = o->aux[2];
    n.e = o->aux[3];
    n.f = o->aux[4];
    n.rhs = o->aux[5];
    n.one = o->aux[6];
    n.ds = o->aux[7];
    n.dz = o->aux[8];
    n.dual = o->aux[9];
    n.w = o->aux[10];
    n.dc = o->aux[11];
    return n;
}

/* How a solve is made: from the solution before it, whose lambda was `away`, in units of the noise
 * (0: from afar); to what gap. It leaves the slope. */
typedef struct vdi__oasis_interior_how {
    double away, enough, slope;
} vdi__oasis_interior_how;

/* Where the iteration starts: with calcium of about what the trace holds, or from the solution for
 * a lambda nearby, which is moved off the walls. */
VDI__FN void vdi__oasis_interior_begin(const vdi__oasis *o, vdi__oasis_newton_state *n,
                                       const vdi__oasis_interior_how *how) {
    const double off = VDI__MAX(0.1 * how->away, 1e-5);
    const bool nearby = how->away > 0;
    double level = 1;
    for (int64_t t = 0; t < o->T && !nearby; t++) {
        level += fabs(o->y[t] / n->scale - n->b) / (double)o->T;
    }
    level *= (1 - o->d) * (1 - o->r);
    for (int64_t t = 0; t < o->T; t++) {
        if (nearby) {
            if (n->s[t] > 0)
                n->z[t] = VDI__MAX(n->z[t], off / n->s[t]);
            else
                n->s[t] = off / n->z[t];
        } else {
            n->s[t] = level;
            n->z[t] = n->lambda + 1 / sqrt(level);
        }
    }
    for (int64_t t = 0; t < o->T; t++) {
        n->c[t] = n->s[t] + (t >= 1 ? n->g1 * n->c[t - 1] : 0) + (t >= 2 ? n->g2 * n->c[t - 2] : 0);
    }
}

/* What the conditions of optimality miss; true if that is little enough: a gap of `enough` of the
 * objective. */
VDI__FN bool vdi__oasis_interior_missing(const vdi__oasis *o, vdi__oasis_newton_state *n,
                                         double enough) {
    const double T = (double)o->T;
    double infeasible = 0, objective = 0;
    n->gap = 0;
    n->mean = 0;
    for (int64_t t = 0; t < o->T; t++) {
        n->w[t] = n->lambda - n->z[t];
        n->gap += n->s[t] * n->z[t];
    }
    vdi__ar2_adjoint(o->T, n->g1, n->g2, n->w, n->dual);
    for (int64_t t = 0; t < o->T; t++) {
        const double residual = o->y[t] / n->scale - n->b - n->c[t];
        n->dual[t] -= residual;
        n->mean += residual;
        infeasible += fabs(n->dual[t]);
        objective += 0.5 * residual * residual + n->lambda * n->s[t];
    }
    if (n->held) n->mean = 0;
    return n->gap <= enough * (objective + 1) && infeasible <= 100 * enough * (T + objective) &&
           fabs(n->mean) <= 100 * enough * T;
}

VDI__FN void vdi__oasis_interior_end(vdi__oasis *o, const vdi__oasis_newton_state *n) {
    double *c = n->c, *s = n->s;
    o->b = n->b * n->scale;
    for (int64_t t = 0; t < o->T; t++) {
        if (s[t] < n->z[t]) s[t] = 0; /* what the barrier left on an inactive spike is nothing */
        c[t] = s[t] + (t >= 1 ? n->g1 * c[t - 1] : 0) + (t >= 2 ? n->g2 * c[t - 2] : 0);
    }
    for (int64_t t = 0; t < o->T; t++) {
        c[t] *= n->scale;
    }
}

/* I + G'WG, factored, with W = Z/S of at most `most`. */
VDI__FN void vdi__oasis_interior_factor(const vdi__oasis *o, vdi__oasis_newton_state *n,
                                        double most) {
    const int64_t T = o->T;
    const double g1 = n->g1, g2 = n->g2;
    double *w = n->w;
    for (int64_t t = 0; t < T; t++) {
        w[t] = VDI__MIN(n->z[t] / n->s[t], most);
    }
    for (int64_t t = 0; t < T; t++) {
        const double w0 = w[t], w1 = t + 1 < T ? w[t + 1] : 0, w2 = t + 2 < T ? w[t + 2] : 0;
        n->a[t] = 1 + w0 + g1 * g1 * w1 + g2 * g2 * w2;
        n->e[t] = -g1 * w1 + g1 * g2 * w2;
        n->f[t] = -g2 * w2;
        n->one[t] = 1;
    }
    vdi__penta_factor(T, n->a, n->e, n->f);
}

/* dc and db from the right-hand side in dc, `mean` being b's own. The first time after a factor,
 * the solution for ones comes along. */
VDI__FN void vdi__oasis_interior_solve(const vdi__oasis *o, vdi__oasis_newton_state *n, double mean,
                                       bool first) {
    const int64_t T = o->T;
    double sum = 0;
    if (n->held || !first)
        vdi__penta_solve(T, n->a, n->e, n->f, n->dc);
    else
        vdi__penta_solve2(T, n->a, n->e, n->f, n->dc, n->one);
    n->db = 0;
    if (n->held) return;
    if (first) {
        n->border = (double)T;
        for (int64_t t = 0; t < T; t++) {
            n->border -= n->one[t];
        }
    }
    for (int64_t t = 0; t < T; t++) {
        sum += n->dc[t];
    }
    n->db = n->border > 1e-12 * (double)T ? (mean - sum) / n->border : 0;
    for (int64_t t = 0; t < T; t++) {
        n->dc[t] -= n->db * n->one[t];
    }
}

/* How |y - b - c|^2 grows with lambda^2, both in units of the noise, at the solution: what moves
 * with lambda is (I + G'WG) dc + 1 db = -G'1, and 1'dc + T db = 0. There W is huge where there is
 * no spike, and a million says as much with figures left. */
VDI__FN double vdi__oasis_interior_slope(const vdi__oasis *o, vdi__oasis_newton_state *n) {
    double slope = 0;
    vdi__oasis_interior_factor(o, n, 1e6);
    for (int64_t t = 0; t < o->T; t++) {
        n->rhs[t] = -1;
    }
    vdi__ar2_adjoint(o->T, n->g1, n->g2, n->rhs, n->dc);
    vdi__oasis_interior_solve(o, n, 0, true);
    for (int64_t t = 0; t < o->T; t++) {
        slope -= (o->y[t] / n->scale - n->b - n->c[t]) * (n->dc[t] + n->db);
    }
    return n->lambda > 0 ? slope / n->lambda : 0;
}

/* The direction towards s z = mu (with the second-order term of the direction before it, if
 * `corrected`), and how far it leads without leaving s, z > 0. */
VDI__FN double vdi__oasis_interior_direction(const vdi__oasis *o, vdi__oasis_newton_state *n,
                                             double mu, bool corrected) {
    const int64_t T = o->T;
    double *s = n->s, *z = n->z, *ds = n->ds, *dz = n->dz, *dc = n->dc, *rhs = n->rhs;
    double primal = 1, both = 1;
    /* s z + z ds + s dz = mu - ds dz of the first pass: dz = (mu - corr)/s - z - w ds */
    for (int64_t t = 0; t < T; t++) {
        rhs[t] = (mu - (corrected ? ds[t] * dz[t] : 0)) / s[t] - z[t];
        ds[t] = rhs[t];
    }
    vdi__ar2_adjoint(T, n->g1, n->g2, ds, dc);
    for (int64_t t = 0; t < T; t++) {
        dc[t] -= n->dual[t];
    }
    vdi__oasis_interior_solve(o, n, n->mean, !corrected);
    vdi__ar2_apply(T, n->g1, n->g2, dc, ds);
    for (int64_t t = 0; t < T; t++) {
        dz[t] = rhs[t] - n->w[t] * ds[t];
        if (ds[t] * primal < -s[t]) primal = -s[t] / ds[t];
        if (dz[t] * both < -z[t]) both = -z[t] / dz[t];
    }
    return VDI__MIN(primal, both);
}

/* At o->lambda; b is free unless `held`. The unit of the problem is the noise. */
VDI__FN bool vdi__oasis_interior(vdi__oasis *o, bool held, vdi__oasis_interior_how *how) {
    vdi__oasis_newton_state n = vdi__oasis_interior_state(o, held);
    const int64_t T = o->T;
    vdi__oasis_interior_begin(o, &n, how);
    o->solves++;
    for (int round = 0; round < 100; round++) {
        if (vdi__oasis_interior_missing(o, &n, how->enough)) {
            how->slope = vdi__oasis_interior_slope(o, &n);
            vdi__oasis_interior_end(o, &n);
            return true;
        }
        if (!(n.gap >= 0)) return false;
        vdi__oasis_interior_factor(o, &n, HUGE_VAL);
        double step = vdi__oasis_interior_direction(o, &n, 0, false), after = 0;
        for (int64_t t = 0; t < T; t++) {
            after += (n.s[t] + step * n.ds[t]) * (n.z[t] + step * n.dz[t]);
        }
        const double sigma = after / n.gap;
        const double mu = sigma * sigma * sigma * n.gap / (double)T;
        step = 0.995 * vdi__oasis_interior_direction(o, &n, mu, true);
        if (!(step > 1e-12)) return false;
        for (int64_t t = 0; t < T; t++) {
            n.c[t] += step * n.dc[t];
            n.s[t] += step * n.ds[t];
            n.z[t] += step * n.dz[t];
        }
        if (!held) n.b += step * n.db;
    }
    return false;
}

/* From nearby, and from afar if that led nowhere. */
VDI__FN bool vdi__oasis_interior_from(vdi__oasis *o, bool held, vdi__oasis_interior_how *how) {
    const double b = o->b;
    if (vdi__oasis_interior(o, held, how)) return true;
    if (!(how->away > 0)) return false;
    how->away = 0;
    o->b = b;
    return vdi__oasis_interior(o, held, how);
}

VDI__FN bool vdi__oasis_interior_b(vdi__oasis *o, vdi__oasis_interior_how *how) {
    if (o->held) return vdi__oasis_interior_from(o, true, how);
    bool good = vdi__oasis_interior_from(o, false, how);
    if (o->desc.baseline_nonneg && o->b < 0) {
        o->b = 0;
        how->away = 0;
        good = vdi__oasis_interior_from(o, true, how);
    }
    return good;
}

/* The residual is a piecewise linear function of lambda^2 whose slope a solution tells, so Newton's
 * steps land on the piece and then on the point; solutions far from it need not be sharp. At lambda
 * = 0 a free b has no say (calcium can stand in for it), so the search begins above and takes what
 * is tiny for 0. */
VDI__FN bool vdi__oasis_solve_order2(vdi__oasis *o) {
    const double target = vdi__oasis_target(o), tiny = 1e-3 * o->noise, sharp = 1e-10;
    vdi__oasis_interior_how how = {0, 1e-4, 0};
    if (o->desc.has_lambda) {
        o->lambda = o->desc.lambda;
        how.enough = sharp;
        return vdi__oasis_interior_b(o, &how);
    }
    double low = 0, high = HUGE_VAL;
    o->lambda = 10 * o->noise;
    for (int i = 0; i < 60; i++) {
        const double square = o->lambda * o->lambda;
        if (!vdi__oasis_interior_b(o, &how)) return false;
        const double rss = vdi__oasis_rss(o), off = fabs(rss - target) / target;
        const bool nothing = rss > target && o->lambda <= tiny, is_sharp = how.enough <= sharp;
        if (is_sharp && (off <= 1e-7 || nothing)) return true;
        if (is_sharp || off > 10 * sqrt(how.enough)) { /* else it may be on the other side */
            low = rss < target ? square : low;
            high = rss < target ? high : square;
        }
        if (high < HUGE_VAL && high - low <= 1e-13 * high) return is_sharp;
        how.enough = nothing ? sharp : VDI__MAX(VDI__MIN(1e-4 * off * off, how.enough), sharp);
        double next = how.slope > 0 ? square + (target - rss) / how.slope : -1;
        if (!(next > low && next < high)) next = high < HUGE_VAL ? 0.5 * (low + high) : 4 * square;
        next = VDI__MAX(VDI__MIN(next, 30 * square), square / 30);
        o->lambda = sqrt(VDI__MAX(next, tiny * tiny));
        how.away = fabs(o->lambda - sqrt(square)) / o->noise;
        if (how.away > 0.3) how.away = 0;
    }
    return false;
}

#endif
