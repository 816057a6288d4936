"""gcp-storage-emulator with the preconditions it ignores: a request that the real service answers with 412 gets 412 here too.

The bare emulator let 64 of 64 racers win `if_generation_match=0`. It answers one request at a time, so checking before each is enough.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from gcp_storage_emulator import server
from gcp_storage_emulator.exceptions import NotFound
from gcp_storage_emulator.handlers import objects

# One client at a time, so one that was killed after it had connected would keep all others waiting for ever.
SILENT_SECONDS = 5

Handler = Callable[..., Any]


@contextmanager
def running(host: str = "127.0.0.1", port: int = 0, bucket: str = "fleece") -> Iterator[str]:
    """Start the strict emulator in memory with one bucket; gives its URL. Port 0: any free one."""
    server.HANDLERS = tuple((regex, {verb: _strict(handler) for verb, handler in verbs.items()}) for regex, verbs in server.HANDLERS)
    server.RequestHandler.timeout = SILENT_SECONDS
    emulator = server.create_server(host, port, in_memory=True, default_bucket=bucket)
    emulator.start()
    try:
        yield "http://{}:{}".format(*emulator._api._httpd.server_address[:2])
    finally:
        emulator.stop()


def _strict(handler: Handler) -> Handler:
    if handler not in (objects.insert, objects.delete, objects.patch, objects.download, objects.get):
        return handler

    def guarded(request: Any, response: Any, storage: Any, *args: Any, **options: Any) -> Any:
        wanted = request.query.get("ifGenerationMatch")
        if wanted and wanted[0] != _generation(request, storage):
            response.status = HTTPStatus.PRECONDITION_FAILED
            return response.json({"error": {"code": 412, "message": "a precondition does not hold"}})
        return handler(request, response, storage, *args, **options)

    return guarded


def _generation(request: Any, storage: Any) -> str:
    name = request.params.get("object_id") or (request.query.get("name") or [""])[0]
    if not name and isinstance(request.data, dict):
        name = request.data.get("meta", request.data).get("name", "")
    try:
        return str(storage.get_file_obj(request.params["bucket_name"], name)["generation"])
    except NotFound:
        return "0"
