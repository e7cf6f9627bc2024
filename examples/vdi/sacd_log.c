/* examples/vdi/sacd_log.c - the tables of a training, log.csv and eval.csv, and its picture */
#include "sacd_train.h"

/* ---- sheets ---------------------------------------------------------------------------------- */

void sheet_name(sheet *t, const char *format, const char *what) {
    snprintf(t->text[t->cols], sizeof t->text[0], format, what);
    t->name[t->cols] = t->text[t->cols];
    t->cols++;
}
double *sheet_row(sheet *t) {
    if (t->rows == t->room) {
        t->room = t->room ? 2 * t->room : 256;
        double *more = (double *)realloc(t->data, (size_t)(t->room * t->cols) * sizeof *more);
        if (!more) exit(fail("out of memory for %lld rows of the log", (long long)t->room));
        t->data = more;
    }
    return t->data + t->rows++ * t->cols;
}
vdi_tensor sheet_tensor(const sheet *t) {
    return vdi_tensor_2d(t->data, VDI_F64, t->rows, t->cols);
}
bool sheet_save(const run *r, const char *name, const sheet *t) {
    vdi_named_tensor column[COLUMNS];
    for (int64_t i = 0; i < t->cols; i++) {
        column[i].name = t->name[i];
        column[i].tensor = vdi_tensor_index(sheet_tensor(t), 1, i);
    }
    return save_csv(r, name, column, t->cols);
}

bool sheet_take(const vdi_safetensors *file, const char *name, sheet *t, vdi_error *err) {
    vdi_tensor from = vdi_safetensors_find(file, name);
    if (from.ndim != 2 || from.dtype != VDI_F64 || from.shape[1] != t->cols) {
        vdi_error_set(err, VDI_ERR_FORMAT, "resume", "expected \"%s\" with %lld columns", name,
                      (long long)t->cols);
        return false;
    }
    for (int64_t i = 0; i < from.shape[0]; i++) {
        memcpy(sheet_row(t), (const double *)from.data + i * t->cols,
               (size_t)t->cols * sizeof(double));
    }
    return true;
}

/* ---- rows ------------------------------------------------------------------------------------ */

void training_tables(training *t) {
    const int64_t m = t->env->components;
    sheet *l = &t->log;
    static const char *const first[] = {"episode", "step", "length", "terminated", "return"};
    static const char *const last[] = {"alpha", "entropy", "value", "policy_loss"};
    t->heads = vdi_critic_get_desc(vdi_sacd_critic(t->agent))->heads;
    for (int64_t i = 0; i < t->heads; i++)
        t->head[i] = t->heads == 1 ? "value" : i < m ? t->env->component[i] : "entropy";
    for (int i = 0; i < 5; i++)
        sheet_name(l, "%s", first[i]);
    for (int64_t i = 0; i < m; i++)
        sheet_name(l, "r_%s", t->env->component[i]);
    for (int64_t i = 0; i < t->heads; i++)
        sheet_name(l, "influence_%s", t->head[i]);
    for (int64_t i = 0; i < t->heads; i++)
        sheet_name(l, "loss_%s", t->head[i]);
    for (int i = 0; i < 4; i++)
        sheet_name(l, "%s", last[i]);
    sheet_name(&t->evals, "%s", "step");
    sheet_name(&t->evals, "%s", "return_mean");
    sheet_name(&t->evals, "%s", "return_std");
    for (int64_t i = 0; i < m; i++)
        sheet_name(&t->evals, "r_%s", t->env->component[i]);
}

void lane_forget(lane *l) {
    memset(l->influence, 0, sizeof l->influence);
    memset(l->mean_loss, 0, sizeof l->mean_loss);
    l->states = l->updates = 0;
}

void training_log(training *t, int64_t k) {
    const vdi_sacd_episode *e = t->episode[k];
    lane *l = &t->lane[k];
    double *row = sheet_row(&t->log), sum = 0;
    const int64_t m = t->env->components;
    for (int64_t i = 0; i < m; i++)
        sum += e->sum[i];
    *row++ = (double)e->index;
    *row++ = (double)vdi_sacd_steps(t->agent);
    *row++ = (double)e->steps;
    *row++ = (e->end & VDI_ENV_TERMINATED) != 0;
    *row++ = sum;
    for (int64_t i = 0; i < m; i++)
        *row++ = e->sum[i];
    for (int64_t i = 0; i < t->heads; i++)
        *row++ = l->states ? l->influence[i] / (double)l->states : NAN;
    for (int64_t i = 0; i < t->heads; i++)
        *row++ = l->updates ? l->mean_loss[i] / (double)l->updates : NAN;
    *row++ = vdi_sacd_alpha(t->agent);
    *row++ = l->updates ? l->entropy : NAN;
    *row++ = l->updates ? l->value : NAN;
    *row++ = l->updates ? l->policy_loss : NAN;
    lane_forget(l);
}

double training_recent(const training *t) {
    const int64_t n = t->log.rows < 20 ? t->log.rows : 20;
    double sum = 0;
    for (int64_t i = t->log.rows - n; i < t->log.rows; i++)
        sum += t->log.data[i * t->log.cols + 4];
    return n ? sum / (double)n : NAN;
}

/* ---- the picture ----------------------------------------------------------------------------- */

/* Mean of column `col` over the last `window` episodes, for each episode. */
static double *smooth(const sheet *t, int64_t col, int64_t window) {
    double *out = doubles(t->rows ? t->rows : 1), sum = 0;
    int64_t count = 0;
    for (int64_t i = 0; i < t->rows; i++) {
        double in = t->data[i * t->cols + col];
        double gone = i >= window ? t->data[(i - window) * t->cols + col] : NAN;
        if (in == in) {
            sum += in;
            count++;
        }
        if (gone == gone) {
            sum -= gone;
            count--;
        }
        out[i] = count ? sum / (double)count : NAN;
    }
    return out;
}

/* What a panel of the picture shows: `count` columns of the log from `first` on. */
typedef struct curve_panel {
    const char *label;
    int64_t first, count;
    const char *const *name; /* of each line */
} curve_panel;

enum { WINDOW = 20 /* episodes of a running mean */ };

/* The returns themselves, and those of evaluations. */
static void draw_points(const training *t, vdi_panel *p, vdi_tensor x) {
    vdi_series *s =
        vdi_panel_scatter(p, "episodes", x, vdi_tensor_index(sheet_tensor(&t->log), 1, 4));
    s->color = VDI_COLOR_GREY;
    s->width = 2.5;
    if (!t->evals.rows) return;
    const vdi_tensor rows = sheet_tensor(&t->evals);
    vdi_series *e = vdi_panel_line(p, "evaluation", vdi_tensor_index(rows, 1, 1));
    e->x = vdi_tensor_index(rows, 1, 0);
    e->color = VDI_COLOR_VERMILION;
}

static void draw_lines(const training *t, vdi_panel *p, const curve_panel *what, vdi_tensor x,
                       double **line) {
    for (int64_t i = 0; i < what->count; i++) {
        line[i] = smooth(&t->log, what->first + i, WINDOW);
        vdi_series *s =
            vdi_panel_line(p, what->name[i], vdi_tensor_1d(line[i], VDI_F64, t->log.rows));
        s->x = x;
        if (what->first == 4) s->color = VDI_COLOR_BLUE;
        if (i >= 6) s->dashed = true;
    }
}

bool training_draw(const training *t) {
    static const char *const mean[] = {"mean of 20"};
    const int64_t m = t->env->components;
    const curve_panel panels[3] = {{"return", 4, 1, mean},
                                   {"components of the return", 5, m, t->env->component},
                                   {"relative influence", 5 + m, t->heads, t->head}};
    double *line[2 * VDI_ENV_MAX_COMPONENTS + 2] = {NULL};
    int64_t lines = 0;
    vdi_error err = {0};
    vdi_figure f;
    vdi_figure_desc desc = {0};
    desc.rows = 3;
    desc.cols = 1;
    vdi_figure_init(&f, &desc);
    desc.title = vdi_figure_text(&f, "%s on %s, seed %lld", vdi_sacd_algo_name(t->want->agent.algo),
                                 t->env->name, (long long)t->r->seed);
    f.desc.title = desc.title;
    const vdi_tensor x = vdi_tensor_index(sheet_tensor(&t->log), 1, 1);
    for (int row = 0; row < 3; row++) {
        vdi_panel *p = vdi_figure_panel(&f, row, 0);
        p->y.label = panels[row].label;
        p->x.has_limits = vdi_sacd_steps(t->agent) > 0;
        p->x.high = (double)vdi_sacd_steps(t->agent); /* one axis for all three */
        if (row == 2)
            p->x.label = "steps of the environment";
        else
            p->x.bare = true;
        if (row == 0) draw_points(t, p, x);
        draw_lines(t, p, &panels[row], x, line + lines);
        lines += panels[row].count;
    }
    char *path = path_join(t->r->out, "curve.svg");
    bool ok = save_svg(path, &f, &err);
    if (!ok) (void)fail_error(&err, path);
    free(path);
    vdi_figure_free(&f);
    for (int64_t i = 0; i < lines; i++)
        free(line[i]);
    return ok;
}
