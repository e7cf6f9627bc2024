/* core/ranks, and the models that take it: shares that cover, sums that are those of one process */
#include "check.h"

TEST(ranks, shares_cover_and_are_even) {
    for (int count = 0; count <= 7; count++) {
        for (int64_t n = 0; n <= 23; n++) {
            int64_t next = 0, least = n, most = 0;
            for (int rank = 0; rank < VDI__MAX(count, 1); rank++) {
                const vdi_ranks r = {rank, count, NULL, NULL};
                int64_t from, to;
                vdi_ranks_share(&r, n, &from, &to);
                CHECK(from == next, "rank %d of %d begins at %lld", rank, count, (long long)from);
                least = VDI__MIN(least, to - from);
                most = VDI__MAX(most, to - from);
                next = to;
            }
            CHECK(next == n && most - least <= 1, "%lld things on %d", (long long)n, count);
        }
    }
}

/* What another process would have sent: the first call records, the second adds it. */
typedef struct other {
    double value[4096];
    int64_t count;
    bool add, fail;
} other;

static bool sum_with(double *values, int64_t n, void *user) {
    other *o = (other *)user;
    if (o->fail || n > (int64_t)VDI__COUNT(o->value)) return false;
    for (int64_t i = 0; i < n; i++) {
        if (o->add)
            values[i] += o->value[i];
        else
            o->value[i] = values[i];
    }
    o->count = n;
    return true;
}

TEST(ranks, what_is_refused) {
    static const vdi_ranks wrong[] = {{1, 1, NULL, NULL},
                                      {-1, 2, sum_with, NULL},
                                      {2, 2, sum_with, NULL},
                                      {0, 2, NULL, NULL},
                                      {0, -1, NULL, NULL}};
    const vdi_ranks alone = {0, 0, NULL, NULL};
    double x = 3;
    vdi_error err;
    CHECK_OK(vdi_ranks_check(&alone, &err), err);
    CHECK_OK(vdi_ranks_sum(&alone, &x, 1, &err), err);
    CHECK(x == 3, "a process alone has %g", x);
    for (size_t i = 0; i < VDI__COUNT(wrong); i++)
        CHECK(vdi_ranks_check(&wrong[i], &err) == VDI_ERR_ARGUMENT, "case %zu", i);
}

enum { TRIALS = 7, T = 9, N = 4 };

static vdi_vilds *small_model(vdi_ranks ranks, vdi_vilds_data **data) {
    static uint8_t y[TRIALS][T][N];
    static const int64_t lengths[TRIALS] = {9, 3, 9, 8, 1, 9, 5};
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_data_desc seen = VDI__ZERO;
    vdi_vilds *m;
    vdi_error err;
    vdi_rng rng = vdi_rng_make(3, 0);
    for (int i = 0; i < TRIALS * T * N; i++)
        ((uint8_t *)y)[i] = (uint8_t)vdi_rng_poisson(&rng, 1.5);
    desc.d = 2;
    desc.n = N;
    desc.layers = 1;
    desc.hidden[0] = 5;
    desc.encoder_layers = 1;
    desc.encoder_hidden[0] = 6;
    desc.dtype = VDI_F64;
    desc.train.batch = 6;
    desc.train.steps = 10;
    desc.train.restarts = 1;
    desc.ranks = ranks;
    seen.y = vdi_tensor_3d(y, VDI_U8, TRIALS, T, N);
    seen.lengths = lengths;
    CHECK_OK(vdi_vilds_create(&desc, &m, &err), err);
    CHECK_OK(vdi_vilds_data_create(m, &seen, data, &err), err);
    CHECK_OK(vdi_vilds_init(m, *data, 0, &err), err);
    return m;
}

TEST(ranks, two_processes_have_the_gradient_of_one) {
    static other sent;
    vdi_error err;
    const vdi_ranks one = {0, 1, NULL, NULL}, first = {0, 2, sum_with, &sent};
    const vdi_ranks second = {1, 2, sum_with, &sent};
    vdi_vilds_data *data[3];
    vdi_vilds *m[3] = {small_model(one, &data[0]), small_model(second, &data[1]),
                       small_model(first, &data[2])};
    double loss[3];
    for (int64_t step = 0; step < 3; step++) {
        for (int k = 0; k < 3; k++) {
            sent.add = k == 2;
            CHECK_OK(vdi_vilds_loss(m[k], data[k], step, &loss[k], &err), err);
        }
        CHECK(fabs(loss[2] - loss[0]) < 1e-12, "loss %.17g, of one %.17g", loss[2], loss[0]);
        const vdi_params *a = vdi_vilds_params(m[0]), *b = vdi_vilds_params(m[2]);
        CHECK(sent.count == a->total + 1, "%lld numbers were sent", (long long)sent.count);
        for (int64_t i = 0; i < a->total; i++) {
            const double g = ((const double *)a->grads)[i], h = ((const double *)b->grads)[i];
            CHECK(fabs(g - h) <= 1e-12 * (1 + fabs(g)), "gradient %lld: %g, of one %g",
                  (long long)i, h, g);
        }
    }
    for (int k = 0; k < 3; k++) {
        vdi_vilds_data_destroy(data[k]);
        vdi_vilds_destroy(m[k]);
    }
}

TEST(ranks, a_sum_that_fails_is_an_error) {
    static other sent;
    vdi_error err;
    const vdi_ranks ranks = {0, 2, sum_with, &sent};
    vdi_vilds_data *data;
    vdi_vilds *m = small_model(ranks, &data);
    const vdi_params *p = vdi_vilds_params(m);
    double *before = (double *)malloc((size_t)p->total * sizeof *before);
    memcpy(before, p->values, (size_t)p->total * sizeof *before);
    sent.fail = true;
    CHECK(vdi_vilds_step(m, data, NULL, NULL, &err) == VDI_ERR_IO, "%s", err.message);
    CHECK(memcmp(before, p->values, (size_t)p->total * sizeof *before) == 0, "it moved");
    vdi_vilds_desc many = *vdi_vilds_description(m);
    many.ranks.count = 7;
    CHECK(vdi_vilds_desc_check(&many, &err) == VDI_ERR_ARGUMENT, "more processes than trials");
    free(before);
    vdi_vilds_data_destroy(data);
    vdi_vilds_destroy(m);
}
