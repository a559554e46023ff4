"""What one client can do to the page: nothing is filled, nobody is kept out, and every refusal is one sentence."""

import concurrent.futures
import contextlib
import json
import socket
from urllib.parse import urlsplit

import psutil
import pytest
from page_server import EXAMPLES, page_server

pytest.importorskip("gradio", reason="Gradio is not installed")

from benchmarks.visiting import Visitor
from inpainter import masks
from page import mailboxes, server
from page.runs.scene import pack


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    with page_server(tmp_path_factory.mktemp("page")) as address:
        yield address


@pytest.fixture
def honest(page):
    """A visitor from an address of its own, who is always served."""
    with Visitor(page, "127.0.0.8") as visitor:
        yield visitor
        *_, last = visitor.fill(scene(1))
        assert last["state"] == "done"


@pytest.fixture
def hostile(page):
    with Visitor(page, "127.0.0.9") as visitor:
        yield visitor


def connected(page: str) -> socket.socket:
    """A bare connection from the hostile address."""
    return socket.create_connection((urlsplit(page).hostname, urlsplit(page).port), 60, ("127.0.0.9", 0))


def scene(steps: int, preset: str = "") -> dict:
    picture = {"picture": f"example:{EXAMPLES[0].name}", "square": None, "hole": pack(masks.center(64))}
    return {"model": "dcgan-celeba", **picture, "preset": preset, "settings": {"steps": steps}}


def refusal(answer) -> str:
    assert answer.headers["x-content-type-options"] == "nosniff" and "Traceback" not in answer.text
    return answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/deep_link?session_hash=x",
        "/gradio_api/run-history/buckets",
        "/gradio_api/runs",
        "/gradio_api/dev/reload",
        "/gradio_api/proxy=http://127.0.0.1/",
        "/gradio_api/proxy=https://huggingface.co/x.hf.space",
        "/monitoring",
        "/monitoring/summary",
        "/gradio_api/vibe-code/",
        "/gradio_api/stream/a/b/1/playlist.m3u8",
    ],
)
def test_what_the_page_has_no_use_for_is_closed(hostile, path):
    answer = hostile.http.get(path)
    assert answer.status_code == 404 and refusal(answer).startswith("There is no endpoint")


def test_the_addresses_in_the_documentation_of_the_api_are_open():
    """Gradio's own documentation gives those with "v2" for curl."""
    for path in ("/gradio_api/call/inpaint", "/gradio_api/call/v2/inpaint", "/gradio_api/call/v2/inpaint/some-event"):
        assert server.NAMED.match(path)[1] == "inpaint"


@pytest.mark.parametrize("folder", ["/home/dev", "/run/user", "/srv/stream/api", "/call/run", "/monitoring"])
def test_files_are_served_whatever_their_folders_are_called(folder):
    path = f"/gradio_api/file={folder}/photo.png"
    assert not server.CLOSED.match(path) and not server.NAMED.match(path)


def test_a_request_of_any_size_takes_bounded_memory(hostile, honest, page):
    before = memory(page)
    answer = hostile.http.post("/gradio_api/queue/join", content=b'{"data": ["' + bytes(50 * 2**20))
    assert answer.status_code == 413 and "longer than" in refusal(answer)
    field = {"files": (None, bytes(150 * 2**20))}  # a field that is no file is kept in memory
    assert hostile.http.post("/gradio_api/upload", files=field).status_code == 413
    many = [("files", (f"{number}.png", bytes(30 * 2**20))) for number in range(4)]
    assert hostile.http.post("/gradio_api/upload", files=many).status_code == 413
    assert memory(page) - before < 200e6


def memory(page: str) -> int:
    port = urlsplit(page).port
    (owner,) = {each.pid for each in psutil.net_connections() if each.laddr.port == port and each.status == "LISTEN"}
    return psutil.Process(owner).memory_info().rss


def test_who_asks_and_does_not_read_is_forgotten(hostile, honest):
    cached = json.dumps({"id": "s", "number": 1, "effort": "run", "scene": scene(1, "center")})
    list(hostile.fill(scene(1, "center")))
    for number in range(mailboxes.ADDRESS_MOST):
        hostile.session = f"hostile{number // 20}"  # what one session leaves unread is bounded as well
        hostile.join("fill", cached).raise_for_status()
    with hostile.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": "hostile0"}) as answer:
        told = next(answer.iter_lines())  # after it, Gradio breaks the answer off
    assert '"session_not_found":true' in told.replace(" ", "")


def test_a_client_that_holds_every_connection_it_gets_leaves_room_for_others(page, honest):
    with contextlib.ExitStack() as stack:
        held = []
        for number in range(server.MAX_OPEN + 8):
            held.append(stack.enter_context(connected(page)))
            held[-1].sendall(f"GET /gradio_api/heartbeat/h{number} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        statuses = [each.recv(64).split()[1] for each in held]
        assert statuses.count(b"200") == server.MAX_OPEN and statuses.count(b"429") == 8


def test_half_sent_requests_keep_nobody_out(page, honest):
    with contextlib.ExitStack() as stack:
        for _ in range(100):
            half = b"POST /gradio_api/upload HTTP/1.1\r\nContent-Type: multipart/form-data; boundary=x\r\n"
            stack.enter_context(connected(page)).sendall(half)
        assert honest.http.get("/").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../app.py",
        "/gradio_api/file=%2e%2e/%2e%2e/app.py",
        "/gradio_api/file=//etc/passwd",
        "/gradio_api/file=file:///etc/passwd",
        "/gradio_api/file=/proc/self/environ",
        "/static/../../../app.py",
        "/static/%2e%2e/%2e%2e/%2e%2e/app.py",
        "/assets/..%2f..%2fapp.py",
        "/svelte/..%2f..%2fapp.py",
    ],
)
def test_no_path_leads_out_of_the_folders(page, path):
    with connected(page) as raw:  # a client library would tidy the path up
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: {urlsplit(page).netloc}\r\nConnection: close\r\n\r\n".encode())
        answer = b"".join(iter(lambda: raw.recv(65536), b""))
    assert answer.split()[1] in (b"400", b"403", b"404", b"405"), answer[:200]
    assert b"root:" not in answer and b"import gradio" not in answer


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "1.2.3.4, ::1, " + "9" * 5000},
        {"X-Forwarded-Host": "evil.example", "X-Forwarded-Proto": "javascript"},
        {"Host": "evil.example"},
        {"Content-Type": "multipart/form-data"},
        {"Accept-Encoding": "br;q=nan, *;q=-1"},
        {"Cookie": "access-token-unsecure-x=" + "a" * 4000},
        {"Range": "bytes=0-0," * 200},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_strange_headers_are_answered_without_an_error_of_ours(hostile, headers):
    for method, path in (("GET", "/"), ("GET", "/config"), ("POST", "/gradio_api/upload")):
        answer = hostile.http.request(method, path, headers=headers)
        assert answer.status_code < 500 and "Traceback" not in answer.text
        assert "javascript://" not in answer.text


def test_thirty_tabs_opened_at_once_all_get_the_page(page):
    def opened(number: int) -> bool:
        with Visitor(page, f"127.0.3.{number + 1}") as visitor, visitor.open_tab():
            return True

    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        assert all(pool.map(opened, range(30)))
