"""Who publishes exported results, which no run knows."""

from dataclasses import dataclass

from evalsuite.errors import UnknownName

RELATIONSHIPS = ("first_party", "third_party", "collaborative", "other")
"""Every Eval Ever's words for the evaluator's relation to the model's makers (schema 0.3.0)."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """The organization that evaluated."""

    organization: str = "unknown"
    relationship: str = "other"
    """One of `RELATIONSHIPS`."""
    url: str = ""
    """Address of the published run, if there is one."""

    def __post_init__(self) -> None:
        if self.relationship not in RELATIONSHIPS:
            known = ", ".join(RELATIONSHIPS)
            raise UnknownName("relationship", self.relationship, RELATIONSHIPS, f"There are {known}.")
