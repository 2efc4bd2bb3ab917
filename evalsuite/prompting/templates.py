"""Compiles Jinja2 templates; an undefined variable is an error, never an empty string."""

import re
from ast import literal_eval
from collections.abc import Callable

from jinja2 import Environment, StrictUndefined, TemplateError

from evalsuite.errors import UserError
from evalsuite.types import canonical_json

Template = Callable[..., str]

_ENVIRONMENT = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
_ENVIRONMENT.filters["canonical_json"] = canonical_json
_ENVIRONMENT.filters["literal"] = literal_eval  # a column with the text of a Python list (RACE)
_ENVIRONMENT.filters["regex_replace"] = lambda text, pattern, by: re.sub(pattern, by, text)


def compile_template(source: str, where: str) -> Template:
    """Compile a template into a function from variables to text.

    `where` names spec and field in messages. Raises UserError at once for a syntax error; the function raises
    UserError for an undefined variable or any other failure.
    """
    try:
        template = _ENVIRONMENT.from_string(source)
    except TemplateError as error:
        raise UserError(f"Template '{where}' does not parse: {error}.") from error
    # Every rendering copies them, and Jinja's ChainMap is slow to copy.
    template.globals = dict(template.globals)

    def render(**variables: object) -> str:
        try:
            return template.render(variables)
        except Exception as error:  # Templates can compute and call filters, so that any error is possible.
            raise UserError(f"Template '{where}' cannot be rendered: {error}.") from error

    return render
