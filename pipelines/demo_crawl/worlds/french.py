"""Grammar rules of French pages."""

from pipelines.demo_crawl.lexicon import phrases

RULES: dict[str, tuple[str, ...]] = {
    "qui": phrases("""
        le boulanger / la maîtresse / le vieux pêcheur / la jeune médecin / le meunier / la voisine / le maire
        / la grand-mère / le tailleur / la jardinière / le forestier / la peintre / le facteur / la cuisinière
        / le capitaine / une élève curieuse / un voyageur fatigué / {person} / {friend} / mon oncle / notre
        cousine
    """),
    "gens": phrases("""
        les enfants / les paysans / beaucoup de gens / les voyageurs / les voisins / les artisans / les
        invités / tous les élèves / les marchands / les pêcheurs / les familles du village
    """),
    "quoi": phrases("""
        une tarte aux pommes / le vieux livre / la lourde caisse / une longue lettre / la grande clé / une
        soupe chaude / le petit bateau / la porte verte / un panier de poires / la montre cassée / la table en
        bois / une chemise blanche / une belle histoire / les outils / le pain frais / un nouveau toit / la
        fontaine de pierre / une carte du pays / les dernières pommes de terre / un tapis de laine / le cadeau
        de la mère / les fleurs du jardin
    """),
    "ou": phrases("""
        sur la place du marché / dans la cuisine / au bord de la {river} / derrière l'église / dans la forêt /
        à côté du moulin / devant la mairie / dans l'atelier / sous le vieux pont / au milieu du champ / dans
        une petite chambre / au port / à l'école de {town} / entre les maisons / au grenier / au fond du
        jardin / en haut de la colline / à {town}
    """),
    "quand": phrases("""
        tôt le matin / en automne / chaque dimanche / après le déjeuner / pendant l'hiver / le soir / en été /
        un peu avant minuit / après l'orage / par une froide journée de janvier / pendant la récolte / vers la
        fin du mois / depuis trois semaines / pendant les vacances / à Noël / de temps en temps
    """),
    "fait": phrases("""
        cherche / trouve / vend / apporte / montre / répare / achète / porte / décrit / dessine / oublie /
        nettoie / regarde / cache / admire / prépare
    """),
    "font": phrases("""
        cherchent / trouvent / vendent / apportent / montrent / réparent / achètent / portent / décrivent /
        dessinent / oublient / nettoient / regardent / cachent / préparent
    """),
    "comment": phrases("""
        lentement / avec beaucoup de patience / sans un mot / très prudemment / avec les deux mains /
        volontiers / en secret / pour la première fois / comme toujours / avec peine / en silence
    """),
    "raison": phrases("""
        parce qu'il fait mauvais / car personne d'autre n'a le temps / bien qu'il pleuve / pour que les
        enfants n'aient pas froid / parce que le chemin de {town} est long / avant que le soleil ne se couche
        / quand les cloches sonnent / car l'argent ne suffit pas / pendant que le chien dort devant la porte /
        dès que la neige fond / parce que {friend} l'a demandé
    """),
    "humeur": phrases("""
        sans courage / de bonne humeur / très fatigués / pleins d'espoir / un peu tristes / contents /
        reconnaissants / surpris / inquiets / curieux
    """),
    "pense": (
        "qu'on ne peut pas acheter {quoi}",
        "que {gens} travaillent trop",
        "que la vie est plus belle {ou}",
        "que {qui} {fait} {quoi}",
        "que la patience vaut mieux que l'argent",
        "que l'hiver sera long",
    ),
    "sentence": (
        "{qui} {fait} {quoi} {ou}, {raison}.",
        "{quand}, {qui} {fait} {comment} {quoi}.",
        "{ou}, {gens} {font} {quoi} {quand}.",
        "{gens} sont {humeur}, {raison}.",
        "{qui} pense {pense}.",
        "{quand}, {qui} nous dit {pense}.",
        "non loin de {town} coule la {river}, et {gens} y {font} {quoi}.",
        "on raconte {quand} {pense}.",
        "{qui} {fait} {quoi}, mais {qui} {fait} {quoi} {comment}.",
        "pourquoi {gens} {font} cela {ou} ?",
        "quand {qui} {fait} {quoi} {quand}, {gens} sont {humeur}.",
        "{ou} se trouve une maison où {qui} {fait} {quoi} {quand}.",
    ),
    "title": (
        "Une journée à {town}",
        "{person} et la {river}",
        "La vie au bord de la {river}",
        "Ce que {gens} {font} {ou}",
        "Souvenirs de {town}",
        "La lettre de {friend}",
    ),
}
