"""Pictures of the gallery: the axes that an example leaves in the name `picture`.

Our figures are not known to pyplot, so that no program holds them forever; sphinx-gallery's own
scraper asks pyplot.
"""

from __future__ import annotations

from typing import Any

from sphinx_gallery.scrapers import figure_rst

from attribution.plots import save


def scrape(block: Any, names: dict[str, Any], config: dict[str, Any]) -> str:
    """Save the picture of an example and return the text that shows it."""
    if "picture = " not in block[1]:
        return ""
    path = next(names["image_path_iterator"])
    save(names["example_globals"]["picture"], path, dpi=110)
    return figure_rst([path], config["src_dir"])
