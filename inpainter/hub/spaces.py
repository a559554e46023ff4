"""Publishes the page as a Gradio Space: checks its front matter, collects its files, makes one commit."""

import re
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, SpaceCard

from ..models import ModelError
from .cards import CARD_NAME, local_pictures
from .errors import hub_errors
from .finding import check_repo_id
from .publish import check, client, make_repo

PROJECT = Path(__file__).resolve().parents[2]

# Project files that a Space needs, if they exist; see also the folders below.
TOP_FILES = ("README.md", "LICENSE", "app.py", "requirements.txt", "packages.txt")
CODE_FOLDERS = ("inpainter", "page")
CODE_SUFFIXES = {".py", ".css", ".js", ".html", ".svg", ".jpg", ".txt"}
FOLDERS = (*CODE_FOLDERS, "hub_models")  # `publish.check` selects the files of a model folder


def push_space(
    repo_id: str,
    *,
    private: bool = False,
    with_examples: bool = False,
    token: str | None = None,
    project: str | Path = PROJECT,
) -> str:
    """Publishes the page and its models as a Gradio Space in one commit; idempotent.

    The models are included in `hub_models/`, so the Space has them when it starts.

    Args:
        repo_id: Hub id of the Space, "user/name".
        private: whether to create the Space as private; raises if a public one exists.
        with_examples: also publish the models' examples/, test pictures from data sets that may not be
            redistributed; without them the page shows the models' samples instead.
        token: access token, default the stored one or HF_TOKEN.
        project: folder with app.py, requirements.txt, README.md, inpainter/, page/ and hub_models/.

    Returns:
        The Space's URL.

    Raises:
        ModelError: if the project is not fit to be a Space or the Hub rejects it.
    """
    check_repo_id(repo_id)
    project = Path(project)
    check_front_matter(project)
    names = space_files(project, with_examples)
    api = client(token)
    with hub_errors(repo_id):
        url = make_repo(api, repo_id, private, repo_type="space", space_sdk="gradio")
        remote = api.list_repo_files(repo_id, repo_type="space")
        stale = [name for name in remote if name.split("/")[0] in FOLDERS and name not in names]
        api.create_commit(
            repo_id,
            [
                *(CommitOperationAdd(name, content_of(project, name)) for name in names),
                *(CommitOperationDelete(name) for name in stale),
            ],
            repo_type="space",
            commit_message="Upload the page",
        )
    return url


def space_files(project: Path, with_examples: bool = False) -> list[str]:
    """Lists the project files that make up the Space; raises `ModelError` if a required one is missing."""
    missing = [name for name in ("app.py", "requirements.txt", CARD_NAME) if not (project / name).is_file()]
    if missing:
        raise ModelError(f"{project}: a Space needs {', '.join(missing)}.")
    names = [name for name in TOP_FILES if (project / name).is_file()]
    code = sorted(path for folder in CODE_FOLDERS for path in (project / folder).rglob("*"))
    names += [path.relative_to(project).as_posix() for path in code if path.suffix in CODE_SUFFIXES]
    models = sorted(path for path in (project / "hub_models").glob("*") if path.is_dir())
    if not models:
        raise ModelError(f"{project}: hub_models/ contains no model; the page needs at least one.")
    for model in models:
        names += [f"hub_models/{model.name}/{name}" for name in check(model, with_examples)]
    shown = local_pictures((project / CARD_NAME).read_text(encoding="utf-8"))
    return names + sorted({picture for picture in shown if (project / picture).is_file()}.difference(names))


def content_of(project: Path, name: str) -> Path | bytes:
    """Returns a file of the Space: the project's own, except requirements.txt without hashes and with torch.

    A Space installs further packages in the same command, and pip requires hashes for all packages or for none.
    """
    if name != "requirements.txt":
        return project / name
    loose = (project / "requirements.in").read_text(encoding="utf-8") if (project / "requirements.in").is_file() else ""
    lines = [line for line in loose.splitlines() if line.startswith("torch==")]
    for line in (project / name).read_text(encoding="utf-8").splitlines():
        if not line.lstrip().startswith(("--hash", "#")):
            lines.append(line.removesuffix("\\").rstrip())
    return ("\n".join(lines) + "\n").encode()


def check_front_matter(project: Path) -> dict[str, Any]:
    """Returns the metadata of a Space's README.md; raises `ModelError` unless it agrees with the project.

    The Hub itself checks the rest before it takes a commit: the title, the licence, colours and lists.
    """
    path = project / CARD_NAME
    try:
        data = SpaceCard.load(path).data.to_dict()
    except (OSError, ValueError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split()) if path.is_file() else "no such file"
        raise ModelError(f"{path}: no front matter that the Hub can read ({reason}).") from error

    def refuse(key: str, expected: str) -> None:
        raise ModelError(f"{path}: {key} is {data.get(key)!r}, expected {expected}.")

    if data.get("sdk") != "gradio":
        refuse("sdk", "'gradio'")
    if not isinstance(data.get("app_file"), str) or not (project / data["app_file"]).is_file():
        refuse("app_file", "the name of an existing file")
    pinned = _pinned_gradio(project)
    if data.get("sdk_version") != pinned:
        refuse("sdk_version", f"{pinned!r}, the version of gradio in requirements.txt")
    if not re.fullmatch(r"3\.\d+(\.\d+)?", str(data.get("python_version"))) or data["python_version"] == 3.1:
        refuse("python_version", "a version such as '3.11', in quotes")
    return data


def _pinned_gradio(project: Path) -> str | None:
    """Returns the version of gradio pinned in requirements.txt."""
    path = project / "requirements.txt"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    found = re.search(r"^gradio(?:\[[^\]]*\])?==([\w.]+)", text, re.MULTILINE)
    return found.group(1) if found else None
