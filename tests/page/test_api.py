"""The page's endpoints, as a program uses them."""

import numpy as np
import pytest
from conftest import tiny_dcgan
from page_server import EXAMPLES, page_server
from PIL import Image

from inpainter import Inpainter, masks
from inpainter.settings import MODES

gradio_client = pytest.importorskip("gradio_client", reason="Gradio is not installed")
handle_file = gradio_client.handle_file


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    with page_server(tmp_path_factory.mktemp("page") / "server.log") as address:
        client = gradio_client.Client(address, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))
        yield client
        client.close()


@pytest.fixture
def photo():
    return handle_file(EXAMPLES[0])


@pytest.fixture
def saved_tiny(tmp_path) -> Inpainter:
    """The tiny model as the page has it, rounded to half precision."""
    Inpainter(tiny_dcgan(), device="cpu").save_pretrained(tmp_path / "tiny")
    return Inpainter.from_pretrained(tmp_path / "tiny", device="cpu")


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_the_endpoints_are_named_and_typed(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    assert set(endpoints) == {"/inpaint", "/hole", "/models"}
    parameters = {p["parameter_name"]: p for p in endpoints["/inpaint"]["parameters"]}
    required = [name for name, p in parameters.items() if not p["parameter_has_default"]]
    assert required == ["picture"]
    assert parameters["steps"]["parameter_default"] == MODES["fast"]


def test_inpaint_fills_the_hole_and_nothing_else(client, photo):
    filled, details = client.predict(picture=photo, hole="center", steps=5, api_name="/inpaint")
    hole = masks.center(64)
    assert (pixels(filled) == pixels(EXAMPLES[0]))[~hole].all()
    assert details["context_loss"] > 0 and 0 < details["psnr"] < 60


def test_inpaint_takes_a_mask_file_and_gives_the_same_for_the_same_seed(client, photo, tmp_path):
    hole = masks.pattern(64, seed=3)
    Image.fromarray(hole).save(tmp_path / "mask.png")
    by_file, _ = client.predict(photo, mask=handle_file(tmp_path / "mask.png"), steps=3, seed=5, api_name="/inpaint")
    by_name, _ = client.predict(photo, hole="pattern", hole_seed=3, steps=3, seed=5, api_name="/inpaint")
    assert (pixels(by_file) == pixels(by_name)).all()


def test_twenty_visitors_at_once_each_get_their_own_result(client, photo, faces, saved_tiny):
    """With two models, four kinds of hole, and settings of their own."""

    def settings(number: int) -> dict:
        return {
            "model": ("tiny", "dcgan-celeba")[number % 5 == 0],
            "hole": masks.NAMES[number % 4],
            "hole_seed": number,
            "mode": ("fast", "paper")[number % 3 == 0],
            "steps": 2 + number % 3,
            "prior_weight": (0.003, 0)[number % 2],
            "seed": number,
        }

    visitors = [gradio_client.Client(client.src, verbose=False, download_files=client.output_dir) for _ in range(20)]
    jobs = [visitor.submit(photo, **settings(i), api_name="/inpaint") for i, visitor in enumerate(visitors)]
    together = [job.result(timeout=120) for job in jobs]
    for visitor in visitors:
        visitor.close()
    fillers = {"tiny": saved_tiny, "dcgan-celeba": faces}
    for number, (path, details) in enumerate(together):
        asked = settings(number)
        filler = fillers[asked["model"]]
        hole = masks.named(asked["hole"], filler.size, asked["hole_seed"])
        names = ("mode", "steps", "prior_weight", "seed")
        alone = filler(pixels(EXAMPLES[0]), hole, **{name: asked[name] for name in names})
        assert np.abs(pixels(path).astype(int) - alone.images[0]).max() <= 1
        assert details["context_loss"] == pytest.approx(float(alone.context_loss[0]), rel=1e-4)
    assert len({details["context_loss"] for _, details in together}) == 20


def test_inpaint_streams_previews(client, photo):
    job = client.submit(picture=photo, steps=10, api_name="/inpaint")
    job.result(timeout=60)
    steps = [details["step"] for _, details in job.outputs()[:-1]]
    assert steps[0] == 0 and steps == sorted(steps) and len(steps) >= 3
    assert "psnr" in job.outputs()[-1][1]


def test_hole_gives_the_preset_white_where_missing(client):
    path = client.predict(hole="half", side="top", size=64, api_name="/hole")
    assert (pixels(path)[..., 0] == 255 * masks.half(64, "top")).all()


def test_models_lists_what_can_be_asked_for(client):
    models = client.predict(api_name="/models")
    assert models["dcgan-celeba"] == {"size": 64, "examples": len(EXAMPLES)}
    assert models["tiny"] == {"size": 16, "examples": 0}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"steps": 0}, "steps must be 1 to 1500"),
        ({"prior_weight": -1}, "prior_weight must be a finite number of zero or more"),
        ({"learning_rate": -1}, "learning_rate must be a finite number of more than zero"),
        ({"starts": 1000}, "starts 1 to 8"),
        ({"seed": 10**20}, "greater than maximum"),
        ({"model": "nobody"}, "nobody"),
    ],
)
def test_a_bad_setting_is_answered_with_one_sentence(client, photo, arguments, expected):
    with pytest.raises(gradio_client.exceptions.AppError, match=expected):
        client.predict(picture=photo, **({"steps": 2} | arguments), api_name="/inpaint")


@pytest.mark.parametrize("name", ["picture", "mask"])
def test_a_file_that_is_no_picture_is_answered_with_one_sentence(client, photo, tmp_path, name):
    text = tmp_path / "notes.txt"
    text.write_text("This is no picture.", encoding="utf-8")
    with pytest.raises(gradio_client.exceptions.AppError, match="not an image"):
        client.predict(**({"picture": photo} | {name: handle_file(text)}), steps=2, api_name="/inpaint")
