"""Language data of the heuristic rules: stop words, mean word lengths, and boilerplate phrases.

English has the eight stop words and the word lengths of Gopher. For other languages the stop words are the most
frequent words (`pipelines.filters.stop_words`), and the bounds of the mean word length are Gopher's times the mean word
length of the language over that of English, as FineWeb-2 scales its thresholds (arXiv:2506.20920, section 3).

Furniture are lines that sites put around texts: notices about cookies and terms, sign-in links, "read more", carts.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from pipelines.filters.stop_words import MEAN_WORD_LENGTH, STOP_WORDS

ENGLISH = "en"
GOPHER_STOP_WORDS = ("the", "be", "to", "of", "and", "that", "have", "with")
UNSPACED = frozenset({"bo", "dz", "ja", "km", "lo", "my", "th", "zh"})
"""Languages that do not put spaces between words, so that rules about words mean nothing."""

_WORD = re.compile(r"[^\W_](?:\S*[^\W_])?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Furniture:
    """Words and phrases of furniture, lower case: notices on policies and cookies anywhere in a line, sign-in at the
    start of a line, "read more" at its end, shopping carts anywhere; and marks of editors in square brackets."""

    policy: tuple[str, ...]
    sign_in: tuple[str, ...]
    read_more: tuple[str, ...]
    cart: tuple[str, ...]
    citation: tuple[str, ...]


FURNITURE: Mapping[str, Furniture] = MappingProxyType(
    {
        "en": Furniture(
            policy=("terms of use", "privacy policy", "cookie policy", "uses cookies", "use of cookies", "use cookies"),
            sign_in=("sign-in", "signin", "sign in", "log-in", "login", "log in", "sign-up", "signup", "sign up"),
            read_more=("read more",),
            cart=("item in cart", "items in cart", "item in your cart", "items in your cart"),
            citation=("edit", "citation needed"),
        ),
        "de": Furniture(
            policy=(
                "nutzungsbedingungen", "datenschutzerklärung", "datenschutzhinweise", "datenschutzrichtlinie",
                "cookie-richtlinie", "verwendet cookies", "verwenden cookies", "verwendung von cookies",
                "nutzt cookies", "setzt cookies", "einsatz von cookies",
            ),
            sign_in=("anmelden", "einloggen", "registrieren", "jetzt anmelden", "jetzt registrieren"),
            read_more=("weiterlesen", "mehr lesen", "mehr erfahren", "zum artikel", "mehr dazu"),
            cart=("artikel im warenkorb", "in den warenkorb", "zum warenkorb"),
            citation=("bearbeiten", "quelltext bearbeiten", "bearbeiten | quelltext bearbeiten"),
        ),
        "fr": Furniture(
            policy=(
                "conditions d'utilisation", "conditions d’utilisation", "politique de confidentialité",
                "politique de cookies", "utilise des cookies", "utilisons des cookies", "utilisation de cookies",
                "utilisation des cookies", "mentions légales",
            ),
            sign_in=("se connecter", "connectez-vous", "s'inscrire", "s’inscrire", "inscrivez-vous"),
            read_more=("lire la suite", "lire plus", "en savoir plus", "lire l'article", "lire l’article"),
            cart=("ajouter au panier", "articles dans le panier", "article dans le panier"),
            citation=("modifier", "modifier le code", "réf. nécessaire", "citation nécessaire"),
        ),
        "es": Furniture(
            policy=(
                "condiciones de uso", "términos de uso", "política de privacidad", "política de cookies",
                "utiliza cookies", "utilizamos cookies", "usa cookies", "usamos cookies", "uso de cookies",
                "aviso legal",
            ),
            sign_in=("iniciar sesión", "inicia sesión", "regístrate", "registrarse", "acceder"),
            read_more=("leer más", "seguir leyendo", "ver más", "sigue leyendo"),
            cart=("añadir al carrito", "artículos en el carrito", "agregar al carrito"),
            citation=("editar", "cita requerida"),
        ),
        "it": Furniture(
            policy=(
                "condizioni d'uso", "condizioni d’uso", "termini di utilizzo", "informativa sulla privacy",
                "utilizza cookie", "utilizza i cookie", "utilizziamo cookie", "utilizzo dei cookie", "uso dei cookie",
            ),
            sign_in=("accedi", "registrati", "iscriviti"),
            read_more=("leggi tutto", "leggi di più", "continua a leggere", "scopri di più"),
            cart=("aggiungi al carrello", "articoli nel carrello"),
            citation=("modifica", "modifica wikitesto", "senza fonte"),
        ),
        "pt": Furniture(
            policy=(
                "termos de uso", "política de privacidade", "política de cookies", "utiliza cookies",
                "utilizamos cookies", "usa cookies", "usamos cookies", "uso de cookies",
            ),
            sign_in=("entrar", "faça login", "cadastre-se", "iniciar sessão", "registe-se"),
            read_more=("leia mais", "ler mais", "continue lendo", "saiba mais"),
            cart=("adicionar ao carrinho", "itens no carrinho"),
            citation=("editar", "editar código-fonte", "carece de fontes"),
        ),
        "nl": Furniture(
            policy=(
                "gebruiksvoorwaarden", "privacybeleid", "privacyverklaring", "cookiebeleid", "gebruikt cookies",
                "gebruiken cookies", "maakt gebruik van cookies", "gebruik van cookies",
            ),
            sign_in=("inloggen", "aanmelden", "registreren"),
            read_more=("lees meer", "lees verder", "meer lezen"),
            cart=("in winkelwagen", "in winkelmandje", "artikelen in winkelwagen"),
            citation=("bewerken", "brontekst bewerken", "bron?"),
        ),
        "pl": Furniture(
            policy=(
                "regulamin serwisu", "polityka prywatności", "polityką prywatności", "polityka cookies",
                "wykorzystuje pliki cookie", "używa plików cookie", "korzysta z plików cookie", "pliki cookies",
            ),
            sign_in=("zaloguj", "zaloguj się", "zarejestruj się"),
            read_more=("czytaj więcej", "czytaj dalej", "więcej"),
            cart=("dodaj do koszyka", "produktów w koszyku"),
            citation=("edytuj", "edytuj kod", "potrzebny przypis"),
        ),
    }
)  # fmt: skip
"""Furniture by language. What a line must be beside it says `pipelines.filters.line_corrections`."""


def lower_words(text: str) -> list[str]:
    """Return the words of `text` in lower case: between white space, without outer punctuation."""
    return _WORD.findall(text.lower())


@functools.cache
def stop_words_of(language: str) -> frozenset[str]:
    """Return the stop words of a language; none where there is no list."""
    if language == ENGLISH:
        return frozenset(GOPHER_STOP_WORDS)
    return frozenset(STOP_WORDS.get(language, "").split())


def count_stop_words(text: str, words: frozenset[str], enough: float) -> int:
    """Return the number of distinct `words` in `text`; the search ends when there are `enough`."""
    found: set[str] = set()
    for match in _WORD.finditer(text.lower()):
        if match[0] in words:
            found.add(match[0])
            if len(found) >= enough:
                break
    return len(found)


def word_length_ratio(language: str) -> float:
    """Return the mean word length of a language over that of English; 1 where it is not known."""
    return MEAN_WORD_LENGTH.get(language, MEAN_WORD_LENGTH[ENGLISH]) / MEAN_WORD_LENGTH[ENGLISH]
