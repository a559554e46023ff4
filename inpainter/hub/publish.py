"""Publishing models and the page on the Hub, and pulling published models into folders.

Whatever is published goes up as one commit: large files first, into the Hub's storage, then the commit
that makes them visible. An upload that breaks off has published nothing, and its retry skips what arrived.
"""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from huggingface_hub import CommitOperationAdd, HfApi, get_token
from huggingface_hub.errors import HfHubHTTPError
from PIL import Image

from ..images import image_grid, to_uint8
from ..models import Encoder, LatentModel, ModelError
from ..models.base import CONFIG_NAME, WEIGHTS_NAME
from ..models.encoder import FOLDER
from . import cards
from .export import ONNX_NAME, check_onnx, checksum
from .finding import (
    ENCODER_NAMES,
    TRANSFER_ERRORS,
    check_repo_id,
    fetch,
    first_line,
    load,
    load_encoder,
    refuse_if_answered,
    resolve,
)

logger = logging.getLogger(__name__)

PUBLISHED_NAMES = {CONFIG_NAME, WEIGHTS_NAME, *ENCODER_NAMES, ONNX_NAME, cards.CARD_NAME, "LICENSE"}
PICTURE_SUFFIXES = {".png", ".jpg", ".webp"}
SAMPLES = 64


def is_published(name: str) -> bool:
    """Whether a file, by its path in a model folder, is part of the published model.

    The model, its encoder, its card, its licence, and pictures: never code, pickles, checkpoints or hidden files.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or any(part.startswith(".") for part in path.parts):
        return False
    return name in PUBLISHED_NAMES or path.suffix in PICTURE_SUFFIXES


def save(model: LatentModel, folder: str | Path, repo_id: str | None = None, *, encoder: Encoder | None = None) -> None:
    """Writes a complete model folder: weights, configuration, samples (fixed codes) and card for `repo_id`."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    model._save_pretrained(folder)
    device = next(model.parameters()).device
    z = model.sample_latents(SAMPLES, torch.Generator().manual_seed(0)).to(device)
    sample_grid(model, z).save(folder / cards.SAMPLES_NAME)
    if encoder is not None:
        (folder / FOLDER).mkdir(exist_ok=True)
        encoder._save_pretrained(folder / FOLDER)
    cards.write_card(folder, repo_id)


def sample_grid(model: LatentModel, z: torch.Tensor) -> Image.Image:
    """The model's images of the codes z (N, latent_size), in a square grid."""
    with torch.inference_mode():
        return image_grid(to_uint8(model.generate(z)), columns=round(len(z) ** 0.5))


def check(folder: str | Path) -> list[str]:
    """The files of a model folder that are published, as paths in it, after a check that they should be.

    Raises:
        ModelError: when the model does not load, does not generate finite images of its size, or when its
            card is not complete.
    """
    folder = Path(folder)
    model = load(folder)
    config = model.config
    with torch.inference_mode():
        images = model.generate(model.sample_latents(2, torch.Generator().manual_seed(0)))
    if images.shape != (2, 3, config.image_size, config.image_size) or not torch.isfinite(images).all():
        raise ModelError(f"{folder}: it loads, but does not generate finite {config.image_size}-pixel images.")
    cards.check_scores(cards.read_card(folder), config.training, folder)
    check_onnx(folder)
    check_encoder(folder, model)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    left_out = [name for name in names if not is_published(name)]
    if left_out:
        logger.info("%s: not published: %s", folder, ", ".join(left_out))
    return [name for name in names if is_published(name)]


def check_encoder(folder: Path, model: LatentModel) -> None:
    """Raises `ModelError` if a folder's encoder does not load, or was trained for other weights."""
    encoder = load_encoder(folder, model)
    if encoder is not None and encoder.config.training.get("generator") != checksum(folder):
        raise ModelError(f"{folder / FOLDER}: it was trained for other weights; train it again, or remove it.")


def push(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    token: str | None = None,
) -> str:
    """Publishes a model folder as a Hub repository, in one commit; repeating it changes nothing.

    The folder is checked first, and gets a card when it has none. The repository and branch are made
    when they are missing.

    Args:
        folder: the model folder.
        repo_id: Hub id, "user/name".
        private: whether a new repository is private; an existing public one is then refused.
        revision: branch to publish on, default the main branch.
        create_pr: propose the change as a pull request to an existing repository instead.
        token: access token, default the stored one or HF_TOKEN.

    Returns:
        The address of the commit or pull request.

    Raises:
        ModelError: when the folder is not fit to publish or the Hub does not accept it.
    """
    folder = Path(folder)
    check_repo_id(repo_id)
    if create_pr and revision:
        raise ModelError(f"a pull request goes to the main branch; leave out revision, which is {revision!r}.")
    if not (folder / cards.CARD_NAME).exists():
        cards.write_card(folder, repo_id)
    names = check(folder)
    api = client(token)
    with upload_errors(repo_id):
        if not create_pr:
            make_repo(api, repo_id, private)
            if revision:
                api.create_branch(repo_id, branch=revision, exist_ok=True)
        commit = api.create_commit(
            repo_id,
            [CommitOperationAdd(name, folder / name) for name in names],
            commit_message=f"Upload {folder.resolve().name}",
            revision=revision,
            create_pr=create_pr,
        )
    return commit.pr_url or commit.commit_url


def push_model(model: LatentModel, repo_id: str, *, encoder: Encoder | None = None, **settings: Any) -> str:
    """Publishes a model in memory, with a card of its own; settings, result and errors as `push`."""
    check_repo_id(repo_id)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, repo_id.split("/")[1])
        save(model, folder, repo_id, encoder=encoder)
        return push(folder, repo_id, **settings)


def pull(
    repo_id: str,
    folder: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
) -> Path:
    """Copies a published model into a folder, all of it from one commit; repeating it updates the folder.

    The folder changes only after everything has arrived and the model loads. Only files that
    `is_published` allows are taken.

    Args:
        repo_id: Hub id, "user/name".
        folder: a new or empty folder, or a model folder to update.
        revision, token, cache_dir: as in `inpainter.hub.find`.

    Raises:
        ModelError: when it is not open to the caller, does not arrive whole, or is no usable model.
    """
    folder = Path(folder).absolute()
    check_repo_id(repo_id)
    if folder.exists() and not folder.is_dir():
        raise ModelError(f"{folder}: this is a file; expected a folder.")
    if folder.is_dir() and any(folder.iterdir()) and not (folder / CONFIG_NAME).is_file():
        raise ModelError(f"{folder}: it holds other files; expected a new or empty folder, or a model folder.")
    try:
        commit = resolve(repo_id, revision, token)
        listed = HfApi(token=token).repo_info(repo_id, revision=commit).siblings
        names = [sibling.rfilename for sibling in listed if is_published(sibling.rfilename)]
        cached = {name: fetch(repo_id, name, commit, token, cache_dir) for name in names}
    except TRANSFER_ERRORS as error:
        refuse_if_answered(error, repo_id, revision)
        raise ModelError(f"{repo_id}: the download broke off ({first_line(error)}); try again.") from error
    staged = folder.parent / f".{folder.name}.partial"
    shutil.rmtree(staged, ignore_errors=True)  # of a pull that was killed
    try:
        for name, source in cached.items():
            (staged / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, staged / name)
        load_encoder(staged, load(staged))
        _move_into_place(staged, folder, names)
    except ModelError as error:
        raise ModelError(str(error).replace(str(staged), repo_id)) from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)
    return folder


def _move_into_place(staged: Path, folder: Path, names: list[str]) -> None:
    """Puts a new folder in place at once; updates one that exists file by file."""
    if not folder.exists():
        os.replace(staged, folder)
        return
    for name in sorted(names, key=lambda name: name != CONFIG_NAME):  # the file that a retry knows the folder by
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        os.replace(staged / name, folder / name)


def client(token: str | None) -> HfApi:
    """A Hub client that can write. Raises `ModelError` when there is no token."""
    if not (token or get_token()):
        raise ModelError("publishing needs a token with write access: run `hf auth login` or set HF_TOKEN.")
    return HfApi(token=token)


def make_repo(api: HfApi, repo_id: str, private: bool, **kind: str) -> str:
    """Makes a repository unless it exists, and returns its address; `kind` as in HfApi.create_repo.

    Raises:
        ModelError: when it should be private, but exists and is public.
    """
    url = api.create_repo(repo_id, private=private or None, exist_ok=True, **kind)
    if private and not api.repo_info(repo_id, repo_type=kind.get("repo_type")).private:
        raise ModelError(f"{repo_id} exists and is public; make it private in its settings first.")
    return str(url)


@contextlib.contextmanager
def upload_errors(repo_id: str) -> Iterator[None]:
    """Turns what can go wrong while publishing into a `ModelError` of one sentence."""
    try:
        yield
    except ModelError:
        raise
    except HfHubHTTPError as error:
        reason = " ".join((error.server_message or first_line(error)).split()).rstrip(".")
        status = error.response.status_code
        if status == 401:
            message = f"{repo_id}: the Hub does not accept the token, or there is no such repository ({reason})."
        elif status == 403:
            message = f"{repo_id}: the token may not write there ({reason})."
        elif status == 404:
            message = f"{repo_id}: there is no such repository or branch ({reason})."
        else:
            message = f"{repo_id}: the Hub answered {status} ({reason}); try again."
        raise ModelError(message) from error
    except TRANSFER_ERRORS as error:
        cause = error.__cause__ or error
        raise ModelError(f"{repo_id}: the upload broke off ({first_line(cause)}); try again.") from error
    except ValueError as error:  # the Hub's verdict on the card
        raise ModelError(f"{repo_id}: {' '.join(str(error).split())}") from error
