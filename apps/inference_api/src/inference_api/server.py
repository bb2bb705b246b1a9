"""uvicorn with the settings: TLS, several workers, a stop that finishes what was begun."""

from __future__ import annotations

import uvicorn

from inference_api import logs
from inference_api.settings import Settings


def serve(settings: Settings) -> None:
    """Serve until SIGTERM; then stop accepting, finish what is in flight, write the records, end."""
    settings.state_directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    uvicorn.run(
        "inference_api.worker:create_server_app",
        factory=True,
        lifespan="on",
        host=settings.listen,
        port=settings.port,
        workers=settings.workers,
        loop="inference_api.draining:Loop",
        http="inference_api.connection:Connection",
        ws="none",
        ssl_certfile=settings.tls_certificate_file,
        ssl_keyfile=settings.tls_key_file,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=logs.configuration(settings.log_format),
        timeout_keep_alive=75,
        timeout_graceful_shutdown=settings.stop_seconds,
        timeout_worker_healthcheck=10,  # on a starved machine a worker is slow, not dead
    )
