/* tests/fuzz/bytes.h - the fuzzer's bytes, one after the other; 0 when they have run out */
#ifndef VDI_FUZZ_BYTES_H
#define VDI_FUZZ_BYTES_H
#include <stddef.h>
#include <stdint.h>

typedef struct bytes {
    const uint8_t *data;
    size_t left;
} bytes;

static unsigned take(bytes *b) {
    if (b->left == 0) return 0;
    b->left--;
    return *b->data++;
}

#endif
