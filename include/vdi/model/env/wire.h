/* model/env/wire.h - an environment at the other end of a pipe: both sides of the protocol
 *
 * Do this, in a simulator (a server), which then speaks to `vdi sacd train --env-cmd`:
 *     vdi_env_wire wire = {read_stdin, write_stdout, NULL};   your two callbacks: stdio, sockets, a UART
 *     if (vdi_env_wire_serve(&env, &wire, &err) < 0) puts(err.message);
 *
 * and in a program that wants to use one:
 *     vdi_env far;
 *     if (vdi_env_wire_open(&wire, NULL, &far, &err) < 0) puts(err.message);
 *     else vdi_env_close(&far);
 *
 * The protocol, version 1, is requests and replies in turn; docs/env.md has it with an example in
 * bytes. All is little-endian. A message is four letters of kind, a u32 of the bytes that follow,
 * and those:
 *     client  HELO  "vdi-env\n", u32 version                  server  INFO   "vdi-env\n", u32
 *                   version, u32 observations, actions,
 *   components, limit, then names, each ended by a zero byte:
 *   of the environment, of every observation, action, component
 *     client  RSET  u64 seed, u64 episode                     server  OBSV   f32 observation[]
 *     client  STEP  f32 action[]                              server  TRAN   u32 end, f32 reward[],
 *                   f32 observation[]
 *     client  QUIT  (no reply)                                server  FAIL   text: instead of any
 *                   reply
 * Every message is written by one call and, as a rule, read by one.
 *
 * Trust: neither side believes the other. Sizes are checked against the limits of env.h before
 * memory is asked for, each reply has to be of the kind and length that was expected, and
 * vdi_env_step looks for numbers that are not finite. After a malformed reply the client refuses to
 * go on (VDI_ERR_STATE), since nobody knows where the next message begins; after a FAIL it may
 * begin another episode. What it does NOT do: timeouts (the read callback's business), several
 * environments on one wire.
 * Memory: the client has one block; the server none. Errors: VDI_ERR_IO where a callback failed or
 * the other end is gone, VDI_ERR_FORMAT for what is not the protocol, VDI_ERR_DATA for a FAIL.
 * Threads: one wire, one thread.
 */
#ifndef VDI_MODEL_ENV_WIRE_H
#define VDI_MODEL_ENV_WIRE_H
#include "../../core/alloc.h"
#include "env.h"

/** Version of the protocol. */
#define VDI_ENV_WIRE_VERSION 1
/** Most bytes of all names together that a client accepts. */
#define VDI_ENV_WIRE_MAX_TEXT 65536

/** Two callbacks between which the protocol runs. */
typedef struct vdi_env_wire {
    /** Read up to `size` bytes, waiting for at least one; returns how many came, 0 at the end,
     * negative on failure or a timeout. */
    int64_t (*read_fn)(void *buffer, size_t size, void *user);
    /** Write all `size` bytes and flush them; false on failure. */
    bool (*write_fn)(const void *data, size_t size, void *user);
    void *user; /**< handed to both */
} vdi_env_wire;

/** Serve `env` until the client quits or its end closes (VDI_OK). An error of the environment is
 * told to the client and is not one here. */
VDI_API VDI_NODISCARD vdi_status vdi_env_wire_serve(vdi_env *env, const vdi_env_wire *wire,
                                                    vdi_error *err);
/** Make an environment of the server behind `wire` (copied); `a` NULL: malloc. `env` is zero after
 * an error. Pair with vdi_env_close,
 *  which tells the server to quit. */
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
    VDI__WIRE_HEAD = 8,       /* kind and size */
    VDI__WIRE_INFO_HEAD = 28, /* magic, version, four sizes; names follow */
    VDI__WIRE_FAIL_TEXT = 256,
    /* the longest message of fixed size: a TRAN */
    VDI__WIRE_MAX = VDI__WIRE_HEAD + 4 + 4 * (VDI_ENV_MAX_COMPONENTS + VDI_ENV_MAX_OBSERVATIONS)
};

/* ---- numbers --------------------------------------------------------------------------------- */

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
    for (int64_t i = 0; i < n; i++, p += 4) {
        uint32_t bits;
        memcpy(&bits, x + i, 4);
        vdi__wire_put_u32(p, bits);
    }
}
VDI__FN void vdi__wire_get_floats(const unsigned char *p, int64_t n, float *x) {
    for (int64_t i = 0; i < n; i++, p += 4) {
        uint32_t bits = vdi__wire_get_u32(p);
        memcpy(x + i, &bits, 4);
    }
}

/* ---- messages -------------------------------------------------------------------------------- */

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

/* Read until `fill` reaches `need`, taking up to `room` bytes where more are there already. */
VDI__FN vdi_status vdi__wire_fill(const vdi_env_wire *wire, unsigned char *buffer, size_t *fill,
                                  size_t need, size_t room, const char *where, vdi_error *err) {
    while (*fill < need) {
        int64_t n = wire->read_fn(buffer + *fill, room - *fill, wire->user);
        if (n <= 0 || (uint64_t)n > (uint64_t)(room - *fill)) {
            return vdi_error_set(
                err, VDI_ERR_IO, where, "the other end %s, after %zu of %zu bytes of a message",
                n == 0 ? "closed the connection" : "could not be read", *fill, need);
        }
        *fill += (size_t)n;
    }
    return VDI_OK;
}

/* ---- the server ------------------------------------------------------------------------------ */

VDI__FN bool vdi__wire_send_fail(const vdi_env_wire *wire, const char *text) {
    unsigned char message[VDI__WIRE_HEAD + VDI__WIRE_FAIL_TEXT];
    size_t n = vdi_text_copy((char *)message + VDI__WIRE_HEAD, VDI__WIRE_FAIL_TEXT, text);
    vdi__wire_head(message, VDI__WIRE_FAIL, n);
    return wire->write_fn(message, VDI__WIRE_HEAD + n, wire->user);
}

/* Name number i of the INFO message: of the environment, its observations, actions, components. ""
 * for one without a name. */
VDI__FN const char *vdi__wire_name(const vdi_env *env, int64_t i) {
    if (i == 0) return env->name;
    i -= 1;
    if (i < env->observations) return env->observation ? env->observation[i] : "";
    i -= env->observations;
    if (i < env->actions) return env->action ? env->action[i] : "";
    return env->component[i - env->actions];
}

VDI__FN bool vdi__wire_send_info(const vdi_env_wire *wire, const vdi_env *env) {
    unsigned char message[VDI__WIRE_HEAD + VDI__WIRE_INFO_HEAD];
    int64_t names = 1 + env->observations + env->actions + env->components;
    size_t text = 0;
    for (int64_t i = 0; i < names; i++)
        text += strlen(vdi__wire_name(env, i)) + 1;
    vdi__wire_head(message, VDI__WIRE_INFO, VDI__WIRE_INFO_HEAD + text);
    memcpy(message + 8, VDI__WIRE_MAGIC, 8);
    vdi__wire_put_u32(message + 16, VDI_ENV_WIRE_VERSION);
    vdi__wire_put_u32(message + 20, (uint32_t)env->observations);
    vdi__wire_put_u32(message + 24, (uint32_t)env->actions);
    vdi__wire_put_u32(message + 28, (uint32_t)env->components);
    vdi__wire_put_u32(message + 32, (uint32_t)env->limit);
    bool ok = wire->write_fn(message, sizeof message, wire->user);
    for (int64_t i = 0; ok && i < names; i++) {
        const char *name = vdi__wire_name(env, i);
        ok = wire->write_fn(name, strlen(name) + 1, wire->user);
    }
    return ok;
}

VDI__DEF vdi_status vdi_env_wire_serve(vdi_env *env, const vdi_env_wire *wire, vdi_error *err) {
    const char *where = "vdi_env_wire_serve";
    unsigned char in[VDI__WIRE_HEAD + 4 * VDI_ENV_MAX_ACTIONS], out[VDI__WIRE_MAX];
    float action[VDI_ENV_MAX_ACTIONS], obs[VDI_ENV_MAX_OBSERVATIONS],
        reward[VDI_ENV_MAX_COMPONENTS];
    size_t fill = 0;
    bool greeted = false, running = false, ok = true;
    vdi_status status = vdi_env_check(env, err);
    if (status < 0) return status;
    while (ok) {
        vdi_error mishap = VDI__ZERO;
        char text[16];
        int64_t n = 0;
        if (fill == 0) { /* between two messages the end may come */
            n = wire->read_fn(in, sizeof in, wire->user);
            if (n == 0) return VDI_OK;
            if (n < 0 || (uint64_t)n > sizeof in)
                return vdi_error_set(err, VDI_ERR_IO, where, "the client could not be read");
            fill = (size_t)n;
        }
        status = vdi__wire_fill(wire, in, &fill, VDI__WIRE_HEAD, sizeof in, where, err);
        if (status < 0) return status;
        uint32_t kind = vdi__wire_get_u32(in), size = vdi__wire_get_u32(in + 4), expected = 0;
        if (kind == VDI__WIRE_HELO)
            expected = 12;
        else if (kind == VDI__WIRE_RSET)
            expected = 16;
        else if (kind == VDI__WIRE_STEP)
            expected = (uint32_t)(4 * env->actions);
        else if (kind != VDI__WIRE_QUIT || !greeted)
            expected = UINT32_MAX;
        if (size != expected || (!greeted && kind != VDI__WIRE_HELO)) {
            (void)vdi_error_set(err, VDI_ERR_FORMAT, where, "expected %s, got %s of %u bytes",
                                !greeted ? "HELO of 12 bytes"
                                : kind == VDI__WIRE_STEP
                                    ? "STEP with as many numbers as there are actions"
                                    : "HELO, RSET of 16 bytes, STEP or QUIT",
                                vdi__wire_kind_text(kind, text), (unsigned)size);
            (void)vdi_error_set(&mishap, VDI_ERR_FORMAT, where,
                                "a request is not the protocol: %s of %u bytes", text,
                                (unsigned)size);
            (void)vdi__wire_send_fail(wire, mishap.message);
            return VDI_ERR_FORMAT;
        }
        status = vdi__wire_fill(wire, in, &fill, VDI__WIRE_HEAD + expected, sizeof in, where, err);
        if (status < 0) return status;
        const unsigned char *body = in + VDI__WIRE_HEAD;
        if (kind == VDI__WIRE_QUIT) return VDI_OK;
        if (kind == VDI__WIRE_HELO) {
            if (memcmp(body, VDI__WIRE_MAGIC, 8) != 0 ||
                vdi__wire_get_u32(body + 8) != VDI_ENV_WIRE_VERSION) {
                (void)vdi_error_set(err, VDI_ERR_FORMAT, where,
                                    "expected a client of protocol version %d, got version %u",
                                    VDI_ENV_WIRE_VERSION, (unsigned)vdi__wire_get_u32(body + 8));
                (void)vdi__wire_send_fail(wire, "this server speaks version 1 of the protocol");
                return VDI_ERR_FORMAT;
            }
            greeted = true;
            ok = vdi__wire_send_info(wire, env);
        } else if (kind == VDI__WIRE_RSET) {
            running = vdi_env_reset(env, vdi__wire_get_u64(body), vdi__wire_get_u64(body + 8), obs,
                                    &mishap) >= 0;
            if (running) {
                vdi__wire_head(out, VDI__WIRE_OBSV, (size_t)(4 * env->observations));
                vdi__wire_put_floats(out + VDI__WIRE_HEAD, env->observations, obs);
                ok = wire->write_fn(out, (size_t)(VDI__WIRE_HEAD + 4 * env->observations),
                                    wire->user);
            } else {
                ok = vdi__wire_send_fail(wire, mishap.message);
            }
        } else {
            int end = 0;
            vdi__wire_get_floats(body, env->actions, action);
            if (!running) {
                (void)vdi_error_set(&mishap, VDI_ERR_STATE, where,
                                    "a step without an episode that runs: reset first");
            } else {
                running = vdi_env_step(env, action, obs, reward, &end, &mishap) >= 0;
            }
            if (running) {
                int64_t numbers = 1 + env->components + env->observations;
                vdi__wire_head(out, VDI__WIRE_TRAN, (size_t)(4 * numbers));
                vdi__wire_put_u32(out + 8, (uint32_t)end);
                vdi__wire_put_floats(out + 12, env->components, reward);
                vdi__wire_put_floats(out + 12 + 4 * env->components, env->observations, obs);
                ok = wire->write_fn(out, (size_t)(VDI__WIRE_HEAD + 4 * numbers), wire->user);
                running = end == 0;
            } else {
                ok = vdi__wire_send_fail(wire, mishap.message);
            }
        }
        fill -= VDI__WIRE_HEAD + expected; /* a client need not wait for replies */
        memmove(in, in + VDI__WIRE_HEAD + expected, fill);
    }
    return vdi_error_set(err, VDI_ERR_IO, where, "a reply could not be written to the client");
}

/* ---- the client ------------------------------------------------------------------------------ */

typedef struct vdi__wire_client {
    vdi_allocator allocator;
    size_t size; /* of the block: this, the pointers, the names */
    vdi_env_wire wire;
    int64_t observations, actions, components;
    bool broken; /* nobody knows where the next message begins */
    unsigned char buffer[VDI__WIRE_MAX];
} vdi__wire_client;

/* The reply to a request: `kind` with `size` bytes, whose place is the buffer behind the head. */
VDI__FN vdi_status vdi__wire_reply(const vdi_env_wire *wire, unsigned char *buffer, uint32_t kind,
                                   size_t size, bool *broken, vdi_error *err) {
    const char *where = "vdi_env_wire";
    size_t fill = 0, room = VDI__WIRE_HEAD + size;
    char text[16], wanted[16];
    *broken = true;
    vdi_status status = vdi__wire_fill(wire, buffer, &fill, VDI__WIRE_HEAD, room, where, err);
    if (status < 0) return status;
    uint32_t came = vdi__wire_get_u32(buffer), bytes = vdi__wire_get_u32(buffer + 4);
    if (came == VDI__WIRE_FAIL && bytes < VDI__WIRE_FAIL_TEXT) {
        status =
            vdi__wire_fill(wire, buffer, &fill, VDI__WIRE_HEAD + bytes, VDI__WIRE_MAX, where, err);
        if (status < 0) return status;
        *broken = false;
        buffer[VDI__WIRE_HEAD + bytes] = 0;
        for (uint32_t i = 0; i < bytes; i++) /* one line, whatever a server sends */
            if (buffer[VDI__WIRE_HEAD + i] < 32) buffer[VDI__WIRE_HEAD + i] = ' ';
        return vdi_error_set(err, VDI_ERR_DATA, where, "the server says: %s",
                             (const char *)buffer + VDI__WIRE_HEAD);
    }
    /* an INFO is as long as its names, and is read by its caller */
    if (came != kind || (kind != VDI__WIRE_INFO && bytes != size) ||
        (kind == VDI__WIRE_INFO && bytes < size)) {
        return vdi_error_set(
            err, VDI_ERR_FORMAT, where, "expected the reply %s of %zu bytes, got %s of %u bytes%s",
            vdi__wire_kind_text(kind, wanted), size, vdi__wire_kind_text(came, text),
            (unsigned)bytes,
            came == kind ? "" : " (a server may write nothing else to where its replies go)");
    }
    status = vdi__wire_fill(wire, buffer, &fill, room, room, where, err);
    *broken = status < 0;
    return status;
}

VDI__FN vdi_status vdi__wire_ask(vdi__wire_client *c, uint32_t kind, size_t size, uint32_t reply,
                                 int64_t numbers, vdi_error *err) {
    const char *where = "vdi_env_wire";
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
    vdi__wire_put_u64(c->buffer + 8, seed);
    vdi__wire_put_u64(c->buffer + 16, episode);
    vdi_status status = vdi__wire_ask(c, VDI__WIRE_RSET, 16, VDI__WIRE_OBSV, c->observations, err);
    if (status >= 0) vdi__wire_get_floats(c->buffer + 8, c->observations, obs);
    return status;
}

VDI__FN vdi_status vdi__wire_step(void *self, const float *action, float *obs, float *reward,
                                  int *end, vdi_error *err) {
    vdi__wire_client *c = (vdi__wire_client *)self;
    vdi__wire_put_floats(c->buffer + 8, c->actions, action);
    vdi_status status = vdi__wire_ask(c, VDI__WIRE_STEP, (size_t)(4 * c->actions), VDI__WIRE_TRAN,
                                      1 + c->components + c->observations, err);
    if (status < 0) return status;
    uint32_t flags = vdi__wire_get_u32(c->buffer + 8);
    if (flags > (VDI_ENV_TERMINATED | VDI_ENV_TRUNCATED)) {
        return vdi_error_set(err, VDI_ERR_FORMAT, "vdi_env_wire",
                             "expected the end of a step to be 0 to 3, got %u", (unsigned)flags);
    }
    *end = (int)flags;
    vdi__wire_get_floats(c->buffer + 12, c->components, reward);
    vdi__wire_get_floats(c->buffer + 12 + 4 * c->components, c->observations, obs);
    return VDI_OK;
}

VDI__FN void vdi__wire_close(void *self) {
    vdi__wire_client *c = (vdi__wire_client *)self;
    if (!c) return;
    vdi_allocator a = c->allocator;
    vdi__wire_head(c->buffer, VDI__WIRE_QUIT, 0);
    if (!c->broken) (void)c->wire.write_fn(c->buffer, VDI__WIRE_HEAD, c->wire.user);
    vdi_free(&a, c, c->size);
}

VDI__DEF vdi_status vdi_env_wire_open(const vdi_env_wire *wire, const vdi_allocator *a,
                                      vdi_env *env, vdi_error *err) {
    const char *where = "vdi_env_wire_open";
    vdi_allocator allocator = vdi_allocator_defaults(a);
    unsigned char head[VDI__WIRE_MAX];
    bool broken;
    memset(env, 0, sizeof *env);
    vdi__wire_head(head, VDI__WIRE_HELO, 12);
    memcpy(head + 8, VDI__WIRE_MAGIC, 8);
    vdi__wire_put_u32(head + 16, VDI_ENV_WIRE_VERSION);
    if (!wire->write_fn(head, 20, wire->user)) {
        return vdi_error_set(err, VDI_ERR_IO, where,
                             "the greeting could not be written to the server");
    }
    vdi_status status =
        vdi__wire_reply(wire, head, VDI__WIRE_INFO, VDI__WIRE_INFO_HEAD, &broken, err);
    if (status < 0) return status;
    const unsigned char *info = head + VDI__WIRE_HEAD;
    int64_t size[4]; /* observations, actions, components, limit */
    if (memcmp(info, VDI__WIRE_MAGIC, 8) != 0 ||
        vdi__wire_get_u32(info + 8) != VDI_ENV_WIRE_VERSION) {
        return vdi_error_set(err, VDI_ERR_FORMAT, where,
                             "expected a server of protocol version %d, got version %u",
                             VDI_ENV_WIRE_VERSION, (unsigned)vdi__wire_get_u32(info + 8));
    }
    for (int i = 0; i < 4; i++)
        size[i] = (int64_t)vdi__wire_get_u32(info + 12 + 4 * i);
    size_t text = vdi__wire_get_u32(head + 4) - (size_t)VDI__WIRE_INFO_HEAD;
    if (size[0] < 1 || size[0] > VDI_ENV_MAX_OBSERVATIONS || size[1] < 1 ||
        size[1] > VDI_ENV_MAX_ACTIONS || size[2] < 1 || size[2] > VDI_ENV_MAX_COMPONENTS) {
        return vdi_error_set(err, VDI_ERR_FORMAT, where,
                             "expected 1 to %d observations, 1 to %d actions, 1 to %d components, "
                             "got %lld, %lld, %lld",
                             VDI_ENV_MAX_OBSERVATIONS, VDI_ENV_MAX_ACTIONS, VDI_ENV_MAX_COMPONENTS,
                             (long long)size[0], (long long)size[1], (long long)size[2]);
    }
    if (text > VDI_ENV_WIRE_MAX_TEXT) {
        return vdi_error_set(err, VDI_ERR_FORMAT, where,
                             "expected at most %d bytes of names, got %zu", VDI_ENV_WIRE_MAX_TEXT,
                             text);
    }
    size_t names = (size_t)(1 + size[0] + size[1] + size[2]);
    size_t bytes = sizeof(vdi__wire_client) + names * sizeof(char *) + text;
    size_t fill = 0;

    size_t at = 0;
    vdi__wire_client *c = (vdi__wire_client *)vdi_alloc(&allocator, bytes);
    if (!c) return vdi_error_set(err, VDI_ERR_MEMORY, where, "no memory for %zu bytes", bytes);
    memset(c, 0, sizeof *c);
    c->allocator = allocator;
    c->size = bytes;
    c->wire = *wire;
    c->observations = size[0];
    c->actions = size[1];
    c->components = size[2];
    const char **name = (const char **)(void *)(c + 1);
    char *letters = (char *)(name + names);
    status = vdi__wire_fill(wire, (unsigned char *)letters, &fill, text, text, where, err);
    size_t found = 0, unnamed = 0;
    for (; status >= 0 && at < text && found < names; found++) {
        name[found] = letters + at;
        while (at < text && letters[at]) {
            if ((unsigned char)letters[at] < 32) letters[at] = ' ';
            at++;
        }
        if (at == text) break; /* not ended */
        unnamed +=
            letters + at == name[found] && (found == 0 || found > (size_t)(size[0] + size[1]));
        at++;
    }
    if (status >= 0 && (found != names || at != text || unnamed)) {
        status = vdi_error_set(err, VDI_ERR_FORMAT, where,
                               "expected %zu names, each ended by a zero byte, those of the "
                               "environment and its components not empty; got %zu in %zu bytes, "
                               "%zu of them empty",
                               names, found, text, unnamed);
    }
    if (status < 0) {
        vdi_free(&allocator, c, bytes);
        return status;
    }
    env->name = name[0];
    env->observations = size[0];
    env->actions = size[1];
    env->components = size[2];
    env->limit = size[3];
    env->observation = name + 1;
    env->action = name + 1 + size[0];
    env->component = name + 1 + size[0] + size[1];
    env->reset = vdi__wire_reset;
    env->step = vdi__wire_step;
    env->close = vdi__wire_close;
    env->self = c;
    return VDI_OK;
}
#endif
