"""The management of a RabbitMQ, as far as the check asks it, for a `peers.Peer` to repeat.

Read in the answers of RabbitMQ 3.10.8 with its management, one node and two:

- `GET /api/health/checks/alarms`: `{"status": "ok"}` with 200; with an alarm 503, and each as `node` and `resource`.
- `GET /api/queues/VHOST/NAME` (`/` as `%2F`): 200; for some five seconds after a queue or its node began without
  figures: neither `state` nor any of `messages_ready`, `messages_unacknowledged`, `consumers`.
- `head_message_timestamp` is the `timestamp` of the next message in Unix seconds, null without one; quorum queues have
  none, and `members` and `online` instead.
- 404 for a queue that is not there, for a virtual host that is not there, and for a queue on a node that is down. The
  list of the queues has the last, as `down`.
- 401 with `reason`: `Login failed`; `Not management user`, without the tag; `User not authorised to access virtual
  host`, without a permission.
"""

from __future__ import annotations

from tests.servers.peers import Answer

ALARMS = "/api/health/checks/alarms"

NO_ALARM = Answer(json={"status": "ok"})
NOT_FOUND = Answer(404, json={"error": "Object Not Found", "reason": "Not Found"})
LOGIN_FAILED = Answer(401, json={"error": "not_authorized", "reason": "Login failed"})
NOT_MANAGEMENT = Answer(401, json={"error": "not_authorised", "reason": "Not management user"})
NO_PERMISSION = Answer(401, json={"error": "not_authorised", "reason": "User not authorised to access virtual host"})


def alarm(resource: str, node: str = "rabbit@a") -> Answer:
    reason = "There are alarms in effect in the cluster"
    return Answer(503, json={"alarms": [{"node": node, "resource": resource}], "reason": reason, "status": "failed"})


def queue(
    ready: int = 0, unacknowledged: int = 0, consumers: int = 1, *, stamped: int | None = None, state: str = "running"
) -> Answer:
    """A classic queue."""
    figures = {
        "messages": ready + unacknowledged,
        "messages_ready": ready,
        "messages_unacknowledged": unacknowledged,
        "consumers": consumers,
        "head_message_timestamp": stamped,
        "state": state,
    }
    return Answer(json=_begun | figures)


def quorum_queue(members: list[str], online: list[str]) -> Answer:
    figures = {"messages_ready": 0, "messages_unacknowledged": 0, "consumers": 1, "state": "running"}
    return Answer(json=_begun | figures | {"type": "quorum", "members": members, "online": online})


def queue_just_begun() -> Answer:
    return Answer(json=_begun)


def listed(*queues: tuple[str, str, str]) -> Answer:
    """A page of the list: name, node and state of each."""
    items = [{"name": name, "node": node, "state": state} for name, node, state in queues]
    return Answer(json={"filtered_count": len(items), "items": items, "page": 1, "page_size": 500, "total_count": 9})


_begun = {
    "arguments": {},
    "auto_delete": False,
    "durable": True,
    "exclusive": False,
    "name": "mails",
    "node": "rabbit@a",
    "type": "classic",
    "vhost": "/",
}
