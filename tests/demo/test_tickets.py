"""The demonstration's task is honest: its labels are in its sentences, and the base model's text never shows one."""

import random
from itertools import islice
from pathlib import Path

import pytest

from demo import tickets
from demo.__main__ import put_tickets
from steps.runfile import Split
from steps.splits import place


def test_the_same_seed_gives_the_same_tickets() -> None:
    assert tickets.rows() == tickets.rows()
    assert tickets.rows(1) != tickets.rows(2)
    assert list(islice(tickets.unlabelled(1), 20)) == list(islice(tickets.unlabelled(1), 20))


def test_1800_different_tickets_over_600_pairs_and_15_answers() -> None:
    rows = tickets.rows()
    assert len(rows) == len({row["input"] for row in rows}) == 1800
    assert len({row["pair"] for row in rows}) == 600
    assert len({row["output"] for row in rows}) == 15


def test_every_label_follows_from_the_sentences() -> None:
    for row in tickets.rows():
        text, item = row["input"].casefold(), row["pair"].split("|")[1]
        priorities = [name for name, cues in tickets.CUES.items() if any(cue.casefold() in text for cue in cues)]
        queues = [name for name, issues in tickets.ISSUES.items() if any(issue.format(item=item).casefold() in text for issue in issues)]
        assert [row["output"]] == [f"queue {queue}, priority {priority}" for queue in queues for priority in priorities]


def test_no_text_for_the_base_model_pairs_a_ticket_with_its_label() -> None:
    texts = list(islice(tickets.unlabelled(3), 3000))
    asked = [text for text in texts if "\nAssistant: " in text]
    notes = [text for text in texts if "\nAssistant: " not in text]
    assert {text.partition("\nAssistant: ")[2] for text in asked} == set(tickets.REPLIES)
    assert not any("priority" in text for text in asked)
    assert all(text.startswith("Desk note: ") and "order" not in text.casefold() for text in notes)
    for word in (*tickets.ISSUES, *tickets.CUES):
        assert any(word in text for text in notes)


def test_about_1500_are_trained_on_and_200_held_out_by_pair() -> None:
    drawn = [place(row["pair"], Split(test=0.11, validation=0.055)) for row in tickets.rows()]
    assert 1400 <= drawn.count("train") <= 1600
    assert 150 <= drawn.count("test") <= 250


def test_sentences_come_in_every_order() -> None:
    draw = random.Random(5)  # noqa: S311 - tickets, not secrets
    texts = [tickets.ticket(draw, "the {item} broke", "lamp", "take your time") for _ in range(200)]
    firsts = {text.split(", ", 1)[1].split()[0] for text in texts}
    assert firsts == {"The", "Order", "Take"}


def test_putting_the_tickets_into_a_store_twice_changes_nothing(tmp_path: Path) -> None:
    root = f"file://{tmp_path}"
    assert "written to" in put_tickets(root)
    path = tmp_path / "uploads/tickets.jsonl"
    before = path.stat().st_mtime_ns
    assert "are in" in put_tickets(root)
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("text", ["queue", "priority"])
def test_the_instruction_does_not_give_the_form_of_the_answer_away(text: str) -> None:
    assert text not in tickets.INSTRUCTION
