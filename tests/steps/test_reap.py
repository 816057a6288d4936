"""What is reaped, and what is left alone: decided from two lists, carried out by the Kubernetes API."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, ClassVar
from urllib.parse import parse_qs, urlparse

import pytest

from steps.contracts import ReapIn
from steps.faults import NotAllowed, Unavailable
from steps.reap import Api, Orphan, orphans, reap

OWNER = {"apiVersion": "argoproj.io/v1alpha1", "kind": "Workflow", "name": "finetune-x", "uid": "w1"}


def jobset(state: str = "", owner: dict[str, str] | None = OWNER, **metadata: Any) -> dict[str, Any]:
    owners = {"ownerReferences": [owner]} if owner else {}
    return {"metadata": {"name": "ft-w1", "uid": "j1", **owners, **metadata}, "status": {"terminalState": state} if state else {}}


def workflow(phase: str | None, uid: str = "w1") -> dict[str, Any]:
    return {"metadata": {"name": "finetune-x", "uid": uid}, **({"status": {"phase": phase}} if phase else {})}


@pytest.mark.parametrize(
    ("workflows", "why"),
    [
        ([workflow("Failed")], "its Workflow finetune-x ended as Failed"),
        ([workflow("Error")], "its Workflow finetune-x ended as Error"),
        ([workflow("Succeeded")], "its Workflow finetune-x ended as Succeeded"),
        ([], "its Workflow finetune-x is gone"),
        ([workflow("Running", uid="w2")], "its Workflow finetune-x is gone"),
    ],
    ids=["terminated", "error", "succeeded", "deleted", "another of the same name"],
)
def test_a_training_that_outlived_its_workflow_is_reaped(workflows: list[Any], why: str) -> None:
    assert orphans([jobset()], workflows) == [Orphan("ft-w1", "j1", why)]


@pytest.mark.parametrize(
    ("training", "owner"),
    [
        (jobset(), workflow("Running")),
        (jobset(), workflow("Pending")),
        (jobset(), workflow("")),
        (jobset(), workflow(None)),
        (jobset("Failed"), workflow("Failed")),
        (jobset("Completed"), workflow("Succeeded")),
        (jobset(deletionTimestamp="2026-11-21T10:00:00Z"), workflow("Failed")),
        (jobset(owner=None), workflow("Failed")),
        (jobset(owner=OWNER | {"kind": "CronJob"}), workflow("Failed")),
        (jobset(owner=OWNER | {"apiVersion": "example.org/v1"}), workflow("Failed")),
    ],
    ids=["running", "pending", "not yet seen", "no status", "failed", "completed", "being deleted", "no owner", "cron job", "foreign"],
)
def test_everything_else_is_left_alone(training: dict[str, Any], owner: dict[str, Any]) -> None:
    assert orphans([training], [owner]) == []


def test_a_jobset_without_a_status_is_judged_as_a_running_one() -> None:
    assert orphans([{"metadata": jobset()["metadata"]}], []) != []


def test_on_one_machine_nothing_is_looked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("FLEECE_OBJECTS", "/somewhere")
    assert reap(ReapIn(namespace="default")).deleted == 0
    assert "a gang ends together with the runner of its Workflow" in capsys.readouterr().err


class Server(BaseHTTPRequestHandler):
    """The paths of the Kubernetes API that are used, of one namespace. `status` other than 200: what every call is answered with."""

    jobsets: ClassVar[list[Any]] = []
    workflows: ClassVar[list[Any]] = []
    asked: ClassVar[list[str]] = []
    status: ClassVar[int] = 200

    def do_GET(self) -> None:
        url = urlparse(self.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path.endswith("/workflows"):
            name = query["fieldSelector"].removeprefix("metadata.name=")
            self._answer({"items": [one for one in self.workflows if one["metadata"]["name"] == name]})
        else:
            assert query == {"labelSelector": "fleece.dev/run-id"}
            self._answer({"items": self.jobsets})

    def do_DELETE(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(f"{self.path.rpartition('/')[2]} {body['preconditions']['uid']}")
        found = [one for one in self.jobsets if self.path.endswith(f"/jobsets/{one['metadata']['name']}")]
        self._answer({}, 200 if found else 404)

    def _answer(self, body: Any, status: int = 200) -> None:
        self.send_response(self.status if self.status != 200 else status)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    from kubernetes import client

    for name, value in (("jobsets", []), ("workflows", []), ("asked", []), ("status", 200)):
        monkeypatch.setattr(Server, name, value)
    server = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    connection = client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{server.server_port}"))
    yield Api("team", connection)
    connection.close()
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_the_orphan_is_deleted_by_name_and_uid(api: Api) -> None:
    Server.jobsets.append(jobset())
    Server.workflows.extend([workflow("Failed"), {"metadata": {"name": "other", "uid": "w9"}, "status": {"phase": "Running"}}])
    (orphan,) = orphans(api.jobsets(), api.workflows({"finetune-x"}))
    assert api.delete(orphan) is True
    assert Server.asked == ["ft-w1 j1"]


@pytest.mark.slow
def test_one_that_is_gone_already_is_no_error(api: Api) -> None:
    assert api.delete(Orphan("ft-w2", "j2", "")) is False


@pytest.mark.slow
@pytest.mark.parametrize(
    ("status", "fault", "words"),
    [
        (403, NotAllowed, "the account of this step may not list jobsets; `make install` gives it the right"),
        (500, Unavailable, "the Kubernetes API did not list jobsets"),
    ],
)
def test_what_the_api_refuses_is_said_in_one_line(
    api: Api, monkeypatch: pytest.MonkeyPatch, status: int, fault: type[Exception], words: str
) -> None:
    monkeypatch.setattr(Server, "status", status)
    with pytest.raises(fault, match=words):
        api.jobsets()
