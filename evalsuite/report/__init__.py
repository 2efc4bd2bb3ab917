"""Writes one or several runs as a self-contained HTML page that needs no network.

Public names: `report`.
"""

from evalsuite.report.write import report

__all__ = ["report"]
