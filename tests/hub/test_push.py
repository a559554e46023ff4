"""Publishing models and the page, over HTTP to a Hub on loopback with the real client."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, tiny_dcgan
from hub_server import READ_TOKEN, WRITE_TOKEN, running_hub
from huggingface_hub import constants
from PIL import Image

from inpainter import Inpainter, ModelError, masks
from inpainter import hub as models
from inpainter.hub import cards, finding, spaces
from inpainter.hub.__main__ import main
from train import __main__ as train


@pytest.fixture
def hub(monkeypatch, tmp_path):
    with running_hub(monkeypatch, tmp_path) as server:
        yield server


@pytest.fixture
def logged_in(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", WRITE_TOKEN)


@pytest.fixture
def folder(tmp_path):
    models.save(tiny_dcgan(), tmp_path / "tiny")
    return tmp_path / "tiny"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def published(hub, repo_id: str = "user/tiny", revision: str = "main") -> dict[str, bytes]:
    files = hub.repos[f"models/{repo_id}"].files(revision)
    return {name: data for name, data in files.items() if name != ".gitattributes"}


# What arrives


def test_push_makes_a_repository_with_the_content_of_the_folder(hub, logged_in, folder):
    url = models.push(folder, "user/tiny")
    assert published(hub) == contents(folder)
    assert url == f"{hub.url}/user/tiny/commit/{hub.repos['models/user/tiny'].head()}"
    assert hub.requests["PUT", "storage"] == 2  # weights and samples go to the large-file storage


def test_push_again_changes_nothing(hub, logged_in, folder):
    models.push(folder, "user/tiny")
    commits = dict(hub.repos["models/user/tiny"].commits)
    hub.requests.clear()
    models.push(folder, "user/tiny")
    assert hub.repos["models/user/tiny"].commits == commits
    assert hub.requests["PUT", "storage"] == hub.requests["POST", "commit"] == 0


def test_push_of_a_changed_model_uploads_what_changed_in_one_commit(hub, logged_in, folder):
    models.push(folder, "user/tiny")
    models.save(tiny_dcgan(seed=1), folder)
    hub.requests.clear()
    models.push(folder, "user/tiny")
    assert published(hub) == contents(folder)
    assert hub.requests["POST", "commit"] == 1


def test_only_the_model_is_published(hub, logged_in, folder):
    before = contents(folder)
    for name in ("checkpoint.pt", "train.py", ".env", "notes.txt"):
        (folder / name).write_text("private")
    (folder / "examples").mkdir()
    Image.new("RGB", (16, 16)).save(folder / "examples" / "one.png")
    models.push(folder, "user/tiny", with_examples=True)
    assert set(published(hub)) == {*before, "examples/one.png"}


def test_examples_are_left_out_with_the_reason_and_removed_where_they_were(hub, logged_in, folder, caplog):
    caplog.set_level("INFO")
    (folder / "examples").mkdir()
    Image.new("RGB", (16, 16)).save(folder / "examples" / "one.png")
    models.push(folder, "user/tiny", with_examples=True)
    assert "examples/one.png" in published(hub)
    models.push(folder, "user/tiny")
    assert "examples/one.png" not in published(hub)
    assert "may not be redistributed; --with-examples adds them" in caplog.text


def test_push_leaves_nothing_of_an_older_model_in_the_repository(hub, logged_in, folder):
    models.push(folder, "user/tiny")
    repo = hub.repos["models/user/tiny"]
    repo.commit(repo.files() | {"encoder/config.json": b"{}", "generator.onnx": b"old", "LICENSE": b"mine"})
    models.push(folder, "user/tiny")
    assert published(hub) == contents(folder) | {"LICENSE": b"mine"}


def test_push_writes_the_card_that_a_folder_lacks(hub, logged_in, folder):
    (folder / "README.md").unlink()
    models.push(folder, "user/tiny")
    assert b'from_pretrained("user/tiny")' in published(hub)["README.md"]


def test_push_to_a_branch_leaves_main_alone(hub, logged_in, folder):
    models.push(folder, "user/tiny")
    before = published(hub)
    models.save(tiny_dcgan(seed=1), folder)
    for _ in range(2):
        models.push(folder, "user/tiny", revision="v2")
    assert published(hub) == before
    assert published(hub, revision="v2") == contents(folder)


def test_pull_request_needs_no_right_to_write(hub, folder, tmp_path):
    models.save(tiny_dcgan(seed=1), tmp_path / "old")
    hub.publish("someone/tiny", tmp_path / "old")
    url = models.push(folder, "someone/tiny", create_pr=True, token=READ_TOKEN)
    assert url == f"{hub.url}/someone/tiny/discussions/1"
    assert published(hub, "someone/tiny") == contents(tmp_path / "old")
    assert published(hub, "someone/tiny", "refs/pr/1") == contents(folder)


def test_private_repository_is_private_and_a_public_one_is_not_taken_for_it(hub, logged_in, folder):
    models.push(folder, "user/secret", private=True)
    assert hub.repos["models/user/secret"].private
    models.push(folder, "user/secret", private=True)
    hub.publish("user/open", folder)
    commits = dict(hub.repos["models/user/open"].commits)
    with pytest.raises(ModelError, match="user/open: already exists and is public"):
        models.push(folder, "user/open", private=True)
    assert hub.repos["models/user/open"].commits == commits


def test_card_with_the_recorded_scores_is_published(hub, logged_in, folder):
    measure_again(folder)
    cards.write_card(folder)
    models.push(folder, "user/tiny")
    assert b"value: 21.5" in published(hub)["README.md"]


# What goes wrong on the way


def test_interrupted_upload_publishes_nothing_and_its_retry_sends_only_the_rest(hub, logged_in, folder):
    hub.cut = [100] * 20
    with pytest.raises(ModelError, match=r"user/tiny: the connection to the Hub failed \(.+\); try again"):
        models.push(folder, "user/tiny")
    assert published(hub) == {}
    hub.cut, hub.status["commit"] = [], 500
    with pytest.raises(ModelError, match="the Hub answered 500"):
        models.push(folder, "user/tiny")
    assert published(hub) == {}
    hub.requests.clear()
    hub.status.clear()
    models.push(folder, "user/tiny")
    assert published(hub) == contents(folder)
    assert hub.requests["PUT", "storage"] == 0  # everything had arrived before the commit failed


def test_connection_cut_once_is_mended_without_asking(hub, logged_in, folder):
    hub.cut = [100]
    models.push(folder, "user/tiny")
    assert published(hub) == contents(folder)


def test_missing_token_is_said_before_any_request(hub, folder):
    with pytest.raises(ModelError, match="run `hf auth login` or set HF_TOKEN"):
        models.push(folder, "user/tiny")
    assert not hub.requests


@pytest.mark.parametrize(
    ("token", "repo_id", "message"),
    [
        ("hf_nonsense", "user/tiny", "the Hub rejected the token"),
        (READ_TOKEN, "user/tiny", "the token lacks permission"),
        (WRITE_TOKEN, "someone/tiny", "the token lacks permission"),
    ],
)
def test_push_without_permission_is_one_sentence(hub, folder, token, repo_id, message):
    with pytest.raises(ModelError, match=f"^{repo_id}: {message}"):
        models.push(folder, repo_id, token=token)
    assert not hub.repos


def test_unreachable_hub_is_one_sentence(hub, logged_in, folder, monkeypatch):
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(ModelError, match="user/tiny: the connection to the Hub failed"):
        models.push(folder, "user/tiny")


# What is refused before it leaves


def drop_tensor(folder):
    (folder / "model.safetensors").write_bytes((folder / "model.safetensors").read_bytes()[:-10])


def spoil_card(folder):
    (folder / "README.md").write_text("---\ntags: [gan]\n---\n# A model\n")


def lose_samples(folder):
    (folder / "samples.png").unlink()


def garble_card(folder):
    (folder / "README.md").write_text("---\nlicense: [unclosed\n---\n# A model\n")


def measure_again(folder):
    config = json.loads((folder / "config.json").read_text())
    config["training"] = {"evaluation": [{"masks": {"center": {"psnr_hole": 21.5}}}]}
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (measure_again, "the card lacks the recorded PSNR, hole pixels only"),
        (drop_tensor, "not a valid safetensors file"),
        (spoil_card, "the model card's metadata lacks library_name, pipeline_tag, license"),
        (lose_samples, "shows samples.png, which is not in the folder"),
        (garble_card, "not a model card that the Hub can read"),
    ],
)
def test_unfit_folder_is_refused_before_any_request(hub, logged_in, folder, spoil, message):
    spoil(folder)
    with pytest.raises(ModelError, match=message):
        models.push(folder, "user/tiny")
    assert not hub.requests


def test_card_that_the_hub_refuses_stops_the_push_before_the_upload(hub, logged_in, folder):
    card = (folder / "README.md").read_text()
    (folder / "README.md").write_text(card.replace("license: unknown", "license: Not A Licence"))
    with pytest.raises(ModelError, match="one of the known identifiers"):
        models.push(folder, "user/tiny")
    assert published(hub) == {} and not hub.requests["PUT", "storage"]


# Round trip


def test_trained_pushed_and_pulled_model_fills_bit_for_bit_as_before(hub, logged_in, archive, tmp_path, pictures):
    data = shutil.copy(archive, tmp_path / "svhn32-train.zip")
    arguments = ["gan", "--data", data, "--out", tmp_path, "--images", 16, "--batch-size", 8, "--held-out", 8]
    arguments += ["--channels", 16, 8, "--latent-size", 8, "--no-flips"]
    assert train.main([str(argument) for argument in arguments]) == 0
    trained = tmp_path / "model"

    models.push(trained, "user/trained")
    models.pull("user/trained", tmp_path / "elsewhere")
    assert contents(tmp_path / "elsewhere") == contents(trained)
    first, second, third = (
        Inpainter.from_pretrained(name, device="cpu")(pictures, masks.center(16), steps=5)
        for name in (trained, tmp_path / "elsewhere", "user/trained")
    )
    assert np.array_equal(first.images, second.images) and np.array_equal(first.images, third.images)
    assert cards.read_card(tmp_path / "elsewhere").data.license_name == "svhn-non-commercial"


def test_model_in_memory_is_published_with_samples_and_card(hub, logged_in, tiny):
    tiny.push_to_hub("user/tiny")
    assert set(published(hub)) == {"README.md", "config.json", "model.safetensors", "samples.png"}
    again = Inpainter.from_pretrained("user/tiny", device="cpu")
    assert again.model.config == tiny.model.config


# The command line


def test_command_line_pushes_pulls_and_writes_cards(hub, logged_in, folder, tmp_path):
    assert main(["card", str(folder), "--repo", "user/tiny", "--license", "cc-by-4.0"]) == 0
    assert "license: cc-by-4.0" in (folder / "README.md").read_text()
    assert main(["push", str(folder), "user/tiny"]) == 0
    assert main(["pull", "user/tiny", str(tmp_path / "here")]) == 0
    assert contents(tmp_path / "here") == contents(folder)


def test_command_line_says_one_sentence_and_fails(hub, folder, tmp_path, capsys):
    for arguments in (["push", str(folder), "user/tiny"], ["pull", "user/none", str(tmp_path / "x")], ["card", "none"]):
        assert main(arguments) == 1
        error = capsys.readouterr().err.strip().splitlines()
        assert error[-1].startswith("error: ") and "Traceback" not in "".join(error)


# The page as a Space

FRONT_MATTER = """---
title: Inpainter
sdk: gradio
sdk_version: 6.31.0
app_file: app.py
python_version: '3.11'
license: apache-2.0
models:
- user/tiny
---
# Inpainter
![Filled](docs/filled.png)
"""


@pytest.fixture
def project(tmp_path, folder):
    root = tmp_path / "project"
    for name in ("inpainter", "page", "docs", "tests", "hub_models"):
        (root / name).mkdir(parents=True)
    (root / "README.md").write_text(FRONT_MATTER)
    (root / "app.py").write_text("import gradio\n")
    (root / "requirements.in").write_text("gradio==6.31.0\ntorch==2.13.0\n")
    (root / "requirements.txt").write_text("# made by\ngradio==6.31.0 \\\n    --hash=sha256:00\n    # via x\n")
    (root / "inpainter" / "__init__.py").write_text("")
    (root / "inpainter" / "old.pyc").write_text("")
    (root / "page" / "style.css").write_text("")
    (root / "tests" / "test_page.py").write_text("")
    Image.new("RGB", (4, 4)).save(root / "docs" / "filled.png")
    shutil.copytree(folder, root / "hub_models" / "tiny")
    return root


def test_space_holds_the_page_its_code_and_its_models(hub, logged_in, project):
    models.push_space("user/page", project=project)
    files = hub.repos["spaces/user/page"].files()
    assert set(files) - {".gitattributes"} == {
        "README.md",
        "app.py",
        "requirements.txt",
        "inpainter/__init__.py",
        "page/style.css",
        "docs/filled.png",
        *(f"hub_models/tiny/{name}" for name in ("README.md", "config.json", "model.safetensors", "samples.png")),
    }
    assert (
        files["hub_models/tiny/model.safetensors"]
        == (project / "hub_models" / "tiny" / "model.safetensors").read_bytes()
    )
    assert hub.requests["PUT", "storage"] == 3
    assert files["requirements.txt"] == b"torch==2.13.0\ngradio==6.31.0\n"  # pip takes checksums of all or of none


def test_space_pushed_again_changes_nothing_and_loses_code_that_is_gone(hub, logged_in, project):
    (project / "inpainter" / "gone.py").write_text("")
    models.push_space("user/page", project=project)
    commits = len(hub.repos["spaces/user/page"].commits)
    models.push_space("user/page", project=project)
    assert len(hub.repos["spaces/user/page"].commits) == commits
    (project / "inpainter" / "gone.py").unlink()
    models.push_space("user/page", project=project)
    assert "inpainter/gone.py" not in hub.repos["spaces/user/page"].files()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("sdk: gradio", "sdk: streamlit", "sdk is 'streamlit'"),
        ("6.31.0", "6.30.0", "sdk_version is '6.30.0', expected '6.31.0'"),
        ("app_file: app.py", "app_file: main.py", "app_file is 'main.py'"),
        ("'3.11'", "3.1", "python_version is 3.1"),
        ("---\n# ", "# ", "no front matter|sdk is None"),
    ],
)
def test_space_with_wrong_front_matter_is_refused_before_any_request(hub, logged_in, project, old, new, message):
    text = (project / "README.md").read_text()
    (project / "README.md").write_text(text.replace(old, new, 1))
    with pytest.raises(ModelError, match=message):
        models.push_space("user/page", project=project)
    assert not hub.requests


# What this project itself publishes


@pytest.mark.parametrize("name", models.bundled())
def test_bundled_model_is_fit_to_publish(hub, name):
    names = models.check(finding.BUNDLED / name)
    assert {"README.md", "config.json", "model.safetensors", "samples.png"} <= set(names)
    cards.read_card(finding.BUNDLED / name).validate()


@pytest.mark.skipif(not (ROOT / "README.md").exists(), reason="no README.md yet")
def test_front_matter_of_this_project_starts_a_space(hub):
    data = spaces.check_front_matter(ROOT)
    assert json.dumps(data)
    spaces.SpaceCard.load(ROOT / "README.md").validate()
