/* tests/explain.c - traces, value checks, what-if and reasons, against recursions and all subsets
   */
#include "sacd_case.h"

/* ---- a trace --------------------------------------------------------------------------------- */

/* The returns' recursion, forwards: head i from step k on, of an episode that was cut off. */
static double realised(const vdi_sacd_trace *t, double alpha, int64_t k, int64_t i) {
    const bool split = t->heads > 1;
    double sum = 0, power = 1;
    for (int64_t j = k; j < t->steps; j++, power *= 0.9) {
        const float *r = t->reward + 3 * j;
        if (j > k && i == t->heads - 1) sum -= power * alpha * t->log_pi[j];
        if (j == t->steps - 1)
            sum += power * t->value[j * t->heads + i];
        else if (!split)
            sum += power * ((double)r[0] + (double)r[1] + (double)r[2]);
        else if (i < 3)
            sum += power * (double)r[i];
    }
    return sum;
}

/* log pi against the density of atanh(a), for an agent in double */
static void check_density(const vdi_sacd_trace *t, vdi_sacd *agent) {
    for (int64_t k = 0; k < t->steps; k++) {
        double obs[3], mean, log_sd, act = (double)t->action[k];
        for (int i = 0; i < 3; i++)
            obs[i] = (double)t->obs[k * 3 + i];
        CHECK(vdi_sacd_policy(agent, 1, obs, &mean, &log_sd) == VDI_OK);
        const double z = (atanh(act) - atanh(mean)) / exp(log_sd);
        const double expected = -0.5 * z * z - log_sd - 0.5 * VDI_LOG_2PI - log(1 - act * act);
        if (fabs(act) < 0.999) CHECK_CLOSE(t->log_pi[k], expected, 1e-3);
    }
}

TEST(explain, a_trace_and_its_returns) {
    vdi_error err = {0};
    for (int algo = 0; algo <= VDI_SACD_SAC; algo += VDI_SACD_SAC) {
        vdi_env env;
        vdi_sacd *agent = NULL;
        vdi_sacd_trace *trace = NULL, *again = NULL;
        vdi_sacd_desc d = VDI__ZERO;
        test_allocator count = {0};
        vdi_allocator a = test_allocator_of(&count);
        CHECK_OK(vdi_env_pendulum(&env), err);
        env.goes_on = false; /* the last return is the value itself */
        d.observations = 3;
        d.actions = 1;
        d.components = 3;
        d.layers = 1;
        d.hidden[0] = 12;
        d.gamma = 0.9;
        d.algo = (vdi_sacd_algo)algo;
        d.dtype = algo ? VDI_F64 : VDI_F32;
        CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
        CHECK_OK(vdi_sacd_trace_create(agent, 300, &a, &trace, &err), err);
        CHECK_OK(vdi_sacd_trace_create(agent, 300, &a, &again, &err), err);
        const long made = count.requests;
        CHECK_OK(vdi_sacd_trace_play(trace, agent, &env, 5, 2, false, &err), err);
        CHECK_OK(vdi_sacd_trace_play(again, agent, &env, 5, 2, false, &err), err);
        const int64_t n = trace->steps, heads = trace->heads;
        CHECK(n == 200 && trace->end == VDI_ENV_TRUNCATED && count.requests == made &&
              heads == (algo ? 1 : 4));
        CHECK(memcmp(trace->returns, again->returns, sizeof(double) * (size_t)(n * heads)) == 0,
              "the same episode differs");
        for (int64_t k = 0; k < n; k += 13) {
            for (int64_t i = 0; i < heads; i++) {
                const double sum = realised(trace, vdi_sacd_alpha(agent), k, i);
                CHECK_CLOSE(trace->returns[k * heads + i], sum, 1e-9 * (1 + fabs(sum)));
            }
        }
        if (algo) check_density(trace, agent);
        CHECK_OK(vdi_sacd_trace_play(trace, agent, &env, 5, 2, true, &err), err);
        CHECK(trace->log_pi[7] == 0);
        vdi_sacd_trace_destroy(again);
        vdi_sacd_trace_destroy(trace);
        CHECK(count.live == 0);
        for (long at = 1; at <= made / 2; at++) {
            count.requests = 0;
            count.fail_at = at;
            CHECK_FAILS(vdi_sacd_trace_create(agent, 300, &a, &trace, &err), VDI_ERR_MEMORY);
            CHECK(trace == NULL && count.live == 0);
        }
        /* cut short */
        CHECK_OK(vdi_sacd_trace_create(agent, 50, NULL, &trace, &err), err);
        CHECK_OK(vdi_sacd_trace_play(trace, agent, &env, 5, 2, false, &err), err);
        CHECK(trace->steps == 50 && trace->end == 0);
        vdi_sacd_trace_destroy(trace);
        CHECK_FAILS(vdi_sacd_trace_create(agent, 0, NULL, &trace, &err), VDI_ERR_ARGUMENT);
        CHECK_FAILS(vdi_sacd_trace_create(agent, INT64_MAX, NULL, &trace, &err), VDI_ERR_MEMORY);
        vdi_sacd_destroy(agent);
        vdi_env_close(&env);
    }
}

/* An environment that ends after three steps, with rewards 1, 2, 4 and 10, 20, 40. */
static vdi_status short_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                              vdi_error *err) {
    *(int *)self = 0;
    obs[0] = (float)(seed + episode);
    (void)err;
    return VDI_OK;
}
static vdi_status short_step(void *self, const float *action, float *obs, float *reward, int *end,
                             vdi_error *err) {
    int *steps = (int *)self;
    (void)err;
    reward[0] = (float)(1 << *steps);
    reward[1] = 10 * reward[0];
    obs[0] = action[0];
    *end = ++*steps == 3 ? VDI_ENV_TERMINATED : 0;
    return VDI_OK;
}

TEST(explain, a_terminal_episode_has_exact_returns) {
    static const char *const names[] = {"ones", "tens"};
    vdi_error err = {0};
    for (int algo = 0; algo <= VDI_SACD_SAC; algo += VDI_SACD_SAC) {
        int steps = 0;
        vdi_env env = {"short", 1,           1,          2,    0,      NULL,  NULL,
                       names,   short_reset, short_step, NULL, &steps, false, false};
        vdi_sacd_desc d = VDI__ZERO;
        vdi_sacd *agent = NULL;
        vdi_sacd_trace *t = NULL;
        double weights[3] = {1, 0.5, 1};
        d.observations = d.actions = 1;
        d.components = 2;
        d.layers = 1;
        d.hidden[0] = 4;
        d.gamma = 0.5;
        d.weights = weights;
        d.algo = (vdi_sacd_algo)algo;
        CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
        CHECK_OK(vdi_sacd_trace_create(agent, 9, NULL, &t, &err), err);
        CHECK_OK(vdi_sacd_trace_play(t, agent, &env, 1, 1, true, &err), err);
        CHECK(t->steps == 3 && t->end == VDI_ENV_TERMINATED);
        if (algo) { /* 6, 12, 24 weighted */
            CHECK(t->returns[2] == 24 && t->returns[1] == 24 && t->returns[0] == 18);
        } else {
            CHECK(t->returns[6] == 4 && t->returns[3] == 4 && t->returns[0] == 3);
            CHECK(t->returns[7] == 40 && t->returns[4] == 40 && t->returns[1] == 30);
            CHECK(t->returns[8] == 0 && t->returns[2] == 0, "there is no entropy in tanh(mean)");
        }
        vdi_sacd_trace_destroy(t);
        vdi_sacd_destroy(agent);
    }
}

/* One for each step, without an end; timed out after ten. */
static vdi_status steady_step(void *self, const float *action, float *obs, float *reward, int *end,
                              vdi_error *err) {
    int *steps = (int *)self;
    (void)err;
    reward[0] = 1;
    obs[0] = action[0];
    *end = ++*steps % 10 == 0 ? VDI_ENV_TRUNCATED : 0;
    return VDI_OK;
}

TEST(explain, what_comes_after_a_time_out) {
    static const char *const names[] = {"one"};
    vdi_error err = {0};
    for (int turn = 0; turn < 3; turn++) { /* it goes on; it does not; our limit comes first */
        int steps = 0;
        vdi_env env = {"steady", 1,           1,           1,    0,      NULL,  NULL,
                       names,    short_reset, steady_step, NULL, &steps, false, turn == 0};
        vdi_sacd_desc d = VDI__ZERO;
        vdi_sacd *agent = NULL;
        vdi_sacd_trace *t = NULL;
        vdi_value_check check = VDI__ZERO;
        if (turn == 2) env.limit = 6;
        d.observations = d.actions = d.components = 1;
        d.layers = 1;
        d.hidden[0] = 4;
        d.gamma = 0.5;
        CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
        CHECK_OK(vdi_sacd_trace_create(agent, 20, NULL, &t, &err), err);
        CHECK_OK(vdi_sacd_trace_play(t, agent, &env, 1, 1, true, &err), err);
        vdi_value_check_add(&check, t);
        CHECK(t->steps == (turn == 2 ? 6 : 10) && t->end == VDI_ENV_TRUNCATED);
        /* 0.5^5 is less than a twentieth */
        CHECK(t->beyond == (turn == 1 ? 0 : 4), "turn %d: %d beyond", turn, (int)t->beyond);
        CHECK(t->known == (turn == 1 ? 5 : t->steps), "turn %d: %d known", turn, (int)t->known);
        CHECK((int)check.count == (int)t->known && (int)check.left_out == (turn == 1 ? 5 : 0));
        for (int k = 0; k < t->known; k++) {
            const double g = t->returns[2 * k], off = pow(0.5, (double)(t->steps - k + t->beyond));
            CHECK(fabs(g - 2) < 8 * off + 1e-12, "turn %d, step %d: %g, expected 2", turn, k, g);
        }
        vdi_sacd_trace_destroy(t);
        vdi_sacd_destroy(agent);
    }
}

/* ---- value against return -------------------------------------------------------------------- */

/* A head that is right, one that is scaled and shifted, one that knows nothing. */
TEST(explain, value_against_return) {
    enum { N = 20000 };
    unsigned long long seed = 31;
    vdi_value_check check = VDI__ZERO;
    for (int k = 0; k < N; k++) {
        double g[3] = {test_normal(&seed), 3 * test_normal(&seed), test_normal(&seed)};
        double q[3] = {g[0], 2 * g[1] + 5, test_normal(&seed)};
        vdi_value_check_pairs(&check, 1, 3, q, g);
    }
    vdi_value_error e = vdi_value_check_head(&check, 0);
    CHECK(e.count == N && fabs(e.bias) < 1e-12 && e.rmse < 1e-7 && fabs(e.slope - 1) < 1e-12 &&
          fabs(e.explained - 1) < 1e-12);
    e = vdi_value_check_head(&check, 1);
    CHECK_CLOSE(e.bias, 5, 0.1);
    CHECK_CLOSE(e.slope, 0.5, 1e-9);
    CHECK_CLOSE(e.explained, 0, 1e-9); /* as far off as a constant would be */
    CHECK_CLOSE(e.rmse, sqrt(25 + 9), 0.2);
    e = vdi_value_check_head(&check, 2);
    CHECK_CLOSE(e.slope, 0, 0.03);
    CHECK_CLOSE(e.explained, -1, 0.05);
    check.count = 0;
    CHECK(isnan(vdi_value_check_head(&check, 0).bias));
    /* a trace is its steps */
    double q[6] = {1, 2, 3, 5, 4, 4}, g[6] = {0, 2, 3, 3, 5, 4};
    vdi_value_check one = VDI__ZERO, other = VDI__ZERO;
    vdi_sacd_trace trace = VDI__ZERO;
    trace.steps = 4; /* of which the last is left out */
    trace.known = 3;
    trace.heads = 2;
    trace.value = q;
    trace.returns = g;
    vdi_value_check_add(&one, &trace);
    vdi_value_check_pairs(&other, 3, 2, q, g);
    other.left_out = 1;
    CHECK(memcmp(&one, &other, sizeof one) == 0 && one.count == 3, "%g pairs", one.count);
    CHECK_CLOSE(vdi_value_check_head(&one, 1).bias, 2.0 / 3, 1e-15);
}

/* ---- what-if --------------------------------------------------------------------------------- */

enum { CANDIDATES = 65 };

/* Against the critic's own minimum, and a search. */
TEST(explain, what_if) {
    vdi_error err = {0};
    unsigned long long seed = 31;
    vdi_sacd *agent = NULL;
    vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F64);
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    float obs[OBS] = {0.5f, -1, 2}, actions[CANDIDATES * ACT], mean[ACT];
    double q0[CANDIDATES * HEADS], q1[CANDIDATES * HEADS], composite[CANDIDATES], value;
    double x[CANDIDATES * OBS], a[CANDIDATES * ACT];
    vdi_rng rng = vdi_rng_make(1, 2);
    CHECK(vdi_sacd_candidates(agent, obs, &rng, CANDIDATES, actions) == VDI_OK);
    CHECK(vdi_sacd_act(agent, obs, true, mean) == VDI_OK);
    CHECK(actions[0] == mean[0] && actions[1] == mean[1]);
    CHECK(vdi_sacd_action_values(agent, obs, CANDIDATES, actions, q0, q1) == VDI_OK);
    for (int k = 0; k < CANDIDATES; k++) {
        for (int i = 0; i < OBS; i++)
            x[k * OBS + i] = (double)obs[i];
        for (int i = 0; i < ACT; i++)
            a[k * ACT + i] = (double)actions[k * ACT + i];
    }
    int64_t changed = 0, first = vdi_what_if(CANDIDATES, HEADS, NULL, q0, q1, NULL);
    for (int round = 0; round < 50; round++) {
        double w[HEADS];
        for (int i = 0; i < HEADS; i++)
            w[i] = test_normal(&seed);
        int64_t best = vdi_what_if(CANDIDATES, HEADS, w, q0, q1, &value), by_search = 0;
        CHECK(vdi_critic_best(vdi_sacd_critic(agent), 0, VDI_CRITIC_COMPOSITE, CANDIDATES, x, a, w,
                              NULL, composite, NULL) == VDI_OK);
        for (int k = 1; k < CANDIDATES; k++) {
            if (composite[k] > composite[by_search]) by_search = k;
        }
        CHECK(best == by_search, "what-if says %d, the critic %d", (int)best, (int)by_search);
        CHECK_CLOSE(value, composite[best], 1e-12);
        changed += best != first;
    }
    CHECK(changed > 0, "no weights change anything");
    CHECK(vdi_what_if(0, HEADS, NULL, q0, q1, NULL) == -1);
    /* what is not a number is never the best */
    q0[first * HEADS] = NAN;
    CHECK(vdi_what_if(CANDIDATES, HEADS, NULL, q0, q1, NULL) != first);
    for (int k = 0; k < CANDIDATES; k++)
        q0[k * HEADS] = q1[k * HEADS] = NAN;
    CHECK(vdi_what_if(CANDIDATES, HEADS, NULL, q0, q1, NULL) == -1);
    vdi_sacd_destroy(agent);
}

/* ---- reasons --------------------------------------------------------------------------------- */

enum { R = 7 };

/* The fewest positive differences whose sum exceeds `against`, by all subsets; -1 if none does. */
static int64_t fewest_of_all(const double *rdx, double against) {
    int64_t fewest = -1;
    for (int set = 0; set < 1 << R; set++) {
        double s = 0;
        int64_t members = 0;
        for (int i = 0; i < R; i++) {
            if (!(set >> i & 1)) continue;
            s += rdx[i];
            members += 1 + (rdx[i] < 0 ? 100 : 0);
        }
        if (s > against && members < 100 && (fewest < 0 || members < fewest)) fewest = members;
    }
    return fewest;
}

TEST(explain, reasons) {
    unsigned long long seed = 77;
    for (int round = 0; round < 2000; round++) {
        double qa[R], qb[R], w[R], rdx[R], against = 0, favour = 0, direct = 0;
        double taken = 0, least = HUGE_VAL, left = 0;
        bool plus[R], minus[R];
        int64_t marked = 0;
        for (int i = 0; i < R; i++) {
            qa[i] = test_normal(&seed);
            qb[i] = test_normal(&seed);
            w[i] = test_uniform(&seed);
            direct += w[i] * (qa[i] - qb[i]);
        }
        CHECK_CLOSE(vdi_reward_difference(R, w, qa, qb, rdx), direct, 1e-12);
        for (int i = 0; i < R; i++) {
            against -= fmin(rdx[i], 0);
            favour += fmax(rdx[i], 0);
        }
        const int64_t size = vdi_minimal_explanation(R, rdx, plus, minus);
        const int64_t fewest = fewest_of_all(rdx, against);
        for (int i = 0; i < R; i++) {
            if (!plus[i]) continue;
            marked++;
            taken += rdx[i];
            least = fmin(least, rdx[i]);
        }
        CHECK(size == fewest, "%d reasons, %d would do", (int)size, (int)fewest);
        if (size < 0) {
            CHECK(favour <= against);
            continue;
        }
        CHECK(marked == size && taken > against);
        for (int i = 0; i < R; i++) {
            CHECK(!minus[i] || rdx[i] < 0);
            if (minus[i]) left -= rdx[i];
        }
        /* all there are, where they do not suffice */
        CHECK(left > taken - least || left == against);
    }
}

/* ---- influence over the past, and a schedule from it ----------------------------------------- */

TEST(explain, taming) {
    vdi_error err = {0};
    vdi_sacd *agent = NULL;
    vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F64);
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    vdi_rng rng = vdi_rng_make(1, 3);
    double share[HEADS], weights[HEADS], total = 0;
    CHECK_FAILS(vdi_sacd_mean_influence(agent, &rng, 10, share, &err), VDI_ERR_STATE);
    remember(agent, PAST);
    CHECK_OK(vdi_sacd_mean_influence(agent, &rng, 200, share, &err), err);
    for (int i = 0; i < HEADS; i++)
        total += share[i];
    CHECK_CLOSE(total, 1, 1e-3);
    double most = fmax(fmax(share[0], share[1]), share[2]) * 0.7;
    int64_t tamed = vdi_sacd_tame(agent, &rng, 200, most, 100, &err);
    CHECK(tamed >= 1 && tamed <= 3, "%d tamed", (int)tamed);
    vdi_sacd_weights(agent, weights);
    double smallest = fmin(fmin(weights[0], weights[1]), weights[2]);
    CHECK(smallest < 0.85 && smallest > 0.5 && weights[HEADS - 1] == 1, "weight %g", smallest);
    for (int k = 0; k < 4; k++)
        remember(agent, 25);
    vdi_sacd_weights(agent, weights);
    for (int i = 0; i < HEADS; i++)
        CHECK(weights[i] == 1);
    CHECK(vdi_sacd_tame(agent, &rng, 10, 0, 100, &err) == VDI_ERR_ARGUMENT);
    vdi_sacd_destroy(agent);
    d.algo = VDI_SACD_SAC;
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    CHECK(vdi_sacd_tame(agent, &rng, 10, 0.5, 100, &err) == VDI_ERR_UNSUPPORTED);
    vdi_sacd_destroy(agent);
}
