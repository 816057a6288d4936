"""Who may what on a cluster: least rights, as data. The manifests are held to it, and a real API server is asked."""

OWN = "workflowtaskresults: create patch"  # what Argo's executor needs for a step's outputs

# Who may what, and nothing else: account or group → resource: verbs. `release:` and `tenant:` are rights in the other room.
RIGHTS = {
    "tenant/default": set(),
    "tenant/trainer": set(),
    "tenant/steps": {OWN},
    "tenant/observer": {OWN, "jobsets: get", "events: list"},
    "tenant/launcher": {OWN, "jobsets: create get patch", "jobs: create get", "release: workflows: create get patch"},
    "tenant/cleaner": {OWN, "jobsets: delete"},
    "tenant/reaper": {OWN, "jobsets: delete list", "workflows: list"},
    "release/default": set(),
    "release/releaser": {OWN},
    "release/recorder": {OWN, "tenant: workflows: get"},
    "release/watcher": {OWN},
    "tenant/tenant-engineers": {
        "workflows: create get list patch update watch", "workflowtemplates: get list watch", "cronworkflows: get list watch",
        "jobsets: get list watch", "pods: get list watch", "events: get list watch", "pods/log: get",
        "release: workflows: get list watch", "release: workflowtemplates: get list watch", "release: pods: get list watch",
        "release: events: get list watch", "release: pods/log: get",
    },
    "release/tenant-approvers": {
        "workflows: create get list watch", "workflowtemplates: get list watch", "pods: get list watch", "events: get list watch",
        "pods/log: get",
        "tenant: workflows: get list watch", "tenant: workflowtemplates: get list watch", "tenant: cronworkflows: get list watch",
        "tenant: jobsets: get list watch", "tenant: pods: get list watch", "tenant: events: get list watch", "tenant: pods/log: get",
    },
}  # fmt: skip
NO_TOKEN = {"tenant/default", "tenant/trainer", "tenant/steps", "release/default", "release/releaser", "release/watcher"}
