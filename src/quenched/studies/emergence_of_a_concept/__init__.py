"""The emergence of a concept: how many blurred examples make an archetype that was never shown."""

from quenched.studies.emergence_of_a_concept.study import EmergenceOfAConcept

__all__ = ["EmergenceOfAConcept"]
