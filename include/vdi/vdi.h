/* vdi.h - value decomposition and variational inference: tensors, SIMD kernels, block-tridiagonal
 * solvers, a reverse-mode tape and model families, in one header without dependencies
 *
 * Do this, in exactly one C or C++ file:
 *     #define VDI_IMPLEMENTATION
 *     #include "vdi.h"
 * and plain includes elsewhere; link with -lm (and -pthread on older systems). It compiles faster
 * in four files, side by side (make -j): each defines VDI_IMPLEMENTATION_PART 1, 2, 3 or 4, too,
 * and the same switches.
 *
 * Ten lines:
 *     double D[2] = {2, 2}, E[1] = {-1}, h[2] = {1, 0}, x[2];           J = [2 -1; -1 2]
 *     vdi_blocktri_desc desc = {0};
 *     desc.dtype = VDI_F64;
 *     desc.trials = 1;
 *     desc.T = 2;
 *     desc.d = 1;
 *     size_t size = vdi_blocktri_memsize(&desc);
 *     void *mem = malloc(size);
 *     vdi_blocktri bt;
 *     vdi_error err;
 *     if (vdi_blocktri_init(&bt, &desc, mem, size, &err) < 0 ||
 *         vdi_blocktri_factor(&bt, D, E, &err) < 0)
 *         puts(err.message);
 *     else vdi_blocktri_solve(&bt, 1, h, x);                            x = {2/3, 1/3}
 *     free(mem);
 *
 * Options: the switches are listed, with their cost, in core/config.h (VDI_STATIC, VDI_NO_SIMD,
 * VDI_NO_THREADS, ...).
 * Memory: descriptions may carry an allocator; solvers run in the caller's block; nothing is
 * allocated after create or init.
 * Errors: every call that can fail returns a vdi_status and may fill a vdi_error; vdi never aborts,
 * exits or prints.
 * Threads: distinct objects may be used from distinct threads; no object is locked; the only global
 * is the choice of the SIMD path.
 * vdi does NOT: use a GPU, link BLAS, read the locale or the environment, install signal handlers,
 * or accept -ffast-math.
 *
 * License: MIT, see LICENSE.
 */
/* The order of this list is the order of the single file. A file with its own static copy sees only
 * the modules that it compiles: a static declaration without a body would be a warning in the
 * user's file. */
#include "core/config.h"
#include "core/win32.h"
#include "core/names_begin.h"
#include "core/glue_begin.h"
#if !defined(VDI_STATIC) || defined(VDI_CORE_IMPLEMENTATION)
#include "core/text.h"
#include "core/status.h"
#include "core/alloc.h"
#include "core/log.h"
#include "core/tensor.h"
#include "core/state.h"
#include "core/field.h"
#endif
#include "core/glue_end.h"
#if !defined(VDI_STATIC) || defined(VDI_CORE_IMPLEMENTATION)
#include "core/rng.h"
#include "core/pool.h"
#include "core/ranks.h"
#endif
#if !defined(VDI_STATIC) || defined(VDI_KERNEL_IMPLEMENTATION)
#include "kernel/cpu.h"
#include "kernel/simd_support.h"
#include "kernel/gemm_blocks.h"
#include "kernel/table.h"
#include "kernel/elementwise.h"
#include "kernel/reduce.h"
#include "kernel/gemm.h"
#include "kernel/conv.h"
#include "kernel/rnn.h"
#include "kernel/optim.h"
#endif
#if !defined(VDI_STATIC) || defined(VDI_LINALG_IMPLEMENTATION)
#include "linalg/table.h"
#endif
#include "core/glue_begin.h"
#if !defined(VDI_STATIC) || defined(VDI_LINALG_IMPLEMENTATION)
#include "linalg/dense.h"
#include "linalg/blocktri_group.h"
#include "linalg/blocktri.h"
#include "linalg/blocktri_adjoint.h"
#include "linalg/kalman.h"
#include "linalg/quadrature.h"
#endif
#include "core/glue_end.h"
#if !defined(VDI_STATIC) || defined(VDI_GRAD_IMPLEMENTATION)
#include "grad/tape.h"
#include "grad/custom.h"
#include "grad/broadcast.h"
#include "grad/ops.h"
#endif
#include "core/glue_begin.h"
#if !defined(VDI_STATIC) || defined(VDI_GRAD_IMPLEMENTATION)
#include "grad/reduce_ops.h"
#include "grad/row_ops.h"
#include "grad/shape_ops.h"
#include "grad/matrix_ops.h"
#include "grad/sequence_ops.h"
#include "grad/triangle_ops.h"
#include "grad/blocktri_ops.h"
#include "grad/init.h"
#include "grad/params.h"
#include "grad/optim.h"
#include "grad/layers.h"
#include "grad/mlp.h"
#include "grad/dist.h"
#include "grad/check.h"
#endif
#if !defined(VDI_STATIC) || defined(VDI_LDS_IMPLEMENTATION)
#include "model/lds/parameters.h"
#include "model/lds/series.h"
#include "model/lds/regression.h"
#include "model/lds/ties.h"
#include "model/lds/principal.h"
#include "model/lds/chain.h"
#include "model/lds/lanes.h"
#include "model/lds/lds.h"
#include "model/lds/root.h"
#include "model/lds/filter.h"
#include "model/lds/data.h"
#include "model/lds/exact.h"
#include "model/lds/observe.h"
#include "model/lds/windows.h"
#include "model/lds/smooth.h"
#include "model/lds/predict.h"
#include "model/lds/em.h"
#include "model/lds/start.h"
#include "model/lds/sample.h"
#endif
#if !defined(VDI_STATIC) || defined(VDI_PLDS_IMPLEMENTATION)
#include "model/plds/plds.h"
#include "model/plds/data.h"
#include "model/plds/fit.h"
#include "model/plds/posterior.h"
#include "model/plds/em.h"
#include "model/plds/start.h"
#include "model/plds/sample.h"
#include "model/plds/predict.h"
#endif
#if !defined(VDI_STATIC) || defined(VDI_SCORE_IMPLEMENTATION)
#include "model/score/score.h"
#include "model/score/latents.h"
#include "model/score/spikes.h"
#endif
#if !defined(VDI_STATIC) || defined(VDI_VILDS_IMPLEMENTATION)
#include "model/vilds/observation.h"
#include "model/vilds/vilds.h"
#include "model/vilds/matrix.h"
#include "model/vilds/prior.h"
#include "model/vilds/posterior.h"
#include "model/vilds/data.h"
#include "model/vilds/model.h"
#include "model/vilds/batch.h"
#include "model/vilds/joint.h"
#include "model/vilds/bound.h"
#include "model/vilds/natural.h"
#include "model/vilds/train.h"
#include "model/vilds/decoder.h"
#include "model/vilds/refine.h"
#include "model/vilds/infer.h"
#include "model/vilds/particle.h"
#include "model/vilds/variational_em.h"
#include "model/vilds/predict.h"
#include "model/vilds/canonical.h"
#include "model/vilds/flds.h"
#endif
#if !defined(VDI_STATIC) || defined(VDI_CALCIUM_IMPLEMENTATION)
#include "model/calcium/calcium.h"
#include "model/calcium/ar.h"
#include "model/calcium/scdf.h"
#include "model/calcium/mlphys.h"
#include "model/calcium/spine.h"
#include "model/calcium/likelihood.h"
#include "model/calcium/population.h"
#include "model/calcium/simulate.h"
#endif
#if !defined(VDI_STATIC) || defined(VDI_OASIS_IMPLEMENTATION)
#include "model/oasis/oasis.h"
#include "model/oasis/estimate.h"
#include "model/oasis/pools.h"
#include "model/oasis/interior.h"
#include "model/oasis/greedy.h"
#include "model/oasis/solve.h"
#endif
#if !defined(VDI_STATIC) || defined(VDI_DEEPSPIKE_IMPLEMENTATION)
#include "model/deepspike/deepspike.h"
#include "model/deepspike/description.h"
#include "model/deepspike/network.h"
#include "model/deepspike/recurrent.h"
#include "model/deepspike/model.h"
#include "model/deepspike/data.h"
#include "model/deepspike/estimator.h"
#include "model/deepspike/snippet.h"
#include "model/deepspike/train.h"
#include "model/deepspike/stream.h"
#include "model/deepspike/infer.h"
#endif
#if !defined(VDI_STATIC) || defined(VDI_PRETRAINED_IMPLEMENTATION)
#include "model/pretrained/pretrained.h"
#include "model/pretrained/prepare.h"
#include "model/pretrained/quality.h"
#include "model/pretrained/network.h"
#include "model/pretrained/infer.h"
#include "model/pretrained/stream.h"
#endif
#if !defined(VDI_STATIC) || defined(VDI_ENV_IMPLEMENTATION)
#include "model/env/env.h"
#include "model/env/kind.h"
#include "model/env/pendulum.h"
#include "model/env/lander.h"
#include "model/env/navigate.h"
#include "model/env/cartpole.h"
#include "model/env/builtin.h"
#include "model/env/wire.h"
#endif
#if !defined(VDI_STATIC) || defined(VDI_SACD_IMPLEMENTATION)
#include "model/sacd/replay.h"
#include "model/sacd/cagrad.h"
#include "model/sacd/critic.h"
#include "model/sacd/values.h"
#include "model/sacd/fit.h"
#include "model/sacd/sacd.h"
#include "model/sacd/policy.h"
#include "model/sacd/act.h"
#include "model/sacd/update.h"
#include "model/sacd/choice.h"
#include "model/sacd/episode.h"
#include "model/sacd/trace.h"
#include "model/sacd/explain.h"
#endif
#if !defined(VDI_STATIC) || defined(VDI_IO_IMPLEMENTATION)
#include "io/stream.h"
#include "io/binary.h"
#include "io/crc32.h"
#include "io/inflate.h"
#include "io/zip.h"
#include "io/npy.h"
#include "io/npz.h"
#include "io/json.h"
#include "io/safetensors.h"
#include "io/csv.h"
#include "io/mat.h"
#include "io/array.h"
#include "io/color.h"
#include "io/png.h"
#include "io/figure.h"
#include "io/markup.h"
#include "io/figure_scale.h"
#include "io/figure_view.h"
#include "io/figure_curves.h"
#include "io/figure_maps.h"
#include "io/figure_bars.h"
#include "io/figure_series.h"
#include "io/svg.h"
#include "io/html.h"
#endif
#if !defined(VDI_STATIC) || (defined(VDI_SACD_IMPLEMENTATION) && defined(VDI_IO_IMPLEMENTATION))
#include "model/sacd/file.h"
#endif
#include "core/glue_end.h"

/* The second visit compiles what the implementation macros ask for, after every declaration is
 * known. */
#if defined(VDI__WANTED) && !defined(VDI__BODIES)
#define VDI__BODIES
#include "vdi.h"
#undef VDI__BODIES
#endif
#include "core/names_end.h"
