import json
import shutil

import pytest
import torch
from conftest import BUNDLED, tiny_dcgan
from safetensors.torch import load_file, save_file

from inpainter import Inpainter, ModelError, masks
from inpainter.models import DCGAN, DCGANConfig
from inpainter.models.comod_networks import continued
from inpainter.models.layers import ModulatedUp


@pytest.fixture
def folder(tmp_path):
    """A saved tiny model."""
    tiny_dcgan().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def rewrite(folder, change) -> None:
    weights = load_file(folder / "model.safetensors")
    change(weights)
    save_file(weights, folder / "model.safetensors")


def test_the_networks_are_the_papers():
    model = DCGAN()
    sizes = [m.weight.shape[1] for m in model.generator if isinstance(m, torch.nn.ConvTranspose2d)]
    assert sizes == [256, 128, 64, 3]
    assert model.generator[0].weight.shape == (512 * 4 * 4, 100)
    images = model.generate(model.sample_latents(2))
    assert images.shape == (2, 3, 64, 64)
    assert images.abs().max() <= 1
    assert model.discriminator(images).shape == (2, 1)


def test_codes_are_uniform_between_minus_one_and_one():
    z = DCGAN().sample_latents(2000, torch.Generator().manual_seed(0))
    assert -1 <= z.min() < -0.999
    assert 0.999 < z.max() <= 1
    assert z.var().item() == pytest.approx(1 / 3, abs=0.01)


def test_saved_and_loaded_it_makes_the_same_images(tmp_path):
    model = tiny_dcgan()
    model.save_pretrained(tmp_path / "one")
    once = DCGAN.from_pretrained(tmp_path / "one")
    once.save_pretrained(tmp_path / "two")
    twice = DCGAN.from_pretrained(tmp_path / "two")
    z = model.sample_latents(4)
    assert torch.equal(once.generate(z), twice.generate(z))
    torch.testing.assert_close(once.generate(z), model.generate(z), atol=0.02, rtol=0)  # float16 on disk
    assert not any(p.requires_grad for p in once.parameters())
    assert not once.training
    assert once.config == model.config


def test_weights_are_float16_on_disk_and_float32_in_memory(folder):
    stored = load_file(folder / "model.safetensors")
    assert {t.dtype for t in stored.values() if t.is_floating_point()} == {torch.float16}
    assert DCGAN.from_pretrained(folder).generator[0].weight.dtype == torch.float32


def test_the_pipeline_finds_the_family_by_itself(folder):
    model = Inpainter.from_pretrained(folder, device="cpu")
    assert isinstance(model.model, DCGAN)
    assert model.size == 16


def test_a_missing_tensor_is_refused(folder):
    rewrite(folder, lambda weights: weights.pop("generator.0.weight"))
    with pytest.raises(ModelError, match=r"lack 1 tensor.*generator\.0\.weight"):
        Inpainter.from_pretrained(folder)


def test_an_extra_tensor_is_refused(folder):
    rewrite(folder, lambda weights: weights.update(surprise=torch.zeros(1)))
    with pytest.raises(ModelError, match=r"unexpected.*surprise"):
        Inpainter.from_pretrained(folder)


def test_a_tensor_of_another_shape_is_refused(folder):
    rewrite(folder, lambda weights: weights.update({"generator.0.weight": torch.zeros(3, 3)}))
    with pytest.raises(ModelError, match=r"\(3, 3\)"):
        Inpainter.from_pretrained(folder)


def test_nan_weights_are_refused(folder):
    rewrite(folder, lambda weights: weights["generator.0.weight"].fill_(float("nan")))
    with pytest.raises(ModelError, match="NaN"):
        Inpainter.from_pretrained(folder)


class Bomb:
    """Unpickling this is a failure of the test."""

    def __reduce__(self):
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_pickle_is_never_opened(folder, name):
    (folder / "model.safetensors").unlink()
    torch.save({"bomb": Bomb()}, folder / name)
    with pytest.raises(ModelError, match="pickle"):
        Inpainter.from_pretrained(folder)


@pytest.mark.parametrize("family", ["stylegan", None, 7, ["dcgan"]])
def test_an_unknown_family_is_refused(folder, family):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"family": family}))
    with pytest.raises(ModelError, match="family"):
        Inpainter.from_pretrained(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"image_size": 32},
        {"image_size": -16},
        {"image_size": 16.5},
        {"latent_size": 0},
        {"latent_size": 10**12},
        {"latent_size": "8"},
        {"latent_distribution": "normal"},
        {"channels": []},
        {"channels": [10**9, 8]},
        {"channels": "wide"},
        {"channels": [True, 8]},
        {"training": []},
    ],
)
def test_an_impossible_configuration_is_refused(change):
    with pytest.raises(ModelError, match="config"):
        DCGANConfig(**{"image_size": 16, "latent_size": 8, "channels": (16, 8), **change})


def test_folders_that_are_not_models_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    for name, says in (("none", "no such"), ("empty", "config.json"), ("broken", "JSON")):
        with pytest.raises(ModelError, match=says):
            Inpainter.from_pretrained(tmp_path / name)


def test_an_interrupted_save_leaves_the_old_model_whole(folder, monkeypatch):
    before = shutil.copytree(folder, folder.parent / "before")

    def fail(*arguments, **options):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        tiny_dcgan(seed=1).save_pretrained(folder)
    for name in ("config.json", "model.safetensors"):
        assert (folder / name).read_bytes() == (before / name).read_bytes()
    assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in before.iterdir())


def test_the_published_faces_are_diverse_and_use_the_full_range():
    model = DCGAN.from_pretrained(BUNDLED)
    images = model.generate(model.sample_latents(32, torch.Generator().manual_seed(0)))
    assert images.shape == (32, 3, 64, 64)
    assert images.std(dim=0).mean() > 0.2  # different codes, different faces
    assert images.min() < -0.8
    assert images.max() > 0.8


def test_holes_continue_the_known_colours_and_scattered_pixels_give_a_picture():
    ramp = torch.linspace(-1, 1, 32).expand(1, 3, 32, 32)
    hole = torch.from_numpy(masks.random(32))[None]
    filled = continued(ramp, hole)
    assert torch.equal(filled[~hole[:, None].expand_as(ramp)], ramp[~hole[:, None].expand_as(ramp)])
    assert (filled - ramp).abs().max() < 0.4 and (filled - ramp).abs().mean() < 0.08  # grey is off by 0.4 on the mean
    assert torch.equal(continued(torch.where(hole[:, None], 7.0, ramp), hole), filled)
    flat = torch.full_like(ramp, 0.3)
    for missing in (hole, torch.from_numpy(masks.half(32))[None]):
        assert torch.allclose(continued(flat, missing), flat)
    assert (continued(flat, torch.ones_like(hole)) == 0).all()


@pytest.mark.parametrize(
    "change",
    [
        lambda layer, new: layer.load_state_dict({"weight": new}, strict=False),
        lambda layer, new: layer.load_state_dict({"weight": new}, strict=False, assign=True),
        lambda layer, new: layer.weight.mul_(0).add_(new),
        lambda layer, new: setattr(layer.weight, "data", new),
    ],
    ids=["loaded", "assigned", "in place", "data"],
)
@torch.no_grad()
def test_what_a_layer_keeps_of_its_weight_follows_the_weight(change):
    layer, other = (ModulatedUp(8, 4, style=6).eval().requires_grad_(False) for _ in range(2))
    other.affine.load_state_dict(layer.affine.state_dict())
    x, style = torch.randn(2, 8, 4, 4), torch.randn(2, 6)
    before = layer(x, style)
    assert layer.prepared(x.dtype)[0] is layer.prepared(x.dtype)[0]  # kept
    change(layer, other.weight.clone())
    assert torch.equal(layer(x, style), other(x, style))
    assert not torch.equal(before, other(x, style))
    assert "_kept" not in layer.state_dict()


def test_a_layer_in_training_keeps_nothing_for_fused_optimisers_change_weights_unnoticed():
    layer, x, style = ModulatedUp(8, 4, style=6), torch.randn(2, 8, 4, 4), torch.randn(2, 6)
    adam = torch.optim.Adam(layer.parameters(), fused=True)
    layer(x, style).sum().backward()
    before = layer.requires_grad_(False)(x, style)  # as D is while G is trained
    adam.step()
    assert not torch.equal(layer(x, style), before)
