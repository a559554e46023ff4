"""Selects the device that networks run on and their precision, and puts them there."""

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


def quick_precision(device: torch.device) -> str:
    """Returns "bfloat16" if the device supports it natively, else "float32"."""
    if device.type == "cuda":
        has_it = torch.cuda.is_bf16_supported(including_emulation=False)
    else:  # CPUs without the instructions emulate them, slowly
        has_it = device.type == "cpu" and getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return "bfloat16" if has_it else "float32"


def placed(network: nn.Module, device: torch.device) -> nn.Module:
    """Moves a network to a device, in the fastest layout, in evaluation mode and without parameter gradients."""
    return network.to(device, memory_format=torch.channels_last).eval().requires_grad_(False)
