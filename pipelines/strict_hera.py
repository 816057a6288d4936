"""Hera, strict: its models drop an unknown field silently, a lock included; these refuse it. The pipelines take Hera from here only."""

from hera.shared._pydantic import APIBaseModel

APIBaseModel.model_config["extra"] = "forbid"  # before hera.workflows makes its models

from hera.workflows import (  # noqa: E402
    DAG,
    ConfigMapVolume,
    Container,
    CronWorkflow,
    EmptyDirVolume,
    Parameter,
    Resource,
    SecretVolume,
    Step,
    Steps,
    Task,
    WorkflowTemplate,
)
from hera.workflows import models as m  # noqa: E402
from hera.workflows.protocol import Templatable  # noqa: E402

__all__ = [
    "DAG", "ConfigMapVolume", "Container", "CronWorkflow", "EmptyDirVolume", "Parameter", "Resource", "SecretVolume", "Step", "Steps",
    "Task", "Templatable", "WorkflowTemplate", "m",
]  # fmt: skip
