/* model/env/kind.h - what a built-in environment is made of: a table row, and its state's head
 *
 * A new environment is one file beside this one (pendulum.h is the shortest) that ends in a
 *     static const vdi_env_entry vdi__env_acrobot = {{"acrobot", ...}, sizeof(acrobot), "..."};
 * and one line in the table of model/env/builtin.h. Its state begins with a vdi__env_head, comes
 * cleared from vdi_env_open, and is a function of (seed, episode) and the actions after each reset.
 */
#ifndef VDI_MODEL_ENV_KIND_H
#define VDI_MODEL_ENV_KIND_H
#include "../../core/alloc.h"
#include "env.h"

/** A row of the table of built-in environments. */
typedef struct vdi_env_entry {
    vdi_env env;         /**< name, sizes and names; `self` is NULL: open it by its name */
    size_t bytes;        /**< of its state */
    const char *summary; /**< one sentence */
} vdi_env_entry;

#endif /* VDI_MODEL_ENV_KIND_H */

#if defined(VDI__BODIES) && defined(VDI_ENV_IMPLEMENTATION) && !defined(VDI_MODEL_ENV_KIND_C)
#define VDI_MODEL_ENV_KIND_C

/* What the state of every built-in environment begins with. */
typedef struct vdi__env_head {
    vdi_allocator allocator;
    size_t bytes; /* of the whole state */
    vdi_rng rng;
    int64_t steps; /* of this episode so far */
} vdi__env_head;

VDI__FN void vdi__env_free(void *self) {
    vdi__env_head *head = (vdi__env_head *)self;
    if (!head) return;
    vdi_allocator a = head->allocator;
    vdi_free(&a, head, head->bytes);
}

VDI__INLINE double vdi__env_uniform(vdi_rng *rng, double low, double high) {
    return low + (high - low) * vdi_rng_uniform(rng);
}
VDI__INLINE double vdi__env_clamp(double x, double low, double high) {
    return x < low ? low : x > high ? high : x;
}
#endif
