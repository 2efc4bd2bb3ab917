"""A completions server on loopback that really computes: a transformers model behind the OpenAI protocol.

It speaks as the servers in use do, in several dialects, and misbehaves as they do, on demand.
"""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch

Fault = Callable[[int, dict], str | None]
"""What goes wrong with the n-th completion asked for (from 0): drop, hang, die, restart, or a status such as
500."""


@dataclass
class Habits:
    """What a server can do and how it behaves."""

    name: str = "tiny"
    token_ids: bool = True
    echo: bool = True
    adds_bos: bool = False
    """Before texts; token ids stay as they are."""
    lists_bos: bool = True
    part_of_character: str = "\ufffd"
    """Text of a token that holds no whole character; "bytes" spells it as OpenAI does."""
    row_late: bool = False
    """Echoed log-probabilities come from the next row of logits, as llama-cpp-python's do without BOS."""
    most_stops: int | None = None
    tells_stop: bool = True
    stop_ids: bool | None = True
    """Ends a text at the ids in `stop_token_ids`; passes over the field; or (None) refuses it."""
    seeds: bool = True
    knows_neutral: bool = True
    """Takes `top_k` and the like; else refuses them, as OpenAI does."""
    repetition_penalty: float = 1.0
    """Its own default."""
    window: int | None = 128
    tells_window: bool = True
    key: str = ""
    completions: bool = True
    usage: bool = True
    delay: float = 0.0
    retry_after: str = "0"
    fault: Fault = lambda number, body: None


class _Server(ThreadingHTTPServer):
    allow_reuse_port = True


@dataclass
class CompletionsServer:
    """Serves `model` while it is used as a context manager; a dead one can be started again on its port."""

    model: torch.nn.Module
    tokenizer: Any
    habits: Habits = field(default_factory=Habits)
    asked: list[dict] = field(default_factory=list)
    """Bodies of the completions asked for."""
    headers: list[dict] = field(default_factory=list)
    most_at_once: int = 0

    def __post_init__(self) -> None:
        self._counting = threading.Lock()
        self._kept = socket.socket()  # never listens; nobody else gets the port while the server is dead
        self._kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._kept.bind(("127.0.0.1", 0))
        self.port = self._kept.getsockname()[1]
        self._lock = threading.Lock()
        self._under_way = 0
        self._http: ThreadingHTTPServer | None = None
        self._connections: set[socket.socket] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> "CompletionsServer":
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.die()
        self._kept.close()

    def start(self) -> None:
        handler = type("Handler", (_Handler,), {"served": self})
        self._http = _Server(("127.0.0.1", self.port), handler)
        self._http.daemon_threads = True
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()

    def die(self) -> None:
        http, self._http = self._http, None
        if http is not None:
            http.shutdown()
            http.server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def models(self) -> dict:
        told = {
            "id": self.habits.name,
            "object": "model",
            "created": int(time.time() * 1000),
            "owned_by": "tests",
        }
        if self.habits.tells_window:
            told["max_model_len"] = self.habits.window
        return {"object": "list", "data": [told, {"id": "another", "object": "model"}]}

    def refusal(self, body: dict) -> str:
        habits = self.habits
        prompt = body["prompt"]
        if isinstance(prompt, list) and not habits.token_ids:
            return "prompt: Input should be a valid string"
        if body.get("echo") and not habits.echo:
            return "echo is not supported"
        if not habits.knows_neutral and {"top_k", "min_p", "repetition_penalty"} & set(body):
            return "Unrecognized request argument supplied: top_k"
        if habits.stop_ids is None and "stop_token_ids" in body:
            return "Unrecognized request argument supplied: stop_token_ids"
        if habits.most_stops is not None and len(body.get("stop", [])) > habits.most_stops:
            return f"stop: at most {habits.most_stops} sequences"
        return ""

    def complete(self, body: dict) -> tuple[int, dict]:
        habits = self.habits
        if body["model"] != habits.name:
            return 404, {"error": {"message": f"The model `{body['model']}` does not exist."}}
        refusal = self.refusal(body)
        if refusal:
            return 400, {"error": {"message": refusal}}
        prompt = body["prompt"]
        ids = (
            list(prompt)
            if isinstance(prompt, list)
            else self.tokenizer.encode(prompt, add_special_tokens=False)
        )
        if isinstance(prompt, str) and habits.adds_bos:
            ids = [self.tokenizer.bos_token_id, *ids]
        if habits.window and len(ids) + body["max_tokens"] > habits.window:
            message = (
                f"This model's maximum context length is {habits.window} tokens; {len(ids)} are in the "
                "prompt."
            )
            return 400, {"error": {"message": message, "code": "context_length_exceeded"}}
        with self._lock:
            return 200, self._completion(body, ids)

    @torch.inference_mode()
    def _completion(self, body: dict, ids: list[int]) -> dict:
        made, rows, text, finish, stop = self._generate(body, ids)
        choice = {"index": 0, "text": text, "finish_reason": finish, "logprobs": None}
        if self.habits.tells_stop:
            choice["stop_reason"] = stop
        if body.get("echo"):
            choice["text"] = self.tokenizer.decode(ids, skip_special_tokens=True) + text
        if body.get("logprobs") is not None:
            choice["logprobs"] = self._listed(ids, made, rows, bool(body.get("echo")))
        answer = {"object": "text_completion", "model": body["model"], "choices": [choice]}
        if self.habits.usage:
            answer["usage"] = {
                "prompt_tokens": len(ids),
                "completion_tokens": len(made) + (finish == "stop" and stop is None),
            }
        return answer

    def _generate(self, body: dict, ids: list[int]) -> tuple:
        """Generated ids, rows of log-probabilities before each token of prompt and text, text, why it
        ended."""
        seed = body["seed"] if self.habits.seeds and "seed" in body else time.time_ns() % 2**31
        chance = torch.Generator().manual_seed(seed)
        penalty = body.get("repetition_penalty", self.habits.repetition_penalty)
        made: list[int] = []
        rows = self.model(input_ids=torch.tensor([ids])).logits[0].float()
        while len(made) < body["max_tokens"]:
            logits = rows[-1].clone()
            for seen in {*ids, *made} if penalty != 1 else ():
                logits[seen] = logits[seen] / penalty if logits[seen] > 0 else logits[seen] * penalty
            temperature = body.get("temperature", 1.0)
            if temperature:
                token = int(torch.multinomial((logits / temperature).softmax(-1), 1, generator=chance))
            else:
                token = int(logits.argmax())
            if token == self.model.config.eos_token_id:
                return made, rows, self._text(made), "stop", None
            made.append(token)
            if self.habits.stop_ids and token in body.get("stop_token_ids", []):
                return made, rows, self._text(made[:-1]), "stop", token
            text = self._text(made)
            for stop in body.get("stop", []):
                if stop in text:
                    return made, rows, text[: text.index(stop)], "stop", stop
            rows = self.model(input_ids=torch.tensor([[*ids, *made]])).logits[0].float()
        return made, rows, self._text(made), "length", None

    def _text(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=True)

    def _listed(self, ids: list[int], made: list[int], rows: torch.Tensor, echo: bool) -> dict:
        bos = self.tokenizer.bos_token_id
        whole = [*ids, *made]
        first = 0 if echo else len(ids)
        if echo and ids[0] == bos and not self.habits.lists_bos:
            first = 1
        late = int(self.habits.row_late and echo and ids[0] != bos)
        logs = rows.log_softmax(-1)
        listed: dict = {"tokens": [], "token_logprobs": [], "top_logprobs": [], "text_offset": []}
        offset = 0
        for place in range(first, len(whole)):
            text = self._spelled(whole[place])
            row = place - 1 + late
            known = place > (first if echo else 0) and row < len(logs)
            best = int(logs[row].argmax()) if known else 0
            value = logs[row, whole[place]].item() if known else None
            top = {self._spelled(best): logs[row, best].item(), text: value} if known else None
            for name, one in (
                ("tokens", text),
                ("token_logprobs", value),
                ("top_logprobs", top),
                ("text_offset", offset),
            ):
                listed[name].append(one)
            offset += len(text)
        return listed

    def _spelled(self, token: int) -> str:
        text = self.tokenizer.decode([token])
        if "\ufffd" not in text:
            return text
        return (
            f"bytes:\\x{token:02x}"
            if self.habits.part_of_character == "bytes"
            else self.habits.part_of_character
        )


class _Handler(BaseHTTPRequestHandler):
    served: CompletionsServer
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.served._connections.add(self.connection)

    def finish(self) -> None:
        self.served._connections.discard(self.connection)
        super().finish()

    def do_GET(self) -> None:
        if self.path == "/v1/models" and self._may():
            self._send(200, self.served.models())
        elif self.path != "/v1/models":
            self._send(404, {"error": {"message": "Not Found"}})

    def do_POST(self) -> None:
        served, habits = self.served, self.served.habits
        if served._http is None:  # accepted as the server died
            self.close_connection = True
            return
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/v1/completions" or not habits.completions:
            self._send(404, {"detail": "Not Found"})
            return
        if not self._may():
            return
        with served._counting:
            number = len(served.asked)
            served.asked.append(body)
        fault = habits.fault(number, body)
        if fault:
            self._fail(fault)
            return
        served._under_way += 1
        served.most_at_once = max(served.most_at_once, served._under_way)
        time.sleep(habits.delay)
        try:
            answer = served.complete(body)
        finally:
            served._under_way -= 1
        self._send(*answer)

    def _may(self) -> bool:
        self.served.headers.append(dict(self.headers))
        given = self.headers.get("Authorization", "")
        if self.served.habits.key and given != f"Bearer {self.served.habits.key}":
            self._send(401, {"error": {"message": f"Incorrect API key provided: {given}"}})
            return False
        return True

    def _fail(self, fault: str) -> None:
        if fault == "hang":
            time.sleep(2)
            self.close_connection = True
        elif fault == "drop":
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        elif fault in ("die", "restart"):
            # Dead before the client hears of it: else it could come back in time to be served.
            self.close_connection = True
            self.served.die()
            if fault == "restart":
                threading.Timer(1, self.served.start).start()
        elif fault == "nonsense":
            self._send(200, {"message": "Hello"})
        else:
            self._send(int(fault), {"error": {"message": f"fault {fault}"}})

    def _send(self, status: int, body: dict) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if status in (429, 503):
            self.send_header("Retry-After", self.served.habits.retry_after)
        with contextlib.suppress(OSError):  # they hung up
            self.end_headers()
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass
