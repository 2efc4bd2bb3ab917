"""math-verify's verdict, as a function that a worker process calls."""


def math_verdict(gold: str, text: str) -> dict[str, object]:
    """Whether math-verify finds the gold answer in a whole completion.

    The rule of nvidia-lm-eval 25.5 for GSM8K: `verify(parse(gold), parse(text))` with defaults (LaTeX
    and plain expressions, boxed first). Its own timeouts use signals: call it in a main thread only.
    """
    from math_verify import parse, verify

    parsed = parse(text)
    return {"correct": bool(verify(parse(gold), parsed)), "extracted": str(parsed[-1]) if parsed else None}
