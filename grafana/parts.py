"""What the dashboards are made of: variables, queries and panels in one look. No query lives here."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_uppercase
from typing import TypeVar

from grafana_foundation_sdk.builders.common import ReduceDataOptions, VizLegendOptions
from grafana_foundation_sdk.builders.dashboard import (
    AnnotationQuery,
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    FieldColor,
    QueryVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as Stat
from grafana_foundation_sdk.builders.statetimeline import Panel as StateTimeline
from grafana_foundation_sdk.builders.table import Panel as Table
from grafana_foundation_sdk.builders.timeseries import Panel as TimeSeries
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    FieldColorModeId,
    Threshold,
    ThresholdsMode,
    ValueMap,
    ValueMappingResult,
    VariableOption,
    VariableRefresh,
)

Panel = TypeVar("Panel", Stat, StateTimeline, Table, TimeSeries)
Steps = Sequence[tuple[float | None, str]]
"""Colours from a value on; the first one from minus infinity, written None."""

PROMETHEUS = DataSourceRef(type_val="prometheus", uid="${datasource}")
GOOD_IS_ONE: Steps = ((None, "red"), (1, "green"))
BAD_FROM_ONE: Steps = ((None, "green"), (1, "red"))
WARN_FROM_ONE: Steps = ((None, "green"), (1, "orange"))
STATUSES = {
    "0": ("healthy", "green"),
    "1": ("degraded", "orange"),
    "2": ("unknown", "purple"),
    "3": ("unhealthy", "red"),
}
READINESS = {"0": ("not ready", "red"), "1": ("ready", "green")}


def board(title: str, uid: str, about: str, variables: Sequence[QueryVariable]) -> Dashboard:
    """An empty dashboard with its variables and with links to the others."""
    dashboard = (
        Dashboard(f"healthd / {title}")
        .uid(uid)
        .description(about)
        .tags(["healthd"])
        .readonly()
        .refresh("30s")
        .time("now-6h", "now")
        .timezone("browser")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )
    for variable in variables:
        dashboard = dashboard.with_variable(variable)
    others = DashboardLink("healthd").type(DashboardLinkType.DASHBOARDS).tags(["healthd"]).include_vars(True)
    return dashboard.link(others.keep_time(True))


def variable(name: str, label: str, query: str) -> QueryVariable:
    """A choice of label values: several, or all."""
    return (
        QueryVariable(name)
        .label(label)
        .datasource(PROMETHEUS)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(VariableOption(selected=True, text="All", value="$__all"))
    )


def replicas() -> list[QueryVariable]:
    """Which environment, and which replicas of it."""
    return [
        variable("environment", "Environment", "label_values(healthd_build_info, environment)"),
        variable("instance", "Replica", 'label_values(healthd_build_info{environment=~"$environment"}, instance)'),
    ]


def over_time(expression: str, legend: str = "__auto") -> Dataquery:
    return Dataquery().expr(expression).legend_format(legend).range()


def now(expression: str, legend: str = "__auto") -> Dataquery:
    return Dataquery().expr(expression).legend_format(legend).instant()


def stat(title: str, about: str, query: Dataquery, *, unit: str = "short", steps: Steps, width: int = 4) -> Stat:
    panel = _placed(Stat(), title, about, unit, width, 4, steps).with_target(query.ref_id("A"))
    return panel.graph_mode(BigValueGraphMode.NONE).reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))


def lines(title: str, about: str, *queries: Dataquery, unit: str = "short", width: int = 12) -> TimeSeries:
    panel = _placed(TimeSeries(), title, about, unit, width, 8, ((None, "green"),))
    panel = panel.color_scheme(FieldColor().mode(FieldColorModeId.PALETTE_CLASSIC)).min(0)
    panel = panel.fill_opacity(8).show_points(VisibilityMode.NEVER)
    legend = VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    panel = panel.legend(legend.show_legend(True).calcs([]))
    for name, query in zip(ascii_uppercase, queries, strict=False):
        panel = panel.with_target(query.ref_id(name))
    return panel


def states(
    title: str, about: str, query: Dataquery, names: dict[str, tuple[str, str]], *, width: int, height: int
) -> StateTimeline:
    """Coloured strips over time; `names` gives every value its word and colour."""
    panel = _placed(StateTimeline(), title, about, "short", width, height, ((None, "text"),)).with_target(
        query.ref_id("A")
    )
    legend = VizLegendOptions().display_mode(LegendDisplayMode.LIST).placement(LegendPlacement.BOTTOM)
    panel = panel.legend(legend.show_legend(True).calcs([]))
    return panel.merge_values(True).show_value(VisibilityMode.NEVER).mappings([words(names)])


def table(title: str, about: str, *queries: Dataquery, width: int, height: int) -> Table:
    panel = _placed(Table(), title, about, "short", width, height, ((None, "text"),))
    for name, query in zip(ascii_uppercase, queries, strict=False):
        panel = panel.with_target(query.ref_id(name))
    return panel


def happenings(name: str, expression: str, colour: str) -> AnnotationQuery:
    """Marks on every panel, where the expression has a value; the text is its labels."""
    return AnnotationQuery().name(name).datasource(PROMETHEUS).expr(expression).enable(True).icon_color(colour)


def _placed(panel: Panel, title: str, about: str, unit: str, width: int, height: int, steps: Steps) -> Panel:
    thresholds = ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE)
    thresholds = thresholds.steps([Threshold(value=value, color=colour) for value, colour in steps])
    panel = panel.title(title).description(about).datasource(PROMETHEUS).unit(unit).thresholds(thresholds)
    return panel.span(width).height(height)


def words(names: dict[str, tuple[str, str]]) -> ValueMap:
    """The word and the colour of each value."""
    results = {
        value: ValueMappingResult(text=word, color=colour, index=place)
        for place, (value, (word, colour)) in enumerate(names.items())
    }
    return ValueMap(options=results)
