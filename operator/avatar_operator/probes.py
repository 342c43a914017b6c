"""`/healthz`, `/readyz` and `/metrics`."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web

from avatar_operator.metrics import Metrics

Trouble = Callable[[], str]
"""What is wrong; empty when nothing is."""


def probes(healthy: Trouble, ready: Trouble, metrics: Metrics) -> web.Application:
    """The HTTP application that kubelets and Prometheus ask."""

    def probe(trouble: Trouble) -> Callable[[web.Request], object]:
        async def answer(_: web.Request) -> web.Response:
            wrong = trouble()
            return web.Response(text=f"{wrong or 'ok'}\n", status=503 if wrong else 200)

        return answer

    async def tell(_: web.Request) -> web.Response:
        return web.Response(body=metrics.text(), content_type="text/plain")

    app = web.Application()
    app.router.add_get("/healthz", probe(healthy))  # type: ignore[arg-type]
    app.router.add_get("/readyz", probe(ready))  # type: ignore[arg-type]
    app.router.add_get("/metrics", tell)
    return app
