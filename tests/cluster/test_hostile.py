"""Hostile values for every parameter of every template: refused when submitted, or inert in the one process that gets them.

What Argo or Kubernetes would act on is refused by admission. What is left reaches the first step as one element of its arguments, as it
was sent, and ends there with one line, exit code 64, and nothing after it.
"""

import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

from pipelines.cluster.api import Api
from pipelines.compile import FOLDER
from tests.cluster import tenant
from tests.cluster.attacking import CREATOR, DRY, Object, account, create, person, refusal
from tests.cluster.world import World, nodes, pod_name, workflow

ACTED_ON = {
    "a tag": "{{workflow.name}}",
    "an expression": "{{=1+1}}",
    "half a tag": "{{",
    "the end of a tag": "}}",
    "a variable": "$(HOME)",
    "an escaped variable": "$$(HOME)",
    "a line end": "a\nb",
    "a tab": "a\tb",
    "a control character": "a\x01b",
    "an escape": "\x1b[2J",
    "200 kB": "x" * 200_000,
}
INERT = {
    "quotes": "a\"b'c`d",
    "a backslash and braces": 'a\\"} , {"serviceAccountName": "launcher"',
    "a flag": "--out-run=/tmp/owned",
    "a short flag": "-h",
    "the name of Argo's file": "@/tmp/argo_arg_0.txt",
    "a command": "; touch /tmp/owned #",
    "git's options": "--upload-pack=touch /tmp/owned",
    "git's helper": "ext::sh -c touch% /tmp/owned",
    "a way up": "../../../../etc/passwd",
    "a folder of the pod": "/etc/fleece/git",
    "other letters": "é😀\u2028\u202e",
}
FIRST = {"finetune": "plan", "evaluate": "plan", "approve": "approve", "deploy": "select", "rollback": "rollback"}


@cache
def parameters() -> list[tuple[str, Object]]:
    """Template and parameter, out of the compiled files."""
    found = []
    for file in sorted(FOLDER.glob("*.yaml")):
        content = yaml.safe_load(file.read_text())
        if content["kind"] == "WorkflowTemplate":
            found += [(content["metadata"]["name"], one) for one in content["spec"].get("arguments", {}).get("parameters", [])]
    return found


def submitter(world: World, template: str) -> tuple[Api, str, dict[str, str]]:
    """Who may start a template, where, and with which label."""
    if template == "release":
        return account(world, world.tenant, "launcher"), world.release, {}
    who = "alice" if template in ("finetune", "evaluate") else "bob"
    return person(world, who), world.tenant if who == "alice" else world.release, {CREATOR: world.creator(who)}


def made(template: str, hostile: dict[str, str], labels: dict[str, str]) -> Object:
    """All that the template asks for, and the hostile values in place of some of it."""
    needed = {one["name"]: "x" for owner, one in parameters() if owner == template and "value" not in one}
    return workflow(template, needed | hostile, labels, "release-hostile" if template == "release" else "")


@pytest.mark.parametrize(("template", "parameter"), [(template, one["name"]) for template, one in parameters()])
def test_what_argo_or_kubernetes_would_act_on_is_refused(world: World, template: str, parameter: str) -> None:
    api, namespace, labels = submitter(world, template)
    for what, value in ACTED_ON.items():
        said = refusal(create, api, namespace, made(template, {parameter: value}, labels), DRY)
        known = ("holds no {{, no }}, no $( and no control", "at most 65536 characters", f"{parameter} is one of ")
        assert any(one in said for one in known), (what, said)


@pytest.mark.parametrize(("template", "parameter"), [(template, one["name"]) for template, one in parameters() if "enum" in one])
def test_a_choice_is_one_of_its_choices(world: World, template: str, parameter: str) -> None:
    api, namespace, labels = submitter(world, template)
    for value in (*INERT.values(), "", " ", "None"):
        assert f"{parameter} is one of " in refusal(create, api, namespace, made(template, {parameter: value}, labels), DRY)


def test_fleece_says_it_in_one_line(world: World, tmp_path: Path) -> None:
    for value in ("{{workflow.name}}", "a\nb"):
        command = [sys.executable, "-m", "pipelines.cli", "submit", "finetune", "-p", f"config={value}"]
        environment = {"KUBECONFIG": str(world.kubeconfig("alice", tmp_path)), "HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
        done = subprocess.run(command, env=environment, cwd=tenant.PROJECT, capture_output=True, text=True, check=False)
        assert (done.returncode in (64, 77), done.stdout) == (True, ""), done
        assert "parameter 'config' contains" in done.stderr
        assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize("what", INERT)
def test_the_rest_reaches_one_process_as_it_is_and_ends_there(world: World, what: str) -> None:
    """One Workflow of each template at the same time; each parameter that takes a text has the hostile one."""
    value, started = INERT[what], []
    for template in FIRST:
        api, namespace, labels = submitter(world, template)
        hostile = {one["name"]: value for owner, one in parameters() if owner == template and "enum" not in one}
        if template == "finetune":  # the other way round: the repository is there, and what is looked for in it is hostile
            del hostile["config-repo"]
        started.append((template, hostile, namespace, create(api, namespace, made(template, hostile, labels))["metadata"]["name"]))
    for template, hostile, namespace, name in started:
        refused_by_its_first_step(world, world.wait(name, seconds=180, namespace=namespace), FIRST[template], hostile)


def refused_by_its_first_step(world: World, ended: Object, first: str, hostile: dict[str, str]) -> None:
    ran = [node for node in ended["status"]["nodes"].values() if node["type"] == "Pod" and node["phase"] != "Omitted"]
    steps = [node for node in ran if node["templateName"] not in ("jobset-state", "jobset-delete")]  # those of the exit handler
    assert [node["templateName"] for node in steps] == [first], ended["metadata"]["name"]
    assert steps[0]["outputs"]["exitCode"] == "64", nodes(ended)[first].get("message")
    metadata = ended["metadata"]
    pod = world.core.read_namespaced_pod(pod_name(metadata["name"], steps[0]), metadata["namespace"])
    arguments = next(one.args for one in pod.spec.containers if one.name == "main")
    for parameter, value in hostile.items():
        assert received(arguments, first, parameter, value) == 1, arguments
    assert "owned" not in "".join(one for one in arguments if one not in {f"--{name}={value}" for name, value in hostile.items()})
    lines = world.node_log(ended, steps[0]).strip().splitlines()
    faults = [line for line in lines if line.startswith(f"{first}: ") and not line.endswith("started")]
    assert len(faults) == 1, lines
    assert "Traceback" not in "".join(lines)


def received(arguments: list[str], first: str, parameter: str, value: str) -> int:
    """How many elements are exactly this flag. A parameter that only a later step takes is not among the first one's."""
    from steps.contracts import STEPS

    if parameter.replace("-", "_") not in STEPS[first][0].model_fields:
        return 1
    return arguments.count(f"--{parameter}={value}")
