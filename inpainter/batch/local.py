"""The engine for one machine: a pool of processes, each with its own copy of the model and one thread."""

import os
import signal
import sys
import threading
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from multiprocessing import current_process, get_context, parent_process
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import torch

from .filling import Filler
from .work import DEATHS, Advance, Done, Part, Work, refused

UNGUARDED = 77  # exit status of a worker whose script calls `fill` again when it is imported


class EngineError(RuntimeError):
    """Raised if a run cannot continue; says why in one sentence."""


@dataclass
class Worker:
    """A process, the part it is working on, and its progress."""

    process: BaseProcess
    pipe: Connection
    part: Part = ()
    position: int = -1  # of the current picture in the part; -1 before the first


def run(work: Work, parts: Iterable[Part], workers: int | None, address: str | None, advance: Advance) -> None:
    """Fills all parts. If a process dies, it is replaced and its part is done again.

    Args:
        workers: number of processes; None: one per usable core, or one per GPU.
        address: not used by this engine.
        advance: called with the result of each finished part.

    Raises:
        EngineError: if the model cannot be loaded, or the output cannot be written.
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
    """Exits a worker process that is importing a script which calls `fill` without a `__main__` guard."""
    if getattr(current_process(), "_inheriting", False):  # the attribute that multiprocessing checks
        sys.exit(UNGUARDED)


def default_workers(device: str) -> int:
    if device in ("auto", "cuda") and torch.cuda.is_available():
        return torch.cuda.device_count()
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(work: Work, number: int) -> Worker:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(_placed(work, number), theirs), daemon=True)
    with _without_interrupts():  # which the process inherits: on Ctrl-C, we kill it
        process.start()
    theirs.close()
    return Worker(process, ours)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """Ignores Ctrl-C for a moment; only the main thread can."""
    usual = signal.getsignal(signal.SIGINT)
    possible = usual is not None and threading.current_thread() is threading.main_thread()
    if possible:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        if possible:
            signal.signal(signal.SIGINT, usual)


def _placed(work: Work, number: int) -> Work:
    """Assigns a GPU to each process."""
    if work.job.device not in ("auto", "cuda") or not torch.cuda.is_available():
        return work
    return replace(work, job=replace(work.job, device=f"cuda:{number % torch.cuda.device_count()}"))


def _give(worker: Worker, waiting: deque[Part], deaths: Counter[str]) -> None:
    worker.part, worker.position = (waiting.popleft(), -1) if waiting else ((), -1)
    if worker.part:
        deadly = frozenset(item.key for item in worker.part if deaths[item.key] >= DEATHS)
        with suppress(OSError):  # the process is dead; reading from its pipe will show it
            worker.pipe.send((worker.part, deadly))


def _received(pipe: Connection) -> int | Done | str | None:
    """Receives the position of the current picture, a finished part, or an error; None: the process is dead."""
    try:
        return pipe.recv()
    except (EOFError, OSError):  # OSError: it died while sending
        return None


def _replace(worker: Worker, work: Work, number: int, deaths: Counter[str]) -> Worker:
    """Starts a process to replace a dead one; the death counts against the picture it was working on."""
    worker.process.join()
    worker.pipe.close()
    culprit = worker.part[max(0, worker.position)].key
    if worker.process.exitcode == UNGUARDED:
        raise EngineError(
            "the engine local starts processes that import your script, so the script must call `fill` below "
            '`if __name__ == "__main__":`.'
        )
    deaths[culprit] += 1
    if worker.position < 0 and deaths[culprit] > DEATHS:
        raise EngineError(f"the processes die as they start (exit code {worker.process.exitcode}).")
    return _start(work, number)


def _serve(work: Work, pipe: Connection) -> None:
    """Runs in a worker process: fills parts, and sends the position of each picture before starting on it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C, the parent kills this process
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
