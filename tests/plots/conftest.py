"""What holds of every picture: words lie inside it and apart from each other."""

from __future__ import annotations

import pytest


def _boxes(ax):
    ax.figure.draw_without_rendering()
    # A background patch is no part of the words.
    return [(t.get_text(), t.get_window_extent()) for t in ax.texts if t.get_text().strip()]


@pytest.fixture(scope="session")
def assert_readable():
    """Check that no text falls off or covers another."""

    def check(*axes):
        width, height = axes[0].figure.bbox.size
        found = [x for ax in axes for x in _boxes(ax)]
        for text, box in found:
            inside = box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height
            assert inside, (text, box)
        for i, (text, box) in enumerate(found):
            for other, against in found[i + 1 :]:
                apart = (
                    box.x1 <= against.x0 + 1
                    or against.x1 <= box.x0 + 1
                    or box.y1 <= against.y0 + 1
                    or against.y1 <= box.y0 + 1
                )
                assert apart, (text, other)

    return check


@pytest.fixture(scope="session")
def texts():
    """Return the texts of a role, as written."""

    def of(ax, role):
        return [t.get_text() for t in ax.texts if t.get_label() == f"_{role}" and t.get_text()]

    return of
