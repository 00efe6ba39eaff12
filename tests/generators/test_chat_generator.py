"""Guesses of a real HTTP server on this machine: what it is sent, what it may answer, and who gets the key."""

from __future__ import annotations

import base64
import functools
import io
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from PIL import Image

from georanker.generators.base import RefusedError
from georanker.generators.chat_generator import ChatGenerator
from georanker.types import GeorankerError
from tests.generators.chat_stand_in import ChatServer, Reply, chat_server, completion

PHOTO = Image.linear_gradient("L").convert("RGB")
SECRET = "sk-of-a-test"


@pytest.fixture(autouse=True)
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits that are remembered, and not waited for."""
    made: list[float] = []
    monkeypatch.setattr("time.sleep", made.append)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return made


def asked(server: ChatServer, **settings: Any) -> list[str]:
    generator = ChatGenerator("some-model", server.url, **{"samples": 3, "retries": 2, **settings})
    return generator.answers([PHOTO, "Where?"], seed=0)


def sent(reply: Reply, _: dict[str, Any]) -> Reply:
    return reply


def test_what_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", SECRET)
    with chat_server(lambda body: completion(*["1.5, 2.5"] * body["n"])) as server:
        found = asked(server, key_variable="A_KEY", temperature=0.7, max_tokens=50, detail="high")
    assert found == ["1.5, 2.5"] * 3
    ((path, authorization, body),) = server.seen
    assert (path, authorization) == ("/v1/chat/completions", f"Bearer {SECRET}")
    assert {name: body[name] for name in ("model", "n", "temperature", "max_tokens")} == {
        "model": "some-model",
        "n": 3,
        "temperature": 0.7,
        "max_tokens": 50,
    }
    ((photo, text),) = [message["content"] for message in body["messages"]]
    assert text == {"type": "text", "text": "Where?"}
    assert photo["image_url"]["detail"] == "high"
    head, data = photo["image_url"]["url"].split(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == PHOTO.size


def test_a_server_that_gives_one_answer_at_a_time_is_asked_again() -> None:
    numbers = count()
    with chat_server(lambda _: completion(f"{next(numbers)}")) as server:
        assert asked(server) == ["0", "1", "2"]
    assert [body["n"] for _, _, body in server.seen] == [3, 2, 1]
    assert server.seen[0][1] is None, "no key, no header"


def test_more_answers_and_refusals_within_them() -> None:
    with chat_server(lambda _: completion("a", None, "b", "c")) as server:
        assert asked(server) == ["a", "", "b"]


def test_answers_in_pieces() -> None:
    pieces = [{"type": "text", "text": "1.5, "}, {"type": "text", "text": "2.5"}]
    choices = [{"message": {"content": pieces}}, {"message": None}, {"message": "?"}, 7]
    with chat_server(lambda _: (200, {"choices": choices}, {})) as server:
        assert asked(server, samples=4) == ["1.5, 2.5", "", "", ""]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_passes_is_tried_again(status: int, waits: list[float]) -> None:
    replies: Iterator[Reply] = iter(
        [(status, {"error": {"message": "busy"}}, {}), (status, b"", {"Retry-After": "7"}), completion("a", "b", "c")]
    )
    with chat_server(lambda _: next(replies)) as server:
        assert asked(server) == ["a", "b", "c"]
    assert waits == [1.0, 7.0]


def test_in_the_end_it_gives_up(waits: list[float]) -> None:
    with (
        chat_server(lambda _: (503, {"error": {"message": "too\nbusy"}}, {})) as server,
        pytest.raises(
            GeorankerError, match=r"/v1/chat/completions: 503 Service Unavailable: too busy, 3 times; the same"
        ),
    ):
        asked(server)
    assert waits == [1.0, 2.0]


@pytest.mark.parametrize(
    ("reply", "error", "said"),
    [
        (
            (401, {"error": {"message": "no key"}}, {}),
            GeorankerError,
            "401 Unauthorized: no key; OPENAI_API_KEY is not set",
        ),
        ((404, {"error": "no such model"}, {}), GeorankerError, "404 Not Found: no such model"),
        ((400, {"error": {"message": "unsafe"}}, {}), RefusedError, "400 Bad Request: unsafe"),
        ((413, b"<html>too large</html>", {}), RefusedError, "413 .*: <html>too large</html>"),
        (completion(None, ""), RefusedError, "all answers are empty; a model that thinks first needs more max_tokens"),
        ((200, {"choices": []}, {}), GeorankerError, r"holds no choices, but \{\"choices\": \[\]\}"),
        ((200, [1], {}), GeorankerError, r"holds no choices, but \[1\]"),
        ((200, b"<html>", {}), GeorankerError, "answer is not JSON"),
    ],
)
def test_what_does_not_pass_is_told_at_once(
    reply: Reply, error: type[Exception], said: str, waits: list[float]
) -> None:
    with chat_server(lambda _: reply) as server, pytest.raises(error, match=said) as caught:
        asked(server)
    assert type(caught.value) is error
    assert "\n" not in str(caught.value)
    assert len(server.seen) == 1
    assert not waits


def test_the_key_goes_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", SECRET)
    with chat_server(lambda _: completion("a")) as other:
        for status in (301, 302, 303, 307, 308):
            reply = (status, {"error": {"message": f"not {SECRET}"}}, {"Location": f"{other.url}/chat/completions"})
            with chat_server(functools.partial(sent, reply)) as server, pytest.raises(GeorankerError) as caught:
                asked(server)
            assert SECRET not in str(caught.value)
            assert "not (the key)" in str(caught.value)
    assert not other.seen


@pytest.mark.parametrize("key", [f" {SECRET}\n", f"{SECRET}\r\n"])
def test_a_key_from_a_file_has_an_end_of_line(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with chat_server(lambda _: completion("a", "b", "c")) as server:
        asked(server)
    assert server.seen[0][1] == f"Bearer {SECRET}"


@pytest.mark.parametrize("key", [f"{SECRET[:5]}\n{SECRET[5:]}", f"“{SECRET}”"])
def test_what_is_no_key_is_not_shown(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with (
        chat_server(lambda _: completion("a")) as server,
        pytest.raises(GeorankerError, match="OPENAI_API_KEY") as caught,
    ):
        asked(server)
    assert SECRET[5:] not in str(caught.value)
    assert not server.seen


def test_nobody_is_there() -> None:
    with chat_server(lambda _: completion("a")) as server:
        pass
    with pytest.raises(GeorankerError, match=r"Connection refused, 3 times"):
        asked(server)


@pytest.mark.parametrize("url", ["localhost:8000/v1", "file:///etc/passwd", "http://", "ftp://host/v1"])
def test_addresses(url: str) -> None:
    with pytest.raises(ValueError, match="url must be the address of a server"):
        ChatGenerator("model", url)


def test_the_fingerprint_is_that_of_what_is_asked() -> None:
    plain = ChatGenerator("model")
    assert ChatGenerator("model", "http://elsewhere/v1", at_once=2).fingerprint() == plain.fingerprint()
    assert ChatGenerator("model", temperature=0.5).fingerprint() != plain.fingerprint()
    assert ChatGenerator("other").fingerprint() != plain.fingerprint()
