// examples/box2d/bipedal_walker.cpp - Gymnasium's BipedalWalker (not hardcore) on Box2D, with its
// reward in four components
//
//     make box2d && ./vdi sacd train --env-cmd build/box2d/bipedal_walker --steps 300000 --out run
//
// Written from the published description of Gymnasium 1.4.0's BipedalWalker-v3: same constants,
// same order of draws (the clouds, which are
// decoration, draw nothing here). The hips have a reference angle: pybox2d takes the angle between
// the bodies where a joint is created.
//
// Where the hull touches the ground or leaves the course on the left the original replaces the
// reward by -100, so the three other
// components are zero there. The end of the course terminates with an ordinary reward.

#include <memory>

#include "simulator.hpp"

namespace {
constexpr double scale = 30;
constexpr double fps = 50;
constexpr double step_x = 14 / scale;
constexpr double ground_y = 400 / scale / 4;
constexpr double leg_h = 34 / scale;
constexpr double leg_w = 8 / scale;
constexpr double leg_down = -8 / scale;
constexpr double lidar_range = 160 / scale;
constexpr double torque_most = 80, speed_hip = 4, speed_knee = 6;
constexpr int points = 200, start_pad = 20, grass = 10;

double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : 0; }

class walker : public simulation, private b2ContactListener {
  public:
    void reset(draws &random, float *obs) override {
        world = std::make_unique<b2World>(b2Vec2(0, -10));
        world->SetContactListener(this);
        fallen = touch[0] = touch[1] = begun = false;
        steps = -1; // the original ends its reset with a step of which only the observation is kept
        gait = walking();
        terrain(random);

        static const b2Vec2 outline[5] = {vec(-30 / scale, 9 / scale), vec(6 / scale, 9 / scale),
                                          vec(34 / scale, 1 / scale), vec(34 / scale, -8 / scale),
                                          vec(-30 / scale, -8 / scale)};
        double x = step_x * start_pad / 2, y = ground_y + 2 * leg_h;
        b2PolygonShape shape;
        shape.Set(outline, 5);
        hull = body_in(*world, shape, x, y, 0, 5, 0.1);
        hull->ApplyForceToCenter(vec(random.uniform(-5, 5), 0), true);
        for (int k = 0; k < 2; k++) {
            double i = k == 0 ? -1 : 1;
            shape.SetAsBox(static_cast<float>(leg_w / 2), static_cast<float>(leg_h / 2));
            b2Body *upper = body_in(*world, shape, x, y - leg_h / 2 - leg_down, 0.05 * i, 1, 0.2);
            shape.SetAsBox(static_cast<float>(0.8 * leg_w / 2), static_cast<float>(leg_h / 2));
            foot[k] = body_in(*world, shape, x, y - leg_h * 3 / 2 - leg_down, 0.05 * i, 1, 0.2);
            joint[2 * k] = hinge(hull, upper, leg_down, i, -0.8, 1.1);
            joint[2 * k + 1] = hinge(upper, foot[k], -leg_h / 2, 1, -1.6, -0.1);
        }
        const float nothing[4] = {0, 0, 0, 0};
        float dropped[4];
        step(random, nothing, obs, dropped);
    }

    int step(draws &, const float *action, float *obs, float *reward) override {
        double torque = 0;
        for (int i = 0; i < 4; i++) {
            double a = static_cast<double>(action[i]), strength = std::min(std::fabs(a), 1.0);
            joint[i]->SetMotorSpeed(static_cast<float>((i % 2 ? speed_knee : speed_hip) * sign(a)));
            joint[i]->SetMaxMotorTorque(static_cast<float>(torque_most * strength));
            torque += 0.00035 * torque_most * strength;
        }
        world->Step(static_cast<float>(1 / fps), 180, 60);

        b2Vec2 p = hull->GetPosition(), v = hull->GetLinearVelocity();
        double state[24] = {static_cast<double>(hull->GetAngle()),
                            2 * static_cast<double>(hull->GetAngularVelocity()) / fps,
                            0.3 * static_cast<double>(v.x) * 20 / fps,
                            0.3 * static_cast<double>(v.y) * (400 / scale) / fps};
        for (int k = 0; k < 2; k++) {
            double *leg = state + 4 + 5 * k;
            leg[0] = static_cast<double>(joint[2 * k]->GetJointAngle());
            leg[1] = static_cast<double>(joint[2 * k]->GetJointSpeed()) / speed_hip;
            leg[2] = static_cast<double>(joint[2 * k + 1]->GetJointAngle()) + 1;
            leg[3] = static_cast<double>(joint[2 * k + 1]->GetJointSpeed()) / speed_knee;
            leg[4] = touch[k] ? 1 : 0;
        }
        for (int i = 0; i < 10; i++) {
            ray r;
            double angle = 1.5 * i / 10;
            world->RayCast(&r, p,
                           vec(static_cast<double>(p.x) + std::sin(angle) * lidar_range,
                               static_cast<double>(p.y) - std::cos(angle) * lidar_range));
            state[14 + i] = static_cast<double>(r.fraction);
        }
        for (int i = 0; i < 24; i++)
            obs[i] = static_cast<float>(state[i]);

        double forward = 130 * static_cast<double>(p.x) / scale;
        double tilt = -5 * std::fabs(state[0]);
        double shaping = forward + tilt;
        scalar = (begun ? shaping - shaping_before : 0) - torque;
        reward[0] = static_cast<float>(begun ? forward - forward_before : 0);
        reward[1] = static_cast<float>(begun ? tilt - tilt_before : 0);
        reward[2] = static_cast<float>(-torque);
        reward[3] = 0;
        forward_before = forward;
        tilt_before = tilt;
        shaping_before = shaping;
        begun = true;
        if (fallen || p.x < 0) {
            reward[0] = reward[1] = reward[2] = 0;
            scalar = reward[3] = -100;
            return VDI_ENV_TERMINATED;
        }
        if (static_cast<double>(p.x) > (points - grass) * step_x) return VDI_ENV_TERMINATED;
        return ++steps >= 1600 ? VDI_ENV_TRUNCATED : 0;
    }

    // The law that Gymnasium publishes with the environment: three phases (stand on one leg and
    // swing the other, put it down, push off),
    // each with target angles, and proportional-derivative controllers for the joints and against
    // the hull's tilt.
    void heuristic(const float *obs, float *action) override {
        constexpr double pace = 0.29, straight = 0.1;
        double o[24], hip[2] = {0, 0}, knee[2] = {0, 0};
        bool hip_set[2] = {false, false}, knee_set[2] = {false, false};
        for (int i = 0; i < 24; i++)
            o[i] = static_cast<double>(obs[i]);
        if (!gait.begun) { // the reference plays a zero action first
            gait.begun = true;
            std::fill(action, action + 4, 0.0f);
            return;
        }
        int swing = gait.swing, stand = 1 - swing;
        // hip, its speed, knee, its speed, contact
        const double *swinging = o + 4 + 5 * swing, *standing = o + 4 + 5 * stand;
        auto want_hip = [&](int k, double x) {
            hip[k] = x;
            hip_set[k] = true;
        };
        auto want_knee = [&](int k, double x) {
            knee[k] = x;
            knee_set[k] = true;
        };
        if (gait.phase == walking::swings) {
            want_hip(swing, 1.1);
            want_knee(swing, -0.6);
            gait.knee = std::min(gait.knee + (o[2] > pace ? 0.06 : 0.03), straight);
            want_knee(stand, gait.knee);
            if (standing[0] < 0.10) gait.phase = walking::lands;
        }
        if (gait.phase == walking::lands) {
            want_hip(swing, 0.1);
            want_knee(swing, straight);
            want_knee(stand, gait.knee);
            if (swinging[4] != 0) {
                gait.phase = walking::pushes;
                gait.knee = std::min(swinging[2], straight);
            }
        }
        if (gait.phase == walking::pushes) {
            want_knee(swing, gait.knee);
            want_knee(stand, 1.0);
            if (standing[2] > 0.88 || o[2] > 1.2 * pace) {
                gait.phase = walking::swings;
                gait.swing = stand;
            }
        }
        for (int k = 0; k < 2; k++) {
            const double *leg = o + 4 + 5 * k;
            double h = hip_set[k] ? 0.9 * (hip[k] - leg[0]) - 0.25 * leg[1] : 0;
            double n = knee_set[k] ? 4 * (knee[k] - leg[2]) - 0.25 * leg[3] : 0;
            h += 0.9 * o[0] + 1.5 * o[1];
            n -= 15 * o[3];
            action[2 * k] = static_cast<float>(std::clamp(0.5 * h, -1.0, 1.0));
            action[2 * k + 1] = static_cast<float>(std::clamp(0.5 * n, -1.0, 1.0));
        }
    }

    std::vector<double> recorded_draws(vdi_npz *npz) override {
        std::vector<double> all = recorded(npz, "draw_reset"), force = recorded(npz, "draw_force");
        // without the clouds
        all.resize(static_cast<size_t>(recorded(npz, "draw_terrain_count").at(0)));
        all.insert(all.end(), force.begin(), force.end());
        return all;
    }

  private:
    struct walking {
        enum { swings, lands, pushes } phase = swings;
        int swing = 0;     // the leg in the air
        double knee = 0.1; // target of the standing leg's knee
        bool begun = false;
    };
    struct ray : b2RayCastCallback {
        float fraction = 1;
        float ReportFixture(b2Fixture *fixture, const b2Vec2 &, const b2Vec2 &, float at) override {
            if (!(fixture->GetFilterData().categoryBits & 1)) return -1; // sees the ground alone
            return fraction = at;
        }
    };

    void BeginContact(b2Contact *contact) override {
        if (involves(contact, hull)) fallen = true;
        for (int k = 0; k < 2; k++)
            if (involves(contact, foot[k])) touch[k] = true;
    }
    void EndContact(b2Contact *contact) override {
        for (int k = 0; k < 2; k++)
            if (involves(contact, foot[k])) touch[k] = false;
    }

    // 200 points; the slope is a random walk that is drawn back to the start's height. Each edge is
    // a body of its own.
    void terrain(draws &random) {
        double slope = 0, y = ground_y, before = 0;
        bool keep = false;
        int64_t left = start_pad;
        for (int i = 0; i < points; i++) {
            if (!keep) {
                slope = 0.8 * slope + 0.01 * sign(ground_y - y);
                if (i > start_pad) slope += random.uniform(-1, 1) / scale;
                y += slope;
            }
            keep = false;
            if (--left == 0) {
                left = random.integer(grass / 2, grass);
                keep = true;
            }
            if (i) {
                b2BodyDef def;
                b2EdgeShape edge;
                b2FixtureDef fixture;
                edge.SetTwoSided(vec((i - 1) * step_x, before), vec(i * step_x, y));
                fixture.shape = &edge;
                fixture.friction = 2.5f;
                world->CreateBody(&def)->CreateFixture(&fixture);
            }
            before = y;
        }
    }

    b2RevoluteJoint *hinge(b2Body *a, b2Body *b, double anchor_a, double speed, double lower,
                           double upper) {
        b2RevoluteJointDef def;
        def.bodyA = a;
        def.bodyB = b;
        def.localAnchorA = vec(0, anchor_a);
        def.localAnchorB = vec(0, leg_h / 2);
        def.referenceAngle = b->GetAngle() - a->GetAngle();
        def.enableMotor = def.enableLimit = true;
        def.maxMotorTorque = static_cast<float>(torque_most);
        def.motorSpeed = static_cast<float>(speed);
        def.lowerAngle = static_cast<float>(lower);
        def.upperAngle = static_cast<float>(upper);
        return static_cast<b2RevoluteJoint *>(world->CreateJoint(&def));
    }

    std::unique_ptr<b2World> world;
    b2Body *hull = nullptr, *foot[2] = {nullptr, nullptr};
    b2RevoluteJoint *joint[4] = {}; // hip and knee of leg 0, of leg 1
    bool fallen = false, touch[2] = {false, false}, begun = false;
    double forward_before = 0, tilt_before = 0, shaping_before = 0;
    int steps = 0;
    walking gait;
};

const char *const observations[] = {
    "hull_angle",  "hull_spin",   "vx",       "vy",         "hip0_angle", "hip0_speed",
    "knee0_angle", "knee0_speed", "contact0", "hip1_angle", "hip1_speed", "knee1_angle",
    "knee1_speed", "contact1",    "lidar0",   "lidar1",     "lidar2",     "lidar3",
    "lidar4",      "lidar5",      "lidar6",   "lidar7",     "lidar8",     "lidar9"};
const char *const actions[] = {"hip0", "knee0", "hip1", "knee1"};
const char *const components[] = {"forward", "hull_angle", "torque", "failure"};
} // namespace

int main(int argc, char **argv) {
    walker sim;
    vdi_env shape = {};
    shape.name = "bipedal-walker";
    shape.observations = 24;
    shape.actions = 4;
    shape.components = 4;
    shape.limit = 1600;
    shape.observation = observations;
    shape.action = actions;
    shape.component = components;
    return simulator_main(argc, argv, sim, shape);
}
