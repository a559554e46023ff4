"""Buckets, as a server on loopback speaks S3."""

import fsspec
import pyarrow.parquet as pq
import pytest
from batch.conftest import pictures_of
from s3_server import s3_server

from inpainter.batch import StorageError, storage


@pytest.fixture(scope="module")
def bucket():
    """The URL of a new bucket."""
    with s3_server() as s3:
        s3.mkdir("archive")
        yield "s3://archive"
        storage._filesystem.cache_clear()


def test_a_bucket_gives_and_takes_what_a_folder_does_and_remembers_what_is_finished(filled, photos, tmp_path, bucket):
    s3 = fsspec.filesystem("s3")
    s3.put(str(photos), "archive/photos", recursive=True)
    filled(photos, tmp_path / "out", mask="center")
    assert filled(f"{bucket}/photos", f"{bucket}/out", mask="center").filled == 12
    found = {name: s3.cat(f"archive/out/{name}") for name in pictures_of(tmp_path / "out")}
    assert found == pictures_of(tmp_path / "out")
    assert filled(f"{bucket}/photos", f"{bucket}/out", mask="center").skipped == 12


def test_parquet_and_masks_in_a_bucket(filled, photos, tmp_path, bucket):
    s3 = fsspec.filesystem("s3")
    s3.put(str(photos), "archive/pictures", recursive=True)
    for file in photos.rglob("*.png"):
        storage.Store(f"{bucket}/masks").write(f"{file.relative_to(photos)}", file.read_bytes())
    summary = filled(f"{bucket}/pictures", f"{bucket}/table", mask=f"{bucket}/masks", kind="parquet")
    assert summary.filled == 12
    parts = s3.glob("archive/table/*.parquet")
    assert len(parts) == 3
    assert sum(pq.read_table(s3.open(part)).num_rows for part in parts) == 12
    again = filled(f"{bucket}/table", tmp_path / "out", mask="half", key_columns=["key"], kind="files")
    assert again.filled == 12
    assert pictures_of(tmp_path / "out").keys() == pictures_of(photos).keys()


@pytest.mark.parametrize("place", ["s3://nobodys", "s3://archive/nothing"])
def test_a_bucket_that_is_not_there_is_one_sentence(filled, tmp_path, bucket, place):
    with pytest.raises(StorageError, match="there is no such file, folder or bucket") as caught:
        filled(place, tmp_path / "out", mask="center")
    assert "\n" not in str(caught.value)


def test_a_storage_that_does_not_answer_is_one_sentence(filled, tmp_path, bucket, monkeypatch):
    s3 = fsspec.filesystem("s3", endpoint_url="http://127.0.0.1:9", config_kwargs={"retries": {"max_attempts": 0}})
    monkeypatch.setattr(storage, "_filesystem", lambda url: (s3, url.removeprefix("s3://")))
    with pytest.raises(StorageError, match=r"s3://archive/x: .*(connect|reach)") as caught:
        filled("s3://archive/x", tmp_path / "out", mask="center")
    assert "\n" not in str(caught.value)
