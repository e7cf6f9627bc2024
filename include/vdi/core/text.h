/* core/text.h - numbers and sentences as text, without stdio and without the locale
 *
 * Do this:
 *     char b[64];
 *     vdi_text_format(b, sizeof b, "W is (%d,%d)", 64, 3);
 *
 * Files and messages must read the same wherever the host program has set its locale, and the core
 * may not need <stdio.h>; so the few formats that vdi uses are written here.
 */
#ifndef VDI_CORE_TEXT_H
#define VDI_CORE_TEXT_H
#include "config.h"

/** printf into `buf` of `cap` bytes, always terminated; returns the length written (cut at
 * cap - 1).
 *  Knows %s %c %d %u %ld %lu %lld %llu %zu %x %g %%; no flags, no width; %.Ng takes N significant
 *  digits. */
VDI_API size_t vdi_text_format(char *buf, size_t cap, const char *format, ...) VDI__PRINTF(3, 4);
/** As vdi_text_format, with an argument list. */
VDI_API size_t vdi_text_vformat(char *buf, size_t cap, const char *format, va_list args);
/** Copy a string, cut to fit and terminated; returns the length written. */
VDI_API size_t vdi_text_copy(char *buf, size_t cap, const char *s);

/** Room that any number needs. */
#define VDI_TEXT_NUMBER 40
/** Write `x` with `digits` significant digits (1 to 17), correctly rounded and laid out as printf's
 * %.{digits}g does; 0 gives
 *  the fewest digits that read back to the same double, laid out as %.17g. NaN is "nan", infinities
 *  "inf" and "-inf", and zero keeps its sign. Returns the length. `buf` holds VDI_TEXT_NUMBER
 *  bytes. */
VDI_API size_t vdi_text_double(char *buf, double x, int digits);
/** Read a decimal number at s[0..n), correctly rounded; returns how many bytes it took, 0 if there
 * is no number.
 *  Takes an optional sign, digits, point, exponent, and nan, inf, infinity in any case. */
VDI_API size_t vdi_text_parse_double(const char *s, size_t n, double *out);
/** Read a decimal integer at s[0..n); returns the bytes taken, 0 if there is none or it does not
 * fit. */
VDI_API size_t vdi_text_parse_int(const char *s, size_t n, int64_t *out);
/** Likewise without a sign, up to 2^64 - 1. */
VDI_API size_t vdi_text_parse_unsigned(const char *s, size_t n, uint64_t *out);

/* ---- private: what the bodies of other modules use, too ------------------------------------- */

/* U+FFFD: what stands for bytes that are no UTF-8 wherever text is written. */
#define VDI__UTF8_REPLACEMENT "\xEF\xBF\xBD"

#if VDI__PART
VDI__LINK size_t vdi__utf8_length(const char *text, size_t n);
VDI__LINK bool vdi__utf8_valid(const char *text);
VDI__LINK uint32_t vdi__utf8_get(const char *text, size_t length);
VDI__LINK size_t vdi__utf8_put(char *out, uint32_t c);
#endif

#endif /* VDI_CORE_TEXT_H */

#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_TEXT_C)
#define VDI_CORE_TEXT_C

VDI__DEF size_t vdi_text_copy(char *buf, size_t cap, const char *s) {
    size_t n = 0;
    if (!cap) return 0;
    for (; s && s[n] && n + 1 < cap; n++)
        buf[n] = s[n];
    buf[n] = 0;
    return n;
}

VDI__FN size_t vdi__text_unsigned(char *buf, unsigned long long x, unsigned base) {
    char r[24];
    size_t n = 0, i;
    do { /* each divisor is a constant, so no division is done */
        unsigned c = (unsigned)(base == 16 ? x % 16 : x % 10);
        r[n++] = "0123456789abcdef"[c];
        x = base == 16 ? x / 16 : x / 10;
    } while (x);
    for (i = 0; i < n; i++)
        buf[i] = r[n - 1 - i];
    buf[n] = 0;
    return n;
}

VDI__DEF size_t vdi_text_vformat(char *buf, size_t cap, const char *format, va_list args) {
    size_t n = 0;
    if (!cap) return 0;
    while (*format && n + 1 < cap) {
        char number[VDI_TEXT_NUMBER];
        const char *piece = number;
        int longs = 0, digits = 6;
        if (*format != '%') {
            buf[n++] = *format++;
            continue;
        }
        format++;
        if (*format == '.') {
            for (digits = 0, format++; *format >= '0' && *format <= '9'; format++)
                digits = 10 * digits + (*format - '0');
        }
        for (; *format == 'l' || *format == 'z'; format++)
            longs += *format == 'z' ? 3 : 1;
        switch (*format) {
        case 's': piece = va_arg(args, const char *); break;
        case 'c':
            number[0] = (char)va_arg(args, int);
            number[1] = 0;
            break;
        case 'd': {
            long long x = longs == 0   ? va_arg(args, int)
                          : longs == 1 ? va_arg(args, long)
                                       : va_arg(args, long long);
            number[0] = '-';
            (void)vdi__text_unsigned(
                number + (x < 0), x < 0 ? 0ULL - (unsigned long long)x : (unsigned long long)x, 10);
            break;
        }
        case 'u':
        case 'x': {
            unsigned base = *format == 'x' ? 16 : 10;
            unsigned long long x = longs == 0   ? va_arg(args, unsigned)
                                   : longs == 1 ? va_arg(args, unsigned long)
                                   : longs == 2 ? va_arg(args, unsigned long long)
                                                : va_arg(args, size_t);
            (void)vdi__text_unsigned(number, x, base);
            break;
        }
        case 'g': (void)vdi_text_double(number, va_arg(args, double), digits); break;
        default:
            number[0] = *format;
            number[1] = 0;
            break;
        }
        if (*format) format++;
        n += vdi_text_copy(buf + n, cap - n, piece);
    }
    buf[n] = 0;
    return n;
}

VDI__DEF size_t vdi_text_format(char *buf, size_t cap, const char *format, ...) {
    va_list args;
    va_start(args, format);
    size_t n = vdi_text_vformat(buf, cap, format, args);
    va_end(args);
    return n;
}

/* ---- decimal and binary -------------------------------------------------------------------------
 * Both directions work alike. A 128-bit product gives the answer and a bound of its own error; only
 * where that bound cannot tell which way to round (a tie, or nearly one) are two big integers
 * compared, on the stack. So the result is always the correctly rounded one, and nearly always
 * found by five 64-bit multiplications.
 */

/* 64 x 64 -> 128 bits; returns the upper half. */
VDI__FN uint64_t vdi__mul64(uint64_t a, uint64_t b, uint64_t *low) {
    uint64_t al = (uint32_t)a;
    uint64_t ah = a >> 32;
    uint64_t bl = (uint32_t)b;
    uint64_t bh = b >> 32;
    uint64_t ll = al * bl, lh = al * bh, hl = ah * bl;
    uint64_t middle = (ll >> 32) + (uint32_t)lh + (uint32_t)hl;
    *low = middle << 32 | (uint32_t)ll;
    return ah * bh + (lh >> 32) + (hl >> 32) + (middle >> 32);
}

/* Leading zeros of x > 0. */
VDI__FN int vdi__clz64(uint64_t x) {
#if VDI__GNU
    return __builtin_clzll(x);
#else
    int n = 0;
    for (int step = 32; step; step >>= 1) {
        if (!(x >> (64 - step))) {
            n += step;
            x <<= step;
        }
    }
    return n;
#endif
}

/* floor(e log2 10) and floor(e log10 2), right for |e| <= 370 and 1100; division would round
 * towards zero. */
VDI__FN int vdi__floor_shift(int x, int bits) {
    return x >= 0 ? x >> bits : -((-x + (1 << bits) - 1) >> bits);
}
VDI__FN int vdi__log2_pow10(int e) { return vdi__floor_shift(217706 * e, 16); }
VDI__FN int vdi__log10_pow2(int e) { return vdi__floor_shift(78913 * e, 18); }

static const uint64_t vdi__pow10[20] = {1u,
                                        10u,
                                        100u,
                                        1000u,
                                        10000u,
                                        100000u,
                                        1000000u,
                                        10000000u,
                                        100000000u,
                                        1000000000u,
                                        10000000000u,
                                        100000000000u,
                                        1000000000000u,
                                        10000000000000u,
                                        100000000000000u,
                                        1000000000000000u,
                                        10000000000000000u,
                                        100000000000000000u,
                                        1000000000000000000u,
                                        10000000000000000000u};

/* 10^(16 k), k = -22 ... 21: the upper 128 bits, cut off, the first of them set */
static const uint64_t vdi__pow10_coarse[44][2] = {
    {0xcd42a11346f34f7du, 0x0092757bf2623727u}, {0xe3e27a444d8d98b7u, 0xfd1b1b2308169b25u},
    {0xfd00b897478238d0u, 0x8920b098955522b4u}, {0x8c71dcd9ba0b4925u, 0x9ff0c08b7f1d0b14u},
    {0x9becce62836ac577u, 0x4ee367f9430aec32u}, {0xad1c8eab5ee43b66u, 0xda3243650005eecfu},
    {0xc0314325637a1939u, 0xfa911155fefb5308u}, {0xd5605fcdcf32e1d6u, 0xfb1e4a9a90880a64u},
    {0xece53cec4a314ebdu, 0xa4f8bf5635246428u}, {0x8380dea93da4bc60u, 0x4247cb9e59f71e6du},
    {0x91ff83775423cc06u, 0x7b6306a34627ddcfu}, {0xa21727db38cb002fu, 0xb8ada00e5a506a7cu},
    {0xb3f4e093db73a093u, 0x59ed216765690f56u}, {0xc7caba6e7c5382c8u, 0xfe64a52ee96b8fc0u},
    {0xddd0467c64bce4a0u, 0xac7cb3f6d05ddbdeu}, {0xf64335bcf065d37du, 0x4d4617b5ff4a16d5u},
    {0x88b402f7fd75539bu, 0x11dbcb0218ebb414u}, {0x97c560ba6b0919a5u, 0xdccd879fc967d41au},
    {0xa87fea27a539e9a5u, 0x3f2398d747b36224u}, {0xbb127c53b17ec159u, 0x5560c018580d5d52u},
    {0xcfb11ead453994bau, 0x67de18eda5814af2u}, {0xe69594bec44de15bu, 0x4c2ebe687989a9b3u},
    {0x8000000000000000u, 0x0000000000000000u}, {0x8e1bc9bf04000000u, 0x0000000000000000u},
    {0x9dc5ada82b70b59du, 0xf020000000000000u}, {0xaf298d050e4395d6u, 0x9670b12b7f410000u},
    {0xc2781f49ffcfa6d5u, 0x3cbf6b71c76b25fbu}, {0xd7e77a8f87daf7fbu, 0xdc33745ec97be906u},
    {0xefb3ab16c59b14a2u, 0xc5cfe94ef3ea101eu}, {0x850fadc09923329eu, 0x03e2cf6bc604ddb0u},
    {0x93ba47c980e98cdfu, 0xc66f336c36b10137u}, {0xa402b9c5a8d3a6e7u, 0x5f16206c9c6209a6u},
    {0xb616a12b7fe617aau, 0x577b986b314d6009u}, {0xca28a291859bbf93u, 0x7d7b8f7503cfdcfeu},
    {0xe070f78d3927556au, 0x85bbe253f47b1417u}, {0xf92e0c3537826145u, 0xa7709a56ccdf8a82u},
    {0x8a5296ffe33cc92fu, 0x82bd6b70d99aaa6fu}, {0x9991a6f3d6bf1765u, 0xacca6da1e0a8ef29u},
    {0xaa7eebfb9df9de8du, 0xddbb901b98feeab7u}, {0xbd49d14aa79dbc82u, 0x4b2d8644d8a74e18u},
    {0xd226fc195c6a2f8cu, 0x73832eec6fff3111u}, {0xe950df20247c83fdu, 0x47c6b82ef32a2069u},
    {0x81842f29f2cce375u, 0xe6a1158300d46640u}, {0x8fcac257558ee4e6u, 0x213a4f0aa5e8a7b1u}};

/* A positive number: (high 2^64 + low + error) 2^exponent with 0 <= error < 12 and the first bit of
 * `high` set. */
typedef struct vdi__wide {
    uint64_t high, low;
    int exponent;
} vdi__wide;

VDI__FN vdi__wide vdi__wide_mul(vdi__wide a, uint64_t b) { /* b has its first bit set */
    uint64_t cut, carry;
    vdi__wide r;
    r.high = vdi__mul64(a.high, b, &r.low);
    carry = vdi__mul64(a.low, b, &cut);
    r.low += carry;
    r.high += r.low < carry;
    r.exponent = a.exponent + 64;
    if (!(r.high >> 63)) {
        r.high = r.high << 1 | r.low >> 63;
        r.low <<= 1;
        r.exponent--;
    }
    return r;
}

/* w 10^e, w > 0, -352 <= e < 352. The table is off by less than 1; each product cuts off less than
   1 more and may then double: ((1 + 1) 2 + 1) 2 = 10. */
VDI__FN vdi__wide vdi__wide_decimal(uint64_t w, int e) {
    int k = (e + 352) / 16, rest = (e + 352) % 16, z = vdi__clz64(w);
    vdi__wide p;
    p.high = vdi__pow10_coarse[k][0];
    p.low = vdi__pow10_coarse[k][1];
    p.exponent = vdi__log2_pow10(16 * (k - 22)) - 127;
    if (rest) {
        int y = vdi__clz64(vdi__pow10[rest]);
        p = vdi__wide_mul(p, vdi__pow10[rest] << y);
        p.exponent -= y;
    }
    p = vdi__wide_mul(p, w << z);
    p.exponent -= z;
    return p;
}

/* Big naturals for the undecided cases: the longest are 800 digits, or 5^1150 times a double, below
 * 2800 bits. */
#define VDI__BIG_LIMBS 96
#define VDI__BIG_DIGITS 770 /* no point halfway between doubles has more */
typedef struct vdi__big {
    uint32_t limb[VDI__BIG_LIMBS];
    int count;
} vdi__big;

VDI__FN void vdi__big_muladd(vdi__big *b, uint32_t factor, uint32_t add) {
    uint64_t carry = add;
    for (int i = 0; i < b->count; i++) {
        carry += (uint64_t)b->limb[i] * factor;
        b->limb[i] = (uint32_t)carry;
        carry >>= 32;
    }
    if (carry && b->count < VDI__BIG_LIMBS) b->limb[b->count++] = (uint32_t)carry;
}

VDI__FN void vdi__big_set(vdi__big *b, uint64_t x) {
    b->limb[0] = (uint32_t)x;
    b->limb[1] = (uint32_t)(x >> 32);
    b->count = (x >> 32 != 0) + (x != 0);
}

VDI__FN void vdi__big_mul_pow5(vdi__big *b, int e) {
    for (; e >= 13; e -= 13)
        vdi__big_muladd(b, 1220703125u, 0);
    for (; e > 0; e--)
        vdi__big_muladd(b, 5, 0);
}

VDI__FN void vdi__big_shift(vdi__big *b, int bits) {
    int limbs = bits / 32;
    vdi__big_muladd(b, (uint32_t)1 << (bits % 32), 0);
    limbs = VDI__MIN(limbs, VDI__BIG_LIMBS - b->count);
    if (limbs == 0 || b->count == 0) return;
    memmove(b->limb + limbs, b->limb, (size_t)b->count * sizeof b->limb[0]);
    memset(b->limb, 0, (size_t)limbs * sizeof b->limb[0]);
    b->count += limbs;
}

/* The sign of left 10^e - right 2^p. Destroys left. */
VDI__FN int vdi__big_compare(vdi__big *left, int e, uint64_t right, int p) {
    vdi__big r;
    vdi__big_set(&r, right);
    if (e >= 0)
        vdi__big_mul_pow5(left, e);
    else
        vdi__big_mul_pow5(&r, -e);
    if (e >= p)
        vdi__big_shift(left, e - p);
    else
        vdi__big_shift(&r, p - e);
    if (left->count != r.count) return left->count < r.count ? -1 : 1;
    for (int i = r.count - 1; i >= 0; i--)
        if (left->limb[i] != r.limb[i]) return left->limb[i] < r.limb[i] ? -1 : 1;
    return 0;
}

/* A decimal number as it was read: the first 19 digits as `w`, and where they all stand. Its value
   is w 10^exponent, or a little more where `cut` digits follow. */
typedef struct vdi__decimal {
    uint64_t w;
    int64_t exponent, cut;
    const char *digits, *end; /* digits and perhaps a point; NULL: w is all */
} vdi__decimal;

/* All digits of d as a big integer times 10^*exponent; what lies behind the 770th is told by one
 * more digit. */
VDI__FN void vdi__decimal_big(const vdi__decimal *d, vdi__big *b, int *exponent) {
    int taken = 0;
    bool more = false;
    *exponent = (int)d->exponent;
    vdi__big_set(b, d->w);
    if (!d->cut) return;
    b->count = 0;
    for (const char *s = d->digits; s < d->end; s++) {
        if (*s == '.' || (*s == '0' && taken == 0)) continue;
        if (taken >= 19) {
            if (taken >= VDI__BIG_DIGITS) {
                more = more || *s != '0';
                continue;
            }
            (*exponent)--;
        }
        vdi__big_muladd(b, 10, (uint32_t)(*s - '0'));
        taken++;
    }
    if (more) {
        vdi__big_muladd(b, 10, 1);
        (*exponent)--;
    }
}

/* The double nearest to d >= 0, as bits. */
VDI__FN uint64_t vdi__decimal_round(const vdi__decimal *d) {
    const uint64_t infinite = (uint64_t)0x7ff << 52, half = (uint64_t)1 << 63;
    if (d->w == 0) return 0;
    if (d->exponent > 310) return infinite; /* w >= 1 */
    if (d->exponent < -345) return 0;       /* w < 10^20 */
#if defined(FLT_EVAL_METHOD) && FLT_EVAL_METHOD == 0
    if (!d->cut && d->w <= (uint64_t)1 << 53 && d->exponent >= -22 && d->exponent <= 22) {
        /* both exact: one rounding */
        static const double power[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                         1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                         1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
        double x = (double)d->w;
        uint64_t bits;
        if (d->exponent < 0)
            x /= power[-d->exponent];
        else
            x *= power[d->exponent];
        memcpy(&bits, &x, sizeof bits);
        return bits;
    }
#endif
    vdi__wide v = vdi__wide_decimal(d->w, (int)d->exponent);
    int top = v.exponent + 127; /* 2^top <= the value, nearly */
    int keep = top >= -1022 ? 53 : top + 1075;
    if (top > 1023) return infinite;
    if (keep < -1) return 0;
    /* m: the bits kept; rest: the first 64 of those that are not; slack: how much more the rest may
     * be */
    uint64_t m = 0, rest = v.high, slack = d->cut ? (uint64_t)40 << VDI__MAX(keep, 0) : 2;
    bool tie;
    if (keep > 0) {
        m = v.high >> (64 - keep);
        rest = v.high << keep | v.low >> (64 - keep);
    }
    if (keep < 0) { /* half of what the first bit would tell */
        rest = v.high >> 1;
        slack = slack / 2 + 1;
    }
    tie = rest <= half && rest + slack >= half;
    bool up = rest > half;
    if (tie) {
        vdi__big b;
        int e;
        vdi__decimal_big(d, &b, &e);
        int order = vdi__big_compare(&b, e, 2 * m + 1, (keep == 53 ? top - 52 : -1074) - 1);
        up = order > 0 || (order == 0 && (m & 1));
    }
    /* the first bit of m adds the last 1 of the exponent */
    if (keep == 53) m += (uint64_t)(top + 1022) << 52;
    /* a carry runs on into the exponent, as it should */
    return m + up;
}

/* x = m 2^e, positive and finite, to n <= 17 significant digits: returns q with 10^(n-1) <= q <
 * 10^n, x ~ q 10^*exponent. */
VDI__FN uint64_t vdi__double_round(uint64_t m, int e, int n, int *exponent) {
    int k = vdi__log10_pow2(e + 63 - vdi__clz64(m)) - n + 1, shift = 0; /* or one more */
    vdi__wide v = VDI__ZERO;
    uint64_t q = 0, rest;
    for (int pass = 0; pass < 2; pass++, k++) {
        v = vdi__wide_decimal(m, -k);
        shift = 128 + v.exponent + e; /* bits of `high` before the point: 0 (just below 1) ... 61 */
        q = shift ? v.high >> (64 - shift) : 0;
        if (q < vdi__pow10[n]) break;
    }
    rest = shift ? v.high << shift | v.low >> (64 - shift) : v.high;
    bool up = rest > (uint64_t)1 << 63;
    if (!up && rest + 4 >= (uint64_t)1 << 63) { /* 4: more than the error can move the rest */
        vdi__big b;
        vdi__big_set(&b, 2 * q + 1);
        int order = vdi__big_compare(&b, k, m, e + 1);
        up = order < 0 || (order == 0 && (q & 1));
    }
    q += up;
    if (q >= vdi__pow10[n]) {
        q /= 10;
        k++;
    }
    *exponent = k;
    return q;
}

/* Lay out q 10^exponent as %g does with that precision. */
VDI__FN size_t vdi__text_decimal(char *buf, bool negative, uint64_t q, int exponent,
                                 int precision) {
    char digit[24];
    char *p = buf;
    int n = (int)vdi__text_unsigned(digit, q, 10), i;
    int x = exponent + n - 1; /* of the first digit */
    while (n > 1 && digit[n - 1] == '0')
        n--;
    if (negative) *p++ = '-';
    if (x < -4 || x >= precision) {
        *p++ = digit[0];
        if (n > 1) *p++ = '.';
        for (i = 1; i < n; i++)
            *p++ = digit[i];
        *p++ = 'e';
        *p++ = x < 0 ? '-' : '+';
        if (x < 0) x = -x;
        if (x < 10) *p++ = '0';
        p += vdi__text_unsigned(p, (unsigned)x, 10);
    } else {
        if (x < 0) {
            *p++ = '0';
            *p++ = '.';
        }
        for (i = -1; i > x; i--)
            *p++ = '0';
        for (i = 0; i < n; i++) {
            *p++ = digit[i];
            if (i == x && i + 1 < n) *p++ = '.';
        }
        for (; i <= x; i++)
            *p++ = '0';
    }
    *p = 0;
    return (size_t)(p - buf);
}

VDI__DEF size_t vdi_text_double(char *buf, double x, int digits) {
    uint64_t bits, q = 0;
    int k = 0;
    memcpy(&bits, &x, sizeof bits);
    bool negative = bits >> 63 != 0;
    int e = (int)(bits >> 52 & 0x7ff);
    uint64_t m = bits & (((uint64_t)1 << 52) - 1), magnitude = bits & ~((uint64_t)1 << 63);
    if (e == 0x7ff)
        return vdi_text_copy(buf, VDI_TEXT_NUMBER, m ? "nan" : (negative ? "-inf" : "inf"));
    int n = VDI__MIN(VDI__MAX(digits, 0), 17), precision = n ? n : 17;
    if (e)
        m |= (uint64_t)1 << 52;
    else
        e = 1;
    e -= 1075;
    if (m == 0) return vdi__text_decimal(buf, negative, 0, 0, precision);
    if (e <= 0 && e > -53 && (m & (((uint64_t)1 << -e) - 1)) == 0 &&
        (m >> -e) < vdi__pow10[n ? VDI__MIN(n, 15) : 15])
        return vdi__text_decimal(buf, negative, m >> -e, 0, precision); /* a whole number */
    if (n) {
        q = vdi__double_round(m, e, n, &k);
        return vdi__text_decimal(buf, negative, q, k, precision);
    }
    /* 15 digits name every double that has a name so short (but denormals are coarser), 17 name
       all. The nearest 16 digits may miss where doubles are denser below than above: then the next
       ones up may do. */
    for (n = m >> 52 ? 15 : 1; n < 17; n++) {
        vdi__decimal d = VDI__ZERO;
        q = vdi__double_round(m, e, n, &k);
        for (int next = 0; next < 2; next++) {
            d.w = q + (uint64_t)next;
            d.exponent = k;
            if (vdi__decimal_round(&d) == magnitude)
                return vdi__text_decimal(buf, negative, d.w, k, precision);
            if (m != (uint64_t)1 << 52) break;
        }
    }
    q = vdi__double_round(m, e, 17, &k);
    return vdi__text_decimal(buf, negative, q, k, precision);
}

/* Is the lower-case `word` at s[0..n), in any case? Its length, or 0. */
VDI__FN size_t vdi__text_word(const char *s, size_t n, const char *word) {
    size_t i = 0;
    for (; word[i]; i++)
        if (i >= n || (s[i] | 0x20) != word[i]) return 0;
    return i;
}

VDI__DEF size_t vdi_text_parse_double(const char *s, size_t n, double *out) {
    const char *p = s, *end = s + n;
    vdi__decimal d = VDI__ZERO;
    bool negative = false, point = false, any = false;
    int64_t taken = 0;
    uint64_t bits;
    if (p < end && (*p == '-' || *p == '+')) negative = *p++ == '-';
    d.digits = p;
    for (; p < end; p++) {
        unsigned c = (unsigned)(unsigned char)*p - '0';
        if (c <= 9) {
            any = true;
            if (taken < 19) {
                d.w = 10 * d.w + c;
                taken += d.w != 0;
                d.exponent -= point;
            } else {
                d.cut++;
                d.exponent += !point;
            }
        } else if (*p == '.' && !point) {
            point = true;
        } else {
            break;
        }
    }
    d.end = p;
    if (!any) {
        size_t left = (size_t)(end - d.digits), length = vdi__text_word(d.digits, left, "infinity");
        if (!length) length = vdi__text_word(d.digits, left, "inf");
        bits = (uint64_t)0x7ff << 52;
        if (!length) {
            length = vdi__text_word(d.digits, left, "nan");
            bits |= (uint64_t)1 << 51;
        }
        if (!length) return 0;
        p = d.digits + length;
    } else {
        if (p < end && (*p == 'e' || *p == 'E')) {
            const char *x = p + 1;
            int64_t value = 0;
            bool minus = false;
            if (x < end && (*x == '-' || *x == '+')) minus = *x++ == '-';
            if (x < end && *x >= '0' && *x <= '9') {
                for (; x < end && *x >= '0' && *x <= '9'; x++)
                    if (value < INT64_MAX / 100) value = 10 * value + (*x - '0');
                d.exponent += minus ? -value : value;
                p = x;
            }
        }
        bits = vdi__decimal_round(&d);
    }
    bits |= (uint64_t)negative << 63;
    memcpy(out, &bits, sizeof bits);
    return (size_t)(p - s);
}

/* Digits at s[0..n) as a number of at most `most`; the bytes taken, 0 if there is none or it is
 * larger. */
VDI__FN size_t vdi__text_digits(const char *s, size_t n, uint64_t most, uint64_t *out) {
    size_t i = 0;
    uint64_t x = 0;
    for (; i < n && s[i] >= '0' && s[i] <= '9'; i++) {
        const unsigned c = (unsigned)(s[i] - '0');
        if (c > most || x > (most - c) / 10) return 0;
        x = 10 * x + c;
    }
    if (i > 0) *out = x;
    return i;
}

VDI__DEF size_t vdi_text_parse_unsigned(const char *s, size_t n, uint64_t *out) {
    return vdi__text_digits(s, n, UINT64_MAX, out);
}

VDI__DEF size_t vdi_text_parse_int(const char *s, size_t n, int64_t *out) {
    const bool sign = n > 0 && (s[0] == '-' || s[0] == '+');
    const bool negative = sign && s[0] == '-';
    uint64_t x = 0;
    const size_t digits = vdi__text_digits(s + sign, n - sign, (uint64_t)INT64_MAX + negative, &x);
    if (digits == 0) return 0;
    *out = negative && x ? -(int64_t)(x - 1) - 1 : (int64_t)x;
    return sign + digits;
}

/* ---- UTF-8 ---------------------------------------------------------------------------------- */

/* Bytes of the well-formed sequence at s[0..n), or 0 (RFC 3629: no overlong forms, no surrogates,
   nothing above U+10FFFF). It never looks behind a zero byte. */
VDI__LINK size_t vdi__utf8_length(const char *text, size_t n) {
    const uint8_t *s = (const uint8_t *)text;
    size_t length = 0;
    if (n == 0) return 0;
    if (s[0] < 0x80) return 1;
    if (s[0] >= 0xC2 && s[0] < 0xE0) length = 2;
    if (s[0] >= 0xE0 && s[0] < 0xF0) length = 3;
    if (s[0] >= 0xF0 && s[0] < 0xF5) length = 4;
    if (length == 0 || length > n) return 0;
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xC0) != 0x80) return 0;
    }
    const bool overlong = (s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xF0 && s[1] < 0x90);
    const bool surrogate = s[0] == 0xED && s[1] > 0x9F;
    const bool beyond = s[0] == 0xF4 && s[1] > 0x8F;
    return overlong || surrogate || beyond ? 0 : length;
}

VDI__LINK bool vdi__utf8_valid(const char *text) {
    const size_t n = strlen(text);
    for (size_t i = 0, length; i < n; i += length) {
        length = vdi__utf8_length(text + i, n - i);
        if (length == 0) return false;
    }
    return true;
}

/* The character of a well-formed sequence of that length. */
VDI__LINK uint32_t vdi__utf8_get(const char *text, size_t length) {
    const uint8_t *s = (const uint8_t *)text;
    uint32_t c = length == 1 ? s[0] : s[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++)
        c = c << 6 | (s[i] & 63u);
    return c;
}

VDI__LINK size_t vdi__utf8_put(char *out, uint32_t c) {
    static const uint8_t lead[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    const size_t length = (size_t)1 + (c >= 0x80) + (c >= 0x800) + (c >= 0x10000);
    for (size_t i = length; i-- > 1; c >>= 6)
        out[i] = (char)(uint8_t)(0x80 | (c & 63));
    out[0] = (char)(uint8_t)(lead[length] | c);
    return length;
}
#endif
