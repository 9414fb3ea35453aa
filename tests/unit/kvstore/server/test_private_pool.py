"""Our messages do not meet those of another etcd library in the same process."""

from google.protobuf import descriptor_pb2, descriptor_pool

from kvstore.pb import auth_pb2, election_pb2, kv_pb2, lease_pb2, lock_pb2, rpc_pb2

MODULES = (auth_pb2, election_pb2, kv_pb2, lease_pb2, lock_pb2, rpc_pb2)


def test_another_library_can_register_the_same_names() -> None:
    theirs = descriptor_pool.Default()
    for module in (kv_pb2, auth_pb2, lease_pb2, rpc_pb2, lock_pb2, election_pb2):
        file = descriptor_pb2.FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
        # The same messages from other files, as every etcd library has them; with another field they would clash.
        file.name = f"elsewhere/{file.name}"
        file.dependency[:] = [f"elsewhere/{name}" for name in file.dependency]
        file.message_type[0].field.add(
            name="of_another_release", number=999, type="TYPE_INT32", label="LABEL_OPTIONAL"
        )
        theirs.AddSerializedFile(file.SerializeToString())
    assert theirs.FindMessageTypeByName("mvccpb.KeyValue").fields_by_name["of_another_release"]
    assert "of_another_release" not in kv_pb2.KeyValue.DESCRIPTOR.fields_by_name
