from protos.steering.v1 import concepts_pb2 as _concepts_pb2
from protos.steering.v1 import rules_pb2 as _rules_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PolicyMode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    POLICY_MODE_UNSPECIFIED: _ClassVar[PolicyMode]
    POLICY_MODE_ENFORCE: _ClassVar[PolicyMode]
    POLICY_MODE_SHADOW: _ClassVar[PolicyMode]
POLICY_MODE_UNSPECIFIED: PolicyMode
POLICY_MODE_ENFORCE: PolicyMode
POLICY_MODE_SHADOW: PolicyMode

class PolicySource(_message.Message):
    __slots__ = ("name", "content")
    NAME_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    name: str
    content: bytes
    def __init__(self, name: _Optional[str] = ..., content: _Optional[bytes] = ...) -> None: ...

class PolicyFault(_message.Message):
    __slots__ = ("file", "line", "field", "message")
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    file: str
    line: int
    field: str
    message: str
    def __init__(self, file: _Optional[str] = ..., line: _Optional[int] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class PolicyWarning(_message.Message):
    __slots__ = ("file", "line", "policy", "message")
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    POLICY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    file: str
    line: int
    policy: str
    message: str
    def __init__(self, file: _Optional[str] = ..., line: _Optional[int] = ..., policy: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class Policy(_message.Message):
    __slots__ = ("name", "owner", "description", "enabled", "mode", "priority", "mandatory", "conditions", "open", "rules", "rule_words", "file", "line")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    MANDATORY_FIELD_NUMBER: _ClassVar[int]
    CONDITIONS_FIELD_NUMBER: _ClassVar[int]
    OPEN_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    RULE_WORDS_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    name: str
    owner: str
    description: str
    enabled: bool
    mode: PolicyMode
    priority: int
    mandatory: bool
    conditions: _containers.RepeatedScalarFieldContainer[str]
    open: bool
    rules: _containers.RepeatedCompositeFieldContainer[_rules_pb2.Rule]
    rule_words: _containers.RepeatedScalarFieldContainer[str]
    file: str
    line: int
    def __init__(self, name: _Optional[str] = ..., owner: _Optional[str] = ..., description: _Optional[str] = ..., enabled: _Optional[bool] = ..., mode: _Optional[_Union[PolicyMode, str]] = ..., priority: _Optional[int] = ..., mandatory: _Optional[bool] = ..., conditions: _Optional[_Iterable[str]] = ..., open: _Optional[bool] = ..., rules: _Optional[_Iterable[_Union[_rules_pb2.Rule, _Mapping]]] = ..., rule_words: _Optional[_Iterable[str]] = ..., file: _Optional[str] = ..., line: _Optional[int] = ...) -> None: ...

class GetStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetStatusResponse(_message.Message):
    __slots__ = ("bundle_id", "bundle_name", "items", "concepts", "policy_revision", "policy_folder", "policies", "started_at", "policies_loaded_at", "policies_checked_at", "reloads", "refusals", "stale", "error", "faults", "pid", "version", "bundle_folder", "bundle_loaded_at", "bundle_swaps", "bundle_refusals", "previous_bundle_id", "bundle_error")
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_NAME_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    CONCEPTS_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    POLICY_FOLDER_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    POLICIES_LOADED_AT_FIELD_NUMBER: _ClassVar[int]
    POLICIES_CHECKED_AT_FIELD_NUMBER: _ClassVar[int]
    RELOADS_FIELD_NUMBER: _ClassVar[int]
    REFUSALS_FIELD_NUMBER: _ClassVar[int]
    STALE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_FOLDER_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_LOADED_AT_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_SWAPS_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_REFUSALS_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_ERROR_FIELD_NUMBER: _ClassVar[int]
    bundle_id: str
    bundle_name: str
    items: int
    concepts: int
    policy_revision: str
    policy_folder: str
    policies: int
    started_at: float
    policies_loaded_at: float
    policies_checked_at: float
    reloads: int
    refusals: int
    stale: bool
    error: str
    faults: _containers.RepeatedCompositeFieldContainer[PolicyFault]
    pid: int
    version: str
    bundle_folder: str
    bundle_loaded_at: float
    bundle_swaps: int
    bundle_refusals: int
    previous_bundle_id: str
    bundle_error: str
    def __init__(self, bundle_id: _Optional[str] = ..., bundle_name: _Optional[str] = ..., items: _Optional[int] = ..., concepts: _Optional[int] = ..., policy_revision: _Optional[str] = ..., policy_folder: _Optional[str] = ..., policies: _Optional[int] = ..., started_at: _Optional[float] = ..., policies_loaded_at: _Optional[float] = ..., policies_checked_at: _Optional[float] = ..., reloads: _Optional[int] = ..., refusals: _Optional[int] = ..., stale: _Optional[bool] = ..., error: _Optional[str] = ..., faults: _Optional[_Iterable[_Union[PolicyFault, _Mapping]]] = ..., pid: _Optional[int] = ..., version: _Optional[str] = ..., bundle_folder: _Optional[str] = ..., bundle_loaded_at: _Optional[float] = ..., bundle_swaps: _Optional[int] = ..., bundle_refusals: _Optional[int] = ..., previous_bundle_id: _Optional[str] = ..., bundle_error: _Optional[str] = ...) -> None: ...

class LoadBundleRequest(_message.Message):
    __slots__ = ("path", "accept_losses")
    PATH_FIELD_NUMBER: _ClassVar[int]
    ACCEPT_LOSSES_FIELD_NUMBER: _ClassVar[int]
    path: str
    accept_losses: bool
    def __init__(self, path: _Optional[str] = ..., accept_losses: _Optional[bool] = ...) -> None: ...

class LoadBundleResponse(_message.Message):
    __slots__ = ("outcome", "bundle_id", "previous_bundle_id", "error", "seconds")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    bundle_id: str
    previous_bundle_id: str
    error: str
    seconds: float
    def __init__(self, outcome: _Optional[str] = ..., bundle_id: _Optional[str] = ..., previous_bundle_id: _Optional[str] = ..., error: _Optional[str] = ..., seconds: _Optional[float] = ...) -> None: ...

class RollbackBundleRequest(_message.Message):
    __slots__ = ("accept_losses",)
    ACCEPT_LOSSES_FIELD_NUMBER: _ClassVar[int]
    accept_losses: bool
    def __init__(self, accept_losses: _Optional[bool] = ...) -> None: ...

class RollbackBundleResponse(_message.Message):
    __slots__ = ("outcome", "bundle_id", "previous_bundle_id", "error", "seconds")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    PREVIOUS_BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    bundle_id: str
    previous_bundle_id: str
    error: str
    seconds: float
    def __init__(self, outcome: _Optional[str] = ..., bundle_id: _Optional[str] = ..., previous_bundle_id: _Optional[str] = ..., error: _Optional[str] = ..., seconds: _Optional[float] = ...) -> None: ...

class ListPoliciesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListPoliciesResponse(_message.Message):
    __slots__ = ("policies", "policy_revision", "warnings")
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    policies: _containers.RepeatedCompositeFieldContainer[Policy]
    policy_revision: str
    warnings: _containers.RepeatedCompositeFieldContainer[PolicyWarning]
    def __init__(self, policies: _Optional[_Iterable[_Union[Policy, _Mapping]]] = ..., policy_revision: _Optional[str] = ..., warnings: _Optional[_Iterable[_Union[PolicyWarning, _Mapping]]] = ...) -> None: ...

class ValidatePoliciesRequest(_message.Message):
    __slots__ = ("files",)
    FILES_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[PolicySource]
    def __init__(self, files: _Optional[_Iterable[_Union[PolicySource, _Mapping]]] = ...) -> None: ...

class ValidatePoliciesResponse(_message.Message):
    __slots__ = ("valid", "revision", "policies", "faults", "warnings")
    VALID_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    WARNINGS_FIELD_NUMBER: _ClassVar[int]
    valid: bool
    revision: str
    policies: int
    faults: _containers.RepeatedCompositeFieldContainer[PolicyFault]
    warnings: _containers.RepeatedCompositeFieldContainer[PolicyWarning]
    def __init__(self, valid: _Optional[bool] = ..., revision: _Optional[str] = ..., policies: _Optional[int] = ..., faults: _Optional[_Iterable[_Union[PolicyFault, _Mapping]]] = ..., warnings: _Optional[_Iterable[_Union[PolicyWarning, _Mapping]]] = ...) -> None: ...

class PreviewPoliciesRequest(_message.Message):
    __slots__ = ("files", "users", "user_ids", "seed", "k", "attributes", "at")
    FILES_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    USER_IDS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[PolicySource]
    users: int
    user_ids: _containers.RepeatedScalarFieldContainer[str]
    seed: int
    k: int
    attributes: Attributes
    at: float
    def __init__(self, files: _Optional[_Iterable[_Union[PolicySource, _Mapping]]] = ..., users: _Optional[int] = ..., user_ids: _Optional[_Iterable[str]] = ..., seed: _Optional[int] = ..., k: _Optional[int] = ..., attributes: _Optional[_Union[Attributes, _Mapping]] = ..., at: _Optional[float] = ...) -> None: ...

class Attributes(_message.Message):
    __slots__ = ("values",)
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.ScalarMap[str, str]
    def __init__(self, values: _Optional[_Mapping[str, str]] = ...) -> None: ...

class PreviewPoliciesResponse(_message.Message):
    __slots__ = ("revision_before", "revision_after", "k", "at", "changes", "situations")
    REVISION_BEFORE_FIELD_NUMBER: _ClassVar[int]
    REVISION_AFTER_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    SITUATIONS_FIELD_NUMBER: _ClassVar[int]
    revision_before: str
    revision_after: str
    k: int
    at: float
    changes: _containers.RepeatedCompositeFieldContainer[PolicyChange]
    situations: _containers.RepeatedCompositeFieldContainer[Situation]
    def __init__(self, revision_before: _Optional[str] = ..., revision_after: _Optional[str] = ..., k: _Optional[int] = ..., at: _Optional[float] = ..., changes: _Optional[_Iterable[_Union[PolicyChange, _Mapping]]] = ..., situations: _Optional[_Iterable[_Union[Situation, _Mapping]]] = ...) -> None: ...

class PolicyChange(_message.Message):
    __slots__ = ("name", "kind", "what")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    WHAT_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    what: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., what: _Optional[_Iterable[str]] = ...) -> None: ...

class Situation(_message.Message):
    __slots__ = ("attributes", "users", "changed", "overlap", "short_before", "short_after", "fired", "shares", "examples")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    SHORT_BEFORE_FIELD_NUMBER: _ClassVar[int]
    SHORT_AFTER_FIELD_NUMBER: _ClassVar[int]
    FIRED_FIELD_NUMBER: _ClassVar[int]
    SHARES_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    attributes: _containers.ScalarMap[str, str]
    users: int
    changed: int
    overlap: float
    short_before: int
    short_after: int
    fired: _containers.RepeatedCompositeFieldContainer[PolicyReach]
    shares: _containers.RepeatedCompositeFieldContainer[ConceptShare]
    examples: _containers.RepeatedCompositeFieldContainer[PreviewExample]
    def __init__(self, attributes: _Optional[_Mapping[str, str]] = ..., users: _Optional[int] = ..., changed: _Optional[int] = ..., overlap: _Optional[float] = ..., short_before: _Optional[int] = ..., short_after: _Optional[int] = ..., fired: _Optional[_Iterable[_Union[PolicyReach, _Mapping]]] = ..., shares: _Optional[_Iterable[_Union[ConceptShare, _Mapping]]] = ..., examples: _Optional[_Iterable[_Union[PreviewExample, _Mapping]]] = ...) -> None: ...

class PolicyReach(_message.Message):
    __slots__ = ("policy", "before", "after")
    POLICY_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    policy: str
    before: int
    after: int
    def __init__(self, policy: _Optional[str] = ..., before: _Optional[int] = ..., after: _Optional[int] = ...) -> None: ...

class ConceptShare(_message.Message):
    __slots__ = ("concept", "before", "after", "ruled")
    CONCEPT_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    RULED_FIELD_NUMBER: _ClassVar[int]
    concept: str
    before: float
    after: float
    ruled: bool
    def __init__(self, concept: _Optional[str] = ..., before: _Optional[float] = ..., after: _Optional[float] = ..., ruled: _Optional[bool] = ...) -> None: ...

class PreviewExample(_message.Message):
    __slots__ = ("user_id", "overlap", "before", "after")
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    overlap: float
    before: _containers.RepeatedCompositeFieldContainer[PreviewItem]
    after: _containers.RepeatedCompositeFieldContainer[PreviewItem]
    def __init__(self, user_id: _Optional[str] = ..., overlap: _Optional[float] = ..., before: _Optional[_Iterable[_Union[PreviewItem, _Mapping]]] = ..., after: _Optional[_Iterable[_Union[PreviewItem, _Mapping]]] = ...) -> None: ...

class PreviewItem(_message.Message):
    __slots__ = ("item_id", "title")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    title: str
    def __init__(self, item_id: _Optional[str] = ..., title: _Optional[str] = ...) -> None: ...

class ReloadPoliciesRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ReloadPoliciesResponse(_message.Message):
    __slots__ = ("outcome", "policy_revision", "error", "faults")
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    FAULTS_FIELD_NUMBER: _ClassVar[int]
    outcome: str
    policy_revision: str
    error: str
    faults: _containers.RepeatedCompositeFieldContainer[PolicyFault]
    def __init__(self, outcome: _Optional[str] = ..., policy_revision: _Optional[str] = ..., error: _Optional[str] = ..., faults: _Optional[_Iterable[_Union[PolicyFault, _Mapping]]] = ...) -> None: ...

class ListCustomConceptsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListCustomConceptsResponse(_message.Message):
    __slots__ = ("concepts", "policy_revision")
    CONCEPTS_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    concepts: _containers.RepeatedCompositeFieldContainer[_concepts_pb2.CustomConcept]
    policy_revision: str
    def __init__(self, concepts: _Optional[_Iterable[_Union[_concepts_pb2.CustomConcept, _Mapping]]] = ..., policy_revision: _Optional[str] = ...) -> None: ...

class SaveConceptRequest(_message.Message):
    __slots__ = ("concept",)
    CONCEPT_FIELD_NUMBER: _ClassVar[int]
    concept: _concepts_pb2.CustomConcept
    def __init__(self, concept: _Optional[_Union[_concepts_pb2.CustomConcept, _Mapping]] = ...) -> None: ...

class SaveConceptResponse(_message.Message):
    __slots__ = ("concept", "replaced", "policy_revision")
    CONCEPT_FIELD_NUMBER: _ClassVar[int]
    REPLACED_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    concept: _concepts_pb2.Concept
    replaced: bool
    policy_revision: str
    def __init__(self, concept: _Optional[_Union[_concepts_pb2.Concept, _Mapping]] = ..., replaced: _Optional[bool] = ..., policy_revision: _Optional[str] = ...) -> None: ...

class DeleteConceptRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class DeleteConceptResponse(_message.Message):
    __slots__ = ("policy_revision",)
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    policy_revision: str
    def __init__(self, policy_revision: _Optional[str] = ...) -> None: ...
