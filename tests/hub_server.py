"""A Hugging Face Hub for tests: a real HTTP server over folders, in a process of its own, that can be told to misbehave.

    python -m tests.hub_server --root DIR --port 0 --port-file F

speaks what `huggingface_hub` asks for when it downloads: repository information, paged tree listing, paths-info, resolve with
HEAD, ETag, X-Repo-Commit, X-Linked-Size, X-Linked-Etag, Range, and for LFS files a redirect to a second port, as to a storage
host of another origin. Folders: see hub_repositories. `<root>/files/...` is served as it is under /files/ (for plain addresses).

    POST   /control/faults   {"fault": ..., "operation": ..., "path": ..., "times": ..., ...}    see hub_faults
    DELETE /control/faults
    POST   /control/access   {"repository": "datasets/owner/name", "token": "hf_...", "gated": false}
    GET    /control/log      requests since the last DELETE /control/log: operation, path, status, range, authorization (bool)

Tests start it with `tests.hub_process.running_hub(root)`.
"""

from __future__ import annotations

import argparse
import contextlib
import gzip
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote, unquote, urlsplit

from tests.hub_faults import Faults
from tests.hub_repositories import Blob, Repositories, Snapshot

PAGE = 1000  # entries of a tree listing per answer, as the Hub
API = re.compile(r"/api/(datasets|models)/([^/]+/[^/]+?)(?:/(revision|tree|paths-info)/([^/]+)(?:/(.*))?)?")
RESOLVE = re.compile(r"/(?:(datasets)/)?([^/]+/[^/]+)/resolve/([^/]+)/(.+)")
STORAGE = re.compile(r"/storage/([0-9a-f]{64})")
RANGE = re.compile(r"bytes=(\d*)-(\d*)")


class Answer(Exception):
    """Not an error: ends the handling of a request with a status."""

    def __init__(self, status: int, message: str = "", code: str | None = None, headers: dict[str, str] | None = None):
        super().__init__(message)
        self.status, self.message, self.code, self.headers = status, message, code, headers or {}


class State:
    """What both ports share."""

    def __init__(self, root: Path) -> None:
        self.repositories = Repositories(root)
        self.files = root / "files"
        self.faults = Faults()
        self.access: dict[str, dict[str, Any]] = {}
        self.log: list[dict[str, Any]] = []
        self.listing: tuple[tuple[str, str, bool], list[dict[str, Any]]] | None = None
        self.storage_port = 0


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256
    state: State

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is nothing to print."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    timeout = 600
    server: Server
    operation: str
    path_in_repository: str
    CONTROL: ClassVar[tuple[str, ...]] = ("faults", "access", "log")

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_DELETE = do_GET

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Requests are in /control/log."""

    def _answer(self) -> None:
        self.operation, self.path_in_repository = "other", ""
        url = urlsplit(self.path)
        path = unquote(url.path)
        try:
            if path.startswith("/control/"):
                self._control(path.removeprefix("/control/"))
            elif path == "/api/whoami-v2":
                self._whoami()
            elif match := API.fullmatch(path):
                self._api(match[1], match[2], match[3], unquote(match[4] or "main"), match[5] or "", parse_qs(url.query))
            elif match := RESOLVE.fullmatch(path):
                self._resolve(match[1] or "models", match[2], unquote(match[3]), match[4])
            elif match := STORAGE.fullmatch(path):
                self._storage(match[1])
            elif path.startswith("/files/"):
                self._plain(path.removeprefix("/files/"))
            else:
                raise Answer(404, f"nothing at {path}")
        except Answer as answer:
            headers = dict(answer.headers)
            if answer.code:
                headers["X-Error-Code"] = answer.code
            if answer.message:
                headers["X-Error-Message"] = answer.message.encode("ascii", "replace").decode()
            self._send(answer.status, json.dumps({"error": answer.message}).encode(), headers)

    # ---- requests -------------------------------------------------------------------------------------------------------

    def _api(self, kind: str, repository: str, what: str | None, revision: str, rest: str, query: dict[str, list[str]]) -> None:
        operation = {"tree": "tree", "paths-info": "paths-info"}.get(what or "", "info")
        if what == "tree" or what == "paths-info":
            snapshot = self._snapshot(operation, kind, repository, revision, rest)
        else:
            snapshot = self._snapshot(operation, kind, repository, revision, repository)
        if operation == "info":
            wrong = self._fault("commit")
            siblings = [{"rfilename": path} for path in self._visible(snapshot, "info")]
            if query.get("blobs"):
                siblings = [{"rfilename": entry["path"], **entry} for entry in self._entries(snapshot, "")]
            sha = wrong["sha"] if wrong else snapshot.commit
            basic = {"_id": sha[:24], "id": repository, "author": repository.split("/")[0], "sha": sha, "private": False}
            self._json({**basic, "gated": False, "disabled": False, "tags": [], "downloads": 0, "likes": 0, "siblings": siblings})
        elif operation == "tree":
            recursive = query.get("recursive", ["false"])[0].lower() in ("true", "1")
            entries = self._listing(snapshot, rest, recursive)
            start = int(query.get("cursor", ["0"])[0])
            headers = {"X-Repo-Commit": snapshot.commit}
            if start + PAGE < len(entries) and self._fault("last-page") is None:
                path = self.path.split("?")[0]
                headers["Link"] = f'<http://{self.headers["Host"]}{path}?recursive={recursive}&cursor={start + PAGE}>; rel="next"'
            self._json(entries[start : start + PAGE], headers)
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            wanted = json.loads(body)["paths"] if body.startswith("{") else parse_qs(body).get("paths", [])
            self._json([entry for entry in self._entries(snapshot, "") if entry["path"] in wanted])

    def _whoami(self) -> None:
        tokens = {f"Bearer {access['token']}" for access in self.server.state.access.values()}
        if self.headers.get("Authorization") not in tokens:
            raise Answer(401, "Invalid credentials in Authorization header")
        self._json({"type": "user", "name": "tester"})

    def _resolve(self, kind: str, repository: str, revision: str, path: str) -> None:
        snapshot = self._snapshot("resolve", kind, repository, revision, path)
        blob = snapshot.blobs.get(path)
        if blob is None or not blob.unchanged():
            raise Answer(404, f"{path} is not in {repository} at {revision}", "EntryNotFound", {"X-Repo-Commit": snapshot.commit})
        headers = {"X-Repo-Commit": snapshot.commit, "ETag": f'"{blob.etag}"'}
        if blob.sha256 is None:
            self._file(blob.file, headers)
            return
        host = self.headers["Host"].rpartition(":")[0]
        headers["X-Linked-Size"], headers["X-Linked-Etag"] = str(blob.size), f'"{blob.sha256}"'
        headers["Location"] = f"http://{host}:{self.server.state.storage_port}/storage/{blob.sha256}?name={quote(path)}"
        self._send(302, b"", headers)

    def _storage(self, sha256: str) -> None:
        blob = self.server.state.repositories.stored(sha256)
        self.operation, self.path_in_repository = "storage", blob.path if blob else sha256
        self._early_faults()
        if blob is None or not blob.unchanged():
            raise Answer(404, "no such object")
        self._file(blob.file, {"ETag": f'"{sha256}"'})

    def _plain(self, path: str) -> None:
        self.operation, self.path_in_repository = "plain", path
        self._early_faults()
        file = self.server.state.files / path
        if ".." in path.split("/") or not file.is_file():
            raise Answer(404, f"no file {path}")
        headers = {} if self._fault("no-etag") is not None else {"ETag": f'"{file.stat().st_mtime_ns:x}-{file.stat().st_size:x}"'}
        self._file(file, headers)

    def _control(self, what: str) -> None:
        self.operation = "control"
        state = self.server.state
        if what not in self.CONTROL:
            raise Answer(404, f"control: {', '.join(self.CONTROL)}")
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.command == "POST" and what == "faults":
            try:
                state.faults.add(json.loads(body))
            except (TypeError, ValueError) as error:
                raise Answer(400, str(error)) from None
        elif self.command == "DELETE" and what == "faults":
            state.faults.clear()
        elif self.command == "POST" and what == "access":
            description = json.loads(body)
            state.access[description.pop("repository")] = description
        elif self.command == "DELETE" and what == "log":
            state.log.clear()
        self._json(list(state.log) if what == "log" else {})

    # ---- what the answers are made of -----------------------------------------------------------------------------------

    def _snapshot(self, operation: str, kind: str, repository: str, revision: str, path: str) -> Snapshot:
        self.operation, self.path_in_repository = operation, path
        self._early_faults()
        state = self.server.state
        access = state.access.get(f"{kind}/{repository}", {})
        token_ok = not access.get("token") or self.headers.get("Authorization") == f"Bearer {access['token']}"
        if not state.repositories.exists(kind, repository) or (not token_ok and not access.get("gated")):
            raise Answer(401 if access.get("token") else 404, "Repository not found", "RepoNotFound")
        if not token_ok:
            raise Answer(403, f"Access to {kind}/{repository} is restricted.", "GatedRepo")
        snapshot = state.repositories.snapshot(kind, repository, revision, verify=operation == "info")
        if snapshot is None:
            raise Answer(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return snapshot

    def _visible(self, snapshot: Snapshot, operation: str) -> list[str]:
        faults = self.server.state.faults
        return [path for path in snapshot.blobs if faults.take("hide", operation, path) is None]

    def _listing(self, snapshot: Snapshot, below: str, recursive: bool) -> list[dict[str, Any]]:
        """The entries, made once for all pages of a listing unless a fault may change them."""
        state, key = self.server.state, (snapshot.commit, below, recursive)
        if state.faults:
            return self._entries(snapshot, below, recursive=recursive)
        if state.listing is None or state.listing[0] != key:
            state.listing = (key, self._entries(snapshot, below, recursive=recursive))
        return state.listing[1]

    def _entries(self, snapshot: Snapshot, below: str, *, recursive: bool = True) -> list[dict[str, Any]]:
        """The listing of a folder as the Hub sends it, folders included."""
        entries, folders = [], set()
        prefix = f"{below}/" if below else ""
        for path in self._visible(snapshot, "tree"):
            if not path.startswith(prefix):
                continue
            parts = path.removeprefix(prefix).split("/")[:-1]
            for depth in range(1, len(parts) + 1 if recursive else min(2, len(parts) + 1)):
                folder = prefix + "/".join(parts[:depth])
                if folder not in folders:
                    folders.add(folder)
                    entries.append({"type": "directory", "oid": "0" * 40, "size": 0, "path": folder})
            if recursive or not parts:
                entries.append(self._entry(snapshot.blobs[path]))
        return entries

    def _entry(self, blob: Blob) -> dict[str, Any]:
        faults = self.server.state.faults
        renamed, announced = faults.take("rename", "tree", blob.path), faults.take("announce", "tree", blob.path)
        size = announced["bytes"] if announced else blob.size
        entry = {"type": "file", "oid": blob.blob_id, "size": size, "path": renamed["to"] if renamed else blob.path}
        if blob.sha256 is not None:
            entry["lfs"] = {"oid": blob.sha256, "size": size, "pointerSize": 134}
        return entry

    def _fault(self, name: str) -> dict[str, Any] | None:
        return self.server.state.faults.take(name, self.operation, self.path_in_repository)

    def _early_faults(self) -> None:
        if not self.server.state.faults:
            return
        if slow := self._fault("slow"):
            time.sleep(slow.get("seconds", 0))
            self.rate = slow.get("rate")
        if self._fault("reset") is not None:
            self._note(0)
            self.connection.shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        if status := self._fault("status"):
            headers = {"Retry-After": str(status["retry_after"])} if "retry_after" in status else {}
            raise Answer(status["status"], status.get("message", "told to fail"), None, {**headers, **status.get("headers", {})})
        if self._fault("html") is not None:
            self._send(200, b"<html><body>Please log in to the network.</body></html>", {"Content-Type": "text/html"})
            raise ConnectionAbortedError

    rate: float | None = None

    def _json(self, value: object, headers: dict[str, str] | None = None) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json", **(headers or {})})

    def _send(self, status: int, body: bytes, headers: dict[str, str]) -> None:
        self._note(status)
        self._head(status, len(body), headers)
        if self.command != "HEAD":
            self.wfile.write(body)

    def _file(self, file: Path, headers: dict[str, str]) -> None:
        """A file's bytes, by Range where asked for, with whatever faults are due for it."""
        if replaced := self._fault("replace"):
            self._send(200, replaced["content"].encode(), headers)
            return
        if self._fault("encoded") is not None:
            self._send(200, gzip.compress(file.read_bytes()), {**headers, "Content-Encoding": "gzip"})
            return
        size, start, status = file.stat().st_size, 0, 200
        asked = RANGE.fullmatch(self.headers.get("Range", ""))
        if_range = self.headers.get("If-Range")
        if asked and self._fault("no-range") is None and (if_range is None or if_range == headers.get("ETag")):
            start = int(asked[1]) if asked[1] else max(0, size - int(asked[2]))
            end = min(size, int(asked[2]) + 1) if asked[1] and asked[2] else size
            if start >= size:
                raise Answer(416, "range not satisfiable", None, {"Content-Range": f"bytes */{size}"})
            headers = {**headers, "Content-Range": f"bytes {start}-{end - 1}/{size}"}
            status, size = 206, end
        headers = {**headers, "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        self._note(status)
        self._head(status, size - start, headers)
        if self.command == "HEAD":
            return
        with file.open("rb") as stream:
            if not self.server.state.faults and self.rate is None:
                if size > start:
                    self.connection.sendfile(stream, start, size - start)
                return
            self._slowly_or_wrongly(stream, start, size - start)

    def _slowly_or_wrongly(self, stream: Any, start: int, count: int) -> None:
        cut, wrong = self._fault("cut"), self._fault("wrong")
        stream.seek(start)
        sent, limit = 0, count if cut is None else min(count, cut.get("after", 0))
        rate, self.rate = self.rate, None
        step = max(1, min(1 << 16, int(rate / 10))) if rate else 1 << 16
        while sent < limit:
            chunk = stream.read(min(step, limit - sent))
            self.wfile.write(bytes(byte ^ 0xFF for byte in chunk) if wrong is not None else chunk)
            sent += len(chunk)
            if rate:
                time.sleep(len(chunk) / rate)
        if cut is not None:
            self.wfile.flush()
            self.connection.shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError

    def _head(self, status: int, length: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _note(self, status: int) -> None:
        if self.operation not in ("control", "other"):
            entry = {"operation": self.operation, "method": self.command, "path": self.path_in_repository, "status": status}
            seen = {"range": self.headers.get("Range"), "authorization": "Authorization" in self.headers}
            self.server.state.log.append({**entry, **seen})


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", type=Path, required=True, help="folder of repositories")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--port-file", type=Path, help="the port is written here once the server listens")
    args = parser.parse_args(argv)
    state = State(args.root)
    hub, storage = Server((args.host, args.port), Handler), Server((args.host, 0), Handler)
    hub.state = storage.state = state
    state.storage_port = storage.server_address[1]
    threading.Thread(target=storage.serve_forever, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    port = hub.server_address[1]
    print(f"Hub of {args.root} on http://{args.host}:{port} (set HF_ENDPOINT to it)", file=sys.stderr, flush=True)
    if args.port_file:
        beside = args.port_file.with_name(args.port_file.name + ".new")
        beside.write_text(str(port))
        os.replace(beside, args.port_file)  # noqa: PTH105
    with contextlib.suppress(KeyboardInterrupt):
        hub.serve_forever()


if __name__ == "__main__":
    main()
