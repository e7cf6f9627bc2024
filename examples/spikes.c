/* spikes.c - a fluorescence trace in, the spikes expected in each frame out
 *
 *     spikes 30 < trace.txt     frames a second; one number a line, nan where a frame is missing
 *     spikes                    without a rate: ten seconds of a cell that it makes up
 */
#define VDI_PRETRAINED_WEIGHTS
#include "vdi.h"
#include <stdio.h>
#include <stdlib.h>

enum { MOST = 1000000 };
static float trace[MOST], spikes[MOST];

int main(int argc, char **argv) {
    double fps = argc > 1 ? atof(argv[1]) : 30;
    int64_t frames = 0;
    if (argc > 1) {
        while (frames < MOST && scanf("%f", &trace[frames]) == 1)
            frames++;
    }
    vdi_rng rng = vdi_rng_make(1, 0);
    for (float calcium = 0; argc == 1 && frames < 300;
         frames++) { /* three spikes, at 2, 5, 5.1 s */
        calcium = calcium * 0.95f + (frames == 60 || frames == 150 || frames == 153);
        trace[frames] = calcium + 0.15f * (float)vdi_rng_normal(&rng);
    }
    vdi_pretrained *net;
    vdi_pretrained_result result = {.spikes = spikes};
    vdi_error err;
    bool ok = vdi_pretrained_create(&vdi_pretrained_shipped, NULL, &net, &err) >= 0;
    size_t size = ok ? vdi_pretrained_memsize(net, frames, fps) : 0;
    void *work = malloc(size);
    ok = ok &&
         vdi_pretrained_infer(net, VDI_F32, frames, trace, fps, work, size, &result, &err) >= 0;
    if (!ok) fprintf(stderr, "%s\n", err.message);
    for (int64_t t = 0; ok && t < frames; t++) {
        if (argc > 1 || spikes[t] > 0.2) printf("%8.3f s %6.3f\n", (double)t / fps, spikes[t]);
    }
    free(work);
    return ok ? 0 : 1;
}
