"""Addresses that a driver would refuse, or read otherwise than they are meant."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr, TypeAdapter, ValidationError

from healthd.checks import find_kind
from healthd.config.journal_address import JournalAddress, note_on_folder


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("mongodb://h/?authSource=", "has no value of authSource: write one, or leave authSource out"),
        ("mongodb://h/?replicaSet=", "has no value of replicaSet: write one, or leave replicaSet out"),
        (
            "mongodb+srv://h.example/?maxPoolSize=x",
            "maxPoolSize that the MongoDB driver does not take: write an int",
        ),
        ("mongodb://h/?retryWrites=maybe", "retryWrites that the MongoDB driver does not take: write true or false"),
        ("mongodb://h/?readPreference=x", "write one of primary, primaryPreferred, secondary"),
        ("mongodb://h/?authMechanism=x", "write one of DEFAULT, GSSAPI, MONGODB-AWS"),
        ("redis://h/0?db=5", "names two databases, one in the path and one behind the ?: leave one out"),
    ],
)
def test_what_is_taken_is_told(uri: str, said: str) -> None:
    """Instead of a cure for something else."""
    model: Any = find_kind(uri.partition(":")[0].partition("+")[0]).config_model
    with pytest.raises(ValidationError) as raised:
        model.model_validate({"uri": uri})
    assert said in str(raised.value)


@pytest.mark.filterwarnings("error")
def test_compression_is_set_aside() -> None:
    """The driver would write a warning of its own for a method that it lacks."""
    model: Any = find_kind("mongodb").config_model
    config = model.model_validate({"uri": "mongodb://h/?compressors=zip"})
    assert config.notes == ("compressors is set aside: what is asked here is too small to be compressed",)


def test_the_same_database_of_redis_twice() -> None:
    """It is one."""
    model: Any = find_kind("redis").config_model
    assert model.model_validate({"uri": "redis://h/5?db=5"}).notes == ()


def test_a_journal_below_a_home() -> None:
    """No shell reads the address: a folder would be made that is named ~."""
    adapter: TypeAdapter[SecretStr] = TypeAdapter(JournalAddress)
    with pytest.raises(ValidationError, match=r"write the whole path, such as sqlite:///\$\{HOME\}/h.db"):
        adapter.validate_python("sqlite:///~/h.db")


def test_a_folder_that_may_be_mistyped(tmp_path: Path) -> None:
    """The start would make it, and what is above it."""
    note = note_on_folder(f"sqlite:///{tmp_path}/one/two/h.db")
    assert note == f"the folder {tmp_path}/one/two does not exist: it is made at the start, if this user may"
    assert note_on_folder(f"sqlite:///{tmp_path}/one/h.db") is None
    assert note_on_folder("postgresql://h/db") is None
