/* examples/vdi/inspect.h - what vdi sacd inspect has recorded, and the page about it */
#ifndef TOOL_INSPECT_H
#define TOOL_INSPECT_H
#include "sacd.h"

typedef struct episode {
    vdi_sacd_trace *trace;
    int64_t stride, states, candidates; /* candidate actions are known at steps 0, stride, 2 stride,
                                           ... */
    float *action;                      /* (states, candidates, actions) */
    float *q[2];                        /* (states, candidates, heads) of the twins */
} episode;

typedef struct inspection {
    vdi_sacd *agent;
    const vdi_env *env;
    const char *run, *algo;
    int64_t episodes, heads, steps;
    double gamma;
    const char *head[VDI_CRITIC_HEADS];
    /* influence: mean share over all steps */
    double weights[VDI_CRITIC_HEADS], influence[VDI_CRITIC_HEADS];
    vdi_value_check check;
    episode *episode;
} inspection;

/* folder/inspect.html; messages are printed by it */
bool inspect_page(const inspection *s, const char *folder);

#endif
