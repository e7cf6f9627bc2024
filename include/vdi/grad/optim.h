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
 * A step is a transaction: where the gradient, the parameters or the result would leave the finite
 * numbers, it gives VDI_ERR_NUMERIC and neither parameters nor the optimiser's memory change.
 * vdi_optim_state hands out the memory and the step count by name; with them and the parameters a
 * run goes on to the bit.
 */
#ifndef VDI_GRAD_OPTIM_H
#define VDI_GRAD_OPTIM_H
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

/** The learning rate over time, as a factor. All zero is constant. */
typedef struct vdi_schedule {
    vdi_schedule_kind kind; /**< the rule after the warm-up */
    int64_t warmup;         /**< steps of a linear rise from 0; the other rule starts after them */
    int64_t steps;          /**< length of COSINE and LINEAR */
    int64_t every;          /**< default 1 */
    double factor;          /**< default 1 */
    double last;            /**< the last factor of COSINE and LINEAR */
} vdi_schedule;
/** The factor at step 0, 1, ... */
VDI_API double vdi_schedule_factor(const vdi_schedule *s, int64_t step);

/** Zero is the default of each field. */
typedef struct vdi_optim_desc {
    vdi_optim_kind kind;   /**< the rule */
    double rate;           /**< learning rate; default 1e-3 */
    double beta1, beta2;   /**< Adam's memory; default 0.9, 0.999 */
    double rho;            /**< RMSprop's memory; default 0.99 */
    double momentum;       /**< RMSprop and SGD; default 0 */
    double eps;            /**< default 1e-8 */
    double weight_decay;   /**< default 0 */
    double clip_norm;      /**< gradients longer than this are scaled down to it; 0: never */
    vdi_schedule schedule; /**< default constant */
} vdi_optim_desc;
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

VDI__DEF double vdi_schedule_factor(const vdi_schedule *s, int64_t step) {
    if (step < s->warmup) return (double)(step + 1) / (double)s->warmup;
    double k = (double)(step - s->warmup);
    double every = s->every ? (double)s->every : 1;
    double factor = s->factor != 0 ? s->factor : 1;
    double u = s->steps > 0 && k < (double)s->steps ? k / (double)s->steps : 1; /* how far along */
    switch (s->kind) {
    case VDI_SCHEDULE_COSINE: return s->last + (1 - s->last) * 0.5 * (1 + cos(VDI_PI * u));
    case VDI_SCHEDULE_LINEAR: return 1 + (s->last - 1) * u;
    case VDI_SCHEDULE_EXPONENTIAL: return pow(factor, k / every);
    case VDI_SCHEDULE_STEP: return pow(factor, floor(k / every));
    case VDI_SCHEDULE_CONSTANT: break;
    }
    return 1;
}

struct vdi_optim {
    vdi_optim_desc desc;
    vdi_params *params;
    vdi_allocator allocator;
    void *m, *v;
    int64_t step;
    double norm;
    bool suspect; /* somebody may have written to m and v */
    vdi_state state;
    char (*name)[VDI_PARAM_NAME + 8];
};

VDI__DEF vdi_optim_desc vdi_optim_desc_defaults(void) {
    vdi_optim_desc d = VDI__ZERO;
    d.rate = 1e-3;
    d.beta1 = 0.9;
    d.beta2 = 0.999;
    d.rho = 0.99;
    d.eps = 1e-8;
    d.schedule.every = 1;
    d.schedule.factor = 1;
    return d;
}

VDI__FN vdi_optim_desc vdi__optim_filled(const vdi_optim_desc *desc) {
    vdi_optim_desc d = vdi_optim_desc_defaults(), r = desc ? *desc : d;
    if (r.rate == 0) r.rate = d.rate;
    if (r.beta1 == 0) r.beta1 = d.beta1;
    if (r.beta2 == 0) r.beta2 = d.beta2;
    if (r.rho == 0) r.rho = d.rho;
    if (r.eps == 0) r.eps = d.eps;
    return r;
}

VDI__DEF vdi_status vdi_optim_desc_check(const vdi_optim_desc *desc, vdi_error *err) {
    vdi_optim_desc d = vdi__optim_filled(desc);
    const char *field = NULL;
    double value = 0;
    if ((unsigned)d.kind > VDI_OPTIM_SGD) {
        field = "kind";
        value = d.kind;
    } else if (!(d.rate > 0 && d.rate < 1e18)) {
        field = "rate";
        value = d.rate;
    } else if (!(d.beta1 > 0 && d.beta1 < 1)) {
        field = "beta1";
        value = d.beta1;
    } else if (!(d.beta2 > 0 && d.beta2 < 1)) {
        field = "beta2";
        value = d.beta2;
    } else if (!(d.rho > 0 && d.rho < 1)) {
        field = "rho";
        value = d.rho;
    } else if (!(d.momentum >= 0 && d.momentum < 1)) {
        field = "momentum";
        value = d.momentum;
    } else if (!(d.eps > 1e-30 && d.eps < 1e18)) {
        field = "eps";
        value = d.eps;
    } else if (!(d.weight_decay >= 0 && d.weight_decay < 1e6)) {
        field = "weight_decay";
        value = d.weight_decay;
    } else if (!(d.clip_norm >= 0)) {
        field = "clip_norm";
        value = d.clip_norm;
    } else if ((unsigned)d.schedule.kind > VDI_SCHEDULE_LINEAR) {
        field = "schedule.kind";
        value = d.schedule.kind;
    } else if (d.schedule.warmup < 0 || d.schedule.steps < 0 || d.schedule.every < 0) {
        field = "schedule";
        value = -1;
    } else if (!(d.schedule.factor >= 0 && d.schedule.factor <= 1)) {
        field = "schedule.factor";
        value = d.schedule.factor;
    } else if (!(d.schedule.last >= 0 && d.schedule.last <= 1)) {
        field = "schedule.last";
        value = d.schedule.last;
    }
    return field ? vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_optim_desc", "%s is %g: out of range",
                                 field, value)
                 : VDI_OK;
}

VDI__FN bool vdi__optim_uses_m(const vdi_optim_desc *d) {
    return d->kind <= VDI_OPTIM_ADAMW || d->momentum > 0;
}
VDI__FN bool vdi__optim_uses_v(const vdi_optim_desc *d) { return d->kind != VDI_OPTIM_SGD; }

VDI__DEF vdi_status vdi_optim_create(const vdi_optim_desc *desc, vdi_params *params,
                                     const vdi_allocator *a, vdi_optim **out, vdi_error *err) {
    vdi_optim_desc d = vdi__optim_filled(desc);
    *out = NULL;
    vdi_status status = vdi_optim_desc_check(&d, err);
    if (status < 0) return status;
    vdi_optim *o = (vdi_optim *)vdi_alloc(a, sizeof *o);
    size_t bytes = (size_t)params->total * vdi_dtype_size(params->dtype);
    size_t names = (size_t)params->count * 2;
    bool um = vdi__optim_uses_m(&d), uv = vdi__optim_uses_v(&d);
    if (o) {
        memset(o, 0, sizeof *o);
        o->desc = d;
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

/* A step is refused beforehand, so that nothing has to be undone. If the squares of gradient and
   parameters sum to a finite number, no entry exceeds 1.9e19 and no square of a gradient overflows;
   the memory is finite by induction (it is looked at again after somebody could have written to
   it). What is left is how far a step can carry: it has to stay under 1e18, then the sum is finite
   too. */
VDI__FN vdi_status vdi__optim_refuse(vdi_optim *o, double rate, vdi_error *err) {
    static const char where[] = "vdi_optim_step";
    const vdi_params *p = o->params;
    double squares = 0, reach;
    o->norm = vdi_params_grad_norm(p);
    if (!(o->norm - o->norm == 0)) {
        for (int64_t i = 0; i < p->count; i++) {
            double bad = (double)vdi_count_nonfinite(
                p->dtype, (size_t)vdi_tensor_count(p->item[i].grad), p->item[i].grad.data);
            if (bad > 0 && !p->item[i].frozen) {
                return vdi_error_set(
                    err, VDI_ERR_NUMERIC, where,
                    "step %lld: the gradient of \"%s\" holds %g numbers that are not finite",
                    (long long)o->step, p->item[i].name, bad);
            }
        }
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "step %lld: the norm of the gradient overflows", (long long)o->step);
    }
    for (int64_t item = 0, at, n; vdi__params_run(p, &item, &at, &n);) {
        const void *w = vdi__element(p->dtype, p->values, (size_t)at);
        squares += vdi_dot(p->dtype, (size_t)n, w, w);
        for (int which = 0; o->suspect && which < 2; which++) {
            void *block = which ? o->v : o->m;
            const void *s = block ? vdi__element(p->dtype, block, (size_t)at) : NULL;
            if (!s) continue;
            if (!which)
                squares += 0 * vdi_dot(p->dtype, (size_t)n, s, s);
            else if (vdi_count_nonfinite(p->dtype, (size_t)n, s) ||
                     vdi_min(p->dtype, (size_t)n, s) < 0)
                squares = NAN;
        }
    }
    if (!(squares - squares == 0)) {
        return vdi_error_set(err, VDI_ERR_NUMERIC, where,
                             "step %lld: the parameters, or the optimiser's memory, are not finite",
                             (long long)o->step);
    }
    /* |m| / sqrt(v) <= (1-b1) / sqrt((1-b2)(1 - b1^2/b2)) for Adam, without a bound if b1^2 >= b2;
     * 1/sqrt(1-rho) for RMSprop */
    const vdi_optim_desc *d = &o->desc;
    if (d->kind == VDI_OPTIM_SGD) {
        reach = 1e18 < o->norm ? INFINITY : o->norm / (1 - d->momentum);
    } else if (d->kind == VDI_OPTIM_RMSPROP) {
        reach = 1 / sqrt(1 - d->rho) / (1 - d->momentum);
    } else {
        reach = d->beta1 * d->beta1 < d->beta2
                    ? 1 / sqrt((1 - d->beta2) * (1 - d->beta1 * d->beta1 / d->beta2))
                    : 1e9;
    }
    reach = rate * reach + rate * d->weight_decay * sqrt(squares);
    if (!(reach < 1e18) || !(rate * d->weight_decay <= 1)) {
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
    double rate = vdi_optim_rate(o);
    double decay = rate * d->weight_decay;
    double scale = 1;
    double step = rate;
    double eps = d->eps;
    vdi_status status = vdi__optim_refuse(o, rate, err);
    if (status < 0) return status;
    if (d->clip_norm > 0 && o->norm > d->clip_norm) scale = d->clip_norm / o->norm;
    o->step++;
    if (d->kind <= VDI_OPTIM_ADAMW) { /* the bias corrections, folded into step and eps */
        double root = sqrt(1 - pow(d->beta2, (double)o->step));
        step = rate * root / (1 - pow(d->beta1, (double)o->step));
        eps = d->eps * root;
    }
    for (int64_t item = 0, at, count; vdi__params_run(p, &item, &at, &count);) {
        size_t n = (size_t)count;
        void *w = vdi__element(p->dtype, p->values, (size_t)at);
        void *g = vdi__element(p->dtype, p->grads, (size_t)at);
        void *m = o->m ? vdi__element(p->dtype, o->m, (size_t)at) : NULL;
        void *v = o->v ? vdi__element(p->dtype, o->v, (size_t)at) : NULL;
        if (d->kind == VDI_OPTIM_ADAM && d->weight_decay > 0) {
            /* decay enters the gradient, after clipping */
            vdi_axpby(p->dtype, n, d->weight_decay, w, scale, g);
            vdi_adam_kernel(p->dtype, n, w, g, m, v, step, d->beta1, d->beta2, eps, 0, 1);
        } else if (d->kind <= VDI_OPTIM_ADAMW) {
            vdi_adam_kernel(p->dtype, n, w, g, m, v, step, d->beta1, d->beta2, eps, decay, scale);
        } else if (d->kind == VDI_OPTIM_RMSPROP) {
            vdi_rmsprop_kernel(p->dtype, n, w, g, v, m, step, d->rho, eps, d->momentum, decay,
                               scale);
        } else {
            vdi_sgd_kernel(p->dtype, n, w, g, m, step, d->momentum, decay, scale);
        }
    }
    return VDI_OK;
}
#endif
