"""`reap`: end the trainings that nobody waits for any more, in the namespace it runs in."""

from pipelines.blocks import pipeline
from pipelines.steps import reap

with pipeline(
    "reap",
    parameters=[],
    about="Delete the JobSets whose Workflow was terminated, deleted or lost: no exit handler ran for them, and they hold machines.",
) as template:
    reap(namespace="{{workflow.namespace}}")
