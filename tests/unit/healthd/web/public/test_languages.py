"""Which language a visitor gets, and that every language has all that a page says."""

import re
from dataclasses import fields
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from healthd.config.public_page import ALL_LANGUAGES, Language
from healthd.web.public.catalogue import WORDS
from healthd.web.public.languages import chosen
from healthd.web.public.words import Words


@pytest.mark.parametrize(
    ("accepted", "named", "language"),
    [
        ("", None, "en"),
        ("de", None, "de"),
        ("de-AT,de;q=0.9,en;q=0.8", None, "de"),
        ("en;q=0.5, fr;q=0.9", None, "fr"),
        ("FR-ca", None, "fr"),
        ("pt-BR,es;q=0.3", None, "es"),
        ("pt, *", None, "en"),
        ("de;q=0", None, "en"),
        ("de;q=nan, es;q=inf, fr;q=-1", None, "en"),
        ("de;q=, ;;;,=,fr;q=0.1", None, "fr"),
        ("de", "es", "es"),
        ("de", "xx", "de"),
        ("x," * 10_000 + "de", None, "en"),
    ],
)
def test_the_visitors_language(accepted: str, named: str | None, language: Language) -> None:
    """As the browser weighs them; a link on the page comes first; what is no list of languages is none."""
    assert chosen(accepted, ALL_LANGUAGES, named) == language


def test_only_what_the_page_offers() -> None:
    """The first one for everybody else."""
    assert chosen("en,de;q=0.5", ("fr", "de")) == "de"
    assert chosen("en", ("fr", "de"), "en") == "fr"


@pytest.mark.parametrize("language", ALL_LANGUAGES)
def test_every_word_takes_what_the_english_one_takes(language: Language) -> None:
    """A number or a name that is left out would be missed by nobody but the reader."""
    for each in fields(Words):
        english, word = getattr(WORDS["en"], each.name), getattr(WORDS[language], each.name)
        assert word
        if isinstance(word, str):
            assert sorted(re.findall(r"{\w+}", word)) == sorted(re.findall(r"{\w+}", english)), each.name
        else:
            assert len(set(word)) == 12


def test_numbers_and_times_are_written_as_people_write_them() -> None:
    """Percentages are rounded down: 100 % means never down."""
    moment = datetime(2026, 12, 1, 8, 5, tzinfo=UTC)
    shown = {it: (w.show_percent(0.99999), w.show_moment(moment, ZoneInfo("Europe/Paris"))) for it, w in WORDS.items()}
    assert shown == {
        "en": ("99.99%", "1 Dec 2026, 09:05 CET"),
        "de": ("99,99\u00a0%", "1. Dez. 2026, 09:05 Uhr CET"),
        "fr": ("99,99\u202f%", "1 déc. 2026 à 09:05 CET"),
        "es": ("99,99\u00a0%", "1 dic 2026, 09:05 CET"),
    }
    assert (WORDS["en"].show_percent(1.0), WORDS["en"].show_percent(0.0)) == ("100%", "0.00%")
