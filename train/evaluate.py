"""Measures a model's inpainting on intact test pictures."""


def add_arguments(parser):
    pass


def main(arguments):
    pass
