"""The network that lends a generator's encoder its features: fixed, and the same features for any picture size."""

import pytest
import torch
from helpers import tiny_comod

from inpainter.models.efficientnet import BACKBONE_CHANNELS, Backbone, FixedConv


@pytest.fixture(scope="module")
def backbone() -> Backbone:
    return tiny_comod(backbone=True).generator.backbone


@pytest.mark.parametrize("size", [32, 64, 128, 256])
def test_features_have_the_sizes_of_the_encoders_smallest_levels_and_unit_mean_square(backbone, size):
    found = backbone(torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1)
    shapes = zip(BACKBONE_CHANNELS, (32, 16, 8, 4), strict=True)
    assert [tuple(features.shape) for features in found] == [(2, width, side, side) for width, side in shapes]
    for features in found:
        assert torch.allclose(features.square().mean((1, 2, 3)), torch.ones(2), atol=1e-3)


def test_a_picture_has_the_features_it_has_alone(backbone):
    images = torch.rand(3, 3, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    for together, alone in zip(backbone(images), backbone(images[1:2]), strict=True):
        assert torch.allclose(together[1:2], alone, atol=1e-4)


def test_it_has_no_parameters_for_an_optimiser_to_change(backbone):
    assert not list(backbone.parameters())


@pytest.mark.parametrize(("stride", "first"), [(1, 0), (2, 1)])
def test_a_strided_convolution_pads_less_at_the_top_and_left(stride, first):
    layer = FixedConv(1, 1, 3, stride)
    layer.weight[0, 0, 0, 0] = 1  # passes on the pixel at the top left of the filter
    (out,) = layer(torch.arange(1.0, 17).view(1, 1, 4, 4))
    assert out[0, 0, 0] == first
