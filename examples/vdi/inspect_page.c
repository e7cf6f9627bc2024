/* examples/vdi/inspect_page.c - the page of vdi sacd inspect: one file, nothing from elsewhere,
 * opens from a disk
 *
 * Its markup, style and scripts are the files of page/. The data are a JSON text in the page; the
 * scripts draw from it. The address's fragment sets the
 * page as a reader's hand would, through the controls: inspect.html#e=0&t=40&w=1,0.5,1 is episode
 * 0, step 40, with these weights.
 */
#include "inspect.h"
#include "page.h" /* page/, made into arrays by the Makefile */

static void put_rows(vdi_json_writer *j, const char *key, int64_t rows, int64_t cols,
                     vdi_dtype dtype, const void *data) {
    vdi_json_put_tensor(j, key, vdi_tensor_2d((void *)data, dtype, rows, cols));
}

static void put_names(vdi_json_writer *j, const char *key, const char *const *name, int64_t n) {
    vdi_json_open(j, key, '[');
    for (int64_t i = 0; name && i < n; i++)
        vdi_json_put_text(j, NULL, name[i]);
    vdi_json_close(j);
}

/* Drawn, not computed with: five digits say enough. */
static void put_drawn(vdi_json_writer *j, const char *key, int64_t rows, int64_t cols,
                      const double *x) {
    float *drawn = (float *)malloc((size_t)(rows * cols) * sizeof *drawn + 1);
    if (!drawn) exit(fail("out of memory"));
    for (int64_t k = 0; k < rows * cols; k++) {
        const double size = fabs(x[k]) > 0 ? pow(10, 4 - floor(log10(fabs(x[k])))) : 1;
        drawn[k] = (float)(round(x[k] * size) / size);
    }
    put_rows(j, key, rows, cols, VDI_F32, drawn);
    free(drawn);
}

static void put_floats(vdi_json_writer *j, const char *key, int64_t rows, int64_t cols,
                       const float *x) {
    double *wide = doubles(rows * cols + 1);
    for (int64_t k = 0; k < rows * cols; k++)
        wide[k] = (double)x[k];
    put_drawn(j, key, rows, cols, wide);
    free(wide);
}

/* Influences as running means over a fiftieth of the episode, which can be read. */
static void put_influence(vdi_json_writer *j, const vdi_sacd_trace *t) {
    const int64_t half = t->steps / 100, n = t->heads;
    double *smooth = doubles(t->steps * n + 1);
    for (int64_t k = 0; k < t->steps; k++) {
        const int64_t first = k < half ? 0 : k - half;
        const int64_t last = k + half < t->steps ? k + half : t->steps - 1;
        for (int64_t i = 0; i < n; i++) {
            double sum = 0;
            for (int64_t s = first; s <= last; s++)
                sum += t->influence[s * n + i];
            smooth[k * n + i] = sum / (double)(last - first + 1);
        }
    }
    put_drawn(j, "influence", t->steps, n, smooth);
    free(smooth);
}

static void put_episode(vdi_json_writer *j, const inspection *s, const episode *e) {
    const vdi_sacd_trace *t = e->trace;
    double total = 0;
    for (int64_t k = 0; k < t->steps * t->components; k++)
        total += (double)t->reward[k];
    vdi_json_open(j, NULL, '{');
    vdi_json_put_number(j, "total", total);
    vdi_json_put_integer(j, "stride", e->stride);
    vdi_json_put_integer(j, "sweepStride", e->sweep_stride);
    put_floats(j, "obs", t->steps, t->observations, t->obs);
    put_floats(j, "action_taken", t->steps, t->actions, t->action);
    put_floats(j, "reward", t->steps, t->components, t->reward);
    put_drawn(j, "value", t->steps, s->heads, t->value);
    put_influence(j, t);
    put_drawn(j, "returns", t->steps, s->heads, t->returns);
    vdi_json_put_tensor(j, "action",
                        vdi_tensor_3d(e->action, VDI_F32, e->states, e->candidates, t->actions));
    vdi_json_put_tensor(j, "q0",
                        vdi_tensor_3d(e->q[0], VDI_F32, e->states, e->candidates, s->heads));
    vdi_json_put_tensor(j, "q1",
                        vdi_tensor_3d(e->q[1], VDI_F32, e->states, e->candidates, s->heads));
    put_floats(j, "sweep", e->sweeps, sweep_axes(s) * sweep_points(s) * s->heads, e->sweep);
    vdi_json_close(j);
}

static void page_checks(vdi_page *p, const inspection *s) {
    static const char *const head[] = {"influence", "mean return", "bias",
                                       "RMSE",      "slope",       "explained"};
    double x[VDI_CRITIC_HEADS][6];
    for (int64_t h = 0; h < s->heads; h++) {
        const vdi_value_error v = vdi_value_check_head(&s->check, h);
        x[h][0] = s->influence[h];
        x[h][1] = v.mean;
        x[h][2] = v.bias;
        x[h][3] = v.rmse;
        x[h][4] = v.slope;
        x[h][5] = v.explained;
    }
    vdi_page_heading(p, 2, "Which component is predicted well?");
    char known[300];
    snprintf(known, sizeof known,
             "After time limits %.0f steps were played on, to see what would have come; %.0f of "
             "%lld steps are left out, since nobody has seen it.",
             s->check.beyond, s->check.left_out, (long long)s->steps);
    vdi_page_text(p, "Values against the discounted returns that were then realised, over the "
                     "steps of all episodes here. Explained is 1 for a perfect prediction and "
                     "0 for one no better than a constant: a component that stays low while others "
                     "do not can't be learned from these observations. "
                     "Slope is that of return on value, 1 where differences are neither overstated "
                     "nor understated. Influence is the mean share.");
    vdi_page_text(p, known);
    vdi_page_numbers(p, head, s->head, vdi_tensor_2d(x, VDI_F64, s->heads, 6), 3);
}

static void page_data(vdi_page *p, const inspection *s) {
    vdi_json_writer j;
    vdi_page_data_begin(p, "data", &j);
    vdi_json_open(&j, NULL, '{');
    vdi_json_put_text(&j, "env", s->env->name);
    put_names(&j, "heads", s->head, s->heads);
    put_names(&j, "observations", s->env->observation, s->env->observations);
    put_names(&j, "actions", s->env->action, s->env->actions);
    put_names(&j, "components", s->env->component, s->env->components);
    vdi_json_put_bool(&j, "discrete", s->env->discrete);
    vdi_json_put_integer(&j, "points", sweep_points(s));
    vdi_json_put_tensor(&j, "weights", vdi_tensor_1d((void *)s->weights, VDI_F64, s->heads));
    vdi_json_open(&j, "curves", '[');
    for (int i = 0; i < s->curves; i++) {
        const learning_curve *c = &s->curve[i];
        vdi_json_open(&j, NULL, '{');
        vdi_json_put_text(&j, "name", c->name);
        put_drawn(&j, "step", 1, c->points, c->step);
        put_drawn(&j, "value", 1, c->points, c->value);
        vdi_json_close(&j);
    }
    vdi_json_close(&j);
    vdi_json_open(&j, "episodes", '[');
    for (int64_t i = 0; i < s->episodes; i++)
        put_episode(&j, s, &s->episode[i]);
    vdi_json_close(&j);
    vdi_json_close(&j);
    vdi_page_data_end(p, &j);
}

bool inspect_page(const inspection *s, const char *folder) {
    char text[1000];
    report p;
    snprintf(text, sizeof text, "%s: why does it do that?", s->env->name);
    if (!report_open(&p, folder, "inspect.html", text)) return false;
    snprintf(text, sizeof text,
             "Agent %s, algorithm %s, discount %g. Move the time to scrub through an episode; "
             "move a weight to see which action would then be best, "
             "without learning anew; gain is what that action has over the policy's own.%s",
             s->run, s->algo, s->gamma,
             s->heads == 1 ? " This agent has one value for all of the reward, so only its "
                             "whole can be weighed: train with sac-d to split it."
                           : "");
    vdi_page_text(&p.page, text);
    vdi_page_raw(&p.page, "<style>\n");
    vdi_page_raw(&p.page, page_inspect_css);
    vdi_page_raw(&p.page, "</style>\n");
    vdi_page_raw(&p.page, page_inspect_html);
    page_checks(&p.page, s);
    page_data(&p.page, s);
    vdi_page_script(&p.page, page_values_js);
    vdi_page_script(&p.page, page_draw_js);
    vdi_page_script(&p.page, page_scenes_js);
    vdi_page_script(&p.page, page_panels_js);
    vdi_page_script(&p.page, page_inspect_js);
    return report_close(&p);
}
