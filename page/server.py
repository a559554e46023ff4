"""What the server owes its visitors beside the page: headers, and limits."""

import re
import time
from collections import Counter

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse
from starlette.types import Message, Receive

from .runs.turns import address_of

# Gradio needs inline scripts and styles, and eval; Spaces show the page in a frame.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self' data: blob:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'self'",
        "frame-ancestors 'self' https://huggingface.co https://*.huggingface.co https://*.hf.space",
    )
)
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"content-security-policy": POLICY.encode(),
    b"referrer-policy": b"same-origin",
}


PUBLIC = {"inpaint", "hole", "models", "predict"}  # the last is how the page itself asks for what needs no queue
NAMED = re.compile(r"(?:/gradio_api)?/(?:run|api|call/v2|call)/([^/]+)(?:/[^/]*)?/?$")
CLOSED = re.compile(  # what Gradio offers and this page has no use for
    r"(?:/gradio_api)?/(?:deep_link|runs|run-history|dev|monitoring|process_recording|stream|component_server|profiling|vibe-[a-z-]+"
    r"|undo-vibe-edit|custom_component|proxy=.*)(?:/|$)"
)
MAX_UPLOAD = 65 * 2**20  # bytes of a request with one file of 64 MB
MAX_BODY = 2**20  # bytes of any other request
MAX_OPEN = 128  # requests and streams of one address at once
MAX_UPLOADED = 10**9  # bytes of one address within an hour


class Gate:
    """ASGI middleware: refuses what is nobody's business and what is too much, and gives every answer the headers."""

    def __init__(self, app):
        self.app = app
        self._open: Counter[str] = Counter()
        self._uploaded: Counter[str] = Counter()
        self._hour = 0

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        begun = False

        async def send_with_headers(message):
            nonlocal begun
            if body.too_long and not begun:
                return  # to a body that was broken off; the answer is ours
            if message["type"] == "http.response.start":
                begun = True
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] += [pair for pair in HEADERS.items() if pair[0] not in there]
            await send(message)

        address = address_of(Request(scope))
        body = Body(receive, self._most(scope["path"], address))
        refusal = self._refusal(scope["path"], address)
        if refusal is not None:
            return await refusal(scope, receive, send_with_headers)
        self._open[address] += 1
        try:
            await self.app(scope, body.receive, send_with_headers)
        except ClientDisconnect:
            if not body.too_long:
                raise
        finally:
            self._open[address] -= 1
            if not self._open[address]:
                del self._open[address]
            if scope["path"].rstrip("/").endswith("/upload"):
                self._uploaded[address] += body.length
        if body.too_long and not begun:
            body.too_long = False
            await refused(413, f"The request is longer than {body.most:,} bytes.")(scope, receive, send_with_headers)

    def _refusal(self, path: str, address: str) -> JSONResponse | None:
        named = NAMED.match(path)
        if CLOSED.match(path) or (named is not None and named[1] not in PUBLIC):
            return refused(404, f"There is no endpoint {(named[1] if named else path):.40}.")
        if self._open[address] >= MAX_OPEN:
            return refused(429, f"You have {MAX_OPEN} connections open already: close some of them.")
        return None

    def _most(self, path: str, address: str) -> int:
        """How long the body of a request may be."""
        if not path.rstrip("/").endswith("/upload"):
            return MAX_BODY
        hour = int(time.monotonic() / 3600)
        if hour != self._hour:
            self._hour = hour
            self._uploaded.clear()
        return min(MAX_UPLOAD, MAX_UPLOADED - self._uploaded[address])


class Body:
    """The body of a request, which breaks off where it gets too long."""

    def __init__(self, receive: Receive, most: int):
        self._receive, self.most = receive, most
        self.length = 0
        self.too_long = False

    async def receive(self) -> Message:
        """As ASGI's `receive`."""
        message = await self._receive()
        self.length += len(message.get("body", b""))
        if self.length <= self.most:
            return message
        self.too_long = True
        return {"type": "http.disconnect"}


def refused(status: int, sentence: str) -> JSONResponse:
    """Returns an error response of one sentence."""
    return JSONResponse({"error": sentence, "detail": sentence}, status)


def unknown_function(request: Request, error: Exception) -> JSONResponse:
    """The answer to a request for a function that there is not."""
    return refused(400, "There is no function with this number.")
