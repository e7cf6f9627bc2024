/* core/log.h - a log of notable events: silent unless a logger is set
 *
 * Do this:
 *     void say(const vdi_log_record *r, void *user) { fprintf(stderr, "%s\n", r->message); }
 *     vdi_logger logger = { say, NULL };
 *     vdi_lds_desc desc = {0}; desc.logger = logger;
 *
 * A logger is a member of a description, never a global. It is called on the thread that runs the
 * function.
 */
#ifndef VDI_CORE_LOG_H
#define VDI_CORE_LOG_H
#include "config.h"
#include "text.h"

/** How much a message matters. */
typedef enum vdi_log_level {
    VDI_LOG_DEBUG = 0,
    VDI_LOG_INFO = 1,
    VDI_LOG_WARNING = 2
} vdi_log_level;

/** One message; the strings live for the duration of the call. */
typedef struct vdi_log_record {
    vdi_log_level level; /**< how much it matters */
    const char *where;   /**< the function that speaks */
    const char *message; /**< one sentence, no newline */
} vdi_log_record;

/** A NULL `log_fn` is silence. */
typedef struct vdi_logger {
    void (*log_fn)(const vdi_log_record *record, void *user); /**< what to do with a message */
    void *user;                                               /**< handed to it */
} vdi_logger;

/** Format and hand on one message; formats as in vdi_text_format. */
VDI_API void vdi_log_message(const vdi_logger *logger, vdi_log_level level, const char *where,
                             const char *format, ...) VDI__PRINTF(4, 5);

#endif /* VDI_CORE_LOG_H */

#if defined(VDI__BODIES) && defined(VDI_CORE_IMPLEMENTATION) && !defined(VDI_CORE_LOG_C)
#define VDI_CORE_LOG_C
VDI__DEF void vdi_log_message(const vdi_logger *logger, vdi_log_level level, const char *where,
                              const char *format, ...) {
    char message[256];
    va_list args;
    vdi_log_record record;
    if (!logger || !logger->log_fn) return;
    va_start(args, format);
    (void)vdi_text_vformat(message, sizeof message, format, args);
    va_end(args);
    record.level = level;
    record.where = where;
    record.message = message;
    logger->log_fn(&record, logger->user);
}
#endif
