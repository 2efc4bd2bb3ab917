"""The way to a completions server: addresses, keys, proxies, certificates, and the time that an answer may
take."""

import asyncio
import contextlib
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from evalsuite.engine.openai.answer import MalformedAnswer, read_completion
from evalsuite.engine.openai.connection import proxy_for
from evalsuite.engine.openai.http import Server, Unanswered, Unreachable, read_json
from evalsuite.engine.openai.settings import KEY_VARIABLES, Settings, api_address, api_key
from evalsuite.errors import UserError

PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    """Without proxies, certificates and keys of the machine."""
    for name in (*PROXIES, *map(str.upper, PROXIES), "SSL_CERT_FILE", "SSL_CERT_DIR", *KEY_VARIABLES):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch.setenv


@pytest.fixture
def dripping():
    """A server that sends a byte of white space now and then and never comes to an end."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(b" ")
                    time.sleep(0.05)
            except OSError:
                pass

        do_POST = do_GET

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def ask(address: str, **settings: object) -> object:
    async def asked() -> object:
        server = Server(Settings(api_address(address), **settings))  # type: ignore[arg-type]
        try:
            return await server.get("/models")
        finally:
            await server.close()

    return asyncio.run(asked())


def test_an_answer_that_never_ends_is_cut_off_at_the_time_limit(dripping):
    began = time.monotonic()
    with pytest.raises(Unanswered, match=r"no whole answer within 0\.5 s; tried 2 times"):
        ask(dripping, timeout=0.5)
    assert time.monotonic() - began < 20


@pytest.mark.parametrize(
    "url",
    [
        "http://[::1",
        "http://h:99999",
        "http://h:port",
        "http://h:-1",
        "http://",
        "h:80",
        "http://a b",
        "http://h\r\n",
        "ftp://h",
        "http://h:0",
        "",
        "http://\x1b[2J",
    ],
)
def test_an_address_that_is_none_is_one_sentence(url):
    with pytest.raises(UserError, match="--base-url takes an address such as") as caught:
        api_address(url)
    assert str(caught.value).isprintable()


def test_addresses_of_all_kinds_are_taken():
    assert api_address("http://[::1]:8000") == "http://[::1]:8000/v1"
    assert api_address("https://host.example/api/v1/completions") == "https://host.example/api/v1"


@pytest.mark.parametrize("key", ["sk-a\r", " sk-a\n", "\tsk-a", "sk-a"])
def test_white_space_around_a_key_is_no_part_of_it(environment, key):
    environment("EVALSUITE_API_KEY", key)
    assert api_key() == "sk-a"


@pytest.mark.parametrize("key", ["sk-é", "sk a", "sk-\x01a", "sk-a\nX: y", "sk-\u200b"])
def test_a_key_that_no_header_can_carry_is_refused_and_not_told(environment, key):
    environment("EVALSUITE_API_KEY", key)
    with pytest.raises(UserError, match="EVALSUITE_API_KEY is no valid key") as caught:
        api_key()
    assert "sk" not in str(caught.value)


def test_a_proxy_is_named_without_its_password(environment):
    environment("http_proxy", "http://me:secret@127.0.0.1:1")
    with pytest.raises(Unreachable, match=r"through the proxy http://127\.0\.0\.1:1") as caught:
        ask("http://127.0.0.2:1")
    assert "secret" not in str(caught.value)
    assert "NO_PROXY" in caught.value.advice


def test_no_proxy_holds_whatever_the_other_variables_name(environment):
    environment("ALL_PROXY", "socks5://127.0.0.1:1")
    environment("NO_PROXY", "127.0.0.1,localhost,::1")
    for address in ("http://127.0.0.1:8/v1", "http://localhost/v1", "http://[::1]:8/v1"):
        assert proxy_for(address) is None
    found = proxy_for("http://elsewhere/v1")
    assert found is not None
    assert found.shown == "socks5://127.0.0.1:1"


@pytest.mark.parametrize("proxy", ["socks4://h:1", "http://h:99999", "http://[::1", "nothing://", "http://"])
def test_a_proxy_that_is_none_is_one_sentence(environment, proxy):
    environment("ALL_PROXY", proxy)
    with pytest.raises(UserError, match="ALL_PROXY"):
        proxy_for("http://elsewhere/v1")


def test_socks_works_or_names_what_it_needs(environment):
    environment("ALL_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises((UserError, Unreachable), match=r"socks5://127\.0\.0\.1:1"):
        ask("http://elsewhere.example")


def test_certificates_that_cannot_be_read_concern_https_alone(environment, tmp_path):
    bad = tmp_path / "bad.pem"
    bad.write_text("no certificate")
    environment("SSL_CERT_FILE", str(bad))
    with pytest.raises(Unreachable, match="is unreachable"):
        ask("http://127.0.0.1:1")
    with pytest.raises(UserError, match=r"certificates of SSL_CERT_FILE=.*bad\.pem cannot be read"):
        ask("https://127.0.0.1:1")


def completion(**logprobs: object) -> dict:
    """An answer whose second token has the log-probability -1.5, unless told otherwise."""
    lists = {
        "tokens": ["a", "b"],
        "token_logprobs": [None, -1.5],
        "top_logprobs": [None, {"c": -0.5, "b": -1.5}],
        "text_offset": [0, 1],
    }
    choice = {"text": "ab", "finish_reason": "length", "logprobs": {**lists, **logprobs}}
    return {"choices": [choice], "usage": {"prompt_tokens": 1, "completion_tokens": 1}}


@pytest.mark.parametrize(
    "value", [0.61, 12.5, 10**400, 1, True, False, "-1.5", [], float("inf"), float("-inf"), float("nan")]
)
def test_what_is_no_log_probability_is_no_answer(value):
    with pytest.raises(MalformedAnswer):
        read_completion(completion(token_logprobs=[None, value]))
    with pytest.raises(MalformedAnswer):
        read_completion(completion(top_logprobs=[None, {"c": value}]))


def test_rounding_above_zero_is_zero():
    [_, token] = read_completion(completion(token_logprobs=[None, 1e-6])).listed
    assert token.log_prob == 0.0


@pytest.mark.parametrize("value", [1, None, [], {"a": 1}, "x", True])
@pytest.mark.parametrize("field", ["text", "finish_reason", "logprobs", "usage", "choices"])
def test_an_answer_of_another_shape_is_malformed_or_read(field, value):
    answer = completion()
    target = answer if field in answer else answer["choices"][0]
    target[field] = value
    with contextlib.suppress(MalformedAnswer):
        read_completion(answer)


def test_half_of_a_surrogate_pair_is_replaced_and_a_pair_is_not():
    found = read_json(rb'{"a\ud800": ["x\uD835", "\ud83d\ude00", 1]}')
    assert found == {"a\ufffd": ["x\ufffd", "😀", 1]}
