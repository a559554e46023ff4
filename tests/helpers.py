"""What several files of tests call: small models, problems, and comparisons."""

import torch
from accelerate import Accelerator

from inpainter import masks
from inpainter.models import VAE, CoMod, CoModConfig, VAEConfig
from train.loop.options import mixed_precision

SHAPE = {"image_size": 16, "latent_size": 8, "channels": (16, 8)}
TINY = ("--channels", 16, 8, "--latent-size", 8)  # of a training


def accelerator() -> Accelerator:
    """An accelerator with the default precision of a training; accelerate allows only one precision per process."""
    return Accelerator(cpu=True, mixed_precision=mixed_precision(torch.device("cpu")))


def tiny_vae() -> VAE:
    torch.manual_seed(0)
    model = VAE(VAEConfig(**SHAPE))
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):  # statistics a trained model would have
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.02, 0.1)
    return model.eval().requires_grad_(False)


EVERYTHING = {"mirrored": True, "backbone": True, "attention": True}  # that the encoder of a CoMod can see


def tiny_comod(seed: int = 0, **sees: bool) -> CoMod:
    """A 32x32 CoMod with random weights."""
    torch.manual_seed(seed)
    widths = {f"{part}_channels": (4, 6, 8, 8) for part in ("encoder", "decoder", "discriminator")}
    config = CoModConfig(image_size=32, latent_size=6, style_size=5, **sees, **widths)
    model = CoMod(config).eval().requires_grad_(False)
    for name, weight in model.generator.named_parameters():
        if name.endswith("weight") and not weight.any():  # a layer that starts without effect
            weight.normal_(0, 0.5)
    for name, buffer in model.generator.named_buffers():  # the backbone's
        buffer.normal_(0, (2 / max(1, buffer[0].numel())) ** 0.5 if name.endswith("weight") else 0.1)
    return model


def problem(tiny, count: int = 3):
    """Pictures the generator can make exactly, their hole, and other codes to start from."""
    draws = torch.Generator().manual_seed(0)
    target = tiny.model.sample_latents(count, draws)
    hole = torch.from_numpy(masks.center(16)).expand(count, 16, 16)
    return tiny.model.generate(target), hole, tiny.model.sample_latents(count, draws)


def state(out) -> dict:
    return torch.load(out / "checkpoint.pt", weights_only=True)


def assert_identical(one, other, where="") -> None:
    """Bit for bit, at any depth; the time that training took is its own."""
    if isinstance(one, dict):
        assert one.keys() == other.keys(), where
        for name in one.keys() - {"seconds"}:
            assert_identical(one[name], other[name], f"{where}.{name}")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), where
    else:
        assert one == other, where
