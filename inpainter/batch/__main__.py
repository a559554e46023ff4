"""The command line for many pictures: `python -m inpainter batch photos/ -o filled/ --mask masks/`."""

import argparse
import sys

from tqdm import tqdm

from .. import masks
from ..blending import BLENDS
from ..settings import MODES, PRECISIONS
from .local import EngineError
from .outputs import KINDS
from .pictures import FORMATS
from .run import ENGINES, Summary, fill
from .work import PART


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m inpainter batch",
        description="Fills many pictures, on one machine or many. Run the same command again to resume.",
        argument_default=argparse.SUPPRESS,
    )
    p.add_argument("input", help="folder, glob, zip or Parquet; local, or a URL such as s3://bucket/photos")
    p.add_argument("-o", "--output", required=True, help="folder or URL")
    p.add_argument(
        "--mask",
        required=True,
        help=f"{', '.join(masks.NAMES)}; a mask file for all pictures; a folder of masks named like the pictures; "
        "or column:NAME of Parquet",
    )
    p.add_argument("--mask-seed", type=int, help="seed of pattern and random masks (default 0)")
    p.add_argument("--model", help="bundled model, folder or Hub id (default dcgan-celeba)")
    p.add_argument("--revision", help="branch, tag or commit of a Hub model")
    p.add_argument("--engine", choices=ENGINES, help="local: processes on this machine; ray (default local)")
    p.add_argument("--address", help="Ray cluster: ray://host:10001, host:6379 or auto (default: start one here)")
    p.add_argument("--workers", type=int, help="copies of the model (default one per core, or per GPU)")
    p.add_argument("--find-faces", action="store_true", help="frame the largest face of each picture")
    p.add_argument("--format", choices=FORMATS, help="format of the filled pictures (default lossless)")
    p.add_argument("--write", dest="kind", choices=KINDS, help="picture files or Parquet (default: like the input)")
    p.add_argument("--image-column", help="Parquet column with the pictures (default image)")
    p.add_argument("--key-column", dest="key_columns", action="append", help="Parquet column of the key; repeatable")
    p.add_argument("--part-size", type=int, help=f"pictures written together (default {PART})")
    p.add_argument("--device", help="auto, cpu, cuda, ... (default auto)")
    p.add_argument(
        "--seed",
        type=_seed,
        metavar="N|key",
        help="seed of every picture, or `key` to derive each picture's from its key (default 0: start from the "
        "proposal of the model or its encoder, if there is one)",
    )
    p.add_argument("--mode", choices=MODES, help="(default fast)")
    p.add_argument("--steps", type=int, help="search steps")
    p.add_argument("--prior-weight", type=float, help="lambda; 0 = off")
    p.add_argument("--blend", choices=("auto", *BLENDS), help="(default auto)")
    p.add_argument("--starts", type=int, help="starting codes per picture; the best result is kept")
    p.add_argument("--truncation", type=float, help="fraction of the latent box to search")
    p.add_argument("--refine", type=int, metavar="N", help="refinement steps after the search")
    p.add_argument("--precision", choices=PRECISIONS, help="precision of the search (default auto)")
    p.add_argument("--both-ways", action="store_true", help="average with the result for the mirrored picture")
    p.add_argument("--quiet", action="store_true", help="no progress bar")
    return p


def main(argv: list[str] | None = None) -> int:
    """Returns 0; 1 if some pictures failed; 2 if the run could not start or continue."""
    arguments = vars(parser().parse_args(argv))
    quiet = arguments.pop("quiet", False)
    with tqdm(unit="picture", disable=quiet or None, smoothing=0.05) as bar:

        def show(summary: Summary) -> None:
            bar.total = summary.total - summary.skipped
            bar.update(summary.filled + summary.failed - bar.n)

        try:
            summary = fill(**arguments, progress=show)
        except (ValueError, TypeError, OSError, EngineError) as error:
            return _complain(error)
        except KeyboardInterrupt:
            return _complain("stopped; finished pictures are kept, and the same command resumes")
    for key, why in summary.errors:
        print(f"failed: {key}: {why}", file=sys.stderr)
    if summary.failed > len(summary.errors):
        print(f"... and {summary.failed - len(summary.errors):,} more, all in the output's rows", file=sys.stderr)
    print(summary)
    return 1 if summary.failed else 0


def _seed(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _complain(problem: object) -> int:
    tqdm.write(f"error: {problem}", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
