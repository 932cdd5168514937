"""Texts for measuring masks: personal data at known places, and other numbers.

Every number is made up, by forms in which people of each country write theirs; many are in no numbering plan, as in
other made-up sets. `#` in a form is any digit, `N` one from 2 to 9, `%` one from 1 to 9.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from pipelines.filters.pii.ibans import IBAN_LENGTHS

PHONE_FORMS: dict[str, tuple[str, ...]] = {
    "US": ("(N##)N##-####", "N##-N##-####", "N##.N##.####", "+1-N##-N##-####", "(N##)N##-####x#####", "N##N######"),
    "US, more": ("1-800-N##-####", "001-N##-N##-####", "N##-N##-#### ext. ###", "N## N## ####", "N##/N##-####"),
    "GB": ("020 #### ####", "(01##) ### ####", "07### ######", "+44(0)1## #######", "01### ######"),
    "IE": ("01 ### ####", "(0##) ### ####", "087 ### ####"),
    "AU": ("04## ### ###", "(0N) #### ####", "+61 4## ### ###", "1300 ### ###"),
    "NZ": ("09 ### ####", "021 ### ####", "(04) ###-####"),
    "ZA": ("0## ### ####", "+27 ## ### ####"),
    "IN": ("0%# #### ####", "+91 9#### #####", "9#########", "9####-#####"),
    "BE": ("04## ## ## ##", "0# ### ## ##", "0##/##.##.##"),
    "NL": ("0##-#######", "06-########", "(0##) ### ####", "06 ## ## ## ##"),
    "DE": ("0#### ######", "(0####) ######", "0## / ## ## ##", "0%##-#######", "+49 %## #######", "0%## ####-##"),
    "AT": ("0%## ### ## ##", "0### ######", "+43 (0) %## ######"),
    "CH": ("0## ### ## ##", "+41 ## ### ## ##"),
    "FR": ("0% ## ## ## ##", "0%.##.##.##.##", "0%########", "+33 (0)% ## ## ## ##"),
    "IT": ("0## #######", "3## ### ####", "+39 0## #######", "3## #######"),
    "ES": ("9## ### ###", "6## ## ## ##", "9## ## ## ##", "+34 6## ### ###"),
    "PT": ("2## ### ###", "9## ### ###", "+351 2## ### ###"),
    "SE": ("0%-### ### ##", "07#-### ## ##", "+46 (0)8 ### ### ##"),
    "NO": ("## ## ## ##", "4## ## ###", "+47 ## ## ## ##"),
    "DK": ("%# ## ## ##", "%#-##-##-##", "%#######", "+45 ## ## ## ##"),
    "FI": ("04# ### ####", "09 ### ####", "050-#######"),
    "IS": ("%## ####", "+354 %## ####"),
    "EE": ("5### ####", "6## ####"),
    "PL": ("%## ### ###", "(##) ### ## ##", "##-###-##-##", "+48 %## ### ###"),
    "CZ": ("%## ### ###", "+420 %## ### ###"),
    "HU": ("06 ## ### ####", "(%#) ###-###", "06-##/###-###"),
    "SI": ("0%# ### ###", "(0%) ### ## ##"),
    "HR": ("0%# ### ###", "0%#/####-###"),
    "RO": ("07## ### ###", "021 ### ## ##"),
    "GR": ("2## ### ####", "69# ### ####"),
    "TR": ("0 (5##) ### ## ##", "05## ### ## ##"),
    "RU": ("8 (9##) ###-##-##", "+7 9## ###-##-##", "8-9##-###-##-##"),
    "UA": ("0## ### ## ##", "(0##) ###-##-##"),
    "IL": ("05#-###-####", "0%-#######"),
    "JP": ("03-####-####", "090-####-####", "0##-###-####"),
    "KR": ("010-####-####", "02-###-####"),
    "CN": ("1%#########", "1%# #### ####", "010-########"),
    "SG": ("6### ####", "9### ####"),
    "BR": ("(%#) 9####-####", "(%#) ####-####", "+55 %# 9####-####"),
    "MX": ("(%#) #### ####", "55 #### ####", "+52 %# #### ####"),
    "AR": ("(011) 4###-####", "011 15-####-####"),
    "CO": ("3## ### ####", "(%) ### ####"),
    "CL": ("9 #### ####", "+56 9 #### ####"),
}

PHONE_TEXTS = (
    "Please have the manager call me at {} before noon.",
    "Can somebody ring me on {}? I want to ask about my order.",
    "I did not get any message on my registered {} since Monday.",
    "Stop sending messages to {} at once.",
    "You can reach our office by telephone, {}, on weekdays.",
    "Phone: {}",
    "Office: {}\nMobile: {}",
    "Tel. {}, Fax {}",
    "My number is {}, ask for Anna.",
    "Contact us at {} or write to the address below.",
    "For reservations dial {} between 9 and 5.",
    "She texted me from {} last night.",
    "WhatsApp {}",
    "The hotline ({}) is open day and night.",
    "T: {} | F: {}",
    "Anna Hill ({}, mobile) will show you the house.",
    "Rufen Sie uns an: {}",
    "Telefon {} oder Fax {}",
    "Unsere Rufnummer lautet {}.",
    "Appelez le {} pour prendre rendez-vous.",
    "Tél. : {}",
    "Llame al {} para reservar.",
    "Teléfono: {}",
    "Telefono {} - cellulare {}",
    "Ligue para {} e fale connosco.",
    "Bel ons op {} voor een afspraak.",
    "Ring oss på {} eller kom förbi.",
    "Zadzwoń: tel. kom. {}",
    "Телефон: {}",
    "電話：{}",
)
UNSAID_PHONE_TEXTS = (
    "Anna Hill\n12 Mill Yard\n{}",
    "Hill & Sons, the old mill, {}",
    "Garden Centre, open all week.\n{}\nwww.example.org",
    "Ask for Anna, {}, in the afternoon.",
)
CARD_TEXTS = (
    "My card {} was stolen, please block it.",
    "What is the limit of card {}?",
    "Paid with {} on Monday.",
    "Card number: {}, valid until 09/27",
    "Kreditkarte {} gesperrt",
)
CARD_FORMS = (
    *(
        "4###############",
        "4### #### #### ####",
        "4###-####-####-####",
        "4############",
        "51##############",
        "55## #### #### ####",
    ),
    *(
        "34#############",
        "37## ###### #####",
        "6011############",
        "65##-####-####-####",
        "30############",
        "36## ###### ####",
    ),
    *(
        "2131###########",
        "1800###########",
        "35##############",
        "50##########",
        "5018########",
        "5020 #### ####",
        "5612########",
    ),
    *("5899########", "6304########", "6759########", "676###########", "676#############", "50################"),
)
EMAIL_TEXTS = ("Write to {}.", "{} – she answers.", "Mail <{}>, please.", "E-mail:{}", "From {}- at once", "({})")
EMAIL_FORMS = (
    *(
        "anna.hill@example.com",
        "a@b.io",
        "o'neil+tag@mail.example.co.uk",
        "jürgen@müller.example",
        "ANNA_HILL@EXAMPLE.ORG",
    ),
    *("anna-maria@sub-domain.example.de", "a.b.c@163.com", "first%last@example.museum", "1234@qq.com"),
)
IBAN_TEXTS = ("Pay to {} today.", "IBAN: {}", "iban {}, thank you", "The account ({}) is closed.")
IP_TEXTS = (
    *("The address {} was blocked.", "GET / from {} at noon", "host={}", "ping {}: no answer", "[{}]", "client_ip|{}|"),
    *("User 4 logged in from {}.", "{}/24", "http://{}/index", "{} - {}"),
)
IP_FORMS = (
    "19#.%#.1##.%",
    "N.N.N.N",
    "192.168.%.%#",
    "15#.1##.1##.1##",
    "2001:db8::%",
    "2a02:%##:%##f::1",
    "fe80::1ff:fe23:%###:890a",
)


@dataclass(frozen=True, kw_only=True, slots=True)
class MarkedText:
    """A text of one kind, and the passages of it that are personal data."""

    kind: str
    text: str
    passages: tuple[str, ...]


def phone_texts(number: int, seed: int, texts: tuple[str, ...] = PHONE_TEXTS) -> list[MarkedText]:
    """Return texts with phone numbers in every form of every country, in turn."""
    forms = [form for forms in PHONE_FORMS.values() for form in forms]
    return _marked("phone", number, seed, texts, lambda dice, place: _filled(forms[place % len(forms)], dice))


def card_texts(number: int, seed: int) -> list[MarkedText]:
    """Return texts with card numbers with a valid Luhn checksum."""
    return _marked(
        "credit_card", number, seed, CARD_TEXTS, lambda dice, place: _card(CARD_FORMS[place % len(CARD_FORMS)], dice)
    )


def email_texts(number: int, seed: int) -> list[MarkedText]:
    """Return texts with e-mail addresses."""
    return _marked("email", number, seed, EMAIL_TEXTS, lambda dice, place: EMAIL_FORMS[place % len(EMAIL_FORMS)])


def iban_texts(number: int, seed: int) -> list[MarkedText]:
    """Return texts with IBANs of every registered country: joined, in fours, with dashes, in lower case."""
    countries = sorted(IBAN_LENGTHS)
    return _marked("iban", number, seed, IBAN_TEXTS, lambda dice, place: _iban(countries[place % len(countries)], dice))


def ip_texts(number: int, seed: int) -> list[MarkedText]:
    """Return texts with IP addresses."""
    return _marked("ip", number, seed, IP_TEXTS, lambda dice, place: _filled(IP_FORMS[place % len(IP_FORMS)], dice))


def _marked(
    kind: str, number: int, seed: int, texts: tuple[str, ...], make: Callable[[random.Random, int], str]
) -> list[MarkedText]:
    dice = random.Random(f"{kind} {seed}")
    found = []
    place = 0
    for _ in range(number):
        text = dice.choice(texts)
        passages = tuple(make(dice, place + each) for each in range(text.count("{}")))
        place += len(passages)
        found.append(MarkedText(kind=kind, text=text.format(*passages), passages=passages))
    return found


def _filled(form: str, dice: random.Random) -> str:
    digits = {"#": "0123456789", "N": "23456789", "%": "123456789"}
    return "".join(dice.choice(digits.get(sign, sign)) for sign in form)


def _card(form: str, dice: random.Random) -> str:
    """Return a number of this form with a valid Luhn checksum."""
    front = _filled(form, dice)[:-1]
    digits = [int(sign) for sign in front if sign.isdigit()]
    total = sum(digits[-2::-2]) + sum(sum(divmod(2 * digit, 10)) for digit in digits[-1::-2])
    return front + str(-total % 10)


def _iban(country: str, dice: random.Random) -> str:
    body = "".join(dice.choice("0123456789") for _ in range(IBAN_LENGTHS[country] - 4))
    number = int("".join(str(int(sign, 36)) for sign in f"{body}{country}00"))
    account = f"{country}{98 - number % 97:02}{body}"
    in_fours = [account[start : start + 4] for start in range(0, len(account), 4)]
    return dice.choice((account, " ".join(in_fours), "-".join(in_fours), account.lower(), " ".join(in_fours).lower()))
