"""Replaying a step on a GPU: what takes longer to launch than to compute is launched as one."""

import logging
from collections.abc import Callable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

logger = logging.getLogger(__name__)
T = TypeVar("T")


def replayed(step: Callable[[], T], state: Sequence[Tensor]) -> Callable[[], T]:
    """Records `step` as a CUDA graph; the function returned replays it and returns the same tensors, refilled.

    Written to PyTorch's documentation of CUDA graphs, but without a GPU to try it on; if the recording fails,
    `step` itself is returned and the log says so.

    Args:
        step: works on the same CUDA tensors every time and reads nothing back.
        state: the tensors that it changes. They are as before when this returns.
    """
    saved = [tensor.clone() for tensor in state]
    try:
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):  # libraries set themselves up in the first calls, which cannot be recorded
            for _ in range(3):
                step()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # other threads may use the GPU meanwhile
            output = step()
    except RuntimeError as error:
        logger.warning("the search runs without a CUDA graph, and slower: %s", str(error).partition("\n")[0])
        return step
    finally:
        for tensor, value in zip(state, saved, strict=True):
            tensor.copy_(value)

    def replay() -> T:
        graph.replay()
        return output

    return replay
