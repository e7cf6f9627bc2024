/* examples/vdi/main.c - the command-line tool: the list of commands */
#include "sacd.h"
#include "spikes.h"
#include "tool.h"
#include "vilds.h"

static const command *const commands[] = {
    &info_command,
    &demo_command,
    &blocktri_command,
    &lds_smooth_command,
    &lds_fit_command,
    &lds_score_command,
    &sacd_train_command,
    &sacd_eval_command,
    &sacd_inspect_command,
    &sacd_envs_command,
    &vilds_fit_command,
    &vilds_infer_command,
    &vilds_score_command,
    &flds_fit_command,
    &flds_infer_command,
    &flds_score_command,
    &spikes_simulate_command,
    &spikes_infer_command,
    &spikes_fit_command,
    &spikes_spine_command,
    &spikes_score_command,
};

int main(int argc, char **argv) {
    run r;
    memset(&r, 0, sizeof r);
    r.lock = -1;
    int code = run_parse(&r, commands, (int)(sizeof commands / sizeof *commands), argc, argv);
    if (code >= 0) return code; /* help, version or a usage error */
    catch_interrupts();
    vdi_error err = {0};
    int threads = (int)option_int(&r, "threads");
    if (threads != 1 && vdi_pool_create(threads, NULL, &r.pool, &err) < 0)
        return fail_error(&err, NULL);
    code = r.command->main(&r);
    vdi_pool_destroy(r.pool);
    if (!run_close(&r) && code == DONE) code = FAILED;
    return code;
}
