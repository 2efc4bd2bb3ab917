import pytest

from evalsuite.errors import UserError
from evalsuite.prompting.templates import compile_template


def test_text_is_rendered_as_it_stands():
    render = compile_template("{{ a }} < &amp;\n{% if b %}yes{% endif %}\n", "here")
    assert render(a="<b>", b=1) == "<b> < &amp;\nyes\n"


def test_an_unknown_variable_is_an_error_that_names_spec_and_field():
    render = compile_template("{{ stam }}", "ours/quiz: question")
    with pytest.raises(UserError, match=r"'ours/quiz: question' cannot be rendered: 'stam' is undefined"):
        render(stem="x")


def test_an_unknown_attribute_is_an_error_too():
    with pytest.raises(UserError, match="cannot be rendered"):
        compile_template("{{ row.subject }}", "ours/quiz: description")(row={"topic": "x"})


def test_a_template_that_does_not_parse_is_refused_at_once():
    with pytest.raises(UserError, match=r"'ours/quiz: answer' does not parse: unexpected '}'"):
        compile_template("{{ gold }", "ours/quiz: answer")


def test_a_failure_inside_a_template_is_an_error_that_names_it():
    with pytest.raises(UserError, match="'ours/quiz: question' cannot be rendered"):
        compile_template("{{ 1 / zero }}", "ours/quiz: question")(zero=0)
