"""The options of an evaluation: definition, consistency checks, and the runs they need."""

import argparse
from collections import Counter
from pathlib import Path

from inpainter import masks
from inpainter.blending import BLENDS
from inpainter.search import LEARNING_RATE, PRIOR_WEIGHT, STEPS
from inpainter.settings import PRECISIONS

from .methods import METHODS, OF_STARTS, OTHER_MODELS, SEARCHES, labels, model_of, runs_of, with_origins

CPU_IMAGES = 100


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", nargs="+", default=[], help="model folder or Hub id, one per data set")
    parser.add_argument("--data", required=True, nargs="+", help="intact test pictures: folders or zips")
    parser.add_argument(
        "--methods", nargs="+", choices=METHODS, default=["ours"], metavar="METHOD", help=f"of {', '.join(METHODS)}"
    )
    for family in OTHER_MODELS:
        about = f"model for the methods that start with {family}, one per data set"
        parser.add_argument(f"--{family}", nargs="+", default=[], help=about)
    parser.add_argument(
        "--context-encoder", nargs="+", default=[], help="model for the method context_encoder, one per data set"
    )
    parser.add_argument("--bank", nargs="+", default=[], help="training pictures for the method nearest")
    parser.add_argument("--size", type=int, default=64, help="of the pictures if no model sets it (default 64)")
    parser.add_argument("--images", type=int, help=f"number of pictures (default: {CPU_IMAGES} on a CPU, all on a GPU)")
    parser.add_argument("--last", action="store_true", help="take the last pictures, not the first (validation)")
    parser.add_argument("--masks", nargs="+", choices=masks.NAMES, default=list(masks.NAMES), metavar="MASK")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--prior-weight", type=float, default=PRIOR_WEIGHT)
    parser.add_argument("--learning-rate", type=float, default=LEARNING_RATE)
    parser.add_argument("--blend", choices=("auto", *BLENDS), default="auto")
    parser.add_argument("--seed", type=int, default=0, help="of the starting codes")
    parser.add_argument(
        "--starts",
        nargs="+",
        type=int,
        default=[4],
        help="starting codes for the methods with several starts; several numbers are each measured",
    )
    parser.add_argument("--batch-size", type=int, default=50)
    parser.add_argument(
        "--precision",
        choices=PRECISIONS,
        default="auto",
        help="of the networks (default auto: float32 for the paper's search, else bfloat16 if natively supported)",
    )
    parser.add_argument("--device", default="auto")
    parser.add_argument("--out", type=Path, help="folder for the tables, per-image CSV, figures and finished cells")
    parser.add_argument("--show", nargs="+", default=[], metavar="METHOD", help="methods in the figures (default all)")
    parser.add_argument(
        "--looks", action="store_true", help="also measure how the fillings look, against as many other pictures"
    )


def check(arguments: argparse.Namespace) -> None:
    """Raises `ValueError` if the options are inconsistent."""
    needed = needed_runs(arguments)
    used = {model_of(run) for run in needed if run in SEARCHES}
    wants = {option: option in used for option in ("model", *OTHER_MODELS)} | {
        "context_encoder": "context_encoder" in needed,
        "bank": "nearest" in needed,
    }
    for option, wanted in wants.items():
        given = len(getattr(arguments, option))
        if given not in ((len(arguments.data),) if wanted else (0, len(arguments.data))):
            name = option.replace("_", "-")
            raise ValueError(f"--{name}: give one per data set, that is {len(arguments.data)}; got {given}.")
    several = OF_STARTS.keys() & set(arguments.methods) and len(arguments.starts) == 1  # must be at least 2
    for name, value, least in (
        ("batch-size", arguments.batch_size, 1),
        ("starts", min(arguments.starts), 2 if several else 1),
        ("images", arguments.images, 1),
    ):
        if value is not None and value < least:
            raise ValueError(f"--{name} must be at least {least}, got {value}.")
    rows = labels(arguments.methods, arguments.starts)
    if unknown := set(arguments.show) - rows.keys():
        raise ValueError(f"--show: {min(unknown)} is not among the methods measured: {', '.join(rows)}.")


def needed_runs(arguments: argparse.Namespace) -> list[str]:
    """Returns all runs that the methods need, each after its origin."""
    rows = labels(arguments.methods, arguments.starts).values()
    return with_origins(run for method, starts in rows for run in runs_of(method, starts))


def set_names(paths: list[str]) -> list[str]:
    """Returns the names of the data sets in tables: the file name, or the whole path if that is ambiguous."""
    names = [Path(path).name.removesuffix(".zip") for path in paths]
    return [
        name if Counter(names)[name] == 1 else path.strip("/").replace("/", "-")
        for name, path in zip(names, paths, strict=True)
    ]
