"""What a platform engineer gives to `fleece install`, checked before anything is written."""

import re
import tempfile
from pathlib import Path

from pipelines import machine
from pipelines.cluster import platform
from pipelines.local.faults import Refused
from pipelines.settings import ENVIRONMENTS, IMAGES, POLICIES
from steps import environments, findings, policy, strict_yaml
from steps.faults import Fault

CONFIGS = machine.PROJECT / "configs"
_REPOSITORY = r"(https?|ssh|git)://[^\s@]+|(ssh://)?[\w.-]+@[\w.-]+[:/]\S+"
REQUIRED = {
    "FLEECE_STORE": (r"gs://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/(?!\.\.?(/|$))[\w.-]+)*/?", "gs://bucket/folder, the tenant's own"),
    "MLFLOW_TRACKING_URI": (r"https?://[^\s@]+", "http(s)://… of the MLflow server"),
    "FLEECE_CONFIG_REPO": (_REPOSITORY, "the git repository with the run files"),
    "FLEECE_GITOPS": (_REPOSITORY, "the git repository that releases are pushed to"),
}
OPTIONAL = {
    "FLEECE_TRAIN_IMAGE": (r"\S+[:@]\S+", "an image with tag or digest"),
    "GOOGLE_CLOUD_PROJECT": (r"[a-z][a-z0-9-]*", "a project id"),
    "STORAGE_EMULATOR_HOST": (r"https?://[^\s@]+", "http://… of a Cloud Storage emulator"),
    "HTTP_PROXY": (r"https?://[^\s@]+", "http://…"),
    "HTTPS_PROXY": (r"https?://[^\s@]+", "http://…"),
    "NO_PROXY": (r"\S+", "names, divided by commas"),
}
_TENANT = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
LONGEST_TENANT = 63 - len("-release")


def tenant(name: str) -> str:
    """Raises Refused unless both of the tenant's namespaces can have this name."""
    if not _TENANT.fullmatch(name) or len(name) > LONGEST_TENANT or name.endswith("-release"):
        raise Refused(
            f"tenant {name[:80]!r} cannot name its namespaces; give at most {LONGEST_TENANT} lower-case letters, digits and '-', "
            "beginning with a letter, not ending in -release"
        )
    return name


def settings(tenant: str, registry: str, file: Path) -> dict[str, str]:
    """The ConfigMap `fleece`: what the file says and what follows from the installation itself.

    Raises Refused for a setting that is unknown, missing or impossible.
    """
    said, ours = _mapping(file), own(tenant, registry)
    known = REQUIRED | OPTIONAL
    if taken := sorted((said.keys() - known.keys()) & ours.keys()):
        raise Refused(f"{file.name}: {', '.join(taken)} is set by the installation itself; take it out")
    if unknown := sorted(said.keys() - known.keys()):
        raise Refused(f"{file.name}: unknown setting {', '.join(unknown)}; known are {', '.join(known)}")
    if missing := [f"{key} ({REQUIRED[key][1]})" for key in REQUIRED if key not in said]:
        raise Refused(f"{file.name} misses {', '.join(missing)}")
    for key, value in said.items():
        if not re.fullmatch(known[key][0], value):
            shown = re.sub(r"//[^/]*@", "//…@", value)[:80]
            raise Refused(f"{file.name}: {key} is {shown!r}; expected is {known[key][1]}, without a password")
    return ours | said


def own(tenant: str, registry: str) -> dict[str, str]:
    """What the installation sets itself."""
    return {
        "FLEECE_TENANT": tenant,
        "FLEECE_POLICIES": POLICIES[1],
        "FLEECE_VERIFY_KEY": f"{POLICIES[1]}/key.pub.pem",
        "FLEECE_ENVIRONMENTS": ENVIRONMENTS[1],
        "FLEECE_TRAIN_IMAGE": platform.image(IMAGES["train"], registry),
        "GIT_ASKPASS": "/usr/local/bin/git-askpass",  # in the core image; reads the Secret `fleece-git`
    } | machine.libraries(Path("/tmp"))  # noqa: S108 - the pod's own: its root is read-only


def policies(folder: Path) -> dict[str, str]:
    """risk.yaml, approvers.yaml and data.yaml. Raises Refused for one that is missing or wrong."""
    try:
        policy.read_policy(folder)
        findings.parse_policy((folder / "data.yaml").read_bytes(), "data.yaml")
    except FileNotFoundError as error:
        raise Refused(f"there is no {error.filename}; --policies names a folder with risk.yaml, approvers.yaml and data.yaml") from None
    except Fault as fault:
        raise Refused(str(fault)) from None
    return _files(folder, ["risk.yaml", "approvers.yaml", "data.yaml"])


def approvers(folder: Path, tenant: str) -> list[str]:
    """Who may approve for this tenant."""
    return policy.read_policy(folder).approvers.tenants.get(tenant, [])


def targets(folder: Path) -> dict[str, str]:
    """The environments that a cluster can release to: a `local` one is of a single machine. Raises Refused for a wrong file."""
    try:
        found = [environments.read(path.stem, folder) for path in sorted(folder.glob("*.yaml"))]
    except Fault as fault:
        raise Refused(str(fault)) from None
    names = [f"{one.name}.yaml" for one in found if one.reconciler != "local"]
    if not names:
        raise Refused(f"{folder} holds no environment for a cluster; give a folder with one file an environment (reconciler none)")
    return _files(folder, names)


def keypair(pem: str | None) -> platform.Keys:
    """The key and its public part; a new pair without one. Raises Refused for what is no P-256 key."""
    from steps import signing

    with tempfile.TemporaryDirectory() as folder:
        if pem is not None:
            (Path(folder) / "key.pem").touch(mode=0o600)
            (Path(folder) / "key.pem").write_text(pem)
        try:
            signing.keypair(Path(folder))
        except Fault as fault:
            raise Refused(f"the signing key: {fault}") from None
        return platform.Keys(*((Path(folder) / name).read_text() for name in ("key.pem", "key.pub.pem")))


def _mapping(file: Path) -> dict[str, str]:
    try:
        content = strict_yaml.load(file.read_bytes(), file.name)
    except OSError as error:
        raise Refused(f"--settings {file}: {error.strerror}") from None
    except Fault as fault:
        raise Refused(str(fault)) from None
    if wrong := [key for key, value in content.items() if not isinstance(value, str)]:
        raise Refused(f"{file.name}: {wrong[0]} is no text; put it in quotes")
    return content


def _files(folder: Path, names: list[str]) -> dict[str, str]:
    return {name: (folder / name).read_text() for name in names}
