/* tests/sacd_case.h - what the suites of the critic, the agent and its tools share: a small agent,
   a
 * past for it, and its state */
#ifndef VDI_TESTS_SACD_CASE_H
#define VDI_TESTS_SACD_CASE_H
#include "io.h"

enum { OBS = 3, ACT = 2, M = 3, HEADS = M + 1, BATCH = 16, PAST = 40 };

static inline vdi_tensor state_find(const vdi_state *s, const char *name) {
    for (int64_t i = 0; i < s->tensor_count; i++) {
        if (!strcmp(s->tensors[i].name, name)) return s->tensors[i].tensor;
    }
    CHECK(0, "no tensor called %s", name);
    exit(1);
}

/** All bytes of a state, one behind the other. */
static inline char *state_bytes(const vdi_state *s, size_t *size) {
    char *all = NULL;
    *size = 0;
    for (int64_t i = 0; i < s->tensor_count; i++) {
        size_t n = vdi_tensor_bytes(s->tensors[i].tensor);
        all = (char *)realloc(all, *size + n + 1);
        memcpy(all + *size, s->tensors[i].tensor.data, n);
        *size += n;
    }
    return all;
}
static inline int state_same(const vdi_state *a, const vdi_state *b) {
    size_t na, nb;
    char *pa = state_bytes(a, &na), *pb = state_bytes(b, &nb);
    int same = na == nb && memcmp(pa, pb, na) == 0;
    free(pa);
    free(pb);
    return same;
}

static inline vdi_sacd_desc small_desc(vdi_sacd_algo algo, vdi_dtype dtype) {
    vdi_sacd_desc d = VDI__ZERO;
    d.observations = OBS;
    d.actions = ACT;
    d.components = M;
    d.algo = algo;
    d.dtype = dtype;
    d.layers = 2;
    d.hidden[0] = 9;
    d.hidden[1] = 7;
    d.batch = BATCH;
    d.capacity = PAST;
    d.start = 5;
    d.seed = 3;
    d.log_alpha = -0.7;
    return d;
}

/** A past of random transitions: one in five terminal, one in five timed out. */
static inline void remember(vdi_sacd *agent, int count) {
    unsigned long long seed = 12345;
    vdi_error err = {0};
    for (int k = 0; k < count; k++) {
        float x[2 * OBS + ACT + M];
        for (int i = 0; i < 2 * OBS + ACT + M; i++)
            x[i] = (float)test_normal(&seed);
        for (int i = 0; i < ACT; i++)
            x[OBS + i] = tanhf(x[OBS + i]);
        int end = k % 5 == 2 ? VDI_ENV_TERMINATED : k % 5 == 4 ? VDI_ENV_TRUNCATED : 0;
        CHECK_OK(vdi_sacd_observe(agent, x, x + OBS, x + OBS + ACT, x + OBS + ACT + M, end, &err),
                 err);
    }
}
#endif
