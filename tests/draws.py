"""How many inputs hypothesis draws where one takes long: few every day, more when it searches."""

from hypothesis import HealthCheck, settings

SEARCH = 10


def draws(everyday: int) -> settings:
    """That many examples, and `SEARCH` times as many under `--hypothesis-profile search`."""
    searching = settings.get_current_profile_name() == "search"
    return settings(
        max_examples=everyday * SEARCH if searching else everyday,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
