"""Model files from anyone: every folder loads correctly or is refused in one sentence, in little memory."""

import dataclasses
import json
import os
import random
import re
import struct
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import tiny_dcgan
from helpers import EVERYTHING, tiny_comod
from safetensors.torch import load_file, save_file

from inpainter import Inpainter, ModelError
from inpainter import hub as models
from inpainter.models import DCGAN, DCGANConfig, Encoder, EncoderConfig
from inpainter.models.base import PretrainedModel
from inpainter.models.configs import MAX_CHANNELS

resource = pytest.importorskip("resource")  # POSIX: the bound on memory

CONFIG, WEIGHTS = "config.json", "model.safetensors"
HEADROOM = 256 * 2**20  # bytes that loading may take on top of what the process has
NIGHTLY = bool(os.environ.get("NIGHTLY"))
CONFIGS = 3400 if NIGHTLY else 200  # mutated, of each of three families
WEIGHT_FILES = 1700 if NIGHTLY else 200  # of each test
FREE = {"encoder": {"latent_bound": 1.0}}  # entries that may change without another shape

HOSTILE = [
    *(None, True, False, 0, -1, 1, 3, 4, 7, 8, 15, 17, 64, 4096, 4097, 2**31, 2**63, 2**64, -(2**70), 10**400),
    *(
        0.0,
        -0.0,
        16.0,
        1e308,
        float("nan"),
        float("inf"),
        "",
        "16",
        "dcgan",
        "vae",
        "../../etc/passwd",
        "a\0b",
        "🙂" * 99,
    ),
    *([], {}, [[]], [8], [8, 4], [4, 8], [8, 4, 2], [8, "4"], [8, -4], [8, 4.0], [8, True], [4096] * 7, [8] * 100_000),
    *({"a": 1}, {"family": "dcgan"}, ["dcgan"], [None], {"channels": [8, 4]}),
]


def tiny(family: str) -> PretrainedModel:
    torch.manual_seed(0)
    if family == "comod":
        return tiny_comod(**EVERYTHING)
    if family == "encoder":
        return Encoder(EncoderConfig(image_size=16, latent_size=4, channels=(8, 4)))
    return DCGAN(DCGANConfig(image_size=16, latent_size=4, channels=(8, 4)))


@pytest.fixture(scope="module")
def originals(tmp_path_factory):
    """Folders of tiny models by family; that of the DCGAN has 16x16 pixels and channels 8 and 4."""
    root = tmp_path_factory.mktemp("models")
    for family in ("dcgan", "comod", "encoder"):
        tiny(family).save_pretrained(root / family)
    return root


@pytest.fixture(scope="module")
def original(originals):
    return originals / "dcgan"


@pytest.fixture
def folder(original, tmp_path):
    """A copy to spoil."""
    return copied(original, tmp_path / "spoilt")


def copied(original, folder):
    folder.mkdir()
    for name in (CONFIG, WEIGHTS):
        (folder / name).write_bytes((original / name).read_bytes())
    return folder


@contextmanager
def little_memory():
    """Lets no allocation through that needs more than `HEADROOM`: it fails, and not with a `ModelError`."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * os.sysconf("SC_PAGE_SIZE") + HEADROOM, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def outcome(folder) -> PretrainedModel | None:
    """The model that a folder loads as, checked; or None when it is refused in one sentence, soon."""
    start = time.monotonic()
    try:
        model = Encoder.from_pretrained(folder) if "encoder" in folder.parts else models.load(folder)
    except ModelError as error:
        text = str(error)
        assert 10 < len(text) < 2000 and "\n" not in text.strip() and str(folder) in text, text
        return None
    finally:
        assert time.monotonic() - start < 5
    config = model.config
    if isinstance(model, Encoder):
        pictures, hole = torch.zeros(1, 3, 16, 16), torch.ones(1, 16, 16, dtype=torch.bool)
        assert model(pictures, hole).shape == (1, config.latent_size)
        return model
    images = model.generate(model.sample_latents(1, torch.Generator().manual_seed(0)))
    assert images.shape == (1, 3, config.image_size, config.image_size)
    assert images.dtype == torch.float32
    if config.family == "dcgan":  # a CoMod of hostile weights may overflow
        assert images.isfinite().all() and images.abs().max() <= 1
        assert model.prior_loss(images, None).isfinite().all()
    return model


def read_plainly(data: bytes) -> dict[str, np.ndarray]:
    """The tensors of a safetensors file by the letter of the format."""
    (size,) = struct.unpack("<Q", data[:8])
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    kinds = {"F16": np.float16, "F32": np.float32, "I64": np.int64}
    return {
        name: np.frombuffer(body[slice(*entry["data_offsets"])], kinds[entry["dtype"]]).reshape(entry["shape"])
        for name, entry in header.items()
        if name != "__metadata__" and entry["dtype"] in kinds
    }


# Mutations


def spoil_bytes(data: bytes, draw: random.Random, limit: int | None = None) -> bytes:
    """Flips, replaces, inserts, removes or repeats a few bytes among the first `limit`."""
    data = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 5, 20))):
        place = draw.randrange(max(1, min(len(data), limit or len(data))))
        kind = draw.randrange(6)
        if kind == 0 and data:
            data[place % len(data)] ^= 1 << draw.randrange(8)
        elif kind == 1 and data:
            data[place % len(data)] = draw.randrange(256)
        elif kind == 2:
            data[place:place] = draw.randbytes(draw.choice((1, 2, 8, 1000)))
        elif kind == 3:
            del data[place : place + draw.choice((1, 2, 8, 1000))]
        elif kind == 4:
            data[place:place] = data[place : place + draw.randrange(64)]
        else:
            data = data[:place] if draw.random() < 0.3 else data
    return bytes(data)


def spoil_value(value, draw: random.Random):
    """Replaces something in a JSON value, at any depth, by something hostile."""
    if isinstance(value, dict) and value and draw.random() < 0.85:
        value = dict(value)
        key = draw.choice(list(value))
        kind = draw.random()
        if kind < 0.1:
            del value[key]
        elif kind < 0.2:
            value[draw.choice((key.upper(), "", key * 50, "__class__", "../" + key, "training"))] = value.pop(key)
        else:
            value[key] = spoil_value(value[key], draw)
        return value
    if isinstance(value, list) and value and draw.random() < 0.5:
        place = draw.randrange(len(value))
        return [*value[:place], spoil_value(value[place], draw), *value[place + 1 :]]
    return draw.choice(HOSTILE)


def spoil_config(data: bytes, draw: random.Random) -> bytes:
    if draw.random() < 0.3:
        return spoil_bytes(data, draw)
    config = json.loads(data)
    for _ in range(draw.choice((1, 1, 2, 4))):
        config = spoil_value(config, draw)
    return json.dumps(config).encode("utf-8", "surrogatepass")


def spoil_weights(data: bytes, draw: random.Random) -> bytes:
    (size,) = struct.unpack("<Q", data[:8])
    kind = draw.random()
    if kind < 0.2:
        return spoil_bytes(data, draw)
    if kind < 0.4:
        return spoil_bytes(data, draw, limit=8 + size)
    if kind < 0.5:  # the length of the header
        return struct.pack("<Q", draw.choice((0, 1, size - 1, size + 1, 2**20, 2**32, 2**63, 2**64 - 1))) + data[8:]
    header = json.loads(data[8 : 8 + size])
    for _ in range(draw.choice((1, 1, 2))):
        name = draw.choice(list(header))
        entry = header[name]
        kind = draw.random()
        if kind < 0.25:
            entry["dtype"] = draw.choice(
                ("F64", "F32", "BF16", "F8_E4M3", "F8_E5M2", "F4", "I64", "I8", "U16", "BOOL", "C64", "X")
            )
        elif kind < 0.5:
            shapes = (
                [2**62, 4],
                [0, 2**62],
                [-1],
                [2**40, 2**40],
                [],
                [1],
                entry.get("shape", [])[::-1],
                draw.choice(HOSTILE),
            )
            entry["shape"] = draw.choice(shapes)
        elif kind < 0.75:
            entry["data_offsets"] = draw.choice(
                ([0, 0], [0, 2**63], [-8, 0], [8, 0], [2**64 - 1, 2**64 - 1], draw.choice(HOSTILE))
            )
        elif kind < 0.85:
            header = {(draw.choice(("x", "", "../x", name)) if key == name else key): e for key, e in header.items()}
        else:
            header = spoil_value(header, draw)
            if (
                not isinstance(header, dict)
                or not all(isinstance(entry, dict) for entry in header.values())
                or not header
            ):
                break
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + data[8 + size :]


# The properties


def test_the_bound_on_memory_is_one():
    with little_memory(), pytest.raises(RuntimeError):
        # Several times the headroom: memory that the process gives back meanwhile (the stacks of threads
        # that end) adds to it.
        torch.empty(8 * HEADROOM, dtype=torch.uint8)


@pytest.mark.parametrize("family", ["dcgan", "comod", "encoder"])
def test_mutated_configurations_load_correctly_or_are_refused(originals, tmp_path, family):
    folder, data, loaded = copied(originals / family, tmp_path / family), (originals / family / CONFIG).read_bytes(), 0
    expected = dataclasses.replace(tiny(family).config, training={})
    with little_memory():
        for seed in range(CONFIGS):
            (folder / CONFIG).write_bytes(spoil_config(data, random.Random(seed)))
            if model := outcome(folder):
                loaded += 1
                assert dataclasses.replace(model.config, training={}, **FREE.get(family, {})) == expected, seed
    assert CONFIGS / 50 < loaded < CONFIGS / 2  # some mutations are harmless, most are not


@pytest.mark.parametrize("family", ["dcgan", "comod"])
def test_mutated_weights_of_older_folders_load_correctly_or_are_refused(originals, tmp_path, family):
    folder, data, loaded = copied(originals / family, tmp_path / family), (originals / family / WEIGHTS).read_bytes(), 0
    forget_checksum(folder)
    with little_memory():
        for seed in range(WEIGHT_FILES):
            mutant = spoil_weights(data, random.Random(seed))
            (folder / WEIGHTS).write_bytes(mutant)
            if model := outcome(folder):
                loaded += 1
                expected, found = read_plainly(mutant), model.state_dict()
                for name in expected.keys() & found.keys():
                    assert np.array_equal(found[name].numpy(), expected[name].astype(found[name].numpy().dtype)), seed
    assert WEIGHT_FILES / 50 < loaded < WEIGHT_FILES / 2


def test_mutated_weights_are_refused_where_the_configuration_names_them(original, folder):
    data = (original / WEIGHTS).read_bytes()
    for seed in range(WEIGHT_FILES):
        mutant = spoil_weights(data, random.Random(seed))
        (folder / WEIGHTS).write_bytes(mutant)
        assert (outcome(folder) is not None) == (mutant == data), seed


@pytest.mark.parametrize("place", [CONFIG, WEIGHTS, f"encoder/{CONFIG}", f"encoder/{WEIGHTS}"])
@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "garbage"])
def test_a_file_that_is_none_is_refused_at_once_and_named(original, originals, tmp_path, place, kind):
    folder = copied(original, tmp_path / "model")
    copied(originals / "encoder", folder / "encoder")
    target = folder / place
    target.unlink()
    make = {
        "pipe": lambda: os.mkfifo(target),
        "device": lambda: target.symlink_to("/dev/zero"),
        "folder": target.mkdir,
        "garbage": lambda: target.write_bytes(b"{"),
    }
    make[kind]()
    with little_memory(), pytest.raises(ModelError, match=re.escape(str(target))):
        Inpainter.from_pretrained(folder, device="cpu")


@pytest.mark.parametrize("entry", ["self", "__class__", "kwargs", "model_id", ""])
def test_an_entry_that_no_configuration_has_is_refused(folder, entry):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | {entry: 1}))
    with pytest.raises(ModelError, match=rf"{CONFIG}: unknown entry '{entry}'"):
        models.load(folder)


def test_untouched_folder_loads_within_the_bound(folder):
    with little_memory():
        assert outcome(folder) is not None


@pytest.mark.parametrize(
    "change",
    [
        {"channels": [MAX_CHANNELS] * 7, "image_size": 512, "latent_size": 4096},
        {"channels": [10**9, 4]},
        {"channels": [-8, 4]},
        {"channels": [8, True]},
        {"channels": "84"},
        {"channels": []},
        {"channels": [8]},
        {"image_size": 10**30},
        {"image_size": 32},
        {"latent_size": 0},
        {"latent_size": 4.0},
        {"latent_distribution": "cauchy"},
        {"family": "stylegan"},
        {"family": "../dcgan"},
        {"family": ["dcgan"]},
        {"family": None},
        {"training": []},
    ],
)
def test_hostile_configuration_is_refused_before_anything_is_allocated(folder, change):
    config = json.loads((folder / CONFIG).read_text())
    (folder / CONFIG).write_text(json.dumps(config | change))
    with little_memory(), pytest.raises(ModelError) as refusal:
        models.load(folder)
    assert str(refusal.value).count(". ") <= 1 and len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    "text", ["", "[" * 100_000, "null", '"dcgan"', "[]", "{}", "\xff", "{" * 10, "NaN", " " * 2_000_000]
)
def test_configuration_that_is_no_object_is_refused(folder, text):
    (folder / CONFIG).write_bytes(text.encode("latin-1"))
    with little_memory(), pytest.raises(ModelError):
        models.load(folder)


def test_weights_with_an_enormous_header_are_refused_unparsed(folder):
    data = (folder / WEIGHTS).read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    padding = b" " * 5_000_000  # the format allows it
    (folder / WEIGHTS).write_bytes(
        struct.pack("<Q", size + len(padding)) + data[8 : 8 + size] + padding + data[8 + size :]
    )
    with pytest.raises(ModelError, match="its header has 5,"):
        models.load(folder)


def rewrite(folder, change):
    weights = load_file(folder / WEIGHTS)
    change(weights)
    save_file({name: tensor.contiguous() for name, tensor in weights.items()}, folder / WEIGHTS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop("generator.0.weight"), r"lack 1 tensor\(s\), first 'generator.0.weight'"),
        (lambda w: w.update(extra=torch.zeros(1)), "unexpected"),
        (lambda w: w.update({"generator.2.weight": torch.zeros(9)}), r"has shape \(9,\)"),
        (lambda w: w.update({"generator.2.weight": torch.zeros(8, dtype=torch.int64)}), "unexpected dtype"),
        (lambda w: w.update({"generator.2.weight": torch.zeros(8, dtype=torch.float8_e4m3fn)}), "unexpected dtype"),
        (
            lambda w: w.update({"generator.2.num_batches_tracked": torch.zeros((), dtype=torch.complex64)}),
            "unexpected dtype",
        ),
        (lambda w: w["generator.2.weight"].fill_(float("nan")), "NaN or infinite"),
        (lambda w: w["generator.2.running_var"].fill_(-1), "negative variances"),
    ],
)
def test_weights_that_do_not_match_are_refused(folder, change, message):
    rewrite(folder, change)
    with pytest.raises(ModelError, match=message):
        models.load(folder)


def forget_checksum(folder):
    """As a folder that was saved before configurations named their weights."""
    config = json.loads((folder / CONFIG).read_text())
    del config["weights_sha256"]
    (folder / CONFIG).write_text(json.dumps(config))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_weights_of_other_precision_load_as_float32(folder, dtype):
    rewrite(folder, lambda w: w.update({name: t.to(dtype) for name, t in w.items() if t.is_floating_point()}))
    forget_checksum(folder)
    assert {t.dtype for t in models.load(folder).state_dict().values()} == {torch.float32, torch.int64}


class Payload:
    """Runs code when it is unpickled."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def test_pickles_are_refused_and_never_opened(folder, monkeypatch):
    monkeypatch.chdir(folder)
    torch.save({"generator.0.weight": Payload()}, folder / WEIGHTS)
    with pytest.raises(ModelError):
        models.load(folder)
    (folder / WEIGHTS).rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"pytorch_model.bin is a pickle file; those are never opened"):
        models.load(folder)
    assert not (folder / "unpickled").exists()


def test_saved_model_is_whole_or_not_there(folder, monkeypatch):
    before = {name: (folder / name).read_bytes() for name in (CONFIG, WEIGHTS)}

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        tiny_dcgan().save_pretrained(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
