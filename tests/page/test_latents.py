"""Codes between codes, and in two dimensions."""

import numpy as np
import pytest

from page.latents import interpolate, principal_plane

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("distribution", ["uniform", "normal"])
def test_an_interpolation_begins_and_ends_where_it_should(distribution):
    first, last = RNG.standard_normal((2, 50)).astype(np.float32)
    codes = interpolate(first, last, 5, distribution)
    assert codes.shape == (5, 50) and codes.dtype == np.float32
    assert np.allclose(codes[0], first, atol=1e-5) and np.allclose(codes[-1], last, atol=1e-5)


def test_uniform_codes_stay_in_their_cube_and_normal_ones_near_their_sphere():
    first, last = RNG.uniform(-1, 1, (2, 50)).astype(np.float32)
    assert np.abs(interpolate(first, last, 9, "uniform")).max() <= 1
    first, last = RNG.standard_normal((2, 500)).astype(np.float32)
    norms = np.linalg.norm(interpolate(first, last, 9, "normal"), axis=1)
    assert norms.min() > 0.9 * min(norms[0], norms[-1])


@pytest.mark.parametrize("sign", [1, -1])
def test_parallel_codes_can_be_joined(sign):
    code = np.ones(4, np.float32)
    assert np.isfinite(interpolate(code, sign * code, 3, "normal")).all()


def test_codes_in_a_plane_keep_their_distances():
    plane, points = np.linalg.qr(RNG.standard_normal((20, 2)))[0], RNG.standard_normal((7, 2)) * (3, 1)
    coordinates, shares = principal_plane((points @ plane.T).astype(np.float32))
    distances = lambda p: np.linalg.norm(p[:, None] - p[None], axis=2)  # noqa: E731
    assert np.allclose(distances(coordinates), distances(points), atol=1e-4)
    assert shares[0] > shares[1] and np.isclose(shares.sum(), 1)


@pytest.mark.parametrize("codes", [np.ones((1, 5)), np.ones((3, 5)), np.ones((3, 1))])
def test_codes_that_do_not_vary_are_one_point(codes):
    coordinates, shares = principal_plane(codes.astype(np.float32))
    assert coordinates.shape == (len(codes), 2) and not coordinates.any() and not shares.any()
