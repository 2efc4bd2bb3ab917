"""transformers without its progress bars and hints: the run log says what users need to know."""

import contextlib
import logging
from collections.abc import Iterator


@contextlib.contextmanager
def quiet_transformers() -> Iterator[None]:
    """Show only transformers' errors, and no progress bars; with --verbose, show everything."""
    if logging.getLogger().isEnabledFor(logging.INFO):
        yield
        return
    from tqdm import auto  # type: ignore[import-untyped]
    from transformers.utils import logging as transformers_logging

    verbosity = transformers_logging.get_verbosity()
    bars = transformers_logging.is_progress_bar_enabled()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    # The GGUF reader uses tqdm directly and ignores transformers' own switch.
    original = auto.tqdm.__init__
    auto.tqdm.__init__ = lambda bar, *args, **options: original(bar, *args, **{**options, "disable": True})
    try:
        yield
    finally:
        auto.tqdm.__init__ = original
        transformers_logging.set_verbosity(verbosity)
        if bars:
            transformers_logging.enable_progress_bar()
