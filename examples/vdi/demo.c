/* examples/vdi/demo.c - vdi demo: what there is, run on data that it simulates; one table, and a
 * page with pictures
 *
 * The sections are functions of files of their own, demo_<family>.c; the list of them is below.
 */
#include "demo.h"

void demo_row(demo *m, const char *family, const char *what, double value, double good, double fair,
              double since, const char *against, ...) {
    if (m->rows == DEMO_ROWS) return;
    const int i = m->rows++;
    const double sign = good > fair ? 1 : -1;
    va_list arguments;
    va_start(arguments, against);
    vsnprintf(m->against[i], sizeof m->against[i], against, arguments);
    va_end(arguments);
    m->family[i] = family;
    m->what[i] = what;
    m->value[i] = value;
    m->grade[i] = sign * value >= sign * good   ? "good"
                  : sign * value >= sign * fair ? "fair"
                                                : "poor"; /* NaN too */
    m->seconds[i] = seconds_now() - since;
}

double demo_paired_error(const double *a, const double *b, int n) {
    double sum = 0, squares = 0;
    for (int i = 0; i < n; i++) {
        sum += a[i] - b[i];
        squares += (a[i] - b[i]) * (a[i] - b[i]);
    }
    return sqrt(fmax(squares - sum * sum / n, 0) / (n - 1) / n);
}

static void table_print(const demo *m) {
    printf("%-9s %-40s %10s  %-5s  %s\n", "family", "what", "value", "", "held against");
    for (int i = 0; i < m->rows; i++) {
        printf("%-9s %-40s %10.4g  %-5s  %s\n", m->family[i], m->what[i], m->value[i], m->grade[i],
               m->against[i]);
    }
}

static void table_page(demo *m) {
    static const char *const head[] = {"family", "what", "value", "", "held against"};
    static char text[DEMO_ROWS][VDI_TEXT_NUMBER];
    const char *cell[DEMO_ROWS * 5];
    for (int i = 0; i < m->rows; i++) {
        (void)vdi_text_double(text[i], m->value[i], 4);
        cell[5 * i] = m->family[i];
        cell[5 * i + 1] = m->what[i];
        cell[5 * i + 2] = text[i];
        cell[5 * i + 3] = m->grade[i];
        cell[5 * i + 4] = m->against[i];
    }
    vdi_page_heading(&m->report.page, 2, "In figures");
    vdi_page_table(&m->report.page, head, 5, cell, m->rows);
}

typedef struct demo_options {
    bool quick;
} demo_options;

static int demo_main(run *r, void *options) {
    static bool (*const family[])(demo *) = {
        demo_blocktri, demo_lds, demo_vilds, demo_flds, demo_spikes, demo_sacd,
    };
    static demo m;
    m.r = r;
    m.quick = ((const demo_options *)options)->quick;
    if (!run_open_out(r)) return FAILED;
    if (r->out) {
        if (!report_open(&m.report, r->out, "index.html", "vdi " VDI_VERSION ": a demonstration"))
            return FAILED;
        m.open = true;
        vdi_page_text(&m.report.page,
                      "Everything on this page was simulated and computed by one run of vdi demo.");
    }
    bool ok = true;
    for (size_t i = 0; ok && i < sizeof family / sizeof *family; i++)
        ok = family[i](&m);
    if (m.open) {
        table_page(&m);
        if (!report_close(&m.report)) return FAILED;
    }
    if (!ok) return interrupted() ? INTERRUPTED : FAILED;
    int off = 0;
    for (int i = 0; i < m.rows; i++)
        off += strcmp(m.grade[i], "poor") == 0;
    if (!r->json) {
        table_print(&m);
        if (m.open) printf("\npictures, and what each number means: %s/index.html\n", r->out);
    } else {
        static const char *const keys[] = {"figures", "off"};
        double values[] = {m.rows, off};
        print_results(r, keys, values, 2);
    }
    return off ? fail("%d of %d figures are poor", off, m.rows) : DONE;
}

static const option rows[] = {
    OPTION("quick", NULL,
           VDI_FIELD_BOOL(demo_options, quick, "less of everything, for a check of the build")),
};
const command demo_command = {
    .family = "demo",
    .verb = "",
    .arguments = "",
    .summary = "Run what there is on data that it simulates, and print one table. With --out, also "
               "index.html with pictures.",
    .example = "vdi demo --out demo",
    COMMAND_OPTIONS(rows),
    .size = sizeof(demo_options),
    .main = demo_main,
};
