// examples/box2d/simulator.hpp - what the two Box2D environments share: draws, the vdi_env around a
// simulation, and a main program
//
// A simulation is a C++ class with reset and step. Its program, without arguments, serves it over
// standard input and output, for
// `vdi sacd train --env-cmd build/box2d/NAME`; with arguments it checks it:
//     NAME --play random|heuristic [--episodes 400] [--seed 1] [--expect MEAN,ERROR]
//                                                                   returns, their components, sums
//                                                                   against the scalar reward; and
//                                                                   whether
//                                                                   the mean is within 2.5 standard
//                                                                   errors (both together) of that
//                                                                   one
//     NAME --replay FILE.npz... [--steps 20] [--within 1e-3]        the recorded draws and actions,
//     compared with what was recorded
// The recordings are of Gymnasium's environments on Box2D 2.3.0; Debian's is 2.4.1, so they agree
// for a while and not for ever
// (docs/guide/environments.md).
#ifndef SIMULATOR_HPP
#define SIMULATOR_HPP
#define VDI_ENV_IMPLEMENTATION
#define VDI_IO_IMPLEMENTATION
#include "vdi.h"

#include <box2d/box2d.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <unistd.h>
#include <vector>

// Where a simulation's random numbers come from: the stream of its episode, or a recording.
class draws {
  public:
    explicit draws(vdi_rng stream) : rng(stream) {}
    explicit draws(std::vector<double> numbers)
        : recorded(std::move(numbers)), from_recording(true) {}
    double uniform(double low, double high) {
        return from_recording ? next() : low + (high - low) * vdi_rng_uniform(&rng);
    }
    // uniform on low..high-1
    int64_t integer(int64_t low, int64_t high) {
        return from_recording ? (int64_t)next()
                              : low + (int64_t)vdi_rng_below(&rng, (uint64_t)(high - low));
    }

  private:
    double next() { return at < recorded.size() ? recorded[at++] : 0; }
    vdi_rng rng = {};
    std::vector<double> recorded;
    size_t at = 0;
    bool from_recording = false;
};

inline b2Vec2 vec(double x, double y) {
    return b2Vec2(static_cast<float>(x), static_cast<float>(y));
}

// A moving body that meets the ground (category 1) alone.
inline b2Body *body_in(b2World &world, const b2PolygonShape &shape, double x, double y,
                       double angle, double density, double friction, uint16 category = 0x20) {
    b2BodyDef def;
    def.type = b2_dynamicBody;
    def.position = vec(x, y);
    def.angle = static_cast<float>(angle);
    b2Body *b = world.CreateBody(&def);
    b2FixtureDef fixture;
    fixture.shape = &shape;
    fixture.density = static_cast<float>(density);
    fixture.friction = static_cast<float>(friction);
    fixture.filter.categoryBits = category;
    fixture.filter.maskBits = 1;
    b->CreateFixture(&fixture);
    return b;
}

inline bool involves(b2Contact *contact, const b2Body *b) {
    return contact->GetFixtureA()->GetBody() == b || contact->GetFixtureB()->GetBody() == b;
}

class simulation {
  public:
    virtual ~simulation() = default;
    virtual void reset(draws &random, float *obs) = 0;
    // returns the end: 0 or VDI_ENV_ flags
    virtual int step(draws &random, const float *action, float *obs, float *reward) = 0;
    virtual void heuristic(const float *obs, float *action) = 0;
    virtual std::vector<double> recorded_draws(vdi_npz *npz) = 0; // in the order in which reset and
                                                                  // step take them
    double scalar = 0;                                            // reward of the last step as the
                                                                  // original adds it up
};

// A vdi_env of a simulation; it has to outlive it.
struct environment {
    simulation &sim;
    draws random{vdi_rng{}};
};

inline vdi_env environment_of(environment &e, const vdi_env &shape) {
    vdi_env env = shape;
    env.self = &e;
    env.reset = [](void *self, uint64_t seed, uint64_t episode, float *obs, vdi_error *) {
        environment *it = static_cast<environment *>(self);
        it->random = draws(vdi_env_rng(seed, episode));
        it->sim.reset(it->random, obs);
        return VDI_OK;
    };
    env.step = [](void *self, const float *action, float *obs, float *reward, int *end,
                  vdi_error *) {
        environment *it = static_cast<environment *>(self);
        *end = it->sim.step(it->random, action, obs, reward);
        return VDI_OK;
    };
    return env;
}

// ---- serving ------------------------------------------------------------------------------------

inline int64_t read_request(void *buffer, size_t size, void *) {
    ssize_t n;
    do {
        n = read(0, buffer, size);
    } while (n < 0 && errno == EINTR);
    return n;
}

inline bool write_reply(const void *data, size_t size, void *) {
    const char *p = static_cast<const char *>(data);
    while (size > 0) {
        ssize_t n = write(1, p, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        p += n;
        size -= (size_t)n;
    }
    return true;
}

// ---- checking -----------------------------------------------------------------------------------

inline int play(environment &e, vdi_env env, bool random, int64_t episodes, uint64_t seed,
                const char *expected) {
    vdi_error err = {};
    std::vector<float> obs((size_t)env.observations), action((size_t)env.actions),
        reward((size_t)env.components);
    std::vector<double> sums((size_t)env.components);
    double mean = 0;
    double squares = 0;
    double steps = 0;
    double off = 0;
    double terminated = 0;
    for (int64_t episode = 0; episode < episodes; episode++) {
        // not the stream that the episode draws from
        vdi_rng dice = vdi_rng_make(seed, (uint64_t)episode);
        double total = 0;
        int end = 0;
        if (vdi_env_reset(&env, seed, (uint64_t)episode, obs.data(), &err) < 0) break;
        while (!end) {
            if (random) {
                for (float &a : action)
                    a = (float)(2 * vdi_rng_uniform(&dice) - 1);
            } else {
                e.sim.heuristic(obs.data(), action.data());
            }
            if (vdi_env_step(&env, action.data(), obs.data(), reward.data(), &end, &err) < 0) break;
            double sum = 0;
            for (size_t i = 0; i < reward.size(); i++) {
                sum += (double)reward[i];
                sums[i] += (double)reward[i];
            }
            off = std::max(off, std::fabs(sum - e.sim.scalar));
            total += e.sim.scalar;
            steps++;
        }
        terminated += (end & VDI_ENV_TERMINATED) != 0;
        double delta = total - mean;
        mean += delta / (double)(episode + 1);
        squares += delta * (total - mean);
    }
    if (err.status < 0) {
        std::fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    double n = (double)episodes, deviation = std::sqrt(squares / std::max(n - 1, 1.0));
    std::printf("%s, %s, %lld episodes: return %.2f, standard deviation %.2f, standard error %.2f; "
                "steps %.1f; terminated %.0f; largest "
                "|sum of components - reward| %.2g\n",
                env.name, random ? "random" : "heuristic", (long long)episodes, mean, deviation,
                deviation / std::sqrt(n), steps / n, terminated, off);
    for (size_t i = 0; i < sums.size(); i++)
        std::printf("%s%s %.2f", i ? "; " : "  ", env.component[i], sums[i] / n);
    std::printf("\n");
    bool ok = off <= 1e-4;
    if (expected) {
        char *comma = nullptr;
        double wanted = std::strtod(expected, &comma);
        double error = *comma == ',' ? std::atof(comma + 1) : 0;
        double apart =
            std::fabs(mean - wanted) / std::sqrt(deviation * deviation / n + error * error);
        std::printf("  %.2f standard errors from %g +- %g\n", apart, wanted, error);
        ok = ok && apart <= 2.5;
    }
    return ok ? 0 : 1;
}

inline std::vector<double> recorded(vdi_npz *npz, const char *name) {
    vdi_tensor t;
    vdi_error err = {};
    std::vector<double> out;
    if (vdi_npz_get(npz, name, nullptr, &t, &err) < 0) {
        std::fprintf(stderr, "%s\n", err.message);
        std::exit(1);
    }
    int64_t count = vdi_tensor_count(t);
    for (int64_t i = 0; i < count; i++) {
        switch (t.dtype) {
        case VDI_F32: out.push_back((double)static_cast<float *>(t.data)[i]); break;
        case VDI_F64: out.push_back(static_cast<double *>(t.data)[i]); break;
        case VDI_I64: out.push_back((double)static_cast<int64_t *>(t.data)[i]); break;
        default: out.push_back((double)static_cast<uint8_t *>(t.data)[i]);
        }
    }
    vdi_tensor_free(nullptr, &t);
    return out;
}

// Open loop: the recorded actions on the recorded draws. 0 if the observations of the first steps
// are within the tolerance.
inline int replay(environment &e, const vdi_env &env, const char *path, size_t first_steps,
                  double within) {
    vdi_npz npz;
    vdi_error err = {};
    if (vdi_npz_open_file(&npz, path, nullptr, &err) < 0) {
        std::fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    std::vector<double> obs0 = recorded(&npz, "obs0");
    std::vector<double> actions = recorded(&npz, "action");
    std::vector<double> all = recorded(&npz, "obs");
    std::vector<double> components = recorded(&npz, "component");
    std::vector<double> rewards = recorded(&npz, "reward");
    draws random(e.sim.recorded_draws(&npz));
    vdi_npz_close(&npz);
    size_t D = (size_t)env.observations;
    size_t A = (size_t)env.actions;
    size_t m = (size_t)env.components;
    size_t T = rewards.size();
    size_t parted = T;
    size_t t = 0;
    std::vector<float> obs(D), action(A), reward(m);
    double worst = 0, worst_component = 0, off = 0;
    int end = 0;
    e.sim.reset(random, obs.data());
    for (size_t i = 0; i < D; i++)
        worst = std::max(worst, std::fabs((double)obs[i] - obs0[i]));
    for (; t < T && !end; t++) {
        double apart = 0, sum = 0;
        for (size_t i = 0; i < A; i++)
            action[i] = (float)actions[t * A + i];
        end = e.sim.step(random, action.data(), obs.data(), reward.data());
        for (size_t i = 0; i < D; i++)
            apart = std::max(apart, std::fabs((double)obs[i] - all[t * D + i]));
        for (size_t i = 0; i < m; i++)
            sum += (double)reward[i];
        off = std::max(off, std::fabs(sum - e.sim.scalar));
        if (apart > within && parted == T) parted = t;
        if (t >= first_steps) continue;
        worst = std::max(worst, apart);
        for (size_t i = 0; i < m; i++) {
            worst_component =
                std::max(worst_component, std::fabs((double)reward[i] - components[t * m + i]));
        }
    }
    const char *slash = std::strrchr(path, '/');
    std::printf("%s: observations of the first %zu steps off by at most %.2g, components by %.2g; "
                "beyond %g %s %zu; %zu steps here, %zu recorded; "
                "largest |sum - reward| %.2g\n",
                slash ? slash + 1 : path, first_steps, worst, worst_component, within,
                parted < T ? "from step" : "never in", parted < T ? parted + 1 : t, t, T, off);
    return worst <= within && off <= 1e-4 ? 0 : 1;
}

inline int simulator_main(int argc, char **argv, simulation &sim, const vdi_env &shape) {
    environment e{sim};
    vdi_env env = environment_of(e, shape);
    vdi_error err = {};
    if (argc == 1) {
        vdi_env_wire wire = {read_request, write_reply, nullptr};
        if (vdi_env_wire_serve(&env, &wire, nullptr, &err) >= 0) return 0;
        std::fprintf(stderr, "%s: %s\n", env.name, err.message);
        return 1;
    }
    std::string policy;
    std::vector<const char *> files;
    const char *expected = nullptr;
    long long episodes = 400, seed = 1, steps = 20;
    double within = 1e-3;
    bool usage = false, replaying = false;
    for (int i = 1; i < argc; i++) {
        std::string word = argv[i];
        const char *value = i + 1 < argc ? argv[i + 1] : nullptr;
        if (word == "--replay") {
            replaying = true;
        } else if (word[0] != '-') {
            files.push_back(argv[i]);
        } else if (!value) {
            usage = true;
        } else if (word == "--play") {
            policy = value;
            i++;
        } else if (word == "--episodes") {
            episodes = std::atoll(value);
            i++;
        } else if (word == "--seed") {
            seed = std::atoll(value);
            i++;
        } else if (word == "--steps") {
            steps = std::atoll(value);
            i++;
        } else if (word == "--expect") {
            expected = value;
            i++;
        } else if (word == "--within") {
            within = std::atof(value);
            i++;
        } else {
            usage = true;
        }
    }
    if (usage || replaying != policy.empty() || replaying == files.empty() ||
        (!replaying && policy != "random" && policy != "heuristic")) {
        std::fprintf(
            stderr,
            "usage: %s                                            serve the protocol on standard "
            "input and output\n"
            "       %s --play random|heuristic [--episodes 400] [--seed 1] [--expect MEAN,ERROR]\n"
            "       %s --replay FILE.npz... [--steps 20] [--within 1e-3]\n",
            argv[0], argv[0], argv[0]);
        return 2;
    }
    if (!replaying) return play(e, env, policy == "random", episodes, (uint64_t)seed, expected);
    int code = 0;
    for (const char *file : files)
        code |= replay(e, env, file, (size_t)steps, within);
    return code;
}
#endif
