/* page.c - what the browser page calls: arrays out of files, spikes, a population's latents, an
 * agent. One object of each kind; a failure leaves its sentence in page_error. Pointers are into
 * the module's memory, and the page copies.
 */
#include "vdi.h"
#include <stdlib.h>

#define PAGE(name) __attribute__((export_name(#name))) name

static vdi_error err;

const char *PAGE(page_error)(void);
const char *PAGE(page_version)(void);
const char *PAGE(page_simd)(void);
void *PAGE(page_alloc)(size_t size);
void PAGE(page_free)(void *p);
const double *PAGE(page_array)(const void *bytes, size_t size, const char *name, int64_t *shape);
int PAGE(page_spikes)(int frames, const float *trace, double fps, float *out, double *numbers);
int PAGE(page_flds_start)(const double *y, int trials, int T, int n, int d, int steps);
int PAGE(page_flds_step)(int steps, double *told);
int PAGE(page_flds_latents)(double *mean, double *cov);
int PAGE(page_agent_start)(const char *env, int seed);
int PAGE(page_agent_sizes)(int i);
const char *PAGE(page_agent_component)(int i);
int PAGE(page_agent_train)(int steps, double *returns, int most);
int PAGE(page_agent_weights)(const double *weights);
int PAGE(page_agent_begin)(int episode, float *obs);
int PAGE(page_agent_move)(float *obs, float *action, float *reward, double *value,
                          double *influence);

const char *page_error(void) { return err.message; }
const char *page_version(void) { return vdi_version(); }
const char *page_simd(void) { return vdi_simd_name(vdi_simd_active()); }
void *page_alloc(size_t size) { return malloc(size); }
void page_free(void *p) { free(p); }

/* An array of any format as float64; shape (6) receives its extents, -1 behind the last. */
const double *page_array(const void *bytes, size_t size, const char *name, int64_t *shape) {
    vdi_reader r = vdi_reader_memory(bytes, size, "the file");
    vdi_tensor raw, out;
    if (vdi_array_read(&r, name && *name ? name : NULL, NULL, &raw, &err) < 0) return NULL;
    const bool ok = vdi_tensor_alloc(NULL, VDI_F64, raw.ndim, raw.shape, &out, &err) >= 0 &&
                    vdi_tensor_copy(out, raw, &err) >= 0;
    for (int i = 0; i < 6; i++)
        shape[i] = i < raw.ndim ? raw.shape[i] : -1;
    vdi_tensor_free(NULL, &raw);
    return ok ? (const double *)out.data : NULL;
}

/* ---- spikes: out (3,frames) expected spikes, their standard deviation, the trace without
 * noise - */

int page_spikes(int frames, const float *trace, double fps, float *out, double *numbers) {
    static vdi_pretrained *net;
    static void *work;
    static size_t have;
    vdi_pretrained_result r = VDI__ZERO;
    if (!net && vdi_pretrained_create(vdi_pretrained_weights_shipped(), NULL, &net, &err) < 0)
        return -1;
    const size_t size = vdi_pretrained_memsize(net, frames, fps);
    if (size > have) {
        free(work);
        work = malloc(size);
        have = work ? size : 0;
    }
    r.spikes = out;
    r.deviation = out + frames;
    r.denoised = out + 2 * (size_t)frames;
    if (vdi_pretrained_infer(net, VDI_F32, frames, trace, fps, work, have, &r, &err) < 0) return -1;
    numbers[0] = r.noise;
    numbers[1] = r.scale;
    numbers[2] = r.count;
    numbers[3] = r.unusual;
    return 0;
}

/* ---- a population ---------------------------------------------------------------------------- */

static struct {
    vdi_vilds *model;
    vdi_vilds_data *data;
    int d;
} flds;

int page_flds_start(const double *y, int trials, int T, int n, int d, int steps) {
    vdi_vilds_desc desc = VDI__ZERO;
    vdi_vilds_data_desc seen = VDI__ZERO;
    vdi_vilds_data_destroy(flds.data);
    vdi_vilds_destroy(flds.model);
    flds.data = NULL;
    flds.model = NULL;
    desc.d = flds.d = d;
    desc.n = n;
    desc.train.seed = 1;
    desc.train.steps = steps;
    desc.train.restarts = 3;
    desc.train.restart_steps = steps / 8 + 1;
    desc = vdi_flds_recipe(&desc, VDI_FLDS_DENSE);
    seen.y = vdi_tensor_3d((void *)(uintptr_t)y, VDI_F64, trials, T, n);
    if (vdi_vilds_create(&desc, &flds.model, &err) < 0) return -1;
    return vdi_vilds_data_create(flds.model, &seen, &flds.data, &err) < 0 ? -1 : 0;
}

/* told: step, steps, bound (nats a bin). 1: the schedule is over. */
int page_flds_step(int steps, double *told) {
    vdi_vilds_progress p = VDI__ZERO;
    vdi_status status = VDI_OK;
    for (int i = 0; i < steps && status == VDI_OK; i++)
        status = vdi_vilds_step(flds.model, flds.data, NULL, &p, &err);
    told[0] = (double)p.step;
    told[1] = (double)p.steps;
    told[2] = p.elbo;
    return status == VDI_END ? 1 : status;
}

int page_flds_latents(double *mean, double *cov) {
    vdi_vilds_result out = VDI__ZERO;
    out.mean = mean;
    out.cov = cov;
    return vdi_vilds_infer(flds.model, flds.data, NULL, &out, &err);
}

/* ---- an agent -------------------------------------------------------------------------------- */

static struct {
    vdi_env env, stage; /* where it learns, and where it is watched */
    vdi_sacd *agent;
    vdi_sacd_episode *episode;
    int steps; /* of the episode that is watched */
} sacd;

int page_agent_start(const char *env, int seed) {
    vdi_sacd_desc desc = VDI__ZERO;
    vdi_sacd_episode_destroy(sacd.episode);
    vdi_sacd_destroy(sacd.agent);
    vdi_env_close(&sacd.env);
    vdi_env_close(&sacd.stage);
    sacd.episode = NULL;
    sacd.agent = NULL;
    if (vdi_env_open(env, NULL, &sacd.env, &err) < 0) return -1;
    if (vdi_env_open(env, NULL, &sacd.stage, &err) < 0) return -1;
    desc.observations = sacd.env.observations;
    desc.actions = sacd.env.actions;
    desc.components = sacd.env.components;
    desc.layers = 2;
    desc.hidden[0] = desc.hidden[1] = 64;
    desc.batch = 128;
    desc.start = 500;
    desc.capacity = 50000;
    desc.seed = (uint64_t)seed;
    if (vdi_sacd_create(&desc, &sacd.agent, &err) < 0) return -1;
    return vdi_sacd_episode_create(sacd.agent, NULL, &sacd.episode, &err) < 0 ? -1 : 0;
}

int page_agent_sizes(int i) {
    const int64_t sizes[3] = {sacd.env.observations, sacd.env.actions, sacd.env.components};
    return (int)sizes[i];
}

const char *page_agent_component(int i) { return sacd.env.component[i]; }

/* How many episodes ended; their components' returns (most,components). */
int page_agent_train(int steps, double *returns, int most) {
    int ended = 0;
    for (int i = 0; i < steps; i++) {
        if (vdi_sacd_step(sacd.agent, &sacd.env, sacd.episode, NULL, &err) < 0) return -1;
        if (!sacd.episode->end || ended == most) continue;
        memcpy(returns + ended * sacd.env.components, sacd.episode->sum,
               (size_t)sacd.env.components * sizeof *returns);
        ended++;
    }
    return ended;
}

int page_agent_weights(const double *weights) {
    return vdi_sacd_set_weights(sacd.agent, weights, &err);
}

int page_agent_begin(int episode, float *obs) {
    sacd.steps = 0;
    return vdi_env_reset(&sacd.stage, 1000, (uint64_t)episode, obs, &err);
}

/* One step of the episode that is watched: obs (observations) before it and, on return, after it;
 * value and influence (components + 1). The flags of the end, or negative. */
int page_agent_move(float *obs, float *action, float *reward, double *value, double *influence) {
    double q0[VDI_CRITIC_HEADS], q1[VDI_CRITIC_HEADS], weights[VDI_CRITIC_HEADS];
    int end = 0;
    if (vdi_sacd_act(sacd.agent, obs, true, action) < 0) return -1;
    vdi_sacd_weights(sacd.agent, weights);
    if (vdi_sacd_action_values(sacd.agent, obs, 1, action, q0, q1) < 0) return -1;
    for (int64_t i = 0; i <= sacd.env.components; i++)
        value[i] = (q0[i] + q1[i]) / 2;
    if (vdi_critic_influence(vdi_sacd_critic(sacd.agent), 1, obs, action, weights, influence) < 0)
        return -1;
    if (vdi_env_step(&sacd.stage, action, obs, reward, &end, &err) < 0) return -1;
    sacd.steps++;
    return end;
}
