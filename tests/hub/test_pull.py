"""Finding and pulling models, over HTTP from a Hub on loopback with the real client."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, tiny_dcgan
from hub_server import READ_TOKEN, WRITE_TOKEN, point_client_at, running_hub
from huggingface_hub import constants

from inpainter import Inpainter, ModelError, masks
from inpainter import hub as models
from inpainter.hub import finding


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with running_hub(monkeypatch, tmp_path) as server:
        yield server


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A complete model folder; tests read it only."""
    path = tmp_path_factory.mktemp("models") / "tiny"
    models.save(tiny_dcgan(), path)
    return path


@pytest.fixture
def bundled(monkeypatch, tmp_path, folder):
    """A package that comes with one model, called tiny."""
    shutil.copytree(folder, tmp_path / "hub_models" / "tiny")
    monkeypatch.setattr(finding, "BUNDLED", tmp_path / "hub_models")
    return tmp_path / "hub_models" / "tiny"


def weights_of(model: Inpainter) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.model.state_dict().items()):
        digest.update(name.encode() + tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()


def cpu(name, **settings) -> Inpainter:
    return Inpainter.from_pretrained(name, device="cpu", **settings)


def unreachable(monkeypatch, tmp_path):
    """A Hub that does not answer: a port of loopback on which nothing listens."""
    point_client_at("http://127.0.0.1:9", monkeypatch, tmp_path)


# Where a model is found


def test_folder_short_name_and_hub_id_give_the_same_model(hub, folder, bundled):
    hub.publish("user/tiny", folder)
    assert weights_of(cpu(folder)) == weights_of(cpu("tiny")) == weights_of(cpu("user/tiny"))
    assert not models.find("tiny").note and not models.find("user/tiny").note


@pytest.mark.parametrize(
    "name", ["..", "../tiny", "user/../tiny", "/user/tiny", "~/tiny", "a/b/c", "user/ti ny", "", "a\0b"]
)
def test_names_that_are_no_hub_id_are_refused_without_a_request(hub, bundled, name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path / "hub_models")
    if os.path.isdir(name):
        name += "/no-such-folder"
    with pytest.raises(ModelError):
        cpu(name)
    assert not hub.requests


def test_path_object_is_never_taken_for_a_hub_id(hub, folder):
    hub.publish("user/tiny", folder)
    with pytest.raises(ModelError, match="user/tiny: no such model folder"):
        cpu(Path("user/tiny"))
    assert not hub.requests


def test_unknown_short_name_says_which_there_are(hub, bundled):
    with pytest.raises(ModelError, match=r"no such folder or bundled model \(bundled: tiny\)"):
        cpu("tinny")


def test_loading_again_asks_the_hub_once_and_downloads_nothing(hub, folder):
    hub.publish("user/tiny", folder)
    cpu("user/tiny")
    hub.requests.clear()
    cpu("user/tiny")
    assert hub.requests == {("GET", "info"): 1}


def test_revision_chooses_the_commit(hub, folder, tmp_path):
    first = hub.publish("user/tiny", folder).head()
    models.save(tiny_dcgan(seed=1), tmp_path / "other")
    hub.publish("user/tiny", tmp_path / "other")
    assert weights_of(cpu("user/tiny", revision=first)) == weights_of(cpu(folder))
    assert weights_of(cpu("user/tiny")) == weights_of(cpu(tmp_path / "other"))
    with pytest.raises(ModelError, match="no such revision"):
        cpu("user/tiny", revision="v9")


# Offline


def test_unreachable_hub_gives_the_cached_copy_and_says_so(hub, folder, monkeypatch, caplog, tmp_path):
    hub.publish("user/tiny", folder)
    cpu("user/tiny")
    unreachable(monkeypatch, tmp_path)
    model = cpu("user/tiny")
    assert weights_of(model) == weights_of(cpu(folder))
    assert "loaded from the cache because the connection to the Hub failed" in model.notes[0]
    assert model.notes[0] in caplog.text


@pytest.mark.parametrize("revision", [None, "v2"])
def test_bundled_model_does_not_stand_in_for_somebody_elses(hub, bundled, monkeypatch, tmp_path, revision):
    unreachable(monkeypatch, tmp_path)
    with pytest.raises(ModelError, match="user/tiny: not in the cache, and the connection to the Hub failed"):
        cpu("user/tiny", revision=revision)


def test_hub_that_is_down_counts_as_unreachable(hub, folder):
    hub.publish("user/tiny", folder)
    cpu("user/tiny")
    hub.status["info"] = 503
    assert "loaded from the cache because the Hub answered 503" in cpu("user/tiny").notes[0]


def test_local_files_only_makes_no_request(hub, folder):
    hub.publish("user/tiny", folder)
    with pytest.raises(ModelError, match="not in the cache, and local_files_only is set"):
        cpu("user/tiny", local_files_only=True)
    assert not hub.requests
    cpu("user/tiny")
    hub.requests.clear()
    assert "loaded from the cache" in cpu("user/tiny", local_files_only=True).notes[0]
    assert not hub.requests


def test_environment_variables_of_the_hub_client_count(hub, folder, tmp_path):
    """HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE, in a process of its own as a user sets them."""
    hub.publish("user/tiny", folder, private=True)
    code = "from inpainter import hub; found = hub.find('user/tiny'); print(found.folder.name, found.note)"
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_XET": "1",
        "PYTHONPATH": str(ROOT),
    }

    def find_with(**extra):
        return subprocess.run(
            [sys.executable, "-c", code], env=environment | extra, cwd=tmp_path, capture_output=True, text=True
        )

    assert find_with(HF_TOKEN=READ_TOKEN).stdout.split() == [hub.repos["models/user/tiny"].head()]
    assert find_with(HF_HUB_OFFLINE="1").stdout.strip().endswith("loaded from the cache because HF_HUB_OFFLINE is set.")


# Transfers that go wrong


def test_cut_connection_is_resumed_where_it_broke_off(hub, folder, monkeypatch):
    monkeypatch.setattr(constants, "DOWNLOAD_CHUNK_SIZE", 1000)  # it resumes at whole chunks, of 10 MB in earnest
    hub.publish("user/tiny", folder)
    hub.cut = [5000, 7000]
    assert weights_of(cpu("user/tiny")) == weights_of(cpu(folder))
    assert hub.ranges == ["bytes=5000-", "bytes=12000-"]


def test_transfer_that_breaks_off_for_good_leaves_the_old_copy_in_use_and_a_retry_mends_it(hub, folder, tmp_path):
    hub.publish("user/tiny", folder)
    cpu("user/tiny")
    models.save(tiny_dcgan(seed=1), tmp_path / "new")
    hub.publish("user/tiny", tmp_path / "new")
    hub.cut = [0] * 20
    model = cpu("user/tiny")
    assert weights_of(model) == weights_of(cpu(folder))
    assert "loaded from the cache" in model.notes[0]
    hub.cut = []
    model = cpu("user/tiny")
    assert weights_of(model) == weights_of(cpu(tmp_path / "new")) and not model.notes


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_wrong_checksum_is_refused_and_a_retry_mends_it(hub, folder, name):
    hub.publish("user/tiny", folder)
    hub.corrupt = {name}
    with pytest.raises(ModelError, match=f"{name}.*(SHA-256|not valid JSON)"):
        cpu("user/tiny")
    hub.corrupt = set()
    assert weights_of(cpu("user/tiny")) == weights_of(cpu(folder))


# Answers that are no


def test_missing_repository_is_one_sentence_and_no_bundled_model_stands_in(hub, bundled):
    with pytest.raises(ModelError, match=r"^user/tiny: no such repository on the Hub, or it is private"):
        cpu("user/tiny")
    with pytest.raises(ModelError, match="no such repository"):
        cpu("user/tiny", token=READ_TOKEN)


def test_private_repository_opens_with_a_token(hub, folder):
    hub.publish("user/tiny", folder, private=True)
    with pytest.raises(ModelError, match="needs a valid token"):
        cpu("user/tiny")
    cpu("user/tiny", token=READ_TOKEN)


def test_bad_token_is_refused(hub, folder):
    hub.publish("user/tiny", folder)
    with pytest.raises(ModelError, match="user/tiny: "):
        cpu("user/tiny", token="hf_nonsense")


@pytest.mark.parametrize("token", [None, READ_TOKEN])
def test_gated_repository_says_where_to_accept_its_terms(hub, folder, token):
    hub.publish("user/tiny", folder, gated=True)
    with pytest.raises(ModelError, match=f"gated; accept its terms at {hub.url}/user/tiny"):
        cpu("user/tiny", token=token)
    cpu("user/tiny", token=WRITE_TOKEN)


def test_repository_of_something_else_is_refused(hub, tmp_path):
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "README.md").write_text("nothing here")
    hub.publish("user/other", tmp_path / "other")
    with pytest.raises(ModelError, match=r"lacks config.json and model.safetensors"):
        cpu("user/other")


def test_pickled_weights_are_never_downloaded(hub, folder, tmp_path):
    shutil.copytree(folder, tmp_path / "pickled")
    (tmp_path / "pickled" / "model.safetensors").rename(tmp_path / "pickled" / "pytorch_model.bin")
    repo = hub.publish("user/pickled", tmp_path / "pickled")
    with pytest.raises(ModelError, match="lacks"):
        cpu("user/pickled")
    with pytest.raises(ModelError):
        models.pull("user/pickled", tmp_path / "here")
    assert "pytorch_model.bin" in repo.files() and not list((tmp_path / "cache").rglob("*.bin"))


# Pulling into a folder


def test_pull_copies_the_published_files_and_repeats_safely(hub, folder, tmp_path):
    repo = hub.publish("user/tiny", folder)
    repo.commit(repo.files() | {"evil.py": b"import os", "../escape.png": b"x", ".hidden.png": b"x"})
    for _ in range(2):
        models.pull("user/tiny", tmp_path / "here")
        names = sorted(path.name for path in (tmp_path / "here").iterdir())
        assert names == ["README.md", "config.json", "model.safetensors", "samples.png"]
    assert all((tmp_path / "here" / name).read_bytes() == (folder / name).read_bytes() for name in names)
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_pull_updates_a_model_folder(hub, folder, tmp_path):
    models.save(tiny_dcgan(seed=1), tmp_path / "here")
    hub.publish("user/tiny", folder)
    models.pull("user/tiny", tmp_path / "here")
    assert weights_of(cpu(tmp_path / "here")) == weights_of(cpu(folder))


def test_pull_that_fails_changes_nothing(hub, folder, tmp_path):
    hub.publish("user/tiny", folder)
    hub.corrupt = {"model.safetensors"}
    with pytest.raises(ModelError, match="SHA-256"):
        models.pull("user/tiny", tmp_path / "here")
    hub.corrupt, hub.cut = set(), [0] * 20
    with pytest.raises(ModelError, match="the connection to the Hub failed"):
        models.pull("user/tiny", tmp_path / "here")
    assert not (tmp_path / "here").exists()
    hub.cut = []
    models.pull("user/tiny", tmp_path / "here")
    assert weights_of(cpu(tmp_path / "here")) == weights_of(cpu(folder))


def test_pull_clears_up_after_one_that_was_killed(hub, folder, tmp_path):
    (tmp_path / ".here.partial").mkdir()
    (tmp_path / ".here.partial" / "evil.py").write_text("left over")
    hub.publish("user/tiny", folder)
    models.pull("user/tiny", tmp_path / "here")
    assert not (tmp_path / ".here.partial").exists() and not (tmp_path / "here" / "evil.py").exists()


def test_pull_of_a_model_that_does_not_load_writes_nothing(hub, folder, tmp_path):
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    config = json.loads((broken / "config.json").read_text())
    (broken / "config.json").write_text(json.dumps(config | {"channels": [4096, 8]}))
    hub.publish("user/broken", broken)
    with pytest.raises(ModelError, match=r"^user/broken: tensor .* has shape"):
        models.pull("user/broken", tmp_path / "here")
    assert not (tmp_path / "here").exists()


def test_pull_does_not_mix_with_other_files(hub, folder, tmp_path):
    hub.publish("user/tiny", folder)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    with pytest.raises(ModelError, match="contains other files"):
        models.pull("user/tiny", tmp_path / "mine")


def test_pull_keeps_ones_own_files_but_takes_those_that_were_published(hub, folder, tmp_path):
    hub.publish("user/tiny", folder)
    models.pull("user/tiny", tmp_path / "here")
    own = {"LICENSE": "mine", "notes.txt": "mine", "examples/a.png": "mine", "photo.jpg": "mine"}
    for name, text in own.items():
        (tmp_path / "here" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "here" / name).write_text(text)
    (folder / "LICENSE").write_text("theirs")
    hub.publish("user/tiny", folder)
    models.pull("user/tiny", tmp_path / "here")
    found = {name: (tmp_path / "here" / name).read_text() for name in own}
    assert found == own | {"LICENSE": "theirs"}


def test_pulled_model_fills_as_the_published_one_bit_for_bit(hub, folder, tmp_path, pictures):
    hub.publish("user/tiny", folder)
    models.pull("user/tiny", tmp_path / "here")
    settings = {"steps": 5, "seed": 3}
    here, there = (cpu(path)(pictures, masks.center(16), **settings) for path in (tmp_path / "here", folder))
    assert np.array_equal(here.images, there.images) and np.array_equal(here.latents, there.latents)
