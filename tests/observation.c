/* tests/observation.c - the kinds of observation of VILDS: probabilities, draws and constant models
 * of each, and descriptions that read back from metadata */
#include "check.h"

/* ---- what is expected of each kind ------------------------------------------------------------
 * A row each; a kind without one fails. Its parameter is set to `value` by
 * flatten(), and `variance` is that of one value then (NULL: not in closed form).
 */

static double variance_poisson(double mean) { return mean; }
static double variance_gaussian(double mean) {
    (void)mean;
    return exp(-0.6);
}
static double variance_negbin(double mean) { return mean + mean * mean / exp(0.4); }
static double variance_bernoulli(double mean) { return mean * (1 - mean); }
static double variance_zip(double mean) { return mean + mean * mean * exp(-0.8); }

/* The variance of its constant model: that of the mean, of the data, or of the data where they
 * scatter more than Poisson counts. */
typedef enum constant_variance { OF_THE_MEAN, OF_THE_DATA, OF_DATA_THAT_SCATTER } constant_variance;

static const struct {
    const char *name;
    int64_t values; /* how many, from 0 on, matter here; 0: they are no counts */
    constant_variance constant;
    const char *parameter; /* NULL: it has none, or it is set by hand */
    double value;
    double (*variance)(double mean);
} expected[] = {
    {"poisson", 400, OF_THE_MEAN, NULL, 0, variance_poisson},
    {"gaussian", 0, OF_THE_DATA, "obs.log_sd", -0.3, variance_gaussian},
    {"gc", 33, OF_THE_DATA, NULL, 0, NULL},
    {"negbin", 400, OF_DATA_THAT_SCATTER, "obs.log_shape", 0.4, variance_negbin},
    {"bernoulli", 2, OF_THE_DATA, NULL, 0, variance_bernoulli},
    {"zip", 400, OF_DATA_THAT_SCATTER, "obs.zero_log_odds", -0.8, variance_zip},
};

static int row_of(int kind) {
    for (size_t i = 0; i < VDI__COUNT(expected); i++)
        if (strcmp(expected[i].name, vdi_vilds_obs_name(kind)) == 0) return (int)i;
    CHECK(false, "tests/observation.c has no row of %s", vdi_vilds_obs_name(kind));
    return 0;
}

/* ---- helpers --------------------------------------------------------------------------------- */

/* A model whose read-out does not depend on the latent, and whose posterior is the prior: then
 * every bin of a channel has the distribution of its bias. */
static vdi_vilds *constant_model(int kind, vdi_vilds_link link, int64_t n) {
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds *m = NULL;
    vdi_error err = {0};
    desc.d = 1;
    desc.n = n;
    desc.obs = (vdi_vilds_obs)kind;
    desc.link = link;
    desc.linear = desc.encoder_linear = true;
    desc.dtype = VDI_F64;
    desc.max_count = 6;
    CHECK_OK(vdi_vilds_create(&desc, &m, &err), err);
    return m;
}

static vdi_vilds_data *observe(const vdi_vilds *m, double *y, int64_t trials, int64_t T) {
    vdi_vilds_data_desc desc = VDI__ZERO;
    vdi_vilds_data *data = NULL;
    vdi_error err = {0};
    desc.y = vdi_tensor_3d(y, VDI_F64, trials, T, vdi_vilds_description(m)->n);
    CHECK_OK(vdi_vilds_data_create(m, &desc, &data, &err), err);
    return data;
}

static void fill(vdi_vilds *m, const char *name, double value) {
    vdi_param *p = vdi_params_find(vdi_vilds_params(m), name);
    if (p) vdi_tensor_fill(p->value, value);
}

static void set(vdi_vilds *m, const char *name, int64_t i, double value) {
    vdi_param *p = vdi_params_find(vdi_vilds_params(m), name);
    if (p) vdi_dtype_store(p->value.dtype, p->value.data, i, value);
}

static void flatten(vdi_vilds *m, double bias) {
    fill(m, "decoder.0.weight", 0);
    fill(m, "encoder.window", 0);
    fill(m, "encoder.mask", 0);
    fill(m, "encoder.bias", 0);
    fill(m, "decoder.0.bias", bias);
    const int row = row_of((int)vdi_vilds_description(m)->obs);
    if (expected[row].parameter) fill(m, expected[row].parameter, expected[row].value);
    for (int64_t j = 0; j < vdi_vilds_description(m)->n; j++) {
        for (int64_t k = 0; k < 5; k++) { /* g(2) .. g(6) */
            set(m, "obs.g", j * 5 + k, 0.2 * (double)(k + 1) - 0.1 * (double)(k * k));
        }
    }
}

/* Moments of a distribution over 0, 1, ... from its log probabilities. */
typedef struct moments {
    double sum, mean, variance;
} moments;

static moments moments_of(int64_t count, const double *log_p) {
    moments m = {0, 0, 0};
    for (int64_t k = 0; k < count; k++) {
        m.sum += exp(log_p[k]);
        m.mean += exp(log_p[k]) * (double)k;
        m.variance += exp(log_p[k]) * (double)(k * k);
    }
    m.variance -= m.mean * m.mean;
    return m;
}

/* ---- the table ------------------------------------------------------------------------------- */

TEST(observation, names_find_their_kind) {
    vdi_error err = {0};
    for (int i = 0; i < vdi_vilds_obs_count(); i++) {
        vdi_vilds_desc desc = VDI__ZERO;
        const char *name = vdi_vilds_obs_name(i);
        CHECK(vdi_vilds_obs_find(name) == i, "%s is kind %d", name, vdi_vilds_obs_find(name));
        CHECK(strlen(vdi_vilds_obs_help(i)) > 5, "%s has no help", name);
        CHECK_OK(vdi_fields_set(vdi_vilds_desc_fields(), &desc, "obs", name, &err), err);
        CHECK((int)desc.obs == i, "the field takes %s as %d", name, (int)desc.obs);
        CHECK(vdi_vilds_obs_counts(i) == (expected[row_of(i)].values > 0), "%s", name);
    }
    CHECK(vdi_vilds_obs_find("gamma") == -1 && !vdi_vilds_obs_name(-1));
    CHECK(!vdi_vilds_obs_name(vdi_vilds_obs_count()) && !vdi_vilds_obs_counts(99));
    CHECK(vdi_flds_recipe_find("plds") == VDI_FLDS_FROM_PLDS && vdi_flds_recipe_find("x") == -1);
    for (int i = 0; i < vdi_flds_recipe_count(); i++)
        CHECK(vdi_flds_recipe_find(vdi_flds_recipe_name(i)) == i, "recipe %d", i);
}

/* ---- probabilities --------------------------------------------------------------------------- */

/* Of each kind of count and link: the probabilities of all values sum to 1, and have the mean that
 * the posterior's rates have. */
TEST(observation, probabilities_sum_to_one) {
    vdi_error err = {0};
    for (int kind = 0; kind < vdi_vilds_obs_count(); kind++) {
        if (!vdi_vilds_obs_counts(kind)) continue;
        for (int link = 0; link < 2; link++) {
            const int64_t T = expected[row_of(kind)].values;
            vdi_vilds *m = constant_model(kind, (vdi_vilds_link)link, 2);
            double *y = (double *)calloc((size_t)(2 * T), sizeof *y), log_p[800], mean[800], p[400];
            for (int64_t t = 0; t < T; t++)
                y[2 * t] = y[2 * t + 1] = (double)t;
            vdi_vilds_data *data = observe(m, y, 1, T);
            CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
            flatten(m, 0.7);
            CHECK_OK(vdi_vilds_predict(m, data, VDI_VILDS_LEAVE_ONE_OUT, NULL, log_p, mean, &err),
                     err);
            for (int64_t t = 0; t < T; t++)
                p[t] = log_p[2 * t];
            const moments all = moments_of(T, p);
            CHECK_CLOSE(all.sum, 1, 1e-9);
            CHECK_CLOSE(all.mean, mean[0], 1e-7);
            /* a channel has its own numbers: what the first had, the second has */
            for (int64_t k = 0; k < 5; k++)
                set(m, "obs.g", k, -0.3 * (double)(k + 1));
            set(m, "decoder.0.bias", 0, 0.2);
            CHECK_OK(vdi_vilds_predict(m, data, VDI_VILDS_LEAVE_ONE_OUT, NULL, log_p, mean, &err),
                     err);
            for (int64_t t = 0; t < T; t++)
                CHECK_CLOSE(log_p[2 * t + 1], p[t], 1e-9);
            vdi_vilds_data_destroy(data);
            vdi_vilds_destroy(m);
            free(y);
        }
    }
}

/* A decoder of a hidden layer that sees nothing of the latents: its rates are worked out by hand,
 * from the biases and the weights behind them. */
TEST(observation, rates_of_a_hidden_layer) {
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds *m = NULL;
    vdi_error err = {0};
    double y[6] = {1, 0, 2, 1, 0, 3}, rate[6], log_p[6];
    desc.d = 1;
    desc.n = 2;
    desc.layers = 1;
    desc.hidden[0] = 3;
    desc.encoder_linear = true;
    desc.dtype = VDI_F64;
    CHECK_OK(vdi_vilds_create(&desc, &m, &err), err);
    vdi_vilds_data *data = observe(m, y, 1, 3);
    CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
    fill(m, "decoder.0.weight", 0);
    fill(m, "decoder.skip", 0);
    double want[2] = {-0.4, 0.1};
    for (int64_t j = 0; j < 2; j++)
        set(m, "decoder.1.bias", j, want[j]);
    for (int64_t i = 0; i < 3; i++) {
        const double bias = 0.3 * (double)(i + 1) - 0.5;
        set(m, "decoder.0.bias", i, bias);
        for (int64_t j = 0; j < 2; j++) {
            const double weight = 0.2 * (double)(i - j) + 0.3;
            set(m, "decoder.1.weight", i * 2 + j, weight);
            want[j] += weight * tanh(bias);
        }
    }
    CHECK_OK(vdi_vilds_predict(m, data, VDI_VILDS_LEAVE_ONE_OUT, NULL, log_p, rate, &err), err);
    for (int i = 0; i < 6; i++)
        CHECK_CLOSE(rate[i], exp(want[i % 2]), 1e-9);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
}

/* log P(y) from its formula, lgamma in long double. */
static double reference_log_p(int kind, double y, double rate) {
    const long double r = expl(0.4L), m = rate, k = y;
    if (kind == VDI_VILDS_POISSON) return (double)(k * logl(m) - m - lgammal(k + 1));
    return (double)(lgammal(k + r) - lgammal(r) - lgammal(k + 1) + r * logl(r / (r + m)) +
                    k * logl(m / (r + m)));
}

/* Rates from 1e-3 to 1e7 a bin are exact: on the tape, in closed form and by quadrature, for
 * windows and whole trials, in float64 and, as far as float32 tells the rate, in float32. */
TEST(observation, large_rates_are_exact) {
    enum { T = 40 };
    vdi_error err = {0};
    vdi_rng rng = vdi_rng_make(4, 0);
    for (int run = 0; run < 44; run++) {
        const int kind = run & 1 ? VDI_VILDS_NEGBIN : VDI_VILDS_POISSON;
        const bool single = run >> 1 & 1;
        const double rate = pow(10, run / 4 - 3);
        double y[T], log_p[T], wanted = 0, elbo, sum = 0, loss;
        vdi_vilds_desc desc = VDI__ZERO;
        vdi_vilds *m = NULL;
        for (int t = 0; t < T; t++) {
            y[t] = (double)vdi_rng_poisson(&rng, rate);
        }
        y[3] = floor(rate) + 1;
        for (int t = 0; t < T; t++)
            wanted += reference_log_p(kind, y[t], rate) / T;
        desc.d = desc.n = 1;
        desc.obs = (vdi_vilds_obs)kind;
        desc.linear = desc.encoder_linear = true;
        desc.train.window = T / 2;
        desc.train.no_masking = true;
        desc.dtype = single ? VDI_F32 : VDI_F64;
        CHECK_OK(vdi_vilds_create(&desc, &m, &err), err);
        vdi_vilds_data *data = observe(m, y, 1, T);
        CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
        flatten(m, log(rate));
        const double near = single ? 1e-3 + 1e-5 * sqrt(rate) : 1e-7;
        CHECK_OK(vdi_vilds_score(m, data, NULL, &elbo, &err), err);
        CHECK(fabs(elbo - wanted) < near, "kind %d, rate %g: %.9g, not %.9g", kind, rate, elbo,
              wanted);
        CHECK_OK(vdi_vilds_predict(m, data, VDI_VILDS_ONE_STEP, NULL, log_p, NULL, &err), err);
        for (int t = 0; t < T; t++)
            sum += log_p[t] / T;
        CHECK(fabs(sum - wanted) < near, "kind %d, rate %g: predicted %.9g, not %.9g", kind, rate,
              sum, wanted);
        CHECK_OK(vdi_vilds_loss(m, data, 0, &loss, &err), err);
        CHECK(fabs(-loss - wanted) < 5 + 0.3 * fabs(wanted), "rate %g: a window's bound %g, not %g",
              rate, -loss, wanted);
        vdi_vilds_data_destroy(data);
        vdi_vilds_destroy(m);
    }
}

/* ---- constant models ------------------------------------------------------------------------- */

/* Over all values the constant model sums to 1; it has the mean of the training data and, where the
 * family can, their variance. */
TEST(observation, constant_models_have_the_data_s_moments) {
    static const double data_of[3][8] = {
        {0, 1, 0, 1, 1, 0, 0, 0}, {3, 4, 5, 4, 4, 3, 4, 5}, {0, 9, 1, 0, 7, 0, 2, 1}};
    vdi_error err = {0};
    for (int kind = 0; kind < vdi_vilds_obs_count(); kind++) {
        if (!vdi_vilds_obs_counts(kind)) continue;
        const int row = row_of(kind);
        const int64_t values = expected[row].values;
        for (int set = 0; set < (values > 2 ? 3 : 1); set++) {
            double train[8], ramp[400], log_p[400], mean = 0, square = 0;
            vdi_vilds *m = constant_model(kind, VDI_VILDS_EXP, 1);
            memcpy(train, data_of[set], sizeof train);
            for (int i = 0; i < 8; i++) {
                mean += train[i] / 8;
                square += train[i] * train[i] / 8;
            }
            for (int64_t k = 0; k < values; k++)
                ramp[k] = (double)k;
            vdi_vilds_data *first = observe(m, train, 1, 8), *all = observe(m, ramp, 1, values);
            CHECK_OK(vdi_vilds_init(m, first, 0, &err), err);
            CHECK_OK(vdi_vilds_constant(m, all, log_p, &err), err);
            const moments found = moments_of(values, log_p);
            const double variance = square - mean * mean;
            CHECK_CLOSE(found.sum, 1, 1e-7);
            CHECK_CLOSE(found.mean, mean, 1e-6);
            const bool can = expected[row].constant == OF_THE_DATA ||
                             (expected[row].constant == OF_DATA_THAT_SCATTER && variance > mean);
            CHECK_CLOSE(found.variance, can ? variance : mean, 1e-5 * (1 + variance));
            vdi_vilds_data_destroy(first);
            vdi_vilds_data_destroy(all);
            vdi_vilds_destroy(m);
        }
    }
}

/* Of real values: N(mean, sd^2) of what each channel had in training, and 0 for missing ones. */
TEST(observation, constant_model_of_real_values) {
    double train[6] = {1, -10, 3, -30, 8, -20}, test[4] = {2, -15, NAN, -40}, log_p[4];
    vdi_error err = {0};
    vdi_vilds *m = constant_model(VDI_VILDS_GAUSSIAN, VDI_VILDS_EXP, 2);
    vdi_vilds_data *first = observe(m, train, 1, 3), *other = observe(m, test, 1, 2);
    CHECK_OK(vdi_vilds_init(m, first, 0, &err), err);
    CHECK_OK(vdi_vilds_constant(m, other, log_p, &err), err);
    for (int i = 0; i < 4; i++) {
        const double mean = i % 2 ? -20 : 4, variance = i % 2 ? 200.0 / 3 : 26.0 / 3;
        const double e = test[i] - mean;
        CHECK_CLOSE(log_p[i], i == 2 ? 0 : -0.5 * (e * e / variance + log(2 * VDI_PI * variance)),
                    1e-6);
    }
    vdi_vilds_data_destroy(first);
    vdi_vilds_data_destroy(other);
    vdi_vilds_destroy(m);
}

/* Independent coins hold nothing to be found: a model that says of each its share of heads has no
 * bits per spike, whatever its kind. A Poisson process of the same means would give it 0.3. */
TEST(observation, independent_coins_score_nothing) {
    enum { T = 3000, N = 2 };
    static double y[T * N];
    vdi_rng rng = vdi_rng_make(5, 0);
    vdi_error err = {0};
    double heads = 0;
    for (int i = 0; i < T * N; i++) {
        y[i] = vdi_rng_bernoulli(&rng, 0.3);
        heads += y[i] / (T * N);
    }
    for (int kind = 0; kind < vdi_vilds_obs_count(); kind++) {
        vdi_flds_scores s;
        if (kind != VDI_VILDS_BERNOULLI && kind != VDI_VILDS_COUNT) continue;
        vdi_vilds *m = constant_model(kind, VDI_VILDS_EXP, N);
        vdi_vilds_data *data = observe(m, y, 1, T);
        CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
        flatten(m, log(heads / (1 - heads)));
        for (int i = 0; i < 10; i++) { /* of a generalised count: no more than one */
            set(m, "obs.g", i, -60);
        }
        CHECK_OK(vdi_flds_score(m, data, NULL, &s, &err), err);
        CHECK_CLOSE(s.lno_bits, 0, 2e-3);
        CHECK_CLOSE(s.one_step_bits, 0, 2e-3);
        CHECK_CLOSE(s.lno_mse, heads * (1 - heads), 2e-3);
        vdi_vilds_data_destroy(data);
        vdi_vilds_destroy(m);
    }
}

/* ---- drawing --------------------------------------------------------------------------------- */

/* Draws have the mean that the model's rates have, exposure and link included, and the variance of
 * their kind. */
TEST(observation, draws_have_their_moments) {
    enum { B = 40, T = 100, N = 2 };
    static double y[B * T * N], again[B * T * N], rate[B * T * N], offset[B * T * N];
    vdi_error err = {0};
    for (int i = 0; i < B * T * N; i++)
        offset[i] = i % 2 ? 0.4 : -0.2;
    for (int kind = 0; kind < vdi_vilds_obs_count(); kind++) {
        for (int link = 0; link < 2; link++) {
            vdi_vilds *m = constant_model(kind, (vdi_vilds_link)link, N);
            vdi_vilds_draw draw = VDI__ZERO;
            flatten(m, 0.3);
            draw.trials = B;
            draw.T = T;
            draw.seed = 3;
            draw.offset = offset;
            CHECK_OK(vdi_vilds_simulate(m, &draw, NULL, y, &err), err);
            CHECK_OK(vdi_vilds_simulate(m, &draw, NULL, again, &err), err);
            CHECK(!memcmp(y, again, sizeof y), "the same seed draws something else");
            vdi_vilds_data_desc dd = VDI__ZERO;
            vdi_vilds_data *data = NULL;
            dd.y = vdi_tensor_3d(y, VDI_F64, B, T, N);
            dd.has_offset = true;
            dd.offset = vdi_tensor_3d(offset, VDI_F64, B, T, N);
            CHECK_OK(vdi_vilds_data_create(m, &dd, &data, &err), err);
            vdi_vilds_result out = VDI__ZERO;
            out.rate = rate;
            CHECK_OK(vdi_vilds_infer(m, data, NULL, &out, &err), err);
            for (int j = 0; j < N; j++) {
                double mean = 0, square = 0;
                for (int i = j; i < B * T * N; i += N) {
                    mean += y[i] / (B * T);
                    square += y[i] * y[i] / (B * T);
                }
                const double spread = square - mean * mean;
                CHECK_CLOSE(mean, rate[j], 5 * sqrt(spread / (B * T)));
                if (!expected[row_of(kind)].variance) continue;
                const double wanted = expected[row_of(kind)].variance(rate[j]);
                CHECK(fabs(spread / wanted - 1) < 0.15, "%s: variance %g, expected %g",
                      vdi_vilds_obs_name(kind), spread, wanted);
            }
            vdi_vilds_data_destroy(data);
            vdi_vilds_destroy(m);
        }
    }
}

/* Latents have the moments of the prior: the first bin, the stationary rest, and what inputs
 * add. */
TEST(observation, drawn_latents_follow_the_dynamics) {
    enum { B = 4000, T = 6 };
    static double z[B * T], u[B * T];
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_draw draw = VDI__ZERO;
    vdi_vilds *m = NULL;
    vdi_error err = {0};
    double Q = 0.5, Q0 = 2, mean = 3, variance = 2;
    desc.d = desc.n = desc.inputs = 1;
    desc.dtype = VDI_F64;
    CHECK_OK(vdi_vilds_create(&desc, &m, &err), err);
    set(m, "prior.A", 0, 0.8);
    set(m, "prior.x0", 0, 3);
    set(m, "prior.B", 0, -0.5);
    CHECK_OK(vdi_vilds_set_covariance(m, "prior.Q", &Q, &err), err);
    CHECK_OK(vdi_vilds_set_covariance(m, "prior.Q0", &Q0, &err), err);
    for (int i = 0; i < B * T; i++)
        u[i] = i % T;
    draw.trials = B;
    draw.T = T;
    draw.u = u;
    CHECK_OK(vdi_vilds_simulate(m, &draw, z, NULL, &err), err);
    for (int t = 0; t < T; t++) {
        double sum = 0, square = 0, pair = 0;
        if (t) {
            mean = 0.8 * mean - 0.5 * t;
            variance = 0.64 * variance + 0.5;
        }
        for (int i = 0; i < B; i++) {
            const double e = z[i * T + t] - mean;
            sum += e / B;
            square += e * e / B;
            if (t) pair += e * (z[i * T + t] - 0.8 * z[i * T + t - 1] + 0.5 * t) / B;
        }
        CHECK_CLOSE(sum, 0, 5 * sqrt(variance / B));
        CHECK_CLOSE(square, variance, 5 * variance * sqrt(2.0 / B));
        if (t) CHECK_CLOSE(pair, 0.5, 5 * sqrt(0.5 * variance * 2 / B));
    }
    draw.trials = 0;
    CHECK_FAILS(vdi_vilds_simulate(m, &draw, z, NULL, &err), VDI_ERR_ARGUMENT);
    vdi_vilds_destroy(m);
}

/* A network of the last latent adds to A z, to each trial its own: here a constant, another in each
 * latent, and nearly no noise. */
TEST(observation, drawn_latents_follow_a_network) {
    enum { B = 5, T = 4, D = 2 };
    static const double A[D * D] = {0.5, 0, 0, -0.5}, g[D] = {1, -3};
    const double Q[D * D] = {1e-10, 0, 0, 1e-10}, Q0[D * D] = {2, 0, 0, 2};
    double z[B * T * D];
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_draw draw = VDI__ZERO;
    vdi_vilds *m = NULL;
    vdi_error err = {0};
    desc.d = D;
    desc.n = 1;
    desc.transition_layers = 1;
    desc.transition_hidden[0] = 3;
    desc.dtype = VDI_F64;
    CHECK_OK(vdi_vilds_create(&desc, &m, &err), err);
    CHECK(vdi_params_find(vdi_vilds_params(m), "transition.1.weight") != NULL, "no such network");
    fill(m, "transition.1.weight", 0);
    for (int i = 0; i < D; i++)
        set(m, "transition.1.bias", i, g[i]);
    for (int i = 0; i < D * D; i++)
        set(m, "prior.A", i, A[i]);
    CHECK_OK(vdi_vilds_set_covariance(m, "prior.Q", Q, &err), err);
    CHECK_OK(vdi_vilds_set_covariance(m, "prior.Q0", Q0, &err), err);
    draw.trials = B;
    draw.T = T;
    CHECK_OK(vdi_vilds_simulate(m, &draw, z, NULL, &err), err);
    for (int i = D; i < B * T * D; i++) {
        if (i / D % T == 0) continue;
        CHECK_CLOSE(z[i], A[i % D * 3] * z[i - D] + g[i % D], 1e-3);
    }
    vdi_vilds_destroy(m);
}

/* What the network adds to the second bin's forecast arrives there in full: nothing of the first
 * bin depends on it. */
TEST(observation, forecasts_follow_a_network) {
    static const double g[2] = {0.7, -0.4};
    double y[4] = {0.3, -0.2, 0.5, 0.1}, log_p[4], mean[2][4];
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds *m = NULL;
    vdi_error err = {0};
    desc.d = 2;
    desc.n = 1;
    desc.obs = VDI_VILDS_GAUSSIAN;
    desc.linear = desc.encoder_linear = true;
    desc.transition_layers = 1;
    desc.transition_hidden[0] = 3;
    desc.dtype = VDI_F64;
    CHECK_OK(vdi_vilds_create(&desc, &m, &err), err);
    vdi_vilds_data *data = observe(m, y, 1, 4);
    CHECK_OK(vdi_vilds_init(m, data, 0, &err), err);
    fill(m, "transition.1.weight", 0);
    fill(m, "transition.1.bias", 0);
    set(m, "decoder.0.weight", 0, 1); /* the first latent alone is seen */
    set(m, "decoder.0.weight", 1, 0);
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < 2 && k; i++)
            set(m, "transition.1.bias", i, g[i]);
        CHECK_OK(vdi_vilds_predict(m, data, VDI_VILDS_ONE_STEP, NULL, log_p, mean[k], &err), err);
    }
    CHECK_CLOSE(mean[1][0], mean[0][0], 1e-9);
    CHECK_CLOSE(mean[1][1] - mean[0][1], g[0], 1e-6);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
}

/* ---- descriptions and data ------------------------------------------------------------------- */

static vdi_vilds_desc odd_description(void) {
    vdi_vilds_desc d = VDI__ZERO;
    d.d = 3;
    d.n = 7;
    d.inputs = 2;
    d.obs = VDI_VILDS_NEGBIN;
    d.link = VDI_VILDS_SOFTPLUS;
    d.posterior = VDI_VILDS_DIRECT;
    d.linear = true;
    d.encoder_layers = 3;
    d.encoder_hidden[0] = d.encoder_hidden[1] = d.encoder_hidden[2] = 5;
    d.has_reach = true;
    d.transition_layers = 1;
    d.transition_hidden[0] = 4;
    d.bin_width = 1.0 / 3;
    d.a0 = 0.1;
    d.dtype = VDI_F64;
    d.train.steps = 12345;
    d.train.rate = 0.1 / 3;
    d.train.no_masking = true;
    d.train.open_to = 0.7;
    d.train.seed = UINT64_MAX;
    return d;
}

TEST(observation, descriptions_read_back_exactly) {
    vdi_error err = {0};
    vdi_vilds_desc desc = odd_description(), read = VDI__ZERO;
    vdi_vilds *m = NULL, *other = NULL;
    vdi_meta_list list;
    CHECK_OK(vdi_vilds_create(&desc, &m, &err), err);
    const vdi_state *state = vdi_vilds_state(m, false);
    CHECK_OK(vdi_vilds_desc_from_meta(&read, state->meta, state->meta_count, &err), err);
    CHECK(read.linear && read.layers == 0 && read.bin_width == 1.0 / 3 && read.dtype == VDI_F64);
    CHECK(read.train.seed == UINT64_MAX && read.has_reach && read.reach == 0);
    CHECK_OK(vdi_vilds_create(&read, &other, &err), err);
    const vdi_state *again = vdi_vilds_state(other, false);
    CHECK(again->meta_count == state->meta_count, "%d keys, then %d", (int)state->meta_count,
          (int)again->meta_count);
    for (int64_t i = 0; i < again->meta_count; i++) {
        CHECK(!strcmp(again->meta[i].value, state->meta[i].value), "%s is %s, was %s",
              again->meta[i].key, again->meta[i].value, state->meta[i].value);
    }
    memset(&list, 0, sizeof list);
    memcpy(list.meta, state->meta, (size_t)state->meta_count * sizeof *state->meta);
    for (int64_t i = 0; i < state->meta_count; i++) { /* a value that is none is named */
        vdi_meta kept = list.meta[i];
        list.meta[i].value = "?";
        CHECK_FAILS(vdi_vilds_desc_from_meta(&read, list.meta, state->meta_count, &err),
                    VDI_ERR_FORMAT);
        CHECK(strstr(err.message, kept.key), "%s: %s", kept.key, err.message);
        list.meta[i] = kept;
    }
    list.meta[1].key = "something";
    CHECK_FAILS(vdi_vilds_desc_from_meta(&read, list.meta, state->meta_count, &err),
                VDI_ERR_FORMAT);
    vdi_vilds_destroy(m);
    vdi_vilds_destroy(other);
}

TEST(observation, descriptions_out_of_range_are_named) {
    vdi_error err = {0};
    static const struct {
        const char *field;
        size_t offset;
        double value;
        bool real;
    } bad[] = {
        {"d", offsetof(vdi_vilds_desc, d), 65, false},
        {"n", offsetof(vdi_vilds_desc, n), -1, false},
        {"a0", offsetof(vdi_vilds_desc, a0), 1, true},
        {"first_scale", offsetof(vdi_vilds_desc, first_scale), -1, true},
        {"bin_width", offsetof(vdi_vilds_desc, bin_width), 1e9, true},
        {"max_count", offsetof(vdi_vilds_desc, max_count), 1, false},
        {"train.steps", offsetof(vdi_vilds_desc, train.steps), -1, false},
        {"train.rate", offsetof(vdi_vilds_desc, train.rate), 10, true},
        {"train.last_rate", offsetof(vdi_vilds_desc, train.last_rate), 1, true},
        {"train.restarts", offsetof(vdi_vilds_desc, train.restarts), -3, false},
        {"train.restart_steps", offsetof(vdi_vilds_desc, train.restart_steps), -3, false},
        {"train.mask_rate", offsetof(vdi_vilds_desc, train.mask_rate), 1, true},
        {"train.open_to", offsetof(vdi_vilds_desc, train.open_from), 2, true},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vdi_vilds_desc d = VDI__ZERO;
        const int64_t whole = (int64_t)bad[i].value;
        d.d = d.n = 2;
        if (bad[i].real)
            memcpy((char *)&d + bad[i].offset, &bad[i].value, sizeof bad[i].value);
        else
            memcpy((char *)&d + bad[i].offset, &whole, sizeof whole);
        CHECK_FAILS(vdi_vilds_desc_check(&d, &err), VDI_ERR_ARGUMENT);
        CHECK(strstr(err.message, bad[i].field), "%s: %s", bad[i].field, err.message);
    }
    vdi_vilds_query q = VDI__ZERO;
    CHECK_OK(vdi_vilds_query_check(NULL, &err), err);
    CHECK(vdi_vilds_query_defaults(NULL).samples == 16);
    q.iw = -1;
    CHECK_FAILS(vdi_vilds_query_check(&q, &err), VDI_ERR_ARGUMENT);
    q.iw = 2000000000;
    CHECK_FAILS(vdi_vilds_query_check(&q, &err), VDI_ERR_ARGUMENT);
    CHECK(strstr(err.message, "iw is 2000000000"), "%s", err.message);
}

/* Observations that the model does not take: what they are is told, and where. */
TEST(observation, data_are_checked) {
    enum { T = 4, N = 2 };
    double y[T * N] = {0}, elbo;
    vdi_error err = {0};
    vdi_vilds_data_desc dd = VDI__ZERO;
    vdi_vilds_data *data = NULL;
    static const struct {
        int kind;
        double value;
        const char *told;
    } bad[] = {
        {VDI_VILDS_POISSON, -1, "y[0,1,1] is -1: expected a count"},
        {VDI_VILDS_NEGBIN, 0.5, "y[0,1,1] is 0.5: expected a count"},
        {VDI_VILDS_COUNT, HUGE_VAL, "y[0,1,1] is inf: expected a count"},
        {VDI_VILDS_BERNOULLI, 2, "y[0,1,1] is 2: expected 0 or 1"},
        {VDI_VILDS_GAUSSIAN, HUGE_VAL, "y[0,1,1] is inf: expected a finite number"},
    };
    dd.y = vdi_tensor_2d(y, VDI_F64, T, N);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vdi_vilds *m = constant_model(bad[i].kind, VDI_VILDS_EXP, N);
        y[3] = bad[i].value;
        CHECK_FAILS(vdi_vilds_data_create(m, &dd, &data, &err), VDI_ERR_DATA);
        CHECK(!strcmp(err.message, bad[i].told), "%s", err.message);
        vdi_vilds_destroy(m);
    }
    vdi_vilds *m = constant_model(VDI_VILDS_POISSON, VDI_VILDS_EXP, N);
    vdi_vilds *wide = constant_model(VDI_VILDS_POISSON, VDI_VILDS_EXP, N + 1);
    for (int i = 0; i < T * N; i++)
        y[i] = NAN;
    CHECK_FAILS(vdi_vilds_data_create(m, &dd, &data, &err), VDI_ERR_DATA);
    CHECK(strstr(err.message, "all missing"), "%s", err.message);
    y[5] = 1;
    CHECK_OK(vdi_vilds_data_desc_check(m, &dd, &err), err);
    CHECK_FAILS(vdi_vilds_data_desc_check(wide, &dd, &err), VDI_ERR_SHAPE);
    CHECK_OK(vdi_vilds_data_create(m, &dd, &data, &err), err);
    CHECK_FAILS(vdi_vilds_score(wide, data, NULL, &elbo, &err), VDI_ERR_SHAPE);
    CHECK_FAILS(vdi_vilds_step(wide, data, NULL, NULL, &err), VDI_ERR_SHAPE);
    CHECK_FAILS(vdi_vilds_predict(wide, data, VDI_VILDS_ONE_STEP, NULL, NULL, NULL, &err),
                VDI_ERR_SHAPE);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
    vdi_vilds_destroy(wide);
}
