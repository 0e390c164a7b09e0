"""Files that an address names, of which one may be mounted late."""

from pathlib import Path
from typing import Any

import pytest

from healthd.checks import find_kind
from healthd.checks.contract import CheckContext
from healthd.model import FailureKind
from healthd.runtime.clock import SystemClock
from healthd.runtime.redaction import Redactor

QUERY = {"query": "SELECT 1", "unhealthy": {"above": 5}}


@pytest.mark.parametrize(
    ("kind", "uri", "word", "options"),
    [
        ("postgresql", "postgresql://u@127.0.0.1:1/db?passfile={}", "passfile", {}),
        ("postgresql", "postgresql://u@127.0.0.1:1/db?sslmode=verify-ca&sslrootcert={}", "sslrootcert", {}),
        ("mongodb", "mongodb://127.0.0.1:1/?tls=true&tlsCAFile={}", "tlsCAFile", {}),
        ("mongodb", "mongodb://127.0.0.1:1/?tls=true&tlsCertificateKeyFile={}", "tlsCertificateKeyFile", {}),
        ("redis", "rediss://127.0.0.1:1/0?ssl_ca_certs={}", "ssl_ca_certs", {}),
        ("sql", "mysql://u:p@127.0.0.1:1/db?ssl-mode=VERIFY_CA&ssl-ca={}", "ssl-ca", QUERY),
        ("sql", "postgresql://u@127.0.0.1:1/db?passfile={}", "passfile", QUERY),
    ],
)
async def test_a_file_that_is_not_there(
    kind: str, uri: str, word: str, options: dict[str, Any], tmp_path: Path
) -> None:
    """It is told, and fails the check by its path, which no mask hides; the configuration is not refused for it."""
    kind_class = find_kind(kind)
    given = {"kind": kind, "uri": uri.format(tmp_path / "late" / "file.pem"), **options}
    config: Any = kind_class.config_model.model_validate(given)
    said = f"{word}: the file {tmp_path}/late/file.pem does not exist"
    assert said in config.notes
    result = await kind_class(config, CheckContext("x", SystemClock(), {})).probe()
    assert (result.kind, Redactor.of(config)(result.message)) == (FailureKind.MISCONFIGURED, said)
