/* model/vilds/observation.h - P(y | z) of a channel: the kinds of observation that are ready
 *
 * Do this:
 *     for (int i = 0; i < vdi_vilds_obs_count(); i++)
 *         printf("%s: %s\n", vdi_vilds_obs_name(i), vdi_vilds_obs_help(i));
 *     vdi_vilds_desc desc = VDI__ZERO;
 *     desc.obs = (vdi_vilds_obs)vdi_vilds_obs_find("negbin");
 *
 * eta of a channel and bin is the decoder's output plus the log exposure (log bin width + offset).
 * A kind is a row of functions: its parameter, what values it takes, where training starts, log
 * P(y | eta) on the tape and at a node of quadrature, drawing, and the constant model that scores
 * are held against. To add one, write a file in observation/ and give it a line in
 * VDI_VILDS_OBS_KINDS and an include at the end of this file.
 * Threads: everything here is constant.
 */
#ifndef VDI_MODEL_VILDS_OBSERVATION_H
#define VDI_MODEL_VILDS_OBSERVATION_H
#include "../../core/rng.h"
#include "../../grad/dist.h"
#include "../../grad/params.h"

/** The kinds: enumerator, name in files and options, functions (vdi__obs_...). */
#define VDI_VILDS_OBS_KINDS(KIND)                                                  \
    /* mean link(eta), variance the same */                                        \
    KIND(VDI_VILDS_POISSON, "poisson", poisson)                                    \
    /* mean eta, a standard deviation of its own for each channel */               \
    KIND(VDI_VILDS_GAUSSIAN, "gaussian", gaussian)                                 \
    /* generalised count: p(k) ~ exp(eta k + g(k)) / k!, one g for each channel */ \
    KIND(VDI_VILDS_COUNT, "gc", gencount)                                          \
    /* negative binomial: mean link(eta), variance mean + mean^2 / r */            \
    KIND(VDI_VILDS_NEGBIN, "negbin", negbin)                                       \
    /* probability sigmoid(eta) */                                                 \
    KIND(VDI_VILDS_BERNOULLI, "bernoulli", bernoulli)                              \
    /* zero-inflated Poisson: 0 with a probability of its own for each channel */  \
    KIND(VDI_VILDS_ZIP, "zip", zip)

#define VDI__OBS_ENUMERATOR(enumerator, name, functions) enumerator,
/** P(y | eta) of one channel and bin; vdi_vilds_obs_find takes its name. */
typedef enum vdi_vilds_obs { VDI_VILDS_OBS_KINDS(VDI__OBS_ENUMERATOR) } vdi_vilds_obs;

/** From the decoder's output to the mean of Poisson counts and those built on them. */
typedef enum vdi_vilds_link {
    VDI_VILDS_EXP = 0, /**< exp(eta); beyond eta = 18.5, some 1e8 a bin, Poisson rates go on along
                            the tangent, negative binomial ones stay; generalised counts stay
                            beyond 8 */
    VDI_VILDS_SOFTPLUS /**< (softplus(decoder) + 1e-6) times the exposure */
} vdi_vilds_link;

/** How many kinds there are. */
VDI_API int vdi_vilds_obs_count(void);
/** The kind of that name, or -1. */
VDI_API int vdi_vilds_obs_find(const char *name);
/** Its name, as in the metadata of a saved model; NULL if there is no such kind. */
VDI_API const char *vdi_vilds_obs_name(int kind);
/** Its help, one line; NULL if there is no such kind. */
VDI_API const char *vdi_vilds_obs_help(int kind);
/** Are its values whole numbers (so that rates and bits per spike mean something)? */
VDI_API bool vdi_vilds_obs_counts(int kind);

#endif /* VDI_MODEL_VILDS_OBSERVATION_H */

#if defined(VDI__BODIES) && defined(VDI_VILDS_IMPLEMENTATION) && \
    !defined(VDI_MODEL_VILDS_OBSERVATION_C)
#define VDI_MODEL_VILDS_OBSERVATION_C

/* ======== what a kind is ====================================================================== */

/* Rows of a batch, one a bin: those of trial b are first[b] .. first[b] + length[b] of `rows`, once
 * for each sample. */
typedef struct vdi__trial_rows {
    int64_t samples, trials, rows, n;
    const int64_t *first, *length;
    const void *y, *mask; /* (rows,n): values, 0 where missing; and the mask, or NULL */
    const void **lent;    /* or, instead of y, where each trial's values (length,n) stand in the
                             data */
} vdi__trial_rows;

/* What a log likelihood on the tape gets to work with. */
typedef struct vdi__obs_graph {
    vdi_tape *tape;
    const vdi_vilds_desc *desc;
    vdi_arena *arena;  /* memory that lives as long as the values of the tape */
    vdi_var parameter; /* the kind's own, or null */
    vdi__trial_rows rows;
    vdi_tensor y, mask; /* (rows,n); the mask may be null, and y where the rows are lent */
} vdi__obs_graph;

/* The same parameters as plain numbers, for quadrature and for drawing. */
typedef struct vdi__obs_numbers {
    vdi_vilds_link link;
    int64_t stride;       /* numbers of a channel */
    const double *number; /* (n,stride); NULL: the kind has no parameter */
} vdi__obs_numbers;

/* At one eta: log P(y | eta), its derivative by the decoder's output, its Fisher information, and
 * the mean of y. */
typedef struct vdi__obs_term {
    double log_p, score, information, mean;
} vdi__obs_term;

/* What is known of a channel before training, from the values that are there. */
typedef struct vdi__obs_channel {
    double mean, sd;        /* of the values */
    double exposure, shift; /* means of the exposure and of its logarithm */
} vdi__obs_channel;

/* Numbers of the constant model of a channel. */
enum { VDI__OBS_CONSTANT = 3 };

typedef struct vdi__obs_ops {
    const char *help;
    bool counts;  /* the values are whole numbers */
    bool exposed; /* the bin width multiplies the mean */
    bool linked;  /* desc.link chooses between exp and softplus */
    bool apart;   /* log_likelihood and term leave out log y!, a constant that the data keep */
    bool lends;   /* log_likelihood can read complete values where they stand in the data */
    const char *values; /* what `takes` takes, for messages */
    bool (*takes)(double y);
    /* The parameter as training makes it, and how many numbers of a channel `term` reads; NULL:
     * the kind has none. */
    vdi_param_desc (*parameter)(const vdi_vilds_desc *desc);
    int64_t (*stride)(const vdi_vilds_desc *desc);
    void (*numbers)(const vdi_vilds_desc *desc, vdi_tensor parameter, int64_t channel, double *to);
    /* Where training starts: the last bias of the decoder; may write the channel's parameter. */
    double (*start)(const vdi_vilds_desc *desc, const vdi__obs_channel *c, vdi_tensor parameter,
                    int64_t channel);
    /* (samples,trials): log P(y | eta) summed over the rows of each trial; eta (samples rows,n) is
     * linked and exposed. */
    vdi_var (*log_likelihood)(const vdi__obs_graph *g, vdi_var eta);
    /* (1,trials): E log P(y | eta) for eta ~ N(mean, variance), both (rows,n), under the exp link;
     * NULL: there is no closed form. */
    vdi_var (*expected)(const vdi__obs_graph *g, vdi_var mean, vdi_var variance);
    /* eta is the decoder's output, `shift` the log exposure. */
    vdi__obs_term (*term)(const vdi__obs_numbers *o, int64_t channel, double y, double eta,
                          double shift);
    double (*draw)(const vdi__obs_numbers *o, int64_t channel, double eta, double shift,
                   vdi_rng *rng);
    /* The constant model of this family with the mean and deviation of a channel, and log P(y)
     * under it. */
    void (*constant_fit)(const vdi_vilds_desc *desc, double mean, double sd, double *model);
    double (*constant_log_p)(const vdi_vilds_desc *desc, const double *model, double y);
} vdi__obs_ops;

/* ======== words for those who write one ======================================================= */

/* Log rates beyond this are bent: nothing overflows. */
#define VDI__OBS_TOP 18.5
/* Beyond this log probabilities are worked out in float64, whatever the networks are. */
#define VDI__OBS_NARROW 8.0
/* Means below this count as this in a constant model (the choice of nlb_tools). */
#define VDI__OBS_FLOOR 1e-9
/* What the model adds to each standard deviation of its training data. */
#define VDI__OBS_SD_GUARD 1e-3

VDI__FN bool vdi__obs_takes_any(double y) { return y - y == 0; }
VDI__FN bool vdi__obs_takes_count(double y) { return y - y == 0 && y >= 0 && y == floor(y); }

VDI__FN int64_t vdi__obs_one(const vdi_vilds_desc *desc) {
    (void)desc;
    return 1;
}
VDI__FN void vdi__obs_same_number(const vdi_vilds_desc *desc, vdi_tensor parameter, int64_t channel,
                                  double *to) {
    (void)desc;
    *to = vdi_dtype_load(parameter.dtype, parameter.data, channel);
}

/* A start with the mean of the data as mean of y. */
VDI__FN double vdi__obs_start_log_mean(const vdi_vilds_desc *desc, const vdi__obs_channel *c,
                                       vdi_tensor parameter, int64_t channel) {
    const double mean = VDI__MAX(c->mean, 1e-3) / c->exposure;
    (void)parameter;
    (void)channel;
    return desc->link == VDI_VILDS_SOFTPLUS ? log(expm1(mean)) : log(mean);
}

/* log Gamma; the C library's writes to a global. */
VDI__FN double vdi__obs_lgamma(double x) {
    vdi_lgamma(VDI_F64, 1, &x, &x);
    return x;
}
VDI__FN double vdi__obs_log_factorial(double y) { return y > 1 ? vdi__obs_lgamma(y + 1) : 0; }

VDI__FN double vdi__obs_sigmoid(double x) {
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}
VDI__FN double vdi__obs_softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

/* The mean of y by the softplus link, its logarithm, and the slope of the logarithm. */
VDI__FN double vdi__obs_softplus_mean(double eta, double shift, double *log_mean, double *slope) {
    const double mean = vdi__obs_softplus(eta) + 1e-6;
    *slope = vdi__obs_sigmoid(eta) / mean;
    *log_mean = log(mean) + shift;
    return mean * exp(shift);
}

/* An operation from values of all rows, x (samples rows,n), to (samples,trials). */
VDI__FN vdi_var vdi__obs_row_op(vdi_tape *t, vdi_var x, const vdi__trial_rows *rows,
                                vdi_custom_fn forward, vdi_custom_fn backward, size_t saved_bytes) {
    vdi_custom_desc desc = VDI__ZERO;
    vdi_var r = vdi_var_none();
    vdi_tensor out = vdi_tensor_2d(NULL, VDI_F64, rows->samples, rows->trials);
    vdi__trial_rows *own = (vdi__trial_rows *)vdi__tape_payload(t, "vdi_vilds", sizeof *own);
    if (!own || !vdi_var_ok(x)) return r;
    *own = *rows;
    desc.name = "vdi_vilds_sums";
    desc.inputs = desc.outputs = 1;
    desc.input = &x;
    desc.output = &out;
    desc.user = own;
    desc.forward = forward;
    desc.backward = backward;
    desc.saved_bytes = saved_bytes;
    (void)vdi_var_custom(t, &desc, &r);
    return r;
}

VDI__FN vdi_status vdi__trial_sums_forward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__trial_rows *r = (const vdi__trial_rows *)user;
    const vdi_dtype dtype = c->in[0].dtype;
    const size_t row = (size_t)r->n * vdi_dtype_size(dtype);
    double *sum = (double *)c->out[0].data;
    (void)err;
    for (int64_t s = 0; s < r->samples; s++) {
        for (int64_t b = 0; b < r->trials; b++) {
            const char *x = (const char *)c->in[0].data + (size_t)(s * r->rows + r->first[b]) * row;
            sum[s * r->trials + b] = vdi_sum(dtype, (size_t)(r->length[b] * r->n), x);
        }
    }
    return VDI_OK;
}

VDI__FN void vdi__add_to_all(vdi_dtype dtype, int64_t count, double g, void *to, int64_t at) {
    if (dtype == VDI_F32) {
        float *x = (float *)to + at;
        for (int64_t i = 0; i < count; i++)
            x[i] += (float)g;
        return;
    }
    double *x = (double *)to + at;
    for (int64_t i = 0; i < count; i++)
        x[i] += g;
}

VDI__FN vdi_status vdi__trial_sums_backward(vdi_custom *c, void *user, vdi_error *err) {
    const vdi__trial_rows *r = (const vdi__trial_rows *)user;
    const double *g = (const double *)c->dout[0].data;
    (void)err;
    if (!c->din[0].data || !g) return VDI_OK;
    for (int64_t s = 0; s < r->samples; s++) {
        for (int64_t b = 0; b < r->trials; b++) {
            vdi__add_to_all(c->in[0].dtype, r->length[b] * r->n, g[s * r->trials + b],
                            c->din[0].data, (s * r->rows + r->first[b]) * r->n);
        }
    }
    return VDI_OK;
}

/* The sum of x (samples rows,n) over each trial: (samples,trials). */
VDI__FN vdi_var vdi__obs_sum(vdi_tape *t, vdi_var x, const vdi__trial_rows *rows) {
    return vdi__obs_row_op(t, x, rows, vdi__trial_sums_forward, vdi__trial_sums_backward, 0);
}

/* The same of log probabilities r, of which those of missing values do not count. */
VDI__FN vdi_var vdi__obs_sum_seen(const vdi__obs_graph *g, vdi_var r) {
    int64_t shape[3], flat[2];
    shape[0] = g->rows.samples;
    shape[1] = g->rows.rows;
    shape[2] = g->rows.n;
    flat[0] = shape[0] * shape[1];
    flat[1] = shape[2];
    if (vdi_tensor_ok(g->mask)) {
        r = vdi_var_mul(g->tape, vdi_var_reshape(g->tape, r, 3, shape),
                        vdi_tape_constant(g->tape, g->mask));
    }
    return vdi__obs_sum(g->tape, vdi_var_reshape(g->tape, r, 2, flat), &g->rows);
}

/* eta (samples rows,n) as (samples,rows,n): it broadcasts against y. */
VDI__FN vdi_var vdi__obs_by_sample(const vdi__obs_graph *g, vdi_var eta) {
    int64_t shape[3];
    shape[0] = g->rows.samples;
    shape[1] = g->rows.rows;
    shape[2] = g->rows.n;
    return vdi_var_reshape(g->tape, eta, 3, shape);
}

/* ======== the table =========================================================================== */

#include "observation/poisson.h"   /* repeated */
#include "observation/gaussian.h"  /* repeated */
#include "observation/gencount.h"  /* repeated */
#include "observation/negbin.h"    /* repeated */
#include "observation/bernoulli.h" /* repeated */
#include "observation/zip.h"       /* repeated */

#define VDI__OBS_FUNCTIONS(enumerator, name, functions) &vdi__obs_##functions,
#define VDI__OBS_NAME(enumerator, name, functions) name,
static const vdi__obs_ops *const vdi__obs_table[] = {VDI_VILDS_OBS_KINDS(VDI__OBS_FUNCTIONS)};
/* The names as a field of a description lists them. */
static const char *const vdi__obs_names[] = {VDI_VILDS_OBS_KINDS(VDI__OBS_NAME) NULL};

VDI__DEF int vdi_vilds_obs_count(void) { return (int)VDI__COUNT(vdi__obs_table); }

VDI__FN const vdi__obs_ops *vdi__obs_of(int kind) {
    return kind >= 0 && kind < vdi_vilds_obs_count() ? vdi__obs_table[kind] : NULL;
}

VDI__DEF int vdi_vilds_obs_find(const char *name) {
    for (int i = 0; i < vdi_vilds_obs_count(); i++) {
        if (strcmp(vdi__obs_names[i], name) == 0) return i;
    }
    return -1;
}

VDI__DEF const char *vdi_vilds_obs_name(int kind) {
    return vdi__obs_of(kind) ? vdi__obs_names[kind] : NULL;
}

VDI__DEF const char *vdi_vilds_obs_help(int kind) {
    const vdi__obs_ops *o = vdi__obs_of(kind);
    return o ? o->help : NULL;
}

VDI__DEF bool vdi_vilds_obs_counts(int kind) {
    const vdi__obs_ops *o = vdi__obs_of(kind);
    return o && o->counts;
}
#endif
