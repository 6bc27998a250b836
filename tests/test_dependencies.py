"""Every dependency states a licence, and a copyleft one comes in only with a reason."""

import importlib.metadata
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests import dependencies

# Installed beside doflow and called as they are, never copied or shipped with it.
KNOWN_COPYLEFT = {
    "grandalf": "draws dvc's graphs; DVC asks for it",
    "pygit2": "git for DVC; its exception permits linking",
    "text-unidecode": "for Prefect's slugs; also under the Artistic License",
    "udapi": "Stanza asks for it; used by its training scripts alone",
    "udtools": "Stanza asks for it; used by its training scripts alone",
}
# Stated on the project's page, missing in the package.
UNSTATED = {"axe-playwright-python": "MIT"}


@pytest.mark.parametrize("name", dependencies.locked())
def test_a_dependency_states_a_licence_that_permits_its_use(name):
    try:
        stated = dependencies.licence(name)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed here")
    assert stated or name in UNSTATED
    only_copyleft = re.search(r"GPL|General Public", stated) and not re.search(r"LGPL|Lesser| OR ", stated)
    assert not only_copyleft or name in KNOWN_COPYLEFT


@pytest.mark.parametrize(
    ("ended", "said", "code", "told"),
    [
        (0, "No known vulnerabilities found", 0, "No known"),
        (1, "Found 1 known vulnerability in 1 package\njinja2 3.0 GHSA-1", 1, "jinja2 3.0"),
        (
            1,
            "requests.exceptions.ConnectionError: Failed to resolve 'pypi.org'",
            0,
            "skipped: the database of advisories is out of",
        ),
        (1, "Found 1 known vulnerability in 1 package\na warning: ServiceError for another", 1, "Found 1"),
        (0, "Dependency not found and could not be audited\n" * len(dependencies.locked()), 0, "skipped: .* it knows 0 of"),
        (2, "error: unrecognized arguments", 2, "unrecognized"),
    ],
)
def test_an_audit_alarms_only_about_what_the_database_says(ended, said, code, told):
    found = dependencies.judged(ended, said)
    assert found[0] == code
    assert re.match(told, found[1]) or told in found[1]


class Advisories(BaseHTTPRequestHandler):
    """An OSV server that knows one weakness, of one package."""

    def do_POST(self):
        package = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]
        fixed = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}
        weakness = {"id": "GHSA-made-up", "summary": "none", "affected": [{"package": package, "ranges": [fixed]}]}
        answer = json.dumps({"vulns": [weakness]} if package["name"] == "jinja2" else {}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


@pytest.mark.slow
def test_pip_audit_names_the_package_that_a_database_knows_something_against(capsys):
    with ThreadingHTTPServer(("127.0.0.1", 0), Advisories) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        code = dependencies.audit(f"http://127.0.0.1:{server.server_port}/v1/query")
        server.shutdown()
    said = capsys.readouterr().out
    if "pip-audit cannot be installed" in said:
        pytest.skip(said)
    assert code == 1
    assert re.search(r"jinja2 +\S+ +GHSA-made-up +99\.0", said)
    assert "Found 1 known vulnerability in 1 package" in said
