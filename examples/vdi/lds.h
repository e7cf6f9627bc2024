/* examples/vdi/lds.h - what the verbs of lds share */
#ifndef LDS_H
#define LDS_H
#include "tool.h"

/* A model from a folder of .npy files, for n channels (0: what C has); a vector R is a diagonal
 * one.
 * Messages are printed by these. */
bool lds_load(const char *folder, int64_t n, int64_t inputs, bool diagonal, vdi_lds **out);
bool lds_data_make(const run *r, const vdi_lds *lds, const observations *o, int64_t window,
                   vdi_lds_data **data);
#define LDS_WINDOW_OPTION(type)                                                                  \
    OPTION(                                                                                      \
        "window", "BINS",                                                                        \
        VDI_FIELD_INT(type, window, 0, 0, 1000000000000,                                         \
                      "bins whose covariances are held at once; 0: all, unless they would take " \
                      "more than 16 MiB"))
/* lds_stream.c: what smooth writes, as it comes; ms (trials,T,d) smoothed means, or NULL, ll
 * (trials) log p(y) */
bool lds_stream(const run *r, const observations *o, const vdi_lds *lds, vdi_lds_data *data,
                double *ms, double *ll);
#define LDS_PARAMS_OPTION(type)                         \
    OPTION_TEXT(type, params, "params", "FOLDER", NULL, \
                "folder with A C Q R b x0 Q0 .npy (B and D with --inputs)")
#endif
