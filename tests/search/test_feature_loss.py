"""The feature loss: what D's layers see of the known pixels of a generated image and of the picture."""

import numpy as np
import pytest
import torch
from conftest import tiny_dcgan
from helpers import problem, tiny_vae

from inpainter import Inpainter, masks
from inpainter.models import ModelError
from inpainter.search import losses, search
from inpainter.search.fast import fast_search
from inpainter.search.kernels.objective import AutogradObjective, FoldedObjective, objective
from inpainter.settings import MODES

WEIGHT = 300.0
both_modes = pytest.mark.parametrize("mode", MODES)
both_searches = pytest.mark.parametrize("descend", [search, fast_search])


def feature_loss(model, images, pictures, hole):
    return losses.feature_loss(*(model.features(x.masked_fill(hole[:, None], 0)) for x in (images, pictures)))


def test_it_is_the_mean_over_layers_of_each_layers_mean_difference():
    features = [torch.zeros(2, 1, 2, 2), torch.zeros(2, 3, 1, 1)]
    targets = [torch.zeros(2, 1, 2, 2), torch.zeros(2, 3, 1, 1)]
    targets[0][0, 0, 0, 0] = -8.0  # the mean of 4: 2
    targets[1][0, 0] = 1.5  # the mean of 3: 0.5
    targets[1][1] = 3.0
    assert losses.feature_loss(features, targets).tolist() == [(2 + 0.5) / 2, (0 + 3) / 2]


def test_features_are_those_of_each_hidden_layer_after_its_leaky_relu():
    model = tiny_dcgan()
    images = torch.rand(2, 3, 16, 16) * 2 - 1
    layers = model.features(images)
    assert [tuple(layer.shape) for layer in layers] == [(2, 8, 8, 8), (2, 16, 4, 4)]
    assert torch.equal(model.discriminator[-2:](layers[-1]), model.discriminator(images))
    first = torch.nn.functional.leaky_relu(model.discriminator[0](images), 0.2)
    assert torch.equal(layers[0], first)  # and no later layer has written into it


@both_searches
def test_a_weight_of_zero_is_the_search_without_it_to_the_bit(tiny, descend):
    pictures, hole, z = problem(tiny)
    without, zero = (descend(tiny.model, pictures, hole, z, steps=20, **s) for s in ({}, {"feature_weight": 0}))
    assert torch.equal(without.z, zero.z) and torch.equal(without.loss, zero.loss)
    arguments = (tiny.model, pictures, hole, 0.003, 7, "l1")
    assert isinstance(objective(*arguments, 0), FoldedObjective)
    assert type(objective(*arguments, WEIGHT)) is AutogradObjective


@both_searches
def test_the_search_brings_it_down(tiny, pictures, descend):
    _, hole, z = problem(tiny)
    pictures = torch.from_numpy(pictures).permute(0, 3, 1, 2) / 127.5 - 1
    without, strong = (
        descend(tiny.model, pictures, hole, z, steps=60, feature_weight=weight) for weight in (0, 10 * WEIGHT)
    )
    ends = [feature_loss(tiny.model, state.images, pictures, hole) for state in (without, strong)]
    assert (ends[1] < ends[0]).all()


def test_it_is_a_part_of_the_loss_and_of_its_gradient(tiny):
    pictures, hole, z = problem(tiny)
    found = objective(tiny.model, pictures, hole, 0.5, 7, "l1", WEIGHT)(z)
    z = z.requires_grad_()
    images = tiny.model.generate(z)
    features = feature_loss(tiny.model, images, pictures, hole)
    torch.testing.assert_close(found.loss, found.context_loss + 0.5 * found.prior_loss + WEIGHT * features)
    context = losses.context_loss(images, pictures, losses.importance_weights(hole))
    total = context + 0.5 * tiny.model.prior_loss(images, z) + WEIGHT * features
    (expected,) = torch.autograd.grad(total.sum(), z)
    torch.testing.assert_close(found.gradient, expected, rtol=1e-3, atol=1e-3)


@both_modes
def test_known_pixels_stay_exact_and_hidden_ones_cannot_matter(tiny, pictures, mode):
    hole = masks.center(16)
    changed = np.where(hole[..., None], 255 - pictures, pictures)
    a, b = (tiny(p, hole, mode=mode, steps=10, feature_weight=WEIGHT) for p in (pictures, changed))
    assert (a.images[:, ~hole] == pictures[:, ~hole]).all()
    for name in ("images", "generated", "latents", "context_loss", "prior_loss"):
        assert (getattr(a, name) == getattr(b, name)).all(), name
    assert (a.latents != tiny(pictures, hole, mode=mode, steps=10).latents).any()


@both_modes
def test_a_batch_of_n_equals_n_singles(tiny, pictures, mode):
    holes = np.stack([masks.center(16), masks.half(16), masks.random(16)])
    batch = tiny(pictures, holes, mode=mode, steps=30, feature_weight=WEIGHT)
    for i in range(3):
        single = tiny(pictures[i], holes[i], mode=mode, steps=30, feature_weight=WEIGHT)
        np.testing.assert_allclose(batch.latents[i], single.latents[0], atol=1e-3)


@both_modes
def test_models_without_a_discriminator_are_refused(pictures, mode):
    model = Inpainter(tiny_vae(), device="cpu")
    for hole in (masks.center(16), np.zeros((16, 16), bool)):
        with pytest.raises(ModelError, match=r"feature_weight must be 0 .* without a discriminator, .* 'vae'"):
            model(pictures, hole, mode=mode, steps=1, feature_weight=1)
    model(pictures, masks.center(16), mode=mode, steps=1, feature_weight=0)
