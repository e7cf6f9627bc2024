/* examples/vdi/demo_sacd.c - an agent with a value for each component of the reward: it swings a
 * pendulum up, and says what moves it */
#include "demo.h"

enum { HEADS = 4, PARTS = 3, EPISODES = 20, SEEN = 256 };
static const char *const head_name[HEADS] = {"angle", "speed", "torque", "entropy"};

static void page(demo *m, const vdi_sacd_trace *t, double (*part)[SEEN], double *sum, int rows) {
    vdi_figure f;
    vdi_figure_desc fd = {0};
    fd.rows = 2;
    fd.height = 150;
    vdi_figure_init(&f, &fd);
    vdi_panel *p = vdi_figure_panel(&f, 0, 0);
    p->x.label = "episode of training (200 steps each)";
    p->y.label = "return";
    vdi_panel_line(p, "sum", vdi_tensor_1d(sum, VDI_F64, rows))->color = VDI_COLOR_INK;
    for (int i = 0; i < PARTS; i++)
        vdi_panel_line(p, head_name[i], vdi_tensor_1d(part[i], VDI_F64, rows));
    p = vdi_figure_panel(&f, 1, 0);
    p->x.label = "time (s)";
    p->dx = 0.05;
    p->y.label = "value (dashed: what came)";
    for (int i = 0; i < HEADS; i++) {
        vdi_panel_line(p, head_name[i],
                       vdi_tensor_index(vdi_tensor_2d(t->value, VDI_F64, t->steps, HEADS), 1, i));
        vdi_series *s = vdi_panel_line(
            p, NULL, vdi_tensor_index(vdi_tensor_2d(t->returns, VDI_F64, t->steps, HEADS), 1, i));
        s->color = (vdi_color)(VDI_COLOR_BLUE + i);
        s->dashed = true;
    }
    vdi_page_heading(&m->report.page, 2, "SAC-D");
    vdi_page_text(&m->report.page,
                  "A pendulum pays for angle, speed and torque, and the agent learns a "
                  "value for each, and for the entropy of its own "
                  "choices; it acts on their sum. Above, its training; below, one new "
                  "episode: the values by component, and the "
                  "discounted rewards that then came. vdi sacd inspect makes a page to "
                  "scrub through such an episode.");
    vdi_page_figure(&m->report.page, &f, NULL);
    vdi_figure_free(&f);
}

/* The targets of the components add up to SAC's target: the largest difference over random
 * transitions, ends of both kinds included. */
static double identity(const vdi_sacd *agent, vdi_rng *rng) {
    double worst = 0, gamma = vdi_sacd_get_desc(agent)->gamma, alpha = vdi_sacd_alpha(agent);
    for (int k = 0; k < 1000; k++) {
        float reward[PARTS];
        double q[HEADS];
        double y[HEADS];
        double composite = 0;
        double paid = 0;
        double got = 0;
        double log_pi = vdi_rng_normal(rng);
        for (int i = 0; i < HEADS; i++)
            composite += q[i] = 10 * vdi_rng_normal(rng);
        for (int i = 0; i < PARTS; i++)
            paid += (double)(reward[i] = (float)vdi_rng_normal(rng));
        vdi_sacd_target(agent, reward, k % 4, q, log_pi, y);
        for (int i = 0; i < HEADS; i++)
            got += y[i];
        double want =
            paid + (k % 4 & VDI_ENV_TERMINATED ? 0 : gamma * (composite - alpha * log_pi));
        worst = fmax(worst, fabs(got - want));
    }
    return worst;
}

/* A pendulum that is swung up without learning: where it has too little energy to stand, push as it
 * moves; near the top, hold it there. */
static double by_hand(const float *obs) {
    const double angle = atan2((double)obs[1], (double)obs[0]), speed = (double)obs[2];
    const double energy = 0.5 * speed * speed + 15 * (double)obs[0]; /* 15 at rest at the top */
    if (fabs(angle) < 0.6) return fmin(fmax(-5 * angle - speed, -1), 1);
    return (15 - energy) * speed < 0 ? -1 : 1;
}

/* Returns of the same episodes: by the agent, or by hand. */
static bool play(vdi_sacd *agent, vdi_env *env, double *total, vdi_error *err) {
    float obs[3], action[1], reward[PARTS];
    for (int k = 0; k < EPISODES; k++) {
        double sums[VDI_ENV_MAX_COMPONENTS] = {0};
        int end = 0;
        if (agent && vdi_sacd_play(agent, env, 1000001, (uint64_t)k, sums, NULL, err) < 0)
            return false;
        if (!agent && vdi_env_reset(env, 1000001, (uint64_t)k, obs, err) < 0) return false;
        while (!agent && !end) {
            action[0] = (float)by_hand(obs);
            if (vdi_env_step(env, action, obs, reward, &end, err) < 0) return false;
            for (int i = 0; i < PARTS; i++)
                sums[i] += (double)reward[i];
        }
        total[k] = sums[0] + sums[1] + sums[2];
    }
    return true;
}

static double mean_of(const double *x, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] / n;
    return sum;
}

/* Held against the same episodes played by hand, and before anything was learned: as good as by
 * hand, within two standard errors; nearer to that than to nothing. */
static void row_of_returns(demo *m, const double *total, const double *hand, const double *before,
                           double since) {
    const double ruled = mean_of(hand, EPISODES), untrained = mean_of(before, EPISODES);
    demo_row(m, "sacd", "pendulum: mean return, new episodes", mean_of(total, EPISODES),
             ruled - 2 * demo_paired_error(total, hand, EPISODES), (ruled + untrained) / 2, since,
             "%.0f by a rule made by hand, %.0f untrained", ruled, untrained);
}

bool demo_sacd(demo *m) {
    static double part[PARTS][SEEN], sum[SEEN];
    const int steps = m->quick ? 7000 : 10000;
    double since = seconds_now(), total[EPISODES], hand[EPISODES], before[EPISODES];
    int rows = 0;
    vdi_error err = {0};
    vdi_env env = {0};
    vdi_sacd_desc desc = {0};
    vdi_sacd *agent = NULL;
    vdi_sacd_trace *trace = NULL;
    vdi_sacd_episode *episode = NULL;
    vdi_value_check check = {0};
    vdi_rng rng = vdi_rng_make(m->r->seed, 6);
    desc.observations = 3;
    desc.actions = 1;
    desc.components = PARTS;
    desc.hidden[0] = desc.hidden[1] = 64;
    desc.batch = 100;
    desc.start = 100;
    desc.rate = 1e-3;
    desc.capacity = steps;
    desc.seed = m->r->seed;
    desc.pool = m->r->pool;
    bool ok = vdi_env_open("pendulum", NULL, &env, &err) == VDI_OK &&
              vdi_sacd_create(&desc, &agent, &err) == VDI_OK &&
              vdi_sacd_episode_create(agent, NULL, &episode, &err) == VDI_OK &&
              play(NULL, &env, hand, &err) && play(agent, &env, before, &err);
    for (int step = 0; ok && step < steps && !interrupted(); step++) {
        ok = vdi_sacd_step(agent, &env, episode, NULL, &err) == VDI_OK;
        if (!ok || !episode->end || rows == SEEN) continue;
        sum[rows] = 0;
        for (int i = 0; i < PARTS; i++)
            sum[rows] += part[i][rows] = episode->sum[i];
        progress(m->r, step + 1, steps, "SAC-D: return", sum[rows++]);
    }
    progress_end(m->r);
    /* new episodes; the mean action for the return, sampled actions for the values */
    ok = ok && !interrupted() && play(agent, &env, total, &err) &&
         vdi_sacd_trace_create(agent, env.limit, NULL, &trace, &err) == VDI_OK;
    for (int k = 0; ok && k < EPISODES; k++) {
        ok = vdi_sacd_trace_play(trace, agent, &env, 2000001, (uint64_t)k, false, &err) == VDI_OK;
        if (ok) vdi_value_check_add(&check, trace);
    }
    if (ok) {
        double gap = identity(agent, &rng);
        double explained = vdi_value_check_head(&check, 0).explained;
        demo_row(m, "sacd", "sum of component targets - SAC's target", gap, 1e-12, 1e-9, since,
                 "0 but for rounding");
        row_of_returns(m, total, hand, before, since);
        demo_row(m, "sacd", "value of angle: variance explained", explained, 0.8, 0.4, since,
                 "1 foresees what comes, 0 its mean alone");
        if (m->open) page(m, trace, part, sum, rows);
    } else if (!interrupted()) {
        (void)fail_error(&err, NULL);
    }
    vdi_sacd_trace_destroy(trace);
    vdi_sacd_episode_destroy(episode);
    vdi_sacd_destroy(agent);
    vdi_env_close(&env);
    return ok;
}
