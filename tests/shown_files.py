"""Files that a page of the documentation shows in full: a code block below `<!-- path -->` is that file.

python -m tests.shown_files     # `make docs`: copies them again; a test compares
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- ([\w./]+) -->\n```\w*\n)(.*?)(```\n)", re.DOTALL)


def as_it_should_be(page: str) -> str:
    """The page's text with every shown file as it is now."""
    return BLOCK.sub(lambda block: block[1] + (ROOT / block[2]).read_text("utf-8") + block[4], page)


if __name__ == "__main__":
    for path in (ROOT / "docs").glob("*.md"):
        path.write_text(as_it_should_be(path.read_text("utf-8")), "utf-8")
