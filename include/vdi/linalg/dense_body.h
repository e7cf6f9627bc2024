/* linalg/dense_body.h - Cholesky, LDL' and triangular solves of one pass, and plane rotations
 *
 * One step serves them all: four rows of unknowns x_i = (b_i - sum_{p<i} l_ip x_p) / l_ii, with the
 * lanes across the columns. A register tile of 4 rows x nv vectors takes the sum over the finished
 * rows p in rising order, then the four rows take each other. Each element is one chain whatever
 * the tile, so columns may be cut anywhere. Strides have a sign: a system read from its end is how
 * a transposed factor is solved.
 */
#if VDI_REGISTERS == 32 && VDI_W > 2
#define VDI__DNV 4
#else
#define VDI__DNV 2
#endif
/* Where masked access is one instruction, a single vector always goes through it: one tile less to
 * compile. */
#define VDI__MASKED_ALL (VDI__ISA == 1 || VDI__ISA == 3 || VDI__ISA == 4)

/* The tile of one step: rows i0 ... i0+rows-1 of x, 1 <= rows <= 4 (beyond, the last one is
   repeated and not stored). l points to l[i0][0] with strides li, lp; x to column j of row 0 with
   row stride xs. Without `inv` (reciprocal diagonal) the four rows do not take each other. `out`
   takes the result. */
VDI_LOCAL void VDI_PN(vdi__solve_tile)(size_t nv, bool masked, size_t rows, size_t i0,
                                       const VDI_T *l, ptrdiff_t li, ptrdiff_t lp, const VDI_T *inv,
                                       const VDI_T *x, ptrdiff_t xs, size_t cols, VDI_T *out,
                                       ptrdiff_t os) {
    const VDI_TAIL tail = VDI_VTAIL(masked ? cols : VDI_W);
    const VDI_T *c[4];
    VDI_V acc[4][VDI__DNV], v[VDI__DNV];
    VDI__UNROLL for (int r = 0; r < 4; r++) {
        const ptrdiff_t row = (ptrdiff_t)VDI__MIN((size_t)r, rows - 1);
        const VDI_T *from = x + ((ptrdiff_t)i0 + row) * xs;
        c[r] = l + row * li;
        VDI__UNROLL for (size_t k = 0; k < nv; k++) {
            acc[r][k] = masked ? VDI_VLOADT(from, tail) : VDI_VLOAD(from + k * VDI_W);
        }
    }
    ptrdiff_t at = 0;
    for (size_t p = 0; p < i0; p++) {
        VDI__UNROLL for (size_t k = 0; k < nv; k++) {
            v[k] = masked ? VDI_VLOADT(x, tail) : VDI_VLOAD(x + k * VDI_W);
        }
        VDI__UNROLL for (int r = 0; r < 4; r++) {
            const VDI_V s = VDI_VSET1(c[r][at]);
            VDI__UNROLL for (size_t k = 0; k < nv; k++) acc[r][k] = VDI_VFNMA(s, v[k], acc[r][k]);
        }
        at += lp;
        x += xs;
    }
    VDI__UNROLL for (size_t r = 0; r < 4; r++) {
        if (r == rows) break;
        if (inv) {
            VDI__UNROLL for (size_t q = 0; q < r; q++) {
                const VDI_V s = VDI_VSET1(c[r][at + (ptrdiff_t)q * lp]);
                VDI__UNROLL for (size_t k = 0; k < nv; k++) {
                    acc[r][k] = VDI_VFNMA(s, acc[q][k], acc[r][k]);
                }
            }
            const VDI_V s = VDI_VSET1(inv[r]);
            VDI__UNROLL for (size_t k = 0; k < nv; k++) acc[r][k] = VDI_VMUL(s, acc[r][k]);
        }
        VDI_T *to = out + (ptrdiff_t)r * os;
        if (masked) {
            VDI_VSTORET(to, tail, acc[r][0]);
        } else {
            VDI__UNROLL for (size_t k = 0; k < nv; k++) VDI_VSTORE(to + k * VDI_W, acc[r][k]);
        }
    }
}

/* One step over `cols` columns. */
VDI__NOINLINE VDI_KERNEL void VDI_PN(vdi__solve_step)(size_t rows, size_t i0, const VDI_T *l,
                                                      ptrdiff_t li, ptrdiff_t lp, const VDI_T *inv,
                                                      const VDI_T *x, ptrdiff_t xs, size_t cols,
                                                      VDI_T *out, ptrdiff_t os) {
    for (size_t w; cols > 0; cols -= w, x += w, out += w) {
        if (cols >= VDI__DNV * VDI_W) {
            w = VDI__DNV * VDI_W;
            VDI_PN(vdi__solve_tile)(VDI__DNV, false, rows, i0, l, li, lp, inv, x, xs, w, out, os);
        } else if (VDI__DNV > 2 && cols >= 2 * VDI_W) {
            w = 2 * VDI_W;
            VDI_PN(vdi__solve_tile)(2, false, rows, i0, l, li, lp, inv, x, xs, w, out, os);
        } else if (!VDI__MASKED_ALL && cols >= VDI_W) {
            w = VDI_W;
            VDI_PN(vdi__solve_tile)(1, false, rows, i0, l, li, lp, inv, x, xs, w, out, os);
        } else {
            w = VDI__MIN(cols, VDI_W);
            VDI_PN(vdi__solve_tile)(1, true, rows, i0, l, li, lp, inv, x, xs, w, out, os);
        }
    }
}

/* c - a b in the arithmetic of the lanes */
VDI_LOCAL VDI_T VDI_PN(vdi__fnma)(VDI_T a, VDI_T b, VDI_T c) {
#if !VDI_FMA
    return c - a * b;
#elif VDI__REAL == 32
    return fmaf(-a, b, c);
#else
    return fma(-a, b, c);
#endif
}

/* rows (4,n) <- columns (n,4), and back, the latter times s */
VDI_LOCAL void VDI_PN(vdi__columns_to_rows)(size_t n, const VDI_T *column, VDI_T *row, size_t lda) {
    for (size_t j = 0; j < n; j++) {
        VDI__UNROLL for (size_t r = 0; r < 4; r++) row[r * lda + j] = column[j * lda + r];
    }
}
VDI_LOCAL void VDI_PN(vdi__rows_to_columns)(size_t n, const VDI_T *row, VDI_T *column, size_t lda,
                                            const VDI_T *s) {
    const VDI_T s0 = s[0];
    const VDI_T s1 = s[1];
    const VDI_T s2 = s[2];
    const VDI_T s3 = s[3];
    for (size_t j = 0; j < n; j++, column += lda) {
        column[0] = s0 * row[j];
        column[1] = s1 * row[lda + j];
        column[2] = s2 * row[2 * lda + j];
        column[3] = s3 * row[3 * lda + j];
    }
}

/* A = L L' (diag NULL) or L D L', lower triangle in, L out, zeros above. Returns n, or the row of a
   pivot that will not do, which then stands on the diagonal. While it runs, the upper triangle
   holds L' row by row, for the lanes; the lower one holds what its columns are multiplied with: L,
   or L D. */
VDI_KERNEL size_t VDI_PN(vdi__linalg_cholesky)(size_t n, void *a_, size_t lda, void *diag_) {
    VDI_T *a = (VDI_T *)a_, *diag = (VDI_T *)diag_;
    const ptrdiff_t step = (ptrdiff_t)lda;
    const VDI_T one[4] = {1, 1, 1, 1};
    for (size_t k = 0; k < n; k += 4) {
        const size_t rows = VDI__MIN(4, n - k), next = k + rows;
        VDI_T *row = a + k * lda, block[4][4], inv[4], pivot[4];
        for (size_t r = 0; r < rows; r++) {
            for (size_t c = r; c < rows; c++)
                row[r * lda + k + c] = block[r][c] = row[c * lda + k + r];
        }
        if (k) VDI_PN(vdi__solve_step)(rows, k, row, step, 1, NULL, a + k, step, rows, block[0], 4);
        for (size_t r = 0; r < rows; r++) {
            /* row r of the block from its diagonal on, by the rows above it */
            for (size_t q = 0; q < r; q++) {
                for (size_t c = r; c < rows; c++)
                    block[r][c] = VDI_PN(vdi__fnma)(row[r * lda + k + q], block[q][c], block[r][c]);
            }
            pivot[r] = block[r][r];
            if (diag ? pivot[r] == 0 || !(pivot[r] - pivot[r] == 0)
                     : !(pivot[r] > 0) || !(pivot[r] - pivot[r] == 0)) {
                row[r * lda + k + r] = pivot[r];
                return k + r;
            }
            const VDI_T root = diag ? pivot[r] : (VDI_T)sqrt((double)pivot[r]);
            inv[r] = 1 / root;
            row[r * lda + k + r] = diag ? 1 : root;
            if (diag) diag[k + r] = pivot[r];
            for (size_t c = r + 1; c < rows; c++) {
                const VDI_T raw = block[r][c];
                block[r][c] = raw * inv[r];
                row[r * lda + k + c] = block[r][c];
                row[c * lda + k + r] = diag ? raw : block[r][c];
            }
        }
        if (next == n) break;
        VDI_PN(vdi__columns_to_rows)(n - next, a + next * lda + k, row + next, lda);
        VDI_PN(vdi__solve_step)(4, k, row, step, 1, inv, a + next, step, n - next, row + next,
                                step);
        VDI_PN(vdi__rows_to_columns)(n - next, row + next, a + next * lda + k, lda,
                                     diag ? pivot : one);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) {
            if (diag) a[j * lda + i] = a[i * lda + j];
            a[i * lda + j] = 0;
        }
    }
    return n;
}

/* x (n,cols) <- L^{-1} x with the lower triangle l; rows of x lie xs apart, its columns
 * together. */
VDI__NOINLINE VDI_KERNEL void VDI_PN(vdi__solve_all)(size_t n, size_t cols, const VDI_T *l,
                                                     ptrdiff_t li, ptrdiff_t lp, VDI_T *x,
                                                     ptrdiff_t xs) {
    for (size_t w; cols > 0; cols -= w, x += w) {
        w = VDI__MIN(cols, VDI__DNV * VDI_W);
        for (size_t i = 0; i < n; i += 4) {
            const size_t rows = VDI__MIN(4, n - i);
            const VDI_T *row = l + (ptrdiff_t)i * li;
            VDI_T inv[4] = {0, 0, 0, 0};
            for (size_t r = 0; r < rows; r++)
                inv[r] = 1 / row[(ptrdiff_t)r * li + (ptrdiff_t)(i + r) * lp];
            VDI_PN(vdi__solve_step)(rows, i, row, li, lp, inv, x, xs, w, x + (ptrdiff_t)i * xs, xs);
        }
    }
}

/* The same for m right-hand sides that lie bc apart, with their elements br apart. Where bc is not
 * 1, some are turned at a time. */
VDI_KERNEL void VDI_PN(vdi__linalg_trsm)(size_t n, size_t m, const void *l_, ptrdiff_t li,
                                         ptrdiff_t lp, void *b_, ptrdiff_t br, ptrdiff_t bc) {
    const VDI_T *l = (const VDI_T *)l_;
    VDI_T *b = (VDI_T *)b_, buffer[32768 / sizeof(VDI_T)];
    if (bc == 1) {
        VDI_PN(vdi__solve_all)(n, m, l, li, lp, b, br);
        return;
    }
    const size_t width = n ? VDI__MIN(VDI__DNV * VDI_W, VDI__COUNT(buffer) / n) : 0;
    for (size_t j = 0, w; n && j < m; j += w) {
        VDI_T *at = b + (ptrdiff_t)j * bc;
        w = VDI__MAX(VDI__MIN(width, m - j), 1);
        if (w == 1) {
            VDI_PN(vdi__solve_all)(n, 1, l, li, lp, at, br);
            continue;
        }
        for (size_t c = 0; c < w; c++) {
            for (size_t i = 0; i < n; i++)
                buffer[i * w + c] = at[(ptrdiff_t)c * bc + (ptrdiff_t)i * br];
        }
        VDI_PN(vdi__solve_all)(n, w, l, li, lp, buffer, (ptrdiff_t)w);
        for (size_t c = 0; c < w; c++) {
            for (size_t i = 0; i < n; i++)
                at[(ptrdiff_t)c * bc + (ptrdiff_t)i * br] = buffer[i * w + c];
        }
    }
}

/* (x, y) <- (c x + s y, c y - s x) */
VDI_KERNEL void VDI_PN(vdi__linalg_rotate)(size_t n, void *x_, void *y_, double c_, double s_) {
    VDI_T *x = (VDI_T *)x_, *y = (VDI_T *)y_;
    const VDI_V c = VDI_VSET1(VDI_C(c_)), s = VDI_VSET1(VDI_C(s_));
    for (; n >= VDI_W; n -= VDI_W, x += VDI_W, y += VDI_W) {
        const VDI_V u = VDI_VLOAD(x), v = VDI_VLOAD(y);
        VDI_VSTORE(x, VDI_VFMA(c, u, VDI_VMUL(s, v)));
        VDI_VSTORE(y, VDI_VFNMA(s, u, VDI_VMUL(c, v)));
    }
    if (n) {
        const VDI_TAIL tail = VDI_VTAIL(n);
        const VDI_V u = VDI_VLOADT(x, tail), v = VDI_VLOADT(y, tail);
        VDI_VSTORET(x, tail, VDI_VFMA(c, u, VDI_VMUL(s, v)));
        VDI_VSTORET(y, tail, VDI_VFNMA(s, u, VDI_VMUL(c, v)));
    }
}

/* A <- R A R' for the symmetric, packed A (n,n) and a rotation R of rows p and q; the four elements
 * where they cross are the caller's. */
VDI_KERNEL void VDI_PN(vdi__linalg_rotate_both)(size_t n, void *a_, size_t p, size_t q, double c,
                                                double s) {
    VDI_T *a = (VDI_T *)a_;
    const VDI_T *x = a + p * n, *y = a + q * n;
    VDI_PN(vdi__linalg_rotate)(n, a + p * n, a + q * n, c, s);
    for (size_t k = 0; k < n; k++) {
        a[k * n + p] = x[k];
        a[k * n + q] = y[k];
    }
}
#undef VDI__DNV
#undef VDI__MASKED_ALL
