/* bench/pretrained.c - the pretrained network: what a trace costs, from frames to expected spikes,
 * and what a simulated one costs
 *
 * Three members, as the one that is shipped has. Weights are random; the work does not depend on
 * them.
 */
#include "bench.h"

enum { FRAMES = 6000 };
typedef struct box_case {
    vdi_pretrained *net;
    double fps;
    float *trace, *spikes;
    void *work;
    size_t size;
    vdi_population_desc population;
    double spike[16384];
    uint64_t cell;
} box_case;

static void run_infer(void *ctx) {
    box_case *c = (box_case *)ctx;
    vdi_pretrained_result r = VDI__ZERO;
    r.spikes = c->spikes;
    if (vdi_pretrained_infer(c->net, VDI_F32, FRAMES, c->trace, c->fps, c->work, c->size, &r,
                             NULL) < 0)
        abort();
}

static void run_prepare(void *ctx) {
    box_case *c = (box_case *)ctx;
    vdi_prepared p;
    if (vdi_pretrained_prepare(VDI_F32, FRAMES, c->trace, c->fps, c->work, c->size, &p, NULL) < 0)
        abort();
}

static void run_simulate(void *ctx) {
    box_case *c = (box_case *)ctx;
    vdi_cell cell;
    (void)vdi_population_draw(&c->population, 1, c->cell++ % 64, &cell);
    (void)vdi_cell_simulate(&c->population, &cell, c->work, c->trace, c->spikes, c->spike, 16384);
}

int main(int argc, char **argv) {
    static box_case c;
    static const double rates[] = {60, 30, 122};
    vdi_rng rng = vdi_rng_make(1, 1);
    vdi_pretrained_desc desc = vdi_pretrained_desc_defaults();
    bench_begin("pretrained", argc, argv);
    desc.members = 3;
    if (vdi_pretrained_create_random(&desc, NULL, &rng, &c.net, NULL) < 0) abort();
    c.population = vdi_population_desc_defaults();
    c.population.seconds.low = c.population.seconds.high = 30;
    c.size = vdi_pretrained_memsize(c.net, FRAMES, 30);
    if (c.size < vdi_cell_memsize(&c.population)) c.size = vdi_cell_memsize(&c.population);
    c.work = bench_alloc(c.size);
    c.trace = (float *)bench_array(VDI_F32, FRAMES, -1, 1);
    c.spikes = (float *)bench_alloc(FRAMES * sizeof(float));
    for (int i = 0; i < 3; i++) {
        char name[96];
        snprintf(name, sizeof name, "expected spikes at %g Hz, per 1000 frames", rates[i]);
        c.fps = rates[i];
        if (bench_row(name, BENCH_MS, FRAMES / 1000.0)) {
            bench_vdi(run_infer, &c);
            if (i == 0) {
                bench_bar_figure(1, VDI_F32);
                bench_aim_figure(0.5, VDI_F32);
            }
            bench_run();
        }
    }
    c.fps = 60;
    if (bench_row("of that: preparation and statistics at 60 Hz, per 1000 frames", BENCH_MS,
                  FRAMES / 1000.0)) {
        bench_vdi(run_prepare, &c);
        bench_run();
    }
    if (bench_row("a simulated cell of 30 s", BENCH_MS, 1)) {
        bench_vdi(run_simulate, &c);
        bench_run();
    }
    vdi_pretrained_destroy(c.net);
    return bench_end();
}
