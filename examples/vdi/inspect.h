/* examples/vdi/inspect.h - what vdi sacd inspect has recorded, and the page about it */
#ifndef TOOL_INSPECT_H
#define TOOL_INSPECT_H
#include "sacd.h"

typedef struct episode {
    vdi_sacd_trace *trace;
    int64_t stride, states, candidates; /* candidate actions are known at steps 0, stride, 2 stride,
                                           ... */
    int64_t sweep_stride, sweeps;       /* likewise for the axes of the action */
    float *action;                      /* (states, candidates, actions) */
    float *q[2];                        /* (states, candidates, heads) of the twins */
    float
        *sweep; /* (sweeps, actions, SWEEP, heads): Q_i of the smaller twin where one number of the
                     action taken is moved from -1 to 1; of choices (sweeps, 1, actions, heads) */
} episode;

enum { SWEEP = 11, CURVES = 2, POINTS = 300 };

/* Returns over training, out of a run's log.csv: means of 20 episodes at up to POINTS steps. */
typedef struct learning_curve {
    const char *name;
    int64_t points;
    double step[POINTS], value[POINTS];
} learning_curve;

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
    learning_curve curve[CURVES];
    int curves;
} inspection;

/* how many points an axis has, and how many axes */
int64_t sweep_points(const inspection *s);
int64_t sweep_axes(const inspection *s);
/* folder/inspect.html; messages are printed by it */
bool inspect_page(const inspection *s, const char *folder);

#endif
