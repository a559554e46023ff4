"""Which images a step sees, and where its random draws come from: functions of the seed and the step alone.

Nothing here has a state, so a resumed run goes on exactly where it stopped, and every process of
several can tell its own share of a batch.
"""

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor


@lru_cache(maxsize=2)
def epoch_order(epoch: int, count: int, seed: int) -> Tensor:
    """The order in which an epoch goes through the images: a permutation, int64 (count,)."""
    return torch.randperm(count, generator=torch.Generator().manual_seed(seed * 1_000_003 + epoch))


def batch_indices(step: int, batch_size: int, count: int, seed: int) -> Tensor:
    """Which images a step sees: int64 (batch_size,), every image at most once an epoch.

    What is left of an epoch after its last whole batch is not seen; the next epoch leaves out others.
    """
    epoch, position = divmod(step, count // batch_size)
    return epoch_order(epoch, count, seed)[position * batch_size : (position + 1) * batch_size]


def step_generator(seed: int, step: int, process: int = 0) -> torch.Generator:
    """A generator (on the CPU, whatever the device) for the draws of one process in one step."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence((seed, step, process)).generate_state(1)[0]))


def prepare(images: Tensor, flips: bool, random: torch.Generator, device: torch.device | str = "cpu") -> Tensor:
    """uint8 (N, 3, H, W) to float32 in [-1, 1] on the device, half of the images mirrored when `flips`."""
    real = images.to(device).float() / 127.5 - 1
    if flips:
        mirrored = (torch.rand(len(real), generator=random) < 0.5).to(device)
        real = torch.where(mirrored[:, None, None, None], real.flip(3), real)
    return real.contiguous(memory_format=torch.channels_last)
