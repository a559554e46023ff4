"""Code that does what the page is set to do: in Python, on the command line, and through the page's API."""

from dataclasses import dataclass

from inpainter.losses import WINDOW
from inpainter.search import LEARNING_RATE

EXPLANATION = """These do what the page is set to do now; run the first two in a copy of the project. To fill
exactly the picture on the page, take `original.png` (as `photo.png`) and `mask.png` from the download of everything
after a run."""

PYTHON = """from PIL import Image

from inpainter import Inpainter, masks

model = Inpainter.from_pretrained("hub_models/{model}")
picture = Image.open("photo.png")
hole = {hole}  # True or white = missing
result = model(
    picture,
    hole,
    steps={steps},
    prior_weight={prior_weight},
    blend="poisson",
    seed={seed},
    starts={starts},
    learning_rate={learning_rate},
    window={window},
    norm="{norm}",
)
Image.fromarray(result.images[0]).save("filled.png")
"""

COMMAND = """python -m inpainter photo.png \\
    --mask {mask} --mask-seed {hole_seed} \\
    --model hub_models/{model} \\
    --steps {steps} --prior-weight {prior_weight} --seed {seed} --starts {starts} \\
    -o filled.png
"""

CLIENT = """from gradio_client import Client, handle_file

client = Client("{address}")
filled, details = client.predict(
    picture=handle_file("photo.png"),
    {hole},
    model="{model}",
    steps={steps},
    prior_weight={prior_weight},
    seed={seed},
    starts={starts},
    learning_rate={learning_rate},
    window={window},
    norm="{norm}",
    api_name="/inpaint",
)
print(filled, details)  # the path of the filled picture, its losses
"""


@dataclass(frozen=True)
class Choices:
    """What a visitor has chosen; `preset` is None for a drawn or uploaded hole."""

    model: str
    preset: str | None
    hole_seed: int
    side: str
    steps: int
    prior_weight: float
    learning_rate: float
    window: int | None
    norm: str
    starts: int
    seed: int


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
    return PYTHON.format(**vars(choices) | {"hole": hole})


def command(choices: Choices) -> str:
    """A command line, with a remark where it lacks a setting."""
    named = choices.preset and (choices.preset != "half" or choices.side == "left")  # the only half it knows
    usual = (choices.learning_rate, choices.window, choices.norm) == (LEARNING_RATE, WINDOW, "l1")
    remark = "" if usual else "# The step size and the context loss are not among the options here.\n"
    return remark + COMMAND.format(**vars(choices), mask=choices.preset if named else "mask.png")


def client(choices: Choices, address: str) -> str:
    """A script that asks the page at `address`."""
    hole = f'hole="{choices.preset}", hole_seed={choices.hole_seed}, side="{choices.side}"'
    if choices.preset is None:
        hole = 'mask=handle_file("mask.png")'
    return CLIENT.format(**vars(choices) | {"hole": hole, "window": choices.window or 0}, address=address)
