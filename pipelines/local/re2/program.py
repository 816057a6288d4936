"""Instructions for the machine, and how fragments of them join. https://swtch.com/~rsc/regexp/regexp2.html

Jumps are relative, so that a repetition is a copy: `x{3}` is the code of x three times.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import groupby
from typing import Literal, NamedTuple

from pipelines.local.re2.classes import CharacterClass

_MOST_COPIES = 1000  # of the innermost thing in repetitions of repetitions (`repeatIsValid` of Go's regexp/syntax)
MOST_INSTRUCTIONS = 100_000  # Go's 3.3 million are a gigabyte here

Kind = Literal["literal", "class", "concatenation", "alternation", "other"]


class PatternError(ValueError):
    """The pattern is not RE2; the message is Go's."""

    def __init__(self, code: str, fragment: str) -> None:
        super().__init__(f"error parsing regexp: {code}: `{fragment}`")


class TooLarge(Exception):
    """The code of a part is longer than a program may be."""


class Op(IntEnum):
    """What an instruction does: take a character, try two ways, go elsewhere, note the place, ask where it is, or be done."""

    CHARACTER, SPLIT, JUMP, SAVE, ASSERT, MATCH = range(6)


class Place(IntEnum):
    """What an ASSERT asks of the place between two characters."""

    BEGIN_TEXT, END_TEXT, BEGIN_LINE, END_LINE, WORD_BOUNDARY, NO_WORD_BOUNDARY = range(6)


class Instruction(NamedTuple):
    """`first` and `second`: where SPLIT goes, by preference, and JUMP; the slot of SAVE; the Place of ASSERT."""

    op: Op
    first: int = 0
    second: int = 0
    taken: CharacterClass | None = None


@dataclass(frozen=True, slots=True)
class Fragment:
    """Code of one part of a pattern. It leaves at its end, wherever it is put."""

    code: tuple[Instruction, ...]
    nullable: bool = True
    """By Go's reckoning, whether it can match the empty text."""
    kind: Kind = "other"
    height: int = 1
    """Of its tree."""
    copies: int = 1
    """Of the innermost thing, by counted repetitions."""


EMPTY = Fragment(())


@dataclass(frozen=True, slots=True)
class Program:
    """Code with absolute jumps, in columns, which is what the machine reads fastest."""

    ops: Sequence[int]
    first: Sequence[int]
    second: Sequence[int]
    taken: Sequence[CharacterClass]
    slots: int

    @property
    def anchored(self) -> bool:
        """Whether it can only match at the beginning of the text."""
        return self.ops[0] == Op.ASSERT and self.first[0] == Place.BEGIN_TEXT


def link(fragment: Fragment, groups: int) -> Program:
    """The program of a whole pattern with so many capturing groups."""
    code = [*fragment.code, Instruction(Op.MATCH)]
    jumps = (Op.SPLIT, Op.JUMP)
    nothing = CharacterClass()
    return Program(
        [int(one.op) for one in code],
        [at + one.first if one.op in jumps else one.first for at, one in enumerate(code)],
        [at + one.second for at, one in enumerate(code)],
        [nothing if one.taken is None else one.taken for one in code],
        2 * groups + 2,
    )


def character(taken: CharacterClass, kind: Kind) -> Fragment:
    return Fragment((Instruction(Op.CHARACTER, taken=taken),), nullable=False, kind=kind)


def assertion(place: Place) -> Fragment:
    return Fragment((Instruction(Op.ASSERT, place),))


def capture(inside: Fragment, group: int) -> Fragment:
    code = (Instruction(Op.SAVE, 2 * group), *_fitting(inside, 2), Instruction(Op.SAVE, 2 * group + 1))
    return Fragment(code, inside.nullable, height=inside.height + 1, copies=inside.copies)


def concatenation(parts: Sequence[Fragment]) -> Fragment:
    if len(parts) < 2:
        return parts[0] if parts else EMPTY
    check(sum(len(one.code) for one in parts))
    code = tuple(instruction for one in parts for instruction in one.code)
    literal = all(one.kind == "literal" for one in parts)
    height = 1 if literal else _height(parts, "concatenation")
    kind: Kind = "literal" if literal else "concatenation"
    return Fragment(code, all(one.nullable for one in parts), kind, height, max(one.copies for one in parts))


def alternation(parts: Sequence[Fragment]) -> Fragment:
    """The first that leads to a match. Neighbours of one character each become one class."""
    joined: list[Fragment] = []
    for single, run in groupby(parts, lambda one: len(one.code) == 1 and one.code[0].op == Op.CHARACTER):
        some = list(run)
        joined += [_either(some)] if single else some
    if len(joined) == 1:
        return joined[0]
    check(sum(len(one.code) + 2 for one in joined))
    pieces, after = [joined[-1].code], len(joined[-1].code)
    for one in reversed(joined[:-1]):
        pieces.append((Instruction(Op.SPLIT, 1, len(one.code) + 2), *one.code, Instruction(Op.JUMP, after + 1)))
        after += len(one.code) + 2
    code = tuple(instruction for piece in reversed(pieces) for instruction in piece)
    nullable = any(one.nullable for one in joined)
    return Fragment(code, nullable, "alternation", _height(joined, "alternation"), max(one.copies for one in joined))


def star(inside: Fragment, lazy: bool) -> Fragment:
    """What can match nothing is tried once before it may be left out. https://go.dev/issue/46123"""
    if inside.nullable:
        return _taller(inside, question(plus(inside, lazy), lazy))
    body = (*_fitting(inside, 2), Instruction(Op.JUMP, -len(inside.code) - 1))
    return _taller(inside, Fragment((_split(1, len(body) + 1, lazy), *body)))


def plus(inside: Fragment, lazy: bool) -> Fragment:
    code = (*_fitting(inside, 1), _split(-len(inside.code), 1, lazy))
    return _taller(inside, Fragment(code, inside.nullable))


def question(inside: Fragment, lazy: bool) -> Fragment:
    return _taller(inside, Fragment((_split(1, len(inside.code) + 1, lazy), *_fitting(inside, 1))))


def repetition(inside: Fragment, low: int, high: int | None, lazy: bool) -> Fragment | None:
    """`x{low,high}`: xx(x(x)?)? or, without an end, xx+. None: too many copies of something inside."""
    copies = 1 if high == 0 else inside.copies * max(low if high is None else high, 1)
    if max(low, high or 0) >= 2 and copies > _MOST_COPIES:
        return None
    made = EMPTY if high == 0 else star(inside, lazy)
    if high is None and low > 0:
        made = concatenation([*[inside] * (low - 1), plus(inside, lazy)])
    elif high:
        made = concatenation([*[inside] * low, _optional(inside, high - low, lazy)])
    return Fragment(made.code, made.nullable, height=inside.height + 1, copies=copies)


def _optional(inside: Fragment, times: int, lazy: bool) -> Fragment:
    """(x(x(x)?)?)?: each way out leads to the end."""
    one = len(inside.code) + 1
    check(one * times)
    pieces = [(_split(1, one * left, lazy), *inside.code) for left in range(times, 0, -1)]
    return Fragment(tuple(instruction for piece in pieces for instruction in piece))


def _split(into: int, past: int, lazy: bool) -> Instruction:
    return Instruction(Op.SPLIT, past, into) if lazy else Instruction(Op.SPLIT, into, past)


def _either(singles: Sequence[Fragment]) -> Fragment:
    if len(singles) == 1:
        return singles[0]
    classes = [one.code[0].taken for one in singles]
    return character(CharacterClass(*(one.__getitem__ for one in classes if one is not None)), "class")


def _height(parts: Sequence[Fragment], kind: Kind) -> int:
    """Of a node over these; one of the same kind is dissolved in it."""
    return 1 + max(one.height - (one.kind == kind) for one in parts)


def _taller(inside: Fragment, made: Fragment) -> Fragment:
    return Fragment(made.code, made.nullable, height=inside.height + 1, copies=inside.copies)


def _fitting(inside: Fragment, more: int) -> tuple[Instruction, ...]:
    check(len(inside.code) + more)
    return inside.code


def check(instructions: int) -> None:
    """Raises TooLarge, best before so many are made."""
    if instructions > MOST_INSTRUCTIONS:
        raise TooLarge
