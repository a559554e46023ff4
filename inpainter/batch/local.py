"""The engine for one machine: a pool of processes, each with the model and one thread of its own."""

import os
import signal
import sys
from collections import Counter, deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import current_process, get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from .filling import Filler
from .work import DEATHS, Advance, Done, Part, Work, refused

UNGUARDED = 77  # exit status of a process that was asked for a pool while it was only being started for one


class EngineError(RuntimeError):
    """A run that cannot go on, and why, in one sentence."""


@dataclass
class Worker:
    """A process, the part that it is busy with, and how far it has come."""

    process: BaseProcess
    pipe: Connection
    part: Part = ()
    position: int = -1  # of the picture it is at; -1 before the first


def run(work: Work, parts: Iterable[Part], workers: int | None, address: str | None, advance: Advance) -> None:
    """Does all parts; a process that dies is replaced, and what it was busy with is done again.

    Args:
        workers: processes; None: one a usable core, or one a GPU.
        address: None; there is only this machine.
        advance: called with what was done, part by part.

    Raises:
        EngineError: when the model cannot be loaded, or the output cannot be written to.
    """
    waiting = deque(parts)
    count = min(workers or default_workers(work.job.device), len(waiting))
    deaths: Counter[str] = Counter()
    pool = [_start(work, number) for number in range(count)]
    try:
        for worker in pool:
            _give(worker, waiting, deaths)
        while any(worker.part for worker in pool):
            for pipe in wait([worker.pipe for worker in pool if worker.part]):
                number = next(n for n, worker in enumerate(pool) if worker.pipe is pipe)
                worker = pool[number]
                match _received(pipe):
                    case None:
                        pool[number] = _replace(worker, work, number, deaths)
                        waiting.appendleft(worker.part)
                        _give(pool[number], waiting, deaths)
                    case int(position):
                        worker.position = position
                    case Done() as done:
                        advance(done)
                        _give(worker, waiting, deaths)
                    case str(problem):
                        raise EngineError(problem)
    finally:
        for worker in pool:
            worker.process.kill()
        for worker in pool:
            worker.process.join()


def leave_if_being_imported() -> None:
    """Ends a process that was started for a pool, and is still importing a script that asks for another pool."""
    if getattr(current_process(), "_inheriting", False):  # what multiprocessing itself looks at
        sys.exit(UNGUARDED)


def default_workers(device: str) -> int:
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return torch.cuda.device_count()
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(work: Work, number: int) -> Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(_placed(work, number), theirs), daemon=True)
    process.start()
    theirs.close()
    return Worker(process, ours)


def _placed(work: Work, number: int) -> Work:
    """Spreads the processes over the GPUs."""
    if work.job.device not in ("auto", "cuda") or not torch.cuda.is_available():
        return work
    return replace(work, job=replace(work.job, device=f"cuda:{number % torch.cuda.device_count()}"))


def _give(worker: Worker, waiting: deque[Part], deaths: Counter[str]) -> None:
    worker.part, worker.position = (waiting.popleft(), -1) if waiting else ((), -1)
    if worker.part:
        deadly = frozenset(item.key for item in worker.part if deaths[item.key] >= DEATHS)
        with suppress(OSError):  # dead already, which the next look at its pipe tells
            worker.pipe.send((worker.part, deadly))


def _received(pipe: Connection) -> int | Done | str | None:
    """What a process says: the position that it is at, what it has done, or its problem. None: it is dead."""
    try:
        return pipe.recv()
    except (EOFError, OSError):  # OSError: in the middle of saying so
        return None


def _replace(worker: Worker, work: Work, number: int, deaths: Counter[str]) -> Worker:
    """A new process in the place of one that died; counts against the picture that it was at."""
    worker.process.join()
    worker.pipe.close()
    culprit = worker.part[max(0, worker.position)].key
    if worker.process.exitcode == UNGUARDED:
        raise EngineError(
            "the engine local starts processes that import your script, so the script must call `fill` below "
            "`if __name__ == \"__main__\":`."
        )
    deaths[culprit] += 1
    if worker.position < 0 and deaths[culprit] > DEATHS:
        raise EngineError(f"the processes die as they start (exit code {worker.process.exitcode}).")
    return _start(work, number)


def _serve(work: Work, pipe: Connection) -> None:
    """What a process does: fills parts until there are no more, saying which picture it is at."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends this process
    try:
        fill = Filler(work.job)
        while True:
            part, deadly = pipe.recv()
            rows = []
            for position, raw in enumerate(work.read(part)):
                if not parent_process().is_alive():
                    return
                pipe.send(position)
                rows.append(fill(refused(raw) if raw.key in deadly else raw))
            pipe.send(work.write(rows))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # the parent is gone
    except Exception as error:
        pipe.send(f"{error}" if isinstance(error, ValueError) else f"{type(error).__name__}: {error}")
