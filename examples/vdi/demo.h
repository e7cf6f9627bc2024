/* examples/vdi/demo.h - what the sections of vdi demo share
 *
 * One file per family, demo_<family>.c, with one function that adds rows to the table and a section
 * to the page; demo.c holds the list. A row sets a figure beside what it is to be held against and
 * grades it good, fair or poor; the demo fails if one is poor, so it is a check of the build too.
 */
#ifndef DEMO_H
#define DEMO_H
#include "tool.h"

enum { DEMO_ROWS = 64 };
typedef struct demo {
    run *r;
    bool quick; /* less of everything */
    bool open;  /* there is a page: draw into it */
    report report;
    /* the table */
    const char *family[DEMO_ROWS], *what[DEMO_ROWS], *grade[DEMO_ROWS];
    char against[DEMO_ROWS][64]; /* what a reader holds the value against */
    double value[DEMO_ROWS], seconds[DEMO_ROWS];
    int rows;
} demo;

/* A row; family and what have to last. The value is good from `good` on and poor behind `fair`, of
 * which the larger says whether more is better. `since` is seconds_now() at the start of what is
 * measured; `against` is a format of printf with its arguments. */
void demo_row(demo *m, const char *family, const char *what, double value, double good, double fair,
              double since, const char *against, ...) PRINTF_LIKE(8, 9);

/* The standard error of mean(a) - mean(b), where a and b are of the same n episodes or cells. */
double demo_paired_error(const double *a, const double *b, int n);

/* now = decay R(angle) was + noise N(0, I) in the plane; N(0, I) if it is the first. */
void demo_rotate(vdi_rng *rng, double decay, double angle, double noise, bool first,
                 const double *was, double *now);

/* Each returns false if it failed (it has said why) or was interrupted. */
bool demo_blocktri(demo *m);
bool demo_lds(demo *m);
bool demo_vilds(demo *m);
bool demo_flds(demo *m);
bool demo_spikes(demo *m);
bool demo_sacd(demo *m);

#endif
