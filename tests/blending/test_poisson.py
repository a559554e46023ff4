import ctypes
import threading

import numpy as np
import pytest
import torch

from inpainter import masks
from inpainter.blending import harmonic, seamless
from inpainter.blending import poisson as blending


def dense_solution(picture: np.ndarray, generated: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Minimises eq. 6 over one channel (H, W) by least squares on the list of pixel pairs."""
    height, width = hole.shape
    number = np.full(hole.shape, -1)
    number[hole] = np.arange(hole.sum())
    equations, values = [], []
    for i in range(height):
        for j in range(width):
            for k, m in ((i + 1, j), (i, j + 1)):
                if k < height and m < width and (hole[i, j] or hole[k, m]):
                    row, value = np.zeros(hole.sum()), generated[i, j] - generated[k, m]
                    for sign, place in ((1, (i, j)), (-1, (k, m))):
                        if hole[place]:
                            row[number[place]] = sign
                        else:
                            value -= sign * picture[place]
                    equations.append(row)
                    values.append(value)
    result = picture.copy()
    result[hole] = np.linalg.lstsq(np.array(equations), np.array(values), rcond=None)[0]
    return result


def holes() -> dict[str, np.ndarray]:
    corner, single, several = (np.zeros((12, 12), dtype=bool) for _ in range(3))
    corner[:5, :4] = True
    single[6, 6] = True
    several[0, 0] = several[3:6, 3:6] = several[8:, 9:] = True
    drawn = {"corner": corner, "single": single, "several": several}
    return drawn | {name: masks.named(name, 12, seed=2) for name in masks.NAMES}


def random_pair(count: int = 1, size: int = 12) -> tuple[torch.Tensor, torch.Tensor]:
    draws = torch.Generator().manual_seed(0)
    pictures = torch.rand(count, 3, size, size, generator=draws) * 0.4 - 0.2
    return pictures, torch.rand(count, 3, size, size, generator=draws) * 0.4 - 0.2


@pytest.mark.parametrize("name", holes())
def test_poisson_equals_a_dense_solve_of_the_papers_sum(name):
    hole = holes()[name]
    pictures, generated = random_pair()
    blended = blending.poisson(pictures, generated, torch.from_numpy(hole)[None])
    for channel in range(3):
        expected = dense_solution(pictures[0, channel].numpy(), generated[0, channel].numpy(), hole)
        np.testing.assert_allclose(blended[0, channel], expected, atol=1e-5)


def test_poisson_removes_a_constant_offset():
    picture, _ = random_pair(size=32)
    hole = torch.from_numpy(masks.pattern(32))[None]
    blended = blending.poisson(picture.masked_fill(hole[:, None], 0), picture + 0.3, hole)
    torch.testing.assert_close(blended, picture, atol=1e-5, rtol=0)


def test_poisson_of_a_flat_image_is_the_harmonic_fill():
    ramp = torch.linspace(-0.9, 0.9, 16).expand(1, 3, 16, 16)  # harmonic
    hole = torch.from_numpy(masks.center(16))[None]
    blended = blending.poisson(ramp.masked_fill(hole[:, None], 1), torch.zeros_like(ramp), hole)
    torch.testing.assert_close(blended, ramp, atol=1e-5, rtol=0)


@pytest.mark.parametrize("blend", ["poisson", "overlay"])
def test_known_pixels_are_exact_and_hidden_ones_do_not_matter(blend):
    pictures, generated = random_pair(2)
    hole = torch.from_numpy(np.stack([masks.random(12), masks.half(12)]))
    blended = blending.compose(pictures, generated, hole, blend)
    known = ~hole[:, None].expand_as(pictures)
    assert torch.equal(blended[known], pictures[known])
    changed = torch.where(hole[:, None], torch.full_like(pictures, 9.0), pictures)
    assert torch.equal(blending.compose(changed, generated, hole, blend), blended)


def test_images_that_share_a_hole_are_solved_together_and_each_as_if_alone():
    pictures, generated = random_pair(4)
    hole = torch.from_numpy(np.stack([masks.center(12), masks.half(12)] * 2))
    together = blending.poisson(pictures, generated, hole)
    alone = [blending.poisson(pictures[i : i + 1], generated[i : i + 1], hole[i : i + 1]) for i in range(4)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-6, rtol=0)


def test_one_hole_is_factored_once():
    pictures, generated = random_pair(3)
    hole = torch.from_numpy(masks.pattern(12, seed=99)).expand(3, 12, 12)
    harmonic.harmonic_solver.cache_clear()
    blending.poisson(pictures, generated, hole)
    blending.poisson(pictures, generated, hole)
    assert harmonic.harmonic_solver.cache_info().misses == 1


def test_holes_that_many_threads_filled_leave_bounded_memory():
    """A search of the page is a thread of its own, and its hole's factor is dropped by a later one."""
    pictures, generated = (torch.zeros(1, 3, 128, 128) for _ in range(2))

    def fill_another(seed: int) -> None:
        thread = threading.Thread(
            target=blending.poisson,
            args=(pictures, generated, torch.from_numpy(masks.pattern(128, seed=seed))[None]),
        )
        thread.start()
        thread.join()

    harmonic.harmonic_solver.cache_clear()
    fill_another(0)
    before = allocated_mb()
    for seed in range(1, 25):
        fill_another(seed)
    assert allocated_mb() - before < 8 * 5  # of 24 factors, of which each takes 2.3 MB, eight are kept
    harmonic.harmonic_solver.cache_clear()
    assert allocated_mb() - before < 5


def allocated_mb() -> float:
    """What the C library has given out, in 10^6 bytes; NumPy's arrays and compiled libraries' memory among it."""
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"

    class Mallinfo(ctypes.Structure):
        _fields_ = [(name, ctypes.c_size_t) for name in names.split()]

    try:
        mallinfo = ctypes.CDLL("libc.so.6").mallinfo2
    except (OSError, AttributeError):
        pytest.skip("needs glibc 2.33")
    mallinfo.restype = Mallinfo
    info = mallinfo()
    return (info.uordblks + info.hblkhd) / 1e6


@pytest.mark.parametrize("shape", [(40, 7), (7, 40), (1, 30), (30, 1), (12, 12)])
def test_the_solution_is_harmonic_whatever_the_shape(shape):
    """Every missing pixel is the mean of its neighbours."""
    hole = np.random.default_rng(0).random(shape) < 0.7
    values = np.random.default_rng(1).random((hole.size, 2))
    values[hole.ravel()] = harmonic.harmonic_solver(hole.tobytes(), shape)(values[~hole.ravel()])
    laplacian = harmonic.grid_laplacian(*shape) @ values
    assert abs(laplacian[hole.ravel()]).max() < 1e-9


def test_empty_and_full_holes():
    pictures, generated = random_pair(2)
    hole = torch.zeros(2, 12, 12, dtype=torch.bool)
    hole[1] = True
    blended = blending.poisson(pictures, generated, hole)
    assert torch.equal(blended[0], pictures[0])
    assert torch.equal(blended[1], generated[1])


def test_the_result_stays_in_range():
    pictures, generated = random_pair()
    blended = blending.poisson(pictures + 0.8, generated * 5, torch.from_numpy(masks.center(12))[None])
    assert blended.abs().max() <= 1


def test_an_unknown_mode_is_refused():
    pictures, generated = random_pair()
    with pytest.raises(ValueError, match="poisson, overlay, none"):
        blending.compose(pictures, generated, torch.ones(1, 12, 12, dtype=torch.bool), "feathered")


@pytest.mark.parametrize("name", holes())
def test_seamless_blending_never_looks_at_what_g_made_of_the_known_pixels(name):
    hole = torch.from_numpy(holes()[name])[None]
    pictures, generated = random_pair()
    other = torch.where(hole[:, None], generated, torch.zeros(()))
    blended = blending.compose(pictures, generated, hole, "seamless")
    assert torch.equal(blended, blending.compose(pictures, other, hole, "seamless"))
    assert not torch.equal(blending.compose(pictures, generated, hole), blending.compose(pictures, other, hole))


def test_an_edge_that_g_has_at_the_rim_is_seamless_but_what_it_has_inside_stays():
    hole = torch.from_numpy(masks.center(16))[None]
    pictures, inside = torch.full((1, 3, 16, 16), 0.2), torch.linspace(-0.1, 0.1, 16).expand(1, 3, 16, 16)
    generated = torch.where(hole[:, None], inside, -0.7)  # of the known pixels, G has made something else
    step = lambda filled: float((filled[0, 0, 4:12, 4] - 0.2).abs().mean())  # across the rim  # noqa: E731
    assert step(blending.compose(pictures, generated, hole, "poisson")) > 0.2
    filled = blending.compose(pictures, generated, hole, "seamless")
    assert step(filled) < 0.04
    assert (filled[0, 0, 8, 5:11].diff() > 0).all()


def test_a_picture_without_a_hole_or_without_a_known_pixel_is_not_changed_by_seamless_blending():
    pictures, generated = random_pair(2)
    hole = torch.stack([torch.zeros(12, 12, dtype=torch.bool), torch.ones(12, 12, dtype=torch.bool)])
    filled = blending.compose(pictures, generated, hole, "seamless")
    assert torch.equal(filled[0], pictures[0]) and torch.equal(filled[1], generated[1])


def test_a_rim_pixel_takes_the_mean_of_the_missing_ones_next_to_it():
    hole = torch.tensor([[False, True, False], [True, False, True], [False, False, False]])[None]
    generated = torch.tensor([[9.0, 1.0, 9.0], [2.0, 9.0, 6.0], [9.0, 9.0, 9.0]]).expand(1, 3, 3, 3)
    expected = torch.tensor([[1.5, 1.0, 3.5], [2.0, 3.0, 6.0], [2.0, 9.0, 6.0]])
    found = seamless.outward(generated, hole)
    corner = found[0, 0, 2, 1]  # equally far from two missing pixels
    assert torch.equal(found[0, 0].index_put((torch.tensor(2), torch.tensor(1)), torch.tensor(9.0)), expected)
    assert corner in (2, 6)
