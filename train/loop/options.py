"""Command-line options shared by all kinds of training, and the accelerator they select."""

import argparse
import logging
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from inpainter.devices import device_from_name, quick_precision
from inpainter.models import DCGANConfig

from ..data.augment import CHANGES

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)

# Options that affect the course of training; a resumed run must repeat them. Its length is not among them.
SETTINGS = ("seed", "batch_size", "channels", "learning_rate", "no_flips", "precision")
GENERATOR_SETTINGS = ("latent_size", "beta1", "ema")


def number(kind: type, least: float, most: float = sys.float_info.max) -> Callable[[str], float]:
    """Returns an argparse type: a whole number (`int`) or any number (`float`) from `least` to `most`."""

    def parse(text: str) -> float:
        try:
            value = float(text)
            if least <= value <= most and kind(value) == value:
                return kind(value)
        except ValueError:
            pass
        what = "a whole number" if kind is int else "a number"
        bounds = f"of at least {least}" if most == sys.float_info.max else f"from {least} to {most}"
        raise argparse.ArgumentTypeError(f"must be {what} {bounds}, got {text!r}.")

    return parse


def add_held_out(parser: argparse.ArgumentParser) -> None:
    """Adds the option of commands that measure models on the pictures held out of training."""
    parser.add_argument(
        "--held-out",
        type=number(int, 2),
        default=500,
        help="number of pictures held out of training, the last ones (default %(default)s, as in training)",
    )


def add_augment(parser: argparse.ArgumentParser) -> None:
    """Adds the option of recipes that have a discriminator."""
    parser.add_argument(
        "--augment",
        nargs="*",
        choices=CHANGES,
        default=[],
        help="augmentations of D's images; if there are few pictures, use: colour translation (default: none)",
    )


def add_loop_arguments(parser: argparse.ArgumentParser, least_batch: int = 1, least_held_out: int = 0) -> None:
    """Adds the options of `run.train`; each recipe adds those of its networks, `--channels` among them."""
    parser.add_argument(
        "--data",
        required=True,
        help="folder or zip of images, a Hugging Face dataset, or a release as downloaded; or shards to stream: a URL "
        "or pattern of .tar or .parquet, hf://datasets/user/name",
    )
    parser.add_argument("--out", required=True, type=Path, help="folder for checkpoint, log, samples and model")
    parser.add_argument(
        "--images",
        type=number(int, 1),
        default=600_000,
        help="images to train on in total (default %(default)s)",
    )
    parser.add_argument("--resume", action="store_true", help="continue from the checkpoint in --out, if there is one")
    parser.add_argument("--no-flips", action="store_true", help="no horizontal flips (digits, text)")
    parser.add_argument(
        "--every", type=number(float, 0), default=240, help="seconds between checkpoints (default %(default)s)"
    )
    parser.add_argument("--seed", type=number(int, 0), default=0)
    parser.add_argument("--device", choices=("auto", "cpu"), default="auto", help="auto: a GPU if there is one")
    parser.add_argument(
        "--keep-every",
        type=number(int, 1),
        metavar="IMAGES",
        help="also save the model in snapshots/ every IMAGES images and at the end, for `select`",
    )
    parser.add_argument(
        "--held-out",
        type=number(int, least_held_out),
        default=500,
        help="last images of the data, first ones of a stream, kept for validation (default %(default)s)",
    )
    parser.add_argument(
        "--shuffle-buffer",
        type=number(int, 1),
        default=4096,
        metavar="IMAGES",
        help="of a stream that are shuffled among each other; twice as many are in memory (default %(default)s)",
    )
    parser.add_argument(
        "--batch-size", type=number(int, least_batch), default=64, help="per process (default %(default)s)"
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "bf16", "no"),
        default="auto",
        help="mixed precision (default: bf16 if the device supports it natively)",
    )
    parser.add_argument(
        "--tracker", metavar="NAME", help="also log to tensorboard, wandb or another tracker that accelerate supports"
    )


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options shared by the training of all generators."""
    add_loop_arguments(parser)
    parser.add_argument("--learning-rate", type=number(float, 0), default=2e-4, help="for Adam (default %(default)s)")
    parser.add_argument("--beta1", type=number(float, 0, 0.999), default=0.5, help="for Adam (default %(default)s)")
    parser.add_argument(
        "--ema",
        type=number(float, 0, 1),
        default=0.999,
        help="decay per step of G's moving average (default %(default)s)",
    )
    parser.add_argument(
        "--channels",
        type=number(int, 1),
        nargs="+",
        default=[512, 256, 128, 64],
        metavar="WIDTH",
        help="channels of G from 4x4 pixels up, each doubling the size (default 512 256 128 64: 64x64 pixels)",
    )
    parser.add_argument("--latent-size", type=number(int, 1), default=100, help="of a code (default %(default)s)")


def shape(arguments: argparse.Namespace, config_class: type[DCGANConfig], **more: str) -> DCGANConfig:
    """Builds the configuration of a model from the options; raises `ModelError` if it is not valid."""
    channels = tuple(arguments.channels)
    size = 4 * 2 ** len(channels)
    return config_class(image_size=size, latent_size=arguments.latent_size, channels=channels, **more)


def recipe(arguments: argparse.Namespace) -> dict[str, float]:
    """Returns the arguments shared by all trainers, by name."""
    return {name: getattr(arguments, name) for name in ("learning_rate", "beta1", "ema", "seed")}


def mixed_precision(device: torch.device) -> str:
    """Returns accelerate's name for the fastest precision of a device: "bf16" if it has the instructions, else "no"."""
    return "bf16" if quick_precision(device) == "bfloat16" else "no"


def make_accelerator(arguments: argparse.Namespace) -> "Accelerator":
    """Sets up the device, the precision and the other processes, if any; replaces an `arguments.precision` of "auto".

    Raises:
        ValueError: if a package, the device or the tracker is missing.
    """
    try:
        import accelerate
        import matplotlib  # noqa: F401  fail now, not when the curves are drawn
        from accelerate.tracking import LOGGER_TYPE_TO_CLASS, get_available_trackers
    except ImportError as error:
        raise ValueError(f"training needs a missing package ({error}): pip install -e '.[train]'.") from error
    known, available = sorted(LOGGER_TYPE_TO_CLASS), [str(name) for name in get_available_trackers()]
    if arguments.tracker and arguments.tracker not in known:
        raise ValueError(f"--tracker must be one of {', '.join(known)}, got {arguments.tracker!r}.")
    if arguments.tracker and arguments.tracker not in available:
        raise ValueError(f"--tracker {arguments.tracker}: its package is not installed.")
    device = device_from_name(arguments.device)
    if arguments.precision == "auto":
        arguments.precision = mixed_precision(device)
    # Functions of torch.distributed.nn have the group of processes as a default argument. Imported only once there is
    # one, by an optimiser, they would keep it beyond the training, and its threads could abort the exiting process.
    if torch.distributed.is_available():
        from torch.distributed import nn  # noqa: F401
    accelerator = accelerate.Accelerator(
        cpu=device.type == "cpu",
        mixed_precision=arguments.precision,
        log_with=arguments.tracker,
        project_dir=arguments.out,
    )
    if accelerator.num_processes == 1 and "MASTER_ADDR" in os.environ:
        # On CPUs, accelerate's launcher needs MPI to start several processes, and fails silently without it.
        logger.warning("a launcher announced several processes, but this is the only one; try --multi_gpu")
    if not accelerator.is_main_process:
        logging.getLogger("train").setLevel(logging.ERROR)  # only the main process logs
    return accelerator
