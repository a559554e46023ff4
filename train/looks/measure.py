"""Measures how composed pictures look compared with intact ones, using `features`, `realism` and `faces`."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from inpainter import metrics
from inpainter.images import to_tensor
from inpainter.models import LatentModel
from inpainter.results import compose

from . import faces, realism
from .features import Network

BATCH = 50  # pictures filled at once
FILLINGS = 4  # per hole, for the diversity
FACES_FROM = 0.5  # minimum share of intact pictures with a face for figures on faces

# Fills pictures uint8 (N, H, W, 3) with holes bool (N, H, W), from the codes of a seed: uint8 (N, H, W, 3).
Fill = Callable[[NDArray[np.uint8], NDArray[np.bool_], int], NDArray[np.uint8]]


@dataclass(frozen=True)
class Intact:
    """Intact pictures and their features: `truth` gets filled, `others` is what the fillings are compared with."""

    truth: NDArray[np.uint8]  # (N, H, W, 3)
    others: NDArray[np.uint8]
    truth_features: NDArray[np.float32]  # (N, D)
    other_features: NDArray[np.float32]
    eyes: faces.Eyes | None  # in `truth`, if these are faces

    @classmethod
    def of(cls, truth: NDArray[np.uint8], others: NDArray[np.uint8], network: Network) -> "Intact":
        eyes = faces.landmarks(truth)
        if eyes and eyes.found.mean() < FACES_FROM:
            eyes = None
        return cls(truth, others, seen(network, truth), seen(network, others), eyes)

    def floor(self) -> dict[str, float]:
        """Returns the figures of the intact pictures themselves."""
        found = {
            "kid_floor": realism.kid(self.truth_features, self.other_features)[0],
            "c2st_floor": realism.c2st(self.truth_features, self.other_features),
            "spread": metrics.mean_pairwise_distance(self.other_features),
        }
        if self.eyes:
            found |= {
                "eyes_floor": share(faces.both_eyes(self.truth)),
                "landmarks_floor": share(self.eyes.found),
                "eye_height_floor": float(self.eyes.height_difference().mean()),
                "eye_size_floor": float(self.eyes.size_difference().mean()),
            }
        return found


def looks(filled: NDArray[np.uint8], intact: Intact, network: Network, cascade: bool = True) -> dict[str, float]:
    """Measures how composed pictures (N, H, W, 3) of `intact.truth` look; faster without the cascade.

    Returns:
        kid, its standard error and c2st. For faces also the shares in which the cascade finds both eyes and the
        landmark network finds a face; and, where it finds one in both filling and truth, the means of the eyes' shift
        from the truth and of the height and size differences between them.
    """
    made = seen(network, filled)
    kid, error = realism.kid(made, intact.other_features)
    found = {"kid": kid, "kid_error": error, "c2st": realism.c2st(made, intact.other_features)}
    if intact.eyes:
        eyes = faces.landmarks(filled)
        both = eyes.found & intact.eyes.found
        found |= {
            "landmarks": share(eyes.found),
            "eye_shift": mean_of(eyes.shift(intact.eyes)[both]),
            "eye_height": mean_of(eyes.height_difference()[both]),
            "eye_size": mean_of(eyes.size_difference()[both]),
        }
        if cascade:
            found["eyes"] = share(faces.both_eyes(filled))
    return found


def diversity(fill: Fill, images: NDArray[np.uint8], holes: NDArray[np.bool_], network: Network) -> float:
    """Mean feature distance between fillings of one hole from different codes."""
    fillings = [seen(network, fill(images, holes, seed)) for seed in range(1, 1 + FILLINGS)]
    return float(np.mean([metrics.mean_pairwise_distance(each) for each in np.stack(fillings, axis=1)]))


def proposals(model: LatentModel, device: torch.device, blend: str = "overlay") -> Fill:
    """Returns a `Fill` that uses a conditional model's proposal: z = 0 for seed 0, drawn codes for other seeds."""

    @torch.no_grad()
    def fill(images: NDArray[np.uint8], holes: NDArray[np.bool_], seed: int) -> NDArray[np.uint8]:
        filled = []
        for start in range(0, len(images), BATCH):
            some, missing = images[start : start + BATCH], holes[start : start + BATCH]
            z = model.sample_latents(len(some), torch.Generator().manual_seed(1000 * seed + start)) * bool(seed)
            pictures, hole = to_tensor(some, device), torch.from_numpy(missing).to(device)
            generated = model.bound(pictures, hole).generate(z.to(device)).float().clamp(-1, 1)
            filled.append(compose(some, generated, missing, blend))
        return np.concatenate(filled)

    return fill


def accuracy(filled: NDArray[np.uint8], images: NDArray[np.uint8], holes: NDArray[np.bool_]) -> dict[str, float]:
    """Scores fillings against the truth; the PSNR in the hole also gets its standard error over the pictures."""
    hole = metrics.psnr(filled, images, holes)
    return {
        "psnr_hole": float(hole.mean()),
        "psnr_hole_error": float(hole.std(ddof=1) / len(hole) ** 0.5),
        "psnr_image": float(metrics.psnr(filled, images).mean()),
        "ssim": float(metrics.ssim(filled, images).mean()),
    }


def seen(network: Network, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    return network(torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2))


def share(found: NDArray[np.bool_] | None) -> float:
    return float("nan") if found is None else float(found.mean())


def mean_of(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if len(values) else float("nan")
