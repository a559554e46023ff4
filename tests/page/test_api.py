"""The page's endpoints, as programs and agents use them, and what the server refuses them."""

import concurrent.futures
import json
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from conftest import tiny_dcgan
from page_server import EXAMPLES, page_server
from PIL import Image

from inpainter import Inpainter, masks

gradio_client = pytest.importorskip("gradio_client", reason="Gradio is not installed")
handle_file = gradio_client.handle_file


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    with page_server(folder) as address:
        client = gradio_client.Client(address, verbose=False, download_files=str(tmp_path_factory.mktemp("downloads")))
        client.visitors = folder / "files"
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
    assert parameters["steps"]["parameter_default"] == 0  # the usual number


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


def test_a_mask_drawn_on_a_transparent_layer_is_missing_where_it_was_drawn(client, photo, tmp_path):
    drawn = np.zeros((2600, 2600, 4), np.uint8)
    drawn[1000:1400, 1000:1400] = 255
    drawn[400] = 255  # a thin line
    Image.fromarray(drawn).save(tmp_path / "mask.png")
    filled, _ = client.predict(photo, mask=handle_file(tmp_path / "mask.png"), steps=3, api_name="/inpaint")
    changed = (pixels(filled) != pixels(EXAMPLES[0])).any(axis=2)
    rows, columns = np.flatnonzero(changed.any(axis=1)), np.flatnonzero(changed[24:35].any(axis=0))
    assert rows.min() == 400 * 64 // 2600 and rows.max() == 1399 * 64 // 2600
    assert columns.min() >= 1000 * 64 // 2600 and columns.max() == 1399 * 64 // 2600


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
    assert models["dcgan-celeba"] == {"subject": "Faces", "size": 64, "examples": len(EXAMPLES)}
    assert models["tiny"] == {"subject": "tiny", "size": 16, "examples": 0}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"steps": -1}, "steps must be"),
        ({"steps": 1501}, "steps must be at most 1500"),
        ({"steps": 1500, "starts": 8}, "their product 3000"),
        ({"starts": 1000}, "starts 8"),
        ({"prior_weight": -1}, "prior_weight must be"),
        ({"prior_weight": "a lot"}, "must be|wrong type|could not convert"),
        ({"learning_rate": -1}, "learning_rate must be"),
        ({"window": 1001}, "window must be at most 129"),
        ({"window": 99999}, "window must be"),
        ({"seed": 10**20}, "greater than maximum"),
        ({"hole_seed": -1}, "less than minimum"),
        ({"model": "nobody"}, "nobody"),
        ({"hole": ["center"]}, "one of center"),
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


@pytest.mark.parametrize("arguments", [{"size": 10**9}, {"size": 0}, {"hole": "ring"}, {"seed": -1}])
def test_a_bad_hole_is_answered_with_one_sentence(client, arguments):
    with pytest.raises(gradio_client.exceptions.AppError, match=r"must be|minimum|not in|one of"):
        client.predict(**arguments, api_name="/hole")


def test_pictures_asked_for_by_eight_threads_are_never_empty(client, photo):
    own = threading.local()

    def connect() -> None:
        # A client that threads share cancels one in a thousand requests: those made just as its stream ends.
        own.client = gradio_client.Client(client.src, verbose=False, download_files=client.output_dir)

    def ask(number: int) -> bool:
        if number % 8 == 0:
            path, _ = own.client.predict(picture=photo, model="tiny", steps=1, api_name="/inpaint")
        else:
            path = own.client.predict(hole="center", size=64, api_name="/hole")
        return pixels(path).size > 0

    with concurrent.futures.ThreadPoolExecutor(8, initializer=connect) as pool:
        assert all(pool.map(ask, range(48)))


def post(client, path: str, body: dict) -> tuple[int, str]:
    request = urllib.request.Request(
        client.src.rstrip("/") + path, json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_the_queue_cannot_be_skipped_and_private_endpoints_answer_nobody(client):
    for name in ("inpaint", "hole", "models", "fill", "take_photo", "deliver", "compare"):
        for route in ("run", "api"):
            status, _ = post(client, f"/gradio_api/{route}/{name}", {"data": []})
            assert status >= 400, name
    for name in ("fill", "take_photo", "deliver"):
        assert post(client, f"/gradio_api/call/{name}", {"data": ["{}"]})[0] >= 400


@pytest.mark.parametrize("index", [-1, 10**6, "x", None])
def test_an_unknown_function_is_refused_and_tells_nothing(client, index):
    status, text = post(client, "/gradio_api/queue/join", {"data": [], "fn_index": index, "session_hash": "s"})
    assert 400 <= status < 500 and "Traceback" not in text and ".py" not in text


def test_answers_carry_headers_that_keep_a_browser_safe(client):
    with urllib.request.urlopen(client.src) as response:
        headers = {name.lower(): value for name, value in response.headers.items()}
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'self' https://huggingface.co" in headers["content-security-policy"]


def test_the_endpoints_are_tools_with_descriptions(client):
    with urllib.request.urlopen(client.src.rstrip("/") + "/gradio_api/mcp/schema") as response:
        tools = {tool["name"]: tool for tool in json.load(response)}
    assert {"inpaint", "hole", "models"} <= {name.rpartition("_")[2] for name in tools} and len(tools) == 3
    assert all(tool["description"] for tool in tools.values())


def test_one_greedy_client_does_not_keep_the_others_waiting(client, photo):
    greedy = [
        post(
            client,
            "/gradio_api/queue/join",
            {
                "data": [None, "center", None, 0, "left", "tiny", "paper", 1500, 0.003, "poisson", 0, 1, 0, -1, "l1"],
                "fn_index": index_of(client, "inpaint"),
                "session_hash": "greedy",
            },
        )[0]
        for _ in range(45)
    ]
    assert greedy
    begun = time.monotonic()
    client.predict(picture=photo, model="tiny", steps=2, api_name="/inpaint")
    assert time.monotonic() - begun < 30


def index_of(client, name: str) -> int:
    return next(d["id"] for d in client.config["dependencies"] if d["api_name"] == name)


def test_visitors_files_are_few_and_nobody_elses(client, photo):
    def files() -> set[Path]:
        return {path for path in client.visitors.rglob("*") if path.is_file()}

    (folder,) = client.visitors.iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700
    before = files()
    client.predict(picture=photo, model="tiny", steps=60, api_name="/inpaint")
    assert len(files() - before) <= 2  # the picture, if it was not there, and the result
