"""Titles of the planted world: made from word lists, so that a horror film sounds like one. No two are equal."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.replace("_", " ") for word in text.split())


_ADJECTIVES = _words("""
    Silent Last Hidden Golden Broken Distant Quiet Second Long Lost Early Late Open Empty Northern Southern Paper Glass
    Winter Summer Autumn Forgotten Borrowed Narrow Green Blue Red White Gentle Restless Burning Falling Sleeping First
    Ordinary Invisible Patient Stolen Unfinished Faithful
""")
_NAMES = _words("""
    Anna Clara Edith Irene Josephine Lena Mathilda Nora Rosa Viola Arthur Bruno Emil Oscar Gabriel Hugo Jacob Leon Otto
    Victor Sam Ruth Ida Theo
""")
_PLACES = _words("""
    Lisbon Trieste Marseille Bergen Odessa Havana Tangier Kyoto Buenos_Aires Salzburg Cork Gdansk Valparaiso Naples
    Antwerp Montreal
""")
_NOUNS = {
    "Drama": _words("""
        Harbour Orchard Letter Inheritance Daughter River Silence Promise Farewell House Teacher Garden Season Bridge
        Confession Verdict
    """),
    "Comedy": _words("""
        Wedding Neighbour Holiday Butler Disguise Parrot Landlord Reunion Honeymoon Umbrella Uncle Roommate Barber
        Mix-Up Landlady Waiter
    """),
    "Thriller": _words("""
        Witness Alibi Hostage Blackout Deadline Passenger Betrayal Cipher Courier Stranger Ransom Suspect Pursuit
        Deception Double Countdown
    """),
    "Romance": _words("""
        Kiss Rendezvous Serenade Embrace Bouquet Waltz Sweetheart Love Heartbeat Suitor Violin Valentine Courtship
        Balcony Love_Letter Whisper
    """),
    "Action": _words("""
        Strike Convoy Fugitive Ambush Payload Siege Mercenary Breakout Firestorm Squad Vendetta Impact Bullet Hurricane
        Rampage Target
    """),
    "Adventure": _words("""
        Voyage Expedition Compass Treasure Island Caravan Map Jungle Summit Explorer Galleon Lagoon Quest Temple Captain
        Passage
    """),
    "Crime": _words("""
        Heist Syndicate Racket Detective Safecracker Jewel_Thief Gang Robbery Sergeant Smuggler Forger Inspector
        Precinct Pickpocket Racketeer Getaway
    """),
    "Family": _words("""
        Puppy Treehouse Snowman Kite Carousel Lighthouse Pony Grandmother Circus Birthday Bicycle Playground Duckling
        Toymaker Campfire Piglet
    """),
    "Science Fiction": _words("""
        Orbiter Android Nebula Starship Colony Signal Replicant Cosmonaut Satellite Galaxy Module Paradox Wormhole
        Asteroid Robot Quasar
    """),
    "Fantasy": _words("""
        Dragon Sorcerer Kingdom Enchantment Unicorn Spell Crown Throne Griffin Oracle Amulet Fairy Wizard Prophecy
        Labyrinth Changeling
    """),
    "Horror": _words("""
        Crypt Scream Coffin Haunting Nightmare Cellar Poltergeist Grave Vampire Ghoul Asylum Curse Séance Mausoleum
        Shadow Exorcist
    """),
    "Documentary": _words("""
        Glacier Archive Migration Factory Orchestra Harvest Volcano Portrait Reef Census Coalmine Election Monastery
        Marathon Beekeeper Railway
    """),
    "Western": _words("""
        Sheriff Canyon Saddle Stagecoach Outlaw Ranch Spur Saloon Mustang Gunslinger Prairie Posse Cattleman Homestead
        Mesa Marshal
    """),
    "Noir": _words("""
        Alley Blonde Cigarette Double-Cross Private_Eye Night_Train Fedora Gutter Lamplight Silhouette Nightclub
        Informer Rainfall Dead_End Fall_Guy Boulevard
    """),
}

_PATTERNS = (
    "The {adjective} {noun}",
    "The {adjective} {noun}",
    "The {noun} of {place}",
    "{adjective} {noun}",
    "{name} and the {noun}",
    "The {noun} and the {other}",
    "A {noun} in {place}",
    "{name}'s {noun}",
)
_TRIES = 8
_ROMAN = ((100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"))


def make_titles(genres: Sequence[str], years: npt.NDArray[np.int64], rng: np.random.Generator) -> list[str]:
    """``The Silent Harbour (1987)`` for an item of each genre and year; a name used up gets a sequel's number."""
    taken: set[str] = set()
    # All draws at once: one call per item would cost more than everything else in this world.
    draws = rng.integers(0, 2**31, size=(len(genres), _TRIES, 6)).tolist()
    out = []
    for genre, year, tries in zip(genres, years, draws, strict=True):
        name = next((made for made in (_name(genre, draw) for draw in tries) if made not in taken), None)
        if name is None:
            first = _name(genre, tries[0])
            number = next(n for n in range(2, len(taken) + 3) if f"{first} {_roman(n)}" not in taken)
            name = f"{first} {_roman(number)}"
        taken.add(name)
        out.append(f"{name} ({year})")
    return out


def _name(genre: str, draw: Sequence[int]) -> str:
    nouns = _NOUNS[genre]
    noun, other = draw[1] % len(nouns), draw[2] % (len(nouns) - 1)
    text = _PATTERNS[draw[0] % len(_PATTERNS)].format(
        noun=nouns[noun],
        other=nouns[other + (other >= noun)],
        adjective=_ADJECTIVES[draw[3] % len(_ADJECTIVES)],
        place=_PLACES[draw[4] % len(_PLACES)],
        name=_NAMES[draw[5] % len(_NAMES)],
    )
    return f"An {text[2:]}" if text.startswith("A ") and text[2] in "AEIOU" else text


def _roman(number: int) -> str:
    out = ""
    for value, letters in _ROMAN:
        out += letters * (number // value)
        number %= value
    return out
