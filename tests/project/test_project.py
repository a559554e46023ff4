"""What the README promises, and which way the imports point."""

import ast
import re
import shutil

import pytest
from conftest import BUNDLED, ROOT
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
