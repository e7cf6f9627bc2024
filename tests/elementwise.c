/* elementwise.c - functions of one and two arguments: accuracy, corners, every path against the
 * scalar one, tensors
 *
 * The accuracy test also makes the table of docs/results/accuracy.md:
 *     VDI_ULP_TABLE=40 ./elementwise --filter elementwise/accuracy
 * prints it, from 40 times as many arguments as the test takes.
 */
#include "paths.h"

#include <fenv.h>

typedef long double real;
static const real pi = 3.141592653589793238462643383279502884L;
static const real digamma_zero = 1.461632144968362341262659542325721328L;

static real reference_digamma(real x) {
    real r = 0;
    if (x == 0) return -1 / x;
    if (x < 0) {
        real a = -x, f = a - roundl(a);
        if (f == 0) return NAN;
        r = pi * cosl(pi * f) / sinl(pi * f);
        x = 1 + a;
    }
    for (; x < 30; x += 1)
        r -= 1 / x;
    real z = 1 / (x * x);
    return r + logl(x) - 0.5L / x -
           z * (1 / 12.L -
                z * (1 / 120.L -
                     z * (1 / 252.L -
                          z * (1 / 240.L - z * (1 / 132.L - z * (691 / 32760.L - z / 12))))));
}

static real reference_trigamma(real x) {
    real r = 0, sign = 1;
    if (x <= 0) {
        real a = -x, s = sinl(pi * (a - roundl(a))) / pi;
        r = 1 / (s * s);
        sign = -1;
        x = 1 + a;
    }
    for (; x < 30; x += 1)
        r += sign / (x * x);
    real z = 1 / (x * x);
    return r +
           sign *
               (1 / x + z / 2 +
                z / x *
                    (1 / 6.L -
                     z * (1 / 30.L -
                          z * (1 / 42.L -
                               z * (1 / 30.L - z * (5 / 66.L - z * (691 / 2730.L - z * 7 / 6)))))));
}

/* op(x), and op'(x), at a precision beyond double where long double has it */
static real reference(vdi_unary_op op, double p, real x) {
    switch (op) {
    case VDI_EXP: return expl(x);
    case VDI_LOG: return logl(x);
    case VDI_LOG1P: return log1pl(x);
    case VDI_EXPM1: return expm1l(x);
    case VDI_TANH: return tanhl(x);
    case VDI_SIGMOID: return x < 0 ? expl(x) / (1 + expl(x)) : 1 / (1 + expl(-x));
    case VDI_SOFTPLUS: return x != x ? x : (x > 0 ? x : 0) + log1pl(expl(-fabsl(x)));
    case VDI_RELU: return x <= 0 ? 0 : x;
    case VDI_LEAKY_RELU: return x > 0 ? x : p * x;
    case VDI_ELU: return x > 0 ? x : p * expm1l(x);
    case VDI_SQRT: return sqrtl(x);
    case VDI_RSQRT: return 1 / sqrtl(x);
    case VDI_RECIPROCAL: return 1 / x;
    case VDI_ERF: return erfl(x);
    case VDI_LGAMMA: return lgammal(x);
    case VDI_DIGAMMA: return reference_digamma(x);
    case VDI_ABS: return fabsl(x);
    case VDI_NEG: return -x;
    case VDI_SQUARE: return x * x;
    case VDI_SIN: return sinl(x);
    case VDI_COS: return cosl(x);
    case VDI_IDENTITY: return x;
    case VDI_GELU: return x == -INFINITY ? -0.0L : x / 2 * erfcl(-x / sqrtl(2));
    }
    return NAN;
}

static real reference_slope(vdi_unary_op op, double p, real x) {
    real s = 1 / (1 + expl(-fabsl(x)));
    switch (op) {
    case VDI_EXP: return expl(x);
    case VDI_LOG: return 1 / x;
    case VDI_LOG1P: return 1 / (1 + x);
    case VDI_EXPM1: return expl(x);
    case VDI_TANH: return 1 - tanhl(x) * tanhl(x);
    case VDI_SIGMOID: return s * (1 - s);
    case VDI_SOFTPLUS: return x < 0 ? 1 - s : s;
    case VDI_RELU: return x > 0;
    case VDI_LEAKY_RELU: return x > 0 ? 1 : p;
    case VDI_ELU: return x > 0 ? 1 : p * expl(x);
    case VDI_SQRT: return 0.5L / sqrtl(x);
    case VDI_RSQRT: return -0.5L / (x * sqrtl(x));
    case VDI_RECIPROCAL: return -1 / (x * x);
    case VDI_ERF: return 2 / sqrtl(pi) * expl(-x * x);
    case VDI_LGAMMA: return reference_digamma(x);
    case VDI_DIGAMMA: return reference_trigamma(x);
    case VDI_ABS: return x > 0 ? 1 : -1;
    case VDI_NEG: return -1;
    case VDI_SQUARE: return 2 * x;
    case VDI_SIN: return cosl(x);
    case VDI_COS: return -sinl(x);
    case VDI_IDENTITY: return 1;
    case VDI_GELU: return erfcl(-x / sqrtl(2)) / 2 + x * expl(-x * x / 2) / sqrtl(2 * pi);
    }
    return NAN;
}

/* Error of y in units of the last place that t has in `dtype` (denormals: the smallest
 * denormal). */
static double ulps(vdi_dtype dtype, real t, double y) {
    const int digits = dtype == VDI_F32 ? FLT_MANT_DIG : DBL_MANT_DIG;
    const int lowest = dtype == VDI_F32 ? FLT_MIN_EXP : DBL_MIN_EXP;
    const double rounded = dtype == VDI_F32 ? (double)(float)t : (double)t;
    int e;
    if (t != t || y != y) return (t != t) == (y != y) ? 0 : INFINITY;
    if (rounded == y && isinf(y)) return 0;
    if (isinf(rounded)) {
        /* the largest finite number is half an ulp away from what rounds to infinity */
        return fabs(y) == (dtype == VDI_F32 ? (double)FLT_MAX : DBL_MAX) && (y > 0) == (t > 0)
                   ? 1
                   : INFINITY;
    }
    if (isinf(y)) {
        return fabsl(t) > (dtype == VDI_F32 ? (real)FLT_MAX : (real)DBL_MAX) *
                              (1 - ldexpl(1, 1 - digits))
                   ? 1
                   : INFINITY;
    }
    frexpl(t, &e);
    return (double)(fabsl((real)y - t) / ldexpl(1, (e < lowest ? lowest : e) - digits));
}

enum { MANY = 2048 };
typedef struct buffer {
    double f64[MANY];
    float f32[MANY];
} buffer;

static void *data_of(buffer *b, vdi_dtype dtype) {
    return dtype == VDI_F32 ? (void *)b->f32 : (void *)b->f64;
}
static double at(const buffer *b, vdi_dtype dtype, int i) {
    return dtype == VDI_F32 ? (double)b->f32[i] : b->f64[i];
}
static void put(buffer *b, int i, double x) {
    b->f64[i] = x;
    b->f32[i] = (float)x;
}

/* What is promised, and shown in docs/results/accuracy.md. Half of the arguments are uniform over
   the range, half spread over its magnitudes
   down to the denormals. */
static const struct accuracy {
    vdi_unary_op op;
    double low, high, limit;
} accuracy[] = {
    {VDI_EXP, -20, 20, 2},
    {VDI_EXP, -760, 720, 2},
    {VDI_LOG, 0, 1e300, 2},
    {VDI_LOG, 0.5, 2, 2},
    {VDI_TANH, -1, 1, 2},
    {VDI_TANH, -30, 30, 2},
    {VDI_SIGMOID, -20, 20, 2},
    {VDI_SIGMOID, -760, 100, 2},
    {VDI_SOFTPLUS, -20, 20, 2.5},
    {VDI_SOFTPLUS, -760, 800, 2.5},
    {VDI_LGAMMA, 3, 1e300, 2.5},
    {VDI_LGAMMA, 0, 3, 4},
    {VDI_LGAMMA, -50, 0, 4},
    {VDI_LOG1P, -1, 3, 2},
    {VDI_LOG1P, -1, 1e300, 2},
    {VDI_EXPM1, -2, 2, 2},
    {VDI_EXPM1, -60, 720, 2},
    {VDI_ERF, -1.5, 1.5, 2},
    {VDI_ERF, -30, 30, 2},
    {VDI_DIGAMMA, 3, 1e300, 3},
    {VDI_DIGAMMA, 0, 3, 4},
    {VDI_DIGAMMA, -50, 0, 4},
    {VDI_SIN, -4, 4, 2},
    {VDI_SIN, -1e300, 1e300, 2},
    {VDI_COS, -4, 4, 2},
    {VDI_COS, -1e300, 1e300, 2},
    {VDI_GELU, -4, 4, 6},
    {VDI_GELU, -40, 1e300, 6},
    {VDI_SQRT, 0, 1e300, 0.5001},
    {VDI_RSQRT, 0, 1e300, 1.51},
    {VDI_RECIPROCAL, -1e300, 1e300, 0.5001},
};

/* musl computes the functions of a long double of 128 bits in double. */
static bool long_double_is_double(void) {
    volatile real x = 31;
    return logl(x) == (real)log((double)x);
}

/* What the reference of digamma may be off by: the sum cancels to 4e-18. */
static real digamma_slack(void) { return long_double_is_double() ? 1e-15L : 4e-18L; }

/* Where the C library is not fit to judge: digamma's thirty terms where long double is double;
 * gelu's tail where its functions are, since erfc multiplies the rounding of its argument;
 * mingw's sines are x87's, which know pi to 66 bits, and its lgammal loses its digits at the zeros
 * 1 and 2. */
static bool reference_is_poor(vdi_dtype dtype, vdi_unary_op op, real x) {
    if (LDBL_MANT_DIG == DBL_MANT_DIG && dtype == VDI_F64 && op == VDI_DIGAMMA) return isfinite(x);
    if (dtype == VDI_F64 && op == VDI_GELU && long_double_is_double()) return x < -1 && isfinite(x);
#ifdef __MINGW32__
    if (op == VDI_SIN || op == VDI_COS) return fabsl(x) > 3 && isfinite(x);
    if (op == VDI_LGAMMA) return x > 0.5L && x < 2.5L;
#endif
    return false;
}

/* Error that counts: below 0 the gamma functions have zeros between the poles, and near one only
   the absolute error is bounded (in ulp
   of 1, or of the sum's larger term). */
static double counted(const struct accuracy *a, vdi_dtype dtype, real x, double y) {
    if (reference_is_poor(dtype, a->op, x)) return 0;
    const real t = reference(a->op, 0, x);
    const bool gamma = a->op == VDI_LGAMMA || a->op == VDI_DIGAMMA;
    const real unit = dtype == VDI_F32 ? (real)FLT_EPSILON : (real)DBL_EPSILON;
    if (gamma && x < -0.25L && t == t && fabsl(t) <= LDBL_MAX) {
        real terms =
            a->op == VDI_LGAMMA
                ? fabsl(lgammal(-x)) + fabsl(logl(fabsl(pi / (x * sinl(pi * (x - roundl(x)))))))
                : fabsl(reference_digamma(1 - x));
        if (a->op == VDI_DIGAMMA) terms += fabsl(reference_digamma(x) - reference_digamma(1 - x));
        if (rintl(x) == x) return isnan(y) == (a->op == VDI_DIGAMMA) ? 0 : INFINITY;
        return (double)(fabsl((real)y - t) / (unit * (terms > 1 ? terms : 1)));
    }
    const real slack = digamma_slack();
    if (a->op == VDI_DIGAMMA && fabsl(t) < 1e30L &&
        (slack > 1e-17L || fabsl(x - digamma_zero) < 0.05L)) {
        const real error = fabsl((real)y - t) - slack;
        return error <= 0 ? 0 : ulps(dtype, t, (double)(t + error));
    }
    return ulps(dtype, t, y);
}

static double draw(const struct accuracy *a, vdi_dtype dtype, unsigned long long *state, int i) {
    const double u = test_uniform(state);
    double x = a->low + (a->high - a->low) * u;
    if (i % 2) {
        const double top = log2(fmax(fabs(a->low), fabs(a->high)));
        const double bottom = dtype == VDI_F32 ? -149 : -1074;
        x = exp2(bottom + (fmin(top, dtype == VDI_F32 ? 128 : 1024) - bottom) * u);
        if (a->low < 0 && (a->high <= 0 || test_uniform(state) < 0.5)) x = -x;
        if (i % 4 == 3) x = a->low > 0 ? a->low * (1 + u) : exp2(8 * u - 4) * (x < 0 ? -1 : 1);
    }
    if (dtype == VDI_F32) x = (double)(float)x;
    return x >= a->low && x <= a->high
               ? x
               : a->low + (a->high > 1e30 ? 1 : a->high - a->low) * test_uniform(state);
}

/* Does the table have a column for that path? One is without a fused multiply-add and one with it:
 * paths of a group agree to the bit. */
static bool in_table(int simd) {
    for (int before = VDI_SIMD_SCALAR; before < simd; before++) {
        if (has_fma(before) == has_fma(simd) && vdi_simd_set((vdi_simd)before) == VDI_OK)
            return false;
    }
    return true;
}

TEST(elementwise, accuracy) {
    static buffer x, y;
    const char *table = getenv("VDI_ULP_TABLE");
    const int rounds = table && atoi(table) > 0 ? atoi(table) : 1;
    for (size_t k = 0; k < VDI__COUNT(accuracy); k++) {
        const struct accuracy *a = &accuracy[k];
        if (table) printf("| %s | %g .. %g |", vdi_unary_name(a->op), a->low, a->high);
        for (int dtype = VDI_F32; dtype <= VDI_F64; dtype++) {
            FOR_EACH_PATH(simd) {
                unsigned long long state = 88172645463325252ull + k;
                double worst = 0, worst_at = 0;
                for (int round = 0; round < rounds; round++) {
                    for (int i = 0; i < MANY; i++)
                        put(&x, i, draw(a, (vdi_dtype)dtype, &state, i));
                    vdi_unary((vdi_dtype)dtype, a->op, 0, MANY, data_of(&x, (vdi_dtype)dtype),
                              data_of(&y, (vdi_dtype)dtype));
                    for (int i = 0; i < MANY; i++) {
                        const double error =
                            counted(a, (vdi_dtype)dtype, at(&x, (vdi_dtype)dtype, i),
                                    at(&y, (vdi_dtype)dtype, i));
                        if (error > worst) {
                            worst = error;
                            worst_at = at(&x, (vdi_dtype)dtype, i);
                        }
                    }
                }
                CHECK(worst <= a->limit, "%s %s %s: %.3f ulp at %.17g (allowed %g)",
                      vdi_unary_name(a->op), vdi_dtype_name((vdi_dtype)dtype),
                      vdi_simd_name((vdi_simd)simd), worst, worst_at, a->limit);
                if (table && in_table(simd)) printf(" %.2f |", worst);
            }
        }
        if (table) printf("\n");
    }
    vdi_simd_set(VDI_SIMD_AUTO);
}

/* The largest error that accuracy[] allows an operation. What is not in it is exact or rounded
 * once; ELU rounds a multiple of EXPM1. */
static double limit_of(vdi_unary_op op) {
    double limit = op == VDI_ELU ? limit_of(VDI_EXPM1) + 1 : 0.5001;
    for (size_t k = 0; k < VDI__COUNT(accuracy); k++)
        if (accuracy[k].op == op) limit = fmax(limit, accuracy[k].limit);
    return limit;
}

/* Zeros with their signs, infinities, NaN, denormals, the ends of the ranges, poles, ties. */
static const double special[] = {
    /* zeros, infinities, small numbers and halves */
    0.0, -0.0, INFINITY, -INFINITY, NAN, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 0.75, 1.5, 0.625, -2.5,
    -0.25, 6, -6, -100.25, 1e5,
    /* denormals and the ends of both types */
    1e-310, -1e-310, 5e-324, -5e-324, DBL_MIN, DBL_MAX, -DBL_MAX, 1e-40, -1e-40, 1e-45, -1e-45,
    FLT_MIN, FLT_MAX, -FLT_MAX, 1e-30, -1e-30, 1e22, -1e22,
    /* where exponentials overflow and underflow */
    88.72283, 88.7229, -87.5, -103.9, -104.1, 709.78, 709.79, -745.1, -745.2,
    /* ties and poles, with and without a fraction */
    4503599627370497.5, -4503599627370497.5, -4194304.5, -8388607.5, -8388608, -4194305, 16777216,
    /* the zero of digamma, pi, neighbours of one */
    1.4616321449683622, 3.141592653589793, 1 - DBL_EPSILON / 2, -1 + DBL_EPSILON / 2,
    1 + DBL_EPSILON, 1 - FLT_EPSILON / 2, -1 + FLT_EPSILON / 2};

/* The right answer at a special argument v, some of which long double functions do not give. */
static real reference_special(vdi_dtype dtype, vdi_unary_op op, double v) {
    if (op == VDI_LGAMMA && (v == -INFINITY || v == 0)) return INFINITY;
    if (op == VDI_DIGAMMA && isinf(v)) return v > 0 ? INFINITY : NAN;
    if ((op == VDI_SIN || op == VDI_COS) && !(dtype == VDI_F32 && fabs(v) < 1e30))
        return op == VDI_SIN ? sin(v) : cos(v);
    return reference(op, 0.25, v);
}

static void corner_check(vdi_dtype dtype, vdi_unary_op op, double v, double r) {
    if (reference_is_poor(dtype, op, v)) return;
    const char *name = vdi_unary_name(op), *type = vdi_dtype_name(dtype);
    const char *path = vdi_simd_name(vdi_simd_active());
    const struct accuracy a = {op, 0, 0, 0};
    const bool gamma = op == VDI_LGAMMA || op == VDI_DIGAMMA;
    const real t = reference_special(dtype, op, v);
    const double error =
        gamma && isfinite(v) && t == t && v != 0 ? counted(&a, dtype, v, r) : ulps(dtype, t, r);
    CHECK(error <= limit_of(op), "%s(%.17g) %s %s = %.17g, expected %.17Lg: %g ulp", name, v, type,
          path, r, t, error);
    if (t == 0 && r == 0 && op != VDI_RELU && op != VDI_LGAMMA)
        CHECK(!signbit(t) == !signbit(r), "%s(%g) %s %s: sign of zero", name, v, type, path);
}

TEST(elementwise, corners) {
    static buffer x, y;
    const int n = (int)VDI__COUNT(special);
    for (int i = 0; i < n; i++)
        put(&x, i, special[i]);
    for (int op = 0; op < VDI_UNARY_COUNT; op++) {
        for (int d = VDI_F32; d <= VDI_F64; d++) {
            FOR_EACH_PATH(simd) {
                const vdi_dtype dtype = (vdi_dtype)d;
                vdi_unary(dtype, (vdi_unary_op)op, 0.25, (size_t)n, data_of(&x, dtype),
                          data_of(&y, dtype));
                for (int i = 0; i < n; i++) {
                    const double v = at(&x, dtype, i);
                    if (op == VDI_ELU && v != v) continue;
                    corner_check(dtype, (vdi_unary_op)op, v, at(&y, dtype, i));
                }
            }
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
}

/* Sines and cosines stay on the unit circle about their extrema, where rounding could lead past. */
TEST(elementwise, circle) {
    static buffer x, y;
    for (int c = 0; c < 4; c++) {
        const vdi_dtype dtype = c % 2 ? VDI_F64 : VDI_F32;
        const vdi_unary_op op = c < 2 ? VDI_SIN : VDI_COS;
        FOR_EACH_PATH(simd) {
            put(&x, 0, 0);
            for (int i = 1; i < MANY; i++) {
                const double top = (double)pi * (i % 97 + (op == VDI_SIN ? 0.5 : 0));
                const double step = dtype == VDI_F32 ? 1e-7 : 1e-16;
                put(&x, i, top * (1 + step * (i / 97 - 10)) + 3 * step * (i % 7));
            }
            vdi_unary(dtype, op, 0, MANY, data_of(&x, dtype), data_of(&y, dtype));
            CHECK(op == VDI_SIN || at(&y, dtype, 0) == 1, "cos(0) on %s is %.17g",
                  vdi_simd_name((vdi_simd)simd), at(&y, dtype, 0));
            for (int i = 0; i < MANY; i++) {
                CHECK(fabs(at(&y, dtype, i)) <= 1, "%s(%.17g) on %s is %.17g", vdi_unary_name(op),
                      at(&x, dtype, i), vdi_simd_name((vdi_simd)simd), at(&y, dtype, i));
            }
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
}

/* Every unary and binary kernel and gradient, every path, sizes about the vector's, unaligned, in
 * place; nothing is written behind the end. A result does not depend on where in a vector its
 * element stands; paths with a fused multiply-add agree in every bit. */
enum { SPAN = 40, GUARD = 8, LARGEST = 33 };
typedef struct span {
    double memory[SPAN + 2 * GUARD];
} span;
/* a place that is aligned to its elements and to nothing more */
static char *span_data(span *s, vdi_dtype dtype) {
    return (char *)s->memory + (dtype == VDI_F32 ? 3 * sizeof(float) : sizeof(double));
}

typedef enum kernel_kind {
    UNARY,
    UNARY_GRAD,
    BINARY,
    MULADD,
    AXPBY,
    CLIP,
    FILL,
    KINDS
} kernel_kind;
static const struct {
    int ops, forms; /* a form chooses the steps of the operands, or coefficients */
} kinds[KINDS] = {{VDI_UNARY_COUNT, 1},
                  {VDI_UNARY_COUNT, 1},
                  {VDI_BINARY_COUNT, 3},
                  {1, 3},
                  {1, 3},
                  {1, 1},
                  {1, 1}};

typedef struct kernel {
    kernel_kind kind;
    int op, form;
    vdi_dtype dtype;
} kernel;

static bool fixed(const kernel *k, int operand) { /* is that operand one element? */
    return (k->kind == BINARY || k->kind == MULADD) && k->form == operand;
}

static void call_kernel(const kernel *k, size_t n, const void *a, const void *b, const void *c,
                        void *y) {
    const vdi_dtype dtype = k->dtype;
    const int sa = !fixed(k, 1), sb = !fixed(k, 2);
    const double beta[3] = {0.3, 0, 1};
    switch (k->kind) {
    case UNARY: vdi_unary(dtype, (vdi_unary_op)k->op, 0.25, n, a, y); break;
    case UNARY_GRAD: vdi_unary_grad(dtype, (vdi_unary_op)k->op, 0.25, n, a, b, c, y); break;
    case BINARY: vdi_binary(dtype, (vdi_binary_op)k->op, n, a, sa, b, sb, y); break;
    case MULADD: vdi_muladd(dtype, n, a, sa, b, sb, y); break;
    case AXPBY: vdi_axpby(dtype, n, 1.7, a, beta[k->form], y); break;
    case CLIP: vdi_clip(dtype, n, -0.5, 1.25, a, y); break;
    default: vdi_fill(dtype, n, 2.5, y); break;
    }
}

typedef struct operands {
    span x, b, c;
} operands;

static void operands_fill(const kernel *k, operands *o) {
    static const double pool[] = {0.3,   -1.7, 3.9, 12,       -0.01, 0.75, 1e-3, 5.5,
                                  -4.25, 100,  1,   0.999,    2.5,   -0.6, 33,   7e4,
                                  -20,   0,    NAN, INFINITY, 1e-42, 6.3};
    const int count = (int)VDI__COUNT(pool);
    char *x = span_data(&o->x, k->dtype), *b = span_data(&o->b, k->dtype);
    for (int i = 0; i < SPAN; i++) {
        vdi_dtype_store(k->dtype, x, i, pool[i % count]);
        vdi_dtype_store(k->dtype, b, i, pool[(i * 7 + 3) % count]);
        vdi_dtype_store(k->dtype, span_data(&o->c, k->dtype), i, 0.5 + i * 0.01);
    }
    if (k->kind == UNARY_GRAD) vdi_unary(k->dtype, (vdi_unary_op)k->op, 0.25, SPAN, x, b);
}

/* n elements at once, into y: each as it is alone, nothing behind them, the same in place. */
static void place_check(const kernel *k, size_t n, operands *o, span *y) {
    const size_t size = vdi_dtype_size(k->dtype);
    const char *type = vdi_dtype_name(k->dtype), *path = vdi_simd_name(vdi_simd_active());
    char *x = span_data(&o->x, k->dtype), *b = span_data(&o->b, k->dtype);
    char *c = span_data(&o->c, k->dtype), *out = span_data(y, k->dtype);
    int wrong = 0;
    memset(y, 0x3f, sizeof *y);
    span before = *y;
    call_kernel(k, n, x, b, c, out);
    for (size_t i = 0; i < n; i++) {
        span one = before;
        char *single = span_data(&one, k->dtype) + i * size;
        call_kernel(k, 1, x + (fixed(k, 1) ? 0 : i * size), b + (fixed(k, 2) ? 0 : i * size),
                    c + i * size, single);
        const double r = vdi_dtype_load(k->dtype, out, (int64_t)i);
        const double s = vdi_dtype_load(k->dtype, single, 0);
        wrong += !(s == r || (s != s && r != r));
        memcpy(span_data(&before, k->dtype) + i * size, out + i * size, size);
    }
    CHECK(wrong == 0, "kind %d op %d %s %s n=%zu: %d elements depend on their place", k->kind,
          k->op, type, path, n, wrong);
    CHECK(memcmp(&before, y, sizeof *y) == 0, "kind %d op %d %s %s n=%zu: wrote beyond its array",
          k->kind, k->op, type, path, n);
    if ((k->kind == UNARY || k->kind == BINARY) && !fixed(k, 1)) {
        span z = o->x;
        char *place = span_data(&z, k->dtype);
        call_kernel(k, n, place, b, NULL, place);
        CHECK(memcmp(place, out, n * size) == 0, "kind %d op %d: in place", k->kind, k->op);
    }
}

/* r of a path against those of the scalar path and, if given, of a path that fuses. */
static void across_paths(const kernel *k, const double *r, const double *scalar,
                         const double *fused) {
    const double unit = k->dtype == VDI_F32 ? FLT_EPSILON : DBL_EPSILON;
    const char *type = vdi_dtype_name(k->dtype), *path = vdi_simd_name(vdi_simd_active());
    for (int i = 0; i < LARGEST; i++) {
        const double s = scalar[i];
        CHECK(r[i] == s || (r[i] != r[i] && s != s) ||
                  fabs(r[i] - s) <= 8 * unit * fmax(fabs(s), k->kind == UNARY ? 0 : 1),
              "kind %d op %d form %d %s %s [%d]: %.17g, scalar %.17g", k->kind, k->op, k->form,
              type, path, i, r[i], s);
        if (fused) {
            CHECK(r[i] == fused[i] || (r[i] != r[i] && fused[i] != fused[i]),
                  "kind %d op %d %s %s [%d]: bits differ", k->kind, k->op, type, path, i);
        }
    }
}

static void paths_check(kernel k) {
    double scalar[3][LARGEST], fused[3][LARGEST], r[LARGEST];
    int first_fused = -1;
    FOR_EACH_PATH(simd) {
        if (has_fma(simd) && first_fused < 0) first_fused = simd;
        for (k.form = 0; k.form < kinds[k.kind].forms; k.form++) {
            operands o;
            span y;
            operands_fill(&k, &o);
            for (size_t n = 0; n <= LARGEST; n++)
                place_check(&k, n, &o, &y);
            for (int i = 0; i < LARGEST; i++)
                r[i] = vdi_dtype_load(k.dtype, span_data(&y, k.dtype), i);
            if (simd == VDI_SIMD_SCALAR) memcpy(scalar[k.form], r, sizeof r);
            if (simd == first_fused) memcpy(fused[k.form], r, sizeof r);
            across_paths(&k, r, scalar[k.form], has_fma(simd) ? fused[k.form] : NULL);
        }
    }
}

TEST(elementwise, paths) {
    for (int kind = 0; kind < KINDS; kind++) {
        for (int op = 0; op < kinds[kind].ops; op++) {
            const kernel f32 = {(kernel_kind)kind, op, 0, VDI_F32};
            const kernel f64 = {(kernel_kind)kind, op, 0, VDI_F64};
            paths_check(f32);
            paths_check(f64);
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
}

TEST(elementwise, gradients) {
    static const double xs[] = {-29.7, -6.3, -2.6, -1.2, -0.7, -0.3, -1e-3, 1e-3,
                                0.2,   0.7,  1.1,  1.9,  2.6,  3.4,  8,     40};
    for (int op = 0; op < VDI_UNARY_COUNT; op++) {
        for (int d = VDI_F32; d <= VDI_F64; d++) {
            FOR_EACH_PATH(simd) {
                for (size_t i = 0; i < VDI__COUNT(xs); i++) {
                    const vdi_dtype dtype = (vdi_dtype)d;
                    double x, y, dy, dx; /* storage for one element of either type */
                    vdi_dtype_store(dtype, &x, 0, xs[i]);
                    vdi_dtype_store(dtype, &dy, 0, 1.5);
                    vdi_dtype_store(dtype, &dx, 0, 0.25);
                    vdi_unary(dtype, (vdi_unary_op)op, 0.25, 1, &x, &y);
                    vdi_unary_grad(dtype, (vdi_unary_op)op, 0.25, 1, &x, &y, &dy, &dx);
                    const real slope =
                        reference_slope((vdi_unary_op)op, 0.25, (real)vdi_dtype_load(dtype, &x, 0));
                    const double got = vdi_dtype_load(dtype, &dx, 0);
                    const double unit = dtype == VDI_F32 ? FLT_EPSILON : DBL_EPSILON;
                    const bool outside = (op == VDI_LOG || op == VDI_SQRT || op == VDI_RSQRT)
                                             ? xs[i] < 0
                                             : op == VDI_LOG1P && xs[i] < -1;
                    if (outside) continue;
                    CHECK(fabsl((real)got - (0.25L + 1.5L * slope)) <=
                              16 * (real)unit * (1 + fabsl(slope)),
                          "%s'(%g) %s %s: %.17g, expected %.17Lg", vdi_unary_name((vdi_unary_op)op),
                          xs[i], vdi_dtype_name(dtype), vdi_simd_name((vdi_simd)simd), got,
                          0.25L + 1.5L * slope);
                }
            }
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
    /* at a kink the derivative from the left */
    const vdi_unary_op kinked[] = {VDI_RELU, VDI_LEAKY_RELU, VDI_ELU, VDI_ABS};
    const double left[] = {0, 0.25, 0.25, -1};
    for (size_t i = 0; i < VDI__COUNT(kinked); i++) {
        double x = 0;
        double y = 0;
        double dy = 1;
        double dx = 0;
        vdi_unary_grad(VDI_F64, kinked[i], 0.25, 1, &x, &y, &dy, &dx);
        CHECK(dx == left[i], "%s'(0) = %g", vdi_unary_name(kinked[i]), dx);
    }
}

TEST(elementwise, binary) {
    static const double v[] = {0.0,      -0.0,      1,     -1,     2.5, -3, NAN,
                               INFINITY, -INFINITY, 1e300, 1e-300, 0.5, 700};
    FOR_EACH_PATH(simd) {
        for (size_t i = 0; i < VDI__COUNT(v); i++) {
            for (size_t j = 0; j < VDI__COUNT(v); j++) {
                const double a = v[i], b = v[j];
                const double want[VDI_BINARY_COUNT] = {a + b,
                                                       a - b,
                                                       a * b,
                                                       a / b,
                                                       a != a || b != b ? NAN : (a > b ? a : b),
                                                       a != a || b != b ? NAN : (a < b ? a : b),
                                                       pow(a, b)};
                for (int op = 0; op < VDI_BINARY_COUNT; op++) {
                    double y;
                    vdi_binary(VDI_F64, (vdi_binary_op)op, 1, &a, 1, &b, 1, &y);
                    CHECK(y == want[op] || (y != y && want[op] != want[op]),
                          "%s(%g,%g) = %g, expected %g", vdi_binary_name((vdi_binary_op)op), a, b,
                          y, want[op]);
                }
                double y = a;
                vdi_clip(VDI_F64, 1, -1, 2, &a, &y);
                CHECK(a != a ? y != y : y == (a < -1 ? -1 : a > 2 ? 2 : a), "clip %g: %g", a, y);
            }
        }
    }
    vdi_simd_set(VDI_SIMD_AUTO);
}

TEST(elementwise, views) {
    static double a[4 * 3 * 700], y[4 * 3 * 700];
    vdi_error err;
    for (int i = 0; i < 4 * 3 * 700; i++) {
        a[i] = 0.001 * i + 0.1;
        y[i] = -1;
    }
    const int64_t shape[3] = {4, 3, 700};
    vdi_tensor t = vdi_tensor_view(a, VDI_F64, 3, shape), u = vdi_tensor_view(y, VDI_F64, 3, shape);
    /* every other element, backwards, into a transposed place */
    /* (2,3,350) */
    vdi_tensor x = vdi_tensor_slice(vdi_tensor_slice(t, 2, 699, -2, 350), 0, 0, 2, 2);
    vdi_tensor out = vdi_tensor_slice(vdi_tensor_slice(u, 2, 0, 1, 350), 0, 0, 1, 2);
    const int swap[3] = {1, 0, 2};
    vdi_tensor place = vdi_tensor_permute(
        vdi_tensor_slice(vdi_tensor_slice(vdi_tensor_permute(out, swap), 0, 0, 1, 3), 1, 0, 1, 2),
        swap);
    CHECK_OK(vdi_tensor_unary(VDI_SQRT, 0, x, place, &err), err);
    for (int64_t i = 0; i < 2; i++) {
        for (int64_t j = 0; j < 3; j++) {
            for (int64_t k = 0; k < 350; k++) {
                const int64_t at_out[3] = {i, j, k}, at_in[3] = {2 * i, j, 699 - 2 * k};
                /* stored: x87 keeps more digits than a double has */
                volatile double expected = sqrt(vdi_tensor_get(t, at_in));
                CHECK(vdi_tensor_get(u, at_out) == expected, "strided unary");
            }
        }
    }
    CHECK(y[350] == -1 && y[2 * 3 * 700] == -1, "wrote beside the view");
    /* (4,1,700) / (3,1) + scalar, and a transposed operand */
    const int64_t ca[2] = {3, 1}, sa[1] = {1};
    double column[3] = {2, 4, 8}, one = 0.5;
    vdi_tensor row = vdi_tensor_slice(t, 1, 1, 1, 1);
    CHECK_OK(vdi_tensor_binary(VDI_DIV, row, vdi_tensor_view(column, VDI_F64, 2, ca), u, &err),
             err);
    CHECK_OK(vdi_tensor_binary(VDI_ADD, u, vdi_tensor_view(&one, VDI_F64, 1, sa), u, &err), err);
    for (int i = 0; i < 4 * 3 * 700; i += 37) {
        volatile double expected = a[i / 2100 * 2100 + 700 + i % 700] / column[i / 700 % 3] + 0.5;
        CHECK(y[i] == expected, "broadcast [%d]", i);
    }
}

TEST(elementwise, tensors) {
    double m[6] = {1, 2, 3, 4, 5, 6}, n[6] = {10, 20, 30, 40, 50, 60}, r[6], one = 0.5;
    vdi_error err;
    CHECK_OK(vdi_tensor_binary(VDI_SUB, vdi_tensor_transpose(vdi_tensor_2d(m, VDI_F64, 2, 3)),
                               vdi_tensor_2d(n, VDI_F64, 3, 2), vdi_tensor_2d(r, VDI_F64, 3, 2),
                               &err),
             err);
    const double want[6] = {-9, -16, -28, -35, -47, -54};
    CHECK(memcmp(r, want, sizeof r) == 0, "transposed operand");
    /* scalars, empty tensors */
    vdi_tensor scalar = vdi_tensor_view(&one, VDI_F64, 0, NULL);
    CHECK_OK(vdi_tensor_unary(VDI_SQUARE, 0, scalar, scalar, &err), err);
    CHECK(one == 0.25, "scalar tensor: %g", one);
    CHECK_OK(vdi_tensor_unary(VDI_EXP, 0, vdi_tensor_2d(NULL, VDI_F64, 0, 3),
                              vdi_tensor_2d(NULL, VDI_F64, 0, 3), &err),
             err);
    /* errors say what came */
    CHECK_FAILS(vdi_tensor_binary(VDI_ADD, vdi_tensor_2d(m, VDI_F64, 2, 3),
                                  vdi_tensor_2d(n, VDI_F64, 3, 2), vdi_tensor_2d(r, VDI_F64, 2, 3),
                                  &err),
                VDI_ERR_SHAPE);
    CHECK(strstr(err.message, "(3,2)") && strstr(err.message, "(2,3)"), "%s", err.message);
    CHECK_FAILS(vdi_tensor_unary(VDI_EXP, 0, vdi_tensor_2d(m, VDI_F32, 2, 3),
                                 vdi_tensor_2d(r, VDI_F64, 2, 3), &err),
                VDI_ERR_DTYPE);
    CHECK(strstr(err.message, "float32"), "%s", err.message);
    for (int odd = 0; odd < 3; odd++) { /* one of three is of another dtype */
        const vdi_dtype d0 = odd == 0 ? VDI_F32 : VDI_F64, d1 = odd == 1 ? VDI_F32 : VDI_F64;
        CHECK_FAILS(vdi_tensor_binary(VDI_ADD, vdi_tensor_1d(m, d0, 3), vdi_tensor_1d(n, d1, 3),
                                      vdi_tensor_1d(r, odd == 2 ? VDI_F32 : VDI_F64, 3), &err),
                    VDI_ERR_DTYPE);
    }
    CHECK_FAILS(vdi_tensor_unary(VDI_EXP, 0, vdi_tensor_2d(m, VDI_F64, 2, 2),
                                 vdi_tensor_2d(r, VDI_F64, 2, 3), NULL),
                VDI_ERR_SHAPE);
}

/* Strides of 0, 1 and 2 over more numbers than are gathered at a time, of both types: squares, and
 * sums with themselves. */
TEST(elementwise, long_rows_of_any_stride) {
    enum { LONG = 1000 };
    static double in[2 * LONG], out[2 * LONG];
    const int64_t shape[1] = {LONG};
    vdi_error err = {0};
    for (int c = 0; c < 36; c++) {
        const int64_t from = c % 3, to = 1 + c / 3 % 2;
        const vdi_dtype dtype = c / 6 % 2 ? VDI_F32 : VDI_F64;
        const bool sums = c / 12 % 2 != 0;
        for (int i = 0; i < 2 * LONG; i++) {
            vdi_dtype_store(dtype, in, i, i ? 0.25 * i : 3);
            vdi_dtype_store(dtype, out, i, -1);
        }
        vdi_tensor x = vdi_tensor_broadcast_to(vdi_tensor_1d(in, dtype, 1), 1, shape);
        if (from) x = vdi_tensor_index(vdi_tensor_2d(in, dtype, LONG, from), 1, 0);
        const vdi_tensor y = vdi_tensor_index(vdi_tensor_2d(out, dtype, LONG, to), 1, 0);
        if (sums)
            CHECK_OK(vdi_tensor_binary(VDI_ADD, x, x, y, &err), err);
        else
            CHECK_OK(vdi_tensor_unary(VDI_SQUARE, 0, x, y, &err), err);
        for (int64_t i = 0; i < LONG; i++) {
            const double v = vdi_dtype_load(dtype, in, i * from);
            CHECK_CLOSE(vdi_dtype_load(dtype, out, i * to), sums ? 2 * v : v * v, 1e-7 * v * v);
            if (to == 2) CHECK(vdi_dtype_load(dtype, out, 2 * i + 1) == -1, "written between");
        }
    }
}

/* The functions of one name are the ops of that name. */
TEST(elementwise, names) {
    static void (*const named[])(vdi_dtype, size_t, const void *, void *) = {
        vdi_exp,     vdi_log,      vdi_log1p,  vdi_expm1,   vdi_tanh,
        vdi_sigmoid, vdi_softplus, vdi_lgamma, vdi_digamma, vdi_erf};
    /* of 0.75, by mpmath */
    static const double wanted[] = {2.1170000166126747, -0.28768207245178093, 0.55961578793542269,
                                    1.1170000166126747, 0.63514895238728735,  0.67917869917539297,
                                    1.1368710061148999, 0.20328095143129537,  -1.0858608797864722,
                                    0.71115563365351513};
    for (size_t i = 0; i < VDI__COUNT(named); i++) {
        const double x[3] = {0.75, 0.75, 0.75};
        const float small = 0.75f;
        double y[3] = {0, 0, -7};
        float z = 0;
        named[i](VDI_F64, 2, x, y);
        named[i](VDI_F32, 1, &small, &z);
        CHECK_CLOSE(y[0], wanted[i], 4e-16 * fabs(wanted[i]) + 2e-16);
        CHECK(y[1] == y[0] && y[2] == -7, "function %zu", i);
        CHECK_CLOSE(z, wanted[i], 3e-7 * fabs(wanted[i]));
    }
}

#if defined(FE_INVALID) && defined(FE_DIVBYZERO) && defined(FE_OVERFLOW) && !defined(__TINYC__)
/* One value in a tail or in a block of them: where the result is finite no exception is left, which
 * in a program with traps would end it. A lane of padding is not to raise one. */
static void no_exception(vdi_dtype dtype, int op, bool slope, size_t n, double value) {
    double memory[4][40];
    for (size_t i = 0; i < n; i++) {
        vdi_dtype_store(dtype, memory[0], i, value);
        vdi_dtype_store(dtype, memory[2], i, 1);
        vdi_dtype_store(dtype, memory[3], i, 0);
    }
    feclearexcept(FE_ALL_EXCEPT);
    vdi_unary(dtype, (vdi_unary_op)op, 0.25, n, memory[0], memory[1]);
    if (slope) {
        if (!isfinite(vdi_dtype_load(dtype, memory[1], 0))) return;
        feclearexcept(FE_ALL_EXCEPT);
        vdi_unary_grad(dtype, (vdi_unary_op)op, 0.25, n, memory[0], memory[1], memory[2],
                       memory[3]);
    }
    const int left = fetestexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
    const double y = vdi_dtype_load(dtype, memory[slope ? 3 : 1], n - 1);
    CHECK(!isfinite(y) || !left, "%s%s of %g in %s, %zu at a time, is %g and leaves %s%s%s",
          vdi_unary_name((vdi_unary_op)op), slope ? "'" : "", value, vdi_dtype_name(dtype), n, y,
          left & FE_INVALID ? "invalid " : "", left & FE_DIVBYZERO ? "division by zero " : "",
          left & FE_OVERFLOW ? "overflow" : "");
}

TEST(elementwise, exceptions) {
    static const double sizes[] = {1e-300, 1e-38, 1e-20, 1e-8,  0.1,   0.5,   0.75,
                                   1,      1.5,   2,     3,     3.25,  7,     20,
                                   60,     100,   1e3,   1e4,   1e8,   1e15,  1e18,
                                   1e25,   1e30,  3e38,  1e100, 1e200, 1e300, 1.7e308};
    static const size_t counts[] = {1, 3, 7, 16, 33};
    for (int op = 0; op < VDI_UNARY_COUNT; op++) {
        for (size_t i = 0; i < 2 * VDI__COUNT(sizes); i++) {
            const double value = i & 1 ? -sizes[i / 2] : sizes[i / 2];
            for (size_t k = 0; k < VDI__COUNT(counts); k++) {
                no_exception(VDI_F64, op, false, counts[k], value);
                no_exception(VDI_F64, op, true, counts[k], value);
                if (!(sizes[i / 2] >= 1e-38 && sizes[i / 2] < 3.4e38)) continue;
                no_exception(VDI_F32, op, false, counts[k], value);
                no_exception(VDI_F32, op, true, counts[k], value);
            }
        }
    }
    feclearexcept(FE_ALL_EXCEPT);
}
#endif

/* Which kernels there are, and what serves each on each path. */
TEST(elementwise, table_of_kernels) {
    bool exp_seen = false, gemm_seen = false;
    const size_t n = vdi_kernel_count();
    CHECK(n > 40, "%zu kernels", n);
    for (size_t i = 0; i < n; i++) {
        const char *name = vdi_kernel_name(i);
        exp_seen = exp_seen || strcmp(name, "exp") == 0;
        gemm_seen = gemm_seen || strcmp(name, "gemm") == 0;
        for (size_t k = 0; k < i; k++)
            CHECK(strcmp(name, vdi_kernel_name(k)) != 0, "%s is there twice", name);
        for (int s = VDI_SIMD_SCALAR; s < VDI_SIMD_COUNT; s++) {
            const char *path = vdi_kernel_path(i, (vdi_simd)s, VDI_F32);
            if (!vdi_simd_available((vdi_simd)s)) continue;
            /* its own, or one that it borrows */
            bool known = false;
            for (int p = VDI_SIMD_SCALAR; p <= s; p++)
                known = known || strcmp(path, vdi_simd_name((vdi_simd)p)) == 0;
            CHECK(known, "%s on %s is served by %s", name, vdi_simd_name((vdi_simd)s), path);
        }
    }
    CHECK(exp_seen && gemm_seen, "exp and gemm are kernels");
}
