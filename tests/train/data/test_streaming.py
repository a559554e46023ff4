"""Pictures streamed from shards: which process sees which, in what order, and how much of them is held."""

import io
import tarfile
import threading
import tracemalloc
from concurrent.futures import Executor, Future
from contextlib import closing
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest
from helpers import TINY, assert_identical, state
from PIL import Image
from s3_server import s3_server

from train import __main__
from train.data import streaming
from train.data.loading import Share, load_images
from train.data.streaming import Stream, Tars, expanded, is_stream

datasets = pytest.importorskip("datasets")


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")


def shards(folder, count: int, each: int, side: int = 16, damaged: tuple[int, ...] = ()) -> str:
    """Tars of pictures, each of one colour that says its number; returns the pattern of their names."""
    folder.mkdir(exist_ok=True)
    for shard in range(count):
        with tarfile.open(folder / f"a-{shard:03d}.tar", "w") as tar:
            for number in range(shard * each, (shard + 1) * each):
                file = io.BytesIO()
                Image.new("RGB", (side, side), (number % 256, number // 256, 7)).save(file, "PNG")
                data = b"damaged" if number in damaged else file.getvalue()
                info = tarfile.TarInfo(f"{number:06d}.png")
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return f"{folder}/a-*.tar"


def tables(folder) -> None:
    """Two Parquet files of ten such pictures."""
    for file in range(2):
        pictures = [Image.new("RGB", (16, 16), (file * 10 + number, 0, 0)) for number in range(10)]
        rows = datasets.Dataset.from_dict({"photo": pictures}, datasets.Features({"photo": datasets.Image()}))
        rows.to_parquet(folder / f"{file}.parquet")


def numbers(images) -> list[int]:
    """The numbers of pictures."""
    return [int(image[0, 0, 0]) + 256 * int(image[1, 0, 0]) for image in images]


def opened(path: str, size: int = 16, held_out: int = 0, buffer: int = 8, index: int = 0, of: int = 1, seed: int = 0):
    return closing(Stream(path, size, held_out, buffer, Share(5, seed, index, of)))


def batches(count: int, path: str, **options) -> list[list[int]]:
    with opened(path, **options) as stream:
        return [numbers(stream.batch(step)) for step in range(count)]


def flat(lists: list[list[int]]) -> list[int]:
    return [number for numbers in lists for number in numbers]


@pytest.mark.parametrize(("tars", "each"), [(4, 10), (1, 40)])
def test_processes_see_pictures_of_their_own_and_together_all_but_the_held_out(tmp_path, tars, each):
    path = shards(tmp_path / "in", tars, each)
    with opened(path, held_out=6) as stream:
        assert numbers(stream.held_out) == [*range(6)]
    mine = flat(batches(2, path, held_out=6, index=0, of=2))
    theirs = flat(batches(3, path, held_out=6, index=1, of=2))
    assert len({*mine}) == 10 and len({*theirs}) == 15
    assert not {*mine} & {*theirs} and min(mine + theirs) >= 6
    everything = batches(17, path, held_out=6, index=0, of=2) + batches(20, path, held_out=6, index=1, of=2)
    assert {*flat(everything)} == {*range(6, 40)}


def test_a_seed_decides_all_batches_and_a_pass_shows_every_picture_once_in_an_order_of_its_own(tmp_path):
    path = shards(tmp_path / "in", 4, 10)
    first = batches(16, path)
    assert first == batches(16, path)
    assert first != batches(16, path, seed=1)
    one, other = flat(first[:8]), flat(first[8:])
    assert sorted(one) == sorted(other) == [*range(40)]
    assert one != other


@pytest.mark.parametrize("buffer", [3, 8, 100])
@pytest.mark.parametrize("stopped", [1, 7, 8, 13])
def test_a_stream_goes_on_from_its_position_with_the_batches_that_were_next(tmp_path, buffer, stopped):
    path = shards(tmp_path / "in", 3, 12, damaged=(4, 20))
    whole = batches(20, path, held_out=2, buffer=buffer)
    with opened(path, held_out=2, buffer=buffer) as stream:
        for step in range(stopped):
            stream.batch(step)
        position = stream.position()
    with opened(path, held_out=2, buffer=buffer) as stream:
        stream.go_to(position)
        assert [numbers(stream.batch(step)) for step in range(stopped, 20)] == whole[stopped:]


def test_a_shard_is_read_once_a_pass_however_many_blocks_it_makes(tmp_path, monkeypatch):
    path, reads, read = shards(tmp_path / "in", 2, 20), [], Tars.read
    monkeypatch.setattr(Tars, "read", lambda *place: reads.append(place[1:]) or read(*place))
    batches(7, path, buffer=3)
    assert sorted(reads[:3]) == [(0, 0), (0, 0), (1, 0)] and len(reads) <= 4  # once for those held out, if any


class Inline(Executor):
    """Runs everything at once in the thread that asks, so that what is in memory does not depend on its timing."""

    def __init__(self, workers: int):
        pass

    def submit(self, run, *arguments):
        future = Future()
        future.set_result(run(*arguments))
        return future


def test_memory_does_not_grow_with_the_set(tmp_path, monkeypatch):
    monkeypatch.setattr(streaming, "ThreadPoolExecutor", Inline)
    peaks = []
    for count in (2, 6):
        path = shards(tmp_path / str(count), count, 500, side=64)
        with opened(path, size=64, buffer=100) as stream:
            stream.batch(0)
            tracemalloc.start()
            for step in range(count * 100):
                stream.batch(step)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    picture = 64 * 64 * 3
    assert max(peaks) < 400 * picture  # two blocks, and what is being decoded
    assert peaks[1] < peaks[0] + 50 * picture


def test_damaged_pictures_are_left_out(tmp_path):
    path = shards(tmp_path / "in", 2, 10, damaged=(0, 3, 14, 15, 16))
    assert sorted(flat(batches(3, path))) == [n for n in range(20) if n not in (0, 3, 14, 15, 16)]
    with pytest.raises(ValueError, match=r"no readable picture to train on"):
        batches(1, shards(tmp_path / "none", 1, 4, damaged=(0, 1, 2, 3)))


@pytest.fixture
def web(tmp_path):
    """The URL of a folder on a server."""
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=tmp_path / "in")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_a_web_server_gives_the_batches_of_a_folder(tmp_path, web):
    path = shards(tmp_path / "in", 3, 10)
    assert batches(6, f"{web}/a-{{000..002}}.tar", held_out=3) == batches(6, path, held_out=3)


def test_a_bucket_gives_the_batches_of_a_folder(tmp_path):
    path = shards(tmp_path / "in", 3, 10)
    tables(tmp_path / "in")
    with s3_server() as s3:
        s3.put(str(tmp_path / "in"), "s3://archive/sets", recursive=True)
        assert batches(6, "s3://archive/sets/a-*.tar") == batches(6, path)
        assert batches(4, "s3://archive/sets/*.parquet") == batches(4, f"{tmp_path}/in/*.parquet")
        with pytest.raises(ValueError, match=r"s3://archive/none-\*.tar: there are no such files"):
            opened("s3://archive/none-*.tar")


@pytest.mark.parametrize("struct", [False, True])
def test_files_in_a_parquet_column_of_bytes_are_pictures(tmp_path, struct):
    parquet = pytest.importorskip("pyarrow.parquet")
    import pyarrow

    files = []
    for level in (10, 20, 30, 40):
        picture = io.BytesIO()
        Image.new("RGB", (16, 16), (level,) * 3).save(picture, "PNG")
        files.append({"bytes": picture.getvalue(), "path": None} if struct else picture.getvalue())
    table = pyarrow.table({"key": ["a", "b", "c", "d"], "image": files})
    parquet.write_table(table, tmp_path / "part.parquet")
    images = load_images(str(tmp_path / "part.parquet"), 16)
    assert images[:, 0, 0, 0].tolist() == [10, 20, 30, 40]


def test_parquet_is_streamed_as_well(tmp_path):
    tables(tmp_path)
    assert sorted(flat(batches(4, f"{tmp_path}/*.parquet"))) == [*range(20)]


def test_what_is_streamed_is_told_by_its_name_alone():
    streamed = "s3://a/b-*.tar", "hf://datasets/user/name", "a.tar", "a-{00..10}.tar", "a/*.parquet", "https://a/b.zip"
    assert all(map(is_stream, streamed))
    assert not any(map(is_stream, ("a", "a.zip", "user/name", "a.parquet", "user/name:train")))


def test_braces_stand_for_numbers():
    assert expanded("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert expanded("{0..1}/{3..4}") == ["0/3", "0/4", "1/3", "1/4"]
    assert expanded("a-*.tar") == ["a-*.tar"]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("none-*.tar", r"none-\*.tar: there are no such files"),
        ("s3://bucket/pictures.zip", "only .tar and .parquet files, and hf://datasets/user/name, are streamed"),
        ("none.tar", "none.tar: there is no such file"),
        ("text.tar", "text.tar: there is no readable picture"),
        ("none-*.parquet", "none-.*.parquet: cannot be loaded"),
        ("broken.tar", "broken.tar: cannot be reached"),
    ],
)
def test_what_cannot_be_streamed_is_refused_in_one_sentence(tmp_path, monkeypatch, path, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broken.tar").write_bytes(b"broken")
    with tarfile.open("text.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("a.txt"), io.BytesIO())
    with pytest.raises(ValueError, match=says) as caught:
        opened(path)
    assert "\n" not in str(caught.value)


def test_more_held_out_than_there_are_is_refused(tmp_path):
    path = shards(tmp_path / "in", 2, 10)
    with pytest.raises(ValueError, match="cannot hold out 21 of 20; choose a smaller --held-out"):
        opened(path, held_out=21)


def test_a_resumed_training_from_shards_equals_an_uninterrupted_one(tmp_path, capsys):
    path = shards(tmp_path / "in", 3, 12)

    def train(out: str, images: int, *more) -> int:
        arguments = ["gan", "--data", path, "--out", tmp_path / out, "--images", images, "--batch-size", 8]
        options = ("--held-out", 4, "--shuffle-buffer", 10, *TINY, *more)
        return __main__.main([str(argument) for argument in (*arguments, *options)])

    assert train("whole", 64) == train("parts", 24) == train("parts", 64, "--resume") == 0
    assert state(tmp_path / "whole")["step"] == 8
    assert_identical(state(tmp_path / "whole"), state(tmp_path / "parts"))
    assert train("parts", 72, "--resume", "--shuffle-buffer", 11) == 1
    assert "was made with shuffle buffer 10, but this run has 11" in capsys.readouterr().err
