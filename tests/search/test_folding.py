import pytest
import torch
from conftest import tiny_dcgan
from torch import nn

from inpainter import masks
from inpainter.models import VAE, VAEConfig
from inpainter.search import losses
from inpainter.search.kernels import folding
from inpainter.search.kernels.objective import AutogradObjective, FoldedObjective, generate, objective


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


@pytest.mark.parametrize("norm", ["l1", "l2"])
@pytest.mark.parametrize("window", [7, None])
def test_folded_losses_and_gradients_equal_autograds(products, norm, window):
    model, pictures, holes, z = problem()
    weights = torch.tensor([0.003, 0.0, 20.0])  # the last makes the discriminator's share count
    folded = FoldedObjective(model, pictures, holes, weights, window, norm, dtype=torch.float32)(z)
    exact = AutogradObjective(model, pictures, holes, weights, window, norm)(z)
    for name in ("images", "context_loss", "prior_loss", "loss", "gradient"):
        torch.testing.assert_close(getattr(folded, name), getattr(exact, name), rtol=1e-3, atol=1e-4, msg=name)


def test_a_vaes_prior_pulls_on_the_code_itself():
    torch.manual_seed(0)
    vae = VAE(VAEConfig(image_size=16, latent_size=8, channels=(16, 8))).eval()
    arguments = (*problem(model=vae)[:3], 3.0, 7, "l1")
    z = problem(model=vae)[3]
    folded, exact = FoldedObjective(*arguments, dtype=torch.float32)(z), AutogradObjective(*arguments)(z)
    torch.testing.assert_close(folded.loss, exact.loss, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(folded.gradient, exact.gradient, rtol=1e-3, atol=1e-3)


def test_in_bfloat16_the_direction_is_the_same():
    model, pictures, holes, z = problem()
    arguments = (model, pictures, holes, 0.003, 7, "l1")
    coarse, exact = FoldedObjective(*arguments, dtype=torch.bfloat16)(z), AutogradObjective(*arguments)(z)
    assert coarse.gradient.dtype == torch.float32
    assert (torch.cosine_similarity(coarse.gradient, exact.gradient) > 0.99).all()
    torch.testing.assert_close(coarse.loss, exact.loss, rtol=0.02, atol=0.1)


def test_more_rows_than_are_taken_at_once_are_each_their_own(monkeypatch):
    model, pictures, holes, z = problem()
    arguments = (model, pictures, holes, 5.0, 7, "l1")
    whole = FoldedObjective(*arguments, dtype=torch.float32)(z)
    monkeypatch.setattr("inpainter.search.kernels.objective.ROWS_AT_ONCE", 2)
    parted = FoldedObjective(*arguments, dtype=torch.float32)(z)
    for name in ("images", "context_loss", "prior_loss", "loss", "gradient"):
        torch.testing.assert_close(getattr(parted, name), getattr(whole, name), rtol=1e-4, atol=1e-4)


def test_a_batch_too_large_for_the_memory_is_split(monkeypatch):
    model, pictures, holes, z = problem(4)
    arguments = (model, pictures, holes, 5.0, 7, "l1")
    whole = FoldedObjective(*arguments, dtype=torch.float32)(z)
    target, forward, sizes = FoldedObjective(*arguments, dtype=torch.float32), folding.Chain.forward, []

    def limited(self, x):
        sizes.append(len(x))
        if len(x) > 1:
            raise torch.OutOfMemoryError("out of memory")
        return forward(self, x)

    monkeypatch.setattr(folding.Chain, "forward", limited)
    parted = target(z)
    assert sizes[:3] == [4, 2, 1]
    for name in ("images", "context_loss", "prior_loss", "loss", "gradient"):
        torch.testing.assert_close(getattr(parted, name), getattr(whole, name), rtol=1e-4, atol=1e-4)


def test_a_picture_too_large_for_the_memory_is_an_error(monkeypatch):
    def full(self, x):
        raise torch.OutOfMemoryError("out of memory")

    monkeypatch.setattr(folding.Chain, "forward", full)
    model, pictures, holes, z = problem()
    with pytest.raises(torch.OutOfMemoryError):
        FoldedObjective(model, pictures, holes, 5.0, 7, "l1", dtype=torch.float32)(z)


def test_without_a_new_look_at_the_prior_its_last_loss_and_pull_are_used():
    model, pictures, holes, z = problem()
    target = FoldedObjective(model, pictures, holes, 20.0, 7, "l1", dtype=torch.float32)
    first, again = target(z), target(z, prior=False)
    torch.testing.assert_close(again.gradient, first.gradient)
    torch.testing.assert_close(again.loss, first.loss)
    moved = target(-z, prior=False)
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
    before = generate(model, z)
    with torch.no_grad():
        model.generator[0].weight.mul_(-1)
    after = generate(model, z)
    torch.testing.assert_close(after, model.generate(z), rtol=0, atol=0.03)
    assert (before - after).abs().max() > 0.1


def test_what_folding_does_not_know_goes_through_autograd():
    model, pictures, holes, _ = problem()
    arguments = (pictures, holes, 0.003, 7, "l1")
    assert isinstance(objective(model, *arguments), FoldedObjective)
    with torch.autocast("cpu", torch.bfloat16):
        assert type(objective(model, *arguments)) is AutogradObjective

    class Changed(type(model)):
        def generate(self, z):
            return super().generate(z).flip(2)

    changed = Changed(model.config).eval()
    assert type(objective(changed, *arguments)) is AutogradObjective


def test_the_loss_has_the_gradient_that_autograd_finds():
    draws = torch.Generator().manual_seed(0)
    generated, pictures = torch.randn(2, 2, 3, 4, 4, generator=draws).unbind(0)
    weights = torch.rand(2, 1, 4, 4, generator=draws)
    for norm in ("l1", "l2"):
        leaf = generated.clone().requires_grad_()
        (expected,) = torch.autograd.grad(losses.context_loss(leaf, pictures, weights, norm).sum(), leaf)
        torch.testing.assert_close(losses.context_gradient(generated, pictures, weights, norm), expected)


def test_models_made_and_used_in_inference_mode_are_folded_too():
    with torch.inference_mode():
        model, *_, z = problem()
        torch.testing.assert_close(generate(model, z), model.generate(z), rtol=0, atol=0.03)
