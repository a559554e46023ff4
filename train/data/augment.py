"""DiffAugment: differentiable random augmentation of the real and generated images that D sees.

With few pictures, D memorises them; augmentation delays this. Real and generated images are both augmented, in the
steps of D and of G, so the augmentation does not show up in G's images.

Source: Zhao et al., *Differentiable Augmentation for Data-Efficient GAN Training*, NeurIPS 2020.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

SHIFT = 1 / 8  # of the side, at most, in each direction
CUTOUT = 1 / 2  # of the side


def diff_augment(images: Tensor, policy: tuple[str, ...], random: torch.Generator) -> Tensor:
    """Applies the named augmentations, with independent draws for each image.

    Args:
        images: (N, 3, H, W) in [-1, 1]; the result may exceed this range. More channels, such as a hole, move along.
        policy: names from `CHANGES`, applied in this order.
        random: a generator on the CPU, so that the draws do not depend on the device.
    """
    for name in policy:
        images = CHANGES[name](images, random)
    return images


def paired(policy: tuple[str, ...], random: torch.Generator) -> Callable[[Tensor], Tensor]:
    """Returns a function that augments batches of one size all with the same draws, one for each row."""
    seed = int(torch.randint(2**31, (), generator=random)) if policy else 0
    return lambda images: diff_augment(images, policy, torch.Generator().manual_seed(seed))


def colour(images: Tensor, random: torch.Generator) -> Tensor:
    """Shifts the brightness by up to a half, scales the saturation by 0 to 2 and the contrast by 0.5 to 1.5."""
    brightness, saturation, contrast = (
        torch.rand(3, len(images), 1, 1, 1, generator=random).to(images.device, images.dtype).unbind()
    )
    images, rest = images[:, :3], images[:, 3:]
    images = images + (brightness - 0.5)
    grey = images.mean(1, keepdim=True)
    images = torch.lerp(grey, images, 2 * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    return torch.cat([torch.lerp(mean, images, contrast + 0.5), rest], 1)


def translation(images: Tensor, random: torch.Generator) -> Tensor:
    """Shifts each image by up to `SHIFT` of its side, padding with zeros."""
    count, _, height, width = images.shape
    most = round(max(height, width) * SHIFT)
    padded = F.pad(images, (most, most, most, most))
    corners = torch.randint(0, 2 * most + 1, (2, count), generator=random).tolist()
    return torch.stack([image[:, y : y + height, x : x + width] for image, y, x in zip(padded, *corners, strict=True)])


def cutout(images: Tensor, random: torch.Generator) -> Tensor:
    """Zeroes a square of `CUTOUT` of the side around a point anywhere in the image."""
    count, _, height, width = images.shape
    reach = round(max(height, width) * CUTOUT) // 2
    ys = torch.randint(0, height, (count, 1), generator=random)
    xs = torch.randint(0, width, (count, 1), generator=random)
    rows = (torch.arange(height) - ys).abs() < reach  # (N, H)
    columns = (torch.arange(width) - xs).abs() < reach  # (N, W)
    square = (rows[:, None, :, None] & columns[:, None, None, :]).to(images.device)
    return images.masked_fill(square, 0)


CHANGES: dict[str, Callable[[Tensor, torch.Generator], Tensor]] = {
    "colour": colour,
    "translation": translation,
    "cutout": cutout,
}
