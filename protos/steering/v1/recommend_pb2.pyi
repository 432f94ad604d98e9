from protos.steering.v1 import rules_pb2 as _rules_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Order(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ORDER_UNSPECIFIED: _ClassVar[Order]
    ORDER_STEERED: _ClassVar[Order]
    ORDER_BASE: _ClassVar[Order]

class RuleStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RULE_STATUS_UNSPECIFIED: _ClassVar[RuleStatus]
    RULE_STATUS_APPLIED: _ClassVar[RuleStatus]
    RULE_STATUS_OFF: _ClassVar[RuleStatus]
    RULE_STATUS_OVERRIDDEN: _ClassVar[RuleStatus]
    RULE_STATUS_SHADOW: _ClassVar[RuleStatus]
    RULE_STATUS_UNKNOWN_CONCEPT: _ClassVar[RuleStatus]
ORDER_UNSPECIFIED: Order
ORDER_STEERED: Order
ORDER_BASE: Order
RULE_STATUS_UNSPECIFIED: RuleStatus
RULE_STATUS_APPLIED: RuleStatus
RULE_STATUS_OFF: RuleStatus
RULE_STATUS_OVERRIDDEN: RuleStatus
RULE_STATUS_SHADOW: RuleStatus
RULE_STATUS_UNKNOWN_CONCEPT: RuleStatus

class RecommendRequest(_message.Message):
    __slots__ = ("user_id", "embedding", "history", "k", "rules", "exclude_item_ids", "attributes", "ignore_policies", "explain", "include_baseline", "request_id", "exclude_history", "order")
    class AttributesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    USER_ID_FIELD_NUMBER: _ClassVar[int]
    EMBEDDING_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    K_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    IGNORE_POLICIES_FIELD_NUMBER: _ClassVar[int]
    EXPLAIN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_BASELINE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    EXCLUDE_HISTORY_FIELD_NUMBER: _ClassVar[int]
    ORDER_FIELD_NUMBER: _ClassVar[int]
    user_id: str
    embedding: Embedding
    history: History
    k: int
    rules: _containers.RepeatedCompositeFieldContainer[_rules_pb2.Rule]
    exclude_item_ids: _containers.RepeatedScalarFieldContainer[str]
    attributes: _containers.ScalarMap[str, str]
    ignore_policies: bool
    explain: bool
    include_baseline: bool
    request_id: str
    exclude_history: bool
    order: Order
    def __init__(self, user_id: _Optional[str] = ..., embedding: _Optional[_Union[Embedding, _Mapping]] = ..., history: _Optional[_Union[History, _Mapping]] = ..., k: _Optional[int] = ..., rules: _Optional[_Iterable[_Union[_rules_pb2.Rule, _Mapping]]] = ..., exclude_item_ids: _Optional[_Iterable[str]] = ..., attributes: _Optional[_Mapping[str, str]] = ..., ignore_policies: _Optional[bool] = ..., explain: _Optional[bool] = ..., include_baseline: _Optional[bool] = ..., request_id: _Optional[str] = ..., exclude_history: _Optional[bool] = ..., order: _Optional[_Union[Order, str]] = ...) -> None: ...

class Embedding(_message.Message):
    __slots__ = ("values",)
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, values: _Optional[_Iterable[float]] = ...) -> None: ...

class History(_message.Message):
    __slots__ = ("item_ids",)
    ITEM_IDS_FIELD_NUMBER: _ClassVar[int]
    item_ids: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, item_ids: _Optional[_Iterable[str]] = ...) -> None: ...

class RecommendBatchRequest(_message.Message):
    __slots__ = ("requests", "request_id")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[RecommendRequest]
    request_id: str
    def __init__(self, requests: _Optional[_Iterable[_Union[RecommendRequest, _Mapping]]] = ..., request_id: _Optional[str] = ...) -> None: ...

class RecommendBatchResponse(_message.Message):
    __slots__ = ("request_id", "results")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    RESULTS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    results: _containers.RepeatedCompositeFieldContainer[BatchResult]
    def __init__(self, request_id: _Optional[str] = ..., results: _Optional[_Iterable[_Union[BatchResult, _Mapping]]] = ...) -> None: ...

class BatchResult(_message.Message):
    __slots__ = ("response", "error")
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    response: RecommendResponse
    error: BatchError
    def __init__(self, response: _Optional[_Union[RecommendResponse, _Mapping]] = ..., error: _Optional[_Union[BatchError, _Mapping]] = ...) -> None: ...

class BatchError(_message.Message):
    __slots__ = ("code", "reason", "field", "message")
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FIELD_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    code: int
    reason: str
    field: str
    message: str
    def __init__(self, code: _Optional[int] = ..., reason: _Optional[str] = ..., field: _Optional[str] = ..., message: _Optional[str] = ...) -> None: ...

class RecommendResponse(_message.Message):
    __slots__ = ("request_id", "items", "baseline", "rules", "shortfall", "bundle_id", "policy_revision", "overlap", "unknown_excluded", "history")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    BASELINE_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    SHORTFALL_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    POLICY_REVISION_FIELD_NUMBER: _ClassVar[int]
    OVERLAP_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_EXCLUDED_FIELD_NUMBER: _ClassVar[int]
    HISTORY_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    items: _containers.RepeatedCompositeFieldContainer[ScoredItem]
    baseline: _containers.RepeatedCompositeFieldContainer[ScoredItem]
    rules: _containers.RepeatedCompositeFieldContainer[RuleOutcome]
    shortfall: Shortfall
    bundle_id: str
    policy_revision: str
    overlap: float
    unknown_excluded: int
    history: HistoryUse
    def __init__(self, request_id: _Optional[str] = ..., items: _Optional[_Iterable[_Union[ScoredItem, _Mapping]]] = ..., baseline: _Optional[_Iterable[_Union[ScoredItem, _Mapping]]] = ..., rules: _Optional[_Iterable[_Union[RuleOutcome, _Mapping]]] = ..., shortfall: _Optional[_Union[Shortfall, _Mapping]] = ..., bundle_id: _Optional[str] = ..., policy_revision: _Optional[str] = ..., overlap: _Optional[float] = ..., unknown_excluded: _Optional[int] = ..., history: _Optional[_Union[HistoryUse, _Mapping]] = ...) -> None: ...

class HistoryUse(_message.Message):
    __slots__ = ("used", "unknown")
    USED_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    used: int
    unknown: int
    def __init__(self, used: _Optional[int] = ..., unknown: _Optional[int] = ...) -> None: ...

class ScoredItem(_message.Message):
    __slots__ = ("item_id", "score", "title", "explanation")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    SCORE_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    EXPLANATION_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    score: float
    title: str
    explanation: ItemExplanation
    def __init__(self, item_id: _Optional[str] = ..., score: _Optional[float] = ..., title: _Optional[str] = ..., explanation: _Optional[_Union[ItemExplanation, _Mapping]] = ...) -> None: ...

class ItemExplanation(_message.Message):
    __slots__ = ("base_score", "base_rank", "contributions", "concepts")
    BASE_SCORE_FIELD_NUMBER: _ClassVar[int]
    BASE_RANK_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTIONS_FIELD_NUMBER: _ClassVar[int]
    CONCEPTS_FIELD_NUMBER: _ClassVar[int]
    base_score: float
    base_rank: int
    contributions: _containers.RepeatedCompositeFieldContainer[Contribution]
    concepts: _containers.RepeatedCompositeFieldContainer[ItemConcept]
    def __init__(self, base_score: _Optional[float] = ..., base_rank: _Optional[int] = ..., contributions: _Optional[_Iterable[_Union[Contribution, _Mapping]]] = ..., concepts: _Optional[_Iterable[_Union[ItemConcept, _Mapping]]] = ...) -> None: ...

class Contribution(_message.Message):
    __slots__ = ("concept", "action", "channel", "source", "value")
    CONCEPT_FIELD_NUMBER: _ClassVar[int]
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    concept: str
    action: _rules_pb2.Action
    channel: _rules_pb2.Channel
    source: str
    value: float
    def __init__(self, concept: _Optional[str] = ..., action: _Optional[_Union[_rules_pb2.Action, str]] = ..., channel: _Optional[_Union[_rules_pb2.Channel, str]] = ..., source: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...

class ItemConcept(_message.Message):
    __slots__ = ("concept", "value", "labelled")
    CONCEPT_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LABELLED_FIELD_NUMBER: _ClassVar[int]
    concept: str
    value: float
    labelled: bool
    def __init__(self, concept: _Optional[str] = ..., value: _Optional[float] = ..., labelled: _Optional[bool] = ...) -> None: ...

class RuleOutcome(_message.Message):
    __slots__ = ("rule", "source", "priority", "status", "note", "dose", "share_before", "share_after")
    RULE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    DOSE_FIELD_NUMBER: _ClassVar[int]
    SHARE_BEFORE_FIELD_NUMBER: _ClassVar[int]
    SHARE_AFTER_FIELD_NUMBER: _ClassVar[int]
    rule: _rules_pb2.Rule
    source: str
    priority: int
    status: RuleStatus
    note: str
    dose: float
    share_before: float
    share_after: float
    def __init__(self, rule: _Optional[_Union[_rules_pb2.Rule, _Mapping]] = ..., source: _Optional[str] = ..., priority: _Optional[int] = ..., status: _Optional[_Union[RuleStatus, str]] = ..., note: _Optional[str] = ..., dose: _Optional[float] = ..., share_before: _Optional[float] = ..., share_after: _Optional[float] = ...) -> None: ...

class Shortfall(_message.Message):
    __slots__ = ("eligible", "reason", "filled")
    ELIGIBLE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FILLED_FIELD_NUMBER: _ClassVar[int]
    eligible: int
    reason: str
    filled: int
    def __init__(self, eligible: _Optional[int] = ..., reason: _Optional[str] = ..., filled: _Optional[int] = ...) -> None: ...
