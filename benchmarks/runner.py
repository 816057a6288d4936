"""`make bench-runner`: CPU seconds of a 5-step no-op WorkflowTemplate on the local runner, and of compiling every template.

A process per step, logs and state on disk. Medians of five runs, user and system time with all children, beside the floor: starting the
five interpreters and no runner. The same five steps cost Metaflow 2.19 1.94 and kfp.local 2.17 3.23 CPU s.
"""

import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

TARGET = 1.0  # CPU s
COMPILE_TARGET = 2.0  # CPU s
RUNS = 5
STEPS = 5
ROOT = Path(__file__).parent.parent

TEMPLATE = """\
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: no-op}
spec:
  entrypoint: main
  templates:
  - name: main
    dag:
      tasks:
      - {name: a, template: pass}
      - {name: b, template: pass, depends: a}
      - {name: c, template: pass, depends: b}
      - {name: d, template: pass, depends: c}
      - {name: e, template: pass, depends: d}
  - name: pass
    container: {image: python, command: [PYTHON, -c, pass]}
"""


def cpu_seconds(work: Callable[[], None]) -> float:
    """User and system time of the children that `work` starts and waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    work()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def run(file: Path) -> None:
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-m", "pipelines.local", str(file)], cwd=file.parent, env=env, check=True, capture_output=True)


def floor() -> None:
    for _ in range(STEPS):
        subprocess.run([sys.executable, "-c", "pass"], check=True)


def compile_all() -> None:
    subprocess.run([sys.executable, "-m", "pipelines.cli", "compile", "--check"], cwd=ROOT, check=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "no-op.yaml"
        file.write_text(TEMPLATE.replace("PYTHON", sys.executable))
        run(file)  # compiles the modules
        median = statistics.median(cpu_seconds(lambda: run(file)) for _ in range(RUNS))
    least = statistics.median(cpu_seconds(floor) for _ in range(RUNS))
    print(f"5 no-op steps: {median:.2f} CPU s (the five interpreters alone: {least:.2f}; target {TARGET}: {_verdict(median, TARGET)})")
    compiling = statistics.median(cpu_seconds(compile_all) for _ in range(RUNS))
    print(f"compile of all templates: {compiling:.2f} CPU s (target {COMPILE_TARGET}: {_verdict(compiling, COMPILE_TARGET)})")


def _verdict(seconds: float, target: float) -> str:
    return "reached" if seconds <= target else "missed"


if __name__ == "__main__":
    main()
