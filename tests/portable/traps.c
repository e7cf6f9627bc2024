/* tests/portable/traps.c - floating-point traps inside the library, while the tests run
 *
 * The library, compiled with -finstrument-functions, calls the two functions below at the begin and
 * the end of each of its own. Within a public call invalid operations, divisions by zero and
 * overflows trap; each is printed with the function it came from, and the call goes on without. So
 * a program that runs with traps is not stopped by a lane of padding or a branch not taken. The
 * step
 * `traps` of scripts/check.sh knows the tests whose numbers are not finite on purpose.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fenv.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

static __thread long depth;
static bool installed;
static __thread void *outer, *within[256];

/* Its name, or where it lies in the program if it is a static one (addr2line -f knows). */
static const char *name_of(void *function, char text[24]) {
    Dl_info info = {0};
    if (dladdr(function, &info) && info.dli_sname) return info.dli_sname;
    snprintf(text, 24, "%#lx", (unsigned long)((char *)function - (char *)info.dli_fbase));
    return text;
}

/* Says where, and lets the instruction run again without a trap. */
static void trapped(int sig, siginfo_t *info, void *context) {
    ucontext_t *u = (ucontext_t *)context;
    char a[24], b[24];
    const long last = depth < 256 ? depth - 1 : 255;
    (void)sig;
    printf("trap: %s in %s, called by %s\n",
           info->si_code == FPE_FLTDIV   ? "division by zero"
           : info->si_code == FPE_FLTOVF ? "overflow"
                                         : "invalid",
           name_of(within[last > 0 ? last : 0], a), name_of(outer, b));
    u->uc_mcontext.fpregs->mxcsr |= 0x1f80;
    u->uc_mcontext.fpregs->cwd |= 0x3f;
}

static void install(void) {
    struct sigaction s = {0};
    s.sa_sigaction = trapped;
    s.sa_flags = SA_SIGINFO;
    sigaction(SIGFPE, &s, NULL);
    installed = true;
}

void __cyg_profile_func_enter(void *function, void *site);
void __cyg_profile_func_exit(void *function, void *site);

enum { TRAPS = FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW };

void __cyg_profile_func_enter(void *function, void *site) {
    (void)site;
    if (depth == 0) {
        /* the suite sets its own handlers before it calls the library */
        if (!installed) install();
        outer = function;
        feclearexcept(FE_ALL_EXCEPT);
        feenableexcept(TRAPS);
    }
    if (depth < 256) within[depth] = function;
    depth++;
}

void __cyg_profile_func_exit(void *function, void *site) {
    (void)function;
    (void)site;
    if (--depth == 0) fedisableexcept(FE_ALL_EXCEPT);
}
