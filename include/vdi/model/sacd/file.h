/* model/sacd/file.h - agents and policies in files, and a policy as C
 *
 * Do this:
 *     if (vdi_sacd_save(agent, "agent.safetensors", &err) < 0) puts(err.message);
 *     vdi_sacd *again;
 *     if (vdi_sacd_load("agent.safetensors", NULL, NULL, &again, &err) < 0) puts(err.message);
 *     vdi_policy *policy;
 *     if (vdi_policy_load("agent.safetensors", NULL, &policy, &err) < 0) puts(err.message);
 *     if (vdi_policy_save_c("pilot.h", policy, "pilot", &err) < 0) puts(err.message);
 *
 * A saved agent holds everything, including the replay buffer: a loaded agent continues learning to
 * the bit. The file is safetensors, which PyTorch, JAX and NumPy users open with what they have. A
 * policy is these tensors of it, float32 unless the description says otherwise:
 *     policy.L.weight   (in,out), row-major      layer L = 0, 1, ...: h' = max(h W + b, 0),
 *     policy.L.bias     (out)                    the last one without the maximum
 *     observations      (3 n + 1) float64        only with `normalise`: n means, n sums of squares,
 *                                                n values of 1/sd, how many there were;
 *                                                h0 = clip((o - mean)/sd, -10, 10)
 * Of the last layer's outputs the first half are means, a = tanh(mean), and the second half log sd;
 * if discrete (in the metadata), they are the logits of the choices.
 * vdi_policy_write_c writes a header for programs that do not want vdi at all: arrays, a function
 *     void pilot_act(const float *obs, float *action)     or     int pilot_choose(const float *obs)
 * that needs nothing but <math.h>, and pilot_check(), which returns how far it is, on this
 * machine, from what the policy said for four observations where it was written.
 * Memory: a save some bytes of malloc; a load an agent or policy. Errors:
 * statuses. A save that fails leaves a partial file: write beside and rename where that matters.
 * Threads: those of the agent. What it does NOT do: write a policy of float64 as anything but
 * float. Compiled where both VDI_SACD_IMPLEMENTATION and VDI_IO_IMPLEMENTATION are defined.
 */
#ifndef VDI_MODEL_SACD_FILE_H
#define VDI_MODEL_SACD_FILE_H
#include "../../io/safetensors.h"
#include "policy.h"

/** Write an agent with all that its training needs. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_write(vdi_writer *w, vdi_sacd *agent, vdi_error *err);
/** An agent out of a file, with its description; of one that only acts (vdi_sacd_state without
 *  training) an agent that only acts. `pool` as in vdi_sacd_desc; `a` NULL: malloc. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_read(vdi_reader *r, vdi_pool *pool,
                                               const vdi_allocator *a, vdi_sacd **out,
                                               vdi_error *err);
/** A policy out of an agent's file. */
VDI_API VDI_NODISCARD vdi_status vdi_policy_read(vdi_reader *r, const vdi_allocator *a,
                                                 vdi_policy **out, vdi_error *err);
/** A policy as a C header, whose names begin with `name`, an identifier of C. VDI_ERR_ARGUMENT if
 *  it is none. */
VDI_API VDI_NODISCARD vdi_status vdi_policy_write_c(vdi_writer *w, vdi_policy *p, const char *name,
                                                    vdi_error *err);

#ifndef VDI_NO_STDIO
/** vdi_sacd_write into a file, created or replaced. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_save(vdi_sacd *agent, const char *path, vdi_error *err);
/** vdi_sacd_read of a file. */
VDI_API VDI_NODISCARD vdi_status vdi_sacd_load(const char *path, vdi_pool *pool,
                                               const vdi_allocator *a, vdi_sacd **out,
                                               vdi_error *err);
/** vdi_policy_read of a file. */
VDI_API VDI_NODISCARD vdi_status vdi_policy_load(const char *path, const vdi_allocator *a,
                                                 vdi_policy **out, vdi_error *err);
/** vdi_policy_write_c into a file, created or replaced. */
VDI_API VDI_NODISCARD vdi_status vdi_policy_save_c(const char *path, vdi_policy *p,
                                                   const char *name, vdi_error *err);
#endif

#endif /* VDI_MODEL_SACD_FILE_H */

#if defined(VDI__BODIES) && defined(VDI_SACD_IMPLEMENTATION) && \
    (defined(VDI_IO_IMPLEMENTATION) || VDI__PART) && !defined(VDI_MODEL_SACD_FILE_C)
#define VDI_MODEL_SACD_FILE_C
/* io is another part than sacd (core/config.h), which this goes with */

/* ---- agents -------------------------------------------------------------------------------- */

VDI__DEF vdi_status vdi_sacd_write(vdi_writer *w, vdi_sacd *agent, vdi_error *err) {
    return vdi_safetensors_write(w, vdi_sacd_state(agent, true), err);
}

VDI__DEF vdi_status vdi_sacd_read(vdi_reader *r, vdi_pool *pool, const vdi_allocator *a,
                                  vdi_sacd **out, vdi_error *err) {
    vdi_safetensors file;
    *out = NULL;
    vdi_status status = vdi_safetensors_read(r, a, &file, err);
    if (status < 0) return status;
    status = vdi_sacd_from_state(&file.state, pool, a, out, err);
    vdi_safetensors_free(&file);
    return status;
}

VDI__DEF vdi_status vdi_policy_read(vdi_reader *r, const vdi_allocator *a, vdi_policy **out,
                                    vdi_error *err) {
    vdi_safetensors file;
    *out = NULL;
    vdi_status status = vdi_safetensors_read(r, a, &file, err);
    if (status < 0) return status;
    status = vdi_policy_create(&file.state, a, out, err);
    vdi_safetensors_free(&file);
    return status;
}

/* ---- a policy as C ------------------------------------------------------------------------- */

VDI__FN bool vdi__c_name_ok(const char *name) {
    size_t n = 0;
    for (; name[n]; n++) {
        const char c = name[n];
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
        if (!letter && !(n > 0 && c >= '0' && c <= '9')) return false;
    }
    return n > 0 && n < 40;
}

/* A float that reads back exactly, as C has it. */
VDI__FN void vdi__c_number(vdi_writer *w, double x) {
    char text[VDI_TEXT_NUMBER];
    (void)vdi_text_double(text, (double)(float)x, 9);
    const bool real = strchr(text, '.') || strchr(text, 'e');
    vdi_write_format(w, "%s%sf", text, real ? "" : ".0");
}

/* An array of n numbers of dtype from element `at` on; eight to a line. */
VDI__FN void vdi__c_array(vdi_writer *w, const char *name, const char *what, int layer, vdi_dtype t,
                          const void *from, size_t at, size_t n) {
    vdi_write_format(w, "static const float %s_%s", name, what);
    if (layer >= 0) vdi_write_format(w, "_%d", layer);
    vdi_write_format(w, "[%zu] = {", n);
    for (size_t i = 0; i < n; i++) {
        vdi_write_format(w, "%s", i % 8 == 0 ? "\n    " : " ");
        vdi__c_number(w, vdi__load(t, from, at + i));
        if (i + 1 < n) vdi_write_format(w, ",");
    }
    vdi_write_format(w, "};\n");
}

/* How the text begins: sizes and numbers. */
VDI__FN void vdi__c_constants(vdi_writer *w, const vdi_policy *p, const char *name, size_t widest) {
    const vdi__mlp *net = &p->net;
    size_t numbers = p->norm.data ? 2 * p->norm.n : 0;
    for (int l = 0; l < net->layers; l++)
        numbers += (net->width[l] + 1) * net->width[l + 1];
    vdi_write_format(w,
                     "/* A policy written by vdi %s: %zu observations, %zu %s.\n"
                     " * %zu bytes of constants, about %zu of stack. C99 or C++. */\n"
                     "#ifndef %s_POLICY\n#define %s_POLICY\n#include <math.h>\n\n"
                     "enum { %s_observations = %zu, %s_actions = %zu };\n",
                     VDI_VERSION, net->width[0], p->actions,
                     p->kind->outputs == 1 ? "choices" : "actions", numbers * sizeof(float),
                     2 * widest * sizeof(float), name, name, name, net->width[0], name, p->actions);
    if (p->norm.data) {
        vdi__c_array(w, name, "mean", -1, VDI_F64, p->norm.data, 0, p->norm.n);
        vdi__c_array(w, name, "scale", -1, VDI_F64, p->norm.data, 2 * p->norm.n, p->norm.n);
    }
    for (int l = 0; l < net->layers; l++) {
        vdi__c_array(w, name, "weight", l, net->dtype, p->block, net->weight[l],
                     net->width[l] * net->width[l + 1]);
        vdi__c_array(w, name, "bias", l, net->dtype, p->block, net->bias[l], net->width[l + 1]);
    }
}

/* The net: from observations to its outputs. */
VDI__FN void vdi__c_net(vdi_writer *w, const vdi_policy *p, const char *name) {
    const vdi__mlp *net = &p->net;
    vdi_write_format(
        w,
        "\n/* y (out) = x (in) W + b, rectified unless it is the last layer */\n"
        "static void %s_layer(int in, int out, const float *w, const float *b, int last,\n"
        "                     const float *x, float *y) {\n"
        "    for (int j = 0; j < out; j++) {\n"
        "        float sum = b[j];\n"
        "        for (int i = 0; i < in; i++) sum += x[i] * w[i * out + j];\n"
        "        y[j] = last || sum > 0 ? sum : 0;\n"
        "    }\n"
        "}\n",
        name);
    vdi_write_format(w,
                     "\n/* the net's outputs, which are in x or y */\n"
                     "static const float *%s_net(const float *obs, float *x, float *y) {\n"
                     "    for (int i = 0; i < %zu; i++) {\n",
                     name, net->width[0]);
    if (p->norm.data) {
        vdi_write_format(w,
                         "        const float z = (obs[i] - %s_mean[i]) * %s_scale[i];\n"
                         "        x[i] = z > 10 ? 10 : z < -10 ? -10 : z;\n",
                         name, name);
    } else {
        vdi_write_format(w, "        x[i] = obs[i];\n");
    }
    vdi_write_format(w, "    }\n");
    for (int l = 0; l < net->layers; l++) {
        vdi_write_format(w, "    %s_layer(%zu, %zu, %s_weight_%d, %s_bias_%d, %d, %s, %s);\n", name,
                         net->width[l], net->width[l + 1], name, l, name, l, l == net->layers - 1,
                         l % 2 ? "y" : "x", l % 2 ? "x" : "y");
    }
    vdi_write_format(w, "    return %s;\n}\n", net->layers % 2 ? "y" : "x");
}

/* From the outputs to an action. */
VDI__FN void vdi__c_act(vdi_writer *w, const vdi_policy *p, const char *name, size_t widest) {
    const bool choices = p->kind->outputs == 1;
    vdi_write_format(w,
                     "\n/* %s */\n"
                     "static %s %s_%s(const float *obs%s) {\n"
                     "    float x[%zu], y[%zu];\n"
                     "    const float *out = %s_net(obs, x, y);\n",
                     choices ? "which choice it is" : "an action in [-1,1]",
                     choices ? "int" : "void", name, choices ? "choose" : "act",
                     choices ? "" : ", float *action", widest, widest, name);
    if (!choices) {
        vdi_write_format(w, "    for (int k = 0; k < %zu; k++) action[k] = tanhf(out[k]);\n}\n",
                         p->actions);
        return;
    }
    vdi_write_format(w,
                     "    int best = 0;\n"
                     "    for (int k = 1; k < %zu; k++) {\n"
                     "        if (out[k] > out[best]) best = k;\n"
                     "    }\n"
                     "    return best;\n"
                     "}\n",
                     p->actions);
    vdi_write_format(w,
                     "static void %s_act(const float *obs, float *action) {\n"
                     "    const int best = %s_choose(obs);\n"
                     "    for (int k = 0; k < %zu; k++) action[k] = k == best ? 1.0f : 0.0f;\n"
                     "}\n",
                     name, name, p->actions);
}

enum { VDI__C_CASES = 4 };

/* Observations within a deviation of the mean, and what the policy does there: rows of both. */
VDI__FN vdi_status vdi__c_cases(vdi_policy *p, float *rows) {
    const size_t inputs = p->net.width[0];
    vdi_rng rng = vdi_rng_make(1, 1);
    vdi_status status = VDI_OK;
    for (int k = 0; k < VDI__C_CASES && status >= 0; k++) {
        float *obs = rows + (size_t)k * (inputs + p->actions);
        for (size_t i = 0; i < inputs; i++) {
            const double mean = p->norm.data ? p->norm.data[i] : 0;
            const double sd = p->norm.data ? 1 / p->norm.data[2 * inputs + i] : 1;
            obs[i] = (float)(mean + sd * (2 * vdi_rng_uniform(&rng) - 1));
        }
        status = vdi_policy_act(p, obs, NULL, obs + inputs);
    }
    return status;
}

/* The function that compares. */
VDI__FN void vdi__c_check(vdi_writer *w, const vdi_policy *p, const char *name, const float *rows) {
    const size_t inputs = p->net.width[0], row = inputs + p->actions;
    vdi_write_format(
        w,
        "\n/* How far this machine is from the policy that was written, in the actions "
        "for %d observations. */\n"
        "static float %s_check(void) {\n"
        "    static const float row[%d][%zu] = {",
        (int)VDI__C_CASES, name, (int)VDI__C_CASES, row);
    for (size_t i = 0; i < (size_t)VDI__C_CASES * row; i++) {
        const size_t col = i % row;
        vdi_write_format(w, "%s", col == 0 ? "\n        {" : col % 6 == 0 ? ",\n         " : ", ");
        vdi__c_number(w, (double)rows[i]);
        if (col + 1 == row) vdi_write_format(w, "},");
    }
    vdi_write_format(w,
                     "\n    };\n"
                     "    float action[%zu], worst = 0;\n"
                     "    for (int r = 0; r < %d; r++) {\n"
                     "        %s_act(row[r], action);\n"
                     "        for (int k = 0; k < %zu; k++) {\n"
                     "            const float off = fabsf(action[k] - row[r][%zu + k]);\n"
                     "            if (!(off <= worst)) worst = off;\n"
                     "        }\n"
                     "    }\n"
                     "    return worst;\n"
                     "}\n"
                     "#endif\n",
                     p->actions, (int)VDI__C_CASES, name, p->actions, inputs);
}

VDI__DEF vdi_status vdi_policy_write_c(vdi_writer *w, vdi_policy *p, const char *name,
                                       vdi_error *err) {
    static const char where[] = "vdi_policy_write_c";
    const size_t row = p->net.width[0] + p->actions, bytes = VDI__C_CASES * row * sizeof(float);
    const vdi_allocator a = vdi_allocator_defaults(NULL);
    size_t widest = 0;
    if (!name || !vdi__c_name_ok(name)) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, where,
                             "expected an identifier of C of less than 40 letters, got \"%s\"",
                             name ? name : "NULL");
    }
    float *rows = (float *)vdi_alloc(&a, bytes);
    if (!rows) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %zu bytes", bytes);
    vdi_status status = vdi__c_cases(p, rows);
    for (int l = 0; l <= p->net.layers; l++)
        widest = VDI__MAX(widest, p->net.width[l]);
    if (status >= 0) {
        vdi__c_constants(w, p, name, widest);
        vdi__c_net(w, p, name);
        vdi__c_act(w, p, name, widest);
        vdi__c_check(w, p, name, rows);
    } else {
        (void)vdi_error_set(err, status, where, "the policy has no finite action");
    }
    vdi_free(&a, rows, bytes);
    return status < 0 ? status : vdi_writer_flush(w, err);
}

#ifndef VDI_NO_STDIO
/* ---- by path ------------------------------------------------------------------------------- */

VDI__DEF vdi_status vdi_sacd_save(vdi_sacd *agent, const char *path, vdi_error *err) {
    return vdi_safetensors_save(path, vdi_sacd_state(agent, true), err);
}

VDI__DEF vdi_status vdi_sacd_load(const char *path, vdi_pool *pool, const vdi_allocator *a,
                                  vdi_sacd **out, vdi_error *err) {
    vdi_reader r;
    *out = NULL;
    vdi_status status = vdi_reader_open(&r, path, err);
    if (status < 0) return status;
    status = vdi_sacd_read(&r, pool, a, out, err);
    vdi_reader_close(&r);
    return status;
}

VDI__DEF vdi_status vdi_policy_load(const char *path, const vdi_allocator *a, vdi_policy **out,
                                    vdi_error *err) {
    vdi_reader r;
    *out = NULL;
    vdi_status status = vdi_reader_open(&r, path, err);
    if (status < 0) return status;
    status = vdi_policy_read(&r, a, out, err);
    vdi_reader_close(&r);
    return status;
}

VDI__DEF vdi_status vdi_policy_save_c(const char *path, vdi_policy *p, const char *name,
                                      vdi_error *err) {
    vdi_writer w;
    vdi_status status = vdi_writer_open(&w, path, err);
    if (status < 0) return status;
    status = vdi_policy_write_c(&w, p, name, err);
    const vdi_status closed = vdi_writer_close(&w, status < 0 ? NULL : err);
    return status < 0 ? status : closed;
}
#endif
#endif
