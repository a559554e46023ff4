"""The command line: `python -m inpainter.hub push FOLDER user/name`, pull, card, onnx, push-space."""

import argparse
import logging
import sys
from pathlib import Path

from ..models import ModelError
from . import cards, export, publish, spaces

EXAMPLES_HELP = "also publish examples/: test pictures from data sets that may not be redistributed"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m inpainter.hub", description="Manage models on the Hugging Face Hub.")
    commands = p.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("push", help="publish a model folder")
    command.add_argument("folder", type=Path)
    command.add_argument("repo_id", metavar="user/name")
    command.add_argument("--private", action="store_true", help="create a new repository as private")
    command.add_argument("--revision", help="branch to publish to, created if missing (default main)")
    command.add_argument("--create-pr", action="store_true", help="open a pull request instead")
    command.add_argument("--with-examples", action="store_true", help=EXAMPLES_HELP)
    command.set_defaults(
        run=lambda a: publish.push(
            a.folder,
            a.repo_id,
            private=a.private,
            revision=a.revision,
            create_pr=a.create_pr,
            with_examples=a.with_examples,
        )
    )

    command = commands.add_parser("pull", help="copy a published model into a folder")
    command.add_argument("repo_id", metavar="user/name")
    command.add_argument("folder", type=Path)
    command.add_argument("--revision", help="branch, tag or commit (default main)")
    command.set_defaults(run=lambda a: publish.pull(a.repo_id, a.folder, revision=a.revision))

    command = commands.add_parser("card", help="write a model folder's card from its training record")
    command.add_argument("folder", type=Path)
    command.add_argument("--repo", metavar="user/name", help="Hub id used in the card's code examples")
    command.add_argument("--license", help="licence of the weights, such as cc-by-4.0 (default: the data's terms)")
    command.set_defaults(run=lambda a: cards.write_card(a.folder, a.repo, a.license))

    command = commands.add_parser("onnx", help="export the generator as an ONNX file next to the weights")
    command.add_argument("folder", type=Path)
    command.set_defaults(run=lambda a: export.export_onnx(a.folder))

    command = commands.add_parser("push-space", help="publish the page and its models as a Gradio Space")
    command.add_argument("repo_id", metavar="user/name")
    command.add_argument("--private", action="store_true", help="create a new Space as private")
    command.add_argument("--with-examples", action="store_true", help=EXAMPLES_HELP)
    command.add_argument("--project", type=Path, default=spaces.PROJECT, help="folder with app.py (default: this one)")
    command.set_defaults(
        run=lambda a: spaces.push_space(a.repo_id, private=a.private, with_examples=a.with_examples, project=a.project)
    )
    return p


def main(argv: list[str] | None = None) -> int:
    """Runs the command line; returns 0, or 1 with one sentence on standard error."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    try:
        print(arguments.run(arguments))
    except (ModelError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; run it again to finish.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
