"""Which characters one place of a pattern takes. https://pkg.go.dev/regexp/syntax

Categories are those of the Unicode edition that Python brings: to it, characters younger than that are unassigned.
"""

import string
import unicodedata
from collections.abc import Callable
from functools import cache

Test = Callable[[str], bool]
WORD = frozenset(string.ascii_letters + string.digits + "_")
"""The characters between which `\\b` sees no boundary."""


class CharacterClass(dict[str, bool]):
    """Whether a character belongs; worked out once, then looked up: a large text is mostly the same few characters."""

    def __init__(self, *tests: Test, negated: bool = False) -> None:
        super().__init__()
        self.tests, self.negated = tests, negated

    def __missing__(self, character: str) -> bool:
        self[character] = any(test(character) for test in self.tests) is not self.negated
        return self[character]


def span(low: str, high: str) -> Test:
    """From one character to another, both included."""
    return lambda character: low <= character <= high


def negation(test: Test) -> Test:
    """Every other character."""
    return lambda character: not test(character)


def folded(test: Test) -> Test:
    """With the other cases of the same letter, for `(?i)`."""
    return lambda character: any(map(test, _orbits().get(character, character)))


@cache
def _orbits() -> dict[str, str]:
    """Each cased character and all it equals: simple case folding. Python's is the full one. The Turkish two i stay alone."""
    orbits: dict[str, str] = {}
    for one in map(chr, range(_LAST_CASED + 1)):
        for other in (one.lower(), one.upper()):
            if other != one and len(other) == 1 and one not in "\u0130\u0131":
                joined = {*orbits.get(one, one), *orbits.get(other, other)}
                orbits |= dict.fromkeys(joined, "".join(sorted(joined)))
    return orbits


_LAST_CASED = 0x1E943  # `maxFold` of Go's regexp/syntax
_ASCII = "".join(map(chr, range(0x80)))
_PERL = {"d": string.digits, "s": "\t\n\f\r ", "w": "".join(WORD)}
_POSIX = {
    "alnum": string.ascii_letters + string.digits,
    "alpha": string.ascii_letters,
    "ascii": _ASCII,
    "blank": "\t ",
    "cntrl": _ASCII[:0x20] + "\x7f",
    "digit": string.digits,
    "graph": _ASCII[0x21:0x7F],
    "lower": string.ascii_lowercase,
    "print": _ASCII[0x20:0x7F],
    "punct": string.punctuation,
    "space": "\t\n\v\f\r ",
    "upper": string.ascii_uppercase,
    "word": "".join(WORD),
    "xdigit": string.hexdigits,
}
_LONG_NAMES = (  # https://www.unicode.org/Public/UCD/latest/ucd/PropertyValueAliases.txt, written as Go reads a name
    "Lc Casedletter, Pe Closepunctuation, M Combiningmark, Pc Connectorpunctuation, Cc Control, Sc Currencysymbol, "
    "Pd Dashpunctuation, Nd Decimalnumber, Me Enclosingmark, Pf Finalpunctuation, Cf Format, Pi Initialpunctuation, L Letter, "
    "Nl Letternumber, Zl Lineseparator, Ll Lowercaseletter, M Mark, Sm Mathsymbol, Lm Modifierletter, Sk Modifiersymbol, "
    "Mn Nonspacingmark, N Number, Ps Openpunctuation, C Other, Lo Otherletter, No Othernumber, Po Otherpunctuation, So Othersymbol, "
    "Zp Paragraphseparator, Co Privateuse, P Punctuation, Z Separator, Zs Spaceseparator, Mc Spacingmark, Cs Surrogate, S Symbol, "
    "Lt Titlecaseletter, Cn Unassigned, Lu Uppercaseletter, Cc Cntrl, Nd Digit, P Punct"
)
_ALIASES = {name: short for short, name in (one.split() for one in _LONG_NAMES.split(", "))}
_CATEGORIES = "Cc Cf Cn Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs"
_SCRIPTS = (  # those that Go finds: of names in several words (Old_Italic) it loses the second capital, and refuses them
    "Adlam Ahom Arabic Armenian Avestan Balinese Bamum Batak Bengali Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Carian Chakma "
    "Cham Cherokee Chorasmian Common Coptic Cuneiform Cypriot Cyrillic Deseret Devanagari Dogra Duployan Elbasan Elymaic Ethiopic "
    "Georgian Glagolitic Gothic Grantha Greek Gujarati Gurmukhi Han Hangul Hanunoo Hatran Hebrew Hiragana Inherited Javanese Kaithi "
    "Kannada Katakana Kawi Kharoshthi Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Lisu Lycian Lydian Mahajani Makasar Malayalam "
    "Mandaic Manichaean Marchen Medefaidrin Miao Modi Mongolian Mro Multani Myanmar Nabataean Nandinagari Newa Nko Nushu Ogham Oriya "
    "Osage Osmanya Palmyrene Phoenician Rejang Runic Samaritan Saurashtra Sharada Shavian Siddham Sinhala Sogdian Soyombo Sundanese "
    "Syriac Tagalog Tagbanwa Takri Tamil Tangsa Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi Wancho "
    "Yezidi Yi"
)


def perl(letter: str) -> Test | None:
    """What `\\d` takes, by the letter; `\\D` is the negation."""
    return _one_of(_PERL.get(letter.lower()))


def posix(name: str) -> Test | None:
    """What `[:alpha:]` takes, by the name between the colons."""
    return _one_of(_POSIX.get(name))


def _one_of(characters: str | None) -> Test | None:
    return None if characters is None else frozenset(characters).__contains__


def is_script(name: str) -> bool:
    """Whether Go knows a script by this name, as in `\\p{Greek}`. Python knows none."""
    return _canonical(name) in _SCRIPTS.split()


def category(name: str) -> Test | None:
    """What `\\p{Lu}` takes, by the name; the long names, and any case, are Go's too."""
    name = _canonical(name)
    name = _ALIASES.get(name, name)
    if name in ("Any", "Ascii"):
        return span("\0", "\x7f" if name == "Ascii" else chr(0x10FFFF))
    if name == "Assigned":
        return lambda character: unicodedata.category(character) != "Cn"
    names = {"Lu", "Ll", "Lt"} if name == "Lc" else {one for one in _CATEGORIES.split() if name in (one, one[0])}
    return (lambda character: unicodedata.category(character) in names) if names else None


def _canonical(name: str) -> str:
    kept = name.translate({ord(letter): None for letter in "_- "})
    return kept[:1].upper() + kept[1:].lower() if kept.isascii() else ""
