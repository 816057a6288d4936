"""What processes of their own do to one registry, for the tests of races and kills. Forked from a server that has MLflow loaded."""

import multiprocessing
import os
import signal
from collections.abc import Callable
from typing import Any

from steps import mlflow_client, registry, store

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["mlflow", "mlflow.store.tracking.sqlalchemy_store", "tests.steps.registry_races"])
MODEL_ID = "team-x.triage.v1"
WRITES = ("set_registered_model_alias", "set_model_version_tag", "create_registered_model", "create_model_version", "create_run")


def together(task: Callable[..., Any], arguments: list[tuple[Any, ...]]) -> list[Any]:
    """The results of all calls, each in a process of its own, at once."""
    with CONTEXT.Pool(len(arguments), initializer=settings, initargs=(dict(os.environ),)) as pool:
        return pool.starmap(task, arguments)


def alone(task: Callable[..., Any], *arguments: Any) -> int | None:
    """Run the task in a process of its own; its exit code, negative for a signal."""
    process = CONTEXT.Process(target=_with_settings, args=(dict(os.environ), task, *arguments))
    process.start()
    process.join(120)
    return process.exitcode


def settings(environment: dict[str, str]) -> None:
    """The fork server was started with the settings of an earlier test."""
    os.environ.update(environment)


def register(number: int, run: str = "r") -> int:
    root = os.environ["FLEECE_STORE"]
    digest = f"sha256:{number:064}"
    return registry.register(MODEL_ID, f"{root}/models/{number}", digest, f"{root}/runs/{run}", "VALIDATED", {"tenant": "team-x"}, None)


def promote(number: int) -> int:
    from steps.faults import TryAgain

    while True:
        try:
            return registry.promote(MODEL_ID, number).version
        except TryAgain:  # the runner and Argo run the step again
            continue


def open_run(run: str) -> str:
    return mlflow_client.open_run(f"{os.environ['FLEECE_STORE']}/runs/{run}", run, MODEL_ID)


def killed_at(write: int, after: bool, task: Callable[..., Any], *arguments: Any) -> None:
    """Die of SIGKILL before or after the numbered write, be it to MLflow or to the store."""
    at_write(write, after, lambda: os.kill(os.getpid(), signal.SIGKILL))
    task(*arguments)


def at_write(write: int, after: bool, act: Callable[[], Any], patch: Callable[[Any, str, Any], None] = setattr) -> None:
    """Act before or after the numbered write that this process makes to MLflow or to the store."""
    from mlflow import MlflowClient

    seen = iter(range(1, 10_000))

    def watched(write_it: Any) -> Any:
        def call(*arguments: Any, **options: Any) -> Any:
            now = next(seen) == write
            if now and not after:
                act()
            done = write_it(*arguments, **options)
            if now and after:
                act()
            return done

        return call

    for kind, names in ((MlflowClient, WRITES), (store.LocalStore, ("create", "swap", "replace"))):
        for name in names:
            patch(kind, name, watched(getattr(kind, name)))


def _with_settings(environment: dict[str, str], task: Callable[..., Any], *arguments: Any) -> None:
    settings(environment)
    task(*arguments)
