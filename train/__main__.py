"""`python -m train COMMAND`: each command is a module of `recipes` or `evaluation` with `add_arguments` and `main`."""

import argparse
import logging
import sys

from .evaluation import evaluate, gallery, looks, scores, select
from .recipes import average, comod, context_encoder, encoder, gan, vae

COMMANDS = {
    "gan": gan,
    "comod": comod,
    "vae": vae,
    "encoder": encoder,
    "context-encoder": context_encoder,
    "evaluate": evaluate,
    "looks": looks,
    "gallery": gallery,
    "score": scores,
    "select": select,
    "average": average,
}


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m train", description="Train and evaluate inpainting models.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, module in COMMANDS.items():
        summary = module.__doc__.partition("\n")[0]
        module.add_arguments(commands.add_parser(name, help=summary, description=summary))
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.getLogger("matplotlib").setLevel(logging.WARNING)
    try:
        COMMANDS[arguments.command].main(arguments)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; run the same command again to continue (training: add --resume)", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
