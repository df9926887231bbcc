"""The few messages of etcd's API that are used here, with etcd's own names and field numbers.

The table is read into `protobuf` when this module is imported. Code made by a compiler would need
a second file for its types, a place outside of lint, and the `protobuf` that its compiler was made
for; etcd never changes a number that is in use. The pool is our own: a program that also loads
etcd's complete descriptors, as the tests do, has no conflict.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

_TABLE: Final = {
    "ResponseHeader": ("int64 revision 3",),
    "Permission": ("int32 permType 1", "bytes key 2", "bytes range_end 3"),
    "UserAddOptions": ("bool no_password 1",),
    "KeyValue": ("bytes key 1",),
    "RangeRequest": (
        *("bytes key 1", "bytes range_end 2", "int64 limit 3", "int64 revision 4"),
        *("bool keys_only 8", "bool count_only 9"),
    ),
    "RangeResponse": ("ResponseHeader header 1", "repeated KeyValue kvs 2", "int64 count 4"),
    "DeleteRangeRequest": ("bytes key 1", "bytes range_end 2"),
    "DeleteRangeResponse": ("int64 deleted 2",),
    "StatusRequest": (),
    "AuthStatusRequest": (),
    "AuthStatusResponse": ("bool enabled 2", "uint64 authRevision 3"),
    "AuthUserGetRequest": ("string name 1",),
    "AuthUserGetResponse": ("repeated string roles 2",),
    "AuthUserAddRequest": ("string name 1", "UserAddOptions options 3"),
    "AuthUserDeleteRequest": ("string name 1",),
    "AuthUserGrantRoleRequest": ("string user 1", "string role 2"),
    "AuthUserRevokeRoleRequest": ("string name 1", "string role 2"),
    "AuthRoleGetRequest": ("string role 1",),
    "AuthRoleGetResponse": ("repeated Permission perm 2",),
    "AuthRoleAddRequest": ("string name 1",),
    "AuthRoleDeleteRequest": ("string role 1",),
    "AuthRoleGrantPermissionRequest": ("string name 1", "Permission perm 2"),
    "AuthRoleRevokePermissionRequest": ("string role 1", "bytes key 2", "bytes range_end 3"),
    # The answer to a change: nothing in it is looked at.
    "Done": (),
}
"""By message, its fields: `[repeated] type name number`."""

_PACKAGE: Final = "etcdserverpb"
_Field: Final = descriptor_pb2.FieldDescriptorProto


def define(table: Mapping[str, Sequence[str]]) -> Mapping[str, type[Any]]:
    """Return a class for each message of `table`, by name; a type checker knows no fields."""
    file = descriptor_pb2.FileDescriptorProto(name="core.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in table.items():
        message = file.message_type.add(name=name)
        for text in fields:
            _add_field(message, text, table)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: _class(pool, name) for name in table}


def _add_field(
    message: descriptor_pb2.DescriptorProto, text: str, table: Mapping[str, Sequence[str]]
) -> None:
    *repeated, type_, name, number = text.split()
    field = message.field.add(name=name, number=int(number))
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if type_ in table:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".{_PACKAGE}.{type_}"
    else:
        field.type = _Field.Type.Value(f"TYPE_{type_.upper()}")


def _class(pool: descriptor_pool.DescriptorPool, name: str) -> type[Any]:
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))


MESSAGES: Final = define(_TABLE)
"""The class of each message of the table."""
