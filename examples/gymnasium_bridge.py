#!/usr/bin/env python3
"""Serves a Gymnasium or MO-Gymnasium environment to `vdi sacd train --env-cmd`.

    bridge="python3 examples/gymnasium_bridge.py"
    vdi sacd train --env-cmd "$bridge Pendulum-v1" --steps 10000 --out run
    vdi sacd train --env-cmd "$bridge mo-lunar-lander-continuous-v3 --import mo_gymnasium" ...
    vdi sacd train --env-cmd "$bridge Hopper-v5 --info reward_forward,reward_ctrl" ...

It speaks over standard input and output.

Where the reward is a vector, it is passed on (--names gives its components names). Where it is a
number, --info takes components from the info dictionary of each step, and `rest` is what is left of
the reward; without --info there is one component, `reward`.

Observations of any space that Gymnasium can flatten become float32. Actions come in [-1,1] and are
scaled to the bounds of the action space, a Box with finite ones, and rounded where it holds whole
numbers; of a Discrete space one of its choices is taken. Every episode is reset with a seed that is
a hash of (seed, episode).

Needs Python 3.8, and gymnasium (with mo_gymnasium for its environments). The protocol is on the
page docs/guide/environments.md.
"""
import argparse
import hashlib
import importlib
import math
import os
import struct
import sys
import traceback

MAGIC, VERSION, CHOICES = b"vdi-env\n", 1, 2  # a server says version 2 where it takes choices
TERMINATED, TRUNCATED = 1, 2
MOST_OBSERVATIONS, MOST_ACTIONS, MOST_COMPONENTS = 65536, 1024, 255


def arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "id",
        help="environment, such as Pendulum-v1; "
        "a module may stand before it: package.module:Name-v0",
    )
    parser.add_argument(
        "--import",
        dest="module",
        default=None,
        help="module to import first, such as mo_gymnasium or ale_py",
    )
    parser.add_argument("--names", default="", help="names of the reward's components, by commas")
    parser.add_argument(
        "--info",
        default="",
        help="keys of the info dictionary that are components of the reward, by commas",
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="argument for make(), a Python literal where it is one",
    )
    return parser.parse_args()


def literal(text):
    import ast

    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


class Refused(Exception):
    """An environment that cannot be served, and why."""


class Bridge:
    """One environment: sizes, names, and what a request does."""

    def __init__(self, args):
        import gymnasium

        module = args.module or ("mo_gymnasium" if args.id.startswith("mo-") else None)
        maker = importlib.import_module(module) if module else gymnasium
        make = getattr(maker, "make", gymnasium.make)
        settings = dict(item.split("=", 1) for item in args.set)
        self.env = make(args.id, **{key: literal(value) for key, value in settings.items()})
        spaces = gymnasium.spaces
        space = self.env.action_space
        self.discrete = isinstance(space, spaces.Discrete)
        if self.discrete:
            self.start, self.actions = int(space.start), int(space.n)
        elif isinstance(space, spaces.Box) and all(
            map(math.isfinite, space.low.ravel().tolist() + space.high.ravel().tolist())
        ):
            self.low, self.high = space.low.ravel().tolist(), space.high.ravel().tolist()
            self.actions, self.whole = len(self.low), space.dtype.kind in "iu"
        else:
            raise Refused(
                "expected an action space that is Discrete or a Box with finite bounds, "
                f"got {space}"
            )
        try:
            self.observations = math.prod(spaces.flatten_space(self.env.observation_space).shape)
        except (NotImplementedError, TypeError) as error:
            raise Refused(
                f"expected observations of a fixed size, got {self.env.observation_space} ({error})"
            )
        self.flatten = (
            lambda observation: spaces.flatten(self.env.observation_space, observation)
            .ravel()
            .tolist()
        )
        self.keys = [key for key in args.info.split(",") if key]
        rewards = getattr(self.env.unwrapped, "reward_space", None)
        self.vector = rewards is not None and not self.keys
        count = math.prod(rewards.shape) if self.vector else len(self.keys) + 1
        names = [name for name in args.names.split(",") if name]
        if names and len(names) != count:
            raise Refused(f"expected {count} names of components, got {len(names)}")
        self.components = names or (
            [f"reward{i}" for i in range(count)]
            if self.vector
            else self.keys + ["rest"]
            if self.keys
            else ["reward"]
        )
        spec = self.env.spec
        self.name, self.limit = (spec.id if spec else args.id), (
            spec.max_episode_steps or 0
        ) if spec else 0
        for what, number, most in (
            ("observations", self.observations, MOST_OBSERVATIONS),
            ("actions", self.actions, MOST_ACTIONS),
            ("components", count, MOST_COMPONENTS),
        ):
            if not 1 <= number <= most:
                raise Refused(f"expected 1 to {most} {what}, got {number}")

    def info(self):
        names = [self.name] + [""] * (self.observations + self.actions) + self.components
        text = b"".join(name.encode() + b"\0" for name in names)
        sizes = struct.pack(
            "<4I", self.observations, self.actions, len(self.components), self.limit
        )
        if self.discrete:
            return MAGIC + struct.pack("<I", CHOICES) + sizes + struct.pack("<I", 1) + text
        return MAGIC + struct.pack("<I", VERSION) + sizes + text

    def reset(self, seed, episode):
        number = (
            int.from_bytes(hashlib.sha256(struct.pack("<QQ", seed, episode)).digest()[:4], "little")
            & 0x7FFFFFFF
        )
        observation, _ = self.env.reset(seed=number)
        return struct.pack(f"<{self.observations}f", *self.flatten(observation))

    def action(self, numbers):
        if self.discrete:
            return self.start + max(range(self.actions), key=lambda i: numbers[i])
        action = self.env.action_space.low.copy()
        for i, x in enumerate(numbers):
            scaled = self.low[i] + (x + 1) / 2 * (self.high[i] - self.low[i])
            action.flat[i] = round(scaled) if self.whole else scaled
        return action

    def step(self, numbers):
        action = self.action(numbers)
        observation, reward, terminated, truncated, info = self.env.step(action)
        if self.vector:
            parts = reward.ravel().tolist()
        else:
            parts = [float(info[key]) for key in self.keys]
            parts.append(float(reward) - sum(parts))
        end = (TERMINATED if terminated else 0) | (TRUNCATED if truncated else 0)
        return struct.pack(
            f"<I{len(parts) + self.observations}f", end, *parts, *self.flatten(observation)
        )


class Wire:
    """Messages on two file descriptors: four letters, a length, and as many bytes."""

    def __init__(self):
        self.requests, self.replies = os.dup(0), os.dup(1)
        os.dup2(2, 1)  # what an environment prints must not come between the replies
        sys.stdout = sys.stderr

    def take(self, size):
        data = b""
        while len(data) < size:
            part = os.read(self.requests, size - len(data))
            if not part:
                raise EOFError
            data += part
        return data

    def request(self):
        kind, size = struct.unpack("<4sI", self.take(8))
        if size > 4096:
            raise ValueError(f"a request of {size} bytes")
        return kind, self.take(size)

    def reply(self, kind, data):
        message = struct.pack("<4sI", kind, len(data)) + data
        while message:
            message = message[os.write(self.replies, message) :]


def main():
    args = arguments()
    wire = Wire()
    bridge, reason = None, None
    try:
        bridge = Bridge(args)
    # a misspelt name, a missing package, a space that does not fit: told as the answer to HELO
    except Exception as error:
        reason = f"{args.id}: {error}".replace("\n", " ")
    while True:
        try:
            kind, data = wire.request()
        except EOFError:
            return
        if kind == b"QUIT":
            return
        try:
            if kind == b"HELO" and reason:
                wire.reply(b"FAIL", reason.encode()[:250])
                return
            if kind == b"HELO":
                if data != MAGIC + struct.pack("<I", VERSION):
                    raise ValueError(f"this server speaks version {VERSION} of the protocol")
                wire.reply(b"INFO", bridge.info())
            elif kind == b"RSET":
                wire.reply(b"OBSV", bridge.reset(*struct.unpack("<QQ", data)))
            elif kind == b"STEP":
                wire.reply(b"TRAN", bridge.step(struct.unpack(f"<{bridge.actions}f", data)))
            else:
                raise ValueError(f"a request is not the protocol: {kind!r}")
        except Exception as error:  # told to the client, which may begin another episode
            traceback.print_exc()
            wire.reply(b"FAIL", f"{type(error).__name__}: {error}".encode()[:200])


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        sys.exit(1)
