"""`evalsuite show`: print the exact prompt of a document, with its white space visible."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from evalsuite.cli import options
from evalsuite.cli.say import say, say_json

if TYPE_CHECKING:
    from evalsuite.engine.token_options import TokenOptions
    from evalsuite.prompting.suites import Suite
    from evalsuite.registry.selected import PreparedTask

_VISIBLE = str.maketrans({" ": "·", "\t": "→\t", "\n": "⏎\n", "\r": "␍", "\u00a0": "⍽"})


def show(
    address: Annotated[str, typer.Argument(help="[recipe/]task[:format][@shots], or a suite.")],
    doc: Annotated[int, typer.Option(min=0, help="Index of the document in the evaluated split.")] = 0,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Also show the tokens of this model.")
    ] = None,
    tokenizer: options.TokenizerName = None,
    bos: options.BosToken = None,
    prefix_token: options.PrefixToken = None,
    max_length: options.MaxLength = None,
    trust_remote_code: options.TrustRemoteCode = False,
    recipe: options.RecipeName = None,
    shots: options.ShotCount = None,
    split: options.Split = None,
    data: options.Data = None,
    include: options.Include = None,
    allow_data_drift: options.AllowDataDrift = False,
    as_json: options.AsJson = False,
) -> None:
    """Show the spec of a task and the exact prompt of one document, or the members of a suite."""
    from evalsuite.api import known_bos
    from evalsuite.data.folder import data_folder
    from evalsuite.engine.token_options import TokenOptions
    from evalsuite.registry.registry import Registry
    from evalsuite.requests.prepare import prepare

    registry = Registry.load(include or [])
    if address in registry.suites:
        _show_suite(registry.suites.named(address), as_json)
        return
    selected = registry.select([address], recipe, shots)[0].with_bos(known_bos(bos))
    prepared = prepare(selected, data_dir=data_folder(data), split=split, allow_drift=allow_data_drift)
    shown = _description(prepared, doc)
    if model is not None or tokenizer is not None:
        tokens = TokenOptions(tokenizer, prefix_token, max_length)
        shown |= _tokens(prepared, doc, model, tokens, trust_remote_code)
    if as_json:
        say_json(json.dumps(shown, indent=2, ensure_ascii=False))
    else:
        _print(shown)


def _show_suite(suite: "Suite", as_json: bool) -> None:
    """A suite's members with their weights and baselines in each mean."""
    from dataclasses import asdict

    shown = {
        "suite": suite.name,
        "title": suite.spec.title,
        "version": suite.spec.version,
        "sha256": suite.sha256,
        "source": suite.spec.source.model_dump(),
        "tasks": list(suite.tasks.values()),
        "means": {mean.name: [asdict(term) for term in mean.terms] for mean in suite.means},
    }
    if as_json:
        say_json(json.dumps(shown, indent=2, ensure_ascii=False))
        return
    say(f"{suite.name}  version {suite.spec.version}  suite {suite.sha256[:12]}")
    say(suite.spec.title)
    for name, text in suite.spec.source.model_dump().items():
        if text:
            say(f"{name}: {text}")
    for task in suite.tasks.values():
        say(f"task {task}")
    for mean in suite.means:
        say(f"\n--- mean {mean.name}: {mean.spec.title or f'of {len(mean.terms)} tasks'}")
        for term in mean.terms:
            say(f"{term.task}: weight {term.share:.4g}, baseline {term.baseline:g}")


def _description(prepared: "PreparedTask", doc: int) -> dict[str, Any]:
    from evalsuite.errors import UserError
    from evalsuite.types import gold_text

    if doc >= len(prepared.documents):
        raise UserError(
            f"--doc {doc}: split '{prepared.split}' of {prepared.selected.name} has documents "
            f"0 to {len(prepared.documents) - 1}."
        )
    spec, document, prompt = prepared.selected.spec, prepared.documents[doc], prepared.prompt(doc)
    return {
        "address": prepared.selected.address,
        "source": spec.source.model_dump(),
        "spec_sha256": spec.sha256,
        "spec_version": spec.version,
        "split": prepared.split,
        "data": {
            split: f"{rows.source}, fingerprint {rows.fingerprint}" for split, rows in prepared.data.items()
        },
        "shots": spec.shots.count,
        "bos": spec.bos,
        "metrics": list(spec.metrics),
        "document": f"{doc}"
        + (f" ({document.subtask} {document.subtask_index})" if document.subtask else ""),
        "contexts": list(prompt.contexts),
        "continuations": list(prompt.continuations),
        "generation": spec.generation.model_dump() if spec.generation else None,
        "gold": gold_text(document),
        "notes": list(prepared.notes),
    }


def _tokens(
    prepared: "PreparedTask", doc: int, model: str | None, tokens: "TokenOptions", trust_remote_code: bool
) -> dict[str, Any]:
    """Each request's context and continuation as tokens, and notes on them."""
    from evalsuite.requests.token_notes import token_notes
    from evalsuite.requests.tokens import encoded_with
    from evalsuite.results.aggregate import token_counts
    from evalsuite.results.tables import token_remarks

    alone = replace(prepared, documents=[prepared.documents[doc]], shots=[prepared.shots[doc]])
    tokenizer, [asked] = encoded_with(alone, model, tokens, trust_remote_code)
    problems = [asked.problem] if asked.problem else []
    if asked.too_long:
        problems.append(f"the document needs {asked.tokens} tokens, more than the context window has")
    return {
        "tokens": [
            {
                "context": list(map(tokenizer.token_text, request.context)),
                "continuation": list(map(tokenizer.token_text, getattr(request, "continuation", ()))),
            }
            for request in asked.requests
        ],
        "token_notes": [
            *problems,
            *token_remarks(token_counts(alone, [asked])),
            *token_notes(alone, [asked], tokenizer),
            *tokenizer.notes,
        ],
    }


def _print(shown: dict[str, Any]) -> None:
    source = shown["source"]
    say(f"{shown['address']}  version {shown['spec_version']}  spec {shown['spec_sha256'][:12]}")
    for name in ("publication", "reference", "status", "notes"):
        if source[name]:
            say(f"{name}: {source[name]}")
    say(f"split: {shown['split']}   shots: {shown['shots']}   bos: {shown['bos']}")
    say(f"metrics: {', '.join(shown['metrics'])}")
    for split, origin in shown["data"].items():
        say(f"data {split}: {origin}")
    for note in shown["notes"]:
        say(f"note: {note}")
    for index, context in enumerate(shown["contexts"]):
        number = f" {index}" if len(shown["contexts"]) > 1 else ""
        say(f"\n--- context{number} of document {shown['document']}: {len(context)} characters")
        say(context.translate(_VISIBLE))
    for index, continuation in enumerate(shown["continuations"]):
        correct = "   <- correct" if str(index) == shown["gold"] else ""
        say(f"--- continuation {index}: {continuation.translate(_VISIBLE)}{correct}")
    if shown["generation"]:
        say(f"--- generation: {json.dumps(shown['generation'], ensure_ascii=False)}")
        say(f"--- gold: {shown['gold']}")
    for note in shown.get("token_notes", ()):
        say(f"--- note: {note}")
    for index, request in enumerate(shown.get("tokens", ())):
        count = len(request["context"])
        continuation = json.dumps(request["continuation"], ensure_ascii=False)
        say(f"--- tokens of request {index}: {count} of context, then {continuation}")
        say("|".join(text.translate(_VISIBLE) for text in request["context"]))
