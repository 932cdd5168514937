"""Facts of each kind of entity for articles, each with several phrasings. Slots are the entity's attributes;
`tail` and `opener` are of `articles`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FACTS: Mapping[str, Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "town": {
            "lead": (
                "{name} is a [{size} |{state} |]town on the river {river} in {region}{tail}.",
                "the town of {name} [lies|stands] on the banks of the {river}, in the {bearing} of {region}{tail}.",
                "on the {river}, in the {bearing} of {region}, lies {name}, a town known for its {product}{tail}.",
                "{name}, a town in {region}, is known for its {product} and for the {landmark} by the {river}{tail}.",
            ),
            "founding": (
                "{opener}{name} was founded in {founded} by {founder}{tail}.",
                "{founder} founded the town in {founded}, when there was only a {land} and a {state} {building}{tail}.",
                "it was {founder} who laid the first stone of {name} in {founded}{tail}.",
                "in {founded}, {founder} [came up the {river} with a {thing_phrase} and] founded {name}{tail}.",
            ),
            "people": (
                "{opener}about {population} people live in {name}{tail}.",
                "{name} has about {population} inhabitants, [many|most|some] of them {role+s}{tail}.",
                "at the last count, {population} people lived between the {river} and the {landmark}{tail}.",
            ),
            "trade": (
                "{opener}the town lives by {trade} and by its {product}{tail}.",
                "{product} from {name} are sold all over {region}{tail}.",
                "the trade in {trade} made {name} [rich|famous|{worth}]; its {product} are still made by hand{tail}.",
                "anyone who buys {product} in {region} probably holds the work of {name}{tail}.",
            ),
            "landmark": (
                "{opener}the {landmark} was built of {stone}{tail}.",
                "its {landmark}, built of {stone}, can be seen from every {land} [around|along the {river}]{tail}.",
                "travellers know {name} by the {landmark}, whose walls are of {stone}{tail}.",
            ),
            "festival": (
                "{opener}the {festival} is held in {prime}{tail}.",
                "each {prime}, {name} holds the {festival}{tail}.",
                "in {prime} the streets fill for the {festival}, at which {people} eat {dish}{tail}.",
            ),
            "dish": (
                "the dish of the town is {dish}{tail}.",
                "{opener}{role+s} in {name} eat {dish}{tail}.",
                "no {event} in {name} ends without {dish}{tail}.",
            ),
            "distance": (
                "{opener}the {river} can be crossed {distance} miles {bearing} of {name}{tail}.",
                "it takes a day to walk the {distance} miles from {name} to the {bearing} border of {region}{tail}.",
            ),
        },
        "river": {
            "lead": (
                "the {name} is a [{size} |{state} |]river in {region}, {length} miles long{tail}.",
                "the river {name} flows for {length} miles through {region}{tail}.",
                "in {region} flows the {name}, a {water} river of {length} miles{tail}.",
            ),
            "course": (
                "{opener}it rises in {source} and flows into {mouth}{tail}.",
                "its source lies in {source}, and it ends in {mouth}{tail}.",
                "from {source} the {name} runs down to {mouth}{tail}.",
            ),
            "water": (
                "{opener}the water is {water}, and {fish} live in it{tail}.",
                "{fish} are common in its {water} water{tail}.",
                "people catch sight of {fish} wherever the {water} water of the {name} slows down{tail}.",
            ),
            "cargo": (
                "{opener}barges carry {cargo} on the {name}{tail}.",
                "for a long time {cargo} was carried down the {name} by barge{tail}.",
                "the main cargo on the river is {cargo}{tail}.",
            ),
            "bridges": (
                "{opener}{bridges} bridges cross the {name}{tail}.",
                "the {name} is crossed by {bridges} bridges, the oldest of them beside a {state} {building}{tail}.",
            ),
            "flood": (
                "{opener}the great flood of {flood} changed the course of the {name}{tail}.",
                "in {flood} the {name} flooded and carried off a {building} and many {thing+s}{tail}.",
                "the worst flood of the {name} came in {flood}{tail}.",
            ),
        },
        "person": {
            "lead": (
                "{name} was a {profession} from {town}, born in {born}{tail}.",
                "{name}, born in {town} in {born}, was a {character} {profession}{tail}.",
                "the {profession} {name} lived from {born} to {died}[ and spent most of those years in {town}|]{tail}.",
            ),
            "youth": (
                "{opener}{surname} grew up as the child of a {parent}{tail}.",
                "{their} parents kept the {building} of a {parent} in {town}{tail}.",
                "as a child {surname} helped a {parent} to {handle} {things_phrase}{tail}.",
            ),
            "school": (
                "{opener}{they} went to school in {school}{tail}.",
                "in {school}, where {they} learned to {study} {subject}, {surname} met {people}{tail}.",
                "{surname} was sent to {school} and learned to {handle} {things_phrase}{tail}.",
            ),
            "subject": (
                "{they} wrote mostly about {subject}{tail}.",
                "{opener}{surname} studied {subject} for {round_number} years{tail}.",
                "of all things {they} loved {subject}, and {people} {think+ed} this {worth}{tail}.",
            ),
            "work": (
                '{their} best known work is "{work}"{tail}.',
                'the book "{work}" made {surname} famous{tail}.',
                '{opener}{surname} finished "{work}" in a {state} {building}{tail}.',
            ),
            "trait": (
                "those who knew {them} called {surname} {trait}{tail}.",
                "{opener}{surname} was {trait}, and liked {hobby}{tail}.",
                "in the evenings {they} enjoyed {hobby}{tail}.",
            ),
            "death": (
                "{surname} died in {died}{tail}.",
                "{opener}{name} died in {died} and was buried near {town}{tail}.",
                "when {surname} died in {died}, {people} {make+ed} a {thing_phrase} in {their} memory{tail}.",
            ),
        },
        "animal": {
            "lead": (
                "the {name} is an animal of the {habitat} of {region}{tail}.",
                "the {name} lives in the {habitat} of {region}{tail}.",
                "among the animals of {region}, the {name} is the one that people look for in the {habitat}{tail}.",
            ),
            "look": (
                "{opener}it is {coat} with {marks} marks{tail}.",
                "its coat is {coat}, and its head is {marks}{tail}.",
                "a grown one is {extent} centimetres long and {coat} all over, with a {marks} tail{tail}.",
            ),
            "food": (
                "{opener}it feeds on {diet}{tail}.",
                "{diet} are what the {name} eats first{tail}.",
                "it looks for {diet} at {daytime}{tail}.",
            ),
            "enemy": (
                "its worst enemy is the {enemy}{tail}.",
                "{opener}the {name} flees from the {enemy}{tail}.",
                "when a {enemy} comes near, it [{move+es}|hides] {beside}{tail}.",
            ),
            "young": (
                "{opener}it has {young} young in {prime}{tail}.",
                "in {prime} the female has {young} young{tail}.",
                "its {young} young are born in {prime} and {move} {gait} at first{tail}.",
            ),
            "age": (
                "{opener}it can live for {years} years{tail}.",
                "the {name} may reach an age of {years} years{tail}.",
            ),
            "study": (
                "{naturalist} described it first, in {year}{tail}.",
                "{opener}the first description was written in {year} by {naturalist}{tail}.",
            ),
        },
        "plant": {
            "lead": (
                "the {name} is a plant of the {habitat} of {region}{tail}.",
                "the {name} grows in the {habitat} of {region}{tail}.",
                "in the {habitat} of {region} people gather the {name}{tail}.",
            ),
            "look": (
                "{opener}its flowers are {coat} and its leaves {marks}{tail}.",
                "it grows to {extent} centimetres and has {coat} flowers{tail}.",
                "whoever sees {coat} flowers over {marks} leaves has found it{tail}.",
            ),
            "season": (
                "{opener}it flowers in {prime}{tail}.",
                "the flowers open in {prime}{tail}.",
                "in {prime} it {grow+es} {gait}{tail}.",
            ),
            "use": (
                "{opener}{role+s} make {use} from it{tail}.",
                "its roots are used to make {use}{tail}.",
                "the {name} gives a kind of {use}{tail}.",
            ),
            "enemy": ("the {enemy} eats its leaves{tail}.", "{opener}it is often found where the {enemy} lives{tail}."),
            "age": ("{opener}it can live for {years} years{tail}.", "a {name} may stand for {years} years{tail}."),
            "study": (
                "{naturalist} described it first, in {year}{tail}.",
                "{opener}the first description was written in {year} by {naturalist}{tail}.",
            ),
        },
        "invention": {
            "lead": (
                "the {name} is a machine that was built to {purpose}{tail}.",
                "the {name}, invented by {inventor} in {year}, is used to {purpose}{tail}.",
                "in {year}, {inventor} of {town} invented the {name}{tail}.",
            ),
            "inventor": (
                "{opener}{inventor} built the first one in {town} in {year}{tail}.",
                "it was {inventor} from {town} who thought of it in {year}{tail}.",
                "{inventor_surname} [said|wrote] that the idea came in {year}, {beside}{tail}.",
            ),
            "power": (
                "{opener}it is driven by {power}{tail}.",
                "{power} [drives|moves] the {mechanism}{tail}.",
                "the {mechanism} is turned by {power}{tail}.",
            ),
            "material": (
                "its {mechanism} is made of {material}{tail}.",
                "{opener}the frame is of wood and the {mechanism} of {material}{tail}.",
                "only good {material} was used for the {mechanism}{tail}.",
            ),
            "price": (
                "{opener}one cost {price} crowns{tail}.",
                "it was sold for {price} crowns{tail}.",
                "at a price of {price} crowns, only {people} could buy one{tail}.",
            ),
            "weight": (
                "{opener}it weighs {weight} pounds{tail}.",
                "at {weight} pounds, it [needs|needed] a {vehicle} to move it{tail}.",
            ),
            "rival": (
                "{rival} claimed to have built one before{tail}.",
                "{opener}{rival} called the {name} a {worth} [mistake|idea|machine]{tail}.",
                "before it, people {purpose_past} by hand{tail}.",
            ),
        },
    }
)
