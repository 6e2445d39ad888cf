"""Kinds of command-line values that several tools take."""

import math

import click


class Finite(click.FloatRange):
    """A number in a range that is one: nan passes every comparison of a plain FloatRange."""

    def convert(self, value, param, ctx):
        number = super().convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{value} is not a finite number", param, ctx)
        return number
