/* kernel/each.h - one pass per instruction set and real type
 *
 * Not for users. The includer defines VDI__PASS (which layer's bodies: 1 kernel, 2 linalg) and
 * VDI__PASS_FILE (their passes.h, as seen from here); this file then includes that once per
 * instruction set. In the single file it is the file itself, which has the bodies of both real
 * types.
 * A pass is intrinsics in loops of constant counts: what gcc would do at -O2 beyond unrolling and
 * scheduling finds nothing there, and takes a third of the time.
 */
#ifndef VDI_SELF
#define VDI_SELF "vdi.h"
#endif
/* clang says so where a loop of no or one round is "not unrolled" */
#if defined(__clang__)
#pragma clang diagnostic push
#pragma clang diagnostic ignored "-Wpass-failed"
#endif
#if VDI__PRAGMAS
#pragma GCC push_options
#pragma GCC optimize("no-tree-vrp", "no-tree-pre", "no-thread-jumps", "no-gcse")
#pragma GCC optimize("no-tree-slp-vectorize", "no-tree-loop-vectorize")
#pragma GCC optimize("no-tree-tail-merge", "no-crossjumping")
#pragma GCC optimize("no-tree-pta", "no-code-hoisting", "no-tree-sink", "no-split-paths")
#pragma GCC optimize("no-rerun-cse-after-loop", "no-cse-follow-jumps")
#endif
#if VDI__HAVE_SCALAR
#define VDI__ISA VDI__ISA_SCALAR
#include VDI__PASS_FILE
#undef VDI__ISA
#endif
#if VDI__HAVE_SSE2
#if VDI__PRAGMAS /* slower products, on old processors alone */
#pragma GCC push_options
#pragma GCC optimize("no-tree-dominator-opts", "no-tree-bit-ccp", "no-forward-propagate", "no-dse")
#pragma GCC optimize("no-ivopts", "no-schedule-insns2")
#endif
#define VDI__ISA VDI__ISA_SSE2
#include VDI__PASS_FILE
#undef VDI__ISA
#if VDI__PRAGMAS
#pragma GCC pop_options
#endif
#endif
#if VDI__HAVE_AVX2
#define VDI__ISA VDI__ISA_AVX2
#include VDI__PASS_FILE
#undef VDI__ISA
#endif
#if VDI__HAVE_AVX512
#define VDI__ISA VDI__ISA_AVX512
#include VDI__PASS_FILE
#undef VDI__ISA
#endif
#if VDI__HAVE_NEON
#define VDI__ISA VDI__ISA_NEON
#include VDI__PASS_FILE
#undef VDI__ISA
#endif
#if VDI__HAVE_WASM
#define VDI__ISA VDI__ISA_WASM
#include VDI__PASS_FILE
#undef VDI__ISA
#endif
#if defined(__clang__)
#pragma clang diagnostic pop
#endif
#if VDI__PRAGMAS
#pragma GCC pop_options
#endif
#undef VDI__PASS_FILE
#undef VDI__PASS
