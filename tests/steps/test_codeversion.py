"""The code version changes with what the steps do, and with nothing else."""

from pathlib import Path

from steps.codeversion import code_digest


def test_it_depends_on_names_and_content_of_the_modules_only(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "plan.py").write_text("a")
    (tmp_path / "train/worker.py").write_text("b")
    first = code_digest(tmp_path)
    (tmp_path / "notes.md").write_text("x")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/plan.pyc").write_bytes(b"x")
    assert code_digest(tmp_path) == first
    (tmp_path / "train/worker.py").write_text("c")
    changed = code_digest(tmp_path)
    assert changed != first
    (tmp_path / "train/worker.py").rename(tmp_path / "train/other.py")
    assert code_digest(tmp_path) not in (first, changed)
