/* linalg/dense_body.h - Cholesky, LDL' and triangular solves of one pass, and plane rotations
 *
 * One step serves them all: four rows of unknowns x_i = (b_i - sum_{p<i} l_ip x_p) / l_ii, with the
 * lanes across the columns. A register tile of 4 rows x nv vectors takes the sum over the finished
 * rows p in rising order, then the four rows take each other. Each element is one chain whatever
 * the tile, so columns may be cut anywhere. Strides have a sign: a system read from its end is how
 * a transposed factor is solved.
 */
#if VDI_REGISTERS == 32 && VDI_W > 2
#define VDI__SOLVE_VECTORS 4
#else
#define VDI__SOLVE_VECTORS 2
#endif

/* The tile of one step, from column `at` on; beyond s->rows the last row is repeated and not
   stored. */
VDI_LOCAL void VDI_PN(vdi__solve_tile)(size_t nv, bool masked, const vdi__solve *s, size_t at,
                                       size_t cols) {
    const VDI_TAIL tail = VDI_VTAIL(masked ? cols : VDI_W);
    const VDI_T *l = (const VDI_T *)s->l.data, *inv = (const VDI_T *)s->inv, *c[4];
    const VDI_T *x = (const VDI_T *)s->x.data + at;
    VDI_V acc[4][VDI__SOLVE_VECTORS], v[VDI__SOLVE_VECTORS];
    VDI__UNROLL for (int r = 0; r < 4; r++) {
        const int64_t row = (int64_t)VDI__MIN((size_t)r, s->rows - 1);
        const VDI_T *from = x + ((int64_t)s->done + row) * s->x.row;
        c[r] = l + row * s->l.row;
        VDI__UNROLL for (size_t k = 0; k < nv; k++) {
            acc[r][k] = masked ? VDI_VLOADT(from, tail) : VDI_VLOAD(from + k * VDI_W);
        }
    }
    int64_t offset = 0;
    for (size_t p = 0; p < s->done; p++) {
        VDI__UNROLL for (size_t k = 0; k < nv; k++) {
            v[k] = masked ? VDI_VLOADT(x, tail) : VDI_VLOAD(x + k * VDI_W);
        }
        VDI__UNROLL for (int r = 0; r < 4; r++) {
            const VDI_V f = VDI_VSET1(c[r][offset]);
            VDI__UNROLL for (size_t k = 0; k < nv; k++) {
                acc[r][k] = VDI_VFNMA(f, v[k], acc[r][k]);
            }
        }
        offset += s->l.column;
        x += s->x.row;
    }
    VDI__UNROLL for (size_t r = 0; r < 4; r++) {
        if (r == s->rows) break;
        if (inv) {
            VDI__UNROLL for (size_t q = 0; q < r; q++) {
                const VDI_V f = VDI_VSET1(c[r][offset + (int64_t)q * s->l.column]);
                VDI__UNROLL for (size_t k = 0; k < nv; k++) {
                    acc[r][k] = VDI_VFNMA(f, acc[q][k], acc[r][k]);
                }
            }
            const VDI_V f = VDI_VSET1(inv[r]);
            VDI__UNROLL for (size_t k = 0; k < nv; k++) acc[r][k] = VDI_VMUL(f, acc[r][k]);
        }
        VDI_T *to = (VDI_T *)s->out.data + at + (int64_t)r * s->out.row;
        if (masked) {
            VDI_VSTORET(to, tail, acc[r][0]);
        } else {
            VDI__UNROLL for (size_t k = 0; k < nv; k++) VDI_VSTORE(to + k * VDI_W, acc[r][k]);
        }
    }
}

VDI_KERNEL void VDI_PN(vdi__linalg_solve_step)(const vdi__solve *s) {
    for (size_t at = 0, w; at < s->cols; at += w) {
        const size_t left = s->cols - at;
        if (left >= VDI__SOLVE_VECTORS * VDI_W) {
            w = VDI__SOLVE_VECTORS * VDI_W;
            VDI_PN(vdi__solve_tile)(VDI__SOLVE_VECTORS, false, s, at, w);
        } else if (VDI__SOLVE_VECTORS > 2 && left >= 2 * VDI_W) {
            w = 2 * VDI_W;
            VDI_PN(vdi__solve_tile)(2, false, s, at, w);
        } else if (!VDI_MASKS && VDI_W > 1 && left >= VDI_W) {
            w = VDI_W;
            VDI_PN(vdi__solve_tile)(1, false, s, at, w);
        } else { /* where masks are for nothing, whole vectors go through one, too: a tile less */
            w = VDI__MIN(left, VDI_W);
            VDI_PN(vdi__solve_tile)(1, true, s, at, w);
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
    const VDI_T s0 = s[0], s1 = s[1], s2 = s[2], s3 = s[3];
    for (size_t j = 0; j < n; j++, column += lda) {
        column[0] = s0 * row[j];
        column[1] = s1 * row[lda + j];
        column[2] = s2 * row[2 * lda + j];
        column[3] = s3 * row[3 * lda + j];
    }
}

/* The 4x4 block on the diagonal at `row`, column k, whose upper triangle stands in `block`: its
   pivots, their reciprocals, and the factor into both triangles of A. Returns the rows done; fewer
   than `rows` where a pivot will not do, which then stands on the diagonal. */
VDI_KERNEL size_t VDI_PN(vdi__cholesky_block)(size_t rows, VDI_T *row, size_t k, size_t lda,
                                              bool with_diag, VDI_T block[4][4], VDI_T *inv,
                                              VDI_T *pivot) {
    for (size_t r = 0; r < rows; r++) { /* row r from its diagonal on, by the rows above it */
        for (size_t q = 0; q < r; q++) {
            for (size_t c = r; c < rows; c++)
                block[r][c] = VDI_PN(vdi__fnma)(row[r * lda + k + q], block[q][c], block[r][c]);
        }
        pivot[r] = block[r][r];
        const bool finite = pivot[r] - pivot[r] == 0;
        if (!finite || (with_diag ? pivot[r] == 0 : !(pivot[r] > 0))) {
            row[r * lda + k + r] = pivot[r];
            return r;
        }
        const VDI_T root = with_diag ? pivot[r] : (VDI_T)sqrt((double)pivot[r]);
        inv[r] = 1 / root;
        row[r * lda + k + r] = with_diag ? 1 : root;
        for (size_t c = r + 1; c < rows; c++) {
            const VDI_T raw = block[r][c];
            block[r][c] = raw * inv[r];
            row[r * lda + k + c] = block[r][c];
            row[c * lda + k + r] = with_diag ? raw : block[r][c];
        }
    }
    return rows;
}

/* A = L L' (diag NULL) or L D L', lower triangle in, L out, zeros above. Returns n, or the row of a
   pivot that will not do, which then stands on the diagonal. While it runs, the upper triangle
   holds L' row by row, for the lanes; the lower one holds what its columns are multiplied with: L,
   or L D. */
VDI_KERNEL size_t VDI_PN(vdi__linalg_cholesky)(vdi__solve_fn *step, size_t n, void *a_, size_t lda,
                                               void *diag_) {
    VDI_T *a = (VDI_T *)a_, *diag = (VDI_T *)diag_;
    const VDI_T one[4] = {1, 1, 1, 1};
    for (size_t k = 0; k < n; k += 4) {
        const size_t rows = VDI__MIN(4, n - k), next = k + rows;
        VDI_T *row = a + k * lda, block[4][4], inv[4], pivot[4];
        vdi__solve s;
        for (size_t r = 0; r < rows; r++) {
            for (size_t c = r; c < rows; c++)
                row[r * lda + k + c] = block[r][c] = row[c * lda + k + r];
        }
        s.rows = s.cols = rows;
        s.done = k;
        s.l.data = row;
        s.l.row = s.x.row = (int64_t)lda;
        s.l.column = 1;
        s.inv = NULL;
        s.x.data = a + k;
        s.out.data = block[0];
        s.out.row = 4;
        if (k) step(&s);
        const size_t fine =
            VDI_PN(vdi__cholesky_block)(rows, row, k, lda, diag != NULL, block, inv, pivot);
        for (size_t r = 0; diag && r < fine; r++)
            diag[k + r] = pivot[r];
        if (fine < rows) return k + fine;
        if (next == n) break;
        VDI_PN(vdi__columns_to_rows)(n - next, a + next * lda + k, row + next, lda);
        s.rows = 4;
        s.cols = n - next;
        s.inv = inv;
        s.x.data = a + next;
        s.out.data = row + next;
        s.out.row = (int64_t)lda;
        step(&s);
        VDI_PN(vdi__rows_to_columns)
        (n - next, row + next, a + next * lda + k, lda, diag ? pivot : one);
    }
    for (size_t i = 0; i < n; i++) {
        for (size_t j = i + 1; j < n; j++) {
            if (diag) a[j * lda + i] = a[i * lda + j];
            a[i * lda + j] = 0;
        }
    }
    return n;
}

/* x (n,cols) <- L^{-1} x, rows of x apart, its columns together; `width` columns at a time */
VDI_KERNEL void VDI_PN(vdi__linalg_solve)(vdi__solve_fn *step, size_t n, size_t cols, size_t width,
                                          const vdi__matrix *l, void *x_, int64_t x_row) {
    VDI_T *x = (VDI_T *)x_;
    for (size_t w; cols > 0; cols -= w, x += w) {
        w = VDI__MIN(cols, width);
        for (size_t i = 0; i < n; i += 4) {
            const VDI_T *row = (const VDI_T *)l->data + (int64_t)i * l->row;
            VDI_T inv[4] = {0, 0, 0, 0};
            vdi__solve s;
            s.rows = VDI__MIN(4, n - i);
            for (size_t r = 0; r < s.rows; r++)
                inv[r] = 1 / row[(int64_t)r * l->row + (int64_t)(i + r) * l->column];
            s.done = i;
            s.cols = w;
            s.l.data = row;
            s.l.row = l->row;
            s.l.column = l->column;
            s.inv = inv;
            s.x.data = x;
            s.out.data = x + (int64_t)i * x_row;
            s.x.row = s.out.row = x_row;
            step(&s);
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
#undef VDI__SOLVE_VECTORS
