"""The edge of every step: flags, files, memory of results, exit codes, and nothing that leaks."""

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from steps.contracts import MergeIn, MergeOut
from steps.faults import TryAgain
from steps.runtime import _PASSED_BY_FILE, main


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """The program of a step that counts its work in the file `counter`; `does` is what else it does."""
    store = f"file://{tmp_path}/store"
    monkeypatch.setenv("FLEECE_STORE", store)

    def run(*extra: str, does: Callable[[], None] = lambda: None, run: str = "r1") -> Ended:
        def merge(given: MergeIn) -> MergeOut:
            with (tmp_path / "counter").open("a") as counter:
                counter.write("x")
            does()
            return MergeOut(model=given.base, digest="sha256:" + "a" * 64)

        outputs = [f"--out-{name}={tmp_path}/out/{name}" for name in ("model", "digest", "reused", "result")]
        with pytest.raises(SystemExit) as ended:
            main("merge", merge, [f"--run={store}/runs/{run}", "--base=file:///base", "--trained=file:///trained", *outputs, *extra])
        said = capsys.readouterr()
        return Ended(int(ended.value.code or 0), said.out, said.err)

    return run


def test_a_step_writes_its_outputs_and_its_record(tmp_path: Path, run: Run) -> None:
    assert run().code == 0
    assert (tmp_path / "out/model").read_text() == "file:///base"
    assert (tmp_path / "out/reused").read_text() == "no"
    record = json.loads(Path((tmp_path / "out/result").read_text().removeprefix("file://")).read_text())
    assert record["step"] == "merge"
    assert record["outputs"]["digest"] == "sha256:" + "a" * 64


def test_the_same_inputs_give_the_recorded_result_and_no_work(tmp_path: Path, run: Run) -> None:
    run()
    again = run()
    assert again.code == 0
    assert (tmp_path / "counter").read_text() == "x"
    assert (tmp_path / "out/reused").read_text() == "yes"
    assert "nothing was done again" in again.err


def test_other_inputs_are_other_work(tmp_path: Path, run: Run) -> None:
    run()
    run(run="r2")
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
def test_bad_input_is_one_line_exit_64_and_nothing_written(tmp_path: Path, run: Run, extra: list[str], complaint: str) -> None:
    ended = run(*extra)
    assert ended.code == 64
    assert complaint in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "store").exists()


def test_a_fault_is_its_code_and_one_line(tmp_path: Path, run: Run) -> None:
    def lost() -> None:
        raise TryAgain("the peer moved.\nSubmit again")

    ended = run(does=lost)
    assert (ended.code, ended.err) == (75, "merge: the peer moved. Submit again\n")
    assert not (tmp_path / "out").exists()


def test_a_bug_shows_where_it_is_but_not_what_it_read(tmp_path: Path, run: Run) -> None:
    def broken() -> None:
        raise KeyError("-".join(["text", "of", "a", "customer"]))

    ended = run(does=broken)
    assert ended.code == 70
    assert "in broken" in ended.err
    assert "KeyError in Fleece itself" in ended.err
    assert "text-of-a-customer" not in ended.err


@pytest.mark.slow
def test_a_process_ends_with_the_code() -> None:
    command = [sys.executable, "-W", "error", "-m", "steps.approve", "--typo=1"]
    ended = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr.count("\n")) == (64, 1)


def test_help_names_every_flag_with_its_description(tmp_path: Path, run: Run) -> None:
    shown = run("--help").out
    assert "--trained TRAINED" in shown
    assert "URI of the trained weights" in shown


def test_an_argument_that_argo_handed_over_as_a_file_is_read_from_it() -> None:
    assert _PASSED_BY_FILE.fullmatch("@/tmp/argo_arg_3.txt")
    assert not _PASSED_BY_FILE.fullmatch("--name=@/tmp/argo_arg_3.txt")
    assert not _PASSED_BY_FILE.fullmatch("@/etc/passwd")
