/* io/figure_scale.h - from values to pixels: ranges, limits, ticks and what they say
 *
 * There is no public part.
 */
#ifndef VDI_IO_FIGURE_SCALE_H
#define VDI_IO_FIGURE_SCALE_H
#include "figure.h"
#include "stream.h"

#endif /* VDI_IO_FIGURE_SCALE_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_FIGURE_SCALE_C)
#define VDI_IO_FIGURE_SCALE_C

/* Element i of a 1-d view; x of a series: its own, or the panel's. Infinities are gaps. */
VDI__FN double vdi__at(vdi_tensor t, int64_t i) {
    double v = vdi_dtype_load(t.dtype, t.data, i * t.stride[0]);
    return v - v == 0 ? v : (double)NAN;
}
VDI__FN double vdi__at2(vdi_tensor t, int64_t i, int64_t k) {
    double v = vdi_dtype_load(t.dtype, t.data, i * t.stride[0] + k * t.stride[1]);
    return v - v == 0 ? v : (double)NAN;
}
VDI__FN double vdi__step(double d) { return d - d == 0 && d != 0 ? d : 1; }
VDI__FN double vdi__x_at(const vdi_panel *p, const vdi_series *s, int64_t i) {
    return s->x.data ? vdi__at(s->x, i) : p->x0 + (double)i * vdi__step(p->dx);
}

/* From values to pixels: pixel = origin + length * (f(v) - low) / (high - low), f the identity or
 * log10. */
typedef struct vdi__scale {
    double low, high, origin, length;
    bool log;
} vdi__scale;

/* NaN stays NaN. */
VDI__FN double vdi__within(double v, double most) {
    if (v > most) return most;
    return v < -most ? -most : v;
}

VDI__FN double vdi__to_pixel(const vdi__scale *s, double v) {
    if (s->log) v = v > 0 ? log10(v) : (double)NAN;
    /* far outside is outside: no overflow in the file */
    return vdi__within(s->origin + s->length * ((v - s->low) / (s->high - s->low)), 1e5);
}

/* The range of what has been shown to it. */
typedef struct vdi__range {
    double low, high;
    bool any, log;
} vdi__range;

VDI__FN void vdi__range_take(vdi__range *r, double v) {
    if (!(v - v == 0) || (r->log && v <= 0)) return;
    v = vdi__within(v, 1e300); /* so that high - low is finite */
    if (!r->any || v < r->low) r->low = v;
    if (!r->any || v > r->high) r->high = v;
    r->any = true;
}

/* Limits: those given, else the data's with a margin; never empty, whatever the data. */
VDI__FN void vdi__scale_set(vdi__scale *s, const vdi_axis *axis, vdi__range r, double margin_low,
                            double margin_high) {
    bool given = axis->has_limits && axis->low < axis->high && axis->high - axis->low < 1e308 &&
                 (!axis->log || axis->low > 0);
    s->log = axis->log;
    s->low = axis->log ? 1 : 0;
    s->high = axis->log ? 10 : 1;
    if (given || r.any) {
        s->low = given ? axis->low : r.low;
        s->high = given ? axis->high : r.high;
    }
    if (s->log) {
        s->low = log10(s->low);
        s->high = log10(s->high);
    }
    double size = VDI__MAX(fabs(s->low), fabs(s->high)), width = s->high - s->low;
    if (width <= 1e-10 * size || width < 1e-300) { /* constant data, in the middle */
        double half = size > 1e-290 ? 0.1 * size : 1;
        if (s->log) half = 0.5;
        s->low -= half;
        s->high += half;
    } else if (!given) {
        s->low -= margin_low * width;
        s->high += margin_high * width;
    }
}

#define VDI__TICKS 48

/* Where ticks stand and what they say. */
typedef struct vdi__ticks {
    int count;
    double value[VDI__TICKS];
    bool labelled[VDI__TICKS];
    double unit; /* labels are values / 10^power */
    int power, decimals;
    bool powers; /* labels are powers of ten */
} vdi__ticks;

/* 1, 2 or 5 times a power of ten, at most `most` steps in the range. */
VDI__FN double vdi__nice_step(double range, double most) {
    static const double nice[] = {1, 2, 5, 10};
    const double raw = range / VDI__MAX(most, 1), ten = pow(10, floor(log10(raw))), m = raw / ten;
    int i = 0;
    while (i < 3 && !(m <= nice[i] + 1e-7))
        i++;
    return ten * nice[i];
}

VDI__FN void vdi__tick_add(vdi__ticks *t, double value, bool labelled) {
    if (t->count == VDI__TICKS) return;
    t->value[t->count] = value;
    t->labelled[t->count++] = labelled;
}

VDI__FN void vdi__ticks_linear(vdi__ticks *t, double low, double high, double most, bool whole) {
    double step = vdi__nice_step(high - low, most), size = VDI__MAX(fabs(low), fabs(high));
    if (whole && step < 1) step = 1;
    memset(t, 0, sizeof *t);
    t->unit = 1;
    /* at the ends of double: an axis without numbers */
    if (!(step > 1e-290 && size < 1e305)) return;
    for (double k = ceil(low / step - 1e-6);
         k <= floor(high / step + 1e-6) && t->count < VDI__TICKS; k++)
        vdi__tick_add(t, k * step, true);
    if (size >= 1e5 || size < 1e-3) t->power = 3 * (int)floor(log10(size) / 3 + 1e-9);
    t->unit = pow(10, t->power);
    t->decimals = VDI__MIN(VDI__MAX(0, (int)-floor(log10(step / t->unit) + 1e-6)), 12);
}

VDI__FN void vdi__ticks_log(vdi__ticks *t, double low, double high, double most) {
    double first = VDI__MAX(ceil(low - 1e-6), -300), last = VDI__MIN(floor(high + 1e-6), 300);
    memset(t, 0, sizeof *t);
    t->unit = 1;
    if (last - first < 1 && high - low < 1) { /* within a decade: round numbers of a linear axis */
        vdi__ticks_linear(t, pow(10, low), pow(10, high), most, false);
        return;
    }
    double every = ceil((last - first + 1) / VDI__MAX(most, 1)); /* decades from label to label */
    bool minor = last - first <= 5;
    t->powers = first < -3 || last > 4;
    t->decimals = (int)VDI__MAX(0, -first);
    for (double k = first - 1; k <= last && t->count < VDI__TICKS; k++) {
        for (int m = 1; m <= (minor ? 9 : 1); m++) {
            double at = k + log10(m);
            if (at >= low - 1e-6 && at <= high + 1e-6)
                vdi__tick_add(t, m * pow(10, k), m == 1 && fmod(k - first, every) == 0);
        }
    }
}

/* A number with `decimals` digits behind the point and a true minus sign. Returns its length. */
VDI__FN size_t vdi__fixed(char *buf, double v, int decimals) {
    static const double ten[13] = {1,   1e1, 1e2, 1e3,  1e4,  1e5, 1e6,
                                   1e7, 1e8, 1e9, 1e10, 1e11, 1e12};
    double scaled = floor(fabs(v) * ten[decimals] + 0.5);
    char digits[VDI_TEXT_NUMBER];
    size_t n = 0, k;
    if (!(scaled < 9e15)) return vdi_text_double(buf, v, 6);
    k = vdi_text_format(digits, sizeof digits, "%lld", (long long)scaled);
    if (v < 0 && scaled > 0) n = vdi_text_copy(buf, 8, "\xE2\x88\x92");
    for (size_t pad = k; pad <= (size_t)decimals; pad++) {
        buf[n++] = '0';
        if (pad == k && decimals) buf[n++] = '.';
    }
    for (size_t i = 0; i < k; i++) {
        if (k > (size_t)decimals && i == k - (size_t)decimals && decimals) buf[n++] = '.';
        buf[n++] = digits[i];
    }
    buf[n] = 0;
    return n;
}

/* "10" with a raised exponent. */
VDI__FN size_t vdi__power_text(char *buf, size_t cap, int power) {
    static const char *const raised[10] = {
        "\xE2\x81\xB0", "\xC2\xB9",     "\xC2\xB2",     "\xC2\xB3",     "\xE2\x81\xB4",
        "\xE2\x81\xB5", "\xE2\x81\xB6", "\xE2\x81\xB7", "\xE2\x81\xB8", "\xE2\x81\xB9"};
    char digits[VDI_TEXT_NUMBER];
    size_t n = vdi_text_copy(buf, cap, power < 0 ? "10\xE2\x81\xBB" : "10");
    size_t k = vdi_text_format(digits, sizeof digits, "%d", abs(power));
    for (size_t i = 0; i < k; i++)
        n += vdi_text_copy(buf + n, cap - n, raised[digits[i] - '0']);
    return n;
}

VDI__FN void vdi__tick_text(const vdi__ticks *t, int i, char buf[48]) {
    if (t->powers)
        (void)vdi__power_text(buf, 48, (int)floor(log10(t->value[i]) + 0.5));
    else if (t->unit == 1 && t->value[i] != 0 && fabs(t->value[i]) < 1 && t->decimals > 3)
        (void)vdi_text_double(buf, t->value[i], 3);
    else
        (void)vdi__fixed(buf, t->value[i] / t->unit, t->decimals);
}
#endif
