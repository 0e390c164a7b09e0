"""Options of the mail notifier."""

import pytest
from pydantic import ValidationError

from healthd.notifiers.sendgrid import MailConfig


def test_a_recipient_stands_there_once() -> None:
    """The mail would be refused as a whole."""
    options = {"kind": "sendgrid", "key": "k", "from": "a@b.test"}
    assert MailConfig.model_validate({**options, "to": ["c@d.test", "e@d.test"]}).to == ("c@d.test", "e@d.test")
    with pytest.raises(ValidationError, match=r"C@d\.test stands there twice"):
        MailConfig.model_validate({**options, "to": ["c@d.test", "C@d.test"]})
