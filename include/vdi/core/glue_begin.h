/* core/glue_begin.h - from here on gcc compiles with little effort
 *
 * Time is spent in the kernels. The code around them checks, walks and calls; gcc takes twice as
 * long for it at -O2 as at -O1, and small products, solvers and OASIS are as fast. So, where the
 * user asks for more than -O1, these bodies are compiled at -O1; glue_end.h goes back to the user's
 * level. Random numbers, the dispatch of kernels and the tape's nodes are outside this region: a
 * node would take a quarter longer. Nothing happens with other compilers, at -O0 and at -Os.
 */
#if defined(VDI__BODIES) && VDI__PRAGMAS
#pragma GCC push_options
#pragma GCC optimize("O1")
#endif
