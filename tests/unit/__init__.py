"""Units on pure values and a clock that the test moves: no network, no global reactor, no sleep."""

import os

from hypothesis import HealthCheck, settings

# Other tests run beside, so that an example may take any time. The examples are the same in every run, so that what
# fails is what was changed; those that nobody has tried are looked for on purpose.
_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], database=None)
settings.register_profile("same examples", _COMMON, derandomize=True)
settings.register_profile("other examples", _COMMON, max_examples=2000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same examples"))
