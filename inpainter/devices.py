"""Selects the device that networks run on, and puts them there."""

import torch
from torch import nn


def device_from_name(name: str | torch.device) -> torch.device:
    """Returns the torch device for a name; "auto" is the GPU if there is one. Raises ValueError if unusable."""
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
        if device.type == "meta":
            raise RuntimeError("it holds no numbers")
    except (RuntimeError, AssertionError) as error:  # torch says AssertionError when built without CUDA
        raise ValueError(f"device {name!r} is not available ({str(error).splitlines()[0]}).") from error
    return device


def placed(network: nn.Module, device: torch.device) -> nn.Module:
    """Moves a network to a device, in the fastest layout, in evaluation mode and without parameter gradients."""
    return network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
