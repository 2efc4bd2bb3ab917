"""Scores generated programs: extracts the program from a text and runs its tests in the sandbox."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from evalsuite.errors import UserError
from evalsuite.prompting.spec import CodeRun, PromptSpec
from evalsuite.prompting.templates import compile_template
from evalsuite.sandbox import (
    Inseparable,
    Program,
    ProgramOutcome,
    ProgramVerdict,
    Sandbox,
    SandboxFailed,
    SandboxTier,
    TooSlow,
    open_sandbox,
    with_limit,
)
from evalsuite.sandbox.program import Mode
from evalsuite.scoring.plus_tests import KEPT, keeping_script, script_with
from evalsuite.scoring.verdict import Options, Scored, TextVerdict, generated_texts
from evalsuite.scoring.workers import ScorerFailed, call_all
from evalsuite.types import CodeProblem, Sample

FACTOR = 4.0
"""Time limit of a program as a multiple of the reference solution's time (evalplus 0.3.1, config.py)."""
MEMORY_MB = 4096
"""Memory limit (evalplus 0.3.1, `query_maximum_memory_bytes`); some tests of MBPP+ need more than 1 GiB."""
REFERENCE_SECONDS = 120.0
"""CPU limit of a reference solution; one of MBPP+ uses 37 s on a core of 2026, more on a shared core."""
SANITIZER_SECONDS = 20.0
"""CPU limit per text; a megabyte takes a few seconds. A text that takes longer is run unchanged."""
_SANITIZER_HUNG = 600.0
"""Wall-clock seconds after which the sanitizer's process counts as hung, even on a busy machine."""

Attempt = tuple[Sample, str]
"""A document and one of its generated texts."""
Ended = ProgramVerdict | SandboxFailed


def code_verdicts(samples: Sequence[Sample], spec: PromptSpec, options: Options) -> Scored:
    """Run all programs of a task; raises UserError if no sandbox works.

    The tests that the spec names (and the base tests, if it says so) decide `pass@k`; the base tests decide
    `base_pass@k`. If a reference solution does not pass its tests on this machine (because a library is
    missing, for example), its document gets no verdict.
    """
    assert spec.code is not None
    names = _tests_that_run(spec.code, spec.metrics)
    deciding = names if spec.code.base_too else names[:1]
    attempts = [(sample, text) for sample in samples for text in generated_texts(sample)]
    programs = _programs(attempts, spec, options.workers)
    with open_sandbox(options.workers, allow_unsafe=options.allow_unsafe_code) as sandbox:
        references = _references(samples, names, sandbox, spec.code.seconds)
        runs = [
            _runs(program, [references[_key(sample, name)] for name in names])
            for (sample, _), program in zip(attempts, programs, strict=True)
        ]
        ended = _ended(runs, sandbox, options)
        notes = _notes(sandbox.tier, ended)
    verdicts = iter(_judged(*pair, names, deciding, ended) for pair in zip(programs, runs, strict=True))
    return Scored([[next(verdicts) for _ in generated_texts(sample)] for sample in samples], notes)


def _tests_that_run(code: CodeRun, metrics: Sequence[str]) -> tuple[str, ...]:
    """Names of the tests to run, those that decide pass@k first."""
    asks_for_base = code.base_too or any(name.startswith("base_pass") for name in metrics)
    return (code.tests, "base") if asks_for_base and code.tests != "base" else (code.tests,)


def _programs(attempts: Sequence[Attempt], spec: PromptSpec, workers: int | None) -> list[str]:
    """The program of each text; the unchanged text if it makes the sanitizer fail."""
    assert spec.code is not None
    template = compile_template(spec.code.program, f"{spec.recipe}/{spec.task}: program")
    problems = [_problem(sample) for sample, _ in attempts]
    texts = [
        template(text=text, stem=problem.stem, entry_point=problem.entry_point, row=sample.document.row)
        for (sample, text), problem in zip(attempts, problems, strict=True)
    ]
    if spec.code.sanitize == "no" or not texts:
        return texts
    python = spec.code.sanitize == "python"
    calls = [
        (
            SANITIZER_SECONDS,
            text,
            problem.entry_point if spec.code.reachable or python else None,
            spec.code.sanitize,
        )
        for text, problem in zip(texts, problems, strict=True)
    ]
    return [
        text if isinstance(program, ScorerFailed) else program
        for text, program in zip(texts, _sanitized(calls, workers), strict=True)
    ]


def _sanitized(calls: Sequence[Sequence[Any]], workers: int | None) -> list[str | ScorerFailed]:
    """The programs; failed calls are repeated once, and the second result counts."""
    target = "evalsuite.scoring.sanitize:sanitized_within"
    programs = call_all(target, calls, limit=_SANITIZER_HUNG, workers=workers)
    again = [number for number, program in enumerate(programs) if isinstance(program, ScorerFailed)]
    if again:
        second = call_all(target, [calls[number] for number in again], limit=_SANITIZER_HUNG, workers=workers)
        for number, program in zip(again, second, strict=True):
            programs[number] = program
    return programs


def _problem(sample: Sample) -> CodeProblem:
    question = sample.document.question
    if not isinstance(question, CodeProblem):
        raise UserError(f"A {type(question).__name__} has no tests; the format 'code' is for code problems.")
    return question


ProgramKey = tuple[str, str, str]
"""Reference solution, tests and entry point."""


def _key(sample: Sample, name: str) -> ProgramKey:
    problem = _problem(sample)
    if name not in problem.tests:
        known = ", ".join(problem.tests)
        raise UserError(f"The prompt spec names the tests '{name}', but a problem has only {known}.")
    return problem.solution, problem.tests[name], problem.entry_point


def _references(
    samples: Sequence[Sample], names: Sequence[str], sandbox: Sandbox, seconds: float
) -> dict[ProgramKey, Program | SandboxFailed]:
    """Each problem's reference solution with each of its tests, and with the measured time limit.

    Published tests that no answer passes have the smallest limit. A solution that does not pass gives a
    SandboxFailed.
    """
    unpassable: dict[ProgramKey, bool] = {}
    for sample in samples:
        unpassable |= {_key(sample, name): name in _problem(sample).unpassable for name in names}
    plain = {
        key: Program(key[0], key[1], cpu_seconds=seconds, memory_mb=MEMORY_MB, entry_point=key[2])
        for key in unpassable
    }
    timed = _limited([plain[key] for key, hopeless in unpassable.items() if not hopeless], sandbox, seconds)
    return {key: timed.get(program, program) for key, program in plain.items()}


def _limited(
    solutions: Sequence[Program], sandbox: Sandbox, seconds: float
) -> dict[Program, Program | SandboxFailed]:
    """The solutions with their time limits and modes; mode `token` if they pass in no other.

    A result can be too large to send to another process: one of MBPP+ has 900 MB. A solution that is too slow
    would not be faster in the same process as its tests.
    """

    def limited(mode: Mode, most: float, part: Sequence[Program]) -> dict[Program, Program | SandboxFailed]:
        measured = [replace(_keeping(solution), mode=mode, cpu_seconds=most) for solution in part]
        return {
            solution: with_limit(_with_kept(solution, verdict), verdict, seconds, FACTOR)
            for solution, verdict in zip(part, sandbox.run(measured), strict=True)
        }

    automatic = limited("auto", REFERENCE_SECONDS, solutions)
    failed = [
        solution
        for solution, program in automatic.items()
        if isinstance(program, SandboxFailed) and not isinstance(program, TooSlow)
    ]
    return automatic | limited("token", 2 * REFERENCE_SECONDS, failed)


def _keeping(solution: Program) -> Program:
    """The solution with tests that keep its results, if they compute the expected ones with a function."""
    script = keeping_script(solution.tests)
    return replace(solution, tests=script, keeps=KEPT) if script else solution


def _with_kept(solution: Program, verdict: ProgramVerdict | SandboxFailed) -> Program:
    """The solution with the kept results in its tests, so that other programs' runs need not compute them."""
    if isinstance(verdict, SandboxFailed) or not verdict.kept:
        return solution
    return replace(solution, tests=script_with(solution.tests, verdict.kept))


def _runs(program: str, references: Sequence[Program | SandboxFailed]) -> list[Program | SandboxFailed]:
    """The references' runs with `program` in place of the solution."""
    return [
        reference if isinstance(reference, SandboxFailed) else replace(reference, code=program)
        for reference in references
    ]


def _ended(
    runs: Sequence[Sequence[Program | SandboxFailed]], sandbox: Sandbox, options: Options
) -> dict[Program, Ended]:
    """The result of each program; a program of several texts runs once."""
    programs = list(dict.fromkeys(run for group in runs for run in group if isinstance(run, Program)))

    def on_done(_: int) -> None:
        options.on_verdicts(1, len(programs))

    return dict(zip(programs, map(_by_the_program, sandbox.run(programs, on_done)), strict=True))


def _by_the_program(ended: Ended) -> Ended:
    """The result; a program is wrong if the sandbox can separate only the reference from the tests."""
    return ProgramVerdict(ProgramOutcome.ERROR, str(ended)) if isinstance(ended, Inseparable) else ended


def _judged(
    program: str,
    runs: Sequence[Program | SandboxFailed],
    names: Sequence[str],
    deciding: Sequence[str],
    ended: Mapping[Program, Ended],
) -> TextVerdict | ScorerFailed:
    verdicts = []
    for name, run in zip(names, runs, strict=True):
        verdict = ended[run] if isinstance(run, Program) else run
        if isinstance(verdict, SandboxFailed):
            return ScorerFailed(f"{name} tests: {verdict}")
        verdicts.append(verdict)
    passed = {name: verdict.passed for name, verdict in zip(names, verdicts, strict=True)}
    correct = all(passed[name] for name in deciding)
    values = {"pass": float(correct)} | ({"base_pass": float(passed["base"])} if len(names) > 1 else {})
    decider = "; ".join(_in_words(*pair) for pair in zip(names, verdicts, strict=True))
    return TextVerdict(correct, program, decider, values)


def _in_words(name: str, verdict: ProgramVerdict) -> str:
    detail = f" ({verdict.detail[:200]})" if verdict.detail and not verdict.passed else ""
    return f"{name} tests: {verdict.outcome}{detail}"


def _notes(tier: SandboxTier, ended: Mapping[Program, Ended]) -> tuple[str, ...]:
    return (
        f"Programs ran in the sandbox's tier '{tier.name}' ({tier.note}); self-test attacks blocked at "
        f"start: {', '.join(tier.proofs)}.",
        *_counts(ended),
    )


def _counts(ended: Mapping[Program, Ended]) -> Iterator[str]:
    verdicts = [verdict for verdict in ended.values() if isinstance(verdict, ProgramVerdict)]
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    if count := outcomes[ProgramOutcome.TIMEOUT]:
        yield f"{count} of {len(verdicts)} program runs reached their time limit and count as wrong."
    if count := outcomes[ProgramOutcome.MEMORY]:
        yield f"{count} of {len(verdicts)} program runs reached their memory limit and count as wrong."
    if count := sum(verdict.mode == "token" for verdict in verdicts):
        yield f"{count} of {len(verdicts)} program runs had their tests in the same process (mode token)."
