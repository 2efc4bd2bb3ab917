"""Loads the rows of a pinned dataset split from the first source that has it.

Importing this package is fast: the functions that need pyarrow, pandas, datasets and huggingface_hub import
them.
"""

from evalsuite.data.fingerprint import fingerprint
from evalsuite.data.load import Rows, load_split
from evalsuite.data.refs import DatasetRef, Pin, StandIn

__all__ = ["DatasetRef", "Pin", "Rows", "StandIn", "fingerprint", "load_split"]
