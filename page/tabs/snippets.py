"""Code that reproduces a scene: in Python, on the command line, and through the page's API.

Run the three in order in a copy of the project: the first writes `mask.png`, for a photo `square.png`, and for a sample
of a model without examples `sample.png`, which the others read.
"""

import base64
import zlib
from typing import Any

import numpy as np

from inpainter import Settings, masks

from ..models import PORTRAIT, offer_named
from ..runs.scene import SAMPLE, Scene
from ..settings import Choice

PYTHON = """{imports}
model = Inpainter.from_pretrained("hub_models/{model}")
{read}
hole = {hole}  # True = missing
Image.fromarray(hole).save("mask.png")
result = model({pictures}, hole{options})
{save}
"""
SAMPLE_FILE = "sample.png"
READ = 'picture = Image.open("{path}")'
READ_SAMPLE = """codes = model.model.sample_latents(1, torch.Generator().manual_seed(0)).to(model.device)
picture = Image.fromarray(to_uint8(model.model.generate(codes))[0])
picture.save("sample.png")"""
READ_PHOTO = """photo = np.asarray(read_image("{path}"))
square = {square}  # the part that the model sees
picture = Image.fromarray(photo[square.slices])
picture.save("square.png")"""
SAVE = """for number, image in enumerate(result.images, start=1):
    Image.fromarray(image).save(f"filled-{number}.png")"""
SAVE_PHOTO = """for number, generated in enumerate(result.generated, start=1):
    filled = paste_back(photo, square, generated, hole, result.settings.blend)
    Image.fromarray(filled).save(f"filled-{number}.png")"""

COMMAND = """python -m inpainter {path} --mask mask.png --model hub_models/{model}{options} \\
    --seed {seed} -o filled-by-command-{number}.png
"""

CLIENT = """from gradio_client import Client, handle_file

client = Client("{address}")
for seed in {seeds}:
    filled, details = client.predict(
        picture=handle_file("{path}"),
        mask=handle_file("mask.png"),
        model="{model}",
        seed=seed,{options}
        api_name="/inpaint",
    )
    print(filled, details)  # path of the filled picture, and its losses
"""


def python(scene: Scene) -> str:
    """Returns a script that uses the library."""
    choice, rows = scene.choice, _rows(scene)
    first = choice.settings.seed
    imports = ["from PIL import Image\n", "from inpainter import Inpainter, masks"]
    hole, needs = _hole(scene)
    read, save = READ.format(path=_path(scene)), SAVE
    if scene.square and scene.photo:
        read = READ_PHOTO.format(path=_path(scene), square=scene.square)
        save = SAVE_PHOTO
        imports += ["from inpainter.blending import Square, paste_back", "from inpainter.reading import read_image"]
        needs = {"import numpy as np"} | needs
    if _of_sample(scene):
        read = READ_SAMPLE
        imports.append("from inpainter.images import to_uint8")
        needs = {"import torch"} | needs
    if needs:
        packages = {"import numpy as np", "import torch"} & needs
        standard, third = "\n".join(sorted(needs - packages)), "\n".join(sorted(packages))
        imports[0] = (standard + "\n\n" if standard else "") + (third + "\n" if third else "") + imports[0]
    options = _options(choice) | ({"seed": [first + row for row in range(rows)]} if rows > 1 else {})
    return PYTHON.format(
        imports="\n".join(imports) + "\n",
        model=scene.model,
        read=read,
        hole=hole,
        pictures=f"[picture] * {rows}" if rows > 1 else "picture",
        options="".join(f", {name}={value!r}" for name, value in options.items()),
        save=save,
    )


def command(scene: Scene) -> str:
    """Returns one command line per candidate, with a remark on unsupported settings."""
    choice = scene.choice
    options = _options(choice)
    lacking = {"window", "norm", "learning_rate"} & options.keys()
    remark = f"# Without {' and '.join(sorted(lacking))}: the command line does not support it.\n" if lacking else ""
    there = {name: value for name, value in options.items() if name not in {*lacking, "seed"}}
    words = "".join(f" --{name.replace('_', '-')} {value}" for name, value in there.items())
    fields = {"path": _square(scene), "model": scene.model, "options": words}
    return remark + "".join(
        COMMAND.format(**fields | {"seed": choice.settings.seed + row, "number": row + 1})
        for row in range(_rows(scene))
    )


def client(scene: Scene, address: str) -> str:
    """Returns a script that calls the API of the page at `address`."""
    options = {name: value for name, value in _options(scene.choice).items() if name != "seed"}
    if "window" in options:
        options["window"] = 0
    return CLIENT.format(
        address=address,
        path=_square(scene),
        model=scene.model,
        seeds=[scene.choice.settings.seed + row for row in range(_rows(scene))],
        options="".join(f"\n        {name}={value!r}," for name, value in options.items()),
    )


def _options(choice: Choice) -> dict[str, Any]:
    """Returns the settings that differ from the library's defaults, as keywords."""
    usual = Settings()
    return {name: value for name, value in vars(choice.settings).items() if value != getattr(usual, name)}


def _rows(scene: Scene) -> int:
    return scene.choice.candidates or offer_named(scene.model).candidates


def _hole(scene: Scene) -> tuple[str, set[str]]:
    """Returns an expression for the hole, and the imports it needs."""
    size, (kind, _, which) = len(scene.hole), scene.preset.partition(":")
    calls = {
        "center": lambda: (f"masks.center({size})", masks.center(size)),
        "half": lambda: (f'masks.half({size}, side="{which}")', masks.half(size, which)),
        "pattern": lambda: (f"masks.pattern({size}, seed={which})", masks.pattern(size, seed=int(which))),
        "random": lambda: (f"masks.random({size}, seed={which})", masks.random(size, seed=int(which))),
    }
    if kind in calls:
        call, hole = calls[kind]()
        if (hole == scene.hole).all():  # unless it was edited since
            return call, set()
    text = base64.b64encode(zlib.compress(np.packbits(scene.hole).tobytes(), 9)).decode()
    bits = f'np.frombuffer(zlib.decompress(base64.b64decode("{text}")), np.uint8)'
    call = f"np.unpackbits({bits}, count={size * size}).reshape({size}, {size}) > 0"
    return call, {"import base64", "import zlib", "import numpy as np"}


def _path(scene: Scene) -> str:
    """Returns the path of the picture in a copy of the project; that of a sample, which is in no file, is new."""
    if scene.photo:
        return scene.photo.name
    if _of_sample(scene):
        return SAMPLE_FILE
    name = scene.source.partition(":")[2]
    path = next(path for path in offer_named(scene.model).examples if path.name == name)
    return f"page/assets/{name}" if path == PORTRAIT else f"hub_models/{scene.model}/examples/{name}"


def _of_sample(scene: Scene) -> bool:
    return scene.source == f"example:{SAMPLE}"


def _square(scene: Scene) -> str:
    """Returns the path of the picture for the other snippets: for a photo, the square saved by the Python script."""
    return "square.png" if scene.square and scene.photo else _path(scene)
