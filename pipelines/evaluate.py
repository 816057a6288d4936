"""`evaluate`: measure any model of the store on a run file's held-out items."""

from pipelines.blocks import pipeline
from pipelines.parameters import arguments, given
from pipelines.steps import evaluate, plan, prepare, validate

with pipeline(
    "evaluate",
    parameters=[*arguments("plan", "config", "config_repo", "config_ref"), *arguments("evaluate", "model")],
    about="Measure a model on the items that a run file holds out. Nothing is trained, registered or released.",
) as template:
    planned = plan(
        config_repo=given("config_repo"),
        config_ref=given("config_ref"),
        config=given("config"),
        promote="never",
        tenant="{{workflow.namespace}}",
        labels="{{workflow.labels.json}}",
        workflow="{{workflow.name}}",
        uid="{{workflow.uid}}",
    )
    validated = validate(run=planned.run, depends=planned.name)
    prepared = prepare(run=planned.run, dataset=validated.dataset, depends=validated.name)
    evaluate(run=planned.run, prepared=prepared.prepared, model=given("model"), role="candidate", depends=prepared.name)
