"""Texts with numbers and signs but without personal data, in which nothing may be masked.

The signs `#`, `N` and `%` are those of `benchmarks.pii_texts`.
"""

from __future__ import annotations

import random
import re

TEXTS = (
    # dates, times, years
    "The fair opens on %.1#.20## and closes on 2%.1#.20##.",
    "From 20##-0%-1# to 20##-0%-2# the mill is closed.",
    "Years 19##-19## and 20##–20## were the best.",
    "Updated 20##-1#-1#T1#:2#:3#Z",
    "Call hours: 09:00-12:30, 14:00-18:00",
    "We called in 1998, 2004 and 2010.",
    # amounts and measures
    "It costs $%,###,###.## or €%.###.###,##.",
    "A budget of % ### ### ### and a debt of %# ### ###.",
    "The town has %## ### inhabitants, the county % ### ###.",
    "The sizes are N00 N00 1#00 and N50 N00 1000 in millimetres.",
    "Modes: 800 600 1024 and 640 480 2560.",
    "They made % 000 000 calls and sent %0 000 000 messages.",
    "The call took 1000000 cycles, or %#######.## ns.",
    "Resolution %### x %###, %#.# megapixels, %#### mAh",
    "Pi is 3.1415926535897#",
    "Coordinates: N#.######, 1#.######",
    "A score of N##:N## after N## 1## N## runs",
    # goods, books, papers, accounts of things
    "ISBN 978-3-16-1484##-#",
    "ISBN-10: N#########",
    "ISBN: N-###-#####-#, paperback",
    "ISBN 97##########",
    "doi:10.1%##/journal.%###.%######",
    "https://doi.org/10.1073/pnas.N#########",
    "PMID: %#######, PMC%######",
    "arXiv:%###.%####v2",
    "Order %#########, invoice no. %####-####-##",
    "Order number: N##-#######-#######",
    "My driver's license number is N###-##-####",
    "Here's my SSN: N##-##-####",
    "Passport number %########",
    "Account number %##########",
    "Part no. %##-####-##, serial %###-###-####",
    "EAN 40#########1, item N##-###",
    "Ticket #%####### (case %#-#######)",
    "HRB %##### Amtsgericht, USt-IdNr. DE%########",
    "SIRET %## ### ### #####",
    "CNPJ %#.###.###/0001-##",
    "US patent %,###,### and %,###,###",
    "ZIP %####-####",
    "Model number KX-%###-%####",
    # programs
    "Version: %.%#.%.0",
    "Versions 1.2.%.% and 1.2.%.%#",
    "nginx-1.%.%.%.tar.gz",
    "requests>=1.%.%.%",
    "Java 1.8.0.%#",
    "Mozilla/5.0 Chrome/1N#.0.0.0 Safari/537.36",
    "firmware v%.%.%#.% and build %.0.%###.%",
    "Table %.%.%.%, Theorem 1.%.%.%, Section %.%.%.%#",
    "Listen on 127.0.0.1:80%# or ::1, mask 255.255.255.0, 0.0.0.0",
    "Call abc::def% first, then A::B%.",
    "The ratio is 1:2:3:4:5:6:7:%.",
    "std::vector<int> v(%####); // %######## bytes",
    "Use logo@2x.png and Shape@3x.jpg for it.",
    "Pin numpy@1.%.dev and left-pad@1.%.#.",
    "Clone git@github.com:loam/loam.git",
    "commit %#######e%#####c4f8a1b2c3d4e5f6a7b8c9d",
    "id=%######### and ts=1%#########",
    "https://example.org/item/N#########/photo",
    "0x%###f###, 1e-%#, %#e+10",
    "MAC 00:1A:2B:3C:4D:%#",
    "@user %## likes, foo@bar",
    "seed %#########, %# epochs",
    # rows and lists
    "%## %## %## %## %## %## %##",
    "1. %# 2. %# 3. %# 4. %#",
    "01 02 03 04 05 06 07 08 09 10 11 12",
    "%,%##,%##  %,%##,%##  %,%##,%##",
    "Lottery: %# 1# 2# 3# 4# 4# (%)",
    "Psalm 119:1%#-1%#, Acts 27:14-44",
    "Rooms %##-%##, seats %#-%#, rows 1-%#",
    "Flight LH %###, gate B%#, 1%:%5",
    "In %### of %#### cases (p < 0.0#)",
    "The Boeing 737-800 and the 747-400",
    "He won 6-4, 7-6, 6-3 in %### days.",
    "In Tel Aviv %#### people met for 1#### days.",
    "Text %# of %## says so; message %#### of %#####.",
    "12 people on Third Street saw %### birds.",
)
_CHOICE = re.compile("[#%]|N(?=[#0N])")  # the N of a word stays
_DIGITS = {"#": "0123456789", "N": "23456789", "%": "123456789"}


def innocent_texts(number: int, seed: int) -> list[str]:
    """Return texts of every form, in turn."""
    dice = random.Random(f"innocent {seed}")
    return [
        _CHOICE.sub(lambda sign: dice.choice(_DIGITS[sign[0]]), TEXTS[place % len(TEXTS)]) for place in range(number)
    ]
