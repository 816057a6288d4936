"""What Cloud Storage answers becomes one of our faults; none of its exceptions passes."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from steps import lease, store
from steps.faults import BadInput, Fault, NotAllowed, Unavailable
from steps.store_gcs import GcsStore, _client
from tests.steps import strict_gcs

pytestmark = pytest.mark.slow

AT = "gs://fleece/thing"


@pytest.fixture
def answering(request: pytest.FixtureRequest) -> Iterator[str]:
    """A server that answers everything with one status."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self.send_response(request.param)
            self.end_headers()

        do_GET = do_POST = do_PUT = do_DELETE = _answer

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server, pytest.MonkeyPatch.context() as patch:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_address[1]}")
        _client.cache_clear()
        yield "here"
        server.shutdown()
    _client.cache_clear()


@pytest.mark.parametrize(("answering", "fault"), [(403, NotAllowed), (400, Unavailable), (404, store.Missing)], indirect=["answering"])
def test_a_refusal_is_a_fault_of_ours(answering: str, fault: type[Fault]) -> None:
    with pytest.raises(fault, match="gs://fleece/thing"):
        GcsStore().read(AT)
    with pytest.raises(fault, match="gs://fleece/thing"):
        GcsStore().create(AT, b"")


@pytest.mark.parametrize("uri", ["gs://", "gs://bucket", "gs://bucket/", "gs://bucket/a/../b"])
def test_what_names_no_object_is_refused(uri: str) -> None:
    with pytest.raises(BadInput, match="names no object"):
        GcsStore().exists(uri)


@pytest.fixture
def bucket() -> Iterator[str]:
    with strict_gcs.running() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", url)
        _client.cache_clear()
        yield "gs://fleece"
    _client.cache_clear()


def test_the_strict_emulator_refuses_what_the_bare_one_lets_pass(bucket: str) -> None:
    from google.api_core.exceptions import PreconditionFailed

    blob = _client().bucket("fleece").blob("x")
    blob.upload_from_string("1", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        blob.upload_from_string("2", if_generation_match=0)
    with pytest.raises(PreconditionFailed):
        blob.delete(if_generation_match=1)


def test_a_lease_lets_in_one_at_a_time(bucket: str) -> None:
    inside: list[int] = []
    most: list[int] = []

    def enter(number: int) -> None:
        with lease.held(f"{bucket}/lease.json"):
            inside.append(number)
            most.append(len(inside))
            inside.remove(number)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(enter, range(4)))
    assert most == [1] * 4


def test_a_lease_of_a_dead_holder_runs_out(bucket: str) -> None:
    uri = f"{bucket}/lease.json"
    store.replace_json(uri, {"holder": "dead", "until": 1.0})
    with lease.held(uri):
        assert store.read_json(uri)["holder"] != "dead"
    assert store.read_json(uri)["holder"] == ""
