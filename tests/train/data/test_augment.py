"""What D is shown: every change keeps shapes, lets gradients through and follows its generator alone."""

import pytest
import torch

from train.data.augment import CHANGES, SHIFT, cutout, diff_augment, paired, translation


@pytest.fixture
def images():
    return torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1


def draws(seed=1):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_depends_on_the_generator_alone_and_differs_between_images(images, name):
    images[:] = images[:1]
    changed = diff_augment(images, (name,), draws())
    assert changed.shape == images.shape
    assert torch.equal(changed, diff_augment(images, (name,), draws()))
    assert not torch.equal(changed, diff_augment(images, (name,), draws(2)))
    assert not torch.equal(changed[0], changed[1])


@pytest.mark.parametrize("name", CHANGES)
def test_gradients_flow_through_each_change(images, name):
    leaf = images.requires_grad_()
    diff_augment(leaf, (name,), draws()).square().sum().backward()
    assert (leaf.grad.flatten(1).norm(dim=1) > 0).all()


def test_paired_batches_are_changed_alike_and_holes_move_along(images):
    augmented = paired(("colour", "translation", "cutout"), draws())
    hole = (images[:, :1] > 0).float()
    one, other = augmented(torch.cat([images, hole], 1)), augmented(torch.cat([images, 1 - hole], 1))
    assert torch.equal(one[:, :3], other[:, :3]) and not torch.equal(one[:, :3], images)
    moved = diff_augment(hole, ("translation", "cutout"), draws())
    assert set(one[:, 3].unique().tolist()) == {0, 1} == set(moved.unique().tolist())  # without the change of colours
    assert torch.equal(augmented(images), one[:, :3])
    later = paired(("colour",), draws(3))
    assert not torch.equal(later(images), augmented(images))


def test_no_policy_changes_nothing(images):
    assert diff_augment(images, (), draws()) is images


def test_translation_moves_a_point_by_at_most_its_share_of_the_side():
    images = torch.zeros(64, 3, 16, 16)
    images[:, :, 8, 8] = 1
    moved = translation(images, draws()).nonzero()
    assert len(moved) == 64 * 3  # none lost, none doubled
    assert (moved[:, 2:] - 8).abs().max() == 16 * SHIFT


def test_cutout_blanks_one_rectangle_of_at_most_a_quarter_of_the_area():
    kept = cutout(torch.ones(64, 3, 16, 16), draws())
    blank = (kept == 0).flatten(1).float().mean(1)
    assert ((blank > 0) & (blank <= 0.25)).all()
