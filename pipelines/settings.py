"""The only constants of the pipelines: images, accounts, sizes, times, names."""

VERSION = "0.1.0"
IMAGES = {kind: f"fleece/{kind}:{VERSION}" for kind in ("core", "train", "evaluate")}

# What a step asks for; a limit on memory, none on CPU: throttling only makes a short step long.
SIZES: dict[str, tuple[str, str]] = {"small": ("100m", "512Mi"), "medium": ("500m", "2Gi"), "large": ("500m", "8Gi")}

SETTINGS = "fleece"  # ConfigMap with the installation's settings, in every namespace that runs steps
LIMITS = "fleece-limits"  # ConfigMap of semaphores: how many gangs of a tenant train at the same time
RELEASE_NAMESPACE = "{{workflow.namespace}}-release"  # where people start nothing but `approve`, `deploy` and `rollback`

# What an installation gives its steps as files, by object name and mount path.
POLICIES = ("fleece-policies", "/etc/fleece/policies")
ENVIRONMENTS = ("fleece-environments", "/etc/fleece/environments")
SIGNING = ("fleece-signing", "/etc/fleece/signing")  # Secret, release namespace only
GIT = ("fleece-git", "/etc/fleece/git")  # Secret; a repository that everybody may read needs none

# Service accounts, one a kind of right (argocd/platform/fleece).
STEPS_ACCOUNT = "steps"  # writes its own task result, nothing else
LAUNCHER = "launcher"  # JobSets get, create, patch; Jobs get, and create in a dry run; release Workflows get, create, patch
OBSERVER = "observer"  # JobSets get, Events list
CLEANER = "cleaner"  # JobSets delete
REAPER = "reaper"  # JobSets list, delete; Workflows list
RELEASER = "releaser"  # as `steps`, in the release namespace
RECORDER = "recorder"  # Workflows get in the tenant's namespace: who submitted a run
WATCHER = "watcher"  # as `releaser`: of `rollout` alone, so that it can be let read Rollouts where there are any
CALLERS = (OBSERVER, REAPER, RECORDER)  # their steps call the Kubernetes API, so main has a token

TRAINING_DEADLINE_SECONDS = 24 * 3600
STEP_DEADLINE_SECONDS = 6 * 3600
KEEP_SECONDS = 7 * 24 * 3600  # a finished Workflow, and with it its JobSet

RETRAIN_SCHEDULE = "0 3 * * 1"
REAPER_SCHEDULE = "*/2 * * * *"
