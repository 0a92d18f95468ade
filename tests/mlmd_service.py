"""ML Metadata's gRPC service on loopback: its own engine, from its wheel, on an sqlite file."""

import threading
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from ml_metadata.metadata_store.pywrap.metadata_store_extension import metadata_store as engine
from ml_metadata.proto import metadata_store_pb2 as pb
from ml_metadata.proto import metadata_store_service_pb2 as messages

SERVICE = messages.DESCRIPTOR.services_by_name["MetadataStoreService"]
CODES = {code.value[0]: code for code in grpc.StatusCode}


@contextmanager
def metadata_service(file: Path) -> Iterator[str]:
    """Serves a store, and gives `HOST:PORT`; every method that the engine has can be called."""
    config = pb.ConnectionConfig()
    config.sqlite.filename_uri = str(file)
    config.sqlite.connection_mode = pb.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    store = engine.CreateMetadataStore(config.SerializeToString(), pb.MigrationOptions().SerializeToString())
    lock = threading.Lock()

    def handler(name: str) -> Any:
        def call(request: bytes, context: grpc.ServicerContext) -> bytes:
            with lock:
                answer, message, code = getattr(engine, name)(store, request)
            if code:
                context.abort(CODES[code], message.decode() if isinstance(message, bytes) else str(message))
            return bytes(answer)

        return grpc.unary_unary_rpc_method_handler(call)

    methods = {method.name: handler(method.name) for method in SERVICE.methods if hasattr(engine, method.name)}
    server = grpc.server(futures.ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE.full_name, methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()
