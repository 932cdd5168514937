"""Grammar rules of German pages."""

from pipelines.demo_crawl.lexicon import phrases

RULES: dict[str, tuple[str, ...]] = {
    "wer": phrases("""
        der Bäcker / die Lehrerin / der alte Fischer / die junge Ärztin / der Müller / die Nachbarin / der
        Bürgermeister / die Großmutter / der Schneider / die Gärtnerin / der Förster / die Malerin / der
        Uhrmacher / die Wirtin / der Briefträger / die Schülerin / der Kapitän / die Köchin / {person} /
        {friend}
    """),
    "leute": phrases("""
        die Kinder / die Bauern / viele Leute / die Reisenden / die Frauen / die Männer / unsere Nachbarn /
        die Handwerker / die Gäste / alle Schüler / die Händler
    """),
    "was": phrases("""
        einen Apfelkuchen / das alte Buch / die schwere Kiste / einen langen Brief / den großen Schlüssel /
        eine warme Suppe / das kleine Boot / die grüne Tür / einen Korb voller Birnen / die kaputte Uhr / den
        hölzernen Tisch / ein weißes Hemd / eine schöne Geschichte / die Werkzeuge / das frische Brot / ein
        neues Dach / den steinernen Brunnen / eine Landkarte / die letzten Kartoffeln / einen bunten Teppich /
        das Geschenk für die Mutter / die Blumen im Garten
    """),
    "wo": phrases("""
        auf dem Marktplatz / in der Küche / am Ufer der {river} / hinter der Kirche / im Wald / neben der
        Mühle / vor dem Rathaus / in der Werkstatt / unter der alten Brücke / auf dem Feld / in einem kleinen
        Zimmer / am Hafen / in der Schule von {town} / zwischen den Häusern / auf dem Dachboden / im Garten /
        oben auf dem Hügel / in {town}
    """),
    "wann": phrases("""
        am frühen Morgen / im Herbst / jeden Sonntag / nach dem Mittagessen / im letzten Winter / vor vielen
        Jahren / am Abend / im Sommer / kurz vor Mitternacht / nach dem Gewitter / an einem kalten Tag im
        Januar / während der Ernte / gegen Ende des Monats / seit drei Wochen / in den Ferien / zu Weihnachten
    """),
    "tut": phrases("""
        sucht / findet / verkauft / bringt / zeigt / repariert / kauft / trägt / beschreibt / holt / malt /
        vergisst / reinigt / betrachtet / versteckt / bewundert
    """),
    "tun": phrases("""
        suchen / finden / verkaufen / bringen / zeigen / reparieren / kaufen / tragen / beschreiben / holen /
        malen / vergessen / reinigen / betrachten / verstecken
    """),
    "wie": phrases("""
        langsam / mit großer Geduld / ohne ein Wort / sehr vorsichtig / mit beiden Händen / gern / heimlich /
        zum ersten Mal / wie immer / fröhlich / mit Mühe / schweigend
    """),
    "grund": phrases("""
        weil das Wetter schlecht ist / weil niemand sonst Zeit hat / obwohl es regnet / damit die Kinder nicht
        frieren / weil der Weg nach {town} weit ist / obwohl die Arbeit schwer ist / bevor die Sonne untergeht
        / wenn die Glocken läuten / weil das Geld nicht reicht / während der Hund vor der Tür schläft / sobald
        der Schnee schmilzt / weil {friend} darum gebeten hat
    """),
    "ist": phrases("""
        glücklich / müde / sehr stolz / neugierig / ein wenig traurig / zufrieden / hungrig / dankbar /
        überrascht / noch unsicher / aufgeregt / freundlich
    """),
    "meint": (
        "dass man {was} nicht kaufen kann",
        "dass {leute} zu viel arbeiten",
        "dass es {wo} am schönsten ist",
        "dass {wer} {was} {tut}",
        "dass Geduld wichtiger ist als Geld",
        "dass der Winter lang wird",
    ),
    "sentence": (
        "{wer} {tut} {was} {wo}, {grund}.",
        "{wann} {tut} {wer} {wie} {was}.",
        "{wo} {tun} {leute} {wann} {was}.",
        "{leute} sind {ist}, {grund}.",
        "{wer} ist {ist}, denn {leute} {tun} {was} {wo}.",
        "{wer} glaubt, {meint}.",
        "{wann} sagt {wer}, {meint}.",
        "nicht weit von {town} fließt die {river}, und {wo} {tun} {leute} {was}.",
        "man erzählt {wann}, {meint}.",
        "{wer} {tut} {was}, aber {wer} {tut} {was} {wie}.",
        "warum {tut} {wer} {was} nicht {wo}?",
        "wenn {wer} {wann} {was} {tut}, sind {leute} {ist}.",
        "{wo} steht ein Haus, in dem {wer} {wann} {was} {tut}.",
    ),
    "title": (
        "Ein Tag in {town}",
        "{person} und die {river}",
        "Das Leben an der {river}",
        "Was {leute} {wo} {tun}",
        "Erinnerungen an {town}",
        "Der Brief von {friend}",
    ),
}
