"""`fleece install`: what a cluster and a tenant need. Done again, it changes what differs and nothing else."""

import base64
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pipelines.local.faults import Refused

if TYPE_CHECKING:
    from pipelines.cluster.api import Api, Object
    from pipelines.cluster.platform import Keys, Tenant

FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)
FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_BINDING = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings/fleece-workflows"


@click.command()
@click.option("--tenant", "name", metavar="T", help="The tenant: its namespaces are T and T-release.")
@click.option("--settings", type=FILE, help="YAML map of settings: FLEECE_STORE, MLFLOW_TRACKING_URI, FLEECE_CONFIG_REPO, FLEECE_GITOPS, …")
@click.option("--policies", type=FOLDER, help="Folder with risk.yaml, approvers.yaml, data.yaml; by default the project's.")
@click.option("--environments", type=FOLDER, help="Folder with one file an environment; by default the project's.")
@click.option("--signing-key", type=FILE, help="P-256 key in PEM; by default the one that is there, else a new one.")
@click.option("--registry", default="fleece", show_default=True, help="What the names of our images begin with.")
@click.option("--gangs", type=click.IntRange(1), default=1, show_default=True, help="Trainings of the tenant at the same time.")
@click.option("--controller", help="User name of Argo's controller; by default the one there, else system:serviceaccount:argo:argo.")
@click.option("--cluster-only", is_flag=True, help="Only the admission policies and the controller's settings.")
@click.option("--tenant-only", is_flag=True, help="Only the tenant's namespaces.")
@click.option("--dry-run", is_flag=True, help="Ask the API server what it would do; change nothing.")
@click.option("--context", default="", help="Context of the kubeconfig.")
def install(name: str | None, settings: Path | None, signing_key: Path | None, controller: str | None, cluster_only: bool,
            tenant_only: bool, dry_run: bool, context: str, **own: Any) -> None:  # fmt: skip
    """Put policies, accounts, rights, settings and templates onto the cluster of the kubeconfig, for one tenant."""
    from pipelines.cluster import api, platform
    from pipelines.cluster.apply import apply

    if cluster_only and tenant_only:
        raise click.UsageError("--cluster-only and --tenant-only leave nothing to do")
    if not cluster_only and not (name and settings):
        raise click.UsageError("give --tenant and --settings, or --cluster-only")
    given = _given(name, settings, **own) if name and settings and not cluster_only else None
    server = api.connect(context)
    objects: list[Object] = []
    if not tenant_only:
        objects += platform.cluster(_controllers(server, controller))
    elif not _policies_are_there(server):
        raise Refused("there are no policies of Fleece on this cluster, and a tenant without them is open; first use --cluster-only")
    if given:
        _unclaimed(server, given.name)
        objects += platform.tenant(given, _keys(server, given.name, signing_key))
    for line in apply(server, objects, dry_run):
        click.echo(line)


def _controllers(server: "Api", given: str | None) -> str:
    """The user names of the workflow controllers: as given, else as installed, else as Argo's own manifests name the one."""
    from pipelines.cluster import platform
    from pipelines.cluster.apply import found

    binding = found(server, _BINDING)
    home = binding["spec"]["paramRef"]["namespace"] if binding else "argo"
    known = found(server, f"/api/v1/namespaces/{home}/configmaps/fleece-admission")
    names = str(given or (known["data"]["controllers"] if known else platform.CONTROLLER))
    if wrong := [one for one in names.split(",") if one.count(":") != 3 or not one.startswith("system:serviceaccount:")]:
        raise Refused(f"--controller {wrong[0][:80]!r} is no service account; write system:serviceaccount:<namespace>:<name>")
    config = found(server, f"/api/v1/namespaces/{platform.home(names)}/configmaps/workflow-controller-configmap")
    if "config" in ((config or {}).get("data") or {}):
        # Another key beside it stops the controller: https://github.com/argoproj/argo-workflows/blob/v4.1.2/config/controller.go
        raise Refused("workflow-controller-configmap has one key `config` with everything; give each setting a key of its own first")
    return names


def _policies_are_there(server: "Api") -> bool:
    """True also where the caller may not look."""
    from pipelines.cluster.apply import found
    from pipelines.cluster.faults import NotAllowed

    try:
        return found(server, _BINDING) is not None
    except NotAllowed:
        return True


def _unclaimed(server: "Api", name: str) -> None:
    """Refused when a namespace of this name is somebody else's: Pod Security and our policies would stop what runs there."""
    from pipelines.cluster.apply import found

    for namespace in (name, f"{name}-release"):
        there = found(server, f"/api/v1/namespaces/{namespace}")
        if there and there["metadata"].get("labels", {}).get("fleece.dev/tenant") != name:
            raise Refused(
                f"there is a namespace {namespace} that is not of tenant {name}; label it fleece.dev/tenant={name} if it may be taken"
            )


def _given(name: str, settings: Path, *, policies: Path | None, environments: Path | None, registry: str, gangs: int) -> "Tenant":
    """What the files say, checked. What policy keeps for a person waits for ever where nobody may approve, so that is said."""
    from pipelines.cluster import installation, platform

    installation.tenant(name)
    registry = registry.rstrip("/")
    rules = policies or installation.CONFIGS / "policies"
    made = platform.Tenant(
        name=name,
        settings=installation.settings(name, registry, settings),
        policies=installation.policies(rules),
        environments=installation.targets(environments or installation.CONFIGS / "environments"),
        registry=registry,
        gangs=gangs,
    )
    if not installation.approvers(rules, name):
        click.echo(f"note: approvers.yaml names nobody for {name}; what policy keeps for a person cannot be released", err=True)
    return made


def _keys(server: "Api", tenant: str, given: Path | None) -> "Keys":
    """The key that is given, else the one that the tenant signs with already, else a new one."""
    from pipelines.cluster import installation
    from pipelines.cluster.apply import found

    if given:
        return installation.keypair(given.read_text())
    secret = found(server, f"/api/v1/namespaces/{tenant}-release/secrets/fleece-signing")
    encoded = ((secret or {}).get("data") or {}).get("key.pem")
    return installation.keypair(base64.b64decode(encoded).decode() if encoded else None)


COMMANDS = [install]
