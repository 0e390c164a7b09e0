"""Limits what the reports that one disturbance can touch say together, a row a run."""

from dataclasses import dataclass

import numpy as np

from bench.detection.streams import Array
from bench.detection.vectorised.mixtures import Mask
from healthd_gates.judge import joint_cap as product


@dataclass(frozen=True)
class Caps:
    """What all reports that one disturbance touches may say together, among how many it is divided, and how sure it has
    to be that trouble began late."""

    together: float
    reports: Array
    late_reports: Array
    sure: Array


class JointCap:
    """Limits what the reports that one disturbance can touch say together."""

    def __init__(self, runs: int, bets: int) -> None:
        self._credited = np.zeros((0, runs, bets))

    def step(self, log_es: Array, caps: Caps, late: Mask, mask: Mask) -> Array:
        kept = int(max(caps.reports.max(), caps.late_reports.max())) - 1
        if kept > len(self._credited):
            more = np.zeros((kept - len(self._credited), *log_es.shape))
            self._credited = np.concatenate((self._credited, more))
        reports = np.where(late, caps.late_reports, caps.reports)
        most = np.where(late, 1.0, product._SHARES) * caps.together / reports
        newest = np.arange(len(self._credited))[:, None] < reports - 1
        said = (self._credited * newest[:, :, None]).sum(axis=0)
        room = np.minimum(most[:, None], np.maximum(0.0, caps.together - said))
        credited = np.minimum(log_es, room)
        shifted = np.concatenate((np.maximum(0.0, credited)[None], self._credited))[: len(self._credited)]
        self._credited = np.where(mask[None, :, None], shifted, self._credited)
        return np.asarray(credited)
