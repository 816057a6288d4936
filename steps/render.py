"""Render the JobSet that trains a run: run, machines and image become one line of JSON; free text never enters it."""

import os

from steps import store
from steps.contracts import RenderIn, RenderOut, TrainIn
from steps.jobset_manifest import Gang, child, jobset, one_line
from steps.presets import MACHINES
from steps.runfile import read_plan
from steps.runtime import flag, main

IMAGE = "fleece/train:0.1.0"  # an installation with its own registry names its image in FLEECE_TRAIN_IMAGE


def render(given: RenderIn) -> RenderOut:
    """The JobSet and its child Job; `needed` is no when the run's weights are committed already."""
    plan = read_plan(given.run)
    entry = TrainIn(run=given.run, prepared=given.prepared, base=given.base, scratch="/scratch")
    made = jobset(
        Gang(
            name=given.jobset,
            machines=MACHINES[given.preset],
            image=os.environ.get("FLEECE_TRAIN_IMAGE", "") or IMAGE,
            command=command(entry),
            labels={
                "workflows.argoproj.io/workflow": given.workflow,  # `argo logs` finds the pods by it
                "fleece.dev/run-id": plan.run_id,
                "fleece.dev/tenant": plan.runfile.tenant,
            },
        )
    )
    trained = store.committed(store.join(given.run, "trained"))
    return RenderOut(needed="no" if trained else "yes", manifest=one_line(made), job=one_line(child(made)))


def command(entry: TrainIn) -> list[str]:
    """The entrypoint, one token a value."""
    flags = [f"--{flag(name)}={getattr(entry, name)}" for name in TrainIn.model_fields]
    return ["python", "-m", "steps.train", *flags]


if __name__ == "__main__":
    main("render", render)
