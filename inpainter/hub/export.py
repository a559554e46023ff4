"""Exports the generator as an ONNX file, for use outside Python."""

from pathlib import Path

import torch
from torch import Tensor, nn

from .. import files
from ..models import CoMod, LatentModel, ModelError
from ..models.base import checksum
from .finding import load

ONNX_NAME = "generator.onnx"


class Generator(nn.Module):
    """Wraps a model so that its forward pass, which gets exported, is the generator."""

    def __init__(self, model: LatentModel):
        super().__init__()
        self.model = model

    def forward(self, z: Tensor, *seen: Tensor) -> Tensor:
        return (self.model.bound(*seen) if seen else self.model).generate(z)


def export_onnx(folder: str | Path) -> Path:
    """Writes `generator.onnx` next to a model's weights, replacing any older one, and returns its path.

    Inputs, for any n: z, float32 (n, latent_size); for the family comod also picture, float32 (n, 3, size, size) in
    [-1, 1], and hole, bool (n, size, size), True = missing. Output: images, float32 (n, 3, size, size), nominally in
    [-1, 1]. The file's metadata records the checksum of the weights.

    Raises:
        ModelError: if the model cannot be loaded, or the packages for the export are missing.
    """
    folder = Path(folder)
    model = load(folder)
    size = model.config.image_size
    inputs = {"z": model.sample_latents(2, torch.Generator().manual_seed(0))}
    if isinstance(model, CoMod):
        inputs |= {"picture": torch.zeros(2, 3, size, size), "hole": torch.ones(2, size, size, dtype=torch.bool)}
    count = {0: torch.export.Dim("n")}
    _, *seen = inputs
    try:
        program = torch.onnx.export(
            Generator(model).eval(),
            tuple(inputs.values()),
            input_names=list(inputs),
            output_names=["images"],
            dynamic_shapes=(count, (count, count)) if seen else (count,),
            dynamo=True,
            verbose=False,
        )
    except ImportError as error:
        raise ModelError("exporting ONNX needs missing packages: pip install onnx onnxscript.") from error
    program.model.metadata_props["weights_sha256"] = checksum(folder)
    files.write_bytes(folder / ONNX_NAME, program.model_proto.SerializeToString())
    return folder / ONNX_NAME


def check_onnx(folder: Path) -> None:
    """Raises `ModelError` if a folder's ONNX file was not exported from its weights."""
    path = folder / ONNX_NAME
    if path.is_file() and checksum(folder).encode() not in path.read_bytes():
        raise ModelError(f"{path}: exported from other weights; run the onnx command again, or remove the file.")
