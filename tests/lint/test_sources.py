"""YAML as Argo reads it: what is broken, and where everything stands."""

from pathlib import Path

import pytest

from pipelines.lint import linter

HEAD = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\n"
GOOD = HEAD + "spec:\n  entrypoint: m\n  templates:\n  - {name: m, suspend: {duration: '1'}}\n"


def found(tmp_path: Path, text: str | bytes) -> list[tuple[int, str]]:
    file = tmp_path / "w.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [(placed.line, placed.rule) for placed in linter.lint([file]).findings]


@pytest.mark.parametrize(
    ("text", "findings"),
    [
        (GOOD, []),
        ("", []),
        ("# only a comment\n---\n", []),
        ("just words", []),
        ("- a\n- list\n", []),
        (b"\xff\xfe\x00", [(1, "unreadable")]),
        ("a: [1, 2", [(2, "yaml-broken")]),
        ("a: &x [*x]", [(1, "yaml-broken")]),
        ("a: !thing b", [(1, "yaml-broken")]),
        (f"{GOOD}---\na: [\n---\n{GOOD.replace('m, s', 'p, s')}", [(10, "yaml-broken"), (15, "undefined-template")]),
        ("[" * 100_000, [(1, "yaml-broken")]),
        ("- " * 100_000, [(1, "yaml-broken")]),
        (f"{HEAD}spec: words\n", [(4, "wrong-type")]),
        (f"{HEAD}spec:\n", [(4, "entrypoint")]),
        (f"{HEAD}spec: {{entrypoint: m, templates: [~]}}\n", [(4, "name-missing"), (4, "template-type"), (4, "undefined-template")]),
        (GOOD.replace("entrypoint: m", "entrypoint: m\n  yes: 1\n  1.5: 2"), [(6, "unknown-field"), (7, "unknown-field")]),
        (GOOD.replace("kind: Workflow", "kind: workflow"), [(2, "unknown-kind")]),
        (GOOD.replace("kind: Workflow\n", ""), [(1, "unknown-kind")]),
        (GOOD.replace("kind: Workflow", "kind: ConfigMap"), []),
    ],
)
def test_whatever_stands_in_a_file_it_is_reported_by_line(text: str | bytes, findings: list[tuple[int, str]], tmp_path: Path) -> None:
    assert sorted(found(tmp_path, text)) == sorted(findings)


def test_aliases_of_aliases_end(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9))
    assert found(tmp_path, bomb) == [(1, "yaml-broken")]


def test_anchors_and_merged_maps_keep_their_lines(tmp_path: Path) -> None:
    text = GOOD.replace(
        "- {name: m, suspend: {duration: '1'}}", "- &m {name: m, suspend: {duration: '1'}, retries: 1}\n  - {<<: *m, name: p}"
    )
    assert found(tmp_path, text) == [(7, "unknown-field")] * 2


def test_a_folder_is_read_through_and_references_are_found_in_it(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    template = HEAD.replace("Workflow", "WorkflowTemplate").replace("name: w", "name: lib, namespace: x")
    (tmp_path / "deep" / "lib.yml").write_text(template + "spec: {templates: [{name: t, suspend: {duration: '1'}}]}\n")
    step = "spec: {entrypoint: m, templates: [{name: m, steps: [[{name: a, templateRef: {name: lib, template: t}}]]}]}\n"
    (tmp_path / "w.yaml").write_text(HEAD.replace("name: w", "name: w, namespace: x") + step)
    assert linter.lint([tmp_path]).findings == []
    (tmp_path / "w.yaml").write_text(HEAD + step)
    assert [placed.rule for placed in linter.lint([tmp_path]).findings] == ["undefined-reference"]
    assert [placed.rule for placed in linter.lint([tmp_path / "gone.yaml"]).findings] == ["unreadable"]
