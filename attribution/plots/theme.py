"""The look of every picture: fonts and colors, applied inside a context and never globally."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass

__all__ = ["THEME", "Theme"]


@dataclass(frozen=True)
class Theme:
    """Fonts, sizes in points, and colors.

    Attributes
    ----------
    fonts : tuple of str
        Font families; a character comes from the first installed one that has it.
    title_size, size, small_size : float
    good, bad, neutral : str
        Steps by impact. Blue and orange stay apart for the color-blind and in grayscale print.
    current, baseline : str
        The totals: the current period solid dark, the earlier one solid lighter.
    ink, quiet, paper : str
        Text and whiskers; small print and connectors; background.
    """

    fonts: tuple[str, ...] = (
        "DejaVu Sans",
        "Noto Sans CJK SC",
        "Noto Sans CJK JP",
        "Noto Sans SC",
        "Microsoft YaHei",
        "PingFang SC",
        "Hiragino Sans",
        "Malgun Gothic",
        "WenQuanYi Zen Hei",
        "Noto Sans Thai",
        "Noto Sans Devanagari",
        "Arial Unicode MS",
    )
    title_size: float = 12.5
    size: float = 9.0
    small_size: float = 7.5
    good: str = "#1f6fb4"
    bad: str = "#e1812c"
    neutral: str = "#8c8c8c"
    current: str = "#3a3a3a"
    baseline: str = "#a8a8a8"
    ink: str = "#222222"
    quiet: str = "#666666"
    paper: str = "#ffffff"

    def families(self) -> list[str]:
        """Return the installed ones of `fonts`; the font that ships with matplotlib is last."""
        from matplotlib import font_manager

        installed = set(font_manager.get_font_names())
        return list(dict.fromkeys([*(f for f in self.fonts if f in installed), "DejaVu Sans"]))

    def context(self) -> AbstractContextManager[None]:
        """Return a context in which artists are made with this theme and no user style.

        Families are set by name: a generic "sans-serif" would be looked up in the caller's
        settings when the figure is drawn, long after the context has ended.
        """
        from matplotlib import style

        return style.context(["default", {"font.family": self.families(), "text.color": self.ink}])

    def tint(self, color: str) -> str:
        """Return the color mixed with paper: what is drawn but cannot be told from noise."""
        from matplotlib.colors import to_hex, to_rgb

        pairs = zip(to_rgb(color), to_rgb(self.paper), strict=True)
        red, green, blue = (0.35 * c + 0.65 * p for c, p in pairs)
        return to_hex((red, green, blue))


THEME = Theme()
