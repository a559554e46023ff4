"""The command line of many pictures: `python -m inpainter batch photos/ -o filled/ --mask masks/`."""

import argparse
import sys

from tqdm import tqdm

from .. import masks
from ..settings import MODES, PRECISIONS
from .local import EngineError
from .outputs import KINDS
from .pictures import FORMATS
from .run import ENGINES, Summary, fill
from .work import PART


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="python -m inpainter batch",
        description="Fills many pictures, on one machine or many. Run again, it goes on where it stopped.",
        argument_default=argparse.SUPPRESS,
    )
    p.add_argument("input", help="folder, glob, zip or Parquet; local, or a URL such as s3://bucket/photos")
    p.add_argument("-o", "--output", required=True, help="folder or URL")
    p.add_argument(
        "--mask",
        required=True,
        help=f"what is missing: {', '.join(masks.NAMES)}; a mask file for all; a folder of masks with the pictures' "
        "names; or column:NAME of Parquet",
    )
    p.add_argument("--mask-seed", type=int, help="of pattern and random masks (default 0)")
    p.add_argument("--model", help="bundled model, folder or Hub id (default dcgan-celeba)")
    p.add_argument("--revision", help="branch, tag or commit of a Hub model")
    p.add_argument("--engine", choices=ENGINES, help="local: processes on this machine; ray (default local)")
    p.add_argument("--address", help="of a Ray cluster: ray://host:10001, host:6379 or auto (default: start one here)")
    p.add_argument("--workers", type=int, help="models at work (default one a core, or a GPU)")
    p.add_argument("--find-faces", action="store_true", help="frame the largest face of each picture")
    p.add_argument("--format", choices=FORMATS, help="of the pictures written (default lossless)")
    p.add_argument("--write", dest="kind", choices=KINDS, help="picture files or Parquet (default: as the input)")
    p.add_argument("--image-column", help="of Parquet (default image)")
    p.add_argument("--key-column", dest="key_columns", action="append", help="of Parquet; may be given several times")
    p.add_argument("--part-size", type=int, help=f"pictures that are written together (default {PART})")
    p.add_argument("--device", help="auto, cpu, cuda, ... (default auto)")
    p.add_argument(
        "--seed",
        type=_seed,
        metavar="N|key",
        help="of every picture, or `key`: each has its own, from its key (default 0: start from what the model or its "
        "encoder proposes for the picture, where it can)",
    )
    p.add_argument("--mode", choices=MODES, help="(default fast)")
    p.add_argument("--steps", type=int, help="search steps")
    p.add_argument("--prior-weight", type=float, help="lambda; 0 = off")
    p.add_argument("--blend", choices=("poisson", "overlay"), help="(default poisson)")
    p.add_argument("--starts", type=int, help="codes to start from; the best is kept")
    p.add_argument("--truncation", type=float, help="share of the box of codes that is searched")
    p.add_argument("--refine", type=int, metavar="N", help="steps that then fit G to each picture")
    p.add_argument("--precision", choices=PRECISIONS, help="of the search (default auto)")
    p.add_argument("--both-ways", action="store_true", help="average with the result for the mirrored picture")
    p.add_argument("--quiet", action="store_true", help="no progress bar")
    return p


def main(argv: list[str] | None = None) -> int:
    """Returns 0; 1 when some pictures failed; 2 when the run could not begin or go on."""
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
            return _complain("stopped; what is finished is kept, and the same command goes on from there")
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
