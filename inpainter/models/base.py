"""Base classes: saving and loading of every network, and the interface of every generator family.

A model folder holds `config.json` and `model.safetensors` (float16), laid out exactly like a Hub model repository. The
configuration records the SHA-256 of the weights. Loading is strict and never unpickles anything.
"""

import dataclasses
import hashlib
import inspect
import json
from pathlib import Path
from typing import Any, Self

import safetensors.torch
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn

from .. import files

CONFIG_NAME = "config.json"
WEIGHTS_NAME = "model.safetensors"
CHECKSUM = "weights_sha256"  # in the configuration of every folder saved since it was introduced

MAX_CONFIG_BYTES = 1_000_000  # a typical one has a few thousand
MAX_HEADER_BYTES = 1_000_000  # of the safetensors file; a tensor takes about 100
FLOAT_DTYPES = {torch.float16, torch.bfloat16, torch.float32}


class ModelError(ValueError):
    """Raised for an unusable model folder or repository; says why in one sentence."""


class PretrainedModel(nn.Module):
    """A network saved as a folder. Subclasses annotate the type of `config` in `__init__`."""

    config: Any  # a dataclass with at least family, image_size and training

    def save_pretrained(self, folder: str | Path) -> None:
        """Atomically replaces `folder` by one with float16 weights and their configuration.

        Raises:
            ModelError: if the folder holds files but no model.
        """
        with replaced(folder) as staged:
            self._save_pretrained(staged)

    def _save_pretrained(self, folder: Path) -> None:
        """Writes weights and configuration into a folder."""
        weights = {
            name: tensor.detach().cpu().to(torch.float16 if tensor.is_floating_point() else tensor.dtype).contiguous()
            for name, tensor in self.state_dict().items()
        }
        # transformers and the Hub's viewers look for the format tag.
        data = safetensors.torch.save(weights, metadata={"format": "pt"})
        config = {**dataclasses.asdict(self.config), CHECKSUM: hashlib.sha256(data).hexdigest()}
        files.write_bytes(folder / WEIGHTS_NAME, data)
        files.write_text(folder / CONFIG_NAME, json.dumps(config, indent=2) + "\n")

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Self:
        """Loads a folder, in evaluation mode and without gradients; raises `ModelError` unless it is fully valid."""
        folder = Path(folder)
        settings = read_config(folder)
        expected = settings.pop(CHECKSUM, None)
        config = _build_config(inspect.signature(cls).parameters["config"].annotation, settings, folder / CONFIG_NAME)
        with torch.device("meta"):
            model = cls(config)
        weights = read_weights(folder / WEIGHTS_NAME, model)
        check_weights(weights, model.state_dict(), str(folder))
        if expected is not None and expected != checksum(folder):
            where = folder / WEIGHTS_NAME
            raise ModelError(f"{where}: does not match the SHA-256 in {CONFIG_NAME}; it is damaged or was replaced.")
        model.load_state_dict(weights, assign=True)
        return model.float().eval().requires_grad_(False)


def prior_loss(logits: Tensor) -> Tensor:
    """Returns log(1 - D(G(z))) from D's logits (CVPR eq. 5, without its factor lambda).

    Computed as -softplus(logit), which is equal but never overflows. Same shape as `logits`.
    """
    return -F.softplus(logits)


class LatentModel(PretrainedModel):
    """A generator of images from latent codes, with a prior that scores how real an image looks.

    A family implements `sample_latents`, `generate` and `prior_loss`; the search needs nothing else.
    """

    config: Any  # a dataclass with at least family, image_size, latent_size and training
    conditional: bool = False  # whether G sees the damaged picture; if so, call `bound` first, and z = 0 is a proposal
    latent_bound: float | None = None  # the search clips each coordinate of a code to [-bound, bound]; None: unbounded

    def sample_latents(self, count: int, generator: torch.Generator | None = None) -> Tensor:
        """Draws `count` codes from the family's latent distribution: float32 (count, latent_size)."""
        raise NotImplementedError

    def generate(self, z: Tensor) -> Tensor:
        """Maps codes (N, latent_size) to images (N, 3, image_size, image_size) in [-1, 1]."""
        raise NotImplementedError

    def prior_loss(self, images: Tensor, z: Tensor) -> Tensor:
        """Returns the penalty for unrealistic images, unweighted, one per image: (N,). Lower is more realistic."""
        raise NotImplementedError

    def bound(self, pictures: Tensor, hole: Tensor) -> Self:
        """Binds a conditional generator to pictures (N, 3, H, W) and holes bool (N, H, W), one row of codes each.

        Any other model returns itself.
        """
        return self


def replaced(folder: str | Path, keep=lambda name: not of_a_model(name)):
    """Context manager that yields an empty folder to replace a model folder on exit; see `files.staged_folder`.

    Raises:
        ModelError: if `folder` holds files but no model.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ModelError(f"{folder}: this is a file; expected a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CONFIG_NAME).is_file():
        raise ModelError(f"{folder}: contains other files; expected a new or empty folder, or a model folder.")
    return files.staged_folder(folder, keep)


def of_a_model(name: str) -> bool:
    """Returns whether a file, by its path in a model folder, is replaced when another model is saved there."""
    own = (CONFIG_NAME, WEIGHTS_NAME, "README.md", "samples.png", "generator.onnx")
    return name in own or name.startswith("encoder/")


def read_config(folder: Path) -> dict[str, Any]:
    """Reads a model folder's configuration, unchecked; raises `ModelError` if it is missing or not a JSON object."""
    path = folder / CONFIG_NAME
    try:
        config = json.loads(files.read_bounded(path, MAX_CONFIG_BYTES).decode("utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: not a model folder; it has no {CONFIG_NAME}.") from error
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON ({error}).") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:  # not a regular file, too long, or an integer of too many digits
        raise ModelError(str(error) if str(path) in str(error) else f"{path} is not valid JSON ({error}).") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} contains {config!r:.80}, expected an object.")
    return config


def _build_config(kind: type, settings: dict[str, Any], path: Path) -> Any:
    unknown = settings.keys() - {field.name for field in dataclasses.fields(kind)}
    if unknown:
        raise ModelError(f"{path}: unknown entry {min(unknown)!r:.80}.")
    try:
        return kind(**settings)
    except ModelError as error:
        raise ModelError(f"{path}: {str(error).removeprefix('config: ')}") from error


def checksum(folder: Path) -> str:
    """Returns the SHA-256 of a folder's weights, as the Hub shows it. Raises OSError if there are none."""
    files.check_regular(folder / WEIGHTS_NAME)
    with open(folder / WEIGHTS_NAME, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_weights(path: Path, model: nn.Module) -> dict[str, Tensor]:
    """Reads a safetensors file; raises `ModelError` if it is missing, invalid or larger than the model's tensors."""
    tensors = model.state_dict().values()
    most = 8 + MAX_HEADER_BYTES + sum(tensor.numel() * max(4, tensor.itemsize) for tensor in tensors)
    try:
        files.check_regular(path)
        with open(path, "rb") as file:
            header_bytes = int.from_bytes(file.read(8), "little")  # the format starts with the header's length
        if header_bytes > MAX_HEADER_BYTES:
            raise ModelError(f"{path} is not a model's safetensors file: its header has {header_bytes:,} bytes.")
        files.check_regular(path, most)
    except FileNotFoundError as error:
        found = sorted(p.name for p in path.parent.glob("*") if p.suffix in {".bin", ".pt", ".pth", ".ckpt", ".pkl"})
        hint = f" {found[0]} is a pickle file; those are never opened." if found else ""
        raise ModelError(f"{path}: no such file; the weights must be a safetensors file.{hint}") from error
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}).") from error
    except ValueError as error:
        raise ModelError(str(error)) from error
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, RuntimeError, ValueError, TypeError, KeyError, AttributeError, OverflowError) as error:
        # The format has dtypes that torch lacks.
        raise ModelError(f"{path} is not a valid safetensors file ({error}); pickled weights are refused.") from error


def check_weights(found: dict[str, Tensor], expected: dict[str, Tensor], source: str) -> None:
    """Raises `ModelError` unless both have the same tensor names, shapes and kinds of dtype, all values valid."""
    missing, extra = sorted(expected.keys() - found.keys()), sorted(found.keys() - expected.keys())
    if missing:
        raise ModelError(f"{source}: the weights lack {len(missing)} tensor(s), first {missing[0]!r}.")
    if extra:
        raise ModelError(f"{source}: the weights have {len(extra)} unexpected tensor(s), first {extra[0]!r:.80}.")
    for name, tensor in found.items():
        want = expected[name]
        if tensor.shape != want.shape:
            raise ModelError(
                f"{source}: tensor {name!r} has shape {tuple(tensor.shape)}, but the configuration requires "
                f"{tuple(want.shape)}."
            )
        if tensor.dtype not in (FLOAT_DTYPES if want.is_floating_point() else {want.dtype}):
            raise ModelError(f"{source}: tensor {name!r} has the unexpected dtype {tensor.dtype}.")
        if tensor.is_floating_point() and not torch.isfinite(tensor).all():
            raise ModelError(f"{source}: tensor {name!r} contains NaN or infinite values.")
        if name.endswith("running_var") and (tensor < 0).any():  # batch norm takes its square root
            raise ModelError(f"{source}: tensor {name!r} contains negative variances.")
