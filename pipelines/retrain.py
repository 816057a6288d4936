"""`retrain`: finetune by schedule. Unchanged data and config end it in seconds; it never lets anything out by itself."""

from pipelines import settings
from pipelines.strict_hera import CronWorkflow, Parameter, m

template = CronWorkflow(
    name="retrain",
    schedules=[settings.RETRAIN_SCHEDULE],
    timezone="Etc/UTC",
    concurrency_policy="Forbid",
    starting_deadline_seconds=3600,
    successful_jobs_history_limit=4,
    failed_jobs_history_limit=4,
    workflow_template_ref=m.WorkflowTemplateRef(name="finetune"),
    arguments=[Parameter(name="promote", value="ask"), Parameter(name="unchanged", value="stop")],
    labels={"app.kubernetes.io/part-of": "fleece"},
    annotations={"workflows.argoproj.io/description": "Fine-tune again every week if data or configuration changed."},
)
