"""A GPU for machines without one: `cuda:0` as far as Python code can tell, with its numbers in the host's memory.

The CPU build of torch has no kernels for a GPU, but what our code does around them can be tested: which tensor is
where, what runs on which stream, who waits for whom. Each tensor "on the GPU" is a `Gpu`, a wrapper that hands every
operator to the CPU tensor inside. On the way it raises what a GPU would raise, and notes in a `Report` what a GPU would
leave to chance:

* Operands on both devices raise RuntimeError, and so does a conversion to NumPy.
* Streams and events keep vector clocks. A tensor that is used on a stream that does not wait for the stream that wrote
  it is a race, and so is memory that is freed while another stream may still use it (no `record_stream`).
* Copies to pinned host memory happen when the host waits for them; until then, the host reads garbage.
* Whatever makes the host wait for the GPU is counted.

Randomness and rounding are those of the CPU, so that results agree to the last bit. Not pretended: kernels, memory
sizes, speed, the compiler, several GPUs.
"""

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any
from unittest.mock import patch

import torch

_optimizer = import_module("torch.optim.optimizer")  # torch.optim hides the module

CPU, CUDA = torch.device("cpu"), torch.device("cuda:0")
FREE_BYTES = 80 * 2**30


@dataclass
class Report:
    """What was noticed while the GPU was pretended.

    Attributes:
        races: uses of memory that a real GPU would leave to chance, by description.
        waits: operations for which the host waited for the GPU, by name.
        operations: number of operators that ran on the GPU.
    """

    races: Counter[str] = field(default_factory=Counter)
    waits: Counter[str] = field(default_factory=Counter)
    operations: int = 0


_report = Report()


# ------------------------------------------------------------------------------------------------ streams and events


class _Clock(dict[int, int]):
    """A vector clock: number of a stream → how much of that stream has certainly happened."""

    def join(self, other: "_Clock") -> None:
        for stream, moment in other.items():
            self[stream] = max(moment, self.get(stream, 0))

    def has_seen(self, stream: int, moment: int) -> bool:
        return self.get(stream, 0) >= moment


class Stream:
    """Stands in for torch.cuda.Stream."""

    _count = 0

    def __init__(self, device: object = None) -> None:
        Stream._count += 1
        self.number = Stream._count
        self.clock = _Clock({self.number: 1})
        self.copies: list[_Copy] = []

    @property
    def now(self) -> int:
        return self.clock[self.number]

    def tick(self) -> int:
        self.clock[self.number] += 1
        return self.now

    def wait_stream(self, other: "Stream") -> None:
        self.wait_event(other.record_event())

    def wait_event(self, event: "Event") -> None:
        self.clock.join(event.clock)
        self.copies.extend(copy for copy in event.copies if copy not in self.copies)

    def record_event(self) -> "Event":
        event = Event()
        event.record(self)
        return event

    def synchronize(self) -> None:
        self.record_event().synchronize()


class Event:
    """Stands in for torch.cuda.Event."""

    def __init__(self, enable_timing: bool = False, blocking: bool = False) -> None:
        self.enable_timing, self.blocking = enable_timing, blocking
        self.clock, self.copies, self._time = _Clock(), list[_Copy](), float("nan")

    def record(self, stream: Stream | None = None) -> None:
        stream = stream or current_stream()
        stream.tick()
        self.clock, self.copies, self._time = _Clock(stream.clock), list(stream.copies), time.perf_counter()

    def synchronize(self) -> None:
        _wait(self.clock, self.copies, "synchronize")

    def elapsed_time(self, other: "Event") -> float:
        for event in (self, other):
            if not event.enable_timing or math.isnan(event._time):
                raise RuntimeError("Both events must be created with enable_timing=True, and recorded")
            if not all(_host.has_seen(stream, moment) for stream, moment in event.clock.items()):
                raise RuntimeError("Both events must be completed before calculating elapsed time")
        return (other._time - self._time) * 1000


_host = _Clock()
_default = Stream()
_of_thread = threading.local()


def current_stream(device: object = None) -> Stream:
    return getattr(_of_thread, "stream", _default)


@contextmanager
def _on_stream(stream: Stream) -> Iterator[None]:
    before, _of_thread.stream = current_stream(), stream
    try:
        yield
    finally:
        _of_thread.stream = before


def _wait(clock: _Clock, copies: Iterable["_Copy"], what: str) -> None:
    """The host waits for what the clock has seen."""
    _report.waits[what] += 1
    _host.join(clock)
    for copy in copies:
        copy.finish()


def _wait_here(what: str) -> None:
    _wait(current_stream().clock, current_stream().copies, what)


class _Copy:
    """A copy that runs while the host goes on: carried out when somebody waits for it or uses what it wrote.

    A copy to the host leaves garbage at its destination until then. A copy from the host reads its source as late as a
    GPU might.
    """

    def __init__(self, destination: torch.Tensor, source: torch.Tensor) -> None:
        self._destination, self._source, self.is_done = destination, source, False
        self._lock = threading.Lock()

    def finish(self) -> None:
        with self._lock:  # several threads may wait for the copy, and none may go on before it is there
            if not self.is_done:
                self._destination.copy_(self._source)
                self.is_done = True

    def begin(self, stream: Stream) -> None:
        stream.copies = [*(copy for copy in stream.copies if not copy.is_done), self]


def _spoil(tensor: torch.Tensor) -> None:
    """Fill with what memory may hold that nobody has written yet."""
    tensor.fill_(float("nan") if tensor.is_floating_point() else 99)


# --------------------------------------------------------------------------------------------------- memory, tensors


class Memory:
    """What is known about the memory of a tensor and its views: who wrote it last, and who uses it."""

    def __init__(self) -> None:
        self._home = current_stream()
        self._written = (self._home.number, 0)
        self._used: dict[int, int] = {}
        self._recorded: set[int] = set()
        self.arriving: list[_Copy] = []

    def read(self, stream: Stream, what: str) -> None:
        while self.arriving:
            self.arriving.pop(0).finish()
        if not stream.clock.has_seen(*self._written):
            _report.races[f"{what} uses what another stream writes, without waiting for it"] += 1
        self._used[stream.number] = stream.now

    def write(self, stream: Stream, what: str) -> None:
        for user, moment in self._used.items():
            if not stream.clock.has_seen(user, moment):
                _report.races[f"{what} overwrites what another stream uses, without waiting for it"] += 1
        self.read(stream, what)
        self._written = (stream.number, stream.tick())
        self._used[stream.number] = stream.now

    def record(self, stream: Stream) -> None:
        self._recorded.add(stream.number)

    def __del__(self) -> None:
        for user, moment in self._used.items():
            if user not in self._recorded and not self._home.clock.has_seen(user, moment):
                _report.races["memory is freed while another stream may use it: no record_stream"] += 1


class Gpu(torch.Tensor):
    """A tensor whose device is `cuda:0` in Python. For torch's C++ code it is a CPU tensor without memory."""

    inner: torch.Tensor  # type: ignore[assignment]  # there is a function torch.Tensor.inner
    memory: Memory

    @staticmethod
    def __new__(cls, inner: torch.Tensor, memory: Memory | None = None) -> "Gpu":
        made = torch.Tensor._make_wrapper_subclass(
            cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype
        )
        made.inner, made.memory = inner, memory or Memory()
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]
    device = property(lambda self: CUDA)
    is_cuda = property(lambda self: True)
    is_cpu = property(lambda self: False)

    def __tensor_flatten__(self):  # nn.Module.to then exchanges parameters as a whole, with their inner tensors
        return ["inner"], None

    @staticmethod
    def __tensor_unflatten__(inner, context, size, stride):
        return Gpu(inner["inner"])

    def __repr__(self, *, tensor_contents=None):
        return f"Gpu({self.inner!r})"

    def __reduce_ex__(self, protocol):  # torch.save writes the numbers; torch.load gives them to the CPU
        _wait_here("save")
        return self.inner.__reduce_ex__(protocol)

    def __deepcopy__(self, memo):
        made = self.detach().clone().requires_grad_(self.requires_grad)
        made.__dict__.update({name: value for name, value in self.__dict__.items() if name == "_is_param"})
        return memo.setdefault(id(self), made)

    def numpy(self, *, force: bool = False):
        if not force:
            raise TypeError("can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu() first.")
        return self.detach().cpu().numpy()

    def __array__(self, *args):
        return self.numpy()

    def untyped_storage(self):  # safetensors looks for tensors that share memory
        return self.inner.untyped_storage()

    def tolist(self):
        return self.cpu().tolist()

    def cpu(self):
        return self.to(CPU)

    def record_stream(self, stream):
        self.memory.record(stream)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _tensors(value) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _tensors(each)


def _mapped(value, function: Callable[[torch.Tensor], torch.Tensor]):
    """The value with every tensor in it replaced."""
    if isinstance(value, torch.Tensor):
        return function(value)
    return type(value)(_mapped(each, function) for each in value) if isinstance(value, (list, tuple)) else value


def _inner(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.inner if isinstance(tensor, Gpu) else tensor


WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "is_nonzero", "equal", "_unique2")
"""Operators whose result depends on numbers that the host must know."""


def _run(func, args, kwargs):
    """Run an operator on the tensors inside, on the current stream."""
    parts = func.decompose(*args, **kwargs)  # in inference mode, operators that consist of others arrive whole
    if parts is not NotImplemented:
        return parts
    name, stream = func._schema.name.removeprefix("aten::"), current_stream()
    _report.operations += 1
    if name == "copy_":
        return _copy(*args, **kwargs)
    given = [*_tensors(args), *_tensors(list(kwargs.values()))]
    on_gpu = [each for each in given if isinstance(each, Gpu)]
    _require_one_device(name, args, given)
    if name in WAITING or (name in ("index", "index_put_") and _has_host_index(args[1])):
        _wait_here(name)
    for each in on_gpu:
        each.memory.read(stream, name)
    made = func(*_mapped(args, _inner), **{key: _mapped(value, _inner) for key, value in kwargs.items()})
    for argument, value in zip(func._schema.arguments, args, strict=False):
        if argument.alias_info is not None and argument.alias_info.is_write:
            for each in _tensors(value):
                each.memory.write(stream, name)
    return _mapped(made, lambda tensor: _wrapped(tensor, given, name))


def _require_one_device(name: str, args, given: Sequence[torch.Tensor]) -> None:
    """Numbers without dimensions and indices may be on the host, as on a real GPU."""
    indices = list(_tensors(args[1])) if name in ("index", "index_put_", "_index_put_impl_") else []
    for each in given:
        if not isinstance(each, Gpu) and each.dim() > 0 and all(each is not index for index in indices):
            raise RuntimeError(f"{name}: expected all tensors on the same device, found cuda:0 and cpu")


def _has_host_index(indices) -> bool:
    return any(index.dtype == torch.bool or not isinstance(index, Gpu) for index in _tensors(indices))


def _wrapped(tensor: torch.Tensor, given: Sequence[torch.Tensor], name: str) -> torch.Tensor:
    """The result of an operator as a tensor of the GPU; a view keeps the memory of what it shows."""
    for each in given:
        if isinstance(each, Gpu):
            if tensor is each.inner:
                return each
            if tensor.untyped_storage()._cdata == each.inner.untyped_storage()._cdata:
                return _make(tensor, each.memory, each.is_inference())
    made = Gpu(tensor)
    made.memory.write(current_stream(), name)
    return made


def _make(inner: torch.Tensor, memory: Memory, is_inference: bool) -> Gpu:
    with torch.inference_mode(is_inference):
        return Gpu(inner, memory)


# ---------------------------------------------------------------------------------------------------------- copies


_pinned: set[int] = set()
"""Addresses of the host memory that was pinned."""


def _pin(tensor: torch.Tensor) -> torch.Tensor:
    _pinned.add(tensor.untyped_storage().data_ptr())
    return tensor


def _is_pinned(tensor: torch.Tensor, device: object = None) -> bool:
    return not isinstance(tensor, Gpu) and tensor.untyped_storage().data_ptr() in _pinned


def _copy(destination: torch.Tensor, source: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
    """aten::copy_ where at least one side is on the GPU."""
    stream = current_stream()
    if isinstance(source, Gpu):
        source.memory.read(stream, "copy_")
    if not isinstance(destination, Gpu):
        return _download(destination, source, non_blocking)
    destination.memory.write(stream, "copy_")
    if isinstance(source, Gpu):
        destination.inner.copy_(source.inner)
        return destination
    upload = _Copy(destination.inner, source)
    upload.begin(stream)
    destination.memory.arriving.append(upload)
    if not (non_blocking and _is_pinned(source)) and source.numel():
        upload.finish()
        _wait_here("copy from pageable host memory" if non_blocking else "copy from the host")
    return destination


def _download(destination: torch.Tensor, source: torch.Tensor, non_blocking: bool) -> torch.Tensor:
    download, is_async = _Copy(destination, _inner(source).clone()), non_blocking and _is_pinned(destination)
    if is_async:
        _spoil(destination)  # before another thread can carry the copy out
    download.begin(current_stream())
    current_stream().tick()
    if not is_async:
        _wait_here("copy to the host")
    return destination


_real_to, _real_empty, _real_tensor = torch.Tensor.to, torch.empty, torch.tensor
_real_stft, _real_autocast = torch.stft, torch.autocast


def _to(tensor: torch.Tensor, *args, copy: bool = False, **kwargs) -> torch.Tensor:
    """Tensor.to: between the devices a copy; otherwise, torch's own."""
    if args and isinstance(args[0], torch.Tensor):
        args = (args[0].device, args[0].dtype, *args[1:])
    device, dtype, non_blocking, memory_format = torch._C._nn._parse_to(*args, **kwargs)
    layout = memory_format or torch.preserve_format
    converted = _real_to(tensor, dtype=dtype or tensor.dtype, copy=copy, memory_format=layout)
    if device is None or device.type == tensor.device.type:
        return converted
    moved: torch.Tensor = _Move.apply(converted, device, non_blocking)
    return moved


class _Move(torch.autograd.Function):
    """A copy to the other device, whose gradient takes the way back."""

    @staticmethod
    def forward(context, tensor, device, non_blocking):
        context.home = tensor.device
        inner = _inner(tensor)
        here = torch.empty_like(inner)
        if device.type == "cpu":
            return _copy(_pin(here) if non_blocking else here, tensor, non_blocking)
        return _copy(Gpu(here), tensor, non_blocking)

    @staticmethod
    def backward(context, gradient):
        return gradient.to(context.home), None, None


def _empty(*size, pin_memory: bool = False, **options) -> torch.Tensor:
    made = _real_empty(*size, **options)
    return _pin(made) if pin_memory else made


def _stft(waveform, n_fft: int, hop: int, window_length: int, window: torch.Tensor, **options) -> torch.Tensor:
    """torch.stft with a window of full length. For a shorter one, torch's C++ code makes zeros on the window's device,
    and does not know that this is the GPU."""
    left = (n_fft - window_length) // 2
    full = torch.nn.functional.pad(window, (left, n_fft - window_length - left))
    return _real_stft(waveform, n_fft, hop, n_fft, full, **options)


def _tensor(data, *, device=None, **options) -> torch.Tensor:
    made = _real_tensor(data, **options)
    return made if device is None else made.to(device)


# ------------------------------------------------------------------------------------------------------ torch's names


def _without_device(function: Callable[..., torch.Tensor]) -> Callable[..., Gpu]:
    """A factory of torch as the CUDA kernel of the same name."""

    def make(*args, device=None, pin_memory=None, layout=None, **options) -> Gpu:
        return Gpu(function(*args, **{name: value for name, value in options.items() if value is not None}))

    return make


KERNELS = {
    "empty.memory_format": _without_device(_real_empty),
    "empty_strided": _without_device(torch.empty_strided),
    # those that would resize what they are given
    "arange": _without_device(torch.arange),
    "arange.start": _without_device(torch.arange),
    "arange.start_step": _without_device(torch.arange),
    "hamming_window.periodic": _without_device(torch.hamming_window),
}

OF_CUDA: dict[str, Any] = {
    "is_available": lambda: True,
    "device_count": lambda: 1,
    "current_device": lambda: 0,
    "_lazy_init": lambda: None,
    "Stream": Stream,
    "Event": Event,
    "stream": _on_stream,
    "current_stream": current_stream,
    "default_stream": lambda device=None: _default,
    "device": lambda device: ExitStack(),
    "synchronize": lambda device=None: _default.synchronize(),
    "mem_get_info": lambda device=None: (FREE_BYTES, FREE_BYTES),
    "memory_reserved": lambda device=None: 0,
    "memory_allocated": lambda device=None: 0,
    "max_memory_allocated": lambda device=None: 0,
    "reset_peak_memory_stats": lambda device=None: None,
    "empty_cache": lambda: None,
    "get_device_name": lambda device=None: "pretended GPU",
    "is_bf16_supported": lambda including_emulation=True: True,
    "get_rng_state": lambda device=None: torch.get_rng_state(),
    "set_rng_state": lambda state, device=None: None,
}
"""What `torch.cuda` offers, as far as the project uses it."""


def _autocast(device_type: str, *args, **kwargs) -> torch.autocast:
    """The CPU's list of operators in lower precision, which is nearly that of a GPU."""
    return _real_autocast("cpu" if device_type == "cuda" else device_type, *args, **kwargs)


@contextmanager
def pretended_gpu() -> Iterator[Report]:
    """Pretend that this machine has one GPU, in all threads, until the block ends; yields what is noticed."""
    global _report
    _report = Report()
    _pinned.clear()
    patches = [
        patch.multiple(torch.cuda, **OF_CUDA),
        patch.multiple(torch, empty=_empty, tensor=_tensor, autocast=_autocast, stft=_stft),
        patch.multiple(
            torch.Tensor, to=_to, pin_memory=lambda tensor, device=None: _pin(tensor.clone()), is_pinned=_is_pinned
        ),
        patch.object(_optimizer, "_foreach_supported_types", [*_optimizer._foreach_supported_types, Gpu]),
    ]
    with ExitStack() as stack:
        library = stack.enter_context(torch.library._scoped_library("aten", "IMPL"))
        for name, kernel in KERNELS.items():
            library.impl(name, kernel, "CUDA")
        for each in patches:
            stack.enter_context(each)
        yield _report
