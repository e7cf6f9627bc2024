/* core/text: numbers to text and back, held against the C library, and the small printf */
#include "check.h"

#include <stdarg.h>

static double of_bits(uint64_t bits) {
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static uint64_t bits_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}
static uint64_t next_bits(unsigned long long *state) {
    uint64_t hi = (uint64_t)(test_uniform(state) * 4294967296.0);
    uint64_t lo = (uint64_t)(test_uniform(state) * 4294967296.0);
    return hi << 32 | lo;
}
/* Doubles of every kind: any bits, denormals, near powers of two, short decimals, whole numbers. */
static double some_double(unsigned long long *state, long i) {
    uint64_t bits = next_bits(state);
    switch (i % 7) {
    case 0: return of_bits(bits & ~(UINT64_C(0x7ff) << 52)); /* denormal */
    case 1: return of_bits(bits & UINT64_C(0xfff) << 52) + 0.0;
    case 2: return of_bits((bits & UINT64_C(0xfff) << 52) - 1);
    case 3: return (double)(int64_t)(bits >> 20) / 1000.0;
    case 4: return (double)(bits >> (bits % 60)) * 0.5;
    default: return of_bits(bits);
    }
}

TEST(text, double_against_printf) {
    unsigned long long state = 88172645463325252ULL;
    long bad = 0;
    for (long i = 0; i < (long)test_scaled(400000) && bad < 5; i++) {
        char mine[VDI_TEXT_NUMBER], theirs[64];
        double x = some_double(&state, i);
        int digits = 1 + (int)(i / 7 % 17);
        if (x != x) continue;
        size_t n = vdi_text_double(mine, x, digits);
        snprintf(theirs, sizeof theirs, "%.*g", digits, x);
        bool same = strcmp(mine, theirs) == 0 && n == strlen(mine);
        bad += !same;
        CHECK(same, "%d digits: %s, not %s", digits, mine, theirs);
    }
    /* ties: a multiple of a small power of two, cut just there */
    for (long i = 0; i < (long)test_scaled(100000) && bad < 5; i++) {
        char mine[VDI_TEXT_NUMBER], theirs[64];
        double x = (2 * (double)(i * 97 % 8191) + 1) / (double)(1 << (i % 11 + 1));
        for (int digits = 1; digits <= 17; digits++) {
            vdi_text_double(mine, -x, digits);
            snprintf(theirs, sizeof theirs, "%.*g", digits, -x);
            bad += strcmp(mine, theirs) != 0;
            CHECK(strcmp(mine, theirs) == 0, "%d digits: %s, not %s", digits, mine, theirs);
        }
    }
}

/* mingw's strtod takes these two for one number; they are neighbours. */
static bool strtod_is_exact(void) {
    return strtod("6.150157786156811e+259", NULL) != strtod("6.15015778615681e+259", NULL);
}

TEST(text, double_shortest) {
    if (!strtod_is_exact()) SKIP("strtod of this C library is off in the last place");
    unsigned long long state = 1234567ULL;
    long bad = 0;
    for (long i = 0; i < (long)test_scaled(300000) && bad < 5; i++) {
        char mine[VDI_TEXT_NUMBER], shorter[64];
        double x = some_double(&state, i);
        if (x != x) continue;
        vdi_text_double(mine, x, 0);
        if (bits_of(strtod(mine, NULL)) != bits_of(x)) {
            bad++;
            CHECK(false, "%s is not %.17g", mine, x);
        }
        if (x - x != 0) continue;
        /* no text with one digit fewer, rounded up or down, may read back */
        int digits = 0;
        for (const char *p = mine; *p && *p != 'e'; p++)
            digits += *p >= '0' && *p <= '9' && (digits || *p != '0');
        if (!strchr(mine, '.') && !strchr(mine, 'e')) {
            for (const char *p = mine + strlen(mine); p > mine && p[-1] == '0'; p--)
                digits--;
        }
        if (digits < 2) continue;
        snprintf(shorter, sizeof shorter, "%.*e", digits - 2, x);
        if (strtod(shorter, NULL) == x) {
            bad++;
            CHECK(false, "%s is not the shortest: %s", mine, shorter);
        }
    }
}

TEST(text, double_known) {
    static const struct {
        double x;
        int digits;
        const char *text;
    } known[] = {{0.1, 0, "0.1"},
                 {0.0, 0, "0"},
                 {-0.0, 0, "-0"},
                 {5e-324, 0, "5e-324"},
                 {1e23, 0, "1e+23"},
                 {9007199254740993.0, 0, "9007199254740992"},
                 {5.684341886080802e-14, 0, "5.684341886080802e-14"},
                 {1e16, 0, "10000000000000000"},
                 {1e17, 0, "1e+17"},
                 {0.0001, 0, "0.0001"},
                 {0.00001, 0, "1e-05"},
                 {1.7976931348623157e308, 0, "1.7976931348623157e+308"},
                 {2.2250738585072014e-308, 0, "2.2250738585072014e-308"},
                 {100, 1, "1e+02"},
                 {2.5, 1, "2"},
                 {3.5, 1, "4"},
                 {999999.5, 6, "1e+06"},
                 {123456, 6, "123456"},
                 {1e22, 1, "1e+22"},
                 {1e22, 17, "1e+22"},
                 {HUGE_VAL, 3, "inf"},
                 {-HUGE_VAL, 0, "-inf"}};
    for (size_t i = 0; i < VDI__COUNT(known); i++) {
        char mine[VDI_TEXT_NUMBER];
        vdi_text_double(mine, known[i].x, known[i].digits);
        CHECK(strcmp(mine, known[i].text) == 0, "%s, not %s", mine, known[i].text);
    }
    char mine[VDI_TEXT_NUMBER];
    vdi_text_double(mine, NAN, 5);
    CHECK(strcmp(mine, "nan") == 0, "%s", mine);
}

static void check_read(const char *s, long *bad) {
    double mine = -7, theirs = strtod(s, NULL);
    size_t n = strlen(s), took = vdi_text_parse_double(s, n, &mine);
    if (took == n && bits_of(mine) == bits_of(theirs)) return;
    ++*bad;
    CHECK(false, "%.60s... read %zu of %zu bytes as %.17g, not %.17g", s, took, n, mine, theirs);
}

/* Halfway between a number and the next, exactly, a digit below and a digit above. Long double
 * holds the halfway point of doubles that are not denormal; its exact digits come from printf. */
static void check_halfway(double x, long *bad) {
    char s[1600];
    const long double half = ((long double)x + (long double)of_bits(bits_of(x) + 1)) / 2;
    int length = snprintf(s, sizeof s - 2, "%.1100Lf", half);
    check_read(s, bad);
    if (length > 0 && (size_t)length < sizeof s - 2) {
        strcpy(s + length, "1");
        check_read(s, bad);
    }
    snprintf(s, sizeof s, "%.780Le", half);
    char *last = strchr(s, 'e');
    while (last > s && last[-1] == '0')
        last--;
    if (last > s && last[-1] >= '1' && last[-1] <= '9') {
        last[-1]--;
        check_read(s, bad);
    }
}

TEST(text, parse_against_strtod) {
    if (!strtod_is_exact()) SKIP("strtod of this C library is off in the last place");
    unsigned long long state = 42ULL;
    long bad = 0;
    char s[1600];
    for (long i = 0; i < (long)test_scaled(300000) && bad < 5; i++) {
        /* what printf writes, with more or fewer digits than needed */
        double x = some_double(&state, i);
        if (x != x) continue;
        snprintf(s, sizeof s, "%.*e", (int)(i % 40), x);
        check_read(s, &bad);
    }
    for (long i = 0; i < (long)test_scaled(100000) && bad < 5; i++) { /* any digits, any exponent */
        int length = snprintf(s, sizeof s, "%llu%llu.%llue%d",
                              (unsigned long long)next_bits(&state) >> (i % 50),
                              (unsigned long long)(i % 10), (unsigned long long)next_bits(&state),
                              (int)(i % 720) - 380);
        CHECK(length > 0);
        check_read(s, &bad);
    }
    for (long i = 0; i < (long)test_scaled(20000) && bad < 5; i++) {
        double x = fabs(some_double(&state, i));
        if (x < 1e308) check_halfway(x, &bad);
    }
}

TEST(text, parse_odd_numbers) {
    long bad = 0;
    char s[1600];
    static const char *const odd[] = {
        "0",
        "-0",
        "+1",
        ".5",
        "5.",
        "00012",
        "1e400",
        "-1e400",
        "1e-400",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1.7976931348623158e308",
        "1.797693134862315807e308",
        "1.7976931348623159e308",
        "9007199254740993",
        "9007199254740993.0000000000000000000000000000001",
        "0e999999999999999999999",
        "1e-999999999999999999999",
        "0.000000000000000000000000000000000000000000000000000000000000000001e66",
        "123456789012345678901234567890",
        "inf",
        "-Infinity",
        "INF",
        "8.5e-1",
        "1E5",
        "1e+5"};
    for (size_t i = 0; i < VDI__COUNT(odd); i++)
        check_read(odd[i], &bad);
    /* a thousand zeros, and a one so far behind a tie that no fixed buffer holds it */
    memset(s, '0', sizeof s);
    strcpy(s + 1000, "1e1000");
    check_read(s, &bad);
    memset(s, '0', sizeof s);
    memcpy(s, "9007199254740993.", 17);
    strcpy(s + 1500, "1");
    check_read(s, &bad);
    s[1500] = '0';
    check_read(s, &bad);
}

TEST(text, parse_takes_only_numbers) {
    static const struct {
        const char *s;
        size_t took;
        double x;
    } rows[] = {{"", 0, 0},    {"-", 0, 0},      {".", 0, 0},    {"e5", 0, 0},
                {" 1", 0, 0},  {"1e", 1, 1},     {"1e+", 1, 1},  {"1.5.2", 3, 1.5},
                {"1,5", 1, 1}, {"12abc", 2, 12}, {"0x10", 1, 0}, {"infinit", 3, HUGE_VAL},
                {"in", 0, 0},  {"--1", 0, 0},    {"-.e1", 0, 0}, {"1_0", 1, 1}};
    for (size_t i = 0; i < VDI__COUNT(rows); i++) {
        double x = -3;
        size_t took = vdi_text_parse_double(rows[i].s, strlen(rows[i].s), &x);
        CHECK(took == rows[i].took, "\"%s\": %zu bytes", rows[i].s, took);
        CHECK(x == (took ? rows[i].x : -3), "\"%s\" is %g", rows[i].s, x);
    }
    double x = 0;
    CHECK(vdi_text_parse_double("12345", 2, &x) == 2 && x == 12, "the length was passed over");
    CHECK(vdi_text_parse_double("1e55", 3, &x) == 3 && x == 1e5, "the length was passed over");
    CHECK(vdi_text_parse_double("NaN", 3, &x) == 3 && x != x, "no NaN");
    static const struct {
        const char *s;
        size_t took;
        int64_t x;
    } whole[] = {{"9223372036854775807", 19, INT64_MAX},
                 {"-9223372036854775808", 20, INT64_MIN},
                 {"9223372036854775808", 0, 0},
                 {"-9223372036854775809", 0, 0},
                 {"99999999999999999999", 0, 0},
                 {"+7", 2, 7},
                 {"-0", 2, 0},
                 {"", 0, 0},
                 {"-", 0, 0},
                 {"12.5", 2, 12},
                 {"x", 0, 0},
                 {"007", 3, 7}};
    for (size_t i = 0; i < VDI__COUNT(whole); i++) {
        int64_t y = 0;
        size_t took = vdi_text_parse_int(whole[i].s, strlen(whole[i].s), &y);
        CHECK(took == whole[i].took && y == whole[i].x, "\"%s\": %zu bytes, %lld", whole[i].s, took,
              (long long)y);
    }
}

TEST(text, parse_unsigned) {
    static const struct {
        const char *s;
        size_t took;
        uint64_t x;
    } rows[] = {{"18446744073709551615", 20, UINT64_MAX},
                {"18446744073709551616", 0, 3},
                {"184467440737095516150", 0, 3},
                {"0", 1, 0},
                {"12x", 2, 12},
                {"-1", 0, 3},
                {"+1", 0, 3},
                {"", 0, 3}};
    for (size_t i = 0; i < VDI__COUNT(rows); i++) {
        uint64_t x = 3;
        const size_t took = vdi_text_parse_unsigned(rows[i].s, strlen(rows[i].s), &x);
        CHECK(took == rows[i].took && x == rows[i].x, "\"%s\": %zu bytes, %llu", rows[i].s, took,
              (unsigned long long)x);
    }
    uint64_t x = 0;
    CHECK(vdi_text_parse_unsigned("12345", 2, &x) == 2 && x == 12, "the length was passed over");
}

TEST(text, format) {
    char b[96];
    size_t n = vdi_text_format(b, sizeof b, "%s %d %u %c %x %ld %lu %lld %llu %zu %g %.3g %%", "W",
                               -5, 6u, 'z', 0xabcu, -7L, 8uL, INT64_C(-9) - 0LL, 10ULL,
                               sizeof(char), 0.25, 3.14159);
    CHECK(strcmp(b, "W -5 6 z abc -7 8 -9 10 1 0.25 3.14 %") == 0 && n == strlen(b), "%s", b);
    vdi_text_format(b, sizeof b, "%d %lld %u", INT_MIN, (long long)INT64_MIN, UINT_MAX);
    CHECK(strcmp(b, "-2147483648 -9223372036854775808 4294967295") == 0, "%s", b);
    for (size_t cap = 0; cap < 12; cap++) { /* never a byte beyond, always terminated */
        memset(b, '#', sizeof b);
        n = vdi_text_format(b, cap, "%s%d", "abcdef", 1234);
        CHECK(cap ? n == VDI__MIN(cap - 1, 10) && b[n] == 0 : n == 0 && b[0] == '#',
              "cap %zu gave %zu", cap, n);
        CHECK(b[cap] == '#' || cap == 0, "wrote beyond %zu", cap);
    }
    CHECK(vdi_text_copy(b, 4, "abcdef") == 3 && strcmp(b, "abc") == 0 &&
              vdi_text_copy(b, 4, NULL) == 0 && b[0] == 0,
          "copy");
}

static size_t format_by_list(char *buf, size_t cap, const char *format, ...) {
    va_list args;
    va_start(args, format);
    const size_t n = vdi_text_vformat(buf, cap, format, args);
    va_end(args);
    return n;
}
TEST(text, format_by_a_list) {
    char b[32];
    const size_t n = format_by_list(b, sizeof b, "%s has %d of %g", "W", 3, 0.1);
    CHECK(n == 14 && strcmp(b, "W has 3 of 0.1") == 0, "%zu: %s", n, b);
}
