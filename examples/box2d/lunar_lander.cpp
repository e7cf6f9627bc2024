// examples/box2d/lunar_lander.cpp - Gymnasium's LunarLander (continuous, no wind) on Box2D, with
// its reward in nine components
//
//     make box2d && ./vdi sacd train --env-cmd build/box2d/lunar_lander --steps 200000 --out run
//
// Written from the published description of Gymnasium 1.4.0's LunarLander-v3: same constants, same
// order of draws, same arithmetic in
// double around a float32 world. Two things decide whether it matches: the legs' joints have a
// reference angle (pybox2d takes the angle
// between the bodies where they are created), and edges collide from both sides. Leg 0, at +x, is
// the one that is called left.
//
// On a step that terminates the original replaces the reward by -100 or +100, so the seven other
// components are zero there.

#include <array>
#include <memory>

#include "simulator.hpp"

namespace {
constexpr double scale = 30;
constexpr double fps = 50;
constexpr double W = 600 / scale;
constexpr double H = 400 / scale;
constexpr double pad_y = H / 4;
constexpr double main_power = 13;
constexpr double side_power = 0.6;
constexpr double leg_away = 20;
constexpr double leg_down = 18;
constexpr int chunks = 11;

double sqr(double x) { return x * x; }

class lander : public simulation, private b2ContactListener {
  public:
    void reset(draws &random, float *obs) override {
        world = std::make_unique<b2World>(b2Vec2(0, -10));
        world->SetContactListener(this);
        crashed = touch[0] = touch[1] = false;

        std::array<double, chunks + 1> height{};
        for (double &h : height)
            h = random.uniform(0, H / 2);
        for (int i = -2; i <= 2; i++)
            height[static_cast<size_t>(chunks / 2 + i)] = pad_y;
        b2BodyDef def;
        b2Body *moon = world->CreateBody(&def);
        ground(moon, vec(0, 0), vec(W, 0), 0.2);
        b2Vec2 before = vec(0, 0);
        for (int i = 0; i < chunks; i++) {
            // left of the first is the last
            size_t left = static_cast<size_t>((i + chunks) % (chunks + 1));
            size_t here = static_cast<size_t>(i);
            b2Vec2 p =
                vec(W / (chunks - 1) * i, 0.33 * (height[left] + height[here] + height[here + 1]));
            if (i) ground(moon, before, p, 0.1);
            before = p;
        }

        static const b2Vec2 outline[6] = {
            vec(-14 / scale, 17 / scale), vec(-17 / scale, 0), vec(-17 / scale, -10 / scale),
            vec(17 / scale, -10 / scale), vec(17 / scale, 0),  vec(14 / scale, 17 / scale)};
        b2PolygonShape shape;
        shape.Set(outline, 6);
        hull = body_in(*world, shape, W / 2, H, 0, 5, 0.1, 0x10);
        double fx = random.uniform(-1000, 1000), fy = random.uniform(-1000, 1000);
        hull->ApplyForceToCenter(vec(fx, fy), true);
        for (size_t k = 0; k < 2; k++) {
            double i = k == 0 ? -1 : 1;
            shape.SetAsBox(static_cast<float>(2 / scale), static_cast<float>(8 / scale));
            leg[k] =
                body_in(*world, shape, W / 2 - i * leg_away / scale, H, 0.05 * i, 1, 0.2, 0x20);
            b2RevoluteJointDef joint;
            joint.bodyA = hull;
            joint.bodyB = leg[k];
            joint.localAnchorB = vec(i * leg_away / scale, leg_down / scale);
            joint.referenceAngle = leg[k]->GetAngle() - hull->GetAngle();
            joint.enableMotor = joint.enableLimit = true;
            joint.maxMotorTorque = 40;
            joint.motorSpeed = static_cast<float>(0.3 * i);
            joint.lowerAngle = k == 0 ? 0.4f : -0.9f;
            joint.upperAngle = k == 0 ? 0.9f : -0.4f;
            world->CreateJoint(&joint);
        }
        const float nothing[2] = {0, 0};
        float dropped[9];
        begun = false;
        steps = -1; // the original ends its reset with a step of which only the observation is kept
        step(random, nothing, obs, dropped);
    }

    int step(draws &random, const float *action, float *obs, float *reward) override {
        double tip[2] = {std::sin(static_cast<double>(hull->GetAngle())),
                         std::cos(static_cast<double>(hull->GetAngle()))};
        double side[2] = {-tip[1], tip[0]}, d[2], m = 0, s = 0;
        for (double &x : d)
            x = random.uniform(-1, 1) / scale;
        double x = static_cast<double>(hull->GetPosition().x);
        double y = static_cast<double>(hull->GetPosition().y);
        if (action[0] > 0) {
            m = 0.5 * (1 + std::min(static_cast<double>(action[0]), 1.0));
            double along = 4 / scale + 2 * d[0];
            double ox = tip[0] * along + side[0] * d[1], oy = -tip[1] * along - side[1] * d[1];
            hull->ApplyLinearImpulse(vec(-ox * main_power * m, -oy * main_power * m),
                                     vec(x + ox, y + oy), true);
        }
        if (std::fabs(action[1]) > 0.5f) {
            s = std::min(std::fabs(static_cast<double>(action[1])), 1.0);
            double across = 3 * d[1] + (action[1] > 0 ? 1 : -1) * 12 / scale;
            double ox = tip[0] * d[0] + side[0] * across, oy = -tip[1] * d[0] - side[1] * across;
            // 17 against 14 is in the original
            hull->ApplyLinearImpulse(
                vec(-ox * side_power * s, -oy * side_power * s),
                vec(x + ox - tip[0] * 17 / scale, y + oy + tip[1] * 14 / scale), true);
        }
        world->Step(static_cast<float>(1 / fps), 180, 60);

        b2Vec2 p = hull->GetPosition(), v = hull->GetLinearVelocity();
        double state[8] = {(static_cast<double>(p.x) - W / 2) / (W / 2),
                           (static_cast<double>(p.y) - (pad_y + leg_down / scale)) / (H / 2),
                           static_cast<double>(v.x) * (W / 2) / fps,
                           static_cast<double>(v.y) * (H / 2) / fps,
                           static_cast<double>(hull->GetAngle()),
                           20 * static_cast<double>(hull->GetAngularVelocity()) / fps,
                           touch[0] ? 1.0 : 0.0,
                           touch[1] ? 1.0 : 0.0};
        for (int i = 0; i < 8; i++)
            obs[i] = static_cast<float>(state[i]);

        double shaped[5] = {-100 * std::sqrt(sqr(state[0]) + sqr(state[1])),
                            -100 * std::sqrt(sqr(state[2]) + sqr(state[3])),
                            -100 * std::fabs(state[4]), 10 * state[6], 10 * state[7]};
        double shaping = 0;
        for (double part : shaped)
            shaping += part;
        scalar = (begun ? shaping - shaping_before : 0) - 0.30 * m - 0.03 * s;
        for (size_t i = 0; i < 5; i++) {
            reward[i] = begun ? static_cast<float>(shaped[i] - shaped_before[i]) : 0;
            shaped_before[i] = shaped[i];
        }
        shaping_before = shaping;
        begun = true;
        reward[5] = static_cast<float>(-0.30 * m);
        reward[6] = static_cast<float>(-0.03 * s);
        reward[7] = reward[8] = 0;
        bool asleep = !hull->IsAwake(), lost = crashed || std::fabs(state[0]) >= 1;
        if (!asleep && !lost) return ++steps >= 1000 ? VDI_ENV_TRUNCATED : 0;
        std::fill(reward, reward + 7, 0.0f);
        if (asleep)
            scalar = reward[8] = 100; // wins over a crash
        else
            scalar = reward[7] = -100;
        return VDI_ENV_TERMINATED;
    }

    // The law that Gymnasium publishes with the environment: a target angle from place and drift, a
    // target height from the distance to
    // the pad, and a proportional-derivative controller for each.
    void heuristic(const float *obs, float *action) override {
        double o[8];
        for (int i = 0; i < 8; i++)
            o[i] = static_cast<double>(obs[i]);
        double angle = std::clamp(0.5 * o[0] + o[2], -0.4, 0.4), height = 0.55 * std::fabs(o[0]);
        double turn = 0.5 * (angle - o[4]) - o[5], lift = 0.5 * (height - o[1]) - 0.5 * o[3];
        if (obs[6] != 0 || obs[7] != 0) { // a leg stands: only brake
            turn = 0;
            lift = -0.5 * o[3];
        }
        action[0] = static_cast<float>(std::clamp(20 * lift - 1, -1.0, 1.0));
        action[1] = static_cast<float>(std::clamp(-20 * turn, -1.0, 1.0));
    }

    std::vector<double> recorded_draws(vdi_npz *npz) override {
        std::vector<double> all;
        for (const char *name :
             {"draw_terrain", "draw_force", "draw_dispersion0", "draw_dispersion"}) {
            std::vector<double> part = recorded(npz, name);
            all.insert(all.end(), part.begin(), part.end());
        }
        return all;
    }

  private:
    void BeginContact(b2Contact *contact) override {
        if (involves(contact, hull)) crashed = true;
        for (size_t k = 0; k < 2; k++)
            if (involves(contact, leg[k])) touch[k] = true;
    }
    void EndContact(b2Contact *contact) override {
        for (size_t k = 0; k < 2; k++)
            if (involves(contact, leg[k])) touch[k] = false;
    }

    static void ground(b2Body *moon, b2Vec2 a, b2Vec2 b, double friction) {
        b2EdgeShape edge;
        b2FixtureDef fixture;
        edge.SetTwoSided(a, b);
        fixture.shape = &edge;
        fixture.friction = static_cast<float>(friction);
        moon->CreateFixture(&fixture);
    }

    std::unique_ptr<b2World> world;
    b2Body *hull = nullptr, *leg[2] = {nullptr, nullptr};
    // begun: there is a shaping of the step before
    bool crashed = false, touch[2] = {false, false}, begun = false;
    double shaped_before[5] = {}, shaping_before = 0;
    int steps = 0;
};

const char *const observations[] = {"x", "y", "vx", "vy", "angle", "spin", "left_leg", "right_leg"};
const char *const actions[] = {"main_engine", "side_engine"};
const char *const components[] = {"position",    "velocity",    "angle",   "left_leg", "right_leg",
                                  "main_engine", "side_engine", "failure", "success"};
} // namespace

int main(int argc, char **argv) {
    lander sim;
    vdi_env shape = {};
    shape.name = "lunar-lander";
    shape.observations = 8;
    shape.actions = 2;
    shape.components = 9;
    shape.limit = 1000;
    shape.observation = observations;
    shape.action = actions;
    shape.component = components;
    return simulator_main(argc, argv, sim, shape);
}
