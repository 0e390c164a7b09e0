"""How a deploy can end: the exceptions that stop one, and the exit code that each becomes."""

from __future__ import annotations

from typing import ClassVar

PROMOTED, FAILED, INCONCLUSIVE, COULD_NOT_ASK, NOT_UNDONE, INTERRUPTED = 0, 1, 2, 3, 4, 130


class DeployAborted(Exception):  # noqa: N818 - it says how a deploy ended
    """A deploy that must not go on. Its message is one sentence for people; what was done so far is undone."""

    code: ClassVar[int] = FAILED


class StepFailed(DeployAborted):
    """A step could not be carried out."""


class NoAnswer(StepFailed):
    """A platform could not be asked, or did not say how it is: another look may, a moment later."""


class TargetDown(StepFailed):
    """A target cannot take the traffic: where the traffic is, some of it is answered at least."""


class GateFailed(DeployAborted):
    """A gate said no."""


class GateInconclusive(DeployAborted):
    """A gate could not tell, and only a pass promotes."""

    code = INCONCLUSIVE


class CouldNotAsk(DeployAborted):
    """The daemon could not be asked: it does not answer, or refuses the call."""

    code = COULD_NOT_ASK
