"""The disk contract: one immutable, versioned folder that offline writes and the server reads.

numpy, pyarrow and pydantic only. Legend: B batch, D embedding, L latents, N items, C concepts, U users.
"""

from bundle.calibration import Calibration, CheckRow, Curve, Dial, DialCheck
from bundle.codes import SparseCodes
from bundle.concepts import (
    CONCEPT_ID,
    LATENT_FAMILY,
    Concept,
    ConceptFile,
    LatentWeight,
    Purity,
    Quality,
    Steered,
    concept_id,
)
from bundle.contents import BundleContents, ConceptArrays, search_query, search_vectors
from bundle.index import (
    PARAMS,
    FlatParams,
    HnswParams,
    IndexEntry,
    IndexKind,
    IndexParams,
    IvfParams,
    PqParams,
    RecallRow,
)
from bundle.manifest import FORMAT_VERSION, Manifest, Metric, ScorerKind
from bundle.profile import UserProfile, measure_users, profile_users
from bundle.proxy import Proxy
from bundle.reader import Bundle, load_bundle, read_manifest, verify_files
from bundle.reindex import write_reindexed
from bundle.rewrite import write_with
from bundle.sae import Activation, SaeWeights, TowerWeights
from bundle.version import __version__
from bundle.writer import beside, concept_files, refuse_occupied, write_bundle

__all__ = [
    "CONCEPT_ID",
    "FORMAT_VERSION",
    "LATENT_FAMILY",
    "PARAMS",
    "Activation",
    "Bundle",
    "BundleContents",
    "Calibration",
    "CheckRow",
    "Concept",
    "ConceptArrays",
    "ConceptFile",
    "Curve",
    "Dial",
    "DialCheck",
    "FlatParams",
    "HnswParams",
    "IndexEntry",
    "IndexKind",
    "IndexParams",
    "IvfParams",
    "LatentWeight",
    "Manifest",
    "Metric",
    "PqParams",
    "Proxy",
    "Purity",
    "Quality",
    "RecallRow",
    "SaeWeights",
    "ScorerKind",
    "SparseCodes",
    "Steered",
    "TowerWeights",
    "UserProfile",
    "__version__",
    "beside",
    "concept_files",
    "concept_id",
    "load_bundle",
    "measure_users",
    "profile_users",
    "read_manifest",
    "refuse_occupied",
    "search_query",
    "search_vectors",
    "verify_files",
    "write_bundle",
    "write_reindexed",
    "write_with",
]
