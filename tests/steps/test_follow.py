"""Following a training: lines when there is news, Argo's progress file, and an end that comes by itself."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from steps import store
from steps.contracts import FollowIn
from steps.follow import Look, describe, follow, in_cluster, on_this_machine, watch
from tests.steps.trainings import plan_of

RUNNING: dict[str, Any] = {"status": {}}
ENDED: dict[str, Any] = {"status": {"terminalState": "Completed", "conditions": []}}


def lines(looks: list[Any], progress: list[dict[str, Any]]) -> list[str]:
    """What is shown for these looks, one after the other. An exception is a service that does not answer."""
    seen, told = iter(looks), iter(progress)

    def look() -> Look:
        now = next(seen)
        if isinstance(now, Exception):
            raise now
        return Look(now, [])

    return list(watch(look, lambda: next(told), lambda: None))


def test_each_change_is_one_line_and_the_last_one_is_shown() -> None:
    first = {"step": 5, "steps": 20, "loss": 1.5, "epoch": 0.25, "state": "training"}
    last = first | {"step": 20, "state": "done"}
    assert lines([RUNNING, RUNNING, ENDED], [first, first, last]) == [describe(first), describe(last)]


def test_progress_in_words() -> None:
    progress = {"step": 120, "steps": 282, "loss": 0.53118, "epoch": 1.277, "state": "training"}
    assert describe(progress) == "step 120/282 · loss 0.5312 · epoch 1.28 · training"


@pytest.mark.parametrize("last", [ENDED, {"status": {"terminalState": "Failed"}}, None])
def test_it_ends_with_the_jobset(last: Any) -> None:
    assert lines([RUNNING, last], [{}, {}]) == []


def test_a_restart_is_told_with_its_reason() -> None:
    condition = {"type": "RestartingJobSet", "status": "True", "reason": "FailurePolicy_disruption", "message": "restarting"}
    restarting = {"status": {"restarts": 1, "conditions": [condition]}}
    assert lines([restarting, restarting, None], [{}, {}, {}]) == ["RestartingJobSet: FailurePolicy_disruption, restart 1 restarting"]


def test_a_service_that_does_not_answer_is_asked_again() -> None:
    assert lines([ConnectionError(), RUNNING, ENDED], [{}, {"step": 1, "steps": 2}]) == ["step 1/2 · "]


def test_a_service_that_never_answers_ends_the_watching_only() -> None:
    assert lines([ConnectionError()] * 100, []) == []


def test_argo_shows_the_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARGO_PROGRESS_FILE", str(tmp_path / "progress"))
    lines([ENDED], [{"step": 7, "steps": 20}])
    assert (tmp_path / "progress").read_text() == "7/20\n"


def test_on_this_machine_the_runners_object_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = f"file://{tmp_path}/runs/0123456789abcdef"
    store.create_json(store.join(run, "plan.json"), plan_of(run, {}))
    store.replace_json(store.join(run, "train", "progress.json"), {"step": 20, "steps": 20, "loss": 0.1, "state": "done"})
    objects = tmp_path / "objects"
    (objects / "default" / "JobSet").mkdir(parents=True)
    (objects / "default" / "JobSet" / "ft-1.json").write_text(json.dumps(ENDED))
    monkeypatch.setenv("FLEECE_OBJECTS", str(objects))
    assert follow(FollowIn(run=run, jobset="ft-1")).lines == 1
    assert on_this_machine(objects, "default", "ft-2").jobset is None


class Api(BaseHTTPRequestHandler):
    """The two paths of the Kubernetes API that are read."""

    answers: ClassVar[dict[str, Any]] = {}

    def do_GET(self) -> None:
        body = self.answers.get(self.path.partition("?")[0])
        self.send_response(200 if body is not None else 404)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(body if body is not None else {"kind": "Status", "code": 404}).encode())

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture
def cluster() -> Iterator[Any]:
    from kubernetes import client

    server = HTTPServer(("127.0.0.1", 0), Api)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    api = client.ApiClient(client.Configuration(host=f"http://127.0.0.1:{server.server_port}"))
    yield api
    api.close()
    server.shutdown()
    server.server_close()


@pytest.mark.slow
def test_in_a_cluster_the_jobset_and_its_warnings_are_read(cluster: Any) -> None:
    event = {"metadata": {}, "involvedObject": {}, "reason": "JobCreationFailed", "message": "job is invalid:\n image: Required"}
    Api.answers = {
        "/apis/jobset.x-k8s.io/v1alpha2/namespaces/team/jobsets/ft-1": RUNNING,
        "/api/v1/namespaces/team/events": {"items": [event]},
    }
    look = in_cluster("team", "ft-1", cluster)()
    assert look.jobset == RUNNING
    assert set(look.warnings) == {"JobCreationFailed: job is invalid: image: Required"}
    assert in_cluster("team", "gone", cluster)().jobset is None


@pytest.mark.slow
def test_a_right_that_is_missing_hides_the_warnings_only(cluster: Any) -> None:
    Api.answers = {"/apis/jobset.x-k8s.io/v1alpha2/namespaces/team/jobsets/ft-1": RUNNING}
    assert in_cluster("team", "ft-1", cluster)() == Look(RUNNING, [])
