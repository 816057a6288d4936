"""`fleece` on a real cluster: under the policies and with the rights that people are given, on small templates."""

import json
import re
import secrets
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from pipelines.cluster import api as kubernetes
from pipelines.cluster.api import path
from pipelines.local.workflow import label_safe
from tests.cluster.small_tenant import DIGEST, Place, kubeconfig, objects


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(kubernetes.connect(), f"fleece-cli-{secrets.token_hex(3)}", tmp_path_factory.mktemp("people"))
    try:
        for one in objects(made):
            plural = f"{one['kind'].lower()}s"
            made.admin.call("POST", path(one["apiVersion"], plural, one["metadata"].get("namespace", "")), one)
        for person in ("alice", "bob"):
            (made.folder / person).write_text(json.dumps(kubeconfig(made, person)))
        yield made
    finally:
        for namespace in (made.name, made.release):
            made.admin.call("DELETE", path("v1", "namespaces", name=namespace))


@pytest.fixture(scope="module")
def counted(place: Place) -> str:
    """A run that alice submitted and followed to its end."""
    name = place.started("count", "-p", "who=me")
    followed = place.fleece("logs", name, "-f").stdout.splitlines()
    assert followed == [f"{step}: line {i}" for step in ("one", "two.three") for i in range(3)]
    return name


def test_a_submit_carries_the_callers_name_and_nothing_that_admission_refuses(place: Place, counted: str) -> None:
    found = place.run(counted)
    labels = found["metadata"]["labels"]
    assert labels["workflows.argoproj.io/creator"] == f"system-serviceaccount-{place.name}-alice"
    assert found["metadata"]["generateName"] == "count-"
    assert found["spec"] == {"workflowTemplateRef": {"name": "count"}, "arguments": {"parameters": [{"name": "who", "value": "me"}]}}


def test_a_client_certificate_is_as_good_as_a_token(place: Place) -> None:
    name = place.started("count", "-p", "who=admin", "-p", "lines=0", as_="admin")
    assert place.run(name)["metadata"]["labels"]["workflows.argoproj.io/creator"] == label_safe(place.admin.user)
    assert name in place.fleece("list", as_="admin").stdout
    place.fleece("terminate", name, as_="admin")


def test_get_and_list_show_the_run(place: Place, counted: str) -> None:
    shown = place.fleece("get", counted).stdout
    assert re.search(r"^Status: +Succeeded$", shown, re.MULTILINE)
    assert next(line.split()[:3] for line in shown.splitlines() if "─✔" in line) == ["├─✔", "one", "say"]
    assert re.search(rf"^{counted} +Succeeded ", place.fleece("list", "--prefix", counted).stdout, re.MULTILINE)
    assert json.loads(place.fleece("get", counted, "-o", "json").stdout)["status"]["phase"] == "Succeeded"


@pytest.mark.skipif(not shutil.which("argo"), reason="the argo program is not on PATH")
@pytest.mark.parametrize(
    "command", [["get"], ["get", "-o", "short"], ["list", "--prefix"], ["list", "-o", "wide", "--prefix"]], ids=" ".join
)
def test_fleece_prints_what_argo_prints(place: Place, counted: str, command: list[str]) -> None:
    words = [*command, counted]
    argo = subprocess.run(
        ["argo", *words, "-n", place.name, *(["--no-color"] if "get" in words else [])], capture_output=True, text=True, check=True
    ).stdout
    assert plain(place.fleece(*words).stdout) == plain(argo)


def plain(shown: str) -> list[str]:
    """Lines without what depends on the moment or on the order of a map: ages, and the resources that Argo counts; nor the node's name."""
    told = re.sub(r"\((\d+ \w+ ago|now)\)", "", shown)
    lines = [re.sub(r"\s+", " ", line).strip() for line in told.splitlines()]
    head = next((i for i, line in enumerate(lines) if "NAME STATUS AGE" in line), None)
    if head is not None:
        return [re.sub(r"(Succeeded) \d+\w ", r"\1 ", line) for line in lines]
    return [re.sub(r" \S*node\S*$", "", line) for line in lines if line and not line.startswith("ResourcesDuration")]


def test_logs_of_a_group_the_last_lines_and_those_of_pods_that_are_gone(place: Place, counted: str) -> None:
    assert place.fleece("logs", counted, "two", "--tail", "1").stdout == "two.three: line 2\n"
    assert place.fleece("logs", counted, "--grep", "1$").stdout == "one: line 1\ntwo.three: line 1\n"
    assert "has no step 'four'; there are: one, two.three" in place.fleece("logs", counted, "four", code=64).stderr
    pod = next(node for node in place.run(counted)["status"]["nodes"].values() if node["displayName"] == "one")
    name = f"{counted}-say-{pod['id'].rpartition('-')[2]}"
    place.admin.call("DELETE", path("v1", "pods", place.name, name), query={"gracePeriodSeconds": 0})
    left = place.fleece("logs", counted)
    assert (left.stdout.splitlines()[0], left.stderr) == ("two.three: line 0", "gone with their pods: the logs of one\n")


def test_a_run_is_stopped_and_resubmitted(place: Place) -> None:
    name = place.started("count", "-p", "who=me", "-p", "lines=100", "-p", "pause=1")
    place.until(lambda: "one: line 1" in place.fleece("logs", name).stdout, "first lines")
    assert place.fleece("stop", name).stdout == f"workflow {name} stopped\n"
    place.until(lambda: place.phase(name) == "Failed", "end", 60)
    assert re.search(r"^Status: +Failed \(Terminated\)$", place.fleece("get", name).stdout, re.MULTILINE)
    labels = place.run(name)["metadata"]["labels"]
    who = f"system-serviceaccount-{place.name}-alice"
    assert (labels["workflows.argoproj.io/actor"], labels["workflows.argoproj.io/action"]) == (who, "Stop")
    assert "cannot shutdown a completed workflow" in place.fleece("stop", name, code=64).stderr
    again = place.fleece("resubmit", name, "-p", "lines=1", "-p", "pause=0", "--watch", "-o", "json", as_="bob")
    made = json.loads(again.stdout)
    assert made["status"]["phase"] == "Succeeded"
    assert made["metadata"]["labels"]["workflows.argoproj.io/resubmitted-from-workflow"] == name
    assert made["metadata"]["labels"]["workflows.argoproj.io/creator"].endswith("-bob")
    assert "workflows.argoproj.io/actor" not in made["metadata"]["labels"]
    assert "two.three  Succeeded" in again.stderr


def test_a_suspended_run_starts_nothing_until_it_is_resumed(place: Place) -> None:
    name = place.started("count", "-p", "who=me", "-p", "lines=1")
    assert place.fleece("suspend", name).stdout == f"workflow {name} suspended\n"
    place.until(lambda: "(Suspended)" in place.fleece("get", name).stdout, "suspension", 30)
    assert place.fleece("resume", name).stdout == f"workflow {name} resumed\n"
    place.until(lambda: place.phase(name) == "Succeeded", "end")


def test_a_run_that_fails_says_so_and_how_to_go_on(place: Place) -> None:
    done = place.fleece("submit", "count", "-p", "who=me", "-p", "lines=many", "--watch", code=1)
    assert "--- log of one" in done.stdout
    assert "ValueError: invalid literal for int() with base 10: 'many'" in done.stdout
    name = re.search(r"`fleece resubmit (\S+) ", done.stdout)
    assert name is not None
    assert place.phase(name[1]) == "Failed"


def test_a_person_approves_what_a_run_asks_for(place: Place) -> None:
    submitted = place.fleece("submit", "finetune", "--watch")
    found = re.search(r"`fleece approve (\S+) --cluster -n (\S+)` decides", submitted.stdout)
    assert found is not None
    name, namespace = found.groups()
    assert namespace == place.name
    reason = "the numbers look right to me"
    denied = place.fleece("approve", name, "--reason", reason, code=77)
    assert f"alice may not create workflows.argoproj.io in namespace {place.release}" in denied.stderr
    approved = place.fleece("approve", name, "--reason", reason, "--watch", "-o", "json", as_="bob")
    for shown in ("two people must agree", "acme.support.v1:3", DIGEST, "gs://b/r/request.json"):
        assert shown in approved.stderr
    made = json.loads(approved.stdout)
    assert (made["metadata"]["namespace"], made["status"]["phase"]) == (place.release, "Succeeded")
    assert made["metadata"]["labels"]["workflows.argoproj.io/creator"] == f"system-serviceaccount-{place.name}-bob"
    given = {one["name"]: one["value"] for one in made["spec"]["arguments"]["parameters"]}
    assert given == {"request": "gs://b/r/request.json", "digest": DIGEST, "decision": "approve", "reason": reason}


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["submit", "count"], 64, "give it with -p who=…"),
        (["submit", "count", "-p", "who=me", "-p", "pause=9"], 64, "'9' is none of 0, 1"),
        (["submit", "cuont"], 64, "did you mean 'count'?"),
        (["submit", "count", "-p", "who=me", "--name", "{counted}"], 64, "already exists; choose another name"),
        (["delete", "{counted}"], 77, "may not delete workflows.argoproj.io"),
        (["approve", "{counted}", "--reason", "it looks right"], 64, "it is a run of count, and only finetune asks for a release"),
        (["retry", "{counted}"], 64, "fleece resubmit RUN --cluster"),
        (["resume", "{counted}"], 64, "is over (Succeeded)"),
        (["list", "-n", "kube-system"], 77, "may not list workflows.argoproj.io in namespace kube-system"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_its_exit_code(place: Place, counted: str, words: list[str], code: int, said: str) -> None:
    refused = place.fleece(*(word.format(counted=counted) for word in words), code=code)
    assert said in refused.stderr
    assert refused.stderr.count("\n") == 1
