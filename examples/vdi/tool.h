/* examples/vdi/tool.h - what the commands of the tool share: options, messages, the run folder,
 * arrays
 *
 * A command is a struct for its options, rows that bind its members (core/field.h), and a function
 * that is called with that struct. Parsing, ranges, help and run.json come from the rows; main.c
 * holds the list of commands. What it needs of the system is in system.h.
 */
#ifndef TOOL_H
#define TOOL_H
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "system.h"
#include "vdi.h"

/* printf as C99 has it: of the two that mingw brings, the one that its flags chose */
#ifdef __MINGW_PRINTF_FORMAT
#define PRINTF_LIKE(format_, first) __attribute__((format(__MINGW_PRINTF_FORMAT, format_, first)))
#else
#define PRINTF_LIKE(format_, first) __attribute__((format(printf, format_, first)))
#endif

/* exit codes, as promised in the help */
enum { DONE = 0, FAILED = 1, USAGE = 2, INTERRUPTED = 130 };

/* An option: a row that binds a member of the verb's struct, which it reaches in one of three ways:
 * a text at `offset`, a field of its own, or the field `member` of a library's table whose
 * description stands at `offset`. Ranges, help and run.json come from the row. */
typedef struct option {
    const char *name;    /* without the dashes; NULL: `help` is the heading of what follows */
    const char *also;    /* another name, or NULL */
    const char *value;   /* in the help: what stands for it; NULL: a flag */
    const char *initial; /* the tool's own default; "auto": the verb finds one; NULL: the field's */
    const char *help;    /* NULL: that of the field */
    size_t offset;
    const vdi_fields *(*table)(void);
    const char *member;
    vdi_field own;
} option;

#define OPTION_TEXT(type, member, name_, value_, initial_, help_)           \
    {                                                                       \
        .name = name_, .value = value_, .initial = initial_, .help = help_, \
        .offset = offsetof(type, member)                                    \
    }
/* a field of the verb's own: VDI_FIELD_...(its struct, member, ...) */
#define OPTION(name_, value_, ...) \
    { .name = name_, .value = value_, .own = __VA_ARGS__ }
/* a field that the verb finds a value for where none is given */
#define OPTION_AUTO(name_, value_, ...) \
    { .name = name_, .value = value_, .initial = "auto", .own = __VA_ARGS__ }
/* the field `member_` of the description `desc` in the verb's struct */
#define OPTION_OF(name_, value_, initial_, type, desc, table_, member_)                          \
    {                                                                                            \
        .name = name_, .value = value_, .initial = initial_, .table = table_, .member = member_, \
        .offset = offsetof(type, desc)                                                           \
    }
#define OPTION_GROUP(heading) \
    { .help = heading }

struct run;
typedef struct command {
    const char *family, *verb; /* verb "" for a family without verbs */
    const char *arguments;     /* "Y [Y2]" */
    int least, most;           /* how many arguments; with --resume none are needed */
    bool out;                  /* needs --out */
    const char *summary, *example;
    const option *options;
    int option_count;
    size_t size; /* of the verb's struct of options */
    int (*main)(struct run *run, void *options);
} command;
#define COMMAND_OPTIONS(rows) .options = rows, .option_count = (int)(sizeof(rows) / sizeof *(rows))

/* One invocation. */
typedef struct run {
    const command *command;
    const char *argument[256];
    int arguments;
    void *options;                                           /* the verb's struct */
    enum { NOT_GIVEN, AS_AUTO, IN_FILE, ON_LINE } given[72]; /* of each option, common ones first */
    /* common options */
    const char *out, *simd, *from;
    uint64_t seed;
    int32_t threads;
    bool quiet, json;
    const char *resume; /* as the verb has it */
    vdi_pool *pool;
    int lock;
    /* progress */
    double started, spoke;
    int64_t first_step;
    bool drew;
    bool told_memory;
} run;

/* options.c: -1, or an exit code with its message printed */
int run_parse(run *r, const command *const *commands, int count, int argc, char **argv);
/* how an option of this verb was given; AS_AUTO is the word auto on the command line */
int option_given(const run *r, const char *name);
int option_count(const command *c);
const option *option_at(const command *c, int i);
int option_find(const command *c, const char *name);
/* the field that a row binds, and where its description stands (the run for common options); false
 * for a text, which stands at *base then */
bool option_bound(const run *r, int i, vdi_field *field, char **base);
/* false with a message: `text` is no value */
bool option_set(run *r, int i, const char *text);
/* What was given of the description with that table, as `from` has it, into `to`: also zeros that
 * were meant, which a recipe took for the default. */
void options_overlay(const run *r, const vdi_fields *(*table)(void), const void *from, void *to);
/* as a user writes it: --rate */
const char *option_dashes(const option *o);
/* "2/8", the second of eight shares of a job: of a file's text, and of --shard, which is 1/1 where
 * there is none and has a message where it is wrong */
bool shard_parse(const char *text, int64_t *i, int64_t *n);
bool shard_read(const char *text, int64_t *i, int64_t *n);

/* cv.c: the jobs of all argument folders as one cross-validation; an exit code */
int cv_merge(run *r);
/* "lds fit", or "info" */
const char *command_name(const command *c);

/* help.c */
int run_help(FILE *to, const command *const *commands, int count, const char *family,
             const char *verb);
/* an option as help and manual have it: "-d, --dim D", and whole sentences */
enum { OPTION_HELP = 2400 };
typedef struct option_text {
    char name[80], help[OPTION_HELP];
} option_text;
void option_words(const option *o, option_text *text);
/* The first sentence of a summary, or what stands before its first colon or semicolon. */
void first_sentence(char *out, size_t size, const char *text);
/* manual.c: `vdi man`, and `vdi completion bash|zsh|fish`; an exit code */
int run_manual(FILE *to, const command *const *commands, int count);
int run_completion(FILE *to, const command *const *commands, int count, const char *shell);
/* what a field takes, as words */
void option_range(const option *o, const vdi_field *field, char *text, size_t size);

/* run_json.c: run.json has all that decides the result, as it was resolved */
bool run_json_save(const run *r);
/* arguments and options that are not on the command line; finds the command if there is none yet */
bool run_json_take(run *r, const char *path, const command *const *commands, int count);

/* run.c */
/* prints the one line, returns FAILED */
int fail(const char *format, ...) PRINTF_LIKE(1, 2);
/* likewise, returns USAGE */
int usage(const char *format, ...) PRINTF_LIKE(1, 2);
/* "vdi: warning: KIND: ...", one line, also with --quiet */
void warn(const char *kind, const char *format, ...) PRINTF_LIKE(2, 3);
/* warnings from here on end in the name of the file that they are about; NULL: they do not */
void warn_of(const char *file);
/* a vdi_error, and the file it is about (or NULL) */
int fail_error(const vdi_error *err, const char *file);
/* --out: create, lock (unless the run has a lock, being a part of another), write run.json */
bool run_open_out(run *r);
void run_close(run *r);
char *path_join(const char *folder, const char *name); /* malloc'ed */
bool save_atomically(const char *path,
                     vdi_status (*save)(const char *path, const void *what, vdi_error *err),
                     const void *what, vdi_error *err);
bool save_svg(const char *path, vdi_figure *f, vdi_error *err);
/* out/name of columns; messages are printed by it */
bool save_csv(const run *r, const char *name, const vdi_named_tensor *columns, int64_t count);
/* state.c: a state with room for more tensors and notes; what they point to has to last. Saving it
 * as out/name frees it, and prints messages. */
vdi_state *state_copy(const vdi_state *from, int64_t tensors, int64_t notes);
void state_add(vdi_state *s, const char *name, vdi_tensor t);
void state_note(vdi_state *s, const char *key, const char *value);
bool state_save(const run *r, const char *name, vdi_state *s);
/* Out of a checkpoint of EM: a number for each of the *done iterations, at most `most`. False, with
 * err set, if it has no such trace. */
bool trace_take(const vdi_safetensors *file, int64_t most, double *trace, int64_t *done,
                vdi_error *err);
/* A page that is written beside its file and renamed; messages are printed. */
typedef struct report {
    vdi_page page;
    vdi_writer w;
    char *path, *part;
} report;
bool report_open(report *p, const char *folder, const char *name, const char *title);
bool report_close(report *p);
/* have `seconds` passed since *saved? Then *saved is now. */
bool checkpoint_due(double *saved, double seconds);
/* tell how far a loop is: `name` and `value` are what is being driven (a loss) */
void progress(run *r, int64_t step, int64_t steps, const char *name, double value);
void progress_end(run *r);
/* a name or another text as JSON has it, in quotes */
void print_json_text(const char *text);
/* {"key": number, ...} on one line of stdout if --json, else one line per pair; NULL ends the
 * list */
void print_results(const run *r, const char *const *keys, const double *values, int count);
/* results by name, in the order in which they are told */
typedef struct told {
    const char *key[16];
    double value[16];
    int count;
} told;
void told_add(told *t, const char *key, double value);

/* arrays.c: float64 tensors out of .npy, .npz:name or .csv, and back; messages are printed by
 * them */
bool array_load(const char *path, vdi_tensor *out);
/* folder/name.npy */
bool array_load_in(const char *folder, const char *name, bool optional, vdi_tensor *out);
/* a list of numbers with commas between: how many, or -1 */
int numbers_read(const char *text, double *out, int most);
/* out/name.npy */
bool array_save(const run *r, const char *name, int ndim, const int64_t *shape, const double *data);
/* rows.c: a matrix in a file, read row by row. A plain .npy stays on disk, whatever its order;
 * other formats are loaded. In a table (.csv, .tsv, .txt) rows are its columns; `transposed` means
 * the other way. */
typedef struct rows_in {
    const char *path;
    int ndim;
    int64_t shape[VDI_MAX_DIMS]; /* as the file has it, after transposing */
    int64_t rows, columns;       /* axes before the last are rows */
    /* private */
    vdi_tensor whole;
    int file;
    vdi_dtype dtype;
    int64_t data, row_stride, column_stride; /* bytes before the data; elements */
    double *block;
    int64_t block_first, block_rows;
} rows_in;
bool rows_open(const char *path, bool transposed, rows_in *m);
bool rows_read(rows_in *m, int64_t row, double *out); /* (columns) */
void rows_close(rows_in *m);
bool rows_is_table(const char *path);
/* out/name.npy, written row by row; messages are printed. */
typedef struct rows_shape {
    vdi_dtype dtype;
    bool vector;    /* (columns,), else (rows,columns) */
    int64_t planes; /* (planes,rows,columns): row i of plane s is number s * rows + i; its header
                       tells no row until all are done. 0: none */
    int64_t each;   /* (rows / each,each,columns); 0: none */
    int64_t columns;
} rows_shape;
typedef struct rows_out {
    char *path, *raw;
    int file;
    rows_shape shape;
} rows_out;
/* `go_on`: keep what is there */
bool rows_begin(const run *r, const char *name, const rows_shape *shape, bool go_on, rows_out *m);
bool rows_write(rows_out *m, int64_t row, const double *values);
/* `count` rows that lie one behind the other */
bool rows_write_some(rows_out *m, int64_t row, int64_t count, const double *values);
bool rows_back(rows_out *m, int64_t row, double *out); /* what was written */
/* so many rows are written: the header says so, and the file is an array that can be read */
bool rows_tell(rows_out *m, int64_t rows);
/* the same once they are on the disk: a run may go on from there */
bool rows_keep(rows_out *m, int64_t rows);
/* the same, and there are no more: close */
bool rows_end(rows_out *m, int64_t rows);
/* close as it is */
void rows_leave(rows_out *m);
/* Files beside Y; any may be NULL. */
typedef struct observation_options {
    const char *lengths, *inputs, *offset;
} observation_options;
#define OBSERVATION_OPTIONS(type, member, prefix)                            \
    OPTION_TEXT(type, member.lengths, prefix "lengths", "LENGTHS.npy", NULL, \
                "bins of each trial that count (trials,); all without it"),  \
        OPTION_TEXT(type, member.inputs, prefix "inputs", "U.npy", NULL,     \
                    "known inputs u (trials,T,inputs): z_t += B u_t, and of lds y_t += D u_t")
#define OFFSET_OPTION(type, member, prefix)                         \
    OPTION_TEXT(type, member.offset, prefix "offset", "FILE", NULL, \
                "added to the log rate (to the mean, if gaussian); broadcast to the shape of Y")
/* Observations as a verb's argument names them. */
typedef struct observations {
    const char *file;
    vdi_tensor y, u;   /* (trials,T,n) or (T,n); (trials,T,inputs) or (T,inputs) */
    vdi_tensor offset; /* of log rates, where a family has them */
    int64_t *lengths, trials, T, n, inputs;
} observations;
bool observations_load(const char *path, const observation_options *with, observations *o);
void observations_free(observations *o);
/* isfinite, which converts to float in some C libraries */
static inline bool is_finite(double x) { return x - x == 0; }
/* malloc or die cleanly */
double *doubles(int64_t count);
/* Unless --quiet: what `what` takes, from 100 MB on. */
void memory_tell(const run *r, double bytes, const char *what);

/* pipe.c: a program that serves an environment. Messages are printed by it. */
bool server_open(const char *line, double timeout, vdi_env *env);

/* environment.c: the environment of --env or --env-cmd. Messages are printed by it, and wrong usage
 * ends the tool; so call it before the run folder is open. vdi_env_close gives it back, and the
 * program behind it. */
typedef struct env_options {
    const char *name, *command; /* one of the two */
    double timeout;
    int64_t limit; /* steps of an episode, 0: what the environment says */
    bool trust;
} env_options;
#define ENV_OPTIONS(type)                                                                   \
    OPTION_GROUP("the environment"),                                                        \
        OPTION_TEXT(type, env.name, "env", "NAME", NULL,                                    \
                    "a built-in environment (vdi sacd envs)"),                              \
        OPTION_TEXT(type, env.command, "env-cmd", "CMD", NULL,                              \
                    "a program that speaks the protocol of docs/guide/environments.md"),    \
        OPTION("trust", NULL,                                                               \
               VDI_FIELD_BOOL(type, env.trust,                                              \
                              "run the --env-cmd that stands in the run.json of the run")), \
        OPTION("env-timeout", "S",                                                          \
               VDI_FIELD_REAL(type, env.timeout, 60, 0, 1e6,                                \
                              "seconds that a reply of it may take; 0: any time")),         \
        OPTION("limit", "N",                                                                \
               VDI_FIELD_INT(type, env.limit, 0, 0, 1000000000000,                          \
                             "most steps of an episode; one that is cut off there counts "  \
                             "as a time-out, so values go on; 0: as the environment says"))
/* Those that come with vdi as programs, ended by one without a line. */
typedef struct env_program {
    vdi_env env; /* sizes and names alone */
    const char *line, *summary;
} env_program;
extern const env_program env_programs[];
bool env_open(const run *r, const env_options *o, vdi_env *env);
/* May `line`, which a file holds, be run? Nothing out of a file is, unless the user says --trust;
 * then it is shown. Else a message is printed. */
bool env_command_trusted(const char *line, const char *file, bool trust);
/* a built-in name, or a command line for sh; `o` has the limits */
bool env_open_as(const char *name, const char *line, const env_options *o, vdi_env *env);

/* decode.c: latents (trials,T,d) against what is in the file (NULL: nothing): decoded.npy, and
 * decode_r2 */
bool decode_tell(const run *r, const char *path, int64_t trials, int64_t T, int64_t d,
                 const int64_t *lengths, const double *latents, told *t);
#define DECODE_OPTION(type)                                                                     \
    OPTION_TEXT(type, decode, "decode", "FILE", NULL,                                           \
                "a thing that was measured, (trials,T,k) or (trials,T): decoded.npy, by ridge " \
                "regression of trials held out, and decode_r2")

/* latents.c */
bool latents_draw(const char *path, const vdi_lds *lds, vdi_lds_data *data, const double *trace,
                  int64_t iterations, vdi_error *err);

#endif
