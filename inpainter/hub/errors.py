"""Turns errors of the Hub's client into `ModelError`s of one sentence."""

import contextlib
from collections.abc import Iterator

from huggingface_hub import constants
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HTTPError,  # base of all errors of the HTTP client, whichever one this version uses
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from ..models import ModelError


class Unreachable(ModelError):
    """The Hub cannot be reached or gives an unexpected answer. `reason` is a clause without a full stop."""

    def __init__(self, repo_id: str, reason: str):
        super().__init__(f"{repo_id}: {reason}; try again.")
        self.reason = reason


@contextlib.contextmanager
def hub_errors(repo_id: str) -> Iterator[None]:
    """Converts errors raised while talking to the Hub to `ModelError`, or `Unreachable` if a retry may help."""
    try:
        yield
    except ModelError:
        raise
    except GatedRepoError as error:
        where = f"{constants.ENDPOINT}/{repo_id}"
        raise ModelError(f"{repo_id}: gated; accept its terms at {where} and log in with your token.") from error
    except RevisionNotFoundError as error:
        raise ModelError(f"{repo_id}: no such revision.") from error
    except RepositoryNotFoundError as error:
        message = "no such repository on the Hub, or it is private and needs a valid token"
        raise ModelError(f"{repo_id}: {message}.") from error
    except LocalTokenNotFoundError as error:
        raise ModelError(f"{repo_id}: token=True needs a stored token; log in or set HF_TOKEN.") from error
    except HfHubHTTPError as error:
        reason = " ".join((error.server_message or first_line(error)).split()).rstrip(".")
        status = error.response.status_code
        refusals = {401: "the Hub rejected the token", 403: "the token lacks permission", 404: "not found"}
        if status in refusals:
            raise ModelError(f"{repo_id}: {refusals[status]} ({reason}).") from error
        raise Unreachable(repo_id, f"the Hub answered {status} ({reason})") from error
    except OfflineModeIsEnabled as error:
        raise Unreachable(repo_id, "HF_HUB_OFFLINE is set") from error
    except (HTTPError, OSError, RuntimeError) as error:  # RuntimeError: from the Hub's chunk-storage client
        reason = first_line(error.__cause__ or error)
        raise Unreachable(repo_id, f"the connection to the Hub failed ({reason})") from error
    except ValueError as error:  # the Hub rejected the card
        raise ModelError(f"{repo_id}: {' '.join(str(error).split())}") from error


def first_line(error: BaseException) -> str:
    """Returns an error as a clause: its first line, or its class name if it has no message."""
    lines = str(error).strip().splitlines()
    return lines[0].rstrip(".") if lines else type(error).__name__
