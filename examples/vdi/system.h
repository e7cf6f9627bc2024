/* examples/vdi/system.h - what the tool asks of the operating system
 *
 * Two files answer: system_posix.c and system_windows.c. Nothing else in this folder knows which
 * system it is on. Paths and arguments are UTF-8 on both; what fails has its reason in errno.
 */
#ifndef SYSTEM_H
#define SYSTEM_H
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* ---- the process ----------------------------------------------------------------------------- */

/* At the start of main: arguments as UTF-8, standard streams that change no byte. */
void system_begin(int *argc, char ***argv);
double seconds_now(void); /* a clock that only goes forward */
double cpu_seconds(void); /* of this process, all threads */
int processor_count(void);
void processor_name(char *text, size_t size);
bool terminal_is(FILE *stream);   /* and it understands escape sequences */
int terminal_width(FILE *stream); /* columns; 0: no terminal, or unknown */

/* SIGINT and SIGTERM (on Windows Ctrl-C and the closed window): a loop asks interrupted() and saves
 * what is done; what does not ask is ended within a second, and the files it left behind are
 * removed. */
void catch_interrupts(void);
bool interrupted(void);
int interrupted_code(void); /* 130 or 143 */
enum { LEFT_LOCK, LEFT_PART, LEFT_REPORT, LEFT_KINDS };
/* `path` has to go if the program is ended now; it lasts until the next call with this kind. */
void leave_behind(int kind, char *path);

/* ---- files and folders ----------------------------------------------------------------------- */

bool file_exists(const char *path);
bool folder_exists(const char *path);
bool folder_create(const char *path); /* with all above it; true where it is there already */
bool file_remove(const char *path);
bool file_replace(const char *from, const char *to); /* rename, over what may be there */
bool file_sync(const char *path);                    /* what was written is on the disk */
FILE *file_stream(const char *path, const char *mode);

/* A file that is read and written at places; -1: it cannot be opened. */
enum { FILE_READ = 1, FILE_UPDATE, FILE_NEW }; /* update: made if it is not there */
int file_open(const char *path, int how);
int64_t file_size(int file);                                                /* -1: unknown */
int64_t file_read_at(int file, void *to, size_t size, int64_t at);          /* bytes; -1: failed */
int64_t file_write_at(int file, const void *from, size_t size, int64_t at); /* likewise */
bool file_cut(int file, int64_t size);
bool file_flush(int file); /* to the disk, where that is a thing to ask for */
bool file_close(int file);

typedef struct folder_reader folder_reader;
folder_reader *folder_open(const char *path); /* NULL: it cannot be read */
const char *folder_next(folder_reader *f);    /* a name in it, until the next call; NULL: no more */
void folder_close(folder_reader *f);

/* A file that one process holds at a time, and that goes with it however it ends. -1 with *held
 * false: it cannot be made; with *held true: another process has it. */
int lock_take(const char *path, bool *held);
void lock_give(int lock, const char *path);

/* ---- another program ------------------------------------------------------------------------- */

/* A command line of the shell, with pipes to its standard input and from its output. */
typedef struct child_process {
    intptr_t process; /* and all that it starts; 0: not there, or collected */
    intptr_t group, to, from;
    int status; /* how it ended, once it is collected */
} child_process;
enum { CHILD_NOTHING_YET = -2 };
bool child_start(child_process *c, const char *line);
/* Bytes, after `ms` at most; 0: it has closed its output; -1: failed; or CHILD_NOTHING_YET. */
int64_t child_read(child_process *c, void *to, size_t size, int ms);
bool child_write(child_process *c, const void *from, size_t size);
void child_hang_up(child_process *c); /* closes the pipes */
bool child_gone(child_process *c,
                int ms);                /* has it ended, at the latest after `ms`? Collects it. */
void child_terminate(child_process *c); /* asks it to end, where the system has a way */
void child_kill(child_process *c);      /* ends it, and all that it has started and left behind */
/* How it ended: "was ended by signal 9". */
void child_end_text(const child_process *c, char *text, size_t size);

#endif
