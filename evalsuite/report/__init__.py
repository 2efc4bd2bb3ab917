"""One self-contained HTML file about one run or several: opens from disk, without a network.

Public names: `report`.
"""

from evalsuite.report.write import report

__all__ = ["report"]
