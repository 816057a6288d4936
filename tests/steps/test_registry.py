"""One version is in production, whoever promotes, however many at once, and wherever one is killed. MLflow on SQLite, the real one."""

import shutil
from pathlib import Path

import pytest

from steps import mlflow_client, registry, store
from steps.faults import BadInput, NotAllowed
from tests.steps import registry_races as races
from tests.steps import strict_gcs
from tests.steps.registry_races import MODEL_ID

pytestmark = pytest.mark.slow


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("FLEECE_STORE", f"file://{tmp_path}/store")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    return f"file://{tmp_path}/store"


def stages() -> dict[int, str]:
    found = mlflow_client.client().search_model_versions(f"name = '{MODEL_ID}'")
    return {int(version.version): version.tags["stage"] for version in found}


def alias(name: str) -> int:
    return int(mlflow_client.client().get_model_version_by_alias(MODEL_ID, name).version)


def assert_sound(production: int, previous: int) -> None:
    """Alias, tags, pointer and champion all say the same."""
    pointer = registry.production(MODEL_ID)
    assert pointer is not None
    assert (pointer.version, pointer.previous, pointer.moving) == (production, previous, False)
    assert alias("production") == production
    assert [number for number, stage in stages().items() if stage == "Production"] == [production]
    assert registry.version(MODEL_ID, production).status == "DEPLOYED"
    assert registry.champion(MODEL_ID) == registry.version(MODEL_ID, production).model
    if previous:
        assert alias("previous") == previous
        assert stages()[previous] == "Archived"


def test_a_model_that_was_never_promoted_has_no_champion_and_asks_no_mlflow(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    assert registry.champion(MODEL_ID) == "none"


def test_the_same_run_and_digest_are_the_same_version(root: str) -> None:
    assert [races.register(number, run) for number, run in [(1, "a"), (2, "a"), (1, "a"), (1, "b"), (2, "a")]] == [1, 2, 1, 3, 2]


def test_a_new_verdict_changes_the_status_and_a_served_version_keeps_it(root: str) -> None:
    def judged(status: registry.Status) -> str:
        number = registry.register(MODEL_ID, f"{root}/m", f"sha256:{1:064}", f"{root}/runs/a", status, {"verdict": status}, None)
        return registry.version(MODEL_ID, number).status

    assert [judged("REJECTED"), judged("VALIDATED"), judged("REJECTED"), judged("VALIDATED")] == [
        "REJECTED", "VALIDATED", "REJECTED", "VALIDATED",
    ]  # fmt: skip
    registry.promote(MODEL_ID, 1)
    assert judged("REJECTED") == "DEPLOYED"


def test_promotion_archives_the_one_before(root: str) -> None:
    for number in (1, 2, 3):
        races.register(number)
        registry.promote(MODEL_ID, number)
        assert_sound(number, number - 1)
    assert stages() == {1: "Archived", 2: "Archived", 3: "Production"}
    registry.promote(MODEL_ID, 2)
    assert_sound(2, 3)


def test_promoting_what_is_in_production_writes_nothing(root: str, monkeypatch: pytest.MonkeyPatch) -> None:
    races.register(1)
    first = registry.promote(MODEL_ID, 1)
    before = store.read(f"{root}/registry/{MODEL_ID}/production.json")
    assert registry.promote(MODEL_ID, 1) == first
    assert store.read(f"{root}/registry/{MODEL_ID}/production.json") == before


@pytest.mark.parametrize("status", ["REJECTED", "DEPRECATED"])
def test_a_version_that_failed_is_not_promoted(root: str, status: registry.Status) -> None:
    races.register(1)
    registry.set_status(MODEL_ID, 1, status)
    with pytest.raises(NotAllowed, match=f"is {status}"):
        registry.promote(MODEL_ID, 1)
    assert registry.champion(MODEL_ID) == "none"


def test_a_version_does_not_come_back_to_life(root: str) -> None:
    races.register(1)
    registry.set_status(MODEL_ID, 1, "DEPRECATED")
    with pytest.raises(NotAllowed, match="may become nothing, not VALIDATED"):
        registry.set_status(MODEL_ID, 1, "VALIDATED")


@pytest.mark.parametrize("number", [0, 9])
def test_a_missing_version_is_named(root: str, number: int) -> None:
    races.register(1)
    with pytest.raises(BadInput, match=f"no version {number}"):
        registry.version(MODEL_ID, number)


def test_a_promotion_that_breaks_off_anywhere_is_ended_by_reconcile(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    races.register(1)
    races.register(2)
    registry.promote(MODEL_ID, 1)
    keep = tmp_path / "keep"
    shutil.copytree(tmp_path / "store", keep / "store")
    shutil.copyfile(tmp_path / "mlflow.db", keep / "mlflow.db")
    broken = [try_once(write, after, tmp_path, keep, monkeypatch) for write in range(1, 12) for after in (False, True)]
    assert broken == sorted(broken, reverse=True)
    assert 14 <= broken.count(True) < len(broken)  # announcement, two aliases, three tags, pointer: each before and after


def try_once(write: int, after: bool, home: Path, keep: Path, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Break a promotion off at one write; whether there was such a write. Whatever happened, all is sound again afterwards."""
    shutil.rmtree(home / "store")
    shutil.copytree(keep / "store", home / "store")
    shutil.copyfile(keep / "mlflow.db", home / "mlflow.db")
    broke = False
    with monkeypatch.context() as patch:
        races.at_write(write, after, breaks, patch.setattr)
        try:
            registry.promote(MODEL_ID, 2)
        except KeyboardInterrupt:
            broke = True
    champion = registry.champion(MODEL_ID)  # a reader in between: never a third answer, and never a crash
    moved = champion.endswith("/2")
    registry.reconcile(MODEL_ID)
    assert_sound(*((2, 1) if moved else (1, 0)))
    registry.promote(MODEL_ID, 2)
    assert_sound(2, 1)
    return broke


def breaks() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(("write", "after"), [(1, True), (3, False), (3, True), (5, True), (8, False)])
def test_a_promotion_that_is_killed_is_ended_by_the_next(root: str, write: int, after: bool) -> None:
    races.register(1)
    races.register(2)
    races.register(3)
    registry.promote(MODEL_ID, 1)
    assert races.alone(races.killed_at, write, after, races.promote, 2) == -9
    assert registry.promote(MODEL_ID, 3).version == 3
    assert_sound(3, 2 if (write, after) >= (3, True) else 1)


@pytest.mark.parametrize("after", [False, True])
def test_a_registration_that_is_killed_is_done_once_in_the_end(root: str, after: bool) -> None:
    assert races.alone(races.killed_at, 2, after, races.register, 1) == -9
    assert races.register(1) == 1
    assert stages() == {1: "None"}


def test_of_several_promotions_at_once_one_stands(root: str) -> None:
    for number in (1, 2, 3, 4):
        races.register(number)
    assert races.together(races.promote, [(1,), (2,), (3,), (4,)]) == [1, 2, 3, 4]
    pointer = registry.production(MODEL_ID)
    assert pointer is not None
    assert_sound(pointer.version, pointer.previous)
    assert sorted(stages().values()) == ["Archived", "Archived", "Archived", "Production"]


def test_registrations_at_once_of_one_model_make_one_version(root: str) -> None:
    assert races.together(races.register, [(1,)] * 4) == [1] * 4
    assert sorted(races.together(races.register, [(2,), (3,), (2,)])) in ([2, 2, 3], [2, 3, 3])


def test_runs_opened_at_once_in_a_database_that_is_not_there_are_one_run(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # the empty database has to be made as well
    assert len(set(races.together(races.open_run, [("a",), ("a",), ("b",)]))) == 2
    assert len(mlflow_client.client().search_runs([mlflow_client.client().get_experiment_by_name(MODEL_ID).experiment_id])) == 2


def test_a_run_is_found_again_when_its_record_was_lost(root: str) -> None:
    made = races.open_run("a")
    store.local_path(f"{root}/runs/a/train/mlflow.json").unlink()
    assert races.open_run("a") == made


def test_what_somebody_moved_by_hand_is_followed(root: str) -> None:
    for number in (1, 2):
        races.register(number)
    registry.promote(MODEL_ID, 1)
    mlflow_client.client().set_registered_model_alias(MODEL_ID, "production", "2")
    registry.reconcile(MODEL_ID)
    assert_sound(2, 1)


def test_a_lost_pointer_is_made_again(root: str) -> None:
    for number in (1, 2):
        races.register(number)
        registry.promote(MODEL_ID, number)
    store.local_path(f"{root}/registry/{MODEL_ID}/production.json").unlink()
    registry.reconcile(MODEL_ID)
    assert_sound(2, 1)


def test_promotions_at_once_through_a_bucket_leave_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from steps.store_gcs import _client

    with strict_gcs.running() as url:
        _client.cache_clear()
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
        monkeypatch.setenv("FLEECE_STORE", "gs://fleece/team-x")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
        for number in (1, 2, 3):
            races.register(number)
        assert races.together(races.promote, [(1,), (2,), (3,)]) == [1, 2, 3]
        pointer = registry.production(MODEL_ID)
        assert pointer is not None
        assert_sound(pointer.version, pointer.previous)
    _client.cache_clear()
