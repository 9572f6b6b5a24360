"""What holds of every picture: words lie inside it and apart from each other."""

from __future__ import annotations

import numpy as np
import pytest


def _boxes(ax):
    ax.figure.draw_without_rendering()
    # A background patch is no part of the words.
    return [(t.get_text(), t.get_window_extent().extents) for t in ax.texts if t.get_text().strip()]


@pytest.fixture(scope="session")
def assert_readable():
    """Check that no text falls off or covers another."""

    def check(*axes):
        width, height = axes[0].figure.bbox.size
        found = [x for ax in axes for x in _boxes(ax)]
        words, boxes = [text for text, _ in found], np.array([box for _, box in found])
        low, high = boxes[:, :2], boxes[:, 2:]
        outside = (low < 0).any(axis=1) | (high > (width, height)).any(axis=1)
        assert not outside.any(), [words[i] for i in np.flatnonzero(outside)]
        covers = (high[:, None] > low[None] + 1) & (high[None] > low[:, None] + 1)
        pairs = np.argwhere(np.triu(covers.all(axis=2), 1))
        assert not len(pairs), [(words[i], words[j]) for i, j in pairs]

    return check


@pytest.fixture(scope="session")
def texts():
    """Return the texts of a role, as written."""

    def of(ax, role):
        return [t.get_text() for t in ax.texts if t.get_label() == f"_{role}" and t.get_text()]

    return of
