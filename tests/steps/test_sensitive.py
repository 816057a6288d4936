"""Secrets and personal data are counted; numbers of other kinds are not."""

import pytest

from steps.sensitive import personal, secrets


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("AKIAABCDEFGHIJKLMNOP", 1),
        ("ghp_" + "a1B2" * 9, 1),
        ("hf_" + "aB3" * 12, 1),
        ("sk-proj-" + "a1" * 12, 1),
        ("-----BEGIN RSA PRIVATE KEY-----", 1),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJlLWhlcmU", 1),
        ("the AKIA prefix, a risk-averse sk-8, half_life", 0),
    ],
)
def test_secrets(text: str, count: int) -> None:
    assert secrets(text) == count


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("mail jane@example.org or joe.b+x@mail.example.co.uk", 2),
        ("call +49 30 901820 or (212) 555-0143", 2),
        ("IBAN DE89 3704 0044 0532 0130 00", 1),
        ("IBAN DE89 3704 0044 0532 0130 02", 0),
        ("card 4111 1111 1111 1111", 1),
        ("card 4111 1111 1111 1112", 0),
        ("ssn 123-45-6789", 1),
        ("from 8.8.8.8 to 192.168.0.1 and 127.0.0.1 and 999.1.1.1", 1),
        ("Order 61739 of 2026-11-21, version 4.10.2, 1,000,000 rows, 3.14159265358979", 0),
        ("a @ b, @home, 100 %", 0),
    ],
)
def test_personal_data(text: str, count: int) -> None:
    assert personal(text) == count
