"""English words by sense, as grammar rules: what can be carried, eaten, walked through, praised.

Nouns are singular, verbs are bare, adjectives are positive; `morphology` makes the other forms. Phrases are joined by
underscores here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


def words(text: str) -> tuple[str, ...]:
    """Return the words of `text`, each once, in their order; an underscore stands for a space inside a phrase."""
    return tuple(dict.fromkeys(word.replace("_", " ") for word in text.split()))


def phrases(text: str) -> tuple[str, ...]:
    """Return the phrases of `text`, which slashes divide; one that comes twice is as likely as two."""
    return tuple(" ".join(phrase.split()) for phrase in text.split("/"))


NOUNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "role": words("""
            baker miller farmer shepherd weaver tailor smith carpenter mason potter tanner cobbler fisherman ferryman
            sailor captain pilot teacher pupil scholar librarian printer clerk judge mayor doctor nurse midwife
            painter singer fiddler drummer dancer poet actor juggler merchant trader pedlar innkeeper cook butcher
            brewer gardener forester hunter beekeeper dairymaid goatherd groom coachman porter messenger guide scout
            soldier guard watchman glazier thatcher roofer plumber clockmaker locksmith jeweller surveyor mapmaker
            astronomer botanist chemist engineer mechanic inventor builder architect sculptor engraver bookbinder
            archivist herbalist apothecary lighthouse_keeper bargeman harbourmaster toll_keeper charcoal_burner
            basket_maker rope_maker candle_maker bell_ringer stonecutter quarryman woodcutter sawyer cooper
            wheelwright saddler glover hatter dyer fuller spinner knitter lacemaker laundress housekeeper steward
            valet grandmother grandfather aunt uncle cousin neighbour traveller pilgrim stranger visitor widow orphan
            apprentice master volunteer
        """),
        "tool": words("""
            hammer chisel saw axe plane file drill wrench spanner screwdriver pair_of_pliers vice clamp mallet awl
            needle pin thimble spindle loom shuttle sickle scythe rake hoe spade shovel fork trowel plough harrow
            wheelbarrow ladder pulley lever winch anvil bellows tongs poker broom brush mop bucket sponge sieve funnel
            ladle spoon whisk knife cleaver grater rolling_pin mortar pestle kettle pan skillet griddle cauldron
            trivet lantern lamp candle torch compass sextant telescope magnifying_glass balance ruler plumb_line
            chalk_line spirit_level paintbrush palette_knife crowbar pitchfork fishing_rod net hook oar paddle anchor
            rope chain padlock key hinge bolt nail screw rivet gauge thermometer barometer hourglass stopwatch
        """),
        "food": words("""
            loaf bun cake pie tart biscuit pancake dumpling noodle pudding stew soup broth porridge omelette sausage
            ham cheese egg apple pear plum cherry peach apricot quince fig grape melon berry strawberry raspberry
            blackberry currant lemon orange walnut hazelnut chestnut almond carrot turnip parsnip beetroot onion leek
            cabbage lettuce cucumber pumpkin potato tomato pepper bean pea lentil mushroom radish artichoke herring
            trout salmon oyster crab sandwich pickle chutney jam honeycomb waffle pretzel
        """),
        "stuff": words("""
            flour butter milk cream honey sugar salt vinegar oil yeast barley oats rye wheat rice malt cider ale tea
            coffee wool linen cotton silk leather felt canvas paper ink glue wax tar resin clay sand gravel lime chalk
            coal charcoal timber straw hay moss copper iron steel tin lead silver brass bronze glass marble granite
            slate amber ivory soap varnish paint dye thread yarn wire
        """),
        "metal": words("copper iron steel tin lead silver brass bronze glass oak ash leather slate marble ivory"),
        "building": words("""
            house cottage farmhouse barn stable granary mill bakery brewery smithy workshop factory warehouse shop
            market_hall inn tavern hotel school library museum theatre hospital chapel church abbey monastery tower
            castle fort gatehouse palace courthouse town_hall prison lighthouse boathouse shipyard dock pier bridge
            aqueduct dam windmill watermill greenhouse observatory post_office station bathhouse orphanage almshouse
            guildhall customs_house pavilion bandstand cellar attic balcony courtyard staircase corridor kitchen
            pantry parlour
        """),
        "land": words("""
            hill mountain ridge cliff valley gorge meadow field pasture orchard vineyard garden hedge forest wood
            grove thicket clearing moor heath marsh swamp bog pond lake reservoir river stream brook waterfall ford
            island beach dune bay harbour cape cave quarry mine road lane path track crossroads plain plateau desert
            glacier crater spring well canal ditch
        """),
        "animal": words("""
            horse pony donkey mule cow ox goat sheep lamb pig hen rooster duck goose turkey dog puppy cat kitten
            rabbit hare fox badger hedgehog squirrel otter beaver mole mouse rat bat deer stag boar wolf bear owl hawk
            falcon eagle raven crow magpie swallow sparrow robin wren finch heron stork swan gull pigeon frog toad
            newt lizard snake tortoise snail spider beetle moth butterfly bee wasp ant dragonfly trout pike eel crab
            seal whale dolphin
        """),
        "plant": words("""
            oak beech birch ash elm willow poplar maple pine spruce fir larch cedar yew holly hawthorn rowan hazel
            elder ivy fern bracken heather gorse thistle nettle clover daisy poppy buttercup violet primrose bluebell
            foxglove lavender rosemary thyme sage mint parsley rose lily tulip iris peony marigold sunflower reed rush
        """),
        "wear": words("""
            coat cloak jacket apron shawl scarf hat cap bonnet hood glove mitten boot shoe sandal clog stocking shirt
            blouse waistcoat skirt dress tunic belt buckle button ribbon brooch necklace ring bracelet watch
            spectacle_case handkerchief umbrella
        """),
        "vessel": words("""
            basket barrel cask crate chest box trunk sack bag pouch purse jar jug pitcher bottle flask cup mug bowl
            dish plate tray tub basin drawer cupboard cabinet shelf wardrobe casket tin bin hamper
        """),
        "vehicle": words("""
            cart wagon coach carriage sledge bicycle tram train locomotive ferry barge raft canoe rowing_boat
            sailing_boat steamer fishing_boat balloon tractor motorcycle van lorry
        """),
        "furniture": words("""
            table chair bench stool bed cradle desk mirror clock carpet curtain stove fireplace bookcase armchair
        """),
        "instrument": words("""
            fiddle flute drum harp lute trumpet horn accordion piano organ bell whistle bagpipe clarinet cello guitar
            tambourine
        """),
        "text": words("""
            letter book diary map chart ledger recipe poem song story newspaper pamphlet poster sign notice contract
            receipt ticket postcard drawing sketch painting photograph blueprint catalogue dictionary almanac
            manuscript inscription
        """),
        "event": words("""
            wedding funeral harvest festival fair market parade race contest concert play lecture meeting trial
            election strike flood storm drought fire earthquake eclipse frost thaw feast holiday journey voyage
            expedition siege truce birthday reunion
        """),
        "virtue": words("""
            patience courage honesty kindness wisdom curiosity loyalty modesty humour skill persistence generosity
            caution discipline imagination thrift diligence gratitude hope trust pride ambition sorrow joy relief
            regret wonder envy doubt fear surprise
        """),
        "idea": words("""
            plan idea rule habit custom promise secret rumour question answer reason excuse mistake lesson method
            theory experiment discovery measurement result law tax price wage debt profit bargain quarrel friendship
            rivalry tradition memory dream warning invitation proposal agreement argument record reputation legend
            proverb riddle
        """),
        "part": words("""
            roof wall door gate window chimney floor beam pillar arch step handle lid wheel axle spring gear valve
            pipe pump blade edge corner surface frame rim spout hook cord strap seam
        """),
        "weather": words("""
            rain snow fog mist wind sunshine hail thunder drizzle sleet frost heat moonlight starlight twilight
        """),
        "feature": words("""
            gable turret buttress threshold doorstep windowsill attic_window weathercock drainpipe gutter railing
            banister archway colonnade cornice parapet spire dome belfry portcullis drawbridge moat rampart fountain
            sundial birdbath trellis pergola flowerbed lawn rockery terrace veranda porch skylight
        """),
        "gem": words("ruby emerald sapphire topaz garnet opal pearl diamond agate jasper turquoise"),
        "insect": words("""
            cricket grasshopper ladybird firefly bumblebee hornet mosquito caterpillar earwig termite cicada
        """),
        "meal": words("breakfast lunch supper dinner tea"),
        "body": words("hand shoulder face eye knee elbow back ear forehead finger"),
    }
)

ADJECTIVES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "size": words("""
            small large tiny huge tall short long wide narrow broad deep shallow thick thin enormous slender low
            high
        """),
        "colour": words("""
            red blue green yellow white black brown grey golden silver crimson scarlet purple pink orange pale dark
            rusty ivory violet
        """),
        "state": words("""
            old new ancient modern worn broken mended polished dusty muddy clean damp dry wet frozen warm cold hot
            empty full crowded quiet noisy bright dim shabby splendid plain ornate crooked straight smooth rough soft
            hard sharp blunt heavy light fragile sturdy wooden woollen stone painted carved woven hollow solid loose
            tight neat tangled fresh stale ripe bitter sweet sour salty smoky fragrant faded glossy hidden forgotten
            familiar curious peculiar ordinary rare common precious cheap costly useful useless borrowed stolen
            unfinished leaky battered bent bruised buried chipped cracked crumbling dented discarded embroidered
            enamelled engraved feathered flickering floating folded gilded glittering gnarled greasy handmade heated
            jagged knotted lacquered lopsided mossy narrow-necked oiled overgrown padded patched quilted ragged
            rattling reinforced restored scorched scratched shining sinking sooty speckled splintered spotted
            squeaking stained sticky striped sunlit tarnished tattered threadbare thorny toothless twisted unpainted
            upturned varnished velvety weathered wobbly wrinkled
        """),
        "mood": words("""
            happy glad cheerful merry content calm proud grateful hopeful eager excited curious surprised puzzled
            anxious nervous worried afraid sad gloomy lonely weary tired sleepy bored angry cross jealous ashamed
            embarrassed sorry disappointed relieved amused
        """),
        "character": words("""
            kind gentle generous honest loyal brave bold clever wise patient careful thoughtful modest stubborn proud
            lazy greedy vain impatient careless clumsy shy talkative silent strict fair cunning witty sensible
            practical dreamy restless stern cheerful hardworking adventurous affectionate ambitious amiable attentive
            blunt cautious charming considerate courteous dependable devoted diligent eccentric energetic fearless
            forgetful frugal gloomy graceful grumpy gullible hospitable humble idealistic impulsive ingenious
            inquisitive jovial level-headed light-hearted meticulous mischievous moody nosy observant outspoken
            pedantic persistent playful quiet resourceful sarcastic scrupulous sensitive serene solemn superstitious
            tactful timid tireless trusting unassuming vigilant warm-hearted absent-minded quick-tempered soft-spoken
            good-natured
        """),
        "worth": words("""
            important remarkable famous valuable popular reliable successful excellent dangerous difficult simple
            complicated unusual impressive beautiful strange useful expensive profitable admirable notable convenient
        """),
        "manner": words("""
            slow quick quiet loud careful careless gentle rough sudden gradual patient eager calm nervous proud humble
            brave timid bright sad merry polite rude clear vague firm faint steady hasty deliberate graceful awkward
            secret open honest warm cold serious playful thorough exact solemn cautious anxious tender fierce
            reluctant willing
        """),
        "rank": words("first second third last next only best oldest youngest largest"),
    }
)

VERBS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "handle": words("""
            carry lift drop hold push pull drag lower raise turn open close lock shake fold unfold roll wrap tie untie
            pack unpack hide find lose lend borrow buy sell trade steal return throw catch weigh measure count sort
            stack scatter touch examine inspect adjust arrange attach balance bury decipher dismantle display drain
            fasten gather grease haul hoist inspect juggle loosen lubricate misplace nudge pawn pluck protect raffle
            ransack recover replace rescue rinse salvage seal shelve smuggle soak straighten strap tighten transport
            twist unlock unwrap unearth weigh_down wind clean wash wipe polish scrub dry mend repair patch oil sharpen
            paint varnish cover fill empty label collect deliver
        """),
        "make": words("""
            build make carve weave knit sew forge cast mould shape design invent draw sketch assemble construct craft
            fashion prepare finish improve copy decorate
        """),
        "cook": words("""
            bake boil roast fry steam stew grill chop slice peel mash stir knead mix season taste serve pickle
            smoke salt
        """),
        "move": words("""
            walk run hurry stroll march wander creep climb crawl jump leap skip limp stumble ride drive row sail swim
            drift fly travel set_out turn_back go_home step slip rush
        """),
        "say": words("""
            say whisper shout reply answer explain announce murmur mutter add remark admit suggest insist repeat
            declare call promise warn observe sigh cry announce argue assure bellow boast chuckle claim complain
            confess gasp groan grumble hiss joke lament mention moan mumble note plead pray predict recall reason
            respond sob stammer state sneer snap stutter tease testify vow whimper yell
        """),
        "think": words("""
            think believe know suspect hope remember realise decide imagine guess notice understand agree swear insist
            maintain
        """),
        "grow": words("""
            grow shrink change spread fade ripen wither freeze melt dry sink rise fall crack rot rust swell settle
            bloom
        """),
        "help": words("""
            help teach thank praise trust forgive protect guide feed greet visit invite follow admire encourage
            comfort advise welcome warn remind surprise pay accompany amuse applaud assist calm congratulate console
            convince defend entertain escort flatter interrupt mock nurse outwit pardon pester puzzle reassure respect
            reward scold shelter startle tease
        """),
        "study": words("""
            study describe record compare classify map measure observe test examine catalogue sketch survey explain
            question
        """),
        "idle": words("""
            wait sit stand rest sleep listen watch laugh smile sing hum nod cough yawn shiver blink frown stare
            whistle
        """),
    }
)

PHRASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "season": words("spring summer autumn winter"),
        "month": words("January February March April May June July August September October November December"),
        "weekday": words("Monday Tuesday Wednesday Thursday Friday Saturday Sunday"),
        "daytime": words("dawn sunrise noon midday dusk sunset nightfall midnight"),
        "direction": words("north south east west north-east north-west south-east south-west"),
        "small_number": words("two three four five six seven eight nine ten eleven twelve"),
        "round_number": words("twenty thirty forty fifty sixty seventy eighty ninety"),
        "unit": words("mile pace furlong yard"),
    }
)

LEXICON: Mapping[str, tuple[str, ...]] = MappingProxyType({**NOUNS, **ADJECTIVES, **VERBS, **PHRASES})
"""All of it: the rules that every English grammar here starts from."""
