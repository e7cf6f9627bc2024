/* examples/vdi/main.c - the command-line tool: the list of commands */
#include "tool.h"

/* A row for each command NAME: the file of its family defines NAME_command. */
#define COMMANDS(ROW)    \
    ROW(info)            \
    ROW(demo)            \
    ROW(counts)          \
    ROW(merge)           \
    ROW(blocktri)        \
    ROW(lds_fit)         \
    ROW(lds_smooth)      \
    ROW(lds_score)       \
    ROW(lds_forecast)    \
    ROW(lds_sample)      \
    ROW(lds_cv)          \
    ROW(plds_fit)        \
    ROW(plds_infer)      \
    ROW(plds_score)      \
    ROW(plds_predict)    \
    ROW(plds_cv)         \
    ROW(sacd_train)      \
    ROW(sacd_eval)       \
    ROW(sacd_inspect)    \
    ROW(sacd_compare)    \
    ROW(sacd_export)     \
    ROW(sacd_envs)       \
    ROW(vilds_fit)       \
    ROW(vilds_infer)     \
    ROW(vilds_score)     \
    ROW(flds_fit)        \
    ROW(flds_infer)      \
    ROW(flds_score)      \
    ROW(flds_cv)         \
    ROW(latents_compare) \
    ROW(latents_decode)  \
    ROW(spikes_simulate) \
    ROW(spikes_infer)    \
    ROW(spikes_fit)      \
    ROW(spikes_spine)    \
    ROW(spikes_score)

#define DECLARED(name) extern const command name##_command;
COMMANDS(DECLARED)

/* What could not be said is a failure too. */
static int finish(int code) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    const int failed = fail("cannot write to standard output");
    return code == DONE ? failed : code;
}

int main(int argc, char **argv) {
#define LISTED(name) &name##_command,
    static const command *const commands[] = {COMMANDS(LISTED)};
    run r;
    system_begin(&argc, &argv);
    memset(&r, 0, sizeof r);
    r.lock = -1;
    int code = run_parse(&r, commands, (int)(sizeof commands / sizeof *commands), argc, argv);
    if (code >= 0) return finish(code); /* help, version or a usage error */
    catch_interrupts();
    vdi_error err = {0};
    if (r.threads != 1 && vdi_pool_create(r.threads, NULL, &r.pool, &err) < 0)
        return fail_error(&err, NULL);
    code = r.command->main(&r, r.options);
    vdi_pool_destroy(r.pool);
    free(r.options);
    run_close(&r);
    /* done within the second that it had: still interrupted to the script that called it */
    if (code == DONE && interrupted()) code = INTERRUPTED;
    return finish(code == INTERRUPTED ? interrupted_code() : code);
}
