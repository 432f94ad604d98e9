from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ConceptKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CONCEPT_KIND_UNSPECIFIED: _ClassVar[ConceptKind]
    CONCEPT_KIND_METADATA: _ClassVar[ConceptKind]
    CONCEPT_KIND_LABELLED: _ClassVar[ConceptKind]
    CONCEPT_KIND_LATENT: _ClassVar[ConceptKind]
    CONCEPT_KIND_CUSTOM: _ClassVar[ConceptKind]
CONCEPT_KIND_UNSPECIFIED: ConceptKind
CONCEPT_KIND_METADATA: ConceptKind
CONCEPT_KIND_LABELLED: ConceptKind
CONCEPT_KIND_LATENT: ConceptKind
CONCEPT_KIND_CUSTOM: ConceptKind

class ListConceptsRequest(_message.Message):
    __slots__ = ("family", "query", "page_size", "page_token", "include_not_offered")
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    QUERY_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_NOT_OFFERED_FIELD_NUMBER: _ClassVar[int]
    family: str
    query: str
    page_size: int
    page_token: str
    include_not_offered: bool
    def __init__(self, family: _Optional[str] = ..., query: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., include_not_offered: _Optional[bool] = ...) -> None: ...

class ListConceptsResponse(_message.Message):
    __slots__ = ("concepts", "next_page_token", "bundle_id")
    CONCEPTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    concepts: _containers.RepeatedCompositeFieldContainer[Concept]
    next_page_token: str
    bundle_id: str
    def __init__(self, concepts: _Optional[_Iterable[_Union[Concept, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., bundle_id: _Optional[str] = ...) -> None: ...

class GetConceptRequest(_message.Message):
    __slots__ = ("concept", "top_items")
    CONCEPT_FIELD_NUMBER: _ClassVar[int]
    TOP_ITEMS_FIELD_NUMBER: _ClassVar[int]
    concept: str
    top_items: int
    def __init__(self, concept: _Optional[str] = ..., top_items: _Optional[int] = ...) -> None: ...

class GetConceptResponse(_message.Message):
    __slots__ = ("concept", "bundle_id")
    CONCEPT_FIELD_NUMBER: _ClassVar[int]
    BUNDLE_ID_FIELD_NUMBER: _ClassVar[int]
    concept: Concept
    bundle_id: str
    def __init__(self, concept: _Optional[_Union[Concept, _Mapping]] = ..., bundle_id: _Optional[str] = ...) -> None: ...

class Concept(_message.Message):
    __slots__ = ("id", "family", "display_name", "offered", "not_offered_reason", "items", "quality", "latents", "top_items", "kind", "definition")
    ID_FIELD_NUMBER: _ClassVar[int]
    FAMILY_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    OFFERED_FIELD_NUMBER: _ClassVar[int]
    NOT_OFFERED_REASON_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    QUALITY_FIELD_NUMBER: _ClassVar[int]
    LATENTS_FIELD_NUMBER: _ClassVar[int]
    TOP_ITEMS_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DEFINITION_FIELD_NUMBER: _ClassVar[int]
    id: str
    family: str
    display_name: str
    offered: bool
    not_offered_reason: str
    items: int
    quality: Quality
    latents: _containers.RepeatedCompositeFieldContainer[LatentWeight]
    top_items: _containers.RepeatedCompositeFieldContainer[ConceptItem]
    kind: ConceptKind
    definition: CustomConcept
    def __init__(self, id: _Optional[str] = ..., family: _Optional[str] = ..., display_name: _Optional[str] = ..., offered: _Optional[bool] = ..., not_offered_reason: _Optional[str] = ..., items: _Optional[int] = ..., quality: _Optional[_Union[Quality, _Mapping]] = ..., latents: _Optional[_Iterable[_Union[LatentWeight, _Mapping]]] = ..., top_items: _Optional[_Iterable[_Union[ConceptItem, _Mapping]]] = ..., kind: _Optional[_Union[ConceptKind, str]] = ..., definition: _Optional[_Union[CustomConcept, _Mapping]] = ...) -> None: ...

class CustomConcept(_message.Message):
    __slots__ = ("id", "display_name", "description", "concepts", "like", "unlike", "items", "file", "line")
    class ConceptsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    DISPLAY_NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    CONCEPTS_FIELD_NUMBER: _ClassVar[int]
    LIKE_FIELD_NUMBER: _ClassVar[int]
    UNLIKE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    FILE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    id: str
    display_name: str
    description: str
    concepts: _containers.ScalarMap[str, float]
    like: _containers.RepeatedScalarFieldContainer[str]
    unlike: _containers.RepeatedScalarFieldContainer[str]
    items: _containers.RepeatedScalarFieldContainer[str]
    file: str
    line: int
    def __init__(self, id: _Optional[str] = ..., display_name: _Optional[str] = ..., description: _Optional[str] = ..., concepts: _Optional[_Mapping[str, float]] = ..., like: _Optional[_Iterable[str]] = ..., unlike: _Optional[_Iterable[str]] = ..., items: _Optional[_Iterable[str]] = ..., file: _Optional[str] = ..., line: _Optional[int] = ...) -> None: ...

class Quality(_message.Message):
    __slots__ = ("auc", "precision", "recall", "base_rate", "purity", "readout")
    AUC_FIELD_NUMBER: _ClassVar[int]
    PRECISION_FIELD_NUMBER: _ClassVar[int]
    RECALL_FIELD_NUMBER: _ClassVar[int]
    BASE_RATE_FIELD_NUMBER: _ClassVar[int]
    PURITY_FIELD_NUMBER: _ClassVar[int]
    READOUT_FIELD_NUMBER: _ClassVar[int]
    auc: float
    precision: float
    recall: float
    base_rate: float
    purity: _containers.RepeatedCompositeFieldContainer[Purity]
    readout: str
    def __init__(self, auc: _Optional[float] = ..., precision: _Optional[float] = ..., recall: _Optional[float] = ..., base_rate: _Optional[float] = ..., purity: _Optional[_Iterable[_Union[Purity, _Mapping]]] = ..., readout: _Optional[str] = ...) -> None: ...

class Purity(_message.Message):
    __slots__ = ("k", "value", "attainable")
    K_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ATTAINABLE_FIELD_NUMBER: _ClassVar[int]
    k: int
    value: float
    attainable: float
    def __init__(self, k: _Optional[int] = ..., value: _Optional[float] = ..., attainable: _Optional[float] = ...) -> None: ...

class LatentWeight(_message.Message):
    __slots__ = ("latent", "weight")
    LATENT_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    latent: int
    weight: float
    def __init__(self, latent: _Optional[int] = ..., weight: _Optional[float] = ...) -> None: ...

class ConceptItem(_message.Message):
    __slots__ = ("item_id", "title", "value", "labelled")
    ITEM_ID_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    LABELLED_FIELD_NUMBER: _ClassVar[int]
    item_id: str
    title: str
    value: float
    labelled: bool
    def __init__(self, item_id: _Optional[str] = ..., title: _Optional[str] = ..., value: _Optional[float] = ..., labelled: _Optional[bool] = ...) -> None: ...
