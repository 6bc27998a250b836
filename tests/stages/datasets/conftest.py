from pathlib import Path

import pytest

from stages.datasets.samples import load_adapter, write_samples
from tests.shared import SHARED, there

ROOT = Path(__file__).resolve().parents[3]
RENAMED = {"ratsg_train.json.gz": "train.json.gz"}  # the collection's file names -> the published ones


@pytest.fixture(scope="session")
def shared_data():
    """The folder of the real annotation files."""
    return there(SHARED / "data")


@pytest.fixture(scope="session")
def published_annotations(tmp_path_factory, shared_data):
    """dataset -> a raw folder with its real annotation files, as fetch would leave it."""
    shared = shared_data

    def raw(dataset, *, leave_out=()):
        folder = tmp_path_factory.mktemp(dataset) / "annotations"
        folder.mkdir()
        for path in sorted((shared / dataset).iterdir()):
            name = RENAMED.get(path.name, path.name).removeprefix("ratsg_")
            if name not in leave_out:
                (folder / name).symlink_to(path.resolve())
        return folder.parent

    return raw


@pytest.fixture(scope="session")
def consolidated(published_annotations, tmp_path_factory):
    """dataset -> (samples folder, its quality report), made from all real annotation files once."""
    made = {}

    def samples(dataset):
        if dataset not in made:
            folder = tmp_path_factory.mktemp("samples") / dataset
            made[dataset] = folder, write_samples(load_adapter(dataset), published_annotations(dataset), folder)
        return made[dataset]

    return samples
