"""The steps of a GAN: who learns from what, the options, and the batches that a step sees."""

import argparse
import dataclasses

import pytest
import torch
from accelerate import Accelerator
from helpers import accelerator

from inpainter import ModelError, hub
from inpainter.models import DCGAN, DCGANConfig
from inpainter.search import search
from train.data import loading as data
from train.data.loading import batch_indices, prepare, step_generator
from train.recipes import gan
from train.recipes.gan import GANTrainer

TINY = DCGANConfig(image_size=16, latent_size=8, channels=(16, 8))


def trainer(config: DCGANConfig = TINY, **options) -> GANTrainer:
    return GANTrainer(DCGAN(config), accelerator(), **{"learning_rate": 2e-3, **options})


@pytest.fixture
def real(archive):
    return prepare(data.load_images(archive, 16), False, step_generator(0, 0))


def run(one: GANTrainer, real: torch.Tensor, steps: int) -> list[dict[str, float]]:
    measured = [one.train_step(real, step_generator(0, step)) for step in range(steps)]
    return [{name: float(value) for name, value in row.items()} for row in measured]


def test_every_image_is_seen_once_an_epoch_in_an_order_the_seed_decides():
    epoch = torch.cat([batch_indices(step, 8, 40, seed=1) for step in range(5)])
    assert sorted(epoch.tolist()) == list(range(40))
    following = torch.cat([batch_indices(step, 8, 40, seed=1) for step in range(5, 10)])
    assert epoch.tolist() != following.tolist()
    assert torch.equal(batch_indices(3, 8, 40, seed=1), batch_indices(3, 8, 40, seed=1))
    assert not torch.equal(batch_indices(3, 8, 40, seed=1), batch_indices(3, 8, 40, seed=2))


def test_draws_differ_between_seeds_steps_and_processes_and_repeat_for_the_same():
    keys = [(seed, step, process) for seed in range(3) for step in range(3) for process in range(3)]
    draws = [torch.rand(4, generator=step_generator(*key)) for key in keys]
    assert len({tuple(draw.tolist()) for draw in draws}) == len(keys)
    assert torch.equal(draws[5], torch.rand(4, generator=step_generator(*keys[5])))


def test_flips_mirror_about_half_of_the_images_and_can_be_off():
    images = torch.arange(16, dtype=torch.uint8).repeat(100, 3, 16, 1)
    flipped = prepare(images, True, torch.Generator().manual_seed(0))
    rising = flipped[:, 0, 0, 0] < flipped[:, 0, 0, 15]
    assert 0.3 < rising.float().mean() < 0.7
    assert torch.equal(flipped[rising], (images.float() / 127.5 - 1)[rising])
    assert torch.equal(flipped[~rising], (images.float() / 127.5 - 1).flip(3)[~rising])
    assert torch.equal(prepare(images, False, torch.Generator()), images.float() / 127.5 - 1)


@pytest.mark.parametrize("options", [{}, {"loss": "relativistic"}, {"r1": 0.1}, {"augment": ("colour", "translation")}])
def test_a_step_trains_each_network_on_its_own_loss(real, options):
    """D learns to tell real from fake, and both networks move."""
    one = trainer(**options)
    before = {name: p.clone() for name, p in one.model.named_parameters()}
    history = run(one, real, 30)
    assert history[-1]["d_accuracy"] > 0.6
    still = {name for name, p in one.model.named_parameters() if torch.equal(p, before[name])}
    assert still == ({"discriminator.6.bias"} if options.get("loss") == "relativistic" else set())  # cancels in pairs
    assert all(p.requires_grad for p in one.model.parameters())


def test_gs_step_leaves_d_and_its_gradients_alone(real):
    one = trainer()
    D = one.model.discriminator
    seen = {}
    step = one.g_optimizer.step

    def look(*arguments):
        seen["d"] = [p.detach().clone() for p in D.parameters()]
        seen["d_gradients"] = [p.grad.clone() for p in D.parameters()]
        step(*arguments)

    one.g_optimizer.step = look
    run(one, real, 1)
    for before, after in zip(seen["d"], D.parameters(), strict=True):
        assert torch.equal(before, after)
    for before, after in zip(seen["d_gradients"], D.parameters(), strict=True):
        assert torch.equal(before, after.grad)


def test_the_losses_are_the_papers():
    real, fake = torch.tensor([2.0, -1.0]), torch.tensor([-3.0, 0.5])
    d_loss, g_loss, accuracy = gan.LOSSES["non-saturating"]
    D_real, D_fake = torch.sigmoid(real), torch.sigmoid(fake)
    torch.testing.assert_close(d_loss(real, fake), -(D_real.log().mean() + (1 - D_fake).log().mean()))
    torch.testing.assert_close(g_loss(fake, None), -D_fake.log().mean())
    assert accuracy(real, fake) == 0.5
    d_loss, g_loss, accuracy = gan.LOSSES["relativistic"]
    torch.testing.assert_close(d_loss(real, fake), -torch.sigmoid(real - fake).log().mean())
    torch.testing.assert_close(g_loss(fake, real), -torch.sigmoid(fake - real).log().mean())
    assert accuracy(real, fake) == 0.5


def test_the_gradient_penalty_is_the_squared_slope_of_d_and_trains_it():
    weight = torch.randn(3, 4, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    real = torch.rand(5, 3, 4, 4)
    penalty = gan.gradient_penalty(lambda images: (weight * images).sum((1, 2, 3)) + 7, real)
    torch.testing.assert_close(penalty, weight.square().sum())
    (gradient,) = torch.autograd.grad(penalty, weight)
    torch.testing.assert_close(gradient, 2 * weight)
    assert not real.requires_grad


def test_the_penalty_keeps_the_slope_of_d_small(real):
    slopes = []
    for r1 in (0, 10):
        one = trainer(r1=r1)
        run(one, real, 40)
        slopes.append(gan.gradient_penalty(one.model.discriminator, real).item())
    assert slopes[1] < slopes[0] / 2


def test_the_published_model_follows_g_slowly_and_measures_its_own_statistics(real):
    one = trainer()
    run(one, real, 20)
    model = one.published()
    assert not model.training
    average, latest = model.generator[0].weight, one.model.generator[0].weight
    assert (average - latest).abs().max() > 0
    hidden = model.generator[:3](model.sample_latents(2000))  # after the first batch norm
    assert hidden.mean().abs() < 0.1
    assert hidden.std().item() == pytest.approx(1, abs=0.2)


def test_d_without_batch_norm_trains_loads_strictly_and_has_the_same_prior_in_the_search(real, tmp_path):
    one = trainer(dataclasses.replace(TINY, d_norm="none"))
    history = run(one, real, 30)
    assert history[-1]["d_accuracy"] > 0.6
    model = one.published()
    D = model.discriminator
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in D)
    torch.testing.assert_close(D(real[:4]), torch.cat([D(image[None]) for image in real[:4]]))  # one for itself
    hub.save(model, tmp_path)
    loaded = hub.load(tmp_path)
    assert loaded.config.d_norm == "none"
    hole = torch.zeros(4, 16, 16, dtype=torch.bool)
    hole[:, 4:12, 4:12] = True
    found = search(loaded, real[:4], hole, loaded.sample_latents(4), steps=3)
    torch.testing.assert_close(found.prior_loss, loaded.prior_loss(found.images, found.z), atol=2e-3, rtol=1e-2)
    with pytest.raises(ModelError, match="d_norm is 'layer'"):
        dataclasses.replace(TINY, d_norm="layer")


def test_full_precision_is_float32_throughout(real, monkeypatch):
    from accelerate.state import AcceleratorState

    AcceleratorState._reset_state(reset_partial_state=True)
    try:
        one = GANTrainer(DCGAN(TINY), Accelerator(cpu=True, mixed_precision="no"))
        kinds = set()
        for module in one.model.modules():
            module.register_forward_hook(lambda module, inputs, output: kinds.add(output.dtype))
        run(one, real, 1)
        assert kinds == {torch.float32}
    finally:
        AcceleratorState._reset_state(reset_partial_state=True)


def test_the_recipe_is_dcgans_unless_asked_otherwise(monkeypatch):
    parser = argparse.ArgumentParser()
    gan.add_arguments(parser)
    arguments = parser.parse_args(["--data", "d", "--out", "o"])
    assert (arguments.loss, arguments.r1, arguments.augment) == ("non-saturating", 0.0, [])
    assert (arguments.learning_rate, arguments.beta1, arguments.batch_size, arguments.ema) == (2e-4, 0.5, 64, 0.999)
    assert arguments.precision == "auto"
