"""Choose what computes hidden states: our network if its numbers agree with those of transformers, else transformers.

"The library" is transformers throughout. Its own list of hidden states changed its meaning between versions: the last
entry was the output after the final layer norm in transformers 4, and is the raw output of the last block in
transformers 5. Hidden states are therefore taken from the modules that produce them, by forward hooks.
"""

import copy
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.utils.hooks import RemovableHandle

from spoofcache.features.frontends.base import FrontEndOptions
from spoofcache.features.frontends.geometry import WHISPER
from spoofcache.features.frontends.inputs import Waveforms
from spoofcache.features.frontends.wav2vec2 import Wav2Vec2, unknown_part
from spoofcache.features.in_parts import InParts

TOLERANCES: Mapping[torch.dtype, float] = {torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}
"""Largest accepted `distance` between our network and the library's model, by number type. With random weights of
XLS-R-300M's size, the library itself differs from its own float32 numbers by 1.6e-3 in float16 and 1.2e-2 in bfloat16,
and so does our network; in float32 the two differ by 1.2e-6. A wrong network would differ by about 1."""

CHECKED_ROWS = 8
"""Number of utterances of the first batch that the library's model also computes, for the comparison."""

COMPILED_ON: tuple[str, ...] = ("cuda",)
"""Kinds of device on which compiling is worthwhile. On a CPU it gains nothing (2 cores, bfloat16: a block takes 37 ms
compiled and 36 ms otherwise, LayerNorm + GELU 25 ms and 15 ms), and costs the time of the compiler."""

PAYS_FROM = 300.0
"""Shortest uncompiled computation, in seconds, for which compiling is tried. On an H200 it takes 30 to 60 s, and saves
about a quarter of the 0.4 ms that an utterance takes."""

LEAST_GAIN = 1.05
"""How many times faster a compiled batch must be for the compiled network to be used."""

Network = Callable[[torch.Tensor], torch.Tensor]
"""Waveforms [B, n] → hidden states [B, L, T, D]."""

Keep = Callable[[Any], None]
"""Called with the output or the arguments of a module, whose first element is a hidden state."""


class CheckedNetwork:
    """Waveforms [B, n] float32 → hidden states [B, L, T, D]; the first batch decides which network computes them.

    Args:
        model: the library's model in float32 with all its blocks; it is modified.
        layers: names of hidden states, `last` or 0…depth.
        dtype: number type to compute in.
        options: device, check and batch size.
        tell: called with a sentence if our network cannot be used, and with the result of the check.
        model_input: what the model takes.
    """

    def __init__(
        self,
        model: Any,
        layers: Sequence[str],
        dtype: torch.dtype,
        options: FrontEndOptions,
        tell: Callable[[str], None],
        model_input: Waveforms = Waveforms(),  # noqa: B008 (without state)
    ) -> None:
        _prepare(model, layers)
        self._layers, self._dtype, self._options, self._tell = layers, dtype, options, tell
        self._network: Network | None = None
        exact = copy.deepcopy(model) if options.check and dtype != torch.float32 else model
        self._library = LibraryNetwork(model.to(options.device, dtype), layers, model_input)
        self._reference = LibraryNetwork(exact.to(options.device), layers, model_input)

    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        if self._network is None:
            self._network = self._choose(waveforms)
            del self._library, self._reference  # half of the memory
        return self._network(waveforms)

    def row_shape(self, n_samples: int) -> tuple[int, ...]:
        """Shape [L, T, D] of one utterance, computed from a silent one, which does not decide which network is used."""
        silence = torch.zeros(1, n_samples, device=self._options.device)
        return tuple((self._network or self._library)(silence).shape[1:])

    def _choose(self, waveforms: torch.Tensor) -> Network:
        if unknown := unknown_part(self._library.model):
            self._tell(f"transformers computes the hidden states, more slowly: our network does not support {unknown}")
            return self._library
        network = self._ours(waveforms)
        sample = waveforms[:CHECKED_ROWS]
        ours, theirs = network(sample).float(), self._reference(sample).float()
        far, allowed = distance(ours, theirs), TOLERANCES[self._dtype]
        if self._options.check:
            cosine = float(F.cosine_similarity(ours, theirs, dim=-1).min())
            self._tell(
                f"the hidden states of {len(sample)} utterances are {far:.1e} from the library's in float32, "
                f"the lowest cosine of a frame is {cosine:.6f}"
            )
        if not far <= allowed:  # written so that NaN fails, too
            self._tell(
                "transformers computes the hidden states, more slowly: on the first batch our network differs "
                f"from it by {far:.1e}, expected {allowed:.0e} at most"
            )
            return self._library
        return network

    def _ours(self, waveforms: torch.Tensor) -> Network:
        """Our network, compiled for the batch size where that works and pays."""
        network = Wav2Vec2(self._library.model, self._layers)
        if self._options.compiled_batch_size is None or self._options.device.type not in COMPILED_ON:
            return network
        if self._options.n_rows is None:
            return self._compiled(waveforms, math.inf) or network
        seconds = _seconds(network, waveforms)
        if seconds * self._options.n_rows / len(waveforms) < PAYS_FROM:
            return network
        return self._compiled(waveforms, seconds) or network

    def _compiled(self, waveforms: torch.Tensor, eager_seconds: float) -> Network | None:
        """A compiled network; None if it cannot be compiled, or is no faster than the uncompiled one was."""
        assert self._options.compiled_batch_size is not None
        network = Wav2Vec2(self._library.model, self._layers)
        network.compile_parts()
        compiled = FixedBatch(network, self._options.compiled_batch_size)
        try:
            seconds = _seconds(compiled, waveforms)
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # the compiler and the code that it generates may raise any exception
            inner = getattr(error, "inner_exception", error)
            self._tell(f"runs uncompiled and therefore more slowly: {(str(inner) or repr(inner)).splitlines()[0]}")
            return None
        if eager_seconds < LEAST_GAIN * seconds:
            self._tell(f"runs uncompiled: a batch takes {seconds:.3f} s compiled and {eager_seconds:.3f} s uncompiled")
            return None
        return compiled


class FixedBatch:
    """A compiled network that receives batches of one size only: a smaller batch is filled up with silence.

    For another size it would be compiled again, and after a few sizes torch would stop compiling it. The size changes
    only where a batch does not fit into the memory.
    """

    def __init__(self, network: Wav2Vec2, batch_size: int) -> None:
        self.network = network
        self._in_parts = InParts(self._run, batch_size)

    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        return self._in_parts(waveforms)

    def _run(self, waveforms: torch.Tensor) -> torch.Tensor:
        assert self._in_parts.largest is not None
        full = F.pad(waveforms, (0, 0, 0, self._in_parts.largest - len(waveforms)))
        states: torch.Tensor = self.network(full)
        return states[: len(waveforms)]


class LibraryNetwork:
    """The library's model as a network that returns the requested layers: waveforms [B, n] → [B, L, T, D].

    Of a model that takes padded waveforms, only the frames of the audio are returned.
    """

    def __init__(self, model: Any, layers: Sequence[str], model_input: Waveforms = Waveforms()) -> None:  # noqa: B008 (without state)
        self.model = model
        self._layers, self._input = layers, model_input

    def __call__(self, waveforms: torch.Tensor) -> torch.Tensor:
        n_frames = self._input.n_frames(waveforms.shape[1])
        arguments = self._input.arguments(waveforms, self.model.dtype)
        states: dict[str, torch.Tensor] = {}
        hooks = [_hook(self.model, layer, _keep(states, layer)) for layer in self._layers if layer != "last"]
        try:
            # by default a GPU would round the inputs of float32 convolutions to 10 bits (TF32)
            with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
                states["last"] = self.model(**arguments).last_hidden_state
        finally:
            for hook in hooks:
                hook.remove()
        return torch.stack([states[layer][:, :n_frames] for layer in self._layers], dim=1)


def distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    """The largest value, over utterances and layers, of √(Σ(ours − theirs)² / Σ theirs²); both are [B, L, T, D]."""
    difference = torch.linalg.vector_norm(ours - theirs, dim=(2, 3))
    size = torch.linalg.vector_norm(theirs, dim=(2, 3)).clamp_min(torch.finfo(theirs.dtype).tiny)
    return float((difference / size).max())


def _seconds(network: Network, waveforms: torch.Tensor) -> float:
    """Duration of a batch, measured after one that holds the start-up of the device or the compiler's work."""
    for _ in range(2):
        start = time.perf_counter()
        network(waveforms).flatten()[0].item()  # waits for the device
    return time.perf_counter() - start


def _prepare(model: Any, layers: Sequence[str]) -> None:
    """Set evaluation mode, remove the blocks above the highest layer, and merge the positional convolution's weights.

    Removing blocks is correct for both kinds of model, pre-LN (XLS-R) and post-LN (base size), because hidden states
    are taken from the blocks themselves.
    """
    model.eval().requires_grad_(False)
    encoder = _encoder(model)
    if "last" not in layers:
        encoder.layers = encoder.layers[: max(int(layer) for layer in layers)]
    convolution = getattr(getattr(encoder, "pos_conv_embed", None), "conv", None)
    if convolution is not None and parametrize.is_parametrized(convolution, "weight"):
        parametrize.remove_parametrizations(convolution, "weight")  # now: in 16 bits the norm itself would be rounded


def _encoder(model: Any) -> Any:
    """The module that has the blocks, as `layers`."""
    return model if model.config.model_type == WHISPER else model.encoder


def _hook(model: Any, layer: str, keep: Keep) -> RemovableHandle:
    """Pass a hidden state on whenever the model computes it; layer 0 is the output of the encoder's dropout.

    The dropout of Whisper is no module. There, layer 0 is the input of the final norm, before which no block is left if
    it is the highest layer, or else the input of block 1.
    """
    encoder = _encoder(model)
    if int(layer):
        block: nn.Module = encoder.layers[int(layer) - 1]
        return block.register_forward_hook(lambda module, args, output: keep(output))
    if isinstance(encoder.dropout, nn.Module):
        return encoder.dropout.register_forward_hook(lambda module, args, output: keep(output))
    first: nn.Module = encoder.layers[0] if len(encoder.layers) else encoder.layer_norm
    return first.register_forward_pre_hook(lambda module, args: keep(args))


def _keep(states: dict[str, torch.Tensor], layer: str) -> Keep:
    def keep(output: Any) -> None:
        states[layer] = output[0] if isinstance(output, tuple) else output

    return keep
