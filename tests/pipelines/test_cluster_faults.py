"""An answer of the Kubernetes API in one line, with the exit code that tells a script what to do. The bodies are recorded ones."""

import json

import pytest

from pipelines.cluster import faults

POLICY = (
    'workflows.argoproj.io "w" is forbidden: '
    "ValidatingAdmissionPolicy 'fleece-workflows' with binding 'fleece-workflows' denied request: "
    "label workflows.argoproj.io/creator must be bob (you); it is alice"
)
WEBHOOK = 'admission webhook "vjobset.kb.io" denied the request: spec is immutable'
RIGHT = (
    'workflows.argoproj.io is forbidden: User "system:serviceaccount:a:bob" cannot create resource "workflows" in API group "argoproj.io" '
    'in the namespace "a"'
)
ANONYMOUS = 'workflows.argoproj.io is forbidden: User "system:anonymous" cannot get resource "workflows" in API group "argoproj.io"'
NO_KIND = "the server could not find the requested resource"


@pytest.mark.parametrize(
    ("status", "reason", "message", "code", "said"),
    [
        (422, "Invalid", POLICY, 77, "fleece-workflows refuses this: label workflows.argoproj.io/creator must be bob (you); it is alice"),
        (403, "Forbidden", WEBHOOK, 77, "vjobset.kb.io refuses this: spec is immutable"),
        (403, "Forbidden", RIGHT, 77, "system:serviceaccount:a:bob may not create workflows.argoproj.io in namespace a; ask for a role"),
        (403, "Forbidden", ANONYMOUS, 77, "does not know who you are"),
        (401, "Unauthorized", "Unauthorized", 77, "does not know who you are; log in again"),
        (404, "NotFound", 'workflows.argoproj.io "w" not found', 64, 'workflows.argoproj.io "w" not found'),
        (404, "NotFound", NO_KIND, 69, "is Argo Workflows installed there?"),
        (409, "AlreadyExists", 'workflows.argoproj.io "w" already exists', 64, "already exists; choose another name"),
        (409, "Conflict", "the object has been modified", 75, "the object has been modified; try again"),
        (422, "Invalid", 'Workflow "w" is invalid:\n  spec: no', 64, 'Workflow "w" is invalid: spec: no'),
        (400, "BadRequest", "unable to parse requirement", 64, "unable to parse requirement"),
        (429, "TooManyRequests", "too many requests", 75, "too much to do; try again"),
        (500, "InternalError", "etcdserver: leader changed", 69, "answers 500: etcdserver: leader changed"),
    ],
)
def test_a_fault_is_one_line_with_its_exit_code(status: int, reason: str, message: str, code: int, said: str) -> None:
    found = faults.of(status, json.dumps({"kind": "Status", "reason": reason, "message": message}), "https://k8s")
    assert found.code == code
    assert said in str(found)
    assert "\n" not in str(found)


@pytest.mark.parametrize(
    ("status", "body", "code"), [(404, "404 page not found\n", 69), (502, "<html>bad gateway</html>", 69), (503, "", 69)]
)
def test_an_answer_that_comes_from_no_api_server_is_told_too(status: int, body: str, code: int) -> None:
    assert faults.of(status, body, "https://k8s").code == code


def test_a_container_that_has_not_started_is_no_wrong_word() -> None:
    message = 'container "main" in pod "w-1" is waiting to start: PodInitializing'
    assert isinstance(faults.of(400, json.dumps({"message": message}), ""), faults.Waiting)
