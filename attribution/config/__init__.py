"""The configuration of a monthly review: a TOML file, checked, with errors that name the line.

sections      the keys, one model a table; an unknown key is refused with the nearest match
drills        "market=BR by policy", "top 3": read, and held to the dimensions of the KPI
located       findings with file, line and key
positions     which key stands in which line
environment   ``${NAME}``: secrets stay in the environment and are never shown
reading       a file in, a `ReviewConfig` out
"""

from attribution.config.drills import Drilldown
from attribution.config.environment import concealed, resolved
from attribution.config.located import ConfigError
from attribution.config.reading import config_schema, example_config, load_config
from attribution.config.sections import (
    Breach,
    Comparison,
    Dimension,
    Kpi,
    Output,
    Privacy,
    Quality,
    Review,
    ReviewConfig,
    Scorecard,
    Source,
    Theme,
)

__all__ = [
    "Breach",
    "Comparison",
    "ConfigError",
    "Dimension",
    "Drilldown",
    "Kpi",
    "Output",
    "Privacy",
    "Quality",
    "Review",
    "ReviewConfig",
    "Scorecard",
    "Source",
    "Theme",
    "concealed",
    "config_schema",
    "example_config",
    "load_config",
    "resolved",
]
