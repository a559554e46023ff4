"""Averages the generators of a run's snapshots into one model.

Late in training, G oscillates around a solution. The mean of its weights over distant snapshots generates better images
than any one of them (stochastic weight averaging, Izmailov et al., UAI 2018; for GANs Yazici et al., *The Unusual
Effectiveness of Averaging in GAN Training*, ICLR 2019). The discriminator is that of the last snapshot.
"""

import argparse
import dataclasses
import logging
from pathlib import Path

import torch

from inpainter import hub
from inpainter.models import LatentModel

from ..loop.options import number
from ..loop.run import SNAPSHOTS_NAME, snapshots
from ..loop.trainer import measure_statistics

logger = logging.getLogger(__name__)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--run", required=True, type=Path, help=f"--out of a run, with {SNAPSHOTS_NAME}/ in it")
    parser.add_argument("--out", required=True, type=Path, help="folder for the model")
    parser.add_argument("--last", type=number(int, 1), help="number of snapshots to use, the last ones (default all)")


def main(arguments: argparse.Namespace) -> None:
    folders = snapshots(arguments.run)[-(arguments.last or 0) :]
    model = averaged([hub.load(folder) for folder in folders])
    summary = model.config.training | {"averaged_snapshots": len(folders), "averaged_from": int(folders[0].name)}
    model.config = dataclasses.replace(model.config, training=summary)
    hub.save(model, arguments.out)
    logger.info(
        "%s: the mean of %d snapshots, %s to %s", arguments.out, len(folders), folders[0].name, folders[-1].name
    )


def averaged(models: list[LatentModel]) -> LatentModel:
    """Returns the last model with the mean of all generators.

    Raises:
        ValueError: if the models differ in shape.
    """
    *_, last = models
    shapes = {str(dataclasses.replace(model.config, training={})) for model in models}
    if len(shapes) > 1:
        raise ValueError(f"the snapshots have different shapes: {'; '.join(sorted(shapes))}.")
    with torch.no_grad():
        parameters = zip(*(model.generator.parameters() for model in models), strict=True)
        for target, values in zip(last.generator.parameters(), parameters, strict=True):
            target.copy_(torch.stack(values).mean(dim=0))
    return measure_statistics(last)
