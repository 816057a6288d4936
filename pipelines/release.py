"""`release`: evidence verified again, then alias, git commit, live endpoint, one question. finetune starts it where policy allows."""

from pipelines import settings
from pipelines.blocks import pipeline
from pipelines.parameters import arguments, given
from pipelines.steps import let_out, verify

with pipeline(
    "release",
    parameters=arguments("verify", "request"),
    account=settings.RELEASER,
    about="Let out what a release request names. Started by finetune; a person starts `approve` instead.",
) as template:
    verified = verify(request=given("request"))
    let_out(
        run=verified.run,
        attestation=verified.attestation,
        model_id=verified.model_id,
        environment=verified.environment,
        depends=f"{verified.name}.Succeeded",
    )
