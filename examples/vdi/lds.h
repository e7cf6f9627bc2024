/* examples/vdi/lds.h - what the verbs of lds share */
#ifndef LDS_H
#define LDS_H
#include "tool.h"

/* A model from a folder of .npy files, for n channels (0: what C has); a vector R is a diagonal
 * one.
 * Messages are printed by these. */
bool lds_load(const char *folder, int64_t n, int64_t inputs, bool diagonal, vdi_lds **out);
bool lds_data_make(const run *r, const vdi_lds *lds, const observations *o, vdi_lds_data **data);
#define LDS_PARAMS_OPTION(type)                         \
    OPTION_TEXT(type, params, "params", "FOLDER", NULL, \
                "folder with A C Q R b x0 Q0 .npy (B and D with --inputs)")
#endif
