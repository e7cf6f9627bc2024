/* tests/deepspike.c - the bounds and their gradients against sums over all trains, the networks
 * against each other and against long Markov chains, streams against whole traces */
#include "check.h"
#include "deepspike_gibbs.h"

/* ---- small networks, exactly ----------------------------------------------------------------- */

enum { T3 = 3, TRAINS = 1 << T3 };

static vdi_deepspike_desc small_desc(vdi_deepspike_family family, int64_t samples) {
    vdi_deepspike_desc d = VDI__ZERO;
    vdi_calcium_desc c = vdi_calcium_desc_defaults();
    d.generative = vdi_deepspike_calcium(&c);
    d.posterior = family;
    d.layers = 1;
    d.channels[0] = 2;
    d.width[0] = 3;
    d.head_width = 3;
    d.features = 2;
    d.hidden = 3;
    d.has_bias = true;
    d.bias = -0.4;
    d.prior_rate[0] = 0.2;
    d.dtype = VDI_F64;
    d.train.samples = samples;
    d.train.batch = 1;
    d.train.snippet = T3;
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
    s->batch.count = 1;
    s->batch.frames = T3;
    s->batch.trace = &s->trace;
    s->batch.start = &s->start;
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
        for (int t = 0; t < T3; t++)
            label[t] = i >> t & 1;
        dd.traces = vdi_tensor_2d((void *)(uintptr_t)f, VDI_F64, 1, T3);
        dd.spikes = vdi_tensor_2d(label, VDI_F64, 1, T3);
        CHECK_OK(vdi_deepspike_data_create(s->net, &dd, &data, &err), err);
        CHECK_OK(vdi_deepspike_loss(s->net, data, &s->batch, &log_q, NULL, &err), err);
        q[i] = exp(log_q);
        vdi_deepspike_data_destroy(data);
    }
    CHECK_OK(vdi_deepspike_set_train(s->net, &tr, &err), err);
}

/* The bound and its estimated gradient (network, then theta), expected over all tuples of K trains.
 * gradient may be NULL. */
static double expectation(small *s, int64_t K, double *gradient) {
    const vdi_params *p = vdi_deepspike_params(s->net);
    vdi_error err;
    double q[TRAINS], total = 0, forced[T3 * 8];
    long tuples = 1;
    train_chances(s, q);
    for (int64_t k = 0; k < K; k++)
        tuples *= TRAINS;
    for (int64_t i = 0; gradient && i < p->total + 4; i++)
        gradient[i] = 0;
    for (long n = 0; n < tuples; n++) {
        double chance = 1, bound, d_theta[4];
        long rest = n;
        for (int64_t k = 0; k < K; k++, rest /= TRAINS) {
            chance *= q[rest % TRAINS];
            for (int t = 0; t < T3; t++)
                forced[t * K + k] = (double)(rest % TRAINS >> t & 1);
        }
        s->batch.forced = forced;
        CHECK_OK(vdi_deepspike_loss(s->net, s->data, &s->batch, &bound, d_theta, &err), err);
        total += chance * bound;
        for (int64_t i = 0; gradient && i < p->total; i++)
            gradient[i] -= chance * ((const double *)p->grads)[i];
        for (int64_t i = 0; gradient && i < 4; i++)
            gradient[p->total + i] += chance * d_theta[i];
    }
    s->batch.forced = NULL;
    return total;
}
static double *small_number(small *s, int64_t i) {
    const vdi_params *p = vdi_deepspike_params(s->net);
    return i < p->total ? (double *)p->values + i
                        : vdi_deepspike_data_theta(s->data, 0) + (i - p->total);
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
    } kind[] = {{VDI_DEEPSPIKE_FACTORISED, VDI_DEEPSPIKE_VIMCO, 3, 1},
                {VDI_DEEPSPIKE_FACTORISED, VDI_DEEPSPIKE_VIMCO, 1, 1},
                {VDI_DEEPSPIKE_FACTORISED, VDI_DEEPSPIKE_REINFORCE, 2, 1},
                {VDI_DEEPSPIKE_CORRELATED, VDI_DEEPSPIKE_VIMCO, 2, 9}};
    for (size_t n = 0; n < VDI__COUNT(kind); n++) {
        small s;
        vdi_deepspike_desc d = small_desc(kind[n].family, kind[n].K);
        d.train.estimator = kind[n].estimator;
        small_begin(&s, &d);
        const int64_t total = vdi_deepspike_params(s.net)->total + 4;
        double *gradient = (double *)malloc((size_t)total * sizeof *gradient);
        double worst = 0;
        double largest = 0;
        (void)expectation(&s, kind[n].K, gradient);
        int64_t seen = 0;
        for (int64_t i = 0; i < total; i++) {
            if (is_gap(&s, i) || (seen++ % kind[n].stride && i < total - 4) ||
                !test_chosen((size_t)i))
                continue;
            const double slope = slope_of_expectation(&s, kind[n].K, i);
            worst = test_worst(worst, fabs(slope - gradient[i]));
            largest = fmax(largest, fabs(slope));
        }
        CHECK(worst <= 1e-8, "case %d: the expected gradient is off by %.3g (largest entry %.3g)",
              (int)n, worst, largest);
        CHECK(largest > 1e-2 || test_scaled(10) < 10, "case %d: no gradient to speak of", (int)n);
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
                for (int t = 0; t < T3; t++)
                    forced[t] = i >> t & 1;
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

/* A network whose probabilities are all at a limit still learns to leave it: the gradient of the
 * head's bias (of minus the bound) leads inward, and there is none that leads outward. */
TEST(deepspike, a_limit_is_left_again) {
    static const double spike[2 * T3] = {0, 0, 1, 0, 0, 0}; /* (bins,2): one train has it */
    vdi_error err;
    for (int at_top = 0; at_top < 2; at_top++) {
        for (int how = 0; how < 2; how++) {
            vdi_deepspike_desc d = small_desc(VDI_DEEPSPIKE_FACTORISED, 2);
            small s;
            double bound;
            d.bias = at_top ? 30 : -30;
            d.train.estimator = how ? VDI_DEEPSPIKE_SUPERVISED : VDI_DEEPSPIKE_VIMCO;
            small_begin(&s, &d);
            /* little noise, and as high as the spike: the train that has it explains the trace */
            vdi_deepspike_data_theta(s.data, 0)[3] = -3;
            s.batch.forced = how ? NULL : spike;
            CHECK_OK(vdi_deepspike_loss(s.net, s.data, &s.batch, &bound, NULL, &err), err);
            const vdi_params *p = vdi_deepspike_params(s.net);
            const double *g = (const double *)p->item[p->count - 1].grad.data;
            CHECK(strcmp(p->item[p->count - 1].name, "head.0.bias") == 0, "%s",
                  p->item[p->count - 1].name);
            CHECK(at_top ? g[0] > 0 : g[0] < 0, "%s at the %s: gradient %g",
                  how ? "labels" : "vimco", at_top ? "top" : "floor", g[0]);
            small_end(&s);
        }
    }
}

TEST(deepspike, weights) {
    const double log_w[4] = {-1000, -1001, -1000.5, -1003}, wild[3] = {5, -900, -2000};
    double bound, to_q[4], to_p[4], sum = 0;
    vdi_deepspike_weights(VDI_DEEPSPIKE_VIMCO, 4, log_w, 0, &bound, to_q, to_p);
    CHECK_CLOSE(bound, -1000 + log((1 + exp(-1.0) + exp(-0.5) + exp(-3.0)) / 4), 1e-12);
    for (int k = 0; k < 4; k++)
        sum += to_p[k];
    CHECK_CLOSE(sum, 1, 1e-14);
    CHECK_CLOSE(to_q[0] + to_p[0], bound - (-1000 + log((exp(-1.0) + exp(-0.5) + exp(-3.0)) / 3)),
                1e-12);
    vdi_deepspike_weights(VDI_DEEPSPIKE_VIMCO, 3, wild, 0, &bound, to_q, to_p);
    /* without its largest weight the sum does not vanish */
    CHECK_CLOSE(to_q[0], 5 - log(3.0) - (-900 - log(2.0)) - 1, 1e-10);
    vdi_deepspike_weights(VDI_DEEPSPIKE_WAKE_SLEEP, 3, wild, 0, &bound, to_q, to_p);
    CHECK(to_q[0] == 0 && to_q[1] == 0 && to_p[0] == 1);
}

/* The derivative of what is differentiable once the random numbers are fixed: labels, the
 * relaxation, theta, the inferred amplitude. */
TEST(deepspike, pathwise_gradients) {
    for (int which = 0; which < 6; which++) {
        small s;
        vdi_error err;
        vdi_deepspike_desc d =
            small_desc(which % 2 ? VDI_DEEPSPIKE_CORRELATED : VDI_DEEPSPIKE_FACTORISED, 4);
        const double forced[T3 * 4] = {0, 1, 0, 0, 1, 0, 0, 1, 1, 0, 0, 0};
        d.train.estimator = which < 2    ? VDI_DEEPSPIKE_SUPERVISED
                            : which == 2 ? VDI_DEEPSPIKE_CONCRETE
                                         : VDI_DEEPSPIKE_VIMCO;
        d.amplitude = which >= 4;
        if (which == 3) d.prior = VDI_DEEPSPIKE_COUNT;
        small_begin(&s, &d);
        const vdi_params *p = vdi_deepspike_params(s.net);
        if (which >= 3) s.batch.forced = forced;
        s.batch.draw = 5;
        const int64_t total = p->total + 4;
        double *gradient = (double *)malloc((size_t)total * sizeof *gradient);
        double bound;
        double worst = 0;
        double largest = 0;
        CHECK_OK(vdi_deepspike_loss(s.net, s.data, &s.batch, &bound, gradient + p->total, &err),
                 err);
        for (int64_t i = 0; i < p->total; i++)
            gradient[i] = -((const double *)p->grads)[i];
        const vdi_param *amplitude = vdi_params_find(p, "amplitude.weight");
        for (int64_t i = 0; i < total; i++) {
            double *x = small_number(&s, i), old = *x, value[4];
            if (is_gap(&s, i) || (which == 0 && i >= p->total) || (which == 1 && i >= p->total))
                continue;
            if (which >= 3 && i < p->total && (!amplitude || x < (double *)amplitude->value.data))
                continue; /* they move log q of forced trains too */
            for (int j = 0; j < 4; j++) {
                *x = old + (j < 2 ? j - 2 : j - 1) * 1e-4;
                CHECK_OK(vdi_deepspike_loss(s.net, s.data, &s.batch, &value[j], NULL, &err), err);
            }
            *x = old;
            const double slope = (value[0] - 8 * value[1] + 8 * value[2] - value[3]) / 12e-4;
            worst = test_worst(worst, fabs(slope - gradient[i]));
            largest = fmax(largest, fabs(slope));
        }
        CHECK(worst <= 1e-8 && largest > 1e-3, "case %d: off by %.3g, largest %.3g", which, worst,
              largest);
        free(gradient);
        small_end(&s);
    }
}

/* ---- networks of a real shape ---------------------------------------------------------------- */

static vdi_deepspike_desc middle_desc(vdi_deepspike_family family) {
    vdi_deepspike_desc d = VDI__ZERO;
    vdi_calcium_desc c = vdi_calcium_desc_defaults();
    d.generative = vdi_deepspike_calcium(&c);
    d.posterior = family;
    d.layers = 3;
    d.channels[0] = 7;
    d.channels[1] = 6;
    d.channels[2] = 5;
    d.width[0] = 11;
    d.width[1] = 7;
    d.width[2] = 3;
    d.head_width = 5;
    d.features = 4;
    d.hidden = 9;
    d.train.snippet = 60;
    d.train.batch = 5;
    d.train.samples = 6;
    d.train.steps = 6;
    d.train.dreams = 40;
    return d;
}
enum { CELLS = 3, FRAMES = 333 };
static void middle_traces(double *f, double *spikes, int upsample) {
    unsigned long long state = 7;
    for (int i = 0; i < CELLS; i++) {
        double c = 0;
        for (int t = 0; t < FRAMES * upsample; t++) {
            const double s = test_uniform(&state) < 0.03;
            c = 0.96 * c + s;
            spikes[i * FRAMES * upsample + t] = s;
            if (t % upsample == upsample - 1)
                f[i * FRAMES + t / upsample] = 0.5 * c - 0.3 + 0.1 * test_normal(&state);
        }
    }
}
static vdi_deepspike_data *middle_data(vdi_deepspike *net, int holes) {
    static double f[CELLS * FRAMES], spikes[CELLS * FRAMES * 4];
    const int upsample = (int)vdi_deepspike_description(net)->upsample;
    vdi_deepspike_data_desc dd = VDI__ZERO;
    vdi_deepspike_data *data = NULL;
    vdi_error err;
    middle_traces(f, spikes, upsample);
    if (holes) {
        for (int t = 0; t < FRAMES; t++)
            if (t % 50 < 3 || t > 325) f[FRAMES + t] = (double)NAN;
    }
    dd.traces = vdi_tensor_2d(f, VDI_F64, CELLS, FRAMES);
    dd.spikes = vdi_tensor_2d(spikes, VDI_F64, CELLS, (int64_t)FRAMES * upsample);
    CHECK_OK(vdi_deepspike_data_create(net, &dd, &data, &err), err);
    return data;
}

TEST(deepspike, stream_is_the_batch) {
    for (int dtype = 0; dtype < 2; dtype++) {
        for (int upsample = 1; upsample <= 2; upsample++) {
            vdi_deepspike_desc d = middle_desc(VDI_DEEPSPIKE_FACTORISED);
            vdi_deepspike *net;
            vdi_error err;
            d.dtype = (vdi_dtype)dtype;
            d.upsample = upsample;
            CHECK_OK(vdi_deepspike_create(&d, &net, &err), err);
            vdi_deepspike_data *data = middle_data(net, 0);
            double p[CELLS * FRAMES * 2], f[CELLS * FRAMES], spikes[CELLS * FRAMES * 2];
            vdi_deepspike_result out = VDI__ZERO;
            out.probability = p;
            CHECK_OK(vdi_deepspike_infer(net, data, NULL, &out, &err), err);
            middle_traces(f, spikes, upsample);
            const int64_t delay = vdi_deepspike_stream_delay(net);
            CHECK(delay == 5 + 3 + 1 + 2);
            for (int most = 1; most <= 200; most += 66) {
                const size_t bytes = vdi_deepspike_stream_memsize(net, most);
                void *memory = malloc(bytes);
                vdi_deepspike_stream *s;
                CHECK_FAILS(vdi_deepspike_stream_init(net, most, 0, 1, memory, bytes - 1, &s, &err),
                            VDI_ERR_MEMORY);
                CHECK_OK(vdi_deepspike_stream_init(net, most, 0, 1, memory, bytes, &s, &err), err);
                for (int i = 0; i < CELLS; i++) { /* one after the other: finish begins anew */
                    int64_t told = 0, differ = 0;
                    for (int64_t t = 0; t <= FRAMES;) {
                        const int64_t n = t == FRAMES ? 0 : VDI__MIN(FRAMES - t, most);
                        double in[200], answer[2 * 211];
                        for (int64_t j = 0; j < n; j++)
                            vdi_dtype_store(d.dtype, in, j, f[i * FRAMES + t + j]);
                        const int64_t ready = n ? vdi_deepspike_stream_push(s, n, in, answer)
                                                : vdi_deepspike_stream_finish(s, answer);
                        for (int64_t j = 0; j < ready * upsample; j++) {
                            differ += vdi_dtype_load(d.dtype, answer, j) !=
                                      p[(i * FRAMES + told) * upsample + j];
                        }
                        told += ready;
                        t += n ? n : 1;
                        CHECK(!n || told == VDI__MAX(0, t - delay), "after %d frames %d answers",
                              (int)t, (int)told);
                    }
                    CHECK(told == FRAMES && differ == 0, "%d answers, %d of them differ", (int)told,
                          (int)differ);
                }
                free(memory);
            }
            vdi_deepspike_data_destroy(data);
            vdi_deepspike_destroy(net);
        }
    }
}

static int64_t count_differences(const vdi_state *a, const vdi_state *b) {
    int64_t n = 0;
    for (int64_t i = 0; i < a->tensor_count; i++) {
        n += memcmp(a->tensors[i].tensor.data, b->tensors[i].tensor.data,
                    vdi_tensor_bytes(a->tensors[i].tensor)) != 0;
    }
    return n;
}

/* A network in training, and its traces. */
typedef struct trained {
    vdi_deepspike *net;
    vdi_deepspike_data *data;
} trained;

static void trained_free(trained *t) {
    vdi_deepspike_data_destroy(t->data);
    vdi_deepspike_destroy(t->net);
}

/* Goes on in a fresh network, by a copy of the state. */
static void move_to_fresh(trained *t) {
    vdi_deepspike_desc d = *vdi_deepspike_description(t->net);
    vdi_error err;
    trained fresh;
    CHECK_OK(vdi_deepspike_create(&d, &fresh.net, &err), err);
    fresh.data = middle_data(fresh.net, 1);
    const vdi_state *from = vdi_deepspike_state(t->net, t->data, true);
    const vdi_state *to = vdi_deepspike_state(fresh.net, fresh.data, true);
    CHECK(from->tensor_count == to->tensor_count);
    for (int64_t i = 0; i < from->tensor_count; i++) {
        memcpy(to->tensors[i].tensor.data, from->tensors[i].tensor.data,
               vdi_tensor_bytes(from->tensors[i].tensor));
    }
    trained_free(t);
    *t = fresh;
}

/* Case e of the estimators: a plain run, one with threads, and one in two halves that counts what
 * it asks for. */
static void steps_check(int family, int e, vdi_deepspike_estimator estimator, vdi_pool *pool) {
    trained run[3];
    test_allocator counted = VDI__ZERO;
    vdi_error err;
    long asked = 0;
    for (int i = 0; i < 3; i++) {
        vdi_deepspike_desc d = middle_desc((vdi_deepspike_family)family);
        d.train.estimator = estimator;
        d.upsample = e == 0 ? 2 : 1;
        d.amplitude = e == 1;
        d.normalise = e == 3;
        if (i == 1) d.pool = pool;
        if (i == 2) d.allocator = test_allocator_of(&counted);
        CHECK_OK(vdi_deepspike_create(&d, &run[i].net, &err), err);
        run[i].data = middle_data(run[i].net, 1);
    }
    for (int step = 0; step < 6; step++) {
        if (step == 3) move_to_fresh(&run[2]);
        if (step == 5) asked = counted.requests;
        for (int i = 0; i < 3; i++) {
            vdi_deepspike_progress p;
            CHECK_OK(vdi_deepspike_step(run[i].net, run[i].data, &p, &err), err);
            CHECK(p.step == step + 1 && p.bound - p.bound == 0);
        }
    }
    CHECK(counted.requests == asked, "%ld requests in a later step", counted.requests - asked);
    CHECK(vdi_deepspike_step(run[0].net, run[0].data, NULL, &err) == VDI_END);
    for (int i = 1; i < 3; i++) {
        CHECK(count_differences(vdi_deepspike_state(run[0].net, run[0].data, true),
                                vdi_deepspike_state(run[i].net, run[i].data, true)) == 0,
              "%s show, family %d, estimator %d", i == 1 ? "threads" : "two halves", family, e);
    }
    for (int i = 0; i < 3; i++)
        trained_free(&run[i]);
    CHECK(counted.live == 0);
}

/* Threads and a run in two halves leave no mark; steps of one shape ask for no memory. */
TEST(deepspike, steps) {
    static const vdi_deepspike_estimator estimator[] = {
        VDI_DEEPSPIKE_VIMCO, VDI_DEEPSPIKE_WAKE_SLEEP, VDI_DEEPSPIKE_SUPERVISED,
        VDI_DEEPSPIKE_REINFORCE, VDI_DEEPSPIKE_CONCRETE};
    vdi_pool *pool;
    vdi_error err;
    CHECK_OK(vdi_pool_create(3, NULL, &pool, &err), err);
    for (int family = 0; family < 2; family++) {
        for (int e = 0; e < (int)VDI__COUNT(estimator); e++) {
            if (family && estimator[e] == VDI_DEEPSPIKE_CONCRETE) continue;
            steps_check(family, e, estimator[e], pool);
        }
    }
    vdi_pool_destroy(pool);
}

/* The bound of the first step, with theta i of a cell moved; where that theta then goes. */
static double moved_bound(int64_t cell, int64_t i, double by, double theta[VDI_DEEPSPIKE_THETA]) {
    vdi_deepspike_desc d = middle_desc(VDI_DEEPSPIKE_FACTORISED);
    trained run;
    vdi_deepspike_progress p = VDI__ZERO;
    vdi_error err;
    d.train.estimator = VDI_DEEPSPIKE_VIMCO;
    d.dtype = VDI_F64;
    CHECK_OK(vdi_deepspike_create(&d, &run.net, &err), err);
    run.data = middle_data(run.net, 0);
    double *of = vdi_deepspike_data_theta(run.data, cell);
    of[i] += by;
    CHECK_OK(vdi_deepspike_step(run.net, run.data, &p, &err), err);
    memcpy(theta, of, (size_t)d.generative.theta_count * sizeof *theta);
    trained_free(&run);
    return p.bound;
}

/* A step moves the numbers of its cell to where the bound of that step is higher. */
TEST(deepspike, theta_climbs) {
    const vdi_deepspike_desc d = middle_desc(VDI_DEEPSPIKE_FACTORISED);
    int moved = 0;
    for (int64_t cell = 0; cell < CELLS; cell++) {
        for (int64_t i = 0; i < d.generative.theta_count; i++) {
            double stays[VDI_DEEPSPIKE_THETA], ignored[VDI_DEEPSPIKE_THETA];
            (void)moved_bound(cell, i, 0, stays);
            const double by = stays[i] - d.generative.theta_init[i];
            if (by == 0) continue; /* another cell's turn, or frozen */
            const double high = moved_bound(cell, i, 1e-4, ignored);
            const double low = moved_bound(cell, i, -1e-4, ignored);
            CHECK((high - low) * by > 0, "theta %d of cell %d moves by %g, the bound rises by %g",
                  (int)i, (int)cell, by, (high - low) / 2e-4);
            moved++;
        }
    }
    CHECK(moved >= 2, "%d numbers moved", moved);
}

enum { RESULT_SAMPLES = 200, RESULT_BINS = FRAMES * 2 };

/* Samples against the means and deviations that are given with them, in frames of two bins. */
static void check_samples(const vdi_deepspike_result *out, int family) {
    enum { S = RESULT_SAMPLES, BINS = RESULT_BINS };
    double far_off = 0, noise_off = 0;
    for (int i = 0; i < CELLS; i++) {
        for (int t = 0; t < FRAMES; t++) {
            const double *p = out->probability + i * BINS + 2 * t;
            const double e = out->expected[i * FRAMES + t];
            double mean = 0, square = 0;
            for (int k = 0; k < S; k++) {
                const unsigned char *s = out->sample + ((int64_t)k * CELLS + i) * BINS + 2 * t;
                mean += (double)(s[0] + s[1]) / S;
                square += (double)(s[0] + s[1]) * (s[0] + s[1]) / S;
            }
            CHECK_CLOSE(e, p[0] + p[1], 1e-12);
            far_off = test_worst(far_off, fabs(mean - e) / sqrt(0.5 / S));
            noise_off = test_worst(noise_off, fabs(sqrt(fmax(square - mean * mean, 0)) -
                                                   out->deviation[i * FRAMES + t]));
            CHECK(out->denoised[i * FRAMES + t] - out->denoised[i * FRAMES + t] == 0);
        }
    }
    CHECK(far_off < 4.5 && noise_off < 0.2,
          "family %d: samples are %.2f standard errors from the mean, their deviation is off "
          "by %.3f",
          family, far_off, noise_off);
}

/* A trace's answer does not depend on those beside it; behind its end there is none. */
static void check_alone(vdi_deepspike *net, const double *together, int family) {
    enum { BINS = RESULT_BINS };
    static double f[CELLS * FRAMES], spikes[CELLS * BINS], alone[2 * BINS];
    const int64_t lengths[2] = {FRAMES, FRAMES - 7};
    vdi_deepspike_data_desc dd = VDI__ZERO;
    vdi_deepspike_data *few;
    vdi_deepspike_query q = VDI__ZERO;
    vdi_deepspike_result one = VDI__ZERO;
    vdi_error err;
    middle_traces(f, spikes, 2);
    for (int t = 0; t < FRAMES; t++)
        if (t % 50 < 3 || t > 325) f[FRAMES + t] = (double)NAN;
    dd.traces = vdi_tensor_2d(f, VDI_F64, 2, FRAMES);
    dd.lengths = lengths;
    CHECK_OK(vdi_deepspike_data_create(net, &dd, &few, &err), err);
    q.samples = RESULT_SAMPLES;
    one.probability = alone;
    CHECK_OK(vdi_deepspike_infer(net, few, &q, &one, &err), err);
    CHECK(memcmp(alone, together, sizeof(double) * BINS) == 0, "family %d", family);
    CHECK(alone[2 * BINS - 1] == 0 && alone[2 * BINS - 15] > 0);
    vdi_deepspike_data_destroy(few);
}

TEST(deepspike, results) {
    for (int family = 0; family < 2; family++) {
        vdi_deepspike_desc d = middle_desc((vdi_deepspike_family)family), again;
        vdi_deepspike *net;
        vdi_error err;
        d.upsample = 2;
        d.normalise = true;
        d.has_bias = true;
        d.bias = -1;
        CHECK_OK(vdi_deepspike_create(&d, &net, &err), err);
        vdi_deepspike_data *data = middle_data(net, 1);
        double *v = (double *)malloc(sizeof(double) * CELLS * (RESULT_BINS + 3 * FRAMES));
        vdi_deepspike_query q = VDI__ZERO;
        vdi_deepspike_result out;
        q.samples = RESULT_SAMPLES;
        out.probability = v;
        out.expected = v + CELLS * RESULT_BINS;
        out.deviation = out.expected + CELLS * FRAMES;
        out.denoised = out.deviation + CELLS * FRAMES;
        out.sample = (unsigned char *)malloc((size_t)RESULT_SAMPLES * CELLS * RESULT_BINS);
        CHECK_OK(vdi_deepspike_infer(net, data, &q, &out, &err), err);
        check_samples(&out, family);
        check_alone(net, out.probability, family);
        const vdi_state *state = vdi_deepspike_state(net, data, false);
        CHECK_OK(vdi_deepspike_desc_from_meta(state->meta, state->meta_count, &again, &err), err);
        CHECK(again.posterior == d.posterior && again.layers == 3 && again.channels[1] == 6 &&
              again.width[0] == 11 && again.upsample == 2 && again.normalise && again.bias == -1);
        CHECK(again.dtype == d.dtype && again.train.seed == d.train.seed);
        CHECK_FAILS(vdi_deepspike_desc_from_meta(state->meta, 1, &again, &err), VDI_ERR_FORMAT);
        free(v);
        free(out.sample);
        vdi_deepspike_data_destroy(data);
        vdi_deepspike_destroy(net);
    }
}

/* Every field of a description comes back from the metadata as it was, to the bit. */
TEST(deepspike, metadata_are_complete) {
    const vdi_fields *table = vdi_deepspike_desc_fields();
    vdi_calcium_desc c = vdi_calcium_desc_defaults();
    vdi_deepspike_desc d = VDI__ZERO, again;
    vdi_deepspike *net;
    vdi_error err = {VDI_OK, "", ""};
    d.generative = vdi_deepspike_calcium(&c);
    d.layers = 2;
    d.channels[0] = 5;
    d.channels[1] = 3;
    d.width[0] = 7;
    d.width[1] = 5;
    d.floor = 0.0123;
    d.prior_rate[0] = 1.0 / 3;
    d.prior = VDI_DEEPSPIKE_COUNT;
    d.bias = -1.0 / 7;
    d.has_bias = true;
    d.upsample = 3;
    d.normalise = true;
    d.dtype = VDI_F64;
    d.train.estimator = VDI_DEEPSPIKE_WAKE_SLEEP;
    d.train.snippet = 100;
    d.train.has_buffer = true; /* and none */
    d.train.rate = 1e-3 / 7;
    d.train.clip_norm = -1;
    d.train.schedule.kind = VDI_SCHEDULE_COSINE;
    d.train.schedule.steps = 1234;
    d.train.seed = UINT64_MAX - 5;
    CHECK_OK(vdi_deepspike_create(&d, &net, &err), err);
    const vdi_state *state = vdi_deepspike_state(net, NULL, false);
    CHECK_OK(vdi_deepspike_desc_from_meta(state->meta, state->meta_count, &again, &err), err);
    for (int i = 0; i < table->count; i++) {
        char was[400], is[400];
        (void)vdi_field_text(&table->rows[i], vdi_deepspike_description(net), was, sizeof was);
        (void)vdi_field_text(&table->rows[i], &again, is, sizeof is);
        CHECK(strcmp(was, is) == 0, "%s was %s and is %s", table->rows[i].name, was, is);
    }
    CHECK(again.floor == 0.0123 && again.prior_rate[0] == 1.0 / 3 && again.dtype == VDI_F64 &&
          again.train.seed == UINT64_MAX - 5 && again.train.buffer_first == 0);
    /* the description that is read makes the same network */
    again.generative = vdi_deepspike_calcium(&c);
    vdi_deepspike *twin;
    CHECK_OK(vdi_deepspike_create(&again, &twin, &err), err);
    const vdi_params *a = vdi_deepspike_params(net), *b = vdi_deepspike_params(twin);
    CHECK(a->count == b->count);
    for (int64_t i = 0; i < a->count; i++) {
        CHECK(vdi_tensor_bytes(a->item[i].value) == vdi_tensor_bytes(b->item[i].value) &&
              memcmp(a->item[i].value.data, b->item[i].value.data,
                     vdi_tensor_bytes(a->item[i].value)) == 0);
    }
    vdi_deepspike_destroy(twin);
    /* layers that do not fit together; a key that is missing */
    vdi_meta list[80];
    for (int64_t i = 0; i < state->meta_count; i++) {
        list[i] = state->meta[i];
        if (!strcmp(list[i].key, "width")) list[i].value = "7,5,3";
    }
    CHECK_FAILS(vdi_deepspike_desc_from_meta(list, state->meta_count, &again, &err),
                VDI_ERR_FORMAT);
    CHECK(strstr(err.message, "7,5,3"), "%s", err.message);
    CHECK_FAILS(vdi_deepspike_desc_from_meta(state->meta, state->meta_count - 1, &again, &err),
                VDI_ERR_FORMAT);
    vdi_deepspike_destroy(net);
    /* the ends of the integers are out of range, not undefined */
    d.train.batch = INT64_MAX;
    CHECK_FAILS(vdi_deepspike_desc_check(&d, &err), VDI_ERR_ARGUMENT);
    CHECK(strstr(err.message, "train.batch"), "%s", err.message);
    d.train.batch = 0;
    d.train.snippet = INT64_MIN;
    CHECK_FAILS(vdi_deepspike_desc_check(&d, &err), VDI_ERR_ARGUMENT);
    d.train.snippet = 100;
    d.train.buffer_first = INT64_MAX;
    d.train.buffer_last = INT64_MAX;
    CHECK_FAILS(vdi_deepspike_desc_check(&d, &err), VDI_ERR_ARGUMENT);
}

TEST(deepspike, what_does_not_fit) {
    vdi_deepspike_desc d = middle_desc(VDI_DEEPSPIKE_FACTORISED), bad;
    vdi_deepspike *net = NULL;
    vdi_deepspike_data *data;
    vdi_error err;
    bad = d;
    bad.width[1] = 4;
    CHECK_FAILS(vdi_deepspike_desc_check(&bad, &err), VDI_ERR_ARGUMENT);
    bad = d;
    bad.generative.log_likelihood = NULL;
    CHECK_FAILS(vdi_deepspike_desc_check(&bad, &err), VDI_ERR_ARGUMENT);
    bad = d;
    bad.posterior = VDI_DEEPSPIKE_CORRELATED;
    bad.train.estimator = VDI_DEEPSPIKE_CONCRETE;
    CHECK_FAILS(vdi_deepspike_create(&bad, &net, &err), VDI_ERR_UNSUPPORTED);
    CHECK(!net);
    CHECK_OK(vdi_deepspike_create(&d, &net, &err), err);
    double f[20] = {1, 2, 3};
    vdi_deepspike_data_desc dd = VDI__ZERO;
    CHECK_FAILS(vdi_deepspike_data_create(net, &dd, &data, &err), VDI_ERR_ARGUMENT);
    dd.traces = vdi_tensor_2d(f, VDI_F64, 2, 10);
    for (int t = 10; t < 20; t++)
        f[t] = (double)NAN;
    CHECK_FAILS(vdi_deepspike_data_create(net, &dd, &data, &err), VDI_ERR_DATA);
    CHECK(strstr(err.message, "trace 1") != NULL);
    f[12] = HUGE_VAL;
    f[13] = 1;
    dd.spikes = vdi_tensor_2d(f, VDI_F64, 2, 9);
    CHECK_FAILS(vdi_deepspike_data_create(net, &dd, &data, &err), VDI_ERR_SHAPE);
    dd.spikes.data = NULL;
    CHECK_OK(vdi_deepspike_data_create(net, &dd, &data, &err), err);
    /* a step that leaves the finite numbers changes nothing */
    double *theta = vdi_deepspike_data_theta(data, 0);
    double *other = vdi_deepspike_data_theta(data, 1);
    double kept = other[0];
    theta[1] = other[1] = 1e300;
    vdi_params *p = vdi_deepspike_params(net);
    const float before = ((const float *)p->values)[0];
    CHECK(vdi_deepspike_step(net, data, NULL, &err) < 0);
    CHECK(((const float *)p->values)[0] == before && other[0] == kept);
    vdi_deepspike_data_destroy(data);
    vdi_deepspike_destroy(net);
}

/* ---- against long Markov chains -------------------------------------------------------------- */

enum { LINEAR_T = 1000, LINEAR_SAMPLES = 200 };

/* A linear cell with known parameters, and what Gibbs sampling says of its trace. */
typedef struct linear_cell {
    double raw[4], f[LINEAR_T];
    double marginal[LINEAR_T], adjacent[LINEAR_T]; /* P(s_t), P(s_t and s_t+1) */
} linear_cell;

static void linear_make(linear_cell *cell, const vdi_calcium_desc *c) {
    /* decay 0.93 a bin, amplitude 0.40, noise 0.18 */
    const double raw[4] = {2.6, -0.7, -0.2, -1.6};
    double s[LINEAR_T];
    gibbs chain = VDI__ZERO;
    vdi_error err;
    vdi_rng rng = vdi_rng_make(11, 0);
    memcpy(cell->raw, raw, sizeof raw);
    for (int t = 0; t < LINEAR_T; t++)
        s[t] = vdi_rng_bernoulli(&rng, 0.03);
    CHECK_OK(vdi_calcium_sample(c, raw, VDI_F64, LINEAR_T, s, 0, &rng, NULL, cell->f, &err), err);
    chain.T = LINEAR_T;
    chain.g = vdi_calcium_natural(VDI_CALCIUM_SIGMOID, raw[0]);
    chain.alpha = vdi_calcium_natural(VDI_CALCIUM_SOFTPLUS, raw[1]);
    chain.beta = raw[2];
    chain.sigma = vdi_calcium_natural(VDI_CALCIUM_SOFTPLUS, raw[3]);
    chain.rate = 0.03;
    gibbs_run(&chain, cell->f, 4000, 1, cell->marginal, cell->adjacent);
}

static vdi_deepspike_desc linear_desc(const linear_cell *cell, const vdi_calcium_desc *c,
                                      int family) {
    vdi_deepspike_desc d = VDI__ZERO;
    d.generative = vdi_deepspike_calcium(c);
    for (int i = 0; i < 4; i++) {
        d.generative.theta_init[i] = cell->raw[i];
        d.generative.theta_frozen[i] = true;
    }
    d.posterior = (vdi_deepspike_family)family;
    d.layers = 2;
    d.channels[0] = 16;
    d.channels[1] = 12;
    d.width[0] = 31;
    d.width[1] = 15;
    d.features = 8;
    d.hidden = 24;
    d.prior_rate[0] = 0.03;
    d.train.estimator = VDI_DEEPSPIKE_WAKE_SLEEP;
    d.train.batch = 1;
    d.train.samples = 2;
    d.train.dreams = 32;
    d.train.snippet = 128;
    d.train.has_buffer = true;
    d.train.buffer_last = 16;
    d.train.steps = family ? 500 : 400;
    d.train.rate = 4e-3;
    d.train.clip_norm = 1;
    d.train.schedule.kind = VDI_SCHEDULE_COSINE;
    d.train.schedule.steps = d.train.steps;
    d.train.schedule.last = 0.02;
    return d;
}

/* The bound of 64 samples on the whole trace, mean of five draws. */
static double whole_bound(vdi_deepspike *net, vdi_deepspike_data *data, vdi_deepspike_train tr) {
    const int64_t zero = 0;
    vdi_deepspike_batch whole = VDI__ZERO;
    vdi_error err;
    double sum = 0, one;
    tr.estimator = VDI_DEEPSPIKE_VIMCO;
    tr.samples = 64;
    tr.snippet = LINEAR_T;
    tr.buffer_first = tr.buffer_last = 0;
    CHECK_OK(vdi_deepspike_set_train(net, &tr, &err), err);
    whole.count = 1;
    whole.trace = &zero;
    whole.start = &zero;
    whole.frames = LINEAR_T;
    for (int n = 0; n < 5; n++) {
        whole.draw = (uint64_t)n;
        CHECK_OK(vdi_deepspike_loss(net, data, &whole, &one, NULL, &err), err);
        sum += one;
    }
    return sum / 5;
}

/* Distances from Gibbs sampling, of marginals and of how neighbours vary together; the bound. */
typedef struct linear_figures {
    double apart, pairs, bound;
} linear_figures;

static linear_figures linear_learn(linear_cell *cell, const vdi_calcium_desc *c, int family) {
    enum { T = LINEAR_T, S = LINEAR_SAMPLES };
    static double p[T];
    static unsigned char trains[S * T];
    const vdi_deepspike_desc d = linear_desc(cell, c, family);
    vdi_deepspike_data_desc dd = VDI__ZERO;
    vdi_deepspike_query q = VDI__ZERO;
    vdi_deepspike_result out = VDI__ZERO;
    vdi_deepspike *net;
    vdi_deepspike_data *data;
    vdi_error err;
    linear_figures r = VDI__ZERO;
    CHECK_OK(vdi_deepspike_create(&d, &net, &err), err);
    dd.traces = vdi_tensor_2d(cell->f, VDI_F64, 1, T);
    CHECK_OK(vdi_deepspike_data_create(net, &dd, &data, &err), err);
    CHECK_OK(vdi_deepspike_fit(net, data, NULL, NULL, &err), err);
    q.samples = S;
    out.probability = p;
    out.sample = trains;
    CHECK_OK(vdi_deepspike_infer(net, data, &q, &out, &err), err);
    for (int t = 0; t < T; t++)
        r.apart += fabs(p[t] - cell->marginal[t]) / T;
    for (int t = 0; t + 1 < T; t++) {
        double both = 0, one = 0, other = 0;
        for (int k = 0; k < S; k++) {
            both += trains[k * T + t] * trains[k * T + t + 1];
            one += trains[k * T + t];
            other += trains[k * T + t + 1];
        }
        r.pairs += fabs(both / S - one / S * other / S -
                        (cell->adjacent[t] - cell->marginal[t] * cell->marginal[t + 1])) /
                   T;
    }
    r.bound = whole_bound(net, data, d.train);
    vdi_deepspike_data_destroy(data);
    vdi_deepspike_destroy(net);
    return r;
}

/* One linear cell whose parameters are known, T = 1000: both posteriors, trained on what the model
 * itself draws, against Gibbs sampling. */
TEST(deepspike, posterior_of_a_linear_cell) {
    static linear_cell cell;
    if (test_scaled(10) < 10) SKIP("trains two networks");
    const vdi_calcium_desc c = vdi_calcium_desc_defaults();
    linear_make(&cell, &c);
    const linear_figures factorised = linear_learn(&cell, &c, 0);
    const linear_figures correlated = linear_learn(&cell, &c, 1);
    CHECK(factorised.apart <= 0.02 && correlated.apart <= 0.02,
          "marginals are off by %.4f (factorised) and %.4f (correlated) in the mean",
          factorised.apart, correlated.apart);
    CHECK(correlated.pairs < 0.8 * factorised.pairs,
          "covariances of neighbours are off by %.5f (correlated), %.5f (factorised)",
          correlated.pairs, factorised.pairs);
    CHECK(correlated.bound > factorised.bound,
          "the bound of 64 samples is %.3f (correlated), %.3f (factorised)", correlated.bound,
          factorised.bound);
}

/* How far the gradient scatters between draws of the same snippets: the sum of variances over the
 * network's parameters. */
static double gradient_variance(vdi_deepspike_estimator estimator, int64_t samples, size_t draws) {
    vdi_deepspike_desc d = middle_desc(VDI_DEEPSPIKE_FACTORISED);
    vdi_deepspike *net;
    vdi_error err;
    const int64_t trace[4] = {0, 0, 0, 0}, start[4] = {0, 50, 100, 200};
    vdi_deepspike_batch batch = VDI__ZERO;
    d.dtype = VDI_F64;
    d.train.estimator = estimator;
    d.train.samples = samples;
    CHECK_OK(vdi_deepspike_create(&d, &net, &err), err);
    vdi_deepspike_data *data = middle_data(net, 0);
    const vdi_params *p = vdi_deepspike_params(net);
    double *sum = (double *)calloc((size_t)(2 * p->total), sizeof *sum), bound, variance = 0;
    batch.count = 4;
    batch.frames = 100;
    batch.trace = trace;
    batch.start = start;
    for (size_t n = 0; n < draws; n++) {
        batch.draw = n;
        CHECK_OK(vdi_deepspike_loss(net, data, &batch, &bound, NULL, &err), err);
        for (int64_t i = 0; i < p->total; i++) {
            const double g = ((const double *)p->grads)[i];
            sum[i] += g;
            sum[p->total + i] += g * g;
        }
    }
    for (int64_t i = 0; i < p->total; i++) {
        variance +=
            sum[p->total + i] / (double)draws - sum[i] / (double)draws * (sum[i] / (double)draws);
    }
    free(sum);
    vdi_deepspike_data_destroy(data);
    vdi_deepspike_destroy(net);
    return variance;
}
TEST(deepspike, gradient_variance) {
    const size_t draws = 60;
    const double none = gradient_variance(VDI_DEEPSPIKE_REINFORCE, 1, draws) / 8;
    const double mean = gradient_variance(VDI_DEEPSPIKE_REINFORCE, 8, draws);
    const double vimco = gradient_variance(VDI_DEEPSPIKE_VIMCO, 8, draws);
    const double concrete = gradient_variance(VDI_DEEPSPIKE_CONCRETE, 8, draws);
    CHECK(mean < 0.75 * none, "with the other samples as baseline %g, without one %g", mean, none);
    CHECK(concrete < 0.5 * mean, "relaxed %g, REINFORCE %g", concrete, mean);
    CHECK(vimco < 0.5 * mean, "VIMCO %g, REINFORCE %g", vimco, mean);
}

/* A network of one's own: log odds w x + b, and a frame that the network may see but the likelihood
 * may not. */
static vdi_var own_odds(vdi_tape *t, vdi_var x, const int64_t *trace, void *user) {
    const vdi_params *p = (const vdi_params *)user;
    for (int64_t b = 0; b < vdi_var_dim(t, x, 0); b++)
        CHECK(trace[b] == 0 || trace[b] == 1);
    return vdi_var_affine(t, x, vdi_tape_param(t, &p->item[0]), vdi_tape_param(t, &p->item[1]),
                          VDI_ACT_NONE, 0);
}
TEST(deepspike, network_of_ones_own) {
    enum { T = 40 };
    vdi_param_desc list[2];
    vdi_params *p;
    vdi_error err;
    vdi_deepspike_desc d = VDI__ZERO;
    vdi_calcium_desc c = vdi_calcium_desc_defaults();
    vdi_deepspike *net;
    list[0] = vdi_param_2d("w", VDI_INIT_CONSTANT, 0, 1, 1);
    list[1] = vdi_param_1d("b", VDI_INIT_CONSTANT, -1, 1);
    CHECK_OK(vdi_params_create(list, 2, VDI_F64, NULL, NULL, &p, &err), err);
    d.generative = vdi_deepspike_calcium(&c);
    d.network.params = p;
    d.network.odds = own_odds;
    d.network.user = p;
    d.dtype = VDI_F64;
    d.train.snippet = T;
    d.train.samples = 5;
    d.train.steps = 3;
    CHECK_OK(vdi_deepspike_create(&d, &net, &err), err);
    double f[2 * T], mask[2 * T], bound[2], d_theta[2][4], q[2 * T];
    unsigned long long state = 3;
    for (int i = 0; i < 2 * T; i++) {
        f[i] = test_normal(&state);
        mask[i] = i != 20;
    }
    vdi_deepspike_data *data[2];
    for (int k = 0; k < 2; k++) {
        vdi_deepspike_data_desc dd = VDI__ZERO;
        const int64_t trace = 0, start = 0;
        vdi_deepspike_batch batch = VDI__ZERO;
        if (k)
            f[20] = (double)NAN;
        else
            dd.mask = vdi_tensor_2d(mask, VDI_F64, 2, T);
        dd.traces = vdi_tensor_2d(f, VDI_F64, 2, T);
        CHECK_OK(vdi_deepspike_data_create(net, &dd, &data[k], &err), err);
        batch.count = 1;
        batch.frames = T;
        batch.trace = &trace;
        batch.start = &start;
        CHECK_OK(vdi_deepspike_loss(net, data[k], &batch, &bound[k], d_theta[k], &err), err);
    }
    CHECK(bound[0] == bound[1] && memcmp(d_theta[0], d_theta[1], sizeof d_theta[0]) == 0,
          "a masked frame is as one that is missing: %.17g, %.17g", bound[0], bound[1]);
    for (int step = 0; step < 3; step++)
        CHECK_OK(vdi_deepspike_step(net, data[0], NULL, &err), err);
    const double w = ((const double *)p->item[0].value.data)[0];
    const double b = ((const double *)p->item[1].value.data)[0];
    CHECK(w != 0 && b != -1);
    vdi_deepspike_result out = VDI__ZERO;
    out.probability = q;
    CHECK_OK(vdi_deepspike_infer(net, data[0], NULL, &out, &err), err);
    f[20] = 0;
    for (int i = 0; i < 2 * T; i++) {
        if (i != 20)
            CHECK_CLOSE(q[i], fmin(fmax(1 / (1 + exp(-(w * f[i] + b))), 1e-3), 1 - 1e-3), 1e-14);
    }
    for (int k = 0; k < 2; k++)
        vdi_deepspike_data_destroy(data[k]);
    vdi_deepspike_destroy(net);
    CHECK(((const double *)p->item[0].value.data)[0] == w);
    vdi_params_destroy(p);
}

/* Sizes and scales of data; another prior; a schedule that begins again. */
TEST(deepspike, data_and_settings) {
    enum { TRACES = 2, LONGEST = 8 };
    vdi_deepspike_desc d = small_desc(VDI_DEEPSPIKE_FACTORISED, 1);
    double f[TRACES * LONGEST], bound[2], shift = -1, scale = -1;
    vdi_deepspike_data_desc dd = VDI__ZERO;
    vdi_deepspike_data *data;
    vdi_error err;
    small s;
    for (int i = 0; i < TRACES * LONGEST; i++)
        f[i] = i % 3;
    small_begin(&s, &d);
    dd.traces = vdi_tensor_2d(f, VDI_F64, TRACES, LONGEST);
    CHECK_OK(vdi_deepspike_data_create(s.net, &dd, &data, &err), err);
    CHECK(vdi_deepspike_data_traces(data) == TRACES && vdi_deepspike_data_frames(data) == LONGEST &&
              vdi_deepspike_data_cells(data) == TRACES,
          "each trace is a cell of its own");
    vdi_deepspike_data_scale(data, 1, 0, &shift, &scale);
    CHECK(shift == 0 && scale == 1, "shift %g, scale %g without desc.normalise", shift, scale);
    vdi_deepspike_data_destroy(data);

    CHECK_OK(vdi_deepspike_loss(s.net, s.data, &s.batch, &bound[0], NULL, &err), err);
    vdi_deepspike_set_prior_rate(s.net, 0, 0.4);
    CHECK_OK(vdi_deepspike_loss(s.net, s.data, &s.batch, &bound[1], NULL, &err), err);
    CHECK(bound[1] > bound[0] && vdi_deepspike_description(s.net)->prior_rate[0] == 0.4,
          "spikes in a third of the frames: %g at a rate of 0.4, %g at the default", bound[1],
          bound[0]);

    vdi_params *p = vdi_deepspike_params(s.net);
    const size_t bytes = (size_t)p->total * vdi_dtype_size(p->dtype);
    void *begin = malloc(bytes), *after = malloc(bytes);
    memcpy(begin, p->values, bytes);
    for (int k = 0; k < 2; k++) { /* data are taken anew, since a step changes their theta */
        memcpy(p->values, begin, bytes);
        CHECK_OK(vdi_deepspike_data_create(s.net, &dd, &data, &err), err);
        vdi_deepspike_restart(s.net);
        CHECK_OK(vdi_deepspike_step(s.net, data, NULL, &err), err);
        vdi_deepspike_data_destroy(data);
        if (k == 0) memcpy(after, p->values, bytes);
    }
    CHECK(memcmp(after, p->values, bytes) == 0 && memcmp(after, begin, bytes) != 0,
          "a restart begins the draws and the optimiser again");
    free(begin);
    free(after);
    small_end(&s);
}
