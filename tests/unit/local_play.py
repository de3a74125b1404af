# SPDX-License-Identifier: GPL-3.0-or-later
"""ansible-playbook with local tasks, and an API server on this machine, for tests of modules in their own processes."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import forked

Object = dict[str, Any]

OWN_PYTHON = "{{ ansible_playbook_python }}"
OTHER_PYTHON = "{{ ansible_playbook_python | dirname }}/./{{ ansible_playbook_python | basename }}"
CREATED = "2026-01-01T00:00:00Z"
WORKLOAD = "/apis/apps/v1/namespaces/dev/statefulsets/dev"
PASSWORD = "swordfish-in-fork"
# Python 3.12 and later warn about a fork beside a thread. As an error, os.fork() would drop it without a trace.
_FORKS = "ansible_collections.nested.clusters.plugins.plugin_utils.forked_module"
FORK_WARNINGS = {"PYTHONWARNINGS": f"always::DeprecationWarning:{_FORKS}"}
FORK_WARNING = "use of fork() may lead to deadlocks"


def _fits(item: Object, selector: str) -> bool:
    """Whether an object's labels fit a selector."""
    labels = item["metadata"].get("labels") or {}
    for part in re.findall(r"[^,(]+(?:\([^)]*\))?", selector):
        if found := re.match(r"(\S+)\s+(in|notin)\s+\((.*)\)$", part):
            name, operator, values = found.groups()
            if (labels.get(name) in [value.strip() for value in values.split(",")]) != (operator == "in"):
                return False
        elif "=" in part:
            name, value = re.split("!?==?", part)
            if (labels.get(name) == value) != ("!=" not in part):
                return False
        elif (part.lstrip("!") in labels) != (not part.startswith("!")):
            return False
    return True


def _merge(target: Object, patch: Object) -> Object:
    """RFC 7386."""
    merged = dict(target)
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        elif isinstance(value, dict):
            merged[name] = _merge(merged[name] if isinstance(merged.get(name), dict) else {}, value)
        else:
            merged[name] = value
    return merged


class ApiServer:
    """As much of an API server as a module in its own process asks for: it keeps what it is sent."""

    def __init__(self) -> None:
        self.objects: dict[str, Object] = {}
        self.version = 0
        self.asked = threading.Event()  # something has been asked for
        self.open = threading.Event()  # until then, nothing is answered
        self.open.set()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1
            disable_nagle_algorithm = True

            def handle_one(self) -> None:
                url = urlsplit(self.path)
                sent = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                server.asked.set()
                server.open.wait(120)
                query = {name: values[0] for name, values in parse_qs(url.query).items()}
                status, body = server.answer(self.command, url.path, query, json.loads(sent or b"null"))
                data = json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_one

            def log_message(self, format: str, *args: Any) -> None:
                """Be quiet."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def __enter__(self) -> ApiServer:
        return self

    def __exit__(self, *_error: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    def put(self, where: str, item: Object) -> Object:
        """Keep an object."""
        self.version += 1
        metadata = {"creationTimestamp": CREATED, "uid": f"uid-{self.version}", **item.get("metadata", {})}
        metadata["resourceVersion"] = str(self.version)
        if namespaced := re.search("/namespaces/([^/]+)/.", where):
            metadata["namespace"] = namespaced[1]
        self.objects[where] = {**item, "metadata": metadata}
        return self.objects[where]

    def answer(self, verb: str, where: str, query: dict[str, str], body: Any) -> tuple[int, Object]:
        """(status, body)."""
        if verb == "POST" and "name" not in body.get("metadata", {}):
            return 201, {**body, "status": {"allowed": True}}  # a review of access
        if verb == "POST":
            name = f"{where}/{body['metadata']['name']}"
            return (409, _status("AlreadyExists")) if name in self.objects else (201, self.put(name, body))
        if verb == "GET" and self._is_collection(where):
            return 200, {"kind": "List", "metadata": {}, "items": self._list(where, query.get("labelSelector", ""))}
        if where not in self.objects:
            return 404, _status("NotFound")
        if verb == "PATCH":
            return 200, self.put(where, _merge(self.objects[where], body))
        if verb == "DELETE":
            return 200, self.objects.pop(where)
        return 200, self.objects[where]

    @staticmethod
    def _is_collection(where: str) -> bool:
        _api, *rest = where.removeprefix("/apis").removeprefix("/api").strip("/").split("/")
        rest = rest[1:] if where.startswith("/apis") else rest
        return len(rest) in (1, 3)

    def _list(self, where: str, selector: str) -> list[Object]:
        prefix, _slash, plural = where.rpartition("/")
        of = re.compile(f"{re.escape(prefix)}(/namespaces/[^/]+)?/{plural}/[^/]+")
        found = [item for name, item in sorted(self.objects.items()) if of.fullmatch(name)]
        return [copy.deepcopy(item) for item in found if _fits(item, selector)]


def _status(reason: str) -> Object:
    return {"kind": "Status", "status": "Failure", "reason": reason, "message": f"it is {reason}"}


def settle(server: ApiServer) -> None:
    """Bring a host cluster with one virtual cluster, dev, to where it was."""
    server.objects.clear()
    server.version = 0
    labels = {"app": "vcluster", "release": "dev"}
    containers = [{"name": "syncer", "image": "ghcr.io/loft-sh/vcluster-oss:0.36.1", "resources": {}}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    status = {"replicas": 1, "readyReplicas": 1}
    server.put("/api/v1/namespaces/dev", {"metadata": {"name": "dev"}, "status": {"phase": "Active"}})
    server.put("/api/v1/namespaces/kube-system", {"metadata": {"name": "kube-system"}})
    server.put(WORKLOAD, {"metadata": {"name": "dev", "labels": labels}, "spec": spec, "status": status})


def connection(server: ApiServer) -> Object:
    """Return the connection options for it."""
    return {"host": server.url, "api_key": PASSWORD}


def carrying(mark: str) -> list[int]:
    """Return the processes that have a text in their environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended, or is another user's
            if mark.encode() in (process / "environ").read_bytes():
                found.append(int(process.name))
    return found


def eventually(condition: Callable[[], object], seconds: float = 120) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it has not come to that"
        time.sleep(0.05)


@dataclass(frozen=True)
class Played:
    """What a run of ansible-playbook said, and the result of each task."""

    rc: int
    out: str
    err: str
    results: list[Object]

    @property
    def said(self) -> str:
        return self.out + self.err


class Playbook:
    """Runs tasks with ansible-playbook, in a directory of their own.

    With a home that many runs have in common, they are forks of one process: see tests/support/playbook_server.py.
    Without one, a run is a real ansible-playbook, for tests whose subject is its process.
    """

    def __init__(self, directory: Path, common_home: str = "") -> None:
        self.directory = directory
        self.in_forks = bool(common_home)
        self.home = Path(common_home or directory / "ansible")
        # Not in there: ansible-core's sockets are in it, and the path of a socket has at most 107 bytes.
        self.temporary = Path(tempfile.mkdtemp(prefix="play-"))
        weakref.finalize(self, shutil.rmtree, self.temporary, ignore_errors=True)

    def write(self, tasks: list[Object], **variables: Any) -> Path:
        """Write a playbook that keeps the result of each task in results.json."""
        named = [{"register": f"task_{number}", "ignore_errors": True, **task} for number, task in enumerate(tasks)]
        registered = ", ".join(f"task_{number}" for number in range(len(tasks)))
        keep = {"content": "{{ [" + registered + "] | to_json }}", "dest": str(self.directory / "results.json")}
        play = {
            "hosts": "all",
            "connection": "local",
            "gather_facts": False,
            "vars": {"ansible_python_interpreter": OWN_PYTHON, **variables},
            "tasks": [*named, {"ansible.builtin.copy": {**keep, "mode": "0600"}, "no_log": True}],
        }
        book = self.directory / "play.json"
        book.write_text(json.dumps([play]))
        return book

    def arguments(self, *more: str) -> list[str]:
        return ["-i", "one,", *more, str(self.directory / "play.json")]

    def command(self, *arguments: str) -> list[str]:
        # The tool of this very Python, which is that of the fork.
        program = Path(sys.executable).with_name("ansible-playbook")
        return [sys.executable, str(program), *self.arguments(*arguments)]

    def environment(self, **settings: str) -> dict[str, str]:
        own = {"ANSIBLE_HOME": str(self.home), "TMPDIR": str(self.temporary), "KUBECONFIG": "/nowhere"}
        kept = {name: value for name, value in os.environ.items() if not name.startswith("COV_")}
        return {**kept, "ANSIBLE_FORCE_COLOR": "0", **own, **FORK_WARNINGS, **settings}

    def run(self, tasks: list[Object], verbosity: str = "-vvv", **settings: Any) -> Played:
        """Run tasks. Settings in capitals are environment variables, and others the play's variables."""
        environment = {name: value for name, value in settings.items() if name.isupper()}
        self.write(tasks, **{name: value for name, value in settings.items() if name not in environment})
        done = self._run([verbosity] if verbosity else [], self.environment(**environment))
        file = self.directory / "results.json"
        assert FORK_WARNING not in done.stdout + done.stderr, done.stderr
        results = json.loads(file.read_text()) if file.exists() else []
        file.unlink(missing_ok=True)
        return Played(done.returncode, done.stdout, done.stderr, results)

    def _run(self, arguments: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        if self.in_forks:
            return forked.run_playbook(self.arguments(*arguments), environment, self.directory, timeout=900)
        return subprocess.run(
            self.command(*arguments),
            env=environment,
            cwd=self.directory,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )

    def left(self) -> list[Path]:
        """The files that a run has left."""
        tops = (self.temporary, self.home / "tmp")
        return [path for top in tops for path in top.rglob("*") if path.is_file()]
