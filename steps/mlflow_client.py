"""MLflow's client as steps use it: quiet, on SQLite without a server, and with its faults turned into ours. Importing it costs a second."""

import functools
import logging
import os
import shutil
import sqlite3
import time
import warnings
from collections.abc import Callable
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from steps import lease, store
from steps.faults import NotAllowed, Unavailable
from steps.runtime import setting

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

T = TypeVar("T")
RUN_TAG = "fleece.run_id"
_SQLITE = "sqlite:///"
_TRIES = 6
_NEVER: Any = object()


def client() -> "MlflowClient":
    """A client of MLFLOW_TRACKING_URI: a server, or a SQLite file, which is made when it is not there."""
    return _client(setting("MLFLOW_TRACKING_URI"))


def call(request: Callable[[], T], *, absent: Any = _NEVER, exists: Any = _NEVER) -> Any:
    """The answer of a request to MLflow; `absent` and `exists` are the answers when there is no such thing, or one already.

    Two that write the same row at once get an IntegrityError (1 of 150 moves of an alias, measured), and a busy SQLite file says so:
    both are tried again. Raises NotAllowed when MLflow refuses the caller, Unavailable when it does not answer.
    """
    from mlflow.exceptions import MlflowException

    for attempt in range(_TRIES):
        try:
            return request()
        except MlflowException as error:
            if absent is not _NEVER and _is_absence(error):
                return absent
            if exists is not _NEVER and error.error_code == "RESOURCE_ALREADY_EXISTS":
                return exists
            if not _is_passing(error) or attempt + 1 == _TRIES:
                raise _fault(error) from None
            time.sleep(0.05 * 2**attempt)
    raise AssertionError  # the last attempt returned or raised


def open_run(run: str, run_id: str, model_id: str) -> str:
    """The MLflow run of a pipeline run (its folder and id): found again by its tag, made once, whoever asks and however many at once."""
    record = store.join(run, "train", "mlflow.json")  # the training supervisor keeps it too
    if store.exists(record):
        return str(store.read_json(record)["run_id"])
    with lease.held(store.join(run, "train", "mlflow.lease.json")):
        experiment = _experiment(model_id)
        found = call(lambda: client().search_runs([experiment], f"tags.`{RUN_TAG}` = '{run_id}'", order_by=["attributes.start_time ASC"]))
        if found:
            made = str(found[0].info.run_id)
        else:
            tags = {RUN_TAG: run_id, "fleece.run": run}
            made = str(call(lambda: client().create_run(experiment, run_name=run_id, tags=tags)).info.run_id)
        store.create_json(record, {"run_id": made, "experiment": model_id})
    return made


def log(mlflow_run: str, metrics: dict[str, float], tags: dict[str, str]) -> None:
    """Set metrics and tags that say what became of a run. Done twice, the metric has its value once more and nothing else changes."""
    from mlflow.entities import Metric, RunTag

    known = call(lambda: client().get_run(mlflow_run)).data
    now = int(time.time() * 1000)
    new = [Metric(key, value, now, 0) for key, value in metrics.items() if known.metrics.get(key) != value]
    call(lambda: client().log_batch(mlflow_run, metrics=new, tags=[RunTag(key, value) for key, value in tags.items()]))


def _experiment(name: str) -> str:
    known = call(lambda: client().get_experiment_by_name(name))
    made = None if known else call(lambda: client().create_experiment(name), exists=None)  # None: another run of the model was first
    return str(made or (known or call(lambda: client().get_experiment_by_name(name))).experiment_id)


@functools.lru_cache(maxsize=4)
def _client(uri: str) -> "MlflowClient":
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")  # by default it tries for minutes before it says anything
    for noisy in ("mlflow", "alembic"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecations between MLflow and its own dependencies
        from mlflow import MlflowClient

        if uri.startswith(_SQLITE):
            _prepare(Path(uri.removeprefix(_SQLITE)))
        return MlflowClient(uri)


def _prepare(database: Path) -> None:
    """Make the SQLite file, once: two processes whose migrations run at the same time break it, and they take 4 s; a copy takes 0.1 s."""
    with store.locked(database):
        if database.is_file():
            return
        part = database.with_name(f".{database.name}.{os.getpid()}")
        shutil.copyfile(_template(), part)
        part.replace(database)


def _template() -> Path:
    """An empty database of this MLflow version, made once per user."""
    from mlflow import MlflowClient

    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fleece"
    made = cache / f"mlflow-{version('mlflow-skinny')}.db"
    with store.locked(made):
        if not made.is_file():
            part = made.with_name(f".{made.name}.{os.getpid()}")
            MlflowClient(f"{_SQLITE}{part}").search_experiments(max_results=1)
            with closing(sqlite3.connect(part)) as connection:
                connection.execute("PRAGMA wal_checkpoint")
            part.replace(made)
    return made


def _is_absence(error: "MlflowException") -> bool:
    """An alias that is not set is an invalid parameter to MLflow 3.17."""
    return error.error_code == "RESOURCE_DOES_NOT_EXIST" or ("alias" in str(error) and "not found" in str(error))


def _is_passing(error: "MlflowException") -> bool:
    busy = error.error_code in ("TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")
    return busy or "IntegrityError" in str(error) or "database is locked" in str(error)


def _fault(error: "MlflowException") -> Exception:
    seen = " ".join(str(error).split())[:300]
    if error.error_code in ("PERMISSION_DENIED", "UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"):
        return NotAllowed(f"MLflow refuses: {seen}. Grant this step's account its role")
    return Unavailable(f"MLflow did not do it: {seen}")
