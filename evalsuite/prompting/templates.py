"""Jinja2 templates, compiled once; a name that is not there is an error, never an empty string."""

import re
from collections.abc import Callable

from jinja2 import Environment, StrictUndefined, TemplateError

from evalsuite.errors import UserError
from evalsuite.types import canonical_json

Template = Callable[..., str]

_ENVIRONMENT = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
_ENVIRONMENT.filters["canonical_json"] = canonical_json
_ENVIRONMENT.filters["regex_replace"] = lambda text, pattern, by: re.sub(pattern, by, text)


def compile_template(source: str, where: str) -> Template:
    """A function from variables to text.

    `where` names the spec and field for messages. Raises UserError: at once for a syntax error, at
    the call for a variable that does not exist or anything else that fails.
    """
    try:
        template = _ENVIRONMENT.from_string(source)
    except TemplateError as error:
        raise UserError(f"Template '{where}' does not parse: {error}.") from error

    def render(**variables: object) -> str:
        try:
            return template.render(variables)
        except Exception as error:  # A template may do arithmetic and call filters: anything can fail.
            raise UserError(f"Template '{where}' cannot be rendered: {error}.") from error

    return render
