"""The edge of every step: flags, files, memory of results, exit codes, and nothing that leaks."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
from pathlib import Path
from steps.contracts import MergeIn, MergeOut
from steps.faults import TryAgain
from steps.runtime import main

def merge(given: MergeIn) -> MergeOut:
    counter = Path({counter!r})
    counter.write_text(counter.read_text() + "x" if counter.exists() else "x")
    {body}
    return MergeOut(model=given.base, digest="sha256:" + "a" * 64)

main("merge", merge)
"""


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"file://{tmp_path}/store"


def run(tmp_path: Path, store: str, *extra: str, body: str = "pass", run: str = "") -> subprocess.CompletedProcess[str]:
    program = tmp_path / "program.py"
    program.write_text(PROGRAM.format(counter=str(tmp_path / "counter"), body=body))
    flags = [f"--run={run or store + '/runs/r1'}", "--base=file:///base", "--trained=file:///trained"]
    outputs = [f"--out-{name}={tmp_path}/out/{name}" for name in ("model", "digest", "reused", "result")]
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "FLEECE_STORE": store, "PATH": "/usr/bin:/bin"}
    command = [sys.executable, "-W", "error", str(program), *flags, *outputs, *extra]
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=False)


def test_a_step_writes_its_outputs_and_its_record(tmp_path: Path, store: str) -> None:
    assert run(tmp_path, store).returncode == 0
    assert (tmp_path / "out/model").read_text() == "file:///base"
    assert (tmp_path / "out/reused").read_text() == "no"
    record = json.loads(Path((tmp_path / "out/result").read_text().removeprefix("file://")).read_text())
    assert record["step"] == "merge"
    assert record["outputs"]["digest"] == "sha256:" + "a" * 64


def test_the_same_inputs_give_the_recorded_result_and_no_work(tmp_path: Path, store: str) -> None:
    run(tmp_path, store)
    again = run(tmp_path, store)
    assert again.returncode == 0
    assert (tmp_path / "counter").read_text() == "x"
    assert (tmp_path / "out/reused").read_text() == "yes"
    assert "nothing was done again" in again.stderr


def test_other_inputs_are_other_work(tmp_path: Path, store: str) -> None:
    run(tmp_path, store)
    run(tmp_path, store, run=store + "/runs/r2")
    assert (tmp_path / "counter").read_text() == "xx"


@pytest.mark.parametrize(
    ("extra", "complaint"),
    [
        (["--typo=1"], "unrecognized arguments: --typo=1"),
        (["--base=http://x"], "--base string should match pattern"),
        (["--base=file:///a/../b"], "--base has a '..' segment"),
        (["--base=file:///{{workflow.name}}"], "contains '{{'"),
        (["--base=file:///$(HOME)"], "contains '$('"),
        (["--base=file:///a\nb"], r"contains '\n'"),
        (["--base=file:///\x01"], r"contains '\x01'"),
        (["--base=file:///" + "a" * 70000], "bytes long"),
    ],
)
def test_bad_input_is_one_line_exit_64_and_nothing_written(tmp_path: Path, store: str, extra: list[str], complaint: str) -> None:
    ended = run(tmp_path, store, *extra)
    assert ended.returncode == 64
    assert complaint in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "store").exists()


def test_a_fault_is_its_code_and_one_line(tmp_path: Path, store: str) -> None:
    ended = run(tmp_path, store, body="raise TryAgain('the peer moved.\\nSubmit again')")
    assert (ended.returncode, ended.stderr) == (75, "merge: the peer moved. Submit again\n")
    assert not (tmp_path / "out").exists()


def test_a_bug_shows_where_it_is_but_not_what_it_read(tmp_path: Path, store: str) -> None:
    ended = run(tmp_path, store, body="raise KeyError('-'.join(['text', 'of', 'a', 'customer']))")
    assert ended.returncode == 70
    assert "program.py" in ended.stderr
    assert "KeyError in Fleece itself" in ended.stderr
    assert "text-of-a-customer" not in ended.stderr


def test_help_names_every_flag_with_its_description(tmp_path: Path, store: str) -> None:
    shown = run(tmp_path, store, "--help").stdout
    assert "--trained TRAINED" in shown
    assert "URI of the trained weights" in shown


def test_an_argument_that_argo_handed_over_as_a_file_is_read_from_it() -> None:
    from steps.runtime import _PASSED_BY_FILE

    assert _PASSED_BY_FILE.fullmatch("@/tmp/argo_arg_3.txt")
    assert not _PASSED_BY_FILE.fullmatch("--name=@/tmp/argo_arg_3.txt")
    assert not _PASSED_BY_FILE.fullmatch("@/etc/passwd")
