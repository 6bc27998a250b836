"""Every dependency states a licence, and a copyleft one comes in only with a reason."""

import importlib.metadata
import re

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
