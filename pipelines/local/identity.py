"""Random names and uids, as Kubernetes makes them, without the modules `secrets` and `uuid`: importing those costs a runner 15 ms."""

import os

LETTERS = "bcdfghjklmnpqrstvwxz2456789"  # https://pkg.go.dev/k8s.io/apimachinery/pkg/util/rand: no vowels, so no words
_FAIR = 256 - 256 % len(LETTERS)  # a byte below it gives every letter the same chance


def suffix(length: int = 5) -> str:
    """The end of a generated name."""
    found = ""
    while len(found) < length:
        found += "".join(LETTERS[byte % len(LETTERS)] for byte in os.urandom(length) if byte < _FAIR)
    return found[:length]


def uid() -> str:
    """A random UUID, version 4: https://www.rfc-editor.org/rfc/rfc9562#section-5.4"""
    number = int.from_bytes(os.urandom(16)) & ~(0xF000 << 64 | 0xC000 << 48) | 0x4000 << 64 | 0x8000 << 48
    text = f"{number:032x}"
    return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
