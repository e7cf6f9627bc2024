/* kernel/optim_body.h - the optimisers' inner loops; one pass
 *
 * Bounded by memory traffic: Adam reads four arrays and writes three. Whole vectors and the tail
 * run through the same lines.
 *
 * What is remembered of a gradient that has become zero (that of a unit which is never active)
 * fades into the denormals, where an operation takes a hundred times as long and moves no parameter
 * any more. So it ends at 0 there: a mean always, a square only where nothing is left to be divided
 * by its root.
 */
#define VDI__FADED(v) VDI_VLT(VDI_VABS(v), VDI__K(VDI__SMALLEST))
#define VDI__SETTLED(v) VDI_VSEL(VDI__FADED(v), VDI_VZERO(), v)
#define VDI__EACH(n, ...)                                            \
    for (size_t i = 0; i < (n); i += VDI_W) {                        \
        const VDI_TAIL t = VDI_VTAIL((n)-i < VDI_W ? (n)-i : VDI_W); \
        const bool whole = (n)-i >= VDI_W;                           \
        __VA_ARGS__                                                  \
    }
#define VDI__LOAD(p) (whole ? VDI_VLOAD((p) + i) : VDI_VLOADT((p) + i, t))
#define VDI__STORE(p, v)                \
    do {                                \
        if (whole)                      \
            VDI_VSTORE((p) + i, v);     \
        else                            \
            VDI_VSTORET((p) + i, t, v); \
    } while (0)

VDI_KERNEL void VDI_PN(vdi__kernel_adam)(size_t n, void *w_, const void *g_, void *m_, void *v_,
                                         double step, double beta1, double beta2, double eps,
                                         double decay, double gscale) {
    VDI_T *w = (VDI_T *)w_, *m = (VDI_T *)m_, *v = (VDI_T *)v_;
    const VDI_T *g = (const VDI_T *)g_;
    const VDI_V b1 = VDI_VSET1((VDI_T)beta1);
    const VDI_V c1 = VDI_VSET1((VDI_T)(1 - beta1));
    const VDI_V b2 = VDI_VSET1((VDI_T)beta2);
    const VDI_V c2 = VDI_VSET1((VDI_T)(1 - beta2));
    const VDI_V e = VDI_VSET1((VDI_T)eps);
    const VDI_V s = VDI_VSET1((VDI_T)step);
    const VDI_V d = VDI_VSET1((VDI_T)decay), gs = VDI_VSET1((VDI_T)gscale);
    VDI__EACH(n, {
        const VDI_V gi = VDI_VMUL(gs, VDI__LOAD(g)), wi = VDI__LOAD(w);
        const VDI_V mi = VDI_VFMA(b1, VDI__LOAD(m), VDI_VMUL(c1, gi));
        const VDI_V vi = VDI_VFMA(b2, VDI__LOAD(v), VDI_VMUL(c2, VDI_VMUL(gi, gi)));
        const VDI_V u = VDI_VDIV(VDI_VMUL(s, mi), VDI_VADD(VDI_VSQRT(vi), e));
        const VDI_M faded = VDI__FADED(mi);
        VDI__STORE(m, VDI_VSEL(faded, VDI_VZERO(), mi));
        VDI__STORE(v, VDI_VSEL(VDI_MAND(faded, VDI__FADED(vi)), VDI_VZERO(), vi));
        VDI__STORE(w, VDI_VFNMA(d, wi, VDI_VSUB(wi, u)));
    })
}

VDI_KERNEL void VDI_PN(vdi__kernel_rmsprop)(size_t n, void *w_, const void *g_, void *v_, void *m_,
                                            double step, double rho, double eps, double momentum,
                                            double decay, double gscale) {
    VDI_T *w = (VDI_T *)w_, *v = (VDI_T *)v_, *m = (VDI_T *)m_;
    const VDI_T *g = (const VDI_T *)g_;
    const VDI_V r = VDI_VSET1((VDI_T)rho);
    const VDI_V c = VDI_VSET1((VDI_T)(1 - rho));
    const VDI_V e = VDI_VSET1((VDI_T)eps);
    const VDI_V s = VDI_VSET1((VDI_T)step);
    const VDI_V mu = VDI_VSET1((VDI_T)momentum);
    const VDI_V d = VDI_VSET1((VDI_T)decay);
    const VDI_V gs = VDI_VSET1((VDI_T)gscale);
    VDI__EACH(n, {
        const VDI_V gi = VDI_VMUL(gs, VDI__LOAD(g)), wi = VDI__LOAD(w);
        const VDI_V vi = VDI_VFMA(r, VDI__LOAD(v), VDI_VMUL(c, VDI_VMUL(gi, gi)));
        VDI_V u = VDI_VDIV(gi, VDI_VADD(VDI_VSQRT(vi), e));
        const VDI_M still = VDI_MAND(VDI__FADED(vi), VDI_VEQ(gi, VDI_VZERO()));
        VDI__STORE(v, VDI_VSEL(still, VDI_VZERO(), vi));
        if (m) {
            u = VDI_VFMA(mu, VDI__LOAD(m), u);
            VDI__STORE(m, VDI__SETTLED(u));
        }
        VDI__STORE(w, VDI_VFNMA(d, wi, VDI_VFNMA(s, u, wi)));
    })
}

VDI_KERNEL void VDI_PN(vdi__kernel_sgd)(size_t n, void *w_, const void *g_, void *m_, double step,
                                        double momentum, double decay, double gscale) {
    VDI_T *w = (VDI_T *)w_, *m = (VDI_T *)m_;
    const VDI_T *g = (const VDI_T *)g_;
    const VDI_V s = VDI_VSET1((VDI_T)step);
    const VDI_V mu = VDI_VSET1((VDI_T)momentum);
    const VDI_V d = VDI_VSET1((VDI_T)decay);
    const VDI_V gs = VDI_VSET1((VDI_T)gscale);
    VDI__EACH(n, {
        const VDI_V wi = VDI__LOAD(w);
        VDI_V u = VDI_VMUL(gs, VDI__LOAD(g));
        if (m) {
            u = VDI_VFMA(mu, VDI__LOAD(m), u);
            VDI__STORE(m, VDI__SETTLED(u));
        }
        VDI__STORE(w, VDI_VFNMA(d, wi, VDI_VFNMA(s, u, wi)));
    })
}
#undef VDI__EACH
#undef VDI__LOAD
#undef VDI__STORE
#undef VDI__FADED
#undef VDI__SETTLED
