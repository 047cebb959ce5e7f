"""Batch norms that take their statistics over all processes, as if one process had the whole batch."""

from typing import Any

import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


def over_all_processes(model: nn.Module, device: torch.device) -> None:
    """Make every batch norm of a network on `device` take its training statistics over all processes.

    Parameters, buffers and their names do not change, nor does the computation in evaluation mode.
    """
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            # other modules may hold references to this one, so it is not replaced by a new module
            module.__class__ = GlobalBatchNorm


class GlobalBatchNorm(_BatchNorm):
    """A batch norm over all processes on CPUs, which nn.SyncBatchNorm does not support: [B, C, …] → [B, C, …].

    B may differ between processes. The mean and the biased variance are computed with two sums over the processes:
    first the means, and then the squared deviations from the common mean. The difference between the mean square and
    the squared mean would lose digits.
    """

    def _check_input_dim(self, x: torch.Tensor) -> None:
        pass  # the shape was checked when the network was built, by the class that this module had then

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        mean, variance, count = _moments(wide)
        self._update_running_statistics(mean.detach(), variance.detach() * (count / (count - 1)))
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        shift = -mean * scale if self.bias is None else self.bias - mean * scale
        per_channel = (1, -1, *[1] * (x.dim() - 2))
        return torch.addcmul(shift.view(per_channel), wide, scale.view(per_channel)).to(x.dtype)

    @torch.no_grad()
    def _update_running_statistics(self, mean: torch.Tensor, unbiased: torch.Tensor) -> None:
        """Move the running statistics [C] towards those of a batch; without a momentum, average over all batches."""
        if self.num_batches_tracked is None or self.running_mean is None or self.running_var is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(unbiased, share)


def _moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Mean [C], biased variance [C] and number of values in each channel of x [B, C, …], over all processes."""
    own = x.numel() / x.shape[1]
    variance, mean = torch.var_mean(x, [each for each in range(x.dim()) if each != 1], correction=0)
    sums = _Total.apply(torch.cat([own * mean, mean.new_tensor([own])]))
    count = sums[-1].item()
    common = sums[:-1] / count
    squares = _Total.apply(own * (variance + (mean - common).square()))
    return common, squares / count, count


class _Total(torch.autograd.Function):
    """The sum over all processes. Each process has a share of the loss, so the gradients are summed as well."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        distributed.all_reduce(total)
        return total
