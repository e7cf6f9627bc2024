/* Every description: its defaults lie in its ranges, a number just outside is refused by its check
 * and named, a number on the edge is not. A new description is a row of `descs`. */
#include "check.h"

/* A description that is valid, and its check without the type. */
typedef struct desc_case {
    const vdi_fields *(*fields)(void);
    vdi_status (*check)(const void *desc, vdi_error *err);
    void (*valid)(void *desc);
    size_t size;
} desc_case;

#define CASE(name)                                                            \
    static vdi_status check_##name(const void *desc, vdi_error *err) {        \
        return vdi_##name##_desc_check((const vdi_##name##_desc *)desc, err); \
    }                                                                         \
    static void valid_##name(void *desc)

CASE(tape) { *(vdi_tape_desc *)desc = vdi_tape_desc_defaults(); }
static const vdi_tensor scalar = {NULL, VDI_F64, 0, {0}, {0}};
CASE(custom) {
    static vdi_var input[VDI_CUSTOM_MAX];
    vdi_custom_desc *d = (vdi_custom_desc *)desc;
    *d = vdi_custom_desc_defaults();
    d->input = input;
    d->output = &scalar;
}
CASE(param) { *(vdi_param_desc *)desc = vdi_param_1d("x", VDI_INIT_FAN_IN, 0, 3); }
CASE(optim) { *(vdi_optim_desc *)desc = vdi_optim_desc_defaults(); }
CASE(mlp) {
    vdi_mlp_desc *d = (vdi_mlp_desc *)desc;
    memset(d, 0, sizeof *d);
    d->layers = 2;
    for (int i = 0; i <= VDI_LAYERS_MAX; i++)
        d->sizes[i] = 4;
}
CASE(conv) {
    vdi_conv_desc *d = (vdi_conv_desc *)desc;
    memset(d, 0, sizeof *d);
    d->layers = 2;
    for (int i = 0; i < VDI_LAYERS_MAX; i++)
        d->channels[i] = d->channels[i + 1] = d->width[i] = 3;
}
CASE(gru) {
    vdi_gru_desc *d = (vdi_gru_desc *)desc;
    memset(d, 0, sizeof *d);
    d->inputs = d->hidden = 5;
}
static vdi_var nothing(vdi_tape *t, const vdi_var *x, void *user) {
    (void)t;
    (void)user;
    return x[0];
}
CASE(check) {
    vdi_check_desc *d = (vdi_check_desc *)desc;
    static vdi_tensor input[1000000]; /* as many as the range allows; zero is a float32 scalar */
    *d = vdi_check_desc_defaults();
    for (int i = 0; i < 1000000; i++)
        input[i].dtype = VDI_F64;
    d->fn = nothing;
    d->input = input;
}
CASE(figure) { *(vdi_figure_desc *)desc = vdi_figure_desc_defaults(); }

CASE(calcium) { *(vdi_calcium_desc *)desc = vdi_calcium_desc_defaults(); }
CASE(population) { *(vdi_population_desc *)desc = vdi_population_desc_defaults(); }
CASE(oasis) { *(vdi_oasis_desc *)desc = vdi_oasis_desc_defaults(); }
CASE(pretrained) { *(vdi_pretrained_desc *)desc = vdi_pretrained_desc_defaults(); }
CASE(deepspike) {
    vdi_deepspike_desc d = VDI__ZERO;
    d.train.estimator = VDI_DEEPSPIKE_SUPERVISED; /* without a generative model */
    *(vdi_deepspike_desc *)desc = vdi_deepspike_desc_defaults(&d);
}
CASE(lds) {
    vdi_lds_desc d = VDI__ZERO;
    d.d = 2;
    d.n = 3;
    *(vdi_lds_desc *)desc = vdi_lds_desc_defaults(&d);
}
CASE(plds) {
    vdi_plds_desc d = VDI__ZERO;
    d.d = 2;
    d.n = 3;
    *(vdi_plds_desc *)desc = vdi_plds_desc_defaults(&d);
}
CASE(vilds) {
    vdi_vilds_desc d = VDI__ZERO;
    d.d = 2;
    d.n = 3;
    *(vdi_vilds_desc *)desc = vdi_vilds_desc_defaults(&d);
}
CASE(critic) {
    vdi_critic_desc *d = (vdi_critic_desc *)desc;
    *d = vdi_critic_desc_defaults();
    d->observations = d->actions = d->heads = 2;
}
CASE(sacd) {
    vdi_sacd_desc *d = (vdi_sacd_desc *)desc;
    *d = vdi_sacd_desc_defaults();
    d->observations = d->actions = d->components = 2;
}
CASE(replay) {
    vdi_replay_desc *d = (vdi_replay_desc *)desc;
    memset(d, 0, sizeof *d);
    d->capacity = 10;
    d->observations = d->actions = d->components = 2;
}

static vdi_status check_schedule(const void *desc, vdi_error *err) {
    vdi_optim_desc d = vdi_optim_desc_defaults();
    d.schedule = *(const vdi_schedule *)desc;
    return vdi_optim_desc_check(&d, err);
}
static void valid_schedule(void *desc) { memset(desc, 0, sizeof(vdi_schedule)); }

#define NUMBERS(name)                                                         \
    static vdi_status check_##name(const void *desc, vdi_error *err) {        \
        return vdi_vilds_##name##_check((const vdi_vilds_##name *)desc, err); \
    }                                                                         \
    static void valid_##name(void *desc) {                                    \
        vdi_vilds_##name zero = VDI__ZERO;                                    \
        *(vdi_vilds_##name *)desc = vdi_vilds_##name##_defaults(&zero);       \
    }
NUMBERS(particles)
NUMBERS(natural)

#define ROW(name) \
    { vdi_##name##_desc_fields, check_##name, valid_##name, sizeof(vdi_##name##_desc) }
static const desc_case descs[] = {
    ROW(tape),
    ROW(custom),
    ROW(param),
    ROW(optim),
    ROW(mlp),
    ROW(conv),
    ROW(gru),
    ROW(check),
    ROW(calcium),
    ROW(population),
    ROW(oasis),
    ROW(pretrained),
    ROW(deepspike),
    ROW(lds),
    ROW(plds),
    ROW(vilds),
    ROW(critic),
    ROW(sacd),
    ROW(replay),
    ROW(figure),
    {vdi_schedule_fields, check_schedule, valid_schedule, sizeof(vdi_schedule)},
    {vdi_vilds_particles_fields, check_particles, valid_particles, sizeof(vdi_vilds_particles)},
    {vdi_vilds_natural_fields, check_natural, valid_natural, sizeof(vdi_vilds_natural)},
};

/* The description with one field set to a number that it may not hold, past every check of text. */
static void put(void *desc, const vdi_field *f, double x) {
    char *at = (char *)desc + f->offset;
    const int64_t whole = x >= 9.2e18 ? INT64_MAX : x <= -9.2e18 ? INT64_MIN : (int64_t)x;
    const int32_t small = (int32_t)whole;
    if (f->twin != VDI_FIELD_NONE) *(bool *)((char *)desc + f->twin) = true; /* it is set */
    if (f->type == VDI_FIELD_TYPE_REAL) memcpy(at, &x, sizeof x);
    if (f->type == VDI_FIELD_TYPE_INT) memcpy(at, &whole, sizeof whole);
    if (f->type == VDI_FIELD_TYPE_INT32 || f->type == VDI_FIELD_TYPE_ENUM)
        memcpy(at, &small, sizeof small);
}

/* Of a range "rate.low", "rate.high" both ends move, so that it does not fall. */
static void put_other_end(const vdi_fields *fields, void *desc, const vdi_field *f, double x) {
    char name[64];
    const size_t n = strlen(f->name);
    if (n < 5 || n > 50) return;
    snprintf(name, sizeof name, "%s", f->name);
    if (strcmp(f->name + n - 4, ".low") == 0)
        strcpy(name + n - 4, ".high");
    else if (strcmp(f->name + n - 5, ".high") == 0)
        strcpy(name + n - 5, ".low");
    else
        return;
    const vdi_field *other = vdi_fields_find(fields, name);
    CHECK(other != NULL, "%s has no %s", f->name, name);
    if (other) put(desc, other, x);
}

static void refuses(const desc_case *c, const vdi_field *f, void *desc, double x) {
    vdi_error err = VDI__ZERO;
    c->valid(desc);
    put(desc, f, x);
    const vdi_status status = c->check(desc, &err);
    CHECK(status == VDI_ERR_ARGUMENT || status == VDI_ERR_DTYPE, "%s: %s takes %g",
          c->fields()->name, f->name, x);
    CHECK(strncmp(err.message, f->name, strlen(f->name)) == 0, "%s: %s at %g: %s",
          c->fields()->name, f->name, x, err.message);
}

static void takes(const desc_case *c, const vdi_field *f, void *desc, double x) {
    vdi_error err = VDI__ZERO;
    c->valid(desc);
    put(desc, f, x);
    put_other_end(c->fields(), desc, f, x);
    /* these are held against other fields too */
    static const char *const joint[] = {
        "head_width",      "train.snippet",   "train.buffer_first", "train.buffer_last",
        "train.estimator", "train.open_from", "train.open_to"};
    for (size_t i = 0; i < VDI__COUNT(joint); i++) {
        if (strcmp(f->name, joint[i]) == 0) return;
    }
    if (strcmp(f->name, "low_share") == 0 || strcmp(f->name, "middle_share") == 0) {
        /* shares of one whole: alone they may be all of it */
        vdi_population_desc *p = (vdi_population_desc *)desc;
        *(f->name[0] == 'l' ? &p->middle_share : &p->low_share) = 0;
    }
    CHECK(c->check(desc, &err) == VDI_OK, "%s: %s refuses %g: %s", c->fields()->name, f->name, x,
          err.message);
}

TEST(descs, edges_of_every_field) {
    static union {
        double align;
        char bytes[65536];
    } memory;
    for (size_t i = 0; i < VDI__COUNT(descs); i++) {
        const desc_case *c = &descs[i];
        const vdi_fields *table = c->fields();
        vdi_error err = VDI__ZERO;
        CHECK(c->size <= sizeof memory && table->count > 0, "%s", table->name);
        c->valid(memory.bytes);
        CHECK_OK(c->check(memory.bytes, &err), err);
        for (int k = 0; k < table->count; k++) {
            const vdi_field *f = &table->rows[k];
            const bool real = f->type == VDI_FIELD_TYPE_REAL;
            CHECK(f->help && strlen(f->help) > 4 && strlen(f->help) < 120, "%s: help of %s",
                  table->name, f->name);
            if (f->type == VDI_FIELD_TYPE_ENUM) {
                int words = 0;
                while (f->words[words])
                    words++;
                for (int w = 0; w < words; w++)
                    takes(c, f, memory.bytes, w);
                refuses(c, f, memory.bytes, words);
                refuses(c, f, memory.bytes, -1);
                continue;
            }
            if (f->type == VDI_FIELD_TYPE_BOOL || f->type == VDI_FIELD_TYPE_SEED ||
                f->type == VDI_FIELD_TYPE_SIZES)
                continue;
            CHECK(real || !(f->initial > 0) || f->least > 0 || f->twin != VDI_FIELD_NONE,
                  "%s: %s offers 0, which stands for %g", table->name, f->name, f->initial);
            /* zero stands for the default, so that it is not outside */
            const double below = real ? nextafter(f->least, -HUGE_VAL) : f->least - 1;
            const double above = real ? nextafter(f->most, HUGE_VAL) : f->most + 1;
            if (below != 0) refuses(c, f, memory.bytes, below);
            if (above > f->most) refuses(c, f, memory.bytes, above);
            if (f->flags & VDI_FIELD_BELOW) refuses(c, f, memory.bytes, f->most);
            if (f->flags & VDI_FIELD_ABOVE && f->least != 0) refuses(c, f, memory.bytes, f->least);
            if (!(f->flags & VDI_FIELD_BELOW)) takes(c, f, memory.bytes, f->most);
            if (!(f->flags & VDI_FIELD_ABOVE)) takes(c, f, memory.bytes, f->least);
            if (real) refuses(c, f, memory.bytes, NAN);
        }
    }
}

/* What no table says: lists whose length is another field, names, callbacks. */
TEST(descs, what_is_checked_by_hand) {
    vdi_error err = VDI__ZERO;
    vdi_mlp_desc m;
    valid_mlp(&m);
    m.sizes[2] = 0;
    CHECK_FAILS(vdi_mlp_desc_check(&m, &err), VDI_ERR_ARGUMENT);
    CHECK(strcmp(err.message, "sizes[2] is 0: expected 1 to 1000000000") == 0, "%s", err.message);
    m.sizes[2] = 1;
    m.sizes[3] = -7; /* behind the last layer */
    CHECK_OK(vdi_mlp_desc_check(&m, &err), err);
    vdi_conv_desc v;
    valid_conv(&v);
    v.dilation[1] = -1;
    CHECK_FAILS(vdi_conv_desc_check(&v, &err), VDI_ERR_ARGUMENT);
    CHECK(strncmp(err.message, "dilation[1] is -1", 17) == 0, "%s", err.message);
    v.dilation[1] = 0;
    v.width[0] = INT64_MAX;
    CHECK_FAILS(vdi_conv_desc_check(&v, &err), VDI_ERR_ARGUMENT);
    valid_conv(&v);
    v.channels[0] = 0;
    CHECK_FAILS(vdi_conv_desc_check(&v, &err), VDI_ERR_ARGUMENT);
    vdi_param_desc p = vdi_param_2d("x", VDI_INIT_ZEROS, 0, 3, -4);
    CHECK_FAILS(vdi_param_desc_check(&p, &err), VDI_ERR_SHAPE);
    CHECK(strcmp(err.message, "x: shape (3,-4) is out of range") == 0, "%s", err.message);
    p = vdi_param_1d("x", VDI_INIT_ZEROS, 0, 3);
    vdi_fields_fill(vdi_param_desc_fields(), &p);
    CHECK(p.scale == 0, "0 is a constant of its own: filled with %g", p.scale);
    memset(p.name, 'x', sizeof p.name);
    CHECK_FAILS(vdi_param_desc_check(&p, &err), VDI_ERR_ARGUMENT);
    vdi_custom_desc c;
    valid_custom(&c);
    c.output = NULL;
    CHECK_FAILS(vdi_custom_desc_check(&c, &err), VDI_ERR_ARGUMENT);
    valid_custom(&c);
    c.inputs = 1;
    c.input = NULL;
    CHECK_FAILS(vdi_custom_desc_check(&c, &err), VDI_ERR_ARGUMENT);
    vdi_check_desc k = vdi_check_desc_defaults();
    CHECK_FAILS(vdi_check_desc_check(&k, &err), VDI_ERR_ARGUMENT);
    vdi_figure f;
    vdi_figure_desc d = vdi_figure_desc_defaults();
    d.width = 20;
    vdi_figure_init(&f, &d);
    (void)vdi_figure_panel(&f, 0, 0);
    vdi_buffer b;
    vdi_writer w;
    vdi_buffer_init(&b, NULL);
    vdi_writer_to_buffer(&w, &b);
    CHECK_FAILS(vdi_svg_write(&w, &f, false, &err), VDI_ERR_ARGUMENT);
    CHECK(strncmp(err.message, "width is 20: expected 100 to 10000", 34) == 0, "%s", err.message);
    vdi_buffer_free(&b);
    vdi_figure_free(&f);
}
