/* examples/vdi/sacd.h - what the commands of the agent share */
#ifndef TOOL_SACD_H
#define TOOL_SACD_H
#include "tool.h"

enum { EVALUATION_SEED = 1000000 /* added to --seed for the episodes of evaluations */ };

/* An agent out of RUN/agent.safetensors, and the environment that it was trained in. */
typedef struct agent_file {
    vdi_safetensors file;
    vdi_sacd *agent;
    const char *env; /* --env of the training; NULL: it was a program, which no file starts */
    int64_t limit;   /* --limit of the training, for who gives none */
} agent_file;
bool agent_is_file(const char *from); /* not a folder: it ends in .safetensors */
/* a run's folder, or a file such as its best.safetensors; prints messages */
bool agent_load(const char *from, vdi_pool *pool, agent_file *out);
void agent_free(agent_file *a);
/* The environment of --env or --env-cmd, else the one of the training in `from`. */
bool agent_env_open(const run *r, const env_options *o, const char *from, const agent_file *a,
                    vdi_env *env);
/* Mean, standard deviation and components of the deterministic policy in so many episodes of the
 * seed + 1,000,000; `r` (may be NULL) gets progress. False on an error, which is told, and on a
 * signal, which is not. */
bool agent_judge(vdi_sacd *agent, vdi_env *env, uint64_t seed, int64_t episodes, double *mean,
                 double *sd, double *components, double *steps, run *r);

#endif
