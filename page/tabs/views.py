"""HTML fragments shared by the tabs. The browser greys out those whose scene id is no longer current."""

from html import escape

from numpy.typing import NDArray

from ..pixels import data_uri


def figure(image: NDArray, title: str, detail: str = "", more: str = "") -> str:
    """Returns a picture (H, W, 3) with its caption; `more` is a second line."""
    caption = escape(title) + (f" <b>{escape(detail)}</b>" if detail else "") + (f"<br>{escape(more)}" if more else "")
    return f"<figure>{img(image, title)}<figcaption>{caption}</figcaption></figure>"


def img(image: NDArray, alt: str) -> str:
    """Returns a picture (H, W, 3) as an image element with inline data."""
    return f'<img src="{data_uri(image)}" alt="{escape(alt)}" decoding="sync">'


def of_scene(id: str, html: str) -> str:
    """Tags HTML with the id of the scene it belongs to."""
    return f'<div class="of-scene" data-scene="{escape(id)}">{html}</div>'


def in_steps(count: int) -> str:
    return f"{count} step" if count == 1 else f"{count} steps"


def hint(text: str) -> str:
    return f'<p class="hint">{text}</p>'


def progress(text: str, share: float) -> str:
    """Returns a status line with a progress bar."""
    bar = f'<progress max="1" value="{share:.2f}" aria-label="Done"></progress>' if share < 1 else ""
    return f'<div role="status" class="progress">{escape(text)}{bar}</div>'
