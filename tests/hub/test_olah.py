"""Pulling from olah, a Hub server that others wrote, which serves git repositories of this machine."""

import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from conftest import tiny_dcgan
from hub_server import point_client_at

from benchmarks.serving import free_port
from inpainter import Inpainter, ModelError
from inpainter import hub as models

pytest.importorskip("olah")
if not shutil.which("git"):
    pytest.skip("olah reads git repositories", allow_module_level=True)

CONFIG = """[basic]
host = "127.0.0.1"
port = {port}
repos-path = "{root}/cached"
mirrors-path = ["{root}/mirrors"]
[accessibility]
offline = true
"""


def git(*arguments: str, cwd: Path) -> str:
    identity = {f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    command = ["git", "-c", "commit.gpgsign=false", *arguments]
    return subprocess.run(
        command, cwd=cwd, env=os.environ | identity, check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A git repository of a model with two commits, where olah looks for user/tiny."""
    path = tmp_path_factory.mktemp("olah")
    repository = path / "mirrors" / "models" / "user" / "tiny"
    for seed in (0, 1):
        models.save(tiny_dcgan(seed), repository)
        git("init", "-q", "-b", "main", cwd=repository)
        git("add", ".", cwd=repository)
        git("commit", "-q", "-m", f"seed {seed}", cwd=repository)
    return path


@pytest.fixture(scope="module")
def server(root):
    port = free_port()
    (root / "olah.toml").write_text(CONFIG.format(port=port, root=root))
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-c", "from olah.server import cli; cli()", "-c", str(root / "olah.toml")]
    with open(root / "log", "w") as log, subprocess.Popen(command, cwd=root, stdout=log, stderr=log) as process:
        try:
            deadline = time.monotonic() + 60
            while not answers(url):
                if process.poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"olah did not start: {(root / 'log').read_text()[-2000:]}")
                time.sleep(0.1)
            yield url
        finally:
            process.terminate()


def answers(url: str) -> bool:
    try:
        urllib.request.urlopen(f"{url}/api/models/user/tiny", timeout=5).close()
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
    return True


@pytest.fixture
def olah(server, monkeypatch, tmp_path):
    point_client_at(server, monkeypatch, tmp_path)
    return server


def test_model_is_pulled_and_loads(olah, root, tmp_path):
    models.pull("user/tiny", tmp_path / "here")
    repository = root / "mirrors" / "models" / "user" / "tiny"
    for name in ("README.md", "config.json", "model.safetensors", "samples.png"):
        assert (tmp_path / "here" / name).read_bytes() == (repository / name).read_bytes()
    assert Inpainter.from_pretrained("user/tiny", device="cpu").size == 16
    assert not models.find("user/tiny").note


def test_older_commit_is_found_by_its_hash(olah, root):
    repository = root / "mirrors" / "models" / "user" / "tiny"
    first = git("rev-parse", "HEAD~1", cwd=repository)
    weights = models.locate("user/tiny", revision=first) / "model.safetensors"
    assert weights.read_bytes() != (repository / "model.safetensors").read_bytes()


def test_missing_repository_is_one_sentence(olah):
    with pytest.raises(ModelError, match="user/none: no such repository"):
        models.find("user/none")
