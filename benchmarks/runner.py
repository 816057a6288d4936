"""`make bench-runner`: CPU seconds and memory of the local runner on steps that do nothing, and of compiling every template.

A process per step, logs and state on disk. Medians, user and system time with all children, of which the steps' own is the floor. The
same five steps cost Metaflow 2.19 1.94 and kfp.local 2.17 3.23 CPU s. Ends with 1 when a target is missed.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

RUNS = 5
ROOT = Path(__file__).parent.parent
STEPS = [sys.executable, "-c", "pass"]
TASKS = 200


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chain, cached, wide = folder / "chain.yaml", folder / "cached.yaml", folder / "wide.yaml"
        write(chain, [[i - 1] if i else [] for i in range(5)], STEPS)
        write(cached, [[i - 1] if i else [] for i in range(5)], STEPS, memoize={"key": "k-{{inputs.parameters.i}}", "cache": CACHE})
        write(wide, [[i // 2] if i else [] for i in range(TASKS)], ["/bin/true"])
        five, _ = median(lambda: run(chain), RUNS)  # the first ones compile the modules and fill the cache
        again, _ = median(lambda: run(cached), RUNS)
        many, memory = median(lambda: run(wide, "--parallelism=2"), 1)
    floor, _ = median(lambda: [subprocess.run(STEPS, check=True) for _ in range(5)], RUNS)
    true, _ = median(lambda: [subprocess.run(["/bin/true"], check=True) for _ in range(TASKS)], 1)
    compiling, _ = median(lambda: subprocess.run([sys.executable, "-m", "pipelines.cli", "compile", "--check"], cwd=ROOT, check=True), RUNS)
    reached = [
        verdict("5 no-op steps", five, 1.0, f"CPU s (the five interpreters alone: {floor:.2f})"),
        verdict("5 cached steps", again, 0.3, "CPU s"),
        verdict(f"a task of a {TASKS}-task DAG", many / TASKS, 0.06, f"CPU s (/bin/true alone: {true / TASKS:.4f})"),
        verdict("the largest process of it", memory, 60, "MiB"),
        verdict("compile of all templates", compiling, 2.0, "CPU s"),
    ]
    sys.exit(not all(reached))


CACHE = {"configMap": {"name": "cache"}}


def write(file: Path, before: list[list[int]], command: list[str], **more: Any) -> None:
    """A WorkflowTemplate that is a DAG of no-ops; `before`: the tasks that each one waits for."""
    tasks: list[dict[str, Any]] = []
    for i, those in enumerate(before):
        arguments = {"parameters": [{"name": "i", "value": str(i)}]}
        tasks.append({"name": f"t{i}", "template": "pass", "arguments": arguments, "dependencies": [f"t{j}" for j in those]})
    leaf = {"name": "pass", "inputs": {"parameters": [{"name": "i"}]}, "container": {"image": "x", "command": command}, **more}
    spec = {"entrypoint": "main", "templates": [{"name": "main", "dag": {"tasks": tasks}}, leaf]}
    head = {"apiVersion": "argoproj.io/v1alpha1", "kind": "WorkflowTemplate", "metadata": {"name": file.stem}}
    file.write_text(yaml.safe_dump({**head, "spec": spec}))


def run(file: Path, *options: str) -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(
        [sys.executable, "-m", "pipelines.local", str(file), *options], cwd=file.parent, env=env, check=True, capture_output=True
    )


def median(work: Callable[[], object], runs: int) -> tuple[float, float]:
    """CPU seconds of the children that `work` starts and waits for, after a first time that does not count, and MiB of the largest yet."""
    work()
    seconds = []
    for _ in range(runs):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        work()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        seconds.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return statistics.median(seconds), after.ru_maxrss / (1024 if sys.platform == "linux" else 1 << 20)


def verdict(what: str, found: float, target: float, unit: str) -> bool:
    print(f"{what}: {found:.3g} {unit}, target {target:g}: {'reached' if found <= target else 'missed'}", flush=True)
    return found <= target


if __name__ == "__main__":
    main()
