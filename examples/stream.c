/* examples/stream.c - a spike network frame by frame, as in an experiment that reacts to spikes
 *
 *     cc -O2 -I. -DVDI_IMPLEMENTATION examples/stream.c -o stream -lm -pthread && ./stream
 *
 * Each layer keeps the frames that its next outputs need, and each output is one chain of
 * multiply-adds. So frames may come one by one or all at once: the bits are the same. The network
 * here is as it was drawn; what it says is not the point (examples/deepspike.c trains one).
 */
#include "vdi.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { T = 3000 };
static float f[T];            /* fluorescence */
static double probability[T]; /* of a spike in each frame, from the whole trace */
static vdi_error err;

static void need(vdi_status status) {
    if (status >= 0) return;
    puts(err.message);
    exit(1);
}

static void simulate(void) {
    vdi_rng rng = vdi_rng_make(7, 0);
    double c = 0;
    for (int t = 0; t < T; t++) {
        c = 0.95 * c + vdi_rng_bernoulli(&rng, 0.015);
        f[t] = (float)(c + 0.2 * vdi_rng_normal(&rng));
    }
}

static vdi_deepspike *create(void) {
    vdi_calcium_desc calcium = vdi_calcium_desc_defaults();
    vdi_deepspike_desc desc = {.layers = 3, .channels = {12, 12, 12}, .width = {31, 15, 11}};
    vdi_deepspike *net;
    desc.generative = vdi_deepspike_calcium(&calcium);
    need(vdi_deepspike_create(&desc, &net, &err));
    return net;
}

static void infer_whole(vdi_deepspike *net) {
    vdi_deepspike_data_desc trace = {.traces = vdi_tensor_2d(f, VDI_F32, 1, T)};
    vdi_deepspike_result out = {.probability = probability};
    vdi_deepspike_data *data;
    need(vdi_deepspike_data_create(net, &trace, &data, &err));
    need(vdi_deepspike_infer(net, data, NULL, &out, &err));
    vdi_deepspike_data_destroy(data);
}

/* Pushes one frame after the other; returns how many answers are not those of the whole trace. */
static int stream(vdi_deepspike *net) {
    size_t bytes = vdi_deepspike_stream_memsize(net, 1);
    void *memory = malloc(bytes);
    vdi_deepspike_stream *s;
    int answers = 0, different = 0;
    need(vdi_deepspike_stream_init(net, 1, 0, 1, memory, bytes, &s, &err));
    for (int t = 0; t < T; t++) {
        float answer;
        if (!vdi_deepspike_stream_push(s, 1, &f[t], &answer)) continue;
        different += answer != probability[answers];
        answers++;
    }
    int delay = (int)vdi_deepspike_stream_delay(net);
    printf("%d frames, %d answers, each %d frames late\n", T, answers, delay);
    printf("answers that differ from those of the whole trace: %d\n", different);
    free(memory);
    return different;
}

int main(void) {
    vdi_deepspike *net = create();
    simulate();
    infer_whole(net);
    int different = stream(net);
    vdi_deepspike_destroy(net);
    return different != 0; /* the example is also a test */
}
