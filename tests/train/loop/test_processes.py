"""Two processes under `accelerate launch` against one process that does the same by hand."""

import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile

import torch
import torch.nn.functional as F
from conftest import ROOT

from benchmarks.serving import free_port
from inpainter.models import DCGAN, DCGANConfig
from train.data.loading import Share, batch_indices, load_images, prepare, step_generator
from train.data.streaming import Stream
from train.loop.trainer import initialise

STEPS, BATCH, PROCESSES = 2, 4, 2
RATE = 1e-3


def by_hand(images: torch.Tensor) -> DCGAN:
    """Each half-batch has its own statistics; the gradients of both are averaged."""
    model = initialise(DCGAN(DCGANConfig(image_size=16, latent_size=8, channels=(16, 8))), 0).train()
    G, D = model.generator, model.discriminator
    g_adam, d_adam = (torch.optim.Adam(network.parameters(), lr=RATE, betas=(0.5, 0.999)) for network in (G, D))
    for step in range(STEPS):
        indices = batch_indices(step, BATCH * PROCESSES, len(images), 0).split(BATCH)
        fakes, d_loss = [], 0
        for process, share in enumerate(indices):
            random = step_generator(0, step, process)
            real = prepare(images[share], True, random)
            fakes.append(G(model.sample_latents(BATCH, random)))
            d_loss += F.softplus(-D(real)).mean() + F.softplus(D(fakes[-1].detach())).mean()
        d_adam.zero_grad()
        (d_loss / PROCESSES).backward()
        d_adam.step()
        g_adam.zero_grad()
        (sum(F.softplus(-D(fake)).mean() for fake in fakes) / PROCESSES).backward()
        g_adam.step()
    return model


PROGRAM = """
import glob, sys
from train.__main__ import main

assert main(sys.argv[1:]) == 0
names = [open(path).read() for path in glob.glob("/proc/self/task/*/comm")]  # where there is /proc
assert not any("gloo" in name for name in names), f"threads that could abort the process as it exits: {names}"
"""


def launch(data, out, images: int, *more) -> dict:
    """Trains with two processes, which have to end cleanly; returns the checkpoint."""
    program = out.parent / "program.py"
    program.write_text(PROGRAM)
    launcher = ["--multi_gpu", "--num_processes", PROCESSES, "--num_machines", 1, "--main_process_port", free_port()]
    options = ["--data", data, "--out", out, "--images", images, "--batch-size", BATCH]
    options += ["--channels", 16, 8, "--latent-size", 8, "--held-out", 8, "--learning-rate", RATE, "--precision", "no"]
    command = ["-m", "accelerate.commands.launch", *launcher, program, "gan", *options, *more]
    result = subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    return torch.load(out / "checkpoint.pt", weights_only=True)


def test_two_processes_stream_shards_of_their_own_and_each_goes_on_where_it_was(archive, tmp_path):
    with zipfile.ZipFile(archive) as pictures:
        for shard in range(4):
            with tarfile.open(tmp_path / f"a-{shard}.tar", "w") as tar:
                for name in pictures.namelist()[shard * 10 : shard * 10 + 10]:
                    info = tarfile.TarInfo(name)
                    info.size = len(data := pictures.read(name))
                    tar.addfile(info, io.BytesIO(data))
    path, buffer = f"{tmp_path}/a-{{0..3}}.tar", 5
    with contextlib.ExitStack() as stack:
        streams = [Stream(path, 16, 8, buffer, Share(BATCH, 0, index, PROCESSES)) for index in range(PROCESSES)]
        for stream in streams:
            stack.callback(stream.close)
        for first, last, more in (0, 3, ()), (3, 5, ("--resume",)):
            images = last * BATCH * PROCESSES
            checkpoint = launch(path, tmp_path / "out", images, "--shuffle-buffer", buffer, *more)
            for step in range(first, last):
                for stream in streams:
                    stream.batch(step)
            assert checkpoint["positions"] == [stream.position() for stream in streams]


def test_two_processes_take_the_steps_of_one_that_averages_their_gradients_and_one_writes(archive, tmp_path):
    checkpoint = launch(archive, tmp_path, STEPS * BATCH * PROCESSES)
    (record,) = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    assert record["step"] == STEPS
    assert record["images"] == STEPS * BATCH * PROCESSES
    assert checkpoint["settings"]["processes"] == PROCESSES
    expected = by_hand(load_images(archive, 16)[:-8])
    for name, parameter in expected.named_parameters():
        torch.testing.assert_close(checkpoint["model"][name], parameter.detach(), atol=1e-5, rtol=0, msg=name)
