"""Model cards, and the promise in them and in docs/hub.md: the weights are usable without this package."""

import dataclasses
import hashlib
import math
import os
import re
import subprocess
import sys

import onnxruntime
import pytest
import torch
import yaml
from conftest import tiny_dcgan
from helpers import EVERYTHING, tiny_comod
from hub_server import metadata_problems, running_hub
from huggingface_hub import ModelCard
from safetensors.torch import load_file, save_file

from inpainter import ModelError, masks
from inpainter import hub as models
from inpainter.hub import cards
from inpainter.models import DCGAN, DCGANConfig

EVALUATION = {
    "data": "celeba64-test.zip",
    "images": 100,
    "steps": 1500,
    "masks": {
        "center": {"psnr_hole": 19.6, "psnr_image": 25.125, "ssim": 0.9},
        "half": {"psnr_hole": 13.7},
    },
}


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with running_hub(monkeypatch, tmp_path) as server:
        yield server


def recorded(**training):
    """A tiny model with a record of its training."""
    model = tiny_dcgan()
    model.config = DCGANConfig(**{**vars(model.config), "training": training})
    return model


def card_of(model) -> ModelCard:
    return ModelCard(cards.make_card(model, "tiny"))


def test_lists_of_the_training_record_are_shown():
    card = cards.make_card(recorded(augment=["colour", "translation"], other=[], evaluation=[]), "tiny")
    assert "| augment | colour, translation |" in card and "| other | none |" in card
    assert "| evaluation" not in card


@pytest.mark.parametrize(
    ("archive", "license_name", "terms"),
    [
        ("celeba64-train.zip", "celeba-dataset-release-agreement", "non-commercial research only"),
        ("svhn32-train.zip", "svhn-non-commercial", "non-commercial use only"),
        ("cars64-train.zip", "stanford-cars-non-commercial-research", "non-commercial research only"),
    ],
)
def test_card_states_the_terms_of_the_training_data(archive, license_name, terms):
    card = card_of(recorded(data=archive))
    assert card.data.license == "other" and card.data.license_name == license_name
    assert card.data.license_link.startswith("http") and len(card.data.datasets) == 1
    assert terms in card.text
    assert not metadata_problems(str(card), "model")


def test_card_of_unknown_data_claims_no_licence_unless_given_one():
    model = recorded(data="my-pictures.zip")
    assert card_of(model).data.license == "unknown"
    assert ModelCard(cards.make_card(model, "tiny", license="cc-by-4.0")).data.license == "cc-by-4.0"


def test_scores_of_the_record_become_the_model_index_and_the_table():
    card = card_of(recorded(data="celeba64-train.zip", evaluation=[EVALUATION]))
    found = {
        (result.dataset_config, result.metric_type, result.metric_name): result.metric_value
        for result in card.data.eval_results
    }
    assert found == {
        ("center", "psnr", "PSNR, hole pixels only (dB)"): 19.6,
        ("center", "psnr", "PSNR, whole picture (dB)"): 25.125,
        ("center", "ssim", "SSIM, whole picture"): 0.9,
        ("half", "psnr", "PSNR, hole pixels only (dB)"): 13.7,
    }
    assert "| center | 19.6 | 25.12 | 0.9 |" in card.text and "images 100, steps 1500" in card.text
    assert not metadata_problems(str(card), "model")


@pytest.mark.parametrize(
    "evaluation",
    [
        {},
        ["center"],
        [{"masks": ["center"]}],
        [{"masks": {"center": 3}}],
        [{"masks": {"center": {"psnr": "19"}}}],
        [{"masks": {"center": {"psnr": math.nan}}}],
        [{"masks": {"center": {"psnr": True}}}],
        [{"masks": {"center": {"psnr": 10**400}}}],
    ],
)
def test_record_that_is_not_in_the_documented_form_is_refused(evaluation):
    with pytest.raises(ModelError, match=r"training\.evaluation"):
        card_of(recorded(evaluation=evaluation))


def test_hostile_record_cannot_leave_its_place_in_the_card():
    evil = "---\nlicense: mit\n---\n<script>alert(1)</script> | [x](javascript:x) \r\n# Title"
    model = recorded(data=evil, **{evil: evil}, evaluation=[EVALUATION | {"data": evil, "masks": {evil: {evil: 1}}}])
    card = card_of(model)
    assert card.data.license == "unknown"
    assert "<script" not in card.text and "](javascript" not in card.text
    assert not [line for line in card.text.splitlines() if line.startswith("# ") and line != "# tiny"]


def test_card_passes_the_hub_clients_validation(hub, tmp_path):
    models.save(recorded(data="celeba64-train.zip", evaluation=[EVALUATION]), tmp_path / "tiny")
    card = cards.read_card(tmp_path / "tiny")
    card.validate()
    assert hub.requests["POST", "validate"] == 1
    assert yaml.safe_load(card.data.to_yaml())["model-index"][0]["name"] == "tiny"


def test_card_of_a_folder_is_replaced_whole(tmp_path):
    models.save(tiny_dcgan(), tmp_path / "tiny")
    before = (tmp_path / "tiny" / "README.md").read_text()
    (tmp_path / "tiny" / "README.md").write_text("x" * 100_000)
    assert cards.write_card(tmp_path / "tiny").read_text() == before
    assert not list((tmp_path / "tiny").glob(".*"))


# Without this package


def python_block(folder) -> str:
    """The block of Python in a folder's card that rebuilds G from safetensors."""
    blocks = re.findall(r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    (found,) = (block for block in blocks if "safetensors" in block)
    return found


SHOWN = """
assert images.shape == (len(images), 3, config['image_size'], config['image_size'])
import sys
assert 'inpainter' not in sys.modules
from safetensors.torch import save_file
inputs = load_file('inputs.safetensors')
save_file({'images': G(*inputs.values())}, 'images.safetensors')
"""


def plain_images(hub, tmp_path, name: str, *inputs: torch.Tensor) -> torch.Tensor:
    """What the lines of a card make of inputs, in a process that cannot see this package."""
    hub.publish(f"user/{name}", tmp_path / name)
    save_file({str(place): tensor for place, tensor in enumerate(inputs)}, tmp_path / "inputs.safetensors")
    code = python_block(tmp_path / name) + SHOWN
    environment = {**os.environ, "HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path / "home")}
    environment |= {"HF_HUB_DISABLE_XET": "1", "PYTHONPATH": ""}
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)
    return load_file(tmp_path / "images.safetensors")["images"]


@pytest.mark.parametrize("channels", [(16, 8), (8, 6, 4)])
def test_lines_of_the_card_make_the_same_images_without_the_package(hub, tmp_path, channels):
    torch.manual_seed(0)
    model = DCGAN(DCGANConfig(image_size=4 * 2 ** len(channels), latent_size=8, channels=channels))
    models.save(model, tmp_path / "dcgan-celeba")
    z = torch.rand(16, 8) * 2 - 1
    images = plain_images(hub, tmp_path, "dcgan-celeba", z)
    assert torch.equal(images, models.load(tmp_path / "dcgan-celeba").generate(z))


def damaged_pictures() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Codes, pictures and holes for the tiny CoMod; of the last picture nothing is left."""
    torch.manual_seed(1)
    hole = torch.from_numpy(masks.center(32)).repeat(3, 1, 1)
    hole[-1] = True
    return torch.rand(3, 6) * 2 - 1, torch.rand(3, 3, 32, 32) * 2 - 1, hole


@pytest.mark.parametrize("sees", [{}, {"mirrored": True}, {"backbone": True}, {"attention": True}, EVERYTHING])
def test_lines_of_the_card_fill_as_a_comod_does_without_the_package(hub, tmp_path, sees):
    models.save(tiny_comod(**sees), tmp_path / "comod-celeba-64")
    z, pictures, hole = damaged_pictures()
    images = plain_images(hub, tmp_path, "comod-celeba-64", z, pictures, hole)
    expected = models.load(tmp_path / "comod-celeba-64").bound(pictures, hole).generate(z)
    torch.testing.assert_close(images, expected, atol=1e-4, rtol=1e-4)


def test_only_the_card_of_a_model_whose_training_saves_samples_alone_claims_that_no_picture_of_the_data_is_shown():
    claim = "shows only samples"
    assert claim in cards.make_card(recorded(), "tiny") and claim not in cards.make_card(tiny_comod(), "tiny")


def test_card_counts_everything_that_was_learned():
    model = tiny_comod(**EVERYTHING)
    count = sum(tensor.numel() for tensor in (*model.parameters(), *model.buffers()))
    assert f" {count:,} parameters" in card_of(model).text


def test_card_of_a_comod_says_how_it_fills_and_cites_its_source():
    model = tiny_comod()
    model.config = dataclasses.replace(model.config, training={"data": "celeba64-train.zip"})
    card = card_of(model)
    assert {"gan", "comod"} <= set(card.data.tags) and "unconditional-image-generation" not in card.data.tags
    assert "was trained without holes" not in card.text and "with holes" in card.text
    assert "yeh2017semantic" in card.text and "zhao2021large" in card.text
    assert "EfficientNet" not in card.text and "EfficientNet" in card_of(tiny_comod(backbone=True)).text
    assert not metadata_problems(str(card), "model")


@pytest.mark.parametrize("channels", [(8,), (16, 8), (16, 8, 4, 2)])
def test_tensors_are_named_and_shaped_as_documented(channels):
    L, n = 5, len(channels)
    C = dict(enumerate(channels, start=1))
    norm = {"weight", "bias", "running_mean", "running_var"}
    expected = {"generator.0.weight": (16 * C[1], L)}
    expected |= {f"generator.{3 * i - 1}.{name}": (C[i],) for i in range(1, n + 1) for name in norm}
    expected |= {f"generator.{3 * i + 1}.weight": (C[i], C[i + 1], 4, 4) for i in range(1, n)}
    expected |= {f"generator.{3 * n + 1}.weight": (C[n], 3, 4, 4), f"generator.{3 * n + 1}.bias": (3,)}
    expected |= {"discriminator.0.weight": (C[n], 3, 4, 4), "discriminator.0.bias": (C[n],)}
    expected |= {f"discriminator.{3 * i - 1}.weight": (C[n - i], C[n - i + 1], 4, 4) for i in range(1, n)}
    expected |= {f"discriminator.{3 * i}.{name}": (C[n - i],) for i in range(1, n) for name in norm}
    expected |= {f"discriminator.{3 * n}.weight": (1, 16 * C[1]), f"discriminator.{3 * n}.bias": (1,)}
    model = DCGAN(DCGANConfig(image_size=4 * 2**n, latent_size=L, channels=channels))
    found = {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
    assert {name: shape for name, shape in found.items() if not name.endswith("num_batches_tracked")} == expected


def test_onnx_file_makes_the_same_images(tmp_path):
    models.save(tiny_dcgan(), tmp_path / "tiny")
    session = onnxruntime.InferenceSession(models.export_onnx(tmp_path / "tiny"))
    for count in (1, 5):
        z = torch.rand(count, 8) * 2 - 1
        (images,) = session.run(None, {"z": z.numpy()})
        torch.testing.assert_close(torch.from_numpy(images), models.load(tmp_path / "tiny").generate(z))
    assert "generator.onnx" in models.check(tmp_path / "tiny")


def test_onnx_file_of_a_comod_fills_the_same(tmp_path):
    models.save(tiny_comod(**EVERYTHING), tmp_path / "tiny")
    session = onnxruntime.InferenceSession(models.export_onnx(tmp_path / "tiny"))
    model = models.load(tmp_path / "tiny")
    for count in (1, 3):
        z, pictures, hole = (tensor[:count] for tensor in damaged_pictures())
        (images,) = session.run(None, {"z": z.numpy(), "picture": pictures.numpy(), "hole": hole.numpy()})
        expected = model.bound(pictures, hole).generate(z)
        torch.testing.assert_close(torch.from_numpy(images), expected, atol=1e-4, rtol=1e-4)
    assert "generator.onnx" in models.check(tmp_path / "tiny")


def test_onnx_file_of_other_weights_is_not_published(tmp_path):
    models.save(tiny_dcgan(), tmp_path / "tiny")
    checksum = hashlib.sha256((tmp_path / "tiny" / "model.safetensors").read_bytes()).hexdigest()
    (tmp_path / "tiny" / "generator.onnx").write_bytes(b"weights_sha256" + checksum.encode())
    assert "generator.onnx" in models.check(tmp_path / "tiny")
    tiny_dcgan(seed=1)._save_pretrained(tmp_path / "tiny")
    with pytest.raises(ModelError, match=r"generator\.onnx: exported from other weights"):
        models.check(tmp_path / "tiny")


def test_missing_onnx_packages_are_one_sentence(tmp_path, monkeypatch):
    models.save(tiny_dcgan(), tmp_path / "tiny")

    def fail(*_, **__):
        raise ModuleNotFoundError("No module named 'onnxscript'")

    monkeypatch.setattr("torch.onnx.export", fail)
    with pytest.raises(ModelError, match="pip install onnx onnxscript"):
        models.export_onnx(tmp_path / "tiny")
