"""Finds a model in a folder, among the bundled models or on the Hugging Face Hub."""

import glob
import logging
import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, constants, snapshot_download, try_to_load_from_cache
from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError
from huggingface_hub.utils import validate_repo_id

from ..models import FAMILIES, Encoder, LatentModel, ModelError
from ..models.base import CHECKSUM, CONFIG_NAME, WEIGHTS_NAME, checksum, read_config
from ..models.encoder import FOLDER
from .errors import Unreachable, hub_errors

logger = logging.getLogger(__name__)

# Published models next to the package: present in a checkout and in a Space, not in an installed wheel.
BUNDLED = Path(__file__).resolve().parents[2] / "hub_models"

ENCODER_NAMES = (f"{FOLDER}/{WEIGHTS_NAME}", f"{FOLDER}/{CONFIG_NAME}")  # of a model that has one
LOADED_NAMES = (WEIGHTS_NAME, CONFIG_NAME, *ENCODER_NAMES)


@dataclass(frozen=True)
class Found:
    """A model's location."""

    folder: Path
    note: str = ""  # one sentence if it is the cached copy because the Hub was not reached


def load(name: str | Path, **download: Any) -> LatentModel:
    """Loads a model of any family; arguments and errors as for `find`."""
    folder = find(name, **download).folder
    return family_of(folder).from_pretrained(folder)


def load_encoder(folder: Path, model: LatentModel) -> Encoder | None:
    """Loads the encoder in a model's folder, None if there is none; raises `ModelError` unless it fits the model."""
    encoder_folder = folder / FOLDER
    if not encoder_folder.is_dir():
        return None
    config = (encoder := Encoder.from_pretrained(encoder_folder)).config
    wanted = (model.config.image_size, model.config.latent_size, model.latent_bound)
    if (config.image_size, config.latent_size, config.latent_bound) != wanted:
        raise ModelError(
            f"{encoder_folder}: the encoder has image_size {config.image_size}, latent_size {config.latent_size} and "
            f"latent_bound {config.latent_bound}; the model has {wanted[0]}, {wanted[1]} and {wanted[2]}."
        )
    if config.training.get("generator") != checksum(folder):
        raise ModelError(f"{encoder_folder}: the encoder was trained for other weights; retrain it or remove it.")
    return encoder


def locate(name: str | Path, **download: Any) -> Path:
    """Returns a model's folder; arguments and errors as for `find`."""
    return find(name, **download).folder


def find(
    name: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Found:
    """Finds a model's folder, downloading it first if `name` is a Hub id.

    If the Hub cannot be reached, falls back to the cached copy; the log and `Found.note` say so. HF_ENDPOINT, HF_TOKEN,
    HF_HUB_OFFLINE and HF_HOME work as usual.

    Args:
        name: a folder; the short name of a bundled model, "dcgan-celeba"; or a Hub id, "user/dcgan-celeba".
            A `Path` is always a folder.
        revision: branch, tag or commit of a Hub repository, default its main branch.
        token, cache_dir, local_files_only: as in huggingface_hub.

    Raises:
        ModelError: if there is no such model, or the caller has no access to it.
    """
    text = os.fspath(name)
    if os.path.isdir(text):
        return Found(Path(text))
    if isinstance(name, Path):
        raise ModelError(f"{text}: no such model folder.")
    if re.fullmatch(r"\w[\w.-]*", text):
        if text in bundled():
            return Found(BUNDLED / text)
        raise ModelError(f"{text}: no such folder or bundled model (bundled: {', '.join(bundled()) or 'none'}).")
    check_repo_id(text)
    reason = "local_files_only is set"
    if not local_files_only:
        try:
            return Found(download(text, revision, token, cache_dir))
        except Unreachable as error:
            reason = error.reason
    try:
        folder = snapshot_download(
            text, revision=revision, cache_dir=cache_dir, allow_patterns=LOADED_NAMES, local_files_only=True
        )
        check_complete(text, Path(folder))
    except (LocalEntryNotFoundError, ModelError) as error:
        raise ModelError(f"{text}: not in the cache, and {reason}.") from error
    note = f"{text}: loaded from the cache because {reason}."
    logger.warning(note)
    return Found(Path(folder), note)


def download(
    repo_id: str,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    wanted: Callable[[str], bool] = LOADED_NAMES.__contains__,
) -> Path:
    """Downloads the wanted files of a Hub model, all from one commit, and returns their folder in the cache.

    Raises:
        ModelError: if the caller has no access, or it is not a model; `Unreachable` if the Hub cannot be reached.
    """
    with hub_errors(repo_id):
        info = HfApi(token=token).model_info(repo_id, revision=revision or constants.DEFAULT_REVISION)
        names = [glob.escape(entry.rfilename) for entry in info.siblings or () if wanted(entry.rfilename)]
        options = {"token": token, "cache_dir": cache_dir, "allow_patterns": names}
        folder = Path(snapshot_download(repo_id, revision=info.sha, **options))
        check_complete(repo_id, folder)
        if not intact(folder):
            snapshot_download(repo_id, revision=info.sha, force_download=True, **options)
        # Update what the branch resolves to offline only now that everything has arrived.
        if try_to_load_from_cache(repo_id, CONFIG_NAME, cache_dir, revision) != str(folder / CONFIG_NAME):
            snapshot_download(repo_id, revision=revision, **options)
    return folder


def check_complete(repo_id: str, folder: Path) -> None:
    """Raises `ModelError` unless a folder has a configuration and weights."""
    missing = [name for name in (CONFIG_NAME, WEIGHTS_NAME) if not (folder / name).is_file()]
    if missing:
        raise ModelError(f"{repo_id}: not an inpainter model; the repository lacks {' and '.join(missing)}.")


def intact(folder: Path) -> bool:
    """Returns whether a folder's weights match the checksum in its configuration, if it has one."""
    try:
        return read_config(folder).get(CHECKSUM) in (None, checksum(folder))
    except ModelError:
        return False


def bundled() -> list[str]:
    """Lists the short names of the bundled models."""
    return sorted(path.parent.name for path in BUNDLED.glob(f"*/{CONFIG_NAME}"))


def check_repo_id(repo_id: str) -> None:
    """Raises `ModelError` unless `repo_id` has the form of a Hub id with an owner, user/name."""
    try:
        validate_repo_id(repo_id)
        valid = repo_id.count("/") == 1
    except HFValidationError:
        valid = False
    if not valid:
        raise ModelError(f"{repo_id}: no such model folder, and not a Hub id such as user/name.")


def family_of(folder: Path) -> type[LatentModel]:
    """Returns the class for the family in a model folder's configuration; raises `ModelError` if there is none."""
    family = read_config(folder).get("family")
    if not isinstance(family, str) or family not in FAMILIES:
        expected = ", ".join(sorted(FAMILIES))
        raise ModelError(f"{folder / CONFIG_NAME}: family is {family!r:.80}, expected one of {expected}.")
    return FAMILIES[family]
