import pytest
import torch
import torch.nn.functional as F
from helpers import problem

from inpainter.models import DCGAN
from inpainter.search import losses, search


def test_the_search_lowers_the_loss_of_every_picture(tiny):
    pictures, hole, z = problem(tiny)
    start = search(tiny.model, pictures, hole, z, steps=0)
    end = search(tiny.model, pictures, hole, z, steps=150)
    assert (end.context_loss < 0.5 * start.context_loss).all()


def textbook(tiny, pictures, hole, z, steps: int, weight: float):
    """The loop that people write, on the modules themselves: the total loss after `steps` steps."""
    weights = losses.importance_weights(hole)
    z = z.clone().requires_grad_()
    adam = torch.optim.Adam([z], lr=0.03)
    for _ in range(steps + 1):
        images = tiny.model.generator(z)
        context = (weights * (images - pictures)).abs().sum((1, 2, 3))
        loss = context - weight * F.softplus(tiny.model.discriminator(images)).squeeze(1)
        adam.zero_grad()
        loss.sum().backward()
        adam.step()
        with torch.no_grad():
            z.clamp_(-1, 1)
    return loss.detach()


@pytest.mark.parametrize("weight", [0.003, 2.0])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-3), ("bfloat16", 6e-2)])
def test_the_search_is_the_textbook_loop(tiny, weight, dtype, tolerance):
    problem_ = problem(tiny)
    for steps in (0, 1, 30):
        own = search(tiny.model, *problem_, steps=steps, prior_weight=weight, precision=dtype)
        expected = textbook(tiny, *problem_, steps, weight)
        torch.testing.assert_close(own.loss, expected, rtol=tolerance, atol=tolerance)


def test_codes_stay_within_one(tiny):
    pictures, hole, z = problem(tiny)
    sizes = []

    def watch(step, state):
        sizes.append(state.z.abs().max())

    search(tiny.model, pictures, hole, z, steps=20, learning_rate=1.0, callback=watch)
    assert max(sizes) == 1.0


def test_the_callback_sees_every_step_and_can_end_the_search(tiny):
    pictures, hole, z = problem(tiny)
    seen = []
    end = search(tiny.model, pictures, hole, z, steps=9, callback=lambda step, state: seen.append(step) or step == 4)
    assert seen == [0, 1, 2, 3, 4]
    assert end.step == 4


def test_every_tensor_of_a_state_belongs_to_the_same_codes(tiny):
    pictures, hole, z = problem(tiny)
    end = search(tiny.model, pictures, hole, z, steps=7)
    again = search(tiny.model, pictures, hole, end.z, steps=0)
    torch.testing.assert_close(end.images, again.images)
    torch.testing.assert_close(end.loss, again.loss)
    torch.testing.assert_close(end.loss, end.context_loss + 0.003 * end.prior_loss)


def test_hidden_pixels_are_not_read(tiny):
    pictures, hole, z = problem(tiny)
    changed = torch.where(hole[:, None], torch.full_like(pictures, torch.nan), pictures)
    a, b = (search(tiny.model, p, hole, z, steps=10) for p in (pictures, changed))
    assert torch.equal(a.z, b.z)
    assert torch.equal(a.loss, b.loss)


def test_each_row_follows_its_own_prior_weight(tiny):
    pictures, hole, z = problem(tiny)
    both = search(tiny.model, pictures, hole, z, steps=20, prior_weight=torch.tensor([0.0, 5.0, 0.0]))
    without = search(tiny.model, pictures, hole, z, steps=20, prior_weight=0.0)
    strong = search(tiny.model, pictures, hole, z, steps=20, prior_weight=5.0)
    torch.testing.assert_close(both.z[[0, 2]], without.z[[0, 2]])
    torch.testing.assert_close(both.z[1], strong.z[1])
    assert (without.z[1] - strong.z[1]).abs().max() > 0.01


def test_the_prior_makes_images_the_discriminator_likes_better(tiny):
    pictures, hole, z = problem(tiny)
    without = search(tiny.model, pictures, hole, z, steps=60, prior_weight=0.0)
    strong = search(tiny.model, pictures, hole, z, steps=60, prior_weight=50.0)
    assert (strong.prior_loss < without.prior_loss).all()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_model_that_is_not_folded_is_searched_in_either_precision(tiny, precision):
    class Other(DCGAN):
        """Of no kind that the kernels know."""

    pictures, hole, z = problem(tiny)
    other = Other(tiny.model.config).eval().requires_grad_(False)
    other.load_state_dict(tiny.model.state_dict())
    end = search(other, pictures, hole, z, steps=60, precision=precision)
    exact = search(tiny.model, pictures, hole, z, steps=60)
    assert (end.context_loss < 1.3 * exact.context_loss + 1).all()


def test_the_callers_autocast_does_not_change_the_precision(tiny):
    pictures, hole, z = problem(tiny)
    with torch.autocast("cpu", torch.bfloat16):
        cast = search(tiny.model, pictures, hole, z, steps=3)
    assert torch.equal(cast.z, search(tiny.model, pictures, hole, z, steps=3).z)


def test_the_starting_codes_are_left_alone(tiny):
    pictures, hole, z = problem(tiny)
    before = z.clone()
    search(tiny.model, pictures, hole, z, steps=3)
    assert torch.equal(z, before)
