"""The command line: `python -m inpainter photo.png --mask center -o filled.png`."""

import argparse
import io
import json
import os
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from . import Inpainter, Progress, Result, Settings, files, masks
from .images import fit, fit_note
from .reading import read_hole, read_image
from .settings import CHOICES, MODES, PRECISIONS, usual_steps

GROUP = 8  # pictures searched together, and written before the next ones are read
INPUT_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}  # taken from a folder
# Pillow's save options per output format; all but JPEG keep the known pixels bit for bit.
OUTPUT_OPTIONS = {
    ".png": {},
    ".bmp": {},
    ".tif": {},
    ".tiff": {},
    ".webp": {"lossless": True},
    ".jpg": {"quality": 95, "subsampling": 0},
    ".jpeg": {"quality": 95, "subsampling": 0},
}


HoleFinder = Callable[[int], NDArray[np.bool_]]


@dataclass
class Job:
    """One picture to fill; `read` adds the picture and hole as the model sees them."""

    source: Path
    target: Path
    picture: NDArray[np.uint8] | None = None  # (size, size, 3)
    hole: NDArray[np.bool_] | None = None  # (size, size)
    note: str = ""


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m inpainter",
        description="Fill the hole in a picture by searching a generative model's latent space.",
    )
    p.add_argument("inputs", nargs="+", type=Path, metavar="PICTURE", help="picture files, or folders of them")
    p.add_argument(
        "--mask",
        required=True,
        help=f"hole to fill: {', '.join(masks.NAMES)}, or a mask image, in which pixels of 128 or more are missing",
    )
    p.add_argument("--model", default="dcgan-celeba", help="bundled model, folder or Hub id (default %(default)s)")
    p.add_argument("-o", "--output", required=True, type=Path, help="output file, or a folder for several pictures")
    p.add_argument("--overwrite", action="store_true", help="replace existing output files")
    default = Settings()
    p.add_argument(
        "--mode", choices=MODES, default=default.mode, help="paper: the method as published (default %(default)s)"
    )
    usual = ", ".join(f"{mode}: {steps}" for mode, steps in MODES.items())
    p.add_argument("--steps", type=int, help=f"search steps (default {usual}; fewer for conditional models)")
    p.add_argument(
        "--prior-weight",
        type=float,
        default=default.prior_weight,
        help="weight lambda of the prior loss; 0 turns it off (default %(default)s)",
    )
    p.add_argument("--blend", choices=CHOICES["blend"], default=default.blend, help="(default %(default)s)")
    p.add_argument("--seed", type=int, default=default.seed, help="seed of the starting code (default %(default)s)")
    p.add_argument(
        "--starts",
        type=int,
        default=default.starts,
        help="starting codes per picture; the best result is kept (default %(default)s)",
    )
    p.add_argument(
        "--truncation",
        type=float,
        default=default.truncation,
        help="fraction of the latent box to search (default %(default)s, all of it)",
    )
    p.add_argument(
        "--refine",
        type=int,
        metavar="N",
        help="refinement steps after the search (default: depends on the model; 0 in paper mode)",
    )
    p.add_argument(
        "--both-ways", action="store_true", help="average with the result for the mirrored picture; twice as slow"
    )
    p.add_argument("--precision", choices=PRECISIONS, default=default.precision, help="(default %(default)s)")
    p.add_argument(
        "--batch-size", type=int, default=default.batch_size, help="searches run at once (default %(default)s)"
    )
    p.add_argument("--mask-seed", type=int, default=0, help="seed of pattern and random masks (default %(default)s)")
    p.add_argument("--device", default="auto", help="auto, cpu, cuda, ... (default %(default)s)")
    p.add_argument("--json", action="store_true", help="print losses and notes as JSON, one object per picture")
    p.add_argument("--quiet", action="store_true", help="no progress bar")
    return p


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns 0, or 1 if any picture could not be filled."""
    argv = sys.argv[1:] if argv is None else argv
    if argv[:1] == ["batch"]:
        from .batch.__main__ import main as batch

        return batch(argv[1:])
    arguments = parser().parse_args(argv)
    try:
        settings = settings_of(arguments)
        jobs = plan(arguments.inputs, arguments.output, arguments.overwrite)
        find_hole = hole_finder(arguments.mask, arguments.mask_seed)
        model = Inpainter.from_pretrained(arguments.model, device=arguments.device)
        return run(model, jobs, find_hole, settings, arguments)
    except torch.OutOfMemoryError:
        return complain("out of device memory; lower --batch-size or --starts")
    except (ValueError, TypeError, OSError) as error:
        return complain(error)
    except KeyboardInterrupt:
        return complain("stopped; pictures already written are complete")


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Builds `Settings` from the parsed options; raises ValueError if one is out of range."""
    names = [field.name for field in fields(Settings) if field.name in arguments]
    return Settings(**{name: getattr(arguments, name) for name in names})


def run(
    model: Inpainter, jobs: list[Job], find_hole: HoleFinder, settings: Settings, arguments: argparse.Namespace
) -> int:
    """Fills all pictures group by group; reports a picture that fails and carries on."""
    failures = 0
    steps = usual_steps(settings.mode, model.model) if settings.steps is None else settings.steps
    work = steps * (1 + settings.both_ways)  # per picture
    with tqdm(total=len(jobs) * work, unit="step", disable=arguments.quiet or None) as bar:
        for first in range(0, len(jobs), GROUP):
            ready = []
            for job in jobs[first : first + GROUP]:
                try:
                    ready.append(read(job, find_hole, model.size))
                except ValueError as error:
                    failures += complain(error)
                    bar.total -= work
            if ready:
                failures += fill(model, ready, settings, arguments, bar)
    return 1 if failures else 0


def fill(model: Inpainter, jobs: list[Job], settings: Settings, arguments: argparse.Namespace, bar: tqdm) -> int:
    """Fills one group and writes the results; returns how many could not be written."""

    def advance(step: int, progress: Progress) -> None:
        bar.update(len(progress.pictures) / settings.starts if step else 0)

    pictures, holes = np.stack([job.picture for job in jobs]), np.stack([job.hole for job in jobs])
    result = model(pictures, holes, settings, advance)
    failures = 0
    for row, job in enumerate(jobs):
        try:
            write(result.images[row], job.target, arguments.overwrite)
        except OSError as error:
            failures += complain(f"{job.target}: cannot be written ({error.strerror or error}).")
            continue
        report(job, result, row, arguments)
    return failures


def plan(inputs: list[Path], output: Path, overwrite: bool) -> list[Job]:
    """Pairs every input picture with its output file; raises ValueError if an output cannot be written."""
    sources = [file for path in inputs for file in (pictures_in(path) if path.is_dir() else [path])]
    if len(sources) == 1 and output.suffix and not output.is_dir():
        targets, folder = [output], output.parent
        if not folder.is_dir():
            raise ValueError(f"{output}: the folder {folder} does not exist.")
    else:
        if output.suffix.lower() in OUTPUT_OPTIONS and not output.is_dir():
            raise ValueError(f"{output}: the output must be a folder, because there are {len(sources)} pictures.")
        targets, folder = [output / f"{source.stem}.png" for source in sources], output
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(f"{folder}: cannot create this folder ({error.strerror}).") from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"{folder}: cannot write to this folder.")
    for target in targets:
        if target.suffix.lower() not in OUTPUT_OPTIONS:
            raise ValueError(f"{target}: cannot write this format; use one of {', '.join(OUTPUT_OPTIONS)}.")
        if targets.count(target) > 1:
            raise ValueError(f"{target}: two pictures would be written to this file; use separate output folders.")
        if target.exists() and not overwrite:
            raise ValueError(f"{target}: already exists; add --overwrite to replace it.")
    return [Job(source, target) for source, target in zip(sources, targets, strict=True)]


def pictures_in(folder: Path) -> list[Path]:
    """Lists a folder's picture files, except hidden ones, sorted by name; raises ValueError if there are none."""
    shown = (file for file in folder.iterdir() if not file.name.startswith("."))
    found = sorted(file for file in shown if file.suffix.lower() in INPUT_SUFFIXES)
    if not found:
        raise ValueError(f"{folder}: there are no pictures in this folder.")
    return found


def hole_finder(mask: str, seed: int) -> HoleFinder:
    """Returns a function from model size to hole; `mask` names one of the paper's masks or a mask file."""
    if mask in masks.NAMES:
        return lambda size: masks.named(mask, size, seed)
    if not Path(mask).exists():
        raise ValueError(f"--mask {mask}: must be one of {', '.join(masks.NAMES)}, or a mask file.")
    hole = read_hole(mask)
    return lambda size: hole


def read(job: Job, find_hole: HoleFinder, size: int) -> Job:
    """Reads a job's picture and fits it and its hole to the model; raises ValueError if there is nothing to do."""
    picture = np.asarray(read_image(job.source))
    try:
        job.picture, job.hole = fit(picture, find_hole(size), size)
    except ValueError as error:
        raise ValueError(f"{job.source}: {error}") from error
    if not job.hole.any():
        raise ValueError(f"{job.source}: nothing to fill; the mask marks no pixel of this picture.")
    if job.hole.all():
        raise ValueError(f"{job.source}: nothing to fill it from; the mask covers the whole picture.")
    job.note = fit_note(picture, size)
    return job


def write(image: NDArray[np.uint8], target: Path, overwrite: bool) -> None:
    """Writes an image atomically, in the format of the target's suffix."""
    suffix = target.suffix.lower()
    data = io.BytesIO()
    Image.fromarray(image).save(data, Image.registered_extensions()[suffix], **OUTPUT_OPTIONS[suffix])
    files.write_bytes(target, data.getbuffer(), overwrite=overwrite)


def report(job: Job, result: Result, row: int, arguments: argparse.Namespace) -> None:
    """Prints the outcome for one picture, a row of the result, as a line of text or JSON."""
    context_loss, prior_loss = float(result.context_loss[row]), float(result.prior_loss[row])
    if arguments.json:
        record = {
            "input": str(job.source),
            "output": str(job.target),
            "context_loss": context_loss,
            "prior_loss": prior_loss,
            **asdict(result.settings),
            "prior_weight": result.settings.prior_weight[row],
            "seed": result.settings.seed[row],
            "refined": bool(result.refined[row]),
            "note": job.note,
        }
        print(json.dumps(record))
    else:
        text = f"{job.source} -> {job.target}" + (f" ({job.note})" if job.note else "")
        print(text.encode(errors="backslashreplace").decode())  # a name may be in another encoding


def complain(problem: object) -> int:
    """Prints an error to standard error; returns 1, as an exit status or a failure count."""
    tqdm.write(f"error: {problem}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
