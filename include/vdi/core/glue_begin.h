/* core/glue_begin.h - from here on gcc compiles with little effort
 *
 * Time is spent in the kernels. The code around them checks, walks and calls; gcc takes twice as
 * long for it at -O2 as at -O1, and small products, solvers and OASIS are as fast. So, where the
 * user asks for more than -O1, these bodies are compiled at -O1, without those of its passes that
 * find nothing here in a seventh of the time (points-to analysis and branch prediction do: OASIS
 * would take half as long again). glue_end.h goes back to the user's level. Random numbers, the
 * dispatch of kernels and the tape's nodes are outside this region: a node would take a quarter
 * longer. Nothing happens with other compilers, at -O0 and at -Os.
 *
 * One warning is off with the passes: gcc's search for variables without a value needs dominator
 * optimisation to see which branches go together, and otherwise reports variables that are set on
 * every way to their use. At -Os nothing is left out, and it still searches (make check-gcc).
 */
#if defined(VDI__BODIES) && VDI__PRAGMAS
#pragma GCC push_options
#pragma GCC optimize("O1", "no-tree-dominator-opts", "no-tree-bit-ccp", "no-tree-sink")
#pragma GCC optimize("no-forward-propagate", "no-dse", "no-tree-reassoc")
#pragma GCC optimize("no-cprop-registers", "no-shrink-wrap")
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
