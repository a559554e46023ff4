"""What the loader of training pictures recognises, how it cuts, and what it refuses."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

from inpainter.reading import MAX_PIXELS
from train.data import loading as data
from train.data import sources


def picture(width: int = 16, height: int = 16, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8))


def framed(width: int, height: int, box: tuple[int, int, int, int]) -> Image.Image:
    """A black picture, white inside `box` (left, top, right, bottom)."""
    image = np.zeros((height, width, 3), np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 255
    return Image.fromarray(image)


def png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def folder_of(path: Path, **pictures: Image.Image) -> Path:
    path.mkdir(exist_ok=True)
    for name, image in pictures.items():
        image.save(path / f"{name}.png")
    return path


def test_pictures_come_back_exactly_in_order_of_name_as_channels_first(tmp_path):
    folder_of(tmp_path, b=picture(seed=1), a=picture(seed=0))
    images = data.load_images(tmp_path, 16)
    assert images.dtype == torch.uint8
    assert np.array_equal(images[1].permute(1, 2, 0), np.asarray(picture(seed=1)))
    assert np.array_equal(images[0].permute(1, 2, 0), np.asarray(picture(seed=0)))


def test_pictures_of_other_sizes_are_cut_to_their_centre_square(tmp_path):
    folder_of(tmp_path, wide=framed(64, 32, (16, 0, 48, 32)), tall=framed(32, 64, (0, 16, 32, 48)))
    assert (data.load_images(tmp_path, 16) == 255).all()


def test_photos_are_turned_upright(tmp_path):
    image = framed(16, 16, (0, 0, 16, 8))  # white above
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees to the right
    image.save(tmp_path / "a.jpg", exif=exif, quality=100)
    upright = data.load_images(tmp_path, 16)[0, 0].float()
    assert upright[:, 9:].min() > 200 > 50 > upright[:, :7].max()


def test_hidden_files_and_what_macos_adds_to_zips_are_passed_over(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.png", png(picture()))
        archive.writestr("__MACOSX/._a.png", b"not a picture")
        archive.writestr(".thumbnails/a.png", b"not a picture")
    assert data.load_images(tmp_path / "a.zip", 16).shape == (1, 3, 16, 16)


# The official releases, as downloaded


def test_celebas_zip_is_cut_to_the_centre_108_pixels(tmp_path):
    with zipfile.ZipFile(tmp_path / "img_align_celeba.zip", "w") as archive:
        archive.writestr("img_align_celeba/000001.png", png(framed(178, 218, (35, 55, 143, 163))))
        archive.writestr("img_align_celeba/000002.png", png(framed(178, 218, (36, 56, 142, 162))))
    exact, smaller = data.load_images(tmp_path / "img_align_celeba.zip", 64)
    assert (exact == 255).all()
    assert (smaller[:, 0] < 255).all()


def test_celebas_folder_is_cut_like_its_zip_and_others_of_that_size_are_not(tmp_path):
    face = framed(178, 218, (35, 55, 143, 163))
    assert (data.load_images(folder_of(tmp_path / "img_align_celeba", a=face), 64) == 255).all()
    assert (data.load_images(folder_of(tmp_path / "faces", a=face), 64) == 0).any()


def test_svhns_matlab_file_is_enlarged_in_its_order(tmp_path):
    grey = np.arange(0, 250, 50, dtype=np.uint8)
    x = np.broadcast_to(grey, (32, 32, 3, 5)).copy()
    x[:16, :, 0] = 7  # rows come first, then columns, then colours
    scipy.io.savemat(tmp_path / "train_32x32.mat", {"X": x, "y": np.ones((5, 1))})
    images = data.load_images(tmp_path / "train_32x32.mat", 64)
    assert images.shape == (5, 3, 64, 64)
    assert images[:, 1, 0, 0].tolist() == grey.tolist()
    assert (images[:, 0, :24] == 7).all()
    assert images[3, 0, 60, 60] == 150


def cars(folder: Path, annotations: str, field: str, names: list[str], box=(11, 21, 90, 60), **more) -> Path:
    """A folder of 100x80 pictures, white in `box` (as Stanford Cars counts: from 1, the last included)."""
    rows = np.empty(len(names), [(name, object) for name in (*sources.CARS_FIELDS, field, *more)])
    left, top, right, bottom = box
    for index, name in enumerate(names):
        inside = (max(left, 1) - 1, max(top, 1) - 1, right, bottom)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        framed(100, 80, inside).save(folder / name)
        short = name.removeprefix("cars_train/")
        rows[index] = (*(np.uint8(value) for value in box), short, *(values[index] for values in more.values()))
    (folder / annotations).parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(folder / annotations, {"annotations": rows[None]})
    return folder


def test_stanford_cars_are_cut_to_their_boxes_without_keeping_the_aspect(tmp_path):
    layout = "devkit/cars_train_annos.mat", "fname", ["cars_train/00001.png", "cars_train/00002.png"]
    images = data.load_images(cars(tmp_path, *layout), 64)
    assert images.shape == (2, 3, 64, 64)
    assert (images == 255).all()
    assert sources.find(tmp_path).box(0, 100, 80) == (10, 20, 90, 60)  # from 11 and 21, counted from 1


def test_a_box_that_leaves_its_picture_is_cut_off_at_the_edge(tmp_path):
    layout = "devkit/cars_train_annos.mat", "fname", ["cars_train/00001.png"]
    assert (data.load_images(cars(tmp_path, *layout, box=(0, 1, 120, 99)), 64) == 255).all()


def test_of_the_later_stanford_cars_archive_only_training_pictures_are_taken(tmp_path):
    names = [f"car_ims/{index}.png" for index in range(3)]
    cars(tmp_path, "cars_annos.mat", "relative_im_path", names, test=np.array([1, 0, 0], np.uint8))
    images = data.load_images(tmp_path, 64)
    assert len(images) == 2
    assert (images == 255).all()


def test_a_hugging_face_dataset_is_read_by_the_type_of_its_column(tmp_path, monkeypatch):
    datasets = pytest.importorskip("datasets")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")
    monkeypatch.chdir(tmp_path)  # a relative folder looks just like the name of a dataset on the Hub
    table = {"label": [5, 6], "photo": [picture(seed=0), picture(32, 20, seed=1)]}
    rows = datasets.Dataset.from_dict(
        table, datasets.Features({"label": datasets.Value("int64"), "photo": datasets.Image()})
    )
    (tmp_path / "some" / "set").mkdir(parents=True)
    for split, part in (("train", rows), ("test", rows.select([1]))):
        part.to_parquet(tmp_path / "some" / "set" / f"{split}.parquet")
    images = data.load_images("some/set", 16)
    assert images.shape == (2, 3, 16, 16)
    assert np.array_equal(images[0].permute(1, 2, 0), np.asarray(picture(seed=0)))
    assert torch.equal(data.load_images("some/set/test.parquet", 16), images[1:])
    assert torch.equal(data.load_images("some/set:test", 16), images[1:])
    assert torch.equal(data.load_images(tmp_path / "some" / "set", 16, cache_above=100), images)
    with pytest.raises(ValueError, match=r"some/set:missing: cannot be loaded \(.*split"):
        data.load_images("some/set:missing", 16)

    labels = rows.select_columns(["label"])
    labels.to_parquet(tmp_path / "labels.parquet")
    with pytest.raises(ValueError, match="columns are label, and none holds images"):
        data.load_images("labels.parquet", 16)


def test_an_unknown_name_without_the_datasets_package_says_what_would_be_needed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datasets", None)
    with pytest.raises(ValueError, match=r"no such folder or file; .*Hugging Face dataset.*pip install datasets"):
        data.load_images("somebody/pictures:train", 16)


# What is left out, and what is refused


def test_pictures_that_are_too_small_are_left_out_and_named(tmp_path, caplog):
    folder_of(tmp_path, half=picture(16, 16), less=picture(40, 15), large=picture(64, 64))
    with caplog.at_level("WARNING"):
        assert len(data.load_images(tmp_path, 32)) == 2
    assert "less.png (15x15 pixels are too few" in caplog.text


def test_a_folder_of_nothing_but_small_pictures_says_so(tmp_path):
    folder_of(tmp_path, a=picture(8, 8), b=picture(8, 8))
    with pytest.raises(ValueError, match=r"no readable image among its 2: a\.png \(8x8 pixels are too few"):
        data.load_images(tmp_path, 64)


def test_damaged_members_of_a_zip_are_left_out_and_named(tmp_path, caplog):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for index in range(3):
            archive.writestr(f"{index}.png", png(picture(seed=index)))
        archive.writestr("cut.png", png(picture())[:200])
        archive.writestr("text.jpg", "not a picture")
        archive.writestr("empty.webp", b"")
    content = bytearray(path.read_bytes())
    content[content.find(b"IDAT") + 40] ^= 255  # in 0.png: the zip's checksum fails
    path.write_bytes(content)
    with caplog.at_level("WARNING"):
        assert len(data.load_images(path, 16)) == 2
    assert "4 unreadable file(s) of 6" in caplog.text
    assert all(name in caplog.text for name in ("0.png", "cut.png", "text.jpg", "empty.webp"))


def test_a_decompression_bomb_is_left_out_and_named(tmp_path, caplog):
    side = int(MAX_PIXELS**0.5) + 1
    folder_of(tmp_path, a=picture())
    Image.new("1", (side, side)).save(tmp_path / "bomb.png")
    Image.new("1", (2 * side, 2 * side)).save(tmp_path / "beyond_pillows_limit.png")
    with caplog.at_level("WARNING"):
        assert len(data.load_images(tmp_path, 16)) == 1
    assert "bomb.png" in caplog.text
    assert "beyond_pillows_limit.png" in caplog.text
    assert "megapixels" in caplog.text


def matlab(path: Path, **content) -> Path:
    scipy.io.savemat(path, content)
    return path


def test_every_path_that_holds_no_pictures_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("a")
    with zipfile.ZipFile(tmp_path / "whole.zip", "w") as archive:
        archive.writestr("a.png", png(picture()))
    (tmp_path / "cut.zip").write_bytes((tmp_path / "whole.zip").read_bytes()[:-30])
    (tmp_path / "damaged.mat").write_bytes(b"MATLAB 5.0 MAT-file" + b"\0" * 200)
    for name in ("boxes", "nothing"):
        (tmp_path / name / "devkit").mkdir(parents=True)
    matlab(tmp_path / "boxes" / "devkit" / "cars_train_annos.mat", annotations=np.ones(3))
    matlab(tmp_path / "nothing" / "devkit" / "cars_train_annos.mat", y=1)
    matlab(tmp_path / "labels.mat", y=np.ones((5, 1)))
    matlab(tmp_path / "grey.mat", X=np.ones((32, 32, 5), np.uint8))
    (tmp_path / "notes.txt").write_text("a")
    refusals = {
        "empty": "no readable image",
        "texts": "no readable image",
        "missing": "no such folder or file",
        "missing.zip": "no such folder or file",
        "cut.zip": "not a complete zip",
        "notes.txt": "not a folder, and not a complete zip",
        "damaged.mat": "not a MATLAB file that can be read",
        "labels.mat": "there is none",
        "grey.mat": r"found uint8 \(32, 32, 5\)",
        "boxes": "bbox_x1 is missing",
        "nothing": "bbox_x1 is missing",
    }
    for name, says in refusals.items():
        with pytest.raises(ValueError, match=says) as caught:
            data.load_images(tmp_path / name, 16)
        assert "\n" not in str(caught.value), name
        assert name in str(caught.value)


def test_splitting_keeps_the_last_for_validation_and_refuses_to_leave_nothing():
    images = torch.arange(5)
    assert [part.tolist() for part in data.split(images, 2)] == [[0, 1, 2], [3, 4]]
    for count in (5, -1):
        with pytest.raises(ValueError, match="cannot hold out"):
            data.split(images, count)
