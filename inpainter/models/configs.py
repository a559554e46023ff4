"""Configurations of the networks: sizes and widths, checked before anything is built from them."""

from dataclasses import dataclass, field
from typing import Any

from .base import ModelError

D_NORMS = ("batch", "none")
MAX_IMAGE_SIZE, MAX_LATENT_SIZE, MAX_CHANNELS = 512, 4096, 4096
LEAST_SIZE, LARGEST_SIZE = 32, 256


@dataclass(frozen=True)
class DCGANConfig:
    """Configuration and training record of a DCGAN. Raises `ModelError` if it cannot be built."""

    family: str = "dcgan"
    image_size: int = 64  # pixels; 4 doubled once per entry of `channels`
    latent_size: int = 100
    latent_distribution: str = "uniform"  # on [-1, 1] in each coordinate
    channels: tuple[int, ...] = (512, 256, 128, 64)  # of G, from 4x4 up; D mirrors them
    d_norm: str = "batch"  # normalisation in D
    training: dict = field(default_factory=dict)  # data, steps, hours, ...: for the model card

    def __post_init__(self):
        check_fixed(self, "family", "latent_distribution")
        if self.d_norm not in D_NORMS:
            raise ModelError(f"config: d_norm is {self.d_norm!r:.80}, expected one of {', '.join(D_NORMS)}.")
        check_shape(self)


@dataclass(frozen=True)
class VAEConfig(DCGANConfig):
    """Configuration and training record of a VAE's decoder. Raises `ModelError` if it cannot be built."""

    family: str = "vae"
    latent_distribution: str = "normal"  # with mean 0 and standard deviation 1 in each coordinate


@dataclass(frozen=True)
class CoModConfig:
    """Configuration and training record of a CoMod. Raises `ModelError` if it cannot be built.

    Widths are listed from the picture's size down to 4x4 pixels, halving the size each time; the decoder uses them in
    reverse.
    """

    family: str = "comod"
    image_size: int = 64  # pixels; 4 doubled once per width after the first
    latent_size: int = 64
    latent_distribution: str = "uniform"  # on [-1, 1] in each coordinate
    style_size: int = 192  # of each half of the style: one from z, one from the picture
    encoder_channels: tuple[int, ...] = (32, 64, 128, 192, 256)
    decoder_channels: tuple[int, ...] = (32, 64, 128, 192, 256)
    discriminator_channels: tuple[int, ...] = (32, 48, 96, 192, 320)
    mirrored: bool = False  # the encoder also sees the mirror image, for pictures that are roughly symmetric
    backbone: bool = False  # the encoder also sees features of EfficientNet-Lite0, for pictures that vary much
    attention: bool = False  # the encoder's features at 16x16 and 8x8 affect each other from afar
    training: dict = field(default_factory=dict)  # data, steps, hours, ...: for the model card

    def __post_init__(self):
        check_fixed(self, "family", "latent_distribution")
        check_size("latent_size", self.latent_size, MAX_LATENT_SIZE)
        check_size("style_size", self.style_size, MAX_CHANNELS)
        check_size("image_size", self.image_size, LARGEST_SIZE)
        for name in ("encoder_channels", "decoder_channels", "discriminator_channels"):
            widths = getattr(self, name)
            if not isinstance(widths, (list, tuple)) or len(widths) > 7:
                raise ModelError(f"config: {name} is {widths!r:.80}, expected a list of at most 7 widths.")
            for width in widths:
                check_size(f"a width in {name}", width, MAX_CHANNELS)
            if self.image_size < LEAST_SIZE or self.image_size != 2 ** (len(widths) + 1):
                raise ModelError(
                    f"config: image_size is {self.image_size}, but {len(widths)} {name} give {2 ** (len(widths) + 1)} "
                    f"pixels; expected a power of two from {LEAST_SIZE} to {LARGEST_SIZE}."
                )
            object.__setattr__(self, name, tuple(widths))
        for name in ("mirrored", "backbone", "attention"):
            if not isinstance(getattr(self, name), bool):
                raise ModelError(f"config: {name} is {getattr(self, name)!r:.80}, expected true or false.")
        check_training(self)


@dataclass(frozen=True)
class EncoderConfig:
    """Configuration and training record of an encoder. Raises `ModelError` if it cannot be built."""

    family: str = "encoder"
    image_size: int = 64  # pixels; halved once per entry of `channels`, down to 4
    latent_size: int = 100
    latent_bound: float | None = 1.0  # largest absolute value of each coordinate; None: unbounded
    channels: tuple[int, ...] = (48, 96, 192, 384)
    training: dict = field(default_factory=dict)  # generator, data, steps, hours, ...

    def __post_init__(self):
        check_fixed(self, "family")
        check_shape(self)
        bound = self.latent_bound
        number = isinstance(bound, (int, float)) and not isinstance(bound, bool)
        if bound is not None and not (number and 0 < bound <= 100):
            raise ModelError(f"config: latent_bound is {bound!r:.80}, expected a number above 0, up to 100, or null.")


def check_fixed(config: Any, *names: str) -> None:
    """Raises `ModelError` unless these fields have the defaults of their family, the only values it supports."""
    for name in names:
        value, expected = getattr(config, name), getattr(type(config), name)
        if value != expected:
            raise ModelError(f"config: {name} is {value!r:.80}, expected {expected!r}.")


def check_training(config: Any) -> None:
    """Raises `ModelError` unless a configuration's training record is an object."""
    if not isinstance(config.training, dict):
        raise ModelError(f"config: training is {config.training!r:.80}, expected an object.")


def check_shape(config: Any) -> None:
    """Raises `ModelError` unless a configuration's widths and sizes are consistent; makes the widths a tuple."""
    if not isinstance(config.channels, (list, tuple)) or not 1 <= len(config.channels) <= 7:
        raise ModelError(f"config: channels is {config.channels!r:.80}, expected a list of 1 to 7 widths.")
    object.__setattr__(config, "channels", tuple(config.channels))
    for width in config.channels:
        check_size("a width in channels", width, MAX_CHANNELS)
    check_size("latent_size", config.latent_size, MAX_LATENT_SIZE)
    check_size("image_size", config.image_size, MAX_IMAGE_SIZE)
    if config.image_size != 4 * 2 ** len(config.channels):
        raise ModelError(
            f"config: image_size is {config.image_size}, but {len(config.channels)} channel widths give "
            f"{4 * 2 ** len(config.channels)} pixels."
        )
    check_training(config)


def check_size(name: str, value: object, largest: int) -> None:
    """Raises `ModelError` unless `value` is a whole number from 1 to `largest`."""
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= largest:
        raise ModelError(f"config: {name} is {value!r:.80}, expected a whole number from 1 to {largest}.")
