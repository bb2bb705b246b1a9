"""The emulated Yandex Cloud: real gRPC over TLS, driven by the SDK's own descriptors."""
