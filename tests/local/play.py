"""Runs small workflows for the tests, as a user would, without the terminal."""

import contextlib
from pathlib import Path
from typing import Any

import yaml

from pipelines.local import run
from pipelines.local.clock import SkippingClock
from pipelines.local.nodes import Node

Workflow = dict[str, Any]

SH = {"image": "docker.io/library/python:3.11-slim", "command": ["sh", "-c"]}


def sh(name: str, script: str, *inputs: str, **more: Any) -> dict[str, Any]:
    """A container template that runs a line of shell."""
    template: dict[str, Any] = {"name": name, "container": SH | {"args": [script]}, **more}
    if inputs:
        template["inputs"] = {"parameters": [{"name": i} for i in inputs]}
    return template


def given(**values: str) -> dict[str, Any]:
    return {"parameters": [{"name": name, "value": value} for name, value in values.items()]}


def manifest(*templates: dict[str, Any], name: str = "w", kind: str = "Workflow", **spec: Any) -> Workflow:
    """A Workflow whose entrypoint is its first template."""
    body = {"entrypoint": templates[0]["name"], "templates": list(templates), **spec}
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": body}


def write(folder: Path, *documents: Workflow, name: str = "w.yaml") -> str:
    path = folder / name
    path.write_text(yaml.safe_dump_all(documents, sort_keys=False))
    return str(path)


def play(folder: Path, *documents: Workflow, parameters: dict[str, str] | None = None, **options: Any) -> Workflow:
    """Run documents in a folder of their own; pauses in which nothing runs cost no time."""
    options = {"home": folder / "home", "templates": folder / "templates", "clock": SkippingClock()} | options
    with contextlib.chdir(folder):  # steps see the current folder, wherever it lies
        return run.run(write(folder, *documents), parameters or {}, **options)


def nodes(workflow: Workflow) -> dict[str, Node]:
    """The nodes by the name that people see."""
    return {n["displayName"]: n for n in workflow["status"]["nodes"].values()}


def phases(workflow: Workflow) -> dict[str, str]:
    return {name: node["phase"] for name, node in nodes(workflow).items()}


def log(folder: Path, workflow: Workflow, name: str) -> str:
    node = nodes(workflow)[name]
    return (folder / "home" / "runs" / workflow["metadata"]["name"] / "nodes" / node["id"] / "main.log").read_text()
