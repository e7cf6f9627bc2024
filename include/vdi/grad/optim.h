/* grad/optim.h - optimisers and schedules over a set of parameters
 *
 * Do this:
 *     vdi_optim_desc desc = vdi_optim_desc_defaults();                Adam, 1e-3
 *     desc.rate = 3e-4;
 *     desc.clip_norm = 10;
 *     vdi_optim *o;
 *     if (vdi_optim_create(&desc, params, NULL, &o, &err) < 0) puts(err.message);
 *     ... gradients ...
 *     if (vdi_optim_step(o, &err) < 0) puts(err.message);             refused: nothing has changed
 *     vdi_params_zero_grad(params);
 *     vdi_optim_destroy(o);
 *
 * A step is a transaction: if the gradient, the parameters or the result are not finite, it returns
 * VDI_ERR_NUMERIC and changes neither the parameters nor the optimiser's state. vdi_optim_state
 * lists the moments and the step count by name; restored with the parameters, a run continues with
 * the same bits.
 */
#ifndef VDI_GRAD_OPTIM_H
#define VDI_GRAD_OPTIM_H
#include "../core/field.h"
#include "params.h"

/** The rule of an optimiser. */
typedef enum vdi_optim_kind {
    VDI_OPTIM_ADAM = 0, /**< Kingma and Ba 2015; weight_decay is added to the gradient (in place) */
    VDI_OPTIM_ADAMW,    /**< decoupled weight decay, Loshchilov and Hutter 2019 */
    VDI_OPTIM_RMSPROP,  /**< Tieleman and Hinton 2012 */
    VDI_OPTIM_SGD       /**< with momentum */
} vdi_optim_kind;

/** How a learning rate changes. */
typedef enum vdi_schedule_kind {
    VDI_SCHEDULE_CONSTANT = 0, /**< 1 */
    VDI_SCHEDULE_COSINE,       /**< from 1 to `last` over `steps` (warm-up not counted), then
                                    `last` */
    VDI_SCHEDULE_EXPONENTIAL,  /**< factor^(step / every), smooth */
    VDI_SCHEDULE_STEP,         /**< factor^floor(step / every) */
    VDI_SCHEDULE_LINEAR        /**< straight from 1 to `last` over `steps`, then `last` */
} vdi_schedule_kind;

/** The learning rate over time, as a factor. All zero is constant; defaults and ranges stand in
 * vdi_schedule_fields. */
typedef struct vdi_schedule {
    vdi_schedule_kind kind; /**< the rule after the warm-up */
    int64_t warmup;         /**< steps of a linear rise from 0; the other rule starts after them */
    int64_t steps;          /**< length of COSINE and LINEAR */
    int64_t every;          /**< steps from fall to fall of EXPONENTIAL and STEP */
    double factor;          /**< ... and how far they fall */
    double last;            /**< the last factor of COSINE and LINEAR */
} vdi_schedule;
/** Its table: defaults, ranges, help. */
VDI_API const vdi_fields *vdi_schedule_fields(void);
/** The factor at step 0, 1, ... */
VDI_API double vdi_schedule_factor(const vdi_schedule *s, int64_t step);

/** Zero is the default of each field; defaults and ranges stand in vdi_optim_desc_fields. */
typedef struct vdi_optim_desc {
    vdi_optim_kind kind;   /**< the rule */
    double rate;           /**< learning rate */
    double beta1, beta2;   /**< Adam's memory of the gradient and of its square */
    double rho;            /**< RMSprop's memory of the square */
    double momentum;       /**< of RMSprop and SGD */
    double eps;            /**< keeps the division by a root finite */
    double weight_decay;   /**< share of a parameter that a step of rate 1 takes away */
    double clip_norm;      /**< gradients longer than this are scaled down to it; 0: never */
    vdi_schedule schedule; /**< of the learning rate */
} vdi_optim_desc;
/** Its table, but for the schedule. */
VDI_API const vdi_fields *vdi_optim_desc_fields(void);
/** The filled description. */
VDI_API vdi_optim_desc vdi_optim_desc_defaults(void);
/** VDI_OK, or which field is out of range. */
VDI_API vdi_status vdi_optim_desc_check(const vdi_optim_desc *desc, vdi_error *err);

/** An optimiser: an opaque object made by vdi_optim_create. */
typedef struct vdi_optim vdi_optim;
/** An optimiser of `params`, which have to outlive it. `desc` NULL is all defaults. */
VDI_API VDI_NODISCARD vdi_status vdi_optim_create(const vdi_optim_desc *desc, vdi_params *params,
                                                  const vdi_allocator *a, vdi_optim **out,
                                                  vdi_error *err);
/** Give everything back. NULL is ignored. */
VDI_API void vdi_optim_destroy(vdi_optim *o);
/** One step along the gradients that stand in the parameters. VDI_ERR_NUMERIC if it is refused. */
VDI_API VDI_NODISCARD vdi_status vdi_optim_step(vdi_optim *o, vdi_error *err);
/** Steps made so far. */
VDI_API int64_t vdi_optim_steps(const vdi_optim *o);
/** The learning rate of the next step, schedule included. */
VDI_API double vdi_optim_rate(const vdi_optim *o);
/** Another base rate from here on. */
VDI_API void vdi_optim_set_rate(vdi_optim *o, double rate);
/** The norm of the gradient at the last step that was made or refused, before clipping. */
VDI_API double vdi_optim_grad_norm(const vdi_optim *o);
/** Forget the memory and the step count. */
VDI_API void vdi_optim_reset(vdi_optim *o);
/** The memory by name ("m.layer.weight", "v.layer.weight", and "step", int64 (1)), live: write it,
 * or let a loader fill it. */
VDI_API const vdi_state *vdi_optim_state(vdi_optim *o);

#endif /* VDI_GRAD_OPTIM_H */

#if defined(VDI__BODIES) && defined(VDI_GRAD_IMPLEMENTATION) && !defined(VDI_GRAD_OPTIM_C)
#define VDI_GRAD_OPTIM_C

/* ======== schedules =========================================================================== */

/* The factor `k` steps after the warm-up; u: how far along `steps`, 0 to 1. */
typedef double vdi__schedule_fn(const vdi_schedule *s, double k, double u);

VDI__FN double vdi__schedule_constant(const vdi_schedule *s, double k, double u) {
    (void)s;
    (void)k;
    (void)u;
    return 1;
}
VDI__FN double vdi__schedule_cosine(const vdi_schedule *s, double k, double u) {
    (void)k;
    return s->last + (1 - s->last) * 0.5 * (1 + cos(VDI_PI * u));
}
VDI__FN double vdi__schedule_exponential(const vdi_schedule *s, double k, double u) {
    (void)u;
    return pow(s->factor, k / (double)s->every);
}
VDI__FN double vdi__schedule_step(const vdi_schedule *s, double k, double u) {
    (void)u;
    return pow(s->factor, floor(k / (double)s->every));
}
VDI__FN double vdi__schedule_linear(const vdi_schedule *s, double k, double u) {
    (void)k;
    return 1 + (s->last - 1) * u;
}

/* One row per kind, in the order of vdi_schedule_kind. */
static vdi__schedule_fn *const vdi__schedules[] = {
    vdi__schedule_constant, vdi__schedule_cosine, vdi__schedule_exponential,
    vdi__schedule_step,     vdi__schedule_linear,
};
static const char *const vdi__schedule_words[] = {"constant", "cosine", "exponential",
                                                  "step",     "linear", NULL};

static const vdi_field vdi__schedule_rows[] = {
    VDI_FIELD_ENUM(vdi_schedule, kind, vdi__schedule_words, "how the learning rate changes"),
    VDI_FIELD_INT(vdi_schedule, warmup, 0, 0, 1e15, "steps of a linear rise from 0"),
    VDI_FIELD_INT(vdi_schedule, steps, 0, 0, 1e15, "steps of cosine and linear"),
    VDI_FIELD_INT(vdi_schedule, every, 1, 1, 1e15, "steps from fall to fall"),
    VDI_FIELD_REAL(vdi_schedule, factor, 1, 0, 1, "how far each fall goes"),
    VDI_FIELD_REAL(vdi_schedule, last, 0, 0, 1, "the last factor of cosine and linear"),
};
static const vdi_fields vdi__schedule_table = {"vdi_schedule", vdi__schedule_rows,
                                               (int)VDI__COUNT(vdi__schedule_rows)};

VDI__DEF const vdi_fields *vdi_schedule_fields(void) { return &vdi__schedule_table; }

VDI__DEF double vdi_schedule_factor(const vdi_schedule *schedule, int64_t step) {
    vdi_schedule s = *schedule;
    vdi_fields_fill(&vdi__schedule_table, &s);
    if (step < s.warmup) return (double)(step + 1) / (double)s.warmup;
    const double k = (double)(step - s.warmup), steps = (double)s.steps;
    const double u = s.steps > 0 && k < steps ? k / steps : 1;
    return (unsigned)s.kind < VDI__COUNT(vdi__schedules) ? vdi__schedules[s.kind](&s, k, u) : 1;
}

/* ======== rules =============================================================================== */

/* One step of a stretch of parameters that lie behind each other. */
typedef struct vdi__optim_move {
    vdi_dtype dtype;
    size_t n;
    void *w, *g, *m, *v; /* values, gradients, and what the rule remembers (or NULL) */
    int64_t number;      /* of the step, from 1 */
    double rate;         /* schedule included */
    double decay;        /* rate times weight_decay */
    double scale;        /* of the gradient, to clip it */
} vdi__optim_move;

typedef struct vdi__optim_rule {
    bool squares;  /* it remembers v */
    bool gradient; /* it remembers m, whatever the momentum */
    /* how far a step of rate 1 can carry a parameter */
    double (*reach)(const vdi_optim_desc *d, double norm);
    void (*step)(const vdi_optim_desc *d, const vdi__optim_move *move);
} vdi__optim_rule;

/* |m| / sqrt(v) <= (1 - b1) / sqrt((1 - b2) (1 - b1^2 / b2)), without a bound if b1^2 >= b2 */
VDI__FN double vdi__adam_reach(const vdi_optim_desc *d, double norm) {
    const double share = d->beta1 * d->beta1 / d->beta2;
    (void)norm;
    if (d->beta1 * d->beta1 >= d->beta2) return 1e9;
    return 1 / sqrt((1 - d->beta2) * (1 - share));
}

/* The bias corrections are folded into step and eps. */
VDI__FN void vdi__adam_move(const vdi_optim_desc *d, const vdi__optim_move *a, double decay,
                            double scale) {
    const double root = sqrt(1 - pow(d->beta2, (double)a->number));
    const double step = a->rate * root / (1 - pow(d->beta1, (double)a->number));
    vdi_adam_kernel(a->dtype, a->n, a->w, a->g, a->m, a->v, step, d->beta1, d->beta2, d->eps * root,
                    decay, scale);
}
VDI__FN void vdi__adamw_step(const vdi_optim_desc *d, const vdi__optim_move *a) {
    vdi__adam_move(d, a, a->decay, a->scale);
}
VDI__FN void vdi__adam_step(const vdi_optim_desc *d, const vdi__optim_move *a) {
    if (d->weight_decay > 0) { /* decay enters the gradient, after clipping */
        vdi_axpby(a->dtype, a->n, d->weight_decay, a->w, a->scale, a->g);
        vdi__adam_move(d, a, 0, 1);
    } else {
        vdi__adam_move(d, a, a->decay, a->scale);
    }
}

VDI__FN double vdi__rmsprop_reach(const vdi_optim_desc *d, double norm) {
    (void)norm;
    return 1 / sqrt(1 - d->rho) / (1 - d->momentum);
}
VDI__FN void vdi__rmsprop_step(const vdi_optim_desc *d, const vdi__optim_move *a) {
    vdi_rmsprop_kernel(a->dtype, a->n, a->w, a->g, a->v, a->m, a->rate, d->rho, d->eps, d->momentum,
                       a->decay, a->scale);
}

VDI__FN double vdi__sgd_reach(const vdi_optim_desc *d, double norm) {
    return 1e18 < norm ? (double)INFINITY : norm / (1 - d->momentum);
}
VDI__FN void vdi__sgd_step(const vdi_optim_desc *d, const vdi__optim_move *a) {
    vdi_sgd_kernel(a->dtype, a->n, a->w, a->g, a->m, a->rate, d->momentum, a->decay, a->scale);
}

/* One row per kind, in the order of vdi_optim_kind. */
static const vdi__optim_rule vdi__optim_rules[] = {
    {true, true, vdi__adam_reach, vdi__adam_step},
    {true, true, vdi__adam_reach, vdi__adamw_step},
    {true, false, vdi__rmsprop_reach, vdi__rmsprop_step},
    {false, false, vdi__sgd_reach, vdi__sgd_step},
};
static const char *const vdi__optim_words[] = {"adam", "adamw", "rmsprop", "sgd", NULL};

/* ======== the description ===================================================================== */

enum { VDI__OPTIM_OPEN = VDI_FIELD_ABOVE | VDI_FIELD_BELOW };
static const vdi_field vdi__optim_rows[] = {
    VDI_FIELD_ENUM(vdi_optim_desc, kind, vdi__optim_words, "rule of the optimiser"),
    VDI_FIELD_REAL_FLAGS(vdi_optim_desc, rate, 1e-3, 0, 1e18, VDI__OPTIM_OPEN, "learning rate"),
    VDI_FIELD_REAL_FLAGS(vdi_optim_desc, beta1, 0.9, 0, 1, VDI__OPTIM_OPEN,
                         "Adam's memory of the gradient"),
    VDI_FIELD_REAL_FLAGS(vdi_optim_desc, beta2, 0.999, 0, 1, VDI__OPTIM_OPEN,
                         "Adam's memory of its square"),
    VDI_FIELD_REAL_FLAGS(vdi_optim_desc, rho, 0.99, 0, 1, VDI__OPTIM_OPEN,
                         "RMSprop's memory of the square"),
    VDI_FIELD_REAL_FLAGS(vdi_optim_desc, momentum, 0, 0, 1, VDI_FIELD_BELOW,
                         "momentum of RMSprop and SGD"),
    VDI_FIELD_REAL_FLAGS(vdi_optim_desc, eps, 1e-8, 1e-30, 1e18, VDI__OPTIM_OPEN,
                         "keeps a division finite"),
    VDI_FIELD_REAL_FLAGS(vdi_optim_desc, weight_decay, 0, 0, 1e6, VDI_FIELD_BELOW,
                         "share of a parameter that a step of rate 1 takes away"),
    VDI_FIELD_REAL(vdi_optim_desc, clip_norm, 0, 0, HUGE_VAL,
                   "longest gradient, longer ones are scaled down; 0: no limit"),
};
static const vdi_fields vdi__optim_table = {"vdi_optim_desc", vdi__optim_rows,
                                            (int)VDI__COUNT(vdi__optim_rows)};

VDI__DEF const vdi_fields *vdi_optim_desc_fields(void) { return &vdi__optim_table; }

VDI__FN vdi_optim_desc vdi__optim_filled(const vdi_optim_desc *desc) {
    vdi_optim_desc d = VDI__ZERO;
    if (desc) d = *desc;
    vdi_fields_fill(&vdi__optim_table, &d);
    vdi_fields_fill(&vdi__schedule_table, &d.schedule);
    return d;
}

VDI__DEF vdi_optim_desc vdi_optim_desc_defaults(void) { return vdi__optim_filled(NULL); }

VDI__DEF vdi_status vdi_optim_desc_check(const vdi_optim_desc *desc, vdi_error *err) {
    const vdi_optim_desc d = vdi__optim_filled(desc);
    const vdi_status status = vdi_fields_check(&vdi__optim_table, &d, err);
    return status < 0 ? status : vdi_fields_check(&vdi__schedule_table, &d.schedule, err);
}

/* ======== the optimiser ======================================================================= */

struct vdi_optim {
    vdi_optim_desc desc;
    const vdi__optim_rule *rule;
    vdi_params *params;
    vdi_allocator allocator;
    void *m, *v;
    int64_t step;
    double norm;
    bool suspect; /* somebody may have written to m, v and step */
    vdi_state state;
    char (*name)[VDI_PARAM_NAME + 8];
};

VDI__DEF vdi_status vdi_optim_create(const vdi_optim_desc *desc, vdi_params *params,
                                     const vdi_allocator *a, vdi_optim **out, vdi_error *err) {
    vdi_optim_desc d = vdi__optim_filled(desc);
    *out = NULL;
    vdi_status status = vdi_optim_desc_check(&d, err);
    if (status < 0) return status;
    vdi_optim *o = (vdi_optim *)vdi_alloc(a, sizeof *o);
    size_t bytes = (size_t)params->total * vdi_dtype_size(params->dtype);
    size_t names = (size_t)params->count * 2;
    const vdi__optim_rule *rule = &vdi__optim_rules[d.kind];
    const bool um = rule->gradient || d.momentum > 0, uv = rule->squares;
    if (o) {
        memset(o, 0, sizeof *o);
        o->desc = d;
        o->rule = rule;
        o->params = params;
        o->allocator = vdi_allocator_defaults(a);
        o->m = um ? vdi_alloc(a, bytes) : NULL;
        o->v = uv ? vdi_alloc(a, bytes) : NULL;
        o->name = (char(*)[VDI_PARAM_NAME + 8]) vdi_alloc(a, names * sizeof *o->name);
        o->state.tensors = (vdi_named_tensor *)vdi_alloc(a, (names + 1) * sizeof *o->state.tensors);
    }
    if (!o || (um && !o->m) || (uv && !o->v) || !o->name || !o->state.tensors) {
        vdi_optim_destroy(o);
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_optim_create",
                             "no memory for the state of %lld parameters",
                             (long long)params->total);
    }
    for (int which = 0; which < 2; which++) {
        char *block = (char *)(which ? o->v : o->m);
        for (int64_t i = 0; block && i < params->count; i++) {
            vdi_named_tensor *s = &o->state.tensors[o->state.tensor_count];
            char *name = o->name[o->state.tensor_count++];
            (void)vdi_text_format(name, sizeof o->name[0], "%c.%s", which ? 'v' : 'm',
                                  params->item[i].name);
            s->name = name;
            s->tensor = params->item[i].value;
            s->tensor.data = block + ((char *)s->tensor.data - (char *)params->values);
        }
    }
    o->state.tensors[o->state.tensor_count].name = "step";
    o->state.tensors[o->state.tensor_count++].tensor = vdi_tensor_1d(&o->step, VDI_I64, 1);
    vdi_optim_reset(o);
    *out = o;
    return VDI_OK;
}

VDI__DEF void vdi_optim_destroy(vdi_optim *o) {
    if (!o) return;
    vdi_allocator a = o->allocator;
    size_t bytes = (size_t)o->params->total * vdi_dtype_size(o->params->dtype);
    size_t names = (size_t)o->params->count * 2;
    vdi_free(&a, o->m, bytes);
    vdi_free(&a, o->v, bytes);
    vdi_free(&a, o->name, names * sizeof *o->name);
    vdi_free(&a, o->state.tensors, (names + 1) * sizeof *o->state.tensors);
    vdi_free(&a, o, sizeof *o);
}

VDI__DEF void vdi_optim_reset(vdi_optim *o) {
    size_t bytes = (size_t)o->params->total * vdi_dtype_size(o->params->dtype);
    if (o->m) memset(o->m, 0, bytes);
    if (o->v) memset(o->v, 0, bytes);
    o->step = 0;
    o->norm = 0;
}

VDI__DEF int64_t vdi_optim_steps(const vdi_optim *o) { return o->step; }
VDI__DEF double vdi_optim_rate(const vdi_optim *o) {
    return o->desc.rate * vdi_schedule_factor(&o->desc.schedule, o->step);
}
VDI__DEF void vdi_optim_set_rate(vdi_optim *o, double rate) { o->desc.rate = rate; }
VDI__DEF double vdi_optim_grad_norm(const vdi_optim *o) { return o->norm; }
VDI__DEF const vdi_state *vdi_optim_state(vdi_optim *o) {
    o->suspect = true;
    return &o->state;
}

/* Why the gradient has no finite norm. */
VDI__FN vdi_status vdi__optim_bad_gradient(const vdi_optim *o, vdi_error *err) {
    static const char where[] = "vdi_optim_step";
    const vdi_params *p = o->params;
    for (int64_t i = 0; i < p->count; i++) {
        const vdi_tensor g = p->item[i].grad;
        const size_t bad = vdi_count_nonfinite(p->dtype, (size_t)vdi_tensor_count(g), g.data);
        if (bad == 0 || p->item[i].frozen) continue;
        return vdi_error_set(
            err, VDI_ERR_NUMERIC, where,
            "step %lld: the gradient of \"%s\" holds %zu numbers that are not finite",
            (long long)o->step, p->item[i].name, bad);
    }
    return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                         "step %lld: the norm of the gradient overflows", (long long)o->step);
}

/* The sum of squares of the parameters; NaN where they, or what the optimiser remembers, cannot be
 * right. */
VDI__FN double vdi__optim_squares(const vdi_optim *o) {
    const vdi_params *p = o->params;
    double sum = 0;
    if (o->suspect && (o->step < 0 || o->step == INT64_MAX)) return (double)NAN;
    for (int64_t item = 0, at, count; vdi__params_run(p, &item, &at, &count);) {
        const size_t n = (size_t)count;
        const void *w = vdi__element(p->dtype, p->values, (size_t)at);
        sum += vdi_dot(p->dtype, n, w, w);
        if (o->suspect && o->m) {
            const void *m = vdi__element(p->dtype, o->m, (size_t)at);
            sum += 0 * vdi_dot(p->dtype, n, m, m);
        }
        if (o->suspect && o->v) {
            const void *v = vdi__element(p->dtype, o->v, (size_t)at);
            if (vdi_count_nonfinite(p->dtype, n, v) || vdi_min(p->dtype, n, v) < 0)
                return (double)NAN;
        }
    }
    return sum;
}

/* A step is refused beforehand, so that nothing has to be undone. If the squares of gradient and
   parameters sum to a finite number, no entry exceeds 1.9e19 and no square of a gradient overflows;
   the memory is finite by induction (it is looked at again after somebody could have written to
   it). What is left is how far a step can carry: it has to stay under 1e18, then the sum is finite
   too. */
VDI__FN vdi_status vdi__optim_refuse(vdi_optim *o, double rate, vdi_error *err) {
    static const char where[] = "vdi_optim_step";
    const double decay = rate * o->desc.weight_decay;
    o->norm = vdi_params_grad_norm(o->params);
    if (!(o->norm - o->norm == 0)) return vdi__optim_bad_gradient(o, err);
    const double squares = vdi__optim_squares(o);
    if (!(squares - squares == 0)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "step %lld: the parameters, or the optimiser's memory, are not finite",
                             (long long)o->step);
    }
    const double reach = rate * o->rule->reach(&o->desc, o->norm) + decay * sqrt(squares);
    if (!(reach < 1e18) || !(decay <= 1)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "step %lld: a step of rate %g would leave the finite numbers",
                             (long long)o->step, rate);
    }
    o->suspect = false;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_optim_step(vdi_optim *o, vdi_error *err) {
    const vdi_optim_desc *d = &o->desc;
    vdi_params *p = o->params;
    vdi__optim_move move = VDI__ZERO;
    move.rate = vdi_optim_rate(o);
    vdi_status status = vdi__optim_refuse(o, move.rate, err);
    if (status < 0) return status;
    move.dtype = p->dtype;
    move.number = ++o->step;
    move.decay = move.rate * d->weight_decay;
    move.scale = d->clip_norm > 0 && o->norm > d->clip_norm ? d->clip_norm / o->norm : 1;
    for (int64_t item = 0, at, n; vdi__params_run(p, &item, &at, &n);) {
        move.n = (size_t)n;
        move.w = vdi__element(p->dtype, p->values, (size_t)at);
        move.g = vdi__element(p->dtype, p->grads, (size_t)at);
        move.m = o->m ? vdi__element(p->dtype, o->m, (size_t)at) : NULL;
        move.v = o->v ? vdi__element(p->dtype, o->v, (size_t)at) : NULL;
        o->rule->step(d, &move);
    }
    return VDI_OK;
}
#endif
