/* tests/fuzz/replay.c - a target without a fuzzer: replay FILE... runs it on each */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        uint8_t *data = (uint8_t *)malloc(1 << 20);
        if (!f || !data) {
            fprintf(stderr, "cannot read %s\n", argv[i]);
            return 1;
        }
        const size_t size = fread(data, 1, 1 << 20, f);
        fclose(f);
        printf("%s\n", argv[i]); /* the last one, if it crashes */
        fflush(stdout);
        (void)LLVMFuzzerTestOneInput(data, size);
        free(data);
    }
    return 0;
}
