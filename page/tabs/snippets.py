"""Code that does what the page is set to do: in Python, on the command line, and through the page's API."""

from dataclasses import dataclass
from typing import Any

from inpainter.blending import Square
from inpainter.search import LEARNING_RATE
from inpainter.search.losses import WINDOW

from .settings import Settings

EXPLANATION = """These do what the page is set to do now; run the first two in a copy of the project. The command line
and the API crop a photo to its centre: to fill exactly the square on the page, give them `original.png` (as
`photo.png`) and `mask.png` from the download of everything after a run."""

PYTHON = """{imports}
model = Inpainter.from_pretrained("hub_models/{model}")
{read}
hole = {hole}  # True or white = missing
result = model(
    {pictures},
    hole,
    mode="{mode}",
    steps={steps},
    prior_weight={prior_weight},
    blend="{blend}",
    seed={seed},{step_size}
    window={window},
    norm="{norm}",
)
{save}
"""

IMPORTS = """from PIL import Image

from inpainter import Inpainter, masks
"""
READ = 'picture = Image.open("photo.png")'
SAVE_ONE = 'Image.fromarray(result.images[0]).save("filled.png")'
SAVE_ALL = """for number, image in enumerate(result.images, start=1):  # the candidates
    Image.fromarray(image).save(f"filled-{number}.png")"""

# For a photo of which the model sees a square: it is filled at its full resolution.
PHOTO_IMPORTS = """import numpy as np
from PIL import Image

from inpainter import Inpainter, masks
from inpainter.blending import Square, paste_back
from inpainter.images import read_image
"""
PHOTO_READ = """photo = np.asarray(read_image("photo.png"))
square = {square}  # what the model sees of it
picture = photo[square.slices]"""
PHOTO_SAVE = """for number, generated in enumerate(result.generated, start=1):  # one a candidate
    filled = paste_back(photo, square, generated, result.hole[0], "{blend}")
    Image.fromarray(filled).save(f"filled-{{number}}.png")"""

COMMAND = """python -m inpainter photo.png \\
    --mask {mask} --mask-seed {hole_seed} \\
    --model hub_models/{model} \\
    --mode {mode} --steps {steps} --prior-weight {prior_weight} --blend {blend} --seed {seed} \\
    -o {output}
"""

CLIENT = """from gradio_client import Client, handle_file

client = Client("{address}")
for seed in {seeds}:  # one a candidate
    filled, details = client.predict(
        picture=handle_file("photo.png"),
        {hole},
        model="{model}",
        mode="{mode}",
        steps={steps},
        prior_weight={prior_weight},
        blend="{blend}",
        seed=seed,{step_size}
        window={window},
        norm="{norm}",
        api_name="/inpaint",
    )
    print(filled, details)  # the path of the filled picture, its losses
"""


@dataclass(frozen=True)
class Choices:
    """What a visitor has chosen.

    `preset` is None for a drawn or uploaded hole, `square` for a picture that is just the model's size.
    """

    model: str
    preset: str | None
    hole_seed: int
    side: str
    settings: Settings
    square: Square | None = None

    @property
    def fields(self) -> dict[str, Any]:
        """Everything by its name in the templates."""
        return vars(self) | vars(self.settings)


def python(choices: Choices, size: int) -> str:
    """A script that uses the library; `size` is the model's, in pixels."""
    match choices.preset:
        case None:
            hole = 'Image.open("mask.png")'
        case "center":
            hole = f"masks.center({size})"
        case "half":
            hole = f'masks.half({size}, side="{choices.side}")'
        case kind:
            hole = f"masks.{kind}({size}, seed={choices.hole_seed})"
    seeds = choices.settings.seeds
    several = {"pictures": f"[picture] * {len(seeds)}", "seed": seeds, "save": SAVE_ALL}
    one = {"pictures": "picture", "seed": seeds[0], "save": SAVE_ONE}
    fields = choices.fields | {"hole": hole, "imports": IMPORTS, "read": READ} | (one if len(seeds) == 1 else several)
    if choices.square:
        photo = {"imports": PHOTO_IMPORTS, "read": PHOTO_READ.format(**fields), "save": PHOTO_SAVE.format(**fields)}
        fields |= photo
    step_size = "".join(f"\n    {name}={value}," for name, value in choices.settings.step_size.items())
    return PYTHON.format(**fields, step_size=step_size)


def command(choices: Choices) -> str:
    """A command line a candidate, with a remark where they lack a setting."""
    named = choices.preset and (choices.preset != "half" or choices.side == "left")  # the only half it knows
    settings = choices.settings
    usual = settings.step_size.get("learning_rate", LEARNING_RATE) == LEARNING_RATE
    usual = usual and (settings.window, settings.norm) == (WINDOW, "l1")
    remark = "" if usual else "# The step size and the context loss are not among the options here.\n"
    mask = choices.preset if named else "mask.png"
    outputs = (
        ["filled.png"] if settings.candidates == 1 else [f"filled-{n + 1}.png" for n in range(settings.candidates)]
    )
    return remark + "".join(
        COMMAND.format(**choices.fields | {"mask": mask, "seed": seed, "output": output})
        for seed, output in zip(settings.seeds, outputs, strict=True)
    )


def client(choices: Choices, address: str) -> str:
    """A script that asks the page at `address`."""
    hole = f'hole="{choices.preset}", hole_seed={choices.hole_seed}, side="{choices.side}"'
    if choices.preset is None:
        hole = 'mask=handle_file("mask.png")'
    settings = choices.settings
    fields = choices.fields | {"hole": hole, "window": settings.window or 0, "seeds": settings.seeds}
    step_size = "".join(f"\n        {name}={value}," for name, value in settings.step_size.items())
    return CLIENT.format(**fields, step_size=step_size, address=address)
