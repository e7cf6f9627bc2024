/* tests/deepspike.c - the bounds and their gradients against sums over all trains, the networks against each other and against long Markov
 * chains, streams against whole traces */
#include "check.h"

/* ---- small networks, exactly ------------------------------------------------------------------------------------------------------- */

enum { T3 = 3, TRAINS = 1 << T3 };

static vdi_deepspike_desc small_desc(vdi_deepspike_family family, int64_t samples) {
    vdi_deepspike_desc d = VDI__ZERO;
    vdi_calcium_desc c = vdi_calcium_desc_defaults();
    d.generative = vdi_deepspike_calcium(&c);
    d.posterior = family;
    d.layers = 1, d.channels[0] = 2, d.width[0] = 3, d.head_width = 3;
    d.features = 2, d.hidden = 3;
    d.has_bias = true, d.bias = -0.4;
    d.prior_rate[0] = 0.2;
    d.dtype = VDI_F64;
    d.train.samples = samples, d.train.batch = 1, d.train.snippet = T3;
    d.train.has_buffer = true;
    return d;
}

typedef struct small {
    vdi_deepspike *net;
    vdi_deepspike_data *data;
    vdi_deepspike_batch batch;
    int64_t trace, start;
} small;
static void small_begin(small *s, const vdi_deepspike_desc *d) {
    static const double f[T3] = {0.1, 0.9, 0.4};
    vdi_error err;
    vdi_deepspike_data_desc dd = VDI__ZERO;
    double label[T3] = {0, 1, 0};
    memset(s, 0, sizeof *s);
    CHECK_OK(vdi_deepspike_create(d, &s->net, &err), err);
    dd.traces = vdi_tensor_2d((void *)(uintptr_t)f, VDI_F64, 1, T3);
    dd.spikes = vdi_tensor_2d(label, VDI_F64, 1, T3);
    CHECK_OK(vdi_deepspike_data_create(s->net, &dd, &s->data, &err), err);
    vdi_deepspike_data_theta(s->data, 0)[3] = -0.5; /* much noise: all trains matter */
    s->batch.count = 1, s->batch.frames = T3;
    s->batch.trace = &s->trace, s->batch.start = &s->start;
}
static void small_end(small *s) {
    vdi_deepspike_data_destroy(s->data);
    vdi_deepspike_destroy(s->net);
}

/* q of each of the 8 trains, by the supervised bound: log q of a label */
static void train_chances(const small *s, double *q) {
    vdi_error err;
    vdi_deepspike_train tr = vdi_deepspike_description(s->net)->train, supervised = tr;
    supervised.estimator = VDI_DEEPSPIKE_SUPERVISED;
    CHECK_OK(vdi_deepspike_set_train(s->net, &supervised, &err), err);
    for (int i = 0; i < TRAINS; i++) {
        vdi_deepspike_data_desc dd = VDI__ZERO;
        vdi_deepspike_data *data;
        static const double f[T3] = {0.1, 0.9, 0.4};
        double label[T3], log_q;
        for (int t = 0; t < T3; t++) label[t] = i >> t & 1;
        dd.traces = vdi_tensor_2d((void *)(uintptr_t)f, VDI_F64, 1, T3);
        dd.spikes = vdi_tensor_2d(label, VDI_F64, 1, T3);
        CHECK_OK(vdi_deepspike_data_create(s->net, &dd, &data, &err), err);
        CHECK_OK(vdi_deepspike_loss(s->net, data, &s->batch, &log_q, NULL, &err), err);
        q[i] = exp(log_q);
        vdi_deepspike_data_destroy(data);
    }
    CHECK_OK(vdi_deepspike_set_train(s->net, &tr, &err), err);
}

/* The bound and its estimated gradient (network, then theta), expected over all tuples of K trains. gradient may be NULL. */
static double expectation(small *s, int64_t K, double *gradient) {
    const vdi_params *p = vdi_deepspike_params(s->net);
    vdi_error err;
    double q[TRAINS], total = 0, forced[T3 * 8];
    long tuples = 1;
    train_chances(s, q);
    for (int64_t k = 0; k < K; k++) tuples *= TRAINS;
    for (int64_t i = 0; gradient && i < p->total + 4; i++) gradient[i] = 0;
    for (long n = 0; n < tuples; n++) {
        double chance = 1, bound, d_theta[4];
        long rest = n;
        for (int64_t k = 0; k < K; k++, rest /= TRAINS) {
            chance *= q[rest % TRAINS];
            for (int t = 0; t < T3; t++) forced[t * K + k] = (double)(rest % TRAINS >> t & 1);
        }
        s->batch.forced = forced;
        CHECK_OK(vdi_deepspike_loss(s->net, s->data, &s->batch, &bound, d_theta, &err), err);
        total += chance * bound;
        for (int64_t i = 0; gradient && i < p->total; i++) gradient[i] -= chance * ((const double *)p->grads)[i];
        for (int64_t i = 0; gradient && i < 4; i++) gradient[p->total + i] += chance * d_theta[i];
    }
    s->batch.forced = NULL;
    return total;
}
static double *small_number(small *s, int64_t i) {
    const vdi_params *p = vdi_deepspike_params(s->net);
    return i < p->total ? (double *)p->values + i : vdi_deepspike_data_theta(s->data, 0) + (i - p->total);
}
/* five-point difference of the expected bound in number i */
static double slope_of_expectation(small *s, int64_t K, int64_t i) {
    static const double weight[4] = {1.0 / 12, -8.0 / 12, 8.0 / 12, -1.0 / 12};
    static const int step[4] = {-2, -1, 1, 2};
    double *x = small_number(s, i), old = *x, sum = 0;
    for (int j = 0; j < 4; j++) {
        *x = old + step[j] * 1e-3;
        sum += weight[j] * expectation(s, K, NULL);
    }
    *x = old;
    return sum / 1e-3;
}
static bool is_gap(small *s, int64_t i) { /* between the parameters of a block */
    const vdi_params *p = vdi_deepspike_params(s->net);
    for (int64_t k = 0; k < p->count; k++) {
        const int64_t at = (double *)p->item[k].value.data - (double *)p->values;
        if (i >= at && i < at + vdi_tensor_count(p->item[k].value)) return false;
    }
    return i < p->total;
}

TEST(deepspike, estimators_without_bias) {
    static const struct {
        vdi_deepspike_family family;
        vdi_deepspike_estimator estimator;
        int64_t K;
        long stride;
    } kind[] = {{VDI_DEEPSPIKE_FACTORISED, VDI_DEEPSPIKE_VIMCO, 3, 1},     {VDI_DEEPSPIKE_FACTORISED, VDI_DEEPSPIKE_VIMCO, 1, 1},
                {VDI_DEEPSPIKE_FACTORISED, VDI_DEEPSPIKE_REINFORCE, 2, 1}, {VDI_DEEPSPIKE_CORRELATED, VDI_DEEPSPIKE_VIMCO, 2, 9}};
    for (size_t n = 0; n < VDI__COUNT(kind); n++) {
        small s;
        vdi_deepspike_desc d = small_desc(kind[n].family, kind[n].K);
        d.train.estimator = kind[n].estimator;
        small_begin(&s, &d);
        const int64_t total = vdi_deepspike_params(s.net)->total + 4;
        double *gradient = (double *)malloc((size_t)total * sizeof *gradient), worst = 0, largest = 0;
        (void)expectation(&s, kind[n].K, gradient);
        int64_t seen = 0;
        for (int64_t i = 0; i < total; i++) {
            if (is_gap(&s, i) || (seen++ % kind[n].stride && i < total - 4) || !test_chosen((size_t)i)) continue;
            const double slope = slope_of_expectation(&s, kind[n].K, i);
            worst = fmax(worst, fabs(slope - gradient[i])), largest = fmax(largest, fabs(slope));
        }
        CHECK(worst <= 1e-8, "case %d: the expected gradient is off by %.3g (largest entry %.3g)", (int)n, worst, largest);
        CHECK(largest > 1e-2, "case %d: no gradient to speak of", (int)n);
        free(gradient);
        small_end(&s);
    }
}

TEST(deepspike, bound_rises_with_samples) {
    double before = -HUGE_VAL, log_f;
    double q[TRAINS];
    vdi_error err;
    for (int64_t K = 1; K <= 4; K++) {
        small s;
        const vdi_deepspike_desc d = small_desc(VDI_DEEPSPIKE_FACTORISED, K);
        small_begin(&s, &d);
        const double bound = expectation(&s, K, NULL);
        CHECK(bound > before + 1e-4, "K = %d gives %.6f after %.6f", (int)K, bound, before);
        before = bound;
        if (K == 1) { /* below log p(f) = log sum_s p(f, s) */
            double sum = 0, forced[T3], b;
            train_chances(&s, q);
            for (int i = 0; i < TRAINS; i++) {
                for (int t = 0; t < T3; t++) forced[t] = i >> t & 1;
                s.batch.forced = forced;
                CHECK_OK(vdi_deepspike_loss(s.net, s.data, &s.batch, &b, NULL, &err), err);
                sum += exp(b) * q[i];
            }
            log_f = log(sum);
        }
        CHECK(bound < log_f, "the bound %.6f is above log p(f) = %.6f", bound, log_f);
        small_end(&s);
    }
}

TEST(deepspike, one_sample_is_reinforce) {
    small s;
    vdi_error err;
    const vdi_deepspike_desc d = small_desc(VDI_DEEPSPIKE_FACTORISED, 1);
    double bound[2];
    small_begin(&s, &d);
    const vdi_params *p = vdi_deepspike_params(s.net);
    double *first = (double *)malloc((size_t)p->total * sizeof *first);
    CHECK_OK(vdi_deepspike_loss(s.net, s.data, &s.batch, &bound[0], NULL, &err), err);
    memcpy(first, p->grads, (size_t)p->total * sizeof *first);
    vdi_deepspike_train tr = d.train;
    tr.estimator = VDI_DEEPSPIKE_REINFORCE; /* its running baseline is 0 before the first step */
    CHECK_OK(vdi_deepspike_set_train(s.net, &tr, &err), err);
    CHECK_OK(vdi_deepspike_loss(s.net, s.data, &s.batch, &bound[1], NULL, &err), err);
    CHECK(bound[0] == bound[1] && memcmp(first, p->grads, (size_t)p->total * sizeof *first) == 0);
    free(first);
    small_end(&s);
}

TEST(deepspike, weights) {
    const double log_w[4] = {-1000, -1001, -1000.5, -1003}, wild[3] = {5, -900, -2000};
    double bound, to_q[4], to_p[4], sum = 0;
    vdi_deepspike_weights(VDI_DEEPSPIKE_VIMCO, 4, log_w, 0, &bound, to_q, to_p);
    CHECK_CLOSE(bound, -1000 + log((1 + exp(-1.0) + exp(-0.5) + exp(-3.0)) / 4), 1e-12);
    for (int k = 0; k < 4; k++) sum += to_p[k];
    CHECK_CLOSE(sum, 1, 1e-14);
    CHECK_CLOSE(to_q[0] + to_p[0], bound - (-1000 + log((exp(-1.0) + exp(-0.5) + exp(-3.0)) / 3)), 1e-12);
    vdi_deepspike_weights(VDI_DEEPSPIKE_VIMCO, 3, wild, 0, &bound, to_q, to_p);
    CHECK_CLOSE(to_q[0], 5 - log(3.0) - (-900 - log(2.0)) - 1, 1e-10); /* without its largest weight the sum does not vanish */
    vdi_deepspike_weights(VDI_DEEPSPIKE_WAKE_SLEEP, 3, wild, 0, &bound, to_q, to_p);
    CHECK(to_q[0] == 0 && to_q[1] == 0 && to_p[0] == 1);
}

/* The derivative of what is differentiable once the random numbers are fixed: labels, the relaxation, theta, the inferred amplitude. */
TEST(deepspike, pathwise_gradients) {
    for (int which = 0; which < 6; which++) {
        small s;
        vdi_error err;
        vdi_deepspike_desc d = small_desc(which % 2 ? VDI_DEEPSPIKE_CORRELATED : VDI_DEEPSPIKE_FACTORISED, 4);
        const double forced[T3 * 4] = {0, 1, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0};
        d.train.estimator = which < 2 ? VDI_DEEPSPIKE_SUPERVISED : which == 2 ? VDI_DEEPSPIKE_CONCRETE : VDI_DEEPSPIKE_VIMCO;
        d.amplitude = which >= 4;
        if (which == 3) d.prior = VDI_DEEPSPIKE_COUNT;
        small_begin(&s, &d);
        const vdi_params *p = vdi_deepspike_params(s.net);
        if (which >= 3) s.batch.forced = forced;
        s.batch.draw = 5;
        const int64_t total = p->total + 4;
        double *gradient = (double *)malloc((size_t)total * sizeof *gradient), bound, worst = 0, largest = 0;
        CHECK_OK(vdi_deepspike_loss(s.net, s.data, &s.batch, &bound, gradient + p->total, &err), err);
        for (int64_t i = 0; i < p->total; i++) gradient[i] = -((const double *)p->grads)[i];
        const vdi_param *amplitude = vdi_params_find(p, "amplitude.weight");
        for (int64_t i = 0; i < total; i++) {
            double *x = small_number(&s, i), old = *x, value[4];
            if (is_gap(&s, i) || (which == 0 && i >= p->total) || (which == 1 && i >= p->total)) continue;
            if (which >= 3 && i < p->total && (!amplitude || x < (double *)amplitude->value.data)) continue; /* they move log q of forced trains too */
            for (int j = 0; j < 4; j++) {
                *x = old + (j < 2 ? j - 2 : j - 1) * 1e-4;
                CHECK_OK(vdi_deepspike_loss(s.net, s.data, &s.batch, &value[j], NULL, &err), err);
            }
            *x = old;
            const double slope = (value[0] - 8 * value[1] + 8 * value[2] - value[3]) / 12e-4;
            worst = fmax(worst, fabs(slope - gradient[i])), largest = fmax(largest, fabs(slope));
        }
        CHECK(worst <= 1e-8 && largest > 1e-3, "case %d: off by %.3g, largest %.3g", which, worst, largest);
        free(gradient);
        small_end(&s);
    }
}
