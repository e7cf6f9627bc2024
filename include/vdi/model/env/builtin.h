/* model/env/builtin.h - the table of the built-in environments
 *
 * Do this:
 *     vdi_env env;
 *     if (vdi_env_open("pendulum", NULL, &env, &err) < 0) puts(err.message);
 *     vdi_env_close(&env);
 *
 *     int64_t count;
 *     const vdi_env_entry *const *list = vdi_env_list(&count);
 *     for (int64_t i = 0; i < count; i++) printf("%s: %s\n", list[i]->env.name, list[i]->summary);
 *
 * Each has a file of its own with its equations and units. pendulum is Gymnasium 1.4.0's
 * Pendulum-v1; lander has LunarLander's observations, actions and components but a simpler body, so
 * results on it are not results on LunarLander. docs/guide/environments.md has all, and says
 * which observation is which for those who want to draw a scene.
 * Memory: one block each, from the allocator. Errors: statuses. Threads: one environment, one
 * thread. What they do NOT do: rendering.
 */
#ifndef VDI_MODEL_ENV_BUILTIN_H
#define VDI_MODEL_ENV_BUILTIN_H
#include "cartpole.h"
#include "kind.h"
#include "lander.h"
#include "navigate.h"
#include "pendulum.h"

/** The built-in environments; *count (may be NULL) receives how many. */
VDI_API const vdi_env_entry *const *vdi_env_list(int64_t *count);
/** Open one by name; `a` NULL: malloc. VDI_ERR_ARGUMENT with the names there are, or
 *  VDI_ERR_MEMORY; `env` is zero then. */
VDI_API VDI_NODISCARD vdi_status vdi_env_open(const char *name, const vdi_allocator *a,
                                              vdi_env *env, vdi_error *err);
/** vdi_env_open("pendulum", NULL, env, NULL): 3 observations, 1 action, 3 components, 200 steps. */
VDI_API vdi_status vdi_env_pendulum(vdi_env *env);
/** vdi_env_open("lander", NULL, env, NULL): 8 observations, 2 actions, 9 components, 1000 steps. */
VDI_API vdi_status vdi_env_lander(vdi_env *env);
/** vdi_env_open("navigate", NULL, env, NULL): 16 observations, 2 actions, 4 components, 200
 *  steps. */
VDI_API vdi_status vdi_env_navigate(vdi_env *env);

#endif /* VDI_MODEL_ENV_BUILTIN_H */

#if defined(VDI__BODIES) && defined(VDI_ENV_IMPLEMENTATION) && !defined(VDI_MODEL_ENV_BUILTIN_C)
#define VDI_MODEL_ENV_BUILTIN_C

static const vdi_env_entry *const vdi__env_entries[] = {
    &vdi__env_pendulum,          &vdi__env_lander, &vdi__env_navigate, &vdi__env_cartpole,
    &vdi__env_cartpole_discrete,
};

VDI__DEF const vdi_env_entry *const *vdi_env_list(int64_t *count) {
    if (count) *count = (int64_t)VDI__COUNT(vdi__env_entries);
    return vdi__env_entries;
}

VDI__FN const vdi_env_entry *vdi__env_find(const char *name) {
    for (size_t i = 0; name && i < VDI__COUNT(vdi__env_entries); i++) {
        if (strcmp(name, vdi__env_entries[i]->env.name) == 0) return vdi__env_entries[i];
    }
    return NULL;
}

VDI__FN vdi_status vdi__env_unknown(const char *name, vdi_error *err) {
    char names[192] = VDI__ZERO;
    size_t used = 0;
    for (size_t i = 0; i < VDI__COUNT(vdi__env_entries); i++) {
        used += vdi_text_format(names + used, sizeof names - used, "%s%s", i ? ", " : "",
                                vdi__env_entries[i]->env.name);
    }
    return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_env_open",
                         "expected an environment among %s, got %s", names, name ? name : "NULL");
}

VDI__DEF vdi_status vdi_env_open(const char *name, const vdi_allocator *a, vdi_env *env,
                                 vdi_error *err) {
    const vdi_allocator allocator = vdi_allocator_defaults(a);
    const vdi_env_entry *entry = vdi__env_find(name);
    memset(env, 0, sizeof *env);
    if (!entry) return vdi__env_unknown(name, err);
    vdi__env_head *head = (vdi__env_head *)vdi_alloc(&allocator, entry->bytes);
    if (!head) {
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_env_open",
                             "no memory for the %zu bytes of %s", entry->bytes, name);
    }
    memset(head, 0, entry->bytes);
    head->allocator = allocator;
    head->bytes = entry->bytes;
    *env = entry->env;
    env->self = head;
    return VDI_OK;
}

VDI__DEF vdi_status vdi_env_pendulum(vdi_env *env) {
    return vdi_env_open("pendulum", NULL, env, NULL);
}
VDI__DEF vdi_status vdi_env_lander(vdi_env *env) { return vdi_env_open("lander", NULL, env, NULL); }
VDI__DEF vdi_status vdi_env_navigate(vdi_env *env) {
    return vdi_env_open("navigate", NULL, env, NULL);
}
#endif
