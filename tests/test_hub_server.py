"""The test Hub against the real client: what the client downloads from it is what lies in its folders."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from huggingface_hub import HfApi, hf_hub_download, hf_hub_url, snapshot_download
from huggingface_hub.errors import RemoteEntryNotFoundError, RepositoryNotFoundError, RevisionNotFoundError

from tests.hub_process import RunningHub, running_hub

FILES = {
    "README.md": b"# a data set\n",
    "empty.txt": b"",
    "features/clip/a.npz": bytes(range(256)) * 10_000,
    "features/clip/b b ü.npz": b"b",
    "features/labels.json": b"{}",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with running_hub(tmp_path_factory.mktemp("hub")) as running:
        running.put("owner/name", FILES)
        running.put("owner/name@v2", {"README.md": b"# second\n"})
        running.put("owner/model", {"model.safetensors": b"weights"}, kind="models")
        yield running


@pytest.fixture
def hub(server: RunningHub) -> RunningHub:
    server.calm()
    return server


@pytest.fixture
def api(hub: RunningHub) -> HfApi:
    return HfApi(endpoint=hub.endpoint)


def test_client_takes_a_whole_snapshot(hub, tmp_path):
    snapshot_download("owner/name", repo_type="dataset", endpoint=hub.endpoint, local_dir=tmp_path, max_workers=2)
    assert {name: (tmp_path / name).read_bytes() for name in FILES} == FILES


def test_client_takes_one_file_of_a_model(hub, tmp_path):
    path = hf_hub_download("owner/model", "model.safetensors", endpoint=hub.endpoint, local_dir=tmp_path)
    assert path == str(tmp_path / "model.safetensors")


def test_listing_has_sizes_folders_and_sha256_of_lfs_files(api):
    entries = {entry.path: entry for entry in api.list_repo_tree("owner/name", repo_type="dataset", recursive=True)}
    assert set(entries) == {*FILES, "features", "features/clip"}
    assert {name: entries[name].size for name in FILES} == {name: len(content) for name, content in FILES.items()}
    assert entries["features/clip/a.npz"].lfs.size == 2_560_000
    assert entries["features/labels.json"].lfs is None
    below = api.list_repo_tree("owner/name", "features/clip", repo_type="dataset")
    assert {entry.path for entry in below} == {"features/clip/a.npz", "features/clip/b b ü.npz"}
    top = api.list_repo_tree("owner/name", repo_type="dataset")
    assert {entry.path for entry in top} == {"README.md", "empty.txt", "features"}


def test_some_paths_can_be_asked_about(api):
    (info,) = api.get_paths_info("owner/name", ["features/labels.json"], repo_type="dataset")
    assert (info.path, info.size) == ("features/labels.json", 2)


def test_commit_is_a_digest_of_the_content(hub, api):
    hub.put("other/copy", FILES)
    first = api.repo_info("owner/name", repo_type="dataset").sha
    assert first == api.repo_info("other/copy", repo_type="dataset").sha
    assert first != api.repo_info("owner/name", repo_type="dataset", revision="v2").sha
    hub.put("other/copy", {"features/labels.json": b"[]"})
    assert first != api.repo_info("other/copy", repo_type="dataset").sha


def test_files_are_found_by_branch_and_by_commit(hub, api, tmp_path):
    commit = api.repo_info("owner/name", repo_type="dataset", revision="v2").sha
    for number, revision in enumerate(("v2", commit)):
        options = {"repo_type": "dataset", "endpoint": hub.endpoint, "local_dir": tmp_path / str(number)}
        hf_hub_download("owner/name", "README.md", revision=revision, **options)
        assert (tmp_path / str(number) / "README.md").read_bytes() == b"# second\n"


def test_missing_things_are_told_apart(hub, api, tmp_path):
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info("owner/missing", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.repo_info("owner/name", repo_type="dataset", revision="v9")
    with pytest.raises(RemoteEntryNotFoundError):
        hf_hub_download("owner/name", "missing.json", repo_type="dataset", endpoint=hub.endpoint, local_dir=tmp_path)


def read(hub: RunningHub, path: str, **headers: str) -> tuple[int, bytes]:
    url = hf_hub_url("owner/name", path, repo_type="dataset", endpoint=hub.endpoint)
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    with urllib.request.urlopen(request, timeout=30) as response:
        return response.status, response.read()


@pytest.mark.parametrize(
    ("asked", "part"), [("bytes=5-", slice(5, None)), ("bytes=0-9", slice(0, 10)), ("bytes=-4", slice(-4, None))]
)
def test_ranges_are_answered(hub, asked, part):
    assert read(hub, "features/clip/a.npz", Range=asked) == (206, FILES["features/clip/a.npz"][part])


def test_range_beyond_the_end_is_refused(hub):
    with pytest.raises(urllib.error.HTTPError, match="416"):
        read(hub, "features/clip/a.npz", Range="bytes=2560000-")


def test_fault_ends_after_its_number_of_times_and_starts_after_its_number_of_skips(hub):
    hub.fault("status", operation="resolve", path="*.json", status=503, times=1, skip=1)
    assert read(hub, "features/labels.json") == (200, b"{}")
    with pytest.raises(urllib.error.HTTPError, match="503"):
        read(hub, "features/labels.json")
    assert read(hub, "features/labels.json") == (200, b"{}")
    assert [entry["status"] for entry in hub.log("resolve")] == [200, 503, 200]


def test_unknown_fault_is_refused(hub):
    with pytest.raises(urllib.error.HTTPError, match="400"):
        hub.fault("explode")


def test_paths_do_not_leave_the_root(hub, tmp_path):
    for path in ("/files/../datasets/owner/name/README.md", "/datasets/owner/name/resolve/main/../../../../x"):
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{hub.endpoint}{path}", timeout=30)
