"""What routes are handed by FastAPI: the studio, and who asks."""

from typing import Annotated

from fastapi import Depends, Request

from app.api.owner import owner_of
from app.studio import Owner, Studio

FRESH = {"Cache-Control": "no-store"}


async def studio_of(request: Request) -> Studio:
    studio: Studio = request.app.state.studio
    return studio


async def visitor_of(request: Request) -> Owner:
    return owner_of(request)


House = Annotated[Studio, Depends(studio_of)]
Visitor = Annotated[Owner, Depends(visitor_of)]
