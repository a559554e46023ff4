"""Filling many pictures: are the bytes the same whatever happens, and what does it cost beside a plain loop?

    python -m benchmarks.batch same --data celeba64-test.zip svhn32-test.zip --pictures 2000 --steps 0
    python -m benchmarks.batch speed --data celeba64-test.zip --pictures 160 --part-size 8
    python -m benchmarks.batch memory --pictures 20000 --steps 0

`same` fills the pictures with one worker, then again with two, with both engines, with a worker and with the driver
killed at five random moments each, on a Ray cluster that runs already, and on three nodes of which one is killed, and
compares all bytes; the checksum of all of them that it prints can be compared between runs. `speed` times
both engines with 1 and 2 workers beside a plain loop over `Inpainter`, from the first picture's end to the last one's.
`memory` watches a worker over many small pictures. Half of the pictures of `same` are enlarged two to four times, so
that they are pasted back at their own size.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from pathlib import Path

import numpy as np
import psutil
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # so that it runs as a file as well

from benchmarks import clusters
from inpainter import Inpainter, Settings, masks
from inpainter.batch import fill
from inpainter.settings import MODES

KILLS = 5  # of a worker, and of the driver, a run


def prepare(data: list[str], count: int, folder: Path, enlarge: bool) -> Path:
    """Writes `count` pictures, of the archives in turn or of noise: every other one enlarged, if asked for."""
    archives = [zipfile.ZipFile(path) for path in data]
    names = [sorted(name for name in archive.namelist() if not name.endswith("/")) for archive in archives]
    draws = np.random.default_rng(0)
    for number in range(count):
        path = folder / f"{number // 1000:03d}" / f"{number:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        if archives:
            which = number % len(archives)
            name = names[which][number // len(archives) % len(names[which])]
            image = Image.open(BytesIO(archives[which].read(name))).convert("RGB")
        else:
            image = Image.fromarray(draws.integers(0, 256, (16, 16, 3), dtype=np.uint8))
        if enlarge and number % 2:
            factor = 2 + number % 3
            image = image.resize((image.width * factor, image.height * factor + number % 7), Image.Resampling.BICUBIC)
        image.save(path)
    return folder


def command(photos: Path, out: Path, options: argparse.Namespace, *more: str) -> list[str]:
    settings = [f"--{name.replace('_', '-')}={value}" for name, value in settings_of(options).items()]
    return [sys.executable, "-m", "inpainter", "batch", str(photos), "-o", str(out), "--quiet", *settings, *more]


def settings_of(options: argparse.Namespace) -> dict:
    """What every run is asked for, by the names of `batch.fill`."""
    names = ("model", "mask", "part_size", "mode", "steps", "refine")
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def finished(out: Path) -> int:
    """Parts whose rows are there."""
    return len(list((out / "_inpainter" / "rows").glob("part-*.jsonl")))


def workers_of(driver: subprocess.Popen) -> list[psutil.Process]:
    """The processes that hold the model."""
    try:
        below = psutil.Process(driver.pid).children(recursive=True)
        named = [(process, " ".join(process.cmdline())) for process in below]
    except psutil.NoSuchProcess:
        return []
    return [process for process, text in named if "spawn_main" in text or "FillPart" in text]


def disturbed(run: list[str], out: Path, parts: int, victim: str, draws: random.Random) -> None:
    """Runs a command; kills a worker, or itself, as often as `KILLS`, and runs it again where it was killed."""
    moments = sorted(draws.sample(range(1, parts), KILLS))
    kills = 0
    while True:
        driver = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while driver.poll() is None:
            time.sleep(0.05)
            if kills < KILLS and finished(out) >= moments[kills]:
                time.sleep(draws.random())
                if victim == "driver":
                    kills += 1
                    driver.kill()
                elif workers := workers_of(driver):
                    kills += 1
                    draws.choice(workers).kill()
        driver.wait()
        if driver.returncode != -signal.SIGKILL:
            check(driver.returncode == 0, f"exit {driver.returncode}: {driver.stderr.read()[-500:]}")
            check(kills == KILLS, f"over after {kills} kills")
            return


def on_three_nodes(photos: Path, out: Path, options: argparse.Namespace, parts: int) -> None:
    """Fills on a Ray cluster of three nodes on this machine, and kills one half way."""
    with clusters.three_nodes() as (address, kill):
        killed = []

        def progress(summary) -> None:
            if not killed and finished(out) > parts // 2:
                killed.append(kill())

        summary = fill(photos, out, engine="ray", address=address, progress=progress, **settings_of(options))
        check(killed and summary.failed == 0, f"{summary}, {len(killed)} nodes killed")


def at_a_head_node(photos: Path, out: Path, options: argparse.Namespace, which: int) -> None:
    """Fills on a cluster that runs already, by one of its addresses."""
    with clusters.head_node() as (addresses, environment):
        undisturbed(command(photos, out, options, "--engine", "ray", "--address", addresses[which]), environment)


def undisturbed(run: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(run, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    check(done.returncode == 0, f"exit {done.returncode}: {done.stderr[-500:]}")


def same(options: argparse.Namespace, scratch: Path) -> None:
    photos = prepare(options.data, options.pictures, scratch / "photos", enlarge=True)
    parts = -(-options.pictures // options.part_size)
    draws = random.Random(options.seed)
    cases: dict[str, Callable[[Path], None]] = {}
    for engine in options.engines:
        for workers in (1, 2):
            run = ("--engine", engine, "--workers", str(workers))
            cases[f"{engine}, {workers} worker(s)"] = lambda out, run=run: undisturbed(
                command(photos, out, options, *run)
            )
        for victim in ("worker", "driver"):
            cases[f"{engine}, 2 workers, {KILLS} kills of a {victim}"] = lambda out, run=run, victim=victim: disturbed(
                command(photos, out, options, *run), out, parts, victim, draws
            )
    if "ray" in options.engines:
        cases["ray, a head node by its address"] = lambda out: at_a_head_node(photos, out, options, 0)
        cases["ray, a head node by ray://"] = lambda out: at_a_head_node(photos, out, options, 1)
        cases["ray, three nodes, one killed"] = lambda out: on_three_nodes(photos, out, options, parts)
    expected = None
    for name, run in cases.items():
        if options.only not in name:
            continue
        out, started = scratch / "out", time.perf_counter()
        run(out)
        seconds = time.perf_counter() - started
        found = contents(out)
        check(len(found) == options.pictures, f"{len(found)} pictures of {options.pictures}")
        lines = [line for file in (out / "_inpainter" / "rows").iterdir() for line in file.read_text().splitlines()]
        keys = [json.loads(line)["key"] for line in lines]
        check(sorted(keys) == sorted(found), f"{len(keys)} rows, {len({*keys})} keys for {len(found)} pictures")
        expected = expected or found
        check(found == expected, f"{sum(found[key] != expected[key] for key in expected)} pictures differ")
        digest = sha256(repr(sorted(found.items())).encode()).hexdigest()[:12]
        left = len([*out.rglob("*.partial")])
        print(f"{name}: {len(found)} pictures, all {digest}, {seconds:.0f} s, {left} left-overs", flush=True)
        shutil.rmtree(out)


def contents(out: Path) -> dict[str, str]:
    """SHA-256 of every picture, by name."""
    return {path.relative_to(out).as_posix(): sha256(path.read_bytes()).hexdigest() for path in out.rglob("*.png")}


def speed(options: argparse.Namespace, scratch: Path) -> None:
    """Pictures per second of wall time and of processor time, models loaded, in turns."""
    photos = prepare(options.data, options.pictures, scratch / "photos", enlarge=False)
    files = sorted(photos.rglob("*.png"))
    model = Inpainter.from_pretrained(options.model)
    settings = Settings(mode=options.mode, steps=options.steps, refine=options.refine)
    torch.set_num_threads(1)  # as each worker
    rates: dict[str, list[float]] = {}
    for turn in range(options.rounds):
        target = scratch / f"loop{turn}"
        target.mkdir()
        started = time.perf_counter()
        for file in files:
            hole = masks.named(options.mask, model.size)
            result = model(Image.open(file), hole, settings)
            Image.fromarray(result.images[0]).save(target / file.name)
        rates.setdefault("plain loop", []).append(len(files) / (time.perf_counter() - started))
        for engine in options.engines:
            for workers in (1, 2):
                name = f"{engine}, {workers} worker(s)"
                rates.setdefault(name, []).append(rate(photos, scratch / "out", options, engine, workers))
        plain = rates["plain loop"]
        for name, values in rates.items():
            ratio = np.median(np.array(values) / np.array(plain))
            print(
                f"round {turn + 1}: {name}: {np.median(values):.2f} pictures/s, {ratio:.2f} times the loop", flush=True
            )


def rate(photos: Path, out: Path, options: argparse.Namespace, engine: str, workers: int) -> float:
    """Pictures per second from the first part's end, when all models are loaded, to the last one's."""
    run = command(photos, out, options, "--engine", engine, "--workers", str(workers))
    driver = subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while finished(out) < workers and driver.poll() is None:
        time.sleep(0.02)
    first, at_first = time.perf_counter(), finished(out)
    parts = -(-options.pictures // options.part_size)
    while finished(out) < parts and driver.poll() is None:
        time.sleep(0.02)
    seconds = time.perf_counter() - first
    check(driver.wait() == 0, f"exit {driver.returncode}")
    shutil.rmtree(out)
    return (parts - at_first) * options.part_size / seconds


def memory(options: argparse.Namespace, scratch: Path) -> None:
    """The memory of the driver and of a worker, twenty times on the way."""
    photos = prepare(options.data, options.pictures, scratch / "photos", enlarge=False)
    parts = -(-options.pictures // options.part_size)
    driver = subprocess.Popen(command(photos, scratch / "out", options, "--workers", "1"), stdout=subprocess.DEVNULL)
    own, shown = psutil.Process(driver.pid), 0
    while driver.poll() is None:
        done = finished(scratch / "out")
        if done > shown * parts // 20 and (workers := workers_of(driver)):
            shown += 1
            megabytes = [process.memory_info().rss / 1e6 for process in (own, workers[0])]
            pictures = done * options.part_size
            print(f"{pictures:6d} pictures: driver {megabytes[0]:.0f} MB, worker {megabytes[1]:.0f} MB", flush=True)
        time.sleep(0.2)
    check(driver.returncode == 0, f"exit {driver.returncode}")


def check(holds: bool, what: str) -> None:
    if not holds:
        raise SystemExit(f"error: {what}")


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("measure", choices=("same", "speed", "memory"))
    parser.add_argument("--data", nargs="+", default=[], help="zips of pictures (default: noise, 16 pixels a side)")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--model", default="dcgan-celeba")
    parser.add_argument("--mask", choices=masks.NAMES, default="center")
    parser.add_argument("--mode", choices=MODES, default="fast")
    parser.add_argument("--steps", type=int, help="0 suffices to compare bytes (default: the usual ones)")
    parser.add_argument("--refine", type=int)
    parser.add_argument("--part-size", type=int, default=20)
    parser.add_argument("--engines", nargs="+", choices=("local", "ray"), default=["local", "ray"])
    parser.add_argument("--only", default="", help="of `same`: the cases with this in their names")
    parser.add_argument("--rounds", type=int, default=3, help="of `speed`")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    options = parser.parse_args(argv)
    options.data = [os.path.abspath(path) for path in options.data]
    with tempfile.TemporaryDirectory(prefix="batch-") as scratch:
        {"same": same, "speed": speed, "memory": memory}[options.measure](options, Path(scratch))


if __name__ == "__main__":
    main()
