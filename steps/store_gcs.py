"""The store on Google Cloud Storage. Every change is conditional on a generation, so of two writers one wins on any number of machines.

https://cloud.google.com/storage/docs/request-preconditions
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from steps.faults import BadInput, NotAllowed, Unavailable
from steps.store import Missing

if TYPE_CHECKING:
    from google.cloud.storage import Blob, Client

# The client buffers a whole chunk for each upload; its default of 100 MiB took 215 MiB a thread (measured), too much for a small pod.
CHUNK_BYTES = 32 * 2**20
_ABSENT = 0  # the generation of an object that is not there


class GcsStore:
    """A bucket. Credentials are those of the environment (Workload Identity on a cluster)."""

    def read(self, uri: str) -> bytes:
        with _faults(uri):
            return bytes(_blob(uri).download_as_bytes())

    def exists(self, uri: str) -> bool:
        with _faults(uri):
            return bool(_blob(uri).exists())

    def create(self, uri: str, data: bytes) -> bool:
        return self._write(uri, data, _ABSENT)

    def swap(self, uri: str, new: bytes, old: bytes | None) -> bool:
        if old is None:
            return self.create(uri, new)
        generation = _generation_of(uri, old)
        return generation is not None and self._write(uri, new, generation)

    def replace(self, uri: str, data: bytes) -> None:
        with _faults(uri):
            _blob(uri).upload_from_string(data, content_type="application/octet-stream")

    def names(self, uri: str) -> list[str]:
        bucket, folder = _split(uri.rstrip("/") + "/")
        with _faults(uri):
            found = _client().list_blobs(bucket, prefix=folder, fields="items(name),nextPageToken")
            return sorted(blob.name.removeprefix(folder) for blob in found if not blob.name.endswith("/"))

    def upload(self, source: Path, uri: str) -> None:
        with _faults(uri):
            _blob(uri, CHUNK_BYTES).upload_from_filename(str(source), content_type="application/octet-stream")

    def download(self, uri: str, target: Path) -> None:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = target.with_name(f".{target.name}.part")
        try:
            with _faults(uri):
                _blob(uri).download_to_filename(str(part))
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _write(self, uri: str, data: bytes, generation: int) -> bool:
        from google.api_core.exceptions import PreconditionFailed

        try:
            with _faults(uri):
                _blob(uri).upload_from_string(data, content_type="application/octet-stream", if_generation_match=generation)
        except PreconditionFailed:
            return False
        return True


@lru_cache(maxsize=1)
def _client() -> "Client":
    from google.auth.exceptions import DefaultCredentialsError
    from google.cloud.storage import Client

    try:
        return Client(project=os.environ.get("GOOGLE_CLOUD_PROJECT", "fleece"))  # objects are named by bucket alone
    except DefaultCredentialsError:
        raise NotAllowed("no Google credentials were found; run under a service account with Workload Identity, or gcloud auth") from None


def _blob(uri: str, chunk_size: int | None = None) -> "Blob":
    bucket, name = _split(uri)
    return _client().bucket(bucket).blob(name, chunk_size=chunk_size)


def _generation_of(uri: str, data: bytes) -> int | None:
    """The generation of the object if it holds these bytes, else None."""
    from google.api_core.exceptions import PreconditionFailed

    try:
        with _faults(uri):
            blob = _blob(uri)
            blob.reload()
            generation = int(blob.generation or _ABSENT)  # read now: a download takes it from its own headers
            return generation if blob.download_as_bytes(if_generation_match=generation) == data else None
    except (Missing, PreconditionFailed):  # gone, or replaced between the two requests
        return None


def _split(uri: str) -> tuple[str, str]:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not bucket or not name or ".." in name.split("/"):
        raise BadInput(f"{uri!r} names no object of a bucket; write gs://bucket/name, without '..'")
    return bucket, name


@contextmanager
def _faults(uri: str) -> Iterator[None]:
    """The client's exceptions as ours. A precondition that failed is an answer, not a fault, and passes."""
    from google.api_core.exceptions import Forbidden, GoogleAPICallError, NotFound, PreconditionFailed, RetryError, Unauthorized
    from google.auth.exceptions import GoogleAuthError
    from requests.exceptions import RequestException

    try:
        yield
    except NotFound:
        raise Missing(f"{uri} does not exist") from None
    except PreconditionFailed:
        raise
    except (Forbidden, Unauthorized):
        raise NotAllowed(f"{uri}: this account may not do that; grant it the role of its step on the bucket") from None
    except (GoogleAPICallError, RetryError, GoogleAuthError, RequestException, ConnectionError) as error:
        raise Unavailable(f"{uri}: Cloud Storage did not answer ({type(error).__name__}); try again when it does") from None
