"""The context encoder: its model folders, its fillings, its training."""

import json

import numpy as np
import pytest
import torch
from helpers import accelerator
from PIL import Image
from safetensors.torch import load_file, save_file

from inpainter import Inpainter, ModelError, baselines, masks
from inpainter.baselines.context_encoder import ContextEncoder, ContextEncoderConfig, fill
from train import __main__
from train.data import holes
from train.recipes import context_encoder

TINY = ContextEncoderConfig(image_size=16, bottleneck=12, channels=(16, 8))


@pytest.fixture
def model() -> ContextEncoder:
    torch.manual_seed(0)
    network = ContextEncoder(TINY)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):  # statistics a trained model would have
            module.running_var.uniform_(0.01, 0.05)
    return network.eval()


@pytest.fixture
def folder(model, tmp_path):
    model.save_pretrained(tmp_path / "ce")
    return tmp_path / "ce"


def test_it_fills_the_hole_alone_and_does_not_look_under_it(model, pictures):
    holes = np.stack([masks.center(16), masks.half(16), masks.random(16)])
    filled = fill(pictures, holes, model=model)
    assert (filled[~holes] == pictures[~holes]).all()
    other = np.where(holes[..., None], 255 - pictures, pictures)
    assert (fill(other, holes, model=model) == filled).all()
    assert (filled[holes] != np.where(holes[..., None], 128, pictures)[holes]).any()


def test_a_picture_is_filled_alike_alone_and_in_a_batch(model, pictures):
    holes = np.stack([masks.pattern(16, seed=seed) for seed in range(3)])
    together = fill(pictures, holes, model=model).astype(int)
    for index in range(3):
        alone = fill(pictures[index : index + 1], holes[index : index + 1], model=model)
        assert abs(together[index] - alone[0]).max() <= 1


def test_empty_holes_and_full_ones(model, pictures):
    assert (fill(pictures, np.zeros((16, 16), dtype=bool), model=model) == pictures).all()
    with pytest.raises(baselines.NotApplicable, match="picture 1 is entirely missing"):
        fill(pictures, np.ones((16, 16), dtype=bool), model=model)


def test_pictures_of_another_size_are_refused(model):
    with pytest.raises(ValueError, match=r"16x16, got \(24, 24\)"):
        fill(np.zeros((1, 24, 24, 3), np.uint8), masks.center(24), model=model)


def test_the_baseline_asks_for_its_model():
    with pytest.raises(ValueError, match="'context_encoder' needs a model"):
        baselines.get("context_encoder")


def test_a_saved_model_fills_as_before(model, folder, pictures):
    loaded = ContextEncoder.load(folder)
    assert loaded.config == TINY
    assert not loaded.training
    before, after = (fill(pictures, masks.center(16), model=m).astype(int) for m in (model, loaded))
    assert abs(before - after).max() <= 2  # float16 on disk


def test_only_a_context_encoder_of_exactly_the_right_tensors_loads(folder):
    with pytest.raises(ModelError, match="family is 'context-encoder'"):
        Inpainter.from_pretrained(folder)
    weights = load_file(folder / "model.safetensors")
    first, *rest = weights
    save_file({name: weights[name] for name in rest}, folder / "model.safetensors")
    with pytest.raises(ModelError, match=f"lack 1 tensor.*{first}"):
        ContextEncoder.load(folder)
    config = json.loads((folder / "config.json").read_text())
    for change, says in (
        ({"family": "dcgan"}, "family is 'dcgan', expected 'context-encoder'"),
        ({"bottleneck": 0}, "latent_size is 0"),
        ({"image_size": 32}, "image_size is 32"),
    ):
        (folder / "config.json").write_text(json.dumps(config | change))
        with pytest.raises(ModelError, match=says):
            ContextEncoder.load(folder)
    (folder / "config.json").write_text("[]")
    with pytest.raises(ModelError, match="expected an object"):
        ContextEncoder.load(folder)


def test_holes_in_training_are_of_all_four_kinds_and_decided_by_the_generator():
    drawn = holes.draw(80, 16, torch.Generator().manual_seed(0))
    assert drawn.shape == (80, 16, 16) and drawn.dtype == torch.bool
    assert torch.equal(drawn, holes.draw(80, 16, torch.Generator().manual_seed(0)))
    kinds = {
        "center": [masks.center(16)],
        "half": [masks.half(16, side) for side in masks.SIDES],
    }
    for name, shapes in kinds.items():
        for shape in shapes:
            assert (drawn.numpy() == shape).all(axis=(1, 2)).any(), name
    shares = drawn.float().mean((1, 2))
    assert (abs(shares - 0.8) < 0.01).any()  # random
    assert not torch.equal(drawn, holes.draw(80, 16, torch.Generator().manual_seed(1)))


def test_the_error_counts_missing_pixels_alone_and_every_picture_alike():
    real = torch.zeros(2, 3, 8, 8)
    made = torch.ones(2, 3, 8, 8)
    hole = torch.zeros(2, 8, 8, dtype=torch.bool)
    hole[0, :, :4] = True
    hole[1, 0, 0] = True
    assert context_encoder.hole_error(made, real, hole) == 1
    made[0, :, :, 4:] = 100  # known pixels
    made[1, :, 0, 0] = 3
    assert context_encoder.hole_error(made, real, hole) == (1 + 9) / 2


def test_training_lowers_the_error_in_the_hole():
    trainer = context_encoder.ContextEncoderTrainer(ContextEncoder(TINY), accelerator(), 2e-4)
    random = torch.Generator().manual_seed(0)
    real = torch.rand(16, 3, 1, 1, generator=random).expand(16, 3, 16, 16) * 2 - 1  # plain colours
    errors = [trainer.train_step(real, random)["hole_loss"].item() for _ in range(60)]
    assert np.mean(errors[-5:]) < 0.5 * np.mean(errors[:5])


@pytest.fixture
def data(tmp_path, pictures):
    (tmp_path / "data").mkdir()
    for index in range(20):
        Image.fromarray(np.roll(pictures[index % 3], index, axis=1)).save(tmp_path / "data" / f"{index:02d}.png")
    return tmp_path / "data"


def train(data, out, images: int, *more) -> int:
    network = ("--channels", 16, 8, "--bottleneck", 12, "--batch-size", 4, "--held-out", 4)
    command = ["context-encoder", "--data", data, "--out", out, "--images", images, *network, *more]
    return __main__.main([str(a) for a in command])


def test_resumed_equals_uninterrupted_and_leaves_a_model_that_an_evaluation_takes(data, tmp_path, capsys):
    assert train(data, tmp_path / "whole", 24) == 0
    assert train(data, tmp_path / "parts", 12) == 0
    assert train(data, tmp_path / "parts", 24) == 1
    assert "--resume" in capsys.readouterr().err
    assert train(data, tmp_path / "parts", 24, "--resume", "--bottleneck", 13) == 1
    assert train(data, tmp_path / "parts", 24, "--resume") == 0
    whole, parts = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("whole", "parts"))
    for name, tensor in whole.items():
        torch.testing.assert_close(tensor, parts[name], atol=1e-3, rtol=1e-2, msg=name)
    record = json.loads((tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()[-1])
    assert record["step"] == 6 and np.isfinite(record["hole_loss"])
    names = sorted(path.name for path in (tmp_path / "whole" / "model").iterdir())
    assert names == ["config.json", "model.safetensors", "samples.png"]
    paths = ["--data", data, "--context-encoder", tmp_path / "whole" / "model", "--out", tmp_path / "out"]
    assert __main__.main([str(a) for a in ["evaluate", *paths, "--methods", "context_encoder", "--images", 3]]) == 0
    assert capsys.readouterr().out.count("| center |") == 1
