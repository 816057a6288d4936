"""One contract, two backends: what holds for a folder on this machine holds for a bucket."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from steps import store
from steps.faults import BadData, BadInput
from tests.steps import strict_gcs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def emulator() -> Iterator[str]:
    from steps.store_gcs import _client

    with strict_gcs.running() as url, pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", url)
        _client.cache_clear()
        yield url
    _client.cache_clear()


@pytest.fixture(params=["file", "gs"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "file":
        return f"file://{tmp_path}/store"
    request.getfixturevalue("emulator")
    return f"gs://fleece/{tmp_path.name}"


def folder_with(path: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


@pytest.mark.parametrize("data", [b"", b"x", b"\x00\xff\n", "é😀".encode(), b"0" * 100_000])
def test_what_is_written_is_read(root: str, data: bytes) -> None:
    backend = store.backend(root)
    backend.replace(f"{root}/a/b", data)
    assert backend.read(f"{root}/a/b") == data
    assert backend.exists(f"{root}/a/b")


def test_a_missing_object_says_so(root: str) -> None:
    backend = store.backend(root)
    assert not backend.exists(f"{root}/nothing")
    with pytest.raises(store.Missing, match="nothing does not exist"):
        backend.read(f"{root}/nothing")


def test_a_missing_object_leaves_no_download_behind(root: str, tmp_path: Path) -> None:
    with pytest.raises(store.Missing):
        store.backend(root).download(f"{root}/nothing", tmp_path / "to" / "here")
    assert not [path for path in (tmp_path / "to").rglob("*") if path.is_file()]


def test_a_folder_is_no_object(root: str) -> None:
    backend = store.backend(root)
    backend.replace(f"{root}/a/b", b"x")
    assert not backend.exists(f"{root}/a")
    with pytest.raises(store.Missing):
        backend.read(f"{root}/a")


def test_only_the_first_creation_counts(root: str) -> None:
    backend = store.backend(root)
    assert backend.create(f"{root}/once", b"first")
    assert not backend.create(f"{root}/once", b"second")
    assert backend.read(f"{root}/once") == b"first"


@pytest.mark.parametrize(
    ("there", "old", "swapped"), [(None, None, True), (None, b"a", False), (b"a", b"a", True), (b"a", b"b", False), (b"a", None, False)]
)
def test_a_swap_happens_only_on_what_was_seen(root: str, there: bytes | None, old: bytes | None, swapped: bool) -> None:
    backend = store.backend(root)
    if there is not None:
        backend.replace(f"{root}/x", there)
    assert backend.swap(f"{root}/x", b"new", old) is swapped
    assert not backend.exists(f"{root}/x") if there is None and not swapped else backend.read(f"{root}/x") == (b"new" if swapped else there)


def test_of_many_creators_one_wins(root: str) -> None:
    backend = store.backend(root)
    with ThreadPoolExecutor(16) as pool:
        won = list(pool.map(lambda number: backend.create(f"{root}/race", str(number).encode()), range(16)))
    assert won.count(True) == 1
    assert backend.read(f"{root}/race") == str(won.index(True)).encode()


def test_no_swap_is_lost(root: str) -> None:
    backend = store.backend(root)
    backend.create(f"{root}/count", b"0")

    def add_one(_: int) -> None:
        while not backend.swap(f"{root}/count", str(int(now := backend.read(f"{root}/count")) + 1).encode(), now):
            pass

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_one, range(12)))
    assert backend.read(f"{root}/count") == b"12"


def test_names_are_relative_sorted_and_only_of_the_folder(root: str) -> None:
    backend = store.backend(root)
    for name in ("f/b/c", "f/a", "f2/x", "f/b.json"):
        backend.replace(f"{root}/{name}", b"")
    assert backend.names(f"{root}/f") == ["a", "b.json", "b/c"]
    assert backend.names(f"{root}/f/") == ["a", "b.json", "b/c"]
    assert backend.names(f"{root}/none") == []


def test_a_committed_folder_comes_back_as_it_was(root: str, tmp_path: Path) -> None:
    files = {"weights": os.urandom(70_000), "sub/empty": b""}
    manifest = store.commit(folder_with(tmp_path / "out", files), f"{root}/model", {"rows": 3})
    fetched = store.fetch(f"{root}/model", tmp_path / "in")
    assert {name: (fetched / name).read_bytes() for name in files} == files
    assert store.read_manifest(f"{root}/model") == manifest
    assert manifest.about == {"rows": 3}


def test_a_folder_without_manifest_is_not_there(root: str, tmp_path: Path) -> None:
    store.backend(root).replace(f"{root}/half/weights", b"x")
    assert not store.committed(f"{root}/half")
    with pytest.raises(store.Missing, match="not committed"):
        store.fetch(f"{root}/half", tmp_path)


def test_committing_the_same_files_twice_changes_nothing(root: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "out", {"a": b"1"})
    assert store.commit(folder, f"{root}/f", {"try": 1}) == store.commit(folder, f"{root}/f", {"try": 2})


def test_a_committed_folder_never_changes(root: str, tmp_path: Path) -> None:
    store.commit(folder_with(tmp_path / "one", {"a": b"1"}), f"{root}/f")
    with pytest.raises(BadData, match="never changes"):
        store.commit(folder_with(tmp_path / "two", {"a": b"2"}), f"{root}/f")
    assert store.read(f"{root}/f/a") == b"1"


def test_of_many_commits_at_once_one_content_stands(root: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "out", {"a": b"1", "b": b"2"})
    with ThreadPoolExecutor(4) as pool:
        manifests = list(pool.map(lambda number: store.commit(folder, f"{root}/f", {"by": number}), range(4)))
    assert all(manifest == store.read_manifest(f"{root}/f") for manifest in manifests)


def test_a_changed_byte_is_found(root: str, tmp_path: Path) -> None:
    store.commit(folder_with(tmp_path / "out", {"a": b"1", "b": b"2"}), f"{root}/f")
    store.backend(root).replace(f"{root}/f/b", b"3")
    with pytest.raises(BadData, match="f/b is not what its manifest says"):
        store.fetch(f"{root}/f", tmp_path / "in")


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "a\x00b", "", "a//b", "./a"])
def test_a_manifest_cannot_name_a_file_outside_its_folder(root: str, tmp_path: Path, path: str) -> None:
    store.create_json(f"{root}/evil/manifest.json", {"files": [{"path": path, "size": 1, "sha256": "0" * 64}], "about": {}})
    with pytest.raises(BadData, match=r"evil/manifest.json is no manifest"):
        store.fetch(f"{root}/evil", tmp_path / "in")


def test_a_symbolic_link_is_not_committed(root: str, tmp_path: Path) -> None:
    folder = folder_with(tmp_path / "out", {"a": b"1"})
    (folder / "link").symlink_to("/etc/hostname")
    with pytest.raises(BadData, match="symbolic link"):
        store.commit(folder, f"{root}/f")
    assert store.backend(root).names(f"{root}/f") == []


@given(st.text(max_size=30))
def test_a_file_of_a_manifest_stays_below_its_folder(path: str) -> None:
    try:
        file = store.File(path=path, size=0, sha256="0" * 64)
    except ValidationError:
        return
    assert (Path("/folder") / file.path).is_relative_to("/folder")
    assert ".." not in Path(file.path).parts


@pytest.mark.parametrize(
    "uri", ["s3://b/x", "/tmp/x", "x", "file://relative/x", "file:///a/../../etc/passwd", "gs://bucket/../x", "gs://bucket", "gs:///x"]
)
def test_what_is_no_uri_of_a_store_is_refused(uri: str) -> None:
    with pytest.raises(BadInput):
        store.read(uri)
