"""The judge's mathematics of the built-in kinds. Reading a policy needs none of it, so that a start loads it late."""

from healthd_gates.judge import error_rate as error_rate
from healthd_gates.judge import latency as latency
from healthd_gates.judge import plain as plain
from healthd_gates.judge import rate as rate
from healthd_gates.judge import ratio as ratio
from healthd_gates.judge import stratified as stratified
from healthd_gates.judge import value as value
