/* tests/env.c - environments: the pendulum against recordings, what the others promise, and both
 * ends of the wire */
#include "io.h"

/* ---- the recordings -------------------------------------------------------------------------- */

static vdi_tensor recorded(vdi_npz *npz, const char *name) {
    vdi_tensor t;
    vdi_error err = {0};
    memset(&t, 0, sizeof t);
    CHECK_OK(vdi_npz_get(npz, name, NULL, &t, &err), err);
    return t;
}

TEST(env, pendulum_recordings) {
    NEED_SHARED("data/gym/pendulum_00.npz");
    static const char *const file[] = {"00", "01", "02", "06", "07", "08"};
    for (size_t k = 0; k < sizeof file / sizeof *file; k++) {
        char name[64];
        vdi_npz npz;
        vdi_env env;
        vdi_error err = {0};
        float obs[3], reward[3], action;
        double worst = 0;
        int end = 0;
        const int64_t again = 50;
        snprintf(name, sizeof name, "data/gym/pendulum_%s.npz", file[k]);
        CHECK_OK(vdi_npz_open_file(&npz, shared_path(name), NULL, &err), err);
        vdi_tensor state = recorded(&npz, "state");
        vdi_tensor actions = recorded(&npz, "action");
        vdi_tensor seen = recorded(&npz, "obs");
        vdi_tensor first = recorded(&npz, "obs0");
        vdi_tensor components = recorded(&npz, "component");
        vdi_tensor rewards = recorded(&npz, "reward");
        const double *start = (const double *)state.data;
        const double *part = (const double *)components.data;
        const double *scalar = (const double *)rewards.data;
        const float *u = (const float *)actions.data;
        const float *o = (const float *)seen.data;
        const float *o0 = (const float *)first.data;
        int64_t T = vdi_tensor_count(rewards);
        CHECK(T == 200 && vdi_tensor_count(components) == 3 * T, "recording of %lld steps",
              (long long)T);
        CHECK_OK(vdi_env_pendulum(&env), err);
        vdi_env_pendulum_place(&env, start[0], start[1], obs);
        for (int i = 0; i < 3; i++)
            CHECK_CLOSE(obs[i], o0[i], 1e-6);
        for (int64_t t = 0; t < T; t++) {
            action = u[t] / 2; /* the recorded one is a torque */
            /* The sine that NumPy has there differs in a last bit from the C library's at every
             * tenth angle, and upright the pendulum makes e^9.7 of that in 50 steps, e^38 in 200:
             * so it begins again at the recorded state. */
            if (t % again == 0) {
                vdi_env_pendulum_place(&env, start[2 * t], start[2 * t + 1], obs);
                end = 0;
            }
            CHECK(!end, "ended at step %lld", (long long)t);
            CHECK_OK(vdi_env_step(&env, &action, obs, reward, &end, &err), err);
            for (int i = 0; i < 3; i++) {
                worst = test_worst(worst, test_worst(fabs((double)obs[i] - o[3 * t + i]),
                                                     fabs((double)reward[i] - part[3 * t + i])));
            }
            worst = test_worst(
                worst, fabs((double)reward[0] + (double)reward[1] + (double)reward[2] - scalar[t]));
        }
        CHECK(worst <= 1e-6, "%s: off by %g", file[k], worst);
        vdi_env_close(&env);
        vdi_tensor *all[] = {&state, &actions, &seen, &first, &components, &rewards};
        for (size_t i = 0; i < 6; i++)
            vdi_tensor_free(NULL, all[i]);
        vdi_npz_close(&npz);
    }
}

/* ---- what every built-in environment promises ------------------------------------------------ */

/* Random play of one episode; returns a sum over all bits that came, and the steps. */
static double play(vdi_env *env, uint64_t seed, uint64_t episode, int64_t *steps, int *end) {
    float *obs = (float *)calloc((size_t)env->observations, sizeof *obs);
    float *action = (float *)calloc((size_t)env->actions, sizeof *action);
    float *reward = (float *)calloc((size_t)env->components, sizeof *reward);
    vdi_rng dice = vdi_rng_make(seed + 1000, episode);
    vdi_error err = {0};
    double sum = 0;
    CHECK_OK(vdi_env_reset(env, seed, episode, obs, &err), err);
    *steps = 0;
    *end = 0;
    while (!*end && *steps < 5000) {
        for (int64_t i = 0; i < env->actions; i++)
            action[i] = (float)(2.4 * vdi_rng_uniform(&dice) - 1.2);
        CHECK_OK(vdi_env_step(env, action, obs, reward, end, &err), err);
        ++*steps;
        for (int64_t i = 0; i < env->observations; i++)
            sum += (double)(i + 1) * obs[i];
        for (int64_t i = 0; i < env->components; i++)
            sum += (double)(i + 2) * reward[i];
    }
    free(obs);
    free(action);
    free(reward);
    return sum;
}

TEST(env, builtin) {
    int64_t count;
    const vdi_env_entry *const *list = vdi_env_list(&count);
    CHECK(count > 0);
    CHECK(vdi_env_list(NULL) == list);
    for (int64_t k = 0; k < count; k++) {
        vdi_env env, other;
        vdi_error err = {0};
        int64_t steps, more;
        int end, same;
        CHECK(list[k]->env.self == NULL && list[k]->summary && *list[k]->summary);
        CHECK_OK(vdi_env_open(list[k]->env.name, NULL, &env, &err), err);
        CHECK_OK(vdi_env_open(list[k]->env.name, NULL, &other, &err), err);
        CHECK_OK(vdi_env_check(&env, &err), err);
        CHECK(env.observation && env.action && env.limit > 0);
        double third = play(&env, 7, 3, &steps, &end);
        for (uint64_t episode = 0; episode < test_scaled(40); episode++) {
            (void)play(&other, 7, episode, &more, &same);
            CHECK(more <= env.limit && (same == VDI_ENV_TERMINATED ||
                                        (same == VDI_ENV_TRUNCATED && more == env.limit)),
                  "%s: ended by %d after %lld steps", env.name, same, (long long)more);
        }
        /* an episode is a function of (seed, episode): whatever was played before, whatever object
         * plays it */
        double again = play(&other, 7, 3, &more, &same);
        CHECK(memcmp(&again, &third, sizeof again) == 0 && steps == more && end == same,
              "%s: episode 3 differs", env.name);
        CHECK(play(&other, 7, 4, &more, &same) != third &&
                  play(&other, 8, 3, &more, &same) != third,
              "%s", env.name);
        vdi_env_close(&env);
        vdi_env_close(&other);
        CHECK(env.self == NULL && env.step == NULL);
        vdi_env_close(&env); /* a zero environment */
    }
    vdi_env env;
    vdi_error err = {0};
    CHECK_FAILS(vdi_env_open("pendulums", NULL, &env, &err), VDI_ERR_ARGUMENT);
    for (int64_t k = 0; k < count; k++)
        CHECK_SAYS(err, list[k]->env.name);
    CHECK_SAYS(err, "pendulums");
    CHECK_FAILS(vdi_env_open(NULL, NULL, &env, &err), VDI_ERR_ARGUMENT);
    test_allocator counted = {0, 1, 0, 0};
    vdi_allocator a = test_allocator_of(&counted);
    CHECK_FAILS(vdi_env_open("lander", &a, &env, &err), VDI_ERR_MEMORY);
    CHECK_OK(vdi_env_open("lander", &a, &env, &err), err);
    vdi_env_close(&env);
    CHECK(counted.requests == 2 && counted.live == 0, "%ld requests, %ld out", counted.requests,
          counted.live);
}

/* LunarLander's published law of control */
static void land(const float *o, float *action) {
    double angle = fmin(fmax(0.5 * o[0] + o[2], -0.4), 0.4), turn = 0.5 * (angle - o[4]) - o[5];
    double lift = 0.5 * (0.55 * fabs(o[0]) - o[1]) - 0.5 * o[3];
    if (o[6] != 0 || o[7] != 0) {
        turn = 0;
        lift = -0.5 * o[3];
    }
    action[0] = (float)(20 * lift - 1);
    action[1] = (float)(-20 * turn);
}

TEST(env, lander) {
    vdi_env env;
    vdi_error err = {0};
    double mean = 0, side = 0;
    int fired[2] = {0, 0};
    size_t episodes = test_scaled(20);
    CHECK_OK(vdi_env_lander(&env), err);
    for (uint64_t episode = 0; episode < episodes; episode++) {
        float obs[8], before[8], action[2], reward[9];
        int end = 0;
        CHECK_OK(vdi_env_reset(&env, 1, episode, obs, &err), err);
        while (!end) {
            double total = 0, shaped[5];
            memcpy(before, obs, sizeof obs);
            land(obs, action);
            CHECK_OK(vdi_env_step(&env, action, obs, reward, &end, &err), err);
            for (int i = 0; i < 9; i++)
                total += (double)reward[i];
            mean += total / (double)episodes;
            side += obs[0] / 1000;
            if (end) { /* the end replaces the rest */
                for (int i = 0; i < 7; i++)
                    CHECK(reward[i] == 0, "component %d is %g at the end", i, reward[i]);
                CHECK(total == (end == VDI_ENV_TRUNCATED ? total
                                : reward[8] > 0          ? 100
                                                         : -100),
                      "total %g", total);
                continue;
            }
            shaped[0] = -100 * (hypot(obs[0], obs[1]) - hypot(before[0], before[1]));
            shaped[1] = -100 * (hypot(obs[2], obs[3]) - hypot(before[2], before[3]));
            shaped[2] = -100 * (fabs((double)obs[4]) - fabs((double)before[4]));
            shaped[3] = 10 * (obs[6] - before[6]);
            shaped[4] = 10 * (obs[7] - before[7]);
            for (int i = 0; i < 5; i++) {
                CHECK(fabs(reward[i] - shaped[i]) < 1e-4,
                      "component %d is %g, the observations say %g", i, reward[i], shaped[i]);
            }
            const double main_engine = fmin(fmax((double)action[0], -1), 1);
            const double side_engine = fmin(fabs((double)action[1]), 1);
            CHECK_CLOSE(reward[5], main_engine > 0 ? -0.3 * (1 + main_engine) / 2 : 0, 1e-6);
            CHECK_CLOSE(reward[6], side_engine > 0.5 ? -0.03 * side_engine : 0, 1e-7);
            fired[0] += reward[5] < 0;
            fired[1] += reward[6] < 0;
        }
    }
    CHECK(fired[0] > 0 && fired[1] > 0, "engines fired %d and %d times", fired[0], fired[1]);
    /* 283 +- 16 over 400 episodes */
    CHECK(mean > 250 && fabs(side) < 1, "the law lands with %g on average", mean);
    /* without engines it falls freely, and comes down too fast */
    float obs[8], reward[9], nothing[2] = {0, 0};
    double speed;
    int end = 0, steps = 0;
    CHECK_OK(vdi_env_reset(&env, 1, 0, obs, &err), err);
    while (!end) {
        speed = obs[3];
        CHECK_OK(vdi_env_step(&env, nothing, obs, reward, &end, &err), err);
        if (!end) CHECK_CLOSE(obs[3] - speed, -10.0 / 50 * (20.0 / 3) / 50, 1e-6);
        steps++;
    }
    CHECK(end == VDI_ENV_TERMINATED && reward[7] == -100 && steps > 20,
          "end %d, failure %g, %d steps", end, reward[7], steps);
    vdi_env_close(&env);
}

/* What the robot sees of the obstacles says what they cost: from 0.3 m before the edge on. */
static double closeness(const float *obs) {
    double sum = 0;
    for (int i = 0; i < 3; i++) {
        const float *o = obs + 6 + 3 * i;
        const double gap = 5 * (hypot((double)o[0], (double)o[1]) - (double)o[2]);
        sum += fmin(fmax(1 - gap / 0.3, 0), 2);
    }
    return sum;
}

/* Thrust against drag, unless a wall stops it. */
static void moved(const float *was, const float *now, const float *action, double fuel) {
    for (int i = 0; i < 2; i++) {
        const double a = fuel > 0 ? fmin(fmax((double)action[i], -1), 1) : 0;
        const double v = 2 * (double)was[2 + i], want = v + 0.1 * (2 * a - 0.5 * v);
        const bool wall = fabs((double)now[i]) >= 1;
        CHECK_CLOSE(2 * (double)now[2 + i], wall ? 0 : want, 1e-6);
        CHECK_CLOSE(5 * (double)(now[i] - was[i]), 0.1 * want, wall ? 0.4 : 1e-5);
    }
}

TEST(env, navigate) {
    vdi_env env;
    vdi_error err = {0};
    int arrived = 0, near_edge = 0, deep = 0;
    size_t episodes = test_scaled(50);
    CHECK_OK(vdi_env_navigate(&env), err);
    for (uint64_t episode = 0; episode < episodes; episode++) {
        float obs[16], action[2], reward[4];
        int end = 0, wasteful = episode % 2 == 1;
        CHECK_OK(vdi_env_reset(&env, 3, episode, obs, &err), err);
        for (int i = 0; i < 3; i++) { /* neither start nor goal lies in an obstacle */
            const float *o = obs + 6 + 3 * i;
            CHECK(hypot(o[0], o[1]) > o[2] && hypot(o[0] - obs[4], o[1] - obs[5]) > o[2],
                  "episode %d obstacle %d", (int)episode, i);
        }
        CHECK(obs[15] == 1 && hypot(obs[4], obs[5]) >= 1);
        while (!end) {
            double before = hypot(obs[4], obs[5]), used;
            float fuel = obs[15], was[16];
            memcpy(was, obs, sizeof obs);
            for (int i = 0; i < 2; i++) { /* into a corner, or straight to the goal */
                action[i] =
                    wasteful ? (obs[4 + i] > 0 ? -1.0f : 1.0f) : obs[4 + i] - 0.5f * obs[2 + i];
            }
            used = 0;
            for (int i = 0; i < 2; i++)
                used += fmin(action[i] * action[i], 1);
            CHECK_OK(vdi_env_step(&env, action, obs, reward, &end, &err), err);
            CHECK_CLOSE(reward[2], fuel > 0 ? -0.1 * used : 0, 1e-6);
            CHECK_CLOSE(reward[3], -0.05, 1e-8);
            CHECK_CLOSE(reward[1], -closeness(obs), 1e-5);
            near_edge += reward[1] < -0.1f && reward[1] > -0.9f;
            deep += reward[1] <= -2;
            moved(was, obs, action, fuel);
            CHECK_CLOSE(obs[15], fmax(fuel - (fuel > 0 ? used / 200 : 0), 0), 1e-6);
            CHECK_CLOSE(
                reward[0],
                10 * (before - hypot(obs[4], obs[5])) + (end == VDI_ENV_TERMINATED ? 20 : 0), 2e-5);
            CHECK(fabs((double)obs[0]) <= 1 && fabs((double)obs[1]) <= 1);
        }
        arrived += end == VDI_ENV_TERMINATED;
        if (wasteful) CHECK(obs[15] == 0, "full thrust for 200 steps leaves %g", obs[15]);
    }
    CHECK(arrived == (int)(episodes + 1) / 2, "%d arrived", arrived);
    CHECK(episodes < 50 || (near_edge > 0 && deep > 0), "%d steps beside and %d in obstacles",
          near_edge, deep);
    vdi_env_close(&env);
}

/* ---- environments that misbehave ------------------------------------------------------------- */

typedef struct odd {
    float obs, reward, got;
    int end;
    vdi_status status;
} odd;
static vdi_status odd_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                            vdi_error *err) {
    odd *o = (odd *)self;
    (void)seed;
    (void)episode;
    obs[0] = o->obs;
    obs[1] = 2;
    return o->status < 0 ? vdi_error_set(err, o->status, "odd", "no world today") : VDI_OK;
}
static vdi_status odd_step(void *self, const float *action, float *obs, float *reward, int *end,
                           vdi_error *err) {
    odd *o = (odd *)self;
    o->got = action[0];
    reward[0] = o->reward;
    *end = o->end;
    return odd_reset(self, 0, 0, obs, err);
}
static const char *const odd_names[] = {"drift", "height"};
static vdi_env odd_env(odd *o) {
    vdi_env env;
    memset(&env, 0, sizeof env);
    env.name = "odd";
    env.observations = 2;
    env.actions = 1;
    env.components = 1;
    env.component = odd_names;
    env.observation = odd_names;
    env.reset = odd_reset;
    env.step = odd_step;
    env.self = o;
    return env;
}

TEST(env, checks) {
    odd o = {1, 0, 0, 0, VDI_OK};
    vdi_env env = odd_env(&o), bad;
    vdi_error err = {0};
    float obs[2], reward[1], action[1] = {5};
    int end = 9;
    CHECK_OK(vdi_env_check(&env, &err), err);
    CHECK_OK(vdi_env_step(&env, action, obs, reward, &end, &err), err);
    CHECK(o.got == 1 && end == 0, "action %g, end %d", o.got, end);
    action[0] = NAN;
    CHECK_FAILS(vdi_env_step(&env, action, obs, reward, &end, &err), VDI_ERR_NUMERIC);
    CHECK_SAYS(err, "action");
    CHECK(end == VDI_ENV_TRUNCATED);
    action[0] = -7;
    o.reward = INFINITY;
    CHECK_FAILS(vdi_env_step(&env, action, obs, reward, &end, &err), VDI_ERR_NUMERIC);
    CHECK_SAYS(err, "reward 0 (drift)");
    CHECK(o.got == -1 && end == VDI_ENV_TRUNCATED);
    o.reward = 0;
    o.obs = NAN;
    CHECK_FAILS(vdi_env_step(&env, action, obs, reward, &end, &err), VDI_ERR_NUMERIC);
    CHECK_SAYS(err, "observation 0 (drift)");
    CHECK_FAILS(vdi_env_reset(&env, 0, 0, obs, &err), VDI_ERR_NUMERIC);
    o.obs = 0;
    o.end = 4;
    CHECK_FAILS(vdi_env_step(&env, action, obs, reward, &end, &err), VDI_ERR_DATA);
    o.end = 0;
    o.status = VDI_ERR_IO;
    CHECK_FAILS(vdi_env_step(&env, action, obs, reward, &end, &err), VDI_ERR_IO);
    CHECK_SAYS(err, "no world today");
    CHECK_FAILS(vdi_env_reset(&env, 0, 0, obs, NULL), VDI_ERR_IO);
    CHECK_FAILS(vdi_env_reset(&env, 0, 0, NULL, &err), VDI_ERR_ARGUMENT);
    CHECK_FAILS(vdi_env_step(&env, NULL, obs, reward, &end, &err), VDI_ERR_ARGUMENT);
    CHECK_FAILS(vdi_env_step(&env, action, obs, reward, NULL, &err), VDI_ERR_ARGUMENT);
    for (int i = 0; i < 14; i++) {
        static const char *const unnamed[] = {NULL}, *const latin[] = {"fen\xeatre", "height"};
        static const char *const lines[] = {"a\nb", "height"}, *const overlong[] = {"\xc0\xaf", ""};
        bad = env;
        if (i == 0) bad.reset = NULL;
        if (i == 1) bad.step = NULL;
        if (i == 2) bad.name = NULL;
        if (i == 3) bad.observations = 0;
        if (i == 4) bad.actions = VDI_ENV_MAX_ACTIONS + 1;
        if (i == 5) bad.components = -1;
        if (i == 6) bad.limit = -1;
        if (i == 7) bad.component = NULL;
        if (i == 8) bad.component = unnamed;
        if (i == 9) bad.component = latin;
        if (i == 10) bad.observation = lines;
        if (i == 11) bad.action = overlong;
        if (i == 12) bad.name = "\x7f";
        if (i == 13) bad.components = VDI_ENV_MAX_COMPONENTS + 1;
        CHECK_FAILS(vdi_env_check(&bad, &err), VDI_ERR_ARGUMENT);
        CHECK_FAILS(vdi_env_reset(&bad, 0, 0, obs, &err), VDI_ERR_ARGUMENT);
    }
    CHECK_FAILS(vdi_env_check(NULL, &err), VDI_ERR_ARGUMENT);
    static const char *const plain[] = {"a\"b,c", "h\xc3\xb6he \xe2\x82\xac \xf0\x9f\x9a\x80"};
    env.component = env.observation = plain;
    CHECK_OK(vdi_env_check(&env, &err), err);
}

/* ---- the wire -------------------------------------------------------------------------------- */

enum { CAPACITY = 1 << 17 };

/* Memory for one end: what it reads, few bytes at a time, and what it has written. */
typedef struct tape_end {
    unsigned char in[CAPACITY], out[CAPACITY];
    size_t size, at, written, most;
    bool broken; /* no write succeeds */
} tape_end;
static int64_t tape_read(void *buffer, size_t size, void *user) {
    tape_end *t = (tape_end *)user;
    size_t n = VDI__MIN(VDI__MIN(size, t->most), t->size - t->at);
    memcpy(buffer, t->in + t->at, n);
    t->at += n;
    return (int64_t)n;
}
static bool tape_write(const void *data, size_t size, void *user) {
    tape_end *t = (tape_end *)user;
    if (t->broken || t->written + size > CAPACITY) return false;
    memcpy(t->out + t->written, data, size);
    t->written += size;
    return true;
}

/* A client whose server is in the same thread: at each read the server is run again over all
 * requests so far, and the reply is what it says beyond what was read before. So the server has to
 * be deterministic, which is one of its promises. */
typedef struct loopback {
    tape_end server;
    vdi_env *env;
    size_t read;
} loopback;
static int64_t loop_read(void *buffer, size_t size, void *user) {
    loopback *l = (loopback *)user;
    vdi_env_wire wire = {tape_read, tape_write, &l->server};
    vdi_error err = {0};
    l->server.at = l->server.written = 0;
    CHECK_OK(vdi_env_wire_serve(l->env, &wire, NULL, &err), err);
    size_t n = VDI__MIN(VDI__MIN(size, l->server.most), l->server.written - l->read);
    memcpy(buffer, l->server.out + l->read, n);
    l->read += n;
    return (int64_t)n;
}
static bool loop_write(const void *data, size_t size, void *user) {
    loopback *l = (loopback *)user;
    if (l->server.size + size > CAPACITY) return false;
    memcpy(l->server.in + l->server.size, data, size);
    l->server.size += size;
    return true;
}

static loopback loop;
static tape_end one_end;

/* A short session; returns the first error, or VDI_OK. */
static vdi_status session(const vdi_env_wire *wire, int steps, vdi_error *err) {
    vdi_env env;
    float obs[16], action[2] = {0.5f, -0.25f}, reward[9];
    int end = 0;
    vdi_status status = vdi_env_wire_open(wire, NULL, &env, err);
    if (status >= 0) status = vdi_env_reset(&env, 3, 5, obs, err);
    for (int i = 0; status >= 0 && i < steps; i++)
        status = vdi_env_step(&env, action, obs, reward, &end, err);
    vdi_env_close(&env);
    return status;
}

TEST(env, wire_round_trip) {
    vdi_env local, remote;
    vdi_error err = {0};
    float a[2], r1[9], r2[9], o1[8], o2[8];
    vdi_env_wire wire = {loop_read, loop_write, &loop};
    test_allocator counted = {0, 1, 0, 0};
    vdi_allocator allocator = test_allocator_of(&counted);
    memset(&loop, 0, sizeof loop);
    loop.server.most = 7; /* messages come in pieces */
    CHECK_OK(vdi_env_lander(&local), err);
    loop.env = &local;
    CHECK_FAILS(vdi_env_wire_open(&wire, &allocator, &remote, &err), VDI_ERR_MEMORY);
    memset(&loop, 0, sizeof loop);
    loop.server.most = 7;
    loop.env = &local;
    CHECK_OK(vdi_env_wire_open(&wire, &allocator, &remote, &err), err);
    CHECK_OK(vdi_env_check(&remote, &err), err);
    CHECK(remote.observations == 8 && remote.actions == 2 && remote.components == 9 &&
          remote.limit == 1000 && strcmp(remote.name, "lander") == 0);
    for (int i = 0; i < 8; i++) {
        CHECK(strcmp(remote.observation[i], local.observation[i]) == 0, "observation %d is %s", i,
              remote.observation[i]);
    }
    for (int i = 0; i < 2; i++)
        CHECK(strcmp(remote.action[i], local.action[i]) == 0, "action %d is %s", i,
              remote.action[i]);
    for (int i = 0; i < 9; i++) {
        CHECK(strcmp(remote.component[i], local.component[i]) == 0, "component %d is %s", i,
              remote.component[i]);
    }
    vdi_env twin;
    CHECK_OK(vdi_env_lander(&twin), err);
    vdi_rng dice = vdi_rng_make(1, 1);
    for (uint64_t episode = 0; episode < 2; episode++) {
        int end1 = 0, end2 = 0;
        CHECK_OK(vdi_env_reset(&remote, UINT64_C(0x123456789abcdef0), episode, o1, &err), err);
        CHECK_OK(vdi_env_reset(&twin, UINT64_C(0x123456789abcdef0), episode, o2, &err), err);
        CHECK(memcmp(o1, o2, sizeof o1) == 0);
        for (int t = 0; t < 30; t++) {
            for (int i = 0; i < 2; i++)
                a[i] = (float)(2 * vdi_rng_uniform(&dice) - 1);
            CHECK_OK(vdi_env_step(&remote, a, o1, r1, &end1, &err), err);
            CHECK_OK(vdi_env_step(&twin, a, o2, r2, &end2, &err), err);
            CHECK(memcmp(o1, o2, sizeof o1) == 0 && memcmp(r1, r2, sizeof r1) == 0 && end1 == end2,
                  "step %d differs", t);
        }
    }
    vdi_env_close(&remote);
    CHECK(counted.live == 0, "%ld blocks left", counted.live);
    CHECK(memcmp(loop.server.in + loop.server.size - 8, "QUIT\0\0\0\0", 8) == 0,
          "no QUIT at the end");
    /* the bytes of the page on the protocol */
    CHECK(memcmp(loop.server.in, "HELO\x0c\0\0\0vdi-env\n\x01\0\0\0", 20) == 0);
    CHECK(memcmp(loop.server.in + 20,
                 "RSET\x10\0\0\0\xf0\xde\xbc\x9a\x78\x56\x34\x12\0\0\0\0\0\0\0\0", 24) == 0);
    vdi_env_close(&local);
    vdi_env_close(&twin);
}

/* A failure of the environment is told, and another episode may begin. */
TEST(env, wire_tells_failures) {
    vdi_env remote;
    vdi_error err = {0};
    float a[2] = {0.5f, 0}, r1[9], o1[8];
    vdi_env_wire wire = {loop_read, loop_write, &loop};
    odd o = {0, 0, 0, 0, VDI_ERR_MEMORY};
    vdi_env strange = odd_env(&o);
    memset(&loop, 0, sizeof loop);
    loop.server.most = 100;
    loop.env = &strange;
    CHECK_OK(vdi_env_wire_open(&wire, NULL, &remote, &err), err);
    CHECK(strcmp(remote.observation[1], "height") == 0 && strcmp(remote.action[0], "") == 0);
    CHECK_FAILS(vdi_env_reset(&remote, 1, 1, o1, &err), VDI_ERR_DATA);
    CHECK_SAYS(err, "the server says: no world today");
    o.status = VDI_OK;
    o.reward = NAN;
    loop.server.size -= 24;
    loop.read -= 8 + strlen("no world today"); /* the history that never was */
    CHECK_OK(vdi_env_reset(&remote, 1, 1, o1, &err), err);
    CHECK(o1[1] == 2);
    int end;
    CHECK_FAILS(vdi_env_step(&remote, a, o1, r1, &end, &err), VDI_ERR_DATA);
    CHECK_SAYS(err, "reward 0 (drift)");
    CHECK_FAILS(vdi_env_step(&remote, a, o1, r1, &end, &err),
                VDI_ERR_DATA); /* that episode is over */
    CHECK_SAYS(err, "reset first");
    vdi_env_close(&remote);
}

/* The replies of a true server to `session`, into one_end.in, and its requests into one_end.out. */
static size_t true_replies(int steps) {
    vdi_env env;
    vdi_error err = {0};
    vdi_env_wire wire = {loop_read, loop_write, &loop};
    memset(&loop, 0, sizeof loop);
    loop.server.most = CAPACITY;
    CHECK_OK(vdi_env_navigate(&env), err);
    loop.env = &env;
    CHECK_OK(session(&wire, steps, &err), err);
    vdi_env_close(&env);
    memset(&one_end, 0, sizeof one_end);
    memcpy(one_end.in, loop.server.out, loop.server.written);
    one_end.size = loop.server.written;
    one_end.most = CAPACITY;
    return one_end.size;
}
static vdi_status again(size_t size, int steps, vdi_error *err) {
    vdi_env_wire wire = {tape_read, tape_write, &one_end};
    one_end.at = one_end.written = 0;
    one_end.size = size;
    return session(&wire, steps, err);
}

/* Where the messages behind the INFO begin. */
static size_t first_obsv(void) {
    size_t at = 0;
    while (memcmp(one_end.in + at, "OBSV", 4) != 0)
        at++;
    return at;
}

enum { STEPS = 3 };

TEST(env, wire_dying_server) {
    vdi_error err = {0};
    const size_t all = true_replies(STEPS);
    CHECK_OK(again(all, STEPS, &err), err);
    for (size_t n = 0; n < all; n++) { /* wherever */
        one_end.most = 1 + n % 9;
        CHECK_FAILS(again(n, STEPS, &err), VDI_ERR_IO);
        CHECK_SAYS(err, "closed the connection");
    }
    one_end.most = CAPACITY;
    one_end.broken = true; /* it takes no requests */
    CHECK_FAILS(again(all, STEPS, &err), VDI_ERR_IO);
    CHECK_SAYS(err, "written");
}

static const struct {
    size_t at; /* in the INFO; beyond: in the messages behind it */
    uint32_t value;
    vdi_status wanted;
    const char *says;
} lie[] = {
    {0, 0x4f4c4548, VDI_ERR_FORMAT, "got HELO"},
    {0, 0x0a6f6c6c, VDI_ERR_FORMAT, "nothing else"},
    {4, 27, VDI_ERR_FORMAT, "INFO of 27 bytes"},
    {4, 0xffffffff, VDI_ERR_FORMAT, "bytes of names"},
    {4, 100000000, VDI_ERR_FORMAT, "bytes of names"},
    {8, 0, VDI_ERR_FORMAT, "version"},
    {16, 3, VDI_ERR_FORMAT, "got version 3"},
    {16, 2, VDI_ERR_FORMAT, "flags"}, /* where there are none */
    {20, 0, VDI_ERR_FORMAT, "1 to 65536 observations"},
    {20, 0x80000000, VDI_ERR_FORMAT, "observations"},
    {20, 15, VDI_ERR_FORMAT, "names"},
    {20, 17, VDI_ERR_FORMAT, "names"},
    {24, 1025, VDI_ERR_FORMAT, "1 to 1024 actions"},
    {28, 1000, VDI_ERR_FORMAT, "1 to 255 components"},
    {36, 0, VDI_ERR_FORMAT, "names"}, /* the environment's own is empty */
    {36, 0x0a61ff61, VDI_ERR_FORMAT, "UTF-8"},
    {36, 0x0a616161, VDI_ERR_FORMAT, "control"},
    {1000, 0x4e415254, VDI_ERR_FORMAT, "got TRAN"},
    {1004, 60, VDI_ERR_FORMAT, "OBSV of 60 bytes"},
    {1008, 0x7fc00000, VDI_ERR_NUMERIC, "observation"},
    {2004, 88, VDI_ERR_FORMAT, "TRAN of 88 bytes"},
    {2008, 7, VDI_ERR_FORMAT, "0 to 3"},
    {2012, 0x7f800000, VDI_ERR_NUMERIC, "(goal)"},
    {2028, 0xffc00000, VDI_ERR_NUMERIC, "observation"},
};

TEST(env, wire_lying_server) {
    vdi_error err = {0};
    const size_t all = true_replies(STEPS), obsv = first_obsv(), tran = obsv + 8 + 4 * 16;
    for (size_t i = 0; i < sizeof lie / sizeof *lie; i++) {
        size_t at = lie[i].at >= 2000   ? lie[i].at - 2000 + tran
                    : lie[i].at >= 1000 ? lie[i].at - 1000 + obsv
                                        : lie[i].at;
        unsigned char kept[4];
        memcpy(kept, one_end.in + at, 4);
        for (int b = 0; b < 4; b++)
            one_end.in[at + (size_t)b] = (unsigned char)(lie[i].value >> 8 * b);
        CHECK(again(all, STEPS, &err) == lie[i].wanted, "lie %d gave %s: %s", (int)i,
              vdi_status_name(err.status), err.message);
        CHECK_SAYS(err, lie[i].says);
        memcpy(one_end.in + at, kept, 4);
    }
    /* any byte may be wrong: whatever comes of it, nothing breaks (the sanitizers watch) */
    for (size_t i = 0; i < all; i++) {
        for (int bit = 0; bit < 8; bit += 1 + (int)(i % 3)) {
            one_end.in[i] ^= (unsigned char)(1 << bit);
            (void)again(all, STEPS, &err);
            one_end.in[i] ^= (unsigned char)(1 << bit);
        }
    }
}

TEST(env, wire_is_dead_after_a_malformed_reply) {
    vdi_env env;
    vdi_error err = {0};
    float obs[16], reward[4], action[2] = {0, 0};
    int end;
    vdi_env_wire wire = {tape_read, tape_write, &one_end};
    (void)true_replies(STEPS);
    CHECK_OK(vdi_env_wire_open(&wire, NULL, &env, &err), err);
    one_end.in[first_obsv() + 4]++;
    CHECK_FAILS(vdi_env_reset(&env, 1, 1, obs, &err), VDI_ERR_FORMAT);
    size_t before = one_end.written;
    CHECK_FAILS(vdi_env_reset(&env, 1, 1, obs, &err), VDI_ERR_STATE);
    CHECK_FAILS(vdi_env_step(&env, action, obs, reward, &end, &err), VDI_ERR_STATE);
    vdi_env_close(&env);
    CHECK(one_end.written == before, "%zu bytes were written to a dead wire",
          one_end.written - before);
}

/* ---- sizes --------------------------------------------------------------------------------- */

enum { WIDE_OBS = 1000, WIDE_ACT = 100, WIDE_REWARD = 64 };

typedef struct wide {
    double sum; /* of all actions so far */
    int steps;
} wide;

static vdi_status wide_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                             vdi_error *err) {
    wide *w = (wide *)self;
    (void)err;
    w->sum = (double)(seed + episode);
    w->steps = 0;
    for (int i = 0; i < WIDE_OBS; i++)
        obs[i] = (float)(w->sum + i);
    return VDI_OK;
}
static vdi_status wide_step(void *self, const float *action, float *obs, float *reward, int *end,
                            vdi_error *err) {
    wide *w = (wide *)self;
    (void)err;
    for (int i = 0; i < WIDE_ACT; i++)
        w->sum += (i + 1) * (double)action[i];
    for (int i = 0; i < WIDE_OBS; i++)
        obs[i] = (float)(w->sum - i);
    for (int i = 0; i < WIDE_REWARD; i++)
        reward[i] = (float)(w->sum * i);
    *end = ++w->steps == 3 ? VDI_ENV_TERMINATED : 0;
    return VDI_OK;
}
static vdi_env wide_env(wide *w) {
    static char text[WIDE_REWARD][24];
    static const char *name[WIDE_REWARD];
    vdi_env env;
    memset(&env, 0, sizeof env);
    for (int i = 0; i < WIDE_REWARD; i++) {
        snprintf(text[i], sizeof text[i], "part \"%d\",", i);
        name[i] = text[i];
    }
    env.name = "wide";
    env.observations = WIDE_OBS;
    env.actions = WIDE_ACT;
    env.components = WIDE_REWARD;
    env.component = name;
    env.reset = wide_reset;
    env.step = wide_step;
    env.self = w;
    return env;
}

TEST(env, a_wide_environment) {
    wide one = {0, 0}, two = {0, 0};
    vdi_env near_by = wide_env(&one), served = wide_env(&two), remote;
    vdi_env_wire wire = {loop_read, loop_write, &loop};
    vdi_error err = {0};
    static float obs[2][WIDE_OBS], action[WIDE_ACT], reward[2][WIDE_REWARD];
    int end[2] = {0, 0};
    memset(&loop, 0, sizeof loop);
    loop.server.most = 700;
    loop.env = &served;
    CHECK_OK(vdi_env_wire_open(&wire, NULL, &remote, &err), err);
    CHECK(remote.observations == WIDE_OBS && remote.actions == WIDE_ACT &&
          remote.components == WIDE_REWARD);
    CHECK(strcmp(remote.component[WIDE_REWARD - 1], "part \"63\",") == 0);
    CHECK_OK(vdi_env_reset(&near_by, 4, 2, obs[0], &err), err);
    CHECK_OK(vdi_env_reset(&remote, 4, 2, obs[1], &err), err);
    CHECK(memcmp(obs[0], obs[1], sizeof obs[0]) == 0);
    for (int k = 0; k < 3; k++) {
        for (int i = 0; i < WIDE_ACT; i++)
            action[i] = (float)((i + k) % 7 - 3) / 3;
        CHECK_OK(vdi_env_step(&near_by, action, obs[0], reward[0], &end[0], &err), err);
        CHECK_OK(vdi_env_step(&remote, action, obs[1], reward[1], &end[1], &err), err);
        CHECK(memcmp(obs[0], obs[1], sizeof obs[0]) == 0 && end[0] == end[1]);
        CHECK(memcmp(reward[0], reward[1], sizeof reward[0]) == 0);
    }
    CHECK(end[1] == VDI_ENV_TERMINATED);
    vdi_env_close(&remote);
    test_allocator counted = {0, 1, 0, 0};
    vdi_allocator a = test_allocator_of(&counted);
    CHECK_FAILS(vdi_env_wire_serve(&served, &wire, &a, &err), VDI_ERR_MEMORY);
    CHECK(counted.live == 0);
}

/* ---- the server ------------------------------------------------------------------------------ */

/* A client of a server: requests in, status and last reply out. */
static vdi_status serve(const char *requests, size_t size, size_t most, vdi_error *err) {
    vdi_env env;
    vdi_env_wire wire = {tape_read, tape_write, &one_end};
    CHECK_OK(vdi_env_pendulum(&env), *err);
    memset(&one_end, 0, sizeof one_end);
    memcpy(one_end.in, requests, size);
    one_end.size = size;
    one_end.most = most;
    vdi_status status = vdi_env_wire_serve(&env, &wire, NULL, err);
    vdi_env_close(&env);
    return status;
}
#define HELO "HELO\x0c\0\0\0vdi-env\n\x01\0\0\0"
#define RSET "RSET\x10\0\0\0\x01\0\0\0\0\0\0\0\x02\0\0\0\0\0\0\0"
#define STEP "STEP\x04\0\0\0\0\0\0\x3f"
#define SERVE(text, most, err) serve(text, sizeof(text) - 1, most, err)

TEST(env, wire_lying_client) {
    vdi_error err = {0};
    static const char all[] = HELO RSET STEP STEP "QUIT\0\0\0\0";
    const size_t boundary[] = {0, 20, 44, 56, 68, 76};
    size_t size = sizeof all - 1;
    for (size_t n = 0, b = 0; n <= size; n++) {
        /* the client is gone: between two messages that is no error */
        bool whole = n == boundary[b];
        b += whole;
        CHECK_FAILS(serve(all, n, 1 + n % 50, &err), whole ? VDI_OK : VDI_ERR_IO);
    }
    CHECK(one_end.written > 0);
    CHECK_FAILS(SERVE("ELHO\x0c\0\0\0vdi-env\n\x01\0\0\0", 99, &err), VDI_ERR_FORMAT);
    CHECK_FAILS(SERVE(RSET, 99, &err), VDI_ERR_FORMAT); /* not greeted */
    CHECK_SAYS(err, "expected HELO");
    CHECK(memcmp(one_end.out, "FAIL", 4) == 0);
    CHECK_FAILS(SERVE("HELO\x0c\0\0\0vdi-env\n\x02\0\0\0", 99, &err), VDI_ERR_FORMAT);
    CHECK_SAYS(err, "version 2");
    CHECK(memcmp(one_end.out, "FAIL", 4) == 0);
    CHECK_FAILS(SERVE("HELO\x0c\0\0\0http/1.1\x01\0\0\0", 99, &err), VDI_ERR_FORMAT);
    CHECK_FAILS(SERVE(HELO RSET "STEP\x08\0\0\0\0\0\0\0\0\0\0\0", 99, &err), VDI_ERR_FORMAT);
    CHECK_SAYS(err, "STEP of 8 bytes");
    CHECK_FAILS(SERVE(HELO "STEP\xff\xff\xff\xff", 99, &err), VDI_ERR_FORMAT);
    CHECK_FAILS(SERVE(HELO "GET / HT", 99, &err), VDI_ERR_FORMAT);
    CHECK_SAYS(err, "GET ");
    CHECK_FAILS(SERVE(HELO "\x01\0\0\0\0\0\0\0", 99, &err), VDI_ERR_FORMAT);
    CHECK_SAYS(err, "0x1");
    /* no size leads behind the buffer, of a kind that is known or not, greeted or not */
    static const char *const kinds[] = {"HELO", "RSET", "STEP", "QUIT", "JUNK", "\xff\xff\xff\xff"};
    static const uint32_t own[] = {12, 16, 4, 0, 1, 1};
    static const uint32_t sizes[] = {0,          1,          3,          5,          11,
                                     13,         17,         0x7fffffff, 0x80000000, 0xfffffff7,
                                     0xfffffff8, 0xfffffffe, 0xffffffff};
    for (size_t k = 0; k < 6 * 2; k++) {
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            char message[64] = HELO;
            char *at = message + (k < 6 ? 20 : 0);
            if (sizes[i] == own[k % 6]) continue;
            memset(at, 0, 32);
            memcpy(at, kinds[k % 6], 4);
            for (int b = 0; b < 4; b++)
                at[4 + b] = (char)(sizes[i] >> 8 * b);
            CHECK_FAILS(serve(message, (size_t)(at - message) + 32, 99, &err), VDI_ERR_FORMAT);
            CHECK_SAYS(err, " bytes");
        }
    }
    /* order and numbers are the environment's matter: told, and the server lives on */
    CHECK_FAILS(SERVE(HELO STEP RSET "QUIT\0\0\0\0", 99, &err), VDI_OK);
    CHECK(memcmp(one_end.out + one_end.written - 20, "OBSV", 4) == 0);
    CHECK_FAILS(SERVE(HELO RSET "STEP\x04\0\0\0\0\0\xc0\x7f" RSET, 99, &err), VDI_OK);
    CHECK(memcmp(one_end.out + one_end.written - 20, "OBSV", 4) == 0);
    vdi_env none;
    vdi_env_wire wire = {tape_read, tape_write, &one_end};
    memset(&none, 0, sizeof none);
    CHECK_FAILS(vdi_env_wire_serve(&none, &wire, NULL, &err), VDI_ERR_ARGUMENT);
}

/* ---- the pole and choices -------------------------------------------------------------------- */

/* Push towards where it falls, and a little towards the centre. */
static float hold(const float *o) {
    const float push = 2 * o[2] + 1.5f * o[3] + 0.3f * o[0] + 0.5f * o[1];
    return push > 1 ? 1 : push < -1 ? -1 : push;
}

TEST(env, cartpole) {
    vdi_env env, three;
    vdi_error err = {0};
    float obs[4], other[4], action[1], choice[3], reward[3], paid[3];
    int end = 0, last = 0;
    CHECK_OK(vdi_env_open("cartpole", NULL, &env, &err), err);
    CHECK_OK(vdi_env_open("cartpole-discrete", NULL, &three, &err), err);
    CHECK(!env.discrete && three.discrete && three.actions == 3);
    /* the choices are the forces -10, 0, 10 */
    for (int which = 0; which < 3; which++) {
        CHECK_OK(vdi_env_reset(&env, 3, 1, obs, &err), err);
        CHECK_OK(vdi_env_reset(&three, 3, 1, other, &err), err);
        action[0] = (float)(which - 1);
        for (int k = 0; k < 3; k++)
            choice[k] = k == which ? 0.3f : -0.2f; /* the largest is chosen */
        CHECK_OK(vdi_env_step(&env, action, obs, reward, &end, &err), err);
        CHECK_OK(vdi_env_step(&three, choice, other, paid, &last, &err), err);
        CHECK(memcmp(obs, other, sizeof obs) == 0 && memcmp(reward, paid, sizeof paid) == 0);
    }
    /* one step by hand, F = 5 N */
    CHECK_OK(vdi_env_reset(&env, 3, 1, obs, &err), err);
    const double th = 0.20943951023931953 * (double)obs[2], w = 2 * (double)obs[3];
    const double place = 2.4 * (double)obs[0], speed = 2 * (double)obs[1];
    const double q = (5 + 0.05 * w * w * sin(th)) / 1.1;
    const double turn =
        (9.8 * sin(th) - q * cos(th)) / (0.5 * (4.0 / 3 - 0.1 * cos(th) * cos(th) / 1.1));
    action[0] = 0.5f;
    CHECK_OK(vdi_env_step(&env, action, obs, reward, &end, &err), err);
    CHECK_CLOSE(2 * (double)obs[3], w + 0.02 * turn, 1e-5);
    CHECK_CLOSE(0.20943951023931953 * (double)obs[2], th + 0.02 * w, 1e-7);
    CHECK_CLOSE(2 * (double)obs[1], speed + 0.02 * (q - 0.05 * turn * cos(th) / 1.1), 1e-6);
    CHECK_CLOSE(2.4 * (double)obs[0], place + 0.02 * speed, 1e-7);
    CHECK_CLOSE((double)reward[2], -0.025, 1e-7);
    /* a law of control holds it to the time limit, nothing lets it fall */
    for (int law = 0; law < 2; law++) {
        int steps = 0;
        double sum = 0;
        CHECK_OK(vdi_env_reset(&env, 5, 2, obs, &err), err);
        for (end = 0; !end; steps++) {
            action[0] = law ? hold(obs) : 0;
            CHECK_OK(vdi_env_step(&env, action, obs, reward, &end, &err), err);
            sum += (double)reward[0] + (double)reward[1] + (double)reward[2];
            CHECK_CLOSE(reward[0],
                        end == VDI_ENV_TERMINATED ? -10 : 1 - (double)obs[2] * (double)obs[2],
                        1e-6);
            CHECK_CLOSE(reward[1], -0.5 * (double)obs[0] * (double)obs[0], 1e-6);
            CHECK_CLOSE(reward[2], -0.1 * (double)action[0] * (double)action[0], 1e-6);
        }
        CHECK(law ? end == VDI_ENV_TRUNCATED && steps == 500 && sum > 450
                  : end == VDI_ENV_TERMINATED && steps < 200 && (double)reward[0] == -10,
              "law %d: %d steps, return %g", law, steps, sum);
    }
    vdi_env_close(&env);
    vdi_env_close(&three);
}

TEST(env, choices_over_the_wire) {
    vdi_env local, remote, twin;
    vdi_error err = {0};
    float obs[4], other[4], reward[3], paid[3];
    const float action[3] = {-1, 0.5f, 0};
    int end = 0, last = 0;
    vdi_env_wire wire = {loop_read, loop_write, &loop};
    memset(&loop, 0, sizeof loop);
    loop.server.most = 7;
    CHECK_OK(vdi_env_open("cartpole-discrete", NULL, &local, &err), err);
    CHECK_OK(vdi_env_open("cartpole-discrete", NULL, &twin, &err), err);
    loop.env = &local;
    CHECK_OK(vdi_env_wire_open(&wire, NULL, &remote, &err), err);
    CHECK(remote.discrete && remote.actions == 3 && remote.limit == 500);
    CHECK(!strcmp(remote.action[2], "right") && !strcmp(remote.component[0], "upright"));
    CHECK_OK(vdi_env_reset(&remote, 1, 2, obs, &err), err);
    CHECK_OK(vdi_env_reset(&twin, 1, 2, other, &err), err);
    for (int k = 0; k < 10; k++) {
        CHECK_OK(vdi_env_step(&remote, action, obs, reward, &end, &err), err);
        CHECK_OK(vdi_env_step(&twin, action, other, paid, &last, &err), err);
        CHECK(memcmp(obs, other, sizeof obs) == 0 && memcmp(reward, paid, sizeof paid) == 0);
    }
    vdi_env_close(&remote);
    vdi_env_close(&local);
    vdi_env_close(&twin);
}

TEST(env, random_numbers_of_an_episode) {
    vdi_rng a = vdi_env_rng(3, 7), again = vdi_env_rng(3, 7), next = vdi_env_rng(3, 8),
            other = vdi_env_rng(4, 7), agent = vdi_rng_make(3, 7);
    const uint64_t x = vdi_rng_u64(&a);
    CHECK(x == vdi_rng_u64(&again), "the same episode");
    CHECK(x != vdi_rng_u64(&next) && x != vdi_rng_u64(&other), "another episode, another seed");
    CHECK(x != vdi_rng_u64(&agent), "an agent of the same seed draws other numbers");
}
