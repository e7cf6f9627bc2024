/* core/glue_end.h - back to the user's level of optimisation, after glue_begin.h */
#if defined(VDI__BODIES) && VDI__PRAGMAS
#pragma GCC pop_options
#endif
