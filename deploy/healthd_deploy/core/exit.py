"""Ends of a deploy: the exceptions that stop one, and the exit code of each."""

from __future__ import annotations

from collections.abc import Collection
from typing import ClassVar

from healthd.nearest import did_you_mean

PROMOTED, FAILED, INCONCLUSIVE, COULD_NOT_ASK, NOT_UNDONE, INTERRUPTED = 0, 1, 2, 3, 4, 130


class DeployAborted(Exception):  # noqa: N818 - it says how a deploy ended
    """Deploy that must not continue. Its message is one sentence for people; what was done so far is undone."""

    code: ClassVar[int] = FAILED


class StepFailed(DeployAborted):
    """Step that failed."""


class NoAnswer(StepFailed):
    """A platform could not be reached, or did not report its state: a retry a moment later may succeed."""


class NothingSwitched(StepFailed):
    """Switch that failed with the traffic where it was."""


class TargetDown(NothingSwitched):
    """A target cannot take the traffic; the current one still answers at least some of it."""


class NoWayBack(StepFailed):
    """The target that has the traffic could not get it back after a switch: nothing was done."""

    code = COULD_NOT_ASK


class NoProgram(StepFailed):
    """A program that the configuration names cannot be run: it is not there, or this user may not."""

    code = COULD_NOT_ASK


class UnknownTarget(StepFailed):
    """The command line names a target that the configuration does not have."""

    code = COULD_NOT_ASK

    def __init__(self, target: str, known: Collection[str]) -> None:
        super().__init__(f"{target} is not one of the targets {', '.join(known)}.{did_you_mean(target, known)}")


class GateFailed(DeployAborted):
    """The gate failed."""


class GateInconclusive(DeployAborted):
    """The gate was inconclusive, and only a pass promotes."""

    code = INCONCLUSIVE


class LeftInPlace(DeployAborted):
    """The traffic is to stay where it is, by a person's word or by --no-rollback: nothing is undone."""

    code = NOT_UNDONE


class OrderedBack(DeployAborted):
    """A person has ordered healthd to roll the version back, and its actions have: more than that is not undone."""


class CouldNotAsk(DeployAborted):
    """The daemon does not answer, or refuses the call."""

    code = COULD_NOT_ASK
