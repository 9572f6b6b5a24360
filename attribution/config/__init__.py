"""The configuration of a monthly review: a TOML file, checked, with errors that name the line.

whole         the file and what holds between its tables; unknown keys get the nearest match
kpi           a KPI and its thresholds
scorecard     a scorecard of sites or moderators
sections      the smaller tables: sources, dimensions, output, theme, privacy, quality
keys          texts, conditions and places, as keys of all tables hold them
comparison    "previous", "year", "plan", "rolling 3"
drills        "market=BR by policy", "top 3": read, and held to the dimensions of the KPI
located       findings with file, line and key
positions     which key stands in which line
environment   ``${NAME}``: secrets stay in the environment and are never shown
reading       a file in, a `ReviewConfig` out
"""

from attribution.config.comparison import Comparison
from attribution.config.drills import Drilldown
from attribution.config.environment import concealed, resolved
from attribution.config.kpi import Breach, Kpi
from attribution.config.located import ConfigError
from attribution.config.reading import config_schema, example_config, load_config
from attribution.config.scorecard import Scorecard
from attribution.config.sections import Dimension, Output, Privacy, Quality, Review, Source, Theme
from attribution.config.whole import ReviewConfig

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
