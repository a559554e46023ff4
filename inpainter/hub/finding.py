"""Finding a model: in a folder, among those that come with the package, or on the Hugging Face Hub.

A Hub model is downloaded at one commit, so that its configuration and weights belong together, and what
arrives is checked against the checksums that the Hub gives.
"""

import contextlib
import hashlib
import json
import logging
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import (
    _CACHED_NO_EXIST,
    constants,
    get_hf_file_metadata,
    hf_hub_download,
    hf_hub_url,
    try_to_load_from_cache,
)
from huggingface_hub.errors import (
    FileMetadataError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,  # the base of all errors of the HTTP client, whichever this version of the library uses
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RemoteEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import validate_repo_id

from ..models import FAMILIES, Encoder, LatentModel, ModelError
from ..models.base import CONFIG_NAME, WEIGHTS_NAME
from ..models.encoder import FOLDER

logger = logging.getLogger(__name__)

# Published models beside the package: in a checkout and in a Space, not in an installed wheel.
BUNDLED = Path(__file__).resolve().parents[2] / "hub_models"

# What a transfer can end in; RuntimeError is how the client for the Hub's chunk storage says it.
TRANSFER_ERRORS = (HTTPError, OSError, RuntimeError)

ENCODER_NAMES = (f"{FOLDER}/{WEIGHTS_NAME}", f"{FOLDER}/{CONFIG_NAME}")  # of a model that has one

MAX_CONFIG_BYTES = 1_000_000  # a real one has a few thousand
DEFAULT_REVISION = constants.DEFAULT_REVISION


@dataclass(frozen=True)
class Found:
    """Where a model is, and how it came to be taken from there."""

    folder: Path
    source: str  # "folder", "bundled", "Hub" or "cache"
    note: str = ""  # one sentence when it is not the Hub's copy that was asked for


def load(name: str | Path, **download: Any) -> LatentModel:
    """Loads a model of whichever family its configuration names; arguments and errors as `find`."""
    folder = find(name, **download).folder
    return family_of(folder).from_pretrained(folder)


def load_encoder(folder: Path, model: LatentModel) -> Encoder | None:
    """The encoder in a model's folder, None if it has none. Raises `ModelError` when it is not one for this model."""
    folder = folder / FOLDER
    if not folder.is_dir():
        return None
    encoder = Encoder.from_pretrained(folder)
    wanted = (model.config.image_size, model.config.latent_size, model.latent_bound)
    config = encoder.config
    if (config.image_size, config.latent_size, config.latent_bound) != wanted:
        raise ModelError(
            f"{folder}: it is for {config.image_size}-pixel pictures and codes of {config.latent_size} numbers up to "
            f"{config.latent_bound}; the model has {wanted[0]}, {wanted[1]} and {wanted[2]}."
        )
    return encoder


def locate(name: str | Path, **download: Any) -> Path:
    """The folder of a model's files; arguments and errors as `find`."""
    return find(name, **download).folder


def find(
    name: str | Path,
    *,
    revision: str | None = None,
    token: str | bool | None = None,
    cache_dir: str | Path | None = None,
    local_files_only: bool = False,
) -> Found:
    """Finds a model's folder, downloading it first when `name` is a Hub id.

    When the Hub cannot be reached, the copy in the cache is taken, and failing that the bundled model of
    the same name; a warning in the log and `Found.note` say which. HF_ENDPOINT, HF_TOKEN, HF_HUB_OFFLINE
    and HF_HOME count as everywhere else.

    Args:
        name: a folder; the short name of a bundled model, "dcgan-celeba"; or a Hub id, "user/dcgan-celeba".
            A `Path` is always a folder.
        revision: branch, tag or commit of a Hub repository, default its main branch.
        token, cache_dir, local_files_only: as in huggingface_hub.

    Raises:
        ModelError: when there is no such model, or it is not open to the caller.
    """
    text = os.fspath(name)
    if os.path.isdir(text):
        return Found(Path(text), "folder")
    if isinstance(name, Path):
        raise ModelError(f"{text}: there is no such model folder.")
    if re.fullmatch(r"\w[\w.-]*", text):
        if text in bundled():
            return Found(BUNDLED / text, "bundled")
        raise ModelError(f"{text}: no such folder or bundled model (there is: {', '.join(bundled()) or 'none'}).")
    check_repo_id(text)
    reason = "only local files are to be used"
    if not local_files_only:
        try:
            commit = resolve(text, revision, token)
            return Found(_download(text, commit, revision, token, cache_dir), "Hub")
        except TRANSFER_ERRORS as error:
            refuse_if_answered(error, text, revision)
            reason = _why_unreachable(error)
    return _fall_back(text, revision, cache_dir, reason)


def bundled() -> list[str]:
    """The short names of the models that come with the package."""
    return sorted(path.parent.name for path in BUNDLED.glob(f"*/{CONFIG_NAME}"))


def check_repo_id(repo_id: str) -> None:
    """Raises `ModelError` unless `repo_id` has the form of a Hub id with an owner, user/name."""
    try:
        validate_repo_id(repo_id)
        valid = repo_id.count("/") == 1
    except HFValidationError:
        valid = False
    if not valid:
        raise ModelError(f"{repo_id}: there is no such model folder, and this is not a Hub id such as user/name.")


def resolve(repo_id: str, revision: str | None, token: str | bool | None) -> str:
    """The commit that a revision of a Hub model stands for now. Raises what huggingface_hub raises."""
    url = hf_hub_url(repo_id, CONFIG_NAME, revision=revision)
    commit = get_hf_file_metadata(url, token=token).commit_hash
    if commit is None:
        raise FileMetadataError(f"{constants.ENDPOINT} does not answer like a Hub; check HF_ENDPOINT and any proxy")
    return commit


def fetch(repo_id: str, filename: str, commit: str, token: str | bool | None, cache_dir: str | Path | None) -> Path:
    """Downloads one file of one commit into the cache, unless it is there, and checks its checksum.

    Raises:
        ModelError: when the checksum is wrong; the bad copy is removed, so a retry downloads it again.
        HTTPError, OSError: what huggingface_hub raises.
    """
    path = Path(hf_hub_download(repo_id, filename, revision=commit, token=token, cache_dir=cache_dir))
    blob = path.resolve()  # the cache names it by the checksum (not on a file system without links)
    if not _matches(blob, blob.name):
        blob.unlink()
        path.unlink(missing_ok=True)
        raise ModelError(f"{repo_id}: the checksum of {filename} is wrong; it was removed, so try again.")
    return path


def _matches(path: Path, checksum: str) -> bool:
    """Whether a file is what its checksum says: SHA-256, or SHA-1 as git names a small file."""
    if re.fullmatch("[0-9a-f]{64}", checksum):
        digest = hashlib.sha256()
    elif re.fullmatch("[0-9a-f]{40}", checksum):
        digest = hashlib.sha1(b"blob %d\0" % path.stat().st_size, usedforsecurity=False)
    else:
        return True  # a server with checksums of its own
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == checksum


def _download(repo_id: str, commit: str, revision: str | None, token, cache_dir) -> Path:
    """The model of a commit. What the branch points to in the cache changes once all its files are there."""
    encoder = try_to_load_from_cache(repo_id, ENCODER_NAMES[0], cache_dir=cache_dir, revision=commit)
    if encoder is not _CACHED_NO_EXIST:  # this commit is not known to have none
        with contextlib.suppress(RemoteEntryNotFoundError):
            for filename in ENCODER_NAMES:
                fetch(repo_id, filename, commit, token, cache_dir)
    for filename in (WEIGHTS_NAME, CONFIG_NAME):
        path = fetch(repo_id, filename, commit, token, cache_dir)
    known = try_to_load_from_cache(repo_id, CONFIG_NAME, cache_dir=cache_dir, revision=revision)
    if known != str(path):
        hf_hub_download(repo_id, CONFIG_NAME, revision=revision, token=token, cache_dir=cache_dir)
    return path.parent


def _fall_back(repo_id: str, revision: str | None, cache_dir: str | Path | None, reason: str) -> Found:
    try:
        for filename in (WEIGHTS_NAME, CONFIG_NAME):
            path = hf_hub_download(repo_id, filename, revision=revision, cache_dir=cache_dir, local_files_only=True)
        found = Found(Path(path).parent, "cache", f"{repo_id}: taken from the cache, since {reason}.")
    except LocalEntryNotFoundError as error:
        name = repo_id.split("/")[1]
        if name not in bundled() or revision not in (None, DEFAULT_REVISION):
            raise ModelError(f"{repo_id}: not in the cache, and {reason}.") from error
        found = Found(
            BUNDLED / name,
            "bundled",
            f"{repo_id}: the bundled {name} is used, since {reason} and it is not in the cache.",
        )
    logger.warning(found.note)
    return found


def _why_unreachable(error: Exception) -> str:
    if isinstance(error, OfflineModeIsEnabled):
        return "HF_HUB_OFFLINE is set"
    if isinstance(error, (HTTPError, ConnectionError)):
        return f"the Hub cannot be reached ({first_line(error)})"
    return f"the download failed ({first_line(error)})"


def first_line(error: Exception) -> str:
    """An error as part of a sentence: its first line, or its kind when it has none."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__


def refuse_if_answered(error: Exception, repo_id: str, revision: str | None = None) -> None:
    """Raises `ModelError` when the Hub did answer, and the answer is no; otherwise returns."""
    where = f"{repo_id} at {revision}" if revision else repo_id
    if isinstance(error, GatedRepoError):
        message = f"{repo_id}: gated; accept its terms at {constants.ENDPOINT}/{repo_id} and log in with your token."
    elif isinstance(error, RevisionNotFoundError):
        message = f"{repo_id}: there is no revision {revision!r}."
    elif isinstance(error, RemoteEntryNotFoundError):
        message = f"{where}: the repository lacks {CONFIG_NAME} or {WEIGHTS_NAME}, so it is not one of these models."
    elif isinstance(error, RepositoryNotFoundError):
        message = f"{repo_id}: there is no such repository on the Hub, or it is private and needs a valid token."
    elif isinstance(error, LocalTokenNotFoundError):
        message = f"{repo_id}: token=True asks for a stored token, but there is none; log in or set HF_TOKEN."
    elif isinstance(error, HfHubHTTPError) and error.response.status_code in (400, 401, 403, 404, 410):
        message = f"{repo_id}: the Hub refuses access ({first_line(error)})."
    else:
        return
    raise ModelError(message) from error


def family_of(folder: Path) -> type[LatentModel]:
    """The class that a model folder's configuration names. Raises ModelError if there is none."""
    family = read_config(folder).get("family")
    if not isinstance(family, str) or family not in FAMILIES:
        expected = ", ".join(sorted(FAMILIES))
        raise ModelError(f"{folder / CONFIG_NAME}: family is {family!r:.80}, expected one of {expected}.")
    return FAMILIES[family]


def read_config(folder: Path) -> dict[str, Any]:
    """A model folder's configuration, unchecked. Raises ModelError when it is missing or no JSON object."""
    path = folder / CONFIG_NAME
    try:
        size = path.stat().st_size
        if size > MAX_CONFIG_BYTES:
            raise ModelError(f"{path} has {size:,} bytes, expected at most {MAX_CONFIG_BYTES:,}.")
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: there is no {CONFIG_NAME}, so this is not a model folder.") from error
    except ModelError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} is not valid JSON ({error}).") from error
    if not isinstance(config, dict):
        raise ModelError(f"{path} holds {config!r:.80}, expected an object.")
    return config
