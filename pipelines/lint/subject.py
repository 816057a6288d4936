"""The document under a rule's eyes."""

from dataclasses import dataclass
from typing import Any

from pipelines.lint.findings import Path

Template = dict[str, Any]


@dataclass(frozen=True)
class Subject:
    """A Workflow, WorkflowTemplate, ClusterWorkflowTemplate or CronWorkflow. `at`: the path of the workflow's spec in it."""

    document: dict[str, Any]
    at: Path

    @property
    def kind(self) -> str:
        return str(self.document["kind"])

    @property
    def spec(self) -> dict[str, Any]:
        """The workflow's spec."""
        found: Any = self.document
        for key in self.at:
            found = found[key]
        return dict(found)
