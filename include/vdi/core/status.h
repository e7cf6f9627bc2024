/* core/status.h - how vdi reports errors
 *
 * Do this:
 *     vdi_error err;
 *     if (vdi_something(..., &err) < 0) puts(err.message);     (err may also be NULL)
 *
 * A status of 0 is success, negative an error, positive a normal but notable outcome (not
 * converged, end of data).
 * vdi never aborts, exits or prints. After an error every object is as it was before the call,
 * unless its function says otherwise. There is no global error state; distinct vdi_error objects
 * belong to distinct threads.
 */
#ifndef VDI_CORE_STATUS_H
#define VDI_CORE_STATUS_H
#include "config.h"
#include "text.h"

/** Outcome of a call: 0 ok, negative error, positive notable but normal. */
typedef enum vdi_status {
    VDI_OK = 0,
    VDI_ERR_ARGUMENT = -1,              /**< an argument is out of its range, or NULL where it may
                                             not be */
    VDI_ERR_SHAPE = -2,                 /**< shapes do not fit together */
    VDI_ERR_DTYPE = -3,                 /**< a tensor has another dtype than the call takes */
    VDI_ERR_MEMORY = -4,                /**< an allocation failed, or a caller's block is too
                                             small */
    VDI_ERR_DATA = -5,                  /**< data hold NaN or infinity, or are too few */
    VDI_ERR_NOT_POSITIVE_DEFINITE = -6, /**< a matrix that has to be positive definite is not */
    VDI_ERR_IO = -7,                    /**< a read, write, open or rename failed */
    VDI_ERR_FORMAT = -8,                /**< a file is not what it says, or is truncated */
    VDI_ERR_STATE = -9,                 /**< the call does not fit the object's state */
    VDI_ERR_UNSUPPORTED = -10,          /**< legal, but not supported here */
    VDI_ERR_NUMERIC = -11,              /**< a computation left the finite numbers */
    VDI_NOT_CONVERGED = 1,              /**< the iteration limit was reached first */
    VDI_END = 2,                        /**< no more data */
    VDI_STOPPED = 3                     /**< stopped on the caller's request */
} vdi_status;

/** Detail of an error: what was expected and what came. Pass NULL where it is not wanted. */
typedef struct vdi_error {
    vdi_status status; /**< what the call returned */
    char message[232]; /**< one sentence, no newline */
    char where[56];    /**< the function that found it */
} vdi_error;

/** The version that was compiled, VDI_VERSION; a library's may differ from the header's. */
VDI_API const char *vdi_version(void);

/** VDI_OK, or VDI_ERR_UNSUPPORTED where flags of the compiler have loosened the arithmetic, so that
 * results would be wrong. What compilers tell is refused when vdi is compiled; this is for the
 * rest, such as clang's -funsafe-math-optimizations. Whatever creates a model or a tape asks it. */
VDI_API vdi_status vdi_arithmetic_check(vdi_error *err);

/** The name of a status, such as "not positive definite". Never NULL. */
VDI_API const char *vdi_status_name(vdi_status status);

/** Fill `err` (may be NULL) and return `status`, so that a function can end with `return
 * vdi_error_set(...)`.
 *  Formats: %s %c %d %u %ld %lld %zu %x %g %% (no width; %g gives six significant digits). */
VDI_API vdi_status vdi_error_set(vdi_error *err, vdi_status status, const char *where,
                                 const char *format, ...) VDI__PRINTF(4, 5);

#endif /* VDI_CORE_STATUS_H */

#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_STATUS_C)
#define VDI_CORE_STATUS_C

VDI__DEF const char *vdi_version(void) { return VDI_VERSION; }

VDI__DEF const char *vdi_status_name(vdi_status status) {
    switch (status) {
    case VDI_OK: return "ok";
    case VDI_ERR_ARGUMENT: return "bad argument";
    case VDI_ERR_SHAPE: return "shapes differ";
    case VDI_ERR_DTYPE: return "wrong dtype";
    case VDI_ERR_MEMORY: return "out of memory";
    case VDI_ERR_DATA: return "bad data";
    case VDI_ERR_NOT_POSITIVE_DEFINITE: return "not positive definite";
    case VDI_ERR_IO: return "input or output failed";
    case VDI_ERR_FORMAT: return "bad file format";
    case VDI_ERR_STATE: return "call out of order";
    case VDI_ERR_UNSUPPORTED: return "not supported";
    case VDI_ERR_NUMERIC: return "not finite";
    case VDI_NOT_CONVERGED: return "not converged";
    case VDI_END: return "end of data";
    case VDI_STOPPED: return "stopped";
    }
    return "unknown status";
}

VDI__DEF vdi_status vdi_error_set(vdi_error *err, vdi_status status, const char *where,
                                  const char *format, ...) {
    if (err) {
        va_list args;
        va_start(args, format);
        err->status = status;
        (void)vdi_text_vformat(err->message, sizeof err->message, format, args);
        va_end(args);
        (void)vdi_text_copy(err->where, sizeof err->where, where);
    }
    return status;
}

/* The numbers are volatile, so that the compiler does not know them; each is read once, so that it
 * may cancel them if it thinks it may. Neither sum raises an exception. */
VDI__DEF vdi_status vdi_arithmetic_check(vdi_error *err) {
    static const char where[] = "vdi_arithmetic_check";
    volatile double number = 1.25, great = 1e30, none = (double)NAN;
    volatile float single = 1.25f, great_single = 1e30f;
    const double x = number, large = great, nan = none;
    const float y = single, large_y = great_single;
    const double lost = (x + large) - large;
    const float lost_y = (y + large_y) - large_y;
    if (lost != 0 || lost_y != 0) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                             "vdi was compiled with reordered sums: compile without "
                             "-funsafe-math-optimizations and -fassociative-math");
    }
    if (nan == nan || nan - nan == 0) {
        return vdi_error_set(err, VDI_ERR_UNSUPPORTED, where,
                             "vdi was compiled without NaN: compile with -fhonor-nans");
    }
    return VDI_OK;
}
#endif
