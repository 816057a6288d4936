"""`--cluster`, `-n`, `--context`: the options by which a command is told where the runs are. Loads neither place before it is asked for."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pipelines.cluster.runs import Cluster
    from pipelines.runs import Runs

Command = Callable[..., None]


def place(command: Command) -> Command:
    """The command gets `runs`: those of this machine, or of a namespace."""

    @functools.wraps(command)
    def placed(on_cluster: bool, namespace: str, context: str, **given: Any) -> None:
        command(runs=_runs(on_cluster, namespace, context), **given)

    return _where(_which(placed))


def on_cluster(command: Command) -> Command:
    """The same of a command that only a cluster has."""

    @functools.wraps(command)
    def placed(namespace: str, context: str, **given: Any) -> None:
        command(runs=_cluster(namespace, context), **given)

    return _which(placed)


def local(command: Command) -> Command:
    """The same of a command that only this machine has; asked for a cluster it says why."""

    @functools.wraps(command)
    def placed(on_cluster: bool, namespace: str, context: str, **given: Any) -> None:
        if on_cluster or namespace or context:
            raise click.UsageError(_REFUSED)
        command(runs=_runs(False, "", ""), **given)

    return _where(_which(placed, hidden=True), hidden=True)


def _where(command: Command, hidden: bool = False) -> Command:
    words = "On the cluster of the kubeconfig, or on this machine; $FLEECE_CLUSTER=1."
    return click.option("--cluster/--local", "on_cluster", envvar="FLEECE_CLUSTER", default=False, hidden=hidden, help=words)(command)


def _which(command: Command, hidden: bool = False) -> Command:
    context = click.option(
        "--context", default="", metavar="C", hidden=hidden, help="Context of the kubeconfig; by default the current one."
    )
    words = "Namespace of the cluster; by default the context's."
    return click.option("-n", "--namespace", default="", metavar="NS", hidden=hidden, help=words)(context(command))


_REFUSED = (
    "a cluster lets its controller alone write what became of a step, or a verdict could be forged; "
    "`fleece resubmit RUN --cluster` goes on where the run ended and repeats no finished step"
)


def _runs(on_cluster: bool, namespace: str, context: str) -> "Runs":
    if on_cluster:
        return _cluster(namespace, context)
    if namespace or context:
        raise click.UsageError("-n and --context name a place on a cluster; add --cluster")
    from pipelines.runs import here

    return here()


def _cluster(namespace: str, context: str) -> "Cluster":
    from pipelines.cluster import runs

    return runs.connect(context, namespace)
