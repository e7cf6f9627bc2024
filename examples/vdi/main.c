/* examples/vdi/main.c - the command-line tool: the list of commands */
#include "tool.h"

/* Each is defined in the file of its family. */
/* clang-format off */
#define COMMANDS(row)            \
    row(info_command)            \
    row(demo_command)            \
    row(blocktri_command)        \
    row(lds_smooth_command)      \
    row(lds_fit_command)         \
    row(lds_score_command)       \
    row(lds_forecast_command)    \
    row(lds_sample_command)      \
    row(sacd_train_command)      \
    row(sacd_eval_command)       \
    row(sacd_inspect_command)    \
    row(sacd_compare_command)    \
    row(sacd_export_command)     \
    row(sacd_envs_command)       \
    row(vilds_fit_command)       \
    row(vilds_infer_command)     \
    row(vilds_score_command)     \
    row(flds_fit_command)        \
    row(flds_infer_command)      \
    row(flds_score_command)      \
    row(spikes_simulate_command) \
    row(spikes_infer_command)    \
    row(spikes_fit_command)      \
    row(spikes_spine_command)    \
    row(spikes_score_command)
/* clang-format on */

#define DECLARED(name) extern const command name;
COMMANDS(DECLARED)

/* What could not be said is a failure too. */
static int finish(int code) {
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    const int failed = fail("cannot write to standard output");
    return code == DONE ? failed : code;
}

int main(int argc, char **argv) {
#define LISTED(name) &name,
    static const command *const commands[] = {COMMANDS(LISTED)};
    run r;
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
    return finish(code == INTERRUPTED ? interrupted_code() : code);
}
