"""docs/local-runner.md says what the runner's own tables say."""

from pipelines.local import supported
from tests.argo import manual


def test_the_page_is_as_its_first_line_makes_it() -> None:
    page = manual.PAGE.read_text()
    assert "`python -m tests.argo.manual`" in page.splitlines()[0]
    assert page == manual.filled(page), "docs/local-runner.md is stale: python -m tests.argo.manual"


def test_what_has_words_for_its_refusal_is_refused() -> None:
    fields = [one for rule, _ in supported.ABOUT.values() for one in manual.flat(rule, ())]
    assert set(supported.KINDS) <= {name.rpartition(".")[2] for name, said in fields if said == supported.NO}
