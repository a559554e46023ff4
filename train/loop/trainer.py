"""Base classes of all trainers: state, checkpoints, optimisers, gradients averaged over processes, and G's average.

The networks are not wrapped for distributed training. A GAN step runs D three times and trains it once, which conflicts
with wrappers that expect one backward pass per forward pass. Averaging the gradients by hand takes one call, and none
in a single process.
"""

import copy
import ctypes
import io
import pickle
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from PIL import Image
from torch import Tensor, nn

from inpainter import ModelError, files, hub
from inpainter.hub.cards import SAMPLES_NAME
from inpainter.models import LatentModel
from inpainter.models.base import PretrainedModel, replaced

from . import watch

if TYPE_CHECKING:  # a part of the extra "train", needed by no other command
    from accelerate import Accelerator

CHECKPOINT_NAME = "checkpoint.pt"
# Parameters of glibc's mallopt and their values: never mmap large blocks, never trim, allocate in large steps.
ALLOCATOR = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, 2**31 - 1), "M_TOP_PAD": (-2, 2**28)}


@dataclass
class Trainer:
    """State of a run: the contents of a checkpoint, the training step, and the published model.

    A subclass adds its networks and optimisers to `parts`, and implements `train_step` and `look`.

    Each process trains on its own batch with its own batch statistics, as DCGAN does on several GPUs; gradients are
    averaged over the processes. N processes thus step like one process that averages the gradients of N batches;
    `--batch-size` is per process.
    """

    model: PretrainedModel
    accelerator: "Accelerator"
    learning_rate: float = 2e-4
    beta1: float = 0.5
    beta2: float = 0.999
    seed: int = 0
    step: int = 0
    seconds: float = 0.0  # of training, including before a resume
    parts: dict[str, Any] = field(init=False)  # by name in the checkpoint; each has a state_dict

    def __post_init__(self):
        self.device = self.accelerator.device
        self.place(self.initialised())
        self.parts = {"model": self.model}

    def initialised(self) -> nn.Module:
        """Returns the model with its initial weights."""
        return initialise(self.model, self.seed)

    def state_dict(self) -> dict:
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        return {**parts, "step": self.step, "seconds": self.seconds}

    def load_state_dict(self, state: dict) -> None:
        """Restores a state; raises `ModelError` if its parts do not match."""
        for name, part in self.parts.items():
            try:
                part.load_state_dict(state[name])
            except (KeyError, RuntimeError, ValueError) as error:
                raise ModelError(f"the checkpoint lacks this run's {name.replace('_', ' ')}.") from error
        self.step, self.seconds = state["step"], state["seconds"]

    def train_step(self, real: Tensor, random: torch.Generator) -> dict[str, Tensor]:
        """Takes one step on real images (N, 3, H, W) in [-1, 1]; returns means over the batch, without gradient."""
        raise NotImplementedError

    def published(self) -> PretrainedModel:
        """Returns a copy of the model to publish now, in evaluation mode and without gradients."""
        return copy.deepcopy(self.model).eval().requires_grad_(False)

    def look(self, model: PretrainedModel, images: Tensor, held_out: Tensor) -> tuple[Image.Image, dict[str, float]]:
        """Returns pictures from the published model for people to look at, and measurements of them.

        Args:
            images, held_out: training and validation pictures, uint8 (N, 3, H, W).
        """
        raise NotImplementedError

    def write(self, model: PretrainedModel, folder: Path, pictures: Image.Image) -> None:
        """Writes the published model's folder atomically; `pictures` are those from `look`."""
        with replaced(folder) as staged:
            model._save_pretrained(staged)
            pictures.save(staged / SAMPLES_NAME)

    def summary(self) -> dict[str, Any]:
        """Returns what this kind of training adds to the training record, besides its settings."""
        return {}

    def place(self, module: nn.Module) -> nn.Module:
        """Moves a network to the training device."""
        return module.to(self.device, memory_format=torch.channels_last).train()

    def adam(self, *networks: nn.Module, learning_rate: float | None = None) -> torch.optim.Adam:
        """Creates an Adam optimiser for the networks; `learning_rate` overrides the training's."""
        parameters = [parameter for network in networks for parameter in network.parameters()]
        rate = self.learning_rate if learning_rate is None else learning_rate
        return torch.optim.Adam(parameters, lr=rate, betas=(self.beta1, self.beta2), fused=True)

    def update(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        """Takes one optimiser step on a loss, with gradients averaged over all processes."""
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        average_gradients(self.accelerator, (p for group in optimizer.param_groups for p in group["params"]))
        optimizer.step()


@dataclass
class GeneratorTrainer(Trainer):
    """Trains a model with a `generator`; publishes the moving average of G."""

    model: LatentModel
    ema: float = 0.999  # decay per step

    def __post_init__(self):
        super().__post_init__()
        self.average = copy.deepcopy(self.model.generator).requires_grad_(False)
        self.parts["average"] = self.average

    def follow(self) -> None:
        """Updates the moving average of G and counts the step."""
        # The decay warms up, so that the average forgets the random initial weights.
        decay = min(self.ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.parameters()), list(self.model.generator.parameters()), 1 - decay)
        self.step += 1

    def published(self) -> LatentModel:
        """Returns a copy with the averaged G, its batch-norm statistics measured on its own images."""
        model = copy.deepcopy(self.model)
        model.generator.load_state_dict(self.average.state_dict())
        with self.accelerator.autocast():  # bfloat16's error is smaller than the sampling error
            return measure_statistics(model, self.seed)

    def look(self, model: LatentModel, images: Tensor, held_out: Tensor) -> tuple[Image.Image, dict[str, float]]:
        """Returns samples from codes fixed throughout the run, and their diversity relative to real images."""
        z = model.sample_latents(64, torch.Generator().manual_seed(self.seed)).to(self.device)
        some = images[:: max(1, len(images) // 500)]
        with torch.no_grad():
            diversity = watch.spread(model.generate(z)) / max(watch.spread(some.float() / 127.5), 1e-6)
        return hub.sample_grid(model, z), {"diversity": round(diversity, 3)}

    def write(self, model: LatentModel, folder: Path, pictures: Image.Image) -> None:
        hub.save(model, folder)  # with samples from the same codes for every model


def measure_statistics(model: LatentModel, seed: int = 0) -> LatentModel:
    """Measures the batch-norm statistics of a model's G, if any, on its own images; returns it in evaluation mode."""
    device, draws = next(model.parameters()).device, torch.Generator().manual_seed(seed)
    codes = (model.sample_latents(128, draws).to(device) for _ in range(20))
    measure_batch_norm(model.generator, model.generate, codes)
    return model.eval().requires_grad_(False)


@torch.no_grad()
def measure_batch_norm(network: nn.Module, run: Callable[[Tensor], Tensor], batches: Iterable[Tensor]) -> None:
    """Measures the statistics of a network's batch norms, if any, as plain means over the batches given to `run`."""
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
    network.train()
    for batch in batches if norms else ():
        run(batch)


def initialise(network: nn.Module, seed: int) -> nn.Module:
    """Sets DCGAN's initial weights: normal with standard deviation 0.02, around 1 for batch norm's scales."""
    draws = torch.Generator().manual_seed(seed)
    for name, parameter in network.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        else:  # one-dimensional weights are batch norm's scales
            nn.init.normal_(parameter, float(parameter.ndim == 1), 0.02, generator=draws)
    return network


def average_gradients(accelerator: "Accelerator", parameters: Iterable[Tensor]) -> None:
    """Replaces every gradient by its mean over all processes, in one transfer."""
    if accelerator.num_processes == 1:
        return
    gradients = [parameter.grad for parameter in parameters]
    flat = accelerator.reduce(torch.cat([gradient.flatten() for gradient in gradients]), reduction="mean")
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view(gradient.shape))


def keep_freed_memory() -> None:
    """Makes glibc's allocator reuse freed memory across steps; a no-op elsewhere.

    By default, large tensors are mapped anew in every step, and their pages fault in again.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        for parameter, value in ALLOCATOR.values():
            libc.mallopt(parameter, value)


def save_checkpoint(path: Path, state: dict) -> None:
    """Writes a checkpoint atomically: a kill leaves the old one or the new one."""
    data = io.BytesIO()
    torch.save(state, data)
    files.write_bytes(path, data.getbuffer())


def load_checkpoint(path: Path, settings: dict, device: torch.device | str = "cpu") -> dict:
    """Reads a checkpoint; only tensors and plain values are ever unpickled.

    Args:
        settings: this run's settings; those recorded in the checkpoint must be equal.

    Raises:
        ModelError: if it is not a checkpoint, or its settings differ.
        OSError: if it cannot be opened.
    """
    # accelerate numbers the CPUs of several processes, as in "cpu:1", which torch.load does not know.
    place = "cpu" if torch.device(device).type == "cpu" else device
    with open(path, "rb") as file:
        try:
            state = torch.load(file, map_location=place, weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
            reason = str(error).partition("\n")[0][:80]
            raise ModelError(f"{path} is not a readable checkpoint of a training run ({reason}).") from error
    if not isinstance(state, dict) or "step" not in state:
        raise ModelError(f"{path} is not a checkpoint of a training run: it records no step.")
    recorded = state.get("settings", {})
    for name, value in settings.items():
        if name in recorded and recorded[name] != value:
            raise ModelError(
                f"{path} was made with {name.replace('_', ' ')} {_shown(recorded[name])}, but this run has "
                f"{_shown(value)}; resume with the same settings, or choose another --out."
            )
    return state


def _shown(value: object) -> str:
    return " ".join(map(str, value)) or "none" if isinstance(value, (list, tuple)) else str(value)
