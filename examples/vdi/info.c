/* examples/vdi/info.c - vdi info: what this binary is and what it runs on */
#include "tool.h"

static const char *compiler(void) {
#if defined(__clang__)
    return "clang " __clang_version__;
#elif defined(__GNUC__)
    return "gcc " __VERSION__;
#else
    return "unknown";
#endif
}

static void kernel_table(const run *r) {
    static const vdi_simd paths[] = {VDI_SIMD_SCALAR, VDI_SIMD_SSE2, VDI_SIMD_AVX2,
                                     VDI_SIMD_AVX512, VDI_SIMD_NEON, VDI_SIMD_WASM};
    if (r->json) return;
    printf("\n%-20s", "kernel");
    for (size_t p = 0; p < VDI__COUNT(paths); p++)
        printf(" %-15s", vdi_simd_name(paths[p]));
    puts("\n(each cell: what serves it in float32/float64 on that path; - not in this build)");
    for (size_t i = 0; i < vdi_kernel_count(); i++) {
        printf("%-20s", vdi_kernel_name(i));
        for (size_t p = 0; p < VDI__COUNT(paths); p++) {
            const char *a = vdi_kernel_path(i, paths[p], VDI_F32);
            const char *b = vdi_kernel_path(i, paths[p], VDI_F64);
            char cell[32];
            snprintf(cell, sizeof cell, *a == '-' ? "-" : "%s/%s", a, b);
            printf(" %-15s", cell);
        }
        putchar('\n');
    }
}

typedef struct info_options {
    bool kernels;
} info_options;

static int info_main(run *r, void *options) {
    const info_options *o = (const info_options *)options;
    char cpu[128];
    processor_name(cpu, sizeof cpu);
    if (r->json) {
        vdi_buffer text;
        vdi_writer w;
        vdi_json_writer j;
        vdi_error err = {0};
        vdi_buffer_init(&text, NULL);
        vdi_writer_to_buffer(&w, &text);
        vdi_json_begin(&j, &w, false);
        vdi_json_open(&j, NULL, '{');
        vdi_json_put_text(&j, "version", VDI_VERSION);
        vdi_json_put_text(&j, "compiler", compiler());
        vdi_json_put_text(&j, "cpu", cpu);
        vdi_json_put_text(&j, "simd", vdi_simd_name(vdi_simd_active()));
        vdi_json_put_integer(&j, "threads", vdi_pool_threads(r->pool));
        if (o->kernels) {
            vdi_json_open(&j, "kernels", '{');
            for (size_t i = 0; i < vdi_kernel_count(); i++) {
                vdi_json_open(&j, vdi_kernel_name(i), '{');
                for (int s = 1; s < VDI_SIMD_COUNT; s++) {
                    const char *path = vdi_kernel_path(i, (vdi_simd)s, VDI_F32);
                    if (*path != '-') vdi_json_put_text(&j, vdi_simd_name((vdi_simd)s), path);
                }
                vdi_json_close(&j);
            }
            vdi_json_close(&j);
        }
        vdi_json_close(&j);
        vdi_status status = vdi_json_end(&j, &err);
        if (status == VDI_OK) fwrite(text.data, 1, text.size, stdout);
        vdi_buffer_free(&text);
        return status == VDI_OK ? DONE : fail_error(&err, NULL);
    }
    printf("version   %s\ncompiler  %s\ncpu       %s\nsimd      %s (best here: ", VDI_VERSION,
           compiler(), cpu, vdi_simd_name(vdi_simd_active()));
    vdi_simd used = vdi_simd_active();
    (void)vdi_simd_set(VDI_SIMD_AUTO);
    printf("%s)\nthreads   %d of %d\n", vdi_simd_name(vdi_simd_active()), vdi_pool_threads(r->pool),
           processor_count());
    (void)vdi_simd_set(used);
    if (o->kernels) kernel_table(r);
    return DONE;
}

static const option rows[] = {
    OPTION("kernels", NULL,
           VDI_FIELD_BOOL(info_options, kernels, "the table of kernels by instruction set")),
};
const command info_command = {
    .family = "info",
    .verb = "",
    .arguments = "",
    .summary = "What this binary is and what it runs on.",
    .example = "vdi info --kernels",
    COMMAND_OPTIONS(rows),
    .size = sizeof(info_options),
    .main = info_main,
};
