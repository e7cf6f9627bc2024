/* core/glue_end.h - back to the user's level of optimisation and warnings, after glue_begin.h */
#if defined(VDI__BODIES) && VDI__PRAGMAS
#pragma GCC diagnostic pop
#pragma GCC pop_options
#endif
