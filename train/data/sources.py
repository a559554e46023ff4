"""Sources of training pictures, and how each picture is cropped.

These are folders and zips of images, Hugging Face datasets, and the official releases of CelebA, SVHN and Stanford
Cars, which are recognised by their contents.
"""

import io
import re
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import fsspec
import numpy as np
import scipy.io
from PIL import Image

from inpainter.images import centre_square
from inpainter.reading import read_image

SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"}

CELEBA_FOLDER, CELEBA_SIZE, CELEBA_SIDE = "img_align_celeba", (178, 218), 108
CARS_FIELDS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
# Stanford Cars: annotation file, the field with a picture's path, and the folder it is relative to.
CARS_LAYOUTS = (
    ("devkit/cars_train_annos.mat", "fname", "cars_train"),
    ("cars_annos.mat", "relative_im_path", "."),
)

Box = tuple[int, int, int, int]  # left, top, right, bottom


@dataclass(frozen=True)
class Source:
    """Pictures that can be read in any order, from several threads at once."""

    names: Sequence[str]  # of the pictures, for messages
    read: Callable[[int], Image.Image]  # reads a picture in RGB; a damaged file can raise anything
    box: Callable[[int, int, int], Box]  # returns the crop of a picture from its index, width and height
    stamp: list  # changes when the pictures do


def find(path: str | Path) -> Source:
    """Returns the source at a path or name, which is one of:

    - a folder or zip of images, cropped to their centre squares;
    - CelebA's `img_align_celeba`, as zip or folder: cropped to the centre 108x108 pixels (the DCGAN convention);
    - SVHN's `train_32x32.mat`;
    - Stanford Cars, a folder with `cars_train` and `devkit`, or `car_ims` and `cars_annos.mat`: the training pictures,
      cropped to their boxes, which become squares regardless of their aspect ratio;
    - a Hugging Face dataset, `user/name` or `user/name:split`, or a folder of its Parquet files.

    Raises:
        ValueError: if it is none of these, or its contents are invalid.
    """
    file = Path(path)
    if file.is_dir():
        for annotations, field, folder in CARS_LAYOUTS:
            if (file / annotations).is_file():
                return _cars(file / annotations, field, file / folder)
        return _folder(file)
    if file.suffix.lower() == ".mat" and file.is_file():
        return _svhn(file)
    if file.suffix.lower() == ".parquet" and file.is_file():
        return _hugging_face(str(path), "parquet", data_files=str(path))
    if file.is_file():
        return _zip(file)
    name, _, split = str(path).partition(":")
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name) and Path(name).suffix.lower() not in {*SUFFIXES, ".zip", ".mat"}:
        return _hugging_face(str(path), name, split)
    raise ValueError(f"{path}: no such folder or file.")


def _folder(folder: Path) -> Source:
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*")}
    names = _pictures(files)
    if not names and any(name.endswith(".parquet") for name in files):
        return _hugging_face(str(folder), str(folder))
    if not names:
        raise ValueError(f"{folder}: holds no readable image (looked for {', '.join(sorted(SUFFIXES))}).")
    return Source(
        names,
        lambda index: _decode(files[names[index]].read_bytes()),
        _celeba_box if CELEBA_FOLDER in PurePosixPath(folder.resolve().name, names[0]).parts else _centre_box,
        [[name, *_stamp(files[name])] for name in names],
    )


def _zip(path: Path) -> Source:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise ValueError(
            f"{path}: not a folder, and not a complete zip archive ({error}); other archives must be unpacked first."
        ) from error
    names = _pictures(archive.namelist())
    if not names:
        raise ValueError(f"{path}: holds no readable image (looked for {', '.join(sorted(SUFFIXES))}).")
    return Source(
        names,
        lambda index: _decode(archive.read(names[index])),
        _celeba_box if CELEBA_FOLDER in PurePosixPath(names[0]).parts else _centre_box,
        _stamp(path),
    )


def _svhn(path: Path) -> Source:
    images = _matlab(path).get("X")
    if not isinstance(images, np.ndarray) or images.dtype != np.uint8 or images.shape[:3] != (32, 32, 3):
        seen = "there is none" if images is None else f"found {images.dtype} {images.shape}"
        raise ValueError(
            f"{path}: expected X of type uint8 and shape (32, 32, 3, N), as in SVHN's train_32x32.mat; {seen}."
        )
    images = images.reshape(32, 32, 3, -1)
    return Source(
        [f"picture {index + 1} of {path.name}" for index in range(images.shape[3])],
        lambda index: Image.fromarray(np.ascontiguousarray(images[..., index])),
        _centre_box,
        _stamp(path),
    )


def _cars(path: Path, field: str, folder: Path) -> Source:
    rows = _matlab(path).get("annotations")
    fields = (*CARS_FIELDS, field)
    lacking = [name for name in fields if name not in (getattr(getattr(rows, "dtype", None), "names", None) or ())]
    if lacking:
        raise ValueError(f"{path}: expected `annotations` with {', '.join(fields)}; {lacking[0]} is missing.")
    rows = np.atleast_1d(rows)
    if "test" in rows.dtype.names:  # the single archive also holds the test pictures
        rows = rows[[not int(value) for value in rows["test"]]]
    if not len(rows):
        raise ValueError(f"{path}: lists no training picture.")
    names = [str(name) for name in rows[field]]
    boxes = [[int(row[name]) for name in CARS_FIELDS] for row in rows]

    def box(index: int, width: int, height: int) -> Box:
        left, top, right, bottom = boxes[index]  # counted from 1, including the last pixel
        return max(left - 1, 0), max(top - 1, 0), min(right, width), min(bottom, height)

    return Source(names, lambda index: _decode((folder / names[index]).read_bytes()), box, _stamp(path))


def load_dataset(shown: str, name: str, split: str = "", streaming: bool = False, **options: Any):
    """Loads a dataset with the package `datasets`; the default split is "train", or else the first one.

    Raises:
        ValueError: if it cannot be loaded; the message begins with `shown`, the name that the user gave.
    """
    known = options or "://" in shown or Path(name).exists()
    prefix = shown if known else f"{shown}: no such folder or file; as a Hugging Face dataset"
    try:
        import datasets
    except ImportError as error:
        raise ValueError(f"{prefix}: needs a package that is not installed: pip install datasets.") from error
    try:
        if not split:
            splits = datasets.get_dataset_split_names(name, **options)
            split = "train" if "train" in splits else splits[0]
        return datasets.load_dataset(name, split=split, streaming=streaming, **options)
    except Exception as error:  # the library raises many kinds: network, access, layout, damaged files
        reason = " ".join(str(error).split())
        raise ValueError(f"{prefix}: cannot be loaded ({reason:.200}).") from error


def only_pictures(dataset: Any, shown: str) -> tuple[Any, str]:
    """Reduces a dataset to its first column of pictures, not decoded; returns it with the column's name."""
    import datasets

    features = dataset.features.items()
    columns = [key for key, feature in features if isinstance(feature, datasets.Image)]
    columns += [key for key, feature in features if _holds_files(feature)]  # as other programs write them
    if not columns:
        raise ValueError(f"{shown}: its columns are {', '.join(dataset.features)}, and none holds images.")
    column = columns[0]
    return dataset.select_columns([column]).cast_column(column, datasets.Image(decode=False)), column


def _holds_files(feature: Any) -> bool:
    """Returns whether cells are a file's bytes, alone or as the field `bytes`."""
    feature = feature.get("bytes") if isinstance(feature, dict) else feature
    return getattr(feature, "dtype", "") in ("binary", "large_binary")


def picture_of(cell: dict[str, Any]) -> Image.Image:
    """Decodes the picture in a cell of such a column, which holds the file's bytes or its path."""
    if cell["bytes"] is not None:
        return _decode(cell["bytes"])
    with fsspec.open(cell["path"], "rb") as file:
        return _decode(file.read())


def _hugging_face(shown: str, name: str, split: str = "", **options: Any) -> Source:
    dataset, column = only_pictures(load_dataset(shown, name, split, **options), shown)
    return Source(
        [f"row {index} of {shown}" for index in range(len(dataset))],
        lambda index: picture_of(dataset[index][column]),
        _centre_box,
        [str(dataset.split), column, *(_stamp(Path(file["filename"])) for file in dataset.cache_files)],
    )


def _pictures(names: Sequence[str]) -> list[str]:
    """Returns the picture files among the names, sorted."""
    return sorted(filter(is_picture, names))


def is_picture(name: str) -> bool:
    """Returns whether a name is that of a picture file; excludes hidden files and those that macOS adds to zips."""
    path = PurePosixPath(name)
    hidden = any(part.startswith((".", "__MACOSX")) for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden


def _decode(data: bytes) -> Image.Image:
    return read_image(io.BytesIO(data))


def _matlab(path: Path) -> dict[str, Any]:
    try:
        return scipy.io.loadmat(path, squeeze_me=True)
    except Exception as error:  # damaged files make the reader raise almost anything
        raise ValueError(f"{path}: not a MATLAB file that can be read ({error}).") from error


def _stamp(path: Path) -> list:
    status = path.stat()
    return [str(path.resolve()), status.st_size, status.st_mtime_ns]


def _centre_box(index: int, width: int, height: int) -> Box:
    return centre_square(width, height)


def _celeba_box(index: int, width: int, height: int) -> Box:
    if (width, height) != CELEBA_SIZE:
        return centre_square(width, height)
    left, top = (width - CELEBA_SIDE) // 2, (height - CELEBA_SIDE) // 2
    return left, top, left + CELEBA_SIDE, top + CELEBA_SIDE
