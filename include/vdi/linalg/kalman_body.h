/* linalg/kalman_body.h - the pieces of kalman.h's recursions, one group of trials per lane; one
 * pass
 *
 * A lane matrix is an array of vectors, row-major; a lane is one group. Lanes behind the last group
 * repeat it and are not stored. Where `alive` (one real per lane) is 0, a lane has no such bin.
 */

VDI_KERNEL int64_t VDI_PN(vdi__linalg_lanes)(void) { return VDI_W; }

/* to[i] = element i of each of n groups, `step` apart; for a lane that is not alive the identity of
 * d columns, or 0 if d is 0. alive NULL: all are. */
VDI_KERNEL void VDI_PN(vdi__linalg_lanes_load)(const void *from, int64_t count, int64_t step,
                                               int64_t n, const void *alive_, int64_t d,
                                               void *to_) {
    const VDI_T *x = (const VDI_T *)from, *alive = (const VDI_T *)alive_;
    VDI_T *to = (VDI_T *)to_;
    for (int64_t i = 0, diagonal = 0; i < count; i++, to += VDI_W) {
        VDI_T t[VDI_W];
        for (int64_t l = 0; n > 1 && l < VDI_W; l++)
            t[l] = x[i + (l < n ? l : n - 1) * step];
        VDI_V v = n > 1 ? VDI_VLOAD(t) : VDI_VSET1(x[i]);
        if (alive) {
            const bool one = d > 0 && i == diagonal;
            v = VDI_VSEL(VDI_VGT(VDI_VLOAD(alive), VDI_VZERO()), v, VDI_VSET1(VDI_C(one)));
            if (one) diagonal += d + 1;
        }
        VDI_VSTORE(to, v);
    }
}

/* the way back; 0 for a lane that is not alive */
VDI_KERNEL void VDI_PN(vdi__linalg_lanes_store)(void *to, int64_t count, int64_t step, int64_t n,
                                                const void *alive_, const void *v_) {
    VDI_T *x = (VDI_T *)to;
    const VDI_T *alive = (const VDI_T *)alive_, *v = (const VDI_T *)v_;
    for (int64_t i = 0; i < count; i++, v += VDI_W) {
        for (int64_t l = 0; l < VDI_W && l < n; l++)
            x[i + l * step] = alive[l] != 0 ? v[l] : VDI_C(0);
    }
}

/* C (rows,cols) = base + sign * A B; base is C's shape, or NULL for 0. C may be base, but neither A
 * nor B. */
VDI_KERNEL void VDI_PN(vdi__linalg_lanes_product)(int64_t rows, int64_t cols, int64_t inner,
                                                  const vdi__matrix *a, const vdi__matrix *b,
                                                  int sign, const void *base_, void *c_) {
    const VDI_T *base = (const VDI_T *)base_;
    VDI_T *c = (VDI_T *)c_;
    const int64_t ak = a->column * VDI_W, bk = b->row * VDI_W;
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++) {
            const VDI_T *p = (const VDI_T *)a->data + i * a->row * VDI_W;
            const VDI_T *q = (const VDI_T *)b->data + j * b->column * VDI_W;
            const int64_t at = (i * cols + j) * VDI_W;
            VDI_V s = VDI_VZERO();
            for (int64_t k = 0; k < inner; k++, p += ak, q += bk)
                s = VDI_VFMA(VDI_VLOAD(p), VDI_VLOAD(q), s);
            if (base && sign < 0)
                s = VDI_VSUB(VDI_VLOAD(base + at), s);
            else if (base)
                s = VDI_VADD(VDI_VLOAD(base + at), s);
            VDI_VSTORE(c + at, s);
        }
    }
}

/* Cholesky factor of the mean of A and A' in place, upper triangle 0; the product of the diagonal,
 * or 1 for a lane that is not alive. good[lane] becomes 0 where a pivot is not positive (or NaN):
 * the lane then goes on with 1. Are all good? */
VDI_KERNEL bool VDI_PN(vdi__linalg_lanes_cholesky)(int64_t d, void *a_, const void *alive,
                                                   void *product_, void *good) {
    VDI_T *a = (VDI_T *)a_;
    const VDI_V one = VDI_VSET1(VDI_C(1));
    VDI_V fine = one, product = one;
    for (int64_t j = 0; j < d; j++) {
        VDI_V r = one;
        for (int64_t i = j; i < d; i++) {
            VDI_T *to = a + (i * d + j) * VDI_W;
            const VDI_V sum = VDI_VADD(VDI_VLOAD(to), VDI_VLOAD(a + (j * d + i) * VDI_W));
            VDI_V s = VDI_VMUL(sum, VDI_VSET1(VDI_C(0.5)));
            for (int64_t k = 0; k < j; k++) {
                s = VDI_VFNMA(VDI_VLOAD(a + (i * d + k) * VDI_W),
                              VDI_VLOAD(a + (j * d + k) * VDI_W), s);
            }
            if (i == j) {
                const VDI_M positive = VDI_VGT(s, VDI_VZERO());
                fine = VDI_VSEL(positive, fine, VDI_VZERO());
                s = VDI_VSQRT(VDI_VSEL(positive, s, one));
                r = VDI_VDIV(one, s);
                product = VDI_VMUL(product, s);
            } else {
                s = VDI_VMUL(s, r);
            }
            VDI_VSTORE(to, s);
        }
    }
    for (int64_t i = 0; i < d; i++) {
        for (int64_t j = i + 1; j < d; j++)
            VDI_VSTORE(a + (i * d + j) * VDI_W, VDI_VZERO());
    }
    const VDI_M on = VDI_VGT(VDI_VLOAD((const VDI_T *)alive), VDI_VZERO());
    VDI_VSTORE((VDI_T *)product_, VDI_VSEL(on, product, one));
    VDI_VSTORE((VDI_T *)good, fine);
    const VDI_M bad = VDI_VEQ(fine, VDI_VZERO());
    return !VDI_MANY(bad);
}

/* X (d,cols) = L^{-1} X, or L'^{-1} X */
VDI_KERNEL void VDI_PN(vdi__linalg_lanes_solve)(int64_t d, int64_t cols, const void *l_,
                                                bool transposed, void *x_) {
    const VDI_T *l = (const VDI_T *)l_;
    VDI_T *x = (VDI_T *)x_;
    const int64_t row = (transposed ? 1 : d) * VDI_W, column = (transposed ? d : 1) * VDI_W;
    for (int64_t q = 0; q < d; q++) {
        const int64_t i = transposed ? d - 1 - q : q, first = transposed ? i + 1 : 0;
        const VDI_V pivot = VDI_VLOAD(l + i * (d + 1) * VDI_W);
        for (int64_t j = 0; j < cols; j++) {
            VDI_V s = VDI_VLOAD(x + (i * cols + j) * VDI_W);
            for (int64_t k = 0; k < q; k++) {
                s = VDI_VFNMA(VDI_VLOAD(l + i * row + (first + k) * column),
                              VDI_VLOAD(x + ((first + k) * cols + j) * VDI_W), s);
            }
            VDI_VSTORE(x + (i * cols + j) * VDI_W, VDI_VDIV(s, pivot));
        }
    }
}

/* out = alive ? a - b : 0 */
VDI_KERNEL void VDI_PN(vdi__linalg_lanes_difference)(int64_t count, const void *a, const void *b,
                                                     const void *alive, void *out) {
    const VDI_M on = VDI_VGT(VDI_VLOAD((const VDI_T *)alive), VDI_VZERO());
    for (int64_t i = 0; i < count * VDI_W; i += VDI_W) {
        const VDI_V d = VDI_VSUB(VDI_VLOAD((const VDI_T *)a + i), VDI_VLOAD((const VDI_T *)b + i));
        VDI_VSTORE((VDI_T *)out + i, VDI_VSEL(on, d, VDI_VZERO()));
    }
}

/* out = alive ? the mean of A and A' : other */
VDI_KERNEL void VDI_PN(vdi__linalg_lanes_mean)(int64_t d, const void *a_, const void *alive,
                                               const void *other, void *out) {
    const VDI_T *a = (const VDI_T *)a_;
    const VDI_M on = VDI_VGT(VDI_VLOAD((const VDI_T *)alive), VDI_VZERO());
    for (int64_t i = 0; i < d; i++) {
        for (int64_t j = 0; j < d; j++) {
            const int64_t at = (i * d + j) * VDI_W;
            const VDI_V sum = VDI_VADD(VDI_VLOAD(a + at), VDI_VLOAD(a + (j * d + i) * VDI_W));
            const VDI_V mean = VDI_VMUL(sum, VDI_VSET1(VDI_C(0.5)));
            VDI_VSTORE((VDI_T *)out + at, VDI_VSEL(on, mean, VDI_VLOAD((const VDI_T *)other + at)));
        }
    }
}

/* out = twice the sum of T logarithms */
VDI_KERNEL void VDI_PN(vdi__linalg_lanes_twice)(int64_t T, const void *logs, void *out) {
    VDI_V sum = VDI_VZERO();
    for (int64_t t = 0; t < T; t++)
        sum = VDI_VADD(sum, VDI_VLOAD((const VDI_T *)logs + t * VDI_W));
    VDI_VSTORE((VDI_T *)out, VDI_VADD(sum, sum));
}

/* y (ld) = base + sign A x, of A (d,ld) with its columns in rows, and out (d) likewise (NULL: not
 * wanted). The elements of y behind d are of no use. */
VDI_LOCAL void VDI_PN(vdi__run_product)(const vdi__kalman_run *o, const void *a_, const VDI_T *x,
                                        int sign, const VDI_T *base, VDI_T *y, VDI_T *out) {
    const VDI_T *a = (const VDI_T *)a_;
    for (int64_t j = 0; j < o->ld; j += VDI_W) {
        const VDI_TAIL tail = VDI_VTAIL((size_t)VDI__MIN(o->d - j, (int64_t)VDI_W));
        const VDI_V b = VDI_VLOADT(base + j, tail);
        VDI_V s = VDI_VZERO();
        for (int64_t k = 0; k < o->d; k++)
            s = VDI_VFMA(VDI_VLOAD(a + k * o->ld + j), VDI_VSET1(x[k]), s);
        s = sign < 0 ? VDI_VSUB(b, s) : VDI_VADD(b, s);
        VDI_VSTORE(y + j, s);
        if (out) VDI_VSTORET(out + j, tail, s);
    }
}

/* Filter: mp = c + A mf, e = h - W mp, mf = mp + Pf e. */
VDI_KERNEL void VDI_PN(vdi__linalg_lanes_filter)(const vdi__kalman_run *o) {
    const int64_t d = o->d;
    const VDI_T *c = (const VDI_T *)o->c, *h = (const VDI_T *)o->h;
    VDI_T *m = (VDI_T *)o->work, *e = m + o->ld, *state = e + o->ld;
    VDI_T *mp = (VDI_T *)o->mp, *mf = (VDI_T *)o->mf;
    memcpy(state, o->before, (size_t)d * sizeof(VDI_T));
    for (int64_t t = 0; t < o->bins; t++, c += d, h += d, mp += d, mf += d) {
        VDI_PN(vdi__run_product)(o, o->a, state, 1, c, m, mp);
        VDI_PN(vdi__run_product)(o, o->w, m, -1, h, e, NULL);
        VDI_PN(vdi__run_product)(o, o->p, e, 1, m, state, mf);
    }
}

/* Smoother: ms = mf + Y' (ms - mp of the bin behind). */
VDI_KERNEL void VDI_PN(vdi__linalg_lanes_smooth)(const vdi__kalman_run *o) {
    const int64_t d = o->d;
    const VDI_T *ahead = (const VDI_T *)o->before, *mp = (const VDI_T *)o->c;
    const VDI_T *mf = (const VDI_T *)o->h;
    VDI_T *x = (VDI_T *)o->work, *y = x + o->ld, *ms = (VDI_T *)o->ms;
    for (int64_t t = 0; t < o->bins; t++, mp -= d, mf -= d, ms -= d) {
        for (int64_t i = 0; i < d; i++)
            x[i] = ahead[i] - mp[i];
        VDI_PN(vdi__run_product)(o, o->a, x, 1, mf, y, ms);
        ahead = y;
    }
}
