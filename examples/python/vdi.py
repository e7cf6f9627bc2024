"""vdi for Python: spikes from fluorescence, latents behind populations, agents that explain.

    import vdi
    s = vdi.spikes(traces, fps=30)            # (neurons, frames) -> s.spikes of the same shape
    model = vdi.LDS(d=2).fit(y, steps=50)     # (trials, T, n), NaN is missing
    model.smooth(y).mean                      # (trials, T, 2)
    flds = vdi.fLDS(d=2).fit(counts)
    agent = vdi.Agent("pendulum").train(5000)

One file on ctypes and NumPy, without a build of its own. It needs the compiled library: `make lib`,
found beside this file, in build/lib of the repository, where VDI_LIBRARY says, or installed.
Nothing in here repeats the header: the library hands out what its header declares, as JSON, and all
structs and functions are made from it when this module is imported. `vdi.c` holds all of them under
their own names: vdi.c.vdi_lds_desc, vdi.c.VDI_F64, vdi.c.vdi_gemm(...).

A status below zero is an exception, vdi.Error. Arrays go in and come out without copies where they
have a type that vdi knows. Options are the fields of the description in the header, by name:
vdi.LDS(d=2, diagonal_r=True); help(vdi.LDS) lists them.
"""
import ctypes
import json
import os
import re
import sys
from collections import namedtuple
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np

__all__ = ["spikes", "LDS", "PLDS", "fLDS", "Agent", "Figure", "Error", "version", "c"]

# ---- the library, from its own description -------------------------------------------------------


class Error(Exception):
    """What vdi says of a call that failed: a sentence; `status` is the number, `name` its name."""

    def __init__(self, message, status=-1):
        super().__init__(message)
        self.status = status
        self.name = _text(_library.vdi_status_name(status)) if status > -100 else "python"


def _open():
    here = os.path.dirname(os.path.abspath(__file__))
    names = {"win32": ["vdi.dll"], "darwin": ["libvdi.dylib", "libvdi.so"]}.get(
        sys.platform, ["libvdi.so"]
    )
    folders = [here, os.path.join(here, "../../build/lib"), os.path.join(here, "../../lib"), ""]
    tried = (
        [os.environ["VDI_LIBRARY"]]
        if "VDI_LIBRARY" in os.environ
        else [os.path.join(f, n) for f in folders for n in names]
    )
    for path in tried:
        try:
            return ctypes.CDLL(path)
        except OSError as error:
            last = error
    raise ImportError(
        "vdi: the compiled library was not found (`make lib` builds it); tried %s; %s"
        % (", ".join(tried), last)
    )


_library = _open()
_library.vdi_api_json.restype = ctypes.c_char_p
_library.vdi_status_name.restype = ctypes.c_char_p
_library.vdi_sizeof.restype = ctypes.c_size_t
_api = json.loads(_library.vdi_api_json().decode())

_PLAIN = {
    "void": None,
    "char": ctypes.c_char,
    "bool": ctypes.c_bool,
    "_Bool": ctypes.c_bool,
    "int": ctypes.c_int,
    "unsigned": ctypes.c_uint,
    "unsigned int": ctypes.c_uint,
    "float": ctypes.c_float,
    "double": ctypes.c_double,
    "size_t": ctypes.c_size_t,
    "uintptr_t": ctypes.c_size_t,
    "unsigned char": ctypes.c_ubyte,
    "long long": ctypes.c_longlong,
    "int8_t": ctypes.c_int8,
    "uint8_t": ctypes.c_uint8,
    "int16_t": ctypes.c_int16,
    "uint16_t": ctypes.c_uint16,
    "int32_t": ctypes.c_int32,
    "uint32_t": ctypes.c_uint32,
    "int64_t": ctypes.c_int64,
    "uint64_t": ctypes.c_uint64,
}
_structs = {}


def _text(value):
    return value.decode() if isinstance(value, bytes) else value


def _base(text):
    """The type under the pointers of a C type, and how many there are."""
    words = re.sub(r"\bconst\b|\bstruct\b|\benum\b", " ", text).replace("*", " * ").split()
    return " ".join(w for w in words if w != "*"), words.count("*")


def _ctype(text):
    """A C type, as the description spells it, for the members of structs and for results."""
    if "(*)" in text:
        result, parameters = text.split("(*)", 1)
        try:
            kinds = [_ctype(_parameter_type(p)) for p in parameters.strip()[1:-1].split(",")]
        except KeyError:  # about something private
            return ctypes.c_void_p
        return ctypes.CFUNCTYPE(_ctype(result), *[k for k in kinds if k is not None])
    base, stars = _base(text)
    if stars == 0:
        return _PLAIN.get(base) if base in _PLAIN else _structs[base]
    kind = _PLAIN.get(base) or _structs.get(base)
    if base == "char":
        kind, stars = ctypes.c_char_p, stars - 1
    if kind is None:
        return ctypes.c_void_p
    for _ in range(stars):
        kind = ctypes.POINTER(kind)
    return kind


def _parameter_type(text):
    match = re.match(r"(.*?)([A-Za-z_0-9]*)$", text.strip())
    return match.group(1).strip() or text.strip()


class _Argument:
    """A pointer parameter: None, an array of the right type, a text, a ctypes object, or an
    address."""

    def __init__(self, text):
        self.text = text
        base, stars = _base(text)
        self.dtype = None
        if stars == 1 and base in _PLAIN and base not in ("void", "char"):
            self.dtype = np.dtype(_PLAIN[base])
        self.writes = "const" not in text

    def from_param(self, value):
        if isinstance(value, np.ndarray):
            if self.dtype is not None and value.dtype != self.dtype:
                raise TypeError(
                    "expected an array of %s for %s, got %s" % (self.dtype, self.text, value.dtype)
                )
            if not value.flags.c_contiguous or (self.writes and not value.flags.writeable):
                raise TypeError(
                    "expected an array without gaps that may be written for %s" % self.text
                )
            return ctypes.c_void_p(value.ctypes.data)
        if isinstance(value, str):
            return ctypes.c_char_p(value.encode())
        if isinstance(value, bytes):
            return ctypes.c_char_p(value)
        if isinstance(
            value, (ctypes.Structure, ctypes.Array, ctypes._SimpleCData)
        ) and not isinstance(value, ctypes.c_void_p):
            return ctypes.byref(value)
        return value if value is None or not isinstance(value, int) else ctypes.c_void_p(value)


def _build():
    """Everything that the description lists, in one namespace."""
    names = SimpleNamespace()
    for entry in _api["constants"]:
        setattr(names, entry["name"], entry["value"])
    for entry in _api["enums"]:
        if entry["name"]:
            _PLAIN[entry["name"]] = ctypes.c_int
        for value in entry["values"]:
            setattr(names, value["name"], value["value"])
    for entry in _api["opaque"] + _api["structs"]:
        _structs[entry["name"]] = type(
            entry["name"], (ctypes.Structure,), {"__doc__": entry["doc"], "__slots__": ()}
        )
        setattr(names, entry["name"], _structs[entry["name"]])
    for entry in _api["callbacks"]:
        kinds = [_ctype(p["type"]) for p in entry["params"]]
        if (
            all(_base(p["type"])[1] or _base(p["type"])[0] in _PLAIN for p in entry["params"])
            and _base(entry["returns"])[0] in _PLAIN
        ):
            _PLAIN[entry["name"]] = ctypes.CFUNCTYPE(_ctype(entry["returns"]), *kinds)
        else:  # structs by value, in and out: an address
            _PLAIN[entry["name"]] = ctypes.c_void_p
        setattr(names, entry["name"], _PLAIN[entry["name"]])
    for entry in _api["structs"]:
        _structs[entry["name"]]._fields_ = [(f["name"], _member(f)) for f in entry["fields"]]
        size = _library.vdi_sizeof(entry["name"].encode())
        if size != ctypes.sizeof(_structs[entry["name"]]):
            raise ImportError(
                "vdi: %s has %d bytes in the library, %d here"
                % (entry["name"], size, ctypes.sizeof(_structs[entry["name"]]))
            )
    for entry in _api["functions"]:
        setattr(names, entry["name"], _function(entry))
    return names


def _member(field):
    if field["type"] == "union":
        kind = type(
            "union",
            (ctypes.Union,),
            {"_fields_": [(f["name"], _member(f)) for f in field["fields"]]},
        )
    elif "(*)" in field["type"] and "vdi_var" in field["type"]:
        kind = ctypes.c_void_p
    else:
        kind = _ctype(field["type"])
    for extent in reversed(field.get("array", [])):
        kind = kind * extent
    return kind


def _function(entry):
    function = getattr(_library, entry["name"])
    function.restype = _ctype(entry["returns"])
    if not any(p["name"] == "..." or p["type"] == "va_list" for p in entry["params"]):
        function.argtypes = [
            _Argument(p["type"] + " *" * len(p.get("array", [])))
            if "*" in p["type"] or "array" in p
            else _ctype(p["type"])
            for p in entry["params"]
        ]
    function.__doc__ = "%s %s(%s)\n%s" % (
        entry["returns"],
        entry["name"],
        ", ".join("%s %s" % (p["type"], p["name"]) for p in entry["params"]),
        entry["doc"],
    )
    return function


c = _build()


def version():
    """The version of the library."""
    return _text(c.vdi_version())


def _call(function, *arguments):
    """A function whose last parameter is a vdi_error; returns its status."""
    error = c.vdi_error()
    status = function(*arguments, error)
    if status < 0:
        raise Error(_text(error.message) or function.__name__, status)
    return status


def _make(function, kind, *arguments):
    """A function with an `out` parameter before its vdi_error; returns the object that it made."""
    out = ctypes.POINTER(kind)()
    _call(function, *arguments, ctypes.byref(out))
    return out


_DTYPES = {
    "float32": "VDI_F32",
    "float64": "VDI_F64",
    "uint8": "VDI_U8",
    "int16": "VDI_I16",
    "int32": "VDI_I32",
    "int64": "VDI_I64",
    "bool": "VDI_BOOL",
}


def _array(values, what):
    """As an array of a type that vdi knows, without a copy where it is one already."""
    array = np.asarray(values)
    if array.dtype.name not in _DTYPES or not array.dtype.isnative:
        if array.dtype.kind not in "fiub":
            raise Error("%s: expected numbers, got %s" % (what, array.dtype))
        array = array.astype(np.float64)
    return array


def _tensor(array):
    """A view of an array of any strides; the array has to outlive it."""
    t = c.vdi_tensor(array.ctypes.data, getattr(c, _DTYPES[array.dtype.name]), array.ndim)
    for axis in range(array.ndim):
        t.shape[axis] = array.shape[axis]
        t.stride[axis] = array.strides[axis] // array.itemsize
    return t


def _view(pointer, shape, owner, dtype=np.float64):
    """The memory behind a pointer as an array, which keeps `owner` alive."""
    count = int(np.prod(shape))
    buffer = (ctypes.c_byte * (count * np.dtype(dtype).itemsize)).from_address(
        ctypes.cast(pointer, ctypes.c_void_p).value
    )
    buffer.owner = owner
    return np.frombuffer(buffer, dtype).reshape(shape)


def _double_pointer(array):
    return None if array is None else array.ctypes.data_as(ctypes.POINTER(ctypes.c_double))


def _option_text(value):
    if value is None or value == ():
        return "none"
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, (list, tuple)):
        return ",".join(str(v) for v in value)
    return repr(value) if isinstance(value, float) else str(value)


def _rows(fields):
    table = fields.contents
    return [table.rows[i] for i in range(table.count)]


def _set(fields, desc, options, prefix=""):
    """Fill a description by the rows of its table; a word or a number out of range is an Error that
    says what was expected."""
    known = {_text(row.name) for row in _rows(fields)}
    for name, value in options.items():
        key = name if name in known else prefix + name
        if key not in known:
            raise Error(
                "there is no option %s; there are %s"
                % (name, ", ".join(sorted(k.replace(prefix, "") for k in known)))
            )
        _call(c.vdi_fields_set, fields, desc, key, _option_text(value))


def _lists_options(fields):
    """A decorator: the options of a class, from its table, at the end of its documentation."""

    def finish(kind):
        lines = ["", "", "    Options:"]
        for row in _rows(fields()):
            words = ""
            if row.type == c.VDI_FIELD_TYPE_ENUM:
                n = 0
                while row.words[n]:
                    n += 1
                words = " (%s)" % ", ".join(_text(row.words[i]) for i in range(n))
            lines.append(
                "    %-18s %s%s" % (_text(row.name).replace("train.", ""), _text(row.help), words)
            )
        kind.__doc__ += "\n".join(lines) + "\n"
        return kind

    return finish


# ---- spikes --------------------------------------------------------------------------------------

Spikes = namedtuple(
    "Spikes", "spikes deviation probability denoised baseline noise scale count unusual"
)
_network = None


def spikes(traces, fps, threads=1):
    """Spikes from fluorescence by the pretrained network, for any indicator, without a setting.

    traces: (neurons, frames) or (frames,), NaN where a frame is missing; fps: frames a second.
    Returns a named tuple, arrays of the shape and type of `traces`: spikes (expected spikes of each
    frame), deviation (standard deviation of that number), probability (of at least one), denoised,
    baseline; and one number a neuron: noise, scale, count (expected spikes in all), unusual (about
    1 for a cell like those that the network was trained on)."""
    global _network
    if _network is None:
        _network = _make(
            c.vdi_pretrained_create, c.vdi_pretrained, c.vdi_pretrained_weights_shipped(), None
        )
    traces = _array(traces, "traces")
    if traces.dtype not in (np.float32, np.float64):
        traces = traces.astype(np.float32)
    if traces.ndim not in (1, 2) or traces.size == 0:
        raise Error("traces: expected (neurons, frames) or (frames,), got %s" % (traces.shape,))
    rows = np.ascontiguousarray(traces).reshape(-1, traces.shape[-1])
    neurons, frames = rows.shape
    size = c.vdi_pretrained_memsize(_network, frames, float(fps))
    if size == 0:
        raise Error(
            "expected at least one frame and a frame rate above 0, got %d frames at %s Hz"
            % (frames, fps)
        )
    arrays = [np.zeros_like(rows) for _ in range(5)]
    numbers = np.zeros((4, neurons))

    def one(i):
        work = np.empty(size, np.uint8)
        result = c.vdi_pretrained_result(*[a[i].ctypes.data for a in arrays])
        _call(
            c.vdi_pretrained_infer,
            _network,
            getattr(c, _DTYPES[rows.dtype.name]),
            frames,
            rows[i],
            float(fps),
            work,
            size,
            result,
        )
        numbers[:, i] = result.noise, result.scale, result.count, result.unusual

    with ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        list(pool.map(one, range(neurons)))
    single = traces.ndim == 1
    return Spikes(
        *[a.reshape(traces.shape) for a in arrays], *[n[0] if single else n for n in numbers]
    )


# ---- state-space models --------------------------------------------------------------------------

Posterior = namedtuple("Posterior", "mean cov log_likelihood rate")


class _StateSpace:
    """What LDS, PLDS and fLDS share: the object behind them, made when the first data say how many
    channels there are."""

    _family = ""

    def __init__(self, d, n=0, seed=1, **options):
        self._options, self.d, self.n, self.seed = options, d, n, seed
        self._model = None
        self.trace = np.zeros(0)
        if n:
            self._create(n)

    def __del__(self):
        if getattr(self, "_model", None):
            self._c("destroy")(self._model)

    def _c(self, name):
        return getattr(c, "vdi_%s_%s" % (self._family, name))

    def _create(self, n):
        if self._model and n != self.n:
            raise Error("expected data of %d channels, got %d" % (self.n, n))
        if not self._model:
            self.n = n
            self._model = self._new()

    def _new(self):
        desc = self._c("desc")(d=self.d, n=self.n)
        _set(self._c("desc_fields")(), desc, self._options)
        return _make(self._c("create"), getattr(c, "vdi_" + self._family), desc)

    def _data(self, y, lengths=None, **more):
        """Observations in the form of the model, and (trials, T)."""
        y = _array(y, "y")
        if y.ndim not in (2, 3):
            raise Error("y: expected (trials, T, n) or (T, n), got %s" % (y.shape,))
        self._create(y.shape[-1])
        desc = self._c("data_desc")(y=_tensor(y))
        if lengths is not None:
            lengths = np.ascontiguousarray(lengths, np.int64)
            desc.lengths = lengths.ctypes.data_as(ctypes.POINTER(ctypes.c_int64))
        keep = {name: _array(a, name) for name, a in more.items() if a is not None}
        for name, array in keep.items():
            setattr(desc, name, _tensor(array))
        data = _make(
            self._c("data_create"), getattr(c, "vdi_%s_data" % self._family), self._model, desc
        )
        return _Data(data, self._c("data_destroy")), (y.shape[0] if y.ndim == 3 else 1, y.shape[-2])

    def _named_state(self):
        return self._c("state")(self._model)

    def save(self, path):
        """Parameters and description as .safetensors."""
        if not self._model:
            raise Error("nothing was fitted")
        state = self._named_state()
        _call(c.vdi_safetensors_save, str(path), state)

    def load(self, path):
        """Take parameters from a file that `save` wrote, of a model of the same description."""
        self._need()
        file = c.vdi_safetensors()
        _call(c.vdi_safetensors_load, str(path), None, file)
        try:
            _call(c.vdi_safetensors_copy_to, file, self._named_state())
        finally:
            c.vdi_safetensors_free(file)
        return self

    def _need(self):
        if not self._model:
            raise Error("nothing was fitted: call fit, or say how many channels there are (n=...)")


class _Data:
    """A handle with its destructor."""

    def __init__(self, handle, destroy):
        self.handle, self._destroy = handle, destroy

    def __enter__(self):
        return self.handle

    def __exit__(self, *_):
        self._destroy(self.handle)


class _Linear(_StateSpace):
    _shapes = {}

    def __getattr__(self, name):
        shapes = type(self)._shapes
        if name in shapes:
            self._need()
            return _view(
                getattr(self._model.contents, name),
                [getattr(self, axis) for axis in shapes[name]],
                self,
            )
        raise AttributeError(name)

    def fit(self, y, steps=50, lengths=None, tolerance=0.0, **more):
        """Expectation-maximisation on y (trials, T, n) or (T, n), NaN is missing. `trace` has the
        log likelihood (its bound, of counts) before each step and after the last, summed over
        trials. Ends early where a step gains less than `tolerance` nats a bin. Called again, it
        goes on."""
        first = self._model is None
        data, _ = self._data(y, lengths, **more)
        with data as handle:
            if first:
                _call(self._c("init"), self._model, handle, self.seed)
            bins = self._c("data_observed_bins")(handle)
            trace, value = [], ctypes.c_double()
            for _ in range(steps):
                _call(self._c("em_step"), self._model, handle, value)
                trace.append(value.value)
                if len(trace) > 1 and trace[-1] - trace[-2] < tolerance * bins:
                    break
            trace.append(self._objective(handle))
            self.trace = np.array(trace)
        return self

    def score(self, y, lengths=None, **more):
        """Log likelihood (its bound, of counts) in nats a bin, all channels summed, log y!
        included."""
        data, _ = self._data(y, lengths, **more)
        with data as handle:
            return self._objective(handle) / self._c("data_observed_bins")(handle)

    def _objective(self, handle):
        value = ctypes.c_double()
        _call(
            self._c("log_likelihood" if self._family == "lds" else "elbo"),
            self._model,
            handle,
            None,
            value,
        )
        return value.value


@_lists_options(c.vdi_lds_desc_fields)
class LDS(_Linear):
    """A linear dynamical system, exact: z_t = A z_{t-1} + N(0, Q), y_t = C z_t + b + N(0, R).

    A, C, Q, R, b, x0, Q0 are arrays over the model's own memory: read them, or write into them."""

    _family = "lds"
    _shapes = {"A": "dd", "Q": "dd", "C": "nd", "R": "nn", "b": "n", "x0": "d", "Q0": "dd"}

    def smooth(self, y, lengths=None):
        """The posterior of the latents: mean (trials, T, d), cov (trials, T, d, d), log_likelihood
        (trials,)."""
        data, (trials, bins) = self._data(y, lengths)
        with data as handle:
            lanes = c.vdi_lds_data_lanes(handle)
            mean, cov, ll = (
                np.zeros((trials, bins, self.d)),
                np.zeros((lanes, bins, self.d, self.d)),
                np.zeros(trials),
            )
            out = c.vdi_lds_moments(
                ms=_double_pointer(mean), Ps=_double_pointer(cov), ll=_double_pointer(ll)
            )
            _call(c.vdi_lds_smooth, self._model, handle, out)
            which = [c.vdi_lds_data_lane(handle, i) for i in range(trials)]
        return Posterior(mean, cov[which], ll, mean @ self.C.T + self.b)


@_lists_options(c.vdi_plds_desc_fields)
class PLDS(_Linear):
    """A Poisson linear dynamical system: y_t ~ Poisson(exp(C z_t + b)), with the best Gaussian
    posterior.

    A, C, Q, b, x0, Q0 are arrays over the model's own memory."""

    _family = "plds"
    _shapes = {"A": "dd", "Q": "dd", "C": "nd", "b": "n", "x0": "d", "Q0": "dd"}

    def infer(self, y, lengths=None):
        """The posterior of the latents: mean, cov, log_likelihood (its lower bound, of each trial),
        rate (trials, T, n)."""
        data, (trials, bins) = self._data(y, lengths)
        mean, cov = np.zeros((trials, bins, self.d)), np.zeros((trials, bins, self.d, self.d))
        elbo, rate = np.zeros(trials), np.zeros((trials, bins, self.n))
        out = c.vdi_plds_moments(*[_double_pointer(a) for a in (mean, cov, None, rate, elbo)])
        with data as handle:
            _call(c.vdi_plds_infer, self._model, handle, out)
        return Posterior(mean, cov, elbo, rate)


@_lists_options(c.vdi_vilds_desc_fields)
class fLDS(_StateSpace):
    """A linear dynamical latent whose network read-out gives a population's rates: y_t ~ P(f(z_t)).

    recipe: how it is trained: "dense" (many spikes a bin), "sparse", "smooth" or "linear"."""

    _family = "vilds"

    def __init__(self, d, n=0, recipe="dense", seed=1, **options):
        self.recipe = recipe
        super().__init__(d, n, seed, **options)

    def _new(self):
        desc = c.vdi_vilds_desc(d=self.d, n=self.n)
        _set(c.vdi_vilds_desc_fields(), desc, self._options, "train.")
        kind = c.vdi_flds_recipe_find(self.recipe)
        if kind < 0:
            raise Error(
                "recipe: expected %s, got %s"
                % (
                    ", ".join(
                        _text(c.vdi_flds_recipe_name(i)) for i in range(c.vdi_flds_recipe_count())
                    ),
                    self.recipe,
                )
            )
        desc = c.vdi_flds_recipe(desc, kind)
        desc.train.seed = self.seed
        return _make(c.vdi_vilds_create, c.vdi_vilds, desc)

    def _named_state(self):
        return c.vdi_vilds_state(self._model, False)

    def fit(self, y, validation=None, progress=None, lengths=None):
        """The whole schedule, restarts included. `trace` has the bound of each step, nats a bin.
        progress(p) is called after each step (p.step, p.steps, p.elbo, p.validation) and may return
        False to stop; called again, fit goes on.
        """
        trace = []

        def told(p, _):
            trace.append(p.contents.elbo)
            return progress is None or progress(p.contents) is not False

        callback = c.vdi_vilds_progress_fn(told)
        data, _ = self._data(y, lengths)
        with data as handle:
            if validation is None:
                _call(c.vdi_vilds_fit, self._model, handle, None, callback, None)
            else:
                with self._data(validation)[0] as held_out:
                    _call(c.vdi_vilds_fit, self._model, handle, held_out, callback, None)
            self.trace = np.array(trace)
            if (
                not self._options.get("posterior", "product") == "product"
                or "transition_hidden" in self._options
            ):
                return self
            _call(c.vdi_flds_canonical, self._model, handle)
        return self

    def infer(self, y, refine=0, lengths=None):
        """The posterior of the latents in canonical coordinates: mean, cov, log_likelihood (its
        lower bound), rate."""
        data, (trials, bins) = self._data(y, lengths)
        mean, cov = np.zeros((trials, bins, self.d)), np.zeros((trials, bins, self.d, self.d))
        rate, elbo = np.zeros((trials, bins, self.n)), np.zeros(trials)
        out = c.vdi_vilds_result(*[_double_pointer(a) for a in (mean, cov, None, None, rate, elbo)])
        with data as handle:
            _call(c.vdi_vilds_infer, self._model, handle, c.vdi_vilds_query(refine=refine), out)
        return Posterior(mean, cov, elbo, rate)

    def score(self, y, refine=0, lengths=None):
        """The lower bound of the log likelihood in nats a bin, all neurons summed, log y!
        included."""
        value = ctypes.c_double()
        data, _ = self._data(y, lengths)
        with data as handle:
            _call(c.vdi_vilds_score, self._model, handle, c.vdi_vilds_query(refine=refine), value)
        return value.value


# ---- agents --------------------------------------------------------------------------------------

Questions = namedtuple("Questions", "value influence")


def _environment(env):
    """A vdi_env of a built-in name or of a Python object, and what has to live as long as it."""
    e = c.vdi_env()
    if isinstance(env, str):
        _call(c.vdi_env_open, env, None, e)
        return e, None
    failure = []

    def guarded(function):
        def call(*arguments):
            try:
                return function(*arguments)
            except Exception as error:  # handed on by the call that made this one
                failure.append(error)
                return c.VDI_ERR_DATA

        return call

    def reset(_, seed, episode, obs, __):
        _view(obs, (e.observations,), None, np.float32)[:] = env.reset(seed, episode)
        return 0

    def step(_, action, obs, reward, end, __):
        seen, rewards, over = env.step(_view(action, (e.actions,), None, np.float32).copy())
        _view(obs, (e.observations,), None, np.float32)[:] = seen
        _view(reward, (e.components,), None, np.float32)[:] = rewards
        end[0] = int(over)
        return 0

    kinds = dict(c.vdi_env._fields_)
    names = (ctypes.c_char_p * len(env.components))(*[name.encode() for name in env.components])
    e.name = getattr(env, "name", type(env).__name__).encode()
    e.observations, e.actions, e.components, e.limit = (
        env.observations,
        env.actions,
        len(env.components),
        getattr(env, "limit", 0),
    )
    e.component = ctypes.cast(names, kinds["component"])
    e.reset, e.step = kinds["reset"](guarded(reset)), kinds["step"](guarded(step))
    return e, (env, names, failure)


@_lists_options(c.vdi_sacd_desc_fields)
class Agent:
    """An actor-critic agent that learns one value for each component of its reward (SAC-D), and can
    say what pulls at a decision.

    env: "pendulum", "lander", "navigate", or an object with observations, actions (numbers),
    components (names), reset(seed, episode) -> observation and step(action) -> (observation,
    rewards, end); end is 0, 1 (the task is over) or 2 (time is).
    """

    def __init__(self, env, weights=None, seed=1, **options):
        self._agent = self._episode = None
        self.env, self._keep = _environment(env)
        self._weights = None if weights is None else np.ascontiguousarray(weights, np.float64)
        desc = c.vdi_sacd_desc(
            observations=self.env.observations,
            actions=self.env.actions,
            components=self.env.components,
            seed=seed,
        )
        _set(c.vdi_sacd_desc_fields(), desc, options)
        if self._weights is not None:
            desc.weights = _double_pointer(self._weights)
        self._agent = _make(c.vdi_sacd_create, c.vdi_sacd, desc)
        self._episode = _make(c.vdi_sacd_episode_create, c.vdi_sacd_episode, self._agent, None)
        self.components = [_text(self.env.component[i]) for i in range(self.env.components)]
        self.returns = []

    def __del__(self):
        if getattr(self, "_episode", None):
            c.vdi_sacd_episode_destroy(self._episode)
        if getattr(self, "_agent", None):
            c.vdi_sacd_destroy(self._agent)
        if getattr(self, "env", None) is not None and isinstance(self.env, ctypes.Structure):
            c.vdi_env_close(self.env)

    def _guard(self, function, *arguments):
        try:
            return _call(function, *arguments)
        except Error:
            if self._keep and self._keep[2]:
                raise self._keep[2].pop()
            raise

    def train(self, steps, progress=None):
        """So many steps in the environment, with updates when they are due. `returns` gets (step,
        rewards by component) of each episode that ends; progress(step) may return False to stop."""
        episode = self._episode.contents
        for i in range(steps):
            self._guard(c.vdi_sacd_step, self._agent, self.env, self._episode, None)
            if episode.end:
                self.returns.append((self.steps, np.array(episode.sum[: self.env.components])))
            if progress and progress(i + 1) is False:
                break
        return self

    @property
    def steps(self):
        """Steps so far."""
        return c.vdi_sacd_steps(self._agent)

    def act(self, obs, deterministic=True):
        """An action in [-1, 1] for an observation."""
        action = np.zeros(self.env.actions, np.float32)
        status = c.vdi_sacd_act(
            self._agent, np.ascontiguousarray(obs, np.float32), deterministic, action
        )
        if status < 0:
            raise Error("the observation or the action is not finite", status)
        return action

    def play(self, seed=7, episode=0):
        """One episode without learning: the rewards by component, and how many steps it took."""
        sums, steps = np.zeros(self.env.components), ctypes.c_int64()
        self._guard(c.vdi_sacd_play, self._agent, self.env, seed, episode, sums, steps)
        return sums, steps.value

    def ask(self, obs, action=None):
        """What an action (its own, without one) is worth and what pulls at it, component by
        component, the entropy last: value and influence |w_i| |dQ_i/da|."""
        obs = np.ascontiguousarray(obs, np.float32)
        action = self.act(obs) if action is None else np.ascontiguousarray(action, np.float32)
        heads = (
            1
            if c.vdi_sacd_get_desc(self._agent).contents.algo == c.VDI_SACD_SAC
            else self.env.components + 1
        )
        q0, q1, influence = np.zeros(heads), np.zeros(heads), np.zeros(heads)
        if c.vdi_sacd_action_values(self._agent, obs, 1, action, q0, q1) < 0:
            raise Error("the observation is not finite")
        kind = (
            np.float64
            if c.vdi_sacd_get_desc(self._agent).contents.dtype == c.VDI_F64
            else np.float32
        )
        if (
            c.vdi_critic_influence(
                c.vdi_sacd_critic(self._agent),
                1,
                obs.astype(kind),
                action.astype(kind),
                self.weights if heads > 1 else None,
                influence,
            )
            < 0
        ):
            raise Error("the influence is not finite")
        w = self.weights if heads > 1 else np.ones(1)
        return Questions(q0 if w @ q0 <= w @ q1 else q1, influence)

    @property
    def weights(self):
        """Weights of the components, the entropy's last. Assign others at any time: nothing has to
        be learned anew."""
        weights = np.zeros(self.env.components + 1)
        c.vdi_sacd_weights(self._agent, weights)
        return weights

    @weights.setter
    def weights(self, values):
        values = np.ascontiguousarray(values, np.float64)
        if values.shape != (self.env.components + 1,):
            raise Error(
                "weights: expected %d, one of them the entropy's, got %s"
                % (self.env.components + 1, values.shape)
            )
        _call(c.vdi_sacd_set_weights, self._agent, values)

    def save(self, path, training=False):
        """As .safetensors; with training=True a run can go on from it."""
        _call(c.vdi_safetensors_save, str(path), c.vdi_sacd_state(self._agent, training))


# ---- figures -------------------------------------------------------------------------------------


class Figure:
    """Panels of lines, bands, points, spikes and maps, saved as .svg:

    f = vdi.Figure("spikes", rows=2, width=900)
    p = f.panel(0, x="time (s)", y="dF/F", dx=1 / 30)
    f.line(p, "trace", trace, color="BLUE")
    f.save("spikes.svg")
    """

    def __init__(self, title=None, rows=1, cols=1, width=0, height=0):
        self._figure, self._alive = c.vdi_figure(), []
        c.vdi_figure_init(
            self._figure,
            c.vdi_figure_desc(
                title=self._string(title), rows=rows, cols=cols, width=width, height=height
            ),
        )

    def __del__(self):
        c.vdi_figure_free(self._figure)

    def _string(self, text):
        self._alive.append(None if text is None else text.encode())
        return self._alive[-1]

    def _values(self, values):
        self._alive.append(_array(values, "values"))
        return _tensor(self._alive[-1])

    def panel(self, row=0, col=0, title=None, x=None, y=None, **members):
        """A panel; members: x0, dx, y0, dy, height, diverging."""
        panel = c.vdi_figure_panel(self._figure, row, col)
        panel.contents.title, panel.contents.x.label, panel.contents.y.label = (
            self._string(t) for t in (title, x, y)
        )
        for name, value in members.items():
            setattr(panel.contents, name, value)
        return panel

    def _style(self, series, color=None, x=None, by=None, **members):
        if color:
            series.contents.color = getattr(c, "VDI_COLOR_" + color)
        if x is not None:
            series.contents.x = self._values(x)
        if by is not None:
            series.contents.by = self._values(by)
        for name, value in members.items():
            setattr(series.contents, name, value)

    def line(self, panel, name, y, **style):
        """A line through y; style: x, color, width, dashed, opacity, by (values that colour it)."""
        self._style(c.vdi_panel_line(panel, self._string(name), self._values(y)), **style)

    def band(self, panel, name, low, high, **style):
        """The area between low and high, behind the lines."""
        self._style(
            c.vdi_panel_band(panel, self._string(name), self._values(low), self._values(high)),
            **style
        )

    def scatter(self, panel, name, x, y, **style):
        """Points."""
        self._style(
            c.vdi_panel_scatter(panel, self._string(name), self._values(x), self._values(y)),
            **style
        )

    def raster(self, panel, spikes, **style):
        """A tick where a count of (neurons, bins) is not 0."""
        self._style(c.vdi_panel_raster(panel, self._values(spikes)), **style)

    def heatmap(self, panel, values, **style):
        """A map of (rows, columns)."""
        self._style(c.vdi_panel_heatmap(panel, self._values(values)), **style)

    def save(self, path):
        """Draw it into an .svg file."""
        _call(c.vdi_svg_save, str(path), self._figure)
