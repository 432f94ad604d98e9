from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Action(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTION_UNSPECIFIED: _ClassVar[Action]
    ACTION_FILTER: _ClassVar[Action]
    ACTION_DEMOTE: _ClassVar[Action]
    ACTION_PROMOTE: _ClassVar[Action]

class Channel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CHANNEL_UNSPECIFIED: _ClassVar[Channel]
    CHANNEL_ITEM: _ClassVar[Channel]
    CHANNEL_QUERY: _ClassVar[Channel]

class Membership(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MEMBERSHIP_UNSPECIFIED: _ClassVar[Membership]
    MEMBERSHIP_LABEL: _ClassVar[Membership]
    MEMBERSHIP_READOUT: _ClassVar[Membership]
    MEMBERSHIP_EITHER: _ClassVar[Membership]
ACTION_UNSPECIFIED: Action
ACTION_FILTER: Action
ACTION_DEMOTE: Action
ACTION_PROMOTE: Action
CHANNEL_UNSPECIFIED: Channel
CHANNEL_ITEM: Channel
CHANNEL_QUERY: Channel
MEMBERSHIP_UNSPECIFIED: Membership
MEMBERSHIP_LABEL: Membership
MEMBERSHIP_READOUT: Membership
MEMBERSHIP_EITHER: Membership

class Rule(_message.Message):
    __slots__ = ("action", "concept", "strength", "channel", "membership", "share", "concepts", "like", "unlike", "items", "toward")
    class ConceptsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: float
        def __init__(self, key: _Optional[str] = ..., value: _Optional[float] = ...) -> None: ...
    ACTION_FIELD_NUMBER: _ClassVar[int]
    CONCEPT_FIELD_NUMBER: _ClassVar[int]
    STRENGTH_FIELD_NUMBER: _ClassVar[int]
    CHANNEL_FIELD_NUMBER: _ClassVar[int]
    MEMBERSHIP_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    CONCEPTS_FIELD_NUMBER: _ClassVar[int]
    LIKE_FIELD_NUMBER: _ClassVar[int]
    UNLIKE_FIELD_NUMBER: _ClassVar[int]
    ITEMS_FIELD_NUMBER: _ClassVar[int]
    TOWARD_FIELD_NUMBER: _ClassVar[int]
    action: Action
    concept: str
    strength: float
    channel: Channel
    membership: Membership
    share: ShareTarget
    concepts: _containers.ScalarMap[str, float]
    like: _containers.RepeatedScalarFieldContainer[str]
    unlike: _containers.RepeatedScalarFieldContainer[str]
    items: _containers.RepeatedScalarFieldContainer[str]
    toward: str
    def __init__(self, action: _Optional[_Union[Action, str]] = ..., concept: _Optional[str] = ..., strength: _Optional[float] = ..., channel: _Optional[_Union[Channel, str]] = ..., membership: _Optional[_Union[Membership, str]] = ..., share: _Optional[_Union[ShareTarget, _Mapping]] = ..., concepts: _Optional[_Mapping[str, float]] = ..., like: _Optional[_Iterable[str]] = ..., unlike: _Optional[_Iterable[str]] = ..., items: _Optional[_Iterable[str]] = ..., toward: _Optional[str] = ...) -> None: ...

class ShareTarget(_message.Message):
    __slots__ = ("max", "min")
    MAX_FIELD_NUMBER: _ClassVar[int]
    MIN_FIELD_NUMBER: _ClassVar[int]
    max: float
    min: float
    def __init__(self, max: _Optional[float] = ..., min: _Optional[float] = ...) -> None: ...
