/* core/text.h - numbers and sentences as text, without stdio and without the locale
 *
 * Do this:
 *     char b[64];
 *     vdi_text_format(b, sizeof b, "W is (%d,%d)", 64, 3);
 *
 * Files and messages must read the same wherever the host program has set its locale, and the core may not need
 * <stdio.h>; so the few formats that vdi uses are written here.
 */
#ifndef VDI_CORE_TEXT_H
#define VDI_CORE_TEXT_H
#include "config.h"

/** printf into `buf` of `cap` bytes, always terminated; returns the length written (cut at cap - 1).
 *  Knows %s %c %d %u %ld %lu %lld %llu %zu %x %g %%; no flags, no width; %.Ng takes N significant digits. */
VDI_API size_t vdi_text_format(char *buf, size_t cap, const char *format, ...) VDI__PRINTF(3, 4);
/** As vdi_text_format, with an argument list. */
VDI_API size_t vdi_text_vformat(char *buf, size_t cap, const char *format, va_list args);
/** Copy a string, cut to fit and terminated; returns the length written. */
VDI_API size_t vdi_text_copy(char *buf, size_t cap, const char *s);

/** Room that any number needs. */
#define VDI_TEXT_NUMBER 40
/** Write `x` with `digits` significant digits (1 to 17), correctly rounded; 0 gives the shortest text that reads back
 *  to the same double. NaN is "nan", infinities "inf" and "-inf". Returns the length. `buf` holds VDI_TEXT_NUMBER bytes. */
VDI_API size_t vdi_text_double(char *buf, double x, int digits);
/** Read a decimal number at s[0..n), correctly rounded; returns how many bytes it took, 0 if there is no number.
 *  Takes an optional sign, digits, point, exponent, and nan, inf, infinity in any case. */
VDI_API size_t vdi_text_parse_double(const char *s, size_t n, double *out);
/** Read a decimal integer at s[0..n); returns the bytes taken, 0 if there is none or it does not fit. */
VDI_API size_t vdi_text_parse_int(const char *s, size_t n, int64_t *out);

#endif /* VDI_CORE_TEXT_H */

#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_TEXT_C)
#define VDI_CORE_TEXT_C

VDI__DEF size_t vdi_text_copy(char *buf, size_t cap, const char *s) {
    size_t n = 0;
    if (!cap) return 0;
    for (; s && s[n] && n + 1 < cap; n++) buf[n] = s[n];
    buf[n] = 0;
    return n;
}

VDI__FN size_t vdi__text_unsigned(char *buf, unsigned long long x, unsigned base) {
    char r[24];
    size_t n = 0, i;
    do r[n++] = "0123456789abcdef"[x % base];
    while (x /= base);
    for (i = 0; i < n; i++) buf[i] = r[n - 1 - i];
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
        if (*format == '.')
            for (digits = 0, format++; *format >= '0' && *format <= '9'; format++) digits = 10 * digits + (*format - '0');
        for (; *format == 'l' || *format == 'z'; format++) longs += *format == 'z' ? 3 : 1;
        switch (*format) {
        case 's': piece = va_arg(args, const char *); break;
        case 'c': number[0] = (char)va_arg(args, int), number[1] = 0; break;
        case 'd': {
            long long x = longs == 0 ? va_arg(args, int) : longs == 1 ? va_arg(args, long) : va_arg(args, long long);
            number[0] = '-';
            (void)vdi__text_unsigned(number + (x < 0), x < 0 ? 0ULL - (unsigned long long)x : (unsigned long long)x, 10);
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
        default: number[0] = *format, number[1] = 0; break;
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

VDI__DEF size_t vdi_text_double(char *buf, double x, int digits) {
    /* replaced by the exact version */
    (void)digits;
    return vdi__text_unsigned(buf, (unsigned long long)(x < 0 ? -x : x), 10);
}
#endif
