import pytest
import torch
from conftest import tiny_dcgan
from helpers import tiny_vae
from torch import nn

from inpainter import masks
from inpainter.search.kernels import Folded, folding, quick
from inpainter.search.loop import Objective


@pytest.fixture(params=["packed", "plain"])
def products(request, monkeypatch):
    """Both ways to multiply: with weights in oneDNN's layout, and by the public function."""
    monkeypatch.setattr(folding, "_chains", folding.WeakKeyDictionary())
    if request.param == "plain":
        monkeypatch.setattr(folding, "can_pack", lambda matrix: False)


def problem(count: int = 3, model=None):
    """A model, pictures, holes and codes."""
    model = (model or tiny_dcgan()).requires_grad_(False)
    draws = torch.Generator().manual_seed(1)
    pictures = torch.rand(count, 3, 16, 16, generator=draws) * 2 - 1
    holes = torch.stack([torch.from_numpy(masks.named(name, 16)) for name in masks.NAMES[:count]])
    return model, pictures, holes, model.sample_latents(count, draws)


def assert_same(found, expected):
    (found, gradient), (expected, expected_gradient) = found, expected
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-3, atol=1e-4)
    for name in ("images", "context_loss", "prior_loss", "loss"):
        torch.testing.assert_close(getattr(found, name), getattr(expected, name), rtol=1e-3, atol=1e-4, msg=name)


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("window", [7, None])
def test_folded_losses_and_gradients_equal_autograds(products, norm, window):
    model, pictures, holes, z = problem()
    arguments = (pictures, holes, torch.tensor([0.003, 0.0, 20.0]), window, norm)  # the last makes D's share count
    assert_same(Objective(quick(model, "float32"), *arguments)(z), Objective(model, *arguments)(z))


def test_a_vaes_prior_pulls_on_the_code_itself():
    model, pictures, holes, z = problem(model=tiny_vae())
    arguments = (pictures, holes, 3.0, 7, "l1")
    assert_same(Objective(quick(model, "float32"), *arguments)(z), Objective(model, *arguments)(z))


def test_in_bfloat16_the_direction_is_the_same():
    model, pictures, holes, z = problem()
    arguments = (pictures, holes, 0.003, 7, "l1")
    coarse, gradient = Objective(quick(model, "bfloat16"), *arguments)(z)
    exact, exact_gradient = Objective(model, *arguments)(z)
    assert gradient.dtype == torch.float32
    assert (torch.cosine_similarity(gradient, exact_gradient) > 0.99).all()
    torch.testing.assert_close(coarse.loss, exact.loss, rtol=0.02, atol=0.1)


@pytest.mark.skipif(not folding.can_pack(torch.zeros(1)), reason="needs oneDNN, whose sums do not depend on the batch")
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_row_does_not_depend_on_the_batch_to_the_bit(precision):
    model, pictures, holes, z = problem(4)
    together, gradient = Objective(quick(model, precision), pictures, holes, 5.0, 7, "l1")(z)
    for row in range(4):
        some = slice(row, row + 1)
        alone, own = Objective(quick(model, precision), pictures[some], holes[some], 5.0, 7, "l1")(z[some])
        assert torch.equal(own[0], gradient[row])
        assert torch.equal(alone.images[0], together.images[row])


@pytest.mark.parametrize("precision", ["float32", None])
def test_without_a_new_look_at_the_prior_its_last_loss_and_pull_are_used(precision):
    model, pictures, holes, z = problem()
    target = Objective(quick(model, precision) if precision else model, pictures, holes, 20.0, 7, "l1")
    (first, gradient), (again, same) = target(z), target(z, fresh=False)
    torch.testing.assert_close(same, gradient)
    torch.testing.assert_close(again.loss, first.loss)
    moved, _ = target(-z, fresh=False)
    assert torch.equal(moved.prior_loss, first.prior_loss)
    assert (moved.context_loss != first.context_loss).all()


def test_overlap_add_is_the_transpose_of_windows():
    draws = torch.Generator().manual_seed(0)
    image = torch.randn(2, 10, 6, 3, generator=draws, dtype=torch.float64)
    rows = torch.randn(2 * 4 * 2, 16 * 3, generator=draws, dtype=torch.float64)
    left = (folding.windows(image) * rows).sum()
    right = (image * folding.overlap_add(rows, torch.zeros_like(image))).sum()
    torch.testing.assert_close(left, right)


def test_windows_and_products_are_pytorchs_convolution():
    draws = torch.Generator().manual_seed(0)
    image, weight = torch.randn(2, 3, 8, 8, generator=draws), torch.randn(5, 3, 4, 4, generator=draws)
    padded = nn.functional.pad(image, (1, 1, 1, 1)).permute(0, 2, 3, 1).contiguous()
    product = folding.windows(padded) @ weight.permute(0, 2, 3, 1).flatten(1).t()
    expected = nn.functional.conv2d(image, weight, stride=2, padding=1)
    torch.testing.assert_close(product.view(2, 4, 4, 5).permute(0, 3, 1, 2), expected, rtol=1e-4, atol=1e-4)


def test_changed_weights_are_folded_anew():
    model, *_, z = problem()
    before = quick(model, "float32").generate(z)
    with torch.no_grad():
        model.generator[0].weight.mul_(-1)
    after = quick(model, "float32").generate(z)
    torch.testing.assert_close(after, model.generate(z), rtol=0, atol=1e-4)
    assert (before - after).abs().max() > 0.1


def test_only_what_folding_knows_is_folded():
    model, *_ = problem()

    class Changed(type(model)):
        def generate(self, z):
            return super().generate(z).flip(2)

    assert isinstance(quick(model, "float32"), Folded)
    assert not isinstance(quick(Changed(model.config).eval(), "float32"), Folded)


def test_models_made_and_used_in_inference_mode_are_folded_too():
    with torch.inference_mode():
        model, *_, z = problem()
        torch.testing.assert_close(quick(model, "float32").generate(z), model.generate(z), rtol=0, atol=1e-4)
