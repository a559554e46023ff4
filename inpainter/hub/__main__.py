"""The command line: `python -m inpainter.hub push FOLDER user/name`, pull, list, card, onnx, push-space."""

import argparse
import logging
import sys
from pathlib import Path

from huggingface_hub import CacheNotFound, constants, scan_cache_dir

from ..models import ModelError
from . import cards, export, finding, publish, spaces

EXAMPLES_HELP = "publish examples/ as well: test pictures, of sets that may not be redistributed"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(prog="python -m inpainter.hub", description="Models on the Hugging Face Hub.")
    commands = p.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("push", help="publish a model folder")
    command.add_argument("folder", type=Path)
    command.add_argument("repo_id", metavar="user/name")
    command.add_argument("--private", action="store_true", help="make a new repository private")
    command.add_argument("--revision", help="branch to publish on, made when missing (default main)")
    command.add_argument("--create-pr", action="store_true", help="propose a pull request instead")
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

    command = commands.add_parser("list", help="the models on this machine: bundled and in the cache")
    command.set_defaults(run=lambda a: "\n".join(local_models()) or "no models")

    command = commands.add_parser("card", help="write a folder's model card from the model's own record")
    command.add_argument("folder", type=Path)
    command.add_argument("--repo", metavar="user/name", help="Hub id for the examples in the card")
    command.add_argument("--license", help="licence of the weights, such as cc-by-4.0 (default: the data's terms)")
    command.set_defaults(run=lambda a: cards.write_card(a.folder, a.repo, a.license))

    command = commands.add_parser("onnx", help="write the generator as an ONNX file beside the weights")
    command.add_argument("folder", type=Path)
    command.set_defaults(run=lambda a: export.export_onnx(a.folder))

    command = commands.add_parser("push-space", help="publish the page, with its models, as a Gradio Space")
    command.add_argument("repo_id", metavar="user/name")
    command.add_argument("--private", action="store_true", help="make a new Space private")
    command.add_argument("--with-examples", action="store_true", help=EXAMPLES_HELP)
    command.add_argument("--project", type=Path, default=spaces.PROJECT, help="folder of app.py (default: this one)")
    command.set_defaults(
        run=lambda a: spaces.push_space(a.repo_id, private=a.private, with_examples=a.with_examples, project=a.project)
    )
    return p


def local_models() -> list[str]:
    """One line a model: its name and where it is."""
    lines = [f"{name}\tbundled\t{finding.BUNDLED / name}" for name in finding.bundled()]
    try:
        cached = scan_cache_dir(constants.HF_HUB_CACHE).repos
    except CacheNotFound:
        cached = []
    for repo in sorted(cached, key=lambda repo: repo.repo_id):
        for commit in sorted(repo.revisions, key=lambda commit: commit.commit_hash):
            try:
                finding.family_of(commit.snapshot_path)
            except ModelError:
                continue  # something else's model
            where = ", ".join(sorted(commit.refs)) or commit.commit_hash[:7]
            lines.append(f"{repo.repo_id}\tcache ({where})\t{commit.snapshot_path}")
    return lines


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
