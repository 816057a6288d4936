"""`rollback`: the version before this one, in the registry and in git, live again."""

from pipelines import settings
from pipelines.blocks import pipeline
from pipelines.parameters import arguments, given
from pipelines.steps import go_live, rollback

with pipeline(
    "rollback",
    parameters=arguments("rollback", "model_id", "environment", "reason"),
    account=settings.RELEASER,
    about="Take back the last release of a model: its previous version becomes Production and is served again.",
) as template:
    back = rollback(
        model_id=given("model_id"),
        environment=given("environment"),
        reason=given("reason"),
        labels="{{workflow.labels.json}}",
        uid="{{workflow.uid}}",
    )
    go_live(back.run, back, depends=back.name)
