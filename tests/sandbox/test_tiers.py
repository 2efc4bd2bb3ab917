"""Which tier is used, what it proves, and what is said where none works."""

import pytest

from evalsuite.errors import UserError
from evalsuite.sandbox import Program, ProgramOutcome, SandboxFailed, SandboxUnavailable, open_sandbox, tiers

PROGRAMS = [
    Program("def f(x): return x", "assert f(3) == 3"),
    Program("def f(x): return x", "assert f(3) == 4"),
    Program("import os\nos._exit(0)", "assert True"),
    Program("def f():\n    while True: pass", "f()", cpu_seconds=0.2),
    Program(
        "import numpy as np\ndef f(): return np.ones(2)", "import numpy as np\nassert np.allclose(f(), 1)"
    ),
    Program("def f():\n    open('kept', 'x').write('x')\n    return 1", "assert f() == 1"),
    Program("import os\ndef f():\n    os.chmod('.', 0)", "f()"),
    Program("def f():\n    open('kept', 'x').write('x')\n    return 1", "assert f() == 1"),
]
OUTCOMES = ["passed", "failed", "exited", "timeout", "passed", "passed", None, "passed"]


def test_every_tier_gives_the_same_verdicts(tier):
    outcomes = [verdict.outcome.value for verdict in tier.run(PROGRAMS)]
    # Whether a program may close its folder to others depends on who owns it.
    assert [told for told, wanted in zip(outcomes, OUTCOMES, strict=True) if wanted] == list(
        filter(None, OUTCOMES)
    )


def test_a_tier_names_its_proofs_and_layers(tier):
    assert tier.tier.name in tiers.NAMES
    assert "files cannot be read" in tier.tier.proofs
    assert len(tier.tier.proofs) == 12
    assert "seccomp" in tier.tier.note


def test_the_strongest_tier_is_the_default():
    with open_sandbox(workers=1) as sandbox:
        assert sandbox.tier.name == "namespaces"


def test_the_unsafe_tier_needs_permission():
    with pytest.raises(SandboxUnavailable, match="--allow-unsafe-code"), open_sandbox(tier="rlimits"):
        pass


def test_an_unknown_tier_is_named_with_the_known():
    with (
        pytest.raises(UserError, match=r"Unknown sandbox tier 'namespace'.*namespaces"),
        open_sandbox(tier="namespace"),
    ):
        pass


def refused(*names):
    """`maker` on a machine where these tiers cannot start."""

    def make(name, folder):
        if name in names:
            raise SandboxFailed(f"unshare: Operation not permitted ({name})")
        return tiers_maker(name, folder)

    tiers_maker = tiers.maker
    return make


def test_a_tier_that_cannot_start_gives_way_to_the_next(monkeypatch):
    monkeypatch.setattr(tiers, "maker", refused("namespaces", "bubblewrap"))
    with open_sandbox(workers=1, allow_unsafe=True) as sandbox:
        assert sandbox.tier.name == "rlimits"


def test_where_no_tier_works_it_says_what_to_enable(monkeypatch):
    monkeypatch.setattr(tiers, "maker", refused("namespaces", "bubblewrap"))
    with pytest.raises(SandboxUnavailable) as caught, open_sandbox(workers=1):
        pass
    message = str(caught.value)
    assert "namespaces: unshare: Operation not permitted" in message
    assert "install bubblewrap" in message
    assert "--allow-unsafe-code" in message


def test_another_processor_is_named(monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    with pytest.raises(SandboxUnavailable, match="x86_64 or aarch64, not linux on riscv64"), open_sandbox():
        pass


def test_a_kernel_switch_that_forbids_user_namespaces_is_named(monkeypatch):
    monkeypatch.setattr(tiers, "_read", lambda path: "0" if path.endswith("max_user_namespaces") else "")
    assert "set sysctl user.max_user_namespaces=10000" in tiers.switches()


def test_a_tier_whose_self_test_fails_is_not_used(monkeypatch, tmp_path):
    from evalsuite.sandbox import proofs

    broken = proofs.Proof("pigs can fly", Program("x = 1", "assert x == 2"), (ProgramOutcome.PASSED,))
    monkeypatch.setattr(proofs, "hostile", lambda folder: iter([broken]))
    with pytest.raises(SandboxUnavailable, match="self-test failed: pigs can fly"), open_sandbox(workers=1):
        pass
