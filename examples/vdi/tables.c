/* examples/vdi/tables.c - fields of descriptions that the library has no table for */
#include "tables.h"

static const char *const obs_names[] = {"poisson", "gaussian", "gc", "negbin", "bernoulli", NULL};
static const char *const link_names[] = {"exp", "softplus", NULL};
static const char *const family_names[] = {"product", "direct", "meanfield", NULL};
static const char *const dtype_names[] = {"float32", "float64", NULL};

/* A row: whole number, real number, flag. Those of before the table have no flags. */
#define ROW_INT(member, initial, least, most, flags, help) \
    VDI_FIELD_INT_FLAGS(vdi_vilds_desc, member, initial, least, most, flags, help)
#define ROW_REAL(member, initial, least, most, flags, help) \
    VDI_FIELD_REAL_FLAGS(vdi_vilds_desc, member, initial, least, most, flags, help)
#define ROW_SIZES(member, number, none, initial_number, help)                                      \
    VDI_FIELD_SIZES(vdi_vilds_desc, member, number, none, VDI_VILDS_LAYERS, initial_number, 60, 1, \
                    100000, help)

static const vdi_field vilds_rows[] = {
    ROW_INT(d, 0, 1, 64, VDI_FIELD_REQUIRED, "latent dimension"),
    ROW_INT(n, 0, 1, 1 << 20, VDI_FIELD_REQUIRED, "observed channels"),
    ROW_INT(inputs, 0, 0, 4096, 0, "entries of the known inputs of each bin"),
    VDI_FIELD_ENUM(vdi_vilds_desc, obs, obs_names, "observations"),
    VDI_FIELD_ENUM(vdi_vilds_desc, link, link_names,
                   "from the read-out to the mean of poisson and negbin counts"),
    VDI_FIELD_ENUM(vdi_vilds_desc, posterior, family_names, "family of q"),
    VDI_FIELD_BOOL(vdi_vilds_desc, untied, "a product posterior with dynamics of its own"),
    ROW_SIZES(hidden, layers, offsetof(vdi_vilds_desc, linear), 2,
              "hidden layers (tanh) of the read-out; none: a linear read-out"),
    VDI_FIELD_BOOL(vdi_vilds_desc, skip, "a linear read-out beside the network"),
    ROW_SIZES(encoder_hidden, encoder_layers, offsetof(vdi_vilds_desc, encoder_linear), 2,
              "hidden layers (tanh) of the encoder; none: linear"),
    VDI_FIELD_INT_TWIN(vdi_vilds_desc, reach, has_reach, 2, 0, 256,
                       "bins that the encoder sees on either side"),
    VDI_FIELD_BOOL(vdi_vilds_desc, free_start,
                   "learn the distribution of the first bin's latent, instead of N(0, I)"),
    ROW_SIZES(transition_hidden, transition_layers, VDI_FIELD_NONE, 0,
              "hidden layers (tanh) of a network g: z_t = A z_{t-1} + g(z_{t-1}) + noise"),
    ROW_REAL(bin_width, 1, 0, 1e9, VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
             "the read-out gives rates per unit of it"),
    ROW_INT(max_count, 12, 2, 4096, 0,
            "generalised counts: the largest count with a weight of its own"),
    {"dtype", VDI_FIELD_TYPE_ENUM, offsetof(vdi_vilds_desc, dtype), VDI_FIELD_NONE, 0, 0, 0,
     dtype_names, VDI_FIELD_NONE, 0, 0, VDI_FIELD_ADDED, "of the networks"},
    ROW_REAL(first_scale, 1, 0, 1e6, VDI_FIELD_ADDED | VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
             "on the initial first layer of the read-out"),
    ROW_REAL(a0, 0.99, -1, 1, VDI_FIELD_ADDED | VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
             "the dynamics start as A = a0 I"),
    ROW_INT(train.steps, 1500, 1, 1e12, VDI_FIELD_ADDED, "of the full schedule"),
    ROW_INT(train.batch, 20, 1, 1e9, VDI_FIELD_ADDED, "trials in a step"),
    ROW_INT(train.window, 0, 0, 1e12, VDI_FIELD_ADDED,
            "bins of random windows of longer trials; 0: whole trials"),
    ROW_INT(train.samples, 1, 1, 1e6, VDI_FIELD_ADDED, "reparameterised samples in a step"),
    ROW_REAL(train.rate, 1e-2, 0, 10, VDI_FIELD_ADDED | VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
             "Adam's rate, down a cosine"),
    ROW_REAL(train.last_rate, 0, 0, 10,
             VDI_FIELD_ADDED | VDI_FIELD_COMPUTED | VDI_FIELD_ABOVE | VDI_FIELD_BELOW,
             "where it ends; default: a hundredth"),
    ROW_INT(train.warmup, 0, 0, 1e12, VDI_FIELD_ADDED | VDI_FIELD_COMPUTED,
            "steps of a linear rise of the rate; default: 20"),
    ROW_REAL(train.clip_norm, 10, 0, 1e30, VDI_FIELD_ADDED | VDI_FIELD_ABOVE, "longest gradient"),
    ROW_INT(train.restarts, 1, 1, 1 << 20, VDI_FIELD_ADDED,
            "starts, of which the best by training bound goes on"),
    ROW_INT(train.restart_steps, 250, 1, 1e12, VDI_FIELD_ADDED, "steps of each start"),
    ROW_REAL(train.open_from, 0, 0, 1e9, VDI_FIELD_ADDED | VDI_FIELD_COMPUTED,
             "fraction of the schedule from which the encoder sees neighbouring bins; "
             "default: 0.3"),
    ROW_REAL(train.open_to, 0, 0, 1e9, VDI_FIELD_ADDED | VDI_FIELD_COMPUTED,
             "and from which it sees them in full; default: 0.4"),
    ROW_REAL(train.mask_trials, 0.8, 0, 1, VDI_FIELD_ADDED,
             "share of trials in which training hides channels"),
    ROW_REAL(train.mask_rate, 0.25, 0, 1, VDI_FIELD_ADDED | VDI_FIELD_BELOW,
             "share of channels that it hides there"),
    {"train.no_masking", VDI_FIELD_TYPE_BOOL, offsetof(vdi_vilds_desc, train.no_masking),
     VDI_FIELD_NONE, 0, 0, 1, NULL, VDI_FIELD_NONE, 0, 0, VDI_FIELD_ADDED, "hide no channels"},
    {"train.frozen_dynamics", VDI_FIELD_TYPE_BOOL, offsetof(vdi_vilds_desc, train.frozen_dynamics),
     VDI_FIELD_NONE, 0, 0, 1, NULL, VDI_FIELD_NONE, 0, 0, VDI_FIELD_ADDED,
     "keep the dynamics as they are"},
    {"train.sampled_kl", VDI_FIELD_TYPE_BOOL, offsetof(vdi_vilds_desc, train.sampled_kl),
     VDI_FIELD_NONE, 0, 0, 1, NULL, VDI_FIELD_NONE, 0, 0, VDI_FIELD_ADDED,
     "the prior's share of the bound from samples too"},
    ROW_REAL(train.weight_decay, 0, 0, 1e30, VDI_FIELD_ADDED,
             "on the sum of squares of the read-out's weights, nats for the whole data set"),
    ROW_INT(train.eval_every, 50, 1, 1e12, VDI_FIELD_ADDED, "steps between validations"),
    ROW_INT(train.patience, 0, 0, 1e12, VDI_FIELD_ADDED,
            "validations without gain after which it stops; 0: never"),
    {"train.seed", VDI_FIELD_TYPE_SEED, offsetof(vdi_vilds_desc, train.seed), VDI_FIELD_NONE, 0, 0,
     0, NULL, VDI_FIELD_NONE, 0, 0, VDI_FIELD_ADDED, "of everything random"},
};

#define TABLE(function, desc, rows)                                          \
    const vdi_fields *function(void) {                                       \
        static const vdi_fields table = {desc, rows, (int)VDI__COUNT(rows)}; \
        return &table;                                                       \
    }
TABLE(vilds_fields, "vdi_vilds_desc", vilds_rows)
