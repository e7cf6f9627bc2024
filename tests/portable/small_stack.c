/* tests/portable/small_stack.c - runs an example in a thread with 64 KiB of stack
 *
 * The example is compiled with -Dmain=example_main. What a C library needs of the stack for printf
 * and for the thread itself comes out of the same 64 KiB.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>

int example_main(int argc, char **argv);

static char *arguments[] = {"example", NULL};

static void *thread(void *result) {
    *(int *)result = example_main(1, arguments);
    return NULL;
}

int main(void) {
    pthread_attr_t attr;
    pthread_t id;
    int result = 1;
    if (pthread_attr_init(&attr) || pthread_attr_setstacksize(&attr, 65536)) return 2;
    if (pthread_create(&id, &attr, thread, &result)) return 2;
    pthread_join(id, NULL);
    pthread_attr_destroy(&attr);
    return result;
}
