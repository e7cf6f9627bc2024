/* examples/vdi/system_windows.c - what the tool asks of the operating system, by Windows
 *
 * Names go to it as UTF-16. No call is newer than Windows 7.
 */
#include "system.h"

#ifdef _WIN32
#define WIN32_LEAN_AND_MEAN
#include <windows.h>
/* after windows.h */
#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <shellapi.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { LONGEST = 4096, TEXT = 3 * LONGEST };

/* A path for the functions of Windows; NULL with errno where it is none. It lasts until the next
 * call but one of this thread. */
static const wchar_t *wide(const char *path) {
    static __thread wchar_t text[2][LONGEST];
    static __thread int next;
    wchar_t *to = text[next ^= 1];
    if (MultiByteToWideChar(CP_UTF8, MB_ERR_INVALID_CHARS, path, -1, to, LONGEST) > 0) return to;
    errno = ENOENT;
    return NULL;
}

/* errno of the last call that failed; always false. */
static bool failed(void) {
    static const struct {
        DWORD error;
        int number;
    } known[] = {
        {ERROR_FILE_NOT_FOUND, ENOENT},      {ERROR_PATH_NOT_FOUND, ENOENT},
        {ERROR_INVALID_NAME, ENOENT},        {ERROR_ACCESS_DENIED, EACCES},
        {ERROR_SHARING_VIOLATION, EACCES},   {ERROR_LOCK_VIOLATION, EACCES},
        {ERROR_ALREADY_EXISTS, EEXIST},      {ERROR_FILE_EXISTS, EEXIST},
        {ERROR_DISK_FULL, ENOSPC},           {ERROR_HANDLE_DISK_FULL, ENOSPC},
        {ERROR_TOO_MANY_OPEN_FILES, EMFILE}, {ERROR_NOT_ENOUGH_MEMORY, ENOMEM},
    };
    const DWORD error = GetLastError();
    errno = EIO;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (known[i].error == error) errno = known[i].number;
    return false;
}

static HANDLE handle_of(int file) { return (HANDLE)_get_osfhandle(file); }

/* ---- the process ----------------------------------------------------------------------------- */

void system_begin(int *argc, char ***argv) {
    int count = 0;
    wchar_t **given = CommandLineToArgvW(GetCommandLineW(), &count);
    char **texts = given ? (char **)calloc((size_t)count + 1, sizeof *texts) : NULL;
    for (int i = 0; texts && i < count; i++) {
        const int size = WideCharToMultiByte(CP_UTF8, 0, given[i], -1, NULL, 0, NULL, NULL);
        texts[i] = (char *)malloc((size_t)size + 1);
        if (!texts[i]) return; /* the arguments as they came, then */
        WideCharToMultiByte(CP_UTF8, 0, given[i], -1, texts[i], size, NULL, NULL);
    }
    if (texts) {
        *argc = count;
        *argv = texts;
    }
    LocalFree(given);
    for (int stream = 0; stream < 3; stream++)
        (void)_setmode(stream, _O_BINARY);
    SetConsoleOutputCP(CP_UTF8);
}

double seconds_now(void) {
    LARGE_INTEGER ticks, each;
    QueryPerformanceCounter(&ticks);
    QueryPerformanceFrequency(&each);
    return (double)ticks.QuadPart / (double)each.QuadPart;
}

double cpu_seconds(void) {
    FILETIME made, ended, kernel, user;
    if (!GetProcessTimes(GetCurrentProcess(), &made, &ended, &kernel, &user)) return 0;
    const double low = (double)kernel.dwLowDateTime + (double)user.dwLowDateTime;
    const double high = (double)kernel.dwHighDateTime + (double)user.dwHighDateTime;
    return 1e-7 * (low + 4294967296.0 * high);
}

int processor_count(void) {
    SYSTEM_INFO info;
    GetSystemInfo(&info);
    return (int)info.dwNumberOfProcessors;
}

void processor_name(char *text, size_t size) {
    DWORD length = (DWORD)size;
    if (RegGetValueA(HKEY_LOCAL_MACHINE, "HARDWARE\\DESCRIPTION\\System\\CentralProcessor\\0",
                     "ProcessorNameString", RRF_RT_REG_SZ, NULL, text, &length) != ERROR_SUCCESS)
        snprintf(text, size, "unknown");
}

bool terminal_is(FILE *stream) {
    const HANDLE h = handle_of(_fileno(stream));
    DWORD mode;
    return GetConsoleMode(h, &mode) &&
           SetConsoleMode(h, mode | ENABLE_PROCESSED_OUTPUT | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
}

int terminal_width(FILE *stream) {
    CONSOLE_SCREEN_BUFFER_INFO info;
    if (!GetConsoleScreenBufferInfo(handle_of(_fileno(stream)), &info)) return 0;
    return info.srWindow.Right - info.srWindow.Left + 1;
}

/* ---- interrupts ------------------------------------------------------------------------------ */

static volatile LONG stop, saving;
static char *volatile behind[LEFT_KINDS];

void leave_behind(int kind, char *path) { behind[kind] = path; }

/* milliseconds: until a program that does not ask is ended; that Windows gives it to save when its
 * window is closed */
enum { GRACE = 700, WINDOW_GRACE = 4000 };

/* Windows calls this in a thread of its own. */
static BOOL WINAPI on_event(DWORD event) {
    static const char text[] = "vdi: interrupted\n";
    const bool key = event == CTRL_C_EVENT || event == CTRL_BREAK_EVENT;
    DWORD written;
    if (InterlockedCompareExchange(&stop, key ? SIGINT : SIGTERM, 0) != 0)
        return FALSE; /* a second Ctrl-C ends the program at once */
    Sleep(GRACE);
    if (saving) {
        if (!key) Sleep(WINDOW_GRACE);
        return TRUE;
    }
    for (int i = 0; i < LEFT_KINDS; i++) {
        const wchar_t *path = behind[i] ? wide(behind[i]) : NULL;
        if (path) DeleteFileW(path);
    }
    WriteFile(GetStdHandle(STD_ERROR_HANDLE), text, sizeof text - 1, &written, NULL);
    TerminateProcess(GetCurrentProcess(), (UINT)(128 + stop));
    return TRUE;
}

void catch_interrupts(void) {
    SetConsoleCtrlHandler(NULL, FALSE); /* whoever started us may have had it ignored */
    SetConsoleCtrlHandler(on_event, TRUE);
}

bool interrupted(void) {
    if (stop) saving = 1; /* who asks is about to save */
    return stop != 0;
}

int interrupted_code(void) { return 128 + (stop ? (int)stop : SIGINT); }

/* ---- files and folders ----------------------------------------------------------------------- */

static DWORD attributes(const char *path) {
    const wchar_t *name = wide(path);
    return name ? GetFileAttributesW(name) : INVALID_FILE_ATTRIBUTES;
}

bool file_exists(const char *path) { return attributes(path) != INVALID_FILE_ATTRIBUTES; }

bool folder_exists(const char *path) {
    const DWORD a = attributes(path);
    return a != INVALID_FILE_ATTRIBUTES && (a & FILE_ATTRIBUTE_DIRECTORY);
}

bool folder_create(const char *path) {
    const wchar_t *whole = wide(path);
    wchar_t part[LONGEST];
    const size_t n = whole ? wcslen(whole) : 0;
    for (size_t i = 1; i <= n; i++) {
        if (i < n && whole[i] != L'/' && whole[i] != L'\\') continue;
        if (whole[i - 1] == L':') continue; /* a drive */
        memcpy(part, whole, i * sizeof *part);
        part[i] = 0;
        if (!CreateDirectoryW(part, NULL) && GetLastError() != ERROR_ALREADY_EXISTS && i == n)
            return failed(); /* what is above may be another's, and there */
    }
    if (n && folder_exists(path)) return true;
    errno = n ? ENOTDIR : ENOENT;
    return false;
}

bool file_remove(const char *path) {
    const wchar_t *name = wide(path);
    return name && (DeleteFileW(name) || failed());
}

bool file_replace(const char *from, const char *to) {
    const wchar_t *a = wide(from), *b = wide(to);
    const DWORD how = MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH;
    return a && b && (MoveFileExW(a, b, how) || failed());
}

bool file_sync(const char *path) {
    const int f = file_open(path, FILE_UPDATE);
    const bool ok = f >= 0 && file_flush(f);
    return f >= 0 && file_close(f) && ok;
}

FILE *file_stream(const char *path, const char *mode) {
    const wchar_t *name = wide(path), *how = wide(mode);
    return name && how ? _wfopen(name, how) : NULL;
}

int file_open(const char *path, int how) {
    const wchar_t *name = wide(path);
    if (!name) return -1;
    if (how == FILE_READ) return _wopen(name, _O_RDONLY | _O_BINARY);
    return _wopen(name, _O_RDWR | _O_BINARY | _O_CREAT | (how == FILE_NEW ? _O_TRUNC : 0),
                  _S_IREAD | _S_IWRITE);
}

int64_t file_size(int file) { return _filelengthi64(file); }

static OVERLAPPED place(int64_t at) {
    OVERLAPPED o;
    memset(&o, 0, sizeof o);
    o.Offset = (DWORD)((uint64_t)at & 0xFFFFFFFFu);
    o.OffsetHigh = (DWORD)((uint64_t)at >> 32);
    return o;
}

static DWORD piece(size_t size) { return size < (1u << 30) ? (DWORD)size : 1u << 30; }

int64_t file_read_at(int file, void *to, size_t size, int64_t at) {
    OVERLAPPED o = place(at);
    DWORD done = 0;
    if (ReadFile(handle_of(file), to, piece(size), &done, &o)) return done;
    if (GetLastError() == ERROR_HANDLE_EOF) return 0;
    (void)failed();
    return -1;
}

int64_t file_write_at(int file, const void *from, size_t size, int64_t at) {
    OVERLAPPED o = place(at);
    DWORD done = 0;
    if (WriteFile(handle_of(file), from, piece(size), &done, &o)) return done;
    (void)failed();
    return -1;
}

bool file_cut(int file, int64_t size) {
    LARGE_INTEGER at;
    at.QuadPart = size;
    return (SetFilePointerEx(handle_of(file), at, NULL, FILE_BEGIN) &&
            SetEndOfFile(handle_of(file))) ||
           failed();
}

bool file_flush(int file) {
    const HANDLE h = handle_of(file);
    return GetFileType(h) != FILE_TYPE_DISK || FlushFileBuffers(h) || failed();
}

bool file_close(int file) { return _close(file) == 0; }

struct folder_reader {
    HANDLE find;
    WIN32_FIND_DATAW data;
    bool first;
    char name[3 * MAX_PATH + 1];
};

folder_reader *folder_open(const char *path) {
    char pattern[TEXT];
    folder_reader *f = (folder_reader *)calloc(1, sizeof *f);
    const int n = snprintf(pattern, sizeof pattern, "%s/*", path);
    const wchar_t *name = n < TEXT ? wide(pattern) : NULL;
    if (!f) return NULL;
    f->find = name ? FindFirstFileW(name, &f->data) : INVALID_HANDLE_VALUE;
    f->first = true;
    if (f->find != INVALID_HANDLE_VALUE) return f;
    free(f);
    (void)failed();
    return NULL;
}

const char *folder_next(folder_reader *f) {
    if (!f->first && !FindNextFileW(f->find, &f->data)) return NULL;
    f->first = false;
    WideCharToMultiByte(CP_UTF8, 0, f->data.cFileName, -1, f->name, sizeof f->name, NULL, NULL);
    return f->name;
}

void folder_close(folder_reader *f) {
    FindClose(f->find);
    free(f);
}

int lock_take(const char *path, bool *held) {
    const wchar_t *name = wide(path);
    *held = false;
    if (!name) return -1;
    /* nobody else may open it, and Windows removes it when this process ends */
    const HANDLE h = CreateFileW(name, GENERIC_WRITE | DELETE, 0, NULL, OPEN_ALWAYS,
                                 FILE_ATTRIBUTE_HIDDEN | FILE_FLAG_DELETE_ON_CLOSE, NULL);
    if (h == INVALID_HANDLE_VALUE) {
        *held = GetLastError() == ERROR_SHARING_VIOLATION;
        (void)failed();
        return -1;
    }
    return _open_osfhandle((intptr_t)h, 0);
}

void lock_give(int lock, const char *path) {
    (void)path;
    _close(lock);
}

/* ---- another program ------------------------------------------------------------------------- */

/* A pipe of which one end goes to the child. */
static bool make_pipe(HANDLE *ours, HANDLE *its, bool we_write) {
    SECURITY_ATTRIBUTES inherited = {sizeof inherited, NULL, TRUE};
    HANDLE read, write;
    if (!CreatePipe(&read, &write, &inherited, 1 << 16)) return failed();
    *ours = we_write ? write : read;
    *its = we_write ? read : write;
    return SetHandleInformation(*ours, HANDLE_FLAG_INHERIT, 0) || failed();
}

/* A job ends all that is in it when its last handle goes, as it does when this program ends. */
static HANDLE make_job(void) {
    JOBOBJECT_EXTENDED_LIMIT_INFORMATION limit;
    const HANDLE job = CreateJobObjectW(NULL, NULL);
    memset(&limit, 0, sizeof limit);
    limit.BasicLimitInformation.LimitFlags = JOB_OBJECT_LIMIT_KILL_ON_JOB_CLOSE;
    if (job) SetInformationJobObject(job, JobObjectExtendedLimitInformation, &limit, sizeof limit);
    return job;
}

bool child_start(child_process *c, const char *line) {
    wchar_t command[LONGEST];
    STARTUPINFOW start;
    PROCESS_INFORMATION made;
    HANDLE to = NULL, from = NULL, in = NULL, out = NULL;
    const wchar_t *text = wide(line);
    memset(c, 0, sizeof *c);
    c->to = c->from = -1;
    if (!text || wcslen(text) > LONGEST - 32) return false;
    wcscpy(command, L"cmd.exe /d /s /c \"");
    wcscat(wcscat(command, text), L"\"");
    bool ok = make_pipe(&to, &in, true) && make_pipe(&from, &out, false);
    memset(&start, 0, sizeof start);
    start.cb = sizeof start;
    start.dwFlags = STARTF_USESTDHANDLES;
    start.hStdInput = in;
    start.hStdOutput = out;
    start.hStdError = GetStdHandle(STD_ERROR_HANDLE);
    fflush(NULL);
    /* a group of its own: Ctrl-C is for us, the child has to answer until we have saved */
    if (ok &&
        !CreateProcessW(NULL, command, NULL, NULL, TRUE,
                        CREATE_SUSPENDED | CREATE_NEW_PROCESS_GROUP, NULL, NULL, &start, &made))
        ok = failed();
    if (in) CloseHandle(in);
    if (out) CloseHandle(out);
    if (!ok) {
        if (to) CloseHandle(to);
        if (from) CloseHandle(from);
        return false;
    }
    const HANDLE job = make_job();
    if (job) AssignProcessToJobObject(job, made.hProcess);
    ResumeThread(made.hThread);
    CloseHandle(made.hThread);
    c->to = (intptr_t)to;
    c->from = (intptr_t)from;
    c->process = (intptr_t)made.hProcess;
    c->group = (intptr_t)job;
    return true;
}

/* Pipes of this kind cannot be waited for; most replies come within a millisecond. */
int64_t child_read(child_process *c, void *to, size_t size, int ms) {
    const double begin = seconds_now();
    DWORD there = 0, got = 0;
    for (;;) {
        if (!PeekNamedPipe((HANDLE)c->from, NULL, 0, NULL, &there, NULL))
            return GetLastError() == ERROR_BROKEN_PIPE ? 0 : -1;
        if (there > 0) break;
        const double waited = seconds_now() - begin;
        if (waited >= 1e-3 * ms) return CHILD_NOTHING_YET;
        Sleep(waited < 2e-3 ? 0 : 1);
    }
    const DWORD most = size < there ? (DWORD)size : there;
    return ReadFile((HANDLE)c->from, to, most, &got, NULL) ? (int64_t)got : -1;
}

bool child_write(child_process *c, const void *from, size_t size) {
    const char *p = (const char *)from;
    while (size > 0) {
        DWORD done = 0;
        if (!WriteFile((HANDLE)c->to, p, piece(size), &done, NULL) || done == 0) return false;
        p += done;
        size -= done;
    }
    return true;
}

void child_hang_up(child_process *c) {
    if (c->to != -1) CloseHandle((HANDLE)c->to);
    if (c->from != -1) CloseHandle((HANDLE)c->from);
    c->to = c->from = -1;
}

bool child_gone(child_process *c, int ms) {
    DWORD status = 0;
    if (!c->process) return true;
    if (WaitForSingleObject((HANDLE)c->process, (DWORD)ms) != WAIT_OBJECT_0) return false;
    GetExitCodeProcess((HANDLE)c->process, &status);
    CloseHandle((HANDLE)c->process);
    c->process = 0;
    c->status = (int)status;
    return true;
}

void child_terminate(child_process *c) {
    if (c->process) GenerateConsoleCtrlEvent(CTRL_BREAK_EVENT, GetProcessId((HANDLE)c->process));
}

void child_kill(child_process *c) {
    if (!c->group) return;
    TerminateJobObject((HANDLE)c->group, 1);
    if (c->process) return; /* it will be asked for again */
    CloseHandle((HANDLE)c->group);
    c->group = 0;
}

void child_end_text(const child_process *c, char *text, size_t size) {
    if (c->process)
        snprintf(text, size, "still runs");
    else
        snprintf(text, size, "ended with exit status %d", c->status);
}
#endif
