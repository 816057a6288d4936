"""`deploy`: a promoted version to another environment."""

from pipelines import settings
from pipelines.blocks import pipeline
from pipelines.parameters import arguments, given
from pipelines.steps import deploy, go_live, select

with pipeline(
    "deploy",
    parameters=[*arguments("select", "model_id", "version"), *arguments("deploy", "environment")],
    account=settings.RELEASER,
    about="Deploy a version that was let out before, by default the one in production, to an environment.",
) as template:
    selected = select(model_id=given("model_id"), version=given("version"))
    deployed = deploy(
        run=selected.run,
        attestation=selected.attestation,
        environment=given("environment"),
        uid="{{workflow.uid}}",
        depends=selected.name,
    )
    go_live(selected.run, deployed, depends=deployed.name)
