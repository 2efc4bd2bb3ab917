"""Shell completion of option values."""


def tasks(incomplete: str) -> list[str]:
    """Task addresses that complete the last entry of a comma-separated list."""
    from evalsuite.registry.registry import Registry

    before, comma, last = incomplete.rpartition(",")
    registry = Registry.load()
    names = dict.fromkeys([*registry.suites.names(), *registry.task_names()])
    names |= dict.fromkeys(
        f"{recipe}/{task}" + (f":{form}" if form else "") for recipe, task, form in registry.forms()
    )
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]


def models(incomplete: str) -> list[str]:
    """Model aliases; the shell itself completes folders."""
    from evalsuite.checkpoints.aliases import aliases

    return [name for name in aliases() if name.startswith(incomplete)]


def recipes(incomplete: str) -> list[str]:
    """Recipe names."""
    from evalsuite.registry.registry import Registry

    return [name for name in Registry.load().recipe_names() if name.startswith(incomplete)]
