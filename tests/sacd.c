/* tests/sacd.c - the agent: targets and one update against a tape, bits, transactions, states,
   episodes */
#include "sacd_case.h"

/* ---- targets --------------------------------------------------------------------------------- */

TEST(sacd, targets_sum_to_sac) {
    unsigned long long seed = 7;
    vdi_error err = {0};
    for (int terminals = 0; terminals < 2; terminals++) {
        vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F32);
        vdi_sacd_desc plain = small_desc(VDI_SACD_SAC, VDI_F32);
        d.entropy_at_terminals = plain.entropy_at_terminals = terminals != 0;
        vdi_sacd *split = NULL, *sac = NULL;
        CHECK_OK(vdi_sacd_create(&d, &split, &err), err);
        CHECK_OK(vdi_sacd_create(&plain, &sac, &err), err);
        const double alpha = exp(-0.7);
        for (int k = 0; k < 2000; k++) {
            float q[2][HEADS], reward[M], best[HEADS];
            double sum[2] = {0, 0}, composite, picked[HEADS], y[HEADS], total = 0, whole;
            for (int j = 0; j < 2; j++) {
                for (int i = 0; i < HEADS; i++) {
                    q[j][i] = (float)(5 * test_normal(&seed));
                    sum[j] += (double)q[j][i];
                }
            }
            for (int i = 0; i < M; i++)
                reward[i] = (float)test_normal(&seed);
            const double log_pi = 3 * test_normal(&seed);
            const int end = k % 4;
            vdi_critic_minimum(VDI_F32, VDI_CRITIC_COMPOSITE, 1, HEADS, NULL, q[0], q[1], best,
                               &composite, NULL);
            CHECK_CLOSE(composite, fmin(sum[0], sum[1]), 1e-12);
            for (int i = 0; i < HEADS; i++)
                picked[i] = (double)best[i];
            vdi_sacd_target(split, reward, end, picked, log_pi, y);
            for (int i = 0; i < HEADS; i++)
                total += y[i];
            vdi_sacd_target(sac, reward, end, &composite, log_pi, &whole);
            CHECK_CLOSE(total, whole, 1e-12);
            double r = (double)reward[0] + (double)reward[1] + (double)reward[2], by_hand = r;
            if (!(end & VDI_ENV_TERMINATED))
                by_hand += 0.99 * (fmin(sum[0], sum[1]) - alpha * log_pi);
            else if (terminals)
                by_hand -= 0.99 * alpha * log_pi;
            CHECK_CLOSE(whole, by_hand, 1e-5);
        }
        vdi_sacd_destroy(split);
        vdi_sacd_destroy(sac);
    }
}

/* ---- one update against the tape ------------------------------------------------------------- */

enum { LAYERS = 3, PARAMS = 2 * LAYERS, MOST = 512 };
static const double GAMMA = 0.99, TAU = 0.005, RATE = 3e-4;

typedef struct taped {
    vdi_var w[LAYERS], b[LAYERS];
    vdi_tensor grad[PARAMS]; /* w0 b0 w1 b1 w2 b2 */
} taped;

/* An update, its random numbers, and everything that a tape says about it. */
typedef struct update_case {
    vdi_sacd_desc desc;
    vdi_sacd *agent;
    const vdi_state *s;
    int heads;
    double weights[HEADS], alpha; /* weights of the heads */
    double obs[BATCH * OBS], action[BATCH * ACT], next[BATCH * OBS], noise[2][BATCH * ACT];
    vdi_transition past[BATCH];
    vdi_tape *t;
    taped policy, fixed, frozen[2], target[2], critic[2];
    double y[BATCH * HEADS];
    double policy_loss, mean_log_pi, loss[HEADS];
    double g[2][HEADS][MOST], total[2][MOST]; /* gradients: of each head's loss, and of the step */
    double gram[HEADS * HEADS];               /* of the second twin */
} update_case;

static void taped_net(vdi_tape *t, const vdi_state *s, const char *prefix, int learns, taped *out) {
    for (int i = 0; i < PARAMS; i++) {
        char name[64];
        vdi_error err = {0};
        snprintf(name, sizeof name, "%s.%d.%s", prefix, i / 2, i % 2 ? "bias" : "weight");
        vdi_tensor v = state_find(s, name);
        vdi_var *to = i % 2 ? &out->b[i / 2] : &out->w[i / 2];
        if (learns) {
            CHECK_OK(vdi_tensor_alloc(NULL, VDI_F64, v.ndim, v.shape, &out->grad[i], &err), err);
            *to = vdi_tape_leaf(t, v, out->grad[i]);
        } else {
            *to = vdi_tape_constant(t, v);
        }
    }
}
static vdi_var taped_apply(vdi_tape *t, const taped *n, vdi_var x) {
    for (int l = 0; l < LAYERS; l++) {
        x = vdi_var_affine(t, x, n->w[l], n->b[l], l < LAYERS - 1 ? VDI_ACT_RELU : VDI_ACT_NONE, 0);
    }
    return x;
}
static vdi_var taped_sample(vdi_tape *t, const taped *policy, vdi_var obs, double *noise,
                            vdi_var *log_pi) {
    vdi_var out = taped_apply(t, policy, obs);
    vdi_var mean = vdi_var_slice(t, out, 1, 0, 1, ACT);
    vdi_var raw = vdi_var_slice(t, out, 1, ACT, 1, ACT);
    vdi_var eps = vdi_tape_constant(t, vdi_tensor_2d(noise, VDI_F64, BATCH, ACT));
    return vdi_var_tanh_normal_sample(t, mean, vdi_var_clip(t, raw, -20, 2), eps, log_pi);
}
static vdi_var taped_pair(vdi_tape *t, vdi_var obs, vdi_var action) {
    vdi_var parts[2];
    parts[0] = obs;
    parts[1] = action;
    return vdi_var_concat(t, parts, 2, 1);
}

/* What the update will draw. */
static void case_draw(update_case *u) {
    vdi_rng rng = vdi_rng_make(u->desc.seed, (uint64_t)2 << 56);
    for (int b = 0; b < BATCH; b++) {
        const vdi_transition r =
            vdi_replay_get(vdi_sacd_replay(u->agent), (int64_t)vdi_rng_below(&rng, PAST));
        u->past[b] = r;
        for (int i = 0; i < OBS; i++) {
            u->obs[b * OBS + i] = (double)r.obs[i];
            u->next[b * OBS + i] = (double)r.next[i];
        }
        for (int i = 0; i < ACT; i++)
            u->action[b * ACT + i] = (double)r.action[i];
    }
    for (int k = 0; k < 2; k++) {
        rng = vdi_rng_make(u->desc.seed, (uint64_t)(3 + k) << 56);
        vdi_rng_fill_normal(&rng, VDI_F64, BATCH * ACT, u->noise[k]);
    }
}

static void case_make(update_case *u, vdi_sacd_algo algo, double lambda) {
    static const double weights[HEADS] = {1, 0.5, -0.7, 1}, plain[HEADS] = {1, 1, 1, 1};
    vdi_error err = {0};
    memset(u, 0, sizeof *u);
    u->desc = small_desc(algo, VDI_F64);
    u->heads = algo == VDI_SACD_SAC ? 1 : HEADS;
    memcpy(u->weights, algo == VDI_SACD_SAC ? plain : weights, sizeof u->weights);
    u->desc.weights = weights;
    u->desc.cagrad_c = 0.6;
    u->desc.has_cagrad_c = true;
    u->desc.composite_weight = lambda;
    u->desc.has_composite_weight = true;
    u->desc.rate = RATE;
    u->desc.critic_rate = 4 * RATE;
    CHECK_OK(vdi_sacd_create(&u->desc, &u->agent, &err), err);
    remember(u->agent, PAST + 7);
    u->s = vdi_sacd_state(u->agent, true);
    /* one log sd beyond its limit: no gradient */
    ((double *)state_find(u->s, "policy.2.bias").data)[2 * ACT - 1] = 5;
    u->alpha = exp(-0.7);
    case_draw(u);
    vdi_tape_desc td = vdi_tape_desc_defaults();
    td.dtype = VDI_F64;
    CHECK_OK(vdi_tape_create(&td, &u->t, &err), err);
    taped_net(u->t, u->s, "policy", 1, &u->policy);
    taped_net(u->t, u->s, "policy", 0, &u->fixed);
    for (int j = 0; j < 2; j++) {
        taped_net(u->t, u->s, j ? "critic1" : "critic0", 1, &u->critic[j]);
        taped_net(u->t, u->s, j ? "critic1" : "critic0", 0, &u->frozen[j]);
        taped_net(u->t, u->s, j ? "target1" : "target0", 0, &u->target[j]);
    }
}

/* y of one transition, from both target critics there. */
static void case_target(update_case *u, int b, const double *const *q, double log_pi) {
    const vdi_transition *r = &u->past[b];
    const double keep = r->end & VDI_ENV_TERMINATED ? 0 : GAMMA, *w = u->desc.weights;
    double sum[2] = {0, 0}, all = 0;
    for (int i = 0; i < u->heads; i++) {
        for (int j = 0; j < 2; j++)
            sum[j] += u->weights[i] * q[j][b * u->heads + i];
    }
    for (int i = 0; i < M; i++)
        all += w[i] * (double)r->reward[i];
    for (int i = 0; i < u->heads; i++) {
        const int at = b * u->heads + i;
        int j = sum[1] < sum[0];
        if (u->desc.algo == VDI_SACD_NAIVE) {
            j = u->weights[i] * q[1][at] < u->weights[i] * q[0][at];
        }
        double reward = i < M ? (double)r->reward[i] : 0;
        if (u->desc.algo == VDI_SACD_SAC) reward = all;
        u->y[at] = reward + keep * (q[j][at] - (i == u->heads - 1 ? u->alpha * log_pi : 0));
    }
}

static void case_targets(update_case *u) {
    vdi_var log_pi, next = vdi_tape_constant(u->t, vdi_tensor_2d(u->next, VDI_F64, BATCH, OBS));
    vdi_var a = taped_sample(u->t, &u->fixed, next, u->noise[0], &log_pi);
    vdi_var x = taped_pair(u->t, next, a);
    const double *q[2];
    for (int j = 0; j < 2; j++)
        q[j] = (const double *)vdi_tape_value(u->t, taped_apply(u->t, &u->target[j], x)).data;
    for (int b = 0; b < BATCH; b++)
        case_target(u, b, q, ((const double *)vdi_tape_value(u->t, log_pi).data)[b]);
}

/* The policy's loss, backward. */
static void case_policy(update_case *u) {
    vdi_tape *t = u->t;
    vdi_error err = {0};
    const bool naive = u->desc.algo == VDI_SACD_NAIVE;
    vdi_var log_pi, value[2],
        obs = vdi_tape_constant(t, vdi_tensor_2d(u->obs, VDI_F64, BATCH, OBS));
    vdi_var x = taped_pair(t, obs, taped_sample(t, &u->policy, obs, u->noise[1], &log_pi));
    vdi_var w = vdi_tape_constant(t, vdi_tensor_1d(u->weights, VDI_F64, u->heads));
    for (int j = 0; j < 2; j++) {
        value[j] = vdi_var_mul(t, taped_apply(t, &u->frozen[j], x), w);
        if (!naive) value[j] = vdi_var_sum_axis(t, value[j], 1, false);
    }
    vdi_var best = vdi_var_binary(t, VDI_MIN, value[0], value[1]);
    if (naive) best = vdi_var_sum_axis(t, best, 1, false);
    vdi_var loss =
        vdi_var_mean(t, vdi_var_sub(t, vdi_var_scale_shift(t, log_pi, u->alpha, 0), best));
    u->policy_loss = vdi_tape_item(t, loss);
    u->mean_log_pi = vdi_tape_item(t, vdi_var_mean(t, log_pi));
    CHECK_OK(vdi_tape_backward(t, loss), err);
}

/* The gradient of a scalar in all parameters of a critic, one behind the other; returns how many.
   */
static int64_t case_backward(update_case *u, taped *net, vdi_var scalar, double *out) {
    int64_t total = 0;
    for (int l = 0; l < PARAMS; l++)
        vdi_tensor_fill(net->grad[l], 0);
    CHECK(vdi_tape_backward(u->t, scalar) == VDI_OK);
    for (int l = 0; l < PARAMS; l++) {
        const int64_t n = vdi_tensor_count(net->grad[l]);
        memcpy(out + total, net->grad[l].data, (size_t)n * sizeof(double));
        total += n;
    }
    return total;
}

/* One critic: the loss of each head by itself, so that CAGrad can be checked too, and the term of
   the composite. */
static void case_critic(update_case *u, int j) {
    vdi_tape *t = u->t;
    const int n = u->heads;
    double k[HEADS], second[MOST];
    vdi_var obs = vdi_tape_constant(t, vdi_tensor_2d(u->obs, VDI_F64, BATCH, OBS));
    vdi_var action = vdi_tape_constant(t, vdi_tensor_2d(u->action, VDI_F64, BATCH, ACT));
    vdi_var y = vdi_tape_constant(t, vdi_tensor_2d(u->y, VDI_F64, BATCH, n));
    vdi_var w = vdi_tape_constant(t, vdi_tensor_1d(u->weights, VDI_F64, n));
    vdi_var e = vdi_var_sub(t, taped_apply(t, &u->critic[j], taped_pair(t, obs, action)), y);
    vdi_var losses = vdi_var_mean_axis(t, vdi_var_square(t, e), 0, false);
    vdi_var sum = vdi_var_sum_axis(t, vdi_var_mul(t, e, w), 1, false);
    vdi_var composite = vdi_var_mean(t, vdi_var_square(t, sum));
    int64_t total = 0;
    for (int i = 0; i < n; i++) {
        u->loss[i] += ((const double *)vdi_tape_value(t, losses).data)[i] / 2;
        total = case_backward(u, &u->critic[j], vdi_var_index(t, losses, 0, i), u->g[j][i]);
    }
    (void)case_backward(u, &u->critic[j], composite, second);
    for (int a = 0; a < n * n; a++)
        u->gram[a] = vdi_dot(VDI_F64, (size_t)total, u->g[j][a / n], u->g[j][a % n]);
    CHECK(vdi_cagrad(n, u->gram, u->desc.algo == VDI_SACD_CAGRAD ? 0.6 : 0, k, NULL) == VDI_OK);
    for (int64_t at = 0; at < total; at++) {
        u->total[j][at] = n > 1 ? u->desc.composite_weight * second[at] : 0;
        for (int a = 0; a < n; a++)
            u->total[j][at] += k[a] * u->g[j][a][at];
    }
}

/* Adam's first memory is a tenth of the gradient. */
static double case_memory(const update_case *u, const char *prefix, const double *gradient) {
    double worst = 0;
    for (int l = 0; l < PARAMS; l++) {
        char name[64];
        snprintf(name, sizeof name, "%s.m.%d.%s", prefix, l / 2, l % 2 ? "bias" : "weight");
        vdi_tensor m = state_find(u->s, name);
        for (int64_t i = 0; i < vdi_tensor_count(m); i++)
            worst = test_worst(worst, fabs(10 * ((double *)m.data)[i] - *gradient++));
    }
    return worst;
}

static void case_check(update_case *u, const vdi_sacd_stats *stats) {
    const char *name = vdi_sacd_algo_name(u->desc.algo);
    const bool averse = u->desc.algo == VDI_SACD_CAGRAD;
    double policy[MOST], gram[HEADS * HEADS];
    vdi_error err;
    int64_t total = 0;
    CHECK_CLOSE(stats->policy_loss, u->policy_loss, 1e-12);
    CHECK_CLOSE(stats->entropy, -u->mean_log_pi, 1e-12);
    for (int i = 0; i < u->heads; i++)
        CHECK_CLOSE(stats->loss[i], u->loss[i], 1e-12);
    vdi_status told = vdi_critic_gram(vdi_sacd_critic(u->agent), 1, gram, &err);
    CHECK(told == (averse ? VDI_OK : VDI_ERR_STATE), "%s: status %d", name, told);
    for (int i = 0; told == VDI_OK && i < u->heads * u->heads; i++) {
        CHECK(fabs(gram[i] - u->gram[i]) < 1e-10 * (1 + fabs(u->gram[i])),
              "Gram matrix: %.17g, not %.17g", gram[i], u->gram[i]);
    }
    for (int l = 0; l < PARAMS; l++) {
        const int64_t n = vdi_tensor_count(u->policy.grad[l]);
        memcpy(policy + total, u->policy.grad[l].data, (size_t)n * sizeof(double));
        total += n;
    }
    double worst = case_memory(u, "policy", policy);
    CHECK(worst < 1e-13, "%s: gradient of the policy off by %g", name, worst);
    for (int j = 0; j < 2; j++) {
        worst = case_memory(u, j ? "critic1" : "critic0", u->total[j]);
        CHECK(worst < (averse ? 1e-9 : 1e-12), "%s: gradient of twin %d off by %g", name, j, worst);
    }
    const double sign = -(u->mean_log_pi - ACT) > 0 ? 1 : -1;
    CHECK_CLOSE(vdi_sacd_alpha(u->agent), exp(-0.7 - RATE * sign), 1e-9);
}

/* A parameter that has a gradient moves by the rate in the first step, a target by tau of that. */
static void case_check_steps(const update_case *u, const double *critic, const double *target,
                             const double *policy) {
    const double *now = (const double *)state_find(u->s, "critic0.1.weight").data;
    const double *behind = (const double *)state_find(u->s, "target0.1.weight").data;
    const double *acts = (const double *)state_find(u->s, "policy.1.weight").data;
    const double *m = (const double *)state_find(u->s, "critic0.m.1.weight").data;
    const double *pm = (const double *)state_find(u->s, "policy.m.1.weight").data;
    int moved = 0;
    for (int i = 0; i < 63; i++) {
        CHECK_CLOSE(behind[i], (1 - TAU) * target[i] + TAU * now[i], 1e-15);
        if (fabs(m[i]) > 1e-4) CHECK_CLOSE(fabs(now[i] - critic[i]), 4 * RATE, 1e-7);
        if (fabs(pm[i]) > 1e-4) CHECK_CLOSE(fabs(acts[i] - policy[i]), RATE, 1e-7);
        moved += fabs(m[i]) > 1e-4 && fabs(pm[i]) > 1e-4;
    }
    CHECK(moved > 10, "%d weights have a gradient", moved);
}

TEST(sacd, an_update_equals_the_tape) {
    static update_case u;
    for (int k = 0; k < 2 * (VDI_SACD_SAC + 1); k++) {
        vdi_error err = {0};
        vdi_sacd_stats stats;
        double critic[63], target[63], policy[63];
        case_make(&u, (vdi_sacd_algo)(k / 2), k % 2 ? 0.3 : 0);
        case_targets(&u);
        case_policy(&u);
        for (int j = 0; j < 2; j++)
            case_critic(&u, j);
        memcpy(critic, state_find(u.s, "critic0.1.weight").data, sizeof critic);
        memcpy(target, state_find(u.s, "target0.1.weight").data, sizeof target);
        memcpy(policy, state_find(u.s, "policy.1.weight").data, sizeof policy);
        CHECK_OK(vdi_sacd_update(u.agent, &stats, &err), err);
        case_check(&u, &stats);
        case_check_steps(&u, critic, target, policy);
        for (int l = 0; l < PARAMS; l++) {
            vdi_tensor_free(NULL, &u.policy.grad[l]);
            for (int j = 0; j < 2; j++)
                vdi_tensor_free(NULL, &u.critic[j].grad[l]);
        }
        vdi_tape_destroy(u.t);
        vdi_sacd_destroy(u.agent);
    }
}

/* ---- bits ------------------------------------------------------------------------------------ */

enum { RUNS = 4, THREADED = 1, AFTER_AN_END = 2, MIDDLE = 3 };

/* Four runs of the same agent: alone, with threads, and resumed from the first: where an episode
   had just ended, and in the middle of one. */
typedef struct bit_case {
    vdi_env env[RUNS];
    vdi_sacd *agent[RUNS];
    vdi_sacd_episode *episode[RUNS];
} bit_case;

static void bits_make(bit_case *c, vdi_sacd_algo algo, vdi_dtype dtype, vdi_pool *pool) {
    vdi_error err = {0};
    vdi_sacd_desc d = VDI__ZERO;
    d.observations = 3;
    d.actions = 1;
    d.components = 3;
    d.algo = algo;
    d.dtype = dtype;
    d.layers = 2;
    d.hidden[0] = 150;
    d.hidden[1] = 17;
    d.batch = 53;
    d.start = 180;
    d.capacity = 230;
    d.seed = 5;
    d.composite_weight = 0.1;
    d.has_composite_weight = true;
    d.update_every = dtype == VDI_F64 ? 3 : 1;
    d.noise_hold = dtype == VDI_F64 ? 1 : 5;
    for (int k = 0; k < RUNS; k++) {
        d.pool = k == THREADED ? pool : NULL;
        CHECK_OK(vdi_env_pendulum(&c->env[k]), err);
        CHECK_OK(vdi_sacd_create(&d, &c->agent[k], &err), err);
        CHECK_OK(vdi_sacd_episode_create(c->agent[k], NULL, &c->episode[k], &err), err);
    }
}

static void bits_resume(bit_case *c, int k) {
    vdi_error err = {0};
    bool exact = false;
    CHECK_OK(vdi_sacd_restore(c->agent[k], vdi_sacd_state(c->agent[0], true), &err), err);
    c->episode[k]->index = c->episode[0]->index;
    c->episode[k]->steps = c->episode[0]->steps;
    CHECK_OK(vdi_sacd_catch_up(c->agent[k], &c->env[k], c->episode[k], &exact, &err), err);
    CHECK(exact);
    if (k != MIDDLE) return;
    CHECK(memcmp(c->episode[k]->sum, c->episode[0]->sum, 3 * sizeof(double)) == 0);
    CHECK(memcmp(c->episode[k]->obs, c->episode[0]->obs, 3 * sizeof(float)) == 0);
    CHECK(c->episode[k]->running && c->episode[k]->steps == c->episode[0]->steps);
}

TEST(sacd, the_same_bits) {
    for (int k = 0; k < 2 * (VDI_SACD_SAC + 1); k++) {
        static bit_case c;
        vdi_pool *pool = NULL;
        vdi_error err = {0};
        const char *name = vdi_sacd_algo_name((vdi_sacd_algo)(k / 2));
        CHECK_OK(vdi_pool_create(3, NULL, &pool, &err), err);
        bits_make(&c, (vdi_sacd_algo)(k / 2), k % 2 ? VDI_F64 : VDI_F32, pool);
        for (int step = 0; step < 260; step++) {
            if (step == 200) bits_resume(&c, AFTER_AN_END);
            if (step == 241) bits_resume(&c, MIDDLE);
            for (int run = 0; run < RUNS; run++) {
                if ((run == AFTER_AN_END && step < 200) || (run == MIDDLE && step < 241)) continue;
                CHECK_OK(vdi_sacd_step(c.agent[run], &c.env[run], c.episode[run], NULL, &err), err);
            }
        }
        for (int run = 1; run < RUNS; run++) {
            CHECK(state_same(vdi_sacd_state(c.agent[0], true), vdi_sacd_state(c.agent[run], true)),
                  "%s %d: run %d differs", name, k % 2, run);
            CHECK(c.episode[run]->index == c.episode[0]->index &&
                  c.episode[run]->steps == c.episode[0]->steps);
        }
        for (int run = 0; run < RUNS; run++) {
            vdi_sacd_episode_destroy(c.episode[run]);
            vdi_sacd_destroy(c.agent[run]);
            vdi_env_close(&c.env[run]);
        }
        vdi_pool_destroy(pool);
    }
}

/* Simulators that do not repeat themselves after a reset, each in one way; the last one does. */
typedef enum fickle_way { FIRST_OBS, NEXT_OBS, REWARD, END, STEADY } fickle_way;
typedef struct fickle {
    fickle_way way;
    int resets, steps;
} fickle;
static float fickle_noise(const fickle *f, fickle_way way) {
    return f->way == way ? (float)f->resets : 0;
}
static vdi_status fickle_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                               vdi_error *err) {
    fickle *f = (fickle *)self;
    (void)seed;
    (void)episode;
    (void)err;
    f->resets++;
    f->steps = 0;
    obs[0] = fickle_noise(f, FIRST_OBS);
    return VDI_OK;
}
static vdi_status fickle_step(void *self, const float *action, float *obs, float *reward, int *end,
                              vdi_error *err) {
    fickle *f = (fickle *)self;
    (void)err;
    f->steps++;
    obs[0] = (float)f->steps / 100 + fickle_noise(f, NEXT_OBS);
    reward[0] = action[0] + fickle_noise(f, REWARD);
    *end = f->way == END && f->resets > 1 && f->steps == 4 ? VDI_ENV_TERMINATED : 0;
    return VDI_OK;
}

/* An agent for it after `steps` steps. */
static void fickle_make(vdi_env *env, int steps, vdi_sacd **agent, vdi_sacd_episode **e) {
    vdi_error err = {0};
    vdi_sacd_desc d = VDI__ZERO;
    d.observations = d.actions = d.components = 1;
    d.layers = 1;
    d.hidden[0] = 3;
    d.capacity = 20;
    CHECK_OK(vdi_sacd_create(&d, agent, &err), err);
    CHECK_OK(vdi_sacd_episode_create(*agent, NULL, e, &err), err);
    for (int step = 0; step < steps; step++)
        CHECK_OK(vdi_sacd_step(*agent, env, *e, NULL, &err), err);
}
static vdi_env fickle_env(fickle *f) {
    static const char *const names[] = {"reward"};
    vdi_env env = {"fickle",     1,           1,    1, 30,    NULL, NULL, names,
                   fickle_reset, fickle_step, NULL, f, false, false};
    return env;
}

TEST(sacd, a_simulator_that_does_not_repeat_itself) {
    for (int way = FIRST_OBS; way <= STEADY; way++) {
        vdi_error err = {0};
        fickle f = {(fickle_way)way, 0, 0};
        vdi_env env = fickle_env(&f);
        vdi_sacd *agent = NULL;
        vdi_sacd_episode *e = NULL;
        bool exact = way != STEADY;
        fickle_make(&env, 10, &agent, &e);
        CHECK_OK(vdi_sacd_catch_up(agent, &env, e, &exact, &err), err);
        CHECK(exact == (way == STEADY) && e->running == exact, "way %d", way);
        CHECK(e->index == (exact ? 0 : 1) && (!exact || e->steps == 10));
        CHECK_OK(vdi_sacd_step(agent, &env, e, NULL, &err), err);
        CHECK(e->steps == (exact ? 11 : 1));
        vdi_sacd_episode_destroy(e);
        vdi_sacd_destroy(agent);
    }
}

TEST(sacd, what_cannot_be_resumed_goes_on) {
    vdi_error err = {0};
    fickle f = {STEADY, 0, 0};
    vdi_env env = fickle_env(&f);
    vdi_sacd *agent = NULL;
    vdi_sacd_episode *e = NULL;
    bool exact = false;
    fickle_make(&env, 0, &agent, &e);
    CHECK_OK(vdi_sacd_catch_up(agent, &env, e, &exact, &err), err); /* nothing has begun */
    CHECK(exact && !e->running && e->index == 0);
    for (int step = 0; step < 25; step++)
        CHECK_OK(vdi_sacd_step(agent, &env, e, NULL, &err), err);
    CHECK(e->steps == 25);
    CHECK_OK(vdi_sacd_catch_up(agent, &env, e, &exact, &err), err); /* its beginning is forgotten */
    CHECK(!exact && !e->running && e->index == 1);
    for (int k = 0; k < 2; k++) { /* numbers that cannot be */
        e->steps = k ? -3 : 1000;
        CHECK_OK(vdi_sacd_catch_up(agent, &env, e, &exact, &err), err);
        CHECK(!exact && e->index == 2 + k);
    }
    for (int step = 0; step < 30; step++)
        CHECK_OK(vdi_sacd_step(agent, &env, e, NULL, &err), err);
    CHECK(e->end == VDI_ENV_TRUNCATED, "the limit of the environment is held");
    env.components = 2;
    CHECK_FAILS(vdi_sacd_catch_up(agent, &env, e, &exact, &err), VDI_ERR_SHAPE);
    vdi_sacd_episode_destroy(e);
    vdi_sacd_destroy(agent);
}

/* ---- what goes wrong ------------------------------------------------------------------------- */

TEST(sacd, an_update_is_a_transaction) {
    vdi_error err = {0};
    for (int algo = 0; algo <= VDI_SACD_CAGRAD_HIDDEN; algo++) {
        vdi_sacd_desc d = small_desc((vdi_sacd_algo)algo, VDI_F32);
        vdi_sacd *agent = NULL;
        CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
        CHECK_FAILS(vdi_sacd_update(agent, NULL, &err), VDI_ERR_STATE);
        remember(agent, PAST);
        for (int k = 0; k < 3; k++)
            CHECK_OK(vdi_sacd_update(agent, NULL, &err), err);
        float x[OBS] = {0, 0, 0}, a[ACT] = {0, 0}, r[M] = {0, NAN, 0};
        CHECK_FAILS(vdi_sacd_observe(agent, x, a, r, x, 0, &err), VDI_ERR_DATA);
        r[1] = 1e30f; /* finite, but not its square */
        for (int k = 0; k < PAST; k++)
            CHECK_OK(vdi_sacd_observe(agent, x, a, r, x, 0, &err), err);
        size_t before_size, after_size;
        char *before = state_bytes(vdi_sacd_state(agent, true), &before_size);
        CHECK_FAILS(vdi_sacd_update(agent, NULL, &err), VDI_ERR_NUMERIC);
        CHECK(strstr(err.message, "critics") != NULL, "%s", err.message);
        char *after = state_bytes(vdi_sacd_state(agent, true), &after_size);
        CHECK(before_size == after_size && memcmp(before, after, before_size) == 0,
              "a refused update has left something behind");
        free(before);
        free(after);
        remember(agent, PAST); /* it goes on once the data are valid again */
        CHECK_OK(vdi_sacd_update(agent, NULL, &err), err);
        float *record = (float *)state_find(vdi_sacd_state(agent, true), "replay").data;
        float keep = record[2 * OBS + ACT + M];
        for (int k = 0; k < 2; k++) { /* a past that somebody has spoilt */
            record[2 * OBS + ACT + M] = k ? NAN : 1e30f;
            (void)vdi_sacd_state(agent, true);
            CHECK_FAILS(vdi_sacd_update(agent, NULL, &err), VDI_ERR_NUMERIC);
        }
        record[2 * OBS + ACT + M] = keep;
        CHECK_OK(vdi_sacd_update(agent, NULL, &err), err);
        ((float *)state_find(vdi_sacd_state(agent, false), "policy.1.weight").data)[3] = NAN;
        CHECK_FAILS(vdi_sacd_update(agent, NULL, &err), VDI_ERR_NUMERIC);
        vdi_sacd_destroy(agent);
    }
}

TEST(sacd, what_is_not_finite_has_a_status) {
    vdi_error err = {0};
    for (int k = 0; k < 6; k++) {
        const vdi_dtype dtype = k % 2 ? VDI_F64 : VDI_F32;
        vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, dtype);
        vdi_sacd *agent = NULL;
        CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
        remember(agent, PAST);
        float x[OBS] = {0.5f, k / 2 == 0 ? NAN : k / 2 == 1 ? INFINITY : -INFINITY, 1}, a[ACT];
        float two[2 * OBS] = {1, 2, 3, x[0], x[1], x[2]}, several[5 * ACT];
        double two64[2 * OBS], mean[2 * ACT], log_sd[2 * ACT], q[2][5 * HEADS];
        vdi_rng rng = vdi_rng_make(1, 2);
        size_t before, after;
        char *was = state_bytes(vdi_sacd_state(agent, true), &before);
        for (int way = 0; way < 3; way++) {
            a[0] = a[1] = NAN;
            vdi_status status =
                way < 2 ? vdi_sacd_act(agent, x, way == 0, a) : vdi_sacd_explore(agent, x, a);
            CHECK(status == VDI_ERR_DATA && a[0] == 0 && a[1] == 0);
        }
        char *is = state_bytes(vdi_sacd_state(agent, true), &after);
        CHECK(before == after && memcmp(was, is, before) == 0, "a refused call has left something");
        free(was);
        free(is);
        for (int i = 0; i < 2 * OBS; i++)
            two64[i] = (double)two[i];
        CHECK(vdi_sacd_policy(agent, 2, dtype == VDI_F64 ? (void *)two64 : (void *)two, mean,
                              log_sd) == VDI_ERR_DATA);
        const double *m = mean, *l = log_sd;
        const float *mf = (const float *)mean, *lf = (const float *)log_sd;
        CHECK(dtype == VDI_F64 ? m[0] != 0 && m[2] == 0 && m[3] == 0 && l[2] == -20 && l[0] != -20
                               : mf[0] != 0 && mf[2] == 0 && mf[3] == 0 && lf[2] == -20);
        CHECK(vdi_sacd_candidates(agent, x, &rng, 5, several) == VDI_ERR_DATA);
        for (int i = 0; i < 5 * ACT; i++)
            CHECK(fabsf(several[i]) <= 1);
        CHECK(vdi_sacd_action_values(agent, x, 5, several, q[0], q[1]) == VDI_ERR_DATA);
        CHECK(q[0][0] == 0 && q[1][5 * HEADS - 1] == 0);
        x[1] = 1;
        several[7] = NAN;
        CHECK(vdi_sacd_action_values(agent, x, 5, several, q[0], q[1]) == VDI_ERR_DATA);
        CHECK(vdi_sacd_act(agent, x, true, a) == VDI_OK && a[0] != 0);
        /* weights that somebody has spoilt */
        vdi_tensor bias = state_find(vdi_sacd_state(agent, false), "policy.2.bias");
        vdi_dtype_store(dtype, bias.data, 1, (double)NAN);
        CHECK(vdi_sacd_act(agent, x, true, a) == VDI_ERR_NUMERIC && a[0] == 0 && a[1] == 0);
        CHECK(vdi_sacd_policy(agent, 1, dtype == VDI_F64 ? (void *)two64 : (void *)two, mean,
                              NULL) == VDI_ERR_NUMERIC);
        vdi_sacd_destroy(agent);
    }
}

TEST(sacd, an_observation_is_checked) {
    vdi_error err = {0};
    vdi_sacd *agent = NULL;
    vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F32);
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    float x[OBS] = {1, 2, 3}, r[M] = {0, 0, 0};
    for (int k = 0; k < 6; k++) {
        static const float out[] = {1.001f, -5, INFINITY, -INFINITY};
        static const int end[] = {4, -1, 9, 256};
        float a[ACT] = {1, -1};
        if (k < 4) a[k % 2] = out[k];
        CHECK_FAILS(vdi_sacd_observe(agent, x, a, r, x, k < 4 ? 0 : end[k - 4], &err),
                    VDI_ERR_ARGUMENT);
        CHECK_SAYS(err, k < 4 ? "expected -1 to 1" : "VDI_ENV_TERMINATED");
        CHECK(vdi_sacd_steps(agent) == 0);
    }
    float a[ACT] = {1, NAN};
    CHECK_FAILS(vdi_sacd_observe(agent, x, a, r, x, 0, &err), VDI_ERR_DATA);
    a[1] = -1;
    for (int end = 0; end < 4; end++)
        CHECK_OK(vdi_sacd_observe(agent, x, a, r, x, end, &err), err);
    CHECK(vdi_sacd_steps(agent) == 4);
    vdi_sacd_destroy(agent);
}

/* ---- memory, descriptions, states ------------------------------------------------------------ */

TEST(sacd, memory) {
    vdi_error err = {0};
    test_allocator count = {0};
    vdi_allocator a = test_allocator_of(&count);
    vdi_sacd *agent = NULL;
    vdi_sacd_episode *e = NULL;
    vdi_sacd_desc d = small_desc(VDI_SACD_CAGRAD, VDI_F32);
    d.allocator = &a;
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    const long made = count.requests;
    remember(agent, PAST);
    float x[OBS] = {1, 2, 3}, action[ACT];
    double weights[HEADS] = {1, 2, 3, 1}, back[HEADS], influence[HEADS];
    for (int k = 0; k < 5; k++)
        CHECK_OK(vdi_sacd_update(agent, NULL, &err), err);
    for (int k = 0; k < 5; k++)
        CHECK(vdi_sacd_act(agent, x, k % 2 == 0, action) == VDI_OK);
    CHECK_OK(vdi_sacd_set_weights(agent, weights, &err), err);
    CHECK(vdi_critic_influence(vdi_sacd_critic(agent), 1, x, action, weights, influence) == VDI_OK);
    CHECK_OK(vdi_sacd_restore(agent, vdi_sacd_state(agent, true), &err), err);
    CHECK(count.requests == made, "%ld allocations after create", count.requests - made);
    vdi_sacd_weights(agent, back);
    CHECK(memcmp(back, weights, sizeof back) == 0);
    count.fail_at = made + 1;
    CHECK_FAILS(vdi_sacd_episode_create(agent, &a, &e, &err), VDI_ERR_MEMORY);
    CHECK(e == NULL);
    CHECK_OK(vdi_sacd_episode_create(agent, &a, &e, &err), err);
    vdi_sacd_episode_destroy(e);
    vdi_sacd_destroy(agent);
    CHECK(count.live == 0);
    for (long at = 1; at <= made; at++) {
        count.requests = 0;
        count.fail_at = at;
        CHECK_FAILS(vdi_sacd_create(&d, &agent, &err), VDI_ERR_MEMORY);
        CHECK(agent == NULL && count.live == 0, "request %ld: %ld blocks are left", at, count.live);
    }
    vdi_sacd_destroy(NULL);
    vdi_sacd_episode_destroy(NULL);
}

TEST(sacd, description) {
    vdi_error err = {0};
    vdi_sacd *agent = NULL;
    const vdi_fields *fields = vdi_sacd_desc_fields();
    static const struct {
        const char *name, *value;
    } bad[] = {
        {"observations", "0"},  {"actions", "1025"},
        {"components", "256"},  {"algo", "sac-e"},
        {"batch", "-4"},        {"capacity", "0"},
        {"start", "0"},         {"noise_hold", "0"},
        {"update_every", "-1"}, {"rate", "nan"},
        {"critic_rate", "-1"},  {"last_rate", "inf"},
        {"rate_updates", "-1"}, {"rate_hold", "-1"},
        {"tau", "-1"},          {"gamma", "1.5"},
        {"log_alpha", "40"},    {"target_entropy", "1e6"},
        {"cagrad_c", "1"},      {"hidden", "3,-3"},
        {"dtype", "int64"},     {"composite_weight", "-1"},
        {"fixed_alpha", "yes"}, {"seed", "-1"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F32);
        CHECK_FAILS(vdi_fields_set(fields, &d, bad[i].name, bad[i].value, &err), VDI_ERR_ARGUMENT);
        CHECK_SAYS(err, bad[i].name);
        CHECK_SAYS(err, "expected");
    }
    vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F32);
    d.gamma = -0.5;
    CHECK_FAILS(vdi_sacd_create(&d, &agent, &err), VDI_ERR_ARGUMENT);
    CHECK_SAYS(err, "gamma is -0.5: expected above 0, at most 1");
    d = small_desc(VDI_SACD_COMPOSITE, VDI_F32);
    double weights[HEADS] = {1, 1, INFINITY, 1};
    d.weights = weights;
    CHECK_FAILS(vdi_sacd_create(&d, &agent, &err), VDI_ERR_ARGUMENT);
    CHECK_SAYS(err, "weights[2]");
    d = vdi_sacd_desc_defaults();
    CHECK(d.layers == 2 && d.hidden[0] == 256 && d.hidden[1] == 256 && d.batch == 256 &&
          d.capacity == 1000000 && d.start == 1000 && d.noise_hold == 1 && d.update_every == 1 &&
          d.rate == 3e-4 && d.tau == 0.005 && d.gamma == 0.99 && d.cagrad_c == 0.5 &&
          !d.has_target_entropy);
    /* what depends on other fields */
    d = small_desc(VDI_SACD_SAC, VDI_F32);
    d.rate = 0.01;
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    const vdi_sacd_desc *filled = vdi_sacd_get_desc(agent);
    CHECK(filled->last_rate == 0.01 && filled->critic_rate == 0.04 &&
          filled->target_entropy == -ACT && filled->has_target_entropy);
    vdi_sacd_destroy(agent);
}

TEST(sacd, metadata_read_back_exactly) {
    vdi_error err = {0};
    vdi_sacd_desc d = small_desc(VDI_SACD_CAGRAD, VDI_F64), read;
    vdi_sacd *agent = NULL;
    char mine[320], theirs[320];
    d.rate = 1.0 / 3;
    d.critic_rate = 0.1 + 0.2;
    d.gamma = 0.7;
    d.seed = UINT64_MAX;
    d.fixed_alpha = true;
    d.has_cagrad_c = d.has_composite_weight = true; /* of 0 */
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    const vdi_state *s = vdi_sacd_state(agent, false);
    CHECK_OK(vdi_sacd_desc_from_meta(s->meta, s->meta_count, &read, &err), err);
    const vdi_fields *fields = vdi_sacd_desc_fields();
    for (int i = 0; i < fields->count; i++) {
        (void)vdi_field_text(&fields->rows[i], vdi_sacd_get_desc(agent), mine, sizeof mine);
        (void)vdi_field_text(&fields->rows[i], &read, theirs, sizeof theirs);
        CHECK(strcmp(mine, theirs) == 0, "%s: %s, not %s", fields->rows[i].name, theirs, mine);
    }
    CHECK(read.has_cagrad_c && read.has_composite_weight && read.has_target_entropy);
    CHECK_FAILS(vdi_sacd_desc_from_meta(s->meta, 3, &read, &err), VDI_ERR_FORMAT);
    /* from before the critics had a rate of their own */
    vdi_meta old[VDI_META_ENTRIES];
    int64_t count = 0;
    for (int64_t i = 0; i < s->meta_count; i++) {
        if (strcmp(s->meta[i].key, "critic_rate") && strcmp(s->meta[i].key, "composite_weight"))
            old[count++] = s->meta[i];
    }
    CHECK(count == s->meta_count - 2);
    CHECK_OK(vdi_sacd_desc_from_meta(old, count, &read, &err), err);
    CHECK(read.critic_rate == 1.0 / 3 && read.composite_weight == 0 && read.has_composite_weight);
    vdi_sacd_destroy(agent);
}

TEST(sacd, an_agent_from_its_state) {
    vdi_error err = {0};
    for (int training = 0; training < 2; training++) {
        vdi_sacd_desc d = small_desc(VDI_SACD_NAIVE, training ? VDI_F64 : VDI_F32);
        vdi_sacd *agent = NULL, *copy = NULL;
        CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
        remember(agent, PAST + 3);
        for (int k = 0; k < 3; k++)
            CHECK_OK(vdi_sacd_update(agent, NULL, &err), err);
        const vdi_state *s = vdi_sacd_state(agent, training);
        CHECK_OK(vdi_sacd_from_state(s, NULL, NULL, &copy, &err), err);
        const vdi_state *same = vdi_sacd_state(copy, training);
        CHECK(same->tensor_count == s->tensor_count);
        for (int64_t i = 0; i < s->tensor_count; i++) {
            const vdi_named_tensor *t = &s->tensors[i];
            if (!training && strcmp(t->name, "counters") == 0) continue; /* it has no past */
            CHECK(memcmp(state_find(same, t->name).data, t->tensor.data,
                         vdi_tensor_bytes(t->tensor)) == 0,
                  "%s differs", t->name);
        }
        float x[OBS] = {1, -1, 0.5f}, a[ACT], b[ACT];
        for (int k = 0; k < 4; k++) {
            CHECK(vdi_sacd_act(agent, x, k == 0, a) == VDI_OK);
            CHECK(vdi_sacd_act(copy, x, k == 0, b) == VDI_OK);
            CHECK(memcmp(a, b, sizeof a) == 0);
        }
        if (training) {
            CHECK_OK(vdi_sacd_update(agent, NULL, &err), err);
            CHECK_OK(vdi_sacd_update(copy, NULL, &err), err);
            CHECK(state_same(vdi_sacd_state(agent, true), vdi_sacd_state(copy, true)));
        } else {
            CHECK(vdi_sacd_get_desc(copy)->capacity == 1);
        }
        vdi_sacd_destroy(copy);
        vdi_sacd_destroy(agent);
    }
}

TEST(sacd, a_state_that_does_not_fit) {
    vdi_error err = {0};
    vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F32);
    vdi_sacd *agent = NULL, *other = NULL, *made = NULL;
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    d.hidden[1] = 8;
    CHECK_OK(vdi_sacd_create(&d, &other, &err), err);
    remember(agent, PAST);
    remember(other, 5);
    size_t before, after;
    char *was = state_bytes(vdi_sacd_state(other, true), &before);
    vdi_state s = *vdi_sacd_state(agent, true);
    CHECK_FAILS(vdi_sacd_restore(other, &s, &err), VDI_ERR_FORMAT); /* another width */
    CHECK_SAYS(err, "policy.1.weight");
    s.tensor_count--; /* no "replay": it would only act */
    CHECK_FAILS(vdi_sacd_restore(other, &s, &err), VDI_ERR_FORMAT);
    s.tensor_count -= 1; /* no counters */
    CHECK_FAILS(vdi_sacd_restore(other, &s, &err), VDI_ERR_FORMAT);
    CHECK_SAYS(err, "counters");
    char *is = state_bytes(vdi_sacd_state(other, true), &after);
    CHECK(before == after && memcmp(was, is, before) == 0, "a refused state has left something");
    free(was);
    free(is);
    s = *vdi_sacd_state(agent, true);
    int64_t *counters = (int64_t *)state_find(&s, "counters").data, kept = counters[3];
    for (int k = 0; k < 3; k++) {
        counters[3] = k == 0 ? -1 : k == 1 ? INT64_MAX : 7;
        CHECK_FAILS(vdi_sacd_from_state(&s, NULL, NULL, &made, &err), VDI_ERR_FORMAT);
        CHECK(made == NULL);
    }
    counters[3] = kept;
    ((float *)state_find(&s, "critic1.0.bias").data)[2] = NAN;
    CHECK_FAILS(vdi_sacd_from_state(&s, NULL, NULL, &made, &err), VDI_ERR_NUMERIC);
    CHECK(made == NULL);
    vdi_sacd_destroy(agent);
    vdi_sacd_destroy(other);
}

/* ---- a wide environment ---------------------------------------------------------------------- */

enum { WIDE_OBS = 1000, WIDE_ACT = 100, WIDE_M = 64 };

static vdi_status wide_look(void *self, uint64_t seed, uint64_t episode, float *obs,
                            vdi_error *err) {
    (void)self;
    (void)err;
    for (int i = 0; i < WIDE_OBS; i++)
        obs[i] = (float)((i + (int)(seed + episode)) % 17) / 17;
    return VDI_OK;
}
static vdi_status wide_step(void *self, const float *action, float *obs, float *reward, int *end,
                            vdi_error *err) {
    for (int i = 0; i < WIDE_M; i++)
        reward[i] = -action[i] * action[i];
    *end = 0;
    return wide_look(self, 0, (uint64_t)(100 * (1 + action[0])), obs, err);
}

TEST(sacd, a_wide_environment) {
    static const char *names[WIDE_M];
    static double sums[WIDE_M];
    vdi_error err = {0};
    vdi_sacd_desc d = VDI__ZERO;
    vdi_sacd *agent = NULL;
    vdi_sacd_episode *e = NULL;
    vdi_sacd_trace *trace = NULL;
    static vdi_sacd_stats stats;
    int64_t steps;
    for (int i = 0; i < WIDE_M; i++)
        names[i] = "part";
    vdi_env env = {"wide", WIDE_OBS,  WIDE_ACT,  WIDE_M, 20,   NULL,  NULL,
                   names,  wide_look, wide_step, NULL,   NULL, false, false};
    d.observations = WIDE_OBS;
    d.actions = WIDE_ACT;
    d.components = WIDE_M;
    d.layers = 1;
    d.hidden[0] = 16;
    d.batch = 8;
    d.start = 10;
    d.capacity = 50;
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    CHECK_OK(vdi_sacd_episode_create(agent, NULL, &e, &err), err);
    for (int k = 0; k < 45; k++)
        CHECK_OK(vdi_sacd_step(agent, &env, e, &stats, &err), err);
    CHECK(vdi_sacd_updates(agent) == 36 && stats.loss[WIDE_M] >= 0 && stats.loss[WIDE_M + 1] == 0);
    CHECK_OK(vdi_sacd_play(agent, &env, 1, 2, sums, &steps, &err), err);
    CHECK(steps == 20 && sums[WIDE_M - 1] < 0);
    CHECK_OK(vdi_sacd_trace_create(agent, 20, NULL, &trace, &err), err);
    CHECK_OK(vdi_sacd_trace_play(trace, agent, &env, 1, 2, false, &err), err);
    CHECK(trace->heads == WIDE_M + 1 && trace->influence[trace->heads - 1] > 0);
    vdi_sacd_trace_destroy(trace);
    vdi_sacd_episode_destroy(e);
    vdi_sacd_destroy(agent);
}

/* ---- acting ---------------------------------------------------------------------------------- */

TEST(sacd, actions_and_weights) {
    vdi_error err = {0};
    vdi_sacd *agent = NULL;
    vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F64);
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    float x[OBS] = {0.3f, -1, 0.5f}, action[ACT];
    double x64[OBS] = {(double)x[0], (double)x[1], (double)x[2]};
    double mean[ACT];
    double log_sd[ACT];
    double first[ACT] = {0, 0};
    double second[ACT] = {0, 0};
    CHECK(vdi_sacd_policy(agent, 1, x64, mean, log_sd) == VDI_OK);
    CHECK(vdi_sacd_act(agent, x, true, action) == VDI_OK);
    for (int k = 0; k < ACT; k++)
        CHECK_CLOSE(action[k], mean[k], 1e-6);
    const int n = 20000;
    for (int i = 0; i < n; i++) {
        CHECK(vdi_sacd_act(agent, x, false, action) == VDI_OK);
        for (int k = 0; k < ACT; k++) {
            double u = (atanh((double)action[k]) - atanh(mean[k])) / exp(log_sd[k]);
            first[k] += u / n;
            second[k] += u * u / n;
        }
    }
    for (int k = 0; k < ACT; k++) {
        CHECK_CLOSE(first[k], 0, 5 / sqrt(n));
        CHECK_CLOSE(second[k], 1, 5 * sqrt(2.0 / n));
    }
    for (int i = 0; i < 4; i++) { /* uniform before the start */
        CHECK(vdi_sacd_explore(agent, x, action) == VDI_OK);
        for (int k = 0; k < ACT; k++)
            CHECK(fabsf(action[k]) <= 1);
    }
    CHECK(!vdi_sacd_due(agent));
    double w[HEADS];
    CHECK_OK(vdi_sacd_schedule_weight(agent, 1, 0.2, 1.0, 10, 20, &err), err);
    CHECK_FAILS(vdi_sacd_schedule_weight(agent, HEADS, 0, 1, 0, 1, &err), VDI_ERR_ARGUMENT);
    for (int step = 0; step <= 40; step++) {
        vdi_sacd_weights(agent, w);
        CHECK_CLOSE(w[1], step < 10 ? 0.2 : step > 30 ? 1.0 : 0.2 + 0.8 * (step - 10) / 20, 1e-12);
        CHECK(w[0] == 1 && w[3] == 1);
        remember(agent, 1);
    }
    CHECK(vdi_sacd_due(agent));
    vdi_sacd_destroy(agent);
}

/* The noise of an action, by the policy's mean and deviation at x. */
static double noise_of(vdi_sacd *agent, const float *x, const float *action, int k) {
    double x64[OBS], mean[ACT], log_sd[ACT];
    for (int i = 0; i < OBS; i++)
        x64[i] = (double)x[i];
    CHECK(vdi_sacd_policy(agent, 1, x64, mean, log_sd) == VDI_OK);
    return (atanh((double)action[k]) - atanh(mean[k])) / exp(log_sd[k]);
}

/* Held is the noise, not the action: it follows the observation. */
TEST(sacd, exploring_noise_is_held) {
    enum { HOLD = 3, STEPS = 300 };
    vdi_error err = {0};
    for (int hold = 1; hold <= HOLD; hold += HOLD - 1) {
        vdi_sacd *agent = NULL;
        vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F64);
        double first = 0, second = 0, last[ACT] = {0};
        d.noise_hold = hold;
        CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
        remember(agent, (int)d.start);
        for (int i = 0; i < STEPS; i++) {
            const float x[OBS] = {0.1f * (float)(i % 7), -0.3f, 0.2f * (float)(i % 5)};
            float action[ACT];
            CHECK(vdi_sacd_explore(agent, x, action) == VDI_OK);
            for (int k = 0; k < ACT; k++) {
                const double e = noise_of(agent, x, action, k);
                CHECK((fabs(e - last[k]) < 1e-4) == (i % hold != 0), "hold %d, step %d: %g, %g",
                      hold, i, last[k], e);
                last[k] = e;
                first += e / (STEPS * ACT);
                second += e * e / (STEPS * ACT);
            }
        }
        const double independent = (double)STEPS * ACT / hold;
        CHECK_CLOSE(first, 0, 4 / sqrt(independent));
        CHECK_CLOSE(second, 1, 4 * sqrt(2 / independent));
        vdi_sacd_destroy(agent);
    }
}

/* Environments that take turns hold noise of their own. */
TEST(sacd, each_environment_holds_its_noise) {
    enum { HOLD = 4, LANE_COUNT = 2, ROUNDS = 40 };
    vdi_error err = {0};
    vdi_sacd *agent = NULL;
    vdi_env env[LANE_COUNT];
    vdi_sacd_episode *episode[LANE_COUNT] = {NULL, NULL};
    double last[LANE_COUNT] = {0};
    vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F64);
    d.actions = 1;
    d.noise_hold = HOLD;
    d.start = 8;
    d.update_every = 1000; /* the policy stays */
    d.capacity = 100;
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    for (int k = 0; k < LANE_COUNT; k++) {
        CHECK_OK(vdi_env_open("pendulum", NULL, &env[k], &err), err);
        CHECK_OK(vdi_sacd_episode_create(agent, NULL, &episode[k], &err), err);
        episode[k]->index = episode[k]->lane = k;
        episode[k]->lanes = LANE_COUNT;
    }
    for (int round = 0; round < ROUNDS; round++) {
        float x[LANE_COUNT][OBS];
        for (int k = 0; k < LANE_COUNT; k++)
            memcpy(x[k], episode[k]->obs, sizeof x[k]);
        CHECK_OK(vdi_sacd_step_all(agent, LANE_COUNT, env, episode, NULL, NULL, &err), err);
        for (int k = 0; k < LANE_COUNT && round >= (int)d.start / LANE_COUNT; k++) {
            double x64[OBS] = {(double)x[k][0], (double)x[k][1], (double)x[k][2]}, mean, log_sd;
            CHECK(vdi_sacd_policy(agent, 1, x64, &mean, &log_sd) == VDI_OK);
            const double u = atanh((double)episode[k]->action[0]);
            const double e = (u - atanh(mean)) / exp(log_sd);
            CHECK((fabs(e - last[k]) < 1e-4) == (round % HOLD != 0), "round %d: %g, %g", round,
                  last[k], e);
            CHECK(k == 0 || fabs(e - last[0]) > 1e-4, "round %d: two with one noise", round);
            last[k] = e;
        }
    }
    for (int k = 0; k < LANE_COUNT; k++) {
        vdi_env_close(&env[k]);
        vdi_sacd_episode_destroy(episode[k]);
    }
    vdi_sacd_destroy(agent);
}

/* A policy says what its agent says, and goes on saying it while the agent learns. */
TEST(sacd, a_policy_of_its_own) {
    vdi_error err = {0};
    for (int k = 0; k < 2; k++) {
        vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, k ? VDI_F64 : VDI_F32);
        test_allocator count = {0};
        vdi_allocator a = test_allocator_of(&count);
        vdi_sacd *agent = NULL;
        vdi_policy *policy = NULL, *inner = NULL;
        float x[OBS] = {0.3f, -1, 0.5f}, mine[ACT], theirs[ACT], frozen[ACT];
        CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
        const vdi_state *s = vdi_sacd_state(agent, false);
        const size_t size = vdi_policy_memsize(s);
        char *block = (char *)malloc(size);
        CHECK_OK(vdi_policy_create(s, &a, &policy, &err), err);
        CHECK_OK(vdi_policy_init(s, block, size, &inner, &err), err);
        CHECK(vdi_policy_observations(policy) == OBS && vdi_policy_actions(policy) == ACT);
        CHECK(count.requests == 1);
        for (int i = 0; i < 20; i++) {
            x[i % OBS] += 0.1f;
            CHECK(vdi_policy_act(policy, x, NULL, mine) == VDI_OK);
            CHECK(vdi_sacd_act(agent, x, true, theirs) == VDI_OK);
            CHECK(memcmp(mine, theirs, sizeof mine) == 0);
            vdi_rng rng = vdi_rng_make(d.seed, (uint64_t)5 << 56 | (uint64_t)i);
            CHECK(vdi_policy_act(inner, x, &rng, mine) == VDI_OK);
            CHECK(vdi_sacd_act(agent, x, false, theirs) == VDI_OK);
            CHECK(memcmp(mine, theirs, sizeof mine) == 0);
        }
        CHECK(vdi_policy_act(policy, x, NULL, frozen) == VDI_OK);
        remember(agent, PAST);
        CHECK_OK(vdi_sacd_update(agent, NULL, &err), err);
        CHECK(vdi_policy_act(policy, x, NULL, mine) == VDI_OK);
        CHECK(vdi_sacd_act(agent, x, true, theirs) == VDI_OK);
        CHECK(memcmp(mine, frozen, sizeof mine) == 0 && memcmp(mine, theirs, sizeof mine) != 0);
        x[1] = NAN;
        CHECK(vdi_policy_act(policy, x, NULL, mine) == VDI_ERR_DATA && mine[0] == 0 &&
              mine[1] == 0);
        vdi_policy_destroy(policy);
        vdi_policy_destroy(inner); /* the block is not its own */
        vdi_policy_destroy(NULL);
        CHECK(count.live == 0);
        s = vdi_sacd_state(agent, false);
        CHECK_FAILS(vdi_policy_init(s, block, size / 2, &inner, &err), VDI_ERR_MEMORY);
        CHECK(inner == NULL);
        count.fail_at = 1 + count.requests;
        CHECK_FAILS(vdi_policy_create(s, &a, &policy, &err), VDI_ERR_MEMORY);
        vdi_state less = *s;
        less.tensors++;
        less.tensor_count--;
        CHECK_FAILS(vdi_policy_create(&less, &a, &policy, &err), VDI_ERR_FORMAT);
        less = *s;
        less.meta_count = 2;
        CHECK_FAILS(vdi_policy_create(&less, &a, &policy, &err), VDI_ERR_FORMAT);
        CHECK(vdi_policy_memsize(&less) == SIZE_MAX);
        vdi_dtype_store(d.dtype, state_find(s, "policy.1.bias").data, 2, (double)INFINITY);
        CHECK_FAILS(vdi_policy_create(s, &a, &policy, &err), VDI_ERR_NUMERIC);
        CHECK(policy == NULL && count.live == 0);
        free(block);
        vdi_sacd_destroy(agent);
    }
}

/* ---- learning -------------------------------------------------------------------------------- */

TEST(sacd, learns_the_pendulum) {
    NEED_NATIVE();
    vdi_error err = {0};
    vdi_env env;
    vdi_sacd *agent = NULL;
    vdi_sacd_desc d = VDI__ZERO;
    vdi_sacd_episode *e = NULL;
    CHECK_OK(vdi_env_pendulum(&env), err);
    d.observations = 3;
    d.actions = 1;
    d.components = 3;
    d.layers = 2;
    d.hidden[0] = d.hidden[1] = 32;
    d.batch = 64;
    d.start = 200;
    d.capacity = 5000;
    d.rate = 2e-3;
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    CHECK_OK(vdi_sacd_episode_create(agent, NULL, &e, &err), err);
    for (int step = 0; step < 5000; step++)
        CHECK_OK(vdi_sacd_step(agent, &env, e, NULL, &err), err);
    double mean = 0;
    for (int k = 0; k < 10; k++) {
        double sums[3];
        int64_t steps;
        CHECK_OK(vdi_sacd_play(agent, &env, 77, (uint64_t)k, sums, &steps, &err), err);
        mean += (sums[0] + sums[1] + sums[2]) / 10;
        CHECK(steps == 200);
    }
    CHECK(mean > -350, "mean return %g, random play is at -1190", mean);
    vdi_sacd_episode_destroy(e);
    vdi_sacd_destroy(agent);
    vdi_env_close(&env);
}

/* ---- several environments at once ------------------------------------------------------------ */

enum { LANES = 3 };

typedef struct lanes_case {
    vdi_sacd *agent;
    vdi_env env[LANES];
    vdi_sacd_episode *episode[LANES];
} lanes_case;

static void lanes_open(lanes_case *c) {
    vdi_error err = {0};
    vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F32);
    d.actions = 1;
    d.capacity = 2000;
    d.noise_hold = 4;
    CHECK_OK(vdi_sacd_create(&d, &c->agent, &err), err);
    for (int k = 0; k < LANES; k++) {
        CHECK_OK(vdi_env_open("pendulum", NULL, &c->env[k], &err), err);
        c->env[k].limit = 7 + k; /* they do not end together */
        CHECK_OK(vdi_sacd_episode_create(c->agent, NULL, &c->episode[k], &err), err);
        c->episode[k]->index = c->episode[k]->lane = k;
        c->episode[k]->lanes = LANES;
    }
}
static void lanes_close(lanes_case *c) {
    for (int k = 0; k < LANES; k++) {
        vdi_env_close(&c->env[k]);
        vdi_sacd_episode_destroy(c->episode[k]);
    }
    vdi_sacd_destroy(c->agent);
}
static void lanes_run(lanes_case *c, int rounds, vdi_pool *pool) {
    vdi_error err = {0};
    vdi_sacd_stats stats[LANES];
    for (int k = 0; k < rounds; k++) {
        CHECK_OK(vdi_sacd_step_all(c->agent, LANES, c->env, c->episode, pool, stats, &err), err);
        CHECK(vdi_sacd_steps(c->agent) <= 5 || stats[LANES - 1].alpha > 0);
    }
}

TEST(sacd, environments_side_by_side) {
    vdi_error err = {0};
    lanes_case whole, threaded, half, rest;
    vdi_pool *pool = NULL;
    lanes_open(&whole);
    lanes_run(&whole, 100, NULL);
    CHECK(vdi_sacd_steps(whole.agent) == 300 && vdi_sacd_updates(whole.agent) == 296);
    CHECK(whole.episode[1]->index == 1 + 3 * 12, "episode %d", (int)whole.episode[1]->index);
    lanes_open(&threaded);
    CHECK_OK(vdi_pool_create(LANES, NULL, &pool, &err), err);
    lanes_run(&threaded, 100, pool);
    CHECK(state_same(vdi_sacd_state(whole.agent, true), vdi_sacd_state(threaded.agent, true)));
    /* saved inside of three episodes, and taken up again */
    lanes_open(&half);
    lanes_run(&half, 59, pool);
    lanes_open(&rest);
    CHECK_OK(vdi_sacd_restore(rest.agent, vdi_sacd_state(half.agent, true), &err), err);
    for (int k = 0; k < LANES; k++) {
        bool exact = false;
        rest.episode[k]->index = half.episode[k]->index;
        rest.episode[k]->steps = half.episode[k]->steps;
        CHECK_OK(vdi_sacd_catch_up(rest.agent, &rest.env[k], rest.episode[k], &exact, &err), err);
        CHECK(exact, "lane %d", k);
    }
    lanes_run(&rest, 41, NULL);
    CHECK(state_same(vdi_sacd_state(whole.agent, true), vdi_sacd_state(rest.agent, true)));
    vdi_pool_destroy(pool);
    lanes_close(&whole);
    lanes_close(&threaded);
    lanes_close(&half);
    lanes_close(&rest);
}

/* A pendulum that fails once, at a step of its own. */
static vdi_env fragile;
static int fragile_steps;
static vdi_status fragile_step(void *self, const float *action, float *obs, float *reward, int *end,
                               vdi_error *err) {
    if (++fragile_steps == 20) return vdi_error_set(err, VDI_ERR_IO, "fragile", "it fell");
    return fragile.step(self, action, obs, reward, end, err);
}

TEST(sacd, a_step_that_fails_was_not_made) {
    vdi_error err = {0};
    lanes_case whole, hurt;
    lanes_open(&whole);
    lanes_run(&whole, 40, NULL);
    lanes_open(&hurt);
    fragile = hurt.env[1];
    fragile_steps = 0;
    hurt.env[1].step = fragile_step;
    lanes_run(&hurt, 19, NULL);
    CHECK(vdi_sacd_step_all(hurt.agent, LANES, hurt.env, hurt.episode, NULL, NULL, &err) ==
          VDI_ERR_IO);
    CHECK(!strcmp(err.message, "it fell"), "%s", err.message);
    CHECK(vdi_sacd_steps(hurt.agent) == 57);
    for (int k = 0; k < LANES; k++) {
        bool exact = false;
        CHECK_OK(vdi_sacd_catch_up(hurt.agent, &hurt.env[k], hurt.episode[k], &exact, &err), err);
        CHECK(exact, "lane %d", k);
    }
    lanes_run(&hurt, 21, NULL);
    CHECK(state_same(vdi_sacd_state(whole.agent, true), vdi_sacd_state(hurt.agent, true)));
    lanes_close(&whole);
    lanes_close(&hurt);
}

/* ---- choices --------------------------------------------------------------------------------- */

static vdi_sacd_desc choice_desc(void) {
    vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F64);
    d.actions = 3;
    d.discrete = true;
    d.has_composite_weight = true;
    d.composite_weight = 0.2;
    return d;
}

static void remember_choices(vdi_sacd *agent, int count) {
    unsigned long long seed = 777;
    vdi_error err = {0};
    for (int k = 0; k < count; k++) {
        float x[2 * OBS + M], action[3];
        for (int i = 0; i < 2 * OBS + M; i++)
            x[i] = (float)test_normal(&seed);
        vdi_env_choose(3, k % 3, action);
        const int end = k % 5 == 2 ? VDI_ENV_TERMINATED : 0;
        CHECK_OK(vdi_sacd_observe(agent, x, action, x + OBS, x + OBS + M, end, &err), err);
    }
}

/* The batch that the first update draws, and the agent's weights. */
typedef struct choice_case {
    vdi_sacd *agent;
    vdi_transition past[BATCH];
    double obs[BATCH * OBS], next[BATCH * OBS], action[BATCH * 3], y[BATCH * HEADS];
} choice_case;

/* Values (rows,heads) of net `which` at choice k, from the public call. */
static void choice_values(const choice_case *c, int which, const double *obs, int k, double *q) {
    double action[BATCH * 3] = {0};
    for (int b = 0; b < BATCH; b++)
        action[b * 3 + k] = 1;
    CHECK(vdi_critic_values(vdi_sacd_critic(c->agent), which, BATCH, obs, action, q) == VDI_OK);
}

/* sum_a pi (alpha log pi - min_j sum_i Q_i) of every row, mean; and the targets' expectations. */
static double choice_policy_loss(choice_case *c) {
    double p[BATCH * 3], log_p[BATCH * 3], q[2][BATCH * HEADS], loss = 0;
    const double alpha = vdi_sacd_alpha(c->agent);
    CHECK(vdi_sacd_policy(c->agent, BATCH, c->obs, p, log_p) == VDI_OK);
    for (int k = 0; k < 3; k++) {
        for (int j = 0; j < 2; j++)
            choice_values(c, j, c->obs, k, q[j]);
        for (int b = 0; b < BATCH; b++) {
            double sum[2] = {0, 0};
            for (int i = 0; i < HEADS; i++) {
                sum[0] += q[0][b * HEADS + i];
                sum[1] += q[1][b * HEADS + i];
            }
            const double least = fmin(sum[0], sum[1]);
            loss += p[b * 3 + k] * (alpha * log_p[b * 3 + k] - least) / BATCH;
        }
    }
    return loss;
}

static void choice_targets(choice_case *c) {
    double p[BATCH * 3], log_p[BATCH * 3], q[2][BATCH * HEADS];
    const double alpha = vdi_sacd_alpha(c->agent);
    CHECK(vdi_sacd_policy(c->agent, BATCH, c->next, p, log_p) == VDI_OK);
    for (int i = 0; i < BATCH * HEADS; i++)
        c->y[i] = i % HEADS < M ? (double)c->past[i / HEADS].reward[i % HEADS] : 0;
    for (int k = 0; k < 3; k++) {
        for (int j = 0; j < 2; j++)
            choice_values(c, VDI_CRITIC_TARGET | j, c->next, k, q[j]);
        for (int b = 0; b < BATCH; b++) {
            double sum[2] = {0, 0};
            const double keep = c->past[b].end & VDI_ENV_TERMINATED ? 0 : 0.99;
            for (int i = 0; i < HEADS; i++) {
                sum[0] += q[0][b * HEADS + i];
                sum[1] += q[1][b * HEADS + i];
            }
            const int j = sum[1] < sum[0];
            for (int i = 0; i < HEADS; i++) {
                const double paid = i == M ? alpha * log_p[b * 3 + k] : 0;
                c->y[b * HEADS + i] += keep * p[b * 3 + k] * (q[j][b * HEADS + i] - paid);
            }
        }
    }
}

/* The loss of the first twin, from the public call. */
static double choice_critic_loss(choice_case *c) {
    double q[BATCH * HEADS], loss = 0;
    CHECK(vdi_critic_values(vdi_sacd_critic(c->agent), 0, BATCH, c->obs, c->action, q) == VDI_OK);
    for (int b = 0; b < BATCH; b++) {
        double sum = 0;
        for (int i = 0; i < HEADS; i++) {
            const double e = q[b * HEADS + i] - c->y[b * HEADS + i];
            loss += e * e / HEADS / BATCH;
            sum += e;
        }
        loss += 0.2 * sum * sum / BATCH;
    }
    return loss;
}

TEST(sacd, an_update_of_choices) {
    static choice_case c;
    static double slope[2][64];
    static const char *const name[2] = {"policy.1.bias", "critic0.1.weight"};
    static const char *const moment[2] = {"policy.m.1.bias", "critic0.m.1.weight"};
    vdi_error err = {0};
    vdi_sacd_desc d = choice_desc();
    CHECK_OK(vdi_sacd_create(&d, &c.agent, &err), err);
    remember_choices(c.agent, PAST);
    vdi_rng rng = vdi_rng_make(d.seed, (uint64_t)2 << 56);
    for (int b = 0; b < BATCH; b++) {
        const int64_t index = (int64_t)vdi_rng_below(&rng, PAST);
        c.past[b] = vdi_replay_get(vdi_sacd_replay(c.agent), index);
        for (int i = 0; i < OBS; i++) {
            c.obs[b * OBS + i] = (double)c.past[b].obs[i];
            c.next[b * OBS + i] = (double)c.past[b].next[i];
        }
        for (int i = 0; i < 3; i++)
            c.action[b * 3 + i] = (double)c.past[b].action[i];
    }
    choice_targets(&c);
    for (int kind = 0; kind < 2; kind++) {
        const vdi_tensor w = state_find(vdi_sacd_state(c.agent, true), name[kind]);
        const int64_t n = VDI__MIN(vdi_tensor_count(w), 60);
        for (int64_t i = 0; i < n; i++) {
            double *at = (double *)w.data + i, was = *at, h = 1e-6, loss[2];
            for (int side = 0; side < 2; side++) {
                *at = was + (side ? h : -h);
                loss[side] = kind ? choice_critic_loss(&c) : choice_policy_loss(&c);
            }
            *at = was;
            slope[kind][i] = (loss[1] - loss[0]) / (2 * h);
        }
    }
    vdi_sacd_stats stats;
    const double loss = choice_policy_loss(&c);
    CHECK_OK(vdi_sacd_update(c.agent, &stats, &err), err);
    CHECK_CLOSE(stats.policy_loss, loss, 1e-12);
    for (int kind = 0; kind < 2; kind++) { /* Adam's first mean is a tenth of the gradient */
        const vdi_tensor m = state_find(vdi_sacd_state(c.agent, true), moment[kind]);
        const int64_t n = VDI__MIN(vdi_tensor_count(m), 60);
        double largest = 0;
        for (int64_t i = 0; i < n; i++) {
            const double g = 10 * ((const double *)m.data)[i];
            CHECK(fabs(g - slope[kind][i]) < 1e-7, "%s %d: %g, by differences %g", moment[kind],
                  (int)i, g, slope[kind][i]);
            largest = fmax(largest, fabs(g));
        }
        CHECK(largest > 1e-3, "%s: no slope at all", moment[kind]);
    }
    vdi_sacd_destroy(c.agent);
}

TEST(sacd, choices_are_chosen) {
    vdi_error err = {0};
    vdi_sacd *agent = NULL;
    vdi_sacd_desc d = choice_desc();
    const float obs[OBS] = {0.3f, -1, 0.5f};
    double p[3], log_p[3], seen[3] = {0}, x[OBS], influence[HEADS], q0[3 * HEADS], q1[3 * HEADS];
    float action[3], all[9];
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    CHECK_CLOSE(vdi_sacd_get_desc(agent)->target_entropy, 0.3 * log(3.0), 1e-15);
    for (int i = 0; i < OBS; i++)
        x[i] = (double)obs[i];
    CHECK(vdi_sacd_policy(agent, 1, x, p, log_p) == VDI_OK);
    CHECK_CLOSE(p[0] + p[1] + p[2], 1, 1e-12);
    const int draws = (int)test_scaled(20000);
    for (int k = 0; k < draws; k++) {
        CHECK(vdi_sacd_act(agent, obs, false, action) == VDI_OK);
        CHECK(action[0] + action[1] + action[2] == 1);
        seen[vdi_env_choice(3, action)] += 1.0 / draws;
    }
    for (int k = 0; k < 3; k++) {
        const double spread = sqrt(p[k] * (1 - p[k]) / draws);
        CHECK(fabs(seen[k] - p[k]) < 5 * spread, "choice %d: %g, expected %g", k, seen[k], p[k]);
        CHECK_CLOSE(exp(log_p[k]), p[k], 1e-12);
    }
    CHECK(vdi_sacd_act(agent, obs, true, action) == VDI_OK);
    const int64_t likeliest = vdi_env_choice(3, action);
    CHECK(p[likeliest] >= p[0] && p[likeliest] >= p[1] && p[likeliest] >= p[2]);
    /* each of them is a candidate once */
    vdi_rng rng = vdi_rng_make(1, 1);
    CHECK(vdi_sacd_candidates(agent, obs, &rng, 3, all) == VDI_OK);
    CHECK(memcmp(all, action, sizeof action) == 0);
    for (int k = 0; k < 3; k++)
        CHECK(all[k] + all[3 + k] + all[6 + k] == 1, "choice %d", k);
    /* influence is the mean difference to the others */
    CHECK(vdi_sacd_action_values(agent, obs, 3, all, q0, q1) == VDI_OK);
    CHECK(vdi_sacd_influence(agent, obs, action, influence) == VDI_OK);
    for (int i = 0; i < HEADS; i++) {
        const double by_hand = (fabs(q0[i] - q0[HEADS + i]) + fabs(q0[i] - q0[2 * HEADS + i])) / 2;
        CHECK_CLOSE(influence[i], by_hand, 1e-12);
    }
    /* what is no choice is refused, and so is an environment of numbers */
    const float reward[M] = {0}, half[3] = {0.5f, 0.5f, 0};
    CHECK_FAILS(vdi_sacd_observe(agent, obs, half, reward, obs, 0, &err), VDI_ERR_ARGUMENT);
    CHECK_SAYS(err, "1 among zeros");
    /* a policy of its own chooses the same */
    vdi_policy *policy = NULL;
    CHECK_OK(vdi_policy_create(vdi_sacd_state(agent, false), NULL, &policy, &err), err);
    CHECK(vdi_policy_actions(policy) == 3);
    CHECK(vdi_policy_act(policy, obs, NULL, all) == VDI_OK);
    CHECK(memcmp(all, action, sizeof action) == 0);
    vdi_policy_destroy(policy);
    vdi_sacd_destroy(agent);
}

/* ---- normalised observations ----------------------------------------------------------------- */

/* An agent that normalises does the same, whatever the units of its observations. */
TEST(sacd, units_do_not_matter) {
    vdi_error err = {0};
    vdi_sacd *agent[2];
    for (int k = 0; k < 2; k++) {
        vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F64);
        unsigned long long seed = 5;
        d.normalise = true;
        CHECK_OK(vdi_sacd_create(&d, &agent[k], &err), err);
        for (int n = 0; n < PAST; n++) {
            float x[2 * OBS], action[ACT], reward[M];
            for (int i = 0; i < 2 * OBS; i++) /* of the second: 1024 times as large, and moved */
                x[i] = (float)((int)(1024 * test_normal(&seed))) * (k ? 1 : 1.0f / 1024) +
                       (k ? 4096 : 0);
            for (int i = 0; i < ACT; i++)
                action[i] = tanhf((float)test_normal(&seed));
            for (int i = 0; i < M; i++)
                reward[i] = (float)test_normal(&seed);
            CHECK_OK(vdi_sacd_observe(agent[k], x, action, reward, x + OBS, 0, &err), err);
        }
        for (int n = 0; n < 20; n++)
            CHECK_OK(vdi_sacd_update(agent[k], NULL, &err), err);
    }
    const vdi_tensor a = state_find(vdi_sacd_state(agent[0], false), "policy.1.weight");
    const vdi_tensor b = state_find(vdi_sacd_state(agent[1], false), "policy.1.weight");
    for (int64_t i = 0; i < vdi_tensor_count(a); i++)
        CHECK_CLOSE(((const double *)a.data)[i], ((const double *)b.data)[i], 1e-9);
    const vdi_tensor moments = state_find(vdi_sacd_state(agent[1], false), "observations");
    CHECK(((const double *)moments.data)[3 * OBS] == PAST);
    CHECK(fabs(((const double *)moments.data)[0] - 4096) < 1000);
    /* its policy, and a saved agent, see through the same eyes */
    const float obs[OBS] = {4000, 5000, 3000};
    float action[3][ACT];
    vdi_policy *policy = NULL;
    vdi_sacd *again = NULL;
    CHECK_OK(vdi_policy_create(vdi_sacd_state(agent[1], false), NULL, &policy, &err), err);
    CHECK_OK(vdi_sacd_from_state(vdi_sacd_state(agent[1], true), NULL, NULL, &again, &err), err);
    CHECK(vdi_sacd_act(agent[1], obs, true, action[0]) == VDI_OK);
    CHECK(vdi_policy_act(policy, obs, NULL, action[1]) == VDI_OK);
    CHECK(vdi_sacd_act(again, obs, true, action[2]) == VDI_OK);
    CHECK(memcmp(action[0], action[1], sizeof action[0]) == 0);
    CHECK(memcmp(action[0], action[2], sizeof action[0]) == 0);
    CHECK_OK(vdi_sacd_update(again, NULL, &err), err);
    CHECK_OK(vdi_sacd_update(agent[1], NULL, &err), err);
    CHECK(state_same(vdi_sacd_state(again, true), vdi_sacd_state(agent[1], true)));
    /* moments that cannot be are refused */
    ((double *)moments.data)[OBS] = -1;
    CHECK_FAILS(vdi_sacd_update(agent[1], NULL, &err), VDI_ERR_NUMERIC);
    vdi_policy_destroy(policy);
    for (int k = 0; k < 2; k++)
        vdi_sacd_destroy(agent[k]);
    vdi_sacd_destroy(again);
}

/* ---- files ----------------------------------------------------------------------------------- */

TEST(sacd, files) {
    vdi_error err = {0};
    vdi_sacd *agent = NULL, *again = NULL;
    vdi_policy *policy = NULL;
    vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F32);
    d.normalise = true;
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    remember(agent, 30);
    for (int k = 0; k < 5; k++)
        CHECK_OK(vdi_sacd_update(agent, NULL, &err), err);
    const char *path = scratch_path("agent");
    CHECK_OK(vdi_sacd_save(agent, path, &err), err);
    CHECK_OK(vdi_sacd_load(path, NULL, NULL, &again, &err), err);
    CHECK(state_same(vdi_sacd_state(agent, true), vdi_sacd_state(again, true)));
    for (int k = 0; k < 5; k++) { /* it goes on */
        CHECK_OK(vdi_sacd_update(agent, NULL, &err), err);
        CHECK_OK(vdi_sacd_update(again, NULL, &err), err);
    }
    CHECK(state_same(vdi_sacd_state(agent, true), vdi_sacd_state(again, true)));
    const float obs[OBS] = {1, -2, 0.5f};
    float action[2][ACT];
    CHECK_OK(vdi_sacd_save(agent, path, &err), err);
    CHECK_OK(vdi_policy_load(path, NULL, &policy, &err), err);
    CHECK(vdi_policy_act(policy, obs, NULL, action[0]) == VDI_OK);
    CHECK(vdi_sacd_act(agent, obs, true, action[1]) == VDI_OK);
    CHECK(memcmp(action[0], action[1], sizeof action[0]) == 0);
    vdi_buffer text;
    vdi_writer w;
    vdi_buffer_init(&text, NULL);
    vdi_writer_to_buffer(&w, &text);
    CHECK_FAILS(vdi_policy_write_c(&w, policy, "two words", &err), VDI_ERR_ARGUMENT);
    CHECK_FAILS(vdi_policy_write_c(&w, policy, "9lives", &err), VDI_ERR_ARGUMENT);
    CHECK_OK(vdi_policy_write_c(&w, policy, "pilot", &err), err);
    CHECK(text.size > 1000 && memcmp(text.data, "/* A policy written by vdi", 26) == 0);
    CHECK(memcmp(text.data + text.size - 7, "#endif\n", 7) == 0);
    vdi_buffer_free(&text);
    vdi_sacd_destroy(again);
    CHECK_FAILS(vdi_sacd_load("there/is/no/such.file", NULL, NULL, &again, &err), VDI_ERR_IO);
    CHECK(again == NULL);
    remove(path);
    vdi_policy_destroy(policy);
    vdi_sacd_destroy(agent);
}

/* The same without a file: into memory and back; and a policy as a header into a file. */
TEST(sacd, streams) {
    vdi_error err = {0};
    vdi_sacd *agent = NULL, *again = NULL;
    vdi_policy *policy = NULL;
    const vdi_sacd_desc d = small_desc(VDI_SACD_COMPOSITE, VDI_F32);
    const float obs[OBS] = {1, -2, 0.5f};
    float action[2][ACT];
    vdi_buffer out;
    vdi_writer w;
    char head[27] = "";
    CHECK_OK(vdi_sacd_create(&d, &agent, &err), err);
    remember(agent, 30);
    CHECK_OK(vdi_sacd_update(agent, NULL, &err), err);
    vdi_buffer_init(&out, NULL);
    vdi_writer_to_buffer(&w, &out);
    CHECK_OK(vdi_sacd_write(&w, agent, &err), err);
    CHECK_OK(vdi_writer_flush(&w, &err), err);
    vdi_reader r = vdi_reader_memory(out.data, out.size, "memory");
    CHECK_OK(vdi_sacd_read(&r, NULL, NULL, &again, &err), err);
    CHECK(state_same(vdi_sacd_state(agent, true), vdi_sacd_state(again, true)));
    r = vdi_reader_memory(out.data, out.size, "memory");
    CHECK_OK(vdi_policy_read(&r, NULL, &policy, &err), err);
    CHECK(vdi_policy_act(policy, obs, NULL, action[0]) == VDI_OK);
    CHECK(vdi_sacd_act(agent, obs, true, action[1]) == VDI_OK);
    CHECK(memcmp(action[0], action[1], sizeof action[0]) == 0);
    const char *path = scratch_path("policy.h");
    CHECK_OK(vdi_policy_save_c(path, policy, "pilot", &err), err);
    CHECK_OK(vdi_reader_open(&r, path, &err), err);
    CHECK(vdi_read(&r, head, 26) == 26 && !strcmp(head, "/* A policy written by vdi"), "%s", head);
    vdi_reader_close(&r);
    remove(path);
    vdi_sacd_destroy(again);
    r = vdi_reader_memory(out.data, out.size / 2, "memory"); /* cut in the middle */
    CHECK(vdi_sacd_read(&r, NULL, NULL, &again, &err) < 0 && again == NULL, "%s", err.message);
    vdi_buffer_free(&out);
    vdi_policy_destroy(policy);
    vdi_sacd_destroy(agent);
}

TEST(sacd, algorithms_by_name) {
    vdi_sacd_algo algo = VDI_SACD_SAC;
    for (int i = 0; i <= VDI_SACD_CAGRAD_HIDDEN; i++) {
        CHECK(vdi_sacd_algo_find(vdi_sacd_algo_name((vdi_sacd_algo)i), &algo) && (int)algo == i,
              "%s", vdi_sacd_algo_name((vdi_sacd_algo)i));
    }
    CHECK(!vdi_sacd_algo_find("SAC", &algo) && !vdi_sacd_algo_find("?", &algo), "no such names");
}
