"""The engine for many machines: a Ray Data pipeline, read → fill → write. Ray handles placement and restarts."""

import logging
import os
import pickle
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from .filling import Filler, Job, Row
from .local import EngineError, default_workers
from .sources import SCALE_EXTRA, Raw
from .work import DEATHS, Advance, Done, Part, Work, refused

# Cores reserved per actor. It keeps one busy, but this way the actors of a dead machine fit on the remaining ones.
FILLING = 0.45
WAITING = 0.05  # cores reserved for reading or writing
ANSWER = 5  # seconds that a cluster has to answer

Batch = dict[str, Any]  # one row: a part at some stage, pickled so that Ray does not split it


class Attempts:
    """An actor that counts attempts. It outlives the filling actors, so it knows what killed them."""

    def __init__(self, most: int):
        self.most, self.begun = most, Counter[str]()

    def begin(self, what: str) -> bool:
        """Counts an attempt and returns whether it may be made."""
        self.begun[what] += 1
        return self.begun[what] <= self.most

    def end(self, what: str) -> None:
        del self.begun[what]


class FillPart:
    """The actor that holds the model and fills parts. Ray restarts it without limit, so it counts its own starts."""

    def __init__(self, job: Job, attempts: Any):
        import ray

        self.attempts, self.get = attempts, ray.get
        start = f"start of {ray.get_runtime_context().get_actor_id()}"
        if not self.get(attempts.begin.remote(start)):
            raise EngineError("the processes die as they start.")
        self.fill = Filler(job)
        attempts.end.remote(start)

    def __call__(self, batch: Batch) -> Batch:
        return _through(batch, lambda raws: [self.attempt(raw) for raw in raws])

    def attempt(self, raw: Raw) -> Row:
        may = self.get(self.attempts.begin.remote(raw.key))
        row = self.fill(raw if may else refused(raw))
        self.attempts.end.remote(raw.key)
        return row


def run(work: Work, parts: Iterable[Part], workers: int | None, address: str | None, advance: Advance) -> None:
    """Fills all parts on a Ray cluster.

    Args:
        workers: number of actors with the model; None: one per core of the cluster, or one per GPU.
        address: "host:port" or "auto" on a machine of the cluster, "ray://host:port" elsewhere; None: start a cluster
            on this machine for the run.
        advance: called with the result of each finished part.

    Raises:
        EngineError: if Ray is not installed, no cluster answers, or the run cannot continue.
    """
    ray = connect(address, workers or default_workers(work.job.device))
    begin = stream if address is None or not address.startswith("ray://") else through_client
    try:
        for done in begin(ray, work, list(parts), workers):
            advance(done)
    except ray.exceptions.RayError as error:
        raise EngineError(_cause(error)) from error
    finally:
        if address is None:
            ray.shutdown()


def connect(address: str | None, cores: int):
    """Returns the module `ray`, connected to a cluster; raises `EngineError`."""
    try:
        import ray
        import ray.data
    except ImportError as error:
        raise EngineError(f"the engine ray needs Ray: {SCALE_EXTRA}.") from error
    if ray.is_initialized():
        return ray
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        ray.init("local", num_cpus=cores, include_dashboard=False, **quiet)
        return ray
    try:
        if address != "auto":
            parts = urlsplit(address if "://" in address else f"//{address}")
            socket.create_connection((parts.hostname, parts.port or 10001), ANSWER).close()
        ray.init(address, **quiet)
    except (OSError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise EngineError(f"{address}: no Ray cluster answers there ({reason}).") from error
    return ray


def stream(ray, work: Work, parts: list[Part], workers: int | None) -> Iterator[Done]:
    """Runs the pipeline and yields the result of each part when it is finished."""
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.issue_detectors_config.high_memory_detector_config.detection_time_interval_s = -1  # it only warns
    logging.getLogger("ray.data").setLevel(logging.WARNING)
    on_gpus = work.job.device in ("auto", "cuda") and ray.cluster_resources().get("GPU", 0) > 0
    count = max(1, min(len(parts), workers or int(ray.cluster_resources().get("GPU" if on_gpus else "CPU", 1))))
    attempts = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(Attempts).remote(DEATHS)
    waiting = {"batch_size": 1, "num_cpus": WAITING, "compute": ray.data.TaskPoolStrategy(size=count)}
    rows = ray.data.from_items([{"part": pickle.dumps(part)} for part in parts], override_num_blocks=len(parts))
    rows = rows.map_batches(lambda batch: _through(batch, work.read), **waiting)
    rows = rows.map_batches(
        FillPart,
        fn_constructor_args=(work.job, attempts),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=count, max_tasks_in_flight_per_actor=2),
        num_cpus=FILLING,
        num_gpus=1 if on_gpus else None,
    )
    rows = rows.map_batches(lambda batch: _through(batch, work.write), **waiting)
    for row in rows.iter_rows():
        yield pickle.loads(row["part"])  # made by this run


class Driver:
    """An actor that runs the pipeline inside the cluster."""

    def __init__(self, work: Work, parts: list[Part], workers: int | None):
        import ray

        self.done = stream(ray, work, parts, workers)

    def next(self) -> Done | None:
        return next(self.done, None)


def through_client(ray, work: Work, parts: list[Part], workers: int | None) -> Iterator[Done]:
    """Like `stream`, through Ray's client. Ray Data supports it only in part, so only the results pass through it."""
    driver = ray.remote(num_cpus=0)(Driver).remote(work, parts, workers)
    while (done := ray.get(driver.next.remote())) is not None:
        yield done


def _through(batch: Batch, step: Callable) -> Batch:
    (part,) = batch["part"]
    return {"part": [pickle.dumps(step(pickle.loads(part)))]}


def _cause(error: BaseException) -> str:
    """Returns the message of the exception in a task, without Ray's traceback."""
    cause = getattr(error, "cause", None) or error.__cause__
    text = str(cause or "").strip() or str(error).strip() or type(error).__name__
    return text.splitlines()[-1].removeprefix(f"{EngineError.__module__}.{EngineError.__name__}: ")
