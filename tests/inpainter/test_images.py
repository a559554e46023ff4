import io
import os

import numpy as np
import pytest
import torch
from PIL import Image

from inpainter import images as img
from inpainter import masks, reading
from inpainter.devices import device_from_name


def saved(image: Image.Image, format: str = "PNG", **options) -> io.BytesIO:
    file = io.BytesIO()
    image.save(file, format, **options)
    file.seek(0)
    return file


def colours() -> Image.Image:
    """A 12x10 picture, red on the left and a grey ramp on the right."""
    levels = np.zeros((10, 12, 3), np.uint8)
    levels[:, :6] = (200, 30, 40)
    levels[:, 6:] = np.linspace(0, 255, 10).astype(np.uint8)[:, None, None]
    return Image.fromarray(levels)


def test_conversion_to_the_model_and_back_is_exact():
    levels = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    tensor = img.to_tensor(levels)
    assert tensor.shape == (1, 3, 16, 16)
    assert (tensor.min(), tensor.max()) == (-1, 1)
    assert (img.to_uint8(tensor) == levels).all()
    assert img.to_uint8(torch.tensor([-7.0, 7.0]).reshape(2, 1, 1, 1)).ravel().tolist() == [0, 255]


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "YCbCr", "HSV"])
def test_colour_modes_are_read_as_the_same_picture(mode):
    image = colours().quantize(64) if mode == "P" else colours().convert(mode)
    if mode in ("YCbCr", "HSV"):  # in no common file format as such; the library still takes the object
        read = reading.to_rgb(image)
    else:
        read = reading.read_image(saved(image, "TIFF" if mode == "CMYK" else "PNG"))
    assert read.mode == "RGB"
    assert np.abs(np.asarray(read).astype(int) - np.asarray(colours())).mean() < 4


@pytest.mark.parametrize("mode", ["L", "LA", "1"])
def test_grey_modes_are_read_as_grey(mode):
    grey = colours().convert("L").convert(mode)
    expected = np.asarray(grey.convert("L"))
    assert (np.asarray(reading.read_image(saved(grey)))[..., 1] == expected).all()


def test_16_bit_grey_keeps_its_tones():
    ramp = np.linspace(0, 65535, 120).astype(np.uint16).reshape(10, 12)
    read = np.asarray(reading.read_image(saved(Image.fromarray(ramp))))
    assert np.abs(read[..., 0].astype(int) - (ramp / 257)).max() <= 1


def test_transparency_is_seen_over_white():
    image = np.zeros((10, 12, 4), np.uint8)
    image[:, :6] = (200, 0, 0, 255)
    read = np.asarray(reading.read_image(saved(Image.fromarray(image, "RGBA"))))
    assert (read[:, :6] == (200, 0, 0)).all()
    assert (read[:, 6:] == 255).all()
    palette = colours().quantize(64)
    read = np.asarray(reading.read_image(saved(palette, transparency=palette.getpixel((0, 0)))))
    assert (read[:, :6] == 255).all()


def test_rotated_photos_are_read_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise to view
    read = reading.read_image(saved(colours(), "PNG", exif=exif))
    assert (np.asarray(read) == np.asarray(colours().transpose(Image.Transpose.ROTATE_270))).all()


def test_pipes_and_devices_are_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", "/dev/zero"):
        with pytest.raises(ValueError, match="not a regular file"):
            reading.read_image(path)


def test_files_that_are_not_pictures_are_refused(tmp_path):
    text = tmp_path / "notes.png"
    text.write_text("not a picture")
    for source, says in ((text, "notes.png"), (tmp_path, "folder"), (tmp_path / "none.png", "no such file")):
        with pytest.raises(ValueError, match=says):
            reading.read_image(source)
    with pytest.raises(ValueError, match="not an image"):
        reading.read_image(io.BytesIO(b""))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_truncated_files_are_refused_in_a_sentence(format):
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = saved(noise, format).getvalue()
    with pytest.raises(ValueError, match=r"incomplete|cannot be read|not an image"):
        reading.read_image(io.BytesIO(data[: len(data) // 2]))


def test_a_20000_by_20000_picture_is_refused_before_it_is_decoded(monkeypatch):
    file = saved(Image.new("1", (20_000, 20_000)))
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(ValueError, match="megapixels"):
        reading.read_image(file)


def test_pictures_just_over_the_limit_and_tiny_ones_are_refused(monkeypatch):
    monkeypatch.setattr(reading, "MAX_PIXELS", 100)
    with pytest.raises(ValueError, match="12x10"):
        reading.read_image(saved(colours()))
    monkeypatch.undo()
    with pytest.raises(ValueError, match="1x1"):
        reading.read_image(saved(Image.new("RGB", (1, 1))))


def test_floating_point_pictures_are_refused():
    with pytest.raises(ValueError, match="floating-point"):
        reading.read_image(saved(Image.fromarray(np.full((10, 10), np.nan, np.float32)), "TIFF"))


@pytest.mark.parametrize("size, side", [(100, 64), (7, 3), (12, 4), (5, 8), (6, 6)])
def test_a_reduced_hole_has_every_pixel_that_the_hole_touches(size, side):
    for row, column in np.random.default_rng(0).integers(0, size, (20, 2)):
        hole = np.zeros((size, size), dtype=bool)
        hole[row, column] = True
        touched = [
            [i for i in range(side) if i * size < (at + 1) * side and (i + 1) * size > at * side]
            for at in (row, column)
        ]
        expected = np.zeros((side, side), dtype=bool)
        expected[np.ix_(*touched)] = True
        assert (img.reduce_hole(hole, side) == expected).all()


def test_fit_leaves_a_picture_of_the_models_size_alone():
    picture = np.asarray(colours().resize((16, 16)))
    fitted, hole = img.fit(picture, masks.center(16), 16)
    assert (fitted[~hole] == picture[~hole]).all()
    assert (fitted[hole] == 0).all()


def test_fit_crops_the_centre_square():
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40] = 77
    fitted, _ = img.fit(wide, np.zeros((20, 60), bool), 16)
    assert (fitted == 77).all()


@pytest.mark.parametrize("size", [16, 64])
def test_nothing_under_the_hole_leaks_into_known_pixels_when_resizing(size):
    draws = np.random.default_rng(0)
    picture = draws.integers(0, 256, (45, 61, 3), dtype=np.uint8)
    hole = masks.pattern(61, missing=0.3)[:45]
    changed = np.where(hole[..., None], draws.integers(0, 256, picture.shape), picture).astype(np.uint8)
    (a, hole_a), (b, hole_b) = img.fit(picture, hole, size), img.fit(changed, hole, size)
    assert (a == b).all()
    assert (hole_a == hole_b).all()
    assert 0.2 < hole_a.mean() < 0.8


@pytest.mark.parametrize("shape", [(45, 61), (64, 64), (300, 200), (20, 17)])
def test_nothing_under_a_hole_of_the_models_size_leaks_either(shape):
    draws = np.random.default_rng(0)
    picture, hole, size = draws.integers(0, 256, (*shape, 3), dtype=np.uint8), masks.center(16), 16
    left, top, right, bottom = img.centre_square(*shape[::-1])
    fine = np.zeros(shape, bool)
    fine[top:bottom, left:right] = img.enlarge_hole(hole, right - left)
    changed = np.where(fine[..., None], 255 - picture, picture)
    (a, hole_a), (b, _) = img.fit(picture, hole, size), img.fit(changed, hole, size)
    assert (a == b).all()
    assert (hole_a == hole).all()
    assert (a[~hole] != 0).any()


def test_a_model_pixel_is_missing_as_soon_as_part_of_it_is():
    hole = np.zeros((160, 160), bool)
    hole[45, 83] = True
    _, coarse = img.fit(np.zeros((160, 160, 3), np.uint8), hole, 16)
    assert np.argwhere(coarse).tolist() == [[4, 8]]


def test_a_flat_picture_stays_flat_around_a_hole():
    hole = masks.pattern(61)
    fitted, coarse = img.fit(np.full((61, 61, 3), 131, np.uint8), hole, 16)
    assert (fitted[~coarse] == 131).all()


def test_a_hole_of_the_models_size_fits_a_picture_of_any_size():
    fitted, hole = img.fit(np.full((30, 50, 3), 9, np.uint8), masks.center(16), 16)
    assert (hole == masks.center(16)).all()
    assert (fitted[~hole] == 9).all()


def test_a_hole_of_another_size_is_refused():
    with pytest.raises(ValueError, match=r"8x4 pixels.*50x30"):
        img.fit(np.zeros((30, 50, 3), np.uint8), np.zeros((4, 8), bool), 16)


def test_grids_hold_every_image_in_reading_order():
    images = np.arange(5, dtype=np.uint8).reshape(5, 1, 1, 1) * np.ones((5, 2, 2, 3), np.uint8)
    grid = np.asarray(img.image_grid(images, columns=3, gap=1))
    assert grid.shape == (5, 8, 3)
    assert (grid[0, ::3, 0] == [0, 1, 2]).all()
    assert (grid[3, ::3, 0] == [3, 4, 255]).all()


def test_unusable_devices_are_refused():
    for name in ("nonsense", "cuda:99", "meta"):
        with pytest.raises(ValueError, match=name):
            device_from_name(name)
