/* kernel/gemm_blocks.h - how a product is cut into register tiles, the same on every path
 *
 * Not for users. A register tile of MR rows x NV vectors (gemm_body.h) walks over k. Around it:
 *   blocks of k (C is reloaded, so the chain goes on),
 *   blocks of rows, so that a part of A is in a near cache when the next panel needs it,
 *   panels of NV vectors of columns. B is read in place where that is fast, else a panel is copied
 *   to the stack: when it is stored transposed, when its last vector is cut and masked loads cost,
 *   when its rows lie far apart.
 * While a tile is computed, the next tile's C and A and a share of the next panel of B are
 * requested from memory, where the operands are too large for a near cache.
 * A is read in place, by broadcasts, so that its transpose costs nothing; only where its rows lie
 * far apart are strips of it copied, and B is read in place. A product with few columns is
 * computed turned over, with the lanes across the rows; one with a single row runs over wide
 * panels. docs/guide/kernels.md has the measurements.
 */
#ifndef VDI_KERNEL_GEMM_BLOCKS_H
#define VDI_KERNEL_GEMM_BLOCKS_H
#include "elementwise.h"
#include "gemm.h"
#endif

#if defined(VDI__BODIES) && defined(VDI_KERNEL_IMPLEMENTATION) && !defined(VDI_KERNEL_GEMM_BLOCKS_C)
#define VDI_KERNEL_GEMM_BLOCKS_C

/* Level 3: into the first-level cache; 2: into the second. */
#if VDI__GNU && !defined(__TINYC__)
#define VDI__PREFETCH(p, level) __builtin_prefetch(p, 0, level)
#else
#define VDI__PREFETCH(p, level) ((void)0)
#endif

/* What the cutting has to know of a path. */
typedef struct vdi__gemm_path {
    size_t size, lanes;           /* bytes of a real, reals of a vector */
    int shift;                    /* lanes = 1 << shift: a division would take longer than a tile */
    size_t vectors;               /* NV: most vectors of columns in a tile */
    size_t rows[4];               /* MR: most rows of a tile of 1 ... NV vectors */
    size_t steps;                 /* a block of k */
    size_t stream, strip;         /* where A is copied: most vectors in a tile, reals of a step */
    bool masks_full, masks_small; /* is a cut vector of B loaded through a mask? in a full tile, in
                                     one of at most 4 rows */
    bool runs;                    /* tiles go through several runs of k, which costs a register */
    vdi__tile_fn *tile[3][4];     /* by rows (more than 4, 2 to 4, 1) and vectors */
    vdi__tile_fn *row[3];         /* one row, 16, 8 and 4 vectors; or NULL */
    void (*pack)(bool transposed, size_t steps, size_t cols, const void *b, size_t ldb, void *to,
                 size_t width);
    vdi__unary_fn *act[VDI_ACT_EXP + 1];
} vdi__gemm_path;

enum {
    VDI__GEMM_ROWS = 256,   /* a block of rows */
    VDI__GEMM_LOW = 32,     /* most rows of a product without blocks */
    VDI__GEMM_FEW = 64,     /* a block of k where a panel is used once: it has to stay in the
                              first-level cache until then */
    VDI__GEMM_FEWEST = 96,  /* least steps of k in a block of B that stays in the cache */
    VDI__GEMM_SLIM = 4,     /* most columns of a product that is turned over */
    VDI__GEMM_VECTORS = 4,  /* most of `vectors` */
    VDI__GEMM_NEAR = 256,   /* KiB of the three operands that a near cache holds */
    VDI__GEMM_LINE = 64,    /* bytes of a cache line, and most bytes of a vector */
    VDI__GEMM_PANEL = 20480 /* bytes of a panel: a thread has 64 KiB of stack, a call half of it */
};

/* Vectors that n reals fill, or begin. */
VDI__FN size_t vdi__gemm_vectors(const vdi__gemm_path *path, size_t n) {
    return (n + path->lanes - 1) >> path->shift;
}

/* Where a buffer on the stack begins a cache line. */
VDI__FN char *vdi__gemm_align(char *p) {
    return p + ((VDI__GEMM_LINE - ((uintptr_t)p & (VDI__GEMM_LINE - 1))) & (VDI__GEMM_LINE - 1));
}

/* y = act(x) over a block of finished rows, while they are in the cache */
VDI__NOINLINE VDI__FN void vdi__gemm_act(const vdi__gemm_path *path, const vdi__gemm_args *g,
                                         size_t rows, size_t cols, char *c, size_t ldc) {
    vdi__unary_fn *act = path->act[g->act];
    const double p = g->act == VDI_ACT_LEAKY_RELU && g->act_param == 0 ? 0.2 : g->act_param;
    if (ldc == cols) {
        cols *= rows;
        rows = 1;
    }
    for (size_t i = 0; i < rows; i++, c += ldc * path->size)
        act(cols, p, c, c);
}

/* At most four columns: C' = B' A', a tile of n rows whose lanes are rows of C. */
VDI__NOINLINE VDI__FN void vdi__gemm_slim(const vdi__gemm_path *path, const vdi__gemm_args *g) {
    char space[(VDI__GEMM_FEW * VDI__GEMM_VECTORS + 1) * VDI__GEMM_LINE];
    char spare[(VDI__GEMM_SLIM * VDI__GEMM_VECTORS + 1) * VDI__GEMM_LINE];
    char *const panel = vdi__gemm_align(space), *const out = vdi__gemm_align(spare);
    const size_t size = path->size, lanes = path->lanes, width = path->vectors * lanes;
    const char *a = (const char *)g->a, *b = (const char *)g->b, *bias = (const char *)g->bias;
    char *c = (char *)g->c;
    const bool ta = (g->flags & VDI_GEMM_TA) != 0, tb = (g->flags & VDI_GEMM_TB) != 0;
    const bool accumulate = (g->flags & VDI_GEMM_ACC) != 0;
    vdi__tile t;
    t.c = out;
    t.init = out;
    t.ldc = t.ldinit = width;
    t.ahead = false;
    t.runs = 1;
    t.jump = 0;
    t.ars = tb ? g->ldb : 1;
    t.acs = tb ? 1 : g->ldb;
    t.rows = g->n;
    for (size_t i = 0; i < g->m; i += width, c += width * g->ldc * size) {
        const size_t cols = VDI__MIN(g->m - i, width), nv = vdi__gemm_vectors(path, cols);
        const bool cut = cols < nv * lanes;
        vdi__tile_fn *run = path->tile[g->n > 1 ? 1 : 2][nv - 1];
        t.cols = cols;
        for (size_t q = 0; q < g->n; q++) {
            char *row = out + q * width * size;
            if (accumulate)
                vdi__copy_strided(size, cols, c + q * size, (int64_t)g->ldc, row, 1);
            else if (bias)
                vdi__copy_strided(size, cols, bias + q * size, 0, row, 1);
            else
                memset(row, 0, cols * size);
        }
        for (size_t p = 0; p < g->k; p += t.k) {
            const char *from = ta ? a + (p * g->lda + i) * size : a + (i * g->lda + p) * size;
            t.k = VDI__MIN(g->k - p, (size_t)VDI__GEMM_FEW);
            t.a = b + p * t.acs * size;
            t.b = from;
            t.ldb = g->lda;
            if (!ta || (cut && !path->masks_small)) {
                path->pack(!ta, t.k, cols, from, g->lda, panel, nv * lanes);
                t.b = panel;
                t.ldb = nv * lanes;
            }
            run(&t);
        }
        if (g->act != VDI_ACT_NONE) vdi__gemm_act(path, g, g->n, cols, out, width);
        for (size_t q = 0; q < g->n; q++)
            vdi__copy_strided(size, cols, out + q * width * size, 1, c + q * size, (int64_t)g->ldc);
    }
}

/* One row and B as it lies: wide panels, since few chains would wait for each other. Returns the
 * columns done. */
VDI__FN size_t vdi__gemm_row(const vdi__gemm_path *path, const vdi__gemm_args *g) {
    const char *from = (const char *)(g->flags & VDI_GEMM_ACC ? g->c : g->bias);
    const size_t size = path->size, lanes = path->lanes;
    size_t done = 0;
    vdi__tile t;
    t.a = g->a;
    t.ahead = false;
    t.runs = 1;
    t.jump = 0;
    t.ars = 0;
    t.acs = g->flags & VDI_GEMM_TA ? g->lda : 1;
    t.ldb = g->ldb;
    t.k = g->k;
    t.rows = 1;
    t.ldc = t.ldinit = 0;
    while (done < g->n) {
        const size_t left = g->n - done;
        const size_t vectors =
            path->masks_small ? vdi__gemm_vectors(path, left) : left >> path->shift;
        vdi__tile_fn *run;
        size_t nv;
        if (!vectors) break;
        if (vectors < 4) {
            nv = VDI__MIN(vectors, (size_t)2);
            run = path->tile[2][nv - 1];
        } else {
            const int w = vectors >= 16 && path->row[0] ? 0 : vectors >= 8 && path->row[1] ? 1 : 2;
            nv = (size_t)16 >> w;
            run = path->row[w];
        }
        t.cols = VDI__MIN(left, nv * lanes);
        t.b = (const char *)g->b + done * size;
        t.c = (char *)g->c + done * size;
        t.init = from ? from + done * size : NULL;
        run(&t);
        done += t.cols;
    }
    if (g->act != VDI_ACT_NONE) vdi__gemm_act(path, g, 1, done, (char *)g->c, done);
    return done;
}

/* Rows of the next tile of nv vectors, where `left` remain. */
VDI__FN size_t vdi__gemm_height(const vdi__gemm_path *path, size_t nv, size_t left) {
    const size_t most = path->rows[nv - 1];
    /* two tiles of 4 cost less than one of 6 and one for 2 */
    if (left == 8 && most < 8) return 4;
    if (left >= most) return most;
    /* tiles of one vector have their number of rows built in: there are 1 to 8 and 16 */
    return nv == 1 ? VDI__MIN(left, (size_t)8) : left;
}

VDI__FN void vdi__gemm_tile_call(const vdi__gemm_path *path, size_t nv, const vdi__tile *t) {
    path->tile[t->rows > 4 ? 0 : t->rows > 1 ? 1 : 2][nv - 1](t);
}

/* Parts of at most `most` that k is cut into, all of one length but the last. */
VDI__FN size_t vdi__gemm_equal(size_t k, size_t most) {
    return k > most ? (k - 1) / ((k - 1) / most + 1) + 1 : most;
}

/* Rows of memory that the next tiles will read: requested between tiles, a share at a time. */
typedef struct vdi__gemm_soon {
    const char *at;
    size_t rows, stride, bytes, share;
} vdi__gemm_soon;
VDI__FN void vdi__gemm_request(vdi__gemm_soon *s) {
    size_t rows = VDI__MIN(s->rows, s->share);
    s->rows -= rows;
    for (; rows > 0; rows--, s->at += s->stride) {
        for (size_t i = 0; i < s->bytes; i += VDI__GEMM_LINE)
            VDI__PREFETCH(s->at + i, 2);
    }
}

/* The `rows` rows of A that begin at `a`. Of a transposed A, whose lines hold several tiles, those
 * that begin here. */
VDI__FN void vdi__gemm_request_a(const vdi__tile *t, const char *a, size_t rows, size_t size) {
    const size_t bytes = rows * size;
    vdi__gemm_soon soon;
    soon.at = a;
    soon.rows = rows;
    soon.stride = t->ars * size;
    soon.bytes = t->k * size;
    if (t->acs != 1) {
        soon.at = a + bytes - 1;
        if (((uintptr_t)soon.at & (VDI__GEMM_LINE - 1)) >= bytes) return;
        soon.rows = t->k;
        soon.stride = t->acs * size;
        soon.bytes = 1;
    }
    soon.share = soon.rows;
    vdi__gemm_request(&soon);
}

/* The rows from i0 to i1 of a panel of nv vectors of columns from j on, over t->k steps from p
 * on; `soon` is what the next panel reads, or NULL where nothing is requested. */
VDI__FN void vdi__gemm_rows(const vdi__gemm_path *path, const vdi__gemm_args *g, vdi__tile *t,
                            size_t i0, size_t i1, size_t p, size_t j, size_t nv,
                            vdi__gemm_soon *soon) {
    const bool accumulate = (g->flags & VDI_GEMM_ACC) != 0, goes_on = p > 0 || accumulate;
    const size_t size = path->size;
    const char *a = (const char *)g->a + (i0 * t->ars + p * t->acs) * size;
    char *c = (char *)g->c + (i0 * g->ldc + j) * size;
    t->init = g->bias && !accumulate ? (const char *)g->bias + j * size : NULL;
    t->ldinit = goes_on ? g->ldc : 0;
    for (size_t i = i1 - i0; i > 0; i -= t->rows) {
        t->rows = vdi__gemm_height(path, nv, i);
        t->a = a;
        t->c = c;
        if (goes_on) t->init = c;
        if (soon) {
            const size_t next = VDI__MIN(i - t->rows, t->rows);
            if (j == 0 && next) vdi__gemm_request_a(t, a + t->rows * t->ars * size, next, size);
            vdi__gemm_request(soon);
        }
        vdi__gemm_tile_call(path, nv, t);
        if (p + t->k == g->k && g->act != VDI_ACT_NONE)
            vdi__gemm_act(path, g, t->rows, t->cols, c, g->ldc);
        a += t->rows * t->ars * size;
        c += t->rows * g->ldc * size;
    }
}

/* Of B the steps from p to `end`, of at most `cols` columns from j on, beside 32 tiles. */
VDI__FN void vdi__gemm_next_panel(const vdi__gemm_args *g, vdi__gemm_soon *soon, size_t p,
                                  size_t end, size_t j, size_t cols, size_t size) {
    const bool tb = (g->flags & VDI_GEMM_TB) != 0;
    const size_t next = VDI__MIN(cols, g->n - j);
    soon->rows = 0;
    if (!next) return;
    soon->at = (const char *)g->b + (tb ? j * g->ldb + p : p * g->ldb + j) * size;
    soon->rows = tb ? next : end - p;
    soon->stride = g->ldb * size;
    soon->bytes = (tb ? end - p : next) * size;
    soon->share = (soon->rows + 31) / 32;
}

/* The general case, for the columns from `start` on; panel: memory for one, or NULL where none has
 * to be packed. A block of k whose panel does not fit passes through it in parts: what they add to
 * of C is in a near cache. */
VDI__NOINLINE VDI__FN void vdi__gemm_blocks(const vdi__gemm_path *path, const vdi__gemm_args *g,
                                            size_t start, char *panel) {
    const bool ta = (g->flags & VDI_GEMM_TA) != 0, tb = (g->flags & VDI_GEMM_TB) != 0;
    const size_t size = path->size, lanes = path->lanes, most = path->vectors;
    const size_t steps =
        tb && g->m <= 8 ? (size_t)VDI__GEMM_FEW : vdi__gemm_equal(g->k, path->steps);
    const bool large = (g->m * g->k + g->k * g->n + g->m * g->n) * size >> 10 > VDI__GEMM_NEAR;
    const bool asks = large && g->n > most * lanes;
    vdi__gemm_soon soon = VDI__ZERO;
    vdi__tile t;
    size_t p = 0;
    t.ars = ta ? 1 : g->lda;
    t.acs = ta ? g->lda : 1;
    t.ldc = g->ldc;
    t.ahead = large;
    t.runs = VDI__MAX(g->runs, (size_t)1);
    t.jump = g->jump;
    do {
        const size_t end = VDI__MIN(g->k, p + steps);
        for (size_t i0 = 0; i0 < g->m; i0 += VDI__GEMM_ROWS) {
            const size_t i1 = VDI__MIN(g->m, i0 + VDI__GEMM_ROWS);
            const bool far = g->ldb * size >= 2048 && i1 - i0 >= 32;
            const bool masks = path->masks_full || (path->masks_small && i1 - i0 <= 4);
            size_t j = start, left = vdi__gemm_vectors(path, g->n - start);
            while (left > 0) {
                /* the last two panels share what is left, since a narrow one is slow */
                const size_t nv = left <= most ? left : left < 2 * most ? (left + 1) / 2 : most;
                const bool packs = tb || far || (g->n - j < nv * lanes && !masks);
                const size_t fit =
                    packs ? vdi__gemm_equal(end - p, VDI__GEMM_PANEL / (nv * lanes * size)) : steps;
                size_t q = p;
                t.cols = VDI__MIN(g->n - j, nv * lanes);
                if (asks) vdi__gemm_next_panel(g, &soon, p, end, j + t.cols, t.cols, size);
                do {
                    t.k = VDI__MIN(end - q, fit);
                    t.b = (const char *)g->b + (tb ? j * g->ldb + q : q * g->ldb + j) * size;
                    t.ldb = g->ldb;
                    if (packs) {
                        path->pack(tb, t.k, t.cols, t.b, g->ldb, panel, nv * lanes);
                        t.b = panel;
                        t.ldb = nv * lanes;
                    }
                    vdi__gemm_rows(path, g, &t, i0, i1, q, j, nv, asks ? &soon : NULL);
                    q += t.k;
                } while (q < end);
                j += t.cols;
                left -= nv;
            }
        }
        p += steps;
    } while (p < g->k);
}

VDI__NOINLINE VDI__FN void vdi__gemm_packed(const vdi__gemm_path *path, const vdi__gemm_args *g,
                                            size_t start) {
    char space[VDI__GEMM_PANEL + VDI__GEMM_LINE];
    vdi__gemm_blocks(path, g, start, vdi__gemm_align(space));
}

/* Do the rows of A lie so far apart that they share cache sets, and are there enough columns to pay
 * for a copy of it? B has to be read as it lies. */
VDI__FN bool vdi__gemm_far(const vdi__gemm_path *path, const vdi__gemm_args *g) {
    if ((g->flags & VDI_GEMM_TB) || g->m < VDI__GEMM_LOW || g->lda * path->size < 4096)
        return false;
    if (g->k == 0) return false;
    if (vdi__gemm_vectors(path, g->n) < 4 * path->stream) return false;
    return path->masks_full || (g->n & (path->lanes - 1)) == 0;
}

/* For such A: strips of its rows are copied to the stack, a block of k at a time, and pass over
 * that block of B, which is read in place and stays in half of the second-level cache. */
VDI__FN void vdi__gemm_stream(const vdi__gemm_path *path, const vdi__gemm_args *g, size_t j0,
                              size_t j1, size_t steps, char *strip) {
    const bool ta = (g->flags & VDI_GEMM_TA) != 0, accumulate = (g->flags & VDI_GEMM_ACC) != 0;
    const size_t size = path->size, most = path->stream, high = path->rows[most - 1];
    vdi__tile t;
    t.a = strip;
    t.ars = 1;
    t.acs = path->strip;
    t.ldb = g->ldb;
    t.ldc = g->ldc;
    t.ahead = false;
    t.runs = 1;
    t.jump = 0;
    for (size_t p = 0; p < g->k; p += steps) {
        const bool goes_on = p > 0 || accumulate;
        t.k = VDI__MIN(g->k - p, steps);
        t.ldinit = goes_on ? g->ldc : 0;
        for (size_t i = 0; i < g->m; i += high) {
            const size_t from = ta ? p * g->lda + i : i * g->lda + p;
            size_t left = vdi__gemm_vectors(path, j1 - j0);
            t.rows = VDI__MIN(g->m - i, high);
            path->pack(!ta, t.k, t.rows, (const char *)g->a + from * size, g->lda, strip,
                       path->strip);
            for (size_t j = j0; j < j1; j += t.cols) {
                const size_t nv = left <= most ? left : left < 2 * most ? (left + 1) / 2 : most;
                t.cols = VDI__MIN(j1 - j, nv * path->lanes);
                t.b = (const char *)g->b + (p * g->ldb + j) * size;
                t.c = (char *)g->c + (i * g->ldc + j) * size;
                t.init = goes_on ? t.c : g->bias ? (const char *)g->bias + j * size : NULL;
                vdi__gemm_tile_call(path, nv, &t);
                left -= nv;
            }
            if (p + t.k == g->k && g->act != VDI_ACT_NONE) {
                vdi__gemm_act(path, g, t.rows, j1 - j0, (char *)g->c + (i * g->ldc + j0) * size,
                              g->ldc);
            }
        }
    }
}

/* Columns in parts so narrow that the cache holds enough steps of k, steps in equal blocks. */
VDI__NOINLINE VDI__FN void vdi__gemm_streams(const vdi__gemm_path *path, const vdi__gemm_args *g) {
    char space[VDI__GEMM_PANEL + VDI__GEMM_LINE];
    const size_t size = path->size, cache = vdi__cache_bytes() / 2,
                 unit = path->stream * path->lanes;
    const size_t parts = g->n * size * VDI__GEMM_FEWEST / cache + 1;
    const size_t cols = (g->n / parts / unit + 1) * unit;
    const size_t most =
        VDI__MIN(cache / (VDI__MIN(cols, g->n) * size), VDI__GEMM_PANEL / (path->strip * size));
    const size_t blocks = (g->k - 1) / most + 1, steps = (g->k - 1) / blocks + 1;
    for (size_t j = 0; j < g->n; j += cols) {
        vdi__gemm_stream(path, g, j, VDI__MIN(g->n, j + cols), steps, vdi__gemm_align(space));
    }
}

/* Is a product a column of tiles that read B in place, over all of k at once? */
VDI__FN bool vdi__gemm_fits(const vdi__gemm_path *path, const vdi__gemm_args *g) {
    const size_t nv = vdi__gemm_vectors(path, g->n);
    if ((g->flags & VDI_GEMM_TB) || nv > path->vectors) return false;
    if (g->m > VDI__GEMM_LOW || g->k > path->steps) return false;
    return g->n == nv << path->shift || path->masks_full ||
           (path->masks_small && (nv == 1 || g->m <= 4));
}

VDI__FN void vdi__gemm_tile_set(const vdi__gemm_args *g, vdi__tile *t) {
    const bool ta = (g->flags & VDI_GEMM_TA) != 0, accumulate = (g->flags & VDI_GEMM_ACC) != 0;
    t->a = g->a;
    t->b = g->b;
    t->c = g->c;
    t->init = accumulate ? g->c : g->bias;
    t->ldinit = accumulate ? g->ldc : 0;
    t->ars = ta ? 1 : g->lda;
    t->acs = ta ? g->lda : 1;
    t->ldb = g->ldb;
    t->ldc = g->ldc;
    t->k = g->k;
    t->cols = g->n;
    t->ahead = false;
    t->runs = 1;
    t->jump = 0;
}

/* The column of tiles that begins at *t, of m rows. */
VDI__FN void vdi__gemm_column(const vdi__gemm_path *path, vdi__tile *t, size_t m) {
    const size_t nv = vdi__gemm_vectors(path, t->cols);
    for (;;) {
        t->rows = vdi__gemm_height(path, nv, m);
        vdi__gemm_tile_call(path, nv, t);
        m -= t->rows;
        if (!m) return;
        t->a = (const char *)t->a + t->rows * t->ars * path->size;
        t->c = (char *)t->c + t->rows * t->ldc * path->size;
        if (t->init) t->init = (const char *)t->init + t->rows * t->ldinit * path->size;
    }
}

VDI__FN void vdi__gemm_run(const vdi__gemm_path *path, const vdi__gemm_args *g);

/* A product of several runs: in tiles that go through all of them, where B can be read as it lies
 * and no panel has a single vector; else run by run. */
VDI__NOINLINE VDI__FN void vdi__gemm_runs(const vdi__gemm_path *path, const vdi__gemm_args *g) {
    const size_t size = path->size, vectors = vdi__gemm_vectors(path, g->n);
    const bool in_place = !(g->flags & VDI_GEMM_TB) && g->ldb * size < 2048;
    const bool whole = path->masks_full || g->n == vectors << path->shift;
    const bool wide = vectors % 2 == 0 || (vectors > 1 && path->vectors > 2);
    if (path->runs && in_place && whole && wide && g->runs * g->k <= path->steps) {
        vdi__gemm_blocks(path, g, 0, NULL);
        return;
    }
    vdi__gemm_args part = *g;
    part.runs = 1;
    for (size_t run = 1; run <= g->runs; run++) {
        part.act = run < g->runs ? VDI_ACT_NONE : g->act;
        vdi__gemm_run(path, &part);
        part.flags |= VDI_GEMM_ACC;
        part.a = (const char *)part.a + (g->k + g->jump) * size;
        part.b = (const char *)part.b + g->k * g->ldb * size;
    }
}

VDI__FN void vdi__gemm_run(const vdi__gemm_path *path, const vdi__gemm_args *g) {
    const size_t lanes = path->lanes;
    const bool tb = (g->flags & VDI_GEMM_TB) != 0;
    size_t done = 0;
    if (g->m == 0 || g->n == 0) return;
    if (g->runs > 1) {
        vdi__gemm_runs(path, g);
        return;
    }
    if (g->m > 1 && vdi__gemm_fits(path, g)) {
        vdi__tile t;
        vdi__gemm_tile_set(g, &t);
        vdi__gemm_column(path, &t, g->m);
        if (g->act != VDI_ACT_NONE) vdi__gemm_act(path, g, g->m, g->n, (char *)g->c, g->ldc);
        return;
    }
    if (g->n <= VDI__MIN((size_t)VDI__GEMM_SLIM, lanes / 4) && g->m >= lanes) {
        vdi__gemm_slim(path, g);
        return;
    }
    if (vdi__gemm_far(path, g)) {
        vdi__gemm_streams(path, g);
        return;
    }
    if (g->m == 1 && !tb) done = vdi__gemm_row(path, g);
    if (done == g->n) return;
    if (tb || g->ldb * path->size >= 2048 ||
        (!path->masks_full && ((g->n - done) & (lanes - 1)) != 0))
        vdi__gemm_packed(path, g, done);
    else
        vdi__gemm_blocks(path, g, done, NULL);
}

VDI__FN void vdi__gemm_plain(const vdi__gemm_path *path, int flags, size_t m, size_t n, size_t k,
                             const void *a, size_t lda, const void *b, size_t ldb, void *c,
                             size_t ldc) {
    const vdi__gemm_args g = vdi__gemm_product(flags, m, n, k, a, lda, b, ldb, c, ldc);
    vdi__gemm_run(path, &g);
}

/* Small products set up their tile once. */
VDI__FN void vdi__gemm_batch(const vdi__gemm_path *path, const vdi__gemm_args *g,
                             const vdi__gemm_many *batch) {
    const size_t step_a = batch->step_a * path->size, step_b = batch->step_b * path->size;
    const size_t step_c = batch->step_c * path->size;
    const bool tiles = g->m > 0 && g->n > 0 && vdi__gemm_fits(path, g);
    vdi__gemm_args one = *g;
    vdi__tile t;
    vdi__gemm_tile_set(g, &t);
    for (size_t i = 0; i < batch->count; i++) {
        if (tiles) {
            t.a = one.a;
            t.b = one.b;
            t.c = one.c;
            if (t.init) t.init = t.c;
            vdi__gemm_column(path, &t, g->m);
        } else {
            vdi__gemm_run(path, &one);
        }
        one.a = (const char *)one.a + step_a;
        one.b = (const char *)one.b + step_b;
        one.c = (char *)one.c + step_c;
    }
}
#endif
