"""Every parser of outside data, by the name of the file that is damaged."""

from tests.faults.annotation_parsers import ANNOTATIONS
from tests.faults.artefact_parsers import ARTEFACTS
from tests.faults.feature_parsers import FEATURES, STORES
from tests.faults.prediction_parsers import PREDICTIONS

PARSERS = {parser.name: parser for parser in (*FEATURES, *STORES, *ANNOTATIONS, *PREDICTIONS, *ARTEFACTS)}
