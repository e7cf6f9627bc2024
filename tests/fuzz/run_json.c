/* tests/fuzz/run_json.c - a run.json, as the tool takes it: --from FILE
 *
 * Any bytes are refused with one line, or become options. Then they are in their ranges, and a
 * run.json that is written of them reads back as the same run: its bytes are those of the next one.
 * The verb is one of the target's own, with a row of every type.
 */
#define VDI_IMPLEMENTATION
#define VDI_NO_THREADS
#define VDI_STATIC
#define _GNU_SOURCE
#include "../../examples/vdi/tool.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* The tool leaves its texts to the end of the process; here each run gives them back. */
static char *texts[4096];
static int text_count;
static char *text_kept(const char *s) {
    const size_t size = strlen(s) + 1;
    char *copy = (char *)malloc(size);
    if (!copy || text_count == (int)(sizeof texts / sizeof *texts)) abort();
    memcpy(copy, s, size);
    return texts[text_count++] = copy;
}
#undef strdup
#define strdup text_kept

#include "../../examples/vdi/system_posix.c"

#include "../../examples/vdi/help.c"
#define rows help_rows
#include "../../examples/vdi/options.c"
#include "../../examples/vdi/run.c"
#include "../../examples/vdi/run_json.c"
#undef rows

int run_manual(FILE *to, const command *const *commands, int count) {
    (void)to, (void)commands, (void)count;
    return DONE;
}
int run_completion(FILE *to, const command *const *commands, int count, const char *shell) {
    (void)shell;
    return run_manual(to, commands, count);
}

typedef struct fuzz_options {
    const char *text, *resume;
    bool flag;
    int64_t whole;
    int32_t small;
    double real, open;
    vdi_schedule schedule;
    vdi_vilds_desc vilds;
} fuzz_options;

static const option fuzz_rows[] = {
    OPTION_TEXT(fuzz_options, text, "text", "T", "a text", "text"),
    OPTION_GROUP("numbers"),
    OPTION("flag", NULL, VDI_FIELD_BOOL(fuzz_options, flag, "flag")),
    OPTION("whole", "N", VDI_FIELD_INT(fuzz_options, whole, 3, -5, 1e15, "whole")),
    OPTION_AUTO("small", "N", VDI_FIELD_INT32(fuzz_options, small, 0, 0, 1000, "small")),
    OPTION("real", "X", VDI_FIELD_REAL(fuzz_options, real, 0.5, -1e300, 1e300, "real")),
    OPTION_AUTO("open", "X", VDI_FIELD_REAL(fuzz_options, open, 0, 0, 1, "open")),
    OPTION_OF("kind", "NAME", NULL, fuzz_options, schedule, vdi_schedule_fields, "kind"),
    OPTION_OF("last", "X", NULL, fuzz_options, schedule, vdi_schedule_fields, "last"),
    OPTION_OF("obs", "NAME", "poisson", fuzz_options, vilds, vdi_vilds_desc_fields, "obs"),
    OPTION_OF("hidden", "N,N", NULL, fuzz_options, vilds, vdi_vilds_desc_fields, "hidden"),
};
static const command fuzz_command = {
    .family = "fuzz",
    .verb = "",
    .arguments = "Y [Y2]",
    .least = 1,
    .most = 2,
    .summary = "Fuzz.",
    .example = "vdi fuzz y.npy",
    COMMAND_OPTIONS(fuzz_rows),
    .size = sizeof(fuzz_options),
};

static void spill(const char *path, const uint8_t *data, size_t size) {
    const int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (file < 0 || write(file, data, size) != (ssize_t)size) abort();
    close(file);
}

static bool parsed(run *r, const char *path) {
    static const command *const commands[] = {&fuzz_command};
    char word[3][256] = {"vdi", "--from", ""};
    char *argv[4] = {word[0], word[1], word[2], NULL};
    snprintf(word[2], sizeof word[2], "%s", path);
    memset(r, 0, sizeof *r);
    return run_parse(r, commands, 1, 3, argv) < 0;
}

/* Options with a range of their own are in it. */
static void in_range(const run *r) {
    for (int i = 0; i < option_count(r->command); i++) {
        vdi_field field;
        char *base;
        if (!option_at(r->command, i)->name || r->given[i] < IN_FILE ||
            !option_bound(r, i, &field, &base))
            continue;
        const vdi_fields alone = {"run", &field, 1};
        if (vdi_fields_check(&alone, base, NULL) < 0) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static char path[3][64];
    static run r[3];
    vdi_error err;
    if (!path[0][0]) {
        for (int k = 0; k < 3; k++)
            snprintf(path[k], sizeof path[k], "%s/vdi-run-json-%ld-%d",
                     access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp", (long)getpid(), k);
        if (!freopen("/dev/null", "w", stderr)) abort(); /* a line for each refusal */
    }
    spill(path[0], data, size);
    bool ok = parsed(&r[0], path[0]);
    for (int k = 0; ok && k < 2; k++) {
        in_range(&r[k]);
        if (run_json_write(path[k + 1], &r[k], &err) < 0) abort();
        if (!parsed(&r[k + 1], path[k + 1])) abort();
    }
    if (ok) {
        uint8_t text[2][100000];
        long length[2];
        for (int k = 0; k < 2; k++) {
            const int file = open(path[k + 1], O_RDONLY);
            length[k] = (long)read(file, text[k], sizeof text[k]);
            close(file);
        }
        if (length[0] != length[1] || memcmp(text[0], text[1], (size_t)length[0]) != 0) abort();
    }
    for (int k = 0; k < 3; k++) {
        free(r[k].options);
        r[k].options = NULL;
        unlink(path[k]);
    }
    while (text_count > 0)
        free(texts[--text_count]);
    return 0;
}
