"""Publishes models to the Hub and pulls published models into folders.

Publishing makes one commit: large files go to the Hub's storage first, then the commit makes them visible. An
interrupted upload publishes nothing, and a retry skips what has already arrived.
"""

import copy
import dataclasses
import logging
import shutil
import tempfile
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi, get_token
from PIL import Image

from ..images import image_grid, to_uint8
from ..models import Encoder, LatentModel, ModelError
from ..models.base import CONFIG_NAME, WEIGHTS_NAME, checksum, of_a_model, replaced
from ..models.encoder import FOLDER
from . import cards
from .errors import hub_errors
from .export import ONNX_NAME, check_onnx
from .finding import ENCODER_NAMES, check_repo_id, download, load, load_encoder

logger = logging.getLogger(__name__)

PUBLISHED_NAMES = {CONFIG_NAME, WEIGHTS_NAME, *ENCODER_NAMES, ONNX_NAME, cards.CARD_NAME, "LICENSE"}
PICTURE_SUFFIXES = {".png", ".jpg", ".webp"}
EXAMPLES = "examples/"  # test pictures from data sets that may not be redistributed
SAMPLES = 64


def is_published(name: str) -> bool:
    """Returns whether a file, by its path in a model folder, may be published.

    The model, its encoder, card, licence and pictures; never code, pickles, checkpoints or hidden files.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or any(part.startswith(".") for part in path.parts):
        return False
    return name in PUBLISHED_NAMES or path.suffix in PICTURE_SUFFIXES


def save(model: LatentModel, folder: str | Path, repo_id: str | None = None, *, encoder: Encoder | None = None) -> None:
    """Writes a complete model folder: weights, configuration, samples of fixed codes, and a card for `repo_id`."""
    folder = Path(folder)
    device = next(model.parameters()).device
    z = model.sample_latents(SAMPLES, torch.Generator().manual_seed(0)).to(device)
    with replaced(folder) as staged:
        model._save_pretrained(staged)
        sample_grid(model, z).save(staged / cards.SAMPLES_NAME)
        if encoder is not None:  # tie it to these weights
            encoder = copy.copy(encoder)
            training = encoder.config.training | {"generator": checksum(staged)}
            encoder.config = dataclasses.replace(encoder.config, training=training)
            (staged / FOLDER).mkdir()
            encoder._save_pretrained(staged / FOLDER)
        cards.write_card(staged, repo_id, name=folder.resolve().name)


def sample_grid(model: LatentModel, z: torch.Tensor) -> Image.Image:
    """Generates images from codes z (N, latent_size) and lays them out in a square grid."""
    with torch.inference_mode():
        return image_grid(to_uint8(model.generate(z)), columns=round(len(z) ** 0.5))


def check(folder: str | Path, with_examples: bool = True) -> list[str]:
    """Checks that a model folder is fit to publish and returns the relative paths of the files to publish.

    Raises:
        ModelError: if the model does not load or does not generate finite images of its size, or if its card is
            incomplete.
    """
    folder = Path(folder)
    model = load(folder)
    config = model.config
    with torch.inference_mode():
        images = model.generate(model.sample_latents(2, torch.Generator().manual_seed(0)))
    if images.shape != (2, 3, config.image_size, config.image_size) or not torch.isfinite(images).all():
        raise ModelError(f"{folder}: the model does not generate finite {config.image_size}-pixel images.")
    cards.check_scores(cards.read_card(folder), config.training, folder)
    check_onnx(folder)
    load_encoder(folder, model)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    published = [name for name in names if is_published(name) and (with_examples or not name.startswith(EXAMPLES))]
    if left_out := [name for name in names if name not in published]:
        logger.info("%s: not published: %s", folder, ", ".join(left_out))
    if any(name.startswith(EXAMPLES) for name in left_out):
        logger.info("%s: test pictures of sets that may not be redistributed; --with-examples adds them", EXAMPLES)
    return published


def push(
    folder: str | Path,
    repo_id: str,
    *,
    private: bool = False,
    revision: str | None = None,
    create_pr: bool = False,
    with_examples: bool = False,
    token: str | None = None,
) -> str:
    """Publishes a model folder as a Hub repository in one commit; idempotent.

    Checks the folder first and writes a card if it has none. Creates the repository and branch if they are missing.
    Deletes the files of an older model in the repository.

    Args:
        folder: the model folder.
        repo_id: Hub id, "user/name".
        private: whether to create the repository as private; raises if a public one exists.
        revision: branch to publish to, default the main branch.
        create_pr: open a pull request to an existing repository instead.
        with_examples: also publish examples/, test pictures from data sets that may not be redistributed.
        token: access token, default the stored one or HF_TOKEN.

    Returns:
        The URL of the commit or pull request.

    Raises:
        ModelError: if the folder is not fit to publish or the Hub rejects it.
    """
    folder = Path(folder)
    check_repo_id(repo_id)
    if create_pr and revision:
        raise ModelError(f"a pull request always goes to the main branch; omit revision, got {revision!r}.")
    if not (folder / cards.CARD_NAME).exists():
        cards.write_card(folder, repo_id)
    names = check(folder, with_examples)
    api = client(token)
    with hub_errors(repo_id):
        if not create_pr:
            make_repo(api, repo_id, private)
            if revision:
                api.create_branch(repo_id, branch=revision, exist_ok=True)
        remote = api.list_repo_files(repo_id, revision=revision)
        stale = [name for name in remote if (of_a_model(name) or name.startswith(EXAMPLES)) and name not in names]
        commit = api.create_commit(
            repo_id,
            [
                *(CommitOperationAdd(name, folder / name) for name in names),
                *(CommitOperationDelete(name) for name in stale),
            ],
            commit_message=f"Upload {folder.resolve().name}",
            revision=revision,
            create_pr=create_pr,
        )
    return commit.pr_url or commit.commit_url


def push_model(model: LatentModel, repo_id: str, *, encoder: Encoder | None = None, **settings: Any) -> str:
    """Publishes a model in memory, with a new card; settings, result and errors as for `push`."""
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
    """Copies a published model into a folder, all from one commit; call it again to update the folder.

    The folder changes only once everything has arrived and the model loads. Copies only files that `is_published`
    allows.

    Args:
        repo_id: Hub id, "user/name".
        folder: a new or empty folder, or a model folder to update.
        revision, token, cache_dir: as for `inpainter.hub.find`.

    Raises:
        ModelError: if the caller has no access, the download is incomplete, or it is not a usable model.
    """
    folder = Path(folder)
    check_repo_id(repo_id)

    def keep(name: str) -> bool:  # the user's own files, unless the published model has one of that name
        return not of_a_model(name) and not (staged / name).exists()

    with replaced(folder, keep) as staged:
        cached = download(repo_id, revision, token, cache_dir, wanted=is_published)
        for source in cached.rglob("*"):
            name = source.relative_to(cached)
            if source.is_file() and is_published(name.as_posix()):  # the cache may hold other files of this commit
                (staged / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, staged / name)
        try:
            load_encoder(staged, load(staged))
        except ModelError as error:
            raise ModelError(str(error).replace(str(staged), repo_id)) from error
    return folder


def client(token: str | None) -> HfApi:
    """Returns a Hub client with write access; raises `ModelError` if there is no token."""
    if not (token or get_token()):
        raise ModelError("publishing needs a token with write access: run `hf auth login` or set HF_TOKEN.")
    return HfApi(token=token)


def make_repo(api: HfApi, repo_id: str, private: bool, **kind: str) -> str:
    """Creates a repository unless it exists, and returns its URL; `kind` as for HfApi.create_repo.

    Raises:
        ModelError: if it should be private but already exists as public.
    """
    url = api.create_repo(repo_id, private=private or None, exist_ok=True, **kind)
    if private and not api.repo_info(repo_id, repo_type=kind.get("repo_type")).private:
        raise ModelError(f"{repo_id}: already exists and is public; make it private in its settings first.")
    return str(url)
