"""The look of every picture: fonts and colors, applied inside a context and never globally."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Self

from attribution.errors import ColumnTypeError, OptionError, check_option

__all__ = ["THEME", "Theme", "look"]

STYLES = ["ibcs", "plain"]
_HEX = re.compile(r"#[0-9a-fA-F]{6}")
_COLORS = ("good", "bad", "neutral", "current", "baseline", "ink", "quiet", "paper")
# WCAG: shapes need 3 to 1 against their ground.
_SHAPE_CONTRAST = 3.0


@dataclass(frozen=True)
class Theme:
    """Fonts, sizes in points, and colors of pictures.

    A company sets one up once and draws inside it; within the block every picture, report and
    deck uses it, and after the block nothing is left of it. Every picture also takes one as its
    argument `theme`.

    Parameters
    ----------
    fonts : sequence of str
        Font families, the preferred one first. A character comes from the first installed font
        that has it; `fallback_fonts` are asked after them.
    fallback_fonts : sequence of str
        Fonts for scripts that `fonts` lack.
    title_size, size, small_size : float
        Of the message, of labels and numbers, and of the small print.
    good, bad, neutral : str
        Steps by impact. Blue and orange stay apart for the color-blind and in grayscale print.
    current, baseline : str
        The totals: the current period solid dark, the earlier one solid lighter.
    series : tuple of str
        Kinds that are neither good nor bad: Paul Tol's "bright", safe for the color-blind.
    ink, quiet, paper : str
        Text and whiskers; small print and connectors; background.
    style : {"ibcs", "plain"}
        "ibcs" writes the message above a picture and source, n and method below it. "plain" leaves
        both to the page that the picture goes on.

    Raises
    ------
    OptionError
        A color is not of the form "#1f6fb4" (which every office format knows too), a size is not
        positive, or another style.

    References
    ----------
    IBCS Association (2022). IBCS Standards 1.2.

    Examples
    --------
    >>> company = Theme(fonts=["Arial"], good="#00695c", bad="#c62828")
    >>> with company.dark():
    ...     print(Theme.in_use().paper)
    #1b1c1f
    >>> Theme.in_use() == Theme()
    True
    """

    fonts: tuple[str, ...] = ("DejaVu Sans",)
    fallback_fonts: tuple[str, ...] = (
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
    series: tuple[str, ...] = (
        "#4477aa",
        "#ccbb44",
        "#228833",
        "#66ccee",
        "#aa3377",
        "#bbbbbb",
        "#ee6677",
    )
    ink: str = "#222222"
    quiet: str = "#666666"
    paper: str = "#ffffff"
    style: str = "ibcs"

    def __post_init__(self) -> None:
        for name in ("fonts", "fallback_fonts"):
            given = getattr(self, name)
            if isinstance(given, str):
                raise OptionError(f"{name}: {given!r} is one text; pass a list of font families.")
            object.__setattr__(self, name, tuple(given))
        for name in _COLORS:
            value = getattr(self, name)
            if not isinstance(value, str) or not _HEX.fullmatch(value):
                raise OptionError(f'{name}: {value!r} is not a color of the form "#1f6fb4".')
        for name in ("title_size", "size", "small_size"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise OptionError(f"{name}: {value!r} is not a size in points above 0.")
        check_option("style", self.style, STYLES)

    # -- which one is in use -----------------------------------------------------------------

    def __enter__(self) -> Self:
        _IN_USE.set((*_IN_USE.get(), self))
        return self

    def __exit__(self, *_: object) -> None:
        _IN_USE.set(_IN_USE.get()[:-1])

    @staticmethod
    def in_use() -> Theme:
        """Return the theme of the innermost ``with`` block, else the default one."""
        stack = _IN_USE.get()
        return stack[-1] if stack else THEME

    # -- variants ----------------------------------------------------------------------------

    def dark(self) -> Theme:
        """Return the theme on dark paper, its colors lightened as far as they need to be.

        The current period is then the lightest of the totals, as it was the darkest.
        """
        paper = "#1b1c1f"
        totals = {"current": "#d8d8d8", "baseline": "#7a7a7a", "ink": "#ececec", "quiet": "#a9a9a9"}
        kept = {
            name: _lightened(getattr(self, name), paper, _SHAPE_CONTRAST)
            for name in ("good", "bad", "neutral")
        }
        return replace(self, paper=paper, **totals, **kept)

    def tint(self, color: str, strength: float = 0.35) -> str:
        """Return the color mixed with paper: what is drawn but cannot be told from noise.

        Parameters
        ----------
        color : str
        strength : float
            1 is the color itself, 0 is paper.
        """
        return _mixed(color, self.paper, strength)

    def on(self, ground: str) -> str:
        """Return the color of text that can be read on a ground: ink, or its opposite.

        Parameters
        ----------
        ground : str
        """
        return max(("#ffffff", "#000000"), key=lambda text: contrast(text, ground))

    # -- matplotlib --------------------------------------------------------------------------

    def families(self) -> list[str]:
        """Return the installed ones of its fonts; the font that ships with matplotlib is last."""
        from matplotlib import font_manager

        asked = (*self.fonts, *self.fallback_fonts)
        installed = set(font_manager.get_font_names())
        if installed.isdisjoint({*asked} - {"DejaVu Sans"}):
            _add_newer_fonts(asked)
            installed = set(font_manager.get_font_names())
        return list(dict.fromkeys([*(f for f in asked if f in installed), "DejaVu Sans"]))

    @contextmanager
    def context(self) -> Iterator[None]:
        """Enter a context in which artists are made with this theme and no user style.

        Families are set by name: a generic "sans-serif" would be looked up in the caller's
        settings when the figure is drawn, long after the context has ended.
        """
        import matplotlib as mpl
        from matplotlib import style

        own = {"font.family": self.families(), "text.color": self.ink}
        with style.context(["default", own]):
            yield
            interactive = mpl.is_interactive()
        # A notebook turns interactive mode on with its first figure, which may be one of ours. With
        # the old settings that would be off again, and no later figure of the notebook be shown.
        mpl.interactive(interactive)


@cache
def _add_newer_fonts(families: tuple[str, ...]) -> None:
    """Tell matplotlib of fonts installed since it made the list that it keeps on disk."""
    from matplotlib import font_manager

    known = {font.fname for font in font_manager.fontManager.ttflist}
    starts = tuple(re.sub(r"[^a-z0-9]", "", family.lower())[:11] for family in families)
    for path in font_manager.findSystemFonts():
        name = re.sub(r"[^a-z0-9]", "", Path(path).stem.lower())
        if path not in known and name.startswith(starts):
            # A broken font file is as good as none.
            with suppress(OSError, RuntimeError):
                font_manager.fontManager.addfont(path)


def look(ax: object, theme: object) -> Theme:
    """Return the theme of a picture, and refuse what is no theme or no axes.

    Parameters
    ----------
    ax : Axes or None
        None: the picture makes its own.
    theme : Theme or None
        None: the one in use.

    Returns
    -------
    Theme

    Raises
    ------
    ColumnTypeError
        Something else is given.

    Examples
    --------
    >>> look(None, None) == Theme.in_use()
    True
    >>> look(None, "dark")
    Traceback (most recent call last):
    ...
    attribution.errors.ColumnTypeError: theme: 'dark' is not an at.Theme. Pass one, as in \
at.Theme().dark() or at.Theme(style="plain"), or None for the one in use.
    """
    from matplotlib.axes import Axes

    if not (theme is None or isinstance(theme, Theme)):
        raise ColumnTypeError(
            f"theme: {theme!r:.80} is not an at.Theme. Pass one, as in at.Theme().dark() or "
            'at.Theme(style="plain"), or None for the one in use.'
        )
    if not (ax is None or isinstance(ax, Axes)):
        raise ColumnTypeError(
            f"ax: {type(ax).__name__} is not matplotlib axes. Pass one, as in "
            "figure, ax = plt.subplots(), or None for a picture of its own."
        )
    return Theme.in_use() if theme is None else theme


def contrast(color: str, ground: str) -> float:
    """Return the contrast of two colors by WCAG, from 1 to 21.

    Parameters
    ----------
    color, ground : str

    Returns
    -------
    float

    Examples
    --------
    >>> round(contrast("#000000", "#ffffff"))
    21
    """
    low, high = sorted(_luminance(c) for c in (color, ground))
    return (high + 0.05) / (low + 0.05)


def _channels(color: str) -> list[float]:
    return [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]


def _luminance(color: str) -> float:
    linear = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in _channels(color))
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def _mixed(color: str, other: str, strength: float) -> str:
    pairs = zip(_channels(color), _channels(other), strict=True)
    return "#" + "".join(
        f"{round(255 * (strength * a + (1 - strength) * b)):02x}" for a, b in pairs
    )


def _lightened(color: str, ground: str, least: float) -> str:
    """Mix with as little white as the contrast to the ground needs."""
    for white in range(0, 101, 5):
        lighter = _mixed("#ffffff", color, white / 100)
        if contrast(lighter, ground) >= least:
            return lighter
    return "#ffffff"


_IN_USE: ContextVar[tuple[Theme, ...]] = ContextVar("theme", default=())

THEME = Theme()
