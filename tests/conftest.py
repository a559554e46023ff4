"""What the tests share: a tiny random model, the published one, and a few pictures."""

import os
import zipfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two processes of tests share the cores; before torch is imported

import numpy as np
import pytest
import torch
from hypothesis import settings
from PIL import Image

from inpainter import Inpainter
from inpainter.models import DCGAN, DCGANConfig

settings.register_profile("default", max_examples=40, deadline=None, derandomize=True)
settings.register_profile("nightly", max_examples=10_000, deadline=None)
settings.load_profile("default")  # `--hypothesis-profile=nightly` comes after this

ROOT = Path(__file__).parent.parent
BUNDLED = ROOT / "hub_models" / "dcgan-celeba"


def tiny_dcgan(seed: int = 0) -> DCGAN:
    """A 16x16 DCGAN with random weights, scaled so that codes make visibly different images."""
    torch.manual_seed(seed)
    model = DCGAN(DCGANConfig(image_size=16, latent_size=8, channels=(16, 8)))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # statistics a trained model would have
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.02, 0.1)
    return model.eval()


@pytest.fixture(scope="session")
def tiny() -> Inpainter:
    return Inpainter(tiny_dcgan(), device="cpu")


@pytest.fixture(scope="session")
def faces() -> Inpainter:
    return Inpainter.from_pretrained(BUNDLED, device="cpu")


@pytest.fixture
def pictures() -> np.ndarray:
    """Three smooth 16x16 pictures, uint8 (3, 16, 16, 3)."""
    ramp = np.linspace(0, 255, 16)
    first = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], 128), axis=2)
    return np.stack([first, first[::-1], 255 - first]).astype(np.uint8)


@pytest.fixture(scope="session")
def archive(tmp_path_factory) -> Path:
    """A zip of 40 random pictures of 16x16 pixels, to train on."""
    path = tmp_path_factory.mktemp("data") / "pictures.zip"
    draws = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as file:
        for index in range(40):
            Image.fromarray(draws.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path.parent / "p.png")
            file.write(path.parent / "p.png", f"{index:03d}.png")
    return path
