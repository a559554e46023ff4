"""Measures how well two sets of pictures can be told apart, given their features (N, D)."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import expit

COMPONENTS = 40  # principal components that the classifier sees
FOLDS, REPEATS = 5, 4  # of the cross-validation
BLOCKS = 10  # of the jackknife


def kid(a: NDArray, b: NDArray) -> tuple[float, float]:
    """Kernel distance between two sets of features (N, D) and (M, D), times 1000, and its standard error.

    The unbiased squared maximum mean discrepancy with the kernel (x·y / D + 1)^3: around 0, and sometimes negative, for
    two sets from one distribution, however few their rows. The standard error comes from a block jackknife.

    Source: Bińkowski et al., *Demystifying MMD GANs*, ICLR 2018.
    """
    rows = np.concatenate([a, b]).astype(np.float64)
    kernel = (rows @ rows.T / rows.shape[1] + 1) ** 3
    first = np.arange(len(rows)) < len(a)
    whole = 1000 * _mmd(kernel, first)
    blocks = np.concatenate([np.arange(len(a)) % BLOCKS, np.arange(len(b)) % BLOCKS])
    if min(len(a), len(b)) < 2 * BLOCKS:
        return whole, float("nan")
    left = [blocks != block for block in range(BLOCKS)]
    without = [1000 * _mmd(kernel[np.ix_(keep, keep)], first[keep]) for keep in left]
    return whole, float(np.std(without) * np.sqrt(BLOCKS - 1))


def _mmd(kernel: NDArray[np.float64], first: NDArray[np.bool_]) -> float:
    """Unbiased squared discrepancy between the rows `first` of a kernel matrix (N, N) and the other rows."""

    def within(k: NDArray) -> float:
        return (k.sum() - np.trace(k)) / (len(k) * (len(k) - 1))

    return float(
        within(kernel[np.ix_(first, first)])
        + within(kernel[np.ix_(~first, ~first)])
        - 2 * kernel[np.ix_(first, ~first)].mean()
    )


def c2st(a: NDArray, b: NDArray) -> float:
    """Classifier two-sample test: accuracy of a linear classifier that tells features (N, D) from (M, D).

    Cross-validated accuracy of logistic regression on the leading principal components of both sets combined, averaged
    over several divisions into folds. Chance is 0.5 for sets of equal size.

    Source: Lopez-Paz and Oquab, *Revisiting Classifier Two-Sample Tests*, ICLR 2017.
    """
    rows, labels = np.concatenate([a, b]).astype(np.float64), np.repeat([0.0, 1.0], [len(a), len(b)])
    rows -= rows.mean(0)
    left, values, _ = np.linalg.svd(rows, full_matrices=False)
    components = (left * values)[:, :COMPONENTS]
    components /= components.std(0).clip(1e-12)
    right = []
    for repeat in range(REPEATS):
        fold = np.random.default_rng(repeat).permutation(len(rows)) % FOLDS
        for held_out in range(FOLDS):
            train, test = fold != held_out, fold == held_out
            right.append((logistic(components[train], labels[train])(components[test]) > 0) == labels[test])
    return float(np.concatenate(right).mean())


def logistic(x: NDArray[np.float64], labels: NDArray[np.float64]):
    """Fits logistic regression of labels 0 and 1 on rows (N, D) with a ridge penalty of weight 1; returns its logit."""
    signs = 2 * labels - 1

    def loss(parameters: NDArray) -> tuple[float, NDArray]:
        weights, bias = parameters[:-1], parameters[-1]
        margin = signs * (x @ weights + bias)
        slope = -signs * expit(-margin)
        value = np.logaddexp(0, -margin).sum() + weights @ weights / 2
        return value, np.append(x.T @ slope + weights, slope.sum())

    found = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    return lambda rows: rows @ found[:-1] + found[-1]
