"""Runs container and script templates as processes of this machine."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.local import artifacts, clock, durations, environment, gojson, isolation, nodes, paths, podspec, tags, volumes
from pipelines.local.images import Environment, Images
from pipelines.local.isolation import SCRATCH, Layout
from pipelines.local.keeper import Keeper, kill_left_over
from pipelines.local.nodes import Node, Template

LONGEST_ARGUMENT = 131072  # bytes; Linux MAX_ARG_STRLEN, and where Argo begins to pass arguments as files
DEADLINE = "Pod was active on the node longer than the specified deadline"


class CannotStart(Exception):
    """The process cannot be started; the node's message."""


class NeverStarts(CannotStart):
    """A cluster would wait for something that is not there, without a word; this says for what (argo-data-flow 167)."""


@dataclass
class Pod:
    """One node's process: what it is, where its files lie."""

    node: Node
    given: Template
    template: Template
    folder: Path
    paths: paths.Paths
    capture: bool
    ends: float | None = None
    stopped: str = ""
    killed_at: float | None = None

    @property
    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = self.template.get("container") or self.template["script"]
        return body


@dataclass
class Machine:
    """What all processes of a run share."""

    keeper: Keeper
    home: Path
    workflow: str
    namespace: str
    volumes: list[dict[str, Any]]
    images: Images
    objects: Any
    cwd: str
    warm: Callable[[Environment], str]
    visible: list[str] | None = None
    """What of this machine a step in a namespace of its own still sees below its own paths; None: no namespaces."""


def prepare(machine: Machine, node: Node, template: Template, folder: Path, capture: bool) -> Pod:
    """The node's folder, made anew, with inputs in their places. CannotStart when something is missing."""
    kill_left_over(folder)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, mode=0o700)
    (folder / "root" / "tmp").mkdir(parents=True)
    (folder / "root" / "tmp").chmod(0o1777)
    try:
        pod = located(machine, node, template, folder, capture)
        for artifact in (template.get("inputs") or {}).get("artifacts") or []:
            if artifact.get("path"):
                artifacts.load(machine.home, artifact, pod.paths.local(artifact["path"]))
    except LookupError as error:
        raise NeverStarts(str(error)) from None
    except (artifacts.ArtifactError, OSError) as error:
        raise CannotStart(str(error)) from None
    for path in paths.declared(template):
        pod.paths.from_image(path).mkdir(parents=True, exist_ok=True)
    return pod


def located(machine: Machine, node: Node, template: Template, folder: Path, capture: bool) -> Pod:
    """The pod of a node whose folder exists."""
    wanted = {m["name"] for m in (template.get("container") or template["script"]).get("volumeMounts") or []}
    known = {v["name"]: v for v in [*machine.volumes, *(template.get("volumes") or [])]}
    fields = podspec.fields(template, nodes.pod_name(machine.workflow, node), machine.namespace)
    folders = {
        name: volumes.folder(known[name], folder, machine.home, machine.namespace, machine.objects, fields)
        for name in wanted
        if name in known
    }
    read_only = frozenset(name for name in folders if any(kind in known[name] for kind in paths.READ_ONLY))
    places = paths.of_node(folder, template, folders, machine.cwd, machine.visible, read_only)
    filled: Template = tags.substitute_json(template, paths.placeholders(template, places), tolerant=True)
    return Pod(node, template, filled, folder, places, capture)


def launch(machine: Machine, pod: Pod, pod_name: str, now: float) -> None:
    """Start the process. CannotStart when its environment or command cannot be made."""
    pod.ends = deadline(pod.template, now)
    known = _known(machine, pod)
    try:
        own = environment.declared(pod.body, {}, machine.objects, podspec.fields(pod.template, pod_name, machine.namespace))
    except environment.Missing as error:
        raise NeverStarts(str(error)) from None
    chosen = machine.images.find(pod.body.get("image", ""))
    env = environment.base(pod.paths.seen(SCRATCH)) | chosen.env | known
    written = {one["name"] for one in pod.body.get("env") or [] if "value" in one}  # what the template wrote, not what an object holds
    env |= {name: pod.paths.move(value) if name in written else value for name, value in own.items()}
    folders = [f for f in (machine.warm(chosen), chosen.bin) if f]
    env["PATH"] = ":".join([*folders, env.get("PATH", "/usr/local/bin:/usr/bin:/bin")])
    argv = command(pod, pod_name, known | own)
    pod.paths.local(pod.paths.base).mkdir(parents=True, exist_ok=True)
    root = _root(machine, pod, [*chosen.env.values(), *(value for name, value in own.items() if name not in written)])
    machine.keeper.spawn(pod.node["id"], argv, env, pod.paths.base, pod.folder, pod.capture, root)


def _known(machine: Machine, pod: Pod) -> dict[str, str]:
    """What Argo tells every container (argo-data-flow 166)."""
    return {
        "ARGO_CONTAINER_NAME": "main",
        "ARGO_DEADLINE": clock.rfc3339(pod.ends) if pod.ends is not None else "0001-01-01T00:00:00Z",
        "ARGO_INCLUDE_SCRIPT_OUTPUT": "true" if pod.capture else "false",
        "ARGO_NODE_ID": pod.node["id"],
        "ARGO_PROGRESS_FILE": str(pod.folder / "progress"),
        "ARGO_PROGRESS_FILE_TICK_DURATION": "3s",
        "ARGO_PROGRESS_PATCH_TICK_DURATION": "1m0s",
        "ARGO_WORKFLOW_NAME": machine.workflow,
    }


def _root(machine: Machine, pod: Pod, settings: list[str]) -> Layout | None:
    """The file system of an isolated step, in which also the files lie that `settings` of this machine name."""
    if machine.visible is None:
        return None
    root = pod.paths.layout(isolation.named(settings, pod.paths.hidden))
    try:
        isolation.make(root)
    except OSError as error:
        raise CannotStart(f"main: StartError (exit code 128): {error.strerror}: {error.filename}") from None
    return root


def command(pod: Pod, pod_name: str, values: dict[str, str]) -> list[str]:
    """The arguments of the process, `$(NAME)` expanded, declared paths moved. CannotStart when one is too long for the kernel."""
    first = [pod.paths.move(environment.expand(word, values)) for word in pod.body.get("command") or []]
    given = list(pod.body.get("args") or [])
    if "script" in pod.template:
        given.append(_script(pod, pod_name))
    if len(gojson.dumps(given).encode()) > LONGEST_ARGUMENT:
        args = _in_files(pod, given, len(first) - 1)
    else:
        args = [pod.paths.move(environment.expand(word, values)) for word in given]
    argv = [*first, *args]
    if not argv:
        raise CannotStart("main: Error (exit code 64): the container has no command; say which, images are not looked into")
    for word in argv:
        if len(word.encode()) >= LONGEST_ARGUMENT:
            raise CannotStart(f"main: Error (exit code 64): an argument of {len(word.encode())} bytes; at most {LONGEST_ARGUMENT - 1} fit")
    return argv


def _script(pod: Pod, pod_name: str) -> str:
    """Write the script down; its path as its process sees it."""
    file = pod.paths.local(f"{paths.STAGING}/script") if pod.paths.isolated else pod.folder / "script"
    file.parent.mkdir(parents=True, exist_ok=True)
    # A script travels in a variable of the pod, so `$$` and the pod's own names are expanded in it too (argo-control-flow 242).
    file.write_text(pod.paths.move(environment.expand(pod.body["source"], {"ARGO_POD_NAME": pod_name})))
    file.chmod(0o755)
    return f"{paths.STAGING}/script" if pod.paths.isolated else str(file)


def _in_files(pod: Pod, args: list[str], before: int) -> list[str]:
    """Arguments that together are too long for a pod reach it by way of a file: those that are too long for the kernel are named by a file
    of their own, and `$(NAME)` is not expanded (argo-data-flow 232). `before`: how many words precede them."""
    given = []
    for index, word in enumerate(args, before):
        if len(word.encode()) > LONGEST_ARGUMENT:
            path = f"/tmp/argo_arg_{index}.txt"  # noqa: S108 - a path inside the container
            pod.paths.local(path).write_text(word)
            word = f"@{pod.paths.seen(path)}"
        given.append(word)
    return given


def deadline(template: Template, now: float) -> float | None:
    """When a template that begins now is out of time."""
    limits = []
    if template.get("activeDeadlineSeconds") is not None:
        limits.append(float(template["activeDeadlineSeconds"]))
    if template.get("timeout"):
        limits.append(durations.parse(str(template["timeout"])))
    return now + min(limits) if limits else None
