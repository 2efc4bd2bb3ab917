"""Rows of a pinned data set split, from the first source that has it.

Importing this package stays light: pyarrow, pandas, datasets and huggingface_hub are imported
by the functions that need them.
"""

from evalsuite.data.fingerprint import fingerprint
from evalsuite.data.load import Rows, load_split
from evalsuite.data.refs import DatasetRef, Pin, StandIn

__all__ = ["DatasetRef", "Pin", "Rows", "StandIn", "fingerprint", "load_split"]
