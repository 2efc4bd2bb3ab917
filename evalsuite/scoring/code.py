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

Ended = Verdict | SandboxFailed
Runs = list[Program | SandboxFailed]
"""Of one program: the deciding tests' run, then the base tests' where a metric asks for them. A SandboxFailed stands
for a run that cannot be made, because the reference solution does not pass."""


def code_verdicts(samples: Sequence[Sample], spec: PromptSpec, options: Options) -> Scored:
    """Runs all programs of a task; raises UserError where no sandbox works.

    `pass@k` is decided by the tests that the spec names, `base_pass@k` by the base tests. A reference solution that
    does not pass its tests here (a library is missing, say) leaves its document without a verdict.
    """
    assert spec.code is not None
    names = _tests_that_run(spec.code, spec.metrics)
    programs = _programs(samples, spec, options.workers)
    with open_sandbox(options.workers, allow_unsafe=options.allow_unsafe_code) as sandbox:
        references = _references(samples, names, sandbox, spec.code.seconds)
        runs = [
            [_runs(program, own) for program in some] for some, own in zip(programs, references, strict=True)
        ]
        ended = _ended(runs, sandbox)
        notes = _notes(sandbox.tier, ended)
    return Scored(
        [
            [
                program if isinstance(program, ScorerFailed) else _judged(program, own, names, ended)
                for program, own in zip(some, one, strict=True)
            ]
            for some, one in zip(programs, runs, strict=True)
        ],
        notes,
    )


def _tests_that_run(code: CodeRun, metrics: Sequence[str]) -> tuple[str, ...]:
    """Names of the tests, the deciding ones first."""
    asks_for_base = any(name.startswith("base_pass") for name in metrics)
    return (code.tests, "base") if asks_for_base and code.tests != "base" else (code.tests,)


def _programs(
    samples: Sequence[Sample], spec: PromptSpec, workers: int | None
) -> list[list[str | ScorerFailed]]:
    """The program of each text, by sample."""
    assert spec.code is not None
    template = compile_template(spec.code.program, f"{spec.recipe}/{spec.task}: program")
    texts = [
        [
            template(text=text, stem=problem.stem, entry_point=problem.entry_point, row=sample.document.row)
            for text in generated_texts(sample)
        ]
        for sample in samples
        for problem in [_problem(sample)]
    ]
    if spec.code.sanitize == "no":
        return [list(some) for some in texts]
    entry_points = [_problem(sample).entry_point if spec.code.reachable else None for sample in samples]
    calls = [
        (text, entry_point, spec.code.sanitize)
        for some, entry_point in zip(texts, entry_points, strict=True)
        for text in some
    ]
    found = iter(
        call_all("evalsuite.scoring.sanitize:sanitized", calls, limit=SANITIZER_SECONDS, workers=workers)
        if calls
        else []
    )
    return [[next(found) for _ in some] for some in texts]


def _problem(sample: Sample) -> CodeProblem:
    question = sample.document.question
    if not isinstance(question, CodeProblem):
        raise UserError(f"A {type(question).__name__} has no tests; the format 'code' is for code problems.")
    return question


def _references(
    samples: Sequence[Sample], names: Sequence[str], sandbox: Sandbox, seconds: float
) -> list[Runs]:
    """The reference solutions' runs, of each problem with each of its tests, with the time limit found here.

    Published tests that no answer passes have the least limit.
    """
    solutions = [[_solution(sample, name, seconds) for name in names] for sample in samples]
    hopeful = [
        solution
        for sample, some in zip(samples, solutions, strict=True)
        for name, solution in zip(names, some, strict=True)
        if name not in _problem(sample).unpassable
    ]
    limited = _limited(list(dict.fromkeys(hopeful)), sandbox, seconds)
    return [[limited.get(solution, solution) for solution in some] for some in solutions]


def _solution(sample: Sample, name: str, seconds: float) -> Program:
    problem = _problem(sample)
    if name not in problem.tests:
        known = ", ".join(problem.tests)
        raise UserError(f"A problem has no tests '{name}', which the prompt spec names; it has {known}.")
    return Program(problem.solution, problem.tests[name], cpu_seconds=seconds, memory_mb=MEMORY_MB)


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


def _runs(program: str | ScorerFailed, references: Runs) -> Runs:
    """The references' runs with `program` in their place; none for a text that gave no program."""
    if isinstance(program, ScorerFailed):
        return []
    return [one if isinstance(one, SandboxFailed) else replace(one, code=program) for one in references]


def _ended(runs: Sequence[Sequence[Runs]], sandbox: Sandbox) -> dict[Program, Ended]:
    """How each program ended; one that several texts gave runs once."""
    every = (run for of_sample in runs for of_text in of_sample for run in of_text)
    programs = list(dict.fromkeys(run for run in every if isinstance(run, Program)))
    return dict(zip(programs, sandbox.run(programs), strict=True))


def _judged(
    program: str, runs: Runs, names: Sequence[str], ended: Mapping[Program, Ended]
) -> TextVerdict | ScorerFailed:
    verdicts = []
    for name, run in zip(names, runs, strict=True):
        verdict = ended[run] if isinstance(run, Program) else run
        if isinstance(verdict, SandboxFailed):
            return ScorerFailed(f"{name} tests: {verdict}")
        verdicts.append(verdict)
    values = {
        metric: float(verdict.passed)
        for metric, verdict in zip(("pass", "base_pass"), verdicts, strict=False)
    }
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
