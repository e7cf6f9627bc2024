/* A net learns a curve: y = sin(3x) + x/2 from noisy points, with a tape, a parameter set and Adam.
 *
 *     cc -O2 -I.. tape.c -o tape -lm -lpthread && ./tape                (-I: the folder of vdi.h)
 */
#define VDI_GRAD_IMPLEMENTATION
#include "vdi.h"
#include <stdio.h>

enum { POINTS = 128, STEPS = 1500 };

static double curve(double x) { return sin(3 * x) + x / 2; }

int main(void) {
    vdi_error err;
    vdi_rng rng = vdi_rng_make(7, 0); /* the same numbers on every machine */

    /* the data: x (128,1), y (128,1) */
    float x[POINTS], y[POINTS];
    for (int i = 0; i < POINTS; i++) {
        x[i] = (float)(4 * vdi_rng_uniform(&rng) - 2);
        y[i] = (float)(curve(x[i]) + 0.1 * vdi_rng_normal(&rng));
    }

    /* the net: 1 -> 32 -> 32 -> 1, tanh between */
    vdi_mlp_desc net = {0};
    net.name = "net";
    net.layers = 3;
    net.act = VDI_ACT_TANH;
    net.sizes[0] = 1;
    net.sizes[1] = net.sizes[2] = 32;
    net.sizes[3] = 1;
    vdi_param_desc list[6];
    int64_t count = vdi_mlp_declare(&net, list, 6);

    vdi_optim_desc adam = vdi_optim_desc_defaults();
    adam.rate = 1e-2;
    adam.schedule.kind = VDI_SCHEDULE_COSINE;
    adam.schedule.steps = STEPS;

    vdi_params *params = NULL;
    vdi_optim *optim = NULL;
    vdi_tape *t = NULL;
    if (vdi_params_create(list, count, VDI_F32, NULL, &rng, &params, &err) < 0 ||
        vdi_optim_create(&adam, params, NULL, &optim, &err) < 0 ||
        vdi_tape_create(NULL, &t, &err) < 0) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    printf("%lld parameters\n", (long long)vdi_params_size(params));

    for (int step = 0; step <= STEPS; step++) {
        vdi_tape_reset(t); /* forgets the last graph, keeps its memory */
        vdi_params_zero_grad(params);
        vdi_var out = vdi_mlp_apply(t, &net, params->item,
                                    vdi_tape_constant(t, vdi_tensor_2d(x, VDI_F32, POINTS, 1)));
        vdi_var error =
            vdi_var_sub(t, out, vdi_tape_constant(t, vdi_tensor_2d(y, VDI_F32, POINTS, 1)));
        vdi_var loss = vdi_var_mean(t, vdi_var_square(t, error));
        if (vdi_tape_backward(t, loss) < 0 || vdi_optim_step(optim, &err) < 0) {
            (void)vdi_tape_status(t, &err);
            fprintf(stderr, "step %d: %s\n", step, err.message);
            return 1;
        }
        if (step % 250 == 0) printf("step %4d  loss %.5f\n", step, vdi_tape_item(t, loss));
    }

    printf("\n    x   curve     net\n");
    for (int i = -2; i <= 2; i++) {
        float at = 0.75f * (float)i;
        vdi_tape_reset(t);
        vdi_var out = vdi_mlp_apply(t, &net, params->item,
                                    vdi_tape_constant(t, vdi_tensor_2d(&at, VDI_F32, 1, 1)));
        printf("%5.2f  %6.3f  %6.3f\n", (double)at, curve(at), vdi_tape_item(t, out));
    }
    vdi_tape_destroy(t);
    vdi_optim_destroy(optim);
    vdi_params_destroy(params);
    return 0;
}
