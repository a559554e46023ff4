"""A visitor of the page as the server sees one: an address, a session, and its connections."""

import contextlib
import json
import socket
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self

import httpx
from gradio_client.utils import apply_diff

GENERATING, COMPLETED = "process_generating", "process_completed"


class Visitor:
    """One tab of a browser, or one program. `address` is its own, 127.x.y.z on Linux."""

    def __init__(self, page: str, address: str = "127.0.0.1", timeout: float = 600):
        self.http = httpx.Client(
            base_url=page, transport=httpx.HTTPTransport(local_address=address, retries=1), timeout=timeout
        )
        self.session = uuid.uuid4().hex[:12]
        self.number = 0  # of its last request for a fill
        config = self.http.get("/config").raise_for_status().json()
        self.functions = {each["api_name"]: each["id"] for each in config["dependencies"]}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception) -> None:
        self.http.close()

    def body(self, name: str, data: tuple) -> dict[str, Any]:
        return {"data": list(data), "fn_index": self.functions[name], "session_hash": self.session}

    def join(self, name: str, *data: Any) -> httpx.Response:
        """Asks for an event of the page, without waiting for what comes of it."""
        return self.http.post("/gradio_api/queue/join", json=self.body(name, data))

    def send(self, name: str, *data: Any) -> httpx.Response:
        """Asks for an event that waits in no queue."""
        return self.http.post("/gradio_api/run/predict", json=self.body(name, data))

    def events(self, name: str, *data: Any) -> Iterator[list]:
        """The outputs of an event as they come. Leaving the loop closes the connection, as closing the tab does.

        Raises:
            ValueError: with the sentence with which the server refuses.
        """
        answer = self.join(name, *data)
        if answer.is_error:
            raise ValueError(answer.text)
        shown: list | None = None
        with self.http.stream("GET", "/gradio_api/queue/data", params={"session_hash": self.session}) as stream:
            for line in stream.iter_lines():
                message = json.loads(line.removeprefix("data:")) if line.startswith("data:") else {}
                output = message.get("output") or {}
                if message.get("msg") in (GENERATING, COMPLETED) and not message["success"]:
                    raise ValueError(str(output.get("error")))
                if message.get("msg") == GENERATING:
                    new = output["data"]
                    shown = new if shown is None else [apply_diff(*pair) for pair in zip(shown, new, strict=True)]
                    yield shown
                elif message.get("msg") == COMPLETED:
                    yield output["data"]
                    return

    def last(self, name: str, *data: Any) -> list:
        """An event's last outputs."""
        *_, last = self.events(name, *data)
        return last

    def fill(self, scene: dict[str, Any], effort: str = "run") -> Iterator[dict[str, Any]]:
        """The page's answers to a scene, as `page.runs.fill` tells them."""
        self.number += 1
        asked = {"id": f"s{self.number}", "number": self.number, "effort": effort, "scene": scene}
        for answer, *_ in self.events("fill", json.dumps(asked)):
            if isinstance(answer, str):  # else it stays as it was
                yield json.loads(answer)

    def upload(self, name: str, data: bytes) -> httpx.Response:
        return self.http.post("/gradio_api/upload", files={"files": (name, data)})

    @contextmanager
    def open_tab(self) -> Iterator[None]:
        """Loads the page and keeps the connection by which the server knows that it is open."""
        self.http.get("/").raise_for_status()
        with self.http.stream("GET", f"/gradio_api/heartbeat/{self.session}") as heart:
            listener = threading.Thread(target=_drain, args=(heart,), daemon=True)
            listener.start()
            try:
                yield
            finally:
                # A socket that is closed while another thread reads from it stays open until that thread has read.
                with contextlib.suppress(OSError):  # the page has closed it
                    heart.extensions["network_stream"].get_extra_info("socket").shutdown(socket.SHUT_RDWR)
                listener.join()


def _drain(stream: httpx.Response) -> None:
    try:
        for _ in stream.iter_raw():
            pass
    except (httpx.HTTPError, httpx.StreamError, OSError):
        return
