"""Cube: named sums by period and segment (and cluster); what a scan leaves behind.

cube.py is the table of sums and how it is read; clusters.py the same sums split by cluster; scan.py
fills one from a table, for what asked.py finds asked; reshape.py makes a cube from a cube.
"""

from attribution.cube.asked import several
from attribution.cube.clusters import ClusterSums
from attribution.cube.cube import VOLUME, Cube
from attribution.cube.reshape import without_empty_levels

__all__ = ["VOLUME", "ClusterSums", "Cube", "several", "without_empty_levels"]
