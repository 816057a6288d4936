"""Secrets and personal data in a text: how many, never which. High-precision patterns only; what they do not find may still be there.

Patterns are ASCII and unbounded where possible (a bounded Unicode class is hundreds of times slower), and behind cheap tests.
"""

import ipaddress
import re

_SECRETS = (
    ("AKIA", re.compile(r"\bAKIA[0-9A-Z]{16}\b")),
    ("gh", re.compile(r"\bgh[pousr]_[A-Za-z0-9]{36}\b|\bgithub_pat_[A-Za-z0-9_]{50,}")),
    ("sk-", re.compile(r"\bsk-[A-Za-z0-9_-]{20,}\b")),
    ("hf_", re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")),
    ("AIza", re.compile(r"\bAIza[0-9A-Za-z_-]{35}\b")),
    ("xox", re.compile(r"\bxox[abprs]-[A-Za-z0-9-]{20,}")),
    ("PRIVATE KEY", re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")),
    ("eyJ", re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}")),
)
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")
_PHONE = re.compile(
    r"(?<![\w.+-])(?:\+[1-9][0-9]{0,2}[ .-]?(?:\([0-9]+\)[ .-]?)?[0-9]+(?:[ .-][0-9]+)+"
    r"|\(?[2-9][0-9]{2}\)?[ .-][2-9][0-9]{2}[ .-][0-9]{4})(?![\w-])"
)
_IBAN = re.compile(r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")
_CARD = re.compile(r"(?<![0-9.-])[3-6](?:[ -]?[0-9]){12,18}(?![0-9.-])")
_SSN = re.compile(r"(?<![0-9-])(?!000|666|9)[0-9]{3}-(?!00)[0-9]{2}-(?!0000)[0-9]{4}(?![0-9-])")
_ADDRESS = re.compile(r"(?<![0-9.])(?:[0-9]{1,3}\.){3}[0-9]{1,3}(?![0-9.])")
_NUMBER = re.compile(r"[0-9][0-9 ().-]{5,}[0-9]")  # the shortest is 8.8.8.8


def secrets(text: str) -> int:
    """How many keys, tokens and private keys the text has."""
    return sum(len(pattern.findall(text)) for sign, pattern in _SECRETS if sign in text)


def personal(text: str) -> int:
    """How many addresses of persons it has: e-mail, phone, IBAN, payment card, US social security number, public IP address."""
    count = len(_EMAIL.findall(text)) if "@" in text else 0
    if not _NUMBER.search(text):
        return count
    count += len(_PHONE.findall(text)) + len(_SSN.findall(text))
    count += sum(_is_iban(found) for found in _IBAN.findall(text)) + sum(_is_card(found) for found in _CARD.findall(text))
    return count + sum(_is_public(found) for found in _ADDRESS.findall(text))


def _is_iban(text: str) -> bool:
    """ISO 13616: moved to the end, letters as numbers, the remainder by 97 is 1."""
    plain = text.replace(" ", "")
    return len(plain) >= 15 and int("".join(str(int(sign, 36)) for sign in plain[4:] + plain[:4])) % 97 == 1


def _is_card(text: str) -> bool:
    """Luhn's check digit (ISO/IEC 7812-1)."""
    digits = [int(sign) for sign in reversed(text) if sign.isdigit()]
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]
    return len(set(digits)) > 1 and (sum(digits[::2]) + sum(doubled)) % 10 == 0


def _is_public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False
