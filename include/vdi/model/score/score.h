/* model/score/score.h - scores of predicted firing rates, counts and latents, as the literature
 * defines them
 *
 * Do this:
 *     vdi_score_means(rows, n, y_train, means);           each neuron's mean count
 *     vdi_score_bits bits;
 *     vdi_score_bits_per_spike(rows, n, y, log_p, means, &bits, &err);   log_p (rows,n)
 *     vdi_score_co_bps(rows, n, y, rates, &bits, &err);   the Neural Latents Benchmark's habit
 *     vdi_score_r2(rows, n, truth, rates, NULL, &r2, &err);
 *
 * Arrays are (rows,n), row-major float64, one row per bin, trials one after the other; n neurons or
 * dimensions. A count that is NaN is missing: it is left out of every sum. So is what lies behind
 * the end of a ragged trial, if the caller sets it to NaN.
 *
 * The constants:
 * - Log likelihoods are in nats and hold every term, log y! too. "Per bin" divides the sum over all
 *   neurons by the bins with at least one count in them; "per spike" divides by the sum of all
 *   counts and by log 2.
 * - The homogeneous Poisson process has each neuron's mean count per bin. With the training means
 * it is a model like others, and a neuron that never fired in training would make a later spike
 * infinitely unlikely; a mean or rate below the floor, VDI_SCORE_FLOOR = 1e-9, counts as the floor
 * (the choice of nlb_tools). With the evaluation's own means (nlb_tools: bits_per_spike) it is a
 * hindsight optimum, a little harder to beat; the two habits differ, so the names do.
 * - R2 is 1 - sum of squared errors / sum of squares about the evaluated truth's own column means;
 * over several columns the sums are taken over all columns before dividing (weighted by variance).
 * What it does not do: velocity and PSTH R2, confidence intervals. Memory: none is allocated.
 * Errors: statuses where a measure is undefined. Threads: all functions are pure.
 */
#ifndef VDI_MODEL_SCORE_SCORE_H
#define VDI_MODEL_SCORE_SCORE_H
#include "../../linalg/table.h"

/** Rates below this count as this. */
#define VDI_SCORE_FLOOR 1e-9

/** What bits per spike are made of. */
typedef struct vdi_score_bits {
    double bits_per_spike;      /**< (log_likelihood - null_log_likelihood) / (spikes log 2) */
    double log_likelihood;      /**< of the prediction, nats, log y! included */
    double null_log_likelihood; /**< of what it is held against */
    double spikes;              /**< sum of the counts */
    int64_t values, bins;       /**< counts that are there; rows with at least one of them */
} vdi_score_bits;

/** means (n): mean of each column of y (rows,n) over what is there; 0 where nothing is. */
VDI_API void vdi_score_means(int64_t rows, int64_t n, const double *y, double *means);
/** Sum of log Poisson(y | rate) over `count` values, rates per bin, below the floor counted as the
 * floor; log_p (count), if not NULL, receives each (NaN where y is). A rate that is NaN counts as
 * the floor. */
VDI_API double vdi_score_poisson(int64_t count, const double *y, const double *rate, double *log_p);
/** Sum of log Poisson(y | means) over y (rows,n); *bins (may be NULL): the rows with at least one
 * count, to divide by. */
VDI_API double vdi_score_homogeneous(int64_t rows, int64_t n, const double *y, const double *means,
                                     int64_t *bins);
/** Bits per spike of predictive probabilities, log_p (rows,n) in nats (from vdi_score_poisson, or
 * integrated over latents), against the homogeneous process with `means` (n), as a rule those of
 * the training data. VDI_ERR_DATA if y has no spike, or if log_p is NaN where a count is. */
VDI_API VDI_NODISCARD vdi_status vdi_score_bits_per_spike(int64_t rows, int64_t n, const double *y,
                                                          const double *log_p, const double *means,
                                                          vdi_score_bits *out, vdi_error *err);
/** The same against any other model: null_log_p (rows,n), the log probability of each count under
 * it. Counts that are no Poisson ones (0 or 1 in a bin, say) need a null of their own family
 * (vdi_vilds_constant): against a Poisson process independent coins score above 0. */
VDI_API VDI_NODISCARD vdi_status vdi_score_bits_against(int64_t rows, int64_t n, const double *y,
                                                        const double *log_p,
                                                        const double *null_log_p,
                                                        vdi_score_bits *out, vdi_error *err);
/** co-bps and fp-bps as nlb_tools computes them (bits_per_spike): rates (rows,n) per bin against
 * each neuron's mean over this very y, zero rates 1e-9. Its numbers for the columns given: pass
 * held-out neurons for co-bps, future bins for fp-bps. VDI_ERR_DATA if y has no spike or a rate is
 * negative or NaN. */
VDI_API VDI_NODISCARD vdi_status vdi_score_co_bps(int64_t rows, int64_t n, const double *y,
                                                  const double *rates, vdi_score_bits *out,
                                                  vdi_error *err);
/** Mean of (y - prediction)^2 over the `count` values that are there; NaN if none is. */
VDI_API double vdi_score_mse(int64_t count, const double *y, const double *prediction);
/** R2 of an estimate of truth (rows,n), weighted by variance; column (n), if not NULL, receives
 * each column's own (NaN where the truth is constant). Rows of a column with a NaN in either are
 * left out. VDI_ERR_DATA if no column varies. */
VDI_API VDI_NODISCARD vdi_status vdi_score_r2(int64_t rows, int64_t n, const double *truth,
                                              const double *estimate, double *column, double *r2,
                                              vdi_error *err);
/** R2 of latents x (rows,d) after the best affine map onto truth (rows,n): latents are known only
 * up to such a map. The map is fitted by least squares to the first `fit_rows` rows and judged on
 * the others (on all, if fit_rows is `rows`). Rows with a NaN are left out. `work` holds
 * vdi_score_linear_r2_work(d,n) doubles. VDI_ERR_DATA if the latents are collinear or too few. */
VDI_API VDI_NODISCARD vdi_status vdi_score_linear_r2(int64_t rows, int64_t d, const double *x,
                                                     int64_t n, const double *truth,
                                                     int64_t fit_rows, double *work, double *column,
                                                     double *r2, vdi_error *err);
/** Numbers of `work`; SIZE_MAX if no size holds them. */
VDI_API size_t vdi_score_linear_r2_work(int64_t d, int64_t n);

#endif /* VDI_MODEL_SCORE_SCORE_H */

#if defined(VDI__BODIES) && defined(VDI_SCORE_IMPLEMENTATION) && !defined(VDI_MODEL_SCORE_SCORE_C)
#define VDI_MODEL_SCORE_SCORE_C

VDI__DEF void vdi_score_means(int64_t rows, int64_t n, const double *y, double *means) {
    for (int64_t j = 0; j < n; j++) {
        double sum = 0, count = 0;
        for (int64_t r = 0; r < rows; r++) {
            if (y[r * n + j] == y[r * n + j]) {
                sum += y[r * n + j];
                count += 1;
            }
        }
        means[j] = count > 0 ? sum / count : 0;
    }
}

VDI__FN double vdi__score_floor(double rate) {
    return rate >= VDI_SCORE_FLOOR ? rate : VDI_SCORE_FLOOR;
}

/* The logarithms are taken in blocks, so that they run in lanes. */
VDI__DEF double vdi_score_poisson(int64_t count, const double *y, const double *rate,
                                  double *log_p) {
    enum { BLOCK = 128 };
    double a[BLOCK], b[BLOCK], total = 0;
    for (int64_t first = 0; first < count; first += BLOCK) {
        const int64_t k = VDI__MIN(count - first, (int64_t)BLOCK);
        const double *yy = y + first, *rr = rate + first;
        for (int64_t i = 0; i < k; i++) {
            a[i] = vdi__score_floor(rr[i]);
            b[i] = yy[i] == yy[i] ? yy[i] + 1 : 1;
        }
        vdi_log(VDI_F64, (size_t)k, a, a);
        vdi_lgamma(VDI_F64, (size_t)k, b, b);
        for (int64_t i = 0; i < k; i++) {
            bool there = yy[i] == yy[i];
            double p = there ? yy[i] * a[i] - vdi__score_floor(rr[i]) - b[i] : yy[i];
            if (there) total += p;
            if (log_p) log_p[first + i] = p;
        }
    }
    return total;
}

/* Is there a count in the row? */
VDI__FN bool vdi__score_any(int64_t n, const double *y) {
    for (int64_t j = 0; j < n; j++)
        if (y[j] == y[j]) return true;
    return false;
}

VDI__DEF double vdi_score_homogeneous(int64_t rows, int64_t n, const double *y, const double *means,
                                      int64_t *bins) {
    double total = 0;
    if (bins) *bins = 0;
    for (int64_t r = 0; r < rows; r++) {
        if (!vdi__score_any(n, y + r * n)) continue;
        if (bins) ++*bins;
        total += vdi_score_poisson(n, y + r * n, means, NULL);
    }
    return total;
}

/* The sums over y and log_p. */
VDI__FN vdi_status vdi__score_counts(int64_t rows, int64_t n, const double *y, const double *log_p,
                                     vdi_score_bits *s, vdi_error *err) {
    static const char where[] = "vdi_score_bits";
    memset(s, 0, sizeof *s);
    for (int64_t i = 0; i < rows * n; i++) {
        if (!(y[i] == y[i])) continue;
        if (!(log_p[i] == log_p[i])) {
            return vdi_error_set(err, VDI_ERR_DATA, where,
                                 "log_p[%lld,%lld] is NaN, but there is a count",
                                 (long long)(i / n), (long long)(i % n));
        }
        s->log_likelihood += log_p[i];
        s->spikes += y[i];
        s->values++;
    }
    if (s->spikes > 0) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_DATA, where,
                         "the counts hold no spike: bits per spike are undefined");
}

VDI__FN void vdi__score_bits_of(vdi_score_bits *s) {
    s->bits_per_spike = (s->log_likelihood - s->null_log_likelihood) / (s->spikes * log(2.0));
}

VDI__DEF vdi_status vdi_score_bits_per_spike(int64_t rows, int64_t n, const double *y,
                                             const double *log_p, const double *means,
                                             vdi_score_bits *out, vdi_error *err) {
    vdi_score_bits s;
    const vdi_status status = vdi__score_counts(rows, n, y, log_p, &s, err);
    if (status < 0) return status;
    s.null_log_likelihood = vdi_score_homogeneous(rows, n, y, means, &s.bins);
    vdi__score_bits_of(&s);
    *out = s;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_score_bits_against(int64_t rows, int64_t n, const double *y,
                                           const double *log_p, const double *null_log_p,
                                           vdi_score_bits *out, vdi_error *err) {
    vdi_score_bits s;
    const vdi_status status = vdi__score_counts(rows, n, y, log_p, &s, err);
    if (status < 0) return status;
    for (int64_t r = 0; r < rows; r++) {
        double sum = 0;
        for (int64_t j = 0; j < n; j++)
            if (y[r * n + j] == y[r * n + j]) sum += null_log_p[r * n + j];
        s.null_log_likelihood += sum;
        s.bins += vdi__score_any(n, y + r * n);
    }
    vdi__score_bits_of(&s);
    *out = s;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_score_co_bps(int64_t rows, int64_t n, const double *y, const double *rates,
                                     vdi_score_bits *out, vdi_error *err) {
    vdi_score_bits s = VDI__ZERO;
    for (int64_t j = 0; j < n; j++) {
        double sum = 0, count = 0, mean;
        for (int64_t r = 0; r < rows; r++) {
            double v = y[r * n + j], rate = rates[r * n + j];
            if (!(v == v)) continue;
            if (!(rate >= 0)) {
                return vdi_error_set(err, VDI_ERR_DATA, "vdi_score_co_bps",
                                     "rate[%lld,%lld] is %g, expected 0 or more", (long long)r,
                                     (long long)j, rate);
            }
            s.log_likelihood += vdi_score_poisson(1, &v, &rate, NULL);
            sum += v;
            count += 1;
        }
        mean = count > 0 ? sum / count : 0;
        for (int64_t r = 0; r < rows; r++)
            s.null_log_likelihood += vdi_score_poisson(1, y + r * n + j, &mean, NULL);
        s.spikes += sum;
        s.values += (int64_t)count;
    }
    if (!(s.spikes > 0)) {
        return vdi_error_set(err, VDI_ERR_DATA, "vdi_score_co_bps",
                             "the counts hold no spike: bits per spike are undefined");
    }
    for (int64_t r = 0; r < rows; r++)
        s.bins += vdi__score_any(n, y + r * n);
    vdi__score_bits_of(&s);
    *out = s;
    return VDI_OK;
}

VDI__DEF double vdi_score_mse(int64_t count, const double *y, const double *prediction) {
    double sum = 0, there = 0;
    for (int64_t i = 0; i < count; i++) {
        if (y[i] == y[i]) {
            sum += (y[i] - prediction[i]) * (y[i] - prediction[i]);
            there += 1;
        }
    }
    return sum / there;
}

/* Squared errors and squares about the mean of a column, the estimate being estimate[r * stride] */
VDI__FN void vdi__score_column(int64_t rows, int64_t n, const double *truth, const double *estimate,
                               int64_t stride, double *error, double *spread) {
    double sum = 0, count = 0;
    *error = *spread = 0;
    for (int64_t r = 0; r < rows; r++) {
        if (truth[r * n] == truth[r * n] && estimate[r * stride] == estimate[r * stride]) {
            sum += truth[r * n];
            count += 1;
        }
    }
    for (int64_t r = 0; r < rows; r++) {
        if (truth[r * n] == truth[r * n] && estimate[r * stride] == estimate[r * stride]) {
            double e = truth[r * n] - estimate[r * stride], s = truth[r * n] - sum / count;
            *error += e * e;
            *spread += s * s;
        }
    }
}

VDI__DEF vdi_status vdi_score_r2(int64_t rows, int64_t n, const double *truth,
                                 const double *estimate, double *column, double *r2,
                                 vdi_error *err) {
    double error = 0, spread = 0;
    for (int64_t j = 0; j < n; j++) {
        double e, s;
        vdi__score_column(rows, n, truth + j, estimate + j, n, &e, &s);
        if (column) column[j] = s > 0 ? 1 - e / s : (double)NAN;
        error += e;
        spread += s;
    }
    if (!(spread > 0)) {
        return vdi_error_set(err, VDI_ERR_DATA, "vdi_score_r2",
                             "the truth does not vary: R2 is undefined");
    }
    *r2 = 1 - error / spread;
    return VDI_OK;
}

VDI__DEF size_t vdi_score_linear_r2_work(int64_t d, int64_t n) {
    const size_t pairs = vdi_add_size(vdi_array_size(1, d, d, 1), vdi_array_size(1, d, n, 1));
    const size_t rows = vdi_add_size(vdi_array_size(1, d, 4, 1), vdi_array_size(1, n, 2, 1));
    return vdi_add_size(vdi_add_size(pairs, rows), 1);
}

VDI__FN bool vdi__score_row(int64_t n, const double *x) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += x[i] * 0;
    return sum == 0;
}

/* An affine map from latents to truth: about the means of the rows that it is fitted to, so that
 * the products lose nothing. */
typedef struct vdi__score_map {
    int64_t d, n;
    double *xx, *xy; /* (d,d), (d,n): products, then the map */
    double *xm, *ym; /* (d), (n): means */
    double *scale;   /* (d) */
} vdi__score_map;

/* Rows without a NaN in x or truth: the means, and how many there are. */
VDI__FN double vdi__score_map_means(const vdi__score_map *m, int64_t rows, const double *x,
                                    const double *truth) {
    double count = 0;
    for (int64_t r = 0; r < rows; r++) {
        if (!vdi__score_row(m->d, x + r * m->d) || !vdi__score_row(m->n, truth + r * m->n))
            continue;
        for (int64_t i = 0; i < m->d; i++)
            m->xm[i] += x[r * m->d + i];
        for (int64_t j = 0; j < m->n; j++)
            m->ym[j] += truth[r * m->n + j];
        count += 1;
    }
    for (int64_t i = 0; i < m->d; i++)
        m->xm[i] /= count;
    for (int64_t j = 0; j < m->n; j++)
        m->ym[j] /= count;
    return count;
}

/* Least squares; false if the latents are collinear. */
VDI__FN bool vdi__score_map_fit(const vdi__score_map *m, int64_t rows, const double *x,
                                const double *truth) {
    const int64_t d = m->d, n = m->n;
    for (int64_t r = 0; r < rows; r++) {
        if (!vdi__score_row(d, x + r * d) || !vdi__score_row(n, truth + r * n)) continue;
        for (int64_t i = 0; i < d; i++) {
            const double e = x[r * d + i] - m->xm[i];
            for (int64_t j = 0; j < d; j++)
                m->xx[i * d + j] += e * (x[r * d + j] - m->xm[j]);
            for (int64_t j = 0; j < n; j++)
                m->xy[i * n + j] += e * (truth[r * n + j] - m->ym[j]);
        }
    }
    for (int64_t i = 0; i < d; i++)
        m->scale[i] = m->xx[i * d + i];
    if (vdi_cholesky(VDI_F64, (size_t)d, m->xx, (size_t)d, NULL) < 0) return false;
    for (int64_t i = 0; i < d; i++) {
        const double pivot = m->xx[i * d + i];
        if (!(pivot * pivot > 1e-12 * m->scale[i])) return false;
    }
    vdi_cholesky_solve(VDI_F64, (size_t)d, (size_t)n, m->xx, (size_t)d, m->xy, (size_t)n);
    return true;
}

/* Squared errors and squares about the mean of column j, over rows from .. rows. */
VDI__FN void vdi__score_map_judge(const vdi__score_map *m, int64_t from, int64_t rows,
                                  const double *x, const double *truth, int64_t j, double *error,
                                  double *spread) {
    const int64_t d = m->d, n = m->n;
    double sum = 0, seen = 0;
    *error = *spread = 0;
    for (int64_t r = from; r < rows; r++) {
        if (!vdi__score_row(d, x + r * d) || !(truth[r * n + j] == truth[r * n + j])) continue;
        sum += truth[r * n + j];
        seen += 1;
    }
    for (int64_t r = from; r < rows; r++) {
        if (!vdi__score_row(d, x + r * d) || !(truth[r * n + j] == truth[r * n + j])) continue;
        double e = truth[r * n + j] - m->ym[j];
        const double s = truth[r * n + j] - sum / seen;
        for (int64_t i = 0; i < d; i++)
            e -= (x[r * d + i] - m->xm[i]) * m->xy[i * n + j];
        *error += e * e;
        *spread += s * s;
    }
}

VDI__DEF vdi_status vdi_score_linear_r2(int64_t rows, int64_t d, const double *x, int64_t n,
                                        const double *truth, int64_t fit_rows, double *work,
                                        double *column, double *r2, vdi_error *err) {
    static const char where[] = "vdi_score_linear_r2";
    const int64_t K = d + 1, from = fit_rows == rows ? 0 : fit_rows;
    double error = 0, spread = 0;
    vdi__score_map m;
    if (fit_rows < 1 || fit_rows > rows) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where, "fit_rows is %lld, expected 1 to %lld",
                             (long long)fit_rows, (long long)rows);
    }
    m.d = d;
    m.n = n;
    m.xx = work;
    m.xy = m.xx + K * K;
    m.xm = m.xy + K * n;
    m.ym = m.xm + d;
    m.scale = m.ym + n;
    memset(work, 0, vdi_score_linear_r2_work(d, n) * sizeof *work);
    const double count = vdi__score_map_means(&m, fit_rows, x, truth);
    if (!(count > (double)d)) {
        return vdi_error_set(err, VDI_ERR_DATA, where,
                             "%g complete rows to fit %lld coefficients per column", count,
                             (long long)K);
    }
    if (!vdi__score_map_fit(&m, fit_rows, x, truth))
        return vdi_error_set(err, VDI_ERR_DATA, where, "the latents are collinear or constant");
    for (int64_t j = 0; j < n; j++) {
        double e, s;
        vdi__score_map_judge(&m, from, rows, x, truth, j, &e, &s);
        if (column) column[j] = s > 0 ? 1 - e / s : (double)NAN;
        error += e;
        spread += s;
    }
    if (!(spread > 0))
        return vdi_error_set(err, VDI_ERR_DATA, where, "the truth does not vary: R2 is undefined");
    *r2 = 1 - error / spread;
    return VDI_OK;
}
#endif
