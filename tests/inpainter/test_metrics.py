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


# Sets of features


def normal(count: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, size))


def shaped(mean, covariance) -> np.ndarray:
    """Rows whose mean and covariance are exactly the given ones."""
    rows = normal(50, len(mean))
    rows -= rows.mean(axis=0)
    rows = rows @ np.linalg.inv(np.linalg.cholesky(np.cov(rows, rowvar=False))).T
    return rows @ np.linalg.cholesky(np.asarray(covariance, float)).T + mean


def test_the_frechet_distance_of_a_set_to_itself_is_zero_even_of_deficient_rank():
    for rows in (normal(200, 8), normal(10, 64)):
        assert metrics.frechet_distance(rows, rows) == pytest.approx(0, abs=1e-4)


def test_the_frechet_distance_of_gaussians_is_the_closed_form():
    one = shaped([0.0, 0, 0], np.diag([1.0, 4, 9]))
    two = shaped([1.0, 2, 2], np.diag([4.0, 4, 1]))  # commuting: sum of squared differences of deviations
    assert metrics.frechet_distance(one, two) == pytest.approx(9 + (1 - 2) ** 2 + 0 + (3 - 1) ** 2)
    a, b = np.array([[2, 1], [1, 2.0]]), np.array([[3, -1], [-1, 1.0]])  # not commuting
    product = np.linalg.eigvals(a @ b)  # real and positive, as of any product of two such matrices
    expected = np.trace(a) + np.trace(b) - 2 * np.sqrt(product.real).sum()
    assert metrics.frechet_distance(shaped([0, 0], a), shaped([0, 0], b)) == pytest.approx(expected)


def test_the_frechet_distance_is_symmetric_and_ignores_the_order_of_rows():
    a, b = normal(60, 5), normal(40, 5, seed=1) * 2 + 1
    distance = metrics.frechet_distance(a, b)
    assert metrics.frechet_distance(b, a) == pytest.approx(distance)
    assert metrics.frechet_distance(a[::-1], np.roll(b, 7, axis=0)) == pytest.approx(distance)


def test_the_frechet_distance_grows_with_noise():
    rows = normal(300, 6)
    distances = [metrics.frechet_distance(rows, rows + level * normal(300, 6, seed=1)) for level in (0.1, 0.5, 1, 2)]
    assert distances == sorted(distances)
    assert distances[0] < 0.1 < 1 < distances[-1]


def test_the_mean_pairwise_distance_is_that_of_all_pairs_and_scales():
    rows = normal(20, 3)
    pairs = [np.linalg.norm(rows[i] - rows[j]) for i in range(20) for j in range(i)]
    assert metrics.mean_pairwise_distance(rows) == pytest.approx(np.mean(pairs))
    assert metrics.mean_pairwise_distance(3 * rows) == pytest.approx(3 * np.mean(pairs))
    assert metrics.mean_pairwise_distance(np.full((5, 3), 0.1)) == 0


def test_the_nearest_row_is_found_and_a_copy_is_zero_away():
    references = normal(700, 4).astype(np.float32)
    queries = np.concatenate([references[[5, 600]], normal(300, 4, seed=1).astype(np.float32)])
    index, distance = metrics.nearest(queries, references)
    expected = np.linalg.norm(queries[:, None].astype(float) - references[None], axis=2)
    assert index.tolist() == expected.argmin(axis=1).tolist()
    assert index[:2].tolist() == [5, 600]
    assert distance[:2].tolist() == [0, 0]
    np.testing.assert_allclose(distance, expected.min(axis=1))


def test_features_that_cannot_be_compared_are_refused():
    rows = normal(4, 3)
    with pytest.raises(ValueError, match="the same length, got 3 and 2"):
        metrics.frechet_distance(rows, rows[:, :2])
    with pytest.raises(ValueError, match="at least 2"):
        metrics.frechet_distance(rows, rows[:1])
    with pytest.raises(ValueError, match="NaN"):
        metrics.mean_pairwise_distance(rows * np.nan)
