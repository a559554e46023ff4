"""A run, whatever engine does it: what comes out, what is skipped, what is refused."""

import errno
import json
import os
import zipfile
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from batch.conftest import STEPS, pictures_of, rows_of
from PIL import Image

from inpainter import Inpainter, Settings, __main__, masks
from inpainter.batch import StorageError, outputs, seed_of, storage
from inpainter.batch.pictures import decode, encode
from inpainter.batch.work import parts_of
from inpainter.models import CoMod, CoModConfig
from inpainter.models.encoder import Encoder, EncoderConfig


def png(pixels) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def table_of(photos, path, **columns):
    files = sorted(photos.rglob("*.png"))
    rows = {"name": [file.stem for file in files], "image": [file.read_bytes() for file in files], **columns}
    pq.write_table(pa.table(rows), path, row_group_size=5)
    return path


@pytest.fixture
def proposing(model, tmp_path):
    """The tiny model, with an encoder that proposes codes."""
    inpainter = Inpainter.from_pretrained(model)
    config = EncoderConfig(image_size=16, latent_size=inpainter.model.config.latent_size, channels=(8, 8))
    torch.manual_seed(0)
    inpainter.encoder = Encoder(config).eval()
    inpainter.save_pretrained(tmp_path / "proposing")
    return str(tmp_path / "proposing")


@pytest.mark.parametrize("asked, seed", [({}, 0), ({"seed": 5}, 5), ({"seed": "key"}, seed_of("more/003.png"))])
def test_a_pictures_result_is_the_librarys_default_or_that_of_the_seed_asked_for(
    filled, photos, tmp_path, proposing, asked, seed
):
    summary = filled(photos, tmp_path / "out", mask="center", model=proposing, **asked)
    assert (summary.filled, summary.skipped, summary.failed) == (12, 0, 0)
    picture = np.asarray(Image.open(photos / "more/003.png"))
    chosen = {"seed": seed} if asked else {}
    expected = Inpainter.from_pretrained(proposing)(picture, masks.center(16), **STEPS, **chosen)
    assert (np.asarray(Image.open(tmp_path / "out/more/003.png")) == expected.images[0]).all()
    (row,) = [row for row in rows_of(tmp_path / "out") if row["key"] == "more/003.png"]
    assert row["seed"] == seed
    assert row["context_loss"] == pytest.approx(expected.context_loss[0])


def test_the_seed_of_the_settings_counts_where_no_other_is_given(filled, photos, tmp_path):
    filled(photos, tmp_path / "out", mask="center", settings=Settings(seed=5))
    assert {row["seed"] for row in rows_of(tmp_path / "out")} == {5}
    assert filled(photos, tmp_path / "out", mask="center", seed=5).skipped == 12


def test_with_seeds_from_keys_pictures_with_nothing_left_get_fillings_of_their_own(filled, photos, tmp_path):
    Image.fromarray(np.full((16, 16), 255, np.uint8)).save(tmp_path / "all.png")
    for seed, different in {"key": 12, 0: 1}.items():
        filled(photos, tmp_path / f"out-{seed}", mask=tmp_path / "all.png", seed=seed)
        assert len({*pictures_of(tmp_path / f"out-{seed}").values()}) == different


def test_seeds_are_the_same_for_ever():
    assert (seed_of("more/003.png"), seed_of("")) == (1367267407948355475, 7183457195969485844)


def test_bytes_depend_on_neither_the_parts_nor_the_order_nor_the_company(filled, photos, tmp_path):
    filled(photos, tmp_path / "one", mask="pattern")
    filled(photos, tmp_path / "other", mask="pattern", part_size=5)
    (photos / "001.png").unlink()
    filled(photos, tmp_path / "fewer", mask="pattern", part_size=3)
    one = pictures_of(tmp_path / "one")
    assert len(one) == 12
    assert one == pictures_of(tmp_path / "other")
    assert {name: data for name, data in one.items() if name != "001.png"} == pictures_of(tmp_path / "fewer")


def test_known_pixels_come_back_bit_for_bit_at_any_size(filled, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    draws = np.random.default_rng(1)
    for name, shape in {"same": (16, 16), "wide": (40, 61), "tall": (33, 20), "small": (9, 9)}.items():
        Image.fromarray(draws.integers(0, 256, (*shape, 3), dtype=np.uint8)).save(folder / f"{name}.png")
    assert filled(folder, tmp_path / "out", mask="center").failed == 0
    for name, data in pictures_of(tmp_path / "out").items():
        before, after = np.asarray(Image.open(folder / name)), np.asarray(Image.open(BytesIO(data)))
        assert before.shape == after.shape
        changed = (before != after).any(axis=2)
        assert 0 < changed.mean() < 0.6
        assert not changed[0].any() and not changed[:, 0].any()


def test_a_model_that_sees_the_hole_fills_pictures_of_any_size(filled, tmp_path):
    torch.manual_seed(0)
    widths = {f"{part}_channels": (4, 4, 4, 4) for part in ("encoder", "decoder", "discriminator")}
    model = CoMod(CoModConfig(image_size=32, latent_size=4, style_size=4, **widths))
    model.save_pretrained(tmp_path / "model")
    (tmp_path / "photos").mkdir()
    draws = np.random.default_rng(1)
    for name, shape in {"same": (32, 32), "wide": (70, 81), "small": (20, 20)}.items():
        pixels = draws.integers(0, 256, (*shape, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
    summary = filled(tmp_path / "photos", tmp_path / "out", mask="center", model=str(tmp_path / "model"))
    assert (summary.filled, summary.errors) == (3, [])


def test_a_mask_of_the_pictures_size_is_filled_exactly_wherever_it_lies(filled, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (30, 90, 3), dtype=np.uint8)).save(folder / "a.png")
    hole = np.zeros((30, 90), dtype=bool)
    hole[5:20, 75:88] = True
    Image.fromarray(hole).save(tmp_path / "hole.png")
    filled(folder, tmp_path / "out", mask=tmp_path / "hole.png")
    before, after = np.asarray(Image.open(folder / "a.png")), np.asarray(Image.open(tmp_path / "out/a.png"))
    changed = (before != after).any(axis=2)
    assert not changed[~hole].any()
    assert changed[hole].mean() > 0.9


def test_what_is_under_the_hole_decides_nothing(filled, tmp_path):
    hole = np.zeros((30, 90), dtype=bool)
    hole[5:20, 70:88] = True
    Image.fromarray(hole).save(tmp_path / "hole.png")
    pixels = np.random.default_rng(1).integers(0, 256, (30, 90, 3), dtype=np.uint8)
    for name, picture in {"one": pixels, "other": np.where(hole[..., None], 255, pixels).astype(np.uint8)}.items():
        (tmp_path / name).mkdir()
        Image.fromarray(picture).save(tmp_path / name / "a.png")
        filled(tmp_path / name, tmp_path / f"{name}-out", mask=tmp_path / "hole.png")
    assert pictures_of(tmp_path / "one-out") == pictures_of(tmp_path / "other-out")


def test_a_hole_that_no_square_covers_is_an_error_of_its_picture_alone(filled, photos, tmp_path):
    Image.fromarray(np.zeros((30, 90, 3), dtype=np.uint8)).save(photos / "wide.png")
    holes = tmp_path / "holes"
    for file in photos.rglob("*.png"):
        target = holes / file.relative_to(photos)
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ones(Image.open(file).size[::-1], dtype=bool)).save(target)
    summary = filled(photos, tmp_path / "out", mask=holes)
    assert (summary.filled, summary.failed) == (12, 1)
    assert summary.errors[0][0] == "wide.png" and "reaches out" in summary.errors[0][1]


def test_a_text_next_to_a_mask_is_not_taken_for_it(filled, photos, tmp_path):
    (tmp_path / "holes" / "more").mkdir(parents=True)
    for file in photos.rglob("*.png"):
        mask = tmp_path / "holes" / file.relative_to(photos)
        Image.fromarray(masks.center(16)).save(mask)
        mask.with_suffix(".txt").write_text("what it shows")
    assert filled(photos, tmp_path / "out", mask=tmp_path / "holes").filled == 12


def test_a_square_mask_of_another_size_than_the_pictures_or_the_models_is_refused(filled, photos, tmp_path):
    Image.fromarray(masks.center(64)).save(tmp_path / "hole.png")
    summary = filled(photos, tmp_path / "out", mask=tmp_path / "hole.png")
    assert (summary.filled, summary.failed) == (0, 12)
    assert summary.errors[0][1] == "the mask is 64x64 pixels, but the picture is 16x16 and the model 16x16."


def test_an_unreadable_picture_is_a_row_with_an_error_and_is_tried_again(filled, photos, tmp_path):
    good = (photos / "001.png").read_bytes()
    (photos / "001.png").write_bytes(good[:200])
    (photos / "004.png").write_bytes(b"no picture")
    summary = filled(photos, tmp_path / "out", mask="center")
    assert (summary.filled, summary.failed) == (10, 2)
    errors = {row["key"]: row["error"] for row in rows_of(tmp_path / "out") if row["error"]}
    assert errors.keys() == {"001.png", "004.png"}
    assert "damaged" in errors["001.png"] and "not an image" in errors["004.png"]

    (photos / "001.png").write_bytes(good)
    summary = filled(photos, tmp_path / "out", mask="center")
    assert (summary.filled, summary.skipped, summary.failed) == (1, 10, 1)
    assert sorted(row["key"] for row in rows_of(tmp_path / "out")) == sorted(
        file.relative_to(photos).as_posix() for file in photos.rglob("*.png")
    )


def test_names_in_another_encoding_are_filled_and_found_again(filled, photos, tmp_path):
    name = os.fsdecode(b"caf\xe9.png")  # Latin-1
    (photos / "001.png").rename(photos / name)
    for counts in ("12 filled, 0 skipped, 0 failed", "0 filled, 12 skipped, 0 failed"):
        assert str(filled(photos, tmp_path / "out", mask="center", seed="key")) == counts
    assert (tmp_path / "out" / name).is_file()
    with pytest.raises(StorageError, match="not text that Parquet can hold"):
        filled(photos, tmp_path / "table", mask="center", kind="parquet")


def test_new_pictures_are_filled_and_old_ones_left(filled, photos, tmp_path):
    filled(photos, tmp_path / "out", mask="center")
    before = pictures_of(tmp_path / "out")
    (photos / "0005.png").write_bytes((photos / "005.png").read_bytes())
    summary = filled(photos, tmp_path / "out", mask="center")
    assert (summary.filled, summary.skipped) == (1, 12)
    after = pictures_of(tmp_path / "out")
    assert {name: after[name] for name in before} == before and len(after) == 13


def test_hidden_files_that_macos_adds_to_a_zip_are_no_pictures(filled, photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        file.write(photos / "001.png", "001.png")
        file.writestr("__MACOSX/._001.png", b"no picture")
    assert str(filled(tmp_path / "photos.zip", tmp_path / "out", mask=photos)) == "1 filled, 0 skipped, 0 failed"


def test_a_damaged_entry_of_a_zip_is_one_failed_row(filled, photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w", zipfile.ZIP_DEFLATED) as file:
        for name in ("001.png", "002.png"):
            file.write(photos / name, name)
        about = file.getinfo("001.png")
    data = bytearray((tmp_path / "photos.zip").read_bytes())
    start = about.header_offset + 30 + len(about.filename)
    data[start : start + about.compress_size] = b"\xff" * about.compress_size  # no deflate stream starts like this
    (tmp_path / "photos.zip").write_bytes(data)
    summary = filled(tmp_path / "photos.zip", tmp_path / "out", mask="center")
    assert (summary.filled, summary.failed) == (1, 1)


def test_a_zip_a_glob_and_parquet_give_what_the_folder_gives(filled, photos, tmp_path):
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as file:
        for path in photos.rglob("*.png"):
            file.write(path, path.relative_to(photos).as_posix())
    names = [path.relative_to(photos).as_posix() for path in sorted(photos.rglob("*.png"))]
    table_of(photos, tmp_path / "photos.parquet", key=names)
    filled(photos, tmp_path / "folder", mask="half")
    filled(tmp_path / "photos.zip", tmp_path / "zip", mask="half")
    filled(f"{photos}/*.png", tmp_path / "glob", mask="half")
    filled(tmp_path / "photos.parquet", tmp_path / "table", mask="half", key_columns=["key"], kind="files")
    expected = pictures_of(tmp_path / "folder")
    for name in ("zip", "glob", "table"):
        assert pictures_of(tmp_path / name) == expected, name


def test_parquet_holds_a_row_a_picture_with_all_that_was_asked(filled, photos, tmp_path):
    holes = [png(masks.center(16)) for _ in range(11)] + [None]
    table_of(photos, tmp_path / "photos.parquet", hole=holes)
    options = {"mask": "column:hole", "key_columns": ["name"], "seed": "key"}
    summary = filled(tmp_path / "photos.parquet", tmp_path / "out", **options)
    assert (summary.filled, summary.failed) == (11, 1)
    rows = pq.read_table(tmp_path / "out").to_pylist()
    assert list(rows[0]) == ["key", "image", "seed", "context_loss", "prior_loss", "seconds", "error"]
    assert sorted(row["key"] for row in rows) == sorted(file.stem for file in photos.rglob("*.png"))
    (failed,) = [row for row in rows if row["error"]]
    assert failed["image"] is None and "holds no mask" in failed["error"]
    for row in rows:
        if row is not failed:
            assert row["seed"] == seed_of(row["key"]) and row["seconds"] > 0
            assert Image.open(BytesIO(row["image"])).size == (16, 16)
    again = filled(tmp_path / "photos.parquet", tmp_path / "out", **options)
    assert (again.filled, again.skipped, again.failed) == (0, 11, 1)
    assert len(pq.read_table(tmp_path / "out", columns=["key"])) == 12


def test_rows_of_the_hubs_data_sets_are_read_and_named_by_file_and_number(filled, photos, tmp_path):
    (tmp_path / "set").mkdir()
    cells = [{"bytes": file.read_bytes(), "path": file.name} for file in sorted(photos.rglob("*.png"))[:3]]
    pq.write_table(pa.table({"image": cells}), tmp_path / "set" / "train-0.parquet")
    filled(tmp_path / "set", tmp_path / "out", mask="center", kind="files")
    assert pictures_of(tmp_path / "out").keys() == {f"train-0/000000{n}.png" for n in range(3)}


def test_a_profile_of_greys_is_kept_unless_the_filling_has_colours():
    grey, file = np.arange(256, dtype=np.uint8).reshape(16, 16), BytesIO()
    Image.fromarray(grey).save(file, "PNG", icc_profile=b"greys")
    pixels, form = decode(file.getvalue())
    coloured = np.where(masks.center(16)[..., None], [200, 100, 0], pixels).astype(np.uint8)
    for filled, mode, profile in ((pixels, "L", b"greys"), (coloured, "RGB", None)):
        image = Image.open(BytesIO(encode(filled, form, "PNG")))
        assert (image.mode, image.info.get("icc_profile")) == (mode, profile)


def test_format_profile_orientation_and_greyness_are_kept(filled, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    draws = np.random.default_rng(2)
    pixels = draws.integers(0, 256, (16, 24, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    exif[0x010E] = "a title"
    for name, options in {"a.webp": {"lossless": True}, "b.tif": {}, "c.png": {}, "d.jpg": {"quality": 95}}.items():
        Image.fromarray(pixels).save(folder / name, exif=exif, icc_profile=b"profile" * 30, **options)
    Image.fromarray(pixels[..., 0]).save(folder / "grey.bmp")
    assert filled(folder, tmp_path / "out", mask="center").failed == 0
    assert pictures_of(tmp_path / "out").keys() == {"a.webp", "b.tif", "c.png", "d.png", "grey.bmp"}
    for name, kind in {"a.webp": "WEBP", "b.tif": "TIFF", "c.png": "PNG", "d.png": "PNG"}.items():
        image = Image.open(tmp_path / "out" / name)
        assert (image.format, image.size) == (kind, (16, 24)), name
        assert image.info["icc_profile"] == b"profile" * 30
        assert 0x0112 not in image.getexif() and image.getexif()[0x010E] == "a title"
        if name != "d.png":
            assert (np.asarray(image)[:, 0] == np.rot90(pixels, -1)[:, 0]).all()
    filled(folder, tmp_path / "original", mask="center", format="original")
    assert Image.open(tmp_path / "original" / "d.jpg").format == "JPEG"


def test_a_grey_picture_whose_filling_is_grey_stays_grey(filled, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("L", (16, 16), 90).save(tmp_path / "photos" / "a.png")
    Image.new("1", (16, 16)).save(tmp_path / "hole.png")
    filled(tmp_path / "photos", tmp_path / "out", mask=tmp_path / "hole.png")
    assert Image.open(tmp_path / "out" / "a.png").mode == "L"


def test_parts_are_cut_the_same_whatever_is_finished():
    from inpainter.batch.sources import Item

    items = [Item(str(n), 10, group=n // 7) for n in range(20)]
    whole = [[item.key for item in part] for part in parts_of(items, 3, set())]
    assert [len(part) for part in whole] == [3, 3, 1, 3, 3, 1, 3, 3]
    rest = [[item.key for item in part] for part in parts_of(items, 3, {"0", "3", "4", "5"})]
    assert rest == [["1", "2"], *whole[2:]]


def no_key_column(photos, tmp_path):
    return table_of(photos, tmp_path / "t.parquet"), {"key_columns": ["key"]}, "no column 'key'"


def long_keys(photos, tmp_path):
    table = table_of(photos, tmp_path / "t.parquet", long=[f"{number:0300d}" for number in range(12)])
    return table, {"key_columns": ["long"], "kind": "files"}, "too long"


REFUSED = {
    "an empty folder": lambda photos, tmp_path: (tmp_path, {}, "there are no pictures here"),
    "nothing there": lambda photos, tmp_path: (tmp_path / "gone", {}, "no such file, folder or bucket"),
    "no zip": lambda photos, tmp_path: (file_at(tmp_path / "a.zip"), {}, "not a zip file"),
    "no parquet": lambda photos, tmp_path: (file_at(tmp_path / "a.parquet"), {}, "cannot be read|not a|magic bytes"),
    "one picture": lambda photos, tmp_path: (photos / "001.png", {}, "leave out `batch`"),
    "unknown mask": lambda photos, tmp_path: (photos, {"mask": "middle"}, "neither one of"),
    "a column of a folder": lambda photos, tmp_path: (photos, {"mask": "column:hole"}, "only Parquet has columns"),
    "a mask that is none": lambda photos, tmp_path: (photos, {"mask": file_at(tmp_path / "m.png")}, "not an image"),
    "masks missing": lambda photos, tmp_path: (photos, {"mask": photos / "more"}, "no mask for 12 of 12 pictures"),
    "no such column": no_key_column,
    "long keys": long_keys,
    "unknown scheme": lambda photos, tmp_path: ("nowhere://a", {}, "nowhere"),
    "output in the input": lambda photos, tmp_path: (photos, {"output": photos / "out"}, "lies in the input"),
    "output that a glob matches": lambda photos, tmp_path: (
        f"{tmp_path}/photo*/*.png",
        {"output": tmp_path / "photos_filled"},
        "lies in the input",
    ),
    "output with other files": lambda photos, tmp_path: (photos, {"output": tmp_path}, "holds files, but none"),
    "bad part size": lambda photos, tmp_path: (photos, {"part_size": 0}, "whole number from 1"),
    "no blending": lambda photos, tmp_path: (photos, {"blend": "none"}, "blend cannot be none"),
    "an unknown setting": lambda photos, tmp_path: (photos, {"stepz": 1}, "no setting"),
    "a seed that is none": lambda photos, tmp_path: (photos, {"seed": "keys"}, "whole number or 'key', got 'keys'"),
    "a seed for each": lambda photos, tmp_path: (photos, {"seed": (1, 2)}, "seed must be one for all"),
    "unknown format": lambda photos, tmp_path: (photos, {"format": "gif"}, "format must be one of"),
}


def file_at(path):
    path.write_bytes(b"something else")
    return path


@pytest.mark.parametrize("case", REFUSED)
def test_it_refuses_in_one_sentence(filled, photos, tmp_path, case):
    tmp_path.joinpath("empty").mkdir()
    here = tmp_path / "empty" if case == "an empty folder" else tmp_path
    source, options, sentence = REFUSED[case](photos, here)
    output = options.pop("output", tmp_path / "out")
    with pytest.raises((ValueError, TypeError), match=sentence) as caught:
        filled(source, output, **{"mask": "center", **options})
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "_inpainter").exists()


def test_pictures_that_would_be_written_to_one_file_are_refused(filled, photos, tmp_path):
    Image.open(photos / "001.png").save(photos / "001.jpg")
    with pytest.raises(StorageError, match=r"duplicate keys: 001.jpg and 001.png"):
        filled(photos, tmp_path / "out", mask="center")
    assert filled(photos, tmp_path / "out", mask="center", format="original").filled == 13


def test_duplicate_and_unsafe_keys_of_parquet_are_refused(filled, photos, tmp_path):
    table_of(photos, tmp_path / "a.parquet", key=["same"] * 12)
    with pytest.raises(StorageError, match="duplicate keys: same and same would both be written as same"):
        filled(tmp_path / "a.parquet", tmp_path / "out", mask="center", key_columns=["key"])
    for key in ("../out", "/etc/x", "a//b", "_inpainter/run.json", ""):
        table_of(photos, tmp_path / "b.parquet", key=[key] + [str(n) for n in range(11)])
        with pytest.raises(StorageError, match="cannot be the name of a file"):
            filled(tmp_path / "b.parquet", tmp_path / "out", mask="center", key_columns=["key"], kind="files")


@pytest.mark.parametrize(
    "name, other",
    [
        ("steps", {"steps": 3}),
        ("holes", {"mask": "half"}),
        ("format", {"format": "png"}),
        ("seed", {"seed": 1}),
        ("seed", {"seed": "key"}),
        ("find_faces", {"find_faces": True}),
        ("output", {"kind": "parquet"}),
    ],
)
def test_an_output_that_holds_another_run_is_refused_by_what_differs(filled, photos, tmp_path, name, other):
    filled(photos, tmp_path / "out", mask="center")
    before = pictures_of(tmp_path / "out")
    with pytest.raises(StorageError, match=f"holds another run, with {name} "):
        filled(photos, tmp_path / "out", **{"mask": "center", **other})
    assert pictures_of(tmp_path / "out") == before


def test_another_model_or_input_is_another_run(filled, photos, tmp_path, model):
    import shutil

    from conftest import tiny_dcgan

    filled(photos, tmp_path / "out", mask="center")
    shutil.copytree(photos, tmp_path / "copy")
    with pytest.raises(StorageError, match="another run, with input"):
        filled(tmp_path / "copy", tmp_path / "out", mask="center")
    tiny_dcgan(seed=1).save_pretrained(tmp_path / "model")
    with pytest.raises(StorageError, match="another run, with checksum"):
        filled(photos, tmp_path / "out", mask="center", model=str(tmp_path / "model"))
    shutil.copytree(model, tmp_path / "same")  # the same weights elsewhere are the same model
    assert filled(photos, tmp_path / "out", mask="center", model=str(tmp_path / "same")).skipped == 12


def test_a_damaged_parquet_file_is_named(filled, photos, tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "broken.parquet").write_bytes(b"PAR1 and nothing else")
    with pytest.raises(StorageError, match=r"broken\.parquet: not a Parquet file, or a damaged one"):
        filled(tmp_path / "in", tmp_path / "out", mask="center")


def test_of_long_paths_the_one_that_differs_is_named(filled, photos, tmp_path):
    long = "a" * 100
    for name in ("one", "two"):
        (tmp_path / long / name).mkdir(parents=True)
        for photo in photos.rglob("*.png"):
            path = tmp_path / long / name / photo.relative_to(photos)
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(masks.center(16)).resize(Image.open(photo).size).save(path)
    filled(photos, tmp_path / "out", mask=tmp_path / long / "one")
    with pytest.raises(StorageError, match=r"with holes folder .*one' where this one has .*two'"):
        filled(photos, tmp_path / "out", mask=tmp_path / long / "two")


def test_other_columns_of_a_table_are_another_run(filled, photos, tmp_path):
    names = [path.relative_to(photos).as_posix() for path in sorted(photos.rglob("*.png"))]
    table_of(photos, tmp_path / "photos.parquet", key=names, id=[f"id-{name}" for name in names])
    settings = {"mask": "center", "kind": "files"}
    filled(tmp_path / "photos.parquet", tmp_path / "out", key_columns=["key"], **settings)
    with pytest.raises(StorageError, match="another run, with key_columns"):
        filled(tmp_path / "photos.parquet", tmp_path / "out", key_columns=["id"], **settings)


def test_a_full_disk_ends_the_run_in_one_sentence_and_loses_nothing(filled, photos, tmp_path, monkeypatch):
    written = []

    def write(path, data):
        if len(written) == 7:
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        real(path, data)

    real = storage.write_bytes
    monkeypatch.setattr(storage, "write_bytes", write)
    with pytest.raises(StorageError, match="the disk is full; what is finished is kept"):
        filled(photos, tmp_path / "out", mask="center")
    monkeypatch.setattr(storage, "write_bytes", real)
    summary = filled(photos, tmp_path / "out", mask="center")
    assert (summary.filled, summary.skipped) == (8, 4)
    assert len(rows_of(tmp_path / "out")) == 12


def test_damaged_rows_are_named(filled, photos, tmp_path):
    filled(photos, tmp_path / "out", mask="center")
    (part, *_) = (tmp_path / "out/_inpainter/rows").glob("*.jsonl")
    part.write_text('{"key": ')
    with pytest.raises(StorageError, match=part.name):
        filled(photos, tmp_path / "out", mask="center")


def test_find_faces_frames_the_face_and_fills_the_photo_at_its_own_size(filled, tmp_path, monkeypatch):
    from inpainter.blending import faces

    face = faces.Face((40.0, 30.0), (56.0, 30.0), guessed=False)
    monkeypatch.setattr(faces, "find_face", lambda photo: face if photo[0, 0, 0] else None)
    (tmp_path / "photos").mkdir()
    for name, level in {"face": 200, "none": 0}.items():
        pixels = np.random.default_rng(0).integers(1, 256, (90, 120, 3), dtype=np.uint8)
        pixels[0, 0] = level
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{name}.png")
    summary = filled(tmp_path / "photos", tmp_path / "out", mask="center", find_faces=True)
    assert summary.filled == 1 and summary.errors == [("none.png", "no face was found in the picture.")]
    square = faces.frame(face, 120, 90)
    before, after = (np.asarray(Image.open(tmp_path / folder / "face.png")) for folder in ("photos", "out"))
    changed = (before != after).any(axis=2)
    inside = np.zeros_like(changed)
    inside[square.slices] = True
    assert changed.any() and not changed[~inside].any()


def test_the_command_line_sums_up_and_says_by_its_status_that_some_failed(filled, photos, tmp_path, model, capsys):
    options = ["--mask", "center", "--model", model, "--steps", "2", "--refine", "0", "--mode", "fast", "--quiet"]
    command = ["batch", str(photos), "-o", str(tmp_path / "out"), *options]
    (photos / "004.png").write_bytes(b"no picture")
    assert __main__.main(command) == 1
    out, err = capsys.readouterr()
    assert out == "11 filled, 0 skipped, 1 failed\n"
    assert err.startswith("failed: 004.png: ") and err.count("\n") == 1
    (photos / "004.png").write_bytes((photos / "005.png").read_bytes())
    assert __main__.main(command) == 0
    assert capsys.readouterr().out == "1 filled, 11 skipped, 0 failed\n"
    assert __main__.main([*command, "--steps", "3"]) == 2
    assert "holds another run" in capsys.readouterr().err


def test_rows_carry_valid_json_and_parts_are_named_by_their_keys(filled, photos, tmp_path):
    filled(photos, tmp_path / "out", mask="center")
    names = {file.stem for file in (tmp_path / "out/_inpainter/rows").iterdir()}
    parts = [
        [json.loads(line) for line in f.read_text().splitlines()] for f in (tmp_path / "out/_inpainter/rows").iterdir()
    ]
    assert names == {outputs._part_name(part) for part in parts}
