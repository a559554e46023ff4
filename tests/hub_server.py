"""A Hub on loopback for the tests: the parts of its HTTP interface that reading and publishing models use.

Files come as from the Hub: resolved at a commit, small ones by their git checksum, large ones by SHA-256
from a storage of their own, with ranges. Publishing is the Hub's too: preupload, Git LFS batch, one commit.
A test can make the server fail: cut a transfer short, send other bytes, answer with an error.
"""

import base64
import hashlib
import json
import re
import threading
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import yaml
from huggingface_hub import constants

WRITE_TOKEN, READ_TOKEN = "hf_write", "hf_read"
LARGE = (".safetensors", ".png")


def git_sha1(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


@dataclass
class Repo:
    """Commits by their hash, each a mapping of paths to contents; branches by name."""

    private: bool = False
    gated: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        listing = json.dumps([len(self.commits), *((name, git_sha1(data)) for name, data in sorted(files.items()))])
        commit = hashlib.sha1(listing.encode()).hexdigest()
        self.commits[commit] = files
        self.branches[branch] = commit
        return commit

    def head(self, revision: str = "main") -> str | None:
        return self.branches.get(revision, revision if revision in self.commits else None)

    def files(self, revision: str = "main") -> dict[str, bytes]:
        return self.commits[self.head(revision)]


class Hub(ThreadingHTTPServer):
    """The server's state, and the faults that a test asks for."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.storage = f"http://localhost:{self.server_address[1]}/storage"  # another host, as on the Hub
        self.repos: dict[str, Repo] = {}  # "models/user/name" or "spaces/user/name"
        self.stored: dict[str, bytes] = {}  # large files by SHA-256
        self.requests: Counter = Counter()  # (method, kind of address): how often
        self.ranges: list[str] = []  # Range headers of downloads
        self.cut: list[int] = []  # the next transfers of a large file end after so many bytes
        self.corrupt: set[str] = set()  # paths whose content arrives changed
        self.status: dict[str, int] = {}  # kind of address: answer every such request with this

    def publish(self, repo_id: str, folder: Path, **settings) -> Repo:
        """Puts a folder's files into a repository, as if someone had pushed them."""
        repo = self.repos.setdefault(f"models/{repo_id}", Repo(**settings))
        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        repo.commit(files)
        return repo


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    def log_message(self, *_):
        pass

    def handle(self):
        try:
            super().handle()
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def do_HEAD(self):
        self.route("HEAD")

    def do_GET(self):
        self.route("GET")

    def do_POST(self):
        self.route("POST")

    def do_PUT(self):
        self.route("PUT")

    ROUTES = (
        ("resolve", r"/(spaces/)?([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)"),
        ("storage", r"/storage/([0-9a-f]{64})"),
        ("info", r"/api/(models|spaces)/([\w.-]+/[\w.-]+)(?:/revision/([^/]+))?"),
        ("tree", r"/api/(models|spaces)/([\w.-]+/[\w.-]+)/tree/([^/]+)"),
        ("create", r"/api/repos/create"),
        ("validate", r"/api/validate-yaml"),
        ("branch", r"/api/(models|spaces)/([\w.-]+/[\w.-]+)/branch/([^/]+)"),
        ("preupload", r"/api/(models|spaces)/([\w.-]+/[\w.-]+)/preupload/([^/]+)"),
        ("commit", r"/api/(models|spaces)/([\w.-]+/[\w.-]+)/commit/([^/]+)"),
        ("batch", r"/(spaces/)?([\w.-]+/[\w.-]+)\.git/info/lfs/objects/batch"),
    )

    def route(self, method: str):
        address = urlsplit(self.path)
        for kind, pattern in self.ROUTES:
            if match := re.fullmatch(pattern, address.path):
                self.server.requests[method, kind] += 1
                self.query = parse_qs(address.query)
                if status := self.server.status.get(kind):
                    self.body()
                    return self.answer(status, {"error": "as the test asked"})
                return getattr(self, f"{method.replace('HEAD', 'GET').lower()}_{kind}")(
                    *map(unquote_any, match.groups())
                )
        return self.answer(404, {"error": f"no such address: {address.path}"})

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def answer(self, status: int, content: bytes | dict | list, headers: dict | None = None, code: str | None = None):
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Length": len(data), **(headers or {})}.items():
            self.send_header(name, str(value))
        if code:
            self.send_header("X-Error-Code", code)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def token(self) -> str | None:
        return (self.headers.get("Authorization") or "").removeprefix("Bearer ") or None

    def readable(self, kind: str, repo_id: str, revision: str = "main") -> Repo | None:
        """The repository, if the caller may read it; otherwise answers as the Hub does."""
        repo, token = self.server.repos.get(f"{kind}/{repo_id}"), self.token()
        if token not in (None, WRITE_TOKEN, READ_TOKEN):
            self.answer(401, {"error": "Invalid credentials in Authorization header"})
        elif repo is None or (repo.private and token is None):
            self.answer(404 if token else 401, {"error": "Repository not found"}, code="RepoNotFound")
        elif repo.gated and token != WRITE_TOKEN:
            self.answer(403 if token else 401, {"error": "Access to this model is restricted"}, code="GatedRepo")
        elif repo.head(revision) is None:
            self.answer(404, {"error": f"Invalid rev id: {revision}"}, code="RevisionNotFound")
        else:
            return repo
        return None

    def writer(self, repo_id: str) -> bool:
        token = self.token()
        if token not in (WRITE_TOKEN, READ_TOKEN):
            self.answer(401, {"error": "Invalid username or password."})
        elif token == READ_TOKEN or not repo_id.startswith("user/"):
            self.answer(403, {"error": f"You don't have the rights to write to {repo_id}"})
        else:
            return True
        return False

    # Reading

    def get_resolve(self, space, repo_id, revision, path):
        repo = self.readable("spaces" if space else "models", repo_id, revision)
        if repo is None:
            return None
        commit, files = repo.head(revision), repo.files(revision)
        headers = {"X-Repo-Commit": commit}
        if path not in files:
            return self.answer(404, {"error": "Entry not found"}, headers, code="EntryNotFound")
        content = files[path]
        if path.endswith(LARGE):
            oid = hashlib.sha256(content).hexdigest()
            self.server.stored[oid] = flip(content) if path in self.server.corrupt else content
            headers |= {"X-Linked-ETag": f'"{oid}"', "X-Linked-Size": len(content)}
            return self.answer(302, b"", headers | {"Location": f"{self.server.storage}/{oid}"})
        headers["ETag"] = f'"{git_sha1(content)}"'
        return self.answer(200, flip(content) if path in self.server.corrupt else content, headers)

    def get_storage(self, oid):
        content, status, headers = self.server.stored[oid], 200, {"ETag": f'"{oid}"', "Accept-Ranges": "bytes"}
        if asked := self.headers.get("Range"):
            self.server.ranges.append(asked)
            first = int(re.match(r"bytes=(\d+)-", asked).group(1))
            headers["Content-Range"] = f"bytes {first}-{len(content) - 1}/{len(content)}"
            content, status = content[first:], 206
        if not (self.server.cut and self.command == "GET"):
            return self.answer(status, content, headers)
        self.send_response(status)  # promises everything, sends a part, hangs up
        for name, value in {"Content-Length": len(content), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(content[: self.server.cut.pop(0)])
        self.close_connection = True
        return None

    def get_info(self, kind, repo_id, revision):
        revision = revision or "main"
        if repo := self.readable(kind, repo_id, revision):
            siblings = [{"rfilename": name} for name in repo.files(revision)]
            facts = {"id": repo_id, "sha": repo.head(revision), "private": repo.private, "siblings": siblings}
            self.answer(200, facts | {"tags": [], "downloads": 0, "likes": 0})

    def get_tree(self, kind, repo_id, revision):
        if repo := self.readable(kind, repo_id, revision):
            listing = []
            for name, data in repo.files(revision).items():
                entry = {"type": "file", "path": name, "size": len(data), "oid": git_sha1(data)}
                if name.endswith(LARGE):
                    entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 130}
                listing.append(entry)
            self.answer(200, listing)

    # Publishing

    def post_create(self):
        request = json.loads(self.body())
        repo_id = f"{request['organization']}/{request['name']}"
        kind = f"{request.get('type') or 'model'}s"
        if not self.writer(repo_id):
            return
        url = f"{self.server.url}/{'spaces/' if kind == 'spaces' else ''}{repo_id}"
        if f"{kind}/{repo_id}" in self.server.repos:
            self.answer(409, {"error": "You already created this repo", "url": url})
            return
        repo = self.server.repos[f"{kind}/{repo_id}"] = Repo(private=request.get("visibility") == "private")
        repo.commit({".gitattributes": b"*.safetensors filter=lfs diff=lfs merge=lfs -text\n"})
        self.answer(200, {"url": url})

    def post_validate(self):
        request = json.loads(self.body())
        problems = metadata_problems(request["content"], request["repoType"])
        self.answer(400 if problems else 200, {"errors": [{"message": p} for p in problems], "warnings": []})

    def post_branch(self, kind, repo_id, branch):
        self.body()
        if self.writer(repo_id) and (repo := self.readable(kind, repo_id)):
            exists = branch in repo.branches
            repo.branches.setdefault(branch, repo.branches["main"])
            self.answer(409 if exists else 200, {})

    def post_preupload(self, kind, repo_id, revision):
        request = json.loads(self.body())
        proposal = "create_pr" in self.query and self.token()
        if (proposal or self.writer(repo_id)) and (repo := self.readable(kind, repo_id, revision)):
            present = repo.files(revision)
            answers = []
            for path in (entry["path"] for entry in request["files"]):
                large, old = path.endswith(LARGE), present.get(path)
                oid = None if old is None else hashlib.sha256(old).hexdigest() if large else git_sha1(old)
                mode = "lfs" if large else "regular"
                answers.append({"path": path, "uploadMode": mode, "shouldIgnore": False, "oid": oid})
            self.answer(200, {"files": answers})

    def post_batch(self, space, repo_id):
        request = json.loads(self.body())
        objects = []
        for entry in request["objects"]:
            answer = {"oid": entry["oid"], "size": entry["size"]}
            if entry["oid"] not in self.server.stored:
                answer["actions"] = {"upload": {"href": f"{self.server.storage}/{entry['oid']}"}}
            objects.append(answer)
        self.answer(200, {"transfer": "basic", "objects": objects})

    def put_storage(self, oid):
        if self.server.cut:
            self.rfile.read(self.server.cut.pop(0))
            self.close_connection = True
            self.connection.close()
            return
        content = self.body()
        if hashlib.sha256(content).hexdigest() != oid:
            self.answer(400, {"error": "the content is not what its checksum says"})
            return
        self.server.stored[oid] = content
        self.answer(200, b"")

    def post_commit(self, kind, repo_id, revision):
        operations = [json.loads(line) for line in self.body().splitlines()]
        proposal = "create_pr" in self.query and self.token()
        if not (proposal or self.writer(repo_id)) or not (repo := self.readable(kind, repo_id, revision)):
            return
        files = dict(repo.files(revision))
        for operation in operations:
            value = operation["value"]
            if operation["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif operation["key"] == "lfsFile":
                if value["oid"] not in self.server.stored:
                    self.answer(400, {"error": f"LFS pointer to a missing object: {value['path']}"})
                    return
                files[value["path"]] = self.server.stored[value["oid"]]
            elif operation["key"] == "deletedFile":
                files.pop(value["path"])
        commit = repo.commit(files, branch="refs/pr/1" if proposal else revision)
        prefix = f"{self.server.url}/{'spaces/' if kind == 'spaces' else ''}{repo_id}"
        answer = {"commitUrl": f"{prefix}/commit/{commit}", "commitOid": commit, "commitMessage": ""}
        if proposal:
            answer["pullRequestUrl"] = f"{prefix}/discussions/1"
        self.answer(200, answer)


def metadata_problems(content: str, repo_type: str) -> list[str]:
    """What the Hub would refuse in a card: a part of its rules, from its documentation."""
    match = re.match(r"---\r?\n(.*?)\r?\n---", content, re.DOTALL)
    if not match:
        return []
    try:
        data = yaml.safe_load(match.group(1))
    except yaml.YAMLError as error:
        return [f"not valid YAML: {error}"]
    problems = []
    license = data.get("license")
    if not isinstance(license, str) or not re.fullmatch(r"[a-z0-9][a-z0-9.-]*", license):
        problems.append('"license" must be one of the known identifiers')
    if license == "other" and not (data.get("license_name") and data.get("license_link")):
        problems.append('"license_name" and "license_link" go with license "other"')
    if not re.fullmatch(r"[a-z0-9.-]+", data.get("license_name", "x")):
        problems.append('"license_name" must be lower case, with dashes')
    for model in data.get("model-index", []):
        for result in model["results"]:
            keys = [("task", "type"), ("dataset", "type"), ("dataset", "name")]
            problems += [f'"model-index": {a}.{b} is missing' for a, b in keys if not result.get(a, {}).get(b)]
            problems += ['"model-index": a metric lacks a value' for m in result["metrics"] if "value" not in m]
    if repo_type == "space" and data.get("sdk") not in ("gradio", "docker", "static"):
        problems.append('"sdk" must be one of [gradio, docker, static]')
    return problems


def unquote_any(value: str | None) -> str | None:
    return value and unquote(value)


def flip(content: bytes) -> bytes:
    """The same length, one byte changed."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


@contextmanager
def running_hub(monkeypatch, tmp_path):
    """A Hub of the test's own, which the real client talks to, with an empty cache and no stored token."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    point_client_at(server.url, monkeypatch, tmp_path)
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def point_client_at(url: str, monkeypatch, tmp_path: Path) -> None:
    """What HF_ENDPOINT, HF_HOME and HF_HUB_DISABLE_XET do in a new process."""
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)  # the large-file protocol, not Xet's storage
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client's pauses before it tries again
