"""What a call takes: seconds, and memory in a process of its own."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch


def seconds(run: Callable[[], object], clock: Callable[[], float], device: torch.device) -> float:
    """What a call takes, with a GPU's work done by the end."""
    started = clock()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return clock() - started


def peak_memory(run: Callable[..., None], device: torch.device, *arguments) -> float:
    """The most memory in MB that a fresh process holds while it does run(*arguments).

    On a GPU that of its tensors, on a CPU (of Linux) that of the whole process, libraries included.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(_peak, run, device, arguments).result()


def _peak(run: Callable[..., None], device: torch.device, arguments: tuple) -> float:
    run(*arguments)
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 1e6
    status = Path("/proc/self/status").read_text()  # getrusage would count what the parent process held
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6
