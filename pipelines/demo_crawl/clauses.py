"""Clauses for every world, as grammar rules in the present tense."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from pipelines.demo_crawl.lexicon import phrases, words
from pipelines.demo_crawl.morphology import plural, third_person

CRAFTS: tuple[tuple[str, str, str, str], ...] = (
    ("baker", "bake knead sell", "loaves buns pies tarts biscuits rye_bread plum_cakes", "bakery"),
    ("miller", "grind weigh store", "wheat rye barley oats sacks_of_flour fresh_grain", "mill"),
    ("farmer", "plant harvest sell", "potatoes turnips beans onions pumpkins cabbages carrots", "field"),
    ("shepherd", "count guard shear", "sheep lambs young_goats the_old_rams", "meadow"),
    ("weaver", "weave dye fold", "blankets shawls curtains carpets woollen_cloth linen_sheets", "workshop"),
    ("tailor", "sew mend measure", "coats jackets waistcoats shirts wedding_dresses winter_cloaks", "shop"),
    ("smith", "forge hammer sharpen", "horseshoes ploughs hinges nails iron_gates axe_heads", "smithy"),
    ("carpenter", "build plane repair", "tables chairs cradles bookcases window_frames oak_doors", "workshop"),
    ("mason", "cut lay polish", "stones arches steps door_sills marble_slabs paving_stones", "quarry"),
    ("potter", "shape glaze fire", "jugs bowls plates tall_jars flower_pots clay_ovens", "workshop"),
    ("cobbler", "mend stitch polish", "boots shoes sandals leather_soles riding_boots", "shop"),
    ("fisherman", "catch clean smoke", "trout herring salmon eels crabs silver_perch", "harbour"),
    ("ferryman", "tar paint moor", "rafts barges ferries rowing_boats", "river"),
    ("teacher", "read correct explain", "poems sums maps stories spelling_tests old_letters", "school"),
    ("librarian", "sort lend repair", "books atlases diaries almanacs manuscripts rare_maps", "library"),
    ("printer", "print fold bind", "newspapers posters pamphlets song_books calendars", "workshop"),
    ("doctor", "mix prescribe label", "powders ointments cough_drops bitter_tonics herbal_teas", "hospital"),
    ("painter", "paint frame sell", "portraits landscapes signs ceilings ship_scenes", "attic"),
    ("fiddler", "play practise teach", "waltzes jigs marches lullabies wedding_songs", "tavern"),
    ("innkeeper", "pour serve brew", "cider ale soup barley_beer hot_wine plum_brandy", "inn"),
    ("cook", "boil season serve", "soups stews dumplings puddings roast_geese omelettes", "kitchen"),
    ("gardener", "plant water prune", "roses tulips apple_trees hedges herb_beds climbing_beans", "garden"),
    ("forester", "fell mark measure", "oaks beeches tall_pines larches fallen_trunks", "forest"),
    ("beekeeper", "gather filter sell", "honey wax honeycombs clover_honey heather_honey", "orchard"),
    ("goatherd", "milk feed call", "goats kids stubborn_goats the_brown_goats", "hill"),
    ("clockmaker", "wind oil repair", "clocks watches springs tiny_gears church_clocks", "shop"),
    ("locksmith", "file copy oil", "keys locks bolts padlocks chest_locks", "workshop"),
    ("jeweller", "cut set polish", "rings brooches necklaces amber_beads silver_chains", "shop"),
    ("mapmaker", "draw colour correct", "maps charts town_plans coast_lines mountain_roads", "attic"),
    ("astronomer", "watch name record", "stars comets moons eclipses distant_planets", "observatory"),
    ("botanist", "collect press describe", "ferns mosses orchids seeds rare_grasses", "greenhouse"),
    ("engineer", "design test improve", "pumps engines bridges valves water_wheels steam_pipes", "factory"),
    ("sculptor", "carve polish repair", "statues fountains marble_heads wooden_lions", "courtyard"),
    ("bookbinder", "stitch glue press", "books ledgers albums leather_covers old_bibles", "workshop"),
    ("herbalist", "dry grind mix", "sage mint nettles rosemary lavender wild_thyme", "pantry"),
    ("lighthouse keeper", "clean light fill", "lamps lenses oil_tanks signal_lanterns", "lighthouse"),
    ("rope maker", "twist stretch tar", "ropes nets cables fishing_lines anchor_ropes", "harbour"),
    ("candle maker", "pour dip pack", "candles wax_lights lantern_wicks beeswax_candles", "cellar"),
    ("cooper", "bend hoop seal", "barrels casks tubs buckets cider_barrels", "yard"),
    ("wheelwright", "carve spoke repair", "wheels carts axles wagon_wheels cart_frames", "barn"),
    ("saddler", "stitch stuff polish", "saddles harnesses bridles leather_straps", "stable"),
    ("glazier", "cut fit colour", "windows mirrors lamp_glasses church_windows", "chapel"),
    ("thatcher", "bind lay trim", "roofs straw_bundles reeds barn_roofs", "barn"),
    ("basket maker", "weave split sell", "baskets hampers willow_chairs eel_traps", "market hall"),
    ("sailor", "mend raise fold", "sails flags heavy_nets ropes torn_canvas", "ship"),
    ("merchant", "buy weigh sell", "pepper silk tea coffee sugar copper_pots", "warehouse"),
    ("postman", "carry sort deliver", "letters parcels postcards newspapers thick_envelopes", "post office"),
    ("brewer", "brew taste store", "ale cider barley_beer dark_beer winter_ale", "brewery"),
    ("dairymaid", "churn salt press", "butter cheese cream goat_cheese soft_curds", "dairy"),
    ("midwife", "visit advise comfort", "mothers babies young_families worried_fathers", "village"),
    ("judge", "hear settle record", "quarrels cases old_debts border_disputes", "courthouse"),
    ("actor", "learn rehearse perform", "plays speeches comic_songs long_farewells", "theatre"),
)
"""Trade, its verbs, what they are done to, and where: what goes together in the world."""


def _craft_rule(singular: bool) -> tuple[str, ...]:
    """Return a clause for each trade, of one person or of several."""
    rules = []
    for role, verbs, objects, place in CRAFTS:
        doing = "|".join(third_person(verb) if singular else verb for verb in verbs.split())
        done_to = "|".join(words(objects))
        who = (
            f"the [{{character}} |{{mood}} |]{role}"
            if singular
            else f"[the |the {{character}} |young |old |]{plural(role)}"
        )
        rules.append(
            f"{who} [{{manner+ly}} |||][{doing}] [{done_to}][ in the {place}| near the {place}| beside {{spot}}||]"
        )
    return tuple(rules)


CLAUSES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "thing": phrases("""
            {tool} / {vessel} / {wear} / {furniture} / {instrument} / {text} / {vehicle} / {food}
        """),
        "quality": ("{size}", "{state}", "{state}", "{colour}", "{worth}"),
        "thing_phrase": (
            "{quality} {thing}",
            "{thing}",
            "{state} {thing}",
            "{size} {state} {thing}",
            "{thing} made of {stuff}",
        ),
        "things_phrase": (
            "{quality} {thing+s}",
            "{thing+s}",
            "{thing+s} and {thing+s}",
            "{thing+s} made of {stuff}",
            "{state} {thing+s}",
        ),
        "people": (
            "{role+s}",
            "{role+s} and {role+s}",
            "{character} {role+s}",
            "the {role+s}",
            "the older {role+s}",
            "young {role+s}",
        ),
        "spot": (
            "the {land}",
            "the {building}",
            "the {quality} {building}",
            "the {state} {land}",
            "the {role}'s {building}",
            "the {state} {feature}",
            "the {feature} of the {building}",
        ),
        "beside": (
            "beside {spot}",
            "near {spot}",
            "behind {spot}",
            "in front of {spot}",
            "not far from {spot}",
            "across from {spot}",
            "beyond {spot}",
        ),
        "when": phrases("""
            in {season} / in {month} / at {daytime} / every {weekday} / in late {season} / in early
            {month} / on {weekday} mornings / after the {event} / before the {event} / during the {event}
            / when the {weather} comes / after {meal} / all through {season}
        """),
        "custom_clause": (
            "{people} {handle} {things_phrase}",
            "{people} {handle} {things_phrase} {beside}",
            "{people} {move} to {spot} {when}",
            "{people} {make} {things_phrase} from {stuff}",
            "{people} {cook} {food+s} {when}",
            "{people} still tell of {idea+s} and {event+s}",
            "{people} {study} {animal+s}, {insect+s} and {plant+s}",
            "{people} {help} {people}",
        ),
        "craft": _craft_rule(singular=False),
        "one_craft": _craft_rule(singular=True),
        "craft_clause": (
            "{craft}",
            "{craft} {when}",
            "{one_craft}",
            "{one_craft} {when}",
            "{craft} and {people} {handle} {things_phrase}",
        ),
        "custom": (
            "{craft_clause}",
            "{craft_clause}",
            "{when}, {craft_clause}",
            "{craft_clause}, and {craft_clause}",
            "{craft_clause}, but {custom_clause}",
            "{craft_clause} while {craft_clause}",
            "{custom_clause}",
            "{when}, {custom_clause}",
            "{custom_clause}, and {custom_clause}",
            "{custom_clause}, but {custom_clause}",
            "{custom_clause} because {people} {think} that {virtue} is worth more than {stuff}",
            "although {custom_clause}, {custom_clause}",
        ),
    }
)
"""Clauses in the present tense that fit in any world."""
