"""What the README promises, and which way the imports point."""

import ast
import re
import shutil
import tomllib

import pytest
from conftest import BUNDLED, ROOT
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version
from PIL import Image

README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_continuous_integration_runs_exactly_the_readmes_test_command():
    (command,) = [block.strip() for block in blocks("bash") if "pytest" in block]
    assert "\n" not in command
    assert command in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_readmes_python_example_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(sorted((BUNDLED / "examples").glob("*.png"))[0], "photo.png")
    (example,) = [block for block in blocks("python") if "from_pretrained" in block]
    exec(example.replace("masks.center(64))", "masks.center(64), steps=3)"), {})
    assert Image.open("filled.png").size == (64, 64)


def test_every_file_that_the_readme_points_to_exists():
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    assert not [target for target in targets if "://" not in target and not (ROOT / target).exists()]


def locked(name: str) -> dict[str, tuple[Version, str]]:
    """The packages of a lock file: version, and the rest of their entry."""
    text = (ROOT / name).read_text()
    entries = re.findall(r"^([\w.-]+)==(\S+)(.*?)(?=^\S|\Z)", text, re.MULTILINE | re.DOTALL)
    return {canonicalize_name(package): (Version(version), rest) for package, version, rest in entries}


def loose(lines: list[str]) -> list[Requirement]:
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return [requirement for requirement in found if requirement.name not in ("torch", "inpainter")]


def wanted(lock: str) -> list[Requirement]:
    """What requirements.in and, for the tests, pyproject.toml ask for."""
    lines = (ROOT / "requirements.in").read_text().splitlines()
    if lock == "requirements-dev.txt":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        extras = project["optional-dependencies"]
        dev = [Requirement(line) for line in extras["dev"]]
        (own,) = (requirement for requirement in dev if requirement.name == "inpainter")
        lines += project["dependencies"] + extras["dev"] + [line for extra in own.extras for line in extras[extra]]
    return loose(lines)


@pytest.mark.parametrize("lock", ["requirements.txt", "requirements-dev.txt"])
def test_locked_packages_are_those_that_are_asked_for(lock):
    packages = locked(lock)
    for requirement in wanted(lock):
        name = canonicalize_name(requirement.name)
        assert name in packages, f"{lock} lacks {name}: compile it again, as requirements.in says"
        assert requirement.specifier.contains(packages[name][0]), f"{lock}: {name}; compile it again"
    names = {canonicalize_name(requirement.name) for requirement in wanted(lock)}
    direct = {name for name, (_, rest) in packages.items() if re.search(r"# via.*(requirements\.in|inpainter)", rest)}
    assert direct == names, f"{lock}: compile it again"
    assert all("--hash=sha256:" in rest for _, rest in packages.values())
    assert not re.search(r"://|find-links|index-url", (ROOT / lock).read_text())


def test_page_and_tests_are_locked_to_the_same_versions():
    page, tests = locked("requirements.txt"), locked("requirements-dev.txt")
    assert {name: version for name, (version, _) in page.items()}.items() <= {
        name: version for name, (version, _) in tests.items()
    }.items()


def test_readme_installs_the_torch_that_is_asked_for():
    (pinned,) = re.findall(r"^torch==\S+", (ROOT / "requirements.in").read_text(), re.MULTILINE)
    assert set(re.findall(r"torch==\S+", README)) == {pinned}


FORBIDDEN = {
    "inpainter": {"train", "app", "page", "gradio"},
    "train": {"app", "page", "gradio"},
    "page": {"train", "app"},
}


@pytest.mark.parametrize("package", FORBIDDEN)
def test_imports_point_one_way(package):
    for path in (ROOT / package).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [node.module]
            else:
                continue
            assert not {name.split(".")[0] for name in names} & FORBIDDEN[package], path


WALKS = {"`model(image, hole)`": (8, 900), "`python -m train gan`": (7, None), "A click on Run": (6, None)}


@pytest.mark.parametrize("walk", WALKS)
def test_walks_through_the_code_are_short_and_as_long_as_the_guide_says(walk):
    guide = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    title, said, steps = re.search(rf"^### ({re.escape(walk)}): (.+)\n((?:.*\n)+?)(?=^#)", guide, re.MULTILINE).groups()
    files = re.findall(r"^\d+\. `([\w./]+)`", steps, re.MULTILINE)
    lines = sum(len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in files)
    most_files, most_lines = WALKS[walk]
    assert len(set(files)) == len(files) <= most_files
    assert most_lines is None or lines <= most_lines
    assert said == f"{len(files)} files" + (f", {lines} lines" if most_lines else ""), (title, lines)


def test_no_file_is_longer_than_300_lines():
    code = [path for folder in ("inpainter", "train", "page", "benchmarks") for path in (ROOT / folder).rglob("*")]
    code = [ROOT / "app.py", *(path for path in code if path.suffix in (".py", ".js", ".css"))]
    assert not [path for path in code if len(path.read_text(encoding="utf-8").splitlines()) > 300]
