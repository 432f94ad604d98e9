"""Package steering.v1: .proto files and the stubs made from them (make protos)."""
