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

static void put_episode(vdi_json_writer *j, const inspection *s, const episode *e) {
    const vdi_sacd_trace *t = e->trace;
    double total = 0;
    /* drawn, not computed with: float32 says enough */
    float *value = malloc((size_t)(3 * t->steps * s->heads) * sizeof *value + 1);
    const double *from[3] = {t->value, t->influence, t->returns};
    static const char *const key[3] = {"value", "influence", "returns"};
    for (int64_t k = 0; k < t->steps * t->components; k++)
        total += (double)t->reward[k];
    vdi_json_open(j, NULL, '{');
    vdi_json_put_number(j, "total", total);
    vdi_json_put_integer(j, "stride", e->stride);
    put_rows(j, "obs", t->steps, t->observations, VDI_F32, t->obs);
    put_rows(j, "action_taken", t->steps, t->actions, VDI_F32, t->action);
    for (int i = 0; value && i < 3; i++) {
        for (int64_t k = 0; k < t->steps * s->heads; k++)
            value[k] = (float)from[i][k];
        put_rows(j, key[i], t->steps, s->heads, VDI_F32, value);
    }
    free(value);
    vdi_json_put_tensor(j, "action",
                        vdi_tensor_3d(e->action, VDI_F32, e->states, e->candidates, t->actions));
    vdi_json_put_tensor(j, "q0",
                        vdi_tensor_3d(e->q[0], VDI_F32, e->states, e->candidates, s->heads));
    vdi_json_put_tensor(j, "q1",
                        vdi_tensor_3d(e->q[1], VDI_F32, e->states, e->candidates, s->heads));
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
    vdi_page_text(p, "Values against the discounted returns that were then realised, over all "
                     "steps of all episodes here. Explained is 1 for a perfect prediction and "
                     "0 for one no better than a constant: a component that stays low while others "
                     "do not can't be learned from these observations. "
                     "Slope is that of return on value, 1 where differences are neither overstated "
                     "nor understated. Influence is the mean share.");
    vdi_page_numbers(p, head, s->head, vdi_tensor_2d(x, VDI_F64, s->heads, 6), 3);
}

static void page_data(vdi_page *p, const inspection *s) {
    vdi_json_writer j;
    vdi_page_data_begin(p, "data", &j);
    vdi_json_open(&j, NULL, '{');
    vdi_json_put_text(&j, "env", s->env->name);
    put_names(&j, "heads", s->head, s->heads);
    put_names(&j, "observations", s->env->observation, s->env->observations);
    vdi_json_put_tensor(&j, "weights", vdi_tensor_1d((void *)s->weights, VDI_F64, s->heads));
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
    vdi_page_script(&p.page, page_inspect_js);
    return report_close(&p);
}
