"""A training run: the loop that steps, monitors, saves and can be interrupted.

The same loop runs on one CPU or GPU or on several, on several machines if they share `--out`:

    python -m train gan ...
    accelerate launch --multi_gpu --num_processes 4 -m train gan ...      (on GPUs, or on CPUs if there are none)

Each process trains on its share of every batch (`--batch-size` is per process); only the main one writes.
"""

import argparse
import dataclasses
import logging
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from inpainter.models.base import WEIGHTS_NAME

from ..data.loading import Decoded, Share, load_images, prepare, split, step_generator
from ..data.streaming import Stream, is_stream
from . import watch
from .options import SETTINGS, make_accelerator
from .trainer import CHECKPOINT_NAME, Trainer, keep_freed_memory, load_checkpoint, save_checkpoint

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)

SNAPSHOTS_NAME = "snapshots"
CHECK_STEPS = 16  # between checks of the losses, which synchronise with the device


def train(
    arguments: argparse.Namespace, make_trainer: Callable[["Accelerator"], Trainer], more: tuple[str, ...]
) -> bool:
    """Trains from scratch or from the checkpoint up to `--images`, or until interrupted; returns whether it got there.

    Args:
        arguments: parsed options of `options.add_loop_arguments`, including all of `SETTINGS`.
        make_trainer: builds the trainer for an accelerator.
        more: names of further arguments, besides `SETTINGS`, that affect the course of training.

    Raises:
        ValueError: if it cannot start or continue; says why.
    """
    out: Path = arguments.out
    if out.exists() and not out.is_dir():
        raise ValueError(f"{out}: this is a file; expected a folder.")
    checkpoint = out / CHECKPOINT_NAME
    if checkpoint.exists() and not arguments.resume:
        raise ValueError(f"{checkpoint} already exists: add --resume to continue it, or choose another --out.")
    keep_freed_memory()
    accelerator = make_accelerator(arguments)
    trainer = make_trainer(accelerator)
    config = trainer.model.config
    data = open_data(arguments, config.image_size, accelerator)
    out.mkdir(parents=True, exist_ok=True)
    settings = {name: getattr(arguments, name) for name in (*SETTINGS, *more)}
    settings |= {"family": config.family, "processes": accelerator.num_processes, **data.about()}
    if checkpoint.exists():
        state = load_checkpoint(checkpoint, settings, accelerator.device)
        trainer.load_state_dict(state)
        if positions := state.get("positions"):
            data.go_to(positions[accelerator.process_index])
        if accelerator.is_main_process:
            logger.info("resumed at step %d", trainer.step)
    elif arguments.resume and accelerator.is_main_process:
        logger.info("%s: no checkpoint to resume; starting a new run", out)
    starts = accelerator.gather(torch.tensor([trainer.step], device=accelerator.device))
    if starts.min() != starts.max():
        raise ValueError(f"{out} must be a folder shared by all machines: they start at steps {starts.tolist()}.")
    if arguments.tracker:
        accelerator.init_trackers("inpainter", {n: _plain(value) for n, value in settings.items() if value is not None})
    with closing(data):
        finished = TrainingRun(trainer, arguments, settings, data).loop()
    accelerator.wait_for_everyone()  # for the main process to write
    accelerator.end_training()
    return finished


def open_data(arguments: argparse.Namespace, size: int, accelerator: "Accelerator") -> Decoded | Stream:
    """This process's share of the pictures of `--data`; raises ValueError when there are none."""
    share = Share(arguments.batch_size, arguments.seed, accelerator.process_index, accelerator.num_processes)
    if is_stream(arguments.data):
        return Stream(arguments.data, size, arguments.held_out, arguments.shuffle_buffer, share)
    with accelerator.local_main_process_first():  # one reads and caches, the others find it done
        return Decoded(*split(load_images(arguments.data, size), arguments.held_out), share)


@dataclass
class TrainingRun:
    """State of a run in progress that is not part of the checkpoint."""

    trainer: Trainer
    arguments: argparse.Namespace
    settings: dict
    data: Decoded | Stream
    total: dict[str, Tensor] = field(default_factory=dict)  # sums of what the steps returned, since the last save
    counts: Counter = field(default_factory=Counter)  # of the steps that returned it: a warm-up's return less
    mark: float = field(default_factory=time.monotonic)  # when the last save was done

    def __post_init__(self):
        self.out: Path = self.arguments.out
        self.accelerator = self.trainer.accelerator
        self.batch = self.arguments.batch_size * self.accelerator.num_processes  # of all processes
        self.mark_step = self.trainer.step
        self.records = watch.read_log(self.out / watch.LOG_NAME, self.trainer.step)

    def loop(self) -> bool:
        """Steps up to `--images` or a stop signal; saves every `--every` seconds, for snapshots, and at the end.

        Returns whether it reached `--images`.
        """
        trainer, main = self.trainer, self.accelerator.is_main_process
        steps = self.arguments.images // self.batch
        if main and 0 < steps <= trainer.step:
            logger.info(
                "%s is already trained on %d images; to continue, raise --images", self.out, trainer.step * self.batch
            )
        bar = tqdm(total=steps * self.batch, initial=trainer.step * self.batch, unit="img", disable=not main)
        stop = False
        with bar, logging_redirect_tqdm(), stopping_signals() as signals:
            while trainer.step < steps and not stop:
                self.train_step()
                bar.update(self.batch)
                due = main and time.monotonic() - self.mark > self.arguments.every
                stop, due = self._agree(bool(signals), due)
                keep = self._is_snapshot(trainer.step, steps)
                if keep or (due and not stop):
                    bar.set_postfix(self.save(keep), refresh=False)
            if stop and main:
                logger.info("stopping: saving step %d", trainer.step)
            if trainer.step > self.mark_step or not trainer.step:
                self.save()
        if stop and main:
            logger.info("stopped at step %d and saved; continue with --resume", trainer.step)
        return trainer.step >= steps

    def train_step(self) -> None:
        """One step on this process's share of the next batch."""
        step = self.trainer.step
        random = step_generator(self.arguments.seed, step, self.accelerator.process_index)
        real = prepare(self.data.batch(step), not self.arguments.no_flips, random, self.accelerator.device)
        for name, value in self.trainer.train_step(real, random).items():
            self.total[name] = self.total.get(name, 0) + value
            self.counts[name] += 1
        if self.trainer.step % CHECK_STEPS == 0:
            self._means()

    def save(self, keep: bool = False) -> dict[str, float]:
        """Writes the checkpoint and everything for people to look at; returns the means since the last save.

        All processes call it at the same step, and the main one writes. With `keep`, it also writes a snapshot.
        """
        trainer = self.trainer
        elapsed = time.monotonic() - self.mark
        trainer.seconds += elapsed
        means = self._means()  # before the checkpoint: broken weights must not replace it
        self.positions = self._positions()
        if self.accelerator.is_main_process:
            rate = (trainer.step - self.mark_step) * self.batch / max(elapsed, 1e-9)
            self._write({**means, "images_per_second": round(rate, 1)}, keep)
        self.total.clear()
        self.counts.clear()
        self.mark, self.mark_step = time.monotonic(), trainer.step
        return means

    def _write(self, measured: dict[str, float], keep: bool) -> None:
        """Writes snapshot, checkpoint, log, curves, trackers, samples and the model folder."""
        trainer = self.trainer
        model = trainer.published()
        pictures, more = trainer.look(model, self.data.images, self.data.held_out)
        record = {"step": trainer.step, "images": trainer.step * self.batch, "seconds": round(trainer.seconds)}
        record |= measured | more
        model.config = dataclasses.replace(model.config, training=self._summary(record))
        if keep:  # before the checkpoint: a run resumed from it would not write this snapshot again
            trainer.write(model, self.out / SNAPSHOTS_NAME / f"{record['images']:07d}", pictures)
        state = {**trainer.state_dict(), "settings": self.settings, "positions": self.positions}
        save_checkpoint(self.out / CHECKPOINT_NAME, state)
        self.records.append(record)
        watch.write_log(self.out / watch.LOG_NAME, self.records)
        watch.draw_curves(self.records, self.out / watch.CURVES_NAME)
        watch.log_new_warnings(self.records)
        self.accelerator.log(record, step=trainer.step)
        (self.out / "samples").mkdir(exist_ok=True)
        pictures.save(self.out / "samples" / f"{trainer.step:07d}.png")
        trainer.write(model, self.out / "model", pictures)

    def _is_snapshot(self, step: int, last: int) -> bool:
        """Returns whether to keep the model after `step`: the first past each `--keep-every` images, and the last."""
        every = self.arguments.keep_every
        return bool(every) and (step == last or step * self.batch // every > (step - 1) * self.batch // every)

    def _summary(self, record: dict) -> dict:
        """Builds the training record for the model's configuration and card."""
        summary = {
            "data": Path(self.arguments.data).name,
            "images_seen": record["images"],
            "steps": record["step"],
            "hours": round(record["seconds"] / 3600, 2),
            "flips": not self.arguments.no_flips,
        }
        if start := self.settings.get("start"):
            summary["start"] = Path(start).name  # like the data: the model may be published, local paths may not
        shape = {"no_flips", *(field.name for field in dataclasses.fields(self.trainer.model.config))}  # said elsewhere
        known = {*shape, *summary}
        settings = {name: value for name, value in self.settings.items() if name not in known and value is not None}
        return summary | settings | self.trainer.summary()

    def _means(self) -> dict[str, float]:
        """Returns the means of the steps' results since the last save, over all processes.

        Raises:
            ValueError: if one is NaN or infinite.
        """
        if not self.total:
            return {}
        sums = self.accelerator.reduce(torch.stack(list(self.total.values())), reduction="mean").tolist()
        means = {name: round(value / self.counts[name], 4) for name, value in zip(self.total, sums, strict=True)}
        if not all(map(_finite, sums)):
            raise ValueError(
                f"the loss became NaN or infinite by step {self.trainer.step}; the last checkpoint is from before "
                "that. Try a lower --learning-rate."
            )
        return means

    def _positions(self) -> list[list[int]]:
        """Where in their data all processes are."""
        position = self.data.position()
        own = torch.tensor([position], device=self.accelerator.device)
        return self.accelerator.gather(own).tolist() if position else []

    def _agree(self, *flags: bool) -> tuple[bool, ...]:
        """Returns each flag as raised if any process raises it; processes that disagreed would deadlock."""
        if self.accelerator.num_processes == 1:
            return flags
        raised = torch.tensor(flags, dtype=torch.float32, device=self.accelerator.device)
        return tuple(self.accelerator.reduce(raised, reduction="sum").bool().tolist())


def snapshots(run: Path) -> list[Path]:
    """Lists a run's snapshot folders, oldest first; raises ValueError if there are none."""
    written = (path.parent for path in (run / SNAPSHOTS_NAME).glob(f"*/{WEIGHTS_NAME}"))
    folders = sorted((folder for folder in written if folder.name.isdecimal()), key=lambda folder: int(folder.name))
    if not folders:
        raise ValueError(f"{run / SNAPSHOTS_NAME} contains no snapshots; train with --keep-every IMAGES to save some.")
    return folders


@contextmanager
def stopping_signals() -> Iterator[list[int]]:
    """Collects SIGTERM and Ctrl-C in a list instead of acting on them; a second signal has its usual effect."""
    received: list[int] = []
    usual = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def restore() -> None:
        for number, handler in usual.items():
            signal.signal(number, handler)

    def note(number: int, frame: object) -> None:
        received.append(number)
        restore()

    try:
        for number in usual:
            signal.signal(number, note)
        yield received
    finally:
        restore()


def _finite(value: float) -> bool:
    return abs(value) < float("inf")  # False for NaN as well


def _plain(value: object) -> str | int | float:
    """Converts a setting to a type that trackers accept."""
    return " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
