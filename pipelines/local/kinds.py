"""The kinds of objects that this machine's API server knows, and the names that kubectl has for them."""

from dataclasses import dataclass

_ARGO = "argoproj.io/v1alpha1"
_RBAC = "rbac.authorization.k8s.io/v1"


@dataclass(frozen=True)
class Kind:
    """apiVersion, the resource's name, and other words for it."""

    version: str
    plural: str
    words: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        return self.version.rpartition("/")[0]

    @property
    def resource(self) -> str:
        """`jobs.batch`, as the server's messages say."""
        return f"{self.plural}.{self.group}" if self.group else self.plural


KINDS = {
    "ClusterWorkflowTemplate": Kind(_ARGO, "clusterworkflowtemplates", ("cwft", "clusterwftmpl")),
    "ConfigMap": Kind("v1", "configmaps", ("cm",)),
    "CronWorkflow": Kind(_ARGO, "cronworkflows", ("cwf", "cronwf")),
    "Job": Kind("batch/v1", "jobs"),
    "JobSet": Kind("jobset.x-k8s.io/v1alpha2", "jobsets"),
    "PersistentVolumeClaim": Kind("v1", "persistentvolumeclaims", ("pvc",)),
    "Role": Kind(_RBAC, "roles"),
    "RoleBinding": Kind(_RBAC, "rolebindings"),
    "Secret": Kind("v1", "secrets"),
    "Service": Kind("v1", "services", ("svc",)),
    "ServiceAccount": Kind("v1", "serviceaccounts", ("sa",)),
    "Workflow": Kind(_ARGO, "workflows", ("wf",)),
    "WorkflowTemplate": Kind(_ARGO, "workflowtemplates", ("wftmpl",)),
}
CUSTOM = frozenset(kind for kind, known in KINDS.items() if known.group in ("argoproj.io", "jobset.x-k8s.io"))
"""Kinds that a cluster learns from CustomResourceDefinitions; they know no strategic merge."""

NEED_A_CLUSTER = {"CronJob": "batch/v1", "DaemonSet": "apps/v1", "Deployment": "apps/v1", "Pod": "v1", "StatefulSet": "apps/v1"}
"""What would run on a cluster and nobody runs here."""


def of_word(word: str) -> str:
    """The kind behind a word on kubectl's command line (`cm`, `jobs.batch`, `ConfigMap`); empty when there is none."""
    name = word.split(".")[0].lower()
    return next((kind for kind, known in KINDS.items() if name in (kind.lower(), known.plural, *known.words)), "")
