/* examples/tape.c - from two numbers to a network
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/tape.c -o tape -lm -pthread && ./tape [picture.svg]
 *
 * A formula in two numbers; a line and a network, fitted by one function. See docs/guide/tape.md.
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { POINTS = 128, GRID = 161 };
static float x[POINTS], y[POINTS];   /* the data: (POINTS,1) each */
static float grid[GRID];             /* where predictions are asked for: (GRID,1) */
static double line[GRID], net[GRID]; /* what the two models say there */
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    puts(err.message);
    exit(1);
}

/* f(a,b) = a b + sin a at a = 2, b = 3: its value and both derivatives. */
static void two_numbers(vdi_tape *t) {
    float two = 2, three = 3;
    vdi_var a = vdi_tape_variable(t, vdi_tensor_1d(&two, VDI_F32, 1));
    vdi_var b = vdi_tape_variable(t, vdi_tensor_1d(&three, VDI_F32, 1));
    vdi_var f = vdi_var_add(t, vdi_var_mul(t, a, b), vdi_var_sin(t, a));
    vdi_tape_backward(t, f);
    need(vdi_tape_status(t, &err));
    const float *da = vdi_tape_grad(t, a).data;
    const float *db = vdi_tape_grad(t, b).data;
    printf("f = %.4f, df/da = %.4f, df/db = %.4f\n", vdi_tape_item(t, f), *da, *db);
    printf("by hand:     b + cos a = %.4f,     a = %.4f\n", 3 + cos(2), 2.0);
}

static void measure(void) {
    vdi_rng rng = vdi_rng_make(7, 0);
    for (int i = 0; i < POINTS; i++) {
        x[i] = (float)(4 * vdi_rng_uniform(&rng) - 2);
        y[i] = (float)(sin(3 * x[i]) + x[i] / 2 + 0.1 * vdi_rng_normal(&rng));
    }
    for (int i = 0; i < GRID; i++)
        grid[i] = (float)(-2 + 4.0 * i / (GRID - 1));
}

/* One step: the mean squared error of the model, its gradient, a move against it. */
static double step(vdi_tape *t, const vdi_mlp_desc *model, vdi_params *params, vdi_optim *optim) {
    vdi_tape_reset(t); /* forgets the last graph, keeps its memory */
    vdi_params_zero_grad(params);
    vdi_var input = vdi_tape_constant(t, vdi_tensor_2d(x, VDI_F32, POINTS, 1));
    vdi_var truth = vdi_tape_constant(t, vdi_tensor_2d(y, VDI_F32, POINTS, 1));
    vdi_var output = vdi_mlp_apply(t, model, params->item, input);
    vdi_var loss = vdi_var_mean(t, vdi_var_square(t, vdi_var_sub(t, output, truth)));
    vdi_tape_backward(t, loss);
    need(vdi_tape_status(t, &err));
    need(vdi_optim_step(optim, &err));
    return vdi_tape_item(t, loss);
}

/* What the model says on the grid, to (GRID). */
static void predict(vdi_tape *t, const vdi_mlp_desc *model, const vdi_params *params, double *to) {
    vdi_tape_reset(t);
    vdi_var input = vdi_tape_constant(t, vdi_tensor_2d(grid, VDI_F32, GRID, 1));
    vdi_var output = vdi_mlp_apply(t, model, params->item, input);
    need(vdi_tape_status(t, &err));
    need(vdi_tensor_copy(vdi_tensor_2d(to, VDI_F64, GRID, 1), vdi_tape_value(t, output), &err));
}

static void fit(vdi_tape *t, const vdi_mlp_desc *model, const vdi_optim_desc *rule, int steps,
                double *to) {
    vdi_rng rng = vdi_rng_make(7, 1);
    vdi_param_desc list[6];
    vdi_params *params;
    vdi_optim *optim;
    int64_t count = vdi_mlp_declare(model, list, 6);
    need(vdi_params_create(list, count, VDI_F32, NULL, &rng, &params, &err));
    need(vdi_optim_create(rule, params, NULL, &optim, &err));
    printf("\n%s: %d parameters\n", model->name, (int)vdi_params_size(params));
    for (int i = 0; i <= steps; i++) {
        double loss = step(t, model, params, optim);
        if (i % (steps / 5) == 0) printf("step %4d: mean squared error %.4f\n", i, loss);
    }
    predict(t, model, params, to);
    vdi_optim_destroy(optim);
    vdi_params_destroy(params);
}

static void draw(const char *path) {
    vdi_figure f;
    vdi_figure_init(&f, NULL);
    vdi_panel *p = vdi_figure_panel(&f, 0, 0);
    p->x0 = -2;
    p->dx = 4.0 / (GRID - 1);
    vdi_tensor at = vdi_tensor_1d(x, VDI_F32, POINTS), seen = vdi_tensor_1d(y, VDI_F32, POINTS);
    vdi_panel_scatter(p, "data", at, seen)->color = VDI_COLOR_GREY;
    vdi_panel_line(p, "line", vdi_tensor_1d(line, VDI_F64, GRID));
    vdi_panel_line(p, "network", vdi_tensor_1d(net, VDI_F64, GRID));
    need(vdi_svg_save(path, &f, &err));
    vdi_figure_free(&f);
}

int main(int argc, char **argv) {
    vdi_mlp_desc smallest = {.name = "line", .layers = 1, .sizes = {1, 1}};
    vdi_mlp_desc larger = {.name = "network", .layers = 3, .sizes = {1, 32, 32, 1}};
    vdi_optim_desc descent = {.kind = VDI_OPTIM_SGD, .rate = 0.2};
    vdi_optim_desc adam = {.rate = 1e-2, .schedule = {.kind = VDI_SCHEDULE_COSINE, .steps = 1500}};
    vdi_tape *t;
    larger.act = VDI_ACT_TANH; /* between the layers */
    measure();
    need(vdi_tape_create(NULL, &t, &err));
    two_numbers(t);
    fit(t, &smallest, &descent, 50, line);
    fit(t, &larger, &adam, 1500, net);
    if (argc > 1) draw(argv[1]);
    vdi_tape_destroy(t);
    return 0;
}
