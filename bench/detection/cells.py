"""The scenarios and the grid of traffic and base error rates that they run on."""

from bench.detection.streams import Scenario

RATES = (0.5, 5.0, 50.0, 500.0)
BASES = (0.001, 0.01, 0.03)

HEALTHY = (
    Scenario("steady"),
    Scenario("tolerated ×1.25", ratio=1.25),
    Scenario("bursts ρ=.01", burst=0.01),
    Scenario("bursts ρ=.05", burst=0.05),
    Scenario("bursts after a quiet past", burst=0.05, history_burst=0.0),
    Scenario("each arm's own spells ×6", own_spells=6.0),
    Scenario("each arm's own drift", own_wander=0.6),
    Scenario("wandering rate", wander=0.5),
    Scenario("shared incident", shared_incident=0.2),
    Scenario("warm-up spike", warm_up_spike=0.2),
    Scenario("10 s blip of 30 %", blip=0.3),
    Scenario("10 s blip of 80 %", blip=0.8),
    Scenario("10 s blip of 30 %, staggered scrapes", blip=0.3, staggered=True),
    Scenario("gaps and resets", missing=0.2, resets=0.02),
)
HARMFUL = (
    Scenario("×2", harmful=True, ratio=2.0),
    Scenario("×5", harmful=True, ratio=5.0),
    Scenario("5 % errors", harmful=True, level=0.05),
    Scenario("10 % errors", harmful=True, level=0.1),
    Scenario("50 % errors", harmful=True, level=0.5),
    Scenario("outage", harmful=True, level=1.0),
    Scenario("×2 after 300 s", harmful=True, ratio=2.0, onset=300.0),
    Scenario("×5 after 300 s", harmful=True, ratio=5.0, onset=300.0),
    Scenario("10 % after 300 s", harmful=True, level=0.1, onset=300.0),
    Scenario("outage after 300 s", harmful=True, level=1.0, onset=300.0),
    Scenario("×5, incident in the past", harmful=True, ratio=5.0, history_incident=0.3),
    Scenario("one route of twenty fails", harmful=True, level=0.06),
    Scenario("10 % errors, staggered scrapes", harmful=True, level=0.1, staggered=True),
    Scenario("50 % for 10 s of 60", harmful=True, level=None, intermittent=0.5),
)
SILENT = (
    Scenario("fades to 2 %", fades=True),
    Scenario("black hole: requests that never end", swallowed=45.0),
    Scenario("dies at 60 s", dies=60.0),
    Scenario("dies at 100 s", dies=100.0),
)
HEALTHY_LATENCY = (
    Scenario("latency steady", slower=1.0),
    Scenario("latency jitter", slower=1.0, jitter=0.1),
)
HARMFUL_LATENCY = (
    Scenario("latency ×1.5", harmful=True, slower=1.5),
    Scenario("latency ×2", harmful=True, slower=2.0),
    Scenario("latency ×5", harmful=True, slower=5.0),
    Scenario("latency ×2 after 300 s", harmful=True, slower=2.0, onset=300.0),
)
