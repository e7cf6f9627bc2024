/* tests/fuzz/fuzz.h - a target of libFuzzer for one loader: run.sh builds and runs them
 *
 * The data come once as memory of known size and once as a stream that does not tell its size,
 * gives 7 bytes at a time and cannot seek; both have to end alike. An allocator counts, so that a
 * leak or a request out of proportion to the input ends the run.
 */
#define VDI_IO_IMPLEMENTATION
#define VDI_STATIC
#include "vdi.h"

#include "../io.h"

static size_t fuzz_limit, fuzz_live;
static void *fuzz_alloc(size_t size, size_t align, void *user) {
    if (size > fuzz_limit) abort();
    fuzz_live++;
    (void)user;
    return vdi_allocator_defaults(NULL).alloc_fn(size, align, NULL);
}
static void fuzz_free(void *p, size_t size, size_t align, void *user) {
    fuzz_live--;
    (void)user;
    vdi_allocator_defaults(NULL).free_fn(p, size, align, NULL);
}

/* Load everything and free it; what the header of the target defines. */
static vdi_status load(vdi_reader *r, const vdi_allocator *a, vdi_error *err);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    vdi_allocator a;
    slow_stream s;
    vdi_error err, slow_err;
    a.alloc_fn = fuzz_alloc;
    a.free_fn = fuzz_free;
    a.user = NULL;
    fuzz_limit = 100000 + 64 * size; /* a node of JSON is 40 bytes, and a number in it may be 2 */
    vdi_reader r = vdi_reader_memory(data, size, "fuzz");
    vdi_status status = load(&r, &a, &err);
    if (status < 0 && (err.status != status || !err.message[0] || strchr(err.message, '\n')))
        abort();
    r = slow_reader(&s, data, size, 7);
    vdi_status slow_status = load(&r, &a, &slow_err);
    if (slow_status != status || fuzz_live) abort();
    return 0;
}
