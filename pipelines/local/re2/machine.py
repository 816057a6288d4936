"""Runs a program over a text, every way at once: https://swtch.com/~rsc/regexp/regexp2.html (Pike's virtual machine).

No instruction is visited twice at one place in the text, so time is at most length of program times length of text.
"""

from pipelines.local.re2.classes import WORD
from pipelines.local.re2.program import Op, Place, Program

Slots = tuple[int, ...]
"""Where each group begins and ends, in characters; -1: it took no part."""
_Thread = tuple[int, Slots]

_CHARACTER, _SPLIT, _JUMP, _SAVE, _MATCH = int(Op.CHARACTER), int(Op.SPLIT), int(Op.JUMP), int(Op.SAVE), int(Op.MATCH)


def run(program: Program, text: str, start: int = 0) -> Slots | None:
    """The leftmost match from `start` on, of several there the one that a backtracking matcher prefers."""
    ops, taken, anchored, seen = program.ops, program.taken, program.anchored, [-1] * len(program.ops)
    threads: list[_Thread] = []
    found: Slots | None = None
    for at in range(start, len(text) + 1):
        if found is None and not (anchored and at):
            _follow(program, (0, (at,) + (-1,) * (program.slots - 1)), text, at, seen, threads)
        following: list[_Thread] = []
        for counter, slots in threads:
            if ops[counter] == _MATCH:
                found = (slots[0], at, *slots[2:])
                break  # what is left would have been preferred less
            if at < len(text) and taken[counter][text[at]]:
                _follow(program, (counter + 1, slots), text, at + 1, seen, following)
        threads = following
        if not threads and (found is not None or anchored):
            break
    return found


def _follow(program: Program, thread: _Thread, text: str, at: int, seen: list[int], threads: list[_Thread]) -> None:
    """Goes on to wherever a character is taken or the match ends, best first."""
    ops, first, second = program.ops, program.first, program.second
    ways = [thread]
    while ways:
        counter, slots = ways.pop()
        while seen[counter] != at:
            seen[counter] = at
            op = ops[counter]
            if op in (_CHARACTER, _MATCH):
                threads.append((counter, slots))
                break
            if op == _SPLIT:
                ways.append((second[counter], slots))
                counter = first[counter]
            elif op == _JUMP:
                counter = first[counter]
            elif op == _SAVE:
                slots = (*slots[: first[counter]], at, *slots[first[counter] + 1 :])
                counter += 1
            elif _holds(first[counter], text, at):
                counter += 1
            else:
                break


def _holds(place: int, text: str, at: int) -> bool:
    if place == Place.BEGIN_TEXT:
        return at == 0
    if place == Place.END_TEXT:
        return at == len(text)
    if place == Place.BEGIN_LINE:
        return at == 0 or text[at - 1] == "\n"
    if place == Place.END_LINE:
        return at == len(text) or text[at] == "\n"
    before, after = at > 0 and text[at - 1] in WORD, at < len(text) and text[at] in WORD
    return (before is not after) is (place == Place.WORD_BOUNDARY)
