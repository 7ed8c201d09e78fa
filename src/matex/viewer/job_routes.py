"""Handlers of computations in progress."""

from __future__ import annotations

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from matex.viewer.desk import Desk
from matex.viewer.failures import explained_error
from matex.viewer.jobs import Job
from matex.viewer.requests import Refused

POLL_SECONDS = 0.25
"""How long an answer about a job waits for a change."""


@dataclass(frozen=True)
class JobRoutes:
    """Handlers of computations in progress."""

    desk: Desk

    def routes(self) -> list[Route]:
        return [
            Route("/api/jobs/{job}", self.job, methods=["GET"]),
            Route("/api/jobs/{job}", self.cancel, methods=["DELETE"]),
        ]

    async def job(self, request: Request) -> Response:
        job = self._job(request)
        await job.wait(POLL_SECONDS)
        answer: dict[str, object] = {"state": job.state, "label": job.label, "done": job.done, "total": job.total}
        if job.state == "done":
            answer["result"] = job.future.result()
        elif job.state == "failed":
            error = job.future.exception()
            assert isinstance(error, Exception)
            answer["error"] = explained_error(error)[1]
        return JSONResponse(answer)

    async def cancel(self, request: Request) -> Response:
        self._job(request).cancel()
        return JSONResponse({"state": self._job(request).state})

    def _job(self, request: Request) -> Job:
        try:
            return self.desk.jobs[request.path_params["job"]]
        except KeyError:
            raise Refused(404, "This computation is no longer known. Start it again.") from None
