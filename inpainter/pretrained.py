"""Loading, saving and publishing of an `Inpainter`, under the names that Hub libraries share."""

from pathlib import Path
from typing import Self

import torch

from . import hub
from .devices import device_from_name


class Pretrained:
    """Base class of `Inpainter`, which sets `model` and `encoder`.

    Attributes:
        notes: one sentence on how the model was found, if not exactly as asked.
    """

    notes: tuple[str, ...] = ()

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str | torch.device = "auto",
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | Path | None = None,
        local_files_only: bool = False,
    ) -> Self:
        """Loads a bundled model, a model folder or a Hub repository.

        Offline, the cached copy of a Hub repository is used; `notes` and the log say so.

        Args:
            name: a bundled model such as "dcgan-celeba", a folder, or a Hub id such as "user/dcgan-celeba".
            device: "auto" (a GPU if there is one), "cpu", "cuda", ...
            revision, token, cache_dir, local_files_only: as in huggingface_hub.

        Raises:
            ModelError: if there is no such model, or its files are not valid.
        """
        device = device_from_name(device)
        found = hub.find(name, revision=revision, token=token, cache_dir=cache_dir, local_files_only=local_files_only)
        model = hub.load(found.folder)
        inpainter = cls(model, device, hub.load_encoder(found.folder, model))
        inpainter.notes = (found.note,) if found.note else ()
        return inpainter

    def save_pretrained(self, folder: str | Path) -> None:
        """Writes a complete model folder: float16 weights, configuration, samples and model card."""
        hub.save(self.model, folder, encoder=self.encoder)

    def push_to_hub(
        self,
        repo_id: str,
        *,
        private: bool = False,
        revision: str | None = None,
        create_pr: bool = False,
        token: str | None = None,
    ) -> str:
        """Publishes the model as a Hub repository and returns the commit's URL; see `inpainter.hub.push`."""
        settings = {"private": private, "revision": revision, "create_pr": create_pr, "token": token}
        return hub.push_model(self.model, repo_id, encoder=self.encoder, **settings)
