"""A stand-in for a server of chat completions, on this machine."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.served import served

Reply = tuple[int, object, dict[str, str]]
"""A status, a body, which is JSON unless it is bytes, and headers."""
Answer = Callable[[dict[str, Any]], Reply]


class ChatServer(ThreadingHTTPServer):
    """Answers requests as it is told to, and remembers them.

    Args:
        answer: from the body of a request to the reply.
    """

    daemon_threads = True

    def __init__(self, answer: Answer) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.answer = answer
        self.seen: list[tuple[str, str | None, dict[str, Any]]] = []
        """The path, the authorization and the body of each request."""

    @property
    def url(self) -> str:
        """What ChatGenerator is given."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


def chat_server(answer: Answer) -> AbstractContextManager[ChatServer]:
    """Run a server for a while."""
    return served(ChatServer(answer))


def completion(*texts: str | None) -> Reply:
    """Return a reply with these answers."""
    choices = [{"index": at, "message": {"role": "assistant", "content": text}} for at, text in enumerate(texts)]
    return 200, {"object": "chat.completion", "choices": choices}, {}


class _Requests(BaseHTTPRequestHandler):
    server: ChatServer

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        """Remember who came; nobody should."""
        self.server.seen.append((self.path, self.headers.get("Authorization"), {}))
        self.send_error(405)

    def do_POST(self) -> None:
        """Answer a request."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.seen.append((self.path, self.headers.get("Authorization"), body))
        status, said, headers = self.server.answer(body)
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
