"""Words of the public pages in each language. A new language is a new entry here, and in `Language`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, tzinfo

from healthd.config.public_page import Language


@dataclass(frozen=True, slots=True)
class Words:
    """Words of one language. `months` are short; `day` and `moment` are forms of a date and of a time."""

    name: str
    operational: str
    degraded: str
    outage: str
    maintenance: str
    unknown: str
    all_operational: str
    some_degraded: str
    partial_outage: str
    full_outage: str
    in_maintenance: str
    not_known: str
    skip: str
    as_of: str
    reload: str
    announcement: str
    components: str
    current_incidents: str
    past_incidents: str
    no_incidents: str
    incidents_not_known: str
    planned: str
    until: str
    now: str
    affects: str
    investigating: str
    identified: str
    monitoring: str
    resolved: str
    uptime: str
    one_day: str
    history_as_of: str
    history_not_known: str
    bad_days: str
    days_ago: str
    today: str
    legend: str
    day_operational: str
    day_degraded: str
    day_outage: str
    day_unknown: str
    feeds: str
    languages: str
    months: tuple[str, ...]
    day: str
    moment: str
    decimal: str
    percent: str

    def of(self, key: str) -> str:
        """Return the word for a state of `standing`, or of an incident. Raises AttributeError."""
        word: str = getattr(self, key)
        return word

    def show_day(self, day: date) -> str:
        return self.day.format(day=day.day, month=self.months[day.month - 1], year=day.year)

    def show_moment(self, moment: datetime, zone: tzinfo) -> str:
        """Return a time with its zone, to the minute."""
        local = moment.astimezone(zone)
        return self.moment.format(day=self.show_day(local.date()), time=f"{local:%H:%M}", zone=local.tzname())

    def show_percent(self, ratio: float) -> str:
        """Return a share rounded down, so that 100 % means all of it."""
        hundredths = int(ratio * 1e4 + 1e-6)
        whole, part = divmod(hundredths, 100)
        number = f"{whole}" if hundredths == 10_000 else f"{whole}{self.decimal}{part:02}"
        return self.percent.format(number=number)


_EN = Words(
    name="English",
    operational="Operational",
    degraded="Degraded",
    outage="Outage",
    maintenance="Maintenance",
    unknown="Not known",
    all_operational="All systems are operational",
    some_degraded="Some systems are degraded",
    partial_outage="Some systems are down",
    full_outage="All systems are down",
    in_maintenance="Maintenance is in progress",
    not_known="The state of some systems is not known",
    skip="Skip to the content",
    as_of="As of {moment}",
    reload="Reload",
    announcement="Announcement",
    components="Systems",
    current_incidents="Current incidents",
    past_incidents="Past incidents",
    no_incidents="No incidents.",
    incidents_not_known="Incidents are not known right now.",
    planned="Planned maintenance",
    until="{start} until {end}",
    now="now",
    affects="Affects: {names}",
    investigating="Investigating",
    identified="Identified",
    monitoring="Monitoring",
    resolved="Resolved",
    uptime="{percent} uptime over {days} days",
    one_day="{percent} uptime over one day",
    history_as_of="Past incidents and uptime are as of {moment}.",
    history_not_known="The uptime is not known right now.",
    bad_days="Days with disruptions ({number})",
    days_ago="{days} days ago",
    today="Today",
    legend="One bar a day:",
    day_operational="operational",
    day_degraded="degraded, or down for less than 1 % of the day",
    day_outage="down for longer",
    day_unknown="not known",
    feeds="Follow incidents: {feeds}",
    languages="Language",
    months=("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
    day="{day} {month} {year}",
    moment="{day}, {time} {zone}",
    decimal=".",
    percent="{number}%",
)
_DE = Words(
    name="Deutsch",
    operational="Verfügbar",
    degraded="Beeinträchtigt",
    outage="Ausgefallen",
    maintenance="Wartung",
    unknown="Unbekannt",
    all_operational="Alle Systeme sind verfügbar",
    some_degraded="Einige Systeme sind beeinträchtigt",
    partial_outage="Einige Systeme sind ausgefallen",
    full_outage="Alle Systeme sind ausgefallen",
    in_maintenance="Es wird gewartet",
    not_known="Der Zustand einiger Systeme ist nicht bekannt",
    skip="Zum Inhalt springen",
    as_of="Stand: {moment}",
    reload="Neu laden",
    announcement="Ankündigung",
    components="Systeme",
    current_incidents="Aktuelle Störungen",
    past_incidents="Frühere Störungen",
    no_incidents="Keine Störungen.",
    incidents_not_known="Störungen sind zurzeit nicht bekannt.",
    planned="Geplante Wartung",
    until="{start} bis {end}",
    now="jetzt",
    affects="Betrifft: {names}",
    investigating="Wird untersucht",
    identified="Ursache gefunden",
    monitoring="Wird beobachtet",
    resolved="Behoben",
    uptime="{percent} verfügbar in {days} Tagen",
    one_day="{percent} verfügbar an einem Tag",
    history_as_of="Frühere Störungen und Verfügbarkeit: Stand {moment}.",
    history_not_known="Die Verfügbarkeit ist zurzeit nicht bekannt.",
    bad_days="Tage mit Störungen ({number})",
    days_ago="vor {days} Tagen",
    today="Heute",
    legend="Ein Balken pro Tag:",
    day_operational="verfügbar",
    day_degraded="beeinträchtigt, oder weniger als 1 % des Tages ausgefallen",
    day_outage="länger ausgefallen",
    day_unknown="unbekannt",
    feeds="Störungen verfolgen: {feeds}",
    languages="Sprache",
    months=("Jan.", "Feb.", "März", "Apr.", "Mai", "Juni", "Juli", "Aug.", "Sept.", "Okt.", "Nov.", "Dez."),
    day="{day}. {month} {year}",
    moment="{day}, {time} Uhr {zone}",
    decimal=",",
    percent="{number}\u00a0%",
)
_FR = Words(
    name="Français",
    operational="Opérationnel",
    degraded="Dégradé",
    outage="En panne",
    maintenance="Maintenance",
    unknown="Inconnu",
    all_operational="Tous les systèmes sont opérationnels",
    some_degraded="Certains systèmes sont dégradés",
    partial_outage="Certains systèmes sont en panne",
    full_outage="Tous les systèmes sont en panne",
    in_maintenance="Une maintenance est en cours",
    not_known="L’état de certains systèmes n’est pas connu",
    skip="Aller au contenu",
    as_of="État au {moment}",
    reload="Recharger",
    announcement="Annonce",
    components="Systèmes",
    current_incidents="Incidents en cours",
    past_incidents="Incidents passés",
    no_incidents="Aucun incident.",
    incidents_not_known="Les incidents ne sont pas connus pour le moment.",
    planned="Maintenance prévue",
    until="{start} – {end}",
    now="maintenant",
    affects="Concerne : {names}",
    investigating="Analyse en cours",
    identified="Cause identifiée",
    monitoring="Sous surveillance",
    resolved="Résolu",
    uptime="{percent} de disponibilité sur {days} jours",
    one_day="{percent} de disponibilité sur un jour",
    history_as_of="Incidents passés et disponibilité : état au {moment}.",
    history_not_known="La disponibilité n’est pas connue pour le moment.",
    bad_days="Jours avec perturbations ({number})",
    days_ago="il y a {days} jours",
    today="Aujourd’hui",
    legend="Une barre par jour :",
    day_operational="opérationnel",
    day_degraded="dégradé, ou en panne pendant moins de 1 % du jour",
    day_outage="en panne plus longtemps",
    day_unknown="inconnu",
    feeds="Suivre les incidents : {feeds}",
    languages="Langue",
    months=("janv.", "févr.", "mars", "avr.", "mai", "juin", "juil.", "août", "sept.", "oct.", "nov.", "déc."),
    day="{day} {month} {year}",
    moment="{day} à {time} {zone}",
    decimal=",",
    percent="{number}\u202f%",
)
_ES = Words(
    name="Español",
    operational="Operativo",
    degraded="Degradado",
    outage="Caído",
    maintenance="Mantenimiento",
    unknown="Desconocido",
    all_operational="Todos los sistemas están operativos",
    some_degraded="Algunos sistemas están degradados",
    partial_outage="Algunos sistemas están caídos",
    full_outage="Todos los sistemas están caídos",
    in_maintenance="Hay un mantenimiento en curso",
    not_known="No se conoce el estado de algunos sistemas",
    skip="Ir al contenido",
    as_of="Estado a {moment}",
    reload="Recargar",
    announcement="Anuncio",
    components="Sistemas",
    current_incidents="Incidentes actuales",
    past_incidents="Incidentes anteriores",
    no_incidents="Ningún incidente.",
    incidents_not_known="Los incidentes no se conocen en este momento.",
    planned="Mantenimiento previsto",
    until="{start} – {end}",
    now="ahora",
    affects="Afecta a: {names}",
    investigating="En investigación",
    identified="Causa identificada",
    monitoring="En observación",
    resolved="Resuelto",
    uptime="{percent} de disponibilidad en {days} días",
    one_day="{percent} de disponibilidad en un día",
    history_as_of="Incidentes anteriores y disponibilidad: estado a {moment}.",
    history_not_known="La disponibilidad no se conoce en este momento.",
    bad_days="Días con interrupciones ({number})",
    days_ago="hace {days} días",
    today="Hoy",
    legend="Una barra por día:",
    day_operational="operativo",
    day_degraded="degradado, o caído menos del 1 % del día",
    day_outage="caído más tiempo",
    day_unknown="desconocido",
    feeds="Seguir los incidentes: {feeds}",
    languages="Idioma",
    months=("ene", "feb", "mar", "abr", "may", "jun", "jul", "ago", "sept", "oct", "nov", "dic"),
    day="{day} {month} {year}",
    moment="{day}, {time} {zone}",
    decimal=",",
    percent="{number}\u00a0%",
)
WORDS: Mapping[Language, Words] = {"en": _EN, "de": _DE, "fr": _FR, "es": _ES}
