"""A stand-in for the hub: the part of its HTTP interface that uploads and downloads go through, on this machine."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from contextlib import AbstractContextManager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

from tests.served import served

TOKEN = "hf_of_a_test"
COMMIT = "0123456789abcdef0123456789abcdef01234567"
_BINARY = (".safetensors", ".npy", ".parquet")


class Hub(ThreadingHTTPServer):
    """Repositories in memory: files by repository and path."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Requests)
        self.repos: dict[str, dict[str, bytes]] = {}
        self.objects: dict[str, bytes] = {}
        self.seen: list[tuple[str, str]] = []
        """Each request, and the authorization that it carried."""

    @property
    def address(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.server_address[1]}"


def hub() -> AbstractContextManager[Hub]:
    """Run a hub for a while."""
    return served(Hub())


class _Requests(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def _answer(self, status: int, body: object = None, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _body(self) -> bytes:
        self.server.seen.append((f"{self.command} {self.path}", self.headers.get("Authorization", "")))
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_POST(self) -> None:
        """Make a repository, say how files are uploaded, and take commits."""
        body = self._body()
        if not self.path.endswith("/batch") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            self._answer(403, {"error": "you may not write here"})
        elif self.path == "/api/repos/create":
            said = json.loads(body)
            name = f"{said['organization']}/{said['name']}" if said.get("organization") else said["name"]
            self.server.repos.setdefault(name, {})
            self._answer(200, {"url": f"{self.server.address}/{name}"})
        elif self.path == "/api/validate-yaml":
            head = yaml.safe_load(json.loads(body)["content"].split("---")[1])
            faults = [] if isinstance(head.get("tags"), list) else [{"message": "tags must be a list"}]
            self._answer(200 if not faults else 400, {"errors": faults, "warnings": []})
        elif found := re.fullmatch(r"/api/models/([\w/.-]+)/preupload/main", self.path):
            names = [file["path"] for file in json.loads(body)["files"]]
            modes = [
                {"path": name, "uploadMode": "lfs" if name.endswith(_BINARY) else "regular", "shouldIgnore": False}
                for name in names
            ]
            self._answer(200, {"files": modes})
        elif self.path.endswith(".git/info/lfs/objects/batch"):
            objects = [
                {**each, "actions": {"upload": {"href": f"{self.server.address}/lfs/{each['oid']}"}}}
                for each in json.loads(body)["objects"]
            ]
            self._answer(200, {"transfer": "basic", "objects": objects})
        elif found := re.fullmatch(r"/api/models/([\w/.-]+)/commit/main", self.path):
            files = self.server.repos[found[1]]
            for line in body.splitlines():
                value = json.loads(line)["value"]
                if "content" in value:
                    files[value["path"]] = base64.b64decode(value["content"])
                elif "oid" in value:
                    files[value["path"]] = self.server.objects[value["oid"]]
            url = f"{self.server.address}/{found[1]}/commit/{COMMIT}"
            self._answer(200, {"commitUrl": url, "commitOid": COMMIT, "hookOutput": "", "success": True})
        else:
            self._answer(404, {"error": f"no {self.path} here"})

    def do_PUT(self) -> None:
        """Take the bytes of a large file."""
        body = self._body()
        oid = self.path.rpartition("/")[2]
        right = hashlib.sha256(body).hexdigest() == oid
        self.server.objects[oid] = body
        self._answer(200 if right else 400)

    def do_GET(self) -> None:
        """List a repository, or give a file of it."""
        self._body()
        path = self.path.partition("?")[0]
        tree = re.fullmatch(r"/api/models/([\w.-]+/[\w.-]+)/tree/\w+", path)
        listing = re.fullmatch(r"/api/models/([\w/.-]+?)(?:/revision/\w+)?", path)
        file = re.fullmatch(r"/([\w.-]+/[\w.-]+)/resolve/\w+/(.+)", path)
        if listing and listing[1] in self.server.repos:
            siblings = [{"rfilename": name} for name in self.server.repos[listing[1]]]
            told = {"id": listing[1], "modelId": listing[1], "sha": COMMIT, "private": False, "siblings": siblings}
            self._answer(200, {**told, "tags": [], "downloads": 0, "likes": 0})
        elif tree and tree[1] in self.server.repos:
            files = self.server.repos[tree[1]].items()
            entries = [
                {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for name, data in files
            ]
            self._answer(200, entries)
        elif file and file[2] in self.server.repos.get(file[1], {}):
            data = self.server.repos[file[1]][file[2]]
            headers = {"ETag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Repo-Commit": COMMIT}
            self._answer(200, data, headers)
        else:
            self._answer(404, {"error": "not found"}, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET
