"""A perceptual distance between filled and intact pictures, in the features of a network.

Each picture is compared with its own original, by the Euclidean distance between their `features`. A Fréchet distance
between the two sets, which `scores` takes from thousands of samples, would say little here: a hundred pictures do not
determine the covariance of 1280 features, and it ignores whether a filling matches its own original. Like LPIPS this is
a distance in deep features, but of a single layer without learned weights, so it is comparable only for one network.
"""

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from inpainter import metrics

from ..looks import features
from . import cells

logger = logging.getLogger(__name__)


class FeatureDistance:
    """Distances from the intact pictures of a test set, cached in a folder if given.

    Args:
        network: from `features.efficientnet_lite0`.
        images: uint8 (N, H, W, 3), the intact pictures.
        folder: cache folder, or None.
    """

    def __init__(self, network: features.Network, images: NDArray[np.uint8], folder: Path | None):
        self.network, self.images, self.folder = network, images, folder
        self.intact: NDArray[np.float32] | None = None  # features (N, D), computed on first use

    def __call__(self, filled: NDArray[np.uint8], batch: slice) -> NDArray[np.float64]:
        """Returns distances (M,) of filled pictures (M, H, W, 3) from the intact pictures `batch`."""

        def compute() -> NDArray[np.float64]:
            difference = self._features(filled).astype(np.float64) - self._intact()[batch]
            return np.linalg.norm(difference, axis=1)

        return self._kept("features", compute, filled, self.images[batch])

    def between_intact(self) -> float:
        """Returns the mean distance between two different intact pictures; NaN if there is only one."""
        if len(self.images) < 2:
            return float("nan")
        compute = lambda: np.array([metrics.mean_pairwise_distance(self._intact())])  # noqa: E731
        return float(self._kept("spread", compute, self.images)[0])

    def _intact(self) -> NDArray[np.float32]:
        if self.intact is None:
            self.intact = self._features(self.images)
        return self.intact

    def _features(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return self.network(torch.from_numpy(images).permute(0, 3, 1, 2))

    def _kept(self, name: str, compute, *depends: NDArray) -> NDArray[np.float64]:
        if self.folder is None:
            return compute()
        path = self.folder / f"{name}-{cells.digest({'network': features.NETWORK}, *depends)}.npz"
        found = cells.read_values(path)
        if found is None:
            found = compute()
            cells.write_arrays(path, values=found)
        return found


def network(device: torch.device) -> features.Network | None:
    """Loads the network; None, with a warning, if the package with its weights is missing."""
    try:
        return features.efficientnet_lite0(device)
    except ValueError as error:
        logger.warning("no feature distances will be measured: %s", error)
        return None
