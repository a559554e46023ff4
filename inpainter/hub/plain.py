"""Code that rebuilds G without this package, by family: a part of every model card, run by the tests."""

from typing import Any

PLAIN_TORCH = {
    "dcgan": """\
import json
import torch
from huggingface_hub import hf_hub_download
from safetensors.torch import load_file

repo = "REPO_ID"
config = json.load(open(hf_hub_download(repo, "config.json")))
weights = load_file(hf_hub_download(repo, "model.safetensors"))  # float16, every tensor by name
size, widths = config["latent_size"], config["channels"]
layers = [torch.nn.Linear(size, widths[0] * 16, bias=False), torch.nn.Unflatten(1, (widths[0], 4, 4))]
for wide, narrow in zip(widths, [*widths[1:], 3]):  # each doubles the size: 4, 8, 16, 32, 64 pixels
    convolution = torch.nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1, bias=narrow == 3)
    layers += [torch.nn.BatchNorm2d(wide), torch.nn.ReLU(), convolution]
G = torch.nn.Sequential(*layers, torch.nn.Tanh()).eval().requires_grad_(False)  # batch norm: stored statistics
G.load_state_dict({k[10:]: v.float() for k, v in weights.items() if k.startswith("generator.")})
images = G(torch.rand(16, size) * 2 - 1)  # codes are uniform on [-1, 1]; images (16, 3, 64, 64) in [-1, 1]
""",
    "comod": """\
import json
import torch
import torch.nn.functional as F
from huggingface_hub import hf_hub_download
from safetensors.torch import load_file

repo = "REPO_ID"
config = json.load(open(hf_hub_download(repo, "config.json")))
weights = load_file(hf_hub_download(repo, "model.safetensors"))  # float16, every tensor by name
W = {k[10:]: v.float() for k, v in weights.items() if k.startswith("generator.")}
size, levels, gain = config["image_size"], len(config["decoder_channels"]), (2 / 1.04) ** 0.5

def leaky(x):
    return F.leaky_relu(x, 0.2)

def linear(name, x, rate=1.0):
    w = W[name + ".weight"]
    return F.linear(x, w * rate / w.shape[1] ** 0.5, W[name + ".bias"] * rate)

def conv(name, x, stride=1, gain=1.0):
    w = W[name + ".weight"]
    return F.conv2d(x, w * gain / w[0].numel() ** 0.5, W[name + ".bias"], stride, (w.shape[-1] - 1) // 2)

def modulated(name, x, style):  # StyleGAN2's convolution: 3x3, 1x1 to RGB, or transposed 4x4 that doubles the size
    w, s = W[name + ".weight"], linear(name + ".affine", style)
    x, side = x * s[:, :, None, None], w.shape[-1]
    if side == 4:
        w, line = w / (4 * w.shape[0]) ** 0.5, torch.tensor([1.0, 2.0, 1.0]) / 4
        x = F.conv_transpose2d(x, w, stride=2, padding=1)
        x = F.conv2d(x, line.outer(line).expand(x.shape[1], 1, 3, 3), padding=1, groups=x.shape[1])  # blur
        power = (w**2).sum((2, 3)) / 4
    else:
        w = w / w[0].numel() ** 0.5
        x, power = F.conv2d(x, w, padding=side // 2), (w**2).sum((2, 3)).t()
    x = x if side == 1 else x * torch.rsqrt(s**2 @ power + 1e-8)[:, :, None, None]
    return x + W[name + ".bias"][:, None, None]

def continued(picture, hole):  # fills the hole with the colours around it
    levels = [(picture.masked_fill(hole[:, None], 0), (~hole)[:, None].float())]
    while levels[-1][1].shape[-1] > 1:
        levels.append([F.avg_pool2d(x, 2) for x in levels[-1]])
    smooth = levels[-1][0] * 0
    for colour, weight in levels[::-1]:
        smooth = F.interpolate(smooth, size=weight.shape[-1], mode="bilinear")
        smooth = torch.where(weight > 0, colour / weight.clamp(min=1e-6), smooth)
    return smooth

def G(z, picture, hole):  # (n, latent_size) in [-1, 1]; (n, 3, size, size) in [-1, 1]; bool (n, size, size)
    x = torch.cat([continued(picture, hole), hole[:, None].float() - 0.5], 1)
    x = torch.cat([x, x.flip(3)], 1) if config.get("mirrored") else x  # with the mirror image
    seen = [leaky(conv("encoder.look.0", x))]
    for i in range(levels - 1):
        x = F.avg_pool2d(x, 2)
        down = conv(f"encoder.down.{i}", seen[0], stride=2, gain=gain)
        seen.insert(0, leaky(conv(f"encoder.look.{i + 1}", x) + down))
    style = z * 3**0.5
    for i in range(2):
        style = leaky(linear(f"mapping.{i}", style, rate=0.01)) * gain
    style = torch.cat([style, leaky(linear("vector", seen[0].flatten(1))) * gain], 1)
    layout = linear("layout", style).unflatten(1, (-1, 4, 4))
    x = leaky(modulated("first", seen[0], style) + layout) * gain
    image = modulated("colour.0", x, style)
    for i in range(levels - 1):
        x = leaky(modulated(f"up.{i}", x, style) + conv(f"skip.{i}", seen[i + 1])) * gain
        x = leaky(modulated(f"second.{i}", x, style)) * gain
        image = F.interpolate(image, scale_factor=2, mode="bilinear") + modulated(f"colour.{i + 1}", x, style)
    return image

picture, hole = torch.zeros(4, 3, size, size), torch.ones(4, size, size, dtype=torch.bool)  # all missing
images = G(torch.rand(4, config["latent_size"]) * 2 - 1, picture, hole)
""",
}
PLAIN_TORCH["vae"] = PLAIN_TORCH["dcgan"].replace(
    "torch.rand(16, size) * 2 - 1)  # codes are uniform on [-1, 1]", "torch.randn(16, size))  # codes are normal"
)

# What the code of a "comod" lacks if its config has a `backbone` or `attention`, to insert before G.
BACKBONE = """\
def fixed(name, x, stride=1, groups=1):  # pads as TensorFlow does
    w = W[name + ".weight"]
    before, after = (w.shape[-1] - stride) // 2, w.shape[-1] - stride - (w.shape[-1] - stride) // 2
    return F.conv2d(F.pad(x, (before, after, before, after)), w, W[name + ".bias"], stride, groups=groups)

def backbone(x):  # features of EfficientNet-Lite0, from 32x32 down to 4x4
    x = F.interpolate(x, size=128, mode="bilinear" if x.shape[-1] < 128 else "area")
    x, found = F.relu6(fixed("backbone.stem", x, 2)), []
    for i in range(16):
        name, stride = f"backbone.blocks.{i}", 2 if i in (1, 3, 5, 11) else 1
        y = F.relu6(fixed(name + ".expand", x)) if i else x
        y = fixed(name + ".project", F.relu6(fixed(name + ".filter", y, stride, y.shape[1])))
        x = x + y if x.shape == y.shape else y
        found += [x * torch.rsqrt((x**2).mean((1, 2, 3), keepdim=True) + 1e-6)] if i in (2, 4, 10, 15) else []
    return found

def look(i, x, known):  # the four smallest sizes see the backbone's features
    return conv(f"encoder.look.{i}", torch.cat([x, known[i - levels]], 1) if i >= levels - 4 else x)

"""
ATTENTION = """\
def attend(x):  # a transformer block at 16x16 and 8x8
    name = f"encoder.attention.{x.shape[-1]}"
    if name + ".position" not in W:
        return x
    normal = lambda x: x * torch.rsqrt((x**2).mean(1, keepdim=True) + 1e-6)
    heads = x.shape[1] // 32 if x.shape[1] % 32 == 0 else 1
    y = conv(name + ".ask", normal(x) + W[name + ".position"]).flatten(2).unflatten(1, (3, heads, -1))
    y = F.scaled_dot_product_attention(*y.transpose(-1, -2).unbind(1))
    x = x + conv(name + ".answer", y.transpose(-1, -2).reshape(x.shape))
    return x + conv(name + ".narrow", leaky(conv(name + ".wide", normal(x), gain=gain)))

"""
REPLACED = {  # by field of the config: lines of G, and what they become
    "backbone": {
        "def G(": BACKBONE + "def G(",
        "    x = torch.cat([x, x.flip(3)]": "    known = backbone(x[:, :3])\n    x = torch.cat([x, x.flip(3)]",
        'conv("encoder.look.0", x)': "look(0, x, known)",
        'conv(f"encoder.look.{i + 1}", x)': "look(i + 1, x, known)",
    },
    "attention": {
        "def G(": ATTENTION + "def G(",
        "seen.insert(0, leaky(": "seen.insert(0, attend(leaky(",
        " + down))": " + down)))",
    },
}


def plain_torch(config: Any) -> str:
    """Returns the code for models of a configuration, or "" if there is none for its family."""
    code = PLAIN_TORCH.get(config.family, "")
    for field, lines in REPLACED.items():
        for old, new in lines.items() if getattr(config, field, False) else ():
            code = code.replace(old, new)
    return code
