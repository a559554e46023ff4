"""Finding models: folders on disk and repositories on the Hugging Face Hub."""

import json
import os
from pathlib import Path

from huggingface_hub import hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

from ..models import FAMILIES, LatentModel, ModelError
from ..models.base import CONFIG_NAME, WEIGHTS_NAME


def load(name: str | Path, **download) -> LatentModel:
    """Loads the model of a folder or Hub id, of whichever family its configuration names.

    Args:
        name: folder, or Hub id "user/name".
        download: revision, token, cache_dir, local_files_only, as in huggingface_hub.

    Raises:
        ModelError: when it cannot be found, or is not exactly what it should be.
    """
    folder = locate(name, **download)
    return family_of(folder).from_pretrained(folder)


def locate(name: str | Path, **download) -> Path:
    """The folder that holds a model's files, downloaded first when `name` is a Hub id."""
    if os.path.isdir(name):
        return Path(name)
    if str(name).count("/") != 1 or str(name).startswith((".", "/", "~")):
        raise ModelError(f"{name}: there is no such model folder, and a Hub id looks like user/name.")
    try:
        hf_hub_download(str(name), WEIGHTS_NAME, **download)
        return Path(hf_hub_download(str(name), CONFIG_NAME, **download)).parent
    except EntryNotFoundError as error:
        if isinstance(error, LocalEntryNotFoundError):
            raise ModelError(f"{name}: no such folder, not in the cache, and the Hub cannot be reached.") from error
        raise ModelError(f"{name}: the repository lacks {CONFIG_NAME} or {WEIGHTS_NAME}.") from error
    except HFValidationError as error:
        raise ModelError(f"{name}: there is no such model folder, and this is not a valid Hub id.") from error
    except HfHubHTTPError as error:
        raise ModelError(f"{name}: not found on the Hub, or not open to you ({str(error).splitlines()[0]}).") from error


def family_of(folder: Path) -> type[LatentModel]:
    """The class that a model folder's configuration names. Raises ModelError if there is none."""
    path = folder / CONFIG_NAME
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{folder}: there is no {CONFIG_NAME}, so this is not a model folder.") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not valid JSON ({error}).") from error
    family = config.get("family") if isinstance(config, dict) else None
    if not isinstance(family, str) or family not in FAMILIES:
        raise ModelError(f"{path}: family is {family!r}, expected one of {', '.join(sorted(FAMILIES))}.")
    return FAMILIES[family]
