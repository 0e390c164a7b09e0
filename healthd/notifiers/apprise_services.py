"""Services of the library Apprise: which one an address means, and what is wrong with an address.

Apprise says why it refuses an address by its log alone, with parts of the address in it. So a refusal is worded here,
by what each service says of the addresses that it takes.
"""

from __future__ import annotations

import logging
import re

import apprise
from apprise.manager_plugins import NotificationManager
from apprise.plugins.base import NotifyBase

from healthd.nearest import nearest

_SHOWN = 3  # forms of an address
_SCHEME = re.compile(r"([a-z][a-z0-9]{1,31})://", re.IGNORECASE)
_SERVICES = "https://appriseit.com/services/"

# What the library logs is the reason of a failure, which `Apprise.notify` returns; by itself it goes nowhere, since
# below `WARNING` it has whole requests in it.
_logger = logging.getLogger("apprise")
_logger.setLevel(logging.DEBUG)
_logger.propagate = False


def service_of(address: str) -> NotifyBase:
    """Return the service that an address means. Raises ValueError, whose message has none of the address but its
    scheme."""
    # One call at a time, in the thread that calls, with nothing kept on disk and no picture fetched from elsewhere.
    asset = apprise.AppriseAsset(
        app_id="healthd",
        app_desc="healthd",
        app_url="",
        async_mode=False,
        image_path_mask=False,
        image_url_logo=None,
        image_url_mask=None,
        language="en",
        secure_logging=True,
        service_timeout=0,
        storage_mode="memory",
    )
    service = apprise.Apprise.instantiate(address, asset=asset)
    if service is None:
        raise ValueError(_what_is_wrong(address))
    return service


def _what_is_wrong(address: str) -> str:
    found = _SCHEME.match(address)
    if found is None:
        return f"is not an address of Apprise: write SERVICE://…, as listed at {_SERVICES}"
    scheme, services = found.group(1).lower(), NotificationManager()  # type: ignore[no-untyped-call]
    if scheme in ("http", "https"):
        return f"is a web address of no service that Apprise knows: write json{scheme[4:]}://… to post JSON there"
    if scheme not in services:
        alike = nearest(scheme, services.schemas())  # type: ignore[no-untyped-call]
        hint = f"did you mean {alike}?" if alike else f"see {_SERVICES}"
        return f"names {scheme}://, which is no service of Apprise; {hint}"
    service = services[scheme]
    if not service.enabled:
        needed = service.requirements.get("packages_required") or ()
        packages = ", ".join([needed] if isinstance(needed, str) else needed)
        return (
            f"names {scheme}://, which needs {packages or 'what this system does not have'}: install it beside healthd"
        )
    forms = [form.replace("{schema}", scheme) for form in service.templates[:_SHOWN]]
    return f"is not complete, or wrong, for {scheme}://: write {' or '.join(forms)}; see {service.setup_url}"
