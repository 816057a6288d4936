"""Recorded workflows that the runner refuses by name, and those that end otherwise here than on a cluster, each with the reason."""

REFUSED: dict[str, str] = {
    "control/002-empty-steps": "a steps template without steps: a cluster takes the workflow, then ends it as Failed, `invalid spec`",
    "data/002-precedence": "`-p` with a name that the workflow does not declare: Argo takes it and nobody reads it",
    "data/012-enum-outside": "`-p` with a value outside the parameter's enum, which Argo takes",
    "data/162-container-set": "container sets share one pod; a step is one process here",
    "data/165-init-sidecar": "init containers and sidecars share one pod; a step is one process here",
    "data/220-data-template": "data templates list a bucket of a cloud's object store",
}

DIFFERENT: dict[str, str] = {
    "data/061-task-facts": "`hostNodeName` is the name of a cluster's node; here it is `localhost`",
    "data/098-pod-spec-patch": "`hostname` of podSpecPatch: a step has the name of this machine",
    "data/169-readonly-root": "runAsUser and readOnlyRootFilesystem: a step is whoever runs the runner, and may write where they may",
    "data/170-readonly-script": "runAsUser and the image's folder: a step is whoever runs the runner, in the runner's folder",
    "data/253-invalid-utf8": "bytes that are no UTF-8: the API that was recorded from drops them; here the log has them",
}
