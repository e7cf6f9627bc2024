/* examples/vdi/sacd_train.h - a training under way: what sacd_train.c does and sacd_log.c writes */
#ifndef TOOL_SACD_TRAIN_H
#define TOOL_SACD_TRAIN_H
#include "sacd.h"

enum { COLUMNS = 3 * (VDI_ENV_MAX_COMPONENTS + 1) + 16 /* of a log: reward, influence, loss */ };

/* A table of numbers that grows: one row for each episode, or for each evaluation. */
typedef struct sheet {
    double *data;
    int64_t rows, cols, room;
    const char *name[COLUMNS];
    char text[COLUMNS][48];
} sheet;
void sheet_name(sheet *t, const char *format, const char *what);
double *sheet_row(sheet *t);
vdi_tensor sheet_tensor(const sheet *t);
bool sheet_save(const run *r, const char *name, const sheet *t);
/* all rows of a checkpoint's tensor */
bool sheet_take(const vdi_safetensors *file, const char *name, sheet *t, vdi_error *err);

typedef struct train_options {
    env_options env;
    vdi_sacd_desc agent; /* as given; once the environment is known, as the recipe has it */
    int64_t steps, eval_every, eval_episodes, envs;
    const char *weights, *resume, *schedule, *tame;
    double alpha;
    bool has_alpha;
} train_options;

/* --tame: at step `at`, what has more than `most` of the influence is let in until `back`. */
typedef struct taming {
    double most;
    int64_t at, back;
} taming;

/* One of the environments that are stepped together, and the row of its episode under way. */
typedef struct lane {
    float *before;                                /* an observation */
    bool look;                                    /* is the influence of this step asked for? */
    double influence[VDI_ENV_MAX_COMPONENTS + 1]; /* relative, summed over states */
    double mean_loss[VDI_ENV_MAX_COMPONENTS + 1]; /* likewise over updates */
    double entropy, value, policy_loss;           /* of the last update */
    int64_t states, updates;
} lane;

typedef struct training {
    run *r;
    const train_options *want;
    vdi_env *env, judge; /* (lanes) of training; of evaluations between */
    vdi_sacd_episode **episode;
    vdi_sacd_stats *stats;
    lane *lane;
    int64_t lanes;
    vdi_pool *crew; /* steps them side by side */
    vdi_sacd *agent;
    int64_t heads;
    const char *head[VDI_ENV_MAX_COMPONENTS + 1];
    sheet log, evals;
    taming tame;
    double saved, save_seconds;
} training;

/* the columns, once the environment and the agent are there */
void training_tables(training *t);
/* the row of an episode that has ended; the next one begins with nothing */
void training_log(training *t, int64_t k);
void lane_forget(lane *l);
/* the mean return of the last episodes */
double training_recent(const training *t);
/* curve.svg */
bool training_draw(const training *t);

#endif
