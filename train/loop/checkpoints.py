"""Checkpoints that survive a kill at any moment, and that only a run of the same settings goes on from."""

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from inpainter import ModelError, files

CHECKPOINT_NAME = "checkpoint.pt"


class Checkpointed:
    """Something whose state a checkpoint holds: its `parts` by name, its step, and the seconds it took."""

    parts: dict[str, Any]  # each has a state_dict
    step: int
    seconds: float

    def state_dict(self) -> dict:
        parts = {name: part.state_dict() for name, part in self.parts.items()}
        return {**parts, "step": self.step, "seconds": self.seconds}

    def load_state_dict(self, state: dict) -> None:
        """Takes over a state; raises `ModelError` when it is one of other parts."""
        for name, part in self.parts.items():
            try:
                part.load_state_dict(state[name])
            except (KeyError, RuntimeError, ValueError) as error:
                raise ModelError(f"the checkpoint does not hold this run's {name.replace('_', ' ')}.") from error
        self.step, self.seconds = state["step"], state["seconds"]


def save(path: Path, state: dict) -> None:
    """Writes beside `path` and renames, so that a kill leaves the old checkpoint or the new one."""
    data = io.BytesIO()
    torch.save(state, data)
    files.write_bytes(path, data.getbuffer())


def load(path: Path, settings: dict, device: torch.device | str = "cpu") -> dict:
    """Reads a checkpoint; only tensors and plain values are ever unpickled.

    Args:
        settings: what this run would be; whatever of it the checkpoint records has to be the same.

    Raises:
        ModelError: when it is not a checkpoint, or one of other settings.
        OSError: when it cannot be opened.
    """
    with open(path, "rb") as file:
        try:
            state = torch.load(file, map_location=device, weights_only=True)
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
