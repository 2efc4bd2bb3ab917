"""Verdicts on generated programs: text to program, program into the sandbox, its tests decide."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from evalsuite.errors import UserError
from evalsuite.prompting.spec import CodeRun, PromptSpec
from evalsuite.prompting.templates import compile_template
from evalsuite.sandbox import Outcome, Program, Sandbox, SandboxFailed, Tier, Verdict, open_sandbox
from evalsuite.sandbox.program import Mode
from evalsuite.scoring.verdict import Options, Scored, TextVerdict, generated_texts
from evalsuite.scoring.workers import ScorerFailed, call_all
from evalsuite.types import CodeProblem, Sample

FACTOR = 4.0
"""Time limit of a program as a multiple of what the reference solution takes (evalplus 0.3.1, config.py)."""
MEMORY_MB = 4096
"""Memory of a program (evalplus 0.3.1, `query_maximum_memory_bytes`); some tests of MBPP+ need more than one GiB."""
SANITIZER_SECONDS = 60.0
"""For one text: twice what 700 lines of a model that goes in circles were seen to take."""

Attempt = tuple[Sample, str]
"""A document and one of the texts that it was answered with."""
Ended = Verdict | SandboxFailed


def code_verdicts(samples: Sequence[Sample], spec: PromptSpec, options: Options) -> Scored:
    """Runs all programs of a task; raises UserError where no sandbox works.

    `pass@k` is decided by the tests that the spec names, `base_pass@k` by the base tests. A reference solution that
    does not pass its tests here (a library is missing, say) leaves its document without a verdict.
    """
    assert spec.code is not None
    names = _tests_that_run(spec.code, spec.metrics)
    attempts = [(sample, text) for sample in samples for text in generated_texts(sample)]
    programs = _programs(attempts, spec, options.workers)
    with open_sandbox(options.workers, allow_unsafe=options.allow_unsafe_code) as sandbox:
        references = _references(samples, names, sandbox, spec.code.seconds)
        runs = [
            _runs(program, [references[_key(sample, name)] for name in names])
            for (sample, _), program in zip(attempts, programs, strict=True)
        ]
        ended = _ended(runs, sandbox)
        notes = _notes(sandbox.tier, ended)
    verdicts = iter(_judged(*pair, names, ended) for pair in zip(programs, runs, strict=True))
    return Scored([[next(verdicts) for _ in generated_texts(sample)] for sample in samples], notes)


def _tests_that_run(code: CodeRun, metrics: Sequence[str]) -> tuple[str, ...]:
    """Names of the tests, the deciding ones first."""
    asks_for_base = any(name.startswith("base_pass") for name in metrics)
    return (code.tests, "base") if asks_for_base and code.tests != "base" else (code.tests,)


def _programs(attempts: Sequence[Attempt], spec: PromptSpec, workers: int | None) -> list[str | ScorerFailed]:
    """The program of each text."""
    assert spec.code is not None
    template = compile_template(spec.code.program, f"{spec.recipe}/{spec.task}: program")
    problems = [_problem(sample) for sample, _ in attempts]
    texts = [
        template(text=text, stem=problem.stem, entry_point=problem.entry_point, row=sample.document.row)
        for (sample, text), problem in zip(attempts, problems, strict=True)
    ]
    if spec.code.sanitize == "no" or not texts:
        return [*texts]
    calls = [
        (text, problem.entry_point if spec.code.reachable else None, spec.code.sanitize)
        for text, problem in zip(texts, problems, strict=True)
    ]
    target = "evalsuite.scoring.sanitize:sanitized"
    return call_all(target, calls, limit=SANITIZER_SECONDS, workers=workers)


def _problem(sample: Sample) -> CodeProblem:
    question = sample.document.question
    if not isinstance(question, CodeProblem):
        raise UserError(f"A {type(question).__name__} has no tests; the format 'code' is for code problems.")
    return question


Key = tuple[str, str]
"""Reference solution and tests."""


def _key(sample: Sample, name: str) -> Key:
    problem = _problem(sample)
    if name not in problem.tests:
        known = ", ".join(problem.tests)
        raise UserError(f"A problem has no tests '{name}', which the prompt spec names; it has {known}.")
    return problem.solution, problem.tests[name]


def _references(
    samples: Sequence[Sample], names: Sequence[str], sandbox: Sandbox, seconds: float
) -> dict[Key, Program | SandboxFailed]:
    """The reference solution's run of each problem with each of its tests, with the time limit found here.

    Published tests that no answer passes have the least limit. Where the solution does not pass, there is no run.
    """
    unpassable: dict[Key, bool] = {}
    for sample in samples:
        unpassable |= {_key(sample, name): name in _problem(sample).unpassable for name in names}
    plain = {key: Program(*key, cpu_seconds=seconds, memory_mb=MEMORY_MB) for key in unpassable}
    timed = _limited([plain[key] for key, hopeless in unpassable.items() if not hopeless], sandbox, seconds)
    return {key: timed.get(program, program) for key, program in plain.items()}


def _limited(
    solutions: Sequence[Program], sandbox: Sandbox, seconds: float
) -> dict[Program, Program | SandboxFailed]:
    """The solutions with their time limits; in mode `token` where they pass in no other.

    A result can be too large to leave its process: one of MBPP+ has 900 MB.
    """

    def limited(mode: Mode, most: float, some: Sequence[Program]) -> dict[Program, Program | SandboxFailed]:
        programs = [replace(solution, mode=mode) for solution in some]
        limits = sandbox.calibrate(programs, floor=seconds, factor=FACTOR, most=most)
        return {
            solution: limit if isinstance(limit, SandboxFailed) else replace(program, cpu_seconds=limit)
            for solution, program, limit in zip(some, programs, limits, strict=True)
        }

    found = limited("auto", 20.0, solutions)
    failed = [solution for solution, program in found.items() if isinstance(program, SandboxFailed)]
    return found | limited("token", 60.0, failed)


def _runs(
    program: str | ScorerFailed, references: Sequence[Program | SandboxFailed]
) -> list[Program | SandboxFailed]:
    """The references' runs with `program` in their place; none for a text that gave no program."""
    if isinstance(program, ScorerFailed):
        return []
    return [one if isinstance(one, SandboxFailed) else replace(one, code=program) for one in references]


def _ended(runs: Sequence[Sequence[Program | SandboxFailed]], sandbox: Sandbox) -> dict[Program, Ended]:
    """How each program ended; one that several texts gave runs once."""
    programs = list(dict.fromkeys(run for some in runs for run in some if isinstance(run, Program)))
    return dict(zip(programs, sandbox.run(programs), strict=True))


def _judged(
    program: str | ScorerFailed,
    runs: Sequence[Program | SandboxFailed],
    names: Sequence[str],
    ended: Mapping[Program, Ended],
) -> TextVerdict | ScorerFailed:
    if isinstance(program, ScorerFailed):
        return program
    verdicts = []
    for name, run in zip(names, runs, strict=True):
        verdict = ended[run] if isinstance(run, Program) else run
        if isinstance(verdict, SandboxFailed):
            return ScorerFailed(f"{name} tests: {verdict}")
        verdicts.append(verdict)
    values = dict(zip(("pass", "base_pass"), (float(one.passed) for one in verdicts), strict=False))
    decider = "; ".join(_in_words(*pair) for pair in zip(names, verdicts, strict=True))
    return TextVerdict(verdicts[0].passed, program, decider, values)


def _in_words(name: str, verdict: Verdict) -> str:
    detail = f" ({verdict.detail[:200]})" if verdict.detail and not verdict.passed else ""
    return f"{name} tests: {verdict.outcome}{detail}"


def _notes(tier: Tier, ended: Mapping[Program, Ended]) -> tuple[str, ...]:
    return (
        f"Programs ran in the sandbox's tier '{tier.name}' ({tier.note}); tried in vain when it opened: "
        f"{', '.join(tier.proofs)}.",
        *_counts(ended),
    )


def _counts(ended: Mapping[Program, Ended]) -> Iterator[str]:
    verdicts = [one for one in ended.values() if isinstance(one, Verdict)]
    outcomes = Counter(verdict.outcome for verdict in verdicts)
    if count := outcomes[Outcome.TIMEOUT]:
        yield f"{count} of {len(verdicts)} runs of programs ended at their time limit, and are wrong."
    if count := outcomes[Outcome.MEMORY]:
        yield f"{count} of {len(verdicts)} runs of programs ended at their memory limit, and are wrong."
    if count := sum(verdict.mode == "token" for verdict in verdicts):
        yield f"{count} of {len(verdicts)} runs had their tests in the program's own process (mode token)."
