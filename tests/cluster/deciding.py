"""Decisions about a release as people make them: by the API, by argo, by `fleece approve`, and on a terminal of one machine."""

import base64
import json
import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.cluster.tenant import PROJECT
from tests.cluster.world import Object, World, nodes, outputs
from tests.e2e.conftest import FLEECE, Machine

REASON = "the report says what it should"
IDENTITY_AND_TIME = ("approver", "submitter", "uid", "at", "expires", "request_sha256")
COUNTED = ("version",)  # how many models were registered before


class Asked(NamedTuple):
    """A run that waits for a decision, and what it asks for."""

    run: Object
    request: str
    digest: str


def decide(world: World, who: str, asked: Asked, decision: str = "approve", **other: str) -> str:
    """Start `approve` as the API lets everybody. Gives the Workflow's name."""
    given = {"request": asked.request, "digest": asked.digest, "decision": decision, "reason": REASON} | other
    return world.submit("approve", given, as_=who, namespace=world.release)


def decided(world: World, name: str) -> Object:
    return world.wait(name, seconds=300, namespace=world.release)


def fault(world: World, ended: Object, step: str) -> str:
    """Exit code and line of a step that refused."""
    node = next(one for one in ended["status"]["nodes"].values() if one["type"] == "Pod" and one["templateName"] == step)
    line = next(line for line in reversed(world.node_log(ended, node).strip().splitlines()) if line.startswith(f"{step}: "))
    return f"{node['outputs']['exitCode']} {line}"


def records(world: World, asked: Asked) -> list[str]:
    return world.names(f"runs/{run_of(asked)}/approvals/")


def run_of(asked: Asked) -> str:
    return asked.request.rpartition("/request/")[0].rpartition("/")[2]


def by_argo(world: World, asked: Asked, folder: Path) -> str:
    if not shutil.which("argo"):
        return decide(world, "bob", asked)
    given = ["-p", f"request={asked.request}", "-p", f"digest={asked.digest}", "-p", "decision=approve", "-p", f"reason={REASON}"]
    command = ["argo", "submit", "-n", world.release, "--from", "workflowtemplate/approve", *given, "-o", "name"]
    environment = os.environ | {"KUBECONFIG": str(world.kubeconfig("bob", folder))}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.strip().rpartition("/")[2]


def by_fleece(world: World, who: str, asked: Asked, folder: Path, *words: str) -> Object:
    command = [sys.executable, "-m", "pipelines.cli", "approve", "--cluster", "-n", world.tenant, "--reason", REASON, "-o", "json", *words]
    environment = os.environ | {"KUBECONFIG": str(world.kubeconfig(who, folder))}
    done = subprocess.run(
        [*command, asked.run["metadata"]["name"]], env=environment, cwd=PROJECT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return decided(world, json.loads(done.stdout)["metadata"]["name"])


def said(world: World, ended: Object) -> Object:
    """The statement inside the record that a decision wrote."""
    return statement(world.read(outputs(nodes(ended)["approve"])["approval"]))


def statement(envelope: bytes) -> Object:
    return dict(json.loads(base64.b64decode(json.loads(envelope)["payload"])))


def here(machine: Machine) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in (machine.home / "store" / "runs").glob("*/approvals/*.json")}


def on_a_terminal(machine: Machine, words: list[str], answers: dict[str, str]) -> str:
    """Run fleece as a person does, who answers each question when it is asked."""
    ours, its = pty.openpty()
    process = subprocess.Popen([*FLEECE, *words], cwd=PROJECT, env=machine.environment, stdin=its, stdout=its, stderr=its)
    os.close(its)
    shown, waiting = "", list(answers.items())
    while True:
        try:
            shown += os.read(ours, 4096).decode(errors="replace")
        except OSError:  # the terminal's other end is closed
            break
        if waiting and waiting[0][0] in shown:
            os.write(ours, f"{waiting.pop(0)[1]}\n".encode())
    os.close(ours)
    assert process.wait(timeout=60) == 0, shown
    return shown


def named(record: Object, tenant: str, root: str) -> Object:
    """A statement without identity and time, with the same names for tenant, store, run and request."""
    text = json.dumps(
        {**record, "predicate": {key: value for key, value in record["predicate"].items() if key not in (*IDENTITY_AND_TIME, *COUNTED)}}
    )
    text = re.sub(r"/runs/[0-9a-f]{16}/request/[0-9a-f]{16}", "/runs/RUN/request/REQUEST", text.replace(root, "STORE"))
    text = re.sub(r"/runs/[0-9a-f]{16}", "/runs/RUN", text)
    return {"fields": sorted(record["predicate"]), **json.loads(text.replace(f'"{tenant}.', '"TENANT.'))}
