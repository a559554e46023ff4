"""What every generator family shares: how it is searched, saved and loaded.

A model folder holds `config.json` and `model.safetensors` (float16), laid out exactly as a Hub
model repository. Loading is strict and never unpickles anything.
"""

import dataclasses
import json
import os
import tempfile
from pathlib import Path
from typing import Any, Self

import torch
import torch.nn.functional as F
from huggingface_hub import PyTorchModelHubMixin, hf_hub_download
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"

MAX_HEADER_BYTES = 1_000_000  # of the safetensors file; a tensor takes about 100
FLOAT_DTYPES = {torch.float16, torch.bfloat16, torch.float32}


class ModelError(ValueError):
    """A model folder or repository that cannot be used, and why, in one sentence."""


class PretrainedModel(nn.Module, PyTorchModelHubMixin):
    """A network that is kept as a model folder, saved whole or not at all and loaded strictly."""

    config: Any  # a dataclass with at least family, image_size and training

    def _save_pretrained(self, save_directory: Path) -> None:
        """Writes float16 weights and the configuration, each file whole or not at all."""
        weights = {
            name: tensor.detach().cpu().to(torch.float16 if tensor.is_floating_point() else tensor.dtype).contiguous()
            for name, tensor in self.state_dict().items()
        }
        config = json.dumps(dataclasses.asdict(self.config), indent=2) + "\n"
        with tempfile.TemporaryDirectory(dir=save_directory) as scratch:
            # The format tag is what transformers and the Hub's viewers look for.
            save_file(weights, Path(scratch, WEIGHTS_NAME), metadata={"format": "pt"})
            Path(scratch, CONFIG_NAME).write_text(config, encoding="utf-8")
            os.chmod(Path(scratch, WEIGHTS_NAME), 0o644)  # safetensors writes for the owner alone
            for name in (WEIGHTS_NAME, CONFIG_NAME):
                os.replace(Path(scratch, name), save_directory / name)

    @classmethod
    def _from_pretrained(
        cls,
        *,
        model_id: str,
        revision: str | None,
        cache_dir: str | Path | None,
        force_download: bool,
        local_files_only: bool,
        token: str | bool | None,
        map_location: str = "cpu",
        config: Any = None,
    ) -> Self:
        """Loads a folder or Hub repository; raises `ModelError` for anything but an exact match."""
        if config is None:
            raise ModelError(f"{model_id}: there is no {CONFIG_NAME}, so this is not a model folder.")
        if os.path.isdir(model_id):
            weights_file = os.path.join(model_id, WEIGHTS_NAME)
        else:
            weights_file = hf_hub_download(
                repo_id=model_id,
                filename=WEIGHTS_NAME,
                revision=revision,
                cache_dir=cache_dir,
                force_download=force_download,
                local_files_only=local_files_only,
                token=token,
            )
        weights = read_weights(weights_file)
        with torch.device("meta"):
            model = cls(config)
        check_weights(weights, model.state_dict(), model_id)
        model.load_state_dict(weights, assign=True)
        return model.float().to(map_location).eval().requires_grad_(False)


def prior_loss(logits: Tensor) -> Tensor:
    """log(1 - D(G(z))) from D's logits (CVPR eq. 5, without its factor lambda).

    As -softplus(logit), which is the same number but never overflows. Shape as given.
    """
    return -F.softplus(logits)


class LatentModel(PretrainedModel):
    """A generator of images from latent codes, with a prior that says how real an image looks.

    A family implements `sample_latents`, `generate` and `prior_loss`; the search needs nothing else.
    """

    config: Any  # a dataclass with at least family, image_size, latent_size and training
    conditional: bool = False  # whether G sees the damaged picture: then z = 0 is a proposal, and `bound` comes first
    latent_bound: float | None = None  # the search keeps each coordinate of a code in [-bound, bound]; None: free

    def sample_latents(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws `count` codes from the family's latent distribution: float32 (count, latent_size)."""
        raise NotImplementedError

    def generate(self, z: Tensor) -> Tensor:
        """Maps codes (N, latent_size) to images (N, 3, image_size, image_size) in [-1, 1]."""
        raise NotImplementedError

    def prior_loss(self, images: Tensor, z: Tensor) -> Tensor:
        """Penalty of unlikely images, one unweighted value per image: (N,). Lower is more real."""
        raise NotImplementedError

    def bound(self, pictures: Tensor, hole: Tensor) -> Self:
        """The model of the fillings of pictures (N, 3, H, W) with holes bool (N, H, W), one row of codes a picture.

        Itself, unless the generator is conditional.
        """
        return self


def read_weights(path: str | Path) -> dict[str, Tensor]:
    """Reads a safetensors file; raises `ModelError` when it is missing or is not one."""
    if not os.path.isfile(path):
        found = sorted(
            p.name for p in Path(path).parent.glob("*") if p.suffix in {".bin", ".pt", ".pth", ".ckpt", ".pkl"}
        )
        hint = f" {found[0]} is a pickle file, which is never opened." if found else ""
        raise ModelError(f"{path}: no such file; the weights must be a safetensors file.{hint}")
    with open(path, "rb") as file:
        header_bytes = int.from_bytes(file.read(8), "little")  # where the format says how much to parse
    if header_bytes > MAX_HEADER_BYTES:
        raise ModelError(f"{path} is not a safetensors file of such a model: its header has {header_bytes:,} bytes.")
    try:
        return load_file(path)
    except (SafetensorError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        # Not all kinds of number that the format knows can be made into tensors.
        raise ModelError(f"{path} is not a valid safetensors file ({error}); pickled weights are refused.") from error


def check_weights(found: dict[str, Tensor], expected: dict[str, Tensor], source: str) -> None:
    """Raises `ModelError` unless both hold the same tensor names, shapes and kinds of number."""
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing:
        raise ModelError(f"{source}: the weights lack {len(missing)} tensor(s), first {missing[0]!r}.")
    if extra:
        raise ModelError(f"{source}: the weights hold {len(extra)} unexpected tensor(s), first {extra[0]!r:.80}.")
    for name, tensor in found.items():
        want = expected[name]
        if tensor.shape != want.shape:
            raise ModelError(
                f"{source}: tensor {name!r} has shape {tuple(tensor.shape)}, but the configuration asks for "
                f"{tuple(want.shape)}."
            )
        if tensor.dtype not in (FLOAT_DTYPES if want.is_floating_point() else {want.dtype}):
            raise ModelError(
                f"{source}: tensor {name!r} holds {tensor.dtype}, which is not the expected kind of number."
            )
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"{source}: tensor {name!r} holds NaN or infinite values.")
        if name.endswith("running_var") and (tensor < 0).any():  # batch norm would take its square root
            raise ModelError(f"{source}: tensor {name!r} holds negative variances.")
