"""What happens to the service itself."""

from __future__ import annotations

from .service import STEPS
from .world import World

SPOOL_STEPS = tuple(step for step in STEPS if "spool" in step)
ORDINARY_STEPS = tuple(step for step in STEPS if step not in SPOOL_STEPS)
MOST_PASSINGS = {"receipt": 3000, "merge": 3000}


async def kill(world: World) -> None:
    """SIGKILL at a random moment."""
    await world.kill_service()


async def kill_steps(world: World) -> None:
    """SIGKILL before and after receipt, merge, commit and acknowledgement, one after the other in any order."""
    for step in world.random.sample(ORDINARY_STEPS, len(ORDINARY_STEPS)):
        most = MOST_PASSINGS.get(step.partition("_")[2], 30)
        await world.service_dies(step, 1 + world.random.randrange(most))
