/* core/win32.h - windows.h, where the pool needs it
 *
 * It defines near, far, small, min and max, which core/names_begin.h hides from vdi. The user may
 * want them, and the first to include windows.h may be vdi: so it comes before the names step
 * aside, with only the user's single letters out of its way.
 */
#if defined(VDI_CORE_IMPLEMENTATION) && defined(_WIN32) && !defined(VDI_NO_THREADS) && \
    !defined(VDI_CORE_WIN32_C)
#define VDI_CORE_WIN32_C
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#define VDI__LEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#define VDI__NOMINMAX
#endif
#define VDI__LETTERS_ALONE
#include "names_begin.h" /* repeated */
#include <windows.h>
#include "names_end.h" /* repeated */
#undef VDI__LETTERS_ALONE
#ifdef VDI__LEAN
#undef WIN32_LEAN_AND_MEAN
#undef VDI__LEAN
#endif
#ifdef VDI__NOMINMAX
#undef NOMINMAX
#undef VDI__NOMINMAX
#endif
#endif
