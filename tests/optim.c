/* Parameters, initialisers, optimisers, schedules: each rule against the same rule written out,
 * refusal, resumption to the bit, and learning. */
#include "paths.h"

static vdi_params *make_params_of(vdi_param_desc list[4], vdi_dtype dtype, uint64_t seed) {
    vdi_rng rng = vdi_rng_make(seed, 0);
    vdi_params *p;
    vdi_error err;
    list[0] = vdi_param_2d("a.weight", VDI_INIT_FAN_IN, 0, 3, 5);
    list[1] = vdi_param_1d("a.bias", VDI_INIT_NORMAL, 0.1, 5);
    list[2] = vdi_param_make("b", VDI_INIT_CONSTANT, 2, 0, NULL);
    list[3] = vdi_param_1d("c", VDI_INIT_NORMAL, 0, 33);
    CHECK_OK(vdi_params_create(list, 4, dtype, NULL, &rng, &p, &err), err);
    return p;
}
static vdi_params *make_params(vdi_dtype dtype, uint64_t seed) {
    vdi_param_desc list[4];
    return make_params_of(list, dtype, seed);
}
static void set_grads(vdi_params *p, unsigned long long seed) {
    for (int64_t i = 0; i < p->count; i++) {
        for (int64_t k = 0; k < vdi_tensor_count(p->item[i].grad); k++)
            vdi_dtype_store(p->dtype, p->item[i].grad.data, k, test_normal(&seed));
    }
}
static double at(vdi_tensor t, int64_t k) { return vdi_dtype_load(t.dtype, t.data, k); }

TEST(optim, initialisers) {
    static const struct {
        vdi_init init;
        int normal;
        double width; /* of the uniform, or the standard deviation, for (2, 30, 50): fan_in 60,
                         fan_out 100 */
    } want[] = {
        {VDI_INIT_NORMAL, 1, 1.5},
        {VDI_INIT_FAN_IN, 0, 1.5 / 7.745966692414834},
        {VDI_INIT_GLOROT_UNIFORM, 0, 1.5 * 0.19364916731037085},
        {VDI_INIT_GLOROT_NORMAL, 1, 1.5 * 0.11180339887498948},
        {VDI_INIT_HE_UNIFORM, 0, 1.5 * 0.31622776601683794},
        {VDI_INIT_HE_NORMAL, 1, 1.5 * 0.18257418583505536},
    };
    vdi_error err;
    vdi_params *p;
    for (size_t i = 0; i < VDI__COUNT(want); i++) {
        vdi_param_desc d = vdi_param_3d("w", want[i].init, 1.5, 2, 30, 50);
        vdi_rng rng = vdi_rng_make(5, 0);
        double largest = 0, squares = 0, sum = 0;
        CHECK_OK(vdi_params_create(&d, 1, VDI_F64, NULL, &rng, &p, &err), err);
        for (int k = 0; k < 3000; k++) {
            double w = at(p->item[0].value, k);
            largest = fmax(largest, fabs(w));
            squares += w * w;
            sum += w;
        }
        double sd = want[i].normal ? want[i].width : want[i].width / sqrt(3);
        CHECK_CLOSE(sqrt(squares / 3000) / sd, 1, 0.06);
        CHECK_CLOSE(sum / 3000 / sd, 0, 0.08);
        if (!want[i].normal) {
            CHECK(largest <= want[i].width && largest > 0.98 * want[i].width, "%zu: %g of %g", i,
                  largest, want[i].width);
        }
        vdi_params_destroy(p);
    }
    for (int tall = 0; tall < 2; tall++) {
        vdi_param_desc d = vdi_param_2d("w", VDI_INIT_ORTHOGONAL, 2, tall ? 12 : 5, tall ? 5 : 12);
        vdi_rng rng = vdi_rng_make(5, 0);
        CHECK_OK(vdi_params_create(&d, 1, VDI_F64, NULL, &rng, &p, &err), err);
        for (int i = 0; i < 5; i++) {
            for (int j = 0; j < 5; j++) {
                double s = 0;
                for (int k = 0; k < 12; k++) {
                    s += at(p->item[0].value, tall ? k * 5 + i : i * 12 + k) *
                         at(p->item[0].value, tall ? k * 5 + j : j * 12 + k);
                }
                CHECK_CLOSE(s, i == j ? 4 : 0, 1e-13);
            }
        }
        vdi_params_destroy(p);
    }
    vdi_param_desc eye = vdi_param_3d("w", VDI_INIT_IDENTITY, 0, 2, 3, 4);
    CHECK_OK(vdi_params_create(&eye, 1, VDI_F32, NULL, NULL, &p, &err), err);
    for (int k = 0; k < 24; k++)
        CHECK_CLOSE(at(p->item[0].value, k), k % 12 / 4 == k % 4, 0);
    vdi_params_destroy(p);
}

TEST(optim, shapes_are_64_bits_wide) {
    const int64_t wide = (int64_t)5 << 32;
    const int64_t shape[2] = {3, wide}, seven[7] = {1, 1, 1, 1, 1, 1, 1};
    vdi_param_desc d = vdi_param_1d("x", VDI_INIT_ZEROS, 0, wide);
    CHECK(d.ndim == 1 && d.shape[0] == wide);
    d = vdi_param_2d("x", VDI_INIT_ZEROS, 0, 3, wide);
    CHECK(d.ndim == 2 && d.shape[0] == 3 && d.shape[1] == wide);
    d = vdi_param_3d("x", VDI_INIT_FAN_IN, 0.5, 2, 3, wide);
    CHECK(d.ndim == 3 && d.shape[0] == 2 && d.shape[1] == 3 && d.shape[2] == wide);
    CHECK(d.init == VDI_INIT_FAN_IN && d.scale == 0.5 && strcmp(d.name, "x") == 0);
    d = vdi_param_make("x", VDI_INIT_ZEROS, 0, 2, shape);
    CHECK(d.ndim == 2 && d.shape[1] == wide);
    vdi_params *set;
    vdi_error err;
    d = vdi_param_make("x", VDI_INIT_ZEROS, 0, 7, seven);
    CHECK_FAILS(vdi_params_create(&d, 1, VDI_F32, NULL, NULL, &set, &err), VDI_ERR_ARGUMENT);
    CHECK(strcmp(err.message, "ndim is 7: expected 0 to 6") == 0, "%s", err.message);
    d = vdi_param_1d("x", VDI_INIT_ZEROS, 0, INT64_MAX);
    CHECK_FAILS(vdi_params_create(&d, 1, VDI_F32, NULL, NULL, &set, &err), VDI_ERR_SHAPE);
    CHECK(set == NULL);
}

TEST(optim, parameter_sets) {
    vdi_error err;
    vdi_params *p = make_params(VDI_F32, 1);
    vdi_params *q = make_params(VDI_F32, 1);
    vdi_params *other = make_params(VDI_F32, 2);
    vdi_params *mine;
    CHECK(memcmp(p->values, q->values, (size_t)p->total * 4) == 0 &&
              memcmp(p->values, other->values, (size_t)p->total * 4) != 0,
          "seeds");
    CHECK(vdi_params_size(p) == 15 + 5 + 1 + 33 && p->total % 16 == 0, "size");
    CHECK(vdi_params_find(p, "b") == &p->item[2] && !vdi_params_find(p, "nobody"), "find");
    CHECK(at(p->item[2].value, 0) == 2, "constant");
    CHECK(p->item[0].value.data == p->values && p->item[0].grad.data == p->grads, "the first");
    const vdi_state *s = vdi_params_state(p);
    CHECK(s->tensor_count == 4 && !strcmp(s->tensors[3].name, "c") &&
              s->tensors[3].tensor.data == p->item[3].value.data,
          "state");
    /* norm, clipping, frozen ones left out */
    set_grads(p, 7);
    double sum = 0;
    for (int64_t i = 0; i < p->count; i++) {
        for (int64_t k = 0; k < vdi_tensor_count(p->item[i].grad) && i != 1; k++)
            sum += at(p->item[i].grad, k) * at(p->item[i].grad, k);
    }
    p->item[1].frozen = true;
    CHECK_CLOSE(vdi_params_grad_norm(p), sqrt(sum), 1e-5);
    CHECK_CLOSE(vdi_params_clip_grad(p, 0.5), sqrt(sum), 1e-5);
    CHECK_CLOSE(vdi_params_grad_norm(p), 0.5, 1e-6);
    CHECK_CLOSE(vdi_params_clip_grad(p, 0.6), 0.5, 1e-6);
    CHECK_CLOSE(vdi_params_grad_norm(p), 0.5, 1e-6);
    CHECK(vdi_params_size(p) == 15 + 1 + 33, "frozen");
    /* shared values, own gradients */
    CHECK_OK(vdi_params_share(p, NULL, &mine, &err), err);
    CHECK(mine->values == p->values && mine->item[0].grad.data != p->item[0].grad.data &&
              mine->item[1].frozen,
          "share");
    set_grads(mine, 9);
    double before = at(p->item[3].grad, 4);
    CHECK_OK(vdi_params_add_grad(p, mine, &err), err);
    CHECK_CLOSE(at(p->item[3].grad, 4), before + at(mine->item[3].grad, 4), 1e-6);
    vdi_params_zero_grad(p);
    CHECK(vdi_params_grad_norm(p) == 0 && vdi_params_grad_norm(mine) > 0, "zero_grad");
    double a = at(q->item[3].value, 2), b = at(other->item[3].value, 2);
    CHECK_OK(vdi_params_mix(q, other, 0.25, &err), err);
    CHECK_CLOSE(at(q->item[3].value, 2), 0.75 * a + 0.25 * b, 1e-6);
    vdi_params_destroy(mine);
    vdi_params_destroy(q);
    vdi_params_destroy(other);
    vdi_params_destroy(p);
}

TEST(optim, bad_parameter_sets) {
    vdi_error err;
    vdi_params *p = make_params(VDI_F32, 1), *q;
    vdi_param_desc twin[2];
    twin[0] = vdi_param_1d("x", VDI_INIT_ZEROS, 0, 3);
    twin[1] = vdi_param_1d("x", VDI_INIT_ZEROS, 0, 3);
    CHECK(vdi_params_create(twin, 2, VDI_F32, NULL, NULL, &q, &err) == VDI_ERR_ARGUMENT &&
              strstr(err.message, "\"x\""),
          "%s", err.message);
    twin[1] = vdi_param_1d("y", VDI_INIT_NORMAL, 0, 3);
    CHECK(vdi_params_create(twin, 2, VDI_F32, NULL, NULL, &q, &err) == VDI_ERR_ARGUMENT &&
              strstr(err.message, "y"),
          "%s", err.message);
    twin[1] = vdi_param_1d("y", VDI_INIT_ZEROS, 0, -3);
    CHECK_FAILS(vdi_params_create(twin, 2, VDI_F32, NULL, NULL, &q, &err), VDI_ERR_SHAPE);
    CHECK_FAILS(vdi_params_add_grad(p, NULL == q ? p : q, &err), VDI_OK);
    vdi_params_destroy(p);
}

/* The update written out, number by number, in double. */
static void reference_step(const vdi_optim_desc *d, double rate, double scale, double n, double *w,
                           double *m, double *v, double g) {
    if (d->kind == VDI_OPTIM_ADAM)
        g = scale * g + d->weight_decay * *w;
    else
        g *= scale;
    double decay = d->kind == VDI_OPTIM_ADAM ? 0 : rate * d->weight_decay * *w;
    if (d->kind <= VDI_OPTIM_ADAMW) {
        *m = d->beta1 * *m + (1 - d->beta1) * g;
        *v = d->beta2 * *v + (1 - d->beta2) * g * g;
        *w -= rate * (*m / (1 - pow(d->beta1, n))) / (sqrt(*v / (1 - pow(d->beta2, n))) + d->eps) +
              decay;
    } else if (d->kind == VDI_OPTIM_RMSPROP) {
        *v = d->rho * *v + (1 - d->rho) * g * g;
        *m = d->momentum * *m + g / (sqrt(*v) + d->eps);
        *w -= rate * *m + decay;
    } else {
        *m = d->momentum * *m + g;
        *w -= rate * *m + decay;
    }
}

static const vdi_optim_desc kinds[] = {
    {VDI_OPTIM_ADAM, 0.01, 0.9, 0.999, 0.99, 0, 1e-8, 0, 0, {VDI_SCHEDULE_CONSTANT, 0, 0, 1, 1, 0}},
    {VDI_OPTIM_ADAM,
     0.01,
     0.8,
     0.95,
     0.99,
     0,
     1e-6,
     0.1,
     2,
     {VDI_SCHEDULE_COSINE, 3, 10, 1, 1, 0.1}},
    {VDI_OPTIM_ADAMW,
     0.01,
     0.9,
     0.999,
     0.99,
     0,
     1e-8,
     0.1,
     0,
     {VDI_SCHEDULE_STEP, 0, 0, 4, 0.5, 0}},
    {VDI_OPTIM_RMSPROP,
     0.01,
     0.9,
     0.999,
     0.9,
     0,
     1e-8,
     0,
     3,
     {VDI_SCHEDULE_EXPONENTIAL, 0, 0, 4, 0.5, 0}},
    {VDI_OPTIM_RMSPROP,
     0.01,
     0.9,
     0.999,
     0.9,
     0.7,
     1e-8,
     0.1,
     0,
     {VDI_SCHEDULE_LINEAR, 2, 8, 1, 1, 0.2}},
    {VDI_OPTIM_SGD, 0.01, 0.9, 0.999, 0.99, 0, 1e-8, 0, 0, {VDI_SCHEDULE_CONSTANT, 0, 0, 1, 1, 0}},
    {VDI_OPTIM_SGD,
     0.01,
     0.9,
     0.999,
     0.99,
     0.9,
     1e-8,
     0.1,
     1,
     {VDI_SCHEDULE_CONSTANT, 5, 0, 1, 1, 0}},
};

TEST(optim, rules) {
    vdi_error err;
    for (size_t i = 0; i < VDI__COUNT(kinds); i++) {
        const vdi_optim_desc *d = &kinds[i];
        vdi_params *p = make_params(VDI_F64, 3);
        vdi_optim *o;
        double w[33], m[33] = {0}, v[33] = {0}, bias = at(p->item[1].value, 0);
        CHECK_OK(vdi_optim_create(d, p, NULL, &o, &err), err);
        p->item[1].frozen = true;
        for (int k = 0; k < 33; k++)
            w[k] = at(p->item[3].value, k);
        for (int n = 1; n <= 12; n++) {
            set_grads(p, 100 + (unsigned long long)n);
            double rate = d->rate * vdi_schedule_factor(&d->schedule, n - 1);
            double norm = vdi_params_grad_norm(p);
            double scale = d->clip_norm > 0 && norm > d->clip_norm ? d->clip_norm / norm : 1;
            CHECK_CLOSE(vdi_optim_rate(o), rate, 0);
            for (int k = 0; k < 33; k++)
                reference_step(d, rate, scale, n, &w[k], &m[k], &v[k], at(p->item[3].grad, k));
            CHECK_OK(vdi_optim_step(o, &err), err);
            CHECK_CLOSE(vdi_optim_grad_norm(o), norm, 1e-12);
            for (int k = 0; k < 33; k++)
                CHECK_CLOSE(at(p->item[3].value, k), w[k], 1e-12);
        }
        CHECK(vdi_optim_steps(o) == 12 && at(p->item[1].value, 0) == bias,
              "a frozen parameter moved");
        vdi_optim_destroy(o);
        vdi_params_destroy(p);
    }
    vdi_schedule s = {VDI_SCHEDULE_COSINE, 4, 10, 1, 1, 0.1};
    CHECK_CLOSE(vdi_schedule_factor(&s, 0), 0.25, 0);
    CHECK_CLOSE(vdi_schedule_factor(&s, 3), 1, 0);
    CHECK_CLOSE(vdi_schedule_factor(&s, 4), 1, 1e-15);
    CHECK_CLOSE(vdi_schedule_factor(&s, 9), 0.55, 1e-15);
    CHECK_CLOSE(vdi_schedule_factor(&s, 1000), 0.1, 1e-15);
    s.kind = VDI_SCHEDULE_STEP;
    s.warmup = 0;
    s.every = 200;
    s.factor = 0.995;
    CHECK_CLOSE(vdi_schedule_factor(&s, 199), 1, 0);
    CHECK_CLOSE(vdi_schedule_factor(&s, 400), 0.995 * 0.995, 1e-15);
    memset(&s, 0, sizeof s);
    CHECK_CLOSE(vdi_schedule_factor(&s, 12345), 1, 0);
}

/* Each rule at steps that can be worked out by hand; what is left out is its default. */
TEST(optim, schedules) {
    static const struct {
        vdi_schedule s;
        int64_t step;
        double factor;
    } want[] = {
        {{VDI_SCHEDULE_CONSTANT, 5, 0, 0, 0, 0}, 0, 0.2},
        {{VDI_SCHEDULE_CONSTANT, 5, 0, 0, 0, 0}, 4, 1},
        {{VDI_SCHEDULE_CONSTANT, 5, 0, 0, 0.5, 0.5}, 1000, 1},
        {{VDI_SCHEDULE_COSINE, 0, 100, 0, 0, 0}, 0, 1},
        {{VDI_SCHEDULE_COSINE, 0, 100, 0, 0, 0}, 50, 0.5},
        {{VDI_SCHEDULE_COSINE, 0, 100, 0, 0, 0}, 100, 0},
        {{VDI_SCHEDULE_COSINE, 0, 90, 0, 0, 0.2}, 30, 0.2 + 0.8 * 0.75}, /* cos(60 degrees) = 1/2 */
        {{VDI_SCHEDULE_COSINE, 20, 90, 0, 0, 0.2}, 50, 0.2 + 0.8 * 0.75},
        {{VDI_SCHEDULE_LINEAR, 0, 10, 0, 0, 0}, 3, 0.7},
        {{VDI_SCHEDULE_LINEAR, 4, 10, 0, 0, 0.5}, 6, 0.9},
        {{VDI_SCHEDULE_LINEAR, 0, 10, 0, 0, 0.5}, 10000, 0.5},
        {{VDI_SCHEDULE_EXPONENTIAL, 0, 0, 2, 0.25, 0}, 1, 0.5},
        {{VDI_SCHEDULE_EXPONENTIAL, 0, 0, 0, 0.5, 0}, 3, 0.125},
        {{VDI_SCHEDULE_EXPONENTIAL, 7, 0, 2, 0.25, 0}, 11, 0.0625},
        {{VDI_SCHEDULE_EXPONENTIAL, 0, 0, 3, 0, 0}, 9, 1},
        {{VDI_SCHEDULE_STEP, 0, 0, 10, 0.5, 0}, 9, 1},
        {{VDI_SCHEDULE_STEP, 0, 0, 10, 0.5, 0}, 10, 0.5},
        {{VDI_SCHEDULE_STEP, 0, 0, 10, 0.5, 0}, 39, 0.125},
        {{VDI_SCHEDULE_STEP, 5, 0, 10, 0.5, 0}, 14, 1},
        {{VDI_SCHEDULE_STEP, 0, 0, 0, 0.5, 0}, 3, 0.125},
    };
    for (size_t i = 0; i < VDI__COUNT(want); i++) {
        double f = vdi_schedule_factor(&want[i].s, want[i].step);
        CHECK(fabs(f - want[i].factor) < 1e-15, "case %zu: %.17g, expected %.17g", i, f,
              want[i].factor);
    }
    const vdi_schedule unknown = {(vdi_schedule_kind)99, 0, 100, 10, 0.5, 0};
    CHECK(vdi_schedule_factor(&unknown, 50) == 1, "what is unknown changes no rate");
}

/* A loaded state may be anything; a step from it changes nothing. */
TEST(optim, hostile_memory) {
    for (size_t i = 0; i < VDI__COUNT(kinds); i++) {
        for (int what = 0; what < 4; what++) {
            vdi_error err;
            vdi_params *p = make_params(VDI_F64, 3);
            vdi_optim *o;
            CHECK_OK(vdi_optim_create(&kinds[i], p, NULL, &o, &err), err);
            set_grads(p, 1);
            CHECK_OK(vdi_optim_step(o, &err), err);
            const vdi_state *s = vdi_optim_state(o);
            vdi_tensor last = s->tensors[s->tensor_count - 1].tensor;
            CHECK(strcmp(s->tensors[s->tensor_count - 1].name, "step") == 0 &&
                  last.dtype == VDI_I64);
            const int64_t steps[3] = {-1, INT64_MIN, INT64_MAX};
            if (what < 3) *(int64_t *)last.data = steps[what];
            /* plain SGD remembers nothing else */
            if (what == 3 && s->tensor_count > 1) *(double *)s->tensors[0].tensor.data = NAN;
            if (what == 3 && s->tensor_count == 1) *(int64_t *)last.data = -5;
            double kept[4];
            memcpy(kept, p->item[0].value.data, sizeof kept);
            CHECK_FAILS(vdi_optim_step(o, &err), VDI_ERR_NUMERIC);
            CHECK(memcmp(kept, p->item[0].value.data, sizeof kept) == 0, "optimiser %zu", i);
            vdi_optim_destroy(o);
            vdi_params_destroy(p);
        }
    }
}

TEST(optim, refusal) {
    vdi_error err;
    for (size_t i = 0; i < VDI__COUNT(kinds); i++) {
        for (int dtype = 0; dtype < 2; dtype++) {
            for (int what = 0; what < 7; what++) {
                vdi_params *p = make_params((vdi_dtype)dtype, 3);
                vdi_optim *o;
                size_t bytes = (size_t)p->total * vdi_dtype_size(p->dtype);
                char *kept = (char *)malloc(bytes), *memory = (char *)malloc(4096);
                CHECK_OK(vdi_optim_create(&kinds[i], p, NULL, &o, &err), err);
                set_grads(p, 4);
                CHECK_OK(vdi_optim_step(o, &err), err);
                set_grads(p, 5);
                const vdi_state *s = vdi_optim_state(o);
                bool remembers = s->tensor_count > 1;
                /* m.c or v.c */
                vdi_named_tensor *last = &s->tensors[remembers ? s->tensor_count - 2 : 0];
                if (what == 0) vdi_dtype_store(p->dtype, p->item[3].grad.data, 32, NAN);
                if (what == 1) vdi_dtype_store(p->dtype, p->item[0].grad.data, 3, -INFINITY);
                if (what == 2) {
                    vdi_dtype_store(p->dtype, p->item[0].grad.data, 3,
                                    dtype ? 1e200 : 1e25); /* its square overflows */
                }
                if (what == 3) vdi_dtype_store(p->dtype, p->item[3].value.data, 0, NAN);
                if (what == 4) vdi_optim_set_rate(o, 1e30);
                if (what == 5 && remembers) vdi_dtype_store(p->dtype, last->tensor.data, 7, NAN);
                if (what == 6 && remembers)
                    vdi_dtype_store(p->dtype, last->tensor.data, 7, INFINITY);
                if ((what == 5 || what == 6) && !remembers)
                    vdi_dtype_store(p->dtype, p->item[3].grad.data, 0, NAN);
                size_t used = 0;
                for (int64_t k = 0; k < s->tensor_count; k++) {
                    memcpy(memory + used, s->tensors[k].tensor.data,
                           vdi_tensor_bytes(s->tensors[k].tensor));
                    used += vdi_tensor_bytes(s->tensors[k].tensor);
                }
                memcpy(kept, p->values, bytes);
                vdi_status status = vdi_optim_step(o, &err);
                CHECK(status == VDI_ERR_NUMERIC, "optimiser %zu, %d: %s", i, what,
                      vdi_status_name(status));
                if (what == 0) CHECK(strstr(err.message, "\"c\"") != NULL, "%s", err.message);
                CHECK(memcmp(kept, p->values, bytes) == 0,
                      "optimiser %zu, %d: the parameters have changed", i, what);
                used = 0;
                for (int64_t k = 0; k < s->tensor_count; k++) {
                    CHECK(memcmp(memory + used, s->tensors[k].tensor.data,
                                 vdi_tensor_bytes(s->tensors[k].tensor)) == 0,
                          "%s has changed", s->tensors[k].name);
                    used += vdi_tensor_bytes(s->tensors[k].tensor);
                }
                if (what <= 2) { /* and it goes on */
                    set_grads(p, 5);
                    CHECK_OK(vdi_optim_step(o, &err), err);
                    CHECK(vdi_optim_steps(o) == 2, "steps");
                }
                free(kept);
                free(memory);
                vdi_optim_destroy(o);
                vdi_params_destroy(p);
            }
        }
    }
    vdi_optim_desc d = vdi_optim_desc_defaults();
    CHECK_OK(vdi_optim_desc_check(&d, &err), err);
    d.beta2 = 1;
    CHECK(vdi_optim_desc_check(&d, &err) == VDI_ERR_ARGUMENT && strstr(err.message, "beta2"), "%s",
          err.message);
    memset(&d, 0, sizeof d);
    CHECK_OK(vdi_optim_desc_check(&d, &err), err);
    d.rate = NAN;
    CHECK(vdi_optim_desc_check(&d, &err) == VDI_ERR_ARGUMENT && strstr(err.message, "rate"), "%s",
          err.message);
}

/* Twenty steps, or ten, a copy of every named tensor into a fresh pair, and ten more: the same
 * bits. */
TEST(optim, resumption) {
    vdi_error err;
    for (size_t i = 0; i < VDI__COUNT(kinds); i++) {
        vdi_params *p = make_params(VDI_F32, 3), *q = make_params(VDI_F32, 99);
        vdi_optim *o, *r;
        CHECK_OK(vdi_optim_create(&kinds[i], p, NULL, &o, &err), err);
        CHECK_OK(vdi_optim_create(&kinds[i], q, NULL, &r, &err), err);
        for (int n = 0; n < 20; n++) {
            if (n == 10) {
                const vdi_state *from[2], *to[2];
                from[0] = vdi_params_state(p);
                from[1] = vdi_optim_state(o);
                to[0] = vdi_params_state(q);
                to[1] = vdi_optim_state(r);
                for (int s = 0; s < 2; s++) {
                    for (int64_t k = 0; k < from[s]->tensor_count; k++) {
                        CHECK(!strcmp(from[s]->tensors[k].name, to[s]->tensors[k].name), "names");
                        CHECK_OK(vdi_tensor_copy(to[s]->tensors[k].tensor,
                                                 from[s]->tensors[k].tensor, &err),
                                 err);
                    }
                }
            }
            set_grads(p, 50 + (unsigned long long)n);
            CHECK_OK(vdi_optim_step(o, &err), err);
            if (n < 10) continue;
            set_grads(q, 50 + (unsigned long long)n);
            CHECK_OK(vdi_optim_step(r, &err), err);
        }
        CHECK(memcmp(p->values, q->values, (size_t)p->total * 4) == 0 && vdi_optim_steps(r) == 20,
              "optimiser %zu", i);
        vdi_optim_destroy(o);
        vdi_optim_destroy(r);
        vdi_params_destroy(p);
        vdi_params_destroy(q);
    }
}

/* Drawn anew and forgotten, a set and its optimiser are as on their first day. */
TEST(optim, beginning_again) {
    vdi_error err;
    for (size_t i = 0; i < VDI__COUNT(kinds); i++) {
        vdi_param_desc list[4];
        vdi_params *p = make_params_of(list, VDI_F64, 5);
        vdi_optim *o;
        double first[80];
        CHECK_OK(vdi_optim_create(&kinds[i], p, NULL, &o, &err), err);
        CHECK(p->total <= 80);
        for (int round = 0; round < 2; round++) {
            vdi_rng rng = vdi_rng_make(5, 0);
            CHECK_OK(vdi_params_init(p, list, &rng, &err), err);
            vdi_optim_reset(o);
            CHECK(vdi_optim_steps(o) == 0);
            for (int n = 0; n < 5; n++) {
                set_grads(p, 70 + (unsigned long long)n);
                CHECK_OK(vdi_optim_step(o, &err), err);
            }
            if (round == 0) memcpy(first, p->values, (size_t)p->total * sizeof *first);
        }
        CHECK(memcmp(first, p->values, (size_t)p->total * sizeof *first) == 0, "optimiser %zu", i);
        list[0].init = (vdi_init)99;
        CHECK_FAILS(vdi_params_init(p, list, NULL, &err), VDI_ERR_ARGUMENT);
        list[0].init = VDI_INIT_NORMAL;
        CHECK_FAILS(vdi_params_init(p, list, NULL, &err), VDI_ERR_ARGUMENT);
        CHECK(memcmp(first, p->values, (size_t)p->total * sizeof *first) == 0,
              "a refused list changes nothing");
        vdi_optim_destroy(o);
        vdi_params_destroy(p);
    }
}

TEST(optim, memory) {
    vdi_error err;
    test_allocator counter;
    vdi_param_desc list[2];
    list[0] = vdi_param_2d("a", VDI_INIT_ORTHOGONAL, 0, 3, 4);
    list[1] = vdi_param_1d("b", VDI_INIT_ZEROS, 0, 4);
    for (long k = 1; k < 20; k++) {
        vdi_params *p = NULL, *q = NULL;
        vdi_optim *o = NULL;
        vdi_rng rng = vdi_rng_make(1, 0);
        memset(&counter, 0, sizeof counter);
        counter.fail_at = k;
        vdi_allocator a = test_allocator_of(&counter);
        vdi_status status = vdi_params_create(list, 2, VDI_F32, &a, &rng, &p, &err);
        if (status >= 0) status = vdi_params_share(p, &a, &q, &err);
        if (status >= 0) status = vdi_optim_create(NULL, p, &a, &o, &err);
        CHECK(status == (counter.requests >= k ? VDI_ERR_MEMORY : VDI_OK), "request %ld: %s", k,
              vdi_status_name(status));
        vdi_optim_destroy(o);
        vdi_params_destroy(q);
        vdi_params_destroy(p);
        CHECK(counter.live == 0, "request %ld: %ld blocks are out", k, counter.live);
    }
}

enum { FADING = 21 };
/* One step of a rule that forgets fast. */
static void fading_step(vdi_optim_kind kind, vdi_dtype dtype, void *w, const void *g, void *m,
                        void *v) {
    if (kind == VDI_OPTIM_ADAM)
        vdi_adam_kernel(dtype, FADING, w, g, m, v, 0.01, 0.9, 0.95, 1e-30, 0, 1);
    else if (kind == VDI_OPTIM_RMSPROP)
        vdi_rmsprop_kernel(dtype, FADING, w, g, v, m, 0.01, 0.95, 1e-30, 0.9, 0, 1);
    else
        vdi_sgd_kernel(dtype, FADING, w, g, m, 0.01, 0.9, 0, 1);
}

/* Numbers below the smallest normal one. */
static int denormals(vdi_dtype dtype, const double *x) {
    const double least = dtype == VDI_F32 ? (double)FLT_MIN : DBL_MIN;
    int count = 0;
    for (int64_t i = 0; i < FADING; i++) {
        const double size = fabs(vdi_dtype_load(dtype, x, i));
        count += size > 0 && size < least;
    }
    return count;
}

/* Where a gradient has become zero, what is left of it ends at zero, not among the denormals, and
   the parameter rests; a square is kept while a mean has to be divided by its root. */
TEST(optim, fading) {
    static const vdi_optim_kind kind[] = {VDI_OPTIM_ADAM, VDI_OPTIM_RMSPROP, VDI_OPTIM_SGD};
    for (int c = 0; c < 3 * 2; c++) {
        FOR_EACH_PATH(simd) {
            const vdi_dtype dtype = c % 2 ? VDI_F64 : VDI_F32;
            double w[FADING], g[FADING], m[FADING] = {0}, v[FADING] = {0};
            const char *path = vdi_simd_name((vdi_simd)simd);
            vdi_fill(dtype, FADING, 1, w);
            vdi_fill(dtype, FADING, dtype == VDI_F32 ? 3e-20 : 3e-160, g);
            for (int i = 0; i < 5; i++)
                fading_step(kind[c / 2], dtype, w, g, m, v);
            vdi_fill(dtype, FADING, 0, g);
            for (int i = 0; i < 20000; i++) {
                fading_step(kind[c / 2], dtype, w, g, m, v);
                if (i % 100) continue;
                CHECK(denormals(dtype, m) == 0, "%d %s, step %d: a mean", c, path, i);
                CHECK(i < 4000 || denormals(dtype, v) == 0, "%d %s, step %d: a square", c, path, i);
            }
            for (int64_t i = 0; i < FADING; i++) {
                CHECK(fabs(vdi_dtype_load(dtype, w, i) - 1) < 2, "%d %s: far", c, path);
                CHECK(vdi_dtype_load(dtype, m, i) == 0 && vdi_dtype_load(dtype, v, i) == 0,
                      "%d %s: not forgotten", c, path);
            }
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
}

/* Exclusive or, from every kind of optimiser. */
TEST(optim, learning) {
    vdi_error err;
    for (int kind = VDI_OPTIM_ADAM; kind <= VDI_OPTIM_SGD; kind++) {
        float x[8] = {0, 0, 0, 1, 1, 0, 1, 1}, y[4] = {0, 1, 1, 0}, worst = 0;
        vdi_mlp_desc net;
        vdi_param_desc list[4];
        vdi_rng rng = vdi_rng_make(2, 0);
        vdi_params *p;
        vdi_optim *o;
        vdi_tape *t;
        vdi_optim_desc d = vdi_optim_desc_defaults();
        memset(&net, 0, sizeof net);
        net.layers = 2;
        net.sizes[0] = 2;
        net.sizes[1] = 8;
        net.sizes[2] = 1;
        net.act = VDI_ACT_TANH;
        d.kind = (vdi_optim_kind)kind;
        d.rate = kind == VDI_OPTIM_SGD ? 0.2 : 0.02;
        d.momentum = kind == VDI_OPTIM_SGD ? 0.9 : 0;
        CHECK_OK(
            vdi_params_create(list, vdi_mlp_declare(&net, list, 4), VDI_F32, NULL, &rng, &p, &err),
            err);
        CHECK_OK(vdi_optim_create(&d, p, NULL, &o, &err), err);
        CHECK_OK(vdi_tape_create(NULL, &t, &err), err);
        for (int step = 0; step < 600; step++) {
            vdi_tape_reset(t);
            vdi_params_zero_grad(p);
            vdi_var out = vdi_mlp_apply(t, &net, p->item,
                                        vdi_tape_constant(t, vdi_tensor_2d(x, VDI_F32, 4, 2)));
            vdi_var lp = vdi_var_bernoulli_log_prob(
                t, vdi_tape_constant(t, vdi_tensor_2d(y, VDI_F32, 4, 1)), out);
            CHECK_OK(vdi_tape_backward(t, vdi_var_neg(t, vdi_var_sum(t, lp))), err);
            CHECK_OK(vdi_optim_step(o, &err), err);
            worst = 0;
            for (int i = 0; i < 4; i++)
                worst = fmaxf(worst, -((const float *)vdi_tape_value(t, lp).data)[i]);
        }
        CHECK(worst < 0.1f, "optimiser %d: %g nats on the worst of the four", kind, (double)worst);
        vdi_tape_destroy(t);
        vdi_optim_destroy(o);
        vdi_params_destroy(p);
    }
}
