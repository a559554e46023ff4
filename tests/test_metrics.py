import numpy as np
import pytest

from inpainter import masks, metrics


def noisy_pair(count: int = 2):
    draws = np.random.default_rng(0)
    a = draws.integers(0, 256, (count, 24, 24, 3), dtype=np.uint8)
    return a, np.clip(a + draws.normal(0, 20, a.shape), 0, 255).astype(np.uint8)


def test_psnr_of_a_constant_difference_is_the_formula():
    a = np.full((8, 8, 3), 100, np.uint8)
    assert metrics.psnr(a, a + 10) == pytest.approx(20 * np.log10(255 / 10))
    assert metrics.psnr(a, a) == np.inf


def test_psnr_in_the_hole_ignores_the_rest():
    a, b = noisy_pair()
    hole = masks.center(24)
    c = np.where(hole[..., None], b, 255 - b)
    np.testing.assert_allclose(metrics.psnr(a, b, hole), metrics.psnr(a, c, hole))
    inside = 20 * np.log10(255 / np.sqrt(np.square(a[0][hole].astype(float) - b[0][hole]).mean()))
    assert metrics.psnr(a, b, hole)[0] == pytest.approx(inside)


def test_a_hole_of_everything_is_the_whole_image():
    a, b = noisy_pair()
    np.testing.assert_allclose(metrics.psnr(a, b, np.ones((24, 24), bool)), metrics.psnr(a, b))


@pytest.mark.parametrize("score", [metrics.psnr, metrics.ssim])
def test_a_batch_scores_each_image_as_if_alone(score):
    a, b = noisy_pair()
    np.testing.assert_allclose(score(a, b), [score(a[0], b[0]), score(a[1], b[1])])


def test_ssim_is_one_for_equal_images_and_falls_with_noise():
    a, b = noisy_pair()
    assert metrics.ssim(a, a) == pytest.approx([1, 1])
    assert (metrics.ssim(a, b) < 0.999).all()
    assert (metrics.ssim(a, 255 - a) < metrics.ssim(a, b)).all()


def test_ssim_is_the_published_formula_on_one_window():
    """On an 11x11 picture exactly one window counts: compute it directly (Wang et al. 2004)."""
    draws = np.random.default_rng(1)
    a, b = (draws.integers(0, 256, (11, 11, 1)).repeat(3, axis=2).astype(np.uint8) for _ in range(2))
    x = np.arange(-5, 6)
    window = np.exp(-(x**2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2
    p, q = a[..., 0].astype(float), b[..., 0].astype(float)
    mp, mq = (window * p).sum(), (window * q).sum()
    vp, vq, cov = (window * p * p).sum() - mp**2, (window * q * q).sum() - mq**2, (window * p * q).sum() - mp * mq
    c1, c2 = 2.55**2, 7.65**2
    expected = (2 * mp * mq + c1) * (2 * cov + c2) / ((mp**2 + mq**2 + c1) * (vp + vq + c2))
    assert metrics.ssim(a, b) == pytest.approx(expected)


def test_wrong_types_shapes_and_empty_holes_are_refused():
    a, b = noisy_pair()
    with pytest.raises(TypeError, match="float64"):
        metrics.psnr(a.astype(float), b)
    with pytest.raises(ValueError, match="share a shape"):
        metrics.psnr(a, b[0])
    with pytest.raises(ValueError, match="hole"):
        metrics.psnr(a, b, np.ones((5, 5), bool))
    with pytest.raises(ValueError, match="empty"):
        metrics.psnr(a, b, np.zeros((24, 24), bool))
    with pytest.raises(ValueError, match="11x11"):
        metrics.ssim(a[:, :8, :8], b[:, :8, :8])
