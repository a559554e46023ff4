import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_cdt

from inpainter import masks
from inpainter.models.base import prior_loss
from inpainter.search import losses


def weights_of(hole: np.ndarray, window: int | None = 7) -> np.ndarray:
    return losses.importance_weights(torch.from_numpy(hole)[None], window)[0, 0].numpy()


def textbook_weights(hole: np.ndarray, window: int) -> np.ndarray:
    """CVPR eq. 3, pixel by pixel."""
    height, width = hole.shape
    reach = window // 2
    weights = np.zeros(hole.shape)
    for i in range(height):
        for j in range(width):
            around = hole[max(i - reach, 0) : i + reach + 1, max(j - reach, 0) : j + reach + 1]
            if not hole[i, j]:
                weights[i, j] = around.sum() / (around.size - 1)
    return weights


@pytest.mark.parametrize("name", masks.NAMES)
@pytest.mark.parametrize("window", [3, 7])
def test_weights_are_the_papers_at_every_pixel_and_border(name, window):
    hole = masks.named(name, 20, seed=1)
    np.testing.assert_allclose(weights_of(hole, window), textbook_weights(hole, window), atol=1e-6)


def test_weights_are_zero_in_the_hole_largest_at_its_rim_and_zero_beyond_three_pixels():
    hole = masks.center(64)
    weights = weights_of(hole)
    distance = distance_transform_cdt(~hole, metric="chessboard")  # 0 in the hole, 1 at its rim
    assert (weights[hole] == 0).all()
    assert (weights[distance > 3] == 0).all()
    assert (weights[(distance >= 1) & (distance <= 3)] > 0).all()
    by_distance = [weights[32, 32 - 16 - d] for d in (1, 2, 3)]  # straight out from the middle of a side
    assert by_distance == sorted(by_distance, reverse=True)
    assert weights.max() == pytest.approx(by_distance[0])


def test_neighbours_outside_the_image_do_not_count():
    hole = np.zeros((9, 9), dtype=bool)
    hole[0, 1] = True
    assert weights_of(hole)[0, 0] == pytest.approx(1 / 15)  # a corner has 4x4 - 1 neighbours
    assert weights_of(hole)[3, 3] == pytest.approx(1 / 48)


def test_the_first_versions_weights_are_one_on_every_known_pixel():
    hole = masks.random(16)
    assert (weights_of(hole, None) == ~hole).all()


@pytest.mark.parametrize("window", [0, 1, 4, -3])
def test_even_and_tiny_windows_are_refused(window):
    with pytest.raises(ValueError, match="odd"):
        weights_of(masks.center(16), window)


def test_context_loss_is_summed_over_pixels_and_channels_per_image():
    generated, pictures = torch.full((2, 3, 4, 4), 0.5), torch.zeros(2, 3, 4, 4)
    pictures[1] = 1.5
    weights = torch.zeros(2, 1, 4, 4)
    weights[:, :, 0] = 0.5  # 4 pixels, 3 channels
    assert losses.context_loss(generated, pictures, weights).tolist() == [0.5 * 0.5 * 12, 0.5 * 1.0 * 12]
    assert losses.context_loss(generated, pictures, weights, "l2").tolist() == [0.0625 * 12, 0.25 * 12]
    with pytest.raises(ValueError, match="norm"):
        losses.context_loss(generated, pictures, weights, "l3")


def test_prior_loss_is_log_of_one_minus_d_and_never_overflows():
    logits = torch.tensor([-3.0, 0.0, 2.0])
    torch.testing.assert_close(prior_loss(logits), torch.log(1 - torch.sigmoid(logits)))
    assert prior_loss(torch.tensor([1e4, -1e4])).tolist() == [-1e4, 0.0]
