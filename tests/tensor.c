/* core/tensor: shapes, views and casts, held against index arithmetic written out */
#include "check.h"

/* The most elements of a tensor: sixteenths of what an int64_t and a size_t can count. */
#define MOST ((int64_t)((uint64_t)INT64_MAX < SIZE_MAX ? INT64_MAX / 16 : (int64_t)(SIZE_MAX / 16)))

static double data[720];

/* Visit every index of t; calls see(t, index) for each. Returns how many. */
static int64_t visit(vdi_tensor t, void (*see)(vdi_tensor, const int64_t *, void *), void *user) {
    int64_t index[VDI_MAX_DIMS] = {0}, n = 0;
    if (vdi_tensor_count(t) == 0) return 0;
    for (;;) {
        if (see) see(t, index, user);
        n++;
        int k = t.ndim - 1;
        while (k >= 0 && ++index[k] == t.shape[k])
            index[k--] = 0;
        if (k < 0) return n;
    }
}
static int64_t at(vdi_tensor t, const int64_t *index) {
    /* where an element is, as its value tells */
    return (int64_t)vdi_tensor_get(t, index);
}
static vdi_tensor counted(int ndim, const int64_t *shape) {
    for (int i = 0; i < 720; i++)
        data[i] = i;
    return vdi_tensor_view(data, VDI_F64, ndim, shape);
}

static void row_major(vdi_tensor t, const int64_t *index, void *user) {
    int64_t flat = 0;
    for (int k = 0; k < t.ndim; k++)
        flat = flat * t.shape[k] + index[k];
    *(int64_t *)user += at(t, index) != flat;
}

TEST(tensor, shapes) {
    static const int64_t shape[6] = {2, 3, 4, 5, 1, 6};
    char text[VDI_SHAPE_TEXT];
    int64_t wrong = 0;
    for (int ndim = 0; ndim <= 6; ndim++) {
        vdi_tensor t = counted(ndim, shape);
        int64_t n = 1;
        for (int i = 0; i < ndim; i++)
            n *= shape[i];
        CHECK(vdi_tensor_ok(t) && vdi_tensor_count(t) == n &&
                  vdi_tensor_bytes(t) == (size_t)n * 8 && vdi_tensor_is_contiguous(t),
              "ndim %d", ndim);
        CHECK(visit(t, row_major, &wrong) == n && wrong == 0, "ndim %d: %lld elements elsewhere",
              ndim, (long long)wrong);
    }
    CHECK(strcmp(vdi_tensor_shape_text(counted(0, NULL), text), "()") == 0, "%s", text);
    CHECK(strcmp(vdi_tensor_shape_text(counted(1, shape), text), "(2,)") == 0, "%s", text);
    CHECK(strcmp(vdi_tensor_shape_text(counted(3, shape), text), "(2,3,4)") == 0, "%s", text);
    vdi_tensor t4 = vdi_tensor_4d(data, VDI_F32, 2, 3, 4, 5), t1 = vdi_tensor_1d(data, VDI_F32, 7);
    CHECK(t4.ndim == 4 && t4.shape[3] == 5 && t4.stride[0] == 60 && vdi_tensor_bytes(t4) == 480 &&
          t1.shape[0] == 7);
    CHECK(vdi_tensor_3d(data, VDI_U8, 2, 3, 4).stride[0] == 12 &&
          vdi_tensor_2d(data, VDI_U8, 2, 3).stride[0] == 3);
    CHECK(vdi_tensor_same_shape(t4, vdi_tensor_4d(NULL, VDI_F64, 2, 3, 4, 5)) &&
          !vdi_tensor_same_shape(t4, t1));

    /* the longest text of a shape fits */
    int64_t widest[6] = {1, 1, 1, 1, 1, MOST};
    vdi_tensor wide = vdi_tensor_view(NULL, VDI_U8, 6, widest);
    for (int i = 0; i < 6; i++)
        wide.shape[i] = INT64_MIN;
    CHECK(strlen(vdi_tensor_shape_text(wide, text)) == 6 * 20 + 7, "%s", text);
}

TEST(tensor, impossible_shapes) {
    static const int64_t shape[6] = {2, 3, 4, 5, 1, 6};
    int64_t negative[2] = {3, -1};
    int64_t large[3] = {INT64_MAX / 4, 2, 2};
    int64_t over[2] = {MOST + 1, 1};
    int64_t edge[1] = {MOST};
    int64_t none[3] = {3, 0, 4};
    int64_t hollow[3] = {INT64_MAX, 0, INT64_MAX}; /* empty, but its strides would overflow */
    CHECK(!vdi_tensor_ok(vdi_tensor_view(data, VDI_F64, 2, negative)) &&
          !vdi_tensor_ok(vdi_tensor_view(data, VDI_F64, 3, large)));
    CHECK(!vdi_tensor_ok(vdi_tensor_view(data, VDI_U8, 2, over)) &&
          vdi_tensor_ok(vdi_tensor_view(data, VDI_U8, 1, edge)));
    CHECK(!vdi_tensor_ok(vdi_tensor_view(data, VDI_F64, 7, shape)) &&
          !vdi_tensor_ok(vdi_tensor_view(data, VDI_F64, -1, shape)));
    vdi_tensor empty = vdi_tensor_view(NULL, VDI_F64, 3, none);
    CHECK(vdi_tensor_ok(empty) && vdi_tensor_count(empty) == 0 && vdi_tensor_bytes(empty) == 0 &&
          vdi_tensor_is_contiguous(empty));
    CHECK(!vdi_tensor_ok(vdi_tensor_view(NULL, VDI_F64, 3, hollow)));
}

TEST(tensor, allocation) {
    static const int64_t shape[3] = {2, 3, 4}, none[3] = {3, 0, 4}, negative[2] = {3, -1};
    static const int64_t edge[1] = {MOST};
    test_allocator poor = {0, 1, 0, 1};
    vdi_allocator a = test_allocator_of(&poor);
    vdi_tensor t;
    vdi_error err = VDI__ZERO;
    CHECK_FAILS(vdi_tensor_alloc(NULL, VDI_F64, 2, negative, &t, &err), VDI_ERR_SHAPE);
    CHECK(!vdi_tensor_ok(t));
    CHECK_FAILS(vdi_tensor_alloc(&a, VDI_F64, 1, edge, &t, &err), VDI_ERR_MEMORY);
    vdi_tensor_free(NULL, &t);
    CHECK_FAILS(vdi_tensor_alloc(NULL, (vdi_dtype)99, 1, shape, &t, &err), VDI_ERR_DTYPE);
    /* an empty tensor may be had, and given back */
    CHECK_OK(vdi_tensor_alloc(NULL, VDI_F64, 3, none, &t, &err), err);
    vdi_tensor_free(NULL, &t);
    vdi_arena arena;
    vdi_arena_init(&arena, &a, 0);
    CHECK(!vdi_tensor_ok(vdi_arena_tensor(&arena, VDI_F64, 1, edge)),
          "an arena without memory gave a tensor");
    poor.fail_at = 0;
    t = vdi_arena_tensor(&arena, VDI_I16, 3, shape);
    CHECK(vdi_tensor_ok(t) && vdi_tensor_count(t) == 24 &&
          !vdi_tensor_ok(vdi_arena_tensor(&arena, VDI_F64, 2, negative)));
    vdi_arena_free(&arena);
}

TEST(tensor, types) {
    for (int d = 0; d < VDI_DTYPE_COUNT; d++) {
        CHECK(vdi_dtype_size((vdi_dtype)d) > 0 && vdi_dtype_name((vdi_dtype)d)[0] != '?',
              "dtype %d", d);
    }
    CHECK(vdi_dtype_size((vdi_dtype)99) == 0 && vdi_dtype_name((vdi_dtype)99)[0] == '?' &&
          vdi_dtype_size((vdi_dtype)-1) == 0);
}

/* What can't be is the null tensor, and the null tensor goes through everything. */
TEST(tensor, null) {
    static const int64_t shape[6] = {2, 3, 4, 5, 1, 6}, none[2] = {0, 4};
    vdi_tensor null = vdi_tensor_view(data, VDI_F64, -1, shape);
    vdi_tensor t1 = vdi_tensor_1d(data, VDI_F32, 7);
    char text[VDI_SHAPE_TEXT];
    int order[6] = {0, 1, 2, 3, 4, 5};
    int64_t out[VDI_MAX_DIMS];
    CHECK(vdi_tensor_count(null) == 0 && vdi_tensor_bytes(null) == 0 &&
          !vdi_tensor_is_contiguous(null) && vdi_tensor_count_nonfinite(null) == 0);
    CHECK(!vdi_tensor_ok(vdi_tensor_slice(null, 0, 0, 1, 0)) &&
          !vdi_tensor_ok(vdi_tensor_index(null, 0, 0)) &&
          !vdi_tensor_ok(vdi_tensor_permute(null, order)));
    CHECK(!vdi_tensor_ok(vdi_tensor_transpose(null)) &&
          !vdi_tensor_ok(vdi_tensor_reshape(null, 0, shape)) &&
          !vdi_tensor_ok(vdi_tensor_reshape(null, 1, none)));
    CHECK(!vdi_tensor_ok(vdi_tensor_broadcast_to(null, 1, shape)) &&
          vdi_broadcast_shape(null, t1, out) == -1 && vdi_broadcast_shape(t1, null, out) == -1);
    CHECK(!vdi_tensor_same_shape(null, t1) &&
              strcmp(vdi_tensor_shape_text(null, text), "(null)") == 0,
          "%s", text);
    vdi_tensor_fill(null, 3);
    vdi_error err = VDI__ZERO;
    CHECK_FAILS(vdi_tensor_copy(null, t1, &err), VDI_ERR_SHAPE);
    CHECK_FAILS(vdi_tensor_copy(t1, null, &err), VDI_ERR_SHAPE);
    CHECK(strstr(err.message, "(7,)") && strstr(err.message, "null"), "%s", err.message);
    CHECK_FAILS(vdi_tensor_copy(null, null, NULL), VDI_ERR_SHAPE);
}

/* Every element of a slice, if there is one: exactly the slices that stay inside exist. */
static void slice_check(vdi_tensor t, int axis, int64_t start, int64_t step, int64_t count) {
    const int64_t n = t.shape[axis], last = start + (count - 1) * step;
    const bool fits = count == 0 || (start >= 0 && start < n && last >= 0 && last < n);
    const vdi_tensor v = vdi_tensor_slice(t, axis, start, step, count);
    const bool ok = vdi_tensor_ok(v);
    if (fits && llabs(step) <= n) {
        CHECK(ok, "axis %d: %lld, step %lld, %lld of them", axis, (long long)start, (long long)step,
              (long long)count);
    }
    if (!fits) {
        CHECK(!ok, "axis %d: %lld, step %lld, %lld of them go out", axis, (long long)start,
              (long long)step, (long long)count);
    }
    if (!ok) return;
    CHECK(v.shape[axis] == count && v.ndim == 3);
    int64_t index[3] = {2, 3, 4}, from[3] = {2, 3, 4};
    for (index[axis] = 0; index[axis] < count; index[axis]++) {
        from[axis] = start + index[axis] * step;
        CHECK(at(v, index) == at(t, from));
    }
}

TEST(tensor, slices) {
    static const int64_t shape[3] = {5, 6, 7};
    static const int64_t steps[] = {-7, -6, -3, -2, -1, 0, 1, 2, 3, 6, 7};
    vdi_tensor t = counted(3, shape);
    for (int axis = 0; axis < 3; axis++) {
        for (int64_t start = -1; start <= 7; start++) {
            for (size_t s = 0; s < VDI__COUNT(steps); s++) {
                for (int64_t count = 0; count <= 8; count++)
                    slice_check(t, axis, start, steps[s], count);
            }
        }
    }
    /* twice reversed: 0, 2, 4, 6 */
    vdi_tensor v = vdi_tensor_slice(vdi_tensor_slice(t, 2, 6, -2, 4), 2, 3, -1, 4);
    for (int64_t i = 0; i < 4; i++) {
        int64_t index[3] = {0, 0, i};
        CHECK(at(v, index) == 2 * i);
    }
    CHECK(!vdi_tensor_ok(vdi_tensor_slice(t, 3, 0, 1, 1)) &&
          !vdi_tensor_ok(vdi_tensor_slice(t, -1, 0, 1, 1)) &&
          !vdi_tensor_ok(vdi_tensor_slice(t, 0, 0, 1, -1)));
    CHECK(!vdi_tensor_ok(vdi_tensor_slice(t, 0, INT64_MAX, 1, 1)) &&
          !vdi_tensor_ok(vdi_tensor_slice(t, 0, 0, INT64_MAX, 2)));
    CHECK(!vdi_tensor_ok(vdi_tensor_slice(t, 0, 0, INT64_MIN, 2)) &&
          !vdi_tensor_ok(vdi_tensor_slice(t, 0, 0, 1, INT64_MAX)));
    CHECK(vdi_tensor_ok(vdi_tensor_slice(t, 0, 0, 0, 100)) &&
              !vdi_tensor_ok(vdi_tensor_slice(t, 0, 0, 0, INT64_MAX)),
          "a step of 0 repeats");
    CHECK(vdi_tensor_ok(vdi_tensor_slice(t, 0, 0, INT64_MAX, 0)) &&
              vdi_tensor_ok(vdi_tensor_slice(t, 0, 0, INT64_MIN, 0)),
          "nothing can be taken anyhow");
    for (int axis = 0; axis < 3; axis++) {
        for (int64_t i = -1; i <= shape[axis]; i++) {
            vdi_tensor one = vdi_tensor_index(t, axis, i);
            if (i < 0 || i >= shape[axis]) {
                CHECK(!vdi_tensor_ok(one), "axis %d, index %lld", axis, (long long)i);
                continue;
            }
            int64_t index[3] = {1, 2, 3}, rest[2] = {index[axis == 0], index[axis == 2 ? 1 : 2]};
            index[axis] = i;
            CHECK(one.ndim == 2 && at(one, rest) == at(t, index), "axis %d, index %lld", axis,
                  (long long)i);
        }
    }
    /* a shape without data can be sliced too */
    vdi_tensor shapeless = vdi_tensor_slice(vdi_tensor_view(NULL, VDI_F64, 3, shape), 1, 2, 1, 3);
    CHECK(vdi_tensor_ok(shapeless) && shapeless.data == NULL && shapeless.shape[1] == 3);
    vdi_tensor scalar = vdi_tensor_index(vdi_tensor_1d(data, VDI_F64, 9), 0, 4);
    CHECK(scalar.ndim == 0 && at(scalar, NULL) == 4 &&
          !vdi_tensor_ok(vdi_tensor_index(scalar, 0, 0)));
}

TEST(tensor, axes_and_indices_that_do_not_exist) {
    static const int wrong_axes[] = {INT_MIN, -7, -3, -2, -1, 3, 4, 6, 7, INT_MAX};
    static const int64_t wrong[] = {INT64_MIN, -3, -1, 2, INT64_MAX};
    const int64_t shape[3] = {2, 2, 2};
    vdi_tensor t = counted(3, shape);
    for (size_t i = 0; i < VDI__COUNT(wrong_axes); i++) {
        const int axis = wrong_axes[i];
        CHECK(!vdi_tensor_ok(vdi_tensor_index(t, axis, 0)), "axis %d", axis);
        CHECK(!vdi_tensor_ok(vdi_tensor_slice(t, axis, 0, 1, 1)), "axis %d", axis);
        CHECK(!vdi_tensor_ok(
            vdi_tensor_view(data, VDI_F64, axis < 0 ? axis : VDI__MAX(axis, 7), shape)));
    }
    for (size_t i = 0; i < VDI__COUNT(wrong); i++) {
        CHECK(!vdi_tensor_ok(vdi_tensor_index(t, 1, wrong[i])));
        for (int k = 0; k < 3; k++) {
            int64_t index[3] = {1, 1, 1};
            index[k] = wrong[i];
            vdi_tensor_set(t, index, -1);
            CHECK(isnan(vdi_tensor_get(t, index)), "axis %d, index %lld", k, (long long)wrong[i]);
        }
    }
    for (int i = 0; i < 720; i++)
        CHECK(data[i] == i, "element %d was written to", i);
    vdi_tensor null = vdi_tensor_index(t, -3, 0);
    const int64_t zero[VDI_MAX_DIMS] = {0};
    CHECK(null.data == NULL && null.ndim == -1 && isnan(vdi_tensor_get(null, zero)));
    vdi_tensor_set(null, zero, 1);
    /* a shape alone has no elements to be read, written or copied */
    vdi_tensor bare = vdi_tensor_view(NULL, VDI_F64, 3, shape);
    vdi_error err = VDI__ZERO;
    vdi_tensor_set(bare, zero, 1);
    vdi_tensor_fill(bare, 1);
    CHECK(isnan(vdi_tensor_get(bare, zero)) && vdi_tensor_count_nonfinite(bare) == 0);
    CHECK_FAILS(vdi_tensor_copy(bare, t, &err), VDI_ERR_ARGUMENT);
    CHECK(strcmp(err.message, "dst has no data") == 0, "%s", err.message);
    CHECK_FAILS(vdi_tensor_copy(t, bare, &err), VDI_ERR_ARGUMENT);
    CHECK(strcmp(err.message, "src has no data") == 0, "%s", err.message);
    CHECK(!vdi_tensor_ok(vdi_tensor_view(data, (vdi_dtype)VDI_DTYPE_COUNT, 3, shape)));
}

TEST(tensor, permute) {
    static const int64_t shape[4] = {2, 3, 4, 5};
    vdi_tensor t = counted(4, shape);
    for (int code = 0; code < 256; code++) { /* all orders of four axes, and all that are none */
        int order[4] = {code & 3, code >> 2 & 3, code >> 4 & 3, code >> 6 & 3}, seen = 0;
        for (int i = 0; i < 4; i++)
            seen |= 1 << order[i];
        vdi_tensor p = vdi_tensor_permute(t, order);
        CHECK(vdi_tensor_ok(p) == (seen == 15), "order %d%d%d%d", order[0], order[1], order[2],
              order[3]);
        if (seen != 15) continue;
        int64_t index[4] = {1, 2, 3, 4}, permuted[4];
        for (int i = 0; i < 4; i++)
            permuted[i] = index[order[i]];
        CHECK(at(p, permuted) == at(t, index));
    }
    int bad[4] = {0, 1, 2, 4}, worse[4] = {-1, 1, 2, 3};
    CHECK(!vdi_tensor_ok(vdi_tensor_permute(t, bad)) &&
          !vdi_tensor_ok(vdi_tensor_permute(t, worse)));
    vdi_tensor transposed = vdi_tensor_transpose(t);
    CHECK(transposed.shape[2] == 5 && transposed.shape[3] == 4 &&
          !vdi_tensor_is_contiguous(transposed) &&
          vdi_tensor_is_contiguous(vdi_tensor_transpose(transposed)));
}

TEST(tensor, reshape) {
    static const int64_t shape[4] = {2, 3, 4, 5};
    vdi_tensor t = counted(4, shape);
    int64_t flat[1] = {-1};
    int64_t two[2] = {6, -1};
    int64_t exact[3] = {20, 6, 1};
    int64_t open2[2] = {-1, -1};
    int64_t odd[2] = {7, -1};
    int64_t short_[1] = {119};
    int64_t minus[2] = {-2, 60};
    int64_t zero[2] = {0, -1};
    int64_t huge[3] = {INT64_MAX, 2, -1};
    CHECK(vdi_tensor_reshape(t, 1, flat).shape[0] == 120 &&
          vdi_tensor_reshape(t, 2, two).shape[1] == 20 &&
          vdi_tensor_ok(vdi_tensor_reshape(t, 3, exact)));
    CHECK(!vdi_tensor_ok(vdi_tensor_reshape(t, 2, open2)) &&
          !vdi_tensor_ok(vdi_tensor_reshape(t, 2, odd)) &&
          !vdi_tensor_ok(vdi_tensor_reshape(t, 1, short_)));
    CHECK(!vdi_tensor_ok(vdi_tensor_reshape(t, 2, minus)) &&
          !vdi_tensor_ok(vdi_tensor_reshape(t, 2, zero)) &&
          !vdi_tensor_ok(vdi_tensor_reshape(t, 3, huge)));
    CHECK(!vdi_tensor_ok(vdi_tensor_reshape(vdi_tensor_transpose(t), 1, flat)) &&
          !vdi_tensor_ok(vdi_tensor_reshape(t, 7, shape)) &&
          !vdi_tensor_ok(vdi_tensor_reshape(t, 0, NULL)));
    CHECK(vdi_tensor_ok(vdi_tensor_reshape(vdi_tensor_slice(t, 0, 1, 1, 1), 1, flat)),
          "a slice without gaps");
    int64_t wrong = 0;
    vdi_tensor re = vdi_tensor_reshape(t, 3, exact);
    CHECK(visit(re, row_major, &wrong) == 120 && wrong == 0);
}

/* NumPy's rules, for all pairs of shapes of up to two axes and extents of up to two. */
static void broadcast_check(int na, const int64_t *a, int nb, const int64_t *b) {
    vdi_tensor x = vdi_tensor_view(data, VDI_F64, na, a), y = vdi_tensor_view(data, VDI_F64, nb, b);
    int64_t c[VDI_MAX_DIMS];
    int n = vdi_broadcast_shape(x, y, c), expected = VDI__MAX(na, nb);
    bool fits = true;
    for (int i = 1; i <= expected; i++) {
        int64_t p = i <= na ? a[na - i] : 1, q = i <= nb ? b[nb - i] : 1;
        if (p != q && p != 1 && q != 1)
            fits = false;
        else if (n == expected)
            CHECK(c[expected - i] == (p == 1 ? q : p));
    }
    CHECK(n == (fits ? expected : -1), "(%d) %lld,%lld and (%d) %lld,%lld", na, (long long)a[0],
          (long long)a[1], nb, (long long)b[0], (long long)b[1]);
    vdi_tensor z = vdi_tensor_broadcast_to(x, nb, b);
    bool reach = fits && na <= nb;
    for (int i = 0; reach && i < nb; i++)
        reach = c[i] == b[i];
    CHECK(vdi_tensor_ok(z) == reach, "(%d) %lld,%lld to (%d) %lld,%lld", na, (long long)a[0],
          (long long)a[1], nb, (long long)b[0], (long long)b[1]);
}

TEST(tensor, broadcast) {
    for (int code = 0; code < 6561; code++) {
        int64_t a[2] = {code % 3, code / 3 % 3};
        int64_t b[2] = {code / 9 % 3, code / 27 % 3};
        broadcast_check(code / 81 % 3, a, code / 243 % 3, b);
    }
    int64_t row[3] = {3, 1, 5}, all[4] = {2, 3, 4, 5};
    vdi_tensor b = vdi_tensor_broadcast_to(counted(3, row), 4, all);
    for (int64_t i = 0; i < 120; i++) {
        int64_t index[4] = {i / 60, i / 20 % 3, i / 5 % 4, i % 5};
        CHECK(at(b, index) == index[1] * 5 + index[3]);
    }
}

static void set_counted(vdi_tensor t, const int64_t *index, void *user) {
    vdi_tensor_set(t, index, (double)(++*(int *)user % 100));
}

/* Which elements differ after a copy, where a bool is whether a number is not 0. */
static int count_differences(vdi_tensor dst, vdi_tensor src) {
    int64_t index[3];
    int wrong = 0;
    for (index[0] = 0; index[0] < src.shape[0]; index[0]++) {
        for (index[1] = 0; index[1] < src.shape[1]; index[1]++) {
            for (index[2] = 0; index[2] < src.shape[2]; index[2]++) {
                double x = vdi_tensor_get(src, index), y = vdi_tensor_get(dst, index);
                wrong += dst.dtype == VDI_BOOL ? y != (x != 0) : y != x;
            }
        }
    }
    return wrong;
}

/* kind: bit 0 permuted and with gaps, bit 1 reversed */
static void copy_check(vdi_dtype s, vdi_dtype d, int kind) {
    static unsigned char from[8 * 720], to[8 * 720];
    static const int64_t shape[3] = {4, 6, 9};
    static const int order[3] = {2, 0, 1};
    vdi_tensor src = vdi_tensor_view(from, s, 3, shape);
    vdi_tensor dst = vdi_tensor_view(to, d, 3, shape);
    vdi_error err = VDI__ZERO;
    int count = 0;
    memset(to, 0, sizeof to);
    visit(src, set_counted, &count);
    if (kind & 1) {
        src = vdi_tensor_permute(vdi_tensor_slice(src, 1, 5, -2, 3), order);
        dst = vdi_tensor_permute(vdi_tensor_slice(dst, 1, 0, 1, 3), order);
    }
    if (kind & 2) {
        src = vdi_tensor_slice(src, 0, src.shape[0] - 1, -1, src.shape[0]);
        dst = vdi_tensor_slice(dst, 0, dst.shape[0] - 1, -1, dst.shape[0]);
    }
    CHECK_OK(vdi_tensor_copy(dst, src, &err), err);
    int wrong = count_differences(dst, src);
    CHECK(wrong == 0, "%s to %s, kind %d: %d wrong", vdi_dtype_name(s), vdi_dtype_name(d), kind,
          wrong);
}

/* Every bit of a NaN, which RISC-V would replace and others make quiet. */
TEST(tensor, copy_of_nan) {
    static const uint32_t bits[4] = {0x7fc00001, 0xffc12345, 0x7f800001, 0x3f800000};
    uint32_t out[4] = {0, 0, 0, 0}, in[4];
    vdi_error err;
    memcpy(in, bits, sizeof in);
    vdi_tensor from = vdi_tensor_slice(vdi_tensor_1d(in, VDI_F32, 4), 0, 3, -1, 4);
    CHECK_OK(vdi_tensor_copy(vdi_tensor_1d(out, VDI_F32, 4), from, &err), err);
    for (int i = 0; i < 4; i++)
        CHECK(out[i] == bits[3 - i], "%08x became %08x", (unsigned)bits[3 - i], (unsigned)out[i]);
}

TEST(tensor, copy) {
    for (int s = 0; s < VDI_DTYPE_COUNT; s++) {
        for (int d = 0; d < VDI_DTYPE_COUNT; d++) {
            for (int kind = 0; kind < 4; kind++)
                copy_check((vdi_dtype)s, (vdi_dtype)d, kind);
        }
    }
    int64_t whole[3] = {INT64_MAX, INT64_MIN, INT64_C(9007199254740993)}, copy[6] = {0};
    vdi_tensor strided = vdi_tensor_slice(vdi_tensor_1d(copy, VDI_I64, 6), 0, 4, -2, 3);
    vdi_error err = VDI__ZERO;
    CHECK_OK(vdi_tensor_copy(strided, vdi_tensor_1d(whole, VDI_I64, 3), &err), err);
    CHECK(copy[4] == whole[0] && copy[2] == whole[1] && copy[0] == whole[2],
          "int64 went through double");
    CHECK(vdi_tensor_count_nonfinite(vdi_tensor_1d(whole, VDI_I64, 3)) == 0);
}

/* Rounding, saturation, NaN. */
TEST(tensor, cast) {
    static const struct {
        double x;
        int64_t u8, i16, i32, i64;
    } rows[] = {{0.5, 0, 0, 0, 0},
                {1.5, 2, 2, 2, 2},
                {2.5, 2, 2, 2, 2},
                {-0.5, 0, 0, 0, 0},
                {-1.5, 0, -2, -2, -2},
                {254.5, 254, 254, 254, 254},
                {255.5, 255, 256, 256, 256},
                {1e6, 255, 32767, 1000000, 1000000},
                {-1e6, 0, -32768, -1000000, -1000000},
                {32767.4, 255, 32767, 32767, 32767},
                {2147483647.5, 255, 32767, INT32_MAX, INT64_C(2147483648)},
                {-2147483648.5, 0, -32768, INT32_MIN, INT64_C(-2147483648)},
                {9.3e18, 255, 32767, INT32_MAX, INT64_MAX},
                {9223372036854774784.0, 255, 32767, INT32_MAX, INT64_C(9223372036854774784)},
                {-9.3e18, 0, -32768, INT32_MIN, INT64_MIN},
                {HUGE_VAL, 255, 32767, INT32_MAX, INT64_MAX},
                {-HUGE_VAL, 0, -32768, INT32_MIN, INT64_MIN},
                {NAN, 0, 0, 0, 0}};
    for (size_t i = 0; i < VDI__COUNT(rows); i++) {
        uint8_t u8 = 9, truth = 9;
        int16_t i16 = 9;
        int32_t i32 = 9;
        int64_t i64 = 9;
        vdi_dtype_store(VDI_U8, &u8, 0, rows[i].x);
        vdi_dtype_store(VDI_I16, &i16, 0, rows[i].x);
        vdi_dtype_store(VDI_I32, &i32, 0, rows[i].x);
        vdi_dtype_store(VDI_I64, &i64, 0, rows[i].x);
        vdi_dtype_store(VDI_BOOL, &truth, 0, rows[i].x);
        CHECK(u8 == rows[i].u8 && i16 == rows[i].i16 && i32 == rows[i].i32 && i64 == rows[i].i64 &&
                  truth == 1,
              "%g became %d %d %d %lld %d", rows[i].x, u8, i16, i32, (long long)i64, truth);
    }
    float f = 0;
    vdi_dtype_store(VDI_F32, &f, 0, 1e300);
    CHECK(f == (float)HUGE_VAL);
}

/* Scalars, empty tensors, overlap, shapes that do not fit. */
TEST(tensor, copy_of_other_shapes) {
    vdi_error err = VDI__ZERO;
    double one = 4, nine[9] = {0}, overlap[6] = {1, 2, 3, 4, 5, 6};
    CHECK_OK(vdi_tensor_copy(vdi_tensor_1d(nine, VDI_F64, 9),
                             vdi_tensor_view(&one, VDI_F64, 0, NULL), &err),
             err);
    CHECK(nine[0] == 4 && nine[8] == 4);
    CHECK_OK(vdi_tensor_copy(vdi_tensor_view(&one, VDI_F64, 0, NULL),
                             vdi_tensor_view(overlap, VDI_F64, 0, NULL), &err),
             err);
    CHECK(one == 1);
    CHECK_OK(vdi_tensor_copy(vdi_tensor_1d(overlap + 1, VDI_F64, 5),
                             vdi_tensor_1d(overlap, VDI_F64, 5), &err),
             err);
    CHECK(overlap[1] == 1 && overlap[5] == 5, "overlap");
    CHECK_OK(vdi_tensor_copy(vdi_tensor_2d(NULL, VDI_F64, 0, 3), vdi_tensor_2d(NULL, VDI_F32, 0, 3),
                             &err),
             err);
    CHECK_FAILS(vdi_tensor_copy(vdi_tensor_2d(nine, VDI_F64, 3, 3),
                                vdi_tensor_1d(overlap, VDI_F64, 2), &err),
                VDI_ERR_SHAPE);
    CHECK(strstr(err.message, "(3,3)") && strstr(err.message, "(2,)"), "%s", err.message);
    CHECK_FAILS(vdi_tensor_copy(vdi_tensor_1d(nine, VDI_F64, 3),
                                vdi_tensor_2d(overlap, VDI_F64, 1, 3), &err),
                VDI_ERR_SHAPE);

    /* fill, and the count of what is not finite, on views with gaps */
    vdi_tensor column = vdi_tensor_slice(vdi_tensor_2d(nine, VDI_F64, 3, 3), 1, 1, 1, 1);
    vdi_tensor_fill(column, NAN);
    nine[0] = -HUGE_VAL;
    CHECK(vdi_tensor_count_nonfinite(vdi_tensor_1d(nine, VDI_F64, 9)) == 4 &&
          vdi_tensor_count_nonfinite(column) == 3 && nine[2] == 4 && nine[5] == 4);
    vdi_tensor_fill(vdi_tensor_view(&one, VDI_F64, 0, NULL), 8);
    CHECK(one == 8);
}
