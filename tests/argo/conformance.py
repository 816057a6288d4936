"""`make conformance ARGO=<checkout of argoproj/argo-workflows>`: its examples on the local runner and under the linter.

Every Workflow, WorkflowTemplate, ClusterWorkflowTemplate and CronWorkflow in `examples/` that has an entrypoint is run, each in a process
and a home of its own, and comes to one of three ends: it ran to the end that its own text describes, it was refused by name before
anything ran, or something is wrong. The templates, ConfigMaps and Secrets of all examples are there from the start, and what their
comments tell people to make first (MADE, STORED); a person resumes what waits for one. Images stand for this machine's programs if they
are in IMAGES; a workflow with any other counts as refused.

This lies beside the recorded workflows, for it is a test of the same thing; it needs a checkout, so it is no part of `make test`.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import yaml

from pipelines.local import control, documents, images, inbox, load, run
from pipelines.local.clock import SkippingClock
from pipelines.local.faults import Refused
from pipelines.local.objects import Objects

FEWEST = 80  # documents that must run to their end
PATIENCE = 400  # seconds for one document
TABLE = """
argoproj/argosay: {bin: ., workdir: /, entrypoint: [argosay]}
docker/whalesay: {bin: ., workdir: /}
alpine: {bin: ., workdir: /}
busybox: {bin: ., workdir: /}
debian: {workdir: /}
python: {workdir: /}
ubuntu: {workdir: /}
"""
IMAGES = frozenset(yaml.safe_load(TABLE))
FAILS = {  # what their text says
    **dict.fromkeys(("exit-handlers.yaml", "loops-arbitrary-sequential-steps.yaml"), "a step fails on purpose"),
    **dict.fromkeys(("pod-gc-strategy.yaml", "pod-gc-strategy-with-label-selector.yaml"), "a step fails on purpose"),
    **dict.fromkeys(("dag-continue-on-fail.yaml", "dag-disable-failFast.yaml"), "a task fails on purpose"),
    **dict.fromkeys(("dag-task-level-timeout.yaml", "step-level-timeout.yaml", "timeouts-step.yaml"), "a step sleeps past its timeout"),
    "k8s-resource-log-selector.yaml": "no CustomResourceDefinition TFJob is installed",
}
CHANCE = {  # they draw lots; either end is right
    *("resubmit.yaml", "retry-conditional.yaml", "retry-with-steps.yaml", "template-defaults.yaml", "work-avoidance.yaml"),
    *("custom-metrics.yaml", "dag-custom-metrics.yaml"),
    *("retry-container-to-completion.yaml", "retry-backoff.yaml", "retry-container.yaml", "retry-on-error.yaml", "retry-script.yaml"),
}
FAULTY = {  # the linter is right about them
    "fun-with-gifs.yaml": "generateName is indented below labels",
    "k8s-jobs.yaml": "generateName is indented below labels",
    "k8s-patch-json-workflow.yaml": "annotations stands twice",
}
ENDLESS = {"forever.yaml": 5.0}  # seconds after which they are ended
MADE = """
{kind: Secret, metadata: {name: my-secret}, stringData: {mypassword: S00perS3cretPa55word}}
---
{kind: ConfigMap, metadata: {name: my-config}, data: {template: "3", workflow: "3"}}
"""
STORED = ("my-bucket-name/path/in/bucket", "your-bucket-name/input-file/upload.zip")

SHIMS = {
    "argosay": """#!/bin/sh
# github.com/argoproj/argosay v2
case "$1" in
  "") echo hello argo;;
  echo) if [ -n "$3" ]; then mkdir -p "$(dirname "$3")"; printf %s "$2" > "$3"; else echo "${2:-hello argo}"; fi;;
  cat) shift; cat "$@";;
  sleep) sleep "${2%s}";;
  exit) exit "${2:-0}";;
  *) echo "argosay: $1?" >&2; exit 64;;
esac
""",
    "cowsay": '#!/bin/sh\nprintf " %s\\n  (oo)\\n" "< $* >"\n',
}


@dataclass(frozen=True)
class Outcome:
    """What became of one document."""

    file: str
    name: str
    how: str
    """`run`, `refused` or `wrong`."""
    words: str
    """The phase; why it was refused; what is wrong."""
    seconds: float = 0.0


def examples(checkout: Path) -> Iterator[tuple[Path, int]]:
    """The documents that can be run: file, and index in it."""
    for file in sorted((checkout / "examples").rglob("*.yaml")):
        for index, document in enumerate(documents.read(file)):
            spec = document.get("spec") or {}
            if document["kind"] in load.KINDS and (document["kind"] in ("Workflow", "CronWorkflow") or spec.get("entrypoint")):
                yield file, index


CLOCK = SkippingClock()
LATER = 7200.0  # seconds until a person comes; no pause in the examples is longer

# --- one document, in a process of its own -------------------------------------------------------------------------------------


class Person(inbox.Inbox):
    """Resumes what waits for a person; where an output is wanted, the first one that is allowed."""

    found: Mapping[str, Any] = MappingProxyType({"status": {"nodes": {}}})
    due: float | None = None
    """When the person comes."""

    def waiting(self) -> list[dict[str, Any]]:
        return [n for n in self.found["status"]["nodes"].values() if n["type"] == "Suspend" and n["phase"] == "Running"]

    def next_time(self) -> float | None:
        """When the person comes, once somebody waits."""
        self.due = (self.due or CLOCK.now() + LATER) if self.waiting() else None
        return self.due

    def take(self, found: dict[str, Any]) -> Iterator[inbox.Order]:
        self.found = found
        if self.due is None or self.due > CLOCK.now():
            return
        waiting = self.waiting()
        self.due = None
        for node in waiting:
            wanted = [p for p in (node.get("outputs") or {}).get("parameters") or [] if "default" not in (p.get("valueFrom") or {})]
            if wanted:
                values = {p["name"]: (p.get("enum") or ["YES"])[0] for p in wanted}
                yield inbox.Order("", control.Command("set", f"id={node['id']}", outputs=values))
        yield inbox.Order("", control.Command("resume", by="person"))

    def answer(self, order: inbox.Order, refusal: str) -> None:
        """A refusal shows in what becomes of the run."""


def one(checkout: Path, file: Path, index: int) -> Outcome:
    """Run a document; what became of it."""
    document = documents.read(file)[index]
    where, name = str(file.relative_to(checkout / "examples")), str((document.get("metadata") or {}).get("name", "-"))
    with tempfile.TemporaryDirectory(prefix="conformance-") as folder:
        began = time.monotonic()
        try:
            how, words = _ended(where, run.run(_alone(Path(folder), file, index), {}, **_place(Path(folder), checkout, file)))
        except Refused as refusal:
            how, words = "refused", str(refusal).replace(folder, "").replace(str(file.parent), "")
        except Exception as error:  # whatever it is, it is what we look for
            how, words = "wrong", f"{type(error).__name__}: {error}"
        return Outcome(where, name, how, words, round(time.monotonic() - began, 1))


def _alone(folder: Path, file: Path, index: int) -> str:
    """A file with the document last, and with no other one that would be run instead."""
    found = documents.read(file)
    others = [d for i, d in enumerate(found) if i != index and d["kind"] in ("WorkflowTemplate", "ClusterWorkflowTemplate")]
    foreign = sorted(set(_images(found[index])) - IMAGES)
    if foreign:
        raise Refused(f"image {foreign[0]} is not on this machine")
    path = folder / "example.yaml"
    text = yaml.safe_dump_all([*others, found[index]], sort_keys=False)
    path.write_text(text.replace("- /argosay", "- argosay"))  # that image has it in its root folder
    return str(path)


def _images(value: Any) -> Iterator[str]:
    """Every image, without tag; those that a tag names are taken as they come."""
    if isinstance(value, dict):
        if isinstance(value.get("image"), str) and "{{" not in value["image"]:
            yield images.bare(value["image"]).removeprefix("docker.io/").removeprefix("library/")
        for inner in value.values():
            yield from _images(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _images(inner)


def _place(folder: Path, checkout: Path, file: Path) -> run.How:
    for name, text in SHIMS.items():
        shim = folder / "bin" / name
        shim.parent.mkdir(exist_ok=True)
        shim.write_text(text)
        shim.chmod(0o755)
    table = folder / "bin" / "images.yaml"
    (table.parent / "sh").symlink_to(shutil.which("bash") or "/bin/sh")  # busybox's sh knows $RANDOM
    table.write_text(TABLE)
    home, templates = folder / "home", folder / "templates"
    templates.mkdir()
    for name in STORED:
        (home / "artifacts" / name).parent.mkdir(parents=True, exist_ok=True)
        (home / "artifacts" / name).write_text("an object\n")
    found = [d for path in sorted((checkout / "examples").rglob("*.yaml")) for d in documents.read(path)]
    for document in [*documents.parse(MADE, "MADE"), *(d for d in found if d["kind"] in ("ConfigMap", "Secret"))]:
        Objects(home, "default").apply({"apiVersion": "v1"} | document)
    shelf = {(d["kind"], d["metadata"]["name"]): d for d in reversed(found) if d["kind"] in ("WorkflowTemplate", "ClusterWorkflowTemplate")}
    for (kind, name), document in shelf.items():
        (templates / f"{name}.{kind}.yaml").write_text(yaml.safe_dump(document))
    return run.How(home=home, templates=templates, images=table, clock=CLOCK, inbox=Person)


def _ended(where: str, ended: dict[str, Any]) -> tuple[str, str]:
    """Did it end as its text says?"""
    phase, status = ended["status"]["phase"], ended["status"]
    if where in CHANCE or phase == ("Failed" if where in FAILS else "Succeeded"):
        return "run", phase
    messages = [
        f"{n['displayName']}: {n['message']}" for n in status["nodes"].values() if n.get("message") and n["phase"] in ("Failed", "Error")
    ]
    return "wrong", f"{phase}: {status.get('message', '')}; {'; '.join(messages)}"


# --- all of them -----------------------------------------------------------------------------------------------------------------


def conducted(checkout: Path, file: Path, index: int) -> Outcome:
    """The same in a process that can be ended."""
    command = [sys.executable, "-m", "tests.argo.conformance", str(checkout), "--file", str(file), "--index", str(index)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    where = str(file.relative_to(checkout / "examples"))
    try:
        said, complaint = process.communicate(timeout=ENDLESS.get(where, PATIENCE))
    except subprocess.TimeoutExpired:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        if where in ENDLESS:
            return Outcome(where, "", "run", "went on until it was ended", ENDLESS[where])
        return Outcome(where, "", "wrong", f"did not end in {PATIENCE} s", PATIENCE)
    if process.returncode:
        return Outcome(where, "", "wrong", (complaint.strip().splitlines() or ["died"])[-1])
    return Outcome(**json.loads(said.splitlines()[-1]))


def alarms(checkout: Path) -> list[str]:
    """What the linter takes for errors in examples that Argo's own takes as they are."""
    from pipelines.lint import linter

    found = [(str(Path(p.file).relative_to(checkout / "examples")), p) for p in linter.lint([checkout / "examples"]).findings]
    errors = [(file, p) for file, p in found if p.finding.rule.severity == "error" and file not in FAULTY]
    return [f"{file}:{p.line}: {p.finding.rule.id}: {p.what}" for file, p in errors]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--file", type=Path, help="only the documents of this file")
    parser.add_argument("--index", type=int, help="only this one of them, in this process")
    given = parser.parse_args()
    if given.index is not None:
        signal.alarm(int(PATIENCE) + 30)  # should nobody be left to end it
        print(json.dumps(asdict(one(given.checkout, given.file, given.index))))
        return 0
    todo = [(file, index) for file, index in examples(given.checkout) if given.file in (None, file)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        outcomes = list(pool.map(lambda job: conducted(given.checkout, *job), todo))
    for outcome in sorted(outcomes, key=lambda o: (o.how, o.file)):
        print(f"{outcome.how:<8} {outcome.seconds:5.1f} s  {outcome.file} {outcome.name}: {' '.join(outcome.words.split())[:300]}")
    false = alarms(given.checkout) if given.file is None else []
    print(*false, sep="\n")
    tally = Counter(outcome.how for outcome in outcomes)
    print(f"{tally['run']} run, {tally['refused']} refused by name, {tally['wrong']} wrong; {len(false)} false alarms of the linter")
    return int(tally["wrong"] > 0 or tally["run"] < FEWEST or bool(false)) if given.file is None else int(tally["wrong"] > 0)


if __name__ == "__main__":
    sys.exit(main())
