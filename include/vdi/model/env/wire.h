/* model/env/wire.h - an environment at the other end of a pipe: both sides of the protocol
 *
 * Do this, in a simulator (a server), which then speaks to `vdi sacd train --env-cmd`:
 *     vdi_env_wire wire = {read_stdin, write_stdout, NULL};           stdio, sockets, a UART
 *     if (vdi_env_wire_serve(&env, &wire, NULL, &err) < 0) puts(err.message);
 *
 * and in a program that wants to use one:
 *     vdi_env remote;
 *     if (vdi_env_wire_open(&wire, NULL, &remote, &err) < 0) puts(err.message);
 *     else vdi_env_close(&remote);
 *
 * The protocol is requests and replies in turn; docs/guide/environments.md has it with
 * an example in bytes. All is little-endian. A message is four letters of kind, a u32 of the bytes
 * that follow, and those:
 *     client  HELO  "vdi-env\n", u32 version
 *     server  INFO  "vdi-env\n", u32 version, u32 observations, actions, components, limit, from
 *                   version 2 on u32 flags (1: an action is one of `actions` choices), then names,
 *                   each ended by a zero byte: of the environment, of every observation, action,
 *                   component
 *     client  RSET  u64 seed, u64 episode
 *     server  OBSV  f32 observation[]
 *     client  STEP  f32 action[]
 *     server  TRAN  u32 end, f32 reward[], f32 observation[]
 *     client  QUIT  (no reply)
 *     server  FAIL  text: instead of any reply
 * A server says version 1 where it can, 2 where it takes choices. Every message but INFO is
 * written by one call and, as a rule, read by one.
 *
 * Trust: neither side trusts the other. A server takes requests of the lengths above and no others;
 * a client checks sizes against the limits of env.h before memory is allocated, names have to be
 * UTF-8 without control characters, each reply has to be of the kind and length that was expected,
 * and vdi_env_step looks for numbers that are not finite. After a malformed reply the client
 * refuses to go on (VDI_ERR_STATE), since the beginning of the next message is unknown; after a
 * FAIL it may begin another episode.
 * What it does NOT do: timeouts (the read callback's business), several environments on one wire.
 * Memory: one block each, of the environment's sizes. Errors: VDI_ERR_IO where a callback failed or
 * the other end is gone, VDI_ERR_FORMAT for what is not the protocol, VDI_ERR_DATA for a FAIL.
 * Threads: one wire, one thread.
 */
#ifndef VDI_MODEL_ENV_WIRE_H
#define VDI_MODEL_ENV_WIRE_H
#include "../../core/alloc.h"
#include "env.h"

/** The newest version of the protocol; a client greets with 1, and understands up to this one. */
#define VDI_ENV_WIRE_VERSION 2
/** Most bytes of all names together that a client accepts. */
#define VDI_ENV_WIRE_MAX_TEXT 1048576

/** Two callbacks between which the protocol runs. */
typedef struct vdi_env_wire {
    /** Read up to `size` bytes, waiting for at least one; returns how many came, 0 at the end,
     *  negative on failure or a timeout. */
    int64_t (*read_fn)(void *buffer, size_t size, void *user);
    /** Write all `size` bytes and flush them; false on failure. */
    bool (*write_fn)(const void *data, size_t size, void *user);
    void *user; /**< handed to both */
} vdi_env_wire;

/** Serve `env` until the client quits or its end closes (VDI_OK); `a` NULL: malloc. An error of the
 *  environment is told to the client and is not one here. */
VDI_API VDI_NODISCARD vdi_status vdi_env_wire_serve(vdi_env *env, const vdi_env_wire *wire,
                                                    const vdi_allocator *a, vdi_error *err);
/** Make an environment of the server behind `wire` (copied); `a` NULL: malloc. `env` is zero after
 *  an error. Pair with vdi_env_close, which tells the server to quit. */
VDI_API VDI_NODISCARD vdi_status vdi_env_wire_open(const vdi_env_wire *wire, const vdi_allocator *a,
                                                   vdi_env *env, vdi_error *err);

#endif /* VDI_MODEL_ENV_WIRE_H */

#if defined(VDI__BODIES) && defined(VDI_ENV_IMPLEMENTATION) && !defined(VDI_MODEL_ENV_WIRE_C)
#define VDI_MODEL_ENV_WIRE_C

#define VDI__WIRE_MAGIC "vdi-env\n"
#define VDI__WIRE_KIND(a, b, c, d) \
    ((uint32_t)(a) | (uint32_t)(b) << 8 | (uint32_t)(c) << 16 | (uint32_t)(d) << 24)
#define VDI__WIRE_HELO VDI__WIRE_KIND('H', 'E', 'L', 'O')
#define VDI__WIRE_INFO VDI__WIRE_KIND('I', 'N', 'F', 'O')
#define VDI__WIRE_RSET VDI__WIRE_KIND('R', 'S', 'E', 'T')
#define VDI__WIRE_OBSV VDI__WIRE_KIND('O', 'B', 'S', 'V')
#define VDI__WIRE_STEP VDI__WIRE_KIND('S', 'T', 'E', 'P')
#define VDI__WIRE_TRAN VDI__WIRE_KIND('T', 'R', 'A', 'N')
#define VDI__WIRE_QUIT VDI__WIRE_KIND('Q', 'U', 'I', 'T')
#define VDI__WIRE_FAIL VDI__WIRE_KIND('F', 'A', 'I', 'L')

enum {
    VDI__WIRE_HEAD = 8, /* kind and size */
    VDI__WIRE_HELO_BODY = 12,
    VDI__WIRE_FIRST = 1,      /* the version that everybody speaks */
    VDI__WIRE_CHOICES = 1,    /* of the flags: an action is one of so many choices */
    VDI__WIRE_INFO_BODY = 28, /* magic, version, four sizes; flags and names follow */
    VDI__WIRE_RSET_BODY = 16,
    VDI__WIRE_FAIL_BODY = 256,                             /* at most */
    VDI__WIRE_LEAST = VDI__WIRE_HEAD + VDI__WIRE_FAIL_BODY /* of a buffer, for all but numbers */
};

/* ---- numbers ------------------------------------------------------------------------------- */

VDI__INLINE void vdi__wire_put_u32(unsigned char *p, uint32_t x) {
    for (int i = 0; i < 4; i++)
        p[i] = (unsigned char)(x >> 8 * i);
}
VDI__INLINE uint32_t vdi__wire_get_u32(const unsigned char *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}
VDI__INLINE void vdi__wire_put_u64(unsigned char *p, uint64_t x) {
    vdi__wire_put_u32(p, (uint32_t)x);
    vdi__wire_put_u32(p + 4, (uint32_t)(x >> 32));
}
VDI__INLINE uint64_t vdi__wire_get_u64(const unsigned char *p) {
    return vdi__wire_get_u32(p) | (uint64_t)vdi__wire_get_u32(p + 4) << 32;
}
VDI__FN void vdi__wire_put_floats(unsigned char *p, int64_t n, const float *x) {
    for (int64_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        vdi__wire_put_u32(p + 4 * i, bits);
    }
}
VDI__FN void vdi__wire_get_floats(const unsigned char *p, int64_t n, float *x) {
    for (int64_t i = 0; i < n; i++) {
        const uint32_t bits = vdi__wire_get_u32(p + 4 * i);
        memcpy(x + i, &bits, 4);
    }
}

/* ---- messages ------------------------------------------------------------------------------ */

VDI__FN void vdi__wire_head(unsigned char *p, uint32_t kind, size_t size) {
    vdi__wire_put_u32(p, kind);
    vdi__wire_put_u32(p + 4, (uint32_t)size);
}

/* A kind as text for messages: its letters, or what its bytes are. */
VDI__FN const char *vdi__wire_kind_text(uint32_t kind, char text[16]) {
    bool letters = true;
    for (int i = 0; i < 4; i++) {
        text[i] = (char)(kind >> 8 * i & 255);
        letters = letters && text[i] >= 32 && text[i] < 127;
    }
    text[4] = 0;
    if (!letters) (void)vdi_text_format(text, 16, "0x%x", (unsigned)kind);
    return text;
}

/* Read until `fill` reaches `need`, taking up to `capacity` bytes where more are there already. */
VDI__FN vdi_status vdi__wire_fill(const vdi_env_wire *wire, unsigned char *buffer, size_t *fill,
                                  size_t need, size_t capacity, const char *where, vdi_error *err) {
    while (*fill < need) {
        const size_t left = capacity - *fill;
        const int64_t n = wire->read_fn(buffer + *fill, left, wire->user);
        if (n <= 0 || (uint64_t)n > (uint64_t)left) {
            return vdi_error_set(
                err, VDI_ERR_IO, where, "the other end %s, after %zu of %zu bytes of a message",
                n == 0 ? "closed the connection" : "could not be read", *fill, need);
        }
        *fill += (size_t)n;
    }
    return VDI_OK;
}

/* ---- the server ---------------------------------------------------------------------------- */

typedef struct vdi__wire_server {
    vdi_env *env;
    const vdi_env_wire *wire;
    unsigned char *in, *out; /* buffers of the longest request and reply */
    size_t capacity, fill;   /* of `in` */
    float *action, *obs, *reward;
    bool greeted, running; /* has the client said HELO; does an episode run? */
} vdi__wire_server;

VDI__FN bool vdi__wire_send(const vdi__wire_server *s, uint32_t kind, size_t size) {
    vdi__wire_head(s->out, kind, size);
    return s->wire->write_fn(s->out, VDI__WIRE_HEAD + size, s->wire->user);
}

VDI__FN bool vdi__wire_send_fail(const vdi__wire_server *s, const char *text) {
    char *body = (char *)s->out + VDI__WIRE_HEAD;
    return vdi__wire_send(s, VDI__WIRE_FAIL, vdi_text_copy(body, VDI__WIRE_FAIL_BODY, text));
}

/* Name number i of the INFO message: of the environment, its observations, actions, components. ""
   for one without a name. */
VDI__FN const char *vdi__wire_name(const vdi_env *env, int64_t i) {
    if (i == 0) return env->name;
    i -= 1;
    if (i < env->observations) return env->observation ? env->observation[i] : "";
    i -= env->observations;
    if (i < env->actions) return env->action ? env->action[i] : "";
    return env->component[i - env->actions];
}

VDI__FN int64_t vdi__wire_names(const vdi_env *env) {
    return 1 + env->observations + env->actions + env->components;
}

VDI__FN bool vdi__wire_send_info(const vdi__wire_server *s) {
    const vdi_env *env = s->env;
    unsigned char *body = s->out + VDI__WIRE_HEAD;
    size_t text = 0;
    for (int64_t i = 0; i < vdi__wire_names(env); i++)
        text += strlen(vdi__wire_name(env, i)) + 1;
    const size_t flags = env->discrete ? 4 : 0;
    vdi__wire_head(s->out, VDI__WIRE_INFO, VDI__WIRE_INFO_BODY + flags + text);
    memcpy(body, VDI__WIRE_MAGIC, 8);
    vdi__wire_put_u32(body + 8, env->discrete ? VDI_ENV_WIRE_VERSION : VDI__WIRE_FIRST);
    vdi__wire_put_u32(body + 12, (uint32_t)env->observations);
    vdi__wire_put_u32(body + 16, (uint32_t)env->actions);
    vdi__wire_put_u32(body + 20, (uint32_t)env->components);
    vdi__wire_put_u32(body + 24, (uint32_t)env->limit);
    vdi__wire_put_u32(body + 28, VDI__WIRE_CHOICES);
    bool ok =
        s->wire->write_fn(s->out, VDI__WIRE_HEAD + VDI__WIRE_INFO_BODY + flags, s->wire->user);
    for (int64_t i = 0; ok && i < vdi__wire_names(env); i++) {
        const char *name = vdi__wire_name(env, i);
        ok = s->wire->write_fn(name, strlen(name) + 1, s->wire->user);
    }
    return ok;
}

/* What a request has led to. */
typedef enum vdi__wire_outcome {
    VDI__WIRE_GO_ON,
    VDI__WIRE_DONE,      /* the client has quit */
    VDI__WIRE_FOREIGN,   /* this is not the protocol */
    VDI__WIRE_UNWRITTEN, /* the reply could not be written */
} vdi__wire_outcome;

VDI__FN vdi__wire_outcome vdi__wire_greet(vdi__wire_server *s, const unsigned char *body,
                                          vdi_error *err) {
    const uint32_t version = vdi__wire_get_u32(body + 8);
    if (memcmp(body, VDI__WIRE_MAGIC, 8) != 0 || version != VDI__WIRE_FIRST) {
        (void)vdi_error_set(err, VDI_ERR_FORMAT, "vdi_env_wire_serve",
                            "expected a client of protocol version %d, got version %u",
                            VDI__WIRE_FIRST, (unsigned)version);
        (void)vdi__wire_send_fail(s, "this server speaks version 1 of the protocol");
        return VDI__WIRE_FOREIGN;
    }
    s->greeted = true;
    return vdi__wire_send_info(s) ? VDI__WIRE_GO_ON : VDI__WIRE_UNWRITTEN;
}

VDI__FN vdi__wire_outcome vdi__wire_begin(vdi__wire_server *s, const unsigned char *body,
                                          vdi_error *err) {
    vdi_error mishap = VDI__ZERO;
    const int64_t n = s->env->observations;
    const uint64_t seed = vdi__wire_get_u64(body), episode = vdi__wire_get_u64(body + 8);
    (void)err;
    s->running = vdi_env_reset(s->env, seed, episode, s->obs, &mishap) >= 0;
    bool ok;
    if (s->running) {
        vdi__wire_put_floats(s->out + VDI__WIRE_HEAD, n, s->obs);
        ok = vdi__wire_send(s, VDI__WIRE_OBSV, (size_t)(4 * n));
    } else {
        ok = vdi__wire_send_fail(s, mishap.message);
    }
    return ok ? VDI__WIRE_GO_ON : VDI__WIRE_UNWRITTEN;
}

VDI__FN vdi__wire_outcome vdi__wire_advance(vdi__wire_server *s, const unsigned char *body,
                                            vdi_error *err) {
    vdi_error mishap = VDI__ZERO;
    vdi_env *env = s->env;
    unsigned char *reply = s->out + VDI__WIRE_HEAD;
    int end = 0;
    bool ok;
    (void)err;
    vdi__wire_get_floats(body, env->actions, s->action);
    if (!s->running) {
        (void)vdi_error_set(&mishap, VDI_ERR_STATE, "vdi_env_wire_serve",
                            "a step without an episode that runs: reset first");
    } else {
        s->running = vdi_env_step(env, s->action, s->obs, s->reward, &end, &mishap) >= 0;
    }
    if (s->running) {
        vdi__wire_put_u32(reply, (uint32_t)end);
        vdi__wire_put_floats(reply + 4, env->components, s->reward);
        vdi__wire_put_floats(reply + 4 + 4 * env->components, env->observations, s->obs);
        ok = vdi__wire_send(s, VDI__WIRE_TRAN,
                            (size_t)(4 * (1 + env->components + env->observations)));
        s->running = end == 0;
    } else {
        ok = vdi__wire_send_fail(s, mishap.message);
    }
    return ok ? VDI__WIRE_GO_ON : VDI__WIRE_UNWRITTEN;
}

VDI__FN vdi__wire_outcome vdi__wire_quit(vdi__wire_server *s, const unsigned char *body,
                                         vdi_error *err) {
    (void)s;
    (void)body;
    (void)err;
    return VDI__WIRE_DONE;
}

/* The requests there are. */
typedef struct vdi__wire_request {
    uint32_t kind;
    size_t bytes;   /* of its body ... */
    size_t numbers; /* ... or bytes of each action */
    vdi__wire_outcome (*answer)(vdi__wire_server *s, const unsigned char *body, vdi_error *err);
} vdi__wire_request;
static const vdi__wire_request vdi__wire_requests[] = {
    {VDI__WIRE_HELO, VDI__WIRE_HELO_BODY, 0, vdi__wire_greet},
    {VDI__WIRE_RSET, VDI__WIRE_RSET_BODY, 0, vdi__wire_begin},
    {VDI__WIRE_STEP, 0, 4, vdi__wire_advance},
    {VDI__WIRE_QUIT, 0, 0, vdi__wire_quit},
};

VDI__FN const vdi__wire_request *vdi__wire_find(uint32_t kind) {
    for (size_t i = 0; i < VDI__COUNT(vdi__wire_requests); i++) {
        if (vdi__wire_requests[i].kind == kind) return &vdi__wire_requests[i];
    }
    return NULL;
}

/* The bytes that a request has to have; SIZE_MAX where it may not come at all. */
VDI__FN size_t vdi__wire_expected(const vdi__wire_server *s, const vdi__wire_request *request) {
    if (!request || (!s->greeted && request->kind != VDI__WIRE_HELO)) return SIZE_MAX;
    return request->bytes + request->numbers * (size_t)s->env->actions;
}

VDI__FN vdi_status vdi__wire_refuse(const vdi__wire_server *s, uint32_t kind, uint32_t size,
                                    vdi_error *err) {
    vdi_error told = VDI__ZERO;
    char text[16];
    const char *wanted = !s->greeted              ? "HELO of 12 bytes"
                         : kind == VDI__WIRE_STEP ? "STEP with as many numbers as there are actions"
                                                  : "HELO, RSET of 16 bytes, STEP or QUIT";
    (void)vdi__wire_kind_text(kind, text);
    (void)vdi_error_set(&told, VDI_ERR_FORMAT, "", "a request is not the protocol: %s of %u bytes",
                        text, (unsigned)size);
    (void)vdi__wire_send_fail(s, told.message);
    return vdi_error_set(err, VDI_ERR_FORMAT, "vdi_env_wire_serve",
                         "expected %s, got %s of %u bytes", wanted, text, (unsigned)size);
}

/* Read one request and answer it; *done where the client has left. */
VDI__FN vdi_status vdi__wire_serve_one(vdi__wire_server *s, bool *done, vdi_error *err) {
    static const char where[] = "vdi_env_wire_serve";
    if (s->fill == 0) { /* between two messages the end may come */
        const int64_t n = s->wire->read_fn(s->in, s->capacity, s->wire->user);
        *done = n == 0;
        if (*done) return VDI_OK;
        if (n < 0 || (uint64_t)n > s->capacity) {
            return vdi_error_set(err, VDI_ERR_IO, where, "the client could not be read");
        }
        s->fill = (size_t)n;
    }
    vdi_status status =
        vdi__wire_fill(s->wire, s->in, &s->fill, VDI__WIRE_HEAD, s->capacity, where, err);
    if (status < 0) return status;
    const uint32_t kind = vdi__wire_get_u32(s->in), size = vdi__wire_get_u32(s->in + 4);
    const vdi__wire_request *request = vdi__wire_find(kind);
    if (size != vdi__wire_expected(s, request)) return vdi__wire_refuse(s, kind, size, err);
    const size_t whole = VDI__WIRE_HEAD + (size_t)size;
    status = vdi__wire_fill(s->wire, s->in, &s->fill, whole, s->capacity, where, err);
    if (status < 0) return status;
    const vdi__wire_outcome outcome = request->answer(s, s->in + VDI__WIRE_HEAD, err);
    *done = outcome == VDI__WIRE_DONE;
    if (outcome == VDI__WIRE_FOREIGN) return VDI_ERR_FORMAT;
    if (outcome == VDI__WIRE_UNWRITTEN) {
        return vdi_error_set(err, VDI_ERR_IO, where, "a reply could not be written to the client");
    }
    s->fill -= whole; /* a client need not wait for replies */
    memmove(s->in, s->in + whole, s->fill);
    return VDI_OK;
}

VDI__DEF vdi_status vdi_env_wire_serve(vdi_env *env, const vdi_env_wire *wire,
                                       const vdi_allocator *a, vdi_error *err) {
    vdi__wire_server s = VDI__ZERO;
    vdi_arena arena;
    bool done = false;
    vdi_status status = vdi_env_check(env, err);
    if (status < 0) return status;
    const size_t actions = 4 * (size_t)env->actions, reward = 4 * (size_t)env->components;
    const size_t obs = 4 * (size_t)env->observations;
    vdi_arena_init(&arena, a, 2 * (actions + reward + obs) + 4096);
    s.env = env;
    s.wire = wire;
    s.capacity = VDI__WIRE_HEAD + VDI__MAX(actions, (size_t)VDI__WIRE_RSET_BODY);
    s.in = (unsigned char *)vdi_arena_alloc(&arena, s.capacity);
    s.out = (unsigned char *)vdi_arena_alloc(&arena, VDI__WIRE_LEAST + 4 + reward + obs);
    s.action = (float *)vdi_arena_alloc(&arena, actions);
    s.obs = (float *)vdi_arena_alloc(&arena, obs);
    s.reward = (float *)vdi_arena_alloc(&arena, reward);
    if (!s.in || !s.out || !s.action || !s.obs || !s.reward) {
        status = vdi_error_set(err, VDI_ERR_MEMORY, "vdi_env_wire_serve",
                               "no memory for messages of %zu numbers", (reward + obs) / 4);
    }
    while (status >= 0 && !done)
        status = vdi__wire_serve_one(&s, &done, err);
    vdi_arena_free(&arena);
    return status;
}

/* ---- the client ---------------------------------------------------------------------------- */

typedef struct vdi__wire_client {
    vdi_allocator allocator;
    size_t bytes; /* of the block: this, the buffer, the pointers, the names */
    vdi_env_wire wire;
    int64_t observations, actions, components;
    bool broken; /* nobody knows where the next message begins */
    unsigned char *buffer;
} vdi__wire_client;

/* The text of a FAIL of `size` bytes, of which `fill` stand in the buffer: an error of its own. */
VDI__FN vdi_status vdi__wire_take_fail(const vdi_env_wire *wire, unsigned char *buffer, size_t fill,
                                       size_t size, bool *broken, vdi_error *err) {
    static const char where[] = "vdi_env_wire";
    unsigned char *text = buffer + VDI__WIRE_HEAD;
    const size_t whole = VDI__WIRE_HEAD + size;
    vdi_status status = vdi__wire_fill(wire, buffer, &fill, whole, VDI__WIRE_LEAST, where, err);
    if (status < 0) return status;
    *broken = false;
    text[size] = 0;
    for (size_t i = 0; i < size; i++) { /* one line, whatever a server sends */
        if (text[i] < 32 || text[i] == 127) text[i] = ' ';
    }
    return vdi_error_set(err, VDI_ERR_DATA, where, "the server says: %s", (const char *)text);
}

/* The reply to a request: `kind` with `size` bytes, which stand in the buffer behind the head. An
   INFO is as long as its names, and these are read by its caller. */
VDI__FN vdi_status vdi__wire_reply(const vdi_env_wire *wire, unsigned char *buffer, uint32_t kind,
                                   size_t size, bool *broken, vdi_error *err) {
    static const char where[] = "vdi_env_wire";
    const size_t whole = VDI__WIRE_HEAD + size;
    size_t fill = 0;
    char text[16], wanted[16];
    *broken = true;
    vdi_status status = vdi__wire_fill(wire, buffer, &fill, VDI__WIRE_HEAD, whole, where, err);
    if (status < 0) return status;
    const uint32_t came = vdi__wire_get_u32(buffer), bytes = vdi__wire_get_u32(buffer + 4);
    if (came == VDI__WIRE_FAIL && bytes < VDI__WIRE_FAIL_BODY) {
        return vdi__wire_take_fail(wire, buffer, fill, bytes, broken, err);
    }
    const bool fits = kind == VDI__WIRE_INFO ? bytes >= size : bytes == size;
    if (came != kind || !fits) {
        return vdi_error_set(err, VDI_ERR_FORMAT, where,
                             "expected the reply %s of %zu bytes, got %s of %u bytes%s",
                             vdi__wire_kind_text(kind, wanted), size,
                             vdi__wire_kind_text(came, text), (unsigned)bytes,
                             came == kind ? ""
                                          : " (a server may write nothing else to where its "
                                            "replies go)");
    }
    status = vdi__wire_fill(wire, buffer, &fill, whole, whole, where, err);
    *broken = status < 0;
    return status;
}

VDI__FN vdi_status vdi__wire_ask(vdi__wire_client *c, uint32_t kind, size_t size, uint32_t reply,
                                 int64_t numbers, vdi_error *err) {
    static const char where[] = "vdi_env_wire";
    if (c->broken) {
        return vdi_error_set(err, VDI_ERR_STATE, where,
                             "the connection to the server broke before");
    }
    vdi__wire_head(c->buffer, kind, size);
    if (!c->wire.write_fn(c->buffer, VDI__WIRE_HEAD + size, c->wire.user)) {
        c->broken = true;
        return vdi_error_set(err, VDI_ERR_IO, where,
                             "a request could not be written to the server");
    }
    return vdi__wire_reply(&c->wire, c->buffer, reply, (size_t)(4 * numbers), &c->broken, err);
}

VDI__FN vdi_status vdi__wire_reset(void *self, uint64_t seed, uint64_t episode, float *obs,
                                   vdi_error *err) {
    vdi__wire_client *c = (vdi__wire_client *)self;
    unsigned char *body = c->buffer + VDI__WIRE_HEAD;
    vdi__wire_put_u64(body, seed);
    vdi__wire_put_u64(body + 8, episode);
    vdi_status status =
        vdi__wire_ask(c, VDI__WIRE_RSET, VDI__WIRE_RSET_BODY, VDI__WIRE_OBSV, c->observations, err);
    if (status >= 0) vdi__wire_get_floats(body, c->observations, obs);
    return status;
}

VDI__FN vdi_status vdi__wire_step(void *self, const float *action, float *obs, float *reward,
                                  int *end, vdi_error *err) {
    vdi__wire_client *c = (vdi__wire_client *)self;
    unsigned char *body = c->buffer + VDI__WIRE_HEAD;
    vdi__wire_put_floats(body, c->actions, action);
    vdi_status status = vdi__wire_ask(c, VDI__WIRE_STEP, (size_t)(4 * c->actions), VDI__WIRE_TRAN,
                                      1 + c->components + c->observations, err);
    if (status < 0) return status;
    const uint32_t flags = vdi__wire_get_u32(body);
    if (flags > (VDI_ENV_TERMINATED | VDI_ENV_TRUNCATED)) {
        return vdi_error_set(err, VDI_ERR_FORMAT, "vdi_env_wire",
                             "expected the end of a step to be 0 to 3, got %u", (unsigned)flags);
    }
    *end = (int)flags;
    vdi__wire_get_floats(body + 4, c->components, reward);
    vdi__wire_get_floats(body + 4 + 4 * c->components, c->observations, obs);
    return VDI_OK;
}

VDI__FN void vdi__wire_close(void *self) {
    vdi__wire_client *c = (vdi__wire_client *)self;
    if (!c) return;
    vdi_allocator a = c->allocator;
    vdi__wire_head(c->buffer, VDI__WIRE_QUIT, 0);
    if (!c->broken) (void)c->wire.write_fn(c->buffer, VDI__WIRE_HEAD, c->wire.user);
    vdi_free(&a, c, c->bytes);
}

/* What an INFO says, before its names. */
typedef struct vdi__wire_info {
    int64_t observations, actions, components, limit;
    bool discrete;
    size_t names, text; /* how many, and their bytes */
} vdi__wire_info;

/* The flags, which stand before the names. */
VDI__FN vdi_status vdi__wire_flags(const vdi_env_wire *wire, vdi__wire_info *info, vdi_error *err) {
    static const char where[] = "vdi_env_wire_open";
    unsigned char word[4];
    size_t fill = 0;
    if (info->text < sizeof word) {
        return vdi_error_set(err, VDI_ERR_FORMAT, where, "expected flags, got the end of INFO");
    }
    info->text -= sizeof word;
    vdi_status status = vdi__wire_fill(wire, word, &fill, sizeof word, sizeof word, where, err);
    if (status < 0) return status;
    const uint32_t flags = vdi__wire_get_u32(word);
    if (flags & ~(uint32_t)VDI__WIRE_CHOICES) {
        return vdi_error_set(err, VDI_ERR_FORMAT, where, "expected flags of 0 or 1, got %u",
                             (unsigned)flags);
    }
    info->discrete = (flags & VDI__WIRE_CHOICES) != 0;
    return VDI_OK;
}

/* Greet the server and check the sizes that it tells. */
VDI__FN vdi_status vdi__wire_meet(const vdi_env_wire *wire, vdi__wire_info *info, vdi_error *err) {
    static const char where[] = "vdi_env_wire_open";
    unsigned char message[VDI__WIRE_LEAST], *body = message + VDI__WIRE_HEAD;
    bool broken;
    vdi__wire_head(message, VDI__WIRE_HELO, VDI__WIRE_HELO_BODY);
    memcpy(body, VDI__WIRE_MAGIC, 8);
    vdi__wire_put_u32(body + 8, VDI__WIRE_FIRST);
    if (!wire->write_fn(message, VDI__WIRE_HEAD + VDI__WIRE_HELO_BODY, wire->user)) {
        return vdi_error_set(err, VDI_ERR_IO, where,
                             "the greeting could not be written to the server");
    }
    vdi_status status =
        vdi__wire_reply(wire, message, VDI__WIRE_INFO, VDI__WIRE_INFO_BODY, &broken, err);
    if (status < 0) return status;
    const uint32_t version = vdi__wire_get_u32(body + 8);
    const bool magic = memcmp(body, VDI__WIRE_MAGIC, 8) == 0;
    if (!magic || version < VDI__WIRE_FIRST || version > VDI_ENV_WIRE_VERSION) {
        return vdi_error_set(err, VDI_ERR_FORMAT, where,
                             "expected a server of protocol version %d to %d, got version %u",
                             VDI__WIRE_FIRST, VDI_ENV_WIRE_VERSION, (unsigned)version);
    }
    info->observations = (int64_t)vdi__wire_get_u32(body + 12);
    info->actions = (int64_t)vdi__wire_get_u32(body + 16);
    info->components = (int64_t)vdi__wire_get_u32(body + 20);
    info->limit = (int64_t)vdi__wire_get_u32(body + 24);
    info->text = vdi__wire_get_u32(message + 4) - (size_t)VDI__WIRE_INFO_BODY;
    if (version > VDI__WIRE_FIRST) {
        status = vdi__wire_flags(wire, info, err);
        if (status < 0) return status;
    }
    if (info->observations < 1 || info->observations > VDI_ENV_MAX_OBSERVATIONS ||
        info->actions < 1 || info->actions > VDI_ENV_MAX_ACTIONS || info->components < 1 ||
        info->components > VDI_ENV_MAX_COMPONENTS) {
        return vdi_error_set(err, VDI_ERR_FORMAT, where,
                             "expected 1 to %d observations, 1 to %d actions, 1 to %d components, "
                             "got %lld, %lld, %lld",
                             VDI_ENV_MAX_OBSERVATIONS, VDI_ENV_MAX_ACTIONS, VDI_ENV_MAX_COMPONENTS,
                             (long long)info->observations, (long long)info->actions,
                             (long long)info->components);
    }
    if (info->text > VDI_ENV_WIRE_MAX_TEXT) {
        return vdi_error_set(err, VDI_ERR_FORMAT, where,
                             "expected at most %d bytes of names, got %zu", VDI_ENV_WIRE_MAX_TEXT,
                             info->text);
    }
    info->names = (size_t)(1 + info->observations + info->actions + info->components);
    return VDI_OK;
}

/* Finds the names in their text. Those of the environment and of its components may not be empty;
   all of them have to be UTF-8 without control characters. */
VDI__FN vdi_status vdi__wire_split(const vdi__wire_info *info, const char *text, const char **name,
                                   vdi_error *err) {
    static const char where[] = "vdi_env_wire_open";
    const size_t optional = (size_t)(info->observations + info->actions);
    size_t found = 0, at = 0, empty = 0;
    while (at < info->text && found < info->names) {
        const char *end = (const char *)memchr(text + at, 0, info->text - at);
        if (!end) break;
        name[found] = text + at;
        empty += end == name[found] && (found == 0 || found > optional);
        if (!vdi__env_name_ok(name[found])) {
            return vdi_error_set(err, VDI_ERR_FORMAT, where,
                                 "name %zu of %zu is not UTF-8 without control characters",
                                 found + 1, info->names);
        }
        found++;
        at = (size_t)(end - text) + 1;
    }
    if (found == info->names && at == info->text && !empty) return VDI_OK;
    return vdi_error_set(err, VDI_ERR_FORMAT, where,
                         "expected %zu names, each ended by a zero byte, those of the environment "
                         "and its components not empty; got %zu in %zu bytes, %zu of them empty",
                         info->names, found, info->text, empty);
}

VDI__DEF vdi_status vdi_env_wire_open(const vdi_env_wire *wire, const vdi_allocator *a,
                                      vdi_env *env, vdi_error *err) {
    static const char where[] = "vdi_env_wire_open";
    const vdi_allocator allocator = vdi_allocator_defaults(a);
    vdi__wire_info info = VDI__ZERO;
    memset(env, 0, sizeof *env);
    vdi_status status = vdi__wire_meet(wire, &info, err);
    if (status < 0) return status;
    /* one block: the client, pointers to names, the buffer, the names */
    const size_t pointers = info.names * sizeof(char *);
    const size_t numbers = 4 * (size_t)VDI__MAX(info.components + info.observations, info.actions);
    const size_t buffer = VDI__WIRE_LEAST + 4 + numbers;
    const size_t bytes = sizeof(vdi__wire_client) + pointers + buffer + info.text;
    vdi__wire_client *c = (vdi__wire_client *)vdi_alloc(&allocator, bytes);
    if (!c) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %zu bytes", bytes);
    memset(c, 0, sizeof *c);
    c->allocator = allocator;
    c->bytes = bytes;
    c->wire = *wire;
    c->observations = info.observations;
    c->actions = info.actions;
    c->components = info.components;
    const char **name = (const char **)(void *)(c + 1);
    c->buffer = (unsigned char *)(name + info.names);
    unsigned char *text = c->buffer + buffer;
    size_t fill = 0;
    status = vdi__wire_fill(wire, text, &fill, info.text, info.text, where, err);
    if (status >= 0) status = vdi__wire_split(&info, (const char *)text, name, err);
    if (status < 0) {
        vdi_free(&allocator, c, bytes);
        return status;
    }
    env->name = name[0];
    env->observations = info.observations;
    env->actions = info.actions;
    env->components = info.components;
    env->limit = info.limit;
    env->discrete = info.discrete;
    env->observation = name + 1;
    env->action = name + 1 + info.observations;
    env->component = name + 1 + info.observations + info.actions;
    env->reset = vdi__wire_reset;
    env->step = vdi__wire_step;
    env->close = vdi__wire_close;
    env->self = c;
    return VDI_OK;
}
#endif
