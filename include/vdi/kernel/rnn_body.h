/* kernel/rnn_body.h - the gates of a gated recurrent unit; the products around them are gemm's */

/* h' from xp (rows,3H) and hp = h W + b (rows,3H), whose memory is used up: r, z and n are left in
 * it, or in gates (rows,4H) with h W_n + b_n */
VDI_KERNEL void VDI_PN(vdi__kernel_gru_gates)(size_t rows, size_t hidden, const void *xp, void *hp,
                                              const void *h, void *h_next, void *gates) {
    const VDI_T *x = (const VDI_T *)xp, *from = (const VDI_T *)h;
    VDI_T *u = (VDI_T *)hp, *to = (VDI_T *)h_next, *keep = (VDI_T *)gates;
    const size_t two = 2 * hidden, last = (hidden - 1) / VDI_W * VDI_W;
    const VDI_TAIL tail = VDI_VTAIL(hidden - last);
    const VDI_TAIL tail_two = VDI_VTAIL(two - (two - 1) / VDI_W * VDI_W);
    if (hidden == 0) return;
    for (size_t row = 0; row < rows; row++) {
        VDI_T *out = keep ? keep : u;
        size_t i = 0;
        for (; i + VDI_W < two; i += VDI_W)
            VDI_VSTORE(out + i, VDI_VADD(VDI_VLOAD(x + i), VDI_VLOAD(u + i)));
        VDI_VSTORET(out + i, tail_two,
                    VDI_VADD(VDI_VLOADT(x + i, tail_two), VDI_VLOADT(u + i, tail_two)));
        VDI_PN(vdi__unary_sigmoid)(two, 0, out, out);
        for (i = 0; i < last; i += VDI_W) {
            const VDI_V hn = VDI_VLOAD(u + two + i);
            if (keep) VDI_VSTORE(keep + two + hidden + i, hn);
            VDI_VSTORE(out + two + i, VDI_VFMA(VDI_VLOAD(out + i), hn, VDI_VLOAD(x + two + i)));
        }
        const VDI_V hn = VDI_VLOADT(u + two + i, tail);
        if (keep) VDI_VSTORET(keep + two + hidden + i, tail, hn);
        VDI_VSTORET(out + two + i, tail,
                    VDI_VFMA(VDI_VLOADT(out + i, tail), hn, VDI_VLOADT(x + two + i, tail)));
        VDI_PN(vdi__unary_tanh)(hidden, 0, out + two, out + two);
        /* (1 - z) n + z h = n + z (h - n) */
        for (i = 0; i < last; i += VDI_W) {
            const VDI_V n = VDI_VLOAD(out + two + i);
            VDI_VSTORE(to + i,
                       VDI_VFMA(VDI_VLOAD(out + hidden + i), VDI_VSUB(VDI_VLOAD(from + i), n), n));
        }
        const VDI_V n = VDI_VLOADT(out + two + i, tail);
        VDI_VSTORET(to + i, tail,
                    VDI_VFMA(VDI_VLOADT(out + hidden + i, tail),
                             VDI_VSUB(VDI_VLOADT(from + i, tail), n), n));
        x += 3 * hidden;
        u += 3 * hidden;
        from += hidden;
        to += hidden;
        if (keep) keep += 4 * hidden;
    }
}

/* From dh' (rows,H): dxp (rows,3H) += (da_r, da_z, da_n), dhp (rows,3H) = (da_r, da_z, r da_n), dh
   (rows,H) = z dh', which the product dhp W' completes. With a for the arguments of the gates:
   da_n = dh' (1-z) (1-n^2), da_z = dh' (h-n) z (1-z), da_r = da_n (h W_n + b_n) r (1-r). */
VDI_KERNEL void VDI_PN(vdi__kernel_gru_gates_grad)(size_t rows, size_t hidden, const void *gates,
                                                   const void *h, const void *dh_next, void *dxp,
                                                   void *dhp, void *dh) {
    const VDI_T *g = (const VDI_T *)gates, *from = (const VDI_T *)h, *d = (const VDI_T *)dh_next;
    VDI_T *dx = (VDI_T *)dxp, *du = (VDI_T *)dhp, *to = (VDI_T *)dh;
    const VDI_V one = VDI_VSET1(VDI_C(1));
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = 0; i < hidden; i += VDI_W) {
            const VDI_TAIL tail = VDI_VTAIL(VDI__MIN(hidden - i, VDI_W));
            const VDI_V r = VDI_VLOADT(g + i, tail);
            const VDI_V z = VDI_VLOADT(g + hidden + i, tail);
            const VDI_V n = VDI_VLOADT(g + 2 * hidden + i, tail);
            const VDI_V hn = VDI_VLOADT(g + 3 * hidden + i, tail);
            const VDI_V before = VDI_VLOADT(from + i, tail);
            const VDI_V grad = VDI_VLOADT(d + i, tail);
            const VDI_V dn = VDI_VMUL(VDI_VMUL(grad, VDI_VSUB(one, z)), VDI_VFNMA(n, n, one));
            const VDI_V dz = VDI_VMUL(VDI_VMUL(grad, VDI_VSUB(before, n)), VDI_VFNMA(z, z, z));
            const VDI_V dr = VDI_VMUL(VDI_VMUL(dn, hn), VDI_VFNMA(r, r, r));
            VDI_VSTORET(dx + i, tail, VDI_VADD(VDI_VLOADT(dx + i, tail), dr));
            VDI_VSTORET(dx + hidden + i, tail, VDI_VADD(VDI_VLOADT(dx + hidden + i, tail), dz));
            VDI_VSTORET(dx + 2 * hidden + i, tail,
                        VDI_VADD(VDI_VLOADT(dx + 2 * hidden + i, tail), dn));
            VDI_VSTORET(du + i, tail, dr);
            VDI_VSTORET(du + hidden + i, tail, dz);
            VDI_VSTORET(du + 2 * hidden + i, tail, VDI_VMUL(dn, r));
            VDI_VSTORET(to + i, tail, VDI_VMUL(grad, z));
        }
        g += 4 * hidden;
        from += hidden;
        d += hidden;
        dx += 3 * hidden;
        du += 3 * hidden;
        to += hidden;
    }
}
