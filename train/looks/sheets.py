"""Sheets of pictures to look at, in labelled rows."""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from inpainter.images import image_grid

SHOWN = 6  # pictures per row; each takes about 10 kB
SIDE = 128  # pixels; smaller pictures are enlarged by a whole factor up to this
GAP = 4


def filled(images: NDArray[np.uint8], holes: NDArray[np.bool_], fillings: dict[str, NDArray[np.uint8]]) -> Image.Image:
    """Lays out pictures (N, H, W, 3): a row intact, a row with white holes, and a row per method of filling them."""
    damaged = np.where(holes[..., None], 255, images).astype(np.uint8)
    return labelled({"intact": images, "damaged": damaged, **fillings})


def labelled(rows: dict[str, NDArray[np.uint8]]) -> Image.Image:
    """Lays out rows of square pictures uint8 (N, H, W, 3), each with its name on the left."""
    stacked = np.concatenate(list(rows.values()))
    scale = max(1, SIDE // stacked.shape[1])
    stacked = stacked.repeat(scale, axis=1).repeat(scale, axis=2)
    pictures = image_grid(stacked, columns=len(next(iter(rows.values()))), gap=GAP)
    font = ImageFont.load_default(size=14)
    margin = max(int(font.getlength(name)) for name in rows) + 2 * GAP
    sheet = Image.new("RGB", (margin + pictures.width, pictures.height), "white")
    sheet.paste(pictures, (margin, 0))
    draw = ImageDraw.Draw(sheet)
    pitch = stacked.shape[1] + GAP
    for index, name in enumerate(rows):
        draw.text((GAP, index * pitch + stacked.shape[1] // 2), name, fill="black", font=font, anchor="lm")
    return sheet
