"""Grammar rules of Italian pages."""

from pipelines.demo_crawl.lexicon import phrases

RULES: dict[str, tuple[str, ...]] = {
    "chi": phrases("""
        il fornaio / la maestra / il vecchio pescatore / la giovane dottoressa / il mugnaio / la vicina / il
        sindaco / la nonna / il sarto / la giardiniera / il guardaboschi / la pittrice / il postino / la cuoca
        / il capitano / un'allieva curiosa / un viaggiatore stanco / {person} / {friend} / mio zio / nostra
        cugina
    """),
    "gente": phrases("""
        i bambini / i contadini / molte persone / i viaggiatori / i vicini / gli artigiani / gli ospiti /
        tutti gli allievi / i mercanti / i pescatori / le famiglie del paese
    """),
    "cosa": phrases("""
        una torta di mele / il vecchio libro / la cassa pesante / una lunga lettera / la grande chiave / una
        zuppa calda / la piccola barca / la porta verde / un cesto di pere / l'orologio rotto / il tavolo di
        legno / una camicia bianca / una bella storia / gli attrezzi / il pane fresco / un tetto nuovo / la
        fontana di pietra / una mappa del paese / le ultime patate / un tappeto di lana / il regalo della
        madre / i fiori del giardino
    """),
    "dove": phrases("""
        nella piazza del mercato / in cucina / sulla riva del {river} / dietro la chiesa / nel bosco / accanto
        al mulino / davanti al municipio / nella bottega / sotto il vecchio ponte / in mezzo al campo / in una
        piccola stanza / al porto / nella scuola di {town} / tra le case / in soffitta / in fondo al giardino
        / in cima alla collina / a {town}
    """),
    "quando": phrases("""
        la mattina presto / in autunno / ogni domenica / dopo pranzo / durante l'inverno / la sera / d'estate
        / poco prima di mezzanotte / dopo il temporale / in una fredda giornata di gennaio / durante il
        raccolto / verso la fine del mese / da tre settimane / durante le vacanze / a Natale / di tanto in
        tanto
    """),
    "fa": phrases("""
        cerca / trova / vende / porta / mostra / ripara / compra / descrive / disegna / dimentica / pulisce /
        guarda / nasconde / ammira / prepara
    """),
    "fanno": phrases("""
        cercano / trovano / vendono / portano / mostrano / riparano / comprano / descrivono / disegnano /
        dimenticano / puliscono / guardano / nascondono / preparano
    """),
    "come": phrases("""
        lentamente / con molta pazienza / senza dire una parola / con grande cura / con entrambe le mani /
        volentieri / in segreto / per la prima volta / come sempre / con fatica / in silenzio
    """),
    "ragione": phrases("""
        perché fa brutto tempo / perché nessun altro ha tempo / anche se piove / affinché i bambini non
        abbiano freddo / perché la strada per {town} è lunga / prima che tramonti il sole / quando suonano le
        campane / poiché i soldi non bastano / mentre il cane dorme davanti alla porta / appena si scioglie la
        neve / perché {friend} lo ha chiesto
    """),
    "sono": phrases("""
        di buon umore / senza coraggio / in ritardo / d'accordo / in viaggio / a tavola / al lavoro / in festa
        / di cattivo umore / senza parole
    """),
    "pensa": (
        "che non si può comprare {cosa}",
        "che {gente} lavorano troppo",
        "che la vita è più bella {dove}",
        "che {chi} {fa} {cosa}",
        "che la pazienza vale più dei soldi",
        "che l'inverno sarà lungo",
    ),
    "sentence": (
        "{chi} {fa} {cosa} {dove}, {ragione}.",
        "{quando} {chi} {fa} {come} {cosa}.",
        "{dove} {gente} {fanno} {cosa} {quando}.",
        "{gente} sono {sono}, {ragione}.",
        "{chi} pensa {pensa}.",
        "{quando} {chi} ci dice {pensa}.",
        "non lontano da {town} scorre il fiume {river}, e lì {gente} {fanno} {cosa}.",
        "si racconta {quando} {pensa}.",
        "{chi} {fa} {cosa}, ma {chi} {fa} {cosa} {come}.",
        "perché {gente} {fanno} questo {dove}?",
        "quando {chi} {fa} {cosa} {quando}, {gente} sono {sono}.",
        "{dove} c'è una casa dove {chi} {fa} {cosa} {quando}.",
    ),
    "title": (
        "Una giornata a {town}",
        "{person} e il fiume {river}",
        "La vita sulla riva del {river}",
        "Quello che {gente} {fanno} {dove}",
        "Ricordi di {town}",
        "La lettera di {friend}",
    ),
}
