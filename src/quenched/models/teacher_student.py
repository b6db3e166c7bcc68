"""A student that learns from a teacher of the same architecture."""

from __future__ import annotations

from jaxtyping import Array, Float

from quenched.losses import AbstractMarginLoss, AbstractOutput, Linear, Sign, Square
from quenched.models.gaussian import AbstractGaussianModel
from quenched.numerics import checks
from quenched.numerics.precision import Real
from quenched.observables.test_error import teacher_error
from quenched.records.description import public


@public
class TeacherStudent(AbstractGaussianModel):
    """x ~ N(0, I_d) and y = F(x.v/sqrt(d)): a teacher v with |v|^2 = d and output F = ``teacher``.

    Default: ``Sign``, the perceptron. A classification loss needs a teacher with outputs +-1. The test error arccos(m/sqrt(C))/pi
    is known for a teacher and a student that both classify by the sign of their pre-activation (Seung, Sompolinsky, Tishby 1992).
    """

    teacher: AbstractOutput = Sign()

    def __check_init__(self) -> None:
        checks.instance("teacher", self.teacher, AbstractOutput)

    @property
    def classifies(self) -> bool:
        return self.loss.classification or isinstance(self.teacher, Sign)

    @property
    def delta(self) -> Real:
        return 1.0

    def latent(self, normal: Float[Array, "n 1"], uniform: Float[Array, " n"]) -> tuple[Float[Array, "n 1"], Float[Array, " n"]]:
        return normal, self.teacher(normal[:, 0])

    def test_error(self, overlap: Float[Array, "... 1"], norm: Float[Array, ...]) -> Float[Array, ...] | None:
        student = self.loss.output if isinstance(self.loss, (AbstractMarginLoss, Square)) else Linear()
        if isinstance(self.teacher, Sign) and student.same_sign:
            return teacher_error(overlap[..., 0], norm)
        return None
