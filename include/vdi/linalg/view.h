/* linalg/view.h - a matrix in memory, as linalg's kernels are told of it */
#ifndef VDI_LINALG_VIEW_H
#define VDI_LINALG_VIEW_H
#include "../kernel/table.h"

/* Element (i,j) at data + i * row + j * column, in reals. */
typedef struct vdi__matrix {
    const void *data;
    int64_t row, column;
} vdi__matrix;
/* The same to write to. */
typedef struct vdi__target {
    void *data;
    int64_t row, column;
} vdi__target;

#endif /* VDI_LINALG_VIEW_H */
