/* model/deepspike/model.h - creating a network, changing its training options, and its state
 *
 * Declared in deepspike.h.
 */
#ifndef VDI_MODEL_DEEPSPIKE_MODEL_H
#define VDI_MODEL_DEEPSPIKE_MODEL_H
#include "deepspike.h"

#endif

#if defined(VDI__BODIES) && defined(VDI_DEEPSPIKE_IMPLEMENTATION) && \
    !defined(VDI_MODEL_DEEPSPIKE_MODEL_C)
#define VDI_MODEL_DEEPSPIKE_MODEL_C

VDI__DEF void vdi_deepspike_destroy(vdi_deepspike *m) {
    if (!m) return;
    const vdi_allocator a = m->desc.allocator;
    for (int i = 0; m->worker && i < m->workers; i++) {
        vdi_tape_destroy(m->worker[i].tape);
        vdi_arena_free(&m->worker[i].arena);
    }
    vdi_free(&a, m->worker, (size_t)m->workers * sizeof *m->worker);
    vdi_optim_destroy(m->optim);
    vdi_tape_destroy(m->tape);
    if (!m->desc.network.odds) vdi_params_destroy(m->params);
    vdi_arena_free(&m->arena);
    vdi_free(&a, m, sizeof *m);
}

VDI__FN vdi_status vdi__ds_optim(vdi_deepspike *m, vdi_optim **out, vdi_error *err) {
    vdi_optim_desc od = vdi_optim_desc_defaults();
    od.rate = m->desc.train.rate;
    od.schedule = m->desc.train.schedule;
    od.clip_norm = m->desc.train.clip_norm > 0 ? m->desc.train.clip_norm : 0;
    return vdi_optim_create(&od, m->params, &m->desc.allocator, out, err);
}

/* A tape and an arena for each worker of the pool, and one tape for the batch. */
VDI__FN vdi_status vdi__ds_create_workers(vdi_deepspike *m, vdi_error *err) {
    const vdi_allocator *a = &m->desc.allocator;
    vdi_tape_desc td = vdi_tape_desc_defaults();
    m->workers = vdi_pool_threads(m->desc.pool);
    m->worker = (vdi__ds_worker *)vdi_alloc(a, (size_t)m->workers * sizeof *m->worker);
    if (!m->worker)
        return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_deepspike_create", "no memory for workers");
    memset(m->worker, 0, (size_t)m->workers * sizeof *m->worker);
    td.dtype = m->desc.dtype;
    td.allocator = *a;
    td.block_size = (size_t)1 << 20;
    vdi_status status = VDI_OK;
    for (int i = 0; i < m->workers; i++) {
        vdi_arena_init(&m->worker[i].arena, a, (size_t)1 << 20);
    }
    for (int i = 0; i < m->workers && status >= 0; i++) {
        status = vdi_tape_create(&td, &m->worker[i].tape, err);
    }
    return status < 0 ? status : vdi_tape_create(&td, &m->tape, err);
}

/* Parameters of its own, or the caller's. */
VDI__FN vdi_status vdi__ds_create_params(vdi_deepspike *m, vdi_error *err) {
    const vdi_deepspike_desc *d = &m->desc;
    vdi_rng rng = vdi_rng_make(d->train.seed, 0);
    vdi__ds_declare(m);
    if (!d->network.odds) {
        return vdi_params_create(m->list, m->items, d->dtype, &d->allocator, &rng, &m->params, err);
    }
    m->params = d->network.params;
    if (m->params->count > VDI__DS_PARAMS) {
        return vdi_error_set(err, VDI_ERR_ARGUMENT, "vdi_deepspike_create",
                             "network.params are %lld, expected at most %d",
                             (long long)m->params->count, (int)VDI__DS_PARAMS);
    }
    return VDI_OK;
}

VDI__DEF vdi_status vdi_deepspike_create(const vdi_deepspike_desc *desc, vdi_deepspike **out,
                                         vdi_error *err) {
    const vdi_deepspike_desc d = vdi_deepspike_desc_defaults(desc);
    vdi_status status = vdi_deepspike_desc_check(&d, err);
    *out = NULL;
    if (status < 0) return status;
    vdi_deepspike *m = (vdi_deepspike *)vdi_alloc(&d.allocator, sizeof *m);
    if (!m) return vdi_error_set(err, VDI_ERR_MEMORY, "vdi_deepspike_create", "no memory");
    memset(m, 0, sizeof *m);
    m->desc = d;
    if (d.generative.log_likelihood == vdi__ds_calcium)
        m->desc.generative.user = &m->desc.generative.calcium;
    vdi_arena_init(&m->arena, &d.allocator, 0);
    status = vdi__ds_create_workers(m, err);
    if (status >= 0) status = vdi__ds_create_params(m, err);
    if (status >= 0) status = vdi__ds_optim(m, &m->optim, err);
    if (status < 0) {
        vdi_deepspike_destroy(m);
        return status;
    }
    *out = m;
    return VDI_OK;
}

VDI__DEF const vdi_deepspike_desc *vdi_deepspike_description(const vdi_deepspike *m) {
    return &m->desc;
}
VDI__DEF vdi_params *vdi_deepspike_params(vdi_deepspike *m) { return m->params; }
VDI__DEF void vdi_deepspike_set_prior_rate(vdi_deepspike *m, int stream, double rate) {
    if (stream >= 0 && stream < VDI_DEEPSPIKE_STREAMS && rate > 0 && rate < 1)
        m->desc.prior_rate[stream] = rate;
}
VDI__DEF vdi_status vdi_deepspike_set_train(vdi_deepspike *m, const vdi_deepspike_train *train,
                                            vdi_error *err) {
    vdi_deepspike_desc d = m->desc;
    vdi_optim *fresh;
    d.train = *train;
    d = vdi_deepspike_desc_defaults(&d);
    vdi_status status = vdi_deepspike_desc_check(&d, err);
    if (status < 0) return status;
    const vdi_deepspike_train old = m->desc.train;
    m->desc.train = d.train;
    status = vdi__ds_optim(m, &fresh, err);
    if (status < 0) {
        m->desc.train = old;
        return status;
    }
    const vdi_state *from = vdi_optim_state(m->optim), *to = vdi_optim_state(fresh);
    for (int64_t i = 0; i < from->tensor_count; i++) {
        memcpy(to->tensors[i].tensor.data, from->tensors[i].tensor.data,
               vdi_tensor_bytes(from->tensors[i].tensor));
    }
    vdi_optim_destroy(m->optim);
    m->optim = fresh;
    return VDI_OK;
}
VDI__DEF void vdi_deepspike_restart(vdi_deepspike *m) {
    m->step = 0;
    vdi_optim_reset(m->optim);
}

/* ======== state =============================================================================== */

VDI__FN void vdi__ds_list_tensor(vdi_deepspike *m, int64_t *n, const char *name,
                                 vdi_tensor tensor) {
    m->tensors[*n].name = name;
    m->tensors[*n].tensor = tensor;
    (*n)++;
}

VDI__DEF const vdi_state *vdi_deepspike_state(vdi_deepspike *m, vdi_deepspike_data *data,
                                              bool training) {
    const vdi_state *p = vdi_params_state(m->params), *o = vdi_optim_state(m->optim);
    int64_t n = 0;
    for (int64_t i = 0; i < p->tensor_count; i++) {
        m->tensors[n++] = p->tensors[i];
    }
    if (data) {
        const int64_t cells = data->cells, P = data->theta_count;
        vdi__ds_list_tensor(m, &n, "cells.theta", vdi_tensor_2d(data->theta, VDI_F64, cells, P));
        vdi__ds_list_tensor(m, &n, "cells.scale",
                            vdi_tensor_3d(data->scale, VDI_F64, cells, data->signals, 2));
        if (training) {
            vdi__ds_list_tensor(m, &n, "train.theta_v",
                                vdi_tensor_2d(data->theta_v, VDI_F64, cells, P));
            vdi__ds_list_tensor(m, &n, "train.baseline",
                                vdi_tensor_2d(data->baseline, VDI_F64, cells, 2));
        }
    }
    for (int64_t i = 0; training && i < o->tensor_count; i++) {
        m->tensors[n++] = o->tensors[i];
    }
    if (training) vdi__ds_list_tensor(m, &n, "train.count", vdi_tensor_1d(&m->step, VDI_I64, 1));
    vdi_meta_clear(&m->meta);
    (void)vdi_meta_put_text(&m->meta, "model", "deepspike");
    (void)vdi_fields_write(vdi_deepspike_desc_fields(), &m->desc, &m->meta);
    m->state.tensors = m->tensors;
    m->state.tensor_count = n;
    m->state.meta = m->meta.meta;
    m->state.meta_count = m->meta.count;
    return &m->state;
}
#endif
