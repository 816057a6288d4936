"""Artifacts between steps: what a reader gets of what a step left, as Argo's executor would have packed and unpacked it."""

import io
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import pytest

from pipelines.local import artifacts
from pipelines.local.artifacts import ArtifactError, MissingArtifact

Artifact = dict[str, Any]


def artifact(archive: str = "", path: str = "/o/d", **fields: Any) -> Artifact:
    return {"name": "a", "path": path, "gcs": {"key": "run/a"}} | ({"archive": {archive: {}}} if archive else {}) | fields


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """What a step made: a folder with a file, a link and an empty folder."""
    folder = tmp_path / "node" / "d"
    (folder / "empty").mkdir(parents=True)
    (folder / "f").write_text("1\n")
    (folder / "f").chmod(0o640)
    (folder / "link").symlink_to("f")
    return folder


def kept(home: Path, source: Path, saved: Artifact, on_volume: bool = False) -> None:
    artifacts.save(home / "home", source, saved, source.parent, on_volume)


def read(home: Path, wanted: Artifact) -> Path:
    target = home / "step" / "in"
    artifacts.load(home / "home", wanted, target)
    return target


def shape(folder: Path) -> dict[str, str]:
    """Every path below a folder: its link, its mode and text, or `folder`."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = "folder" if path.is_dir() else f"{path.stat().st_mode & 0o777:o} {path.read_text()!r}"
    return found


@pytest.mark.parametrize(
    ("archive", "expected"),
    [
        ("", {"empty": "folder", "f": "640 '1\\n'", "link": "-> f"}),
        ("tar", {"empty": "folder", "f": "640 '1\\n'", "link": "-> f"}),
        ("none", {"f": "666 '1\\n'", "link": "666 '1\\n'"}),
        ("zip", {"f": "666 '1\\n'", "link": "666 ''"}),
    ],
)
def test_a_folder_comes_back_as_its_archive_keeps_it(tmp_path: Path, made: Path, archive: str, expected: dict[str, str]) -> None:
    kept(tmp_path, made, artifact(archive))
    assert shape(read(tmp_path, artifact(archive))) == expected


def test_people_find_an_artifact_unpacked_under_its_key(tmp_path: Path, made: Path) -> None:
    kept(tmp_path, made, artifact())
    assert (tmp_path / "home/artifacts/run/a/f").read_text() == "1\n"
    assert (tmp_path / "home/artifacts/run/a/f").samefile(made / "f")


def test_a_file_that_others_may_still_write_is_copied(tmp_path: Path, made: Path) -> None:
    artifacts.save(tmp_path / "home", made / "f", artifact(path="/v/f"), tmp_path / "elsewhere", True)
    assert not (tmp_path / "home/artifacts/run/a").samefile(made / "f")


def test_who_asks_for_no_archive_gets_the_archive(tmp_path: Path, made: Path) -> None:
    kept(tmp_path, made, artifact())
    with tarfile.open(read(tmp_path, artifact("none"))) as tar:
        assert sorted(tar.getnames()) == ["d", "d/empty", "d/f", "d/link"]


def tarball(file: Path, *members: tuple[str, str]) -> None:
    """A tar.gz of (name, text) files; a text that begins with `->` makes a link."""
    with tarfile.open(file, "w:gz") as tar:
        for name, text in members:
            member = tarfile.TarInfo(name)
            member.mode, member.size = 0o600, len(text)
            if text.startswith("->"):
                member.type, member.linkname, member.size = tarfile.SYMTYPE, text[2:], 0
            tar.addfile(member, io.BytesIO(text.encode()))


def test_a_tarball_that_a_step_made_itself_is_unpacked_for_who_says_nothing(tmp_path: Path, made: Path) -> None:
    tarball(made / "x.tgz", ("o/f", "1"), ("o/g", "2"))
    kept(tmp_path, made / "x.tgz", artifact("none", path="/o/x.tgz"))
    assert shape(read(tmp_path, artifact())) == {"f": "600 '1'", "g": "600 '2'"}


def test_a_zip_is_unpacked_for_who_says_so_only(tmp_path: Path, made: Path) -> None:
    with zipfile.ZipFile(made / "x.zip", "w") as archive:
        archive.writestr("f", "1")
    kept(tmp_path, made / "x.zip", artifact("none", path="/o/x.zip"))
    assert zipfile.is_zipfile(read(tmp_path, artifact()))
    assert read(tmp_path, artifact("zip")).read_text() == "1"


@pytest.mark.parametrize(
    ("member", "text"),
    [
        (("../f", "1"), "illegal file path: ../f"),
        (("o/l", "->/etc"), "illegal symlink target: o/l -> /etc"),
        (("o/l", "->../../x"), "illegal symlink target: o/l -> ../../x"),
    ],
)
def test_a_tarball_cannot_leave_its_place(tmp_path: Path, made: Path, member: tuple[str, str], text: str) -> None:
    tarball(made / "x.tgz", member)
    kept(tmp_path, made / "x.tgz", artifact("none", path="/o/x.tgz"))
    with pytest.raises(ArtifactError, match=f"^init: Error \\(exit code 64\\): {text}$"):
        read(tmp_path, artifact())


@pytest.mark.parametrize(("archive", "text"), [("tar", "gzip: invalid header"), ("zip", "zip: not a valid zip file")])
def test_an_input_that_is_not_packed_as_it_says_is_an_error(tmp_path: Path, made: Path, archive: str, text: str) -> None:
    kept(tmp_path, made / "f", artifact("none", path="/o/f"))
    with pytest.raises(ArtifactError, match=text):
        read(tmp_path, artifact(archive))
    assert list((tmp_path / "step").iterdir()) == []


def test_a_link_out_of_a_folder_is_noticed_by_the_reader(tmp_path: Path, made: Path) -> None:
    (made / "abs").symlink_to("/o/d/f")
    kept(tmp_path, made, artifact())
    with pytest.raises(ArtifactError, match=r"illegal symlink target: d/abs -> /o/d/f$"):
        read(tmp_path, artifact())


def test_loose_files_are_added_to_and_an_archive_is_replaced(tmp_path: Path, made: Path) -> None:
    for archive, expected in (("none", {"f", "g", "link"}), ("tar", {"g"})):
        kept(tmp_path, made, artifact(archive))
        (tmp_path / "second" / "d").mkdir(parents=True, exist_ok=True)
        (tmp_path / "second" / "d" / "g").write_text("2")
        kept(tmp_path, tmp_path / "second" / "d", artifact(archive))
        assert {path.name for path in (tmp_path / "home/artifacts/run/a").iterdir()} == expected


def test_there_is_nothing_below_the_key_of_an_archive(tmp_path: Path, made: Path) -> None:
    kept(tmp_path, made, artifact())
    with pytest.raises(MissingArtifact, match=r"artifact a failed to load: no results for key: run/a/f$"):
        read(tmp_path, artifact(subPath="f"))
    kept(tmp_path, made, artifact("none"))
    assert read(tmp_path, artifact(subPath="f")).read_text() == "1\n"


def test_an_optional_input_that_is_not_there_is_an_empty_folder(tmp_path: Path) -> None:
    target = read(tmp_path, artifact(optional=True))
    assert target.is_dir()
    assert target.stat().st_mode & 0o777 == 0o777


@pytest.mark.parametrize("key", ["../../x", "/x", "a/../../../x"])
def test_a_key_stays_in_the_repository(tmp_path: Path, made: Path, key: str) -> None:
    kept(tmp_path, made / "f", artifact("none", path="/o/f", gcs={"key": key, "bucket": ".."}))
    assert {path.name for path in tmp_path.iterdir()} == {"home", "node"}


def test_a_mode_reaches_the_top_or_everything(tmp_path: Path, made: Path) -> None:
    kept(tmp_path, made, artifact())
    top = read(tmp_path, artifact(mode=0o700))
    assert (top.stat().st_mode & 0o777, (top / "f").stat().st_mode & 0o777) == (0o700, 0o640)
    again = tmp_path / "again"
    artifacts.load(tmp_path / "home", artifact(mode=0o711, recurseMode=True), again)
    assert {path.stat().st_mode & 0o777 for path in (again, again / "f", again / "empty")} == {0o711}


@pytest.mark.parametrize(
    ("archive", "path", "on_volume", "expected"),
    [
        ("", "/tmp/x", False, "open /var/run/argo/outputs/artifacts/tmp/x.tgz: no such file or directory"),
        ("none", "/v/x", True, "/v/x no such file or directory"),
        ("zip", "/v/x", True, "stat /mainctrfs/v/x: no such file or directory"),
    ],
)
def test_a_missing_output_is_missed_in_the_executors_words(archive: str, path: str, on_volume: bool, expected: str) -> None:
    assert artifacts.not_there(artifact(archive, path), on_volume) == expected


@pytest.mark.parametrize(
    ("archive", "expected"), [("", "w/p/a.tgz"), ("tar", "w/p/a.tgz"), ("none", "w/p/model.bin"), ("zip", "w/p/a.zip")]
)
def test_the_default_key_is_that_of_argo(archive: str, expected: str) -> None:
    assert artifacts.default_key("w", "p", artifact(archive, "/o/model.bin")) == expected
