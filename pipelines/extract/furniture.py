"""Boilerplate wording of blocks: consent, sharing, subscriptions, other articles, ownership.

Wording alone proves little: "Log in to the server as root." and "Copyright law protects works." are text. A block is
furniture where a second sign joins its first words: it links, it is a title of few words and no sentence, or it stands
at the end of the page. Consent notices speak of cookies, of the reader or the site, and of what is agreed.
"""

from __future__ import annotations

import re

from pipelines.extract.blocks import HEADINGS, Block

SENTENCE_ENDS = (".", "!", "?", "。", "！", "？", "”", '"', "…", "»", "“")
_MAX_CONSENT_CHARACTERS = 600
_MAX_TITLE_WORDS = 5
_MAX_NOTICE_CHARACTERS = 200
_MIN_LINK_SHARE = 0.3

_START = re.compile(
    r"©|\(c\) ?\d|copyright\b|advert(?:isement|orial)?\b|anzeige\b|publicidad\b|publicité\b|sponsored\b|werbung\b"
    r"|(?:share|tweet|print|e-?mail|save|pin|follow)\b|(?:read|see|show|load|view|learn) (?:more|also|next|all)\b"
    r"|(?:sign up|subscribe|log ?in|sign in|register)\b"
    r"|(?:related|recommended|more (?:from|on|in)|most (?:read|popular))\b"
    r"|don['’]t miss\b|you (?:may|might) (?:also )?(?:like|enjoy)\b|leave a (?:comment|reply)\b|comments?\b"
    r"|(?:lesen|sehen|hören) sie (?:auch|hier|dazu)\b|lies auch\b|mehr (?:zum thema|lesen|erfahren|dazu|aus|infos?)\b"
    r"|weiter(?:e|lesen)\b|das könnte (?:sie|dich|ihnen|dir)\b|auch interessant\b|zum thema\b|teilen\b|drucken\b"
    r"|(?:letzte|zuletzt) (?:änderung|aktualisiert)\b|zurück (?:zu|zur|zum)\b|nach oben\b|kommentare?\b"
    r"|lea? también\b|lee también\b|te puede interesar\b|más (?:noticias|información)\b|comparti[rd]\b"
    r"|(?:noticias|artículos) relacionad[oa]s\b|suscríb\w+|síguenos\b|(?:à )?lire aussi\b|sur le même sujet\b"
    r"|partager\b|articles? (?:similaires|liés)\b|abonnez-vous\b|suivez-nous\b|leggi anche\b"
    r"|potrebbe(?:ro)? interessart?i\b"
    r"|condividi\b|iscriviti\b|leia (?:também|mais)\b|veja também\b|compartilhe\b|lees (?:ook|meer|verder)\b"
    r"|(?:czytaj|zobacz|przeczytaj) (?:także|też|również|więcej)\b|udostępnij\b"
)
_TITLE = re.compile(
    r"share(?: (?:this|on|via)\b.{0,30})?|related (?:articles|posts|stories|content|news|topics|links|products|videos)"
    r"|recommended(?: (?:for you|reading|articles|posts|stories))|read (?:more|next|also)|more (?:from|on|in) .{1,40}"
    r"|most (?:read|popular)(?: .{0,20})?|you (?:may|might)(?: also)? (?:like|enjoy)|don['’]t miss\b.{0,30}"
    r"|leave a (?:comment|reply)|\d{0,5} ?comments?(?: \(\d+\))?|advertisement|sponsored (?:content|links|posts)"
    r"|(?:our |join our )?newsletter|(?:sign up|subscribe) .{1,40}|follow (?:us|me)\b.{0,30}"
    r"|(?:lesen|sehen) sie auch|mehr (?:zum thema|lesen|dazu)|weitere (?:artikel|nachrichten|themen|beiträge|meldungen)"
    r"|das könnte (?:sie|dich|ihnen|dir) auch (?:interessieren|gefallen)|auch interessant|zum thema|teilen|drucken"
    r"|kommentare?(?: \(\d+\))?|te puede interesar|(?:noticias|artículos) relacionad[oa]s|más noticias|compartir"
    r"|(?:à )?lire aussi|sur le même sujet|articles? (?:similaires|liés)|partager|leggi anche|condividi"
    r"|potrebbe(?:ro)? interessarti|leia (?:também|mais)|veja também|compartilhe|lees ook|czytaj (?:także|też|również)"
)
_MARKUP = re.compile(r"<\w{1,20}\b.*>$")
_OWNERSHIP = re.compile(
    r"all rights reserved|alle rechte vorbehalten|todos los derechos reservados|tous droits réservés"
    r"|tutti i diritti riservati|todos os direitos reservados|wszelkie prawa zastrzeżone|alle rechten voorbehouden"
)
_MEMBERS = re.compile(
    r"(?:log ?in|sign in|sign up|register|subscribe)\b.{0,60}\b(?:comment|reply|vote|full (?:story|article)"
    r"|continue reading)"
)
_WEB = re.compile(
    r"\b(?:web)?sites?\b|seite\b|\bsitio\b|\bsito\b|witryn|browser|naveg|navig|privacy|datenschutz|privacidad"
    r"|confidential"
    r"|policy|policies|política|politique|informativa|settings|einstellung|paramètres|personali[sz]|analy[st]|tracking"
    r"|advert|werbung|publicid|publicit|uses? (?:of )?(?:our )?cookies|verwend|utili[sz]|gebruik|używ|korzyst"
)
_READER = re.compile(
    r"\b(?:we|our|you|your)\b|by (?:continuing|using|clicking|browsing)|accept all|(?:this|the) (?:web)?site\b"
    r"|\bwir\b|\bunsere?r?\b|\bsie\b|diese[rn]? (?:web)?(?:site|seite)|\bnous\b|\bvous\b|ce site|\butilizamos\b"
    r"|este sitio|\busted\b|\butilizziamo\b|questo sito|\butilizamos\b|korzystamy|\bwij\b|deze (?:web)?site"
)
_AGREED = re.compile(
    r"agree|accept|settings|consent|polic|experience|continu(?:e|ing) (?:to|using|your)|preferences|personali[sz]"
    r"|zustimm|einverstanden|akzeptier|datenschutz|einstellungen|accepte[rz]|confidentialité|navigation|acepta"
    r"|privacidad|experiencia|accett|informativa|aceita|privacidade|zgod|prywatności|privacybeleid"
)
_CLOSING_SIGNS = (
    *("follow", "like us on", "©", "copyright", "full coverage", "contributed to", "reporting", "tip?", "newsletter"),
    *("sign up", "sign-up", "subscribe to", "rechte vorbehalten", "rights reserved"),
)
"""Whatever `_CLOSING` finds holds one of them. Most texts hold none, and to look for each takes less than a search."""
# No word border comes first in a branch, so that the search looks at each character's table entry and nothing else.
_CLOSING = re.compile(
    r"follow (?:us|him|her|me|them)\b|follow .{0,40}@\w|like us on|©|copyright (?:©|\(c\)|\d{4})|full coverage"
    r"|contributed to this (?:report|story|article)|a(?<!\wa)dditional reporting|r(?<!\wr)eporting by\b|t(?<!\wt)ip\?"
    r"|(?:our|free|daily|weekly) newsletter|sign[ -]up (?:for|to) (?:our|the|receive|get)"
    r"|subscribe to (?:our|the|us|my)"
    r"|unsere[nm]? newsletter|newsletter (?:abonnieren|anmelden)|alle rechte vorbehalten|all rights reserved"
)
_CLOSING_LINKS = re.compile(
    r"newsletter|subscribe|sign[ -]up|join (?:us|our)\b|a(?<!\wa)ll comments|click here|read more|first published"
    r"|copyright|lesen sie|hier klicken|abonn|iscriviti|suscr[ií]b|mehr (?:zum|infos)"
)


def is_furniture(block: Block, max_characters: int) -> bool:
    """Return whether a block is boilerplate about the page."""
    if len(block.text) > max(max_characters, _MAX_CONSENT_CHARACTERS):
        return False
    lowered = block.text.lower()
    if "cookie" in lowered and _is_consent(lowered):
        return True
    if len(lowered) > max_characters or block.kind in ("pre", "dt"):
        return False
    if len(lowered) <= _MAX_NOTICE_CHARACTERS and (_names_owner(lowered) or _MARKUP.match(lowered)):
        return True
    if block.kind in HEADINGS:
        return _TITLE.fullmatch(lowered.strip(" :.…»>!?")) is not None
    return _START.match(lowered) is not None and _has_second_sign(block, lowered)


def closes_page(block: Block, max_characters: int) -> bool:
    """Return whether a block at the end of a page offers a newsletter, thanks a colleague, or names the owner."""
    if len(block.text) > max_characters or block.kind in (*HEADINGS, "pre"):
        return False
    lowered = block.text.lower()
    if any(map(lowered.__contains__, _CLOSING_SIGNS)) and _CLOSING.search(lowered):
        return True
    return block.num_linked > 0 and _CLOSING_LINKS.search(lowered) is not None


def _names_owner(lowered: str) -> bool:
    # Parts of the pattern's words come first, for few texts hold one.
    has_sign = "serv" in lowered or "rbeh" in lowered or "zastrz" in lowered
    return has_sign and _OWNERSHIP.search(lowered) is not None


def _is_consent(lowered: str) -> bool:
    return all(words.search(lowered) is not None for words in (_READER, _AGREED, _WEB))


def _has_second_sign(block: Block, lowered: str) -> bool:
    """Return whether a block has many links, asks the reader to register, or is a short title, as rows and items often
    are.
    """
    if block.num_linked > _MIN_LINK_SHARE * len(block.text) or (block.num_linked and _MEMBERS.match(lowered)):
        return True
    if block.kind in ("tr", "li", "dd") or block.text.endswith(SENTENCE_ENDS):
        return False
    return len(block.text.split()) <= _MAX_TITLE_WORDS
