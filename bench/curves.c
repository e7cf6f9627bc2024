/* bench/curves.c - learning curves of several runs of vdi sacd train: curves OUT.svg RUN...
 * Each RUN is a folder whose name begins with its algorithm, and has an eval.csv. One panel an
 * algorithm, one line a run.
 *     cc -std=gnu11 -O2 -I. bench/curves.c -o build/curves -lm -lpthread */
#define VDI_IO_IMPLEMENTATION
#include "vdi.h"
#include <stdio.h>

enum { RUNS = 64 };

/* Is this run one of ALGO? Its folder is called ALGO_SEED. */
static bool is(const char *run, const char *algo) {
    const char *name = strrchr(run, '/') ? strrchr(run, '/') + 1 : run, *seed = strrchr(name, '_');
    return seed && (size_t)(seed - name) == strlen(algo) && strncmp(name, algo, strlen(algo)) == 0;
}

int main(int argc, char **argv) {
    static vdi_csv table[RUNS];
    static const char *const algo[] = {"sac-d", "sac", "sac-d-naive", "sac-d-cagrad"};
    vdi_error err = {0};
    vdi_figure f;
    vdi_figure_desc desc = {0};
    if (argc < 3 || argc - 2 > RUNS) {
        fprintf(stderr, "usage: curves OUT.svg RUN...\n");
        return 2;
    }
    int panels = 0, place[4];
    for (int k = 0; k < 4; k++) { /* those that have runs */
        place[k] = -1;
        for (int i = 2; i < argc && place[k] < 0; i++)
            if (is(argv[i], algo[k])) place[k] = panels++;
    }
    desc.rows = panels > 2 ? 2 : 1;
    desc.cols = panels > 1 ? 2 : 1;
    desc.title = "LunarLander on Box2D: mean return of 20 evaluation episodes";
    vdi_figure_init(&f, &desc);
    for (int k = 0; k < 4; k++) {
        if (place[k] < 0) continue;
        vdi_panel *p = vdi_figure_panel(&f, place[k] / 2, place[k] % 2);
        p->title = algo[k];
        p->x.label = "steps of the environment";
        vdi_panel_rule(p, NULL, 'y', 200);
        for (int i = 2; i < argc; i++) {
            char path[1024];
            if (!is(argv[i], algo[k])) continue;
            snprintf(path, sizeof path, "%s/eval.csv", argv[i]);
            if (vdi_csv_load(path, NULL, &table[i - 2], &err) < 0) {
                fprintf(stderr, "curves: %s: %s\n", path, err.message);
                return 1;
            }
            vdi_series *s =
                vdi_panel_line(p, vdi_figure_text(&f, "seed %s", strrchr(argv[i], '_') + 1),
                               vdi_csv_column(&table[i - 2], "return_mean"));
            s->x = vdi_csv_column(&table[i - 2], "step");
        }
    }
    if (vdi_svg_save(argv[1], &f, &err) < 0) {
        fprintf(stderr, "curves: %s\n", err.message);
        return 1;
    }
    vdi_figure_free(&f);
    for (int i = 0; i < argc - 2; i++)
        vdi_csv_free(&table[i]);
    return 0;
}
