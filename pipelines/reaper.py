"""`reaper`: `reap` by schedule. A terminated run's gang is gone within five minutes: schedule, start and the ranks' grace together."""

from pipelines import settings
from pipelines.strict_hera import CronWorkflow, m

template = CronWorkflow(
    name="reaper",
    schedules=[settings.REAPER_SCHEDULE],
    timezone="Etc/UTC",
    concurrency_policy="Forbid",
    successful_jobs_history_limit=1,
    failed_jobs_history_limit=3,
    workflow_template_ref=m.WorkflowTemplateRef(name="reap"),
    labels={"app.kubernetes.io/part-of": "fleece"},
    annotations={"workflows.argoproj.io/description": "End the trainings that nobody waits for any more, every two minutes."},
)
