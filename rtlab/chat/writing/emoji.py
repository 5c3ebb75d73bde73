"""Emoji in names: one spelling for each.

What lives here: the emoji that are joined from others (UTS #51, RGI_Emoji_ZWJ_Sequence), as a grammar, and those that
are drawn as text unless a selector follows. It must not know what else a name is made of.

Why a list and not "a joiner between any two emoji": where no font has one picture for a joined pair, people see two
pictures, the same as without the joiner. Only for sequences that Unicode recommends may two names differ by a joiner.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import product

__all__ = ["BARE", "JOINER", "SELECTOR", "joined", "without_emoji"]

JOINER = "\u200d"
"""Zero width joiner."""
SELECTOR = "\ufe0f"
"""Variation selector 16: the character before it is drawn as an emoji."""
TONES = ("🏻", "🏼", "🏽", "🏾", "🏿")
"""Skin tones (Emoji_Modifier)."""
TEXT_FIRST = (
    "\u2600-\u2604\u260e\u2611\u2618\u261d\u2620\u2622-\u2623\u2626\u262a\u262e-\u262f\u2638-\u263a\u2640\u2642\u265f"
    "\u2660\u2663\u2665-\u2666\u2668\u267b\u267e\u2692\u2694-\u2697\u2699\u269b-\u269c\u26a0\u26a7\u26b0-\u26b1\u26c8"
    "\u26cf\u26d1\u26d3\u26e9\u26f0-\u26f1\u26f4\u26f7-\u26f9\u2702\u2708-\u2709\u270c-\u270d\u270f\u2712\u2714\u2716"
    "\u271d\u2721\u2733-\u2734\u2744\u2747\u2763-\u2764\u27a1\U0001f170-\U0001f171\U0001f17e-\U0001f17f\U0001f202"
    "\U0001f237\U0001f321\U0001f324-\U0001f32c\U0001f336\U0001f37d\U0001f396-\U0001f397\U0001f399-\U0001f39b"
    "\U0001f39e-\U0001f39f\U0001f3cb-\U0001f3ce\U0001f3d4-\U0001f3df\U0001f3f3\U0001f3f5\U0001f3f7\U0001f43f\U0001f441"
    "\U0001f4fd\U0001f549-\U0001f54a\U0001f56f-\U0001f570\U0001f573-\U0001f579\U0001f587\U0001f58a-\U0001f58d\U0001f590"
    "\U0001f5a5\U0001f5a8\U0001f5b1-\U0001f5b2\U0001f5bc\U0001f5c2-\U0001f5c4\U0001f5d1-\U0001f5d3\U0001f5dc-\U0001f5de"
    "\U0001f5e1\U0001f5e3\U0001f5e8\U0001f5ef\U0001f5f3\U0001f5fa\U0001f6cb\U0001f6cd-\U0001f6cf\U0001f6e0-\U0001f6e5"
    "\U0001f6e9\U0001f6f0\U0001f6f3"
)
"""Pictographs with Emoji=Yes and Emoji_Presentation=No (emoji-data.txt 17.0) from U+2600 on, as in a pattern. With the
selector they are emoji, without it some fonts draw the same: the spelling with it counts (UTS #51: fully qualified).
Those before U+2600 and among the letters, such as ©, ™ and ↔, stay text, and take no selector."""
BARE = re.compile(f"[{TEXT_FIRST}](?![{SELECTOR}{''.join(TONES)}])")
"""One of those without its selector. A skin tone says "emoji" as well."""
FULL = re.compile(f"[{TEXT_FIRST}]{SELECTOR}(?![{''.join(TONES)}])")
ONE = f"[\u2190-\u2bff\U0001f000-\U0001faff][{SELECTOR}{''.join(TONES)}]?"
CHAIN = re.compile(f"{ONE}(?:{JOINER}{ONE})+")
STAND_IN = "●"
"""Takes the place of a good emoji: seen, and a base for marks."""


def without_emoji(name: str) -> str:
    """A name in which a plain character stands for each emoji that needs a joiner or a selector and is well spelled.

    What is left of joiners and selectors does not belong there.
    """
    name = CHAIN.sub(lambda found: STAND_IN if found[0] in joined() else found[0], name)
    return FULL.sub(STAND_IN, name)


PEOPLE = "🧑👨👩"
ROLES = "⚕⚖✈🌾🍳🍼🎓🎤🎨🏫🏭💻💼🔧🔬🚀🚒"
"""What a person at work holds."""
LOOKS = "🦰🦱🦲🦳"
ON_THE_WAY = "🦯🦼🦽"
ACTORS = "⛹🏃🏄🏊🏋🏌👮👰👱👳👷💁💂💆💇🕵🙅🙆🙇🙋🙍🙎🚣🚴🚵🚶🤦🤵🤷🤸🤹🤽🤾🦸🦹🧍🧎🧏🧔🧖🧗🧘🧙🧚🧛🧜🧝"
ACTORS_WITHOUT_TONES = "👯🤼🧞🧟"
WALKERS = "🏃🚶🧎"
"""These and `ON_THE_WAY` can turn to the right."""
RIGHT = "➡"
CHILDREN = ("👦", "👧", "👦👦", "👧👦", "👧👧")
PARENTS = ("👨", "👩", "👨👨", "👨👩", "👩👩")
OTHERS = (
    "🧑🧒", "🧑🧒🧒", "🧑🧑🧒", "🧑🧑🧒🧒",
    "🏳🌈", "🏳⚧", "🏴☠", "🐈⬛", "🐕🦺", "🐦⬛", "🐦🔥", "🐻❄", "👁🗨", "❤🔥", "❤🩹", "⛓💥",
    "😮💨", "😵💫", "😶🌫", "🙂↔", "🙂↕", "🍄🟫", "🍋🟩",
)  # fmt: skip


@cache
def joined() -> frozenset[str]:
    """All joined emoji of Emoji 16.0 (emoji-zwj-sequences.txt): 1,468, about 0.2 MB once they are asked for."""
    return frozenset(JOINER.join(_qualified(each) for each in parts) for parts in _sequences())


def _qualified(part: str) -> str:
    return part + SELECTOR if BARE.fullmatch(part) or part in "↔↕" else part


def _sequences() -> Iterator[tuple[str, ...]]:
    """What is joined, part by part, with its tones and without selectors."""
    some = ("", *TONES)
    for person, tone, thing in product(PEOPLE, some, ROLES + LOOKS + ON_THE_WAY):
        yield person + tone, thing
        if thing in ON_THE_WAY:
            yield person + tone, thing, RIGHT
    for tone in some:
        yield "🧑" + tone, "🎄"
    for actor, tone, sign in product(ACTORS, some, "♀♂"):
        yield actor + tone, sign
        if actor in WALKERS:
            yield actor + tone, sign, RIGHT
    yield from ((walker + tone, RIGHT) for walker, tone in product(WALKERS, some))
    yield from product(ACTORS_WITHOUT_TONES, "♀♂")
    yield from _pairs()
    yield from (tuple(parents + children) for parents, children in product(PARENTS, CHILDREN))
    yield from (tuple(each) for each in OTHERS)


def _pairs() -> Iterator[tuple[str, ...]]:
    """Couples, people who hold hands, and a handshake."""
    for one, other in ("👨👨", "👩👨", "👩👩", "🧑🧑"):
        neutral = one == "🧑"
        for between in (("❤",), ("❤", "💋")):
            if not neutral:
                yield (one, *between, other)
            for left, right in product(TONES, TONES):
                if not neutral or left != right:  # the same tone twice has a character of its own
                    yield (one + left, *between, other + right)
        if neutral:
            yield one, "🤝", other
        for left, right in product(TONES, TONES):
            if neutral or left != right:
                yield one + left, "🤝", other + right
    yield from (("🫱" + left, "🫲" + right) for left, right in product(TONES, TONES) if left != right)
