"""A small honest task: which queue a support ticket belongs to, and how urgent it is.

A ticket is a greeting, one of 30 issues about one of 20 items, an order number, one of 12 cues of urgency and a name, in a drawn
order. Its answer is `queue returns, priority high`. A guesser who knows the form is right once in 15. Rows carry `pair`
(issue and item), so that a split by pair holds out combinations that were never trained on. What that shows is limited: the
vocabulary is closed, and held out are combinations, not words.
"""

import random
from collections.abc import Iterator

INSTRUCTION = "Triage this ticket."

ISSUES = {
    "returns": (
        "I want to send the {item} back",
        "the {item} does not fit and I would like to return it",
        "please tell me how to return the {item}",
        "I changed my mind about the {item} and want to give it back",
        "I need a return label for the {item}",
        "the {item} is the wrong colour and shall go back",
    ),
    "billing": (
        "I was charged twice for the {item}",
        "the invoice for the {item} shows the wrong amount",
        "my card was debited but the {item} is not in my orders",
        "I need an invoice with tax number for the {item}",
        "the discount code was not applied to the {item}",
        "the refund for the {item} has not reached my bank",
    ),
    "shipping": (
        "the {item} has not arrived",
        "the parcel with the {item} is stuck in customs",
        "tracking for the {item} has not moved for days",
        "the courier left the {item} at a wrong address",
        "please deliver the {item} to another address",
        "the box was empty and the {item} is missing",
    ),
    "technical": (
        "the {item} does not switch on",
        "the {item} stopped working after a day",
        "the {item} shows an error and restarts",
        "the {item} will not connect to my phone",
        "the update broke the {item}",
        "the {item} makes a loud noise and gets hot",
    ),
    "account": (
        "I cannot log in to see my {item} order",
        "please change the mail address on my account, I ordered the {item}",
        "my password reset for the {item} page never comes",
        "my account was locked after I ordered the {item}",
        "please delete my account, the {item} was my last order",
        "someone else used my account to buy the {item}",
    ),
}
ITEMS = (
    "lamp", "kettle", "headset", "keyboard", "monitor", "printer", "router", "camera", "speaker", "toaster",
    "blender", "heater", "tablet", "watch", "drill", "mixer", "scanner", "projector", "vacuum", "radio",
)  # fmt: skip
CUES = {
    "high": ("this is urgent", "I need an answer today", "we cannot work until this is solved", "please act at once"),
    "normal": ("please answer this week", "I look forward to your reply", "please let me know soon", "a reply in some days is fine"),
    "low": ("there is no hurry", "take your time", "whenever you find a moment", "it can wait until next month"),
}
GREETINGS = ("Hello", "Hi", "Good morning", "Dear team", "Good evening", "Hi there")
NAMES = ("Anna", "Ben", "Carla", "David", "Emma", "Farid", "Grace", "Hugo", "Ines", "Jonas", "Kira", "Leo")
REPLIES = (
    "A colleague will look at it soon.",
    "Thank you for your message.",
    "We have received your ticket.",
    "Thank you, we will come back to you.",
)
_ROWS_A_PAIR = 3


def rows(seed: int = 7) -> list[dict[str, str]]:
    """1,800 labelled tickets in alpaca columns and `pair`, shuffled: each of the 600 pairs of issue and item three times."""
    draw = random.Random(seed)  # noqa: S311 - data, not secrets
    labelled = [
        _row(draw, queue, issue, item)
        for queue, issues in ISSUES.items()
        for issue in issues
        for item in ITEMS
        for _ in range(_ROWS_A_PAIR)
    ]
    draw.shuffle(labelled)
    return labelled


def unlabelled(seed: int) -> Iterator[str]:
    """Endless text to pre-train a base model on: tickets with generic replies, and desk notes that use the label words.

    No ticket ever stands beside its label, so a model of this text writes fluently and cannot triage.
    """
    draw = random.Random(seed)  # noqa: S311 - data, not secrets
    while True:
        if draw.random() < 0.3:
            yield _note(draw)
            continue
        queue = draw.choice(list(ISSUES))
        text = ticket(draw, draw.choice(ISSUES[queue]), draw.choice(ITEMS), draw.choice(CUES[draw.choice(list(CUES))]))
        yield f"Human: {INSTRUCTION}\n{text}\nAssistant: {draw.choice(REPLIES)}"


def ticket(draw: random.Random, issue: str, item: str, cue: str) -> str:
    """One ticket; its middle sentences come in a drawn order."""
    sentences = [issue.format(item=item), f"order {draw.randrange(10_000, 100_000)}", cue]
    draw.shuffle(sentences)
    body = " ".join(f"{sentence[0].upper()}{sentence[1:]}." for sentence in sentences)
    return f"{draw.choice(GREETINGS)}, {body} {draw.choice(NAMES)}"


def _row(draw: random.Random, queue: str, issue: str, item: str) -> dict[str, str]:
    priority = draw.choice(list(CUES))
    return {
        "instruction": INSTRUCTION,
        "input": ticket(draw, issue, item, draw.choice(CUES[priority])),
        "output": f"queue {queue}, priority {priority}",
        "pair": f"{issue.format(item='…')}|{item}",
    }


def _note(draw: random.Random) -> str:
    """A note of the desk: the label words, and no ticket."""
    queue, priority = draw.choice(list(ISSUES)), draw.choice(list(CUES))
    return draw.choice(
        (
            f"Desk note: the {queue} queue has {draw.randrange(2, 100)} open tickets.",
            f"Desk note: {draw.choice(NAMES)} takes queue {queue} this week.",
            f"Desk note: we had {draw.randrange(2, 100)} tickets of priority {priority} in queue {queue}.",
            f"Desk note: on Monday we close queue {queue}, priority {priority} goes first.",
        )
    )
