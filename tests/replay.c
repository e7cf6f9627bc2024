/* tests/replay.c - the ring of transitions */
#include "io.h"

static vdi_replay_desc ring_desc(const vdi_allocator *a) {
    vdi_replay_desc desc = VDI__ZERO;
    desc.capacity = 7;
    desc.observations = 3;
    desc.actions = 2;
    desc.components = 4;
    desc.allocator = a;
    return desc;
}

/* Transition number k. */
typedef struct moment {
    float obs[3], action[2], reward[4], next[3];
} moment;
static moment moment_of(int k) {
    moment m;
    for (int i = 0; i < 3; i++) {
        m.obs[i] = (float)(100 * k + i);
        m.next[i] = (float)(100 * (k + 1) + i);
    }
    for (int i = 0; i < 2; i++)
        m.action[i] = (float)(k - i);
    for (int i = 0; i < 4; i++)
        m.reward[i] = (float)(k * i);
    return m;
}
static vdi_status add(vdi_replay *r, const moment *m, int end, vdi_error *err) {
    return vdi_replay_add(r, m->obs, m->action, m->reward, m->next, end, err);
}

/* What cannot be added is refused, and nothing changes. */
static void check_refusals(vdi_replay *r, moment *m, float nonsense) {
    const int64_t added = vdi_replay_added(r);
    vdi_error err;
    for (int end = -1; end < 10; end += 5)
        CHECK_FAILS(add(r, m, end, &err), VDI_ERR_ARGUMENT);
    for (int bad = 0; bad < 4; bad++) {
        float *part[4] = {m->obs, m->action, m->reward, m->next}, keep = part[bad][1];
        part[bad][1] = nonsense;
        CHECK_FAILS(add(r, m, 0, &err), VDI_ERR_DATA);
        part[bad][1] = keep;
    }
    CHECK(vdi_replay_added(r) == added);
}

TEST(replay, a_ring) {
    vdi_error err = {0};
    test_allocator count = {0};
    vdi_allocator a = test_allocator_of(&count);
    vdi_replay_desc desc = ring_desc(&a);
    vdi_replay *r = NULL;
    CHECK_OK(vdi_replay_create(&desc, &r, &err), err);
    CHECK(vdi_replay_count(r) == 0);
    const long made = count.requests;
    for (int k = 0; k < 20; k++) {
        moment m = moment_of(k);
        CHECK_OK(add(r, &m, k % 4, &err), err);
        CHECK(vdi_replay_added(r) == k + 1 && vdi_replay_count(r) == (k < 6 ? k + 1 : 7));
        for (int64_t i = 0; i < vdi_replay_count(r); i++) {
            vdi_transition t = vdi_replay_get(r, i);
            int which = (int)(k - ((k - i) % 7 + 7) % 7); /* the last of those that stood there */
            CHECK(t.obs[2] == (float)(100 * which + 2) && t.action[1] == (float)(which - 1) &&
                      t.reward[3] == (float)(3 * which) &&
                      t.next[0] == (float)(100 * (which + 1)) && t.end == which % 4,
                  "after %d, place %d", k, (int)i);
            CHECK(t.action == t.obs + 3);
        }
        vdi_transition last = vdi_replay_recent(r, 0), first = vdi_replay_recent(r, k < 6 ? k : 6);
        CHECK(last.action[0] == (float)k && first.action[0] == (float)(k < 6 ? 0 : k - 6));
        check_refusals(r, &m, k % 2 ? NAN : INFINITY);
    }
    CHECK(count.requests == made, "it has allocated after create");
    vdi_tensor t = vdi_replay_tensor(r);
    CHECK(t.ndim == 2 && t.shape[0] == 7 && t.shape[1] == 2 * 3 + 2 + 4 + 1);
    vdi_replay_destroy(r);
    CHECK(count.live == 0, "%ld blocks are left", count.live);
    vdi_replay_destroy(NULL);
}

TEST(replay, a_copy_goes_on_as_the_original) {
    vdi_error err = {0};
    vdi_replay_desc desc = ring_desc(NULL);
    vdi_replay *r = NULL, *copy = NULL;
    CHECK_OK(vdi_replay_create(&desc, &r, &err), err);
    CHECK_OK(vdi_replay_create(&desc, &copy, &err), err);
    for (int k = 0; k < 12; k++) {
        moment m = moment_of(k);
        CHECK_OK(add(r, &m, 0, &err), err);
        if (k == 4 || k == 9) {
            vdi_replay_set_added(copy, vdi_replay_added(r));
            CHECK_OK(vdi_tensor_copy(vdi_replay_tensor(copy), vdi_replay_tensor(r), &err), err);
        } else if (k > 4) {
            CHECK_OK(add(copy, &m, 0, &err), err);
        }
    }
    CHECK(memcmp(vdi_replay_tensor(r).data, vdi_replay_tensor(copy).data,
                 vdi_tensor_bytes(vdi_replay_tensor(r))) == 0);
    vdi_replay_destroy(copy);
    vdi_replay_destroy(r);
}

TEST(replay, description) {
    vdi_error err = {0};
    test_allocator count = {0};
    vdi_allocator a = test_allocator_of(&count);
    vdi_replay_desc desc = ring_desc(&a);
    vdi_replay *r = NULL;
    const size_t record = sizeof(float) * (2 * 3 + 2 + 4 + 1);
    for (long at = 1; at <= 2; at++) {
        count.requests = 0;
        count.fail_at = at;
        CHECK_FAILS(vdi_replay_create(&desc, &r, &err), VDI_ERR_MEMORY);
        CHECK(r == NULL && count.live == 0);
    }
    count.fail_at = 0;
    CHECK(vdi_replay_memsize(&desc) == 7 * record);
    desc.capacity = 0; /* the default */
    CHECK(vdi_replay_desc_defaults().capacity == 1000000);
    CHECK(vdi_replay_memsize(&desc) == 1000000 * record);
    greedy_allocator greed;
    vdi_allocator greedy = greedy_allocator_of(&greed);
    desc.allocator = &greedy;
    /* more than the allocator gives, less than a size_t holds */
    desc.capacity = sizeof(size_t) > 4 ? (int64_t)1 << 40 : (int64_t)(((size_t)3 << 29) / record);
    CHECK_FAILS(vdi_replay_create(&desc, &r, &err), VDI_ERR_MEMORY);
    CHECK(greed.largest == (size_t)desc.capacity * record && r == NULL);
    desc.capacity = INT64_MAX / 2;
    CHECK(vdi_replay_memsize(&desc) == SIZE_MAX);
    CHECK_FAILS(vdi_replay_create(&desc, &r, &err), VDI_ERR_ARGUMENT);
    desc.capacity = -1;
    CHECK_FAILS(vdi_replay_create(&desc, &r, &err), VDI_ERR_ARGUMENT);
    CHECK(strstr(err.message, "capacity is -1") != NULL, "%s", err.message);
    desc.capacity = 7;
    desc.components = VDI_ENV_MAX_COMPONENTS + 1;
    CHECK_FAILS(vdi_replay_create(&desc, &r, &err), VDI_ERR_ARGUMENT);
    CHECK(strstr(err.message, "components") != NULL, "%s", err.message);
    CHECK(strcmp(vdi_replay_desc_fields()->rows[0].name, "capacity") == 0);
}
