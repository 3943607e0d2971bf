"""Everything that somebody may want of the outbox, to be stopped anywhere."""

from tests.delivery.kill_points.scenarios import asking, deciding, sending
from tests.delivery.kill_points.scenarios.world import SCENARIOS, Scenario, World

__all__ = ["SCENARIOS", "Scenario", "World", "asking", "deciding", "sending"]
