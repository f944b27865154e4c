"""What all tests share."""

from hypothesis import HealthCheck, settings

# On a busy machine drawing examples is slow, and no test here is about how long that takes.
settings.register_profile("cogtui", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("cogtui")
