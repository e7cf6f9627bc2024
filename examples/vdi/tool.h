/* examples/vdi/tool.h - what the commands of the tool share: options, messages, the run folder,
 * arrays
 *
 * A command is a row in a table (its options too, so that the help, run.json and the parser can't
 * disagree) and a function. One file per family; main.c holds the list. This program uses POSIX;
 * the header it stands on does not.
 */
#ifndef TOOL_H
#define TOOL_H
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vdi.h"

/* exit codes, as promised in the help */
enum { DONE = 0, FAILED = 1, USAGE = 2, INTERRUPTED = 130 };

typedef enum option_kind { FLAG, INTEGER, REAL, TEXT } option_kind;
typedef struct option {
    const char *name; /* without the dashes */
    option_kind kind;
    const char *value;   /* in the help: what stands for it */
    const char *initial; /* default; NULL: none */
    const char *meaning;
} option;

struct run;
typedef struct command {
    const char *family, *verb; /* verb "" for a family without verbs */
    const char *arguments;     /* "Y [Y2]" */
    int least, most;           /* how many arguments */
    const char *summary, *example;
    const option *options;
    int option_count;
    int (*main)(struct run *run);
} command;

extern const command info_command, blocktri_command, lds_smooth_command, lds_fit_command,
    lds_score_command, demo_command;

/* One invocation. */
typedef struct run {
    const command *command;
    const char *argument[8];
    int arguments;
    const char *value[64]; /* of each option, common ones first; NULL: not given and no default */
    bool given[64];        /* on the command line or in --from */
    bool from_file[64];    /* in a run.json, not on the command line */
    char *out;             /* --out, created; NULL: none */
    bool quiet, json;
    vdi_pool *pool;
    int lock;
    /* progress */
    double started, spoke;
    int64_t first_step;
    bool drew;
} run;

/* options.c */
int run_parse(run *r, const command *const *commands, int count, int argc, char **argv);
bool option_flag(const run *r, const char *name);
int64_t option_int(const run *r, const char *name);
double option_real(const run *r, const char *name);
const char *option_text(const run *r, const char *name); /* NULL: not given */
bool option_given(const run *r, const char *name);
bool option_from_file(const run *r, const char *name);
/* What a default came to, so that run.json tells it and a run from that file repeats it; the value
 * of an option, other than auto, stays. */
void option_resolve(run *r, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
int run_help(FILE *to, const command *const *commands, int count, const char *family,
             const char *verb);
bool save_run_json(const run *r);

/* run.c */
double seconds_now(void);
/* prints the one line, returns FAILED */
int fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* likewise, returns USAGE */
int usage(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* a vdi_error, and the file it is about (or NULL) */
int fail_error(const vdi_error *err, const char *file);
/* --out: create, lock, write run.json */
bool run_open_out(run *r);
bool run_close(run *r);
char *path_join(const char *folder, const char *name); /* malloc'ed */
bool file_exists(const char *path);
bool save_atomically(const char *path,
                     vdi_status (*save)(const char *path, const void *what, vdi_error *err),
                     const void *what, vdi_error *err);
void catch_interrupts(void);
bool interrupted(void);
/* tell how far a loop is: `name` and `value` are what is being driven (a loss) */
void progress(run *r, int64_t step, int64_t steps, const char *name, double value);
void progress_end(run *r);
/* {"key": number, ...} on one line of stdout if --json, else one line per pair; NULL ends the
 * list */
void print_results(const run *r, const char *const *keys, const double *values, int count);

/* arrays.c: float64 tensors out of .npy, .npz:name or .csv, and back; messages are printed by
 * them */
bool array_load(const char *path, vdi_tensor *out);
/* folder/name.npy */
bool array_load_in(const char *folder, const char *name, bool optional, vdi_tensor *out);
/* out/name.npy */
bool array_save(const run *r, const char *name, int ndim, const int64_t *shape, const double *data);
/* NULL path: NULL, all */
bool lengths_load(const char *path, int64_t trials, int64_t **out);
/* Observations as a verb's argument names them, with its --lengths and --inputs (either may be
 * NULL). */
typedef struct observations {
    const char *file;
    vdi_tensor y, u;   /* (trials,T,n) or (T,n); (trials,T,inputs) or (T,inputs) */
    vdi_tensor offset; /* of log rates, where a family has them */
    int64_t *lengths, trials, T, n, inputs;
} observations;
bool observations_load(const char *path, const char *lengths, const char *inputs, observations *o);
void observations_free(observations *o);
/* malloc or die cleanly */
double *doubles(int64_t count);

/* pipe.c: the environment of --env or --env-cmd. Messages are printed by it, and wrong usage ends
 * the tool; so call it before the run folder is open. vdi_env_close gives it back, and the program
 * behind it. */
#define ENV_OPTIONS                                                                                \
    {"env", TEXT, "NAME", NULL, "a built-in environment (vdi sacd envs)"},                         \
        {"env-cmd", TEXT, "CMD", NULL,                                                             \
         "a program that speaks the protocol of docs/guide/environments.md"},                      \
        {"trust", FLAG, NULL, NULL, "run the --env-cmd that stands in the run.json of the run"}, { \
        "env-timeout", REAL, "S", "60", "seconds that a reply of it may take; 0 = any time"        \
    }
/* Those that come with vdi as programs, ended by one without a line. */
typedef struct env_program {
    vdi_env env; /* sizes and names alone */
    const char *line, *summary;
} env_program;
extern const env_program env_programs[];
bool env_open(run *r, vdi_env *env);
/* May `line`, which a file holds, be run? Nothing out of a file is, unless the user says --trust;
 * then it is shown. Else a message is printed. */
bool env_command_trusted(const char *line, const char *file, bool trust);
/* a built-in name, or a command line for sh */
bool env_open_as(const char *name, const char *line, double timeout, vdi_env *env);

/* latents.c */
bool latents_draw(const char *path, const vdi_lds *lds, vdi_lds_data *data, const double *trace,
                  int64_t iterations, vdi_error *err);

#endif
