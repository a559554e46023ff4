"""How far filled pictures are from the intact ones in the features of a network: a perceptual distance.

Each picture is compared with its own original: the Euclidean distance between the features of the two,
as `features` makes them. A Fréchet distance between the two sets, as `scores` takes from
thousands of samples, would say little here: a hundred pictures do not determine a covariance of 1280
features, and it does not ask whether a picture was filled as itself. Like LPIPS it is a distance in deep
features, but of one layer without learned weights: it compares with others of the same network alone.
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
    """Distances from the intact pictures of a test set, kept in a folder if there is one.

    Args:
        network: as `features.efficientnet_lite0` makes it.
        images: uint8 (N, H, W, 3), the intact pictures.
        folder: for what was computed, or None.
    """

    def __init__(self, network: features.Network, images: NDArray[np.uint8], folder: Path | None):
        self.network, self.images, self.folder = network, images, folder
        self.intact: NDArray[np.float32] | None = None  # features (N, D), made when first needed

    def __call__(self, filled: NDArray[np.uint8], batch: slice) -> NDArray[np.float64]:
        """Distances (M,) of filled pictures (M, H, W, 3) from the intact pictures `batch`."""

        def compute() -> NDArray[np.float64]:
            difference = self._features(filled).astype(np.float64) - self._intact()[batch]
            return np.linalg.norm(difference, axis=1)

        return self._kept("features", compute, filled, self.images[batch])

    def between_intact(self) -> float:
        """The mean distance between two different intact pictures, at least two; NaN of a single one."""
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
    """The network; None, and a line in the log, where the package with its weights is missing."""
    try:
        return features.efficientnet_lite0(device)
    except ValueError as error:
        logger.warning("there will be no feature distances: %s", error)
        return None
