"""What the server owes its visitors beside the page: headers, and limits."""

import re

from starlette.requests import Request
from starlette.responses import JSONResponse

# Gradio's own page needs inline scripts and styles, and makes functions of strings; Spaces show it in a frame.
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
NAMED = re.compile(r"/(?:run|api|call|call/v2)/([^/]+)(?:/[^/]*)?/?$")


class Gate:
    """ASGI middleware: endpoints that are the page's own answer to no name, and every answer has the headers above."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        async def send_with_headers(message):
            if message["type"] == "http.response.start":
                there = {name.lower() for name, _ in message["headers"]}
                message["headers"] += [pair for pair in HEADERS.items() if pair[0] not in there]
            await send(message)

        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        named = NAMED.search(scope["path"])
        app = self.app if named is None or named[1] in PUBLIC else refused(404, f"There is no endpoint {named[1]:.40}.")
        await app(scope, receive, send_with_headers)


def refused(status: int, sentence: str) -> JSONResponse:
    """An answer of one sentence."""
    return JSONResponse({"error": sentence, "detail": sentence}, status)


def unknown_function(request: Request, error: Exception) -> JSONResponse:
    """The answer to a request for a function that there is not."""
    return refused(400, "There is no function with this number here.")
