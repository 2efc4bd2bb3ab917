"""Policies are read strictly, and refused with line and field."""

import pytest

from evalsuite.decisions.gate.policy import Policy, read_policy
from evalsuite.errors import UserError


@pytest.fixture
def read(tmp_path):
    def of(text: str) -> Policy:
        path = tmp_path / "policy.yaml"
        path.write_text(text, "utf-8")
        return read_policy(path)

    return of


def test_a_policy_says_tier_and_margin_by_task(read):
    found = read("tasks:\n  mmlu: {tier: critical, margin: 0.01}\npooled: {margin: 0.005}\nalpha: 0.025\n")
    assert (found.tasks["mmlu"].tier, found.tasks["mmlu"].margin) == ("critical", 0.01)
    assert (found.pooled.margin, found.alpha, found.default.tier) == (0.005, 0.025, "supporting")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "default:\n  tier: critical\n  max_drop: 0.1\n",
            "line 3: unknown field 'default.max_drop'; the fields are tier, margin, discordance",
        ),
        (
            "tasks:\n  mmlu:\n    margn: 0.1\n",
            "line 3: unknown field 'tasks.mmlu.margn'; did you mean 'margin'?",
        ),
        ("alfa: 0.1\n", "line 1: unknown field 'alfa'; did you mean 'alpha'?"),
        (
            "tasks:\n  mmlu: {tier: vital}\n",
            "line 2: 'tasks.mmlu.tier' is 'vital': input should be 'critical',",
        ),
        ("\n\ndefault: {margin: -1}\n", "line 3: 'default.margin' is -1: input should be greater than 0."),
        ("version: 2\n", "line 1: 'version' is 2: input should be 1."),
        ("tasks:\n  mmlu: {margin: 0.1}\n  mmlu: {margin: 0.2}\n", "line 3: 'mmlu' is given twice."),
        ("tasks: [\n", "is not valid YAML"),
        ("- mmlu\n", "must be a mapping of fields"),
        ("", "must be a mapping of fields"),
    ],
)
def test_a_mistake_is_named_with_line_and_field(read, text, said):
    with pytest.raises(UserError) as error:
        read(text)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_policy_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yaml cannot be read: No such file"):
        read_policy(tmp_path / "nowhere.yaml")
