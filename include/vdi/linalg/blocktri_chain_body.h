/* linalg/blocktri_chain_body.h - small blocks, whose elimination stays in registers; one pass
 *
 * A pivot of one block waits for all those before it. With blocks of one vector a row, or of up to
 * 4 x 4 elements of lanes, what is handed on never leaves the registers: per pivot one division,
 * and products that do not wait for it.
 */
/* Blocks of one trial that go this way: up to 32 bytes a row on AVX2 (AVX-512 comes here for these,
 * see vdi__bt_open), 40 to 64 of doubles on AVX-512, and floats that fill a vector. */
#if VDI__ISA == VDI__ISA_AVX2
#define VDI__BT_ROW_CHAINS 4
#elif VDI__ISA == VDI__ISA_AVX512 && VDI__REAL == 64
#define VDI__BT_ROW_CHAINS 8
#else
#define VDI__BT_ROW_CHAINS 0
#endif

/* The transpose of a small block, rows d apart. */
VDI_LOCAL void VDI_PN(vdi__bt_transpose_small)(int64_t d, bool lower, const VDI_T *x, VDI_T *y) {
    const int64_t full = d - d % VDI_TBLOCK;
#if VDI_TBLOCK == 8
    /* half a square of 8: number by number it takes longer than the factor itself */
    if (d == 4) {
        __m128 row0 = _mm_loadu_ps(x), row1 = _mm_loadu_ps(x + 4);
        __m128 row2 = _mm_loadu_ps(x + 8), row3 = _mm_loadu_ps(x + 12);
        _MM_TRANSPOSE4_PS(row0, row1, row2, row3);
        _mm_storeu_ps(y, row0);
        _mm_storeu_ps(y + 4, row1);
        _mm_storeu_ps(y + 8, row2);
        _mm_storeu_ps(y + 12, row3);
        return;
    }
#endif
    for (int64_t i = 0; i < full; i += VDI_TBLOCK) {
        for (int64_t j = 0; j < (lower ? i + 1 : full); j += VDI_TBLOCK)
            VDI_TRANSPOSE(x + i * d + j, (size_t)d, y + j * d + i, (size_t)d);
    }
    for (int64_t i = 0; full < d && i < d; i++) {
        for (int64_t j = i < full ? full : 0; j < d; j++)
            y[j * d + i] = x[i * d + j];
    }
}
VDI_KERNEL void VDI_PN(vdi__linalg_blocktri_transpose)(int64_t count, int64_t d, bool lower,
                                                       const void *src, void *dst) {
    for (int64_t t = 0; t < count; t++) {
        VDI_PN(vdi__bt_transpose)
        (0, d, d, lower, (const VDI_T *)src + t * d * d, (VDI_T *)dst + t * d * d, d);
    }
}

#if VDI__BT_ROW_CHAINS
/* Row i of a (d,d) block: a whole vector if it ends inside the block (what it spoils is stored
 * later), else d reals. */
VDI_LOCAL void VDI_PN(vdi__bt_row)(int64_t d, int64_t i, VDI_T *block, VDI_V v) {
    VDI_T *to = block + i * d;
    if (i * d + VDI_W <= d * d) {
        VDI_VSTORE(to, v);
    } else if (VDI__BT_ROW_CHAINS == 8) {
        VDI_VSTORET(to, VDI_VTAIL(d), v);
    } else { /* d is a constant; a masked store takes long on some processors */
        VDI_T x[VDI_W];
        VDI_VSTORE(x, v);
        memcpy(to, x, (size_t)d * sizeof *x);
    }
}

/* D and E of block t into the places of the factor. */
VDI_LOCAL void VDI_PN(vdi__bt_enter)(int most, int64_t d, const vdi__bt_factor *f, int64_t t) {
    const int64_t at = t * d * d;
    if (t >= f->T) return;
    const VDI_T *D = (const VDI_T *)f->D + at, *E = (const VDI_T *)f->E + at;
    VDI_T *L = (VDI_T *)f->L + at, *N = (VDI_T *)f->N + at;
    VDI_PN(vdi__bt_transpose_small)(d == most ? most : d, true, D, L);
    if (t + 1 < f->T) VDI_PN(vdi__bt_transpose_small)(d == most ? most : d, false, E, N);
}

/* One trial, rows of one vector. Rows of S (what is left of D_t), of E_t' and of the coming Schur
   complement stay in registers. `most` is a constant, d may be one; rows beyond d repeat the first
   one and are not used. */
VDI_LOCAL bool VDI_PN(vdi__bt_chain_rows)(int most, int64_t d, const vdi__bt_factor *f) {
    const int64_t dd = d * d;
    const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(d, (int64_t)VDI_W));
    const VDI_V zero = VDI_VZERO(), inf = VDI_VSET1(VDI_C(HUGE_VAL));
    VDI_T column[8][VDI_W]; /* stored whole: a masked store is not forwarded to a load */
    VDI_V s[8], e[8], p[8], c[8];
    VDI_M ok = VDI_VGE(zero, zero);
    for (int64_t t = 0; t < 2; t++)
        VDI_PN(vdi__bt_enter)(most, d, f, t);
    VDI__UNROLL for (int i = 0; i < most; i++) p[i] = zero;
    for (int64_t t = 0; t < f->T; t++) {
        VDI_T *L = (VDI_T *)f->L + t * dd, *N = (VDI_T *)f->N + t * dd;
        /* hidden behind the pivots' chain; two blocks ahead, since a vector of several stores is
         * not forwarded to its load */
        VDI_PN(vdi__bt_enter)(most, d, f, t + 2);
        VDI__UNROLL for (int i = 0; i < most; i++) {
            const int64_t at = (i < d ? i : 0) * d;
            s[i] = VDI_VADD(VDI_VLOADT(L + at, tail), p[i]);
            e[i] = t + 1 < f->T ? VDI_VLOADT(N + at, tail) : zero;
            p[i] = zero;
        }
        VDI_V last_s = s[0], last_e = e[0];
        VDI__UNROLL for (int j = 0; j + 1 < most; j++) {
            if (j + 1 == d) break;
            const VDI_V r = VDI_PN(vdi__bt_reciprocal)(s[j], j);
            ok = VDI_MAND(ok, VDI_MAND(VDI_VGT(r, zero), VDI_VLT(r, inf)));
            VDI_VSTORE(column[j], e[j]);
            VDI__UNROLL for (int i = j + 1; i < most; i++) {
                c[i] = VDI_PN(vdi__bt_lane)(s[j], i);
                s[i] = VDI_VFNMA(VDI_VMUL(c[i], s[j]), r, s[i]);
            }
            const VDI_V n = VDI_VMUL(e[j], r);
            VDI__UNROLL for (int i = j + 1; i < most; i++) e[i] = VDI_VFNMA(c[i], n, e[i]);
            VDI__UNROLL for (int i = 0; i < most; i++) {
                p[i] = VDI_VFNMA(VDI_VSET1(column[j][i]), n, p[i]);
            }
            VDI_PN(vdi__bt_row)(d, j, N, n);
            VDI_PN(vdi__bt_row)(d, j, L, VDI_VMUL(s[j], r));
            L[j * (d + 1)] = VDI_VFIRST(r);
            last_s = s[j + 1];
            last_e = e[j + 1];
        }
        /* the next block waits for the last pivot */
        const VDI_V r = VDI_PN(vdi__bt_reciprocal)(last_s, (int)d - 1);
        ok = VDI_MAND(ok, VDI_MAND(VDI_VGT(r, zero), VDI_VLT(r, inf)));
        VDI_VSTORE(column[0], last_e);
        VDI__UNROLL for (int i = 0; i < most; i++) {
            p[i] = VDI_VFNMA(VDI_VMUL(VDI_VSET1(column[0][i]), last_e), r, p[i]);
        }
        VDI_PN(vdi__bt_row)(d, d - 1, N, VDI_VMUL(last_e, r)); /* zeros behind the last block */
        VDI_PN(vdi__bt_row)(d, d - 1, L, VDI_VMUL(last_s, r));
        L[dd - 1] = VDI_VFIRST(r);
    }
    const VDI_M bad = VDI_MNOT(ok);
    return !VDI_MANY(bad);
}
#endif

#if !VDI_FALLBACK
/* The same for lanes, where all of S, E' and the coming Schur complement are registers. d is a
 * constant. */
VDI_LOCAL bool VDI_PN(vdi__bt_chain_lanes)(int d, const vdi__bt_factor *f) {
    const VDI_V zero = VDI_VZERO(), one = VDI_VSET1(1), inf = VDI_VSET1(VDI_C(HUGE_VAL));
    const int64_t u = VDI__BT_LANES, dd = d * d * u;
    VDI_M ok = VDI_VGE(zero, zero);
    for (int w = 0; w < VDI__BT_LANES; w += VDI_W) {
        VDI_T *schur = (VDI_T *)f->g + w;
        VDI_V s[4][4], e[4][4], p[4][4];
        VDI__UNROLL for (int i = 0; i < d; i++) {
            VDI__UNROLL for (int c = i; c < d; c++) {
                p[i][c] = f->t0 ? VDI_VLOAD(schur + (i * d + c) * u) : zero;
            }
        }
        for (int64_t t = f->t0; t < f->t1; t++) {
            /* element (j,i) at j + i d */
            VDI_T *L = (VDI_T *)f->L + t * dd + w, *N = (VDI_T *)f->N + t * dd + w;
            VDI__UNROLL for (int i = 0; i < d; i++) {
                VDI__UNROLL for (int c = i; c < d; c++) {
                    s[i][c] = VDI_VADD(VDI_VLOAD(L + (i + c * d) * u), p[i][c]);
                    p[i][c] = zero;
                }
                VDI__UNROLL for (int m = 0; m < d; m++) {
                    e[i][m] = t + 1 < f->T ? VDI_VLOAD(N + (i + m * d) * u) : zero;
                }
            }
            VDI__UNROLL for (int j = 0; j < d; j++) {
                const VDI_V r = VDI_VDIV(one, s[j][j]);
                ok = VDI_MAND(ok, VDI_MAND(VDI_VGT(r, zero), VDI_VLT(r, inf)));
                VDI_VSTORE(L + (j + j * d) * u, r);
                VDI__UNROLL for (int i = j + 1; i < d; i++) {
                    VDI__UNROLL for (int c = i; c < d; c++) {
                        s[i][c] = VDI_VFNMA(VDI_VMUL(s[j][i], s[j][c]), r, s[i][c]);
                    }
                    VDI_VSTORE(L + (j + i * d) * u, VDI_VMUL(s[j][i], r));
                }
                VDI__UNROLL for (int m = 0; m < d; m++) {
                    const VDI_V n = VDI_VMUL(e[j][m], r);
                    VDI_VSTORE(N + (j + m * d) * u, n);
                    VDI__UNROLL for (int i = j + 1; i < d; i++) {
                        e[i][m] = VDI_VFNMA(s[j][i], n, e[i][m]);
                    }
                    VDI__UNROLL for (int i = 0; i <= m; i++) {
                        p[i][m] = VDI_VFNMA(e[j][i], n, p[i][m]);
                    }
                }
            }
        }
        VDI__UNROLL for (int i = 0; i < d; i++) {
            VDI__UNROLL for (int c = i; c < d; c++) VDI_VSTORE(schur + (i * d + c) * u, p[i][c]);
        }
    }
    const VDI_M bad = VDI_MNOT(ok);
    return !VDI_MANY(bad);
}
#endif

/* Rows: all blocks of one trial, from the caller's D and E. Lanes: blocks t0 .. t1 of a group,
   if they are small; L and N hold D and E on entry, the factor on return. Returns 1, 0 if a
   pivot is not positive, or -1 if this is no way for such blocks. */
VDI_KERNEL int VDI_PN(vdi__linalg_blocktri_chain)(const vdi__bt_factor *f) {
#if VDI__BT_ROW_CHAINS == 4
    if (f->rows && f->d == 1) return VDI_PN(vdi__bt_chain_rows)(1, 1, f);
    if (f->rows && f->d == 2) return VDI_PN(vdi__bt_chain_rows)(2, 2, f);
    if (f->rows && f->d == 3) return VDI_PN(vdi__bt_chain_rows)(3, 3, f);
    if (f->rows && f->d == 4) return VDI_PN(vdi__bt_chain_rows)(4, 4, f);
#if VDI_W == 8
    if (f->rows && f->d == 8) return VDI_PN(vdi__bt_chain_rows)(8, 8, f);
#endif
#elif VDI__BT_ROW_CHAINS == 8 /* these take longer to compile: one for four sizes */
    if (f->rows && f->d >= 5 && f->d <= 8) return VDI_PN(vdi__bt_chain_rows)(8, f->d, f);
#endif
#if !VDI_FALLBACK
    if (!f->rows && f->d == 1) return VDI_PN(vdi__bt_chain_lanes)(1, f);
    if (!f->rows && f->d == 2) return VDI_PN(vdi__bt_chain_lanes)(2, f);
    if (!f->rows && f->d == 3) return VDI_PN(vdi__bt_chain_lanes)(3, f);
    if (!f->rows && f->d == 4) return VDI_PN(vdi__bt_chain_lanes)(4, f);
#endif
    if (f->rows) return VDI_PN(vdi__bt_front_run)(f);
    return -1;
}

#if VDI__BT_ROW_CHAINS == 4
/* out(i,j) = in(j,i), rows VDI_W apart. */
VDI_LOCAL void VDI_PN(vdi__bt_flip)(int d, const VDI_T *in, VDI_T *out) {
    if (d == VDI_TBLOCK && d == VDI_W) {
        VDI_TRANSPOSE(in, (size_t)VDI_W, out, (size_t)VDI_W);
        return;
    }
    VDI__UNROLL for (int i = 0; i < d; i++) {
        VDI__UNROLL for (int j = 0; j < d; j++) out[i * VDI_W + j] = in[j * VDI_W + i];
    }
}

/* Marginals of one trial with rows of one vector (see vdi__bt_marginals_run for the formulas). d is
 * a constant. */
VDI_LOCAL void VDI_PN(vdi__bt_marginals_rows)(int d, int64_t T, const VDI_T *L, const VDI_T *N,
                                              VDI_T *S, VDI_T *O) {
    const VDI_TAIL tail = VDI_VTAIL(d);
    const VDI_V half = VDI_VSET1(VDI_C(0.5));
    VDI_T eye[4 * VDI_W] = {0}, a[4 * VDI_W] = {0}, b[4 * VDI_W] = {0};
    VDI_V x[4], g[4], o[4], s[4];
    VDI__UNROLL for (int i = 0; i < d; i++) {
        eye[i * VDI_W + i] = 1;
        s[i] = VDI_VZERO();
    }
    for (int64_t t = T - 1; t >= 0; t--) {
        const VDI_T *l = L + t * d * d, *n = N + t * d * d;
        VDI__UNROLL for (int i = 0; i < d; i++) {
            x[i] = VDI_VLOAD(eye + i * VDI_W);
            VDI__UNROLL for (int k = 0; k < i; k++) {
                x[i] = VDI_VFNMA(VDI_VSET1(l[k * d + i]), x[k], x[i]);
            }
        }
        VDI__UNROLL for (int i = 0; i < d; i++) x[i] = VDI_VMUL(x[i], VDI_VSET1(l[i * d + i]));
        if (t + 1 < T) {
            VDI__UNROLL for (int j = d - 1; j >= 0; j--) {
                g[j] = VDI_VLOADT(n + j * d, tail);
                VDI__UNROLL for (int i = j + 1; i < d; i++) {
                    g[j] = VDI_VFNMA(VDI_VSET1(l[j * d + i]), g[i], g[j]);
                }
                VDI_VSTORE(a + j * VDI_W, g[j]);
            }
            VDI__UNROLL for (int j = 0; j < d; j++) { /* rows of O' = -G' S */
                o[j] = VDI_VZERO();
                VDI__UNROLL for (int k = 0; k < d; k++) {
                    o[j] = VDI_VFNMA(VDI_VSET1(a[j * VDI_W + k]), s[k], o[j]);
                }
            }
            VDI__UNROLL for (int j = 0; j < d; j++) VDI_VSTORE(a + j * VDI_W, o[j]);
            VDI_PN(vdi__bt_flip)(d, a, b);
            VDI__UNROLL for (int i = 0; i < d; i++) {
                o[i] = VDI_VLOAD(b + i * VDI_W);
                if (O) VDI_PN(vdi__bt_row)(d, i, O + t * d * d, o[i]);
            }
            VDI__UNROLL for (int j = 0; j < d; j++) {
                VDI__UNROLL for (int i = 0; i < d; i++) {
                    x[j] = VDI_VFNMA(VDI_VSET1(n[j * d + i]), o[i], x[j]);
                }
            }
        }
        VDI__UNROLL for (int j = d - 1; j >= 0; j--) {
            VDI__UNROLL for (int i = j + 1; i < d; i++) {
                x[j] = VDI_VFNMA(VDI_VSET1(l[j * d + i]), x[i], x[j]);
            }
            VDI_VSTORE(a + j * VDI_W, x[j]);
        }
        VDI_PN(vdi__bt_flip)(d, a, b);
        VDI__UNROLL for (int i = 0; i < d; i++) {
            s[i] = VDI_VMUL(half, VDI_VADD(x[i], VDI_VLOAD(b + i * VDI_W)));
            VDI_PN(vdi__bt_row)(d, i, S + t * d * d, s[i]);
        }
    }
}
#endif

/* Marginals of one trial of small blocks straight into the caller's arrays; false where there is no
 * short way. */
VDI_KERNEL bool VDI_PN(vdi__linalg_blocktri_marginals)(int64_t d, int64_t T, const void *L,
                                                       const void *N, void *S, void *O) {
#if VDI__BT_ROW_CHAINS == 4
    const VDI_T *l = (const VDI_T *)L, *n = (const VDI_T *)N;
    switch (d) {
    case 1: VDI_PN(vdi__bt_marginals_rows)(1, T, l, n, (VDI_T *)S, (VDI_T *)O); return true;
    case 2: VDI_PN(vdi__bt_marginals_rows)(2, T, l, n, (VDI_T *)S, (VDI_T *)O); return true;
    case 3: VDI_PN(vdi__bt_marginals_rows)(3, T, l, n, (VDI_T *)S, (VDI_T *)O); return true;
    case 4: VDI_PN(vdi__bt_marginals_rows)(4, T, l, n, (VDI_T *)S, (VDI_T *)O); return true;
    default: return false;
    }
#else
    (void)d;
    (void)T;
    (void)L;
    (void)N;
    (void)S;
    (void)O;
    return false;
#endif
}
#undef VDI__BT_ROW_CHAINS
