/* io/color.h - colours for figures: categories that a colour-blind reader tells apart, and scales
 * of even lightness
 *
 * Do this (it compiles):
 *     vdi_rgb c = vdi_color_category(0);           blue, {0, 114, 178}
 *     vdi_rgb half = vdi_color_sequential(0.5);    between pale yellow (0) and dark violet (1)
 *     vdi_rgb below = vdi_color_diverging(-0.5);   blue below zero, white at zero, red above
 *     printf("%d %d %d\n", c.r, half.g, below.b);
 *
 * Categories: M. Okabe and K. Ito, "Color Universal Design" (2008), without its yellow, which is
 * too pale for a thin line.
 * Scales: straight lines in the lightness of OKLab (B. Ottosson, "A perceptual color space for
 * image processing", 2020), so that equal steps of the value look equal, also printed in grey. No
 * memory, no errors.
 */
#ifndef VDI_IO_COLOR_H
#define VDI_IO_COLOR_H
#include "../core/config.h"

/** A colour in sRGB. */
typedef struct vdi_rgb {
    uint8_t r, g, b; /**< red, green, blue, 0 to 255 */
} vdi_rgb;

/** How many category colours there are before they repeat. */
#define VDI_COLOR_CATEGORIES 6

/** Colour of category i: blue, vermilion, green, purple, orange, sky blue, and again. */
VDI_API vdi_rgb vdi_color_category(int i);
/** Scale for values that begin somewhere: t = 0 (pale yellow) to 1 (dark violet). L = 0.97 - 0.74
 * t, chroma = 0.03 + 0.28 t (1 - t),
 *  hue = 110 + 190 t degrees: every step is equally long in OKLab, to 3 %. t outside of [0,1] is
 *  clamped, NaN is 0. */
VDI_API vdi_rgb vdi_color_sequential(double t);
/** Scale for values about zero: t = -1 to 1. L = 0.97 - 0.50 |t|, chroma = 0.16 |t|, hue 250
 * degrees below zero and 40 above. */
VDI_API vdi_rgb vdi_color_diverging(double t);
/** A colour by its OKLab lightness (0 to 1), chroma and hue in degrees; chroma is lowered until
 * sRGB has it. */
VDI_API vdi_rgb vdi_color_oklch(double lightness, double chroma, double hue);

#endif /* VDI_IO_COLOR_H */

#if defined(VDI__BODIES) && defined(VDI_IO_IMPLEMENTATION) && !defined(VDI_IO_COLOR_C)
#define VDI_IO_COLOR_C

VDI__DEF vdi_rgb vdi_color_category(int i) {
    static const uint8_t palette[VDI_COLOR_CATEGORIES][3] = {
        {0, 114, 178}, {213, 94, 0}, {0, 158, 115}, {204, 121, 167}, {230, 159, 0}, {86, 180, 233}};
    const uint8_t *p =
        palette[(i % VDI_COLOR_CATEGORIES + VDI_COLOR_CATEGORIES) % VDI_COLOR_CATEGORIES];
    vdi_rgb c;
    c.r = p[0];
    c.g = p[1];
    c.b = p[2];
    return c;
}

/* Linear light to a byte (IEC 61966-2-1). */
VDI__FN uint8_t vdi__srgb_byte(double x) {
    double y = x <= 0.0031308 ? 12.92 * x : 1.055 * pow(x, 1 / 2.4) - 0.055;
    return (uint8_t)floor(255 * VDI__MIN(VDI__MAX(y, 0), 1) + 0.5);
}

VDI__DEF vdi_rgb vdi_color_oklch(double lightness, double chroma, double hue) {
    vdi_rgb c;
    double r = 0;
    double g = 0;
    double b = 0;
    double angle = hue * VDI_PI / 180;
    for (int i = 0; i < 40; i++, chroma *= 0.95) {
        double p = chroma * cos(angle), q = chroma * sin(angle);
        double l = lightness + 0.3963377774 * p + 0.2158037573 * q;
        double m = lightness - 0.1055613458 * p - 0.0638541728 * q;
        double s = lightness - 0.0894841775 * p - 1.2914855480 * q;
        l = l * l * l;
        m = m * m * m;
        s = s * s * s;
        r = 4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s;
        g = -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s;
        b = -0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s;
        if (r > -1e-3 && g > -1e-3 && b > -1e-3 && r < 1.001 && g < 1.001 && b < 1.001) break;
    }
    c.r = vdi__srgb_byte(r);
    c.g = vdi__srgb_byte(g);
    c.b = vdi__srgb_byte(b);
    return c;
}

VDI__DEF vdi_rgb vdi_color_sequential(double t) {
    t = t > 0 ? VDI__MIN(t, 1) : 0; /* NaN, too */
    return vdi_color_oklch(0.97 - 0.74 * t, 0.03 + 0.28 * t * (1 - t), 110 + 190 * t);
}

VDI__DEF vdi_rgb vdi_color_diverging(double t) {
    const double size = t == t ? VDI__MIN(fabs(t), 1) : 0;
    return vdi_color_oklch(0.97 - 0.50 * size, 0.16 * size, t < 0 ? 250 : 40);
}
#endif
