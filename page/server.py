"""Server-side protection of visitors: security headers, private endpoints and a private folder for their files."""

import os
import re
import shutil
import tempfile
from pathlib import Path

from starlette.requests import Request
from starlette.responses import JSONResponse

FOLDER = "inpainter-page-"  # followed by the id of the process that owns it

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


PUBLIC = {"inpaint", "hole", "models", "predict"}  # the page itself uses the last for unqueued events
NAMED = re.compile(r"/(?:run|api|call|call/v2)/([^/]+)(?:/[^/]*)?/?$")


class Gate:
    """ASGI middleware: hides the page's private endpoints from calls by name, and adds the headers above."""

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
    """Returns an error response of one sentence."""
    return JSONResponse({"error": sentence, "detail": sentence}, status)


def unknown_function(request: Request, error: Exception) -> JSONResponse:
    """Responds to a request for an unknown function."""
    return refused(400, "There is no function with this number.")


def own_files() -> Path:
    """Creates a private folder for this process's visitors, and removes those of processes that have ended.

    Call it before importing Gradio, which reads the environment then.
    """
    parent = Path(os.environ.get("INPAINTER_FILES") or tempfile.gettempdir())
    parent.mkdir(parents=True, exist_ok=True)
    for left in parent.glob(f"{FOLDER}*"):
        owner = left.name.removeprefix(FOLDER).partition("-")[0]
        if owner.isdecimal() and not _alive(int(owner)):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER}{os.getpid()}-", dir=parent))  # mkdtemp: mode 0700
    os.environ["GRADIO_TEMP_DIR"] = str(folder)
    return folder


def _alive(process: int) -> bool:
    if process == os.getpid():
        return False  # left by an earlier run: a container's first process always has the same id
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True  # another user's process
    return True
