"""A vision-language model behind a web address, asked as OpenAI's chat completions are."""

from __future__ import annotations

import base64
import http.client
import io
import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from typing import Literal
from urllib.parse import urlsplit

from georanker.generators.base import Generator, Piece, RefusedError
from georanker.generators.question import Question
from georanker.types import GeorankerError

_PASSING = {408, 409, 425, 429, 500, 502, 503, 504, 529}
"""What a server answers when the same request may succeed later."""
_JPEG_QUALITY = 95
_REFUSED = {400, 413, 422}
"""What a server answers that does not take one photo, or takes no request of this kind at all."""
_LONGEST_WAIT = 60.0


class ChatGenerator(Generator):
    """Asks a server that speaks the chat completions of OpenAI: OpenAI's own, vLLM, SGLang, Ollama, llama.cpp.

    Photos leave this machine. The key comes from the environment, and is written nowhere.

    Source: arXiv 2505.13731 asks for 10 answers at temperature 1.2 of at most 200 tokens, with low image detail.

    Args:
        model: the name that the server knows it by.
        url: of the server, up to and without /chat/completions; such as http://localhost:8000/v1 for vLLM.
        key_variable: the environment's variable that holds the key; none is sent where it is not set.
        question: what is asked about a photo; None for the house's own.
        samples: answers to each photo.
        temperature: of the sampling; above 0, or all answers would be alike.
        max_tokens: of an answer.
        longest_side: larger photos are reduced to so many pixels before they are sent; None for none.
        detail: in which the server's model looks at photos.
        at_once: photos that are asked about at the same time.
        timeout: seconds to wait for an answer.
        retries: how often a request is made again that failed for a reason that passes; after 1, 2, 4 seconds and on.

    Raises:
        ValueError: a number is out of its range, or the address is none.
    """

    for_speed = ("url", "key_variable", "at_once", "timeout", "retries")

    def __init__(
        self,
        model: str,
        url: str = "https://api.openai.com/v1",
        key_variable: str = "OPENAI_API_KEY",
        question: Question | None = None,
        samples: int = 10,
        temperature: float = 1.2,
        max_tokens: int = 200,
        longest_side: int | None = 512,
        detail: Literal["low", "high", "auto"] = "low",
        at_once: int = 8,
        timeout: float = 120.0,
        retries: int = 5,
    ) -> None:
        super().__init__(question, samples, temperature, max_tokens, longest_side)
        if urlsplit(url).scheme not in ("http", "https") or not urlsplit(url).hostname:
            raise ValueError(f"url must be the address of a server, such as http://localhost:8000/v1, not {url!r}")
        if at_once < 1 or retries < 0 or not timeout > 0:
            raise ValueError("at_once must be at least 1, retries at least 0, and timeout above 0")
        self.model, self.url = model, f"{url.rstrip('/')}/chat/completions"
        self.key_variable, self.detail = key_variable, detail
        self.at_once, self.timeout, self.retries = at_once, timeout, retries
        self._opener = urllib.request.build_opener(_StayHere())

    def answers(self, pieces: Sequence[Piece], seed: int) -> list[str]:
        """Return sampled answers, asking again where a server gives fewer at a time; it takes no seed.

        Raises:
            RefusedError: the server does not take the request, or all its answers are empty.
            GeorankerError: the server cannot be reached, wants another key, or answers with something else.
        """
        content = [self._content(piece) for piece in pieces]
        told: list[str] = []
        while len(told) < self.samples:
            body = {
                "model": self.model,
                "messages": [{"role": "user", "content": content}],
                "max_tokens": self.max_tokens,
                "temperature": self.temperature,
                "n": self.samples - len(told),
            }
            told += self._choices(self._sent(json.dumps(body).encode()))
        return told[: self.samples]

    def _content(self, piece: Piece) -> Mapping[str, object]:
        if isinstance(piece, str):
            return {"type": "text", "text": piece}
        buffer = io.BytesIO()
        piece.save(buffer, "JPEG", quality=_JPEG_QUALITY)
        data = base64.b64encode(buffer.getvalue()).decode()
        return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}", "detail": self.detail}}

    def _choices(self, found: object) -> list[str]:
        choices = found.get("choices") if isinstance(found, dict) else None
        if not isinstance(choices, list) or not choices:
            raise GeorankerError(f"{self.url}: the server's answer holds no choices, but {json.dumps(found):.200}")
        told = [_words(each) for each in choices]
        if not any(told):
            raise RefusedError(f"{self.url}: all answers are empty; a model that thinks first needs more max_tokens")
        return told

    def _sent(self, body: bytes) -> object:
        headers = {"Content-Type": "application/json"}
        key = os.environ.get(self.key_variable, "").strip()
        if not (key.isascii() and key.isprintable()):
            raise GeorankerError(f"{self.key_variable}: the key has letters that no key has")
        if key:
            headers["Authorization"] = f"Bearer {key}"
        for tried in range(self.retries + 1):
            wait = min(_LONGEST_WAIT, 2.0**tried)
            try:
                with self._opener.open(urllib.request.Request(self.url, body, headers), timeout=self.timeout) as reply:
                    return _json(self.url, reply.read())
            except urllib.error.HTTPError as error:
                fault = f"{error.code} {error.reason}: {_said(error)}"
                if key:
                    fault = fault.replace(key, "(the key)")  # a server may repeat it
                if error.code not in _PASSING:
                    hint = "" if key or error.code not in (401, 403) else f"; {self.key_variable} is not set"
                    kind = RefusedError if error.code in _REFUSED else GeorankerError
                    raise kind(f"{self.url}: {fault}{hint}") from error
                after = error.headers.get("Retry-After", "")
                wait = min(_LONGEST_WAIT, float(after)) if after.isdecimal() else wait
            except (OSError, http.client.HTTPException) as error:
                fault = str(getattr(error, "reason", error)) or type(error).__name__
            if tried < self.retries:
                time.sleep(wait)
        raise GeorankerError(f"{self.url}: {fault}, {self.retries + 1} times; the same command goes on from here")


def _json(url: str, data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError as error:
        raise GeorankerError(f"{url}: the server's answer is not JSON ({error})") from error


def _words(choice: object) -> str:
    """Return the text of an answer; "" if there is none, as where a model refuses."""
    message = choice.get("message") if isinstance(choice, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, list):  # of pieces, as some servers answer
        content = "".join(str(piece.get("text", "")) for piece in content if isinstance(piece, dict))
    return content if isinstance(content, str) else ""


class _StayHere(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: the key would go along."""

    def redirect_request(self, *_: object) -> None:
        """Leave the redirection as the error that it is."""


def _said(error: urllib.error.HTTPError) -> str:
    """Return in one line what a server says of an error."""
    try:
        text = error.read(2000).decode(errors="replace")
    except (OSError, http.client.HTTPException):
        return ""
    try:
        found = json.loads(text)["error"]
        text = found["message"] if isinstance(found, dict) else str(found)
    except (ValueError, KeyError, TypeError):
        pass  # what it says in another form is told as it is
    return " ".join(str(text).split())[:300]
