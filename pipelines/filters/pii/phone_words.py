"""Context words of phone numbers and of other numbers, in the languages of most pages.

Each list is of words in small letters; a stem counts for every word that begins with it.
"""

from __future__ import annotations

from pipelines.extract.word_lists import words


def _stems(text: str) -> tuple[str, ...]:
    """Return the words of a text in the form that `str.startswith` takes."""
    return tuple(text.split())


PHONE_WORDS = words(
    """
    phone phones telephone telephones telephoned tel fax telefax facsimile mobile mobiles cell cellular cellphone
    cells smartphone handset handsets landline call called calling calls caller dial dialed dialled dialing dialling
    ring rang text texted texting sms mms message messages whatsapp viber telegram hotline hotlines helpline helplines
    helpdesk switchboard pager voicemail extension contact contacts contacted reach reached enquiries inquiries
    reservations bookings ph freephone freecall tollfree reception tlf tlph tfn tél fon rufnummer durchwahl anrufen
    ruf rufen fixe portable portables joindre móvil móviles celular celulares cellulare fono fonos ligue ligar liga
    telemóvel bel bellen gsm puh puhelin ringa matkapuhelin kom infolinia volejte zavolejte hívjon cep numaram hp telp
    đt моб сот факс phon
    """
)
PHONE_STEMS = _stems(
    """
    telefon teléfon téléphon telefoon mobilt mobiln mobiel mobilu mobilfunk mobilnummer handynu appel chiam llam
    puhelin komórk komork zadzwo τηλ κιν тел звон позвон
    """
)
LABELS = words(
    """
    office home work direct main service support sales emergency info telefono handy mobil t m p f h c w
    """
)
"""Words that are a sign of a phone only before a colon or a dot."""

OTHER_WORDS = words(
    """
    isbn issn isin doi ean upc gtin asin sku imei iccid vin order orders invoice invoices account accounts acct
    license licence licenses licences ssn security passport passports serial model models part parts item items id ids
    identifier case cases ticket tickets ref reference patent patents pmid pmc arxiv zip postcode postal version
    versions vat tax ein tin registration reg policy policies tracking parcel parcels member members membership card
    cards credit iban bic swift routing build builds date dated updated posted published copyright page pages pp vol
    volume volumes issue issues chapter chapters section sections population populations coordinates lat latitude lon
    longitude gps barcode batch lot code codes size sizes mode modes price prices cost costs usd eur gbp blz hrb hra
    siret siren rcs tva nif cif nie dni nip regon krs pesel cnpj cpf piva iva bsn kvk btw cvr orgnr org ico ič dič oib
    инн огрн кпп бик hash hashes commit commits bytes line lines row rows seed timestamp epoch unix dollars euros
    pounds
    """
)
OTHER_STEMS = _stems(
    """
    konto rechnung bestell kunden artikel steuer ust handelsregister счет заказ артикул
    """
)

LINKING_WORDS = words(
    """
    number numbers no nos nr nrs nummer num numéro número numero is was at on to from oss ons op para le la les lo los
    sie ihn ihr mir dem den der das die no el ao pelo under us me him her them now today toll free unter an uns mich
    au al il op på pod na по номер line and or ist lautet est es the our my this 24 7
    """
)
"""Words that may stand between a phone's word and its number."""

POSSESSIVES = words(
    """
    my your her his our their
    """
)
NUMBER_WORDS = words(
    """
    number numbers
    """
)

SIGNS = (
    "☎|☏|📞|📱|✆|℡|🕿|📲|電話|电话|手机|手機|携帯|携带|전화|휴대폰|핸드폰"
    "|هاتف|جوال|موبايل|تلفن|טלפון|נייד|โทร|फ़ोन|फोन|मोबाइल|điện thoại"
)
"""Signs of a phone that need no space around them, as alternatives of a pattern."""
