"""Captions of the embedded world, put together from its words."""

from typing import Any

from motionrepro.core import UserError
from motionrepro.data import world


def choices() -> dict:  # name -> its words
    """List the words that a caption can name, whatever the motion."""
    return dict(
        subject=list(world.SUBJECTS),
        colour=list(world.COLOURS),
        background=list(world.BACKGROUNDS),
        motion=list(world.MOTIONS),
        speed=list(world.SPEEDS),
    )


def directions(
    motion: str,  # one of the world's
) -> list:  # of words; none for a clip that stands still
    """List the directions that a motion can have."""
    found = []
    for direction in filter(None, world.DIRECTION_LABELS):
        try:
            scene = world.sample_scene(0, motion=motion, direction=direction)
        except UserError:
            continue
        if scene.direction == direction:
            found.append(direction)
    return found


def caption(
    subject: str,
    colour: str,
    background: str,
    motion: str,
    direction: str | None,  # one of `directions(motion)`; any other one gives way to the first of them
    speed: str,
) -> str:
    """Write the caption that the world gives to such a clip."""
    ways = directions(motion)
    words: dict[str, Any] = dict(subject=subject, colour=colour, background=background, motion=motion)
    if ways:
        words |= dict(direction=direction if direction in ways else ways[0], speed=speed)
    return world.sample_scene(0, **words).caption


def usual_words() -> dict:  # name -> word
    """Choose words to begin with: those of the first clip of the test split that moves."""
    index = 0
    while not directions(world.sample_scene(index, "test").motion):
        index += 1
    scene = world.sample_scene(index, "test")
    return {name: getattr(scene, name) for name in (*choices(), "direction")}
