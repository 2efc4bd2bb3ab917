"""What the shell offers for a half-typed value."""


def tasks(incomplete: str) -> list[str]:
    """Addresses of tasks; of a comma-separated list the last one is completed."""
    from evalsuite.registry.registry import Registry

    before, comma, last = incomplete.rpartition(",")
    registry = Registry.load()
    names = dict.fromkeys(registry.task_names())
    names |= dict.fromkeys(
        f"{recipe}/{task}" + (f":{form}" if form else "") for recipe, task, form in registry.forms()
    )
    return [f"{before}{comma}{name}" for name in names if name.startswith(last)]


def models(incomplete: str) -> list[str]:
    """Aliases of models; folders are offered by the shell itself."""
    from evalsuite.checkpoints.aliases import aliases

    return [name for name in aliases() if name.startswith(incomplete)]


def recipes(incomplete: str) -> list[str]:
    """Names of recipes."""
    from evalsuite.registry.registry import Registry

    return [name for name in Registry.load().recipe_names() if name.startswith(incomplete)]
