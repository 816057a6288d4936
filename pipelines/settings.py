"""The only constants of the pipelines: images, accounts, sizes, times, names."""

VERSION = "0.1.0"
IMAGES = {kind: f"fleece/{kind}:{VERSION}" for kind in ("core", "train", "evaluate")}

# What a step asks for; a limit on memory, none on CPU: throttling only makes a short step long.
SIZES: dict[str, tuple[str, str]] = {"small": ("100m", "512Mi"), "medium": ("500m", "2Gi"), "large": ("1", "8Gi")}

SETTINGS = "fleece"  # ConfigMap with the installation's settings, in every namespace that runs steps
RELEASE_NAMESPACE = "{{workflow.namespace}}-release"  # where engineers start nothing but `approve`
SIGNING = "/etc/fleece/signing"  # mount path of the Secret `fleece-signing`, in steps that sign

# Service accounts, one a kind of right (docs: argocd/platform).
STEPS_ACCOUNT = "steps"  # writes its own task result, nothing else
LAUNCHER = "launcher"  # JobSets get, create, patch; Jobs get, and create in a dry run; release Workflows get, create, patch
CLEANER = "cleaner"  # JobSets delete
RELEASER = "releaser"  # steps of the release namespace

TRAINING_DEADLINE_SECONDS = 24 * 3600
STEP_DEADLINE_SECONDS = 6 * 3600
KEEP_SECONDS = 7 * 24 * 3600  # a finished Workflow, and with it its JobSet

RETRAIN_SCHEDULE = "0 3 * * 1"
