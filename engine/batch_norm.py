"""Batch norms whose statistics are those of all processes' utterances, as if one process had the whole batch."""

from typing import Any

import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _BatchNorm


def over_all_processes(model: nn.Module, device: torch.device) -> None:
    """Have every batch norm of a network on `device` reduce its statistics over all processes, in training.

    Parameters, buffers and their names stay as they are, and so does evaluation.
    """
    if device.type == "cuda":
        nn.SyncBatchNorm.convert_sync_batchnorm(model)
        return
    for module in model.modules():
        if isinstance(module, _BatchNorm):
            # a new module in its place would lose the references that others have to it
            module.__class__ = GlobalBatchNorm


class GlobalBatchNorm(_BatchNorm):
    """nn.SyncBatchNorm for CPUs, which that one refuses: [B, C, …] → [B, C, …], B may differ between processes.

    Mean and variance are those over all processes (and biased, as everywhere), found in two sums: first the means,
    then the squares about the common one, since a difference of large squares would have few digits left.
    """

    def _check_input_dim(self, x: torch.Tensor) -> None:
        pass  # that of the class it was has nothing more to say

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        mean, variance, count = _moments(wide)
        self._follow(mean.detach(), variance.detach() * (count / (count - 1)))
        scale = (variance + self.eps).rsqrt()
        if self.affine:
            scale = scale * self.weight
        shift = -mean * scale if self.bias is None else self.bias - mean * scale
        per_channel = (1, -1, *[1] * (x.dim() - 2))
        return torch.addcmul(shift.view(per_channel), wide, scale.view(per_channel)).to(x.dtype)

    @torch.no_grad()
    def _follow(self, mean: torch.Tensor, unbiased: torch.Tensor) -> None:
        """Move the running statistics [C] towards those of a batch; without a momentum they are means over batches."""
        if self.num_batches_tracked is None or self.running_mean is None or self.running_var is None:
            return
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(unbiased, share)


def _moments(x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Mean [C], biased variance [C] and number of values in a channel of x [B, C, …], over all processes."""
    own = x.numel() / x.shape[1]
    variance, mean = torch.var_mean(x, [each for each in range(x.dim()) if each != 1], correction=0)
    sums = _Total.apply(torch.cat([own * mean, mean.new_tensor([own])]))
    count = sums[-1].item()
    common = sums[:-1] / count
    squares = _Total.apply(own * (variance + (mean - common).square()))
    return common, squares / count, count


class _Total(torch.autograd.Function):
    """Sum over all processes. Each has its share of the loss, so the gradient is the sum of all their gradients."""

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
