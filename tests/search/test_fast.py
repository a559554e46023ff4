from itertools import pairwise

import pytest
import torch
from helpers import problem

from inpainter import masks
from inpainter.images import to_tensor
from inpainter.search import losses, search
from inpainter.search.fast import BETAS, CANDIDATES, PRIOR_EVERY, best_codes, fast_search


@pytest.mark.parametrize("steps", [20, 60])
def test_it_ends_with_no_more_loss_than_the_papers_search_of_as_many_steps(tiny, pictures, steps):
    pictures = to_tensor(pictures)
    hole = torch.from_numpy(masks.pattern(16)).expand(3, 16, 16)
    z = tiny.model.sample_latents(3, torch.Generator().manual_seed(0))
    paper = search(tiny.model, pictures, hole, z, steps=steps)
    candidates = tiny.model.sample_latents(CANDIDATES, torch.Generator().manual_seed(0))
    fast = fast_search(
        tiny.model, pictures, hole, best_codes(tiny.model, pictures, hole, candidates)[:, 0], steps=steps
    )
    assert (fast.loss <= 1.01 * paper.loss).all()  # local minima differ a little
    assert fast.loss.mean() < paper.loss.mean()


def test_the_best_codes_are_those_with_the_lowest_context_loss(tiny):
    pictures, hole, _ = problem(tiny)
    candidates = tiny.model.sample_latents(20, torch.Generator().manual_seed(5))
    chosen = best_codes(tiny.model, pictures, hole, candidates, 3)
    assert chosen.shape == (3, 3, 8)
    images, weights = tiny.model.generate(candidates), losses.importance_weights(hole)
    for row in range(3):
        loss = losses.context_loss(images, pictures[row : row + 1], weights[row : row + 1])
        assert torch.equal(chosen[row], candidates[loss.argsort()[:3]])


def test_choosing_codes_does_not_read_hidden_pixels(tiny):
    pictures, hole, _ = problem(tiny)
    candidates = tiny.model.sample_latents(20, torch.Generator().manual_seed(5))
    changed = torch.where(hole[:, None], torch.full_like(pictures, torch.nan), pictures)
    assert torch.equal(
        best_codes(tiny.model, pictures, hole, candidates), best_codes(tiny.model, changed, hole, candidates)
    )


def test_a_row_does_not_depend_on_the_others(tiny):
    pictures, hole, z = problem(tiny, 10)
    together = fast_search(tiny.model, pictures, hole, z, steps=30)
    for row in (0, 9):
        alone = fast_search(tiny.model, *(t[row : row + 1] for t in (pictures, hole, z)), steps=30)
        torch.testing.assert_close(alone.z[0], together.z[row], rtol=0, atol=1e-3)


def test_the_prior_of_the_last_state_is_its_own_however_the_search_ends(tiny):
    pictures, hole, z = problem(tiny)
    end = fast_search(tiny.model, pictures, hole, z, steps=PRIOR_EVERY + 3)
    images = tiny.model.generate(end.z)
    torch.testing.assert_close(end.prior_loss, tiny.model.prior_loss(images, end.z), rtol=0.05, atol=0.02)


@pytest.mark.parametrize("stop", [PRIOR_EVERY + 5, PRIOR_EVERY])
def test_a_search_that_is_stopped_returns_the_prior_of_its_own_codes(tiny, stop):
    pictures, hole, z = problem(tiny)
    options = {"steps": 60, "prior_weight": 30.0, "callback": lambda step, state: step == stop}
    end = fast_search(tiny.model, pictures, hole, z, **options)
    torch.testing.assert_close(end.prior_loss, tiny.model.prior_loss(end.images, end.z), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(end.loss, end.context_loss + 30 * end.prior_loss)


def test_a_strong_prior_is_followed_although_it_is_seldom_asked(tiny):
    pictures, hole, z = problem(tiny)
    without = fast_search(tiny.model, pictures, hole, z, steps=60, prior_weight=0.0)
    strong = fast_search(tiny.model, pictures, hole, z, steps=60, prior_weight=500.0)
    assert (strong.prior_loss < without.prior_loss).all()


def test_a_learning_rate_that_is_given_is_kept_throughout(tiny):
    pictures, hole, z = problem(tiny)
    moves = []

    def watch(step, state):
        moves.append(state.z)

    fast_search(tiny.model, pictures, hole, z, steps=4, learning_rate=0.01, callback=watch)
    other = fast_search(tiny.model, pictures, hole, z, steps=2, learning_rate=0.01)
    assert torch.equal(moves[2], other.z)
    torch.testing.assert_close((moves[1] - moves[0]).abs().max(), torch.tensor(0.01), rtol=1e-3, atol=0)


def test_by_default_the_step_size_falls_to_zero(tiny):
    pictures, hole, z = problem(tiny)
    states = []
    fast_search(tiny.model, pictures, hole, z, steps=50, callback=lambda step, state: states.append(state.z))
    moves = [(after - before).abs().mean() for before, after in pairwise(states)]
    assert moves[-1] < 0.1 * moves[0]
    assert sum(moves[40:]) < 0.3 * sum(moves[:10])
    assert BETAS[1] < 0.999  # or the squares of the first, largest gradients would still damp the last steps


def test_the_callback_sees_every_step_and_can_end_the_search(tiny):
    pictures, hole, z = problem(tiny)
    seen = []
    end = fast_search(
        tiny.model, pictures, hole, z, steps=9, callback=lambda step, state: seen.append(step) or step == 4
    )
    assert seen == [0, 1, 2, 3, 4]
    assert end.step == 4
