"""Writes finished runs in the formats of other tools, so that the dashboards that people have keep working.

Public names: `export`, `EXPORTERS`.
"""

from evalsuite.export.formats import EXPORTERS, export

__all__ = ["EXPORTERS", "export"]
