/* linalg/blocktri_front_body.h - the factor of one trial along the rows of its blocks; one pass
 *
 * Per block, some rows at a time: the tile with their pivots, what stands right of it, and the same
 * rows of E_t'. The rows that products read again (p U' and p N') are kept in scratch, where they
 * are padded (VDI__BT_LD). D and E are transposed into it before a tile needs them, so that no
 * vector waits for the stores of its pieces, and are asked of memory a block earlier, a little with
 * each tile.
 */

/* Rows r0 .. r1 of a block x (d,d) to the columns of y, whose rows are ld apart; with `lower` only
 * what stands on and under the diagonal of x needs to arrive. */
VDI_SHARED void VDI_PN(vdi__bt_transpose)(int64_t r0, int64_t r1, int64_t d, bool lower,
                                          const VDI_T *x, VDI_T *y, int64_t ld) {
    if (r1 - r0 < VDI_TBLOCK) {
        for (int64_t i = r0; i < r1; i++) {
            for (int64_t j = 0; j < d; j++)
                y[j * ld + i] = x[i * d + j];
        }
        return;
    }
    for (int64_t i = r0; i < r1; i += VDI_TBLOCK) { /* a last square overlaps those before it */
        const int64_t row = VDI__MIN(i, r1 - VDI_TBLOCK);
        for (int64_t j = 0; j < (lower ? i + 1 : d); j += VDI_TBLOCK) {
            const int64_t column = VDI__MIN(j, d - VDI_TBLOCK);
            VDI_TRANSPOSE(x + row * d + column, (size_t)d, y + column * ld + row, (size_t)ld);
        }
    }
}

/* Scratch of (d, ld) each: S_t, E_t' and p N' of the block before; the next block's S and E' follow
 * while this one is computed. */
typedef struct VDI_PN(vdi__bt_front) {
    const vdi__bt_factor *f;
    int64_t ld, wide, share; /* wide: columns of a tile */
    VDI_T *s[2], *e[3];
} VDI_PN(vdi__bt_front);

/* From these d on, E_t' is transposed strip by strip as it is needed, and each strip stays in the
 * first cache; below, rows of E_t' hide the time that the pivots wait for each other. */
#define VDI__BT_STRIPS 33

VDI_LOCAL void VDI_PN(vdi__bt_front_enter)(const VDI_PN(vdi__bt_front) *g, int64_t t) {
    const int64_t d = g->f->d, at = t * d * d;
    const VDI_T *D = (const VDI_T *)g->f->D, *E = (const VDI_T *)g->f->E;
    if (t < g->f->T) VDI_PN(vdi__bt_transpose)(0, d, d, true, D + at, g->s[t % 2], g->ld);
    if (t + 1 < g->f->T && d < VDI__BT_STRIPS)
        VDI_PN(vdi__bt_transpose)(0, d, d, false, E + at, g->e[t % 3], g->ld);
}

/* N_t' from E_t' where they come in strips. */
VDI_LOCAL void VDI_PN(vdi__bt_front_strips)(const VDI_PN(vdi__bt_front) *g, int64_t t,
                                            const vdi__bt_op *o, VDI_PN(vdi__bt_ahead) *soon) {
    const int64_t d = o->m;
    const VDI_T *E = (const VDI_T *)g->f->E + t * d * d;
    vdi__bt_op strip = *o;
    for (int64_t j = 0, have = 0; j < d; j += g->wide) {
        strip.n = VDI__MIN(d, j + g->wide);
        const int64_t need = d - strip.n < VDI_TBLOCK ? d : strip.n; /* no rest of a few rows */
        if (have < need) VDI_PN(vdi__bt_transpose)(have, need, d, false, E, g->e[t % 3], g->ld);
        have = need;
        for (int64_t i = 0; i < d; i += VDI__BT_PIVOTS) {
            const int rows = (int)VDI__MIN(d - i, (int64_t)VDI__BT_PIVOTS);
            VDI_PN(vdi__bt_panel)(&strip, soon, false, 0, rows, i, j);
        }
    }
}

/* Block t. False where a pivot is not positive. */
VDI_LOCAL bool VDI_PN(vdi__bt_front_block)(const VDI_PN(vdi__bt_front) *g, int64_t t) {
    const vdi__bt_factor *f = g->f;
    const int64_t d = f->d, dd = d * d, ld = g->ld;
    const bool more = t + 1 < f->T, strips = d >= VDI__BT_STRIPS;
    VDI_T *L = (VDI_T *)f->L + t * dd, *N = (VDI_T *)f->N + t * dd;
    VDI_T *s = g->s[t % 2], *e = g->e[t % 3];
    const vdi__matrix a = {t > 0 ? N - dd : N, 1, d}, b = {g->e[(t + 2) % 3], ld, 1};
    const vdi__matrix U = {L, 1, d}, pivots = {L, d + 1, 0}, in_s = {s, ld, 1}, in_e = {e, ld, 1};
    const vdi__target out_s = {s, ld, 1}, out_e = {e, ld, 1}, to_l = {L, d, 1}, to_n = {N, d, 1};
    const vdi__bt_op l = {true, true, d,  d,       t > 0 ? d : 0, &in_s, NULL,
                          &a,   &b,   &U, &pivots, &out_s,        &to_l};
    const vdi__bt_op n = {true, true, d, d, 0, &in_e, NULL, NULL, NULL, &U, &pivots, &out_e, &to_n};
    VDI_PN(vdi__bt_ahead) soon = {NULL, NULL, L + dd, N + dd, d, 0, t + 2 < f->T ? g->share : 0};
    bool good = true;
    if (t + 2 < f->T) soon.D = (const VDI_T *)f->D + (t + 2) * dd;
    if (t + 3 < f->T) soon.E = (const VDI_T *)f->E + (t + 2 - strips) * dd;
    VDI_PN(vdi__bt_front_enter)(g, t + 1);
    for (int64_t i = 0; i < d; i += VDI__BT_PIVOTS) {
        const int rows = (int)VDI__MIN(d - i, (int64_t)VDI__BT_PIVOTS);
        good &= VDI_PN(vdi__bt_panel)(&l, &soon, true, 0, rows, i, i);
        if (more && !strips) VDI_PN(vdi__bt_panel)(&n, &soon, false, 0, rows, i, 0);
    }
    if (more && strips) VDI_PN(vdi__bt_front_strips)(g, t, &n, &soon);
    return good;
}

/* All blocks of one trial. */
VDI_SHARED bool VDI_PN(vdi__bt_front_run)(const vdi__bt_factor *f) {
    const int64_t d = f->d, high = VDI__BT_PIVOTS, wide = VDI_W * VDI__BT_WIDE;
    const int64_t across = (d + wide - 1) / wide, down = (d + high - 1) / high;
    const int64_t tiles = down * (across + (across + 1) / 2);
    VDI_PN(vdi__bt_front) g;
    bool good = true;
    g.f = f;
    g.ld = VDI__BT_LD(d, VDI__BT_LANES);
    g.wide = wide;
    /* what stays in the second cache anyway needs no asking */
    g.share = f->T * d * d * (int64_t)sizeof(VDI_T) > 1 << 17 ? (d + tiles - 1) / tiles : 0;
    for (int i = 0; i < 5; i++)
        *(i < 2 ? &g.s[i] : &g.e[i - 2]) = (VDI_T *)f->g + i * d * g.ld;
    if (!VDI_MASKS) memset(f->g, 0, (size_t)(5 * d * g.ld) * sizeof(VDI_T)); /* what pads a row */
    VDI_PN(vdi__bt_front_enter)(&g, 0);
    for (int64_t t = 0; t < f->T; t++)
        good &= VDI_PN(vdi__bt_front_block)(&g, t);
    return good;
}
#undef VDI__BT_STRIPS
#undef VDI__BT_MR
#undef VDI__BT_NV
#undef VDI__BT_HIGH
#undef VDI__BT_WIDE
#undef VDI__BT_PIVOTS
